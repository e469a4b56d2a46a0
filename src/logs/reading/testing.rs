//! Tests of the whole: what is read is what a model without any cleverness says, however it was cut into pieces,
//! runs, segments and books.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use data_encoding::BASE64;
use proptest::prelude::*;
use serde_json::json;

use super::filter::Filter;
use super::memory::Kept;
use super::pattern::Pattern;
use super::query::{Progress, Query, Stream, View, Wish};
use super::{End, Gone, Shelf};
use crate::base::limits;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::logs::index::{Encoder, Form, Header, Piece, Writer};
use crate::logs::names::Place;
use crate::logs::stamped::stamp;
use crate::logs::view::{Book, Segment};

/// Segments by the stem of their book and their number: index, data, and whether one can begin in the middle.
#[derive(Clone, Debug, Default)]
struct Case {
    segments: SortedMap<(String, u32), Parts>,
}

type Parts = (Vec<u8>, Vec<u8>, bool);

impl Case {
    fn find(&self, place: &Place, segment: &Segment) -> Result<&Parts, Gone> {
        self.segments.get(&(place.stem.clone(), segment.number)).ok_or(Gone)
    }
}

impl Shelf for Case {
    fn index(
        &mut self,
        place: &Place,
        segment: &Segment,
        from: u64,
        length: usize,
    ) -> Result<Vec<u8>, Gone> {
        let (index, ..) = self.find(place, segment)?;
        let from = usize::try_from(from).map_err(|_| Gone)?;
        let rest = index.get(from..).ok_or(Gone)?;
        Ok(rest[..length.min(64).min(rest.len())].to_vec())
    }

    fn data(
        &mut self,
        place: &Place,
        segment: &Segment,
        from: u64,
        length: usize,
    ) -> Result<Vec<u8>, Gone> {
        let (_, data, _) = self.find(place, segment)?;
        // What is shorter than it was is not what it was.
        if u64::try_from(data.len()).is_ok_and(|length| length < segment.length) {
            return Err(Gone);
        }
        let from = usize::try_from(from).map_err(|_| Gone)?;
        let end = from.checked_add(length).ok_or(Gone)?;
        data.get(from..end).map(<[u8]>::to_vec).ok_or(Gone)
    }

    fn seeks(&mut self, place: &Place, segment: &Segment) -> bool {
        self.find(place, segment).is_ok_and(|(.., seeks)| *seeks)
    }
}

/// Something that was written.
#[derive(Clone, Debug)]
struct Wrote {
    /// By which instance, on which stream.
    instance: u32,
    stream: u16,
    bytes: Vec<u8>,
    /// Another run of that instance begins with it.
    again: bool,
    /// A new segment of its book does.
    turns: bool,
    /// Microseconds since what was written before.
    later: u64,
}

/// How all of it is kept.
#[derive(Clone, Debug)]
struct Layout {
    form: Form,
    /// One book for all, or one for each stream.
    shared: bool,
    /// Some streams are in memory only.
    memory: bool,
    packed: bool,
    /// So many segments at the front are removed.
    removed: usize,
}

/// One line as anybody sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    seq: u64,
    at: u64,
    who: (u32, u16, u64),
    bytes: Vec<u8>,
    open: bool,
}

/// A piece as it was written, for the model.
#[derive(Clone, Debug)]
struct Known {
    seq: u64,
    at: u64,
    writer: Writer,
    bytes: Vec<u8>,
    starts: bool,
}

fn writer(instance: u32, stream: u16, pid: u64) -> Writer {
    let label = if stream == 1 { "out" } else { "log" };
    Writer { job: "s.j".into(), instance, pid, stream, label: label.into(), once: false }
}

