//! Topics made, grown and deleted, and what each would do.
//!
//! A change is announced in the audit trail before a gateway hears of it; what it is told, the caller is.

use super::carry_out::{self, Failed, exists, shown};
use crate::{
    app::{Answer, App, AppError, Begun, IdempotencyKey, Refusal, Write, audit::Entry, kafka},
    auth::random,
    domain::{
        actor::ProjectScope,
        plan::{self, Effect},
        rights::Right,
        topic as rules,
    },
    kafka::Cluster,
    store::instances::InstanceRecord,
};
use broker_api::topics::{ChangeTopic, NewTopic, TopicChange};
use control_plane_api::{
    instance::{Change, Check, Plan},
    problem::ProblemCode,
    topic::{CreateTopic, Topic, UpdateTopic},
};
use serde_json::{Value, json};

/// Seconds that a change takes where nothing is in its way.
const ETA_SECONDS: u64 = 1;

/// Makes a topic. The answer is the topic, when each of its partitions has a leader, or after a few seconds as it is then.
pub async fn create_topic(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    key: Option<IdempotencyKey>,
    request: &CreateTopic,
) -> Result<Answer<Topic>, AppError> {
    scope.require(Right::TopicWrite)?;
    let record = kafka::serving(app, scope, instance).await?;
    let name = name(request, key.as_ref())?;
    let topic = wanted(request, &name, &record)?;
    let write = match Write::begin(app, &scope.actor, scope, key).await? {
        Begun::Replayed(answer) => return Ok(answer),
        Begun::Fresh(write) => write,
    };
    let is_resumed = write.is_resumed;
    let detail =
        json!({ "topic": name, "partitions": topic.partitions, "replicas": topic.replicas, "config": topic.config });
    let entry = Entry::new("create_topic").on("instance", record.id).detail(&detail);
    let announced = write.announce(entry).await?;
    match make(app, &record, &name, topic, is_resumed).await {
        Ok(topic) => announced.keep(topic).await,
        Err(Failed { error, is_open }) => {
            if is_open {
                announced.leave_open().await?
            } else {
                announced.withdraw().await?
            }
            Err(error)
        }
    }
}

async fn make(
    app: &App,
    record: &InstanceRecord,
    name: &str,
    topic: NewTopic,
    is_resumed: bool,
) -> Result<Topic, Failed> {
    let cluster = kafka::cluster(app, record.id).await?;
    if !is_resumed {
        absent(app, record, &cluster, name).await?;
    }
    let partitions = topic.partitions;
    let change = ChangeTopic { topic: name.to_owned(), change: TopicChange::Create(topic), validate_only: false };
    carry_out::change(app, record, &change, is_resumed).await?;
    let is_led = |found: Option<&Topic>| {
        found.is_some_and(|topic| topic.summary.leaderless == 0 && topic.summary.partition_count >= partitions)
    };
    // From here on it is made, whatever becomes of looking.
    let made = shown(app, record, &cluster, name, is_led).await;
    match made {
        Ok(Some(topic)) => Ok(topic),
        Ok(None) => Err(Failed { error: unseen(), is_open: true }),
        Err(error) => Err(Failed { error, is_open: true }),
    }
}

/// What would be made; nothing is.
pub async fn plan_topic(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    request: &CreateTopic,
) -> Result<Plan, AppError> {
    scope.require(Right::TopicWrite)?;
    let record = kafka::serving(app, scope, instance).await?;
    let name = name(request, None)?;
    let topic = wanted(request, &name, &record)?;
    let cluster = kafka::cluster(app, record.id).await?;
    absent(app, &record, &cluster, &name).await?;
    let change = ChangeTopic { topic: name.clone(), change: TopicChange::Create(topic.clone()), validate_only: true };
    carry_out::change(app, &record, &change, false).await.map_err(|failed| failed.error)?;
    let new = |path: &str, to: Value| plan::change(path, Value::Null, to, Effect::Live);
    let mut changes: Vec<Change> = request.name.iter().map(|name| new("/name", json!(name))).collect();
    changes.extend([new("/partitions", json!(topic.partitions)), new("/replicas", json!(topic.replicas))]);
    changes.extend(topic.config.iter().map(|(name, value)| new(&format!("/config/{name}"), json!(value))));
    Ok(planned(rules::creation_checks(&topic), changes))
}

/// Adds partitions. The answer is the topic as it is then.
pub async fn update_topic(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    name: &str,
    patch: &UpdateTopic,
) -> Result<Topic, AppError> {
    scope.require(Right::TopicWrite)?;
    let (record, cluster, present) = changeable(app, scope, instance, name).await?;
    let Some(partitions) = growth(&present, patch)? else { return Ok(present) };
    let write = Write::start(app, &scope.actor, scope).await?;
    let detail = json!({ "topic": name, "partitions": partitions });
    let announced = write.announce(Entry::new("update_topic").on("instance", record.id).detail(&detail)).await?;
    let change = ChangeTopic { topic: name.to_owned(), change: TopicChange::Grow { partitions }, validate_only: false };
    carry_out::change(app, &record, &change, false).await.map_err(|failed| failed.error)?;
    let has_grown = |found: Option<&Topic>| {
        found.is_none_or(|topic| topic.summary.leaderless == 0 && topic.summary.partition_count >= partitions)
    };
    let grown = shown(app, &record, &cluster, name, has_grown).await?;
    Ok(announced.keep(grown.ok_or_else(AppError::not_found)?).await?.value)
}

