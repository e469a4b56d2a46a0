//! The output of one process: which topics are followed for it, and its last lines. A selection that
//! only passes by is not followed, and one that restarts keeps its lines.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::base::clock::Now;
use crate::base::limits;

/// How long a selection stays before it is followed.
const SETTLES: Duration = Duration::from_millis(150);

/// An instance: its job and its place, or its process if it has none of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The whole name of the job.
    pub name: String,
    /// Its place there.
    pub number: Option<u64>,
    /// The process, of a one-off.
    pub once: Option<u64>,
}

/// Whose output is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Of which instance.
    pub place: Place,
    /// Its process, if it has one.
    pub pid: Option<u64>,
    /// The labels of its streams.
    pub labels: Vec<String>,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Who says it.
    pub from: From,
    /// What, as it came.
    pub text: String,
}

/// Who says a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The first stream.
    Out,
    /// Another one.
    Err,
    /// Not the process: what is told of it.
    Us,
}

/// The output of one process.
#[derive(Default)]
pub struct Follow {
    wanted: Option<Wanted>,
    settles_at: Option<Instant>,
    followed: Option<Wanted>,
    /// The topics that are followed, with who speaks there.
    topics: BTreeMap<String, From>,
    lines: VecDeque<Line>,
    /// Lines that ever fell out at the front.
    dropped: u64,
    /// Beginnings of lines.
    open: BTreeMap<String, String>,
}

/// What is to be followed no more, and from now on.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// These no more.
    pub leave: Vec<String>,
    /// These from now on.
    pub join: Vec<String>,
}

impl Follow {
    /// Says whose output is wanted.
    pub fn want(&mut self, wanted: Option<Wanted>, now: Now) {
        if wanted == self.wanted {
            return;
        }
        let place = |wanted: &Option<Wanted>| wanted.as_ref().map(|wanted| wanted.place.clone());
        if place(&wanted) == place(&self.wanted) {
            self.settles_at.get_or_insert(now.mono);
        } else {
            self.lines.clear();
            self.open.clear();
            self.dropped = 0;
            self.settles_at = Some(now.mono + SETTLES);
        }
        self.wanted = wanted;
    }

    /// When something is to be done.
    pub fn deadline(&self) -> Option<Instant> {
        self.settles_at
    }

    /// What is to be followed instead, if it is time.
    pub fn take_change(&mut self, now: Now) -> Change {
        if self.settles_at.is_none_or(|at| at > now.mono) {
            return Change::default();
        }
        self.settles_at = None;
        let leave = std::mem::take(&mut self.topics).into_keys().collect();
        let before = std::mem::replace(&mut self.followed, self.wanted.clone());
        let Some(wanted) = self.wanted.clone() else { return Change { leave, join: Vec::new() } };
        let before = before.filter(|before| before.place == wanted.place);
        match (before.and_then(|before| before.pid), wanted.pid) {
            (Some(over), Some(pid)) if over != pid => {
                self.end_lines();
                self.say(format!("process {over} is over, this is process {pid}"));
            }
            (Some(over), None) => {
                self.end_lines();
                self.say(format!("process {over} is over"));
            }
            (Some(_) | None, _) => {}
        }
        let Some(pid) = wanted.pid else { return Change { leave, join: Vec::new() } };
        for (number, label) in wanted.labels.iter().enumerate() {
            let from = if number == 0 { From::Out } else { From::Err };
            self.topics.insert(format!("STREAM:{pid}.{label}"), from);
        }
        Change { leave, join: self.topics.keys().cloned().collect() }
    }

    /// Nothing is followed any more, since the connection is lost; all of it is wanted again.
    pub fn lose(&mut self, now: Now) {
        self.topics.clear();
        self.end_lines();
        if self.wanted.is_some() {
            self.lines.clear();
            self.settles_at = Some(now.mono);
        }
    }

    /// Whether this topic is one of ours.
    pub fn has(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    /// A part of a topic came.
    pub fn heard(&mut self, topic: &str, data: &Map<String, Value>) {
        let Some(from) = self.topics.get(topic).copied() else { return };
        let text = data.get("data").and_then(Value::as_str).unwrap_or_default();
        let mut open = self.open.remove(topic).unwrap_or_default();
        for part in text.split_inclusive('\n') {
            for c in part.chars().filter(|c| *c != '\n') {
                open.push(c);
                // Characters are at most four bytes, so that a line is counted only when it may be due.
                if open.len() >= limits::TOP_LINE && open.chars().count() >= limits::TOP_LINE {
                    self.add(Line { from, text: std::mem::take(&mut open) });
                }
            }
            if part.ends_with('\n') {
                self.add(Line { from, text: std::mem::take(&mut open) });
            }
        }
        if !open.is_empty() {
            self.open.insert(topic.to_owned(), open);
        }
    }

    /// So much of a topic is lost.
    pub fn lost(&mut self, topic: &str) {
        if self.has(topic) {
            self.say("some of it is not kept".into());
        }
    }

    /// A topic is not to be had.
    pub fn refused(&mut self, topic: &str, why: &str) {
        if self.topics.remove(topic).is_some() {
            self.say(why.to_owned());
        }
    }

    /// The lines, oldest first, with what has no end yet at last.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = (From, &str)> {
        let whole = self.lines.iter().map(|line| (line.from, line.text.as_str()));
        let of = |topic: &String| self.topics.get(topic).copied().unwrap_or(From::Out);
        whole.chain(self.open.iter().map(move |(topic, text)| (of(topic), text.as_str())))
    }

