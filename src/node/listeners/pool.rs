//! The events that wait for the processes of one job, and which of those are ready for one. Each event goes to
//! one process. It comes back to the front when that fails with it or ends before it has said how it went. What
//! finds no room pushes the oldest out, which is counted, and told with the first and each tenfold of it.

use std::collections::VecDeque;
use std::rc::Rc;

use log::warn;

use crate::base::ids::InstanceId;
use crate::base::limits;
use crate::base::sorted::SortedSet;
use crate::supervisor::name::JobName;
use crate::supervisor::spec::JobSpec;
use crate::wire::listener::{kinds, Event};

/// An event with its number among those of its pool.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) event: Rc<Event>,
    pub(super) serial: u64,
}

/// The processes of one job, as those who are to be told of events.
pub(super) struct Pool {
    name: JobName,
    kinds: Vec<String>,
    /// How many events may wait.
    room: usize,
    waiting: VecDeque<Waiting>,
    /// The bytes of their payloads.
    bytes: usize,
    /// Processes that wait for one.
    pub(super) ready: SortedSet<InstanceId>,
    /// The number of the next event.
    next: u64,
    /// How many were pushed out.
    lost: u64,
}

impl Pool {
    /// One in which nothing waits.
    pub(super) fn new(name: JobName) -> Self {
        Self {
            name,
            kinds: Vec::new(),
            room: 0,
            waiting: VecDeque::new(),
            bytes: 0,
            ready: SortedSet::new(),
            next: 0,
            lost: 0,
        }
    }

    /// Goes on by this specification: what waits and is not asked for any more is forgotten.
    pub(super) fn take_spec(&mut self, spec: &JobSpec) {
        self.kinds.clone_from(&spec.listen);
        self.room = spec.listen_buffer;
        let kinds = &self.kinds;
        self.waiting.retain(|waiting| kinds.iter().any(|k| kinds::hears(k, waiting.event.kind)));
        self.bytes = self.waiting.iter().map(|waiting| waiting.event.payload.len()).sum();
        self.make_room(0, 0);
    }

    /// Whether it is told of such an event.
    pub(super) fn hears(&self, kind: &str) -> bool {
        self.kinds.iter().any(|asked| kinds::hears(asked, kind))
    }

    /// An event happened.
    pub(super) fn offer(&mut self, event: &Rc<Event>) {
        self.make_room(1, event.payload.len());
        self.bytes += event.payload.len();
        self.waiting.push_back(Waiting { event: Rc::clone(event), serial: self.next });
        self.next += 1;
    }

    /// An event comes back: it is the next to go, before all that wait.
    pub(super) fn put_back(&mut self, waiting: Waiting) {
        if self.hears(waiting.event.kind) {
            self.make_room(1, waiting.event.payload.len());
            self.bytes += waiting.event.payload.len();
            self.waiting.push_front(waiting);
        }
    }

    /// The next event, if there is a process for it.
    pub(super) fn next(&mut self) -> Option<(InstanceId, Waiting)> {
        if self.waiting.is_empty() {
            return None;
        }
        let id = self.ready.pop_first()?;
        let waiting = self.waiting.pop_front()?;
        self.bytes -= waiting.event.payload.len();
        Some((id, waiting))
    }

    /// Pushes the oldest out until there is room for so many more, with so many bytes.
    fn make_room(&mut self, events: usize, bytes: usize) {
        let most = limits::LISTEN_BYTES.saturating_sub(bytes);
        while self.waiting.len() + events > self.room || self.bytes > most {
            let Some(oldest) = self.waiting.pop_front() else { return };
            self.bytes -= oldest.event.payload.len();
            self.lost += 1;
            // Told more and more rarely: a flood of events is none of the log.
            if self.lost.checked_ilog10().is_some_and(|power| self.lost == 10_u64.pow(power)) {
                warn!(
                    "{}: its processes do not take events as they come, and no more than {} wait \
                     for them (listen_buffer): {} dropped so far, the oldest first",
                    self.name, self.room, self.lost
                );
            }
        }
    }

