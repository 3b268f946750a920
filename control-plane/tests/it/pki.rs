//! Certificates and truststores, as the programs that users run see them.

use broker_api::spec::TlsIdentity;
use chrono::{DateTime, Duration, Utc};
use control_plane::{
    clock::Clock,
    pki::{
        AuthorityKind, CertificateAuthority, PkiError, Purpose, TRUSTSTORE_PASSWORD, truststore_jks, truststore_pkcs12,
    },
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use std::{path::Path, process::Command, sync::Arc};

fn now() -> DateTime<Utc> {
    Clock::system().now()
}

fn platform() -> CertificateAuthority {
    CertificateAuthority::create(AuthorityKind::Platform, "Sluice CA", now()).unwrap()
}

fn listener(ca: &CertificateAuthority, names: &[&str]) -> TlsIdentity {
    let names: Vec<String> = names.iter().map(|&n| n.to_owned()).collect();
    ca.issue(Purpose::ClientListener, &names, now()).unwrap()
}

/// Standard output and error of a program that must succeed.
fn output_of(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {text}");
    text
}

fn path(dir: &Path, name: &str, content: &[u8]) -> String {
    let path = dir.join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A handshake in memory; what went wrong, when it did.
fn handshake(server: &TlsIdentity, client: Option<&TlsIdentity>, trust: &str, name: &str) -> Result<(), rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = |i: &TlsIdentity| {
        CertificateDer::pem_slice_iter(i.certificate_pem.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap()
    };
    let key = |i: &TlsIdentity| PrivateKeyDer::from_pem_slice(i.key_pem.expose().as_bytes()).unwrap();
    let roots = |pem: &str| {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        Arc::new(roots)
    };
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = match client {
        None => builder.with_no_client_auth(),
        Some(_) => builder.with_client_cert_verifier(
            rustls::server::WebPkiClientVerifier::builder_with_provider(roots(&server.ca_pem), provider.clone())
                .build()
                .unwrap(),
        ),
    };
    let server_config = builder.with_single_cert(chain(server), key(server))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(trust));
    let client_config = match client {
        None => builder.with_no_client_auth(),
        Some(identity) => builder.with_client_auth_cert(chain(identity), key(identity))?,
    };
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut a = ClientConnection::new(Arc::new(client_config), name)?;
    let mut b = ServerConnection::new(Arc::new(server_config))?;
    while a.is_handshaking() || b.is_handshaking() {
        let mut wire = Vec::new();
        while a.wants_write() {
            a.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            b.read_tls(&mut rest).unwrap();
            b.process_new_packets()?;
        }
        let mut wire = Vec::new();
        while b.wants_write() {
            b.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            a.read_tls(&mut rest).unwrap();
            a.process_new_packets()?;
        }
    }
    Ok(())
}

#[test]
fn a_client_reaches_a_listener_by_every_name_it_was_issued_for_and_by_no_other() {
    let ca = platform();
    let server = listener(&ca, &["127.17.3.9", "b-1.orders.kafka.example.com", "::1"]);
    for name in ["127.17.3.9", "b-1.orders.kafka.example.com", "::1"] {
        handshake(&server, None, ca.certificate_pem(), name).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    for name in ["127.17.3.10", "b-2.orders.kafka.example.com"] {
        let refusal = handshake(&server, None, ca.certificate_pem(), name).unwrap_err();
        assert!(refusal.to_string().contains("not valid for name"), "{name}: {refusal}");
    }
}

#[test]
fn a_certificate_of_another_authority_is_refused() {
    let refusal = handshake(&listener(&platform(), &["127.1.1.1"]), None, platform().certificate_pem(), "127.1.1.1");
    assert!(matches!(refusal, Err(rustls::Error::InvalidCertificate(_))), "{refusal:?}");
}

#[test]
fn nodes_and_the_control_plane_prove_themselves_to_each_other() {
    let ca = CertificateAuthority::create(AuthorityKind::Internal, "Sluice internal CA", now()).unwrap();
    let names = ["127.1.1.1".to_owned()];
    let node = ca.issue(Purpose::Node, &names, now()).unwrap();
    let control = ca.issue(Purpose::ControlPlane, &[], now()).unwrap();
    handshake(&node, Some(&node), ca.certificate_pem(), "127.1.1.1").unwrap();
    handshake(&node, Some(&control), ca.certificate_pem(), "127.1.1.1").unwrap();
    // A certificate that is for servers only cannot log in, although the same authority signed it.
    let server_only = ca.issue(Purpose::ControlApi, &names, now()).unwrap();
    handshake(&node, Some(&server_only), ca.certificate_pem(), "127.1.1.1").unwrap_err();
    // A stranger's cannot either.
    let other = CertificateAuthority::create(AuthorityKind::Internal, "Sluice internal CA", now()).unwrap();
    let stranger = other.issue(Purpose::ControlPlane, &[], now()).unwrap();
    handshake(&node, Some(&stranger), ca.certificate_pem(), "127.1.1.1").unwrap_err();
}

#[test]
fn an_authority_read_back_signs_for_the_same_trust() {
    let ca = platform();
    let again = CertificateAuthority::from_pem(ca.certificate_pem(), ca.key_pem()).unwrap();
    assert_eq!(again.not_after(), ca.not_after());
    handshake(&listener(&again, &["127.1.1.1"]), None, ca.certificate_pem(), "127.1.1.1").unwrap();
}

#[test]
fn an_authority_with_the_key_of_another_or_that_may_not_sign_is_refused() {
    let (one, two) = (platform(), platform());
    let refusal = CertificateAuthority::from_pem(one.certificate_pem(), two.key_pem()).unwrap_err();
    assert_eq!(refusal.to_string(), "key of the authority is not valid: it belongs to another certificate");
    let leaf = listener(&one, &["127.1.1.1"]);
    let refusal = CertificateAuthority::from_pem(&leaf.certificate_pem, &leaf.key_pem).unwrap_err();
    assert!(refusal.to_string().contains("CA flag"), "{refusal}");
}

#[test]
fn a_name_that_no_certificate_can_carry_is_refused_by_name() {
    for name in ["", "with space", "snow☃.example.com", "a..b"] {
        let refusal = platform().issue(Purpose::ClientListener, &[name.to_owned()], now()).unwrap_err();
        assert!(matches!(&refusal, PkiError::Name { name: n } if n == name), "{refusal}");
    }
}

#[test]
fn a_leaf_never_outlives_its_authority() {
    let ca = platform();
    let late = ca.not_after() - Duration::days(10);
    let leaf = ca.issue(Purpose::ClientListener, &["127.1.1.1".to_owned()], late).unwrap();
    let der = CertificateDer::from_pem_slice(leaf.certificate_pem.as_bytes()).unwrap();
    let (_, x509) = x509_parser::parse_x509_certificate(&der).unwrap();
    assert_eq!(x509.validity().not_after.timestamp(), ca.not_after().timestamp());
}

#[test]
fn openssl_verifies_the_chain_by_name_purpose_and_strict_rules() {
    let dir = tempfile::tempdir().unwrap();
    let ca = platform();
    let leaf = listener(&ca, &["127.17.3.9", "b-1.example.com"]);
    let ca_path = path(dir.path(), "ca.pem", ca.certificate_pem().as_bytes());
    let leaf_path = path(dir.path(), "leaf.pem", leaf.certificate_pem.as_bytes());
    let key_path = path(dir.path(), "key.pem", leaf.key_pem.expose().as_bytes());
    for name in [["-verify_ip", "127.17.3.9"], ["-verify_hostname", "b-1.example.com"]] {
        let arguments =
            ["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", &ca_path, name[0], name[1], &leaf_path];
        assert!(output_of("openssl", &arguments).contains("OK"));
    }
    assert!(leaf.key_pem.expose().starts_with("-----BEGIN PRIVATE KEY-----"), "PKCS#8, as Java wants it");
    assert_eq!(
        output_of("openssl", &["pkey", "-in", &key_path, "-pubout"]),
        output_of("openssl", &["x509", "-in", &leaf_path, "-noout", "-pubkey"])
    );
    let text = output_of("openssl", &["x509", "-in", &leaf_path, "-noout", "-text"]);
    for part in ["prime256v1", "Subject Key Identifier", "Authority Key Identifier", "CA:FALSE", "Digital Signature"] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
}

#[test]
fn keytool_opens_both_truststores_and_finds_the_ca_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let ca = platform();
    let stores = [
        ("JKS", truststore_jks(ca.certificate_pem(), now()).unwrap()),
        ("PKCS12", truststore_pkcs12(ca.certificate_pem()).unwrap()),
    ];
    for (kind, bytes) in stores {
        let store = path(dir.path(), kind, &bytes);
        let arguments = ["-list", "-keystore", &store, "-storetype", kind, "-storepass", TRUSTSTORE_PASSWORD];
        let listing = output_of("keytool", &arguments);
        assert!(listing.contains("sluice-ca-1") && listing.contains("trustedCertEntry"), "{kind}: {listing}");
        let arguments =
            ["-exportcert", "-rfc", "-alias", "sluice-ca-1", "-keystore", &store, "-storepass", TRUSTSTORE_PASSWORD];
        let exported = output_of("keytool", &arguments);
        assert_eq!(
            CertificateDer::from_pem_slice(exported.as_bytes()).unwrap(),
            CertificateDer::from_pem_slice(ca.certificate_pem().as_bytes()).unwrap(),
            "{kind}"
        );
    }
}

#[test]
fn a_truststore_of_text_without_certificates_is_refused() {
    let refusal = truststore_pkcs12("no certificate here").unwrap_err();
    assert!(refusal.to_string().contains("no PEM block of type CERTIFICATE"), "{refusal}");
}
