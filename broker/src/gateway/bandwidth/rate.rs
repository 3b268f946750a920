//! How fast bytes pass: the mean of the last seconds, from looks a few seconds apart.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Long enough to even out batches, short enough to be "now".
const OVER: Duration = Duration::from_secs(10);

/// Looks at two counters.
#[derive(Debug, Default)]
pub(super) struct Rates {
    looks: VecDeque<(Instant, [u64; 2])>,
}

impl Rates {
    pub(super) fn add(&mut self, now: Instant, counted: [u64; 2]) {
        // The newest one that is older than the span stays: it is where the span begins.
        while self.looks.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= OVER) {
            self.looks.pop_front();
        }
        self.looks.push_back((now, counted));
    }

    pub(super) fn per_second(&self) -> [u64; 2] {
        let (Some((from, before)), Some((to, after))) = (self.looks.front(), self.looks.back()) else { return [0; 2] };
        let seconds = to.duration_since(*from).as_secs_f64();
        if seconds <= 0.0 {
            return [0; 2];
        }
        // A counter goes back a little when a connection ends.
        [0, 1].map(|way| (after[way].saturating_sub(before[way]) as f64 / seconds) as u64)
    }
}
