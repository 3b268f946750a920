//! What tenants may not do, and that the rest of the same request is done.

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

mod acls {
    use super::*;
    use create_acls_request::AclCreation;
    use create_acls_response::AclCreationResult;
    use delete_acls_request::DeleteAclsFilter;
    use delete_acls_response::*;

    // resource type, name, pattern, principal, host, operation, permission
    type Row = (i8, &'static str, i8, &'static str, &'static str, i8, i8);

    fn creation((resource, name, pattern, principal, host, operation, permission): Row) -> AclCreation {
        AclCreation::default()
            .with_resource_type(resource)
            .with_resource_name(text(name))
            .with_resource_pattern_type(pattern)
            .with_principal(text(principal))
            .with_host(text(host))
            .with_operation(operation)
            .with_permission_type(permission)
    }

    const OWN: [Row; 5] = [
        (2, "orders", 3, "User:alice", "*", 3, 3),
        (2, "orders", 4, "User:*", "*", 4, 3),
        (3, "group", 3, "User:ANONYMOUS", "*", 3, 3),
        (4, "kafka-cluster", 3, "User:alice", "*", 7, 3),
        (2, "*", 3, "User:sluicer", "*", 2, 3),
    ];
    const FORBIDDEN: [(Row, i16, &str); 12] = [
        ((2, "orders", 3, "User:sluice-node", "*", 3, 3), 44, "platform"),
        ((2, "orders", 3, "User:sluice", "*", 3, 2), 44, "platform"),
        ((2, "*", 3, "User:*", "*", 2, 3), 44, "access mode"),
        ((3, "*", 3, "User:ANONYMOUS", "*", 2, 3), 44, "access mode"),
        ((4, "kafka-cluster", 3, "User:*", "*", 8, 3), 44, "access mode"),
        ((2, "__consumer_offsets", 3, "User:*", "*", 4, 2), 44, "platform"),
        ((2, "__sluice", 4, "User:*", "*", 2, 2), 44, "platform"),
        ((2, "orders", 3, "User:alice", "10.0.0.1", 3, 2), 42, "only the host '*' is accepted"),
        ((4, "kafka-cluster", 3, "User:alice", "*", 9, 3), 44, "for brokers"),
        ((4, "kafka-cluster", 3, "User:alice", "*", 2, 3), 44, "for brokers"),
        ((7, "User:sluice-control-plane", 3, "User:alice", "*", 13, 3), 44, "users of the platform"),
        ((7, "User:", 4, "User:alice", "*", 13, 3), 44, "users of the platform"),
    ];

    #[test]
    fn bindings_of_tenants_pass_and_those_that_touch_the_platform_are_refused_one_by_one() {
        for version in versions::<CreateAclsRequest>() {
            let own: Vec<_> = OWN.into_iter().map(creation).collect();
            let message = CreateAclsRequest::default().with_creations(own.clone());
            let outcome = asked::<_, CreateAclsResponse>(ApiKey::CreateAcls, version, ALICE, &message);
            assert!(matches!(outcome, Outcome::Forwarded));

            let forbidden: Vec<_> = FORBIDDEN.into_iter().map(|(row, ..)| creation(row)).collect();
            let message = CreateAclsRequest::default().with_creations(forbidden.clone());
            let outcome = asked::<_, CreateAclsResponse>(ApiKey::CreateAcls, version, ALICE, &message);
            let Outcome::Answered(answer) = outcome else { panic!("all refused") };
            for (result, (row, code, words)) in answer.results.iter().zip(FORBIDDEN) {
                assert_eq!(result.error_code, code, "{row:?}");
                assert!(result.error_message.as_ref().unwrap().contains(words), "{row:?}: {:?}", result.error_message);
            }

            // One of each in turn: results keep the places of what was asked.
            let mixed: Vec<_> =
                forbidden.iter().zip(own.iter().cycle()).flat_map(|(bad, good)| [bad.clone(), good.clone()]).collect();
            let message = CreateAclsRequest::default().with_creations(mixed);
            let Outcome::Amended(kept, merge) =
                asked::<_, CreateAclsResponse>(ApiKey::CreateAcls, version, ALICE, &message)
            else {
                panic!("some refused")
            };
            assert_eq!(kept.creations, own.iter().cycle().take(12).cloned().collect::<Vec<_>>());
            let results = (0..12).map(|n| {
                AclCreationResult::default().with_error_code(1000 + n).with_error_message(Some(text("kafka")))
            });
            let kafka = CreateAclsResponse::default().with_throttle_time_ms(5).with_results(results.collect());
            let merged = merge(&kafka);
            assert_eq!((merged.throttle_time_ms, merged.results.len()), (5, 24));
            for (n, pair) in merged.results.chunks(2).enumerate() {
                assert_eq!((pair[0].error_code, pair[1].error_code), (FORBIDDEN[n].1, 1000 + n as i16));
            }
        }
    }

    #[test]
    fn the_platforms_bindings_are_not_described() {
        use describe_acls_response::*;
        for version in versions::<DescribeAclsResponse>() {
            let rows: Vec<Row> = OWN.into_iter().chain(FORBIDDEN.into_iter().take(7).map(|(row, ..)| row)).collect();
            let resources = rows.iter().map(|&(resource, name, pattern, principal, host, operation, permission)| {
                let acl = AclDescription::default()
                    .with_principal(text(principal))
                    .with_host(text(host))
                    .with_operation(operation)
                    .with_permission_type(permission);
                DescribeAclsResource::default()
                    .with_resource_type(resource)
                    .with_resource_name(text(name))
                    .with_pattern_type(pattern)
                    .with_acls(vec![acl])
            });
            let kafka = DescribeAclsResponse::default().with_resources(resources.collect());
            let shown = told(ApiKey::DescribeAcls, version, &kafka);
            assert_eq!(shown.resources, kafka.resources[..OWN.len()]);
        }
    }

    fn filter(
        resource: i8,
        name: Option<&'static str>,
        pattern: i8,
        principal: Option<&'static str>,
        operation: i8,
        permission: i8,
    ) -> DeleteAclsFilter {
        DeleteAclsFilter::default()
            .with_resource_type_filter(resource)
            .with_resource_name_filter(name.map(text))
            .with_pattern_type_filter(pattern)
            .with_principal_filter(principal.map(text))
            .with_host_filter(None)
            .with_operation(operation)
            .with_permission_type(permission)
    }

    #[test]
    fn a_filter_that_would_take_the_platforms_bindings_deletes_nothing() {
        let refused = [
            filter(1, None, 1, None, 1, 1),
            filter(2, None, 3, None, 1, 1),
            filter(2, Some("*"), 3, None, 1, 1),
            filter(2, Some("orders"), 2, None, 1, 1), // MATCH finds the wildcard too
            filter(4, None, 1, Some("User:*"), 1, 3),
            filter(2, Some("__consumer_offsets"), 3, None, 4, 2),
            filter(2, Some("__sluice_admission"), 2, Some("User:*"), 1, 2),
            filter(2, Some("__sluice_x"), 3, None, 1, 1),
            filter(1, None, 1, Some("User:sluice-node"), 1, 1),
        ];
        let allowed = [
            filter(2, Some("orders"), 3, None, 1, 1),
            filter(2, Some("orders"), 1, None, 1, 1),
            filter(1, None, 1, Some("User:alice"), 1, 1),
            filter(2, None, 2, Some("User:sluicer"), 1, 1),
            filter(2, Some("orders"), 2, Some("User:alice"), 1, 1),
            filter(4, None, 1, None, 7, 1), // Alter: not among what the platform grants
        ];
        for version in versions::<DeleteAclsRequest>() {
            let message = DeleteAclsRequest::default().with_filters(allowed.to_vec());
            assert!(matches!(
                asked::<_, DeleteAclsResponse>(ApiKey::DeleteAcls, version, ALICE, &message),
                Outcome::Forwarded
            ));
            for bad in &refused {
                let message = DeleteAclsRequest::default().with_filters(vec![
                    allowed[0].clone(),
                    bad.clone(),
                    allowed[1].clone(),
                ]);
                let Outcome::Amended(kept, merge) =
                    asked::<_, DeleteAclsResponse>(ApiKey::DeleteAcls, version, ALICE, &message)
                else {
                    panic!("{bad:?} is refused")
                };
                assert_eq!(kept.filters, allowed[..2]);
                let found = DeleteAclsMatchingAcl::default().with_resource_name(text("orders")).with_host(text("*"));
                let result = |code| {
                    DeleteAclsFilterResult::default().with_error_code(code).with_matching_acls(vec![found.clone(); 2])
                };
                let merged = merge(&DeleteAclsResponse::default().with_filter_results(vec![result(0), result(7)]));
                let codes: Vec<_> =
                    merged.filter_results.iter().map(|r| (r.error_code, r.matching_acls.len())).collect();
                assert_eq!(codes, [(0, 2), (44, 0), (7, 2)]);
            }
        }
    }
}

mod configs {
    use super::*;

