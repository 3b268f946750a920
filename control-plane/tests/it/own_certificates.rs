//! Certificates that tenants bring: what is opened, what is accepted, and what is refused with which reason.

use crate::support::authority::{Authority, KEY_PASSWORD, Keytool, Leaf, Pair, STORE_PASSWORD, TRUST_PASSWORD};
use broker_api::spec::TlsIdentity;
use chrono::{Duration, Utc};
use control_plane::pki::{
    Facts, OwnCertificate, Places, certificates, examine,
    keystore::{self, KeystoreError, Opened},
    verify_shown,
};
use control_plane_api::problem::FieldError;
use std::process::Command;

const PLACES: Places = Places { chain: "/certificate_pem", key: "/private_key_pem", trust: "/ca_pem" };

fn names() -> Vec<String> {
    ["127.0.0.9", "b-1.orders.example.com"].map(str::to_owned).into()
}

fn judged(chain_pem: &str, key_pem: &str, trust_pem: Option<&str>) -> Result<OwnCertificate, Vec<FieldError>> {
    let opened =
        Opened { chain: keystore::pem_certificates(chain_pem).unwrap(), key: keystore::pem_key(key_pem).unwrap() };
    let trust = trust_pem.map(|pem| keystore::pem_certificates(pem).unwrap()).unwrap_or_default();
    examine(&opened, &trust, &names(), PLACES, Utc::now())
}

#[track_caller]
fn refused(outcome: Result<OwnCertificate, Vec<FieldError>>) -> Vec<(String, String)> {
    outcome.expect_err("refused").into_iter().map(|fault| (fault.pointer, fault.code)).collect()
}

fn fault(pointer: &str, code: &str) -> (String, String) {
    (pointer.to_owned(), code.to_owned())
}

/// As clients verify, for every name.
#[track_caller]
fn assert_served(own: &OwnCertificate) {
    let TlsIdentity { certificate_pem, ca_pem, .. } = &own.identity;
    for name in names() {
        verify_shown(certificate_pem, ca_pem, &name, Utc::now()).unwrap();
    }
    verify_shown(certificate_pem, ca_pem, "127.0.0.10", Utc::now()).unwrap_err();
}

#[test]
fn keystores_of_keytool_are_opened_with_their_passwords_and_no_others() {
    for (algorithm, kind) in [("RSA", "RSA 2048"), ("EC", "ECDSA P-384")] {
        assert_opened(&Keytool::make(&names(), algorithm), kind);
    }
}

fn assert_opened(made: &Keytool, kind: &str) {
    let (jks, p12) = (made.file("server.jks"), made.file("server.p12"));
    let of_jks = keystore::open_jks(&jks, STORE_PASSWORD, Some(KEY_PASSWORD), None).unwrap();
    let of_p12 = keystore::open_pkcs12(&p12, STORE_PASSWORD, None).unwrap();
    assert_eq!(of_jks.chain, of_p12.chain);
    assert_eq!(of_jks.key.secret_der(), of_p12.key.secret_der());
    for opened in [&of_jks, &of_p12] {
        let own = examine(opened, &[], &names(), PLACES, Utc::now()).unwrap();
        assert_served(&own);
        assert_eq!(own.facts.key.to_string(), kind);
        assert_eq!(Facts::of_pem(&own.identity.ca_pem).unwrap().subject, "CN=Acme Root");
    }
    keystore::open_jks(&jks, STORE_PASSWORD, Some(KEY_PASSWORD), Some("KAFKA")).unwrap();
    let refusal = |outcome: Result<Opened, KeystoreError>| outcome.map(|_| ()).unwrap_err();
    let wrong = "Wrong-word-99";
    assert_eq!(refusal(keystore::open_jks(&jks, wrong, None, None)), KeystoreError::WrongPassword);
    assert_eq!(refusal(keystore::open_jks(&jks, STORE_PASSWORD, None, None)), KeystoreError::WrongKeyPassword);
    assert_eq!(refusal(keystore::open_pkcs12(&p12, wrong, None)), KeystoreError::WrongPassword);
    let unknown = KeystoreError::UnknownAlias(vec!["kafka".to_owned()]);
    assert_eq!(refusal(keystore::open_jks(&jks, STORE_PASSWORD, Some(KEY_PASSWORD), Some("x"))), unknown);
    assert!(matches!(refusal(keystore::open_pkcs12(&jks, wrong, None)), KeystoreError::Unreadable(_)));
    assert!(matches!(refusal(keystore::open_jks(b"PK", wrong, None, None)), KeystoreError::Unreadable(_)));
    let no_key = refusal(keystore::open_jks(&made.file("trust.jks"), TRUST_PASSWORD, None, None));
    assert_eq!(no_key, KeystoreError::NoKey);

    let root = certificates(&made.text("root.pem")).unwrap();
    for file in ["trust.jks", "trust.p12"] {
        assert_eq!(keystore::trusted(&made.file(file), TRUST_PASSWORD).unwrap(), root, "{file}");
        assert_eq!(keystore::trusted(&made.file(file), wrong), Err(KeystoreError::WrongPassword), "{file}");
    }
}

