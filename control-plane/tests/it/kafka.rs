//! What the platform asks of an instance's Kafka.

use control_plane::kafka::{open_bindings, protective_bindings};
use krafka::admin::{AclOperation, AclPatternType, AclPermissionType, AclResourceType};

#[test]
fn open_mode_gives_everybody_their_data_and_nothing_of_the_cluster_that_could_ruin_it() {
    let bindings = open_bindings();
    assert!(bindings.iter().all(|b| b.principal == "User:*" && b.permission_type == AclPermissionType::Allow));
    let of_cluster: Vec<AclOperation> =
        bindings.iter().filter(|b| b.resource_type == AclResourceType::Cluster).map(|b| b.operation).collect();
    use AclOperation::{Create, Describe, DescribeConfigs, IdempotentWrite};
    assert_eq!(of_cluster, [Describe, DescribeConfigs, IdempotentWrite, Create]);
    let data: Vec<AclResourceType> =
        bindings.iter().filter(|b| b.operation == AclOperation::All).map(|b| b.resource_type).collect();
    assert_eq!(data, [AclResourceType::Topic, AclResourceType::Group, AclResourceType::TransactionalId]);
}

#[test]
fn kafkas_own_topics_can_be_read_but_not_harmed_and_the_platforms_are_out_of_reach() {
    let bindings = protective_bindings();
    assert!(bindings.iter().all(|b| b.principal == "User:*" && b.permission_type == AclPermissionType::Deny));
    for topic in ["__consumer_offsets", "__transaction_state", "__share_group_state"] {
        let denied: Vec<AclOperation> =
            bindings.iter().filter(|b| b.resource_name == topic).map(|b| b.operation).collect();
        use AclOperation::{Alter, AlterConfigs, Create, Delete, Write};
        assert_eq!(denied, [Write, Delete, Alter, AlterConfigs, Create], "{topic}");
    }
    let platform = bindings.last().unwrap();
    assert_eq!((platform.resource_name.as_str(), platform.operation), ("__sluice", AclOperation::All));
    assert_eq!(platform.pattern_type, AclPatternType::Prefixed);
}
