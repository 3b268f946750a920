//! The node's clock: the one place that reads the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

#[expect(clippy::disallowed_methods, reason = "this is the clock that others take the time from")]
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// Milliseconds since 1970; 0 on a machine whose clock is before it.
pub fn unix_ms() -> i64 {
    now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