#[test]
fn a_pkcs12_file_of_openssl_is_opened_whatever_stands_first_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let root = Authority::root("Acme Root");
    let issuing = root.intermediate("Acme Issuing");
    let Pair { certificate_pem, key_pem } = issuing.issue(&Leaf::of(&names()));
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("leaf.pem", &certificate_pem);
    write("key.pem", &key_pem);
    write("chain.pem", &format!("{}{}", root.pem, issuing.pem));
    let arguments = ["pkcs12", "-export", "-in", "leaf.pem", "-inkey", "key.pem", "-certfile", "chain.pem"];
    let output = Command::new("openssl")
        .args(arguments)
        .args(["-out", "server.p12", "-passout", &format!("pass:{STORE_PASSWORD}")])
        .current_dir(&directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = std::fs::read(directory.path().join("server.p12")).unwrap();
    let opened = keystore::open_pkcs12(&file, STORE_PASSWORD, None).unwrap();
    let own = examine(&opened, &[], &names(), PLACES, Utc::now()).unwrap();
    assert_served(&own);
    assert_eq!(certificates(&own.identity.certificate_pem).unwrap().len(), 2, "leaf and intermediate, not the root");
}

#[test]
fn a_chain_is_put_in_order_and_its_root_may_come_apart() {
    let root = Authority::root("Acme Root");
    let issuing = root.intermediate("Acme Issuing");
    let Pair { certificate_pem, key_pem } = issuing.issue(&Leaf::of(&names()));
    let disordered = format!("{certificate_pem}{}{}", root.pem, issuing.pem);
    assert_served(&judged(&disordered, &key_pem, None).unwrap());
    let with_intermediate = format!("{certificate_pem}{}", issuing.pem);
    assert_served(&judged(&with_intermediate, &key_pem, Some(&root.pem)).unwrap());
    for (chain, trust) in [(&certificate_pem, Some(&root.pem)), (&with_intermediate, None)] {
        let outcome = judged(chain, &key_pem, trust.map(String::as_str));
        assert_eq!(refused(outcome), [fault("/certificate_pem", "missing-chain")]);
    }
}

