//! `/v1/projects/{project}/instances/{instance}/capacity`.

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
    capacity::{Capacity, UpdateCapacity},
    instance::Plan,
    job::Job,
    problem::Problem,
};
use std::sync::Arc;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new().routes(routes!(get_capacity, update_capacity))
}

/// Show how full an instance is
///
/// The policy for a full disk, and how full each broker's share of the disk is that was bought, asked of the brokers when the call is
/// made. A broker that does not answer is named in `silent_brokers`.
#[utoipa::path(get, path = "/v1/projects/{project}/instances/{instance}/capacity", tag = "instances", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name.")),
    responses((status = 200, body = Capacity), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get_capacity(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
) -> Result<Json<Capacity>, HttpError> {
    Ok(Json(instances::get_capacity(&app, &scope, &instance).await?))
}

/// Change what happens when the disk is full
///
/// A JSON merge patch (RFC 7396). Answers with the job that tells the brokers, which takes moments: no broker restarts, and no
/// connection ends. With `dry_run=true` the answer is the plan.
#[utoipa::path(patch, path = "/v1/projects/{project}/instances/{instance}/capacity", tag = "instances", security(("bearer" = [])),
    request_body(content = UpdateCapacity, content_type = "application/merge-patch+json"),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."), DryRun,
        ("If-Match" = Option<String>, Header, description = "Entity tag of the instance that the change was made from; another one is refused with 412."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours."),
        ("Prefer" = Option<String>, Header, description = "`wait=30` holds the answer until the job has ended, 30 seconds at most.")),
    responses((status = 202, body = Job, headers(("Location" = String, description = "The job."), ("Retry-After" = u64))),
        (status = 200, description = "With `dry_run`: what would be done.", body = Plan),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn update_capacity(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
    answering: Answering,
    if_match: IfMatch,
    request: Idempotent<UpdateCapacity>,
) -> Result<PlanOr<Accepted>, HttpError> {
    let plan = async || instances::plan_capacity(&app, &scope, &instance, if_match.tags(), &request.body).await;
    let change =
        async || instances::update_capacity(&app, &scope, &instance, if_match.tags(), request.key, &request.body).await;
    answering.by(&app, &scope, plan, change).await
}
