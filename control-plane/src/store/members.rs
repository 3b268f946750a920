//! Who has which role: in the organisation (`users.org_role`) and in projects (`project_members`).

use crate::store::{StoreError, TenantTx, sessions::parse_role};
use chrono::{DateTime, Utc};
use control_plane_api::{id::UserId, tenancy::Role};
use sqlx::FromRow;
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRecord {
    pub user: UserId,
    pub email: String,
    pub display_name: String,
    pub role: Role,
    pub created_at: DateTime<Utc>,
}

#[derive(FromRow)]
struct MemberRow {
    id: Uuid,
    email: String,
    display_name: String,
    role: String,
    created_at: DateTime<Utc>,
}

impl TryFrom<MemberRow> for MemberRecord {
    type Error = StoreError;

    fn try_from(row: MemberRow) -> Result<Self, StoreError> {
        Ok(Self {
            user: UserId::from_uuid(row.id),
            email: row.email,
            display_name: row.display_name,
            role: parse_role("members", &row.role)?,
            created_at: row.created_at,
        })
    }
}

/// Members of the transaction's project, or of the organisation when it has none, in order of their ids.
pub async fn list(tx: &mut TenantTx, after: Option<UserId>, limit: i64) -> Result<Vec<MemberRecord>, StoreError> {
    let (org, project, after) = (tx.org(), tx.project(), after.map(UserId::uuid));
    let rows: Vec<MemberRow> = match project {
        Some(project) => {
            sqlx::query_as(
                "select u.id, u.email, u.display_name, m.role, m.created_at
                 from project_members m join users u on u.id = m.user_id
                 where m.org_id = $1 and m.project_id = $2 and ($3::uuid is null or u.id > $3) order by u.id limit $4",
            )
            .bind(org)
            .bind(project)
            .bind(after)
            .bind(limit)
            .fetch_all(&mut **tx)
            .await?
        }
        None => {
            sqlx::query_as(
                "select id, email, display_name, org_role as role, created_at from users
                 where org_id = $1 and org_role is not null and ($2::uuid is null or id > $2) order by id limit $3",
            )
            .bind(org)
            .bind(after)
            .bind(limit)
            .fetch_all(&mut **tx)
            .await?
        }
    };
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Members of the transaction's project, or of the organisation when it has none.
pub async fn count(tx: &mut TenantTx) -> Result<u64, StoreError> {
    let (org, project) = (tx.org(), tx.project());
    let count: i64 = match project {
        Some(project) => {
            sqlx::query_scalar("select count(*) from project_members where org_id = $1 and project_id = $2")
                .bind(org)
                .bind(project)
                .fetch_one(&mut **tx)
                .await?
        }
        None => {
            sqlx::query_scalar("select count(*) from users where org_id = $1 and org_role is not null")
                .bind(org)
                .fetch_one(&mut **tx)
                .await?
        }
    };
    Ok(count.unsigned_abs())
}

/// The member, whose role nobody else changes until the transaction ends.
pub async fn lock(tx: &mut TenantTx, user: UserId) -> Result<Option<MemberRecord>, StoreError> {
    let (org, project) = (tx.org(), tx.project());
    let row: Option<MemberRow> = match project {
        Some(project) => {
            sqlx::query_as(
                "select u.id, u.email, u.display_name, m.role, m.created_at
                 from project_members m join users u on u.id = m.user_id
                 where m.org_id = $1 and m.project_id = $2 and m.user_id = $3 for update of m",
            )
            .bind(org)
            .bind(project)
            .bind(user.uuid())
            .fetch_optional(&mut **tx)
            .await?
        }
        None => {
            sqlx::query_as(
                "select id, email, display_name, org_role as role, created_at from users
                 where org_id = $1 and id = $2 and org_role is not null for update",
            )
            .bind(org)
            .bind(user.uuid())
            .fetch_optional(&mut **tx)
            .await?
        }
    };
    row.map(TryInto::try_into).transpose()
}

/// Gives a user of the organisation a role, in the transaction's project or in the organisation.
pub async fn put(tx: &mut TenantTx, user: UserId, role: Role, now: DateTime<Utc>) -> Result<(), StoreError> {
    let (org, project) = (tx.org(), tx.project());
    match project {
        Some(project) => sqlx::query(
            "insert into project_members (org_id, project_id, user_id, role, created_at) values ($1, $2, $3, $4, $5)
                 on conflict (project_id, user_id) do update set role = excluded.role",
        )
        .bind(org)
        .bind(project)
        .bind(user.uuid())
        .bind(role.as_str())
        .bind(now)
        .execute(&mut **tx)
        .await?,
        None => {
            sqlx::query("update users set org_role = $3, updated_at = $4 where org_id = $1 and id = $2")
                .bind(org)
                .bind(user.uuid())
                .bind(role.as_str())
                .bind(now)
                .execute(&mut **tx)
                .await?
        }
    };
    Ok(())
}

/// Takes the role away; the account stays.
pub async fn remove(tx: &mut TenantTx, user: UserId, now: DateTime<Utc>) -> Result<(), StoreError> {
    let (org, project) = (tx.org(), tx.project());
    match project {
        Some(project) => {
            sqlx::query("delete from project_members where org_id = $1 and project_id = $2 and user_id = $3")
                .bind(org)
                .bind(project)
                .bind(user.uuid())
                .execute(&mut **tx)
                .await?
        }
        None => {
            sqlx::query("update users set org_role = null, updated_at = $3 where org_id = $1 and id = $2")
                .bind(org)
                .bind(user.uuid())
                .bind(now)
                .execute(&mut **tx)
                .await?
        }
    };
    Ok(())
}

/// Owners of the organisation besides `user`. Locks them, so that two of them cannot leave at once.
pub async fn other_owners(tx: &mut TenantTx, user: UserId) -> Result<usize, StoreError> {
    let org = tx.org();
    let owners: Vec<Uuid> =
        sqlx::query_scalar("select id from users where org_id = $1 and org_role = 'owner' order by id for update")
            .bind(org)
            .fetch_all(&mut **tx)
            .await?;
    Ok(owners.into_iter().filter(|id| *id != user.uuid()).count())
}
