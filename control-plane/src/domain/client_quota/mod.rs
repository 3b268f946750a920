//! Quotas of clients: which a tenant may set, which a filter finds, what a change comes to; and ([`effective`]) which
//! rule holds for a client. The platform's own are named by [`broker_api::quota`].

pub mod effective;
pub mod ip;
pub mod topic;

use crate::domain::plan;
use broker_api::{
    acl::is_platform_user,
    quota::{entity, key},
    spec::DEFAULT_CONNECTIONS_PER_IP,
};
use control_plane_api::{
    client_quota::{ClientQuota, MAX_RULES, QuotaEntity, QuotaFilter, QuotaKey, QuotaLimits, QuotaRule},
    instance::Check,
    problem::FieldError,
};
use std::{collections::BTreeSet, ops::RangeInclusive};

/// User names and client ids are the client's to choose.
const LONGEST_NAME: usize = 255;
/// Kafka holds a client back until the mean over its window of 11 s is right again. At this rate the largest message,
/// 10 MiB, is made up for in less than the 10 minutes after which a silent connection is closed.
const LEAST_BYTES: u64 = 20_000;
const MOST_BYTES: u64 = 1_000_000_000_000;
const REQUEST_PERCENTAGE: RangeInclusive<f64> = 1.0..=10_000.0;
const MUTATION_RATE: RangeInclusive<f64> = 0.1..=10_000.0;
const CONNECTION_RATE: RangeInclusive<f64> = 1.0..=10_000.0;
/// Below it a request of 1 MB, what producers send at most by default, pauses its client for more than 2 s.
const SLOW_BYTES: u64 = 80_000;
/// Below it a busy client's heartbeats wait as well.
const LOW_PERCENTAGE: f64 = 5.0;
/// Below it all connections that an address may have take longer than 10 s to come back.
const LOW_CONNECTION_RATE: u32 = DEFAULT_CONNECTIONS_PER_IP / 10;

/// Kafka's word for a figure.
pub fn word(key: QuotaKey) -> &'static str {
    match key {
        QuotaKey::ProducerByteRate => key::PRODUCER_BYTE_RATE,
        QuotaKey::ConsumerByteRate => key::CONSUMER_BYTE_RATE,
        QuotaKey::RequestPercentage => key::REQUEST_PERCENTAGE,
        QuotaKey::ControllerMutationRate => key::CONTROLLER_MUTATION_RATE,
        QuotaKey::ConnectionCreationRate => key::CONNECTION_CREATION_RATE,
    }
}

/// The figure as Kafka has it.
pub fn limit(limits: &QuotaLimits, key: QuotaKey) -> Option<f64> {
    match key {
        QuotaKey::ProducerByteRate => limits.producer_byte_rate.map(|bytes| bytes as f64),
        QuotaKey::ConsumerByteRate => limits.consumer_byte_rate.map(|bytes| bytes as f64),
        QuotaKey::RequestPercentage => limits.request_percentage,
        QuotaKey::ControllerMutationRate => limits.controller_mutation_rate,
        QuotaKey::ConnectionCreationRate => limits.connection_creation_rate.map(f64::from),
    }
}

/// Sets or takes a figure. Kafka keeps byte rates as whole numbers.
pub fn set_limit(limits: &mut QuotaLimits, key: QuotaKey, value: Option<f64>) {
    match key {
        QuotaKey::ProducerByteRate => limits.producer_byte_rate = value.map(|bytes| bytes as u64),
        QuotaKey::ConsumerByteRate => limits.consumer_byte_rate = value.map(|bytes| bytes as u64),
        QuotaKey::RequestPercentage => limits.request_percentage = value,
        QuotaKey::ControllerMutationRate => limits.controller_mutation_rate = value,
        QuotaKey::ConnectionCreationRate => limits.connection_creation_rate = value.map(|rate| rate as u32),
    }
}

/// Figures that are set, with their keys.
pub fn figures(limits: &QuotaLimits) -> impl Iterator<Item = (QuotaKey, f64)> {
    QuotaKey::ALL.into_iter().filter_map(|key| Some((key, limit(limits, key)?)))
}

