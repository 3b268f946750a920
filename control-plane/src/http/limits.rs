//! Rates: of callers, and of sign-ins by address.

use crate::app::Refusal;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use control_plane_api::problem::ProblemCode;
use governor::{
    NotUntil, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DashMapStateStore,
};
use std::{fmt, hash::Hash, net::IpAddr, num::NonZeroU32, time::Duration};

/// How many requests, and how many at once. 0 a minute: as many as come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub per_minute: u32,
    pub burst: u32,
}

impl Rate {
    fn quota(self) -> Quota {
        let at_least_one = |count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        Quota::per_minute(at_least_one(self.per_minute)).allow_burst(at_least_one(self.burst))
    }
}

/// What is left of a caller's allowance: the fields of `RateLimit` (draft-ietf-httpapi-ratelimit-headers).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    pub limit: u32,
    pub remaining: u32,
    /// Until the allowance is whole again.
    pub reset_seconds: u64,
}

impl Allowance {
    pub fn write(self, headers: &mut HeaderMap) {
        let policy = format!("\"caller\";q={}", self.limit);
        let left = format!("\"caller\";r={};t={}", self.remaining, self.reset_seconds);
        for (name, value) in [("ratelimit-policy", policy), ("ratelimit", left)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

/// The caller has used up its allowance, until its `reset_seconds` are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted(pub Allowance);

impl From<Exhausted> for Refusal {
    fn from(Exhausted(allowance): Exhausted) -> Self {
        Self::new(ProblemCode::RateLimited).with("limit", allowance.limit).retry_after(allowance.reset_seconds)
    }
}

type Limiter<K> = RateLimiter<K, DashMapStateStore<K>, DefaultClock, StateInformationMiddleware>;

/// The limits of this replica. They count alone: with N replicas a caller has up to N times the rate.
pub struct Limits {
    callers: Option<Limiter<String>>,
    sign_ins: Option<Limiter<IpAddr>>,
    clock: DefaultClock,
}

impl Limits {
    pub fn new(callers: Rate, sign_ins: Rate) -> Self {
        Self { callers: limiter(callers), sign_ins: limiter(sign_ins), clock: DefaultClock::default() }
    }

    /// One request of a caller, by [`Actor::key`](crate::domain::actor::Actor::key).
    pub fn caller(&self, key: &str) -> Result<Option<Allowance>, Exhausted> {
        self.check(self.callers.as_ref(), &key.to_owned())
    }

    /// One request for a token from an address.
    pub fn sign_in(&self, address: IpAddr) -> Result<Option<Allowance>, Exhausted> {
        self.check(self.sign_ins.as_ref(), &address)
    }

    /// Forgets callers that have their whole allowance.
    pub fn forget_idle(&self) {
        self.callers.iter().for_each(RateLimiter::retain_recent);
        self.sign_ins.iter().for_each(RateLimiter::retain_recent);
    }

    fn check<K: Hash + Eq + Clone>(
        &self,
        limiter: Option<&Limiter<K>>,
        key: &K,
    ) -> Result<Option<Allowance>, Exhausted> {
        let Some(limiter) = limiter else { return Ok(None) };
        match limiter.check_key(key) {
            Ok(state) => {
                let (limit, remaining) = (state.quota().burst_size().get(), state.remaining_burst_capacity());
                let reset = state.quota().replenish_interval() * limit.saturating_sub(remaining);
                Ok(Some(Allowance { limit, remaining, reset_seconds: seconds(reset) }))
            }
            Err(until) => Err(self.refuse(&until)),
        }
    }

    fn refuse(&self, until: &NotUntil<<DefaultClock as Clock>::Instant>) -> Exhausted {
        let wait = seconds(until.wait_time_from(self.clock.now())).max(1);
        Exhausted(Allowance { limit: until.quota().burst_size().get(), remaining: 0, reset_seconds: wait })
    }
}

fn limiter<K: Hash + Eq + Clone>(rate: Rate) -> Option<Limiter<K>> {
    (rate.per_minute > 0).then(|| RateLimiter::dashmap(rate.quota()).with_middleware())
}

fn seconds(time: Duration) -> u64 {
    time.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits").field("callers", &self.callers.as_ref().map(RateLimiter::len)).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_beyond_its_burst_is_told_when_to_come_back_and_others_are_not_held_up() {
        let rate = Rate { per_minute: 6, burst: 2 };
        let limits = Limits::new(rate, rate);
        assert_eq!(limits.caller("a").ok().flatten().map(|left| left.remaining), Some(1));
        assert!(limits.caller("a").is_ok());
        let Exhausted(left) = limits.caller("a").unwrap_err();
        assert_eq!((left.limit, left.remaining), (2, 0));
        assert!((1..=10).contains(&left.reset_seconds));
        assert!(limits.caller("b").is_ok());
    }
}
