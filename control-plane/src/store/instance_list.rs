//! The list of instances: filters, orders, pages.

use crate::store::{
    StoreError, TenantTx,
    instances::{InstanceRecord, InstanceRow},
};
use chrono::{DateTime, Utc};
use control_plane_api::id::InstanceId;
use serde::{Deserialize, Serialize};

/// What the list is narrowed to; everything where empty.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Without any, creations that failed are left out: they have a list of their own.
    pub states: Vec<String>,
    pub name: Option<String>,
    pub id: Option<InstanceId>,
    /// Contained in `host:port` of a broker.
    pub address: Option<String>,
    pub spec: Option<String>,
    pub zone: Option<String>,
    /// Key and value.
    pub label: Option<(String, String)>,
    /// Contained in name or description, or the whole id.
    pub q: Option<String>,
    pub created_after: Option<DateTime<Utc>>,
    pub created_before: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Sort {
    #[default]
    #[serde(rename = "-created_at")]
    NewestFirst,
    #[serde(rename = "created_at")]
    OldestFirst,
    #[serde(rename = "name")]
    Name,
    #[serde(rename = "-name")]
    NameBackwards,
}

impl Sort {
    pub const ALL: [Self; 4] = [Self::NewestFirst, Self::OldestFirst, Self::Name, Self::NameBackwards];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::NewestFirst => "-created_at",
            Self::OldestFirst => "created_at",
            Self::Name => "name",
            Self::NameBackwards => "-name",
        }
    }
}

/// Place of a row in the list: the sort it belongs to, what that sorts by, and the id, which makes it unique.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub sort: Sort,
    pub created_at: DateTime<Utc>,
    pub name: String,
    pub id: InstanceId,
}

impl Place {
    pub fn of(record: &InstanceRecord, sort: Sort) -> Self {
        Self { sort, created_at: record.created_at, name: record.name.clone(), id: record.id }
    }
}

/// `text` as a LIKE pattern of what contains it.
fn containing(text: &str) -> String {
    format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"))
}

/// At most `limit` instances of the project after `after`.
pub async fn list(
    tx: &mut TenantTx,
    filter: &Filter,
    sort: Sort,
    after: Option<&Place>,
    limit: i64,
) -> Result<Vec<InstanceRecord>, StoreError> {
    let (org, project) = (tx.org(), tx.project());
    // A project holds some hundred instances at most (its quota), so that one statement for all orders costs nothing.
    let rows: Vec<InstanceRow> = sqlx::query_as(
        "select i.id, i.project_id, name, description, labels, i.state, state_reason, kafka_version, region, zones, spec,
                storage_gb, disk_type, capacity_policy, capacity_threshold_percent, max_connections, max_connections_per_ip,
                allowed_connections, access, connection_rates, topic_rates, deletion_protection, first_user, i.revision,
                j.id as active_job, i.created_at, i.updated_at
         from instances i
         left join jobs j on j.resource_id = i.id and j.state not in ('succeeded', 'failed', 'cancelled')
         where i.org_id = $1 and i.project_id = $2
           and (case when cardinality($3::text[]) = 0 then i.state <> 'create-failed' else i.state = any ($3) end)
           and ($4::text is null or name = $4)
           and ($5::uuid is null or i.id = $5)
           and ($6::text is null or exists (select from brokers b where b.instance_id = i.id
                    and (b.host || ':9092' like $6 or b.host || ':9093' like $6
                         or b.public_host || ':9094' like $6 or b.public_host || ':9095' like $6)))
           and ($7::text is null or spec ->> 'name' = $7)
           and ($8::text is null or $8 = any (zones))
           and ($9::text is null or labels ->> $9 = $10)
           and ($11::text is null or name ilike $11 or description ilike $11 or i.id = $12)
           and ($13::timestamptz is null or i.created_at > $13)
           and ($14::timestamptz is null or i.created_at < $14)
           and ($16::uuid is null or case $15
                    when 'created_at' then (i.created_at, i.id) > ($17::timestamptz, $16)
                    when 'name' then (name, i.id) > ($18::text, $16)
                    when '-name' then (name, i.id) < ($18::text, $16)
                    else (i.created_at, i.id) < ($17::timestamptz, $16) end)
         order by case $15 when 'created_at' then i.created_at end, case $15 when '-created_at' then i.created_at end desc,
                  case $15 when 'name' then name end, case $15 when '-name' then name end desc,
                  case when $15 in ('created_at', 'name') then i.id end, i.id desc
         limit $19",
    )
    .bind(org)
    .bind(project)
    .bind(&filter.states)
    .bind(&filter.name)
    .bind(filter.id.map(InstanceId::uuid))
    .bind(filter.address.as_deref().map(containing))
    .bind(&filter.spec)
    .bind(&filter.zone)
    .bind(filter.label.as_ref().map(|(key, _)| key))
    .bind(filter.label.as_ref().map(|(_, value)| value))
    .bind(filter.q.as_deref().map(containing))
    .bind(filter.q.as_deref().and_then(|q| q.parse().ok()).map(InstanceId::uuid))
    .bind(filter.created_after)
    .bind(filter.created_before)
    .bind(sort.as_str())
    .bind(after.map(|place| place.id.uuid()))
    .bind(after.map(|place| place.created_at))
    .bind(after.map(|place| place.name.as_str()))
    .bind(limit)
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// How many instances the filter leaves.
pub async fn count(tx: &mut TenantTx, filter: &Filter) -> Result<u64, StoreError> {
    let (org, project) = (tx.org(), tx.project());
    let rows: i64 = sqlx::query_scalar(
        "select count(*) from instances i
         where i.org_id = $1 and i.project_id = $2
           and (case when cardinality($3::text[]) = 0 then i.state <> 'create-failed' else i.state = any ($3) end)
           and ($4::text is null or name = $4)
           and ($5::uuid is null or i.id = $5)
           and ($6::text is null or exists (select from brokers b where b.instance_id = i.id
                    and (b.host || ':9092' like $6 or b.host || ':9093' like $6
                         or b.public_host || ':9094' like $6 or b.public_host || ':9095' like $6)))
           and ($7::text is null or spec ->> 'name' = $7)
           and ($8::text is null or $8 = any (zones))
           and ($9::text is null or labels ->> $9 = $10)
           and ($11::text is null or name ilike $11 or description ilike $11 or i.id = $12)
           and ($13::timestamptz is null or i.created_at > $13)
           and ($14::timestamptz is null or i.created_at < $14)",
    )
    .bind(org)
    .bind(project)
    .bind(&filter.states)
    .bind(&filter.name)
    .bind(filter.id.map(InstanceId::uuid))
    .bind(filter.address.as_deref().map(containing))
    .bind(&filter.spec)
    .bind(&filter.zone)
    .bind(filter.label.as_ref().map(|(key, _)| key))
    .bind(filter.label.as_ref().map(|(_, value)| value))
    .bind(filter.q.as_deref().map(containing))
    .bind(filter.q.as_deref().and_then(|q| q.parse().ok()).map(InstanceId::uuid))
    .bind(filter.created_after)
    .bind(filter.created_before)
    .fetch_one(&mut **tx)
    .await?;
    Ok(rows.unsigned_abs())
}
