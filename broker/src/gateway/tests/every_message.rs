//! Transparency by Kafka's own definitions (D9): random valid messages of every API and version that
//! brokers offer go through the gateway, and come out byte for byte, except for the fields that
//! [`expected`] lists. What the gateway says itself, or amends, is a valid message too.

use super::super::duplex::SHORT_BYTES;
use super::super::table::{self, RequestRule, TABLE};
use super::definitions::{Direction, Message, Struct, Value, of_kafka};
use super::*;
use broker_api::acl::is_platform_user;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;

const HEARTBEAT: i16 = 12;
const API_VERSIONS: i16 = 18;
const UNUSED_TAG: u32 = 0x7f;

/// Both messages of an API.
struct Api {
    request: Message,
    response: Message,
}

fn apis(kafka: &str) -> Option<BTreeMap<i16, Api>> {
    let (requests, responses): (Vec<_>, Vec<_>) =
        of_kafka(kafka)?.into_iter().partition(|(direction, _)| *direction == Direction::Request);
    let mut responses: BTreeMap<_, _> = responses.into_iter().map(|(_, message)| (message.api_key, message)).collect();
    let for_brokers = requests.into_iter().filter(|(_, message)| message.listeners.iter().any(|l| l == "broker"));
    Some(
        for_brokers
            .map(|(_, request)| {
                let response = responses.remove(&request.api_key).expect("a response");
                (request.api_key.expect("a key"), Api { request, response })
            })
            .collect(),
    )
}

/// Whether endpoints are hidden in a response of so many bytes to this request: what is short is told the path's.
fn hides_endpoints(key: i16, bytes: usize) -> bool {
    matches!(key, 0 | 1 | 78 | 79) && bytes >= SHORT_BYTES
}

/// What the client must get of a response of so many bytes.
fn expected(key: i16, version: i16, kafka: &Value, bytes: usize) -> Value {
    let mut told = kafka.clone();
    let fields = told.fields();
    match key {
        0 | 1 | 78 | 79 if !fields.fields.contains_key("NodeEndpoints") => {}
        0 | 1 if hides_endpoints(key, bytes) => {
            fields.fields.remove("NodeEndpoints");
        }
        78 | 79 if hides_endpoints(key, bytes) && !fields.list("NodeEndpoints").is_empty() => {
            fields.list("NodeEndpoints").clear();
            fields.unknown.clear();
        }
        0 | 1 | 78 | 79 => keep_brokers(fields.list("NodeEndpoints"), "NodeId"),
        3 => keep_brokers(fields.list("Brokers"), "NodeId"),
        10 if version < 4 => coordinator(fields, version),
        10 => fields.list("Coordinators").iter_mut().for_each(|found| coordinator(found.fields(), version)),
        API_VERSIONS if fields.int("ErrorCode") != 35 => fields.list("ApiKeys").retain_mut(|range| {
            let range = range.fields();
            let [api, least, most] = ["ApiKey", "MinVersion", "MaxVersion"].map(|name| range.int(name) as i16);
            let Some((least, most)) = table::offered(api, least, most) else { return false };
            range.set_fixed("MinVersion", &least.to_be_bytes());
            range.set_fixed("MaxVersion", &most.to_be_bytes());
            true
        }),
        29 => fields.list("Resources").retain_mut(|resource| !resource.fields().list("Acls").is_empty()),
        35 => fields.list("Results").iter_mut().enumerate().for_each(|(number, directory)| {
            let name = if number == 0 { "/data".to_owned() } else { format!("/data-{number}") };
            directory.fields().set_text("LogDir", &name);
        }),
        48 => {
            if let Value::List(Some(entries)) = fields.get("Entries") {
                entries.retain_mut(|entry| !entry.fields().list("Entity").iter_mut().any(of_the_platform));
            }
        }
        50 => fields.list("Results").retain_mut(|user| !names_the_platform(user.fields().get("User"))),
        55 if version >= 2 => fields.list("Nodes").iter_mut().for_each(listeners),
        60 => keep_brokers(fields.list("Brokers"), "BrokerId"),
        _ => {}
    }
    told
}

/// Nodes 1 and 2 have an address on the path.
fn address(node: i64) -> Option<(String, i32)> {
    (1..=2).contains(&node).then(|| (format!("{node}.{HOST}"), 9090 + node as i32))
}

/// Quotas of the platform's users are nobody else's to see.
fn of_the_platform(part: &mut Value) -> bool {
    let part = part.fields();
    let kind = part.get("EntityType") == &Value::Text(Some("user".into()));
    kind && names_the_platform(part.get("EntityName"))
}

fn names_the_platform(user: &Value) -> bool {
    matches!(user, Value::Text(Some(name)) if is_platform_user(name))
}

