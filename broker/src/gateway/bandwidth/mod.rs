//! Bandwidth of a broker: a bucket for each direction, shared by all its connections.
//!
//! Produce requests and Fetch responses pay before they pass; everything else rides free, so that heartbeats never wait
//! for records of somebody else. Clients are slowed by not being read, and by not being written to.
//!
//! ```text
//! connection ── Meter ──► Bucket        a line in time: each grant takes the next bytes ÷ rate of it,
//!               credit     free_at      and its connection goes on when its part begins
//! ```
//!
//! A connection pays for a *grant* of bytes at a time, whatever the size of its frames: one atomic a grant, nothing a
//! frame, no queue, lock or task. Grants are alike and served in turn, so busy connections share evenly. The longer the
//! line, the smaller the grants: a pause stays below [`LONGEST_PAUSE`]. May use the clock; knows no protocol.

mod bucket;
mod meter;
mod rate;

pub(super) use bucket::Bucket;
pub(super) use meter::Meter;

use super::metrics::{Direction, Metrics};
use broker_api::spec::GatewayLimits;
use broker_api::status::BandwidthStatus;
use rate::Rates;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Longest that a connection waits for its next bytes, as long as there are fewer busy ones than grants of
/// [`LEAST_GRANT`] in it.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// What was not used of so much time may be caught up: more than a busy machine makes a timer late, and too little to
/// count over seconds.
pub(super) const BURST: Duration = Duration::from_millis(100);
/// What one grant takes of the line at most, where nobody waits.
pub(super) const GRANT_TIME: Duration = Duration::from_millis(20);
/// Two blocks: a smaller one would cut in two what a connection moves at a time.
pub(super) const MOST_GRANT: u64 = 256 * 1024;
/// Below it, system calls would cost more than bytes.
pub(super) const LEAST_GRANT: u64 = 1024;

/// Both directions.
#[derive(Debug)]
pub(super) struct Bandwidth {
    /// From clients: Produce requests.
    pub(super) ingress: Arc<Bucket>,
    /// To clients: Fetch responses.
    pub(super) egress: Arc<Bucket>,
    rates: Mutex<Rates>,
}

impl Bandwidth {
    pub(super) fn new(limits: &GatewayLimits, metrics: &Metrics) -> Self {
        let now = Instant::now();
        let bucket = |direction| Arc::new(Bucket::new(now, metrics.bandwidth(direction)));
        let bandwidth = Self {
            ingress: bucket(Direction::In),
            egress: bucket(Direction::Out),
            rates: Mutex::new(Rates::default()),
        };
        bandwidth.follow(limits);
        bandwidth
    }

    /// Holds connections to these limits from now on; who waits, waits for [`LONGEST_PAUSE`] at most.
    pub(super) fn follow(&self, limits: &GatewayLimits) {
        self.ingress.set_rate(limits.ingress_bytes_per_second);
        self.egress.set_rate(limits.egress_bytes_per_second);
    }

    /// Looks at what has passed, for [`Bandwidth::status`]; to be called every few seconds.
    pub(super) fn sample(&self) {
        let passed = [self.ingress.granted(), self.egress.granted()];
        self.rates.lock().unwrap_or_else(PoisonError::into_inner).add(Instant::now(), passed);
    }

    pub(super) fn status(&self) -> BandwidthStatus {
        let [ingress, egress] = self.rates.lock().unwrap_or_else(PoisonError::into_inner).per_second();
        BandwidthStatus { ingress: self.ingress.status(ingress), egress: self.egress.status(egress) }
    }
}

#[cfg(test)]
mod tests;
