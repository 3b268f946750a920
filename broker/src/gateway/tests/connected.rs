//! Who is connected: the limit for one IP address, the list, and ending a connection.

use super::super::Gateway;
use super::super::connections::{Connections, Full};
use super::service::{Echo, beats, start};
use super::*;
use broker_api::connections::*;
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use prometheus_client::encoding::text::encode;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::net::{TcpSocket, TcpStream};

const PATHS: [AccessPath; 2] = [AccessPath::PrivatePlaintext, AccessPath::PrivateSaslSsl];

fn peer(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), port)
}

/// The gateway hears of an end a moment after it.
pub(super) async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let waiting = async {
        while !reached() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap_or_else(|_| panic!("{what}, in 20 seconds"));
}

pub(super) fn everybody(gateway: &Gateway) -> Vec<LiveConnection> {
    gateway.list_connections(&ListConnections { limit: 500, ..ListConnections::default() }).connections
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    within(stream.read(&mut [0])).await.unwrap_or(0) == 0
}

#[test]
fn never_more_than_200_of_one_address_are_in_when_many_come_and_go_at_once() {
    let connections = Connections::new(false);
    let limits = GatewayLimits::default();
    let (inside, most) = (AtomicU32::new(0), AtomicU32::new(0));
    let together = Barrier::new(8);
    std::thread::scope(|scope| {
        for thread in 0..8u16 {
            let (connections, limits, inside, most, together) = (&connections, &limits, &inside, &most, &together);
            scope.spawn(move || {
                together.wait();
                let mut held = Vec::new();
                for round in 0..cases(2_000) {
                    match connections.admit(limits, 3, PATHS[round % 2], peer("192.0.2.1", thread)) {
                        Ok((card, _)) => {
                            most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                            held.push(card);
                        }
                        // Who meets the limit lets go of all, and so lets others in.
                        Err(full) => {
                            assert_eq!(full, Full::Ip);
                            for card in held.drain(..) {
                                inside.fetch_sub(1, Ordering::SeqCst);
                                connections.release(&card);
                            }
                        }
                    }
                }
                for card in held {
                    inside.fetch_sub(1, Ordering::SeqCst);
                    connections.release(&card);
                }
            });
        }
    });
    assert_eq!(most.into_inner(), 200, "all 200 places were taken, and no more");
    assert_eq!(connections.open(), 0);
    let all: Vec<_> =
        (0..200).map(|port| connections.admit(&limits, 3, PATHS[0], peer("192.0.2.1", port)).unwrap().0).collect();
    assert_eq!(connections.admit(&limits, 3, PATHS[1], peer("::ffff:192.0.2.1", 9)).unwrap_err(), Full::Ip);
    connections.admit(&limits, 3, PATHS[1], peer("192.0.2.2", 9)).expect("another address has places of its own");
    connections.release(&all[0]);
    connections.release(&all[0]);
    connections.admit(&limits, 3, PATHS[1], peer("192.0.2.1", 9)).expect("the place that became free");
    connections.admit(&limits, 3, PATHS[1], peer("192.0.2.1", 9)).expect_err("given back twice, free once");
}

#[tokio::test]
async fn exactly_200_connections_of_one_address_are_served_over_both_paths() {
    let kafka = Echo::start().await;
    let mut spec = kafka.spec();
    let (gateway, registry) = start(&spec);
    let mut held = Vec::new();
    for _ in 0..150 {
        held.push(kafka.client().await);
    }
    for _ in 0..50 {
        held.push(TcpStream::connect((kafka.bind, 9093)).await.unwrap());
    }
    until("200 are in", || gateway.status().connections == 200).await;
    for stream in &mut held[..150] {
        beats(stream).await.unwrap();
    }
    for port in [9092, 9093] {
        let mut one_more = TcpStream::connect((kafka.bind, port)).await.unwrap();
        assert!(is_closed(&mut one_more).await, "the 201st is closed");
    }
    let elsewhere = TcpSocket::new_v4().unwrap();
    elsewhere.bind(SocketAddr::new(kafka.bind, 0)).unwrap();
    let mut elsewhere = elsewhere.connect(SocketAddr::new(kafka.bind, 9092)).await.unwrap();
    beats(&mut elsewhere).await.expect("another address is served");
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    for path in PATHS {
        let path = path.as_str();
        let line =
            format!("sluice_node_connections_refused_total{{path=\"{path}\",reason=\"too-many-connections-of-ip\"}} 1");
        assert!(text.contains(&line), "{text}");
    }

    // A lower limit takes nothing away; a place is free when enough have left.
    spec.gateway.limits.max_connections_per_ip = 2;
    gateway.apply(&spec).unwrap();
    beats(&mut held[0]).await.expect("who is in stays in");
    held.truncate(2);
    until("the others are gone", || gateway.status().connections == 3).await;
    assert!(is_closed(&mut kafka.client().await).await, "two are in");
    held.truncate(1);
    until("one is left", || gateway.status().connections == 2).await;
    beats(&mut kafka.client().await).await.expect("the free place is given");
}

