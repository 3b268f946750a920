//! Admission as a client meets it: the gateway's real code between a client, a Kafka that the test plays, and an admission
//! log in memory.

use super::super::admission::Admission;
use super::super::admission::counted::Counted;
use super::super::admission::ledger::{Topic, Topics};
use super::super::admission::log::Inventory;
use super::super::admission::record::{Id, Record, Want};
use super::super::admission::topology::Topology;
use super::memory_log::MemoryLog;
use super::*;
use arc_swap::ArcSwap;
use create_partitions_request::CreatePartitionsTopic;
use create_partitions_response::CreatePartitionsTopicResult;
use create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use create_topics_response::CreatableTopicResult;
use delete_topics_request::DeleteTopicState;
use delete_topics_response::DeletableTopicResult;
use futures::future::BoxFuture;
use kafka_protocol::messages::*;
use std::collections::HashMap;
use std::sync::Mutex;

const CREATE: ApiKey = ApiKey::CreateTopics;
const NEWEST: i16 = 7;

/// A log, and the topics that there are.
#[derive(Clone, Default)]
pub(super) struct Memory {
    log: MemoryLog<Record>,
    topics: Arc<Mutex<Topics>>,
    /// What the broker keeps of Streams groups.
    kept: Arc<Mutex<HashMap<String, Topology>>>,
}

impl Memory {
    pub(super) fn has(self, topic: &str, partitions: u32) -> Self {
        let id = Id(topic.bytes().map(u128::from).sum());
        self.topics.lock().unwrap().0.insert(topic.to_owned(), Topic { id, partitions });
        self
    }

    pub(super) fn lacks(&self, topic: &str) {
        self.topics.lock().unwrap().0.remove(topic);
    }

    pub(super) fn keeps(self, group: &str, topology: Topology) -> Self {
        self.kept.lock().unwrap().insert(group.to_owned(), topology);
        self
    }

    pub(super) fn go(&self, away: bool) {
        self.log.go(away);
    }

    /// What the log says became of a topic: made, not made or deleted.
    pub(super) fn ends(&self) -> Vec<(&'static str, String)> {
        let ends = self.log.records().into_iter().filter_map(|record| match record {
            Record::End(end) => Some(end),
            Record::Intent(_) => None,
        });
        let ends = ends.flat_map(|end| {
            let made = end.made.into_iter().map(|topic| ("made", topic));
            let not_made = end.not_made.into_iter().map(|topic| ("not made", topic));
            made.chain(not_made).chain(end.deleted.into_iter().map(|deleted| ("deleted", deleted.topic)))
        });
        ends.collect()
    }
}

impl Memory {
    /// Over this log, what it says.
    pub(super) fn admission(&self, counted: Counted) -> Arc<Admission> {
        Admission::new(counted, self.log.clone(), self.clone())
    }

    /// How many records were written.
    pub(super) fn length(&self) -> usize {
        self.log.records().len()
    }
}

impl Inventory for Memory {
    fn topics(&self) -> BoxFuture<'_, io::Result<Topics>> {
        Box::pin(async move { self.log.check().map(|()| self.topics.lock().unwrap().clone()) })
    }

    fn probe<'a>(&'a self, wants: &'a [Want]) -> BoxFuture<'a, io::Result<Vec<Option<bool>>>> {
        let topics = self.topics.lock().unwrap().clone();
        let told =
            move |want: &Want| Some(topics.0.get(&want.topic).is_some_and(|topic| topic.partitions >= want.partitions));
        Box::pin(async move { self.log.check().map(|()| wants.iter().map(told).collect()) })
    }

    /// This broker answers even where the log does not.
    fn is_here<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<bool>> {
        Box::pin(async move { Ok(self.topics.lock().unwrap().0.contains_key(name)) })
    }

    fn topology<'a>(&'a self, group: &'a str) -> BoxFuture<'a, io::Result<Result<Topology, i16>>> {
        const GROUP_ID_NOT_FOUND: i16 = 69;
        Box::pin(async move { Ok(self.kept.lock().unwrap().get(group).cloned().ok_or(GROUP_ID_NOT_FOUND)) })
    }
}

pub(super) fn rig(log: &Memory, limit: u32) -> Rig {
    rig_with(log, limit, false)
}

fn rig_with(log: &Memory, limit: u32, auto_create: bool) -> Rig {
    let mut spec = spec();
    spec.gateway.limits.max_partitions = limit;
    spec.gateway.auto_create_topics = auto_create;
    let metrics = Metrics::register(&mut Registry::default());
    let snapshot = Arc::new(ArcSwap::from_pointee(Snapshot::build(&spec).unwrap()));
    let (partitions, groups) = (log.admission(Counted::Partitions), Memory::default().admission(Counted::Groups));
    let shared = Shared::with_admission(snapshot, signer(), metrics, partitions, groups).unwrap();
    tokio::spawn(shared.clone().run_admission());
    Rig::over(shared)
}

