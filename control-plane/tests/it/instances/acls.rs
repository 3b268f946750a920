//! Access rules, rights in plain words and the access mode, through the API, on simulated brokers.

use super::cloud::{Cloud, INSTANCES};
use crate::support::Answer;
use axum::http::Method;
use control_plane::drivers::{
    NodeRef,
    simulation::{Fault, Operation, Severity, When},
};
use control_plane_api::{
    access::{Access, Authorization},
    acl::{AclBinding, AclOperation, AclPermission},
    audit::AuditEvent,
    id::InstanceId,
    instance::Plan,
    job::{Job, JobState},
    kafka_rights::{KafkaRights, TopicRight},
    page::Page,
    problem::Problem,
    tenancy::Role,
};
use serde_json::{Value, json};

const ACLS: &str = "/v1/projects/default/instances/orders/acls";
const RIGHTS: &str = "/v1/projects/default/instances/orders/users/shop/rights";

impl Cloud {
    /// An instance `orders` with a user `shop` beside its first one.
    async fn with_user(&self) -> InstanceId {
        let id = self.bought("orders").await.id;
        self.done(Method::POST, &format!("{INSTANCES}/orders/users"), Some(json!({ "name": "shop" }))).await;
        id
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let call = self.app.call(method, path.to_owned()).by(self.owner()).header("prefer", "wait=30");
        match body {
            Some(body) => call.json(body).send().await,
            None => call.send().await,
        }
    }

    async fn done(&self, method: Method, path: &str, body: Option<Value>) -> Job {
        let job: Job = self.ask(method, path, body).await.expect(202);
        assert_eq!(job.state, JobState::Succeeded, "{job:?}");
        job
    }

    async fn acls(&self, query: &str) -> Page<AclBinding> {
        self.ask(Method::GET, &format!("{ACLS}{query}"), None).await.expect(200)
    }

    async fn rights(&self) -> KafkaRights {
        self.ask(Method::GET, RIGHTS, None).await.expect(200)
    }
}

fn rule(operation: &str, changes: Value) -> Value {
    let mut rule = json!({
        "resource_type": "topic", "resource_name": "orders", "principal": "User:shop", "operation": operation,
    });
    rule.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    rule
}

fn rules(rules: &[Value]) -> Option<Value> {
    Some(json!({ "bindings": rules }))
}

/// `principal operation name` of each.
fn said(bindings: &[AclBinding]) -> Vec<String> {
    let operation = |b: &AclBinding| serde_json::to_value(b.operation).unwrap().as_str().unwrap().to_owned();
    bindings.iter().map(|b| format!("{} {} {}", b.principal, operation(b), b.resource_name)).collect()
}

#[tokio::test]
async fn rules_are_made_listed_by_kafkas_filters_page_by_page_and_deleted() {
    let cloud = Cloud::start().await;
    let id = cloud.with_user().await;
    let platform = cloud.world.bindings(id);
    assert!(cloud.acls("").await.items.is_empty(), "the platform's are not shown");

    let wanted = [
        rule("read", json!({})),
        rule("write", json!({ "resource_name": "or", "pattern_type": "prefixed" })),
        rule("read", json!({ "principal": "User:cart", "permission": "deny" })),
        rule("read", json!({ "resource_type": "group", "resource_name": "*" })),
    ];
    let job = cloud.done(Method::POST, ACLS, rules(&wanted)).await;
    assert_eq!((job.kind.as_str(), job.result), ("acl-change", Some(json!({ "created": 4, "deleted": 0 }))));
    let again = cloud.done(Method::POST, ACLS, rules(&wanted[..1])).await;
    assert_eq!(again.result, Some(json!({ "created": 0, "deleted": 0 })), "it was there");

    let all = cloud.acls("?count=exact").await;
    assert_eq!(all.total, Some(4));
    assert_eq!(
        said(&all.items),
        ["User:shop write or", "User:cart read orders", "User:shop read orders", "User:shop read *"]
    );
    assert_eq!(all.items[1].permission, AclPermission::Deny);
    for (query, found) in [
        ("?principal=User:cart", vec!["User:cart read orders"]),
        ("?resource_name=orders&pattern_type=match&operation=write", vec!["User:shop write or"]),
        ("?resource_type=group", vec!["User:shop read *"]),
        ("?permission=deny", vec!["User:cart read orders"]),
        ("?pattern_type=prefixed", vec!["User:shop write or"]),
        ("?resource_name=none", vec![]),
    ] {
        assert_eq!(said(&cloud.acls(query).await.items), found, "{query}");
    }
    let first = cloud.acls("?limit=3").await;
    let rest = cloud.acls(&format!("?limit=3&cursor={}", first.next_cursor.expect("more"))).await;
    assert_eq!((first.items.len(), said(&rest.items), rest.next_cursor), (3, vec!["User:shop read *".into()], None));

    let path = format!("{ACLS}?principal=User:shop&resource_type=topic");
    let plan: Plan = cloud.ask(Method::DELETE, &format!("{path}&dry_run=true"), None).await.expect(200);
    let gone: Vec<Value> = plan.changes.into_iter().map(|change| change.from["operation"].clone()).collect();
    assert_eq!(gone, [json!("write"), json!("read")]);
    assert_eq!(cloud.acls("").await.items.len(), 4, "nothing was done");
    let job = cloud.done(Method::DELETE, &path, None).await;
    assert_eq!(job.result, Some(json!({ "created": 0, "deleted": 2 })));
    assert_eq!(said(&cloud.acls("").await.items), ["User:cart read orders", "User:shop read *"]);

    // The widest filter that there is.
    cloud.done(Method::DELETE, &format!("{ACLS}?pattern_type=any"), None).await;
    assert_eq!(cloud.world.bindings(id), platform, "of the platform's none is gone");
    cloud.stop().await;
}

