//! The last part of what each instance wrote, in bounded rings: one a stream, so that a noisy one
//! cannot push out a quiet one. Nobody has to read it; a child is never blocked and memory never
//! grows. Pieces carry one running number and a time, so that what all instances wrote can be told in
//! the order of arrival.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use crate::base::ids::{InstanceId, Pid, StreamNo};
use crate::base::limits;
use crate::base::sorted::SortedMap;
use crate::base::sorting;
use crate::logs::index::micros;

/// The rings of all instances.
#[derive(Default)]
pub struct Outputs {
    instances: SortedMap<InstanceId, Output>,
    /// The number of what was written last, whoever it was.
    last: u64,
    /// The highest number in the lives before, and of instances that are gone: what has one up to it may be
    /// missing here.
    gone: u64,
    /// The highest number in the lives before.
    former: u64,
}

/// Something that an instance wrote in one go, or nearly so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept<'a> {
    /// The number of the last that is in it.
    pub number: u64,
    /// When the first of it was written.
    pub at: SystemTime,
    /// By which process.
    pub pid: Pid,
    /// To which stream.
    pub stream: StreamNo,
    /// What.
    pub bytes: &'a [u8],
}

/// What is kept of a stream behind some place in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behind<'a> {
    /// In the order in which it was written; each with the number of the first that is in it.
    pub pieces: Vec<(u64, Kept<'a>)>,
    /// How many bytes of it are kept no more,
    pub lost: u64,
    /// and the number of the last that were ever dropped.
    pub dropped_last: u64,
    /// The place behind all of it: bytes ever written.
    pub end: u64,
}

/// What one instance wrote.
#[derive(Default)]
struct Output {
    rings: SortedMap<StreamNo, Ring>,
    /// The piece that was written last.
    last_piece: u64,
    /// The process of the present run, if that has written anything.
    run: Option<Pid>,
}

/// The last part of one stream.
#[derive(Default)]
struct Ring {
    pieces: VecDeque<Piece>,
    /// Bytes in all pieces, with what each piece costs besides.
    cost: usize,
    /// Bytes that fell out at the front,
    dropped: u64,
    /// and the number of the last of them.
    dropped_last: u64,
    /// Bytes of the runs before the present one.
    before: u64,
}

struct Piece {
    number: u64,
    /// The number of what was put to it last.
    last: u64,
    at: SystemTime,
    pid: Pid,
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
    pub fn push(
        &mut self,
        id: InstanceId,
        (pid, stream): (Pid, StreamNo),
        bytes: &[u8],
        at: SystemTime,
    ) {
        self.last += 1;
        // Of much that comes at once the end is all that is kept.
        let cut = bytes.len().saturating_sub(limits::OUTPUT_RING - PIECE_COST);
        let bytes = &bytes[cut..];
        let output = self.instances.entry(id).or_default();
        output.run = Some(pid);
        let ring = output.rings.entry(stream).or_default();
        let last = ring.pieces.back_mut().filter(|piece| {
            // Only while no other stream wrote in between, and not into the run before.
            piece.number == output.last_piece
                && piece.pid == pid
                && piece.bytes.len() + bytes.len() <= PIECE_SIZE
                && at.duration_since(piece.at).is_ok_and(|since| since <= PIECE_TIME)
        });
        match last {
            Some(piece) => {
                piece.bytes.extend_from_slice(bytes);
                piece.last = self.last;
            }
            None => {
                let (number, last) = (self.last, self.last);
                output.last_piece = number;
                ring.pieces.push_back(Piece { number, last, at, pid, bytes: bytes.to_vec() });
                ring.cost += PIECE_COST;
            }
        }
        ring.cost += bytes.len();
        ring.trim();
        ring.dropped += u64::try_from(cut).unwrap_or(0);
        if cut > 0 {
            ring.dropped_last = self.last;
        }
    }

    /// Numbers what comes from here on: above whatever was numbered in the lives before, which is on disk. The
    /// clock does that, too, as long as it is not set back.
    pub fn begin(&mut self, last: u64, now: SystemTime) {
        self.last = micros(now).max(last);
        self.gone = last;
        self.former = last;
    }

