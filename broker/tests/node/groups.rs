//! The limit of consumer groups of an instance of three brokers with a real Kafka: groups are made in each of the ways that
//! there are, by many clients at every gateway, at the limit, while the node dies that leads the controllers.

use crate::admission::{ALL_FREE, CLUSTER_SOON, Client, POLICY_VIOLATION, kill_controller, open_topics, text};
use crate::harness::{Node, until};
use crate::support::{KAFKA_NEW, tools_with_kafka};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::*;
use std::collections::BTreeSet;

const LIMIT: usize = 12;
const TOPIC: &str = "orders";
const MEMBER_ID_REQUIRED: i16 = 79;

/// Errors that pass: no coordinator, another one, one that loads; nobody answered.
fn is_passing(error: i16) -> bool {
    matches!(error, -1 | 3 | 14 | 15 | 16)
}

/// A client of every gateway: it goes to the one beside the coordinator, which is the one that says so.
struct Clients(Vec<Client>);

impl Clients {
    fn of(nodes: &[Node]) -> Self {
        Self(nodes.iter().map(Client::of).collect())
    }

    fn ask(&mut self, ask: impl Fn(&mut Client) -> Option<i16>) -> i16 {
        let errors: Vec<_> = self.0.iter_mut().map(|client| ask(client).unwrap_or(-1)).collect();
        errors.iter().copied().find(|error| !is_passing(*error)).unwrap_or(errors[0])
    }

    /// Makes a group, in one of the three ways by `number`.
    fn make(&mut self, number: usize, group: &str) -> i16 {
        let id = GroupId(text(group));
        match number % 3 {
            0 => {
                let partition = OffsetCommitRequestPartition::default().with_committed_offset(0);
                let topic = OffsetCommitRequestTopic::default()
                    .with_name(TopicName(text(TOPIC)))
                    .with_partitions(vec![partition]);
                let request = OffsetCommitRequest::default().with_group_id(id).with_topics(vec![topic]);
                self.ask(|client| Some(client.call(8, &request)?.topics[0].partitions[0].error_code))
            }
            1 => {
                let protocol = JoinGroupRequestProtocol::default().with_name(text("range"));
                let request = JoinGroupRequest::default()
                    .with_group_id(id)
                    .with_session_timeout_ms(45_000)
                    .with_rebalance_timeout_ms(60_000)
                    .with_protocol_type(text("consumer"))
                    .with_protocols(vec![protocol]);
                let error = self.ask(|client| Some(client.call(9, &request)?.error_code));
                if error == MEMBER_ID_REQUIRED { 0 } else { error }
            }
            _ => {
                let request = ConsumerGroupHeartbeatRequest::default()
                    .with_group_id(id)
                    .with_member_id(text("AAAAAAAAAAAAAAAAAAAAAA"))
                    .with_rebalance_timeout_ms(60_000)
                    .with_subscribed_topic_names(Some(vec![TopicName(text(TOPIC))]))
                    .with_topic_partitions(Some(Vec::new()));
                self.ask(|client| {
                    let told = client.call(1, &request)?;
                    if told.error_code == POLICY_VIOLATION {
                        let why = told.error_message.as_deref().unwrap_or_default();
                        assert!(why.contains("this instance may have 12 consumer groups and has 12"), "{why}");
                    }
                    Some(told.error_code)
                })
            }
        }
    }

    fn delete(&mut self, group: &str) -> i16 {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text(group))]);
        self.ask(|client| Some(client.call(2, &request)?.results[0].error_code))
    }

    /// Groups of all coordinators, if all of them can tell.
    fn list(&mut self) -> Option<BTreeSet<String>> {
        let mut all = BTreeSet::new();
        for client in &mut self.0 {
            let answer = client.call(4, &ListGroupsRequest::default())?;
            (answer.error_code == 0).then_some(())?;
            all.extend(answer.groups.into_iter().map(|group| group.group_id.to_string()));
        }
        Some(all)
    }
}

