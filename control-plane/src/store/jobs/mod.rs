//! Jobs as rows: the queue, its leases, and the history that users read.
//!
//! Kept here: what was asked (`jobs`), how each step went (`job_steps`) and each broker in it (`job_step_brokers`), and one
//! line for every turn (`job_events`).
//! Time is the caller's clock, so that tests can move it; replicas whose clocks differ only wait longer or take over
//! earlier, since what keeps a stale runner out is the fence and not the time.
//!
//! `queue` hands jobs to runners, `steps` keeps what becomes of them. `event` and every function of `steps` must run in a transaction that has locked the job: the sequence of events and the
//! fence depend on it.

mod brokers;
mod queue;
mod steps;

pub use brokers::{BrokerPart, broker};
pub use queue::{ClaimLimits, claim, count_active, next_due, release, renew, step_seconds};
pub use steps::{
    Fault, Try, cause, end, finish_step, finish_undo, keep, progress, request_cancel, retry, set_result, start_step,
    start_undo, start_unwinding, stick,
};

use super::StoreError;
use chrono::{DateTime, Utc};
use control_plane_api::{
    id::{JobId, OrganisationId, ProjectId},
    job::{JobState, StepState},
};
use serde_json::Value;
use sqlx::{FromRow, PgConnection, PgExecutor};
use uuid::Uuid;

/// LISTEN channel of the queue; the payload is the id of the job that needs a look.
pub const CHANNEL: &str = "sluice_jobs";
/// LISTEN channel of who watches jobs; the payload is the id of the job that has a new event.
pub const EVENTS_CHANNEL: &str = "sluice_job_events";

type Result<T> = std::result::Result<T, StoreError>;

/// A job to be inserted, with its secrets already sealed.
#[derive(Debug)]
pub struct NewRow<'a> {
    pub id: JobId,
    pub org: OrganisationId,
    pub project: ProjectId,
    pub kind: &'a str,
    /// Loops leave the resource alone.
    pub exclusive: bool,
    pub params_version: i32,
    pub params: &'a Value,
    pub params_sealed: Option<&'a [u8]>,
    /// Type, key and name.
    pub resource: Option<(&'a str, Uuid, &'a str)>,
    pub actor: &'a str,
    pub request_id: &'a str,
    pub priority: i32,
    pub run_after: DateTime<Utc>,
    pub steps: &'a [NewStep<'a>],
}

#[derive(Debug, Clone, Copy)]
pub struct NewStep<'a> {
    pub name: &'a str,
    pub title: &'a str,
    /// Each broker of the instance that is the job's resource is shown.
    pub by_broker: bool,
}

/// What a runner holds of a job: whoever claims it later has a higher fence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub job: JobId,
    pub org: OrganisationId,
    pub owner: String,
    pub fence: i64,
}

/// A claimed job, as it was when it was claimed.
#[derive(Debug, Clone, FromRow)]
pub struct ClaimedRow {
    pub id: Uuid,
    pub org_id: Uuid,
    pub project_id: Uuid,
    pub kind: String,
    pub params_version: i32,
    pub params: Value,
    pub params_sealed: Option<Vec<u8>>,
    pub resource_id: Option<Uuid>,
    pub actor: String,
    pub request_id: String,
    pub state: String,
    pub step: i32,
    pub scratch: Value,
    pub attempts: i32,
    pub fence: i64,
    pub run_after: DateTime<Utc>,
}

impl ClaimedRow {
    pub fn state(&self) -> Option<JobState> {
        parse_state(&self.state)
    }
}

fn parse_state(text: &str) -> Option<JobState> {
    serde_json::from_value(Value::String(text.to_owned())).ok()
}

