//! How messages that carry records are laid out: read over while they stream by, where a topic has a quota, to know whose bytes
//! pass. The layouts hold for every version that Kafka 3.9 and 4.x serve; `tests::walked` holds them against Kafka's own definitions.

use super::endpoints::HEADER;
use super::walk::Layout;
use super::walk::Op::{self, Each, EndpointTags, Endpoints, ErrorCode, Id, Name, Records, Skip, Tags, Text, Throttle};

/// ProduceRequest of this version, after the request's header.
pub(in crate::gateway) const fn produce(version: i16) -> Layout {
    match version {
        ..=2 => PRODUCE_0,
        3..=12 => PRODUCE_3,
        13.. => PRODUCE_13,
    }
}

/// Acks, time-out.
const HEAD: Op = Skip(2 + 4);
const PRODUCED: Op = Each(&[Skip(4), Records, Tags]);
const PRODUCE_0: Layout = &[HEAD, Each(&[Name, PRODUCED, Tags]), Tags];
const PRODUCE_3: Layout = &[Text, HEAD, Each(&[Name, PRODUCED, Tags]), Tags];
const PRODUCE_13: Layout = &[Text, HEAD, Each(&[Id, PRODUCED, Tags]), Tags];

/// ProduceResponse of this version, its header with it: what became of the records, and the throttle time, which the first version
/// does not have; endpoints are as ever.
pub(in crate::gateway) const fn produced(version: i16) -> Layout {
    match version {
        ..=0 => &[HEADER, Each(&[Name, Each(&[Skip(4), ErrorCode, Skip(8)])])],
        1 => &[HEADER, Each(&[Name, Each(&[Skip(4), ErrorCode, Skip(8)])]), Throttle],
        2..=4 => &[HEADER, Each(&[Name, Each(&[Skip(4), ErrorCode, Skip(8 + 8)])]), Throttle],
        5..=7 => &[HEADER, Each(&[Name, Each(&[Skip(4), ErrorCode, Skip(8 + 8 + 8)])]), Throttle],
        8..=9 => &[HEADER, Tags, Each(&[Name, Each(PRODUCED_8), Tags]), Throttle, Tags],
        10..=12 => &[HEADER, Tags, Each(&[Name, Each(PRODUCED_8), Tags]), Throttle, EndpointTags],
        13.. => &[HEADER, Tags, Each(&[Id, Each(PRODUCED_8), Tags]), Throttle, EndpointTags],
    }
}

const PRODUCED_8: Layout = &[Skip(4), ErrorCode, Skip(8 + 8 + 8), Each(&[Skip(4), Text, Tags]), Text, Tags];

/// FetchResponse of this version, its header with it; endpoints are as ever.
pub(in crate::gateway) const fn fetch(version: i16) -> Layout {
    match version {
        ..=0 => &[HEADER, FETCHED_0],
        1..=3 => &[HEADER, Skip(4), FETCHED_0],
        4 => &[HEADER, Skip(4), Each(&[Name, Each(FETCHED_4)])],
        5..=6 => &[HEADER, Skip(4), Each(&[Name, Each(FETCHED_5)])],
        7..=10 => &[HEADER, Skip(4 + 2 + 4), Each(&[Name, Each(FETCHED_5)])],
        11..=12 => &[HEADER, Tags, Skip(4 + 2 + 4), Each(&[Name, Each(FETCHED_11), Tags]), Tags],
        13..=15 => &[HEADER, Tags, Skip(4 + 2 + 4), Each(&[Id, Each(FETCHED_11), Tags]), Tags],
        16.. => &[HEADER, Tags, Skip(4 + 2 + 4), Each(&[Id, Each(FETCHED_11), Tags]), EndpointTags],
    }
}

const FETCHED_0: Op = Each(&[Name, Each(&[Skip(4 + 2 + 8), Records])]);
const ABORTED: Op = Each(&[Skip(8 + 8), Tags]);
const FETCHED_4: Layout = &[Skip(4 + 2 + 8 + 8), ABORTED, Records];
const FETCHED_5: Layout = &[Skip(4 + 2 + 8 + 8 + 8), ABORTED, Records];
const FETCHED_11: Layout = &[Skip(4 + 2 + 8 + 8 + 8), ABORTED, Skip(4), Records, Tags];

/// ShareFetchResponse 1–2, as [`endpoints::SHARE_FETCH`].
pub(in crate::gateway) const SHARE_FETCH: Layout =
    &[HEADER, Tags, Skip(4 + 2), Text, Skip(4), Each(&[Id, Each(SHARE_FETCHED), Tags]), Endpoints];
const SHARE_FETCHED: Layout =
    &[Skip(4 + 2), Text, Skip(2), Text, Skip(4 + 4), Tags, Records, Each(&[Skip(8 + 8 + 2), Tags]), Tags];
