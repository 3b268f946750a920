//! Which rule holds for a client, and what it comes to: by Kafka's own precedence (KIP-13, KIP-55), beside the rule of the topic and
//! the bandwidth, in words.

use super::{ip, limit};
use control_plane_api::client_quota::{
    EffectiveLimit, EffectiveQuotas, MatchingRule, QuotaClient, QuotaDecider, QuotaEntity, QuotaKey, QuotaRule,
    QuotaShare,
};
use std::fmt::Write as _;

/// Kafka's name for who comes in without a login.
pub const ANONYMOUS: &str = "ANONYMOUS";

/// What bounds clients of an instance beside the rules.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub brokers: u32,
    /// A broker's share of the bandwidth that was bought, bytes a second in each direction.
    pub bandwidth_share: u64,
}

/// Entities of rules that hold for a client, the one that wins first, with who shares its figure
/// (org.apache.kafka.server.quota, `ClientQuotaManager.DefaultQuotaCallback`). Without a client id only users' rules do.
fn candidates(user: &str, client_id: &str) -> Vec<(QuotaEntity, QuotaShare)> {
    let named = |name: &str| Some(name.to_owned());
    let none = QuotaEntity::default();
    let of_user = QuotaEntity { user: named(user), ..none.clone() };
    let of_default = QuotaEntity { default_user: true, ..none.clone() };
    let with_id = |entity: &QuotaEntity| QuotaEntity { client_id: named(client_id), ..entity.clone() };
    let with_any_id = |entity: &QuotaEntity| QuotaEntity { default_client_id: true, ..entity.clone() };
    use QuotaShare::{ClientId, User, UserAndClientId};
    if client_id.is_empty() {
        return vec![(of_user, User), (of_default, User)];
    }
    vec![
        (with_id(&of_user), UserAndClientId),
        (with_any_id(&of_user), UserAndClientId),
        (of_user, User),
        (with_id(&of_default), UserAndClientId),
        (with_any_id(&of_default), UserAndClientId),
        (of_default, User),
        (with_id(&none), ClientId),
        (with_any_id(&none), ClientId),
    ]
}

/// The same for who opens connections: an address has its own rate, whichever rule gives it.
fn addresses(address: Option<&str>) -> Vec<(QuotaEntity, QuotaShare)> {
    let own = address.map(|ip| QuotaEntity { ip: Some(ip.to_owned()), ..QuotaEntity::default() });
    let other = QuotaEntity { default_ip: true, ..QuotaEntity::default() };
    own.into_iter().chain([other]).map(|entity| (entity, QuotaShare::Ip)).collect()
}

/// What holds for a client by these rules. Each figure is decided for itself, as Kafka does.
pub fn effective(rules: &[QuotaRule], client: &QuotaClient, bounds: Bounds) -> EffectiveQuotas {
    let user = client.user.as_deref().unwrap_or(ANONYMOUS);
    let client_id = client.client_id.as_deref().unwrap_or_default();
    let of_client = candidates(user, client_id);
    let of_address = addresses(client.ip.as_deref());
    let limits = QuotaKey::ALL.map(|key| {
        let candidates = if ip::is_key(key) { &of_address } else { &of_client };
        let mut matching = candidates.iter().filter_map(|(entity, share)| {
            let rule = rules.iter().find(|rule| rule.entity == *entity)?;
            Some((MatchingRule { entity: entity.clone(), limit: limit(&rule.limits, key)? }, *share))
        });
        let (rule, shared_by) = matching.next().unzip();
        let overruled = matching.map(|(rule, _)| rule).collect();
        decide(Matching { key, rule, shared_by, overruled, topic_rule: of_topic(rules, client, key) }, bounds)
    });
    EffectiveQuotas {
        user: user.to_owned(),
        client_id: client_id.to_owned(),
        ip: client.ip.clone(),
        topic: client.topic.clone(),
        brokers: bounds.brokers,
        limits: limits.into(),
    }
}

/// The rule of the client's topic, if that has the figure.
fn of_topic(rules: &[QuotaRule], client: &QuotaClient, key: QuotaKey) -> Option<MatchingRule> {
    let entity = QuotaEntity { topic: Some(client.topic.clone()?), ..QuotaEntity::default() };
    let rule = rules.iter().find(|rule| rule.entity == entity)?;
    Some(MatchingRule { limit: limit(&rule.limits, key)?, entity })
}

/// Rules that hold for one figure.
struct Matching {
    key: QuotaKey,
    rule: Option<MatchingRule>,
    shared_by: Option<QuotaShare>,
    overruled: Vec<MatchingRule>,
    topic_rule: Option<MatchingRule>,
}

