//! The store on a real disk: whatever comes in whatever pieces stands in its files, once and in order.

#![expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use flate2::read::MultiGzDecoder;
use mio::{Poll, Token, Waker};
use proptest::prelude::*;

use super::{Settings, Store, Told};
use crate::base::arena::Key;
use crate::base::clock::Now;
use crate::base::ids::{InstanceId, StreamNo};
use crate::base::limits;
use crate::base::sorted::SortedMap;
use crate::logs::index::{Decoder, Entry, Form};
use crate::logs::sink::{Keeping, Order, Sink, To};
use crate::logs::view::Book;
use crate::node::reading::Alone;

const OUT: StreamNo = StreamNo::STDOUT;

fn key(number: u32) -> InstanceId {
    InstanceId(Key { index: number, generation: 0 })
}

/// A store, and the clock that it sees.
struct World {
    store: Store,
    now: Now,
    seq: u64,
    runs: u64,
    root: PathBuf,
    waker: Arc<Waker>,
    _poll: Poll,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("logs");
        let poll = Poll::new().expect("a poll");
        let now = Now { mono: Instant::now(), wall: SystemTime::now() };
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).expect("a waker"));
        let store = store(&root, &waker);
        Self { store, now, seq: 0, runs: 0, root, waker, _poll: poll, _folder: folder }
    }

    /// The daemon is gone, and another comes.
    fn restart(&mut self) {
        self.store = store(&self.root, &self.waker);
    }

    fn begin(&mut self, id: InstanceId, instance: u32, sink: Sink) {
        self.runs += 1;
        self.store.begin(id, order(instance, self.runs, vec![sink]));
    }

    fn write(&mut self, id: InstanceId, bytes: &[u8]) {
        self.seq += 1;
        self.store.write((id, OUT), self.seq, bytes, self.now);
    }

    fn takes(&mut self, id: InstanceId) -> bool {
        self.store.takes(id, OUT, self.now)
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.plus(time);
        self.store.on_time(self.now);
    }

    /// All that is in the files of a book, and that its index covers.
    fn content(&mut self) -> Vec<u8> {
        let books = self.store.books("s.job", None);
        books.iter().flat_map(checked).collect()
    }

    /// What of indices is in memory alone.
    fn waiting(&self) -> usize {
        let books = self.store.by_path.values().filter_map(|id| self.store.books.get(*id));
        books.map(|book| book.pages.waiting()).sum()
    }

    /// A folder that is not the store's.
    fn outside(&self) -> &Path {
        self.root.parent().expect("a folder")
    }

    fn folder(&self) -> PathBuf {
        self.root.join("s").join("job")
    }
}

fn store(root: &Path, waker: &Arc<Waker>) -> Store {
    let settings = Settings { root: Some(root.into()), most: 1 << 30, syslog: "/nowhere".into() };
    Store::new(settings, Arc::clone(waker))
}

fn order(instance: u32, pid: u64, sinks: Vec<Sink>) -> Order {
    let (session, job) = ("s".into(), "job".into());
    Order { session, job, instance, pid, once: false, sinks: sinks.into() }
}

fn keeping(max_size: u64) -> Keeping {
    Keeping { max_size, keep: None, total: None, compress: false }
}

fn sink(to: To, form: Form, keeping: Keeping) -> Sink {
    Sink { stream: OUT.0, label: "out".into(), to, form, keeping, block: false }
}

fn managed(max_size: u64) -> Sink {
    sink(To::Managed, Form::Plain, keeping(max_size))
}