fn known(wrote: &[Wrote]) -> Vec<Known> {
    let mut runs: SortedMap<u32, u64> = SortedMap::new();
    let mut next_pid = 1;
    let mut last: SortedMap<(u32, u16), (u64, bool)> = SortedMap::new();
    let mut all = Vec::new();
    let (mut seq, mut at) = (0, 1_000_000_000);
    for one in wrote {
        seq += 1 + one.later % 3;
        at += one.later;
        let run = runs.entry(one.instance).or_insert(0);
        if *run == 0 || one.again {
            *run = next_pid;
            next_pid += 1;
        }
        let pid = *run;
        let before = last.get(&(one.instance, one.stream));
        let starts = before.is_none_or(|(of, ended)| *of != pid || *ended);
        let ended = one.bytes.last().map_or(starts, |byte| *byte == b'\n');
        last.insert((one.instance, one.stream), (pid, ended));
        let writer = writer(one.instance, one.stream, pid);
        all.push(Known { seq, at, writer, bytes: one.bytes.clone(), starts });
    }
    all
}

/// The bytes of a piece as they stand in a file.
fn formed(known: &Known, form: Form) -> Vec<u8> {
    let mut out = Vec::new();
    let mut begins = known.starts;
    for line in known.bytes.split_inclusive(|byte| *byte == b'\n') {
        match form {
            Form::Plain => out.extend_from_slice(line),
            Form::Stamped => {
                if begins {
                    out.extend_from_slice(&stamp(UNIX_EPOCH + Duration::from_micros(known.at)));
                }
                out.extend_from_slice(line);
            }
            Form::Json => {
                let text = line.strip_suffix(b"\n").unwrap_or(line);
                let mut value = json!({"line": String::from_utf8_lossy(text), "ts": 1.5});
                if std::str::from_utf8(text).is_err() {
                    value["base64"] = json!(BASE64.encode(text));
                }
                if text.len() == line.len() {
                    value["open"] = json!(true);
                }
                out.extend_from_slice(value.to_string().as_bytes());
                out.push(b'\n');
            }
        }
        begins = true;
    }
    out
}

/// A book as it is written.
struct Writing {
    stem: String,
    segments: Vec<(Segment, Vec<u8>, Vec<u8>)>,
    encoder: Option<Encoder>,
    writers: Vec<Writer>,
    before: u64,
    last: (u64, u64),
}

impl Writing {
    fn new(stem: &str) -> Self {
        let (segments, writers) = Default::default();
        Self { stem: stem.into(), segments, encoder: None, writers, before: 0, last: (0, 0) }
    }

    fn turn(&mut self, form: Form) {
        let number = u32::try_from(self.segments.len()).expect("few");
        let mut index = Vec::new();
        let header = Header { form, before: self.before, seq: self.last.0, at: self.last.1 };
        self.encoder = Some(Encoder::begin(header, &mut index));
        self.writers.clear();
        let segment = Segment {
            number,
            inode: None,
            length: 0,
            index: 0,
            oldest: u64::MAX,
            newest: 0,
            last: self.last.0,
        };
        self.segments.push((segment, index, Vec::new()));
    }

    fn write(&mut self, known: &Known, form: Form) {
        let bytes = formed(known, form);
        if self.encoder.is_none() {
            self.turn(form);
        }
        let (Some(encoder), Some((segment, index, data))) =
            (&mut self.encoder, self.segments.last_mut())
        else {
            return;
        };
        let number = match self.writers.iter().position(|writer| *writer == known.writer) {
            Some(at) => u32::try_from(at).expect("few"),
            None => {
                let number = u32::try_from(self.writers.len()).expect("few");
                encoder.writer(number, &known.writer, index);
                self.writers.push(known.writer.clone());
                number
            }
        };
        let Known { seq, at, starts, .. } = *known;
        let length = u64::try_from(bytes.len()).expect("few");
        let piece = Piece { writer: number, seq, last: seq, at, length, starts, note: false };
        encoder.piece(&piece, index);
        data.extend_from_slice(&bytes);
        segment.length += length;
        segment.index = u64::try_from(index.len()).expect("few");
        segment.oldest = segment.oldest.min(at);
        segment.newest = segment.newest.max(at);
        segment.last = seq;
        self.before += length;
        self.last = (seq, at);
    }

