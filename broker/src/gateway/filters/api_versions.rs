//! ApiVersions: tells clients what Kafka and the gateway both serve.

use super::{Decision, Format, Scope, code};
use crate::gateway::connections::Card;
use crate::gateway::table;
use crate::gateway::wire::{Reader, Wire, Writer};

/// Newest version of ApiVersions itself that the gateway speaks.
pub(in crate::gateway) const NEWEST: i16 = 4;

/// A version that is too new is answered in version 0 with the range that is served (KIP-511).
pub(in crate::gateway) fn request(_: Scope<'_>, format: Format, _: &[u8]) -> Wire<Decision> {
    if format.version <= NEWEST {
        return Ok(Decision::Forward);
    }
    let mut w = Writer::new(false);
    w.i16(code::UNSUPPORTED_VERSION);
    w.array(1);
    for field in [table::API_VERSIONS, 0, NEWEST] {
        w.i16(field);
    }
    Ok(Decision::Answer(w.bytes))
}

/// Writes on the card which library the client is (KIP-511). What is malformed is Kafka's to refuse.
pub(in crate::gateway) fn note_software(card: &Card, format: Format, body: &[u8]) {
    let mut r = Reader::new(body, format.flexible);
    if (3..=NEWEST).contains(&format.version)
        && let (Ok(name), Ok(version)) = (r.string(), r.string())
    {
        card.runs(name, version);
    }
}

/// Keeps the APIs of the [`table`], each in the versions that it can treat.
pub(in crate::gateway) fn response(_: Scope<'_>, format: Format, body: &[u8]) -> Wire<Vec<u8>> {
    let mut r = Reader::new(body, format.flexible);
    let error = r.i16()?;
    if error == code::UNSUPPORTED_VERSION {
        return Ok(body.to_vec());
    }
    let mut kept = Writer::new(format.flexible);
    let mut count = 0;
    for _ in 0..r.array()? {
        let (key, least, most) = (r.i16()?, r.i16()?, r.i16()?);
        let tags_at = r.position();
        r.tags()?;
        if let Some((least, most)) = table::offered(key, least, most) {
            for field in [key, least, most] {
                kept.i16(field);
            }
            kept.raw(r.since(tags_at));
            count += 1;
        }
    }
    let mut w = Writer::new(format.flexible);
    w.i16(error);
    w.array(count);
    w.raw(&kept.bytes);
    w.raw(r.rest());
    Ok(w.bytes)
}
