//! The last events, each with its number and its time, so that a client that comes back is told what
//! it missed, or that it missed too much. An event goes out under several names; all have numbers of
//! their own, in a row, and what is common to them is kept once.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use self::pages::Page;
use crate::base::clock::Now;
use crate::base::limits;
use crate::supervisor::event::Event;
use crate::wire::{channel, json};

mod pages;

/// One event under all its names.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The number of its first message.
    pub first: u64,
    /// The full names of its messages, a line each, and behind them what all of these say, as members of an object
    /// without its braces.
    text: Box<str>,
    /// Where the names end.
    split: u32,
    /// How many those are.
    count: u8,
}

/// One message of a record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told<'a> {
    /// Its number.
    pub seq: u64,
    /// Its full name.
    pub name: &'a str,
    record: &'a Record,
}

/// The last events. Numbers begin with the milliseconds since 1970 at the node's start, so that they
/// go on growing from one life of a node to the next.
#[derive(Default)]
pub struct History {
    /// Ten thousand messages are kept, in pages, so that they are small.
    pages: VecDeque<Page>,
    /// So many records of the first page are kept no more: it goes with its last one.
    forgotten: usize,
    /// Messages in all records that are kept.
    kept: usize,
    /// What those say, in bytes.
    bytes: usize,
    /// The number before the first one of this life.
    base: u64,
    /// The number of the last message.
    last: u64,
}

impl Record {
    /// Its messages, in the order of delivery.
    pub fn messages(&self) -> impl Iterator<Item = Told<'_>> {
        (self.first..).zip(self.names().split('\n')).map(|(seq, name)| Told {
            seq,
            name,
            record: self,
        })
    }

    fn names(&self) -> &str {
        self.text.get(..self.split as usize).unwrap_or_default()
    }

    fn members(&self) -> &str {
        self.text.get(self.split as usize..).unwrap_or_default()
    }
}

impl Told<'_> {
    /// The members of its object, without the braces.
    pub fn members(&self) -> String {
        let name = json::text(&self.name);
        format!("\"event\": {name}, \"seq\": {}, {}", self.seq, self.record.members())
    }
}

impl History {
    /// No events yet.
    pub fn new(now: Now) -> Self {
        let since = now.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let base = u64::try_from(since.as_millis()).unwrap_or(0);
        Self { base, last: base, ..Self::default() }
    }

    /// Keeps an event.
    pub fn add(&mut self, event: &Event, now: Now) -> Record {
        let names = event.names();
        // Each has a few at most.
        let count = u8::try_from(names.len()).unwrap_or(u8::MAX);
        let mut text = names.join("\n");
        let split = u32::try_from(text.len()).unwrap_or(0);
        text.push_str("\"ts\": ");
        text.push_str(&json::text(&now.epoch_seconds()));
        text.push_str(", ");
        text.push_str(&channel::members(&event.fields()));
        let record = Record { first: self.last + 1, text: text.into(), split, count };
        self.last += u64::from(count);
        self.kept += usize::from(count);
        self.bytes += record.text.len();
        if self.pages.back().is_none_or(Page::is_full) {
            self.pages.push_back(Page::new(record.first));
        }
        if let Some(page) = self.pages.back_mut() {
            page.add(&record);
        }
        while self.kept > limits::EVENTS_KEPT || self.bytes > limits::EVENTS_BYTES {
            let Some((messages, bytes)) = self.oldest() else { break };
            self.kept -= messages;
            self.bytes -= bytes;
            self.forgotten += 1;
            if self.oldest().is_none() {
                self.pages.pop_front();
                self.forgotten = 0;
            }
        }
        record
    }

    /// How many messages the oldest has that is kept, and what it takes, in bytes.
    fn oldest(&self) -> Option<(usize, usize)> {
        self.pages.front()?.extent(self.forgotten)
    }

