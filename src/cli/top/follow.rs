//! The output of one instance: which topic is followed for it, and its last lines. A selection that only
//! passes by is not followed, and one that restarts keeps its lines.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::base::clock::Now;
use crate::base::ids::StreamNo;
use crate::base::limits;
use crate::base::sorted::SortedMap;

/// How long a selection stays before it is followed.
const SETTLES: Duration = Duration::from_millis(150);

/// An instance: its job and its place, or its process if it has none of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The node on which it is, by its number.
    pub node: usize,
    /// The whole name of the job.
    pub name: String,
    /// Its place there.
    pub number: Option<u64>,
    /// The process, of a one-off.
    pub once: Option<u64>,
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

impl From {
    fn of((_, fd): (u64, u64)) -> Self {
        if fd == u64::from(StreamNo::STDOUT.0) {
            Self::Out
        } else {
            Self::Err
        }
    }
}

/// The output of one instance.
#[derive(Default)]
pub struct Follow {
    wanted: Option<Place>,
    settles_at: Option<Instant>,
    /// What is followed, and its topic.
    followed: Option<(Place, String)>,
    lines: VecDeque<Line>,
    /// Lines that ever fell out at the front.
    dropped: u64,
    /// Beginnings of lines, by process and stream.
    open: SortedMap<(u64, u64), String>,
}

/// What is to be followed no more, and from now on.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// This topic of this node no more.
    pub leave: Option<(usize, String)>,
    /// This from now on.
    pub join: Option<(usize, String)>,
}

impl Follow {
    /// Says whose output is wanted.
    pub fn want(&mut self, wanted: Option<Place>, now: Now) {
        if wanted == self.wanted {
            return;
        }
        self.lines.clear();
        self.open.clear();
        self.dropped = 0;
        self.settles_at = Some(now.mono + SETTLES);
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
        let leave = self.followed.take().map(|(place, topic)| (place.node, topic));
        let topic = |place: Place| {
            let topic = format!("LOGS:{}:{}", place.name, place.number?);
            Some((place, topic))
        };
        self.followed = self.wanted.clone().and_then(topic);
        let join = self.followed.as_ref().map(|(place, topic)| (place.node, topic.clone()));
        Change { leave, join }
    }

    /// Nothing of a node is followed any more, since its connection is lost; all of it is wanted again.
    pub fn lose(&mut self, node: usize, now: Now) {
        if self.followed.as_ref().is_some_and(|(place, _)| place.node == node) {
            self.followed = None;
        }
        if self.wanted.as_ref().is_some_and(|place| place.node == node) {
            self.open.clear();
            self.lines.clear();
            self.settles_at = Some(now.mono);
        }
    }

    /// Whether this topic of a node is ours.
    pub fn has(&self, (node, topic): (usize, &str)) -> bool {
        let is_it = |(place, followed): &(Place, String)| place.node == node && followed == topic;
        self.followed.as_ref().is_some_and(is_it)
    }

    /// A part of a topic came.
    pub fn heard(&mut self, topic: (usize, &str), data: &Map<String, Value>) {
        if !self.has(topic) {
            return;
        }
        let Some((place, _)) = &self.followed else { return };
        let number = |key: &str| data.get(key).and_then(Value::as_u64).unwrap_or(0);
        let (pid, fd) = (number("pid"), number("fd"));
        // A one-off has the number of a kept instance, and its output that topic.
        let once = data.get("once").and_then(Value::as_bool).unwrap_or(false);
        if place.once.map_or(once, |once| once != pid) {
            return;
        }
        if data.get("event").and_then(Value::as_str) == Some("log_end") {
            return self.end(pid);
        }
        let text = data.get("data").and_then(Value::as_str).unwrap_or_default();
        self.write((pid, fd), text);
    }

