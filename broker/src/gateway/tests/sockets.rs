//! Long runs between real sockets, which the kernel moves: every byte arrives, in order, once, and is paid for.

use super::super::filters::endpoints::FETCH;
use super::super::filters::walk::Walker;
use super::super::upstream::Kafka;
use super::*;
use kafka_protocol::messages::*;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

const HEARTBEAT: i16 = 12;
const FETCH_KEY: i16 = 1;
/// Around what is copied, what is moved, a block, and what a pipe or a socket holds.
const SIZES: [usize; 10] = [0, 100, 4_083, 4_097, 32_768, 65_536, 131_072, 200_001, 1_000_000, 3_000_000];

struct Sockets {
    shared: Arc<Shared>,
    client: TcpStream,
    kafka: TcpStream,
    served: JoinHandle<Result<(), End>>,
}

/// A client on the plaintext path and the Kafka that the gateway connected to for it.
async fn connected(spec: NodeSpec) -> Sockets {
    let rig = Rig::with(spec);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let kafka = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = kafka.local_addr().unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (gateway, _) = listener.accept().await.unwrap();
    let (shared, card) = (rig.shared.clone(), rig.card(AccessPath::PrivatePlaintext));
    let serving = shared.clone();
    let served = tokio::spawn(async move { connection::anonymous(gateway, Kafka(address), &card, &serving).await });
    let (kafka, _) = within(kafka.accept()).await.unwrap();
    Sockets { shared, client, kafka, served }
}

fn noise(seed: usize, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i.wrapping_mul(31).wrapping_add(seed) >> 3) as u8).collect()
}

fn frames(of: impl Fn(usize, &[u8]) -> Vec<u8>) -> Vec<Vec<u8>> {
    let sizes = SIZES.iter().chain(SIZES.iter().rev()).chain(&SIZES);
    sizes.enumerate().map(|(n, size)| of(n, &noise(n, *size))).collect()
}

async fn read_all(mut from: OwnedReadHalf, expected: Vec<u8>, piece: usize) -> OwnedReadHalf {
    let (mut got, mut buffer) = (Vec::new(), vec![0; piece]);
    while got.len() < expected.len() {
        match within(from.read(&mut buffer)).await.unwrap() {
            0 => break,
            n => got.extend_from_slice(&buffer[..n]),
        }
        if piece < 65_536 {
            tokio::task::yield_now().await;
        }
    }
    assert!(got == expected, "{} of {} bytes arrived, or others", got.len(), expected.len());
    from
}

async fn write_all(mut to: OwnedWriteHalf, bytes: Vec<u8>) -> OwnedWriteHalf {
    within(to.write_all(&bytes)).await.unwrap();
    to
}

async fn both_ways(piece: usize) {
    let Sockets { client, kafka, served, .. } = connected(spec()).await;
    let requests = frames(|n, body| opaque_request(HEARTBEAT, 0, n as i32, body)).concat();
    let responses = frames(|n, body| opaque_response(n as i32, body)).concat();
    let (from_client, to_client) = client.into_split();
    let (from_kafka, to_kafka) = kafka.into_split();
    let sent = tokio::spawn(write_all(to_client, requests.clone()));
    // Answers may not come before what they answer.
    let from_kafka = read_all(from_kafka, requests, piece).await;
    let answered = tokio::spawn(write_all(to_kafka, responses.clone()));
    let from_client = read_all(from_client, responses, piece).await;
    drop((sent.await.unwrap(), from_client, answered.await.unwrap(), from_kafka));
    within(served).await.unwrap().ok();
}

#[tokio::test]
async fn frames_of_every_size_come_through_both_ways() {
    both_ways(1 << 20).await;
}

#[tokio::test]
async fn frames_of_every_size_come_through_to_peers_that_read_slowly() {
    both_ways(1_500).await;
}

#[tokio::test]
async fn addresses_are_hidden_between_long_runs_of_records() {
    let Sockets { mut client, mut kafka, .. } = connected(spec()).await;
    let partition = |n: usize| {
        fetch_response::PartitionData::default()
            .with_partition_index(n as i32)
            .with_records(Some(noise(n, SIZES[n]).into()))
    };
    let topic =
        fetch_response::FetchableTopicResponse::default().with_partitions((0..SIZES.len()).map(partition).collect());
    let endpoint = fetch_response::NodeEndpoint::default().with_node_id(BrokerId(2)).with_host(text(INTERNAL));
    let message =
        FetchResponse::default().with_responses(vec![topic.clone(), topic]).with_node_endpoints(vec![endpoint]);
    for correlation in 0..3 {
        let request = opaque_request(FETCH_KEY, 17, correlation, b"");
        client.write_all(&request).await.unwrap();
        let mut arrived = vec![0; request.len()];
        within(kafka.read_exact(&mut arrived)).await.unwrap();
        let sent = response(ApiKey::Fetch, 17, correlation, &message);
        let mut edited = sent.clone();
        let length = edited.len();
        assert_eq!(Walker::new(FETCH, true).walk(&mut edited, length as u64, &mut |_| {}).unwrap(), length);
        assert!(contains(&sent[length - 100..], INTERNAL) && !contains(&edited[length - 100..], INTERNAL));
        let mut got = vec![0; length];
        let (wrote, read) = tokio::join!(kafka.write_all(&sent), within(client.read_exact(&mut got)));
        wrote.and(read.map(drop)).unwrap();
        assert!(got == edited, "the response was changed otherwise than by its addresses");
    }
}

