//! `/operator/v1/instances/{instance}/connection-allowance`: how many connections a tenant may allow.

use crate::{
    app::{App, instances},
    domain::actor::Actor,
    http::{
        ApiRouter, HttpError, ResourcePath, ValidJson, ValidQuery,
        accepted::{Accepted, DryRun, PlanOr, PreferWait},
    },
};
use axum::extract::State;
use control_plane_api::{connection_limits::PutConnectionAllowance, instance::Plan, job::Job, problem::Problem};
use std::sync::Arc;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new().routes(routes!(put_connection_allowance))
}

/// Say how many connections an instance's tenant may allow
///
/// In force at once where the tenant has chosen no total. Answers with the job that tells the brokers, which is the tenant's to see, as
/// the entry in the audit trail is: no broker restarts, and no connection ends. With `dry_run=true` the answer is the plan.
#[utoipa::path(put, path = "/operator/v1/instances/{instance}/connection-allowance", tag = "capacity",
    request_body = PutConnectionAllowance, security(("bearer" = [])),
    params(("instance" = String, Path, description = "Id of the instance."), DryRun,
        ("Prefer" = Option<String>, Header, description = "`wait=30` holds the answer until the job has ended, 30 seconds at most.")),
    responses((status = 202, body = Job, headers(("Location" = String, description = "The job."), ("Retry-After" = u64))),
        (status = 200, description = "With `dry_run`: what would be done.", body = Plan),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn put_connection_allowance(
    State(app): State<Arc<App>>,
    actor: Actor,
    ResourcePath(instance): ResourcePath<String>,
    ValidQuery(DryRun { dry_run }): ValidQuery<DryRun>,
    wait: PreferWait,
    ValidJson(request): ValidJson<PutConnectionAllowance>,
) -> Result<PlanOr<Accepted>, HttpError> {
    if dry_run {
        return Ok(PlanOr::plan(instances::plan_connection_allowance(&app, &actor, &instance, &request).await?));
    }
    let (scope, answer) = instances::put_connection_allowance(&app, &actor, &instance, &request).await?;
    Ok(PlanOr::Done(Accepted::after(&app, &scope, answer, wait).await))
}