/// Many clients make groups until each is told, several times, that there is no room. Gives those that were made.
fn crowd(nodes: &[Node], round: usize) -> BTreeSet<String> {
    std::thread::scope(|scope| {
        let one = |who: usize| {
            let mut clients = Clients::of(nodes);
            let (mut made, mut refused) = (Vec::new(), 0);
            let mut number = 0;
            until("a client that is refused", CLUSTER_SOON, || {
                let group = format!("g-{round}-{who}-{number}");
                match clients.make(number + who, &group) {
                    0 => made.push(group),
                    POLICY_VIOLATION => refused += 1,
                    // It may have been made all the same: the same again tells.
                    error if is_passing(error) => return None,
                    error => panic!("{error}"),
                }
                number += 1;
                (refused == 3).then_some(())
            });
            made
        };
        let crowd: Vec<_> = (0..6).map(|who| scope.spawn(move || one(who))).collect();
        crowd.into_iter().flat_map(|one| one.join().unwrap()).collect()
    })
}

#[test]
fn many_clients_never_make_more_groups_than_may_be_and_can_make_all_of_these_while_a_node_dies() {
    let Some(tools) = tools_with_kafka(KAFKA_NEW) else { return };
    let mut nodes = Node::cluster(KAFKA_NEW, 3, &tools, |spec| spec.gateway.limits.max_groups = LIMIT as u32);
    nodes.iter_mut().for_each(Node::start_with_gateway);
    for node in &nodes {
        node.wait_until_running_within(CLUSTER_SOON);
    }
    open_topics(&nodes[0]);
    let mut clients = Clients::of(&nodes);
    until("a topic", CLUSTER_SOON, || matches!(clients.0[0].create(TOPIC, 3).0, 0 | 36).then_some(()));
    // Where coordinators are is asked for first, which makes __consumer_offsets.
    until("coordinators", CLUSTER_SOON, || {
        let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
        let answer = clients.0[0].call(4, &request)?;
        (answer.coordinators[0].error_code == 0).then_some(())
    });

    let mut there = crowd(&nodes, 0);
    assert_eq!(there.len(), LIMIT, "{there:?}");
    for round in 1..8 {
        assert_eq!(clients.list().as_ref(), Some(&there), "round {round}");
        // Only what holds offsets alone can be deleted; others have members.
        let gone: Vec<_> = there.iter().filter(|group| clients.delete(group) == 0).cloned().collect();
        there.retain(|group| !gone.contains(group));
        let made = crowd(&nodes, round);
        assert_eq!(made.len(), gone.len(), "round {round}: {gone:?} made room for {made:?}");
        there.extend(made);
    }
    let whole = r#"{"used":12,"limit":12}"#.to_owned();
    until("every gateway's count", CLUSTER_SOON, || {
        nodes.iter().all(|node| node.ask("GET", "/v1/groups", b"") == (200, whole.clone())).then_some(())
    });
    // Who is there goes on, also at the limit.
    let one = there.iter().next().cloned().unwrap();
    assert_eq!(clients.make(1, &one), 0);

    let deletable: Vec<_> = there.iter().take(4).cloned().collect();
    std::thread::scope(|scope| {
        let making = scope.spawn(|| crowd(&nodes, 99));
        kill_controller(&nodes, || {
            let mut clients = Clients::of(&nodes);
            for group in &deletable {
                // It may be between two coordinators.
                let _ = clients.delete(group);
            }
        });
        making.join().unwrap();
    });
    let mut number = 0;
    until("the whole limit in use, and no more", ALL_FREE, || {
        number += 1;
        let error = clients.make(0, &format!("rest-{number}"));
        assert!(matches!(error, 0 | POLICY_VIOLATION) || is_passing(error), "{error}");
        let groups = clients.list()?;
        assert!(groups.len() <= LIMIT, "{groups:?}");
        (groups.len() == LIMIT && error == POLICY_VIOLATION).then_some(())
    });
    eprintln!("asked {number} times until all {LIMIT} were in use");
}
