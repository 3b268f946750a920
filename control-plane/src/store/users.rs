//! People who sign in, and the organisations they belong to.

use crate::store::{StoreError, SystemTx, TenantTx, sessions::parse_role};
use chrono::{DateTime, Utc};
use control_plane_api::{
    id::{OrganisationId, UserId},
    tenancy::Role,
};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

#[derive(Clone, PartialEq, Eq)]
pub struct UserRecord {
    pub id: UserId,
    pub organisation: OrganisationId,
    pub email: String,
    pub display_name: String,
    pub password_hash: Option<String>,
    pub organisation_role: Option<Role>,
    pub created_at: DateTime<Utc>,
}

impl std::fmt::Debug for UserRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserRecord").field("id", &self.id).field("email", &self.email).finish_non_exhaustive()
    }
}

#[derive(FromRow)]
struct UserRow {
    id: Uuid,
    org_id: Uuid,
    email: String,
    display_name: String,
    password_hash: Option<String>,
    org_role: Option<String>,
    created_at: DateTime<Utc>,
}

impl TryFrom<UserRow> for UserRecord {
    type Error = StoreError;

    fn try_from(row: UserRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: UserId::from_uuid(row.id),
            organisation: OrganisationId::from_uuid(row.org_id),
            email: row.email,
            display_name: row.display_name,
            password_hash: row.password_hash,
            organisation_role: row.org_role.map(|text| parse_role("users", &text)).transpose()?,
            created_at: row.created_at,
        })
    }
}

/// Over all organisations: for sign-in, as the system. `email` in lower case.
pub async fn find_by_email(conn: &mut PgConnection, email: &str) -> Result<Option<UserRecord>, StoreError> {
    let row: Option<UserRow> = sqlx::query_as(
        "select id, org_id, email, display_name, password_hash, org_role, created_at from users where email = $1",
    )
    .bind(email)
    .fetch_optional(conn)
    .await?;
    row.map(TryInto::try_into).transpose()
}

pub async fn set_password(
    tx: &mut TenantTx,
    user: UserId,
    password_hash: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let org = tx.org();
    sqlx::query("update users set password_hash = $3, updated_at = $4 where org_id = $1 and id = $2")
        .bind(org)
        .bind(user.uuid())
        .bind(password_hash)
        .bind(now)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The owner that an installation begins with, who is also its operator.
pub async fn insert_first_owner(
    tx: &mut SystemTx,
    id: UserId,
    organisation: OrganisationId,
    email: &str,
    password_hash: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into users (id, org_id, email, password_hash, org_role, platform_operator) values ($1, $2, $3, $4, 'owner', true)",
    )
    .bind(id.uuid())
    .bind(organisation.uuid())
    .bind(email)
    .bind(password_hash)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A user of the transaction's organisation.
pub async fn find_in_organisation(tx: &mut TenantTx, email: &str) -> Result<Option<UserRecord>, StoreError> {
    let org = tx.org();
    let row: Option<UserRow> = sqlx::query_as(
        "select id, org_id, email, display_name, password_hash, org_role, created_at from users
         where org_id = $1 and email = $2",
    )
    .bind(org)
    .bind(email)
    .fetch_optional(&mut **tx)
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// A new account of the transaction's organisation, without a role.
pub async fn insert(
    tx: &mut TenantTx,
    id: UserId,
    email: &str,
    display_name: &str,
    password_hash: &str,
) -> Result<(), StoreError> {
    let org = tx.org();
    sqlx::query("insert into users (id, org_id, email, display_name, password_hash) values ($1, $2, $3, $4, $5)")
        .bind(id.uuid())
        .bind(org)
        .bind(email)
        .bind(display_name)
        .bind(password_hash)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
