//! The audit trail: lines are added, never changed, and each carries the hash of the chain up to it (`domain::audit`).

use crate::{
    domain::audit::{GENESIS, Line, chain},
    store::{StoreError, TenantTx},
};
use chrono::{DateTime, Utc};
use control_plane_api::id::OrganisationId;
use sqlx::{FromRow, PgConnection, Row, types::Json};
use uuid::Uuid;

/// A line to add.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    pub organisation: OrganisationId,
    pub line: Line,
}

/// Adds a line at the end of its organisation's chain. Writers of one organisation wait for each other from here to
/// their commit: call it last.
pub async fn append(conn: &mut PgConnection, event: &NewEvent) -> Result<(), StoreError> {
    let (org, line) = (event.organisation.uuid(), &event.line);
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("audit:{org}"))
        .execute(&mut *conn)
        .await?;
    let last = sqlx::query("select seq, hash from audit_events where org_id = $1 order by seq desc limit 1")
        .bind(org)
        .fetch_optional(&mut *conn)
        .await?;
    let (seq, previous) = match last {
        None => (1, GENESIS.to_vec()),
        Some(row) => (row.try_get::<i64, _>("seq")? + 1, row.try_get::<Vec<u8>, _>("hash")?),
    };
    let hash = chain(&previous, org, seq, line);
    sqlx::query(
        "insert into audit_events (id, org_id, seq, project_id, actor, action, resource_type, resource_id, result, problem_code,
             source_ip, user_agent, request_id, job_id, detail, created_at, previous_hash, hash)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
    )
    .bind(line.id)
    .bind(org)
    .bind(seq)
    .bind(line.project_id)
    .bind(&line.actor)
    .bind(&line.action)
    .bind(&line.resource_type)
    .bind(&line.resource_id)
    .bind(&line.result)
    .bind(&line.problem_code)
    .bind(&line.source_ip)
    .bind(&line.user_agent)
    .bind(&line.request_id)
    .bind(line.job_id)
    .bind(Json(&line.detail))
    .bind(line.created_at)
    .bind(previous)
    .bind(hash.as_slice())
    .execute(conn)
    .await?;
    Ok(())
}

/// A line with its place in the chain, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    pub organisation: OrganisationId,
    pub seq: i64,
    pub line: Line,
    pub previous_hash: Vec<u8>,
    pub hash: Vec<u8>,
}

#[derive(FromRow)]
struct EventRow {
    id: Uuid,
    org_id: Uuid,
    seq: i64,
    project_id: Option<Uuid>,
    actor: String,
    action: String,
    resource_type: Option<String>,
    resource_id: Option<String>,
    result: String,
    problem_code: Option<String>,
    source_ip: Option<String>,
    user_agent: Option<String>,
    request_id: String,
    job_id: Option<Uuid>,
    detail: Json<serde_json::Value>,
    created_at: DateTime<Utc>,
    previous_hash: Vec<u8>,
    hash: Vec<u8>,
}

impl From<EventRow> for StoredEvent {
    fn from(row: EventRow) -> Self {
        Self {
            organisation: OrganisationId::from_uuid(row.org_id),
            seq: row.seq,
            line: Line {
                id: row.id,
                project_id: row.project_id,
                actor: row.actor,
                action: row.action,
                resource_type: row.resource_type,
                resource_id: row.resource_id,
                result: row.result,
                problem_code: row.problem_code,
                source_ip: row.source_ip,
                user_agent: row.user_agent,
                request_id: row.request_id,
                job_id: row.job_id,
                detail: row.detail.0,
                created_at: row.created_at,
            },
            previous_hash: row.previous_hash,
            hash: row.hash,
        }
    }
}

/// Lines of all organisations in the order of their chains, after the line named: to check them.
pub async fn walk(
    conn: &mut PgConnection,
    after: Option<(OrganisationId, i64)>,
    limit: i64,
) -> Result<Vec<StoredEvent>, StoreError> {
    let (org, seq) = after.map(|(org, seq)| (org.uuid(), seq)).unwrap_or((Uuid::nil(), i64::MIN));
    let rows: Vec<EventRow> = sqlx::query_as(
        "select id, org_id, seq, project_id, actor, action, resource_type, resource_id, result, problem_code, source_ip, user_agent,
             request_id, job_id, detail, created_at, previous_hash, hash
         from audit_events where (org_id, seq) > ($1, $2) order by org_id, seq limit $3",
    )
    .bind(org)
    .bind(seq)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// What to look for; everything that is `None` matches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    pub actor: Option<String>,
    pub action: Option<String>,
    pub resource_id: Option<String>,
    pub result: Option<String>,
    pub from: Option<DateTime<Utc>>,
    pub to: Option<DateTime<Utc>>,
}

/// Lines of the transaction's project, or of the whole organisation when it has none, newest first, before the line numbered
/// `before`.
pub async fn list(
    tx: &mut TenantTx,
    filter: &EventFilter,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<StoredEvent>, StoreError> {
    let (org, project) = (tx.org(), tx.project());
    let rows: Vec<EventRow> = sqlx::query_as(
        "select id, org_id, seq, project_id, actor, action, resource_type, resource_id, result, problem_code, source_ip, user_agent,
             request_id, job_id, detail, created_at, previous_hash, hash
         from audit_events
         where org_id = $1 and ($2::uuid is null or project_id = $2) and ($3::bigint is null or seq < $3)
             and ($4::text is null or actor = $4) and ($5::text is null or action = $5)
             and ($6::text is null or resource_id = $6) and ($7::text is null or result = $7)
             and ($8::timestamptz is null or created_at >= $8) and ($9::timestamptz is null or created_at < $9)
         order by seq desc limit $10",
    )
    .bind(org)
    .bind(project)
    .bind(before)
    .bind(&filter.actor)
    .bind(&filter.action)
    .bind(&filter.resource_id)
    .bind(&filter.result)
    .bind(filter.from)
    .bind(filter.to)
    .bind(limit)
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// How many lines match.
pub async fn count(tx: &mut TenantTx, filter: &EventFilter) -> Result<u64, StoreError> {
    let (org, project) = (tx.org(), tx.project());
    let count: i64 = sqlx::query_scalar(
        "select count(*) from audit_events
         where org_id = $1 and ($2::uuid is null or project_id = $2)
             and ($3::text is null or actor = $3) and ($4::text is null or action = $4)
             and ($5::text is null or resource_id = $5) and ($6::text is null or result = $6)
             and ($7::timestamptz is null or created_at >= $7) and ($8::timestamptz is null or created_at < $8)",
    )
    .bind(org)
    .bind(project)
    .bind(&filter.actor)
    .bind(&filter.action)
    .bind(&filter.resource_id)
    .bind(&filter.result)
    .bind(filter.from)
    .bind(filter.to)
    .fetch_one(&mut **tx)
    .await?;
    Ok(count.unsigned_abs())
}
