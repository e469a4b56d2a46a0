//! A place in a book, from which its pieces come one after the other, over all its segments.

use std::sync::Arc;

use super::{Budget, Shelf};
use crate::base::limits;
use crate::base::sorted::SortedMap;
use crate::logs::index::{Decoder, Entry, Form, Piece, Rest, Writer};
use crate::logs::names::Place;
use crate::logs::view::Segment;

/// Longest entry: a writer with all its names.
const TORN: usize = 2 * 1024;

/// A place.
#[derive(Clone, Debug, Default)]
pub struct Cursor {
    /// Which segment of the view.
    pub segment: usize,
    entries: Option<Entries>,
    /// Where in its data the next piece of its index begins,
    offset: u64,
    /// and how far what that did not know yet has been told.
    told: u64,
    next: Option<Found>,
}

/// A piece, with where it lies. What was taken off its front is no part of it any more.
#[derive(Clone, Debug)]
pub struct Found {
    /// What its index says.
    pub piece: Piece,
    /// Who wrote it; nobody knows where the index is damaged.
    pub writer: Option<Arc<Writer>>,
    /// How the segment is written.
    pub form: Form,
    /// In which segment of the view it lies,
    pub segment: usize,
    /// and where in its data.
    pub offset: u64,
}

/// The index of a segment, read as far as it was needed.
#[derive(Clone, Debug)]
struct Entries {
    window: Arc<Vec<u8>>,
    /// How much of the window is read.
    read: usize,
    /// How much of the index is, or in the window.
    fetched: u64,
    rest: Rest,
    form: Form,
    writers: Arc<SortedMap<u32, Arc<Writer>>>,
    last: Option<Piece>,
}

impl Cursor {
    /// The beginning of a segment.
    pub fn at(segment: usize) -> Self {
        Self { segment, ..Self::default() }
    }

    /// The next piece; none at the end of the view.
    pub fn peek(
        &mut self,
        (place, segments): (&Place, &[Segment]),
        shelf: &mut dyn Shelf,
        budget: &mut Budget,
    ) -> Option<&Found> {
        while self.next.is_none() {
            let segment = segments.get(self.segment)?;
            if self.entries.is_none() {
                self.entries = Entries::open((place, segment), shelf, budget);
            }
            let Some(entries) = &mut self.entries else {
                // Nobody knows whose that is.
                budget.lose(segment.length);
                self.skip_segment();
                continue;
            };
            let (indexed, form) = (entries.next((place, segment), shelf, budget), entries.form);
            let whose = |piece: &Piece| entries.writers.get(&piece.writer).cloned();
            if let Some(piece) = indexed {
                let end = self.offset.saturating_add(piece.length).min(segment.length);
                let begin = self.offset.max(self.told);
                self.offset = end;
                if begin < end {
                    let starts = piece.starts && begin.saturating_add(piece.length) == end;
                    let writer = whose(&piece);
                    let piece = Piece { length: end - begin, starts, ..piece };
                    let segment = self.segment;
                    self.next = Some(Found { piece, writer, form, segment, offset: begin });
                }
                continue;
            }
            let offset = self.offset.max(self.told);
            let left = segment.length.saturating_sub(offset);
            let Some(last) = entries.last.filter(|_| left > 0) else {
                if self.segment + 1 >= segments.len() {
                    // More of it may come.
                    return None;
                }
                budget.lose(left);
                self.skip_segment();
                continue;
            };
            // What stands in the data and not in the index was written last, by whoever wrote last.
            let piece = Piece { seq: last.last, length: left, starts: false, note: false, ..last };
            let writer = whose(&piece).filter(|_| !entries.is_damaged());
            self.told = segment.length;
            self.next = Some(Found { piece, writer, form, segment: self.segment, offset });
        }
        self.next.as_ref()
    }

    /// That piece is taken.
    pub fn pass(&mut self) {
        self.next = None;
    }

