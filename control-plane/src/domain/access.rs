//! Ways in to an instance and who may use them: what a patch makes of them. What that changes for clients says
//! [`access_plan`](super::access_plan); what certificates are worth is found elsewhere.

use crate::domain::{
    client_paths::{self, Place},
    token_trust,
};
use broker_api::spec::AccessPath;
use control_plane_api::{
    access::{Access, BrokerAddress, EndpointAccount, Mtls, SaslMechanism, UpdateAccess},
    id::{OrganisationId, ProjectId},
    problem::FieldError,
};
use ipnet::IpNet;
use serde_json::json;
use std::{collections::BTreeSet, net::IpAddr};

/// Most entries of a list of addresses.
pub const MAX_IPS: usize = 100;
/// Most accounts whose endpoints may be used.
pub const MAX_ACCOUNTS: usize = 100;

/// The access as the patch leaves it, networks in their shortest form; or all faults. `mtls`: what the patch makes of that part.
pub fn patched(
    current: &Access,
    patch: &UpdateAccess,
    mtls: Result<Mtls, Vec<FieldError>>,
) -> Result<Access, Vec<FieldError>> {
    fn field<T: Clone>(patch: &Option<Option<T>>, current: &T, default: T) -> T {
        patch.as_ref().map_or_else(|| current.clone(), |value| value.clone().unwrap_or(default))
    }
    let default = Access::default();
    let mut faults = Vec::new();
    let mtls = mtls.map_err(|of_mtls| faults.extend(of_mtls)).ok();
    // What could not be read may well be a way to log in: its own faults say enough.
    let by_certificate = mtls.as_ref().is_none_or(|mtls| mtls.enabled);
    let next = Access {
        private_plaintext: field(&patch.private_plaintext, &current.private_plaintext, default.private_plaintext),
        private_sasl_ssl: field(&patch.private_sasl_ssl, &current.private_sasl_ssl, default.private_sasl_ssl),
        public_plaintext: field(&patch.public_plaintext, &current.public_plaintext, default.public_plaintext),
        public_sasl_ssl: field(&patch.public_sasl_ssl, &current.public_sasl_ssl, default.public_sasl_ssl),
        cross_network: field(&patch.cross_network, &current.cross_network, default.cross_network),
        cross_network_addresses: field(
            &patch.cross_network_addresses,
            &current.cross_network_addresses,
            default.cross_network_addresses,
        ),
        endpoint_accounts: accounts(
            &field(&patch.endpoint_accounts, &current.endpoint_accounts, default.endpoint_accounts),
            &mut faults,
        ),
        allow_ips: networks("/allow_ips", &field(&patch.allow_ips, &current.allow_ips, default.allow_ips), &mut faults),
        deny_ips: networks("/deny_ips", &field(&patch.deny_ips, &current.deny_ips, default.deny_ips), &mut faults),
        mechanisms: mechanisms(field(&patch.mechanisms, &current.mechanisms, default.mechanisms), &mut faults),
        oauthbearer: patch.oauthbearer.clone().unwrap_or_else(|| current.oauthbearer.clone()),
        mtls: mtls.unwrap_or_default(),
        authorization: field(&patch.authorization, &current.authorization, default.authorization),
        anonymous: field(&patch.anonymous, &current.anonymous, default.anonymous),
        auto_create_topics: field(&patch.auto_create_topics, &current.auto_create_topics, default.auto_create_topics),
    };
    if let Some(trust) = next.oauthbearer.as_ref().filter(|_| patch.oauthbearer.is_some()) {
        faults.extend(token_trust::faults("/oauthbearer", trust));
    }
    if AccessPath::ALL.iter().all(|path| !client_paths::is_on(*path, &next)) {
        let pointer = if current.private_sasl_ssl { "/private_sasl_ssl" } else { "/private_plaintext" };
        let detail = "one way in must stay on: nobody could connect";
        faults.push(FieldError::new(pointer, "last-way-in", detail));
    }
    if next.mechanisms.is_empty() && next.oauthbearer.is_none() && !by_certificate {
        let detail = "one way to log in must stay on: name a mechanism, or trust tokens or certificates";
        faults.push(FieldError::new("/mechanisms", "last-login", detail));
    }
    if faults.is_empty() { Ok(next) } else { Err(faults) }
}

/// Faults of what is wanted for brokers that stand where they do.
pub fn misplaced(next: &Access, places: &[Place]) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if places.iter().any(|place| place.private.is_ipv6()) {
        // Public addresses are IPv4 (product.md §2).
        for (on, pointer) in [(next.public_plaintext, "/public_plaintext"), (next.public_sasl_ssl, "/public_sasl_ssl")]
        {
            if on {
                let detail = "the instance stands in an IPv6 network, which rules out public access";
                faults.push(FieldError::new(pointer, "ipv6-network", detail));
            }
        }
    }
    told_addresses(&next.cross_network_addresses, places, &mut faults);
    faults
}

