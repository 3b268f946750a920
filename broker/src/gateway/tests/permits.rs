//! The instance's total of connections as clients meet it: several gateways on one log in memory.

use super::super::connections::Full;
use super::super::listener::Permit;
use super::super::permits::record::Record;
use super::super::permits::{self, Roster};
use super::memory_log::MemoryLog;
use super::*;
use crate::incarnation::Incarnation;
use futures::future::BoxFuture;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

/// A log, and the brokers of the cluster.
#[derive(Clone, Default)]
struct Memory {
    log: MemoryLog<Record>,
    brokers: Arc<Mutex<BTreeSet<i32>>>,
}

impl Roster for Memory {
    fn brokers(&self) -> BoxFuture<'_, io::Result<BTreeSet<i32>>> {
        Box::pin(async move { Ok(self.brokers.lock().unwrap().clone()) })
    }
}

/// A gateway without listeners.
struct Node {
    spec: NodeSpec,
    shared: Arc<Shared>,
    keeps: JoinHandle<()>,
}

impl Node {
    /// Of a node, whose directory is `directory`.
    fn start(node: i32, total: u32, log: &Memory, directory: &Path) -> Self {
        let mut spec = spec();
        spec.identity.node_id = node;
        for listener in &mut spec.gateway.listeners {
            listener.advertised[0].node_id = node;
            listener.advertised[1].node_id = 9;
        }
        spec.gateway.limits.max_instance_connections = total;
        let metrics = Metrics::register(&mut Registry::default());
        let shared = Shared::new(Snapshot::build(&spec).unwrap(), signer(), metrics).unwrap();
        log.brokers.lock().unwrap().insert(node);
        let (member, log, own) = (shared.clone(), log.clone(), Incarnation::begin(directory).unwrap());
        let keeps = tokio::spawn(async move { permits::keep(&member, &log.log, &log, &own).await });
        Self { spec, shared, keeps }
    }

    /// A client that is served or, after a while, not.
    async fn client(&self) -> Option<Permit> {
        let peer = "192.0.2.7:1".parse().unwrap();
        match self.shared.admit(AccessPath::PrivatePlaintext, peer) {
            Ok((permit, None)) => Some(permit),
            Ok((mut permit, Some(told))) => permit.wait(told).await.then_some(permit),
            Err(Full::Instance) => None,
            Err(full) => panic!("{full:?}"),
        }
    }

    /// As many as are served of so many at once.
    async fn crowd(&self, clients: usize) -> Vec<Permit> {
        let all = futures::future::join_all((0..clients).map(|_| self.client()));
        all.await.into_iter().flatten().collect()
    }

    fn limit(&mut self, total: u32) {
        self.spec.generation += 1;
        self.spec.gateway.limits.max_instance_connections = total;
        self.shared.swap(Snapshot::build(&self.spec).unwrap());
    }

    /// As `kill -9`: it holds no lock any more and says nothing.
    async fn kill(self) {
        self.keeps.abort();
        let _ = self.keeps.await;
    }
}

fn directories() -> [tempfile::TempDir; 3] {
    std::array::from_fn(|_| tempfile::tempdir().unwrap())
}

