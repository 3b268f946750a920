//! How fast the engine is: measurements, asked for by name (`cargo test -- --ignored jobs::speed --nocapture`).
//!
//! From the commit of an order to the first step, and one-step jobs a second, all durable, beside what claims alone cost.

use super::house::House;
use async_trait::async_trait;
use control_plane::{
    clock::Clock,
    jobs::engine::{Config, OnFailure, Registry, Runners, Step, StepContext, StepError, Workflow},
};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

type Finished = Arc<Mutex<Vec<Instant>>>;

struct Tick;

#[async_trait]
impl Workflow for Tick {
    type Environment = Finished;
    type Params = ();
    type Secrets = ();
    const KIND: &'static str = "tick";
    const VERSION: i32 = 1;
    const TITLE: &'static str = "Tick";
    const ON_FAILURE: OnFailure = OnFailure::Undo;
    const CANCELLABLE: bool = false;

    fn steps() -> Vec<Box<dyn Step<Self>>> {
        vec![Box::new(Tick)]
    }
}

#[async_trait]
impl Step<Tick> for Tick {
    fn name(&self) -> &'static str {
        "tick"
    }

    fn title(&self) -> &'static str {
        "Tick"
    }

    async fn run(&self, context: &StepContext<'_, Tick>) -> Result<(), StepError> {
        context.environment.lock().unwrap().push(Instant::now());
        Ok(())
    }

    async fn undo(&self, _context: &StepContext<'_, Tick>) -> Result<(), StepError> {
        Ok(())
    }
}

async fn until(finished: &Finished, jobs: usize) {
    let began = Instant::now();
    while finished.lock().unwrap().len() < jobs {
        assert!(began.elapsed() < Duration::from_secs(120), "waited in vain for {jobs} jobs");
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: `make bench` runs it"]
async fn how_fast() {
    let house = House::with_clock(Clock::system()).await;
    let finished = Finished::default();
    let registry = Registry::default().with::<Tick>().unwrap();
    let config = Config { per_tenant: 64, ..Config::default() };
    let runners = Runners::start(house.runner_of("one", registry, finished.clone()), config);

    let mut waits = Vec::new();
    for job in 1..=300 {
        let began = Instant::now();
        house.enqueue(house.job::<Tick>((), (), None)).await;
        let committed = Instant::now();
        until(&finished, job).await;
        waits.push(finished.lock().unwrap()[job - 1].saturating_duration_since(committed));
        tokio::time::sleep(Duration::from_millis(2).saturating_sub(began.elapsed())).await;
    }
    waits.sort();
    let milliseconds = |wait: Duration| wait.as_secs_f64() * 1e3;
    println!("first step p50 ms: {:.2}", milliseconds(waits[150]));
    println!("first step p99 ms: {:.2}", milliseconds(waits[297]));
    runners.stop().await;

    for _ in 0..3000 {
        house.enqueue(house.job::<Tick>((), (), None)).await;
    }
    let registry = Registry::default().with::<Tick>().unwrap();
    let began = Instant::now();
    let runners = Runners::start(house.runner_of("two", registry, finished.clone()), config);
    until(&finished, 3300).await;
    println!("one-step jobs a second: {:.0}", 3000.0 / began.elapsed().as_secs_f64());
    runners.stop().await;
    println!("single claims a second: {:.0}", single_claims(&house).await);
}

/// What the same Postgres does at most when each job is one claim and nothing else, by eight connections.
async fn single_claims(house: &House) -> f64 {
    const CONNECTIONS: u32 = 8;
    const CLAIMS: u32 = 500;
    let mut sql = house.database.superuser().await;
    for statement in [
        "create table queue (id bigint primary key, owner text)",
        "create index on queue (id) where owner is null",
        "insert into queue select * from generate_series(1, 8000)",
    ] {
        sqlx::query(statement).execute(&mut sql).await.unwrap();
    }
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(house.database.superuser().await);
    }
    let began = Instant::now();
    let claims = connections.into_iter().map(|mut sql| {
        tokio::spawn(async move {
            for _ in 0..CLAIMS {
                let claim = "update queue set owner = 'me' where id = (
                                 select id from queue where owner is null order by id limit 1 for update skip locked)";
                sqlx::query(claim).execute(&mut sql).await.unwrap();
            }
        })
    });
    for claim in claims.collect::<Vec<_>>() {
        claim.await.unwrap();
    }
    f64::from(CONNECTIONS * CLAIMS) / began.elapsed().as_secs_f64()
}
