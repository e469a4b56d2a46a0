//! The output of processes on disk: each stream goes where its job says, as bytes and at once. Nothing here waits
//! for a disk that is full or gone, and nobody has to be asked: what it comes to is told to the machine.

mod book;
mod outlet;
mod pack;
mod pages;
mod retention;
mod scan;
mod tending;
#[cfg(test)]
mod testing;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use mio::Waker;

use self::book::{Book, Happened};
use self::outlet::{Outlet, Way};
use self::pack::Packer;
use crate::base::arena::Arena;
use crate::base::clock::Now;
use crate::base::ids::{BookId, InstanceId, StreamNo};
use crate::base::limits;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::logs::backlog::Lost;
use crate::logs::index::{micros, Writer};
use crate::logs::names::Place;
use crate::logs::sink::{Order, Sink, To};
use crate::logs::view;
use crate::node::reading::Alone;
use crate::sys::own_file;

/// Where the store is, and how much it may take.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Its directory; without one nothing of it is kept.
    pub root: Option<PathBuf>,
    /// How many bytes it may take, of all jobs together.
    pub most: u64,
    /// Where the syslog daemon listens.
    pub syslog: PathBuf,
}

/// All books.
pub struct Store {
    settings: Settings,
    books: Arena<BookId, Book>,
    by_path: SortedMap<PathBuf, BookId>,
    runs: SortedMap<InstanceId, Order>,
    outlets: SortedMap<(InstanceId, StreamNo), Outlet>,
    /// Of streams whose run is over, the book and the number of what was written last: while their instances are
    /// there, so is the end of it in memory.
    ended: SortedMap<(InstanceId, StreamNo), (BookId, u64)>,
    way: Way,
    /// Books whose files are open, roughly from the one that was written longest ago.
    open: VecDeque<BookId>,
    /// Books with something that is not in their indices yet, and when that is written down.
    dirty: SortedSet<BookId>,
    flush_at: Option<Instant>,
    /// Books that cannot be written.
    troubled: SortedSet<BookId>,
    /// Bytes that the store takes, of all jobs and of each.
    bytes: u64,
    bytes_of: SortedMap<String, u64>,
    packer: Packer,
    told: Vec<Told>,
    /// The highest number in any book.
    last: u64,
}

/// What the machine is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// What a stream writes does not come to its log, for this reason.
    Failed(InstanceId, StreamNo, String),
    /// It does again; so much was lost.
    Recovered(InstanceId, StreamNo, Lost),
}

impl Store {
    /// What there is in this directory.
    pub fn new(settings: Settings, waker: Arc<Waker>) -> Self {
        let mut store = Self {
            way: Way::new(settings.syslog.clone()),
            settings,
            books: Arena::default(),
            by_path: SortedMap::new(),
            runs: SortedMap::new(),
            outlets: SortedMap::new(),
            ended: SortedMap::new(),
            open: VecDeque::new(),
            dirty: SortedSet::new(),
            flush_at: None,
            troubled: SortedSet::new(),
            bytes: 0,
            bytes_of: SortedMap::new(),
            packer: Packer::new(waker),
            told: Vec::new(),
            last: 0,
        };
        let root = store.settings.root.clone();
        for book in root.iter().flat_map(|root| scan::books(root)) {
            store.last = store.last.max(book.active.last);
            store.add(book);
        }
        store
    }

    /// The highest number in any book that was there at the beginning.
    pub fn last(&self) -> u64 {
        self.last
    }

    fn add(&mut self, mut book: Book) -> BookId {
        let path = book.place.data.clone();
        // It is counted as a whole.
        let _ = book.take_grown();
        if book.managed {
            let bytes = book.bytes();
            self.bytes += bytes;
            *self.bytes_of.entry(book.job.clone()).or_default() += bytes;
        }
        let id = self.books.insert(book);
        self.by_path.insert(path, id);
        id
    }

    /// A process is about to be started: its streams go there.
    pub fn begin(&mut self, id: InstanceId, order: Order) {
        self.runs.insert(id, order);
    }