/// The entity in Kafka's words: kind and name of each part, no name for a default. None for an address or a topic, whose rules Kafka
/// is not given.
pub fn parts(entity: &QuotaEntity) -> impl Iterator<Item = (&'static str, Option<&str>)> {
    fn part<'a>(
        kind: &'static str,
        name: &'a Option<String>,
        default: bool,
    ) -> Option<(&'static str, Option<&'a str>)> {
        match name {
            Some(name) => Some((kind, Some(name.as_str()))),
            None => default.then_some((kind, None)),
        }
    }
    let user = part(entity::USER, &entity.user, entity.default_user);
    user.into_iter().chain(part(entity::CLIENT_ID, &entity.client_id, entity.default_client_id))
}

/// The way back; `None` for a kind of part that is not known.
pub fn entity<'a, 'b>(parts: impl IntoIterator<Item = (&'a str, Option<&'b str>)>) -> Option<QuotaEntity> {
    let mut found = QuotaEntity::default();
    for (kind, name) in parts {
        match (kind, name) {
            (entity::USER, Some(name)) => found.user = Some(name.to_owned()),
            (entity::USER, None) => found.default_user = true,
            (entity::CLIENT_ID, Some(name)) => found.client_id = Some(name.to_owned()),
            (entity::CLIENT_ID, None) => found.default_client_id = true,
            _ => return None,
        }
    }
    Some(found)
}

/// Whether tenants neither see nor change its rules.
pub fn is_platform(entity: &QuotaEntity) -> bool {
    entity.user.as_deref().is_some_and(is_platform_user)
}

/// Whether gateways keep the entity's rules, and not Kafka.
pub fn is_of_gateways(entity: &QuotaEntity) -> bool {
    ip::is_of_ip(entity) || entity.topic.is_some()
}

/// Whether an entity of this kind can have the figure.
fn has(entity: &QuotaEntity, key: QuotaKey) -> bool {
    if entity.topic.is_some() { topic::has(key) } else { ip::is_of_ip(entity) == ip::is_key(key) }
}

/// All faults of rules that a tenant wants set.
pub fn check(rules: &[QuotaRule]) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if rules.is_empty() || rules.len() > MAX_RULES {
        let detail = format!("1 to {MAX_RULES} rules a request");
        return vec![FieldError::new("/rules", "out-of-range", detail).with("min", 1).with("max", MAX_RULES)];
    }
    let mut seen = BTreeSet::new();
    for (index, rule) in rules.iter().enumerate() {
        let place = format!("/rules/{index}");
        check_entity(&format!("{place}/entity"), &rule.entity, &mut faults);
        check_limits(&format!("{place}/limits"), rule, &mut faults);
        if !seen.insert(&rule.entity) {
            let detail = "this entity has a rule in this request already: name all its figures in one";
            faults.push(FieldError::new(format!("{place}/entity"), "quota-twice", detail));
        }
    }
    faults
}

/// Faults of whom a rule is for. `place` is the pointer to it; of a query it is empty.
pub fn check_entity(place: &str, entity: &QuotaEntity, faults: &mut Vec<FieldError>) {
    let is_of_client = parts(entity).next().is_some();
    match (is_of_client, ip::is_of_ip(entity), entity.topic.is_some()) {
        (false, false, false) => {
            let detail =
                "name a user, a client id, or one of each; or an address; or a topic; default_… stands for all others";
            faults.push(FieldError::new(place, "quota-entity-missing", detail));
        }
        (true, _, true) | (_, true, true) => {
            let detail = "a topic is named alone: all clients share its figures";
            faults.push(FieldError::new(place, "quota-topic-alone", detail));
        }
        (true, true, false) => {
            let detail =
                "an address is named alone: who opens a connection has not said yet which user and client it is";
            faults.push(FieldError::new(place, "quota-ip-alone", detail));
        }
        _ => {}
    }
    for (field, name, default) in [
        ("user", &entity.user, entity.default_user),
        ("client_id", &entity.client_id, entity.default_client_id),
        ("ip", &entity.ip, entity.default_ip),
    ] {
        let at = if place.is_empty() { field.to_owned() } else { format!("{place}/{field}") };
        let Some(name) = name else { continue };
        if default {
            let detail = format!("{field} and default_{field} exclude each other: name one of them");
            faults.push(FieldError::new(at.clone(), "quota-entity-both", detail).with("field", field));
        }
        if field == "ip" {
            faults.extend(ip::parse(name).is_none().then(|| ip::fault(at, name)));
            continue;
        }
        if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
            let detail = format!("a name is 1 to {LONGEST_NAME} characters, none of them a control character");
            faults.push(FieldError::new(at.clone(), "quota-name", detail));
        }
        if field == "user" && is_platform_user(name) {
            let detail = "this user belongs to the platform; name a user of your own";
            faults.push(FieldError::new(at, "quota-platform-user", detail));
        }
    }
    let at = if place.is_empty() { "topic".to_owned() } else { format!("{place}/topic") };
    faults.extend(entity.topic.as_ref().and_then(|name| topic::fault(at, name)));
}

