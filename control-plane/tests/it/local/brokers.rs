//! Three real brokers: driver, nodes, gateways and Kafka together, from nothing to messages and back to nothing.
//!
//! Needs Apache Kafka under `SLUICE_TOOLS` (scripts/fetch-kafka) and a built `sluice-node`; says aloud when it has not.

use super::world::{World, instance_specs, kill, wait_until};
use broker_api::{ports, secret::Secret, spec::NodeSpec, status::NodeState};
use control_plane::{
    clock::Clock,
    drivers::{ClusterDriver, DriverError, NodeRef, local::LocalDriver},
    kafka::{Cluster, Credentials, KafkaControl, KafkaError, KrafkaControl},
    nodes::{HttpsNodes, NodeAddress, NodeControl, NodeError},
    pki::{AuthorityKind, CertificateAuthority, Purpose},
};
use control_plane_api::id::InstanceId;
use std::{collections::BTreeSet, env, net::SocketAddr, path::PathBuf, sync::Arc};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::Instant,
};

/// The newest line, and the one that serves clients older than 2.1 (KIP-896).
const NEWEST: &str = "4.3.1";
const OLDER: &str = "3.9.2";
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

/// Three brokers of one instance, and all that is needed to talk to them.
struct Instance {
    world: World,
    driver: LocalDriver,
    nodes: Vec<NodeRef>,
    specs: Vec<NodeSpec>,
    addresses: Vec<NodeAddress>,
    cluster: Cluster,
    _turn: MutexGuard<'static, ()>,
}

impl Instance {
    async fn new(version: &str) -> Option<Self> {
        let (tools, node_program) = installed(version)?;
        let _turn = ONE_INSTANCE.lock().await;
        let directory = tempfile::Builder::new().prefix("sluice").tempdir().unwrap();
        let world = World::with(directory, tools, node_program);
        let driver = world.driver();
        let instance = InstanceId::generate();
        let nodes: Vec<NodeRef> = (1..=3).map(|node_id| NodeRef { instance, node_id }).collect();
        let addresses = driver.choose_addresses(&nodes, &BTreeSet::new()).await.unwrap();
        let now = Clock::system().now();
        let platform = CertificateAuthority::create(AuthorityKind::Platform, "Sluice CA", now).unwrap();
        let internal = CertificateAuthority::create(AuthorityKind::Internal, "Sluice internal CA", now).unwrap();
        let specs = instance_specs(&nodes, &addresses, &platform, &internal, version);
        let identity = Arc::new(internal.issue(Purpose::ControlPlane, &[], now).unwrap());
        let at = |port| addresses.iter().map(|&address| SocketAddr::new(address, port)).collect::<Vec<_>>();
        let cluster = Cluster {
            internal: at(ports::INTER_BROKER),
            sasl_ssl: at(ports::PRIVATE_SASL_SSL),
            identity: identity.clone(),
            public_ca_pem: platform.certificate_pem().to_owned(),
        };
        let controls = at(ports::CONTROL).into_iter();
        let addresses = controls.map(|control| NodeAddress { control, identity: identity.clone() }).collect();
        Some(Self { world, driver, nodes, specs, addresses, cluster, _turn })
    }

    async fn start(&self) -> Result<(), DriverError> {
        for spec in &self.specs {
            self.driver.ensure_node(spec).await?;
        }
        Ok(())
    }

    async fn wait_until_ready(&self) {
        let nodes = HttpsNodes::default();
        for node in &self.addresses {
            wait_until("the node is ready", async || {
                nodes.status(node).await.is_ok_and(|status| status.state == NodeState::Ready)
            })
            .await;
        }
        let kafka = KrafkaControl;
        wait_until("Kafka is ready", async || kafka.ready(&self.cluster, 3).await.unwrap_or(false)).await;
    }

