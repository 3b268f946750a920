//! Secrets that were given to the service are found nowhere afterwards: not in a dump of its database, not in its logs; and keys
//! can be turned.

use crate::support::{self, TestApp};
use control_plane::{
    app::{
        catalogue::{RegionSeed, seed_regions},
        keys,
    },
    secrets::MasterKeys,
    store::sealed,
};
use control_plane_api::auth::{CreatedApiKey, TokenResponse};
use serde_json::json;
use sqlx::Row;
use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn contains(text: &[u8], needle: &[u8]) -> bool {
    text.windows(needle.len()).any(|part| part == needle)
}

#[tokio::test]
async fn no_secret_is_left_in_the_database_or_in_the_logs() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let app = TestApp::start().await;
    seed_regions(&app.app.db, &[RegionSeed::local(8)], app.app.clock.now()).await.unwrap();
    // A statement that another test's thread reached first, where nobody listens, would stay silent for us too: all are
    // asked again, once they are there.
    app.get("/v1/me").by(app.acme.owner()).send().await;
    tracing::callsite::rebuild_interest_cache();
    let owner = app.acme.owner();
    let mut planted: Vec<String> = Vec::new();
    for number in 0..10 {
        let password = format!("Planted-member-{number:02}-{}", uuid::Uuid::new_v4());
        let body = json!({"email": format!("new{number}@acme.example"), "role": "viewer", "password": password});
        let key = format!("member-{number}");
        app.post("/v1/members", body.clone())
            .by(owner)
            .header("idempotency-key", key)
            .send()
            .await
            .expect::<serde_json::Value>(201);
        let wrong = format!("Planted-wrong-{number:02}-{}", uuid::Uuid::new_v4());
        let sign_in = |password: &str| json!({"grant_type": "password", "email": body["email"], "password": password});
        app.post("/v1/auth/token", sign_in(&wrong)).send().await.problem("invalid-credentials");
        let tokens: TokenResponse = app.post("/v1/auth/token", sign_in(&password)).send().await.expect(200);
        planted.extend([password, wrong, tokens.access_token, tokens.refresh_token.unwrap()]);
    }
    let accounts = "/v1/projects/default/service-accounts";
    for number in 0..5 {
        let body = json!({"name": format!("ci-{number}"), "role": "viewer"});
        let account: serde_json::Value = app.post(accounts, body).by(owner).send().await.expect(201);
        let path = format!("{accounts}/{}/keys", account["id"].as_str().unwrap());
        let made: CreatedApiKey = app
            .post(path, json!({}))
            .by(owner)
            .header("idempotency-key", format!("key-{number}"))
            .send()
            .await
            .expect(201);
        app.get("/v1/me").bearer(&made.secret).send().await.expect::<serde_json::Value>(200);
        planted.push(made.secret);
    }
    for number in 0..5 {
        let password = format!("Plnt-{number}-{}", &uuid::Uuid::new_v4().simple().to_string()[..20]);
        let body = json!({"name": format!("orders-{number}"), "spec": "100", "storage_gb": 600, "disk_type": "high",
            "access": {"sasl_ssl": {"user": "alice", "password": password}}});
        let answer = app
            .post("/v1/projects/default/instances", body)
            .by(owner)
            .header("idempotency-key", format!("buy-{number}"))
            .send()
            .await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        planted.push(password);
    }
    // A malformed body must not be quoted back or logged.
    let typo = app
        .post("/v1/members", json!({"email": "a@b.c", "role": "viewer", "passwort": "Planted-typo-secret"}))
        .by(owner)
        .send()
        .await;
    assert!(!typo.text().contains("Planted-typo-secret"));
    planted.push("Planted-typo-secret".to_owned());

    assert!(planted.len() >= 50, "{}", planted.len());
    let dump = app.database.dump();
    let log = log.0.lock().unwrap().clone();
    assert!(contains(&dump, b"audit_events") && contains(&log, b"request answered"), "there is something to search");
    for secret in planted {
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        for (place, text) in [("database", &dump), ("log", &log)] {
            assert!(
                !contains(text, secret.as_bytes()) && !contains(text, hex.as_bytes()),
                "{secret} is in the {place}"
            );
        }
    }
}

#[tokio::test]
async fn after_a_rotation_the_old_master_key_is_useless_and_everything_still_opens() {
    let app = TestApp::start().await;
    let owner = app.acme.owner();
    let create = || app.post("/v1/projects", json!({"name": "shop"})).by(owner).header("idempotency-key", "k");
    let first = create().send().await;
    let new = support::master_key();
    let old = app.master_key.clone();
    let both = MasterKeys::new("new", [("test", old.as_str()), ("new", new.as_str())]).unwrap();
    let report = keys::rotate(&app.app.db, &both, Duration::ZERO).await.unwrap();
    assert_eq!((report.rewrapped, report.resealed), (1, 2), "a signing key and an answer");

    let only_old = MasterKeys::new("test", [("test", old.as_str())]).unwrap();
    assert!(keys::load_keyring(&app.app.db, only_old).await.is_err());
    let other = app.replica_with("new", &new).await;
    let again =
        other.post("/v1/projects", json!({"name": "shop"})).by(owner).header("idempotency-key", "k").send().await;
    assert_eq!(again.body, first.body);
}

#[tokio::test]
async fn every_sealed_column_is_sealed_again_by_a_rotation() {
    let app = TestApp::start().await;
    let mut superuser = app.database.superuser().await;
    let rows = sqlx::query(
        "select table_name::text as t, column_name::text as c from information_schema.columns
         where table_schema = 'public' and (column_name like '%sealed%')",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    let present: BTreeSet<(String, String)> = rows.iter().map(|row| (row.get("t"), row.get("c"))).collect();
    let known: BTreeSet<(String, String)> =
        sealed::COLUMNS.iter().map(|(table, column)| ((*table).to_owned(), (*column).to_owned())).collect();
    assert_eq!(present, known);
}
