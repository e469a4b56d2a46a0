//! The index of a segment: for each part of its data who wrote it and when, in a few bytes a part. It is
//! appended to now and then, behind the data: what stands in a file and not in its index was written last, by
//! whoever wrote last. A torn entry at the end is none.
//!
//! ```text
//! header   "gaffer log 1\n", then varints: form, bytes of the book before this segment, seq, at
//! writer   1, number, instance, pid, stream, once, then job and label, each with its length
//! piece    kind (bit 1 begins a line, bit 2 a note of ours, bit 3 same writer), [writer],
//!          seq behind the last before, how many more numbers it has, microseconds behind the time
//!          before (zigzag), length
//! ```
//! Numbers are LEB128 varints.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a file begins with.
const MAGIC: &[u8] = b"gaffer log 1\n";
const WRITER: u8 = 1;
const STARTS: u8 = 2;
const NOTE: u8 = 4;
const SAME: u8 = 8;

/// How the bytes of processes stand in the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// As they are.
    #[default]
    Plain,
    /// With the time in front of each line.
    Stamped,
    /// Each line as a JSON object.
    Json,
}

/// What holds for a whole segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// How its data are written.
    pub form: Form,
    /// Bytes of data in all segments before it.
    pub before: u64,
    /// The number of what was written last before it.
    pub seq: u64,
    /// When that was, in microseconds since 1970.
    pub at: u64,
}

/// Who writes: one stream of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    /// The job's whole name.
    pub job: String,
    /// The instance's place there.
    pub instance: u32,
    /// Gaffer's number of the run.
    pub pid: u64,
    /// Which stream: 1 is stdout, 2 stderr.
    pub stream: u16,
    /// What it is called.
    pub label: String,
    /// Whether the run is a one-off.
    pub once: bool,
}

/// A part of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The number under which its writer stands in this index.
    pub writer: u32,
    /// The number of the first that is in it,
    pub seq: u64,
    /// and that of the last.
    pub last: u64,
    /// When the first was written, in microseconds since 1970.
    pub at: u64,
    /// Its bytes in the data.
    pub length: u64,
    /// Whether it begins where a line of its writer begins.
    pub starts: bool,
    /// Whether it is a note of ours: that something is lost.
    pub note: bool,
}

/// What stands in an index behind the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// From here on this number means this writer.
    Writer(u32, Writer),
    /// The next part of the data.
    Piece(Piece),
}

/// What the next entry is written against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Last {
    writer: u32,
    seq: u64,
    at: u64,
}

/// Writes an index.
#[derive(Clone, Debug)]
pub struct Encoder {
    last: Last,
}

/// Where a decoder rests: what the next entry was written against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    last: Last,
}

/// Reads an index, entry by entry, up to the first that is not whole.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
    position: usize,
    last: Last,
}

impl Encoder {
    /// Begins one, and writes its header.
    pub fn begin(header: Header, out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(MAGIC);
        let form = match header.form {
            Form::Plain => 0,
            Form::Stamped => 1,
            Form::Json => 2,
        };
        for number in [form, header.before, header.seq, header.at] {
            varint(number, out);
        }
        Self { last: Last::of(header) }
    }

    /// Writes who is meant by a number.
    pub fn writer(&mut self, number: u32, writer: &Writer, out: &mut Vec<u8>) {
        out.push(WRITER);
        let Writer { job, instance, pid, stream, label, once } = writer;
        let numbers = [number.into(), (*instance).into(), *pid, (*stream).into(), (*once).into()];
        for number in numbers {
            varint(number, out);
        }
        for text in [job, label] {
            varint(u64::try_from(text.len()).unwrap_or(0), out);
            out.extend_from_slice(text.as_bytes());
        }
    }

