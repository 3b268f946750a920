//! [`ClusterDriver`] of a simulated world.

use super::{
    Simulation,
    faults::{Operation, Severity},
    world::{Entry, Failure, Node, State, World},
};
use crate::{
    domain::client_paths::Network,
    drivers::{ClusterDriver, DriverError, HeldNode, NodeRef},
};
use async_trait::async_trait;
use broker_api::spec::NodeSpec;
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

/// Addresses come from 100.64.0.0/10 (RFC 6598): no machine that matters is there, and nothing listens.
const FIRST_ADDRESS: u32 = 0x6440_0001;
/// Of nodes that share a machine, as those of the local driver do: 127.64.0.1.
const FIRST_ON_ONE_MACHINE: u32 = 0x7f40_0001;
/// What nodes run that are made now.
const BUILD: &str = "simulated";
const ADDRESSES: u32 = (1 << 22) - 2;

impl From<Failure> for DriverError {
    fn from(failure: Failure) -> Self {
        match failure.severity {
            Severity::Transient => Self::Transient { reason: failure.reason, source: None },
            Severity::Permanent => Self::Permanent { reason: failure.reason, source: None },
        }
    }
}

fn permanent(reason: impl Into<String>) -> Failure {
    Failure { severity: Severity::Permanent, reason: reason.into() }
}

#[async_trait]
impl ClusterDriver for Simulation {
    async fn choose_addresses(
        &self,
        network: Network,
        nodes: &[NodeRef],
        taken: &BTreeSet<IpAddr>,
    ) -> Result<Vec<IpAddr>, DriverError> {
        let choose = |state: &mut State, _: &World| {
            let choose = |&node: &NodeRef| match network {
                Network::Private => free_address(state, taken),
                Network::Public => public_address(state, node, taken),
            };
            nodes.iter().map(choose).collect()
        };
        Ok(self.world.operate(Operation::ChooseAddresses, choose).await?)
    }

    async fn release_public_address(&self, node: NodeRef) -> Result<(), DriverError> {
        let release = |state: &mut State, _: &World| {
            state.public.retain(|_, owner| *owner != node);
            Ok(())
        };
        Ok(self.world.operate(Operation::ReleasePublicAddress, release).await?)
    }

    async fn ensure_node(&self, spec: &NodeSpec) -> Result<(), DriverError> {
        let instance = spec.identity.instance.parse();
        let instance = instance.map_err(|error| permanent(format!("instance of the spec is {error}")))?;
        let node = NodeRef { instance, node_id: spec.identity.node_id };
        Ok(self.world.operate(Operation::EnsureNode, |state, world| ensure(state, world, node, spec)).await?)
    }

    fn build(&self) -> &str {
        BUILD
    }

    async fn renew_node(&self, spec: &NodeSpec) -> Result<(), DriverError> {
        let renew = |state: &mut State, _: &World| {
            let owner = state.by_address.get(&spec.kafka.bind).copied();
            if let Some((node, held)) = owner.and_then(|node| Some((node, state.nodes.get_mut(&node)?)))
                && held.build != BUILD
            {
                held.build = BUILD.to_owned();
                state.ledger.push(Entry::Renewed(node));
            }
            Ok(())
        };
        Ok(self.world.operate(Operation::RenewNode, renew).await?)
    }

    async fn remove_node(&self, node: NodeRef) -> Result<(), DriverError> {
        let remove = |state: &mut State, _: &World| {
            state.public.retain(|_, owner| *owner != node);
            if let Some(removed) = state.nodes.remove(&node) {
                state.by_address.remove(&removed.spec.kafka.bind);
                state.ledger.push(Entry::Removed(node));
                if !state.nodes.keys().any(|other| other.instance == node.instance) {
                    state.kafka.remove(&node.instance);
                }
            }
            Ok(())
        };
        Ok(self.world.operate(Operation::RemoveNode, remove).await?)
    }

    async fn list_nodes(&self) -> Result<Vec<HeldNode>, DriverError> {
        let list = |state: &mut State, _: &World| {
            Ok(state.nodes.iter().map(|(&node, held)| HeldNode { node, alive: held.alive }).collect())
        };
        Ok(self.world.operate(Operation::ListNodes, list).await?)
    }
}

fn free_address(state: &mut State, taken: &BTreeSet<IpAddr>) -> Result<IpAddr, Failure> {
    let first = if state.on_one_machine { FIRST_ON_ONE_MACHINE } else { FIRST_ADDRESS };
    for _ in 0..ADDRESSES {
        let address = IpAddr::V4(Ipv4Addr::from(first + state.next_address));
        state.next_address = (state.next_address + 1) % ADDRESSES;
        let given = state.by_address.contains_key(&address) || state.public.contains_key(&address);
        if !given && !taken.contains(&address) {
            return Ok(address);
        }
    }
    Err(permanent("no address is free"))
}

/// The one that the node has, unless it is another's meanwhile.
fn public_address(state: &mut State, node: NodeRef, taken: &BTreeSet<IpAddr>) -> Result<IpAddr, Failure> {
    let known = state.public.iter().find(|(address, owner)| **owner == node && !taken.contains(*address));
    if let Some((&address, _)) = known {
        return Ok(address);
    }
    let address = free_address(state, taken)?;
    state.public.insert(address, node);
    Ok(address)
}

fn ensure(state: &mut State, world: &World, node: NodeRef, spec: &NodeSpec) -> Result<(), Failure> {
    let ready_at = world.clock.now() + world.config.start;
    if let Some(held) = state.nodes.get_mut(&node) {
        held.unwatched = false;
        if !held.alive {
            held.alive = true;
            held.ready_at = ready_at;
            held.starts += 1;
            held.build = BUILD.to_owned();
            state.ledger.push(Entry::Restarted(node));
        }
        return Ok(());
    }
    if let Some(other) = state.by_address.get(&spec.kafka.bind) {
        return Err(permanent(format!("address {} belongs to node {other}", spec.kafka.bind)));
    }
    state.by_address.insert(spec.kafka.bind, node);
    state.nodes.insert(
        node,
        Node { spec: spec.clone(), alive: true, ready_at, starts: 1, build: BUILD.to_owned(), unwatched: false },
    );
    state.ledger.push(Entry::Created(node));
    Ok(())
}
