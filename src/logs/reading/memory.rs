//! What of a stream is in memory only, laid out as a book of one segment.

use super::{Gone, Shelf};
use crate::logs::index::{Encoder, Form, Header, Piece, Writer};
use crate::logs::names::Place;
use crate::logs::view::{Book, Segment};

/// A part of what an instance wrote to a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Who wrote it.
    pub writer: Writer,
    /// The number of the first that is in it,
    pub seq: u64,
    /// and that of the last.
    pub last: u64,
    /// When it was written, in microseconds since 1970.
    pub at: u64,
    /// What.
    pub bytes: Vec<u8>,
}

/// A book that is in memory.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    index: Vec<u8>,
    data: Vec<u8>,
    segment: Option<Segment>,
}

impl Memory {
    /// One of these parts, in their order, behind a line's end or not.
    pub fn new(parts: &[Kept], begins: bool) -> Self {
        let Some(first) = parts.first() else { return Self::default() };
        let mut memory = Self::default();
        let seq = first.seq.saturating_sub(1);
        let header = Header { form: Form::Plain, before: 0, seq, at: first.at };
        let mut encoder = Encoder::begin(header, &mut memory.index);
        let mut before: Option<(&Writer, bool)> = None;
        let mut number = 0;
        for part in parts {
            let starts = match before {
                None => begins,
                Some((writer, ended)) => ended || *writer != part.writer,
            };
            if before.is_none_or(|(writer, _)| *writer != part.writer) {
                number += 1;
                encoder.writer(number, &part.writer, &mut memory.index);
            }
            let length = u64::try_from(part.bytes.len()).unwrap_or(0);
            let (seq, last, at) = (part.seq, part.last, part.at);
            let piece = Piece { writer: number, seq, last, at, length, starts, note: false };
            encoder.piece(&piece, &mut memory.index);
            memory.data.extend_from_slice(&part.bytes);
            before = Some((&part.writer, part.bytes.last() == Some(&b'\n')));
        }
        let size = |bytes: &[u8]| u64::try_from(bytes.len()).unwrap_or(0);
        memory.segment = Some(Segment {
            number: 0,
            inode: None,
            length: size(&memory.data),
            index: size(&memory.index),
            oldest: parts.iter().map(|part| part.at).min().unwrap_or(0),
            newest: parts.iter().map(|part| part.at).max().unwrap_or(0),
            last: parts.iter().map(|part| part.last).max().unwrap_or(0),
        });
        memory
    }

    /// It as a book.
    pub fn book(&self) -> Book {
        let (data, folder, stem) = Default::default();
        Book { place: Place { data, folder, stem }, segments: self.segment.into_iter().collect() }
    }
}

impl Shelf for Memory {
    fn index(&mut self, _: &Place, _: &Segment, from: u64, length: usize) -> Result<Vec<u8>, Gone> {
        let from = usize::try_from(from).map_err(|_| Gone)?;
        let rest = self.index.get(from..).ok_or(Gone)?;
        Ok(rest[..length.min(rest.len())].to_vec())
    }

    fn data(&mut self, _: &Place, _: &Segment, from: u64, length: usize) -> Result<Vec<u8>, Gone> {
        let from = usize::try_from(from).map_err(|_| Gone)?;
        let end = from.checked_add(length).ok_or(Gone)?;
        self.data.get(from..end).map(<[u8]>::to_vec).ok_or(Gone)
    }

    fn seeks(&mut self, _: &Place, _: &Segment) -> bool {
        true
    }
}
