//! The places that connections have, and who waits for one. Pure; time is given.
//!
//! A connection needs a permit of the instance's total, and until its client has logged in also a *stranger's* place, of
//! which a gateway has a fourth of its broker's share: whoever may reach a port can't take the places of those who may use
//! it. A stranger that says nothing for a while makes way when others wait.
//!
//! ```text
//!             no place                 place                 logs in
//!  arrives ──────────────► in line ───────────► stranger ──────────────► known
//!     │                       silent for 2 s, and others wait ▼
//!     └─ plaintext, permit ──────────────────────────────────► ends
//! ```

use super::card::{Card, Told};
use crate::clock::unix_ms;
use crate::gateway::permits::ledger::Demand;
use broker_api::spec::{AccessPath, GatewayLimits};
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Connections that may wait for a place: a reconnect storm of a node's clients where others hold what is left.
const MAX_WAITING: usize = 1024;
/// Strangers among them: clients that need no login find a place in line behind them.
const MAX_WAITING_STRANGERS: usize = MAX_WAITING / 2;
/// Of its broker's share of the total, a gateway lets strangers have this part.
const STRANGERS_PART: u32 = 4;
/// However small the total is: as many logins may be under way at once.
const LEAST_STRANGERS: u32 = 16;
/// The longest way between two messages of a login; whoever takes longer does not keep others waiting.
const NEXT_MESSAGE_SOON: Duration = Duration::from_secs(2);

/// Why there is no place for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) enum Full {
    /// Of the broker.
    Broker,
    /// Of the client's IP address.
    Ip,
    /// Of the instance, and of those who may wait for one.
    Instance,
    /// Of those who have yet to log in.
    Strangers,
}

/// How many may be open here, of the instance's total.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) enum Room {
    /// There is no total.
    Unlimited,
    Permits(u32),
    /// More are open than may be, over all brokers: whoever leaves makes room for nobody.
    Closed,
}

/// Where a connection stands that was admitted.
#[derive(Debug)]
pub(in crate::gateway) enum Place {
    Open,
    /// It may be served when it is told so.
    Waiting(oneshot::Receiver<()>),
}

#[derive(Debug)]
struct Waiting {
    card: Arc<Card>,
    let_in: oneshot::Sender<()>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Places {
    next_id: u64,
    cards: BTreeMap<u64, Arc<Card>>,
    /// Those that wait among them.
    by_ip: HashMap<IpAddr, u32>,
    room: Room,
    /// Those of `cards` that have yet to log in, and when they were let in or heard last.
    strangers: BTreeMap<u64, Instant>,
    most_strangers: usize,
    /// In line, by arrival.
    waiting: BTreeMap<u64, Waiting>,
}

impl Places {
    pub(super) fn new(room: Room) -> Self {
        // From the clock, so that a gateway never gives an id that one before it gave: it would have
        // had to admit a thousand connections a millisecond.
        let next_id = u64::try_from(unix_ms()).unwrap_or(0).saturating_mul(1000);
        let (cards, by_ip, strangers, waiting) = Default::default();
        Self { next_id, cards, by_ip, room, strangers, most_strangers: usize::MAX, waiting }
    }

    pub(super) fn admit(
        &mut self,
        limits: &GatewayLimits,
        brokers: u32,
        path: AccessPath,
        peer: SocketAddr,
        now: Instant,
    ) -> Result<(Arc<Card>, Place), Full> {
        if self.cards.len() >= limits.max_connections as usize {
            return Err(Full::Broker);
        }
        let id = self.next_id;
        let card = Arc::new(Card::new(id, path, peer));
        let of_ip = self.by_ip.get(&card.peer.ip()).copied().unwrap_or(0);
        if of_ip >= limits.max_connections_per_ip {
            return Err(Full::Ip);
        }
        self.most_strangers = match limits.max_instance_connections {
            0 => usize::MAX,
            total => (total / brokers.max(1) / STRANGERS_PART).max(LEAST_STRANGERS) as usize,
        };
        self.let_in(now);
        // Whoever is in line still has no room, so nobody is passed by.
        let place = if self.has_room(&card) {
            self.open(id, card.clone(), now);
            Place::Open
        } else if self.is_line_full(&card) {
            self.have_way_made(now);
            return Err(self.missing());
        } else {
            let (let_in, told) = oneshot::channel();
            self.waiting.insert(id, Waiting { card: card.clone(), let_in });
            self.have_way_made(now);
            Place::Waiting(told)
        };
        self.by_ip.insert(card.peer.ip(), of_ip + 1);
        self.next_id += 1;
        Ok((card, place))
    }

