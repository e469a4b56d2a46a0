//! The index of the segment that is written to. What was written in a row by the same is one piece for a moment;
//! pieces are put into the file together, now and then, and are in memory until then.

use std::fs;
use std::io::Write as _;
use std::mem;

use super::book::Active;
use crate::base::error::Errno;
use crate::base::limits;
use crate::base::sorted::SortedSet;
use crate::logs::index::{Decoder, Encoder, Entry, Form, Header, Piece, Writer};
use crate::logs::names::Place;
use crate::sys::own_file::{self, Fault, Use};

/// The index that is written to.
#[derive(Default)]
pub(super) struct Pages {
    /// How the data are written.
    pub(super) form: Form,
    header: Option<Header>,
    encoder: Option<Encoder>,
    /// As it was when the file was written last.
    saved: Option<Encoder>,
    /// Who is known in the file and in what waits for it.
    known: SortedSet<u32>,
    /// What waits.
    pending: Vec<u8>,
    /// The bytes of data that it is of.
    covers: u64,
    open: Option<Piece>,
    /// Bytes in the file.
    written: u64,
    last: Option<(u32, u64, u64)>,
    /// The number of the last that is in the file, or in one before.
    in_file: u64,
}

/// Bytes that are put together to a piece at most,
const PIECE_SIZE: u64 = 64 * 1024;
/// and microseconds, which is how exact the time of a line is.
const PIECE_TIME: u64 = 100_000;

impl Pages {
    /// Goes on in an index that is there; with the numbers of who writes in it.
    pub(super) fn resume(&mut self, form: Form, decoder: &Decoder<'_>, known: SortedSet<u32>) {
        let written = u64::try_from(decoder.position()).unwrap_or(0);
        *self = Self { form, encoder: Some(decoder.encoder()), known, written, ..Self::default() };
        self.saved = self.encoder.clone();
    }

    /// A segment begins.
    pub(super) fn begin(&mut self) {
        *self = Self { form: self.form, last: self.last, in_file: self.in_file, ..Self::default() };
    }

    /// Adds a part of the data, whose writer is this.
    pub(super) fn add(&mut self, piece: Piece, who: Option<&Writer>, active: &Active) {
        self.last = Some((piece.writer, piece.last, piece.at));
        if let Some(open) = self.open.as_mut().filter(|open| goes_with(open, &piece)) {
            open.length += piece.length;
            open.last = open.last.max(piece.last);
            return;
        }
        self.shut();
        if self.encoder.is_none() {
            let before = active.before;
            let seq = piece.seq.saturating_sub(1);
            let header = Header { form: self.form, before, seq, at: piece.at };
            self.header = Some(header);
            self.encoder = Some(Encoder::begin(header, &mut self.pending));
        }
        let encoder = self.encoder.as_mut();
        if let Some((encoder, who)) =
            encoder.zip(who).filter(|_| !self.known.contains(&piece.writer))
        {
            encoder.writer(piece.writer, who, &mut self.pending);
            self.known.insert(piece.writer);
        }
        self.open = Some(piece);
    }

    /// Nothing is put to the last piece any more.
    fn shut(&mut self) {
        let Some(piece) = self.open.take() else { return };
        if let Some(encoder) = &mut self.encoder {
            encoder.piece(&piece, &mut self.pending);
            self.covers += piece.length;
        }
    }

    /// Whether something waits to be written down.
    pub(super) fn is_dirty(&self) -> bool {
        !self.pending.is_empty() || self.open.is_some()
    }

    /// Whether that is much.
    pub(super) fn is_heavy(&self) -> bool {
        self.pending.len() > limits::LOG_INDEX / 2
    }

