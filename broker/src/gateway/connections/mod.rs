//! Who is connected: admission by number, and a card for each live connection.
//!
//! Owns the count of all connections and of each IP address, exact under races because admission and
//! release take one lock; the data path never takes it, it writes the atomics of its own card. Who finds no place waits in
//! line for one ([`places`]), which a release, a login or [`super::permits`] gives. Memory is bounded by the limits: a card a
//! connection. Must not know sockets.

mod card;
mod places;

use super::certificates::Trust;
use super::permits::ledger::Demand;
use broker_api::connections::{CloseConnections, ConnectionFilter, ConnectionList, MAX_UNKEPT, Unkept};
use broker_api::spec::{AccessPath, GatewayLimits};
use card::shown;
pub(super) use card::{Card, Told};
use places::Places;
pub(super) use places::{Full, Place, Room};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Every live connection.
#[derive(Debug)]
pub(super) struct Connections {
    places: Mutex<Places>,
    /// Told when connections come, go or wait, where permits count.
    demand: Notify,
}

impl Connections {
    /// With `permits`, nobody is served before there are some.
    pub(super) fn new(permits: bool) -> Self {
        let room = if permits { Room::Permits(0) } else { Room::Unlimited };
        Self { places: Mutex::new(Places::new(room)), demand: Notify::new() }
    }

    /// Takes a place, or one in line, to be given back by [`Connections::release`]. The instance has so many brokers.
    pub(super) fn admit(
        &self,
        limits: &GatewayLimits,
        brokers: u32,
        path: AccessPath,
        peer: SocketAddr,
    ) -> Result<(Arc<Card>, Place), Full> {
        let mut places = self.lock();
        let admitted = places.admit(limits, brokers, path, peer, Instant::now())?;
        self.tell_demand(&places);
        Ok(admitted)
    }

    /// The client of this connection is known: it holds no place of those who have yet to log in.
    pub(super) fn recognise(&self, card: &Card) {
        let mut places = self.lock();
        if places.recognise(card, Instant::now()) {
            self.tell_demand(&places);
        }
    }

    /// The client of this connection goes on with its login.
    pub(super) fn heard(&self, card: &Card) {
        self.lock().heard(card, Instant::now());
    }

    /// What a connection in line waits for.
    pub(super) fn missing(&self) -> Full {
        self.lock().missing()
    }

    /// Gives a place back, or one in line.
    pub(super) fn release(&self, card: &Card) {
        let mut places = self.lock();
        if places.release(card, Instant::now()) {
            self.tell_demand(&places);
        }
    }

    /// Has somebody decide how many may be open here, by how many are and how many wait; nobody comes or goes meanwhile.
    pub(super) fn share<T>(&self, decide: impl FnOnce(Demand) -> (Room, T)) -> T {
        let mut places = self.lock();
        let (room, decided) = decide(places.demand());
        places.make(room, Instant::now());
        decided
    }

    /// Ends when connections came, went or began to wait after the last call, where permits count.
    pub(super) async fn demanded(&self) {
        self.demand.notified().await;
    }

    fn tell_demand(&self, places: &Places) {
        if places.counts_permits() {
            self.demand.notify_one();
        }
    }

    pub(super) fn open(&self) -> u32 {
        self.lock().demand().open
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
        let told: Vec<_> = match which {
            CloseConnections::Ids(ids) => {
                let places = self.lock();
                ids.iter().filter_map(|id| places.card(*id)).collect()
            }
            CloseConnections::Filter(filter) => {
                let mut cards = self.cards();
                cards.retain(|card| filter.fits(&card.view()));
                cards
            }
        };
        told.iter().filter(|card| card.tell(Told::Kicked)).count() as u64
    }

    /// Connections that this trust would end: signed in with a certificate, or about to be.
    pub(super) fn unkept(&self, trust: Option<&Trust>) -> Unkept {
        let mut unkept = Unkept::default();
        for card in self.cards() {
            let (Some(certificate), user) = card.signed_in() else { continue };
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
        self.lock().cards()
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
