use super::cloud::{Cloud, FAILED, INSTANCES, JOBS, QUOTES, order, order_with};
use axum::http::Method;
use control_plane_api::{job::Job, problem::Problem, tenancy::Role};
use serde_json::json;

fn places(problem: &Problem) -> Vec<(&str, &str)> {
    problem.errors.iter().map(|error| (error.pointer.as_str(), error.code.as_str())).collect()
}

#[tokio::test]
async fn every_fault_of_an_order_is_told_at_once_with_what_would_be_accepted() {
    let cloud = Cloud::idle(100).await;
    let request = json!({
        "name": "1", "spec": "600", "storage_gb": 100, "disk_type": "high", "zones": ["local-1a", "local-1b"],
        "kafka_version": "1.1.0", "billing": { "mode": "prepaid" }, "labels": { "a b": "c" }, "description": "x".repeat(1_025),
        "access": { "sasl_ssl": { "user": "sluice-root", "password": "password" } },
    });
    let problem = cloud.order(request).await.problem("validation-failed");
    assert_eq!(
        places(&problem),
        [
            ("/name", "name-shape"),
            ("/storage_gb", "out-of-range"),
            ("/disk_type", "disk-type-not-of-spec"),
            ("/zones", "two-zones"),
            ("/billing/months", "required"),
            ("/kafka_version", "unknown-version"),
            ("/labels/a b", "label-key"),
            ("/description", "too-long"),
            ("/access/sasl_ssl/user", "user-reserved"),
            ("/access/sasl_ssl/password", "password-classes"),
            ("/access/sasl_ssl/password", "password-weak"),
        ]
    );
    assert_eq!(problem.errors[1].detail, "100 GB is given; kafka.600 takes 2400 to 90000 GB");
    assert_eq!(problem.errors[2].params["accepted"], json!(["ultra"]));
    assert_eq!(cloud.count("select count(*) from instances").await, 0);
    cloud.stop().await;
}

#[tokio::test]
async fn faults_of_the_request_and_of_the_moment_come_together() {
    let cloud = Cloud::idle(100).await;
    cloud.order(order("orders")).await.expect::<Job>(202);
    cloud.execute("update projects set instance_quota = 1").await;
    let problem = cloud.order(order_with("orders", json!({ "storage_gb": 1 }))).await.problem("validation-failed");
    assert_eq!(places(&problem), [("/storage_gb", "out-of-range"), ("/name", "taken"), ("", "quota-exceeded")]);
    let problem = cloud.order(order("orders")).await.problem("name-taken");
    assert_eq!(places(&problem), [("/name", "taken"), ("", "quota-exceeded")]);
    cloud.stop().await;
}

#[tokio::test]
async fn a_field_that_does_not_exist_is_refused_with_its_place() {
    let cloud = Cloud::idle(100).await;
    let problem = cloud.order(order_with("orders", json!({ "sped": "fast" }))).await.problem("malformed-request");
    assert_eq!(problem.errors[0].code, "unknown-field");
    cloud.stop().await;
}

#[tokio::test]
async fn what_a_role_may_not_do_is_refused_and_another_organisation_sees_nothing() {
    let cloud = Cloud::start().await;
    let orders = cloud.bought("orders").await;
    let viewer = cloud.app.acme.person(Role::Viewer);
    let problem = cloud.app.post(INSTANCES, order("payments")).by(viewer).send().await.problem("forbidden");
    assert_eq!(problem.params["right"], "instance-create");
    let delete = cloud.app.call(Method::DELETE, format!("{INSTANCES}/orders"));
    delete.by(cloud.app.acme.person(Role::Operator)).send().await.problem("forbidden");

    let stranger = cloud.app.globex.owner();
    let base = format!("/v1/projects/{}", cloud.app.acme.project);
    for path in [INSTANCES, JOBS, FAILED, QUOTES].map(|path| path.replace("/v1/projects/default", &base)) {
        cloud.app.get(path.clone()).by(stranger).send().await.problem(if path.ends_with("quotes") {
            "method-not-allowed"
        } else {
            "not-found"
        });
    }
    // Not even by its id through a project of one's own.
    cloud.app.get(format!("{INSTANCES}/{}", orders.id)).by(stranger).send().await.problem("not-found");
    cloud.stop().await;
}
