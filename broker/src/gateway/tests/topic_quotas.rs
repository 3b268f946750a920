//! Topics that have a quota are slowed, all others and everything else are not, and no connection ends; in a time that the
//! test moves.

use super::*;
use kafka_protocol::messages::*;

const HEARTBEAT: i16 = 12;
/// Bytes a second.
const RATE: u64 = 100_000;
const ID: u128 = 7;

fn with_rates(rates: &[(&str, Option<u64>, Option<u64>)]) -> NodeSpec {
    let mut spec = spec();
    let rates = rates.iter().map(|&(topic, produce, consume)| (topic.to_owned(), TopicRates { produce, consume }));
    spec.gateway.topic_rates = rates.collect();
    spec
}

fn of_orders() -> NodeSpec {
    with_rates(&[("orders", Some(RATE), Some(RATE))])
}

fn produce(version: i16, acks: i16, topics: &[(&str, u128, usize)]) -> Vec<u8> {
    let topics = topics.iter().map(|&(name, id, bytes)| {
        let half = Bytes::from(vec![7; bytes / 2]);
        let partition = produce_request::PartitionProduceData::default().with_records(Some(half));
        let topic = produce_request::TopicProduceData::default().with_partition_data(vec![partition; 2]);
        if version < 13 {
            topic.with_name(TopicName(text(name)))
        } else {
            topic.with_topic_id(uuid::Uuid::from_u128(id))
        }
    });
    let message = ProduceRequest::default().with_acks(acks).with_topic_data(topics.collect());
    request(ApiKey::Produce, version, 5, &message)
}

/// One partition of each topic was taken, or has this error.
fn produced(version: i16, topics: &[(&str, u128, usize)], error: i16) -> Vec<u8> {
    let topics = topics.iter().map(|&(name, id, _)| {
        let partition =
            produce_response::PartitionProduceResponse::default().with_base_offset(3).with_error_code(error);
        let topic = produce_response::TopicProduceResponse::default().with_partition_responses(vec![partition]);
        if version < 13 {
            topic.with_name(TopicName(text(name)))
        } else {
            topic.with_topic_id(uuid::Uuid::from_u128(id))
        }
    });
    response(ApiKey::Produce, version, 5, &ProduceResponse::default().with_responses(topics.collect()))
}

fn fetch(version: i16) -> Vec<u8> {
    request(ApiKey::Fetch, version, 5, &FetchRequest::default().with_max_bytes(50 << 20).with_max_wait_ms(500))
}

fn fetched(version: i16, name: &str, id: u128, bytes: usize) -> Vec<u8> {
    let partition = fetch_response::PartitionData::default().with_records(Some(Bytes::from(vec![7; bytes])));
    let topic = fetch_response::FetchableTopicResponse::default().with_partitions(vec![partition]);
    let topic = if version < 13 {
        topic.with_topic(TopicName(text(name)))
    } else {
        topic.with_topic_id(uuid::Uuid::from_u128(id))
    };
    response(ApiKey::Fetch, version, 5, &FetchResponse::default().with_responses(vec![topic]))
}

/// A connection, and Kafka's end of it.
struct Line {
    client: Peer,
    kafka: Peer,
    _served: JoinHandle<Result<(), End>>,
}

impl Line {
    async fn new(rig: &mut Rig) -> Self {
        let (client, served) = rig.plaintext();
        Self { client, kafka: rig.kafka().await, _served: served }
    }

    /// Seconds until Kafka has the request, and how long the client is told to wait.
    async fn produces(&mut self, version: i16, topics: &[(&str, u128, usize)]) -> (f64, i32) {
        self.produces_with(version, topics, 0).await
    }

    /// Likewise, where Kafka answers with this error.
    async fn produces_with(&mut self, version: i16, topics: &[(&str, u128, usize)], error: i16) -> (f64, i32) {
        let (request, began) = (produce(version, -1, topics), Instant::now());
        let ((), passed) = tokio::join!(self.client.send(&request), self.kafka.frame());
        assert!(passed == request, "it passes as it is");
        let took = began.elapsed().as_secs_f64();
        self.kafka.send(&produced(version, topics, error)).await;
        let (_, answer) = read_response::<ProduceResponse>(ApiKey::Produce, version, &self.client.frame().await);
        let [partition] = &answer.responses[0].partition_responses[..] else { panic!("{answer:?}") };
        assert_eq!((partition.base_offset, partition.error_code), (3, error));
        (took, answer.throttle_time_ms)
    }

