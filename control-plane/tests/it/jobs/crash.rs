//! The crash harness: every workflow of the registry, every step, every way to fail or die. At the end the world is either
//! done or clean, and what the simulated platform holds is what the catalogue says (performance-reliability.md §11, R1).

use super::{
    house::{House, LEASE, NEW_PASSWORD, binding, quota},
    sabotage::{Plan, sabotaged},
};
use chrono::Duration as Span;
use control_plane::{
    drivers::{
        NodeRef,
        simulation::{Fault, Operation, Severity, When},
    },
    jobs::{engine::OnFailure, workflow::registry},
    store::jobs,
};
use control_plane_api::{
    acl::AclPermission,
    id::{InstanceId, JobId},
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{sync::Notify, time::timeout};

/// A job of a kind that is ready to be claimed, on a fresh instance. A new workflow needs a line here.
async fn begin(house: &House, kind: &str, name: &str) -> (InstanceId, JobId) {
    let (id, create) = house.order(name).await;
    match kind {
        "instance-create" => (id, create),
        "instance-delete" => {
            assert_eq!(house.finish(&house.runner("setup"), create).await, "succeeded");
            (id, house.delete(id).await)
        }
        "instance-configure" => {
            assert_eq!(house.finish(&house.runner("setup"), create).await, "succeeded");
            (id, house.configure(id).await)
        }
        "access-open" => {
            assert_eq!(house.finish(&house.runner("setup"), create).await, "succeeded");
            (id, house.open_ways(id).await)
        }
        "kafka-user-change" => {
            assert_eq!(house.finish(&house.runner("setup"), create).await, "succeeded");
            (id, house.reset_password(id).await)
        }
        "acl-change" => {
            assert_eq!(house.finish(&house.runner("setup"), create).await, "succeeded");
            (id, house.change_acls(id).await)
        }
        "client-quota-change" => {
            assert_eq!(house.finish(&house.runner("setup"), create).await, "succeeded");
            (id, house.change_quotas(id).await)
        }
        "certificate-change" => {
            assert_eq!(house.finish(&house.runner("setup"), create).await, "succeeded");
            (id, house.rotate_certificate(id).await)
        }
        other => panic!("the crash harness does not know how to begin {other}"),
    }
}

/// What the world must look like when a job of a kind ended well, or was undone.
async fn assert_done_or_clean(house: &House, kind: &str, id: InstanceId, succeeded: bool) {
    match (kind, succeeded) {
        ("instance-create", true) => house.assert_running(id).await,
        ("instance-create", false) => {
            house.assert_holds_nothing(id).await;
            assert_eq!(house.instance_state(id).await.as_deref(), Some("create-failed"));
        }
        ("instance-delete", true) => {
            house.assert_holds_nothing(id).await;
            assert_eq!(house.instance_state(id).await, None);
        }
        ("instance-configure", true) => {
            house.assert_running(id).await;
            for node_id in 0..3 {
                let spec = house.world.spec(NodeRef { instance: id, node_id }).unwrap();
                assert_eq!(spec.generation, 2, "broker {node_id} was told");
            }
            let bindings = house.world.bindings(id);
            assert!(bindings.iter().all(|binding| binding.permission == AclPermission::Deny), "nobody is let in");
            assert!(!bindings.is_empty(), "what guards Kafka's own topics stays");
        }
        ("access-open", true) => {
            house.assert_running_with(id, 6).await;
            house.assert_open(id).await;
        }
        ("access-open", false) => {
            house.assert_running(id).await;
            house.assert_not_open(id).await;
        }
        ("kafka-user-change", true) => {
            house.assert_running(id).await;
            assert!(house.world.admits(id, "orders", NEW_PASSWORD));
            for node in house.world.nodes().into_iter().filter(|node| node.instance == id) {
                let spec = house.world.spec(node).unwrap();
                assert_eq!((spec.generation, spec.gateway.ended_logins.get("orders")), (2, Some(&2)), "raised once");
            }
        }
        ("acl-change", true) => {
            house.assert_running(id).await;
            let bindings = house.world.bindings(id);
            let of_user: Vec<_> = bindings.iter().filter(|binding| binding.principal == "User:orders").collect();
            assert_eq!(of_user, [&binding("write")]);
            assert!(bindings.iter().any(|binding| binding.principal == "User:*"), "the platform's stay");
        }
        ("client-quota-change", true) => {
            house.assert_running(id).await;
            let rule = quota("producer_byte_rate");
            assert_eq!(house.world.quotas(id), Some([(rule.entity, rule.limits)].into()), "and the platform is safe");
        }
        ("certificate-change", succeeded) => {
            house.assert_running(id).await;
            house.assert_certificate(id, i64::from(succeeded)).await;
        }
        other => panic!("{other:?} is no end of a job"),
    }
}

async fn play(house: &House, kind: &str, step: usize, plan: Plan) {
    let scene_of = format!("{kind} step {step} {plan:?}");
    let (registry, scene) = sabotaged(&registry().unwrap(), kind, step, plan);
    let on_failure = registry.iter().find(|known| known.info().kind == kind).unwrap().info().on_failure;
    let (id, job) = begin(house, kind, &format!("x-{}", uuid::Uuid::new_v4().simple())).await;
    let runner = house.runner_of("first", registry, house.environment());
    if plan.kills() {
        let mut claimed = runner.claim(100, 100).await.unwrap();
        assert_eq!(claimed.len(), 1, "{scene_of}");
        let (row, dying) = (claimed.remove(0), runner.clone());
        let life = tokio::spawn(async move { dying.run(row, Arc::new(Notify::new())).await });
        timeout(Duration::from_secs(20), scene.notified()).await.unwrap_or_else(|_| panic!("{scene_of}: not reached"));
        life.abort();
        assert!(life.await.unwrap_err().is_cancelled());
        assert!(runner.claim(100, 100).await.unwrap().is_empty(), "{scene_of}: the lease still holds");
        house.clock.advance(Span::from_std(LEASE).unwrap() + Span::seconds(1));
    }
    let mut state = house.finish(&runner, job).await;
    if plan.is_fatal() && on_failure == OnFailure::Hold {
        assert_eq!(state, "stuck", "{scene_of}");
        let mut tx = house.db.system().await.unwrap();
        assert!(jobs::retry(&mut tx, job, house.clock.now()).await.unwrap());
        tx.commit().await.unwrap();
        state = house.finish(&runner, job).await;
        assert_eq!(state, "succeeded", "{scene_of}: after a person looked");
    } else {
        let expected = if plan.is_fatal() { "failed" } else { "succeeded" };
        assert_eq!(state, expected, "{scene_of}: {:?}", house.history(job).await);
    }
    assert_done_or_clean(house, kind, id, state == "succeeded").await;
}

/// What the platform holds is what the catalogue says, no more and no less.
async fn assert_ledger_is_catalogue(house: &House) {
    let mut sql = house.database.superuser().await;
    let brokers: Vec<(uuid::Uuid, i32)> =
        sqlx::query_as("select instance_id, node_id from brokers").fetch_all(&mut sql).await.unwrap();
    let catalogue: BTreeSet<NodeRef> = brokers
        .into_iter()
        .map(|(instance, node_id)| NodeRef { instance: InstanceId::from_uuid(instance), node_id })
        .collect();
    assert_eq!(house.world.nodes(), catalogue);
}

async fn play_all(kind: &'static str, plans: &[Plan], undoable_only: bool) {
    let house = House::build().await;
    for workflow in registry().unwrap().iter() {
        let info = workflow.info();
        if info.kind != kind || (undoable_only && info.on_failure == OnFailure::Hold) {
            continue;
        }
        for step in 0..info.steps.len() {
            for &plan in plans {
                play(&house, info.kind, step, plan).await;
            }
        }
    }
    assert_ledger_is_catalogue(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn creations_that_fail_or_lose_their_runner_at_any_step_end_done_or_clean() {
    play_all("instance-create", &Plan::FORWARD, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn creations_whose_undo_misbehaves_at_any_step_end_clean() {
    play_all("instance-create", &Plan::BACKWARD, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_that_fail_or_lose_their_runner_at_any_step_end_done() {
    play_all("instance-delete", &Plan::FORWARD, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_fail_or_lose_their_runner_at_any_step_end_done() {
    play_all("instance-configure", &Plan::FORWARD, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openings_that_fail_or_lose_their_runner_at_any_step_end_done_or_taken_back() {
    play_all("access-open", &Plan::FORWARD, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openings_whose_undo_misbehaves_at_any_step_are_taken_back() {
    play_all("access-open", &Plan::BACKWARD, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openings_on_a_platform_that_fails_once_end_done_or_taken_back() {
    let house = House::build().await;
    for operation in [Operation::ChooseAddresses, Operation::PushSpec, Operation::NodeStatus, Operation::Handshake] {
        for when in [When::BeforeEffect, When::AfterEffect] {
            for severity in [Severity::Transient, Severity::Permanent] {
                let (id, job) = begin(&house, "access-open", &format!("x-{}", uuid::Uuid::new_v4().simple())).await;
                house.world.fail(Fault { operation, call: 1, when, severity });
                let state = house.finish(&house.runner("one"), job).await;
                assert_done_or_clean(&house, "access-open", id, state == "succeeded").await;
            }
        }
    }
    assert_ledger_is_catalogue(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_kafka_users_that_fail_or_lose_their_runner_at_any_step_end_done() {
    play_all("kafka-user-change", &Plan::FORWARD, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_access_rules_that_fail_or_lose_their_runner_at_any_step_end_done() {
    play_all("acl-change", &Plan::FORWARD, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_quotas_that_fail_or_lose_their_runner_at_any_step_end_done() {
    play_all("client-quota-change", &Plan::FORWARD, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_certificates_that_fail_or_lose_their_runner_at_any_step_end_done_or_taken_back() {
    play_all("certificate-change", &Plan::FORWARD, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_certificates_whose_undo_misbehaves_at_any_step_are_taken_back() {
    play_all("certificate-change", &Plan::BACKWARD, true).await;
}

#[test]
fn the_harness_knows_every_workflow() {
    let kinds: Vec<&str> = registry().unwrap().iter().map(|workflow| workflow.info().kind).collect();
    assert_eq!(
        kinds,
        [
            "access-open",
            "acl-change",
            "certificate-change",
            "client-quota-change",
            "instance-configure",
            "instance-create",
            "instance-delete",
            "kafka-user-change"
        ],
        "a new workflow needs its tests above"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn creations_on_a_platform_that_fails_once_end_done_or_clean() {
    let house = House::build().await;
    let operations = [
        Operation::ChooseAddresses,
        Operation::EnsureNode,
        Operation::NodeStatus,
        Operation::KafkaReady,
        Operation::BindAcls,
        Operation::ShieldPlatform,
        Operation::PutUser,
        Operation::Canary,
    ];
    for operation in operations {
        for when in [When::BeforeEffect, When::AfterEffect] {
            for severity in [Severity::Transient, Severity::Permanent] {
                let runner = house.runner("one");
                // Of three nodes the second.
                let call = if operation == Operation::EnsureNode { 2 } else { 1 };
                house.world.fail(Fault { operation, call, when, severity });
                let (id, job) = house.order(&format!("x-{}", uuid::Uuid::new_v4().simple())).await;
                let state = house.finish(&runner, job).await;
                // A node that refuses once to say how it does is asked again.
                let heals = severity == Severity::Transient || operation == Operation::NodeStatus;
                assert_eq!(state, if heals { "succeeded" } else { "failed" }, "{operation:?} {when:?} {severity:?}");
                assert_done_or_clean(&house, "instance-create", id, state == "succeeded").await;
            }
        }
    }
    assert_ledger_is_catalogue(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_on_a_platform_that_fails_is_repeated_until_nothing_is_left() {
    let house = House::build().await;
    house.world.lose_canaries();
    for call in 1..=3 {
        for when in [When::BeforeEffect, When::AfterEffect] {
            house.world.fail(Fault { operation: Operation::RemoveNode, call, when, severity: Severity::Permanent });
            let (id, job) = house.order(&format!("x-{}", uuid::Uuid::new_v4().simple())).await;
            assert_eq!(house.finish(&house.runner("one"), job).await, "failed");
            assert_done_or_clean(&house, "instance-create", id, false).await;
        }
    }
    assert_ledger_is_catalogue(&house).await;
}
