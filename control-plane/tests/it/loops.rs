//! Loops, on the simulated platform.

use crate::jobs::house::House;
use chrono::Duration as Span;
use control_plane::{
    clock::Clock,
    domain::node_spec::Site,
    drivers::{
        ClusterDriver, NodeRef,
        simulation::{Entry, Fault, Operation, Severity, Simulation, When},
    },
    loops::{CertificateMetrics, Certificates, Garbage, Keeper, Loops, Nodes, Pace},
    store::loops,
};
use control_plane_api::id::InstanceId;
use std::time::{Duration, Instant};

fn keeper(house: &House, owner: &str) -> Keeper {
    Keeper {
        db: house.db.clone(),
        clock: house.clock.clone(),
        platform: Simulation::platform(house.world.clone()),
        keyring: house.keyring.clone(),
        site: Site::default(),
        certificate_metrics: CertificateMetrics::default(),
        owner: owner.to_owned(),
    }
}

async fn running(house: &House, name: &str) -> InstanceId {
    let (id, job) = house.order(name).await;
    assert_eq!(house.finish(&house.runner("setup"), job).await, "succeeded");
    id
}

async fn state_and_reason(house: &House, id: InstanceId) -> String {
    house.text("select concat_ws(': ', state, state_reason) from instances where id = $1", id.uuid()).await.unwrap()
}

