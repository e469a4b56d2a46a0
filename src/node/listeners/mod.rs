//! Processes that are told of events as supervisor tells its event listeners: one event at a time, over their
//! standard input, and each answers on its standard output how that went ([`crate::wire::listener`]). The
//! processes of a job are one pool (`pool.rs`). What happens here is put into supervisor's words in
//! `happenings.rs`, and time in `ticks.rs`.
//!
//! A process is in the talk from its start to the end of its run. One that says what has no meaning, or closes
//! its standard input or does not read it, is told nothing more in that run, and the log says so once.

mod happenings;
mod pool;
mod ticks;

use std::rc::Rc;
use std::time::Instant;

use log::{debug, warn};

use self::pool::{Pool, Waiting};
use self::ticks::Ticks;
use super::stdins::{Full, Stdins};
use crate::base::clock::Now;
use crate::base::ids::{InstanceId, StreamNo};
use crate::base::limits;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::supervisor::hearer::Hearer;
use crate::supervisor::instance::{Instance, State};
use crate::supervisor::name::JobName;
use crate::supervisor::Supervisor;
use crate::wire::listener::talk::{Said, State as Talking, Talk};
use crate::wire::listener::Event;

/// All pools, and the talks with their processes.
#[derive(Default)]
pub(super) struct Listeners {
    pools: SortedMap<JobName, Pool>,
    members: SortedMap<InstanceId, Member>,
    /// The number of the next event that anybody is told.
    next: u64,
    ticks: Ticks,
    /// Sessions with jobs, while there are pools.
    groups: SortedSet<String>,
}

/// One process in the talk.
struct Member {
    job: JobName,
    number: u32,
    talk: Talk,
    /// The event that it has and has not said anything of.
    event: Option<Waiting>,
    /// It has failed with one before, which was told.
    has_failed: bool,
    /// It has failed just now, and gets none before this: one that fails with every event would have them all
    /// again and again as fast as the machine can.
    rests_until: Option<Instant>,
}

impl Listeners {
    /// Something happened to a job: it may be a pool from now on, another one, or none any more.
    pub(super) fn note(&mut self, name: &JobName, supervisor: &Supervisor, now: Now) {
        let job = supervisor.job_id(name).ok().and_then(|id| supervisor.job(id));
        let spec = job.map(|job| &job.spec).filter(|spec| spec.hearer() == Hearer::Listening);
        match spec {
            Some(spec) => {
                if self.pools.is_empty() {
                    self.groups = supervisor.job_names().map(|n| n.session().to_owned()).collect();
                }
                let pool = self.pools.entry(name.clone());
                pool.or_insert_with(|| Pool::new(name.clone())).take_spec(spec);
            }
            None if self.pools.remove(name).is_none() => return,
            None => {}
        }
        let pools = &self.pools;
        self.ticks.ask(|kind| pools.values().any(|pool| pool.hears(kind)), now);
    }