    fn book(self, removed: usize, packed: bool, case: &mut Case) -> Book {
        let (data, folder) = (PathBuf::new(), PathBuf::new());
        let mut segments = Vec::new();
        let removed = removed.min(self.segments.len().saturating_sub(1));
        for (segment, index, data) in self.segments.into_iter().skip(removed) {
            let seeks = !(packed && segment.number % 2 == 0);
            case.segments.insert((self.stem.clone(), segment.number), (index, data, seeks));
            segments.push(segment);
        }
        Book { place: Place { data, folder, stem: self.stem }, segments }
    }
}

/// Lays everything out; gives what the model is to know of it.
fn laid_out(wrote: &[Wrote], layout: &Layout) -> (Case, View, Vec<Known>) {
    let all = known(wrote);
    let mut writings: SortedMap<String, Writing> = SortedMap::new();
    let mut streams: SortedMap<(u32, u16), Stream> = SortedMap::new();
    let mut place: Vec<Option<(String, usize)>> = Vec::new();
    for (known, one) in all.iter().zip(wrote) {
        let Writer { instance, stream, .. } = known.writer;
        if layout.memory && stream == 2 {
            let begun =
                Stream { number: (instance.into(), stream), parts: vec![], begins: true, lost: 0 };
            let parts = &mut streams.entry((instance, stream)).or_insert(begun).parts;
            let Known { seq, at, ref writer, ref bytes, .. } = *known;
            parts.push(Kept { writer: writer.clone(), seq, last: seq, at, bytes: bytes.clone() });
            place.push(None);
            continue;
        }
        let stem = if layout.shared { "all".into() } else { format!("{instance}.{stream}") };
        let writing = writings.entry(stem.clone()).or_insert_with(|| Writing::new(&stem));
        if one.turns {
            writing.turn(layout.form);
        }
        writing.write(known, layout.form);
        place.push(Some((stem, writing.segments.len() - 1)));
    }
    let counts: SortedMap<String, usize> =
        writings.iter().map(|(stem, writing)| (stem.clone(), writing.segments.len())).collect();
    let is_kept = |place: &Option<(String, usize)>| match place {
        None => true,
        Some((stem, at)) => *at >= layout.removed.min(counts[stem] - 1),
    };
    let kept: Vec<Known> = all
        .iter()
        .zip(&place)
        .filter(|(_, p)| is_kept(p))
        .map(|(known, _)| known.clone())
        .collect();
    let mut case = Case::default();
    let books = writings
        .into_values()
        .map(|writing| writing.book(layout.removed, layout.packed, &mut case))
        .collect();
    let live = all.iter().map(|known| known.writer.pid).filter(|pid| pid % 2 == 0).collect();
    let streams = streams.into_values().collect();
    (case, View { books, streams, live, ..View::default() }, kept)
}

/// All lines, by the model.
fn lines(pieces: &[Known], live: &SortedSet<u64>) -> Vec<Told> {
    let mut all: Vec<(u64, usize, Told)> = Vec::new();
    let mut begun: SortedMap<(u32, u16), (usize, Told)> = SortedMap::new();
    let mut count = 0;
    for known in pieces {
        let Writer { instance, stream, pid, .. } = known.writer;
        let key = (instance, stream);
        if begun.get(&key).is_some_and(|(_, told)| told.who.2 != pid) {
            let (at, told) = begun.remove(&key).expect("just seen");
            all.push((told.seq, at, told));
        }
        for part in known.bytes.split_inclusive(|byte| *byte == b'\n') {
            let (seq, at, who) = (known.seq, known.at, (instance, stream, pid));
            count += 1;
            let new = (count, Told { seq, at, who, bytes: Vec::new(), open: false });
            let (_, line) = begun.entry(key).or_insert(new);
            line.bytes.extend_from_slice(part.strip_suffix(b"\n").unwrap_or(part));
            if part.ends_with(b"\n") {
                let (at, told) = begun.remove(&key).expect("just made");
                all.push((told.seq, at, told));
            }
        }
    }
    for (_, (at, mut told)) in begun {
        told.open = live.contains(&told.who.2);
        if told.open && told.bytes.last() == Some(&0xc3) {
            told.bytes.pop();
        }
        all.push((told.seq, at, told));
    }
    all.sort_by_key(|(seq, at, _)| (*seq, *at));
    all.into_iter().map(|(.., told)| told).collect()
}

