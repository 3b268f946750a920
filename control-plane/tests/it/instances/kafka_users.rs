//! Kafka users of an instance, through the API, on simulated brokers.

use super::cloud::{Cloud, INSTANCES, JOBS, order};
use crate::support::Answer;
use axum::http::Method;
use control_plane_api::{
    audit::AuditEvent,
    instance::{Instance, Plan},
    job::{Job, JobState, RevealedResult},
    kafka_user::KafkaUser,
    page::Page,
    tenancy::Role,
};
use serde_json::{Value, json};

const USERS: &str = "/v1/projects/default/instances/orders/users";

impl Cloud {
    /// A change of a user of the instance `orders`, waited for.
    async fn user_change(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let call = self.app.call(method, format!("{USERS}{path}")).by(self.owner()).header("prefer", "wait=30");
        match body {
            Some(body) => call.json(body).send().await,
            None => call.send().await,
        }
    }

    async fn changed(&self, method: Method, path: &str, body: Option<Value>) -> Job {
        let job: Job = self.user_change(method, path, body).await.expect(202);
        assert_eq!(job.state, JobState::Succeeded, "{job:?}");
        job
    }

    async fn user_names(&self, query: &str) -> (Vec<String>, Option<String>) {
        let page: Page<KafkaUser> = self.app.get(format!("{USERS}{query}")).by(self.owner()).send().await.expect(200);
        (page.items.into_iter().map(|user| user.name).collect(), page.next_cursor)
    }

    async fn generation(&self) -> i64 {
        self.count("select generation from instances").await
    }

    /// What each broker was told of ended logins of this user.
    fn ended_logins(&self, of: &Instance, user: &str) -> Vec<Option<u64>> {
        let nodes = self.world.nodes().into_iter().filter(|node| node.instance == of.id);
        nodes.map(|node| self.world.spec(node).unwrap().gateway.ended_logins.get(user).copied()).collect()
    }
}

#[tokio::test]
async fn a_user_is_made_disabled_enabled_given_another_password_and_deleted() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let admits = |user: &str, password: &str| cloud.world.admits(instance.id, user, password);
    assert_eq!(cloud.user_names("").await.0, ["admin"], "the first user came with the purchase");

    let made = cloud.changed(Method::POST, "", Some(json!({ "name": "shop" }))).await;
    assert_eq!(made.result, Some(json!({ "user": "shop" })));
    assert!(made.secrets_waiting);
    let reveal = cloud.app.call(Method::POST, format!("{JOBS}/{}/reveal", made.id)).by(cloud.owner());
    let revealed: RevealedResult = reveal.send().await.expect(200);
    let first = revealed.secrets["password"].as_str().expect("a password").to_owned();
    assert!(admits("shop", &first));

    let before = cloud.generation().await;
    cloud.changed(Method::PATCH, "/shop", Some(json!({ "disabled": true }))).await;
    assert!(!admits("shop", &first));
    assert_eq!(cloud.generation().await, before + 1);
    let shown: KafkaUser = cloud.app.get(format!("{USERS}/shop")).by(cloud.owner()).send().await.expect(200);
    assert!(shown.disabled && shown.created_by.is_some_and(|by| by.contains('@')));
    cloud.changed(Method::PATCH, "/shop", Some(json!({ "disabled": false }))).await;
    assert!(admits("shop", &first), "with the password that it had");

    let job = cloud.changed(Method::POST, "/shop/reset-password", Some(json!({ "password": "Egret-pond-23" }))).await;
    assert!(!job.secrets_waiting, "the caller knows the password");
    assert!(!admits("shop", &first) && admits("shop", "Egret-pond-23"));
    let told = cloud.generation().await.unsigned_abs();
    assert_eq!(cloud.ended_logins(&instance, "shop"), [Some(told); 3]);

    cloud.changed(Method::PATCH, "/shop", Some(json!({ "disabled": true }))).await;
    cloud.changed(Method::DELETE, "/shop", None).await;
    assert_eq!(cloud.world.users(instance.id), ["admin"]);
    let told = cloud.generation().await.unsigned_abs();
    assert_eq!(cloud.ended_logins(&instance, "shop"), [Some(told); 3]);
    assert_eq!(cloud.user_names("").await.0, ["admin"]);
    cloud.app.get(format!("{USERS}/shop")).by(cloud.owner()).send().await.problem("not-found");

    cloud.changed(Method::POST, "", Some(json!({ "name": "shop", "password": "Stork-lake-31" }))).await;
    assert!(admits("shop", "Stork-lake-31"));
    assert_eq!(cloud.ended_logins(&instance, "shop"), [Some(told); 3], "what the old user had open stays closed");
    cloud.stop().await;
}

#[tokio::test]
async fn a_deleted_user_is_forgotten_once_every_broker_was_told() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    for name in ["shop", "cart"] {
        cloud.changed(Method::POST, "", Some(json!({ "name": name }))).await;
        cloud.changed(Method::DELETE, &format!("/{name}"), None).await;
    }
    assert_eq!(cloud.ended_logins(&instance, "shop"), [None; 3]);
    assert_eq!(cloud.count("select count(*) from kafka_users where name = 'shop'").await, 0);
    assert!(cloud.ended_logins(&instance, "cart").iter().all(Option::is_some));
    cloud.stop().await;
}

