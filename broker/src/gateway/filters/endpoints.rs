//! Hides `NodeEndpoints` (KIP-951) in Produce, Fetch, ShareFetch and ShareAcknowledge responses
//! while they stream by, without changing their length.
//!
//! In Produce and Fetch the endpoints are tagged field 0 of the last section: the tag becomes 127,
//! which no client knows and every client skips. In the share APIs they are a plain array at the
//! end: it becomes an empty array, and its bytes the content of such a tag. Either way the bytes
//! that held hosts and ports are zeroed. `CurrentLeader` stays, so a client still follows a leader
//! at once, by the address that its metadata named (performance-reliability.md §5).

use super::walk::Layout;
use super::walk::Op::{self, Blob, Each, EndpointTags, Endpoints, Skip, Tags};

/// Frame length, correlation id.
pub(super) const HEADER: Op = Skip(8);
const UUID: Op = Skip(16);

/// FetchResponse 16–18.
pub(in crate::gateway) const FETCH: Layout = &[HEADER, Tags, Skip(4 + 2 + 4), Each(FETCH_TOPIC), EndpointTags];
const FETCH_TOPIC: Layout = &[UUID, Each(FETCH_PARTITION), Tags];
const FETCH_PARTITION: Layout = &[Skip(4 + 2 + 8 + 8 + 8), Each(&[Skip(16), Tags]), Skip(4), Blob, Tags];

/// ProduceResponse 10–12, and 13, which names topics by id.
pub(in crate::gateway) const PRODUCE_BY_NAME: Layout = &[HEADER, Tags, Each(PRODUCE_TOPIC_NAME), Skip(4), EndpointTags];
pub(in crate::gateway) const PRODUCE_BY_ID: Layout = &[HEADER, Tags, Each(PRODUCE_TOPIC_ID), Skip(4), EndpointTags];
const PRODUCE_TOPIC_NAME: Layout = &[Blob, Each(PRODUCE_PARTITION), Tags];
const PRODUCE_TOPIC_ID: Layout = &[UUID, Each(PRODUCE_PARTITION), Tags];
const PRODUCE_PARTITION: Layout = &[Skip(4 + 2 + 8 + 8 + 8), Each(&[Skip(4), Blob, Tags]), Blob, Tags];

/// ShareFetchResponse 1–2.
pub(in crate::gateway) const SHARE_FETCH: Layout =
    &[HEADER, Tags, Skip(4 + 2), Blob, Skip(4), Each(SHARE_FETCH_TOPIC), Endpoints];
const SHARE_FETCH_TOPIC: Layout = &[UUID, Each(SHARE_FETCH_PARTITION), Tags];
const SHARE_FETCH_PARTITION: Layout =
    &[Skip(4 + 2), Blob, Skip(2), Blob, Skip(4 + 4), Tags, Blob, Each(&[Skip(8 + 8 + 2), Tags]), Tags];

/// ShareAcknowledgeResponse 1, and 2, which adds the lock's duration.
pub(in crate::gateway) const SHARE_ACKNOWLEDGE_1: Layout =
    &[HEADER, Tags, Skip(4 + 2), Blob, Each(SHARE_ACKNOWLEDGE_TOPIC), Endpoints];
pub(in crate::gateway) const SHARE_ACKNOWLEDGE_2: Layout =
    &[HEADER, Tags, Skip(4 + 2), Blob, Skip(4), Each(SHARE_ACKNOWLEDGE_TOPIC), Endpoints];
const SHARE_ACKNOWLEDGE_TOPIC: Layout = &[UUID, Each(&[Skip(4 + 2), Blob, Skip(4 + 4), Tags, Tags]), Tags];
