//! The time of the day where this machine stands, by the system's own time zone rules
//! (localtime(3), which works in a static binary too). It reads no clock: the second is given.

use std::mem::MaybeUninit;

/// A moment in the machine's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalTime {
    /// Year, as 2026.
    pub year: i64,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 60: a leap second is 60 where the zone counts them.
    pub second: u8,
    /// Day of the week, 0 for Sunday to 6.
    pub weekday: u8,
    /// How many seconds the zone is ahead of UTC at this moment.
    pub utc_offset: i32,
}

/// The local time of a second since 1970 in UTC; `None` if its year has no number.
pub fn local_time(epoch_secs: i64) -> Option<LocalTime> {
    #[allow(clippy::useless_conversion, reason = "time_t has 32 bits on some machines")]
    let seconds = libc::time_t::try_from(epoch_secs).ok()?;
    let mut parts = MaybeUninit::<libc::tm>::uninit();
    // SAFETY: the time is read from a variable of ours and written to another.
    let converted = unsafe { libc::localtime_r(&seconds, parts.as_mut_ptr()) };
    if converted.is_null() {
        return None;
    }
    // SAFETY: a result that is not null says that all of it is written.
    let parts = unsafe { parts.assume_init() };
    Some(LocalTime {
        year: i64::from(parts.tm_year) + 1900,
        month: u8::try_from(parts.tm_mon + 1).ok()?,
        day: u8::try_from(parts.tm_mday).ok()?,
        hour: u8::try_from(parts.tm_hour).ok()?,
        minute: u8::try_from(parts.tm_min).ok()?,
        second: u8::try_from(parts.tm_sec).ok()?,
        weekday: u8::try_from(parts.tm_wday).ok()?,
        utc_offset: i32::try_from(parts.tm_gmtoff).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::testing;

    #[test]
    fn the_zone_decides_the_hour() {
        testing::alone("sys::localtime::tests::the_zone_decides_the_hour", || {
            // No other thread runs, and the zone is read at the first conversion. Written out, for
            // a machine without a table of zones.
            std::env::set_var("TZ", "CET-1CEST,M3.5.0,M10.5.0/3");
            let winter = local_time(1_767_225_599).expect("a year");
            let expected = LocalTime {
                year: 2026,
                month: 1,
                day: 1,
                hour: 0,
                minute: 59,
                second: 59,
                weekday: 4,
                utc_offset: 3600,
            };
            assert_eq!(winter, expected);
            let summer = local_time(1_782_864_000).expect("a year");
            assert_eq!((summer.month, summer.day, summer.hour), (7, 1, 2));
            assert_eq!(summer.utc_offset, 7200);
            assert_eq!(local_time(-1).map(|time| (time.year, time.hour)), Some((1970, 0)));
            assert_eq!(local_time(i64::MAX), None);
        });
    }
}
