//! Upload and rotation. What may be changed is decided once, for the change and for its plan.

use super::{authorities, brokers_of, known, names, names_of, platform_ca, upload::Upload};
use crate::{
    app::{
        Answer, App, AppError, Begun, IdempotencyKey, Refusal, Write, audit::Entry, check_tag, instances,
        jobs as job_views,
    },
    domain::{
        actor::ProjectScope,
        certificate,
        plan::{self, Effect},
        rights::Right,
    },
    jobs::{
        engine::{NewJob, Resource, enqueue},
        workflow::{CertificateChange, certificate_change as job},
    },
    pki::{self, Facts, KeyKind, OwnCertificate, Purpose},
    store::{TenantTx, certificates::CertificateRecord, instances::InstanceRecord},
};
use chrono::{DateTime, Duration, Utc};
use control_plane_api::{
    certificate::{
        CertificatePlan, CertificateReason, CertificateSource, RotateCertificate, TrustedAuthority, UploadCertificate,
    },
    id::{CertificateId, JobId},
    instance::{Check, InstanceAction},
    job::Job,
    problem::ProblemCode,
};
use serde_json::json;

/// What is to be served.
enum Next {
    Own(Box<OwnCertificate>),
    /// Issued by the job.
    Platform,
}

/// Shows an own certificate to clients from now on. The answer is the job that tells every broker.
pub async fn upload_certificate(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    if_match: Option<&[String]>,
    key: Option<IdempotencyKey>,
    request: &UploadCertificate,
) -> Result<Answer<Job>, AppError> {
    scope.require(Right::InstanceUpdate)?;
    if if_match.is_none() {
        return Err(Refusal::new(ProblemCode::PreconditionRequired).into());
    }
    let upload = Upload::new(request)?;
    let overlap = upload.overlap;
    // Before the transaction: to open a keystore may take a second.
    let own = judged(app, scope, instance, upload).await?;
    change(app, scope, instance, if_match, key, Next::Own(Box::new(own)), overlap).await
}

/// What the upload would do.
pub async fn plan_upload(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    if_match: Option<&[String]>,
    request: &UploadCertificate,
) -> Result<CertificatePlan, AppError> {
    scope.require(Right::InstanceUpdate)?;
    let upload = Upload::new(request)?;
    let overlap = upload.overlap;
    let own = judged(app, scope, instance, upload).await?;
    plan(app, scope, instance, if_match, &Next::Own(Box::new(own)), overlap).await
}

/// Has the platform issue the next certificate: after a key was seen by others, or back from an own one.
pub async fn rotate_certificate(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    if_match: Option<&[String]>,
    key: Option<IdempotencyKey>,
    request: &RotateCertificate,
) -> Result<Answer<Job>, AppError> {
    scope.require(Right::InstanceUpdate)?;
    let overlap = overlap(request)?;
    change(app, scope, instance, if_match, key, Next::Platform, overlap).await
}

/// What the rotation would do.
pub async fn plan_rotation(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    if_match: Option<&[String]>,
    request: &RotateCertificate,
) -> Result<CertificatePlan, AppError> {
    scope.require(Right::InstanceUpdate)?;
    plan(app, scope, instance, if_match, &Next::Platform, overlap(request)?).await
}

fn overlap(request: &RotateCertificate) -> Result<Duration, AppError> {
    let mut faults = Vec::new();
    let overlap = certificate::overlap("/overlap_hours", request.overlap_hours, &mut faults);
    if faults.is_empty() { Ok(overlap) } else { Err(Refusal::invalid(faults).into()) }
}

/// The upload, if it is good for the instance.
async fn judged(app: &App, scope: &ProjectScope, instance: &str, upload: Upload) -> Result<OwnCertificate, AppError> {
    let mut tx = app.db.tenant(scope).await?;
    let record = instances::find(&mut tx, instance).await?;
    instances::allow(&record, InstanceAction::Use)?;
    let names = names(&mut tx, record.id, &record.access).await?;
    drop(tx);
    upload.judge(names, app.clock.now()).await
}

