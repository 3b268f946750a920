//! Client listeners: opens and closes them as the snapshot says, counts connections, starts a
//! task for each that may be served.
//!
//! Listeners share their port (SO_REUSEPORT), so that a new gateway can listen before the old one
//! stops: a client never finds the port closed.

use super::admission::Admission;
use super::admission::counted::Counted;
use super::admission::groups::Groups;
use super::admission::log_topic::{Kept, LogTopic};
use super::admission::partitions::Partitions;
use super::bandwidth::Bandwidth;
use super::connection;
use super::connection_rates::Arrivals;
use super::connections::{Card, Connections, Full, Place};
use super::error::GatewayError;
use super::gather;
use super::metrics::{ByPath, Metrics, PathLabel, Refusal};
use super::permits::{self, OwnBroker};
use super::proxied;
use super::scram::KeyCache;
use super::snapshot::Snapshot;
use super::topic_quotas::TopicQuotas;
use crate::assertion::Signer;
use crate::error_text;
use crate::incarnation::Incarnation;
use crate::inter_broker::Peer;
use arc_swap::{ArcSwap, ArcSwapOption};
use broker_api::spec::AccessPath;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

/// Connections that may wait in the kernel before they are accepted: a reconnect storm of 3 000
/// clients (product.md §1) must fit; the kernel caps it by net.core.somaxconn.
const BACKLOG: i32 = 4096;
/// Balancers send the header with the first packet; more at once than a reconnect storm are held up on purpose.
const INTRODUCTIONS: usize = 4096;
/// How long accepting pauses when the process is out of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// What every connection may look at.
pub(super) struct Shared {
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// Rises with every swap, so that live connections look again.
    changes: watch::Sender<u64>,
    pub(super) metrics: Metrics,
    pub(super) keys: KeyCache,
    pub(super) signer: Signer,
    pub(super) gather_budget: Arc<gather::Budget>,
    pub(super) live: Connections,
    arrivals: Arrivals,
    partitions: Arc<Admission>,
    groups: Arc<Admission>,
    pub(super) bandwidth: Bandwidth,
    pub(super) topic_quotas: TopicQuotas,
    /// Why produce is refused, if it is.
    full_disk: ArcSwapOption<String>,
    /// Tasks that accept, which end when their listener closed.
    acceptors: TaskTracker,
    connections: TaskTracker,
    /// Places for connections of balancers that have not said yet whose they are.
    introductions: Arc<Semaphore>,
    /// Finish what is in flight, then close.
    pub(super) draining: CancellationToken,
    /// Close now.
    pub(super) cut: CancellationToken,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("open", &self.open_connections()).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(snapshot: Snapshot, signer: Signer, metrics: Metrics) -> Result<Arc<Self>, GatewayError> {
        metrics.certificate_ends_at.set(snapshot.certificate.ends_at);
        let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
        let peer = peer_of(&snapshot);
        let log = |counted: Counted| LogTopic::new(peer.clone(), counted.log(), Kept::AnHour);
        let partitions = Admission::new(Counted::Partitions, log(Counted::Partitions), Partitions::new(peer.clone()));
        let groups = Admission::new(Counted::Groups, log(Counted::Groups), Groups::new(peer.clone()));
        Self::with_admission(snapshot, signer, metrics, partitions, groups)
    }