    /// Whether there is nobody to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.pools.is_empty()
    }

    /// Whether one of them is told what processes write.
    pub(super) fn hear_output(&self) -> bool {
        self.hear("PROCESS_LOG_STDOUT") || self.hear("PROCESS_LOG_STDERR")
    }

    /// Whether somebody is told of such events.
    pub(super) fn hear(&self, kind: &str) -> bool {
        self.pools.values().any(|pool| pool.hears(kind))
    }

    /// A process is about to start.
    pub(super) fn join(&mut self, id: InstanceId, supervisor: &Supervisor) {
        let Some(instance) = supervisor.instance(id) else { return };
        let spec = instance.run.as_ref().map(|run| &run.spec);
        let Some(job) = supervisor.job(instance.job) else { return };
        if spec.is_some_and(|spec| spec.hearer() == Hearer::Listening) {
            let (job, number) = (job.name.clone(), instance.number);
            let (talk, event, has_failed, rests_until) = (Talk::default(), None, false, None);
            let member = Member { job, number, talk, event, has_failed, rests_until };
            self.members.insert(id, member);
        }
    }

    /// A run is over. An event that it has said nothing of goes to another process.
    pub(super) fn leave(&mut self, id: InstanceId) {
        let Some(mut member) = self.members.remove(&id) else { return };
        let Some(pool) = self.pools.get_mut(&member.job) else { return };
        pool.ready.remove(&id);
        if let Some(waiting) = member.event.take() {
            debug!("{member}: ended with event {}, which another one gets", waiting.event.serial);
            pool.put_back(waiting);
        }
    }

    /// A process says something.
    pub(super) fn heard(&mut self, id: InstanceId, bytes: &[u8], now: Now) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let mut pool = self.pools.get_mut(&member.job);
        for said in member.talk.heard(bytes) {
            let back = member.note(&said);
            let Some(pool) = &mut pool else { continue };
            if let Some(waiting) = back {
                pool.put_back(waiting);
            }
            match said {
                Said::Ready if member.rests_until.is_some() => {}
                Said::Ready => drop(pool.ready.insert(id)),
                Said::Failed => member.rests_until = Some(now.mono + limits::LISTEN_RETRY),
                Said::Done | Said::Garbage(_) => drop(pool.ready.remove(&id)),
            }
        }
    }

    /// An event happened.
    pub(super) fn offer(&mut self, kind: &'static str, payload: impl FnOnce() -> String) {
        let mut pools = self.pools.values_mut().filter(|pool| pool.hears(kind)).peekable();
        if pools.peek().is_none() {
            return;
        }
        let event = Rc::new(Event { serial: self.next, kind, payload: payload() });
        pools.for_each(|pool| pool.offer(&event));
        self.next += 1;
    }

    /// Sends the events that wait to processes that are ready for one.
    pub(super) fn send(&mut self, supervisor: &Supervisor, stdins: &mut Stdins) {
        for (name, pool) in &mut self.pools {
            while let Some((id, waiting)) = pool.next() {
                let Some(member) = self.members.get_mut(&id) else {
                    pool.put_back(waiting);
                    continue;
                };
                // Who is asked to stop is told nothing more.
                let is_up = |instance: &Instance| {
                    matches!(instance.state, State::Starting | State::Running)
                };
                if !supervisor.instance(id).is_some_and(is_up) {
                    pool.put_back(waiting);
                    continue;
                }
                let message = waiting.event.message(&name.to_string(), waiting.serial);
                match stdins.push(id, StreamNo::STDIN, message.as_bytes()) {
                    Ok(()) => {
                        member.talk.sent();
                        member.event = Some(waiting);
                    }
                    Err(full) => {
                        member.give_up(full);
                        pool.put_back(waiting);
                    }
                }
            }
        }
    }

    /// When [`Listeners::pass_time`] wants to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let rests = self.members.values().filter_map(|member| member.rests_until).min();
        [self.ticks.deadline(), rests].into_iter().flatten().min()
    }

    /// Time has passed.
    pub(super) fn pass_time(&mut self, now: Now) {
        for (id, member) in &mut self.members {
            let is_over = member.rests_until.take_if(|until| *until <= now.mono).is_some();
            if is_over && member.talk.state() == Talking::Ready {
                if let Some(pool) = self.pools.get_mut(&member.job) {
                    pool.ready.insert(*id);
                }
            }
        }
        for (kind, when) in self.ticks.pass(now) {
            self.offer(kind, || format!("when:{when}"));
        }
    }

    /// Checks what is always so between two inputs; `runs` says whether an instance has a run.
    ///
    /// # Errors
    /// What does not hold, in words.
    pub(super) fn sweep(&self, runs: impl Fn(InstanceId) -> bool) -> Result<(), String> {
        if let Some(id) = self.members.keys().find(|id| !runs(**id)) {
            return Err(format!("{id:?} is over and still in the talk"));
        }
        for pool in self.pools.values() {
            pool.sweep()?;
            if let Some(id) = pool.ready.iter().find(|id| !self.members.contains_key(id)) {
                return Err(format!("{id:?} is ready and not in the talk"));
            }
        }
        match self.pools.is_empty() && self.ticks.deadline().is_some() {
            true => Err("time is told to nobody".into()),
            false => Ok(()),
        }
    }
}

impl Member {
    /// Takes note of what it said. An event that it did not do comes back.
    fn note(&mut self, said: &Said) -> Option<Waiting> {
        match said {
            Said::Ready => None,
            Said::Done => {
                self.event = None;
                None
            }
            Said::Failed => {
                let event = self.event.take()?;
                let told = format!("{self}: failed with event {}", event.event.serial);
                match std::mem::replace(&mut self.has_failed, true) {
                    true => debug!("{told} again"),
                    false => warn!("{told}, and gets it again, or another process does"),
                }
                Some(event)
            }
            Said::Garbage(bytes) => {
                warn!(
                    "{self}: wrote \"{}\" to its stdout, where READY or the RESULT of an event was \
                     expected: it gets no more events until it is started again",
                    bytes.escape_ascii()
                );
                self.event.take()
            }
        }
    }

