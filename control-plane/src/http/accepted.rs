//! Answers of what starts a job: 202 with the job, where to find it, and when to look again; or a plan.

use crate::{
    app::{Answer, App, AppError, jobs::wait_for_end},
    domain::actor::ProjectScope,
    http::{HttpError, ValidQuery},
};
use axum::{
    Json,
    extract::FromRequestParts,
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use control_plane_api::{instance::Plan, job::Job};
use serde::{Deserialize, Serialize};
use std::{convert::Infallible, time::Duration};
use utoipa::IntoParams;

/// Longest time that an answer is held for the job's end (api.md §1).
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Seconds after which looking again is worth it.
const RETRY_AFTER_SECONDS: u64 = 1;

/// Query of every change that can be planned.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DryRun {
    /// Answers with what the change would do, and does nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// `Prefer: wait=30` (RFC 7240 §4.3): hold the answer until the job has ended. Anything else is no preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreferWait(pub Option<Duration>);

impl<S: Send + Sync> FromRequestParts<S> for PreferWait {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let texts = parts.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        let mut preferences = texts.flat_map(|text| text.split(',')).map(str::trim);
        let seconds = preferences.find_map(|preference| preference.strip_prefix("wait=")?.trim().parse::<u64>().ok());
        Ok(Self(seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT))))
    }
}

/// How the caller of a change wants to be answered: by its plan, or by its job, perhaps when that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Answering {
    dry_run: bool,
    wait: PreferWait,
}

impl<S: Send + Sync> FromRequestParts<S> for Answering {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
        let ValidQuery(DryRun { dry_run }) = ValidQuery::from_request_parts(parts, state).await?;
        let Ok(wait) = PreferWait::from_request_parts(parts, state).await;
        Ok(Self { dry_run, wait })
    }
}

impl Answering {
    /// Runs one of the two.
    pub async fn by<P>(
        self,
        app: &App,
        scope: &ProjectScope,
        plan: impl AsyncFnOnce() -> Result<P, AppError>,
        change: impl AsyncFnOnce() -> Result<Answer<Job>, AppError>,
    ) -> Result<PlanOr<Accepted, P>, HttpError> {
        if self.dry_run {
            return Ok(PlanOr::plan(plan().await?));
        }
        Ok(PlanOr::Done(Accepted::after(app, scope, change().await?, self.wait).await))
    }
}

/// A job that was started, perhaps waited for.
#[derive(Debug)]
pub struct Accepted {
    job: Job,
    replayed: bool,
    waited: Option<Duration>,
}

impl Accepted {
    /// Waits for the job's end as far as the caller prefers.
    pub async fn after(app: &App, scope: &ProjectScope, answer: Answer<Job>, PreferWait(waited): PreferWait) -> Self {
        let replayed = answer.replayed;
        let job = match waited {
            // The job is accepted, whatever becomes of the waiting.
            Some(longest) => wait_for_end(app, scope, answer.value.id, longest).await.unwrap_or_else(|error| {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot wait for a job");
                answer.value
            }),
            None => answer.value,
        };
        Self { job, replayed, waited }
    }
}

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        let location = format!("/v1/projects/{}/jobs/{}", self.job.project_id, self.job.id);
        let ended = self.job.state.ended();
        let mut response = (StatusCode::ACCEPTED, Json(self.job)).into_response();
        let headers = response.headers_mut();
        if let Ok(location) = HeaderValue::from_str(&location) {
            headers.insert(header::LOCATION, location);
        }
        if !ended {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        if let Some(waited) = self.waited
            && let Ok(applied) = HeaderValue::from_str(&format!("wait={}", waited.as_secs()))
        {
            headers.insert("preference-applied", applied);
        }
        if self.replayed {
            headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
        }
        response
    }
}

/// The plan of a change, or the answer of the change.
#[derive(Debug)]
pub enum PlanOr<T, P = Plan> {
    Plan(Box<P>),
    Done(T),
}

impl<T, P> PlanOr<T, P> {
    pub fn plan(plan: P) -> Self {
        Self::Plan(Box::new(plan))
    }
}

impl<T: IntoResponse, P: Serialize> IntoResponse for PlanOr<T, P> {
    fn into_response(self) -> Response {
        match self {
            Self::Plan(plan) => Json(*plan).into_response(),
            Self::Done(answer) => answer.into_response(),
        }
    }
}
