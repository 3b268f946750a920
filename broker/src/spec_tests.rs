use super::*;
use crate::directory::write_atomic;
use crate::support::{KAFKA_NEW, KAFKA_OLD, TestInstance};
use broker_api::secret::Secret;
use broker_api::spec::{SaslMechanism, TopicRates};

fn spec() -> NodeSpec {
    TestInstance::fixed(KAFKA_NEW, 3).spec(1)
}

fn at(generation: u64, spec: &NodeSpec) -> NodeSpec {
    NodeSpec { generation, ..spec.clone() }
}

fn json(spec: &NodeSpec) -> Vec<u8> {
    serde_json::to_vec(spec).unwrap()
}

#[test]
fn the_newer_of_boot_copy_and_last_good_spec_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let directory = NodeDirectory::open(dir.path()).unwrap();
    let spec = spec();
    write_atomic(&directory.boot_spec(), &json(&at(2, &spec))).unwrap();
    assert_eq!(newest(&directory).unwrap().generation, 2);
    write_atomic(&directory.last_good_spec(), &json(&at(7, &spec))).unwrap();
    assert_eq!(newest(&directory).unwrap().generation, 7);
    write_atomic(&directory.boot_spec(), &json(&at(8, &spec))).unwrap();
    assert_eq!(newest(&directory).unwrap().generation, 8);
    let mut other = at(9, &spec);
    other.kafka.replication_password = None;
    write_atomic(&directory.boot_spec(), &json(&other)).unwrap();
    assert_eq!(newest(&directory).unwrap().generation, 7, "one that the node would refuse while it runs");
}

#[test]
fn a_cut_off_or_garbled_file_does_not_hide_the_good_one() {
    let dir = tempfile::tempdir().unwrap();
    let directory = NodeDirectory::open(dir.path()).unwrap();
    let good = json(&at(3, &spec()));
    for garbage in [&good[..good.len() / 2], b"", b"\0\0\0\0", b"{}"] {
        fs::write(directory.boot_spec(), &good).unwrap();
        fs::write(directory.last_good_spec(), garbage).unwrap();
        assert_eq!(newest(&directory).unwrap().generation, 3);
        fs::write(directory.boot_spec(), garbage).unwrap();
        fs::write(directory.last_good_spec(), &good).unwrap();
        assert_eq!(newest(&directory).unwrap().generation, 3);
    }
}

#[test]
fn without_any_usable_spec_both_files_are_named_with_their_fault() {
    let dir = tempfile::tempdir().unwrap();
    let directory = NodeDirectory::open(dir.path()).unwrap();
    fs::write(directory.boot_spec(), "{").unwrap();
    let text = newest(&directory).unwrap_err().to_string();
    assert!(text.contains("spec.json: not a node spec: EOF") && text.contains("last-good.json: missing"), "{text}");
}

#[test]
fn a_field_that_is_not_known_is_refused() {
    let mut value = serde_json::to_value(spec()).unwrap();
    value["gateway"]["limits"]["max_conections"] = 5.into();
    let error = parse(&serde_json::to_vec(&value).unwrap()).unwrap_err();
    assert_eq!(error.code(), RefusalCode::Malformed);
    assert!(error.to_string().contains("max_conections"), "{error}");
}

#[test]
fn rates_of_addresses_are_sent_as_they_are_and_only_where_there_are_some() {
    let mut rated = spec();
    let without = serde_json::to_value(&rated).unwrap();
    assert_eq!(
        without["gateway"].get("connection_rates"),
        None,
        "an older node would refuse a field that it does not know"
    );
    rated.gateway.connection_rates.of_ip =
        [([192, 0, 2, 7].into(), 5), ([0xfd00, 0, 0, 0, 0, 0, 0, 1].into(), 2)].into();
    let sent = serde_json::to_value(&rated).unwrap();
    assert_eq!(sent["gateway"]["connection_rates"], serde_json::json!({ "of_ip": { "192.0.2.7": 5, "fd00::1": 2 } }));
    assert_eq!(parse(&serde_json::to_vec(&sent).unwrap()).unwrap(), rated);
}

#[test]
fn rates_of_topics_are_sent_as_they_are_and_only_where_there_are_some() {
    let mut rated = spec();
    let without = serde_json::to_value(&rated).unwrap();
    assert_eq!(without["gateway"].get("topic_rates"), None, "an older node would refuse a field that it does not know");
    rated.gateway.topic_rates.insert("orders".to_owned(), TopicRates { produce: Some(50_000), consume: None });
    let sent = serde_json::to_value(&rated).unwrap();
    assert_eq!(sent["gateway"]["topic_rates"], serde_json::json!({ "orders": { "produce": 50_000 } }));
    assert_eq!(parse(&serde_json::to_vec(&sent).unwrap()).unwrap(), rated);
}

#[test]
fn a_spec_that_could_not_work_is_refused_with_the_field() {
    type Break = fn(&mut NodeSpec);
    let cases: [(&str, Break); 10] = [
        ("generation", |spec| spec.generation = 0),
        ("kafka.version", |spec| spec.kafka.version = "2.8.0".to_owned()),
        ("identity.cluster_id", |spec| spec.identity.cluster_id = "short".to_owned()),
        ("kafka.initial_controllers", |spec| {
            spec.kafka.initial_controllers[0].directory_id = "AAAAAAAAAAAAAAAAAAAAAA".to_owned()
        }),
        ("kafka.jvm.heap_bytes", |spec| spec.kafka.jvm.heap_bytes = 1),
        ("kafka.bind", |spec| spec.kafka.bind = [0, 0, 0, 0].into()),
        ("kafka.replication_password", |spec| spec.kafka.bind = [10, 1, 0, 1].into()),
        ("kafka.replication_password", |spec| spec.kafka.internal_host = "broker-1.internal".to_owned()),
        ("kafka.replication_password", |spec| spec.kafka.replication_password = Some(Secret::new("\" user_x=\"y"))),
        ("kafka.max_message_bytes", |spec| spec.kafka.max_message_bytes = 1 << 40),
    ];
    for (field, break_it) in cases {
        let mut broken = spec();
        break_it(&mut broken);
        let error = check(&broken).unwrap_err();
        assert!(error.to_string().contains(field), "{field}: {error}");
        assert_eq!(error.code(), RefusalCode::Unservable);
    }
}

