//! What one listener says: `READY` when it takes an event, then how that went, `RESULT 2` with `OK` behind it or
//! `RESULT 4` with `FAIL`. Anything else ends the talk: nobody can tell any more what belongs to what, and the
//! process gets no more events in this run. Whatever it says, no more of it is kept than the longest line that
//! has a meaning.

use crate::base::limits;

/// Where the talk with a listener has come to. The names are supervisor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has not said yet that it takes one, or one more.
    Acknowledged,
    /// It waits for an event.
    Ready,
    /// It has an event and has not said how that went.
    Busy,
    /// It has said something that has no meaning.
    Unknown,
}

/// What a listener said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It waits for an event.
    Ready,
    /// It is done with its event.
    Done,
    /// It has failed with its event: somebody else is to have it.
    Failed,
    /// Something without a meaning, which begins so. It is told once, and nothing after it.
    Garbage(Vec<u8>),
}

/// The talk with one listener.
#[derive(Debug)]
pub struct Talk {
    state: State,
    /// The beginning of what is not whole yet.
    begun: Vec<u8>,
    result: Option<Outcome>,
}

/// A result of which the length was said.
#[derive(Debug)]
struct Outcome {
    /// So many bytes are still to come.
    left: usize,
    /// What came, as long as it may still be the only one that is good.
    text: Vec<u8>,
}

const READY: &[u8] = b"READY\n";
const RESULT: &[u8] = b"RESULT ";
const OK: &[u8] = b"OK";
/// Digits of the longest number that is looked at.
const DIGITS: usize = 8;

impl Default for Talk {
    fn default() -> Self {
        Self { state: State::Acknowledged, begun: Vec::new(), result: None }
    }
}

impl Talk {
    /// Where it has come to.
    pub fn state(&self) -> State {
        self.state
    }

    /// The listener was sent an event, for which it waited.
    pub fn sent(&mut self) {
        if self.state == State::Ready {
            self.state = State::Busy;
        }
    }

    /// Nothing more is expected of it.
    pub fn give_up(&mut self) {
        *self = Self { state: State::Unknown, ..Self::default() };
    }

    /// What it said with these bytes, after those that came before.
    pub fn heard(&mut self, mut bytes: &[u8]) -> Vec<Said> {
        let mut all = Vec::new();
        while let Some(said) = self.next(&mut bytes) {
            all.push(said);
        }
        all
    }

    fn next(&mut self, bytes: &mut &[u8]) -> Option<Said> {
        match self.state {
            State::Unknown => None,
            State::Acknowledged => self.readiness(bytes),
            State::Ready if bytes.is_empty() => None,
            State::Ready => Some(self.garbage(bytes)),
            State::Busy => self.outcome(bytes),
        }
    }

    /// The line by which it takes an event, or as much of it as there is.
    fn readiness(&mut self, bytes: &mut &[u8]) -> Option<Said> {
        while let Some((first, rest)) = bytes.split_first() {
            if READY.get(self.begun.len()) != Some(first) {
                return Some(self.garbage(bytes));
            }
            *bytes = rest;
            self.begun.push(*first);
            if self.begun == READY {
                self.begun.clear();
                self.state = State::Ready;
                return Some(Said::Ready);
            }
        }
        None
    }

    /// How its event went: the line with the length, and then so many bytes.
    fn outcome(&mut self, bytes: &mut &[u8]) -> Option<Said> {
        if self.result.is_none() {
            match self.result_line(bytes)? {
                Ok(left) => self.result = Some(Outcome { left, text: Vec::new() }),
                Err(garbage) => return Some(garbage),
            }
        }
        let outcome = self.result.as_mut()?;
        let (these, rest) = bytes.split_at(outcome.left.min(bytes.len()));
        let room = (OK.len() + 1).saturating_sub(outcome.text.len());
        outcome.text.extend_from_slice(&these[..these.len().min(room)]);
        outcome.left -= these.len();
        *bytes = rest;
        if outcome.left > 0 {
            return None;
        }
        let said = if outcome.text == OK { Said::Done } else { Said::Failed };
        self.result = None;
        self.state = State::Acknowledged;
        Some(said)
    }

    /// The length of a result, once its line is whole.
    fn result_line(&mut self, bytes: &mut &[u8]) -> Option<Result<usize, Said>> {
        while let Some((first, rest)) = bytes.split_first() {
            let at = self.begun.len();
            let fits = match RESULT.get(at) {
                Some(expected) => first == expected,
                None => first.is_ascii_digit() && at < RESULT.len() + DIGITS,
            };
            let ends = *first == b'\n' && at > RESULT.len();
            if !fits && !ends {
                return Some(Err(self.garbage(bytes)));
            }
            if ends {
                let length = self.begun.get(RESULT.len()..).and_then(number);
                let Some(length) = length.filter(|length| *length <= limits::LISTENER_RESULT)
                else {
                    return Some(Err(self.garbage(bytes)));
                };
                *bytes = rest;
                self.begun.clear();
                return Some(Ok(length));
            }
            *bytes = rest;
            self.begun.push(*first);
        }
        None
    }

