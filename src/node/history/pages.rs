//! Records one behind the other, in a few pieces of memory for some hundred of them: each by itself would take twice
//! as much, and small things that live long lie between all that comes and goes. What is full is packed: all say much
//! the same, and are seldom asked for.

use std::borrow::Cow;
use std::io::{Read as _, Write as _};

use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use flate2::Compression;

use super::Record;

/// A page is full when its text has so many bytes.
const FULL: usize = 16 * 1024;

/// The records of a while, oldest first.
pub(super) struct Page {
    /// The number of its first message.
    first: u64,
    /// That of its last one.
    last: u64,
    heads: Vec<Head>,
    text: Text,
}

/// A record without its text.
#[derive(Clone, Copy)]
pub(super) struct Head {
    /// Where its text ends in that of its page; it begins where that of the one before ends.
    end: u32,
    /// How much of it are names.
    split: u32,
    /// How many messages it has.
    count: u8,
}

/// The texts of all records of a page.
enum Text {
    Open(String),
    Packed(Box<[u8]>),
}

impl Text {
    fn pack(text: &str) -> Self {
        let mut packed = DeflateEncoder::new(Vec::new(), Compression::fast());
        let packed = packed.write_all(text.as_bytes()).and_then(|()| packed.finish());
        Self::Packed(packed.expect("memory takes all").into())
    }

    fn whole(&self) -> Cow<'_, str> {
        match self {
            Self::Open(text) => Cow::Borrowed(text),
            Self::Packed(packed) => {
                let mut text = String::new();
                let read = DeflateDecoder::new(&**packed).read_to_string(&mut text);
                read.expect("it was packed here");
                Cow::Owned(text)
            }
        }
    }
}

impl Page {
    /// One whose first message will have this number.
    pub(super) fn new(first: u64) -> Self {
        Self { first, last: first - 1, heads: Vec::new(), text: Text::Open(String::new()) }
    }

    /// Whether what comes next belongs into another one.
    pub(super) fn is_full(&self) -> bool {
        matches!(self.text, Text::Packed(_))
    }

    /// Adds the record that comes next.
    pub(super) fn add(&mut self, record: &Record) {
        let Text::Open(text) = &mut self.text else { return };
        text.push_str(&record.text);
        let end = u32::try_from(text.len()).expect("no event has gigabytes");
        self.heads.push(Head { end, split: record.split, count: record.count });
        self.last += u64::from(record.count);
        if text.len() >= FULL {
            self.text = Text::pack(text);
            self.heads.shrink_to_fit();
        }
    }

    /// How many messages the record at a place has, and what its text takes, in bytes; nothing behind the last one.
    pub(super) fn extent(&self, place: usize) -> Option<(usize, usize)> {
        let head = self.heads.get(place)?;
        let before = place.checked_sub(1).and_then(|before| self.heads.get(before));
        let begin = before.map_or(0, |head| head.end);
        Some((head.count.into(), (head.end - begin) as usize))
    }

    /// Its records from a place on that have messages after this number.
    pub(super) fn since(&self, place: usize, seq: u64) -> impl Iterator<Item = Record> + '_ {
        let text = if self.last > seq { self.text.whole() } else { Cow::default() };
        let (mut begin, mut first) = (0, self.first);
        self.heads.iter().enumerate().filter_map(move |(at, head)| {
            let Head { end, split, count } = *head;
            let wanted = at >= place && first + u64::from(count) > seq + 1;
            let record = wanted.then(|| {
                let text = text.get(begin as usize..end as usize).unwrap_or_default();
                Record { first, text: text.into(), split, count }
            });
            begin = end;
            first += u64::from(count);
            record
        })
    }
}
