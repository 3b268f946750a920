//! Signing in and out: passwords, refresh tokens, API keys, revocation over replicas.

use crate::support::{self, PASSWORD, TestApp};
use axum::http::Method;
use chrono::{DateTime, Duration, TimeZone, Utc};
use control_plane::clock::Clock;
use control_plane_api::{
    auth::{CreatedApiKey, Me, ServiceAccount, TokenResponse},
    page::Page,
    tenancy::{Project, Role},
};
use serde_json::json;

fn noon() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2031, 5, 1, 12, 0, 0).unwrap()
}

async fn sign_in(app: &TestApp, email: &str, password: &str) -> support::Answer {
    let body = json!({"grant_type": "password", "email": email, "password": password});
    app.post("/v1/auth/token", body).send().await
}

async fn refresh(app: &TestApp, token: &str) -> support::Answer {
    app.post("/v1/auth/token", json!({"grant_type": "refresh-token", "refresh_token": token})).send().await
}

#[tokio::test]
async fn a_password_gives_a_token_that_tells_who_one_is() {
    let app = TestApp::start().await;
    let tokens: TokenResponse = sign_in(&app, "Admin@ACME.example", PASSWORD).await.expect(200);
    assert_eq!((tokens.token_type.as_str(), tokens.expires_in), ("Bearer", 900));
    let me: Me = app.get("/v1/me").bearer(&tokens.access_token).send().await.expect(200);
    assert_eq!((me.name.as_str(), me.role, me.operator), ("admin@acme.example", Some(Role::Admin), false));
    assert_eq!(me.organisation, "acme");
}

#[tokio::test]
async fn wrong_passwords_lock_an_address_for_ever_longer_whether_it_has_an_account_or_not() {
    let clock = Clock::manual(noon());
    let app = TestApp::with_clock(clock.clone()).await;
    for email in ["owner@acme.example", "nobody@acme.example"] {
        for _ in 0..5 {
            sign_in(&app, email, "a wrong password").await.problem("invalid-credentials");
        }
        let locked = sign_in(&app, email, PASSWORD).await;
        let wait = locked.problem("account-locked").retry_after_seconds.unwrap();
        assert!((55..=61).contains(&wait), "{email}: {wait}");
        assert_eq!(locked.header("retry-after"), Some(wait.to_string().as_str()));
        clock.advance(Duration::seconds(61));
        sign_in(&app, email, "a wrong password").await.problem("invalid-credentials");
        let longer = sign_in(&app, email, PASSWORD).await.problem("account-locked").retry_after_seconds.unwrap();
        assert!((115..=121).contains(&longer), "{email}: {longer}");
        clock.advance(Duration::seconds(121));
    }
    sign_in(&app, "owner@acme.example", PASSWORD).await.expect::<TokenResponse>(200);
    sign_in(&app, "owner@acme.example", "a wrong password").await.problem("invalid-credentials");
}

#[tokio::test]
async fn guesses_made_at_once_are_all_counted() {
    let app = TestApp::start().await;
    let guesses = (0..20).map(|_| sign_in(&app, "owner@acme.example", "a wrong password"));
    let answers = futures::future::join_all(guesses).await;
    let checked = answers.iter().filter(|answer| answer.status == 401).count();
    assert_eq!(checked, 5, "as many as are allowed, no more");
}

#[tokio::test]
async fn a_refresh_token_that_comes_again_ends_the_session() {
    let app = TestApp::start().await;
    let first: TokenResponse = sign_in(&app, "viewer@acme.example", PASSWORD).await.expect(200);
    let spent = first.refresh_token.unwrap();
    let second: TokenResponse = refresh(&app, &spent).await.expect(200);
    app.get("/v1/me").bearer(&second.access_token).send().await.expect::<Me>(200);
    refresh(&app, &spent).await.problem("invalid-credentials");
    app.get("/v1/me").bearer(&second.access_token).send().await.problem("unauthenticated");
    refresh(&app, &second.refresh_token.unwrap()).await.problem("invalid-credentials");
}

