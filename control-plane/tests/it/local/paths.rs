//! Every path that clients come by, on a real broker: what each is told, who gets in, and what its end does to the others.

use super::{
    instance::{Instance, NEWEST, OLDER, user},
    raw_client::RawClient,
    world::wait_until,
};
use broker_api::spec::{AccessPath, AdvertisedAddress, Listener, NodeSpec};
use control_plane::{
    clock::Clock,
    domain::client_paths::{self, Network},
    drivers::ClusterDriver,
    kafka::{Cluster, KafkaControl, KrafkaControl},
    nodes::{HttpsNodes, NodeControl},
    pki::Purpose,
};
use kafka_protocol::{
    messages::{DescribeClusterRequest, FindCoordinatorRequest, MetadataRequest},
    protocol::StrBytes,
};
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

/// The broker's spec with every path: two on the public address.
fn with_every_path(instance: &Instance, public: IpAddr) -> NodeSpec {
    let mut spec = instance.specs[0].clone();
    let (own, node_id) = (spec.kafka.bind, spec.identity.node_id);
    let listener = |path: AccessPath| {
        let bind = SocketAddr::new(if path.is_public() { public } else { own }, client_paths::port(path));
        let across = path == AccessPath::CrossNetwork;
        let advertised = vec![AdvertisedAddress { node_id, host: bind.ip().to_string(), port: bind.port() }];
        Listener { path, bind, advertised, sources: across.then(|| vec!["127.0.0.1/32".to_owned()]) }
    };
    spec.generation += 1;
    spec.gateway.listeners = AccessPath::ALL.map(listener).into();
    let names = [own.to_string(), public.to_string()];
    spec.gateway.server_tls = instance.platform.issue(Purpose::ClientListener, &names, Clock::system().now()).unwrap();
    spec
}

async fn client(instance: &Instance, listener: &Listener) -> std::io::Result<RawClient> {
    if listener.path.is_tls() {
        RawClient::log_in_at(listener.bind, instance, &user()).await
    } else {
        RawClient::anonymous_at(listener.bind).await
    }
}

async fn every_path_serves(version: &str) {
    let Some(instance) = Instance::new(version, 1).await else { return };
    let (nodes, node) = (HttpsNodes::default(), &instance.addresses[0]);
    instance.set_up(&user()).await;
    let taken = BTreeSet::from([instance.specs[0].kafka.bind]);
    let public = instance.driver.choose_addresses(Network::Public, &instance.nodes, &taken).await.unwrap()[0];
    let mut spec = with_every_path(&instance, public);
    let mut bystander = RawClient::log_in(&instance, &user()).await.unwrap();
    nodes.push_spec(node, &spec).await.unwrap();

    for listener in &spec.gateway.listeners {
        let told = (listener.advertised[0].host.clone(), i32::from(listener.advertised[0].port));
        let mut client = client(&instance, listener).await.unwrap();
        let metadata = client.call(&MetadataRequest::default().with_topics(Some(vec![])), 9).await.unwrap();
        let brokers: Vec<_> = metadata.brokers.iter().map(|b| (b.host.to_string(), b.port)).collect();
        assert_eq!(brokers.as_slice(), std::slice::from_ref(&told), "{:?}", listener.path);
        let cluster = client.call(&DescribeClusterRequest::default(), 0).await.unwrap();
        assert_eq!((cluster.brokers[0].host.to_string(), cluster.brokers[0].port), told, "{:?}", listener.path);
        let group = StrBytes::from_static_str("sluice-paths");
        let wanted = FindCoordinatorRequest::default().with_coordinator_keys(vec![group]);
        wait_until("the group has a coordinator", async || {
            let found = client.call(&wanted, 4).await.unwrap().coordinators.remove(0);
            // Kafka makes the topic of groups when it is first asked.
            found.error_code == 0 && (found.host.to_string(), found.port) == told
        })
        .await;
    }

    // Messages go and come by addresses that the broker told on that path, with the certificate verified by them.
    for path in [AccessPath::PublicSaslSsl, AccessPath::CrossNetwork] {
        let listener = spec.gateway.listeners.iter().find(|listener| listener.path == path).unwrap();
        let cluster = Cluster { sasl_ssl: vec![listener.bind], ..instance.cluster.clone() };
        KrafkaControl.canary(&cluster, &user()).await.unwrap();
    }

    let mut live = Vec::new();
    for listener in &spec.gateway.listeners {
        live.push((listener.path, client(&instance, listener).await.unwrap()));
    }
    // 9011 is another account's now, and the public ports are closed.
    spec.generation += 1;
    spec.gateway.listeners.retain(|listener| !listener.path.is_public());
    let across = spec.gateway.listeners.iter_mut().find(|listener| listener.path == AccessPath::CrossNetwork).unwrap();
    across.sources = Some(vec!["127.0.0.77/32".to_owned()]);
    let across = across.bind;
    nodes.push_spec(node, &spec).await.unwrap();
    for (path, client) in live {
        if matches!(path, AccessPath::PrivatePlaintext | AccessPath::PrivateSaslSsl) {
            client.assert_open().await;
        } else {
            client.assert_closed().await;
        }
    }
    assert!(RawClient::log_in_at(across, &instance, &user()).await.is_err(), "not an account on the list");
    let metadata = bystander.call(&MetadataRequest::default().with_topics(Some(vec![])), 9).await;
    metadata.expect("who came by 9093 before all this noticed nothing");
    instance.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_tells_its_own_addresses_and_ends_alone_under_kafka_4_3() {
    every_path_serves(NEWEST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_tells_its_own_addresses_and_ends_alone_under_kafka_3_9() {
    every_path_serves(OLDER).await;
}
