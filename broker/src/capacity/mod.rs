//! The disk that was sold: how full it is, and what is done when it is full.
//!
//! Owns the measuring of the log directory against `kafka.disk_bytes`, the choice of what `auto-delete` drops, and the
//! verdict whether records may be produced; the gateway carries the verdict out. Needs nobody but the brokers: everything here
//! goes on while the control plane is away. Each node looks at the other brokers too, since a broker that refuses records
//! while the leaders on another one take them would still fill up with their copies.
//!
//! ```text
//! disk (own directory) ─┐
//! brokers (the others) ─┴─► judge ─┬─► produce refused, or taken
//!                                  └─► victims ─► DeleteRecords, for partitions led here
//! ```

mod brokers;
mod disk;
mod growth;
mod judge;
mod victims;

use crate::directory::NodeDirectory;
use broker_api::spec::NodeSpec;
use broker_api::status::{CapacityState, CapacityStatus};
use growth::Growth;
use judge::{Act, Judge, Seen};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{info, warn};

/// Faster than any disk that is sold fills up (product.md §1: 350 MB/s, reads and writes together).
const FASTEST_BYTES_PER_SECOND: u64 = 350_000_000;
const SOONEST_LOOK: Duration = Duration::from_secs(1);
const LATEST_LOOK: Duration = Duration::from_secs(10);
/// Between looks at the other brokers.
const LOOK_AROUND_EVERY: Duration = Duration::from_secs(3);
/// A broker of which nothing was heard for so long does not count: its partitions have other leaders by then.
const FORGET_AFTER: Duration = Duration::from_secs(60);

/// Keeps one node's disk.
#[derive(Debug)]
pub struct Capacity {
    directory: NodeDirectory,
    judge: Judge,
    growth: Growth,
    /// Bytes that the logs of the other brokers take, and when that was heard.
    others: BTreeMap<i32, (u64, Instant)>,
    looked_around: Option<Instant>,
    deleted_bytes: u64,
}

/// What came of a look.
#[derive(Debug)]
pub struct Look {
    pub status: CapacityStatus,
    /// Why records are refused, for those who send them.
    pub refuse: Option<String>,
    pub next: Duration,
}

impl Capacity {
    pub fn new(directory: NodeDirectory) -> Self {
        Self {
            directory,
            judge: Judge::default(),
            growth: Growth::default(),
            others: BTreeMap::new(),
            looked_around: None,
            deleted_bytes: 0,
        }
    }

    /// Measures, decides, and drops what must be dropped. An error is a text for the log.
    pub async fn look(&mut self, spec: &NodeSpec) -> Result<Look, String> {
        let used = disk::used(&self.directory.data()).await.map_err(|error| format!("the log directory: {error}"))?;
        let now = Instant::now();
        self.growth.add(now, used);
        self.look_around(spec, now).await;
        let seen = Seen { used, disk: spec.kafka.disk_bytes, fullest_other: self.fullest_other(now) };
        let rule = spec.gateway.capacity;
        let before = self.judge.state();
        if self.judge.judge(&seen, rule, now) == Act::Delete {
            self.delete(spec).await;
        }
        if before != self.judge.state() {
            info!(
                capacity.state = ?self.judge.state(),
                capacity.used_bytes = used,
                capacity.reason = self.judge.reason(),
                "the disk that was sold changed its state"
            );
        }
        let threshold = seen.threshold(rule);
        let growth = self.growth.per_second();
        let status = CapacityStatus {
            used_bytes: used,
            disk_bytes: seen.disk,
            state: self.judge.state(),
            since_ms: self.judge.since_ms(),
            reason: self.judge.reason().to_owned(),
            growth_bytes_per_second: growth,
            full_in_seconds: u64::try_from(growth)
                .ok()
                .and_then(|per_second| threshold.saturating_sub(used).checked_div(per_second)),
            deleted_bytes: self.deleted_bytes,
        };
        let refuse = (status.state == CapacityState::ProduceLimited).then(|| judge::refusal(rule));
        let next = Duration::from_secs(threshold.saturating_sub(seen.most()) / FASTEST_BYTES_PER_SECOND);
        Ok(Look { status, refuse, next: next.clamp(SOONEST_LOOK, LATEST_LOOK) })
    }

    /// Asks the other brokers what they hold. Who does not answer keeps what it said last, for a while.
    async fn look_around(&mut self, spec: &NodeSpec, now: Instant) {
        let due = self.looked_around.is_none_or(|at| now.duration_since(at) >= LOOK_AROUND_EVERY);
        if spec.kafka.brokers < 2 || !due {
            return;
        }
        self.looked_around = Some(now);
        // The JVM may be starting; then there is nothing to refuse either.
        let Ok(heard) = brokers::others(spec).await else { return };
        self.others.extend(heard.into_iter().map(|(id, bytes)| (id, (bytes, now))));
    }

    fn fullest_other(&mut self, now: Instant) -> Option<(i32, u64)> {
        self.others.retain(|_, (_, heard)| now.duration_since(*heard) < FORGET_AFTER);
        self.others.iter().map(|(id, (bytes, _))| (*id, *bytes)).max_by_key(|(_, bytes)| *bytes)
    }

    /// Drops the oldest tenth of what this broker leads.
    async fn delete(&mut self, spec: &NodeSpec) {
        match self.try_to_delete(spec).await {
            Ok((found, wanted)) => {
                self.deleted_bytes += found;
                self.judge.deleted(found, wanted, Instant::now());
                info!(capacity.deleted_bytes = found, capacity.wanted_bytes = wanted, "dropped the oldest data");
            }
            Err(error) => {
                warn!(error, "could not drop the oldest data; trying again");
                self.judge.failed(error);
            }
        }
    }

    async fn try_to_delete(&self, spec: &NodeSpec) -> Result<(u64, u64), String> {
        let led = brokers::led_topics(spec).await?;
        let logs =
            disk::logs(&self.directory.data(), led).await.map_err(|error| format!("the log directory: {error}"))?;
        let wanted = logs.iter().map(victims::Log::bytes).sum::<u64>() / 10;
        let choice = victims::choose(&logs, wanted);
        if !choice.until.is_empty() {
            brokers::delete_records(spec, &choice.until).await?;
        }
        Ok((choice.bytes, wanted))
    }
}
