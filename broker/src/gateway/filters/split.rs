//! Requests with many items of which some are refused: the others go to Kafka, and its answer is
//! completed with the refusals.

use super::{Decision, Format};
use crate::gateway::wire::{Malformed, Reader, Wire, Writer};
use broker_api::topics::Shortage;

/// Most items of one request. Kafka's controller refuses a request that writes more records at once
/// (`QuorumController.MAX_RECORDS_PER_USER_OP`); here it bounds what refusals can take, since a
/// refusal is many times the size of the smallest item.
pub(in crate::gateway) const MAX_ITEMS: usize = 10_000;

/// Length of the array of items that a request is made of.
pub(in crate::gateway) fn items(r: &mut Reader<'_>) -> Wire<usize> {
    let items = r.array()?;
    if items > MAX_ITEMS { Err(Malformed::TooMany) } else { Ok(items) }
}

/// An error and a sentence for the one who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::gateway) struct Refusal {
    pub(in crate::gateway) code: i16,
    pub(in crate::gateway) message: String,
    /// The figures, where a limit is the reason.
    pub(in crate::gateway) shortage: Option<Shortage>,
}

impl Refusal {
    pub(in crate::gateway) fn new(code: i16, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), shortage: None }
    }

    /// `error code, message`, as most results have them.
    pub(in crate::gateway) fn put(&self, w: &mut Writer) {
        w.i16(self.code);
        w.nullable_string(Some(&self.message));
    }
}

/// How a response of many results is laid out: a head, an array of results, tagged fields.
#[derive(Debug, Clone, Copy)]
pub(in crate::gateway) struct Shape {
    pub(in crate::gateway) format: Format,
    /// Reads over the head.
    pub(in crate::gateway) head: fn(&mut Reader<'_>, Format) -> Wire<()>,
    /// A head without an error.
    pub(in crate::gateway) good_head: fn(&mut Writer, Format),
    /// Reads over one result, where a client tells results by their position; else they carry a
    /// name, and their order is free.
    pub(in crate::gateway) positional: Option<fn(&mut Reader<'_>, Format) -> Wire<()>>,
}

/// Decides for a request of which `results` holds, for each item, the encoded result if it is
/// refused. `body` encodes the request without the refused items.
pub(in crate::gateway) fn decide(
    shape: Shape,
    results: Vec<Option<Vec<u8>>>,
    body: impl FnOnce() -> Vec<u8>,
) -> Decision {
    let refused = results.iter().flatten().count();
    if refused == 0 {
        return Decision::Forward;
    }
    if refused == results.len() {
        let mut w = Writer::new(shape.format.flexible);
        (shape.good_head)(&mut w, shape.format);
        w.array(refused);
        results.iter().flatten().for_each(|result| w.raw(result));
        w.tags();
        return Decision::Answer(w.bytes);
    }
    let own_bytes = results.iter().flatten().map(Vec::len).sum();
    Decision::Amend { body: body(), merge: Box::new(move |answer| merge(shape, &results, answer)), own_bytes }
}

fn merge(shape: Shape, results: &[Option<Vec<u8>>], answer: &[u8]) -> Wire<Vec<u8>> {
    let mut r = Reader::new(answer, shape.format.flexible);
    (shape.head)(&mut r, shape.format)?;
    let mut w = Writer::new(shape.format.flexible);
    w.raw(r.since(0));
    let refused = results.iter().flatten().count();
    let answered = r.array()?;
    w.array(answered + refused);
    match shape.positional {
        None => results.iter().flatten().for_each(|result| w.raw(result)),
        Some(_) if answered + refused != results.len() => return Err(Malformed::Length),
        Some(result) => {
            for item in results {
                match item {
                    Some(refusal) => w.raw(refusal),
                    None => {
                        let start = r.position();
                        result(&mut r, shape.format)?;
                        w.raw(r.since(start));
                    }
                }
            }
        }
    }
    w.raw(r.rest());
    Ok(w.bytes)
}

/// The head of most responses: how long the request was throttled.
pub(in crate::gateway) fn throttle(r: &mut Reader<'_>, _: Format) -> Wire<()> {
    r.i32().map(drop)
}

pub(in crate::gateway) fn no_throttle(w: &mut Writer, _: Format) {
    w.i32(0);
}

/// `body` up to `items_at`, the items that are not refused, and the rest of `body` from `rest_at`.
pub(in crate::gateway) fn without_refused(
    format: Format,
    body: &[u8],
    items_at: usize,
    items: &[&[u8]],
    results: &[Option<Vec<u8>>],
    rest_at: usize,
) -> Vec<u8> {
    let kept = items.iter().zip(results).filter(|(_, refused)| refused.is_none()).map(|(item, _)| *item);
    around(format, &body[..items_at], &kept.collect::<Vec<_>>(), &body[rest_at..])
}

/// An array of these items, and what comes before and after it.
pub(in crate::gateway) fn around(format: Format, before: &[u8], items: &[&[u8]], after: &[u8]) -> Vec<u8> {
    let mut w = Writer::new(format.flexible);
    w.raw(before);
    w.array(items.len());
    items.iter().for_each(|item| w.raw(item));
    w.raw(after);
    w.bytes
}
