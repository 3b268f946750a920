//! Clients see the addresses of their own path and no other, in every API and version that tells any.

use super::super::duplex::SHORT_BYTES;
use super::*;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::Message;

/// Kafka's answer to one request, as the client gets it.
pub(super) async fn answered<Q: Encodable, A: Encodable>(key: ApiKey, version: i16, asked: &Q, answer: &A) -> Vec<u8> {
    answered_on(spec(), AccessPath::PrivatePlaintext, key, version, asked, answer).await
}

/// The same for a client of a path.
async fn answered_on<Q: Encodable, A: Encodable>(
    spec: NodeSpec,
    path: AccessPath,
    key: ApiKey,
    version: i16,
    asked: &Q,
    answer: &A,
) -> Vec<u8> {
    let mut rig = Rig::with(spec);
    let (mut client, _served) = rig.admitted(path);
    let mut kafka = rig.kafka().await;
    let request = request(key, version, 77, asked);
    client.send(&request).await;
    assert_eq!(kafka.frame().await, request, "requests of {key:?} {version} pass as they are");
    let original = response(key, version, 77, answer);
    kafka.send(&original).await;
    let frame = client.frame().await;
    assert!(!contains(&frame, INTERNAL), "{key:?} {version} tells Kafka's own address");
    frame
}

fn versions<M: Message>() -> impl Iterator<Item = i16> {
    M::VERSIONS.min..=M::VERSIONS.max
}

#[tokio::test]
async fn metadata_tells_the_brokers_of_the_path_and_leaves_out_others() {
    use metadata_response::*;
    for version in versions::<MetadataResponse>() {
        let broker = |id: i32| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(id))
                .with_host(text(INTERNAL))
                .with_port(9192)
                .with_rack((version >= 1).then(|| text("zone-a")))
        };
        let partition =
            MetadataResponsePartition::default().with_leader_id(BrokerId(3)).with_replica_nodes(vec![BrokerId(3)]);
        let topic = MetadataResponseTopic::default()
            .with_name(Some(TopicName(text("orders"))))
            .with_partitions(vec![partition]);
        let mut sent =
            MetadataResponse::default().with_brokers(vec![broker(1), broker(2), broker(3)]).with_topics(vec![topic]);
        if version >= 1 {
            sent = sent.with_controller_id(BrokerId(2));
        }
        let asked = MetadataRequest::default().with_topics(Some(vec![]));
        let frame = answered(ApiKey::Metadata, version, &asked, &sent).await;
        let (_, mut got) = read_response::<MetadataResponse>(ApiKey::Metadata, version, &frame);
        let hosts: Vec<_> = got.brokers.iter().map(|b| (b.node_id.0, b.host.to_string(), b.port)).collect();
        let wanted = [(1, "1.broker.example.com".to_owned(), 9091), (2, "2.broker.example.com".to_owned(), 9092)];
        assert_eq!(hosts, wanted, "version {version}");
        got.brokers.clone_from(&sent.brokers);
        assert_eq!(got, sent, "version {version}: all else is as Kafka said it");
    }
}

