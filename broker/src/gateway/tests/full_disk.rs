//! Produce while the disk is full: refused for each partition in words, and nothing else notices.

use super::*;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::Message;

const REASON: &str = "the disk is full";
const POLICY_VIOLATION: i16 = 44;
const HEARTBEAT: i16 = 12;

fn rig() -> Rig {
    let rig = Rig::new();
    rig.shared.refuse_produce(Some(REASON.to_owned()));
    rig
}

fn produce(version: i16, acks: i16, topics: &[(&str, usize)]) -> Vec<u8> {
    let topics = topics.iter().enumerate().map(|(n, &(name, partitions))| {
        let data = (0..partitions).map(|index| {
            let records = Bytes::from(vec![7; 50_000 * index]);
            PartitionProduceData::default().with_index(index as i32).with_records(Some(records))
        });
        let topic = TopicProduceData::default().with_partition_data(data.collect());
        match version {
            ..13 => topic.with_name(TopicName(text(name))),
            _ => topic.with_topic_id(uuid::Uuid::from_u128(n as u128 + 1)),
        }
    });
    let message = ProduceRequest::default().with_acks(acks).with_topic_data(topics.collect());
    request(ApiKey::Produce, version, 5, &message)
}

#[tokio::test]
async fn each_partition_is_refused_with_the_reason_in_every_version_and_the_connection_goes_on() {
    // Kafka 3.9 serves versions that the crate has forgotten; the oldest of them is below.
    for version in ProduceRequest::VERSIONS.min..=ProduceRequest::VERSIONS.max {
        let mut rig = rig();
        let (mut client, _served) = rig.plaintext();
        let mut kafka = rig.kafka().await;
        client.send(&produce(version, -1, &[("orders", 3), ("bills", 1)])).await;
        let (correlation, answer) = read_response::<ProduceResponse>(ApiKey::Produce, version, &client.frame().await);
        assert_eq!((correlation, answer.responses.len()), (5, 2), "version {version}");
        let partitions: Vec<_> = answer.responses.iter().flat_map(|topic| &topic.partition_responses).collect();
        assert_eq!(partitions.iter().map(|partition| partition.index).collect::<Vec<_>>(), [0, 1, 2, 0]);
        for partition in partitions {
            assert_eq!((partition.error_code, partition.base_offset), (POLICY_VIOLATION, -1));
            assert_eq!(partition.error_message.as_deref(), (version >= 8).then_some(REASON), "version {version}");
        }
        match version {
            ..13 => assert_eq!(answer.responses[1].name.as_str(), "bills"),
            _ => assert_eq!(answer.responses[1].topic_id, uuid::Uuid::from_u128(2)),
        }
        client.send(&opaque_request(HEARTBEAT, 0, 6, b"beat")).await;
        assert_eq!(kafka.frame().await, opaque_request(HEARTBEAT, 0, 6, b"beat"), "Kafka got records");
        kafka.send(&opaque_response(6, b"ok")).await;
        assert_eq!(client.frame().await, opaque_response(6, b"ok"));
    }
}

#[tokio::test]
async fn a_client_of_0_10_is_refused_too() {
    let mut rig = rig();
    let (mut client, _served) = rig.plaintext();
    let _kafka = rig.kafka().await;
    // Client id null, acks 1, timeout, topic t with partition 0 and three bytes.
    let mut body = vec![0xff, 0xff, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1];
    body.extend([0, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3]);
    client.send(&opaque_request(0, 2, 1, &body)).await;
    let mut answer = vec![0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0, 0, 44];
    answer.extend([0xff; 16]);
    answer.extend([0; 4]);
    assert_eq!(client.frame().await, opaque_response(1, &answer));
}

#[tokio::test]
async fn refusals_arrive_whole_however_requests_are_cut() {
    let mut rig = rig();
    let (mut client, _served) = rig.plaintext();
    let _kafka = rig.kafka().await;
    for version in [3, 9, 13] {
        let whole = produce(version, 1, &[("orders", 2)]);
        for piece in whole.chunks(if version == 9 { 1 } else { 7_001 }) {
            client.send(piece).await;
            tokio::task::yield_now().await;
        }
        let (_, answer) = read_response::<ProduceResponse>(ApiKey::Produce, version, &client.frame().await);
        assert_eq!(answer.responses[0].partition_responses.len(), 2);
    }
}

#[tokio::test]
async fn without_acks_the_connection_ends_since_nobody_would_hear_of_it() {
    let mut rig = rig();
    let (mut client, served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    client.send(&produce(9, 0, &[("orders", 1)])).await;
    assert_eq!(client.rest().await, b"");
    assert_eq!(kafka.rest().await, b"");
    drop(kafka);
    assert!(within(served).await.unwrap().is_err());
}

#[tokio::test]
async fn topics_of_kafka_itself_take_records_on_and_others_again_when_there_is_room() {
    let mut rig = rig();
    let (mut client, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    let internal = produce(9, -1, &[("__consumer_offsets", 1)]);
    client.send(&internal).await;
    assert!(kafka.frame().await == internal);
    kafka.send(&opaque_response(5, b"ok")).await;
    client.frame().await;
    rig.shared.refuse_produce(None);
    let orders = produce(9, -1, &[("orders", 1)]);
    client.send(&orders).await;
    assert!(kafka.frame().await == orders);
}

#[tokio::test]
async fn a_request_that_is_none_ends_its_connection() {
    let whole = produce(9, -1, &[("orders", 2)]);
    let mut short = whole.clone();
    short.truncate(whole.len() - 1);
    let length = (short.len() as i32 - 4).to_be_bytes();
    short[..4].copy_from_slice(&length);
    let mut long = whole.clone();
    long.push(0);
    let length = (long.len() as i32 - 4).to_be_bytes();
    long[..4].copy_from_slice(&length);
    // Ten million topics in a request of a few bytes.
    let many = opaque_request(0, 3, 1, &[0xff, 0xff, 0xff, 0xff, 0, 1, 0, 0, 0, 0, 0, 0x98, 0x96, 0x80, 0, 1, b't']);
    for bad in [short, long, many] {
        let mut rig = rig();
        let (mut client, served) = rig.plaintext();
        let kafka = rig.kafka().await;
        client.send(&bad).await;
        client.rest().await;
        drop(kafka);
        assert!(within(served).await.unwrap().is_err());
    }
}