/// Inserts the job, its steps and its first event, and wakes the runners when the transaction commits.
pub async fn insert(tx: &mut PgConnection, job: &NewRow<'_>, now: DateTime<Utc>) -> Result<()> {
    let (resource_type, resource_id, resource_name) = match job.resource {
        Some((kind, id, name)) => (Some(kind), Some(id), Some(name)),
        None => (None, None, None),
    };
    sqlx::query(
        "insert into jobs (id, org_id, project_id, kind, params_version, params, params_sealed, resource_type, resource_id,
                           resource_name, actor, request_id, priority, state, run_after, created_at, exclusive)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'queued', $14, $15, $16)",
    )
    .bind(job.id.uuid())
    .bind(job.org.uuid())
    .bind(job.project.uuid())
    .bind(job.kind)
    .bind(job.params_version)
    .bind(job.params)
    .bind(job.params_sealed)
    .bind(resource_type)
    .bind(resource_id)
    .bind(resource_name)
    .bind(job.actor)
    .bind(job.request_id)
    .bind(job.priority)
    .bind(job.run_after)
    .bind(now)
    .bind(job.exclusive)
    .execute(&mut *tx)
    .await?;
    let (names, titles): (Vec<&str>, Vec<&str>) = job.steps.iter().map(|step| (step.name, step.title)).unzip();
    sqlx::query(
        "insert into job_steps (job_id, org_id, position, name, title)
         select $1, $2, (n - 1)::integer, name, title
         from unnest($3::text[], $4::text[]) with ordinality as step (name, title, n)",
    )
    .bind(job.id.uuid())
    .bind(job.org.uuid())
    .bind(names)
    .bind(titles)
    .execute(&mut *tx)
    .await?;
    let by_broker: Vec<i32> = job.steps.iter().zip(0..).filter(|(step, _)| step.by_broker).map(|(_, at)| at).collect();
    if !by_broker.is_empty() {
        sqlx::query(
            "insert into job_step_brokers (job_id, org_id, position, node_id)
             select $1, $2, position, b.node_id
             from brokers b, unnest($3::integer[]) as step (position) where b.org_id = $2 and b.instance_id = $4",
        )
        .bind(job.id.uuid())
        .bind(job.org.uuid())
        .bind(by_broker)
        .bind(resource_id)
        .execute(&mut *tx)
        .await?;
    }
    event(tx, job.id, job.org, Event { name: "queued", step: None, attempt: 0, detail: None }, now).await?;
    wake(tx, job.id).await
}

/// Tells every replica, at commit, that this job needs a look.
pub async fn wake(tx: impl PgExecutor<'_>, job: JobId) -> Result<()> {
    sqlx::query("select pg_notify($1, $2)").bind(CHANNEL).bind(job.to_string()).execute(tx).await?;
    Ok(())
}

/// Locks the job until the transaction ends, if the claim still holds, and tells its state.
///
/// A runner that was paused past its lease gets `None`, and so can write nothing.
pub async fn lock(tx: &mut PgConnection, claim: &Claim, now: DateTime<Utc>) -> Result<Option<JobState>> {
    let state: Option<String> = sqlx::query_scalar(
        "select state from jobs where id = $1 and fence = $2 and lease_owner = $3 and lease_until > $4 for no key update",
    )
    .bind(claim.job.uuid())
    .bind(claim.fence)
    .bind(&claim.owner)
    .bind(now)
    .fetch_optional(tx)
    .await?;
    Ok(state.as_deref().and_then(parse_state))
}

/// One line of a job's history.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    pub name: &'static str,
    pub step: Option<&'a str>,
    pub attempt: i32,
    pub detail: Option<&'a str>,
}

/// Appends to the history, and tells at commit. The caller has the job locked.
pub async fn event(
    tx: &mut PgConnection,
    job: JobId,
    org: OrganisationId,
    event: Event<'_>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "with added as (
             insert into job_events (job_id, org_id, seq, event, step, attempt, detail, created_at)
             select $1, $2, coalesce(max(seq), 0) + 1, $3, $4, $5, $6, $7 from job_events where job_id = $1
             returning job_id
         )
         select pg_notify($8, $9) from added",
    )
    .bind(job.uuid())
    .bind(org.uuid())
    .bind(event.name)
    .bind(event.step)
    .bind(event.attempt)
    .bind(event.detail)
    .bind(now)
    .bind(EVENTS_CHANNEL)
    .bind(job.to_string())
    .execute(tx)
    .await?;
    Ok(())
}

fn index(position: usize) -> i32 {
    i32::try_from(position).unwrap_or(i32::MAX)
}

fn step_state_name(state: StepState) -> &'static str {
    match state {
        StepState::Pending => "pending",
        StepState::Running => "running",
        StepState::Succeeded => "succeeded",
        StepState::Failed => "failed",
        StepState::Undone => "undone",
        StepState::Skipped => "skipped",
    }
}

fn state_name(state: JobState) -> &'static str {
    match state {
        JobState::Queued => "queued",
        JobState::Running => "running",
        JobState::Cancelling => "cancelling",
        JobState::Unwinding => "unwinding",
        JobState::Succeeded => "succeeded",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
        JobState::Stuck => "stuck",
    }
}