#[tokio::test]
async fn what_one_replica_revokes_the_other_refuses_at_once() {
    let app = TestApp::start().await;
    let other = app.replica().await;
    let tokens: TokenResponse = sign_in(&app, "owner@acme.example", PASSWORD).await.expect(200);
    other.get("/v1/me").bearer(&tokens.access_token).send().await.expect::<Me>(200);
    let revoked = other.post("/v1/auth/revoke", json!({"token": tokens.refresh_token})).send().await;
    assert_eq!(revoked.status, 204);
    app.get("/v1/me").bearer(&tokens.access_token).send().await.problem("unauthenticated");
    let unknown = app.post("/v1/auth/revoke", json!({"token": "slr_unknown"})).send().await;
    assert_eq!(unknown.status, 204, "an unknown token is no error (RFC 7009)");
}

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions() {
    let app = TestApp::start().await;
    let here: TokenResponse = sign_in(&app, "developer@acme.example", PASSWORD).await.expect(200);
    let there: TokenResponse = sign_in(&app, "developer@acme.example", PASSWORD).await.expect(200);
    let change = |current: &str, new: &str| {
        app.post("/v1/me/password", json!({"current_password": current, "new_password": new}))
            .bearer(&here.access_token)
    };
    change("not the password", "a long enough password").send().await.problem("invalid-credentials");
    let short = change(PASSWORD, "short").send().await.problem("validation-failed");
    assert_eq!(short.errors[0].pointer, "/new_password");
    assert_eq!(change(PASSWORD, "a long enough password").send().await.status, 204);
    app.get("/v1/me").bearer(&here.access_token).send().await.expect::<Me>(200);
    app.get("/v1/me").bearer(&there.access_token).send().await.problem("unauthenticated");
    sign_in(&app, "developer@acme.example", PASSWORD).await.problem("invalid-credentials");
    sign_in(&app, "developer@acme.example", "a long enough password").await.expect::<TokenResponse>(200);
}

#[tokio::test]
async fn an_api_key_acts_within_its_scopes_until_it_is_revoked() {
    let app = TestApp::start().await;
    let owner = app.acme.owner();
    let accounts = "/v1/projects/default/service-accounts";
    let account: ServiceAccount =
        app.post(accounts, json!({"name": "ci", "role": "operator"})).by(owner).send().await.expect(201);
    let keys = format!("{accounts}/{}/keys", account.id);
    let make = |scopes: serde_json::Value| app.post(keys.clone(), json!({"scopes": scopes})).by(owner).send();
    let unknown = make(json!(["message-read"])).await.problem("validation-failed");
    assert_eq!(unknown.errors[0].pointer, "/scopes/0");
    let whole: CreatedApiKey = make(json!([])).await.expect(201);
    let narrow: CreatedApiKey = make(json!(["job-read"])).await.expect(201);
    make(json!([])).await.problem("quota-exceeded");

    let me: Me = app.get("/v1/me").bearer(&whole.secret).send().await.expect(200);
    assert_eq!((me.kind.as_str(), me.name.as_str()), ("service-account", "ci"));
    app.get("/v1/projects/default/quotas").bearer(&whole.secret).send().await.expect::<serde_json::Value>(200);
    let problem = app.get("/v1/projects/default/quotas").bearer(&narrow.secret).send().await.problem("forbidden");
    assert_eq!(problem.params["right"], "quota-read");

    let exchanged: TokenResponse =
        app.post("/v1/auth/token", json!({"grant_type": "api-key", "api_key": whole.secret})).send().await.expect(200);
    assert_eq!(exchanged.refresh_token, None);
    let projects: Page<Project> = app.get("/v1/projects").bearer(&exchanged.access_token).send().await.expect(200);
    assert_eq!(projects.items.len(), 1);
    let revoked = app.call(Method::DELETE, format!("{keys}/{}", whole.key.id)).by(owner).send().await;
    assert_eq!(revoked.status, 204);
    app.get("/v1/me").bearer(&whole.secret).send().await.problem("unauthenticated");
    app.get("/v1/me").bearer(&exchanged.access_token).send().await.problem("unauthenticated");
    app.get("/v1/me").bearer(&narrow.secret).send().await.expect::<Me>(200);
}

#[tokio::test]
async fn a_role_that_is_taken_away_counts_no_more_at_the_next_request() {
    let app = TestApp::start().await;
    let admin = app.acme.person(Role::Admin);
    app.get("/v1/members").by(admin).send().await.expect::<serde_json::Value>(200);
    let path = format!("/v1/members/{}", admin.id);
    assert_eq!(app.call(Method::DELETE, path).by(app.acme.owner()).send().await.status, 204);
    app.get("/v1/members").by(admin).send().await.problem("forbidden");
}

#[tokio::test]
async fn a_new_signing_key_is_published_before_it_signs_and_the_old_one_until_its_tokens_have_expired() {
    let clock = Clock::manual(noon());
    let app = TestApp::with_clock(clock.clone()).await;
    let kids = async || {
        let set: serde_json::Value = app.get("/.well-known/jwks.json").send().await.expect(200);
        set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let turn = async || control_plane::app::keys::refresh(&app.app).await.unwrap();
    let first = kids().await;
    assert_eq!(first.len(), 1);
    clock.advance(Duration::days(28) + Duration::minutes(1));
    turn().await;
    assert_eq!(kids().await.len(), 2, "made ahead");
    clock.advance(Duration::days(2) - Duration::minutes(2));
    let token = sign_in(&app, "owner@acme.example", PASSWORD).await.expect::<TokenResponse>(200).access_token;
    clock.advance(Duration::minutes(10));
    turn().await;
    assert_eq!(kids().await.len(), 2, "the old key's last tokens still live");
    app.get("/v1/me").bearer(&token).send().await.expect::<Me>(200);
    clock.advance(Duration::minutes(20));
    assert!(!kids().await.contains(&first[0]), "retired");
}
