//! Percent and time left, from how long each step took before.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Means of the past change slowly.
const KEPT: Duration = Duration::from_secs(30);

/// Seconds that each step is expected to take, by position.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Weights(Vec<f64>);

impl Weights {
    /// `declared`: what the workflow says of its steps; `history`: means of the past, which take their place.
    pub(super) fn new(declared: impl IntoIterator<Item = Duration>, history: &[(i32, f64)]) -> Self {
        let mut seconds: Vec<f64> = declared.into_iter().map(|time| time.as_secs_f64()).collect();
        for &(position, mean) in history {
            if let Some(place) = usize::try_from(position).ok().and_then(|at| seconds.get_mut(at)) {
                *place = mean;
            }
        }
        // A step that takes no time still is one.
        seconds.iter_mut().for_each(|one| *one = one.max(0.01));
        Self(seconds)
    }

    /// Percent of the job when `position` is `within` percent done. 100 is kept for the end.
    pub(super) fn percent(&self, position: usize, within: u32) -> i32 {
        let total: f64 = self.0.iter().sum();
        let before: f64 = self.0.iter().take(position).sum();
        let now = self.0.get(position).copied().unwrap_or(0.0) * f64::from(within.min(100)) / 100.0;
        // In 0..=99 by construction.
        ((before + now) / total.max(f64::MIN_POSITIVE) * 100.0).clamp(0.0, 99.0) as i32
    }

    /// Time left when the step at `position` begins.
    pub(super) fn left(&self, position: usize) -> Duration {
        Duration::from_secs_f64(self.0.iter().skip(position).sum())
    }
}

/// Weights of a kind and version, and since when they are known.
type Known = HashMap<(&'static str, i32), (Instant, Weights)>;

/// Weights of the kinds that ran here lately.
#[derive(Debug, Default)]
pub(super) struct WeightCache(Mutex<Known>);

impl WeightCache {
    /// `None` when they are not known or too old.
    pub(super) fn get(&self, kind: &'static str, version: i32) -> Option<Weights> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(kind, version)).filter(|(at, _)| at.elapsed() < KEPT).map(|(_, weights)| weights.clone())
    }

    pub(super) fn put(&self, kind: &'static str, version: i32, weights: Weights) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((kind, version), (Instant::now(), weights));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_follows_the_time_that_steps_took_before() {
        let seconds = [1, 1, 2].map(Duration::from_secs);
        let declared = Weights::new(seconds, &[]);
        assert_eq!([0, 1, 2].map(|step| declared.percent(step, 0)), [0, 25, 50]);
        assert_eq!(declared.percent(2, 50), 75);
        assert_eq!(declared.percent(3, 0), 99);
        assert_eq!(declared.left(1), Duration::from_secs(3));
        let learnt = Weights::new(seconds, &[(0, 7.0), (9, 1.0)]);
        assert_eq!(learnt.percent(1, 0), 70);
    }
}