fn wanted(lines: Vec<Told>, wish: &Wish) -> Vec<Told> {
    let Filter { stream, since, until, after, grep, .. } = &wish.filter;
    let mut lines: Vec<Told> = lines
        .into_iter()
        .filter(|told| {
            let label = if told.who.1 == 1 { "out" } else { "log" };
            let called = |name: &String| name == label || (told.who.1 == 2 && name == "err");
            stream.as_ref().is_none_or(called)
                && since.is_none_or(|since| told.at >= since)
                && until.is_none_or(|until| told.at < until)
                && told.seq > *after
                && grep.as_ref().is_none_or(|grep| grep.is_match(&told.bytes))
        })
        .collect();
    let tail = wish.tail.and_then(|tail| usize::try_from(tail).ok()).unwrap_or(usize::MAX);
    lines.drain(..lines.len().saturating_sub(tail));
    lines
}

/// What a query tells until its end, parts of a line put together.
fn told(query: &mut Query, shelf: &mut dyn Shelf) -> Vec<Told> {
    let mut all: Vec<Told> = Vec::new();
    for _ in 0..100_000 {
        let progress = query.go_on(shelf, &mut |line| {
            let Writer { instance, stream, pid, .. } = *line.writer;
            let who = (instance, stream, pid);
            let open = line.end == End::Open;
            if line.begins {
                all.push(Told {
                    seq: line.seq,
                    at: line.at,
                    who,
                    bytes: line.bytes.to_vec(),
                    open,
                });
            } else {
                let last = all.last_mut().expect("a part has one before it");
                assert_eq!((last.seq, last.who), (line.seq, who));
                last.bytes.extend_from_slice(line.bytes);
                last.open = open;
            }
            line.bytes.len() + 1
        });
        if progress == Progress::End {
            return all;
        }
    }
    panic!("it never ends");
}

fn wrote() -> impl Strategy<Value = Vec<Wrote>> {
    let bytes = proptest::collection::vec(
        prop_oneof![
            4 => Just(b"a".to_vec()),
            4 => Just(b"b".to_vec()),
            4 => Just(b"\n".to_vec()),
            1 => Just(b"\0".to_vec()),
            1 => Just(b"\xff".to_vec()),
            1 => Just(b"\xc3\xa9".to_vec()),
            1 => Just(b"\xc3".to_vec()),
        ],
        1..12,
    );
    let one = (1..3_u32, 1..3_u16, bytes, 0..10_u8, 0..6_u8, 0..5_u64);
    let one = one.prop_map(|(instance, stream, bytes, again, turns, later)| Wrote {
        instance,
        stream,
        bytes: bytes.concat(),
        again: again == 0,
        turns: turns == 0,
        later,
    });
    proptest::collection::vec(one, 0..40)
}

fn layout() -> impl Strategy<Value = Layout> {
    let form = prop_oneof![Just(Form::Plain), Just(Form::Stamped), Just(Form::Json)];
    (form, any::<bool>(), any::<bool>(), any::<bool>(), 0..3_usize).prop_map(
        |(form, shared, memory, packed, removed)| {
            // Of a line that has lost its beginning, and goes on behind lines of others, a reader who begins at
            // the end knows nothing.
            let removed = if shared { 0 } else { removed };
            Layout { form, shared, memory, packed, removed }
        },
    )
}

