//! What a session missed of the topic `LOGS`, read for it: pieces in the order of arrival, told as they would have
//! been when they came, cut where characters end, with the ends of the runs that are over.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Begun, Portion};
use crate::base::ids::{Pid, StreamNo};
use crate::base::sorted::SortedMap;
use crate::base::sorting;
use crate::logs::index::{time, Writer};
use crate::logs::reading::pieces::{Part, Pieces};
use crate::logs::reading::query::{Progress, View};
use crate::logs::reading::Shelf;
use crate::node::aligned::begun;
use crate::node::hub::{Chunk, EndOfOutput};
use crate::supervisor::name::JobName;
use crate::wire::channel;

/// Somebody's.
pub(super) struct Replaying {
    pieces: Pieces,
    teller: Teller,
    /// All up to here is told when the pieces are.
    covers: u64,
    /// How far each book was looked at.
    ends: SortedMap<PathBuf, u64>,
    /// What could not be told, from before what is there.
    missing: u64,
    /// The runs that go on,
    live: crate::base::sorted::SortedSet<u64>,
    /// and what of lines without an end was told of these streams, when it is.
    held: Vec<(StreamKey, usize)>,
}

/// An instance of a job: its name, the number, and whether it is a one-off.
type InstanceKey = (String, u32, bool);
type StreamKey = (InstanceKey, u16);

/// Puts messages together.
#[derive(Default)]
struct Teller {
    told: Vec<String>,
    topic: String,
    runs: SortedMap<InstanceKey, Run>,
    /// What of a stream was told already, and stands in its book behind that.
    ahead: SortedMap<StreamKey, usize>,
    /// What goes into the next message.
    open: Option<Open>,
    /// The number up to which all is told,
    seq: u64,
    /// and up to which it is of lives of the node before.
    former: u64,
}

/// The run of an instance of which something was told last.
struct Run {
    pid: u64,
    /// Whether it is of a life of the node before.
    former: bool,
    /// Beginnings of characters, and whose they are.
    tails: SortedMap<u16, (Arc<Writer>, u64, Vec<u8>)>,
    /// When something was told of it, among all.
    seq: u64,
}

struct Open {
    writer: Arc<Writer>,
    seq: u64,
    at: u64,
    bytes: Vec<u8>,
}

/// How long the text of a message becomes before another is begun,
const MESSAGE: usize = 16 * 1024;
/// and what each part costs besides what is told of it.
const PART_COST: usize = 16;
/// Runs whose end may still have to be told: of more than that the one that said nothing for longest is taken
/// for over.
const RUNS: usize = 1024;

impl Replaying {
    /// Begins to read what came behind this number.
    pub(super) fn begin(
        topic: String,
        after: u64,
        view: View,
        shelf: &mut dyn Shelf,
    ) -> (Self, Begun) {
        let mut replaying = Self {
            pieces: Pieces::new(Vec::new(), after, View::default()),
            teller: Teller { topic, seq: after, ..Teller::default() },
            covers: after,
            ends: SortedMap::new(),
            missing: 0,
            live: Default::default(),
            held: Vec::new(),
        };
        let has_books = !view.books.is_empty();
        replaying.look(view, shelf);
        let lost = std::mem::take(&mut replaying.missing);
        (replaying, Begun { lost, has_books })
    }

    /// Takes what there is now behind what was told.
    fn look(&mut self, mut view: View, shelf: &mut dyn Shelf) {
        let after = self.covers;
        self.missing += view.missing(after, &mut self.ends, shelf);
        self.covers = view.seq;
        self.teller.former = view.former;
        self.live = std::mem::take(&mut view.live);
        let held = |stream: &crate::logs::reading::query::Stream| {
            let count = view.held.get(&stream.number)?;
            Some((stream_key(&stream.parts.first()?.writer), *count))
        };
        self.held = view.streams.iter().filter_map(held).collect();
        self.pieces = Pieces::new(std::mem::take(&mut view.of), after, view);
    }

    /// Reads on, with what there is now if that is said.
    pub(super) fn read_on(&mut self, view: Option<View>, shelf: &mut dyn Shelf) -> Portion {
        if let Some(view) = view {
            self.look(view, shelf);
        }
        let Self { pieces, teller, .. } = self;
        let end = pieces.go_on(shelf, &mut |part| teller.tell(part)) == Progress::End;
        if end {
            self.teller.end_runs(|pid| self.live.contains(&pid));
            self.teller.ahead.extend(self.held.drain(..));
            self.teller.seq = self.covers;
        }
        self.teller.shut();
        let lost = std::mem::take(&mut self.missing).saturating_add(self.pieces.take_lost());
        let messages = std::mem::take(&mut self.teller.told);
        Portion { bytes: Vec::new(), messages, lost, end }
    }
}

