//! What can be bought. Read by both roles, written by the operator.

use crate::{
    domain::catalogue::Catalogue,
    store::{Connection, StoreError, SystemTx, capacity},
};
use control_plane_api::{
    catalogue::{DiskTps, DiskType, KafkaVersion, PutKafkaVersion, PutSpec, Spec},
    money::Amount,
};
use sqlx::{FromRow, types::Json};

/// Sizes and counts are positive by CHECK.
fn unsigned(value: i32) -> u32 {
    value.unsigned_abs()
}

/// Bound by the API to what an `integer` holds.
fn signed(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

#[derive(FromRow)]
struct SpecRow {
    name: String,
    bandwidth_mb_per_s: i32,
    brokers: i32,
    broker_vcpus: i32,
    broker_memory_gib: i32,
    disk_types: Vec<String>,
    tps_high_throughput: i32,
    tps_synchronous_replication: Json<Vec<DiskTps>>,
    partitions: i32,
    client_connections: i32,
    consumer_groups: i32,
    advised_traffic_mb_per_s: i32,
    storage_gb_min: i32,
    storage_gb_max: i32,
    month: i64,
    hour: i64,
    available: bool,
}

impl From<SpecRow> for Spec {
    fn from(row: SpecRow) -> Self {
        Self {
            name: row.name,
            bandwidth_mb_per_s: unsigned(row.bandwidth_mb_per_s),
            brokers: unsigned(row.brokers),
            broker_vcpus: unsigned(row.broker_vcpus),
            broker_memory_gib: unsigned(row.broker_memory_gib),
            disk_types: row.disk_types,
            tps_high_throughput: unsigned(row.tps_high_throughput),
            tps_synchronous_replication: row.tps_synchronous_replication.0,
            partitions: unsigned(row.partitions),
            client_connections: unsigned(row.client_connections),
            consumer_groups: unsigned(row.consumer_groups),
            advised_traffic_mb_per_s: unsigned(row.advised_traffic_mb_per_s),
            storage_gb_min: unsigned(row.storage_gb_min),
            storage_gb_max: unsigned(row.storage_gb_max),
            price_per_month: Amount::from_ten_thousandths(row.month),
            price_per_hour: Amount::from_ten_thousandths(row.hour),
            available: row.available,
        }
    }
}

/// By bandwidth, as price lists are read.
pub async fn specs(conn: &mut Connection) -> Result<Vec<Spec>, StoreError> {
    let rows: Vec<SpecRow> = sqlx::query_as(
        "select name, bandwidth_mb_per_s, brokers, broker_vcpus, broker_memory_gib, disk_types, tps_high_throughput,
                tps_synchronous_replication, partitions, client_connections, consumer_groups, advised_traffic_mb_per_s,
                storage_gb_min, storage_gb_max, (price_per_month * 10000)::bigint as month,
                (price_per_hour * 10000)::bigint as hour, available
         from specs order by bandwidth_mb_per_s, name",
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

#[derive(FromRow)]
struct DiskTypeRow {
    name: String,
    title: String,
    latency_ms: String,
    throughput_mb_per_s: i32,
    month: i64,
    hour: i64,
    available: bool,
}

pub async fn disk_types(conn: &mut Connection) -> Result<Vec<DiskType>, StoreError> {
    let rows: Vec<DiskTypeRow> = sqlx::query_as(
        "select name, title, latency_ms, throughput_mb_per_s, (price_per_gb_month * 10000)::bigint as month,
                (price_per_gb_hour * 10000)::bigint as hour, available
         from disk_types order by name",
    )
    .fetch_all(conn)
    .await?;
    let view = |row: DiskTypeRow| DiskType {
        name: row.name,
        title: row.title,
        latency_ms: row.latency_ms,
        throughput_mb_per_s: unsigned(row.throughput_mb_per_s),
        price_per_gb_month: Amount::from_ten_thousandths(row.month),
        price_per_gb_hour: Amount::from_ten_thousandths(row.hour),
        available: row.available,
    };
    Ok(rows.into_iter().map(view).collect())
}

/// The newest first.
pub async fn kafka_versions(conn: &mut Connection) -> Result<Vec<KafkaVersion>, StoreError> {
    let rows: Vec<(String, bool, String, bool)> = sqlx::query_as(
        "select version, is_default, oldest_client, available from kafka_versions
         order by string_to_array(version, '.')::integer[] desc",
    )
    .fetch_all(conn)
    .await?;
    let view =
        |(version, default, oldest_client, available)| KafkaVersion { version, default, oldest_client, available };
    Ok(rows.into_iter().map(view).collect())
}

/// Name and title of each region.
pub async fn regions(conn: &mut Connection) -> Result<Vec<(String, String)>, StoreError> {
    Ok(sqlx::query_as("select name, title from regions order by name").fetch_all(conn).await?)
}

/// Everything together, retired entries too, with what is used of each zone now.
pub async fn load(conn: &mut Connection) -> Result<Catalogue, StoreError> {
    Ok(Catalogue {
        specs: specs(conn).await?,
        disk_types: disk_types(conn).await?,
        kafka_versions: kafka_versions(conn).await?,
        zones: capacity::zones(conn).await?,
    })
}

/// Adds the spec, or changes it for orders to come.
pub async fn put_spec(tx: &mut SystemTx, name: &str, spec: &PutSpec) -> Result<(), StoreError> {
    sqlx::query(
        "insert into specs (name, bandwidth_mb_per_s, brokers, broker_vcpus, broker_memory_gib, disk_types,
             tps_high_throughput, tps_synchronous_replication, partitions, client_connections, consumer_groups,
             advised_traffic_mb_per_s, storage_gb_min, storage_gb_max, price_per_month, price_per_hour, available)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15::bigint / 10000.0, $16::bigint / 10000.0, $17)
         on conflict (name) do update set (bandwidth_mb_per_s, brokers, broker_vcpus, broker_memory_gib, disk_types,
             tps_high_throughput, tps_synchronous_replication, partitions, client_connections, consumer_groups,
             advised_traffic_mb_per_s, storage_gb_min, storage_gb_max, price_per_month, price_per_hour, available)
           = (excluded.bandwidth_mb_per_s, excluded.brokers, excluded.broker_vcpus, excluded.broker_memory_gib,
             excluded.disk_types, excluded.tps_high_throughput, excluded.tps_synchronous_replication, excluded.partitions,
             excluded.client_connections, excluded.consumer_groups, excluded.advised_traffic_mb_per_s,
             excluded.storage_gb_min, excluded.storage_gb_max, excluded.price_per_month, excluded.price_per_hour,
             excluded.available)",
    )
    .bind(name)
    .bind(signed(spec.bandwidth_mb_per_s))
    .bind(signed(spec.brokers))
    .bind(signed(spec.broker_vcpus))
    .bind(signed(spec.broker_memory_gib))
    .bind(&spec.disk_types)
    .bind(signed(spec.tps_high_throughput))
    .bind(Json(&spec.tps_synchronous_replication))
    .bind(signed(spec.partitions))
    .bind(signed(spec.client_connections))
    .bind(signed(spec.consumer_groups))
    .bind(signed(spec.advised_traffic_mb_per_s))
    .bind(signed(spec.storage_gb_min))
    .bind(signed(spec.storage_gb_max))
    .bind(spec.price_per_month.ten_thousandths())
    .bind(spec.price_per_hour.ten_thousandths())
    .bind(spec.available)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Adds the version, or changes it for orders to come. A new default takes the place of the old one.
pub async fn put_kafka_version(tx: &mut SystemTx, version: &str, put: &PutKafkaVersion) -> Result<(), StoreError> {
    if put.default {
        sqlx::query("update kafka_versions set is_default = false where is_default and version <> $1")
            .bind(version)
            .execute(&mut **tx)
            .await?;
    }
    sqlx::query(
        "insert into kafka_versions (version, is_default, oldest_client, available) values ($1, $2, $3, $4)
         on conflict (version) do update
         set is_default = excluded.is_default, oldest_client = excluded.oldest_client, available = excluded.available",
    )
    .bind(version)
    .bind(put.default)
    .bind(&put.oldest_client)
    .bind(put.available)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Adds the region, or gives it another title.
pub async fn put_region(tx: &mut SystemTx, name: &str, title: &str) -> Result<(), StoreError> {
    sqlx::query(
        "insert into regions (name, title) values ($1, $2) on conflict (name) do update set title = excluded.title",
    )
    .bind(name)
    .bind(title)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