    /// With admission over any logs.
    pub(super) fn with_admission(
        snapshot: Arc<ArcSwap<Snapshot>>,
        signer: Signer,
        metrics: Metrics,
        partitions: Arc<Admission>,
        groups: Arc<Admission>,
    ) -> Result<Arc<Self>, GatewayError> {
        let bandwidth = Bandwidth::new(&snapshot.load().limits, &metrics);
        let topic_quotas = TopicQuotas::new(&snapshot.load().topic_rates, &metrics);
        let live = Connections::new(snapshot.load().limits.max_instance_connections > 0);
        let keys = KeyCache::new().map_err(|e| GatewayError::invalid(format!("logins can't be set up: {e}")))?;
        Ok(Arc::new(Self {
            snapshot,
            changes: watch::Sender::new(0),
            metrics,
            keys,
            signer,
            gather_budget: Arc::default(),
            live,
            arrivals: Arrivals::new(),
            partitions,
            groups,
            bandwidth,
            topic_quotas,
            full_disk: ArcSwapOption::empty(),
            acceptors: TaskTracker::new(),
            connections: TaskTracker::new(),
            introductions: Arc::new(Semaphore::new(INTRODUCTIONS)),
            draining: CancellationToken::new(),
            cut: CancellationToken::new(),
        }))
    }

    /// Reads and writes the admission logs, each while the instance has a limit that needs it.
    pub(super) async fn run_admission(self: Arc<Self>) {
        let run = async |counted| {
            let node = self.snapshot().peer.node;
            let needed = watch::Sender::new(self.snapshot().limits(counted));
            let mut changes = self.changes();
            let follow = async {
                while changes.changed().await.is_ok() {
                    needed.send_replace(self.snapshot().limits(counted));
                }
            };
            tokio::select! {
                () = self.admission(counted).clone().run(node, needed.subscribe(), self.cut.clone()) => {}
                () = follow => {}
            }
        };
        tokio::join!(run(Counted::Partitions), run(Counted::Groups));
    }

    /// Keeps the connections of this gateway within its share of the instance's, until the end.
    pub(super) async fn run_permits(self: Arc<Self>, own: Incarnation) {
        let peer = peer_of(&self.snapshot);
        let log = LogTopic::<permits::record::Record>::new(peer.clone(), permits::LOG, Kept::TheLast);
        permits::keep(&self, &log, &OwnBroker(peer), &own).await;
    }

    /// Learns names of topics that have quotas, until the end.
    pub(super) async fn run_topic_names(self: Arc<Self>) {
        tokio::select! {
            () = self.topic_quotas.names.keep(&self) => {}
            () = self.cut.cancelled() => {}
        }
    }

    pub(super) fn admission(&self, counted: Counted) -> &Arc<Admission> {
        match counted {
            Counted::Partitions => &self.partitions,
            Counted::Groups => &self.groups,
        }
    }

    pub(super) fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Why produce is refused, if it is.
    pub(super) fn full_disk(&self) -> arc_swap::Guard<Option<Arc<String>>> {
        self.full_disk.load()
    }

    pub(super) fn refuse_produce(&self, reason: Option<String>) {
        self.full_disk.store(reason.map(Arc::new));
    }

    /// Tells when the snapshot changed after this call.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(super) fn open_connections(&self) -> u32 {
        self.live.open()
    }

    pub(super) fn swap(&self, snapshot: Snapshot) {
        self.bandwidth.follow(&snapshot.limits);
        self.topic_quotas.follow(&snapshot.topic_rates);
        self.metrics.certificate_ends_at.set(snapshot.certificate.ends_at);
        self.snapshot.store(Arc::new(snapshot));
        self.changes.send_modify(|count| *count += 1);
    }

    /// To be called when the listeners were told to close.
    pub(super) async fn drain(&self, deadline: Duration) {
        // First the listeners, or a client that is accepted last would find nobody to serve it.
        self.acceptors.close();
        self.acceptors.wait().await;
        self.draining.cancel();
        self.connections.close();
        if tokio::time::timeout(deadline, self.connections.wait()).await.is_err() {
            warn!(connections = self.open_connections(), "gateway drain deadline passed, cutting the connections left");
            self.cut();
            self.connections.wait().await;
        }
    }

    pub(super) fn cut(&self) {
        self.cut.cancel();
    }

    /// Whether this address opens connections as fast as it may; counts this one if so.
    fn is_in_time(&self, client: IpAddr) -> bool {
        let rate = self.snapshot().connection_rates.of(client);
        rate.is_none_or(|rate| self.arrivals.admit(client, rate, Instant::now()))
    }

    /// Takes a place among the connections of the client's IP, the broker and the instance, given back on drop. If told to
    /// wait, it is not to be served yet.
    pub(super) fn admit(
        self: &Arc<Self>,
        path: AccessPath,
        peer: SocketAddr,
    ) -> Result<(Permit, Option<oneshot::Receiver<()>>), Full> {
        let (card, place) = {
            let snapshot = self.snapshot();
            self.live.admit(&snapshot.limits, snapshot.peer.brokers, path, peer)?
        };
        let mut permit = Permit { shared: self.clone(), card, is_counted: false };
        match place {
            Place::Open => {
                permit.count();
                Ok((permit, None))
            }
            Place::Waiting(told) => Ok((permit, Some(told))),
        }
    }
}

