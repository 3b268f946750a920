//! The local driver, with stand-ins for nodes: what it starts, adopts, refuses and removes.

mod brokers;
mod certificates;
mod harm;
mod instance;
mod paths;
mod raw_client;
mod topics;
pub mod world;

use control_plane::{
    domain::client_paths::Network,
    drivers::{ClusterDriver, DriverError, HeldNode, NodeRef, local::LocalDriver},
};
use control_plane_api::id::InstanceId;
use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, TcpListener},
    os::unix::fs::PermissionsExt,
};
use world::{World, kill, spec, wait_until};

fn nodes_of_one_instance(count: i32) -> Vec<NodeRef> {
    let instance = InstanceId::generate();
    (1..=count).map(|node_id| NodeRef { instance, node_id }).collect()
}

fn supervisors_started(world: &World, node: NodeRef) -> Vec<i32> {
    let starts = fs::read_to_string(world.directory_of(node).join("starts")).unwrap();
    starts.lines().map(|pid| pid.parse().unwrap()).collect()
}

#[tokio::test]
async fn each_broker_gets_an_address_of_its_own_and_the_same_one_when_asked_again() {
    let world = World::new();
    let nodes = nodes_of_one_instance(3);
    let addresses = world.driver().choose_addresses(Network::Private, &nodes, &BTreeSet::new()).await.unwrap();
    assert_eq!(addresses.iter().collect::<BTreeSet<_>>().len(), 3);
    assert!(addresses.iter().all(IpAddr::is_loopback));
    // A step that is repeated after a crash, by another driver.
    assert_eq!(world.driver().choose_addresses(Network::Private, &nodes, &BTreeSet::new()).await.unwrap(), addresses);
    assert_eq!(world.claims(), addresses.into_iter().collect());
}

#[tokio::test]
async fn an_address_that_is_given_to_others_or_in_use_is_not_chosen() {
    let world = World::new();
    let driver = world.driver();
    let probe = nodes_of_one_instance(2);
    let first = driver.choose_addresses(Network::Private, &probe, &BTreeSet::new()).await.unwrap();
    for node in probe {
        driver.remove_node(node).await.unwrap();
    }
    let _listener = TcpListener::bind((first[1], 9093)).unwrap();
    let nodes = nodes_of_one_instance(1);
    let address = driver.choose_addresses(Network::Private, &nodes, &BTreeSet::from([first[0]])).await.unwrap()[0];
    assert!(!first.contains(&address), "{address} is not one of {first:?}");
}

#[tokio::test]
async fn two_checkouts_never_share_an_address_until_one_of_them_is_gone() {
    let (ours, theirs) = (World::new(), World::new());
    let mut options = theirs.options.clone();
    options.claims = ours.options.claims.clone();
    let their_driver = LocalDriver::new(options).unwrap();
    let driver = ours.driver();
    let (node, spec_of_ours) = ours.node(&driver).await;
    let address = spec_of_ours.kafka.bind;
    let stranger = NodeRef { instance: InstanceId::generate(), node_id: 1 };
    let refusal = their_driver.ensure_node(&spec(stranger, address)).await.unwrap_err();
    assert!(matches!(refusal, DriverError::Permanent { .. }));
    assert!(refusal.to_string().contains(&format!("{address} belongs to a broker of")), "{refusal}");
    // What they remove or list is theirs only.
    their_driver.remove_node(node).await.unwrap();
    assert!(!their_driver.list_nodes().await.unwrap().iter().any(|held| held.node == node));
    assert_eq!(ours.claims(), BTreeSet::from([address]));
    fs::remove_dir_all(&ours.options.home).unwrap();
    their_driver.ensure_node(&spec(stranger, address)).await.unwrap();
    their_driver.remove_node(stranger).await.unwrap();
}

#[tokio::test]
async fn a_node_runs_once_however_often_and_by_whomever_it_is_ensured() {
    let world = World::new();
    let driver = world.driver();
    let (node, spec) = world.node(&driver).await;
    let (a, b) = (world.driver(), world.driver());
    let (one, two, three) = tokio::join!(driver.ensure_node(&spec), a.ensure_node(&spec), b.ensure_node(&spec));
    one.unwrap();
    two.unwrap();
    three.unwrap();
    assert_eq!(supervisors_started(&world, node).len(), 1);
    assert_eq!(driver.list_nodes().await.unwrap(), [HeldNode { node, alive: true }]);
    driver.remove_node(node).await.unwrap();
}

#[tokio::test]
async fn only_the_owner_can_read_a_node_directory() {
    let world = World::new();
    let driver = world.driver();
    let (node, spec) = world.node(&driver).await;
    driver.ensure_node(&spec).await.unwrap();
    let mode = |name: &str| fs::metadata(world.directory_of(node).join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode("."), mode("spec.json"), mode("driver.json")], [0o700, 0o600, 0o600]);
    driver.remove_node(node).await.unwrap();
}

#[tokio::test]
async fn removing_a_node_leaves_nothing_of_it_and_can_be_repeated() {
    let world = World::new();
    let driver = world.driver();
    let (node, spec) = world.node(&driver).await;
    let (other, spec_of_other) = world.node(&driver).await;
    driver.ensure_node(&spec).await.unwrap();
    driver.ensure_node(&spec_of_other).await.unwrap();
    let processes = world.processes(node);
    assert_eq!(processes.len(), 2, "a supervisor and what stands for the JVM");
    driver.remove_node(node).await.unwrap();
    assert!(!world.directory_of(node).parent().unwrap().exists());
    assert!(processes.iter().all(|pid| !fs::exists(format!("/proc/{pid}/fd/0")).unwrap()));
    // What must survive.
    assert_eq!(world.claims(), BTreeSet::from([spec_of_other.kafka.bind]));
    assert_eq!(driver.list_nodes().await.unwrap(), [HeldNode { node: other, alive: true }]);
    driver.remove_node(node).await.unwrap();
    driver.remove_node(other).await.unwrap();
    assert_eq!(driver.list_nodes().await.unwrap(), []);
}

