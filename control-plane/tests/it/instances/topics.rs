//! Topics through the API, on simulated brokers. What real ones make of it is in `local::topics`.

use super::cloud::{Cloud, INSTANCES};
use crate::support::{Answer, a_hundred_at_once};
use axum::http::Method;
use control_plane::drivers::{
    NodeRef,
    simulation::{Fault, Operation, Severity, When},
};
use control_plane_api::{
    audit::AuditEvent,
    id::InstanceId,
    instance::Plan,
    page::Page,
    problem::Problem,
    tenancy::Role,
    topic::{Topic, TopicSummary},
    usage::Usage,
};
use serde_json::{Value, json};

const TOPICS: &str = "/v1/projects/default/instances/orders/topics";

impl Cloud {
    async fn with_instance() -> (Self, InstanceId) {
        let cloud = Self::start().await;
        let id = cloud.bought("orders").await.id;
        (cloud, id)
    }

    async fn topic_call(&self, method: Method, rest: &str, body: Option<Value>) -> Answer {
        let call = self.app.call(method.clone(), format!("{TOPICS}{rest}")).by(self.owner());
        match body {
            Some(body) if method == Method::PATCH => {
                call.text("application/merge-patch+json", body.to_string()).send().await
            }
            Some(body) => call.json(body).send().await,
            None => call.send().await,
        }
    }

    async fn make(&self, body: Value) -> Answer {
        self.topic_call(Method::POST, "", Some(body)).await
    }

    async fn topic_names(&self, query: &str) -> Page<String> {
        let page: Page<TopicSummary> = self.topic_call(Method::GET, query, None).await.expect(200);
        let items = page.items.into_iter().map(|topic| topic.name).collect();
        Page { items, next_cursor: page.next_cursor, total: page.total }
    }

    async fn keyed(&self, key: &str, body: Value) -> Answer {
        self.app.post(TOPICS, body).by(self.owner()).header("idempotency-key", key).send().await
    }
}

#[tokio::test]
async fn a_topic_is_made_shown_grown_and_deleted_and_the_trail_has_all_of_it() {
    let (cloud, id) = Cloud::with_instance().await;
    let body = json!({ "name": "clicks", "partitions": 2, "replicas": 2, "config": { "retention.ms": "1000" } });
    let answer = cloud.make(body).await;
    let location = answer.header("location").unwrap().to_owned();
    let made: Topic = answer.expect(201);
    assert_eq!((made.summary.name.as_str(), made.summary.partition_count, made.summary.replicas), ("clicks", 2, 2));
    assert_eq!(made.config["retention.ms"], "1000");
    let leaders: Vec<Option<i32>> = made.partitions.iter().map(|partition| partition.leader).collect();
    assert_eq!(leaders, [Some(1), Some(2)]);
    let shown: Topic = cloud.app.get(location).by(cloud.owner()).send().await.expect(200);
    assert_eq!(shown, made);
    let plain: Topic = cloud.make(json!({ "name": "plain" })).await.expect(201);
    assert_eq!((plain.summary.partition_count, plain.summary.replicas, plain.config.len()), (3, 3, 0));

    let grow = |partitions: u32| cloud.topic_call(Method::PATCH, "/clicks", Some(json!({ "partitions": partitions })));
    let grown: Topic = grow(5).await.expect(200);
    assert_eq!(grown.partitions.len(), 5);
    assert_eq!(grow(5).await.expect::<Topic>(200), grown, "a repeat is harmless");
    let problem = grow(4).await.problem("validation-failed");
    let fault = &problem.errors[0];
    assert_eq!((fault.pointer.as_str(), fault.code.as_str()), ("/partitions", "topic-shrinks"));
    assert_eq!(grow(101).await.problem("validation-failed").errors[0].code, "out-of-range");
    let usage = || cloud.app.get(format!("{INSTANCES}/orders/usage")).by(cloud.owner()).send();
    assert_eq!(usage().await.expect::<Usage>(200).partitions.used, 8);

    assert_eq!(cloud.topic_call(Method::DELETE, "/clicks", None).await.status, 204);
    cloud.topic_call(Method::GET, "/clicks", None).await.problem("not-found");
    cloud.topic_call(Method::DELETE, "/clicks", None).await.problem("not-found");
    grow(9).await.problem("not-found");
    assert_eq!(cloud.world.topics(id).into_keys().collect::<Vec<_>>(), ["plain"]);

    let events: Page<AuditEvent> =
        cloud.app.get("/v1/audit-events?result=accepted").by(cloud.owner()).send().await.expect(200);
    let of_topics = events.items.iter().filter(|event| event.action.ends_with("_topic"));
    let told: Vec<_> =
        of_topics.map(|event| (event.action.as_str(), event.detail["topic"].as_str().unwrap())).collect();
    let expected =
        [("delete_topic", "clicks"), ("update_topic", "clicks"), ("create_topic", "plain"), ("create_topic", "clicks")];
    assert_eq!(told, expected);
    cloud.stop().await;
}

