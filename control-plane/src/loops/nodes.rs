//! Looks at the nodes of running instances, records what changed, and brings back what is gone.
//!
//! After a crash or a reboot this is what starts brokers again, and after an update of ours what has them run its node
//! program: one broker of an instance after the other, under a Kafka that notices nothing. An instance that a job is
//! changing is the job's; the node program is not what a job changes.

use super::{Keeper, LoopError};
use crate::{
    domain::{capacity, node_spec},
    drivers::NodeRef,
    jobs::engine::chain,
    provisioned::{Provisioned, Secrets},
    store::{
        loops::{self, WatchedBroker},
        provisioning as rows,
    },
};
use broker_api::{
    spec::NodeSpec,
    status::{NodeState, NodeStatus},
};
use chrono::{DateTime, Duration, Utc};
use control_plane_api::{capacity::CapacityNotice, id::InstanceId, instance::InstanceState};
use futures::StreamExt;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Instances looked at side by side.
const AT_ONCE: usize = 32;
/// Starts side by side: each costs a process.
const REPAIRS_AT_ONCE: usize = 8;
/// Looks in a row that a node does not answer before it counts as gone: a look may fall into a pause.
const MISSES: u32 = 2;
/// Between attempts to bring a node back: doubles up to this.
const LONGEST_WAIT: Duration = Duration::minutes(5);
const FIRST_WAIT: Duration = Duration::seconds(5);

/// One shard's memory: what saves asking again. All of it can be lost.
#[derive(Debug)]
pub struct Nodes {
    shard: u32,
    shards: u32,
    provisioned: BTreeMap<InstanceId, (u64, Arc<Provisioned>)>,
    ailing: BTreeMap<NodeRef, Ailing>,
}

/// A node that needs something, since when it was last seen well.
#[derive(Debug, Clone, Copy)]
struct Ailing {
    /// In a row without an answer.
    misses: u32,
    repairs: u32,
    next_repair: DateTime<Utc>,
}

/// What a look at a node showed.
#[derive(Debug, Clone)]
struct Look {
    node_id: i32,
    answer: Result<NodeStatus, String>,
}

/// What is to be recorded of a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Observed {
    node_id: i32,
    state: &'static str,
    reason: String,
    generation: Option<u64>,
}

impl Nodes {
    pub fn new(shard: u32, shards: u32) -> Self {
        Self { shard, shards, provisioned: BTreeMap::new(), ailing: BTreeMap::new() }
    }

    pub async fn pass(&mut self, keeper: &Keeper) -> Result<(), LoopError> {
        let brokers = loops::watched(&mut *keeper.db.system_connection().await?, self.shard, self.shards).await?;
        let mut instances: BTreeMap<InstanceId, Vec<WatchedBroker>> = BTreeMap::new();
        for broker in brokers {
            instances.entry(broker.instance).or_default().push(broker);
        }
        self.provisioned.retain(|id, _| instances.contains_key(id));
        self.ailing.retain(|node, _| instances.contains_key(&node.instance));

        let mut plans = Vec::with_capacity(instances.len());
        for (id, brokers) in instances {
            if brokers[0].spec_revision < node_spec::REVISION {
                // Told at the next look, when the new generation is read.
                loops::revise(&mut *keeper.db.system_connection().await?, id, node_spec::REVISION, keeper.clock.now())
                    .await?;
            }
            match self.provisioned(keeper, &brokers[0]).await {
                Ok(Some(provisioned)) => plans.push((id, brokers, provisioned)),
                Ok(None) => {}
                Err(error) => tracing::error!(instance = %id, %error, "cannot look at an instance"),
            }
        }
        let looks = plans.into_iter().map(|(id, brokers, provisioned)| async move {
            let looks = look(keeper, &provisioned).await;
            (id, brokers, provisioned, looks)
        });
        let mut looks = futures::stream::iter(looks).buffer_unordered(AT_ONCE);
        let mut repairs = Vec::new();
        while let Some((id, brokers, provisioned, looks)) = looks.next().await {
            let observed: Vec<Observed> =
                looks.iter().filter_map(|look| self.judge(id, look, keeper.clock.now())).collect();
            if let Err(error) = record(keeper, id, &brokers, &observed).await {
                tracing::warn!(instance = %id, %error, "cannot record how an instance is");
            }
            if let Err(error) = tell_capacity(keeper, id, &brokers, &provisioned, &looks).await {
                tracing::warn!(instance = %id, %error, "cannot record how full an instance is");
            }
            let build = keeper.platform.driver.build();
            repairs.extend(self.repairs(id, &provisioned, &looks, build, keeper.clock.now()));
        }
        let repairs = repairs.into_iter().map(|repair| repair.make(keeper));
        futures::stream::iter(repairs).buffer_unordered(REPAIRS_AT_ONCE).collect::<()>().await;
        Ok(())
    }

