//! Members: who may give which role to whom.

use crate::support::TestApp;
use axum::http::Method;
use control_plane_api::{
    page::Page,
    tenancy::{Member, Project, Role},
};
use serde_json::json;

#[tokio::test]
async fn a_new_member_of_a_project_signs_in_and_sees_that_project_alone() {
    let app = TestApp::start().await;
    let owner = app.acme.owner();
    app.post("/v1/projects", json!({"name": "shop"})).by(owner).send().await.expect::<Project>(201);
    let invite = |password: Option<&str>| {
        app.post(
            "/v1/projects/shop/members",
            json!({"email": "New@acme.example", "role": "viewer", "password": password}),
        )
        .by(owner)
    };
    assert_eq!(invite(None).send().await.problem("validation-failed").errors[0].pointer, "/password");
    let member: Member = invite(Some("a long enough password")).send().await.expect(201);
    assert_eq!((member.email.as_str(), member.role), ("new@acme.example", Role::Viewer));
    let body = json!({"grant_type": "password", "email": "new@acme.example", "password": "a long enough password"});
    let tokens: serde_json::Value = app.post("/v1/auth/token", body).send().await.expect(200);
    let token = tokens["access_token"].as_str().unwrap();
    let projects: Page<Project> = app.get("/v1/projects").bearer(token).send().await.expect(200);
    assert_eq!(projects.items.iter().map(|project| project.name.as_str()).collect::<Vec<_>>(), ["shop"]);
    app.get("/v1/projects/default").bearer(token).send().await.problem("not-found");
}

#[tokio::test]
async fn nobody_gives_or_takes_a_role_above_their_own() {
    let app = TestApp::start().await;
    let admin = app.acme.person(Role::Admin);
    let promote = |role: &str| {
        app.call(Method::PATCH, format!("/v1/members/{}", admin.id)).by(admin).json(json!({ "role": role })).send()
    };
    assert_eq!(promote("viewer").await.status, 200);
    promote("admin").await.problem("forbidden");
}

#[tokio::test]
async fn the_last_owner_stays() {
    let app = TestApp::start().await;
    let owner = app.acme.owner();
    let path = format!("/v1/members/{}", owner.id);
    app.call(Method::DELETE, path.clone()).by(owner).send().await.problem("action-not-allowed");
    app.call(Method::PATCH, path.clone())
        .by(owner)
        .json(json!({"role": "viewer"}))
        .send()
        .await
        .problem("action-not-allowed");
    let second = app.acme.person(Role::Admin).id;
    app.call(Method::PATCH, format!("/v1/members/{second}"))
        .by(owner)
        .json(json!({"role": "owner"}))
        .send()
        .await
        .expect::<Member>(200);
    assert_eq!(app.call(Method::DELETE, path).by(owner).send().await.status, 204);
}

#[tokio::test]
async fn an_address_of_another_organisation_cannot_be_added() {
    let app = TestApp::start().await;
    let body = json!({"email": app.globex.owner().email, "role": "viewer", "password": "a long enough password"});
    app.post("/v1/members", body).by(app.acme.owner()).send().await.problem("name-taken");
}
