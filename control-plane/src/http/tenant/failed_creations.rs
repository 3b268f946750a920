//! `/v1/projects/{project}/failed-creations`.

use crate::{
    app::{App, failed_creations},
    domain::actor::ProjectScope,
    http::{ApiRouter, HttpError, Listed, ResourcePath, ValidQuery},
};
use axum::{Json, extract::State, http::StatusCode};
use control_plane_api::{
    id::InstanceId,
    instance::{FailedCreation, Removed},
    page::{Page, PageQuery},
    problem::Problem,
};
use std::sync::Arc;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new()
        .routes(routes!(list_failed_creations, delete_failed_creations))
        .routes(routes!(delete_failed_creation))
}

/// List failed creations
///
/// With cause, the newest first; `count=exact` tells how many. They hold nothing but these records.
#[utoipa::path(get, path = "/v1/projects/{project}/failed-creations", tag = "instances", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), PageQuery),
    responses((status = 200, body = Page<FailedCreation>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list_failed_creations(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ValidQuery(query): ValidQuery<PageQuery>,
) -> Result<Listed<FailedCreation>, HttpError> {
    Ok(Listed(failed_creations::list_failed_creations(&app, &scope, &query).await?))
}

/// Remove all failed creations
#[utoipa::path(delete, path = "/v1/projects/{project}/failed-creations", tag = "instances", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name.")),
    responses((status = 200, body = Removed), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn delete_failed_creations(State(app): State<Arc<App>>, scope: ProjectScope) -> Result<Json<Removed>, HttpError> {
    Ok(Json(failed_creations::delete_failed_creations(&app, &scope).await?))
}

/// Remove a failed creation
#[utoipa::path(delete, path = "/v1/projects/{project}/failed-creations/{instance}", tag = "instances", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = InstanceId, Path)),
    responses((status = 204, description = "Removed."), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn delete_failed_creation(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, InstanceId)>,
) -> Result<StatusCode, HttpError> {
    failed_creations::delete_failed_creation(&app, &scope, instance).await?;
    Ok(StatusCode::NO_CONTENT)
}
