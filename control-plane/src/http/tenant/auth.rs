//! `/v1/auth`: signing in and out. Open to everybody.

use crate::{
    app::{App, auth},
    http::{ApiRouter, HttpError, ValidJson, context::RequestContext},
    telemetry::metrics::SignIn,
};
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use control_plane_api::{
    auth::{RevokeRequest, TokenRequest, TokenResponse},
    problem::{Problem, ProblemCode},
};
use std::sync::Arc;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new().routes(routes!(create_token)).routes(routes!(revoke_token)).routes(routes!(get_jwks))
}

/// Sign in
///
/// With a password, a refresh token or an API key. Answers an access token of 15 minutes and, for people, a refresh token that is
/// good once. After several failures the address is locked for a while.
#[utoipa::path(post, path = "/v1/auth/token", tag = "sign-in", request_body = TokenRequest,
    responses((status = 200, body = TokenResponse), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn create_token(
    State(app): State<Arc<App>>,
    context: RequestContext,
    ValidJson(request): ValidJson<TokenRequest>,
) -> Result<impl IntoResponse, HttpError> {
    if let (Some(limits), Some(address)) = (context.limits(), context.origin().source_ip) {
        context.charge(limits.sign_in(address))?;
    }
    let outcome = auth::create_token(&app, &request, context.origin()).await;
    app.metrics.sign_in(match &outcome {
        Ok(_) => SignIn::Accepted,
        Err(error) => match error.refusal().code {
            ProblemCode::AccountLocked => SignIn::Locked,
            code if code.status() < 500 => SignIn::Refused,
            _ => SignIn::Failed,
        },
    });
    let answer: TokenResponse = outcome?;
    // RFC 6749 §5.1.
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)))
}

/// Sign out
///
/// A refresh or access token ends its session, an API key ends for good. Unknown tokens are no error (RFC 7009).
#[utoipa::path(post, path = "/v1/auth/revoke", tag = "sign-in", request_body = RevokeRequest,
    responses((status = 204, description = "The token is not good any more."), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn revoke_token(
    State(app): State<Arc<App>>,
    context: RequestContext,
    ValidJson(request): ValidJson<RevokeRequest>,
) -> Result<StatusCode, HttpError> {
    auth::revoke_token(&app, &request.token, context.origin()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Public keys of access tokens
///
/// A JWK set (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "sign-in", responses((status = 200, body = serde_json::Value)))]
async fn get_jwks(State(app): State<Arc<App>>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "public, max-age=300")], Json(app.tokens.jwks(app.clock.now())))
}
