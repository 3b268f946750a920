//! Whose records pass, as the walker sees it, against Kafka's own definitions: random valid messages of every version, cut in any
//! pieces, come to the same bytes of the same topics as a codec that reads them whole.

use super::super::filters::records;
use super::super::filters::walk::{Layout, Seen, Walker};
use super::super::table;
use super::super::wire::Malformed;
use super::definitions::{Direction, Message, Struct, Value, of_kafka};
use super::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const SHARE_FETCH: i16 = 78;
/// What an answer to Produce calls its partitions.
const ANSWERED: &str = "PartitionResponses";

/// Name or id of a topic, and how many bytes of records it has in each partition; of an answer to Produce what became of each.
type Shares = Vec<(Vec<u8>, Vec<u64>)>;

/// As the definitions' codec reads it.
fn expected(message: &mut Value, topics: &str, partitions: &str) -> Shares {
    let topics = message.fields().list(topics).iter_mut().map(|topic| {
        let topic = topic.fields();
        let named = |topic: &Struct| {
            ["Name", "Topic", "TopicId"].iter().find_map(|field| match topic.fields.get(*field)? {
                Value::Text(name) => Some(name.clone().unwrap_or_default().into_bytes()),
                Value::Fixed(id) => Some(id.clone()),
                _ => None,
            })
        };
        // A name that is too long for a topic is not looked at.
        let name = Some(named(topic).expect("a topic is named")).filter(|name| name.len() <= 249).unwrap_or_default();
        let records = topic.list(partitions).iter_mut().map(|partition| {
            let partition = partition.fields();
            if partitions == ANSWERED {
                return partition.int("ErrorCode") as u64;
            }
            match partition.get("Records") {
                Value::Bytes(records) => records.as_ref().map_or(0, Vec::len) as u64,
                other => panic!("records are {other:?}"),
            }
        });
        (name, records.collect())
    });
    topics.collect()
}

/// As the walker sees it, in pieces of random sizes up to `most`; the frame as it comes out, too.
fn walked(walker: Walker, frame: &[u8], most: usize, random: &mut StdRng) -> Result<(Shares, Vec<u8>), Malformed> {
    told(walker, frame, most, random, i32::MIN)
}

/// Likewise, and tells clients to wait for so long at least.
fn told(
    walker: Walker,
    frame: &[u8],
    most: usize,
    random: &mut StdRng,
    least_ms: i32,
) -> Result<(Shares, Vec<u8>), Malformed> {
    let (mut walker, mut frame, mut found) = (walker, frame.to_vec(), Shares::new());
    let (mut at, mut shown, size) = (0, 0, frame.len());
    while at < size {
        shown = (shown + random.random_range(1..=most)).min(size);
        at += walker.walk(&mut frame[at..shown], (size - at) as u64, &mut |seen| match seen {
            Seen::Name(name) => found.push((name.to_vec(), Vec::new())),
            Seen::Id(id) => found.push((id.to_vec(), Vec::new())),
            Seen::Records(bytes) => found.last_mut().expect("records are of a topic").1.push(bytes),
            Seen::ErrorCode(code) => found.last_mut().expect("a partition is of a topic").1.push(code as u64),
            Seen::Throttle(ms) => *ms = (*ms).max(least_ms),
        })?;
        assert!(shown < size || at == size, "a whole frame is always decided");
    }
    Ok((found, frame))
}

struct Case<'a> {
    message: &'a Message,
    version: i16,
    layout: Layout,
    head: Vec<u8>,
    topics: &'static str,
    partitions: &'static str,
}

fn cases_of(definitions: &[(Direction, Message)]) -> Vec<Case<'_>> {
    let mut cases = Vec::new();
    for (direction, message) in definitions {
        let (topics, partitions) = match (direction, message.api_key) {
            (Direction::Request, Some(PRODUCE)) => ("TopicData", "PartitionData"),
            (Direction::Response, Some(PRODUCE)) => ("Responses", ANSWERED),
            (Direction::Response, Some(FETCH | SHARE_FETCH)) => ("Responses", "Partitions"),
            _ => continue,
        };
        let key = message.api_key.expect("a key");
        for version in message.versions().filter(|version| table::find(key, *version).is_some()) {
            let layout = match (message.api_key, direction) {
                (Some(PRODUCE), Direction::Request) => records::produce(version),
                (Some(PRODUCE), Direction::Response) => records::produced(version),
                (Some(FETCH), _) => records::fetch(version),
                _ => records::SHARE_FETCH,
            };
            // Of a request all of its header is skipped: length, key, version, correlation, client id, tags.
            let mut head = vec![0; if *direction == Direction::Request { 14 } else { 8 }];
            head.extend(message.is_flexible(version).then_some(0));
            cases.push(Case { message, version, layout, head, topics, partitions });
        }
    }
    cases
}

