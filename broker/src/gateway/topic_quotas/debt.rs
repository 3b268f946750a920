//! What one connection owes to topics in one direction, and its wait until it may move records again.

use super::line::Line;
use super::{LONGEST_WAIT, Motion, TopicQuotas};
use crate::gateway::filters::walk::Seen;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// How long requests are held that were perhaps on their way when their client was told to wait: five of them wait less
/// than the 30 s after which clients give up, and heartbeats behind one less than the shortest session, 6 s.
const SHORT_WAIT: Duration = Duration::from_secs(5);
/// Requests that clients have on their way at a time (`max.in.flight.requests.per.connection`). Who goes on after so many
/// does not heed what it is told, and is held for as long as need be.
const ON_THEIR_WAY: u32 = 5;
/// Answers are kept small for so long after the last one that took of a quota.
const FRESH: Duration = Duration::from_secs(60);

/// Nothing, for most connections: then it takes a pointer's room.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Debt(Option<Box<Open>>);

#[derive(Debug, Default)]
struct Open {
    /// Of the topic whose records come next.
    topic: Option<Arc<Line>>,
    /// What it took of last, and when.
    took: Option<(Arc<Line>, Instant)>,
    /// When that is made up for, if it is not yet.
    turn: Option<Instant>,
    /// Since when a request waits for it.
    held_since: Option<Instant>,
    /// Requests in a row that came too early.
    early: u32,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Debt {
    /// Charges what passes.
    pub(in crate::gateway) fn note(&mut self, quotas: &TopicQuotas, motion: Motion, seen: Seen<'_>) {
        let topic = match seen {
            Seen::Name(name) => quotas.line(motion, name),
            Seen::Id(id) => quotas.line_by_id(motion, id),
            Seen::Records(bytes) => return self.charge(bytes),
        };
        match (&mut self.0, topic) {
            (None, None) => {}
            (open, topic) => open.get_or_insert_default().topic = topic,
        }
    }

    fn charge(&mut self, bytes: u64) {
        let Some(open) = &mut self.0 else { return };
        let Some(line) = open.topic.as_ref().filter(|_| bytes > 0) else { return };
        let now = Instant::now();
        let turn = line.charge(now, bytes);
        // Of several topics the one that takes longest counts.
        if open.turn.is_none_or(|known| turn >= known) {
            open.took = Some((line.clone(), now));
            open.turn = (turn > now).then_some(turn).or(open.turn);
        }
    }

    /// Whether the next request that moves records may go on; the task is woken when it may.
    pub(in crate::gateway) fn poll(&mut self, cx: &mut Context<'_>, quotas: &TopicQuotas, motion: Motion) -> Poll<()> {
        let Some(open) = &mut self.0 else { return Poll::Ready(()) };
        // More may pass meanwhile: answers to what was asked before.
        while let Some(until) = open.held_until(motion) {
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
        match open.held_since.take() {
            Some(since) => {
                quotas.note_wait(motion, since.elapsed());
                open.early = open.early.saturating_add(1);
            }
            None => open.early = 0,
        }
        Poll::Ready(())
    }

    /// How long the client should wait before it moves more.
    pub(in crate::gateway) fn wait(&self) -> Duration {
        let open = self.0.as_ref().filter(|open| !open.is_lifted());
        let turn = open.and_then(|open| open.turn);
        turn.map_or(Duration::ZERO, |turn| turn.saturating_duration_since(Instant::now()))
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
    fn held_until(&mut self, motion: Motion) -> Option<Instant> {
        let now = Instant::now();
        let turn = self.turn.filter(|turn| now < *turn && !self.is_lifted())?;
        let most = if motion == Motion::Produce && self.early >= ON_THEIR_WAY { LONGEST_WAIT } else { SHORT_WAIT };
        let until = turn.min(*self.held_since.get_or_insert(now) + most);
        (now < until).then_some(until)
    }
}