/// Refuses what may not be now. What is served, and what was.
async fn examine(
    app: &App,
    tx: &mut TenantTx,
    record: &InstanceRecord,
    if_match: Option<&[String]>,
) -> Result<Vec<CertificateRecord>, AppError> {
    instances::allow(record, InstanceAction::Use)?;
    let known = known(app, tx, record.id).await?;
    check_tag(if_match, &known.first().map(|served| served.id.to_string()).unwrap_or_default())?;
    if let Some(job) = record.active_job {
        return Err(Refusal::new(ProblemCode::JobActive).with("job_id", job.to_string()).into());
    }
    Ok(known)
}

async fn change(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    if_match: Option<&[String]>,
    key: Option<IdempotencyKey>,
    next: Next,
    overlap: Duration,
) -> Result<Answer<Job>, AppError> {
    let mut write = match Write::begin(app, &scope.actor, scope, key).await? {
        Begun::Replayed(answer) => return Ok(answer),
        Begun::Fresh(write) => write,
    };
    let record = instances::lock(&mut write.tx, instance).await?;
    examine(app, &mut write.tx, &record, if_match).await?;
    let id = CertificateId::generate();
    let (operation, reason, own, detail) = match next {
        Next::Own(own) => {
            let detail = json!({
                "certificate": id, "serial": own.facts.serial, "subject": own.facts.subject,
                "fingerprint_sha256": own.facts.fingerprint_sha256, "valid_until": own.facts.not_after,
            });
            ("upload_certificate", CertificateReason::Uploaded, Some(own.identity), detail)
        }
        Next::Platform => ("rotate_certificate", CertificateReason::Rotated, None, json!({ "certificate": id })),
    };
    let job = NewJob::<CertificateChange> {
        id: JobId::generate(),
        org: scope.actor.organisation,
        project: scope.project,
        params: job::Params {
            instance_id: record.id,
            certificate_id: id,
            reason,
            overlap_hours: u32::try_from(overlap.num_hours()).unwrap_or_default(),
        },
        secrets: job::Secrets { own },
        resource: Some(Resource { kind: "instance", id: record.id.uuid(), name: record.name.clone() }),
        actor: scope.actor.label(),
        request_id: scope.actor.origin.request_id.clone(),
        // Seconds count: others wait for minutes anyway.
        priority: 10,
        run_after: app.clock.now(),
    };
    let job = enqueue(&mut write.tx, &app.keyring, &app.clock, job).await?;
    let view = job_views::show(app, &mut write.tx, job).await?;
    write.commit(Entry::new(operation).on("instance", record.id).job(job).detail(&detail), view).await
}

async fn plan(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    if_match: Option<&[String]>,
    next: &Next,
    overlap: Duration,
) -> Result<CertificatePlan, AppError> {
    let mut tx = app.db.tenant(scope).await?;
    let record = instances::find(&mut tx, instance).await?;
    let known = examine(app, &mut tx, &record, if_match).await?;
    let brokers = brokers_of(&mut tx, record.id).await?;
    drop(tx);
    let now = app.clock.now();
    let next = expected(app, next, names_of(&brokers, &record.access), now).await?;
    let ids: Vec<i32> = brokers.iter().map(|broker| broker.id).collect();
    let (steps, eta_seconds) = job_views::planned_for::<CertificateChange>(app, &ids).await?;
    let served = known.first().ok_or_else(AppError::not_found)?;
    let from = Facts::of_pem(&served.certificate_pem)?;
    let trust = trust_after(&next.trust_pem, &known, now, overlap)?;
    Ok(CertificatePlan {
        checks: checks(&next, served, &trust, now, overlap)?,
        changes: vec![
            plan::change("/source", json!(served.source), json!(next.source), Effect::Live),
            plan::change("/serial", json!(from.serial), json!(next.serial), Effect::Live),
            plan::change("/issuer", json!(from.issuer), json!(next.issuer), Effect::Live),
            plan::change("/valid_until", json!(from.not_after), json!(next.valid_until), Effect::Live),
        ],
        source: next.source,
        serial: next.serial,
        subject: next.subject,
        issuer: next.issuer,
        key: next.key,
        names: next.names,
        uncovered: Vec::new(),
        valid_from: next.valid_from,
        valid_until: next.valid_until,
        trust_pem: next.trust_pem,
        trust,
        steps,
        eta_seconds,
    })
}