/// Whether the change opens a way that needs addresses or names which the instance may not have yet.
pub fn opens(from: &Access, to: &Access) -> bool {
    let beyond = [AccessPath::PublicPlaintext, AccessPath::PublicSaslSsl, AccessPath::CrossNetwork];
    let opened = beyond.into_iter().any(|path| client_paths::is_on(path, to) && !client_paths::is_on(path, from));
    opened || (to.cross_network && to.cross_network_addresses != from.cross_network_addresses)
}

/// Strongest first; each is named once, which is a bound as well.
fn mechanisms(mut given: Vec<SaslMechanism>, faults: &mut Vec<FieldError>) -> Vec<SaslMechanism> {
    let known = SaslMechanism::ALL.map(SaslMechanism::as_str);
    let names = known.join(", ");
    if given.len() > known.len() {
        let detail = format!("{} mechanisms are given; accepted: each once of {names}", given.len());
        let fault = FieldError::new("/mechanisms", "too-many-mechanisms", detail);
        faults.push(fault.with("limit", known.len()).with("accepted", known.to_vec()));
    } else {
        for (index, mechanism) in given.iter().enumerate().filter(|(index, one)| given[..*index].contains(one)) {
            let detail = format!("{} is named before; accepted: each once of {names}", mechanism.as_str());
            let fault = FieldError::new(format!("/mechanisms/{index}"), "mechanism-twice", detail);
            faults.push(fault.with("accepted", known.to_vec()));
        }
    }
    given.sort_unstable();
    given.dedup();
    given
}

/// Every broker is told once, each at a place of its own, or none is.
fn told_addresses(told: &[BrokerAddress], places: &[Place], faults: &mut Vec<FieldError>) {
    if told.is_empty() {
        return;
    }
    let (mut brokers, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    for (index, address) in told.iter().enumerate() {
        let place = |field: &str| format!("/cross_network_addresses/{index}{field}");
        if !is_host(&address.host) {
            let detail = "a host name or an IP address is expected, as kafka-0.acme.example or 10.1.2.3";
            faults.push(FieldError::new(place("/host"), "host-shape", detail));
        }
        if address.port == 0 {
            let detail = "0 is given; 1 to 65535 is accepted";
            faults.push(FieldError::new(place("/port"), "out-of-range", detail).with("min", 1).with("max", u16::MAX));
        }
        if !brokers.insert(address.broker_id) {
            let detail = format!("broker {} is named before; name each once", address.broker_id);
            faults.push(FieldError::new(place("/broker_id"), "broker-twice", detail));
        }
        if !addresses.insert((address.host.to_ascii_lowercase(), address.port)) {
            let detail = "the address is another broker's; each broker needs one of its own";
            faults.push(FieldError::new(place(""), "address-twice", detail));
        }
    }
    let wanted: BTreeSet<i32> = places.iter().map(|place| place.node_id).collect();
    if brokers != wanted {
        let detail =
            format!("addresses of the brokers {brokers:?} are given; the instance has {wanted:?}, all are needed");
        faults
            .push(FieldError::new("/cross_network_addresses", "every-broker", detail).with("accepted", json!(wanted)));
    }
}

/// A host name as of RFC 1123 §2.1, or an IP address.
fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // What looks like an address and is none is no name either.
    let numeric = |text: &str| text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    text.parse::<IpAddr>().is_ok() || (text.len() <= 253 && text.split('.').all(label) && !numeric(text))
}