    /// Specs and addresses, from memory while the intent stays the same.
    async fn provisioned(
        &mut self,
        keeper: &Keeper,
        broker: &WatchedBroker,
    ) -> Result<Option<Arc<Provisioned>>, LoopError> {
        let (id, generation) = (broker.instance, broker.generation);
        if let Some((known, provisioned)) = self.provisioned.get(&id)
            && *known == generation
        {
            return Ok(Some(provisioned.clone()));
        }
        let mut tx = keeper.db.system().await?;
        let Some((instance, brokers)) = rows::load(&mut tx, id).await? else { return Ok(None) };
        let secrets = Secrets::load(&mut tx, &keeper.keyring, id).await?;
        let provisioned = Arc::new(Provisioned::build(&keeper.site, &instance, &brokers, &secrets)?);
        self.provisioned.insert(id, (instance.generation, provisioned.clone()));
        Ok(Some(provisioned))
    }

    /// What a look means, with the looks before it; `None` while it is too early to say.
    fn judge(&mut self, instance: InstanceId, look: &Look, now: DateTime<Utc>) -> Option<Observed> {
        let node = NodeRef { instance, node_id: look.node_id };
        match &look.answer {
            Ok(status) => {
                if let Some(ailing) = self.ailing.get_mut(&node) {
                    ailing.misses = 0;
                }
                Some(observed(status))
            }
            Err(_) => {
                let ailing = self.ailing.entry(node).or_insert(Ailing::since(now));
                ailing.misses += 1;
                let reason = format!("broker {} does not answer", look.node_id);
                (ailing.misses >= MISSES).then_some(Observed {
                    node_id: look.node_id,
                    state: "unknown",
                    reason,
                    generation: None,
                })
            }
        }
    }

    /// What to do about the nodes of an instance after a look.
    fn repairs(
        &mut self,
        instance: InstanceId,
        provisioned: &Arc<Provisioned>,
        looks: &[Look],
        build: &str,
        now: DateTime<Utc>,
    ) -> Vec<Repair> {
        let mut repairs = Vec::new();
        // Clients of a gateway that is replaced go on with the other brokers meanwhile.
        let mut may_renew =
            looks.iter().all(|look| matches!(&look.answer, Ok(status) if status.state == NodeState::Ready));
        for (place, (spec, look)) in provisioned.specs.iter().zip(looks).enumerate() {
            let node = NodeRef { instance, node_id: look.node_id };
            let ailing = self.ailing.get(&node).copied().unwrap_or(Ailing::since(now));
            let remedy = match &look.answer {
                Err(_) if ailing.misses < MISSES => continue,
                Err(_) => Remedy::BringBack,
                Ok(status) if status.supervisor_away => Remedy::BringBack,
                // Before it is told anything: it may not know all of it.
                Ok(status) if is_outdated(status, build) => {
                    if !std::mem::take(&mut may_renew) {
                        continue;
                    }
                    Remedy::Renew
                }
                Ok(status) if status.generation < spec.generation => Remedy::PushSpec,
                Ok(_) => {
                    self.ailing.remove(&node);
                    continue;
                }
            };
            if now < ailing.next_repair {
                continue;
            }
            self.ailing.insert(node, ailing.repaired(now));
            repairs.push(Repair { node, place, provisioned: provisioned.clone(), remedy });
        }
        repairs
    }
}

impl Ailing {
    fn since(now: DateTime<Utc>) -> Self {
        Self { misses: 0, repairs: 0, next_repair: now }
    }

