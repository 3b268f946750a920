//! `/v1/projects/{project}/instances/{instance}/users/{user}/rights`.

use super::acls;
use crate::{
    app::{App, kafka_rights as rights},
    domain::actor::ProjectScope,
    http::{
        ApiRouter, HttpError, Idempotent, NoBody, ResourcePath, ValidQuery,
        accepted::{Accepted, Answering, DryRun, PlanOr},
    },
};
use axum::{Json, extract::State};
use control_plane_api::{
    instance::Plan,
    job::Job,
    kafka_rights::{GrantKafkaRights, KafkaRights, RevokeKafkaRights},
    problem::Problem,
};
use std::sync::Arc;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new().routes(routes!(get_kafka_rights, grant_kafka_rights, revoke_kafka_rights))
}

/// Show what a Kafka user may do
///
/// In plain words where its ACL bindings say nothing else, and the bindings that words do not say.
#[utoipa::path(get, path = "/v1/projects/{project}/instances/{instance}/users/{user}/rights", tag = "kafka users", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."), ("user" = String, Path)),
    responses((status = 200, body = KafkaRights), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get_kafka_rights(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance, user)): ResourcePath<(String, String, String)>,
) -> Result<Json<KafkaRights>, HttpError> {
    Ok(Json(rights::get_kafka_rights(&app, &scope, &instance, &user).await?))
}

/// Grant rights to a Kafka user
///
/// `produce`, `consume` and `manage` on a topic or on all that begin alike (`orders-*`); groups that it may join, transactional ids that
/// it may write under. What it has already stays. Permissions count while the instance's authorization is `acl`.
#[utoipa::path(put, path = "/v1/projects/{project}/instances/{instance}/users/{user}/rights", tag = "kafka users", request_body = GrantKafkaRights, security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."), ("user" = String, Path), DryRun,
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours."),
        ("Prefer" = Option<String>, Header, description = "`wait=30` holds the answer until the job has ended, 30 seconds at most.")),
    responses((status = 202, body = Job, headers(("Location" = String, description = "The job."), ("Retry-After" = u64))),
        (status = 200, description = "With `dry_run`: what would be done.", body = Plan),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn grant_kafka_rights(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance, user)): ResourcePath<(String, String, String)>,
    answering: Answering,
    request: Idempotent<GrantKafkaRights>,
) -> Result<PlanOr<Accepted>, HttpError> {
    let wanted = rights::grant_kafka_rights(&app, &scope, &instance, &user, &request.body).await?;
    acls::answer(&app, &scope, answering, &instance, request.key, &wanted).await
}

/// Revoke rights of a Kafka user
///
/// As they were granted: `orders` takes nothing from `orders-*`. A topic without `rights` loses all three; `all=true` takes everything
/// that the user has, denials among it.
#[utoipa::path(delete, path = "/v1/projects/{project}/instances/{instance}/users/{user}/rights", tag = "kafka users", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."), ("user" = String, Path),
        RevokeKafkaRights, DryRun,
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours."),
        ("Prefer" = Option<String>, Header, description = "`wait=30` holds the answer until the job has ended, 30 seconds at most.")),
    responses((status = 202, body = Job, headers(("Location" = String, description = "The job."), ("Retry-After" = u64))),
        (status = 200, description = "With `dry_run`: what would be done.", body = Plan),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn revoke_kafka_rights(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance, user)): ResourcePath<(String, String, String)>,
    ValidQuery(revoke): ValidQuery<RevokeKafkaRights>,
    answering: Answering,
    request: Idempotent<NoBody>,
) -> Result<PlanOr<Accepted>, HttpError> {
    let wanted = rights::revoke_kafka_rights(&app, &scope, &instance, &user, &revoke).await?;
    acls::answer(&app, &scope, answering, &instance, request.key, &wanted).await
}
