//! Every operation of the documents refuses strangers, other tenants, roles too low and tokens that are not for it. The table is
//! complete by force: an operation that is not in it fails the test.

use crate::support::{self, Call, Person, TestApp, sample::Samples};
use axum::http::Method;
use chrono::Duration;
use control_plane::{
    auth::token::{Subject, Tokens},
    domain::rights::{Right, rights_of},
    http::documents,
};
use control_plane_api::{problem::Problem, tenancy::Role};
use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Everybody, signed in or not.
    Open,
    /// Everybody who is signed in.
    SignedIn,
    /// In the organisation.
    Organisation(Right),
    /// In the project of the path.
    Project(Right),
    /// Whoever sees the project of the path.
    Member,
    /// Operators of the platform; to others it does not exist.
    Operator,
}

use Access::{Member, Open, Operator, Organisation, Project, SignedIn};

const TABLE: &[(&str, Access)] = &[
    ("get_jwks", Open),
    ("healthz", Open),
    ("readyz", Open),
    ("version", Open),
    ("create_token", Open),
    ("revoke_token", Open),
    ("list_errors", Open),
    ("get_error", Open),
    ("get_me", SignedIn),
    ("change_password", SignedIn),
    ("list_disk_types", SignedIn),
    ("list_kafka_versions", SignedIn),
    ("list_regions", SignedIn),
    ("list_specs", SignedIn),
    ("list_zones", SignedIn),
    ("list_projects", SignedIn),
    ("create_project", Organisation(Right::ProjectCreate)),
    ("list_audit_events", Organisation(Right::AuditRead)),
    ("list_members", Organisation(Right::MemberRead)),
    ("add_member", Organisation(Right::MemberWrite)),
    ("update_member", Organisation(Right::MemberWrite)),
    ("remove_member", Organisation(Right::MemberWrite)),
    ("get_project", Member),
    ("update_project", Project(Right::ProjectUpdate)),
    ("delete_project", Project(Right::ProjectDelete)),
    ("list_quotas", Project(Right::QuotaRead)),
    ("list_roles", Project(Right::ProjectRead)),
    ("list_project_audit_events", Project(Right::AuditRead)),
    ("list_project_members", Project(Right::MemberRead)),
    ("add_project_member", Project(Right::MemberWrite)),
    ("update_project_member", Project(Right::MemberWrite)),
    ("remove_project_member", Project(Right::MemberWrite)),
    ("list_service_accounts", Project(Right::ServiceAccountRead)),
    ("get_service_account", Project(Right::ServiceAccountRead)),
    ("create_service_account", Project(Right::ServiceAccountWrite)),
    ("update_service_account", Project(Right::ServiceAccountWrite)),
    ("delete_service_account", Project(Right::ServiceAccountWrite)),
    ("create_api_key", Project(Right::ServiceAccountWrite)),
    ("revoke_api_key", Project(Right::ServiceAccountWrite)),
    ("create_quote", Project(Right::QuoteCreate)),
    ("get_quote", Project(Right::QuoteCreate)),
    ("list_instances", Project(Right::InstanceRead)),
    ("get_instance", Project(Right::InstanceRead)),
    ("create_instance", Project(Right::InstanceCreate)),
    ("update_instance", Project(Right::InstanceUpdate)),
    ("get_access", Project(Right::InstanceRead)),
    ("update_access", Project(Right::InstanceUpdate)),
    ("get_bandwidth", Project(Right::InstanceRead)),
    ("get_capacity", Project(Right::InstanceRead)),
    ("update_capacity", Project(Right::InstanceUpdate)),
    ("get_connection_limits", Project(Right::InstanceRead)),
    ("update_connection_limits", Project(Right::InstanceUpdate)),
    ("delete_instance", Project(Right::InstanceDelete)),
    ("list_kafka_users", Project(Right::KafkaUserRead)),
    ("get_kafka_user", Project(Right::KafkaUserRead)),
    ("create_kafka_user", Project(Right::KafkaUserWrite)),
    ("update_kafka_user", Project(Right::KafkaUserWrite)),
    ("reset_kafka_user_password", Project(Right::KafkaUserWrite)),
    ("delete_kafka_user", Project(Right::KafkaUserWrite)),
    ("get_kafka_rights", Project(Right::KafkaUserRead)),
    ("grant_kafka_rights", Project(Right::KafkaUserWrite)),
    ("revoke_kafka_rights", Project(Right::KafkaUserWrite)),
    ("list_acls", Project(Right::KafkaUserRead)),
    ("create_acls", Project(Right::KafkaUserWrite)),
    ("delete_acls", Project(Right::KafkaUserWrite)),
    ("list_topics", Project(Right::TopicRead)),
    ("get_topic", Project(Right::TopicRead)),
    ("create_topic", Project(Right::TopicWrite)),
    ("update_topic", Project(Right::TopicWrite)),
    ("delete_topic", Project(Right::TopicDelete)),
    ("list_client_quotas", Project(Right::KafkaUserRead)),
    ("set_client_quotas", Project(Right::KafkaUserWrite)),
    ("delete_client_quotas", Project(Right::KafkaUserWrite)),
    ("explain_client_quotas", Project(Right::KafkaUserRead)),
    ("list_failed_creations", Project(Right::InstanceRead)),
    ("delete_failed_creations", Project(Right::InstanceDelete)),
    ("delete_failed_creation", Project(Right::InstanceDelete)),
    ("get_connection", Project(Right::ConnectionRead)),
    ("get_usage", Project(Right::InstanceRead)),
    ("get_prometheus_metrics", Project(Right::InstanceRead)),
    ("list_connections", Project(Right::InstanceRead)),
    ("close_connections", Project(Right::InstanceUpdate)),
    ("get_truststore", Project(Right::ConnectionRead)),
    ("get_certificate", Project(Right::ConnectionRead)),
    ("upload_certificate", Project(Right::InstanceUpdate)),
    ("rotate_certificate", Project(Right::InstanceUpdate)),
    ("list_jobs", Project(Right::JobRead)),
    ("get_job", Project(Right::JobRead)),
    ("watch_job", Project(Right::JobRead)),
    ("watch_project", Project(Right::JobRead)),
    ("cancel_job", Project(Right::JobWrite)),
    ("retry_job", Project(Right::JobWrite)),
    ("delete_job", Project(Right::JobWrite)),
    ("reveal_job_result", Project(Right::JobRead)),
    ("list_all_kafka_versions", Operator),
    ("put_kafka_version", Operator),
    ("list_all_specs", Operator),
    ("put_spec", Operator),
    ("list_zone_rooms", Operator),
    ("put_zone_room", Operator),
    ("put_connection_allowance", Operator),
    ("get_node_metrics", Operator),
];

