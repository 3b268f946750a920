//! Ways in to an instance: shown, and changed while traffic flows.

use super::{
    change::lock,
    configure::{check_changeable, enqueue_configure, enqueue_open},
};
use crate::{
    app::{
        Answer, App, AppError, Begun, IdempotencyKey, Refusal, Write, acls,
        audit::Entry,
        certificates::{self, client_trust},
        client_connections, jobs as job_views,
    },
    domain::{
        access, access_plan,
        actor::ProjectScope,
        authorization::{self, Present},
        kafka_user::MAX_USERS,
        node_spec, plan,
        rights::Right,
    },
    jobs::workflow::{AccessOpen, InstanceConfigure},
    store::{
        TenantTx, brokers,
        instances::{self, InstanceRecord},
        kafka_users,
    },
};
use control_plane_api::{
    access::{Access, UpdateAccess},
    instance::{Check, Plan},
    job::Job,
};
use std::collections::BTreeSet;

pub async fn get_access(app: &App, scope: &ProjectScope, id_or_name: &str) -> Result<Access, AppError> {
    scope.require(Right::InstanceRead)?;
    let mut tx = app.db.tenant(scope).await?;
    Ok(super::find(&mut tx, id_or_name).await?.access)
}

/// The access as the patch leaves it, if the instance can be changed now.
async fn next(
    app: &App,
    tx: &mut TenantTx,
    record: &InstanceRecord,
    if_match: Option<&[String]>,
    patch: &UpdateAccess,
) -> Result<Access, AppError> {
    check_changeable(record, if_match)?;
    let mtls = client_trust::patched(&record.access.mtls, patch, app.clock.now());
    let next = access::patched(&record.access, patch, mtls).map_err(Refusal::invalid)?;
    let brokers = brokers::list(tx, &[record.id]).await?.remove(&record.id).unwrap_or_default();
    let faults = access::misplaced(&next, &super::places(&brokers).unwrap_or_default());
    if faults.is_empty() { Ok(next) } else { Err(Refusal::invalid(faults).into()) }
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
    let opened = client_trust::opened(patch).await?;
    let patch = opened.as_ref();
    let mut write = match Write::begin(app, &scope.actor, scope, key).await? {
        Begun::Replayed(answer) => return Ok(answer),
        Begun::Fresh(write) => write,
    };
    let record = lock(&mut write.tx, id_or_name).await?;
    let next = next(app, &mut write.tx, &record, if_match, patch).await?;
    let authorization = record.access.authorization != next.authorization || record.access.anonymous != next.anonymous;
    let job = if access::opens(&record.access, &next) {
        enqueue_open(app, scope, &mut write.tx, &record, authorization).await?
    } else {
        enqueue_configure(app, scope, &mut write.tx, &record, authorization).await?
    };
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
    let opened = client_trust::opened(patch).await?;
    let patch = opened.as_ref();
    let mut tx = app.db.tenant(scope).await?;
    let record = super::find(&mut tx, id_or_name).await?;
    let next = next(app, &mut tx, &record, if_match, patch).await?;
    let opens = access::opens(&record.access, &next);
    let mut checks = access_plan::checks(&record.access, &next);
    if opens && let Some(uncovered) = certificates::uncovered_by_own(&mut tx, record.id, &next).await? {
        checks.extend(uncovered_names(&record.access, &next, &uncovered));
    }
    drop(tx);
    let (steps, eta_seconds) = if opens {
        job_views::planned::<AccessOpen>(app).await?
    } else {
        job_views::planned::<InstanceConfigure>(app).await?
    };
    let mut unheard = BTreeSet::new();
    if authorization::takes(&record.access, &next) {
        let (losses, silent) = losses(app, scope, &record, &next).await?;
        checks.extend(losses);
        unheard.extend(silent);
    }
    if record.access.mtls.enabled && record.access.mtls != next.mtls {
        let trusted = node_spec::client_certificates(&next.mtls);
        let (unkept, silent) = client_connections::unkept(app, record.id, trusted).await?;
        checks.extend(access_plan::mtls_losses(&unkept, &silent));
        unheard.extend(silent);
    }
    let gone = access_plan::switched_off(&record.access, &next);
    if !gone.is_empty() {
        let (by_login, silent) = client_connections::count_by_login(app, record.id, &gone).await?;
        checks.extend(access_plan::mechanism_losses(by_login, &silent));
        unheard.extend(silent);
    }
    checks.extend(unheard.into_iter().map(access_plan::silent));
    Ok(Plan {
        checks,
        changes: access_plan::changes(&record.access, &next),
        steps,
        price: None,
        eta_seconds: Some(eta_seconds),
    })
}

/// What an own certificate does not cover, where the platform's would be issued anew.
fn uncovered_names(from: &Access, to: &Access, uncovered: &[String]) -> Option<Check> {
    let mut names = uncovered.to_vec();
    if to.public_sasl_ssl && !from.is_public() {
        names.push("the public addresses, which are not given yet".to_owned());
    }
    let detail = format!(
        "your own certificate does not cover {}: clients that verify host names refuse it there until you upload one that does",
        names.join(", ")
    );
    (!names.is_empty()).then(|| plan::warning("uncovered-address", detail))
}

/// Who loses what by the change, by what Kafka, its users and the brokers say now; and the brokers that say nothing.
async fn losses(
    app: &App,
    scope: &ProjectScope,
    record: &InstanceRecord,
    next: &Access,
) -> Result<(Vec<Check>, Vec<i32>), AppError> {
    let mut tx = app.db.tenant(scope).await?;
    let all = i64::try_from(MAX_USERS).unwrap_or(i64::MAX);
    let users = kafka_users::list(&mut tx, record.id, None, all).await?;
    drop(tx);
    let users: Vec<String> = users.into_iter().filter(|user| !user.disabled).map(|user| user.name).collect();
    let bindings = acls::bindings(app, record.id).await?;
    let (connections, silent) = client_connections::count_by_user(app, record.id).await?;
    let present = Present { users: &users, bindings: &bindings, connections };
    Ok((authorization::losses(&record.access, next, &present), silent))
}
