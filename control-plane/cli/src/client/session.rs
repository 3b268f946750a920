//! Who calls: the bearer token of each request, renewed before it ends.
//!
//! Owns the exchange of refresh tokens. The lock of [`crate::credentials`] is held from reading the stored token to
//! storing the next one; a process that waited for it finds the new token and spends nothing.

use super::{
    call::{Call, path},
    transport::Transport,
};
use crate::{
    credentials::{CredentialStore, Credentials, Secret},
    error::{Error, Result},
    settings::Settings,
};
use chrono::{TimeDelta, Utc};
use control_plane_api::auth::{TokenRequest, TokenResponse};

/// Renewed when less than this is left, so that it does not end on the way.
const MARGIN: TimeDelta = TimeDelta::seconds(30);

#[derive(Debug)]
pub struct Session {
    store: CredentialStore,
    /// From the environment; nothing is renewed then.
    fixed: Option<String>,
}

impl Session {
    pub fn new(settings: &Settings) -> Self {
        Self { store: settings.credentials(), fixed: settings.bearer.clone() }
    }

    /// The token to send now.
    pub async fn bearer(&self, transport: &Transport) -> Result<String> {
        if let Some(token) = &self.fixed {
            return Ok(token.clone());
        }
        match self.stored(transport)?.secret {
            Secret::ApiKey { api_key } => Ok(api_key),
            Secret::Session { access_token, expires_at, .. } if expires_at - Utc::now() > MARGIN => Ok(access_token),
            Secret::Session { access_token, .. } => self.renew(transport, &access_token).await,
        }
    }

    /// A token other than `refused`, which the server did not take; `None` when there is no way to get one.
    pub async fn after_refusal(&self, transport: &Transport, refused: &str) -> Result<Option<String>> {
        if self.fixed.is_some() {
            return Ok(None);
        }
        match self.stored(transport)?.secret {
            Secret::ApiKey { .. } => Ok(None),
            Secret::Session { .. } => self.renew(transport, refused).await.map(Some),
        }
    }

    fn stored(&self, transport: &Transport) -> Result<Credentials> {
        let credentials = self.store.load()?.ok_or_else(|| Error::SignedOut("you are not signed in".to_owned()))?;
        if credentials.url != origin(transport) {
            let issuer = &credentials.url;
            return Err(Error::SignedOut(format!(
                "you are signed in at {issuer}, not at {}; its credentials are not sent elsewhere",
                origin(transport)
            )));
        }
        Ok(credentials)
    }

    /// Exchanges the refresh token, unless another process has done so since `spent` was read.
    async fn renew(&self, transport: &Transport, spent: &str) -> Result<String> {
        let lock = self.store.lock().await?;
        let Secret::Session { access_token, refresh_token, expires_at } = self.stored(transport)?.secret else {
            return Err(Error::SignedOut("the sign-in has changed meanwhile; repeat the command".to_owned()));
        };
        if access_token != spent && expires_at - Utc::now() > MARGIN {
            return Ok(access_token);
        }
        match grant(transport, TokenRequest::RefreshToken { refresh_token }).await {
            Ok(secret) => {
                let Secret::Session { access_token, .. } = &secret else {
                    return Err(Error::SignedOut("the session has ended".to_owned()));
                };
                let access_token = access_token.clone();
                self.store.save(&lock, Some(Credentials { url: origin(transport), secret }))?;
                Ok(access_token)
            }
            Err(Error::Problem(problem)) if problem.status == 401 => {
                self.store.save(&lock, None)?;
                Err(Error::SignedOut("the session has ended".to_owned()))
            }
            Err(error) => Err(error),
        }
    }
}

/// The address that credentials belong to.
pub fn origin(transport: &Transport) -> String {
    transport.base.as_str().trim_end_matches('/').to_owned()
}

/// Exchanges a password or refresh token for a session.
pub async fn grant(transport: &Transport, request: TokenRequest) -> Result<Secret> {
    // Not repeated once sent: a refresh token that was taken twice ends the session.
    let call = Call::post(path("v1/auth/token")).anonymous().json(&request)?;
    let answer = transport.exchange(&call, None).await?;
    let tokens: TokenResponse = super::parse(&call, &answer.body)?;
    let Some(refresh_token) = tokens.refresh_token else {
        return Ok(Secret::ApiKey { api_key: tokens.access_token });
    };
    let lifetime = TimeDelta::seconds(i64::try_from(tokens.expires_in).unwrap_or(900));
    Ok(Secret::Session { access_token: tokens.access_token, refresh_token, expires_at: Utc::now() + lifetime })
}