/// The newest version of each API that tells addresses; the older ones are above and below, and differ in no more than their shape.
#[tokio::test]
async fn clients_of_every_path_are_told_the_addresses_of_that_path_in_every_api() {
    let spec = spec_of_all_paths();
    for path in AccessPath::ALL {
        let of = |node: i32| format!("{node}.{}.{HOST}", path.as_str());
        macro_rules! told {
            ($api:ident, $asked:expr, $answer:expr, $response:ty) => {{
                let version = <$response>::VERSIONS.max;
                let frame = answered_on(spec.clone(), path, ApiKey::$api, version, &$asked, &$answer).await;
                for other in AccessPath::ALL.into_iter().filter(|other| *other != path) {
                    assert!(!contains(&frame, other.as_str()), "{:?} tells {path:?} of {other:?}", ApiKey::$api);
                }
                read_response::<$response>(ApiKey::$api, version, &frame).1
            }};
        }

        let broker = |id| {
            metadata_response::MetadataResponseBroker::default().with_node_id(BrokerId(id)).with_host(text(INTERNAL))
        };
        let sent = MetadataResponse::default().with_brokers(vec![broker(2), broker(3), broker(1)]);
        let got = told!(Metadata, MetadataRequest::default(), sent, MetadataResponse);
        let hosts: Vec<_> = got.brokers.iter().map(|broker| (broker.host.to_string(), broker.port)).collect();
        assert_eq!(hosts, [(of(2), 9092), (of(1), 9091)]);

        let coordinator =
            find_coordinator_response::Coordinator::default().with_node_id(BrokerId(2)).with_host(text(INTERNAL));
        let sent = FindCoordinatorResponse::default().with_coordinators(vec![coordinator]);
        let got = told!(FindCoordinator, FindCoordinatorRequest::default(), sent, FindCoordinatorResponse);
        assert_eq!((got.coordinators[0].host.to_string(), got.coordinators[0].port), (of(2), 9092));

        let broker = describe_cluster_response::DescribeClusterBroker::default()
            .with_broker_id(BrokerId(1))
            .with_host(text(INTERNAL));
        let sent = DescribeClusterResponse::default().with_cluster_id(text("cluster")).with_brokers(vec![broker]);
        let got = told!(DescribeCluster, DescribeClusterRequest::default(), sent, DescribeClusterResponse);
        assert_eq!((got.brokers[0].host.to_string(), got.brokers[0].port), (of(1), 9091));

        let listener = describe_quorum_response::Listener::default().with_name(text("CTL")).with_host(text(INTERNAL));
        let node = describe_quorum_response::Node::default().with_node_id(BrokerId(2)).with_listeners(vec![listener]);
        let sent = DescribeQuorumResponse::default().with_nodes(vec![node]);
        let got = told!(DescribeQuorum, DescribeQuorumRequest::default(), sent, DescribeQuorumResponse);
        let told = &got.nodes[0].listeners[0];
        assert_eq!((told.host.to_string(), told.port), (of(2), 9092));
        assert_eq!(told.name.to_string(), path.as_str().to_ascii_uppercase().replace('-', "_"));

        macro_rules! follows {
            ($api:ident, $asked:expr, $response:ident, $module:ident) => {{
                let endpoint = $module::NodeEndpoint::default().with_node_id(BrokerId(2)).with_host(text(INTERNAL));
                let sent = $response::default().with_node_endpoints(vec![endpoint]);
                let got = told!($api, $asked, sent, $response);
                let told = &got.node_endpoints[0];
                assert_eq!((told.host.to_string(), told.port), (of(2), 9092));
            }};
        }
        follows!(Produce, ProduceRequest::default().with_acks(-1), ProduceResponse, produce_response);
        follows!(Fetch, FetchRequest::default(), FetchResponse, fetch_response);
        follows!(ShareFetch, ShareFetchRequest::default(), ShareFetchResponse, share_fetch_response);
        let asked = ShareAcknowledgeRequest::default();
        follows!(ShareAcknowledge, asked, ShareAcknowledgeResponse, share_acknowledge_response);
    }
}

#[tokio::test]
async fn metadata_of_many_topics_streams_and_stays_whole() {
    use metadata_response::*;
    let brokers =
        (0..900).map(|id| MetadataResponseBroker::default().with_node_id(BrokerId(id)).with_host(text(INTERNAL)));
    let partitions = vec![MetadataResponsePartition::default(); 3];
    let topics = (0..9_000).map(|n| {
        MetadataResponseTopic::default()
            .with_name(Some(TopicName(text(&format!("topic-{n}")))))
            .with_partitions(partitions.clone())
    });
    let sent = MetadataResponse::default().with_brokers(brokers.collect()).with_topics(topics.collect());
    let frame = answered(ApiKey::Metadata, 12, &MetadataRequest::default(), &sent).await;
    let (_, got) = read_response::<MetadataResponse>(ApiKey::Metadata, 12, &frame);
    assert_eq!(got.brokers.len(), 2);
    assert_eq!(got.topics, sent.topics);
}

