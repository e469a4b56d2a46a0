//! What many processes write, as one text: whole lines, each with its process in front, in the order
//! in which they were complete. Pure: bytes come in, text goes out.

use serde_json::{json, Value};

use crate::base::ids::{InstanceId, StreamNo};
use crate::base::limits;
use crate::base::sorted::SortedMap;

/// The colours of process types, in turn. Red is for stderr.
const COLORS: [u8; 10] = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94];

/// How lines look.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Whether with colours.
    pub color: bool,
    /// The columns of the longest name.
    pub width: usize,
}

/// Whose line it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speaker {
    /// `web.1`.
    pub name: String,
    /// Which process type of the file it is, from 0; none for what we say ourselves.
    pub kind: Option<usize>,
}

/// For whom lines are written.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// For people.
    Text(Style),
    /// For programs: an object on each line, with `process`, `stream` (none for what we say ourselves) and
    /// `line`.
    Json,
}

impl Form {
    /// Adds a line to a text.
    pub fn line(&self, speaker: &Speaker, stream: StreamNo, line: &[u8], text: &mut String) {
        let style = match self {
            Self::Text(style) => style,
            Self::Json => {
                let label = if stream == StreamNo::STDERR { "err" } else { "out" };
                let stream = speaker.kind.map_or(Value::Null, |_| json!(label));
                let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
                let object = json!({"process": speaker.name, "stream": stream, "line": line});
                text.push_str(&object.to_string());
                text.push('\n');
                return;
            }
        };
        style.line(speaker, stream, line, text);
    }
}

impl Style {
    /// Adds a line to a text, with its speaker in front. stdout and stderr differ in the colour of
    /// the bar, or without colours in the bar itself.
    pub fn line(&self, speaker: &Speaker, stream: StreamNo, line: &[u8], text: &mut String) {
        let is_err = stream == StreamNo::STDERR;
        let line = String::from_utf8_lossy(line);
        // What goes back to the beginning of its line would write over its name.
        let parts = line.split('\r').filter(|part| !part.is_empty());
        let empty = line.trim_matches('\r').is_empty().then_some("");
        for part in parts.chain(empty) {
            self.prefix(speaker, is_err, text);
            self.plain(part, text);
            text.push('\n');
        }
    }

    fn prefix(&self, speaker: &Speaker, is_err: bool, text: &mut String) {
        let (name, width) = (&speaker.name, self.width);
        if !self.color {
            let bar = if is_err { '!' } else { '|' };
            text.push_str(&format!("{name:width$} {bar} "));
            return;
        }
        let color = speaker.kind.map_or(1, |kind| COLORS[kind % COLORS.len()]);
        let bar = if is_err { 31 } else { color };
        text.push_str(&format!("\x1b[{color}m{name:width$}\x1b[0m \x1b[{bar}m|\x1b[0m "));
    }

    /// Adds what a process wrote without what would command the terminal, but for its colours where
    /// there are any.
    fn plain(&self, part: &str, text: &mut String) {
        let mut chars = part.chars();
        let mut painted = false;
        while let Some(c) = chars.next() {
            if c == '\x1b' {
                if let Some(sequence) = color_sequence(&mut chars).filter(|_| self.color) {
                    painted = true;
                    text.push_str(&sequence);
                }
            } else if !c.is_control() || c == '\t' {
                text.push(c);
            }
        }
        if painted {
            text.push_str("\x1b[0m");
        }
    }
}

/// Reads a control sequence to its end (ECMA-48, 5.4 and 5.6); gives it if it sets colours.
fn color_sequence(chars: &mut std::str::Chars<'_>) -> Option<String> {
    let mut sequence = String::from("\x1b[");
    match chars.next()? {
        '[' => {
            for c in chars {
                sequence.push(c);
                if ('\x40'..='\x7e').contains(&c) {
                    return (c == 'm').then_some(sequence);
                }
            }
            None
        }
        // A text for the terminal: its title, a link.
        ']' => {
            let mut before = ' ';
            for c in chars {
                if c == '\x07' || (before, c) == ('\x1b', '\\') {
                    break;
                }
                before = c;
            }
            None
        }
        _ => None,
    }
}

/// Lines that have begun and have no end yet.
#[derive(Default)]
pub struct Begun {
    parts: SortedMap<(InstanceId, StreamNo), Vec<u8>>,
}

impl Begun {
    /// Takes what a process wrote and hands on what is whole; a line longer than
    /// [`limits::FOREGROUND_LINE`] in pieces.
    pub fn take(
        &mut self,
        id: InstanceId,
        stream: StreamNo,
        bytes: &[u8],
        tell: &mut dyn FnMut(&[u8]),
    ) {
        let begun = self.parts.entry((id, stream)).or_default();
        let pieces = bytes.split_inclusive(|byte| *byte == b'\n');
        for piece in pieces {
            let (mut line, ends) = match piece.strip_suffix(b"\n") {
                Some(line) => (line, true),
                None => (piece, false),
            };
            while begun.len() + line.len() > limits::FOREGROUND_LINE {
                let (now, later) = line.split_at(limits::FOREGROUND_LINE - begun.len());
                begun.extend_from_slice(now);
                tell(begun);
                begun.clear();
                line = later;
            }
            if ends && begun.is_empty() {
                tell(line);
                continue;
            }
            begun.extend_from_slice(line);
            if ends {
                tell(begun);
                begun.clear();
            }
        }
        if begun.is_empty() {
            self.parts.remove(&(id, stream));
        }
    }

