//! How fast the disk fills: the slope over the last ten minutes. Pure.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

const OVER: Duration = Duration::from_secs(600);
const EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Growth {
    looks: VecDeque<(Instant, u64)>,
    newest: Option<(Instant, u64)>,
}

impl Growth {
    pub(super) fn add(&mut self, now: Instant, used: u64) {
        self.newest = Some((now, used));
        if self.looks.back().is_none_or(|(at, _)| now.duration_since(*at) >= EVERY) {
            self.looks.push_back((now, used));
        }
        while self.looks.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= OVER) {
            self.looks.pop_front();
        }
    }

    /// Bytes; negative while it shrinks, 0 until two looks are far enough apart.
    pub(super) fn per_second(&self) -> i64 {
        let (Some((from, before)), Some((to, after))) = (self.looks.front(), self.newest) else { return 0 };
        let seconds = to.duration_since(*from).as_secs_f64();
        if seconds < EVERY.as_secs_f64() {
            return 0;
        }
        ((after as f64 - *before as f64) / seconds) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_the_slope_of_the_last_ten_minutes() {
        let (mut growth, began) = (Growth::default(), Instant::now());
        assert_eq!(growth.per_second(), 0);
        for second in 0..3600u64 {
            // A megabyte a second at first, then a tenth of it goes each second.
            let used = if second < 1800 { second * 1_000_000 } else { 1_800_000_000 - (second - 1800) * 100_000 };
            growth.add(began + Duration::from_secs(second), used);
            if second == 60 {
                assert_eq!(growth.per_second(), 1_000_000);
            }
        }
        assert_eq!(growth.per_second(), -100_000);
        assert!(growth.looks.len() <= 62);
    }
}
