//! What a change of the ways in to an instance means for clients: the fields that change, what whoever makes the change should
//! know, and who loses a connection.

use crate::domain::{client_paths, plan};
use broker_api::{connections::Unkept, spec::AccessPath};
use control_plane_api::{
    access::{Access, Mtls, SaslMechanism},
    instance::{Change, Check},
};
use serde_json::json;
use std::collections::BTreeMap;

/// Most users that a plan tells one by one.
const MAX_TOLD: usize = 20;

/// What changes, in the order of the fields.
pub fn changes(from: &Access, to: &Access) -> Vec<Change> {
    plan::live_changes([
        ("/private_plaintext", json!(from.private_plaintext), json!(to.private_plaintext)),
        ("/private_sasl_ssl", json!(from.private_sasl_ssl), json!(to.private_sasl_ssl)),
        ("/public_plaintext", json!(from.public_plaintext), json!(to.public_plaintext)),
        ("/public_sasl_ssl", json!(from.public_sasl_ssl), json!(to.public_sasl_ssl)),
        ("/cross_network", json!(from.cross_network), json!(to.cross_network)),
        ("/cross_network_addresses", json!(from.cross_network_addresses), json!(to.cross_network_addresses)),
        ("/endpoint_accounts", json!(from.endpoint_accounts), json!(to.endpoint_accounts)),
        ("/allow_ips", json!(from.allow_ips), json!(to.allow_ips)),
        ("/deny_ips", json!(from.deny_ips), json!(to.deny_ips)),
        ("/mechanisms", json!(from.mechanisms), json!(to.mechanisms)),
        ("/oauthbearer", json!(from.oauthbearer), json!(to.oauthbearer)),
        ("/mtls", in_short(&from.mtls), in_short(&to.mtls)),
        ("/authorization", json!(from.authorization), json!(to.authorization)),
        ("/anonymous", json!(from.anonymous), json!(to.anonymous)),
        ("/auto_create_topics", json!(from.auto_create_topics), json!(to.auto_create_topics)),
    ])
}

