//! Users with SCRAM: a tenant's users are theirs, the platform's name space is not (kafka.md findings 2 and 16), and is not
//! shown. Nobody makes users without having logged in.

use super::split::{self, Refusal, Shape};
use super::{Decision, Format, Scope, code};
use crate::gateway::wire::{Reader, Wire, Writer};
use broker_api::acl::is_platform_user;
use std::collections::BTreeMap;

pub(in crate::gateway) fn alter(scope: Scope<'_>, format: Format, body: &[u8]) -> Wire<Decision> {
    let mut r = Reader::new(body, format.flexible);
    // Results are one a user, however often it is named.
    let mut users: BTreeMap<&str, bool> = BTreeMap::new();
    let mut deletions = Vec::new();
    let mut upsertions = Vec::new();
    for _ in 0..split::items(&mut r)? {
        let start = r.position();
        let user = r.string()?;
        r.i8()?; // mechanism
        r.tags()?;
        deletions.push((user, r.since(start)));
    }
    for _ in 0..split::items(&mut r)? {
        let start = r.position();
        let user = r.string()?;
        r.take(1 + 4)?; // mechanism, iterations
        r.bytes()?; // salt
        r.bytes()?; // salted password
        r.tags()?;
        upsertions.push((user, r.since(start)));
    }
    for (user, _) in deletions.iter().chain(&upsertions) {
        users.insert(user, scope.user.is_none() || is_platform_user(user));
    }
    let results = users.iter().map(|(user, refused)| refused.then(|| refusal(scope, format, user))).collect();
    let shape = Shape { format, head: split::throttle, good_head: split::no_throttle, positional: None };
    Ok(split::decide(shape, results, || {
        let mut w = Writer::new(format.flexible);
        for items in [&deletions, &upsertions] {
            let kept: Vec<_> = items.iter().filter(|(user, _)| !users[user]).collect();
            w.array(kept.len());
            kept.iter().for_each(|(_, item)| w.raw(item));
        }
        w.raw(r.rest());
        w.bytes
    }))
}

fn refusal(scope: Scope<'_>, format: Format, user: &str) -> Vec<u8> {
    let refusal = if scope.user.is_none() {
        Refusal::new(code::CLUSTER_AUTHORIZATION_FAILED, "users can be altered only by a user who logged in")
    } else {
        Refusal::new(
            code::UNACCEPTABLE_CREDENTIAL,
            "names that are 'sluice' or start with 'sluice-' belong to the platform",
        )
    };
    let mut w = Writer::new(format.flexible);
    w.string(user);
    refusal.put(&mut w);
    w.tags();
    w.bytes
}

/// Leaves out who is of the platform. Who asks for one by name is told of none, and Kafka's client makes "no such user" of that.
pub(in crate::gateway) fn describe(_: Scope<'_>, format: Format, body: &[u8]) -> Wire<Vec<u8>> {
    let mut r = Reader::new(body, format.flexible);
    r.take(4 + 2)?; // throttle time, error
    r.nullable_string()?;
    let head = r.since(0);
    let mut shown = Vec::new();
    for _ in 0..r.array()? {
        let start = r.position();
        let user = r.string()?;
        r.take(2)?; // error
        r.nullable_string()?;
        for _ in 0..r.array()? {
            r.take(1 + 4)?; // mechanism, iterations
            r.tags()?;
        }
        r.tags()?;
        if !is_platform_user(user) {
            shown.push(r.since(start));
        }
    }
    Ok(split::around(format, head, &shown, r.rest()))
}
