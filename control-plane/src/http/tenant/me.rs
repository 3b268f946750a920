//! `/v1/me`: who is signed in.

use crate::{
    app::{App, auth, me},
    domain::actor::Actor,
    http::{ApiRouter, HttpError, Idempotent},
};
use axum::{Json, extract::State, http::StatusCode};
use control_plane_api::{
    auth::{ChangePassword, Me},
    problem::Problem,
};
use std::sync::Arc;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new().routes(routes!(get_me)).routes(routes!(change_password))
}

/// Who am I
#[utoipa::path(get, path = "/v1/me", tag = "sign-in", security(("bearer" = [])),
    responses((status = 200, body = Me), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get_me(State(app): State<Arc<App>>, actor: Actor) -> Result<Json<Me>, HttpError> {
    Ok(Json(me::get_me(&app, &actor).await?))
}

/// Change the own password
///
/// Ends all other sessions.
#[utoipa::path(post, path = "/v1/me/password", tag = "sign-in", request_body = ChangePassword, security(("bearer" = [])),
    responses((status = 204, description = "Changed."), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn change_password(
    State(app): State<Arc<App>>,
    actor: Actor,
    request: Idempotent<ChangePassword>,
) -> Result<StatusCode, HttpError> {
    auth::change_password(&app, &actor, request.key, &request.body).await?;
    Ok(StatusCode::NO_CONTENT)
}
