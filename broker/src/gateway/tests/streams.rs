//! The partition limit as applications of Kafka Streams meet it (KIP-1071): the gateway's real code between a member, a
//! coordinator that the test plays, and an admission log in memory.

use super::super::admission::topology::{InternalTopic, Part, Together, Topology};
use super::super::filters::{Format, streams};
use super::super::wire::{Reader, Writer};
use super::admission::{Memory, rig};
use super::definitions::{Direction, of_kafka};
use super::*;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use rand::SeedableRng;
use rand::rngs::StdRng;

const BEAT: i16 = 88;
const FORMAT: Format = Format { version: 0, flexible: true };
const POLICY_VIOLATION: i16 = 44;
const TRY_AGAIN: i16 = 14;
const UNKNOWN_MEMBER_ID: i16 = 25;
const STREAMS_INVALID_TOPOLOGY: i16 = 130;
const MISSING_SOURCE_TOPICS: i8 = 1;
const MISSING_INTERNAL_TOPICS: i8 = 3;

/// Counts what it reads: a repartition topic and a changelog.
fn topology() -> Topology {
    let internal = |name: &str| vec![InternalTopic { name: name.to_owned(), partitions: 0 }];
    let reads = Part {
        sources: vec!["words".into()],
        sinks: vec!["app-r".into()],
        copartitioned: Some(vec![]),
        ..Part::default()
    };
    let counts = Part {
        repartitions: internal("app-r"),
        changelogs: internal("app-c"),
        copartitioned: Some(vec![]),
        ..Part::default()
    };
    Topology { epoch: 0, parts: vec![reads, counts] }
}

/// What a broker tells of it.
fn kept() -> Topology {
    let mut kept = topology();
    kept.parts.iter_mut().for_each(|part| part.copartitioned = None);
    kept
}

/// A member's heartbeat: with a topology if it joins.
fn beat(group: &str, joins: Option<&Topology>) -> Vec<u8> {
    let mut w = Writer::new(true);
    w.string(group);
    w.string("member");
    w.i32(if joins.is_some() { 0 } else { 7 });
    w.i32(0); // epoch of the endpoints
    w.nullable_string(None);
    w.nullable_string(None);
    w.i32(300_000);
    match joins {
        None => w.i8(-1),
        Some(topology) => {
            w.i8(1);
            write(&mut w, topology);
        }
    }
    // No tasks, process, endpoint, tags or offsets; nobody shuts down.
    w.raw(&[0, 0, 0, 0, 0xff, 0, 0, 0, 0, 0]);
    opaque_request(BEAT, 0, 1, &[b"\x00\x04test\x00", &w.bytes[..]].concat())
}

fn write(w: &mut Writer, topology: &Topology) {
    let texts = |w: &mut Writer, texts: &[String]| {
        w.array(texts.len());
        texts.iter().for_each(|text| w.string(text));
    };
    let internal = |w: &mut Writer, topics: &[InternalTopic]| {
        w.array(topics.len());
        for topic in topics {
            w.string(&topic.name);
            w.i32(topic.partitions as i32);
            w.i16(0);
            w.array(0);
            w.tags();
        }
    };
    let places = |w: &mut Writer, places: &[u16]| {
        w.array(places.len());
        places.iter().for_each(|place| w.i16(*place as i16));
    };
    w.i32(topology.epoch);
    w.array(topology.parts.len());
    for (number, part) in topology.parts.iter().enumerate() {
        w.string(&number.to_string());
        texts(w, &part.sources);
        texts(w, &[]);
        internal(w, &part.changelogs);
        texts(w, &part.sinks);
        internal(w, &part.repartitions);
        let groups = part.copartitioned.as_deref().unwrap_or_default();
        w.array(groups.len());
        for group in groups {
            places(w, &group.sources);
            w.array(0);
            places(w, &group.repartitions);
            w.tags();
        }
        w.tags();
    }
    w.tags();
}

