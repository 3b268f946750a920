//! The gateway process: a [`Gateway`](crate::gateway::Gateway) and the control API around it.
//!
//! Owns the spec in force (fenced by generation, kept as the last good one), the control API (HTTPS
//! with client certificates, [`broker_api::paths`]) and the node's status. May use the gateway, the
//! node directory and the supervisor's socket. Must not need the control plane, nor be a child of the
//! supervisor: on Kubernetes it is a container of its own.
//!
//! ```text
//! server (TLS) ─► routes ─► state ─┬─► gateway
//!                                  └─► supervisor (unix socket)
//! ```

mod metrics;
mod routes;
mod server;
mod state;
mod supervisor;
pub mod tls;

pub use state::AcceptError;

use crate::capacity::{Capacity, Look};
use crate::directory::NodeDirectory;
use crate::supervisor::gateway_process::announce_ready;
use state::NodeControl;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How soon a spec that was put into the node directory is seen.
const LOOK_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error(transparent)]
    Start(#[from] AcceptError),
    #[error("cannot say that the gateway is ready")]
    Announce(#[source] io::Error),
}

/// Serves until `shutdown`, then drains for at most `drain_deadline`.
pub async fn run(
    directory: NodeDirectory,
    shutdown: CancellationToken,
    drain_deadline: Duration,
) -> Result<(), ControlError> {
    let node = NodeControl::start(directory.clone())?;
    let server = tokio::spawn(server::serve(node.control(), routes::router(node.clone()), shutdown.clone()));
    // It goes on while the gateway drains.
    tokio::spawn(announce_ready(&directory).map_err(ControlError::Announce)?.beat());
    info!(node.directory = %directory.root().display(), "gateway serves");
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = watch_directory(&node) => {}
        () = keep_capacity(&node, Capacity::new(directory)) => {}
    }
    info!("gateway drains");
    node.drain(drain_deadline).await;
    // It ended with the shutdown; a panic in it has been told.
    let _ = server.await;
    info!("gateway ends");
    Ok(())
}

/// Keeps the disk that was sold from running full.
async fn keep_capacity(node: &NodeControl, mut capacity: Capacity) {
    loop {
        let next = match capacity.look(&node.spec()).await {
            Ok(Look { status, refuse, next }) => {
                node.note_capacity(status, refuse);
                next
            }
            Err(error) => {
                warn!(error, "could not look how full the disk is");
                LOOK_EVERY
            }
        };
        sleep(next).await;
    }
}

async fn watch_directory(node: &Arc<NodeControl>) {
    let mut tick = interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        node.accept_newest().await;
        node.gateway().sample();
    }
}
