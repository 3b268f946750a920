//! Access control lists: which bindings are the platform's, and which nobody but the platform may make.
//!
//! One place for the gateway (what clients may do) and the control plane (what the REST API may do): two rules would be
//! a hole. Pure; the codes are those of Kafka's protocol (KIP-140, KIP-290, KIP-373).

/// Matches anything; in filters only.
pub const ANY: i8 = 1;

/// `ResourceType`.
pub mod resource {
    pub const TOPIC: i8 = 2;
    pub const GROUP: i8 = 3;
    pub const CLUSTER: i8 = 4;
    pub const TRANSACTIONAL_ID: i8 = 5;
    pub const USER: i8 = 7;
}

/// `PatternType`.
pub mod pattern {
    /// Whatever would hold for a name; in filters only.
    pub const MATCH: i8 = 2;
    pub const LITERAL: i8 = 3;
    pub const PREFIXED: i8 = 4;
}

/// `AclOperation`.
pub mod operation {
    pub const ALL: i8 = 2;
    pub const CREATE: i8 = 5;
    pub const DESCRIBE: i8 = 8;
    pub const CLUSTER_ACTION: i8 = 9;
    pub const DESCRIBE_CONFIGS: i8 = 10;
    pub const IDEMPOTENT_WRITE: i8 = 12;
}

/// `AclPermissionType`.
pub mod permission {
    pub const DENY: i8 = 2;
    pub const ALLOW: i8 = 3;
}

use operation::{ALL, CLUSTER_ACTION, CREATE, DESCRIBE, DESCRIBE_CONFIGS, IDEMPOTENT_WRITE};
use pattern::{LITERAL, PREFIXED};
use permission::{ALLOW, DENY};
use resource::{CLUSTER, GROUP, TOPIC, TRANSACTIONAL_ID, USER};

/// Every host. Kafka sees the gateway's address, so that no other host can mean a client (kafka.md finding 4).
pub const ANY_HOST: &str = "*";
/// Kafka's one resource of the type Cluster.
pub const CLUSTER_NAME: &str = "kafka-cluster";
/// Everybody, whether logged in or not.
pub const EVERYBODY: &str = "User:*";
/// Who comes in without a login.
pub const ANONYMOUS: &str = "User:ANONYMOUS";
/// Topics that Kafka keeps its own state in: written by brokers, ruined by anybody else.
pub const INTERNAL_TOPICS: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];
/// Topics of the platform begin so.
pub const PLATFORM_TOPICS: &str = "__sluice";
/// Topics by which the platform looks whether an instance serves begin so: gone within seconds.
pub const CANARY_TOPICS: &str = "sluice-canary-";
/// Names of the platform's own principals start with this (kafka.md finding 2).
const RESERVED_USER: &str = "sluice";
/// What the mode `open` grants on the cluster.
const OPEN_CLUSTER: [i8; 4] = [CREATE, DESCRIBE, DESCRIBE_CONFIGS, IDEMPOTENT_WRITE];

/// A binding: who may, or may not, do what on which resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding<'a> {
    pub resource: i8,
    pub name: &'a str,
    pub pattern: i8,
    /// `User:…`, or [`EVERYBODY`].
    pub principal: &'a str,
    pub host: &'a str,
    pub operation: i8,
    pub permission: i8,
}

/// Why nobody but the platform may make a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objection {
    /// It is one of the platform's.
    Platform,
    /// Kafka would never see a client come from that host.
    Host,
    /// What brokers and controllers do among themselves.
    ClusterAction,
    /// It covers principals of the platform.
    PlatformUser,
}

impl Objection {
    /// What would be accepted.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Platform => {
                "this binding belongs to the platform: choose the instance's access mode instead, or name another principal"
            }
            Self::Host => {
                "a host can't be enforced behind the gateway; only the host '*' is accepted, and the instance's lists of \
                 allowed and denied addresses hold for every client"
            }
            Self::ClusterAction => {
                "ClusterAction, and All with it, are for brokers; Alter, AlterConfigs, Create, Describe, DescribeConfigs \
                 and IdempotentWrite on the cluster are accepted"
            }
            Self::PlatformUser => "this resource covers users of the platform; name a user of your own",
        }
    }
}

