//! Answers to requests that are refused whatever they say.

use super::code;
use crate::gateway::wire::Writer;

const REASON: &str = "this operation belongs to the platform and is not open to clients";

/// UpdateFeatures.
pub(in crate::gateway) fn update_features(version: i16) -> Vec<u8> {
    let mut w = refused();
    if version < 2 {
        w.array(0); // results by feature
    }
    w.tags();
    w.bytes
}

/// UnregisterBroker, AddRaftVoter, RemoveRaftVoter.
pub(in crate::gateway) fn membership(_: i16) -> Vec<u8> {
    let mut w = refused();
    w.tags();
    w.bytes
}

fn refused() -> Writer {
    let mut w = Writer::new(true);
    w.i32(0); // throttle time
    w.i16(code::CLUSTER_AUTHORIZATION_FAILED);
    w.nullable_string(Some(REASON));
    w
}
