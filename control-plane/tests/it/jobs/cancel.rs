//! Cancelling jobs.

use super::house::House;
use control_plane::{
    clock::Clock,
    drivers::simulation::{SimulationConfig, World},
    jobs::engine::{Config, Runners},
    store::jobs,
};
use control_plane_api::id::JobId;
use std::sync::Arc;
use std::time::{Duration, Instant};

async fn cancel(house: &House, job: JobId) -> bool {
    let mut tx = house.db.system().await.unwrap();
    let cancelled = jobs::request_cancel(&mut tx, job, house.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    cancelled
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_cancelled_before_it_began_ends_cancelled_and_holds_nothing() {
    let house = House::build().await;
    let (id, job) = house.order("orders").await;
    assert!(cancel(&house, job).await);
    assert_eq!(house.finish(&house.runner("one"), job).await, "cancelled");
    house.assert_holds_nothing(id).await;
    assert_eq!(house.instance_state(id).await.as_deref(), Some("create-failed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_cancelled_while_it_waits_for_brokers_stops_at_once_and_is_undone() {
    let house = House::with_clock(Clock::system()).await;
    let slow = SimulationConfig { start: Duration::from_secs(3600), ..Default::default() };
    let house = House { world: Arc::new(World::new(house.clock.clone(), slow)), ..house };
    let runners = Runners::start(house.runner("one"), Config::default());
    let (id, job) = house.order("orders").await;
    until("it waits for brokers", || async {
        house.history(job).await.iter().any(|line| line.starts_with("progress") && line.contains("is starting"))
    })
    .await;
    assert!(cancel(&house, job).await);
    until("it is cancelled", || async { house.job_state(job).await == "cancelled" }).await;
    house.assert_holds_nothing(id).await;
    let code = house.text("select problem_code from jobs where id = $1", job.uuid()).await;
    assert_eq!(code.as_deref(), Some("job-cancelled"));
    runners.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_has_ended_cannot_be_cancelled() {
    let house = House::build().await;
    let (id, job) = house.order("orders").await;
    house.finish(&house.runner("one"), job).await;
    assert!(!cancel(&house, job).await);
    house.assert_running(id).await;
}

/// Polls for a condition with a reason.
async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < Duration::from_secs(10), "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
