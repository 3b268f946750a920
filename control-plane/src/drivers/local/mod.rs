//! The local driver: brokers as processes on this machine, each on a loopback address of its own, and on a second one while
//! its instance has public access.
//!
//! Owns `SLUICE_HOME/nodes` and the claims on addresses. A node runs as the user that the control plane runs as, in a
//! session of its own: it survives the control plane, and any later driver of the same SLUICE_HOME finds it again by
//! its directory, its unix socket and the nonce that all its processes carry. After a reboot a node starts again from
//! its directory at the next [`ClusterDriver::ensure_node`]. Nothing is kept in memory. Disk is not reserved: what a
//! broker was sold is the control plane's account; the driver only refuses to start one on a disk that is nearly full.

mod addresses;
mod files;
mod ports;
mod processes;
mod supervisor;

use super::{ClusterDriver, DriverError, HeldNode, NodeRef};
use crate::domain::client_paths::Network;
use addresses::{AddressBook, AddressError};
use async_trait::async_trait;
use broker_api::spec::NodeSpec;
use control_plane_api::id::InstanceId;
use files::{NodeHome, NodeLock, Record};
use rand::{TryRngCore, rngs::OsRng};
use std::{
    collections::BTreeSet,
    error::Error,
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};
use tracing::{info, warn};

/// Room that a start takes at most: logs of the JVM, indexes of a new broker's partitions, metadata.
const MIN_FREE_BYTES: u64 = 1 << 30;
/// Another replica is starting or removing the same node.
const LOCK_DEADLINE: Duration = Duration::from_secs(30);
/// From the start of a supervisor to its first answer: it reads a spec and listens.
const START_DEADLINE: Duration = Duration::from_secs(15);
const PORTS_DEADLINE: Duration = Duration::from_secs(5);
/// Data goes with the node, so a removal waits only for connections to be closed well: Kafka cannot hand its leaders
/// over when all brokers of an instance go at once.
const STOP_DEADLINE: Duration = Duration::from_secs(2);
const KILL_DEADLINE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Room for a path in `sockaddr_un`, without the final zero (unix(7)).
const MAX_SOCKET_PATH: usize = 107;

/// What a local driver needs to know.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// SLUICE_HOME: absolute; made when missing.
    pub home: PathBuf,
    /// SLUICE_TOOLS: holds `kafka/<version>/libs`.
    pub tools: PathBuf,
    /// The program `sluice-node`.
    pub node_program: PathBuf,
    /// Where all checkouts on this machine claim addresses; [`LocalOptions::shared_claims`] unless in a test.
    pub claims: PathBuf,
}

