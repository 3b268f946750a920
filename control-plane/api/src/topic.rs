//! Topics of an instance. Kafka keeps them, and is asked each time.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// Most topics of a page.
pub const MAX_TOPICS_LISTED: u32 = 1000;

/// A topic at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TopicSummary {
    #[schema(examples("orders"))]
    pub name: String,
    pub partition_count: u32,
    /// Of each partition; the most, where they differ.
    pub replicas: u32,
    /// Kafka's own: to be read, and neither changed nor deleted. It does not count for what was bought.
    pub internal: bool,
    /// Partitions of which a replica is not in sync.
    pub under_replicated: u32,
    /// Partitions that nobody leads now, and that so take and give nothing.
    pub leaderless: u32,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Topic {
    #[serde(flatten)]
    pub summary: TopicSummary,
    /// By number.
    pub partitions: Vec<TopicPartition>,
    /// Settings of the topic's own, by Kafka's names; all others are as the brokers have them.
    pub config: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TopicPartition {
    pub partition: i32,
    /// Id of the broker that clients write to and read from; null while there is none.
    pub leader: Option<i32>,
    /// Ids of brokers, the preferred leader first.
    pub replicas: Vec<i32>,
    pub in_sync_replicas: Vec<i32>,
}

/// Which topics, in which order, and how many.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TopicQuery {
    /// Rows a page, 1 to 1000; 50 by default.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// `exact` to have `total` in the answer.
    pub count: Option<String>,
    /// Contained in the name.
    pub q: Option<String>,
    /// `name` (default), `-name`, `partitions` or `-partitions`.
    pub sort: Option<String>,
    /// Kafka's own topics too. Those of the platform are never shown.
    pub internal: Option<bool>,
}

/// A topic to be made.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTopic {
    /// 1 to 249 letters, digits, `-` and `_`, not beginning with `_`; made when it is not given. It can't be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(examples("orders"))]
    pub name: Option<String>,
    /// 1 to 20; 3 when it is not given. More can be added later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 20)]
    pub partitions: Option<u32>,
    /// 1 to 3, and not more than there are brokers; 3 when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3)]
    pub replicas: Option<u16>,
    /// Settings by Kafka's names, values as Kafka writes them: `retention.ms`, `min.insync.replicas`, `cleanup.policy`…
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
}

/// JSON merge patch (RFC 7396) of a topic.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateTopic {
    /// How many it is to have in all: not fewer than it has, and at most 100. Records with a key go to other partitions than before.
    #[serde(default, deserialize_with = "crate::patch::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1, maximum = 100)]
    pub partitions: Option<u32>,
}