    /// It does not take what it was ready for.
    fn give_up(&mut self, full: Full) {
        let why = match full {
            Full::Closed => "has closed its stdin",
            Full::Now | Full::TooLong => "does not read what it asks for",
        };
        warn!("{self}: {why}: it gets no more events until it is started again");
        self.talk.give_up();
    }
}

impl std::fmt::Display for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.job, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::arena::Key;
    use crate::base::told::told;
    use crate::supervisor::spec_read;
    use serde_json::json;

    fn id(index: u32) -> InstanceId {
        InstanceId(Key { index, generation: 0 })
    }

    /// A pool that hears these, with room for so many.
    fn pool(name: &JobName, kinds: &str, room: usize) -> Pool {
        let config = json!({
            "cmd": "ear", "listen": [kinds], "listen_protocol": "supervisor", "listen_buffer": room,
        });
        let mut pool = Pool::new(name.clone());
        pool.take_spec(&spec_read::read(config.as_object().expect("an object")).expect("valid"));
        pool
    }

    #[test]
    fn an_event_has_a_number_of_its_own_and_one_in_each_pool() {
        let mut listeners = Listeners::default();
        for (name, kinds) in [("s.all", "EVENT"), ("s.ticks", "TICK_5")] {
            let name = JobName::parse(name).expect("a name");
            let pool = pool(&name, kinds, 10);
            listeners.pools.insert(name, pool);
        }
        listeners
            .offer("PROCESS_LOG_STDOUT", || unreachable!("output is not said to who asks for all"));
        listeners.offer("TICK_60", String::new);
        listeners.offer("TICK_5", String::new);
        let mut numbers = listeners.pools.values_mut().map(|pool| {
            pool.ready.extend([id(1), id(2)]);
            let next = || pool.next().map(|(_, waiting)| (waiting.event.serial, waiting.serial));
            std::iter::from_fn(next).collect::<Vec<_>>()
        });
        assert_eq!(numbers.next().expect("a pool"), [(0, 0), (1, 1)]);
        assert_eq!(numbers.next().expect("a pool"), [(1, 0)]);
    }

    #[test]
    fn who_fails_with_an_event_gets_none_for_a_while() {
        let job = JobName::parse("s.ear").expect("a name");
        let mut listeners = Listeners::default();
        listeners.pools.insert(job.clone(), pool(&job, "TICK", 1));
        let (mut talk, event, has_failed, rests_until) = (Talk::default(), None, false, None);
        talk.heard(b"READY\n");
        talk.sent();
        let member = Member { job: job.clone(), number: 1, talk, event, has_failed, rests_until };
        listeners.members.insert(id(1), member);
        let now = crate::node::testing::now();
        let is_ready = |listeners: &Listeners| listeners.pools[&job].ready.contains(&id(1));
        listeners.heard(id(1), b"RESULT 4\nFAILREADY\n", now);
        assert_eq!(listeners.deadline(), Some(now.mono + limits::LISTEN_RETRY));
        let moment = std::time::Duration::from_millis(1);
        listeners.pass_time(now.plus(limits::LISTEN_RETRY - moment));
        assert!(!is_ready(&listeners));
        listeners.pass_time(now.plus(limits::LISTEN_RETRY));
        assert!(is_ready(&listeners) && listeners.deadline().is_none());
    }

    #[test]
    fn what_has_no_meaning_is_told_once_and_what_is_dropped_more_and_more_rarely() {
        let job = JobName::parse("s.ear").expect("a name");
        let mut listeners = Listeners::default();
        listeners.pools.insert(job.clone(), pool(&job, "TICK", 1));
        let (talk, event, has_failed, rests_until) = (Talk::default(), None, false, None);
        let member = Member { job, number: 2, talk, event, has_failed, rests_until };
        listeners.members.insert(id(1), member);
        let now = crate::node::testing::now();
        let garbage = told(|| {
            listeners.heard(id(1), b"\x1b[1m", now);
            listeners.heard(id(1), &[b'x'; 100_000], now);
        });
        let begin = "WARN: s.ear.2: wrote \"\\x1b[1m\" to its stdout, where READY or the RESULT";
        assert!(garbage.len() == 1 && garbage[0].starts_with(begin), "{garbage:?}");
        let dropped = told(|| (0..101).for_each(|_| listeners.offer("TICK_5", String::new)));
        assert_eq!(dropped.len(), 3, "{dropped:?}");
        assert!(
            dropped[2].contains("s.ear: ") && dropped[2].contains("100 dropped"),
            "{dropped:?}"
        );
    }
}