fn agrees(kafka: &str) {
    let Some(definitions) = of_kafka(kafka) else {
        eprintln!("SKIPPED: SLUICE_TOOLS holds no Apache Kafka {kafka}; run scripts/fetch-kafka");
        return;
    };
    let served = cases_of(&definitions);
    assert!(served.len() > 20, "{} versions of {kafka}", served.len());
    let seed = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let mut bytes = 0;
    for _ in 0..cases(300).div_ceil(served.len()) {
        for Case { message, version, layout, head, topics, partitions } in &served {
            let mut value = message.random(*version, &mut random);
            let body = message.encode(*version, &value);
            let frame = [head.clone(), body].concat();
            let flexible = message.is_flexible(*version);
            let is_request = *topics == "TopicData";
            let skipped = if is_request { head.len() } else { 0 };
            let expected = expected(&mut value, topics, partitions);
            for most in [1, 7, 300, frame.len()] {
                // Large ones byte by byte would take long and tell no more.
                let most = most.max(frame.len() / 2_000);
                let walker = Walker::new(layout, flexible).after(skipped);
                let found = walked(walker, &frame, most, &mut random);
                let (found, out) = found.unwrap_or_else(|e| panic!("{} {version}, seed {seed}: {e}", message.name));
                assert!(found == expected, "{} {version}, seed {seed}", message.name);
                assert_eq!(out.len(), frame.len());
                let endpoints_since = match message.api_key {
                    Some(PRODUCE) => 10,
                    Some(FETCH) => 16,
                    _ => 0,
                };
                if is_request || *version < endpoints_since {
                    assert!(out == frame, "{} {version} passes as it is", message.name);
                }
            }
            if *partitions != ANSWERED {
                bytes += expected.iter().flat_map(|(_, records)| records).sum::<u64>();
            }
            if message.api_key == Some(SHARE_FETCH) {
                // Its last part is made to go as far as the frame does.
                continue;
            }
            // Any part that is missing or left over is found.
            let cut = random.random_range(1..frame.len());
            let short = walked(Walker::new(layout, flexible).after(skipped), &frame[..cut], 300, &mut random);
            let long = [&frame[..], &[0]].concat();
            let long = walked(Walker::new(layout, flexible).after(skipped), &long, 300, &mut random);
            assert!(short.is_err(), "{} {version}, seed {seed}: cut at {cut}", message.name);
            assert!(long.is_err(), "{} {version}, seed {seed}: a byte too many", message.name);
        }
    }
    assert!(bytes > 100_000, "{bytes} bytes of records");
}

#[test]
fn the_bytes_of_each_topic_are_what_kafka_4_3_defines_in_every_version_however_they_are_cut() {
    agrees("4.3.1");
}

#[test]
fn the_bytes_of_each_topic_are_what_kafka_3_9_defines_in_every_version_however_they_are_cut() {
    agrees("3.9.2");
}

#[test]
fn a_name_that_is_too_long_names_no_topic_and_takes_no_room() {
    // acks, time-out, one topic of a name of 30 000 bytes, one partition with three bytes.
    let mut frame = [vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 1], 30_000i16.to_be_bytes().to_vec()].concat();
    frame.extend(vec![b'a'; 30_000]);
    frame.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3]);
    let mut random = StdRng::seed_from_u64(1);
    let (found, _) = walked(Walker::new(records::produce(0), false), &frame, 100, &mut random).unwrap();
    assert_eq!(found, [(Vec::new(), vec![3])]);
}

#[test]
fn a_producer_is_told_how_long_to_wait_in_every_version_unless_kafka_tells_more() {
    for kafka in ["4.3.1", "3.9.2"] {
        let Some(definitions) = of_kafka(kafka) else { return };
        let message = definitions
            .into_iter()
            .find(|(direction, message)| *direction == Direction::Response && message.api_key == Some(PRODUCE));
        let (_, message) = message.expect("ProduceResponse");
        let mut random = StdRng::seed_from_u64(rand::random());
        // The first has no place for it.
        for version in message.versions().filter(|version| *version > 0) {
            for (of_kafka, expected) in [(0i32, 700), (900, 900)] {
                let mut value = message.random(version, &mut random);
                value.fields().set_fixed("ThrottleTimeMs", &of_kafka.to_be_bytes());
                let flexible = message.is_flexible(version);
                let mut frame = vec![0; 8];
                frame.extend(flexible.then_some(0));
                let body_at = frame.len();
                frame.extend(message.encode(version, &value));
                let walker = Walker::new(records::produced(version), flexible);
                let (_, out) = told(walker, &frame, 50, &mut random, 700).unwrap();
                let mut got = message.decode(version, &out[body_at..]);
                assert_eq!(got.fields().int("ThrottleTimeMs"), expected, "version {version}");
            }
        }
    }
}
