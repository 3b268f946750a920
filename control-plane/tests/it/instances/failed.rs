use super::cloud::{Cloud, FAILED, INSTANCES, order};
use axum::http::Method;
use control_plane_api::{
    instance::{FailedCreation, Instance, InstanceState, Removed},
    job::{Job, JobState},
    page::Page,
};

#[tokio::test]
async fn a_creation_that_fails_moves_to_the_failed_list_with_its_cause_and_holds_nothing() {
    let cloud = Cloud::start().await;
    cloud.world.break_node(1, "no space left on device");
    let job: Job = cloud.buy(order("orders")).await;
    assert_eq!(job.state, JobState::Failed, "{job:?}");
    let problem = job.problem.expect("a failed job has a problem");
    assert!(problem.step.is_some());

    assert_eq!(cloud.names("").await, Vec::<String>::new());
    assert_eq!(cloud.names("state=create-failed").await, ["orders"]);
    let failed: Page<FailedCreation> =
        cloud.app.get(format!("{FAILED}?count=exact")).by(cloud.owner()).send().await.expect(200);
    assert_eq!(failed.total, Some(1));
    let [record] = failed.items.as_slice() else { panic!("one record: {failed:?}") };
    assert_eq!(
        (record.name.as_str(), record.job_id, record.cause.as_str()),
        ("orders", Some(job.id), problem.detail.as_str())
    );
    for table in [
        "select count(*) from brokers",
        "select count(*) from reservations",
        "select count(*) from broker_addresses",
        "select count(*) from instance_secrets",
    ] {
        assert_eq!(cloud.count(table).await, 0, "{table}");
    }
    let shown: Instance =
        cloud.app.get(format!("{INSTANCES}/{}", record.id)).by(cloud.owner()).send().await.expect(200);
    assert_eq!(shown.state, InstanceState::CreateFailed);
    cloud.stop().await;
}

#[tokio::test]
async fn the_name_of_a_failed_creation_is_free_and_its_records_are_removed_one_by_one_or_all_at_once() {
    let cloud = Cloud::start().await;
    cloud.world.break_node(1, "no space left on device");
    for _ in 0..3 {
        assert_eq!(cloud.buy(order("orders")).await.state, JobState::Failed);
    }
    cloud.world.heal();
    cloud.bought("orders").await;

    let failed: Page<FailedCreation> = cloud.app.get(FAILED).by(cloud.owner()).send().await.expect(200);
    assert_eq!(failed.items.len(), 3);
    let one = || {
        let call = cloud.app.call(Method::DELETE, format!("{FAILED}/{}", failed.items[0].id));
        call.by(cloud.owner()).send()
    };
    assert_eq!(one().await.status, 204);
    one().await.problem("not-found");
    let running = cloud.instance("orders").await;
    let not_failed = cloud.app.call(Method::DELETE, format!("{FAILED}/{}", running.id));
    not_failed.by(cloud.owner()).send().await.problem("not-found");
    let all: Removed = cloud.app.call(Method::DELETE, FAILED).by(cloud.owner()).send().await.expect(200);
    assert_eq!(all.removed, 2);
    assert_eq!(cloud.names("").await, ["orders"], "what runs is left alone");
    cloud.stop().await;
}
