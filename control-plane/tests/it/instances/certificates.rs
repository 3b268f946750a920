//! The certificate of an instance, through the API, on simulated brokers.

use super::cloud::{Cloud, INSTANCES};
use crate::support::{
    Answer,
    authority::{Authority, KEY_PASSWORD, Keytool, Leaf, STORE_PASSWORD, TRUST_PASSWORD},
};
use axum::http::Method;
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{Duration, Utc};
use control_plane::{
    drivers::{
        NodeRef,
        simulation::{Fault, Operation, Severity, When},
    },
    pki::{Facts, certificates},
    store::jobs,
};
use control_plane_api::{
    audit::AuditEvent,
    certificate::{Certificate, CertificatePlan, CertificateReason, CertificateSource},
    instance::Instance,
    job::{Job, JobState, JobStep, StepState},
    page::Page,
    tenancy::Role,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const CERTIFICATE: &str = "/v1/projects/default/instances/orders/certificate";

impl Cloud {
    async fn certificate(&self) -> Certificate {
        self.app.get(CERTIFICATE).by(self.owner()).send().await.expect(200)
    }

    async fn upload(&self, query: &str, body: Value) -> Answer {
        let call = self.app.call(Method::PUT, format!("{CERTIFICATE}{query}")).by(self.owner()).json(body);
        call.header("if-match", "*").header("prefer", "wait=30").send().await
    }

    async fn uploaded(&self, body: Value) -> Job {
        let job: Job = self.upload("", body).await.expect(202);
        assert_eq!(job.state, JobState::Succeeded, "{job:?}");
        job
    }

    async fn rotated(&self, body: Value) -> Job {
        let call = self.app.post(format!("{CERTIFICATE}/rotate"), body).by(self.owner());
        let job: Job = call.header("prefer", "wait=30").send().await.expect(202);
        assert_eq!(job.state, JobState::Succeeded, "{job:?}");
        job
    }

    /// Fingerprints of what the brokers show.
    fn shown(&self, of: &Instance) -> BTreeSet<String> {
        let nodes = (0..3).map(|node_id| NodeRef { instance: of.id, node_id });
        let pem = nodes.map(|node| self.world.spec(node).unwrap().gateway.server_tls.certificate_pem);
        pem.map(|pem| Facts::of_pem(&pem).unwrap().fingerprint_sha256).collect()
    }

    /// Subjects of the authorities in the truststore.
    async fn trusted(&self) -> Vec<String> {
        let path = format!("{INSTANCES}/orders/truststore");
        let pem = self.app.get(path).by(self.owner()).send().await.text();
        certificates(&pem).unwrap().iter().map(|der| Facts::of(der).unwrap().subject).collect()
    }
}

fn of_job(job: &Job) -> String {
    format!("/v1/projects/default/jobs/{}", job.id)
}

/// How far each broker is in each step.
fn parts(job: &Job) -> Vec<Vec<StepState>> {
    let states = |step: &JobStep| step.brokers.iter().map(|part| part.state).collect();
    job.steps.iter().map(states).collect()
}

fn addresses(of: &Instance) -> Vec<String> {
    of.brokers.iter().map(|broker| broker.host.clone()).collect()
}

/// A PEM upload by this authority for these names.
fn pem(root: &Authority, leaf: &Leaf) -> Value {
    let pair = root.issue(leaf);
    json!({ "format": "pem", "certificate_pem": pair.certificate_pem, "private_key_pem": pair.key_pem, "ca_pem": root.pem })
}

#[tokio::test]
async fn an_own_keystore_takes_over_from_the_platform_and_gives_back_to_it_and_clients_trust_both_meanwhile() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let first = cloud.certificate().await;
    assert_eq!((first.source, first.reason), (CertificateSource::Platform, CertificateReason::Created));
    assert_eq!(first.names, addresses(&instance));
    assert!(first.uncovered.is_empty() && first.history.is_empty());
    assert_eq!(first.days_left, 819);
    assert!(first.renews_at.is_some_and(|at| at < first.valid_until));
    assert_eq!(cloud.shown(&instance), BTreeSet::from([first.fingerprint_sha256.clone()]));
    assert_eq!(cloud.trusted().await, ["CN=Sluice platform CA"]);

    let made = Keytool::make(&addresses(&instance), "RSA");
    let jks = json!({
        "format": "jks", "keystore": STANDARD.encode(made.file("server.jks")),
        "keystore_password": STORE_PASSWORD, "key_password": KEY_PASSWORD,
    });
    let job = cloud.uploaded(jks).await;
    assert_eq!(job.result.as_ref().unwrap()["brokers"], json!([0, 1, 2]));
    let shown: Value = cloud.app.get(of_job(&job)).by(cloud.owner()).send().await.expect(200);
    assert_eq!(shown["steps"][0]["brokers"], json!([]), "installing is for all at once");
    for (step, done) in [(1, " has it"), (2, " shows ")] {
        let parts = shown["steps"][step]["brokers"].as_array().unwrap();
        let ids: Vec<_> = parts.iter().map(|part| part["broker_id"].as_i64().unwrap()).collect();
        assert_eq!(ids, [0, 1, 2]);
        for (part, id) in parts.iter().zip(0..) {
            assert_eq!(part["state"], "succeeded");
            assert!(part["detail"].as_str().unwrap().starts_with(&format!("broker {id}{done}")), "{part}");
            assert!(part["changed_at"].is_string(), "{part}");
        }
    }
    let own = cloud.certificate().await;
    assert_eq!((own.source, own.reason), (CertificateSource::Own, CertificateReason::Uploaded));
    assert_eq!(own.key, "RSA 2048");
    assert_eq!((own.renews_at, own.job_id), (None, Some(job.id)));
    assert!(own.created_by.as_deref().is_some_and(|by| by.contains('@')));
    assert_eq!(cloud.shown(&instance), BTreeSet::from([own.fingerprint_sha256.clone()]));
    assert_eq!(cloud.trusted().await, ["CN=Acme Root", "CN=Sluice platform CA"]);
    assert_eq!(own.history.len(), 1);
    assert_eq!(own.history[0].fingerprint_sha256, first.fingerprint_sha256);
    let until = own.trust[1].trusted_until.expect("the overlap ends");
    assert!((until - own.created_at - Duration::hours(720)).num_seconds().abs() < 5, "the default");

    let p12 = json!({
        "format": "pkcs12", "keystore": STANDARD.encode(made.file("server.p12")), "keystore_password": STORE_PASSWORD,
        "truststore": STANDARD.encode(made.file("trust.p12")), "truststore_password": TRUST_PASSWORD,
    });
    cloud.uploaded(p12).await;
    assert_eq!(cloud.shown(&instance), BTreeSet::from([own.fingerprint_sha256.clone()]), "the same from another file");

    cloud.rotated(json!({ "overlap_hours": 0 })).await;
    let back = cloud.certificate().await;
    assert_eq!((back.source, back.reason), (CertificateSource::Platform, CertificateReason::Rotated));
    assert_ne!(back.serial, first.serial);
    assert_eq!(cloud.shown(&instance), BTreeSet::from([back.fingerprint_sha256.clone()]));
    // The first upload's overlap goes on for the platform's; that of the own one is over.
    assert_eq!(cloud.trusted().await, ["CN=Sluice platform CA", "CN=Acme Root"]);
    assert_eq!(back.history.len(), 3);
    assert_eq!(
        cloud.count("select count(*) from instance_secrets where name like 'clients-tls%'").await,
        1,
        "old keys are gone"
    );
    cloud.stop().await;
}

