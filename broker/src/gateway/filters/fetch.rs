//! What may be asked for at once: a Fetch response that takes longer than its client waits would never arrive.
//!
//! Clients wait 30 s for an answer and ask for up to 50 MB (Kafka's defaults). Where bandwidth is short, `max_bytes` is
//! lowered in place to what arrives in [`SECONDS`]; Kafka does the same under its own quotas, and still gives one batch,
//! however large it is.

use super::Format;
use crate::gateway::frame;
use crate::gateway::wire::{Malformed, Reader, Wire};

/// That an answer may take at the share that a busy connection has now.
const SECONDS: u64 = 5;
/// Least that is asked for: nothing would be answered at once, with nothing, and asked for again.
const LEAST: u64 = 1024;
/// First version that names `max_bytes`.
const SINCE: i16 = 3;
/// From this version on the body starts without `replica_id`.
const WITHOUT_REPLICA: i16 = 15;

/// Lowers `max_bytes` in the head of a Fetch frame, if it is more than `share` bytes a second make in [`SECONDS`].
/// [`Malformed::Short`] asks for more bytes.
pub(in crate::gateway) fn cap(frame: &mut [u8], format: Format, share: u64) -> Wire<()> {
    if format.version < SINCE {
        return Ok(());
    }
    let body_at = frame::request_body(frame, format.flexible)?;
    // Before it: replica_id, max_wait_ms, min_bytes.
    let before = if format.version < WITHOUT_REPLICA { 12 } else { 8 };
    let field = frame.get_mut(body_at + before..).and_then(<[u8]>::first_chunk_mut).ok_or(Malformed::Short)?;
    let most = i32::try_from(share.saturating_mul(SECONDS).max(LEAST)).unwrap_or(i32::MAX);
    if Reader::new(field, false).i32()? > most {
        *field = most.to_be_bytes();
    }
    Ok(())
}
