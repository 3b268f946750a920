//! Topics that are made, grown and deleted for the control plane: through admission as requests of clients are, so that there
//! is one count, and then to this node's own broker as `sluice-node`.
//!
//! Owns these requests; what is admitted is [`super::admission`]'s, and what no topic may be is the filters'. A super user
//! asks here, so that what bindings keep clients from is refused before Kafka hears of it.

use super::admission::Admitted;
use super::admission::counted::Counted;
use super::admission::record::Id;
use super::filters::admitted::{Asked, Change, Item, Outcome};
use super::filters::split::Refusal;
use super::filters::{acls, code, configs};
use super::listener::Shared;
use super::snapshot::Snapshot;
use crate::inter_broker::Connection;
use broker_api::topics::{ChangeTopic, NewTopic, TopicChange, TopicOutcome};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::io;
use std::sync::Arc;
use std::time::Duration;

// Versions that Kafka 3.9 and 4.x both speak.
const CREATE_TOPICS: i16 = 7;
const CREATE_PARTITIONS: i16 = 3;
const DELETE_TOPICS: i16 = 6;
/// For Kafka to carry it out.
const TIME_OUT_MS: i32 = 6_000;
/// For its answer, which comes a little later.
const LIMIT: Duration = Duration::from_secs(8);

/// Kafka's answer about the topic.
struct Told {
    topic_id: Option<Id>,
    error: i16,
    message: String,
}

/// After an error nobody knows what became of it.
pub(super) async fn change(shared: &Shared, asked: &ChangeTopic) -> io::Result<TopicOutcome> {
    let snapshot = shared.snapshot();
    if let Some(refusal) = refusal(&snapshot, asked) {
        return Ok(refused(refusal));
    }
    let (peer, limit) = (snapshot.peer.clone(), snapshot.limit(Counted::Partitions));
    drop(snapshot);
    let mut connection = peer.connect(&peer.own).await?;
    let mut ticket = None;
    if limit > 0 {
        let wanted = wanted(asked);
        let makes = wanted.change == Change::Make;
        let admission = shared.admission(Counted::Partitions).clone();
        let admitted: Admitted = admission.admit(Arc::new(wanted), limit, peer.node).await;
        if let Some(refusal) = admitted.refusals.into_iter().flatten().next() {
            shared.metrics.refuse_full(Counted::Partitions, u64::from(refusal.shortage.is_some()));
            return Ok(refused(refusal));
        }
        ticket = admitted.ticket.and_then(|mut ticket| ticket.start().then_some(ticket));
        if makes && admitted.needs_ticket && ticket.is_none() {
            return Ok(refused(Counted::Partitions.undecided()));
        }
    }
    let Told { topic_id, error, message } = ask(&mut connection, asked).await?;
    if let Some(ticket) = ticket {
        ticket.settle(vec![Outcome { name: Some(asked.topic.clone()), topic_id, error }]).await;
    }
    Ok(if error == 0 { TopicOutcome::Done } else { TopicOutcome::Refused { error, message } })
}

/// What no client may do either.
fn refusal(snapshot: &Snapshot, asked: &ChangeTopic) -> Option<Refusal> {
    let settings = match &asked.change {
        TopicChange::Create(topic) => Some(&topic.config),
        TopicChange::Grow { .. } | TopicChange::Delete => None,
    };
    let mut settings = settings.into_iter().flatten();
    if asked.validate_only && asked.change == TopicChange::Delete {
        return Some(Refusal::new(code::INVALID_REQUEST, "a deletion is done, or not asked for"));
    }
    acls::creation_refusal(&asked.topic)
        .or_else(|| settings.find_map(|(name, value)| configs::topic_refusal(snapshot, name, Some(value))))
}

fn refused(refusal: Refusal) -> TopicOutcome {
    match refusal {
        Refusal { shortage: Some(shortage), .. } => TopicOutcome::Full(shortage),
        Refusal { code: code::REQUEST_TIMED_OUT, message, .. } => TopicOutcome::Undecided { message },
        Refusal { code: error, message, .. } => TopicOutcome::Refused { error, message },
    }
}

/// What admission is asked.
fn wanted(asked: &ChangeTopic) -> Asked {
    let (change, item) = match asked.change {
        TopicChange::Delete => (Change::Delete, Item::gone(asked.topic.clone())),
        TopicChange::Create(NewTopic { partitions, .. }) | TopicChange::Grow { partitions } => {
            (Change::Make, Item::new(asked.topic.clone(), partitions))
        }
    };
    Asked::new(if asked.validate_only { Change::Nothing } else { change }, vec![item])
}

async fn ask(connection: &mut Connection, asked: &ChangeTopic) -> io::Result<Told> {
    let name = TopicName(text(&asked.topic));
    let told = |topic_id: Option<u128>, error, message: Option<StrBytes>| Told {
        topic_id: topic_id.filter(|id| *id != 0).map(Id),
        error,
        message: message.map(|message| message.to_string()).unwrap_or_default(),
    };
    let told = match &asked.change {
        TopicChange::Create(topic) => {
            let setting = |(name, value): (&String, &String)| {
                CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
            };
            let wanted = CreatableTopic::default()
                .with_name(name)
                .with_num_partitions(number(topic.partitions))
                .with_replication_factor(i16::try_from(topic.replicas).unwrap_or(i16::MAX))
                .with_configs(topic.config.iter().map(setting).collect());
            let request = CreateTopicsRequest::default()
                .with_topics(vec![wanted])
                .with_timeout_ms(TIME_OUT_MS)
                .with_validate_only(asked.validate_only);
            let answer = connection.call(CREATE_TOPICS, &request, LIMIT).await?;
            let result = answer.topics.into_iter().next();
            result.map(|result| told(Some(result.topic_id.as_u128()), result.error_code, result.error_message))
        }
        TopicChange::Grow { partitions } => {
            let wanted =
                CreatePartitionsTopic::default().with_name(name).with_count(number(*partitions)).with_assignments(None);
            let request = CreatePartitionsRequest::default()
                .with_topics(vec![wanted])
                .with_timeout_ms(TIME_OUT_MS)
                .with_validate_only(asked.validate_only);
            let answer = connection.call(CREATE_PARTITIONS, &request, LIMIT).await?;
            answer.results.into_iter().next().map(|result| told(None, result.error_code, result.error_message))
        }
        TopicChange::Delete => {
            let wanted = DeleteTopicState::default().with_name(Some(name));
            let request = DeleteTopicsRequest::default().with_topics(vec![wanted]).with_timeout_ms(TIME_OUT_MS);
            let answer = connection.call(DELETE_TOPICS, &request, LIMIT).await?;
            let result = answer.responses.into_iter().next();
            result.map(|result| told(Some(result.topic_id.as_u128()), result.error_code, result.error_message))
        }
    };
    told.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "Kafka answered about no topic"))
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn number(partitions: u32) -> i32 {
    i32::try_from(partitions).unwrap_or(i32::MAX)
}
