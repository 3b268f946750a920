use super::cloud::{Cloud, INSTANCES};
use crate::support::{Answer, Person};
use broker_api::metrics::FOR_TENANTS;
use control_plane::drivers::NodeRef;
use control_plane_api::{
    auth::{CreatedApiKey, ServiceAccount},
    instance::Instance,
    metrics::Exposition,
};
use serde_json::json;
use std::{collections::BTreeSet, path::Path};

const PATH: &str = "/v1/projects/default/instances/orders/metrics/prometheus";

/// The text, after a check that Prometheus takes it.
#[track_caller]
fn text(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    answer.text()
}

fn names(text: &str) -> BTreeSet<String> {
    let read: Exposition = text.parse().unwrap();
    read.samples().map(|sample| sample.name.clone()).collect()
}

fn has(text: &str, line: &str) {
    assert!(text.lines().any(|known| known == line), "{line} is not in:\n{text}");
}

fn of(instance: &Instance, broker: usize) -> String {
    format!("broker=\"{}\",instance_id=\"{}\"", instance.brokers[broker].id, instance.id)
}

#[tokio::test]
async fn a_tenant_scrapes_all_nodes_at_once_and_a_silent_one_is_down() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let scrape = || cloud.app.get(PATH).by(cloud.owner()).send();
    let all = text(&scrape().await);
    for broker in 0..3 {
        let labels = of(&instance, broker);
        has(&all, &format!("sluice_node_up{{{labels}}} 1"));
        has(&all, &format!("sluice_node_ready{{{labels}}} 1"));
        let refused = format!("{labels},path=\"private-plaintext\",reason=\"too-many-connections\"");
        has(&all, &format!("sluice_node_connections_refused_total{{{refused}}} 0"));
    }
    has(&all, "# TYPE sluice_node_connections_refused_total counter");
    assert_eq!(all.matches("# TYPE sluice_node_ready").count(), 1, "a family is in one piece:\n{all}");
    let id = instance.id;
    let labels =
        format!("instance_id=\"{id}\",kafka_version=\"{}\",name=\"orders\",spec=\"kafka.100\"", instance.kafka_version);
    has(&all, &format!("sluice_instance_info{{{labels}}} 1"));
    assert!(!names(&all).contains("sluice_node_spec_generation"), "that is for operators:\n{all}");

    cloud.world.kill_node(NodeRef { instance: id, node_id: instance.brokers[1].id });
    let rest = text(&scrape().await);
    has(&rest, &format!("sluice_node_up{{{}}} 0", of(&instance, 1)));
    has(&rest, &format!("sluice_node_up{{{}}} 1", of(&instance, 2)));
    let (down, up) = (of(&instance, 1), of(&instance, 0));
    assert!(!rest.contains(&format!("sluice_node_ready{{{down}")), "{rest}");
    has(&rest, &format!("sluice_node_ready{{{up}}} 1"));
    cloud.stop().await;
}

#[tokio::test]
async fn a_key_of_a_viewer_scrapes_its_own_instances_and_no_others() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let key = async |owner: &Person, scope: &str| {
        let accounts = "/v1/projects/default/service-accounts";
        let account = json!({"name": format!("prometheus-{scope}"), "role": "viewer"});
        let account: ServiceAccount = cloud.app.post(accounts, account).by(owner).send().await.expect(201);
        let keys = format!("{accounts}/{}/keys", account.id);
        let made: CreatedApiKey = cloud.app.post(keys, json!({"scopes": [scope]})).by(owner).send().await.expect(201);
        made.secret
    };
    let own = key(cloud.owner(), "instance-read").await;
    let told = text(&cloud.app.get(PATH).bearer(&own).send().await);
    has(&told, &format!("sluice_node_up{{{}}} 1", of(&instance, 0)));
    let narrow = key(cloud.owner(), "topic-read").await;
    let problem = cloud.app.get(PATH).bearer(&narrow).send().await.problem("forbidden");
    assert_eq!(problem.params["right"], "instance-read");

    let foreign = key(cloud.app.globex.owner(), "instance-read").await;
    let (ours, theirs) = (cloud.app.acme.project, cloud.app.globex.project);
    for (project, one) in
        [(ours, "orders".to_owned()), (theirs, "orders".to_owned()), (theirs, instance.id.to_string())]
    {
        let path = format!("/v1/projects/{project}/instances/{one}/metrics/prometheus");
        cloud.app.get(path).bearer(&foreign).send().await.problem("not-found");
    }
    cloud.app.get(format!("{INSTANCES}/none/metrics/prometheus")).bearer(&own).send().await.problem("not-found");
    cloud.stop().await;
}

#[test]
fn every_metric_of_tenants_is_explained_to_them() {
    for page in ["guide/metrics.md", "zh/guide/metrics.md"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let told: BTreeSet<_> = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).collect();
        let missing =
            FOR_TENANTS.iter().filter(|name| !told.contains(**name) && !told.contains(&*format!("{name}_total")));
        assert_eq!(missing.collect::<Vec<_>>(), Vec::<&&str>::new(), "{page}");
    }
}

#[tokio::test]
async fn an_operator_sees_how_nodes_of_any_tenant_do() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let path = format!("/operator/v1/instances/{}/metrics/prometheus", instance.id);
    let operator = cloud.app.globex.owner();
    cloud.app.get(&path).by(operator).send().await.problem("not-found");
    cloud.execute("update users set platform_operator = true where email = 'owner@globex.example'").await;
    let all = text(&cloud.app.get(&path).by(operator).send().await);
    has(&all, &format!("sluice_node_up{{{}}} 1", of(&instance, 0)));
    assert!(names(&all).contains("sluice_node_spec_generation"), "{all}");
    cloud.app.get(PATH).by(operator).send().await.problem("not-found");
    cloud.stop().await;
}