#[tokio::test(start_paused = true)]
async fn clients_at_one_broker_can_have_the_whole_total_and_no_two_brokers_more() {
    let (log, directories) = (Memory::default(), directories());
    let nodes: Vec<_> = (1..).zip(&directories).map(|(n, at)| Node::start(n, 60, &log, at.path())).collect();
    // They hold permits for who may come.
    let elsewhere = [nodes[1].crowd(3).await, nodes[2].crowd(2).await];
    assert_eq!((elsewhere[0].len(), elsewhere[1].len()), (3, 2));
    let mut crowd = nodes[0].crowd(100).await;
    assert_eq!(crowd.len(), 55, "what was left");
    assert!(nodes[1].client().await.is_none() && nodes[0].client().await.is_none(), "all 60 are in use");
    // One that ends makes room, for whoever comes, at once.
    crowd.pop();
    let other = nodes[2].client().await.expect("the room of one that left");
    assert!(nodes[0].client().await.is_none());
    drop(other);
    let everywhere = futures::future::join_all(nodes.iter().map(|node| node.crowd(50))).await;
    assert_eq!(everywhere.iter().map(Vec::len).sum::<usize>(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_total_that_is_raised_lets_more_in_and_one_that_is_lowered_cuts_nobody() {
    let (log, directories) = (Memory::default(), directories());
    let mut nodes: Vec<_> = (1..).zip(&directories).map(|(n, at)| Node::start(n, 10, &log, at.path())).collect();
    let mut crowd = nodes[0].crowd(20).await;
    assert_eq!(crowd.len(), 10);
    // Whoever hears of it first tells all.
    nodes[1].limit(15);
    tokio::time::sleep(permits::WAIT).await;
    crowd.extend(nodes[0].crowd(20).await);
    assert_eq!(crowd.len(), 15);
    nodes.iter_mut().for_each(|node| node.limit(12));
    tokio::time::sleep(permits::WAIT).await;
    assert_eq!(nodes[0].shared.open_connections(), 15, "nobody is cut");
    crowd.truncate(12);
    assert!(nodes[0].client().await.is_none() && nodes[2].client().await.is_none(), "12 are in use");
    crowd.truncate(11);
    assert!(nodes[2].client().await.is_some());
    // Without a total, nobody asks the log.
    nodes[0].limit(0);
    assert_eq!(nodes[0].crowd(100).await.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn permits_of_a_gateway_that_died_are_free_for_its_successor_at_once_and_for_others_when_its_broker_is_fenced() {
    let (log, directories) = (Memory::default(), directories());
    let mut nodes: Vec<_> = (1..).zip(&directories).map(|(n, at)| Node::start(n, 30, &log, at.path())).collect();
    let lost = nodes[0].crowd(30).await;
    assert_eq!(lost.len(), 30);
    nodes.remove(0).kill().await;
    // Nobody else can know that it serves nobody.
    assert!(nodes[0].client().await.is_none());
    let began = Instant::now();
    let successor = Node::start(1, 30, &log, directories[0].path());
    let mut served = Vec::new();
    while served.len() < 30 {
        served.extend(successor.client().await);
        assert!(began.elapsed() < Duration::from_secs(3), "{} of 30 are free after 3 s", served.len());
    }
    successor.kill().await;
    assert!(nodes[0].client().await.is_none());
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(nodes[0].client().await.is_none(), "its broker is there, so it may come back");
    log.brokers.lock().unwrap().remove(&1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(nodes[0].crowd(40).await.len(), 30);
}

#[tokio::test(start_paused = true)]
async fn without_the_log_a_gateway_serves_as_many_as_it_holds_permits_for_and_all_again_after() {
    let (log, directories) = (Memory::default(), directories());
    let nodes: Vec<_> = (1..).zip(&directories).map(|(n, at)| Node::start(n, 120, &log, at.path())).collect();
    let first = nodes[0].crowd(1).await;
    tokio::time::sleep(permits::WAIT).await;
    log.log.go(true);
    let held = nodes[0].crowd(120).await;
    assert!((5..=20).contains(&held.len()), "{} were served by what was held", held.len());
    log.log.go(false);
    let rest = nodes[0].crowd(120).await;
    assert_eq!(first.len() + held.len() + rest.len(), 120);
}

/// While the old gateway of a node finishes what it serves, the new one takes over: both count.
#[tokio::test(start_paused = true)]
async fn a_gateway_that_drains_and_its_successor_share_the_total() {
    let (log, directories) = (Memory::default(), directories());
    let old = Node::start(1, 20, &log, directories[0].path());
    let mut serving = old.crowd(20).await;
    let new = Node::start(1, 20, &log, directories[0].path());
    old.shared.draining.cancel();
    assert!(new.client().await.is_none(), "20 are in use");
    serving.truncate(8);
    assert_eq!(new.crowd(20).await.len(), 12);
    assert!(old.client().await.is_none(), "it takes nobody any more");
}