/// An operation with what it takes to call it.
struct Operation {
    id: String,
    method: Method,
    /// With ids of nothing for everything below the project.
    path: String,
    body: Option<(String, serde_json::Value)>,
    access: Access,
}

impl Operation {
    /// In the project `project`.
    fn call<'a>(&self, app: &'a TestApp, project: &str) -> Call<'a> {
        let call = app.call(self.method.clone(), self.path.replace("{project}", project));
        match &self.body {
            Some((kind, body)) => call.text(kind, body.to_string()),
            None => call,
        }
    }
}

fn operations() -> Vec<Operation> {
    let table: BTreeMap<_, _> = TABLE.iter().copied().collect();
    let (_, api) = documents::routes();
    let mut seen = Vec::new();
    for document in [&api.tenant, &api.operator] {
        let samples = Samples::of(document);
        for operation in samples.operations() {
            let access = *table.get(operation.id.as_str()).unwrap_or_else(|| {
                panic!("{} {}: say in TABLE who may call {}", operation.method, operation.path, operation.id)
            });
            let body = samples.body(&operation);
            seen.push(Operation {
                path: samples.path(&operation),
                id: operation.id,
                method: operation.method,
                body,
                access,
            });
        }
    }
    let gone: Vec<_> = table.keys().filter(|id| !seen.iter().any(|operation| operation.id == **id)).collect();
    assert!(gone.is_empty(), "in TABLE, but not in a document: {gone:?}");
    seen
}

/// A problem without what differs from request to request.
fn essence(problem: Problem) -> (u16, String, String) {
    (problem.status, problem.title, problem.detail)
}

