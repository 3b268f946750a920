//! One direction of one topic at this broker: from when its next bytes may pass.

use super::{BURST, LONGEST_WAIT};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

const SECOND: u64 = 1_000_000_000;

/// Bytes have passed when they are charged: a debt in time, which those who ran it up wait for.
#[derive(Debug)]
pub(super) struct Line {
    epoch: Instant,
    /// Bytes per second, never 0. Another rate is another line.
    rate: u64,
    /// When all that passed is made up for. Nanoseconds since `epoch`.
    even_at: AtomicU64,
    /// The quota is gone, or has another rate.
    lifted: AtomicBool,
}

impl Line {
    pub(super) fn new(now: Instant, rate: u64) -> Self {
        Self { epoch: now, rate: rate.max(1), even_at: AtomicU64::new(0), lifted: AtomicBool::new(false) }
    }

    pub(super) fn rate(&self) -> u64 {
        self.rate
    }

    /// Counts bytes that pass, and tells when they are made up for: no later than [`LONGEST_WAIT`] from now. What would take
    /// longer is forgiven, or nobody could wait for it.
    pub(super) fn charge(&self, now: Instant, bytes: u64) -> Instant {
        let now = self.since_epoch(now);
        let takes = u64::try_from(u128::from(bytes) * u128::from(SECOND) / u128::from(self.rate)).unwrap_or(u64::MAX);
        let next = |even_at: u64| {
            let from = even_at.max(now.saturating_sub(nanos(BURST)));
            from.saturating_add(takes).min(now + nanos(LONGEST_WAIT))
        };
        let before = self.even_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |even_at| Some(next(even_at)));
        // The closure always gives a value.
        let (Ok(before) | Err(before)) = before;
        self.epoch + Duration::from_nanos(next(before))
    }

    /// Bytes a second that one more answer may have: the less, the longer the line is already, so that it stays below
    /// [`LONGEST_WAIT`] however many ask.
    pub(super) fn share(&self, now: Instant) -> u64 {
        let waits = self.even_at.load(Ordering::Relaxed).saturating_sub(self.since_epoch(now));
        let left = nanos(LONGEST_WAIT).saturating_sub(waits);
        u64::try_from(u128::from(self.rate) * u128::from(left) / LONGEST_WAIT.as_nanos()).unwrap_or(u64::MAX)
    }

    pub(super) fn lift(&self) {
        self.lifted.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_lifted(&self) -> bool {
        self.lifted.load(Ordering::Relaxed)
    }

    fn since_epoch(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.epoch))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seconds_worth_is_free_then_each_byte_takes_its_time_and_nobody_waits_longer_than_twenty_seconds() {
        let start = Instant::now();
        let line = Line::new(start, 1000);
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(line.charge(at(5_000), 1000), at(5_000), "what one second gave");
        assert_eq!(line.charge(at(5_000), 500), at(5_500));
        assert_eq!(line.charge(at(5_000), 500), at(6_000), "one after the other");
        assert_eq!(line.charge(at(6_000), 0), at(6_000));
        assert_eq!(line.share(at(6_000)), 1000);
        assert_eq!(line.charge(at(6_000), 10_000), at(16_000));
        assert_eq!(line.share(at(6_000)), 500, "half of the wait is taken");
        assert_eq!(line.charge(at(6_000), 10_000_000_000), at(26_000));
        assert_eq!((line.share(at(6_000)), line.share(at(26_000))), (0, 1000));
    }

    #[test]
    fn over_time_exactly_the_rate_passes_whoever_asks_in_whichever_sizes() {
        let start = Instant::now();
        let line = Line::new(start, 50_000);
        // Each asks again when its turn comes; sizes differ.
        let mut clients: Vec<(Instant, u64)> = (1..=7).map(|n| (start, n * 3_000)).collect();
        let (mut passed, until) = (0, start + Duration::from_secs(600));
        while let Some((turn, size)) =
            clients.iter_mut().min_by_key(|(turn, _)| *turn).filter(|(turn, _)| *turn < until)
        {
            passed += *size;
            *turn = line.charge(*turn, *size);
        }
        let exact = 50_000 * 600;
        assert!((exact - 100_000..=exact + 100_000).contains(&passed), "{passed} of {exact}");
    }
}
