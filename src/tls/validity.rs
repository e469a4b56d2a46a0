//! From when until when a certificate holds, to be told before clients tell it. It reads no more of a
//! certificate than it must to find that (RFC 5280 section 4.1), and judges nothing: those who check
//! certificates do it by themselves.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is odd about a certificate's time at this moment, if anything is; nothing about one that cannot
/// be read.
pub(super) fn odd(certificate: &[u8], now: SystemTime) -> Option<String> {
    let (begin, end) = validity(certificate)?;
    if end.at < now {
        return Some(format!("it has expired on {}", end.date));
    }
    (begin.at > now).then(|| format!("it is valid from {} on only", begin.date))
}

/// A moment, and how its day is written.
struct Moment {
    at: SystemTime,
    date: String,
}

/// DER to be read from its beginning.
struct Der<'a>(&'a [u8]);

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// The version, which certificates of the first do not have.
const VERSION: u8 = 0xa0;

impl<'a> Der<'a> {
    /// The next element, with its tag.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            // The length is written in so many bytes. Four are four gigabytes.
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, value))
    }

    /// The next element, if it has this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, value)| value)
    }
}

fn validity(certificate: &[u8]) -> Option<(Moment, Moment)> {
    let mut whole = Der(Der(certificate).take(SEQUENCE)?);
    let mut body = Der(whole.take(SEQUENCE)?);
    if body.0.first() == Some(&VERSION) {
        body.take(VERSION)?;
    }
    body.take(INTEGER)?;
    // The algorithm of the signature, and who has signed.
    body.take(SEQUENCE)?;
    body.take(SEQUENCE)?;
    let mut times = Der(body.take(SEQUENCE)?);
    Some((moment(times.next()?)?, moment(times.next()?)?))
}

/// `YYMMDDHHMMSSZ`, where 50 and later are of the last century, or `YYYYMMDDHHMMSSZ`
/// (RFC 5280 section 4.1.2.5).
fn moment((tag, text): (u8, &[u8])) -> Option<Moment> {
    let digits = text.strip_suffix(b"Z")?;
    let pair = |pair: &[u8]| match pair {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => {
            Some(u64::from((tens - b'0') * 10 + (ones - b'0')))
        }
        _ => None,
    };
    let pairs: Vec<u64> = digits.chunks(2).map(pair).collect::<Option<_>>()?;
    let (year, rest) = match (tag, pairs.as_slice()) {
        (UTC_TIME, [year, rest @ ..]) if *year >= 50 => (1900 + year, rest),
        (UTC_TIME, [year, rest @ ..]) => (2000 + year, rest),
        (GENERALIZED_TIME, [century, year, rest @ ..]) => (century * 100 + year, rest),
        _ => return None,
    };
    let [month @ 1..=12, day @ 1..=31, hour, minute, second] = *rest else { return None };
    // Years that begin with March end with the day that some of them have more.
    let (shifted, from_march) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let leaps = shifted / 4 - shifted / 100 + shifted / 400;
    let days = (shifted * 365 + leaps + (from_march * 153 + 2) / 5 + day).checked_sub(719_469)?;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
    Some(Moment { at, date: format!("{year:04}-{month:02}-{day:02}") })
}

#[cfg(test)]
mod tests {
    use super::super::{pem, Pem};
    use super::*;

    fn certificate() -> Vec<u8> {
        let bytes = include_bytes!("../../tests/tls/node.pem").to_vec();
        let all = pem::certificates(&Pem { path: "node.pem".into(), bytes }).expect("one");
        all[0].to_vec()
    }

    fn after(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn moments_are_read_as_they_are_written() {
        for (tag, text, seconds, date) in [
            (UTC_TIME, "700101000000Z", 0, "1970-01-01"),
            (UTC_TIME, "000229235959Z", 951_868_799, "2000-02-29"),
            (UTC_TIME, "261124184105Z", 1_795_545_665, "2026-11-24"),
            (GENERALIZED_TIME, "20500101000000Z", 2_524_608_000, "2050-01-01"),
            (GENERALIZED_TIME, "99991231235959Z", 253_402_300_799, "9999-12-31"),
        ] {
            let found = moment((tag, text.as_bytes())).expect(text);
            assert_eq!((found.at, found.date.as_str()), (after(seconds), date));
        }
        for bad in ["", "Z", "700101000000", "7001010000Z", "701301000000Z", "70010100000xZ"] {
            assert!(moment((UTC_TIME, bad.as_bytes())).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_certificate_is_odd_before_its_time_and_after_it() {
        let certificate = certificate();
        assert_eq!(odd(&certificate, after(4_000_000_000)), None);
        let early = odd(&certificate, after(0)).expect("it is not valid yet");
        assert!(early.starts_with("it is valid from 20"), "{early}");
        let late = odd(&certificate, after(100_000_000_000)).expect("it is no more");
        assert!(late.starts_with("it has expired on 21"), "{late}");
        // However it is cut, nothing of it is believed, and nothing panics.
        for end in 0..certificate.len() {
            assert_eq!(odd(&certificate[..end], after(0)), None);
        }
    }
}
