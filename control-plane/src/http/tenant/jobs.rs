//! `/v1/projects/{project}/jobs` and `/events`.

use crate::{
    app::{
        App, AppError,
        jobs::{self, Watched},
    },
    domain::actor::ProjectScope,
    http::{
        ApiRouter, HttpError, Idempotent, Listed, NoBody, Replayable, ResourcePath, Tagged, ValidQuery,
        accepted::Accepted, accepted::PreferWait,
    },
};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use control_plane_api::{
    id::JobId,
    job::{Job, JobEvent, JobFilter, RevealedResult},
    page::{Page, PageQuery},
    problem::Problem,
};
use futures::{Stream, stream};
use std::{convert::Infallible, str::FromStr, sync::Arc, time::Duration};
use utoipa_axum::routes;

/// A comment goes out this often, so that proxies and clients see that the stream lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

pub fn router() -> ApiRouter {
    ApiRouter::new()
        .routes(routes!(list_jobs))
        .routes(routes!(get_job, delete_job))
        .routes(routes!(cancel_job))
        .routes(routes!(retry_job))
        .routes(routes!(reveal_job_result))
        .routes(routes!(watch_job))
        .routes(routes!(watch_project))
}

/// List jobs
///
/// The newest first.
#[utoipa::path(get, path = "/v1/projects/{project}/jobs", tag = "jobs", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), JobFilter, PageQuery),
    responses((status = 200, body = Page<Job>), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list_jobs(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ValidQuery(filter): ValidQuery<JobFilter>,
    ValidQuery(query): ValidQuery<PageQuery>,
) -> Result<Listed<Job>, HttpError> {
    Ok(Listed(jobs::list_jobs(&app, &scope, &filter, &query).await?))
}

/// Show a job
#[utoipa::path(get, path = "/v1/projects/{project}/jobs/{job}", tag = "jobs", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("job" = JobId, Path)),
    responses((status = 200, body = Job), (status = 304, description = "Unchanged."),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get_job(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, job)): ResourcePath<(String, JobId)>,
) -> Result<Tagged<Job>, HttpError> {
    Ok(Tagged(jobs::get_job(&app, &scope, job).await?))
}

/// Remove the record of a job
///
/// Only when the job has ended.
#[utoipa::path(delete, path = "/v1/projects/{project}/jobs/{job}", tag = "jobs", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("job" = JobId, Path)),
    responses((status = 204, description = "Removed."), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn delete_job(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, job)): ResourcePath<(String, JobId)>,
) -> Result<StatusCode, HttpError> {
    jobs::delete_job(&app, &scope, job).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Cancel a job
///
/// What it did is undone. Only kinds of job that say `cancellable`.
#[utoipa::path(post, path = "/v1/projects/{project}/jobs/{job}/cancel", tag = "jobs", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("job" = JobId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours."),
        ("Prefer" = Option<String>, Header, description = "`wait=30` holds the answer until the job has ended, 30 seconds at most.")),
    responses((status = 202, body = Job), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn cancel_job(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, job)): ResourcePath<(String, JobId)>,
    wait: PreferWait,
    request: Idempotent<NoBody>,
) -> Result<Accepted, HttpError> {
    let answer = jobs::cancel_job(&app, &scope, job, request.key).await?;
    Ok(Accepted::after(&app, &scope, answer, wait).await)
}

/// Retry a stuck job
///
/// It goes on where it stopped.
#[utoipa::path(post, path = "/v1/projects/{project}/jobs/{job}/retry", tag = "jobs", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("job" = JobId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours."),
        ("Prefer" = Option<String>, Header, description = "`wait=30` holds the answer until the job has ended, 30 seconds at most.")),
    responses((status = 202, body = Job), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn retry_job(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, job)): ResourcePath<(String, JobId)>,
    wait: PreferWait,
    request: Idempotent<NoBody>,
) -> Result<Accepted, HttpError> {
    let answer = jobs::retry_job(&app, &scope, job, request.key).await?;
    Ok(Accepted::after(&app, &scope, answer, wait).await)
}

/// Show the secrets of a job's result
///
/// Once, and only to who started the job: the password that was made for the first Kafka user. A repeat with the same
/// idempotency key gets the same answer.
#[utoipa::path(post, path = "/v1/projects/{project}/jobs/{job}/reveal", tag = "jobs", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("job" = JobId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours.")),
    responses((status = 200, body = RevealedResult), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn reveal_job_result(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, job)): ResourcePath<(String, JobId)>,
    request: Idempotent<NoBody>,
) -> Result<Response, HttpError> {
    let answer = jobs::reveal_job_result(&app, &scope, job, request.key).await?;
    let mut response = Replayable::new(answer, Json).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Watch a job
///
/// Its history, then what happens, as server-sent events until it has ended; each event's data is a `JobEvent`.
/// `Last-Event-ID` resumes. 204 when nothing is left to tell.
#[utoipa::path(get, path = "/v1/projects/{project}/jobs/{job}/events", tag = "jobs", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("job" = JobId, Path),
        ("Last-Event-ID" = Option<String>, Header, description = "Id of the last event that was seen.")),
    responses((status = 200, body = JobEvent, content_type = "text/event-stream"), (status = 204, description = "Ended."),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn watch_job(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, job)): ResourcePath<(String, JobId)>,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let Some(watch) = jobs::watch_job(&app, &scope, job, last_event_id(&headers)).await? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let events =
        stream::unfold(watch, |mut watch| async move { ended(watch.next().await).map(|event| (event, watch)) });
    Ok(respond(events))
}

/// Watch all jobs of a project
///
/// What happens from now on, or from `Last-Event-ID` on, as server-sent events; each event's data is a `JobEvent`. The
/// stream ends after 15 minutes; come again with the last id.
#[utoipa::path(get, path = "/v1/projects/{project}/events", tag = "jobs", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."),
        ("Last-Event-ID" = Option<String>, Header, description = "Id of the last event that was seen.")),
    responses((status = 200, body = JobEvent, content_type = "text/event-stream"),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn watch_project(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let watch = jobs::watch_project(&app, &scope, last_event_id(&headers)).await?;
    let events =
        stream::unfold(watch, |mut watch| async move { ended(watch.next().await).map(|event| (event, watch)) });
    Ok(respond(events))
}

/// What is no id of ours is as none (HTML Living Standard §9.2: clients send back what they last saw).
fn last_event_id<T: FromStr>(headers: &HeaderMap) -> Option<T> {
    headers.get("last-event-id")?.to_str().ok()?.trim().parse().ok()
}

/// A fault ends the stream; the client comes again, and is told then.
fn ended(next: Result<Option<Watched>, AppError>) -> Option<Watched> {
    next.unwrap_or_else(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "a stream of events broke off");
        None
    })
}

fn respond(events: impl Stream<Item = Watched> + Send + 'static) -> Response {
    use futures::StreamExt;
    let events = events.map(|watched| {
        let event = Event::default().id(&watched.id);
        // An event is plain data: it always has a JSON form.
        Ok::<_, Infallible>(event.json_data(&watched.event).unwrap_or_else(|_| Event::default().id(watched.id)))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response();
    // Proxies that buffer would hold events back.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