    /// Hands on what has begun and will have no end.
    pub fn end(&mut self, id: InstanceId, tell: &mut dyn FnMut(StreamNo, &[u8])) {
        let all = (id, StreamNo(0))..=(id, StreamNo(u16::MAX));
        let streams: Vec<_> = self.parts.range(all).map(|(key, _)| *key).collect();
        for key in streams {
            if let Some(begun) = self.parts.remove(&key) {
                tell(key.1, &begun);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::arena::Arena;

    fn speaker(name: &str) -> Speaker {
        Speaker { name: name.into(), kind: Some(0) }
    }

    fn shown(color: bool, stream: StreamNo, line: &[u8]) -> String {
        let mut text = String::new();
        Style { color, width: 6 }.line(&speaker("web.1"), stream, line, &mut text);
        text
    }

    fn id() -> InstanceId {
        let mut arena: Arena<InstanceId, ()> = Arena::default();
        arena.insert(())
    }

    #[test]
    fn names_line_up_and_stderr_is_told_apart() {
        assert_eq!(shown(false, StreamNo::STDOUT, b"a b"), "web.1  | a b\n");
        assert_eq!(shown(false, StreamNo::STDERR, b"a b"), "web.1  ! a b\n");
        let name = "\x1b[36mweb.1 \x1b[0m";
        assert_eq!(shown(true, StreamNo::STDOUT, b"a"), format!("{name} \x1b[36m|\x1b[0m a\n"));
        assert_eq!(shown(true, StreamNo::STDERR, b"a"), format!("{name} \x1b[31m|\x1b[0m a\n"));
    }

    #[test]
    fn programs_get_an_object_for_each_line_as_it_was_written() {
        let of = |kind: Option<usize>, stream, line: &[u8]| -> Value {
            let mut text = String::new();
            let speaker = Speaker { name: "web.1".into(), kind };
            Form::Json.line(&speaker, stream, line, &mut text);
            assert_eq!(text.matches('\n').count(), 1, "{text}");
            serde_json::from_str(&text).expect("JSON")
        };
        assert_eq!(
            of(Some(0), StreamNo::STDERR, b"\"a\"\x1b[1m\tb\r"),
            json!({"process": "web.1", "stream": "err", "line": "\"a\"\x1b[1m\tb"})
        );
        let own = of(None, StreamNo::STDOUT, b"a\nb");
        assert_eq!(own, json!({"process": "web.1", "stream": null, "line": "a\nb"}));
    }

    #[test]
    fn nothing_that_is_written_commands_the_terminal() {
        let plain = |line: &[u8]| shown(false, StreamNo::STDOUT, line);
        assert_eq!(plain(b"\x1b[2J\x1bca\x07\x1b]0;title\x07b\x1b[31mc"), "web.1  | abc\n");
        assert_eq!(plain(b"10%\r20%\r"), "web.1  | 10%\nweb.1  | 20%\n");
        assert_eq!(plain(b""), "web.1  | \n");
        assert_eq!(plain(b"\r"), "web.1  | \n");
        assert_eq!(plain(b"\xff"), "web.1  | \u{fffd}\n");
        assert_eq!(plain(b"a\x1b["), "web.1  | a\n");
        let painted = shown(true, StreamNo::STDOUT, b"\x1b[31ma\x1b[K");
        assert!(painted.ends_with("\x1b[31ma\x1b[0m\n"), "{painted:?}");
    }

    #[test]
    fn lines_are_told_when_they_are_whole() {
        let (mut begun, id) = (Begun::default(), id());
        let mut told: Vec<Vec<u8>> = Vec::new();
        let mut take = |bytes: &[u8]| {
            begun.take(id, StreamNo::STDOUT, bytes, &mut |line| told.push(line.to_vec()));
        };
        take(b"a\nb");
        take(b"c");
        take(b"\n\nd");
        let mut ended = Vec::new();
        begun.end(id, &mut |stream, line| ended.push((stream, line.to_vec())));
        assert_eq!(told, [&b"a"[..], b"bc", b""]);
        assert_eq!(ended, [(StreamNo::STDOUT, b"d".to_vec())]);
        begun.end(id, &mut |_, _| panic!("nothing is left"));
    }

    #[test]
    fn a_line_at_the_limit_is_one_and_a_longer_one_comes_in_pieces() {
        let lengths = |length: usize, parts: usize| {
            let (mut begun, id) = (Begun::default(), id());
            let mut told = Vec::new();
            let text = [&vec![b'x'; length][..], b"\n"].concat();
            for part in text.chunks(text.len().div_ceil(parts)) {
                begun.take(id, StreamNo::STDOUT, part, &mut |line| told.push(line.len()));
            }
            told
        };
        for parts in [1, 2, 7] {
            assert_eq!(lengths(limits::FOREGROUND_LINE, parts), [limits::FOREGROUND_LINE]);
            let one_more = lengths(limits::FOREGROUND_LINE + 1, parts);
            assert_eq!(one_more, [limits::FOREGROUND_LINE, 1], "{parts}");
        }
    }
}
