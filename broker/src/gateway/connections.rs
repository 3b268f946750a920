//! Who is connected: admission by number, and a card for each live connection.
//!
//! Owns the count of all connections and of each IP address, exact under races because admission and
//! release take one lock; the data path never takes it, it writes the atomics of its own card. Who finds no permit of the
//! instance's total left waits in line for one, which a release or [`super::permits`] gives. Memory is bounded by the
//! limits: a card a connection, texts of clients shortened. Must not know sockets.

use super::certificates::{Presented, Trust};
use super::permits::ledger::Demand;
use crate::clock::unix_ms;
use broker_api::connections::{
    CloseConnections, ConnectionFilter, ConnectionList, LiveConnection, MAX_UNKEPT, ShownCertificate, Unkept,
};
use broker_api::spec::{AccessPath, GatewayLimits};
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

/// Longest text of a client that is kept, in bytes: a client could name itself with 32 KiB.
const MAX_TEXT: usize = 256;
/// What Kafka calls a client that did not log in.
const ANONYMOUS: &str = "ANONYMOUS";
/// Connections that may wait for a permit: a reconnect storm of a node's clients where others hold what is left.
const MAX_WAITING: usize = 1024;

/// Why there is no place for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// Of the broker.
    Broker,
    /// Of the client's IP address.
    Ip,
    /// Of the instance, and of those who may wait for one.
    Instance,
}

/// How many may be open here, of the instance's total.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// There is no total.
    Unlimited,
    Permits(u32),
    /// More are open than may be, over all brokers: whoever leaves makes room for nobody.
    Closed,
}

/// Where a connection stands that was admitted.
#[derive(Debug)]
pub(super) enum Place {
    Open,
    /// It may be served when it is told so.
    Waiting(oneshot::Receiver<()>),
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
pub(super) struct Card {
    id: u64,
    pub(super) path: AccessPath,
    pub(super) peer: SocketAddr,
    since_ms: i64,
    active_ms: AtomicI64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    requests: AtomicU64,
    identity: Mutex<Identity>,
    /// Cancelled to end the connection.
    kicked: CancellationToken,
}

impl Card {
    pub(super) fn new(id: u64, path: AccessPath, peer: SocketAddr) -> Self {
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
            kicked: CancellationToken::new(),
        }
    }

    /// Adds what moved, and the requests that began. Called when something did.
    pub(super) fn moved(&self, bytes_in: u64, bytes_out: u64, requests: u64) {
        self.bytes_in.fetch_add(bytes_in, Ordering::Relaxed);
        self.bytes_out.fetch_add(bytes_out, Ordering::Relaxed);
        self.requests.fetch_add(requests, Ordering::Relaxed);
        self.active_ms.store(unix_ms(), Ordering::Relaxed);
    }

    pub(super) fn presented(&self, certificate: Arc<Presented>) {
        self.identity().certificate = Some(certificate);
    }

    /// `by_certificate`: by the one that was presented, which else says nothing of the client any more.
    pub(super) fn logged_in(&self, user: &str, mechanism: &'static str, by_certificate: bool) {
        let mut identity = self.identity();
        identity.user = Some(shown(user));
        identity.mechanism = Some(mechanism);
        if !by_certificate {
            identity.certificate = None;
        }
    }

    /// The name that the client gave itself in its first request.
    pub(super) fn named(&self, client_id: &str) {
        self.identity().client_id.get_or_insert_with(|| shown(client_id));
    }

    pub(super) fn runs(&self, name: &str, version: &str) {
        self.identity().software = Some((shown(name), shown(version)));
    }

    /// Ends when somebody wants the connection to.
    pub(super) async fn kicked(&self) {
        self.kicked.cancelled().await;
    }