    /// Seconds until Kafka has the request, and how much it asks for.
    async fn fetches(&mut self, version: i16, name: &str, id: u128, bytes: usize) -> (f64, i32) {
        let began = Instant::now();
        self.client.send(&fetch(version)).await;
        let asked = read_request::<FetchRequest>(ApiKey::Fetch, version, &self.kafka.frame().await).max_bytes;
        let took = began.elapsed().as_secs_f64();
        let answer = fetched(version, name, id, bytes);
        self.kafka.send(&answer).await;
        assert!(self.client.frame().await == answer, "it passes as it is");
        (took, asked)
    }

    async fn beats(&mut self) {
        let began = Instant::now();
        self.client.send(&opaque_request(HEARTBEAT, 0, 7, b"beat")).await;
        assert_eq!(self.kafka.frame().await, opaque_request(HEARTBEAT, 0, 7, b"beat"));
        self.kafka.send(&opaque_response(7, b"ok")).await;
        assert_eq!(self.client.frame().await, opaque_response(7, b"ok"));
        assert_eq!(began.elapsed(), Duration::ZERO, "a heartbeat waited");
    }
}

fn about(seconds: f64, expected: f64) {
    assert!((seconds - expected).abs() < 0.05, "{seconds} s, not {expected}");
}

#[tokio::test(start_paused = true)]
async fn who_produces_to_a_topic_with_a_quota_is_told_to_wait_and_held_and_nobody_else_is() {
    for version in [3, 8, 9, 12, 13] {
        let mut rig = Rig::with(of_orders());
        rig.shared.topic_quotas.names.learn([(ID.to_be_bytes(), b"orders".as_slice().into())]);
        rig.shared.topic_quotas.names.learn([(8u128.to_be_bytes(), b"bills".as_slice().into())]);
        let (mut one, mut other) = (Line::new(&mut rig).await, Line::new(&mut rig).await);
        let (took, told) = one.produces(version, &[("bills", 8, 10_000), ("orders", ID, 300_000)]).await;
        about(took, 0.0);
        assert!((2_900..=3_000).contains(&told), "version {version} is told {told} ms");
        one.beats().await;
        // Of other topics, and of the same on another connection, which waits behind the first.
        assert_eq!(other.produces(version, &[("bills", 8, 900_000)]).await, (0.0, 0));
        let (took, told) = other.produces(version, &[("orders", ID, 100_000)]).await;
        about(took, 0.0);
        assert!((3_900..=4_000).contains(&told), "told {told} ms");
        about(one.produces(version, &[("bills", 8, 10)]).await.0, 3.0);
        about(one.produces(version, &[("bills", 8, 10)]).await.0, 0.0);
    }
}

#[tokio::test(start_paused = true)]
async fn records_pass_at_the_rate_over_time_however_many_ask() {
    let mut rig = Rig::with(of_orders());
    let mut lines = Vec::new();
    for _ in 0..4 {
        lines.push(Line::new(&mut rig).await);
    }
    let began = Instant::now();
    let busy = lines.into_iter().enumerate().map(|(n, mut line)| {
        tokio::spawn(async move {
            let mut passed = 0;
            while began.elapsed() < Duration::from_secs(100) {
                line.produces(9, &[("orders", ID, 20_000 * (n + 1))]).await;
                passed += 20_000 * (n + 1);
            }
            passed
        })
    });
    let mut passed = 0;
    for busy in busy.collect::<Vec<_>>() {
        passed += busy.await.unwrap();
    }
    let rate = passed as f64 / began.elapsed().as_secs_f64();
    assert!((rate / RATE as f64 - 1.0).abs() < 0.05, "{rate} bytes a second");
}

