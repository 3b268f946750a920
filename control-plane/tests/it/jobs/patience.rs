//! How long the engine goes on with a step that fails.

use super::house::House;
use chrono::Duration as Span;
use control_plane::{
    drivers::{
        NodeRef,
        simulation::{Fault, Operation, Severity, When},
    },
    jobs::{
        engine::{Runner, Turn},
        workflow::Environment,
    },
    store::jobs,
};
use control_plane_api::{
    id::{InstanceId, JobId},
    job::JobState,
};

/// A deletion of a running instance of three brokers, none of which can be removed for the next `failures` tries.
async fn stubborn(house: &House, runner: &Runner<Environment>, failures: u32) -> (InstanceId, JobId) {
    let (id, created) = house.order("orders").await;
    assert_eq!(house.finish(runner, created).await, "succeeded");
    fail_removals(house, failures);
    (id, house.delete(id).await)
}

fn fail_removals(house: &House, tries: u32) {
    for call in 1..=3 * tries {
        let (operation, when, severity) = (Operation::RemoveNode, When::BeforeEffect, Severity::Transient);
        house.world.fail(Fault { operation, call, when, severity });
    }
}

async fn turn_after(house: &House, runner: &Runner<Environment>, pause: Span) -> Vec<Turn> {
    house.clock.advance(pause);
    house.turn(runner).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_waits_for_hours_for_nodes_that_cannot_be_removed() {
    let house = House::build().await;
    let runner = house.runner("one");
    let (id, job) = stubborn(&house, &runner, 120).await;
    for _ in 0..120 {
        assert_eq!(turn_after(&house, &runner, Span::seconds(60)).await, [Turn::Waiting]);
    }
    assert_eq!(house.finish(&runner, job).await, "succeeded");
    house.assert_holds_nothing(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_job_that_is_retried_has_all_its_patience_again() {
    let house = House::build().await;
    let runner = house.runner("one");
    let (id, job) = stubborn(&house, &runner, 60).await;
    assert_eq!(house.turn(&runner).await, [Turn::Waiting]);
    let mut sql = house.database.superuser().await;
    let worn = sqlx::query("update jobs set step_since = step_since - interval '1 day' where id = $1").bind(job.uuid());
    worn.execute(&mut sql).await.unwrap();
    assert_eq!(turn_after(&house, &runner, Span::seconds(60)).await, [Turn::Ended(JobState::Stuck)]);
    let mut tx = house.db.system().await.unwrap();
    assert!(jobs::retry(&mut tx, job, house.clock.now()).await.unwrap());
    tx.commit().await.unwrap();
    for _ in 2..60 {
        assert_eq!(turn_after(&house, &runner, Span::seconds(60)).await, [Turn::Waiting], "it keeps trying");
    }
    assert_eq!(house.finish(&runner, job).await, "succeeded");
    house.assert_holds_nothing(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_in_which_no_replica_runs_is_not_charged_to_a_purchase() {
    let house = House::build().await;
    let runner = house.runner("one");
    let (operation, when, severity) = (Operation::PutUser, When::BeforeEffect, Severity::Transient);
    for call in 1..=2 {
        house.world.fail(Fault { operation, call, when, severity });
    }
    let (id, job) = house.order("orders").await;
    assert_eq!(house.turn(&runner).await, [Turn::Waiting]);
    // Long past the two minutes that the step is given.
    assert_eq!(turn_after(&house, &runner, Span::hours(8)).await, [Turn::Waiting], "not given up");
    assert_eq!(turn_after(&house, &runner, Span::seconds(60)).await, [Turn::Ended(JobState::Succeeded)]);
    house.assert_running(id).await;
    assert_eq!(house.job_state(job).await, "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_goes_on_after_a_reboot_that_took_its_brokers() {
    for operation in [Operation::PutUser, Operation::Canary] {
        let house = House::build().await;
        let runner = house.runner("one");
        house.world.fail(Fault { operation, call: 1, when: When::BeforeEffect, severity: Severity::Transient });
        let (id, job) = house.order("orders").await;
        assert_eq!(house.turn(&runner).await, [Turn::Waiting]);
        for node_id in 0..3 {
            house.world.kill_node(NodeRef { instance: id, node_id });
        }
        assert_eq!(house.finish(&runner, job).await, "succeeded", "{operation:?}");
        assert_eq!(house.instance_state(id).await.as_deref(), Some("running"));
    }
}