fn decide(matching: Matching, bounds: Bounds) -> EffectiveLimit {
    let Matching { key, rule, shared_by, overruled, topic_rule } = matching;
    let is_rate = matches!(key, QuotaKey::ProducerByteRate | QuotaKey::ConsumerByteRate);
    let bandwidth_share = is_rate.then_some(bounds.bandwidth_share);
    let candidates = [
        (rule.as_ref().map(|rule| rule.limit), QuotaDecider::Rule),
        (topic_rule.as_ref().map(|rule| rule.limit), QuotaDecider::Topic),
        (bandwidth_share.map(|bytes| bytes as f64), QuotaDecider::Bandwidth),
    ];
    // The first of equal ones.
    let least = candidates.into_iter().filter_map(|(limit, decider)| Some((limit?, decider)));
    let least = least.min_by(|(one, _), (other, _)| one.total_cmp(other));
    let (effective, decided_by) = match least {
        Some((limit, decider)) => (Some(limit), decider),
        None => (None, QuotaDecider::Nothing),
    };
    let is_of_instance = key == QuotaKey::ControllerMutationRate;
    let times = if is_of_instance { 1.0 } else { f64::from(bounds.brokers) };
    let mut limit = EffectiveLimit {
        key,
        rule,
        shared_by,
        overruled,
        topic_rule,
        bandwidth_share,
        effective,
        effective_over_all: effective.map(|effective| effective * times),
        decided_by,
        explanation: String::new(),
    };
    limit.explanation = explain(&limit, bounds.brokers);
    limit
}

/// The entity in words: `user shop with any client id`.
pub fn said(entity: &QuotaEntity) -> String {
    let user = match (&entity.user, entity.default_user) {
        (Some(user), _) => Some(format!("user {user}")),
        (None, true) => Some("every user without a rule of its own".to_owned()),
        (None, false) => None,
    };
    let client = match (&entity.client_id, entity.default_client_id) {
        (Some(id), _) => Some(format!("client id {id}")),
        (None, true) => Some("every client id without a rule of its own".to_owned()),
        (None, false) => None,
    };
    let address = match (&entity.ip, entity.default_ip) {
        (Some(ip), _) => Some(format!("address {ip}")),
        (None, true) => Some("every address without a rule of its own".to_owned()),
        (None, false) => None,
    };
    let topic = entity.topic.as_ref().map(|topic| format!("topic {topic}"));
    match (user, client) {
        (Some(user), Some(client)) => format!("{user} with {client}"),
        (user, client) => user.or(client).or(address).or(topic).unwrap_or_default(),
    }
}

fn figure(key: QuotaKey, value: f64) -> String {
    match key {
        QuotaKey::ProducerByteRate | QuotaKey::ConsumerByteRate => format!("{value} bytes a second"),
        QuotaKey::RequestPercentage => format!("{value} % of one thread"),
        QuotaKey::ControllerMutationRate => format!("{value} partitions a second"),
        QuotaKey::ConnectionCreationRate => format!("{value} connections a second"),
    }
}