#[tokio::test]
async fn an_address_that_connects_too_fast_is_refused_until_its_rate_lets_it_in_or_is_raised() {
    let kafka = Echo::start().await;
    let mut spec = kafka.spec();
    spec.gateway.connection_rates.default = Some(1);
    let (gateway, registry) = start(&spec);
    let mut first = kafka.client().await;
    beats(&mut first).await.expect("the first is let in");
    // Connected by the kernel at once: the gateway accepts them one after the other, all within a moment.
    let mut crowd = Vec::new();
    for _ in 0..20 {
        crowd.push(kafka.client().await);
    }
    let mut refused = 0;
    for client in &mut crowd {
        refused += u32::from(beats(client).await.is_err());
    }
    assert!(refused > 0, "20 came at once, and all were let in");
    let let_in = async { while beats(&mut kafka.client().await).await.is_err() {} };
    within(let_in).await;
    beats(&mut first).await.expect("who is in stays in");
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    assert!(text.contains("reason=\"connection-rate-of-ip\"}"), "{text}");
    spec.gateway.connection_rates.of_ip.insert([127, 0, 0, 1].into(), 1000);
    gateway.apply(&spec).unwrap();
    for _ in 0..5 {
        beats(&mut kafka.client().await).await.expect("its own rate is higher");
    }
}

#[tokio::test]
async fn a_list_shows_who_a_client_is_and_what_it_moved() {
    let mut rig = Rig::new();
    let (mut client, _served) = rig.plaintext();
    let hello = ApiVersionsRequest::default()
        .with_client_software_name(text("librd\u{1b}kafka"))
        .with_client_software_version(text("2.8.0"));
    let asked = request(ApiKey::ApiVersions, 3, 7, &hello);
    client.send(&asked).await;
    let mut kafka = rig.kafka().await;
    kafka.frame().await;
    let answer = response(ApiKey::ApiVersions, 3, 7, &ApiVersionsResponse::default());
    kafka.send(&answer).await;
    let got = client.frame().await;

    let seen = |filter| rig.shared.live.list(&filter, 0, 10).connections;
    let all = seen(ConnectionFilter::default());
    let [one] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((one.user.as_deref(), one.client_id.as_deref()), (Some("ANONYMOUS"), Some("test")));
    assert_eq!(one.software_name.as_deref(), Some("librd\u{fffd}kafka"), "nothing that a terminal would obey");
    assert_eq!(one.software_version.as_deref(), Some("2.8.0"));
    assert_eq!((one.bytes_in, one.bytes_out, one.requests), (asked.len() as u64, got.len() as u64, 1));
    assert!(one.since_ms > 0 && one.active_ms >= one.since_ms);

    let of = |user: &str, id: &str| ConnectionFilter {
        ip: Some(one.ip),
        user: Some(user.into()),
        client_id: Some(id.into()),
    };
    assert_eq!(seen(of("ANONYMOUS", "test")), all);
    assert_eq!(seen(of("ANONYMOUS", "other")), []);
    assert_eq!(seen(of("alice", "test")), []);
}

#[tokio::test]
async fn pages_go_on_behind_the_last_id_and_tell_how_many_there_are() {
    let kafka = Echo::start().await;
    let (gateway, _) = start(&kafka.spec());
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(kafka.client().await);
    }
    until("five are in", || gateway.status().connections == 5).await;
    let (mut after, mut ids) = (0, Vec::new());
    loop {
        let page = gateway.list_connections(&ListConnections { after, limit: 2, ..ListConnections::default() });
        assert_eq!(page.total, 5);
        let Some(last) = page.connections.last() else { break };
        after = last.id;
        ids.extend(page.connections.iter().map(|one| one.id));
    }
    assert_eq!(ids, everybody(&gateway).iter().map(|one| one.id).collect::<Vec<_>>());
    assert_eq!(ids.len(), 5);
}

#[tokio::test]
async fn a_connection_that_is_kicked_ends_and_the_others_do_not() {
    let kafka = Echo::start().await;
    let (gateway, registry) = start(&kafka.spec());
    let (mut first, mut second) = (kafka.client().await, kafka.client().await);
    beats(&mut first).await.unwrap();
    beats(&mut second).await.unwrap();
    let port = first.local_addr().unwrap().port();
    let id = everybody(&gateway).iter().find(|one| one.port == port).expect("the first is listed").id;
    assert_eq!(gateway.close_connections(&CloseConnections::Ids(vec![id, 1])), 1);
    assert!(is_closed(&mut first).await);
    until("its place is free", || gateway.status().connections == 1).await;
    assert_eq!(gateway.close_connections(&CloseConnections::Ids(vec![id])), 0, "it is gone");
    beats(&mut second).await.expect("the other goes on");

    let nobody = ConnectionFilter { user: Some("alice".into()), ..ConnectionFilter::default() };
    assert_eq!(gateway.close_connections(&CloseConnections::Filter(nobody)), 0);
    let anonymous = ConnectionFilter { user: Some("ANONYMOUS".into()), ..ConnectionFilter::default() };
    assert_eq!(gateway.close_connections(&CloseConnections::Filter(anonymous)), 1);
    assert!(is_closed(&mut second).await);
    until("nobody is left", || gateway.status().connections == 0).await;
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    assert!(text.contains("sluice_node_connections_refused_total{path=\"private-plaintext\",reason=\"kicked\"} 2"));
}

