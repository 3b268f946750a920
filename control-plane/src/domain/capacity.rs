//! What happens when the disk that was bought is full: what a patch makes of it, and what it changes for clients.

use crate::domain::plan;
use broker_api::status::{CapacityState, CapacityStatus};
use chrono::{DateTime, Utc};
use control_plane_api::{
    capacity::{CapacityLevel, CapacityNotice, UpdateCapacity},
    instance::{CapacityPolicy, Change, Check},
    problem::FieldError,
};
use serde_json::json;

/// Percent of the disk that was bought (product.md §4).
pub const DEFAULT_THRESHOLD_PERCENT: u8 = 95;
/// Above it, records that are on their way would fill the disk.
pub const MAX_THRESHOLD_PERCENT: u8 = 98;

/// Notices that are kept.
pub const NOTICES: u32 = 20;
/// A broker fills up from here on, in percent of the threshold; and no more below the second figure.
const FILLING_PERCENT: (u64, u64) = (90, 85);
/// The same, of the forecast. A burst into an empty disk is none.
const FILLING_SECONDS: (u64, u64) = (6 * 3600, 12 * 3600);
const FORECAST_FROM_PERCENT: u64 = 50;

/// What was chosen for an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub policy: CapacityPolicy,
    pub threshold_percent: u8,
}

impl Default for Rule {
    fn default() -> Self {
        Self { policy: CapacityPolicy::default(), threshold_percent: DEFAULT_THRESHOLD_PERCENT }
    }
}

/// As it stands in JSON, and in rows.
pub fn policy_name(policy: CapacityPolicy) -> &'static str {
    match policy {
        CapacityPolicy::AutoDelete => "auto-delete",
        CapacityPolicy::ProduceLimited => "produce-limited",
    }
}

pub fn parse_policy(name: &str) -> Option<CapacityPolicy> {
    [CapacityPolicy::AutoDelete, CapacityPolicy::ProduceLimited].into_iter().find(|policy| policy_name(*policy) == name)
}

/// The rule as the patch leaves it; or all faults.
pub fn patched(current: Rule, patch: &UpdateCapacity) -> Result<Rule, Vec<FieldError>> {
    let threshold_percent = match patch.threshold_percent {
        None => current.threshold_percent,
        Some(percent) => percent.unwrap_or(DEFAULT_THRESHOLD_PERCENT),
    };
    if !(1..=MAX_THRESHOLD_PERCENT).contains(&threshold_percent) {
        let detail = format!("{threshold_percent} is given; 1 to {MAX_THRESHOLD_PERCENT} are accepted");
        let fault = FieldError::new("/threshold_percent", "out-of-range", detail);
        return Err(vec![fault.with("min", 1).with("max", MAX_THRESHOLD_PERCENT)]);
    }
    Ok(Rule { policy: patch.policy.unwrap_or(current.policy), threshold_percent })
}

/// What changes, in the order of the fields.
pub fn changes(from: Rule, to: Rule) -> Vec<Change> {
    plan::live_changes([
        ("/policy", json!(from.policy), json!(to.policy)),
        ("/threshold_percent", json!(from.threshold_percent), json!(to.threshold_percent)),
    ])
}

/// What whoever makes the change should know.
pub fn checks(from: Rule, to: Rule) -> Vec<Check> {
    let mut checks = vec![plan::ok("live", "takes effect within two seconds; no broker restarts")];
    let from_when = format!("from {} % of the disk that was bought", to.threshold_percent);
    if from != to {
        checks.push(match to.policy {
            CapacityPolicy::AutoDelete => {
                plan::warning("data-is-dropped", format!("{from_when} the oldest tenth of all records is dropped"))
            }
            CapacityPolicy::ProduceLimited => {
                plan::warning("produce-is-refused", format!("{from_when} producers are refused; reading goes on"))
            }
        });
    }
    checks
}

/// What is to be told of these brokers, after `last`; none while nothing changed. With brokers that are silent (`all` is
/// false) nothing is called off.
pub fn notice(
    threshold_percent: u8,
    brokers: &[(i32, &CapacityStatus)],
    all: bool,
    last: CapacityLevel,
    now: DateTime<Utc>,
) -> Option<CapacityNotice> {
    let share = |status: &CapacityStatus| status.used_bytes as f64 / status.disk_bytes.max(1) as f64;
    let worst = brokers.iter().max_by(|(_, a), (_, b)| {
        let levels = level(threshold_percent, a, last).cmp(&level(threshold_percent, b, last));
        levels.then(share(a).total_cmp(&share(b)))
    });
    let (broker_id, status) = worst?;
    let level = level(threshold_percent, status, last);
    let news = if all { level != last } else { level > last };
    news.then(|| CapacityNotice {
        level,
        broker_id: *broker_id,
        used_percent: percent(status),
        full_in_seconds: status.full_in_seconds,
        at: now,
    })
}

