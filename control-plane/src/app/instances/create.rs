//! A purchase: checked as a whole, then written in one transaction with its job.

use crate::{
    app::{
        Answer, App, AppError, Begun, IdempotencyKey, Refusal, Write,
        audit::Entry,
        jobs as job_views,
        kafka_users::generate_password,
        quotes::{self, Standing},
    },
    domain::{
        actor::ProjectScope,
        names, node_spec,
        placement::PlacedBroker,
        plan,
        price::Price,
        purchase::{self, Purchase},
        rights::Right,
        storage,
    },
    jobs::{
        engine::{NewJob, Resource, enqueue},
        workflow::{InstanceCreate, instance_create},
    },
    store::{
        TenantTx, brokers, capacity, catalogue, instances, kafka_users,
        orders::{self, NewOrder},
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use control_plane_api::{
    id::{InstanceId, JobId, OrderId},
    instance::{CreateInstance, Plan},
    job::Job,
    problem::{FieldError, ProblemCode},
};
use uuid::Uuid;

/// An order that can be accepted, in the transaction that holds what it was checked against: the project's quota and
/// the zones' room are locked until it ends.
struct Acceptable {
    purchase: Purchase,
    price: Price,
    brokers: Vec<PlacedBroker>,
}

/// Buys an instance. The answer is the job that makes it.
pub async fn create_instance(
    app: &App,
    scope: &ProjectScope,
    key: Option<IdempotencyKey>,
    request: &CreateInstance,
) -> Result<Answer<Job>, AppError> {
    scope.require(Right::InstanceCreate)?;
    let mut write = match Write::begin(app, &scope.actor, scope, key).await? {
        Begun::Replayed(answer) => return Ok(answer),
        Begun::Fresh(write) => write,
    };
    let order = examine(app, &mut write.tx, request).await?;
    let (instance, job) = accept(app, scope, &mut write.tx, order).await?;
    let view = job_views::show(app, &mut write.tx, job).await?;
    write.commit(Entry::new("create_instance").on("instance", instance).job(job).detail(request), view).await
}

/// What the purchase would do. The same checks, and nothing is kept.
pub async fn plan_instance(app: &App, scope: &ProjectScope, request: &CreateInstance) -> Result<Plan, AppError> {
    scope.require(Right::InstanceCreate)?;
    let mut tx = app.db.tenant(scope).await?;
    let order = examine(app, &mut tx, request).await?;
    drop(tx);
    let (steps, eta_seconds) = job_views::planned::<InstanceCreate>(app).await?;
    Ok(Plan {
        checks: plan::purchase_checks(&order.purchase),
        changes: plan::purchase_changes(&order.purchase),
        steps,
        price: Some(plan::purchase_price(order.price)),
        eta_seconds: Some(eta_seconds),
    })
}

/// All faults together: those of the request, and those of the moment (name taken, quota, price, room), each with its
/// place. What belongs to the moment only is a conflict; it is answered with the code of the first.
async fn examine(app: &App, tx: &mut TenantTx, request: &CreateInstance) -> Result<Acceptable, AppError> {
    let offered = catalogue::load(tx).await?;
    let checked = purchase::check_purchase(request, &offered);
    let (purchase, mut faults) = match checked {
        Ok(purchase) => (Some(purchase), Vec::new()),
        Err(faults) => (None, faults),
    };
    let mut conflicts: Vec<(ProblemCode, FieldError)> = Vec::new();

    if let Some(id) = request.quote_id {
        match quotes::check(app, tx, id, purchase.as_ref().map(|purchase| &purchase.sale)).await? {
            Standing::Good => {}
            Standing::Unknown(fault) => faults.push(fault),
            Standing::Moved(fault) => conflicts.push((ProblemCode::PriceMoved, fault)),
        }
    }
    // From here on orders of one project wait for each other.
    let (used, limit) = instances::lock_quota(tx).await?;
    // A name of no shape is told already.
    if names::is_name(&request.name) && instances::name_taken(tx, &request.name).await? {
        let detail = format!("an instance of the project is named {}; choose another name", request.name);
        conflicts.push((ProblemCode::NameTaken, FieldError::new("/name", "taken", detail)));
    }
    if used >= limit {
        let detail = format!("the project holds {used} instances, its quota is {limit}");
        let fault = FieldError::new("", "quota-exceeded", detail).with("limit", limit).with("used", used);
        conflicts.push((ProblemCode::QuotaExceeded, fault));
    }
    let mut brokers = Vec::new();
    if let Some(purchase) = &purchase {
        // Room counts only once the zones are locked: of two orders for the last place the second sees the first.
        capacity::lock_zones(tx, &purchase.sale.zones).await?;
        match purchase.sale.place(&capacity::zones(tx).await?) {
            Ok(placed) => brokers = placed,
            Err(sold_out) => {
                let detail = format!("{} has no room in {}", purchase.sale.spec.name, sold_out.zones.join(", "));
                let fault = FieldError::new("/zones", "sold-out", detail).with("zones", sold_out.zones);
                conflicts.push((ProblemCode::SoldOut, fault));
            }
        }
    }
    match purchase {
        Some(purchase) if faults.is_empty() && conflicts.is_empty() => {
            let price = purchase.sale.price();
            Ok(Acceptable { purchase, price, brokers })
        }
        _ => Err(refuse(faults, conflicts).into()),
    }
}

fn refuse(mut faults: Vec<FieldError>, conflicts: Vec<(ProblemCode, FieldError)>) -> Refusal {
    let first = conflicts.first().map(|(code, fault)| (*code, fault.params.clone()));
    let only_conflicts = faults.is_empty();
    faults.extend(conflicts.into_iter().map(|(_, fault)| fault));
    match first {
        Some((code, params)) if only_conflicts => Refusal { errors: faults, params, ..Refusal::new(code) },
        _ => Refusal::invalid(faults),
    }
}

/// Writes the order, the instance, its brokers, what they take, and the job.
async fn accept(
    app: &App,
    scope: &ProjectScope,
    tx: &mut TenantTx,
    order: Acceptable,
) -> Result<(InstanceId, JobId), AppError> {
    let Acceptable { purchase, price, brokers: placed } = order;
    let (now, sale) = (app.clock.now(), &purchase.sale);
    let instance = InstanceId::generate();
    let new = instances::NewInstance {
        id: instance,
        name: &purchase.name,
        description: &purchase.description,
        labels: &purchase.labels,
        kafka_version: &purchase.kafka_version,
        cluster_id: &kafka_id(),
        region: &sale.region,
        zones: &sale.zones,
        spec: &sale.spec,
        storage_gb: sale.storage_gb,
        disk_type: &sale.disk.name,
        capacity_policy: purchase.capacity_policy,
        access: &purchase.access,
        first_user: &purchase.user,
        spec_revision: node_spec::REVISION,
    };
    instances::insert(tx, &new, now).await?;
    let order =
        NewOrder { id: OrderId::generate(), instance, quote: purchase.quote_id, billing: &sale.billing, price: &price };
    orders::insert(tx, &order, now).await?;
    kafka_users::insert(tx, instance, &purchase.user, &scope.actor.label(), now).await?;
    let nodes: Vec<_> = placed
        .iter()
        .map(|broker| brokers::NewBroker {
            node_id: broker.node_id,
            zone: broker.zone.clone(),
            directory_id: kafka_id(),
        })
        .collect();
    brokers::insert(tx, instance, &nodes, now).await?;
    capacity::reserve(tx, instance, &placed, storage::broker_room(&sale.spec, sale.storage_gb)).await?;

    let password_generated = purchase.password.is_none();
    let password = match purchase.password {
        Some(password) => password,
        None => generate_password(&purchase.user)?,
    };
    let job = NewJob::<InstanceCreate> {
        id: JobId::generate(),
        org: scope.actor.organisation,
        project: scope.project,
        params: instance_create::Params { instance_id: instance, user: purchase.user, password_generated },
        secrets: instance_create::Secrets { password },
        resource: Some(Resource { kind: "instance", id: instance.uuid(), name: purchase.name }),
        actor: scope.actor.label(),
        request_id: scope.actor.origin.request_id.clone(),
        priority: 0,
        run_after: now,
    };
    let job = enqueue(tx, &app.keyring, &app.clock, job).await?;
    Ok((instance, job))
}

/// An id as Kafka makes them: a random UUID in URL-safe base64, 22 characters, not beginning with `-`, which its tools
/// would take for an option.
fn kafka_id() -> String {
    loop {
        let id = URL_SAFE_NO_PAD.encode(Uuid::new_v4());
        if !id.starts_with('-') {
            return id;
        }
    }
}
