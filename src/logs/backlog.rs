//! What could not be written yet, for as long as that goes on: the end of it is kept, in whole lines, and the
//! lines before that are counted.

use std::collections::VecDeque;

use crate::base::error::Errno;
use crate::base::limits;

/// A part of what waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Who wrote it.
    pub writer: u32,
    /// Its number.
    pub seq: u64,
    /// When it was written, in microseconds since 1970.
    pub at: u64,
    /// What.
    pub bytes: Vec<u8>,
}

/// What waits.
#[derive(Debug, Default)]
pub struct Backlog {
    parts: VecDeque<Waiting>,
    /// Bytes in them, with what each costs besides.
    cost: usize,
    lost: Lost,
    /// What was lost last ended within a line, whose rest has come or will.
    torn: bool,
}

/// What is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Lines, also those of which only a part is.
    pub lines: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What a part costs besides its bytes,
const PART_COST: usize = 64;
/// and up to what size small ones are put together.
const PART_SIZE: usize = 4 * 1024;

impl Backlog {
    /// Keeps what was written.
    pub fn push(&mut self, writer: u32, (seq, at): (u64, u64), bytes: &[u8]) {
        let fits = |last: &&mut Waiting| {
            last.writer == writer && last.bytes.len() + bytes.len() <= PART_SIZE
        };
        match self.parts.back_mut().filter(fits) {
            Some(last) => last.bytes.extend_from_slice(bytes),
            None => {
                self.parts.push_back(Waiting { writer, seq, at, bytes: bytes.to_vec() });
                self.cost += PART_COST;
            }
        }
        self.cost += bytes.len();
    }

    /// Whether nothing waits, and nothing is lost.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.lost == Lost::default()
    }

    /// What is lost so far.
    pub fn lost(&self) -> Lost {
        self.lost
    }

    /// How many bytes wait.
    pub fn waiting(&self) -> usize {
        self.parts.iter().map(|part| part.bytes.len()).sum()
    }

    /// What was lost is told.
    pub fn told(&mut self) {
        self.lost = Lost::default();
    }

    /// What waits longest.
    pub fn front(&self) -> Option<&Waiting> {
        self.parts.front()
    }

    /// So many bytes of that are written.
    pub fn written(&mut self, count: usize) {
        let Some(first) = self.parts.front_mut() else { return };
        self.cost -= count;
        first.bytes.drain(..count);
        if first.bytes.is_empty() {
            self.parts.pop_front();
            self.cost -= PART_COST;
        }
    }

    /// Loses the oldest lines until the rest fits, and of a line that is longer than all that fits all of it.
    pub fn trim(&mut self) {
        while self.cost > limits::LOG_BACKLOG {
            let Some(first) = self.parts.front_mut() else { return };
            let whole = first.bytes.len();
            let over = self.cost - limits::LOG_BACKLOG;
            let cut = match first
                .bytes
                .iter()
                .skip(over.min(whole).saturating_sub(1))
                .position(|b| *b == b'\n')
            {
                Some(behind) => (over.min(whole).saturating_sub(1) + behind + 1).min(whole),
                None => whole,
            };
            let gone = &first.bytes[..cut];
            let ends = gone.iter().filter(|byte| **byte == b'\n').count();
            let tears = gone.last().is_some_and(|byte| *byte != b'\n');
            self.lost.lines += u64::try_from(ends).unwrap_or(0);
            self.lost.bytes += u64::try_from(cut).unwrap_or(0);
            self.torn = tears;
            self.written(cut);
        }
        // The rest of a line that has lost its beginning is lost with it.
        while self.torn {
            let Some(first) = self.parts.front() else { return };
            let end = first.bytes.iter().position(|byte| *byte == b'\n');
            let cut = end.map_or(first.bytes.len(), |end| end + 1);
            self.lost.bytes += u64::try_from(cut).unwrap_or(0);
            self.lost.lines += u64::from(end.is_some());
            self.torn = end.is_none();
            self.written(cut);
        }
    }
}

