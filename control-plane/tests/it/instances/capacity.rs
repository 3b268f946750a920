use super::cloud::{Cloud, INSTANCES};
use crate::support::Answer;
use axum::http::Method;
use broker_api::spec::{CapacityPolicy as NodePolicy, CapacityRule};
use control_plane::drivers::NodeRef;
use control_plane_api::{
    bandwidth::Bandwidth,
    capacity::{Capacity, CapacityState},
    instance::{CapacityPolicy, Plan},
    job::{Job, JobState},
};
use serde_json::{Value, json};

async fn patch(cloud: &Cloud, query: &str, body: Value) -> Answer {
    let call = cloud.app.call(Method::PATCH, format!("{INSTANCES}/orders/capacity{query}"));
    call.json(body).by(cloud.owner()).header("prefer", "wait=30").send().await
}

async fn capacity(cloud: &Cloud) -> Capacity {
    cloud.app.get(format!("{INSTANCES}/orders/capacity")).by(cloud.owner()).send().await.expect(200)
}

#[tokio::test]
async fn the_policy_for_a_full_disk_changes_on_every_broker_and_no_broker_restarts() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let rule = |broker| cloud.world.spec(NodeRef { instance: instance.id, node_id: broker }).unwrap().gateway.capacity;
    for broker in &instance.brokers {
        assert_eq!(rule(broker.id), CapacityRule::default(), "auto-delete at 95 % is what is sold");
    }
    let before = cloud.world.ledger();
    let change = json!({ "policy": "produce-limited", "threshold_percent": 80 });
    let job: Job = patch(&cloud, "", change).await.expect(202);
    assert_eq!((job.kind.as_str(), job.state), ("instance-configure", JobState::Succeeded));
    for broker in &instance.brokers {
        let limited = CapacityRule { policy: NodePolicy::ProduceLimited, threshold_percent: 80 };
        assert_eq!(rule(broker.id), limited);
    }
    assert_eq!(cloud.world.ledger(), before, "no broker was made or restarted");
    assert_eq!(cloud.instance("orders").await.capacity_policy, CapacityPolicy::ProduceLimited);

    let shown = capacity(&cloud).await;
    assert_eq!((shown.policy, shown.threshold_percent), (CapacityPolicy::ProduceLimited, 80));
    assert_eq!((shown.used_percent, shown.state), (Some(0.0), Some(CapacityState::Normal)));
    let disks: Vec<u64> = shown.brokers.iter().map(|broker| broker.disk_bytes).collect();
    assert_eq!(disks, [200_000_000_000; 3], "600 GB over three brokers");

    patch(&cloud, "", json!({ "policy": null, "threshold_percent": null })).await.expect::<Job>(202);
    assert_eq!(rule(instance.brokers[0].id), CapacityRule::default());
    cloud.stop().await;
}

#[tokio::test]
async fn a_planned_change_of_the_policy_says_what_it_does_to_data_and_changes_nothing() {
    let cloud = Cloud::start().await;
    cloud.bought("orders").await;
    let plan: Plan = patch(&cloud, "?dry_run=true", json!({ "threshold_percent": 50 })).await.expect(200);
    let warned = plan.checks.iter().find(|check| check.code == "data-is-dropped").expect("a warning");
    assert!(warned.detail.contains("50 %"), "{}", warned.detail);
    assert_eq!(plan.changes.iter().map(|change| change.path.as_str()).collect::<Vec<_>>(), ["/threshold_percent"]);
    assert_eq!(capacity(&cloud).await.threshold_percent, 95);

    let problem = patch(&cloud, "", json!({ "threshold_percent": 99 })).await.problem("validation-failed");
    assert_eq!(
        (problem.errors[0].pointer.as_str(), problem.errors[0].code.as_str()),
        ("/threshold_percent", "out-of-range")
    );
    patch(&cloud, "", json!({ "policy": "none" })).await.problem("malformed-request");
    cloud.stop().await;
}

#[tokio::test]
async fn each_broker_has_its_share_of_the_bandwidth_and_one_that_is_silent_is_named() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let lost = instance.brokers[1].id;
    cloud.world.kill_node(NodeRef { instance: instance.id, node_id: lost });
    let shown: Bandwidth =
        cloud.app.get(format!("{INSTANCES}/orders/bandwidth")).by(cloud.owner()).send().await.expect(200);
    assert_eq!((shown.bought_bytes_per_second, shown.share_bytes_per_second), (100_000_000, 33_333_334));
    assert_eq!(shown.silent_brokers, [lost]);
    assert_eq!(shown.brokers.len(), 2);
    for broker in shown.brokers {
        for direction in [broker.ingress, broker.egress] {
            assert_eq!((direction.limit_bytes_per_second, direction.bytes_per_second), (Some(33_333_334), 0));
        }
    }
    assert_eq!(capacity(&cloud).await.silent_brokers, [lost]);
    cloud.stop().await;
}
