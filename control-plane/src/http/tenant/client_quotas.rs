//! `/v1/projects/{project}/instances/{instance}/client-quotas`.

use crate::{
    app::{
        App, IdempotencyKey,
        client_quotas::{self, Wanted},
    },
    domain::actor::ProjectScope,
    http::{
        ApiRouter, HttpError, Idempotent, Listed, NoBody, ResourcePath, ValidQuery,
        accepted::{Accepted, Answering, DryRun, PlanOr},
    },
};
use axum::{Json, extract::State};
use control_plane_api::{
    client_quota::{ClientQuota, EffectiveQuotas, QuotaClient, QuotaFilter, SetClientQuotas},
    instance::Plan,
    job::Job,
    page::{Page, PageQuery},
    problem::Problem,
};
use std::sync::Arc;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new()
        .routes(routes!(list_client_quotas, set_client_quotas, delete_client_quotas))
        .routes(routes!(explain_client_quotas))
}

/// List quotas of clients
///
/// Rules of users, client ids, addresses and topics that fit the filter. Kafka is asked when the call is made: what was set through its own
/// tools is among them. Each broker keeps a rate for itself, so that the figure over the instance is given beside it.
#[utoipa::path(get, path = "/v1/projects/{project}/instances/{instance}/client-quotas", tag = "kafka users", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."),
        QuotaFilter, PageQuery),
    responses((status = 200, body = Page<ClientQuota>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list_client_quotas(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
    ValidQuery(filter): ValidQuery<QuotaFilter>,
    ValidQuery(query): ValidQuery<PageQuery>,
) -> Result<Listed<ClientQuota>, HttpError> {
    Ok(Listed(client_quotas::list_client_quotas(&app, &scope, &instance, &filter, &query).await?))
}

/// Set quotas of clients
///
/// Answers with the job; when it has succeeded every broker keeps to the rules. Clients above a rate are slowed; connections that an
/// address opens too fast are closed before a byte, as Kafka's clients know it and try again; none that is open ends. Figures that are not named stay. With `dry_run=true` the answer is what would change.
#[utoipa::path(post, path = "/v1/projects/{project}/instances/{instance}/client-quotas", tag = "kafka users", request_body = SetClientQuotas, security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."), DryRun,
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours."),
        ("Prefer" = Option<String>, Header, description = "`wait=30` holds the answer until the job has ended, 30 seconds at most.")),
    responses((status = 202, body = Job, headers(("Location" = String, description = "The job."), ("Retry-After" = u64))),
        (status = 200, description = "With `dry_run`: what would be done.", body = Plan),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn set_client_quotas(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
    answering: Answering,
    request: Idempotent<SetClientQuotas>,
) -> Result<PlanOr<Accepted>, HttpError> {
    let wanted = client_quotas::set_client_quotas(&scope, &request.body)?;
    answer(&app, &scope, answering, &instance, request.key, &wanted).await
}

/// Delete quotas of clients
///
/// The rule of exactly the entity that is named, or one figure of it; a more general rule then holds, if there is one. With
/// `dry_run=true` the answer lists what would go.
#[utoipa::path(delete, path = "/v1/projects/{project}/instances/{instance}/client-quotas", tag = "kafka users", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."), QuotaFilter, DryRun,
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours."),
        ("Prefer" = Option<String>, Header, description = "`wait=30` holds the answer until the job has ended, 30 seconds at most.")),
    responses((status = 202, body = Job, headers(("Location" = String, description = "The job."), ("Retry-After" = u64))),
        (status = 200, description = "With `dry_run`: what would be done.", body = Plan),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn delete_client_quotas(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
    ValidQuery(filter): ValidQuery<QuotaFilter>,
    answering: Answering,
    request: Idempotent<NoBody>,
) -> Result<PlanOr<Accepted>, HttpError> {
    let wanted = client_quotas::delete_client_quotas(&scope, &filter)?;
    answer(&app, &scope, answering, &instance, request.key, &wanted).await
}

/// Explain quotas of a client
///
/// For a user, a client id, an address and a topic: which rule wins by Kafka's precedence, which it overrules, and what it comes to on
/// one broker and on all of them beside the topic's rule and the bandwidth that was bought, in words.
#[utoipa::path(get, path = "/v1/projects/{project}/instances/{instance}/client-quotas/effective", tag = "kafka users", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."), QuotaClient),
    responses((status = 200, body = EffectiveQuotas), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn explain_client_quotas(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
    ValidQuery(client): ValidQuery<QuotaClient>,
) -> Result<Json<EffectiveQuotas>, HttpError> {
    Ok(Json(client_quotas::explain_client_quotas(&app, &scope, &instance, &client).await?))
}

/// The plan, or the job.
async fn answer(
    app: &App,
    scope: &ProjectScope,
    answering: Answering,
    instance: &str,
    key: Option<IdempotencyKey>,
    wanted: &Wanted,
) -> Result<PlanOr<Accepted>, HttpError> {
    let plan = async || client_quotas::plan_client_quotas(app, scope, instance, wanted).await;
    let change = async || client_quotas::change_client_quotas(app, scope, instance, key, wanted).await;
    answering.by(app, scope, plan, change).await
}
