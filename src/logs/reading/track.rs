//! How far one writer has come in a book: between two lines, or within one.

use std::sync::Arc;

use super::form::Unformed;
use super::End;
use crate::base::limits;
use crate::logs::index::{Form, Writer};

/// One stream of an instance, whichever run writes to it.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) writer: Arc<Writer>,
    pub(super) at: At,
    pub(super) form: Form,
    pub(super) unformed: Unformed,
    /// What it wrote was read up to here ahead of others; whether a line begins there.
    pub(super) taken: Option<((u32, u64), bool)>,
    /// All that is there of its line was read, and it may go on later.
    pub(super) waits: bool,
}

/// Where it is.
#[derive(Debug)]
pub(super) enum At {
    /// Between two lines.
    Between,
    /// Within one that is wanted.
    Within(Begun),
    /// Within one that is not.
    Skipping,
    /// Behind something that was not read.
    Unread,
}

/// A line that has begun.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) writer: Arc<Writer>,
    pub(super) seq: u64,
    pub(super) at: u64,
    pub(super) note: bool,
    /// Whether what there is of it is its beginning.
    pub(super) begins: bool,
    pub(super) bytes: Vec<u8>,
}

/// The next line of a source.
#[derive(Debug)]
pub struct Head {
    pub(super) writer: Arc<Writer>,
    /// As in [`super::Line`].
    pub seq: u64,
    pub(super) at: u64,
    pub(super) note: bool,
    /// As there, too.
    pub begins: bool,
    pub(super) end: End,
    pub(super) text: Text,
}

/// Where its bytes are.
#[derive(Debug)]
pub(super) enum Text {
    /// In what was read last.
    Read(std::ops::Range<usize>),
    /// They were put together.
    Own(Vec<u8>),
}

impl Track {
    pub(super) fn new(writer: Arc<Writer>, form: Form, begins: bool, at: At) -> Self {
        let unformed = Unformed::new(form, begins);
        Self { writer, at, form, unformed, taken: None, waits: false }
    }

    /// Whether that is the same stream of the same instance.
    pub(super) fn is_of(&self, writer: &Arc<Writer>) -> bool {
        Arc::ptr_eq(&self.writer, writer) || same_stream(&self.writer, writer)
    }

    /// Whether a line has begun whose end is to be looked for.
    pub(super) fn is_within(&self) -> bool {
        matches!(self.at, At::Within(_))
    }

    /// The end of its line has come.
    pub(super) fn end(&mut self) -> Option<Head> {
        let at = std::mem::replace(&mut self.at, At::Between);
        self.waits = false;
        let At::Within(begun) = at else { return None };
        Some(begun.head(End::Whole))
    }

    /// What has begun is all there is of its line.
    pub(super) fn finish(&mut self, end: End) -> Option<Head> {
        let at = std::mem::replace(&mut self.at, At::Between);
        self.waits = false;
        let At::Within(mut begun) = at else { return None };
        self.unformed.end(&mut begun.bytes);
        if end == End::Open {
            begun.bytes.truncate(whole_chars(&begun.bytes));
        }
        Some(begun.head(end))
    }
}

/// Whether two write to the same stream of the same instance.
fn same_stream(a: &Writer, b: &Writer) -> bool {
    (a.stream, a.instance, a.once) == (b.stream, b.instance, b.once) && a.job == b.job
}

impl Begun {
    /// Adds to it as much as it may have; gives how much that is.
    pub(super) fn add(&mut self, bytes: &[u8]) -> usize {
        let room = limits::PAST_LINE.saturating_sub(self.bytes.len());
        let count = room.min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..count]);
        count
    }

    /// What there is of it, as a line or a part of one.
    pub(super) fn head(self, end: End) -> Head {
        let Self { writer, seq, at, note, begins, bytes } = self;
        Head { writer, seq, at, note, begins, end, text: Text::Own(bytes) }
    }

    /// Takes out what there is of it as a part; the rest follows.
    pub(super) fn part(&mut self) -> Head {
        let rest =
            Self { writer: Arc::clone(&self.writer), begins: false, bytes: Vec::new(), ..*self };
        std::mem::replace(self, rest).head(End::More)
    }
}

/// How much of a text that is not over ends with a whole character, or with none.
fn whole_chars(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(4);
    match std::str::from_utf8(&bytes[from..]) {
        Ok(_) => bytes.len(),
        Err(_) => {
            let begins = |back: &usize| bytes[bytes.len() - back] & 0xc0 != 0x80;
            let Some(back) = (1..=bytes.len().min(3)).find(begins) else { return bytes.len() };
            let from = bytes.len() - back;
            match std::str::from_utf8(&bytes[from..]) {
                Err(error) if error.error_len().is_none() => from,
                Ok(_) | Err(_) => bytes.len(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_character_waits_for_the_rest() {
        for (bytes, whole) in [
            (&b"a\xe2"[..], 1),
            (b"a\xe2\x82", 1),
            (b"a\xe2\x82\xac", 4),
            (b"\xf0\x9f\x98", 0),
            (b"a\xff", 2),
            (b"\x80\x80\x80\x80\x80", 5),
            (b"\xff\xff\xe2", 2),
            (b"", 0),
        ] {
            assert_eq!(whole_chars(bytes), whole, "{bytes:?}");
        }
    }
}
