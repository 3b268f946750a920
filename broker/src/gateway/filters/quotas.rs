//! Client quotas: tenants may limit their own users and client ids. Not addresses, of which Kafka sees only the gateway's, nor
//! topics, of which it keeps none: those the gateway keeps itself, as the REST API sets them. Not the platform's users, whose quotas tenants do not see either.

use super::split::{self, Refusal, Shape};
use super::{Decision, Format, Scope, code};
use crate::gateway::wire::{Reader, Wire, Writer};
use broker_api::quota::{entity, is_platform};

pub(in crate::gateway) fn alter(scope: Scope<'_>, format: Format, body: &[u8]) -> Wire<Decision> {
    let mut r = Reader::new(body, format.flexible);
    let (mut items, mut results) = (Vec::new(), Vec::new());
    for _ in 0..split::items(&mut r)? {
        let start = r.position();
        let entity_at = r.position();
        let mut refusal = None;
        for _ in 0..r.array()? {
            let (kind, name) = (r.string()?, r.nullable_string()?);
            r.tags()?;
            refusal = refusal.or_else(|| entity_refusal(kind, name));
        }
        // Last: a login does not help with what nobody can have.
        refusal = refusal.or_else(|| {
            let reason = "quotas can be altered only by a user who logged in";
            scope.user.is_none().then(|| Refusal::new(code::CLUSTER_AUTHORIZATION_FAILED, reason))
        });
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
        _ if is_platform(kind, name) => {
            Some(Refusal::new(code::CLUSTER_AUTHORIZATION_FAILED, "this user belongs to the platform"))
        }
        (entity::USER | entity::CLIENT_ID, _) => None,
        (entity::IP, _) => Some(Refusal::new(
            code::INVALID_REQUEST,
            "Kafka does not see clients' addresses here; the service does: set their connection rates by \
             POST /v1/projects/{project}/instances/{instance}/client-quotas, or `sluice quota set INSTANCE --ip ADDRESS`",
        )),
        (entity::TOPIC, _) => Some(Refusal::new(
            code::INVALID_REQUEST,
            "Kafka has no quotas of topics; the service keeps them: set them by \
             POST /v1/projects/{project}/instances/{instance}/client-quotas, or `sluice quota set INSTANCE --topic TOPIC`",
        )),
        (other, _) => Some(Refusal::new(
            code::INVALID_REQUEST,
            format!("there are no quotas by {other:?}; user and client-id are accepted"),
        )),
    }
}

/// Leaves out what is the platform's.
pub(in crate::gateway) fn describe(_: Scope<'_>, format: Format, body: &[u8]) -> Wire<Vec<u8>> {
    let mut r = Reader::new(body, format.flexible);
    r.take(4 + 2)?; // throttle time, error
    r.nullable_string()?;
    let head = r.since(0);
    // No array comes with an error.
    let Some(entries) = r.nullable_array()? else { return Ok(body.to_vec()) };
    let mut shown = Vec::new();
    for _ in 0..entries {
        let start = r.position();
        let mut platform = false;
        for _ in 0..r.array()? {
            let (kind, name) = (r.string()?, r.nullable_string()?);
            r.tags()?;
            platform |= is_platform(kind, name);
        }
        for _ in 0..r.array()? {
            r.string()?; // quota
            r.take(8)?; // value
            r.tags()?;
        }
        r.tags()?;
        if !platform {
            shown.push(r.since(start));
        }
    }
    Ok(split::around(format, head, &shown, r.rest()))
}
