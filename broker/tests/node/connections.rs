//! The total of connections of an instance of three brokers with a real Kafka: crowds before every gateway and before one, at
//! the limit, while a gateway is replaced, a node dies and the limit changes.

use crate::admission::{CLUSTER_SOON, Client};
use crate::harness::{Node, kill, until};
use crate::support::{KAFKA_NEW, tools_with_kafka};
use kafka_protocol::messages::ApiVersionsRequest;
use std::time::{Duration, Instant};

const TOTAL: usize = 30;
/// Many times what a connection waits at most before it is refused.
const REFUSED_WITHIN: Duration = Duration::from_secs(20);

/// A node that said nothing for so long may be lost (docs/adr/0017-connections.md).
const SILENT: Duration = Duration::from_secs(15);

/// A client that is served, and stays; none if it was refused.
fn client(node: &Node) -> Option<Client> {
    let mut client = Client::of(node);
    client.call(0, &ApiVersionsRequest::default()).map(|_| client)
}

/// Clients before these brokers, until each of several is refused three times on end.
fn crowd(nodes: &[&Node]) -> Vec<Client> {
    std::thread::scope(|scope| {
        let one = |node: &Node| {
            let (mut served, mut refused) = (Vec::new(), 0);
            while refused < 3 {
                match client(node) {
                    Some(client) => {
                        served.push(client);
                        refused = 0;
                    }
                    None => refused += 1,
                }
            }
            served
        };
        let crowd: Vec<_> =
            nodes.iter().flat_map(|node| [*node; 3]).map(|node| scope.spawn(move || one(node))).collect();
        crowd.into_iter().flat_map(|one| one.join().unwrap()).collect()
    })
}

/// Open connections that the gateways tell of.
fn open(nodes: &[Node]) -> u64 {
    let of = |node: &Node| {
        let (_, status) = node.ask("GET", "/v1/status", b"");
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        status["gateway"]["connections"].as_u64().unwrap()
    };
    nodes.iter().map(of).sum()
}

/// Connections that a gateway refused because of the total, as its metrics have it.
fn refused(node: &Node) -> u64 {
    let series =
        r#"sluice_node_connections_refused_total{path="private-plaintext",reason="too-many-connections-of-instance"} "#;
    let (_, metrics) = node.ask("GET", "/metrics", b"");
    metrics.lines().find_map(|line| line.strip_prefix(series)).map_or(0, |count| count.parse().unwrap())
}

fn set_total(nodes: &mut [Node], total: usize) {
    for node in nodes {
        let mut spec = node.spec.clone();
        spec.generation += 1;
        spec.gateway.limits.max_instance_connections = total as u32;
        assert_eq!(node.put_spec(&spec).0, 200);
        node.spec = spec;
    }
}

#[test]
fn never_more_clients_of_all_brokers_than_may_be_and_all_of_these_while_gateways_and_a_node_die() {
    let Some(tools) = tools_with_kafka(KAFKA_NEW) else { return };
    let mut nodes = Node::cluster(KAFKA_NEW, 3, &tools, |spec| {
        spec.gateway.limits.max_instance_connections = TOTAL as u32;
    });
    nodes.iter_mut().for_each(Node::start_with_gateway);
    for node in &nodes {
        node.wait_until_running_within(CLUSTER_SOON);
    }
    for node in &nodes {
        until("a first client of each broker", CLUSTER_SOON, || client(node));
    }
    until("the first clients have left", CLUSTER_SOON, || (open(&nodes) == 0).then_some(()));

    let mut served = crowd(&nodes.iter().collect::<Vec<_>>());
    assert_eq!(served.len(), TOTAL, "from all sides");
    assert_eq!(open(&nodes), TOTAL as u64);
    for (round, left) in [(0, 7), (1, TOTAL), (2, 1)] {
        served.truncate(TOTAL - left);
        // One broker may have all that is left, at once.
        served.extend(crowd(&[&nodes[round]]));
        assert_eq!(served.len(), TOTAL, "round {round}");
    }
    let began = Instant::now();
    assert!(client(&nodes[1]).is_none());
    assert!(began.elapsed() < REFUSED_WITHIN, "refused after {:?}", began.elapsed());
    let before = refused(&nodes[1]);
    for _ in 0..3 {
        assert!(client(&nodes[1]).is_none());
    }
    assert_eq!(refused(&nodes[1]) - before, 3, "counted for who looks after the instance");

    // Who hears of a higher total tells all; below what is open, nobody is cut.
    set_total(&mut nodes[..1], TOTAL + 5);
    served.extend(crowd(&[&nodes[2]]));
    assert_eq!(served.len(), TOTAL + 5);
    set_total(&mut nodes, TOTAL);
    assert_eq!(open(&nodes), TOTAL as u64 + 5);
    served.truncate(TOTAL);
    until("the last ones have left", CLUSTER_SOON, || (open(&nodes) == TOTAL as u64).then_some(()));
    assert_eq!(crowd(&[&nodes[0]]).len(), 0, "no room yet");

    // A gateway that is replaced: the old one's clients move to the new one, which may have what that gives back.
    let (status, told) = nodes[0].ask_supervisor("POST", "/gateway/replace", b"").unwrap();
    assert_eq!(status, 200, "{told}");
    served.clear();
    let served = until("the whole total in use after a replacement", CLUSTER_SOON, || {
        let served = crowd(&[&nodes[0], &nodes[1]]);
        assert!(served.len() <= TOTAL, "{} of {TOTAL}", served.len());
        (served.len() == TOTAL).then_some(served)
    });

    // A node dies with what it holds. Nobody knows whether it serves, so that is nobody's at first.
    drop(served);
    let mut kept = until("some before the one that dies", CLUSTER_SOON, || {
        (0..TOTAL / 3).map(|_| client(&nodes[0])).collect::<Option<Vec<_>>>()
    });
    kept.extend(crowd(&[&nodes[1], &nodes[2]]));
    assert_eq!(kept.len(), TOTAL);
    let died = Instant::now();
    let victim = [nodes[0].gateway_pid(), nodes[0].wait_until_running()];
    nodes[0].kill_supervisor();
    victim.into_iter().for_each(kill);
    let more = crowd(&[&nodes[1], &nodes[2]]);
    assert!(more.is_empty() || died.elapsed() > SILENT, "{} more, {:?} after it died", more.len(), died.elapsed());
    kept.extend(more);
    // When Kafka has missed it too, the others may have all.
    until("the places of the one that died", CLUSTER_SOON, || {
        kept.extend(crowd(&[&nodes[1], &nodes[2]]));
        let open = open(&nodes[1..]) as usize;
        assert!(open <= TOTAL, "{open} of {TOTAL}");
        (open == TOTAL).then_some(())
    });

    // It comes back to an instance without room.
    nodes[0].start_with_gateway();
    nodes[0].wait_until_running_within(CLUSTER_SOON);
    assert_eq!(crowd(&[&nodes[0]]).len(), 0, "no room yet");
    drop(kept);
    until("the whole total before the one that died, and no more", CLUSTER_SOON, || {
        let served = crowd(&[&nodes[0]]);
        assert!(served.len() <= TOTAL, "{} of {TOTAL}", served.len());
        (served.len() == TOTAL).then_some(())
    });
}
