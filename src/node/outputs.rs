//! The last part of what each instance wrote, in bounded rings: one a stream, so that a noisy one
//! cannot push out a quiet one. Nobody has to read it; a child is never blocked and memory never
//! grows. Pieces carry one running number, so that streams can be told in the order of arrival.

use std::collections::{BTreeMap, VecDeque};

use crate::base::ids::{InstanceId, StreamNo};
use crate::base::limits;

/// The rings of all instances.
#[derive(Default)]
pub struct Outputs {
    instances: BTreeMap<InstanceId, Output>,
}

/// What one instance wrote.
#[derive(Default)]
struct Output {
    rings: BTreeMap<StreamNo, Ring>,
    last_piece: u64,
    /// Pieces from this one on are of the present run.
    run_from: u64,
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
    bytes: Vec<u8>,
}

/// What a piece costs besides its bytes.
const PIECE_COST: usize = 64;
/// Small writes in a row are put together up to this size.
const PIECE_SIZE: usize = 4 * 1024;

impl Outputs {
    /// Keeps what a process wrote, whose run is not over.
    pub fn push(&mut self, id: InstanceId, stream: StreamNo, bytes: &[u8]) {
        let output = self.instances.entry(id).or_default();
        let ring = output.rings.entry(stream).or_default();
        let last = ring.pieces.back_mut().filter(|piece| {
            // Only while no other stream wrote in between, and not into the run before.
            piece.number == output.last_piece
                && piece.number >= output.run_from
                && piece.bytes.len() + bytes.len() <= PIECE_SIZE
        });
        match last {
            Some(piece) => piece.bytes.extend_from_slice(bytes),
            None => {
                output.last_piece += 1;
                ring.pieces.push_back(Piece { number: output.last_piece, bytes: bytes.to_vec() });
                ring.cost += PIECE_COST;
            }
        }
        ring.cost += bytes.len();
        ring.trim();
    }

    /// The present run is over: what it wrote, as its last lines, oldest first. The rings stay.
    pub fn end_run(&mut self, id: InstanceId) -> Vec<String> {
        let Some(output) = self.instances.get_mut(&id) else { return Vec::new() };
        let lines = output.last_lines();
        output.run_from = output.last_piece + 1;
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
            lines.extend(ring.last_lines(self.run_from));
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
                self.pieces.push_front(Piece { number: first.number, bytes });
                return;
            }
        }
    }

    /// The last lines of the pieces from `run_from` on, each with the number of the piece in which
    /// it begins. The last one may lack its line end.
    fn last_lines(&self, run_from: u64) -> Vec<(u64, Vec<u8>)> {
        let mut lines: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
        let mut open: Option<(u64, Vec<u8>)> = None;
        for piece in self.pieces.iter().filter(|piece| piece.number >= run_from) {
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

    #[test]
    fn last_lines_come_from_both_streams_in_order() {
        let mut outputs = Outputs::default();
        outputs.push(ID, OUT, b"one\ntw");
        outputs.push(ID, ERR, b"err 1\r\n");
        outputs.push(ID, OUT, b"o\nthree");
        outputs.push(ID, ERR, b"\xff");
        assert_eq!(outputs.end_run(ID), ["one", "two", "err 1", "three", "\u{fffd}"]);
        assert_eq!(outputs.end_run(ID), Vec::<String>::new(), "the next run has said nothing");
        outputs.push(ID, OUT, b"next\n");
        assert_eq!(outputs.end_run(ID), ["next"]);
        assert_eq!(outputs.kept(ID, OUT).0, b"one\ntwo\nthreenext\n");
    }

    #[test]
    fn lines_are_bounded_in_number_and_length() {
        let mut outputs = Outputs::default();
        for n in 0..limits::LAST_LINES + 5 {
            outputs.push(ID, OUT, format!("{n}\n").as_bytes());
        }
        outputs.push(ID, OUT, "x".repeat(limits::LAST_LINE).as_bytes());
        let lines = outputs.end_run(ID);
        assert_eq!(lines.len(), limits::LAST_LINES);
        assert_eq!(lines.first().map(String::as_str), Some("6"));
        assert_eq!(lines.last().map(String::len), Some(limits::LAST_LINE));
        outputs.push(ID, OUT, "y".repeat(limits::LAST_LINE + 1).as_bytes());
        assert!(outputs.end_run(ID).iter().all(|line| line.ends_with('…')));
    }

    #[test]
    fn a_ring_keeps_the_end_and_counts_what_it_lost() {
        let mut outputs = Outputs::default();
        let total = 3 * limits::OUTPUT_RING;
        let all: Vec<u8> =
            (0..total).map(|n| b'a' + u8::try_from(n % 26).expect("small")).collect();
        for piece in all.chunks(1000) {
            outputs.push(ID, OUT, piece);
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
        outputs.push(ID, OUT, b"before");
        outputs.end_run(ID);
        assert_eq!(outputs.position(ID, OUT), 0);
        outputs.push(ID, OUT, b"hello");
        assert_eq!(outputs.position(ID, OUT), 5);
        assert_eq!(outputs.since(ID, OUT, 2), (b"llo".to_vec(), 0));
        assert_eq!(outputs.since(ID, OUT, 9), (vec![], 0));
        outputs.push(ID, OUT, &vec![b'x'; limits::OUTPUT_RING]);
        let (kept, lost) = outputs.since(ID, OUT, 2);
        let written = u64::try_from(kept.len()).expect("small") + lost;
        assert_eq!(written + 2, outputs.position(ID, OUT));
        assert!(lost > 0);
    }

    #[test]
    fn single_bytes_on_two_streams_stay_within_the_limit() {
        let mut outputs = Outputs::default();
        for _ in 0..limits::OUTPUT_RING {
            outputs.push(ID, OUT, b"o");
            outputs.push(ID, ERR, b"e");
        }
        let ring = &outputs.instances[&ID].rings[&OUT];
        assert!(ring.pieces.len() * PIECE_COST <= limits::OUTPUT_RING);
        outputs.forget(ID);
        assert!(outputs.instances.is_empty());
    }
}
