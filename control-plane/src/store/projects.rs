//! Projects of an organisation.

use crate::store::{StoreError, SystemTx, TenantTx};
use chrono::{DateTime, Utc};
use control_plane_api::id::{OrganisationId, ProjectId};
use sqlx::FromRow;
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectRecord {
    pub id: ProjectId,
    pub organisation: OrganisationId,
    pub name: String,
    pub description: String,
    pub instance_quota: i32,
    pub revision: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[derive(FromRow)]
struct ProjectRow {
    id: Uuid,
    org_id: Uuid,
    name: String,
    description: String,
    instance_quota: i32,
    revision: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<ProjectRow> for ProjectRecord {
    fn from(row: ProjectRow) -> Self {
        Self {
            id: ProjectId::from_uuid(row.id),
            organisation: OrganisationId::from_uuid(row.org_id),
            name: row.name,
            description: row.description,
            instance_quota: row.instance_quota,
            revision: row.revision,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// The id of the organisation's project with this id or name.
pub async fn resolve(tx: &mut TenantTx, id: Option<ProjectId>, name: &str) -> Result<Option<ProjectId>, StoreError> {
    let org = tx.org();
    let found: Option<Uuid> = sqlx::query_scalar(
        "select id from projects where org_id = $1 and (id = $2 or name = $3) order by id = $2 desc limit 1",
    )
    .bind(org)
    .bind(id.map(ProjectId::uuid))
    .bind(name)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(found.map(ProjectId::from_uuid))
}

pub async fn find(tx: &mut TenantTx, id: ProjectId) -> Result<Option<ProjectRecord>, StoreError> {
    let org = tx.org();
    let row: Option<ProjectRow> = sqlx::query_as(
        "select id, org_id, name, description, instance_quota, revision, created_at, updated_at
         from projects where org_id = $1 and id = $2",
    )
    .bind(org)
    .bind(id.uuid())
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(Into::into))
}

/// Projects of the organisation in order of creation; only those in `among`, if given.
pub async fn list(
    tx: &mut TenantTx,
    among: Option<&[ProjectId]>,
    after: Option<ProjectId>,
    limit: i64,
) -> Result<Vec<ProjectRecord>, StoreError> {
    let org = tx.org();
    let among: Option<Vec<Uuid>> = among.map(|ids| ids.iter().map(|id| id.uuid()).collect());
    let rows: Vec<ProjectRow> = sqlx::query_as(
        "select id, org_id, name, description, instance_quota, revision, created_at, updated_at
         from projects where org_id = $1 and ($2::uuid[] is null or id = any ($2)) and ($3::uuid is null or id > $3)
         order by id limit $4",
    )
    .bind(org)
    .bind(among)
    .bind(after.map(ProjectId::uuid))
    .bind(limit)
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

pub async fn count(tx: &mut TenantTx, among: Option<&[ProjectId]>) -> Result<u64, StoreError> {
    let org = tx.org();
    let among: Option<Vec<Uuid>> = among.map(|ids| ids.iter().map(|id| id.uuid()).collect());
    let rows: i64 =
        sqlx::query_scalar("select count(*) from projects where org_id = $1 and ($2::uuid[] is null or id = any ($2))")
            .bind(org)
            .bind(among)
            .fetch_one(&mut **tx)
            .await?;
    Ok(rows.unsigned_abs())
}

pub async fn insert(
    tx: &mut TenantTx,
    id: ProjectId,
    name: &str,
    description: &str,
) -> Result<ProjectRecord, StoreError> {
    let org = tx.org();
    let row: ProjectRow = sqlx::query_as(
        "insert into projects (id, org_id, name, description) values ($1, $2, $3, $4)
         returning id, org_id, name, description, instance_quota, revision, created_at, updated_at",
    )
    .bind(id.uuid())
    .bind(org)
    .bind(name)
    .bind(description)
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.into())
}

/// The project that an organisation begins with.
pub async fn insert_first(
    tx: &mut SystemTx,
    id: ProjectId,
    organisation: OrganisationId,
    name: &str,
) -> Result<(), StoreError> {
    sqlx::query("insert into projects (id, org_id, name) values ($1, $2, $3)")
        .bind(id.uuid())
        .bind(organisation.uuid())
        .bind(name)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Changes a project that nobody has changed since `revision`; `None` when somebody has.
pub async fn update(
    tx: &mut TenantTx,
    id: ProjectId,
    revision: i64,
    name: &str,
    description: &str,
    now: DateTime<Utc>,
) -> Result<Option<ProjectRecord>, StoreError> {
    let org = tx.org();
    let row: Option<ProjectRow> = sqlx::query_as(
        "update projects set name = $4, description = $5, updated_at = $6, revision = revision + 1
         where org_id = $1 and id = $2 and revision = $3
         returning id, org_id, name, description, instance_quota, revision, created_at, updated_at",
    )
    .bind(org)
    .bind(id.uuid())
    .bind(revision)
    .bind(name)
    .bind(description)
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(Into::into))
}

/// Fails with [`StoreError::Reference`] while it holds anything.
pub async fn delete(tx: &mut TenantTx, id: ProjectId) -> Result<(), StoreError> {
    let org = tx.org();
    sqlx::query("delete from projects where org_id = $1 and id = $2")
        .bind(org)
        .bind(id.uuid())
        .execute(&mut **tx)
        .await?;
    Ok(())
}
