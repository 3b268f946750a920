//! Who is asking: from a bearer token to an [`Actor`].

use crate::{
    app::{App, AppError, Refusal},
    auth::random::{API_KEY_PREFIX, hash},
    domain::{
        actor::{Actor, Origin, Principal},
        rights::Right,
    },
    store::{api_keys, sessions},
};
use chrono::Duration;
use control_plane_api::problem::ProblemCode;

/// What sign-in goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignInPolicy {
    /// A session ends after this, however often it was refreshed.
    pub session_life: Duration,
    /// Failures in a row before the account is locked.
    pub failures_allowed: u32,
    /// The first lock; each further failure doubles it, up to `longest_lock`.
    pub first_lock: Duration,
    pub longest_lock: Duration,
}

impl Default for SignInPolicy {
    fn default() -> Self {
        Self {
            session_life: Duration::days(30),
            failures_allowed: 5,
            first_lock: Duration::minutes(1),
            longest_lock: Duration::hours(1),
        }
    }
}

fn unauthenticated() -> AppError {
    Refusal::new(ProblemCode::Unauthenticated).into()
}

/// The actor behind a bearer token, an access JWT or an API key. Session, key and roles are read each time, by index: what was
/// revoked or taken away a moment ago, on whichever replica, counts now.
pub async fn authenticate(app: &App, bearer: &str, origin: Origin) -> Result<Actor, AppError> {
    if bearer.starts_with(API_KEY_PREFIX) {
        return authenticate_key(app, bearer, origin).await;
    }
    let now = app.clock.now();
    let claims = app.tokens.verify(bearer, now).map_err(|reason| {
        tracing::debug!(%reason, "access token refused");
        unauthenticated()
    })?;
    let mut conn = app.db.system_connection().await?;
    let session = sessions::find_live(&mut conn, claims.sid, now).await?.ok_or_else(unauthenticated)?;
    if session.user != claims.sub || session.organisation != claims.org {
        return Err(unauthenticated());
    }
    Ok(Actor {
        principal: Principal::User { id: session.user, email: session.email, session: claims.sid },
        organisation: session.organisation,
        organisation_role: session.organisation_role,
        projects: session.projects,
        operator: session.operator,
        scopes: None,
        origin,
    })
}

async fn authenticate_key(app: &App, key: &str, origin: Origin) -> Result<Actor, AppError> {
    let now = app.clock.now();
    let mut conn = app.db.system_connection().await?;
    let live = api_keys::find_live(&mut conn, &hash(key), now).await?.ok_or_else(unauthenticated)?;
    api_keys::touch(&mut conn, live.key, now).await?;
    // A scope that this version does not know grants nothing.
    let scopes = live.scopes.iter().filter_map(|scope| scope.parse::<Right>().ok()).collect();
    Ok(Actor {
        principal: Principal::ServiceAccount { id: live.account, name: live.name, key: live.key },
        organisation: live.organisation,
        organisation_role: None,
        projects: vec![(live.project, live.role)],
        operator: false,
        scopes: (!live.scopes.is_empty()).then_some(scopes),
        origin,
    })
}
