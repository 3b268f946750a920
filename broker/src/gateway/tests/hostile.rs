//! Frames that nobody should send: they end their own connection, or are answered, and never panic,
//! hang or make the gateway allocate what they claim.

use super::super::connection::End;
use super::super::duplex::Fault;
use super::super::filters::walk::{Layout, Seen, Walker};
use super::super::filters::{Format, Scope, addresses, auto_create, endpoints, produce, records, streams};
use super::super::frame;
use super::super::table::{self, RequestRule, ResponseRule, TABLE};
use super::super::wire::Malformed;
use super::definitions::{self, Direction};
use super::*;
use proptest::prelude::{any, prop, proptest};
use proptest::test_runner::Config as ProptestConfig;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Frames that once broke something somewhere, or are likely to.
const CORPUS: &str = include_str!("corpus.txt");

/// `name: hex` lines; `#` starts a comment.
fn corpus() -> Vec<(&'static str, Vec<u8>)> {
    let lines = CORPUS.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let parse = |line: &'static str| {
        let (name, hex) = line.split_once(": ").expect("name: hex");
        let digits: Vec<u8> = hex.bytes().filter(|b| *b != b' ').collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).expect("hex");
        (name, digits.chunks(2).map(byte).collect())
    };
    lines.map(parse).collect()
}

/// Shows `bytes` to every parser that reads what a network sent.
fn parse_everything(bytes: &[u8]) {
    for api in TABLE {
        for version in (0..=18).filter(|&version| table::find(api.key, version).is_some()) {
            parse_request(api, version, bytes);
            parse_response(api, version, bytes, bytes);
        }
    }
    for flexible in [false, true] {
        let _ = frame::request_body(bytes, flexible);
        let _ = frame::response_body(bytes, flexible);
    }
    for version in 0..=13 {
        let _ = produce::wants_answer(bytes, Format { version, flexible: version >= 9 });
        walk(records::produce(version), version >= 9, bytes);
        walk(records::produced(version), version >= 9, bytes);
    }
    for version in 0..=18 {
        walk(records::fetch(version), version >= 12, bytes);
    }
    walk(records::SHARE_FETCH, true, bytes);
    let _ = frame::RequestHeader::peek(bytes, u32::MAX);
}

fn parse_request(api: &table::Api, version: i16, body: &[u8]) {
    let (snapshot, format) = (shared_snapshot(), Format { version, flexible: api.is_flexible(version) });
    match api.request {
        RequestRule::Admit(_, codec) => drop((codec.read)(format, body)),
        RequestRule::Streams(..) => drop((streams::head(format, body), streams::topology(format, body))),
        RequestRule::Metadata => drop(auto_create::may_create(format, body)),
        _ => {}
    }
    if let Some(filter) = api.policy() {
        for user in [None, Some("alice")] {
            let _ = filter(Scope { path: AccessPath::PrivatePlaintext, user, snapshot }, format, body);
        }
    }
}

/// `body` for what is gathered, the whole `frame` for what streams.
fn parse_response(api: &table::Api, version: i16, frame: &[u8], body: &[u8]) {
    let scope = Scope { path: AccessPath::PrivatePlaintext, user: None, snapshot: shared_snapshot() };
    let format = Format { version, flexible: api.is_flexible(version) };
    match api.request {
        RequestRule::Admit(_, codec) => drop((codec.outcomes)(format, body)),
        RequestRule::Streams(..) => drop((streams::answered(format, body), streams::described(body))),
        RequestRule::Metadata => drop(auto_create::missing(format, frame)),
        _ => {}
    }
    match api.response_rule(version) {
        ResponseRule::Filter(filter) => {
            let _ = filter(scope, format, body);
        }
        ResponseRule::Walk(layout) => walk(layout, true, frame),
        ResponseRule::Metadata => {
            let _ = addresses::metadata_head(scope, format, frame);
        }
        ResponseRule::Relay => {}
    }
}

/// Reads `bytes` as one frame that is here whole.
fn tell(layout: Layout, flexible: bool, bytes: &[u8]) {
    let Some((before, end)) = endpoints::split(layout) else { return };
    let scope = Scope { path: AccessPath::PrivatePlaintext, user: None, snapshot: shared_snapshot() };
    let mut frame = bytes.to_vec();
    if let Ok(at) = Walker::new(before, flexible).open().walk(&mut frame, bytes.len() as u64, &mut |_| {}) {
        let Ok(Some(told)) = endpoints::told(scope, end, &frame, at) else { return };
        assert_eq!(told[..4], (told.len() as u32 - 4).to_be_bytes());
        assert_eq!(told[4..at], frame[4..at]);
        // None is left where the path has an address for none.
        let again = endpoints::told(scope, end, &told, at).unwrap();
        assert!(again.is_none_or(|again| again == told), "the path's are the path's");
    }
}

