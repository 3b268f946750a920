//! `Idempotency-Key`: one effect, the same answer.

use crate::support::{Answer, TestApp, a_hundred_at_once};
use chrono::{Duration, TimeZone, Utc};
use control_plane::{
    app::{Begun, IdempotencyKey, Write},
    auth::token::Subject,
    clock::Clock,
    store::projects,
};
use control_plane_api::{
    auth::CreatedApiKey,
    id::ProjectId,
    page::Page,
    tenancy::{Project, Role},
};
use serde_json::json;

async fn create(app: &TestApp, key: &str, name: &str) -> Answer {
    app.post("/v1/projects", json!({"name": name})).by(app.acme.owner()).header("idempotency-key", key).send().await
}

async fn names(app: &TestApp) -> Vec<String> {
    let page: Page<Project> = app.get("/v1/projects").by(app.acme.owner()).send().await.expect(200);
    page.items.into_iter().map(|project| project.name).collect()
}

#[tokio::test]
async fn a_hundred_requests_at_once_with_one_key_have_one_effect_and_one_answer() {
    let app = TestApp::start().await;
    a_hundred_at_once(async || create(&app, "k-100", "shop").await).await;
    assert_eq!(names(&app).await, ["default", "shop"]);
}

#[tokio::test]
async fn a_key_that_comes_with_another_request_is_refused() {
    let app = TestApp::start().await;
    create(&app, "k", "shop").await.expect::<Project>(201);
    create(&app, "k", "other").await.problem("idempotency-mismatch");
    let elsewhere = app
        .post("/v1/members", json!({"email": "a@b.c", "role": "viewer"}))
        .by(app.acme.owner())
        .header("idempotency-key", "k")
        .send()
        .await;
    elsewhere.problem("idempotency-mismatch");
    assert_eq!(names(&app).await, ["default", "shop"]);
}

#[tokio::test]
async fn keys_of_different_people_do_not_meet() {
    let app = TestApp::start().await;
    create(&app, "k", "shop").await.expect::<Project>(201);
    let admin = app.acme.person(Role::Admin);
    let other =
        app.post("/v1/projects", json!({"name": "depot"})).by(admin).header("idempotency-key", "k").send().await;
    other.expect::<Project>(201);
}

#[tokio::test]
async fn a_crash_before_the_commit_leaves_neither_effect_nor_key() {
    let app = TestApp::start().await;
    let actor = app.acme.actor(&app.app, Role::Owner).await;
    let key = || IdempotencyKey::new("k".into(), "POST", "/v1/projects", b"{}");
    let Begun::Fresh(mut write) = Write::begin::<()>(&app.app, &actor, &actor, Some(key())).await.unwrap() else {
        panic!("nothing to replay");
    };
    projects::insert(&mut write.tx, ProjectId::generate(), "lost", "").await.unwrap();
    let again = Write::begin::<()>(&app.app, &actor, &actor, Some(key())).await;
    assert_eq!(again.unwrap_err().refusal().code.as_str(), "idempotency-in-flight");
    drop(write);
    assert_eq!(names(&app).await, ["default"]);
    create(&app, "k", "found").await.expect::<Project>(201);
    assert_eq!(names(&app).await, ["default", "found"]);
}

#[tokio::test]
async fn an_answer_that_was_lost_on_the_way_is_given_again_secrets_included() {
    let app = TestApp::start().await;
    let owner = app.acme.owner();
    let accounts = "/v1/projects/default/service-accounts";
    let account: serde_json::Value =
        app.post(accounts, json!({"name": "ci", "role": "viewer"})).by(owner).send().await.expect(201);
    let path = format!("{accounts}/{}/keys", account["id"].as_str().unwrap());
    let make = || app.post(path.clone(), json!({})).by(owner).header("idempotency-key", "k").send();
    let first = make().await;
    // Another replica, as after a crash of this one.
    let other = app.replica().await;
    let again = other.post(path.clone(), json!({})).by(owner).header("idempotency-key", "k").send().await;
    assert_eq!(again.body, first.body);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.header("location"), first.header("location"));
    assert!(again.expect::<CreatedApiKey>(201).secret.starts_with("slk_"));
}

#[tokio::test]
async fn a_refusal_is_not_kept_and_an_answer_is_kept_for_a_day() {
    let clock = Clock::manual(Utc.with_ymd_and_hms(2031, 5, 1, 12, 0, 0).unwrap());
    let app = TestApp::with_clock(clock.clone()).await;
    let owner = app.acme.owner();
    create(&app, "k", "x").await.problem("validation-failed");
    create(&app, "k", "shop").await.expect::<Project>(201);
    let later = async |name: &str| {
        let subject = Subject::User { user: owner.id, session: owner.session };
        let token = app.app.tokens.sign(subject, app.acme.id, clock.now()).unwrap();
        app.post("/v1/projects", json!({"name": name})).bearer(&token).header("idempotency-key", "k").send().await
    };
    clock.advance(Duration::hours(23));
    assert_eq!(later("shop").await.header("idempotency-replayed"), Some("true"));
    clock.advance(Duration::hours(2));
    later("depot").await.expect::<Project>(201);
}
