//! The platform's own ACL bindings, as data.
//!
//! The authorizer is on for an instance's life and refuses what no binding allows; "open" mode is a set of bindings
//! that the platform owns, so turning ACLs on or off never restarts a broker (kafka.md finding 3). The discriminants
//! are those of Kafka's protocol.

/// One binding. Of every host: brokers see the gateway's address only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    pub resource: Resource,
    pub name: String,
    pub pattern: Pattern,
    /// `User:…`, `User:*` for everybody.
    pub principal: String,
    pub operation: Operation,
    pub permission: Permission,
}

/// `ResourceType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum Resource {
    Topic = 2,
    Group = 3,
    Cluster = 4,
    TransactionalId = 5,
}

/// `PatternType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum Pattern {
    Literal = 3,
    Prefixed = 4,
}

/// `AclOperation`, as far as the platform binds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum Operation {
    All = 2,
    Write = 4,
    Create = 5,
    Delete = 6,
    Alter = 7,
    Describe = 8,
    DescribeConfigs = 10,
    AlterConfigs = 11,
    IdempotentWrite = 12,
}

/// `AclPermissionType`. A denial wins over every permission; super users pass both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum Permission {
    Deny = 2,
    Allow = 3,
}

const EVERYBODY: &str = "User:*";
/// Kafka's one resource of the type Cluster.
const CLUSTER: &str = "kafka-cluster";
/// Topics that Kafka keeps its own state in: written by brokers, ruined by anybody else.
const INTERNAL_TOPICS: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];
/// Topics of the platform begin so.
const PLATFORM_TOPICS: &str = "__sluice";

/// What everybody may do while tenants have not turned ACLs on. Of the cluster never more than looking and idempotent
/// writes: not Alter, AlterConfigs, ClusterAction, and not Create either. Topics are created by the right on Topic `*`;
/// Create on the cluster would be asked first and pass over the denials below.
pub fn open_bindings() -> Vec<Binding> {
    use Operation::{All, Describe, DescribeConfigs, IdempotentWrite};
    use Resource::{Cluster, Group, Topic, TransactionalId};
    let data = [Topic, Group, TransactionalId].map(|resource| everybody(Permission::Allow, resource, "*", All));
    let cluster = [Describe, DescribeConfigs, IdempotentWrite]
        .map(|operation| everybody(Permission::Allow, Cluster, CLUSTER, operation));
    data.into_iter().chain(cluster).collect()
}

/// What nobody but super users may ever do, in either mode.
pub fn protective_bindings() -> Vec<Binding> {
    use Operation::{All, Alter, AlterConfigs, Create, Delete, Write};
    let deny = |topic, operation| everybody(Permission::Deny, Resource::Topic, topic, operation);
    let internal = INTERNAL_TOPICS
        .into_iter()
        .flat_map(|topic| [Write, Delete, Alter, AlterConfigs, Create].map(|operation| deny(topic, operation)));
    let platform = Binding { pattern: Pattern::Prefixed, ..deny(PLATFORM_TOPICS, All) };
    internal.chain([platform]).collect()
}

fn everybody(permission: Permission, resource: Resource, name: &str, operation: Operation) -> Binding {
    Binding {
        resource,
        name: name.to_owned(),
        pattern: Pattern::Literal,
        principal: EVERYBODY.to_owned(),
        operation,
        permission,
    }
}