impl LocalOptions {
    /// The machine's directory of claims. `runtime` is XDG_RUNTIME_DIR.
    pub fn shared_claims(runtime: Option<&Path>) -> PathBuf {
        addresses::default_directory(runtime)
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct LocalDriver {
    nodes: PathBuf,
    tools: PathBuf,
    node_program: PathBuf,
    /// Of the node program when this driver was made: a program that is built anew is for the next control plane.
    build: String,
    addresses: AddressBook,
}

impl LocalDriver {
    pub fn new(options: LocalOptions) -> Result<Self, DriverError> {
        let LocalOptions { home, tools, node_program, claims } = options;
        let nodes = home.join("nodes");
        files::create_private(&nodes).map_err(|e| permanent(format!("{} cannot be made", nodes.display()), e))?;
        // One name for a directory, so that its claims are found again whatever way it is reached.
        let home = home.canonicalize().map_err(|e| permanent(format!("{} cannot be used", home.display()), e))?;
        let nodes = home.join("nodes");
        let longest = NodeRef { instance: InstanceId::from_uuid(uuid::Uuid::max()), node_id: 9999 };
        let socket = NodeHome::new(&nodes, longest).socket();
        if socket.as_os_str().len() > MAX_SOCKET_PATH {
            let over = socket.as_os_str().len() - MAX_SOCKET_PATH;
            return Err(DriverError::Permanent {
                reason: format!(
                    "the path of SLUICE_HOME, {}, is {over} bytes too long for a socket in it",
                    home.display()
                ),
                source: None,
            });
        }
        // A program that is missing is told of where it is needed.
        let build = broker_api::build::of(&node_program).unwrap_or_default();
        Ok(Self { nodes, tools, node_program, build, addresses: AddressBook::new(home, claims) })
    }

    async fn lock(&self, node: NodeRef) -> Result<(NodeHome, NodeLock), DriverError> {
        let home = NodeHome::new(&self.nodes, node);
        let deadline = Instant::now() + LOCK_DEADLINE;
        loop {
            match home.try_lock() {
                Ok(Some(lock)) => return Ok((home, lock)),
                Ok(None) if Instant::now() < deadline => sleep(LOOK_EVERY).await,
                Ok(None) => {
                    return Err(gave_up(format!("node {node} is being worked on elsewhere")));
                }
                Err(error) => return Err(permanent(format!("node {node} cannot be locked"), error)),
            }
        }
    }

    /// The addresses' own work is on files and short, but may wait for another process.
    async fn with_addresses<T: Send + 'static>(
        &self,
        work: impl FnOnce(&AddressBook) -> Result<T, AddressError> + Send + 'static,
    ) -> Result<T, DriverError> {
        let addresses = self.addresses.clone();
        blocking(move || work(&addresses)).await?.map_err(|error| {
            let source = error.source().map(ToString::to_string);
            DriverError::Permanent { reason: with_cause(&error.to_string(), source), source: Some(Box::new(error)) }
        })
    }

    /// The sockets of a killed process outlive what /proc tells of it, by moments.
    async fn wait_for_ports(&self, address: IpAddr) -> Result<(), DriverError> {
        let deadline = Instant::now() + PORTS_DEADLINE;
        loop {
            match self.with_addresses(move |_| AddressBook::check_ports(Network::Private, address)).await {
                Err(_) if Instant::now() < deadline => sleep(LOOK_EVERY).await,
                result => return result,
            }
        }
    }

    fn check_room(&self) -> Result<(), DriverError> {
        let disk = rustix::fs::statvfs(&self.nodes)
            .map_err(|e| transient(format!("room in {} cannot be told", self.nodes.display()), e))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < MIN_FREE_BYTES {
            let reason = format!(
                "{} has {} MiB free, a broker needs {} MiB to start",
                self.nodes.display(),
                free >> 20,
                MIN_FREE_BYTES >> 20
            );
            return Err(DriverError::Permanent { reason, source: None });
        }
        Ok(())
    }

    fn check_tools(&self, spec: &NodeSpec) -> Result<(), DriverError> {
        let kafka = self.tools.join("kafka").join(&spec.kafka.version).join("libs");
        for needed in [&kafka, &self.node_program] {
            if !needed.exists() {
                let reason = format!("{} is missing; `make up` installs it", needed.display());
                return Err(DriverError::Permanent { reason, source: None });
            }
        }
        Ok(())
    }

    async fn start(&self, node: NodeRef, home: &NodeHome, spec: &NodeSpec) -> Result<(), DriverError> {
        let failed = |what: &str, error: io::Error| permanent(format!("node {node}: {what}"), error);
        self.check_room()?;
        self.check_tools(spec)?;
        let address = spec.kafka.bind;
        let public: BTreeSet<IpAddr> = spec.gateway.listeners.iter().map(|listener| listener.bind.ip()).collect();
        self.with_addresses(move |book| {
            book.hold(node, Network::Private, address)?;
            public.into_iter().filter(|other| *other != address).try_for_each(|it| book.hold(node, Network::Public, it))
        })
        .await?;
        home.create().map_err(|e| failed("its directory cannot be made", e))?;
        let record = match home.record().map_err(|e| failed("its record cannot be read", e))? {
            Some(record) => record,
            None => {
                let record = Record { nonce: nonce()? };
                home.write_record(&record).map_err(|e| failed("its record cannot be written", e))?;
                record
            }
        };
        home.write_spec(spec).map_err(|e| failed("its spec cannot be written", e))?;
        let survivors = live_nonces().await?;
        if !survivors.contains(&record.nonce) {
            self.wait_for_ports(address).await?;
        }
        let mut supervisor = supervisor::start(&self.node_program, &self.tools, home, &record.nonce)
            .map_err(|e| failed(&format!("{} cannot be started", self.node_program.display()), e))?;
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            if is_ours(home, node, &record).await {
                info!(instance.id = %node.instance, kafka.node_id = node.node_id, %address, "node started");
                return Ok(());
            }
            if let Some(status) = supervisor.try_wait().map_err(|e| failed("its supervisor cannot be watched", e))? {
                let cause = Some(supervisor::last_output(home)).filter(|text| !text.is_empty());
                let reason = with_cause(&format!("node {node}: its supervisor ended ({status})"), cause);
                return Err(DriverError::Permanent { reason, source: None });
            }
            if Instant::now() >= deadline {
                let reason = format!("node {node}: its supervisor does not answer");
                return Err(gave_up(reason));
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

#[async_trait]
impl ClusterDriver for LocalDriver {
    async fn choose_addresses(
        &self,
        network: Network,
        nodes: &[NodeRef],
        taken: &BTreeSet<IpAddr>,
    ) -> Result<Vec<IpAddr>, DriverError> {
        let (nodes, taken) = (nodes.to_vec(), taken.clone());
        self.with_addresses(move |book| book.choose(network, &nodes, &taken)).await
    }

    async fn release_public_address(&self, node: NodeRef) -> Result<(), DriverError> {
        self.with_addresses(move |book| book.release(node, &[Network::Public])).await
    }

    async fn ensure_node(&self, spec: &NodeSpec) -> Result<(), DriverError> {
        let node = node_of(spec)?;
        let (home, _lock) = self.lock(node).await?;
        let failed = |what: &str, error: io::Error| permanent(format!("node {node}: {what}"), error);
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            if !home.supervisor_lives().map_err(|e| failed("its lock cannot be read", e))? {
                return self.start(node, &home, spec).await;
            }
            // Started by another control plane, maybe a moment ago.
            let record = home.record().map_err(|e| failed("its record cannot be read", e))?;
            if let Some(record) = record
                && is_ours(&home, node, &record).await
            {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let reason = format!("node {node}: a supervisor holds its directory and does not answer as this node");
                return Err(gave_up(reason));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn build(&self) -> &str {
        &self.build
    }

    async fn renew_node(&self, spec: &NodeSpec) -> Result<(), DriverError> {
        let node = node_of(spec)?;
        let (home, _lock) = self.lock(node).await?;
        let failed = |what: &str, error: io::Error| transient(format!("node {node}: {what}"), error);
        // Without a record it was removed meanwhile.
        let Some(record) = home.record().map_err(|e| failed("its record cannot be read", e))? else { return Ok(()) };
        let runs = |pid| broker_api::build::of(&processes::program(pid)).is_ok_and(|build| build == self.build);
        let found = supervisor::status(&home).await.ok().filter(|status| status.identity.nonce == record.nonce);
        if !found.as_ref().is_some_and(|status| runs(status.identity.pid)) {
            if let Some(status) = &found {
                // It does nothing on its way out: JVM and gateway are its successor's.
                let ended = processes::kill_one(&record.nonce, status.identity.pid, KILL_DEADLINE).await;
                ended.map_err(|e| failed("its supervisor cannot be ended", e))?;
            }
            self.start(node, &home, spec).await?;
        }
        let status = supervisor::status(&home).await.map_err(|e| failed("its new supervisor does not answer", e))?;
        if status.identity.gateway_pid.is_some_and(|pid| !runs(pid)) {
            supervisor::replace_gateway(&home).await.map_err(|e| failed("its gateway cannot be replaced", e))?;
        }
        info!(instance.id = %node.instance, kafka.node_id = node.node_id, build = self.build, "node renewed");
        Ok(())
    }

    async fn remove_node(&self, node: NodeRef) -> Result<(), DriverError> {
        let (home, lock) = self.lock(node).await?;
        let failed = |what: &str, error: io::Error| transient(format!("node {node}: {what}"), error);
        // Without a record nothing was ever started here.
        if let Some(record) = home.record().map_err(|e| failed("its record cannot be read", e))? {
            let known = processes::members(&record.nonce).map_err(|e| failed("its processes cannot be listed", e))?;
            if is_ours(&home, node, &record).await
                && let Err(error) = supervisor::stop(&home, STOP_DEADLINE).await
            {
                warn!(instance.id = %node.instance, kafka.node_id = node.node_id, %error, "node did not stop by itself");
            }
            let left = processes::kill(&record.nonce, known, KILL_DEADLINE)
                .await
                .map_err(|e| failed("its processes cannot be ended", e))?;
            if !left.is_empty() {
                let reason = format!("node {node}: processes {left:?} do not end");
                return Err(gave_up(reason));
            }
        }
        // The addresses go before the directory, which would be found again, and last the lock.
        self.with_addresses(move |book| book.release(node, &[Network::Private, Network::Public])).await?;
        blocking(move || home.remove(lock)).await?.map_err(|e| failed("its directory cannot be removed", e))
    }

    async fn list_nodes(&self) -> Result<Vec<HeldNode>, DriverError> {
        let live = live_nonces().await?;
        let claimed = self.with_addresses(|book| book.nodes()).await?;
        let mut nodes: BTreeSet<NodeRef> = claimed.into_iter().collect();
        let unreadable = |e| transient(format!("{} cannot be read", self.nodes.display()), e);
        nodes.extend(files::nodes_in(&self.nodes).map_err(unreadable)?);
        nodes
            .into_iter()
            .map(|node| {
                let record = NodeHome::new(&self.nodes, node).record().map_err(unreadable)?;
                Ok(HeldNode { node, alive: record.is_some_and(|record| live.contains(&record.nonce)) })
            })
            .collect()
    }
}

/// The supervisor that answers in this directory is the one that was started for this node.
async fn is_ours(home: &NodeHome, node: NodeRef, record: &Record) -> bool {
    match supervisor::status(home).await {
        Ok(status) => {
            let identity = status.identity;
            identity.nonce == record.nonce
                && identity.node_id == node.node_id
                && identity.instance == node.instance.to_string()
        }
        Err(_) => false,
    }
}

fn node_of(spec: &NodeSpec) -> Result<NodeRef, DriverError> {
    let instance =
        spec.identity.instance.parse().map_err(|e| permanent("the spec's instance is no id".to_owned(), e))?;
    Ok(NodeRef { instance, node_id: spec.identity.node_id })
}

fn nonce() -> Result<String, DriverError> {
    let mut bytes = [0; 16];
    OsRng.try_fill_bytes(&mut bytes).map_err(|e| transient("no random numbers".to_owned(), e))?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

async fn live_nonces() -> Result<std::collections::HashSet<String>, DriverError> {
    blocking(processes::live_nonces).await?.map_err(|e| transient("processes cannot be listed".to_owned(), e))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, DriverError> {
    spawn_blocking(work).await.map_err(|e| transient("the work was cut off".to_owned(), e))
}

fn with_cause(what: &str, cause: Option<String>) -> String {
    cause.map_or_else(|| what.to_owned(), |cause| format!("{what}: {cause}"))
}

fn gave_up(reason: String) -> DriverError {
    DriverError::Transient { reason, source: None }
}

fn transient(what: String, cause: impl Into<Box<dyn Error + Send + Sync>>) -> DriverError {
    let cause = cause.into();
    DriverError::Transient { reason: with_cause(&what, Some(cause.to_string())), source: Some(cause) }
}

fn permanent(what: String, cause: impl Into<Box<dyn Error + Send + Sync>>) -> DriverError {
    let cause = cause.into();
    DriverError::Permanent { reason: with_cause(&what, Some(cause.to_string())), source: Some(cause) }
}
