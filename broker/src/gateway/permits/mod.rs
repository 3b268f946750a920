//! Permits: the connections of all gateways of an instance together are never more than it may have, whichever broker they
//! crowd.
//!
//! Owns how many may be open here, in agreement with the other gateways over a log ([`ledger`]); [`super::connections`]
//! counts, and lets in who waits. Far from the limit a gateway holds permits in advance, and a new connection costs nothing
//! here. The protocol, and what it assumes, is docs/adr/0017-connections.md. Needs no control plane. Where the log can't be
//! reached, what is held is served from, and nobody else may take it.
//!
//! ```text
//! connections ── open, waiting ──► ledger ── record ──► log ──► every gateway's ledger
//!      ▲                              │                              │
//!      └───────────── permits ────────┴◄──────── in force ───────────┘
//! ```

pub(super) mod ledger;
pub(super) mod record;

use super::admission::log::{Log, Page};
use super::admission::record::Id;
use super::connections::Room;
use super::listener::Shared;
use crate::incarnation::Incarnation;
use crate::inter_broker::Peer;
use futures::future::BoxFuture;
use kafka_protocol::messages::MetadataRequest;
use ledger::{Known, Ledger};
use record::{Limit, Record};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, warn};

/// The topic of the log.
pub(super) const LOG: &str = "__sluice_connections";
/// How long a connection waits for a permit: many rounds through the log. Clients wait ten times as long for an answer.
pub(super) const WAIT: Duration = Duration::from_secs(1);
/// How often it is told that the log can't be written.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// After a failed read or write of the log.
const AGAIN: Duration = Duration::from_millis(100);
/// For what was written to be read; then it is asked for anew.
const READ_WITHIN: Duration = Duration::from_secs(1);
/// How often gateways are looked for that are no more.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A broker that nothing holds up answers in this time.
const PROMPTLY: Duration = Duration::from_secs(1);

/// A version that Kafka 3.9 and 4.x both speak.
const METADATA: i16 = 12;

/// Which brokers are in the cluster: those that controllers hear.
pub(super) trait Roster: Send + Sync {
    fn brokers(&self) -> BoxFuture<'_, io::Result<BTreeSet<i32>>>;
}

/// As this node's own broker knows it. Kafka names none that is fenced.
pub(super) struct OwnBroker(pub(super) Arc<dyn Fn() -> Arc<Peer> + Send + Sync>);

impl Roster for OwnBroker {
    fn brokers(&self) -> BoxFuture<'_, io::Result<BTreeSet<i32>>> {
        Box::pin(async move {
            let peer = (self.0)();
            let request =
                MetadataRequest::default().with_topics(Some(Vec::new())).with_allow_auto_topic_creation(false);
            let answer = peer.connect(&peer.own).await?.call(METADATA, &request, PROMPTLY).await?;
            Ok(answer.brokers.iter().map(|broker| broker.node_id.0).collect())
        })
    }
}

/// Keeps the connections of this gateway within its share until the gateway ends, while the instance has a total.
pub(super) async fn keep(shared: &Shared, log: &dyn Log<Record>, roster: &dyn Roster, own: &Incarnation) {
    let mut changes = shared.changes();
    let has_total = || shared.snapshot().limits.max_instance_connections > 0;
    loop {
        let before = has_total();
        let part = async {
            if before {
                return take_part(shared, log, roster, own).await;
            }
            shared.live.share(|_| (Room::Unlimited, ()));
            std::future::pending().await
        };
        let switched = async { while changes.changed().await.is_ok() && has_total() == before {} };
        tokio::select! {
            () = shared.cut.cancelled() => return,
            () = switched => {}
            () = part => {}
        }
    }
}

async fn take_part(shared: &Shared, log: &dyn Log<Record>, roster: &dyn Roster, own: &Incarnation) {
    let (read, pages) = mpsc::unbounded_channel();
    let reading = async {
        let mut place = 0;
        loop {
            match log.read(place).await {
                Ok(page) => {
                    place = page.next;
                    if read.send(page).is_err() {
                        return;
                    }
                }
                Err(error) => {
                    debug!(%error, "the log of connections can't be read now");
                    sleep(AGAIN).await;
                }
            }
        }
    };
    let gateway = Id(own.id());
    let ledger = Ledger::new(gateway, shared.snapshot().peer.node);
    let member =
        Member { shared, log, roster, own, ledger, gone: BTreeSet::new(), next: 0, unread: None, told_away: None };
    tokio::select! {
        () = reading => {}
        () = member.run(pages) => {}
    }
}