/// The next certificate as far as it is known before it is issued.
struct Expected {
    source: CertificateSource,
    serial: Option<String>,
    subject: String,
    issuer: String,
    key: String,
    names: Vec<String>,
    valid_from: DateTime<Utc>,
    valid_until: DateTime<Utc>,
    trust_pem: String,
}

async fn expected(app: &App, next: &Next, names: Vec<String>, now: DateTime<Utc>) -> Result<Expected, AppError> {
    Ok(match next {
        Next::Own(own) => Expected {
            source: CertificateSource::Own,
            serial: Some(own.facts.serial.clone()),
            subject: own.facts.subject.clone(),
            issuer: own.facts.issuer.clone(),
            key: own.facts.key.to_string(),
            names: own.facts.names.clone(),
            valid_from: own.facts.not_before,
            valid_until: own.facts.not_after,
            trust_pem: own.identity.ca_pem.clone(),
        },
        Next::Platform => {
            let trust_pem = platform_ca(app).await?;
            let root = Facts::of_pem(&trust_pem)?;
            Expected {
                source: CertificateSource::Platform,
                serial: None,
                subject: Purpose::ClientListener.subject(),
                issuer: root.subject,
                key: KeyKind::EcdsaP256.to_string(),
                names,
                valid_from: now,
                valid_until: Purpose::ClientListener.end(now).min(root.not_after),
                trust_pem,
            }
        }
    })
}

/// What the truststore will hold: the next one's root, and those of today for as long as they are needed.
fn trust_after(
    trust_pem: &str,
    known: &[CertificateRecord],
    now: DateTime<Utc>,
    overlap: Duration,
) -> Result<Vec<TrustedAuthority>, AppError> {
    let mut trust = Vec::new();
    for root in pki::certificates(trust_pem)? {
        let Facts { subject, fingerprint_sha256, not_after: valid_until, .. } = Facts::of(&root)?;
        trust.push(TrustedAuthority { subject, fingerprint_sha256, valid_until, trusted_until: None });
    }
    for mut authority in authorities(known, now)? {
        let until = *authority.trusted_until.get_or_insert(now + overlap);
        if until > now && trust.iter().all(|one| one.fingerprint_sha256 != authority.fingerprint_sha256) {
            trust.push(authority);
        }
    }
    Ok(trust)
}

fn checks(
    next: &Expected,
    served: &CertificateRecord,
    trust: &[TrustedAuthority],
    now: DateTime<Utc>,
    overlap: Duration,
) -> Result<Vec<Check>, AppError> {
    let mut checks = vec![
        plan::ok("covers-brokers", "it covers every address of the brokers"),
        plan::ok("live", "new handshakes see it within two seconds; no broker restarts and no connection ends"),
    ];
    let root = Facts::of_pem(&next.trust_pem)?;
    let served_root = Facts::of_pem(&served.trust_pem)?;
    if root.fingerprint_sha256 == served_root.fingerprint_sha256 {
        checks.push(plan::ok("same-authority", format!("clients that trust {} notice nothing", root.subject)));
    } else {
        let detail = format!(
            "clients must trust {} before the change, or their new connections are refused: give them trust_pem first",
            root.subject
        );
        checks.push(plan::warning("clients-must-trust", detail));
        let hours = overlap.num_hours();
        let both = format!("the truststore holds {} authorities, the old one for {hours} hours", trust.len());
        checks.push(plan::ok("overlap", both));
    }
    if next.source == CertificateSource::Own {
        let days = certificate::days_left(next.valid_until, now);
        let detail =
            format!("it ends in {days} days, and is yours to renew: the service tells of it and renews only its own");
        checks.push(if days < 30 { plan::warning("ends-soon", detail) } else { plan::ok("yours-to-renew", detail) });
    }
    Ok(checks)
}
