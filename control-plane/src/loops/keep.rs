//! Runs the shards that this replica holds, until it stops.

use super::{Keeper, LoopError, certificates::Certificates, garbage::Garbage, nodes::Nodes, shards};
use crate::store::loops;
use std::{collections::BTreeMap, time::Duration};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// Shards of the loop over nodes: as many replicas can share it.
const NODE_SHARDS: u32 = 8;
const GARBAGE: &str = "garbage/0";
const CERTIFICATES: &str = "certificates/0";
const LEASE: Duration = Duration::from_secs(10);
const RENEW: Duration = Duration::from_secs(2);

/// How often each loop looks.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub nodes: Duration,
    pub garbage: Duration,
    pub certificates: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { nodes: Duration::from_secs(5), garbage: Duration::from_secs(20), certificates: Duration::from_secs(60) }
    }
}

/// The loops of a replica, running.
#[derive(Debug)]
pub struct Loops {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Loops {
    pub fn start(keeper: Keeper, pace: Pace) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(keep(keeper, pace, stop.clone()));
        Self { stop, task }
    }

    /// Drops what runs and gives the shards to the other replicas.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "loops ended by a fault");
        }
    }
}

fn all_shards() -> Vec<String> {
    let single = [GARBAGE, CERTIFICATES].map(str::to_owned);
    (0..NODE_SHARDS).map(|shard| format!("nodes/{shard}")).chain(single).collect()
}

async fn keep(keeper: Keeper, pace: Pace, stop: CancellationToken) {
    let shards = all_shards();
    let mut tasks = JoinSet::new();
    let mut running: BTreeMap<String, AbortHandle> = BTreeMap::new();
    let mut renewed = tokio::time::Instant::now();
    loop {
        match share(&keeper, &shards).await {
            Ok(held) => {
                renewed = tokio::time::Instant::now();
                running.retain(|name, task| {
                    let keep = held.contains(name) && !task.is_finished();
                    if !keep {
                        task.abort();
                    }
                    keep
                });
                for name in held {
                    let begin = || tasks.spawn(run(keeper.clone(), pace, name.clone()));
                    running.entry(name.clone()).or_insert_with(begin);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot renew the leases of loops");
                if renewed.elapsed() > LEASE {
                    // Others have them by now.
                    tasks.abort_all();
                    running.clear();
                }
            }
        }
        while tasks.try_join_next().is_some() {}
        tokio::select! {
            () = tokio::time::sleep(RENEW) => {}
            () = stop.cancelled() => break,
        }
    }
    tasks.shutdown().await;
    let mut names: Vec<String> = running.into_keys().collect();
    names.push(shards::presence(&keeper.owner));
    let released = async { loops::release(&mut *keeper.db.system_connection().await?, &names, &keeper.owner).await };
    if let Err(error) = released.await {
        tracing::warn!(%error, "could not give back the leases of loops; they end by themselves");
    }
}

/// Renews, takes and gives back; tells what this replica holds now.
async fn share(keeper: &Keeper, all: &[String]) -> Result<std::collections::BTreeSet<String>, LoopError> {
    let now = keeper.clock.now();
    let until = now + LEASE;
    let mut tx = keeper.db.system().await?;
    loops::hold(&mut tx, &[shards::presence(&keeper.owner)], &keeper.owner, until, now).await?;
    let plan = shards::plan(all, &loops::leases(&mut tx, now).await?, &keeper.owner);
    loops::release(&mut tx, &plan.release, &keeper.owner).await?;
    let held = loops::hold(&mut tx, &plan.hold, &keeper.owner, until, now).await?;
    loops::forget_leases(&mut tx, now - chrono::Duration::hours(1)).await?;
    tx.commit().await?;
    Ok(held)
}

/// What a shard does, with what it remembers from pass to pass.
enum Work {
    Nodes(Nodes),
    Garbage(Garbage),
    Certificates(Certificates),
}

impl Work {
    fn of(shard: &str, keeper: &Keeper) -> Self {
        match shard.strip_prefix("nodes/").and_then(|number| number.parse().ok()) {
            Some(number) => Self::Nodes(Nodes::new(number, NODE_SHARDS)),
            None if shard == CERTIFICATES => Self::Certificates(Certificates::new(keeper.certificate_metrics.clone())),
            None => Self::Garbage(Garbage::default()),
        }
    }
}

/// One shard, pass after pass, until it is aborted.
async fn run(keeper: Keeper, pace: Pace, name: String) {
    let mut work = Work::of(&name, &keeper);
    loop {
        let (outcome, pause) = match &mut work {
            Work::Nodes(nodes) => (nodes.pass(&keeper).await, pace.nodes),
            Work::Garbage(garbage) => (garbage.pass(&keeper).await, pace.garbage),
            Work::Certificates(certificates) => (certificates.pass(&keeper).await, pace.certificates),
        };
        if let Err(error) = outcome {
            let cause = crate::jobs::engine::chain(&error);
            tracing::warn!(shard = name, cause, "a pass of a loop failed; the next one tries again");
        }
        tokio::time::sleep(pause).await;
    }
}
