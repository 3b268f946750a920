use super::cloud::{Cloud, INSTANCES};
use crate::support::{Answer, Person};
use axum::http::Method;
use broker_api::spec::GatewayLimits;
use control_plane::drivers::NodeRef;
use control_plane_api::{
    audit::AuditEvent,
    connection_limits::ConnectionLimits,
    instance::{Instance, Plan},
    job::{Job, JobState},
    page::Page,
};
use serde_json::{Value, json};

async fn patch(cloud: &Cloud, query: &str, body: Value) -> Answer {
    let call = cloud.app.call(Method::PATCH, format!("{INSTANCES}/orders/connection-limits{query}"));
    call.json(body).by(cloud.owner()).header("prefer", "wait=30").send().await
}

async fn limits(cloud: &Cloud) -> ConnectionLimits {
    cloud.app.get(format!("{INSTANCES}/orders/connection-limits")).by(cloud.owner()).send().await.expect(200)
}

/// Of the platform, and of another organisation.
async fn operator(cloud: &Cloud) -> &Person {
    cloud.execute("update users set platform_operator = true where email = 'owner@globex.example'").await;
    cloud.app.globex.owner()
}

async fn allow(cloud: &Cloud, person: &Person, instance: &Instance, query: &str, connections: Value) -> Answer {
    let path = format!("/operator/v1/instances/{}/connection-allowance{query}", instance.id);
    let call = cloud.app.call(Method::PUT, path).json(json!({ "connections": connections }));
    call.by(person).header("prefer", "wait=30").send().await
}

/// What every broker holds clients to: the instance's total, and for one address.
fn told(cloud: &Cloud, instance: &Instance) -> (u32, u32) {
    let of = |broker: i32| {
        let spec = cloud.world.spec(NodeRef { instance: instance.id, node_id: broker }).unwrap();
        let GatewayLimits { max_connections, max_connections_per_ip, max_instance_connections, .. } =
            spec.gateway.limits;
        assert!(max_connections >= max_instance_connections, "one broker may have all of them");
        (max_instance_connections, max_connections_per_ip)
    };
    let all: Vec<_> = instance.brokers.iter().map(|broker| of(broker.id)).collect();
    assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
    all[0]
}

#[tokio::test]
async fn limits_of_connections_change_on_every_broker_within_what_was_sold_and_no_broker_restarts() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    assert_eq!(told(&cloud, &instance), (3_000, 200), "what is sold");
    let before = cloud.world.ledger();
    let job: Job = patch(&cloud, "", json!({ "total": 60, "per_ip": 20 })).await.expect(202);
    assert_eq!((job.kind.as_str(), job.state), ("instance-configure", JobState::Succeeded));
    assert_eq!(told(&cloud, &instance), (60, 20));
    assert_eq!(cloud.world.ledger(), before, "no broker was made or restarted");
    let shown = limits(&cloud).await;
    assert_eq!((shown.used, shown.total, shown.allowed, shown.per_ip), (0, 60, 3_000, 20));
    assert_eq!((shown.brokers.len(), shown.silent_brokers), (3, vec![]));

    patch(&cloud, "", json!({ "total": null })).await.expect::<Job>(202);
    assert_eq!(told(&cloud, &instance), (3_000, 20));
    let problem = patch(&cloud, "", json!({ "total": 3_001, "per_ip": 0 })).await.problem("validation-failed");
    let faults: Vec<_> = problem.errors.iter().map(|fault| (fault.pointer.as_str(), fault.code.as_str())).collect();
    assert_eq!(faults, [("/total", "out-of-range"), ("/per_ip", "out-of-range")]);

    let lost = instance.brokers[1].id;
    cloud.world.kill_node(NodeRef { instance: instance.id, node_id: lost });
    assert_eq!(limits(&cloud).await.silent_brokers, [lost]);
    cloud.stop().await;
}

#[tokio::test]
async fn a_planned_change_says_what_it_is_and_changes_nothing() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let plan: Plan = patch(&cloud, "?dry_run=true", json!({ "total": 60, "per_ip": 100 })).await.expect(200);
    assert_eq!(plan.changes.iter().map(|change| change.path.as_str()).collect::<Vec<_>>(), ["/total", "/per_ip"]);
    assert!(plan.checks.iter().any(|check| check.code == "fewer-for-an-address"), "{:?}", plan.checks);
    assert_eq!(told(&cloud, &instance), (3_000, 200));
    cloud.stop().await;
}

#[tokio::test]
async fn an_operator_gives_more_than_was_sold_and_the_tenant_chooses_within_it() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let stranger = cloud.app.globex.owner();
    allow(&cloud, stranger, &instance, "", json!(5_000)).await.problem("not-found");
    let operator = operator(&cloud).await;
    let plan: Plan = allow(&cloud, operator, &instance, "?dry_run=true", json!(5_000)).await.expect(200);
    assert_eq!((plan.changes[0].from.clone(), plan.changes[0].to.clone()), (json!(3_000), json!(5_000)));
    assert_eq!(told(&cloud, &instance), (3_000, 200));

    let job: Job = allow(&cloud, operator, &instance, "", json!(5_000)).await.expect(202);
    assert_eq!(job.state, JobState::Succeeded);
    assert_eq!(told(&cloud, &instance), (5_000, 200), "in force where nothing was chosen");
    patch(&cloud, "", json!({ "total": 4_000, "per_ip": 1_000 })).await.expect::<Job>(202);
    assert_eq!(told(&cloud, &instance), (4_000, 1_000));
    assert_eq!(limits(&cloud).await.allowed, 5_000);

    allow(&cloud, operator, &instance, "", json!(null)).await.expect::<Job>(202);
    assert_eq!(told(&cloud, &instance), (3_000, 1_000), "what was sold is the most again");
    allow(&cloud, operator, &instance, "", json!(0)).await.problem("validation-failed");
    // Whose instance it is sees who did it.
    let trail: Page<AuditEvent> =
        cloud.app.get("/v1/audit-events?action=put_connection_allowance").by(cloud.owner()).send().await.expect(200);
    assert!(trail.items.iter().any(|event| event.actor == format!("user:{}", operator.email)), "{:?}", trail.items);
    cloud.stop().await;
}
