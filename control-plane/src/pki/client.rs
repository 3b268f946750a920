//! Our end of TLS: mutual towards nodes, and as a client of Kafka has it.

use super::{PkiError, facts};
use broker_api::spec::TlsIdentity;
use chrono::{DateTime, Utc};
use rustls::{ClientConfig, RootCertStore, client::WebPkiServerVerifier, client::danger::ServerCertVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};
use std::{sync::Arc, time::Duration};

/// Shows `identity` and trusts its `ca_pem` only. TLS 1.3: both ends are ours.
pub fn client_config(identity: &TlsIdentity) -> Result<ClientConfig, PkiError> {
    let invalid = |what| move |e: rustls_pki_types::pem::Error| PkiError::Invalid { what, reason: e.to_string() };
    let roots = roots(&identity.ca_pem)?;
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

/// Trusts `ca_pem` only and shows nothing, as clients of Kafka do: TLS 1.2 and 1.3.
pub fn trusting_client_config(ca_pem: &str) -> Result<ClientConfig, PkiError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(ca_pem)?)
        .with_no_client_auth())
}

/// What such a client makes of this chain when it asks for `name`, without a connection.
pub fn verify_shown(certificate_pem: &str, ca_pem: &str, name: &str, now: DateTime<Utc>) -> Result<(), PkiError> {
    let chain = facts::certificates(certificate_pem)?;
    let server = ServerName::try_from(name).map_err(|_| PkiError::Name { name: name.to_owned() })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots(ca_pem)?), provider)
        .build()
        .map_err(|error| PkiError::Invalid { what: "authority to trust", reason: error.to_string() })?;
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.timestamp().max(0).unsigned_abs()));
    if let Some((leaf, above)) = chain.split_first() {
        verifier.verify_server_cert(leaf, above, &server, &[], now)?;
    }
    Ok(())
}

fn roots(ca_pem: &str) -> Result<RootCertStore, PkiError> {
    let mut roots = RootCertStore::empty();
    for certificate in facts::certificates(ca_pem)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}