#[tokio::test]
async fn what_a_client_sent_before_it_left_reaches_kafka() {
    let Sockets { mut client, kafka, served, .. } = connected(spec()).await;
    let frame = opaque_request(HEARTBEAT, 0, 1, &noise(1, 2_000_000));
    let sent = frame[..1_200_000].to_vec();
    let (from_kafka, to_kafka) = kafka.into_split();
    let arrives = tokio::spawn(read_all(from_kafka, sent.clone(), 4_096));
    client.write_all(&sent).await.unwrap();
    drop(client);
    let mut from_kafka = within(arrives).await.unwrap();
    assert_eq!(within(from_kafka.read(&mut [0; 1])).await.unwrap(), 0, "and Kafka hears that no more comes");
    drop((from_kafka, to_kafka));
    within(served).await.unwrap().ok();
}

#[tokio::test]
async fn records_of_a_topic_with_a_quota_come_through_whole_and_are_charged() {
    // Fifteen seconds' worth: what a second gives free, and what a busy machine takes, is less.
    const RATE: u64 = 300_000;
    for version in [8, 9, 12] {
        let mut limited = spec();
        let rates = TopicRates { produce: Some(RATE), consume: Some(RATE) };
        limited.gateway.topic_rates.insert("orders".to_owned(), rates);
        let Sockets { mut client, mut kafka, .. } = connected(limited).await;
        let partition =
            |n: usize| produce_request::PartitionProduceData::default().with_records(Some(noise(n, SIZES[n]).into()));
        let topic = produce_request::TopicProduceData::default()
            .with_name(TopicName(text("orders")))
            .with_partition_data((0..SIZES.len()).map(partition).collect());
        let message = ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic]);
        let sent = request(ApiKey::Produce, version, 1, &message);
        let mut got = vec![0; sent.len()];
        let (wrote, read) = tokio::join!(client.write_all(&sent), within(kafka.read_exact(&mut got)));
        wrote.and(read.map(drop)).unwrap();
        assert!(got == sent);
        let taken = produce_response::PartitionProduceResponse::default();
        let taken = produce_response::TopicProduceResponse::default()
            .with_name(TopicName(text("orders")))
            .with_partition_responses(vec![taken; SIZES.len()]);
        let taken = ProduceResponse::default().with_responses(vec![taken]);
        let mut answer = response(ApiKey::Produce, version, 1, &taken);
        kafka.write_all(&answer).await.unwrap();
        within(client.read_exact(&mut answer)).await.unwrap();
        let (_, answer) = read_response::<ProduceResponse>(ApiKey::Produce, version, &answer);
        let told = u64::try_from(answer.throttle_time_ms).unwrap();
        let takes = 1000 * SIZES.iter().sum::<usize>() as u64 / RATE;
        // Less what was not used before, and what it took to get here.
        assert!(told > 0 && told <= takes, "told {told} ms of {takes}");
    }
}

#[tokio::test]
async fn records_that_the_kernel_moves_are_paid_for() {
    let mut limited = spec();
    limited.gateway.limits.ingress_bytes_per_second = Some(500_000_000);
    let Sockets { shared, client, kafka, .. } = connected(limited).await;
    let records = Bytes::from(noise(5, 3_000_000));
    let partition = produce_request::PartitionProduceData::default().with_records(Some(records));
    let topic = produce_request::TopicProduceData::default()
        .with_name(TopicName(text("orders")))
        .with_partition_data(vec![partition]);
    let message = ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic]);
    let frame = request(ApiKey::Produce, 9, 1, &message);
    let ((_from_client, to_client), (from_kafka, _to_kafka)) = (client.into_split(), kafka.into_split());
    let sent = tokio::spawn(write_all(to_client, frame.clone()));
    read_all(from_kafka, frame.clone(), 1 << 20).await;
    sent.await.unwrap();
    let paid = shared.bandwidth.ingress.granted();
    assert!(paid >= frame.len() as u64, "{paid} of {} bytes were paid for", frame.len());
}