    fn view(&self) -> LiveConnection {
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

    fn identity(&self) -> MutexGuard<'_, Identity> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shown_certificate(certificate: &Presented) -> ShownCertificate {
    let ShownCertificate { subject, issuer, serial, valid_until } = certificate.view();
    ShownCertificate { subject: shown(&subject), issuer: shown(&issuer), serial: shown(&serial), valid_until }
}

/// Text of a stranger, for a list that is read in a terminal: bounded, and without control characters.
fn shown(text: &str) -> String {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Every live connection.
#[derive(Debug)]
pub(super) struct Connections {
    live: Mutex<Live>,
    /// Told when connections come, go or wait, where permits count.
    demand: Notify,
}

#[derive(Debug)]
struct Live {
    next_id: u64,
    cards: BTreeMap<u64, Arc<Card>>,
    /// Those that wait among them.
    by_ip: HashMap<IpAddr, u32>,
    room: Room,
    /// In line for a permit.
    waiting: BTreeMap<u64, (Arc<Card>, oneshot::Sender<()>)>,
}

impl Live {
    fn has_permit(&self) -> bool {
        match self.room {
            Room::Unlimited => true,
            Room::Permits(permits) => self.cards.len() < permits as usize,
            Room::Closed => false,
        }
    }

    /// Gives permits that are free to those who wait.
    fn let_in(&mut self) {
        while self.has_permit()
            && let Some((id, (card, told))) = self.waiting.pop_first()
        {
            self.cards.insert(id, card);
            // Who does not wait any more gives it back like everybody.
            let _ = told.send(());
        }
    }
}

impl Connections {
    /// With `permits`, nobody is served before there are some.
    pub(super) fn new(permits: bool) -> Self {
        // From the clock, so that a gateway never gives an id that one before it gave: it would have
        // had to admit a thousand connections a millisecond.
        let next_id = u64::try_from(unix_ms()).unwrap_or(0).saturating_mul(1000);
        let (cards, by_ip, waiting) = Default::default();
        let room = if permits { Room::Permits(0) } else { Room::Unlimited };
        let live = Live { next_id, cards, by_ip, room, waiting };
        Self { live: Mutex::new(live), demand: Notify::new() }
    }

    /// Takes a place, or one in line, to be given back by [`Connections::release`].
    pub(super) fn admit(
        &self,
        limits: &GatewayLimits,
        path: AccessPath,
        peer: SocketAddr,
    ) -> Result<(Arc<Card>, Place), Full> {
        let mut live = self.lock();
        if live.cards.len() >= limits.max_connections as usize {
            return Err(Full::Broker);
        }
        let id = live.next_id;
        let card = Arc::new(Card::new(id, path, peer));
        let of_ip = live.by_ip.get(&card.peer.ip()).copied().unwrap_or(0);
        if of_ip >= limits.max_connections_per_ip {
            return Err(Full::Ip);
        }
        let place = if live.waiting.is_empty() && live.has_permit() {
            live.cards.insert(id, card.clone());
            Place::Open
        } else if live.waiting.len() < MAX_WAITING {
            let (tell, told) = oneshot::channel();
            live.waiting.insert(id, (card.clone(), tell));
            Place::Waiting(told)
        } else {
            return Err(Full::Instance);
        };
        live.by_ip.insert(card.peer.ip(), of_ip + 1);
        live.next_id += 1;
        self.tell_demand(&live);
        Ok((card, place))
    }

    /// Gives a place back, or one in line.
    pub(super) fn release(&self, card: &Card) {
        let mut live = self.lock();
        if live.cards.remove(&card.id).is_none() && live.waiting.remove(&card.id).is_none() {
            return;
        }
        if let Some(of_ip) = live.by_ip.get_mut(&card.peer.ip()) {
            *of_ip -= 1;
            if *of_ip == 0 {
                live.by_ip.remove(&card.peer.ip());
            }
        }
        live.let_in();
        self.tell_demand(&live);
    }

    /// Has somebody decide how many may be open here, by how many are and how many wait; nobody comes or goes meanwhile.
    pub(super) fn share<T>(&self, decide: impl FnOnce(Demand) -> (Room, T)) -> T {
        let mut live = self.lock();
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let decided;
        (live.room, decided) = decide(Demand { open: count(live.cards.len()), waiting: count(live.waiting.len()) });
        live.let_in();
        decided
    }

    /// Ends when connections came, went or began to wait after the last call, where permits count.
    pub(super) async fn demanded(&self) {
        self.demand.notified().await;
    }

    fn tell_demand(&self, live: &Live) {
        if live.room != Room::Unlimited {
            self.demand.notify_one();
        }
    }

    pub(super) fn open(&self) -> u32 {
        u32::try_from(self.lock().cards.len()).unwrap_or(u32::MAX)
    }

    /// Those that fit `filter`, by rising id from the one behind `after`, at most `limit`.
    pub(super) fn list(&self, filter: &ConnectionFilter, after: u64, limit: usize) -> ConnectionList {
        let mut list = ConnectionList::default();
        for card in self.cards() {
            let view = card.view();
            if filter.fits(&view) {
                list.total += 1;
                if view.id > after && list.connections.len() < limit {
                    list.connections.push(view);
                }
            }
        }
        list
    }

    /// Tells connections to end, and how many were told.
    pub(super) fn close(&self, which: &CloseConnections) -> u64 {
        let told = match which {
            CloseConnections::Ids(ids) => {
                let live = self.lock();
                ids.iter().filter_map(|id| live.cards.get(id).cloned()).collect()
            }
            CloseConnections::Filter(filter) => {
                let mut cards = self.cards();
                cards.retain(|card| filter.fits(&card.view()));
                cards
            }
        };
        told.iter().filter(|card| !card.kicked.is_cancelled()).map(|card| card.kicked.cancel()).count() as u64
    }

    /// Connections that this trust would end: signed in with a certificate, or about to be.
    pub(super) fn unkept(&self, trust: Option<&Trust>) -> Unkept {
        let mut unkept = Unkept::default();
        for card in self.cards() {
            let (certificate, user) = {
                let identity = card.identity();
                (identity.certificate.clone(), identity.user.clone())
            };
            let Some(certificate) = certificate else { continue };
            let kept =
                certificate.user_under(trust).is_ok_and(|now| user.as_ref().is_none_or(|user| *user == shown(&now)));
            if kept {
                continue;
            }
            match user {
                Some(user) if unkept.by_user.len() < MAX_UNKEPT || unkept.by_user.contains_key(&user) => {
                    *unkept.by_user.entry(user).or_default() += 1;
                }
                _ => unkept.others += 1,
            }
        }
        unkept
    }

    /// A copy, so that nobody who connects waits for somebody who looks.
    fn cards(&self) -> Vec<Arc<Card>> {
        self.lock().cards.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
