//! The control API as the control plane meets it, with a stand-in for Kafka.

use crate::harness::{Node, SOON, ask_control, kill, read, until};
use crate::stand_in::FAIL;
use crate::support::pki::Authority;
use broker_api::metrics;
use broker_api::spec::{NodeSpec, TlsIdentity};
use broker_api::status::{NodeState, NodeStatus};
use std::collections::BTreeSet;
use std::fs;

fn ready_node() -> Node {
    let mut node = Node::new();
    node.start_with_gateway();
    node.wait_until_running();
    until("a ready node", SOON, || Some(()).filter(|()| node.ask("GET", "/readyz", b"").0 == 200));
    node
}

fn at(generation: u64, node: &Node) -> NodeSpec {
    NodeSpec { generation, ..node.spec.clone() }
}

fn status(node: &Node) -> NodeStatus {
    serde_json::from_str(&node.ask("GET", "/v1/status", b"").1).unwrap()
}

#[test]
fn only_the_control_plane_is_let_in() {
    let node = ready_node();
    let names = ["localhost".to_owned()];
    let ask = |caller: Option<&TlsIdentity>| {
        let (address, ca) = (node.spec.gateway.control, node.instance.control_ca.pem());
        ask_control(address, caller, ca, "GET", "/healthz", b"")
    };
    assert_eq!(ask(Some(&node.control_plane())).unwrap(), (200, "ok\n".to_owned()));
    assert!(ask(None).is_err(), "let in without a certificate");
    let other_name = node.instance.control_ca.issue("sluice-node", &names);
    assert!(ask(Some(&other_name)).is_err(), "let in by another name");
    let other_ca = Authority::new("Sluice test control CA").issue("sluice-control-plane", &names);
    assert!(ask(Some(&other_ca)).is_err(), "let in by another CA");
    let internal = node.instance.internal_ca.issue("sluice-control-plane", &names);
    assert!(ask(Some(&internal)).is_err(), "let in by the CA between brokers");
}

#[test]
fn a_newer_spec_is_served_and_kept() {
    let node = ready_node();
    let (code, body) = node.put_spec(&at(5, &node));
    assert_eq!((code, body["generation"].as_u64()), (200, Some(5)));
    assert_eq!(status(&node).generation, 5);
    let kept: NodeSpec = serde_json::from_str(&read(&node.path("last-good.json"))).unwrap();
    assert_eq!(kept, at(5, &node));
}

#[test]
fn an_older_spec_loses_against_the_generation_in_force() {
    let node = ready_node();
    node.put_spec(&at(5, &node));
    let (code, body) = node.put_spec(&at(4, &node));
    assert_eq!(code, 409);
    assert_eq!((body["code"].as_str(), body["generation"].as_u64()), (Some("stale-generation"), Some(5)));
    assert_eq!(status(&node).generation, 5);
}

#[test]
fn a_generation_is_used_once_and_a_repeat_succeeds() {
    let node = ready_node();
    assert_eq!(node.put_spec(&at(5, &node)).0, 200);
    assert_eq!(node.put_spec(&at(5, &node)).0, 200);
    let mut other = at(5, &node);
    other.gateway.limits.max_connections = 3;
    let (code, body) = node.put_spec(&other);
    assert_eq!((code, body["code"].as_str()), (409, Some("generation-reused")));
}

#[test]
fn what_is_no_spec_or_another_node_s_or_cannot_be_served_is_refused_and_changes_nothing() {
    let node = ready_node();
    let mut unknown = serde_json::to_value(at(9, &node)).unwrap();
    unknown["gateway"]["colour"] = "blue".into();
    let (code, body) = node.ask("PUT", "/v1/spec", unknown.to_string().as_bytes());
    assert_eq!(code, 400);
    assert!(body.contains("colour"), "{body}");
    assert_eq!(node.ask("PUT", "/v1/spec", b"garbage").0, 400);

    let mut foreign = at(9, &node);
    foreign.identity.instance = "ins_other".to_owned();
    assert_eq!(node.put_spec(&foreign).0, 422);

    let other = node.instance.client_ca.issue("other", &["localhost".to_owned()]);
    type Break = fn(&mut NodeSpec) -> &mut TlsIdentity;
    let identities: [(&str, Break); 3] = [
        ("server_tls", |spec| &mut spec.gateway.server_tls),
        ("control_tls", |spec| &mut spec.gateway.control_tls),
        ("internal_tls", |spec| &mut spec.kafka.internal_tls),
    ];
    for (field, identity) in identities {
        let mut unservable = at(9, &node);
        // A key that is not the certificate's.
        identity(&mut unservable).key_pem = other.key_pem.clone();
        let (code, body) = node.put_spec(&unservable);
        assert_eq!(code, 422, "{field}");
        assert!(body["detail"].as_str().unwrap().contains(field), "{field}: {body}");
        assert!(!body.to_string().contains("PRIVATE"), "{body}");
    }

    assert_eq!(node.ask("PUT", "/v1/spec", &vec![b' '; 2 << 20]).0, 413);
    assert_eq!(status(&node).generation, 1);
    assert!(!node.path("last-good.json").exists());
}

