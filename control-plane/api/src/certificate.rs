//! The certificate that an instance shows to clients on its TLS ports: what is served, what clients trust, and its change.

use crate::{
    id::{CertificateId, JobId},
    instance::{Change, Check, PlannedStep},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// Who issued a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateSource {
    /// The platform's authority; it is renewed by itself.
    Platform,
    /// The tenant uploaded it, and renews it.
    Own,
}

/// How a certificate came to be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateReason {
    /// With the instance.
    Created,
    Uploaded,
    /// Somebody asked for a new one.
    Rotated,
    /// The service itself, before the earlier one ended.
    Renewed,
    /// Brokers were given names that the earlier one did not cover.
    Addresses,
}

/// What every broker shows to clients now.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Certificate {
    pub id: CertificateId,
    pub source: CertificateSource,
    pub reason: CertificateReason,
    pub subject: String,
    pub issuer: String,
    /// Hexadecimal.
    pub serial: String,
    /// SHA-256 of the certificate, hexadecimal.
    pub fingerprint_sha256: String,
    /// `ECDSA P-256`, `RSA 2048`.
    pub key: String,
    /// Host names and addresses that clients may reach it by.
    pub names: Vec<String>,
    /// Addresses of brokers that it does not cover; clients that verify host names refuse these.
    pub uncovered: Vec<String>,
    pub valid_from: DateTime<Utc>,
    pub valid_until: DateTime<Utc>,
    /// Whole days until then; negative when it has expired.
    pub days_left: i64,
    /// When the service issues the next one; null for an own certificate.
    pub renews_at: Option<DateTime<Utc>>,
    /// As it is shown, leaf first. PEM.
    pub chain_pem: String,
    /// Authorities that clients should trust now: of this certificate, and of earlier ones while they overlap.
    pub trust: Vec<TrustedAuthority>,
    /// What told the tenant that an own certificate ends soon.
    pub notices: Vec<ExpiryNotice>,
    /// Null: the service itself.
    pub created_by: Option<String>,
    pub created_at: DateTime<Utc>,
    pub job_id: Option<JobId>,
    /// Those that were served before, the newest first; the last 100 are kept.
    pub history: Vec<EarlierCertificate>,
    pub etag: String,
}

/// An authority in the truststore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrustedAuthority {
    pub subject: String,
    pub fingerprint_sha256: String,
    pub valid_until: DateTime<Utc>,
    /// When it leaves the truststore; null while its certificate is served.
    pub trusted_until: Option<DateTime<Utc>>,
}

/// The service told of an expiry: here, in its log and by its metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExpiryNotice {
    /// Days that were left, at most; 0: less than a day, or none.
    pub days_left: i64,
    pub at: DateTime<Utc>,
}

/// A certificate that is no longer served.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EarlierCertificate {
    pub id: CertificateId,
    pub source: CertificateSource,
    pub reason: CertificateReason,
    pub subject: String,
    pub issuer: String,
    pub serial: String,
    pub fingerprint_sha256: String,
    pub valid_until: DateTime<Utc>,
    pub notices: Vec<ExpiryNotice>,
    pub created_by: Option<String>,
    pub created_at: DateTime<Utc>,
    pub job_id: Option<JobId>,
    pub replaced_at: DateTime<Utc>,
    /// Its authority stays in the truststore until then.
    pub trusted_until: DateTime<Utc>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateFormat {
    /// `keystore` is a Java keystore.
    Jks,
    /// `keystore` is a PKCS#12 file.
    Pkcs12,
    /// `certificate_pem` and `private_key_pem`.
    Pem,
}

/// A certificate of one's own with its key. Keys and passwords are never shown again.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UploadCertificate {
    pub format: CertificateFormat,
    /// JKS and PKCS#12: the file in base64, at most 256 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Byte)]
    pub keystore: Option<String>,
    /// 8 to 32 characters, three of: upper case, lower case, digit, special; not beginning with `-`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Password)]
    pub keystore_password: Option<String>,
    /// JKS: of the key, where it is another one than the keystore's. Same rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Password)]
    pub key_password: Option<String>,
    /// Which key, when the keystore holds several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// What clients trust, when the keystore's chain does not end in a root: JKS or PKCS#12 in base64, at most 256 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Byte)]
    pub truststore: Option<String>,
    /// Same rules as for the keystore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Password)]
    pub truststore_password: Option<String>,
    /// PEM: the certificate, then its chain; at most 256 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_pem: Option<String>,
    /// PEM: the key, not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Password)]
    pub private_key_pem: Option<String>,
    /// PEM: the root that clients trust, when the chain does not hold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
    /// How long the truststore also holds the authority of the certificate that is replaced: 0 to 8760, 720 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap_hours: Option<u32>,
}

impl fmt::Debug for UploadCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadCertificate").field("format", &self.format).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateCertificate {
    /// As for an upload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap_hours: Option<u32>,
}

/// What a change of the certificate would do; nothing is kept.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CertificatePlan {
    pub checks: Vec<Check>,
    pub changes: Vec<Change>,
    pub source: CertificateSource,
    /// Null where the job will issue it.
    pub serial: Option<String>,
    pub subject: String,
    pub issuer: String,
    pub key: String,
    /// Host names and addresses that clients may reach it by.
    pub names: Vec<String>,
    /// Addresses of brokers that it does not cover. A certificate that lacks one is refused.
    pub uncovered: Vec<String>,
    pub valid_from: DateTime<Utc>,
    pub valid_until: DateTime<Utc>,
    /// What clients must trust before the change, as PEM: give it to them first.
    pub trust_pem: String,
    /// What the truststore holds after the change.
    pub trust: Vec<TrustedAuthority>,
    pub steps: Vec<PlannedStep>,
    pub eta_seconds: u64,
}