#[test]
fn what_clients_would_refuse_is_refused_with_its_reason() {
    let root = Authority::root("Acme Root");
    let now = Utc::now();
    let good = Leaf::of(&names());
    let chain = |leaf: &Leaf| {
        let pair = root.issue(leaf);
        (format!("{}{}", pair.certificate_pem, root.pem), pair.key_pem)
    };
    let one = |leaf: Leaf| {
        let (pem, key) = chain(&leaf);
        refused(judged(&pem, &key, None))
    };
    let place = "/certificate_pem";
    assert_eq!(
        one(Leaf { until: now - Duration::hours(1), from: now - Duration::days(9), ..good.clone() }),
        [fault(place, "certificate-expired")]
    );
    assert_eq!(
        one(Leaf { from: now + Duration::days(1), ..good.clone() }),
        [fault(place, "certificate-not-yet-valid")]
    );
    assert_eq!(one(Leaf { for_servers: false, ..good.clone() }), [fault(place, "not-for-servers")]);
    let half = Leaf { names: names()[..1].to_vec(), ..good.clone() };
    assert_eq!(one(half.clone()), [fault(place, "uncovered-address")]);
    let (pem, key) = chain(&half);
    let told = judged(&pem, &key, None).unwrap_err().remove(0);
    assert_eq!(told.params["uncovered"], serde_json::json!(["b-1.orders.example.com"]));
    assert_eq!(told.params["covered"], serde_json::json!(["127.0.0.9"]));

    let (pem, _) = chain(&good);
    let (_, other_key) = chain(&good);
    assert_eq!(refused(judged(&pem, &other_key, None)), [fault("/private_key_pem", "key-mismatch")]);

    // An impostor of the same name as the issuer, without the marks by which keys are told apart.
    let impostor = Authority::root("Acme Root");
    let pair = root.issue(&good);
    let outcome = judged(&pair.certificate_pem, &pair.key_pem, Some(&impostor.pem));
    assert_eq!(refused(outcome), [fault(place, "missing-chain")]);
}

#[test]
fn all_faults_are_told_together() {
    let root = Authority::root("Acme Root");
    let now = Utc::now();
    let names = ["elsewhere.example.com".to_owned()];
    let (from, until) = (now - Duration::days(9), now - Duration::days(1));
    let pair = root.issue(&Leaf { names: names.to_vec(), from, until, for_servers: true });
    let other = root.issue(&Leaf::of(&names));
    let codes = refused(judged(&pair.certificate_pem, &other.key_pem, None));
    assert_eq!(
        codes,
        [
            fault("/private_key_pem", "key-mismatch"),
            fault("/certificate_pem", "missing-chain"),
            fault("/certificate_pem", "certificate-expired"),
            fault("/certificate_pem", "uncovered-address"),
        ]
    );
}

#[test]
fn keys_that_are_too_weak_or_of_a_kind_that_clients_lack_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let self_signed = |algorithm: &str| {
        let output = Command::new("openssl")
            .args(["req", "-x509", "-newkey", algorithm, "-nodes", "-days", "30", "-subj", "/CN=kafka"])
            .args(["-addext", "subjectAltName=IP:127.0.0.9,DNS:b-1.orders.example.com"])
            .args(["-addext", "basicConstraints=CA:FALSE", "-keyout", "key.pem", "-out", "leaf.pem"])
            .current_dir(&directory)
            .output()
            .unwrap();
        assert!(output.status.success(), "{algorithm}: {}", String::from_utf8_lossy(&output.stderr));
        let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
        (read("leaf.pem"), read("key.pem"))
    };
    let (pem, key) = self_signed("rsa:1024");
    assert_eq!(refused(judged(&pem, &key, None)), [fault("/private_key_pem", "key-too-weak")]);
    let (pem, key) = self_signed("ed25519");
    assert_eq!(refused(judged(&pem, &key, None)), [fault("/private_key_pem", "key-kind")]);
    // Nobody vouches for it but itself: clients trust the certificate.
    let (pem, key) = self_signed("rsa:2048");
    let own = judged(&pem, &key, None).unwrap();
    assert_eq!(certificates(&own.identity.ca_pem).unwrap(), certificates(&own.identity.certificate_pem).unwrap());
    assert_served(&own);
}

#[test]
fn a_pem_key_that_is_encrypted_or_none_is_refused_without_being_quoted() {
    for text in ["-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n", "secret words"] {
        let refusal = keystore::pem_key(text).unwrap_err().to_string();
        assert!(!refusal.contains("MIIB") && !refusal.contains("words"), "{refusal}");
    }
}
