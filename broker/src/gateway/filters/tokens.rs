//! CreateDelegationToken: for oneself or for users of one's own, never for a platform principal
//! (KIP-373 lets a token be made for somebody else).

use super::{Decision, Format, Scope, code};
use crate::gateway::wire::{Reader, Wire, Writer};
use broker_api::acl::is_platform_user;

pub(in crate::gateway) fn create(scope: Scope<'_>, format: Format, body: &[u8]) -> Wire<Decision> {
    if format.version < 3 {
        return Ok(Decision::Forward);
    }
    let mut r = Reader::new(body, format.flexible);
    let (_, owner) = (r.nullable_string()?, r.nullable_string()?);
    let Some(owner) = owner.filter(|owner| is_platform_user(owner)) else { return Ok(Decision::Forward) };
    let mut w = Writer::new(format.flexible);
    w.i16(code::CLUSTER_AUTHORIZATION_FAILED);
    for (kind, name) in [("User", owner), ("User", scope.user.unwrap_or("ANONYMOUS"))] {
        w.string(kind);
        w.string(name);
    }
    for _ in 0..3 {
        w.i64(0); // issued, expires, latest
    }
    w.string(""); // token id
    w.bytes(&[]); // HMAC
    w.i32(0); // throttle time
    w.tags();
    Ok(Decision::Answer(w.bytes))
}