/// How the node's own connections to brokers are made, by what is in force.
fn peer_of(snapshot: &Arc<ArcSwap<Snapshot>>) -> Arc<dyn Fn() -> Arc<Peer> + Send + Sync> {
    let current = snapshot.clone();
    Arc::new(move || current.load().peer.clone())
}

/// One connection that was admitted.
pub(super) struct Permit {
    shared: Arc<Shared>,
    pub(super) card: Arc<Card>,
    is_counted: bool,
}

impl Permit {
    fn gauge(&self) -> impl std::ops::Deref<Target = prometheus_client::metrics::gauge::Gauge> + '_ {
        self.shared.metrics.connections.get_or_create(&ByPath { path: PathLabel(self.card.path) })
    }

    fn count(&mut self) {
        self.gauge().inc();
        self.is_counted = true;
    }

    /// Waits in line; false when it was in vain.
    pub(super) async fn wait(&mut self, told: oneshot::Receiver<()>) -> bool {
        let is_let_in = tokio::select! {
            () = self.shared.draining.cancelled() => false,
            () = self.shared.cut.cancelled() => false,
            told = timeout(permits::WAIT, told) => matches!(told, Ok(Ok(()))),
        };
        if is_let_in {
            self.count();
        }
        is_let_in
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.live.release(&self.card);
        if self.is_counted {
            self.gauge().dec();
        }
    }
}

/// The listeners that are open now.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    open: Mutex<BTreeMap<AccessPath, Open>>,
}

#[derive(Debug)]
struct Open {
    bind: SocketAddr,
    stop: CancellationToken,
}

impl Listeners {
    /// Opens what `next` (or else the snapshot in force) names and is not open, then makes `next`
    /// the snapshot in force, then closes what it no longer names. On an error nothing changed.
    pub(super) fn follow(&self, shared: &Arc<Shared>, next: Option<Snapshot>) -> Result<(), GatewayError> {
        let mut open = self.lock();
        let wanted: BTreeMap<AccessPath, SocketAddr> = {
            let current = shared.snapshot();
            next.as_ref().unwrap_or(&current).paths.iter().map(|(path, p)| (*path, p.bind)).collect()
        };
        let missing = wanted.iter().filter(|(path, bind)| open.get(path).is_none_or(|o| o.bind != **bind));
        let bound = missing
            .map(|(&path, &bind)| match listen(bind) {
                Ok(listener) => Ok((path, bind, listener)),
                Err(source) => Err(GatewayError::Bind { path, bind, source }),
            })
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(next) = next {
            shared.swap(next);
        }
        for (path, bind, listener) in bound {
            let stop = CancellationToken::new();
            shared.metrics.open(path);
            shared.acceptors.spawn(accept(listener, path, shared.clone(), stop.clone()));
            info!(gateway.path = path.as_str(), gateway.bind = %bind, "gateway listens");
            if let Some(moved) = open.insert(path, Open { bind, stop }) {
                moved.stop.cancel();
            }
        }
        open.retain(|path, listener| {
            let keep = wanted.contains_key(path);
            if !keep {
                listener.stop.cancel();
            }
            keep
        });
        Ok(())
    }

