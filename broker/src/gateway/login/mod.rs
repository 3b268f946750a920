//! Logins on SASL paths: what may be said before one, and who may.
//!
//! SCRAM passes through, token by token, and the user is observed; PLAIN is proved to Kafka with
//! SCRAM; who shows a token (OAUTHBEARER), or showed a certificate and asks for no login (mTLS), is
//! asserted to Kafka by a token of ours. To Kafka the gateway always speaks SaslHandshake 1 and
//! SaslAuthenticate 2; to the client whatever it chose, the bare tokens after a SaslHandshake 0 of old clients among them.
//!
//! ```text
//!                  another request, of who showed a certificate
//!    ┌───────────────────────────────────────────┐
//!    │                                           ▼
//!  choosing ──SaslHandshake──► exchanging ──► logged in
//!    │ ▲ ApiVersions              │
//!    ▼ └──────                    ▼
//!  refused (answered, then closed), protocol error (closed)
//! ```

mod mechanisms;

use super::bearer;
use super::certificates::Presented;
use super::connections::Card;
use super::filters::{Decision, Format, Scope, api_versions, code};
use super::frame::{self, LENGTH, REQUEST_PEEK, RequestHeader};
use super::framed::Framed;
use super::listener::Shared;
use super::metrics::{LoginResult, Mechanism};
use super::scram::{Exchange, Hash, ScramError, user_of_first_message};
use super::table::{API_VERSIONS, SASL_AUTHENTICATE, SASL_HANDSHAKE};
use super::upstream::{Connect, SaslAnswer, SaslUpstream};
use super::wire::{Malformed, Reader, Writer};
use crate::clock::unix_ms;
use crate::error_text;
use mechanisms::{Chosen, OAUTHBEARER, PLAIN, credentials, offer};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};

/// Of nobody's protocol: what the list of connections and logs say of who showed a certificate.
const MTLS: &str = "MTLS";
/// Told of every refused login, whatever its cause: a stranger learns nothing about users.
const REFUSED: &str = "Authentication failed: the user name, the password or the token is not accepted";
/// Seconds after which a token is looked at again, however long it is good for: a timer must not overflow.
const LONGEST_SESSION: u64 = 365 * 24 * 3600;

/// Why there is no login.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoginError {
    #[error("the client left before it logged in")]
    Left,
    #[error("the connection to the client failed")]
    Client(#[source] io::Error),
    #[error("Kafka can't be asked")]
    Upstream(#[source] io::Error),
    /// Of one that began: who showed a certificate may wait as long as it likes before it asks anything.
    #[error("the login was not done in time")]
    TooSlow,
    #[error("{0}")]
    Protocol(String),
    /// Answered with the protocol's error.
    #[error("login of '{user}' by {mechanism} is refused: {why}")]
    Refused { user: String, mechanism: &'static str, why: String },
}

impl From<Malformed> for LoginError {
    fn from(malformed: Malformed) -> Self {
        Self::Protocol(format!("a login message is malformed: {malformed}"))
    }
}

/// Who is logged in, and how it was proved to Kafka.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) user: String,
    pub(super) mechanism: &'static str,
    /// The generation in force when the login began: Kafka checked the password later, never earlier.
    pub(super) began_under: u64,
    /// When what the client showed is worth nothing any more.
    pub(super) expires_at: Option<Instant>,
    /// What the client is signed in with, if it is by this.
    pub(super) certificate: Option<Arc<Presented>>,
    by: ProvedBy,
}

/// How Kafka was told who the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProvedBy {
    Scram(Hash),
    /// A token of ours.
    Assertion,
}

/// How a client wants to say who it is.
#[derive(Debug)]
enum Way {
    Sasl(Chosen, Framing),
    /// It did in its handshake.
    Certificate(Arc<Presented>),
}

/// How the client frames its SASL messages.
#[derive(Debug, Clone, Copy)]
enum Framing {
    /// SaslAuthenticate requests.
    Requests,
    /// Bare tokens, after SaslHandshake 0.
    Bare,
}

