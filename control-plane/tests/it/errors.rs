//! The catalogue of problem codes, the documents, and what every answer carries.

use crate::support::TestApp;
use axum::http::Method;
use control_plane::http::documents;
use control_plane_api::problem::{ErrorDoc, ProblemCode};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::Path};

#[tokio::test]
async fn every_code_is_documented_in_both_languages() {
    let app = TestApp::start().await;
    let list = async |language: &str| {
        app.get("/v1/errors").header("accept-language", language).send().await.expect::<Vec<ErrorDoc>>(200)
    };
    let (english, chinese) = (list("en").await, list("zh-CN").await);
    assert_eq!(english.len(), ProblemCode::ALL.len());
    for (en, zh) in english.iter().zip(&chinese) {
        for (one, other) in [(&en.title, &zh.title), (&en.cause, &zh.cause), (&en.remedy, &zh.remedy)] {
            assert!(one.is_ascii() && !one.is_empty(), "{one}");
            assert!(other.chars().any(|letter| ('\u{4e00}'..='\u{9fff}').contains(&letter)), "{other}");
        }
        let page = app.get(format!("/docs/errors/{}", en.code.as_str())).send().await;
        assert!(page.status.is_success() && page.text().contains(en.code.as_str()));
    }
    let codes: BTreeSet<_> = english.iter().map(|doc| doc.code).collect();
    assert_eq!(codes.len(), english.len());
    app.get("/v1/errors/no-such-code").send().await.problem("not-found");
}

#[test]
fn the_committed_documents_are_those_of_the_program() {
    let (_, api) = documents::routes();
    for (name, text) in api.files().unwrap() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi").join(name);
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == text, "{name} is stale: run `sluice-control-plane openapi --out openapi`");
    }
}

#[tokio::test]
async fn a_problem_speaks_the_callers_language_and_its_code_never_changes() {
    let app = TestApp::start().await;
    let answer = app.get("/v1/projects/nothing").by(app.acme.owner()).header("accept-language", "zh-CN").send().await;
    let problem = answer.problem("not-found");
    assert_eq!(problem.title, "未找到");
    assert_eq!((problem.instance.as_str(), problem.kind.as_str()), ("/v1/projects/nothing", "/docs/errors/not-found"));
    assert_eq!(answer.header("content-language"), Some("zh-CN"));
}

#[tokio::test]
async fn every_fault_of_a_body_points_at_its_place() {
    let app = TestApp::start().await;
    let send = |body: &str| {
        app.call(Method::POST, "/v1/members").by(app.acme.owner()).text("application/json", body.to_owned()).send()
    };
    for (body, pointer, code) in [
        ("{", "", "malformed-json"),
        ("{}", "/email", "required"),
        (r#"{"email": 5, "role": "viewer"}"#, "/email", "wrong-type"),
        (r#"{"email": "a@b.c", "role": "king"}"#, "/role", "unknown-value"),
        (r#"{"email": "a@b.c", "role": "viewer", "colour": 1}"#, "/colour", "unknown-field"),
        (r#"{"email": "a@b.c", "role": "viewer"} {}"#, "", "malformed-json"),
    ] {
        let problem = send(body).await.problem("malformed-request");
        let error = &problem.errors[0];
        assert_eq!((error.pointer.as_str(), error.code.as_str()), (pointer, code), "{body}");
    }
    let plain = app.call(Method::POST, "/v1/members").by(app.acme.owner()).text("text/plain", "{}").send().await;
    plain.problem("unsupported-media-type");
    let large = app
        .call(Method::POST, "/v1/members")
        .by(app.acme.owner())
        .text("application/json", vec![b' '; 2 << 20])
        .send()
        .await;
    large.problem("payload-too-large");
    app.call(Method::PUT, "/v1/members").by(app.acme.owner()).send().await.problem("method-not-allowed");
    app.get("/v1/nothing-here").by(app.acme.owner()).send().await.problem("not-found");
}

#[tokio::test]
async fn every_answer_carries_its_request_id_its_time_and_the_callers_allowance() {
    let app = TestApp::start().await;
    let answer = app.get("/v1/me").by(app.acme.owner()).header("x-request-id", "mine-1").send().await;
    assert_eq!(answer.header("x-request-id"), Some("mine-1"));
    assert!(answer.header("server-timing").unwrap().starts_with("app;dur="));
    assert!(answer.header("ratelimit").unwrap().contains(";r="));
    for (name, value) in
        [("x-content-type-options", "nosniff"), ("x-frame-options", "DENY"), ("cache-control", "no-store")]
    {
        assert_eq!(answer.header(name), Some(value));
    }
    let page = app.get("/docs/").send().await;
    assert!(page.header("content-security-policy").unwrap().contains("script-src 'self'"));
}

#[tokio::test]
async fn a_stale_change_is_refused_and_an_unchanged_resource_is_not_sent_again() {
    let app = TestApp::start().await;
    let owner = app.acme.owner();
    let path = format!("/v1/projects/{}", app.acme.project);
    let shown = app.get(path.clone()).by(owner).send().await;
    let tag = shown.header("etag").unwrap().to_owned();
    let cached = app.get(path.clone()).by(owner).header("if-none-match", tag.clone()).send().await;
    assert_eq!((cached.status.as_u16(), cached.body.len()), (304, 0));
    let change = |name: &str| {
        app.call(Method::PATCH, path.clone())
            .by(owner)
            .json(json!({ "name": name }))
            .header("if-match", tag.clone())
            .send()
    };
    change("first").await.expect::<Value>(200);
    let stale = change("second").await.problem("etag-mismatch");
    assert_eq!(stale.params["etag"], "r2");
}
