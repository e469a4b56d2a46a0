//! What somebody wants to read of the past, and how far he is.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::cursor::Cursor;
use super::filter::Filter;
use super::memory::{Kept, Memory};
use super::source::{Ask, Source, Step};
use super::tail::{Counted, Tail};
use super::track::Head;
use super::{Budget, Line, Shelf};
use crate::base::limits;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::logs::index::{Decoder, Header};
use crate::logs::view::Book;

/// A stream of an instance, whatever that is called.
pub type StreamId = (u64, u16);

/// A stream that is in memory, as far as no book has it.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Comes back with every later part of the same stream.
    pub number: StreamId,
    /// What came of it since the last time, in its order.
    pub parts: Vec<Kept>,
    /// Whether that begins a line.
    pub begins: bool,
    /// How many bytes before that are kept no more.
    pub lost: u64,
}

/// What there is to read, at one moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// On disk,
    pub books: Vec<Book>,
    /// and in memory alone.
    pub streams: Vec<Stream>,
    /// The runs that go on.
    pub live: SortedSet<u64>,
    /// Whose output that is, where pieces are wanted,
    pub of: Vec<(String, Option<u32>)>,
    /// the number of what was written last,
    pub seq: u64,
    /// and of what was before all runs of now, which may have the numbers of runs of then.
    pub former: u64,
    /// Streams that go into a book, of which this much is not there yet, as it belongs to lines that have no end.
    pub held: SortedMap<StreamId, usize>,
}

/// Which lines are wanted, and for how long.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Which.
    pub filter: Filter,
    /// Of those the last, so many.
    pub tail: Option<u64>,
    /// And those that come.
    pub follow: bool,
}

/// Somebody's reading.
pub struct Query {
    ask: Ask,
    sources: Vec<Named>,
    phase: Phase,
    /// Wanted lines that are too many at the beginning.
    surplus: u64,
    lost: u64,
}

struct Named {
    source: Source,
    /// The stream, where it is one in memory.
    number: Option<StreamId>,
    head: Option<Head>,
    /// The line whose parts come is one too many.
    left_out: bool,
}

enum Phase {
    /// How many lines there are, source by source; and how many were found.
    Counting { wanted: u64, at: usize, tail: Option<Box<Tail>>, found: u64 },
    /// Sources of which the next line is still to be found, and those of which it is.
    Merging { seeking: Vec<usize>, ready: BinaryHeap<Reverse<(u64, bool, usize)>> },
}

/// Whether there is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There may be.
    More,
    /// All is told that there is.
    End,
}

impl View {
    /// Whether there is nothing at all, nor ever was.
    pub fn is_empty(&self) -> bool {
        self.books.is_empty() && self.streams.is_empty()
    }

    /// How many bytes before all that is there are kept no more.
    pub fn before(&self, shelf: &mut dyn Shelf) -> u64 {
        let of_streams: u64 = self.streams.iter().map(|stream| stream.lost).sum();
        let of_book = |book: &Book| Self::header(book, shelf).map(|header| header.before);
        let of_books: u64 = self.books.iter().filter_map(of_book).sum();
        of_streams.saturating_add(of_books)
    }

    /// What is known of the first segment of a book.
    pub(super) fn header(book: &Book, shelf: &mut dyn Shelf) -> Option<Header> {
        let first = book.segments.first()?;
        let bytes = shelf.index(&book.place, first, 0, HEADER).ok()?;
        Decoder::begin(&bytes).map(|(header, _)| header)
    }
}

/// Longest header of an index.
const HEADER: usize = 64;

impl Query {
    /// Begins one.
    pub fn new(wish: Wish, view: View) -> Self {
        let View { books, streams, live, .. } = view;
        let parts = (books.len() + streams.len()).max(1);
        let stretch =
            (8 * limits::LOG_STRETCH / parts).clamp(limits::LOG_STRETCH / 16, limits::LOG_STRETCH);
        let ask = Ask { filter: wish.filter, live, follow: wish.follow, stretch };
        let sources: Vec<Named> = books
            .into_iter()
            .map(|book| Named::new(Source::new(book, None, Cursor::default(), false), None))
            .chain(streams.iter().map(Named::of))
            .collect();
        let phase = match wish.tail {
            Some(wanted) => Phase::Counting { wanted, at: 0, tail: None, found: 0 },
            None => merging(sources.len()),
        };
        Self { ask, sources, phase, surplus: 0, lost: 0 }
    }

    /// What could not be told since the last call, though it was to be there.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// The same with so many bytes read at a time.
    #[cfg(test)]
    pub(super) fn with_stretch(mut self, bytes: usize) -> Self {
        self.ask.stretch = bytes;
        self
    }

