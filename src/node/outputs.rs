//! The last part of what each instance wrote, in bounded rings: one a stream, so that a noisy one
//! cannot push out a quiet one. Nobody has to read it; a child is never blocked and memory never
//! grows. Pieces carry one running number and a time, so that what all instances wrote can be told in
//! the order of arrival.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime};

use crate::base::ids::{InstanceId, StreamNo};
use crate::base::limits;

/// The rings of all instances.
#[derive(Default)]
pub struct Outputs {
    instances: BTreeMap<InstanceId, Output>,
    /// The number of what was written last, whoever it was.
    last: u64,
}

/// A line that an instance wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The number of the piece in which it begins, which grows over all instances.
    pub number: u64,
    /// When that was written.
    pub at: SystemTime,
    /// To which stream.
    pub stream: StreamNo,
    /// Its bytes without the line end.
    pub bytes: Vec<u8>,
    /// Whether its end may still come.
    pub open: bool,
}

/// What one instance wrote.
#[derive(Default)]
struct Output {
    rings: BTreeMap<StreamNo, Ring>,
    /// The piece that was written last.
    last_piece: u64,
    /// Which run is the present one.
    run: u32,
}

/// The last part of one stream.
#[derive(Default)]
struct Ring {
    pieces: VecDeque<Piece>,
    /// Bytes in all pieces, with what each piece costs besides.
    cost: usize,
    /// Bytes that fell out at the front.
    dropped: u64,
    /// Bytes of the runs before the present one.
    before: u64,
}

struct Piece {
    number: u64,
    at: SystemTime,
    run: u32,
    bytes: Vec<u8>,
}

/// What a piece costs besides its bytes.
const PIECE_COST: usize = 64;
/// Small writes in a row are put together up to this size,
const PIECE_SIZE: usize = 4 * 1024;
/// and while they are no further apart than this, which is how exact the time of a line is.
const PIECE_TIME: Duration = Duration::from_millis(100);

impl Outputs {
    /// Keeps what a process wrote, whose run is not over.
    pub fn push(&mut self, id: InstanceId, stream: StreamNo, bytes: &[u8], at: SystemTime) {
        self.last += 1;
        let output = self.instances.entry(id).or_default();
        let ring = output.rings.entry(stream).or_default();
        let last = ring.pieces.back_mut().filter(|piece| {
            // Only while no other stream wrote in between, and not into the run before.
            piece.number == output.last_piece
                && piece.run == output.run
                && piece.bytes.len() + bytes.len() <= PIECE_SIZE
                && at.duration_since(piece.at).is_ok_and(|since| since <= PIECE_TIME)
        });
        match last {
            Some(piece) => piece.bytes.extend_from_slice(bytes),
            None => {
                let (number, run) = (self.last, output.run);
                output.last_piece = number;
                ring.pieces.push_back(Piece { number, at, run, bytes: bytes.to_vec() });
                ring.cost += PIECE_COST;
            }
        }
        ring.cost += bytes.len();
        ring.trim();
    }

    /// The number of what was written last, by anybody.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The lines that are kept of an instance, stream by stream, and how many bytes before them are
    /// kept no more.
    pub fn lines(&self, id: InstanceId) -> (Vec<Line>, u64) {
        let Some(output) = self.instances.get(&id) else { return (Vec::new(), 0) };
        let lines = |(stream, ring): (&StreamNo, &Ring)| ring.lines(*stream, output.run);
        let lost = output.rings.values().map(|ring| ring.dropped).sum();
        (output.rings.iter().flat_map(lines).collect(), lost)
    }

    /// The present run is over: what it wrote, as its last lines, oldest first. The rings stay.
    pub fn end_run(&mut self, id: InstanceId) -> Vec<String> {
        let Some(output) = self.instances.get_mut(&id) else { return Vec::new() };
        let lines = output.last_lines();
        output.run = output.run.wrapping_add(1);
        for ring in output.rings.values_mut() {
            ring.before = ring.end();
        }
        lines
    }

    /// The instance is gone.
    pub fn forget(&mut self, id: InstanceId) {
        self.instances.remove(&id);
    }

    /// The instances of which something is kept.
    pub fn ids(&self) -> impl Iterator<Item = InstanceId> + '_ {
        self.instances.keys().copied()
    }

    /// How many bytes the present run has written to a stream so far.
    pub fn position(&self, id: InstanceId, stream: StreamNo) -> u64 {
        let ring = self.instances.get(&id).and_then(|output| output.rings.get(&stream));
        ring.map_or(0, |ring| ring.end() - ring.before)
    }

    /// What the present run has written to a stream from this position on, and how many bytes of that
    /// are kept no more. A position that is not reached yet counts as the end.
    pub fn since(&self, id: InstanceId, stream: StreamNo, position: u64) -> (Vec<u8>, u64) {
        let ring = self.instances.get(&id).and_then(|output| output.rings.get(&stream));
        let Some(ring) = ring else { return (Vec::new(), 0) };
        let wanted = ring.before.saturating_add(position).min(ring.end());
        let lost = ring.dropped.max(ring.before).saturating_sub(wanted);
        let skip = usize::try_from(wanted.saturating_sub(ring.dropped)).unwrap_or(usize::MAX);
        let bytes = ring.pieces.iter().flat_map(|piece| piece.bytes.iter().copied());
        (bytes.skip(skip).collect(), lost)
    }

    /// What is kept of a stream, oldest byte first, and how many bytes before that are lost.
    pub fn kept(&self, id: InstanceId, stream: StreamNo) -> (Vec<u8>, u64) {
        let ring = self.instances.get(&id).and_then(|output| output.rings.get(&stream));
        let Some(ring) = ring else { return (Vec::new(), 0) };
        let bytes = ring.pieces.iter().flat_map(|piece| piece.bytes.iter().copied()).collect();
        (bytes, ring.dropped)
    }
}

