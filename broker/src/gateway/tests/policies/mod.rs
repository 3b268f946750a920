//! What tenants may not do, and that the rest of the same request is done.

mod acls;
mod configs;

use super::super::filters::{Decision, Format, Scope};
use super::super::frame;
use super::super::table::{self, ResponseRule};
use super::*;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::Message;

const ALICE: Option<&str> = Some("alice");
const ANONYMOUS: Option<&str> = None;

/// What becomes of a request, in the words of its messages.
enum Outcome<Q, A> {
    Forwarded,
    /// What Kafka is asked, and what the client hears when Kafka answers with `kafka`.
    Amended(Q, Box<dyn FnOnce(&A) -> A>),
    Answered(A),
}

fn asked<Q, A>(key: ApiKey, version: i16, user: Option<&str>, message: &Q) -> Outcome<Q, A>
where
    Q: Encodable + Decodable,
    A: Encodable + Decodable + 'static,
{
    let api = table::find(key as i16, version).expect("served");
    let filter = api.policy().unwrap_or_else(|| panic!("{key:?} is not filtered"));
    let snapshot = shared_snapshot();
    let scope = Scope { path: AccessPath::PrivateSaslSsl, user, snapshot };
    let whole = request(key, version, 1, message);
    let flexible = api.is_flexible(version);
    let body_at = frame::request_body(&whole, flexible).unwrap();
    match filter(scope, Format { version, flexible }, &whole[body_at..]).unwrap() {
        Decision::Forward => Outcome::Forwarded,
        Decision::Amend { body, merge, .. } => {
            let amended = read_request::<Q>(key, version, &frame::with_body(&whole, body_at, &body));
            let merged = move |kafka: &A| {
                let mut bytes = BytesMut::new();
                kafka.encode(&mut bytes, version).unwrap();
                decode_all(merge(&bytes).unwrap(), version)
            };
            Outcome::Amended(amended, Box::new(merged))
        }
        Decision::Answer(body) => Outcome::Answered(decode_all(body, version)),
    }
}

fn decode_all<M: Decodable>(body: Vec<u8>, version: i16) -> M {
    let mut bytes = Bytes::from(body);
    let message = M::decode(&mut bytes, version).unwrap();
    assert!(bytes.is_empty());
    message
}

/// What DescribeAcls or DescribeConfigs says once filtered.
fn told<A: Encodable + Decodable>(key: ApiKey, version: i16, kafka: &A) -> A {
    let api = table::find(key as i16, version).expect("served");
    let ResponseRule::Filter(filter) = api.response_rule(version) else { panic!("{key:?} is not filtered") };
    let snapshot = shared_snapshot();
    let scope = Scope { path: AccessPath::PrivateSaslSsl, user: ALICE, snapshot };
    let mut bytes = BytesMut::new();
    kafka.encode(&mut bytes, version).unwrap();
    decode_all(filter(scope, Format { version, flexible: api.is_flexible(version) }, &bytes).unwrap(), version)
}

fn versions<M: Message>() -> impl Iterator<Item = i16> {
    M::VERSIONS.min..=M::VERSIONS.max
}

#[test]
fn a_topic_with_too_large_messages_is_not_created_and_its_neighbours_are() {
    use create_topics_request::*;
    for version in versions::<CreateTopicsRequest>() {
        let topic = |name, bytes: &str| {
            let assignment = CreatableReplicaAssignment::default().with_broker_ids(vec![BrokerId(1), BrokerId(2)]);
            CreatableTopic::default().with_name(TopicName(text(name))).with_assignments(vec![assignment]).with_configs(
                vec![
                    CreatableTopicConfig::default().with_name(text("max.message.bytes")).with_value(Some(text(bytes))),
                ],
            )
        };
        let internal = ["__share_group_state", "__sluice_admission"];
        let topics = vec![
            topic("fine", "1000"),
            topic("big", "200000000"),
            // Numbers to Java: in the digits of another script, and after what it takes for a blank.
            topic("wide", "２００００００００"),
            topic("odd", "\u{1}200000000"),
            topic(internal[0], "1000"),
            topic(internal[1], "1000"),
        ];
        let message = CreateTopicsRequest::default().with_topics(topics);
        let Outcome::Amended(kept, merge) =
            asked::<_, CreateTopicsResponse>(ApiKey::CreateTopics, version, ALICE, &message)
        else {
            panic!("one refused")
        };
        assert_eq!(kept.topics, [topic("fine", "1000")]);
        let created = create_topics_response::CreatableTopicResult::default().with_name(TopicName(text("fine")));
        let merged = merge(&CreateTopicsResponse::default().with_topics(vec![created]));
        let results: Vec<_> = merged.topics.iter().map(|t| (t.name.to_string(), t.error_code)).collect();
        let expected = [("big", 40), ("wide", 40), ("odd", 40), (internal[0], 29), (internal[1], 29), ("fine", 0)];
        assert_eq!(results, expected.map(|(name, code)| (name.to_owned(), code)));
    }
}