    /// Goes on with a portion. Each line is told, which gives how much comes of it.
    pub fn go_on(
        &mut self,
        shelf: &mut dyn Shelf,
        tell: &mut dyn FnMut(&Line<'_>) -> usize,
    ) -> Progress {
        let mut budget = Budget::new(limits::LOG_SCAN);
        let progress = self.go_on_within(shelf, tell, &mut budget);
        self.lost = self.lost.saturating_add(budget.take_lost());
        progress
    }

    fn go_on_within(
        &mut self,
        shelf: &mut dyn Shelf,
        tell: &mut dyn FnMut(&Line<'_>) -> usize,
        budget: &mut Budget,
    ) -> Progress {
        let mut told = 0;
        while told < limits::LOG_BATCH {
            match &mut self.phase {
                Phase::Counting { .. } => {
                    if !self.count(shelf, budget) {
                        return Progress::More;
                    }
                }
                Phase::Merging { seeking, ready } => {
                    while let Some(at) = seeking.last().copied() {
                        let named = &mut self.sources[at];
                        match named.source.next(&self.ask, shelf, budget) {
                            Step::Busy => return Progress::More,
                            Step::End => {}
                            Step::Line(head) => {
                                ready.push(Reverse((head.seq, head.begins, at)));
                                named.head = Some(head);
                            }
                        }
                        seeking.pop();
                    }
                    let Some(Reverse((_, _, at))) = ready.pop() else { return Progress::End };
                    seeking.push(at);
                    let named = &mut self.sources[at];
                    let Some(head) = named.head.take() else { continue };
                    if head.begins {
                        named.left_out = self.surplus > 0;
                        self.surplus = self.surplus.saturating_sub(1);
                    }
                    if !named.left_out {
                        told += tell(&named.source.line(&head));
                    }
                }
            }
        }
        Progress::More
    }

    /// Counts on; whether that is over.
    fn count(&mut self, shelf: &mut dyn Shelf, budget: &mut Budget) -> bool {
        let Phase::Counting { wanted, at, tail, found } = &mut self.phase else { return true };
        let Some(named) = self.sources.get_mut(*at) else {
            self.surplus = found.saturating_sub(*wanted);
            self.phase = merging(self.sources.len());
            return true;
        };
        let source = &mut named.source;
        let segments = source.view.segments.len();
        let counting = tail.get_or_insert_with(|| Box::new(Tail::new(segments)));
        match counting.go_on((source, *wanted), &self.ask, shelf, budget) {
            Counted::More => return false,
            Counted::From(start, count, within) => {
                let (view, memory) = (source.view.clone(), source.memory.take());
                *source = Source::new(view, memory, *start, within);
                *found += count;
                *tail = None;
                *at += 1;
            }
        }
        true
    }

    /// Goes on with what there is now, when all was told that there was.
    pub fn refresh(&mut self, view: View) {
        self.ask.live = view.live;
        for book in view.books {
            let known = self
                .sources
                .iter_mut()
                .find(|named| named.number.is_none() && named.source.view.place == book.place);
            match known {
                Some(named) => {
                    self.lost = self.lost.saturating_add(named.source.removed(&book));
                    named.source.refresh(book, None);
                }
                None => {
                    let source = Source::new(book, None, Cursor::default(), false);
                    self.sources.push(Named::new(source, None));
                }
            }
        }
        let mut seen = SortedSet::new();
        for stream in &view.streams {
            seen.insert(stream.number);
            let number = Some(stream.number);
            match self.sources.iter_mut().find(|named| named.number == number) {
                Some(named) => {
                    self.lost = self.lost.saturating_add(stream.lost);
                    let memory = Memory::new(&stream.parts, stream.begins);
                    named.source.refresh(memory.book(), Some(memory));
                }
                None => self.sources.push(Named::of(stream)),
            }
        }
        for named in self.sources.iter_mut().filter(|named| named.number.is_some()) {
            if named.number.is_some_and(|number| !seen.contains(&number)) {
                named.source.refresh(Memory::default().book(), Some(Memory::default()));
            }
        }
        self.phase = merging(self.sources.len());
    }
}

fn merging(sources: usize) -> Phase {
    Phase::Merging { seeking: (0..sources).rev().collect(), ready: BinaryHeap::new() }
}

impl Named {
    fn new(source: Source, number: Option<StreamId>) -> Self {
        Self { source, number, head: None, left_out: false }
    }

    fn of(stream: &Stream) -> Self {
        let memory = Memory::new(&stream.parts, stream.begins);
        let source = Source::new(memory.book(), Some(memory), Cursor::default(), false);
        Self::new(source, Some(stream.number))
    }
}