/// Walks `bytes` as one frame in pieces of two sizes: the outcome must not depend on the cuts.
fn walk(layout: Layout, flexible: bool, bytes: &[u8]) {
    tell(layout, flexible, bytes);
    let run = |piece: usize| {
        let mut frame = bytes.to_vec();
        let (mut walker, mut noted) = (Walker::new(layout, flexible), Vec::new());
        let (mut at, mut shown) = (0, 0);
        while at < frame.len() {
            shown = (shown + piece).min(frame.len());
            let mut note = |seen: Seen<'_>| {
                noted.push(format!("{seen:?}"));
                if let Seen::Throttle(ms) = seen {
                    *ms = 7;
                }
            };
            match walker.walk(&mut frame[at..shown], (bytes.len() - at) as u64, &mut note) {
                Ok(n) => at += n,
                Err(_) => return None,
            }
            assert!(at > 0 || shown < frame.len() || frame.is_empty(), "a whole frame is always decided");
            if shown == frame.len() && at < frame.len() {
                return None;
            }
        }
        Some((frame, noted))
    };
    let whole = run(bytes.len().max(1));
    assert_eq!(whole, run(3.max(bytes.len() / 1_000)));
}

#[test]
fn the_corpus_is_refused_or_read_by_every_parser() {
    let corpus = corpus();
    assert!(corpus.len() > 20);
    for (_, bytes) in corpus {
        parse_everything(&bytes);
        for cut in 0..bytes.len().min(64) {
            parse_everything(&bytes[..cut]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(400) as u32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_break_a_parser(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        parse_everything(&bytes);
    }

    #[test]
    fn no_small_change_of_a_bad_frame_breaks_a_parser(
        pick in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let corpus = corpus();
        let mut bytes = corpus[pick.index(corpus.len())].1.clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        parse_everything(&bytes);
    }
}

/// What is nearly right gets further than noise does.
#[test]
fn no_small_change_of_a_valid_message_breaks_the_parser_of_its_api() {
    let Some(messages) = definitions::of_kafka("4.3.1") else {
        eprintln!("SKIPPED: SLUICE_TOOLS holds no Apache Kafka 4.3.1; run scripts/fetch-kafka");
        return;
    };
    let seed = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let parsed: Vec<_> = messages
        .iter()
        .filter_map(|(direction, message)| Some((direction, message, message.api_key?)))
        .flat_map(|(direction, message, key)| {
            message.versions().map(move |version| (*direction, message, key, version))
        })
        .filter_map(|(direction, message, key, version)| {
            Some((direction, message, table::find(key, version)?, version))
        })
        .filter(|(direction, _, api, version)| match direction {
            Direction::Request => {
                matches!(
                    api.request,
                    RequestRule::Filter(_) | RequestRule::Admit(..) | RequestRule::Streams(..) | RequestRule::Metadata
                )
            }
            Direction::Response => {
                !matches!(api.response_rule(*version), ResponseRule::Relay)
                    || matches!(api.request, RequestRule::Admit(..) | RequestRule::Streams(..))
            }
        })
        .collect();
    for round in 0..cases(4_000).div_ceil(parsed.len()) {
        for (direction, message, api, version) in &parsed {
            let mut body = message.encode(*version, &message.random(*version, &mut random));
            for _ in 0..random.random_range(1..4) {
                disturb(&mut body, &mut random);
            }
            let ended = std::panic::catch_unwind(|| match direction {
                Direction::Request => parse_request(api, *version, &body),
                Direction::Response => {
                    let flexible: &[u8] = if api.is_header_flexible(*version) { &[0] } else { &[] };
                    let frame = opaque_response(round as i32, &[flexible, &body].concat());
                    parse_response(api, *version, &frame, &body);
                }
            });
            assert!(ended.is_ok(), "{} {version}, round {round}, seed {seed}", message.name);
        }
    }
}

/// Cuts, doubles or overwrites a few bytes somewhere.
fn disturb(bytes: &mut Vec<u8>, random: &mut StdRng) {
    let at = random.random_range(0..=bytes.len());
    let end = (at + random.random_range(0..5)).min(bytes.len());
    match random.random_range(0..4) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..end)),
        2 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
        _ => bytes[at..end].fill([0, 1, 0x7f, 0x80, 0xff][random.random_range(0..5)]),
    }
}

