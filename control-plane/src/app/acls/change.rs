//! Changes of bindings. What a change does is decided once, for the change and for its plan.

use crate::{
    app::{
        Answer, App, AppError, Begun, IdempotencyKey, Refusal, Write, audit::Entry, instances, jobs as job_views, kafka,
    },
    domain::{
        acl,
        actor::ProjectScope,
        plan::{self, Effect},
    },
    jobs::{
        engine::{NewJob, Resource, enqueue},
        workflow::{AclChange, acl_change::Params},
    },
    store::{TenantTx, instances::InstanceRecord},
};
use control_plane_api::{
    acl::{AclBinding, AclFilter, AclPermission, MAX_BINDINGS},
    id::JobId,
    instance::{Check, Plan},
    job::Job,
    problem::FieldError,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A change of bindings that its caller may make, of a request whose shape is right.
#[derive(Debug)]
pub struct Wanted {
    /// What the audit trail calls it.
    pub(crate) operation: &'static str,
    pub(crate) change: Change,
}

#[derive(Debug)]
pub(crate) enum Change {
    Create(BTreeSet<AclBinding>),
    /// All that the filter finds.
    Delete(AclFilter),
    /// Those of them that are there.
    Take(BTreeSet<AclBinding>),
}

/// What a change comes to, given what is bound.
#[derive(Debug, Default, PartialEq, Eq)]
struct Decided {
    create: Vec<AclBinding>,
    delete: Vec<AclBinding>,
}

impl Change {
    fn decide(&self, present: &[AclBinding]) -> Decided {
        let those = |wanted: &dyn Fn(&AclBinding) -> bool| present.iter().filter(|b| wanted(b)).cloned().collect();
        match self {
            Self::Create(wanted) => Decided {
                create: wanted.iter().filter(|binding| !present.contains(binding)).cloned().collect(),
                delete: Vec::new(),
            },
            Self::Delete(filter) => Decided { create: Vec::new(), delete: those(&|b| acl::fits(filter, b)) },
            Self::Take(wanted) => Decided { create: Vec::new(), delete: those(&|b| wanted.contains(b)) },
        }
    }
}

/// Starts the job that makes the change. The answer is the job.
pub async fn change_acls(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    key: Option<IdempotencyKey>,
    wanted: &Wanted,
) -> Result<Answer<Job>, AppError> {
    // Asked before the transaction, which must not wait for Kafka.
    let (_, decided) = decide(app, scope, instance, wanted).await?;
    let mut write = match Write::begin(app, &scope.actor, scope, key).await? {
        Begun::Replayed(answer) => return Ok(answer),
        Begun::Fresh(write) => write,
    };
    let record = instances::lock(&mut write.tx, instance).await?;
    kafka::free(&record)?;
    let detail = json!({ "created": decided.create, "deleted": decided.delete });
    let job = start(app, scope, &mut write.tx, &record, decided).await?;
    let view = job_views::show(app, &mut write.tx, job).await?;
    write.commit(Entry::new(wanted.operation).on("instance", record.id).job(job).detail(&detail), view).await
}

/// What the change would make and delete; nothing is kept.
pub async fn plan_acls(app: &App, scope: &ProjectScope, instance: &str, wanted: &Wanted) -> Result<Plan, AppError> {
    let (record, decided) = decide(app, scope, instance, wanted).await?;
    kafka::free(&record)?;
    let (steps, eta_seconds) = job_views::planned::<AclChange>(app).await?;
    let made = decided.create.iter().map(|binding| plan::change("/acls", Value::Null, json!(binding), Effect::Live));
    let gone = decided.delete.iter().map(|binding| plan::change("/acls", json!(binding), Value::Null, Effect::Live));
    Ok(Plan {
        checks: checks(&record, &decided),
        changes: made.chain(gone).collect(),
        steps,
        price: None,
        eta_seconds: Some(eta_seconds),
    })
}

fn checks(record: &InstanceRecord, decided: &Decided) -> Vec<Check> {
    let mut checks = vec![if *decided == Decided::default() {
        plan::ok("nothing-to-do", "it is so already")
    } else {
        plan::ok("live", "in force on every broker within two seconds; no broker restarts, no connection ends")
    }];
    let allows = |bindings: &[AclBinding]| bindings.iter().any(|b| b.permission == AclPermission::Allow);
    if record.access.is_open_to_users() && (allows(&decided.create) || allows(&decided.delete)) {
        let detail = "authorization is open, so that users may do this anyway: permissions count when it is acl";
        checks.push(plan::warning("authorization-open", detail));
    }
    checks
}

async fn decide(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    wanted: &Wanted,
) -> Result<(InstanceRecord, Decided), AppError> {
    let record = kafka::serving(app, scope, instance).await?;
    let decided = wanted.change.decide(&super::bindings(app, record.id).await?);
    if decided.delete.len() > MAX_BINDINGS {
        let found = decided.delete.len();
        let detail = format!("{found} bindings are found; {MAX_BINDINGS} at most go at a time, so narrow the filter");
        let fault = FieldError::new("principal", "acl-filter-wide", detail).with("limit", MAX_BINDINGS);
        return Err(Refusal::invalid(vec![fault.with("found", found)]).into());
    }
    Ok((record, decided))
}

async fn start(
    app: &App,
    scope: &ProjectScope,
    tx: &mut TenantTx,
    instance: &InstanceRecord,
    Decided { create, delete }: Decided,
) -> Result<JobId, AppError> {
    let job = NewJob::<AclChange> {
        id: JobId::generate(),
        org: scope.actor.organisation,
        project: scope.project,
        params: Params { instance_id: instance.id, create, delete },
        secrets: (),
        resource: Some(Resource { kind: "instance", id: instance.id.uuid(), name: instance.name.clone() }),
        actor: scope.actor.label(),
        request_id: scope.actor.origin.request_id.clone(),
        // Seconds count: others wait for minutes anyway.
        priority: 10,
        run_after: app.clock.now(),
    };
    Ok(enqueue(tx, &app.keyring, &app.clock, job).await?)
}
