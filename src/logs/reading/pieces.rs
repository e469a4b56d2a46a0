//! What was written, piece by piece as it came, merged over all books and what is in memory alone: for who tells
//! bytes as they are, and puts no lines together. Pieces come in the order of the last number in each, so that
//! whoever has all up to some number misses nothing that ends before it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::PathBuf;
use std::sync::Arc;

use super::cursor::{Cursor, Found};
use super::filter::Filter;
use super::form::Unformed;
use super::memory::Memory;
use super::query::{Progress, View};
use super::{Budget, Gone, Shelf};
use crate::base::limits;
use crate::base::sorted::SortedMap;
use crate::logs::index::{Form, Writer};
use crate::logs::view::Book;

/// A piece, or a part of a large one.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Who wrote it.
    pub writer: &'a Arc<Writer>,
    /// The number of the first that is in the piece,
    pub seq: u64,
    /// and that of the last.
    pub last: u64,
    /// Whether the piece ends with it.
    pub ends: bool,
    /// When the piece was begun, in microseconds since 1970.
    pub at: u64,
    /// Whether it is in memory alone.
    pub alone: bool,
    /// What.
    pub bytes: &'a [u8],
}

/// Somebody's reading of them.
pub struct Pieces {
    /// Whose are wanted, and behind which number.
    filter: Filter,
    sources: Vec<Source>,
    /// Sources of which the next piece is still to be found,
    seeking: Vec<usize>,
    /// and those of which it is, by its last number.
    ready: BinaryHeap<Reverse<(u64, usize)>>,
    lost: u64,
}

/// One book, or one stream that is in memory.
struct Source {
    book: Book,
    memory: Option<Memory>,
    cursor: Cursor,
    /// How far those are whose bytes stand there in a form.
    formed: Vec<(Arc<Writer>, Unformed)>,
}

/// What comes of looking for the next piece.
enum Next {
    /// The last number in it.
    Piece(u64),
    /// It is another's turn.
    Busy,
    /// There is none.
    End,
}

/// How much of a piece comes at a time.
const PART: usize = 16 * 1024;
/// Writers in a form that are remembered of a book.
const FORMED: usize = 256;

impl Pieces {
    /// Begins to read what these wrote behind this number.
    pub fn new(of: Vec<(String, Option<u32>)>, after: u64, view: View) -> Self {
        let of_stream = |stream: &super::query::Stream| {
            let memory = Memory::new(&stream.parts, stream.begins);
            Source::new(memory.book(), Some(memory))
        };
        let in_memory: Vec<Source> = view.streams.iter().map(of_stream).collect();
        let books = view.books.into_iter().map(|book| Source::new(book, None));
        let sources: Vec<Source> = books.chain(in_memory).collect();
        let filter = Filter { of, after, ..Filter::default() };
        let seeking = (0..sources.len()).rev().collect();
        Self { filter, sources, seeking, ready: BinaryHeap::new(), lost: 0 }
    }

    /// What could not be told since the last call, though it was to be there.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Goes on with a portion. Each part is told, which gives how much comes of it.
    pub fn go_on(
        &mut self,
        shelf: &mut dyn Shelf,
        tell: &mut dyn FnMut(&Part<'_>) -> usize,
    ) -> Progress {
        let mut budget = Budget::new(limits::LOG_SCAN);
        let mut told = 0;
        let mut progress = Progress::More;
        while told < limits::LOG_BATCH {
            if !self.seek(shelf, &mut budget) {
                break;
            }
            let Some(Reverse((_, at))) = self.ready.pop() else {
                progress = Progress::End;
                break;
            };
            self.seeking.push(at);
            told += self.sources[at].take(shelf, &mut budget, tell);
        }
        self.lost = self.lost.saturating_add(budget.take_lost());
        progress
    }

    /// Finds the next piece of each source; false where that takes more than one portion may.
    fn seek(&mut self, shelf: &mut dyn Shelf, budget: &mut Budget) -> bool {
        while let Some(at) = self.seeking.last().copied() {
            match self.sources[at].seek(&self.filter, shelf, budget) {
                Next::Busy => return false,
                Next::End => {}
                Next::Piece(last) => self.ready.push(Reverse((last, at))),
            }
            self.seeking.pop();
        }
        true
    }
}

impl Source {
    fn new(book: Book, memory: Option<Memory>) -> Self {
        Self { book, memory, cursor: Cursor::default(), formed: Vec::new() }
    }

