//! Background jobs: every long operation is one (product.md §7).

use crate::id::{JobId, ProjectId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// ```text
/// queued ──► running ──► succeeded
///   │           │ └────► stuck ──► (an operator looks; retry) ──► running
///   │           ▼
///   │        unwinding ─► failed      each finished step is undone
///   │           ▲
///   └──────► cancelling ─► cancelled
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    Queued,
    Running,
    Cancelling,
    Unwinding,
    Succeeded,
    Failed,
    Cancelled,
    Stuck,
}

impl JobState {
    pub fn ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Job {
    pub id: JobId,
    pub project_id: ProjectId,
    /// `instance-create`, `instance-delete`.
    pub kind: String,
    pub title: String,
    pub resource: Option<ResourceRef>,
    pub state: JobState,
    /// 0 to 100.
    pub progress_percent: u32,
    /// Seconds left, by how long the steps took before; null when unknown or ended.
    pub eta_seconds: Option<u64>,
    pub steps: Vec<JobStep>,
    /// What it was asked for, without secrets.
    pub params: serde_json::Value,
    /// What came of it, without secrets.
    pub result: Option<serde_json::Value>,
    /// Its result has secrets that were not shown yet: `POST …/jobs/{id}/reveal` shows them once, to who started it.
    #[serde(default)]
    pub secrets_waiting: bool,
    /// Why it failed or is stuck.
    pub problem: Option<JobProblem>,
    /// Who started it.
    pub actor: String,
    pub cancellable: bool,
    pub retryable: bool,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    pub etag: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ResourceRef {
    /// `instance`.
    #[serde(rename = "type")]
    pub kind: String,
    pub id: String,
    pub name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    Pending,
    Running,
    Succeeded,
    Failed,
    Undone,
    Skipped,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobStep {
    pub name: String,
    pub title: String,
    pub state: StepState,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    /// What it waits for or did, in a sentence.
    pub detail: Option<String>,
    /// Times that it was begun.
    pub attempts: u32,
    /// Of a step that goes by brokers: how far each broker is, by id. Empty for other steps, and where nobody knows.
    #[serde(default)]
    pub brokers: Vec<StepBroker>,
}

/// One broker's part of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepBroker {
    pub broker_id: i32,
    pub state: StepState,
    /// What was done, why it could not be, or what it is tried again for, in a sentence that names the broker; null
    /// before, and once it is undone.
    pub detail: Option<String>,
    /// Since when it is in this state; null before it was begun.
    pub changed_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobProblem {
    /// A problem code, see `GET /v1/errors`.
    pub code: String,
    pub detail: String,
    /// The step that failed.
    pub step: Option<String>,
}

/// One line of a job's history; also the data of its server-sent events.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobEvent {
    /// Rises within the job; `Last-Event-ID` resumes after it.
    pub seq: u64,
    pub job_id: JobId,
    /// `queued`, `claimed`, `step-started`, `step-succeeded`, `step-failed`, `undo-started`,
    /// `undo-succeeded`, `progress`, `ended`.
    pub event: String,
    pub step: Option<String>,
    pub attempt: u32,
    pub detail: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// Filters of the job list.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct JobFilter {
    /// States, separated by commas.
    pub state: Option<String>,
    pub kind: Option<String>,
    /// Id or name of an instance.
    pub instance: Option<String>,
    pub actor: Option<String>,
    /// Created at or after.
    pub from: Option<DateTime<Utc>>,
    /// Created before.
    pub to: Option<DateTime<Utc>>,
}

/// Secrets of a job's result, shown this once: members by name, such as `password`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct RevealedResult {
    #[schema(value_type = Object)]
    pub secrets: serde_json::Map<String, serde_json::Value>,
}

impl std::fmt::Debug for RevealedResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RevealedResult").field("members", &self.secrets.keys().collect::<Vec<_>>()).finish()
    }
}
