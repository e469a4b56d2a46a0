//! Times as people say them on a command line and read them on a screen.

use std::time::{SystemTime, UNIX_EPOCH};

use super::failure::Failure;
pub use crate::base::clock::length;
use crate::base::clock::{epoch_seconds, moment};
use crate::sys::localtime::local_time;

/// What time it is, in seconds since 1970.
pub fn now() -> f64 {
    #[expect(clippy::disallowed_methods, reason = "a command has no reactor that reads the clock")]
    let now = SystemTime::now();
    epoch_seconds(now.max(UNIX_EPOCH))
}

/// The moment that a flag says, in seconds since 1970: as RFC 3339 has it, or so long ago: `90`, `10m`, `2d`.
///
/// # Errors
/// The text is neither.
pub fn when(flag: &str, text: &str) -> Result<f64, Failure> {
    if let Some(moment) = moment(text) {
        return Ok(epoch_seconds(moment.max(UNIX_EPOCH)));
    }
    let length = length(text).ok_or_else(|| {
        Failure::usage(format!(
            "--{flag}: {text:?} is no length of time such as 90s, 10m or 1h30m, and no time such as \
             2026-11-28T21:50:22Z"
        ))
    })?;
    Ok((now() - length).max(0.0))
}

/// `12:03:04` where this machine stands.
pub fn of_day(epoch: f64) -> String {
    match local(epoch) {
        Some(t) => format!("{:02}:{:02}:{:02}", t.hour, t.minute, t.second),
        None => format!("{epoch:.0}"),
    }
}

/// `2026-11-24 12:03:04` where this machine stands.
pub fn full(epoch: f64) -> String {
    match local(epoch) {
        Some(t) => {
            format!("{:04}-{:02}-{:02} {}", t.year, t.month, t.day, of_day(epoch))
        }
        None => format!("{epoch:.0}"),
    }
}

fn local(epoch: f64) -> Option<crate::sys::localtime::LocalTime> {
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    local_time(epoch as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_units_that_add_up() {
        for (text, seconds) in [
            ("90", 90.0),
            ("90s", 90.0),
            ("10m", 600.0),
            ("1h30m", 5400.0),
            ("2d", 172_800.0),
            ("0", 0.0),
        ] {
            assert_eq!(length(text), Some(seconds), "{text}");
        }
        for bad in ["", "m", "10x", "1h30", "-5", "1.5h", " 5", "99999999999"] {
            assert_eq!(length(bad), None, "{bad:?}");
        }
        let minute = now() - when("since", "1m").expect("a length");
        assert!((59.0..62.0).contains(&minute), "{minute}");
        assert_eq!(when("until", "1970-01-02T01:00:00+01:00").expect("a time"), 86_400.0);
    }
}
