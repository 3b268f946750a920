//! The world of simulated nodes: what exists, what was scripted, what ever happened.

use super::faults::{Fault, Operation, Script, Severity, When};
use crate::{clock::Clock, drivers::NodeRef};
use broker_api::{secret::Secret, spec::NodeSpec, topics::NewTopic};
use chrono::{DateTime, Utc};
use control_plane_api::{
    acl::AclBinding,
    client_quota::{QuotaEntity, QuotaLimits},
    id::InstanceId,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How the world behaves when nothing is scripted.
#[derive(Debug, Clone, Copy, Default)]
pub struct SimulationConfig {
    /// From the creation of a node until it is ready.
    pub start: Duration,
    /// That every operation takes.
    pub latency: Duration,
}

/// Something that happened to a node, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    Created(NodeRef),
    /// It had died, and runs again with its data.
    Restarted(NodeRef),
    /// Its own programs were replaced under a running broker.
    Renewed(NodeRef),
    Removed(NodeRef),
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) spec: NodeSpec,
    pub(super) alive: bool,
    pub(super) ready_at: DateTime<Utc>,
    pub(super) starts: u32,
    pub(super) build: String,
    /// Its supervisor died alone.
    pub(super) unwatched: bool,
}

/// What lives in an instance's Kafka: gone when its last node is.
#[derive(Debug, Default)]
pub(super) struct Kafka {
    pub(super) users: BTreeMap<String, Secret>,
    /// The platform's and the tenant's.
    pub(super) bindings: BTreeSet<AclBinding>,
    /// The tenant's.
    pub(super) quotas: BTreeMap<QuotaEntity, QuotaLimits>,
    /// The platform's principals have quotas of their own.
    pub(super) shielded: bool,
    pub(super) canaries: u32,
    /// The tenant's.
    pub(super) topics: BTreeMap<String, NewTopic>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) nodes: BTreeMap<NodeRef, Node>,
    pub(super) by_address: BTreeMap<IpAddr, NodeRef>,
    /// Public addresses that are given out.
    pub(super) public: BTreeMap<IpAddr, NodeRef>,
    pub(super) kafka: BTreeMap<InstanceId, Kafka>,
    pub(super) broken: BTreeMap<i32, String>,
    pub(super) lost_canaries: bool,
    pub(super) ledger: Vec<Entry>,
    /// Where the search for a free address begins.
    pub(super) next_address: u32,
    pub(super) on_one_machine: bool,
}

/// Shared by every [`super::Simulation`] made of it.
#[derive(Debug)]
pub struct World {
    pub(super) clock: Clock,
    pub(super) config: SimulationConfig,
    pub(super) script: Script,
    state: Mutex<State>,
}

/// Why a simulated operation failed.
pub(super) struct Failure {
    pub(super) severity: Severity,
    pub(super) reason: String,
}

impl World {
    pub fn new(clock: Clock, config: SimulationConfig) -> Self {
        Self { clock, config, script: Script::default(), state: Mutex::default() }
    }

    /// Adds a failure to the script.
    pub fn fail(&self, fault: Fault) {
        self.script.add(fault);
    }

    /// From now on nodes with this id fail with this reason whenever they start.
    pub fn break_node(&self, node_id: i32, reason: &str) {
        self.state().broken.insert(node_id, reason.to_owned());
    }

    /// Messages written from now on are lost.
    pub fn lose_canaries(&self) {
        self.state().lost_canaries = true;
    }

    /// The node's processes die; its data stay.
    pub fn kill_node(&self, node: NodeRef) {
        if let Some(node) = self.state().nodes.get_mut(&node) {
            node.alive = false;
        }
    }

    /// The node's supervisor dies, and nothing else of it.
    pub fn kill_supervisor(&self, node: NodeRef) {
        if let Some(node) = self.state().nodes.get_mut(&node) {
            node.unwatched = true;
        }
    }

