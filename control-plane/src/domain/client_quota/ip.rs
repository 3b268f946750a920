//! Rules of addresses: how fast one may open connections (KIP-612). Kafka sees the gateways' addresses only, so the gateways
//! keep them, told by the node's spec ([`ConnectionRates`]).

use broker_api::spec::ConnectionRates;
use control_plane_api::{
    client_quota::{QuotaEntity, QuotaKey, QuotaLimits, QuotaRule},
    problem::FieldError,
};
use std::net::IpAddr;

/// Most addresses with a rule of their own: every node is told all of them, and refuses a spec of 1 MiB.
pub const MAX_ADDRESSES: usize = 1000;

/// Whether a gateway keeps the entity's rules, and not Kafka.
pub fn is_of_ip(entity: &QuotaEntity) -> bool {
    entity.ip.is_some() || entity.default_ip
}

/// Whether the figure is one of rules of addresses, and of no others.
pub fn is_key(key: QuotaKey) -> bool {
    key == QuotaKey::ConnectionCreationRate
}

/// The one address that a text names, in the form that rules are told apart by: one address has several spellings.
pub fn parse(text: &str) -> Option<IpAddr> {
    let ip = text.parse::<IpAddr>().ok()?.to_canonical();
    // Nobody connects from these.
    (!ip.is_unspecified() && !ip.is_multicast()).then_some(ip)
}

/// Of a text that [`parse`] takes for none.
pub fn fault(place: impl Into<String>, text: &str) -> FieldError {
    let detail = format!("{text:?} is no address of a client; one as 10.1.2.3 or fd00::1 is accepted, and no network");
    FieldError::new(place, "quota-ip", detail)
}

/// The entity with its address in the one spelling; what is no address stays as it is, to be refused.
pub fn spelled(entity: QuotaEntity) -> QuotaEntity {
    let ip = entity.ip.map(|text| parse(&text).map_or(text, |ip| ip.to_string()));
    QuotaEntity { ip, ..entity }
}

/// The rates as rules.
pub fn rules(rates: &ConnectionRates) -> Vec<QuotaRule> {
    let rule = |entity, rate| {
        let limits = QuotaLimits { connection_creation_rate: Some(rate), ..QuotaLimits::default() };
        QuotaRule { entity, limits }
    };
    let default = rates.default.map(|rate| rule(QuotaEntity { default_ip: true, ..QuotaEntity::default() }, rate));
    let of_ip = rates.of_ip.iter().map(|(ip, rate)| {
        let entity = QuotaEntity { ip: Some(ip.to_string()), ..QuotaEntity::default() };
        rule(entity, *rate)
    });
    default.into_iter().chain(of_ip).collect()
}

/// The rates as a change leaves them; `None` when it names no address.
pub fn changed(rates: &ConnectionRates, set: &[QuotaRule], remove: &[QuotaRule]) -> Option<ConnectionRates> {
    let set = set.iter().map(|rule| (&rule.entity, rule.limits.connection_creation_rate));
    let changes: Vec<_> = set.chain(remove.iter().map(|rule| (&rule.entity, None))).collect();
    if !changes.iter().any(|(entity, _)| is_of_ip(entity)) {
        return None;
    }
    let mut next = rates.clone();
    for (entity, rate) in changes {
        if entity.default_ip {
            next.default = rate;
        }
        match (entity.ip.as_deref().and_then(parse), rate) {
            (Some(ip), Some(rate)) => next.of_ip.insert(ip, rate),
            (Some(ip), None) => next.of_ip.remove(&ip),
            (None, _) => None,
        };
    }
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn rule(entity: Value, rate: u32) -> QuotaRule {
        serde_json::from_value(json!({ "entity": entity, "limits": { "connection_creation_rate": rate } })).unwrap()
    }

    #[test]
    fn rates_are_the_same_as_rules_and_back() {
        let set = [
            rule(json!({ "default_ip": true }), 5),
            rule(json!({ "ip": "10.0.0.1" }), 2),
            rule(json!({ "ip": "fd00::1" }), 3),
        ];
        let rates = changed(&ConnectionRates::default(), &set, &[]).unwrap();
        assert_eq!(rules(&rates), set);
        let of_kafka = serde_json::from_value(json!({ "entity": { "user": "a" }, "limits": {} })).unwrap();
        assert_eq!(changed(&rates, std::slice::from_ref(&of_kafka), &[]), None);
        let changes = [rule(json!({ "ip": "::ffff:10.0.0.1" }), 7), of_kafka];
        let fewer = changed(&rates, &changes, &set[..1]).unwrap();
        assert_eq!(rules(&fewer), [rule(json!({ "ip": "10.0.0.1" }), 7), set[2].clone()]);
    }

    #[test]
    fn an_address_has_one_spelling_and_what_no_client_has_is_none() {
        let spelling = |text: &str| parse(text).map(|ip| ip.to_string());
        assert_eq!(spelling("::ffff:10.0.0.1").as_deref(), Some("10.0.0.1"));
        assert_eq!(spelling("FD00:0:0::01").as_deref(), Some("fd00::1"));
        for text in [
            "",
            "shop",
            "10.0.0.0/8",
            "10.0.0.256",
            "10.0.0.1:9092",
            " 10.0.0.1",
            "fe80::1%eth0",
            "0.0.0.0",
            "::",
            "224.0.0.1",
        ] {
            assert_eq!(spelling(text), None, "{text}");
        }
    }
}
