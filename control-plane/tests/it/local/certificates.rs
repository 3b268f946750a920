//! Certificates that change under producers, on a real broker (performance-reliability.md §11, D5 in its small form).

use super::{
    instance::{Instance, NEWEST, user},
    raw_client::RawClient,
    world::wait_until,
};
use broker_api::spec::{NodeSpec, TlsIdentity};
use bytes::{Bytes, BytesMut};
use control_plane::{
    clock::Clock,
    nodes::{HttpsNodes, NodeControl, NodeError},
    pki::{AuthorityKind, CertificateAuthority, Purpose, bundle, certificates},
};
use kafka_protocol::{
    messages::{
        CreateTopicsRequest, ProduceRequest, TopicName,
        create_topics_request::CreatableTopic,
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    protocol::StrBytes,
    records::{
        Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Record,
        RecordBatchEncoder, RecordEncodeOptions, TimestampType,
    },
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior, interval};

const SWAPS: usize = 20;
const PRODUCERS: i32 = 30;
/// From the request to the first handshake that sees it (product.md §5 and the row of the feature list).
const PROMISED: Duration = Duration::from_secs(2);
const TOPIC: &str = "orders";

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// One message, to be acknowledged by all in-sync replicas.
fn message(partition: i32, number: u64) -> ProduceRequest {
    let record = Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
        producer_id: NO_PRODUCER_ID,
        producer_epoch: NO_PRODUCER_EPOCH,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence: NO_SEQUENCE,
        timestamp: 0,
        key: None,
        value: Some(Bytes::from(number.to_string())),
        headers: Default::default(),
    };
    let mut batch = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut batch, [&record], &options).unwrap();
    let of_partition = PartitionProduceData::default().with_index(partition).with_records(Some(batch.freeze()));
    let of_topic =
        TopicProduceData::default().with_name(TopicName(text(TOPIC))).with_partition_data(vec![of_partition]);
    ProduceRequest::default().with_acks(-1).with_timeout_ms(10_000).with_topic_data(vec![of_topic])
}

/// Writes one message after the other over one connection, and never makes another.
async fn produce(mut client: RawClient, partition: i32, stop: Arc<AtomicBool>, written: Arc<AtomicU64>) {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let answer = client.call(&message(partition, number), 7).await.expect("the connection lives");
        let outcome = &answer.responses[0].partition_responses[0];
        assert_eq!(
            (outcome.error_code, outcome.base_offset),
            (0, i64::try_from(number).unwrap()),
            "every message, once"
        );
        number += 1;
        written.fetch_add(1, Ordering::Relaxed);
    }
}

/// Until a client that trusts both authorities is shown this certificate.
async fn seen(instance: &Instance, trust: &str, wanted: &TlsIdentity) -> Duration {
    let (began, nodes, listener) = (Instant::now(), HttpsNodes::default(), instance.cluster.sasl_ssl[0]);
    let leaf = certificates(&wanted.certificate_pem).unwrap().remove(0);
    let name = listener.ip().to_string();
    wait_until("the new certificate is shown", async || {
        nodes.shown_certificate(listener, &name, trust).await.unwrap() == leaf.as_ref()
    })
    .await;
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_changes_of_authority_drop_no_producer_and_bad_pairs_change_nothing() {
    let Some(instance) = Instance::new(NEWEST, 1).await else { return };
    let (user, nodes, node) = (user(), HttpsNodes::default(), &instance.addresses[0]);
    instance.set_up(&user).await;
    let mut administrator = RawClient::log_in(&instance, &user).await.unwrap();
    let topic = CreatableTopic::default().with_name(TopicName(text(TOPIC))).with_num_partitions(PRODUCERS);
    let topic = topic.with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
    wait_until("the topic is there", async || {
        let answer = administrator.call(&request, 4).await.unwrap();
        // 36: it exists. Rights reach the broker a moment after they were made.
        matches!(answer.topics[0].error_code, 0 | 36)
    })
    .await;
    wait_until("the partitions have leaders", async || {
        let answer = administrator.call(&message(PRODUCERS - 1, 0), 7).await.unwrap();
        answer.responses[0].partition_responses[0].error_code == 0
    })
    .await;

    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut producers = Vec::new();
    // The last partition has what the wait above wrote.
    for partition in 0..PRODUCERS - 1 {
        let client = RawClient::log_in(&instance, &user).await.unwrap();
        producers.push(tokio::spawn(produce(client, partition, stop.clone(), written.clone())));
    }
    let before = nodes.status(node).await.unwrap();

    let (clock, names) = (Clock::system(), [instance.cluster.sasl_ssl[0].ip().to_string()]);
    let authority = |name: &str| CertificateAuthority::create(AuthorityKind::Platform, name, clock.now()).unwrap();
    let authorities = [authority("one"), authority("two")];
    let trust = bundle(authorities.iter().map(CertificateAuthority::certificate_pem)).unwrap();
    let mut spec = instance.specs[0].clone();
    let (mut slowest, mut pace) = (Duration::ZERO, interval(Duration::from_secs(1)));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for turn in 0..SWAPS {
        pace.tick().await;
        let issue = || authorities[turn % 2].issue(Purpose::ClientListener, &names, clock.now()).unwrap();
        spec.generation += 1;
        spec.gateway.server_tls = issue();
        let progress = written.load(Ordering::Relaxed);
        nodes.push_spec(node, &spec).await.unwrap();
        slowest = slowest.max(seen(&instance, &trust, &spec.gateway.server_tls).await);

        let mut bad = NodeSpec { generation: spec.generation + 1, ..spec.clone() };
        bad.gateway.server_tls.key_pem = issue().key_pem;
        let refused = nodes.push_spec(node, &bad).await.unwrap_err();
        assert!(matches!(refused, NodeError::Refused { .. }), "{refused}");
        seen(&instance, &trust, &spec.gateway.server_tls).await;
        wait_until("producers go on", async || written.load(Ordering::Relaxed) > progress + 100).await;
    }
    assert!(slowest < PROMISED, "{slowest:?}");
    stop.store(true, Ordering::Relaxed);
    for producer in producers {
        producer.await.expect("no connection was dropped, no message refused");
    }
    let after = nodes.status(node).await.unwrap();
    assert_eq!((before.broker.pid, before.gateway.pid), (after.broker.pid, after.gateway.pid));
    assert_eq!(after.generation, spec.generation);
    eprintln!(
        "{SWAPS} changes, {} messages by {} connections, seen after {} ms at most",
        written.load(Ordering::Relaxed),
        PRODUCERS - 1,
        slowest.as_millis()
    );
    instance.remove().await;
}
