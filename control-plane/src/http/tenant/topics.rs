//! `/v1/projects/{project}/instances/{instance}/topics`.

use crate::{
    app::{App, AppError, topics},
    domain::actor::ProjectScope,
    http::{
        ApiRouter, Created, HttpError, Idempotent, Listed, NoBody, Replayable, ResourcePath, ValidJson, ValidQuery,
        accepted::{DryRun, PlanOr},
    },
};
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use control_plane_api::{
    instance::Plan,
    page::Page,
    problem::Problem,
    topic::{CreateTopic, Topic, TopicQuery, TopicSummary, UpdateTopic},
};
use std::{future::Future, sync::Arc};
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new().routes(routes!(list_topics, create_topic)).routes(routes!(get_topic, update_topic, delete_topic))
}

/// List topics
///
/// Asked of Kafka when the call is made; what was made through Kafka's own tools is among them. Topics of Kafka itself are shown with
/// `internal=true`, those of the platform never.
#[utoipa::path(get, path = "/v1/projects/{project}/instances/{instance}/topics", tag = "topics", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."), TopicQuery),
    responses((status = 200, body = Page<TopicSummary>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list_topics(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
    ValidQuery(query): ValidQuery<TopicQuery>,
) -> Result<Listed<TopicSummary>, HttpError> {
    Ok(Listed(topics::list_topics(&app, &scope, &instance, &query).await?))
}

/// Show a topic
///
/// Its partitions with leader, replicas and those in sync, and the settings that differ from the brokers'.
#[utoipa::path(get, path = "/v1/projects/{project}/instances/{instance}/topics/{topic}", tag = "topics", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."), ("topic" = String, Path)),
    responses((status = 200, body = Topic), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get_topic(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance, topic)): ResourcePath<(String, String, String)>,
) -> Result<Json<Topic>, HttpError> {
    Ok(Json(topics::get_topic(&app, &scope, &instance, &topic).await?))
}

/// Make a topic
///
/// Through the same count as every client's request: beyond the partitions that were bought it is refused with `partition-limit`, and
/// while the count can't be told with `partitions-undecided`. Answers when every partition has a leader; with 202 when one has none
/// after a few seconds.
#[utoipa::path(post, path = "/v1/projects/{project}/instances/{instance}/topics", tag = "topics", request_body = CreateTopic, security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."), DryRun,
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours.")),
    responses((status = 201, body = Topic, headers(("Location" = String, description = "The topic."))),
        (status = 202, description = "Made; a partition has no leader yet.", body = Topic),
        (status = 200, description = "With `dry_run`: what would be done.", body = Plan),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn create_topic(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
    ValidQuery(DryRun { dry_run }): ValidQuery<DryRun>,
    request: Idempotent<CreateTopic>,
) -> Result<PlanOr<Replayable<Response>>, HttpError> {
    if dry_run {
        return Ok(PlanOr::plan(topics::plan_topic(&app, &scope, &instance, &request.body).await?));
    }
    let topics_path = format!("/v1/projects/{}/instances/{instance}/topics", scope.project);
    let answer =
        seen_through(async move { topics::create_topic(&app, &scope, &instance, request.key, &request.body).await });
    Ok(PlanOr::Done(Replayable::new(answer.await?, |topic| {
        let is_led = topic.summary.leaderless == 0;
        let location = format!("{topics_path}/{}", topic.summary.name);
        let mut response = Created { location, value: Json(topic) }.into_response();
        if !is_led {
            *response.status_mut() = StatusCode::ACCEPTED;
        }
        response
    })))
}

/// Add partitions to a topic
///
/// Only upward, within the partitions that were bought; `partitions` is how many there are to be in all. Repeating it is harmless.
#[utoipa::path(patch, path = "/v1/projects/{project}/instances/{instance}/topics/{topic}", tag = "topics", security(("bearer" = [])),
    request_body(content = UpdateTopic, content_type = "application/merge-patch+json"),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."), ("topic" = String, Path), DryRun),
    responses((status = 200, description = "The topic; with `dry_run` the plan.", body = Topic),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn update_topic(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance, topic)): ResourcePath<(String, String, String)>,
    ValidQuery(DryRun { dry_run }): ValidQuery<DryRun>,
    ValidJson(patch): ValidJson<UpdateTopic>,
) -> Result<PlanOr<Json<Topic>>, HttpError> {
    if dry_run {
        return Ok(PlanOr::plan(topics::plan_update(&app, &scope, &instance, &topic, &patch).await?));
    }
    let grown = seen_through(async move { topics::update_topic(&app, &scope, &instance, &topic, &patch).await });
    Ok(PlanOr::Done(Json(grown.await?)))
}

/// Delete a topic
///
/// Its records are gone for good, and its partitions can be used by anybody as soon as this is answered.
#[utoipa::path(delete, path = "/v1/projects/{project}/instances/{instance}/topics/{topic}", tag = "topics", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."), ("topic" = String, Path), DryRun),
    responses((status = 204), (status = 200, description = "With `dry_run`: what would go.", body = Plan),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn delete_topic(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance, topic)): ResourcePath<(String, String, String)>,
    ValidQuery(DryRun { dry_run }): ValidQuery<DryRun>,
    Idempotent { body: NoBody, .. }: Idempotent<NoBody>,
) -> Result<PlanOr<StatusCode>, HttpError> {
    if dry_run {
        return Ok(PlanOr::plan(topics::plan_deletion(&app, &scope, &instance, &topic).await?));
    }
    seen_through(async move { topics::delete_topic(&app, &scope, &instance, &topic).await }).await?;
    Ok(PlanOr::Done(StatusCode::NO_CONTENT))
}

/// Runs a change to its end though its caller may go away: half of it is in Kafka, and half is not.
async fn seen_through<T: Send + 'static>(
    change: impl Future<Output = Result<T, AppError>> + Send + 'static,
) -> Result<T, AppError> {
    let ended = tokio::spawn(change).await;
    ended.map_err(|error| AppError::Internal(format!("a change of a topic ended early: {error}")))?
}
