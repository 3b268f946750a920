//! The audit trail: lines are added, never changed, and each carries the hash of the chain up to it (`domain::audit`).

use crate::{
    domain::audit::{GENESIS, Line, chain},
    store::StoreError,
};
use control_plane_api::id::OrganisationId;
use sqlx::{PgConnection, Row, types::Json};

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
