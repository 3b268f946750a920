//! Certificates that clients sign in with (mTLS): which are trusted, whose they are, and until when.
//!
//! Owns their check by what the spec trusts: at the handshake by rustls, and again when the trust changes while a connection
//! lives. A list of revocations that is past its next update still counts, and a certificate of which no list speaks is good:
//! a tenant who is late with a list must not lose all clients. Opens and fetches nothing.

use super::error::GatewayError;
use super::subject;
use crate::clock::unix_ms;
use arc_swap::ArcSwap;
use broker_api::connections::ShownCertificate;
use broker_api::spec::ClientCertificates;
use principal::Rules;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Seconds after which a certificate is looked at again, however long it is good for: a timer must not overflow.
const LONGEST: u64 = 365 * 24 * 3600;

/// What an instance trusts.
pub(super) struct Trust {
    given: ClientCertificates,
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
    rules: Rules,
}

/// Why nobody is signed in by a certificate: for our log, a client is told nothing of it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum Stranger {
    #[error("it is not trusted: {0}")]
    Untrusted(rustls::Error),
    #[error("certificates are not accepted any more")]
    SwitchedOff,
    #[error("no principal mapping rule fits its subject '{0}'")]
    NoRule(String),
    #[error("its subject names '{0}', which nobody can be called")]
    NoName(String),
}

impl Stranger {
    /// Whether the certificate itself is at fault, with which also nobody may log in otherwise.
    pub(super) fn is_of_trust(&self) -> bool {
        matches!(self, Self::Untrusted(_) | Self::SwitchedOff)
    }
}

impl Trust {
    pub(super) fn parse(given: &ClientCertificates) -> Result<Self, GatewayError> {
        let invalid = |field: &str, why: String| GatewayError::invalid(format!("client_certificates.{field}: {why}"));
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(given.ca_pem.as_bytes()) {
            let authority = authority.map_err(|error| invalid("ca_pem", error.to_string()))?;
            roots.add(authority).map_err(|error| invalid("ca_pem", error.to_string()))?;
        }
        let lists = CertificateRevocationListDer::pem_slice_iter(given.crl_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| invalid("crl_pem", error.to_string()))?;
        let builder = WebPkiClientVerifier::builder_with_provider(roots.into(), ring::default_provider().into());
        let verifier = builder
            .with_crls(lists)
            .allow_unknown_revocation_status()
            // Who shows none logs in by SASL.
            .allow_unauthenticated()
            .build()
            .map_err(|error| invalid("ca_pem", error.to_string()))?;
        let rules =
            Rules::parse(&given.principal_rules).map_err(|error| invalid("principal_rules", error.to_string()))?;
        Ok(Self { given: given.clone(), verifier, rules })
    }

    fn user(&self, subject: &str) -> Result<String, Stranger> {
        let name = self.rules.name(subject).ok_or_else(|| Stranger::NoRule(subject.to_owned()))?;
        if principal::is_name(&name) { Ok(name) } else { Err(Stranger::NoName(name)) }
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}

/// What a client showed in its handshake, and was found good.
#[derive(Debug)]
pub(super) struct Presented {
    /// Leaf first.
    chain: Vec<CertificateDer<'static>>,
    subject: String,
    issuer: String,
    serial: String,
    /// Seconds since 1970.
    ends_at: i64,
    /// When it is worth nothing any more.
    pub(super) expires_at: Instant,
    /// What it was last found good by.
    by: ArcSwap<Trust>,
}

impl Presented {
    /// What a handshake found good that was made under `trust`. None for what can't be read, which none let pass.
    pub(super) fn new(chain: &[CertificateDer<'_>], trust: Arc<Trust>) -> Option<Self> {
        let chain: Vec<_> = chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
        let (subject, issuer, serial, ends_at) = {
            let (_, leaf) = X509Certificate::from_der(chain.first()?).ok()?;
            let serial = leaf.tbs_certificate.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect();
            let (subject, issuer) = (subject::text(leaf.subject()), subject::text(leaf.issuer()));
            (subject, issuer, serial, leaf.validity().not_after.timestamp())
        };
        let left = u64::try_from(ends_at.saturating_sub(unix_ms() / 1000)).unwrap_or(0);
        let expires_at = Instant::now() + Duration::from_secs(left.min(LONGEST));
        Some(Self { chain, subject, issuer, serial, ends_at, expires_at, by: ArcSwap::new(trust) })
    }

    /// Who the client is, by what is trusted now.
    pub(super) fn user(&self, trust: Option<&Arc<Trust>>) -> Result<String, Stranger> {
        let trust = trust.ok_or(Stranger::SwitchedOff)?;
        let by = self.by.load();
        if !Arc::ptr_eq(&by, trust) {
            if by.given != trust.given {
                self.verify(trust)?;
            }
            // Also of the same text: what was trusted under earlier specs need not stay in memory.
            self.by.store(trust.clone());
        }
        trust.user(&self.subject)
    }

    /// The same for what might be trusted; nothing is kept of it.
    pub(super) fn user_under(&self, trust: Option<&Trust>) -> Result<String, Stranger> {
        let trust = trust.ok_or(Stranger::SwitchedOff)?;
        self.verify(trust)?;
        trust.user(&self.subject)
    }

    fn verify(&self, trust: &Trust) -> Result<(), Stranger> {
        let now = UnixTime::since_unix_epoch(Duration::from_millis(unix_ms().max(0).unsigned_abs()));
        let Some((leaf, others)) = self.chain.split_first() else { return Err(Stranger::SwitchedOff) };
        trust.verifier.verify_client_cert(leaf, others, now).map(drop).map_err(Stranger::Untrusted)
    }

    pub(super) fn view(&self) -> ShownCertificate {
        ShownCertificate {
            subject: self.subject.clone(),
            issuer: self.issuer.clone(),
            serial: self.serial.clone(),
            valid_until: self.ends_at,
        }
    }
}