impl Lost {
    /// What is written in its place: `-- 12,345 lines lost: no space left --`.
    pub fn note(self, why: &str) -> String {
        let lines = self.lines.max(1);
        let plural = if lines == 1 { "" } else { "s" };
        format!("-- {} line{plural} lost: {why} --\n", grouped(lines))
    }
}

/// Why nothing can be written, in few words.
pub fn words(why: Errno) -> String {
    match why.0 {
        libc::ENOSPC => "no space left".into(),
        libc::EDQUOT => "the quota is used up".into(),
        libc::EIO => "the disk fails".into(),
        libc::ENOENT => "its directory is gone".into(),
        libc::ELOOP => "a symbolic link has its name".into(),
        _ => why.to_string(),
    }
}

/// A number with commas between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rest(backlog: &mut Backlog) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(first) = backlog.front() {
            bytes.extend_from_slice(&first.bytes);
            let length = first.bytes.len();
            backlog.written(length);
        }
        bytes
    }

    #[test]
    fn the_end_is_kept_and_every_line_before_it_is_counted() {
        let mut backlog = Backlog::default();
        assert!(backlog.is_empty());
        let lines = 10_000;
        for number in 0..lines {
            backlog.push(0, (number, number), format!("{number:06} is a line\n").as_bytes());
            backlog.trim();
        }
        let lost = backlog.lost();
        assert!(backlog.waiting() <= limits::LOG_BACKLOG);
        assert!(backlog.waiting() > limits::LOG_BACKLOG / 2);
        let kept = rest(&mut backlog);
        let first = format!("{:06} is a line\n", lost.lines);
        assert!(kept.starts_with(first.as_bytes()) && kept.ends_with(b"009999 is a line\n"));
        assert_eq!(u64::try_from(kept.len()).expect("few") + lost.bytes, lines * 17);
        assert_eq!(lost.note(&words(Errno(libc::ENOSPC))), {
            format!("-- {} lines lost: no space left --\n", grouped(lost.lines))
        });
        backlog.told();
        assert!(backlog.is_empty());
    }

    #[test]
    fn a_line_that_loses_its_beginning_is_lost_as_a_whole() {
        let mut backlog = Backlog::default();
        backlog.push(0, (1, 0), &vec![b'x'; limits::LOG_BACKLOG + 1]);
        backlog.push(0, (2, 0), b"still it");
        backlog.trim();
        assert_eq!(backlog.waiting(), 0);
        backlog.push(0, (3, 0), b"its end\nthe next\n");
        backlog.trim();
        let lost = backlog.lost();
        assert_eq!(lost.lines, 1);
        assert_eq!(rest(&mut backlog), b"the next\n");
        assert_eq!(
            Lost { lines: 12_345, bytes: 0 }.note(&words(Errno(libc::EIO))),
            "-- 12,345 lines lost: the disk fails --\n"
        );
        assert_eq!(grouped(1_000_000), "1,000,000");
    }

    proptest! {
        #[test]
        fn whatever_comes_the_rest_is_an_end_of_it_in_whole_lines(
            sizes in proptest::collection::vec((0..9000_usize, 1..200_usize), 1..60),
        ) {
            let mut backlog = Backlog::default();
            let mut all = Vec::new();
            for (number, (size, every)) in (1_u64..).zip(&sizes) {
                let bytes: Vec<u8> =
                    (0..*size).map(|at| if at % every == 0 { b'\n' } else { b'a' }).collect();
                backlog.push(0, (number, 0), &bytes); backlog.trim();
                all.extend_from_slice(&bytes);
                prop_assert!(backlog.waiting() <= limits::LOG_BACKLOG);
            }
            let lost = backlog.lost();
            let cut = usize::try_from(lost.bytes).expect("few");
            let ends = all[..cut].iter().filter(|byte| **byte == b'\n').count();
            prop_assert_eq!(u64::try_from(ends).expect("few"), lost.lines);
            prop_assert_eq!(rest(&mut backlog), &all[cut..]);
            prop_assert!(cut == 0 || cut == all.len() || all[cut - 1] == b'\n');
        }
    }
}
