//! An instance of real brokers.
//!
//! Needs Apache Kafka under `SLUICE_TOOLS` (scripts/fetch-kafka) and a built `sluice-node`; says aloud when it has not.

use super::world::{World, instance_specs, wait_until};
use broker_api::{ports, secret::Secret, spec::NodeSpec, status::NodeState};
use control_plane::{
    clock::Clock,
    domain::client_paths::Network,
    drivers::{ClusterDriver, DriverError, NodeRef, local::LocalDriver},
    kafka::{Cluster, Credentials, KafkaControl, KrafkaControl},
    nodes::{HttpsNodes, NodeAddress, NodeControl},
    pki::{AuthorityKind, CertificateAuthority, Purpose},
};
use control_plane_api::{access::Access, id::InstanceId};
use std::{collections::BTreeSet, env, net::SocketAddr, path::PathBuf, sync::Arc};
use tokio::sync::{Mutex, MutexGuard};

/// The newest line, and the one that serves clients older than 2.1 (KIP-896).
pub const NEWEST: &str = "4.3.1";
pub const OLDER: &str = "3.9.2";
/// Three JVMs at a time are enough for the machine.
static ONE_INSTANCE: Mutex<()> = Mutex::const_new(());

/// Kafka and `sluice-node`, or none after saying what is missing.
fn installed(version: &str) -> Option<(PathBuf, PathBuf)> {
    let skipped = |what: &str| eprintln!("SKIPPED: no test on real brokers: {what}");
    let Some(tools) = env::var_os("SLUICE_TOOLS").map(PathBuf::from) else {
        skipped("SLUICE_TOOLS is not set");
        return None;
    };
    let libs = tools.join("kafka").join(version).join("libs");
    // Beside the directory of test binaries.
    let node = env::current_exe().unwrap().parent().unwrap().with_file_name("sluice-node");
    for needed in [&libs, &node] {
        if !needed.exists() {
            skipped(&format!("{} is missing", needed.display()));
            return None;
        }
    }
    Some((tools, node))
}

/// The brokers of one instance, and all that is needed to talk to them.
pub struct Instance {
    pub world: World,
    pub driver: LocalDriver,
    pub nodes: Vec<NodeRef>,
    pub specs: Vec<NodeSpec>,
    pub addresses: Vec<NodeAddress>,
    pub cluster: Cluster,
    /// Which issued what clients are shown.
    pub platform: CertificateAuthority,
    _turn: MutexGuard<'static, ()>,
}

impl Instance {
    pub async fn new(version: &str, brokers: i32) -> Option<Self> {
        let (tools, node_program) = installed(version)?;
        let _turn = ONE_INSTANCE.lock().await;
        let directory = tempfile::Builder::new().prefix("sluice").tempdir().unwrap();
        let world = World::with(directory, tools, node_program);
        let driver = world.driver();
        let instance = InstanceId::generate();
        let nodes: Vec<NodeRef> = (1..=brokers).map(|node_id| NodeRef { instance, node_id }).collect();
        let addresses = driver.choose_addresses(Network::Private, &nodes, &BTreeSet::new()).await.unwrap();
        let now = Clock::system().now();
        let platform = CertificateAuthority::create(AuthorityKind::Platform, "Sluice CA", now).unwrap();
        let internal = CertificateAuthority::create(AuthorityKind::Internal, "Sluice internal CA", now).unwrap();
        let specs = instance_specs(&nodes, &addresses, &platform, &internal, version);
        let identity = Arc::new(internal.issue(Purpose::ControlPlane, &[], now).unwrap());
        let at = |port| addresses.iter().map(|&address| SocketAddr::new(address, port)).collect::<Vec<_>>();
        let cluster = Cluster {
            internal: at(ports::INTERNAL),
            sasl_ssl: at(ports::PRIVATE_SASL_SSL),
            identity: identity.clone(),
            public_ca_pem: platform.certificate_pem().to_owned(),
        };
        let controls = at(ports::CONTROL).into_iter();
        let addresses = controls.map(|control| NodeAddress { control, identity: identity.clone() }).collect();
        Some(Self { world, driver, nodes, specs, addresses, cluster, platform, _turn })
    }

    pub async fn start(&self) -> Result<(), DriverError> {
        for spec in &self.specs {
            self.driver.ensure_node(spec).await?;
        }
        Ok(())
    }

    pub async fn wait_until_ready(&self) {
        let nodes = HttpsNodes::default();
        for node in &self.addresses {
            wait_until("the node is ready", async || {
                nodes.status(node).await.is_ok_and(|status| status.state == NodeState::Ready)
            })
            .await;
        }
        let kafka = KrafkaControl;
        wait_until("Kafka is ready", async || kafka.ready(&self.cluster, self.nodes.len()).await.unwrap_or(false))
            .await;
    }

    /// From nothing to an instance with its user.
    pub async fn set_up(&self, user: &Credentials) {
        self.start().await.unwrap();
        self.wait_until_ready().await;
        KrafkaControl.bind_platform_acls(&self.cluster, &Access::default()).await.unwrap();
        KrafkaControl.shield_platform(&self.cluster).await.unwrap();
        KrafkaControl.put_user(&self.cluster, user).await.unwrap();
    }

    /// Removes all brokers at once, and asserts that nothing of them is left.
    pub async fn remove(&self) {
        let removals = self.nodes.iter().map(|&node| self.driver.remove_node(node));
        for removal in futures::future::join_all(removals).await {
            removal.unwrap();
        }
        assert_eq!(self.driver.list_nodes().await.unwrap(), []);
        assert!(self.processes().is_empty() && self.world.claims().is_empty());
        assert_eq!(std::fs::read_dir(self.world.options.home.join("nodes")).unwrap().count(), 0);
    }

    pub fn processes(&self) -> Vec<i32> {
        self.nodes.iter().flat_map(|&node| self.world.processes(node)).collect()
    }
}

pub fn user() -> Credentials {
    Credentials { user: "orders-app".to_owned(), password: Secret::new("Correct-horse-7") }
}
