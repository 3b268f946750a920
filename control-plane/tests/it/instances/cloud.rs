//! An application with room to sell, a simulated world, and runners that do its jobs.

use crate::support::{Answer, Person, TestApp};
use chrono::Utc;
use control_plane::{
    app::catalogue::{RegionSeed, seed_regions},
    domain::{node_spec::Site, placement::Room},
    drivers::simulation::{Simulation, World},
    jobs::{
        engine::{Config, Metrics, Runner, Runners},
        workflow::{Environment, registry},
    },
};
use control_plane_api::{
    instance::Instance,
    job::{Job, JobState},
    page::Page,
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

pub(super) const INSTANCES: &str = "/v1/projects/default/instances";
pub(super) const JOBS: &str = "/v1/projects/default/jobs";
pub(super) const FAILED: &str = "/v1/projects/default/failed-creations";
pub(super) const QUOTES: &str = "/v1/projects/default/quotes";

/// A tenant's view is `cloud.app`; what happens behind it is `cloud.world`.
pub(super) struct Cloud {
    pub(super) world: Arc<World>,
    runners: Option<Runners<Environment>>,
    feed: tokio::task::JoinHandle<()>,
    // Last: dropped after what uses it.
    pub(super) app: TestApp,
}

impl Cloud {
    /// Zones with room for 100 brokers of kafka.100 each, and runners.
    pub(super) async fn start() -> Self {
        Self::idle(100).await.run()
    }

    /// Nobody runs jobs yet. `room`: brokers of kafka.100 that each zone takes.
    pub(super) async fn idle(room: u64) -> Self {
        let app = TestApp::start().await;
        let room = Room { vcpus: 2 * room, memory_gib: 4 * room, storage_gb: 90_000 * room };
        let zones = ["local-1a", "local-1b", "local-1c"].map(|zone| (zone.to_owned(), room));
        let region = RegionSeed { name: "local-1".into(), title: "Test".into(), zones: zones.into() };
        seed_regions(&app.app.db, &[region], Utc::now()).await.expect("regions");
        let world = app.world.clone();
        let (listening, feed) = (app.app.clone(), app.app.feed.clone());
        let feed = tokio::spawn(async move { feed.listen(&listening.db).await });
        Self { app, world, runners: None, feed }
    }

    pub(super) fn run(self) -> Self {
        self.run_at(Site::default())
    }

    pub(super) fn run_at(mut self, site: Site) -> Self {
        let app = &self.app.app;
        let platform = Simulation::platform(self.world.clone());
        let environment = Environment { platform, keyring: app.keyring.clone(), site };
        let (metrics, lease) = (Metrics::default(), Duration::from_secs(8));
        let (db, keyring, clock) = (app.db.clone(), app.keyring.clone(), app.clock.clone());
        let registry = registry().expect("workflows");
        let runner = Runner::new(db, registry, environment, keyring, clock, metrics, lease, "test".to_owned());
        let config = Config { poll: Duration::from_millis(100), ..Config::default() };
        self.runners = Some(Runners::start(runner, config));
        self
    }

    pub(super) fn owner(&self) -> &Person {
        self.app.acme.owner()
    }

    /// Orders, and waits for the end of the job.
    pub(super) async fn buy(&self, order: Value) -> Job {
        let answer = self.app.post(INSTANCES, order).by(self.owner()).header("prefer", "wait=30").send().await;
        let job: Job = answer.expect(202);
        assert!(job.state.ended(), "the job has not ended in 30 s: {job:?}");
        job
    }

    /// Orders an instance that comes to run.
    pub(super) async fn bought(&self, name: &str) -> Instance {
        let job = self.buy(order(name)).await;
        assert_eq!(job.state, JobState::Succeeded, "{job:?}");
        self.instance(name).await
    }

    pub(super) async fn order(&self, order: Value) -> Answer {
        self.app.post(INSTANCES, order).by(self.owner()).send().await
    }

    pub(super) async fn instance(&self, key: &str) -> Instance {
        self.app.get(format!("{INSTANCES}/{key}")).by(self.owner()).send().await.expect(200)
    }

    /// Names of the instances that the query leaves, in order.
    pub(super) async fn names(&self, query: &str) -> Vec<String> {
        let page: Page<Instance> =
            self.app.get(format!("{INSTANCES}?{query}")).by(self.owner()).send().await.expect(200);
        page.items.into_iter().map(|instance| instance.name).collect()
    }

    /// One number, read behind the scenes.
    pub(super) async fn count(&self, statement: &'static str) -> i64 {
        let mut sql = self.app.database.superuser().await;
        sqlx::query_scalar(statement).fetch_one(&mut sql).await.expect("a count")
    }

    pub(super) async fn execute(&self, statement: &'static str) {
        let mut sql = self.app.database.superuser().await;
        sqlx::query(statement).execute(&mut sql).await.expect(statement);
    }

    /// Ends everything in order, so that nothing outlives the test.
    pub(super) async fn stop(mut self) {
        self.app.app.feed.close();
        if let Some(runners) = self.runners.take() {
            runners.stop().await;
        }
        self.feed.await.expect("the feed ends when it is closed");
    }
}

/// The least order.
pub(super) fn order(name: &str) -> Value {
    json!({ "name": name, "spec": "100", "storage_gb": 600, "disk_type": "high" })
}

/// `order` with other members.
pub(super) fn order_with(name: &str, members: Value) -> Value {
    let mut order = order(name);
    for (key, value) in members.as_object().expect("an object") {
        order[key] = value.clone();
    }
    order
}
