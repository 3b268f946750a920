//! The supervisor: formats storage, writes Kafka's files, runs and watches the JVM.
//!
//! Owns the node's processes and its unix socket; holds the directory's lock for its whole life, so
//! that there is one supervisor a directory. Small on purpose, since its own update is a restart of
//! nothing: when it dies, JVM and gateway go on, and the next supervisor adopts them. Must not know
//! clients, tenants or the control plane.
//!
//! ```text
//! socket ─► Supervisor ─┬─► broker (task) ─► prepare ─► {storage, properties, logging, jvm} ─► process
//!                       └─► gateway_process (task) ─────────────────────────────────────────► process
//! ```

pub mod backoff;
pub mod broker;
mod cause;
pub mod checkpoint;
pub mod gateway_process;
mod hosts;
pub mod jvm;
pub mod logging;
pub mod prepare;
pub mod process;
pub mod properties;
mod reconfigure;
pub mod release;
pub mod rotate;
mod serving;
mod socket;
pub mod storage;
pub mod tokens;

pub use socket::MAX_SPEC_BYTES;

use crate::directory::NodeDirectory;
use crate::spec::{self, SpecError, fence};
use backoff::BackOff;
use broker::{Broker, BrokerSettings};
use broker_api::spec::NodeSpec;
use broker_api::status::{BrokerState, BrokerStatus, ProcessIdentity};
use gateway_process::{GatewayProcess, GatewaySettings};
use jvm::Tools;
use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// What a supervisor needs to know beside the spec.
#[derive(Debug)]
pub struct SupervisorOptions {
    pub directory: NodeDirectory,
    pub tools: Tools,
    /// Program and arguments of the gateway, where it is run here.
    pub gateway: Option<(PathBuf, Vec<OsString>)>,
    /// `SLUICE_NODE_NONCE`.
    pub nonce: String,
    pub timing: Timing,
}

/// Every wait of the supervisor.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    pub broker_back_off: BackOff,
    pub gateway_back_off: BackOff,
    pub probe_every: Duration,
    /// A broker that lives and answers nothing for so long is started again.
    pub silence: Duration,
    /// Kafka hands its leaders over and closes its logs.
    pub stop_deadline: Duration,
    pub drain_deadline: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            broker_back_off: BackOff { first: Duration::from_secs(1), longest: Duration::from_secs(60) },
            // Back within a second, ready or not.
            gateway_back_off: BackOff { first: Duration::from_millis(100), longest: Duration::from_secs(5) },
            probe_every: Duration::from_millis(100),
            // Longer than any collection, and than a full queue of requests: a restart costs more than both.
            silence: Duration::from_secs(120),
            stop_deadline: Duration::from_secs(60),
            drain_deadline: Duration::from_secs(30),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    #[error("another supervisor runs in {}", .0.display())]
    Locked(PathBuf),
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error("supervisor of {}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// Runs until `shutdown` is cancelled or a stop was asked for, then stops what it runs.
pub async fn run(options: SupervisorOptions, shutdown: CancellationToken) -> Result<(), SupervisorError> {
    let directory = options.directory.clone();
    let io_error = |source| SupervisorError::Io { path: directory.root().to_owned(), source };
    let _lock = lock(&directory)?;
    let spec = Arc::new(spec::newest(&directory)?);
    let stop_deadline = options.timing.stop_deadline;
    let supervisor = Arc::new(Supervisor::start(options, spec).map_err(io_error)?);
    let listener = socket::listen(&directory.supervisor_socket()).map_err(io_error)?;
    let stopped = supervisor.stopped.clone();
    info!(node.directory = %directory.root().display(), "supervisor serves");
    let server =
        axum::serve(listener, socket::router(supervisor.clone())).with_graceful_shutdown(stopped.cancelled_owned());
    let stop = async {
        shutdown.cancelled().await;
        supervisor.stop(stop_deadline).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        served = server => served.map_err(io_error)?,
        () = stop => {}
    }
    if let Err(error) = std::fs::remove_file(directory.supervisor_socket()) {
        warn!(%error, "could not remove the socket");
    }
    Ok(())
}

/// Locked = alive, for whoever asks; the kernel lets go when the process ends.
fn lock(directory: &NodeDirectory) -> Result<File, SupervisorError> {
    let path = directory.supervisor_lock();
    let io_error = |source| SupervisorError::Io { path: path.clone(), source };
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(io_error)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SupervisorError::Locked(directory.root().to_owned())),
        Err(TryLockError::Error(source)) => Err(io_error(source)),
    }
}

