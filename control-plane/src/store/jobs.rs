//! Jobs as rows: the queue, its leases, and the history that users read.
//!
//! Kept here: what was asked (`jobs`), how each step went (`job_steps`), and one line for every turn (`job_events`).
//! Time is the caller's clock, so that tests can move it; replicas whose clocks differ only wait longer or take over
//! earlier, since what keeps a stale runner out is the fence and not the time.
//!
//! Every function after [`lock`] must run in a transaction that has locked the job: the sequence of events and the
//! fence depend on it.

use super::StoreError;
use chrono::{DateTime, Utc};
use control_plane_api::{
    id::{JobId, OrganisationId, ProjectId},
    job::JobState,
};
use serde_json::Value;
use sqlx::{FromRow, PgConnection, PgExecutor};
use std::time::Duration;
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
    pub params_version: i32,
    pub params: &'a Value,
    pub params_sealed: Option<&'a [u8]>,
    /// Type, key and name.
    pub resource: Option<(&'a str, Uuid, &'a str)>,
    pub actor: &'a str,
    pub request_id: &'a str,
    pub priority: i32,
    pub run_after: DateTime<Utc>,
    /// Name and title of each step.
    pub steps: &'a [(&'a str, &'a str)],
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
                           resource_name, actor, request_id, priority, state, run_after, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'queued', $14, $15)",
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
    .execute(&mut *tx)
    .await?;
    let (names, titles): (Vec<&str>, Vec<&str>) = job.steps.iter().copied().unzip();
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
    event(tx, job.id, job.org, Event { name: "queued", step: None, attempt: 0, detail: None }, now).await?;
    wake(tx, job.id).await
}

/// Tells every replica, at commit, that this job needs a look.
pub async fn wake(tx: impl PgExecutor<'_>, job: JobId) -> Result<()> {
    sqlx::query("select pg_notify($1, $2)").bind(CHANNEL).bind(job.to_string()).execute(tx).await?;
    Ok(())
}

/// Limits of one claim.
#[derive(Debug, Clone, Copy)]
pub struct ClaimLimits {
    pub jobs: i64,
    /// Jobs that one tenant may have under way, over all replicas.
    pub per_tenant: i64,
    pub lease: Duration,
}

/// Claims ready jobs, the highest priority and longest wait first, but of no tenant more than its share.
///
/// A row that another replica is claiming is skipped; the conditions are checked again under the row's lock. A job that
/// was ready for more than a minute had nobody to run it, which is not charged to its step's patience.
pub async fn claim(
    pool: impl PgExecutor<'_>,
    owner: &str,
    limits: ClaimLimits,
    now: DateTime<Utc>,
) -> Result<Vec<ClaimedRow>> {
    Ok(sqlx::query_as(
        "with busy as (
             select org_id, count(*) as jobs from jobs where lease_owner is not null and lease_until > $2 group by org_id
         ), ready as (
             select j.id, j.org_id, j.priority, j.run_after, coalesce(busy.jobs, 0) as busy
             from jobs j left join busy using (org_id)
             where j.state in ('queued', 'running', 'cancelling', 'unwinding') and j.run_after <= $2
                   and (j.lease_until is null or j.lease_until <= $2) and coalesce(busy.jobs, 0) < $4
             order by j.priority desc, j.run_after, j.id limit 256
         ), ranked as (
             select id, priority, run_after,
                    busy + row_number() over (partition by org_id order by priority desc, run_after, id) as place
             from ready
         ), picked as (
             select j.id from jobs j
             where j.id = any (array(select id from ranked where place <= $4 order by priority desc, run_after, id limit $3))
                   and j.state in ('queued', 'running', 'cancelling', 'unwinding') and j.run_after <= $2
                   and (j.lease_until is null or j.lease_until <= $2)
             for update skip locked
         )
         update jobs set state = case state when 'queued' then 'running' else state end,
                lease_owner = $1, lease_until = $5, fence = fence + 1, revision = revision + 1,
                started_at = coalesce(started_at, $2),
                step_since = step_since + greatest($2 - greatest(run_after, lease_until) - interval '1 minute', interval '0')
         from picked where jobs.id = picked.id
         returning jobs.id, org_id, project_id, kind, params_version, params, params_sealed, resource_id, actor,
                   request_id, state, step, scratch, attempts, fence, run_after",
    )
    .bind(owner)
    .bind(now)
    .bind(limits.jobs)
    .bind(limits.per_tenant)
    .bind(now + limits.lease)
    .fetch_all(pool)
    .await?)
}