#[tokio::test(start_paused = true)]
async fn no_request_is_held_longer_than_five_seconds_so_five_on_their_way_pass_before_their_client_gives_up() {
    let mut rig = Rig::with(of_orders());
    let Line { mut client, mut kafka, _served } = Line::new(&mut rig).await;
    let topics = [("orders", ID, 3_000_000)];
    let (began, mut took) = (Instant::now(), Vec::new());
    let on_their_way = produce(9, -1, &topics).repeat(6);
    tokio::spawn(async move {
        client.send(&on_their_way).await;
        for _ in 0..6 {
            let (_, answer) = read_response::<ProduceResponse>(ApiKey::Produce, 9, &client.frame().await);
            assert!((19_000..=20_000).contains(&answer.throttle_time_ms), "told {} ms", answer.throttle_time_ms);
        }
        client.rest().await;
    });
    for _ in 0..6 {
        kafka.frame().await;
        took.push(began.elapsed().as_secs_f64().round() as u64);
        kafka.send(&produced(9, &topics, 0)).await;
    }
    assert_eq!(took, [0, 5, 10, 15, 20, 25]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_as_told_is_not_held_at_all() {
    let mut rig = Rig::with(of_orders());
    let mut line = Line::new(&mut rig).await;
    // No multiple of what a millisecond gives.
    for _ in 0..20 {
        let (took, told) = line.produces(9, &[("orders", ID, 123_458)]).await;
        assert_eq!(took, 0.0);
        tokio::time::sleep(Duration::from_millis(told.try_into().unwrap())).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_kafka_refuses_slows_nobody_and_counts_once_it_is_taken() {
    for version in [3, 8, 9, 12, 13] {
        let mut rig = Rig::with(of_orders());
        rig.shared.topic_quotas.names.learn([(ID.to_be_bytes(), b"orders".as_slice().into())]);
        let (mut stranger, mut owner) = (Line::new(&mut rig).await, Line::new(&mut rig).await);
        for _ in 0..5 {
            assert_eq!(stranger.produces_with(version, &[("orders", ID, 3_000_000)], 29).await, (0.0, 0));
        }
        assert_eq!(owner.produces_with(version, &[("orders", ID, 300_000)], 6).await, (0.0, 0), "not the leader");
        let (took, told) = owner.produces(version, &[("orders", ID, 300_000)]).await;
        about(took, 0.0);
        assert!((2_000..=3_000).contains(&told), "version {version} is told {told} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_request_waits_until_it_is_known_whether_kafka_took_the_last_one() {
    let mut rig = Rig::with(of_orders());
    let Line { mut client, mut kafka, _served } = Line::new(&mut rig).await;
    let (large, small) = (produce(9, -1, &[("orders", ID, 300_000)]), produce(9, -1, &[("orders", ID, 100)]));
    for (error, waits) in [(29, 0.0), (0, 2.0)] {
        let both = [&large[..], &small].concat();
        let ((), first) = tokio::join!(client.send(&both), kafka.frame());
        assert!(first == large);
        let early = tokio::time::timeout(Duration::from_secs(1), kafka.0.read_u8()).await;
        assert!(early.is_err(), "what was behind came early");
        let answered = Instant::now();
        kafka.send(&produced(9, &[("orders", ID, 0)], error)).await;
        client.frame().await;
        assert!(kafka.frame().await == small);
        about(answered.elapsed().as_secs_f64(), waits);
        kafka.send(&produced(9, &[("orders", ID, 0)], error)).await;
        client.frame().await;
    }
}

#[tokio::test(start_paused = true)]
async fn names_are_asked_of_ids_that_kafka_took_records_of_and_others_leave_them_room() {
    let mut rig = Rig::with(of_orders());
    let mut line = Line::new(&mut rig).await;
    let asked = || rig_asked(&rig);
    for id in 100..110 {
        line.produces_with(13, &[("orders", id, 1_000)], 100).await;
    }
    assert_eq!(asked(), [0u128; 0], "ids that name nothing");
    line.produces(13, &[("orders", 1, 1_000)]).await;
    assert_eq!(asked(), [1]);
    line.fetches(13, "orders", 2, 0).await;
    line.fetches(13, "orders", 3, 1_000).await;
    assert_eq!(asked(), [3], "of records only");
    // Without acks nobody tells.
    let guesses: Vec<_> = (1_000..1_500).map(|id| ("orders", id, 10)).collect();
    line.client.send(&produce(13, 0, &guesses)).await;
    line.kafka.frame().await;
    line.fetches(13, "orders", 4, 1_000).await;
    let asked = asked();
    assert!(asked.len() == 101 && asked.contains(&4), "{} ids", asked.len());
}

fn rig_asked(rig: &Rig) -> Vec<u128> {
    rig.shared.topic_quotas.names.take().into_iter().map(u128::from_be_bytes).collect()
}

#[tokio::test(start_paused = true)]
async fn however_long_the_line_is_a_consumer_asks_for_something() {
    let mut rig = Rig::with(with_rates(&[("orders", None, Some(10_000))]));
    let (mut one, mut other) = (Line::new(&mut rig).await, Line::new(&mut rig).await);
    tokio::time::sleep(Duration::from_secs(5)).await;
    one.fetches(12, "orders", ID, 1_000).await;
    other.fetches(12, "orders", ID, 300_000).await;
    assert_eq!(one.fetches(12, "orders", ID, 0).await, (0.0, 1024), "nothing would be answered at once, with nothing");
}

#[tokio::test(start_paused = true)]
async fn who_consumes_from_a_topic_with_a_quota_is_held_and_gets_small_answers() {
    for version in [4, 7, 11, 12, 13, 15, 16, 18] {
        let mut rig = Rig::with(of_orders());
        rig.shared.topic_quotas.names.learn([(ID.to_be_bytes(), b"orders".as_slice().into())]);
        let (mut one, mut other) = (Line::new(&mut rig).await, Line::new(&mut rig).await);
        let (took, asked) = one.fetches(version, "orders", ID, 300_000).await;
        about(took, 0.0);
        assert_eq!(asked, 50 << 20, "who takes of no quota asks as it likes");
        one.beats().await;
        assert_eq!(other.fetches(version, "bills", 8, 900_000).await, (0.0, 50 << 20), "version {version}");
        let (took, asked) = one.fetches(version, "orders", ID, 100_000).await;
        about(took, 3.0);
        assert_eq!(asked, 5 * RATE as i32);
        about(one.fetches(version, "orders", ID, 0).await.0, 1.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_share_group_is_held_as_well() {
    let mut rig = Rig::with(of_orders());
    rig.shared.topic_quotas.names.learn([(ID.to_be_bytes(), b"orders".as_slice().into())]);
    let mut line = Line::new(&mut rig).await;
    let records = Bytes::from(vec![7; 200_000]);
    let partition = share_fetch_response::PartitionData::default().with_records(Some(records));
    let topic = share_fetch_response::ShareFetchableTopicResponse::default()
        .with_topic_id(uuid::Uuid::from_u128(ID))
        .with_partitions(vec![partition]);
    let answer = response(ApiKey::ShareFetch, 1, 5, &ShareFetchResponse::default().with_responses(vec![topic]));
    let ask = request(ApiKey::ShareFetch, 1, 5, &ShareFetchRequest::default());
    let began = Instant::now();
    for seconds in [0.0, 2.0, 4.0] {
        line.client.send(&ask).await;
        assert!(line.kafka.frame().await == ask);
        about(began.elapsed().as_secs_f64(), seconds);
        line.kafka.send(&answer).await;
        assert!(line.client.frame().await == answer);
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_made_anew_is_known_again_once_its_id_was_asked_for() {
    let mut rig = Rig::with(of_orders());
    let mut line = Line::new(&mut rig).await;
    assert_eq!(line.produces(13, &[("orders", 1, 900_000)]).await, (0.0, 0), "its name is not known yet");
    rig.shared.topic_quotas.names.learn([(1u128.to_be_bytes(), b"orders".as_slice().into())]);
    assert!(line.produces(13, &[("orders", 1, 100_000)]).await.1 > 0);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(line.produces(13, &[("orders", 2, 100_000)]).await, (0.0, 0));
    rig.shared.topic_quotas.names.learn([(2u128.to_be_bytes(), b"orders".as_slice().into())]);
    line.produces(13, &[("orders", 2, 200_000)]).await;
    assert!(line.produces(13, &[("orders", 2, 200_000)]).await.1 > 0);
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_is_taken_away_or_changed_lets_go_at_once_and_others_stay() {
    let both = [("orders", Some(RATE), None), ("bills", Some(RATE), None)];
    for next in [with_rates(&both[1..]), with_rates(&[("orders", Some(RATE * 50), None), both[1]])] {
        let mut rig = Rig::with(with_rates(&both));
        let (mut one, mut other) = (Line::new(&mut rig).await, Line::new(&mut rig).await);
        one.produces(9, &[("orders", ID, 400_000)]).await;
        other.produces(9, &[("bills", 8, 400_000)]).await;
        let (shared, began) = (rig.shared.clone(), Instant::now());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            shared.swap(Snapshot::build(&next).unwrap());
        });
        let (freed, held) =
            tokio::join!(one.produces(9, &[("orders", ID, 100)]), other.produces(9, &[("bills", 8, 100)]));
        about(freed.0, 1.0);
        about(held.0, 4.0);
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test(start_paused = true)]
async fn without_acks_nothing_is_told_and_the_next_is_held_all_the_same() {
    let mut rig = Rig::with(of_orders());
    let mut line = Line::new(&mut rig).await;
    let (frame, began) = (produce(9, 0, &[("orders", ID, 200_000)]), Instant::now());
    for seconds in [0.0, 2.0, 4.0] {
        line.client.send(&frame).await;
        assert!(line.kafka.frame().await == frame);
        about(began.elapsed().as_secs_f64(), seconds);
    }
    line.beats().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_must_leave_or_has_left_is_not_held() {
    for leaves in [true, false] {
        let mut rig = Rig::with(of_orders());
        let (client, served) = rig.plaintext();
        let mut line = Line { client, kafka: rig.kafka().await, _served: tokio::spawn(async { Ok(()) }) };
        line.produces(9, &[("orders", ID, 400_000)]).await;
        let (frame, began) = (produce(9, -1, &[("orders", ID, 100)]), Instant::now());
        line.client.send(&frame).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let Line { mut client, mut kafka, .. } = line;
        if leaves {
            client.0.shutdown().await.unwrap();
        } else {
            rig.shared.draining.cancel();
        }
        assert!(kafka.frame().await == frame);
        about(began.elapsed().as_secs_f64(), 1.0);
        kafka.send(&produced(9, &[("orders", ID, 0)], 0)).await;
        client.frame().await;
        drop((client, kafka));
        assert!(within(served).await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn a_request_is_looked_into_only_while_a_topic_has_a_quota_that_it_could_take_of() {
    // acks 1, a time-out, and then nothing that Kafka would understand.
    let body = [&[0xff, 0xff, 0, 1, 0, 0, 0, 0][..], &[0xee; 5_000]].concat();
    let odd = opaque_request(0, 2, 1, &body);
    let quotas: [(NodeSpec, bool); 3] = [
        (spec(), true),
        (with_rates(&[("orders", None, Some(RATE))]), true),
        (with_rates(&[("orders", Some(RATE), None)]), false),
    ];
    for (spec, passes) in quotas {
        let mut rig = Rig::with(spec);
        let (mut client, served) = rig.plaintext();
        let mut kafka = rig.kafka().await;
        client.send(&odd).await;
        if passes {
            assert!(kafka.frame().await == odd);
            kafka.send(&opaque_response(1, &[0xdd; 300])).await;
            assert_eq!(client.frame().await, opaque_response(1, &[0xdd; 300]));
        } else {
            client.rest().await;
            drop(kafka);
            assert!(within(served).await.unwrap().is_err());
        }
    }
    // The same of what is consumed: version 11 is not looked into otherwise.
    for (spec, passes) in [
        (spec(), true),
        (with_rates(&[("orders", Some(RATE), None)]), true),
        (with_rates(&[("orders", None, Some(RATE))]), false),
    ] {
        let mut rig = Rig::with(spec);
        let (mut client, served) = rig.plaintext();
        let mut kafka = rig.kafka().await;
        client.send(&opaque_request(1, 11, 1, b"\xff\xff")).await;
        kafka.frame().await;
        let odd = opaque_response(1, &[0xee; 5_000]);
        kafka.send(&odd).await;
        if passes {
            assert!(client.frame().await == odd);
        } else {
            client.rest().await;
            assert!(within(served).await.unwrap().is_err());
        }
    }
}

#[test]
fn a_rate_that_nobody_could_work_with_is_refused() {
    let refused = Snapshot::build(&with_rates(&[("orders", Some(RATE), Some(10))])).unwrap_err().to_string();
    assert!(refused.contains("topic_rates of \"orders\": 10 bytes a second; at least 4096"), "{refused}");
}
