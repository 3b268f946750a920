//! `/v1/projects/{project}/instances/{instance}/acls`.

use crate::{
    app::{
        App, IdempotencyKey,
        acls::{self, Wanted},
    },
    domain::actor::ProjectScope,
    http::{
        ApiRouter, HttpError, Idempotent, Listed, NoBody, ResourcePath, ValidQuery,
        accepted::{Accepted, DryRun, PlanOr, PreferWait},
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
    ValidQuery(query): ValidQuery<DryRun>,
    wait: PreferWait,
    request: Idempotent<CreateAcls>,
) -> Result<PlanOr<Accepted>, HttpError> {
    let wanted = acls::create_acls(&scope, &request.body)?;
    AclRequest { instance, query, wait, key: request.key }.answer(&app, &scope, wanted).await
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
    ValidQuery(query): ValidQuery<DryRun>,
    wait: PreferWait,
    request: Idempotent<NoBody>,
) -> Result<PlanOr<Accepted>, HttpError> {
    let wanted = acls::delete_acls(&scope, &filter)?;
    AclRequest { instance, query, wait, key: request.key }.answer(&app, &scope, wanted).await
}

/// What the request of every change of bindings carries beside what it wants.
pub(super) struct AclRequest {
    pub(super) instance: String,
    pub(super) query: DryRun,
    pub(super) wait: PreferWait,
    pub(super) key: Option<IdempotencyKey>,
}

impl AclRequest {
    /// The plan, or the job.
    pub(super) async fn answer(
        self,
        app: &App,
        scope: &ProjectScope,
        wanted: Wanted,
    ) -> Result<PlanOr<Accepted>, HttpError> {
        if self.query.dry_run {
            return Ok(PlanOr::plan(acls::plan_acls(app, scope, &self.instance, &wanted).await?));
        }
        let answer = acls::change_acls(app, scope, &self.instance, self.key, wanted).await?;
        Ok(PlanOr::Done(Accepted::after(app, scope, answer, self.wait).await))
    }
}
