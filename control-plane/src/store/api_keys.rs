//! API keys of service accounts. Only hashes are stored.

use crate::store::{StoreError, sessions::parse_role};
use chrono::{DateTime, Utc};
use control_plane_api::{
    id::{ApiKeyId, OrganisationId, ProjectId, ServiceAccountId},
    tenancy::Role,
};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

/// The service account behind a live key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveKey {
    pub key: ApiKeyId,
    pub account: ServiceAccountId,
    pub name: String,
    pub organisation: OrganisationId,
    pub project: ProjectId,
    pub role: Role,
    /// Names of rights; empty for all of the role.
    pub scopes: Vec<String>,
}

#[derive(FromRow)]
struct LiveRow {
    id: Uuid,
    account_id: Uuid,
    name: String,
    org_id: Uuid,
    project_id: Uuid,
    role: String,
    scopes: Vec<String>,
}

impl TryFrom<LiveRow> for LiveKey {
    type Error = StoreError;

    fn try_from(row: LiveRow) -> Result<Self, StoreError> {
        Ok(Self {
            key: ApiKeyId::from_uuid(row.id),
            account: ServiceAccountId::from_uuid(row.account_id),
            name: row.name,
            organisation: OrganisationId::from_uuid(row.org_id),
            project: ProjectId::from_uuid(row.project_id),
            role: parse_role("service_accounts", &row.role)?,
            scopes: row.scopes,
        })
    }
}

/// `None` when no key has this hash, or it was revoked or has expired.
pub async fn find_live(
    conn: &mut PgConnection,
    hash: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<LiveKey>, StoreError> {
    let row: Option<LiveRow> = sqlx::query_as(
        "select k.id, a.id as account_id, a.name, a.org_id, a.project_id, a.role, k.scopes
         from api_keys k join service_accounts a on a.id = k.service_account_id
         where k.hash = $1 and k.revoked_at is null and (k.expires_at is null or k.expires_at > $2)",
    )
    .bind(hash.as_slice())
    .bind(now)
    .fetch_optional(conn)
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// As [`find_live`], for a token that was made from the key.
pub async fn find_live_by_id(
    conn: &mut PgConnection,
    key: ApiKeyId,
    now: DateTime<Utc>,
) -> Result<Option<LiveKey>, StoreError> {
    let row: Option<LiveRow> = sqlx::query_as(
        "select k.id, a.id as account_id, a.name, a.org_id, a.project_id, a.role, k.scopes
         from api_keys k join service_accounts a on a.id = k.service_account_id
         where k.id = $1 and k.revoked_at is null and (k.expires_at is null or k.expires_at > $2)",
    )
    .bind(key.uuid())
    .bind(now)
    .fetch_optional(conn)
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// Ends a key by its own word: the holder revokes it.
pub async fn revoke_by_id(conn: &mut PgConnection, key: ApiKeyId, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update api_keys set revoked_at = $2 where id = $1 and revoked_at is null")
        .bind(key.uuid())
        .bind(now)
        .execute(conn)
        .await?;
    Ok(())
}

/// Notes that a key was used, at most once a minute: it is read by people, and must not make every request a write.
pub async fn touch(conn: &mut PgConnection, key: ApiKeyId, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query(
        "update api_keys set last_used_at = $2 where id = $1 and (last_used_at is null or last_used_at < $2::timestamptz - interval '1 minute')",
    )
    .bind(key.uuid())
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}
