//! The gateway process's state: the spec in force, the gateway that serves it, and who else is told.
//!
//! Owns acceptance: fence, validate, apply, persist, tell the supervisor, in this order and one at a
//! time. A spec is in force only when all before the telling succeeded; the supervisor is told until
//! it has heard, and reads the same file when it starts.

use super::metrics::NodeMetrics;
use super::supervisor::{SupervisorClient, SupervisorError};
use super::tls::server_config;
use crate::answer::finished;
use crate::assertion::Signer;
use crate::directory::{NodeDirectory, write_atomic};
use crate::gateway::{Gateway, GatewayError, Snapshot};
use crate::identity::IdentityError;
use crate::incarnation::Incarnation;
use crate::node::{self, Observed};
use crate::spec::{self, SpecError, change, fence};
use crate::supervisor::tokens;
use crate::{error_text, probe};
use arc_swap::{ArcSwap, ArcSwapOption};
use broker_api::ports;
use broker_api::refusal::RefusalCode;
use broker_api::spec::NodeSpec;
use broker_api::status::{BrokerState, BrokerStatus, CapacityStatus, NodeStatus, ProcessIdentity};
use prometheus_client::registry::Registry;
use rustls::ServerConfig;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tracing::{info, warn};

/// A broker answers ApiVersions within milliseconds; on a machine that starts several at once, within
/// seconds, and that is no reason to call it away.
const PROBE_LIMIT: Duration = Duration::from_secs(3);
const TELL_AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error("gateway.control: cannot listen on {address}")]
    Control { address: SocketAddr, source: io::Error },
    #[error("cannot write into the node directory")]
    Begin(#[source] io::Error),
    #[error("the spec was applied and could not be kept; send it again")]
    Persist(#[source] io::Error),
}

impl AcceptError {
    pub fn code(&self) -> RefusalCode {
        match self {
            Self::Spec(error) => error.code(),
            Self::Identity(_) | Self::Gateway(_) | Self::Control { .. } => RefusalCode::Unservable,
            Self::Begin(_) | Self::Persist(_) => RefusalCode::Unavailable,
        }
    }

    pub fn generation(&self) -> Option<u64> {
        match self {
            Self::Spec(error) => error.generation(),
            _ => None,
        }
    }
}

/// Where the control API listens, and as whom. The server follows it.
#[derive(Debug, Clone)]
pub struct ControlPoint {
    pub listener: Arc<TcpListener>,
    pub tls: Arc<ServerConfig>,
}

#[derive(Debug)]
pub struct NodeControl {
    directory: NodeDirectory,
    gateway: Gateway,
    supervisor: SupervisorClient,
    /// One acceptance at a time.
    accepting: Mutex<()>,
    in_force: ArcSwap<NodeSpec>,
    control: watch::Sender<ControlPoint>,
    /// What the supervisor said last, for when it is away.
    heard: watch::Sender<BrokerStatus>,
    /// How full the disk was at the last look.
    capacity: ArcSwapOption<CapacityStatus>,
    registry: Registry,
    metrics: NodeMetrics,
}

impl NodeControl {
    /// Starts serving the newest spec of the directory.
    pub fn start(directory: NodeDirectory) -> Result<Arc<Self>, AcceptError> {
        let spec = spec::newest(&directory)?;
        let control = control_point(&spec, None)?;
        let mut registry = Registry::default();
        let metrics = NodeMetrics::register(&mut registry);
        let key = tokens::private_key_path(&directory);
        let signer = Signer::new(&spec.identity, move || std::fs::read(&key));
        let own = Incarnation::begin(&directory.run()).map_err(AcceptError::Begin)?;
        let gateway = Gateway::start(&spec, signer, own, &mut registry)?;
        Ok(Arc::new(Self {
            supervisor: SupervisorClient::new(directory.clone()),
            directory,
            gateway,
            accepting: Mutex::new(()),
            heard: watch::Sender::new(unheard(&spec)),
            capacity: ArcSwapOption::empty(),
            in_force: ArcSwap::from_pointee(spec),
            control: watch::Sender::new(control),
            registry,
            metrics,
        }))
    }

    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    pub fn control(&self) -> watch::Receiver<ControlPoint> {
        self.control.subscribe()
    }

    /// The spec in force.
    pub fn spec(&self) -> Arc<NodeSpec> {
        self.in_force.load_full()
    }

    /// Takes over how full the disk is, and what that means for produce.
    pub fn note_capacity(&self, status: CapacityStatus, refuse: Option<String>) {
        self.gateway.refuse_produce(refuse);
        self.capacity.store(Some(Arc::new(status)));
    }

    /// Takes over a spec from its JSON. The node serves it when this returns.
    pub async fn accept(self: &Arc<Self>, json: &[u8]) -> Result<(), AcceptError> {
        let offered = spec::parse(json)?;
        let _one_at_a_time = self.accepting.lock().await;
        let in_force = self.in_force.load_full();
        if !fence(&in_force, &offered)? {
            return Ok(());
        }
        validate(&offered)?;
        let control = control_point(&offered, Some((&in_force, &self.control.borrow())))?;
        let change = change(&in_force, &offered)?;
        self.gateway.apply(&offered)?;
        let (path, text) = (self.directory.last_good_spec(), json.to_vec());
        off_the_data_path(move || write_atomic(&path, &text)).await.map_err(AcceptError::Persist)?;
        let offered = Arc::new(offered);
        self.in_force.store(offered.clone());
        self.control.send_replace(control);
        info!(
            spec.generation = offered.generation,
            spec.hot = change.hot,
            spec.concerns_kafka = change.concerns_kafka(),
            "took over a spec"
        );
        self.tell(offered).await;
        Ok(())
    }

    /// Takes over what a driver put into the directory, or another gateway process accepted.
    pub async fn accept_newest(self: &Arc<Self>) {
        let directory = self.directory.clone();
        let Ok(newest) = off_the_data_path(move || spec::newest(&directory)).await else { return };
        if newest.generation <= self.in_force.load().generation {
            return;
        }
        let accepted = match serde_json::to_vec(&newest) {
            Ok(json) => self.accept(&json).await,
            Err(error) => Err(SpecError::Malformed(error.to_string()).into()),
        };
        if let Err(error) = accepted {
            warn!(error = error_text(&error), "did not take over the spec in the node directory");
        }
    }

    /// Tells the supervisor now, or goes on trying in the background when it is away.
    async fn tell(self: &Arc<Self>, spec: Arc<NodeSpec>) {
        let Err(error) = self.tell_once(&spec).await else { return };
        warn!(error = error_text(&error), spec.generation = spec.generation, "could not hand the spec on");
        let node = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(TELL_AGAIN).await;
                let Some(node) = node.upgrade() else { return };
                let newest = node.in_force.load().generation;
                // A newer one tells for itself, and what was refused will be again.
                if newest != spec.generation || !matches!(node.tell_once(&spec).await, Err(SupervisorError::Away(_))) {
                    return;
                }
            }
        });
    }

    async fn tell_once(&self, spec: &NodeSpec) -> Result<(), SupervisorError> {
        let status = self.supervisor.put_spec(spec).await?;
        self.heard.send_replace(status);
        Ok(())
    }

    /// Asks everybody, and tells.
    pub async fn status(&self) -> NodeStatus {
        let spec = self.in_force.load_full();
        let pln = SocketAddr::new(spec.kafka.bind, ports::UPSTREAM_PLAINTEXT);
        let (said, answer) = tokio::join!(self.supervisor.status(), probe::answers(pln, PROBE_LIMIT));
        let supervisor_away = match said {
            Ok(said) => {
                self.heard.send_replace(said);
                None
            }
            Err(error) => Some(error_text(&error)),
        };
        let broker = self.heard.borrow().clone();
        node::status(Observed {
            spec: &spec,
            gateway: self.gateway.status(),
            capacity: self.capacity.load_full().map(|status| (*status).clone()),
            broker,
            supervisor_away,
            broker_silent: answer.err().map(|error| error.to_string()),
        })
    }

    /// Metrics in OpenMetrics text.
    pub async fn metrics(&self) -> Result<String, std::fmt::Error> {
        self.metrics.observe(&self.status().await);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    pub async fn drain(&self, deadline: Duration) {
        self.gateway.drain(deadline).await;
    }
}

