//! Several control planes on one database: what one begins the others show, cancel and finish.

use super::cloud::{FAILED, INSTANCES, JOBS, order};
use crate::support::{Answer, Call, Person, TestApp, app};
use axum::{Router, http::Method};
use chrono::Utc;
use control_plane::{
    app::{
        App,
        catalogue::{RegionSeed, seed_regions},
    },
    domain::{node_spec::Site, placement::Room},
    drivers::simulation::{Entry, Simulation, SimulationConfig, World},
    jobs::{
        engine::{Config, Metrics, Runner, Runners},
        workflow::{Environment, registry},
    },
};
use control_plane_api::{
    instance::{FailedCreation, Instance},
    job::{Job, JobState, RevealedResult},
    page::Page,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Short, so that the test need not wait long for the end of a dead replica's hold.
const LEASE: Duration = Duration::from_secs(2);

/// One control plane: its API, and perhaps runners of jobs.
struct Replica {
    app: Arc<App>,
    router: Router,
    runners: Option<Runners<Environment>>,
}

impl Replica {
    async fn start(home: &TestApp) -> Self {
        let app = app::build(&home.database, home.app.clock.clone(), ("test", &home.master_key), &home.world).await;
        Self { router: app::router(app.clone()), app, runners: None }
    }

    fn running(mut self, world: &Arc<World>, name: &str) -> Self {
        let (app, platform) = (&self.app, Simulation::platform(world.clone()));
        let environment = Environment { platform, keyring: app.keyring.clone(), site: Site::default() };
        let (db, keyring, clock) = (app.db.clone(), app.keyring.clone(), app.clock.clone());
        let registry = registry().expect("workflows");
        let runner = Runner::new(db, registry, environment, keyring, clock, Metrics::default(), LEASE, name.to_owned());
        self.runners = Some(Runners::start(runner, Config { poll: Duration::from_millis(100), ..Config::default() }));
        self
    }

    fn call(&self, method: Method, path: String, by: &Person) -> Call<'_> {
        Call::new(&self.router, method, path).by(by)
    }

    async fn job(&self, id: impl ToString, by: &Person) -> Job {
        self.call(Method::GET, format!("{JOBS}/{}", id.to_string()), by).send().await.expect(200)
    }

    /// As `kill -9`: nothing is given back, nothing is said.
    fn kill(self) {
        drop(self.runners);
    }
}

async fn buy(replica: &Replica, name: &str, by: &Person) -> Answer {
    let call = replica.call(Method::POST, INSTANCES.to_owned(), by).json(order(name));
    call.header("idempotency-key", name).send().await
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < Duration::from_secs(40), "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A database with room to sell, and a world whose brokers take a while to start.
async fn region(start: Duration) -> (TestApp, Arc<World>) {
    let home = TestApp::start().await;
    let room = Room { vcpus: 100, memory_gib: 100, storage_gb: 900_000 };
    let zones = ["local-1a", "local-1b", "local-1c"].map(|zone| (zone.to_owned(), room));
    let region = RegionSeed { name: "local-1".into(), title: "Test".into(), zones: zones.into() };
    seed_regions(&home.app.db, &[region], Utc::now()).await.expect("regions");
    let world = World::new(home.app.clock.clone(), SimulationConfig { start, ..Default::default() });
    (home, Arc::new(world))
}

fn waits_for_brokers(job: &Job) -> bool {
    job.steps.iter().any(|step| step.name == "wait-ready" && step.detail.is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_outlives_the_replica_that_took_it() {
    let (home, world) = region(Duration::from_secs(3)).await;
    let owner = home.acme.owner();
    let first = Replica::start(&home).await.running(&world, "first");
    let second = Replica::start(&home).await;

    let accepted: Job = buy(&first, "orders", owner).await.expect(202);
    until("the other replica shows that brokers start", async || {
        waits_for_brokers(&second.job(accepted.id, owner).await)
    })
    .await;
    first.kill();

    let again = buy(&second, "orders", owner).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.expect::<Job>(202).id, accepted.id, "the repeat of a lost answer buys nothing more");

    let second = second.running(&world, "second");
    until("the other replica ends the job", async || second.job(accepted.id, owner).await.state.ended()).await;
    let job = second.job(accepted.id, owner).await;
    assert_eq!(job.state, JobState::Succeeded, "{job:?}");
    let instance: Instance = second.call(Method::GET, format!("{INSTANCES}/orders"), owner).send().await.expect(200);
    assert_eq!(instance.brokers.len(), 3);
    let made = world.ledger().iter().filter(|entry| matches!(entry, Entry::Created(_))).count();
    assert_eq!(made, 3, "each broker was made once");
    let secrets: RevealedResult =
        second.call(Method::POST, format!("{JOBS}/{}/reveal", job.id), owner).send().await.expect(200);
    assert!(secrets.secrets.contains_key("password"), "the secret that one replica sealed the other opens");
    second.runners.expect("runners").stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_runs_on_one_replica_is_cancelled_through_another() {
    let (home, world) = region(Duration::from_secs(3600)).await;
    let owner = home.acme.owner();
    let worker = Replica::start(&home).await.running(&world, "worker");
    let desk = Replica::start(&home).await;

    let accepted: Job = buy(&desk, "orders", owner).await.expect(202);
    until("brokers start", async || waits_for_brokers(&desk.job(accepted.id, owner).await)).await;
    let cancelled: Job = desk
        .call(Method::POST, format!("{JOBS}/{}/cancel", accepted.id), owner)
        .header("prefer", "wait=30")
        .send()
        .await
        .expect(202);
    assert_eq!(cancelled.state, JobState::Cancelled, "{cancelled:?}");
    let failed: Page<FailedCreation> = desk.call(Method::GET, FAILED.to_owned(), owner).send().await.expect(200);
    assert_eq!(failed.items.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["orders"]);
    assert!(world.nodes().is_empty(), "{:?}", world.nodes());
    buy(&worker, "orders-2", owner).await.expect::<Job>(202);
    worker.runners.expect("runners").stop().await;
}
