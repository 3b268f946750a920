//! Instances: bought, shown, changed, deleted.

mod access;
mod bandwidth;
mod capacity;
mod change;
mod configure;
mod connection_limits;
mod create;
mod list;
mod metrics;
mod statuses;

pub use access::{get_access, plan_access, update_access};
pub use bandwidth::get_bandwidth;
pub use capacity::{get_capacity, plan_capacity, update_capacity};
pub(crate) use change::{allow, lock};
pub use change::{delete_instance, plan_deletion, plan_update, update_instance};
pub use connection_limits::{
    get_connection_limits, plan_connection_allowance, plan_connection_limits, put_connection_allowance,
    update_connection_limits,
};
pub use create::{create_instance, plan_instance};
pub use list::list_instances;
pub(crate) use list::split;
pub use metrics::{get_node_metrics, get_prometheus_metrics};

use crate::{
    app::{App, AppError, etag},
    domain::{
        actor::{Actor, ProjectScope},
        client_paths::{self, Place},
        rights::Right,
        states, storage,
    },
    store::{
        TenantTx, brokers,
        instances::{self, InstanceRecord},
        orders,
    },
};
use control_plane_api::{
    access::Access,
    id::InstanceId,
    instance::{Billing, Bootstrap, Broker, Instance, InstanceState},
};

/// The instance of this id or name; what the caller may not see does not exist.
pub(crate) async fn find(tx: &mut TenantTx, id_or_name: &str) -> Result<InstanceRecord, AppError> {
    instances::find(tx, id_or_name.parse().ok(), id_or_name).await?.ok_or_else(AppError::not_found)
}

/// An operator of the platform in the project of an instance, whosever it is, to do there what the caller has decided and
/// nothing else.
async fn as_operator(app: &App, actor: &Actor, id: &str) -> Result<ProjectScope, AppError> {
    if !actor.operator {
        return Err(AppError::not_found());
    }
    let id: InstanceId = id.parse().map_err(|_| AppError::not_found())?;
    let mut tx = app.db.system().await?;
    let (organisation, project) = instances::owner(&mut tx, id).await?.ok_or_else(AppError::not_found)?;
    let actor = Actor { organisation, organisation_role: None, projects: Vec::new(), ..actor.clone() };
    Ok(ProjectScope { actor, project, rights: Default::default() })
}

pub async fn get_instance(app: &App, scope: &ProjectScope, id_or_name: &str) -> Result<Instance, AppError> {
    scope.require(Right::InstanceRead)?;
    let mut tx = app.db.tenant(scope).await?;
    let record = find(&mut tx, id_or_name).await?;
    show(&mut tx, record).await
}

async fn show(tx: &mut TenantTx, record: InstanceRecord) -> Result<Instance, AppError> {
    let id = record.id;
    show_all(tx, vec![record]).await?.pop().ok_or_else(|| AppError::Internal(format!("instance {id} has no order")))
}

/// Instances with what belongs to them, in the same order.
async fn show_all(tx: &mut TenantTx, records: Vec<InstanceRecord>) -> Result<Vec<Instance>, AppError> {
    let ids: Vec<_> = records.iter().map(|record| record.id).collect();
    let mut brokers = brokers::list(tx, &ids).await?;
    let mut billing = orders::billing(tx, &ids).await?;
    records
        .into_iter()
        .map(|record| {
            let id = record.id;
            let order = billing.remove(&id).ok_or_else(|| AppError::Internal(format!("instance {id} has no order")))?;
            Ok(view(record, brokers.remove(&id).unwrap_or_default(), order))
        })
        .collect()
}

fn view(record: InstanceRecord, brokers: Vec<Broker>, billing: Billing) -> Instance {
    Instance {
        id: record.id,
        project_id: record.project,
        name: record.name,
        description: record.description,
        labels: record.labels,
        state: record.state,
        state_reason: record.state_reason,
        allowed_actions: states::allowed(record.state).to_vec(),
        kafka_version: record.kafka_version,
        region: record.region,
        zones: record.zones,
        usable_storage_gb: storage::usable_gb(record.storage_gb, record.spec.brokers),
        spec: record.spec,
        storage_gb: record.storage_gb,
        disk_type: record.disk_type,
        capacity_policy: record.capacity.policy,
        auto_create_topics: record.access.auto_create_topics,
        deletion_protection: record.deletion_protection,
        billing,
        bootstrap: bootstrap(record.state, &record.access, &brokers),
        brokers,
        active_job_id: record.active_job,
        created_at: record.created_at,
        updated_at: record.updated_at,
        etag: etag(record.revision),
    }
}

/// Where clients begin. Empty while nothing answers there: before it runs, when it is gone, and by a way that is off.
pub(crate) fn bootstrap(state: InstanceState, access: &Access, brokers: &[Broker]) -> Bootstrap {
    let answers = !matches!(state, InstanceState::Creating | InstanceState::CreateFailed | InstanceState::Deleting);
    match places(brokers).filter(|_| answers) {
        Some(places) => client_paths::bootstraps(access, &places),
        None => Bootstrap::default(),
    }
}

/// Where clients find the brokers; `None` until all have addresses.
pub(crate) fn places(brokers: &[Broker]) -> Option<Vec<Place>> {
    let place = |broker: &Broker| {
        let public = broker.public_host.as_deref().and_then(|host| host.parse().ok());
        Some(Place { node_id: broker.id, private: broker.host.parse().ok()?, public })
    };
    brokers.iter().map(place).collect()
}
