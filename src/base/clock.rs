//! One reading of the clocks. The reactor takes it once a turn and hands it in with every input, so
//! nothing below it ever asks what time it is, and a simulation can say so freely.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What time it is, for the whole of one turn.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The monotonic clock: every decision and every timer.
    pub mono: Instant,
    /// The wall clock: only for showing to people.
    pub wall: SystemTime,
}

impl Now {
    /// Wall-clock seconds since 1970, with a fraction; 0 for a clock set before that.
    pub fn epoch_seconds(&self) -> f64 {
        epoch_seconds(self.wall)
    }

    /// Both clocks, this much later.
    #[must_use]
    pub fn plus(&self, by: Duration) -> Self {
        Self { mono: self.mono + by, wall: self.wall + by }
    }
}

/// Seconds since 1970, rounded to milliseconds; 0 for a time before that.
pub fn epoch_seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    (since.as_secs_f64() * 1000.0).round() / 1000.0
}

/// So many seconds, if they are within these bounds, across which nothing is rounded.
pub fn seconds_within(seconds: f64, least: Duration, most: Duration) -> Option<Duration> {
    let bounds = least.as_secs_f64()..=most.as_secs_f64();
    bounds.contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

/// Year, month and day of the month, from days since 1970 (Howard Hinnant, "chrono-compatible
/// low-level date algorithms": `civil_from_days`, for days after the epoch).
pub fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_a_bound_is_not_rounded_to_it() {
        let (least, most) = (Duration::from_millis(50), Duration::from_secs(3600));
        let within = |seconds| seconds_within(seconds, least, most);
        assert_eq!(within(0.05), Some(least));
        assert_eq!(within(3600.0), Some(most));
        let beside = |number: f64, by: u64| f64::from_bits(number.to_bits().wrapping_add(by));
        for beyond in [beside(0.05, u64::MAX), beside(3600.0, 1), f64::NAN, f64::INFINITY, -1.0] {
            assert_eq!(within(beyond), None, "{beyond}");
        }
    }
}
