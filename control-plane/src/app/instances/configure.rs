//! The jobs that tell the brokers of an instance what was changed for them.

use crate::{
    app::{App, AppError, Refusal, check_etag},
    domain::actor::ProjectScope,
    jobs::{
        engine::{NewJob, Resource, Workflow, enqueue},
        workflow::{AccessOpen, InstanceConfigure, access_open, instance_configure},
    },
    store::{TenantTx, instances::InstanceRecord},
};
use control_plane_api::{
    id::{CertificateId, JobId},
    instance::InstanceAction,
    problem::ProblemCode,
};
use serde_json::json;

/// Refuses while another job changes the instance, its brokers are not there to be told, or it changed since `if_match`.
pub(super) fn check_changeable(record: &InstanceRecord, if_match: Option<&[String]>) -> Result<(), AppError> {
    check_etag(if_match, record.revision)?;
    if let Some(job) = record.active_job {
        return Err(Refusal::new(ProblemCode::JobActive).with("job_id", job.to_string()).into());
    }
    super::allow(record, InstanceAction::Use)?;
    super::allow(record, InstanceAction::Update)?;
    Ok(())
}

/// Queues the job, in the transaction that writes the change; `authorization`: Kafka's access rules change with it.
pub(super) async fn enqueue_configure(
    app: &App,
    scope: &ProjectScope,
    tx: &mut TenantTx,
    record: &InstanceRecord,
    authorization: bool,
) -> Result<JobId, AppError> {
    let params = instance_configure::Params { instance_id: record.id, authorization };
    queue::<InstanceConfigure>(app, scope, tx, record, params).await
}

/// As [`enqueue_configure`], for a change that opens ways which need something first; it is taken back when that fails.
pub(super) async fn enqueue_open(
    app: &App,
    scope: &ProjectScope,
    tx: &mut TenantTx,
    record: &InstanceRecord,
    authorization: bool,
) -> Result<JobId, AppError> {
    let params = access_open::Params {
        instance_id: record.id,
        before: json!(record.access),
        authorization,
        certificate_id: CertificateId::generate(),
    };
    queue::<AccessOpen>(app, scope, tx, record, params).await
}

async fn queue<W: Workflow<Secrets = ()>>(
    app: &App,
    scope: &ProjectScope,
    tx: &mut TenantTx,
    record: &InstanceRecord,
    params: W::Params,
) -> Result<JobId, AppError> {
    let job = NewJob::<W> {
        id: JobId::generate(),
        org: scope.actor.organisation,
        project: scope.project,
        params,
        secrets: (),
        resource: Some(Resource { kind: "instance", id: record.id.uuid(), name: record.name.clone() }),
        actor: scope.actor.label(),
        request_id: scope.actor.origin.request_id.clone(),
        // Seconds count: others wait for minutes anyway.
        priority: 10,
        run_after: app.clock.now(),
    };
    Ok(enqueue(tx, &app.keyring, &app.clock, job).await?)
}
