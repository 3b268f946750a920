//! `/v1/projects/{project}/instances/{instance}/connection-limits`.

use crate::{
    app::{App, instances},
    domain::actor::ProjectScope,
    http::{
        ApiRouter, HttpError, Idempotent, IfMatch, ResourcePath,
        accepted::{Accepted, Answering, DryRun, PlanOr},
    },
};
use axum::{Json, extract::State};
use control_plane_api::{
    connection_limits::{ConnectionLimits, UpdateConnectionLimits},
    instance::Plan,
    job::Job,
    problem::Problem,
};
use std::sync::Arc;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new().routes(routes!(get_connection_limits, update_connection_limits))
}

/// Show how many may be connected to an instance
///
/// The limits in force, and how many clients are connected, asked of the brokers when the call is made. A broker that does not answer is
/// named in `silent_brokers`.
#[utoipa::path(get, path = "/v1/projects/{project}/instances/{instance}/connection-limits", tag = "instances", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name.")),
    responses((status = 200, body = ConnectionLimits), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get_connection_limits(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
) -> Result<Json<ConnectionLimits>, HttpError> {
    Ok(Json(instances::get_connection_limits(&app, &scope, &instance).await?))
}

/// Change how many may be connected
///
/// A JSON merge patch (RFC 7396). Answers with the job that tells the brokers, which takes moments: no broker restarts, and no
/// connection ends. Below what is open, new connections are refused until fewer are. With `dry_run=true` the answer is the plan.
#[utoipa::path(patch, path = "/v1/projects/{project}/instances/{instance}/connection-limits", tag = "instances", security(("bearer" = [])),
    request_body(content = UpdateConnectionLimits, content_type = "application/merge-patch+json"),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."), DryRun,
        ("If-Match" = Option<String>, Header, description = "Entity tag of the instance that the change was made from; another one is refused with 412."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours."),
        ("Prefer" = Option<String>, Header, description = "`wait=30` holds the answer until the job has ended, 30 seconds at most.")),
    responses((status = 202, body = Job, headers(("Location" = String, description = "The job."), ("Retry-After" = u64))),
        (status = 200, description = "With `dry_run`: what would be done.", body = Plan),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn update_connection_limits(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
    answering: Answering,
    if_match: IfMatch,
    request: Idempotent<UpdateConnectionLimits>,
) -> Result<PlanOr<Accepted>, HttpError> {
    let (tags, body) = (if_match.tags(), &request.body);
    let plan = async || instances::plan_connection_limits(&app, &scope, &instance, tags, body).await;
    let change = async || instances::update_connection_limits(&app, &scope, &instance, tags, request.key, body).await;
    answering.by(&app, &scope, plan, change).await
}
