//! TLS towards clients: loads a certificate with its key, and shows whichever is in force.
//!
//! rustls with ring; TLS 1.2 and 1.3. Settings are part of the snapshot: a new certificate reaches every connection that is
//! accepted after the swap and none that lives. A certificate of the client's is asked for while some
//! are trusted; what is wrong with one ends the handshake with the alert of RFC 8446 §6.2.

use super::certificates::Trust;
use super::error::GatewayError;
use broker_api::spec::TlsIdentity;
use rustls::crypto::ring;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CipherSuite, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What is chosen where a client has it.
const AES_128: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
];

/// A certificate that can be shown.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) certified: Arc<CertifiedKey>,
    /// Lower-case hex.
    pub(super) serial: String,
    /// When the leaf ends, seconds since 1970.
    pub(super) ends_at: i64,
}

/// Reads a chain and its key, and proves that they belong together. `field` names the identity in
/// errors; no error quotes the key.
pub(super) fn load(field: &'static str, identity: &TlsIdentity) -> Result<Shown, GatewayError> {
    let fault = |why: String| GatewayError::Certificate { field, why };
    let chain = CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| fault(format!("certificate_pem is not PEM: {e}")))?;
    let leaf = chain.first().ok_or_else(|| fault("certificate_pem holds no certificate".into()))?;
    let (_, parsed) =
        X509Certificate::from_der(leaf).map_err(|e| fault(format!("the first certificate is not X.509: {e}")))?;
    let serial = hex(parsed.tbs_certificate.raw_serial());
    let ends_at = parsed.validity().not_after.timestamp();
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.expose().as_bytes())
        .map_err(|_| fault("key_pem holds no private key in PEM".into()))?;
    let certified = CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|e| fault(format!("certificate and key do not fit: {e}")))?;
    Ok(Shown { certified: Arc::new(certified), serial, ends_at })
}

/// The TLS settings of every listener.
pub(super) fn server_config(
    certified: Arc<CertifiedKey>,
    clients: Option<&Trust>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut provider = ring::default_provider();
    // Java and OpenSSL ask for AES-256 first, at a third more CPU a byte; nothing is known against AES-128 (RFC 9325 §4.2).
    provider.cipher_suites.sort_by_key(|suite| !AES_128.contains(&suite.suite()));
    let builder = ServerConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions()?;
    let builder = match clients {
        Some(trust) => builder.with_client_cert_verifier(trust.verifier.clone()),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.ignore_client_order = true;
    // No resumption: Kafka's clients keep their connections, ECDSA is cheap, and a resumed session
    // would go on vouching for a certificate that was replaced, or for a client's that is not trusted any more.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
