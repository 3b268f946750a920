use super::cloud::{Cloud, INSTANCES, order};
use axum::http::Method;
use control_plane_api::{
    instance::{Instance, Plan},
    job::Job,
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_patch_changes_what_it_names_at_once_and_raises_the_version() {
    let cloud = Cloud::start().await;
    let before = cloud.bought("orders").await;
    let patch = |body: Value| {
        let call = cloud.app.call(Method::PATCH, format!("{INSTANCES}/{}", before.id));
        call.text("application/merge-patch+json", body.to_string()).by(cloud.owner())
    };
    let labels = json!({ "labels": { "env": "prod", "team": "shop" }, "description": "the shop's" });
    let changed: Instance = patch(labels).header("if-match", format!("\"{}\"", before.etag)).send().await.expect(200);
    assert_eq!((changed.name.as_str(), changed.description.as_str()), ("orders", "the shop's"));
    assert_ne!(changed.etag, before.etag);

    let stale = patch(json!({ "name": "shop" })).header("if-match", format!("\"{}\"", before.etag)).send().await;
    assert_eq!(stale.problem("etag-mismatch").params["etag"], json!(changed.etag));
    assert_eq!(cloud.instance("orders").await.name, "orders");

    let fewer: Instance = patch(json!({ "labels": { "env": null } })).send().await.expect(200);
    assert_eq!(serde_json::to_value(&fewer.labels).expect("JSON"), json!({ "team": "shop" }));
    let same: Instance = patch(json!({ "labels": { "team": "shop" } })).send().await.expect(200);
    assert_eq!(same.etag, fewer.etag, "a patch that changes nothing makes no new version");
    cloud.stop().await;
}

#[tokio::test]
async fn polling_with_the_entity_tag_is_answered_unchanged() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let poll = || cloud.app.get(format!("{INSTANCES}/orders")).by(cloud.owner());
    let unchanged = poll().header("if-none-match", format!("\"{}\"", instance.etag)).send().await;
    assert_eq!((unchanged.status.as_u16(), unchanged.body.len()), (304, 0));
    poll().header("if-none-match", "\"r0\"").send().await.expect::<Instance>(200);
    cloud.stop().await;
}

#[tokio::test]
async fn a_planned_patch_says_what_would_change_and_changes_nothing() {
    let cloud = Cloud::start().await;
    let before = cloud.bought("orders").await;
    let call = cloud.app.call(Method::PATCH, format!("{INSTANCES}/orders?dry_run=true"));
    let plan: Plan = call.json(json!({ "name": "shop" })).by(cloud.owner()).send().await.expect(200);
    let changes: Vec<_> = plan.changes.iter().map(|change| (change.path.as_str(), &change.to)).collect();
    assert_eq!(changes, [("/name", &json!("shop"))]);
    assert_eq!(cloud.instance("orders").await.etag, before.etag);
    cloud.stop().await;
}

#[tokio::test]
async fn a_protected_instance_is_deleted_only_after_the_protection_is_off() {
    let cloud = Cloud::start().await;
    cloud.bought("orders").await;
    let protect = |on: bool| {
        let call = cloud.app.call(Method::PATCH, format!("{INSTANCES}/orders"));
        call.json(json!({ "deletion_protection": on })).by(cloud.owner()).send()
    };
    let delete = || cloud.app.call(Method::DELETE, format!("{INSTANCES}/orders")).by(cloud.owner()).send();
    protect(true).await.expect::<Instance>(200);
    delete().await.problem("protected-from-deletion");
    protect(false).await.expect::<Instance>(200);
    delete().await.expect::<Job>(202);
    cloud.stop().await;
}

#[tokio::test]
async fn what_the_state_does_not_allow_is_refused_with_what_it_allows() {
    let cloud = Cloud::idle(100).await;
    cloud.order(order("orders")).await.expect::<Job>(202);
    let path = format!("{INSTANCES}/orders");
    let rename = cloud.app.call(Method::PATCH, path.clone()).json(json!({ "name": "shop" })).by(cloud.owner());
    let problem = rename.send().await.problem("action-not-allowed");
    assert_eq!((&problem.params["state"], &problem.params["allowed_actions"]), (&json!("creating"), &json!([])));
    let delete = cloud.app.call(Method::DELETE, path.clone()).by(cloud.owner()).header("accept-language", "zh-CN");
    assert!(delete.send().await.problem("job-active").params.contains_key("job_id"));

    cloud.execute("delete from jobs").await;
    cloud.execute("update instances set state = 'frozen'").await;
    let connect = cloud.app.get(format!("{path}/connection")).by(cloud.owner()).header("accept-language", "zh-CN");
    let problem = connect.send().await.problem("action-not-allowed");
    assert!(problem.detail.contains("frozen") && problem.detail.contains('：'), "{}", problem.detail);
    assert_eq!(problem.params["allowed_actions"], json!(["update", "unfreeze", "delete"]));
    cloud.stop().await;
}

#[tokio::test]
async fn a_planned_deletion_warns_of_the_loss_and_deletes_nothing() {
    let cloud = Cloud::start().await;
    cloud.bought("orders").await;
    let call = cloud.app.call(Method::DELETE, format!("{INSTANCES}/orders?dry_run=true"));
    let plan: Plan = call.by(cloud.owner()).send().await.expect(200);
    assert_eq!((plan.checks[0].code.as_str(), plan.checks[0].severity.as_str()), ("data-lost", "warning"));
    assert!(!plan.steps.is_empty());
    assert_eq!(cloud.names("").await, ["orders"]);
    cloud.stop().await;
}
