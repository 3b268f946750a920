//! Topics that a node makes, grows and deletes for the control plane: the requests and answers of [`crate::paths::TOPICS`].

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Asks for a change of one topic of the tenant. It goes through the instance's admission, as a client's request does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeTopic {
    pub topic: String,
    pub change: TopicChange,
    /// Only asks what would happen. A deletion can't be asked so: Kafka has no such request.
    #[serde(default)]
    pub validate_only: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TopicChange {
    Create(NewTopic),
    Grow {
        /// How many partitions it is to have in all.
        partitions: u32,
    },
    Delete,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTopic {
    pub partitions: u32,
    pub replicas: u16,
    /// Kafka's names and values; all others stay at the broker's defaults.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
}

/// What became of it. An answer that is none of these (503) leaves it open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TopicOutcome {
    Done,
    /// The instance has no room; nothing was done.
    Full(Shortage),
    /// Whether there is room can't be told now; nothing was done, and trying again helps.
    Undecided {
        message: String,
    },
    /// Refused by Kafka, or by what holds for every client; nothing was done, unless it is a time-out of Kafka's (7).
    Refused {
        /// Kafka's error code.
        error: i16,
        message: String,
    },
}

/// What of a limit was not left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    pub limit: u64,
    pub used: u64,
    /// More than are used.
    pub wanted: u64,
}