/// Connects from an address of the machine, and says as a balancer does for whom: for itself when no client is given.
async fn introduced(to: SocketAddr, from: &str, client: Option<&str>) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(peer(from, 0)).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    let command = if client.is_some() { ppp::v2::Command::Proxy } else { ppp::v2::Command::Local };
    let addresses = (peer(client.unwrap_or(from), 40_001), to);
    let header =
        ppp::v2::Builder::with_addresses(ppp::v2::Version::Two | command, ppp::v2::Protocol::Stream, addresses);
    stream.write_all(&header.build().unwrap()).await.unwrap();
    stream
}

#[tokio::test]
async fn clients_behind_a_balancer_have_rates_of_their_own_and_it_looks_after_brokers_as_often_as_it_likes() {
    let kafka = Echo::start().await;
    let mut spec = kafka.spec();
    spec.gateway.connection_rates.default = Some(1);
    spec.gateway.connection_rates.of_ip.insert([203, 0, 113, 9].into(), 1000);
    spec.gateway.balancers = vec!["127.0.0.1/32".to_owned()];
    let (_gateway, registry) = start(&spec);
    let to = SocketAddr::new(kafka.bind, 9092);
    let through = async |client: &'static str| introduced(to, "127.0.0.1", Some(client)).await;
    beats(&mut through("203.0.113.7").await).await.expect("the first of an address");
    beats(&mut through("203.0.113.8").await).await.expect("the first of another one");
    for _ in 0..5 {
        beats(&mut through("203.0.113.9").await).await.expect("an address with a rate of its own");
        beats(&mut introduced(to, "127.0.0.1", None).await).await.expect("the balancer itself");
    }
    // All sent before one is looked at, so that they come within a second.
    let mut crowd = Vec::new();
    for _ in 0..20 {
        crowd.push(through("203.0.113.7").await);
    }
    let mut refused = 0;
    for client in &mut crowd {
        refused += u32::from(beats(client).await.is_err());
    }
    assert!(refused > 0, "20 came at once, and all were let in");
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    let line = format!("path=\"private-plaintext\",reason=\"connection-rate-of-ip\"}} {refused}");
    assert!(text.contains(&line), "{text}");
}

/// Behind a balancer every client would look like the balancer: 200 for one address would be 200 for all.
#[tokio::test]
async fn clients_behind_a_balancer_count_by_their_own_address_and_nobody_else_may_name_one() {
    let kafka = Echo::start().await;
    let mut spec = kafka.spec();
    spec.gateway.limits.max_connections_per_ip = 1;
    spec.gateway.ip_rules.deny = vec!["203.0.113.66/32".to_owned()];
    spec.gateway.balancers = vec!["127.0.0.1/32".to_owned()];
    let (gateway, _) = start(&spec);
    let to = SocketAddr::new(kafka.bind, 9092);
    let introduced = async |from: &'static str, client: &'static str| introduced(to, from, Some(client)).await;
    let mut one = introduced("127.0.0.1", "203.0.113.7").await;
    beats(&mut one).await.unwrap();
    let mut other = introduced("127.0.0.1", "203.0.113.8").await;
    beats(&mut other).await.unwrap();
    let mut seen: Vec<_> = everybody(&gateway).iter().map(|connection| (connection.ip, connection.port)).collect();
    seen.sort_unstable();
    assert_eq!(seen, [("203.0.113.7".parse().unwrap(), 40_001), ("203.0.113.8".parse().unwrap(), 40_001)]);

    assert!(is_closed(&mut introduced("127.0.0.1", "203.0.113.7").await).await, "a second one of that address");
    assert!(is_closed(&mut introduced("127.0.0.1", "203.0.113.66").await).await, "an address that may not connect");
    let mut silent = kafka.client().await;
    assert!(beats(&mut silent).await.is_err(), "a balancer's connection without a header");
    assert!(is_closed(&mut introduced("127.0.0.2", "203.0.113.9").await).await, "a header of somebody else");
    beats(&mut one).await.unwrap();

    spec.gateway.balancers.clear();
    gateway.apply(&spec).unwrap();
    beats(&mut kafka.client().await).await.unwrap();
}
