//! The partition limit of an instance of three brokers with a real Kafka: many clients at every gateway, at the limit, while
//! the node dies that leads the controllers.

use crate::harness::{Node, SOON, ask_control, connect, kill, until};
use crate::support::{KAFKA_NEW, tools_with_kafka};
use broker_api::ports;
use broker_api::topics::{ChangeTopic, NewTopic, Shortage, TopicChange, TopicOutcome};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const LIMIT: usize = 60;
const SENTENCE: &str = "this instance may have 60 partitions";
/// Three JVMs on a machine that builds something else meanwhile.
pub const CLUSTER_SOON: Duration = Duration::from_secs(180);
/// What a dead node's gateway had begun is held back until it is back, and for 90 s at most.
pub const ALL_FREE: Duration = Duration::from_secs(150);
pub const POLICY_VIOLATION: i16 = 44;
const LEADER_NOT_AVAILABLE: i16 = 5;
/// What a topic has that is made by being used.
const BY_USE: i32 = 3;

/// Error codes of CreateTopics and CreatePartitions that a client tries again after.
fn is_passing(error: i16) -> bool {
    matches!(error, -1 | 3 | 5 | 6 | 7 | 38 | 41 | 51)
}

/// One request and its answer, at the newest version that both sides of the gateway speak.
fn call<Q: Request>(stream: &mut (impl Read + Write), version: i16, request: &Q) -> io::Result<Q::Response> {
    let mut body = BytesMut::new();
    let header = RequestHeader::default().with_request_api_key(Q::KEY).with_request_api_version(version);
    header.encode(&mut body, Q::header_version(version)).unwrap();
    request.encode(&mut body, version).unwrap();
    stream.write_all(&(body.len() as u32).to_be_bytes())?;
    stream.write_all(&body)?;
    stream.flush()?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer)?;
    let mut answer = Bytes::from(answer);
    ResponseHeader::decode(&mut answer, Q::Response::header_version(version)).unwrap();
    Ok(Q::Response::decode(&mut answer, version).unwrap())
}

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A client of one gateway, on its plaintext port.
pub struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
}

impl Client {
    pub fn of(node: &Node) -> Self {
        Self { address: SocketAddr::new(node.spec.kafka.bind, ports::PRIVATE_PLAINTEXT), stream: None }
    }

    /// `None` when the connection broke.
    pub fn call<Q: Request>(&mut self, version: i16, request: &Q) -> Option<Q::Response> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => TcpStream::connect(self.address).ok()?,
        };
        stream.set_read_timeout(Some(Duration::from_secs(70))).unwrap();
        let answer = call(&mut stream, version, request).ok()?;
        self.stream = Some(stream);
        Some(answer)
    }

    /// Kafka's error and its sentence; an error that passes when nobody answered.
    pub fn create(&mut self, topic: &str, partitions: i32) -> (i16, String) {
        let wanted = CreatableTopic::default()
            .with_name(TopicName(text(topic)))
            .with_num_partitions(partitions)
            .with_replication_factor(-1);
        let request = CreateTopicsRequest::default().with_topics(vec![wanted]).with_timeout_ms(10_000);
        let Some(answer) = self.call(7, &request) else { return (-1, String::new()) };
        let result = &answer.topics[0];
        (result.error_code, result.error_message.as_deref().unwrap_or_default().to_owned())
    }

    fn add(&mut self, topic: &str, partitions: i32) -> i16 {
        let wanted = CreatePartitionsTopic::default()
            .with_name(TopicName(text(topic)))
            .with_count(partitions)
            .with_assignments(None);
        let request = CreatePartitionsRequest::default().with_topics(vec![wanted]).with_timeout_ms(10_000);
        self.call(3, &request).map_or(-1, |answer| answer.results[0].error_code)
    }

    fn delete(&mut self, topic: &str) -> i16 {
        let wanted = DeleteTopicState::default().with_name(Some(TopicName(text(topic))));
        let request = DeleteTopicsRequest::default().with_topics(vec![wanted]).with_timeout_ms(10_000);
        self.call(6, &request).map_or(-1, |answer| answer.responses[0].error_code)
    }

    /// Names a missing topic as a producer does, and once more if it is told to: Kafka's error.
    fn use_topic(&mut self, topic: &str) -> i16 {
        let named = MetadataRequestTopic::default().with_name(Some(TopicName(text(topic))));
        let request = MetadataRequest::default().with_topics(Some(vec![named])).with_allow_auto_topic_creation(true);
        let mut ask = || self.call(12, &request).map_or(-1, |answer| answer.topics[0].error_code);
        match ask() {
            LEADER_NOT_AVAILABLE => ask(),
            error => error,
        }
    }

    /// Partitions of each topic of tenants.
    fn topics(&mut self) -> Option<BTreeMap<String, usize>> {
        let answer = self.call(12, &MetadataRequest::default().with_topics(None))?;
        let topics = answer.topics.into_iter().filter(|topic| !topic.is_internal);
        Some(topics.map(|topic| (topic.name.unwrap().to_string(), topic.partitions.len())).collect())
    }
}

