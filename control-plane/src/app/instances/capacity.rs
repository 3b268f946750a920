//! What happens when the disk that was bought is full: shown with how full it is, and changed while traffic flows.

use super::{
    change::lock,
    configure::{check_changeable, enqueue_configure},
    statuses::{Heard, ask_brokers},
};
use crate::{
    app::{Answer, App, AppError, Begun, IdempotencyKey, Refusal, Write, audit::Entry, jobs as job_views},
    domain::{actor::ProjectScope, capacity, rights::Right},
    jobs::workflow::InstanceConfigure,
    store::instances::{self, InstanceRecord},
};
use broker_api::status::{CapacityState as NodeState, CapacityStatus};
use chrono::DateTime;
use control_plane_api::{
    capacity::{BrokerCapacity, Capacity, CapacityNotice, CapacityState, UpdateCapacity},
    instance::Plan,
    job::Job,
};

pub async fn get_capacity(app: &App, scope: &ProjectScope, id_or_name: &str) -> Result<Capacity, AppError> {
    scope.require(Right::InstanceRead)?;
    let (record, heard) = ask_brokers(app, scope, id_or_name).await?;
    let notices = instances::capacity_notices(&mut app.db.tenant(scope).await?, record.id).await?;
    Ok(view(record.capacity, heard, notices))
}

fn view(rule: capacity::Rule, heard: Heard, notices: Vec<CapacityNotice>) -> Capacity {
    let (mut brokers, mut silent_brokers) = (Vec::new(), heard.silent);
    for (broker_id, status) in heard.brokers {
        match status.capacity {
            Some(status) => brokers.push(broker(broker_id, status)),
            None => silent_brokers.push(broker_id),
        }
    }
    silent_brokers.sort_unstable();
    Capacity {
        policy: rule.policy,
        threshold_percent: rule.threshold_percent,
        used_percent: brokers.iter().map(|broker| broker.used_percent).max_by(f64::total_cmp),
        state: brokers.iter().map(|broker| broker.state).max(),
        full_in_seconds: brokers.iter().filter_map(|broker| broker.full_in_seconds).min(),
        notices,
        brokers,
        silent_brokers,
    }
}

fn broker(broker_id: i32, status: CapacityStatus) -> BrokerCapacity {
    BrokerCapacity {
        broker_id,
        disk_bytes: status.disk_bytes,
        used_bytes: status.used_bytes,
        used_percent: capacity::percent(&status),
        state: match status.state {
            NodeState::Normal => CapacityState::Normal,
            NodeState::Deleting => CapacityState::Deleting,
            NodeState::ProduceLimited => CapacityState::ProduceLimited,
        },
        since: DateTime::from_timestamp_millis(status.since_ms).unwrap_or_default(),
        reason: status.reason,
        growth_bytes_per_second: status.growth_bytes_per_second,
        full_in_seconds: status.full_in_seconds,
        deleted_bytes: status.deleted_bytes,
    }
}

/// The rule as the patch leaves it, if the instance can be changed now.
fn next(
    record: &InstanceRecord,
    if_match: Option<&[String]>,
    patch: &UpdateCapacity,
) -> Result<capacity::Rule, AppError> {
    check_changeable(record, if_match)?;
    Ok(capacity::patched(record.capacity, patch).map_err(Refusal::invalid)?)
}

/// Changes what happens when the disk is full. The answer is the job that tells the brokers.
pub async fn update_capacity(
    app: &App,
    scope: &ProjectScope,
    id_or_name: &str,
    if_match: Option<&[String]>,
    key: Option<IdempotencyKey>,
    patch: &UpdateCapacity,
) -> Result<Answer<Job>, AppError> {
    scope.require(Right::InstanceUpdate)?;
    let mut write = match Write::begin(app, &scope.actor, scope, key).await? {
        Begun::Replayed(answer) => return Ok(answer),
        Begun::Fresh(write) => write,
    };
    let record = lock(&mut write.tx, id_or_name).await?;
    let next = next(&record, if_match, patch)?;
    let job = enqueue_configure(app, scope, &mut write.tx, &record, false).await?;
    instances::set_capacity(&mut write.tx, record.id, next, app.clock.now()).await?;
    let view = job_views::show(app, &mut write.tx, job).await?;
    write.commit(Entry::new("update_capacity").on("instance", record.id).job(job).detail(patch), view).await
}

/// What the patch would change.
pub async fn plan_capacity(
    app: &App,
    scope: &ProjectScope,
    id_or_name: &str,
    if_match: Option<&[String]>,
    patch: &UpdateCapacity,
) -> Result<Plan, AppError> {
    scope.require(Right::InstanceUpdate)?;
    let mut tx = app.db.tenant(scope).await?;
    let record = super::find(&mut tx, id_or_name).await?;
    let next = next(&record, if_match, patch)?;
    drop(tx);
    let (steps, eta_seconds) = job_views::planned::<InstanceConfigure>(app).await?;
    Ok(Plan {
        checks: capacity::checks(record.capacity, next),
        changes: capacity::changes(record.capacity, next),
        steps,
        price: None,
        eta_seconds: Some(eta_seconds),
    })
}