/// The data of a book, where its indices cover all of it.
fn checked(book: &Book) -> Vec<u8> {
    let mut all = Vec::new();
    let last = book.segments.last().map(|segment| segment.number);
    let mut seq = 0;
    for segment in &book.segments {
        let plain = if Some(segment.number) == last && book.place.data.exists() {
            fs::read(&book.place.data).ok()
        } else {
            fs::read(book.place.segment(segment.number)).ok()
        };
        let data = plain.unwrap_or_else(|| {
            let file = fs::File::open(book.place.packed(segment.number)).expect("compressed");
            let mut data = Vec::new();
            MultiGzDecoder::new(file).read_to_end(&mut data).expect("whole");
            data
        });
        let index = fs::read(book.place.index(segment.number)).unwrap_or_default();
        let (_, decoder) = Decoder::begin(&index).expect("an index");
        let mut covered = 0;
        for entry in decoder {
            if let Entry::Piece(piece) = entry {
                covered += piece.length;
                assert!(piece.seq >= seq, "numbers grow");
                seq = piece.seq;
            }
        }
        assert_eq!(covered, segment.length, "{}", segment.number);
        assert_eq!(u64::try_from(data.len()).expect("few"), segment.length);
        all.extend(data);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_bytes_in_any_pieces_stand_in_the_files_once_and_in_order(
        pieces in proptest::collection::vec(
            (proptest::collection::vec(prop_oneof![3 => Just(b'\n'), 20 => any::<u8>()], 0..300),
             0..400_u64),
            1..60,
        ),
        max_size in 50..2000_u64,
        restarts in any::<bool>(),
    ) {
        let mut world = World::new();
        let id = key(1);
        world.begin(id, 1, managed(max_size));
        let mut all = Vec::new();
        for (number, (bytes, pause)) in pieces.iter().enumerate() {
            all.extend_from_slice(bytes);
            if !bytes.is_empty() {
                world.write(id, bytes);
            }
            world.pass(Duration::from_millis(*pause));
            if restarts && number % 20 == 19 {
                // Without a word, as when it is killed.
                world.restart();
                world.begin(id, 1, managed(max_size));
            }
        }
        if !all.is_empty() && restarts {
            // What stands behind the index is found when the file is opened.
            world.write(id, b"!");
            all.push(b'!');
        }
        prop_assert_eq!(world.content(), all.clone());
        for entry in fs::read_dir(world.folder()).into_iter().flatten().flatten() {
            let data = fs::read(entry.path()).expect("a file");
            let name = entry.file_name().into_string().expect("a name");
            if name.contains(".log.") && data.len() <= usize::try_from(max_size).expect("small") {
                prop_assert!(data.ends_with(b"\n"), "{} ends within a line", name);
            }
        }
    }

    #[test]
    fn lines_with_their_times_are_the_same_in_any_pieces(
        text in "[a-c\n]{0,200}",
        cuts in proptest::collection::vec(1..20_usize, 1..100),
        json in any::<bool>(),
    ) {
        let form = if json { Form::Json } else { Form::Stamped };
        let mut world = World::new();
        let id = key(1);
        world.begin(id, 1, sink(To::Managed, form, keeping(100_000)));
        let mut rest = text.as_bytes();
        for cut in cuts {
            let (piece, behind) = rest.split_at(cut.min(rest.len()));
            rest = behind;
            if !piece.is_empty() {
                world.write(id, piece);
            }
        }
        if !rest.is_empty() {
            world.write(id, rest);
        }
        world.store.end(id, world.now);
        let written = String::from_utf8(world.content()).expect("text");
        let lines: Vec<String> = written.lines().map(|line| match json {
            true => {
                let value: serde_json::Value = serde_json::from_str(line).expect("an object");
                value["line"].as_str().expect("a line").to_owned()
            }
            false => line.get(crate::logs::stamped::STAMP..).unwrap_or_default().to_owned(),
        }).collect();
        let expected: Vec<String> = text.lines().map(str::to_owned).collect();
        prop_assert_eq!(lines, expected);
    }
}

#[test]
fn what_is_put_aside_is_compressed_and_the_oldest_goes() {
    let mut world = World::new();
    let id = key(1);
    let rules = Keeping { compress: true, keep: Some(3), ..keeping(1000) };
    world.begin(id, 1, sink(To::Managed, Form::Plain, rules));
    let mut all = Vec::new();
    for number in 0..60 {
        let line = format!("{number:04} {}\n", "x".repeat(94));
        all.extend_from_slice(line.as_bytes());
        world.write(id, line.as_bytes());
    }
    world.store.packer_rests(world.now);
    let content = world.content();
    assert_eq!(content.len(), 4000, "three that are put aside, and the one that is written to");
    assert!(all.ends_with(&content));
    let names: Vec<String> = fs::read_dir(world.folder())
        .expect("a folder")
        .map(|entry| entry.expect("one").file_name().into_string().expect("a name"))
        .collect();
    assert_eq!(names.iter().filter(|name| name.ends_with(".gz")).count(), 3, "{names:?}");
    assert!(!names.iter().any(|name| name.ends_with(".new")), "{names:?}");
    // A daemon that is killed leaves a half one, and one of which the plain one is still there.
    let book = &world.store.books("s.job", None)[0];
    let number = book.segments[0].number;
    fs::write(book.place.packing(number), "half").expect("written");
    fs::write(book.place.segment(number), "plain").expect("written");
    world.restart();
    assert_eq!(world.content(), content);
    assert!(!world.folder().join(format!("1.out.log.{number}")).exists());
    assert!(!world.folder().join(format!("1.out.log.{number}.gz.new")).exists());
}

#[test]
fn a_job_takes_no_more_than_it_may_however_many_files_it_has() {
    let mut world = World::new();
    let rules = Keeping { total: Some(20_000), ..keeping(8_000) };
    for number in 0..10 {
        world.begin(key(number), number + 1, sink(To::Managed, Form::Plain, rules));
    }
    for round in 0..100 {
        for number in 0..10 {
            let line = format!("{round:04} {}\n", "y".repeat(94));
            world.write(key(number), line.as_bytes());
            let taken = world.store.taken();
            assert!(taken[0].bytes <= 20_000 + 200, "{taken:?}");
        }
    }
    let taken = world.store.taken();
    assert!(taken.len() == 1 && taken[0].bytes > 10_000, "{taken:?}");
    let last = world.content();
    assert!(String::from_utf8_lossy(&last).contains("0099 "), "the newest is kept");
    assert!(world.store.clear("s.job", world.now) > 10_000);
    assert_eq!(world.store.taken(), []);
    world.write(key(0), b"on\n");
    assert_eq!(world.content(), b"on\n");
}

#[test]
fn a_file_that_is_moved_deleted_or_emptied_is_noticed() {
    let mut world = World::new();
    let id = key(1);
    let path = world.outside().join("app.log");
    fs::create_dir_all(world.outside()).expect("made");
    world.begin(id, 1, sink(To::File(path.clone()), Form::Plain, keeping(0)));
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    world.write(id, b"one\n");
    // As logrotate does: it is moved, and a signal says so.
    let moved = world.outside().join("app.log.old");
    fs::rename(&path, &moved).expect("moved");
    world.write(id, b"two\n");
    world.store.reopen(world.now);
    world.write(id, b"three\n");
    assert_eq!((read(&moved), read(&path)), ("one\ntwo\n".into(), "three\n".into()));
    // Nobody says anything, and what was written last is there again.
    fs::remove_file(&path).expect("removed");
    world.write(id, b"four\n");
    world.pass(limits::LOG_LOOK);
    world.write(id, b"five\n");
    assert_eq!(read(&path), "three\nfour\nfive\n");
    world.pass(limits::LOG_LOOK);
    fs::write(&path, "").expect("emptied");
    world.write(id, b"six\n");
    assert_eq!(read(&path), "six\n");
    assert_eq!(world.store.take_told(), []);
}

#[test]
fn what_cannot_be_written_waits_and_what_is_lost_is_told_in_its_place() {
    let mut world = World::new();
    let id = key(1);
    let folder = world.outside().join("gone");
    let path = folder.join("app.log");
    fs::create_dir_all(&folder).expect("made");
    world.begin(id, 1, sink(To::File(path.clone()), Form::Plain, keeping(0)));
    world.write(id, b"before\n");
    fs::remove_dir_all(&folder).expect("removed");
    world.pass(limits::LOG_LOOK);
    for number in 0..20_000 {
        world.write(id, format!("{number:05}\n").as_bytes());
    }
    let why = "its directory is gone".to_owned();
    assert_eq!(world.store.take_told(), [Told::Failed(id, OUT, why)]);
    world.pass(limits::OUTPUT_LOG_RETRY);
    assert_eq!(world.store.take_told(), []);
    fs::create_dir(&folder).expect("made");
    world.pass(limits::OUTPUT_LOG_RETRY);
    let told = world.store.take_told();
    let [Told::Recovered(_, _, lost)] = told[..] else { panic!("{told:?}") };
    world.write(id, b"after\n");
    let text = fs::read_to_string(&path).expect("there");
    let mut lines = text.lines();
    let note = lines.next().unwrap_or_default();
    let count = crate::logs::backlog::grouped(lost.lines);
    assert!(note.ends_with(&format!("-- {count} lines lost: its directory is gone --")), "{note}");
    let rest: Vec<&str> = lines.collect();
    // The first that is lost was written before, and is lost with its file.
    let kept = 20_001 - usize::try_from(lost.lines).expect("few");
    assert_eq!(rest.len(), kept + 1);
    assert_eq!((rest[kept - 1], rest[kept]), ("19999", "after"));
}

#[test]
fn a_link_or_a_pipe_in_the_place_of_a_log_is_not_written_to() {
    let mut world = World::new();
    let id = key(1);
    let path = world.outside().join("app.log");
    let elsewhere = world.outside().join("elsewhere");
    fs::create_dir_all(world.outside()).expect("made");
    fs::write(&elsewhere, "untouched").expect("written");
    let rules = Sink { block: true, ..sink(To::File(path.clone()), Form::Plain, keeping(0)) };
    world.begin(id, 1, rules);
    world.write(id, b"one\n");
    fs::remove_file(&path).expect("removed");
    std::os::unix::fs::symlink(&elsewhere, &path).expect("made");
    world.pass(limits::LOG_LOOK);
    world.write(id, b"two\n");
    world.write(id, &[b'z'; 200]);
    assert_eq!(fs::read_to_string(&elsewhere).expect("there"), "untouched");
    assert!(matches!(&world.store.take_told()[..], [Told::Failed(..)]));
    assert!(!world.takes(id), "who waits for its log is not read");
    fs::remove_file(&path).expect("removed");
    world.pass(limits::OUTPUT_LOG_RETRY);
    assert!(matches!(&world.store.take_told()[..], [Told::Recovered(..)]));
    assert!(world.takes(id));
    let text = fs::read_to_string(&path).expect("there");
    assert!(text.starts_with("one\ntwo\nzzz"), "{text}");
}

#[test]
fn many_that_write_to_one_file_write_whole_lines() {
    let mut world = World::new();
    let path = world.outside().join("all.log");
    fs::create_dir_all(world.outside()).expect("made");
    for number in 0..3 {
        world.begin(key(number), number, sink(To::File(path.clone()), Form::Plain, keeping(500)));
        world.write(key(number), b"");
    }
    let mut counts = SortedMap::new();
    for round in 0..100 {
        for number in 0..3 {
            world.write(key(number), format!("{number} ").as_bytes());
            world.write(key((number + 1) % 3), b"");
            world.write(key(number), format!("{round}\n{number} half").as_bytes());
            world.write(key(number), b" and half\n");
            *counts.entry(number).or_insert(0) += 2;
        }
    }
    world.write(key(0), b"0 no end");
    for number in 0..3 {
        world.store.end(key(number), world.now);
    }
    let text = String::from_utf8(world.content()).expect("text");
    let mut found = SortedMap::new();
    for line in text.lines() {
        let (number, rest) = line.split_once(' ').expect("two words");
        assert!(
            rest.parse::<u32>().is_ok() || rest == "half and half" || rest == "no end",
            "{line}"
        );
        *found.entry(number.parse::<u32>().expect("a number")).or_insert(0) += 1;
    }
    *counts.entry(0).or_default() += 1;
    assert_eq!(found, counts);
}

#[test]
fn files_are_closed_where_too_many_are_open_and_nothing_is_lost() {
    let mut world = World::new();
    let count = u32::try_from(limits::LOG_FILES).expect("few") + 40;
    for number in 0..count {
        world.begin(key(number), number + 1, managed(10_000));
        world.write(key(number), b"first\n");
    }
    assert!(world.store.open.len() <= limits::LOG_FILES);
    for number in 0..count {
        world.write(key(number), b"second\n");
    }
    let books = world.store.books("s.job", None);
    assert_eq!(books.len(), usize::try_from(count).expect("few"));
    assert!(books.iter().all(|book| checked(book) == b"first\nsecond\n"));
}

#[test]
fn a_line_without_an_end_is_cut_where_it_is_too_long() {
    let mut world = World::new();
    world.begin(key(1), 1, managed(1000));
    let piece = vec![b'x'; 64 * 1024];
    let most = usize::try_from(limits::LOG_OVERLONG).expect("few");
    let mut written = 0;
    while written <= 2 * most {
        world.write(key(1), &piece);
        written += piece.len();
    }
    world.write(key(1), b"end\n");
    assert_eq!(world.content().len(), written + 4);
    let sizes: Vec<u64> =
        world.store.books("s.job", None)[0].segments.iter().map(|one| one.length).collect();
    assert!(sizes.len() == 3, "{sizes:?}");
    assert!(sizes.iter().all(|size| *size <= 1000 + limits::LOG_OVERLONG), "{sizes:?}");
}

#[test]
fn a_line_that_has_to_be_whole_is_parted_where_it_is_too_long() {
    for (over, parts) in [(0, 1), (1, 2)] {
        let mut world = World::new();
        world.begin(key(1), 1, sink(To::Managed, Form::Json, keeping(0)));
        world.write(key(1), &vec![b'x'; limits::LOG_PART + over]);
        world.write(key(1), b"end\n");
        let text = String::from_utf8(world.content()).expect("text");
        assert_eq!(text.lines().count(), parts);
        assert_eq!(text.matches("\"open\":true").count(), parts - 1);
    }
}

#[test]
fn of_a_file_that_was_deleted_no_more_than_so_much_is_written_again() {
    for over in [0, 1] {
        let mut world = World::new();
        let path = world.outside().join("app.log");
        fs::create_dir_all(world.outside()).expect("made");
        world.begin(key(1), 1, sink(To::File(path.clone()), Form::Plain, keeping(0)));
        let piece = vec![b'y'; 1 << 20];
        for _ in 0..limits::LOG_AGAIN >> 20 {
            world.write(key(1), &piece);
        }
        world.write(key(1), &vec![b'z'; over]);
        fs::remove_file(&path).expect("removed");
        world.pass(limits::LOG_LOOK);
        world.write(key(1), b"\n");
        let length = fs::metadata(&path).expect("made again").len();
        assert_eq!(length, limits::LOG_AGAIN + 1, "{over}");
    }
}

#[test]
fn an_index_that_cannot_be_written_costs_little_and_covers_everything_later() {
    let mut world = World::new();
    let path = world.outside().join("app.log");
    fs::create_dir_all(world.outside()).expect("made");
    // Where its folder should be, a file is in the way.
    fs::create_dir_all(&world.root).expect("made");
    let in_the_way = world.root.join(crate::logs::names::ELSEWHERE);
    fs::write(&in_the_way, "").expect("written");
    world.begin(key(1), 1, sink(To::File(path), Form::Plain, keeping(0)));
    let mut tail = 0;
    for _ in 0..limits::LOG_INDEX / 4 {
        world.write(key(1), b"a line\n");
        world.pass(Duration::from_millis(500));
        tail = tail.max(world.waiting());
    }
    assert!(tail > limits::LOG_INDEX / 2 && tail <= limits::LOG_INDEX + 64, "{tail}");
    fs::remove_file(&in_the_way).expect("removed");
    world.write(key(1), b"the last\n");
    world.pass(limits::LOG_FLUSH + limits::OUTPUT_LOG_RETRY);
    assert_eq!(world.waiting(), 0);
    assert_eq!(world.content().len(), 7 * (limits::LOG_INDEX / 4) + 9);
}

#[test]
fn how_far_a_stream_was_written_is_known_when_its_run_is_over() {
    let mut world = World::new();
    world.begin(key(1), 1, managed(0));
    assert_eq!(world.store.written(key(1), OUT), None);
    world.write(key(1), b"one\n");
    world.write(key(1), b"two\n");
    world.store.books("s.job", None);
    assert_eq!(world.store.written(key(1), OUT), Some(2));
    world.store.end(key(1), world.now);
    assert_eq!(world.store.written(key(1), OUT), Some(2));
    assert_eq!(world.store.alone(key(1), OUT), Some(Alone::Behind(2)));
    // The next run has said nothing yet.
    world.begin(key(1), 1, managed(0));
    assert_eq!(world.store.written(key(1), OUT), Some(2));
    let book = world.store.by_path.values().next().copied().expect("one");
    for number in 0..limits::LOG_ENDED {
        let number = u32::try_from(number).expect("few") + 10;
        world.store.note_ended((key(number), OUT), (book, u64::from(number)));
    }
    assert!(world.store.ended.len() <= limits::LOG_ENDED);
    let last = u32::try_from(limits::LOG_ENDED).expect("few") + 9;
    assert!(world.store.written(key(last), OUT).is_some());
}

#[test]
fn what_others_empty_is_not_counted_for_ever() {
    let mut world = World::new();
    let rules = Keeping { total: Some(20_000), ..keeping(5_000) };
    world.begin(key(1), 1, sink(To::Managed, Form::Plain, rules));
    let active = world.folder().join("1.out.log");
    for round in 0..20 {
        world.write(key(1), &[[b'x'; 3_999].as_slice(), b"\n"].concat());
        if round % 2 == 0 {
            fs::write(&active, "").expect("emptied");
            world.pass(limits::LOG_LOOK);
        }
    }
    world.write(key(1), b"the last\n");
    let kept = world.content();
    assert!(kept.ends_with(b"the last\n") && kept.len() > 4_000, "{}", kept.len());
    assert!(world.store.taken()[0].bytes <= 20_000);
}

#[test]
fn numbers_that_others_have_are_left_to_them() {
    let mut world = World::new();
    let path = world.outside().join("app.log");
    fs::create_dir_all(world.outside()).expect("made");
    let theirs = [("app.log.1", "old"), ("app.log.3.gz", "older")];
    for (name, text) in theirs {
        fs::write(world.outside().join(name), text).expect("written");
    }
    let rules = Keeping { keep: Some(1), compress: true, ..keeping(100) };
    let sink = sink(To::File(path), Form::Plain, rules);
    world.begin(key(1), 1, sink.clone());
    for number in 0..5 {
        world.write(key(1), format!("{number} {}\n", "y".repeat(80)).as_bytes());
    }
    // One comes later, under the number that would be the next.
    fs::write(world.outside().join("app.log.8.gz"), "late").expect("written");
    world.write(key(1), &[b'z'; 99]);
    world.write(key(1), b"\n");
    world.write(key(1), b"end\n");
    world.store.packer_rests(world.now);
    let read = |name: &str| fs::read_to_string(world.outside().join(name)).unwrap_or_default();
    assert_eq!([read("app.log.1"), read("app.log.3.gz")], ["old", "older"]);
    assert_eq!(read("app.log.8.gz"), "late");
    world.store.flush(world.now);
    world.restart();
    world.begin(key(1), 1, sink);
    world.write(key(1), b"again\n");
    assert!(world.content().ends_with(b"end\nagain\n"));
    world.store.clear("s.job", world.now);
    assert_eq!(fs::read_to_string(world.outside().join("app.log.1")).ok().as_deref(), Some("old"));
}

#[test]
fn who_waits_for_his_log_loses_nothing() {
    let mut world = World::new();
    let folder = world.outside().join("gone");
    let path = folder.join("app.log");
    fs::create_dir_all(world.outside()).expect("made");
    let rules = Sink { block: true, ..sink(To::File(path.clone()), Form::Plain, keeping(0)) };
    world.begin(key(1), 1, rules.clone());
    assert!(world.takes(key(1)), "nobody knows yet");
    let text = [[b'x'; 99].as_slice(), b"\n"].concat().repeat(limits::PIPE_READ / 100);
    world.write(key(1), &text);
    assert!(!world.takes(key(1)));
    // The next who is to write there waits from the beginning, and it is told why.
    world.store.take_told();
    world.begin(key(2), 2, rules);
    assert!(!world.takes(key(2)));
    assert!(matches!(&world.store.take_told()[..], [Told::Failed(id, _, _)] if *id == key(2)));
    fs::create_dir(&folder).expect("made");
    world.pass(limits::OUTPUT_LOG_RETRY);
    assert!(world.takes(key(1)) && world.takes(key(2)));
    assert_eq!(fs::read(&path).expect("there"), text);
}

#[test]
fn a_line_whose_end_is_in_no_index_yet_is_one_line_after_a_kill() {
    let mut world = World::new();
    world.begin(key(1), 1, managed(0));
    world.write(key(1), b"one\nthe beginning");
    world.store.flush(world.now);
    world.pass(Duration::from_secs(1));
    world.write(key(1), b" and the end\ntwo\n");
    // It is killed before that is in the index.
    world.restart();
    let book = &world.store.books("s.job", None)[0];
    let index = fs::read(book.place.index(1)).expect("there");
    let (_, decoder) = Decoder::begin(&index).expect("an index");
    let starts: Vec<bool> = decoder
        .filter_map(|entry| match entry {
            Entry::Piece(piece) => Some(piece.starts),
            Entry::Writer(..) => None,
        })
        .collect();
    assert_eq!(starts, [true, false]);
    assert_eq!(world.content(), b"one\nthe beginning and the end\ntwo\n");
}
