//! Keys that sign access tokens. The platform's: no tenant sees them.

use crate::store::StoreError;
use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, types::Json};

#[derive(Debug, Clone, FromRow)]
pub struct SigningKeyRecord {
    pub kid: String,
    pub private_key_sealed: Vec<u8>,
    pub public_jwk: Json<serde_json::Value>,
    pub signs_from: DateTime<Utc>,
    pub signs_until: DateTime<Utc>,
}

pub async fn list(conn: &mut PgConnection) -> Result<Vec<SigningKeyRecord>, StoreError> {
    Ok(sqlx::query_as(
        "select kid, private_key_sealed, public_jwk, signs_from, signs_until from signing_keys order by signs_until",
    )
    .fetch_all(conn)
    .await?)
}

/// Held until the transaction ends: one replica at a time makes keys.
pub async fn lock(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('platform-keys', 0))").execute(conn).await?;
    Ok(())
}

pub async fn insert(conn: &mut PgConnection, key: &SigningKeyRecord, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query(
        "insert into signing_keys (kid, private_key_sealed, public_jwk, created_at, signs_from, signs_until)
         values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(&key.kid)
    .bind(&key.private_key_sealed)
    .bind(&key.public_jwk)
    .bind(now)
    .bind(key.signs_from)
    .bind(key.signs_until)
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets keys that stopped signing before `before`; returns how many.
pub async fn prune(conn: &mut PgConnection, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let done = sqlx::query("delete from signing_keys where signs_until < $1").bind(before).execute(conn).await?;
    Ok(done.rows_affected())
}
