//! A machine of its own for a driver: directories, claims, and nodes that are gone when the test ends.

use broker_api::{
    ports,
    secret::Secret,
    spec::{
        AccessPath, AdvertisedAddress, GatewayLimits, GatewaySpec, Jvm, KafkaSpec, Listener, NodeIdentity, NodeSpec,
        Role, TlsIdentity, Voter,
    },
};
use control_plane::{
    domain::client_paths::Network,
    drivers::{
        ClusterDriver, NodeRef,
        local::{LocalDriver, LocalOptions},
    },
    pki::{CertificateAuthority, Purpose},
};
use control_plane_api::id::InstanceId;
use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

pub const KAFKA_VERSION: &str = "4.3.1";

pub fn stand_in() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/local/stand_in_node.py")
}

#[derive(Debug)]
pub struct World {
    pub options: LocalOptions,
    directory: TempDir,
}

impl World {
    /// Runs stand-ins for nodes.
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("sluice").tempdir().unwrap();
        let tools = directory.path().join("tools");
        fs::create_dir_all(tools.join("kafka").join(KAFKA_VERSION).join("libs")).unwrap();
        Self::with(directory, tools, stand_in())
    }

    pub fn with(directory: TempDir, tools: PathBuf, node_program: PathBuf) -> Self {
        let options = LocalOptions {
            home: directory.path().join("home"),
            tools,
            node_program,
            claims: directory.path().join("claims"),
        };
        Self { options, directory }
    }

    pub fn driver(&self) -> LocalDriver {
        LocalDriver::new(self.options.clone()).unwrap()
    }

    /// As a control plane makes it that was installed with a new build of the node program.
    pub fn driver_of_new_build(&self) -> LocalDriver {
        let node_program = self.directory.path().join("sluice-node-new");
        fs::copy(&self.options.node_program, &node_program).unwrap();
        LocalDriver::new(LocalOptions { node_program, ..self.options.clone() }).unwrap()
    }

    pub fn directory_of(&self, node: NodeRef) -> PathBuf {
        self.options.home.join("nodes").join(node.instance.to_string()).join(node.node_id.to_string())
    }

    /// Addresses that are claimed now.
    pub fn claims(&self) -> BTreeSet<IpAddr> {
        let files = fs::read_dir(&self.options.claims).unwrap();
        files.filter_map(|file| file.unwrap().file_name().to_str()?.parse().ok()).collect()
    }

    /// One node, with its address chosen and its spec made.
    pub async fn node(&self, driver: &LocalDriver) -> (NodeRef, NodeSpec) {
        let node = NodeRef { instance: InstanceId::generate(), node_id: 1 };
        let address = driver.choose_addresses(Network::Private, &[node], &BTreeSet::new()).await.unwrap()[0];
        (node, spec(node, address))
    }

    /// Every process whose environment says that it belongs to a node of this world.
    pub fn processes(&self, node: NodeRef) -> Vec<i32> {
        let Ok(record) = fs::read_to_string(self.directory_of(node).join("driver.json")) else { return Vec::new() };
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        processes_with(record["nonce"].as_str().unwrap())
    }
}

impl Drop for World {
    /// No test leaves a process behind, whatever became of it; one that failed leaves its logs.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.directory.disable_cleanup(true);
            eprintln!("kept for a look: {}", self.directory.path().display());
        }
        let nodes = fs::read_dir(self.options.home.join("nodes")).into_iter().flatten().flatten();
        for node in nodes.flat_map(|instance| fs::read_dir(instance.path()).into_iter().flatten().flatten()) {
            let Ok(record) = fs::read_to_string(node.path().join("driver.json")) else { continue };
            let record: serde_json::Value = serde_json::from_str(&record).unwrap_or_default();
            let nonce = record["nonce"].as_str().unwrap_or("none");
            while let [pid, ..] = processes_with(nonce)[..] {
                kill(pid);
            }
        }
    }
}

pub fn processes_with(nonce: &str) -> Vec<i32> {
    let wanted = format!("SLUICE_NODE_NONCE={nonce}");
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|variable| variable == wanted.as_bytes())
    })
    .collect()
}

pub fn kill(pid: i32) {
    use rustix::process::{Pid, Signal, kill_process};
    let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
}

