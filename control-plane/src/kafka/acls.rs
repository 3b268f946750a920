//! The platform's own ACL bindings, as data.
//!
//! The authorizer is on for an instance's life and refuses what no binding allows; "open" mode is a set of bindings
//! that the platform owns, so turning ACLs on or off never restarts a broker (kafka.md finding 3).

use krafka::admin::{AclBinding, AclOperation, AclPatternType, AclPermissionType, AclResourceType};

const EVERYBODY: &str = "User:*";
const ANY_HOST: &str = "*";
/// Kafka's one resource of the type Cluster.
const CLUSTER: &str = "kafka-cluster";

/// Topics that Kafka keeps its own state in: written by brokers, ruined by anybody else.
const INTERNAL_TOPICS: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];
/// Topics of the platform begin so.
const PLATFORM_TOPICS: &str = "__sluice";

/// What everybody may do while tenants have not turned ACLs on. Of the cluster never more than looking, creating
/// topics and idempotent writes: not Alter, AlterConfigs, ClusterAction.
pub fn open_bindings() -> Vec<AclBinding> {
    use AclOperation::{All, Create, Describe, DescribeConfigs, IdempotentWrite};
    use AclResourceType::{Cluster, Group, Topic, TransactionalId};
    let data = [Topic, Group, TransactionalId].map(|resource| allow(resource, "*", All));
    let cluster = [Describe, DescribeConfigs, IdempotentWrite, Create].map(|op| allow(Cluster, CLUSTER, op));
    data.into_iter().chain(cluster).collect()
}

/// What nobody but super users may ever do, in either mode: a denial wins over every permission.
pub fn protective_bindings() -> Vec<AclBinding> {
    use AclOperation::{All, Alter, AlterConfigs, Create, Delete, Write};
    let internal = INTERNAL_TOPICS
        .iter()
        .flat_map(|topic| [Write, Delete, Alter, AlterConfigs, Create].map(|operation| deny(topic, operation)));
    let platform = deny(PLATFORM_TOPICS, All).with_pattern_type(AclPatternType::Prefixed);
    internal.chain([platform]).collect()
}

fn allow(resource: AclResourceType, name: &str, operation: AclOperation) -> AclBinding {
    AclBinding::new(resource, name, EVERYBODY, ANY_HOST, operation, AclPermissionType::Allow)
}

fn deny(topic: &str, operation: AclOperation) -> AclBinding {
    AclBinding::new(AclResourceType::Topic, topic, EVERYBODY, ANY_HOST, operation, AclPermissionType::Deny)
}
