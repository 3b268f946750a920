//! `/v1/projects/{project}/instances/{instance}/metrics/prometheus`.

use crate::{
    app::{App, instances},
    domain::actor::ProjectScope,
    http::{ApiRouter, HttpError, ResourcePath, respond::PrometheusText},
};
use axum::extract::State;
use control_plane_api::problem::Problem;
use std::sync::Arc;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new().routes(routes!(get_prometheus_metrics))
}

/// Scrape the metrics
///
/// What the instance's nodes count, in Prometheus' text format 0.0.4, each sample with the labels `instance_id` and `broker`. Asked of
/// the nodes when the call is made; one that does not answer within 5 seconds has `sluice_node_up` 0 and nothing else.
#[utoipa::path(get, path = "/v1/projects/{project}/instances/{instance}/metrics/prometheus", tag = "instance", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name.")),
    responses((status = 200, body = String, content_type = "text/plain"), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get_prometheus_metrics(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
) -> Result<PrometheusText, HttpError> {
    Ok(PrometheusText(instances::get_prometheus_metrics(&app, &scope, &instance).await?))
}
