//! What must be known of a Produce request before its records: whether Kafka will answer it.

use super::Format;
use crate::gateway::frame;
use crate::gateway::wire::{Reader, Wire};

/// Reads `acks` from the head of a Produce frame. With `acks=0` there is no response, so nobody
/// may wait for one. [`Malformed::Short`](crate::gateway::wire::Malformed::Short) asks for more bytes.
pub(in crate::gateway) fn wants_answer(frame: &[u8], format: Format) -> Wire<bool> {
    let body_at = frame::request_body(frame, format.flexible)?;
    let mut body = Reader::new(&frame[body_at..], format.flexible);
    if format.version >= 3 {
        body.skip_nullable_string()?; // transactional id
    }
    Ok(body.i16()? != 0)
}
