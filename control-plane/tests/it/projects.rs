//! `/v1/projects`.

use crate::support::TestApp;
use control_plane_api::{page::Page, tenancy::Project, tenancy::Role};
use serde_json::json;

#[tokio::test]
async fn a_project_that_was_made_is_listed_and_shown_by_id_and_by_name() {
    let app = TestApp::start().await;
    let answer = app.post("/v1/projects", json!({"name": "shop"})).by(app.acme.owner()).send().await;
    let made: Project = answer.expect(201);
    assert_eq!(answer.header("location"), Some(format!("/v1/projects/{}", made.id).as_str()));
    let page: Page<Project> = app.get("/v1/projects?count=exact").by(app.acme.owner()).send().await.expect(200);
    assert_eq!(page.items.iter().map(|project| project.name.as_str()).collect::<Vec<_>>(), ["default", "shop"]);
    assert_eq!(page.total, Some(2));
    for key in [made.id.to_string(), "shop".to_owned()] {
        let shown: Project = app.get(format!("/v1/projects/{key}")).by(app.acme.owner()).send().await.expect(200);
        assert_eq!(shown.id, made.id);
    }
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused_with_its_field() {
    let app = TestApp::start().await;
    let answer = app.post("/v1/projects", json!({"name": "default"})).by(app.acme.owner()).send().await;
    assert_eq!(answer.problem("name-taken").errors[0].pointer, "/name");
}

#[tokio::test]
async fn a_project_of_another_organisation_cannot_be_told_from_one_that_does_not_exist() {
    let app = TestApp::start().await;
    let foreign = app.get(format!("/v1/projects/{}", app.globex.project)).by(app.acme.owner()).send().await;
    let missing = app.get("/v1/projects/nothing").by(app.acme.owner()).send().await;
    assert_eq!(foreign.problem("not-found").detail, missing.problem("not-found").detail);
    let unseen = app.get(format!("/v1/projects/{}", app.acme.project)).by(&app.acme.stranger).send().await;
    unseen.problem("not-found");
    let seen = app.get("/v1/projects/default").by(&app.acme.member).send().await;
    seen.expect::<Project>(200);
}

#[tokio::test]
async fn a_role_without_the_right_is_told_which_right_is_missing() {
    let app = TestApp::start().await;
    let viewer = app.acme.person(Role::Viewer);
    let problem = app.post("/v1/projects", json!({"name": "shop"})).by(viewer).send().await.problem("forbidden");
    assert_eq!(problem.params["right"], "project-create");
}