impl Output {
    /// The last lines of this run over all streams, in the order in which they were begun.
    fn last_lines(&self) -> Vec<String> {
        let mut lines: Vec<(u64, Vec<u8>)> = Vec::new();
        for ring in self.rings.values() {
            lines.extend(ring.last_lines(self.run));
        }
        lines.sort_by_key(|(number, _)| *number);
        let surplus = lines.len().saturating_sub(limits::LAST_LINES);
        lines.into_iter().skip(surplus).map(|(_, line)| shown(&line)).collect()
    }
}

impl Ring {
    /// Bytes ever written to it.
    fn end(&self) -> u64 {
        let kept: usize = self.pieces.iter().map(|piece| piece.bytes.len()).sum();
        self.dropped + u64::try_from(kept).unwrap_or(0)
    }

    fn trim(&mut self) {
        while self.cost > limits::OUTPUT_RING {
            let Some(first) = self.pieces.pop_front() else { return };
            self.cost -= first.bytes.len() + PIECE_COST;
            let over = limits::OUTPUT_RING.saturating_sub(self.cost + PIECE_COST);
            let keep = over.min(first.bytes.len());
            self.dropped += u64::try_from(first.bytes.len() - keep).unwrap_or(0);
            if keep > 0 {
                // Half of a large piece is better than none of it.
                let bytes = first.bytes[first.bytes.len() - keep..].to_vec();
                self.cost += keep + PIECE_COST;
                self.pieces.push_front(Piece { bytes, ..first });
                return;
            }
        }
    }

    /// All lines that are kept. What a run did not end is a line of its own; `present` is the run
    /// that may still do so.
    fn lines(&self, stream: StreamNo, present: u32) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        let mut open: Option<(u32, Line)> = None;
        for piece in &self.pieces {
            lines.extend(open.take_if(|(run, _)| *run != piece.run).map(|(_, line)| line));
            for part in piece.bytes.split_inclusive(|byte| *byte == b'\n') {
                let (number, at) = (piece.number, piece.at);
                let new = Line { number, at, stream, bytes: Vec::new(), open: false };
                let (_, line) = open.get_or_insert((piece.run, new));
                match part.strip_suffix(b"\n") {
                    None => line.bytes.extend_from_slice(part),
                    Some(rest) => {
                        line.bytes.extend_from_slice(rest);
                        lines.extend(open.take().map(|(_, line)| line));
                    }
                }
            }
        }
        lines.extend(open.map(|(run, line)| Line { open: run == present, ..line }));
        lines
    }

    /// The last lines of a run, each with the number of the piece in which it begins. The last one may
    /// lack its line end.
    fn last_lines(&self, run: u32) -> Vec<(u64, Vec<u8>)> {
        let mut lines: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
        let mut open: Option<(u64, Vec<u8>)> = None;
        for piece in self.pieces.iter().filter(|piece| piece.run == run) {
            for part in piece.bytes.split_inclusive(|byte| *byte == b'\n') {
                let (_, line) = open.get_or_insert_with(|| (piece.number, Vec::new()));
                line.extend_from_slice(part);
                if part.ends_with(b"\n") {
                    lines.extend(open.take());
                    if lines.len() > limits::LAST_LINES {
                        lines.pop_front();
                    }
                }
            }
        }
        lines.extend(open);
        lines.into()
    }
}