#[test]
fn a_gateway_comes_back_with_the_last_good_spec_and_without_the_control_plane() {
    let mut node = ready_node();
    node.put_spec(&at(5, &node));
    node.kill_supervisor();
    kill(status(&node).gateway.pid);
    node.start_with_gateway();
    until("generation 5", SOON, || Some(()).filter(|()| status(&node).generation == 5));
}

#[test]
fn a_last_good_spec_that_was_cut_off_does_not_keep_the_node_down() {
    let mut node = Node::new();
    let whole = serde_json::to_vec(&at(5, &node)).unwrap();
    fs::write(node.path("last-good.json"), &whole[..whole.len() / 2]).unwrap();
    node.start_with_gateway();
    node.wait_until_running();
    assert_eq!(status(&node).generation, 1);
}

#[test]
fn a_newer_spec_put_into_the_directory_is_taken_over() {
    let node = ready_node();
    node.write_boot_spec(&at(6, &node));
    until("generation 6", SOON, || Some(()).filter(|()| status(&node).generation == 6));
}

#[test]
fn a_change_of_kafka_s_side_reaches_the_broker() {
    let node = ready_node();
    let first = node.status().pid.unwrap();
    let mut newer = at(2, &node);
    newer.kafka.jvm.heap_bytes *= 2;
    assert_eq!(node.put_spec(&newer).0, 200);
    node.wait_until_another_runs(first);
    until("a ready node", SOON, || Some(()).filter(|()| node.ask("GET", "/readyz", b"").0 == 200));
}

#[test]
fn the_control_api_moves_to_another_address() {
    let mut node = ready_node();
    let mut newer = at(2, &node);
    newer.gateway.control.set_port(9181);
    assert_eq!(node.put_spec(&newer).0, 200);
    node.spec = newer;
    assert_eq!(status(&node).generation, 2);
}

#[test]
fn a_node_is_ready_only_while_its_broker_answers_and_says_why_not() {
    let node = ready_node();
    assert_eq!(status(&node).state, NodeState::Ready);
    fs::write(node.path(FAIL), "no space").unwrap();
    kill(node.status().pid.unwrap());
    let (code, body) = until("a node that is not ready", SOON, || {
        Some(node.ask("GET", "/readyz", b"")).filter(|(code, _)| *code != 200)
    });
    assert_eq!(code, 503);
    assert!(body.contains("the broker does not serve yet"), "{body}");
    until("a failed node", SOON, || Some(()).filter(|()| status(&node).state == NodeState::Failed));
    assert!(status(&node).reason.contains("no space"), "{}", status(&node).reason);
}

#[test]
fn metrics_are_open_metrics_text() {
    let node = ready_node();
    let (code, text) = node.ask("GET", "/metrics", b"");
    assert_eq!(code, 200);
    for line in ["sluice_node_ready 1", "sluice_node_spec_generation 1", "# EOF"] {
        assert!(text.lines().any(|known| known == line), "{line} is not in:\n{text}");
    }
    let refused =
        r#"sluice_node_connections_refused_total{path="private-plaintext",reason="too-many-connections-of-ip"} 0"#;
    assert!(text.lines().any(|line| line == refused), "the first refusal would not be seen to raise anything:\n{text}");
}

#[test]
fn every_metric_is_for_tenants_or_for_operators() {
    let node = ready_node();
    let (_, text) = node.ask("GET", "/metrics", b"");
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let told: BTreeSet<&str> = types.filter_map(|line| line.split(' ').next()).collect();
    let known: BTreeSet<&str> = metrics::FOR_TENANTS.iter().chain(metrics::FOR_OPERATORS).copied().collect();
    assert_eq!(known.len(), metrics::FOR_TENANTS.len() + metrics::FOR_OPERATORS.len(), "one is for both");
    assert_eq!(told, known);
}

#[test]
fn connections_are_listed_and_closed_for_the_control_plane() {
    let node = ready_node();
    let post = |path: &str, body: serde_json::Value| node.ask("POST", path, body.to_string().as_bytes());
    let (code, body) = post("/v1/connections", serde_json::json!({"limit": 10}));
    assert_eq!((code, body.as_str()), (200, r#"{"connections":[],"total":0}"#));
    let (code, body) = post("/v1/connections/close", serde_json::json!({"filter": {"user": "alice"}}));
    assert_eq!((code, body.as_str()), (200, r#"{"closed":0}"#));
    for (path, wrong) in [
        ("/v1/connections", serde_json::json!({"limit": 0})),
        ("/v1/connections", serde_json::json!({"limit": 501})),
        ("/v1/connections", serde_json::json!({"limit": 1, "filter": {"colour": "blue"}})),
        ("/v1/connections/close", serde_json::json!({"filter": {}})),
        ("/v1/connections/close", serde_json::json!({"ids": vec![1; 501]})),
    ] {
        let (code, body) = post(path, wrong);
        assert_eq!(code, 400, "{body}");
    }
}
