//! Bindings: of the platform none is shown, made or removed.

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
        let results = (0..12)
            .map(|n| AclCreationResult::default().with_error_code(1000 + n).with_error_message(Some(text("kafka"))));
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
            let message =
                DeleteAclsRequest::default().with_filters(vec![allowed[0].clone(), bad.clone(), allowed[1].clone()]);
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
            let codes: Vec<_> = merged.filter_results.iter().map(|r| (r.error_code, r.matching_acls.len())).collect();
            assert_eq!(codes, [(0, 2), (44, 0), (7, 2)]);
        }
    }
}
