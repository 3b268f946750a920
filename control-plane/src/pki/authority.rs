//! A certificate authority and what it issues.

use super::PkiError;
use broker_api::{secret::Secret, spec::TlsIdentity};
use chrono::{DateTime, Duration, TimeZone, Utc};
use rand::{TryRngCore, rngs::OsRng};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, DnsName, pem::PemObject};
use std::{fmt, net::IpAddr};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Clocks of clients and brokers may be behind ours by as much.
const CLOCK_SKEW: Duration = Duration::hours(1);

/// Which of the two kinds an authority is; as in table `certificate_authorities`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthorityKind {
    /// Signs what clients see; they keep it in truststores, so it lives long (product.md §5: over 15 years).
    Platform,
    /// Signs INT, CTL and the control API of one instance.
    Internal,
}

impl AuthorityKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Internal => "internal",
        }
    }

    fn lifetime(self) -> Duration {
        match self {
            Self::Platform => Duration::days(30 * 365),
            Self::Internal => Duration::days(20 * 365),
        }
    }
}

/// What a leaf is for: decides its subject, its usages and how long it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Shown to Kafka clients on TLS listeners. 825 days at most, above which Apple's platforms refuse a server.
    ClientListener,
    /// INT and CTL of a node, both ends: `CN=sluice-node`. At least two years, since the quorum's outgoing
    /// certificate changes only with a restart (kafka.md finding 6).
    Node,
    /// Server of a node's control API.
    ControlApi,
    /// The control plane towards nodes and Kafka: `CN=sluice-control-plane`.
    ControlPlane,
}

impl Purpose {
    /// The whole subject, so that Kafka's principal is `CN=…` and nothing more.
    fn common_name(self) -> &'static str {
        match self {
            Self::ClientListener => "sluice-kafka",
            Self::Node => "sluice-node",
            Self::ControlApi => "sluice-control-api",
            Self::ControlPlane => "sluice-control-plane",
        }
    }

    /// As certificates of this purpose name their holder.
    pub fn subject(self) -> String {
        format!("CN={}", self.common_name())
    }

    /// When one that is issued now ends, unless its authority ends before.
    pub fn end(self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + self.lifetime()
    }

    fn lifetime(self) -> Duration {
        match self {
            Self::ClientListener => Duration::days(820),
            Self::Node | Self::ControlApi | Self::ControlPlane => Duration::days(3 * 365),
        }
    }

    fn extended_key_usages(self) -> Vec<ExtendedKeyUsagePurpose> {
        use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
        match self {
            Self::ClientListener | Self::ControlApi => vec![ServerAuth],
            Self::Node => vec![ServerAuth, ClientAuth],
            Self::ControlPlane => vec![ClientAuth],
        }
    }
}

/// A certificate with the key that signs in its name.
pub struct CertificateAuthority {
    certificate_pem: String,
    key_pem: Secret,
    not_after: DateTime<Utc>,
    issuer: Issuer<'static, KeyPair>,
}

impl CertificateAuthority {
    /// A new authority. `name` tells it apart in clients' tools: its common name.
    pub fn create(kind: AuthorityKind, name: &str, now: DateTime<Utc>) -> Result<Self, PkiError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = parameters(name, now - CLOCK_SKEW, now + kind.lifetime())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate_pem = params.self_signed(&key)?.pem();
        Self::from_pem(&certificate_pem, &Secret::new(key.serialize_pem()))
    }

    /// An authority that was made before. Refuses a certificate that may not sign, and a key of another certificate.
    pub fn from_pem(certificate_pem: &str, key_pem: &Secret) -> Result<Self, PkiError> {
        let certificate = |reason: String| PkiError::Invalid { what: "certificate of the authority", reason };
        let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(|e| certificate(e.to_string()))?;
        let (_, x509) = X509Certificate::from_der(&der).map_err(|e| certificate(e.to_string()))?;
        if !x509.is_ca() {
            return Err(certificate("it does not carry the CA flag".to_owned()));
        }
        let key = KeyPair::from_pem(key_pem.expose())
            .map_err(|e| PkiError::Invalid { what: "key of the authority", reason: e.to_string() })?;
        if x509.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(PkiError::Invalid {
                what: "key of the authority",
                reason: "it belongs to another certificate".to_owned(),
            });
        }
        let not_after = Utc
            .timestamp_opt(x509.validity().not_after.timestamp(), 0)
            .single()
            .ok_or_else(|| certificate("its end of validity is out of range".to_owned()))?;
        let issuer = Issuer::from_ca_cert_der(&der, key)?;
        Ok(Self { certificate_pem: certificate_pem.to_owned(), key_pem: key_pem.clone(), not_after, issuer })
    }

    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// PKCS#8 PEM: to be sealed and stored, never shown.
    pub fn key_pem(&self) -> &Secret {
        &self.key_pem
    }

    pub fn not_after(&self) -> DateTime<Utc> {
        self.not_after
    }

    /// A new leaf with a new key. `names` are host names and IP addresses, every one that a peer may use to reach the
    /// holder; empty for a pure client. Never outlives the authority. `ca_pem` of the answer is this authority.
    pub fn issue(&self, purpose: Purpose, names: &[String], now: DateTime<Utc>) -> Result<TlsIdentity, PkiError> {
        let end = purpose.end(now).min(self.not_after);
        let mut params = parameters(purpose.common_name(), now - CLOCK_SKEW, end)?;
        params.subject_alt_names = names.iter().map(|name| subject_alt_name(name)).collect::<Result<_, _>>()?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = purpose.extended_key_usages();
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(TlsIdentity {
            certificate_pem: certificate.pem(),
            key_pem: Secret::new(key.serialize_pem()),
            ca_pem: self.certificate_pem.clone(),
        })
    }
}

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAuthority").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

fn parameters(name: &str, from: DateTime<Utc>, until: DateTime<Utc>) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    // By way of the epoch: rcgen's own time type need not be a dependency of ours.
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let since_epoch = |t: DateTime<Utc>| std::time::Duration::from_secs(t.timestamp().max(0).unsigned_abs());
    params.not_before = epoch + since_epoch(from);
    params.not_after = epoch + since_epoch(until);
    params.serial_number = Some(serial_number()?);
    Ok(params)
}

/// 16 random bytes, positive and of full length (RFC 5280 §4.1.2.2 allows 20).
fn serial_number() -> Result<SerialNumber, PkiError> {
    let mut bytes = [0; 16];
    OsRng.try_fill_bytes(&mut bytes).map_err(|e| PkiError::Invalid { what: "random source", reason: e.to_string() })?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn subject_alt_name(name: &str) -> Result<SanType, PkiError> {
    let refused = || PkiError::Name { name: name.to_owned() };
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    DnsName::try_from(name).map_err(|_| refused())?;
    Ok(SanType::DnsName(name.try_into().map_err(|_| refused())?))
}
