//! Bytes of a terminal to keys. Pure: what has come goes in, however it is cut. Whatever nobody expects
//! is a key without a meaning, and never a fault: a terminal sends what it likes.

/// Longest sequence that can mean something; one beyond it means nothing.
const SEQUENCE: usize = 32;
/// Most of a pasted text that is kept.
const PASTED: usize = 1024;
/// What stands before a pasted text, and behind it (xterm's "bracketed paste").
const PASTE: (&[u8], &[u8]) = (b"\x1b[200~", b"\x1b[201~");

/// A key that was pressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Char(char),
    /// With the control key, in lower case.
    Ctrl(char),
    /// An arrow.
    Up,
    /// An arrow.
    Down,
    /// An arrow.
    Left,
    /// An arrow.
    Right,
    /// A page back.
    PageUp,
    /// A page on.
    PageDown,
    /// To the beginning.
    Home,
    /// To the end.
    End,
    /// The line is done.
    Enter,
    /// Leave this.
    Esc,
    /// The next one.
    Tab,
    /// The character before, away.
    Backspace,
    /// A text that was not typed.
    Paste(String),
    /// One without a meaning here.
    Other,
}

/// Bytes that are not a key yet.
#[derive(Default)]
pub struct Keys {
    bytes: Vec<u8>,
    /// The text that is being pasted.
    pasted: Option<Vec<u8>>,
}

/// What the bytes begin with.
enum Found {
    /// A key of so many bytes.
    Key(Key, usize),
    /// Too little to say.
    Part,
}

impl Keys {
    /// Takes what has come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole key.
    pub fn take(&mut self) -> Option<Key> {
        loop {
            if self.pasted.is_some() {
                return self.take_pasted();
            }
            if self.bytes.starts_with(PASTE.0) {
                self.bytes.drain(..PASTE.0.len());
                self.pasted = Some(Vec::new());
                continue;
            }
            let Found::Key(key, length) = found(&self.bytes) else { return None };
            self.bytes.drain(..length);
            return Some(key);
        }
    }

    /// Whether the beginning of a key waits for its rest, which comes at once or never.
    pub fn is_waiting(&self) -> bool {
        self.pasted.is_none() && !self.bytes.is_empty()
    }

    /// Nothing more came in time: what waits is whatever it is, and ESC is the key of that name.
    pub fn expire(&mut self) -> Option<Key> {
        if !self.is_waiting() {
            return None;
        }
        let bytes = std::mem::take(&mut self.bytes);
        Some(if bytes == b"\x1b" { Key::Esc } else { Key::Other })
    }

    fn take_pasted(&mut self) -> Option<Key> {
        let pasted = self.pasted.as_mut()?;
        let end = self.bytes.windows(PASTE.1.len()).position(|window| window == PASTE.1);
        // Its last bytes may be the beginning of the end.
        let sure = end.unwrap_or((self.bytes.len() + 1).saturating_sub(PASTE.1.len()));
        let more = PASTED.saturating_sub(pasted.len()).min(sure);
        pasted.extend(self.bytes.drain(..sure).take(more));
        end?;
        self.bytes.drain(..PASTE.1.len());
        let pasted = self.pasted.take().unwrap_or_default();
        Some(Key::Paste(String::from_utf8_lossy(&pasted).into_owned()))
    }
}

fn found(bytes: &[u8]) -> Found {
    let Some((first, rest)) = bytes.split_first() else { return Found::Part };
    match first {
        0x1b => escaped(rest),
        b'\r' | b'\n' => Found::Key(Key::Enter, 1),
        b'\t' => Found::Key(Key::Tab, 1),
        0x7f | 0x08 => Found::Key(Key::Backspace, 1),
        0x01..=0x1a => Found::Key(Key::Ctrl(char::from(first + b'a' - 1)), 1),
        0x00 | 0x1c..=0x1f => Found::Key(Key::Other, 1),
        0x20..=0x7e => Found::Key(Key::Char(char::from(*first)), 1),
        0x80.. => character(bytes),
    }
}

/// A character of more than one byte.
fn character(bytes: &[u8]) -> Found {
    let some = &bytes[..bytes.len().min(4)];
    let (text, error) = match std::str::from_utf8(some) {
        Ok(text) => (text, None),
        Err(error) => {
            let valid = std::str::from_utf8(&some[..error.valid_up_to()]);
            (valid.unwrap_or_default(), Some(error))
        }
    };
    match (text.chars().next(), error) {
        (Some(c), _) => Found::Key(Key::Char(c), c.len_utf8()),
        (None, Some(error)) if error.error_len().is_none() => Found::Part,
        (None, Some(error)) => Found::Key(Key::Other, error.error_len().unwrap_or(1)),
        (None, None) => Found::Part,
    }
}

/// What follows ESC (ECMA-48, section 5.4; xterm's "Control Sequences").
fn escaped(rest: &[u8]) -> Found {
    match rest.first() {
        None => Found::Part,
        Some(b'[') => match rest.get(1) {
            // The function keys of Linux's console.
            Some(b'[') if rest.len() > 2 => Found::Key(Key::Other, 4),
            Some(b'[') => Found::Part,
            Some(_) | None => sequence(&rest[1..]),
        },
        Some(b'O') => match rest.get(1) {
            None => Found::Part,
            Some(last) => Found::Key(named(b"", *last), 3),
        },
        // Escape twice; the second may begin something.
        Some(0x1b) => Found::Key(Key::Esc, 1),
        // With the alt key.
        Some(_) => match found(rest) {
            Found::Key(_, length) => Found::Key(Key::Other, 1 + length),
            Found::Part => Found::Part,
        },
    }
}