    /// Writes that of a part. Its number is above all before.
    pub fn piece(&mut self, piece: &Piece, out: &mut Vec<u8>) {
        let same = piece.writer == self.last.writer;
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        out.push(flag(piece.starts, STARTS) | flag(piece.note, NOTE) | flag(same, SAME));
        if !same {
            varint(piece.writer.into(), out);
        }
        varint(piece.seq.saturating_sub(self.last.seq), out);
        varint(piece.last.saturating_sub(piece.seq), out);
        varint(zigzag(piece.at.wrapping_sub(self.last.at)), out);
        varint(piece.length, out);
        self.last = Last::behind(piece);
    }
}

impl<'a> Decoder<'a> {
    /// Reads the header; `None` where there is none.
    pub fn begin(bytes: &'a [u8]) -> Option<(Header, Self)> {
        let position = bytes.starts_with(MAGIC).then_some(MAGIC.len())?;
        let last = Last { writer: u32::MAX, seq: 0, at: 0 };
        let mut decoder = Self { bytes, position, last };
        let form = match decoder.varint()? {
            0 => Form::Plain,
            1 => Form::Stamped,
            2 => Form::Json,
            _ => return None,
        };
        let (before, seq, at) = (decoder.varint()?, decoder.varint()?, decoder.varint()?);
        let header = Header { form, before, seq, at };
        decoder.last = Last::of(header);
        Some((header, decoder))
    }

    /// How many bytes are read: all that is whole.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Where it stands, to go on from there in bytes that were read later.
    pub fn rest(&self) -> Rest {
        Rest { last: self.last }
    }

    /// One that goes on, in the bytes that come behind those that were read.
    pub fn go_on(rest: Rest, bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, last: rest.last }
    }

    /// An encoder that goes on behind what is read.
    pub fn encoder(&self) -> Encoder {
        Encoder { last: self.last }
    }

    fn entry(&mut self) -> Option<Entry> {
        let (&kind, _) = self.bytes.get(self.position..)?.split_first()?;
        self.position += 1;
        match kind {
            WRITER => {
                let number = self.number()?;
                let instance = self.number()?;
                let pid = self.varint()?;
                let stream = self.number()?;
                let once = self.varint()? != 0;
                let (job, label) = (self.text()?, self.text()?);
                Some(Entry::Writer(number, Writer { job, instance, pid, stream, label, once }))
            }
            flags if flags & !(STARTS | NOTE | SAME) == 0 => {
                let same = flags & SAME != 0;
                let writer = if same { self.last.writer } else { self.number()? };
                let seq = self.last.seq.checked_add(self.varint()?)?;
                let last = seq.checked_add(self.varint()?)?;
                let at = self.last.at.wrapping_add(unzigzag(self.varint()?));
                let length = self.varint()?;
                let (starts, note) = (flags & STARTS != 0, flags & NOTE != 0);
                let piece = Piece { writer, seq, last, at, length, starts, note };
                self.last = Last::behind(&piece);
                Some(Entry::Piece(piece))
            }
            _ => None,
        }
    }

    fn number<T: TryFrom<u64>>(&mut self) -> Option<T> {
        T::try_from(self.varint()?).ok()
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.position)?;
            self.position += 1;
            let bits = u64::from(byte & 0x7f);
            value |= bits << shift;
            if byte & 0x80 == 0 {
                // The tenth byte has room for one bit.
                return (shift < 63 || bits < 2).then_some(value);
            }
        }
        None
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.varint()?).ok()?;
        let end = self.position.checked_add(length)?;
        let text = std::str::from_utf8(self.bytes.get(self.position..end)?).ok()?;
        self.position = end;
        Some(text.to_owned())
    }
}

impl Iterator for Decoder<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let (position, last) = (self.position, self.last);
        let entry = self.entry();
        if entry.is_none() {
            (self.position, self.last) = (position, last);
        }
        entry
    }
}

impl Last {
    fn of(header: Header) -> Self {
        Self { writer: u32::MAX, seq: header.seq, at: header.at }
    }

    fn behind(piece: &Piece) -> Self {
        Self { writer: piece.writer, seq: piece.last, at: piece.at }
    }
}

/// A time as an index has it.
pub fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The time that is meant.
pub fn time(micros: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_micros(micros)).unwrap_or(UNIX_EPOCH)
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or(0));
}

