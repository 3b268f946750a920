//! Why a node refused a request: the body of every answer of 400 and above.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub code: RefusalCode,
    /// What, where, and what would be accepted; without secrets.
    pub detail: String,
    /// Generation in force at the node, where that is what the request lost against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalCode {
    /// The body is no node spec: not JSON, a field missing, unknown or of the wrong type (400).
    Malformed,
    /// The spec is another node's (422).
    ForeignIdentity,
    /// The spec cannot be served: a certificate, address or number is wrong (422).
    Unservable,
    /// A newer generation is in force (409).
    StaleGeneration,
    /// The generation in force has this number and other content (409).
    GenerationReused,
    /// The node could not do it now; the same request may succeed later (503).
    Unavailable,
    /// No such path or method (404, 405).
    NotFound,
}
