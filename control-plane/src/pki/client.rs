//! Our end of mutual TLS.

use super::PkiError;
use broker_api::spec::TlsIdentity;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::sync::Arc;

/// Shows `identity` and trusts its `ca_pem` only. TLS 1.3: both ends are ours.
pub fn client_config(identity: &TlsIdentity) -> Result<ClientConfig, PkiError> {
    let invalid = |what| move |e: rustls_pki_types::pem::Error| PkiError::Invalid { what, reason: e.to_string() };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(identity.ca_pem.as_bytes()) {
        roots.add(certificate.map_err(invalid("authority to trust"))?)?;
    }
    let chain = CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(invalid("certificate to show"))?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.expose().as_bytes())
        .map_err(invalid("key of the certificate to show"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?)
}