#[tokio::test]
async fn a_topic_beyond_the_partitions_that_were_bought_is_refused_with_the_figures_in_both_languages() {
    let (cloud, id) = Cloud::with_instance().await;
    for number in 0..14 {
        cloud.make(json!({ "name": format!("t-{number}"), "partitions": 20 })).await.expect::<Topic>(201);
    }
    cloud.make(json!({ "name": "last", "partitions": 19 })).await.expect::<Topic>(201);
    let refused = cloud.make(json!({ "name": "over", "partitions": 2 })).await.problem("partition-limit");
    assert_eq!((refused.status, refused.code.status()), (409, 409));
    let figures = ["limit", "used", "requested"].map(|name| refused.params[name].as_u64().unwrap());
    assert_eq!(figures, [300, 299, 2]);
    assert!(refused.detail.contains("may have 300 partitions and has 299"), "{}", refused.detail);
    let growing = json!({ "partitions": 21 });
    let refused = cloud.topic_call(Method::PATCH, "/last", Some(growing.clone())).await.problem("partition-limit");
    assert_eq!(refused.params["requested"], 2);
    let call =
        cloud.app.call(Method::PATCH, format!("{TOPICS}/last")).by(cloud.owner()).header("accept-language", "zh-CN");
    let chinese =
        call.text("application/merge-patch+json", growing.to_string()).send().await.problem("partition-limit");
    assert!(chinese.detail.contains("300 个分区"), "{}", chinese.detail);
    // A plan is refused likewise, and takes nothing.
    cloud.topic_call(Method::POST, "?dry_run=true", Some(json!({ "partitions": 2 }))).await.problem("partition-limit");
    cloud.topic_call(Method::PATCH, "/last?dry_run=true", Some(growing)).await.problem("partition-limit");
    cloud.make(json!({ "name": "one", "partitions": 1 })).await.expect::<Topic>(201);
    assert_eq!(cloud.world.topics(id).values().map(|topic| topic.partitions).sum::<u32>(), 300);
    cloud.stop().await;
}

#[tokio::test]
async fn every_change_of_a_topic_says_before_what_it_would_do() {
    let (cloud, id) = Cloud::with_instance().await;
    let plan = async |method, rest: &str, body| cloud.topic_call(method, rest, body).await.expect::<Plan>(200);
    let codes = |plan: &Plan| plan.checks.iter().map(|check| check.code.clone()).collect::<Vec<_>>();
    let made = plan(Method::POST, "?dry_run=true", Some(json!({ "name": "a", "replicas": 1 }))).await;
    assert_eq!(codes(&made), ["room", "one-replica"]);
    let paths: Vec<_> = made.changes.iter().map(|change| (change.path.as_str(), change.to.clone())).collect();
    assert_eq!(paths, [("/name", json!("a")), ("/partitions", json!(3)), ("/replicas", json!(1))]);
    assert!(cloud.world.topics(id).is_empty(), "nothing was done");
    cloud.make(json!({ "name": "a" })).await.expect::<Topic>(201);
    let grown = plan(Method::PATCH, "/a?dry_run=true", Some(json!({ "partitions": 4 }))).await;
    assert_eq!(codes(&grown), ["room", "keys-move"]);
    assert_eq!((&grown.changes[0].from, &grown.changes[0].to), (&json!(3), &json!(4)));
    let gone = plan(Method::DELETE, "/a?dry_run=true", None).await;
    assert_eq!((codes(&gone), gone.changes.len()), (vec!["data-lost".to_owned()], 2));
    let by_use = cloud.app.call(Method::PATCH, format!("{INSTANCES}/orders/access")).by(cloud.owner());
    by_use.json(json!({ "auto_create_topics": true })).header("prefer", "wait=30").send().await.expect::<Value>(202);
    assert_eq!(codes(&plan(Method::DELETE, "/a?dry_run=true", None).await), ["data-lost", "comes-back"]);
    assert_eq!(cloud.world.topics(id)["a"].partitions, 3, "nothing was done");
    cloud.stop().await;
}

