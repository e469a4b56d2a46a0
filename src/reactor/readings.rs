//! What was written, read for clients: a worker of their own goes through books and memory, portion by portion, so
//! that nobody waits for the disk but them, and none of them for another.

use std::collections::BTreeMap;
use std::sync::Arc;

use log::warn;
use mio::Waker;

use super::shelf::Files;
use super::store::Store;
use super::work::Worker;
use crate::base::ids::ConnId;
use crate::logs::reading::query::{View, Wish};
use crate::logs::view::Book;
use crate::node::reading::telling::Form;
use crate::node::reading::{Asking, Begun, Portion, Reading, Rings};

/// All of them.
pub(super) struct Readings {
    worker: Worker<Work, Done>,
    readers: BTreeMap<ConnId, Reader>,
    /// The number of the last.
    last: u64,
}

/// One.
struct Reader {
    slot: Slot,
    /// Whose output it is: jobs, each with an instance where only that is meant.
    of: Vec<(String, Option<u32>)>,
    follow: bool,
    /// Tells it from one before it on the same connection.
    number: u64,
}

enum Slot {
    /// The worker has it.
    Away,
    /// Nobody reads now.
    Here(Box<(Reading, Files)>),
}

enum Work {
    Begin { conn: ConnId, number: u64, wish: Wish, form: Form, view: View },
    Read { conn: ConnId, number: u64, of: Box<(Reading, Files)>, view: Option<View> },
}

struct Done {
    conn: ConnId,
    number: u64,
    of: Box<(Reading, Files)>,
    /// What was read, unless it has only begun.
    portion: Option<Portion>,
}

/// What the machine is to be told.
pub(super) enum Told {
    Begun(ConnId, Begun),
    On(ConnId, Portion),
}

impl Readings {
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        Self { worker: Worker::new(waker, perform), readers: BTreeMap::new(), last: 0 }
    }

    /// Begins one; gives what is to be told where that cannot be.
    pub(super) fn begin(
        &mut self,
        conn: ConnId,
        asking: Asking,
        store: &mut Store,
    ) -> Option<Told> {
        let Asking { wish, form, rings } = asking;
        let (of, follow) = (wish.filter.of.clone(), wish.follow);
        let view = view(rings, (&of, follow), store);
        self.last += 1;
        let number = self.last;
        self.readers.insert(conn, Reader { slot: Slot::Away, of, follow, number });
        let error = self.worker.give(Work::Begin { conn, number, wish, form, view }).err()?;
        warn!("nothing can be read for clients: {error}");
        self.readers.remove(&conn);
        Some(Told::Begun(conn, Begun::default()))
    }

    /// Reads on; gives what is to be told where that cannot be.
    pub(super) fn read_on(
        &mut self,
        conn: ConnId,
        fresh: Option<Box<Rings>>,
        store: &mut Store,
    ) -> Option<Told> {
        let over = Told::On(conn, Portion { bytes: Vec::new(), end: true });
        let Some(reader) = self.readers.get_mut(&conn) else { return Some(over) };
        let Slot::Here(of) = std::mem::replace(&mut reader.slot, Slot::Away) else { return None };
        let view = fresh.map(|rings| view(*rings, (&reader.of, reader.follow), store));
        let number = reader.number;
        let error = self.worker.give(Work::Read { conn, number, of, view }).err()?;
        warn!("nothing can be read for clients: {error}");
        self.readers.remove(&conn);
        Some(over)
    }

    /// It is done with.
    pub(super) fn end(&mut self, conn: ConnId) {
        self.readers.remove(&conn);
    }

    /// What the worker did, but for what has ended meanwhile.
    pub(super) fn take_done(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        for Done { conn, number, of, portion } in self.worker.take_done() {
            let Some(reader) = self.readers.get_mut(&conn) else { continue };
            if reader.number != number {
                continue;
            }
            told.push(match portion {
                None => Told::Begun(conn, of.0.begun()),
                Some(portion) => Told::On(conn, portion),
            });
            reader.slot = Slot::Here(of);
        }
        told
    }
}

/// What there is to read now.
fn view(rings: Rings, (of, follow): (&[(String, Option<u32>)], bool), store: &mut Store) -> View {
    let mut books: Vec<Book> = Vec::new();
    for (job, instance) in of {
        for book in store.books(job, *instance) {
            // One may be written to by several.
            if books.iter().all(|known| known.place != book.place) {
                books.push(book);
            }
        }
    }
    rings.with(books, |id, stream| store.written(id, stream), follow)
}

fn perform(work: Work) -> Option<Done> {
    match work {
        Work::Begin { conn, number, wish, form, view } => {
            let mut files = Files::default();
            let reading = Reading::begin(wish, form, view, &mut files);
            Some(Done { conn, number, of: Box::new((reading, files)), portion: None })
        }
        Work::Read { conn, number, mut of, view } => {
            let (reading, files) = &mut *of;
            let portion = reading.read_on(view, files);
            Some(Done { conn, number, of, portion: Some(portion) })
        }
    }
}