#[tokio::test]
async fn every_fault_of_a_new_user_is_told_with_its_place() {
    let cloud = Cloud::start().await;
    cloud.bought("orders").await;
    let faults = async |path: &str, body: Value| {
        let problem = cloud.user_change(Method::POST, path, Some(body)).await.problem("validation-failed");
        problem.errors.into_iter().map(|fault| (fault.pointer, fault.code)).collect::<Vec<_>>()
    };
    let found = faults("", json!({ "name": "sluice-x", "password": "-short" })).await;
    let expected = [
        ("/name", "user-reserved"),
        ("/password", "password-length"),
        ("/password", "password-classes"),
        ("/password", "password-start"),
    ];
    assert_eq!(found, expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned())));
    let found = faults("/admin/reset-password", json!({ "password": "My-nimda-2026" })).await;
    assert_eq!(found, [("/password".to_owned(), "password-weak".to_owned())]);

    let taken = cloud.user_change(Method::POST, "", Some(json!({ "name": "admin" }))).await.problem("name-taken");
    assert_eq!(taken.errors[0].pointer, "/name");
    cloud.user_change(Method::PATCH, "/nobody", Some(json!({ "disabled": true }))).await.problem("not-found");
    cloud.user_change(Method::PATCH, "/admin", Some(json!({}))).await.problem("malformed-request");
    cloud.user_change(Method::DELETE, "/nobody", None).await.problem("not-found");
    cloud.stop().await;
}

#[tokio::test]
async fn what_the_state_a_job_the_version_or_the_limit_forbids_is_refused() {
    let cloud = Cloud::start().await;
    cloud.bought("orders").await;
    let create = |name: &str| cloud.user_change(Method::POST, "", Some(json!({ "name": name })));
    let stale = cloud.app.call(Method::DELETE, format!("{USERS}/admin")).by(cloud.owner());
    stale.header("if-match", "\"r99\"").send().await.problem("etag-mismatch");

    cloud
        .execute(
            "insert into kafka_users (instance_id, org_id, name)
             select id, org_id, 'user-' || n from instances, generate_series(1, 499) n",
        )
        .await;
    let full = create("one-more").await.problem("quota-exceeded");
    assert_eq!((&full.params["limit"], &full.params["used"]), (&json!(500), &json!(500)));
    let counted: Page<KafkaUser> =
        cloud.app.get(format!("{USERS}?count=exact")).by(cloud.owner()).send().await.expect(200);
    assert_eq!(counted.total, Some(500));
    let (names, next) = cloud.user_names("?limit=200").await;
    let (more, _) = cloud.user_names(&format!("?limit=200&cursor={}", next.expect("more"))).await;
    assert_eq!((names.len(), more.len()), (200, 200));
    assert!(names.last() < more.first());

    cloud.execute("update instances set state = 'frozen'").await;
    create("shop").await.problem("action-not-allowed");
    cloud.stop().await;

    let cloud = Cloud::idle(100).await;
    cloud.order(order("orders")).await.expect::<Job>(202);
    assert!(
        cloud.user_change(Method::DELETE, "/admin", None).await.problem("job-active").params.contains_key("job_id")
    );
    cloud.stop().await;
}

#[tokio::test]
async fn a_plan_says_what_would_be_closed_and_changes_nothing() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let before = cloud.generation().await;
    for (method, path, body, check) in [
        (Method::POST, "?dry_run=true", Some(json!({ "name": "shop" })), "live"),
        (Method::PATCH, "/admin?dry_run=true", Some(json!({ "disabled": true })), "connections-close"),
        (Method::POST, "/admin/reset-password?dry_run=true", Some(json!({})), "connections-close"),
        (Method::DELETE, "/admin?dry_run=true", None, "connections-close"),
    ] {
        let plan: Plan = cloud.user_change(method, path, body).await.expect(200);
        assert_eq!(plan.checks[0].code, check, "{path}");
        assert_eq!(plan.steps.len(), 2);
    }
    assert_eq!(cloud.generation().await, before);
    assert_eq!(cloud.world.users(instance.id), ["admin"]);
    assert_eq!(cloud.user_names("").await.0, ["admin"]);
    cloud.stop().await;
}

#[tokio::test]
async fn a_repeat_with_the_same_key_makes_one_user_and_the_trail_names_it_without_its_password() {
    let cloud = Cloud::start().await;
    cloud.bought("orders").await;
    let create = async || {
        let call = cloud.app.post(USERS, json!({ "name": "shop", "password": "Stork-lake-31" })).by(cloud.owner());
        call.header("idempotency-key", "one").header("prefer", "wait=30").send().await
    };
    let (first, again) = (create().await, create().await);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(first.expect::<Job>(202).id, again.expect::<Job>(202).id);
    let trail: Page<AuditEvent> = cloud.app.get("/v1/audit-events").by(cloud.owner()).send().await.expect(200);
    let made: Vec<_> = trail.items.iter().filter(|event| event.action == "create_kafka_user").collect();
    assert_eq!(made.len(), 1);
    let text = serde_json::to_string(&made[0]).expect("JSON");
    assert!(text.contains("shop") && !text.contains("Stork"), "{text}");
    cloud.stop().await;
}

#[tokio::test]
async fn who_may_only_look_changes_no_user_and_other_tenants_see_none() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let viewer = cloud.app.acme.person(Role::Viewer);
    cloud.app.get(USERS).by(viewer).send().await.expect::<Page<KafkaUser>>(200);
    let refused = cloud.app.post(USERS, json!({ "name": "shop" })).by(viewer).send().await.problem("forbidden");
    assert_eq!(refused.params["right"], json!("kafka-user-write"));
    let stranger = cloud.app.globex.owner();
    let path = format!("{INSTANCES}/{}/users", instance.id);
    cloud.app.get(&path).by(stranger).send().await.problem("not-found");
    cloud.app.post(path, json!({ "name": "shop" })).by(stranger).send().await.problem("not-found");
    cloud.stop().await;
}