    pub fn is_watched(&self, node: NodeRef) -> bool {
        self.state().nodes.get(&node).is_some_and(|node| node.alive && !node.unwatched)
    }

    /// The node runs a build from before the present one.
    pub fn age(&self, node: NodeRef) {
        if let Some(node) = self.state().nodes.get_mut(&node) {
            node.build = "older".to_owned();
        }
    }

    /// Nodes that are made from now on share a machine.
    pub fn put_on_one_machine(&self) {
        self.state().on_one_machine = true;
    }

    /// Everything works again; what is dead stays dead.
    pub fn heal(&self) {
        let mut state = self.state();
        state.broken.clear();
        state.lost_canaries = false;
    }

    /// Nodes that exist, dead or alive.
    pub fn nodes(&self) -> BTreeSet<NodeRef> {
        self.state().nodes.keys().copied().collect()
    }

    /// The spec that a node was made with, or was pushed since.
    pub fn spec(&self, node: NodeRef) -> Option<NodeSpec> {
        self.state().nodes.get(&node).map(|node| node.spec.clone())
    }

    /// Public addresses of an instance's nodes.
    pub fn public_addresses(&self, instance: InstanceId) -> BTreeMap<i32, IpAddr> {
        let state = self.state();
        let mine = state.public.iter().filter(|(_, node)| node.instance == instance);
        mine.map(|(address, node)| (node.node_id, *address)).collect()
    }

    /// Users that can sign in to an instance's Kafka.
    pub fn users(&self, instance: InstanceId) -> Vec<String> {
        self.state().kafka.get(&instance).map(|kafka| kafka.users.keys().cloned().collect()).unwrap_or_default()
    }

    /// Quotas of the tenant's clients in an instance's Kafka; none while the platform's own principals have none, which
    /// these could hold back.
    pub fn quotas(&self, instance: InstanceId) -> Option<BTreeMap<QuotaEntity, QuotaLimits>> {
        let state = self.state();
        state.kafka.get(&instance).filter(|kafka| kafka.shielded).map(|kafka| kafka.quotas.clone())
    }

    /// Topics of the tenant in an instance's Kafka.
    pub fn topics(&self, instance: InstanceId) -> BTreeMap<String, NewTopic> {
        self.state().kafka.get(&instance).map(|kafka| kafka.topics.clone()).unwrap_or_default()
    }

    /// ACL bindings of an instance's Kafka, the platform's among them.
    pub fn bindings(&self, instance: InstanceId) -> BTreeSet<AclBinding> {
        self.state().kafka.get(&instance).map(|kafka| kafka.bindings.clone()).unwrap_or_default()
    }

    /// Whether every broker lets this user in with this password.
    pub fn admits(&self, instance: InstanceId, user: &str, password: &str) -> bool {
        let state = self.state();
        let mut nodes = state.nodes.iter().filter(|(node, _)| node.instance == instance);
        let known = state.kafka.get(&instance).and_then(|kafka| kafka.users.get(user));
        known.is_some_and(|known| known.expose() == password)
            && nodes.all(|(_, held)| !held.spec.gateway.disabled_users.iter().any(|disabled| disabled == user))
    }

    /// Everything that ever happened, in order.
    pub fn ledger(&self) -> Vec<Entry> {
        self.state().ledger.clone()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs an operation with what the script has for it.
    pub(super) async fn operate<T>(
        &self,
        operation: Operation,
        effect: impl FnOnce(&mut State, &Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if !self.config.latency.is_zero() {
            tokio::time::sleep(self.config.latency).await;
        }
        let fault = self.script.call(operation);
        let failure = |fault: Fault| Failure {
            severity: fault.severity,
            reason: format!("{operation:?} failed as the script says ({:?})", fault.when),
        };
        if let Some(fault) = fault.filter(|fault| fault.when == When::BeforeEffect) {
            return Err(failure(fault));
        }
        let outcome = effect(&mut self.state(), self)?;
        match fault {
            Some(fault) => Err(failure(fault)),
            None => Ok(outcome),
        }
    }
}
