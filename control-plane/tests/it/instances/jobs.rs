use super::cloud::{Cloud, INSTANCES, JOBS, order};
use axum::http::Method;
use control_plane_api::{
    job::{Job, JobEvent, JobState, StepState},
    page::Page,
};
use std::time::{Duration, Instant};

/// Id and data of each event of a stream.
fn events(stream: &str) -> Vec<(String, JobEvent)> {
    let field = |block: &str, name: &str| block.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
    stream
        .split("\n\n")
        .filter_map(|block| {
            let data = field(block, "data: ")?;
            let id = field(block, "id: ").expect("an event has an id");
            Some((id, serde_json::from_str(&data).expect("a job event")))
        })
        .collect()
}

#[tokio::test]
async fn the_events_of_a_job_come_in_order_and_resume_after_the_last_one_seen() {
    let cloud = Cloud::start().await;
    let job: Job = cloud.order(order("orders")).await.expect(202);
    let path = format!("{JOBS}/{}/events", job.id);
    let answer = cloud.app.get(&path).by(cloud.owner()).send().await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let all = events(&answer.text());
    let numbers: Vec<u64> = all.iter().map(|(_, event)| event.seq).collect();
    assert_eq!(numbers, (1..=all.len() as u64).collect::<Vec<_>>());
    assert_eq!((all[0].1.event.as_str(), all[all.len() - 1].1.event.as_str()), ("queued", "ended"));

    let (seen, rest) = all.split_at(all.len() / 2);
    let resume = cloud.app.get(&path).by(cloud.owner()).header("last-event-id", seen[seen.len() - 1].0.clone());
    let resumed = events(&resume.send().await.text());
    assert_eq!(resumed.iter().map(|(id, _)| id).collect::<Vec<_>>(), rest.iter().map(|(id, _)| id).collect::<Vec<_>>());

    let last = all[all.len() - 1].0.clone();
    let nothing_left = cloud.app.get(&path).by(cloud.owner()).header("last-event-id", last).send().await;
    assert_eq!(nothing_left.status, 204);
    cloud.stop().await;
}

#[tokio::test]
async fn the_events_of_a_project_are_those_of_all_its_jobs_and_of_no_other_project() {
    let cloud = Cloud::start().await;
    let mine: Job = cloud.buy(order("orders")).await;
    let stranger = cloud.app.globex.owner();
    let foreign: Job = cloud.app.post(INSTANCES, order("orders")).by(stranger).send().await.expect(202);
    let also_mine: Job = cloud.buy(order("payments")).await;
    // A stream ends with the process; before that it gives what it has.
    cloud.app.app.feed.close();
    let deadline = Instant::now() + Duration::from_secs(30);
    let seen = loop {
        let call = cloud.app.get("/v1/projects/default/events").by(cloud.owner()).header("last-event-id", "0-0");
        let seen = events(&call.send().await.text());
        let ended = seen.iter().filter(|(_, event)| event.event == "ended").count();
        if ended == 2 {
            break seen;
        }
        // The feed stays behind the oldest transaction of the whole cluster, other tests' among them.
        assert!(Instant::now() < deadline, "the ends of both jobs did not show: {seen:?}");
    };
    for job in [&mine, &also_mine] {
        let numbers: Vec<u64> = seen.iter().filter(|(_, e)| e.job_id == job.id).map(|(_, e)| e.seq).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
        assert!(seen.iter().any(|(_, event)| event.job_id == job.id && event.event == "ended"));
    }
    assert!(seen.iter().all(|(_, event)| event.job_id != foreign.id));
    cloud.stop().await;
}