fn check_limits(place: &str, rule: &QuotaRule, faults: &mut Vec<FieldError>) {
    let accepted: Vec<&str> = QuotaKey::ALL.into_iter().filter(|key| has(&rule.entity, *key)).map(word).collect();
    let accepted = accepted.join(", ");
    if figures(&rule.limits).next().is_none() {
        let detail = format!("name at least one of {accepted}");
        faults.push(FieldError::new(place, "quota-limit-missing", detail).with("accepted", accepted.clone()));
    }
    for (key, value) in figures(&rule.limits) {
        if !has(&rule.entity, key) {
            let detail = format!("a rule of this kind has no such figure; {accepted} are accepted");
            let fault = FieldError::new(format!("{place}/{}", word(key)), "quota-limit-kind", detail);
            faults.push(fault.with("accepted", accepted.clone()));
        }
        let (range, unit) = match key {
            QuotaKey::ProducerByteRate | QuotaKey::ConsumerByteRate => {
                (LEAST_BYTES as f64..=MOST_BYTES as f64, "bytes a second on one broker")
            }
            QuotaKey::RequestPercentage => (REQUEST_PERCENTAGE, "percent of one thread of a broker"),
            QuotaKey::ControllerMutationRate => (MUTATION_RATE, "partitions a second"),
            QuotaKey::ConnectionCreationRate => (CONNECTION_RATE, "connections a second to one broker"),
        };
        if !range.contains(&value) {
            let (min, max) = (range.start(), range.end());
            let detail = format!("{value} is given; {min} to {max} {unit} are accepted");
            let fault = FieldError::new(format!("{place}/{}", word(key)), "out-of-range", detail);
            faults.push(fault.with("min", *min).with("max", *max));
        }
    }
}

/// Whether the filter finds the rule.
pub fn fits(filter: &QuotaFilter, rule: &QuotaRule) -> bool {
    fn named(wanted: &Option<String>, name: &Option<String>) -> bool {
        wanted.is_none() || wanted == name
    }
    let is = |wanted: Option<bool>, default| wanted.is_none_or(|wanted| wanted == default);
    named(&filter.user, &rule.entity.user)
        && named(&filter.client_id, &rule.entity.client_id)
        && named(&filter.ip, &rule.entity.ip)
        && named(&filter.topic, &rule.entity.topic)
        && is(filter.default_ip, rule.entity.default_ip)
        && is(filter.default_user, rule.entity.default_user)
        && is(filter.default_client_id, rule.entity.default_client_id)
        && filter.key.is_none_or(|key| limit(&rule.limits, key).is_some())
}

/// The rule as it is shown, of an instance with so many brokers.
pub fn view(rule: QuotaRule, brokers: u32) -> ClientQuota {
    let QuotaLimits {
        producer_byte_rate,
        consumer_byte_rate,
        request_percentage,
        controller_mutation_rate,
        connection_creation_rate,
    } = rule.limits;
    let limits_over_all = QuotaLimits {
        producer_byte_rate: producer_byte_rate.map(|rate| rate.saturating_mul(brokers.into())),
        consumer_byte_rate: consumer_byte_rate.map(|rate| rate.saturating_mul(brokers.into())),
        request_percentage: request_percentage.map(|rate| rate * f64::from(brokers)),
        controller_mutation_rate,
        connection_creation_rate: connection_creation_rate.map(|rate| rate.saturating_mul(brokers)),
    };
    ClientQuota { entity: rule.entity, limits: rule.limits, limits_over_all }
}

