//! How many clients may be connected: shown with how many are, and changed while traffic flows, by the tenant within what is
//! allowed, by an operator of the platform beyond it.

use super::{
    as_operator,
    change::lock,
    configure::{check_changeable, enqueue_configure},
    statuses::{Heard, ask_brokers},
};
use crate::{
    app::{Answer, App, AppError, Begun, IdempotencyKey, Refusal, Write, audit::Entry, jobs as job_views},
    domain::{
        actor::{Actor, ProjectScope},
        connection_limits::{self, Chosen},
        rights::Right,
    },
    jobs::workflow::InstanceConfigure,
    store::instances::{self, InstanceRecord},
};
use control_plane_api::{
    connection_limits::{BrokerConnections, ConnectionLimits, PutConnectionAllowance, UpdateConnectionLimits},
    instance::Plan,
    job::Job,
};

pub async fn get_connection_limits(
    app: &App,
    scope: &ProjectScope,
    id_or_name: &str,
) -> Result<ConnectionLimits, AppError> {
    scope.require(Right::InstanceRead)?;
    let (record, heard) = ask_brokers(app, scope, id_or_name).await?;
    let in_force = record.connections.in_force(record.spec.client_connections);
    let (brokers, silent_brokers) = open(heard);
    Ok(ConnectionLimits {
        used: brokers.iter().map(|broker| u64::from(broker.used)).sum(),
        total: in_force.total,
        allowed: record.connections.allowed(record.spec.client_connections),
        per_ip: in_force.per_ip,
        brokers,
        silent_brokers,
    })
}

/// Connections that brokers have open, and brokers that did not answer.
fn open(mut heard: Heard) -> (Vec<BrokerConnections>, Vec<i32>) {
    let told = heard.brokers.iter();
    let brokers =
        told.map(|(broker_id, status)| BrokerConnections { broker_id: *broker_id, used: status.gateway.connections });
    heard.silent.sort_unstable();
    (brokers.collect(), heard.silent)
}

/// A change of what is chosen.
enum Wanted<'a> {
    ByTenant(&'a UpdateConnectionLimits),
    ByOperator(&'a PutConnectionAllowance),
}

impl Wanted<'_> {
    fn entry(&self) -> Entry {
        match self {
            Self::ByTenant(patch) => Entry::new("update_connection_limits").detail(patch),
            Self::ByOperator(request) => Entry::new("put_connection_allowance").detail(request),
        }
    }

    /// What is chosen after the change, if the instance can be changed now.
    fn next(&self, record: &InstanceRecord, if_match: Option<&[String]>) -> Result<Chosen, AppError> {
        check_changeable(record, if_match)?;
        let (current, sold) = (record.connections, record.spec.client_connections);
        let next = match self {
            Self::ByTenant(patch) => connection_limits::patched(current, sold, patch),
            Self::ByOperator(request) => connection_limits::allowed(current, request.connections),
        };
        Ok(next.map_err(Refusal::invalid)?)
    }

    async fn carry_out(
        &self,
        app: &App,
        scope: &ProjectScope,
        id_or_name: &str,
        if_match: Option<&[String]>,
        key: Option<IdempotencyKey>,
    ) -> Result<Answer<Job>, AppError> {
        let mut write = match Write::begin(app, &scope.actor, scope, key).await? {
            Begun::Replayed(answer) => return Ok(answer),
            Begun::Fresh(write) => write,
        };
        let record = lock(&mut write.tx, id_or_name).await?;
        let next = self.next(&record, if_match)?;
        let job = enqueue_configure(app, scope, &mut write.tx, &record, false).await?;
        instances::set_connections(&mut write.tx, record.id, next, app.clock.now()).await?;
        let view = job_views::show(app, &mut write.tx, job).await?;
        write.commit(self.entry().on("instance", record.id).job(job), view).await
    }

    async fn plan(
        &self,
        app: &App,
        scope: &ProjectScope,
        id_or_name: &str,
        if_match: Option<&[String]>,
    ) -> Result<Plan, AppError> {
        let (record, heard) = ask_brokers(app, scope, id_or_name).await?;
        let next = self.next(&record, if_match)?;
        let sold = record.spec.client_connections;
        let (from, to) = (record.connections.in_force(sold), next.in_force(sold));
        let (brokers, silent) = open(heard);
        let used = brokers.iter().map(|broker| u64::from(broker.used)).sum();
        let (steps, eta_seconds) = job_views::planned::<InstanceConfigure>(app).await?;
        Ok(Plan {
            checks: connection_limits::checks(from, to, used, &silent),
            changes: connection_limits::changes(from, to),
            steps,
            price: None,
            eta_seconds: Some(eta_seconds),
        })
    }
}

/// Changes how many may be connected. The answer is the job that tells the brokers.
pub async fn update_connection_limits(
    app: &App,
    scope: &ProjectScope,
    id_or_name: &str,
    if_match: Option<&[String]>,
    key: Option<IdempotencyKey>,
    patch: &UpdateConnectionLimits,
) -> Result<Answer<Job>, AppError> {
    scope.require(Right::InstanceUpdate)?;
    Wanted::ByTenant(patch).carry_out(app, scope, id_or_name, if_match, key).await
}

/// What the patch would change.
pub async fn plan_connection_limits(
    app: &App,
    scope: &ProjectScope,
    id_or_name: &str,
    if_match: Option<&[String]>,
    patch: &UpdateConnectionLimits,
) -> Result<Plan, AppError> {
    scope.require(Right::InstanceUpdate)?;
    Wanted::ByTenant(patch).plan(app, scope, id_or_name, if_match).await
}

/// Sets the most that a tenant may choose, and what is in force where none was chosen. The tenant's audit trail has it.
pub async fn put_connection_allowance(
    app: &App,
    actor: &Actor,
    id: &str,
    request: &PutConnectionAllowance,
) -> Result<(ProjectScope, Answer<Job>), AppError> {
    let scope = as_operator(app, actor, id).await?;
    let answer = Wanted::ByOperator(request).carry_out(app, &scope, id, None, None).await?;
    Ok((scope, answer))
}

/// What the allowance would change.
pub async fn plan_connection_allowance(
    app: &App,
    actor: &Actor,
    id: &str,
    request: &PutConnectionAllowance,
) -> Result<Plan, AppError> {
    let scope = as_operator(app, actor, id).await?;
    Wanted::ByOperator(request).plan(app, &scope, id, None).await
}
