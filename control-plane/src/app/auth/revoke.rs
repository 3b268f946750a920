//! `POST /v1/auth/revoke` (RFC 7009): whoever holds a token may end what it stands for.

use crate::{
    app::{App, AppError, audit::Entry},
    auth::{
        random::{API_KEY_PREFIX, REFRESH_TOKEN_PREFIX, hash},
        token::{Subject, Verified},
    },
    domain::actor::Origin,
    store::{SystemTx, api_keys, audit, sessions},
};
use control_plane_api::id::{ApiKeyId, OrganisationId, SessionId};

/// A refresh or access token of a user ends its session; an API key, or a token made from one, ends that key for good.
/// A token that is not known, or has ended, is no error (RFC 7009 §2.2).
pub async fn revoke_token(app: &App, token: &str, origin: &Origin) -> Result<(), AppError> {
    let now = app.clock.now();
    let mut tx = app.db.system().await?;
    if token.starts_with(API_KEY_PREFIX) {
        if let Some(live) = api_keys::find_live(&mut tx, &hash(token), now).await? {
            let label = format!("service-account:{}", live.name);
            end_key(app, &mut tx, live.key, live.organisation, label, origin).await?;
        }
    } else if token.starts_with(REFRESH_TOKEN_PREFIX) {
        if let Some(found) = sessions::lock_refresh_token(&mut tx, &hash(token), now).await?
            && found.live
        {
            let label = format!("user:{}", found.email);
            end_session(app, &mut tx, found.session, found.organisation, label, origin).await?;
        }
    } else if let Ok(Verified { subject, organisation }) = app.tokens.verify(token, now) {
        match subject {
            Subject::User { session, .. } => {
                if let Some(live) = sessions::find_live(&mut tx, session, now).await? {
                    let label = format!("user:{}", live.email);
                    end_session(app, &mut tx, session, organisation, label, origin).await?;
                }
            }
            Subject::ServiceAccount { key, .. } => {
                if let Some(live) = api_keys::find_live_by_id(&mut tx, key, now).await? {
                    let label = format!("service-account:{}", live.name);
                    end_key(app, &mut tx, key, organisation, label, origin).await?;
                }
            }
        }
    }
    Ok(tx.commit().await?)
}

async fn end_session(
    app: &App,
    tx: &mut SystemTx,
    session: SessionId,
    organisation: OrganisationId,
    label: String,
    origin: &Origin,
) -> Result<(), AppError> {
    let now = app.clock.now();
    sessions::revoke(tx, session, "signed-out", now).await?;
    let entry = Entry::new("revoke_token").on("session", session);
    Ok(audit::append(tx, &entry.by_origin(organisation, label, origin, now)).await?)
}

async fn end_key(
    app: &App,
    tx: &mut SystemTx,
    key: ApiKeyId,
    organisation: OrganisationId,
    label: String,
    origin: &Origin,
) -> Result<(), AppError> {
    let now = app.clock.now();
    api_keys::revoke_by_id(tx, key, now).await?;
    let entry = Entry::new("revoke_token").on("api-key", key);
    Ok(audit::append(tx, &entry.by_origin(organisation, label, origin, now)).await?)
}