#[test]
fn an_older_generation_loses_and_a_repeat_is_no_change() {
    let now = at(5, &spec());
    assert!(fence(&now, &at(6, &now)).unwrap());
    assert!(!fence(&now, &now.clone()).unwrap());
    let stale = fence(&now, &at(4, &now)).unwrap_err();
    assert_eq!((stale.code(), stale.generation()), (RefusalCode::StaleGeneration, Some(5)));
}

#[test]
fn the_same_generation_with_other_content_is_refused() {
    let now = at(5, &spec());
    let mut other = now.clone();
    other.gateway.disabled_users.push("alice".to_owned());
    let error = fence(&now, &other).unwrap_err();
    assert_eq!((error.code(), error.generation()), (RefusalCode::GenerationReused, Some(5)));
}

#[test]
fn the_spec_of_another_node_is_refused_whatever_its_generation() {
    let instance = TestInstance::fixed(KAFKA_NEW, 3);
    let error = fence(&instance.spec(1), &at(9, &instance.spec(2))).unwrap_err();
    assert_eq!(error.code(), RefusalCode::ForeignIdentity);
    assert!(error.to_string().starts_with("this is node 1 of instance"), "{error}");
}

#[test]
fn how_brokers_replicate_is_for_life() {
    let now = at(5, &spec());
    for password in [None, Some(Secret::new("another-password-of-this-test-012"))] {
        let mut other = at(6, &now);
        other.kafka.replication_password = password;
        assert!(matches!(fence(&now, &other), Err(SpecError::Replication)));
        assert!(matches!(fence(&other, &at(7, &now)), Err(SpecError::Replication)));
    }
}

/// What a change of one field asks for.
fn changed(edit: fn(&mut NodeSpec)) -> Change {
    let old = spec();
    let mut new = old.clone();
    edit(&mut new);
    change(&old, &new).unwrap()
}

#[test]
fn what_only_the_gateway_serves_is_hot() {
    let edits: [fn(&mut NodeSpec); 6] = [
        |spec| spec.gateway.disabled_users.push("alice".to_owned()),
        |spec| spec.gateway.disabled_mechanisms.push(SaslMechanism::Plain),
        |spec| spec.gateway.listeners.clear(),
        |spec| spec.gateway.limits.max_connections = 1,
        |spec| spec.gateway.connection_rates.default = Some(5),
        |spec| spec.gateway.topic_rates.extend([("orders".to_owned(), TopicRates::default())]),
    ];
    for edit in edits {
        assert_eq!(changed(edit), Change { hot: true, ..Change::default() });
    }
}

#[test]
fn what_a_running_broker_takes_is_dynamic() {
    let change = changed(|spec| spec.kafka.max_message_bytes = 5 << 20);
    assert_eq!(change.dynamic, [("message.max.bytes".to_owned(), (5 * 1024 * 1024 + 4096).to_string())]);
    assert!(change.restart.is_empty() && change.concerns_kafka());
    assert_eq!(changed(|spec| spec.kafka.disk_bytes = 1 << 40).dynamic.len(), 1);
}

#[test]
fn a_certificate_between_brokers_is_swapped_while_it_keeps_its_names_else_at_a_restart() {
    let instance = TestInstance::fixed(KAFKA_NEW, 3);
    let old = instance.spec(1);
    let with = |common_name: &str, names: &[&str]| {
        let mut new = old.clone();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        new.kafka.internal_tls = instance.internal_ca.issue(common_name, &names);
        change(&old, &new).unwrap()
    };
    let address = old.kafka.internal_host.as_str();
    let swapped = with("sluice-node", &[address, "localhost", "broker-1.internal"]);
    assert!(swapped.internal_tls && swapped.restart.is_empty(), "{swapped:?}");
    assert_eq!(with("sluice-node", &[address]).restart, ["internal_tls"]);
    assert_eq!(with("another", &[address, "localhost"]).restart, ["internal_tls"]);
}

#[test]
fn what_kafka_reads_only_at_start_is_a_restart_and_says_why() {
    type Case = (&'static str, fn(&mut NodeSpec));
    let cases: [Case; 6] = [
        ("jvm", |spec| spec.kafka.jvm.fast_start = false),
        ("version", |spec| spec.kafka.version = "4.3.0".to_owned()),
        ("version", |spec| spec.kafka.version = KAFKA_OLD.to_owned()),
        ("super.users", |spec| spec.kafka.super_users.clear()),
        ("advertised.listeners", |spec| spec.kafka.internal_host = "broker-1.internal".to_owned()),
        ("default.replication.factor", |spec| spec.kafka.brokers = 1),
    ];
    for (why, edit) in cases {
        let change = changed(edit);
        assert!(change.restart.iter().any(|reason| reason == why), "{why}: {change:?}");
    }
}

#[test]
fn what_has_no_effect_on_a_running_broker_is_no_change() {
    let edits: [fn(&mut NodeSpec); 3] = [
        |spec| spec.generation = 9,
        // A fourth broker: everything still has three replicas.
        |spec| spec.kafka.brokers = 4,
        |spec| spec.kafka.initial_controllers.truncate(1),
    ];
    for edit in edits {
        assert_eq!(changed(edit), Change::default());
    }
}
