//! Ways in to an instance: shown, and changed while traffic flows.

use super::change::{allow, lock};
use crate::{
    app::{Answer, App, AppError, Begun, IdempotencyKey, Refusal, Write, audit::Entry, check_etag, jobs as job_views},
    domain::{access, actor::ProjectScope, rights::Right},
    jobs::{
        engine::{NewJob, Resource, enqueue},
        workflow::{InstanceConfigure, instance_configure},
    },
    store::instances::{self, InstanceRecord},
};
use control_plane_api::{
    access::{Access, UpdateAccess},
    id::JobId,
    instance::{InstanceAction, Plan},
    job::Job,
    problem::ProblemCode,
};

pub async fn get_access(app: &App, scope: &ProjectScope, id_or_name: &str) -> Result<Access, AppError> {
    scope.require(Right::InstanceRead)?;
    let mut tx = app.db.tenant(scope).await?;
    Ok(super::find(&mut tx, id_or_name).await?.access)
}

/// The access as the patch leaves it, if the instance can be changed now.
fn next(record: &InstanceRecord, if_match: Option<&[String]>, patch: &UpdateAccess) -> Result<Access, AppError> {
    check_etag(if_match, record.revision)?;
    if let Some(job) = record.active_job {
        return Err(Refusal::new(ProblemCode::JobActive).with("job_id", job.to_string()).into());
    }
    // Its brokers are there to be told.
    allow(record, InstanceAction::Use)?;
    allow(record, InstanceAction::Update)?;
    Ok(access::patched(&record.access, patch).map_err(Refusal::invalid)?)
}

/// Changes who may come in by which way. The answer is the job that tells the brokers.
pub async fn update_access(
    app: &App,
    scope: &ProjectScope,
    id_or_name: &str,
    if_match: Option<&[String]>,
    key: Option<IdempotencyKey>,
    patch: &UpdateAccess,
) -> Result<Answer<Job>, AppError> {
    scope.require(Right::InstanceUpdate)?;
    let mut write = match Write::begin(app, &scope.actor, scope, key).await? {
        Begun::Replayed(answer) => return Ok(answer),
        Begun::Fresh(write) => write,
    };
    let record = lock(&mut write.tx, id_or_name).await?;
    let next = next(&record, if_match, patch)?;
    let now = app.clock.now();
    let job = NewJob::<InstanceConfigure> {
        id: JobId::generate(),
        org: scope.actor.organisation,
        project: scope.project,
        params: instance_configure::Params { instance_id: record.id },
        secrets: (),
        resource: Some(Resource { kind: "instance", id: record.id.uuid(), name: record.name.clone() }),
        actor: scope.actor.label(),
        request_id: scope.actor.origin.request_id.clone(),
        // Seconds count: others wait for minutes anyway.
        priority: 10,
        run_after: now,
    };
    let job = enqueue(&mut write.tx, &app.keyring, &app.clock, job).await?;
    instances::set_access(&mut write.tx, record.id, &next, now).await?;
    let view = job_views::show(app, &mut write.tx, job).await?;
    write.commit(Entry::new("update_access").on("instance", record.id).job(job).detail(patch), view).await
}

/// What the patch would change.
pub async fn plan_access(
    app: &App,
    scope: &ProjectScope,
    id_or_name: &str,
    if_match: Option<&[String]>,
    patch: &UpdateAccess,
) -> Result<Plan, AppError> {
    scope.require(Right::InstanceUpdate)?;
    let mut tx = app.db.tenant(scope).await?;
    let record = super::find(&mut tx, id_or_name).await?;
    let next = next(&record, if_match, patch)?;
    drop(tx);
    let (steps, eta_seconds) = job_views::planned::<InstanceConfigure>(app).await?;
    Ok(Plan {
        checks: access::checks(&record.access, &next),
        changes: access::changes(&record.access, &next),
        steps,
        price: None,
        eta_seconds: Some(eta_seconds),
    })
}
