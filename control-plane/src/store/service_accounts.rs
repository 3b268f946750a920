//! Service accounts of a project, with their keys.

use crate::store::{StoreError, TenantTx, sessions::parse_role};
use chrono::{DateTime, Utc};
use control_plane_api::{
    id::{ApiKeyId, ServiceAccountId},
    tenancy::Role,
};
use sqlx::FromRow;
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRecord {
    pub id: ServiceAccountId,
    pub name: String,
    pub role: Role,
    pub description: String,
    pub revision: i64,
    pub created_at: DateTime<Utc>,
}

#[derive(FromRow)]
struct AccountRow {
    id: Uuid,
    name: String,
    role: String,
    description: String,
    revision: i64,
    created_at: DateTime<Utc>,
}

impl TryFrom<AccountRow> for AccountRecord {
    type Error = StoreError;

    fn try_from(row: AccountRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: ServiceAccountId::from_uuid(row.id),
            name: row.name,
            role: parse_role("service_accounts", &row.role)?,
            description: row.description,
            revision: row.revision,
            created_at: row.created_at,
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    pub id: ApiKeyId,
    pub account: ServiceAccountId,
    pub description: String,
    pub hint: String,
    pub scopes: Vec<String>,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

#[derive(FromRow)]
struct KeyRow {
    id: Uuid,
    service_account_id: Uuid,
    description: String,
    hint: String,
    scopes: Vec<String>,
    expires_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl From<KeyRow> for KeyRecord {
    fn from(row: KeyRow) -> Self {
        Self {
            id: ApiKeyId::from_uuid(row.id),
            account: ServiceAccountId::from_uuid(row.service_account_id),
            description: row.description,
            hint: row.hint,
            scopes: row.scopes,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            created_at: row.created_at,
        }
    }
}

pub async fn list(
    tx: &mut TenantTx,
    after: Option<ServiceAccountId>,
    limit: i64,
) -> Result<Vec<AccountRecord>, StoreError> {
    let (org, project) = (tx.org(), tx.project());
    let rows: Vec<AccountRow> = sqlx::query_as(
        "select id, name, role, description, revision, created_at from service_accounts
         where org_id = $1 and project_id = $2 and ($3::uuid is null or id > $3) order by id limit $4",
    )
    .bind(org)
    .bind(project)
    .bind(after.map(ServiceAccountId::uuid))
    .bind(limit)
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Service accounts of the project.
pub async fn count(tx: &mut TenantTx) -> Result<u64, StoreError> {
    let (org, project) = (tx.org(), tx.project());
    let count: i64 = sqlx::query_scalar("select count(*) from service_accounts where org_id = $1 and project_id = $2")
        .bind(org)
        .bind(project)
        .fetch_one(&mut **tx)
        .await?;
    Ok(count.unsigned_abs())
}

/// The account, which nobody else changes until the transaction ends.
pub async fn lock(tx: &mut TenantTx, id: ServiceAccountId) -> Result<Option<AccountRecord>, StoreError> {
    let (org, project) = (tx.org(), tx.project());
    let row: Option<AccountRow> = sqlx::query_as(
        "select id, name, role, description, revision, created_at from service_accounts
         where org_id = $1 and project_id = $2 and id = $3 for update",
    )
    .bind(org)
    .bind(project)
    .bind(id.uuid())
    .fetch_optional(&mut **tx)
    .await?;
    row.map(TryInto::try_into).transpose()
}

pub async fn insert(
    tx: &mut TenantTx,
    id: ServiceAccountId,
    name: &str,
    role: Role,
    description: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let (org, project) = (tx.org(), tx.project());
    sqlx::query(
        "insert into service_accounts (id, org_id, project_id, name, role, description, created_at) values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(id.uuid())
    .bind(org)
    .bind(project)
    .bind(name)
    .bind(role.as_str())
    .bind(description)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub async fn update(tx: &mut TenantTx, id: ServiceAccountId, role: Role, description: &str) -> Result<(), StoreError> {
    let (org, project) = (tx.org(), tx.project());
    sqlx::query(
        "update service_accounts set role = $4, description = $5, revision = revision + 1
         where org_id = $1 and project_id = $2 and id = $3",
    )
    .bind(org)
    .bind(project)
    .bind(id.uuid())
    .bind(role.as_str())
    .bind(description)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Its keys go with it.
pub async fn delete(tx: &mut TenantTx, id: ServiceAccountId) -> Result<(), StoreError> {
    let (org, project) = (tx.org(), tx.project());
    sqlx::query("delete from service_accounts where org_id = $1 and project_id = $2 and id = $3")
        .bind(org)
        .bind(project)
        .bind(id.uuid())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Keys of these accounts that are neither revoked nor expired, oldest first.
pub async fn live_keys(
    tx: &mut TenantTx,
    accounts: &[ServiceAccountId],
    now: DateTime<Utc>,
) -> Result<Vec<KeyRecord>, StoreError> {
    let org = tx.org();
    let accounts: Vec<Uuid> = accounts.iter().map(|id| id.uuid()).collect();
    let rows: Vec<KeyRow> = sqlx::query_as(
        "select id, service_account_id, description, hint, scopes, expires_at, last_used_at, created_at from api_keys
         where org_id = $1 and service_account_id = any ($2) and revoked_at is null and (expires_at is null or expires_at > $3)
         order by id",
    )
    .bind(org)
    .bind(accounts)
    .bind(now)
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

pub async fn insert_key(tx: &mut TenantTx, key: &KeyRecord, hash: &[u8; 32]) -> Result<(), StoreError> {
    let org = tx.org();
    sqlx::query(
        "insert into api_keys (id, org_id, service_account_id, hash, hint, description, scopes, expires_at, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(key.id.uuid())
    .bind(org)
    .bind(key.account.uuid())
    .bind(hash.as_slice())
    .bind(&key.hint)
    .bind(&key.description)
    .bind(&key.scopes)
    .bind(key.expires_at)
    .bind(key.created_at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// False when the account has no such live key.
pub async fn revoke_key(
    tx: &mut TenantTx,
    account: ServiceAccountId,
    key: ApiKeyId,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let org = tx.org();
    let done = sqlx::query(
        "update api_keys set revoked_at = $4 where org_id = $1 and service_account_id = $2 and id = $3 and revoked_at is null",
    )
    .bind(org)
    .bind(account.uuid())
    .bind(key.uuid())
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
