//! Lines for the syslog daemon of this machine, as syslog(3) writes them: `<PRI>Mmm dd hh:mm:ss TAG[PID]: TEXT`
//! (RFC 3164 section 4.1, without the host, which that daemon knows). One message is one datagram and one line.

use crate::base::limits;
use crate::sys::localtime::LocalTime;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// What kind of program speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facility {
    /// A program of a user.
    User,
    /// A daemon of the system.
    Daemon,
}

/// How grave it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// An error.
    Error,
    /// Somebody may want to act.
    Warning,
    /// What happens.
    Info,
    /// For those who look for a fault.
    Debug,
}

/// Who says something, and how grave it is.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// What kind of program it is.
    pub facility: Facility,
    /// How grave it is.
    pub severity: Severity,
    /// Its name. What would end it too early, or is white space, becomes `_`.
    pub tag: &'a str,
    /// Its process id.
    pub pid: u32,
    /// When, in this machine's time.
    pub time: Option<LocalTime>,
}

/// The number in front of a line (RFC 3164 section 4.1.1).
pub fn priority(facility: Facility, severity: Severity) -> u8 {
    let facility = match facility {
        Facility::User => 1,
        Facility::Daemon => 3,
    };
    let severity = match severity {
        Severity::Error => 3,
        Severity::Warning => 4,
        Severity::Info => 6,
        Severity::Debug => 7,
    };
    facility * 8 + severity
}

/// One datagram: at most [`limits::SYSLOG_LINE`] bytes, with `…` at the end of what is cut. Whatever would
/// end the line, or do something to the terminal of who reads it, becomes a space; tabs stay.
pub fn line(head: &Head<'_>, text: &str) -> String {
    let mut line = format!("<{}>", priority(head.facility, head.severity));
    if let Some(t) = head.time {
        let month = MONTHS.get(usize::from(t.month).saturating_sub(1)).unwrap_or(&"Jan");
        let (day, hour, minute, second) = (t.day, t.hour, t.minute, t.second);
        line += &format!("{month} {day:>2} {hour:02}:{minute:02}:{second:02} ");
    }
    let ends = |c: char| c.is_control() || c.is_whitespace() || "[]:".contains(c);
    let tag = head.tag.chars().map(|c| if ends(c) { '_' } else { c });
    push(&mut line, tag, head.tag.len(), limits::SYSLOG_TAG);
    line += &format!("[{}]: ", head.pid);
    let plain = text.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c });
    let room = limits::SYSLOG_LINE - line.len();
    push(&mut line, plain, text.len(), room);
    line
}

/// Adds characters, which are at most `length` bytes, up to so many, and says where it was cut.
fn push(line: &mut String, chars: impl Iterator<Item = char>, length: usize, room: usize) {
    const CUT: &str = "…";
    if length <= room {
        line.extend(chars);
        return;
    }
    let end = line.len() + room - CUT.len();
    for c in chars {
        if line.len() + c.len_utf8() > end {
            break;
        }
        line.push(c);
    }
    line.push_str(CUT);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(tag: &str) -> Head<'_> {
        let time = LocalTime {
            year: 2026,
            month: 2,
            day: 5,
            hour: 7,
            minute: 8,
            second: 9,
            weekday: 4,
            utc_offset: 0,
        };
        let (facility, severity) = (Facility::Daemon, Severity::Info);
        Head { facility, severity, tag, pid: 42, time: Some(time) }
    }

    #[test]
    fn a_line_is_as_syslog_writes_it() {
        assert_eq!(line(&head("gafferd"), "ready"), "<30>Feb  5 07:08:09 gafferd[42]: ready");
        let user = Head { facility: Facility::User, severity: Severity::Error, ..head("s.j.1") };
        assert_eq!(line(&user, "no"), "<11>Feb  5 07:08:09 s.j.1[42]: no");
        assert_eq!(priority(Facility::User, Severity::Warning), 12);
        assert_eq!(priority(Facility::Daemon, Severity::Debug), 31);
        assert_eq!(line(&Head { time: None, ..user }, ""), "<11>s.j.1[42]: ");
    }

    #[test]
    fn nothing_ends_a_line_or_a_tag_too_early() {
        let odd = line(&head("a b[1]: c\n"), "one\ntwo\u{1b}[31m\tü\0");
        assert_eq!(odd, "<30>Feb  5 07:08:09 a_b_1___c_[42]: one two [31m\tü ");
    }

    #[test]
    fn lines_and_tags_have_an_end() {
        let before = line(&head("t"), "").len();
        let most = limits::SYSLOG_LINE - before;
        let whole = line(&head("t"), &"x".repeat(most));
        assert!(whole.len() == limits::SYSLOG_LINE && whole.ends_with('x'));
        for text in ["x".repeat(most + 1), "é".repeat(most)] {
            let cut = line(&head("t"), &text);
            assert!(cut.len() <= limits::SYSLOG_LINE && cut.ends_with('…'), "{}", cut.len());
        }
        let tag = "t".repeat(limits::SYSLOG_TAG);
        assert!(line(&head(&tag), "").ends_with(&format!(" {tag}[42]: ")));
        let longer = line(&head(&format!("{tag}t")), "");
        assert!(longer.contains("t…[42]: ") && longer.len() == line(&head(&tag), "").len());
    }
}