/// A gateway among those of the instance.
struct Member<'a> {
    shared: &'a Shared,
    log: &'a dyn Log<Record>,
    roster: &'a dyn Roster,
    own: &'a Incarnation,
    ledger: Ledger,
    /// Gateways that are no more, as of the last look.
    gone: BTreeSet<Id>,
    /// Where to read on.
    next: i64,
    /// Offset of what was written last and not read yet, and until when that is waited for.
    unread: Option<(i64, Instant)>,
    /// When it was told last that the log can't be written.
    told_away: Option<Instant>,
}

impl Member<'_> {
    async fn run(mut self, mut pages: mpsc::UnboundedReceiver<Page<Record>>) {
        let mut changes = self.shared.changes();
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Some(record) = self.decide() {
                self.write(record).await;
            }
            tokio::select! {
                page = pages.recv() => {
                    let Some(page) = page else { return };
                    self.read(page);
                    while let Ok(page) = pages.try_recv() {
                        self.read(page);
                    }
                }
                () = self.shared.live.demanded(), if self.unread.is_none() => {}
                changed = changes.changed() => if changed.is_err() { return },
                _ = looks.tick() => self.look().await,
            }
        }
    }

    /// Sets how many may be open here, and says what to write.
    fn decide(&mut self) -> Option<Record> {
        let now = Instant::now();
        self.unread = self.unread.filter(|(offset, until)| *offset >= self.next && now < *until);
        let (limit, brokers) = {
            let snapshot = self.shared.snapshot();
            let limit = Limit { generation: snapshot.generation, most: snapshot.limits.max_instance_connections };
            (limit, snapshot.peer.brokers)
        };
        let known = Known { limit, brokers, accepts: !self.shared.draining.is_cancelled(), gone: &self.gone };
        let (ledger, may_write) = (&mut self.ledger, self.unread.is_none());
        let (permits, record) = self.shared.live.share(|demand| {
            let record = if may_write { ledger.next(demand, &known, now) } else { None };
            let permits = ledger.permits();
            let room = if ledger.is_over() { Room::Closed } else { Room::Permits(permits) };
            (room, (permits, record))
        });
        self.shared.metrics.connection_permits.set(permits.into());
        record
    }

    async fn write(&mut self, record: Record) {
        match self.log.append(&[record]).await {
            Ok(offset) => self.unread = Some((offset, Instant::now() + READ_WITHIN)),
            Err(error) => {
                if self.told_away.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
                    self.told_away = Some(Instant::now());
                    warn!(%error, "the log of connections can't be written now: as many are served as permits are held");
                }
                sleep(AGAIN).await;
            }
        }
    }

    fn read(&mut self, Page { restarted, records, next }: Page<Record>) {
        if restarted {
            self.ledger.restart(next);
        }
        let now = Instant::now();
        for (offset, record) in records {
            self.ledger.apply(offset, record, now);
        }
        self.next = next;
        // Whoever was silent may have spoken.
        self.look_for_siblings();
    }

    fn look_for_siblings(&mut self) {
        self.gone = self.ledger.siblings().filter(|gateway| !self.own.lives(gateway.0)).collect();
    }

    /// Looks for gateways that are no more: of this node, who holds no lock; of another, who says nothing while its broker is
    /// out of the cluster.
    async fn look(&mut self) {
        self.look_for_siblings();
        if self.ledger.silent(Instant::now()).next().is_none() {
            return;
        }
        let Ok(Ok(brokers)) = timeout(PROMPTLY, self.roster.brokers()).await else { return };
        let lost = self.ledger.silent(Instant::now()).filter(|held| !brokers.contains(&held.node));
        self.gone.extend(lost.map(|held| held.gateway));
    }
}
