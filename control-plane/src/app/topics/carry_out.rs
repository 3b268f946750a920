//! Has a gateway of an instance change a topic, and waits until brokers show it.
//!
//! Every gateway can do it. Where one does not answer, it may have done it, or may be about to: the next one is asked, and what it
//! finds done is taken for done.

use crate::{
    app::{App, AppError, Refusal, kafka},
    kafka::Cluster,
    nodes::{NodeAddress, NodeError},
    provisioned::node_addresses,
    store::instances::InstanceRecord,
};
use broker_api::topics::{ChangeTopic, Shortage, TopicChange, TopicOutcome};
use control_plane_api::{
    problem::{FieldError, ProblemCode},
    topic::Topic,
};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// For brokers to show what the controller has done, and for each partition to have its leader: milliseconds, unless the machine is
/// busy or a broker is away.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Seconds after which trying again is worth it.
const TRY_AGAIN: u64 = 5;

// Kafka's error codes.
const UNKNOWN_TOPIC: i16 = 3;
const INVALID_TOPIC: i16 = 17;
const TOPIC_EXISTS: i16 = 36;
const INVALID_PARTITIONS: i16 = 37;
const INVALID_REPLICAS: i16 = 38;
const INVALID_CONFIG: i16 = 40;
/// Somebody else deletes it at the same time.
const UNKNOWN_TOPIC_ID: i16 = 100;
/// After which trying again helps: no leader, a time-out, a coordinator or controller that moves, throttling.
const PASSING: [i16; 6] = [5, 6, 7, 13, 41, 89];

/// Why it was not done.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: AppError,
    /// It may have been done all the same, or be about to.
    pub(super) is_open: bool,
}

impl<E: Into<AppError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self { error: error.into(), is_open: false }
    }
}

/// Asks one gateway after the other. `is_open`: an earlier request may have done it.
pub(super) async fn change(
    app: &App,
    instance: &InstanceRecord,
    change: &ChangeTopic,
    mut is_open: bool,
) -> Result<(), Failed> {
    for (broker, node) in nodes(app, instance, &change.topic).await? {
        match app.nodes.change_topic(&node, change).await {
            Ok(outcome) => return told(change, outcome, is_open),
            Err(error) => {
                tracing::warn!(instance = %instance.id, node = broker, %error, "a broker does not change a topic");
                is_open |= matches!(error, NodeError::Unreachable { .. });
            }
        }
    }
    let silent = Refusal::new(ProblemCode::KafkaUnavailable).retry_after(TRY_AGAIN);
    Err(Failed { error: silent.into(), is_open })
}

/// All of the instance, beginning with another one for another topic.
async fn nodes(app: &App, instance: &InstanceRecord, topic: &str) -> Result<Vec<(i32, NodeAddress)>, AppError> {
    let mut tx = app.db.system().await?;
    let mut nodes = node_addresses(&mut tx, &app.keyring, instance.id).await?;
    let sum = topic.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let first = sum.checked_rem(nodes.len()).unwrap_or_default();
    nodes.rotate_left(first);
    Ok(nodes)
}

fn told(change: &ChangeTopic, outcome: TopicOutcome, is_open: bool) -> Result<(), Failed> {
    let (error, message) = match outcome {
        TopicOutcome::Done => return Ok(()),
        TopicOutcome::Full(shortage) => return Err(full(shortage).into()),
        TopicOutcome::Undecided { .. } => {
            return Err(Refusal::new(ProblemCode::PartitionsUndecided).retry_after(TRY_AGAIN).into());
        }
        TopicOutcome::Refused { error, message } => (error, message),
    };
    match (&change.change, error) {
        (TopicChange::Create(_), TOPIC_EXISTS)
        | (TopicChange::Grow { .. }, INVALID_PARTITIONS)
        | (TopicChange::Delete, UNKNOWN_TOPIC | UNKNOWN_TOPIC_ID)
            if is_open =>
        {
            Ok(())
        }
        (TopicChange::Create(_), TOPIC_EXISTS) => Err(exists(&change.topic).into()),
        (_, UNKNOWN_TOPIC | UNKNOWN_TOPIC_ID) => Err(AppError::not_found().into()),
        (_, error) if PASSING.contains(&error) => {
            tracing::warn!(error, message, "Kafka does not change a topic now");
            let later = Refusal::new(ProblemCode::KafkaUnavailable).retry_after(TRY_AGAIN);
            Err(Failed { error: later.into(), is_open: true })
        }
        (_, error) => {
            let pointer = match error {
                INVALID_TOPIC => "/name",
                INVALID_PARTITIONS => "/partitions",
                INVALID_REPLICAS => "/replicas",
                INVALID_CONFIG => "/config",
                _ => "",
            };
            let fault = FieldError::new(pointer, "kafka-refused", message.clone()).with("reason", message);
            Err(Refusal::invalid(vec![fault]).into())
        }
    }
}

fn full(Shortage { limit, used, wanted }: Shortage) -> Refusal {
    Refusal::new(ProblemCode::PartitionLimit)
        .detail(
            format!(
                "This instance may have {limit} partitions and has {used}; {wanted} more were asked for. \
                 Ask for fewer, delete topics, or change to a larger spec."
            ),
            format!("该实例最多可有 {limit} 个分区，已有 {used} 个，此次还需 {wanted} 个。请减少分区数、删除主题，或更换更大的规格。"),
        )
        .with("limit", limit)
        .with("used", used)
        .with("requested", wanted)
}

/// Somebody has this topic.
pub(super) fn exists(name: &str) -> Refusal {
    Refusal::new(ProblemCode::NameTaken)
        .detail(format!("The instance has a topic {name} already."), format!("实例中已有主题 {name}。"))
        .field(FieldError::new("/name", "taken", "the name is in use; choose another"))
}

/// The topic, once it is as wanted, or as it is when the time is up.
pub(super) async fn shown(
    app: &App,
    instance: &InstanceRecord,
    cluster: &Cluster,
    name: &str,
    is_as_wanted: impl Fn(Option<&Topic>) -> bool,
) -> Result<Option<Topic>, AppError> {
    let deadline = Instant::now() + SHOWN_WITHIN;
    loop {
        let found = app.kafka.topic(cluster, name).await.map_err(|error| kafka::failed(instance.id, error))?;
        if is_as_wanted(found.as_ref()) || Instant::now() >= deadline {
            return Ok(found);
        }
        sleep(LOOK_EVERY).await;
    }
}
