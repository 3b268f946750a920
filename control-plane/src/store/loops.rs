//! What loops keep: who runs which shard, and what the catalogue says that nodes should be.
//!
//! For `sluice_system` only. A shard's lease says who works, not who may write: what a loop writes is true whoever
//! writes it, and is written only where the row still stands as the loop saw it.

use super::{Connection, StoreError};
use chrono::{DateTime, Utc};
use control_plane_api::{
    capacity::{CapacityLevel, CapacityNotice},
    id::InstanceId,
    instance::InstanceState,
};
use sqlx::{FromRow, types::Json};
use std::collections::BTreeSet;
use uuid::Uuid;

type Result<T> = std::result::Result<T, StoreError>;

/// A lease that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct LeaseRow {
    pub name: String,
    pub owner: String,
}

/// Every live lease.
pub async fn leases(tx: &mut Connection, now: DateTime<Utc>) -> Result<Vec<LeaseRow>> {
    Ok(sqlx::query_as("select name, owner from loop_leases where until > $1 order by name")
        .bind(now)
        .fetch_all(tx)
        .await?)
}

/// Takes or prolongs leases; tells the names that are ours now. What another replica holds stays its own.
pub async fn hold(
    tx: &mut Connection,
    names: &[String],
    owner: &str,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<BTreeSet<String>> {
    let held: Vec<String> = sqlx::query_scalar(
        "insert into loop_leases (name, owner, until) select name, $2, $3 from unnest($1::text[]) name order by name
         on conflict (name) do update set owner = $2, until = $3, fence = loop_leases.fence + 1
         where loop_leases.owner = $2 or loop_leases.until <= $4
         returning name",
    )
    .bind(names)
    .bind(owner)
    .bind(until)
    .bind(now)
    .fetch_all(tx)
    .await?;
    Ok(held.into_iter().collect())
}

/// Gives leases back.
pub async fn release(tx: &mut Connection, names: &[String], owner: &str) -> Result<()> {
    sqlx::query("delete from loop_leases where owner = $2 and name = any ($1)")
        .bind(names)
        .bind(owner)
        .execute(tx)
        .await?;
    Ok(())
}

/// Forgets leases that ended long ago: of replicas that are no more.
pub async fn forget_leases(tx: &mut Connection, before: DateTime<Utc>) -> Result<()> {
    sqlx::query("delete from loop_leases where until < $1").bind(before).execute(tx).await?;
    Ok(())
}

/// A broker that should be serving, as it was last recorded.
#[derive(Debug, Clone)]
pub struct WatchedBroker {
    pub instance: InstanceId,
    pub generation: u64,
    /// Of the code that made the specs of this generation.
    pub spec_revision: i32,
    pub instance_state: String,
    pub instance_reason: Option<String>,
    /// What was told last of how full the instance is.
    pub capacity_level: CapacityLevel,
    pub node_id: i32,
    pub state: String,
    pub reason: String,
}

#[derive(FromRow)]
struct RawWatched {
    id: Uuid,
    generation: i64,
    spec_revision: i32,
    instance_state: String,
    state_reason: Option<String>,
    capacity_notice: Option<Json<CapacityNotice>>,
    node_id: i32,
    state: String,
    reason: String,
}

/// Brokers of the shard's instances that run and that no exclusive job is changing, in order of instance and node.
pub async fn watched(tx: &mut Connection, shard: u32, shards: u32) -> Result<Vec<WatchedBroker>> {
    let rows: Vec<RawWatched> = sqlx::query_as(
        "select i.id, i.generation, i.spec_revision, i.state as instance_state, i.state_reason,
                i.capacity_notices -> -1 as capacity_notice, b.node_id, b.state, b.reason
         from instances i join brokers b on b.instance_id = i.id
         where i.state in ('running', 'faulty') and (hashtext(i.id::text) & 2147483647) % $2 = $1
               and not exists (select from jobs j where j.resource_id = i.id
                               and j.exclusive and j.state not in ('succeeded', 'failed', 'cancelled'))
         order by i.id, b.node_id",
    )
    .bind(i32::try_from(shard).unwrap_or(i32::MAX))
    .bind(i32::try_from(shards).unwrap_or(i32::MAX))
    .fetch_all(tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|raw| WatchedBroker {
            instance: InstanceId::from_uuid(raw.id),
            // Checked to be at least 1 by the table.
            generation: raw.generation.unsigned_abs(),
            spec_revision: raw.spec_revision,
            instance_state: raw.instance_state,
            instance_reason: raw.state_reason,
            capacity_level: raw.capacity_notice.map(|Json(notice)| notice.level).unwrap_or_default(),
            node_id: raw.node_id,
            state: raw.state,
            reason: raw.reason,
        })
        .collect())
}

/// Keeps it as the newest of so many.
pub async fn add_capacity_notice(
    tx: &mut Connection,
    instance: InstanceId,
    notice: &CapacityNotice,
    keep: u32,
) -> Result<()> {
    sqlx::query(
        "update instances set capacity_notices =
             jsonb_path_query_array(capacity_notices || $2, '$[last - $most to last]', jsonb_build_object('most', $3 - 1))
         where id = $1",
    )
    .bind(instance.uuid())
    .bind(Json(notice))
    .bind(i32::try_from(keep).unwrap_or(i32::MAX))
    .execute(tx)
    .await?;
    Ok(())
}

/// Gives the instance a new generation for specs that newer code makes otherwise; none when that was done already.
pub async fn revise(tx: &mut Connection, instance: InstanceId, revision: i32, now: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "update instances set generation = generation + 1, spec_revision = $2, updated_at = $3
         where id = $1 and spec_revision < $2",
    )
    .bind(instance.uuid())
    .bind(revision)
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}

/// Locks the instance until the transaction ends, if it still runs and no exclusive job is changing it.
pub async fn lock_if_idle(tx: &mut Connection, instance: InstanceId) -> Result<bool> {
    let found: Option<i32> = sqlx::query_scalar(
        "select 1 from instances i where i.id = $1 and i.state in ('running', 'faulty')
         and not exists (select from jobs j where j.resource_id = i.id and j.exclusive
                         and j.state not in ('succeeded', 'failed', 'cancelled'))
         for no key update",
    )
    .bind(instance.uuid())
    .fetch_optional(tx)
    .await?;
    Ok(found.is_some())
}

/// Every broker that has a right to a node: instance and node id.
pub async fn entitled(tx: &mut Connection) -> Result<BTreeSet<(InstanceId, i32)>> {
    let rows: Vec<(Uuid, i32)> = sqlx::query_as("select instance_id, node_id from brokers").fetch_all(tx).await?;
    Ok(rows.into_iter().map(|(instance, node_id)| (InstanceId::from_uuid(instance), node_id)).collect())
}

/// Whether a state is the recorded one.
pub fn same_state(recorded: &str, state: InstanceState) -> bool {
    serde_json::to_value(state).is_ok_and(|value| value == recorded)
}
