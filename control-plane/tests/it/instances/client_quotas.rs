//! Quotas of clients, through the API, on simulated brokers.

use super::cloud::{Cloud, INSTANCES};
use crate::support::Answer;
use axum::http::Method;
use broker_api::spec::{ConnectionRates, GatewaySpec, TopicRates};
use control_plane::drivers::simulation::{Fault, Operation, Severity, When};
use control_plane_api::{
    audit::AuditEvent,
    client_quota::{ClientQuota, EffectiveQuotas, QuotaDecider},
    id::InstanceId,
    instance::Plan,
    job::{Job, JobState},
    page::Page,
    problem::Problem,
    tenancy::Role,
};
use serde_json::{Value, json};

const QUOTAS: &str = "/v1/projects/default/instances/orders/client-quotas";

impl Cloud {
    async fn ask_quotas(&self, method: Method, rest: &str, body: Option<Value>) -> Answer {
        let call = self.app.call(method, format!("{QUOTAS}{rest}")).by(self.owner()).header("prefer", "wait=30");
        match body {
            Some(body) => call.json(body).send().await,
            None => call.send().await,
        }
    }

    async fn quotas_changed(&self, method: Method, rest: &str, body: Option<Value>) -> Job {
        let job: Job = self.ask_quotas(method, rest, body).await.expect(202);
        assert_eq!((job.state, job.kind.as_str()), (JobState::Succeeded, "client-quota-change"), "{job:?}");
        job
    }

    async fn quotas(&self, query: &str) -> Page<ClientQuota> {
        self.ask_quotas(Method::GET, query, None).await.expect(200)
    }

    /// Each fault is told with its place, in the language that is asked for.
    async fn quotas_refused(&self, bad: &[(Value, Value)], expected: &[(&str, &str)]) {
        for language in ["en", "zh-CN"] {
            let call = self.app.post(QUOTAS, rules(bad).unwrap()).by(self.owner()).header("accept-language", language);
            let problem: Problem = call.send().await.problem("validation-failed");
            let faults: Vec<_> =
                problem.errors.iter().map(|fault| (fault.pointer.as_str(), fault.code.as_str())).collect();
            assert_eq!(faults, expected);
            let chinese = problem.errors.iter().all(|fault| fault.detail.chars().any(|c| ('一'..='龥').contains(&c)));
            assert_eq!(chinese, language == "zh-CN", "{:?}", problem.errors);
        }
    }

    /// What the gateways of an instance were told.
    fn each_gateway<T>(&self, instance: InstanceId, what: impl Fn(GatewaySpec) -> T) -> Vec<T> {
        let nodes = self.world.nodes().into_iter().filter(|node| node.instance == instance);
        nodes.map(|node| what(self.world.spec(node).unwrap().gateway)).collect()
    }

    async fn explained(&self, query: &str) -> EffectiveQuotas {
        self.ask_quotas(Method::GET, &format!("/effective{query}"), None).await.expect(200)
    }
}

fn rules(rules: &[(Value, Value)]) -> Option<Value> {
    let rules = rules.iter().map(|(entity, limits)| json!({ "entity": entity, "limits": limits }));
    Some(json!({ "rules": rules.collect::<Vec<_>>() }))
}

fn entities(page: &Page<ClientQuota>) -> Vec<Value> {
    page.items.iter().map(|quota| json!(quota.entity)).collect()
}

