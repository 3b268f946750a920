//! How many clients may be connected to an instance: what was chosen, what is in force, and what a change means for clients.

use crate::domain::plan;
use broker_api::spec::DEFAULT_CONNECTIONS_PER_IP;
use control_plane_api::{
    connection_limits::UpdateConnectionLimits,
    instance::{Change, Check},
    problem::FieldError,
};
use serde_json::json;

/// The most that an operator may give, and that one broker takes: five times the largest spec (product.md §1).
pub const MOST_ALLOWED: u32 = 100_000;

/// What was chosen for an instance; none: what was sold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chosen {
    pub total: Option<u32>,
    pub per_ip: Option<u32>,
    /// By an operator.
    pub allowed: Option<u32>,
}

/// What brokers hold clients to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Over all brokers.
    pub total: u32,
    /// Of one address to one broker.
    pub per_ip: u32,
}

impl Chosen {
    /// The most that the total may be set to.
    pub fn allowed(&self, sold: u32) -> u32 {
        self.allowed.unwrap_or(sold)
    }

    /// What was chosen, as far as it is allowed. `sold` is the spec's figure, here and below.
    pub fn in_force(&self, sold: u32) -> Limits {
        let allowed = self.allowed(sold);
        Limits {
            total: self.total.unwrap_or(allowed).min(allowed),
            per_ip: self.per_ip.unwrap_or(DEFAULT_CONNECTIONS_PER_IP),
        }
    }
}

/// What is chosen after the patch; or all faults.
pub fn patched(current: Chosen, sold: u32, patch: &UpdateConnectionLimits) -> Result<Chosen, Vec<FieldError>> {
    let most = current.allowed(sold);
    let mut faults = Vec::new();
    for (pointer, given) in [("/total", patch.total), ("/per_ip", patch.per_ip)] {
        faults.extend(given.flatten().and_then(|given| out_of_range(pointer, given, most)));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let (total, per_ip) = (patch.total.unwrap_or(current.total), patch.per_ip.unwrap_or(current.per_ip));
    Ok(Chosen { total, per_ip, ..current })
}

/// What is chosen after an operator allowed so many.
pub fn allowed(current: Chosen, connections: Option<u32>) -> Result<Chosen, Vec<FieldError>> {
    match connections.and_then(|given| out_of_range("/connections", given, MOST_ALLOWED)) {
        Some(fault) => Err(vec![fault]),
        None => Ok(Chosen { allowed: connections, ..current }),
    }
}

fn out_of_range(pointer: &'static str, given: u32, most: u32) -> Option<FieldError> {
    let fault = || {
        let detail = format!("{given} is given; 1 to {most} are accepted");
        FieldError::new(pointer, "out-of-range", detail).with("min", 1).with("max", most)
    };
    (!(1..=most).contains(&given)).then(fault)
}

/// What changes, in the order of the fields.
pub fn changes(from: Limits, to: Limits) -> Vec<Change> {
    plan::live_changes([
        ("/total", json!(from.total), json!(to.total)),
        ("/per_ip", json!(from.per_ip), json!(to.per_ip)),
    ])
}

/// What whoever makes the change should know, where `open` are connected now.
pub fn checks(from: Limits, to: Limits, open: u64, silent_brokers: &[i32]) -> Vec<Check> {
    let mut checks = vec![plan::ok("live", "takes effect within two seconds; no broker restarts, no connection ends")];
    if open > to.total.into() {
        let detail = format!(
            "{open} connections are open and {} may be: nobody is cut, new ones are refused until fewer are open",
            to.total
        );
        checks.push(plan::warning("above-the-total", detail));
    }
    if to.per_ip < from.per_ip {
        let detail = format!("an address that has more than {} at a broker keeps them and gets no more", to.per_ip);
        checks.push(plan::warning("fewer-for-an-address", detail));
    }
    if !silent_brokers.is_empty() && to.total < from.total {
        let detail = format!("the brokers {silent_brokers:?} did not answer: their connections are not counted here");
        checks.push(plan::warning("silent-brokers", detail));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOLD: u32 = 3_000;

    fn patch(text: serde_json::Value) -> UpdateConnectionLimits {
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn what_a_patch_does_not_name_stays_and_null_takes_back() {
        let current = Chosen { total: Some(60), per_ip: Some(20), allowed: None };
        assert_eq!(patched(current, SOLD, &patch(json!({}))), Ok(current));
        let next = patched(current, SOLD, &patch(json!({ "per_ip": null }))).unwrap();
        assert_eq!(next.in_force(SOLD), Limits { total: 60, per_ip: 200 });
        let next = patched(next, SOLD, &patch(json!({ "total": null }))).unwrap();
        assert_eq!(next.in_force(SOLD), Limits { total: SOLD, per_ip: 200 });
    }

    #[test]
    fn a_tenant_has_what_was_sold_or_what_an_operator_gave_and_no_more() {
        let above = patch(json!({ "total": 3_001, "per_ip": 0 }));
        let faults = patched(Chosen::default(), SOLD, &above).unwrap_err();
        let told: Vec<_> = faults.iter().map(|fault| (fault.pointer.as_str(), fault.detail.as_str())).collect();
        let most = "is given; 1 to 3000 are accepted";
        assert_eq!(told, [("/total", format!("3001 {most}").as_str()), ("/per_ip", format!("0 {most}").as_str())]);

        let given = allowed(Chosen::default(), Some(5_000)).unwrap();
        assert_eq!(given.in_force(SOLD).total, 5_000, "in force at once where nothing was chosen");
        let chosen = patched(given, SOLD, &patch(json!({ "total": 4_000 }))).unwrap();
        assert_eq!(chosen.in_force(SOLD).total, 4_000);
        let back = allowed(chosen, None).unwrap();
        assert_eq!(back.in_force(SOLD).total, SOLD, "what was chosen is not allowed any more");
        assert!(allowed(chosen, Some(MOST_ALLOWED + 1)).is_err() && allowed(chosen, Some(0)).is_err());
    }

    #[test]
    fn a_plan_says_what_becomes_of_those_who_are_connected() {
        let (from, to) = (Limits { total: SOLD, per_ip: 200 }, Limits { total: 10, per_ip: 100 });
        assert_eq!(changes(from, to).len(), 2);
        let told: Vec<_> = checks(from, to, 12, &[2]).into_iter().map(|check| check.code).collect();
        assert_eq!(told, ["live", "above-the-total", "fewer-for-an-address", "silent-brokers"]);
        assert_eq!(checks(to, from, 12, &[2]).len(), 1, "nothing to warn of");
    }
}
