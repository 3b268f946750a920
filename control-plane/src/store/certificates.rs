//! Certificates that instances show to clients, and those that they showed before: what is public of them.
//!
//! Tenants read; `sluice_system` writes, in transactions of jobs and of the loop that renews. One row an instance is
//! served (`replaced_at` is null). Keys are not here: they lie sealed in `instance_secrets`.

use super::{Connection, StoreError, TenantTx};
use chrono::{DateTime, Utc};
use control_plane_api::{
    certificate::{CertificateReason, CertificateSource, ExpiryNotice},
    id::{CertificateId, InstanceId, JobId, OrganisationId, ProjectId},
};
use serde_json::Value;
use sqlx::{FromRow, types::Json};
use uuid::Uuid;

type Result<T> = std::result::Result<T, StoreError>;

/// Earlier certificates that are kept of an instance.
pub const KEPT: i64 = 100;
/// As many are kept when they are still trusted: more than anybody changes in an overlap.
const KEPT_WHILE_TRUSTED: i64 = 1000;

#[derive(Debug, Clone)]
pub struct CertificateRecord {
    pub id: CertificateId,
    pub source: CertificateSource,
    pub reason: CertificateReason,
    pub certificate_pem: String,
    pub trust_pem: String,
    pub renew_at: Option<DateTime<Utc>>,
    pub notices: Vec<ExpiryNotice>,
    pub created_by: Option<String>,
    pub job: Option<JobId>,
    pub created_at: DateTime<Utc>,
    /// When it was replaced, and how long it stays trusted.
    pub replaced: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

/// A certificate that begins to be served.
#[derive(Debug, Clone)]
pub struct NewCertificate<'a> {
    pub id: CertificateId,
    pub source: CertificateSource,
    pub reason: CertificateReason,
    pub certificate_pem: &'a str,
    pub trust_pem: &'a str,
    pub not_after: DateTime<Utc>,
    pub renew_at: Option<DateTime<Utc>>,
    pub created_by: Option<&'a str>,
    pub job: Option<JobId>,
    pub created_at: DateTime<Utc>,
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    source: String,
    reason: String,
    certificate_pem: String,
    trust_pem: String,
    renew_at: Option<DateTime<Utc>>,
    notices: Json<Vec<ExpiryNotice>>,
    created_by: Option<String>,
    job_id: Option<Uuid>,
    created_at: DateTime<Utc>,
    replaced_at: Option<DateTime<Utc>>,
    trusted_until: Option<DateTime<Utc>>,
}

fn corrupt(error: impl ToString) -> StoreError {
    StoreError::Corrupt { table: "certificates", reason: error.to_string() }
}

fn parsed<T: serde::de::DeserializeOwned>(text: String) -> Result<T> {
    serde_json::from_value(Value::String(text)).map_err(corrupt)
}

/// The text of an enum's value, as JSON and SQL write it.
fn text(value: impl serde::Serialize) -> Result<String> {
    match serde_json::to_value(value).map_err(corrupt)? {
        Value::String(text) => Ok(text),
        other => Err(corrupt(format!("{other} is no text"))),
    }
}

impl TryFrom<Row> for CertificateRecord {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: CertificateId::from_uuid(row.id),
            source: parsed(row.source)?,
            reason: parsed(row.reason)?,
            certificate_pem: row.certificate_pem,
            trust_pem: row.trust_pem,
            renew_at: row.renew_at,
            notices: row.notices.0,
            created_by: row.created_by,
            job: row.job_id.map(JobId::from_uuid),
            created_at: row.created_at,
            replaced: row.replaced_at.zip(row.trusted_until),
        })
    }
}