/// When the next job that nobody runs becomes ready, or the next lease ends.
pub async fn next_due(pool: impl PgExecutor<'_>) -> Result<Option<DateTime<Utc>>> {
    Ok(sqlx::query_scalar(
        "select min(greatest(run_after, lease_until)) from jobs
         where state in ('queued', 'running', 'cancelling', 'unwinding')",
    )
    .fetch_one(pool)
    .await?)
}

/// Prolongs the lease and tells the job's state; `None` when the claim is no longer ours.
pub async fn renew(
    pool: impl PgExecutor<'_>,
    claim: &Claim,
    lease: Duration,
    now: DateTime<Utc>,
) -> Result<Option<JobState>> {
    let state: Option<String> = sqlx::query_scalar(
        "update jobs set lease_until = $4 where id = $1 and fence = $2 and lease_owner = $3 and lease_until > $5
         returning state",
    )
    .bind(claim.job.uuid())
    .bind(claim.fence)
    .bind(&claim.owner)
    .bind(now + lease)
    .bind(now)
    .fetch_optional(pool)
    .await?;
    Ok(state.as_deref().and_then(parse_state))
}

/// Gives the lease back until `run_after`; nothing happens when it is no longer ours.
pub async fn release(tx: &mut PgConnection, claim: &Claim, run_after: DateTime<Utc>) -> Result<()> {
    let released = sqlx::query(
        "update jobs set lease_owner = null, lease_until = null, run_after = $4, crashes = 0
         where id = $1 and fence = $2 and lease_owner = $3",
    )
    .bind(claim.job.uuid())
    .bind(claim.fence)
    .bind(&claim.owner)
    .bind(run_after)
    .execute(&mut *tx)
    .await?;
    if released.rows_affected() == 1 {
        wake(tx, claim.job).await?;
    }
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

/// A try of the present step.
#[derive(Debug, Clone, Copy, FromRow)]
pub struct Try {
    /// Which it is, from 1; a retry by a person begins anew.
    pub attempts: i32,
    /// Times in a row that it was begun without coming to an end, this one included.
    pub crashes: i32,
    /// Since when the step is tried.
    pub step_since: DateTime<Utc>,
}

/// Begins (again) the present step, which is at `position`.
pub async fn start_step(tx: &mut PgConnection, job: JobId, position: usize, now: DateTime<Utc>) -> Result<Try> {
    sqlx::query(
        "update job_steps set state = 'running', attempts = attempts + 1, started_at = coalesce(started_at, $3)
         where job_id = $1 and position = $2",
    )
    .bind(job.uuid())
    .bind(index(position))
    .bind(now)
    .execute(&mut *tx)
    .await?;
    Ok(sqlx::query_as(
        "update jobs set attempts = attempts + 1, crashes = crashes + 1, step_since = coalesce(step_since, $2),
                revision = revision + 1
         where id = $1 returning attempts, crashes, step_since",
    )
    .bind(job.uuid())
    .bind(now)
    .fetch_one(tx)
    .await?)
}

/// Marks the step as done; the one after it is next. What the step waited for is past.
pub async fn finish_step(
    tx: &mut PgConnection,
    job: JobId,
    position: usize,
    percent: i32,
    expected_end: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "update job_steps set state = 'succeeded', ended_at = $3, detail = null where job_id = $1 and position = $2",
    )
    .bind(job.uuid())
    .bind(index(position))
    .bind(now)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "update jobs set progress_percent = greatest(progress_percent, $2), expected_end_at = $3, attempts = 0,
                crashes = 0, step_since = null, step = $4, revision = revision + 1 where id = $1",
    )
    .bind(job.uuid())
    .bind(percent)
    .bind(expected_end)
    .bind(index(position + 1))
    .execute(tx)
    .await?;
    Ok(())
}

