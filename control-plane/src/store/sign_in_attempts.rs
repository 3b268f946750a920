//! Failed sign-ins in a row, by hash of the e-mail address.

use crate::store::{StoreError, SystemTx};
use chrono::{DateTime, Duration, Utc};
use sqlx::{FromRow, PgConnection};

/// Failures are forgotten when none followed for this long.
const FORGOTTEN_AFTER: Duration = Duration::hours(24);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    pub failures: i32,
    pub locked_until: Option<DateTime<Utc>>,
}

#[derive(FromRow)]
struct AttemptsRow {
    failures: i32,
    locked_until: Option<DateTime<Utc>>,
    last_at: DateTime<Utc>,
}

/// The attempts of an address, which nobody else counts until the transaction ends.
pub async fn lock(tx: &mut SystemTx, email_hash: &[u8; 32], now: DateTime<Utc>) -> Result<Attempts, StoreError> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('sign-in:' || encode($1, 'hex'), 0))")
        .bind(email_hash.as_slice())
        .execute(&mut **tx)
        .await?;
    let row: Option<AttemptsRow> =
        sqlx::query_as("select failures, locked_until, last_at from sign_in_attempts where email_hash = $1")
            .bind(email_hash.as_slice())
            .fetch_optional(&mut **tx)
            .await?;
    Ok(match row {
        Some(row) if row.last_at + FORGOTTEN_AFTER > now => {
            Attempts { failures: row.failures, locked_until: row.locked_until }
        }
        _ => Attempts { failures: 0, locked_until: None },
    })
}

pub async fn put(
    tx: &mut SystemTx,
    email_hash: &[u8; 32],
    failures: i32,
    locked_until: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into sign_in_attempts (email_hash, failures, locked_until, last_at) values ($1, $2, $3, $4)
         on conflict (email_hash) do update
         set failures = excluded.failures, locked_until = excluded.locked_until, last_at = excluded.last_at",
    )
    .bind(email_hash.as_slice())
    .bind(failures)
    .bind(locked_until)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub async fn forget(conn: &mut PgConnection, email_hash: &[u8; 32]) -> Result<(), StoreError> {
    sqlx::query("delete from sign_in_attempts where email_hash = $1").bind(email_hash.as_slice()).execute(conn).await?;
    Ok(())
}

/// Forgets what has grown too old to count; returns how many.
pub async fn prune(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let done = sqlx::query("delete from sign_in_attempts where last_at < $1")
        .bind(now - FORGOTTEN_AFTER)
        .execute(conn)
        .await?;
    Ok(done.rows_affected())
}