    /// Whether that made a place for the next stranger.
    pub(super) fn recognise(&mut self, card: &Card, now: Instant) -> bool {
        let was_stranger = self.strangers.remove(&card.id).is_some();
        if was_stranger {
            self.let_in(now);
        }
        was_stranger
    }

    /// Its client goes on with its login.
    pub(super) fn heard(&mut self, card: &Card, now: Instant) {
        if let Some(heard) = self.strangers.get_mut(&card.id) {
            *heard = now;
        }
    }

    /// Whether it had a place, or one in line.
    pub(super) fn release(&mut self, card: &Card, now: Instant) -> bool {
        if self.cards.remove(&card.id).is_none() && self.waiting.remove(&card.id).is_none() {
            return false;
        }
        self.strangers.remove(&card.id);
        if let Some(of_ip) = self.by_ip.get_mut(&card.peer.ip()) {
            *of_ip -= 1;
            if *of_ip == 0 {
                self.by_ip.remove(&card.peer.ip());
            }
        }
        self.let_in(now);
        true
    }

    pub(super) fn make(&mut self, room: Room, now: Instant) {
        self.room = room;
        self.let_in(now);
        self.have_way_made(now);
    }

    /// Who waits for a stranger's place wants no permit yet.
    pub(super) fn demand(&self) -> Demand {
        let strangers = self.waiting_strangers();
        let places = self.most_strangers.saturating_sub(self.strangers.len());
        let waiting = self.waiting.len() - strangers + strangers.min(places);
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        Demand { open: count(self.cards.len()), waiting: count(waiting) }
    }

    /// What those in line wait for.
    pub(super) fn missing(&self) -> Full {
        if self.has_permit() { Full::Strangers } else { Full::Instance }
    }

    pub(super) fn counts_permits(&self) -> bool {
        self.room != Room::Unlimited
    }

    pub(super) fn card(&self, id: u64) -> Option<Arc<Card>> {
        self.cards.get(&id).cloned()
    }

    pub(super) fn cards(&self) -> Vec<Arc<Card>> {
        self.cards.values().cloned().collect()
    }

    fn has_permit(&self) -> bool {
        match self.room {
            Room::Unlimited => true,
            Room::Permits(permits) => self.cards.len() < permits as usize,
            Room::Closed => false,
        }
    }

    fn has_room(&self, card: &Card) -> bool {
        self.has_permit() && (!is_stranger(card) || self.strangers.len() < self.most_strangers)
    }

    fn open(&mut self, id: u64, card: Arc<Card>, now: Instant) {
        if is_stranger(&card) {
            self.strangers.insert(id, now);
        }
        self.cards.insert(id, card);
    }

    /// Gives places that are free to those who wait, in turn.
    fn let_in(&mut self, now: Instant) {
        while self.has_permit()
            && let Some(id) = self.waiting.iter().find(|(_, waiting)| self.has_room(&waiting.card)).map(|(id, _)| *id)
            && let Some(Waiting { card, let_in }) = self.waiting.remove(&id)
        {
            self.open(id, card, now);
            // Who does not wait any more gives it back like everybody.
            let _ = let_in.send(());
        }
    }

    fn waiting_strangers(&self) -> usize {
        self.waiting.values().filter(|waiting| is_stranger(&waiting.card)).count()
    }

    fn is_line_full(&self, card: &Card) -> bool {
        self.waiting.len() >= MAX_WAITING || (is_stranger(card) && self.waiting_strangers() >= MAX_WAITING_STRANGERS)
    }

