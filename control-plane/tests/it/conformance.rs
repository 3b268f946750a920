//! What every driver must do, tried on each of them (style.md 17). A new driver needs a fixture below.

use crate::local::world::{self, World as LocalWorld};
use async_trait::async_trait;
use broker_api::spec::NodeSpec;
use control_plane::{
    clock::Clock,
    domain::client_paths::Network,
    drivers::{
        ClusterDriver, HeldNode, NodeRef,
        simulation::{Simulation, SimulationConfig, World},
    },
};
use control_plane_api::id::InstanceId;
use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// A place where nodes can run, that outlives its drivers.
#[async_trait]
trait Place: Sync {
    /// A new driver object, as a restarted control plane makes one.
    fn driver(&self) -> Box<dyn ClusterDriver>;
    /// The node's processes die at once, as in a crash of the machine.
    async fn crash(&self, node: NodeRef);
}

struct Simulated(Arc<World>);

#[async_trait]
impl Place for Simulated {
    fn driver(&self) -> Box<dyn ClusterDriver> {
        Box::new(Simulation::new(self.0.clone()))
    }

    async fn crash(&self, node: NodeRef) {
        self.0.kill_node(node);
    }
}

#[async_trait]
impl Place for LocalWorld {
    fn driver(&self) -> Box<dyn ClusterDriver> {
        Box::new(LocalWorld::driver(self))
    }

