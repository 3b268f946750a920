//! The queue: who may work on which job, and until when.

use super::{Claim, ClaimedRow, Result, parse_state, wake};
use chrono::{DateTime, Utc};
use control_plane_api::job::JobState;
use sqlx::{PgConnection, PgExecutor};
use std::time::Duration;

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
