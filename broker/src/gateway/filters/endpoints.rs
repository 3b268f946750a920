//! `NodeEndpoints` (KIP-951) in Produce, Fetch, ShareFetch and ShareAcknowledge responses: where the leader is that
//! `CurrentLeader` names.
//!
//! A short response is here whole, and [tells](told) the addresses of the path. A long one streams, and its endpoints are
//! hidden without a change of its length: in Produce and Fetch they are tagged field 0 of the last section, whose tag becomes
//! 127, which no client knows and every client skips; in the share APIs they are a plain array at the end, which becomes
//! an empty one, its bytes the content of such a tag. Either way the bytes that held hosts and ports are zeroed. The Java client
//! then follows a leader by the address that metadata told it; franz-go, and librdkafka for Fetch, ask for metadata first.

use super::Scope;
use super::addresses::put_nodes;
use super::walk::Layout;
use super::walk::Op::{self, Blob, Each, EndpointTags, Endpoints, Skip, Tags};
use crate::gateway::frame::sealed;
use crate::gateway::wire::{Malformed, Reader, Wire, Writer};

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

/// A layout without the part that may tell endpoints, and that part.
pub(in crate::gateway) fn split(layout: Layout) -> Option<(Layout, Op)> {
    let (end, before) = layout.split_last()?;
    matches!(end, EndpointTags | Endpoints).then_some((before, *end))
}

/// The whole `frame` with the addresses of the path, if it tells endpoints, in the part that begins at `at`.
pub(in crate::gateway) fn told(scope: Scope<'_>, end: Op, frame: &[u8], at: usize) -> Wire<Option<Vec<u8>>> {
    let (before, rest) = frame.split_at_checked(at).ok_or(Malformed::Short)?;
    // Only flexible versions tell endpoints.
    let (mut r, mut w) = (Reader::new(rest, true), Writer::new(true));
    let count = r.uvarint()?;
    let none = match end {
        Endpoints => count <= 1,
        _ => count == 0,
    };
    if none {
        if matches!(end, Endpoints) {
            r.tags()?;
        }
        r.end()?;
        return Ok(None);
    }
    w.raw(before);
    if matches!(end, Endpoints) {
        r = Reader::new(rest, true);
        put_nodes(&mut w, scope, &mut r, true)?;
        w.raw(r.rest());
        r.tags()?;
    } else {
        let mut tells = false;
        w.uvarint(count);
        for _ in 0..count {
            let (tag, size) = (r.uvarint()?, r.uvarint()?);
            let content = r.take(usize::try_from(size).map_err(|_| Malformed::Length)?)?;
            let mut nodes = Writer::new(true);
            if tag == 0 {
                tells = true;
                let mut r = Reader::new(content, true);
                put_nodes(&mut nodes, scope, &mut r, true)?;
                r.end()?;
            } else {
                nodes.raw(content);
            }
            w.uvarint(tag);
            w.uvarint(u32::try_from(nodes.bytes.len()).map_err(|_| Malformed::Length)?);
            w.raw(&nodes.bytes);
        }
        if !tells {
            return r.end().map(|()| None);
        }
    }
    r.end()?;
    Ok(Some(sealed(w.bytes)))
}
