//! The limit of consumer groups as clients meet it: the gateway's real code between a client, a Kafka that the test plays,
//! and a log in memory.

use super::super::admission::counted::Counted;
use super::super::table::{RequestRule, TABLE};
use super::admission::Memory;
use super::definitions::{Direction, Message, of_kafka};
use super::*;
use crate::gateway::filters::groups::may_make;
use arc_swap::ArcSwap;
use delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::*;
use offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use rand::SeedableRng;
use rand::rngs::StdRng;

const JOIN: ApiKey = ApiKey::JoinGroup;
const BEAT: ApiKey = ApiKey::ConsumerGroupHeartbeat;
const COMMIT: ApiKey = ApiKey::OffsetCommit;
const DELETE: ApiKey = ApiKey::DeleteGroups;
const POLICY_VIOLATION: i16 = 44;
const MEMBER_ID_REQUIRED: i16 = 79;

fn rig(log: &Memory, limit: u32) -> Rig {
    let mut spec = spec();
    spec.gateway.limits.max_groups = limit;
    let metrics = Metrics::register(&mut Registry::default());
    let snapshot = Arc::new(ArcSwap::from_pointee(Snapshot::build(&spec).unwrap()));
    let (partitions, groups) = (Memory::default().admission(Counted::Partitions), log.admission(Counted::Groups));
    let shared = Shared::with_admission(snapshot, signer(), metrics, partitions, groups).unwrap();
    tokio::spawn(shared.clone().run_admission());
    Rig::over(shared)
}

fn join(group: &str, member: &str) -> Vec<u8> {
    let wanted = JoinGroupRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_member_id(text(member))
        .with_protocol_type(text("consumer"));
    request(JOIN, 9, 1, &wanted)
}

fn joined(error: i16) -> Vec<u8> {
    let answer = JoinGroupResponse::default().with_error_code(error).with_protocol_name(Some(text("range")));
    response(JOIN, 9, 1, &answer)
}

fn join_error(frame: &[u8]) -> i16 {
    read_response::<JoinGroupResponse>(JOIN, 9, frame).1.error_code
}

fn commit(group: &str, generation: i32) -> Vec<u8> {
    let partition = |number| OffsetCommitRequestPartition::default().with_partition_index(number);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(text("orders")))
        .with_partitions(vec![partition(0), partition(7)]);
    let wanted = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id_or_member_epoch(generation)
        .with_topics(vec![topic]);
    request(COMMIT, 8, 1, &wanted)
}

#[tokio::test]
async fn one_group_too_many_is_refused_and_whoever_joins_one_that_exists_is_not() {
    let log = Memory::default().has("payments", 1);
    let mut rig = rig(&log, 1);
    let (mut client, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    client.send(&join("orders", "")).await;
    assert_eq!(join_error(&client.frame().await), POLICY_VIOLATION);
    // The newer protocol has room for a sentence.
    let first =
        ConsumerGroupHeartbeatRequest::default().with_group_id(GroupId(text("orders"))).with_member_id(text("m"));
    client.send(&request(BEAT, 1, 1, &first)).await;
    let (_, told) = read_response::<ConsumerGroupHeartbeatResponse>(BEAT, 1, &client.frame().await);
    assert_eq!(
        (told.error_code, told.error_message.as_deref()),
        (
            POLICY_VIOLATION,
            Some(
                "this instance may have 1 consumer groups and has 1, so group 'orders' was not made: \
                 use one that exists, delete groups, or change to a larger spec"
            )
        )
    );
    client.send(&commit("orders", -1)).await;
    let (_, told) = read_response::<OffsetCommitResponse>(COMMIT, 8, &client.frame().await);
    let errors: Vec<_> = told.topics[0].partitions.iter().map(|told| (told.partition_index, told.error_code)).collect();
    assert_eq!((told.topics[0].name.as_str(), errors), ("orders", vec![(0, POLICY_VIOLATION), (7, POLICY_VIOLATION)]));
    assert_eq!(log.length(), 0, "what can't have room costs the log nothing");
    client.send(&join("payments", "")).await;
    kafka.frame().await;
    kafka.send(&joined(0)).await;
    assert_eq!(join_error(&client.frame().await), 0);
}

#[tokio::test]
async fn members_and_known_groups_pass_without_a_word_in_the_log() {
    let log = Memory::default();
    let mut rig = rig(&log, 1);
    let (mut client, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    client.send(&join("orders", "")).await;
    kafka.frame().await;
    kafka.send(&joined(MEMBER_ID_REQUIRED)).await;
    assert_eq!(join_error(&client.frame().await), MEMBER_ID_REQUIRED);
    assert_eq!(log.ends(), [("made", "orders".to_owned())]);
    let written = log.length();
    // As a member; as another one; and who only commits.
    for frame in [join("orders", "member-1"), join("orders", ""), commit("orders", 5), commit("orders", -1)] {
        client.send(&frame).await;
        assert_eq!(kafka.frame().await, frame);
        let answer =
            if frame[5] == JOIN as u8 { joined(0) } else { response(COMMIT, 8, 1, &OffsetCommitResponse::default()) };
        kafka.send(&answer).await;
        assert_eq!(client.frame().await, answer);
    }
    assert_eq!(log.length(), written);
}

#[tokio::test]
async fn what_is_deleted_makes_room_at_once_and_is_not_known_any_more() {
    let log = Memory::default();
    let mut rig = rig(&log, 1);
    let (mut client, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    for group in ["a", "b", "a"] {
        client.send(&join(group, "")).await;
        kafka.frame().await;
        kafka.send(&joined(0)).await;
        assert_eq!(join_error(&client.frame().await), 0, "{group}");
        let delete = DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text(group))]);
        client.send(&request(DELETE, 2, 1, &delete)).await;
        kafka.frame().await;
        let result = DeletableGroupResult::default().with_group_id(GroupId(text(group)));
        kafka.send(&response(DELETE, 2, 1, &DeleteGroupsResponse::default().with_results(vec![result]))).await;
        client.frame().await;
    }
}

