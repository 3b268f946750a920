//! The catalogue of problem codes, the documents, and what every answer carries.

use crate::support::{Call, TestApp};
use axum::http::Method;
use control_plane::http::documents;
use control_plane_api::{
    page::Page,
    problem::{ErrorDoc, Problem, ProblemCode},
    tenancy::{Role, RoleDoc},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::Path, process::Command};
use utoipa::openapi::{RefOr, path::Parameter};

#[tokio::test]
async fn every_code_is_documented_in_both_languages() {
    let app = TestApp::start().await;
    let list = async |language: &str| {
        app.get("/v1/errors").header("accept-language", language).send().await.expect::<Page<ErrorDoc>>(200).items
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
        assert!(committed == text, "{name} is stale: run `make generate`");
    }
}

#[test]
fn the_committed_page_of_problem_codes_is_that_of_the_program() {
    let printed = Command::new(env!("CARGO_BIN_EXE_sluice-control-plane")).arg("errors").output().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/errors.md");
    assert!(fs::read(path).unwrap_or_default() == printed.stdout, "errors.md is stale: run `make generate`");
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
async fn a_query_may_name_only_what_the_operation_documents_and_that_once() {
    let app = TestApp::start().await;
    let refused = async |call: Call<'_>| {
        let problem = call.by(app.acme.owner()).send().await.problem("malformed-request");
        let [fault] = problem.errors.try_into().unwrap();
        (fault.pointer, fault.code, fault.detail)
    };
    const JOBS: &str = "/v1/projects/default/jobs";
    let accepted = "state, kind, instance, actor, from, to, limit, cursor, count";
    let (place, code, detail) = refused(app.get(format!("{JOBS}?limit=5&staet=queued"))).await;
    assert_eq!((place.as_str(), code.as_str()), ("staet", "unknown-parameter"));
    assert_eq!(detail, format!("`staet` is unknown; accepted: {accepted}"));
    let (_, _, detail) = refused(app.get(format!("{JOBS}?staet=x")).header("accept-language", "zh-CN")).await;
    assert_eq!(detail, format!("未知的查询参数；可接受：{}", accepted.replace(", ", "、")));
    let (place, code, _) = refused(app.get(format!("{JOBS}?state=queued&state=failed"))).await;
    assert_eq!((place.as_str(), code.as_str()), ("state", "parameter-twice"));
    app.get(format!("{JOBS}?state=queued,failed")).by(app.acme.owner()).send().await.expect::<Value>(200);

    // What was meant as a plan must not be carried out.
    let (place, code, detail) = refused(app.post("/v1/projects?dry_run=true", json!({ "name": "shop" }))).await;
    assert_eq!((place.as_str(), code.as_str()), ("dry_run", "unknown-parameter"));
    assert_eq!(detail, "`dry_run` is unknown: this request has no parameters");
    app.get("/v1/projects/shop").by(app.acme.owner()).send().await.problem("not-found");
    assert!(app.get("/healthz?probe=1").send().await.status.is_success());
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

#[tokio::test]
async fn faults_of_fields_speak_the_callers_language_too() {
    let app = TestApp::start().await;
    let order = json!({
        "name": "x", "spec": "none", "storage_gb": 1, "disk_type": "none", "zones": ["a", "b"], "kafka_version": "0.1",
        "billing": {"mode": "prepaid", "months": 10}, "labels": {"a b": "\n"},
        "access": {"sasl_ssl": {"user": "sluice-", "password": "-"}}, "description": "x".repeat(2000),
    });
    let bodies = [
        ("/v1/projects/default/instances", order),
        ("/v1/members", json!({"email": "x", "role": "viewer", "password": "short", "display_name": "x".repeat(200)})),
        ("/v1/members", json!({"email": "a@b.c", "role": "king"})),
        ("/v1/projects/default/service-accounts", json!({"name": "!", "role": "owner"})),
        ("/v1/projects", json!({"name": "default"})),
    ];
    let chinese = |text: &str| text.chars().any(|letter| ('\u{4e00}'..='\u{9fff}').contains(&letter));
    let mut seen = 0;
    for (path, body) in bodies {
        for language in ["en", "zh-CN"] {
            let call = app.post(path, body.clone()).by(app.acme.owner()).header("accept-language", language);
            let problem: Problem = serde_json::from_slice(&call.send().await.body).unwrap();
            assert!(!problem.errors.is_empty(), "{path}");
            for fault in &problem.errors {
                assert_eq!(chinese(&fault.detail), language == "zh-CN", "{} {}", fault.code, fault.detail);
            }
            seen += problem.errors.len();
        }
    }
    assert!(seen >= 2 * 20, "{seen} faults");
}

#[tokio::test]
async fn what_no_text_or_time_of_the_database_can_be_is_refused_and_no_fault_of_ours() {
    let app = TestApp::start().await;
    let owner = app.acme.owner();
    for path in [
        "/v1/projects/a%00b",
        "/v1/projects/default/instances/a%00b",
        "/v1/projects/default/instances?name=%00",
        "/v1/projects/default/instances?created_after=-200000-01-01T00:00:00Z",
        "/v1/projects/default/jobs?actor=%00",
        "/v1/audit-events?actor=%00",
    ] {
        let answer = app.get(path).by(owner).send().await;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.text());
    }
    for (path, body) in [
        (
            "/v1/members",
            json!({"email": "a@b.c", "role": "viewer", "display_name": "\0", "password": "correct horse battery"}),
        ),
        ("/v1/projects", json!({"name": "shop", "description": "\0"})),
        ("/v1/auth/token", json!({"grant_type": "password", "email": "\0", "password": "\0"})),
        (
            "/v1/projects/default/instances",
            json!({"name": "\0", "spec": "100", "storage_gb": 600, "disk_type": "high"}),
        ),
    ] {
        let answer = app.post(path, body).by(owner).send().await;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn null_in_a_patch_resets_what_has_a_default_and_is_refused_for_what_has_none() {
    let app = TestApp::start().await;
    let owner = app.acme.owner();
    let patch = |body: Value| {
        app.call(Method::PATCH, "/v1/projects/default")
            .by(owner)
            .text("application/merge-patch+json", body.to_string())
            .send()
    };
    let described: Value = patch(json!({"description": "ours"})).await.expect(200);
    assert_eq!(described["description"], "ours");
    let reset: Value = patch(json!({"description": null})).await.expect(200);
    assert_eq!((reset["name"].as_str(), reset["description"].as_str()), (Some("default"), Some("")));
    let problem = patch(json!({"name": null})).await.problem("malformed-request");
    assert_eq!((problem.errors[0].pointer.as_str(), problem.errors[0].code.as_str()), ("/name", "wrong-type"));
}

#[tokio::test]
async fn every_role_is_listed_with_its_rights() {
    let app = TestApp::start().await;
    let viewer = app.acme.person(Role::Viewer);
    let roles: Page<RoleDoc> = app.get("/v1/projects/default/roles").by(viewer).send().await.expect(200);
    assert_eq!(roles.items.iter().map(|doc| doc.role).collect::<Vec<_>>(), Role::ALL);
    let of = |role| roles.items.iter().find(|doc| doc.role == role).unwrap();
    assert!(of(Role::Owner).rights.iter().any(|right| right == "message-delete"));
    assert!(of(Role::Viewer).rights.iter().all(|right| right != "instance-create"));
}

#[tokio::test]
async fn every_paged_list_counts_when_asked() {
    let app = TestApp::start().await;
    let owner = app.acme.owner();
    let (_, api) = documents::routes();
    let pages = api.operations().filter(|(method, path, operation)| {
        let named = |one: &RefOr<Parameter>| matches!(one, RefOr::T(parameter) if parameter.name == "count");
        // Those below an instance need one, and count in its tests.
        let here = path.starts_with("/v1/") && !path.contains("{instance}");
        *method == Method::GET && here && operation.parameters.iter().flatten().any(named)
    });
    let mut lists = 0;
    for (_, path, _) in pages {
        let path = path.replace("{project}", "default");
        // What is below an instance needs one: tests/it/instances.
        if path.contains('{') {
            continue;
        }
        let page: Value = app.get(format!("{path}?count=exact")).by(owner).send().await.expect(200);
        let items = page["items"].as_array().unwrap().len();
        assert_eq!(page["total"].as_u64(), Some(items as u64), "{path}: {page}");
        lists += 1;
    }
    assert!(lists >= 9, "{lists} lists");
}
