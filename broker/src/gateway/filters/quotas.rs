//! AlterClientQuotas: tenants may limit their own users and client ids. Not by address, since Kafka
//! sees the gateway's, and not the platform's users.

use super::split::{self, Refusal, Shape};
use super::{Decision, Format, Scope, code};
use crate::gateway::wire::{Reader, Wire, Writer};
use broker_api::acl::is_platform_user;

pub(in crate::gateway) fn alter(scope: Scope<'_>, format: Format, body: &[u8]) -> Wire<Decision> {
    let mut r = Reader::new(body, format.flexible);
    let (mut items, mut results) = (Vec::new(), Vec::new());
    for _ in 0..split::items(&mut r)? {
        let start = r.position();
        let entity_at = r.position();
        let mut refusal = scope.user.is_none().then(|| {
            Refusal::new(code::CLUSTER_AUTHORIZATION_FAILED, "quotas can be altered only by a user who logged in")
        });
        for _ in 0..r.array()? {
            let (kind, name) = (r.string()?, r.nullable_string()?);
            r.tags()?;
            refusal = refusal.or_else(|| entity_refusal(kind, name));
        }
        let entity = r.since(entity_at);
        for _ in 0..r.array()? {
            r.string()?; // quota
            r.take(8 + 1)?; // value, remove
            r.tags()?;
        }
        r.tags()?;
        items.push(r.since(start));
        results.push(refusal.map(|refusal| {
            let mut w = Writer::new(format.flexible);
            refusal.put(&mut w);
            w.raw(entity);
            w.tags();
            w.bytes
        }));
    }
    let rest_at = r.position();
    let shape = Shape { format, head: split::throttle, good_head: split::no_throttle, positional: None };
    let kept = results.clone();
    Ok(split::decide(shape, results, || split::without_refused(format, body, 0, &items, &kept, rest_at)))
}

fn entity_refusal(kind: &str, name: Option<&str>) -> Option<Refusal> {
    match (kind, name) {
        ("user", Some(name)) if is_platform_user(name) => {
            Some(Refusal::new(code::CLUSTER_AUTHORIZATION_FAILED, "this user belongs to the platform"))
        }
        ("user" | "client-id", _) => None,
        (other, _) => Some(Refusal::new(
            code::INVALID_REQUEST,
            format!("a quota by {other} can't be enforced behind the gateway; user and client-id are accepted"),
        )),
    }
}