#[tokio::test]
async fn what_no_topic_may_be_is_refused_with_its_place_and_a_name_is_given_once() {
    let (cloud, _) = Cloud::with_instance().await;
    for (body, pointer, code) in [
        (json!({ "name": "_a" }), "/name", "topic-name"),
        (json!({ "name": "__sluice_admission" }), "/name", "topic-name"),
        (json!({ "name": "sluice-canary-x" }), "/name", "topic-reserved"),
        (json!({ "partitions": 21 }), "/partitions", "out-of-range"),
        (json!({ "replicas": 4 }), "/replicas", "out-of-range"),
        (json!({ "config": { "colour": "blue" } }), "/config/colour", "topic-setting"),
        (
            json!({ "replicas": 1, "config": { "min.insync.replicas": "2" } }),
            "/config/min.insync.replicas",
            "topic-in-sync",
        ),
    ] {
        for language in ["en", "zh-CN"] {
            let call = cloud.app.post(TOPICS, body.clone()).by(cloud.owner()).header("accept-language", language);
            let problem: Problem = call.send().await.problem("validation-failed");
            let fault = &problem.errors[0];
            assert_eq!((fault.pointer.as_str(), fault.code.as_str()), (pointer, code));
            let chinese = fault.detail.chars().any(|letter| ('\u{4e00}'..='\u{9fff}').contains(&letter));
            assert_eq!(chinese, language == "zh-CN", "{}", fault.detail);
        }
    }
    cloud.make(json!({ "name": "a" })).await.expect::<Topic>(201);
    cloud.make(json!({ "name": "a" })).await.problem("name-taken");
    cloud.topic_call(Method::POST, "?dry_run=true", Some(json!({ "name": "a" }))).await.problem("name-taken");
    let unnamed: Topic = cloud.make(json!({})).await.expect(201);
    assert!(unnamed.summary.name.starts_with("topic-"), "{}", unnamed.summary.name);
    cloud.stop().await;
}

#[tokio::test]
async fn the_list_goes_by_pages_of_up_to_a_thousand_in_the_order_that_is_asked_for() {
    let (cloud, _) = Cloud::with_instance().await;
    for (name, partitions) in [("b", 2), ("a", 1), ("d", 2), ("c", 3)] {
        cloud.make(json!({ "name": name, "partitions": partitions })).await.expect::<Topic>(201);
    }
    for (sort, expected) in [
        ("name", ["a", "b", "c", "d"]),
        ("-name", ["d", "c", "b", "a"]),
        ("partitions", ["a", "b", "d", "c"]),
        ("-partitions", ["c", "b", "d", "a"]),
    ] {
        let whole = cloud.topic_names(&format!("?sort={sort}&count=exact&limit=1000")).await;
        assert_eq!((whole.items.as_slice(), whole.total), (expected.map(str::to_owned).as_slice(), Some(4)), "{sort}");
        let first = cloud.topic_names(&format!("?sort={sort}&limit=3")).await;
        let rest =
            cloud.topic_names(&format!("?sort={sort}&limit=3&cursor={}", first.next_cursor.clone().unwrap())).await;
        assert_eq!([first.items, rest.items].concat(), expected, "{sort}");
        assert_eq!(rest.next_cursor, None);
    }
    assert_eq!(cloud.topic_names("?q=d").await.items, ["d"]);
    let cursor = cloud.topic_names("?limit=1").await.next_cursor.unwrap();
    for wrong in ["?limit=1001", "?sort=size", "?internal=perhaps", &format!("?sort=-name&cursor={cursor}")] {
        cloud.topic_call(Method::GET, wrong, None).await.problem("malformed-request");
    }
    cloud.stop().await;
}

#[tokio::test]
async fn topics_of_kafka_are_shown_when_asked_for_and_never_changed() {
    let (cloud, _) = Cloud::with_instance().await;
    cloud.make(json!({ "name": "a" })).await.expect::<Topic>(201);
    assert_eq!(cloud.topic_names("?count=exact").await.total, Some(1));
    assert_eq!(cloud.topic_names("?internal=true").await.items, ["__consumer_offsets", "a"]);
    let own = "/__consumer_offsets";
    assert!(cloud.topic_call(Method::GET, own, None).await.expect::<Topic>(200).summary.internal);
    for plan in ["", "?dry_run=true"] {
        let path = format!("{own}{plan}");
        cloud.topic_call(Method::DELETE, &path, None).await.problem("topic-protected");
        let more = Some(json!({ "partitions": 60 }));
        cloud.topic_call(Method::PATCH, &path, more).await.problem("topic-protected");
    }
    cloud.stop().await;
}