#[tokio::test]
async fn quotas_are_set_listed_for_one_broker_and_for_all_page_by_page_and_deleted() {
    let cloud = Cloud::start().await;
    let id = cloud.bought("orders").await.id;
    assert_eq!(cloud.world.quotas(id), Some([].into()), "the platform has its own from the beginning, and shows none");

    let wanted = [
        (json!({ "user": "shop" }), json!({ "producer_byte_rate": 1_000_000, "request_percentage": 50.0 })),
        (json!({ "user": "shop", "client_id": "till" }), json!({ "producer_byte_rate": 2_000_000 })),
        (json!({ "default_user": true }), json!({ "controller_mutation_rate": 2.0 })),
    ];
    let job = cloud.quotas_changed(Method::POST, "", rules(&wanted)).await;
    assert_eq!(job.result, Some(json!({ "set": 3, "removed": 0 })));
    let again = cloud.quotas_changed(Method::POST, "", rules(&wanted[..1])).await;
    assert_eq!(again.result, Some(json!({ "set": 0, "removed": 0 })), "it was so");

    let all = cloud.quotas("?count=exact").await;
    assert_eq!(all.total, Some(3));
    let shop = json!({ "user": "shop" });
    assert_eq!(
        entities(&all),
        [json!({ "default_user": true }), shop.clone(), json!({ "user": "shop", "client_id": "till" })]
    );
    assert_eq!(all.items[1].limits.producer_byte_rate, Some(1_000_000));
    assert_eq!(all.items[1].limits_over_all.producer_byte_rate, Some(3_000_000), "three brokers");
    assert_eq!(all.items[0].limits_over_all.controller_mutation_rate, Some(2.0), "that of the instance");
    for (query, found) in [
        ("?user=shop", 2),
        ("?user=shop&key=request_percentage", 1),
        ("?default_user=true", 1),
        ("?client_id=till", 1),
        ("?user=cart", 0),
    ] {
        assert_eq!(cloud.quotas(query).await.items.len(), found, "{query}");
    }
    let first = cloud.quotas("?limit=2").await;
    let rest = cloud.quotas(&format!("?limit=2&cursor={}", first.next_cursor.expect("more"))).await;
    assert_eq!((first.items.len(), rest.items.len(), rest.next_cursor), (2, 1, None));

    // One figure, of exactly the entity that is named.
    let one = "?user=shop&key=producer_byte_rate";
    let plan: Plan = cloud.ask_quotas(Method::DELETE, &format!("{one}&dry_run=true"), None).await.expect(200);
    assert_eq!(plan.changes.len(), 1);
    assert_eq!(plan.changes[0].from, json!({ "entity": shop, "producer_byte_rate": 1_000_000.0 }));
    cloud.quotas_changed(Method::DELETE, one, None).await;
    let left = cloud.quotas("?user=shop").await;
    assert_eq!((left.items[0].limits.producer_byte_rate, left.items[0].limits.request_percentage), (None, Some(50.0)));
    assert_eq!(left.items.len(), 2, "that of the client id stays");
    let job = cloud.quotas_changed(Method::DELETE, "?user=shop", None).await;
    assert_eq!(job.result, Some(json!({ "set": 0, "removed": 1 })));
    let job = cloud.quotas_changed(Method::DELETE, "?user=shop", None).await;
    assert_eq!(job.result, Some(json!({ "set": 0, "removed": 0 })), "it is gone already");

    let trail: Page<AuditEvent> =
        cloud.app.get("/v1/audit-events?action=delete_client_quotas").by(cloud.owner()).send().await.expect(200);
    let details: Vec<_> = trail.items.iter().map(|event| event.detail["removed"].clone()).collect();
    assert!(details.contains(&json!([{ "entity": shop, "limits": { "request_percentage": 50.0 } }])), "{details:?}");
    cloud.stop().await;
}