#[tokio::test]
async fn what_would_be_void_or_is_the_platforms_is_refused_in_both_languages() {
    let cloud = Cloud::start().await;
    let id = cloud.with_user().await;
    let before = cloud.world.bindings(id);
    let bad = [
        rule("read", json!({ "host": "10.0.0.1" })),
        rule("read", json!({ "principal": "User:sluice-node" })),
        rule("all", json!({ "principal": "User:*", "resource_name": "*" })),
        rule("idempotent-write", json!({})),
        rule("cluster-action", json!({ "resource_type": "cluster", "resource_name": "kafka-cluster" })),
    ];
    for language in ["en", "zh-CN"] {
        let call = cloud.app.post(ACLS, rules(&bad).unwrap()).by(cloud.owner()).header("accept-language", language);
        let problem: Problem = call.send().await.problem("validation-failed");
        let faults: Vec<_> = problem.errors.iter().map(|fault| (fault.pointer.as_str(), fault.code.as_str())).collect();
        assert_eq!(
            faults,
            [
                ("/bindings/0/host", "acl-host"),
                ("/bindings/1/principal", "acl-platform"),
                ("/bindings/2/principal", "acl-platform"),
                ("/bindings/3/operation", "acl-operation"),
                ("/bindings/4/operation", "acl-cluster-action"),
            ]
        );
        let chinese = |text: &str| text.chars().any(|letter| ('\u{4e00}'..='\u{9fff}').contains(&letter));
        assert!(problem.errors.iter().all(|fault| chinese(&fault.detail) == (language == "zh-CN")));
    }
    cloud.ask(Method::POST, ACLS, rules(&[])).await.problem("validation-failed");
    cloud.ask(Method::POST, ACLS, rules(&vec![rule("read", json!({})); 1001])).await.problem("validation-failed");
    cloud.ask(Method::DELETE, ACLS, None).await.problem("validation-failed");
    cloud.ask(Method::GET, &format!("{ACLS}?operation=fly"), None).await.problem("malformed-request");
    assert_eq!(cloud.world.bindings(id), before);
    cloud.stop().await;
}

