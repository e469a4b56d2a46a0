//! Sessions that are told what they missed of the output of jobs, as far as that is not in memory any more. While
//! it is read for one, what is written meanwhile is not told to it: it finds that behind what it reads, and what
//! is left when it has come to the end it is told out of memory.

use std::rc::Rc;
use std::time::Instant;

use crate::base::clock::Now;
use crate::base::ids::{InstanceId, Pid, SessionId, StreamNo};
use crate::base::limits;
use crate::base::sorted::SortedMap;
use crate::node::aligned::Aligned;
use crate::node::topics::Written;

/// All of them.
#[derive(Default)]
pub struct Replays {
    all: SortedMap<u64, Replay>,
    by_topic: SortedMap<(SessionId, Rc<str>), u64>,
    /// The number of the last.
    last: u64,
}

/// One.
pub struct Replay {
    /// Who is told,
    pub session: SessionId,
    /// as this topic,
    pub topic: Rc<str>,
    /// what these wrote
    pub written: Written,
    /// behind this number.
    pub since: u64,
    /// What was there when it was looked last.
    pub seen: Seen,
    /// When something was read for it, or it began.
    moved: Instant,
    step: Step,
}

/// What was there at one moment.
#[derive(Default)]
pub struct Seen {
    /// The number of what was written last.
    pub seq: u64,
    /// Beginnings of characters that waited for their rest.
    pub aligned: Aligned,
    /// The runs that had written something and went on.
    pub open: Vec<(InstanceId, Pid)>,
    /// How much of each stream in memory was handed over.
    pub places: SortedMap<(InstanceId, StreamNo), u64>,
}

/// What it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// That it begins.
    Beginning,
    /// That its session has room.
    Resting,
    /// The same, to look at what has come.
    Behind,
    /// What is being read.
    Reading,
}

/// What is to be done for one whose session has room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Read on,
    Read,
    /// with what has come.
    Look,
}

impl Replays {
    /// Begins one; gives its number.
    pub fn begin(
        &mut self,
        (session, topic): (SessionId, &Rc<str>),
        (written, since): (Written, u64),
        seen: Seen,
        now: Now,
    ) -> u64 {
        self.last += 1;
        let (topic, moved, step) = (Rc::clone(topic), now.mono, Step::Beginning);
        self.by_topic.insert((session, Rc::clone(&topic)), self.last);
        self.all.insert(self.last, Replay { session, topic, written, since, seen, moved, step });
        self.last
    }

    /// One.
    pub fn get(&self, number: u64) -> Option<&Replay> {
        self.all.get(&number)
    }

    /// The one of a session for a topic.
    pub fn of(&self, session: SessionId, topic: &Rc<str>) -> Option<u64> {
        if self.all.is_empty() {
            return None;
        }
        self.by_topic.get(&(session, Rc::clone(topic))).copied()
    }

    /// Those of a session.
    pub fn of_session(&self, session: SessionId) -> Vec<u64> {
        let its = |(_, replay): &(&u64, &Replay)| replay.session == session;
        self.all.iter().filter(its).map(|(number, _)| *number).collect()
    }

    /// All that wait for room.
    pub fn resting(&self) -> Vec<u64> {
        let rests = |(_, replay): &(&u64, &Replay)| match replay.step {
            Step::Resting | Step::Behind => true,
            Step::Beginning | Step::Reading => false,
        };
        self.all.iter().filter(rests).map(|(number, _)| *number).collect()
    }

    /// All.
    pub fn numbers(&self) -> Vec<u64> {
        self.all.keys().copied().collect()
    }

    /// One has begun; whether it waited for that.
    pub fn begun(&mut self, number: u64) -> bool {
        let replay = self.all.get_mut(&number).filter(|replay| replay.step == Step::Beginning);
        replay.map(|replay| replay.step = Step::Resting).is_some()
    }

    /// What is to be done for one now.
    pub fn due(&mut self, number: u64) -> Option<Due> {
        let replay = self.all.get_mut(&number)?;
        let due = match replay.step {
            Step::Resting => Due::Read,
            Step::Behind => Due::Look,
            Step::Beginning | Step::Reading => return None,
        };
        replay.step = Step::Reading;
        Some(due)
    }

    /// What is read for one, and what of it was seen; that is looked at anew.
    pub fn seen(&mut self, number: u64) -> Option<(Written, Seen)> {
        let replay = self.all.get_mut(&number)?;
        let seen = std::mem::take(&mut replay.seen);
        Some((replay.written.clone(), seen))
    }

    /// This is there now for one that reads on.
    pub fn look(&mut self, number: u64, seen: Seen) {
        if let Some(replay) = self.all.get_mut(&number) {
            replay.seen = seen;
        }
    }

    /// Something was read for one, or all that it saw; whether it waited for that.
    pub fn took(&mut self, number: u64, all: bool, now: Now) -> bool {
        let Some(replay) = self.all.get_mut(&number).filter(|r| r.step == Step::Reading) else {
            return false;
        };
        replay.moved = now.mono;
        replay.step = if all { Step::Behind } else { Step::Resting };
        true
    }

    /// It is over.
    pub fn forget(&mut self, number: u64) -> Option<Replay> {
        let replay = self.all.remove(&number)?;
        self.by_topic.remove(&(replay.session, Rc::clone(&replay.topic)));
        Some(replay)
    }

    /// Whoever has not taken for longest what there is for him, if that is long.
    pub fn stalled(&self, now: Now) -> Option<u64> {
        let resting = self.resting().into_iter().filter_map(|number| {
            let moved = self.all.get(&number)?.moved;
            Some((moved, number))
        });
        let (moved, number) = resting.min()?;
        (moved + limits::LOG_STALLED <= now.mono).then_some(number)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Checks that each is for a topic that its session follows.
    ///
    /// # Errors
    /// The first that is not, in words.
    pub fn sweep(&self, follows: impl Fn(SessionId, &str) -> bool) -> Result<(), String> {
        if self.all.len() != self.by_topic.len() {
            return Err("two are read for one topic of a session".into());
        }
        match self.all.values().find(|replay| !follows(replay.session, &replay.topic)) {
            Some(Replay { session, topic, .. }) => {
                Err(format!("{session:?} does not follow {topic}, and it is read for that"))
            }
            None => Ok(()),
        }
    }
}
