//! Room for the topics that a Streams group lacks: one open intent, which all of its heartbeats share.
//!
//! Owns when such an intent is written again, and how it ends. A heartbeat is let through behind it only while it may start
//! requests, so that what the log assumes of the request of an intent holds for each of these. Whoever comes later, or lacks
//! more, writes another intent, which takes the place of the first one as soon as it is granted: both want the same topics, so
//! their room is charged once. It ends when every heartbeat was answered without asking for topics, or with what metadata
//! shows; what a coordinator was asked to make and nobody sees is left to the look for what was lost.

use super::record::{End, Want};
use super::{LOOK_EVERY, Ticket};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::time::{Instant, sleep};

/// In which metadata mostly shows what was made. Later it is looked for like what was lost.
const SHOWN_WITHIN: Duration = Duration::from_secs(10);
/// Who has less than this left to start shares no intent.
const MARGIN: Duration = Duration::from_secs(1);
/// How long an intent that made nothing is kept for the next heartbeat, and one that was not granted keeps that waiting: a
/// group writes little, however many heartbeats come.
const LINGER: Duration = Duration::from_millis(500);

/// Where heartbeats of a group that lacks topics stand, to find what the one before them wrote.
pub(super) type Line = AsyncMutex<Weak<Room>>;

/// By group. Lines end with those who stand in them and their room.
#[derive(Debug, Default)]
pub(super) struct Lines(Mutex<HashMap<String, Weak<Line>>>);

impl Lines {
    pub(super) fn of(&self, group: &str) -> Arc<Line> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get(group).and_then(Weak::upgrade) {
            return line;
        }
        lines.retain(|_, line| line.strong_count() > 0);
        let line = Arc::default();
        lines.insert(group.to_owned(), Arc::downgrade(&line));
        line
    }

    /// What was written counts for nothing.
    pub(super) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Lets the next one of the line wait for a while.
pub(super) fn hold_up(place: OwnedMutexGuard<Weak<Room>>) {
    tokio::spawn(async move {
        sleep(LINGER).await;
        drop(place);
    });
}

/// See the module. Dropped by the last who shares it, it is ended, unless nobody knows what was made.
pub(super) struct Room {
    start_by: Instant,
    state: Mutex<State>,
    /// Lives for as long as there is something to find in it.
    _line: Arc<Line>,
}

struct State {
    ticket: Ticket,
    /// Topics without an end, and how many partitions there is room for.
    open: HashMap<String, u32>,
    /// Heartbeats that were written, and are not known to have made nothing.
    doubts: usize,
    is_watched: bool,
}

impl Room {
    /// Behind an intent that was granted, which takes the place of the group's last one. The next in line finds it.
    pub(super) fn new(
        mut ticket: Ticket,
        wants: &[Want],
        last: Option<Arc<Self>>,
        place: &mut OwnedMutexGuard<Weak<Self>>,
    ) -> Arc<Self> {
        ticket.topics.clear();
        let open: HashMap<_, _> = wants.iter().map(|want| (want.topic.clone(), want.partitions)).collect();
        let covers = |topic: &str, partitions| open.get(topic).is_some_and(|wanted| *wanted >= partitions);
        let follows = last.is_some_and(|last| last.lock().end(false, covers));
        let room = Arc::new(Self {
            start_by: ticket.start_by,
            // Heartbeats of the last one may be on their way.
            state: Mutex::new(State { ticket, open, doubts: usize::from(follows), is_watched: false }),
            _line: OwnedMutexGuard::mutex(place).clone(),
        });
        **place = Arc::downgrade(&room);
        tokio::spawn(keep(room.clone()));
        room
    }

    /// Whether one more heartbeat may share it, of a group that lacks so much.
    pub(super) fn serves(&self, wants: &[Want]) -> bool {
        let state = self.lock();
        let is_open = |want: &Want| state.open.get(&want.topic).is_some_and(|open| *open >= want.partitions);
        Instant::now() + MARGIN < self.start_by && wants.iter().all(is_open)
    }

    /// Too late to write a heartbeat.
    pub(super) fn is_late(&self) -> bool {
        Instant::now() >= self.start_by
    }

    /// A heartbeat is written. Unless it is told that it [made nothing](Self::settle), nobody knows.
    pub(super) fn doubt(&self) {
        self.lock().doubts += 1;
    }

    /// A heartbeat that was written made nothing.
    pub(super) fn settle(&self) {
        self.lock().doubts -= 1;
    }

    /// Ends topics as metadata shows them. Nobody waits for it.
    pub(super) fn watch(self: &Arc<Self>) {
        if !std::mem::replace(&mut self.lock().is_watched, true) {
            tokio::spawn(see(self.clone()));
        }
    }

    /// Whether something of it may be made. If not, it is not watched any more.
    fn is_in_doubt(&self) -> bool {
        let mut state = self.lock();
        state.is_watched &= state.doubts > 0 && !state.open.is_empty();
        state.is_watched
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps it for those who come soon; and if somebody was not answered by then, for those who come later.
async fn keep(room: Arc<Room>) {
    sleep(LINGER).await;
    room.watch();
}

async fn see(room: Arc<Room>) {
    let until = Instant::now() + SHOWN_WITHIN;
    let admission = room.lock().ticket.admission.clone();
    while room.is_in_doubt() && Instant::now() < until {
        sleep(LOOK_EVERY).await;
        let Ok(topics) = admission.topics().await else { continue };
        let ledger = admission.ledger();
        room.lock().end(true, |topic, _| ledger.partitions(&topics, topic).is_some());
    }
}

impl State {
    /// Ends the topics that `is_it` picks. False when there are none.
    fn end(&mut self, is_made: bool, is_it: impl Fn(&str, u32) -> bool) -> bool {
        let ended = self.open.extract_if(|topic, partitions| is_it(topic, *partitions));
        let ended: Vec<_> = ended.map(|(topic, _)| topic).collect();
        if ended.is_empty() {
            return false;
        }
        let (made, not_made) = if is_made { (ended, Vec::new()) } else { (Vec::new(), ended) };
        // Written in a while, or looked for.
        drop(self.ticket.end(End { id: self.ticket.id, made, not_made, deleted: Vec::new() }));
        true
    }
}

impl Drop for State {
    /// Its ticket says that nothing was made of what is open, if that is known.
    fn drop(&mut self) {
        self.ticket.sent = self.doubts > 0;
        self.ticket.topics = std::mem::take(&mut self.open).into_keys().collect();
    }
}
