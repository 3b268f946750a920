//! What others see of one live connection, and how it is told to end.
//!
//! The data path writes the atomics of its own card; texts of clients are shortened, and written a few times in a
//! connection's life. Must not know who else is connected.

use crate::clock::unix_ms;
use crate::gateway::certificates::Presented;
use broker_api::connections::{LiveConnection, ShownCertificate};
use broker_api::spec::AccessPath;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::SetOnce;

/// Longest text of a client that is kept, in bytes: a client could name itself with 32 KiB.
const MAX_TEXT: usize = 256;
/// What Kafka calls a client that did not log in.
const ANONYMOUS: &str = "ANONYMOUS";

/// Why a connection is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) enum Told {
    /// Somebody wants it.
    Kicked,
    /// It has not logged in for a while, and others wait to.
    ToMakeWay,
}

/// What a client said of itself. Written a few times in a connection's life.
#[derive(Debug, Default)]
struct Identity {
    user: Option<String>,
    mechanism: Option<&'static str>,
    /// Shown in the handshake, and what the client is signed in with unless it logs in otherwise.
    certificate: Option<Arc<Presented>>,
    client_id: Option<String>,
    software: Option<(String, String)>,
}

/// One live connection as others see it.
#[derive(Debug)]
pub(in crate::gateway) struct Card {
    pub(super) id: u64,
    pub(in crate::gateway) path: AccessPath,
    pub(in crate::gateway) peer: SocketAddr,
    since_ms: i64,
    active_ms: AtomicI64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    requests: AtomicU64,
    identity: Mutex<Identity>,
    pub(super) told: SetOnce<Told>,
}

impl Card {
    pub(in crate::gateway) fn new(id: u64, path: AccessPath, peer: SocketAddr) -> Self {
        let now = unix_ms();
        let user = (!path.is_tls()).then(|| ANONYMOUS.to_owned());
        Self {
            id,
            path,
            // One client is one address, by whichever family its socket names it.
            peer: SocketAddr::new(peer.ip().to_canonical(), peer.port()),
            since_ms: now,
            active_ms: AtomicI64::new(now),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            identity: Mutex::new(Identity { user, ..Identity::default() }),
            told: SetOnce::new(),
        }
    }

    /// Adds what moved, and the requests that began. Called when something did.
    pub(in crate::gateway) fn moved(&self, bytes_in: u64, bytes_out: u64, requests: u64) {
        self.bytes_in.fetch_add(bytes_in, Ordering::Relaxed);
        self.bytes_out.fetch_add(bytes_out, Ordering::Relaxed);
        self.requests.fetch_add(requests, Ordering::Relaxed);
        self.active_ms.store(unix_ms(), Ordering::Relaxed);
    }

    pub(in crate::gateway) fn presented(&self, certificate: Arc<Presented>) {
        self.identity().certificate = Some(certificate);
    }

    /// `by_certificate`: by the one that was presented, which else says nothing of the client any more.
    pub(in crate::gateway) fn logged_in(&self, user: &str, mechanism: &'static str, by_certificate: bool) {
        let mut identity = self.identity();
        identity.user = Some(shown(user));
        identity.mechanism = Some(mechanism);
        if !by_certificate {
            identity.certificate = None;
        }
    }

    /// The name that the client gave itself in its first request.
    pub(in crate::gateway) fn named(&self, client_id: &str) {
        self.identity().client_id.get_or_insert_with(|| shown(client_id));
    }

    pub(in crate::gateway) fn runs(&self, name: &str, version: &str) {
        self.identity().software = Some((shown(name), shown(version)));
    }

    /// Tells the connection to end; false if it was told before.
    pub(super) fn tell(&self, why: Told) -> bool {
        self.told.set(why).is_ok()
    }

    /// Ends when the connection is told to.
    pub(in crate::gateway) async fn told(&self) -> Told {
        *self.told.wait().await
    }

    pub(super) fn view(&self) -> LiveConnection {
        let identity = self.identity();
        let software = identity.software.clone();
        let (software_name, software_version) = software.unzip();
        LiveConnection {
            id: self.id,
            path: self.path,
            ip: self.peer.ip(),
            port: self.peer.port(),
            user: identity.user.clone(),
            mechanism: identity.mechanism.map(str::to_owned),
            certificate: identity.certificate.as_ref().map(|certificate| shown_certificate(certificate)),
            client_id: identity.client_id.clone(),
            software_name,
            software_version,
            since_ms: self.since_ms,
            active_ms: self.active_ms.load(Ordering::Relaxed),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
        }
    }

    /// The certificate that the client is or may become signed in with, and who it is.
    pub(super) fn signed_in(&self) -> (Option<Arc<Presented>>, Option<String>) {
        let identity = self.identity();
        (identity.certificate.clone(), identity.user.clone())
    }

    fn identity(&self) -> MutexGuard<'_, Identity> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shown_certificate(certificate: &Presented) -> ShownCertificate {
    let ShownCertificate { subject, issuer, serial, valid_until } = certificate.view();
    ShownCertificate { subject: shown(&subject), issuer: shown(&issuer), serial: shown(&serial), valid_until }
}

/// Text of a stranger, for a list that is read in a terminal: bounded, and without control characters.
pub(super) fn shown(text: &str) -> String {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