fn answer(error: i16, status: Option<i8>) -> Vec<u8> {
    let mut w = Writer::new(true);
    w.tags(); // of the header
    w.i32(0);
    w.i16(error);
    w.nullable_string(None);
    w.string("member");
    w.raw(&[0; 16]);
    w.array(status.iter().count());
    if let Some(status) = status {
        w.i8(status);
        w.string("detail");
        w.tags();
    }
    w.raw(&[0; 3]); // no tasks
    w.i32(0);
    w.raw(&[0]);
    w.tags();
    opaque_response(1, &w.bytes)
}

/// Error and sentence of an answer.
fn told(frame: &[u8]) -> (i16, String) {
    let mut r = Reader::new(&frame[8..], true);
    r.tags().unwrap();
    r.i32().unwrap();
    (r.i16().unwrap(), r.nullable_string().unwrap().unwrap_or_default().to_owned())
}

async fn ends(log: &Memory, what: &'static str, topics: &[&str]) {
    within(async {
        while !topics.iter().all(|topic| log.ends().contains(&(what, (*topic).to_owned()))) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_application_that_needs_more_than_there_is_room_for_hears_the_reason_and_its_coordinator_nothing() {
    let log = Memory::default().has("words", 3);
    let mut rig = rig(&log, 8);
    let (mut member, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    member.send(&beat("app", Some(&topology()))).await;
    assert_eq!(
        told(&member.frame().await),
        (
            POLICY_VIOLATION,
            "this instance may have 8 partitions and has 3; application 'app' needs 6 more for internal topics that are \
             missing, such as 'app-c': delete topics, or change to a larger spec"
                .to_owned()
        )
    );
    ends(&log, "not made", &["app-r", "app-c"]).await;
    // What comes next on this connection is the first that Kafka sees.
    member.send(&opaque_request(12, 4, 2, b"beat")).await;
    assert_eq!(kafka.frame().await, opaque_request(12, 4, 2, b"beat"));
}

#[tokio::test]
async fn with_room_topics_are_reserved_until_they_are_seen_and_then_heartbeats_cost_nothing() {
    let log = Memory::default().has("words", 3).keeps("app", kept());
    let mut rig = rig(&log, 9);
    let (mut member, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    let joining = beat("app", Some(&topology()));
    for _ in 0..2 {
        member.send(&joining).await;
        assert_eq!(kafka.frame().await, joining);
        let asked_for = answer(0, Some(MISSING_INTERNAL_TOPICS));
        kafka.send(&asked_for).await;
        assert_eq!(member.frame().await, asked_for);
    }
    let log = log.has("app-r", 3).has("app-c", 3);
    ends(&log, "made", &["app-r", "app-c"]).await;
    // One look, and no more.
    let staying = beat("app", None);
    for _ in 0..3 {
        member.send(&staying).await;
        assert_eq!(kafka.frame().await, staying);
        kafka.send(&answer(0, None)).await;
        member.frame().await;
    }
    let written = log.length();
    log.go(true);
    for frame in [&staying, &joining] {
        member.send(frame).await;
        assert_eq!(&kafka.frame().await, frame, "without log or broker");
        kafka.send(&answer(0, None)).await;
        member.frame().await;
    }
    log.go(false);
    assert_eq!(log.length(), written);
}

/// A second application like it.
fn other() -> Topology {
    let mut other = topology();
    (other.parts[1].changelogs[0].name, other.parts[1].repartitions[0].name) = ("other-c".into(), "other-r".into());
    other.parts[0].sinks[0] = "other-r".into();
    other
}

#[tokio::test(start_paused = true)]
async fn however_often_a_coordinator_is_asked_for_topics_that_can_not_be_made_they_are_reserved_once() {
    let log = Memory::default().has("words", 3);
    let mut rig = rig(&log, 9);
    let (mut member, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    let joining = beat("app", Some(&topology()));
    let asked_for = answer(0, Some(MISSING_INTERNAL_TOPICS));
    for _ in 0..10 {
        member.send(&joining).await;
        kafka.frame().await;
        kafka.send(&asked_for).await;
        member.frame().await;
    }
    assert_eq!(log.length(), 1, "one intent");
    // It is too old to send more behind it. Another one takes its place.
    tokio::time::sleep(Duration::from_secs(5)).await;
    member.send(&joining).await;
    kafka.frame().await;
    kafka.send(&answer(0, None)).await;
    member.frame().await;
    ends(&log, "not made", &["app-r", "app-c"]).await;
    assert_eq!(log.length(), 3);
    // What the first one asked for may still be made, and nobody else gets its room.
    let (mut second, _served_too) = rig.plaintext();
    let mut kafka_of_second = rig.kafka().await;
    second.send(&beat("other", Some(&other()))).await;
    assert_eq!(told(&second.frame().await).0, TRY_AGAIN);
    // Until it is seen that nobody makes it.
    within(async {
        while log.ends().iter().filter(|(_, topic)| topic == "app-r").count() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    second.send(&beat("other", Some(&other()))).await;
    kafka_of_second.frame().await;
}

#[tokio::test]
async fn heartbeats_that_make_nothing_share_an_intent_for_a_moment() {
    let log = Memory::default().has("words", 3).keeps("app", kept());
    let mut rig = rig(&log, 9);
    let (mut stranger, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    let began = std::time::Instant::now();
    for _ in 0..20 {
        stranger.send(&beat("app", None)).await;
        kafka.frame().await;
        kafka.send(&answer(UNKNOWN_MEMBER_ID, None)).await;
        stranger.frame().await;
    }
    let moments = began.elapsed().as_millis() as usize / 500;
    assert!(log.length() <= 2 * (moments + 1), "{} records in {moments} moments", log.length());
    ends(&log, "not made", &["app-r", "app-c"]).await;
}

#[tokio::test]
async fn names_that_no_topic_has_are_refused_and_one_that_is_told_often_is_kept_once() {
    let log = Memory::default().has("words", 3);
    let rig = rig(&log, 100);
    let (mut member, _served) = rig.plaintext();
    let mut hostile = topology();
    hostile.parts[0].sources[0] = "w".repeat(250);
    member.send(&beat("app", Some(&hostile))).await;
    let (error, why) = told(&member.frame().await);
    assert_eq!(error, STREAMS_INVALID_TOPOLOGY);
    assert!(why.contains("249 characters") && why.contains("250 bytes"), "{why}");
    hostile.parts[0].sources[0] = "w".repeat(100_000);
    hostile.parts[0].copartitioned = Some(vec![Together { sources: vec![0; 9900], repartitions: vec![] }]);
    let frame = beat("app", Some(&hostile));
    let read = streams::topology(FORMAT, &frame[19..]).unwrap().unwrap();
    assert_eq!(read, hostile);
    assert!(read.size() < 2 * frame.len());
    assert_eq!(read.wants(|_| Some(3)), []);
}

#[tokio::test]
async fn a_group_whose_topic_is_deleted_needs_room_again() {
    let log = Memory::default().has("words", 3).has("app-r", 3).has("app-c", 3).keeps("app", kept());
    let mut rig = rig(&log, 9);
    let (mut member, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    let staying = beat("app", None);
    member.send(&staying).await;
    kafka.frame().await;
    kafka.send(&answer(0, None)).await;
    member.frame().await;
    assert_eq!(log.length(), 0);
    let name = Some(TopicName(text("app-c")));
    let delete = DeleteTopicsRequest::default().with_topics(vec![DeleteTopicState::default().with_name(name.clone())]);
    member.send(&request(ApiKey::DeleteTopics, 6, 3, &delete)).await;
    kafka.frame().await;
    let deleted = DeletableTopicResult::default().with_name(name);
    kafka
        .send(&response(ApiKey::DeleteTopics, 6, 3, &DeleteTopicsResponse::default().with_responses(vec![deleted])))
        .await;
    member.frame().await;
    let (mut other, _served_too) = rig.plaintext();
    let mut kafka_of_other = rig.kafka().await;
    // Its broker still shows it, and somebody else has the room.
    let create = kafka_protocol::messages::CreateTopicsRequest::default().with_timeout_ms(1000).with_topics(vec![
        kafka_protocol::messages::create_topics_request::CreatableTopic::default()
            .with_name(TopicName(text("next")))
            .with_num_partitions(3)
            .with_replication_factor(-1),
    ]);
    other.send(&request(ApiKey::CreateTopics, 7, 4, &create)).await;
    kafka_of_other.frame().await;
    let made = kafka_protocol::messages::create_topics_response::CreatableTopicResult::default()
        .with_name(TopicName(text("next")))
        .with_num_partitions(3);
    let made = kafka_protocol::messages::CreateTopicsResponse::default().with_topics(vec![made]);
    kafka_of_other.send(&response(ApiKey::CreateTopics, 7, 4, &made)).await;
    other.frame().await;
    let log = log.has("next", 3);
    log.lacks("app-c");
    member.send(&staying).await;
    let (error, why) = told(&member.frame().await);
    assert_eq!(error, POLICY_VIOLATION);
    assert!(why.contains("needs 3 more for internal topics that are missing, such as 'app-c'"), "{why}");
}

#[tokio::test]
async fn of_two_applications_in_the_room_for_one_the_second_waits_for_the_first() {
    let log = Memory::default().has("words", 3);
    let mut rig = rig(&log, 9);
    let (mut first, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    let (mut second, _served_too) = rig.plaintext();
    let mut kafka_of_second = rig.kafka().await;
    for (error, status) in [(16, None), (0, Some(MISSING_SOURCE_TOPICS)), (0, Some(MISSING_INTERNAL_TOPICS))] {
        first.send(&beat("app", Some(&topology()))).await;
        kafka.frame().await;
        second.send(&beat("other", Some(&other()))).await;
        kafka.send(&answer(error, status)).await;
        first.frame().await;
        if status == Some(MISSING_INTERNAL_TOPICS) {
            break;
        }
        // Nothing was made for the first.
        kafka_of_second.frame().await;
        kafka_of_second.send(&answer(16, None)).await;
        second.frame().await;
    }
    let _log = log.has("app-r", 3).has("app-c", 3);
    assert_eq!(told(&second.frame().await).0, POLICY_VIOLATION);
}

#[tokio::test(start_paused = true)]
async fn whose_heartbeat_made_topics_that_are_not_seen_is_looked_for() {
    let log = Memory::default().has("words", 3);
    let mut rig = rig(&log, 9);
    let (mut member, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    member.send(&beat("app", Some(&topology()))).await;
    kafka.frame().await;
    kafka.send(&answer(0, Some(MISSING_INTERNAL_TOPICS))).await;
    member.frame().await;
    member.send(&beat("other", Some(&other()))).await;
    let (error, why) = told(&member.frame().await);
    assert!(error == TRY_AGAIN && why.ends_with("try again"), "{error} {why}");
    ends(&log, "not made", &["app-r", "app-c"]).await;
    member.send(&beat("other", Some(&other()))).await;
    kafka.frame().await;
}

#[tokio::test]
async fn a_group_that_this_gateway_never_saw_is_asked_for_and_before_its_sources_are_there_nothing_is_reserved() {
    let log = Memory::default().keeps("app", kept());
    let mut rig = rig(&log, 6);
    let (mut member, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    let (staying, strange) = (beat("app", None), beat("strange", None));
    for frame in [&staying, &staying, &strange] {
        member.send(frame).await;
        assert_eq!(&kafka.frame().await, frame);
        kafka.send(&answer(0, Some(MISSING_SOURCE_TOPICS))).await;
        member.frame().await;
    }
    assert_eq!(log.length(), 0);
    let log = log.has("words", 2);
    member.send(&staying).await;
    kafka.frame().await;
    kafka.send(&answer(0, Some(MISSING_INTERNAL_TOPICS))).await;
    member.frame().await;
    let log = log.has("app-r", 2).has("app-c", 2);
    ends(&log, "made", &["app-r", "app-c"]).await;
}

#[tokio::test]
async fn a_topology_that_kafka_does_not_take_is_not_believed() {
    const INVALID_REQUEST: i16 = 42;
    let log = Memory::default().has("words", 3).keeps("app", kept());
    let mut rig = rig(&log, 3);
    let (mut member, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    // One that makes nothing would take heartbeats of the group past the limit.
    let forged = Topology { parts: topology().parts[..1].to_vec(), epoch: 0 };
    member.send(&beat("app", Some(&forged))).await;
    kafka.frame().await;
    kafka.send(&answer(INVALID_REQUEST, None)).await;
    assert_eq!(told(&member.frame().await).0, INVALID_REQUEST);
    member.send(&beat("app", None)).await;
    assert_eq!(told(&member.frame().await).0, POLICY_VIOLATION);
}

#[tokio::test]
async fn topics_that_nobody_may_make_are_not_made_by_a_topology_either() {
    for (name, partitions) in [("__sluice_more", 0), ("sluice-canary-mine", 1000), ("__consumer_offsets", 1)] {
        let log = Memory::default().has("words", 3);
        for limit in [0, 100] {
            let rig = rig(&log, limit);
            let (mut member, _served) = rig.plaintext();
            let mut topology = topology();
            topology.parts[1].repartitions.push(InternalTopic { name: name.to_owned(), partitions });
            member.send(&beat("app", Some(&topology))).await;
            assert_eq!(told(&member.frame().await).0, STREAMS_INVALID_TOPOLOGY, "{name}");
        }
    }
}

#[test]
fn what_a_topology_says_is_read_as_kafka_defines_it() {
    let Some(messages) = of_kafka("4.3.1") else {
        eprintln!("SKIPPED: SLUICE_TOOLS holds no Apache Kafka 4.3.1; run scripts/fetch-kafka");
        return;
    };
    let of = |wanted: Direction, key: i16| {
        let found = messages.iter().find(|(direction, message)| *direction == wanted && message.api_key == Some(key));
        &found.expect("of Kafka 4.3").1
    };
    let mut random = StdRng::seed_from_u64(rand::random());
    for _ in 0..cases(200) {
        let value = of(Direction::Request, BEAT).random(0, &mut random);
        let body = of(Direction::Request, BEAT).encode(0, &value);
        let topology = streams::topology(FORMAT, &body).unwrap_or_else(|fault| panic!("{fault}: {value:?}"));
        let sources: usize = topology.iter().flat_map(Topology::names).map(str::len).sum();
        assert!(sources <= body.len());
        let value = of(Direction::Response, BEAT).random(0, &mut random);
        streams::answered(FORMAT, &of(Direction::Response, BEAT).encode(0, &value)).unwrap();
    }
    // And what this test writes itself.
    let frame = beat("app", Some(&topology()));
    let body = &frame[19..];
    of(Direction::Request, BEAT).decode(0, body);
    assert_eq!(streams::topology(FORMAT, body), Ok(Some(topology())));
    assert!(streams::head(FORMAT, body).is_ok_and(|beat| beat.joins() && beat.group == "app"));
    let frame = answer(0, Some(MISSING_INTERNAL_TOPICS));
    of(Direction::Response, BEAT).decode(0, &frame[9..]);
    assert_eq!(streams::answered(FORMAT, &frame[9..]), Ok(streams::Answered { is_taken: true, makes: true }));
    of(Direction::Request, 89).decode(0, &streams::describe("app"));
}