    /// The highest number in the lives before: what has one up to it was written by none of ours.
    pub fn former(&self) -> u64 {
        self.former
    }

    /// Nothing is put to the pieces that are there, so that none is in part before this moment.
    pub fn seal(&mut self) {
        for output in self.instances.values_mut() {
            output.last_piece = 0;
        }
    }

    /// Whether all that these instances wrote behind this number, and those that are gone, is still here.
    pub fn reach(&self, ids: impl Iterator<Item = InstanceId>, since: u64) -> bool {
        let rings = ids.filter_map(|id| self.instances.get(&id)).flat_map(|o| o.rings.values());
        self.gone <= since && rings.map(|ring| ring.dropped_last).max().unwrap_or(0) <= since
    }

    /// The number of what was written last, by anybody.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// What is kept of an instance, stream by stream, and how many bytes before that are kept no more, where any
    /// of these came behind this number: nobody knows how many did.
    pub fn pieces(&self, id: InstanceId, since: u64) -> (impl Iterator<Item = Kept<'_>>, u64) {
        let rings = self.instances.get(&id).map(|output| &output.rings);
        let torn = rings.into_iter().flat_map(SortedMap::values);
        let torn = torn.filter(|ring| ring.dropped_last > since);
        let lost = torn.map(|ring| ring.dropped).sum();
        let pieces = rings.into_iter().flatten().flat_map(|(stream, ring)| {
            ring.pieces.iter().map(|piece| Kept {
                number: piece.last,
                at: piece.at,
                pid: piece.pid,
                stream: *stream,
                bytes: &piece.bytes,
            })
        });
        (pieces, lost)
    }