/// What the control plane writes when an instance is bought: everybody may use topics and groups.
pub fn open_topics(node: &Node) {
    let acl = |resource, operation, pattern, name, permission| {
        AclCreation::default()
            .with_resource_type(resource)
            .with_resource_name(text(name))
            .with_resource_pattern_type(pattern)
            .with_principal(text("User:*"))
            .with_host(text("*"))
            .with_operation(operation)
            .with_permission_type(permission)
    };
    let request = CreateAclsRequest::default().with_creations(vec![
        acl(2, 2, 4, "__sluice", 2),
        acl(2, 2, 3, "*", 3),
        acl(3, 2, 3, "*", 3),
    ]);
    until("the bindings", CLUSTER_SOON, || {
        let answer = by_platform(node, 3, &request)?;
        answer.results.iter().all(|result| result.error_code == 0).then_some(())
    });
}

/// What the control plane asks of Kafka itself.
fn by_platform<Q: Request>(node: &Node, version: i16, request: &Q) -> Option<Q::Response> {
    let caller = node.instance.internal_ca.issue("sluice-control-plane", &["localhost".to_owned()]);
    let address = SocketAddr::new(node.spec.kafka.bind, ports::INTERNAL);
    call(&mut connect(address, Some(&caller), &caller.ca_pem).ok()?, version, request).ok()
}

/// The node that leads the controllers, as one of `nodes` knows.
pub fn controller(nodes: &[Node]) -> &Node {
    let known = || nodes.iter().find_map(leader_of_controllers);
    let leader = until("a leader of the controllers", CLUSTER_SOON, known);
    nodes.iter().find(|node| node.spec.identity.node_id == leader).unwrap()
}

fn leader_of_controllers(node: &Node) -> Option<i32> {
    let metadata = TopicData::default()
        .with_topic_name(TopicName(text("__cluster_metadata")))
        .with_partitions(vec![PartitionData::default()]);
    let answer = by_platform(node, 0, &DescribeQuorumRequest::default().with_topics(vec![metadata]))?;
    let partition = answer.topics.first()?.partitions.first()?;
    (partition.error_code == 0 && partition.leader_id.0 >= 0).then_some(partition.leader_id.0)
}

/// Another controller leads after a fetch time-out of 2 s and an election or two of 1 s each, by Kafka's own defaults: ten times as
/// long, for a machine that builds something else meanwhile.
const ELECTED: Duration = SOON;
/// One JVM that starts beside two that serve, where [`CLUSTER_SOON`] is for three at once.
const BACK: Duration = Duration::from_secs(90);

