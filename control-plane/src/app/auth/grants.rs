//! `POST /v1/auth/token`: password, refresh token or API key to an access token.

use super::password::{Checked, check_password, invalid_credentials};
use crate::{
    app::{App, AppError, audit::Entry},
    auth::{
        random::{REFRESH_TOKEN_PREFIX, RandomToken, hash},
        token::Subject,
    },
    domain::actor::Origin,
    store::{SystemTx, api_keys, audit, sessions, users::UserRecord},
};
use chrono::{DateTime, Utc};
use control_plane_api::{
    auth::{TokenRequest, TokenResponse},
    id::{OrganisationId, SessionId, UserId},
    problem::ProblemCode,
};

/// Operation id, also in the audit trail.
const ACTION: &str = "create_token";

/// Whose session it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    user: UserId,
    organisation: OrganisationId,
    label: String,
}

impl Account {
    pub(super) fn of(user: &UserRecord) -> Self {
        Self { user: user.id, organisation: user.organisation, label: format!("user:{}", user.email) }
    }
}

pub async fn create_token(app: &App, request: &TokenRequest, origin: &Origin) -> Result<TokenResponse, AppError> {
    match request {
        TokenRequest::Password { email, password } => sign_in(app, email, password, origin).await,
        TokenRequest::RefreshToken { refresh_token } => refresh(app, refresh_token, origin).await,
        TokenRequest::ApiKey { api_key } => exchange(app, api_key, origin).await,
    }
}

async fn sign_in(app: &App, email: &str, password: &str, origin: &Origin) -> Result<TokenResponse, AppError> {
    let account = match check_password(app, email, password).await? {
        Checked::Right(account) => account,
        Checked::Wrong(account) => {
            if let Some(account) = account {
                let mut tx = app.db.system().await?;
                refused(app, &mut tx, &account, "password", origin).await?;
                tx.commit().await?;
            }
            return Err(invalid_credentials());
        }
    };
    let now = app.clock.now();
    let session = SessionId::generate();
    let mut tx = app.db.system().await?;
    sessions::insert(&mut tx, session, account.organisation, account.user, now, now + app.sign_in.session_life).await?;
    let answer = issue(app, &mut tx, &account, session, now).await?;
    let entry = Entry::new(ACTION).on("session", session).detail(&serde_json::json!({ "grant_type": "password" }));
    audit::append(&mut tx, &entry.by_origin(account.organisation, account.label, origin, now)).await?;
    tx.commit().await?;
    Ok(answer)
}

/// Each refresh token is good once. One that comes again was stolen, from us or from the client: the session ends for both (RFC
/// 9700 §4.14.2).
async fn refresh(app: &App, token: &str, origin: &Origin) -> Result<TokenResponse, AppError> {
    let now = app.clock.now();
    let mut tx = app.db.system().await?;
    let found = sessions::lock_refresh_token(&mut tx, &hash(token), now).await?.ok_or_else(invalid_credentials)?;
    let label = format!("user:{}", found.email);
    let account = Account { user: found.user, organisation: found.organisation, label };
    if found.spent && found.live {
        sessions::revoke(&mut tx, found.session, "refresh-token-reused", now).await?;
        refused(app, &mut tx, &account, "refresh-token-reused", origin).await?;
        tx.commit().await?;
        tracing::warn!(session = %found.session, "a spent refresh token came again: session ended");
        return Err(invalid_credentials());
    }
    if found.spent || !found.live {
        return Err(invalid_credentials());
    }
    sessions::spend_refresh_token(&mut tx, &hash(token), now).await?;
    let answer = issue(app, &mut tx, &account, found.session, now).await?;
    tx.commit().await?;
    Ok(answer)
}

/// An access token for programs that would rather not send their key with each request. It ends with the key.
async fn exchange(app: &App, key: &str, origin: &Origin) -> Result<TokenResponse, AppError> {
    let now = app.clock.now();
    let mut tx = app.db.system().await?;
    let live = api_keys::find_live(&mut tx, &hash(key), now).await?.ok_or_else(invalid_credentials)?;
    api_keys::touch(&mut tx, live.key, now).await?;
    let subject = Subject::ServiceAccount { account: live.account, key: live.key };
    let access_token = app.tokens.sign(subject, live.organisation, now)?;
    let entry = Entry::new(ACTION).on("api-key", live.key).detail(&serde_json::json!({ "grant_type": "api-key" }));
    let label = format!("service-account:{}", live.name);
    audit::append(&mut tx, &entry.by_origin(live.organisation, label, origin, now)).await?;
    tx.commit().await?;
    Ok(answer(app, access_token, None))
}

/// A new refresh token of the session, and an access token with it.
async fn issue(
    app: &App,
    tx: &mut SystemTx,
    account: &Account,
    session: SessionId,
    now: DateTime<Utc>,
) -> Result<TokenResponse, AppError> {
    let refresh = RandomToken::generate(REFRESH_TOKEN_PREFIX)?;
    sessions::insert_refresh_token(tx, &refresh.hash(), account.organisation, session, now).await?;
    let access = app.tokens.sign(Subject::User { user: account.user, session }, account.organisation, now)?;
    Ok(answer(app, access, Some(refresh.expose().to_owned())))
}

async fn refused(app: &App, tx: &mut SystemTx, account: &Account, why: &str, origin: &Origin) -> Result<(), AppError> {
    let entry = Entry::new(ACTION).on("user", account.user).detail(&serde_json::json!({ "reason": why }));
    let (label, code) = (account.label.clone(), ProblemCode::InvalidCredentials);
    audit::append(tx, &entry.refused(account.organisation, label, origin, None, code, app.clock.now())).await?;
    Ok(())
}

fn answer(app: &App, access_token: String, refresh_token: Option<String>) -> TokenResponse {
    TokenResponse {
        access_token,
        token_type: "Bearer".to_owned(),
        expires_in: app.tokens.life().num_seconds().unsigned_abs(),
        refresh_token,
    }
}