/// The one that is served, then those before it, the newest first.
pub async fn list(tx: &mut TenantTx, instance: InstanceId) -> Result<Vec<CertificateRecord>> {
    let org = tx.org();
    let rows: Vec<Row> = sqlx::query_as(
        "select id, source, reason, certificate_pem, trust_pem, renew_at, notices, created_by, job_id, created_at,
                replaced_at, trusted_until
         from certificates where org_id = $1 and instance_id = $2
         order by replaced_at desc nulls first, created_at desc limit $3",
    )
    .bind(org)
    .bind(instance.uuid())
    .bind(KEPT_WHILE_TRUSTED + 1)
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// For jobs: what is served now.
pub async fn served(tx: &mut Connection, instance: InstanceId) -> Result<Option<CertificateRecord>> {
    let row: Option<Row> = sqlx::query_as(
        "select id, source, reason, certificate_pem, trust_pem, renew_at, notices, created_by, job_id, created_at,
                replaced_at, trusted_until
         from certificates where instance_id = $1 and replaced_at is null",
    )
    .bind(instance.uuid())
    .fetch_optional(tx)
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// Records what an instance serves, unless that is recorded.
pub async fn insert(
    tx: &mut Connection,
    org: OrganisationId,
    instance: InstanceId,
    new: &NewCertificate<'_>,
) -> Result<()> {
    sqlx::query(
        "insert into certificates (id, instance_id, org_id, source, reason, certificate_pem, trust_pem, not_after,
                                   renew_at, created_by, job_id, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         on conflict (instance_id) where replaced_at is null do nothing",
    )
    .bind(new.id.uuid())
    .bind(instance.uuid())
    .bind(org.uuid())
    .bind(text(new.source)?)
    .bind(text(new.reason)?)
    .bind(new.certificate_pem)
    .bind(new.trust_pem)
    .bind(new.not_after)
    .bind(new.renew_at)
    .bind(new.created_by)
    .bind(new.job.map(JobId::uuid))
    .bind(new.created_at)
    .execute(tx)
    .await?;
    Ok(())
}

/// Puts `new` in the place of what is served, which stays trusted until `trusted_until`, in a new generation of the instance.
pub async fn replace(
    tx: &mut Connection,
    org: OrganisationId,
    instance: InstanceId,
    new: &NewCertificate<'_>,
    trusted_until: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "update certificates set replaced_at = $3, replaced_by = $2, trusted_until = $4
         where instance_id = $1 and replaced_at is null",
    )
    .bind(instance.uuid())
    .bind(new.id.uuid())
    .bind(new.created_at)
    .bind(trusted_until)
    .execute(&mut *tx)
    .await?;
    insert(tx, org, instance, new).await?;
    raise_generation(tx, instance, new.created_at).await
}

/// Takes `id` back: what it replaced is served again, in a new generation. Nothing happens when there is no `id`.
pub async fn restore(tx: &mut Connection, instance: InstanceId, id: CertificateId, now: DateTime<Utc>) -> Result<()> {
    let gone = sqlx::query("delete from certificates where instance_id = $1 and id = $2")
        .bind(instance.uuid())
        .bind(id.uuid())
        .execute(&mut *tx)
        .await?;
    if gone.rows_affected() == 0 {
        return Ok(());
    }
    sqlx::query(
        "update certificates set replaced_at = null, replaced_by = null, trusted_until = null
         where instance_id = $1 and replaced_by = $2",
    )
    .bind(instance.uuid())
    .bind(id.uuid())
    .execute(&mut *tx)
    .await?;
    raise_generation(tx, instance, now).await
}

async fn raise_generation(tx: &mut Connection, instance: InstanceId, now: DateTime<Utc>) -> Result<()> {
    sqlx::query("update instances set generation = generation + 1, updated_at = $2 where id = $1")
        .bind(instance.uuid())
        .bind(now)
        .execute(tx)
        .await?;
    Ok(())
}

/// Forgets all but the newest [`KEPT`] earlier ones and those that are still trusted.
pub async fn forget_oldest(tx: &mut Connection, instance: InstanceId, now: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "delete from certificates where id in (
             select id from (
                 select id, trusted_until, row_number() over (order by replaced_at desc) as place
                 from certificates where instance_id = $1 and replaced_at is not null
             ) earlier where place > $2 and (trusted_until < $3 or place > $4)
         )",
    )
    .bind(instance.uuid())
    .bind(KEPT)
    .bind(now)
    .bind(KEPT_WHILE_TRUSTED)
    .execute(tx)
    .await?;
    Ok(())
}

/// An instance whose certificate the service should renew.
#[derive(Debug, Clone)]
pub struct DueRow {
    pub org: OrganisationId,
    pub project: ProjectId,
    pub instance: InstanceId,
    pub name: String,
}

