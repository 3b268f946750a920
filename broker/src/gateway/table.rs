//! Every API of Kafka 3.9 and 4.3 and what the gateway does with it: the one place that says what
//! clients may ask and what is decoded. What is not here, or is closed here, is not served: the
//! connection ends, as Kafka ends one that asks for an API it does not know.
//!
//! *Relayed* requests are Kafka's to authorise. *Filtered* ones are decoded, in the versions named.
//! *Refused* ones get the protocol's error. *Closed* ones are spoken among brokers and controllers
//! only, have no place in an answer for a refusal, and are not offered to clients.

use super::filters::admitted::Codec;
use super::filters::endpoints::{self, PRODUCE_BY_ID, PRODUCE_BY_NAME, SHARE_ACKNOWLEDGE_1, SHARE_ACKNOWLEDGE_2};
use super::filters::groups::{self, MayMake};
use super::filters::walk::Layout;
use super::filters::{
    RequestFilter, ResponseFilter, acls, addresses, api_versions, configs, internal_topics, log_dirs, partitions,
    quotas, refusal, scram_users, streams, tokens, topics,
};
use super::topic_quotas::Motion;

pub(super) const PRODUCE: i16 = 0;
pub(super) const FETCH: i16 = 1;
pub(super) const SASL_HANDSHAKE: i16 = 17;
pub(super) const API_VERSIONS: i16 = 18;
pub(super) const SASL_AUTHENTICATE: i16 = 36;
pub(super) const SHARE_FETCH: i16 = 78;