    pub(super) fn close(&self) {
        for listener in std::mem::take(&mut *self.lock()).into_values() {
            listener.stop.cancel();
        }
    }

    pub(super) fn listening(&self) -> Vec<String> {
        self.lock().keys().map(|path| path.as_str().to_owned()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AccessPath, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn listen(bind: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(bind), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&bind.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn accept(listener: TcpListener, path: AccessPath, shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => start(stream, peer, path, &shared),
            // The client left before it was accepted; the next one may be fine.
            Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(e) => {
                warn!(gateway.path = path.as_str(), error = %e, "gateway cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    // Connections that the kernel already completed on this socket would be reset by closing it. The
    // kernel is asked itself: the runtime may not have heard of the last ones yet.
    let Ok(listener) = listener.into_std() else { return };
    while let Ok((stream, peer)) = listener.accept() {
        if stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            start(stream, peer, path, &shared);
        }
    }
}

fn start(mut stream: TcpStream, peer: SocketAddr, path: AccessPath, shared: &Arc<Shared>) {
    if !shared.snapshot().is_balancer(peer.ip()) {
        return welcome(stream, peer, path, shared);
    }
    let Ok(place) = shared.introductions.clone().try_acquire_owned() else {
        shared.metrics.refuse(path, Refusal::TooMany);
        return;
    };
    let limit = Duration::from_millis(shared.snapshot().limits.login_timeout_ms);
    let shared = shared.clone();
    let introduced = shared.clone();
    shared.connections.spawn(async move {
        let client = tokio::select! {
            () = introduced.draining.cancelled() => return,
            client = timeout(limit, proxied::client(&mut stream)) => client,
        };
        drop(place);
        match client {
            Ok(Ok(Some(client))) => welcome(stream, client, path, &introduced),
            // No client: a balancer whose health checks were held back would take the broker for dead.
            Ok(Ok(None)) => serve(stream, peer, path, &introduced),
            Ok(Err(error)) => {
                introduced.metrics.refuse(path, Refusal::ProxyHeader);
                info!(balancer.address = %peer, gateway.path = path.as_str(), error = error_text(&error), "refused a connection of a balancer");
            }
            Err(_) => introduced.metrics.refuse(path, Refusal::LoginTimeout),
        }
    });
}

/// Serves a client that is known by its address, unless that opens connections too fast.
fn welcome(stream: TcpStream, client: SocketAddr, path: AccessPath, shared: &Arc<Shared>) {
    if shared.is_in_time(client.ip()) {
        serve(stream, client, path, shared);
    } else {
        shared.metrics.refuse(path, Refusal::TooFastOfIp);
    }
}

/// Serves whoever is there, unless there is no place.
fn serve(stream: TcpStream, peer: SocketAddr, path: AccessPath, shared: &Arc<Shared>) {
    // As Kafka refuses what is above max.connections.per.ip: closed before a byte, and clients back off.
    match shared.admit(path, peer) {
        Ok((permit, None)) => {
            shared.connections.spawn(served(stream, permit));
        }
        Ok((mut permit, Some(told))) => {
            shared.connections.spawn(async move {
                if permit.wait(told).await {
                    served(stream, permit).await;
                } else {
                    permit.shared.metrics.refuse(path, refusal(permit.shared.live.missing()));
                }
            });
        }
        Err(full) => shared.metrics.refuse(path, refusal(full)),
    }
}

fn refusal(full: Full) -> Refusal {
    match full {
        Full::Broker => Refusal::TooMany,
        Full::Ip => Refusal::TooManyOfIp,
        Full::Instance => Refusal::TooManyOfInstance,
        Full::Strangers => Refusal::TooManyStrangers,
    }
}

async fn served(stream: TcpStream, permit: Permit) {
    let path = PathLabel(permit.card.path);
    permit.shared.metrics.accepted.get_or_create(&ByPath { path }).inc();
    connection::serve(stream, permit.card.clone(), permit.shared.clone()).await;
}
