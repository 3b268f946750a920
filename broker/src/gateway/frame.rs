//! Frames and their headers: `length, key, version, correlation id, client id[, tags]` of a
//! request; `length, correlation id[, tags]` of a response.

use super::connections::Card;
use super::wire::{Malformed, Reader, Wire, Writer};

/// Bytes of a request frame that [`RequestHeader::peek`] looks at.
pub(super) const REQUEST_PEEK: usize = 12;
/// Bytes of a response frame before the header's tags: length and correlation id.
pub(super) const RESPONSE_PEEK: usize = 8;
/// Bytes of a frame's length field, which does not count itself.
pub(super) const LENGTH: usize = 4;

/// The fixed part of a request's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestHeader {
    /// Bytes of the whole frame, its length field among them.
    pub(super) size: usize,
    pub(super) key: i16,
    pub(super) version: i16,
    pub(super) correlation: i32,
}

impl RequestHeader {
    /// Reads the first [`REQUEST_PEEK`] bytes of a frame.
    pub(super) fn peek(bytes: &[u8], limit: u32) -> Wire<Self> {
        let size = frame_size(bytes, 8, limit)?;
        let mut r = Reader::new(&bytes[LENGTH..], false);
        Ok(Self { size, key: r.i16()?, version: r.i16()?, correlation: r.i32()? })
    }
}

/// Size of the frame whose length field `bytes` start with, that field among it; a length below
/// `least` or above `limit` is refused.
pub(super) fn frame_size(bytes: &[u8], least: i32, limit: u32) -> Wire<usize> {
    let length = Reader::new(bytes, false).i32()?;
    if length < least || length.unsigned_abs() > limit {
        return Err(Malformed::Length);
    }
    Ok(length.unsigned_abs() as usize + LENGTH)
}

/// Writes on the card how the client of the request that `frame` starts with names itself. False when that has not
/// arrived yet.
pub(super) fn note_client(card: &Card, frame: &[u8]) -> bool {
    let Some(rest) = frame.get(REQUEST_PEEK..) else { return false };
    match Reader::new(rest, false).nullable_string() {
        Ok(Some(client_id)) => card.named(client_id),
        Ok(None) => {}
        Err(Malformed::Short) => return false,
        // Kafka's to refuse.
        Err(_) => {}
    }
    true
}

/// Where a request's body starts in its frame.
pub(super) fn request_body(frame: &[u8], flexible: bool) -> Wire<usize> {
    let rest = frame.get(REQUEST_PEEK..).ok_or(Malformed::Short)?;
    // The client id keeps its classic encoding in every header version (KIP-482).
    let mut classic = Reader::new(rest, false);
    classic.skip_nullable_string()?;
    let after_client = REQUEST_PEEK + classic.position();
    let mut tags = Reader::new(&frame[after_client..], flexible);
    tags.tags()?;
    Ok(after_client + tags.position())
}

/// Where a response's body starts in its frame.
pub(super) fn response_body(frame: &[u8], flexible: bool) -> Wire<usize> {
    let mut tags = Reader::new(frame.get(RESPONSE_PEEK..).ok_or(Malformed::Short)?, flexible);
    tags.tags()?;
    Ok(RESPONSE_PEEK + tags.position())
}

/// A response frame of our own.
pub(super) fn response(correlation: i32, flexible: bool, body: &[u8]) -> Vec<u8> {
    let mut w = Writer::new(flexible);
    w.i32(0);
    w.i32(correlation);
    w.tags();
    w.raw(body);
    sealed(w.bytes)
}

/// A frame with the header of `frame`, of which the body starts at `body_at`, and another body.
pub(super) fn with_body(frame: &[u8], body_at: usize, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body_at + body.len());
    bytes.extend_from_slice(&frame[..body_at]);
    bytes.extend_from_slice(body);
    sealed(bytes)
}

/// Sets the length field to what follows it.
pub(super) fn sealed(mut frame: Vec<u8>) -> Vec<u8> {
    let length = i32::try_from(frame.len().saturating_sub(LENGTH)).unwrap_or(i32::MAX);
    if let Some(field) = frame.first_chunk_mut::<LENGTH>() {
        *field = length.to_be_bytes();
    }
    frame
}
