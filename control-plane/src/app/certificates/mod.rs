//! The certificate that an instance shows to clients: shown, replaced by an own one or by the platform's next.
//!
//! A change is a job. What is served is in force until the job has put another in its place, and is put back when the job
//! fails. What clients trust is what is served, and what was while its overlap lasts.

mod change;
pub(in crate::app) mod client_trust;
mod upload;

pub use change::{plan_rotation, plan_upload, rotate_certificate, upload_certificate};

use crate::{
    app::{App, AppError, instances},
    domain::{actor::ProjectScope, certificate, client_paths, rights::Right},
    jobs::{engine::StepError, workflow::certificate_change},
    pki::{self, AuthorityKind, Facts, PkiError},
    store::{
        TenantTx, brokers,
        certificates::{self, CertificateRecord},
        provisioning,
    },
};
use chrono::{DateTime, Utc};
use control_plane_api::{
    access::Access,
    certificate::{Certificate, CertificateSource, EarlierCertificate, TrustedAuthority},
    id::InstanceId,
    instance::{Broker, InstanceAction},
};

impl From<PkiError> for AppError {
    fn from(error: PkiError) -> Self {
        Self::Internal(format!("certificates: {error}"))
    }
}

impl From<StepError> for AppError {
    fn from(error: StepError) -> Self {
        Self::Internal(error.to_string())
    }
}

pub async fn get_certificate(app: &App, scope: &ProjectScope, id_or_name: &str) -> Result<Certificate, AppError> {
    scope.require(Right::ConnectionRead)?;
    let mut tx = app.db.tenant(scope).await?;
    let instance = instances::find(&mut tx, id_or_name).await?;
    instances::allow(&instance, InstanceAction::Use)?;
    let known = known(app, &mut tx, instance.id).await?;
    let names = names(&mut tx, instance.id, &instance.access).await?;
    drop(tx);
    view(known, &names, app.clock.now())
}

/// What clients of the instance should trust now. PEM.
pub(crate) async fn trust(app: &App, tx: &mut TenantTx, instance: InstanceId) -> Result<String, AppError> {
    let records = certificates::list(tx, instance).await?;
    if records.is_empty() {
        return platform_ca(app).await;
    }
    Ok(pki::bundle(trusted(&records, app.clock.now()).map(|(record, _)| record.trust_pem.as_str()))?)
}

/// The root of what the platform issues; it is made with the first instance.
async fn platform_ca(app: &App) -> Result<String, AppError> {
    let mut tx = app.db.system().await?;
    let authority = provisioning::authority(&mut tx, AuthorityKind::Platform.as_str(), None).await?;
    authority.map(|authority| authority.certificate_pem).ok_or_else(AppError::not_found)
}

/// What is served and what was, the newest first; of an instance from before this was recorded too.
async fn known(app: &App, tx: &mut TenantTx, instance: InstanceId) -> Result<Vec<CertificateRecord>, AppError> {
    let records = certificates::list(tx, instance).await?;
    if !records.is_empty() {
        return Ok(records);
    }
    let mut system = app.db.system().await?;
    let found = certificate_change::adopt(&mut system, &app.keyring, instance).await?;
    system.commit().await?;
    if found { Ok(certificates::list(tx, instance).await?) } else { Err(AppError::not_found()) }
}

/// What a certificate of this instance must cover.
async fn names(tx: &mut TenantTx, instance: InstanceId, access: &Access) -> Result<Vec<String>, AppError> {
    Ok(names_of(&brokers_of(tx, instance).await?, access))
}

fn names_of(brokers: &[Broker], access: &Access) -> Vec<String> {
    client_paths::names(access, &instances::places(brokers).unwrap_or_default())
}

async fn brokers_of(tx: &mut TenantTx, instance: InstanceId) -> Result<Vec<Broker>, AppError> {
    Ok(brokers::list(tx, &[instance]).await?.remove(&instance).unwrap_or_default())
}

