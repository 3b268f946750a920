//! How fast the engine is: measurements, asked for by name (`cargo test -- --ignored jobs::speed --nocapture`).
//!
//! G12: from the commit of an order to the first step; G13: one-step jobs a second, all durable
//! (performance-reliability.md §10).

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
#[ignore = "a measurement"]
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
    println!("G12 enqueue to first step: p50 {:?}, p99 {:?}", waits[150], waits[297]);
    runners.stop().await;

    for _ in 0..3000 {
        house.enqueue(house.job::<Tick>((), (), None)).await;
    }
    let registry = Registry::default().with::<Tick>().unwrap();
    let began = Instant::now();
    let runners = Runners::start(house.runner_of("two", registry, finished.clone()), config);
    until(&finished, 3300).await;
    println!("G13 one-step jobs: {:.0} a second", 3000.0 / began.elapsed().as_secs_f64());
    runners.stop().await;
}
