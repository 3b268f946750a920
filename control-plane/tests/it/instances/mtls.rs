//! Certificates of Kafka clients, through the API, on simulated brokers.

use super::cloud::{Cloud, INSTANCES};
use crate::support::{
    Answer,
    authority::{Authority, Keytool, Leaf, TRUST_PASSWORD},
};
use axum::http::Method;
use base64::{Engine, engine::general_purpose::STANDARD};
use broker_api::spec::ClientCertificates;
use control_plane::drivers::NodeRef;
use control_plane_api::{
    access::{Access, Mtls},
    audit::AuditEvent,
    connection::Connection,
    instance::{Instance, Plan},
    job::{Job, JobState},
    page::Page,
};
use serde_json::{Value, json};

impl Cloud {
    async fn patched(&self, query: &str, mtls: Value) -> Answer {
        let call = self.app.call(Method::PATCH, format!("{INSTANCES}/orders/access{query}"));
        call.json(json!({ "mtls": mtls })).by(self.owner()).header("prefer", "wait=30").send().await
    }

    async fn trusts(&self, mtls: Value) -> Mtls {
        let job: Job = self.patched("", mtls).await.expect(202);
        assert_eq!((job.kind.as_str(), job.state), ("instance-configure", JobState::Succeeded));
        let shown = self.app.get(format!("{INSTANCES}/orders/access")).by(self.owner()).send().await;
        shown.expect::<Access>(200).mtls
    }

    fn told(&self, of: &Instance) -> Option<ClientCertificates> {
        let told = |node_id| {
            let spec = self.world.spec(NodeRef { instance: of.id, node_id }).unwrap();
            spec.gateway.client_certificates
        };
        assert!((1..3).all(|node| told(node) == told(0)), "every broker is told the same");
        told(0)
    }

    async fn faults(&self, mtls: Value) -> Vec<(String, String)> {
        let problem = self.patched("", mtls).await.problem("validation-failed");
        problem.errors.into_iter().map(|fault| (fault.pointer, fault.code)).collect()
    }
}

fn fault(field: &str, code: &str) -> Vec<(String, String)> {
    vec![(format!("/mtls/{field}"), code.to_owned())]
}

#[tokio::test]
async fn authorities_lists_and_rules_reach_every_broker_while_mtls_is_on_and_stay_while_it_is_off() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let ledger = cloud.world.ledger();
    let (old, new) = (Authority::root("Acme 1"), Authority::root("Acme 2"));
    let trust = cloud.trusts(json!({ "ca_pem": old.pem, "crl_pem": old.revoking(&[7, 8]) })).await;
    assert_eq!(trust.authorities.iter().map(|one| one.subject.as_str()).collect::<Vec<_>>(), ["CN=Acme 1"]);
    assert_eq!((trust.revocation_lists[0].revoked, trust.principal_rules.as_str()), (2, "DEFAULT"));
    assert_eq!(cloud.told(&instance), None, "it is not switched on yet");

    let plan: Plan = cloud.patched("?dry_run=true", json!({ "enabled": true })).await.expect(200);
    assert!(plan.checks.iter().any(|check| check.code == "mtls" && check.detail.contains("9093")), "{:?}", plan.checks);
    cloud.trusts(json!({ "enabled": true })).await;
    let told = cloud.told(&instance).unwrap();
    assert_eq!((told.ca_pem.matches("BEGIN").count(), told.crl_pem.matches("BEGIN X509 CRL").count()), (1, 1));
    let guide = cloud.app.get(format!("{INSTANCES}/orders/connection")).by(cloud.owner()).send().await;
    assert!(guide.expect::<Connection>(200).mtls);

    // Both at once, one of them twice, with rules.
    let both = format!("{}{}{}", old.pem, new.pem, old.pem);
    let trust = cloud.trusts(json!({ "ca_pem": both, "principal_rules": " RULE:^CN=(.*?),.*$/$1/L, DEFAULT " })).await;
    assert_eq!((trust.authorities.len(), trust.revocation_lists.len(), trust.enabled), (2, 1, true));
    assert_eq!(cloud.told(&instance).unwrap().principal_rules, "RULE:^CN=(.*?),.*$/$1/L, DEFAULT");

    // Who is only a name of the past takes its list along.
    let plan: Plan = cloud.patched("?dry_run=true", json!({ "ca_pem": new.pem })).await.expect(200);
    assert!(plan.checks.iter().any(|check| check.code == "certificates-keep"), "{:?}", plan.checks);
    assert_eq!(plan.changes[0].path, "/mtls");
    assert!(!plan.changes[0].to.to_string().contains("BEGIN"), "a plan is to be read");
    let trust = cloud.trusts(json!({ "ca_pem": new.pem })).await;
    assert_eq!((trust.authorities.len(), trust.revocation_lists.len()), (1, 0));

    let trust = cloud.trusts(json!({ "enabled": null })).await;
    assert_eq!((trust.enabled, trust.authorities.len()), (false, 1));
    assert_eq!(cloud.told(&instance), None);
    assert_eq!(cloud.trusts(Value::Null).await, Mtls::default());
    assert_eq!(cloud.world.ledger(), ledger, "no broker was made or restarted");
    cloud.stop().await;
}