#[tokio::test]
async fn rights_are_granted_shown_and_revoked_in_plain_words() {
    let cloud = Cloud::start().await;
    cloud.with_user().await;
    let grant = json!({ "topic": "orders-*", "rights": ["produce", "consume"], "group": "shop-*" });
    let plan: Plan = cloud.ask(Method::PUT, &format!("{RIGHTS}?dry_run=true"), Some(grant.clone())).await.expect(200);
    assert_eq!(plan.changes.len(), 3);
    assert!(plan.checks.iter().any(|check| check.code == "authorization-open"), "{:?}", plan.checks);
    cloud.done(Method::PUT, RIGHTS, Some(grant)).await;
    cloud.done(Method::PUT, RIGHTS, Some(json!({ "topic": "bills", "rights": ["manage"] }))).await;
    cloud.done(Method::PUT, RIGHTS, Some(json!({ "transactional_id": "shop-*" }))).await;
    let denial = rule("delete", json!({ "resource_name": "bills", "permission": "deny" }));
    cloud.done(Method::POST, ACLS, rules(&[denial])).await;

    let rights = cloud.rights().await;
    let topics: Vec<_> = rights.topics.iter().map(|one| (one.topic.as_str(), one.rights.as_slice())).collect();
    use TopicRight::{Consume, Manage, Produce};
    assert_eq!(topics, [("bills", &[Manage][..]), ("orders-*", &[Produce, Consume][..])]);
    assert_eq!((rights.groups, rights.transactional_ids), (vec!["shop-*".to_owned()], vec!["shop-*".to_owned()]));
    assert_eq!(said(&rights.other), ["User:shop delete bills"]);
    assert!(!rights.in_force, "authorization is open");

    cloud.done(Method::DELETE, &format!("{RIGHTS}?topic=orders-*&rights=produce"), None).await;
    let rights = cloud.rights().await;
    assert_eq!(rights.topics.iter().find(|one| one.topic == "orders-*").unwrap().rights, [Consume]);
    cloud.done(Method::DELETE, &format!("{RIGHTS}?all=true"), None).await;
    let rights = cloud.rights().await;
    assert!(rights.topics.is_empty() && rights.groups.is_empty() && rights.other.is_empty(), "{rights:?}");

    let fault = |body: Value| cloud.ask(Method::PUT, RIGHTS, Some(body));
    let problem = fault(json!({ "topic": "orders", "rights": ["consume"] })).await.problem("validation-failed");
    assert_eq!(problem.errors[0].code, "group-missing");
    fault(json!({})).await.problem("validation-failed");
    let both = cloud.ask(Method::DELETE, &format!("{RIGHTS}?all=true&topic=orders"), None).await;
    assert_eq!(both.problem("validation-failed").errors[0].code, "all-alone");
    let nobody = RIGHTS.replace("shop", "nobody");
    cloud.ask(Method::GET, &nobody, None).await.problem("not-found");
    cloud.ask(Method::PUT, &nobody, Some(json!({ "group": "a" }))).await.problem("not-found");
    cloud.stop().await;
}

#[tokio::test]
async fn the_access_mode_is_switched_both_ways_and_the_plan_says_who_loses_what() {
    let cloud = Cloud::start().await;
    let id = cloud.with_user().await;
    let open = cloud.world.bindings(id);
    cloud.done(Method::PUT, RIGHTS, Some(json!({ "topic": "orders", "rights": ["produce"] }))).await;
    let access = format!("{INSTANCES}/orders/access");
    let patch = async |query: &str, body: Value| {
        let call = cloud.app.call(Method::PATCH, format!("{access}{query}"));
        call.json(body).by(cloud.owner()).header("prefer", "wait=30").send().await
    };
    let codes = |plan: &Plan| -> Vec<(String, String)> {
        plan.checks.iter().map(|check| (check.code.clone(), check.detail.clone())).collect()
    };

    let lost = cloud.instance("orders").await.brokers[1].id;
    cloud.world.kill_node(NodeRef { instance: id, node_id: lost });
    let plan: Plan = patch("?dry_run=true", json!({ "authorization": "acl" })).await.expect(200);
    let told = codes(&plan);
    let says = |code: &str, part: &str| told.iter().any(|(of, detail)| of == code && detail.contains(part));
    assert!(says("user-loses-all", "admin has no rights"), "{told:?}");
    assert!(says("user-keeps", "shop keeps produce on orders"), "{told:?}");
    assert!(says("anonymous-lose", "9092"), "{told:?}");
    assert!(says("broker-silent", &format!("broker {lost}")), "{told:?}");
    let steps: Vec<_> = plan.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(steps, ["bind-acls", "tell-brokers", "release-addresses"]);
    let spared: Plan = patch("?dry_run=true", json!({ "authorization": "acl", "anonymous": "open" })).await.expect(200);
    assert!(!codes(&spared).iter().any(|(code, _)| code == "anonymous-lose"));
    cloud.stop().await;

    let cloud = Cloud::start().await;
    let id = cloud.with_user().await;
    assert_eq!(cloud.world.bindings(id), open);
    cloud.done(Method::PUT, RIGHTS, Some(json!({ "topic": "orders", "rights": ["produce"] }))).await;
    let allowed = || -> Vec<String> {
        let bindings = cloud.world.bindings(id).into_iter();
        let mut allowed: Vec<_> =
            bindings.filter(|b| b.permission == AclPermission::Allow).map(|b| b.principal).collect();
        allowed.dedup();
        allowed.sort_unstable();
        allowed.dedup();
        allowed
    };
    let set = async |body: Value| {
        let call = cloud.app.call(Method::PATCH, access.clone()).json(body).by(cloud.owner());
        let job: Job = call.header("prefer", "wait=30").send().await.expect(202);
        assert_eq!((job.kind.as_str(), job.state), ("instance-configure", JobState::Succeeded), "{job:?}");
    };
    set(json!({ "authorization": "acl" })).await;
    assert_eq!(allowed(), ["User:shop"]);
    let shown: Access = cloud.ask(Method::GET, &access, None).await.expect(200);
    assert_eq!((shown.authorization, shown.anonymous), (Authorization::Acl, Authorization::Acl));
    assert!(cloud.rights().await.in_force);
    set(json!({ "anonymous": "open" })).await;
    assert_eq!(allowed(), ["User:ANONYMOUS", "User:shop"]);
    // Other changes of the access leave the mode alone.
    set(json!({ "deny_ips": ["10.9.8.7"] })).await;
    assert_eq!(allowed(), ["User:ANONYMOUS", "User:shop"]);
    set(json!({ "authorization": null, "anonymous": null })).await;
    assert_eq!(allowed(), ["User:*", "User:shop"]);
    cloud.done(Method::DELETE, &format!("{RIGHTS}?all=true"), None).await;
    assert_eq!(cloud.world.bindings(id), open);
    cloud.stop().await;
}