/// What follows `ESC [`.
fn sequence(rest: &[u8]) -> Found {
    let head = "\x1b[".len();
    let Some(end) = rest.iter().position(|byte| !(0x20..=0x3f).contains(byte)) else {
        return if rest.len() < SEQUENCE {
            Found::Part
        } else {
            Found::Key(Key::Other, head + rest.len())
        };
    };
    let (parameters, last) = (&rest[..end], rest[end]);
    if !(0x40..=0x7e).contains(&last) {
        // What interrupts it is no part of it.
        return Found::Key(Key::Other, head + end);
    }
    Found::Key(named(parameters, last), head + end + 1)
}

fn named(parameters: &[u8], last: u8) -> Key {
    // Held keys stand behind a semicolon; with them it is the same key.
    let number = parameters.split(|byte| *byte == b';').next().unwrap_or_default();
    match (number, last) {
        (_, b'A') => Key::Up,
        (_, b'B') => Key::Down,
        (_, b'C') => Key::Right,
        (_, b'D') => Key::Left,
        (_, b'H') | (b"1" | b"7", b'~') => Key::Home,
        (_, b'F') | (b"4" | b"8", b'~') => Key::End,
        (b"5", b'~') => Key::PageUp,
        (b"6", b'~') => Key::PageDown,
        (b"3", b'~') => Key::Backspace,
        (b"", b'M') => Key::Enter,
        _ => Key::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut keys = Keys::default();
        keys.push(bytes);
        let mut found: Vec<Key> = std::iter::from_fn(|| keys.take()).collect();
        found.extend(keys.expire());
        assert!(!keys.is_waiting());
        found
    }

    #[test]
    fn keys_are_those_of_the_terminals_there_are() {
        for (bytes, expected) in [
            (&b"aZ"[..], &[Key::Char('a'), Key::Char('Z')][..]),
            (b"\x1b[A\x1bOB\x1b[1;5C\x1b[D", &[Key::Up, Key::Down, Key::Right, Key::Left]),
            (b"\x1b[5~\x1b[6~\x1b[H\x1b[4~", &[Key::PageUp, Key::PageDown, Key::Home, Key::End]),
            (
                b"\r\n\t\x7f\x0c",
                &[Key::Enter, Key::Enter, Key::Tab, Key::Backspace, Key::Ctrl('l')],
            ),
            ("ä€😀".as_bytes(), &[Key::Char('ä'), Key::Char('€'), Key::Char('😀')]),
            (b"\x1b", &[Key::Esc]),
            (b"\x1b\x1b[A", &[Key::Esc, Key::Up]),
            // With alt; the console's F1; a mouse; a focus; answers of the terminal.
            (b"\x1bx", &[Key::Other]),
            (b"\x1b[[A", &[Key::Other]),
            (b"\x1b[<0;3;4M", &[Key::Other]),
            (b"\x1b[I\x1b[?62;22c", &[Key::Other, Key::Other]),
            (b"\x1b[99999999999999999999~q", &[Key::Other, Key::Char('q')]),
            (b"\xff\xc3x", &[Key::Other, Key::Other, Key::Char('x')]),
        ] {
            assert_eq!(keys(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn what_is_pasted_is_no_key() {
        let text = b"\x1b[200~xy\x1b[A\x1b[201~q";
        let expected = [Key::Paste("xy\x1b[A".into()), Key::Char('q')];
        assert_eq!(keys(text), expected);
        let mut long = b"\x1b[200~".to_vec();
        long.extend(vec![b'x'; PASTED + 1]);
        long.extend(b"\x1b[201~");
        assert_eq!(keys(&long), [Key::Paste("x".repeat(PASTED))]);
        let mut open = Keys::default();
        open.push(b"\x1b[200~x");
        assert_eq!((open.take(), open.expire()), (None, None), "it is not over");
    }

    #[test]
    fn an_endless_sequence_is_given_up() {
        let mut bytes = b"\x1b[".to_vec();
        bytes.extend(vec![b'1'; SEQUENCE - 1]);
        let mut keys = Keys::default();
        keys.push(&bytes);
        assert_eq!(keys.take(), None);
        keys.push(b"1");
        assert_eq!(keys.take(), Some(Key::Other));
        assert!(!keys.is_waiting());
    }

    #[test]
    fn it_does_not_matter_how_bytes_are_cut() {
        let bytes = "a\x1b[1;5A€\x1b[200~p\x1b[201~\x1bOH\x1b[6~".as_bytes();
        let whole = keys(bytes);
        for cut in 0..bytes.len() {
            let mut keys = Keys::default();
            let mut found = Vec::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                keys.push(part);
                found.extend(std::iter::from_fn(|| keys.take()));
            }
            assert_eq!(found, whole, "cut at {cut}");
        }
    }
}
