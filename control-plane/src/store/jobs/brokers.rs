//! Each broker's part of a step that goes by brokers. Rows are there from the moment the job is queued, and follow their step
//! where it begins, fails as a whole, is undone or never comes. A runner of a version before brokers were told leaves them
//! behind their step: what is `pending` or `running` where its step is not says nothing, and is not shown.

use super::{Claim, Result, index, step_state_name};
use chrono::{DateTime, Utc};
use control_plane_api::{id::JobId, job::StepState};
use sqlx::PgConnection;

/// What became of a broker.
#[derive(Debug, Clone, Copy)]
pub struct BrokerPart<'a> {
    pub node_id: i32,
    pub state: StepState,
    pub detail: &'a str,
}

/// Records it. A repeat of what is known keeps its time; a broker that the job did not know of is added.
pub async fn broker(
    tx: &mut PgConnection,
    claim: &Claim,
    position: usize,
    part: BrokerPart<'_>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "insert into job_step_brokers as known (job_id, org_id, position, node_id, state, detail, changed_at)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (job_id, position, node_id) do update
         set state = $5, detail = $6, changed_at = case known.state when $5 then known.changed_at else $7 end",
    )
    .bind(claim.job.uuid())
    .bind(claim.org.uuid())
    .bind(index(position))
    .bind(part.node_id)
    .bind(step_state_name(part.state))
    .bind(part.detail)
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}

/// The step begins, or begins again: those that are not done are under way.
pub(super) async fn begin(tx: &mut PgConnection, job: JobId, position: usize, now: DateTime<Utc>) -> Result<()> {
    follow(
        tx,
        "update job_step_brokers set state = 'running', changed_at = $3
         where job_id = $1 and position = $2 and state in ('pending', 'failed')",
        (job, position),
        now,
    )
    .await
}

/// The step has failed for good: those that were under way were cut off.
pub(super) async fn cut_off(tx: &mut PgConnection, job: JobId, position: usize, now: DateTime<Utc>) -> Result<()> {
    follow(
        tx,
        "update job_step_brokers set state = 'failed', changed_at = $3
         where job_id = $1 and position = $2 and state = 'running'",
        (job, position),
        now,
    )
    .await
}

/// The step is undone, and is recorded so: nothing of it is left at any broker, nor what was said of it.
pub(super) async fn undo(tx: &mut PgConnection, job: JobId, position: usize, now: DateTime<Utc>) -> Result<()> {
    follow(
        tx,
        "update job_step_brokers part set state = case step.state when 'skipped' then 'skipped' else 'undone' end,
                detail = null, changed_at = $3
         from job_steps step
         where part.job_id = $1 and part.position = $2 and part.state in ('pending', 'running', 'succeeded')
           and step.job_id = part.job_id and step.position = part.position",
        (job, position),
        now,
    )
    .await
}

/// Lets the brokers of a step come after it.
async fn follow(
    tx: &mut PgConnection,
    statement: &'static str,
    (job, position): (JobId, usize),
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(statement).bind(job.uuid()).bind(index(position)).bind(now).execute(tx).await?;
    Ok(())
}

/// The job has ended, and steps that never began are skipped.
pub(super) async fn skip(tx: &mut PgConnection, job: JobId) -> Result<()> {
    sqlx::query(
        "update job_step_brokers part set state = 'skipped' from job_steps step
         where part.job_id = $1 and part.state = 'pending' and step.state = 'skipped'
           and step.job_id = part.job_id and step.position = part.position",
    )
    .bind(job.uuid())
    .execute(tx)
    .await?;
    Ok(())
}
