//! What becomes of a job that is claimed and locked: its steps, their undo, its end.

use super::{Event, Result, brokers, event, index, state_name, wake};
use chrono::{DateTime, Utc};
use control_plane_api::{
    id::{JobId, OrganisationId},
    job::JobState,
};
use serde_json::Value;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

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
    brokers::begin(tx, job, position, now).await?;
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
    brokers::cut_off(tx, job, position, now).await?;
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
    brokers::undo(tx, job, position, now).await?;
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
        .execute(&mut *tx)
        .await?;
    brokers::skip(tx, job).await
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

/// Code and text that users were told of why the job fails.
pub async fn cause(tx: &mut PgConnection, job: JobId) -> Result<(Option<String>, Option<String>)> {
    Ok(sqlx::query_as("select problem_code, problem_detail from jobs where id = $1")
        .bind(job.uuid())
        .fetch_one(tx)
        .await?)
}