/// What would be added; nothing is.
pub async fn plan_update(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    name: &str,
    patch: &UpdateTopic,
) -> Result<Plan, AppError> {
    scope.require(Right::TopicWrite)?;
    let (record, _, present) = changeable(app, scope, instance, name).await?;
    let Some(partitions) = growth(&present, patch)? else {
        return Ok(planned(vec![plan::ok("nothing-to-do", "it is so already")], Vec::new()));
    };
    let change = ChangeTopic { topic: name.to_owned(), change: TopicChange::Grow { partitions }, validate_only: true };
    carry_out::change(app, &record, &change, false).await.map_err(|failed| failed.error)?;
    let now = present.summary.partition_count;
    let changes = vec![plan::change("/partitions", json!(now), json!(partitions), Effect::Live)];
    Ok(planned(rules::growth_checks(), changes))
}

/// Deletes a topic. Its room can be had by anybody when this returns.
pub async fn delete_topic(app: &App, scope: &ProjectScope, instance: &str, name: &str) -> Result<(), AppError> {
    scope.require(Right::TopicDelete)?;
    let (record, cluster, present) = changeable(app, scope, instance, name).await?;
    let write = Write::start(app, &scope.actor, scope).await?;
    let detail = json!({ "topic": name, "partitions": present.summary.partition_count });
    let announced = write.announce(Entry::new("delete_topic").on("instance", record.id).detail(&detail)).await?;
    let change = ChangeTopic { topic: name.to_owned(), change: TopicChange::Delete, validate_only: false };
    carry_out::change(app, &record, &change, false).await.map_err(|failed| failed.error)?;
    shown(app, &record, &cluster, name, |found| found.is_none()).await?;
    announced.keep(()).await.map(drop)
}

/// What would go.
pub async fn plan_deletion(app: &App, scope: &ProjectScope, instance: &str, name: &str) -> Result<Plan, AppError> {
    scope.require(Right::TopicDelete)?;
    let (record, _, present) = changeable(app, scope, instance, name).await?;
    let changes = vec![
        plan::change("/name", json!(name), Value::Null, Effect::Live),
        plan::change("/partitions", json!(present.summary.partition_count), Value::Null, Effect::Live),
    ];
    Ok(planned(rules::deletion_checks(record.access.auto_create_topics), changes))
}

fn planned(checks: Vec<Check>, changes: Vec<Change>) -> Plan {
    Plan { checks, changes, steps: Vec::new(), price: None, eta_seconds: Some(ETA_SECONDS) }
}

/// The name that was given, or one that a repeat of the request gets too.
fn name(request: &CreateTopic, key: Option<&IdempotencyKey>) -> Result<String, AppError> {
    Ok(match (&request.name, key) {
        (Some(name), _) => name.clone(),
        (None, Some(key)) => rules::made_name(&key.seed()),
        (None, None) => rules::made_name(&random::bytes()?),
    })
}

fn wanted(request: &CreateTopic, name: &str, record: &InstanceRecord) -> Result<NewTopic, Refusal> {
    rules::wanted(request, name, record.spec.brokers).map_err(Refusal::invalid)
}

/// How many the patch asks for, if that is more than there are.
fn growth(present: &Topic, patch: &UpdateTopic) -> Result<Option<u32>, Refusal> {
    let now = present.summary.partition_count;
    let Some(partitions) = patch.partitions.filter(|wanted| *wanted != now) else { return Ok(None) };
    match rules::growth_fault(now, partitions) {
        Some(fault) => Err(Refusal::invalid(vec![fault])),
        None => Ok(Some(partitions)),
    }
}

/// The topic, if it is there and the tenant's.
async fn changeable(
    app: &App,
    scope: &ProjectScope,
    instance: &str,
    name: &str,
) -> Result<(InstanceRecord, Cluster, Topic), AppError> {
    let record = kafka::serving(app, scope, instance).await?;
    let cluster = kafka::cluster(app, record.id).await?;
    let found = app.kafka.topic(&cluster, name).await.map_err(|error| kafka::failed(record.id, error))?;
    let topic = found.ok_or_else(AppError::not_found)?;
    if topic.summary.internal {
        return Err(Refusal::new(ProblemCode::TopicProtected).into());
    }
    Ok((record, cluster, topic))
}

/// Refuses a name that is in use.
async fn absent(app: &App, record: &InstanceRecord, cluster: &Cluster, name: &str) -> Result<(), AppError> {
    let found = app.kafka.topic(cluster, name).await.map_err(|error| kafka::failed(record.id, error))?;
    if found.is_some() { Err(exists(name).into()) } else { Ok(()) }
}

/// Made, and gone before it was seen, or not shown yet.
fn unseen() -> AppError {
    Refusal::new(ProblemCode::KafkaUnavailable).retry_after(ETA_SECONDS).into()
}