impl Binding<'_> {
    /// Whether it is hidden from tenants and can't be removed by them: bindings of platform principals, those that make
    /// the access mode `open`, and those that guard internal topics (kafka.md finding 3).
    pub fn is_platform(&self) -> bool {
        if is_platform_principal(self.principal) {
            return true;
        }
        if ![EVERYBODY, ANONYMOUS].contains(&self.principal) || self.host != ANY_HOST {
            return false;
        }
        match (self.permission, self.resource) {
            (DENY, TOPIC) => is_internal_topic(self.name, self.pattern),
            (ALLOW, TOPIC | GROUP | TRANSACTIONAL_ID) => {
                self.name == "*" && self.pattern == LITERAL && self.operation == ALL
            }
            (ALLOW, CLUSTER) => OPEN_CLUSTER.contains(&self.operation),
            _ => false,
        }
    }

    /// Why a tenant may not make this binding.
    pub fn objection(&self) -> Option<Objection> {
        if self.is_platform() {
            return Some(Objection::Platform);
        }
        if self.host != ANY_HOST {
            return Some(Objection::Host);
        }
        if self.permission == ALLOW && self.resource == CLUSTER && matches!(self.operation, ALL | CLUSTER_ACTION) {
            return Some(Objection::ClusterAction);
        }
        (self.resource == USER && covers_platform_user(self.name, self.pattern)).then_some(Objection::PlatformUser)
    }
}

/// The bindings that the platform may have made, principals of its own aside. Of internal topics it denies operations
/// that it is free to choose: [`ANY`] stands for all of them.
pub fn platform_bindings() -> impl Iterator<Item = Binding<'static>> {
    [EVERYBODY, ANONYMOUS].into_iter().flat_map(|principal| {
        let allow = move |resource, name, operation| Binding {
            resource,
            name,
            pattern: LITERAL,
            principal,
            host: ANY_HOST,
            operation,
            permission: ALLOW,
        };
        let guard = move |name, pattern| Binding { pattern, permission: DENY, ..allow(TOPIC, name, ANY) };
        [TOPIC, GROUP, TRANSACTIONAL_ID]
            .into_iter()
            .map(move |resource| allow(resource, "*", ALL))
            .chain(OPEN_CLUSTER.into_iter().map(move |operation| allow(CLUSTER, CLUSTER_NAME, operation)))
            .chain(INTERNAL_TOPICS.into_iter().map(move |name| guard(name, LITERAL)))
            .chain([guard(PLATFORM_TOPICS, PREFIXED)])
    })
}

/// Whether `user` is in the platform's name space: `sluice` and `sluice-…`.
pub fn is_platform_user(user: &str) -> bool {
    user.strip_prefix(RESERVED_USER).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Whether `principal` is `User:` and a platform user.
pub fn is_platform_principal(principal: &str) -> bool {
    principal.strip_prefix("User:").is_some_and(is_platform_user)
}

/// Whether only Kafka and the platform make and write topics of this name.
pub fn is_internal_topic(name: &str, pattern: i8) -> bool {
    (pattern == LITERAL && INTERNAL_TOPICS.contains(&name)) || name.starts_with(PLATFORM_TOPICS)
}

/// Whether a topic is the tenant's: made by it, counted for what it was sold, and nobody else's to change.
pub fn is_tenant_topic(name: &str) -> bool {
    !is_internal_topic(name, LITERAL) && !name.starts_with(CANARY_TOPICS)
}

/// Whether a resource of the type User means, among others, a platform principal (KIP-373).
fn covers_platform_user(name: &str, pattern: i8) -> bool {
    const PLATFORM: &str = "User:sluice";
    name == "*"
        || is_platform_principal(name)
        || (pattern != LITERAL && (PLATFORM.starts_with(name) || name.starts_with(PLATFORM)))
}