fn topic(name: &str, partitions: i32) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(TopicName(text(name)))
        .with_num_partitions(partitions)
        .with_replication_factor(-1)
}

fn create(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest::default().with_topics(topics).with_timeout_ms(1000)
}

fn made(names: &[(&str, i16)]) -> CreateTopicsResponse {
    let result = |(name, error): &(&str, i16)| {
        CreatableTopicResult::default().with_name(TopicName(text(name))).with_error_code(*error)
    };
    CreateTopicsResponse::default().with_topics(names.iter().map(result).collect())
}

/// Name, error and sentence of each result.
fn told(frame: &[u8]) -> Vec<(String, i16, String)> {
    let (_, answer) = read_response::<CreateTopicsResponse>(CREATE, NEWEST, frame);
    let told = answer.topics.into_iter().map(|topic| {
        (topic.name.to_string(), topic.error_code, topic.error_message.as_deref().unwrap_or_default().to_owned())
    });
    told.collect()
}

#[tokio::test]
async fn of_a_batch_what_fits_is_made_and_the_rest_is_told_what_is_used_and_what_to_do() {
    let log = Memory::default().has("there", 4).has("__internal", 2);
    let mut rig = rig(&log, 12);
    let (mut client, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    let assigned = (0..3).map(|n| CreatableReplicaAssignment::default().with_partition_index(n)).collect();
    let by_hand = topic("by-hand", -1).with_assignments(assigned);
    let wanted = create(vec![topic("default", -1), by_hand, topic("__consumer_offsets", 50), topic("one", 1)]);
    client.send(&request(CREATE, NEWEST, 7, &wanted)).await;
    let asked = read_request::<CreateTopicsRequest>(CREATE, NEWEST, &kafka.frame().await);
    let names: Vec<_> = asked.topics.iter().map(|topic| topic.name.to_string()).collect();
    // A tenant's topic counts whatever its name: 6 are used, 3 and then 3 more fit.
    assert_eq!(names, ["default", "by-hand"]);
    kafka.send(&response(CREATE, NEWEST, 7, &made(&[("default", 0), ("by-hand", 40)]))).await;
    let told = told(&client.frame().await);
    let by_name = |name: &str| told.iter().find(|told| told.0 == name).cloned().unwrap();
    assert_eq!(by_name("default").1, 0);
    assert_eq!(by_name("by-hand").1, 40);
    assert_eq!(by_name("__consumer_offsets").1, 29);
    let (_, error, why) = by_name("one");
    assert_eq!(error, 44);
    assert_eq!(
        why,
        "this instance may have 12 partitions and has 12; topic 'one' asks for 1 more: \
         ask for fewer, delete topics, or change to a larger spec"
    );
    // Before the client heard of it.
    let ends = log.ends();
    for end in [("made", "default"), ("not made", "by-hand"), ("not made", "one")] {
        assert!(ends.iter().any(|(what, topic)| (*what, topic.as_str()) == end), "{end:?} of {ends:?}");
    }
}

#[tokio::test]
async fn room_that_a_refused_creation_leaves_is_given_to_the_next() {
    let log = Memory::default();
    let mut rig = rig(&log, 3);
    let (mut client, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    for (round, error) in [(1, 38), (2, 0)] {
        client.send(&request(CREATE, NEWEST, round, &create(vec![topic("t", 3)]))).await;
        kafka.frame().await;
        kafka.send(&response(CREATE, NEWEST, round, &made(&[("t", error)]))).await;
        assert_eq!(told(&client.frame().await)[0].1, error);
    }
}

#[tokio::test]
async fn who_waits_for_others_gets_the_room_that_they_do_not_take() {
    let log = Memory::default();
    let mut rig = rig(&log, 3);
    let (mut first, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    let (mut second, _served_too) = rig.plaintext();
    let mut kafka_of_second = rig.kafka().await;
    first.send(&request(CREATE, NEWEST, 1, &create(vec![topic("first", 2)]))).await;
    kafka.frame().await;
    second.send(&request(CREATE, NEWEST, 2, &create(vec![topic("second", 2)]))).await;
    let asked_too = kafka_of_second.frame();
    tokio::pin!(asked_too);
    tokio::select! {
        _ = &mut asked_too => panic!("the room may be taken"),
        () = tokio::time::sleep(Duration::from_millis(100)) => {}
    }
    kafka.send(&response(CREATE, NEWEST, 1, &made(&[("first", 17)]))).await;
    first.frame().await;
    asked_too.await;
}

#[tokio::test]
async fn a_request_that_only_asks_gets_the_truth_and_takes_no_room() {
    let log = Memory::default().has("there", 4);
    let mut rig = rig(&log, 5);
    let (mut client, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    for round in 1..=3 {
        let wanted = create(vec![topic("much", 2), topic("little", 1)]).with_validate_only(true);
        client.send(&request(CREATE, NEWEST, round, &wanted)).await;
        let asked = read_request::<CreateTopicsRequest>(CREATE, NEWEST, &kafka.frame().await);
        assert_eq!((asked.topics.len(), asked.validate_only), (1, true));
        kafka.send(&response(CREATE, NEWEST, round, &made(&[("little", 0)]))).await;
        let told = told(&client.frame().await);
        assert_eq!(told.iter().find(|told| told.0 == "much").unwrap().1, 44);
    }
}

#[tokio::test]
async fn partitions_are_added_up_to_the_limit_and_deleted_topics_make_room_at_once() {
    const ADD: ApiKey = ApiKey::CreatePartitions;
    const DELETE: ApiKey = ApiKey::DeleteTopics;
    let log = Memory::default().has("there", 4);
    let mut rig = rig(&log, 5);
    let (mut client, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    let add = |count| {
        let topic = CreatePartitionsTopic::default().with_name(TopicName(text("there"))).with_count(count);
        CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(1)
    };
    client.send(&request(ADD, 3, 1, &add(6))).await;
    let (_, refused) = read_response::<CreatePartitionsResponse>(ADD, 3, &client.frame().await);
    assert_eq!(refused.results[0].error_code, 44);
    assert!(refused.results[0].error_message.as_deref().unwrap().contains("asks for 2 more"));
    client.send(&request(ADD, 3, 2, &add(5))).await;
    kafka.frame().await;
    let added = CreatePartitionsTopicResult::default().with_name(TopicName(text("there")));
    kafka.send(&response(ADD, 3, 2, &CreatePartitionsResponse::default().with_results(vec![added]))).await;
    client.frame().await;

    // The broker still shows the topic with four.
    let name = Some(TopicName(text("there")));
    let delete = DeleteTopicsRequest::default().with_topics(vec![DeleteTopicState::default().with_name(name.clone())]);
    client.send(&request(DELETE, 6, 3, &delete)).await;
    kafka.frame().await;
    let deleted = DeletableTopicResult::default().with_name(name);
    kafka.send(&response(DELETE, 6, 3, &DeleteTopicsResponse::default().with_responses(vec![deleted]))).await;
    client.frame().await;
    client.send(&request(CREATE, NEWEST, 4, &create(vec![topic("next", 5)]))).await;
    kafka.frame().await;
}

#[tokio::test(start_paused = true)]
async fn without_the_log_nothing_is_made_and_all_else_goes_on() {
    let log = Memory::default();
    let mut rig = rig(&log, 100);
    let (mut client, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    let (mut other, _served_too) = rig.plaintext();
    let mut kafka_of_other = rig.kafka().await;
    log.go(true);
    client.send(&request(CREATE, NEWEST, 1, &create(vec![topic("t", 1)]))).await;
    other.send(&opaque_request(12, 4, 2, b"beat")).await;
    assert_eq!(kafka_of_other.frame().await, opaque_request(12, 4, 2, b"beat"));
    let told = told(&client.frame().await);
    assert_eq!(told[0].1, 7, "an error that may pass");
    assert!(told[0].2.contains("try again"));
    // Deleting needs no room.
    let name = Some(TopicName(text("t")));
    let delete = DeleteTopicsRequest::default().with_topics(vec![DeleteTopicState::default().with_name(name)]);
    client.send(&request(ApiKey::DeleteTopics, 6, 3, &delete)).await;
    kafka.frame().await;
    log.go(false);
    client.send(&request(CREATE, NEWEST, 4, &create(vec![topic("t", 1)]))).await;
    // The answer to the deletion is outstanding, and nothing waits for it.
    kafka.frame().await;
}

#[tokio::test(start_paused = true)]
async fn room_of_a_request_whose_answer_told_nothing_comes_back() {
    let log = Memory::default();
    let mut rig = rig(&log, 3);
    let (mut client, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    client.send(&request(CREATE, NEWEST, 1, &create(vec![topic("lost", 3)]))).await;
    kafka.frame().await;
    const NOT_CONTROLLER: i16 = 41;
    kafka.send(&response(CREATE, NEWEST, 1, &made(&[("lost", NOT_CONTROLLER)]))).await;
    assert_eq!(told(&client.frame().await)[0].1, NOT_CONTROLLER);
    // It may be made yet, so nobody else gets its room now.
    client.send(&request(CREATE, NEWEST, 2, &create(vec![topic("next", 3)]))).await;
    assert_eq!(told(&client.frame().await)[0].1, 7);
    within(async {
        while !log.ends().contains(&("not made", "lost".to_owned())) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    client.send(&request(CREATE, NEWEST, 3, &create(vec![topic("next", 3)]))).await;
    kafka.frame().await;
}

/// Topics and errors of a Metadata response.
fn errors(version: i16, frame: &[u8]) -> Vec<(String, i16)> {
    let (_, answer) = read_response::<MetadataResponse>(ApiKey::Metadata, version, frame);
    answer.topics.into_iter().map(|topic| (topic.name.unwrap_or_default().to_string(), topic.error_code)).collect()
}

fn metadata(version: i16, correlation: i32, names: &[&str], allow: bool) -> Vec<u8> {
    let named = names
        .iter()
        .map(|name| metadata_request::MetadataRequestTopic::default().with_name(Some(TopicName(text(name)))));
    let asked = MetadataRequest::default().with_topics(Some(named.collect()));
    let asked = if version >= 4 { asked.with_allow_auto_topic_creation(allow) } else { asked };
    request(ApiKey::Metadata, version, correlation, &asked)
}

fn known(version: i16, correlation: i32, topics: &[(&str, i16)]) -> Vec<u8> {
    let topics = topics.iter().map(|(name, error)| {
        metadata_response::MetadataResponseTopic::default()
            .with_name(Some(TopicName(text(name))))
            .with_error_code(*error)
    });
    response(ApiKey::Metadata, version, correlation, &MetadataResponse::default().with_topics(topics.collect()))
}

#[tokio::test]
async fn a_missing_topic_is_made_for_whom_lets_it_on_his_own_connection() {
    for version in 0..=13 {
        for limit in [0, 4] {
            let log = Memory::default().has("there", 1);
            let mut rig = rig_with(&log, limit, true);
            let (mut client, _served) = rig.plaintext();
            let mut kafka = rig.kafka().await;
            let asked = metadata(version, 1, &["there", "missing", "over", "__consumer_offsets"], true);
            client.send(&asked).await;
            assert_eq!(kafka.frame().await, asked);
            // Another request is on its way meanwhile.
            client.send(&opaque_request(12, 4, 2, b"beat")).await;
            assert_eq!(kafka.frame().await, opaque_request(12, 4, 2, b"beat"));
            let topics = [("there", 0), ("missing", 3), ("over", 3), ("__consumer_offsets", 3)];
            kafka.send(&known(version, 1, &topics)).await;
            let over = if limit == 0 { 5 } else { 44 };
            let told = errors(version, &client.frame().await);
            let expected = [("there", 0), ("missing", 5), ("over", over), ("__consumer_offsets", 3)];
            assert_eq!(told, expected.map(|(name, error)| (name.to_owned(), error)), "version {version}");
            kafka.send(&opaque_response(2, b"ok")).await;
            assert_eq!(client.frame().await, opaque_response(2, b"ok"));

            let creation = kafka.frame().await;
            let made_for = read_request::<CreateTopicsRequest>(CREATE, 5, &creation);
            let names: Vec<_> = made_for.topics.iter().map(|topic| topic.name.to_string()).collect();
            assert_eq!(names, if limit == 0 { vec!["missing", "over"] } else { vec!["missing"] });
            assert!(made_for.topics.iter().all(|topic| (topic.num_partitions, topic.replication_factor) == (-1, -1)));
            let correlation = i32::from_be_bytes(creation[8..12].try_into().unwrap());
            kafka.send(&response(CREATE, 5, correlation, &made(&[("missing", 0), ("over", 0)][..names.len()]))).await;
            // Of which the client hears nothing.
            client.send(&opaque_request(12, 4, 3, b"beat")).await;
            kafka.frame().await;
            kafka.send(&opaque_response(3, b"ok")).await;
            assert_eq!(client.frame().await, opaque_response(3, b"ok"));
            if limit > 0 {
                within(async {
                    while !log.ends().contains(&("made", "missing".to_owned())) {
                        tokio::task::yield_now().await;
                    }
                })
                .await;
            }
        }
    }
}

#[tokio::test]
async fn nothing_is_made_where_the_switch_is_off_or_the_client_does_not_let_it() {
    for (auto_create, version, allow) in [(false, 0, true), (false, 12, true), (true, 4, false), (true, 13, false)] {
        let log = Memory::default();
        let mut rig = rig_with(&log, 10, auto_create);
        let (mut client, _served) = rig.plaintext();
        let mut kafka = rig.kafka().await;
        client.send(&metadata(version, 1, &["missing"], allow)).await;
        kafka.frame().await;
        kafka.send(&known(version, 1, &[("missing", 3)])).await;
        assert_eq!(errors(version, &client.frame().await), [("missing".to_owned(), 3)]);
        let beat = opaque_request(12, 4, 2, b"beat");
        client.send(&beat).await;
        assert_eq!(kafka.frame().await, beat, "and no creation before it");
        assert!(log.length() == 0);
    }
}
