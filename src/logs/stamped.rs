//! The time in front of a line: RFC 3339 in UTC to the microsecond, always as long, and a blank.

use std::time::SystemTime;

use super::index::micros;
use crate::base::clock::civil;

/// How long it is.
pub const STAMP: usize = 28;

/// `2026-11-28T21:50:22.123456Z `.
pub fn stamp(time: SystemTime) -> [u8; STAMP] {
    let micros = micros(time);
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let mut out = *b"0000-00-00T00:00:00.000000Z ";
    put(&mut out[..4], year);
    put(&mut out[5..7], month);
    put(&mut out[8..10], day);
    put(&mut out[11..13], second / 3600);
    put(&mut out[14..16], second / 60 % 60);
    put(&mut out[17..19], second % 60);
    put(&mut out[20..26], micros);
    out
}

/// A number in the digits that there are for it.
fn put(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn at(seconds: u64, micros: u64) -> String {
        let time = UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(micros);
        String::from_utf8(stamp(time).to_vec()).expect("text")
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000000Z ");
        assert_eq!(at(951_782_399, 999_999), "2000-02-28T23:59:59.999999Z ");
        assert_eq!(at(951_782_400, 0), "2000-02-29T00:00:00.000000Z ");
        assert_eq!(at(1_709_251_199, 1), "2024-02-29T23:59:59.000001Z ");
        assert_eq!(at(1_767_225_599, 0), "2025-12-31T23:59:59.000000Z ");
        assert_eq!(at(4_107_542_400, 0), "2100-03-01T00:00:00.000000Z ");
    }
}