/// Where the answer to a message goes.
#[derive(Debug, Clone, Copy)]
enum Reply {
    Response { correlation: i32, version: i16 },
    Bare,
}

pub(super) struct Login<'a, C, K: Connect> {
    pub(super) client: &'a mut Framed<C>,
    /// Kafka's side; made when it is first needed.
    pub(super) upstream: Option<SaslUpstream<K::Stream>>,
    pub(super) kafka: &'a K,
    pub(super) card: &'a Card,
    pub(super) shared: &'a Shared,
    /// What the client showed in its handshake, and is signed in with if it asks for no login.
    pub(super) certificate: Option<Arc<Presented>>,
    /// Who is logged in already, on this very connection (KIP-368).
    pub(super) current: Option<&'a Session>,
}

impl<C, K> Login<'_, C, K>
where
    C: AsyncRead + AsyncWrite + Unpin,
    K: Connect,
{
    /// Runs one login from its start to its end.
    pub(super) async fn run(&mut self) -> Result<Session, LoginError> {
        let way = self.choose().await?;
        let began_under = self.shared.snapshot().generation;
        let shared = self.shared;
        let label = match &way {
            Way::Certificate(_) => Mechanism::Certificate,
            Way::Sasl(mechanism, _) => mechanism.label(),
        };
        let login = async {
            match way {
                Way::Certificate(certificate) => self.certified(certificate, began_under).await,
                Way::Sasl(mechanism, framing) => self.sasl(mechanism, framing, began_under).await,
            }
        };
        let result = in_time(shared, login).await;
        let counted = match &result {
            Ok(_) => LoginResult::Accepted,
            Err(LoginError::Refused { .. }) => LoginResult::Refused,
            Err(_) => LoginResult::Failed,
        };
        self.shared.metrics.login(label, counted);
        result
    }

    async fn sasl(&mut self, mechanism: Chosen, framing: Framing, began_under: u64) -> Result<Session, LoginError> {
        if let Some(session) = self.current.filter(|session| session.certificate.is_some()) {
            let (_, reply) = self.token(framing).await?;
            self.refuse(reply).await?;
            let why = "a connection logs in again only as it did before".to_owned();
            return Err(LoginError::Refused { user: session.user.clone(), mechanism: mechanism.name(), why });
        }
        match mechanism {
            Chosen::Plain => self.plain(framing, began_under).await,
            Chosen::Scram(hash) => self.scram(framing, hash, began_under).await,
            Chosen::Bearer => self.bearer(framing, began_under).await,
        }
    }

    /// Serves what may be asked before a mechanism is chosen.
    async fn choose(&mut self) -> Result<Way, LoginError> {
        let mut asked_versions = false;
        loop {
            if let Some(certificate) = self.certificate.clone()
                && !self.is_login_next(asked_versions).await?
            {
                return Ok(Way::Certificate(certificate));
            }
            let (frame, header) = in_time(self.shared, self.request()).await?;
            let RequestHeader { key, version, correlation, .. } = header;
            match key {
                API_VERSIONS => {
                    in_time(self.shared, self.api_versions(&frame, header)).await?;
                    asked_versions = true;
                }
                SASL_HANDSHAKE if (0..=1).contains(&version) => {
                    let body_at = frame::request_body(&frame, false)?;
                    let wanted = Reader::new(&frame[body_at..], false).string()?;
                    let offered = Chosen::offered(&self.shared.snapshot());
                    let names: Vec<&str> = offered.iter().map(|one| one.name()).collect();
                    let known = Chosen::named(wanted);
                    let chosen = known.filter(|one| offered.contains(one));
                    let error = if chosen.is_some() { 0 } else { code::UNSUPPORTED_SASL_MECHANISM };
                    self.send(&frame::response(correlation, false, &offer(error, &names))).await?;
                    let Some(mechanism) = chosen else {
                        let label = known.map_or(Mechanism::Unknown, Chosen::label);
                        self.shared.metrics.login(label, LoginResult::Refused);
                        return Err(LoginError::Protocol(format!(
                            "SASL mechanism '{}' is {}; accepted: {}",
                            wanted.escape_debug(),
                            if known.is_some() { "switched off" } else { "unknown" },
                            names.join(", ")
                        )));
                    };
                    let framing = if version == 0 { Framing::Bare } else { Framing::Requests };
                    return Ok(Way::Sasl(mechanism, framing));
                }
                SASL_AUTHENTICATE if (0..=2).contains(&version) => {
                    let answer = SaslAnswer {
                        error: code::ILLEGAL_SASL_STATE,
                        message: Some("SaslHandshake must come before SaslAuthenticate".into()),
                        ..SaslAnswer::default()
                    };
                    self.answer(Reply::Response { correlation, version }, &answer).await?;
                    return Err(LoginError::Protocol("SaslAuthenticate came before SaslHandshake".into()));
                }
                _ => {
                    return Err(LoginError::Protocol(format!("API {key} version {version} came before the login")));
                }
            }
        }
    }

    /// Whether what comes next may be of a login. Looked at before it is read: a request that is none may be large, and is
    /// not for here. Kafka takes ApiVersions once before a login, so that a second one is none of it.
    async fn is_login_next(&mut self, asked_versions: bool) -> Result<bool, LoginError> {
        let head = self.client.peek(REQUEST_PEEK).await.map_err(LoginError::Client)?;
        // What is cut off or malformed is refused by who reads it.
        let key = RequestHeader::peek(head, u32::MAX).map(|header| header.key);
        Ok(match key {
            Ok(API_VERSIONS) => !asked_versions,
            Ok(key) => [SASL_HANDSHAKE, SASL_AUTHENTICATE].contains(&key),
            Err(_) => true,
        })
    }

    async fn api_versions(&mut self, frame: &[u8], header: RequestHeader) -> Result<(), LoginError> {
        let RequestHeader { version, correlation, .. } = header;
        let format = Format { version, flexible: version >= 3 };
        if let Ok(body_at) = frame::request_body(frame, format.flexible) {
            api_versions::note_software(self.card, format, &frame[body_at..]);
        }
        let decision = {
            let snapshot = self.shared.snapshot();
            api_versions::request(Scope { path: self.card.path, user: None, snapshot: &snapshot }, format, &[])?
        };
        let body = match decision {
            Decision::Answer(body) => body,
            Decision::Forward | Decision::Amend { .. } => {
                let answer = self.upstream().await?.forward(frame).await.map_err(LoginError::Upstream)?;
                let body_at = frame::response_body(&answer, false)?;
                let snapshot = self.shared.snapshot();
                let scope = Scope { path: self.card.path, user: None, snapshot: &snapshot };
                api_versions::response(scope, format, &answer[body_at..])?
            }
        };
        self.send(&frame::response(correlation, false, &body)).await
    }

    /// Carries a client's own SCRAM exchange.
    async fn scram(&mut self, framing: Framing, hash: Hash, began_under: u64) -> Result<Session, LoginError> {
        let mechanism = hash.mechanism();
        let (first, reply) = self.token(framing).await?;
        let user = user_of_first_message(&first)
            .ok_or_else(|| LoginError::Protocol("the first SCRAM message names no user".into()))?;
        let refused = |why: String| LoginError::Refused { user: user.clone(), mechanism, why };
        if let Some(why) = self.barred(&user, mechanism) {
            self.refuse(reply).await?;
            return Err(refused(why.into()));
        }
        let upstream = self.upstream().await?;
        let error = upstream.handshake(mechanism).await.map_err(LoginError::Upstream)?;
        if error != 0 {
            return Err(LoginError::Upstream(io::Error::other(format!(
                "Kafka refuses {mechanism} with error {error}"
            ))));
        }
        let (mut token, mut reply) = (first, reply);
        loop {
            let answer = self.upstream().await?.authenticate(&token).await.map_err(LoginError::Upstream)?;
            self.answer(reply, &answer).await?;
            if answer.error != 0 {
                return Err(refused(answer.message.unwrap_or_else(|| format!("Kafka's error {}", answer.error))));
            }
            if answer.token.starts_with(b"v=") {
                let by = ProvedBy::Scram(hash);
                return Ok(Session { user, mechanism, began_under, expires_at: None, certificate: None, by });
            }
            (token, reply) = self.token(framing).await?;
        }
    }

    /// Proves a shown password to Kafka.
    async fn plain(&mut self, framing: Framing, began_under: u64) -> Result<Session, LoginError> {
        let (token, reply) = self.token(framing).await?;
        let (user, password) = credentials(&token)
            .ok_or_else(|| LoginError::Protocol("the PLAIN message is not 'authzid NUL user NUL password'".into()))?;
        let refused = |why: &str| LoginError::Refused { user: user.to_owned(), mechanism: PLAIN, why: why.into() };
        if let Some(why) = self.barred(user, PLAIN) {
            self.refuse(reply).await?;
            return Err(refused(why));
        }
        let preferred = self.shared.keys.preferred(user);
        let other = if preferred == Hash::Sha512 { Hash::Sha256 } else { Hash::Sha512 };
        let hashes: &[Hash] = match self.current.map(|session| session.by) {
            // Kafka lets a connection log in again only as it did before.
            Some(ProvedBy::Scram(hash)) => &[hash],
            Some(ProvedBy::Assertion) => &[],
            None => &[preferred, other],
        };
        for &hash in hashes {
            match self.prove(hash, user, password).await? {
                Proof::Accepted { lifetime_ms } => {
                    self.shared.keys.prefer(user, hash);
                    self.answer(reply, &SaslAnswer { lifetime_ms, ..SaslAnswer::default() }).await?;
                    let (user, by) = (user.to_owned(), ProvedBy::Scram(hash));
                    return Ok(Session {
                        user,
                        mechanism: PLAIN,
                        began_under,
                        expires_at: None,
                        certificate: None,
                        by,
                    });
                }
                Proof::WrongPassword => {
                    self.refuse(reply).await?;
                    return Err(refused("wrong password"));
                }
                // Kafka closes a connection whose login failed.
                Proof::NoCredential => self.upstream = None,
            }
        }
        self.refuse(reply).await?;
        Err(refused("unknown user"))
    }

    /// Checks a token, and tells Kafka whose it is.
    async fn bearer(&mut self, framing: Framing, began_under: u64) -> Result<Session, LoginError> {
        let (message, reply) = self.token(framing).await?;
        let token = bearer::token_of(&message)
            .ok_or_else(|| LoginError::Protocol("the OAUTHBEARER message holds no bearer token".into()))?;
        let now = unix_ms() / 1000;
        let checked = self.shared.snapshot().bearer.as_ref().map(|trust| trust.check(token, now));
        let refused =
            |user: &str, why: String| LoginError::Refused { user: user.to_owned(), mechanism: OAUTHBEARER, why };
        let bearer = match checked {
            Some(Ok(bearer)) => bearer,
            other => {
                self.refuse(reply).await?;
                let why = other
                    .and_then(Result::err)
                    .map_or("tokens are not trusted any more".to_owned(), |error| error_text(&error));
                return Err(refused("", why));
            }
        };
        let user = bearer.user;
        if let Some(why) = self.barred(&user, OAUTHBEARER) {
            self.refuse(reply).await?;
            return Err(refused(&user, why.into()));
        }
        match self.current {
            None => self.assert(&user, now).await?,
            // Kafka knows who it is; only the token is a newer one.
            Some(session) if session.user == user && session.by == ProvedBy::Assertion => {}
            Some(_) => {
                self.refuse(reply).await?;
                return Err(refused(&user, "a connection logs in again only as it did before".into()));
            }
        }
        let left = u64::try_from(bearer.expires - now).unwrap_or(0);
        let lifetime_ms = i64::try_from(left.saturating_mul(1000)).unwrap_or(i64::MAX);
        // Clients come with a new token before that (KIP-368), or connect again after it.
        let expires_at = Instant::now() + Duration::from_secs(left.clamp(1, LONGEST_SESSION));
        self.answer(reply, &SaslAnswer { lifetime_ms, ..SaslAnswer::default() }).await?;
        Ok(Session {
            user,
            mechanism: OAUTHBEARER,
            began_under,
            expires_at: Some(expires_at),
            certificate: None,
            by: ProvedBy::Assertion,
        })
    }

    /// Tells Kafka who showed the certificate. A client that is refused gets no answer: it asked for no login.
    async fn certified(&mut self, certificate: Arc<Presented>, began_under: u64) -> Result<Session, LoginError> {
        let refused = |user: &str, why: String| LoginError::Refused { user: user.to_owned(), mechanism: MTLS, why };
        let user = certificate.user(self.shared.snapshot().clients.as_ref());
        let user = user.map_err(|error| refused("", error.to_string()))?;
        if let Some(why) = self.barred(&user, MTLS) {
            return Err(refused(&user, why.into()));
        }
        self.assert(&user, unix_ms() / 1000).await?;
        let expires_at = Some(certificate.expires_at);
        let (certificate, by) = (Some(certificate), ProvedBy::Assertion);
        Ok(Session { user, mechanism: MTLS, began_under, expires_at, certificate, by })
    }

    /// Logs in to Kafka as `user`, on our word.
    async fn assert(&mut self, user: &str, now: i64) -> Result<(), LoginError> {
        let ours = self.shared.signer.sign(user, now).map_err(LoginError::Upstream)?;
        let upstream = self.upstream().await?;
        let error = upstream.handshake(OAUTHBEARER).await.map_err(LoginError::Upstream)?;
        if error != 0 {
            return Err(LoginError::Upstream(io::Error::other(format!(
                "Kafka refuses OAUTHBEARER with error {error}"
            ))));
        }
        let answer = upstream.authenticate(&bearer::message_with(&ours)).await.map_err(LoginError::Upstream)?;
        // A challenge instead of an empty token tells what is wrong with ours (RFC 7628 §3.2.2).
        if answer.error != 0 || !answer.token.is_empty() {
            let why = answer.message.unwrap_or_else(|| String::from_utf8_lossy(&answer.token).into_owned());
            return Err(LoginError::Upstream(io::Error::other(format!("Kafka does not take our word: {why}"))));
        }
        Ok(())
    }

    async fn prove(&mut self, hash: Hash, user: &str, password: &str) -> Result<Proof, LoginError> {
        let scram = |error: ScramError| LoginError::Upstream(io::Error::other(error));
        let shared = self.shared;
        let upstream = self.upstream().await?;
        let error = upstream.handshake(hash.mechanism()).await.map_err(LoginError::Upstream)?;
        if error != 0 {
            return Ok(Proof::NoCredential);
        }
        let (exchange, first) = Exchange::start(hash, user).map_err(scram)?;
        let challenge = upstream.authenticate(first.as_bytes()).await.map_err(LoginError::Upstream)?;
        if challenge.error != 0 {
            return Ok(Proof::NoCredential);
        }
        let (proved, last) = exchange.prove(&shared.keys, user, password, &challenge.token).await.map_err(scram)?;
        let answer = upstream.authenticate(last.as_bytes()).await.map_err(LoginError::Upstream)?;
        if answer.error != 0 {
            return Ok(Proof::WrongPassword);
        }
        proved.check(&answer.token).map_err(scram)?;
        shared.keys.accept(&proved);
        Ok(Proof::Accepted { lifetime_ms: answer.lifetime_ms })
    }

    /// Why nobody logs in as `user` by `mechanism` now, if nobody does. A login that began before it was so is judged too.
    fn barred(&self, user: &str, mechanism: &str) -> Option<&'static str> {
        let snapshot = self.shared.snapshot();
        if !snapshot.takes(mechanism) {
            return Some("the mechanism was switched off");
        }
        (!snapshot.admits(user)).then_some("the user is disabled, or its name belongs to the platform")
    }

    /// The connection to Kafka, made if there is none.
    async fn upstream(&mut self) -> Result<&mut SaslUpstream<K::Stream>, LoginError> {
        let upstream = match self.upstream.take() {
            Some(upstream) => upstream,
            None => SaslUpstream::new(self.kafka.connect().await.map_err(LoginError::Upstream)?),
        };
        Ok(self.upstream.insert(upstream))
    }

    async fn frame(&mut self) -> Result<Vec<u8>, LoginError> {
        let limit = self.shared.snapshot().limits.max_login_frame_bytes;
        match self.client.next(limit).await {
            Ok(Some(frame)) => {
                self.shared.live.heard(self.card);
                Ok(frame)
            }
            Ok(None) => Err(LoginError::Left),
            Err(e) if e.kind() == io::ErrorKind::InvalidData => {
                Err(LoginError::Protocol(format!("a frame before the login is negative or longer than {limit} bytes")))
            }
            Err(e) => Err(LoginError::Client(e)),
        }
    }

    async fn request(&mut self) -> Result<(Vec<u8>, RequestHeader), LoginError> {
        let frame = self.frame().await?;
        let header = RequestHeader::peek(&frame, u32::MAX)?;
        frame::note_client(self.card, &frame);
        Ok((frame, header))
    }

    /// The client's next SASL message.
    async fn token(&mut self, framing: Framing) -> Result<(Vec<u8>, Reply), LoginError> {
        match framing {
            Framing::Bare => {
                let mut frame = self.frame().await?;
                frame.drain(..LENGTH);
                Ok((frame, Reply::Bare))
            }
            Framing::Requests => {
                let (frame, RequestHeader { key, version, correlation, .. }) = self.request().await?;
                if key != SASL_AUTHENTICATE || !(0..=2).contains(&version) {
                    return Err(LoginError::Protocol(format!(
                        "API {key} version {version} came in the middle of a login"
                    )));
                }
                let flexible = version >= 2;
                let body_at = frame::request_body(&frame, flexible)?;
                let token = Reader::new(&frame[body_at..], flexible).bytes()?.to_vec();
                Ok((token, Reply::Response { correlation, version }))
            }
        }
    }

    async fn refuse(&mut self, reply: Reply) -> Result<(), LoginError> {
        let answer = SaslAnswer {
            error: code::SASL_AUTHENTICATION_FAILED,
            message: Some(REFUSED.into()),
            ..SaslAnswer::default()
        };
        self.answer(reply, &answer).await
    }

    async fn answer(&mut self, reply: Reply, answer: &SaslAnswer) -> Result<(), LoginError> {
        match reply {
            // Bare tokens have no place for an error: the connection ends (KIP-43).
            Reply::Bare if answer.error != 0 => Ok(()),
            Reply::Bare => {
                let mut w = Writer::new(false);
                w.bytes(&answer.token);
                self.send(&w.bytes).await
            }
            Reply::Response { correlation, version } => {
                let mut w = Writer::new(version >= 2);
                w.i16(answer.error);
                w.nullable_string(answer.message.as_deref());
                w.bytes(&answer.token);
                if version >= 1 {
                    w.i64(answer.lifetime_ms);
                }
                w.tags();
                self.send(&frame::response(correlation, version >= 2, &w.bytes)).await
            }
        }
    }

    async fn send(&mut self, frame: &[u8]) -> Result<(), LoginError> {
        self.client.send(frame).await.map_err(LoginError::Client)
    }
}

/// What was begun ends with the time for a login.
async fn in_time<T>(shared: &Shared, of_login: impl Future<Output = Result<T, LoginError>>) -> Result<T, LoginError> {
    let limit = Duration::from_millis(shared.snapshot().limits.login_timeout_ms);
    timeout(limit, of_login).await.unwrap_or(Err(LoginError::TooSlow))
}

enum Proof {
    Accepted { lifetime_ms: i64 },
    WrongPassword,
    NoCredential,
}
