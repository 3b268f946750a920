//! What jobs and loops keep about instances while they make, watch and remove them: addresses, secrets, authorities,
//! and the states of instances and brokers.
//!
//! For `sluice_system` only. Writes of jobs happen in transactions that hold the job's row (`store::jobs::lock`).
//! Everything inserted here is inserted once: a repeat finds what was there and takes that.

use super::{Connection, StoreError, instances::ConnectionsRow};
use crate::domain::{
    capacity,
    client_paths::{Network, Place},
    connection_limits,
};
use broker_api::spec::{ConnectionRates, TopicRates};
use chrono::{DateTime, Utc};
use control_plane_api::{
    access::Access,
    catalogue::Spec,
    id::{InstanceId, OrganisationId},
    instance::InstanceState,
};
use serde_json::Value;
use sqlx::{FromRow, types::Json};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};
use uuid::Uuid;

type Result<T> = std::result::Result<T, StoreError>;

/// An instance as its jobs see it.
#[derive(Debug, Clone)]
pub struct InstanceRow {
    pub id: InstanceId,
    pub org: OrganisationId,
    pub name: String,
    pub state: InstanceState,
    pub kafka_version: String,
    pub cluster_id: String,
    pub spec: Spec,
    pub storage_gb: u32,
    pub access: Access,
    pub connection_rates: ConnectionRates,
    pub topic_rates: BTreeMap<String, TopicRates>,
    pub capacity: capacity::Rule,
    pub connections: connection_limits::Chosen,
    /// Kafka users that are refused.
    pub disabled_users: Vec<String>,
    /// Kafka users whose logins ended at a generation.
    pub ended_logins: BTreeMap<String, u64>,
    pub generation: u64,
}

/// A broker as its jobs see it, in order of node id.
#[derive(Debug, Clone)]
pub struct BrokerRow {
    pub node_id: i32,
    pub zone: String,
    pub directory_id: String,
    pub address: Option<IpAddr>,
    /// On the public network, while it is in use.
    pub public_address: Option<IpAddr>,
    pub state: String,
    pub reason: String,
}

impl BrokerRow {
    /// `None` until it has an address.
    pub fn place(&self) -> Option<Place> {
        Some(Place { node_id: self.node_id, private: self.address?, public: self.public_address })
    }
}

#[derive(FromRow)]
struct RawInstance {
    id: Uuid,
    org_id: Uuid,
    name: String,
    state: String,
    kafka_version: String,
    cluster_id: String,
    spec: Value,
    storage_gb: i32,
    access: Value,
    connection_rates: Json<ConnectionRates>,
    topic_rates: Json<BTreeMap<String, TopicRates>>,
    capacity_policy: String,
    capacity_threshold_percent: i32,
    #[sqlx(flatten)]
    connections: ConnectionsRow,
    disabled_users: Vec<String>,
    ended_logins: Json<BTreeMap<String, u64>>,
    generation: i64,
}

#[derive(FromRow)]
struct RawBroker {
    node_id: i32,
    zone: String,
    directory_id: String,
    host: Option<String>,
    public_host: Option<String>,
    state: String,
    reason: String,
}

fn corrupt(table: &'static str, reason: impl ToString) -> StoreError {
    StoreError::Corrupt { table, reason: reason.to_string() }
}

impl TryFrom<RawInstance> for InstanceRow {
    type Error = StoreError;

    fn try_from(raw: RawInstance) -> Result<Self> {
        Ok(Self {
            id: InstanceId::from_uuid(raw.id),
            org: OrganisationId::from_uuid(raw.org_id),
            name: raw.name,
            state: serde_json::from_value(Value::String(raw.state)).map_err(|error| corrupt("instances", error))?,
            kafka_version: raw.kafka_version,
            cluster_id: raw.cluster_id,
            spec: serde_json::from_value(raw.spec).map_err(|error| corrupt("instances", error))?,
            storage_gb: u32::try_from(raw.storage_gb).map_err(|error| corrupt("instances", error))?,
            access: serde_json::from_value(raw.access).map_err(|error| corrupt("instances", error))?,
            connection_rates: raw.connection_rates.0,
            topic_rates: raw.topic_rates.0,
            capacity: capacity::Rule {
                policy: capacity::parse_policy(&raw.capacity_policy)
                    .ok_or_else(|| corrupt("instances", format!("capacity policy {:?}", raw.capacity_policy)))?,
                threshold_percent: u8::try_from(raw.capacity_threshold_percent)
                    .map_err(|error| corrupt("instances", error))?,
            },
            connections: raw.connections.into(),
            disabled_users: raw.disabled_users,
            ended_logins: raw.ended_logins.0,
            generation: u64::try_from(raw.generation).map_err(|error| corrupt("instances", error))?,
        })
    }
}

