use super::*;
use crate::support::{KAFKA_NEW, KAFKA_OLD, TestInstance};
use std::fs;

fn properties_of(spec: &NodeSpec) -> Properties {
    let line = Line::of(&spec.kafka.version).unwrap();
    server_properties(spec, line, &KafkaPaths::new(Path::new("/node/kafka"), "/node/data".into()))
}

/// Compares with a committed text; `UPDATE_SNAPSHOTS=1` writes it anew.
fn assert_snapshot(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/supervisor/snapshots").join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(&path).unwrap_or_default(), "{} differs", path.display());
}

#[test]
fn what_kafka_4_3_is_told_is_as_committed() {
    let spec = TestInstance::fixed(KAFKA_NEW, 3).spec(1);
    assert_snapshot("server-4.3.properties", &properties_of(&spec).render());
}

#[test]
fn what_kafka_3_9_is_told_is_as_committed() {
    let spec = TestInstance::fixed(KAFKA_OLD, 3).spec(1);
    assert_snapshot("server-3.9.properties", &properties_of(&spec).render());
}

#[test]
fn brokers_without_a_password_for_each_other_replicate_by_tls() {
    let mut spec = TestInstance::fixed(KAFKA_NEW, 3).spec(1);
    spec.kafka.replication_password = None;
    let properties = properties_of(&spec);
    assert_eq!(properties.get("inter.broker.listener.name"), Some("INT"));
    let listeners = "INT://127.63.0.1:9190,CTL://127.63.0.1:9191,PLN://127.63.0.1:9192,SAS://127.63.0.1:9193";
    assert_eq!(properties.get("listeners"), Some(listeners));
    assert_eq!(properties.get("advertised.listeners"), Some(listeners));
    assert!(properties.iter().all(|(key, _)| !key.contains(".rep.")));
}

#[test]
fn no_setting_is_given_twice() {
    for version in [KAFKA_NEW, KAFKA_OLD] {
        let properties = properties_of(&TestInstance::fixed(version, 1).spec(1));
        let mut keys: Vec<_> = properties.iter().map(|(key, _)| key).collect();
        keys.sort_unstable();
        let all = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), all);
    }
}

#[test]
fn a_single_broker_asks_for_no_replica_that_cannot_be() {
    let properties = properties_of(&TestInstance::fixed(KAFKA_NEW, 1).spec(1));
    for key in ["default.replication.factor", "offsets.topic.replication.factor", "min.insync.replicas"] {
        assert_eq!(properties.get(key), Some("1"), "{key}");
    }
}

#[test]
fn segments_grow_with_the_disk_within_bounds() {
    let gib = 1 << 30;
    assert_eq!(segment_bytes(10 * gib), 16 * MIB);
    assert_eq!(segment_bytes(200 * gib), 34 * MIB);
    assert_eq!(segment_bytes(30_000 * gib), 256 * MIB);
}

#[test]
fn a_small_heap_is_not_spent_on_the_cleaner() {
    assert_eq!(dedupe_buffer_bytes(256 * MIB), 16 * MIB);
    assert_eq!(dedupe_buffer_bytes(6144 * MIB), 128 * MIB);
}

#[test]
fn a_value_cannot_become_another_setting() {
    let mut spec = TestInstance::fixed(KAFKA_NEW, 1).spec(1);
    spec.kafka.rack = "zone\nsuper.users=User:ANONYMOUS".to_owned();
    let text = properties_of(&spec).render();
    assert!(text.contains("broker.rack=zone\\nsuper.users=User:ANONYMOUS\n"), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("super.users")).count(), 1);
}

#[test]
fn text_outside_ascii_is_escaped_as_java_reads_it() {
    let mut out = String::new();
    escape(&mut out, " 区\\🦀", false);
    assert_eq!(out, "\\ \\u533a\\\\\\ud83e\\udd80");
}
