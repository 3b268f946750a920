//! Answers kept for repeats of a request, one a key, principal and project (the organisation where a path has no project).

use crate::store::{StoreError, TenantTx};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

pub fn scope_id(tx: &TenantTx) -> Uuid {
    tx.project().unwrap_or(tx.org())
}

/// Takes the key until the transaction ends; false when another transaction has it.
pub async fn lock(tx: &mut TenantTx, principal: &str, key: &str) -> Result<bool, StoreError> {
    let name = format!("idempotency:{}:{principal}:{key}", scope_id(tx));
    let taken = sqlx::query_scalar("select pg_try_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(name)
        .fetch_one(&mut **tx)
        .await?;
    Ok(taken)
}

/// The sealed answer of a request made at or after `not_before`.
pub async fn find(
    tx: &mut TenantTx,
    principal: &str,
    key: &str,
    not_before: DateTime<Utc>,
) -> Result<Option<Vec<u8>>, StoreError> {
    let scope = scope_id(tx);
    let found = sqlx::query_scalar(
        "select answer_sealed from idempotency_keys
         where scope_id = $1 and principal = $2 and key = $3 and created_at >= $4",
    )
    .bind(scope)
    .bind(principal)
    .bind(key)
    .bind(not_before)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(found)
}

/// Keeps an answer, in place of one that has grown too old.
pub async fn put(
    tx: &mut TenantTx,
    principal: &str,
    key: &str,
    sealed: &[u8],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let (org, scope) = (tx.org(), scope_id(tx));
    sqlx::query(
        "insert into idempotency_keys (org_id, scope_id, principal, key, answer_sealed, created_at)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (scope_id, principal, key) do update
         set answer_sealed = excluded.answer_sealed, created_at = excluded.created_at",
    )
    .bind(org)
    .bind(scope)
    .bind(principal)
    .bind(key)
    .bind(sealed)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Forgets a key.
pub async fn forget(tx: &mut TenantTx, principal: &str, key: &str) -> Result<(), StoreError> {
    let scope = scope_id(tx);
    sqlx::query("delete from idempotency_keys where scope_id = $1 and principal = $2 and key = $3")
        .bind(scope)
        .bind(principal)
        .bind(key)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Forgets answers from before `before`; returns how many.
pub async fn prune(conn: &mut PgConnection, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let done = sqlx::query("delete from idempotency_keys where created_at < $1").bind(before).execute(conn).await?;
    Ok(done.rows_affected())
}