/// The instance and its brokers; `None` when it is gone.
pub async fn load(tx: &mut Connection, id: InstanceId) -> Result<Option<(InstanceRow, Vec<BrokerRow>)>> {
    let instance: Option<RawInstance> = sqlx::query_as(
        "select id, org_id, name, state, kafka_version, cluster_id, spec, storage_gb, access, connection_rates, topic_rates, capacity_policy,
                capacity_threshold_percent, max_connections, max_connections_per_ip, allowed_connections, generation,
                array(select u.name from kafka_users u where u.instance_id = i.id and disabled order by u.name) as disabled_users,
                (select coalesce(jsonb_object_agg(u.name, logins_since), '{}') from kafka_users u
                 where u.instance_id = i.id and logins_since is not null) as ended_logins
         from instances i where id = $1",
    )
    .bind(id.uuid())
    .fetch_optional(&mut *tx)
    .await?;
    let Some(instance) = instance else { return Ok(None) };
    let brokers: Vec<RawBroker> = sqlx::query_as(
        "select node_id, zone, directory_id, host, public_host, state, reason from brokers
         where instance_id = $1 order by node_id",
    )
    .bind(id.uuid())
    .fetch_all(tx)
    .await?;
    let brokers = brokers
        .into_iter()
        .map(|raw| {
            let parse = |host: String| host.parse().map_err(|error| corrupt("brokers", error));
            let RawBroker { node_id, zone, directory_id, host, public_host, state, reason } = raw;
            let (address, public_address) = (host.map(parse).transpose()?, public_host.map(parse).transpose()?);
            Ok(BrokerRow { node_id, zone, directory_id, address, public_address, state, reason })
        })
        .collect::<Result<_>>()?;
    Ok(Some((instance.try_into()?, brokers)))
}

/// Every address that is given out.
pub async fn taken_addresses(tx: &mut Connection) -> Result<BTreeSet<IpAddr>> {
    let hosts: Vec<String> = sqlx::query_scalar("select host from broker_addresses").fetch_all(tx).await?;
    hosts.iter().map(|host| host.parse().map_err(|error| corrupt("broker_addresses", error))).collect()
}

/// Brokers of the instance that have an address on the network, in use or not.
pub async fn reserved(tx: &mut Connection, instance: InstanceId, network: Network) -> Result<BTreeSet<i32>> {
    let nodes: Vec<i32> =
        sqlx::query_scalar("select node_id from broker_addresses where instance_id = $1 and network = $2")
            .bind(instance.uuid())
            .bind(network.as_str())
            .fetch_all(tx)
            .await?;
    Ok(nodes.into_iter().collect())
}

/// Gives the address to a broker. False when somebody else was faster. A private address is in use from now on.
pub async fn take_address(
    tx: &mut Connection,
    instance: &InstanceRow,
    node_id: i32,
    network: Network,
    address: IpAddr,
    now: DateTime<Utc>,
) -> Result<bool> {
    let taken = sqlx::query(
        "insert into broker_addresses (host, org_id, instance_id, node_id, network, created_at)
         values ($1, $2, $3, $4, $6, $5) on conflict (host) do nothing",
    )
    .bind(address.to_string())
    .bind(instance.org.uuid())
    .bind(instance.id.uuid())
    .bind(node_id)
    .bind(now)
    .bind(network.as_str())
    .execute(&mut *tx)
    .await?;
    if taken.rows_affected() == 0 {
        return Ok(false);
    }
    if network == Network::Public {
        return Ok(true);
    }
    sqlx::query(
        "with placed as (
             update brokers set host = $3, updated_at = $4 where instance_id = $1 and node_id = $2 returning instance_id
         )
         update instances set revision = revision + 1, updated_at = $4 where id in (select instance_id from placed)",
    )
    .bind(instance.id.uuid())
    .bind(node_id)
    .bind(address.to_string())
    .bind(now)
    .execute(tx)
    .await?;
    Ok(true)
}

