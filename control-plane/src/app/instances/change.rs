//! Changes of an instance: what takes effect at once, and its end.

use crate::{
    app::{Answer, App, AppError, Begun, IdempotencyKey, Refusal, Write, audit::Entry, check_etag, jobs as job_views},
    domain::{
        actor::ProjectScope,
        names,
        plan::{self, Effect},
        rights::Right,
        states,
    },
    jobs::{
        engine::{NewJob, Resource, enqueue},
        workflow::{InstanceDelete, instance_delete},
    },
    store::{
        TenantTx,
        instances::{self, Change, InstanceRecord},
        orders,
    },
};
use control_plane_api::{
    id::JobId,
    instance::{self, Instance, InstanceAction, Plan, UpdateInstance},
    job::Job,
    problem::{FieldError, ProblemCode},
};
use serde_json::json;
use std::collections::BTreeMap;

/// Locks the instance and reads it: what is decided from it holds until the transaction ends.
pub(crate) async fn lock(tx: &mut TenantTx, id_or_name: &str) -> Result<InstanceRecord, AppError> {
    let found = super::find(tx, id_or_name).await?;
    if !instances::lock(tx, found.id).await? {
        return Err(AppError::not_found());
    }
    super::find(tx, &found.id.to_string()).await
}

/// Refuses what the instance's state does not allow.
pub(crate) fn allow(record: &InstanceRecord, action: InstanceAction) -> Result<(), Refusal> {
    states::check(record.state, action).map_err(|refused| {
        Refusal::new(ProblemCode::ActionNotAllowed)
            .detail(refused.to_string(), refused.chinese())
            .with("state", states::state_name(refused.state))
            .with("allowed_actions", json!(refused.allowed))
    })
}

/// The instance as the patch leaves it; or all faults.
fn patched(record: &InstanceRecord, patch: &UpdateInstance) -> Result<InstanceRecord, Refusal> {
    let mut next = record.clone();
    let mut faults: Vec<FieldError> = Vec::new();
    if let Some(name) = &patch.name {
        names::check_name("/name", name, &mut faults);
        next.name.clone_from(name);
    }
    if let Some(description) = &patch.description {
        names::check_description("/description", description, &mut faults);
        next.description.clone_from(description);
    }
    if let Some(labels) = &patch.labels {
        match labels {
            None => next.labels.clear(),
            Some(labels) => labels.iter().for_each(|(key, value)| match value {
                Some(value) => drop(next.labels.insert(key.clone(), value.clone())),
                None => drop(next.labels.remove(key)),
            }),
        }
        names::check_labels("/labels", &next.labels, &mut faults);
    }
    next.deletion_protection = patch.deletion_protection.unwrap_or(next.deletion_protection);
    if faults.is_empty() { Ok(next) } else { Err(Refusal::invalid(faults)) }
}

/// Changes name, description, labels and protection, at once. A patch that changes nothing leaves the version as it is.
pub async fn update_instance(
    app: &App,
    scope: &ProjectScope,
    id_or_name: &str,
    if_match: Option<&[String]>,
    patch: &UpdateInstance,
) -> Result<Instance, AppError> {
    scope.require(Right::InstanceUpdate)?;
    let mut write = Write::start(app, &scope.actor, scope).await?;
    let record = lock(&mut write.tx, id_or_name).await?;
    check_etag(if_match, record.revision)?;
    allow(&record, InstanceAction::Update)?;
    let next = patched(&record, patch)?;
    if changes(&record, &next).is_empty() {
        return super::show(&mut write.tx, record).await;
    }
    let change = Change {
        name: &next.name,
        description: &next.description,
        labels: &next.labels,
        deletion_protection: next.deletion_protection,
    };
    instances::update(&mut write.tx, record.id, &change, app.clock.now()).await?;
    let changed = super::find(&mut write.tx, &record.id.to_string()).await?;
    let shown = super::show(&mut write.tx, changed).await?;
    let entry = Entry::new("update_instance").on("instance", record.id).detail(patch);
    Ok(write.commit(entry, shown).await?.value)
}

