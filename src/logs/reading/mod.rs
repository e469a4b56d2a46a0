//! The past of output, read from books and from what is in memory alone: as lines, merged in the order of the
//! numbers under which they begin, filtered, and in portions, so that nobody who reads much holds others up.
//!
//! A [`query::Query`] has one [`source::Source`] for each book and for each stream that is in memory only; what
//! is in memory is laid out as a book is, so both are read alike. A source yields its lines one by one. A line
//! that others write into, in the same book, is read to its end ahead of them, so that a source gives its lines
//! in order and holds one at a time. Lines beyond [`limits::PAST_LINE`](crate::base::limits::PAST_LINE) come in
//! parts, of which the first is held against the filters.
//!
//! Where data are not what their index says, they are left out and counted.

pub mod cursor;
pub mod filter;
pub mod form;
pub mod memory;
pub mod pattern;
pub mod pieces;
pub mod query;
pub mod source;
pub mod tail;
#[cfg(test)]
mod testing;
pub mod track;

use super::index::Writer;
use super::names::Place;
use super::view::Segment;

/// Where segments are read.
pub trait Shelf {
    /// Bytes of the index of a segment from here on, this many or as many as there are.
    ///
    /// # Errors
    /// It is gone.
    fn index(
        &mut self,
        place: &Place,
        segment: &Segment,
        from: u64,
        length: usize,
    ) -> Result<Vec<u8>, Gone>;
    /// Exactly so many bytes of its data, not compressed.
    ///
    /// # Errors
    /// It is gone, or not what it was.
    fn data(
        &mut self,
        place: &Place,
        segment: &Segment,
        from: u64,
        length: usize,
    ) -> Result<Vec<u8>, Gone>;
    /// Whether its data can be read from the middle on without reading what is before.
    fn seeks(&mut self, place: &Place, segment: &Segment) -> bool;
}

/// What was to be read is not there, or not what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// A line, or a part of one that is too long.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Who wrote it.
    pub writer: &'a Writer,
    /// The number of the piece in which it begins.
    pub seq: u64,
    /// When that was written, in microseconds since 1970.
    pub at: u64,
    /// What, without its end.
    pub bytes: &'a [u8],
    /// Whether it begins here, or goes on behind the part before.
    pub begins: bool,
    /// How it ends.
    pub end: End,
    /// Whether it is a note of ours.
    pub note: bool,
}

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// For good.
    Whole,
    /// Its end may still come, from a run that goes on.
    Open,
    /// The rest follows as another part.
    More,
}

/// What one portion may cost, and what could not be told in it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Budget {
    left: usize,
    lost: u64,
}

impl Budget {
    /// So many bytes may be looked through.
    pub fn new(bytes: usize) -> Self {
        Self { left: bytes, lost: 0 }
    }

    fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }

    fn is_spent(&self) -> bool {
        self.left == 0
    }

    fn lose(&mut self, bytes: u64) {
        self.lost = self.lost.saturating_add(bytes);
    }

    fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }
}