fn wish() -> impl Strategy<Value = Wish> {
    let time = || proptest::option::of(0..120_u64);
    let grep = proptest::option::of(prop_oneof![
        Just("a"),
        Just("ab"),
        Just("^b"),
        Just("a.b"),
        Just("^$"),
        Just("(a|b)b"),
    ]);
    let stream = proptest::option::of(prop_oneof![Just("out"), Just("err"), Just("log")]);
    (stream, time(), time(), 0..60_u64, grep, proptest::option::of(0..12_u64), any::<bool>())
        .prop_map(|(stream, since, until, after, grep, tail, all)| {
            let moment = |time: Option<u64>| time.map(|time| 1_000_000_000 + time);
            let filter = Filter {
                of: vec![("s.j".into(), None)],
                stream: stream.map(Into::into),
                since: moment(since).filter(|_| !all),
                until: moment(until).filter(|_| !all),
                after: if all { 0 } else { after },
                grep: grep.map(|text| Pattern::new(text).expect("one")),
            };
            Wish { filter, tail, follow: false }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn what_is_read_is_what_was_written_however_it_is_kept(
        wrote in wrote(),
        layout in layout(),
        wish in wish(),
        stretch in prop_oneof![Just(1_usize), 2..40_usize, Just(limits::LOG_STRETCH)],
    ) {
        let (mut case, view, kept) = laid_out(&wrote, &layout);
        let expected = wanted(lines(&kept, &view.live), &wish);
        let mut query = Query::new(wish, view).with_stretch(stretch);
        let found = told(&mut query, &mut case);
        prop_assert_eq!(found, expected);
        prop_assert_eq!(query.take_lost(), 0);
    }
}

/// The model of a book of which a segment cannot be read: what stands before it and behind it does not meet.
fn without(wrote: &[Wrote], form: Form, gone: usize) -> (Case, View, Vec<Told>, u64) {
    let layout = Layout { form, shared: false, memory: false, packed: false, removed: 0 };
    let (mut case, view, all) = laid_out(wrote, &layout);
    let mut expected = Vec::new();
    let mut lost = 0;
    let mut turns: SortedMap<(u32, u16), usize> = SortedMap::new();
    let mut parts: SortedMap<(u32, u16), [Vec<Known>; 2]> = SortedMap::new();
    for (known, one) in all.iter().zip(wrote) {
        let key = (one.instance, one.stream);
        let first = !turns.contains_key(&key);
        let turn = turns.entry(key).or_insert(0);
        *turn += usize::from(one.turns && !first);
        let [before, behind] = parts.entry(key).or_default();
        match (*turn).cmp(&gone) {
            std::cmp::Ordering::Less => before.push(known.clone()),
            std::cmp::Ordering::Equal => {
                lost += u64::try_from(formed(known, form).len()).expect("few")
            }
            std::cmp::Ordering::Greater => behind.push(known.clone()),
        }
    }
    for (key, [before, behind]) in parts {
        // What ends in front of a gap is over.
        let live = if turns[&key] >= gone { SortedSet::new() } else { view.live.clone() };
        expected.extend(lines(&before, &live));
        expected.extend(lines(&behind, &view.live));
    }
    expected.sort_by_key(|told| told.seq);
    for ((_, number), (_, data, _)) in &mut case.segments {
        if usize::try_from(*number).expect("few") == gone {
            data.truncate(data.len().saturating_sub(1));
        }
    }
    (case, view, expected, lost)
}

proptest! {
    #[test]
    fn what_cannot_be_read_is_left_out_and_counted(
        wrote in wrote(),
        form in prop_oneof![Just(Form::Plain), Just(Form::Stamped), Just(Form::Json)],
        gone in 0..3_usize,
    ) {
        let (mut case, view, expected, lost) = without(&wrote, form, gone);
        let filter = Filter { of: vec![("s.j".into(), None)], ..Filter::default() };
        let wish = Wish { filter, ..Wish::default() };
        let mut query = Query::new(wish, view);
        let found = told(&mut query, &mut case);
        prop_assert_eq!(found, expected);
        prop_assert_eq!(query.take_lost(), lost);
    }

    #[test]
    fn who_follows_is_told_each_line_once(
        wrote in wrote(),
        layout in layout(),
        cut in 0..40_usize,
        stretch in 1..40_usize,
    ) {
        let layout = Layout { removed: 0, ..layout };
        let first = &wrote[..cut.min(wrote.len())];
        let (_, mut view, early) = laid_out(first, &layout);
        let mut runs = SortedMap::new();
        for known in &early {
            runs.insert(known.writer.instance, known.writer.pid);
        }
        view.live = runs.into_values().collect();
        let (mut case, mut later, all) = laid_out(&wrote, &layout);
        later.live = SortedSet::new();
        let expected = lines(&all, &later.live);
        for stream in &mut later.streams {
            let seen = early.iter().filter(|known| {
                u64::from(known.writer.instance) == stream.number.0 && known.writer.stream == 2
            });
            stream.begins = true;
            for known in seen {
                stream.begins = known.bytes.last() == Some(&b'\n');
                stream.parts.remove(0);
            }
        }
        let filter = Filter { of: vec![("s.j".into(), None)], ..Filter::default() };
        let wish = Wish { filter, follow: true, tail: None };
        let mut query = Query::new(wish, view).with_stretch(stretch);
        let mut found = told(&mut query, &mut case);
        query.refresh(later);
        found.extend(told(&mut query, &mut case));
        found.sort_by_key(|told| told.seq);
        prop_assert_eq!(found, expected);
        prop_assert_eq!(query.take_lost(), 0);
    }

    #[test]
    fn garbage_ends_and_is_told_as_it_stands(
        entries: Vec<u8>,
        data in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200),
        whole: bool,
        more in 0..50_u64,
        tail in proptest::option::of(0..5_u64),
        form in prop_oneof![Just(Form::Plain), Just(Form::Stamped), Just(Form::Json)],
    ) {
        let mut index = Vec::new();
        if whole {
            let mut encoder = Encoder::begin(Header { form, before: 0, seq: 0, at: 0 }, &mut index);
            encoder.writer(0, &writer(1, 1, 1), &mut index);
        }
        index.extend_from_slice(&entries);
        let count = |bytes: &[u8]| u64::try_from(bytes.len()).expect("few");
        let segment = |number: u32| Segment {
            number,
            inode: None,
            length: count(&data) + if number == 2 { more } else { 0 },
            index: count(&index) + more,
            oldest: 0,
            newest: u64::MAX,
            last: u64::MAX,
        };
        let place = Place { data: PathBuf::new(), folder: PathBuf::new(), stem: "x".into() };
        let book = Book { place, segments: vec![segment(1), segment(2), segment(9)] };
        let mut case = Case::default();
        for number in [1, 2] {
            case.segments.insert(("x".into(), number), (index.clone(), data.clone(), number == 1));
        }
        let filter = Filter { of: vec![("s.j".into(), None)], ..Filter::default() };
        let wish = Wish { filter, tail, follow: false };
        let view = View { books: vec![book], ..View::default() };
        let mut query = Query::new(wish, view);
        let mut bytes = 0;
        while query.go_on(&mut case, &mut |line| { bytes += line.bytes.len(); 1 }) == Progress::More {}
        prop_assert!(bytes <= 2 * data.len());
    }
}

/// One book of plain lines, in so many pieces.
fn book_of(pieces: &[&[u8]]) -> (Case, View) {
    let wrote: Vec<Wrote> = pieces
        .iter()
        .map(|bytes| Wrote {
            instance: 1,
            stream: 1,
            bytes: bytes.to_vec(),
            again: false,
            turns: false,
            later: 1,
        })
        .collect();
    let layout =
        Layout { form: Form::Plain, shared: false, memory: false, packed: false, removed: 0 };
    let (case, view, _) = laid_out(&wrote, &layout);
    (case, view)
}

fn wish_for(grep: Option<&str>) -> Wish {
    let grep = grep.map(|text| Pattern::new(text).expect("one"));
    let filter = Filter { of: vec![("s.j".into(), None)], grep, ..Filter::default() };
    Wish { filter, ..Wish::default() }
}

/// The lengths of the parts that are told.
fn parts(grep: Option<&str>, pieces: &[&[u8]]) -> Vec<(usize, bool)> {
    let (mut case, view) = book_of(pieces);
    let mut query = Query::new(wish_for(grep), view);
    let mut all = Vec::new();
    let mut tell = |line: &super::Line<'_>| {
        all.push((line.bytes.len(), line.end == End::More));
        line.bytes.len()
    };
    while query.go_on(&mut case, &mut tell) == Progress::More {}
    all
}