#[tokio::test]
async fn find_coordinator_tells_the_address_of_the_path_or_that_there_is_none_yet() {
    use find_coordinator_response::Coordinator;
    for version in versions::<FindCoordinatorResponse>() {
        let cases = [(1, 1, "1.broker.example.com", 9091, 0), (3, -1, "", -1, 15), (-1, -1, "", -1, 14)];
        for (node, id, host, port, error) in cases {
            let sent_host = if node < 0 { "" } else { INTERNAL };
            let sent_port = if node < 0 { -1 } else { 9192 };
            let sent_error = if node < 0 { 14 } else { 0 };
            let sent = if version < 4 {
                FindCoordinatorResponse::default()
                    .with_node_id(BrokerId(node))
                    .with_host(text(sent_host))
                    .with_port(sent_port)
                    .with_error_code(sent_error)
            } else {
                let coordinator = Coordinator::default()
                    .with_key(text("group"))
                    .with_node_id(BrokerId(node))
                    .with_host(text(sent_host))
                    .with_port(sent_port)
                    .with_error_code(sent_error);
                FindCoordinatorResponse::default().with_coordinators(vec![coordinator.clone(), coordinator])
            };
            let frame = answered(ApiKey::FindCoordinator, version, &FindCoordinatorRequest::default(), &sent).await;
            let (_, got) = read_response::<FindCoordinatorResponse>(ApiKey::FindCoordinator, version, &frame);
            let (got_id, got_host, got_port, got_error) = match got.coordinators.last() {
                Some(last) => (last.node_id.0, last.host.clone(), last.port, last.error_code),
                None => (got.node_id.0, got.host.clone(), got.port, got.error_code),
            };
            assert_eq!((got_id, got_host.as_str(), got_port, got_error), (id, host, port, error), "version {version}");
        }
    }
}

#[tokio::test]
async fn describe_cluster_tells_the_brokers_of_the_path() {
    use describe_cluster_response::DescribeClusterBroker;
    for version in versions::<DescribeClusterResponse>() {
        let broker = |id: i32| {
            DescribeClusterBroker::default()
                .with_broker_id(BrokerId(id))
                .with_host(text(INTERNAL))
                .with_rack(Some(text("zone-b")))
                .with_is_fenced(version >= 2)
        };
        let sent = DescribeClusterResponse::default()
            .with_cluster_id(text("cluster"))
            .with_controller_id(BrokerId(2))
            .with_brokers(vec![broker(3), broker(2)])
            .with_cluster_authorized_operations(99);
        let frame = answered(ApiKey::DescribeCluster, version, &DescribeClusterRequest::default(), &sent).await;
        let (_, got) = read_response::<DescribeClusterResponse>(ApiKey::DescribeCluster, version, &frame);
        assert_eq!(got.brokers, vec![broker(2).with_host(text("2.broker.example.com")).with_port(9092)]);
        assert_eq!((got.cluster_authorized_operations, got.controller_id.0), (99, 2));
    }
}

#[tokio::test]
async fn controllers_are_not_described_to_clients() {
    for version in 1..=2 {
        let rig = Rig::new();
        let (mut client, _served) = rig.plaintext();
        let asked = DescribeClusterRequest::default().with_endpoint_type(2);
        client.send(&request(ApiKey::DescribeCluster, version, 5, &asked)).await;
        let (_, got) =
            read_response::<DescribeClusterResponse>(ApiKey::DescribeCluster, version, &client.frame().await);
        assert_eq!(got.error_code, 114);
        assert!(got.error_message.unwrap().contains("ask for brokers"));
        assert!(got.brokers.is_empty());
    }
}

#[tokio::test]
async fn describe_quorum_names_no_controller_listener() {
    use describe_quorum_response::*;
    for version in versions::<DescribeQuorumResponse>() {
        let node = |id: i32| {
            let listener = Listener::default().with_name(text("CTL")).with_host(text(INTERNAL)).with_port(9191);
            Node::default().with_node_id(BrokerId(id)).with_listeners(vec![listener.clone(), listener])
        };
        let replica = ReplicaState::default().with_replica_id(BrokerId(1)).with_log_end_offset(7);
        let partition = PartitionData::default()
            .with_leader_id(BrokerId(1))
            .with_current_voters(vec![replica.clone()])
            .with_observers(vec![replica]);
        let topic = TopicData::default()
            .with_topic_name(TopicName(text("__cluster_metadata")))
            .with_partitions(vec![partition]);
        let mut sent = DescribeQuorumResponse::default().with_topics(vec![topic]);
        if version >= 2 {
            sent = sent.with_nodes(vec![node(1), node(3)]);
        }
        let frame = answered(ApiKey::DescribeQuorum, version, &DescribeQuorumRequest::default(), &sent).await;
        let (_, got) = read_response::<DescribeQuorumResponse>(ApiKey::DescribeQuorum, version, &frame);
        assert_eq!(got.topics, sent.topics);
        if version >= 2 {
            let known = &got.nodes[0].listeners;
            assert_eq!(known.len(), 1);
            let told = (known[0].name.as_str(), known[0].host.as_str(), known[0].port);
            assert_eq!(told, ("PRIVATE_PLAINTEXT", "1.broker.example.com", 9091));
            assert!(got.nodes[1].listeners.is_empty());
        }
    }
}

