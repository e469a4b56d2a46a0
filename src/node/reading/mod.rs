//! What was written is read for clients: the machine says what is wanted and hands over what is in memory, the
//! shell adds the books and reads. What comes of it comes portion by portion, as its reader has room.

pub mod readers;
pub mod telling;

use crate::base::ids::{InstanceId, StreamNo};
use crate::logs::reading::query::{Progress, Query, Stream, View, Wish};
use crate::logs::reading::Shelf;
use crate::logs::view::Book;
use telling::{Form, Teller};

/// What is to be read.
#[derive(Debug)]
pub struct Asking {
    /// Which lines.
    pub wish: Wish,
    /// How they are told.
    pub form: Form,
    /// What of them is in memory.
    pub rings: Rings,
}

/// What is kept in memory, at one moment.
#[derive(Debug, Default)]
pub struct Rings {
    /// Each stream of each instance.
    pub streams: Vec<(InstanceId, StreamNo, Stream)>,
    /// The runs that go on.
    pub live: std::collections::BTreeSet<u64>,
}

/// What is known when it begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// Bytes before all that is there are kept no more.
    pub lost: u64,
    /// Whether there are books.
    pub has_books: bool,
}

/// A part of what is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Portion {
    /// As it goes out.
    pub bytes: Vec<u8>,
    /// Whether that is all for now.
    pub end: bool,
}

/// Somebody's reading, as whoever reads for him has it.
pub struct Reading {
    query: Query,
    form: Form,
    begun: Begun,
}

impl Rings {
    /// What there is to read, with these books. Of a stream that goes into a book, that is in memory alone which
    /// was written behind this number; and where it is followed nothing, as it will be in the book.
    pub fn with(
        self,
        books: Vec<Book>,
        written: impl Fn(InstanceId, StreamNo) -> Option<u64>,
        follow: bool,
    ) -> View {
        let alone = |(id, number, mut stream): (InstanceId, StreamNo, Stream)| {
            match written(id, number) {
                None => return Some(stream),
                Some(_) if follow => return None,
                Some(last) => stream.parts.retain(|part| part.seq > last),
            }
            stream.lost = 0;
            (!stream.parts.is_empty()).then_some(stream)
        };
        let streams = self.streams.into_iter().filter_map(alone).collect();
        View { books, streams, live: self.live }
    }
}

impl Reading {
    /// Begins to read.
    pub fn begin(wish: Wish, form: Form, view: View, shelf: &mut dyn Shelf) -> Self {
        let begun = Begun { lost: view.before(shelf), has_books: !view.books.is_empty() };
        Self { query: Query::new(wish, view), form, begun }
    }

    /// What was known then.
    pub fn begun(&self) -> Begun {
        self.begun
    }

    /// Reads on, with what there is now if that is said.
    pub fn read_on(&mut self, view: Option<View>, shelf: &mut dyn Shelf) -> Portion {
        if let Some(view) = view {
            self.query.refresh(view);
        }
        let mut teller = Teller::new(self.form);
        let progress = self.query.go_on(shelf, &mut |line| teller.line(line));
        let bytes = teller.end(self.query.take_lost());
        Portion { bytes, end: progress == Progress::End }
    }
}
