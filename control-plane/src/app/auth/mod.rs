//! Who is asking: sign-in, sessions, and from a bearer token to an [`Actor`].

mod grants;
mod password;
mod revoke;

pub use grants::create_token;
pub use password::{SignInPolicy, change_password, password_fault};
pub use revoke::revoke_token;

use crate::{
    app::{App, AppError, Refusal},
    auth::{
        random::{API_KEY_PREFIX, hash},
        token::{Subject, Verified},
    },
    domain::{
        actor::{Actor, Origin, Principal},
        rights::Right,
    },
    store::{
        api_keys::{self, LiveKey},
        sessions,
    },
};
use control_plane_api::problem::ProblemCode;

fn unauthenticated() -> AppError {
    Refusal::new(ProblemCode::Unauthenticated).into()
}

/// The actor behind a bearer token, an access JWT or an API key. Session, key and roles are read each time, by index: what was
/// revoked or taken away a moment ago, on whichever replica, counts now.
pub async fn authenticate(app: &App, bearer: &str, origin: Origin) -> Result<Actor, AppError> {
    let now = app.clock.now();
    if bearer.starts_with(API_KEY_PREFIX) {
        let mut conn = app.db.system_connection().await?;
        let live = api_keys::find_live(&mut conn, &hash(bearer), now).await?.ok_or_else(unauthenticated)?;
        api_keys::touch(&mut conn, live.key, now).await?;
        return Ok(account_actor(live, origin));
    }
    let Verified { subject, organisation } = app.tokens.verify(bearer, now).map_err(|reason| {
        tracing::debug!(%reason, "access token refused");
        unauthenticated()
    })?;
    let mut conn = app.db.system_connection().await?;
    let actor = match subject {
        Subject::User { user, session } => {
            let live = sessions::find_live(&mut conn, session, now).await?;
            let live = live.filter(|live| live.user == user).ok_or_else(unauthenticated)?;
            Actor {
                principal: Principal::User { id: live.user, email: live.email, session },
                organisation: live.organisation,
                organisation_role: live.organisation_role,
                projects: live.projects,
                operator: live.operator,
                scopes: None,
                origin,
            }
        }
        Subject::ServiceAccount { account, key } => {
            let live = api_keys::find_live_by_id(&mut conn, key, now).await?;
            account_actor(live.filter(|live| live.account == account).ok_or_else(unauthenticated)?, origin)
        }
    };
    if actor.organisation == organisation { Ok(actor) } else { Err(unauthenticated()) }
}

fn account_actor(live: LiveKey, origin: Origin) -> Actor {
    // A scope that this version does not know grants nothing.
    let scopes = live.scopes.iter().filter_map(|scope| scope.parse::<Right>().ok()).collect();
    Actor {
        principal: Principal::ServiceAccount { id: live.account, name: live.name, key: live.key },
        organisation: live.organisation,
        organisation_role: None,
        projects: vec![(live.project, live.role)],
        operator: false,
        scopes: (!live.scopes.is_empty()).then_some(scopes),
        origin,
    }
}