#[tokio::test]
async fn an_authority_leaves_the_truststore_when_its_overlap_ends() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let root = Authority::root("Acme Root");
    let mut body = pem(&root, &Leaf::of(&addresses(&instance)));
    body["overlap_hours"] = json!(0);
    cloud.uploaded(body).await;
    assert_eq!(cloud.trusted().await, ["CN=Acme Root"]);
    cloud.rotated(json!({ "overlap_hours": 1 })).await;
    assert_eq!(cloud.trusted().await, ["CN=Sluice platform CA", "CN=Acme Root"]);
    cloud.execute("update certificates set trusted_until = now() where source = 'own'").await;
    assert_eq!(cloud.trusted().await, ["CN=Sluice platform CA"]);
    cloud.stop().await;
}

#[tokio::test]
async fn a_bad_upload_is_refused_with_field_and_reason_and_the_old_certificate_stays() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let before = (cloud.certificate().await.serial, cloud.count("select generation from instances").await);
    let root = Authority::root("Acme Root");
    let good = Leaf::of(&addresses(&instance));
    let made = Keytool::make(&addresses(&instance), "EC");
    let jks = json!({
        "format": "jks", "keystore": STANDARD.encode(made.file("server.jks")),
        "keystore_password": STORE_PASSWORD, "key_password": KEY_PASSWORD,
    });
    let with = |body: &Value, members: Value| {
        let mut body = body.clone();
        for (key, value) in members.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    };
    let now = Utc::now();
    let fine = pem(&root, &good);
    let past = Leaf { from: now - Duration::days(9), until: now - Duration::days(1), ..good.clone() };
    let future = Leaf { from: now + Duration::days(9), ..good.clone() };
    let elsewhere = Leaf { names: vec!["elsewhere.example.com".to_owned()], ..good.clone() };
    let big = STANDARD.encode(vec![0; 300 << 10]);
    for (body, faults) in [
        (with(&jks, json!({ "keystore_password": "Wrong-word-99" })), vec![("/keystore_password", "wrong-password")]),
        (with(&jks, json!({ "key_password": "Wrong-word-99" })), vec![("/key_password", "wrong-password")]),
        (with(&jks, json!({ "key_password": null })), vec![("/keystore_password", "wrong-password")]),
        (with(&jks, json!({ "alias": "other" })), vec![("/alias", "unknown-alias")]),
        (with(&jks, json!({ "format": "pkcs12", "key_password": null })), vec![("/keystore", "keystore-unreadable")]),
        (with(&jks, json!({ "keystore": "no base64!" })), vec![("/keystore", "malformed-base64")]),
        (with(&jks, json!({ "keystore": big })), vec![("/keystore", "file-too-large")]),
        (
            with(&jks, json!({ "keystore_password": "-short", "overlap_hours": 9000 })),
            vec![
                ("/keystore_password", "password-length"),
                ("/keystore_password", "password-classes"),
                ("/keystore_password", "password-start"),
                ("/overlap_hours", "out-of-range"),
            ],
        ),
        (
            json!({ "format": "jks", "certificate_pem": "x" }),
            vec![("/keystore", "required"), ("/keystore_password", "required"), ("/certificate_pem", "not-of-format")],
        ),
        (pem(&root, &past), vec![("/certificate_pem", "certificate-expired")]),
        (pem(&root, &future), vec![("/certificate_pem", "certificate-not-yet-valid")]),
        (pem(&root, &elsewhere), vec![("/certificate_pem", "uncovered-address")]),
        (with(&fine, json!({ "ca_pem": null })), vec![("/certificate_pem", "missing-chain")]),
        (
            with(&fine, json!({ "private_key_pem": root.issue(&good).key_pem })),
            vec![("/private_key_pem", "key-mismatch")],
        ),
        (with(&fine, json!({ "private_key_pem": "none" })), vec![("/private_key_pem", "keystore-unreadable")]),
    ] {
        for query in ["", "?dry_run=true"] {
            let answer = cloud.upload(query, body.clone()).await;
            let problem = answer.problem("validation-failed");
            let found: Vec<_> =
                problem.errors.iter().map(|fault| (fault.pointer.as_str(), fault.code.as_str())).collect();
            assert_eq!(found, faults, "{:?}", problem.errors);
        }
    }
    let after = (cloud.certificate().await.serial, cloud.count("select generation from instances").await);
    assert_eq!(before, after);
    assert_eq!(cloud.count("select count(*) from jobs where kind = 'certificate-change'").await, 0);
    cloud.stop().await;
}

