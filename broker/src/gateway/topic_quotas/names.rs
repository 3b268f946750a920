//! Which topic an id names: newer versions of Produce and Fetch carry ids only. Ids are for ever, and topics are not renamed: what
//! was learnt stays true. A topic that is made anew has another id, which is asked for when it is seen first: in an answer of Kafka,
//! since clients may name any.

use super::super::listener::Shared;
use crate::inter_broker::Connection;
use arc_swap::ArcSwap;
use kafka_protocol::messages::MetadataRequest;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tracing::warn;
use uuid::Uuid;

pub(in crate::gateway) type Id = [u8; 16];

/// Spoken by Kafka 3.9 and 4.x; the first that asks by id.
const METADATA: i16 = 12;
const LIMIT: Duration = Duration::from_secs(5);
/// Ids come with every request until they are known: so often the broker is asked at most.
const PAUSE: Duration = Duration::from_millis(100);
/// Ids to ask for at once: of those that Kafka's own answers name.
pub(super) const OF_KAFKA: usize = 1000;
/// Of those that only a client names, in requests that have no answer. They leave room for the others.
pub(super) const OF_CLIENTS: usize = 100;
/// Ids to remember: more than there are topics. Those of deleted topics go with all others, and the rest is asked for again.
const MOST_KNOWN: usize = 20_000;
const TELL_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(in crate::gateway) struct Names {
    known: ArcSwap<HashMap<Id, Box<[u8]>>>,
    asked: Mutex<HashSet<Id>>,
    wanted: Notify,
}

impl Names {
    /// What `look` makes of the topic's name; none while that is not known.
    pub(super) fn with<T>(&self, id: Id, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
        self.known.load().get(&id).map(|name| look(name))
    }

    /// Wants to know the name of a topic, if fewer than `most` are to be asked for already.
    pub(super) fn ask(&self, id: Id, most: usize) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() < most && asked.insert(id) {
            self.wanted.notify_one();
        }
    }

    pub(in crate::gateway) fn learn(&self, found: impl IntoIterator<Item = (Id, Box<[u8]>)>) {
        let mut found = found.into_iter().peekable();
        if found.peek().is_none() {
            return;
        }
        let mut known = HashMap::clone(&self.known.load());
        if known.len() > MOST_KNOWN {
            known.clear();
        }
        known.extend(found);
        self.known.store(Arc::new(known));
    }

    /// What is to be asked for.
    pub(in crate::gateway) fn take(&self) -> HashSet<Id> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks this node's broker for what is wanted, until the end of the gateway.
    pub(in crate::gateway) async fn keep(&self, shared: &Shared) {
        let (mut own, mut told_away) = (None, None::<Instant>);
        loop {
            self.wanted.notified().await;
            let ids = self.take();
            match ask(shared, own.take(), ids).await {
                Ok((connection, found)) => {
                    own = Some(connection);
                    self.learn(found);
                }
                Err(error) if told_away.is_none_or(|told| told.elapsed() >= TELL_EVERY) => {
                    told_away = Some(Instant::now());
                    warn!(%error, "the broker can't be asked for names of topics: quotas of topics that are not known yet do not hold");
                }
                Err(_) => {}
            }
            sleep(PAUSE).await;
        }
    }
}

async fn ask(
    shared: &Shared,
    own: Option<Connection>,
    ids: HashSet<Id>,
) -> io::Result<(Connection, Vec<(Id, Box<[u8]>)>)> {
    let mut own = match own {
        Some(own) => own,
        None => {
            let peer = shared.snapshot().peer.clone();
            peer.connect(&peer.own).await?
        }
    };
    let topics =
        ids.into_iter().map(|id| MetadataRequestTopic::default().with_topic_id(Uuid::from_bytes(id)).with_name(None));
    let request = MetadataRequest::default().with_topics(Some(topics.collect())).with_allow_auto_topic_creation(false);
    let answer = own.call(METADATA, &request, LIMIT).await?;
    let found = answer.topics.into_iter().filter_map(|topic| {
        let name = topic.name.filter(|name| topic.error_code == 0 && !name.is_empty())?;
        Some((topic.topic_id.into_bytes(), name.as_bytes().into()))
    });
    Ok((own, found.collect()))
}