/// What becomes of a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum RequestRule {
    Relay,
    /// Relayed, with a look at `acks`; while a topic has a quota, walked for whose records they are.
    Produce,
    /// Relayed; where topics are made that clients name, with a look at whether this client lets them.
    Metadata,
    /// Relayed, with an eye on how much it asks for.
    Fetch,
    /// The start of a login: on SASL paths the gateway takes part in it.
    Login,
    Filter(RequestFilter),
    /// Filtered, and then through admission where the instance has a limit of what it makes.
    Admit(Option<RequestFilter>, &'static Codec),
    /// Relayed, but through admission if it may make a group that is not known, where the instance has a limit of these.
    Group(MayMake, &'static Codec),
    /// Likewise, and filtered of who joins; through admission too if topics may be made for the group.
    Streams(MayMake, &'static Codec),
    /// Answered with a body of ours for the version.
    Refuse(fn(i16) -> Vec<u8>),
    Closed,
}

/// What becomes of the response.
#[derive(Debug, Clone, Copy)]
pub(super) enum ResponseRule {
    Relay,
    /// Edited in place while it streams; if it is short, it tells the path's endpoints.
    Walk(Layout),
    /// Brokers rewritten, topics relayed.
    Metadata,
    Filter(ResponseFilter),
}

#[derive(Debug)]
pub(super) struct Api {
    pub(super) key: i16,
    pub(super) name: &'static str,
    /// Versions that are served: for what is decoded, those that the code knows.
    versions: (i16, i16),
    /// First version in the flexible encoding; only set where a body or header is decoded.
    flexible: i16,
    pub(super) request: RequestRule,
    /// By first version, rising; below the first one responses are relayed.
    responses: &'static [(i16, ResponseRule)],
}

const ANY: (i16, i16) = (0, i16::MAX);
const NEVER: i16 = i16::MAX;

const fn relay(key: i16, name: &'static str) -> Api {
    Api { key, name, versions: ANY, flexible: NEVER, request: RequestRule::Relay, responses: &[] }
}

const fn closed(key: i16, name: &'static str) -> Api {
    Api { request: RequestRule::Closed, ..relay(key, name) }
}

/// `versions` and the first `flexible` one of an API that is decoded.
const fn decoded(key: i16, name: &'static str, newest: i16, flexible: i16) -> Api {
    Api { versions: (0, newest), flexible, ..relay(key, name) }
}

impl Api {
    const fn request(self, request: RequestRule) -> Self {
        Self { request, ..self }
    }

    const fn filter(self, filter: RequestFilter) -> Self {
        self.request(RequestRule::Filter(filter))
    }

    const fn admit(self, filter: Option<RequestFilter>, codec: &'static Codec) -> Self {
        self.request(RequestRule::Admit(filter, codec))
    }

    const fn group(self, may_make: MayMake, codec: &'static Codec) -> Self {
        self.request(RequestRule::Group(may_make, codec))
    }

    const fn refuse(self, answer: fn(i16) -> Vec<u8>) -> Self {
        self.request(RequestRule::Refuse(answer))
    }

    const fn responses(self, responses: &'static [(i16, ResponseRule)]) -> Self {
        Self { responses, ..self }
    }

    /// Whether request and response bodies of `version` are in the flexible encoding.
    pub(super) fn is_flexible(&self, version: i16) -> bool {
        version >= self.flexible
    }

    /// Whether a response's header has tagged fields. That of ApiVersions never has, so that a
    /// client can read it before it knows anything (KIP-511).
    pub(super) fn is_header_flexible(&self, version: i16) -> bool {
        self.key != API_VERSIONS && self.is_flexible(version)
    }

    pub(super) fn response_rule(&self, version: i16) -> ResponseRule {
        let rule = self.responses.iter().rev().find(|(first, _)| *first <= version);
        rule.map_or(ResponseRule::Relay, |(_, rule)| *rule)
    }

    /// The filter of requests.
    pub(super) fn policy(&self) -> Option<RequestFilter> {
        match self.request {
            RequestRule::Filter(filter) => Some(filter),
            RequestRule::Admit(filter, _) => filter,
            RequestRule::Streams(..) => Some(streams::heartbeat),
            _ => None,
        }
    }

    fn is_offered(&self) -> bool {
        !matches!(self.request, RequestRule::Closed | RequestRule::Refuse(_))
    }
}

use RequestRule::{Fetch, Login, Produce};
use ResponseRule::{Filter, Walk};

/// Sorted by key.
pub(super) static TABLE: &[Api] = &[
    decoded(PRODUCE, "Produce", 13, 9)
        .request(Produce)
        .responses(&[(10, Walk(PRODUCE_BY_NAME)), (13, Walk(PRODUCE_BY_ID))]),
    decoded(FETCH, "Fetch", 18, 12).request(Fetch).responses(&[(16, Walk(endpoints::FETCH))]),
    relay(2, "ListOffsets"),
    decoded(3, "Metadata", 13, 9).request(RequestRule::Metadata).responses(&[(0, ResponseRule::Metadata)]),
    closed(4, "LeaderAndIsr"),
    closed(5, "StopReplica"),
    closed(6, "UpdateMetadata"),
    closed(7, "ControlledShutdown"),
    decoded(8, "OffsetCommit", 10, 8).group(groups::commits, &groups::OFFSET_COMMIT),
    relay(9, "OffsetFetch"),
    decoded(10, "FindCoordinator", 6, 3).responses(&[(0, Filter(addresses::find_coordinator))]),
    decoded(11, "JoinGroup", 9, 6).group(groups::joins, &groups::JOIN_GROUP),
    relay(12, "Heartbeat"),
    relay(13, "LeaveGroup"),
    relay(14, "SyncGroup"),
    relay(15, "DescribeGroups"),
    relay(16, "ListGroups"),
    decoded(SASL_HANDSHAKE, "SaslHandshake", 1, NEVER).request(Login),
    // A newer version is answered with the range of this one.
    Api { versions: ANY, ..decoded(API_VERSIONS, "ApiVersions", 4, 3) }
        .filter(api_versions::request)
        .responses(&[(0, Filter(api_versions::response))]),
    decoded(19, "CreateTopics", 7, 5).admit(Some(topics::create), &partitions::CREATE_TOPICS),
    decoded(20, "DeleteTopics", 6, 4).admit(None, &partitions::DELETE_TOPICS),
    relay(21, "DeleteRecords"),
    relay(22, "InitProducerId"),
    relay(23, "OffsetForLeaderEpoch"),
    relay(24, "AddPartitionsToTxn"),
    relay(25, "AddOffsetsToTxn"),
    relay(26, "EndTxn"),
    decoded(27, "WriteTxnMarkers", 2, 1).filter(internal_topics::mark),
    decoded(28, "TxnOffsetCommit", 5, 3).group(groups::commits_in_transaction, &groups::TXN_OFFSET_COMMIT),
    decoded(29, "DescribeAcls", 3, 2).responses(&[(0, Filter(acls::describe))]),
    decoded(30, "CreateAcls", 3, 2).filter(acls::create),
    decoded(31, "DeleteAcls", 3, 2).filter(acls::delete),
    decoded(32, "DescribeConfigs", 4, 4).responses(&[(0, Filter(configs::describe))]),
    decoded(33, "AlterConfigs", 2, 2).filter(configs::alter),
    relay(34, "AlterReplicaLogDirs"),
    decoded(35, "DescribeLogDirs", 5, 2).responses(&[(0, Filter(log_dirs::describe))]),
    decoded(SASL_AUTHENTICATE, "SaslAuthenticate", 2, 2),
    decoded(37, "CreatePartitions", 3, 2).admit(None, &partitions::CREATE_PARTITIONS),
    decoded(38, "CreateDelegationToken", 3, 2).filter(tokens::create),
    relay(39, "RenewDelegationToken"),
    relay(40, "ExpireDelegationToken"),
    relay(41, "DescribeDelegationToken"),
    decoded(42, "DeleteGroups", 2, 2).admit(None, &groups::DELETE_GROUPS),
    relay(43, "ElectLeaders"),
    decoded(44, "IncrementalAlterConfigs", 1, 1).filter(configs::alter_incrementally),
    decoded(45, "AlterPartitionReassignments", 1, 0).filter(internal_topics::reassign),
    relay(46, "ListPartitionReassignments"),
    relay(47, "OffsetDelete"),
    decoded(48, "DescribeClientQuotas", 1, 1).responses(&[(0, Filter(quotas::describe))]),
    decoded(49, "AlterClientQuotas", 1, 1).filter(quotas::alter),
    decoded(50, "DescribeUserScramCredentials", 0, 0).responses(&[(0, Filter(scram_users::describe))]),
    decoded(51, "AlterUserScramCredentials", 0, 0).filter(scram_users::alter),
    closed(52, "Vote"),
    closed(53, "BeginQuorumEpoch"),
    closed(54, "EndQuorumEpoch"),
    decoded(55, "DescribeQuorum", 2, 0).responses(&[(2, Filter(addresses::describe_quorum))]),
    closed(56, "AlterPartition"),
    decoded(57, "UpdateFeatures", 2, 0).refuse(refusal::update_features),
    closed(58, "Envelope"),
    closed(59, "FetchSnapshot"),
    decoded(60, "DescribeCluster", 2, 0)
        .filter(addresses::describe_cluster_request)
        .responses(&[(0, Filter(addresses::describe_cluster))]),
    relay(61, "DescribeProducers"),
    closed(62, "BrokerRegistration"),
    closed(63, "BrokerHeartbeat"),
    decoded(64, "UnregisterBroker", 0, 0).refuse(refusal::membership),
    relay(65, "DescribeTransactions"),
    relay(66, "ListTransactions"),
    closed(67, "AllocateProducerIds"),
    decoded(68, "ConsumerGroupHeartbeat", 1, 0).group(groups::first_beat, &groups::MEMBER_HEARTBEAT),
    relay(69, "ConsumerGroupDescribe"),
    closed(70, "ControllerRegistration"),
    relay(71, "GetTelemetrySubscriptions"),
    relay(72, "PushTelemetry"),
    closed(73, "AssignReplicasToDirs"),
    relay(74, "ListConfigResources"),
    relay(75, "DescribeTopicPartitions"),
    decoded(76, "ShareGroupHeartbeat", 1, 0).group(groups::first_beat, &groups::MEMBER_HEARTBEAT),
    relay(77, "ShareGroupDescribe"),
    Api { versions: (1, 2), ..decoded(SHARE_FETCH, "ShareFetch", 2, 0) }
        .responses(&[(1, Walk(endpoints::SHARE_FETCH))]),
    Api { versions: (1, 2), ..decoded(79, "ShareAcknowledge", 2, 0) }
        .responses(&[(1, Walk(SHARE_ACKNOWLEDGE_1)), (2, Walk(SHARE_ACKNOWLEDGE_2))]),
    decoded(80, "AddRaftVoter", 1, 0).refuse(refusal::membership),
    decoded(81, "RemoveRaftVoter", 0, 0).refuse(refusal::membership),
    closed(82, "UpdateRaftVoter"),
    closed(83, "InitializeShareGroupState"),
    closed(84, "ReadShareGroupState"),
    closed(85, "WriteShareGroupState"),
    closed(86, "DeleteShareGroupState"),
    closed(87, "ReadShareGroupStateSummary"),
    decoded(88, "StreamsGroupHeartbeat", 0, 0)
        .request(RequestRule::Streams(groups::first_beat, &groups::STREAMS_HEARTBEAT)),
    relay(89, "StreamsGroupDescribe"),
    relay(90, "DescribeShareGroupOffsets"),
    decoded(91, "AlterShareGroupOffsets", 0, 0).group(groups::sets_share_offsets, &groups::ALTER_SHARE_OFFSETS),
    relay(92, "DeleteShareGroupOffsets"),
];

/// Position of an API in the table. Keys are dense, so it is the key.
pub(super) fn index(key: i16) -> Option<usize> {
    usize::try_from(key).ok().filter(|&index| TABLE.get(index).is_some_and(|api| api.key == key))
}

/// Names of all APIs, in the table's order.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|api| api.name)
}

pub(super) fn name(key: i16) -> &'static str {
    index(key).map_or("an unknown API", |index| TABLE[index].name)
}