/// Kafka's endpoints of so many nodes, and the path's of those that it has an address for.
macro_rules! endpoints {
    ($module:ident, $count:expr) => {{
        let node = |id: i32, host: String, port| {
            let node =
                $module::NodeEndpoint::default().with_node_id(BrokerId(id)).with_host(StrBytes::from_string(host));
            node.with_port(port).with_rack(Some(text("r")))
        };
        let of_kafka: Vec<_> = (0..$count).map(|id| node(id, INTERNAL.to_owned(), 9192)).collect();
        let of_path: Vec<_> = (1..$count.min(3)).map(|id| node(id, format!("{id}.{HOST}"), 9090 + id)).collect();
        (of_kafka, of_path)
    }};
}

/// Reads what became of `$sent`: what is short tells the path's endpoints; what is long hides Kafka's, in as many bytes.
macro_rules! check_endpoints {
    ($api:ident, $response:ident, $version:expr, $asked:expr, $sent:expr, $of_path:expr) => {{
        let (sent, original) = ($sent, response(ApiKey::$api, $version, 77, &$sent));
        let frame = answered(ApiKey::$api, $version, &$asked, &sent).await;
        let is_short = original.len() < SHORT_BYTES;
        assert!(is_short || frame.len() == original.len(), "hiding keeps the length");
        let (_, mut got) = read_response::<$response>(ApiKey::$api, $version, &frame);
        got.unknown_tagged_fields.clear();
        assert_eq!(got, sent.with_node_endpoints(if is_short { $of_path } else { vec![] }), "version {}", $version);
    }};
}

#[tokio::test]
async fn produce_tells_where_the_leader_is() {
    use produce_response::*;
    for version in 10..=13 {
        let leader = LeaderIdAndEpoch::default().with_leader_id(BrokerId(2)).with_leader_epoch(5);
        let error =
            BatchIndexAndErrorMessage::default().with_batch_index(3).with_batch_index_error_message(Some(text("bad")));
        let partition = PartitionProduceResponse::default()
            .with_index(1)
            .with_error_code(6)
            .with_record_errors(vec![error])
            .with_error_message(Some(text("not leader")))
            .with_current_leader(leader);
        for (endpoints, partitions) in [(0, 2), (1, 2), (3, 2), (40, 2), (0, 1_000), (3, 1_000)] {
            let topic = TopicProduceResponse::default().with_partition_responses(vec![partition.clone(); partitions]);
            let topic = if version >= 13 {
                topic.with_topic_id(uuid::Uuid::from_u128(9))
            } else {
                topic.with_name(TopicName(text("orders")))
            };
            let (of_kafka, of_path) = endpoints!(produce_response, endpoints);
            let sent = ProduceResponse::default()
                .with_responses(vec![topic.clone(), topic])
                .with_throttle_time_ms(11)
                .with_node_endpoints(of_kafka);
            let asked = ProduceRequest::default().with_acks(-1);
            check_endpoints!(Produce, ProduceResponse, version, asked, sent.clone(), of_path);
        }
    }
}

#[tokio::test]
async fn fetch_tells_where_the_leader_is_and_keeps_records() {
    use fetch_response::*;
    for version in 16..=18 {
        let partition = |records: usize| {
            PartitionData::default()
                .with_partition_index(1)
                .with_error_code(74)
                .with_current_leader(LeaderIdAndEpoch::default().with_leader_id(BrokerId(2)).with_leader_epoch(5))
                .with_aborted_transactions(Some(vec![AbortedTransaction::default().with_first_offset(4); 3]))
                .with_records(Some(Bytes::from(vec![0x5a; records])))
        };
        let topic = |records| {
            FetchableTopicResponse::default().with_topic_id(uuid::Uuid::from_u128(7)).with_partitions(vec![
                partition(records),
                partition(0).with_records(None).with_aborted_transactions(None),
            ])
        };
        for (endpoints, records) in [(0, 20_000), (1, 20_000), (3, 20_000), (0, 300_000), (1, 300_000), (200, 300_000)]
        {
            let (of_kafka, of_path) = endpoints!(fetch_response, endpoints);
            let sent = FetchResponse::default()
                .with_session_id(3)
                .with_responses(vec![topic(10), topic(records)])
                .with_node_endpoints(of_kafka);
            check_endpoints!(Fetch, FetchResponse, version, FetchRequest::default(), sent.clone(), of_path);
        }
    }
}