/// What whoever makes the change should know.
pub fn checks(from: &Access, to: &Access) -> Vec<Check> {
    let mut checks = vec![plan::ok("live", "takes effect within two seconds; no broker restarts")];
    for path in AccessPath::ALL {
        if client_paths::is_on(path, from) && !client_paths::is_on(path, to) {
            let detail = format!("connections by {} ({}) end", client_paths::port(path), path.as_str());
            checks.push(plan::warning("connections-end", detail));
        }
    }
    match (from.is_public(), to.is_public()) {
        (false, true) => {
            checks.push(plan::ok("public-addresses", "every broker gets a public address, while public access is on"));
        }
        (true, false) => {
            let detail =
                "the brokers' public addresses are given back: when it is switched on again they may be others";
            checks.push(plan::warning("public-addresses", detail));
        }
        _ => {}
    }
    if to.public_plaintext && !from.public_plaintext {
        let detail = "9094 is plaintext without a login: whoever reaches it is User:ANONYMOUS";
        checks.push(plan::warning("public-plaintext", detail));
    }
    if to.cross_network && to.endpoint_accounts.is_empty() {
        let detail = "no account may use an endpoint: nobody comes in by 9011 until endpoint_accounts names one";
        checks.push(plan::warning("no-endpoint-accounts", detail));
    }
    if from.cross_network && to.cross_network && from.endpoint_accounts != to.endpoint_accounts {
        let detail = "connections by 9011 end that come from no endpoint of an account on the list any more";
        checks.push(plan::warning("connections-end", detail));
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
    mtls_checks(&from.mtls, to, &mut checks);
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

/// Without the certificates themselves, which nobody reads.
fn in_short(mtls: &Mtls) -> serde_json::Value {
    let authorities = mtls
        .authorities
        .iter()
        .map(|one| json!({ "subject": one.subject, "fingerprint_sha256": one.fingerprint_sha256 }));
    let lists = mtls
        .revocation_lists
        .iter()
        .map(|one| json!({ "issuer": one.issuer, "issued_at": one.issued_at, "revoked": one.revoked }));
    json!({
        "enabled": mtls.enabled,
        "authorities": authorities.collect::<Vec<_>>(),
        "revocation_lists": lists.collect::<Vec<_>>(),
        "principal_rules": mtls.principal_rules,
    })
}

fn mtls_checks(from: &Mtls, to: &Access, checks: &mut Vec<Check>) {
    if to.mtls.enabled && !from.enabled {
        let ports: Vec<String> = AccessPath::ALL
            .into_iter()
            .filter(|path| path.is_tls() && client_paths::is_on(*path, to))
            .map(|path| client_paths::port(path).to_string())
            .collect();
        checks.push(match ports.as_slice() {
            [] => plan::warning("mtls", "no port with TLS is open: nobody can show a certificate until one is"),
            ports => plan::ok("mtls", format!("clients may show a certificate on {}; SASL goes on", ports.join(", "))),
        });
    }
}

/// Mechanisms that the change switches off.
pub fn switched_off(from: &Access, to: &Access) -> Vec<SaslMechanism> {
    from.mechanisms.iter().copied().filter(|mechanism| !to.mechanisms.contains(mechanism)).collect()
}

/// How a plan says who loses a connection.
struct Losses {
    /// Code of a user who does.
    loses: &'static str,
    others: &'static str,
    /// Code and text when nobody does.
    keep: (&'static str, &'static str),
}

/// Who loses a connection by other certificates being trusted: by what the brokers say.
pub fn mtls_losses(unkept: &Unkept, silent_brokers: &[i32]) -> Vec<Check> {
    let said = Losses {
        loses: "certificate-loses",
        others: "other clients with certificates",
        keep: ("certificates-keep", "no open connection came by a certificate that is not trusted after it"),
    };
    losses(&said, unkept, silent_brokers)
}

/// Who loses a connection by mechanisms that are switched off: open connections by user and mechanism, as the brokers say.
pub fn mechanism_losses(by_login: BTreeMap<String, u64>, silent_brokers: &[i32]) -> Vec<Check> {
    let said = Losses {
        loses: "mechanism-loses",
        others: "other users",
        keep: ("mechanisms-keep", "no open connection logged in by a mechanism that is switched off"),
    };
    losses(&said, &Unkept { by_user: by_login, others: 0 }, silent_brokers)
}

fn losses(said: &Losses, unkept: &Unkept, silent_brokers: &[i32]) -> Vec<Check> {
    let connections =
        |count: u64| if count == 1 { "1 connection ends".to_owned() } else { format!("{count} connections end") };
    let told = unkept.by_user.iter().take(MAX_TOLD);
    let mut checks: Vec<Check> =
        told.map(|(user, count)| plan::warning(said.loses, format!("{user}: {}", connections(*count)))).collect();
    let others = unkept.others + unkept.by_user.values().skip(MAX_TOLD).sum::<u64>();
    if others > 0 {
        checks.push(plan::warning(said.loses, format!("{}: {}", said.others, connections(others))));
    }
    if checks.is_empty() && silent_brokers.is_empty() {
        checks.push(plan::ok(said.keep.0, said.keep.1));
    }
    checks
}

/// A broker that did not say who is connected: whoever counts connections misses its own.
pub fn silent(broker: i32) -> Check {
    plan::warning("broker-silent", format!("broker {broker} does not answer: who is connected to it is not counted"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_names_who_loses_a_connection_and_sums_up_the_rest() {
        let by_user = (0..25).map(|user| (format!("CN={user:02}"), 1 + user % 2)).collect();
        let told = mtls_losses(&Unkept { by_user, others: 3 }, &[2]);
        let told: Vec<_> = told.iter().map(|check| (check.code.as_str(), check.detail.as_str())).collect();
        assert_eq!(told.len(), 21);
        assert_eq!(told[0], ("certificate-loses", "CN=00: 1 connection ends"));
        assert_eq!(told[1], ("certificate-loses", "CN=01: 2 connections end"));
        assert_eq!(told[20], ("certificate-loses", "other clients with certificates: 10 connections end"));
        assert!(mtls_losses(&Unkept::default(), &[2]).is_empty(), "who is not heard may lose some");
        assert_eq!(mtls_losses(&Unkept::default(), &[])[0].code, "certificates-keep");
    }

    #[test]
    fn mechanisms_that_a_change_leaves_out_are_switched_off() {
        let next = Access { mechanisms: vec![SaslMechanism::ScramSha512, SaslMechanism::Plain], ..Access::default() };
        assert_eq!(switched_off(&Access::default(), &next), [SaslMechanism::ScramSha256]);
        assert_eq!(switched_off(&next, &Access::default()), []);
    }

    #[test]
    fn a_plan_names_who_is_logged_in_by_a_mechanism_that_goes() {
        let by_login = BTreeMap::from([("alice by PLAIN".to_owned(), 2), ("bob by SCRAM-SHA-256".to_owned(), 1)]);
        let told = mechanism_losses(by_login, &[2]);
        let told: Vec<_> = told.iter().map(|check| (check.code.as_str(), check.detail.as_str())).collect();
        assert_eq!(told[0], ("mechanism-loses", "alice by PLAIN: 2 connections end"));
        assert_eq!(told[1], ("mechanism-loses", "bob by SCRAM-SHA-256: 1 connection ends"));
        assert_eq!(told.len(), 2);
        assert_eq!(mechanism_losses(BTreeMap::new(), &[])[0].code, "mechanisms-keep");
    }
}
