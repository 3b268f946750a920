//! TLS of the control API: who the node is, and who may call.
//!
//! A caller shows a certificate of the platform's internal CA with the one common name that the
//! control plane has. Whoever does not is refused in the handshake, before a byte of HTTP.

use broker_api::spec::TlsIdentity;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
};
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Common name of the control plane's certificate.
pub const CALLER: &str = "sluice-control-plane";

/// Why an identity cannot be used; `field` is where it stands in the spec. Never quotes a key.
#[derive(Debug, thiserror::Error)]
#[error("{field}: {why}")]
pub struct IdentityError {
    field: &'static str,
    why: String,
}

/// TLS 1.3 only: both ends are ours.
pub fn server_config(field: &'static str, identity: &TlsIdentity) -> Result<Arc<ServerConfig>, IdentityError> {
    let error = |why: String| IdentityError { field, why };
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

/// Certificate chain and key of an identity, as rustls wants them.
pub fn certified(
    field: &'static str,
    identity: &TlsIdentity,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), IdentityError> {
    let error = |why: &str| IdentityError { field, why: why.to_owned() };
    let certificates = certificates(&identity.certificate_pem)
        .ok_or_else(|| error("certificate_pem must hold a certificate in PEM, leaf first"))?;
    // The parser's own text could quote the input.
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.expose().as_bytes())
        .map_err(|_| error("key_pem must hold a private key in PEM"))?;
    Ok((certificates, key))
}

/// The CA bundle of an identity.
pub fn roots(field: &'static str, identity: &TlsIdentity) -> Result<RootCertStore, IdentityError> {
    let error = |why: String| IdentityError { field, why };
    let mut roots = RootCertStore::empty();
    let bundle =
        certificates(&identity.ca_pem).ok_or_else(|| error("ca_pem must hold a certificate in PEM".to_owned()))?;
    for certificate in bundle {
        roots.add(certificate).map_err(|fault| error(format!("ca_pem: {fault}")))?;
    }
    Ok(roots)
}

/// At least one certificate, and nothing broken among them.
fn certificates(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().ok()?;
    (!found.is_empty()).then_some(found)
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
