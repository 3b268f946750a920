//! The node as a driver and a control plane meet it: two processes, their APIs, and a real Kafka.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

#[path = "../support/mod.rs"]
mod support;

mod admission;
mod capacity;
mod control;
mod groups;
mod harness;
mod kafka;
mod stand_in;
mod supervisor;

use support::{KAFKA_NEW, TestInstance};

/// Not a test: writes the specs of an instance for trying things by hand.
/// `SPECS=dir KAFKA=4.3.1 BROKERS=3 cargo test -p broker --test node -- --ignored write_specs`
#[test]
#[ignore = "a tool for trying things by hand"]
fn write_specs() {
    let Ok(dir) = std::env::var("SPECS") else { return };
    let version = std::env::var("KAFKA").unwrap_or(KAFKA_NEW.to_owned());
    let brokers = std::env::var("BROKERS").map_or(1, |n| n.parse().unwrap());
    let instance = TestInstance::new(&version, brokers);
    for node in 1..=brokers {
        let path = std::path::Path::new(&dir).join(node.to_string());
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("spec.json"), serde_json::to_vec_pretty(&instance.spec(node)).unwrap()).unwrap();
    }
    let admin = instance.internal_ca.issue("sluice-control-plane", &["localhost".to_owned()]);
    std::fs::write(format!("{dir}/admin.pem"), format!("{}{}", admin.key_pem.expose(), admin.certificate_pem)).unwrap();
    std::fs::write(format!("{dir}/admin-ca.pem"), admin.ca_pem).unwrap();
}
