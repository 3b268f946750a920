//! The audit trail: complete, readable, and broken visibly by whoever touches it.

use crate::support::TestApp;
use control_plane::{
    app::audit::{Entry, verify},
    domain::actor::Origin,
    store,
};
use control_plane_api::{audit::AuditEvent, page::Page, tenancy::Role};
use serde_json::json;
use sqlx::AssertSqlSafe;

async fn events(app: &TestApp, query: &str) -> Vec<AuditEvent> {
    let page: Page<AuditEvent> = app
        .get(format!("/v1/audit-events?limit=200{query}"))
        .by(app.acme.person(Role::Auditor))
        .send()
        .await
        .expect(200);
    page.items
}

#[tokio::test]
async fn changes_refusals_and_sign_ins_are_written_and_reads_are_not() {
    let app = TestApp::start().await;
    let owner = app.acme.owner();
    app.post("/v1/projects", json!({"name": "shop"})).by(owner).header("x-request-id", "r-1").send().await;
    app.get("/v1/projects").by(owner).send().await;
    app.post("/v1/projects", json!({"name": "nope"}))
        .by(app.acme.person(Role::Viewer))
        .send()
        .await
        .problem("forbidden");
    for password in ["a wrong password", crate::support::PASSWORD] {
        let body = json!({"grant_type": "password", "email": "owner@acme.example", "password": password});
        app.post("/v1/auth/token", body).send().await;
    }
    let found = events(&app, "").await;
    let told: Vec<_> =
        found.iter().rev().map(|event| (event.actor.as_str(), event.action.as_str(), event.result.as_str())).collect();
    assert_eq!(
        told,
        [
            ("user:owner@acme.example", "create_project", "accepted"),
            ("user:viewer@acme.example", "create_project", "refused"),
            ("user:owner@acme.example", "create_token", "refused"),
            ("user:owner@acme.example", "create_token", "accepted"),
        ]
    );
    assert_eq!(found[3].request_id, "r-1");
    assert_eq!(found[3].detail["name"], "shop");
    assert_eq!(found[2].problem_code.as_deref(), Some("forbidden"));
    assert_eq!(events(&app, "&result=refused&action=create_project").await.len(), 1);
}

#[tokio::test]
async fn a_change_whose_query_is_refused_is_written_for_who_is_known() {
    let app = TestApp::start().await;
    let path = "/v1/projects/default/service-accounts?dry_run=true";
    let body = json!({"name": "ci", "role": "viewer"});
    app.post(path, body.clone()).send().await.problem("unauthenticated");
    app.post(path, body).by(app.acme.owner()).send().await.problem("malformed-request");
    let found = events(&app, "").await;
    let told: Vec<_> = found
        .iter()
        .map(|event| (event.actor.as_str(), event.action.as_str(), event.project_id, event.problem_code.as_deref()))
        .collect();
    let project = Some(app.acme.project);
    assert_eq!(told, [("user:owner@acme.example", "create_service_account", project, Some("malformed-request"))]);
}

#[tokio::test]
async fn the_trail_can_be_taken_away_as_ndjson_and_as_csv() {
    let app = TestApp::start().await;
    for name in ["shop", "depot"] {
        app.post("/v1/projects", json!({"name": name})).by(app.acme.owner()).send().await;
    }
    let take = |kind: &str| app.get("/v1/audit-events").by(app.acme.owner()).header("accept", kind).send();
    let lines = take("application/x-ndjson").await.text();
    let names: Vec<_> = lines
        .lines()
        .map(|line| serde_json::from_str::<AuditEvent>(line).unwrap().detail["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["depot", "shop"]);
    let table = take("text/csv").await.text();
    assert_eq!(table.lines().count(), 3);
    assert!(table.starts_with("created_at,actor,action,"));
}

#[tokio::test]
async fn every_line_that_is_altered_dropped_or_swapped_is_found() {
    let app = TestApp::start().await;
    let mut tx = app.app.db.system().await.unwrap();
    for number in 0..300 {
        let entry = Entry::new("create_project").on("project", number).detail(&json!({"name": format!("p{number}")}));
        let event = entry.by_origin(app.acme.id, "user:x".into(), &Origin::default(), app.app.clock.now());
        store::audit::append(&mut tx, &event).await.unwrap();
    }
    tx.commit().await.unwrap();
    let whole = verify(&app.app.db).await.unwrap();
    assert_eq!((whole.lines, whole.faults.len()), (300, 0));

    let mut superuser = app.database.superuser().await;
    let faults = async || {
        let report = verify(&app.app.db).await.unwrap();
        report.faults.into_iter().map(|fault| fault.seq).collect::<Vec<_>>()
    };
    // Alterations of one field each, all at once: every one is named.
    let changes = [
        "actor = 'user:y'",
        "action = 'delete_project'",
        "resource_id = 'z'",
        "result = 'failed'",
        "source_ip = '10.0.0.1'",
        "request_id = 'q'",
        "detail = '{}'",
        "created_at = created_at + interval '1 microsecond'",
        "resource_type = null",
        "project_id = gen_random_uuid()",
    ];
    let mut altered = Vec::new();
    for (place, change) in changes.iter().cycle().take(100).enumerate() {
        let seq = 3 * place as i64 + 1;
        altered.push(seq);
        let statement = format!("update audit_events set {change} where seq = {seq}");
        sqlx::query(AssertSqlSafe(statement)).execute(&mut superuser).await.unwrap();
    }
    assert_eq!(faults().await, altered);
    sqlx::query("delete from audit_events where seq in (200, 250)").execute(&mut superuser).await.unwrap();
    let after = faults().await;
    assert!(after.contains(&201) && after.contains(&251), "the line after a gap is named");
    sqlx::raw_sql("update audit_events set seq = -1 where seq = 20; update audit_events set seq = 20 where seq = 21; update audit_events set seq = 21 where seq = -1")
        .execute(&mut superuser)
        .await
        .unwrap();
    let after = faults().await;
    assert!(after.contains(&20) && after.contains(&21), "swapped lines are named");
}

#[tokio::test]
async fn not_even_the_platforms_own_role_changes_a_line() {
    let app = TestApp::start().await;
    app.post("/v1/projects", json!({"name": "shop"})).by(app.acme.owner()).send().await;
    for statement in ["update audit_events set actor = 'x'", "delete from audit_events"] {
        let mut tx = app.app.db.system().await.unwrap();
        let refused = sqlx::query(statement).execute(&mut *tx).await.unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{refused}");
    }
}