    /// A run is over: what is left of its lines is written.
    pub fn end(&mut self, id: InstanceId, now: Now) {
        self.runs.remove(&id);
        let range = (id, StreamNo(0))..=(id, StreamNo(u16::MAX));
        let keys: Vec<_> = self.outlets.range(range).map(|(key, _)| *key).collect();
        for key in keys {
            let Some(mut outlet) = self.outlets.remove(&key) else { continue };
            let rest = outlet.end(&mut self.way, now);
            let Some((book, writer)) = outlet.book() else { continue };
            self.note_ended(key, (book, outlet.last));
            let Some(found) = self.books.get_mut(book) else { continue };
            if !rest.bytes.is_empty() {
                found.write(writer, (rest.seq, rest.at), &rest.bytes, now);
            }
            found.leave(writer);
            if found.writers.is_empty() {
                found.close();
            }
            self.settle(book, now);
        }
    }

    /// Notes how far a stream was written whose run is over. Nobody tells when its instance is gone, too: of very
    /// many the older half is forgotten, which are most likely of those.
    fn note_ended(&mut self, key: (InstanceId, StreamNo), ended: (BookId, u64)) {
        self.ended.insert(key, ended);
        if self.ended.len() > limits::LOG_ENDED {
            let mut all: Vec<u64> = self.ended.values().map(|(_, last)| *last).collect();
            all.sort_unstable();
            let middle = all.get(all.len() / 2).copied().unwrap_or(0);
            self.ended.retain(|_, (_, last)| *last > middle);
        }
    }

    /// Whether what a stream writes is taken now.
    pub fn takes(&mut self, id: InstanceId, stream: StreamNo, now: Now) -> bool {
        let block = |run: &Order| run.sinks.iter().any(|s| s.stream == stream.0 && s.block);
        if !self.outlets.contains_key(&(id, stream)) && self.runs.get(&id).is_some_and(block) {
            self.join((id, stream), now);
        }
        let Some(outlet) = self.outlets.get(&(id, stream)).filter(|outlet| outlet.block) else {
            return true;
        };
        let book = outlet.book().and_then(|(book, _)| self.books.get(book));
        book.is_none_or(|book| book.trouble.is_none())
    }

    /// Takes what a stream wrote, under its number.
    pub fn write(&mut self, key: (InstanceId, StreamNo), seq: u64, bytes: &[u8], now: Now) {
        if !self.outlets.contains_key(&key) && !self.join(key, now) {
            return;
        }
        let Some(outlet) = self.outlets.get_mut(&key) else { return };
        let at = micros(now.wall);
        outlet.last = seq;
        let Some((book, writer)) = outlet.book() else {
            return outlet.pass_on(&mut self.way, bytes, now);
        };
        let Some(found) = self.books.get_mut(book) else { return };
        let was_open = found.is_open();
        if found.writers.len() == 1 && outlet.is_plain() {
            found.write(writer, (seq, at), bytes, now);
        } else {
            let shared = found.writers.len() > 1;
            let mut composed = outlet.compose((seq, at), bytes, shared);
            if !composed.bytes.is_empty() {
                if shared && found.breaks_into_a_line(writer) {
                    composed.bytes.insert(0, b'\n');
                }
                found.write(writer, (composed.seq, composed.at), &composed.bytes, now);
            }
            outlet.give_back(composed);
        }
        if !was_open && self.books.get(book).is_some_and(Book::is_open) {
            self.open.push_back(book);
            self.close_some();
        }
        self.settle(book, now);
    }

    /// Finds the outlet of a stream that writes for the first time.
    fn join(&mut self, (id, stream): (InstanceId, StreamNo), now: Now) -> bool {
        let Some(run) = self.runs.get(&id) else { return false };
        let Some(sink) = run.sinks.iter().find(|sink| sink.stream == stream.0) else {
            return false;
        };
        let writer = Writer {
            job: run.name(),
            instance: run.instance,
            pid: run.pid,
            stream: stream.0,
            label: sink.label.clone(),
            once: run.once,
        };
        let (sink, owner) = (sink.clone(), (run.session.clone(), run.job.clone()));
        let book = match self.place(&sink, &writer, (&owner.0, &owner.1)) {
            None => None,
            Some((place, managed)) => {
                let id = self.book(place, managed, &writer.job, &sink, now);
                let number = self.books.get_mut(id).map(|book| book.join(writer.clone()));
                number.map(|number| (id, number))
            }
        };
        self.outlets.insert((id, stream), Outlet::new(&sink, &writer, book));
        let troubled = book.and_then(|(book, _)| self.books.get(book)?.trouble.as_ref());
        if let Some(trouble) = troubled {
            self.told.push(Told::Failed(id, stream, trouble.why.clone()));
        }
        true
    }

