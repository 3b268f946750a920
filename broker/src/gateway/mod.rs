//! The gateway: what stands between Kafka's clients and the Kafka broker of this node.
//!
//! Owns the client listeners, TLS, logins, the rule for every API (`table`) and the addresses
//! that clients see. Talks to Kafka only through its two loopback listeners. One client connection
//! ↔ one upstream connection ↔ one task; bytes of Produce and Fetch are streamed, not decoded.
//! Must not know the control API, the JVM, or files: a caller hands it a [`NodeSpec`].
//!
//! ```text
//! listener ─► connection ─► tls ─► login ─► duplex (pipeline, filters) ─► upstream
//!                 ▲                                                        Kafka PLN / SAS
//!             snapshot (swapped whole by `apply`)
//! ```

mod admission;
mod bandwidth;
mod bearer;
mod block;
mod certificates;
mod conduit;
mod connection;
mod connection_rates;
mod connections;
mod duplex;
mod error;
mod filters;
mod flow;
mod frame;
mod framed;
mod gather;
mod ip_rules;
mod listener;
mod login;
mod metrics;
mod permits;
mod pipeline;
mod proxied;
mod read_ahead;
mod scram;
mod snapshot;
mod stream;
mod subject;
mod table;
mod tls;
mod topic_quotas;
mod topics;
mod upstream;
mod wire;

#[cfg(test)]
mod tests;

pub use error::GatewayError;
pub use snapshot::Snapshot;

use crate::assertion::Signer;
use crate::incarnation::Incarnation;
use admission::counted::Counted;
use broker_api::connections::{AskUnkept, CloseConnections, ConnectionList, ListConnections, Unkept};
use broker_api::groups::GroupUse;
use broker_api::partitions::PartitionUse;
use broker_api::spec::NodeSpec;
use broker_api::status::GatewayStatus;
use broker_api::topics::{ChangeTopic, TopicOutcome};
use listener::{Listeners, Shared};
use prometheus_client::registry::Registry;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A running gateway. Dropping it closes the listeners and every connection at once; [`drain`]
/// is the gentle way.
///
/// [`drain`]: Gateway::drain
#[derive(Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
    listeners: Listeners,
}

impl Gateway {
    /// Listens and serves as `spec` says, and registers the metrics; `signer` tells Kafka who a client is that proved it
    /// to us, and `own` which of the node's gateways this one is. Must be called inside a tokio runtime, which then carries
    /// every connection.
    pub fn start(
        spec: &NodeSpec,
        signer: Signer,
        own: Incarnation,
        registry: &mut Registry,
    ) -> Result<Self, GatewayError> {
        let snapshot = Snapshot::build(spec)?;
        let shared = Shared::new(snapshot, signer, metrics::Metrics::register(registry))?;
        let listeners = Listeners::default();
        listeners.follow(&shared, None)?;
        tokio::spawn(shared.clone().run_admission());
        tokio::spawn(shared.clone().run_permits(own));
        tokio::spawn(shared.clone().run_topic_names());
        Ok(Self { shared, listeners })
    }

    /// Serves `spec` from now on: certificates, addresses, limits, disabled users and listeners, all
    /// or nothing. No connection is dropped, but those of disabled users, of ended logins, of certificates that are not trusted any
    /// more, of addresses that may not connect any more, and of paths that closed.
    pub fn apply(&self, spec: &NodeSpec) -> Result<(), GatewayError> {
        self.listeners.follow(&self.shared, Some(Snapshot::build(spec)?))
    }

    pub fn status(&self) -> GatewayStatus {
        GatewayStatus {
            pid: std::process::id(),
            // Unknown is another build than any: it is replaced when somebody cares.
            build: broker_api::build::own().unwrap_or_default(),
            connections: self.shared.open_connections(),
            listening: self.listeners.listening(),
            certificate_serial: self.shared.snapshot().certificate.serial.clone(),
            bandwidth: Some(self.shared.bandwidth.status()),
        }
    }

    /// Looks at how much passes, for the status; to be called every few seconds.
    pub fn sample(&self) {
        self.shared.bandwidth.sample();
    }

    /// Who is connected, by rising id.
    pub fn list_connections(&self, asked: &ListConnections) -> ConnectionList {
        self.shared.live.list(&asked.filter, asked.after, asked.limit as usize)
    }

    /// Which connections would end by other client certificates being trusted. Nothing is changed. As slow as a signature for each
    /// of them: call it off the async threads.
    pub fn unkept_connections(&self, asked: &AskUnkept) -> Result<Unkept, GatewayError> {
        let trust = asked.client_certificates.as_ref().map(certificates::Trust::parse).transpose()?;
        Ok(self.shared.live.unkept(trust.as_ref()))
    }

    /// Partitions of the instance, asked of this node's broker and the admission log. Without a limit nothing is counted.
    pub async fn partitions(&self) -> io::Result<PartitionUse> {
        let (used, limit) = self.counted(Counted::Partitions).await?;
        Ok(PartitionUse { used, limit })
    }

    /// Consumer groups of the instance, asked of every broker and the groups' log. Without a limit nothing is counted.
    pub async fn groups(&self) -> io::Result<GroupUse> {
        let (used, limit) = self.counted(Counted::Groups).await?;
        Ok(GroupUse { used, limit })
    }

    /// Makes, grows or deletes a topic of the tenant through admission. After an error nobody knows what became of it.
    pub async fn change_topic(&self, asked: &ChangeTopic) -> io::Result<TopicOutcome> {
        topics::change(&self.shared, asked).await
    }

    async fn counted(&self, counted: Counted) -> io::Result<(u64, u64)> {
        let limit = self.shared.snapshot().limit(counted);
        let used = if limit == 0 { 0 } else { self.shared.admission(counted).used().await? };
        Ok((used, limit))
    }

    /// Ends connections where they stand, as a broken line would: clients come back by themselves, if they may. Says how
    /// many were told.
    pub fn close_connections(&self, which: &CloseConnections) -> u64 {
        self.shared.live.close(which)
    }

    /// From now on refuses records of clients for this reason, which they are told, or takes them again. Requests that
    /// have begun to pass are not touched.
    pub fn refuse_produce(&self, reason: Option<String>) {
        self.shared.refuse_produce(reason);
    }

    /// Stops accepting, lets answers in flight finish, and closes; what still lives after
    /// `deadline` is cut. Every byte that was taken from a client by then is with Kafka.
    pub async fn drain(&self, deadline: Duration) {
        self.listeners.close();
        self.shared.drain(deadline).await;
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.listeners.close();
        self.shared.cut();
    }
}