    /// So many bytes of it are, and it goes on with a line, or not.
    pub fn pass_some(&mut self, count: u64, starts: bool) {
        if let Some(next) = &mut self.next {
            let count = count.min(next.piece.length);
            next.piece.length -= count;
            next.offset += count;
            next.piece.starts = starts;
            if next.piece.length == 0 {
                self.next = None;
            }
        }
    }

    /// Goes on with the next segment.
    pub fn skip_segment(&mut self) {
        *self = Self::at(self.segment + 1);
    }

    /// Goes on at a later view, in which its segment has another place.
    pub fn moved_to(&mut self, segment: usize) {
        self.segment = segment;
        if let Some(next) = &mut self.next {
            next.segment = segment;
        }
    }

    /// How much of the data of its segment is read.
    pub fn read(&self) -> u64 {
        let next = self.next.as_ref().map_or(0, |next| next.piece.length);
        self.offset.max(self.told).saturating_sub(next)
    }

    /// The same place, to keep: it reads its index again.
    pub fn bookmark(&self) -> Self {
        let mut mark = self.clone();
        if let Some(entries) = &mut mark.entries {
            let ahead = u64::try_from(entries.window.len() - entries.read).unwrap_or(0);
            entries.fetched -= ahead;
            entries.window = Arc::default();
            entries.read = 0;
        }
        mark
    }

    /// Whether nothing of its segment is read.
    pub fn is_fresh(&self) -> bool {
        self.entries.is_none() && self.next.is_none()
    }
}

impl Entries {
    fn open(of: (&Place, &Segment), shelf: &mut dyn Shelf, budget: &mut Budget) -> Option<Self> {
        let window = fetch(of, 0, shelf, budget)?;
        let (header, decoder) = Decoder::begin(&window)?;
        let (read, rest) = (decoder.position(), decoder.rest());
        Some(Self {
            fetched: u64::try_from(window.len()).unwrap_or(0),
            window: Arc::new(window),
            read,
            rest,
            form: header.form,
            writers: Arc::default(),
            last: None,
        })
    }

    fn next(
        &mut self,
        of: (&Place, &Segment),
        shelf: &mut dyn Shelf,
        budget: &mut Budget,
    ) -> Option<Piece> {
        loop {
            let mut decoder = Decoder::go_on(self.rest, self.window.get(self.read..)?);
            let entry = decoder.next();
            let (used, rest) = (decoder.position(), decoder.rest());
            self.read += used;
            self.rest = rest;
            match entry {
                Some(Entry::Writer(number, writer)) => {
                    Arc::make_mut(&mut self.writers).insert(number, Arc::new(writer));
                }
                Some(Entry::Piece(piece)) => {
                    self.last = Some(piece);
                    return Some(piece);
                }
                None => {
                    let kept = self.window.get(self.read..)?;
                    // What is no entry in as much as the longest has is none at all.
                    if kept.len() >= limits::PAST_INDEX {
                        return None;
                    }
                    let mut window = kept.to_vec();
                    let more = fetch(of, self.fetched, shelf, budget)?;
                    if more.is_empty() {
                        return None;
                    }
                    self.fetched += u64::try_from(more.len()).unwrap_or(0);
                    window.extend_from_slice(&more);
                    self.window = Arc::new(window);
                    self.read = 0;
                }
            }
        }
    }

    /// Whether more stands where it could not be read on than a torn entry has.
    fn is_damaged(&self) -> bool {
        self.window.len() - self.read > TORN
    }
}

fn fetch(
    (place, segment): (&Place, &Segment),
    from: u64,
    shelf: &mut dyn Shelf,
    budget: &mut Budget,
) -> Option<Vec<u8>> {
    let left = usize::try_from(segment.index.saturating_sub(from)).unwrap_or(usize::MAX);
    let length = left.min(limits::PAST_INDEX);
    if length == 0 {
        return Some(Vec::new());
    }
    budget.spend(length);
    shelf.index(place, segment, from, length).ok()
}