    fn place(
        &self,
        sink: &Sink,
        writer: &Writer,
        (session, job): (&str, &str),
    ) -> Option<(Place, bool)> {
        let root = self.settings.root.as_deref();
        match &sink.to {
            To::Managed => {
                let place =
                    |root| Place::managed(root, (session, job), writer.instance, &writer.label);
                root.map(|root| (place(root), true))
            }
            To::File(path) if root.is_some_and(|root| path.starts_with(root)) => {
                log::warn!("{} is in the store: it is not written to", path.display());
                None
            }
            To::File(path) => Some(match root {
                Some(root) => (Place::elsewhere(root, path), false),
                // Without a store there is nowhere to keep an index.
                None => {
                    let (folder, stem) = (PathBuf::new(), String::new());
                    (Place { data: path.clone(), folder, stem }, false)
                }
            }),
            To::Inherit | To::Syslog | To::Nowhere => None,
        }
    }

    fn book(&mut self, place: Place, managed: bool, job: &str, sink: &Sink, now: Now) -> BookId {
        let id = match self.by_path.get(&place.data) {
            Some(id) => *id,
            None => {
                let owner = if managed { job.to_owned() } else { String::new() };
                if !managed && !place.folder.as_os_str().is_empty() {
                    note_path(&place);
                }
                let mut book = Book::new(place, managed, owner, sink.keeping);
                // What lies beside it under numbers is somebody else's.
                book.active.number = scan::number_above(&book.place);
                self.add(book)
            }
        };
        if let Some(book) = self.books.get_mut(id) {
            (book.keeping, book.waits) = (sink.keeping, sink.block);
            book.take_form(sink.form, now);
        }
        self.pack_rest(id);
        id
    }

    /// Does what follows from what was written to a book.
    fn settle(&mut self, id: BookId, now: Now) {
        let Some(book) = self.books.get_mut(id) else { return };
        if book.pages.is_heavy() {
            book.flush();
        }
        if book.pages.is_dirty() {
            self.dirty.insert(id);
            self.flush_at.get_or_insert(now.mono + limits::LOG_FLUSH);
        }
        let grown = book.take_grown();
        let (managed, job) = (book.managed, &book.job);
        if managed && grown > 0 {
            self.bytes += grown;
            if let Some(bytes) = self.bytes_of.get_mut(job) {
                *bytes += grown;
            }
        }
        let happened = std::mem::take(&mut book.told);
        let compress = book.keeping.compress;
        for happened in happened {
            match happened {
                Happened::Failed(why) => {
                    for (instance, stream) in self.streams_of(id) {
                        self.told.push(Told::Failed(instance, stream, why.clone()));
                    }
                }
                Happened::Recovered(lost) => {
                    for (instance, stream) in self.streams_of(id) {
                        self.told.push(Told::Recovered(instance, stream, lost));
                    }
                }
                Happened::Aside(number) => {
                    if compress {
                        self.pack(id, number);
                    }
                    self.retain_parts(id);
                }
            }
        }
        match self.books.get(id).is_some_and(|book| book.trouble.is_some()) {
            true => self.troubled.insert(id),
            false => self.troubled.remove(&id),
        };
        self.retain(id, now);
    }

    /// Those who write to a book now.
    fn streams_of(&self, id: BookId) -> Vec<(InstanceId, StreamNo)> {
        let of = |outlet: &Outlet| outlet.book().is_some_and(|(book, _)| book == id);
        self.outlets.iter().filter(|(_, outlet)| of(outlet)).map(|(key, _)| *key).collect()
    }

    /// Closes files that were not written for long, where too many are open.
    fn close_some(&mut self) {
        while self.open.len() > limits::LOG_FILES {
            let Some(id) = self.open.pop_front() else { return };
            let Some(book) = self.books.get_mut(id) else { continue };
            if std::mem::take(&mut book.used) && book.is_open() {
                self.open.push_back(id);
            } else {
                book.close();
            }
        }
    }

    /// The books in which something of a job stands, or of one of its instances, as they are now.
    pub fn books(&mut self, job: &str, instance: Option<u32>) -> Vec<view::Book> {
        let of = |book: &&Book| {
            let named = || crate::logs::names::writer(&book.place.stem).map(|(number, _)| number);
            let instance_fits =
                instance.is_none_or(|wanted| !book.managed || named() == Some(wanted));
            book.jobs.contains(job) && instance_fits
        };
        let ids: Vec<BookId> = self.by_path.values().copied().collect();
        let mut found = Vec::new();
        for id in ids {
            if self.books.get(id).as_ref().is_some_and(&of) {
                self.write_down(id);
                found.extend(self.books.get(id).map(Book::view));
            }
        }
        found
    }

