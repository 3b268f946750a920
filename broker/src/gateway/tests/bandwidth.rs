//! Records are slowed, and nothing else; in a time that the test moves.

use super::*;
use kafka_protocol::messages::*;

const HEARTBEAT: i16 = 12;
/// Bytes a second, each way.
const RATE: u64 = 100_000;

fn slow(rate: Option<u64>) -> NodeSpec {
    let mut spec = spec();
    spec.gateway.limits.ingress_bytes_per_second = rate;
    spec.gateway.limits.egress_bytes_per_second = rate;
    spec
}

fn produce(correlation: i32, bytes: usize) -> Vec<u8> {
    let records = Bytes::from(vec![7; bytes]);
    let partition = produce_request::PartitionProduceData::default().with_records(Some(records));
    let topic = produce_request::TopicProduceData::default()
        .with_name(TopicName(text("orders")))
        .with_partition_data(vec![partition]);
    let message = ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic]);
    request(ApiKey::Produce, 9, correlation, &message)
}

fn fetch(version: i16, max_bytes: i32) -> Vec<u8> {
    let message = FetchRequest::default().with_max_wait_ms(500).with_min_bytes(1).with_max_bytes(max_bytes);
    request(ApiKey::Fetch, version, 1, &message)
}

fn fetched(bytes: usize) -> FetchResponse {
    let partition = fetch_response::PartitionData::default().with_records(Some(Bytes::from(vec![7; bytes])));
    let topic = fetch_response::FetchableTopicResponse::default().with_partitions(vec![partition; 3]);
    let endpoint = fetch_response::NodeEndpoint::default().with_node_id(BrokerId(2)).with_host(text(INTERNAL));
    FetchResponse::default().with_responses(vec![topic]).with_node_endpoints(vec![endpoint])
}

async fn beats(client: &mut Peer, kafka: &mut Peer) {
    client.send(&opaque_request(HEARTBEAT, 0, 7, b"beat")).await;
    assert_eq!(kafka.frame().await, opaque_request(HEARTBEAT, 0, 7, b"beat"));
    kafka.send(&opaque_response(7, b"ok")).await;
    assert_eq!(client.frame().await, opaque_response(7, b"ok"));
}

#[tokio::test(start_paused = true)]
async fn records_arrive_whole_at_the_limit_while_heartbeats_of_others_do_not_wait() {
    let mut rig = Rig::with(slow(Some(RATE)));
    let (mut producer, _one) = rig.plaintext();
    let mut of_producer = rig.kafka().await;
    let (mut member, _other) = rig.plaintext();
    let mut of_member = rig.kafka().await;
    let (frame, began) = (produce(1, 500_000), Instant::now());
    producer.send(&frame).await;
    let arrives = tokio::spawn(async move { of_producer.frame().await });
    for _ in 0..20 {
        let asked = Instant::now();
        beats(&mut member, &mut of_member).await;
        assert_eq!(asked.elapsed(), Duration::ZERO, "a heartbeat waited");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(within(arrives).await.unwrap() == frame);
    let took = began.elapsed().as_secs_f64();
    assert!((4.8..5.1).contains(&took), "500 kB at 100 kB/s took {took} s");
}

#[tokio::test(start_paused = true)]
async fn what_is_read_arrives_at_the_limit_and_no_address_of_kafka_with_it() {
    for version in [4, 11, 12, 16, 17] {
        let mut rig = Rig::with(slow(Some(RATE)));
        let (mut client, _served) = rig.plaintext();
        let mut kafka = rig.kafka().await;
        client.send(&fetch(version, 1000)).await;
        kafka.frame().await;
        let (answer, began) = (response(ApiKey::Fetch, version, 1, &fetched(100_000)), Instant::now());
        kafka.send(&answer).await;
        let got = client.frame().await;
        assert!(!contains(&got, INTERNAL) && got.len() == answer.len());
        let (_, got) = read_response::<FetchResponse>(ApiKey::Fetch, version, &got);
        assert!(got.responses[0].partitions == fetched(100_000).responses[0].partitions);
        let took = began.elapsed().as_secs_f64();
        assert!((2.8..3.1).contains(&took), "300 kB at 100 kB/s took {took} s");
    }
}

#[tokio::test(start_paused = true)]
async fn short_answers_that_tell_where_a_leader_is_pay_too_and_outlive_a_kafka_that_closes() {
    let mut rig = Rig::with(slow(Some(RATE)));
    let (mut client, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    let began = Instant::now();
    for _ in 0..10 {
        client.send(&fetch(17, 1000)).await;
        kafka.frame().await;
        kafka.send(&response(ApiKey::Fetch, 17, 1, &fetched(10_000))).await;
    }
    drop(kafka);
    for _ in 0..10 {
        let (_, got) = read_response::<FetchResponse>(ApiKey::Fetch, 17, &client.frame().await);
        assert_eq!(got.node_endpoints[0].host.to_string(), format!("2.{HOST}"));
    }
    let took = began.elapsed().as_secs_f64();
    assert!((2.6..3.1).contains(&took), "300 kB at 100 kB/s took {took} s");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_let_ask_for_more_at_once_than_arrives_before_it_gives_up() {
    for version in 4..=18 {
        let mut rig = Rig::with(slow(Some(RATE)));
        let (mut client, _served) = rig.plaintext();
        let mut kafka = rig.kafka().await;
        for (asked, passed) in [(50 << 20, 5 * RATE as i32), (1000, 1000)] {
            client.send(&fetch(version, asked)).await;
            let request = read_request::<FetchRequest>(ApiKey::Fetch, version, &kafka.frame().await);
            assert_eq!((request.max_bytes, request.max_wait_ms, request.min_bytes), (passed, 500, 1), "{version}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_changes_under_a_connection_and_none_is_as_fast_as_it_goes() {
    let mut rig = Rig::with(slow(None));
    let (mut client, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    for (rate, seconds) in [(None, 0.0), (Some(RATE), 4.0), (Some(RATE * 4), 1.0), (None, 0.0)] {
        rig.shared.swap(Snapshot::build(&slow(rate)).unwrap());
        let frame = produce(1, 400_000);
        // What was granted before the change may still pass as it was: the first frame uses it up.
        client.send(&frame).await;
        assert!(kafka.frame().await == frame);
        let began = Instant::now();
        client.send(&frame).await;
        assert!(kafka.frame().await == frame);
        let took = began.elapsed().as_secs_f64();
        assert!((took - seconds).abs() < 0.6, "at {rate:?} it took {took} s");
    }
    client.send(&fetch(12, 50 << 20)).await;
    assert_eq!(kafka.frame().await, fetch(12, 50 << 20));
}

#[tokio::test(start_paused = true)]
async fn whoever_must_leave_is_not_slowed() {
    let mut rig = Rig::with(slow(Some(RATE)));
    let (mut client, served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    let (frame, began) = (produce(1, 900_000), Instant::now());
    client.send(&frame).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    rig.shared.draining.cancel();
    assert!(kafka.frame().await == frame);
    kafka.send(&opaque_response(1, b"produced")).await;
    assert_eq!(client.frame().await, opaque_response(1, b"produced"));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    drop((client, kafka));
    assert!(within(served).await.unwrap().is_ok());
}

#[test]
fn a_limit_that_nobody_could_work_with_is_refused() {
    let refused = Snapshot::build(&slow(Some(100))).unwrap_err().to_string();
    assert!(refused.contains("ingress_bytes_per_second is 100; at least 4096"), "{refused}");
}