    fn peek(&mut self, shelf: &mut dyn Shelf, budget: &mut Budget) -> Option<Found> {
        let Self { book, memory, cursor, .. } = self;
        let view = (&book.place, &book.segments[..]);
        let shelf = memory.as_mut().map_or(shelf, |memory| memory as &mut dyn Shelf);
        cursor.peek(view, shelf, budget).cloned()
    }

    /// Goes to the next piece that is wanted.
    fn seek(&mut self, filter: &Filter, shelf: &mut dyn Shelf, budget: &mut Budget) -> Next {
        loop {
            if budget.is_spent() {
                return Next::Busy;
            }
            let here = self.book.segments.get(self.cursor.segment);
            if self.cursor.is_fresh() && here.is_some_and(|segment| segment.last <= filter.after) {
                self.cursor.skip_segment();
                continue;
            }
            let Some(found) = self.peek(shelf, budget) else { return Next::End };
            // The index alone costs something, too.
            budget.spend(16);
            match &found.writer {
                Some(writer) if filter.wants(writer) && filter.has(&found.piece) => {
                    return Next::Piece(found.piece.last);
                }
                Some(_) => {}
                None => budget.lose(found.piece.length),
            }
            self.cursor.pass();
        }
    }

    /// Tells what was found, or a part of that; gives how much comes of it.
    fn take(
        &mut self,
        shelf: &mut dyn Shelf,
        budget: &mut Budget,
        tell: &mut dyn FnMut(&Part<'_>) -> usize,
    ) -> usize {
        let Some(found) = self.peek(shelf, budget) else { return 0 };
        let Found { piece, form, segment, offset, .. } = found;
        let Some((writer, segment)) = found.writer.zip(self.book.segments.get(segment)) else {
            return 0;
        };
        let length = usize::try_from(piece.length).unwrap_or(usize::MAX).min(PART);
        let count = u64::try_from(length).unwrap_or(0);
        let place = &self.book.place;
        let read = match &mut self.memory {
            Some(memory) => memory.data(place, segment, offset, length),
            None => shelf.data(place, segment, offset, length),
        };
        budget.spend(length);
        let bytes = match read {
            Ok(bytes) if bytes.len() == length => bytes,
            Ok(_) | Err(Gone) => {
                budget.lose(piece.length);
                self.cursor.pass();
                return 0;
            }
        };
        self.cursor.pass_some(count, false);
        let bytes = match form {
            Form::Plain => bytes,
            Form::Stamped | Form::Json => self.unformed((&writer, form), piece.starts, &bytes),
        };
        let ends = count == piece.length;
        let alone = self.memory.is_some();
        let (seq, last, at) = (piece.seq, piece.last, piece.at);
        tell(&Part { writer: &writer, seq, last, ends, at, alone, bytes: &bytes })
    }

    /// Bytes as their process wrote them.
    fn unformed(
        &mut self,
        (writer, form): (&Arc<Writer>, Form),
        starts: bool,
        bytes: &[u8],
    ) -> Vec<u8> {
        let is_it = |(known, _): &(Arc<Writer>, Unformed)| {
            Arc::ptr_eq(known, writer) || **known == **writer
        };
        let at = self.formed.iter().position(is_it).unwrap_or_else(|| {
            if self.formed.len() >= FORMED {
                self.formed.remove(0);
            }
            self.formed.push((Arc::clone(writer), Unformed::new(form, starts)));
            self.formed.len() - 1
        });
        let unformed = &mut self.formed[at].1;
        if starts {
            unformed.begin();
        }
        let mut out = Vec::new();
        unformed.take(bytes, &mut out);
        out
    }
}

impl View {
    /// How many bytes that came behind this number are kept no more, before all that is there. Of those before
    /// what is left of a book nobody knows which came behind it, so all are counted, but for what was read of it.
    /// `ends` is how far that is, book by book, and then how far this view is.
    pub fn missing(
        &self,
        after: u64,
        ends: &mut SortedMap<PathBuf, u64>,
        shelf: &mut dyn Shelf,
    ) -> u64 {
        let mut missing: u64 = self.streams.iter().map(|stream| stream.lost).sum();
        for book in &self.books {
            let Some(header) = Self::header(book, shelf) else { continue };
            let read = ends.get(&book.place.data).copied().unwrap_or(0);
            if header.seq > after {
                missing = missing.saturating_add(header.before.saturating_sub(read));
            }
            let length: u64 = book.segments.iter().map(|segment| segment.length).sum();
            ends.insert(book.place.data.clone(), header.before.saturating_add(length));
        }
        missing
    }
}