/// What the step that runs says of itself.
pub async fn progress(tx: &mut PgConnection, job: JobId, position: usize, detail: &str, percent: i32) -> Result<()> {
    sqlx::query("update job_steps set detail = $3 where job_id = $1 and position = $2")
        .bind(job.uuid())
        .bind(index(position))
        .bind(detail)
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "update jobs set progress_percent = greatest(progress_percent, $2), revision = revision + 1 where id = $1",
    )
    .bind(job.uuid())
    .bind(percent)
    .execute(tx)
    .await?;
    Ok(())
}

/// Keeps a value for later steps, and for a repeat of this one.
pub async fn keep(tx: &mut PgConnection, job: JobId, key: &str, value: &Value) -> Result<()> {
    sqlx::query("update jobs set scratch = scratch || jsonb_build_object($2::text, $3::jsonb) where id = $1")
        .bind(job.uuid())
        .bind(key)
        .bind(value)
        .execute(tx)
        .await?;
    Ok(())
}

/// Leaves the result; the sealed part is what must be shown only once.
pub async fn set_result(tx: &mut PgConnection, job: JobId, result: &Value, sealed: Option<&[u8]>) -> Result<()> {
    sqlx::query("update jobs set result = $2, result_sealed = $3 where id = $1")
        .bind(job.uuid())
        .bind(result)
        .bind(sealed)
        .execute(tx)
        .await?;
    Ok(())
}

/// Why a job ends badly: for its users, and for operators.
#[derive(Debug, Clone, Copy)]
pub struct Fault<'a> {
    pub code: &'a str,
    pub detail: &'a str,
    pub step: Option<&'a str>,
    pub internal: &'a str,
}

/// The step has failed for good: what was done is undone from here backwards.
pub async fn start_unwinding(
    tx: &mut PgConnection,
    job: JobId,
    position: usize,
    fault: Fault<'_>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "update job_steps set state = 'failed', ended_at = $3, detail = $4 where job_id = $1 and position = $2",
    )
    .bind(job.uuid())
    .bind(index(position))
    .bind(now)
    .bind(fault.detail)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "update jobs set state = 'unwinding', step = $2, attempts = 0, crashes = 0, problem_code = $3, problem_detail = $4,
                problem_step = $5, internal_detail = $6, expected_end_at = null, revision = revision + 1 where id = $1",
    )
    .bind(job.uuid())
    .bind(index(position))
    .bind(fault.code)
    .bind(fault.detail)
    .bind(fault.step)
    .bind(fault.internal)
    .execute(tx)
    .await?;
    Ok(())
}

/// Begins (again) the undo of the present step.
pub async fn start_undo(tx: &mut PgConnection, job: JobId, now: DateTime<Utc>) -> Result<Try> {
    Ok(sqlx::query_as(
        "update jobs set attempts = attempts + 1, crashes = crashes + 1, step_since = coalesce(step_since, $2),
                revision = revision + 1
         where id = $1 returning attempts, crashes, step_since",
    )
    .bind(job.uuid())
    .bind(now)
    .fetch_one(tx)
    .await?)
}

/// The step at `position` is undone; the one before it is next.
pub async fn finish_undo(tx: &mut PgConnection, job: JobId, position: usize, now: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "update job_steps set ended_at = $3,
                state = case state when 'pending' then 'skipped' when 'failed' then 'failed' else 'undone' end
         where job_id = $1 and position = $2",
    )
    .bind(job.uuid())
    .bind(index(position))
    .bind(now)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "update jobs set step = greatest($2 - 1, 0), attempts = 0, crashes = 0, revision = revision + 1 where id = $1",
    )
    .bind(job.uuid())
    .bind(index(position))
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends the job and wipes its secret parameters. Steps that never began are skipped.
pub async fn end(tx: &mut PgConnection, job: JobId, state: JobState, now: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "update jobs set state = $2, ended_at = $3, params_sealed = null, lease_owner = null, lease_until = null,
                expected_end_at = null, revision = revision + 1,
                progress_percent = case when $2 = 'succeeded' then 100 else progress_percent end,
                problem_code = case $2 when 'failed' then problem_code when 'cancelled' then 'job-cancelled' end,
                problem_detail = case $2 when 'failed' then problem_detail
                                         when 'cancelled' then 'the job was cancelled and undone' end,
                problem_step = case $2 when 'failed' then problem_step end
         where id = $1",
    )
    .bind(job.uuid())
    .bind(state_name(state))
    .bind(now)
    .execute(&mut *tx)
    .await?;
    sqlx::query("update job_steps set state = 'skipped' where job_id = $1 and state = 'pending'")
        .bind(job.uuid())
        .execute(tx)
        .await?;
    Ok(())
}