#[tokio::test]
async fn a_truststore_of_java_is_read_and_its_password_is_kept_nowhere() {
    let cloud = Cloud::start().await;
    cloud.bought("orders").await;
    let made = Keytool::make(&["kafka.acme.example".to_owned()], "EC");
    for file in ["trust.jks", "trust.p12"] {
        let store = STANDARD.encode(made.file(file));
        let trust = cloud.trusts(json!({ "truststore": store, "truststore_password": TRUST_PASSWORD })).await;
        assert_eq!(trust.authorities[0].subject, "CN=Acme Root", "{file}");
        let wrong = json!({ "truststore": store, "truststore_password": "Heron-lake-99" });
        assert_eq!(cloud.faults(wrong).await, fault("truststore_password", "wrong-password"), "{file}");
        assert_eq!(cloud.faults(json!({ "truststore": store })).await, fault("truststore_password", "required"));
        cloud.trusts(Value::Null).await;
    }
    let events = cloud.app.get("/v1/audit-events?limit=200").by(cloud.owner()).send().await;
    let events = events.expect::<Page<AuditEvent>>(200).items;
    assert!(events.iter().any(|event| event.action == "update_access"));
    assert!(!serde_json::to_string(&events).unwrap().contains(TRUST_PASSWORD));
    cloud.stop().await;
}

#[tokio::test]
async fn what_could_not_be_trusted_is_refused_each_with_its_reason_and_nothing_changes() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let (root, other) = (Authority::root("Acme"), Authority::root("Other"));
    let namesake = Authority::root("Acme");
    let pair = root.issue(&Leaf::of(&["client.acme.example".to_owned()]));
    let (leaf, with_key) = (pair.certificate_pem, format!("{}{}", root.pem, pair.key_pem));
    let many: String = (0..21).map(|number| Authority::root(&format!("Acme {number}")).pem).collect();
    let ca = |pem: &str| json!({ "enabled": true, "ca_pem": pem });
    let with_list = |list: String| json!({ "ca_pem": root.pem, "crl_pem": list });
    let both = format!("{}{}", root.pem, namesake.pem);
    let twice = format!("{}{}", root.revoking(&[1]), root.revoking(&[2]));
    let damaged = root.revoking(&[1]).replace("X509 CRL", "CERTIFICATE");
    let cases = [
        (json!({ "enabled": true }), fault("ca_pem", "required")),
        (ca("orders"), fault("ca_pem", "not-pem")),
        (ca(&leaf), fault("ca_pem", "not-an-authority")),
        (ca(&with_key), fault("ca_pem", "private-key")),
        (ca(&Authority::expired("Acme").pem), fault("ca_pem", "certificate-expired")),
        (ca(&many), fault("ca_pem", "too-many-authorities")),
        (ca(&"x".repeat(300_000)), fault("ca_pem", "file-too-large")),
        (with_list("orders".to_owned()), fault("crl_pem", "not-a-crl")),
        (with_list(damaged), fault("crl_pem", "not-a-crl")),
        (with_list(other.revoking(&[1])), fault("crl_pem", "crl-of-stranger")),
        (with_list(namesake.revoking(&[1])), fault("crl_pem", "crl-of-stranger")),
        (with_list(twice), fault("crl_pem", "crl-twice")),
        (with_list(root.revoking_part(&[1], "http://acme.example/1.crl")), fault("crl_pem", "crl-partial")),
        (json!({ "ca_pem": both, "crl_pem": root.revoking(&[1]) }), fault("crl_pem", "crl-ambiguous")),
        (json!({ "principal_rules": "RULE:(a/b/" }), fault("principal_rules", "principal-rules")),
        (json!({ "truststore_password": "x" }), fault("truststore", "required")),
    ];
    for (mtls, expected) in cases {
        assert_eq!(
            cloud.faults(mtls.clone()).await,
            expected,
            "{}",
            &mtls.to_string()[..60.min(mtls.to_string().len())]
        );
    }
    let every = json!({ "enabled": true, "ca_pem": leaf, "principal_rules": "x" });
    let codes: Vec<_> = cloud.faults(every).await.into_iter().map(|(_, code)| code).collect();
    assert_eq!(codes, ["not-an-authority", "principal-rules"]);
    let shown = cloud.app.get(format!("{INSTANCES}/orders/access")).by(cloud.owner()).send().await;
    assert_eq!(shown.expect::<Access>(200), Access::default());
    assert_eq!(cloud.told(&instance), None);
    cloud.stop().await;
}
