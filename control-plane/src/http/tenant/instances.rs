//! `/v1/projects/{project}/instances`.

use crate::{
    app::{App, instances},
    domain::actor::ProjectScope,
    http::{
        ApiRouter, HttpError, Idempotent, IfMatch, Listed, NoBody, ResourcePath, Tagged, ValidJson, ValidQuery,
        accepted::{Accepted, Answering, DryRun, PlanOr},
    },
};
use axum::extract::State;
use control_plane_api::{
    instance::{CreateInstance, Instance, InstanceFilter, Plan, UpdateInstance},
    job::Job,
    page::{Page, PageQuery},
    problem::Problem,
};
use std::sync::Arc;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new().routes(routes!(list_instances, create_instance)).routes(routes!(
        get_instance,
        update_instance,
        delete_instance
    ))
}

/// List instances
///
/// The newest first, unless `sort` says otherwise. Creations that failed are in `failed-creations`.
#[utoipa::path(get, path = "/v1/projects/{project}/instances", tag = "instances", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), InstanceFilter, PageQuery),
    responses((status = 200, body = Page<Instance>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list_instances(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ValidQuery(filter): ValidQuery<InstanceFilter>,
    ValidQuery(query): ValidQuery<PageQuery>,
) -> Result<Listed<Instance>, HttpError> {
    Ok(Listed(instances::list_instances(&app, &scope, &filter, &query).await?))
}

/// Buy an instance
///
/// Answers with the job that makes it, after everything has been checked; all faults of an order come together, each with
/// its field. With `dry_run=true` nothing is bought, and the answer is the plan: price, every default taken, steps.
#[utoipa::path(post, path = "/v1/projects/{project}/instances", tag = "instances", request_body = CreateInstance, security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), DryRun,
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours."),
        ("Prefer" = Option<String>, Header, description = "`wait=30` holds the answer until the job has ended, 30 seconds at most.")),
    responses((status = 202, body = Job, headers(("Location" = String, description = "The job."), ("Retry-After" = u64))),
        (status = 200, description = "With `dry_run`: what would be done.", body = Plan),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn create_instance(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    answering: Answering,
    request: Idempotent<CreateInstance>,
) -> Result<PlanOr<Accepted>, HttpError> {
    let plan = async || instances::plan_instance(&app, &scope, &request.body).await;
    let change = async || instances::create_instance(&app, &scope, request.key, &request.body).await;
    answering.by(&app, &scope, plan, change).await
}

/// Show an instance
#[utoipa::path(get, path = "/v1/projects/{project}/instances/{instance}", tag = "instances", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."),
        ("If-None-Match" = Option<String>, Header, description = "304 when the instance still has this entity tag.")),
    responses((status = 200, body = Instance), (status = 304, description = "Unchanged."),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get_instance(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
) -> Result<Tagged<Instance>, HttpError> {
    Ok(Tagged(instances::get_instance(&app, &scope, &instance).await?))
}

/// Change an instance
///
/// A JSON merge patch (RFC 7396) of name, description, labels and deletion protection; it takes effect at once.
#[utoipa::path(patch, path = "/v1/projects/{project}/instances/{instance}", tag = "instances", security(("bearer" = [])),
    request_body(content = UpdateInstance, content_type = "application/merge-patch+json"),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."), DryRun,
        ("If-Match" = Option<String>, Header, description = "Entity tag that the change was made from; another one is refused with 412.")),
    responses((status = 200, description = "The instance; with `dry_run` the plan.", body = Instance),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn update_instance(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
    ValidQuery(DryRun { dry_run }): ValidQuery<DryRun>,
    if_match: IfMatch,
    ValidJson(patch): ValidJson<UpdateInstance>,
) -> Result<PlanOr<Tagged<Instance>>, HttpError> {
    if dry_run {
        let plan = instances::plan_update(&app, &scope, &instance, if_match.tags(), &patch).await?;
        return Ok(PlanOr::plan(plan));
    }
    let changed = instances::update_instance(&app, &scope, &instance, if_match.tags(), &patch).await?;
    Ok(PlanOr::Done(Tagged(changed)))
}

/// Delete an instance
///
/// Everything in it is gone for good. Answers with the job that deletes it; with `dry_run=true` with the plan.
#[utoipa::path(delete, path = "/v1/projects/{project}/instances/{instance}", tag = "instances", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."), DryRun,
        ("If-Match" = Option<String>, Header, description = "Entity tag of the instance as it was seen."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours."),
        ("Prefer" = Option<String>, Header, description = "`wait=30` holds the answer until the job has ended, 30 seconds at most.")),
    responses((status = 202, body = Job, headers(("Location" = String, description = "The job."), ("Retry-After" = u64))),
        (status = 200, description = "With `dry_run`: what would be done.", body = Plan),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn delete_instance(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
    answering: Answering,
    if_match: IfMatch,
    request: Idempotent<NoBody>,
) -> Result<PlanOr<Accepted>, HttpError> {
    let plan = async || instances::plan_deletion(&app, &scope, &instance, if_match.tags()).await;
    let change = async || instances::delete_instance(&app, &scope, &instance, if_match.tags(), request.key).await;
    answering.by(&app, &scope, plan, change).await
}
