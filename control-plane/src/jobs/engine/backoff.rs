//! How long to wait before another try.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(30);

/// Doubles from 250 ms to 30 s, spread by up to a quarter so that jobs that failed together do not return together.
/// `attempt` counts from 1; `spread` is in 0..=1.
pub(super) fn delay(attempt: u32, spread: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(LONGEST);
    doubled.mul_f64(1.0 + 0.25 * spread.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_stop_growing_at_half_a_minute() {
        assert_eq!(delay(1, 0.0), Duration::from_millis(250));
        assert_eq!(delay(2, 0.0), Duration::from_millis(500));
        assert_eq!(delay(5, 0.0), Duration::from_secs(4));
        assert_eq!(delay(99, 0.0), Duration::from_secs(30));
        assert_eq!(delay(u32::MAX, 1.0), Duration::from_millis(37_500));
    }
}
