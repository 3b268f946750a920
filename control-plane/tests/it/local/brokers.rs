//! Three real brokers: driver, nodes, gateways and Kafka together, from nothing to messages and back to nothing.

use super::{
    instance::{Instance, NEWEST, OLDER, user},
    raw_client::RawClient,
    world::{kill, wait_until},
};
use broker_api::{secret::Secret, spec::NodeSpec};
use control_plane::{
    drivers::ClusterDriver,
    kafka::{CANARY_PREFIX, Cluster, Credentials, KafkaControl, KafkaError, KrafkaControl},
    nodes::{HttpsNodes, NodeControl, NodeError},
};
use control_plane_api::{
    access::{Access, Authorization},
    acl::{AclBinding, AclPermission},
    client_quota::QuotaRule,
};
use tokio::time::Instant;

/// Prints how long a step took: `cargo test … -- --nocapture`.
struct Steps(Instant);

impl Steps {
    fn done(&mut self, what: &str) {
        eprintln!("{what}: {} ms", self.0.elapsed().as_millis());
        self.0 = Instant::now();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_serves_survives_the_death_of_everything_and_goes_without_a_trace() {
    let Some(instance) = Instance::new(NEWEST, 3).await else { return };
    let kafka = KrafkaControl;
    let user = user();
    let mut steps = Steps(Instant::now());
    instance.start().await.unwrap();
    steps.done("processes started");
    instance.wait_until_ready().await;
    steps.done("ready");
    kafka.bind_platform_acls(&instance.cluster, &Access::default()).await.unwrap();
    kafka.bind_platform_acls(&instance.cluster, &Access::default()).await.unwrap();
    steps.done("ACLs bound, twice");
    kafka.put_user(&instance.cluster, &user).await.unwrap();
    steps.done("user written");
    kafka.canary(&instance.cluster, &user).await.unwrap();
    steps.done("canary");

    let wrong = Credentials { password: Secret::new("Wrong-horse-7"), ..user.clone() };
    let refusal = kafka.canary(&instance.cluster, &wrong).await.unwrap_err();
    assert!(matches!(refusal, KafkaError::Permanent { .. }), "{refusal}");
    steps.done("canary with a wrong password refused");

    let older = NodeSpec { generation: 6, ..instance.specs[0].clone() };
    let newer = NodeSpec { generation: 7, ..instance.specs[0].clone() };
    let nodes = HttpsNodes::default();
    assert_eq!(nodes.push_spec(&instance.addresses[0], &newer).await.unwrap().generation, 7);
    let refusal = nodes.push_spec(&instance.addresses[0], &older).await.unwrap_err();
    assert!(matches!(refusal, NodeError::Stale { in_force: 7, .. }), "{refusal}");
    steps.done("specs pushed");

    // A new control plane finds the nodes running and leaves them alone.
    let before = instance.processes();
    for spec in &instance.specs {
        instance.world.driver().ensure_node(spec).await.unwrap();
    }
    assert_eq!(instance.processes(), before);
    steps.done("adopted");

    // The node program is built anew: supervisor and gateway follow, Kafka notices nothing.
    let pids = async || {
        let mut found = Vec::new();
        for address in &instance.addresses {
            let status = nodes.status(address).await.unwrap();
            found.push((status.broker.pid, status.broker.identity.pid, status.gateway.pid));
        }
        found
    };
    let old = pids().await;
    let driver = instance.world.driver_of_new_build();
    for spec in &instance.specs {
        driver.renew_node(spec).await.unwrap();
        instance.wait_until_ready().await;
    }
    let new = pids().await;
    for ((kafka, supervisor, gateway), (old_kafka, old_supervisor, old_gateway)) in new.iter().zip(&old) {
        assert_eq!(kafka, old_kafka);
        assert!(supervisor != old_supervisor && gateway != old_gateway);
    }
    driver.renew_node(&instance.specs[0]).await.unwrap();
    assert_eq!(pids().await, new, "what is new is left alone");
    kafka.canary(&instance.cluster, &user).await.unwrap();
    steps.done("node program renewed");

    // Power is cut: everything dies at once, and comes back with its data.
    instance.processes().into_iter().for_each(kill);
    wait_until("everything is gone", async || instance.processes().is_empty()).await;
    instance.start().await.unwrap();
    instance.wait_until_ready().await;
    steps.done("back after kill -9 of everything");
    kafka.canary(&instance.cluster, &user).await.unwrap();
    steps.done("canary, with the user of before");

    instance.remove().await;
    steps.done("removed");
}

/// What a change of users tells the node: open connections end, whatever client holds them.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_a_deletion_and_a_disabling_end_the_open_connections_of_that_user_only() {
    let Some(instance) = Instance::new(NEWEST, 1).await else { return };
    let (kafka, nodes, node) = (KrafkaControl, HttpsNodes::default(), &instance.addresses[0]);
    let (changed, other) = (user(), Credentials { user: "bystander".to_owned(), ..user() });
    instance.set_up(&changed).await;
    kafka.put_user(&instance.cluster, &other).await.unwrap();
    let bystander = RawClient::log_in(&instance, &other).await.unwrap();
    let mut spec = instance.specs[0].clone();
    let mut tell = async |edit: &dyn Fn(&mut NodeSpec)| {
        spec.generation += 1;
        edit(&mut spec);
        nodes.push_spec(node, &spec).await.unwrap();
    };

    let end_logins = |spec: &mut NodeSpec| {
        spec.gateway.ended_logins.insert(changed.user.clone(), spec.generation);
    };

    let open = RawClient::log_in(&instance, &changed).await.unwrap();
    let reset = Credentials { password: Secret::new("Egret-pond-23"), ..changed.clone() };
    kafka.put_user(&instance.cluster, &reset).await.unwrap();
    tell(&end_logins).await;
    open.assert_closed().await;
    assert!(RawClient::log_in(&instance, &changed).await.is_err(), "the old password");

    let open = RawClient::log_in(&instance, &reset).await.unwrap();
    tell(&|spec| spec.gateway.disabled_users.push(changed.user.clone())).await;
    open.assert_closed().await;
    assert!(RawClient::log_in(&instance, &reset).await.is_err(), "a disabled user");
    tell(&|spec| spec.gateway.disabled_users.clear()).await;

    let open = RawClient::log_in(&instance, &reset).await.unwrap();
    kafka.delete_user(&instance.cluster, &changed.user).await.unwrap();
    kafka.delete_user(&instance.cluster, &changed.user).await.unwrap();
    tell(&end_logins).await;
    open.assert_closed().await;
    assert!(RawClient::log_in(&instance, &reset).await.is_err(), "a deleted user");

    bystander.assert_open().await;
    instance.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_of_the_older_line_serves_in_the_same_way() {
    let Some(instance) = Instance::new(OLDER, 3).await else { return };
    instance.set_up(&user()).await;
    KrafkaControl.canary(&instance.cluster, &user()).await.unwrap();
    access_is_switched(&instance).await;
    instance.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acls_are_turned_on_and_off_and_what_they_allow_holds_on_every_broker() {
    let Some(instance) = Instance::new(NEWEST, 3).await else { return };
    instance.set_up(&user()).await;
    access_is_switched(&instance).await;
    instance.remove().await;
}

/// The canary writes to every broker as the user, and reads back.
async fn access_is_switched(instance: &Instance) {
    let (kafka, cluster, user) = (KrafkaControl, &instance.cluster, user());
    let mode = |authorization| Access { authorization, ..Access::default() };
    let refused = async |why: &str| {
        let refusal = kafka.canary(cluster, &user).await.expect_err(why);
        assert!(refusal.to_string().to_lowercase().contains("authorization"), "{why}: {refusal}");
    };
    kafka.bind_platform_acls(cluster, &mode(Authorization::Acl)).await.unwrap();
    refused("nobody is allowed anything").await;
    assert_eq!(kafka.acls(cluster).await.unwrap(), [], "the platform's are not the tenant's");

    let rights: Vec<AclBinding> = ["read", "write"].map(|operation| canary_right(&user, operation)).into();
    kafka.put_acls(cluster, &rights, &[]).await.unwrap();
    kafka.put_acls(cluster, &rights, &[]).await.unwrap();
    assert_eq!(kafka.acls(cluster).await.unwrap(), rights);
    kafka.canary(cluster, &user).await.unwrap();
    kafka.put_acls(cluster, &[], &rights[1..]).await.unwrap();
    kafka.put_acls(cluster, &[], &rights[1..]).await.unwrap();
    refused("it may read only").await;

    kafka.bind_platform_acls(cluster, &mode(Authorization::Open)).await.unwrap();
    kafka.canary(cluster, &user).await.unwrap();
    let denial = AclBinding { permission: AclPermission::Deny, ..rights[1].clone() };
    kafka.put_acls(cluster, std::slice::from_ref(&denial), &rights[..1]).await.unwrap();
    refused("a denial holds in open mode too").await;
    assert_eq!(kafka.acls(cluster).await.unwrap(), [denial]);
}

/// Both lines of Kafka keep quotas the same way, each broker for itself.
#[tokio::test(flavor = "multi_thread")]
async fn quotas_hold_on_every_broker_and_none_of_them_slows_the_platform() {
    for (version, brokers) in [(NEWEST, 3), (OLDER, 1)] {
        let Some(instance) = Instance::new(version, brokers).await else { return };
        instance.set_up(&user()).await;
        quotas_are_kept(&instance).await;
        instance.remove().await;
    }
}

async fn quotas_are_kept(instance: &Instance) {
    let (kafka, cluster) = (KrafkaControl, &instance.cluster);
    kafka.shield_platform(cluster).await.unwrap();
    assert_eq!(kafka.client_quotas(cluster).await.unwrap(), [], "the platform's are not the tenant's");
    let rule = |entity, limits| -> QuotaRule {
        serde_json::from_value(serde_json::json!({ "entity": entity, "limits": limits })).unwrap()
    };
    // As little as Kafka can be told, for everybody who has no rule of their own.
    let everybody = rule(
        serde_json::json!({ "default_user": true }),
        serde_json::json!({
            "producer_byte_rate": 1, "consumer_byte_rate": 1, "request_percentage": 0.01, "controller_mutation_rate": 0.01
        }),
    );
    let rules = [
        everybody.clone(),
        rule(serde_json::json!({ "user": user().user }), serde_json::json!({ "producer_byte_rate": 1_000_000 })),
        rule(
            serde_json::json!({ "user": user().user, "default_client_id": true }),
            serde_json::json!({ "consumer_byte_rate": 2_000_000, "request_percentage": 12.5 }),
        ),
        rule(serde_json::json!({ "client_id": "a b/ü" }), serde_json::json!({ "controller_mutation_rate": 0.5 })),
    ];
    kafka.put_client_quotas(cluster, &rules, &[]).await.unwrap();
    kafka.put_client_quotas(cluster, &rules, &[]).await.unwrap();
    for &address in &cluster.internal {
        let one = Cluster { internal: vec![address], ..cluster.clone() };
        let mut known = kafka.client_quotas(&one).await.unwrap();
        known.sort_by(|a, b| a.entity.cmp(&b.entity));
        let mut expected = rules.to_vec();
        expected.sort_by(|a, b| a.entity.cmp(&b.entity));
        assert_eq!(known, expected, "{address}");
    }
    // Were it slowed to what everybody else has, this would take minutes.
    let began = Instant::now();
    for round in 0..50 {
        kafka.put_user(cluster, &Credentials { user: format!("user-{round}"), ..user() }).await.unwrap();
    }
    assert!(began.elapsed().as_secs() < 30, "the platform was slowed: {:?}", began.elapsed());
    kafka.put_client_quotas(cluster, &[], &rules).await.unwrap();
    kafka.put_client_quotas(cluster, &[], &rules).await.unwrap();
    assert_eq!(kafka.client_quotas(cluster).await.unwrap(), []);
}

fn canary_right(user: &Credentials, operation: &str) -> AclBinding {
    serde_json::from_value(serde_json::json!({
        "resource_type": "topic", "resource_name": CANARY_PREFIX, "pattern_type": "prefixed",
        "principal": format!("User:{}", user.user), "operation": operation,
    }))
    .unwrap()
}
