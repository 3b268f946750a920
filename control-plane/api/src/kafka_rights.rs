//! What a Kafka user may do, in plain words. Each word stands for a set of ACL bindings, and for nothing else: what is
//! granted in words is seen in the ACLs, and the other way round.
//!
//! A name is written as people write it: `orders` is that one, `orders-*` all that begin with `orders-`, `*` all.

use crate::acl::AclBinding;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What a user may do with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TopicRight {
    /// Write, idempotently too.
    Produce,
    /// Read.
    Consume,
    /// Create, delete, trim, add partitions, see and change settings.
    Manage,
}

impl TopicRight {
    pub const ALL: [Self; 3] = [Self::Produce, Self::Consume, Self::Manage];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Produce => "produce",
            Self::Consume => "consume",
            Self::Manage => "manage",
        }
    }
}

/// Rights on a topic, or on all topics that begin alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TopicRights {
    #[schema(examples("orders-*"))]
    pub topic: String,
    pub rights: Vec<TopicRight>,
}

/// What a Kafka user may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KafkaRights {
    pub user: String,
    pub topics: Vec<TopicRights>,
    /// Consumer groups that it may join.
    pub groups: Vec<String>,
    /// Transactional ids that it may write under.
    pub transactional_ids: Vec<String>,
    /// Its bindings that these words do not say: denials, single operations, rights on the cluster.
    pub other: Vec<AclBinding>,
    /// False while the instance's authorization is `open`: everybody may use all topics and groups, and only denials count.
    pub in_force: bool,
}

/// What the user is to have beside what it has.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantKafkaRights {
    /// A name, or its beginning and `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(examples("orders-*"))]
    pub topic: Option<String>,
    /// On the topic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rights: Vec<TopicRight>,
    /// Consumer groups that it may join; needed with `consume`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(examples("shop-*"))]
    pub group: Option<String>,
    /// Transactional ids that it may write under; for producers with transactions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(examples("shop-*"))]
    pub transactional_id: Option<String>,
}

/// What the user is to lose. Names are compared as they were granted: `orders` takes nothing from `orders-*`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RevokeKafkaRights {
    /// As it was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Of the topic, separated by commas: `produce,consume`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rights: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactional_id: Option<String>,
    /// Everything that the user has, denials among it. Alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}
