//! What a request for a representation of known length makes of its conditions and its range (RFC 9110 sections
//! 13 and 14): all of it, a part, or none. Pure.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use crate::wire::http::{parse_date, Headers, Method};

/// What tells a representation from another of the same thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validators {
    /// Its strong entity tag, with its quotes.
    pub tag: String,
    /// When it was made, in whole seconds.
    pub modified: SystemTime,
}

/// What is to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All of it (200).
    Whole,
    /// These bytes of it (206).
    Part(Range<u64>),
    /// That the client has it already (304).
    Unchanged,
    /// That it is not as the client thinks (412).
    Failed,
    /// That it has no such bytes (416).
    Beyond,
}

/// Decides. `now` is the wall clock.
pub fn decide(
    (method, headers): (Method, &Headers),
    validators: &Validators,
    length: u64,
    now: SystemTime,
) -> Verdict {
    if let Some(verdict) = preconditions(headers, validators) {
        return verdict;
    }
    let range = headers.get("range").filter(|_| method == Method::Get);
    let Some(part) = range.and_then(|text| one_range(text, length)) else { return Verdict::Whole };
    match headers.get("if-range") {
        Some(condition) if !is_still(condition, validators, now) => Verdict::Whole,
        Some(_) | None => part,
    }
}

/// The order of RFC 9110 section 13.2.2.
fn preconditions(headers: &Headers, validators: &Validators) -> Option<Verdict> {
    let date = |name: &str| headers.get(name).and_then(parse_date);
    if headers.get("if-match").is_some() {
        if !lists(headers, "if-match", &validators.tag, Compared::Strongly) {
            return Some(Verdict::Failed);
        }
    } else if date("if-unmodified-since").is_some_and(|since| validators.modified > since) {
        return Some(Verdict::Failed);
    }
    if headers.get("if-none-match").is_some() {
        let has = lists(headers, "if-none-match", &validators.tag, Compared::Weakly);
        return has.then_some(Verdict::Unchanged);
    }
    let unchanged = date("if-modified-since").is_some_and(|since| validators.modified <= since);
    unchanged.then_some(Verdict::Unchanged)
}

/// How tags are compared (RFC 9110 section 8.8.3.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compared {
    /// Weak ones are alike with nothing.
    Strongly,
    /// Weak ones are as good.
    Weakly,
}

/// Whether a list of tags has this one, or all. No tag holds a quote, so every second piece between quotes is
/// one, whatever commas it holds.
fn lists(headers: &Headers, name: &str, tag: &str, compared: Compared) -> bool {
    let ours = tag.trim_matches('"');
    headers.get_all(name).any(|list| {
        let pieces: Vec<&str> = list.split('"').collect();
        let listed = pieces.chunks(2).any(|pair| match pair {
            [before, theirs] => {
                let weak = before.ends_with("W/");
                *theirs == ours && (compared == Compared::Weakly || !weak)
            }
            _ => false,
        });
        listed || list.trim() == "*"
    })
}

/// Whether what a client has a part of is this (RFC 9110 section 13.1.5). A date is as good as a tag only where
/// nothing can have changed within its second.
fn is_still(condition: &str, validators: &Validators, now: SystemTime) -> bool {
    if condition.starts_with(['"', 'W']) && condition.ends_with('"') {
        return condition == validators.tag;
    }
    let settled = validators.modified + Duration::from_secs(2) <= now;
    settled && parse_date(condition) == Some(validators.modified)
}

/// The bytes that `Range` asks for. `None` where it is to be ignored: another unit, several ranges, which nobody
/// has to serve, no sense, or nothing there of which something could be a part.
fn one_range(text: &str, length: u64) -> Option<Verdict> {
    let part = |range: Range<u64>| match range.is_empty() {
        true => Verdict::Beyond,
        false => Verdict::Part(range),
    };
    let (unit, ranges) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || length == 0 {
        return None;
    }
    let (first, last) = ranges.trim().split_once('-')?;
    let (first, last) = (first.trim_end(), last.trim_start());
    if first.is_empty() {
        let suffix = position(last)?;
        return Some(part(length.saturating_sub(suffix)..length));
    }
    let first = position(first)?;
    let last = if last.is_empty() { u64::MAX } else { position(last)? };
    if last < first {
        return None;
    }
    Some(part(first..last.saturating_add(1).min(length)))
}

