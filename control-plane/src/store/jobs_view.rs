//! Jobs as their tenants see them. The queue itself is `store::jobs`.

use crate::store::{StoreError, TenantTx};
use chrono::{DateTime, Utc};
use control_plane_api::{
    id::{InstanceId, JobId, ProjectId},
    job::{JobEvent, JobState, JobStep, StepBroker, StepState},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use sqlx::FromRow;
use std::collections::HashMap;
use uuid::Uuid;

#[derive(Debug, Clone)]
pub struct JobRecord {
    pub id: JobId,
    pub project: ProjectId,
    pub kind: String,
    pub params: Value,
    /// Type, key and name.
    pub resource: Option<(String, Uuid, String)>,
    pub state: JobState,
    pub progress_percent: u32,
    pub expected_end_at: Option<DateTime<Utc>>,
    pub result: Option<Value>,
    pub secrets_waiting: bool,
    /// Code, detail and step.
    pub problem: Option<(String, String, Option<String>)>,
    pub actor: String,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    pub revision: i64,
}

#[derive(FromRow)]
struct JobRow {
    id: Uuid,
    project_id: Uuid,
    kind: String,
    params: Value,
    resource_type: Option<String>,
    resource_id: Option<Uuid>,
    resource_name: Option<String>,
    state: String,
    progress_percent: i32,
    expected_end_at: Option<DateTime<Utc>>,
    result: Option<Value>,
    secrets_waiting: bool,
    problem_code: Option<String>,
    problem_detail: Option<String>,
    problem_step: Option<String>,
    actor: String,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    revision: i64,
}

/// A value of a column that is written as in the API.
fn parse<T: DeserializeOwned>(table: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_value(Value::from(text))
        .map_err(|_| StoreError::Corrupt { table, reason: format!("state {text:?} is unknown") })
}

impl TryFrom<JobRow> for JobRecord {
    type Error = StoreError;

    fn try_from(row: JobRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: JobId::from_uuid(row.id),
            project: ProjectId::from_uuid(row.project_id),
            kind: row.kind,
            params: row.params,
            resource: match (row.resource_type, row.resource_id, row.resource_name) {
                (Some(kind), Some(id), name) => Some((kind, id, name.unwrap_or_default())),
                _ => None,
            },
            state: parse("jobs", &row.state)?,
            progress_percent: row.progress_percent.unsigned_abs(),
            expected_end_at: row.expected_end_at,
            result: row.result,
            secrets_waiting: row.secrets_waiting,
            problem: row.problem_code.map(|code| (code, row.problem_detail.unwrap_or_default(), row.problem_step)),
            actor: row.actor,
            created_at: row.created_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            revision: row.revision,
        })
    }
}

/// What the list is narrowed to; everything where empty.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub states: Vec<String>,
    pub kind: Option<String>,
    /// Id of an instance, or the name it had.
    pub instance: Option<(Option<InstanceId>, String)>,
    pub actor: Option<String>,
    pub from: Option<DateTime<Utc>>,
    pub to: Option<DateTime<Utc>>,
}

/// Place in the list, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub created_at: DateTime<Utc>,
    pub id: JobId,
}

