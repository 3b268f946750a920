//! `/v1/projects/{project}/service-accounts` and their keys.

use crate::{
    app::{App, service_accounts as accounts},
    domain::actor::ProjectScope,
    http::{
        ApiRouter, Created, HttpError, Idempotent, IfMatch, Listed, Replayable, ResourcePath, Tagged, ValidJson,
        ValidQuery,
    },
};
use axum::{Json, extract::State, http::StatusCode};
use control_plane_api::{
    auth::{CreateApiKey, CreateServiceAccount, CreatedApiKey, ServiceAccount, UpdateServiceAccount},
    id::{ApiKeyId, ServiceAccountId},
    page::{Page, PageQuery},
    problem::Problem,
};
use std::sync::Arc;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new()
        .routes(routes!(list_service_accounts, create_service_account))
        .routes(routes!(get_service_account, update_service_account, delete_service_account))
        .routes(routes!(create_api_key))
        .routes(routes!(revoke_api_key))
}

/// List service accounts
#[utoipa::path(get, path = "/v1/projects/{project}/service-accounts", tag = "service accounts", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), PageQuery),
    responses((status = 200, body = Page<ServiceAccount>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list_service_accounts(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ValidQuery(query): ValidQuery<PageQuery>,
) -> Result<Listed<ServiceAccount>, HttpError> {
    Ok(Listed(accounts::list_service_accounts(&app, &scope, &query).await?))
}

/// Make a service account
///
/// For programs. It signs in with API keys, of which it has none yet.
#[utoipa::path(post, path = "/v1/projects/{project}/service-accounts", tag = "service accounts", request_body = CreateServiceAccount, security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours.")),
    responses((status = 201, body = ServiceAccount), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn create_service_account(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    request: Idempotent<CreateServiceAccount>,
) -> Result<Replayable<Created<Tagged<ServiceAccount>>>, HttpError> {
    let answer = accounts::create_service_account(&app, &scope, request.key, &request.body).await?;
    Ok(Replayable::new(answer, |account| Created {
        location: format!("/v1/projects/{}/service-accounts/{}", account.project_id, account.id),
        value: Tagged(account),
    }))
}

/// Show a service account
#[utoipa::path(get, path = "/v1/projects/{project}/service-accounts/{account}", tag = "service accounts", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("account" = ServiceAccountId, Path)),
    responses((status = 200, body = ServiceAccount), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get_service_account(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, account)): ResourcePath<(String, ServiceAccountId)>,
) -> Result<Tagged<ServiceAccount>, HttpError> {
    Ok(Tagged(accounts::get_service_account(&app, &scope, account).await?))
}

/// Change a service account
///
/// Its role and description; what its keys may do follows at once.
#[utoipa::path(patch, path = "/v1/projects/{project}/service-accounts/{account}", tag = "service accounts", request_body = UpdateServiceAccount, security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("account" = ServiceAccountId, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = ServiceAccount), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn update_service_account(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, account)): ResourcePath<(String, ServiceAccountId)>,
    if_match: IfMatch,
    ValidJson(request): ValidJson<UpdateServiceAccount>,
) -> Result<Tagged<ServiceAccount>, HttpError> {
    Ok(Tagged(accounts::update_service_account(&app, &scope, account, if_match.tags(), &request).await?))
}

/// Delete a service account
///
/// Its keys end at once.
#[utoipa::path(delete, path = "/v1/projects/{project}/service-accounts/{account}", tag = "service accounts", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("account" = ServiceAccountId, Path)),
    responses((status = 204, description = "Deleted."), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn delete_service_account(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, account)): ResourcePath<(String, ServiceAccountId)>,
) -> Result<StatusCode, HttpError> {
    accounts::delete_service_account(&app, &scope, account).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make an API key
///
/// The answer is the only place where the key is shown. An account has two live keys at most: make the second, change over, revoke
/// the first.
#[utoipa::path(post, path = "/v1/projects/{project}/service-accounts/{account}/keys", tag = "service accounts", request_body = CreateApiKey, security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("account" = ServiceAccountId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours.")),
    responses((status = 201, body = CreatedApiKey), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn create_api_key(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, account)): ResourcePath<(String, ServiceAccountId)>,
    request: Idempotent<CreateApiKey>,
) -> Result<Replayable<Created<Json<CreatedApiKey>>>, HttpError> {
    let answer = accounts::create_api_key(&app, &scope, account, request.key, &request.body).await?;
    Ok(Replayable::new(answer, |made| Created {
        location: format!("/v1/projects/{}/service-accounts/{account}/keys/{}", scope.project, made.key.id),
        value: Json(made),
    }))
}

/// Revoke an API key
///
/// It ends at once and for good.
#[utoipa::path(delete, path = "/v1/projects/{project}/service-accounts/{account}/keys/{key}", tag = "service accounts", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("account" = ServiceAccountId, Path), ("key" = ApiKeyId, Path)),
    responses((status = 204, description = "Revoked."), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn revoke_api_key(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, account, key)): ResourcePath<(String, ServiceAccountId, ApiKeyId)>,
) -> Result<StatusCode, HttpError> {
    accounts::revoke_api_key(&app, &scope, account, key).await?;
    Ok(StatusCode::NO_CONTENT)
}
