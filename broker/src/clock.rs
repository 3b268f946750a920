//! The node's clock: the one place that reads the wall clock.

use std::time::UNIX_EPOCH;

/// Milliseconds since 1970; 0 on a machine whose clock is before it.
#[expect(clippy::disallowed_methods, reason = "this is the clock that others take the time from")]
pub fn unix_ms() -> i64 {
    std::time::SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