    async fn crash(&self, node: NodeRef) {
        let began = Instant::now();
        while let [pid, ..] = self.processes(node)[..] {
            assert!(began.elapsed() < Duration::from_secs(20), "process {pid} of the node does not die");
            world::kill(pid);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Instantiates the suite for a place.
macro_rules! suite {
    ($module:ident, $place:expr, [$($law:ident),* $(,)?]) => {
        mod $module {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $law() {
                    super::$law(&$place).await;
                }
            )*
        }
    };
}

macro_rules! every_driver {
    ($laws:tt) => {
        suite!(simulation, Simulated(Arc::new(World::new(Clock::system(), SimulationConfig::default()))), $laws);
        suite!(local, LocalWorld::new(), $laws);
    };
}

every_driver!([
    addresses_are_distinct_and_not_those_given_to_others,
    nodes_ensured_again_by_whomever_run_once,
    a_new_driver_finds_what_runs_and_leaves_it_alone,
    a_node_that_crashed_is_listed_as_dead_and_comes_back,
    removal_can_be_repeated_and_leaves_the_others_alone,
    removing_what_never_was_is_fine,
    a_removed_node_gives_its_address_back,
    an_older_spec_changes_nothing,
    a_public_address_is_another_one_and_is_given_back_alone,
    a_removed_node_gives_its_public_address_back_too,
]);

/// The nodes of a new instance, at addresses that `driver` chose.
async fn nodes(driver: &dyn ClusterDriver, count: i32) -> Vec<(NodeRef, NodeSpec)> {
    let instance = InstanceId::generate();
    let nodes: Vec<NodeRef> = (0..count).map(|node_id| NodeRef { instance, node_id }).collect();
    let addresses = driver.choose_addresses(Network::Private, &nodes, &BTreeSet::new()).await.unwrap();
    nodes.into_iter().zip(addresses).map(|(node, address)| (node, world::spec(node, address))).collect()
}

async fn held(driver: &dyn ClusterDriver) -> Vec<HeldNode> {
    let mut held = driver.list_nodes().await.unwrap();
    held.sort_by_key(|held| held.node);
    held
}

fn alive(node: NodeRef) -> HeldNode {
    HeldNode { node, alive: true }
}

async fn addresses_are_distinct_and_not_those_given_to_others(place: &dyn Place) {
    let driver = place.driver();
    let instance = InstanceId::generate();
    let nodes = |ids: std::ops::Range<i32>| ids.map(|node_id| NodeRef { instance, node_id }).collect::<Vec<_>>();
    let first: BTreeSet<IpAddr> =
        driver.choose_addresses(Network::Private, &nodes(0..3), &BTreeSet::new()).await.unwrap().into_iter().collect();
    assert_eq!(first.len(), 3, "{first:?}");
    let second: BTreeSet<IpAddr> =
        place.driver().choose_addresses(Network::Private, &nodes(3..6), &first).await.unwrap().into_iter().collect();
    assert_eq!(second.len(), 3, "{second:?}");
    assert!(first.is_disjoint(&second), "{first:?} {second:?}");
    for node in nodes(0..6) {
        driver.remove_node(node).await.unwrap();
    }
}

async fn nodes_ensured_again_by_whomever_run_once(place: &dyn Place) {
    let (one, other) = (place.driver(), place.driver());
    let (node, spec) = nodes(&*one, 1).await.remove(0);
    let both = tokio::join!(one.ensure_node(&spec), other.ensure_node(&spec));
    both.0.unwrap();
    both.1.unwrap();
    one.ensure_node(&spec).await.unwrap();
    assert_eq!(held(&*one).await, [alive(node)]);
    one.remove_node(node).await.unwrap();
}

async fn a_new_driver_finds_what_runs_and_leaves_it_alone(place: &dyn Place) {
    let first = place.driver();
    let (node, spec) = nodes(&*first, 1).await.remove(0);
    first.ensure_node(&spec).await.unwrap();
    drop(first);
    let second = place.driver();
    assert_eq!(held(&*second).await, [alive(node)]);
    second.ensure_node(&spec).await.unwrap();
    second.remove_node(node).await.unwrap();
    assert_eq!(held(&*place.driver()).await, []);
}

async fn a_node_that_crashed_is_listed_as_dead_and_comes_back(place: &dyn Place) {
    let driver = place.driver();
    let (node, spec) = nodes(&*driver, 1).await.remove(0);
    driver.ensure_node(&spec).await.unwrap();
    place.crash(node).await;
    assert_eq!(held(&*driver).await, [HeldNode { node, alive: false }], "its data are still there");
    driver.ensure_node(&spec).await.unwrap();
    assert_eq!(held(&*driver).await, [alive(node)]);
    driver.remove_node(node).await.unwrap();
}

async fn removal_can_be_repeated_and_leaves_the_others_alone(place: &dyn Place) {
    let driver = place.driver();
    let [(gone, first), (stays, second)]: [(NodeRef, NodeSpec); 2] = nodes(&*driver, 2).await.try_into().unwrap();
    driver.ensure_node(&first).await.unwrap();
    driver.ensure_node(&second).await.unwrap();
    driver.remove_node(gone).await.unwrap();
    driver.remove_node(gone).await.unwrap();
    assert_eq!(held(&*driver).await, [alive(stays)]);
    driver.remove_node(stays).await.unwrap();
}

async fn removing_what_never_was_is_fine(place: &dyn Place) {
    let node = NodeRef { instance: InstanceId::generate(), node_id: 7 };
    place.driver().remove_node(node).await.unwrap();
    assert_eq!(held(&*place.driver()).await, []);
}

async fn a_removed_node_gives_its_address_back(place: &dyn Place) {
    let driver = place.driver();
    let (node, spec) = nodes(&*driver, 1).await.remove(0);
    driver.ensure_node(&spec).await.unwrap();
    driver.remove_node(node).await.unwrap();
    // Another node can stand there now.
    let next = NodeRef { instance: InstanceId::generate(), node_id: 0 };
    driver.ensure_node(&world::spec(next, spec.kafka.bind)).await.unwrap();
    assert_eq!(held(&*driver).await, [alive(next)]);
    driver.remove_node(next).await.unwrap();
}

async fn an_older_spec_changes_nothing(place: &dyn Place) {
    let driver = place.driver();
    let (node, older) = nodes(&*driver, 1).await.remove(0);
    let newer = NodeSpec { generation: older.generation + 1, ..older.clone() };
    driver.ensure_node(&newer).await.unwrap();
    driver.ensure_node(&older).await.unwrap();
    assert_eq!(held(&*driver).await, [alive(node)]);
    driver.remove_node(node).await.unwrap();
}

/// A public address for the node, by whomever.
async fn public_address(place: &dyn Place, node: NodeRef, taken: &BTreeSet<IpAddr>) -> IpAddr {
    let chosen = place.driver().choose_addresses(Network::Public, &[node], taken).await.unwrap();
    assert_eq!(chosen.len(), 1);
    chosen[0]
}

async fn a_public_address_is_another_one_and_is_given_back_alone(place: &dyn Place) {
    let driver = place.driver();
    let [(node, spec), (other, _)]: [(NodeRef, NodeSpec); 2] = nodes(&*driver, 2).await.try_into().unwrap();
    let private = BTreeSet::from([spec.kafka.bind]);
    let first = public_address(place, node, &private).await;
    assert!(first.is_ipv4() && first != spec.kafka.bind, "{first}");
    assert_eq!(public_address(place, node, &private).await, first, "asked again, it is the same");
    let second = public_address(place, other, &private).await;
    assert_ne!(second, first);
    driver.ensure_node(&spec).await.unwrap();
    driver.release_public_address(node).await.unwrap();
    driver.release_public_address(node).await.unwrap();
    assert!(held(&*driver).await.contains(&alive(node)), "the node runs on");
    assert_eq!(public_address(place, other, &private).await, second, "the other's stays");
    driver.remove_node(node).await.unwrap();
    driver.remove_node(other).await.unwrap();
}

async fn a_removed_node_gives_its_public_address_back_too(place: &dyn Place) {
    let driver = place.driver();
    let (node, spec) = nodes(&*driver, 1).await.remove(0);
    let taken = BTreeSet::from([spec.kafka.bind]);
    public_address(place, node, &taken).await;
    driver.remove_node(node).await.unwrap();
    assert_eq!(held(&*driver).await, [], "nothing of it is left");
}