fn explain(limit: &EffectiveLimit, brokers: u32) -> String {
    let mut text = match &limit.rule {
        None if limit.topic_rule.is_some() => "No rule of the client holds".to_owned(),
        None => "No rule holds".to_owned(),
        Some(rule) => {
            let shared = match limit.shared_by {
                Some(QuotaShare::UserAndClientId) => "all connections of this user with this client id",
                Some(QuotaShare::User) => "all connections of this user",
                Some(QuotaShare::ClientId) => "all connections with this client id, whatever their user",
                Some(QuotaShare::Ip) => "all clients of one address",
                None => "nobody",
            };
            let place =
                if limit.key == QuotaKey::ControllerMutationRate { "in the instance" } else { "on each broker" };
            format!(
                "The rule of {} gives {} {place}, shared by {shared}",
                said(&rule.entity),
                figure(limit.key, rule.limit)
            )
        }
    };
    // Writing to a string cannot fail.
    if !limit.overruled.is_empty() {
        let others: Vec<String> = limit.overruled.iter().map(|rule| said(&rule.entity)).collect();
        let _ = write!(text, "; it goes before the more general one of {}", others.join(", then of "));
    }
    text.push('.');
    if let Some(rule) = &limit.topic_rule {
        let less = if limit.decided_by == QuotaDecider::Topic && limit.rule.is_some() {
            " That is less, and counts."
        } else {
            ""
        };
        let _ = write!(
            text,
            " The rule of {} gives {} on each broker, shared by all clients of the topic.{less}",
            said(&rule.entity),
            figure(limit.key, rule.limit)
        );
    }
    match (limit.decided_by, limit.bandwidth_share) {
        (QuotaDecider::Rule | QuotaDecider::Topic, Some(share)) => {
            let _ = write!(text, " A broker's share of the bandwidth bought, {share} bytes a second, is not less.");
        }
        (QuotaDecider::Bandwidth, Some(share)) => {
            let is_beside = limit.rule.is_some() || limit.topic_rule.is_some();
            let less = if is_beside { " That is less, and counts." } else { "" };
            let _ = write!(
                text,
                " A broker's share of the bandwidth bought is {share} bytes a second for all clients together.{less}"
            );
        }
        (QuotaDecider::Rule | QuotaDecider::Topic, None) => {}
        _ => text.push_str(" There is no limit."),
    }
    if let Some(over_all) = limit.effective_over_all.filter(|_| limit.key != QuotaKey::ControllerMutationRate) {
        let _ = write!(
            text,
            " Over {brokers} brokers that is at most {}, for who uses all of them.",
            figure(limit.key, over_all)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const BOUNDS: Bounds = Bounds { brokers: 3, bandwidth_share: 1_000_000 };

    fn rule(entity: serde_json::Value, producer_byte_rate: u64) -> QuotaRule {
        serde_json::from_value(json!({ "entity": entity, "limits": { "producer_byte_rate": producer_byte_rate } }))
            .unwrap()
    }

    /// In Kafka's order.
    fn all() -> Vec<QuotaRule> {
        vec![
            rule(json!({ "user": "shop", "client_id": "till" }), 1),
            rule(json!({ "user": "shop", "default_client_id": true }), 2),
            rule(json!({ "user": "shop" }), 3),
            rule(json!({ "default_user": true, "client_id": "till" }), 4),
            rule(json!({ "default_user": true, "default_client_id": true }), 5),
            rule(json!({ "default_user": true }), 6),
            rule(json!({ "client_id": "till" }), 7),
            rule(json!({ "default_client_id": true }), 8),
        ]
    }

    fn produce(rules: &[QuotaRule], user: &str, client_id: &str) -> EffectiveLimit {
        effective(rules, &client(user, client_id), BOUNDS).limits.remove(0)
    }

    fn client(user: &str, client_id: &str) -> QuotaClient {
        QuotaClient { user: Some(user.to_owned()), client_id: Some(client_id.to_owned()), ..QuotaClient::default() }
    }

    #[test]
    fn the_most_special_rule_wins_and_the_next_one_when_it_is_gone() {
        let mut rules = all();
        // Order of the rules does not matter.
        rules.reverse();
        use QuotaShare::{ClientId, User, UserAndClientId};
        let shares =
            [UserAndClientId, UserAndClientId, User, UserAndClientId, UserAndClientId, User, ClientId, ClientId];
        for (index, share) in shares.into_iter().enumerate() {
            let found = produce(&rules, "shop", "till");
            assert_eq!(
                found.rule,
                Some(MatchingRule { entity: all()[index].entity.clone(), limit: index as f64 + 1.0 })
            );
            assert_eq!((found.shared_by, found.overruled.len()), (Some(share), 7 - index));
            rules.pop();
        }
        assert_eq!(produce(&rules, "shop", "till").rule, None);
    }

    #[test]
    fn rules_of_others_do_not_hold() {
        let limits = |user, client| produce(&all(), user, client).rule.map(|rule| rule.limit);
        assert_eq!(limits("cart", "till"), Some(4.0));
        assert_eq!(limits("shop", "other"), Some(2.0));
        assert_eq!(limits(ANONYMOUS, "till"), Some(4.0));
        assert_eq!((limits("shop", ""), limits("cart", "")), (Some(3.0), Some(6.0)), "a client without an id");
        let only = [rule(json!({ "user": "cart" }), 3), rule(json!({ "client_id": "x" }), 7)];
        assert_eq!(produce(&only, "shop", "till").rule, None);
    }

    #[test]
    fn the_smaller_of_rule_and_bandwidth_counts_and_is_said_for_one_broker_and_for_all() {
        let slow = produce(&[rule(json!({ "user": "shop" }), 200_000)], "shop", "till");
        assert_eq!((slow.effective, slow.effective_over_all), (Some(200_000.0), Some(600_000.0)));
        assert_eq!(slow.decided_by, QuotaDecider::Rule);
        assert_eq!(
            slow.explanation,
            "The rule of user shop gives 200000 bytes a second on each broker, shared by all connections of this user. \
             A broker's share of the bandwidth bought, 1000000 bytes a second, is not less. \
             Over 3 brokers that is at most 600000 bytes a second, for who uses all of them."
        );
        let wide = produce(&[rule(json!({ "default_client_id": true }), 5_000_000)], "shop", "till");
        assert_eq!((wide.effective, wide.decided_by), (Some(1_000_000.0), QuotaDecider::Bandwidth));
        assert!(wide.explanation.contains("That is less, and counts."), "{}", wide.explanation);
        let free = produce(&[], "shop", "till");
        assert_eq!((free.effective_over_all, free.decided_by), (Some(3_000_000.0), QuotaDecider::Bandwidth));
        assert!(free.explanation.starts_with("No rule holds. "), "{}", free.explanation);
    }

    #[test]
    fn each_figure_is_decided_for_itself_and_that_of_the_controller_is_the_instances() {
        let mut rules = vec![rule(json!({ "user": "shop" }), 200_000), rule(json!({ "default_user": true }), 100_000)];
        rules[1].limits.controller_mutation_rate = Some(2.0);
        let found = effective(&rules, &client("shop", "till"), BOUNDS);
        let [produce, consume, request, mutation, _] = &found.limits[..] else { panic!("{found:?}") };
        assert_eq!(produce.effective, Some(200_000.0));
        assert_eq!((consume.rule.is_none(), consume.decided_by), (true, QuotaDecider::Bandwidth));
        assert_eq!((request.effective, request.decided_by), (None, QuotaDecider::Nothing));
        assert_eq!(request.explanation, "No rule holds. There is no limit.");
        assert_eq!((mutation.effective, mutation.effective_over_all), (Some(2.0), Some(2.0)));
        assert_eq!(
            mutation.explanation,
            "The rule of every user without a rule of its own gives 2 partitions a second in the instance, \
             shared by all connections of this user."
        );
    }

    #[test]
    fn the_rule_of_the_topic_holds_beside_that_of_the_client_and_the_smallest_counts() {
        let rules = [
            rule(json!({ "user": "shop" }), 300_000),
            rule(json!({ "topic": "orders" }), 200_000),
            rule(json!({ "topic": "bills" }), 400_000),
        ];
        let of = |user: &str, topic: &str| {
            let client = QuotaClient { topic: Some(topic.to_owned()), ..client(user, "till") };
            effective(&rules, &client, BOUNDS).limits
        };
        let orders = &of("shop", "orders")[0];
        assert_eq!((orders.effective, orders.effective_over_all), (Some(200_000.0), Some(600_000.0)));
        assert_eq!(orders.decided_by, QuotaDecider::Topic);
        assert_eq!(
            orders.explanation,
            "The rule of user shop gives 300000 bytes a second on each broker, shared by all connections of this user. \
             The rule of topic orders gives 200000 bytes a second on each broker, shared by all clients of the topic. \
             That is less, and counts. \
             A broker's share of the bandwidth bought, 1000000 bytes a second, is not less. \
             Over 3 brokers that is at most 600000 bytes a second, for who uses all of them."
        );
        let bills = &of("shop", "bills")[0];
        assert_eq!((bills.effective, bills.decided_by), (Some(300_000.0), QuotaDecider::Rule));
        assert_eq!(bills.topic_rule.as_ref().map(|rule| rule.limit), Some(400_000.0));
        let nobodys = &of("cart", "orders")[0];
        assert_eq!((nobodys.effective, nobodys.decided_by), (Some(200_000.0), QuotaDecider::Topic));
        assert!(
            nobodys.explanation.starts_with("No rule of the client holds. The rule of topic orders gives 200000"),
            "{nobodys:?}"
        );
        assert_eq!(
            (of("shop", "orders")[1].topic_rule.is_none(), of("shop", "other")[0].topic_rule.is_none()),
            (true, true)
        );
    }

    #[test]
    fn an_address_has_its_own_rate_or_that_of_every_other() {
        let rule = |entity, rate: u32| -> QuotaRule {
            serde_json::from_value(json!({ "entity": entity, "limits": { "connection_creation_rate": rate } })).unwrap()
        };
        let rules = [rule(json!({ "default_ip": true }), 20), rule(json!({ "ip": "10.0.0.1" }), 5)];
        let rate = |ip: Option<&str>| {
            let client = QuotaClient { ip: ip.map(str::to_owned), ..client("shop", "till") };
            effective(&rules, &client, BOUNDS).limits.remove(4)
        };
        let rates = [Some("10.0.0.1"), Some("10.0.0.2"), None].map(|ip| rate(ip).effective);
        assert_eq!(rates, [Some(5.0), Some(20.0), Some(20.0)]);
        assert_eq!(
            rate(Some("10.0.0.1")).explanation,
            "The rule of address 10.0.0.1 gives 5 connections a second on each broker, shared by all clients of one \
             address; it goes before the more general one of every address without a rule of its own. \
             Over 3 brokers that is at most 15 connections a second, for who uses all of them."
        );
        assert_eq!(effective(&[], &client("shop", "till"), BOUNDS).limits[4].effective, None);
    }
}