/// Has the served certificate renewed by then, if it is the platform's.
pub async fn renew_by(tx: &mut Connection, instance: InstanceId, at: DateTime<Utc>) -> Result<()> {
    sqlx::query("update certificates set renew_at = least(renew_at, $2) where instance_id = $1 and replaced_at is null and renew_at is not null")
        .bind(instance.uuid())
        .bind(at)
        .execute(tx)
        .await?;
    Ok(())
}

/// Platform certificates to be renewed now, of instances that run and that no job is changing; those that end first.
/// An instance whose renewal failed after `patience` is left for later.
pub async fn due(tx: &mut Connection, now: DateTime<Utc>, patience: DateTime<Utc>, limit: i64) -> Result<Vec<DueRow>> {
    let rows: Vec<(Uuid, Uuid, Uuid, String)> = sqlx::query_as(
        "select i.org_id, i.project_id, i.id, i.name from certificates c join instances i on i.id = c.instance_id
         where c.replaced_at is null and c.renew_at <= $1 and i.state in ('running', 'faulty')
               and not exists (select from jobs j where j.resource_id = i.id
                               and (j.state not in ('succeeded', 'failed', 'cancelled')
                                    or (j.kind = 'certificate-change' and j.state <> 'succeeded' and j.ended_at > $2)))
         order by c.not_after limit $3",
    )
    .bind(now)
    .bind(patience)
    .bind(limit)
    .fetch_all(tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(org, project, instance, name)| DueRow {
            org: OrganisationId::from_uuid(org),
            project: ProjectId::from_uuid(project),
            instance: InstanceId::from_uuid(instance),
            name,
        })
        .collect())
}

/// A served certificate of a tenant's own that ends before long.
#[derive(Debug, Clone)]
pub struct EndingRow {
    pub id: CertificateId,
    pub instance: InstanceId,
    pub name: String,
    pub not_after: DateTime<Utc>,
    pub notices: Vec<ExpiryNotice>,
}

/// Certificate, instance and its name, end, notices.
type Ending = (Uuid, Uuid, String, DateTime<Utc>, Json<Vec<ExpiryNotice>>);

/// Own certificates that are served and end before `until`, the first to end first.
pub async fn ending(tx: &mut Connection, until: DateTime<Utc>) -> Result<Vec<EndingRow>> {
    let rows: Vec<Ending> = sqlx::query_as(
        "select c.id, i.id, i.name, c.not_after, c.notices from certificates c join instances i on i.id = c.instance_id
         where c.replaced_at is null and c.source = 'own' and c.not_after < $1 order by c.not_after",
    )
    .bind(until)
    .fetch_all(tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(id, instance, name, not_after, notices)| EndingRow {
            id: CertificateId::from_uuid(id),
            instance: InstanceId::from_uuid(instance),
            name,
            not_after,
            notices: notices.0,
        })
        .collect())
}

/// The tenant was told.
pub async fn add_notice(tx: &mut Connection, id: CertificateId, notice: &ExpiryNotice) -> Result<()> {
    sqlx::query("update certificates set notices = notices || $2 where id = $1")
        .bind(id.uuid())
        .bind(Json(notice))
        .execute(tx)
        .await?;
    Ok(())
}

/// When the first served certificate of each source ends; a source of which none is served is not there.
pub async fn first_to_end(tx: &mut Connection) -> Result<Vec<(CertificateSource, DateTime<Utc>)>> {
    let rows: Vec<(String, DateTime<Utc>)> =
        sqlx::query_as("select source, min(not_after) from certificates where replaced_at is null group by source")
            .fetch_all(tx)
            .await?;
    rows.into_iter().map(|(source, at)| Ok((parsed(source)?, at))).collect()
}

/// Instances that serve a certificate which is not recorded here: made by a replica of an earlier version.
pub async fn unrecorded(tx: &mut Connection, limit: i64) -> Result<Vec<InstanceId>> {
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "select s.instance_id from instance_secrets s
         where s.name = 'clients-tls' and not exists (
             select from certificates c where c.instance_id = s.instance_id and c.replaced_at is null
         ) limit $1",
    )
    .bind(limit)
    .fetch_all(tx)
    .await?;
    Ok(ids.into_iter().map(InstanceId::from_uuid).collect())
}
