//! What is to be done about a disk that is as full as this. Pure, but for the date of a change.
//!
//! ```text
//!             full, produce-limited ─────────────────────► produce-limited
//!   normal ─┬─                                               │  ▲
//!      ▲    └ full, auto-delete ──► deleting ── no help, or  ┘  │
//!      │                              │         faster than it ─┘
//!      └──────── below the mark ◄─────┴──────────────────────────
//! ```
//!
//! *Full* is the threshold of the rule. Records that were refused are taken again only below [`LIFT_PERCENT`] of it, so
//! that a disk at the edge does not turn clients away and back.

use crate::clock::unix_ms;
use broker_api::spec::{CapacityPolicy, CapacityRule};
use broker_api::status::CapacityState;
use std::time::Duration;
use tokio::time::Instant;

/// Of the threshold: 92 % of the disk at a threshold of 95.
const LIFT_PERCENT: u64 = 97;
/// What is dropped is gone from the disk of every replica after Kafka's retention check (10 s), its delay (1 s) and a fetch.
const SETTLE: Duration = Duration::from_secs(15);
/// Attempts in a row that found too little: then deletion does not help.
const SHORT_ATTEMPTS: u32 = 2;

/// How full the disks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) used: u64,
    /// Bytes that each broker was sold.
    pub(super) disk: u64,
    /// Another broker, and what it holds.
    pub(super) fullest_other: Option<(i32, u64)>,
}

impl Seen {
    /// Of the broker that has most.
    pub(super) fn most(&self) -> u64 {
        self.used.max(self.fullest_other.map_or(0, |(_, bytes)| bytes))
    }

    pub(super) fn threshold(&self, rule: CapacityRule) -> u64 {
        percent_of(self.disk, rule.threshold_percent.into())
    }

    /// "97 % of the disk that was bought are used" and on which broker.
    fn text(&self) -> String {
        let percent = |bytes: u64| bytes as f64 * 100.0 / self.disk.max(1) as f64;
        match self.fullest_other {
            Some((id, bytes)) if bytes > self.used => {
                format!("{:.1} % of the disk of broker {id} is used", percent(bytes))
            }
            _ => format!("{:.1} % of the disk is used", percent(self.used)),
        }
    }
}

fn percent_of(bytes: u64, percent: u64) -> u64 {
    bytes / 100 * percent + bytes % 100 * percent / 100
}

/// Three fifths of the way from the threshold to a full disk, 98 % at 95: there even `auto-delete` refuses records, since
/// they come faster than others go.
fn too_full(seen: &Seen, threshold: u64) -> u64 {
    threshold + seen.disk.saturating_sub(threshold) / 5 * 3
}

/// What clients are told whose records are refused: one text for as long as it lasts.
pub(super) fn refusal(rule: CapacityRule) -> String {
    let full = f64::from(rule.threshold_percent);
    format!(
        "the disk of this instance is full ({full} % of what was bought): records are taken again below {:.1} %; reading goes on",
        full * LIFT_PERCENT as f64 / 100.0
    )
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Nothing,
    /// The oldest tenth is to be dropped.
    Delete,
}

#[derive(Debug)]
pub(super) struct Judge {
    state: CapacityState,
    since_ms: i64,
    reason: String,
    deleted_at: Option<Instant>,
    /// Attempts in a row that found too little to drop.
    short: u32,
    /// Why the last attempt came to nothing.
    failure: Option<String>,
}

impl Default for Judge {
    fn default() -> Self {
        Self {
            state: CapacityState::Normal,
            since_ms: unix_ms(),
            reason: String::new(),
            deleted_at: None,
            short: 0,
            failure: None,
        }
    }
}

impl Judge {
    pub(super) fn state(&self) -> CapacityState {
        self.state
    }

    pub(super) fn since_ms(&self) -> i64 {
        self.since_ms
    }

    /// In a sentence; empty while there is room.
    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    pub(super) fn judge(&mut self, seen: &Seen, rule: CapacityRule, now: Instant) -> Act {
        let threshold = seen.threshold(rule);
        let (most, lifts) = (seen.most(), percent_of(threshold, LIFT_PERCENT));
        if most < lifts {
            (self.deleted_at, self.short, self.failure) = (None, 0, None);
        }
        let refuses = self.state == CapacityState::ProduceLimited;
        let helpless = self.short >= SHORT_ATTEMPTS;
        let state = match rule.policy {
            _ if most < lifts => CapacityState::Normal,
            CapacityPolicy::ProduceLimited if most >= threshold || refuses => CapacityState::ProduceLimited,
            CapacityPolicy::AutoDelete if helpless || most >= too_full(seen, threshold) => {
                CapacityState::ProduceLimited
            }
            CapacityPolicy::AutoDelete if most >= threshold => CapacityState::Deleting,
            _ => CapacityState::Normal,
        };
        if state != self.state {
            (self.state, self.since_ms) = (state, unix_ms());
        }
        self.reason = self.explain(seen, rule);
        let settled = self.deleted_at.is_none_or(|at| now.duration_since(at) >= SETTLE);
        match rule.policy {
            CapacityPolicy::AutoDelete if most >= threshold && settled => Act::Delete,
            _ => Act::Nothing,
        }
    }

    /// So much was found to drop, of what was wanted.
    pub(super) fn deleted(&mut self, found: u64, wanted: u64, now: Instant) {
        (self.deleted_at, self.failure) = (Some(now), None);
        self.short = if found < wanted || found == 0 { self.short + 1 } else { 0 };
    }