    fn repaired(self, now: DateTime<Utc>) -> Self {
        let repairs = self.repairs + 1;
        Self { repairs, next_repair: now + wait(repairs), ..self }
    }
}

fn is_outdated(status: &NodeStatus, build: &str) -> bool {
    status.gateway.build != build || status.broker.identity.build != build
}

#[derive(Debug, Clone, Copy)]
enum Remedy {
    /// It has not heard of newer intent.
    PushSpec,
    /// It is gone, or nobody watches its broker.
    BringBack,
    /// It runs another build of ours.
    Renew,
}

/// One node, and what it needs.
#[derive(Debug)]
struct Repair {
    node: NodeRef,
    /// Of its spec.
    place: usize,
    provisioned: Arc<Provisioned>,
    remedy: Remedy,
}

impl Repair {
    async fn make(self, keeper: &Keeper) {
        let Some(spec) = self.provisioned.specs.get(self.place) else { return };
        let outcome = match self.remedy {
            Remedy::PushSpec => {
                let pushed = keeper.platform.nodes.push_spec(&self.provisioned.node(spec), spec).await;
                pushed.map(|_| true).map_err(|error| chain(&error))
            }
            Remedy::Renew => {
                let renewed = keeper.platform.driver.renew_node(spec).await;
                renewed.map(|()| true).map_err(|error| chain(&error))
            }
            Remedy::BringBack => bring_back(keeper, self.node, spec).await.map_err(|error| chain(&error)),
        };
        let NodeRef { instance, node_id } = self.node;
        match outcome {
            Ok(true) => tracing::info!(%instance, node = node_id, remedy = ?self.remedy, "a node was helped"),
            Ok(false) => {}
            Err(cause) => {
                tracing::error!(%instance, node = node_id, remedy = ?self.remedy, cause, "a node cannot be helped")
            }
        }
    }
}

fn wait(repairs: u32) -> Duration {
    (FIRST_WAIT * (1 << repairs.saturating_sub(1).min(10))).min(LONGEST_WAIT)
}

async fn look(keeper: &Keeper, provisioned: &Provisioned) -> Vec<Look> {
    let looks = provisioned.specs.iter().map(|spec| async {
        let answer = keeper.platform.nodes.status(&provisioned.node(spec)).await;
        Look { node_id: spec.identity.node_id, answer: answer.map_err(|error| chain(&error)) }
    });
    futures::future::join_all(looks).await
}

fn observed(status: &NodeStatus) -> Observed {
    let state = match status.state {
        NodeState::Starting => "starting",
        NodeState::Ready => "ready",
        NodeState::Failed => "failed",
        NodeState::Stopping => "stopping",
        NodeState::Stopped => "stopped",
    };
    let reason = if status.state == NodeState::Ready { String::new() } else { status.reason.clone() };
    Observed { node_id: status.node_id, state, reason, generation: Some(status.generation) }
}

/// `running` when every broker is ready, else `faulty` with the first reason.
fn verdict<'a>(brokers: impl Iterator<Item = (i32, &'a str, &'a str)>) -> (InstanceState, Option<String>) {
    let mut faults = brokers.filter(|(_, state, _)| *state != "ready");
    match faults.next() {
        None => (InstanceState::Running, None),
        Some((node_id, state, "")) => (InstanceState::Faulty, Some(format!("broker {node_id} is {state}"))),
        Some((_, "unknown", reason)) => (InstanceState::Faulty, Some(reason.to_owned())),
        Some((node_id, _, reason)) => (InstanceState::Faulty, Some(format!("broker {node_id}: {reason}"))),
    }
}