#[tokio::test]
async fn a_kafka_that_does_not_answer_is_told_as_such_and_a_write_waits_for_it() {
    let cloud = Cloud::start().await;
    let id = cloud.with_user().await;
    let fault = |operation| Fault { operation, call: 1, when: When::BeforeEffect, severity: Severity::Transient };
    cloud.world.fail(fault(Operation::ReadAcls));
    let answer = cloud.ask(Method::GET, ACLS, None).await;
    assert!(answer.header("retry-after").is_some());
    answer.problem("kafka-unavailable");
    cloud.world.fail(fault(Operation::PutAcls));
    cloud.done(Method::POST, ACLS, rules(&[rule("read", json!({}))])).await;
    let made = cloud.world.bindings(id).into_iter().filter(|binding| binding.principal == "User:shop");
    assert_eq!(made.map(|binding| binding.operation).collect::<Vec<_>>(), [AclOperation::Read]);
    cloud.stop().await;
}

#[tokio::test]
async fn a_repeat_makes_one_job_and_the_trail_names_every_binding() {
    let cloud = Cloud::start().await;
    cloud.with_user().await;
    let create = async || {
        let call = cloud.app.post(ACLS, rules(&[rule("read", json!({}))]).unwrap()).by(cloud.owner());
        call.header("idempotency-key", "one").header("prefer", "wait=30").send().await
    };
    let (first, again) = (create().await, create().await);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(first.expect::<Job>(202).id, again.expect::<Job>(202).id);
    cloud.done(Method::DELETE, &format!("{RIGHTS}?all=true"), None).await;
    let trail: Page<AuditEvent> = cloud.app.get("/v1/audit-events").by(cloud.owner()).send().await.expect(200);
    let of = |action: &str| {
        let found: Vec<_> = trail.items.iter().filter(|event| event.action == action).collect();
        assert_eq!(found.len(), 1, "{action}");
        serde_json::to_string(found[0]).expect("JSON")
    };
    for action in ["create_acls", "revoke_kafka_rights"] {
        assert!(of(action).contains("User:shop"), "{action}");
    }
    cloud.stop().await;
}

#[tokio::test]
async fn who_may_only_look_changes_nothing_and_other_tenants_see_nothing() {
    let cloud = Cloud::start().await;
    let id = cloud.with_user().await;
    let viewer = cloud.app.acme.person(Role::Viewer);
    cloud.app.get(ACLS).by(viewer).send().await.expect::<Page<AclBinding>>(200);
    cloud.app.get(RIGHTS).by(viewer).send().await.expect::<KafkaRights>(200);
    let refused = cloud.app.post(ACLS, rules(&[rule("read", json!({}))]).unwrap()).by(viewer).send().await;
    assert_eq!(refused.problem("forbidden").params["right"], json!("kafka-user-write"));

    let before = cloud.world.bindings(id);
    let stranger = cloud.app.globex.owner();
    for (method, rest, body) in [
        (Method::GET, "acls", None),
        (Method::POST, "acls", rules(&[rule("read", json!({}))])),
        (Method::DELETE, "acls?principal=User:shop", None),
        (Method::GET, "users/shop/rights", None),
        (Method::PUT, "users/shop/rights", Some(json!({ "group": "a" }))),
        (Method::DELETE, "users/shop/rights?all=true", None),
        (Method::PATCH, "access", Some(json!({ "authorization": "acl" }))),
    ] {
        let call = cloud.app.call(method, format!("{INSTANCES}/{id}/{rest}")).by(stranger);
        let call = match body {
            Some(body) => call.json(body),
            None => call,
        };
        call.send().await.problem("not-found");
    }
    assert_eq!(cloud.world.bindings(id), before);
    cloud.stop().await;
}
