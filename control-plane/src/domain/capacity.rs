//! What happens when the disk that was bought is full: what a patch makes of it, and what it changes for clients.

use crate::domain::plan::{self, Effect};
use control_plane_api::{
    capacity::UpdateCapacity,
    instance::{CapacityPolicy, Change, Check},
    problem::FieldError,
};
use serde_json::json;

/// Percent of the disk that was bought (product.md §4).
pub const DEFAULT_THRESHOLD_PERCENT: u8 = 95;
/// Above it, records that are on their way would fill the disk.
pub const MAX_THRESHOLD_PERCENT: u8 = 98;

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
    [
        ("/policy", json!(from.policy), json!(to.policy)),
        ("/threshold_percent", json!(from.threshold_percent), json!(to.threshold_percent)),
    ]
    .into_iter()
    .filter(|(_, from, to)| from != to)
    .map(|(path, from, to)| plan::change(path, from, to, Effect::Live))
    .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

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