/// Clients are told the public addresses that were reserved; the nodes hear of it by a new generation. Nothing happens when
/// they are told already.
pub async fn use_public_addresses(tx: &mut Connection, instance: InstanceId, now: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "with used as (
             update brokers b set public_host = a.host, updated_at = $2 from broker_addresses a
             where b.instance_id = $1 and a.instance_id = b.instance_id and a.node_id = b.node_id and a.network = 'public'
               and b.public_host is distinct from a.host
             returning b.instance_id
         )
         update instances set generation = generation + 1, revision = revision + 1, updated_at = $2
         where id in (select instance_id from used)",
    )
    .bind(instance.uuid())
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}

/// No broker of the instance has a public address any more. Its nodes serve none when this is called. Whether one had any.
pub async fn release_public_addresses(tx: &mut Connection, instance: InstanceId, now: DateTime<Utc>) -> Result<bool> {
    let freed = sqlx::query(
        "with freed as (
             update brokers set public_host = null, updated_at = $2
             where instance_id = $1 and public_host is not null returning instance_id
         )
         update instances set revision = revision + 1, updated_at = $2 where id in (select instance_id from freed)",
    )
    .bind(instance.uuid())
    .bind(now)
    .execute(&mut *tx)
    .await?;
    sqlx::query("delete from broker_addresses where instance_id = $1 and network = 'public'")
        .bind(instance.uuid())
        .execute(tx)
        .await?;
    Ok(freed.rows_affected() > 0)
}

/// Takes a change of access back, in a new generation. Fields beside those that `before` has stay: another version of this
/// program may know them.
pub async fn restore_access(
    tx: &mut Connection,
    instance: InstanceId,
    before: &Value,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "update instances set access = access || $2, generation = generation + 1, revision = revision + 1, updated_at = $3
         where id = $1 and access is distinct from access || $2",
    )
    .bind(instance.uuid())
    .bind(before)
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}

/// Nothing has the instance's addresses any more.
pub async fn release_addresses(tx: &mut Connection, instance: InstanceId) -> Result<()> {
    sqlx::query("update brokers set host = null, public_host = null where instance_id = $1")
        .bind(instance.uuid())
        .execute(&mut *tx)
        .await?;
    sqlx::query("delete from broker_addresses where instance_id = $1").bind(instance.uuid()).execute(tx).await?;
    Ok(())
}

/// What becomes of the secret that has the name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Nodes may have it.
    Stays,
    Replaced,
}

/// Keeps a sealed secret.
pub async fn put_secret(
    tx: &mut Connection,
    instance: &InstanceRow,
    name: &str,
    sealed: &[u8],
    existing: Existing,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "insert into instance_secrets (instance_id, org_id, name, sealed, created_at) values ($1, $2, $3, $4, $5)
         on conflict (instance_id, name) do update set sealed = excluded.sealed, created_at = excluded.created_at where $6",
    )
    .bind(instance.id.uuid())
    .bind(instance.org.uuid())
    .bind(name)
    .bind(sealed)
    .bind(now)
    .bind(existing == Existing::Replaced)
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets one secret; one that is not there is forgotten already.
pub async fn forget_secret(tx: &mut Connection, instance: InstanceId, name: &str) -> Result<()> {
    sqlx::query("delete from instance_secrets where instance_id = $1 and name = $2")
        .bind(instance.uuid())
        .bind(name)
        .execute(tx)
        .await?;
    Ok(())
}

/// Names and sealed values of an instance's secrets.
pub async fn secrets(tx: &mut Connection, instance: InstanceId) -> Result<Vec<(String, Vec<u8>)>> {
    Ok(sqlx::query_as("select name, sealed from instance_secrets where instance_id = $1")
        .bind(instance.uuid())
        .fetch_all(tx)
        .await?)
}

/// An authority as it is stored: certificate, and its key sealed.
#[derive(Debug, Clone, FromRow)]
pub struct AuthorityRow {
    pub id: Uuid,
    pub certificate_pem: String,
    pub private_key_sealed: Vec<u8>,
}