/// Each account once, networks in their shortest form.
fn accounts(given: &[EndpointAccount], faults: &mut Vec<FieldError>) -> Vec<EndpointAccount> {
    if given.len() > MAX_ACCOUNTS {
        let detail = format!("{} accounts are given; {MAX_ACCOUNTS} at most are accepted", given.len());
        faults.push(FieldError::new("/endpoint_accounts", "too-many-accounts", detail).with("limit", MAX_ACCOUNTS));
        return Vec::new();
    }
    let mut seen = BTreeSet::new();
    let mut found = Vec::with_capacity(given.len());
    for (index, EndpointAccount { account, ips }) in given.iter().enumerate() {
        let pointer = format!("/endpoint_accounts/{index}");
        if account.parse::<OrganisationId>().is_err() && account.parse::<ProjectId>().is_err() {
            let detail = "the id of an organisation or a project is expected: org_… or prj_…";
            faults.push(FieldError::new(format!("{pointer}/account"), "account-shape", detail));
        } else if !seen.insert(account) {
            let detail = "the account is named before; name each once with all its addresses";
            faults.push(FieldError::new(format!("{pointer}/account"), "account-twice", detail));
        }
        if ips.is_empty() {
            let detail = "at least one address or network is needed that its endpoints come from";
            faults.push(FieldError::new(format!("{pointer}/ips"), "required", detail));
        }
        let ips = networks(&format!("{pointer}/ips"), ips, faults);
        found.push(EndpointAccount { account: account.clone(), ips });
    }
    found
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

    fn patched_by(current: &Access, given: &UpdateAccess) -> Result<Access, Vec<FieldError>> {
        patched(current, given, Ok(current.mtls.clone()))
    }

    #[test]
    fn what_a_patch_does_not_name_stays_and_null_takes_back() {
        let current = Access { private_plaintext: false, deny_ips: vec!["10.0.0.1/32".into()], ..Access::default() };
        let next = patched_by(&current, &patch(json!({ "deny_ips": null }))).unwrap();
        assert_eq!(next, Access { private_plaintext: false, ..Access::default() });
        let next = patched_by(&current, &patch(json!({ "private_plaintext": null }))).unwrap();
        assert!(next.private_plaintext && next.deny_ips == current.deny_ips);
    }

    #[test]
    fn networks_are_kept_in_their_shortest_form_once() {
        let given = patch(json!({ "allow_ips": ["10.1.2.3/16", "10.1.0.0/16", "192.168.0.7", "fd00::1"] }));
        let next = patched_by(&Access::default(), &given).unwrap();
        assert_eq!(next.allow_ips, ["10.1.0.0/16", "192.168.0.7/32", "fd00::1/128"]);
    }

    #[test]
    fn all_faults_come_at_once_each_with_its_place() {
        let given = patch(json!({
            "private_plaintext": false, "private_sasl_ssl": false,
            "allow_ips": ["10.1.0.0/16", "10.1.0.0/40", "orders"],
            "deny_ips": vec!["10.0.0.1"; MAX_IPS + 1],
        }));
        let faults = patched_by(&Access::default(), &given).unwrap_err();
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

    #[test]
    fn a_way_in_beside_the_private_ones_is_enough_and_none_is_not() {
        let closed = json!({ "private_plaintext": false, "private_sasl_ssl": false, "public_sasl_ssl": true });
        let next = patched_by(&Access::default(), &patch(closed)).unwrap();
        let faults = patched_by(&next, &patch(json!({ "public_sasl_ssl": null }))).unwrap_err();
        assert_eq!(faults[0].code, "last-way-in");
    }

    #[test]
    fn only_ways_that_need_something_first_are_opened_by_a_job_of_their_own() {
        let private = Access { private_plaintext: false, ..Access::default() };
        assert!(!opens(&private, &Access::default()));
        let public = Access { public_plaintext: true, ..Access::default() };
        assert!(opens(&private, &public) && !opens(&public, &private));
        let told = |host: &str| Access {
            cross_network: true,
            cross_network_addresses: vec![BrokerAddress { broker_id: 0, host: host.into(), port: 9011 }],
            ..Access::default()
        };
        assert!(opens(&told("a.example"), &told("b.example")) && !opens(&told("a.example"), &told("a.example")));
        assert!(!opens(&Access::default(), &Access { cross_network: false, ..told("a.example") }));
    }

    #[test]
    fn accounts_are_ids_with_the_addresses_that_their_endpoints_come_from() {
        let account = ProjectId::generate().to_string();
        let given = json!({ "endpoint_accounts": [
            { "account": account, "ips": ["10.1.2.3/16"] },
            { "account": account, "ips": ["10.2.0.1"] },
            { "account": "acme", "ips": ["orders"] },
            { "account": OrganisationId::generate().to_string(), "ips": [] },
        ] });
        let faults = patched_by(&Access::default(), &patch(given)).unwrap_err();
        let places: Vec<_> = faults.iter().map(|fault| (fault.pointer.as_str(), fault.code.as_str())).collect();
        assert_eq!(
            places,
            [
                ("/endpoint_accounts/1/account", "account-twice"),
                ("/endpoint_accounts/2/account", "account-shape"),
                ("/endpoint_accounts/2/ips/0", "network-shape"),
                ("/endpoint_accounts/3/ips", "required"),
            ]
        );
        let given = patch(json!({ "endpoint_accounts": [{ "account": account, "ips": ["10.1.2.3/16"] }] }));
        assert_eq!(patched_by(&Access::default(), &given).unwrap().endpoint_accounts[0].ips, ["10.1.0.0/16"]);
    }

    #[test]
    fn every_broker_is_told_once_at_a_place_of_its_own_or_none_is() {
        let place = |node_id| Place { node_id, private: "10.0.0.1".parse().unwrap(), public: None };
        let places: Vec<_> = (0..3).map(place).collect();
        let told = |broker_id, host: &str, port| BrokerAddress { broker_id, host: host.into(), port };
        let faults = |told: Vec<BrokerAddress>| {
            let next = Access { cross_network_addresses: told, ..Access::default() };
            let faults = misplaced(&next, &places);
            faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.code)).collect::<Vec<_>>()
        };
        assert_eq!(faults(vec![]), [""; 0]);
        let one_host = vec![told(2, "lb.acme.example", 1), told(0, "lb.acme.example", 2), told(1, "fd00::1", 9011)];
        assert_eq!(faults(one_host), [""; 0], "one host with a port for each will do");
        let wrong = vec![told(0, "a_b", 0), told(0, "10.1.2", 1), told(1, "x", 9011), told(7, "X", 9011)];
        assert_eq!(
            faults(wrong),
            [
                "/cross_network_addresses/0/host host-shape",
                "/cross_network_addresses/0/port out-of-range",
                "/cross_network_addresses/1/host host-shape",
                "/cross_network_addresses/1/broker_id broker-twice",
                "/cross_network_addresses/3 address-twice",
                "/cross_network_addresses every-broker",
            ]
        );
    }

    #[test]
    fn an_ipv6_network_rules_out_public_access() {
        let places = [Place { node_id: 0, private: "fd00::1".parse().unwrap(), public: None }];
        let next = Access { public_sasl_ssl: true, ..Access::default() };
        let faults = misplaced(&next, &places);
        assert_eq!((faults[0].pointer.as_str(), faults[0].code.as_str()), ("/public_sasl_ssl", "ipv6-network"));
        assert!(misplaced(&Access::default(), &places).is_empty());
    }

    #[test]
    fn mechanisms_are_kept_strongest_first_and_the_last_way_to_log_in_stays() {
        let given = json!({ "mechanisms": ["PLAIN", "SCRAM-SHA-512"] });
        let next = patched_by(&Access::default(), &patch(given)).unwrap();
        assert_eq!(next.mechanisms, [SaslMechanism::ScramSha512, SaslMechanism::Plain]);
        let back = patched_by(&next, &patch(json!({ "mechanisms": null }))).unwrap();
        assert_eq!(back, Access::default());

        let none = patch(json!({ "mechanisms": [] }));
        let faults = patched_by(&Access::default(), &none).unwrap_err();
        assert_eq!((faults[0].pointer.as_str(), faults[0].code.as_str()), ("/mechanisms", "last-login"));
        let by_certificate = Mtls { enabled: true, ..Mtls::default() };
        let next = patched(&Access::default(), &none, Ok(by_certificate)).unwrap();
        assert_eq!(next.mechanisms, []);
        let faults = patched(&next, &patch(json!({ "mtls": null })), Ok(Mtls::default())).unwrap_err();
        assert_eq!(faults[0].code, "last-login", "certificates were the last way");
    }

    #[test]
    fn a_mechanism_is_named_once() {
        let faults = |given: &[&str]| {
            let faults = patched_by(&Access::default(), &patch(json!({ "mechanisms": given }))).unwrap_err();
            let [fault] = faults.try_into().unwrap();
            format!("{} {}: {}", fault.pointer, fault.code, fault.detail)
        };
        let each = "accepted: each once of SCRAM-SHA-512, SCRAM-SHA-256, PLAIN";
        assert_eq!(
            faults(&["PLAIN", "SCRAM-SHA-512", "PLAIN"]),
            format!("/mechanisms/2 mechanism-twice: PLAIN is named before; {each}")
        );
        assert_eq!(
            faults(&["PLAIN"; 100]),
            format!("/mechanisms too-many-mechanisms: 100 mechanisms are given; {each}")
        );
    }

    #[test]
    fn faults_of_certificates_come_with_all_others() {
        let fault = FieldError::new("/mtls/ca_pem", "not-pem", "");
        let faults = patched(&Access::default(), &patch(json!({ "allow_ips": ["orders"] })), Err(vec![fault]));
        assert_eq!(
            faults.unwrap_err().iter().map(|fault| fault.code.as_str()).collect::<Vec<_>>(),
            ["not-pem", "network-shape"]
        );
    }

    #[test]
    fn certificates_that_cannot_be_read_are_not_said_to_be_the_last_login() {
        let fault = FieldError::new("/mtls/ca_pem", "not-pem", "");
        let alone = patch(json!({ "mechanisms": [], "mtls": { "enabled": true, "ca_pem": "?" } }));
        let faults = patched(&Access::default(), &alone, Err(vec![fault])).unwrap_err();
        assert_eq!(faults.iter().map(|fault| fault.code.as_str()).collect::<Vec<_>>(), ["not-pem"]);
    }
}