    /// Checks that no more waits than may.
    ///
    /// # Errors
    /// It does, in words.
    pub(super) fn sweep(&self) -> Result<(), String> {
        let bytes: usize = self.waiting.iter().map(|waiting| waiting.event.payload.len()).sum();
        if self.waiting.len() > self.room || bytes > limits::LISTEN_BYTES || bytes != self.bytes {
            return Err(format!("too many events wait for {}", self.name));
        }
        match !self.ready.is_empty() && !self.waiting.is_empty() {
            true => Err(format!("an event waits for {}, which is ready for it", self.name)),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::arena::Key;
    use crate::supervisor::spec::Options;
    use crate::supervisor::spec_read;
    use serde_json::json;

    fn spec(room: usize) -> JobSpec {
        let config = json!({
            "cmd": "ear", "listen": ["TICK", "PROCESS_LOG"], "listen_protocol": "supervisor",
            "listen_buffer": room,
        });
        spec_read::read(config.as_object().expect("an object")).expect("valid")
    }

    /// A pool with room for so many.
    fn pool(room: usize) -> Pool {
        let mut pool = Pool::new(JobName::parse("s.ear").expect("a name"));
        pool.take_spec(&spec(room));
        pool
    }

    fn event(kind: &'static str, serial: u64, length: usize) -> Rc<Event> {
        Rc::new(Event { serial, kind, payload: "x".repeat(length) })
    }

    fn id(index: u32) -> InstanceId {
        InstanceId(Key { index, generation: 0 })
    }

    /// Takes all that waits, by their numbers.
    fn take(pool: &mut Pool) -> Vec<u64> {
        pool.sweep().expect("what is always so");
        let next = || {
            pool.ready.insert(id(1));
            pool.next().map(|(_, waiting)| waiting.event.serial)
        };
        let all = std::iter::from_fn(next).collect();
        pool.ready.clear();
        all
    }

    #[test]
    fn as_many_wait_as_may_and_the_oldest_is_pushed_out() {
        let offered = |count: u64| {
            let mut pool = pool(3);
            (0..count).for_each(|serial| pool.offer(&event("TICK_5", serial, 1)));
            take(&mut pool)
        };
        assert_eq!(offered(3), [0, 1, 2]);
        assert_eq!(offered(4), [1, 2, 3]);
    }

    #[test]
    fn no_more_bytes_wait_than_a_process_may_be_owed() {
        let offered = |length: usize| {
            let mut pool = pool(limits::LISTEN_BUFFER);
            pool.offer(&event("TICK_5", 0, 1));
            pool.offer(&event("TICK_5", 1, length));
            take(&mut pool)
        };
        assert_eq!(offered(limits::LISTEN_BYTES - 1), [0, 1]);
        assert_eq!(offered(limits::LISTEN_BYTES), [1]);
    }

    #[test]
    fn what_comes_back_is_the_next_to_go_and_pushes_out_the_oldest_behind_it() {
        let mut pool = pool(2);
        pool.offer(&event("TICK_5", 0, 1));
        pool.ready.insert(id(1));
        let (_, waiting) = pool.next().expect("it waits for one that is ready");
        (1..3).for_each(|serial| pool.offer(&event("TICK_5", serial, 1)));
        pool.put_back(waiting);
        assert_eq!(take(&mut pool), [0, 2]);
    }

    #[test]
    fn what_nobody_asks_for_any_more_is_forgotten() {
        let mut pool = pool(10);
        pool.offer(&event("TICK_5", 0, 1));
        pool.offer(&event("PROCESS_LOG_STDOUT", 1, 1));
        pool.ready.insert(id(1));
        let (_, waiting) = pool.next().expect("it waits for one that is ready");
        pool.offer(&event("TICK_60", 2, 1));
        let known = spec(10);
        let options = Options { listen: vec!["PROCESS_LOG".into()], ..(*known.options).clone() };
        pool.take_spec(&JobSpec { options: Rc::new(options), ..known });
        pool.put_back(waiting);
        assert_eq!(take(&mut pool), [1]);
        pool.offer(&event("PROCESS_LOG_STDOUT", 3, 1));
        pool.offer(&event("PROCESS_LOG_STDOUT", 4, 1));
        pool.take_spec(&spec(1));
        assert_eq!(take(&mut pool), [4], "there is less room than there was");
    }
}