async fn revision(house: &House, id: InstanceId) -> String {
    house.text("select revision::text from instances where id = $1", id.uuid()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_is_noticed_and_brought_back_with_its_data() {
    let house = House::build().await;
    let (id, other) = (running(&house, "orders").await, running(&house, "other").await);
    let (keeper, mut nodes) = (keeper(&house, "one"), Nodes::new(0, 1));
    nodes.pass(&keeper).await.unwrap();
    assert_eq!(state_and_reason(&house, id).await, "running");
    let untouched = revision(&house, other).await;

    let node = NodeRef { instance: id, node_id: 1 };
    house.world.kill_node(node);
    nodes.pass(&keeper).await.unwrap();
    assert_eq!(state_and_reason(&house, id).await, "running", "one look may fall into a pause");
    nodes.pass(&keeper).await.unwrap();
    assert_eq!(state_and_reason(&house, id).await, "faulty: broker 1 does not answer");
    assert_eq!(house.ledger_of(node), [Entry::Created(node), Entry::Restarted(node)]);
    nodes.pass(&keeper).await.unwrap();
    assert_eq!(state_and_reason(&house, id).await, "running");
    assert_eq!(revision(&house, other).await, untouched, "nothing is written where nothing changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_reboot_every_node_of_every_instance_starts_again() {
    let house = House::build().await;
    let instances = [running(&house, "orders").await, running(&house, "other").await];
    for node in house.world.nodes() {
        house.world.kill_node(node);
    }
    let (keeper, mut nodes) = (keeper(&house, "one"), Nodes::new(0, 1));
    for _ in 0..3 {
        nodes.pass(&keeper).await.unwrap();
    }
    for id in instances {
        assert_eq!(state_and_reason(&house, id).await, "running");
        for node_id in 0..3 {
            let node = NodeRef { instance: id, node_id };
            assert_eq!(house.ledger_of(node), [Entry::Created(node), Entry::Restarted(node)]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_fails_makes_the_instance_faulty_with_its_reason_until_it_serves_again() {
    let house = House::build().await;
    let id = running(&house, "orders").await;
    let (keeper, mut nodes) = (keeper(&house, "one"), Nodes::new(0, 1));
    house.world.break_node(2, "the disk is full");
    nodes.pass(&keeper).await.unwrap();
    assert_eq!(state_and_reason(&house, id).await, "faulty: broker 2: the disk is full");
    let seen = revision(&house, id).await;
    nodes.pass(&keeper).await.unwrap();
    assert_eq!(revision(&house, id).await, seen, "only transitions are written");
    house.world.heal();
    nodes.pass(&keeper).await.unwrap();
    assert_eq!(state_and_reason(&house, id).await, "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_an_earlier_build_are_renewed_one_after_the_other_and_not_while_a_broker_is_down() {
    let house = House::build().await;
    let id = running(&house, "orders").await;
    let (keeper, mut nodes) = (keeper(&house, "one"), Nodes::new(0, 1));
    let renewed = || house.world.ledger().into_iter().filter(|entry| matches!(entry, Entry::Renewed(_))).count();
    for node_id in 0..3 {
        house.world.age(NodeRef { instance: id, node_id });
    }
    house.world.break_node(2, "the disk is full");
    nodes.pass(&keeper).await.unwrap();
    assert_eq!(renewed(), 0, "two brokers are all that clients have");
    house.world.heal();
    for done in 1..=3 {
        nodes.pass(&keeper).await.unwrap();
        assert_eq!(renewed(), done);
    }
    nodes.pass(&keeper).await.unwrap();
    assert_eq!(renewed(), 3);
    assert_eq!(state_and_reason(&house, id).await, "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn running_instances_are_told_once_what_a_new_release_makes_of_them() {
    let house = House::build().await;
    let id = running(&house, "orders").await;
    let (keeper, mut nodes) = (keeper(&house, "one"), Nodes::new(0, 1));
    let generation = || house.world.spec(NodeRef { instance: id, node_id: 1 }).unwrap().generation;
    let bought = generation();
    nodes.pass(&keeper).await.unwrap();
    assert_eq!(generation(), bought, "it was bought from this release");
    house.text("update instances set spec_revision = 0 where id = $1 returning 'done'", id.uuid()).await;
    for _ in 0..4 {
        nodes.pass(&keeper).await.unwrap();
    }
    assert_eq!(generation(), bought + 1);
}

/// The user changes something while a broker is down: the job waits for the broker, and nothing else waits for the job.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_a_change_waits_for_is_brought_back() {
    let house = House::build().await;
    let id = running(&house, "orders").await;
    let (keeper, mut nodes) = (keeper(&house, "one"), Nodes::new(0, 1));
    let node = NodeRef { instance: id, node_id: 1 };
    house.world.kill_node(node);
    house.configure(id).await;
    for _ in 0..2 {
        nodes.pass(&keeper).await.unwrap();
    }
    assert_eq!(house.ledger_of(node), [Entry::Created(node), Entry::Restarted(node)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_nobody_watches_is_watched_again() {
    let house = House::build().await;
    let id = running(&house, "orders").await;
    let (keeper, mut nodes) = (keeper(&house, "one"), Nodes::new(0, 1));
    let node = NodeRef { instance: id, node_id: 1 };
    house.world.kill_supervisor(node);
    assert!(!house.world.is_watched(node));
    nodes.pass(&keeper).await.unwrap();
    assert!(house.world.is_watched(node));
    assert_eq!(house.ledger_of(node), [Entry::Created(node)], "the broker went on");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_a_job_is_changing_is_left_alone() {
    let house = House::build().await;
    let id = running(&house, "orders").await;
    house.delete(id).await;
    house.world.kill_node(NodeRef { instance: id, node_id: 0 });
    let (keeper, mut nodes) = (keeper(&house, "one"), Nodes::new(0, 1));
    for _ in 0..3 {
        nodes.pass(&keeper).await.unwrap();
    }
    let node = NodeRef { instance: id, node_id: 0 };
    assert_eq!(house.ledger_of(node), [Entry::Created(node)]);
    assert_eq!(state_and_reason(&house, id).await, "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_nobody_owns_is_removed_after_its_grace_and_the_others_stay() {
    let house = House::build().await;
    let id = running(&house, "orders").await;
    let keeper = keeper(&house, "one");
    // What a runner leaves that lost its job in the middle of a start.
    let mut spec = house.world.spec(NodeRef { instance: id, node_id: 0 }).unwrap();
    let orphan = NodeRef { instance: InstanceId::generate(), node_id: 0 };
    spec.identity.instance = orphan.instance.to_string();
    spec.kafka.bind = "100.64.99.99".parse().unwrap();
    Simulation::new(house.world.clone()).ensure_node(&spec).await.unwrap();

    let mut garbage = Garbage::default();
    garbage.pass(&keeper).await.unwrap();
    assert!(house.world.nodes().contains(&orphan), "it may be about to be recorded");
    house.clock.advance(Span::seconds(61));
    let fault =
        Fault { operation: Operation::RemoveNode, call: 1, when: When::BeforeEffect, severity: Severity::Transient };
    house.world.fail(fault);
    garbage.pass(&keeper).await.unwrap();
    assert!(house.world.nodes().contains(&orphan), "the driver failed");
    garbage.pass(&keeper).await.unwrap();
    assert!(!house.world.nodes().contains(&orphan));
    house.assert_running(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_the_platform_is_renewed_when_a_third_of_its_life_is_left_and_a_failure_is_tried_again_later()
{
    let house = House::build().await;
    let id = running(&house, "orders").await;
    let (keeper, runner) = (keeper(&house, "one"), house.runner("one"));
    let mut certificates = Certificates::new(keeper.certificate_metrics.clone());
    let mut renewals = async || {
        certificates.pass(&keeper).await.unwrap();
        house.turn(&runner).await.len()
    };
    assert_eq!(renewals().await, 0, "it is new");
    house.clock.advance(Span::days(545));
    assert_eq!(renewals().await, 0, "a third is 273 days of 820");
    house.clock.advance(Span::days(3));
    let (operation, when) = (Operation::PushSpec, When::BeforeEffect);
    house.world.fail(Fault { operation, call: 1, when, severity: Severity::Permanent });
    assert_eq!(renewals().await, 1);
    house.assert_certificate(id, 0).await;
    assert_eq!(renewals().await, 0, "not again within the hour");
    house.clock.advance(Span::minutes(61));
    assert_eq!(renewals().await, 1);
    house.assert_certificate(id, 1).await;
    assert_eq!(renewals().await, 0);
    let reason =
        house.text("select reason from certificates where instance_id = $1 and replaced_at is null", id.uuid());
    assert_eq!(reason.await.as_deref(), Some("renewed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_an_own_certificate_is_told_and_nothing_is_done_about_it() {
    let house = House::build().await;
    let id = running(&house, "orders").await;
    let keeper = keeper(&house, "one");
    let metrics = control_plane::telemetry::metrics::Metrics::default();
    metrics.register(|registry| keeper.certificate_metrics.register(registry));
    let mut sql = house.database.superuser().await;
    let own =
        "update certificates set source = 'own', renew_at = null, not_after = '2026-12-30' where instance_id = $1";
    sqlx::query(own).bind(id.uuid()).execute(&mut sql).await.unwrap();
    let mut certificates = Certificates::new(keeper.certificate_metrics.clone());
    for days in [0, 10, 1, 20, 4, 10] {
        house.clock.advance(Span::days(days));
        for _ in 0..2 {
            certificates.pass(&keeper).await.unwrap();
        }
    }
    let told = "select string_agg(n ->> 'days_left', ' ') from certificates, jsonb_array_elements(notices) n where instance_id = $1";
    assert_eq!(house.text(told, id.uuid()).await.as_deref(), Some("30 7 3 0"));
    assert!(house.turn(&house.runner("one")).await.is_empty());
    let scraped = metrics.encode().unwrap();
    assert!(scraped.contains("sluice_certificates_expiring 1"), "{scraped}");
    assert!(scraped.contains(r#"sluice_certificate_expiry_timestamp_seconds{source="Own"} 1798588800"#), "{scraped}");
    drop(certificates);
    assert!(!metrics.encode().unwrap().contains("source=\"Own\""), "another replica tells it from now on");
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_the_shards_and_take_over_from_one_that_stops() {
    let house = House::with_clock(Clock::system()).await;
    let often = Duration::from_millis(50);
    let pace = Pace { nodes: often, garbage: often, certificates: often };
    let first = Loops::start(keeper(&house, "first"), pace);
    until("the first has everything", || async { shards_of(&house, "first").await == 10 }).await;
    let second = Loops::start(keeper(&house, "second"), pace);
    until("they share", || async {
        let shares = (shards_of(&house, "first").await, shards_of(&house, "second").await);
        shares == (5, 5)
    })
    .await;
    first.stop().await;
    until("the second has everything", || async { shards_of(&house, "second").await == 10 }).await;
    let id = running(&house, "orders").await;
    let node = NodeRef { instance: id, node_id: 1 };
    house.world.kill_node(node);
    until("the node is back", || async { house.ledger_of(node).contains(&Entry::Restarted(node)) }).await;
    second.stop().await;
    assert_eq!(shards_of(&house, "second").await, 0);
}

async fn shards_of(house: &House, owner: &str) -> usize {
    let mut connection = house.db.system_connection().await.unwrap();
    let leases = loops::leases(&mut connection, house.clock.now()).await.unwrap();
    leases.iter().filter(|lease| lease.owner == owner && !lease.name.starts_with("replica/")).count()
}

/// Polls for a condition with a reason.
async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < Duration::from_secs(20), "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