/// What whoever sets these rules should know; `share` is a broker's of the bandwidth that was bought, bytes a second.
pub fn checks(rules: &[QuotaRule], share: u64) -> Vec<Check> {
    let mut checks = vec![plan::ok(
        "live",
        "in force on every broker within two seconds, on each for itself; no broker restarts, no connection ends",
    )];
    let rates = |rule: &QuotaRule| [rule.limits.producer_byte_rate, rule.limits.consumer_byte_rate];
    if rules.iter().flat_map(rates).flatten().any(|rate| rate > share) {
        let detail = format!(
            "a rate above {share} bytes a second is never reached: that is a broker's share of the bandwidth bought"
        );
        checks.push(plan::warning("above-bandwidth", detail));
    }
    // Those of topics pause nobody for longer than 20 s.
    let of_kafka = rules.iter().filter(|rule| rule.entity.topic.is_none());
    if let Some(rate) = of_kafka.filter_map(|rule| rule.limits.producer_byte_rate).min()
        && rate < SLOW_BYTES
    {
        // Kafka's window is 11 s, and a mean above the limit is waited for.
        let seconds = (1_000_000 / rate).saturating_sub(11).max(1);
        let detail = format!(
            "at {rate} bytes a second a request of 1 MB pauses its producer for about {seconds} s: smaller batches \
             (batch.size, max.request.size) pass more evenly"
        );
        checks.push(plan::warning("long-pauses", detail));
    }
    let percentages = rules.iter().filter_map(|rule| rule.limits.request_percentage);
    if percentages.min_by(f64::total_cmp).is_some_and(|least| least < LOW_PERCENTAGE) {
        let detail = "request_percentage counts every request, heartbeats too: so low a figure may rebalance groups";
        checks.push(plan::warning("heartbeats-wait", detail));
    }
    let connections = rules.iter().filter_map(|rule| rule.limits.connection_creation_rate);
    if let Some(rate) = connections.min().filter(|rate| (1..LOW_CONNECTION_RATE).contains(rate)) {
        let seconds = DEFAULT_CONNECTIONS_PER_IP / rate;
        let detail = format!(
            "at {rate} connections a second the {DEFAULT_CONNECTIONS_PER_IP} that an address may have are back {seconds} s after \
             they were lost, as when a broker restarts"
        );
        checks.push(plan::warning("slow-return", detail));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn rule(entity: Value, limits: Value) -> QuotaRule {
        serde_json::from_value(json!({ "entity": entity, "limits": limits })).unwrap()
    }

    fn faults(entity: Value, limits: Value) -> Vec<(String, String)> {
        check(&[rule(entity, limits)]).into_iter().map(|fault| (fault.pointer, fault.code)).collect()
    }

    #[test]
    fn what_kafka_would_not_take_or_nobody_could_bear_is_refused_with_its_place() {
        let (shop, slow) = (json!({ "user": "shop" }), json!({ "producer_byte_rate": 1_000_000 }));
        assert_eq!(faults(shop.clone(), slow.clone()), []);
        for (entity, limits, place, code) in [
            (json!({}), slow.clone(), "entity", "quota-entity-missing"),
            (json!({ "user": "a", "default_user": true }), slow.clone(), "entity/user", "quota-entity-both"),
            (json!({ "client_id": "" }), slow.clone(), "entity/client_id", "quota-name"),
            (json!({ "user": "a\u{0}" }), slow.clone(), "entity/user", "quota-name"),
            (json!({ "user": "sluice-node" }), slow.clone(), "entity/user", "quota-platform-user"),
            (shop.clone(), json!({}), "limits", "quota-limit-missing"),
            (shop.clone(), json!({ "producer_byte_rate": 19_999 }), "limits/producer_byte_rate", "out-of-range"),
            (shop.clone(), json!({ "consumer_byte_rate": 0 }), "limits/consumer_byte_rate", "out-of-range"),
            (
                json!({ "user": "a", "ip": "10.0.0.1" }),
                json!({ "connection_creation_rate": 1 }),
                "entity",
                "quota-ip-alone",
            ),
            (json!({ "ip": "10.0.0.0/8" }), json!({ "connection_creation_rate": 1 }), "entity/ip", "quota-ip"),
            (
                json!({ "ip": "10.0.0.1", "default_ip": true }),
                json!({ "connection_creation_rate": 1 }),
                "entity/ip",
                "quota-entity-both",
            ),
            (
                json!({ "ip": "10.0.0.1" }),
                json!({ "producer_byte_rate": 50_000 }),
                "limits/producer_byte_rate",
                "quota-limit-kind",
            ),
            (
                shop.clone(),
                json!({ "connection_creation_rate": 5 }),
                "limits/connection_creation_rate",
                "quota-limit-kind",
            ),
            (
                json!({ "default_ip": true }),
                json!({ "connection_creation_rate": 10_001 }),
                "limits/connection_creation_rate",
                "out-of-range",
            ),
            (json!({ "topic": "a", "user": "b" }), slow.clone(), "entity", "quota-topic-alone"),
            (json!({ "topic": "a*" }), slow.clone(), "entity/topic", "quota-topic"),
            (json!({ "topic": "__consumer_offsets" }), slow.clone(), "entity/topic", "quota-topic-internal"),
            (
                json!({ "topic": "a" }),
                json!({ "request_percentage": 50 }),
                "limits/request_percentage",
                "quota-limit-kind",
            ),
            (json!({ "topic": "a" }), json!({ "consumer_byte_rate": 5 }), "limits/consumer_byte_rate", "out-of-range"),
            (
                json!({ "ip": "fd00::1" }),
                json!({ "connection_creation_rate": 0 }),
                "limits/connection_creation_rate",
                "out-of-range",
            ),
            (shop.clone(), json!({ "request_percentage": 0.5 }), "limits/request_percentage", "out-of-range"),
            (
                shop.clone(),
                json!({ "controller_mutation_rate": 10_001 }),
                "limits/controller_mutation_rate",
                "out-of-range",
            ),
        ] {
            let expected = [(format!("/rules/0/{place}"), code.to_owned())];
            assert_eq!(faults(entity.clone(), limits.clone()), expected, "{entity} {limits}");
        }
        let twice = check(&[rule(shop.clone(), slow.clone()), rule(shop, slow)]);
        assert_eq!((twice.len(), twice[0].code.as_str()), (1, "quota-twice"));
        assert_eq!(check(&[])[0].code, "out-of-range");
    }

    #[test]
    fn an_entity_is_the_same_in_kafkas_words_and_back() {
        for parts_of in [
            json!({ "user": "shop" }),
            json!({ "default_user": true }),
            json!({ "user": "shop", "client_id": "a" }),
            json!({ "default_user": true, "client_id": "a" }),
            json!({ "user": "shop", "default_client_id": true }),
            json!({ "default_client_id": true }),
        ] {
            let known: QuotaEntity = serde_json::from_value(parts_of).unwrap();
            assert_eq!(entity(parts(&known)).as_ref(), Some(&known));
        }
        assert_eq!(entity([("ip", Some("10.0.0.1"))]), None);
    }

    #[test]
    fn a_filter_finds_the_rules_that_name_all_of_it() {
        let rules = [
            rule(json!({ "user": "shop" }), json!({ "producer_byte_rate": 50_000 })),
            rule(json!({ "user": "shop", "client_id": "a" }), json!({ "consumer_byte_rate": 50_000 })),
            rule(json!({ "default_user": true }), json!({ "producer_byte_rate": 50_000 })),
        ];
        let found = |filter: Value| {
            let filter = serde_json::from_value(filter).unwrap();
            rules.each_ref().map(|rule| fits(&filter, rule))
        };
        assert_eq!(found(json!({})), [true; 3]);
        assert_eq!(found(json!({ "user": "shop" })), [true, true, false]);
        assert_eq!(found(json!({ "user": "shop", "key": "producer_byte_rate" })), [true, false, false]);
        assert_eq!(found(json!({ "default_user": true })), [false, false, true]);
        assert_eq!(found(json!({ "client_id": "b" })), [false; 3]);
    }

    #[test]
    fn figures_are_shown_for_a_broker_and_for_all_of_them() {
        let limits =
            json!({ "producer_byte_rate": 50_000, "request_percentage": 25.0, "controller_mutation_rate": 2.0 });
        let shown = view(rule(json!({ "user": "shop" }), limits), 3).limits_over_all;
        let expected = QuotaLimits {
            producer_byte_rate: Some(150_000),
            consumer_byte_rate: None,
            request_percentage: Some(75.0),
            controller_mutation_rate: Some(2.0),
            connection_creation_rate: None,
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn who_sets_a_figure_hears_what_it_does_to_clients() {
        let codes = |limits: Value| -> Vec<String> {
            checks(&[rule(json!({ "user": "shop" }), limits)], 1_000_000).into_iter().map(|check| check.code).collect()
        };
        assert_eq!(codes(json!({ "producer_byte_rate": 500_000 })), ["live"]);
        assert_eq!(codes(json!({ "consumer_byte_rate": 2_000_000 })), ["live", "above-bandwidth"]);
        assert_eq!(codes(json!({ "producer_byte_rate": 20_000 })), ["live", "long-pauses"]);
        assert_eq!(codes(json!({ "request_percentage": 2.0 })), ["live", "heartbeats-wait"]);
    }
}