    /// Removes all brokers at once, and asserts that nothing of them is left.
    async fn remove(&self) {
        let removals = self.nodes.iter().map(|&node| self.driver.remove_node(node));
        for removal in futures::future::join_all(removals).await {
            removal.unwrap();
        }
        assert_eq!(self.driver.list_nodes().await.unwrap(), []);
        assert!(self.processes().is_empty() && self.world.claims().is_empty());
        assert_eq!(std::fs::read_dir(self.world.options.home.join("nodes")).unwrap().count(), 0);
    }

    fn processes(&self) -> Vec<i32> {
        self.nodes.iter().flat_map(|&node| self.world.processes(node)).collect()
    }
}

/// Prints how long a step took: `cargo test … -- --nocapture`.
struct Steps(Instant);

impl Steps {
    fn done(&mut self, what: &str) {
        eprintln!("{what}: {} ms", self.0.elapsed().as_millis());
        self.0 = Instant::now();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_serves_survives_the_death_of_everything_and_goes_without_a_trace() {
    let Some(instance) = Instance::new(NEWEST).await else { return };
    let kafka = KrafkaControl;
    let user = Credentials { user: "orders-app".to_owned(), password: Secret::new("Correct-horse-7") };
    let mut steps = Steps(Instant::now());
    instance.start().await.unwrap();
    steps.done("processes started");
    instance.wait_until_ready().await;
    steps.done("ready");
    kafka.bind_platform_acls(&instance.cluster).await.unwrap();
    kafka.bind_platform_acls(&instance.cluster).await.unwrap();
    steps.done("ACLs bound, twice");
    kafka.put_user(&instance.cluster, &user).await.unwrap();
    steps.done("user written");
    kafka.canary(&instance.cluster, &user).await.unwrap();
    steps.done("canary");

    let wrong = Credentials { password: Secret::new("Wrong-horse-7"), ..user.clone() };
    let refusal = kafka.canary(&instance.cluster, &wrong).await.unwrap_err();
    assert!(matches!(refusal, KafkaError::Permanent { .. }), "{refusal}");
    steps.done("canary with a wrong password refused");

    let older = NodeSpec { generation: 6, ..instance.specs[0].clone() };
    let newer = NodeSpec { generation: 7, ..instance.specs[0].clone() };
    let nodes = HttpsNodes::default();
    assert_eq!(nodes.push_spec(&instance.addresses[0], &newer).await.unwrap().generation, 7);
    let refusal = nodes.push_spec(&instance.addresses[0], &older).await.unwrap_err();
    assert!(matches!(refusal, NodeError::Stale { in_force: 7, .. }), "{refusal}");
    steps.done("specs pushed");

    // A new control plane finds the nodes running and leaves them alone.
    let before = instance.processes();
    for spec in &instance.specs {
        instance.world.driver().ensure_node(spec).await.unwrap();
    }
    assert_eq!(instance.processes(), before);
    steps.done("adopted");

    // Power is cut: everything dies at once, and comes back with its data.
    before.into_iter().for_each(kill);
    wait_until("everything is gone", async || instance.processes().is_empty()).await;
    instance.start().await.unwrap();
    instance.wait_until_ready().await;
    steps.done("back after kill -9 of everything");
    kafka.canary(&instance.cluster, &user).await.unwrap();
    steps.done("canary, with the user of before");

    instance.remove().await;
    steps.done("removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_of_the_older_line_serves_in_the_same_way() {
    let Some(instance) = Instance::new(OLDER).await else { return };
    let kafka = KrafkaControl;
    let user = Credentials { user: "orders-app".to_owned(), password: Secret::new("Correct-horse-7") };
    instance.start().await.unwrap();
    instance.wait_until_ready().await;
    kafka.bind_platform_acls(&instance.cluster).await.unwrap();
    kafka.put_user(&instance.cluster, &user).await.unwrap();
    kafka.canary(&instance.cluster, &user).await.unwrap();
    instance.remove().await;
}