fn keep_brokers(brokers: &mut Vec<Value>, id: &str) {
    brokers.retain_mut(|broker| {
        let broker = broker.fields();
        let Some((host, port)) = address(broker.int(id)) else { return false };
        broker.set_text("Host", &host);
        broker.set_fixed("Port", &port.to_be_bytes());
        true
    });
}

fn coordinator(found: &mut Struct, version: i16) {
    let node = found.int("NodeId");
    if node < 0 {
        return;
    }
    let (host, port) = address(node).unwrap_or_else(|| {
        found.set_fixed("NodeId", &(-1i32).to_be_bytes());
        found.set_fixed("ErrorCode", &15i16.to_be_bytes());
        if version >= 1 {
            found.set_text("ErrorMessage", "the coordinator has no address on this access path yet");
        }
        (String::new(), -1)
    });
    found.set_text("Host", &host);
    found.set_fixed("Port", &port.to_be_bytes());
}

fn listeners(node: &mut Value) {
    let node = node.fields();
    let id = node.int("NodeId");
    let listener = address(id).map(|(host, port)| {
        let mut listener = Struct::default();
        listener.fields.insert("Name".into(), Value::Text(Some("PRIVATE_PLAINTEXT".into())));
        listener.fields.insert("Host".into(), Value::Text(Some(host)));
        listener.fields.insert("Port".into(), Value::Fixed((port as u16).to_be_bytes().to_vec()));
        Value::Struct(Some(listener))
    });
    *node.list("Listeners") = listener.into_iter().collect();
}

/// Makes of a random response one that Kafka could give to this request; false when it can't be made.
fn plausible(key: i16, request: Option<&mut Value>, response: &mut Value, random: &mut StdRng) -> bool {
    let fields = response.fields();
    match (key, request) {
        // Kafka lists results by the position of what was asked.
        (30 | 31, Some(request)) => {
            let (asked, results) = if key == 30 { ("Creations", "Results") } else { ("Filters", "FilterResults") };
            let asked = request.fields().list(asked).len();
            let results = fields.list(results);
            let Some(first) = results.first().cloned() else { return asked == 0 };
            results.resize(asked, first);
        }
        // The policies' own tests say what becomes of these.
        (29, _) => fields.list("Resources").iter_mut().for_each(|resource| {
            let acls = resource.fields().list("Acls");
            acls.iter_mut().for_each(|acl| acl.fields().set_text("Principal", "User:alice"));
        }),
        (32, _) => fields.list("Results").iter_mut().for_each(|result| {
            let topic_or_group = [2, 32][random.random_range(0..2)];
            result.fields().set_fixed("ResourceType", &[topic_or_group]);
        }),
        _ => {}
    }
    true
}

/// Header and body as a frame.
fn request_frame(api: &Api, key: i16, version: i16, correlation: i32, body: &[u8]) -> Vec<u8> {
    let mut frame = [key.to_be_bytes(), version.to_be_bytes()].concat();
    frame.extend(correlation.to_be_bytes());
    frame.extend(b"\x00\x04test");
    if api.request.is_flexible(version) {
        frame.push(0);
    }
    frame.extend(body);
    sealed(&frame)
}

fn response_head(api: &Api, key: i16, version: i16, correlation: i32) -> Vec<u8> {
    let mut head = correlation.to_be_bytes().to_vec();
    if api.response.is_flexible(version) && key != API_VERSIONS {
        head.push(0);
    }
    head
}

/// A connection through the gateway, and what is behind it.
struct Line {
    client: Peer,
    kafka: Peer,
    random: StdRng,
    forwarded: u64,
    own: u64,
    amended: u64,
}

impl Line {
    async fn one(&mut self, key: i16, version: i16, api: &Api) {
        let correlation = self.random.random_range(0..i32::MAX - 1);
        let mut asked = api.request.random(version, &mut self.random);
        if key == 0 {
            // With acks=0 nothing is answered; anything but −1, 0 and 1 ends in an error, answered too.
            asked.fields().set_fixed("Acks", &[[0xff, 0xff], [0, 1]][self.random.random_range(0..2)]);
        }
        let body = api.request.encode(version, &asked);
        assert!(api.request.decode(version, &body) == asked, "the definitions' own codec");
        let sent = request_frame(api, key, version, correlation, &body);
        // What comes behind tells whether Kafka was asked at all.
        let beat = opaque_request(HEARTBEAT, 0, correlation + 1, b"beat");
        let both = [sent.clone(), beat.clone()].concat();
        // At once, since a message may be larger than what the pipes hold.
        let ((), taken) = tokio::join!(self.client.send(&both), self.kafka.frame());
        if taken == beat {
            self.own += 1;
        } else {
            let head = sent.len() - body.len();
            let amended = taken != sent;
            assert_eq!(taken[4..head], sent[4..head], "the header stays");
            let mut request = api.request.decode(version, &taken[head..]);
            assert!(!amended || table::find(key, version).unwrap().policy().is_some());
            assert_eq!(self.kafka.frame().await, beat);
            self.answer(key, version, correlation, api, &mut request, amended).await;
        }
        self.kafka.send(&opaque_response(correlation + 1, b"ok")).await;
        if taken == beat {
            let got = self.client.frame().await;
            let head = response_head(api, key, version, correlation);
            assert_eq!(got[4..4 + head.len()], head, "an own answer's header");
            api.response.decode(version, &got[4 + head.len()..]);
        }
        assert_eq!(self.client.frame().await, opaque_response(correlation + 1, b"ok"));
    }

