//! Kafka's access control lists of an instance. They live in Kafka; discriminants are the codes of its protocol.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Most bindings of one request.
pub const MAX_BINDINGS: usize = 1000;

/// An enum whose discriminants are Kafka's codes, with the way back.
macro_rules! coded {
    ($(#[$doc:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $code:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "kebab-case")]
        #[repr(i8)]
        pub enum $name {$($(#[$inner])* $variant = $code,)*}

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// As Kafka's protocol has it.
            pub fn code(self) -> i8 {
                self as i8
            }

            /// `None` for what this version does not know.
            pub fn from_code(code: i8) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.code() == code)
            }
        }
    };
}

coded! {
    /// Kafka's `ResourceType`.
    AclResource {
        Topic = 2,
        Group = 3,
        Cluster = 4,
        TransactionalId = 5,
        DelegationToken = 6,
        User = 7,
    }
}

coded! {
    /// Kafka's `PatternType`: the name itself (`*` for every name), or all names that begin so.
    #[derive(Default)]
    AclPattern {
        #[default]
        Literal = 3,
        Prefixed = 4,
    }
}

coded! {
    /// Kafka's `PatternType` in a filter.
    #[derive(Default)]
    AclPatternFilter {
        /// Either kind.
        #[default]
        Any = 1,
        /// Every binding that holds for the name: literal, prefixed, and `*`.
        Match = 2,
        Literal = 3,
        Prefixed = 4,
    }
}

coded! {
    /// Kafka's `AclOperation`.
    AclOperation {
        All = 2,
        Read = 3,
        Write = 4,
        Create = 5,
        Delete = 6,
        Alter = 7,
        Describe = 8,
        ClusterAction = 9,
        DescribeConfigs = 10,
        AlterConfigs = 11,
        IdempotentWrite = 12,
        CreateTokens = 13,
        DescribeTokens = 14,
        TwoPhaseCommit = 15,
    }
}

coded! {
    /// Kafka's `AclPermissionType`. A denial wins over every permission.
    #[derive(Default)]
    AclPermission {
        Deny = 2,
        #[default]
        Allow = 3,
    }
}

/// Who may, or may not, do what on which resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AclBinding {
    pub resource_type: AclResource,
    /// 1 to 255 characters; `*` with the pattern `literal` is every name, `kafka-cluster` the one of the type cluster.
    #[schema(examples("orders"))]
    pub resource_name: String,
    /// `literal` when it is not given.
    #[serde(default)]
    pub pattern_type: AclPattern,
    /// `User:` and a name; `User:*` for everybody, `User:ANONYMOUS` for clients without a login.
    #[schema(examples("User:shop"))]
    pub principal: String,
    /// Only `*`: a binding for other hosts would never match behind the gateway, so it is refused.
    #[serde(default = "any_host")]
    #[schema(examples("*"))]
    pub host: String,
    pub operation: AclOperation,
    /// `allow` when it is not given.
    #[serde(default)]
    pub permission: AclPermission,
}

fn any_host() -> String {
    "*".to_owned()
}

/// Bindings that fit every member that is set, as Kafka's own filters do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AclFilter {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub resource_type: Option<AclResource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_name: Option<String>,
    /// How `resource_name` is compared; `any` when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub pattern_type: Option<AclPatternFilter>,
    /// `User:shop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub operation: Option<AclOperation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub permission: Option<AclPermission>,
}

/// Bindings to be made. Those that are there already stay as they are.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAcls {
    /// 1 to 1000.
    pub bindings: Vec<AclBinding>,
}
