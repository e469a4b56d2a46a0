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
    seconds(time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO))
}

/// A length of time in seconds, rounded to milliseconds.
pub fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

/// So many seconds, if they are within these bounds, across which nothing is rounded.
pub fn seconds_within(seconds: f64, least: Duration, most: Duration) -> Option<Duration> {
    let bounds = least.as_secs_f64()..=most.as_secs_f64();
    bounds.contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

/// A length of time in seconds: `90`, `10m`, `1h30m`, `2d`; `None` if the text is none.
pub fn length(text: &str) -> Option<f64> {
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, behind) = rest.split_at(end);
        let number: u32 = digits.parse().ok()?;
        let mut behind = behind.chars();
        let unit = match behind.next() {
            // Without a unit only as the whole: who writes 1h30 may mean anything.
            None if rest == text => 1.0,
            Some('s') => 1.0,
            Some('m') => 60.0,
            Some('h') => 3600.0,
            Some('d') => 86_400.0,
            Some(_) | None => return None,
        };
        seconds += f64::from(number) * unit;
        rest = behind.as_str();
    }
    (!text.is_empty()).then_some(seconds)
}

/// The moment that a text names as RFC 3339 does: `2026-11-28T21:50:22.5Z`, `2026-11-28 22:50:22+01:00`.
pub fn moment(text: &str) -> Option<SystemTime> {
    let bytes = text.as_bytes();
    let number = |from: usize, count: usize| -> Option<u64> {
        let digits = text.get(from..from + count)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let marks = [(4, "-"), (7, "-"), (10, "Tt "), (13, ":"), (16, ":")];
    let fits = |(at, mark): &(usize, &str)| {
        bytes.get(*at).is_some_and(|byte| mark.contains(char::from(*byte)))
    };
    if !marks.iter().all(fits) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    if year < 1970 || !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_until(year, month, day)?;
    let rest = text.get(19..)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        None => ("", rest),
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?),
    };
    let nanos: u64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    let away = match zone.strip_prefix(['+', '-']) {
        None => matches!(zone, "Z" | "z").then_some(0)?,
        Some(text) => {
            let (hours, minutes) = text.split_once(':').filter(|(a, b)| a.len() + b.len() == 4)?;
            hours.parse::<u64>().ok()? * 3600 + minutes.parse::<u64>().ok()? * 60
        }
    };
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    let seconds = match zone.starts_with('-') {
        true => seconds + away,
        false => seconds.checked_sub(away)?,
    };
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds) + Duration::from_nanos(nanos))
}

/// Days from 1970 to a date, if that is in the calendar.
fn days_until(year: u64, month: u64, day: u64) -> Option<u64> {
    // Not far from it, by how long years and months are about.
    let about = (year - 1970) * 365 + (year - 1970) / 4 + (month - 1) * 30 + day;
    let near = about.saturating_sub(40)..about + 12;
    near.into_iter().find(|days| civil(*days) == (year, month, day))
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
    fn moments_are_those_of_the_calendar() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some((0, 0))),
            ("2026-11-28T21:50:22.123456Z", Some((1_795_902_622, 123_456_000))),
            ("2026-11-28 22:50:22.5+01:00", Some((1_795_902_622, 500_000_000))),
            ("2000-02-29t12:00:00-00:30", Some((951_827_400, 0))),
            ("2100-02-29T00:00:00Z", None),
            ("2026-11-31T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-11-28T21:50:22", None),
            ("2026-11-28T21:50:22.", None),
            ("2026-11-28T21:50:22é", None),
            ("yesterday", None),
        ] {
            let expected = expected.map(|(s, n)| UNIX_EPOCH + Duration::new(s, n));
            assert_eq!(moment(text), expected, "{text}");
        }
        for day in (0..160_000).step_by(13) {
            let (year, month, of_month) = civil(day);
            assert_eq!(days_until(year, month, of_month), Some(day));
        }
    }

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