/// Runs what waits for a disk where no connection waits for it: their threads are few.
async fn off_the_data_path<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    finished(tokio::task::spawn_blocking(work)).await
}

/// Builds every TLS configuration of a spec, so that none fails later.
fn validate(spec: &NodeSpec) -> Result<(), AcceptError> {
    Snapshot::build(spec)?;
    server_config("gateway.control_tls", &spec.gateway.control_tls)?;
    // Not served by us, but this finds whatever Kafka would stumble over.
    server_config("kafka.internal_tls", &spec.kafka.internal_tls)?;
    Ok(())
}

/// A listener for the spec's control address: the one there is, or a new one beside it.
fn control_point(spec: &NodeSpec, now: Option<(&NodeSpec, &ControlPoint)>) -> Result<ControlPoint, AcceptError> {
    let tls = server_config("gateway.control_tls", &spec.gateway.control_tls)?;
    let address = spec.gateway.control;
    let listener = match now {
        Some((old, point)) if old.gateway.control == address => point.listener.clone(),
        _ => Arc::new(super::server::listen(address).map_err(|source| AcceptError::Control { address, source })?),
    };
    Ok(ControlPoint { listener, tls })
}

/// Before the supervisor was heard for the first time.
fn unheard(spec: &NodeSpec) -> BrokerStatus {
    BrokerStatus {
        state: BrokerState::Starting,
        pid: None,
        restarts: 0,
        failures: 0,
        last_exit: String::new(),
        kafka_version: spec.kafka.version.clone(),
        identity: ProcessIdentity {
            instance: spec.identity.instance.clone(),
            node_id: spec.identity.node_id,
            nonce: String::new(),
            pid: 0,
            boot_id: String::new(),
            start_ticks: 0,
            gateway_pid: None,
            build: String::new(),
        },
    }
}
