//! Ways in to an instance and who may use them: what a patch makes of them, and what it changes for clients.

use crate::domain::{
    plan::{self, Effect},
    token_trust,
};
use control_plane_api::{
    access::{Access, UpdateAccess},
    instance::{Change, Check},
    problem::FieldError,
};
use ipnet::IpNet;
use serde_json::json;
use std::net::IpAddr;

/// Most entries of a list of addresses.
pub const MAX_IPS: usize = 100;

/// The access as the patch leaves it, networks in their shortest form; or all faults.
pub fn patched(current: &Access, patch: &UpdateAccess) -> Result<Access, Vec<FieldError>> {
    fn field<T: Clone>(patch: &Option<Option<T>>, current: &T, default: T) -> T {
        patch.as_ref().map_or_else(|| current.clone(), |value| value.clone().unwrap_or(default))
    }
    let default = Access::default();
    let mut faults = Vec::new();
    let next = Access {
        private_plaintext: field(&patch.private_plaintext, &current.private_plaintext, default.private_plaintext),
        private_sasl_ssl: field(&patch.private_sasl_ssl, &current.private_sasl_ssl, default.private_sasl_ssl),
        allow_ips: networks("/allow_ips", &field(&patch.allow_ips, &current.allow_ips, default.allow_ips), &mut faults),
        deny_ips: networks("/deny_ips", &field(&patch.deny_ips, &current.deny_ips, default.deny_ips), &mut faults),
        oauthbearer: patch.oauthbearer.clone().unwrap_or_else(|| current.oauthbearer.clone()),
        authorization: field(&patch.authorization, &current.authorization, default.authorization),
        anonymous: field(&patch.anonymous, &current.anonymous, default.anonymous),
        auto_create_topics: field(&patch.auto_create_topics, &current.auto_create_topics, default.auto_create_topics),
    };
    if let Some(trust) = next.oauthbearer.as_ref().filter(|_| patch.oauthbearer.is_some()) {
        faults.extend(token_trust::faults("/oauthbearer", trust));
    }
    if !next.private_plaintext && !next.private_sasl_ssl {
        let pointer = if current.private_sasl_ssl { "/private_sasl_ssl" } else { "/private_plaintext" };
        let detail = "one of private_plaintext and private_sasl_ssl must stay on: nobody could connect";
        faults.push(FieldError::new(pointer, "last-way-in", detail));
    }
    if faults.is_empty() { Ok(next) } else { Err(faults) }
}

/// What changes, in the order of the fields.
pub fn changes(from: &Access, to: &Access) -> Vec<Change> {
    [
        ("/private_plaintext", json!(from.private_plaintext), json!(to.private_plaintext)),
        ("/private_sasl_ssl", json!(from.private_sasl_ssl), json!(to.private_sasl_ssl)),
        ("/allow_ips", json!(from.allow_ips), json!(to.allow_ips)),
        ("/deny_ips", json!(from.deny_ips), json!(to.deny_ips)),
        ("/oauthbearer", json!(from.oauthbearer), json!(to.oauthbearer)),
        ("/authorization", json!(from.authorization), json!(to.authorization)),
        ("/anonymous", json!(from.anonymous), json!(to.anonymous)),
        ("/auto_create_topics", json!(from.auto_create_topics), json!(to.auto_create_topics)),
    ]
    .into_iter()
    .filter(|(_, from, to)| from != to)
    .map(|(path, from, to)| plan::change(path, from, to, Effect::Live))
    .collect()
}

/// What whoever makes the change should know.
pub fn checks(from: &Access, to: &Access) -> Vec<Check> {
    let mut checks = vec![plan::ok("live", "takes effect within two seconds; no broker restarts")];
    for (was, is, way) in [
        (from.private_plaintext, to.private_plaintext, "9092 (plaintext)"),
        (from.private_sasl_ssl, to.private_sasl_ssl, "9093 (SASL_SSL)"),
    ] {
        if was && !is {
            checks.push(plan::warning("connections-end", format!("connections by {way} end")));
        }
    }
    if from.allow_ips != to.allow_ips || from.deny_ips != to.deny_ips {
        checks.push(plan::warning("connections-end", "connections of addresses that may not connect any more end"));
    }
    if from.oauthbearer != to.oauthbearer {
        let text = match &to.oauthbearer {
            Some(_) => "new logins by token are checked by the new trust; who is logged in stays until the token ends",
            None => "no new login by token is accepted; who is logged in stays until the token ends",
        };
        checks.push(plan::warning("tokens", text));
    }
    if !from.is_open_to_users() && to.is_open_to_users() {
        checks.push(plan::warning(
            "users-gain",
            "every user may do everything with topics and groups that ACLs do not deny",
        ));
    }
    if !from.is_open_to_anonymous() && to.is_open_to_anonymous() {
        let detail = "clients without a login may do everything with topics and groups that ACLs do not deny";
        checks.push(plan::warning("anonymous-gain", detail));
    }
    checks
}

/// `10.1.2.3`, or `10.1.0.0/16`.
pub fn parse_network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from)).map(|network| network.trunc())
}

fn networks(pointer: &str, texts: &[String], faults: &mut Vec<FieldError>) -> Vec<String> {
    if texts.len() > MAX_IPS {
        let detail = format!("{} entries are given; {MAX_IPS} at most are accepted", texts.len());
        faults.push(FieldError::new(pointer, "too-many-networks", detail).with("limit", MAX_IPS));
        return Vec::new();
    }
    let mut found: Vec<IpNet> = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match parse_network(text) {
            Some(network) => found.push(network),
            None => faults.push(FieldError::new(
                format!("{pointer}/{index}"),
                "network-shape",
                "an address or a network is expected, as 10.1.2.3 or 10.1.0.0/16",
            )),
        }
    }
    found.sort_unstable();
    found.dedup();
    found.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(text: serde_json::Value) -> UpdateAccess {
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn what_a_patch_does_not_name_stays_and_null_takes_back() {
        let current = Access { private_plaintext: false, deny_ips: vec!["10.0.0.1/32".into()], ..Access::default() };
        let next = patched(&current, &patch(json!({ "deny_ips": null }))).unwrap();
        assert_eq!(next, Access { private_plaintext: false, ..Access::default() });
        let next = patched(&current, &patch(json!({ "private_plaintext": null }))).unwrap();
        assert!(next.private_plaintext && next.deny_ips == current.deny_ips);
    }

    #[test]
    fn networks_are_kept_in_their_shortest_form_once() {
        let given = patch(json!({ "allow_ips": ["10.1.2.3/16", "10.1.0.0/16", "192.168.0.7", "fd00::1"] }));
        let next = patched(&Access::default(), &given).unwrap();
        assert_eq!(next.allow_ips, ["10.1.0.0/16", "192.168.0.7/32", "fd00::1/128"]);
    }

    #[test]
    fn all_faults_come_at_once_each_with_its_place() {
        let given = patch(json!({
            "private_plaintext": false, "private_sasl_ssl": false,
            "allow_ips": ["10.1.0.0/16", "10.1.0.0/40", "orders"],
            "deny_ips": vec!["10.0.0.1"; MAX_IPS + 1],
        }));
        let faults = patched(&Access::default(), &given).unwrap_err();
        let places: Vec<_> = faults.iter().map(|fault| (fault.pointer.as_str(), fault.code.as_str())).collect();
        assert_eq!(
            places,
            [
                ("/allow_ips/1", "network-shape"),
                ("/allow_ips/2", "network-shape"),
                ("/deny_ips", "too-many-networks"),
                ("/private_sasl_ssl", "last-way-in"),
            ]
        );
    }
}
