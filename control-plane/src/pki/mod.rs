//! Certificates: the authorities that Sluice runs, the leaves they issue, and the truststores that clients download.
//!
//! ```text
//! platform CA (one, shown to clients) ──► certificate of the TLS listeners, one an instance
//! internal CA (one an instance)       ──► INT/CTL leaf of each node, control API leaf of each node,
//!                                         client leaf of the control plane
//! ```
//! What tenants bring of their own is opened (`keystore`) and judged (`own`) here too.
//!
//! Keys are ECDSA P-256 (a handshake costs a sixth of RSA-2048's, docs/performance) in unencrypted PKCS#8, the only
//! form that Java's PEM key store, OpenSSL, Go, Node.js and rustls all read. Owns no storage and no secrets: keys come
//! and go as [`broker_api::secret::Secret`]. May use rcgen, x509-parser and the clock's time; knows no database.

mod authority;
mod client;
pub mod client_trust;
mod der;
mod ec_key;
mod facts;
pub mod keystore;
mod own;
mod pem;
mod truststore;

pub use authority::{AuthorityKind, CertificateAuthority, Purpose};
pub use client::{client_config, trusting_client_config, verify_shown};
pub use facts::{Facts, KeyKind, certificates};
pub use own::{OwnCertificate, Places, examine, uncovered};
pub use truststore::{TRUSTSTORE_PASSWORD, bundle, truststore_jks, truststore_pkcs12};

/// Why a certificate, key or truststore could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The key or certificate text of an authority is not what it should be.
    #[error("{what} is not valid: {reason}")]
    Invalid { what: &'static str, reason: String },
    /// A name that no certificate can carry.
    #[error("{name:?} is neither a host name nor an IP address that a certificate can carry")]
    Name { name: String },
    #[error("certificate cannot be issued")]
    Issue(#[from] rcgen::Error),
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    #[error("truststore cannot be written: {reason}")]
    Truststore { reason: String },
}
