//! Times in the life of a certificate: when it is renewed, when its end is told, how long it stays trusted after it was
//! replaced. Pure.

use chrono::{DateTime, Duration, Utc};
use control_plane_api::{certificate::ExpiryNotice, problem::FieldError};

/// How long a replaced certificate's authority stays in the truststore, unless a change says otherwise: clients that
/// are deployed monthly have fetched the new one by then.
pub const DEFAULT_OVERLAP_HOURS: u32 = 30 * 24;
const LONGEST_OVERLAP_HOURS: u32 = 365 * 24;

/// Days before the end of an own certificate at which its tenant is told, once each.
const NOTICES: [i64; 6] = [30, 14, 7, 3, 1, 0];

/// Two thirds through its life: what remains is enough for months of failed attempts.
pub fn renew_at(not_before: DateTime<Utc>, not_after: DateTime<Utc>) -> DateTime<Utc> {
    not_after - (not_after - not_before) / 3
}

/// When a certificate gives way that names addresses which are its instance's no longer. Not at once: people close and open.
pub fn narrow_at(now: DateTime<Utc>) -> DateTime<Utc> {
    now + Duration::days(1)
}

/// Whole days that are left; negative when it has ended.
pub fn days_left(not_after: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    (not_after - now).num_seconds().div_euclid(24 * 3600)
}

/// Until when certificates must end to be looked at.
pub fn notice_horizon(now: DateTime<Utc>) -> DateTime<Utc> {
    now + Duration::days(NOTICES[0] + 1)
}

/// What is to be told now, if it was not: the least number of days that it has come down to.
pub fn notice(not_after: DateTime<Utc>, told: &[ExpiryNotice], now: DateTime<Utc>) -> Option<ExpiryNotice> {
    let left = days_left(not_after, now);
    let days_left = NOTICES.into_iter().filter(|days| left <= *days).min()?;
    let news = told.iter().all(|notice| notice.days_left > days_left);
    news.then_some(ExpiryNotice { days_left, at: now })
}

/// The overlap that was asked for, or the default; or its fault.
pub fn overlap(pointer: &str, hours: Option<u32>, faults: &mut Vec<FieldError>) -> Duration {
    let hours = hours.unwrap_or(DEFAULT_OVERLAP_HOURS);
    if hours > LONGEST_OVERLAP_HOURS {
        let detail = format!("{hours} hours are asked for; 0 to {LONGEST_OVERLAP_HOURS} are accepted");
        faults.push(FieldError::new(pointer, "out-of-range", detail).with("min", 0).with("max", LONGEST_OVERLAP_HOURS));
    }
    Duration::hours(hours.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;

    fn day(number: i64) -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap() + Duration::days(number)
    }

    #[test]
    fn a_certificate_is_renewed_when_a_third_of_its_life_is_left() {
        assert_eq!(renew_at(day(0), day(900)), day(600));
    }

    #[test]
    fn the_day_that_has_begun_does_not_count_and_what_is_past_is_negative() {
        assert_eq!(days_left(day(3), day(0) + Duration::hours(1)), 2);
        assert_eq!(days_left(day(3), day(3)), 0);
        assert_eq!(days_left(day(3), day(3) + Duration::seconds(1)), -1);
    }

    #[test]
    fn each_notice_is_given_once_and_those_that_were_missed_are_not_made_up() {
        let (mut told, mut given) = (Vec::new(), Vec::new());
        for now in (0..=41).map(day) {
            if let Some(notice) = notice(day(40), &told, now) {
                given.push((days_left(day(40), now), notice.days_left));
                told.push(notice);
            }
        }
        assert_eq!(given, [(30, 30), (14, 14), (7, 7), (3, 3), (1, 1), (0, 0)]);
        let late = notice(day(40), &[], day(38)).expect("something");
        assert_eq!(late.days_left, 3, "not also 30, 14 and 7");
        assert_eq!(notice(day(40), &[late], day(38)), None);
        assert_eq!(notice(day(40), &[], day(0)), None);
    }
}