    fn write(&mut self, stream: (u64, u64), text: &str) {
        let from = From::of(stream);
        let mut open = self.open.remove(&stream).unwrap_or_default();
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
            self.open.insert(stream, open);
        }
    }

    /// A process writes no more.
    fn end(&mut self, pid: u64) {
        let begun = self.open.keys().filter(|(of, _)| *of == pid);
        for stream in begun.copied().collect::<Vec<_>>() {
            let text = self.open.remove(&stream).unwrap_or_default();
            self.add(Line { from: From::of(stream), text });
        }
        self.say(format!("process {pid} is over"));
    }

    /// So much of a topic is lost.
    pub fn lost(&mut self, topic: (usize, &str)) {
        if self.has(topic) {
            self.say("some of it is not kept".into());
        }
    }

    /// A topic is not to be had.
    pub fn refused(&mut self, topic: (usize, &str), why: &str) {
        if self.has(topic) {
            self.followed = None;
            self.say(why.to_owned());
        }
    }

    /// The lines, oldest first, with what has no end yet at last.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = (From, &str)> {
        let whole = self.lines.iter().map(|line| (line.from, line.text.as_str()));
        whole.chain(self.open.iter().map(|(stream, text)| (From::of(*stream), text.as_str())))
    }

    /// The numbers of the lines, of all that there ever were: who looks at the past goes on looking at
    /// the same.
    pub fn numbers(&self, only_err: bool) -> Vec<u64> {
        let numbered = (self.dropped..).zip(self.lines());
        let shown = numbered.filter(|(_, (from, _))| !only_err || *from != From::Out);
        shown.map(|(number, _)| number).collect()
    }

    /// Whose output this is.
    pub fn wanted(&self) -> Option<&Place> {
        self.wanted.as_ref()
    }

    fn say(&mut self, text: String) {
        self.add(Line { from: From::Us, text });
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

    fn wanted(number: u64, once: Option<u64>) -> Option<Place> {
        Some(Place { node: 0, name: "a.b".into(), number: Some(number), once })
    }

    fn told(pid: u64, fd: u64, text: &str) -> Map<String, Value> {
        let data = json!({"event": "log", "pid": pid, "fd": fd, "data": text});
        data.as_object().cloned().expect("an object")
    }

    fn texts(follow: &Follow) -> Vec<String> {
        follow.lines().map(|(_, text)| text.to_owned()).collect()
    }

    fn following(place: Option<Place>) -> (Follow, Now) {
        let now = Now { mono: Instant::now(), wall: UNIX_EPOCH };
        let mut follow = Follow::default();
        follow.want(place, now);
        follow.take_change(now.plus(SETTLES));
        (follow, now)
    }

    #[test]
    fn only_a_selection_that_stays_is_followed() {
        let now = Now { mono: Instant::now(), wall: UNIX_EPOCH };
        let mut follow = Follow::default();
        follow.want(wanted(1, None), now);
        assert_eq!(follow.take_change(now), Change::default());
        follow.want(wanted(2, None), now.plus(SETTLES / 2));
        assert_eq!(follow.take_change(now.plus(SETTLES)), Change::default());
        let later = now.plus(SETTLES * 2);
        let topic = Some((0, "LOGS:a.b:2".to_owned()));
        assert_eq!(follow.take_change(later), Change { leave: None, join: topic.clone() });
        assert_eq!(follow.take_change(later), Change::default(), "once");
        follow.want(None, later);
        let change = follow.take_change(later.plus(SETTLES));
        assert_eq!(change, Change { leave: topic, join: None });
    }

    #[test]
    fn lines_are_put_together_and_survive_a_restart() {
        let (mut follow, now) = following(wanted(1, None));
        follow.heard((0, "LOGS:a.b:1"), &told(7, 1, "one\ntw"));
        follow.heard((0, "LOGS:a.b:1"), &told(7, 2, "oops\nno end"));
        follow.heard((0, "LOGS:a.b:1"), &told(7, 1, "o\nth"));
        follow.heard((0, "LOGS:a.b:2"), &told(8, 1, "not ours\n"));
        assert_eq!(texts(&follow), ["one", "oops", "two", "th", "no end"]);
        let end = json!({"event": "log_end", "pid": 7}).as_object().cloned().expect("an object");
        follow.heard((0, "LOGS:a.b:1"), &end);
        follow.heard((0, "LOGS:a.b:1"), &told(9, 1, "again\n"));
        let all = ["one", "oops", "two", "th", "no end", "process 7 is over", "again"];
        assert_eq!(texts(&follow), all);
        let errors = follow.lines().filter(|(from, _)| *from == From::Err).count();
        assert_eq!(errors, 2);
        follow.lost((0, "LOGS:a.b:1"));
        follow.refused((0, "LOGS:a.b:1"), "there is no such job");
        assert_eq!(texts(&follow).len(), 9);
        follow.want(wanted(2, None), now);
        assert_eq!(texts(&follow), Vec::<String>::new(), "another one's");
    }

    #[test]
    fn a_one_off_is_told_from_the_instance_of_its_number() {
        let mut once = told(9, 1, "once\n");
        once.insert("once".into(), json!(true));
        for (place, text) in [(wanted(1, None), "kept"), (wanted(1, Some(9)), "once")] {
            let (mut follow, _) = following(place);
            follow.heard((0, "LOGS:a.b:1"), &told(7, 1, "kept\n"));
            follow.heard((0, "LOGS:a.b:1"), &once);
            assert_eq!(texts(&follow), [text]);
        }
    }

    #[test]
    fn lines_are_bounded_in_number_and_length() {
        let (mut follow, _) = following(wanted(1, None));
        follow.heard((0, "LOGS:a.b:1"), &told(7, 1, &"ä".repeat(limits::TOP_LINE - 1)));
        follow.heard((0, "LOGS:a.b:1"), &told(7, 1, "äb\n"));
        let lengths: Vec<usize> = follow.lines().map(|(_, text)| text.chars().count()).collect();
        assert_eq!(lengths, [limits::TOP_LINE, 1]);
        follow.heard((0, "LOGS:a.b:1"), &told(7, 1, &"x\n".repeat(limits::TOP_LINES - 2)));
        assert_eq!((follow.lines().count(), follow.numbers(false)[0]), (limits::TOP_LINES, 0));
        follow.heard((0, "LOGS:a.b:1"), &told(7, 1, "x\n"));
        assert_eq!((follow.lines().count(), follow.numbers(false)[0]), (limits::TOP_LINES, 1));
    }
}
