//! One direction of one broker: when the next bytes may pass.

use super::{BURST, GRANT_TIME, LEAST_GRANT, LONGEST_PAUSE, MOST_GRANT};
use crate::gateway::metrics::BandwidthMetrics;
use broker_api::status::DirectionStatus;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

const SECOND: u64 = 1_000_000_000;

/// See the module above.
#[derive(Debug)]
pub(in crate::gateway) struct Bucket {
    epoch: Instant,
    /// Bytes per second; 0 is no limit.
    rate: AtomicU64,
    /// Where the line ends: when all that was granted has passed. Nanoseconds since `epoch`.
    free_at: AtomicU64,
    /// Bytes, in the life of the bucket.
    granted: AtomicU64,
    metrics: BandwidthMetrics,
}

/// Bytes that may pass, and from when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) bytes: u64,
    /// None: now.
    pub(super) from: Option<Instant>,
}

impl Bucket {
    pub(super) fn new(now: Instant, metrics: BandwidthMetrics) -> Self {
        Self { epoch: now, rate: AtomicU64::new(0), free_at: AtomicU64::new(0), granted: AtomicU64::new(0), metrics }
    }

    pub(super) fn set_rate(&self, bytes_per_second: Option<u64>) {
        let rate = bytes_per_second.unwrap_or(0);
        self.rate.store(rate, Ordering::Relaxed);
        self.metrics.limit.set(rate.cast_signed());
    }

    /// The next part of the line.
    pub(super) fn grant(&self, now: Instant) -> Grant {
        let rate = self.rate.load(Ordering::Relaxed);
        if rate == 0 {
            self.granted.fetch_add(MOST_GRANT, Ordering::Relaxed);
            return Grant { bytes: MOST_GRANT, from: None };
        }
        let now_ns = self.since_epoch(now);
        let oldest = now_ns.saturating_sub(nanos(BURST));
        let part = |free_at: u64| {
            let start = free_at.max(oldest);
            (start, size(rate, start.saturating_sub(now_ns)))
        };
        let taken = self.free_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free_at| {
            let (start, bytes) = part(free_at);
            Some(start + time_of(bytes, rate))
        });
        // What was given is computed again from what was there.
        let (Ok(free_at) | Err(free_at)) = taken;
        let (start, bytes) = part(free_at);
        self.granted.fetch_add(bytes, Ordering::Relaxed);
        let from = (start > now_ns).then(|| self.epoch + Duration::from_nanos(start));
        Grant { bytes, from }
    }

    /// Takes back what did not pass.
    pub(super) fn give_back(&self, bytes: u64) {
        self.granted.fetch_sub(bytes, Ordering::Relaxed);
        let rate = self.rate.load(Ordering::Relaxed);
        if rate > 0 {
            let back = |free_at: u64| Some(free_at.saturating_sub(time_of(bytes, rate)));
            // The closure always gives a value.
            let _ = self.free_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, back);
        }
    }

    /// Bytes a second that one more busy connection would get now; none while there is no limit.
    pub(in crate::gateway) fn share(&self) -> Option<u64> {
        let rate = self.rate.load(Ordering::Relaxed);
        if rate == 0 {
            return None;
        }
        let now = self.since_epoch(Instant::now());
        let waits = self.free_at.load(Ordering::Relaxed).saturating_sub(now);
        let bytes = size(rate, waits);
        Some(share(bytes, waits.max(time_of(bytes, rate))))
    }

    /// Notes that somebody waited for a grant.
    pub(super) fn note_pause(&self, pause: Duration, bytes: u64) {
        self.metrics.paused.inc_by(pause.as_secs_f64());
        self.metrics.delayed.inc_by(bytes);
    }

    pub(in crate::gateway) fn granted(&self) -> u64 {
        self.granted.load(Ordering::Relaxed)
    }

    pub(super) fn status(&self, bytes_per_second: u64) -> DirectionStatus {
        let rate = self.rate.load(Ordering::Relaxed);
        DirectionStatus {
            limit_bytes_per_second: (rate > 0).then_some(rate),
            bytes_per_second,
            paused_ms: (self.metrics.paused.get() * 1000.0) as u64,
        }
    }

    fn since_epoch(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.epoch))
    }
}

/// Bytes of a grant whose turn comes after so many nanoseconds: the fewer, the longer the line is already, which keeps
/// it below [`LONGEST_PAUSE`].
fn size(rate: u64, waits: u64) -> u64 {
    let most = (u128::from(rate) * GRANT_TIME.as_nanos() / u128::from(SECOND)) as u64;
    let most = most.clamp(LEAST_GRANT, MOST_GRANT);
    let longest = nanos(LONGEST_PAUSE);
    let left = longest.saturating_sub(waits);
    // Below 2^16 times below 2^30.
    (most * left / longest).max(LEAST_GRANT)
}

/// What `bytes` take of the line.
fn time_of(bytes: u64, rate: u64) -> u64 {
    u64::try_from(u128::from(bytes) * u128::from(SECOND) / u128::from(rate)).unwrap_or(u64::MAX)
}

fn share(bytes: u64, of_ns: u64) -> u64 {
    u64::try_from(u128::from(bytes) * u128::from(SECOND) / u128::from(of_ns.max(1))).unwrap_or(u64::MAX)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
