//! Rules of topics: how fast records of one may be produced and consumed. Kafka has none, so the gateways keep them, told by the
//! node's spec ([`TopicRates`]).

use broker_api::{
    acl::{is_internal_topic, pattern::LITERAL},
    spec::TopicRates,
};
use control_plane_api::{
    client_quota::{QuotaEntity, QuotaKey, QuotaLimits, QuotaRule},
    problem::FieldError,
};
use std::collections::BTreeMap;

/// Most topics with a rule: every node is told all of them, and refuses a spec of 1 MiB.
pub const MAX_TOPICS: usize = 1000;
/// Longest name (org.apache.kafka.common.internals.Topic).
const LONGEST_NAME: usize = 249;

/// Whether the figure is one that a topic can have.
pub fn has(key: QuotaKey) -> bool {
    matches!(key, QuotaKey::ProducerByteRate | QuotaKey::ConsumerByteRate)
}

/// Why no rule can be made for a topic of this name, with its place.
pub fn fault(place: impl Into<String>, name: &str) -> Option<FieldError> {
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !letters || matches!(name, "" | "." | "..") || name.len() > LONGEST_NAME {
        let detail = format!(
            "{name:?} is no name of a topic: 1 to {LONGEST_NAME} letters, digits, dots, underscores and hyphens are accepted, \
             and no pattern"
        );
        return Some(FieldError::new(place, "quota-topic", detail));
    }
    is_internal_topic(name, LITERAL).then(|| {
        let detail = "this topic belongs to Kafka or to the platform; name one of your own";
        FieldError::new(place, "quota-topic-internal", detail)
    })
}

/// The rates as rules.
pub fn rules(rates: &BTreeMap<String, TopicRates>) -> Vec<QuotaRule> {
    let rule = |(topic, rates): (&String, &TopicRates)| QuotaRule {
        entity: QuotaEntity { topic: Some(topic.clone()), ..QuotaEntity::default() },
        limits: QuotaLimits {
            producer_byte_rate: rates.produce,
            consumer_byte_rate: rates.consume,
            ..QuotaLimits::default()
        },
    };
    rates.iter().map(rule).collect()
}

/// The rates as a change leaves them; `None` when it names no topic.
pub fn changed(
    rates: &BTreeMap<String, TopicRates>,
    set: &[QuotaRule],
    remove: &[QuotaRule],
) -> Option<BTreeMap<String, TopicRates>> {
    if !set.iter().chain(remove).any(|rule| rule.entity.topic.is_some()) {
        return None;
    }
    let mut next = rates.clone();
    for QuotaRule { entity, limits } in set {
        let Some(topic) = &entity.topic else { continue };
        let rates = next.entry(topic.clone()).or_default();
        rates.produce = limits.producer_byte_rate.or(rates.produce);
        rates.consume = limits.consumer_byte_rate.or(rates.consume);
    }
    for QuotaRule { entity, limits } in remove {
        let Some(rates) = entity.topic.as_ref().and_then(|topic| next.get_mut(topic)) else { continue };
        rates.produce = rates.produce.filter(|_| limits.producer_byte_rate.is_none());
        rates.consume = rates.consume.filter(|_| limits.consumer_byte_rate.is_none());
    }
    next.retain(|_, rates| *rates != TopicRates::default());
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn rule(entity: Value, limits: Value) -> QuotaRule {
        serde_json::from_value(json!({ "entity": entity, "limits": limits })).unwrap()
    }

    #[test]
    fn rates_are_the_same_as_rules_and_back_and_each_figure_goes_by_itself() {
        let (orders, bills) = (json!({ "topic": "orders" }), json!({ "topic": "bills" }));
        let set = [
            rule(bills.clone(), json!({ "consumer_byte_rate": 70_000 })),
            rule(orders.clone(), json!({ "producer_byte_rate": 50_000, "consumer_byte_rate": 60_000 })),
        ];
        let rates = changed(&BTreeMap::new(), &set, &[]).unwrap();
        assert_eq!(rules(&rates), set);
        let of_kafka = rule(json!({ "user": "a" }), json!({ "producer_byte_rate": 50_000 }));
        assert_eq!(changed(&rates, std::slice::from_ref(&of_kafka), &[]), None);
        let more = [rule(bills.clone(), json!({ "producer_byte_rate": 80_000 })), of_kafka];
        let gone = [rule(orders.clone(), json!({ "producer_byte_rate": 50_000 }))];
        let next = changed(&rates, &more, &gone).unwrap();
        let expected = [
            rule(bills.clone(), json!({ "producer_byte_rate": 80_000, "consumer_byte_rate": 70_000 })),
            rule(orders, json!({ "consumer_byte_rate": 60_000 })),
        ];
        assert_eq!(rules(&next), expected);
        assert_eq!(rules(&changed(&next, &[], &expected).unwrap()), []);
    }

    #[test]
    fn only_names_that_kafka_takes_and_that_are_the_tenants_have_rules() {
        let code = |name: &str| fault("topic", name).map(|fault| fault.code);
        for good in ["orders", "a.b_c-1", &"a".repeat(249)] {
            assert_eq!(code(good), None, "{good}");
        }
        for bad in ["", ".", "..", "orders*", "or ders", "bestellungen-für", &"a".repeat(250)] {
            assert_eq!(code(bad).as_deref(), Some("quota-topic"), "{bad}");
        }
        for internal in ["__consumer_offsets", "__sluice_admission"] {
            assert_eq!(code(internal).as_deref(), Some("quota-topic-internal"), "{internal}");
        }
    }
}