    /// Writes down what waits.
    ///
    /// # Errors
    /// It waits on.
    pub(super) fn flush(&mut self, place: &Place, active: &Active) -> Result<(), Fault> {
        self.shut();
        if place.folder.as_os_str().is_empty() {
            // There is nowhere to keep it.
            self.pending.clear();
            self.covers = 0;
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        let path = place.index(active.number);
        let written = match own_file::open(&path, 0o600, Use::Append, None) {
            Err(Fault::Io(Errno(libc::ENOENT))) => {
                own_file::make_directory(&place.folder, None).map_err(Fault::Io)?;
                own_file::open(&path, 0o600, Use::Append, None)
            }
            other => other,
        };
        let written = written.and_then(|mut file| match file.write_all(&self.pending) {
            Ok(()) => Ok(()),
            Err(error) => {
                // Half of it would be in the way of the rest.
                let _ = file.set_len(self.written);
                Err(error.into())
            }
        });
        if written.is_err() && self.pending.len() > limits::LOG_INDEX {
            self.condense();
        }
        written?;
        self.written += u64::try_from(self.pending.len()).unwrap_or(0);
        self.pending.clear();
        self.covers = 0;
        self.in_file = self.last.map_or(0, |(_, seq, _)| seq);
        self.saved.clone_from(&self.encoder);
        Ok(())
    }

    /// All that waits becomes one piece: who wrote what of it when is known no more.
    fn condense(&mut self) {
        let Some((writer, seq, at)) = self.last else { return };
        let length = mem::take(&mut self.covers);
        self.pending.clear();
        self.known.clear();
        let saved = self.saved.clone();
        let begun = || Some(Encoder::begin(self.header?, &mut self.pending));
        let Some(mut encoder) = saved.or_else(begun) else { return };
        let piece = Piece { writer, seq, last: seq, at, length, starts: true, note: false };
        encoder.piece(&piece, &mut self.pending);
        self.encoder = Some(encoder);
        self.covers = length;
    }

    /// Bytes of data that are not in the index on the disk.
    pub(super) fn uncovered(&self) -> u64 {
        self.covers + self.open.map_or(0, |piece| piece.length)
    }

    /// How many bytes wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// The number up to which all is in the file, where that is not so of everything.
    pub(super) fn covered(&self) -> Option<u64> {
        self.is_dirty().then_some(self.in_file)
    }

    /// Bytes in the file.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Who wrote last, under which number and when.
    pub(super) fn last(&self) -> Option<(u32, u64, u64)> {
        self.last
    }

    /// Who wrote last.
    pub(super) fn last_writer(&self) -> Option<u32> {
        self.last.map(|(writer, _, _)| writer)
    }

    /// Somebody wrote last in the life of a daemon before this one.
    pub(super) fn remember(&mut self, last: Option<(u32, u64, u64)>) {
        self.last = last;
    }
}

fn goes_with(open: &Piece, piece: &Piece) -> bool {
    open.writer == piece.writer
        && !open.note
        && !piece.note
        && open.length + piece.length <= PIECE_SIZE
        && piece.at.saturating_sub(open.at) <= PIECE_TIME
        && piece.at >= open.at
}

/// What an index on the disk tells of its segment.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) form: Form,
    pub(super) before: u64,
    /// Bytes of data that it covers.
    pub(super) covers: u64,
    pub(super) oldest: u64,
    pub(super) newest: u64,
    pub(super) last: u64,
    pub(super) last_writer: Option<(u32, u64, u64)>,
    pub(super) writers: SortedSet<u32>,
    pub(super) jobs: SortedSet<String>,
    /// Whether what it covers ends a line is in the data.
    pub(super) position: usize,
}

impl Told {
    /// Reads one; `None` for what is none.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, Decoder<'_>)> {
        let (header, mut decoder) = Decoder::begin(bytes)?;
        let mut told =
            Self { form: header.form, before: header.before, last: header.seq, ..Self::default() };
        for entry in decoder.by_ref() {
            match entry {
                Entry::Writer(number, writer) => {
                    told.writers.insert(number);
                    told.jobs.insert(writer.job);
                }
                Entry::Piece(piece) => {
                    if told.covers == 0 {
                        told.oldest = piece.at;
                    }
                    told.covers = told.covers.saturating_add(piece.length);
                    told.oldest = told.oldest.min(piece.at);
                    told.newest = told.newest.max(piece.at);
                    told.last = told.last.max(piece.last);
                    told.last_writer = Some((piece.writer, piece.last, piece.at));
                }
            }
        }
        told.position = decoder.position();
        Some((told, decoder))
    }
}

/// Reads an index file.
pub(super) fn read(path: &std::path::Path) -> Vec<u8> {
    fs::read(path).unwrap_or_default()
}
