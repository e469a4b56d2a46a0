//! What was written, read for clients: a worker of their own goes through books and memory, portion by portion, so
//! that nobody waits for the disk but them, and none of them for another.

use std::sync::Arc;

use log::warn;
use mio::Waker;

use super::shelf::Files;
use super::store::Store;
use super::work::Worker;
use crate::base::sorted::SortedMap;
use crate::logs::reading::query::View;
use crate::logs::view::Book;
use crate::node::reading::{Asking, Begun, Kept, Portion, Reading, Rings, Wanted, Whom};

/// All of them.
pub(super) struct Readings {
    worker: Worker<Work, Done>,
    readers: SortedMap<Whom, Reader>,
    /// The number of the last.
    last: u64,
}

/// One.
struct Reader {
    slot: Slot,
    wanted: Wanted,
    /// Tells it from one before it for the same.
    number: u64,
}

enum Slot {
    /// The worker has it.
    Away,
    /// Nobody reads now.
    Here(Box<(Reading, Files)>),
}

enum Work {
    Begin { whom: Whom, number: u64, wanted: Box<Wanted>, view: Box<View> },
    Read { whom: Whom, number: u64, of: Box<(Reading, Files)>, view: Option<Box<View>> },
}

struct Done {
    whom: Whom,
    number: u64,
    of: Box<(Reading, Files)>,
    /// What was read, unless it has only begun.
    portion: Option<Portion>,
}

/// What the machine is to be told.
pub(super) enum Told {
    Begun(Whom, Begun),
    On(Whom, Portion),
}

impl Readings {
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        Self { worker: Worker::new(waker, perform), readers: SortedMap::new(), last: 0 }
    }

    /// Begins one; gives what is to be told where that cannot be.
    pub(super) fn begin(&mut self, whom: Whom, asking: Asking, store: &mut Store) -> Option<Told> {
        let Asking { wanted, rings } = asking;
        let view = view(rings, &wanted, store);
        self.last += 1;
        let number = self.last;
        let reader = Reader { slot: Slot::Away, wanted: wanted.clone(), number };
        self.readers.insert(whom, reader);
        let wanted = Box::new(wanted);
        let error = self.worker.give(Work::Begin { whom, number, wanted, view }).err()?;
        warn!("nothing can be read for clients: {error}");
        self.readers.remove(&whom);
        Some(Told::Begun(whom, Begun::default()))
    }

    /// Reads on; gives what is to be told where that cannot be.
    pub(super) fn read_on(
        &mut self,
        whom: Whom,
        fresh: Option<Box<Rings>>,
        store: &mut Store,
    ) -> Option<Told> {
        let over = Told::On(whom, Portion { end: true, ..Portion::default() });
        let Some(reader) = self.readers.get_mut(&whom) else { return Some(over) };
        let Slot::Here(of) = std::mem::replace(&mut reader.slot, Slot::Away) else { return None };
        let view = fresh.map(|rings| view(*rings, &reader.wanted, store));
        let number = reader.number;
        let error = self.worker.give(Work::Read { whom, number, of, view }).err()?;
        warn!("nothing can be read for clients: {error}");
        self.readers.remove(&whom);
        Some(over)
    }

    /// It is done with.
    pub(super) fn end(&mut self, whom: Whom) {
        self.readers.remove(&whom);
    }

    /// What the worker did, but for what has ended meanwhile.
    pub(super) fn take_done(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        for Done { whom, number, of, portion } in self.worker.take_done() {
            let Some(reader) = self.readers.get_mut(&whom) else { continue };
            if reader.number != number {
                continue;
            }
            told.push(match portion {
                None => Told::Begun(whom, of.0.begun()),
                Some(portion) => Told::On(whom, portion),
            });
            reader.slot = Slot::Here(of);
        }
        told
    }
}

/// What there is to read now.
fn view(rings: Rings, wanted: &Wanted, store: &mut Store) -> Box<View> {
    let mut books: Vec<Book> = Vec::new();
    for (job, instance) in wanted.of(&rings) {
        for book in store.books(job, *instance) {
            // One may be written to by several.
            if books.iter().all(|known| known.place != book.place) {
                books.push(book);
            }
        }
    }
    let alone = &|id, stream| store.alone(id, stream);
    Box::new(wanted.view(rings, Kept { books, alone }))
}

