//! `/v1/projects/{project}/instances/{instance}/bandwidth`.

use crate::{
    app::{App, instances},
    domain::actor::ProjectScope,
    http::{ApiRouter, HttpError, ResourcePath},
};
use axum::{Json, extract::State};
use control_plane_api::{bandwidth::Bandwidth, problem::Problem};
use std::sync::Arc;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new().routes(routes!(get_bandwidth))
}

/// Show the bandwidth of an instance
///
/// What was bought, each broker's share of it, and what is used now, asked of the brokers when the call is made. A broker that does not
/// answer is named in `silent_brokers`.
#[utoipa::path(get, path = "/v1/projects/{project}/instances/{instance}/bandwidth", tag = "instances", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name.")),
    responses((status = 200, body = Bandwidth), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get_bandwidth(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
) -> Result<Json<Bandwidth>, HttpError> {
    Ok(Json(instances::get_bandwidth(&app, &scope, &instance).await?))
}