/// Nothing more can be done without a person: the job keeps its place and its resource.
pub async fn stick(tx: &mut PgConnection, job: JobId, fault: Fault<'_>) -> Result<()> {
    sqlx::query(
        "update jobs set stuck_from = state, state = 'stuck', lease_owner = null, lease_until = null,
                problem_code = coalesce(problem_code, $2), problem_detail = coalesce(problem_detail, $3),
                problem_step = coalesce(problem_step, $4), internal_detail = $5, expected_end_at = null,
                revision = revision + 1
         where id = $1 and state in ('running', 'cancelling', 'unwinding')",
    )
    .bind(job.uuid())
    .bind(fault.code)
    .bind(fault.detail)
    .bind(fault.step)
    .bind(fault.internal)
    .execute(tx)
    .await?;
    Ok(())
}

/// Asks a job that has not ended to stop and undo what it did. False when it has ended, or is undone already.
///
/// Runs as the tenant too. Whether its kind can be cancelled is the caller's to check.
pub async fn request_cancel(tx: &mut PgConnection, job: JobId, now: DateTime<Utc>) -> Result<bool> {
    let org: Option<Uuid> = sqlx::query_scalar(
        "update jobs set cancel_requested = true, state = 'cancelling', attempts = 0, crashes = 0, step_since = null,
                run_after = $2, revision = revision + 1
         where id = $1 and state in ('queued', 'running') returning org_id",
    )
    .bind(job.uuid())
    .bind(now)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(org) = org else { return Ok(false) };
    let cancelling = Event { name: "cancelling", step: None, attempt: 0, detail: None };
    event(tx, job, OrganisationId::from_uuid(org), cancelling, now).await?;
    wake(tx, job).await?;
    Ok(true)
}

/// Lets a stuck job go on where it stopped, with as much patience as at first. False when it is not stuck.
pub async fn retry(tx: &mut PgConnection, job: JobId, now: DateTime<Utc>) -> Result<bool> {
    let org: Option<Uuid> = sqlx::query_scalar(
        "update jobs set state = stuck_from, stuck_from = null, attempts = 0, crashes = 0, step_since = null, run_after = $2,
                revision = revision + 1
         where id = $1 and state = 'stuck' returning org_id",
    )
    .bind(job.uuid())
    .bind(now)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(org) = org else { return Ok(false) };
    let retried = Event { name: "retried", step: None, attempt: 0, detail: None };
    event(tx, job, OrganisationId::from_uuid(org), retried, now).await?;
    wake(tx, job).await?;
    Ok(true)
}

/// Mean seconds of each step over the last twenty jobs of the kind that succeeded, by position.
pub async fn step_seconds(pool: impl PgExecutor<'_>, kind: &str, version: i32) -> Result<Vec<(i32, f64)>> {
    Ok(sqlx::query_as(
        "select position, avg(extract(epoch from s.ended_at - s.started_at))::double precision
         from job_steps s
         join (select id from jobs where kind = $1 and params_version = $2 and state = 'succeeded'
               order by ended_at desc limit 20) recent on recent.id = s.job_id
         where s.state = 'succeeded' group by position order by position",
    )
    .bind(kind)
    .bind(version)
    .fetch_all(pool)
    .await?)
}

/// Jobs by kind and state, without those that ended well or badly long ago.
pub async fn count_active(pool: impl PgExecutor<'_>) -> Result<Vec<(String, String, i64)>> {
    Ok(sqlx::query_as(
        "select kind, state, count(*) from jobs where state not in ('succeeded', 'failed', 'cancelled') group by kind, state",
    )
    .fetch_all(pool)
    .await?)
}

/// Code and text that users were told of why the job fails.
pub async fn cause(tx: &mut PgConnection, job: JobId) -> Result<(Option<String>, Option<String>)> {
    Ok(sqlx::query_as("select problem_code, problem_detail from jobs where id = $1")
        .bind(job.uuid())
        .fetch_one(tx)
        .await?)
}

fn index(position: usize) -> i32 {
    i32::try_from(position).unwrap_or(i32::MAX)
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
