use super::cloud::{Cloud, INSTANCES};
use crate::support::Answer;
use axum::http::Method;
use control_plane::drivers::NodeRef;
use control_plane_api::{
    access::Access,
    instance::Plan,
    job::{Job, JobState},
};
use serde_json::{Value, json};

async fn patch(cloud: &Cloud, query: &str, body: Value) -> Answer {
    let call = cloud.app.call(Method::PATCH, format!("{INSTANCES}/orders/access{query}"));
    call.json(body).by(cloud.owner()).header("prefer", "wait=30").send().await
}

#[tokio::test]
async fn a_way_in_that_is_switched_off_is_closed_on_every_broker_and_no_broker_restarts() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let before = cloud.world.ledger();
    let change = json!({ "private_plaintext": false, "deny_ips": ["10.9.8.7"], "auto_create_topics": true });
    let job: Job = patch(&cloud, "", change).await.expect(202);
    assert_eq!((job.kind.as_str(), job.state), ("instance-configure", JobState::Succeeded));
    for broker in &instance.brokers {
        let spec = cloud.world.spec(NodeRef { instance: instance.id, node_id: broker.id }).unwrap();
        let ports: Vec<u16> = spec.gateway.listeners.iter().map(|listener| listener.bind.port()).collect();
        assert!(spec.gateway.auto_create_topics);
        assert_eq!(
            (ports.as_slice(), spec.gateway.ip_rules.deny.as_slice()),
            (&[9093][..], &["10.9.8.7/32".to_owned()][..])
        );
    }
    assert_eq!(cloud.world.ledger(), before, "no broker was made or restarted");

    let shown: Access = cloud.app.get(format!("{INSTANCES}/orders/access")).by(cloud.owner()).send().await.expect(200);
    assert!(!shown.private_plaintext && shown.private_sasl_ssl);
    let bootstrap = cloud.instance("orders").await.bootstrap;
    assert_eq!(bootstrap.private_plaintext, "", "nobody is sent to a closed port");
    assert!(bootstrap.private_sasl_ssl.contains(":9093"));

    patch(&cloud, "", json!({ "private_plaintext": null, "deny_ips": null })).await.expect::<Job>(202);
    assert!(cloud.instance("orders").await.bootstrap.private_plaintext.contains(":9092"));
    cloud.stop().await;
}

#[tokio::test]
async fn a_planned_change_of_access_says_whose_connections_end_and_changes_nothing() {
    let cloud = Cloud::start().await;
    cloud.bought("orders").await;
    let plan: Plan = patch(&cloud, "?dry_run=true", json!({ "private_plaintext": false })).await.expect(200);
    assert!(plan.checks.iter().any(|check| check.code == "connections-end" && check.detail.contains("9092")));
    assert_eq!(plan.changes.iter().map(|change| change.path.as_str()).collect::<Vec<_>>(), ["/private_plaintext"]);
    assert!(cloud.instance("orders").await.bootstrap.private_plaintext.contains(":9092"));
    cloud.stop().await;
}

#[tokio::test]
async fn access_that_lets_nobody_in_or_makes_no_sense_is_refused_with_all_its_faults() {
    let cloud = Cloud::start().await;
    cloud.bought("orders").await;
    let nobody = json!({ "private_plaintext": false, "private_sasl_ssl": false, "allow_ips": ["orders"] });
    let problem = patch(&cloud, "", nobody).await.problem("validation-failed");
    let faults: Vec<_> = problem.errors.iter().map(|fault| (fault.pointer.as_str(), fault.code.as_str())).collect();
    assert_eq!(faults, [("/allow_ips/0", "network-shape"), ("/private_sasl_ssl", "last-way-in")]);
    cloud.stop().await;
}
