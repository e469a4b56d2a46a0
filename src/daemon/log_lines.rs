//! The lines of the log, as text, as JSON and as syslog's: each one line of bounded length, whatever is in the
//! message. What does not fit is cut, with `…` at the end of what is left.

use std::time::{SystemTime, UNIX_EPOCH};

use log::{Level, LevelFilter};

use crate::base::limits::{LOG_LINE, SYSLOG_LINE};
use crate::base::{self, limits};
use crate::sys::localtime::{local_time, LocalTime};
use crate::wire::json;
use crate::wire::syslog::{self, Facility, Head, Severity};

/// How lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: an object a line.
    Json,
}

impl Format {
    /// The words that are allowed, for messages.
    pub const WORDS: &'static str = "text or json";

    /// The format of this name.
    pub fn parse(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// What is said.
pub(super) struct Said<'a> {
    /// When.
    pub(super) time: SystemTime,
    /// How grave it is.
    pub(super) level: Level,
    /// By which part of the program.
    pub(super) target: &'a str,
    /// What.
    pub(super) text: &'a str,
}

impl Said<'_> {
    /// A line of a file or a terminal, with its end.
    pub(super) fn line(&self, format: Format) -> String {
        let mut line = match format {
            Format::Text => self.plain(),
            Format::Json => self.json(LOG_LINE - 1),
        };
        line.push('\n');
        line
    }

    /// A datagram for the syslog daemon. Time, number and gravity are in what syslog puts before each line.
    pub(super) fn datagram(&self, format: Format, tag: &str) -> String {
        let severity = match self.level {
            Level::Error => Severity::Error,
            Level::Warn => Severity::Warning,
            Level::Info => Severity::Info,
            Level::Debug | Level::Trace => Severity::Debug,
        };
        let (facility, pid) = (Facility::Daemon, std::process::id());
        let time = local_time(epoch(self.time).0);
        let head = Head { facility, severity, tag, pid, time };
        match format {
            Format::Text => syslog::line(&head, self.text),
            Format::Json => {
                let room = SYSLOG_LINE - syslog::line(&head, "").len();
                syslog::line(&head, &self.json(room))
            }
        }
    }

    fn plain(&self) -> String {
        let level = match self.level {
            Level::Error => "ERROR",
            Level::Warn => "WARNING",
            Level::Info => "INFO",
            Level::Debug => "DEBUG",
            Level::Trace => "TRACE",
        };
        let mut line = format!("{} [{}] [{level}] ", stamp(self.time), std::process::id());
        let room = LOG_LINE - line.len() - "\n".len();
        line += &fitting(self.text, room, Format::Text);
        line
    }

    /// An object of at most this length.
    fn json(&self, most: usize) -> String {
        let (seconds, micros) = epoch(self.time);
        let mut line = format!("{{\"ts\": {seconds}.{micros:06}, \"time\": ");
        line += &json::text(&rfc3339(seconds, micros));
        let level = level(self.level).word();
        line += &format!(", \"level\": \"{level}\", \"pid\": {}, \"target\": ", std::process::id());
        line += &json::text(&fitting(self.target, limits::LOG_TARGET, Format::Json));
        line += ", \"message\": ";
        let room = most - line.len() - "\"\"}".len();
        line += &json::text(&fitting(self.text, room, Format::Json));
        line.push('}');
        line
    }
}

/// So much of a text that it takes at most this room. Control characters become spaces, but for those that JSON
/// escapes.
fn fitting(text: &str, room: usize, format: Format) -> String {
    const CUT: char = '…';
    let (mut kept, mut taken, mut end) = (String::new(), 0, 0);
    for c in text.chars() {
        let is_told = format == Format::Json && c < '\u{7f}';
        let c = if c.is_control() && !is_told { ' ' } else { c };
        taken += match format {
            Format::Text => c.len_utf8(),
            Format::Json => escaped(c),
        };
        if taken > room {
            kept.truncate(end);
            kept.push(CUT);
            break;
        }
        kept.push(c);
        if taken + CUT.len_utf8() <= room {
            end = kept.len();
        }
    }
    kept
}

/// How many bytes a character takes in a string of JSON (RFC 8259 section 7), as `serde_json` writes it.
fn escaped(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        c if c < ' ' => 6,
        c => c.len_utf8(),
    }
}

/// Seconds since 1970, and microseconds of the next; 0 for a time before that.
fn epoch(time: SystemTime) -> (i64, u32) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_micros())
}

fn date(t: LocalTime, between: char) -> String {
    let (hour, minute, second) = (t.hour, t.minute, t.second);
    format!("{:04}-{:02}-{:02}{between}{hour:02}:{minute:02}:{second:02}", t.year, t.month, t.day)
}

/// `2026-01-31 12:00:00`, in local time.
pub fn stamp(time: SystemTime) -> String {
    let (seconds, _) = epoch(time);
    local_time(seconds).map_or_else(|| seconds.to_string(), |local| date(local, ' '))
}

/// `2026-01-31T12:00:00.000000+01:00`, in local time.
fn rfc3339(seconds: i64, micros: u32) -> String {
    let Some(local) = local_time(seconds) else { return seconds.to_string() };
    let sign = if local.utc_offset < 0 { '-' } else { '+' };
    let minutes = local.utc_offset.unsigned_abs() / 60;
    let (hours, minutes) = (minutes / 60, minutes % 60);
    format!("{}.{micros:06}{sign}{hours:02}:{minutes:02}", date(local, 'T'))
}

