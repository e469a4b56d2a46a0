//! What was written is read for clients: the machine says what is wanted and hands over what is in memory, the
//! shell adds the books and reads. What comes of it comes portion by portion, as its reader has room.

pub mod readers;
mod replaying;
pub mod replays;
pub mod telling;

use crate::base::ids::{ConnId, InstanceId, StreamNo};
use crate::base::sorted::{SortedMap, SortedSet};
use crate::logs::reading::query::{Progress, Query, Stream, View, Wish};
use crate::logs::reading::Shelf;
use crate::logs::view::Book;
use replaying::Replaying;
use telling::{Form, Teller};

/// For whom something is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whom {
    /// The client of `GET /logs` on this connection.
    Conn(ConnId),
    /// A session of the channel that missed something of a topic: its replay of this number.
    Replay(u64),
}

/// What is to be read.
#[derive(Debug)]
pub struct Asking {
    /// What is wanted.
    pub wanted: Wanted,
    /// What of it is in memory.
    pub rings: Rings,
}

/// What is wanted.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// These lines, told like this.
    Lines(Box<Wish>, Form),
    /// What was written, as this topic tells it.
    Replay {
        /// The topic.
        topic: String,
        /// Behind this number.
        after: u64,
    },
}

/// What is kept in memory, at one moment.
#[derive(Debug, Default)]
pub struct Rings {
    /// Whose output that is: jobs, each with an instance where only that is meant.
    pub of: Vec<(String, Option<u32>)>,
    /// The number of what was written last,
    pub seq: u64,
    /// and of what was in the lives of the node before, whose runs may have had the numbers that runs have now.
    pub former: u64,
    /// Each stream of each instance.
    pub streams: Vec<(InstanceId, StreamNo, Stream)>,
    /// The runs that go on.
    pub live: SortedSet<u64>,
}

/// What of a stream is not in its book yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alone {
    /// The last so many bytes: a line that has no end.
    Last(usize),
    /// What was written behind this number: it cannot be put there at present.
    Behind(u64),
}

/// Which streams go into books, and what of them is not there yet.
pub struct Kept<'a> {
    /// What is on disk.
    pub books: Vec<Book>,
    /// What of a stream is in memory alone; `None` for all of it, as it has no book.
    pub alone: &'a dyn Fn(InstanceId, StreamNo) -> Option<Alone>,
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
    /// Or the messages of a topic,
    pub messages: Vec<String>,
    /// and how many bytes before them are lost.
    pub lost: u64,
    /// Whether that is all for now.
    pub end: bool,
}

/// Somebody's reading, as whoever reads for him has it.
pub struct Reading {
    reads: Reads,
    begun: Begun,
}

enum Reads {
    Lines(Box<Query>, Form),
    Replay(Box<Replaying>),
}

impl Wanted {
    /// Whose output that is: jobs, each with an instance where only that is meant.
    pub fn of<'a>(&'a self, rings: &'a Rings) -> &'a [(String, Option<u32>)] {
        match self {
            Self::Lines(wish, _) => &wish.filter.of,
            Self::Replay { .. } => &rings.of,
        }
    }

    /// What there is to read of that now.
    pub fn view(&self, rings: Rings, kept: Kept<'_>) -> View {
        match self {
            Self::Lines(wish, _) => rings.with(kept, wish.follow),
            Self::Replay { .. } => rings.beside(kept),
        }
    }
}

impl Rings {
    /// What there is to read, with these books. Where a stream that goes into a book is followed, nothing of it is
    /// read in memory, as it will be in the book.
    fn with(self, Kept { books, alone }: Kept<'_>, follow: bool) -> View {
        let in_memory = |(id, number, mut stream): (InstanceId, StreamNo, Stream)| {
            let Some(alone) = alone(id, number) else { return Some(stream) };
            if follow {
                return None;
            }
            alone.leave(&mut stream);
            (!stream.parts.is_empty()).then_some(stream)
        };
        let streams = self.streams.into_iter().filter_map(in_memory).collect();
        View { books, streams, live: self.live, ..View::default() }
    }

    /// All that there is, to the byte.
    fn beside(self, Kept { books, alone }: Kept<'_>) -> View {
        let mut held = SortedMap::new();
        let mut streams = Vec::new();
        let Self { of, seq, former, streams: in_memory, live } = self;
        for (id, number, mut stream) in in_memory {
            if let Some(alone) = alone(id, number) {
                if let Alone::Last(count) = alone {
                    held.insert(stream.number, count);
                }
                alone.leave(&mut stream);
            }
            streams.push(stream);
        }
        View { books, streams, live, of, seq, former, held }
    }
}

impl Alone {
    /// Leaves of a stream what is in memory alone.
    fn leave(self, stream: &mut Stream) {
        match self {
            Self::Last(count) => keep_last(stream, count),
            Self::Behind(last) => stream.parts.retain(|part| part.last > last),
        }
        stream.lost = 0;
    }
}

/// Leaves of a stream what was written last, so many bytes.
fn keep_last(stream: &mut Stream, count: usize) {
    let all: usize = stream.parts.iter().map(|part| part.bytes.len()).sum();
    let mut surplus = all.saturating_sub(count);
    stream.parts.retain_mut(|part| {
        let cut = surplus.min(part.bytes.len());
        surplus -= cut;
        part.bytes.drain(..cut);
        !part.bytes.is_empty()
    });
}

impl Reading {
    /// Begins to read.
    pub fn begin(wanted: Wanted, view: View, shelf: &mut dyn Shelf) -> Self {
        match wanted {
            Wanted::Lines(wish, form) => {
                let begun = Begun { lost: view.before(shelf), has_books: !view.books.is_empty() };
                Self { reads: Reads::Lines(Box::new(Query::new(*wish, view)), form), begun }
            }
            Wanted::Replay { topic, after } => {
                let (replaying, begun) = Replaying::begin(topic, after, view, shelf);
                Self { reads: Reads::Replay(Box::new(replaying)), begun }
            }
        }
    }

    /// What was known then.
    pub fn begun(&self) -> Begun {
        self.begun
    }

    /// Reads on, with what there is now if that is said.
    pub fn read_on(&mut self, view: Option<View>, shelf: &mut dyn Shelf) -> Portion {
        let (query, form) = match &mut self.reads {
            Reads::Lines(query, form) => (query, *form),
            Reads::Replay(replaying) => return replaying.read_on(view, shelf),
        };
        if let Some(view) = view {
            query.refresh(view);
        }
        let mut teller = Teller::new(form);
        let progress = query.go_on(shelf, &mut |line| teller.line(line));
        let bytes = teller.end(query.take_lost());
        Portion { bytes, end: progress == Progress::End, ..Portion::default() }
    }
}