pub async fn wait_until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition().await {
        assert!(Instant::now() < deadline, "gave up waiting until {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// A spec that only a stand-in can serve: its certificates are empty.
pub fn spec(node: NodeRef, address: IpAddr) -> NodeSpec {
    let none = TlsIdentity { certificate_pem: String::new(), key_pem: Secret::new(""), ca_pem: String::new() };
    let directory_id = "AAAAAAAAAAAAAAAAAAAAAQ".to_owned();
    let host = address.to_string();
    let controller = ports::CONTROLLER;
    NodeSpec {
        generation: 1,
        identity: NodeIdentity {
            instance: node.instance.to_string(),
            node_id: node.node_id,
            cluster_id: "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
            directory_id: directory_id.clone(),
        },
        kafka: KafkaSpec {
            version: KAFKA_VERSION.to_owned(),
            roles: vec![Role::Broker, Role::Controller],
            rack: "zone-a".to_owned(),
            bind: address,
            internal_host: host.clone(),
            initial_controllers: vec![Voter {
                node_id: node.node_id,
                directory_id,
                host: host.clone(),
                port: controller,
            }],
            quorum_bootstrap: vec![format!("{host}:{controller}")],
            jvm: Jvm { heap_bytes: 256 << 20, fast_start: true },
            internal_tls: none.clone(),
            super_users: vec!["User:sluice-control-plane".to_owned()],
            brokers: 1,
            max_message_bytes: 10 << 20,
            disk_bytes: 10 << 30,
            delegation_token_key: Secret::new("0123456789abcdef0123456789abcdef"),
            replication_password: Some(Secret::new("a-password-of-this-test-0123456789")),
        },
        gateway: GatewaySpec {
            control: SocketAddr::new(address, ports::CONTROL),
            control_tls: none.clone(),
            listeners: [
                (AccessPath::PrivatePlaintext, ports::PRIVATE_PLAINTEXT),
                (AccessPath::PrivateSaslSsl, ports::PRIVATE_SASL_SSL),
            ]
            .map(|(path, port)| Listener {
                path,
                bind: SocketAddr::new(address, port),
                advertised: vec![AdvertisedAddress { node_id: node.node_id, host: host.clone(), port }],
                sources: None,
            })
            .into(),
            server_tls: none,
            limits: GatewayLimits::default(),
            balancers: Vec::new(),
            auto_create_topics: false,
            ip_rules: Default::default(),
            connection_rates: Default::default(),
            topic_rates: Default::default(),
            bearer: None,
            client_certificates: None,
            disabled_mechanisms: Vec::new(),
            disabled_users: Vec::new(),
            ended_logins: Default::default(),
            capacity: Default::default(),
        },
    }
}

/// Specs of one instance that real nodes can serve.
pub fn instance_specs(
    nodes: &[NodeRef],
    addresses: &[IpAddr],
    platform: &CertificateAuthority,
    internal: &CertificateAuthority,
    version: &str,
) -> Vec<NodeSpec> {
    let now = control_plane::clock::Clock::system().now();
    let cluster_id = base64_id();
    let voters: Vec<Voter> = nodes
        .iter()
        .zip(addresses)
        .take(3)
        .map(|(node, address)| Voter {
            node_id: node.node_id,
            directory_id: base64_id(),
            host: address.to_string(),
            port: ports::CONTROLLER,
        })
        .collect();
    let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let advertised = |port| {
        let address = |(node, address): (&NodeRef, &IpAddr)| AdvertisedAddress {
            node_id: node.node_id,
            host: address.to_string(),
            port,
        };
        nodes.iter().zip(addresses).map(address).collect::<Vec<_>>()
    };
    let server_tls = platform.issue(Purpose::ClientListener, &all, now).unwrap();
    let mut specs = Vec::new();
    for (index, (&node, &address)) in nodes.iter().zip(addresses).enumerate() {
        let mut spec = spec(node, address);
        let names = [address.to_string()];
        spec.identity.cluster_id = cluster_id.clone();
        spec.identity.directory_id = voters.get(index).map_or_else(base64_id, |voter| voter.directory_id.clone());
        spec.kafka.version = version.to_owned();
        spec.kafka.rack = format!("zone-{index}");
        spec.kafka.initial_controllers = voters.clone();
        spec.kafka.quorum_bootstrap = voters.iter().map(|voter| format!("{}:{}", voter.host, voter.port)).collect();
        spec.kafka.internal_tls = internal.issue(Purpose::Node, &names, now).unwrap();
        spec.kafka.brokers = u32::try_from(nodes.len()).unwrap();
        spec.gateway.control_tls = internal.issue(Purpose::ControlApi, &names, now).unwrap();
        spec.gateway.server_tls = server_tls.clone();
        for listener in &mut spec.gateway.listeners {
            listener.advertised = advertised(listener.bind.port());
        }
        specs.push(spec);
    }
    specs
}

/// 22 characters of URL-safe base64, as Kafka's ids are.
fn base64_id() -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(uuid::Uuid::new_v4().as_bytes())
}
