//! Creations that failed. Each holds nothing but its row (product.md §2), which is removed one by one or all at once.

use crate::store::{StoreError, TenantTx};
use chrono::{DateTime, Utc};
use control_plane_api::id::{InstanceId, JobId};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use uuid::Uuid;

#[derive(Debug, Clone)]
pub struct FailedCreationRecord {
    pub id: InstanceId,
    pub name: String,
    pub spec: String,
    pub zones: Vec<String>,
    /// `None` when the job's record was removed.
    pub job: Option<JobId>,
    pub cause: String,
    pub created_at: DateTime<Utc>,
    pub failed_at: DateTime<Utc>,
}

/// Place in the list, newest failure first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub failed_at: DateTime<Utc>,
    pub id: InstanceId,
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    name: String,
    spec: String,
    zones: Vec<String>,
    job: Option<Uuid>,
    cause: String,
    created_at: DateTime<Utc>,
    failed_at: DateTime<Utc>,
}

pub async fn list(
    tx: &mut TenantTx,
    after: Option<&Place>,
    limit: i64,
) -> Result<Vec<FailedCreationRecord>, StoreError> {
    let (org, project) = (tx.org(), tx.project());
    let rows: Vec<Row> = sqlx::query_as(
        "select i.id, name, spec ->> 'name' as spec, zones, i.created_at, failed_at, coalesce(state_reason, '') as cause,
                (select j.id from jobs j where j.resource_id = i.id and kind = 'instance-create'
                 order by j.created_at desc limit 1) as job
         from instances i
         where i.org_id = $1 and i.project_id = $2 and i.state = 'create-failed' and failed_at is not null
           and ($3::timestamptz is null or (failed_at, i.id) < ($3, $4))
         order by failed_at desc, i.id desc limit $5",
    )
    .bind(org)
    .bind(project)
    .bind(after.map(|place| place.failed_at))
    .bind(after.map(|place| place.id.uuid()))
    .bind(limit)
    .fetch_all(&mut **tx)
    .await?;
    let view = |row: Row| FailedCreationRecord {
        id: InstanceId::from_uuid(row.id),
        name: row.name,
        spec: row.spec,
        zones: row.zones,
        job: row.job.map(JobId::from_uuid),
        cause: row.cause,
        created_at: row.created_at,
        failed_at: row.failed_at,
    };
    Ok(rows.into_iter().map(view).collect())
}

pub async fn count(tx: &mut TenantTx) -> Result<u64, StoreError> {
    let (org, project) = (tx.org(), tx.project());
    let rows: i64 = sqlx::query_scalar(
        "select count(*) from instances where org_id = $1 and project_id = $2 and state = 'create-failed'",
    )
    .bind(org)
    .bind(project)
    .fetch_one(&mut **tx)
    .await?;
    Ok(rows.unsigned_abs())
}

/// Removes this record, or all of the project; returns how many.
pub async fn delete(tx: &mut TenantTx, id: Option<InstanceId>) -> Result<u64, StoreError> {
    let (org, project) = (tx.org(), tx.project());
    let done = sqlx::query(
        "delete from instances
         where org_id = $1 and project_id = $2 and state = 'create-failed' and ($3::uuid is null or id = $3)",
    )
    .bind(org)
    .bind(project)
    .bind(id.map(InstanceId::uuid))
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}