#[tokio::test]
async fn who_may_read_may_not_write_and_who_may_write_may_not_delete() {
    let (cloud, _) = Cloud::with_instance().await;
    cloud.make(json!({ "name": "a" })).await.expect::<Topic>(201);
    let (viewer, developer) = (cloud.app.acme.person(Role::Viewer), cloud.app.acme.person(Role::Developer));
    cloud.app.get(format!("{TOPICS}/a")).by(viewer).send().await.expect::<Topic>(200);
    let refused = cloud.app.post(TOPICS, json!({ "name": "b" })).by(viewer).send().await.problem("forbidden");
    assert_eq!(refused.params["right"], "topic-write");
    cloud.app.post(TOPICS, json!({ "name": "b" })).by(developer).send().await.expect::<Topic>(201);
    let refused = cloud.app.call(Method::DELETE, format!("{TOPICS}/b")).by(developer).send().await.problem("forbidden");
    assert_eq!(refused.params["right"], "topic-delete");
    cloud.stop().await;
}

#[tokio::test]
async fn one_key_makes_one_topic_and_a_hundred_repeats_get_its_answer() {
    let (cloud, id) = Cloud::with_instance().await;
    a_hundred_at_once(async || cloud.keyed("k", json!({})).await).await;
    assert_eq!(cloud.world.topics(id).len(), 1);
    cloud.keyed("k", json!({ "partitions": 4 })).await.problem("idempotency-mismatch");
    // What was refused is not kept.
    cloud.keyed("taken", json!({ "name": "a" })).await.expect::<Topic>(201);
    cloud.keyed("other", json!({ "name": "a" })).await.problem("name-taken");
    assert_eq!(cloud.topic_call(Method::DELETE, "/a", None).await.status, 204);
    cloud.keyed("other", json!({ "name": "a" })).await.expect::<Topic>(201);
    cloud.stop().await;
}

#[tokio::test]
async fn a_broker_that_dies_or_whose_answer_is_lost_is_made_good_by_the_next_one_and_nothing_is_done_twice() {
    let (cloud, id) = Cloud::with_instance().await;
    let lost = |call| Fault {
        operation: Operation::ChangeTopic,
        call,
        when: When::AfterEffect,
        severity: Severity::Transient,
    };
    // Made at one broker, which is not heard; the next one finds it made. Grown and deleted likewise.
    cloud.world.fail(lost(1));
    cloud.make(json!({ "name": "a" })).await.expect::<Topic>(201);
    cloud.world.fail(lost(1));
    cloud.topic_call(Method::PATCH, "/a", Some(json!({ "partitions": 5 }))).await.expect::<Topic>(200);
    assert_eq!(cloud.world.topics(id)["a"].partitions, 5);
    cloud.world.fail(lost(1));
    assert_eq!(cloud.topic_call(Method::DELETE, "/a", None).await.status, 204);

    // No answer of any: the repeat with the same key finds it made, without one it is taken.
    (1..=3).for_each(|call| cloud.world.fail(lost(call)));
    let silent = cloud.keyed("k", json!({ "name": "b" })).await;
    assert!(silent.header("retry-after").is_some());
    silent.problem("kafka-unavailable");
    cloud.make(json!({ "name": "b" })).await.problem("name-taken");
    cloud.keyed("k", json!({ "name": "b" })).await.expect::<Topic>(201);
    assert_eq!(cloud.keyed("k", json!({ "name": "b" })).await.header("idempotency-replayed"), Some("true"));

    for broker in cloud.instance("orders").await.brokers {
        cloud.make(json!({ "name": format!("c-{}", broker.id) })).await.expect::<Topic>(201);
        cloud.world.kill_node(NodeRef { instance: id, node_id: broker.id });
    }
    cloud.make(json!({ "name": "d" })).await.problem("kafka-unavailable");
    cloud.topic_call(Method::GET, "", None).await.problem("kafka-unavailable");
    cloud.stop().await;
}