    /// The numbers of the lines, of all that there ever were: who looks at the past goes on looking at
    /// the same.
    pub fn numbers(&self, only_err: bool) -> Vec<u64> {
        let numbered = (self.dropped..).zip(self.lines());
        let shown = numbered.filter(|(_, (from, _))| !only_err || *from != From::Out);
        shown.map(|(number, _)| number).collect()
    }

    /// Whose output this is.
    pub fn wanted(&self) -> Option<&Wanted> {
        self.wanted.as_ref()
    }

    fn say(&mut self, text: String) {
        self.add(Line { from: From::Us, text });
    }

    fn end_lines(&mut self) {
        for (topic, text) in std::mem::take(&mut self.open) {
            let from = self.topics.get(&topic).copied().unwrap_or(From::Out);
            self.add(Line { from, text });
        }
    }

    fn add(&mut self, line: Line) {
        self.lines.push_back(line);
        if self.lines.len() > limits::TOP_LINES {
            self.lines.pop_front();
            self.dropped += 1;
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::UNIX_EPOCH;

    fn wanted(number: u64, pid: Option<u64>) -> Option<Wanted> {
        let place = Place { name: "a.b".into(), number: Some(number), once: None };
        Some(Wanted { place, pid, labels: vec!["out".into(), "err".into()] })
    }

    fn told(text: &str) -> Map<String, Value> {
        json!({"data": text}).as_object().cloned().expect("an object")
    }

    fn texts(follow: &Follow) -> Vec<String> {
        follow.lines().map(|(_, text)| text.to_owned()).collect()
    }

    #[test]
    fn only_a_selection_that_stays_is_followed() {
        let now = Now { mono: Instant::now(), wall: UNIX_EPOCH };
        let mut follow = Follow::default();
        follow.want(wanted(1, Some(7)), now);
        assert_eq!(follow.take_change(now), Change::default());
        follow.want(wanted(2, Some(8)), now.plus(SETTLES / 2));
        assert_eq!(follow.take_change(now.plus(SETTLES)), Change::default());
        let later = now.plus(SETTLES * 2);
        let join = vec!["STREAM:8.err".to_owned(), "STREAM:8.out".to_owned()];
        assert_eq!(follow.take_change(later).join, join);
        assert_eq!(follow.take_change(later), Change::default(), "once");
        follow.want(None, later);
        let change = follow.take_change(later.plus(SETTLES));
        assert_eq!((change.leave, change.join), (join, vec![]));
    }

    #[test]
    fn lines_are_put_together_and_survive_a_restart() {
        let now = Now { mono: Instant::now(), wall: UNIX_EPOCH };
        let mut follow = Follow::default();
        follow.want(wanted(1, Some(7)), now);
        follow.take_change(now.plus(SETTLES));
        follow.heard("STREAM:7.out", &told("one\ntw"));
        follow.heard("STREAM:7.err", &told("oops\n"));
        follow.heard("STREAM:7.out", &told("o\nth"));
        follow.heard("STREAM:9.out", &told("not ours\n"));
        assert_eq!(texts(&follow), ["one", "oops", "two", "th"]);
        follow.want(wanted(1, None), now);
        assert_eq!(follow.take_change(now).leave.len(), 2);
        follow.want(wanted(1, Some(8)), now);
        assert_eq!(follow.take_change(now).join.len(), 2);
        follow.heard("STREAM:8.out", &told("again\n"));
        assert_eq!(texts(&follow), ["one", "oops", "two", "th", "process 7 is over", "again"]);
        follow.want(wanted(1, Some(9)), now);
        follow.take_change(now);
        assert_eq!(
            texts(&follow).last().map(String::as_str),
            Some("process 8 is over, this is process 9")
        );
        follow.refused("STREAM:9.out", "there is no such process");
        follow.lost("STREAM:9.err");
        assert_eq!(texts(&follow).len(), 9);
        follow.want(wanted(2, Some(1)), now);
        assert_eq!(texts(&follow), Vec::<String>::new(), "another one's");
    }

    #[test]
    fn lines_are_bounded_in_number_and_length() {
        let now = Now { mono: Instant::now(), wall: UNIX_EPOCH };
        let mut follow = Follow::default();
        follow.want(wanted(1, Some(7)), now);
        follow.take_change(now.plus(SETTLES));
        follow.heard("STREAM:7.out", &told(&"ä".repeat(limits::TOP_LINE - 1)));
        follow.heard("STREAM:7.out", &told("äb\n"));
        let lengths: Vec<usize> = follow.lines().map(|(_, text)| text.chars().count()).collect();
        assert_eq!(lengths, [limits::TOP_LINE, 1]);
        follow.heard("STREAM:7.out", &told(&"x\n".repeat(limits::TOP_LINES - 2)));
        assert_eq!((follow.lines().count(), follow.numbers(false)[0]), (limits::TOP_LINES, 0));
        follow.heard("STREAM:7.out", &told("x\n"));
        assert_eq!((follow.lines().count(), follow.numbers(false)[0]), (limits::TOP_LINES, 1));
    }
}
