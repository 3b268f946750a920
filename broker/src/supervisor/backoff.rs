//! How long to wait before the next start. Pure.

use std::time::Duration;

/// A broker that served starts again at once; one that keeps failing waits twice as long each time.
#[derive(Debug, Clone, Copy)]
pub struct BackOff {
    pub first: Duration,
    pub longest: Duration,
}

impl BackOff {
    /// Delay after `failures` ends in a row without having served.
    pub fn delay(self, failures: u32) -> Duration {
        match failures.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => self.first.saturating_mul(1 << doublings.min(16)).min(self.longest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_longest() {
        let back_off = BackOff { first: Duration::from_secs(1), longest: Duration::from_secs(60) };
        let seconds: Vec<_> = [0, 1, 2, 3, 4, 7, 8, u32::MAX].map(|n| back_off.delay(n).as_secs()).into();
        assert_eq!(seconds, [0, 1, 2, 4, 8, 60, 60, 60]);
    }
}
