//! Sessions and their refresh tokens: written by sign-in as the system, before there is a tenant.

use crate::store::{StoreError, SystemTx};
use chrono::{DateTime, Utc};
use control_plane_api::{
    id::{OrganisationId, ProjectId, SessionId, UserId},
    tenancy::Role,
};
use sqlx::{FromRow, PgConnection, types::Json};
use uuid::Uuid;

/// The user behind a live session, with its roles as they are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSession {
    pub user: UserId,
    pub email: String,
    pub organisation: OrganisationId,
    pub organisation_role: Option<Role>,
    pub operator: bool,
    pub projects: Vec<(ProjectId, Role)>,
}

#[derive(FromRow)]
struct LiveRow {
    id: Uuid,
    email: String,
    org_id: Uuid,
    org_role: Option<String>,
    platform_operator: bool,
    projects: Json<Vec<(Uuid, Role)>>,
}

/// `None` when the session has ended, was revoked, or never was.
pub async fn find_live(
    conn: &mut PgConnection,
    session: SessionId,
    now: DateTime<Utc>,
) -> Result<Option<LiveSession>, StoreError> {
    let row: Option<LiveRow> = sqlx::query_as(
        "select u.id, u.email, u.org_id, u.org_role, u.platform_operator,
             (select coalesce(jsonb_agg(jsonb_build_array(m.project_id, m.role)), '[]')
              from project_members m where m.user_id = u.id) as projects
         from sessions s join users u on u.id = s.user_id
         where s.id = $1 and s.revoked_at is null and s.expires_at > $2",
    )
    .bind(session.uuid())
    .bind(now)
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(LiveSession {
            user: UserId::from_uuid(row.id),
            email: row.email,
            organisation: OrganisationId::from_uuid(row.org_id),
            organisation_role: row.org_role.map(|text| parse_role("users", &text)).transpose()?,
            operator: row.platform_operator,
            projects: row.projects.0.into_iter().map(|(id, role)| (ProjectId::from_uuid(id), role)).collect(),
        })
    })
    .transpose()
}

pub(crate) fn parse_role(table: &'static str, text: &str) -> Result<Role, StoreError> {
    text.parse().map_err(|_| StoreError::Corrupt { table, reason: format!("role {text}") })
}

pub async fn insert(
    tx: &mut SystemTx,
    session: SessionId,
    organisation: OrganisationId,
    user: UserId,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query("insert into sessions (id, org_id, user_id, created_at, expires_at) values ($1, $2, $3, $4, $5)")
        .bind(session.uuid())
        .bind(organisation.uuid())
        .bind(user.uuid())
        .bind(now)
        .bind(expires_at)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub async fn insert_refresh_token(
    tx: &mut SystemTx,
    hash: &[u8; 32],
    organisation: OrganisationId,
    session: SessionId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query("insert into refresh_tokens (hash, org_id, session_id, issued_at) values ($1, $2, $3, $4)")
        .bind(hash.as_slice())
        .bind(organisation.uuid())
        .bind(session.uuid())
        .bind(now)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// A refresh token as it was found, with its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshToken {
    pub session: SessionId,
    pub user: UserId,
    pub email: String,
    pub organisation: OrganisationId,
    pub spent: bool,
    /// The session is neither revoked nor over.
    pub live: bool,
}

#[derive(FromRow)]
struct RefreshRow {
    session_id: Uuid,
    user_id: Uuid,
    email: String,
    org_id: Uuid,
    spent: bool,
    live: bool,
}

/// Locks the token, so that of two uses at once one comes second and is seen as a reuse.
pub async fn lock_refresh_token(
    tx: &mut SystemTx,
    hash: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<RefreshToken>, StoreError> {
    let row: Option<RefreshRow> = sqlx::query_as(
        "select t.session_id, s.user_id, u.email, s.org_id, t.spent_at is not null as spent,
             s.revoked_at is null and s.expires_at > $2 as live
         from refresh_tokens t join sessions s on s.id = t.session_id join users u on u.id = s.user_id
         where t.hash = $1 for update of t",
    )
    .bind(hash.as_slice())
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| RefreshToken {
        session: SessionId::from_uuid(row.session_id),
        user: UserId::from_uuid(row.user_id),
        email: row.email,
        organisation: OrganisationId::from_uuid(row.org_id),
        spent: row.spent,
        live: row.live,
    }))
}

pub async fn spend_refresh_token(tx: &mut SystemTx, hash: &[u8; 32], now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update refresh_tokens set spent_at = $2 where hash = $1")
        .bind(hash.as_slice())
        .bind(now)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Ends a session; one that has ended stays as it is.
pub async fn revoke(
    conn: &mut PgConnection,
    session: SessionId,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query("update sessions set revoked_at = $2, revoked_reason = $3 where id = $1 and revoked_at is null")
        .bind(session.uuid())
        .bind(now)
        .bind(reason)
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends all sessions of a user but `except`: after a change of password.
pub async fn revoke_others(
    conn: &mut PgConnection,
    user: UserId,
    except: Option<SessionId>,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query(
        "update sessions set revoked_at = $3, revoked_reason = $4
         where user_id = $1 and revoked_at is null and id is distinct from $2",
    )
    .bind(user.uuid())
    .bind(except.map(SessionId::uuid))
    .bind(now)
    .bind(reason)
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets sessions that ended before `before`, with their refresh tokens; returns how many.
pub async fn prune(conn: &mut PgConnection, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let done =
        sqlx::query("delete from sessions where expires_at < $1 or revoked_at < $1").bind(before).execute(conn).await?;
    Ok(done.rows_affected())
}