/// The authority of a kind; `instance` is `None` for the platform's own.
pub async fn authority(tx: &mut Connection, kind: &str, instance: Option<InstanceId>) -> Result<Option<AuthorityRow>> {
    Ok(sqlx::query_as(
        "select id, certificate_pem, private_key_sealed from certificate_authorities
         where kind = $1 and instance_id is not distinct from $2",
    )
    .bind(kind)
    .bind(instance.map(InstanceId::uuid))
    .fetch_optional(tx)
    .await?)
}

/// Keeps an authority, unless there is one: read it back to know which.
pub async fn put_authority(
    tx: &mut Connection,
    kind: &str,
    instance: Option<InstanceId>,
    authority: &AuthorityRow,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "insert into certificate_authorities (id, kind, instance_id, certificate_pem, private_key_sealed, created_at)
         values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
    )
    .bind(authority.id)
    .bind(kind)
    .bind(instance.map(InstanceId::uuid))
    .bind(&authority.certificate_pem)
    .bind(&authority.private_key_sealed)
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets the instance's own authority, secrets and certificates.
pub async fn release_secrets(tx: &mut Connection, instance: InstanceId) -> Result<()> {
    sqlx::query("delete from certificates where instance_id = $1").bind(instance.uuid()).execute(&mut *tx).await?;
    sqlx::query("delete from instance_secrets where instance_id = $1").bind(instance.uuid()).execute(&mut *tx).await?;
    sqlx::query("delete from certificate_authorities where instance_id = $1").bind(instance.uuid()).execute(tx).await?;
    Ok(())
}

/// Moves an instance to another state; nothing is written when it is there already. `failed_at` follows the state.
pub async fn set_state(
    tx: &mut Connection,
    instance: InstanceId,
    state: InstanceState,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "update instances set state = $2, state_reason = $3, updated_at = $4, revision = revision + 1,
                failed_at = case when $2 = 'create-failed' then $4::timestamptz end
         where id = $1 and (state, state_reason) is distinct from ($2, $3)",
    )
    .bind(instance.uuid())
    .bind(state_name(state))
    .bind(reason)
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}

/// A broker was seen in another state than before; the version of its instance rises, since tenants see it there.
pub async fn set_broker_state(
    tx: &mut Connection,
    instance: InstanceId,
    node_id: i32,
    state: &str,
    reason: &str,
    generation: Option<u64>,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "with seen as (
             update brokers set state = $3, reason = $4, seen_generation = coalesce($5, seen_generation), updated_at = $6
             where instance_id = $1 and node_id = $2 and (state, reason) is distinct from ($3, $4) returning instance_id
         )
         update instances set revision = revision + 1, updated_at = $6 where id in (select instance_id from seen)",
    )
    .bind(instance.uuid())
    .bind(node_id)
    .bind(state)
    .bind(reason)
    .bind(generation.map(|number| i64::try_from(number).unwrap_or(i64::MAX)))
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}

/// Gives room back to the zones and forgets the brokers.
pub async fn release_room(tx: &mut Connection, instance: InstanceId) -> Result<()> {
    sqlx::query("delete from reservations where instance_id = $1").bind(instance.uuid()).execute(&mut *tx).await?;
    sqlx::query("delete from brokers where instance_id = $1").bind(instance.uuid()).execute(tx).await?;
    Ok(())
}

/// Forgets the instance. Orders, jobs and the audit trail stay.
pub async fn delete_instance(tx: &mut Connection, instance: InstanceId) -> Result<()> {
    sqlx::query("delete from instances where id = $1").bind(instance.uuid()).execute(tx).await?;
    Ok(())
}

fn state_name(state: InstanceState) -> &'static str {
    match state {
        InstanceState::Creating => "creating",
        InstanceState::Running => "running",
        InstanceState::Faulty => "faulty",
        InstanceState::Starting => "starting",
        InstanceState::Restarting => "restarting",
        InstanceState::Freezing => "freezing",
        InstanceState::Frozen => "frozen",
        InstanceState::CreateFailed => "create-failed",
        InstanceState::Changing => "changing",
        InstanceState::ChangeFailed => "change-failed",
        InstanceState::Deleting => "deleting",
    }
}
