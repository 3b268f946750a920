//! What is changed or refused on the way, one file a subject. Pure functions on message bodies:
//! no I/O, no waiting, no state but the snapshot and who asks.

pub(super) mod acls;
pub(super) mod addresses;
pub(super) mod admitted;
pub(super) mod api_versions;
pub(super) mod auto_create;
pub(super) mod configs;
pub(super) mod endpoints;
pub(super) mod fetch;
pub(super) mod full_disk;
pub(super) mod groups;
pub(super) mod internal_topics;
pub(super) mod log_dirs;
pub(super) mod partitions;
pub(super) mod produce;
pub(super) mod quotas;
pub(super) mod records;
pub(super) mod refusal;
pub(super) mod scram_users;
pub(super) mod split;
pub(super) mod streams;
pub(super) mod tokens;
pub(super) mod topics;
pub(super) mod walk;

use super::snapshot::Snapshot;
use super::wire::Wire;
use broker_api::spec::AccessPath;

/// Who asks, and what is in force.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) path: AccessPath,
    /// The user who logged in; `None` is Kafka's `User:ANONYMOUS`.
    pub(super) user: Option<&'a str>,
    pub(super) snapshot: &'a Snapshot,
}

/// Version and encoding of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) version: i16,
    pub(super) flexible: bool,
}

/// Completes Kafka's answer to an amended request: body in, body out.
pub(super) type Merge = Box<dyn FnOnce(&[u8]) -> Wire<Vec<u8>> + Send>;

/// What becomes of a request.
pub(super) enum Decision {
    /// As it is.
    Forward,
    /// With this body; the answer is completed by `merge`, which holds so many bytes for it.
    Amend { body: Vec<u8>, merge: Merge, own_bytes: usize },
    /// Not at all: this is the answer's body.
    Answer(Vec<u8>),
}

pub(super) type RequestFilter = fn(Scope<'_>, Format, &[u8]) -> Wire<Decision>;
/// Gives the body that the client gets.
pub(super) type ResponseFilter = fn(Scope<'_>, Format, &[u8]) -> Wire<Vec<u8>>;

/// Kafka's error codes that the gateway answers with.
pub(super) mod code {
    pub(in crate::gateway) const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
    pub(in crate::gateway) const LEADER_NOT_AVAILABLE: i16 = 5;
    pub(in crate::gateway) const REQUEST_TIMED_OUT: i16 = 7;
    pub(in crate::gateway) const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
    pub(in crate::gateway) const COORDINATOR_NOT_AVAILABLE: i16 = 15;
    pub(in crate::gateway) const NOT_COORDINATOR: i16 = 16;
    pub(in crate::gateway) const INVALID_GROUP_ID: i16 = 24;
    pub(in crate::gateway) const TOPIC_AUTHORIZATION_FAILED: i16 = 29;
    pub(in crate::gateway) const GROUP_AUTHORIZATION_FAILED: i16 = 30;
    pub(in crate::gateway) const CLUSTER_AUTHORIZATION_FAILED: i16 = 31;
    pub(in crate::gateway) const UNSUPPORTED_SASL_MECHANISM: i16 = 33;
    pub(in crate::gateway) const ILLEGAL_SASL_STATE: i16 = 34;
    pub(in crate::gateway) const UNSUPPORTED_VERSION: i16 = 35;
    pub(in crate::gateway) const INVALID_CONFIG: i16 = 40;
    pub(in crate::gateway) const INVALID_REQUEST: i16 = 42;
    pub(in crate::gateway) const POLICY_VIOLATION: i16 = 44;
    pub(in crate::gateway) const SASL_AUTHENTICATION_FAILED: i16 = 58;
    pub(in crate::gateway) const GROUP_ID_NOT_FOUND: i16 = 69;
    pub(in crate::gateway) const UNACCEPTABLE_CREDENTIAL: i16 = 93;
    pub(in crate::gateway) const MISMATCHED_ENDPOINT_TYPE: i16 = 114;
    pub(in crate::gateway) const STREAMS_INVALID_TOPOLOGY: i16 = 130;
    /// Answers to CreateTopics and CreatePartitions after which what was asked for is there. By whom, they do not say: a broker
    /// that loses its controller asks again, and hears that a topic exists, or has so many partitions, by its own first asking.
    pub(in crate::gateway) const MADE: [i16; 3] = [
        0, 36, // topic exists
        37, // invalid partitions
    ];
    /// Answers to CreateTopics and CreatePartitions after which nothing will be made. Others, such as a time-out or a
    /// controller that resigned, leave it open (org.apache.kafka.common.protocol.Errors).
    pub(in crate::gateway) const MADE_NOTHING: [i16; 15] = [
        UNKNOWN_TOPIC_OR_PARTITION,
        17, // invalid topic
        TOPIC_AUTHORIZATION_FAILED,
        CLUSTER_AUTHORIZATION_FAILED,
        UNSUPPORTED_VERSION,
        38, // invalid replication factor
        39, // invalid replica assignment
        INVALID_CONFIG,
        INVALID_REQUEST,
        43, // unsupported format
        POLICY_VIOLATION,
        58, // login failed
        60, // reassignment in progress
        87, // invalid record
        89, // throttled
    ];
    /// Answers after which there is the group that was asked for.
    pub(in crate::gateway) const IN_A_GROUP: [i16; 6] = [
        0, 23, // other members speak another protocol
        27, // it rebalances
        79, // ask again with this member id
        81, // it has all the members that it may have
        82, // another member has this instance id
    ];
    /// Answers after which the group that was asked for was not made.
    pub(in crate::gateway) const NO_GROUP_MADE: [i16; 12] = [
        UNKNOWN_TOPIC_OR_PARTITION,
        COORDINATOR_LOAD_IN_PROGRESS,
        COORDINATOR_NOT_AVAILABLE,
        NOT_COORDINATOR,
        INVALID_GROUP_ID,
        26, // session time-out out of bounds
        TOPIC_AUTHORIZATION_FAILED,
        GROUP_AUTHORIZATION_FAILED,
        UNSUPPORTED_VERSION,
        INVALID_REQUEST,
        GROUP_ID_NOT_FOUND,
        112, // no such assignor
    ];
}
