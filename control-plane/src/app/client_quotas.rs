//! Quotas of an instance's clients: listed, explained, set, deleted.
//!
//! Kafka keeps those of users and client ids, and is asked each time: what was set through Kafka's own tools is there as well.
//! Those of addresses and topics are in the instance's row, and its gateways are told. A change is a job that names every figure of it. The
//! platform's own quotas are neither shown nor touched.

use crate::{
    app::{
        Answer, App, AppError, Begun, IdempotencyKey, Refusal, Write, audit::Entry, instances, jobs as job_views,
        kafka, page::PageRequest,
    },
    domain::{
        actor::ProjectScope,
        bandwidth,
        client_quota::{
            self as quotas,
            effective::{self, Bounds},
            ip, topic,
        },
        plan::{self, Effect},
        rights::Right,
    },
    jobs::{
        engine::{NewJob, Resource, enqueue},
        workflow::{ClientQuotaChange, client_quota_change::Params},
    },
    store::{self, instances::InstanceRecord},
};
use broker_api::spec::{ConnectionRates, TopicRates};
use control_plane_api::{
    client_quota::{
        ClientQuota, EffectiveQuotas, QuotaClient, QuotaEntity, QuotaFilter, QuotaKey, QuotaLimits, QuotaRule,
        SetClientQuotas,
    },
    id::JobId,
    instance::{Change, Check, Plan},
    job::Job,
    page::{Page, PageQuery},
    problem::FieldError,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// By user, client id, address and topic, defaults first.
pub async fn list_client_quotas(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    filter: &QuotaFilter,
    query: &PageQuery,
) -> Result<Page<ClientQuota>, AppError> {
    scope.require(Right::KafkaUserRead)?;
    let request = PageRequest::<QuotaEntity>::parse(query)?;
    let filter = QuotaFilter { ip: address(filter.ip.as_deref())?, ..filter.clone() };
    let record = kafka::serving(app, scope, instance).await?;
    let mut found = rules(app, &record).await?;
    found.retain(|rule| quotas::fits(&filter, rule));
    found.sort_by(|a, b| a.entity.cmp(&b.entity));
    let total = request.count.then_some(found.len() as u64);
    let rest = found.into_iter().filter(|rule| request.after.as_ref().is_none_or(|last| rule.entity > *last));
    let rows = rest.take(usize::try_from(request.fetch()).unwrap_or(usize::MAX)).collect();
    let brokers = record.spec.brokers;
    Ok(request.page(rows, |rule: &QuotaRule| rule.entity.clone(), |rule| quotas::view(rule, brokers), total))
}

/// What holds for a client, and why.
pub async fn explain_client_quotas(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    client: &QuotaClient,
) -> Result<EffectiveQuotas, AppError> {
    scope.require(Right::KafkaUserRead)?;
    let client = QuotaClient { ip: address(client.ip.as_deref())?, ..client.clone() };
    let record = kafka::serving(app, scope, instance).await?;
    let rules = rules(app, &record).await?;
    let bounds = Bounds { brokers: record.spec.brokers, bandwidth_share: bandwidth::share(&record.spec) };
    Ok(effective::effective(&rules, &client, bounds))
}

/// A change that its caller may make, of a request whose shape is right.
#[derive(Debug)]
pub struct Wanted {
    /// What the audit trail calls it.
    operation: &'static str,
    change: Wish,
}

#[derive(Debug)]
enum Wish {
    Set(Vec<QuotaRule>),
    /// The figure of this entity, or all that it has.
    Delete(QuotaEntity, Option<QuotaKey>),
}

/// What a change comes to, given what there is: nothing that is so already.
#[derive(Debug, Default, PartialEq)]
struct Decided {
    set: Vec<QuotaRule>,
    /// With the figures that go.
    remove: Vec<QuotaRule>,
}

/// Rules to be set.
pub fn set_client_quotas(scope: &ProjectScope, request: &SetClientQuotas) -> Result<Wanted, AppError> {
    scope.require(Right::KafkaUserWrite)?;
    let rules = request.rules.iter().cloned().map(|rule| QuotaRule { entity: ip::spelled(rule.entity), ..rule });
    let rules: Vec<QuotaRule> = rules.collect();
    let faults = quotas::check(&rules);
    if !faults.is_empty() {
        return Err(Refusal::invalid(faults).into());
    }
    Ok(Wanted { operation: "set_client_quotas", change: Wish::Set(rules) })
}

/// The rule of exactly this entity, or a figure of it, to be deleted.
pub fn delete_client_quotas(scope: &ProjectScope, filter: &QuotaFilter) -> Result<Wanted, AppError> {
    scope.require(Right::KafkaUserWrite)?;
    let entity = QuotaEntity {
        user: filter.user.clone(),
        default_user: filter.default_user.unwrap_or(false),
        client_id: filter.client_id.clone(),
        default_client_id: filter.default_client_id.unwrap_or(false),
        ip: address(filter.ip.as_deref())?,
        default_ip: filter.default_ip.unwrap_or(false),
        topic: filter.topic.clone(),
    };
    let mut faults = Vec::new();
    quotas::check_entity("", &entity, &mut faults);
    if !faults.is_empty() {
        return Err(Refusal::invalid(faults).into());
    }
    Ok(Wanted { operation: "delete_client_quotas", change: Wish::Delete(entity, filter.key) })
}

/// That of a query, in the spelling that rules are told apart by.
fn address(text: Option<&str>) -> Result<Option<String>, AppError> {
    let known = |text| ip::parse(text).ok_or_else(|| Refusal::invalid(vec![ip::fault("ip", text)]));
    Ok(text.map(known).transpose()?.map(|ip| ip.to_string()))
}

impl Wish {
    fn decide(&self, present: &[QuotaRule]) -> Decided {
        let known = |entity: &QuotaEntity| present.iter().find(|rule| rule.entity == *entity);
        match self {
            Self::Set(wanted) => {
                let differs = |rule: &&QuotaRule| {
                    let now = known(&rule.entity).map(|rule| rule.limits).unwrap_or_default();
                    quotas::figures(&rule.limits).any(|(key, value)| quotas::limit(&now, key) != Some(value))
                };
                Decided { set: wanted.iter().filter(differs).cloned().collect(), remove: Vec::new() }
            }
            Self::Delete(entity, key) => {
                let mut limits = QuotaLimits::default();
                let present = known(entity).map(|rule| rule.limits).unwrap_or_default();
                for (of, value) in quotas::figures(&present).filter(|(of, _)| key.is_none_or(|key| key == *of)) {
                    quotas::set_limit(&mut limits, of, Some(value));
                }
                let gone = (limits != QuotaLimits::default()).then(|| QuotaRule { entity: entity.clone(), limits });
                Decided { set: Vec::new(), remove: gone.into_iter().collect() }
            }
        }
    }
}

/// Starts the job that makes the change. The answer is the job.
pub async fn change_client_quotas(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    key: Option<IdempotencyKey>,
    wanted: &Wanted,
) -> Result<Answer<Job>, AppError> {
    // Asked before the transaction, which must not wait for Kafka.
    let (_, _, Decided { set, remove }) = decide(app, scope, instance, wanted).await?;
    let mut write = match Write::begin(app, &scope.actor, scope, key).await? {
        Begun::Replayed(answer) => return Ok(answer),
        Begun::Fresh(write) => write,
    };
    let record = instances::lock(&mut write.tx, instance).await?;
    kafka::free(&record)?;
    if let Some(kept) = of_gateways(&record, &set, &remove)? {
        let Kept { connection_rates, topic_rates } = kept;
        let now = app.clock.now();
        store::instances::set_client_rates(&mut write.tx, record.id, &connection_rates, &topic_rates, now).await?;
    }
    let detail = json!({ "set": set, "removed": remove });
    let job = NewJob::<ClientQuotaChange> {
        id: JobId::generate(),
        org: scope.actor.organisation,
        project: scope.project,
        params: Params { instance_id: record.id, set, remove },
        secrets: (),
        resource: Some(Resource { kind: "instance", id: record.id.uuid(), name: record.name.clone() }),
        actor: scope.actor.label(),
        request_id: scope.actor.origin.request_id.clone(),
        // Seconds count: others wait for minutes anyway.
        priority: 10,
        run_after: app.clock.now(),
    };
    let job = enqueue(&mut write.tx, &app.keyring, &app.clock, job).await?;
    let view = job_views::show(app, &mut write.tx, job).await?;
    write.commit(Entry::new(wanted.operation).on("instance", record.id).job(job).detail(&detail), view).await
}

/// What the change would set and take; nothing is kept.
pub async fn plan_client_quotas(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    wanted: &Wanted,
) -> Result<Plan, AppError> {
    let (record, present, decided) = decide(app, scope, instance, wanted).await?;
    kafka::free(&record)?;
    of_gateways(&record, &decided.set, &decided.remove)?;
    let (steps, eta_seconds) = job_views::planned::<ClientQuotaChange>(app).await?;
    Ok(Plan {
        checks: checks(&record, wanted, &decided),
        changes: changes(&present, &decided),
        steps,
        price: None,
        eta_seconds: Some(eta_seconds),
    })
}

fn checks(record: &InstanceRecord, wanted: &Wanted, decided: &Decided) -> Vec<Check> {
    let mut checks = match &wanted.change {
        Wish::Set(rules) => quotas::checks(rules, bandwidth::share(&record.spec)),
        Wish::Delete(..) => quotas::checks(&[], bandwidth::share(&record.spec)),
    };
    if *decided == Decided::default() {
        checks[0] = plan::ok("nothing-to-do", "it is so already");
    }
    checks
}

/// Figure by figure.
fn changes(present: &[QuotaRule], decided: &Decided) -> Vec<Change> {
    let now = |entity: &QuotaEntity, key| {
        let rule = present.iter().find(|rule| rule.entity == *entity);
        rule.and_then(|rule| quotas::limit(&rule.limits, key))
    };
    let shown = |rule: &QuotaRule, key, value: Option<f64>| match value {
        Some(value) => json!({ "entity": rule.entity, quotas::word(key): value }),
        None => Value::Null,
    };
    let set = decided.set.iter().flat_map(|rule| quotas::figures(&rule.limits).map(move |figure| (rule, figure)));
    let set = set.filter_map(|(rule, (key, value))| {
        let before = now(&rule.entity, key);
        (before != Some(value)).then_some((rule, key, before, Some(value)))
    });
    let removed =
        decided.remove.iter().flat_map(|rule| quotas::figures(&rule.limits).map(move |figure| (rule, figure)));
    let removed = removed.map(|(rule, (key, value))| (rule, key, Some(value), None));
    let change = |(rule, key, from, to)| {
        plan::change("/client-quotas", shown(rule, key, from), shown(rule, key, to), Effect::Live)
    };
    set.chain(removed).map(change).collect()
}

async fn decide(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    wanted: &Wanted,
) -> Result<(InstanceRecord, Vec<QuotaRule>, Decided), AppError> {
    let record = kafka::serving(app, scope, instance).await?;
    let present = rules(app, &record).await?;
    let decided = wanted.change.decide(&present);
    Ok((record, present, decided))
}

/// Rules that the gateways keep.
struct Kept {
    connection_rates: ConnectionRates,
    topic_rates: BTreeMap<String, TopicRates>,
}

/// Those that the change leaves, if it touches any of them.
fn of_gateways(record: &InstanceRecord, set: &[QuotaRule], remove: &[QuotaRule]) -> Result<Option<Kept>, Refusal> {
    let (rates, topics) =
        (ip::changed(&record.connection_rates, set, remove), topic::changed(&record.topic_rates, set, remove));
    if rates.is_none() && topics.is_none() {
        return Ok(None);
    }
    let kept = Kept {
        connection_rates: rates.unwrap_or_else(|| record.connection_rates.clone()),
        topic_rates: topics.unwrap_or_else(|| record.topic_rates.clone()),
    };
    for (what, code, count, limit) in [
        ("addresses", "quota-ip-many", kept.connection_rates.of_ip.len(), ip::MAX_ADDRESSES),
        ("topics", "quota-topic-many", kept.topic_rates.len(), topic::MAX_TOPICS),
    ] {
        if count > limit {
            let detail = format!("{limit} {what} may have a rule of their own; delete some first");
            let fault = FieldError::new("/rules", code, detail).with("limit", limit);
            return Err(Refusal::invalid(vec![fault]));
        }
    }
    Ok(Some(kept))
}

/// What the tenant has set.
async fn rules(app: &App, record: &InstanceRecord) -> Result<Vec<QuotaRule>, AppError> {
    let cluster = kafka::cluster(app, record.id).await?;
    let mut rules = app.kafka.client_quotas(&cluster).await.map_err(|error| kafka::failed(record.id, error))?;
    rules.extend(ip::rules(&record.connection_rates));
    rules.extend(topic::rules(&record.topic_rates));
    Ok(rules)
}