#[tokio::test]
async fn a_plan_says_what_would_be_served_until_when_and_what_clients_must_trust() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let before = cloud.certificate().await;
    let root = Authority::root("Acme Root");
    let body = pem(&root, &Leaf::of(&addresses(&instance)));
    let plan: CertificatePlan = cloud.upload("?dry_run=true", body).await.expect(200);
    assert_eq!(plan.names, addresses(&instance));
    assert!(plan.uncovered.is_empty() && plan.serial.is_some());
    assert_eq!(Facts::of_pem(&plan.trust_pem).unwrap(), Facts::of_pem(&root.pem).unwrap());
    let trust: Vec<_> = plan.trust.iter().map(|one| (one.subject.as_str(), one.trusted_until.is_some())).collect();
    assert_eq!(trust, [("CN=Acme Root", false), ("CN=Sluice platform CA", true)]);
    let codes: Vec<_> = plan.checks.iter().map(|check| check.code.as_str()).collect();
    assert_eq!(codes, ["covers-brokers", "live", "clients-must-trust", "overlap", "yours-to-renew"]);
    let steps: Vec<_> = plan.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(steps, ["install", "push", "prove"]);
    let brokers: Vec<_> = plan.steps.iter().map(|step| step.brokers.as_slice()).collect();
    assert_eq!(brokers, [&[][..], &[0, 1, 2], &[0, 1, 2]], "the job will show each");

    let rotation = cloud.app.post(format!("{CERTIFICATE}/rotate?dry_run=true"), json!({})).by(cloud.owner());
    let plan: CertificatePlan = rotation.send().await.expect(200);
    assert_eq!((plan.source, plan.serial), (CertificateSource::Platform, None));
    assert_eq!(plan.names, addresses(&instance));
    assert!(plan.checks.iter().any(|check| check.code == "same-authority"));
    let after = cloud.certificate().await;
    assert_eq!((after.id, after.history.len()), (before.id, 0));
    cloud.stop().await;
}