    /// Ends the talk with what has no meaning, of which the beginning is told.
    fn garbage(&mut self, bytes: &mut &[u8]) -> Said {
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(&bytes[..bytes.len().min(limits::LISTENER_GARBAGE)]);
        all.truncate(limits::LISTENER_GARBAGE);
        *bytes = &[];
        self.give_up();
        Said::Garbage(all)
    }
}

/// Digits as a number.
fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A talk with a listener that has said this, and was sent an event as soon as it was ready for one.
    fn after(said: &[u8]) -> (Talk, Vec<Said>) {
        let (mut talk, mut all) = (Talk::default(), Vec::new());
        for byte in said {
            all.extend(talk.heard(&[*byte]));
            talk.sent();
        }
        (talk, all)
    }

    fn garbage(text: &[u8]) -> Said {
        Said::Garbage(text.to_vec())
    }

    #[test]
    fn a_listener_is_ready_and_says_how_it_went() {
        let (talk, said) = after(b"READY\nRESULT 2\nOKREADY\nRESULT 4\nFAILREADY\n");
        let expected = [Said::Ready, Said::Done, Said::Ready, Said::Failed, Said::Ready];
        assert_eq!((said.as_slice(), talk.state()), (&expected[..], State::Busy));
        assert_eq!(after(b"READY\nRESULT 0\n").1, [Said::Ready, Said::Failed]);
    }

    #[test]
    fn whatever_else_it_says_ends_the_talk() {
        for (said, told) in [
            (&b"hello"[..], &b"h"[..]),
            (b"READY\r\n", b"READY\r"),
            (b"READY\nhello", b"h"),
            (b"READY\nRESULT\n", b"RESULT\n"),
            (b"READY\nRESULT \n", b"RESULT \n"),
            (b"READY\nRESULT -1\n", b"RESULT -"),
            (b"READY\nRESULT 2 \n", b"RESULT 2 "),
            (b"READY\nRESULT 123456789\n", b"RESULT 123456789"),
            (b"READY\nRESULT 2\nOK\n", b"\n"),
        ] {
            let (mut talk, all) = after(said);
            assert_eq!(all.last(), Some(&garbage(told)), "{}", said.escape_ascii());
            assert_eq!(talk.state(), State::Unknown);
            assert_eq!(talk.heard(b"READY\n"), [], "it is not heard any more");
        }
        let mut talk = Talk::default();
        assert_eq!(talk.heard(b"READY\nmore"), [Said::Ready, garbage(b"more")]);
    }

    #[test]
    fn results_and_garbage_are_looked_at_up_to_a_length() {
        let result = |length: usize| format!("READY\nRESULT {length}\n");
        let (mut talk, _) = after(result(limits::LISTENER_RESULT).as_bytes());
        assert_eq!(talk.heard(&vec![b'x'; limits::LISTENER_RESULT - 1]), []);
        assert!(talk.result.as_ref().is_some_and(|result| result.text.len() <= OK.len() + 1));
        assert_eq!(talk.heard(b"x"), [Said::Failed]);
        let (talk, _) = after(result(limits::LISTENER_RESULT + 1).as_bytes());
        assert_eq!(talk.state(), State::Unknown);
        for length in [limits::LISTENER_GARBAGE, limits::LISTENER_GARBAGE + 1] {
            let told = vec![b'x'; limits::LISTENER_GARBAGE];
            assert_eq!(Talk::default().heard(&vec![b'x'; length]), [garbage(&told)]);
        }
    }

    proptest! {
        #[test]
        fn however_it_is_cut_little_is_kept_and_nothing_is_heard_behind_garbage(
            parts in prop::collection::vec(
                prop_oneof![
                    Just(b"READY\n".to_vec()),
                    Just(b"RESULT 2\nOK".to_vec()),
                    Just(b"RESULT 4\nFAIL".to_vec()),
                    Just(b"RESULT 70000\n".to_vec()),
                    prop::collection::vec(any::<u8>(), 0..4),
                ],
                0..8,
            ),
            cut in 1_usize..20,
        ) {
            let (mut talk, mut told) = (Talk::default(), Vec::new());
            for piece in parts.concat().chunks(cut) {
                told.extend(talk.heard(piece));
                talk.sent();
                prop_assert!(talk.begun.len() <= RESULT.len() + DIGITS);
                prop_assert!(talk.result.as_ref().is_none_or(|result| result.text.len() <= 3));
            }
            let first = told.iter().position(|said| matches!(said, Said::Garbage(_)));
            prop_assert!(first.is_none_or(|at| at + 1 == told.len()));
            prop_assert_eq!(first.is_some(), talk.state() == State::Unknown);
        }

        #[test]
        fn a_result_is_the_same_however_it_is_cut(text in "[OKFAIL]{0,6}", cut in 1_usize..20) {
            let (mut talk, _) = after(b"READY\n");
            let said = format!("RESULT {}\n{text}READY\n", text.len());
            let mut told = Vec::new();
            for piece in said.as_bytes().chunks(cut) {
                told.extend(talk.heard(piece));
            }
            let outcome = if text == "OK" { Said::Done } else { Said::Failed };
            prop_assert_eq!(told, [outcome, Said::Ready]);
        }
    }
}