#[tokio::test]
async fn share_fetch_and_share_acknowledge_tell_where_the_leader_is() {
    for (endpoints, topics) in (0..12).chain([400]).flat_map(|endpoints| [(endpoints, 1), (endpoints, 1_000)]) {
        let fetched = {
            use share_fetch_response::*;
            let partition = PartitionData::default()
                .with_error_code(6)
                .with_error_message(Some(text("moved")))
                .with_current_leader(LeaderIdAndEpoch::default().with_leader_id(2))
                .with_records(Some(Bytes::from_static(b"records")))
                .with_acquired_records(vec![AcquiredRecords::default().with_last_offset(9)]);
            let topic = ShareFetchableTopicResponse::default().with_partitions(vec![partition]);
            ShareFetchResponse::default()
                .with_error_message(Some(text("m")))
                .with_acquisition_lock_timeout_ms(30)
                .with_responses(vec![topic; topics])
        };
        let (of_kafka, of_path) = endpoints!(share_fetch_response, endpoints);
        let sent = fetched.with_node_endpoints(of_kafka);
        check_endpoints!(ShareFetch, ShareFetchResponse, 1, ShareFetchRequest::default(), sent.clone(), of_path);

        let acknowledged = {
            use share_acknowledge_response::*;
            let partition = PartitionData::default().with_current_leader(LeaderIdAndEpoch::default().with_leader_id(2));
            let topic = ShareAcknowledgeTopicResponse::default().with_partitions(vec![partition]);
            ShareAcknowledgeResponse::default().with_responses(vec![topic; topics])
        };
        let (of_kafka, of_path) = endpoints!(share_acknowledge_response, endpoints);
        let (asked, sent) = (ShareAcknowledgeRequest::default(), acknowledged.with_node_endpoints(of_kafka));
        check_endpoints!(ShareAcknowledge, ShareAcknowledgeResponse, 1, asked, sent.clone(), of_path);
    }
}

#[tokio::test]
async fn api_versions_offers_what_kafka_and_the_gateway_both_serve() {
    use api_versions_response::ApiVersion;
    for version in versions::<ApiVersionsResponse>() {
        let api = |key: i16, least: i16, most: i16| {
            ApiVersion::default().with_api_key(key).with_min_version(least).with_max_version(most)
        };
        let sent = ApiVersionsResponse::default().with_api_keys(vec![
            api(1, 4, 40),  // Fetch: newer than the gateway can read
            api(12, 0, 40), // Heartbeat: relayed whatever it is
            api(18, 0, 9),
            api(57, 0, 2),  // UpdateFeatures: refused
            api(62, 0, 4),  // BrokerRegistration: among brokers
            api(30, 9, 12), // CreateAcls: no version in common
            api(999, 0, 1), // unknown
        ]);
        let frame = answered(ApiKey::ApiVersions, version, &ApiVersionsRequest::default(), &sent).await;
        let (_, got) = read_response::<ApiVersionsResponse>(ApiKey::ApiVersions, version, &frame);
        assert_eq!(got.api_keys, vec![api(1, 4, 18), api(12, 0, 40), api(18, 0, 4)], "version {version}");
    }
}

#[tokio::test]
async fn an_api_versions_that_is_too_new_is_answered_in_version_0() {
    let rig = Rig::new();
    let (mut client, _served) = rig.plaintext();
    // Version 9 with a header of version 2 and a body that nobody knows yet.
    client.send(&opaque_request(18, 9, 3, &[0, 1, b'c', 0, 0xde, 0xad])).await;
    let (correlation, got) = read_response::<ApiVersionsResponse>(ApiKey::ApiVersions, 0, &client.frame().await);
    assert_eq!((correlation, got.error_code), (3, 35));
    let own = &got.api_keys[0];
    assert_eq!((own.api_key, own.min_version, own.max_version), (18, 0, 4));
}