#[tokio::test]
async fn a_change_that_a_broker_cannot_be_seen_to_serve_is_taken_back() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let before = cloud.certificate().await;
    cloud.world.fail(Fault {
        operation: Operation::PushSpec,
        call: 2,
        when: When::BeforeEffect,
        severity: Severity::Permanent,
    });
    let body = pem(&Authority::root("Acme Root"), &Leaf::of(&addresses(&instance)));
    let job: Job = cloud.upload("", body).await.expect(202);
    assert_eq!(job.state, JobState::Failed, "{job:?}");
    let [_, push, prove] = parts(&job).try_into().unwrap();
    assert_eq!(prove, [StepState::Skipped; 3]);
    assert_eq!(push.iter().filter(|state| **state == StepState::Failed).count(), 1, "{push:?}");
    assert_eq!(push.iter().filter(|state| **state == StepState::Undone).count(), 2, "{push:?}");
    let failed = job.steps[1].brokers.iter().find(|part| part.state == StepState::Failed).unwrap();
    let why = format!("broker {} refused the change", failed.broker_id);
    assert_eq!(failed.detail.as_deref(), Some(why.as_str()));
    let mut undone = job.steps[1].brokers.iter().filter(|part| part.state == StepState::Undone);
    assert!(undone.all(|part| part.detail.is_none()), "who has it no more is not said to have it: {:?}", job.steps[1]);
    let after = cloud.certificate().await;
    assert_eq!((&after.id, after.history.len()), (&before.id, 0));
    assert_eq!(cloud.shown(&instance), BTreeSet::from([before.fingerprint_sha256]));
    assert_eq!(cloud.trusted().await, ["CN=Sluice platform CA"]);
    assert_eq!(cloud.count("select count(*) from instance_secrets where name like 'clients-tls%'").await, 1);
    cloud.rotated(json!({})).await;
    cloud.stop().await;
}

#[tokio::test]
async fn brokers_that_an_older_runner_did_not_tell_of_are_not_said_to_be_skipped() {
    let cloud = Cloud::start().await;
    cloud.bought("orders").await;
    let job = cloud.rotated(json!({})).await;
    let shown = async || parts(&cloud.app.get(of_job(&job)).by(cloud.owner()).send().await.expect(200));
    let told = vec![StepState::Succeeded; 3];
    assert_eq!(shown().await, [vec![], told.clone(), told.clone()]);
    // So it leaves them of `push`.
    cloud.execute("update job_step_brokers set state = 'pending', detail = null where position = 1").await;
    assert_eq!(shown().await, [vec![], vec![], told.clone()], "nothing is known of them");
    let (db, now) = (&cloud.app.app.db, Utc::now());
    let mut tx = db.system().await.unwrap();
    jobs::end(&mut tx, job.id, JobState::Succeeded, now).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(shown().await, [vec![], vec![], told], "nor when a runner of today ends the job");
    let mut tx = db.system().await.unwrap();
    jobs::finish_undo(&mut tx, job.id, 1, now).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(shown().await[1], [StepState::Undone; 3], "an undone step has left nothing anywhere");
    cloud.stop().await;
}