#[test]
fn a_line_beyond_the_longest_comes_in_parts() {
    let most = limits::PAST_LINE;
    let line = |length: usize| [&b"begin"[..], &vec![b'x'; length - 5], b"\n"].concat();
    assert_eq!(parts(None, &[&line(most), b"a\n"]), [(most, false), (1, false)]);
    let beyond = [(most, true), (1, false), (1, false)];
    assert_eq!(parts(None, &[&line(most + 1), b"a\n"]), beyond);
    assert_eq!(parts(Some("begin"), &[&line(most + 1), b"a\n"]), beyond[..2]);
    assert_eq!(parts(Some("a"), &[&line(most + 1), b"a\n"]), [(1, false)]);
    let many = line(3 * most);
    let pieces: Vec<&[u8]> = many.chunks(1000).collect();
    let lengths: usize = parts(None, &pieces).iter().map(|(length, _)| length).sum();
    assert_eq!(lengths, 3 * most);
}

#[test]
fn a_portion_is_bounded_whatever_is_looked_for() {
    let line = [&vec![b'x'; 99][..], b"\n"].concat();
    let piece = line.repeat(limits::LOG_STRETCH / 100);
    let pieces = vec![&piece[..]; 4 * limits::LOG_SCAN / limits::LOG_STRETCH];
    let (mut case, view) = book_of(&pieces);
    let mut query = Query::new(wish_for(Some("nowhere")), view.clone());
    let mut portions = 1;
    while query.go_on(&mut case, &mut |_| 0) == Progress::More {
        portions += 1;
    }
    assert!((4..=6).contains(&portions), "{portions}");
    let mut query = Query::new(wish_for(None), view);
    let mut told = 0;
    assert_eq!(
        query.go_on(&mut case, &mut |line| {
            told += line.bytes.len();
            line.bytes.len()
        }),
        Progress::More
    );
    assert!((limits::LOG_BATCH..limits::LOG_BATCH + 100).contains(&told), "{told}");
}

#[test]
fn what_is_before_all_that_is_there_is_known() {
    let (case, mut view) = book_of(&[b"a\n"]);
    assert_eq!(view.before(&mut case.clone()), 0);
    view.streams.push(Stream { number: (1, 1), parts: vec![], begins: true, lost: 7 });
    assert_eq!(view.before(&mut case.clone()), 7);
}

#[test]
fn an_index_is_read_piece_by_piece() {
    let pieces = vec![&b"\n"[..]; 2 * limits::PAST_INDEX / 5];
    let (mut case, view) = book_of(&pieces);
    assert!(usize::try_from(view.books[0].segments[0].index).expect("few") > limits::PAST_INDEX);
    let mut query = Query::new(wish_for(None), view);
    assert_eq!(told(&mut query, &mut case).len(), pieces.len());
}