#[tokio::test]
async fn the_rule_that_wins_is_explained_beside_what_was_bought() {
    let cloud = Cloud::start().await;
    cloud.bought("orders").await;
    let share = 33_333_334;
    let free = cloud.explained("?user=shop").await;
    assert_eq!((free.brokers, free.limits[0].decided_by), (3, QuotaDecider::Bandwidth));
    assert_eq!(free.limits[0].bandwidth_share, Some(share));
    let wanted = [
        (json!({ "user": "shop" }), json!({ "producer_byte_rate": 1_000_000 })),
        (json!({ "default_user": true }), json!({ "producer_byte_rate": 500_000, "consumer_byte_rate": 90_000_000 })),
    ];
    cloud.quotas_changed(Method::POST, "", rules(&wanted)).await;
    let shop = cloud.explained("?user=shop&client_id=till").await;
    let [produce, consume, ..] = &shop.limits[..] else { panic!("{shop:?}") };
    assert_eq!((produce.effective, produce.effective_over_all), (Some(1_000_000.0), Some(3_000_000.0)));
    assert_eq!((produce.decided_by, produce.overruled.len()), (QuotaDecider::Rule, 1));
    assert!(produce.explanation.contains("The rule of user shop gives 1000000 bytes a second"), "{produce:?}");
    assert_eq!((consume.effective, consume.decided_by), (Some(f64::from(share as u32)), QuotaDecider::Bandwidth));
    let nobody = cloud.explained("").await;
    assert_eq!((nobody.user.as_str(), nobody.limits[0].effective), ("ANONYMOUS", Some(500_000.0)));
    cloud.stop().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_in_both_languages_and_what_should_be_known_is_in_the_plan() {
    let cloud = Cloud::start().await;
    cloud.bought("orders").await;
    let bad = rules(&[
        (json!({}), json!({ "producer_byte_rate": 1_000_000 })),
        (json!({ "user": "sluice-node" }), json!({ "producer_byte_rate": 1 })),
        (json!({ "user": "a", "default_user": true }), json!({})),
    ]);
    for language in ["en", "zh-CN"] {
        let call = cloud.app.post(QUOTAS, bad.clone().unwrap()).by(cloud.owner()).header("accept-language", language);
        let problem: Problem = call.send().await.problem("validation-failed");
        let faults: Vec<_> = problem.errors.iter().map(|fault| (fault.pointer.as_str(), fault.code.as_str())).collect();
        assert_eq!(
            faults,
            [
                ("/rules/0/entity", "quota-entity-missing"),
                ("/rules/1/entity/user", "quota-platform-user"),
                ("/rules/1/limits/producer_byte_rate", "out-of-range"),
                ("/rules/2/entity/user", "quota-entity-both"),
                ("/rules/2/limits", "quota-limit-missing"),
            ]
        );
        let chinese = problem.errors.iter().all(|fault| fault.detail.chars().any(|c| ('一'..='龥').contains(&c)));
        assert_eq!(chinese, language == "zh-CN", "{:?}", problem.errors);
    }
    // Of requests by topic there are none, and of bytes by address none, rather than ones that do nothing.
    let by_topic = rules(&[(json!({ "topic": "orders" }), json!({ "request_percentage": 50 }))]);
    let problem = cloud.ask_quotas(Method::POST, "", by_topic).await.problem("validation-failed");
    assert_eq!(problem.errors[0].code, "quota-limit-kind");
    let by_address = rules(&[(json!({ "ip": "10.0.0.1" }), json!({ "producer_byte_rate": 1_000_000 }))]);
    let problem = cloud.ask_quotas(Method::POST, "", by_address).await.problem("validation-failed");
    assert_eq!(problem.errors[0].code, "quota-limit-kind");
    let problem = cloud.ask_quotas(Method::DELETE, "", None).await.problem("validation-failed");
    assert_eq!(problem.errors[0].code, "quota-entity-missing");

    let slow = rules(&[(json!({ "user": "shop" }), json!({ "producer_byte_rate": 20_000 }))]);
    let plan: Plan = cloud.ask_quotas(Method::POST, "?dry_run=true", slow).await.expect(200);
    let codes: Vec<_> = plan.checks.iter().map(|check| check.code.as_str()).collect();
    assert_eq!((codes, plan.changes.len()), (vec!["live", "long-pauses"], 1));
    assert!(cloud.quotas("").await.items.is_empty(), "nothing was set");
    cloud.stop().await;
}

#[tokio::test]
async fn rules_of_addresses_are_told_to_every_gateway_and_listed_with_kafkas() {
    let cloud = Cloud::start().await;
    let id = cloud.bought("orders").await.id;
    let told = || cloud.each_gateway(id, |gateway| gateway.connection_rates);
    let wanted = [
        (json!({ "ip": "::ffff:10.0.0.1" }), json!({ "connection_creation_rate": 5 })),
        (json!({ "default_ip": true }), json!({ "connection_creation_rate": 50 })),
        (json!({ "user": "shop" }), json!({ "producer_byte_rate": 1_000_000 })),
    ];
    let plan: Plan = cloud.ask_quotas(Method::POST, "?dry_run=true", rules(&wanted)).await.expect(200);
    let address = json!({ "entity": { "ip": "10.0.0.1" }, "connection_creation_rate": 5.0 });
    assert_eq!((plan.changes.len(), &plan.changes[0].to), (3, &address));
    assert_eq!((plan.checks.len(), plan.checks[1].code.as_str()), (2, "slow-return"));
    assert_eq!(told(), vec![ConnectionRates::default(); 3], "a plan changes nothing");

    let job = cloud.quotas_changed(Method::POST, "", rules(&wanted)).await;
    assert_eq!(job.result, Some(json!({ "set": 3, "removed": 0 })));
    let rates = ConnectionRates { default: Some(50), of_ip: [("10.0.0.1".parse().unwrap(), 5)].into() };
    assert_eq!(told(), vec![rates; 3]);
    assert_eq!(cloud.world.quotas(id).expect("shielded").len(), 1, "Kafka is told of its own only");
    let again = cloud.quotas_changed(Method::POST, "", rules(&wanted[..2])).await;
    assert_eq!(again.result, Some(json!({ "set": 0, "removed": 0 })), "it was so");

    let listed = cloud.quotas("?key=connection_creation_rate").await;
    assert_eq!(entities(&listed), [json!({ "default_ip": true }), json!({ "ip": "10.0.0.1" })]);
    assert_eq!(listed.items[1].limits_over_all.connection_creation_rate, Some(15), "three brokers");
    for query in ["?ip=10.0.0.1", "?ip=::ffff:a00:1"] {
        assert_eq!(entities(&cloud.quotas(query).await), [json!({ "ip": "10.0.0.1" })], "{query}");
        let explained = cloud.explained(query).await;
        assert_eq!(explained.ip.as_deref(), Some("10.0.0.1"));
        assert_eq!((explained.limits[4].effective, explained.limits[4].overruled.len()), (Some(5.0), 1));
    }
    let other = cloud.explained("?ip=fd00::7").await;
    assert_eq!((other.limits[4].effective, other.limits[4].effective_over_all), (Some(50.0), Some(150.0)));

    cloud.quotas_changed(Method::DELETE, "?ip=::ffff:10.0.0.1&key=connection_creation_rate", None).await;
    cloud.quotas_changed(Method::DELETE, "?default_ip=true", None).await;
    assert_eq!(told(), vec![ConnectionRates::default(); 3]);
    assert_eq!(entities(&cloud.quotas("").await), [json!({ "user": "shop" })]);
    cloud.stop().await;
}

#[tokio::test]
async fn what_is_no_rule_of_an_address_is_refused_with_its_place_and_there_are_a_thousand_at_most() {
    let cloud = Cloud::start().await;
    cloud.bought("orders").await;
    let of = |entity: Value| (entity, json!({ "connection_creation_rate": 5 }));
    let bad = [
        of(json!({ "ip": "10.0.0.0/8" })),
        of(json!({ "ip": "10.0.0.1" })),
        of(json!({ "ip": "::ffff:10.0.0.1" })),
        of(json!({ "ip": "10.0.0.2", "user": "shop" })),
        of(json!({ "user": "shop" })),
        (json!({ "default_ip": true }), json!({ "connection_creation_rate": 0 })),
    ];
    let expected = [
        ("/rules/0/entity/ip", "quota-ip"),
        ("/rules/2/entity", "quota-twice"),
        ("/rules/3/entity", "quota-ip-alone"),
        ("/rules/4/limits/connection_creation_rate", "quota-limit-kind"),
        ("/rules/5/limits/connection_creation_rate", "out-of-range"),
    ];
    cloud.quotas_refused(&bad, &expected).await;
    for (method, query) in [(Method::GET, ""), (Method::GET, "/effective"), (Method::DELETE, "")] {
        let problem = cloud.ask_quotas(method, &format!("{query}?ip=shop"), None).await.problem("validation-failed");
        assert_eq!((problem.errors[0].pointer.as_str(), problem.errors[0].code.as_str()), ("ip", "quota-ip"));
    }

    for block in 0..10 {
        let hundred: Vec<_> = (0..100).map(|last| of(json!({ "ip": format!("10.0.{block}.{last}") }))).collect();
        cloud.quotas_changed(Method::POST, "", rules(&hundred)).await;
    }
    let one_more = [of(json!({ "ip": "10.1.0.1" }))];
    for query in ["", "?dry_run=true"] {
        let problem = cloud.ask_quotas(Method::POST, query, rules(&one_more)).await.problem("validation-failed");
        assert_eq!(problem.errors[0].code, "quota-ip-many");
    }
    cloud.quotas_changed(Method::POST, "", rules(&[of(json!({ "default_ip": true }))])).await;
    cloud.quotas_changed(Method::DELETE, "?ip=10.0.9.99", None).await;
    cloud.quotas_changed(Method::POST, "", rules(&one_more)).await;
    cloud.stop().await;
}

#[tokio::test]
async fn rules_of_topics_are_told_to_every_gateway_listed_with_kafkas_and_hold_beside_them() {
    let cloud = Cloud::start().await;
    let id = cloud.bought("orders").await.id;
    let told = || cloud.each_gateway(id, |gateway| gateway.topic_rates);
    let wanted = [
        (json!({ "topic": "orders" }), json!({ "producer_byte_rate": 1_000_000, "consumer_byte_rate": 2_000_000 })),
        (json!({ "user": "shop" }), json!({ "producer_byte_rate": 500_000 })),
    ];
    let plan: Plan = cloud.ask_quotas(Method::POST, "?dry_run=true", rules(&wanted)).await.expect(200);
    let produce = json!({ "entity": { "topic": "orders" }, "producer_byte_rate": 1_000_000.0 });
    assert_eq!((plan.changes.len(), &plan.changes[0].to), (3, &produce));
    assert_eq!(told(), vec![[].into(); 3], "a plan changes nothing");

    let job = cloud.quotas_changed(Method::POST, "", rules(&wanted)).await;
    assert_eq!(job.result, Some(json!({ "set": 2, "removed": 0 })));
    let rates = TopicRates { produce: Some(1_000_000), consume: Some(2_000_000) };
    assert_eq!(told(), vec![[("orders".to_owned(), rates)].into(); 3]);
    assert_eq!(cloud.world.quotas(id).expect("shielded").len(), 1, "Kafka is told of its own only");
    let again = cloud.quotas_changed(Method::POST, "", rules(&wanted[..1])).await;
    assert_eq!(again.result, Some(json!({ "set": 0, "removed": 0 })), "it was so");

    let listed = cloud.quotas("?topic=orders").await;
    assert_eq!(entities(&listed), [json!({ "topic": "orders" })]);
    assert_eq!(listed.items[0].limits_over_all.consumer_byte_rate, Some(6_000_000), "three brokers");
    assert_eq!(cloud.quotas("").await.items.len(), 2);
    let shop = cloud.explained("?user=shop&topic=orders").await;
    assert_eq!((shop.limits[0].effective, shop.limits[0].decided_by), (Some(500_000.0), QuotaDecider::Rule));
    assert_eq!((shop.limits[1].effective, shop.limits[1].decided_by), (Some(2_000_000.0), QuotaDecider::Topic));
    assert_eq!(shop.topic.as_deref(), Some("orders"));

    cloud.quotas_changed(Method::DELETE, "?topic=orders&key=producer_byte_rate", None).await;
    assert_eq!(told()[2]["orders"], TopicRates { produce: None, consume: Some(2_000_000) });
    cloud.quotas_changed(Method::DELETE, "?topic=orders", None).await;
    assert_eq!(told(), vec![[].into(); 3]);
    assert_eq!(entities(&cloud.quotas("").await), [json!({ "user": "shop" })]);
    cloud.stop().await;
}

#[tokio::test]
async fn what_is_no_rule_of_a_topic_is_refused_in_both_languages_and_there_are_a_thousand_at_most() {
    let cloud = Cloud::start().await;
    cloud.bought("orders").await;
    let of = |entity: Value| (entity, json!({ "producer_byte_rate": 50_000 }));
    let bad = [
        of(json!({ "topic": "orders*" })),
        of(json!({ "topic": "__consumer_offsets" })),
        of(json!({ "topic": "orders", "user": "shop" })),
        (json!({ "topic": "orders" }), json!({ "controller_mutation_rate": 2.0 })),
    ];
    let expected = [
        ("/rules/0/entity/topic", "quota-topic"),
        ("/rules/1/entity/topic", "quota-topic-internal"),
        ("/rules/2/entity", "quota-topic-alone"),
        ("/rules/3/limits/controller_mutation_rate", "quota-limit-kind"),
    ];
    cloud.quotas_refused(&bad, &expected).await;
    for block in 0..10 {
        let hundred: Vec<_> = (0..100).map(|last| of(json!({ "topic": format!("t-{block}-{last}") }))).collect();
        cloud.quotas_changed(Method::POST, "", rules(&hundred)).await;
    }
    let one_more = [of(json!({ "topic": "one-more" }))];
    for query in ["", "?dry_run=true"] {
        let problem = cloud.ask_quotas(Method::POST, query, rules(&one_more)).await.problem("validation-failed");
        assert_eq!(problem.errors[0].code, "quota-topic-many");
    }
    cloud.quotas_changed(Method::DELETE, "?topic=t-9-99", None).await;
    cloud.quotas_changed(Method::POST, "", rules(&one_more)).await;
    cloud.stop().await;
}

#[tokio::test]
async fn while_kafka_is_away_lists_say_so_and_a_change_waits_for_it() {
    let cloud = Cloud::start().await;
    let id = cloud.bought("orders").await.id;
    let away = |operation| Fault { operation, call: 1, when: When::BeforeEffect, severity: Severity::Transient };
    cloud.world.fail(away(Operation::ReadQuotas));
    cloud.ask_quotas(Method::GET, "", None).await.problem("kafka-unavailable");
    cloud.world.fail(away(Operation::PutQuotas));
    let body = rules(&[(json!({ "client_id": "till" }), json!({ "consumer_byte_rate": 1_000_000 }))]);
    cloud.quotas_changed(Method::POST, "", body).await;
    assert_eq!(cloud.world.quotas(id).expect("shielded").len(), 1);

    let viewer = cloud.app.acme.person(Role::Viewer);
    cloud.app.call(Method::DELETE, format!("{QUOTAS}?client_id=till")).by(viewer).send().await.problem("forbidden");
    cloud.app.get(format!("{INSTANCES}/none/client-quotas")).by(cloud.owner()).send().await.problem("not-found");
    cloud.stop().await;
}