#[tokio::test]
async fn keys_and_passwords_are_found_nowhere_afterwards() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let made = Keytool::make(&addresses(&instance), "EC");
    let keystore = STANDARD.encode(made.file("server.jks"));
    let pem = pem(&Authority::root("Acme Root"), &Leaf::of(&addresses(&instance)));
    let jks = json!({
        "format": "jks", "keystore": keystore, "keystore_password": STORE_PASSWORD, "key_password": KEY_PASSWORD,
    });
    for (key, body) in [("one", &jks), ("two", &pem), ("one", &jks)] {
        let call = cloud.app.call(Method::PUT, CERTIFICATE).by(cloud.owner()).json(body.clone());
        let call = call.header("if-match", "*").header("idempotency-key", key).header("prefer", "wait=30");
        let answer = call.send().await;
        assert_eq!(answer.expect::<Job>(202).state, JobState::Succeeded);
    }
    assert_eq!(cloud.count("select count(*) from jobs where kind = 'certificate-change'").await, 2, "one was a repeat");
    let trail: Page<AuditEvent> = cloud.app.get("/v1/audit-events").by(cloud.owner()).send().await.expect(200);
    let uploads = trail.items.iter().filter(|event| event.action == "upload_certificate");
    assert_eq!(uploads.filter(|event| serde_json::to_string(event).unwrap().contains("fingerprint")).count(), 2);
    let dump = cloud.app.database.dump();
    let key = pem["private_key_pem"].as_str().unwrap().lines().nth(1).unwrap();
    for secret in [STORE_PASSWORD, KEY_PASSWORD, &keystore[..64], key] {
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        for needle in [secret.as_bytes(), hex.as_bytes()] {
            assert!(!dump.windows(needle.len()).any(|part| part == needle), "{secret} is in the database");
        }
    }
    let shown = cloud.app.get(CERTIFICATE).by(cloud.owner()).send().await;
    assert!(!shown.text().contains("PRIVATE KEY"));
    cloud.stop().await;
}

#[tokio::test]
async fn a_change_must_name_its_version_and_is_for_those_who_may() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let body = pem(&Authority::root("Acme Root"), &Leaf::of(&addresses(&instance)));
    let put = |tag: Option<&str>| {
        let call = cloud.app.call(Method::PUT, CERTIFICATE).by(cloud.owner()).json(body.clone());
        match tag {
            Some(tag) => call.header("if-match", tag),
            None => call,
        }
    };
    put(None).send().await.problem("precondition-required");
    put(Some("\"crt_01jd9mz5w8e4wahj8k6t3v2q7r\"")).send().await.problem("etag-mismatch");
    let tag = format!("\"{}\"", cloud.certificate().await.etag);
    put(Some(&tag)).header("prefer", "wait=30").send().await.expect::<Job>(202);

    let viewer = cloud.app.acme.person(Role::Viewer);
    cloud.app.get(CERTIFICATE).by(viewer).send().await.expect::<Certificate>(200);
    let rotate = |path: String| cloud.app.post(path, json!({}));
    rotate(format!("{CERTIFICATE}/rotate")).by(viewer).send().await.problem("forbidden");
    let stranger = cloud.app.globex.owner();
    let path = format!("{INSTANCES}/{}/certificate", instance.id);
    cloud.app.get(&path).by(stranger).send().await.problem("not-found");
    rotate(format!("{path}/rotate")).by(stranger).send().await.problem("not-found");

    cloud.execute("update instances set state = 'frozen'").await;
    rotate(format!("{CERTIFICATE}/rotate")).by(cloud.owner()).send().await.problem("action-not-allowed");
    cloud.stop().await;
}

#[tokio::test]
async fn an_instance_from_before_certificates_were_recorded_is_shown_and_rotated_like_any_other() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    cloud.execute("delete from certificates").await;
    assert_eq!(cloud.trusted().await, ["CN=Sluice platform CA"]);
    let shown = cloud.certificate().await;
    assert_eq!(cloud.shown(&instance), BTreeSet::from([shown.fingerprint_sha256]));
    cloud.execute("delete from certificates").await;
    cloud.rotated(json!({})).await;
    assert_eq!(cloud.certificate().await.history.len(), 1);
    cloud.stop().await;
}