    #[test]
    fn brokers_are_the_platforms_and_topics_the_tenants() {
        for version in versions::<IncrementalAlterConfigsRequest>() {
            use incremental_alter_configs_request::*;
            let resource = |kind: i8, name, setting, value| {
                let config = AlterableConfig::default().with_name(text(setting)).with_value(Some(text(value)));
                AlterConfigsResource::default()
                    .with_resource_type(kind)
                    .with_resource_name(text(name))
                    .with_configs(vec![config])
            };
            let good = [
                resource(2, "orders", "retention.ms", "1000"),
                resource(2, "orders", "max.message.bytes", "10485760"),
                resource(32, "group", "consumer.session.timeout.ms", "45000"),
                resource(16, "metrics", "interval.ms", "1000"),
            ];
            let bad = [
                resource(4, "1", "log.retention.ms", "1"),
                resource(4, "", "listeners", "x"),
                resource(8, "1", "root", "TRACE"),
                resource(2, "big", "max.message.bytes", "104857600"),
                resource(99, "x", "y", "z"),
            ];
            let message = IncrementalAlterConfigsRequest::default().with_resources(good.to_vec());
            let outcome =
                asked::<_, IncrementalAlterConfigsResponse>(ApiKey::IncrementalAlterConfigs, version, ALICE, &message);
            assert!(matches!(outcome, Outcome::Forwarded));
            let message = IncrementalAlterConfigsRequest::default()
                .with_resources([good.to_vec(), bad.to_vec()].concat())
                .with_validate_only(true);
            let outcome =
                asked::<_, IncrementalAlterConfigsResponse>(ApiKey::IncrementalAlterConfigs, version, ALICE, &message);
            let Outcome::Amended(kept, merge) = outcome else { panic!("some refused") };
            assert_eq!((kept.resources, kept.validate_only), (good.to_vec(), true));
            let mine = incremental_alter_configs_response::AlterConfigsResourceResponse::default()
                .with_resource_type(2)
                .with_resource_name(text("orders"));
            let merged = merge(&IncrementalAlterConfigsResponse::default().with_responses(vec![mine; 4]));
            let mut codes: Vec<_> =
                merged.responses.iter().map(|r| (r.resource_name.to_string(), r.error_code)).collect();
            codes.sort();
            codes.dedup();
            let wanted = [("", 31), ("1", 31), ("big", 40), ("orders", 0), ("x", 42)]
                .map(|(name, code)| (name.to_owned(), code));
            assert_eq!(codes, wanted);
        }
    }