fn perform(work: Work) -> Option<Done> {
    match work {
        Work::Begin { whom, number, wanted, view } => {
            let mut files = Files::default();
            let reading = Reading::begin(*wanted, *view, &mut files);
            Some(Done { whom, number, of: Box::new((reading, files)), portion: None })
        }
        Work::Read { whom, number, mut of, view } => {
            let (reading, files) = &mut *of;
            let portion = reading.read_on(view.map(|view| *view), files);
            Some(Done { whom, number, of, portion: Some(portion) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::index::{Encoder, Form as Layout, Header, Piece, Writer};
    use crate::logs::names::Place;
    use crate::logs::reading::filter::Filter;
    use crate::logs::reading::pattern::Pattern;
    use crate::logs::reading::query::Wish;
    use crate::logs::view::Segment;
    use crate::node::reading::telling::Form;
    use flate2::write::GzEncoder;
    use flate2::Compression;
    use std::fs::{self, File};
    use std::io::Write as _;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;

    /// A book of three segments, of which the first is compressed and the last is written to.
    fn book(root: &Path, lines: u64, piece: u64) -> Book {
        let place = Place::managed(root, ("s", "j"), 1, "out");
        fs::create_dir_all(&place.folder).expect("made");
        let (job, label) = ("s.j".to_owned(), "out".to_owned());
        let writer = Writer { job, instance: 1, pid: 7, stream: 1, label, once: false };
        let mut segments = Vec::new();
        let (mut seq, mut before) = (0, 0);
        for number in 1..=3 {
            let mut index = Vec::new();
            let header = Header { form: Layout::Plain, before, seq, at: seq * 1000 };
            let mut encoder = Encoder::begin(header, &mut index);
            encoder.writer(0, &writer, &mut index);
            let oldest = (seq + 1) * 1000;
            let mut data = Vec::new();
            for _ in 0..lines / piece {
                let from = data.len();
                for line in 0..piece {
                    let words =
                        "and goes on with words as lines do, up to a hundred bytes or nearly so";
                    writeln!(data, "{:08} line {line} of {seq} {words}", seq * 7919 % 99_999_989)
                        .expect("memory");
                }
                seq += 1;
                let length = u64::try_from(data.len() - from).expect("few");
                let (last, at) = (seq, seq * 1000);
                let piece = Piece { writer: 0, seq, last, at, length, starts: true, note: false };
                encoder.piece(&piece, &mut index);
            }
            fs::write(place.index(number), &index).expect("written");
            let path = if number == 3 { place.data.clone() } else { place.segment(number) };
            fs::write(&path, &data).expect("written");
            let inode = fs::metadata(&path).expect("there").ino();
            if number == 1 {
                let file = File::create(place.packed(1)).expect("a file");
                let mut encoder = GzEncoder::new(file, Compression::fast());
                encoder.write_all(&data).expect("written");
                encoder.finish().expect("whole");
                fs::remove_file(&path).expect("ours");
            }
            let size = |bytes: &[u8]| u64::try_from(bytes.len()).expect("few");
            let (length, index) = (size(&data), size(&index));
            let (newest, last) = (seq * 1000, seq);
            segments.push(Segment {
                number,
                inode: Some(inode),
                length,
                index,
                oldest,
                newest,
                last,
            });
            before += length;
        }
        Book { place, segments }
    }

    fn read(book: &Book, filter: Filter, tail: Option<u64>) -> (Begun, usize, usize) {
        let filter = Filter { of: vec![("s.j".into(), None)], ..filter };
        let view = View { books: vec![book.clone()], ..View::default() };
        let wish = Wish { filter, tail, follow: false };
        let mut files = Files::default();
        let mut reading =
            Reading::begin(Wanted::Lines(Box::new(wish), Form::Text), view, &mut files);
        let (mut bytes, mut lines) = (0, 0);
        loop {
            let portion = reading.read_on(None, &mut files);
            bytes += portion.bytes.len();
            lines += portion.bytes.iter().filter(|byte| **byte == b'\n').count();
            if portion.end {
                return (reading.begun(), bytes, lines);
            }
        }
    }

    #[test]
    fn books_are_read_from_their_files() {
        let dir = tempfile::tempdir().expect("a folder");
        let book = book(dir.path(), 1000, 10);
        let all: u64 = book.segments.iter().map(|segment| segment.length).sum();
        let (begun, bytes, lines) = read(&book, Filter::default(), None);
        assert_eq!(
            (begun, u64::try_from(bytes).expect("few"), lines),
            (Begun { lost: 0, has_books: true }, all, 3000)
        );
        let grep = |text| Filter { grep: Pattern::new(text).ok(), ..Filter::default() };
        assert_eq!(read(&book, grep("line 3 of .*5 and"), None).2, 30);
        assert_eq!(read(&book, Filter::default(), Some(2500)).2, 2500);
        assert_eq!(read(&book, grep(" line 3 "), Some(250)).2, 250);
        let since = Some(book.segments[1].oldest);
        assert_eq!(read(&book, Filter { since, ..Filter::default() }, None).2, 2000);
        let late = Book { segments: book.segments[1..].to_vec(), ..book };
        let (begun, _, lines) = read(&late, Filter::default(), None);
        assert_eq!((begun.lost, lines), (late.segments[0].length.min(begun.lost), 2000));
        assert!(begun.lost > 0);
    }
}
