//! Brokers of instances: where they stand and how they are.

use crate::store::{StoreError, TenantTx};
use chrono::{DateTime, Utc};
use control_plane_api::{id::InstanceId, instance::Broker};
use sqlx::FromRow;
use std::collections::HashMap;
use uuid::Uuid;

/// A broker of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBroker {
    pub node_id: i32,
    pub zone: String,
    /// Kafka's directory id (KIP-853): 22 characters of URL-safe base64.
    pub directory_id: String,
}

pub async fn insert(
    tx: &mut TenantTx,
    instance: InstanceId,
    brokers: &[NewBroker],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let org = tx.org();
    let nodes: Vec<i32> = brokers.iter().map(|broker| broker.node_id).collect();
    let zones: Vec<&str> = brokers.iter().map(|broker| broker.zone.as_str()).collect();
    let directories: Vec<&str> = brokers.iter().map(|broker| broker.directory_id.as_str()).collect();
    sqlx::query(
        "insert into brokers (instance_id, org_id, node_id, zone, directory_id, updated_at)
         select $1, $2, node_id, zone, directory_id, $6
         from unnest($3::integer[], $4::text[], $5::text[]) as placed (node_id, zone, directory_id)",
    )
    .bind(instance.uuid())
    .bind(org)
    .bind(nodes)
    .bind(zones)
    .bind(directories)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

#[derive(FromRow)]
struct BrokerRow {
    instance_id: Uuid,
    node_id: i32,
    zone: String,
    host: Option<String>,
    public_host: Option<String>,
    state: String,
}

/// Brokers of each of these instances, by node id. The host is empty until the driver has given one.
pub async fn list(tx: &mut TenantTx, instances: &[InstanceId]) -> Result<HashMap<InstanceId, Vec<Broker>>, StoreError> {
    let org = tx.org();
    let ids: Vec<Uuid> = instances.iter().map(|id| id.uuid()).collect();
    let rows: Vec<BrokerRow> = sqlx::query_as(
        "select instance_id, node_id, zone, host, public_host, state from brokers
         where org_id = $1 and instance_id = any ($2) order by instance_id, node_id",
    )
    .bind(org)
    .bind(ids)
    .fetch_all(&mut **tx)
    .await?;
    let mut brokers: HashMap<InstanceId, Vec<Broker>> = HashMap::new();
    for row in rows {
        let broker = Broker {
            id: row.node_id,
            zone: row.zone,
            host: row.host.unwrap_or_default(),
            public_host: row.public_host,
            state: row.state,
        };
        brokers.entry(InstanceId::from_uuid(row.instance_id)).or_default().push(broker);
    }
    Ok(brokers)
}
