//! What one connection owes to topics in one direction, and its wait until it may move records again.

use super::line::Line;
use super::names::{OF_CLIENTS, OF_KAFKA};
use super::{Motion, Topic, TopicQuotas};
use crate::gateway::filters::walk::Seen;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// Longest that a request is held. Clients have up to five on their way (`max.in.flight.requests.per.connection`), and what came
/// behind a held one waits too: 25 s in all, less than the 30 s after which they give up. Heartbeats behind one wait less
/// than the shortest session, 6 s.
const LONGEST_HOLD: Duration = Duration::from_secs(5);
const NANOS_PER_MS: u128 = 1_000_000;
/// Answers are kept small for so long after the last one that took of a quota.
const FRESH: Duration = Duration::from_secs(60);

/// Nothing, for most connections: then it takes a pointer's room.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Debt(Option<Box<Open>>);

#[derive(Debug, Default)]
struct Open {
    /// That what comes next is of.
    topic: Topic,
    /// What it took of last, and when.
    took: Option<(Arc<Line>, Instant)>,
    /// When that is made up for, if it is not yet.
    turn: Option<Instant>,
    /// Since when a request waits for it.
    held_since: Option<Instant>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Debt {
    /// Charges what passes.
    pub(in crate::gateway) fn note(&mut self, quotas: &TopicQuotas, motion: Motion, seen: Seen<'_>) {
        let topic = match seen {
            Seen::Name(name) => quotas.by_name(motion, name),
            Seen::Id(id) => quotas.by_id(motion, id),
            Seen::Records(bytes) if bytes > 0 => return self.pass(quotas, motion, bytes),
            Seen::Records(_) | Seen::ErrorCode(_) | Seen::Throttle(_) => return,
        };
        match (&mut self.0, topic) {
            (None, Topic::Free) => {}
            (open, topic) => open.get_or_insert_default().topic = topic,
        }
    }

    fn pass(&mut self, quotas: &TopicQuotas, motion: Motion, bytes: u64) {
        match self.0.as_ref().map(|open| &open.topic) {
            Some(Topic::Held(line)) => self.charge(line.clone(), bytes),
            // Records to consume are Kafka's; an id in a request may be any.
            Some(Topic::Nameless(id)) if motion == Motion::Consume => quotas.names.ask(*id, OF_KAFKA),
            Some(Topic::Nameless(id)) => quotas.names.ask(*id, OF_CLIENTS),
            Some(Topic::Free) | None => {}
        }
    }

    pub(super) fn charge(&mut self, line: Arc<Line>, bytes: u64) {
        let open = self.0.get_or_insert_default();
        let now = Instant::now();
        let turn = line.charge(now, bytes);
        // Of several topics the one that takes longest counts.
        if open.turn.is_none_or(|known| turn >= known) {
            open.took = Some((line, now));
            open.turn = (turn > now).then_some(turn).or(open.turn);
        }
    }

    /// Whether the next request that moves records may go on; the task is woken when it may.
    pub(in crate::gateway) fn poll(&mut self, cx: &mut Context<'_>, quotas: &TopicQuotas, motion: Motion) -> Poll<()> {
        let Some(open) = &mut self.0 else { return Poll::Ready(()) };
        // More may pass meanwhile: answers to what was asked before.
        while let Some(until) = open.held_until() {
            let pause = open.pause.get_or_insert_with(|| Box::pin(sleep_until(until)));
            if pause.deadline() != until {
                pause.as_mut().reset(until);
            }
            if pause.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        if open.turn.is_none() {
            return Poll::Ready(());
        }
        open.turn = None;
        if let Some(since) = open.held_since.take() {
            quotas.note_wait(motion, since.elapsed());
        }
        Poll::Ready(())
    }

    /// Milliseconds that the client should wait before it moves more; rounded up, so that who waits as told is not early.
    pub(in crate::gateway) fn wait_ms(&self) -> i32 {
        let open = self.0.as_ref().filter(|open| !open.is_lifted());
        let turn = open.and_then(|open| open.turn);
        let wait = turn.map_or(Duration::ZERO, |turn| turn.saturating_duration_since(Instant::now()));
        i32::try_from(wait.as_nanos().div_ceil(NANOS_PER_MS)).unwrap_or(i32::MAX)
    }

    /// Bytes a second that the next answer may have, as far as quotas of topics say.
    pub(in crate::gateway) fn share(&self) -> Option<u64> {
        let open = self.0.as_ref().filter(|open| !open.is_lifted())?;
        let (line, at) = open.took.as_ref()?;
        (at.elapsed() < FRESH).then(|| line.share(Instant::now()))
    }
}

impl Open {
    fn is_lifted(&self) -> bool {
        self.took.as_ref().is_some_and(|(line, _)| line.is_lifted())
    }

    /// Until when the request that is there now is held; none when it may go on.
    fn held_until(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let turn = self.turn.filter(|turn| now < *turn && !self.is_lifted())?;
        let until = turn.min(*self.held_since.get_or_insert(now) + LONGEST_HOLD);
        (now < until).then_some(until)
    }
}