#[test]
fn users_are_altered_by_users_and_never_the_platforms() {
    use alter_user_scram_credentials_request::*;
    let deletion = |name| ScramCredentialDeletion::default().with_name(text(name)).with_mechanism(1);
    let upsertion = |name| {
        ScramCredentialUpsertion::default()
            .with_name(text(name))
            .with_mechanism(2)
            .with_iterations(4096)
            .with_salt(Bytes::from_static(b"salt"))
    };
    let message = AlterUserScramCredentialsRequest::default()
        .with_deletions(vec![deletion("bob"), deletion("sluice-node")])
        .with_upsertions(vec![upsertion("sluice-control-plane"), upsertion("bob"), upsertion("sluice")]);
    let ask =
        |user| asked::<_, AlterUserScramCredentialsResponse>(ApiKey::AlterUserScramCredentials, 0, user, &message);
    let Outcome::Amended(kept, merge) = ask(ALICE) else { panic!("some refused") };
    assert_eq!((kept.deletions, kept.upsertions), (vec![deletion("bob")], vec![upsertion("bob")]));
    let bob = alter_user_scram_credentials_response::AlterUserScramCredentialsResult::default().with_user(text("bob"));
    let merged = merge(&AlterUserScramCredentialsResponse::default().with_results(vec![bob]));
    let mut results: Vec<_> = merged.results.iter().map(|r| (r.user.to_string(), r.error_code)).collect();
    results.sort();
    assert_eq!(
        results,
        [("bob", 0), ("sluice", 93), ("sluice-control-plane", 93), ("sluice-node", 93)].map(|(u, c)| (u.to_owned(), c))
    );
    let Outcome::Answered(answer) = ask(ANONYMOUS) else { panic!("all refused") };
    assert_eq!((answer.results.len(), answer.results.iter().all(|r| r.error_code == 31)), (4, true));
}

#[test]
fn quotas_are_altered_for_own_users_and_clients_only() {
    use alter_client_quotas_request::*;
    for version in versions::<AlterClientQuotasRequest>() {
        let entry = |kind, name: Option<&'static str>| {
            let entity = EntityData::default().with_entity_type(text(kind)).with_entity_name(name.map(text));
            let op = OpData::default().with_key(text("producer_byte_rate")).with_value(1.5);
            EntryData::default().with_entity(vec![entity]).with_ops(vec![op])
        };
        let good = vec![entry("user", Some("bob")), entry("client-id", None), entry("user", None)];
        let bad =
            vec![entry("ip", Some("10.0.0.1")), entry("topic", Some("orders")), entry("user", Some("sluice-node"))];
        let message = AlterClientQuotasRequest::default().with_entries([bad, good.clone()].concat());
        let ask = |user| asked::<_, AlterClientQuotasResponse>(ApiKey::AlterClientQuotas, version, user, &message);
        let Outcome::Amended(kept, merge) = ask(ALICE) else { panic!("some refused") };
        assert_eq!(kept.entries, good);
        let merged = merge(&AlterClientQuotasResponse::default());
        assert_eq!(merged.entries.iter().map(|e| e.error_code).collect::<Vec<_>>(), [42, 42, 31]);
        assert_eq!(merged.entries[0].entity[0].entity_type.as_str(), "ip");
        for (refused, option) in merged.entries.iter().zip(["--ip", "--topic"]) {
            let reason = refused.error_message.as_ref().unwrap();
            assert!(reason.contains("/client-quotas") && reason.contains(option), "{reason}");
        }
        let Outcome::Answered(answer) = ask(ANONYMOUS) else { panic!("all refused") };
        assert_eq!(answer.entries.len(), 6);
    }
}