/// Digits alone; those that say more than any file has are as good as the most.
fn position(digits: &str) -> Option<u64> {
    let sound = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    sound.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Whether a client takes what is compressed by gzip (RFC 9110 section 12.5.3).
pub fn accepts_gzip(headers: &Headers) -> bool {
    let weight = |wanted: &dyn Fn(&str) -> bool| {
        let codings = headers.get_all("accept-encoding").flat_map(|list| list.split(','));
        codings
            .map(|coding| coding.split_once(';').unwrap_or((coding, "")))
            .find(|(name, _)| wanted(name.trim()))
            .map(|(_, parameters)| is_wanted(parameters))
    };
    let gzip =
        |name: &str| name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip");
    weight(&gzip).or_else(|| weight(&|name| name == "*")).unwrap_or(false)
}

/// Whether a client asks for a page rather than for JSON (RFC 9110 section 12.5.1): it names `text/html`, and
/// `application/json` not more. Who takes anything is a program, and asks for none.
pub fn prefers_html(headers: &Headers) -> bool {
    let weight = |wanted: &str| {
        let ranges = headers.get_all("accept").flat_map(|list| list.split(','));
        let named = ranges.filter_map(|range| {
            let (name, parameters) = range.split_once(';').unwrap_or((range, ""));
            name.trim().eq_ignore_ascii_case(wanted).then(|| quality(parameters))
        });
        named.fold(0.0, f32::max)
    };
    let html = weight("text/html");
    html > 0.0 && html >= weight("application/json")
}

/// The weight among the parameters of a type, which is 1 unless it is said. One that makes no sense is none.
fn quality(parameters: &str) -> f32 {
    let said = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let weight = said.map_or(Ok(1.0), str::parse);
    weight.ok().filter(|weight| (0.0..=1.0).contains(weight)).unwrap_or(0.0)
}

/// Whether a coding with these parameters has a weight above zero. One that makes no sense is not wanted.
fn is_wanted(parameters: &str) -> bool {
    let quality = parameters.trim().strip_prefix(['q', 'Q']).map(str::trim_start);
    match quality.and_then(|rest| rest.strip_prefix('=')) {
        None => parameters.trim().is_empty(),
        Some(text) => text.trim().parse::<f32>().is_ok_and(|weight| weight > 0.0 && weight <= 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_ask_for_pages_and_programs_for_anything() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        for (lists, page) in [
            (&[][..], false),
            (&["*/*"], false),
            (&["text/*"], false),
            (&["application/json"], false),
            (&["application/json, text/html;q=0.9"], false),
            (&["application/json, text/html"], true),
            (&["application/json;q=0.5, text/html;q=0.9"], true),
            (&["text/html;q=0"], false),
            (&["text/html;q=x"], false),
            (&["text/html;q=2"], false),
            (&["Text/HTML; level=1; Q=0.5"], true),
            (&["text/plain", "text/html"], true),
            (&[browser], true),
        ] {
            let fields: Vec<(&str, &str)> = lists.iter().map(|list| ("Accept", *list)).collect();
            assert_eq!(prefers_html(&headers(&fields)), page, "{lists:?}");
        }
    }

    use crate::wire::http::imf_fixdate;
    use std::time::UNIX_EPOCH;

    const MADE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        fields.iter().for_each(|(name, value)| headers.push(name, value));
        headers
    }

    fn asked(method: Method, fields: &[(&str, &str)], length: u64) -> Verdict {
        let modified = UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(imf_fixdate(modified), MADE);
        let validators = Validators { tag: "\"a,b\"".into(), modified };
        let now = modified + Duration::from_secs(3600);
        decide((method, &headers(fields)), &validators, length, now)
    }

    #[test]
    fn conditions_are_asked_in_their_order() {
        let (unchanged, failed, whole) = (Verdict::Unchanged, Verdict::Failed, Verdict::Whole);
        let table: [(&[(&str, &str)], &Verdict); 22] = [
            (&[], &whole),
            (&[("If-None-Match", "\"a,b\"")], &unchanged),
            (&[("If-None-Match", "\"x\", W/\"a,b\"")], &unchanged),
            (&[("If-None-Match", "\"x\""), ("If-None-Match", "\"a,b\"")], &unchanged),
            (&[("If-None-Match", "*")], &unchanged),
            (&[("If-None-Match", "\"a\", \"b\"")], &whole),
            (&[("If-None-Match", "a,b")], &whole),
            (&[("If-None-Match", "\"x\""), ("If-Modified-Since", LATER)], &whole),
            (&[("If-Modified-Since", MADE)], &unchanged),
            (&[("If-Modified-Since", LATER)], &unchanged),
            (&[("If-Modified-Since", EARLIER)], &whole),
            (&[("If-Modified-Since", "whenever")], &whole),
            (&[("If-Match", "\"a,b\"")], &whole),
            (&[("If-Match", "*")], &whole),
            (&[("If-Match", "W/\"a,b\"")], &failed),
            (&[("If-Match", "\"x\"")], &failed),
            (&[("If-Match", "\"x\""), ("If-None-Match", "\"a,b\"")], &failed),
            (&[("If-Match", "\"a,b\""), ("If-None-Match", "\"a,b\"")], &unchanged),
            (&[("If-Unmodified-Since", MADE)], &whole),
            (&[("If-Unmodified-Since", EARLIER)], &failed),
            (&[("If-Unmodified-Since", EARLIER), ("If-Match", "*")], &whole),
            (&[("If-None-Match", "*"), ("Range", "bytes=0-0")], &unchanged),
        ];
        for (fields, verdict) in table {
            assert_eq!(&asked(Method::Get, fields, 100), verdict, "{fields:?}");
            assert_eq!(&asked(Method::Head, fields, 100), verdict, "{fields:?}");
        }
    }

    #[test]
    fn a_range_is_what_it_says_as_far_as_there_is_something() {
        let huge = "9".repeat(400);
        let part = |range: Range<u64>| Verdict::Part(range);
        for (text, verdict) in [
            ("bytes=0-0", part(0..1)),
            ("bytes=0-", part(0..100)),
            ("bytes=99-", part(99..100)),
            ("bytes=10-19", part(10..20)),
            ("bytes = 10 - 19", part(10..20)),
            ("BYTES=10-19", part(10..20)),
            ("bytes=0-99", part(0..100)),
            ("bytes=0-100", part(0..100)),
            ("bytes=0-18446744073709551615", part(0..100)),
            ("bytes=0-18446744073709551616", part(0..100)),
            ("bytes=-1", part(99..100)),
            ("bytes=-100", part(0..100)),
            ("bytes=-18446744073709551616", part(0..100)),
            ("bytes=100-", Verdict::Beyond),
            ("bytes=100-200", Verdict::Beyond),
            ("bytes=18446744073709551615-", Verdict::Beyond),
            ("bytes=18446744073709551616-18446744073709551617", Verdict::Beyond),
            ("bytes=-0", Verdict::Beyond),
            ("bytes=19-10", Verdict::Whole),
            ("bytes=0-0,2-3", Verdict::Whole),
            ("bytes=-", Verdict::Whole),
            ("bytes=", Verdict::Whole),
            ("bytes=a-b", Verdict::Whole),
            ("bytes=+1-2", Verdict::Whole),
            ("bytes=--1", Verdict::Whole),
            ("bytes=1", Verdict::Whole),
            ("bytes=1-2-3", Verdict::Whole),
            ("bytes=0x1-2", Verdict::Whole),
            ("lines=0-1", Verdict::Whole),
            ("bytes", Verdict::Whole),
            ("", Verdict::Whole),
            (&format!("bytes={huge}-"), Verdict::Beyond),
            (&format!("bytes=0-{huge}"), part(0..100)),
            (&format!("bytes=-{huge}"), part(0..100)),
        ] {
            assert_eq!(asked(Method::Get, &[("Range", text)], 100), verdict, "{text}");
            assert_eq!(asked(Method::Head, &[("Range", text)], 100), Verdict::Whole, "{text}");
            assert_eq!(asked(Method::Get, &[("Range", text)], 0), Verdict::Whole, "{text} of none");
        }
        let all = asked(Method::Get, &[("Range", "bytes=0-")], u64::MAX);
        assert_eq!(all, part(0..u64::MAX));
        let tail = [("Range", "bytes=18446744073709551614-18446744073709551615")];
        assert_eq!(asked(Method::Get, &tail, u64::MAX), part(u64::MAX - 1..u64::MAX));
    }

    #[test]
    fn a_part_goes_only_to_what_it_is_a_part_of() {
        for (condition, is_part) in [
            ("\"a,b\"", true),
            ("W/\"a,b\"", false),
            ("\"x\"", false),
            (MADE, true),
            (EARLIER, false),
            (LATER, false),
            ("whenever", false),
            ("W", false),
        ] {
            let fields = [("Range", "bytes=1-2"), ("If-Range", condition)];
            let part = asked(Method::Get, &fields, 100) == Verdict::Part(1..3);
            assert_eq!(part, is_part, "{condition}");
        }
        // Within a second of its change there may be another.
        let modified = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let validators = Validators { tag: "\"t\"".into(), modified };
        let fields = headers(&[("Range", "bytes=1-2"), ("If-Range", MADE)]);
        let at = |now| decide((Method::Get, &fields), &validators, 100, now);
        assert_eq!(at(modified + Duration::from_secs(1)), Verdict::Whole);
        assert_eq!(at(modified + Duration::from_secs(2)), Verdict::Part(1..3));
    }

    #[test]
    fn gzip_is_for_who_takes_it() {
        for (lists, takes) in [
            (&[][..], false),
            (&["gzip"], true),
            (&["GZip;q=1"], true),
            (&["x-gzip"], true),
            (&["br, gzip; q=0.5"], true),
            (&["br", "deflate, gzip"], true),
            (&["*"], true),
            (&["gzip;q=0"], false),
            (&["gzip;q=0.000, *"], false),
            (&["*;q=0"], false),
            (&["*;q=0, gzip;q=0.1"], true),
            (&["gzip;q=2"], false),
            (&["gzip;q=NaN"], false),
            (&["gzip;q="], false),
            (&["gzip;x"], false),
            (&["identity, br"], false),
            (&["gzipped"], false),
        ] {
            let fields: Vec<(&str, &str)> = lists.iter().map(|l| ("Accept-Encoding", *l)).collect();
            assert_eq!(accepts_gzip(&headers(&fields)), takes, "{lists:?}");
        }
    }
}