/// Our word for a level of the `log` crate.
fn level(level: Level) -> base::level::Level {
    match level {
        Level::Error => base::level::Level::Error,
        Level::Warn => base::level::Level::Warning,
        Level::Info => base::level::Level::Info,
        Level::Debug => base::level::Level::Debug,
        Level::Trace => base::level::Level::Trace,
    }
}

/// What passes at one of our levels.
pub(super) fn filter(level: base::level::Level) -> LevelFilter {
    match level {
        base::level::Level::Error => LevelFilter::Error,
        base::level::Level::Warning => LevelFilter::Warn,
        base::level::Level::Info => LevelFilter::Info,
        base::level::Level::Debug => LevelFilter::Debug,
        base::level::Level::Trace => LevelFilter::Trace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use serde_json::Value;

    fn said(text: &str) -> Said<'_> {
        let time = UNIX_EPOCH + Duration::from_micros(1_767_225_599_000_042);
        Said { time, level: Level::Warn, target: "gaffer::node", text }
    }

    fn object(line: &str) -> Value {
        assert_eq!(line.find('\n'), Some(line.len() - 1), "it is one line: {line:?}");
        json::parse(line.as_bytes()).expect("JSON")
    }

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        let text = said("a\nb\u{1b}[31m").line(Format::Text);
        assert!(text.ends_with("[WARNING] a b [31m\n"), "{text:?}");
        let room = LOG_LINE - said("").line(Format::Text).len();
        let whole = said(&"x".repeat(room)).line(Format::Text);
        assert!(whole.len() == LOG_LINE && whole.ends_with("x\n"));
        for long in ["x".repeat(room + 1), "é".repeat(room)] {
            let cut = said(&long).line(Format::Text);
            assert!(cut.len() <= LOG_LINE && cut.len() > LOG_LINE - 8 && cut.ends_with("…\n"));
        }
    }

    #[test]
    fn an_object_says_what_a_line_says_and_more() {
        let line = said("ready").line(Format::Json);
        let object = object(&line);
        assert!(line.starts_with(r#"{"ts": 1767225599.000042, "time": "20"#), "{line}");
        assert_eq!(object["ts"].as_f64(), Some(1_767_225_599.000_042));
        let time = object["time"].as_str().unwrap_or_default();
        assert!(time.len() == "2026-01-01T00:59:59.000042+01:00".len(), "{time}");
        assert!(time.contains(":59.000042"), "{time}");
        assert_eq!(object["pid"], std::process::id());
        for (key, value) in [("level", "warning"), ("target", "gaffer::node"), ("message", "ready")]
        {
            assert_eq!(object[key], value);
        }
    }

    #[test]
    fn an_object_is_sound_and_bounded_whatever_is_said() {
        let odd = "\"\\\n\r\t\u{0}\u{1b}\u{7f}\u{9b}é\u{2028}🦀\u{fffd}";
        let kept = object(&said(odd).line(Format::Json));
        assert_eq!(kept["message"], odd.replace(['\u{7f}', '\u{9b}'], " "));
        for repeated in ["x", "\"", "\u{0}", "é", "🦀", odd] {
            for more in 0..8 {
                let text = format!("{}{}", "x".repeat(more), repeated.repeat(LOG_LINE));
                let line = said(&text).line(Format::Json);
                let object = object(&line);
                let message = object["message"].as_str().unwrap_or_default();
                assert!(message.ends_with('…') && message.starts_with(&"x".repeat(more)));
                assert!(line.len() <= LOG_LINE && line.len() > LOG_LINE - 16, "{}", line.len());
            }
        }
        let room = LOG_LINE - said("").line(Format::Json).len();
        assert!(said(&"x".repeat(room)).line(Format::Json).ends_with("x\"}\n"));
        assert!(said(&"x".repeat(room + 1)).line(Format::Json).ends_with("…\"}\n"));
    }

    #[test]
    fn the_part_that_speaks_is_cut_at_its_limit() {
        for (length, whole) in [(limits::LOG_TARGET, true), (limits::LOG_TARGET + 1, false)] {
            let target = "t".repeat(length);
            let line = Said { target: &target, ..said("m") }.line(Format::Json);
            assert_eq!(object(&line)["target"] == target.as_str(), whole, "{line}");
            assert_eq!(object(&line)["message"], "m");
        }
    }

    #[test]
    fn a_datagram_has_what_syslog_wants_before_it() {
        let pid = std::process::id();
        let line = said("a\nb").datagram(Format::Text, "gafferd");
        assert!(line.starts_with("<28>") && line.ends_with(&format!("gafferd[{pid}]: a b")));
        let line = said(&"\"".repeat(SYSLOG_LINE)).datagram(Format::Json, "gafferd");
        assert!(line.len() <= SYSLOG_LINE, "{}", line.len());
        let object = line.split_once("]: ").map(|(_, object)| json::parse(object.as_bytes()));
        assert!(object.is_some_and(|object| object.is_ok()), "{line}");
    }
}
