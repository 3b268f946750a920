//! Data keys, wrapped by a master key (`secrets`). The platform's: no tenant sees them.

use crate::{secrets::WrappedDataKey, store::StoreError};
use sqlx::{FromRow, PgConnection};

#[derive(FromRow)]
struct DataKeyRow {
    id: i32,
    master_key_id: String,
    wrapped: Vec<u8>,
    active: bool,
}

pub async fn list(conn: &mut PgConnection) -> Result<Vec<WrappedDataKey>, StoreError> {
    let rows: Vec<DataKeyRow> =
        sqlx::query_as("select id, master_key_id, wrapped, active from data_keys order by id").fetch_all(conn).await?;
    Ok(rows
        .into_iter()
        .map(|row| WrappedDataKey {
            id: row.id,
            master_key_id: row.master_key_id,
            wrapped: row.wrapped,
            active: row.active,
        })
        .collect())
}

/// Adds a key and returns its id.
pub async fn insert(
    conn: &mut PgConnection,
    master_key_id: &str,
    wrapped: &[u8],
    active: bool,
) -> Result<i32, StoreError> {
    Ok(sqlx::query_scalar("insert into data_keys (master_key_id, wrapped, active) values ($1, $2, $3) returning id")
        .bind(master_key_id)
        .bind(wrapped)
        .bind(active)
        .fetch_one(conn)
        .await?)
}

/// The same key, wrapped by another master key.
pub async fn rewrap(conn: &mut PgConnection, id: i32, master_key_id: &str, wrapped: &[u8]) -> Result<(), StoreError> {
    sqlx::query("update data_keys set master_key_id = $2, wrapped = $3 where id = $1")
        .bind(id)
        .bind(master_key_id)
        .bind(wrapped)
        .execute(conn)
        .await?;
    Ok(())
}

/// From now on `id` seals.
pub async fn activate(conn: &mut PgConnection, id: i32) -> Result<(), StoreError> {
    sqlx::query("update data_keys set active = false where active").execute(&mut *conn).await?;
    sqlx::query("update data_keys set active = true where id = $1").bind(id).execute(conn).await?;
    Ok(())
}

/// Forgets keys that seal nothing any more.
pub async fn delete_others(conn: &mut PgConnection, id: i32) -> Result<u64, StoreError> {
    let done = sqlx::query("delete from data_keys where id <> $1 and not active").bind(id).execute(conn).await?;
    Ok(done.rows_affected())
}