    /// What is kept of each stream of an instance behind these places.
    pub fn behind<'a>(
        &'a self,
        id: InstanceId,
        places: impl Fn(StreamNo) -> u64 + 'a,
    ) -> impl Iterator<Item = (StreamNo, Behind<'a>)> + 'a {
        let rings = self.instances.get(&id).into_iter().flat_map(|output| &output.rings);
        rings.map(move |(stream, ring)| (*stream, ring.behind(*stream, places(*stream))))
    }

    /// The run of an instance that goes on, if that has written anything.
    pub fn present(&self, id: InstanceId) -> Option<Pid> {
        self.instances.get(&id)?.run
    }

    /// The present run is over: what it wrote, as its last lines, oldest first. The rings stay.
    pub fn end_run(&mut self, id: InstanceId) -> Vec<String> {
        let Some(output) = self.instances.get_mut(&id) else { return Vec::new() };
        let lines = output.last_lines();
        output.run = None;
        for ring in output.rings.values_mut() {
            ring.before = ring.end();
        }
        lines
    }

    /// The instance is gone.
    pub fn forget(&mut self, id: InstanceId) {
        let Some(output) = self.instances.remove(&id) else { return };
        let last = output.rings.values().map(Ring::last).max();
        self.gone = self.gone.max(last.unwrap_or(0));
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
        let Some(run) = self.run else { return Vec::new() };
        for ring in self.rings.values() {
            lines.extend(ring.last_lines(run));
        }
        sorting::sort_by_key(&mut lines, |(number, _)| *number);
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

    /// The number of what was written to it last.
    fn last(&self) -> u64 {
        self.pieces.back().map_or(0, |piece| piece.last).max(self.dropped_last)
    }

    fn trim(&mut self) {
        while self.cost > limits::OUTPUT_RING {
            let Some(first) = self.pieces.pop_front() else { return };
            self.cost -= first.bytes.len() + PIECE_COST;
            self.dropped_last = first.last;
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

    fn behind(&self, stream: StreamNo, place: u64) -> Behind<'_> {
        let (lost, dropped_last) = (self.dropped.saturating_sub(place), self.dropped_last);
        let mut behind = Behind { lost, dropped_last, ..Behind::default() };
        let mut at = self.dropped;
        for piece in &self.pieces {
            let skip = usize::try_from(place.saturating_sub(at)).unwrap_or(usize::MAX);
            at += u64::try_from(piece.bytes.len()).unwrap_or(0);
            let Some(bytes) = piece.bytes.get(skip..).filter(|bytes| !bytes.is_empty()) else {
                continue;
            };
            let (at, pid, number) = (piece.at, piece.pid, piece.last);
            behind.pieces.push((piece.number, Kept { number, at, pid, stream, bytes }));
        }
        behind.end = at;
        behind
    }

    /// The last lines of a run, each with the number of the piece in which it begins. The last one may
    /// lack its line end.
    fn last_lines(&self, run: Pid) -> Vec<(u64, Vec<u8>)> {
        let mut lines: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
        let mut open: Option<(u64, Vec<u8>)> = None;
        for piece in self.pieces.iter().filter(|piece| piece.pid == run) {
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
    const PID: Pid = Pid(5);
    const OUT: StreamNo = StreamNo::STDOUT;
    const ERR: StreamNo = StreamNo::STDERR;

    fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
    }

    #[test]
    fn what_is_behind_a_place_is_told_with_its_numbers_and_its_run() {
        let mut outputs = Outputs::default();
        let told = |outputs: &Outputs, place: u64| {
            let (stream, behind) = outputs.behind(ID, move |_| place).next().expect("a stream");
            assert_eq!(stream, OUT);
            let text = |kept: &Kept<'_>| String::from_utf8_lossy(kept.bytes).into_owned();
            let pieces =
                behind.pieces.iter().map(|(seq, kept)| (*seq, kept.number, kept.pid, text(kept)));
            (pieces.collect::<Vec<_>>(), behind.lost, behind.end)
        };
        outputs.push(ID, (PID, OUT), b"one\ntw", at(0));
        outputs.push(ID, (PID, OUT), b"o\n", at(50));
        assert_eq!(outputs.present(ID), Some(PID));
        outputs.end_run(ID);
        assert_eq!(outputs.present(ID), None);
        outputs.push(ID, (Pid(7), OUT), b"new", at(202));
        let new = (3, 3, Pid(7), "new".to_owned());
        let all = vec![(1, 2, PID, "one\ntwo\n".to_owned()), new.clone()];
        assert_eq!(told(&outputs, 0), (all, 0, 11));
        assert_eq!(told(&outputs, 4), (vec![(1, 2, PID, "two\n".to_owned()), new], 0, 11));
        assert_eq!(told(&outputs, 11), (vec![], 0, 11));
        outputs.push(ID, (Pid(7), OUT), &vec![b'x'; limits::OUTPUT_RING], at(203));
        let (_, lost, end) = told(&outputs, 4);
        assert_eq!(end, 11 + u64::try_from(limits::OUTPUT_RING).expect("small"));
        assert!(lost > 7);
    }

    #[test]
    fn it_is_known_how_far_back_all_is_there() {
        let mut outputs = Outputs::default();
        let reach = |outputs: &Outputs, since| outputs.reach([ID].into_iter(), since);
        outputs.push(ID, (PID, OUT), b"one", at(0));
        assert!(reach(&outputs, 0));
        outputs.seal();
        outputs.push(ID, (PID, OUT), b"two", at(0));
        let numbers: Vec<u64> = outputs.pieces(ID, 0).0.map(|kept| kept.number).collect();
        assert_eq!(numbers, [1, 2], "they were kept apart");
        outputs.push(ID, (PID, OUT), &vec![b'x'; limits::OUTPUT_RING - 2 * PIECE_COST - 3], at(0));
        assert_eq!(outputs.pieces(ID, 0).1, 3);
        assert!(!reach(&outputs, 0) && reach(&outputs, 1));
        outputs.push(ID, (PID, OUT), b"y", at(0));
        assert!(!reach(&outputs, 1) && reach(&outputs, 2));
        assert_eq!(outputs.pieces(ID, 2).1, 0);
        outputs.push(ID, (PID, OUT), &vec![b'x'; limits::OUTPUT_RING], at(0));
        assert!(!reach(&outputs, 4) && reach(&outputs, 5));
        outputs.forget(ID);
        assert!(!reach(&outputs, 4) && reach(&outputs, 5));
        outputs.begin(7, at(0));
        assert!(!reach(&outputs, 6) && reach(&outputs, 7));
    }

    #[test]
    fn last_lines_come_from_both_streams_in_order() {
        let mut outputs = Outputs::default();
        outputs.push(ID, (PID, OUT), b"one\ntw", at(0));
        outputs.push(ID, (PID, ERR), b"err 1\r\n", at(0));
        outputs.push(ID, (PID, OUT), b"o\nthree", at(0));
        outputs.push(ID, (PID, ERR), b"\xff", at(0));
        assert_eq!(outputs.end_run(ID), ["one", "two", "err 1", "three", "\u{fffd}"]);
        assert_eq!(outputs.end_run(ID), Vec::<String>::new(), "the next run has said nothing");
        outputs.push(ID, (Pid(6), OUT), b"next\n", at(0));
        assert_eq!(outputs.end_run(ID), ["next"]);
        assert_eq!(outputs.kept(ID, OUT).0, b"one\ntwo\nthreenext\n");
    }

    #[test]
    fn lines_are_bounded_in_number_and_length() {
        let mut outputs = Outputs::default();
        for n in 0..limits::LAST_LINES + 5 {
            outputs.push(ID, (PID, OUT), format!("{n}\n").as_bytes(), at(0));
        }
        outputs.push(ID, (PID, OUT), "x".repeat(limits::LAST_LINE).as_bytes(), at(0));
        let lines = outputs.end_run(ID);
        assert_eq!(lines.len(), limits::LAST_LINES);
        assert_eq!(lines.first().map(String::as_str), Some("6"));
        assert_eq!(lines.last().map(String::len), Some(limits::LAST_LINE));
        outputs.push(ID, (Pid(6), OUT), "y".repeat(limits::LAST_LINE + 1).as_bytes(), at(0));
        assert!(outputs.end_run(ID).iter().all(|line| line.ends_with('…')));
    }

    #[test]
    fn a_ring_keeps_the_end_and_counts_what_it_lost() {
        let mut outputs = Outputs::default();
        let total = 3 * limits::OUTPUT_RING;
        let all: Vec<u8> =
            (0..total).map(|n| b'a' + u8::try_from(n % 26).expect("small")).collect();
        for piece in all.chunks(1000) {
            outputs.push(ID, (PID, OUT), piece, at(0));
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
        outputs.push(ID, (PID, OUT), b"before", at(0));
        outputs.end_run(ID);
        assert_eq!(outputs.position(ID, OUT), 0);
        outputs.push(ID, (Pid(6), OUT), b"hello", at(0));
        assert_eq!(outputs.position(ID, OUT), 5);
        assert_eq!(outputs.since(ID, OUT, 2), (b"llo".to_vec(), 0));
        assert_eq!(outputs.since(ID, OUT, 9), (vec![], 0));
        outputs.push(ID, (PID, OUT), &vec![b'x'; limits::OUTPUT_RING], at(0));
        let (kept, lost) = outputs.since(ID, OUT, 2);
        let written = u64::try_from(kept.len()).expect("small") + lost;
        assert_eq!(written + 2, outputs.position(ID, OUT));
        assert!(lost > 0);
    }

    #[test]
    fn single_bytes_on_two_streams_stay_within_the_limit() {
        let mut outputs = Outputs::default();
        for _ in 0..limits::OUTPUT_RING {
            outputs.push(ID, (PID, OUT), b"o", at(0));
            outputs.push(ID, (PID, ERR), b"e", at(0));
        }
        let ring = &outputs.instances[&ID].rings[&OUT];
        assert!(ring.pieces.len() * PIECE_COST <= limits::OUTPUT_RING);
        outputs.forget(ID);
        assert!(outputs.instances.is_empty());
    }
}