    /// Writes the index of a book down.
    fn write_down(&mut self, id: BookId) {
        let Some(book) = self.books.get_mut(id) else { return };
        book.flush();
        let grown = book.take_grown();
        if book.managed {
            self.bytes += grown;
            *self.bytes_of.entry(book.job.clone()).or_default() += grown;
        }
    }

    /// The number of what was written last of a stream to its book, and is in the index of that; `None` where it
    /// has none.
    fn written(&self, id: InstanceId, stream: StreamNo) -> Option<u64> {
        let outlet = self.outlets.get(&(id, stream));
        let present = outlet.and_then(|outlet| Some((outlet.book()?.0, outlet.last)));
        let (book, last) = present.or_else(|| self.ended.get(&(id, stream)).copied())?;
        let book = self.books.get(book)?;
        let written = if book.trouble.is_some() { book.active.last } else { last };
        Some(written.min(book.pages.covered().unwrap_or(u64::MAX)))
    }

    /// What of a stream is not in its book, or in the index of that; `None` where it has none.
    pub fn alone(&self, id: InstanceId, stream: StreamNo) -> Option<Alone> {
        let outlet = self.outlets.get(&(id, stream));
        let Some((outlet, (book, _))) = outlet.and_then(|outlet| Some((outlet, outlet.book()?)))
        else {
            // Its run is over, or it goes elsewhere by now.
            return self.written(id, stream).map(Alone::Behind);
        };
        let book = self.books.get(book)?;
        if book.trouble.is_some() || book.pages.covered().is_some() {
            return self.written(id, stream).map(Alone::Behind);
        }
        Some(Alone::Last(outlet.begun()))
    }

    /// What is to be told since the last call.
    pub fn take_told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    /// When `on_time` wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        let retries = self.troubled.iter().filter_map(|id| self.books.get(*id));
        let retries = retries.filter_map(|book| Some(book.trouble.as_ref()?.retry_at));
        retries.chain(self.flush_at).chain(self.way.retry_at()).min()
    }

    /// Writes indices down, and tries again to write what waits.
    pub fn on_time(&mut self, now: Now) {
        if self.flush_at.is_some_and(|at| at <= now.mono) {
            self.flush(now);
        }
        for id in self.troubled.clone() {
            let Some(book) = self.books.get_mut(id) else { continue };
            if book.trouble.as_ref().is_some_and(|trouble| trouble.retry_at <= now.mono) {
                book.retry(now);
                self.settle(id, now);
            }
        }
        self.way.on_time(now);
    }

    /// Writes all indices down.
    pub fn flush(&mut self, now: Now) {
        self.flush_at = None;
        for id in std::mem::take(&mut self.dirty) {
            self.write_down(id);
            if self.books.get(id).is_some_and(|book| book.pages.is_dirty()) {
                // The disk takes nothing.
                self.dirty.insert(id);
                self.flush_at.get_or_insert(now.mono + limits::OUTPUT_LOG_RETRY);
            }
        }
    }

    /// Ends: what waits is written if that can be, and nothing is left half done.
    pub fn finish(&mut self, now: Now) {
        for id in self.troubled.clone() {
            if let Some(book) = self.books.get_mut(id) {
                book.retry(now);
            }
        }
        // What is being compressed is not waited for: it stays as it is, and is taken up again.
        self.flush(now);
    }

    /// Opens all files again, which may be others by now.
    pub fn reopen(&mut self, now: Now) {
        let ids: Vec<BookId> = self.by_path.values().copied().collect();
        for id in ids {
            let Some(book) = self.books.get_mut(id) else { continue };
            book.reopen();
            if book.trouble.is_some() {
                book.retry(now);
            }
            self.settle(id, now);
        }
        self.open.clear();
    }
}

/// Writes down beside the indices of a file elsewhere whose they are.
fn note_path(place: &Place) {
    use std::io::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    let path = place.folder.join(crate::logs::names::PATH);
    let written = own_file::make_directory(&place.folder, None)
        .map_err(own_file::Fault::Io)
        .and_then(|_| own_file::open(&path, 0o600, own_file::Use::Both, None))
        .and_then(|mut file| {
            file.set_len(0)?;
            Ok(file.write_all(place.data.as_os_str().as_bytes())?)
        });
    if let Err(error) = written {
        log::debug!("{}: {error}", path.display());
    }
}