#[test]
fn quotas_of_the_platform_are_not_shown_to_tenants() {
    use describe_client_quotas_response::*;
    let entry = |parts: &[(&'static str, Option<&'static str>)]| {
        let part = |(kind, name): &(&'static str, Option<&'static str>)| {
            EntityData::default().with_entity_type(text(kind)).with_entity_name(name.map(text))
        };
        let value = ValueData::default().with_key(text("consumer_byte_rate")).with_value(2.5);
        EntryData::default().with_entity(parts.iter().map(part).collect()).with_values(vec![value])
    };
    for version in versions::<DescribeClientQuotasResponse>() {
        let own = [
            entry(&[("user", None)]),
            entry(&[("user", Some("bob")), ("client-id", Some("sluice-node"))]),
            entry(&[("client-id", None)]),
        ];
        let platform =
            [entry(&[("user", Some("sluice-node"))]), entry(&[("client-id", Some("x")), ("user", Some("sluice-x"))])];
        let kafka = DescribeClientQuotasResponse::default()
            .with_throttle_time_ms(7)
            .with_entries(Some([&platform[..1], &own[..], &platform[1..]].concat()));
        let expected = kafka.clone().with_entries(Some(own.to_vec()));
        assert_eq!(told(ApiKey::DescribeClientQuotas, version, &kafka), expected);
        let failed = DescribeClientQuotasResponse::default().with_error_code(31).with_entries(None);
        assert_eq!(told(ApiKey::DescribeClientQuotas, version, &failed), failed);
    }
}

#[test]
fn the_platforms_users_are_not_shown() {
    use describe_user_scram_credentials_response::*;
    let user = |name, error| {
        let by = CredentialInfo::default().with_mechanism(2).with_iterations(4096);
        DescribeUserScramCredentialsResult::default()
            .with_user(text(name))
            .with_error_code(error)
            .with_credential_infos(vec![by])
    };
    let kafka = DescribeUserScramCredentialsResponse::default().with_throttle_time_ms(7).with_results(vec![
        user("sluice-node", 0),
        user("bob", 0),
        user("alice", 91),
        user("sluice", 0),
    ]);
    let expected = kafka.clone().with_results(vec![user("bob", 0), user("alice", 91)]);
    assert_eq!(told(ApiKey::DescribeUserScramCredentials, 0, &kafka), expected);
}

#[test]
fn replicas_of_internal_topics_stay_where_they_are_and_those_of_tenants_move() {
    use alter_partition_reassignments_request::*;
    use alter_partition_reassignments_response::ReassignableTopicResponse;
    let topic = |name| {
        let partition =
            |index, replicas| ReassignablePartition::default().with_partition_index(index).with_replicas(replicas);
        let partitions = vec![partition(0, Some(vec![BrokerId(2)])), partition(7, None)];
        ReassignableTopic::default().with_name(TopicName(text(name))).with_partitions(partitions)
    };
    for version in versions::<AlterPartitionReassignmentsRequest>() {
        let topics = vec![topic("__consumer_offsets"), topic("orders"), topic("__sluice_admission")];
        let message = AlterPartitionReassignmentsRequest::default().with_timeout_ms(5).with_topics(topics);
        let ask = |message: &_| {
            asked::<_, AlterPartitionReassignmentsResponse>(
                ApiKey::AlterPartitionReassignments,
                version,
                ALICE,
                message,
            )
        };
        let Outcome::Amended(kept, merge) = ask(&message) else { panic!("some refused") };
        assert_eq!((kept.timeout_ms, kept.topics), (5, vec![topic("orders")]));
        let moved = ReassignableTopicResponse::default().with_name(TopicName(text("orders")));
        let merged = merge(&AlterPartitionReassignmentsResponse::default().with_responses(vec![moved]));
        let results: Vec<_> = merged
            .responses
            .iter()
            .map(|of| (of.name.as_str(), of.partitions.iter().map(|p| (p.partition_index, p.error_code)).collect()))
            .collect();
        let refused = vec![(0, 29), (7, 29)];
        let expected =
            [("__consumer_offsets", refused.clone()), ("__sluice_admission", refused), ("orders", Vec::new())];
        assert_eq!(results, expected);
        let own = AlterPartitionReassignmentsRequest::default().with_topics(vec![topic("orders")]);
        assert!(matches!(ask(&own), Outcome::Forwarded));
    }
}