#[tokio::test]
async fn a_node_that_does_not_stop_is_killed_with_all_its_processes() {
    let world = World::new();
    let driver = world.driver();
    let (node, mut spec) = world.node(&driver).await;
    spec.kafka.rack = "stubborn".to_owned();
    driver.ensure_node(&spec).await.unwrap();
    // The supervisor is gone, what it started is not.
    let orphaned = world.processes(node);
    kill(supervisors_started(&world, node)[0]);
    wait_until("the supervisor is gone", async || world.processes(node).len() == 1).await;
    assert_eq!(driver.list_nodes().await.unwrap(), [HeldNode { node, alive: true }], "its JVM still lives");
    driver.remove_node(node).await.unwrap();
    assert!(orphaned.iter().all(|pid| !fs::exists(format!("/proc/{pid}/fd/0")).unwrap()));
}

#[tokio::test]
async fn a_node_whose_processes_all_died_starts_again_from_its_directory() {
    let world = World::new();
    let driver = world.driver();
    let (node, spec) = world.node(&driver).await;
    driver.ensure_node(&spec).await.unwrap();
    fs::write(world.directory_of(node).join("data"), "messages").unwrap();
    world.processes(node).into_iter().for_each(kill);
    wait_until("everything is gone", async || world.processes(node).is_empty()).await;
    assert_eq!(world.driver().list_nodes().await.unwrap(), [HeldNode { node, alive: false }]);
    // As after a reboot, when claims that are kept in memory are gone too.
    fs::remove_dir_all(&world.options.claims).unwrap();
    world.driver().ensure_node(&spec).await.unwrap();
    assert_eq!(fs::read_to_string(world.directory_of(node).join("data")).unwrap(), "messages");
    assert_eq!(world.claims(), BTreeSet::from([spec.kafka.bind]));
    driver.remove_node(node).await.unwrap();
}

#[tokio::test]
async fn a_half_made_directory_is_completed_or_removed() {
    let world = World::new();
    let driver = world.driver();
    let (node, spec) = world.node(&driver).await;
    let directory = world.directory_of(node);
    fs::create_dir_all(&directory).unwrap();
    for name in ["driver.json", "driver.json.new", "spec.json", "spec.json.new"] {
        fs::write(directory.join(name), r#"{"nonce": "cut o"#).unwrap();
    }
    assert_eq!(driver.list_nodes().await.unwrap(), [HeldNode { node, alive: false }]);
    driver.ensure_node(&spec).await.unwrap();
    driver.remove_node(node).await.unwrap();
    // And one that was on its way out.
    fs::create_dir_all(directory.with_extension("removed")).unwrap();
    assert_eq!(driver.list_nodes().await.unwrap(), [HeldNode { node, alive: false }]);
    driver.remove_node(node).await.unwrap();
    assert_eq!(driver.list_nodes().await.unwrap(), []);
}

#[tokio::test]
async fn an_older_spec_never_replaces_a_newer_one() {
    let world = World::new();
    let driver = world.driver();
    let (node, mut spec) = world.node(&driver).await;
    spec.generation = 5;
    driver.ensure_node(&spec).await.unwrap();
    world.processes(node).into_iter().for_each(kill);
    wait_until("everything is gone", async || world.processes(node).is_empty()).await;
    spec.generation = 4;
    driver.ensure_node(&spec).await.unwrap();
    let written: serde_json::Value =
        serde_json::from_slice(&fs::read(world.directory_of(node).join("spec.json")).unwrap()).unwrap();
    assert_eq!(written["generation"], 5);
    driver.remove_node(node).await.unwrap();
}

#[tokio::test]
async fn a_node_that_cannot_start_says_why_and_holds_no_process() {
    let world = World::new();
    let driver = world.driver();
    let (node, mut spec) = world.node(&driver).await;
    spec.kafka.rack = "broken".to_owned();
    let refusal = driver.ensure_node(&spec).await.unwrap_err();
    assert!(matches!(refusal, DriverError::Permanent { .. }));
    assert!(refusal.to_string().contains("the spec cannot be served"), "{refusal}");
    assert!(world.processes(node).is_empty());
    driver.remove_node(node).await.unwrap();
}

#[tokio::test]
async fn a_kafka_version_that_is_not_installed_is_refused_by_its_path() {
    let world = World::new();
    let driver = world.driver();
    let (_, mut spec) = world.node(&driver).await;
    spec.kafka.version = "0.8.0".to_owned();
    let refusal = driver.ensure_node(&spec).await.unwrap_err().to_string();
    assert!(refusal.contains("kafka/0.8.0/libs is missing"), "{refusal}");
}

#[tokio::test]
async fn a_home_too_deep_for_sockets_is_refused_before_anything_is_bought() {
    let mut world = World::new();
    world.options.home = world.options.home.join("d".repeat(80));
    let refusal = LocalDriver::new(world.options.clone()).unwrap_err().to_string();
    assert!(refusal.contains("bytes too long"), "{refusal}");
}