fn instance_key(writer: &Writer) -> InstanceKey {
    (writer.job.clone(), writer.instance, writer.once)
}

fn stream_key(writer: &Writer) -> StreamKey {
    (instance_key(writer), writer.stream)
}

impl Teller {
    /// Tells a part of a piece; gives about how much that is.
    fn tell(&mut self, part: &Part<'_>) -> usize {
        let before = self.told.len();
        let bytes = self.behind_what_was_told(part);
        let writer = part.writer;
        let key = instance_key(writer);
        let former = part.last <= self.former;
        let is_other = |run: &Run| (run.pid, run.former) != (writer.pid, former);
        if self.runs.get(&key).is_some_and(is_other) {
            self.end_run(&key);
        }
        if !self.runs.contains_key(&key) {
            self.make_room();
        }
        let run = self.runs.entry(key).or_insert_with(|| Run {
            pid: writer.pid,
            former,
            tails: SortedMap::new(),
            seq: part.last,
        });
        run.seq = part.last;
        let mut all = run.tails.remove(&writer.stream).map_or(Vec::new(), |(_, _, tail)| tail);
        all.extend_from_slice(bytes);
        let tail = all.split_off(all.len() - begun(&all));
        if !tail.is_empty() {
            run.tails.insert(writer.stream, (Arc::clone(writer), part.at, tail));
        }
        // Who has the number of a piece has all of it.
        let seq = if part.ends { part.last } else { self.seq.max(part.seq.saturating_sub(1)) };
        self.add((writer, part.at), seq, &all);
        self.seq = self.seq.max(seq);
        let messages: usize = self.told.get(before..).into_iter().flatten().map(String::len).sum();
        messages + PART_COST
    }

    /// What of a part was not told yet, as it waited for its line's end.
    fn behind_what_was_told<'a>(&mut self, part: &Part<'a>) -> &'a [u8] {
        if part.alone || self.ahead.is_empty() {
            return part.bytes;
        }
        let key = stream_key(part.writer);
        let Some(ahead) = self.ahead.get_mut(&key) else { return part.bytes };
        let count = (*ahead).min(part.bytes.len());
        *ahead -= count;
        if *ahead == 0 {
            self.ahead.remove(&key);
        }
        &part.bytes[count..]
    }

    fn add(&mut self, (writer, at): (&Arc<Writer>, u64), seq: u64, bytes: &[u8]) {
        let goes_with = |open: &&mut Open| {
            *open.writer == **writer && open.bytes.len() + bytes.len() <= MESSAGE
        };
        match self.open.as_mut().filter(goes_with) {
            Some(open) => {
                open.bytes.extend_from_slice(bytes);
                open.seq = seq;
            }
            None if bytes.is_empty() => {}
            None => {
                self.shut();
                let (writer, bytes) = (Arc::clone(writer), bytes.to_vec());
                self.open = Some(Open { writer, seq, at, bytes });
            }
        }
    }

    /// Nothing more is put to the last message.
    fn shut(&mut self) {
        let Some(Open { writer, seq, at, bytes }) = self.open.take() else { return };
        let Ok(job) = JobName::parse(&writer.job) else { return };
        let chunk = Chunk {
            job: &job,
            instance: writer.instance,
            once: writer.once,
            pid: Pid(writer.pid),
            stream: StreamNo(writer.stream),
            label: &writer.label,
            seq,
            at: time(at),
            bytes: &bytes,
        };
        self.told.push(channel::event(&self.topic, &channel::members(&chunk.log())));
    }

    /// Nothing more comes of a run: what waited for the rest of a character is told as it is, and then that.
    fn end_run(&mut self, key: &InstanceKey) {
        let Some(run) = self.runs.remove(key) else { return };
        for (writer, at, tail) in run.tails.into_values() {
            self.add((&writer, at), self.seq, &tail);
        }
        self.shut();
        let Ok(job) = JobName::parse(&key.0) else { return };
        let end = EndOfOutput { job: &job, instance: key.1, once: key.2, pid: Pid(run.pid) };
        self.told.push(channel::event(&self.topic, &channel::members(&end.log())));
    }

    /// All is told: so are the ends of the runs that are over.
    fn end_runs(&mut self, lives: impl Fn(u64) -> bool) {
        let over = self.runs.iter().filter(|(_, run)| run.former || !lives(run.pid));
        let mut over: Vec<(u64, InstanceKey)> =
            over.map(|(key, run)| (run.seq, key.clone())).collect();
        sorting::sort(&mut over);
        for (_, key) in over {
            self.end_run(&key);
        }
    }

    fn make_room(&mut self) {
        if self.runs.len() < RUNS {
            return;
        }
        let oldest = self.runs.iter().min_by_key(|(_, run)| run.seq).map(|(key, _)| key.clone());
        if let Some(oldest) = oldest {
            self.end_run(&oldest);
        }
    }
}