/// Small differences in either direction as small numbers.
fn zigzag(difference: u64) -> u64 {
    (difference << 1) ^ if difference >> 63 == 1 { u64::MAX } else { 0 }
}

fn unzigzag(value: u64) -> u64 {
    (value >> 1) ^ if value & 1 == 1 { u64::MAX } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn piece() -> impl Strategy<Value = Piece> {
        let parts = (0..3_u32, 1..1000_u64, 0..50_u64, any::<u64>(), any::<u64>());
        (parts, any::<bool>(), any::<bool>()).prop_map(
            |((writer, seq, last, at, length), starts, note)| Piece {
                writer,
                seq,
                last,
                at,
                length,
                starts,
                note,
            },
        )
    }

    fn writer(instance: u32) -> Writer {
        let (job, label) = ("s.ü".to_owned(), "out".to_owned());
        Writer { job, instance, pid: u64::MAX, stream: 2, label, once: instance == 1 }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_a_torn_entry_is_none(
            mut pieces in proptest::collection::vec(piece(), 0..40),
            cut in 0..400_usize,
        ) {
            let header = Header { form: Form::Json, before: 7, seq: 1 << 60, at: 1 << 50 };
            let mut seq = header.seq;
            let mut bytes = Vec::new();
            let mut encoder = Encoder::begin(header, &mut bytes);
            let mut entries = Vec::new();
            let mut ends = Vec::new();
            for number in 0..3 {
                encoder.writer(number, &writer(number), &mut bytes);
                entries.push(Entry::Writer(number, writer(number)));
                ends.push(bytes.len());
            }
            for piece in &mut pieces {
                piece.seq += seq;
                piece.last += piece.seq;
                seq = piece.last;
                encoder.piece(piece, &mut bytes);
                entries.push(Entry::Piece(*piece));
                ends.push(bytes.len());
            }
            let (found, mut decoder) = Decoder::begin(&bytes).expect("a header");
            prop_assert_eq!(found, header);
            let all: Vec<Entry> = decoder.by_ref().collect();
            prop_assert_eq!(&all, &entries);
            prop_assert_eq!(decoder.position(), bytes.len());
            // Cut anywhere, what is whole is read, and written on behind it.
            let cut = cut.min(bytes.len());
            if let Some((_, mut torn)) = Decoder::begin(&bytes[..cut]) {
                let whole: Vec<Entry> = torn.by_ref().collect();
                let count = ends.iter().filter(|end| **end <= cut).count();
                prop_assert_eq!(&whole[..], &entries[..count]);
                let mut mended = bytes[..torn.position()].to_vec();
                let last = Piece { seq, last: seq, at: 5, ..Piece {
                    writer: 1, seq: 0, last: 0, at: 0, length: 9, starts: true, note: false } };
                torn.encoder().piece(&last, &mut mended);
                let (_, again) = Decoder::begin(&mended).expect("a header");
                prop_assert_eq!(again.last(), Some(Entry::Piece(last)));
            }
        }

        #[test]
        fn garbage_is_no_index(bytes: Vec<u8>) {
            let whole = [MAGIC, &[0, 0, 0, 0], &bytes].concat();
            let (_, decoder) = Decoder::begin(&whole).expect("a header");
            prop_assert!(decoder.count() <= bytes.len());
        }
    }

    #[test]
    fn a_line_a_second_costs_few_bytes() {
        let header = Header { form: Form::Plain, before: 0, seq: 1 << 50, at: 1 << 50 };
        let mut bytes = Vec::new();
        let mut encoder = Encoder::begin(header, &mut bytes);
        let head = bytes.len();
        for number in 1..=100 {
            let seq = header.seq + number;
            let at = header.at + number * 1_000_000;
            let last = seq;
            let (writer, length) = (0, 80);
            encoder.piece(
                &Piece { writer, seq, last, at, length, starts: true, note: false },
                &mut bytes,
            );
        }
        assert!(bytes.len() - head <= 8 * 100 + 1, "{}", bytes.len() - head);
    }
}