#[tokio::test]
async fn a_group_that_kafka_did_not_make_takes_no_room() {
    let log = Memory::default();
    let mut rig = rig(&log, 1);
    let (mut client, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    // Not its coordinator; then it is.
    for (group, error) in [("a", 16), ("b", 30), ("c", 0)] {
        client.send(&join(group, "")).await;
        kafka.frame().await;
        kafka.send(&joined(error)).await;
        assert_eq!(join_error(&client.frame().await), error);
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_log_new_groups_are_told_to_wait_and_those_that_exist_go_on() {
    let log = Memory::default().has("payments", 1);
    log.go(true);
    let mut rig = rig(&log, 9);
    let (mut client, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    client.send(&join("orders", "")).await;
    assert_eq!(join_error(&client.frame().await), 14);
    client.send(&join("payments", "")).await;
    kafka.frame().await;
    kafka.send(&joined(0)).await;
    assert_eq!(join_error(&client.frame().await), 0);
}

#[tokio::test]
async fn names_of_the_platform_are_nobody_s() {
    let mut rig = rig(&Memory::default(), 9);
    let (mut client, _served) = rig.plaintext();
    let _kafka = rig.kafka().await;
    client.send(&join("sluice-canary-1", "")).await;
    assert_eq!(join_error(&client.frame().await), 30);
}

/// Kafka's definitions say where group, member and epoch are, and how a refusal must look, in each version.
#[test]
fn in_every_version_the_group_is_found_and_a_refusal_is_a_valid_answer() {
    for kafka in ["4.3.1", "3.9.2"] {
        let Some(messages) = of_kafka(kafka) else {
            eprintln!("SKIPPED: SLUICE_TOOLS holds no Apache Kafka {kafka}; run scripts/fetch-kafka");
            return;
        };
        let of = |key: i16, wanted: Direction| -> Option<&Message> {
            let found =
                |(direction, message): &&(Direction, Message)| *direction == wanted && message.api_key == Some(key);
            messages.iter().find(found).map(|(_, message)| message)
        };
        let mut random = StdRng::seed_from_u64(rand::random());
        let mut seen = 0;
        for api in TABLE {
            let (RequestRule::Group(group, codec) | RequestRule::Streams(group, codec)) = api.request else { continue };
            let Some((asked, answered)) = of(api.key, Direction::Request).zip(of(api.key, Direction::Response)) else {
                continue;
            };
            for version in asked.versions() {
                for _ in 0..cases(50) {
                    let mut value = asked.random(version, &mut random);
                    let fields = value.fields();
                    fields.set_text("GroupId", "orders");
                    let newcomer = rand::Rng::random(&mut random);
                    for (name, new, old) in
                        [("MemberEpoch", 0, 3), ("GenerationIdOrMemberEpoch", -1i32, 3), ("GenerationId", -1, 3)]
                    {
                        if fields.fields.contains_key(name) {
                            fields.set_fixed(name, &if newcomer { new } else { old }.to_be_bytes());
                        }
                    }
                    if api.key == JOIN as i16 {
                        fields.set_text("MemberId", if newcomer { "" } else { "member" });
                    }
                    let has_epoch = ["MemberEpoch", "GenerationIdOrMemberEpoch", "GenerationId"]
                        .iter()
                        .any(|name| fields.fields.contains_key(*name));
                    let makes = newcomer || !(has_epoch || api.key == JOIN as i16);
                    let body = asked.encode(version, &value);
                    let format = crate::gateway::filters::Format { version, flexible: asked.is_flexible(version) };
                    let mut frame = opaque_request(api.key, version, 1, b"\x00\x04test");
                    if format.flexible {
                        frame.push(0);
                    }
                    frame.extend(&body);
                    let named = format!("{} {version} of {kafka}: {value:?}", api.name);
                    assert_eq!(may_make(group, format, &frame), Ok(makes.then_some("orders")), "{named}");
                    if !makes {
                        continue;
                    }
                    let read = (codec.read)(format, &body).expect(&named);
                    let refusal = codec.counted.undecided();
                    let code = refusal.code.to_be_bytes();
                    let told = match codec.decide(format, &body, &read, &[Some(refusal)]) {
                        Ok(crate::gateway::filters::Decision::Answer(told)) => told,
                        _ => panic!("no answer to {named}"),
                    };
                    answered.decode(version, &told);
                    // A commit of nothing has no place for an error.
                    let is_commit = [COMMIT as i16, ApiKey::TxnOffsetCommit as i16].contains(&api.key);
                    assert!(is_commit || told.windows(2).any(|bytes| bytes == code), "{named}");
                    let kafka = answered.random(version, &mut random);
                    (codec.outcomes)(format, &answered.encode(version, &kafka)).expect(&named);
                    seen += 1;
                }
            }
        }
        assert!(seen > 500, "{seen}");
    }
}