#[tokio::test]
async fn jobs_are_listed_by_state_kind_instance_and_date() {
    let cloud = Cloud::start().await;
    let orders = cloud.buy(order("orders")).await;
    let payments = cloud.buy(order("payments")).await;
    let delete = cloud.app.call(Method::DELETE, format!("{}/payments", INSTANCES));
    let deleted: Job = delete.by(cloud.owner()).header("prefer", "wait=30").send().await.expect(202);
    let instance = orders.resource.clone().expect("a resource").id;
    for (query, expected) in [
        ("".to_owned(), vec![deleted.id, payments.id, orders.id]),
        ("state=succeeded,failed".to_owned(), vec![deleted.id, payments.id, orders.id]),
        ("state=stuck".to_owned(), vec![]),
        ("kind=instance-delete".to_owned(), vec![deleted.id]),
        ("instance=payments".to_owned(), vec![deleted.id, payments.id]),
        (format!("instance={instance}"), vec![orders.id]),
        ("actor=user:owner@acme.example&kind=instance-create".to_owned(), vec![payments.id, orders.id]),
        ("to=2020-01-01T00:00:00Z".to_owned(), vec![]),
    ] {
        let page: Page<Job> = cloud.app.get(format!("{JOBS}?{query}")).by(cloud.owner()).send().await.expect(200);
        assert_eq!(page.items.iter().map(|job| job.id).collect::<Vec<_>>(), expected, "{query}");
    }
    let first: Page<Job> =
        cloud.app.get(format!("{JOBS}?limit=2&count=exact")).by(cloud.owner()).send().await.expect(200);
    assert_eq!((first.items.len(), first.total), (2, Some(3)));
    let cursor = first.next_cursor.expect("there is a next page");
    let rest: Page<Job> =
        cloud.app.get(format!("{JOBS}?limit=2&cursor={cursor}")).by(cloud.owner()).send().await.expect(200);
    assert_eq!(rest.items.iter().map(|job| job.id).collect::<Vec<_>>(), [orders.id]);
    cloud.stop().await;
}

#[tokio::test]
async fn the_record_of_a_job_is_removed_only_when_the_job_has_ended() {
    let cloud = Cloud::idle(100).await;
    let job: Job = cloud.order(order("orders")).await.expect(202);
    let path = format!("{JOBS}/{}", job.id);
    let remove = || cloud.app.call(Method::DELETE, &path).by(cloud.owner()).send();
    assert_eq!(remove().await.problem("action-not-allowed").params["state"], "queued");
    let cloud = {
        let job_path = path.clone();
        let cloud = cloud.run();
        let done: Job = loop {
            cloud.app.get(format!("{job_path}/events")).by(cloud.owner()).send().await;
            let job: Job = cloud.app.get(&job_path).by(cloud.owner()).send().await.expect(200);
            if job.state.ended() {
                break job;
            }
        };
        assert_eq!(done.state, JobState::Succeeded);
        cloud
    };
    let removed = cloud.app.call(Method::DELETE, &path).by(cloud.owner()).send().await;
    assert_eq!(removed.status, 204);
    cloud.app.get(&path).by(cloud.owner()).send().await.problem("not-found");
    cloud.stop().await;
}

#[tokio::test]
async fn a_purchase_that_is_cancelled_is_undone() {
    let cloud = Cloud::idle(100).await;
    let job: Job = cloud.order(order("orders")).await.expect(202);
    let path = format!("{JOBS}/{}", job.id);
    let cancel = cloud.app.call(Method::POST, format!("{path}/cancel")).by(cloud.owner()).send().await;
    assert_eq!(cancel.expect::<Job>(202).state, JobState::Cancelling);
    let cloud = cloud.run();
    cloud.app.get(format!("{path}/events")).by(cloud.owner()).send().await;
    let ended: Job = cloud.app.get(&path).by(cloud.owner()).send().await.expect(200);
    assert_eq!(ended.state, JobState::Cancelled, "{ended:?}");
    assert!(ended.steps.iter().all(|step| step.state != StepState::Succeeded));
    assert_eq!(cloud.count("select count(*) from reservations").await, 0);
    let again = cloud.app.call(Method::POST, format!("{path}/cancel")).by(cloud.owner()).send().await;
    again.problem("action-not-allowed");
    cloud.stop().await;
}

#[tokio::test]
async fn only_a_stuck_job_is_retried_and_only_a_cancellable_one_cancelled() {
    let cloud = Cloud::start().await;
    let job = cloud.buy(order("orders")).await;
    let retry = cloud.app.call(Method::POST, format!("{JOBS}/{}/retry", job.id)).by(cloud.owner()).send().await;
    retry.problem("action-not-allowed");
    let delete = cloud.app.call(Method::DELETE, format!("{}/orders", INSTANCES));
    let deletion: Job = delete.by(cloud.owner()).send().await.expect(202);
    assert!(!deletion.cancellable);
    let cancel = cloud.app.call(Method::POST, format!("{JOBS}/{}/cancel", deletion.id)).by(cloud.owner()).send().await;
    cancel.problem("action-not-allowed");
    cloud.stop().await;
}
