//! CreateTopics: internal topics are not for clients, and settings are held to the same limits as when
//! they are altered.

use super::split::{self, Refusal, Shape};
use super::{Decision, Format, Scope, acls, configs};
use crate::gateway::wire::{Reader, Wire, Writer};

pub(in crate::gateway) fn create(scope: Scope<'_>, format: Format, body: &[u8]) -> Wire<Decision> {
    let mut r = Reader::new(body, format.flexible);
    let (mut items, mut results) = (Vec::new(), Vec::new());
    for _ in 0..split::items(&mut r)? {
        let start = r.position();
        let name = r.string()?;
        r.take(4 + 2)?; // partitions, replication factor
        for _ in 0..r.array()? {
            r.i32()?; // partition
            let replicas = r.array()?;
            r.take(replicas.saturating_mul(4))?;
            r.tags()?;
        }
        let mut refusal = acls::creation_refusal(name);
        for _ in 0..r.array()? {
            let (setting, value) = (r.string()?, r.nullable_string()?);
            r.tags()?;
            refusal = refusal.or_else(|| configs::topic_refusal(scope.snapshot, setting, value));
        }
        r.tags()?;
        items.push(r.since(start));
        results.push(refusal.map(|refusal| refused(format, name, &refusal)));
    }
    let rest_at = r.position();
    let shape = Shape { format, head, good_head, positional: None };
    let kept = results.clone();
    Ok(split::decide(shape, results, || split::without_refused(format, body, 0, &items, &kept, rest_at)))
}

pub(super) fn head(r: &mut Reader<'_>, format: Format) -> Wire<()> {
    if format.version >= 2 { split::throttle(r, format) } else { Ok(()) }
}

pub(super) fn good_head(w: &mut Writer, format: Format) {
    if format.version >= 2 {
        split::no_throttle(w, format);
    }
}

pub(super) fn refused(format: Format, name: &str, refusal: &Refusal) -> Vec<u8> {
    let mut w = Writer::new(format.flexible);
    w.string(name);
    if format.version >= 7 {
        w.raw(&[0; 16]); // topic id
    }
    if format.version >= 1 {
        refusal.put(&mut w);
    } else {
        w.i16(refusal.code);
    }
    if format.version >= 5 {
        w.i32(-1); // partitions
        w.i16(-1); // replication factor
        w.array(0); // settings
    }
    w.tags();
    w.bytes
}