    async fn answer(
        &mut self,
        key: i16,
        version: i16,
        correlation: i32,
        api: &Api,
        request: &mut Value,
        amended: bool,
    ) {
        let answer = loop {
            let mut answer = api.response.random(version, &mut self.random);
            if plausible(key, amended.then_some(&mut *request), &mut answer, &mut self.random) {
                break answer;
            }
        };
        let body = api.response.encode(version, &answer);
        let head = response_head(api, key, version, correlation);
        let whole = sealed(&[head.clone(), body].concat());
        let ((), got) = tokio::join!(self.kafka.send(&whole), self.client.frame());
        assert_eq!(got[4..4 + head.len()], head);
        let mut told = api.response.decode(version, &got[4 + head.len()..]);
        if amended {
            // With refusals among Kafka's own results: a valid message, which the policies' tests judge.
            self.amended += 1;
            return;
        }
        self.forwarded += 1;
        let expected = expected(key, version, &answer, whole.len());
        if expected == answer {
            assert!(got == whole, "byte for byte");
            return;
        }
        if hides_endpoints(key, whole.len()) {
            assert_eq!(got.len(), whole.len(), "edited in place");
            let left = told.fields().unknown.remove(&UNUSED_TAG);
            assert!(left.is_some_and(|left| left.iter().all(|byte| *byte == 0)), "no byte of an address is left");
        }
        assert!(told == expected, "told {told:?}\nfor {answer:?}");
    }
}

/// Says which message it was when a test fails.
struct Named(String);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("it was {}", self.0);
        }
    }
}

/// Of the topic that random messages name now and then, at a rate that holds nobody.
fn with_topic_quotas() -> NodeSpec {
    let mut spec = spec();
    let rates = TopicRates { produce: Some(1_000_000_000_000), consume: Some(1_000_000_000_000) };
    spec.gateway.topic_rates.insert("orders".to_owned(), rates);
    spec
}

async fn transparent(kafka: &str, spec: NodeSpec) {
    let Some(apis) = apis(kafka) else {
        eprintln!("SKIPPED: SLUICE_TOOLS holds no Apache Kafka {kafka}; run scripts/fetch-kafka");
        return;
    };
    let served: Vec<_> = apis
        .iter()
        .flat_map(|(key, api)| api.request.versions().map(move |version| (*key, version, api)))
        .filter(|(key, ..)| !matches!(TABLE[table::index(*key).expect("in the table")].request, RequestRule::Closed))
        .collect();
    let mut rig = Rig::with(spec);
    let (client, served_client) = rig.plaintext();
    let kafka_end = rig.kafka().await;
    let seed = rand::random();
    let mut line =
        Line { client, kafka: kafka_end, random: StdRng::seed_from_u64(seed), forwarded: 0, own: 0, amended: 0 };
    for round in 0..cases(6_000).div_ceil(2 * served.len()) {
        for (key, version, api) in &served {
            let _named = Named(format!("{} {version} of Kafka {kafka}, round {round}, seed {seed}", api.request.name));
            assert!(table::find(*key, *version).is_some(), "offered by Kafka and not served");
            line.one(*key, *version, api).await;
        }
    }
    let Line { forwarded, own, amended, .. } = line;
    assert!(forwarded > own && own > 0 && amended > 0, "{forwarded} forwarded, {own} own, {amended} amended");
    drop(served_client);
}

#[tokio::test]
async fn every_message_that_kafka_4_3_defines_passes_except_for_the_listed_fields() {
    transparent("4.3.1", spec()).await;
    transparent("4.3.1", with_topic_quotas()).await;
}

#[tokio::test]
async fn every_message_that_kafka_3_9_defines_passes_except_for_the_listed_fields() {
    transparent("3.9.2", spec()).await;
    transparent("3.9.2", with_topic_quotas()).await;
}
