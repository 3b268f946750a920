//! `instance-create` and `instance-delete`, as users notice them.

use super::house::{House, PASSWORD};
use control_plane::jobs::engine::{Config, Runners, result_context};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_becomes_a_running_instance_and_a_deletion_leaves_nothing() {
    let house = House::build().await;
    let runner = house.runner("one");
    let (id, job) = house.order("orders").await;
    assert_eq!(house.finish(&runner, job).await, "succeeded", "{:?}", house.history(job).await);
    house.assert_running(id).await;

    let job = house.delete(id).await;
    assert_eq!(house.finish(&runner, job).await, "succeeded", "{:?}", house.history(job).await);
    house.assert_holds_nothing(id).await;
    assert_eq!(house.instance_state(id).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_a_creation_tells_each_step_in_order() {
    let house = House::build().await;
    let (_, job) = house.order("orders").await;
    house.finish(&house.runner("one"), job).await;
    let history = house.history(job).await;
    let steps = [
        "reserve-addresses",
        "issue-certificates",
        "start-brokers",
        "wait-ready",
        "configure-kafka",
        "verify",
        "publish",
    ];
    let told = steps.iter().flat_map(|step| [format!("step-started {step}"), format!("step-succeeded {step}")]);
    let expected: Vec<String> =
        ["queued".to_owned()].into_iter().chain(told).chain(["ended  succeeded".to_owned()]).collect();
    assert_eq!(history, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_result_names_the_bootstrap_addresses_and_seals_the_password() {
    let house = House::build().await;
    let (_, job) = house.order("orders").await;
    house.finish(&house.runner("one"), job).await;
    let mut sql = house.database.superuser().await;
    let (result, sealed, params): (Value, Vec<u8>, Option<Vec<u8>>) =
        sqlx::query_as("select result, result_sealed, params_sealed from jobs where id = $1")
            .bind(job.uuid())
            .fetch_one(&mut sql)
            .await
            .unwrap();
    let hosts = ["100.64.0.1", "100.64.0.2", "100.64.0.3"];
    assert_eq!(result["bootstrap"]["private_sasl_ssl"], json!(hosts.map(|host| format!("{host}:9093")).join(",")));
    assert_eq!(result["bootstrap"]["private_plaintext"], json!(hosts.map(|host| format!("{host}:9092")).join(",")));
    assert!(!result.to_string().contains(PASSWORD));
    let once = house.keyring.open(&result_context(job), &sealed).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&once).unwrap(), json!({ "password": PASSWORD }));
    assert_eq!(params, None, "secret parameters are wiped at the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_cannot_start_ends_in_a_failed_creation_with_its_cause_that_holds_nothing() {
    let house = House::build().await;
    house.world.break_node(1, "the disk is read-only");
    let (id, job) = house.order("orders").await;
    assert_eq!(house.finish(&house.runner("one"), job).await, "failed");
    house.assert_holds_nothing(id).await;
    assert_eq!(house.instance_state(id).await.as_deref(), Some("create-failed"));
    let reason = house.text("select state_reason from instances where id = $1", id.uuid()).await;
    assert_eq!(reason.as_deref(), Some("broker 1 failed: the disk is read-only"));
    let code = house.text("select problem_code from jobs where id = $1", job.uuid()).await;
    assert_eq!(code.as_deref(), Some("broker-not-ready"));
    // The name is free again.
    house.world.heal();
    let (again, job) = house.order("orders").await;
    assert_eq!(house.finish(&house.runner("one"), job).await, "succeeded");
    house.assert_running(again).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_test_message_fails_the_creation() {
    let house = House::build().await;
    house.world.lose_canaries();
    let (id, job) = house.order("orders").await;
    assert_eq!(house.finish(&house.runner("one"), job).await, "failed");
    house.assert_holds_nothing(id).await;
    let code = house.text("select problem_code from jobs where id = $1", job.uuid()).await;
    assert_eq!(code.as_deref(), Some("canary-failed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn running_processes_hear_of_an_order_at_once() {
    let house = House::with_clock(control_plane::clock::Clock::system()).await;
    // A poll too rare to be what finds the job.
    let config = Config { poll: Duration::from_secs(60), ..Config::default() };
    let runners = Runners::start(house.runner("one"), config);
    let (id, job) = house.order("orders").await;
    let began = Instant::now();
    while house.job_state(job).await != "succeeded" {
        assert!(began.elapsed() < Duration::from_secs(10), "waiting for {job}: {:?}", house.history(job).await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    house.assert_running(id).await;
    runners.stop().await;
}