/// Writes what differs from what was recorded, and nothing when nothing does.
async fn record(
    keeper: &Keeper,
    id: InstanceId,
    recorded: &[WatchedBroker],
    observed: &[Observed],
) -> Result<(), LoopError> {
    let news: BTreeMap<i32, &Observed> = observed.iter().map(|one| (one.node_id, one)).collect();
    let now = recorded.iter().map(|broker| match news.get(&broker.node_id) {
        Some(new) => (broker.node_id, new.state, new.reason.as_str()),
        None => (broker.node_id, broker.state.as_str(), broker.reason.as_str()),
    });
    let (state, reason) = verdict(now);
    let changed: BTreeSet<i32> = recorded
        .iter()
        .filter(|broker| {
            news.get(&broker.node_id)
                .is_some_and(|new| (new.state, &new.reason) != (broker.state.as_str(), &broker.reason))
        })
        .map(|broker| broker.node_id)
        .collect();
    let instance_changed = recorded
        .first()
        .is_some_and(|one| !loops::same_state(&one.instance_state, state) || one.instance_reason != reason);
    if changed.is_empty() && !instance_changed {
        return Ok(());
    }
    let mut tx = keeper.db.system().await?;
    // A job that has begun since knows better.
    if !loops::lock_if_idle(&mut tx, id).await? {
        return Ok(());
    }
    let at = keeper.clock.now();
    for new in observed.iter().filter(|new| changed.contains(&new.node_id)) {
        rows::set_broker_state(&mut tx, id, new.node_id, new.state, &new.reason, new.generation, at).await?;
    }
    rows::set_state(&mut tx, id, state, reason.as_deref(), at).await?;
    tx.commit().await?;
    if instance_changed {
        tracing::info!(instance = %id, ?state, reason, "an instance changed");
    }
    Ok(())
}

/// Tells the tenant, and the log, when an instance fills up, is full, or has room again.
async fn tell_capacity(
    keeper: &Keeper,
    id: InstanceId,
    recorded: &[WatchedBroker],
    provisioned: &Provisioned,
    looks: &[Look],
) -> Result<(), LoopError> {
    let (Some(first), Some(spec)) = (recorded.first(), provisioned.specs.first()) else { return Ok(()) };
    let heard = looks.iter().filter_map(|look| Some((look.node_id, look.answer.as_ref().ok()?.capacity.as_ref()?)));
    let brokers: Vec<_> = heard.collect();
    let threshold_percent = spec.gateway.capacity.threshold_percent;
    let all = brokers.len() == looks.len();
    let notice = capacity::notice(threshold_percent, &brokers, all, first.capacity_level, keeper.clock.now());
    let Some(notice) = notice else { return Ok(()) };
    let CapacityNotice { level, broker_id, used_percent, full_in_seconds, .. } = notice;
    loops::add_capacity_notice(&mut *keeper.db.system_connection().await?, id, &notice, capacity::NOTICES).await?;
    tracing::warn!(instance = %id, node = broker_id, ?level, used_percent, full_in_seconds, "how full an instance is changed");
    Ok(())
}

/// Makes the node again, unless a job has taken the instance over. False when it has.
async fn bring_back(keeper: &Keeper, node: NodeRef, spec: &NodeSpec) -> Result<bool, LoopError> {
    let mut tx = keeper.db.system().await?;
    let idle = loops::lock_if_idle(&mut tx, node.instance).await?;
    tx.commit().await?;
    if !idle {
        return Ok(false);
    }
    keeper.platform.driver.ensure_node(spec).await?;
    // A deletion may have come and gone meanwhile; what has no owner any more is taken back here and now.
    let entitled = loops::entitled(&mut *keeper.db.system_connection().await?).await?;
    if !entitled.contains(&(node.instance, node.node_id)) {
        keeper.platform.driver.remove_node(node).await?;
        return Ok(false);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_faulty_while_a_broker_is_not_ready_and_tells_which() {
        assert_eq!(verdict([(0, "ready", ""), (1, "ready", "")].into_iter()), (InstanceState::Running, None));
        let faulty = |reason: &str| (InstanceState::Faulty, Some(reason.to_owned()));
        assert_eq!(verdict([(0, "ready", ""), (1, "starting", "")].into_iter()), faulty("broker 1 is starting"));
        assert_eq!(verdict([(0, "failed", "the disk is full")].into_iter()), faulty("broker 0: the disk is full"));
        assert_eq!(
            verdict([(2, "unknown", "broker 2 does not answer")].into_iter()),
            faulty("broker 2 does not answer")
        );
    }

    #[test]
    fn pauses_between_repairs_double_up_to_five_minutes() {
        let waits: Vec<i64> = [1, 2, 3, 7, 99].map(|repairs| wait(repairs).num_seconds()).into();
        assert_eq!(waits, [5, 10, 20, 300, 300]);
    }
}