/// Which way records go with requests of this API, or with the responses: those take of the broker's bandwidth.
pub(super) fn moves_records(key: i16) -> Option<Motion> {
    match key {
        PRODUCE => Some(Motion::Produce),
        FETCH | SHARE_FETCH => Some(Motion::Consume),
        _ => None,
    }
}

/// The API, if this version of it is served.
pub(super) fn find(key: i16, version: i16) -> Option<&'static Api> {
    let api = &TABLE[index(key)?];
    let (least, most) = api.versions;
    let served = (least..=most).contains(&version) && !matches!(api.request, RequestRule::Closed);
    served.then_some(api)
}

/// The range of versions to offer of an API that Kafka serves from `least` to `most`.
pub(super) fn offered(key: i16, least: i16, most: i16) -> Option<(i16, i16)> {
    let api = &TABLE[index(key)?];
    let limit = if key == API_VERSIONS { api_versions::NEWEST } else { api.versions.1 };
    let range = (least.max(api.versions.0), most.min(limit));
    (api.is_offered() && range.0 <= range.1).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::ApiKey;

    #[test]
    fn keys_are_dense_so_that_an_index_is_a_key() {
        for (index, api) in TABLE.iter().enumerate() {
            assert_eq!(usize::try_from(api.key), Ok(index), "{}", api.name);
        }
    }

    #[test]
    fn every_decoded_api_knows_where_the_flexible_encoding_starts() {
        for api in TABLE.iter().filter(|api| api.versions != ANY || api.key == API_VERSIONS) {
            // What the library does not know is held against Kafka's own definitions (`tests::every_message`).
            let Ok(key) = ApiKey::try_from(api.key) else { continue };
            // Below these the library guesses.
            let known = key.valid_versions().min;
            for version in api.versions.0.max(known)..=api.versions.1.min(20) {
                assert_eq!(
                    api.is_flexible(version),
                    key.request_header_version(version) >= 2,
                    "{} {version}",
                    api.name
                );
                let header = key.response_header_version(version) >= 1;
                assert_eq!(api.is_header_flexible(version), header, "{} {version} response", api.name);
            }
        }
    }
}