/// Kills gateway and broker of the node that leads the controllers; in the end another one leads them, and the node is back.
pub fn kill_controller(nodes: &[Node], meanwhile: impl FnOnce()) {
    let victim = controller(nodes);
    let broker = victim.wait_until_running();
    kill(victim.gateway_pid());
    kill(broker);
    meanwhile();
    until("another leader of the controllers", ELECTED, || {
        let others = nodes.iter().filter(|node| node.nonce != victim.nonce);
        others.filter_map(leader_of_controllers).find(|leader| *leader != victim.spec.identity.node_id)
    });
    assert_ne!(victim.wait_until_running_within(BACK), broker);
}

#[test]
fn many_clients_at_the_limit_never_pass_it_and_get_all_of_it_while_a_node_dies() {
    let Some(tools) = tools_with_kafka(KAFKA_NEW) else { return };
    let mut nodes = Node::cluster(KAFKA_NEW, 3, &tools, |spec| {
        spec.gateway.limits.max_partitions = LIMIT as u32;
        spec.gateway.auto_create_topics = true;
    });
    nodes.iter_mut().for_each(Node::start_with_gateway);
    for node in &nodes {
        node.wait_until_running_within(CLUSTER_SOON);
    }
    open_topics(&nodes[0]);
    until("a first topic at every broker", CLUSTER_SOON, || {
        let made = nodes.iter().all(|node| {
            let name = format!("first-{}", node.spec.identity.node_id);
            matches!(Client::of(node).create(&name, 1).0, 0 | 36)
        });
        made.then_some(())
    });

    // By way, see `crowd`.
    let (stop, refused, most) = (AtomicBool::new(false), [const { AtomicUsize::new(0) }; WAYS], AtomicUsize::new(0));
    let more_of_each = || {
        let count = || refused.each_ref().map(|way| way.load(Ordering::Relaxed));
        let before = count();
        until("refusals by every way", CLUSTER_SOON, || {
            count().iter().zip(before).all(|(now, before)| *now > before + 10).then_some(())
        });
    };
    std::thread::scope(|scope| {
        for (number, node) in
            nodes.iter().enumerate().flat_map(|(n, node)| (0..WAYS).map(move |c| (n * WAYS + c, node)))
        {
            let (stop, refused) = (&stop, &refused);
            scope.spawn(move || crowd(number, node, stop, refused));
        }
        for node in &nodes {
            let (stop, most) = (&stop, &most);
            scope.spawn(move || {
                let mut client = Client::of(node);
                while !stop.load(Ordering::Relaxed) {
                    let total = client.topics().map_or(0, |topics| topics.values().sum());
                    most.fetch_max(total, Ordering::Relaxed);
                }
            });
        }
        more_of_each();
        kill_controller(&nodes, more_of_each);
        stop.store(true, Ordering::Relaxed);
    });
    let most = most.load(Ordering::Relaxed);
    assert!(most <= LIMIT, "{most} partitions were seen");

    let mut clients: Vec<_> = nodes.iter().map(Client::of).collect();
    let began = Instant::now();
    let mut number = 0;
    until("the whole limit in use", ALL_FREE, || {
        number += 1;
        let (error, why) = clients[number % 3].create(&format!("rest-{number}"), 1);
        assert!(matches!(error, 0 | POLICY_VIOLATION) || is_passing(error), "{error} {why}");
        let total: usize = clients[(number + 1) % 3].topics()?.values().sum();
        assert!(total <= LIMIT, "{total} partitions");
        (total == LIMIT && error == POLICY_VIOLATION)
            .then(|| assert!(why.contains("60 partitions and has 60"), "{why}"))
    });
    eprintln!("all {LIMIT} in use {:?} after the crowd left", began.elapsed());

    until("every gateway's count to be what is there", ALL_FREE, || {
        let told =
            |node: &Node| node.ask("GET", "/v1/partitions", b"") == (200, r#"{"used":60,"limit":60}"#.to_owned());
        nodes.iter().all(told).then_some(())
    });
    eprintln!("nothing held back {:?} after the crowd left", began.elapsed());

    // What one gateway deletes, another gives away at once.
    for round in 0..20 {
        let topics = clients[round % 3].topics().unwrap();
        let (victim, freed) = topics.iter().nth(round % topics.len()).unwrap();
        assert_eq!(clients[round % 3].delete(victim), 0);
        let made = clients[(round + 1) % 3].create(&format!("again-{round}"), *freed as i32);
        assert_eq!(made, (0, String::new()), "round {round}");
    }
}

/// What the control plane asks of a node, told as Kafka tells clients; a sentence where that is not asserted here.
fn by_control(node: &Node, topic: &str, change: &TopicChange) -> (i16, Option<String>) {
    let asked = ChangeTopic { topic: topic.to_owned(), change: change.clone(), validate_only: false };
    let (caller, body) = (node.control_plane(), serde_json::to_vec(&asked).unwrap());
    let ca = node.instance.control_ca.pem();
    let answer = ask_control(node.spec.gateway.control, Some(&caller), ca, "POST", "/v1/topics", &body);
    // Nobody there, or nobody who knows what became of it.
    let Ok((200, answer)) = answer else { return (-1, None) };
    match serde_json::from_str(&answer).unwrap() {
        TopicOutcome::Done => (0, None),
        TopicOutcome::Full(Shortage { limit, used, wanted }) => {
            assert!(limit == LIMIT as u64 && used <= limit && used + wanted > limit, "{answer}");
            (POLICY_VIOLATION, None)
        }
        TopicOutcome::Undecided { message } => (7, Some(message)),
        TopicOutcome::Refused { error, message } => (error, Some(message)),
    }
}

/// Clients of [`crowd`] at each gateway.
const WAYS: usize = 4;

/// Creates, grows and deletes topics of its own at one gateway; of four, one does so as the control plane, and one creates by
/// using what is missing.
fn crowd(number: usize, node: &Node, stop: &AtomicBool, refused: &[AtomicUsize; WAYS]) {
    let (is_client, mut client) = (!number.is_multiple_of(WAYS), Client::of(node));
    let new = |partitions: i32| NewTopic { partitions: partitions as u32, replicas: 3, config: BTreeMap::new() };
    let is_user = number % WAYS == 1;
    let create = |client: &mut Client, topic: &str, partitions: i32| match is_client {
        // Metadata has no room for a sentence.
        true if is_user => (client.use_topic(topic), None),
        true => {
            let (error, why) = client.create(topic, partitions);
            (error, Some(why))
        }
        false => by_control(node, topic, &TopicChange::Create(new(partitions))),
    };
    let add = |client: &mut Client, topic: &str, partitions: i32| match is_client {
        true => client.add(topic, partitions),
        false => by_control(node, topic, &TopicChange::Grow { partitions: partitions as u32 }).0,
    };
    let delete = |client: &mut Client, topic: &str| match is_client {
        true => client.delete(topic),
        false => by_control(node, topic, &TopicChange::Delete).0,
    };
    let mut own: Vec<(String, i32)> = Vec::new();
    for round in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let error = match round % 4 {
            3 if !own.is_empty() => {
                let (topic, partitions) = own.remove(0);
                let error = add(&mut client, &topic, partitions + 1);
                own.push((topic, partitions + i32::from(error == 0)));
                error
            }
            _ => {
                let topic = format!("crowd-{number}-{round}");
                let partitions = if is_user { BY_USE } else { 1 + (round % 3) };
                let (error, why) = create(&mut client, &topic, partitions);
                if error == POLICY_VIOLATION {
                    assert!(why.as_deref().is_none_or(|why| why.contains(SENTENCE)), "{why:?}");
                }
                // Who made it by using it hears so a little later.
                if error == 0 || is_user && error != POLICY_VIOLATION {
                    own.push((topic, partitions));
                }
                error
            }
        };
        if error == POLICY_VIOLATION {
            refused[number % WAYS].fetch_add(1, Ordering::Relaxed);
            if !own.is_empty() {
                delete(&mut client, &own.remove(0).0);
            }
        }
        assert!(matches!(error, 0 | POLICY_VIOLATION | 36 | 37) || is_passing(error), "{error}");
    }
}