pub async fn find(tx: &mut TenantTx, id: JobId) -> Result<Option<JobRecord>, StoreError> {
    let (org, project) = (tx.org(), tx.project());
    let row: Option<JobRow> = sqlx::query_as(
        "select id, project_id, kind, params, resource_type, resource_id, resource_name, state, progress_percent,
                expected_end_at, result, result_sealed is not null as secrets_waiting, problem_code, problem_detail, problem_step, actor, created_at, started_at,
                ended_at, revision
         from jobs where org_id = $1 and project_id = $2 and id = $3",
    )
    .bind(org)
    .bind(project)
    .bind(id.uuid())
    .fetch_optional(&mut **tx)
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// Locks the job until the transaction ends, and shows it.
pub async fn lock(tx: &mut TenantTx, id: JobId) -> Result<Option<JobRecord>, StoreError> {
    let (org, project) = (tx.org(), tx.project());
    sqlx::query("select 1 from jobs where org_id = $1 and project_id = $2 and id = $3 for no key update")
        .bind(org)
        .bind(project)
        .bind(id.uuid())
        .execute(&mut **tx)
        .await?;
    find(tx, id).await
}

pub async fn list(
    tx: &mut TenantTx,
    filter: &Filter,
    after: Option<&Place>,
    limit: i64,
) -> Result<Vec<JobRecord>, StoreError> {
    let (org, project) = (tx.org(), tx.project());
    let rows: Vec<JobRow> = sqlx::query_as(
        "select id, project_id, kind, params, resource_type, resource_id, resource_name, state, progress_percent,
                expected_end_at, result, result_sealed is not null as secrets_waiting, problem_code, problem_detail, problem_step, actor, created_at, started_at,
                ended_at, revision
         from jobs
         where org_id = $1 and project_id = $2
           and (cardinality($3::text[]) = 0 or state = any ($3))
           and ($4::text is null or kind = $4)
           and ($5::text is null or resource_id = $6 or resource_name = $5)
           and ($7::text is null or actor = $7)
           and ($8::timestamptz is null or created_at >= $8)
           and ($9::timestamptz is null or created_at < $9)
           and ($10::timestamptz is null or (created_at, id) < ($10, $11))
         order by created_at desc, id desc limit $12",
    )
    .bind(org)
    .bind(project)
    .bind(&filter.states)
    .bind(&filter.kind)
    .bind(filter.instance.as_ref().map(|(_, name)| name))
    .bind(filter.instance.as_ref().and_then(|(id, _)| *id).map(InstanceId::uuid))
    .bind(&filter.actor)
    .bind(filter.from)
    .bind(filter.to)
    .bind(after.map(|place| place.created_at))
    .bind(after.map(|place| place.id.uuid()))
    .bind(limit)
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

pub async fn count(tx: &mut TenantTx, filter: &Filter) -> Result<u64, StoreError> {
    let (org, project) = (tx.org(), tx.project());
    let rows: i64 = sqlx::query_scalar(
        "select count(*) from jobs
         where org_id = $1 and project_id = $2
           and (cardinality($3::text[]) = 0 or state = any ($3))
           and ($4::text is null or kind = $4)
           and ($5::text is null or resource_id = $6 or resource_name = $5)
           and ($7::text is null or actor = $7)
           and ($8::timestamptz is null or created_at >= $8)
           and ($9::timestamptz is null or created_at < $9)",
    )
    .bind(org)
    .bind(project)
    .bind(&filter.states)
    .bind(&filter.kind)
    .bind(filter.instance.as_ref().map(|(_, name)| name))
    .bind(filter.instance.as_ref().and_then(|(id, _)| *id).map(InstanceId::uuid))
    .bind(&filter.actor)
    .bind(filter.from)
    .bind(filter.to)
    .fetch_one(&mut **tx)
    .await?;
    Ok(rows.unsigned_abs())
}

#[derive(FromRow)]
struct StepRow {
    job_id: Uuid,
    name: String,
    title: String,
    state: String,
    detail: Option<String>,
    attempts: i32,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
}

/// Steps of each of these jobs, in order.
pub async fn steps(tx: &mut TenantTx, jobs: &[JobId]) -> Result<HashMap<JobId, Vec<JobStep>>, StoreError> {
    let org = tx.org();
    let ids: Vec<Uuid> = jobs.iter().map(|id| id.uuid()).collect();
    let rows: Vec<StepRow> = sqlx::query_as(
        "select job_id, name, title, state, detail, attempts, started_at, ended_at from job_steps
         where org_id = $1 and job_id = any ($2) order by job_id, position",
    )
    .bind(org)
    .bind(ids)
    .fetch_all(&mut **tx)
    .await?;
    let mut steps: HashMap<JobId, Vec<JobStep>> = HashMap::new();
    for row in rows {
        let state: StepState = parse("job_steps", &row.state)?;
        steps.entry(JobId::from_uuid(row.job_id)).or_default().push(JobStep {
            name: row.name,
            title: row.title,
            state,
            started_at: row.started_at,
            ended_at: row.ended_at,
            detail: row.detail,
            attempts: row.attempts.unsigned_abs(),
            brokers: Vec::new(),
        });
    }
    for row in brokers(tx, jobs).await? {
        let part = StepBroker {
            broker_id: row.node_id,
            state: parse("job_step_brokers", &row.state)?,
            detail: row.detail,
            changed_at: row.changed_at,
        };
        let steps = steps.get_mut(&JobId::from_uuid(row.job_id));
        if let Some(step) = usize::try_from(row.position).ok().zip(steps).and_then(|(at, steps)| steps.get_mut(at)) {
            step.brokers.push(part);
        }
    }
    Ok(steps)
}

#[derive(FromRow)]
struct StepBrokerRow {
    job_id: Uuid,
    position: i32,
    node_id: i32,
    state: String,
    detail: Option<String>,
    changed_at: Option<DateTime<Utc>>,
}

/// Without those that a runner of an earlier version left behind their step (`store::jobs`): nothing is known of them.
async fn brokers(tx: &mut TenantTx, jobs: &[JobId]) -> Result<Vec<StepBrokerRow>, StoreError> {
    let org = tx.org();
    let ids: Vec<Uuid> = jobs.iter().map(|id| id.uuid()).collect();
    Ok(sqlx::query_as(
        "select job_id, position, node_id, part.state, part.detail, changed_at
         from job_step_brokers part join job_steps step using (job_id, position)
         where part.org_id = $1 and job_id = any ($2) and (part.state = step.state or part.state not in ('pending', 'running'))
           and (step.state, part.state) not in (('undone', 'succeeded'), ('succeeded', 'failed'))
         order by job_id, position, node_id",
    )
    .bind(org)
    .bind(ids)
    .fetch_all(&mut **tx)
    .await?)
}

/// Takes the sealed result away; the caller shows it, and nobody can again.
pub async fn take_sealed_result(tx: &mut TenantTx, id: JobId) -> Result<Option<Vec<u8>>, StoreError> {
    let (org, project) = (tx.org(), tx.project());
    let sealed: Option<Option<Vec<u8>>> = sqlx::query_scalar(
        "select result_sealed from jobs where org_id = $1 and project_id = $2 and id = $3 for no key update",
    )
    .bind(org)
    .bind(project)
    .bind(id.uuid())
    .fetch_optional(&mut **tx)
    .await?;
    let Some(Some(sealed)) = sealed else { return Ok(None) };
    sqlx::query("update jobs set result_sealed = null, revision = revision + 1 where org_id = $1 and id = $2")
        .bind(org)
        .bind(id.uuid())
        .execute(&mut **tx)
        .await?;
    Ok(Some(sealed))
}

/// Removes the record with its steps and events. The caller knows that the job has ended.
pub async fn delete(tx: &mut TenantTx, id: JobId) -> Result<(), StoreError> {
    let (org, project) = (tx.org(), tx.project());
    sqlx::query("delete from jobs where org_id = $1 and project_id = $2 and id = $3")
        .bind(org)
        .bind(project)
        .bind(id.uuid())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Place in the feed of a project: transaction and row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeedPlace {
    pub transaction: u64,
    pub row: u64,
}

#[derive(FromRow)]
struct EventRow {
    job_id: Uuid,
    seq: i64,
    event: String,
    step: Option<String>,
    attempt: i32,
    detail: Option<String>,
    created_at: DateTime<Utc>,
    #[sqlx(default)]
    transaction: String,
    #[sqlx(default)]
    row: i64,
}

impl From<EventRow> for JobEvent {
    fn from(row: EventRow) -> Self {
        Self {
            seq: row.seq.unsigned_abs(),
            job_id: JobId::from_uuid(row.job_id),
            event: row.event,
            step: row.step,
            attempt: row.attempt.unsigned_abs(),
            detail: row.detail,
            created_at: row.created_at,
        }
    }
}

/// History of one job after `seq`, oldest first. A job's writers take turns, so that what is seen is never followed by
/// something earlier.
pub async fn events_of_job(
    tx: &mut TenantTx,
    job: JobId,
    after_seq: u64,
    limit: i64,
) -> Result<Vec<JobEvent>, StoreError> {
    let org = tx.org();
    let rows: Vec<EventRow> = sqlx::query_as(
        "select job_id, seq, event, step, attempt, detail, created_at from job_events
         where org_id = $1 and job_id = $2 and seq > $3 order by seq limit $4",
    )
    .bind(org)
    .bind(job.uuid())
    .bind(i64::try_from(after_seq).unwrap_or(i64::MAX))
    .bind(limit)
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Events of all jobs of the project after `after`, in an order that nothing is inserted into later: events of
/// transactions that began before the oldest one still open are shown only when that has ended.
pub async fn events_of_project(
    tx: &mut TenantTx,
    after: FeedPlace,
    limit: i64,
) -> Result<Vec<(FeedPlace, JobEvent)>, StoreError> {
    let (org, project) = (tx.org(), tx.project());
    let rows: Vec<EventRow> = sqlx::query_as(
        "select e.job_id, seq, event, e.step, attempt, detail, e.created_at, e.xid::text as transaction, e.id as row
         from job_events e join jobs j on j.id = e.job_id
         where e.org_id = $1 and j.project_id = $2 and (e.xid, e.id) > ($3::text::xid8, $4)
           and e.xid < pg_snapshot_xmin(pg_current_snapshot())
         order by e.xid, e.id limit $5",
    )
    .bind(org)
    .bind(project)
    .bind(after.transaction.to_string())
    .bind(i64::try_from(after.row).unwrap_or(i64::MAX))
    .bind(limit)
    .fetch_all(&mut **tx)
    .await?;
    let place = |row: &EventRow| FeedPlace {
        transaction: row.transaction.parse().unwrap_or_default(),
        row: row.row.unsigned_abs(),
    };
    Ok(rows.into_iter().map(|row| (place(&row), row.into())).collect())
}

/// The end of the feed as it is now: a reader that begins here sees what happens from now on.
pub async fn feed_end(tx: &mut TenantTx) -> Result<FeedPlace, StoreError> {
    let oldest_open: String =
        sqlx::query_scalar("select pg_snapshot_xmin(pg_current_snapshot())::text").fetch_one(&mut **tx).await?;
    Ok(FeedPlace { transaction: oldest_open.parse().unwrap_or_default(), row: 0 })
}