#[tokio::test]
async fn every_operation_refuses_who_is_not_signed_in_for_it() {
    let app = TestApp::start().await;
    let owner = app.acme.owner();
    let subject = Subject::User { user: owner.id, session: owner.session };
    let (organisation, now) = (app.acme.id, app.app.clock.now());
    let other = |issuer: &str, audience: &str| Tokens::new(issuer, audience, Duration::minutes(15));
    let mut key = support::signing_key(&app.app).await;
    key.signs_from = now - Duration::hours(2);
    let keys = vec![key];
    let ours = other(support::ISSUER, support::AUDIENCE);
    ours.reload(keys.clone()).unwrap();
    let expired = ours.sign(subject, organisation, now - Duration::hours(1)).unwrap();
    let elsewhere = other(support::ISSUER, "another-api");
    elsewhere.reload(keys.clone()).unwrap();
    let foreign = other("https://elsewhere.example", support::AUDIENCE);
    foreign.reload(keys).unwrap();
    let wrong_audience = elsewhere.sign(subject, organisation, now).unwrap();
    let wrong_issuer = foreign.sign(subject, organisation, now).unwrap();
    for operation in operations() {
        let project = app.acme.project.to_string();
        let none = operation.call(&app, &project).send().await;
        if operation.access == Open {
            assert_ne!(none.problem_code().as_deref(), Some("unauthenticated"), "{}", operation.id);
            continue;
        }
        assert_eq!(none.problem_code().as_deref(), Some("unauthenticated"), "{}: no token", operation.id);
        for (what, token) in [
            ("expired", expired.as_str()),
            ("wrong audience", &wrong_audience),
            ("wrong issuer", &wrong_issuer),
            ("unknown key", "slk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
            ("nonsense", "a.b.c"),
        ] {
            let answer = operation.call(&app, &project).bearer(token).send().await;
            assert_eq!(answer.status, 401, "{}: {what}: {}", operation.id, answer.text());
            answer.problem("unauthenticated");
        }
    }
}

#[tokio::test]
async fn every_operation_in_a_foreign_project_answers_as_if_there_were_none() {
    let app = TestApp::start().await;
    for operation in operations().into_iter().filter(|operation| matches!(operation.access, Project(_) | Member)) {
        let nothing = control_plane_api::id::ProjectId::generate().to_string();
        let missing = operation.call(&app, &nothing).by(app.globex.owner()).send().await;
        let missing = essence(missing.problem("not-found"));
        for person in [app.globex.owner(), &app.globex.member, &app.acme.stranger] {
            let foreign = operation.call(&app, &app.acme.project.to_string()).by(person).send().await;
            assert_eq!(essence(foreign.problem("not-found")), missing, "{} by {}", operation.id, person.email);
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_query_is_told_only_to_those_who_may_ask() {
    let app = TestApp::start().await;
    let (ours, foreign) = (app.globex.project.to_string(), app.acme.project.to_string());
    let person = app.globex.owner();
    for mut operation in operations().into_iter().filter(|operation| operation.path.contains("/v1/")) {
        operation.path.push_str("?unheard-of=1");
        let stranger = operation.call(&app, &ours).send().await;
        if operation.access == Open {
            stranger.problem("malformed-request");
            continue;
        }
        assert_eq!(stranger.problem_code().as_deref(), Some("unauthenticated"), "{}", operation.id);
        if matches!(operation.access, Project(_) | Member) {
            operation.call(&app, &foreign).by(person).send().await.problem("not-found");
        }
        let told = operation.call(&app, &ours).by(person).send().await.problem("malformed-request");
        assert_eq!(told.errors[0].code, "unknown-parameter", "{}", operation.id);
    }
}

#[tokio::test]
async fn every_operation_names_the_right_that_a_role_lacks() {
    let app = TestApp::start().await;
    for operation in operations() {
        let refused = |person: &Person| operation.call(&app, "default").by(person).send();
        match operation.access {
            Project(right) | Organisation(right) => {
                for role in Role::ALL.iter().filter(|role| !rights_of(**role).contains(&right)) {
                    let answer = refused(app.acme.person(*role)).await;
                    assert_eq!(answer.status, 403, "{} by {}: {}", operation.id, role.as_str(), answer.text());
                    let problem = answer.problem("forbidden");
                    assert_eq!(problem.params["right"], right.as_str(), "{} by {}", operation.id, role.as_str());
                }
                if let Organisation(right) = operation.access {
                    for person in [&app.acme.stranger, &app.acme.member] {
                        let problem = refused(person).await.problem("forbidden");
                        assert_eq!(problem.params["right"], right.as_str(), "{} by {}", operation.id, person.email);
                    }
                }
            }
            Operator => {
                refused(app.acme.owner()).await.problem("not-found");
            }
            Open | SignedIn | Member => {}
        }
    }
}

#[tokio::test]
async fn a_foreign_id_below_a_project_of_ones_own_is_not_found() {
    let app = TestApp::start().await;
    let made: control_plane_api::auth::ServiceAccount = app
        .post("/v1/projects/default/service-accounts", serde_json::json!({"name": "ci", "role": "viewer"}))
        .by(app.globex.owner())
        .send()
        .await
        .expect(201);
    let path = format!("/v1/projects/default/service-accounts/{}", made.id);
    for method in [Method::GET, Method::DELETE] {
        app.call(method, path.clone()).by(app.acme.owner()).send().await.problem("not-found");
    }
    app.post(format!("{path}/keys"), serde_json::json!({})).by(app.acme.owner()).send().await.problem("not-found");
    let path = format!("/v1/members/{}", app.globex.owner().id);
    app.call(Method::DELETE, path).by(app.acme.owner()).send().await.problem("not-found");
    app.get(format!("/v1/projects/default/service-accounts/{}", made.id))
        .by(app.globex.owner())
        .send()
        .await
        .expect::<serde_json::Value>(200);
}
