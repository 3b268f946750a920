//! `/v1/projects/{project}/instances/{instance}/acls`.

use crate::{
    app::{
        App, IdempotencyKey,
        acls::{self, Wanted},
    },
    domain::actor::ProjectScope,
    http::{
        ApiRouter, HttpError, Idempotent, Listed, NoBody, ResourcePath, ValidQuery,
        accepted::{Accepted, Answering, DryRun, PlanOr},
    },
};
use axum::extract::State;
use control_plane_api::{
    acl::{AclBinding, AclFilter, CreateAcls},
    instance::Plan,
    job::Job,
    page::{Page, PageQuery},
    problem::Problem,
};
use std::sync::Arc;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new().routes(routes!(list_acls, create_acls, delete_acls))
}

/// List access rules
///
/// Kafka's ACL bindings that fit the filter, asked of Kafka when the call is made; what was made through Kafka's own tools is
/// among them. The platform's own are not shown.
#[utoipa::path(get, path = "/v1/projects/{project}/instances/{instance}/acls", tag = "kafka users", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."),
        AclFilter, PageQuery),
    responses((status = 200, body = Page<AclBinding>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list_acls(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
    ValidQuery(filter): ValidQuery<AclFilter>,
    ValidQuery(query): ValidQuery<PageQuery>,
) -> Result<Listed<AclBinding>, HttpError> {
    Ok(Listed(acls::list_acls(&app, &scope, &instance, &filter, &query).await?))
}

/// Make access rules
///
/// Answers with the job; when it has succeeded every broker that answers knows the bindings. Those that are there already stay. A host
/// other than `*`, and what is the platform's, is refused. With `dry_run=true` the answer is what would be made.
#[utoipa::path(post, path = "/v1/projects/{project}/instances/{instance}/acls", tag = "kafka users", request_body = CreateAcls, security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."), DryRun,
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours."),
        ("Prefer" = Option<String>, Header, description = "`wait=30` holds the answer until the job has ended, 30 seconds at most.")),
    responses((status = 202, body = Job, headers(("Location" = String, description = "The job."), ("Retry-After" = u64))),
        (status = 200, description = "With `dry_run`: what would be done.", body = Plan),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn create_acls(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
    answering: Answering,
    request: Idempotent<CreateAcls>,
) -> Result<PlanOr<Accepted>, HttpError> {
    let wanted = acls::create_acls(&scope, &request.body)?;
    answer(&app, &scope, answering, &instance, request.key, &wanted).await
}

/// Delete access rules
///
/// All that the filter finds, at most 1000, except the platform's; a filter that names nothing is refused. With `dry_run=true` the
/// answer lists what would go.
#[utoipa::path(delete, path = "/v1/projects/{project}/instances/{instance}/acls", tag = "kafka users", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."), AclFilter, DryRun,
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours."),
        ("Prefer" = Option<String>, Header, description = "`wait=30` holds the answer until the job has ended, 30 seconds at most.")),
    responses((status = 202, body = Job, headers(("Location" = String, description = "The job."), ("Retry-After" = u64))),
        (status = 200, description = "With `dry_run`: what would be done.", body = Plan),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn delete_acls(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
    ValidQuery(filter): ValidQuery<AclFilter>,
    answering: Answering,
    request: Idempotent<NoBody>,
) -> Result<PlanOr<Accepted>, HttpError> {
    let wanted = acls::delete_acls(&scope, &filter)?;
    answer(&app, &scope, answering, &instance, request.key, &wanted).await
}

/// The plan, or the job.
pub(super) async fn answer(
    app: &App,
    scope: &ProjectScope,
    answering: Answering,
    instance: &str,
    key: Option<IdempotencyKey>,
    wanted: &Wanted,
) -> Result<PlanOr<Accepted>, HttpError> {
    let plan = async || acls::plan_acls(app, scope, instance, wanted).await;
    let change = async || acls::change_acls(app, scope, instance, key, wanted).await;
    answering.by(app, scope, plan, change).await
}