/// A line for people: without its end, replaced where it is no UTF-8, cut where it is too long.
fn shown(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = String::from_utf8_lossy(line);
    if text.chars().count() <= limits::LAST_LINE {
        return text.into_owned();
    }
    text.chars().take(limits::LAST_LINE - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::arena::Key;

    const ID: InstanceId = InstanceId(Key { index: 0, generation: 0 });
    const OUT: StreamNo = StreamNo::STDOUT;
    const ERR: StreamNo = StreamNo::STDERR;

    fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
    }

    #[test]
    fn lines_know_their_time_and_their_run() {
        let other = InstanceId(Key { index: 1, generation: 0 });
        let mut outputs = Outputs::default();
        outputs.push(ID, OUT, b"one\ntw", at(0));
        outputs.push(other, OUT, b"between\n", at(50));
        outputs.push(ID, OUT, b"o\ncut", at(100));
        outputs.push(ID, OUT, b" off", at(201));
        outputs.end_run(ID);
        outputs.push(ID, OUT, b"new\n\nopen", at(202));
        let (lines, lost) = outputs.lines(ID);
        let lines: Vec<_> = lines
            .iter()
            .map(|l| (l.number, l.at, String::from_utf8_lossy(&l.bytes), l.open))
            .collect();
        assert_eq!(
            lines,
            [
                (1, at(0), "one".into(), false),
                (1, at(0), "two".into(), false),
                (1, at(0), "cut off".into(), false),
                (5, at(202), "new".into(), false),
                (5, at(202), "".into(), false),
                (5, at(202), "open".into(), true),
            ]
        );
        assert_eq!((lost, outputs.last()), (0, 5));
        assert_eq!(outputs.lines(other).0[0].number, 2);
        outputs.push(ID, OUT, &vec![b'x'; limits::OUTPUT_RING], at(203));
        assert!(outputs.lines(ID).1 > 0);
    }

    #[test]
    fn last_lines_come_from_both_streams_in_order() {
        let mut outputs = Outputs::default();
        outputs.push(ID, OUT, b"one\ntw", at(0));
        outputs.push(ID, ERR, b"err 1\r\n", at(0));
        outputs.push(ID, OUT, b"o\nthree", at(0));
        outputs.push(ID, ERR, b"\xff", at(0));
        assert_eq!(outputs.end_run(ID), ["one", "two", "err 1", "three", "\u{fffd}"]);
        assert_eq!(outputs.end_run(ID), Vec::<String>::new(), "the next run has said nothing");
        outputs.push(ID, OUT, b"next\n", at(0));
        assert_eq!(outputs.end_run(ID), ["next"]);
        assert_eq!(outputs.kept(ID, OUT).0, b"one\ntwo\nthreenext\n");
    }

    #[test]
    fn lines_are_bounded_in_number_and_length() {
        let mut outputs = Outputs::default();
        for n in 0..limits::LAST_LINES + 5 {
            outputs.push(ID, OUT, format!("{n}\n").as_bytes(), at(0));
        }
        outputs.push(ID, OUT, "x".repeat(limits::LAST_LINE).as_bytes(), at(0));
        let lines = outputs.end_run(ID);
        assert_eq!(lines.len(), limits::LAST_LINES);
        assert_eq!(lines.first().map(String::as_str), Some("6"));
        assert_eq!(lines.last().map(String::len), Some(limits::LAST_LINE));
        outputs.push(ID, OUT, "y".repeat(limits::LAST_LINE + 1).as_bytes(), at(0));
        assert!(outputs.end_run(ID).iter().all(|line| line.ends_with('…')));
    }

    #[test]
    fn a_ring_keeps_the_end_and_counts_what_it_lost() {
        let mut outputs = Outputs::default();
        let total = 3 * limits::OUTPUT_RING;
        let all: Vec<u8> =
            (0..total).map(|n| b'a' + u8::try_from(n % 26).expect("small")).collect();
        for piece in all.chunks(1000) {
            outputs.push(ID, OUT, piece, at(0));
        }
        let (kept, dropped) = outputs.kept(ID, OUT);
        assert!(kept.len() > limits::OUTPUT_RING / 2 && kept.len() <= limits::OUTPUT_RING);
        assert!(all.ends_with(&kept));
        assert_eq!(usize::try_from(dropped).expect("small") + kept.len(), total);
    }

    #[test]
    fn positions_are_those_of_the_run() {
        let mut outputs = Outputs::default();
        assert_eq!(outputs.position(ID, OUT), 0);
        outputs.push(ID, OUT, b"before", at(0));
        outputs.end_run(ID);
        assert_eq!(outputs.position(ID, OUT), 0);
        outputs.push(ID, OUT, b"hello", at(0));
        assert_eq!(outputs.position(ID, OUT), 5);
        assert_eq!(outputs.since(ID, OUT, 2), (b"llo".to_vec(), 0));
        assert_eq!(outputs.since(ID, OUT, 9), (vec![], 0));
        outputs.push(ID, OUT, &vec![b'x'; limits::OUTPUT_RING], at(0));
        let (kept, lost) = outputs.since(ID, OUT, 2);
        let written = u64::try_from(kept.len()).expect("small") + lost;
        assert_eq!(written + 2, outputs.position(ID, OUT));
        assert!(lost > 0);
    }

    #[test]
    fn single_bytes_on_two_streams_stay_within_the_limit() {
        let mut outputs = Outputs::default();
        for _ in 0..limits::OUTPUT_RING {
            outputs.push(ID, OUT, b"o", at(0));
            outputs.push(ID, ERR, b"e", at(0));
        }
        let ring = &outputs.instances[&ID].rings[&OUT];
        assert!(ring.pieces.len() * PIECE_COST <= limits::OUTPUT_RING);
        outputs.forget(ID);
        assert!(outputs.instances.is_empty());
    }
}
