//! Room of zones, and what brokers hold of it.
//!
//! Room is never guessed from an earlier read: whoever takes some locks the zones first ([`lock_zones`]) and counts
//! afterwards, so that of two orders for the last place the second sees the first.

use crate::{
    domain::placement::{PlacedBroker, Room, ZoneCapacity},
    store::{Connection, StoreError, SystemTx, TenantTx},
};
use chrono::{DateTime, Utc};
use control_plane_api::{catalogue::ZoneRoom, id::InstanceId};
use sqlx::FromRow;

#[derive(FromRow)]
struct ZoneRow {
    name: String,
    region: String,
    vcpus: i32,
    memory_gib: i32,
    storage_gb: i64,
    vcpus_used: i64,
    memory_gib_used: i64,
    storage_gb_used: i64,
    updated_at: DateTime<Utc>,
}

async fn rows(conn: &mut Connection) -> Result<Vec<ZoneRow>, StoreError> {
    Ok(sqlx::query_as(
        "select name, region, z.vcpus, z.memory_gib, z.storage_gb, coalesce(u.vcpus, 0) as vcpus_used,
                coalesce(u.memory_gib, 0) as memory_gib_used, coalesce(u.storage_gb, 0) as storage_gb_used, updated_at
         from zones z left join zone_use() u on u.zone = z.name order by name",
    )
    .fetch_all(conn)
    .await?)
}

/// All zones as they are now, in name order.
pub async fn zones(conn: &mut Connection) -> Result<Vec<ZoneCapacity>, StoreError> {
    let view = |row: ZoneRow| ZoneCapacity {
        name: row.name,
        region: row.region,
        total: Room {
            vcpus: u64::from(row.vcpus.unsigned_abs()),
            memory_gib: u64::from(row.memory_gib.unsigned_abs()),
            storage_gb: row.storage_gb.unsigned_abs(),
        },
        used: Room {
            vcpus: row.vcpus_used.unsigned_abs(),
            memory_gib: row.memory_gib_used.unsigned_abs(),
            storage_gb: row.storage_gb_used.unsigned_abs(),
        },
    };
    Ok(rows(conn).await?.into_iter().map(view).collect())
}

/// Room of all zones, for the operator.
pub async fn rooms(conn: &mut Connection) -> Result<Vec<ZoneRoom>, StoreError> {
    let small = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
    let view = |row: ZoneRow| ZoneRoom {
        zone: row.name,
        vcpus_total: row.vcpus.unsigned_abs(),
        vcpus_used: small(row.vcpus_used),
        memory_gib_total: row.memory_gib.unsigned_abs(),
        memory_gib_used: small(row.memory_gib_used),
        storage_gb_total: row.storage_gb.unsigned_abs(),
        storage_gb_used: row.storage_gb_used.unsigned_abs(),
        updated_at: row.updated_at,
    };
    Ok(rows(conn).await?.into_iter().map(view).collect())
}

/// Nobody else takes room of these zones until the transaction ends.
pub async fn lock_zones(tx: &mut TenantTx, names: &[String]) -> Result<(), StoreError> {
    sqlx::query("select lock_zones($1)").bind(names).execute(&mut **tx).await?;
    Ok(())
}

/// Takes `each` for every broker. The zones are locked, and have the room.
pub async fn reserve(
    tx: &mut TenantTx,
    instance: InstanceId,
    brokers: &[PlacedBroker],
    each: Room,
) -> Result<(), StoreError> {
    let org = tx.org();
    let small = |value: u64| i32::try_from(value).unwrap_or(i32::MAX);
    let (nodes, zones): (Vec<i32>, Vec<&str>) = brokers.iter().map(|b| (b.node_id, b.zone.as_str())).unzip();
    sqlx::query(
        "insert into reservations (instance_id, org_id, node_id, zone, vcpus, memory_gib, storage_gb)
         select $1, $2, node_id, zone, $5, $6, $7 from unnest($3::integer[], $4::text[]) as placed (node_id, zone)",
    )
    .bind(instance.uuid())
    .bind(org)
    .bind(nodes)
    .bind(zones)
    .bind(small(each.vcpus))
    .bind(small(each.memory_gib))
    .bind(small(each.storage_gb))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Adds the zone, or gives it other room; what is reserved stays. A zone does not change its region.
pub async fn put_zone(
    tx: &mut SystemTx,
    name: &str,
    region: &str,
    room: Room,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into zones (name, region, vcpus, memory_gib, storage_gb, updated_at) values ($1, $2, $3, $4, $5, $6)
         on conflict (name) do update
         set vcpus = excluded.vcpus, memory_gib = excluded.memory_gib, storage_gb = excluded.storage_gb,
             updated_at = excluded.updated_at",
    )
    .bind(name)
    .bind(region)
    .bind(i32::try_from(room.vcpus).unwrap_or(i32::MAX))
    .bind(i32::try_from(room.memory_gib).unwrap_or(i32::MAX))
    .bind(i64::try_from(room.storage_gb).unwrap_or(i64::MAX))
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
