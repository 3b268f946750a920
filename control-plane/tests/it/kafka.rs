//! What the platform asks of an instance's Kafka.

use control_plane::kafka::{Operation, Pattern, Permission, Resource, open_bindings, protective_bindings};

#[test]
fn open_mode_gives_everybody_their_data_and_nothing_of_the_cluster_that_could_ruin_it() {
    let bindings = open_bindings();
    assert!(bindings.iter().all(|b| b.principal == "User:*" && b.permission == Permission::Allow));
    let of_cluster: Vec<Operation> =
        bindings.iter().filter(|b| b.resource == Resource::Cluster).map(|b| b.operation).collect();
    use Operation::{Describe, DescribeConfigs, IdempotentWrite};
    assert_eq!(of_cluster, [Describe, DescribeConfigs, IdempotentWrite]);
    let data: Vec<Resource> = bindings.iter().filter(|b| b.operation == Operation::All).map(|b| b.resource).collect();
    assert_eq!(data, [Resource::Topic, Resource::Group, Resource::TransactionalId]);
}

#[test]
fn kafkas_own_topics_can_be_read_but_not_harmed_and_the_platforms_are_out_of_reach() {
    let bindings = protective_bindings();
    assert!(bindings.iter().all(|b| b.principal == "User:*" && b.permission == Permission::Deny));
    for topic in ["__consumer_offsets", "__transaction_state", "__share_group_state"] {
        let denied: Vec<Operation> = bindings.iter().filter(|b| b.name == topic).map(|b| b.operation).collect();
        use Operation::{Alter, AlterConfigs, Create, Delete, Write};
        assert_eq!(denied, [Write, Delete, Alter, AlterConfigs, Create], "{topic}");
    }
    let platform = bindings.last().unwrap();
    assert_eq!((platform.name.as_str(), platform.operation), ("__sluice", Operation::All));
    assert_eq!(platform.pattern, Pattern::Prefixed);
}