    /// Tells strangers that are silent for too long to end, as many as wait for their places.
    fn have_way_made(&self, now: Instant) {
        if self.strangers.len() < self.most_strangers {
            return;
        }
        let mut slow: Vec<_> =
            self.strangers.iter().filter(|(_, heard)| now.duration_since(**heard) >= NEXT_MESSAGE_SOON).collect();
        slow.sort_unstable_by_key(|(_, heard)| **heard);
        // Those that were told before are about to end.
        for (id, _) in slow.into_iter().take(self.waiting_strangers()) {
            if let Some(card) = self.cards.get(id) {
                card.tell(Told::ToMakeWay);
            }
        }
    }
}

/// Whether the client has to log in before it may do anything.
fn is_stranger(card: &Card) -> bool {
    card.path.is_tls()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot::error::TryRecvError;

    const TOTAL: u32 = 3000;
    /// Of one of three brokers.
    const STRANGERS: u64 = 250;

    /// A gateway with as many permits as the instance.
    struct Gateway {
        places: Places,
        now: Instant,
        limits: GatewayLimits,
    }

    impl Gateway {
        fn new() -> Self {
            let limits = GatewayLimits {
                max_instance_connections: TOTAL,
                max_connections_per_ip: u32::MAX,
                ..GatewayLimits::default()
            };
            Self { places: Places::new(Room::Permits(TOTAL)), now: Instant::now(), limits }
        }

        fn arrives(&mut self, path: AccessPath) -> Result<(Arc<Card>, Place), Full> {
            self.places.admit(&self.limits, 3, path, "192.0.2.1:1".parse().unwrap(), self.now)
        }

        fn strangers(&mut self, count: u64) -> Vec<Arc<Card>> {
            let one = |_| match self.arrives(AccessPath::PublicSaslSsl).unwrap() {
                (card, Place::Open) => card,
                (_, Place::Waiting(_)) => panic!("no place"),
            };
            (0..count).map(one).collect()
        }

        fn waits(&mut self, path: AccessPath) -> (Arc<Card>, oneshot::Receiver<()>) {
            match self.arrives(path).unwrap() {
                (card, Place::Waiting(told)) => (card, told),
                (_, Place::Open) => panic!("has a place"),
            }
        }
    }

    fn is_told(card: &Card) -> bool {
        !card.tell(Told::Kicked)
    }

    #[tokio::test]
    async fn strangers_have_a_fourth_of_a_brokers_share_and_the_known_have_all() {
        let mut gateway = Gateway::new();
        let mut known = 0;
        // Each login makes room for the next stranger.
        while known < u64::from(TOTAL) - STRANGERS {
            for card in gateway.strangers(STRANGERS) {
                gateway.places.recognise(&card, gateway.now);
                known += 1;
            }
        }
        let strangers = gateway.strangers(STRANGERS);
        let (_, mut told) = gateway.waits(AccessPath::PublicSaslSsl);
        assert_eq!(gateway.places.missing(), Full::Instance, "the total is in use");
        gateway.places.release(&strangers[0], gateway.now);
        assert_eq!(told.try_recv(), Ok(()));
    }

    #[tokio::test]
    async fn who_waits_for_a_strangers_place_holds_up_nobody_else() {
        let mut gateway = Gateway::new();
        let strangers = gateway.strangers(STRANGERS);
        let (_, mut first) = gateway.waits(AccessPath::PrivateSaslSsl);
        let (_, mut second) = gateway.waits(AccessPath::PublicSaslSsl);
        assert_eq!(gateway.places.missing(), Full::Strangers);
        assert_eq!(gateway.places.demand(), Demand { open: STRANGERS as u32, waiting: 0 }, "no permits are asked for");
        assert!(matches!(gateway.arrives(AccessPath::PrivatePlaintext), Ok((_, Place::Open))));
        gateway.places.recognise(&strangers[9], gateway.now);
        assert_eq!(first.try_recv(), Ok(()), "in turn");
        assert_eq!(second.try_recv(), Err(TryRecvError::Empty));
    }

    #[tokio::test]
    async fn strangers_that_took_their_time_make_way_one_for_each_that_waits() {
        let mut gateway = Gateway::new();
        let strangers = gateway.strangers(STRANGERS);
        gateway.waits(AccessPath::PublicSaslSsl);
        assert!(strangers.iter().all(|card| card.told.get().is_none()), "they have their time");
        gateway.now += NEXT_MESSAGE_SOON;
        gateway.places.heard(&strangers[0], gateway.now);
        gateway.waits(AccessPath::PublicSaslSsl);
        assert!(is_told(&strangers[1]) && is_told(&strangers[2]), "one for each in line");
        assert!(!is_told(&strangers[0]), "it goes on with its login");
        assert!(!is_told(&strangers[3]));
    }

    #[tokio::test]
    async fn a_line_full_of_strangers_has_places_for_clients_without_a_login() {
        let mut gateway = Gateway::new();
        gateway.places.make(Room::Permits(0), gateway.now);
        let mut strangers: Vec<_> =
            (0..MAX_WAITING_STRANGERS).map(|_| gateway.waits(AccessPath::PublicSaslSsl)).collect();
        assert_eq!(gateway.arrives(AccessPath::PublicSaslSsl).unwrap_err(), Full::Instance);
        let (_, mut told) = gateway.waits(AccessPath::PublicPlaintext);
        gateway.places.make(Room::Permits(TOTAL), gateway.now);
        assert_eq!(told.try_recv(), Ok(()));
        assert_eq!(strangers[0].1.try_recv(), Ok(()));
    }

    #[tokio::test]
    async fn without_a_total_strangers_come_as_they_like() {
        let mut gateway = Gateway::new();
        gateway.places.make(Room::Unlimited, gateway.now);
        gateway.limits.max_instance_connections = 0;
        gateway.strangers(STRANGERS * 4);
    }
}
