//! One client connection from accept to close: TLS, login, service, and the ways that it ends.

use super::block::BLOCK_BYTES;
use super::certificates::Presented;
use super::connections::{Card, Told};
use super::duplex::{Duplex, Event, Fault};
use super::framed::Framed;
use super::listener::Shared;
use super::login::{Login, LoginError, Session};
use super::metrics::{ByDirection, ByPath, Direction, PathLabel, Refusal};
use super::read_ahead::ReadAhead;
use super::stream::Stream;
use super::upstream::{Connect, Kafka, SaslUpstream};
use broker_api::spec::AccessPath;
use std::future::poll_fn;
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, info};

/// How long a side that was told to end may take to do so.
const LINGER: Duration = Duration::from_secs(5);

/// Why a connection ended, where that is worth counting.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
    #[error("the client did not log in, or ask anything, in time")]
    LoginTimeout,
    #[error("the login failed")]
    Login(#[source] LoginError),
    #[error("Kafka can't be reached")]
    Upstream(#[source] io::Error),
    #[error("Kafka closed the connection")]
    UpstreamClosed,
    #[error("nothing was said for too long")]
    Idle,
    #[error("the user was disabled")]
    UserDisabled,
    #[error("somebody ended it")]
    Kicked,
    #[error("the client had not logged in yet, and others waited to")]
    MadeWay,
    #[error("the client's address may not connect")]
    AddressDenied,
    #[error("the user has a new password, or was deleted")]
    LoginEnded,
    #[error("the token or certificate that the client signed in with has expired")]
    LoginExpired,
    #[error("the client's certificate is not trusted any more, or means another user")]
    CertificateDistrusted,
    #[error("the mechanism that the client logged in by was switched off")]
    MechanismDisabled,
    #[error("this way in was closed")]
    PathClosed,
    #[error("the protocol was broken")]
    Protocol(#[source] Fault),
}

impl From<LoginError> for End {
    fn from(error: LoginError) -> Self {
        if let LoginError::TooSlow = error { Self::LoginTimeout } else { Self::Login(error) }
    }
}

impl End {
    fn refusal(&self) -> Option<Refusal> {
        Some(match self {
            Self::Tls(_) => Refusal::TlsHandshake,
            Self::LoginTimeout => Refusal::LoginTimeout,
            Self::Login(LoginError::Protocol(_)) => Refusal::Protocol,
            Self::Login(LoginError::Upstream(_)) | Self::Upstream(_) => Refusal::Upstream,
            // Refused logins have their own counter, and leaving is no fault.
            Self::Login(_) | Self::UpstreamClosed => return None,
            Self::Idle => Refusal::Idle,
            Self::UserDisabled => Refusal::UserDisabled,
            Self::Kicked => Refusal::Kicked,
            Self::MadeWay => Refusal::TooManyStrangers,
            Self::AddressDenied => Refusal::AddressDenied,
            Self::LoginEnded => Refusal::LoginEnded,
            Self::LoginExpired => Refusal::LoginExpired,
            Self::CertificateDistrusted => Refusal::CertificateDistrusted,
            Self::MechanismDisabled => Refusal::MechanismDisabled,
            Self::PathClosed => Refusal::PathClosed,
            Self::Protocol(Fault::TlsOnPlainPort) => Refusal::TlsOnPlainPort,
            Self::Protocol(Fault::DiskFull) => Refusal::DiskFull,
            Self::Protocol(_) => Refusal::Protocol,
        })
    }
}

/// Serves `client` until it ends, is drained or is cut.
pub(super) async fn serve(client: TcpStream, card: Arc<Card>, shared: Arc<Shared>) {
    let path = card.path;
    let Some(upstream) = shared.snapshot().paths.get(&path).map(|path| path.upstream) else { return };
    // Failing to set it costs latency only.
    let _ = client.set_nodelay(true);
    let kafka = Kafka(upstream);
    let service = async {
        if path.is_tls() {
            let deadline = login_deadline(&shared);
            let (client, certificate) = handshake(client, &shared, deadline).await?;
            shared.live.heard(&card);
            Box::pin(authenticated(client, kafka, &card, &shared, deadline, certificate)).await
        } else {
            anonymous(client, kafka, &card, &shared).await
        }
    };
    let ended = tokio::select! {
        biased;
        () = shared.cut.cancelled() => return,
        told = card.told() => Err(match told {
            Told::Kicked => End::Kicked,
            Told::ToMakeWay => End::MadeWay,
        }),
        () = denied(&card, &shared) => Err(End::AddressDenied),
        ended = service => ended,
    };
    if let Err(end) = ended {
        report(&end, card.peer, path, &shared);
    }
}

/// Shakes hands by the settings of now; also what certificate the client showed, which was found good.
async fn handshake(
    client: TcpStream,
    shared: &Shared,
    deadline: Instant,
) -> Result<(TlsStream<ReadAhead<TcpStream>>, Option<Arc<Presented>>), End> {
    let (tls, trust) = {
        let snapshot = shared.snapshot();
        (TlsAcceptor::from(snapshot.tls.clone()), snapshot.clients.clone())
    };
    let accepting = tls.accept_with(ReadAhead::new(client), |tls| tls.set_buffer_limit(Some(BLOCK_BYTES)));
    match timeout_at(deadline, accepting.into_fallible()).await.map_err(|_| End::LoginTimeout)? {
        Ok(client) => {
            let shown = client.get_ref().1.peer_certificates().zip(trust);
            let certificate = shown.and_then(|(chain, trust)| Presented::new(chain, trust)).map(Arc::new);
            Ok((client, certificate))
        }
        Err((error, mut client)) => {
            // So that the alert arrives before the end does: a client may have sent its first request meanwhile (TLS 1.3).
            end_gently(&mut client).await;
            Err(End::Tls(error))
        }
    }
}

/// Ends when clients of this address may not come by this path, now or later.
async fn denied(card: &Card, shared: &Shared) {
    let mut changes = shared.changes();
    while shared.snapshot().admits_from(card.path, card.peer.ip()) {
        if changes.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Counts the end, and says it in one line.
fn report(end: &End, peer: SocketAddr, path: AccessPath, shared: &Shared) {
    if let Some(refusal) = end.refusal() {
        shared.metrics.refuse(path, refusal);
    }
    if matches!(end, End::Upstream(_) | End::Login(LoginError::Upstream(_))) {
        shared.metrics.upstream_failures.get_or_create(&ByPath { path: PathLabel(path) }).inc();
    }
    let cause = causes(end);
    // Somebody only looked whether the port is open.
    let looked = matches!(end, End::Tls(e) if e.kind() == io::ErrorKind::UnexpectedEof);
    match end {
        // One cause for all clients, which the supervisor tells: not a line each.
        End::Upstream(_) | End::Login(LoginError::Left | LoginError::Upstream(_)) | End::UpstreamClosed | End::Idle => {
            debug!(client.address = %peer, gateway.path = path.as_str(), cause, "client connection ended");
        }
        _ if looked => debug!(client.address = %peer, gateway.path = path.as_str(), cause, "client connection ended"),
        _ => info!(client.address = %peer, gateway.path = path.as_str(), cause, "client connection refused or ended"),
    }
}

fn causes(end: &End) -> String {
    let mut text = end.to_string();
    let mut source = std::error::Error::source(end);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn login_deadline(shared: &Shared) -> Instant {
    Instant::now() + Duration::from_millis(shared.snapshot().limits.login_timeout_ms)
}

/// Serves a client of a plaintext path: Kafka's `User:ANONYMOUS`.
pub(super) async fn anonymous<C, K>(client: C, kafka: K, card: &Arc<Card>, shared: &Arc<Shared>) -> Result<(), End>
where
    C: Stream,
    K: Connect,
{
    let deadline = login_deadline(shared);
    let upstream = kafka.connect().await.map_err(End::Upstream)?;
    let duplex = Duplex::new(client, upstream, &[], card.clone(), None, shared.clone());
    Service { duplex, session: None, card, shared, first_request_by: deadline }.run().await
}

/// Serves a client that logs in first.
pub(super) async fn authenticated<C, K>(
    client: C,
    kafka: K,
    card: &Arc<Card>,
    shared: &Arc<Shared>,
    deadline: Instant,
    certificate: Option<Arc<Presented>>,
) -> Result<(), End>
where
    C: Stream,
    K: Connect,
{
    let deadline = match &certificate {
        // The client proved who it is, and may be in no hurry to ask.
        Some(certificate) => {
            card.presented(certificate.clone());
            shared.live.recognise(card);
            Instant::now() + idle(shared)
        }
        None => deadline,
    };
    let mut frames = Framed::new(client);
    let undecided = undecided(certificate.clone(), card, shared);
    let mut login =
        Login { client: &mut frames, upstream: None, kafka: &kafka, card, shared, certificate, current: None };
    let session = tokio::select! {
        biased;
        // Nothing of a login is worth waiting for: the client logs in elsewhere.
        () = shared.draining.cancelled() => return Ok(()),
        end = undecided => Err(end),
        session = timeout_at(deadline, login.run()) => {
            session.map_err(|_| End::LoginTimeout).and_then(|session| session.map_err(End::from))
        }
    };
    let upstream = login.upstream.take();
    let session = match session {
        Ok(session) => session,
        Err(end) => {
            // So that the refusal arrives before the end does.
            let (mut client, _) = frames.into_parts();
            end_gently(&mut client).await;
            return Err(end);
        }
    };
    let Some(upstream) = upstream else { return Err(End::UpstreamClosed) };
    card.logged_in(&session.user, session.mechanism, session.certificate.is_some());
    shared.live.recognise(card);
    let (upstream, _) = upstream.frames.into_parts();
    let (client, read) = frames.into_parts();
    let duplex = Duplex::new(client, upstream, &read, card.clone(), Some(session.user.clone()), shared.clone());
    // The client proved that it is alive.
    let first_request_by = Instant::now() + idle(shared);
    Service { duplex, session: Some(session), card, shared, first_request_by }.run().await
}

fn idle(shared: &Shared) -> Duration {
    Duration::from_millis(shared.snapshot().limits.idle_timeout_ms)
}

/// Ends when a client that showed a certificate, and has said nothing yet of a login, may not stay.
async fn undecided(certificate: Option<Arc<Presented>>, card: &Card, shared: &Shared) -> End {
    let Some(certificate) = certificate else { return std::future::pending().await };
    let mut changes = shared.changes();
    loop {
        {
            let snapshot = shared.snapshot();
            if !snapshot.paths.contains_key(&card.path) {
                return End::PathClosed;
            }
            if certificate.user(snapshot.clients.as_ref()).is_err_and(|why| why.is_of_trust()) {
                return End::CertificateDistrusted;
            }
        }
        tokio::select! {
            () = changed(&mut changes) => {}
            () = sleep_until(certificate.expires_at) => return End::LoginExpired,
        }
    }
}

/// A connection whose client may ask everything that the table serves.
struct Service<'a, C, U> {
    duplex: Duplex<C, U>,
    session: Option<Session>,
    card: &'a Arc<Card>,
    shared: &'a Arc<Shared>,
    first_request_by: Instant,
}

impl<C, U> Service<'_, C, U>
where
    C: Stream,
    U: Stream,
{
    async fn run(mut self) -> Result<(), End> {
        loop {
            match self.until_event().await? {
                Event::Reauthenticate => {
                    if let Err(end) = self.reauthenticate().await {
                        // So that the refusal arrives before the end does.
                        end_gently(&mut self.duplex.client).await;
                        return Err(end);
                    }
                }
                Event::Drained => {
                    let Duplex { mut client, mut upstream, .. } = self.duplex;
                    tokio::join!(end_gently(&mut upstream), end_gently(&mut client));
                    return Ok(());
                }
                Event::Gone(fault) => {
                    let Duplex { client, mut upstream, .. } = self.duplex;
                    drop(client);
                    end_gently(&mut upstream).await;
                    return fault.map_or(Ok(()), |fault| Err(End::Protocol(fault)));
                }
                Event::UpstreamClosed { client_done } => {
                    end_gently(&mut self.duplex.client).await;
                    return if client_done { Ok(()) } else { Err(End::UpstreamClosed) };
                }
                Event::Failed(fault) => return Err(End::Protocol(fault)),
            }
        }
    }

    /// Serves until something must be decided.
    async fn until_event(&mut self) -> Result<Event, End> {
        let shared = self.shared;
        let mut changes = shared.changes();
        self.check_admitted()?;
        if !self.has_path() {
            return Err(End::PathClosed);
        }
        let traffic = |direction| {
            shared.metrics.bytes.get_or_create_owned(&ByDirection { path: PathLabel(self.card.path), direction })
        };
        let (bytes_in, bytes_out) = (traffic(Direction::In), traffic(Direction::Out));
        let card = self.card;
        let mut draining = false;
        // When the path was closed: what is in flight has until then.
        let mut closes_at = None;
        loop {
            let active_until = if self.duplex.seen == 0 && self.session.is_none() {
                self.first_request_by
            } else {
                self.duplex.active_at + idle(shared)
            };
            let expires_at = self.session.as_ref().and_then(|session| session.expires_at);
            let look_at = [closes_at, expires_at].into_iter().flatten().fold(active_until, Instant::min);
            let duplex = &mut self.duplex;
            let service = poll_fn(|cx| {
                let (taken, written, seen) = (duplex.requests.taken, duplex.responses.written, duplex.seen);
                let event = duplex.poll(cx);
                let taken = duplex.requests.taken.saturating_sub(taken);
                let written = duplex.responses.written.saturating_sub(written);
                let seen = duplex.seen.saturating_sub(seen);
                if taken + written + seen > 0 {
                    bytes_in.inc_by(taken);
                    bytes_out.inc_by(written);
                    card.moved(taken, written, seen);
                }
                event
            });
            tokio::select! {
                biased;
                event = service => return Ok(event),
                () = shared.draining.cancelled(), if !draining => {
                    draining = true;
                    self.duplex.drain();
                }
                () = changed(&mut changes) => {
                    self.check_admitted()?;
                    if closes_at.is_none() && !self.has_path() {
                        closes_at = Some(Instant::now() + LINGER);
                        self.duplex.drain();
                    }
                }
                () = sleep_until(look_at) => {
                    if closes_at.is_some_and(|at| at <= look_at) {
                        return Err(End::PathClosed);
                    }
                    if expires_at.is_some_and(|at| at <= look_at) {
                        return Err(End::LoginExpired);
                    }
                    self.check_active(look_at)?;
                }
            }
        }
    }

    fn check_admitted(&self) -> Result<(), End> {
        let (snapshot, Some(session)) = (self.shared.snapshot(), &self.session) else { return Ok(()) };
        if !snapshot.admits(&session.user) {
            return Err(End::UserDisabled);
        }
        if let Some(certificate) = &session.certificate
            && certificate.user(snapshot.clients.as_ref()).as_ref() != Ok(&session.user)
        {
            return Err(End::CertificateDistrusted);
        }
        if !snapshot.takes(session.mechanism) {
            return Err(End::MechanismDisabled);
        }
        if snapshot.keeps_login(&session.user, session.began_under) { Ok(()) } else { Err(End::LoginEnded) }
    }

    fn has_path(&self) -> bool {
        self.shared.snapshot().paths.contains_key(&self.card.path)
    }

    fn check_active(&self, looked_at: Instant) -> Result<(), End> {
        if self.duplex.seen == 0 && self.session.is_none() {
            return Err(End::LoginTimeout);
        }
        if self.duplex.active_at + idle(self.shared) <= looked_at { Err(End::Idle) } else { Ok(()) }
    }

    /// Runs another login on the same two connections.
    async fn reauthenticate(&mut self) -> Result<(), End> {
        let read = self.duplex.requests.unread().to_vec();
        let mut frames = Framed::with_read(&mut self.duplex.client, read);
        let kafka = Connected(PhantomData);
        let mut login = Login {
            client: &mut frames,
            upstream: Some(SaslUpstream::new(&mut self.duplex.upstream)),
            kafka: &kafka,
            card: self.card,
            shared: self.shared,
            certificate: None,
            current: self.session.as_ref(),
        };
        let session = timeout_at(login_deadline(self.shared), login.run()).await;
        let session = session.map_err(|_| End::LoginTimeout)??;
        self.card.logged_in(&session.user, session.mechanism, session.certificate.is_some());
        let (_, read) = frames.into_parts();
        self.session = Some(session);
        self.duplex.resume(&read);
        Ok(())
    }
}

/// Stands for a connection that exists and can't be made again.
struct Connected<S>(PhantomData<fn() -> S>);

impl<S: Stream> Connect for Connected<S> {
    type Stream = S;

    async fn connect(&self) -> io::Result<S> {
        Err(io::ErrorKind::NotConnected.into())
    }
}

async fn changed(changes: &mut watch::Receiver<u64>) {
    // Fails only when the gateway is gone, and then nothing changes any more.
    if changes.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Says that no more comes, and reads until the peer says so too: closing with bytes unread would
/// reset the connection and destroy what is still on its way to the peer.
async fn end_gently<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let ending = async {
        stream.shutdown().await?;
        // On the heap: it would weigh on every idle connection's task.
        let mut rest = vec![0; 4096];
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    // Either way the connection is closed next.
    let _ = timeout(LINGER, ending).await;
}
