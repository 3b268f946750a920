//! Instances as their tenants see them. What jobs write of them is in `store::provisioning`.
//!
//! `revision` is the entity tag: whoever changes what a tenant sees of an instance, its brokers among it, raises it.

use crate::{
    domain::{capacity, connection_limits, states},
    store::{StoreError, SystemTx, TenantTx},
};
use broker_api::spec::{ConnectionRates, TopicRates};
use chrono::{DateTime, Utc};
use control_plane_api::{
    access::Access,
    capacity::CapacityNotice,
    catalogue::Spec,
    id::{InstanceId, JobId, OrganisationId, ProjectId},
    instance::{CapacityPolicy, InstanceState},
};
use sqlx::{FromRow, types::Json};
use std::collections::BTreeMap;
use uuid::Uuid;

#[derive(Debug, Clone)]
pub struct InstanceRecord {
    pub id: InstanceId,
    pub project: ProjectId,
    pub name: String,
    pub description: String,
    pub labels: BTreeMap<String, String>,
    pub state: InstanceState,
    pub state_reason: Option<String>,
    pub kafka_version: String,
    pub region: String,
    pub zones: Vec<String>,
    pub spec: Spec,
    pub storage_gb: u32,
    pub disk_type: String,
    pub capacity: capacity::Rule,
    pub connections: connection_limits::Chosen,
    pub access: Access,
    pub connection_rates: ConnectionRates,
    pub topic_rates: BTreeMap<String, TopicRates>,
    pub deletion_protection: bool,
    pub first_user: String,
    pub revision: i64,
    pub active_job: Option<JobId>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Limits of connections that were chosen.
#[derive(FromRow)]
pub(super) struct ConnectionsRow {
    max_connections: Option<i32>,
    max_connections_per_ip: Option<i32>,
    allowed_connections: Option<i32>,
}

impl From<ConnectionsRow> for connection_limits::Chosen {
    fn from(row: ConnectionsRow) -> Self {
        Self {
            total: row.max_connections.map(i32::unsigned_abs),
            per_ip: row.max_connections_per_ip.map(i32::unsigned_abs),
            allowed: row.allowed_connections.map(i32::unsigned_abs),
        }
    }
}

/// Shared with the list.
#[derive(FromRow)]
pub(super) struct InstanceRow {
    id: Uuid,
    project_id: Uuid,
    name: String,
    description: String,
    labels: Json<BTreeMap<String, String>>,
    state: String,
    state_reason: Option<String>,
    kafka_version: String,
    region: String,
    zones: Vec<String>,
    spec: Json<Spec>,
    storage_gb: i32,
    disk_type: String,
    capacity_policy: String,
    capacity_threshold_percent: i32,
    #[sqlx(flatten)]
    connections: ConnectionsRow,
    access: Json<Access>,
    connection_rates: Json<ConnectionRates>,
    topic_rates: Json<BTreeMap<String, TopicRates>>,
    deletion_protection: bool,
    first_user: String,
    revision: i64,
    active_job: Option<Uuid>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<InstanceRow> for InstanceRecord {
    type Error = StoreError;

    fn try_from(row: InstanceRow) -> Result<Self, StoreError> {
        let unknown = |what: &str, value: &str| StoreError::Corrupt {
            table: "instances",
            reason: format!("{what} {value:?} is unknown"),
        };
        Ok(Self {
            id: InstanceId::from_uuid(row.id),
            project: ProjectId::from_uuid(row.project_id),
            name: row.name,
            description: row.description,
            labels: row.labels.0,
            state: states::parse_state(&row.state).ok_or_else(|| unknown("state", &row.state))?,
            state_reason: row.state_reason,
            kafka_version: row.kafka_version,
            region: row.region,
            zones: row.zones,
            spec: row.spec.0,
            storage_gb: row.storage_gb.unsigned_abs(),
            disk_type: row.disk_type,
            capacity: capacity::Rule {
                policy: capacity::parse_policy(&row.capacity_policy)
                    .ok_or_else(|| unknown("capacity policy", &row.capacity_policy))?,
                threshold_percent: u8::try_from(row.capacity_threshold_percent)
                    .map_err(|_| unknown("threshold", &row.capacity_threshold_percent.to_string()))?,
            },
            connections: row.connections.into(),
            access: row.access.0,
            connection_rates: row.connection_rates.0,
            topic_rates: row.topic_rates.0,
            deletion_protection: row.deletion_protection,
            first_user: row.first_user,
            revision: row.revision,
            active_job: row.active_job.map(JobId::from_uuid),
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// An instance that is being bought.
#[derive(Debug)]
pub struct NewInstance<'a> {
    pub id: InstanceId,
    pub name: &'a str,
    pub description: &'a str,
    pub labels: &'a BTreeMap<String, String>,
    pub kafka_version: &'a str,
    pub cluster_id: &'a str,
    pub region: &'a str,
    pub zones: &'a [String],
    pub spec: &'a Spec,
    pub storage_gb: u32,
    pub disk_type: &'a str,
    pub capacity_policy: CapacityPolicy,
    pub access: &'a Access,
    pub first_user: &'a str,
    /// Of the code that will make its nodes' specs.
    pub spec_revision: i32,
}

/// Inserts it in state `creating`.
pub async fn insert(tx: &mut TenantTx, new: &NewInstance<'_>, now: DateTime<Utc>) -> Result<(), StoreError> {
    let (org, project) = (tx.org(), tx.project());
    sqlx::query(
        "insert into instances (id, org_id, project_id, name, description, labels, state, kafka_version, cluster_id, region,
                                zones, spec, storage_gb, disk_type, first_user, spec_revision, capacity_policy, access,
                                created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, 'creating', $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $18)",
    )
    .bind(new.id.uuid())
    .bind(org)
    .bind(project)
    .bind(new.name)
    .bind(new.description)
    .bind(Json(new.labels))
    .bind(new.kafka_version)
    .bind(new.cluster_id)
    .bind(new.region)
    .bind(new.zones)
    .bind(Json(new.spec))
    .bind(i32::try_from(new.storage_gb).unwrap_or(i32::MAX))
    .bind(new.disk_type)
    .bind(new.first_user)
    .bind(new.spec_revision)
    .bind(capacity::policy_name(new.capacity_policy))
    .bind(Json(new.access))
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whether a live instance of the project has the name.
pub async fn name_taken(tx: &mut TenantTx, name: &str) -> Result<bool, StoreError> {
    let (org, project) = (tx.org(), tx.project());
    Ok(sqlx::query_scalar(
        "select exists (select from instances
                        where org_id = $1 and project_id = $2 and name = $3 and state <> 'create-failed')",
    )
    .bind(org)
    .bind(project)
    .bind(name)
    .fetch_one(&mut **tx)
    .await?)
}

/// Instances of the project that count, and how many it may hold.
pub async fn quota(tx: &mut TenantTx) -> Result<(u32, u32), StoreError> {
    let (org, project) = (tx.org(), tx.project());
    let (used, quota): (i64, i32) = sqlx::query_as(
        "select (select count(*) from instances where org_id = $1 and project_id = $2 and state <> 'create-failed'),
                instance_quota from projects where org_id = $1 and id = $2",
    )
    .bind(org)
    .bind(project)
    .fetch_one(&mut **tx)
    .await?;
    Ok((u32::try_from(used).unwrap_or(u32::MAX), quota.unsigned_abs()))
}

/// As [`quota`], and nobody else orders in the project until the transaction ends.
pub async fn lock_quota(tx: &mut TenantTx) -> Result<(u32, u32), StoreError> {
    let (org, project) = (tx.org(), tx.project());
    // A statement of its own: the count must see what was committed while this one waited.
    sqlx::query("select from projects where org_id = $1 and id = $2 for no key update")
        .bind(org)
        .bind(project)
        .execute(&mut **tx)
        .await?;
    quota(tx).await
}

/// The project's instance with this id, or else the live one with this name.
pub async fn find(tx: &mut TenantTx, id: Option<InstanceId>, name: &str) -> Result<Option<InstanceRecord>, StoreError> {
    let (org, project) = (tx.org(), tx.project());
    let row: Option<InstanceRow> = sqlx::query_as(
        "select i.id, i.project_id, name, description, labels, i.state, state_reason, kafka_version, region, zones, spec,
                storage_gb, disk_type, capacity_policy, capacity_threshold_percent, max_connections, max_connections_per_ip,
                allowed_connections, access, connection_rates, topic_rates, deletion_protection, first_user, i.revision,
                j.id as active_job, i.created_at, i.updated_at
         from instances i
         left join jobs j on j.resource_id = i.id and j.state not in ('succeeded', 'failed', 'cancelled')
         where i.org_id = $1 and i.project_id = $2 and (i.id = $3 or name = $4 and i.state <> 'create-failed')
         order by i.id = $3 desc nulls last limit 1",
    )
    .bind(org)
    .bind(project)
    .bind(id.map(InstanceId::uuid))
    .bind(name)
    .fetch_optional(&mut **tx)
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// Locks the instance until the transaction ends; false when it is gone.
pub async fn lock(tx: &mut TenantTx, id: InstanceId) -> Result<bool, StoreError> {
    let org = tx.org();
    let found: Option<i32> =
        sqlx::query_scalar("select 1 from instances where org_id = $1 and id = $2 for no key update")
            .bind(org)
            .bind(id.uuid())
            .fetch_optional(&mut **tx)
            .await?;
    Ok(found.is_some())
}

/// What a tenant can change at once.
#[derive(Debug)]
pub struct Change<'a> {
    pub name: &'a str,
    pub description: &'a str,
    pub labels: &'a BTreeMap<String, String>,
    pub deletion_protection: bool,
}

pub async fn update(
    tx: &mut TenantTx,
    id: InstanceId,
    change: &Change<'_>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let org = tx.org();
    sqlx::query(
        "update instances set name = $3, description = $4, labels = $5, deletion_protection = $6,
                revision = revision + 1, updated_at = $7
         where org_id = $1 and id = $2",
    )
    .bind(org)
    .bind(id.uuid())
    .bind(change.name)
    .bind(change.description)
    .bind(Json(change.labels))
    .bind(change.deletion_protection)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Sets who may come in by which way, and raises the generation that its nodes are told. Fields beside those of [`Access`] that a
/// newer version of this program has written stay.
pub async fn set_access(
    tx: &mut TenantTx,
    id: InstanceId,
    access: &Access,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let org = tx.org();
    sqlx::query(
        "update instances set access = access || $3, generation = generation + 1, revision = revision + 1, updated_at = $4
         where org_id = $1 and id = $2",
    )
    .bind(org)
    .bind(id.uuid())
    .bind(Json(access))
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Sets how fast addresses may open connections and records of topics may pass, and raises the generation that its nodes are told.
pub async fn set_client_rates(
    tx: &mut TenantTx,
    id: InstanceId,
    connections: &ConnectionRates,
    topics: &BTreeMap<String, TopicRates>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let org = tx.org();
    sqlx::query(
        "update instances set connection_rates = $3, topic_rates = $4, generation = generation + 1, revision = revision + 1,
                updated_at = $5
         where org_id = $1 and id = $2",
    )
    .bind(org)
    .bind(id.uuid())
    .bind(Json(connections))
    .bind(Json(topics))
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The newest first; none of an instance that is gone.
pub async fn capacity_notices(tx: &mut TenantTx, id: InstanceId) -> Result<Vec<CapacityNotice>, StoreError> {
    let org = tx.org();
    let kept: Option<Json<Vec<CapacityNotice>>> =
        sqlx::query_scalar("select capacity_notices from instances where org_id = $1 and id = $2")
            .bind(org)
            .bind(id.uuid())
            .fetch_optional(&mut **tx)
            .await?;
    let mut notices = kept.map(|Json(notices)| notices).unwrap_or_default();
    notices.reverse();
    Ok(notices)
}

/// Sets what happens when the disk is full, and raises the generation that its nodes are told.
pub async fn set_capacity(
    tx: &mut TenantTx,
    id: InstanceId,
    rule: capacity::Rule,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let org = tx.org();
    sqlx::query(
        "update instances set capacity_policy = $3, capacity_threshold_percent = $4, generation = generation + 1,
                revision = revision + 1, updated_at = $5
         where org_id = $1 and id = $2",
    )
    .bind(org)
    .bind(id.uuid())
    .bind(capacity::policy_name(rule.policy))
    .bind(i32::from(rule.threshold_percent))
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Sets how many clients may be connected, and raises the generation that its nodes are told.
pub async fn set_connections(
    tx: &mut TenantTx,
    id: InstanceId,
    chosen: connection_limits::Chosen,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let org = tx.org();
    let number = |limit: Option<u32>| limit.map(|limit| i32::try_from(limit).unwrap_or(i32::MAX));
    sqlx::query(
        "update instances set max_connections = $3, max_connections_per_ip = $4, allowed_connections = $5,
                generation = generation + 1, revision = revision + 1, updated_at = $6
         where org_id = $1 and id = $2",
    )
    .bind(org)
    .bind(id.uuid())
    .bind(number(chosen.total))
    .bind(number(chosen.per_ip))
    .bind(number(chosen.allowed))
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whose instance it is.
pub async fn owner(tx: &mut SystemTx, id: InstanceId) -> Result<Option<(OrganisationId, ProjectId)>, StoreError> {
    let row: Option<(Uuid, Uuid)> = sqlx::query_as("select org_id, project_id from instances where id = $1")
        .bind(id.uuid())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.map(|(org, project)| (OrganisationId::from_uuid(org), ProjectId::from_uuid(project))))
}

/// The instance is on its way out: its job has been queued in the same transaction.
pub async fn mark_deleting(tx: &mut TenantTx, id: InstanceId, now: DateTime<Utc>) -> Result<(), StoreError> {
    let org = tx.org();
    sqlx::query(
        "update instances set state = 'deleting', state_reason = null, revision = revision + 1, updated_at = $3
         where org_id = $1 and id = $2",
    )
    .bind(org)
    .bind(id.uuid())
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