    /// When this life of the node began, by the wall clock.
    pub fn begun(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.base)
    }

    /// The number of the last message.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The records with messages after this number, oldest first, and how many of such messages are
    /// kept no more. After 0 comes all of this life. Any other number that is not of this life is of
    /// another: everything that is kept comes after it, and nobody knows how much is lost, so that
    /// one more is counted.
    pub fn since(&self, seq: u64) -> (impl Iterator<Item = Record> + '_, u64) {
        let oldest = self.last + 1 - self.kept as u64;
        let known = (self.base..=self.last).contains(&seq);
        let from = if known { seq } else { self.base };
        let lost = oldest.saturating_sub(from + 1) + u64::from(!known && seq > 0);
        let pages = self.pages.iter().zip([self.forgotten].into_iter().chain(std::iter::repeat(0)));
        (pages.flat_map(move |(page, forgotten)| page.since(forgotten, from)), lost)
    }

    /// How many messages are kept.
    pub fn len(&self) -> usize {
        self.kept
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.kept == 0
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;
    use crate::base::ids::Pid;
    use crate::supervisor::event::Subject;
    use crate::supervisor::name::JobName;
    use std::time::{Duration, Instant, UNIX_EPOCH};

    fn now() -> Now {
        Now { mono: Instant::now(), wall: UNIX_EPOCH + Duration::from_millis(1_500) }
    }

    /// Without the milliseconds of 1970 in the way.
    fn empty() -> History {
        History::new(Now { wall: UNIX_EPOCH, ..now() })
    }

    fn start() -> Event {
        Event::Start(JobName::parse("a.b").expect("a name"))
    }

    fn numbers(history: &History, since: u64) -> (Vec<u64>, u64) {
        let (records, lost) = history.since(since);
        let all =
            records.flat_map(|record| record.messages().map(|told| told.seq).collect::<Vec<_>>());
        (all.filter(|seq| *seq > since || since > history.last()).collect(), lost)
    }

    #[test]
    fn every_name_of_an_event_has_its_number() {
        let mut history = empty();
        let record = history.add(&start(), now());
        let texts: Vec<String> = record.messages().map(|told| told.members()).collect();
        assert_eq!(
            texts,
            [
                r#""event": "start", "seq": 1, "ts": 1.5, "name": "a.b""#,
                r#""event": "job.a.b.start", "seq": 2, "ts": 1.5, "name": "a.b""#
            ]
        );
        assert_eq!(history.add(&start(), now()).first, 3);
        assert_eq!(history.last(), 4);
    }

    #[test]
    fn what_was_missed_comes_from_any_number_on() {
        let mut history = empty();
        assert_eq!(numbers(&history, 0), (vec![], 0));
        for _ in 0..3 {
            history.add(&start(), now());
        }
        assert_eq!(numbers(&history, 0), (vec![1, 2, 3, 4, 5, 6], 0));
        assert_eq!(numbers(&history, 3), (vec![4, 5, 6], 0), "from within an event too");
        assert_eq!(numbers(&history, 6), (vec![], 0));
        assert_eq!(numbers(&history, 7), (vec![1, 2, 3, 4, 5, 6], 1), "of another life");
    }

    #[test]
    fn numbers_grow_over_the_lives_of_a_node() {
        let mut history = History::new(now());
        assert_eq!(history.add(&start(), now()).first, 1501);
        assert_eq!(numbers(&history, 0), (vec![1501, 1502], 0));
        assert_eq!(numbers(&history, 1500), (vec![1501, 1502], 0));
        assert_eq!(numbers(&history, 1400), (vec![1501, 1502], 1), "of the life before");
    }

    #[test]
    fn events_that_say_much_are_forgotten_earlier() {
        let mut history = empty();
        let subject = Subject {
            name: JobName::parse("a.b").expect("a name"),
            number: 1,
            pid: Pid(1),
            os_pid: None,
            once: false,
        };
        let line = "x".repeat(limits::EVENTS_BYTES / 10);
        let reason = format!("{line}{line}");
        let long = Event::Failed { subject, reason };
        (0..4).for_each(|_| drop(history.add(&long, now())));
        assert_eq!(
            numbers(&history, 0),
            (vec![1, 2, 3, 4, 5, 6, 7, 8], 0),
            "not five times a fifth"
        );
        history.add(&long, now());
        assert_eq!(numbers(&history, 0).1, 2);
        assert!(history.bytes <= limits::EVENTS_BYTES);
    }

    #[test]
    fn the_oldest_are_forgotten_and_counted() {
        let mut history = empty();
        for _ in 0..limits::EVENTS_KEPT / 2 {
            history.add(&start(), now());
        }
        assert_eq!(history.len(), limits::EVENTS_KEPT);
        assert_eq!(numbers(&history, 0).1, 0, "at the limit nothing is lost");
        history.add(&start(), now());
        assert_eq!(history.len(), limits::EVENTS_KEPT);
        assert_eq!(numbers(&history, 0).1, 2);
        assert_eq!(numbers(&history, 1).1, 1);
        assert_eq!(numbers(&history, 2).1, 0);
    }
    #[test]
    fn what_is_packed_says_what_it_said() {
        let mut history = empty();
        let mut told: Vec<Record> = Vec::new();
        for n in 0..3_000 {
            let name = JobName::new("s", &format!("job{}", n * 7919 % 1000)).expect("a name");
            let event = if n % 3 == 0 { Event::Load(name) } else { Event::Start(name) };
            told.push(history.add(&event, now()));
        }
        assert!(history.pages.iter().filter(|page| page.is_full()).count() > 5);
        for from in (0..=history.last()).step_by(97) {
            let (records, lost) = history.since(from);
            let expected =
                told.iter().filter(|record| record.first + u64::from(record.count) > from + 1);
            assert!(records.eq(expected.cloned()) && lost == 0, "from {from}");
        }
    }
}