/// What the tenant's own certificate leaves uncovered of the names that the access asks for; `None` when the platform's is
/// served, which is issued anew for what it lacks.
pub(crate) async fn uncovered_by_own(
    tx: &mut TenantTx,
    instance: InstanceId,
    access: &Access,
) -> Result<Option<Vec<String>>, AppError> {
    let served = certificates::list(tx, instance).await?.into_iter().next();
    let Some(own) = served.filter(|served| served.source == CertificateSource::Own) else { return Ok(None) };
    let names = names(tx, instance, access).await?;
    Ok(Some(pki::uncovered(&own.certificate_pem, &names)?))
}

/// Those whose authority clients should trust now, and until when; no end for the one that is served.
fn trusted(
    records: &[CertificateRecord],
    now: DateTime<Utc>,
) -> impl Iterator<Item = (&CertificateRecord, Option<DateTime<Utc>>)> {
    records.iter().filter_map(move |record| match record.replaced {
        None => Some((record, None)),
        Some((_, until)) => (until > now).then_some((record, Some(until))),
    })
}

/// Each authority once, with the last time that any of its certificates needs it.
fn authorities(records: &[CertificateRecord], now: DateTime<Utc>) -> Result<Vec<TrustedAuthority>, PkiError> {
    let mut all: Vec<TrustedAuthority> = Vec::new();
    for (record, until) in trusted(records, now) {
        for root in pki::certificates(&record.trust_pem)? {
            let facts = Facts::of(&root)?;
            match all.iter_mut().find(|one| one.fingerprint_sha256 == facts.fingerprint_sha256) {
                // The newest come first; an end that is open stays open.
                Some(known) => {
                    known.trusted_until = known.trusted_until.zip(until).map(|(one, other)| one.max(other));
                }
                None => all.push(TrustedAuthority {
                    subject: facts.subject,
                    fingerprint_sha256: facts.fingerprint_sha256,
                    valid_until: facts.not_after,
                    trusted_until: until,
                }),
            }
        }
    }
    Ok(all)
}

fn view(records: Vec<CertificateRecord>, names: &[String], now: DateTime<Utc>) -> Result<Certificate, AppError> {
    let trust = authorities(&records, now)?;
    let mut records = records.into_iter();
    let served = records.next().ok_or_else(AppError::not_found)?;
    let shown = usize::try_from(certificates::KEPT).unwrap_or_default();
    let history = records.take(shown).map(earlier).collect::<Result<_, _>>()?;
    let facts = Facts::of_pem(&served.certificate_pem)?;
    Ok(Certificate {
        id: served.id,
        source: served.source,
        reason: served.reason,
        subject: facts.subject,
        issuer: facts.issuer,
        serial: facts.serial,
        fingerprint_sha256: facts.fingerprint_sha256,
        key: facts.key.to_string(),
        names: facts.names,
        uncovered: pki::uncovered(&served.certificate_pem, names)?,
        valid_from: facts.not_before,
        valid_until: facts.not_after,
        days_left: certificate::days_left(facts.not_after, now),
        renews_at: served.renew_at,
        chain_pem: served.certificate_pem,
        trust,
        notices: served.notices,
        created_by: served.created_by,
        created_at: served.created_at,
        job_id: served.job,
        history,
        etag: served.id.to_string(),
    })
}

fn earlier(record: CertificateRecord) -> Result<EarlierCertificate, AppError> {
    let facts = Facts::of_pem(&record.certificate_pem)?;
    let (replaced_at, trusted_until) =
        record.replaced.ok_or_else(|| AppError::Internal(format!("{} is served beside another", record.id)))?;
    Ok(EarlierCertificate {
        id: record.id,
        source: record.source,
        reason: record.reason,
        subject: facts.subject,
        issuer: facts.issuer,
        serial: facts.serial,
        fingerprint_sha256: facts.fingerprint_sha256,
        valid_until: facts.not_after,
        notices: record.notices,
        created_by: record.created_by,
        created_at: record.created_at,
        job_id: record.job,
        replaced_at,
        trusted_until,
    })
}
