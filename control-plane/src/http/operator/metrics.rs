//! `/operator/v1/instances/{instance}/metrics/prometheus`.

use crate::{
    app::{App, instances},
    domain::actor::Actor,
    http::{ApiRouter, HttpError, ResourcePath, respond::PrometheusText},
};
use axum::extract::State;
use control_plane_api::problem::Problem;
use std::sync::Arc;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new().routes(routes!(get_node_metrics))
}

/// Scrape the metrics of an instance's nodes
///
/// As its tenant does, and beside that how the nodes themselves do.
#[utoipa::path(get, path = "/operator/v1/instances/{instance}/metrics/prometheus", tag = "instance", security(("bearer" = [])),
    params(("instance" = String, Path, description = "Id of the instance.")),
    responses((status = 200, body = String, content_type = "text/plain"), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get_node_metrics(
    State(app): State<Arc<App>>,
    actor: Actor,
    ResourcePath(instance): ResourcePath<String>,
) -> Result<PrometheusText, HttpError> {
    Ok(PrometheusText(instances::get_node_metrics(&app, &actor, &instance).await?))
}