/// What the socket speaks to.
#[derive(Debug)]
pub struct Supervisor {
    directory: NodeDirectory,
    broker: Broker,
    gateway: Option<GatewayProcess>,
    /// The newest spec that was accepted; the lock makes fence and take-over one step.
    spec: Mutex<Arc<NodeSpec>>,
    drain_deadline: Duration,
    stopped: CancellationToken,
}

impl Supervisor {
    fn start(options: SupervisorOptions, spec: Arc<NodeSpec>) -> io::Result<Self> {
        let SupervisorOptions { directory, tools, gateway, nonce, timing } = options;
        let status = first_status(&spec, nonce)?;
        let settings = BrokerSettings {
            directory: directory.clone(),
            tools,
            back_off: timing.broker_back_off,
            probe_every: timing.probe_every,
            silence: timing.silence,
            stop_deadline: timing.stop_deadline,
        };
        let broker = Broker::start(settings, spec.clone(), status)?;
        let gateway = gateway
            .map(|(program, arguments)| {
                GatewayProcess::start(GatewaySettings {
                    directory: directory.clone(),
                    program,
                    arguments,
                    back_off: timing.gateway_back_off,
                    drain_deadline: timing.drain_deadline,
                    // It is back in no time: no need to be as sure as with a broker.
                    silence: timing.silence / 4,
                })
            })
            .transpose()?;
        let drain_deadline = timing.drain_deadline;
        Ok(Self {
            directory,
            broker,
            gateway,
            spec: Mutex::new(spec),
            drain_deadline,
            stopped: CancellationToken::new(),
        })
    }

    pub fn status(&self) -> BrokerStatus {
        let mut status = self.broker.status();
        status.identity.gateway_pid = self.gateway.as_ref().and_then(GatewayProcess::pid);
        status
    }

    /// Takes over a spec unless it is older, another node's, or a repeat.
    pub async fn apply(&self, offered: NodeSpec) -> Result<(), SpecError> {
        let mut in_force = self.spec.lock().await;
        if fence(&in_force, &offered)? {
            *in_force = Arc::new(offered);
            info!(spec.generation = in_force.generation, node.directory = %self.directory.root().display(), "took over a spec");
            self.broker.apply(in_force.clone()).await;
        }
        Ok(())
    }

    /// Stops the broker while the gateway still tells clients where the leaders went, then the
    /// gateway. The supervisor ends after it.
    pub async fn stop(&self, deadline: Duration) {
        self.broker.stop(deadline).await;
        if let Some(gateway) = &self.gateway {
            gateway.stop(self.drain_deadline.min(deadline)).await;
        }
        self.stopped.cancel();
    }

    async fn replace_gateway(&self) -> Result<(), String> {
        match &self.gateway {
            Some(gateway) => gateway.replace().await.map_err(|error| error.to_string()),
            None => Err("this supervisor runs no gateway: it was started without --with-gateway".to_owned()),
        }
    }
}

fn first_status(spec: &NodeSpec, nonce: String) -> io::Result<BrokerStatus> {
    let pid = std::process::id();
    Ok(BrokerStatus {
        state: BrokerState::Starting,
        pid: None,
        restarts: 0,
        failures: 0,
        last_exit: String::new(),
        kafka_version: spec.kafka.version.clone(),
        identity: ProcessIdentity {
            instance: spec.identity.instance.clone(),
            node_id: spec.identity.node_id,
            nonce,
            pid,
            boot_id: process::boot_id()?,
            start_ticks: process::start_ticks(pid)?.ok_or(io::ErrorKind::NotFound)?,
            gateway_pid: None,
            build: broker_api::build::own()?,
        },
    })
}
