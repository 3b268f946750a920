//! TLS of the control API: who the node is, and who may call.
//!
//! A caller shows a certificate of the platform's internal CA with the one common name that the
//! control plane has. Whoever does not is refused in the handshake, before a byte of HTTP.

use crate::identity::{IdentityError, certified, roots};
use broker_api::spec::TlsIdentity;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Common name of the control plane's certificate.
pub const CALLER: &str = "sluice-control-plane";

/// TLS 1.3 only: both ends are ours.
pub fn server_config(field: &'static str, identity: &TlsIdentity) -> Result<Arc<ServerConfig>, IdentityError> {
    let error = |why| IdentityError::new(field, why);
    let provider = Arc::new(ring::default_provider());
    let chain = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(field, identity)?), provider.clone())
        .build()
        .map_err(|fault| error(format!("ca_pem cannot verify callers: {fault}")))?;
    let (certificates, key) = certified(field, identity)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|fault| error(fault.to_string()))?
        .with_client_cert_verifier(Arc::new(OnlyControlPlane { chain }))
        .with_single_cert(certificates, key)
        .map_err(|fault| error(format!("certificate_pem and key_pem do not fit: {fault}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Verifies the chain as WebPKI does, then asks for the common name.
#[derive(Debug)]
struct OnlyControlPlane {
    chain: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for OnlyControlPlane {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        if is_caller(end_entity) { Ok(verified) } else { Err(CertificateError::ApplicationVerificationFailure.into()) }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// Exactly one common name, and that one.
fn is_caller(certificate: &CertificateDer<'_>) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
    let mut names = parsed.subject().iter_common_name();
    let first = names.next().and_then(|name| name.as_str().ok());
    first == Some(CALLER) && names.next().is_none()
}
