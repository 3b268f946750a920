//! `/v1/projects/{project}/instances/{instance}/certificate`.

use crate::{
    app::{App, certificates},
    domain::actor::ProjectScope,
    http::{
        ApiRouter, HttpError, Idempotent, IfMatch, ResourcePath, Tagged,
        accepted::{Accepted, Answering, DryRun, PlanOr},
    },
};
use axum::extract::State;
use control_plane_api::{
    certificate::{Certificate, CertificatePlan, RotateCertificate, UploadCertificate},
    job::Job,
    problem::Problem,
};
use std::sync::Arc;
use utoipa_axum::routes;

pub fn router() -> ApiRouter {
    ApiRouter::new().routes(routes!(get_certificate, upload_certificate)).routes(routes!(rotate_certificate))
}

/// Show the certificate of an instance
///
/// What every broker shows to clients on its TLS ports, what clients must trust, and what was shown before.
#[utoipa::path(get, path = "/v1/projects/{project}/instances/{instance}/certificate", tag = "certificates", security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name.")),
    responses((status = 200, body = Certificate), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn get_certificate(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
) -> Result<Tagged<Certificate>, HttpError> {
    Ok(Tagged(certificates::get_certificate(&app, &scope, &instance).await?))
}

/// Upload a certificate of one's own
///
/// With its key, as a JKS or PKCS#12 keystore or as PEM. Whatever keeps brokers from serving it or clients from accepting it is
/// refused, all faults together, and what is served stays. Otherwise the job gives it to every broker and sees each show it: new
/// handshakes have it within 2 seconds, no broker restarts, no connection ends. The truststore holds both authorities while they overlap.
#[utoipa::path(put, path = "/v1/projects/{project}/instances/{instance}/certificate", tag = "certificates", request_body = UploadCertificate, security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."), DryRun,
        ("If-Match" = Option<String>, Header, description = "Entity tag of the certificate as it was seen, or `*`; another one is refused with 412, none with 428. Not needed with `dry_run`."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours."),
        ("Prefer" = Option<String>, Header, description = "`wait=30` holds the answer until the job has ended, 30 seconds at most.")),
    responses((status = 202, body = Job, headers(("Location" = String, description = "The job."), ("Retry-After" = u64))),
        (status = 200, description = "With `dry_run`: what would be done.", body = CertificatePlan),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn upload_certificate(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
    answering: Answering,
    if_match: IfMatch,
    request: Idempotent<UploadCertificate>,
) -> Result<PlanOr<Accepted, CertificatePlan>, HttpError> {
    let plan = async || certificates::plan_upload(&app, &scope, &instance, if_match.tags(), &request.body).await;
    let change = async || {
        certificates::upload_certificate(&app, &scope, &instance, if_match.tags(), request.key, &request.body).await
    };
    answering.by(&app, &scope, plan, change).await
}

/// Have the platform issue a new certificate
///
/// With a new key, for every address of the brokers; also the way back from a certificate of one's own. As for an upload, no
/// client notices that trusts the platform's authority.
#[utoipa::path(post, path = "/v1/projects/{project}/instances/{instance}/certificate/rotate", tag = "certificates", request_body = RotateCertificate, security(("bearer" = [])),
    params(("project" = String, Path, description = "Id or name."), ("instance" = String, Path, description = "Id or name."), DryRun,
        ("If-Match" = Option<String>, Header, description = "Entity tag of the certificate as it was seen; another one is refused with 412."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats with the same key get the first answer, for 24 hours."),
        ("Prefer" = Option<String>, Header, description = "`wait=30` holds the answer until the job has ended, 30 seconds at most.")),
    responses((status = 202, body = Job, headers(("Location" = String, description = "The job."), ("Retry-After" = u64))),
        (status = 200, description = "With `dry_run`: what would be done.", body = CertificatePlan),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn rotate_certificate(
    State(app): State<Arc<App>>,
    scope: ProjectScope,
    ResourcePath((_, instance)): ResourcePath<(String, String)>,
    answering: Answering,
    if_match: IfMatch,
    request: Idempotent<RotateCertificate>,
) -> Result<PlanOr<Accepted, CertificatePlan>, HttpError> {
    let plan = async || certificates::plan_rotation(&app, &scope, &instance, if_match.tags(), &request.body).await;
    let change = async || {
        certificates::rotate_certificate(&app, &scope, &instance, if_match.tags(), request.key, &request.body).await
    };
    answering.by(&app, &scope, plan, change).await
}
