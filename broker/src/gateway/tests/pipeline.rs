//! Order of answers, frames cut anywhere, and what happens when either side leaves.

use super::super::connection::End;
use super::*;
use kafka_protocol::messages::*;

/// Heartbeat: an API that is relayed.
const HEARTBEAT: i16 = 12;
/// UpdateFeatures: an API that the gateway answers itself.
const UPDATE_FEATURES: i16 = 57;

fn refused(correlation: i32) -> Vec<u8> {
    request(ApiKey::UpdateFeatures, 1, correlation, &UpdateFeaturesRequest::default())
}

fn correlation_of(frame: &[u8]) -> i32 {
    i32::from_be_bytes(frame[4..8].try_into().unwrap())
}

#[tokio::test]
async fn answers_keep_the_order_of_their_requests_when_some_are_our_own() {
    let mut rig = Rig::new();
    let (mut client, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    for correlation in 0..40 {
        let frame = if correlation % 3 == 1 {
            refused(correlation)
        } else {
            opaque_request(HEARTBEAT, 0, correlation, b"beat")
        };
        client.send(&frame).await;
    }
    for correlation in (0..40).filter(|c| c % 3 != 1) {
        assert_eq!(kafka.frame().await, opaque_request(HEARTBEAT, 0, correlation, b"beat"));
        kafka.send(&opaque_response(correlation, b"ok")).await;
    }
    for correlation in 0..40 {
        let frame = client.frame().await;
        assert_eq!(correlation_of(&frame), correlation);
        if correlation % 3 == 1 {
            let (_, answer) = read_response::<UpdateFeaturesResponse>(ApiKey::UpdateFeatures, 1, &frame);
            assert_eq!(answer.error_code, 31);
            assert!(answer.error_message.unwrap().contains("platform"));
        } else {
            assert_eq!(frame, opaque_response(correlation, b"ok"));
        }
    }
    assert_eq!(super::super::table::name(UPDATE_FEATURES), "UpdateFeatures");
}

#[tokio::test]
async fn a_request_and_its_answer_arrive_whole_however_they_are_cut() {
    let mut rig = Rig::new();
    let (mut client, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    let produce = produce_request(3, 1, -1);
    let answer = response(ApiKey::Metadata, 9, 4, &metadata());
    for frame in [&produce, &request(ApiKey::Metadata, 9, 4, &MetadataRequest::default()), &refused(5)] {
        for byte in frame.iter() {
            client.send(&[*byte]).await;
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(kafka.frame().await, produce);
    kafka.frame().await;
    kafka.send(&opaque_response(1, b"produced")).await;
    for byte in &answer {
        kafka.send(&[*byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.frame().await, opaque_response(1, b"produced"));
    let (correlation, metadata) = read_response::<MetadataResponse>(ApiKey::Metadata, 9, &client.frame().await);
    assert_eq!((correlation, metadata.brokers[0].host.as_str()), (4, "1.broker.example.com"));
    assert_eq!(correlation_of(&client.frame().await), 5);
}

fn metadata() -> MetadataResponse {
    let broker =
        metadata_response::MetadataResponseBroker::default().with_node_id(BrokerId(1)).with_host(text(INTERNAL));
    MetadataResponse::default().with_brokers(vec![broker])
}

fn produce_request(version: i16, correlation: i32, acks: i16) -> Vec<u8> {
    let records = Bytes::from(vec![7; 300_000]);
    let partition = produce_request::PartitionProduceData::default().with_records(Some(records));
    let topic = produce_request::TopicProduceData::default()
        .with_name(TopicName(text("orders")))
        .with_partition_data(vec![partition]);
    let message = ProduceRequest::default()
        .with_acks(acks)
        .with_transactional_id(Some(TransactionalId(text("t"))))
        .with_topic_data(vec![topic]);
    request(ApiKey::Produce, version, correlation, &message)
}

#[tokio::test]
async fn nothing_waits_for_an_answer_to_a_produce_without_acks() {
    for version in 3..=12 {
        let mut rig = Rig::new();
        let (mut client, _served) = rig.plaintext();
        let mut kafka = rig.kafka().await;
        for correlation in 0..600 {
            // More than the pipeline holds: these must not fill it.
            let message = ProduceRequest::default().with_acks(0);
            client.send(&request(ApiKey::Produce, version, correlation, &message)).await;
            kafka.frame().await;
        }
        client.send(&opaque_request(HEARTBEAT, 0, 600, b"")).await;
        kafka.frame().await;
        kafka.send(&opaque_response(600, b"ok")).await;
        assert_eq!(client.frame().await, opaque_response(600, b"ok"), "version {version}");
    }
}

#[tokio::test]
async fn a_produce_of_version_2_without_acks_is_not_waited_for() {
    let mut rig = Rig::new();
    let (mut client, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    // Client id null, acks 0, timeout, no topics: what 0.10 sends.
    client.send(&opaque_request(0, 2, 1, &[0xff, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0])).await;
    client.send(&opaque_request(HEARTBEAT, 0, 2, b"")).await;
    kafka.frame().await;
    kafka.frame().await;
    kafka.send(&opaque_response(2, b"ok")).await;
    assert_eq!(client.frame().await, opaque_response(2, b"ok"));
}

#[tokio::test]
async fn what_a_client_sent_before_it_left_reaches_kafka() {
    let mut rig = Rig::new();
    let (mut client, served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    let frames: Vec<_> = (0..3).map(|correlation| produce_request(9, correlation, 0)).collect();
    for frame in &frames {
        client.send(frame).await;
    }
    drop(client);
    for frame in &frames {
        assert_eq!(&kafka.frame().await, frame);
    }
    assert_eq!(kafka.rest().await, b"", "and then Kafka is told that no more comes");
    drop(kafka);
    assert!(within(served).await.unwrap().is_ok());
}

#[tokio::test]
async fn requests_of_every_kind_reach_kafka_after_their_client_left() {
    let mut rig = Rig::new();
    let (mut client, served) = rig.plaintext();
    // Relayed, decided here, relayed again, and more than the pipeline holds.
    let create = request(ApiKey::CreateTopics, 5, 1, &CreateTopicsRequest::default());
    let mut sent = [produce_request(9, 0, 0), create, produce_request(9, 2, 0)].concat();
    for correlation in 3..400 {
        sent.extend(opaque_request(HEARTBEAT, 0, correlation, b""));
    }
    client.send(&sent).await;
    drop(client);
    let mut kafka = rig.kafka().await;
    let taken = [kafka.frame().await, kafka.frame().await].concat();
    // An answer shows that the client is gone, and not only done with asking.
    kafka.send(&opaque_response(1, b"created")).await;
    let taken = [taken, kafka.rest().await].concat();
    assert!(taken == sent, "everything that was taken, in order");
    drop(kafka);
    assert!(within(served).await.unwrap().is_ok());
}

#[tokio::test]
async fn draining_answers_what_is_in_flight_and_then_closes() {
    let mut rig = Rig::new();
    let (mut client, served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    client.send(&opaque_request(HEARTBEAT, 0, 1, b"")).await;
    kafka.frame().await;
    let half = produce_request(9, 2, 0);
    client.send(&half[..half.len() / 2]).await;
    // The half that was taken shows that the gateway is in the middle of the frame.
    let mut head = vec![0; half.len() / 2];
    within(kafka.0.read_exact(&mut head)).await.unwrap();
    rig.shared.draining.cancel();
    client.send(&half[half.len() / 2..]).await;
    let mut tail = vec![0; half.len() - half.len() / 2];
    within(kafka.0.read_exact(&mut tail)).await.unwrap();
    assert_eq!([head, tail].concat(), half, "a record that was begun is with Kafka");
    kafka.send(&opaque_response(1, b"ok")).await;
    assert_eq!(client.frame().await, opaque_response(1, b"ok"));
    assert_eq!(kafka.rest().await, b"");
    assert_eq!(client.rest().await, b"");
    drop((kafka, client));
    assert!(within(served).await.unwrap().is_ok());
}

#[tokio::test]
async fn draining_ends_although_the_client_never_pauses() {
    let mut rig = Rig::new();
    let (client, served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    let frame = produce_request(9, 1, 0);
    let (mut reader, mut writer) = tokio::io::split(client.0);
    let stop = tokio_util::sync::CancellationToken::new();
    let (sent, stopped) = (frame.clone(), stop.clone());
    let sender = tokio::spawn(async move {
        loop {
            tokio::select! {
                () = stopped.cancelled() => return,
                written = writer.write_all(&sent) => written.unwrap(),
            }
        }
    });
    for _ in 0..10 {
        assert_eq!(kafka.frame().await.len(), frame.len());
    }
    rig.shared.draining.cancel();
    let rest = kafka.rest().await;
    assert_eq!(rest.len() % frame.len(), 0, "what was begun is whole");
    stop.cancel();
    within(sender).await.unwrap();
    assert_eq!(within(reader.read(&mut [0])).await.unwrap(), 0);
    drop((kafka, reader));
    assert!(within(served).await.unwrap().is_ok());
}

#[tokio::test]
async fn a_client_hears_the_last_answers_of_a_kafka_that_closes() {
    let mut rig = Rig::new();
    let (mut client, served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    client.send(&opaque_request(HEARTBEAT, 0, 1, b"")).await;
    kafka.frame().await;
    kafka.send(&opaque_response(1, b"last")).await;
    drop(kafka);
    assert_eq!(client.rest().await, opaque_response(1, b"last"));
    drop(client);
    assert!(matches!(within(served).await.unwrap(), Err(End::UpstreamClosed)));
}

#[tokio::test]
async fn a_kafka_that_closes_is_heard_to_the_end_whatever_its_answers_tell() {
    use kafka_protocol::messages::{ProduceRequest, ProduceResponse, produce_response::NodeEndpoint};
    let mut rig = Rig::new();
    let (mut client, served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    let produced = |correlation, node: NodeEndpoint| {
        response(ApiKey::Produce, 12, correlation, &ProduceResponse::default().with_node_endpoints(vec![node]))
    };
    let node = NodeEndpoint::default().with_node_id(BrokerId(2));
    let of_path = node.clone().with_host(text(&format!("2.{HOST}"))).with_port(9092);
    for correlation in [1, 2] {
        let asked = request(ApiKey::Produce, 12, correlation, &ProduceRequest::default().with_acks(-1));
        client.send(&asked).await;
        kafka.frame().await;
    }
    client.send(&opaque_request(HEARTBEAT, 0, 3, b"")).await;
    kafka.frame().await;
    let last = opaque_response(3, b"last");
    let of_kafka = node.with_host(text(INTERNAL)).with_port(9192);
    kafka.send(&[produced(1, of_kafka.clone()), produced(2, of_kafka), last.clone()].concat()).await;
    drop(kafka);
    assert!(client.rest().await == [produced(1, of_path.clone()), produced(2, of_path), last].concat());
    drop(client);
    assert!(matches!(within(served).await.unwrap(), Err(End::UpstreamClosed)));
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_ends_the_connection() {
    let mut rig = Rig::new();
    let (mut client, served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    client.send(&opaque_request(HEARTBEAT, 0, 1, b"")).await;
    kafka.frame().await;
    kafka.send(&opaque_response(2, b"whose?")).await;
    assert_eq!(client.rest().await, b"");
    assert!(matches!(within(served).await.unwrap(), Err(End::Protocol(_))));
}

#[tokio::test]
async fn a_full_pipeline_pauses_the_client_and_loses_nothing() {
    let mut rig = Rig::new();
    let (client, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    let (mut reader, mut writer) = tokio::io::split(client.0);
    let sender = tokio::spawn(async move {
        for correlation in 0..5_000 {
            let frame = opaque_request(HEARTBEAT, 0, correlation, &[0; 200]);
            writer.write_all(&frame).await.unwrap();
        }
        writer
    });
    for correlation in 0..5_000 {
        assert_eq!(correlation_of(&kafka.frame().await[4..]), correlation);
        kafka.send(&opaque_response(correlation, b"ok")).await;
    }
    let mut answers = vec![0; 5_000 * opaque_response(0, b"ok").len()];
    within(reader.read_exact(&mut answers)).await.unwrap();
    within(sender).await.unwrap();
}

#[tokio::test]
async fn large_answers_of_our_own_wait_their_turn_and_none_is_lost() {
    let mut rig = Rig::new();
    let (client, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    let topics = (0..5_000)
        .map(|n| create_topics_request::CreatableTopic::default().with_name(TopicName(text(&format!("__sluice{n}")))));
    let refused = CreateTopicsRequest::default().with_topics(topics.collect());
    let (mut reader, mut writer) = tokio::io::split(client.0);
    let sender = tokio::spawn(async move {
        writer.write_all(&opaque_request(HEARTBEAT, 0, 0, b"")).await.unwrap();
        for correlation in 1..=20 {
            writer.write_all(&request(ApiKey::CreateTopics, 5, correlation, &refused)).await.unwrap();
        }
        writer
    });
    kafka.frame().await;
    // The client got no further than what may wait, which is far from all.
    let denied = || rig.shared.metrics.denied[ApiKey::CreateTopics as usize].get();
    within(async {
        while denied() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(denied() <= 3, "{} answers of half a megabyte wait", denied());
    kafka.send(&opaque_response(0, b"ok")).await;
    for correlation in 0..=20 {
        let length = within(reader.read_i32()).await.unwrap();
        let mut frame = vec![0; length as usize];
        within(reader.read_exact(&mut frame)).await.unwrap();
        assert_eq!(frame[..4], i32::to_be_bytes(correlation));
    }
    within(sender).await.unwrap();
}