fn level(threshold_percent: u8, status: &CapacityStatus, last: CapacityLevel) -> CapacityLevel {
    if status.state != CapacityState::Normal {
        return CapacityLevel::Full;
    }
    // So that an instance at the edge is not told of back and forth.
    let pick = |(begins, ends)| if last == CapacityLevel::Room { begins } else { ends };
    let threshold = u128::from(status.disk_bytes) * u128::from(threshold_percent) / 100;
    let is_above = |percent: u64| u128::from(status.used_bytes) * 100 >= threshold * u128::from(percent);
    let soon = status.full_in_seconds.is_some_and(|seconds| seconds <= pick(FILLING_SECONDS));
    let filling = is_above(pick(FILLING_PERCENT)) || (soon && is_above(FORECAST_FROM_PERCENT));
    if filling { CapacityLevel::Filling } else { CapacityLevel::Room }
}

/// Of the disk, used. Two digits are enough for anybody, and cheap to compare.
pub fn percent(status: &CapacityStatus) -> f64 {
    (status.used_bytes as f64 * 10_000.0 / status.disk_bytes.max(1) as f64).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(percent: u64, full_in_seconds: Option<u64>) -> CapacityStatus {
        CapacityStatus {
            used_bytes: percent,
            disk_bytes: 100,
            state: CapacityState::Normal,
            since_ms: 0,
            reason: String::new(),
            growth_bytes_per_second: 0,
            full_in_seconds,
            deleted_bytes: 0,
        }
    }

    /// What is told of a disk, after what.
    fn told(status: &CapacityStatus, last: CapacityLevel) -> Option<CapacityLevel> {
        notice(95, &[(0, &used(1, None)), (1, status)], true, last, DateTime::UNIX_EPOCH).map(|notice| {
            assert_eq!((notice.broker_id, notice.used_percent), (1, status.used_bytes as f64));
            notice.level
        })
    }

    #[test]
    fn a_disk_that_fills_up_is_told_of_once_and_called_off_with_room_to_spare() {
        use CapacityLevel::*;
        assert_eq!(told(&used(85, None), Room), None);
        assert_eq!(told(&used(86, None), Room), Some(Filling));
        assert_eq!(told(&used(90, None), Filling), None);
        assert_eq!(told(&used(82, None), Filling), None, "not back and forth");
        assert_eq!(told(&used(80, None), Filling), Some(Room));
        let full = CapacityStatus { state: CapacityState::ProduceLimited, ..used(95, None) };
        assert_eq!(told(&full, Filling), Some(Full));
        assert_eq!(told(&used(91, None), Full), Some(Filling));
    }

    #[test]
    fn a_forecast_of_hours_is_told_of_but_not_of_a_burst_into_an_empty_disk() {
        use CapacityLevel::*;
        assert_eq!(told(&used(50, Some(6 * 3600)), Room), Some(Filling));
        assert_eq!(told(&used(50, Some(7 * 3600)), Room), None);
        assert_eq!(told(&used(50, Some(11 * 3600)), Filling), None);
        assert_eq!(told(&used(50, Some(13 * 3600)), Filling), Some(Room));
        assert_eq!(told(&used(40, Some(60)), Room), None);
    }

    #[test]
    fn with_a_silent_broker_nothing_is_called_off() {
        let room = used(1, None);
        let told = |brokers: &[_], last| notice(95, brokers, false, last, DateTime::UNIX_EPOCH);
        assert_eq!(told(&[(0, &room)], CapacityLevel::Filling), None);
        assert_eq!(told(&[], CapacityLevel::Full), None);
        assert!(told(&[(0, &used(90, None))], CapacityLevel::Room).is_some());
    }

    fn patch(text: serde_json::Value) -> UpdateCapacity {
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn what_a_patch_does_not_name_stays_and_null_takes_back() {
        let current = Rule { policy: CapacityPolicy::ProduceLimited, threshold_percent: 80 };
        assert_eq!(patched(current, &patch(json!({}))), Ok(current));
        let reset = patched(current, &patch(json!({ "policy": null, "threshold_percent": null })));
        assert_eq!(reset, Ok(Rule::default()));
        let next = patched(current, &patch(json!({ "threshold_percent": 98 }))).unwrap();
        assert_eq!(next, Rule { threshold_percent: 98, ..current });
        assert_eq!(changes(current, next).len(), 1);
        assert_eq!(checks(current, next)[1].code, "produce-is-refused");
    }

    #[test]
    fn thresholds_out_of_range_are_refused_with_the_range() {
        for percent in [0, 99] {
            let faults = patched(Rule::default(), &patch(json!({ "threshold_percent": percent }))).unwrap_err();
            assert_eq!((faults[0].pointer.as_str(), faults[0].code.as_str()), ("/threshold_percent", "out-of-range"));
        }
    }

    #[test]
    fn names_of_policies_are_those_of_json() {
        for policy in [CapacityPolicy::AutoDelete, CapacityPolicy::ProduceLimited] {
            assert_eq!(json!(policy), json!(policy_name(policy)));
            assert_eq!(parse_policy(policy_name(policy)), Some(policy));
        }
        assert_eq!(parse_policy("none"), None);
    }
}
