//! Kafka users of instances: who there is, who is disabled, and at which generation earlier logins ended.
//!
//! No passwords: those are Kafka's. A deleted user's row stays, unseen, until the next user's logins end: it tells every
//! node to close what the user had open.

use crate::store::{Connection, StoreError, TenantTx};
use chrono::{DateTime, Utc};
use control_plane_api::id::InstanceId;
use sqlx::FromRow;

#[derive(Debug, Clone, FromRow)]
pub struct KafkaUserRecord {
    pub name: String,
    pub disabled: bool,
    pub created_by: Option<String>,
    pub revision: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// By name, those after `after`.
pub async fn list(
    tx: &mut TenantTx,
    instance: InstanceId,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<KafkaUserRecord>, StoreError> {
    let org = tx.org();
    Ok(sqlx::query_as(
        "select name, disabled, created_by, revision, created_at, updated_at from kafka_users
         where org_id = $1 and instance_id = $2 and not deleted and ($3::text is null or name > $3)
         order by name limit $4",
    )
    .bind(org)
    .bind(instance.uuid())
    .bind(after)
    .bind(limit)
    .fetch_all(&mut **tx)
    .await?)
}

pub async fn count(tx: &mut TenantTx, instance: InstanceId) -> Result<u64, StoreError> {
    let org = tx.org();
    let users: i64 =
        sqlx::query_scalar("select count(*) from kafka_users where org_id = $1 and instance_id = $2 and not deleted")
            .bind(org)
            .bind(instance.uuid())
            .fetch_one(&mut **tx)
            .await?;
    Ok(users.unsigned_abs())
}

pub async fn find(tx: &mut TenantTx, instance: InstanceId, name: &str) -> Result<Option<KafkaUserRecord>, StoreError> {
    let org = tx.org();
    Ok(sqlx::query_as(
        "select name, disabled, created_by, revision, created_at, updated_at from kafka_users
         where org_id = $1 and instance_id = $2 and name = $3 and not deleted",
    )
    .bind(org)
    .bind(instance.uuid())
    .bind(name)
    .fetch_optional(&mut **tx)
    .await?)
}

/// The name is free. A deleted user's row is taken over, with the end of the old logins.
pub async fn insert(
    tx: &mut TenantTx,
    instance: InstanceId,
    name: &str,
    created_by: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let org = tx.org();
    sqlx::query(
        "insert into kafka_users (instance_id, org_id, name, created_by, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $5)
         on conflict (instance_id, name) do update set deleted = false, created_by = excluded.created_by,
             revision = kafka_users.revision + 1, created_at = excluded.created_at, updated_at = excluded.updated_at",
    )
    .bind(instance.uuid())
    .bind(org)
    .bind(name)
    .bind(created_by)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Refuses the user, or lets it in again, in a new generation of the instance. What is open when it is refused ends, also
/// on a node that only hears of it after the user was let in again.
pub async fn set_disabled(
    tx: &mut TenantTx,
    instance: InstanceId,
    name: &str,
    disabled: bool,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let org = tx.org();
    sqlx::query(
        "with raised as (
             update instances set generation = generation + 1, updated_at = $5 where org_id = $1 and id = $2
             returning generation
         )
         update kafka_users set disabled = $4, revision = revision + 1, updated_at = $5,
                logins_since = case when $4 then raised.generation else logins_since end
         from raised where org_id = $1 and instance_id = $2 and name = $3",
    )
    .bind(org)
    .bind(instance.uuid())
    .bind(name)
    .bind(disabled)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The user gets another password: its version is another one.
pub async fn touch(tx: &mut TenantTx, instance: InstanceId, name: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
    let org = tx.org();
    sqlx::query(
        "update kafka_users set revision = revision + 1, updated_at = $4
         where org_id = $1 and instance_id = $2 and name = $3",
    )
    .bind(org)
    .bind(instance.uuid())
    .bind(name)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Tenants see the user no more. What nodes are told stays as it is until [`end_logins`].
pub async fn mark_deleted(
    tx: &mut TenantTx,
    instance: InstanceId,
    name: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let org = tx.org();
    sqlx::query(
        "update kafka_users set deleted = true, revision = revision + 1, updated_at = $4
         where org_id = $1 and instance_id = $2 and name = $3",
    )
    .bind(org)
    .bind(instance.uuid())
    .bind(name)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// For jobs, once Kafka has the new password or the user no more: the user's logins up to now end, in a new generation.
/// Deleted users whose end every node has been told of by earlier jobs are forgotten.
pub async fn end_logins(
    tx: &mut Connection,
    instance: InstanceId,
    name: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query(
        "with raised as (
             update instances set generation = generation + 1, updated_at = $3 where id = $1 returning generation
         ), forgotten as (
             delete from kafka_users where instance_id = $1 and deleted and name <> $2
         )
         update kafka_users set logins_since = raised.generation, disabled = disabled and not deleted
         from raised where instance_id = $1 and name = $2",
    )
    .bind(instance.uuid())
    .bind(name)
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}

/// For jobs: an instance that is gone has no users.
pub async fn release(tx: &mut Connection, instance: InstanceId) -> Result<(), StoreError> {
    sqlx::query("delete from kafka_users where instance_id = $1").bind(instance.uuid()).execute(tx).await?;
    Ok(())
}
