//! What the processes of a simulation write: at each position of each stream always the same bytes, so
//! that a reader can tell what it got and what is missing. Standard output is text with characters of
//! all lengths; the other streams have bytes that are none.

use std::collections::BTreeMap;

use gaffer::base::ids::{Pid, StreamNo};

/// How far each stream of each run has been written.
pub(crate) type Written = BTreeMap<(Pid, StreamNo), u64>;

/// Eight digits say where a block begins. What follows has characters of two, three and four bytes.
const TAIL: &str = "é€😀\n";
const BLOCK: u64 = 18;

/// The bytes of a stream from one position to another.
pub(crate) fn bytes(stream: StreamNo, from: u64, to: u64) -> Vec<u8> {
    let mut all = Vec::new();
    for block in from / BLOCK..to.div_ceil(BLOCK) {
        all.extend_from_slice(format!("{:08}{TAIL}", block * BLOCK).as_bytes());
        if stream != StreamNo::STDOUT {
            let at = all.len() - 2;
            all[at] = 0xff;
        }
    }
    let skip = usize::try_from(from % BLOCK).expect("few");
    let length = usize::try_from(to - from).expect("few");
    all.drain(..skip.min(all.len()));
    all.truncate(length);
    all
}

/// The last position at or before this one at which no character is cut.
pub(crate) fn boundary(stream: StreamNo, position: u64) -> u64 {
    let before = bytes(stream, position.saturating_sub(3), position);
    let cut = |back: &usize| {
        let lead = before[before.len() - back];
        let wanted = if lead >= 0xf0 {
            4
        } else if lead >= 0xe0 {
            3
        } else {
            2
        };
        (0xc2..=0xf4).contains(&lead) && *back < wanted
    };
    let back = (1..=before.len()).find(|back| before[before.len() - back] & 0xc0 != 0x80);
    let back = back.filter(cut).unwrap_or(0);
    position - u64::try_from(back).expect("few")
}

/// How far one reader of a stream is: all positions at which it may be.
#[derive(Clone, Debug)]
pub(crate) struct Track {
    pub(crate) pid: Pid,
    pub(crate) stream: StreamNo,
    at: Vec<u64>,
}

impl Track {
    /// A reader that begins at this position.
    pub(crate) fn at(pid: Pid, stream: StreamNo, position: u64) -> Self {
        Self { pid, stream, at: vec![position] }
    }

    /// One that begins somewhere from here on, up to where the stream has been written.
    pub(crate) fn from(pid: Pid, stream: StreamNo, position: u64, written: u64) -> Self {
        let ends = position..=written.max(position);
        Self { pid, stream, at: ends.filter(|at| boundary(stream, *at) == *at).collect() }
    }

    /// It got these bytes: they are what comes next.
    pub(crate) fn take(&mut self, got: &[u8]) {
        let length = u64::try_from(got.len()).expect("few");
        let stream = self.stream;
        let before = std::mem::take(&mut self.at);
        let fits = |at: &u64| bytes(stream, *at, *at + length) == got;
        self.at = before.iter().copied().filter(fits).map(|at| at + length).collect();
        let got = String::from_utf8_lossy(got);
        assert!(!self.at.is_empty(), "{:?} at {before:?} got {got:?}", (self.pid, stream));
    }

    /// Some messages are missing here, of no known length.
    pub(crate) fn lose(&mut self, written: u64) {
        let least = self.at.iter().min().copied().unwrap_or(0);
        *self = Self::from(self.pid, self.stream, least, written);
    }

    /// Where it is, which is known.
    pub(crate) fn only(&self) -> u64 {
        assert_eq!(self.at.len(), 1, "{:?}", self.at);
        self.at[0]
    }

    /// It is told that it is here.
    pub(crate) fn is_at(&self, position: u64) {
        assert_eq!(self.at, [position], "{:?}", (self.pid, self.stream));
    }
}

#[test]
fn every_position_has_its_bytes() {
    for stream in [StreamNo::STDOUT, StreamNo::STDERR] {
        let whole = bytes(stream, 0, 100);
        assert_eq!(whole.len(), 100);
        for from in 0..60 {
            let at = usize::try_from(from).expect("few");
            assert_eq!(bytes(stream, from, from + 40), whole[at..at + 40]);
        }
    }
    let text = bytes(StreamNo::STDOUT, 0, 90);
    for position in 0..=90 {
        let at = usize::try_from(boundary(StreamNo::STDOUT, position)).expect("few");
        let whole = std::str::from_utf8(&text[..at]).expect("whole characters");
        assert!(whole.len() + 3 >= usize::try_from(position).expect("few"));
    }
}