#[test]
fn a_hanging_transaction_is_ended_in_topics_of_tenants_only() {
    use write_txn_markers_request::*;
    let marker = |topics: &[&'static str]| {
        let topic = |name: &&'static str| {
            WritableTxnMarkerTopic::default().with_name(TopicName(text(name))).with_partition_indexes(vec![3])
        };
        WritableTxnMarker::default().with_producer_id(ProducerId(9)).with_topics(topics.iter().map(topic).collect())
    };
    for version in versions::<WriteTxnMarkersRequest>() {
        let ask = |markers| {
            let message = WriteTxnMarkersRequest::default().with_markers(markers);
            asked::<_, WriteTxnMarkersResponse>(ApiKey::WriteTxnMarkers, version, ALICE, &message)
        };
        assert!(matches!(ask(vec![marker(&["orders"])]), Outcome::Forwarded));
        let Outcome::Answered(answer) = ask(vec![marker(&["orders", "__consumer_offsets"]), marker(&["orders"])])
        else {
            panic!("refused as a whole")
        };
        assert_eq!(answer.markers.len(), 2);
        for marker in &answer.markers {
            assert_eq!(marker.producer_id, ProducerId(9));
            for topic in &marker.topics {
                let codes: Vec<_> = topic.partitions.iter().map(|p| (p.partition_index, p.error_code)).collect();
                assert_eq!(codes, [(3, 29)], "{}", topic.name.as_str());
            }
        }
    }
}

#[test]
fn no_token_is_made_for_the_platform() {
    let ask = |version, owner: Option<&'static str>| {
        let message = CreateDelegationTokenRequest::default()
            .with_owner_principal_type(None)
            .with_owner_principal_name(owner.map(text));
        asked::<_, CreateDelegationTokenResponse>(ApiKey::CreateDelegationToken, version, ALICE, &message)
    };
    assert!(matches!(ask(3, None), Outcome::Forwarded));
    assert!(matches!(ask(3, Some("bob")), Outcome::Forwarded));
    let Outcome::Answered(answer) = ask(3, Some("sluice-control-plane")) else { panic!("refused") };
    assert_eq!(answer.error_code, 31);
}

#[test]
fn log_directories_are_told_without_their_paths() {
    use describe_log_dirs_response::*;
    for version in versions::<DescribeLogDirsResponse>() {
        let partition = DescribeLogDirsPartition::default().with_partition_size(5);
        let topic =
            DescribeLogDirsTopic::default().with_name(TopicName(text("orders"))).with_partitions(vec![partition]);
        let result =
            DescribeLogDirsResult::default().with_log_dir(text("/var/lib/secret/place")).with_topics(vec![topic]);
        let kafka = DescribeLogDirsResponse::default().with_results(vec![result.clone()]);
        assert_eq!(told(ApiKey::DescribeLogDirs, version, &kafka).results, [result.with_log_dir(text("/data"))]);
    }
}

#[tokio::test]
async fn operations_of_the_platform_are_refused_in_the_clients_version() {
    macro_rules! refused {
        ($key:ident, $asked:ident, $answered:ident) => {
            for version in versions::<$asked>() {
                let rig = Rig::new();
                let (mut client, _served) = rig.plaintext();
                client.send(&request(ApiKey::$key, version, 6, &$asked::default())).await;
                let (id, answer) = read_response::<$answered>(ApiKey::$key, version, &client.frame().await);
                assert_eq!((id, answer.error_code), (6, 31));
                assert!(answer.error_message.unwrap().contains("platform"));
            }
        };
    }
    refused!(UpdateFeatures, UpdateFeaturesRequest, UpdateFeaturesResponse);
    refused!(UnregisterBroker, UnregisterBrokerRequest, UnregisterBrokerResponse);
    refused!(AddRaftVoter, AddRaftVoterRequest, AddRaftVoterResponse);
    refused!(RemoveRaftVoter, RemoveRaftVoterRequest, RemoveRaftVoterResponse);
}
