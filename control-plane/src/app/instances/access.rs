//! Ways in to an instance: shown, and changed while traffic flows.

use super::{
    change::lock,
    configure::{check_changeable, enqueue_configure},
};
use crate::{
    app::{
        Answer, App, AppError, Begun, IdempotencyKey, Refusal, Write, acls, audit::Entry, client_connections,
        jobs as job_views,
    },
    domain::{
        access,
        actor::ProjectScope,
        authorization::{self, Present},
        kafka_user::MAX_USERS,
        rights::Right,
    },
    jobs::workflow::InstanceConfigure,
    store::{
        instances::{self, InstanceRecord},
        kafka_users,
    },
};
use control_plane_api::{
    access::{Access, UpdateAccess},
    instance::{Check, Plan},
    job::Job,
};

pub async fn get_access(app: &App, scope: &ProjectScope, id_or_name: &str) -> Result<Access, AppError> {
    scope.require(Right::InstanceRead)?;
    let mut tx = app.db.tenant(scope).await?;
    Ok(super::find(&mut tx, id_or_name).await?.access)
}

/// The access as the patch leaves it, if the instance can be changed now.
fn next(record: &InstanceRecord, if_match: Option<&[String]>, patch: &UpdateAccess) -> Result<Access, AppError> {
    check_changeable(record, if_match)?;
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
    let authorization = record.access.authorization != next.authorization || record.access.anonymous != next.anonymous;
    let job = enqueue_configure(app, scope, &mut write.tx, &record, authorization).await?;
    instances::set_access(&mut write.tx, record.id, &next, app.clock.now()).await?;
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
    let mut checks = access::checks(&record.access, &next);
    if authorization::takes(&record.access, &next) {
        checks.extend(losses(app, scope, &record, &next).await?);
    }
    Ok(Plan {
        checks,
        changes: access::changes(&record.access, &next),
        steps,
        price: None,
        eta_seconds: Some(eta_seconds),
    })
}

/// Who loses what by the change: by what Kafka, its users and the brokers say now.
async fn losses(
    app: &App,
    scope: &ProjectScope,
    record: &InstanceRecord,
    next: &Access,
) -> Result<Vec<Check>, AppError> {
    let mut tx = app.db.tenant(scope).await?;
    let all = i64::try_from(MAX_USERS).unwrap_or(i64::MAX);
    let users = kafka_users::list(&mut tx, record.id, None, all).await?;
    drop(tx);
    let users: Vec<String> = users.into_iter().filter(|user| !user.disabled).map(|user| user.name).collect();
    let bindings = acls::bindings(app, record.id).await?;
    let (connections, silent_brokers) = client_connections::count_by_user(app, record.id).await?;
    let present = Present { users: &users, bindings: &bindings, connections, silent_brokers };
    Ok(authorization::losses(&record.access, next, &present))
}
