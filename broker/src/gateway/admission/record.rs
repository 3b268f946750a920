//! What gateways write to the admission logs: to that of groups, each as a topic of one partition. JSON, so that an operator
//! can read it with any consumer.

use serde::{Deserialize, Serialize};

/// Names one request for as long as anybody remembers it: 128 random bits, as hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(in crate::gateway) struct Id(pub(in crate::gateway) u128);

impl From<Id> for String {
    fn from(id: Id) -> Self {
        format!("{:032x}", id.0)
    }
}

impl TryFrom<String> for Id {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        u128::from_str_radix(&text, 16).map(Self)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::gateway) enum Record {
    Intent(Intent),
    End(End),
}

/// Before a request goes to Kafka. The first one of an id counts, and none after an [`End`] of that id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::gateway) struct Intent {
    pub(in crate::gateway) id: Id,
    /// Whose gateway wrote it; for people who read the log.
    pub(in crate::gateway) node: i32,
    /// Empty for who only wants to know what is true now.
    pub(in crate::gateway) topics: Vec<Want>,
}

/// How many partitions a topic is to have: all of them, not how many more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::gateway) struct Want {
    pub(in crate::gateway) topic: String,
    pub(in crate::gateway) partitions: u32,
}

/// What became of topics of a request. Those that it does not name stay open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::gateway) struct End {
    pub(in crate::gateway) id: Id,
    /// Kafka made them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::gateway) made: Vec<String>,
    /// Refused here or by Kafka, or never asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::gateway) not_made: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::gateway) deleted: Vec<Deleted>,
}

/// A topic that Kafka deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::gateway) struct Deleted {
    pub(in crate::gateway) topic: String,
    /// What it was: another topic of this name may exist by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::gateway) topic_id: Option<Id>,
    /// Offset of the intent: whatever was made before it is gone.
    pub(in crate::gateway) since: i64,
}
