//! `/v1/projects/{project}/instances/{instance}/users`.

use crate::{
    app::{
        App, IdempotencyKey,
        kafka_users::{self as users, Wanted},
    },
    domain::actor::ProjectScope,
    http::{
        ApiRouter, HttpError, Idempotent, IfMatch, Listed, NoBody, ResourcePath, Tagged, ValidQuery,
        accepted::{Accepted, Answering, DryRun, PlanOr},
    },
};
use axum::extract::State;
use control_plane_api::{
    instance::Plan,
    job::Job,
    kafka_user::{CreateKafkaUser, KafkaUser, ResetKafkaUserPassword, UpdateKafkaUser},
    page::{Page, PageQuery},
    problem::Problem,
};
use std::sync::Arc;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new()
        .routes(routes!(list_kafka_users, create_kafka_user))
        .routes(routes!(get_kafka_user, update_kafka_user, delete_kafka_user))
        .routes(routes!(reset_kafka_user_password))
}

/// List Kafka users
///
/// By name.
#[utoipa::path(get, path = "/v1/projects/{project}/instances/{instance}/users", tag = "kafka users", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."), PageQuery),
    responses((status = 200, body = Page<KafkaUser>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list_kafka_users(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
    ValidQuery(query): ValidQuery<PageQuery>,
) -> Result<Listed<KafkaUser>, HttpError> {
    Ok(Listed(users::list_kafka_users(&app, &scope, &instance, &query).await?))
}

/// Make a Kafka user
///
/// It can log in by every mechanism that the instance has on (`mechanisms` of its access) when the job has ended. A password
/// that was not given is made, and shown once, in the job's result. At most 500 an instance.
#[utoipa::path(post, path = "/v1/projects/{project}/instances/{instance}/users", tag = "kafka users", request_body = CreateKafkaUser, security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."), DryRun,
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours."),
        ("Prefer" = Option<String>, Header, description = "`wait=30` holds the answer until the job has ended, 30 seconds at most.")),
    responses((status = 202, body = Job, headers(("Location" = String, description = "The job."), ("Retry-After" = u64))),
        (status = 200, description = "With `dry_run`: what would be done.", body = Plan),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn create_kafka_user(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
    answering: Answering,
    request: Idempotent<CreateKafkaUser>,
) -> Result<PlanOr<Accepted>, HttpError> {
    let wanted = users::create_kafka_user(&scope, &request.body)?;
    answer(&app, &scope, answering, &instance, &IfMatch(None), request.key, &wanted).await
}

/// Show a Kafka user
#[utoipa::path(get, path = "/v1/projects/{project}/instances/{instance}/users/{user}", tag = "kafka users", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."), ("user" = String, Path)),
    responses((status = 200, body = KafkaUser), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get_kafka_user(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance, user)): ResourcePath<(String, String, String)>,
) -> Result<Tagged<KafkaUser>, HttpError> {
    Ok(Tagged(users::get_kafka_user(&app, &scope, &instance, &user).await?))
}

/// Disable or enable a Kafka user
///
/// A disabled user is refused by every broker and its open connections are closed, within 2 seconds; it keeps its password, and
/// enabling lets it in again.
#[utoipa::path(patch, path = "/v1/projects/{project}/instances/{instance}/users/{user}", tag = "kafka users", security(("bearer" = [])),
    request_body(content = UpdateKafkaUser, content_type = "application/merge-patch+json"),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."), ("user" = String, Path), DryRun,
        ("If-Match" = Option<String>, Header, description = "Entity tag of the user as it was seen; another one is refused with 412."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours."),
        ("Prefer" = Option<String>, Header, description = "`wait=30` holds the answer until the job has ended, 30 seconds at most.")),
    responses((status = 202, body = Job, headers(("Location" = String, description = "The job."), ("Retry-After" = u64))),
        (status = 200, description = "With `dry_run`: what would be done.", body = Plan),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn update_kafka_user(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance, user)): ResourcePath<(String, String, String)>,
    answering: Answering,
    if_match: IfMatch,
    request: Idempotent<UpdateKafkaUser>,
) -> Result<PlanOr<Accepted>, HttpError> {
    let wanted = users::update_kafka_user(&scope, &user, &request.body)?;
    answer(&app, &scope, answering, &instance, &if_match, request.key, &wanted).await
}

/// Reset a Kafka user's password
///
/// The old password is refused and the user's open connections are closed, within 2 seconds. A password that was not given is made,
/// and shown once, in the job's result. A disabled user stays disabled.
#[utoipa::path(post, path = "/v1/projects/{project}/instances/{instance}/users/{user}/reset-password", tag = "kafka users", request_body = ResetKafkaUserPassword, security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."), ("user" = String, Path), DryRun,
        ("If-Match" = Option<String>, Header, description = "Entity tag of the user as it was seen; another one is refused with 412."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours."),
        ("Prefer" = Option<String>, Header, description = "`wait=30` holds the answer until the job has ended, 30 seconds at most.")),
    responses((status = 202, body = Job, headers(("Location" = String, description = "The job."), ("Retry-After" = u64))),
        (status = 200, description = "With `dry_run`: what would be done.", body = Plan),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn reset_kafka_user_password(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance, user)): ResourcePath<(String, String, String)>,
    answering: Answering,
    if_match: IfMatch,
    request: Idempotent<ResetKafkaUserPassword>,
) -> Result<PlanOr<Accepted>, HttpError> {
    let wanted = users::reset_kafka_user_password(&scope, &user, &request.body)?;
    answer(&app, &scope, answering, &instance, &if_match, request.key, &wanted).await
}

/// Delete a Kafka user
///
/// It is refused and its open connections are closed, within 2 seconds. Access rules that name it stay in Kafka, and would hold for a new
/// user of the same name.
#[utoipa::path(delete, path = "/v1/projects/{project}/instances/{instance}/users/{user}", tag = "kafka users", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."), ("user" = String, Path), DryRun,
        ("If-Match" = Option<String>, Header, description = "Entity tag of the user as it was seen; another one is refused with 412."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours."),
        ("Prefer" = Option<String>, Header, description = "`wait=30` holds the answer until the job has ended, 30 seconds at most.")),
    responses((status = 202, body = Job, headers(("Location" = String, description = "The job."), ("Retry-After" = u64))),
        (status = 200, description = "With `dry_run`: what would be done.", body = Plan),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn delete_kafka_user(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance, user)): ResourcePath<(String, String, String)>,
    answering: Answering,
    if_match: IfMatch,
    request: Idempotent<NoBody>,
) -> Result<PlanOr<Accepted>, HttpError> {
    let wanted = users::delete_kafka_user(&scope, &user)?;
    answer(&app, &scope, answering, &instance, &if_match, request.key, &wanted).await
}

/// The plan, or the job.
async fn answer(
    app: &App,
    scope: &ProjectScope,
    answering: Answering,
    instance: &str,
    if_match: &IfMatch,
    key: Option<IdempotencyKey>,
    wanted: &Wanted,
) -> Result<PlanOr<Accepted>, HttpError> {
    let plan = async || users::plan_kafka_user(app, scope, instance, if_match.tags(), wanted).await;
    let change = async || users::change_kafka_user(app, scope, instance, if_match.tags(), key, wanted).await;
    answering.by(app, scope, plan, change).await
}
