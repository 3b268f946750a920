//! Groups that this gateway let be made a short time ago: what may make them again passes without asking the log.
//!
//! That is safe because everybody counts what was made for longer ([`Counted::held`](super::counted::Counted::held)) than it
//! is known here, even if it is gone meanwhile; but for deletion, which gives its room away at once. So before a deletion
//! goes to Kafka, the group is barred here, and what has passed without asking is waited for.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// How long a group is known, and how long one that was deleted is not taken for known.
const KNOWN: Duration = Duration::from_secs(60);
/// Who has not read the log for so long does not know what others deleted. A read takes 5 s where nothing happens.
const DEAF: Duration = Duration::from_secs(15);
/// For requests that have passed to be answered. Those that take longer wait for members of the group, which Kafka then does
/// not delete; no broker lets a request overtake another by so much.
const PASSING: Duration = Duration::from_secs(1);
/// More than any spec sells: then what is out of date is dropped.
const MANY: usize = 2000;

#[derive(Debug)]
struct Known {
    until: Instant,
    is_barred: bool,
    passing: TaskTracker,
}

/// Held by a request that passes without asking until it is answered.
pub(in crate::gateway) type Pass = TaskTrackerToken;

#[derive(Debug, Default)]
pub(in crate::gateway) struct Seen {
    groups: Mutex<HashMap<String, Known>>,
    /// Up to when the log was read.
    heard: Mutex<Option<Instant>>,
}

impl Seen {
    /// The log was read up to this time: what others had deleted by then is barred.
    pub(in crate::gateway) fn heard(&self, at: Instant) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// Whether what others deleted is known.
    pub(super) fn hears(&self, now: Instant) -> bool {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.is_some_and(|heard| now.duration_since(heard) < DEAF)
    }

    /// Lets a request pass that may make this group, if it was made a short time ago.
    pub(in crate::gateway) fn pass(&self, group: &str, now: Instant) -> Option<Pass> {
        if !self.hears(now) {
            return None;
        }
        self.lock().get(group).filter(|known| !known.is_barred && now < known.until).map(|known| known.passing.token())
    }

    /// Everybody counts this group, from `since` or later on.
    pub(in crate::gateway) fn made(&self, group: &str, since: Instant, now: Instant) {
        let mut known = self.lock();
        if known.len() >= MANY {
            known.retain(|_, known| now < known.until);
        }
        let fresh = || Known { until: now, is_barred: false, passing: TaskTracker::new() };
        let known = known.entry(group.to_owned()).or_insert_with(fresh);
        if !known.is_barred || known.until <= now {
            (known.until, known.is_barred) = (since + KNOWN, false);
        }
    }

    /// From now on, requests that may make this group ask.
    pub(in crate::gateway) fn bar(&self, group: &str, now: Instant) -> TaskTracker {
        let barred = Known { until: now + KNOWN, is_barred: true, passing: TaskTracker::new() };
        let before = self.lock().insert(group.to_owned(), barred);
        let passing = before.map(|known| known.passing).unwrap_or_default();
        passing.close();
        passing
    }

    /// Bars groups, and waits for what has passed.
    pub(super) async fn bar_and_wait(&self, groups: impl Iterator<Item = &str>) {
        let now = Instant::now();
        let passing: Vec<_> = groups.map(|group| self.bar(group, now)).collect();
        let answered = async {
            for passing in passing {
                passing.wait().await;
            }
        };
        // Either way it goes on: see `PASSING`.
        let _ = timeout(PASSING, answered).await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_group_is_known_for_a_minute_and_not_while_it_is_being_deleted() {
        let (seen, now) = (Seen::default(), Instant::now);
        seen.heard(now());
        assert!(seen.pass("g", now()).is_none());
        seen.made("g", now(), now());
        let pass = seen.pass("g", now()).expect("known");
        assert!(seen.pass("g", now() + DEAF).is_none(), "deaf");
        seen.heard(now() + KNOWN);
        assert!(seen.pass("g", now() + KNOWN).is_none(), "out of date");
        let began = now();
        seen.bar_and_wait(["g"].into_iter()).await;
        assert_eq!(began.elapsed(), PASSING, "what has passed is waited for");
        drop(pass);
        // The answer to one that was asked for before comes late.
        seen.made("g", now(), now());
        assert!(seen.pass("g", now()).is_none(), "barred");
        seen.bar_and_wait(["g"].into_iter()).await;
        tokio::time::advance(KNOWN).await;
        seen.made("g", now(), now());
        seen.heard(now());
        assert!(seen.pass("g", now()).is_some());
    }
}
