//! `certificate-change`: clients of a running instance are shown another certificate. No broker restarts, and no connection ends.
//!
//! ```text
//! install   the new key is sealed, the old one kept beside it; the truststore holds both authorities   one transaction
//! push      every gateway takes the new one for the handshakes that begin from now on
//! prove     a handshake with every broker, verified as clients verify; then the old key is forgotten
//! ```
//! A job that cannot finish is undone: the old certificate is served again everywhere. A broker that was away hears of
//! either end from the loop that watches it.

mod brokers;
mod install;

use super::Environment;
use crate::{
    domain::certificate,
    jobs::engine::{OnFailure, Step, StepContext, StepError, Workflow},
    pki::{Facts, PkiError},
    provisioned::{self, secret},
    secrets::Keyring,
    store::{
        Connection,
        certificates::{self, NewCertificate},
        provisioning as rows,
    },
};
use broker_api::spec::TlsIdentity;
use chrono::{DateTime, Utc};
use control_plane_api::{
    certificate::{CertificateReason, CertificateSource},
    id::{CertificateId, InstanceId, JobId},
};
use serde::{Deserialize, Serialize};

#[derive(Debug)]
pub struct CertificateChange;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    pub instance_id: InstanceId,
    /// Of the new certificate.
    pub certificate_id: CertificateId,
    pub reason: CertificateReason,
    /// How long the old one's authority stays in the truststore.
    pub overlap_hours: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// An own certificate, judged when it was uploaded. Without one the platform issues.
    pub own: Option<TlsIdentity>,
}

type Context<'a> = StepContext<'a, CertificateChange>;

impl Workflow for CertificateChange {
    type Environment = Environment;
    type Params = Params;
    type Secrets = Secrets;

    const KIND: &'static str = "certificate-change";
    const VERSION: i32 = 1;
    const TITLE: &'static str = "Change certificate";
    const ON_FAILURE: OnFailure = OnFailure::Undo;
    const CANCELLABLE: bool = true;
    const EXCLUSIVE: bool = false;

    fn steps() -> Vec<Box<dyn Step<Self>>> {
        vec![Box::new(install::Install), Box::new(brokers::Push), Box::new(brokers::Prove)]
    }
}

/// How a certificate comes to be served, besides what it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) id: CertificateId,
    pub(super) source: CertificateSource,
    pub(super) reason: CertificateReason,
    pub(super) created_by: Option<&'a str>,
    pub(super) job: Option<JobId>,
    pub(super) at: DateTime<Utc>,
}

/// The row of a certificate.
pub(super) fn record<'a>(identity: &'a TlsIdentity, origin: Origin<'a>) -> Result<NewCertificate<'a>, PkiError> {
    let facts = Facts::of_pem(&identity.certificate_pem)?;
    let renews = origin.source == CertificateSource::Platform;
    Ok(NewCertificate {
        id: origin.id,
        source: origin.source,
        reason: origin.reason,
        certificate_pem: &identity.certificate_pem,
        trust_pem: &identity.ca_pem,
        not_after: facts.not_after,
        renew_at: renews.then(|| certificate::renew_at(facts.not_before, facts.not_after)),
        created_by: origin.created_by,
        job: origin.job,
        created_at: origin.at,
    })
}

/// Records the certificate of an instance that was made before certificates were recorded. False when it has none yet.
pub async fn adopt(tx: &mut Connection, keyring: &Keyring, instance: InstanceId) -> Result<bool, StepError> {
    if certificates::served(tx, instance).await?.is_some() {
        return Ok(true);
    }
    let Some((row, _)) = rows::load(tx, instance).await? else { return Ok(false) };
    let secrets = provisioned::Secrets::load(tx, keyring, instance).await?;
    if !secrets.has(secret::CLIENTS_TLS) {
        return Ok(false);
    }
    let identity: TlsIdentity = secrets.get(secret::CLIENTS_TLS)?;
    let origin = Origin {
        id: CertificateId::generate(),
        source: CertificateSource::Platform,
        reason: CertificateReason::Created,
        created_by: None,
        job: None,
        at: Facts::of_pem(&identity.certificate_pem)?.not_before,
    };
    certificates::insert(tx, row.org, instance, &record(&identity, origin)?).await?;
    Ok(true)
}