#[tokio::test]
async fn every_frame_of_the_corpus_harms_only_its_own_connection() {
    let mut rig = Rig::new();
    let (mut good, _served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    for (name, bytes) in corpus() {
        let (mut bad, served) = rig.plaintext();
        let mut behind = rig.kafka().await;
        bad.send(&bytes).await;
        bad.0.shutdown().await.unwrap();
        // What passes is thrown away; then Kafka closes, as it would.
        behind.rest().await;
        drop(behind);
        bad.rest().await;
        drop(bad);
        let _ = within(served).await.unwrap_or_else(|e| panic!("{name} panicked: {e}"));
        good.send(&opaque_request(12, 0, 1, b"beat")).await;
        kafka.frame().await;
        kafka.send(&opaque_response(1, b"ok")).await;
        assert_eq!(good.frame().await, opaque_response(1, b"ok"), "after {name}");
    }
}

#[tokio::test]
async fn every_frame_of_the_corpus_before_a_login_ends_the_connection_or_is_answered() {
    for (name, bytes) in corpus() {
        let rig = Rig::new();
        let (mut bad, served) = rig.sasl();
        bad.send(&bytes).await;
        drop(bad);
        drop(rig.kafka);
        let _ = within(served).await.unwrap_or_else(|e| panic!("{name} panicked: {e}"));
    }
}

#[tokio::test]
async fn tls_on_the_plaintext_port_is_closed_and_answered_nothing() {
    let mut rig = Rig::new();
    let (mut client, served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    client.send(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await;
    assert_eq!(client.rest().await, b"");
    assert_eq!(kafka.rest().await, b"", "and Kafka hears nothing of it");
    drop(kafka);
    assert!(matches!(within(served).await.unwrap(), Err(End::Protocol(Fault::TlsOnPlainPort))));
}

#[tokio::test]
async fn absurd_lengths_are_refused_as_soon_as_they_are_read() {
    for length in [-1, i32::MIN, 0, 7, 104_857_601, i32::MAX] {
        let mut rig = Rig::new();
        let (mut client, served) = rig.plaintext();
        client.send(&length.to_be_bytes()).await;
        assert_eq!(client.rest().await, b"", "length {length}");
        drop(rig.kafka().await);
        assert!(matches!(within(served).await.unwrap(), Err(End::Protocol(Fault::FrameLength))), "length {length}");
    }
}

#[tokio::test]
async fn a_request_that_names_more_than_kafka_would_take_ends_its_connection() {
    use kafka_protocol::messages::{AlterUserScramCredentialsRequest, alter_user_scram_credentials_request::*};
    let deletions = |count| {
        let users = (0..count).map(|n: usize| ScramCredentialDeletion::default().with_name(text(&n.to_string())));
        let message = AlterUserScramCredentialsRequest::default().with_deletions(users.collect());
        request(ApiKey::AlterUserScramCredentials, 0, 1, &message)
    };
    let rig = Rig::new();
    let (mut client, _served) = rig.plaintext();
    client.send(&deletions(10_000)).await;
    assert!(client.frame().await.len() > 10_000, "each is refused by name");
    let (mut client, served) = rig.plaintext();
    client.send(&deletions(10_001)).await;
    assert_eq!(client.rest().await, b"");
    drop(rig.kafka);
    let end = within(served).await.unwrap();
    assert!(matches!(end, Err(End::Protocol(Fault::Request { source: Malformed::TooMany, .. }))), "{end:?}");
}

#[tokio::test]
async fn clients_that_never_end_large_requests_do_not_fill_the_memory() {
    let rig = Rig::new();
    // CreateTopics, of which the last bytes never come.
    let begun = 3 * 1024 * 1024i32;
    let mut head = begun.to_be_bytes().to_vec();
    head.extend([0, 19, 0, 5, 0, 0, 0, 1]);
    head.resize(begun as usize - 100, 0);
    let mut held = Vec::new();
    let ended = loop {
        let (mut client, served) = rig.plaintext();
        let sent = within(client.0.write_all(&head)).await;
        if sent.is_err() || held.len() > 100 {
            break served;
        }
        held.push((client, served));
    };
    assert!((30..=50).contains(&held.len()), "{} of 3 MiB are held", held.len());
    drop(rig.kafka);
    assert!(matches!(within(ended).await.unwrap(), Err(End::Protocol(Fault::TooMuch(_)))));
    assert!(held.iter().all(|(_, served)| !served.is_finished()), "who was first stays");
}

#[tokio::test]
async fn what_came_before_a_bad_frame_still_reaches_kafka() {
    let mut rig = Rig::new();
    let (mut client, served) = rig.plaintext();
    let mut kafka = rig.kafka().await;
    let good = opaque_request(12, 0, 1, b"beat");
    client.send(&[good.clone(), opaque_request(52, 0, 2, b"Vote")].concat()).await;
    assert_eq!(kafka.frame().await, good);
    assert_eq!(kafka.rest().await, b"");
    drop(kafka);
    assert!(matches!(within(served).await.unwrap(), Err(End::Protocol(Fault::UnknownApi { key: 52, .. }))));
}