/// What the patch would change.
pub async fn plan_update(
    app: &App,
    scope: &ProjectScope,
    id_or_name: &str,
    if_match: Option<&[String]>,
    patch: &UpdateInstance,
) -> Result<Plan, AppError> {
    scope.require(Right::InstanceUpdate)?;
    let mut tx = app.db.tenant(scope).await?;
    let record = super::find(&mut tx, id_or_name).await?;
    check_etag(if_match, record.revision)?;
    allow(&record, InstanceAction::Update)?;
    let next = patched(&record, patch)?;
    if next.name != record.name && instances::name_taken(&mut tx, &next.name).await? {
        let detail = format!("an instance of the project is named {}; choose another name", next.name);
        let fault = FieldError::new("/name", "taken", detail);
        return Err(Refusal::new(ProblemCode::NameTaken).field(fault).into());
    }
    Ok(Plan {
        checks: vec![plan::ok("live", "takes effect at once; clients notice nothing")],
        changes: changes(&record, &next),
        steps: Vec::new(),
        price: None,
        eta_seconds: Some(0),
    })
}

fn changes(from: &InstanceRecord, to: &InstanceRecord) -> Vec<instance::Change> {
    let labels = |labels: &BTreeMap<String, String>| json!(labels);
    plan::live_changes([
        ("/name", json!(from.name), json!(to.name)),
        ("/description", json!(from.description), json!(to.description)),
        ("/labels", labels(&from.labels), labels(&to.labels)),
        ("/deletion_protection", json!(from.deletion_protection), json!(to.deletion_protection)),
    ])
}

fn deletable(record: &InstanceRecord) -> Result<(), Refusal> {
    if let Some(job) = record.active_job {
        return Err(Refusal::new(ProblemCode::JobActive).with("job_id", job.to_string()));
    }
    allow(record, InstanceAction::Delete)?;
    if record.deletion_protection {
        return Err(Refusal::new(ProblemCode::ProtectedFromDeletion));
    }
    Ok(())
}

/// Deletes the instance with everything in it. The answer is the job that does.
pub async fn delete_instance(
    app: &App,
    scope: &ProjectScope,
    id_or_name: &str,
    if_match: Option<&[String]>,
    key: Option<IdempotencyKey>,
) -> Result<Answer<Job>, AppError> {
    scope.require(Right::InstanceDelete)?;
    let mut write = match Write::begin(app, &scope.actor, scope, key).await? {
        Begun::Replayed(answer) => return Ok(answer),
        Begun::Fresh(write) => write,
    };
    let record = lock(&mut write.tx, id_or_name).await?;
    check_etag(if_match, record.revision)?;
    deletable(&record)?;
    let now = app.clock.now();
    let job = NewJob::<InstanceDelete> {
        id: JobId::generate(),
        org: scope.actor.organisation,
        project: scope.project,
        params: instance_delete::Params { instance_id: record.id },
        secrets: (),
        resource: Some(Resource { kind: "instance", id: record.id.uuid(), name: record.name.clone() }),
        actor: scope.actor.label(),
        request_id: scope.actor.origin.request_id.clone(),
        priority: 0,
        run_after: now,
    };
    let job = enqueue(&mut write.tx, &app.keyring, &app.clock, job).await?;
    instances::mark_deleting(&mut write.tx, record.id, now).await?;
    let view = job_views::show(app, &mut write.tx, job).await?;
    write.commit(Entry::new("delete_instance").on("instance", record.id).job(job), view).await
}

/// What the deletion would do.
pub async fn plan_deletion(
    app: &App,
    scope: &ProjectScope,
    id_or_name: &str,
    if_match: Option<&[String]>,
) -> Result<Plan, AppError> {
    scope.require(Right::InstanceDelete)?;
    let mut tx = app.db.tenant(scope).await?;
    let record = super::find(&mut tx, id_or_name).await?;
    check_etag(if_match, record.revision)?;
    deletable(&record)?;
    let billing = orders::billing(&mut tx, &[record.id]).await?.remove(&record.id);
    drop(tx);
    let (steps, eta_seconds) = job_views::planned::<InstanceDelete>(app).await?;
    Ok(Plan {
        checks: plan::deletion_checks(billing.map(|billing| billing.mode).unwrap_or_default()),
        changes: vec![plan::change("", json!({ "id": record.id, "name": record.name }), json!(null), Effect::Replace)],
        steps,
        price: None,
        eta_seconds: Some(eta_seconds),
    })
}