    pub(super) fn failed(&mut self, why: String) {
        self.failure = Some(why);
    }

    fn explain(&self, seen: &Seen, rule: CapacityRule) -> String {
        let why = match (self.state, rule.policy) {
            (CapacityState::Normal, _) => return String::new(),
            (CapacityState::Deleting, _) => match &self.failure {
                None => "the oldest data is dropped".to_owned(),
                Some(failure) => format!("the oldest data could not be dropped: {failure}"),
            },
            (CapacityState::ProduceLimited, CapacityPolicy::ProduceLimited) => "records are refused".to_owned(),
            (CapacityState::ProduceLimited, CapacityPolicy::AutoDelete) if self.short >= SHORT_ATTEMPTS => {
                "records are refused: less than a tenth can be dropped, the rest is compacted, the service's own or just being written"
                    .to_owned()
            }
            (CapacityState::ProduceLimited, CapacityPolicy::AutoDelete) => {
                "records are refused: they come faster than the oldest data goes".to_owned()
            }
        };
        format!("{}: {why}", seen.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CapacityState::{Deleting, Normal, ProduceLimited};

    const LIMIT: CapacityRule = CapacityRule { policy: CapacityPolicy::ProduceLimited, threshold_percent: 95 };
    const DELETE: CapacityRule = CapacityRule { policy: CapacityPolicy::AutoDelete, threshold_percent: 95 };

    fn seen(percent: u64) -> Seen {
        Seen { used: percent * 1_000_000, disk: 100_000_000, fullest_other: None }
    }

    #[test]
    fn records_are_refused_from_the_threshold_until_well_below_it() {
        let (mut judge, now) = (Judge::default(), Instant::now());
        for (percent, state) in [(94, Normal), (95, ProduceLimited), (93, ProduceLimited), (92, Normal), (94, Normal)] {
            assert_eq!(judge.judge(&seen(percent), LIMIT, now), Act::Nothing);
            assert_eq!(judge.state(), state, "{percent} %");
        }
        assert_eq!(judge.reason(), "");
        assert!(
            refusal(LIMIT).contains("(95 % of what was bought): records are taken again below 92.2 %"),
            "{}",
            refusal(LIMIT)
        );
    }

    #[test]
    fn the_oldest_is_dropped_once_and_again_only_when_that_has_settled() {
        let (mut judge, began) = (Judge::default(), Instant::now());
        assert_eq!(judge.judge(&seen(96), DELETE, began), Act::Delete);
        assert_eq!(judge.state(), Deleting);
        judge.deleted(10, 10, began);
        assert_eq!(judge.judge(&seen(96), DELETE, began + SETTLE / 2), Act::Nothing);
        assert_eq!(judge.judge(&seen(86), DELETE, began + SETTLE / 2), Act::Nothing);
        assert_eq!(judge.state(), Normal);
        assert_eq!(judge.judge(&seen(95), DELETE, began + SETTLE), Act::Delete);
    }

    #[test]
    fn where_deletion_does_not_help_records_are_refused_and_told_why() {
        let (mut judge, began) = (Judge::default(), Instant::now());
        for attempt in 0..SHORT_ATTEMPTS {
            assert_eq!(judge.judge(&seen(96), DELETE, began + SETTLE * attempt), Act::Delete);
            assert_eq!(judge.state(), Deleting);
            judge.deleted(1, 10, began + SETTLE * attempt);
        }
        assert_eq!(judge.judge(&seen(96), DELETE, began + SETTLE * 2), Act::Delete, "it goes on trying");
        assert_eq!(judge.state(), ProduceLimited);
        assert!(judge.reason().contains("less than a tenth can be dropped"), "{}", judge.reason());
        judge.judge(&seen(93), DELETE, began + SETTLE * 2);
        assert_eq!(judge.state(), ProduceLimited);
        judge.judge(&seen(92), DELETE, began + SETTLE * 2);
        assert_eq!(judge.state(), Normal);
    }

    #[test]
    fn records_that_come_faster_than_others_go_are_refused_before_the_disk_is_full() {
        let (mut judge, now) = (Judge::default(), Instant::now());
        judge.judge(&seen(96), DELETE, now);
        judge.deleted(10, 10, now);
        judge.judge(&seen(98), DELETE, now);
        assert_eq!(judge.state(), ProduceLimited);
        judge.judge(&seen(97), DELETE, now);
        assert_eq!(judge.state(), Deleting);
    }

    #[test]
    fn another_policy_holds_from_the_next_look_on() {
        let (mut judge, now) = (Judge::default(), Instant::now());
        judge.judge(&seen(96), LIMIT, now);
        assert_eq!(judge.state(), ProduceLimited);
        assert_eq!(judge.judge(&seen(96), DELETE, now), Act::Delete);
        assert_eq!(judge.state(), Deleting);
        judge.judge(&seen(96), LIMIT, now);
        assert_eq!(judge.state(), ProduceLimited);
        judge.judge(&seen(96), CapacityRule { threshold_percent: 98, ..LIMIT }, now);
        assert_eq!(judge.state(), ProduceLimited, "within the margin of the new threshold");
    }

    #[test]
    fn another_broker_that_is_full_counts_as_this_one() {
        let (mut judge, now) = (Judge::default(), Instant::now());
        let seen = Seen { fullest_other: Some((3, 97_000_000)), ..seen(50) };
        judge.judge(&seen, LIMIT, now);
        assert_eq!(judge.state(), ProduceLimited);
        assert_eq!(judge.reason(), "97.0 % of the disk of broker 3 is used: records are refused");
    }
}
