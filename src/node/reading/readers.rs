//! Who reads what was written, and how far that is. Each waits for one thing at a time: for something to be read,
//! for its client to take that, or, where it follows, for something to be written.

use std::time::{Duration, Instant};

use super::telling::Form;
use crate::base::clock::Now;
use crate::base::ids::{ConnId, InstanceId, StreamNo};
use crate::base::limits;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::base::timers::Timers;
use crate::supervisor::name::JobName;

/// All who do.
#[derive(Default)]
pub struct Readers {
    all: SortedMap<ConnId, Reader>,
    heartbeats: Timers<ConnId>,
    /// Something was written for them.
    stirred: SortedSet<ConnId>,
}

/// One of them.
pub struct Reader {
    /// How it is told.
    pub form: Form,
    /// Whose output.
    pub job: JobName,
    /// Of this instance alone.
    pub instance: Option<u32>,
    /// Whether it goes on with what is written.
    pub follow: bool,
    /// Whether the node knows the job, and the instance of it.
    pub is_known: bool,
    /// The number of what was written last when it began.
    pub seq: u64,
    /// How often something is sent when there is nothing to tell.
    pub heartbeat: Option<Duration>,
    /// How much of each stream in memory was handed over.
    pub places: SortedMap<(InstanceId, StreamNo), u64>,
    /// When something was last read for it, or it began.
    moved: Instant,
    step: Step,
}

/// What it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// That it begins.
    Beginning,
    /// That its client has room.
    Resting,
    /// What is being read.
    Reading,
    /// That something is written.
    Waiting,
}

/// What is to be done next for a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Read on,
    Read,
    /// with what has come.
    Refresh,
}

impl Reader {
    fn follows(&self, job: &JobName, instance: u32) -> bool {
        let is_meant = || self.instance.is_none_or(|number| number == instance);
        self.follow && self.job == *job && is_meant()
    }

    /// One that begins.
    pub fn new((job, instance): (JobName, Option<u32>), form: Form, now: Now) -> Self {
        Self {
            form,
            job,
            instance,
            follow: false,
            is_known: false,
            seq: 0,
            heartbeat: None,
            places: SortedMap::new(),
            moved: now.mono,
            step: Step::Beginning,
        }
    }
}

impl Readers {
    /// Begins one.
    pub fn begin(&mut self, conn: ConnId, reader: Reader) {
        self.all.insert(conn, reader);
    }

    /// Whoever has not taken for longest what there is for him, if that is long.
    pub fn stalled(&self, now: Now) -> Option<ConnId> {
        let rests = |(_, reader): &(&ConnId, &Reader)| reader.step == Step::Resting;
        let (conn, slowest) = self.all.iter().filter(rests).min_by_key(|(_, r)| r.moved)?;
        (slowest.moved + limits::LOG_STALLED <= now.mono).then_some(*conn)
    }

    /// One that has not begun yet.
    pub fn beginning(&self, conn: ConnId) -> Option<&Reader> {
        self.all.get(&conn).filter(|reader| reader.step == Step::Beginning)
    }

    /// It has begun.
    pub fn begun(&mut self, conn: ConnId, now: Now) {
        if let Some(reader) = self.all.get_mut(&conn) {
            reader.step = Step::Resting;
            if let Some(every) = reader.heartbeat {
                self.heartbeats.set(conn, now.mono + every);
            }
        }
    }

    /// What is to be done for one whose client has room.
    pub fn due(&mut self, conn: ConnId) -> Option<(Due, &mut Reader)> {
        let reader = self.all.get_mut(&conn)?;
        let due = match reader.step {
            Step::Resting => Due::Read,
            Step::Waiting if self.stirred.remove(&conn) => Due::Refresh,
            Step::Waiting | Step::Beginning | Step::Reading => return None,
        };
        reader.step = Step::Reading;
        Some((due, reader))
    }

    /// So much of what is in memory was handed over for one.
    pub fn go_on_behind(&mut self, conn: ConnId, places: SortedMap<(InstanceId, StreamNo), u64>) {
        if let Some(reader) = self.all.get_mut(&conn) {
            reader.places = places;
        }
    }

    /// Something was read for one, or all; whether it goes on.
    pub fn took(&mut self, conn: ConnId, all: bool, now: Now) -> Option<bool> {
        let reader = self.all.get_mut(&conn).filter(|reader| reader.step == Step::Reading)?;
        reader.moved = now.mono;
        reader.step = if all { Step::Waiting } else { Step::Resting };
        Some(!all || reader.follow)
    }

    /// An instance of a job wrote, or ended.
    pub fn stir(&mut self, job: &JobName, instance: u32) {
        for (conn, reader) in &self.all {
            if reader.follows(job, instance) {
                self.stirred.insert(*conn);
            }
        }
    }

    /// Whether somebody follows this instance of a job.
    pub fn follow(&self, job: &JobName, instance: u32) -> bool {
        self.all.values().any(|reader| reader.follows(job, instance))
    }

    /// Those who wait, and for whom something was written.
    pub fn stirred(&self) -> Vec<ConnId> {
        let waits =
            |conn: &&ConnId| self.all.get(conn).is_some_and(|reader| reader.step == Step::Waiting);
        self.stirred.iter().filter(waits).copied().collect()
    }

    /// It is over; whether there was one.
    pub fn forget(&mut self, conn: ConnId) -> bool {
        self.stirred.remove(&conn);
        self.heartbeats.cancel(conn);
        self.all.remove(&conn).is_some()
    }

    /// Whether this client is one of them.
    pub fn reads(&self, conn: ConnId) -> bool {
        self.all.contains_key(&conn)
    }

    /// Those who go on with what is written.
    pub fn followers(&self) -> Vec<ConnId> {
        let follow = |(_, reader): &(&ConnId, &Reader)| reader.follow;
        self.all.iter().filter(follow).map(|(conn, _)| *conn).collect()
    }

    /// Those whose heartbeat is due, and what it is.
    pub fn take_beats(&mut self, now: Now) -> Vec<(ConnId, &'static [u8])> {
        let mut due = Vec::new();
        while let Some(conn) = self.heartbeats.pop_due(now.mono) {
            let Some(reader) = self.all.get(&conn) else { continue };
            if let Some(every) = reader.heartbeat {
                self.heartbeats.set(conn, now.mono + every);
            }
            due.push((conn, if reader.form == Form::EventSource { &b":\n\n"[..] } else { b"\n" }));
        }
        due
    }

    /// When the next one is.
    pub fn deadline(&self) -> Option<Instant> {
        self.heartbeats.next()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Checks that each has its client.
    ///
    /// # Errors
    /// The first that has none, in words.
    pub fn sweep(&self, is_there: impl Fn(&ConnId) -> bool) -> Result<(), String> {
        match self.all.keys().find(|conn| !is_there(conn)) {
            Some(conn) => Err(format!("{conn:?} is gone, and is still read for")),
            None => Ok(()),
        }
    }
}
