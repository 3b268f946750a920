//! What the broker crate's tests share: valid node specs with real certificates, and addresses.
//!
//! `mod support;` in a test binary. Each test takes what it needs, so unused parts are no fault.
#![allow(dead_code, clippy::unwrap_used)]

pub mod pki;

use broker_api::ports;
use broker_api::secret::Secret;
use broker_api::spec::*;
use pki::Authority;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

pub const KAFKA_NEW: &str = "4.3.1";
pub const KAFKA_OLD: &str = "3.9.2";

/// An instance's authorities, and the specs of its nodes.
pub struct TestInstance {
    pub id: String,
    pub kafka_version: String,
    /// Brokers are numbered from 1, at most 14, and broker `n` has the address `127.second.third.(fourth + n)`.
    pub brokers: u8,
    second: u8,
    third: u8,
    fourth: u8,
    pub client_ca: Authority,
    pub internal_ca: Authority,
    pub control_ca: Authority,
}

impl TestInstance {
    pub fn new(kafka_version: &str, brokers: u8) -> Self {
        // Test binaries run beside each other: their addresses differ by pid and instance.
        static INSTANCES: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);
        let number = INSTANCES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let pid = std::process::id();
        Self {
            id: format!("ins_test{pid}x{number}"),
            kafka_version: kafka_version.to_owned(),
            brokers,
            second: 64 + (pid % 64) as u8,
            third: (pid / 64 % 16) as u8 * 16 + number % 16,
            fourth: number / 16 * 16,
            client_ca: Authority::new("Sluice test platform CA"),
            internal_ca: Authority::new("Sluice test internal CA"),
            control_ca: Authority::new("Sluice test control CA"),
        }
    }

    /// An instance that is the same in every run, for texts that are compared. Nothing may listen there.
    pub fn fixed(kafka_version: &str, brokers: u8) -> Self {
        Self { id: "ins_fixed".to_owned(), second: 63, third: 0, fourth: 0, ..Self::new(kafka_version, brokers) }
    }

    pub fn address(&self, node: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(127, self.second, self.third, self.fourth + node))
    }

    /// Spec of broker `node` at generation 1: valid, all voters known, both paths listening.
    pub fn spec(&self, node: u8) -> NodeSpec {
        let address = self.address(node);
        let names = [address.to_string(), "localhost".to_owned()];
        let nodes = 1..=self.brokers;
        NodeSpec {
            generation: 1,
            identity: NodeIdentity {
                instance: self.id.clone(),
                node_id: node.into(),
                cluster_id: "4L6g3nShT-eMCtK--X86sw".to_owned(),
                directory_id: directory_id(node),
            },
            kafka: KafkaSpec {
                version: self.kafka_version.clone(),
                roles: vec![Role::Broker, Role::Controller],
                rack: format!("zone-{node}"),
                bind: address,
                internal_host: address.to_string(),
                initial_controllers: nodes
                    .clone()
                    .take(3)
                    .map(|voter| Voter {
                        node_id: voter.into(),
                        directory_id: directory_id(voter),
                        host: self.address(voter).to_string(),
                        port: ports::CONTROLLER,
                    })
                    .collect(),
                quorum_bootstrap: nodes
                    .clone()
                    .take(3)
                    .map(|voter| format!("{}:{}", self.address(voter), ports::CONTROLLER))
                    .collect(),
                jvm: Jvm { heap_bytes: 256 << 20, fast_start: true },
                internal_tls: self.internal_ca.issue("sluice-node", &names),
                super_users: vec!["User:sluice-control-plane".to_owned()],
                brokers: self.brokers.into(),
                max_message_bytes: 10 << 20,
                disk_bytes: 10 << 30,
                delegation_token_key: Secret::new("a key of this test"),
                replication_password: Some(Secret::new("a-password-of-this-test-0123456789")),
            },
            gateway: GatewaySpec {
                control: SocketAddr::new(address, ports::CONTROL),
                control_tls: self.control_ca.issue("sluice-node", &names),
                listeners: [
                    (AccessPath::PrivatePlaintext, ports::PRIVATE_PLAINTEXT),
                    (AccessPath::PrivateSaslSsl, ports::PRIVATE_SASL_SSL),
                ]
                .map(|(path, port)| Listener {
                    path,
                    bind: SocketAddr::new(address, port),
                    advertised: nodes
                        .clone()
                        .map(|node| AdvertisedAddress {
                            node_id: node.into(),
                            host: self.address(node).to_string(),
                            port,
                        })
                        .collect(),
                    sources: None,
                })
                .into(),
                server_tls: self.client_ca.issue("sluice test broker", &names),
                limits: GatewayLimits::default(),
                balancers: vec![],
                bearer: None,
                client_certificates: None,
                auto_create_topics: false,
                ip_rules: Default::default(),
                connection_rates: Default::default(),
                topic_rates: Default::default(),
                disabled_mechanisms: Vec::new(),
                disabled_users: Vec::new(),
                ended_logins: Default::default(),
                capacity: Default::default(),
            },
        }
    }
}

/// A Kafka directory id that is always the same for a node.
pub fn directory_id(node: u8) -> String {
    // Sixteen bytes in URL-safe base64; the last character holds four bits that must be zero.
    format!("JEXY6aqzQY-32P5TSt{:03}g", node)
}

/// The tools directory, when it holds this version of Kafka; else says loudly why a test is skipped.
pub fn tools_with_kafka(version: &str) -> Option<PathBuf> {
    let tools = std::env::var_os("SLUICE_TOOLS").map(PathBuf::from);
    match tools {
        Some(tools) if tools.join("kafka").join(version).join("libs").is_dir() => Some(tools),
        _ => {
            eprintln!("SKIPPED: SLUICE_TOOLS holds no Apache Kafka {version}; run scripts/fetch-kafka");
            None
        }
    }
}
