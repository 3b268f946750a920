//! `/v1/projects/{project}/instances/{instance}/usage`.

use crate::{
    app::{App, usage},
    domain::actor::ProjectScope,
    http::{ApiRouter, HttpError, ResourcePath},
};
use axum::{Json, extract::State};
use control_plane_api::{problem::Problem, usage::Usage};
use std::sync::Arc;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new().routes(routes!(get_usage))
}

/// Get the usage
///
/// Partitions, consumer groups and connections of clients that there are, and how many the instance may have. Asked of the brokers when the
/// call is made; `unavailable` when none of them answers.
#[utoipa::path(get, path = "/v1/projects/{project}/instances/{instance}/usage", tag = "instance", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name.")),
    responses((status = 200, body = Usage), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get_usage(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
) -> Result<Json<Usage>, HttpError> {
    Ok(Json(usage::get_usage(&app, &scope, &instance).await?))
}