    #[test]
    fn the_older_alteration_is_held_to_the_same() {
        for version in versions::<AlterConfigsRequest>() {
            use alter_configs_request::*;
            let resource = |kind: i8, setting, value| {
                let config = AlterableConfig::default().with_name(text(setting)).with_value(Some(text(value)));
                AlterConfigsResource::default()
                    .with_resource_type(kind)
                    .with_resource_name(text("r"))
                    .with_configs(vec![config])
            };
            for (refused, code) in [
                (resource(4, "a", "b"), 31),
                (resource(2, "max.message.bytes", "99999999"), 40),
                (resource(2, "max.message.bytes", "many"), 40),
            ] {
                let message = AlterConfigsRequest::default().with_resources(vec![refused]);
                let outcome = asked::<_, AlterConfigsResponse>(ApiKey::AlterConfigs, version, ALICE, &message);
                let Outcome::Answered(answer) = outcome else { panic!("refused") };
                assert_eq!(answer.responses[0].error_code, code);
            }
            let message = AlterConfigsRequest::default().with_resources(vec![resource(2, "max.message.bytes", "9999")]);
            let outcome = asked::<_, AlterConfigsResponse>(ApiKey::AlterConfigs, version, ALICE, &message);
            assert!(matches!(outcome, Outcome::Forwarded), "within the limit");
        }
    }

    #[test]
    fn broker_settings_are_told_without_listeners_paths_or_secrets() {
        use describe_configs_response::*;
        for version in versions::<DescribeConfigsResponse>() {
            let setting = |name| {
                DescribeConfigsResourceResult::default()
                    .with_name(text(name))
                    .with_value(Some(text("v")))
                    .with_synonyms(if version >= 1 {
                        vec![DescribeConfigsSynonym::default().with_name(text("synonym"))]
                    } else {
                        vec![]
                    })
            };
            let names = [
                "default.replication.factor",
                "log.dirs",
                "log.dir",
                "metadata.log.dir",
                "listeners",
                "advertised.listeners",
                "ssl.keystore.location",
                "listener.name.int.ssl.keystore.location",
                "super.users",
                "sasl.jaas.config",
                "message.max.bytes",
                "controller.quorum.bootstrap.servers",
                "log.retention.ms",
                "delegation.token.secret.key",
            ];
            let of = |kind: i8| {
                DescribeConfigsResult::default()
                    .with_resource_type(kind)
                    .with_resource_name(text("1"))
                    .with_configs(names.map(setting).to_vec())
            };
            let kafka = DescribeConfigsResponse::default().with_results(vec![of(4), of(2), of(8)]);
            let shown = told(ApiKey::DescribeConfigs, version, &kafka);
            let brokers: Vec<_> = shown.results[0].configs.iter().map(|c| c.name.as_str()).collect();
            assert_eq!(brokers, ["default.replication.factor", "message.max.bytes", "log.retention.ms"]);
            assert_eq!(shown.results[1], kafka.results[1], "topics are told whole");
            assert!(shown.results[2].configs.is_empty(), "loggers are not told");
        }
    }
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
        let reason = merged.entries[0].error_message.as_ref().unwrap();
        assert!(reason.contains("/client-quotas") && reason.contains("sluice quota set"), "{reason}");
        assert!(merged.entries[1].error_message.as_ref().unwrap().contains("no quotas by \"topic\""), "{merged:?}");
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
