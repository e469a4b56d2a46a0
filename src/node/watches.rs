//! Who wants statistics, of whom and how often. Those who want the same share one clock and one
//! measurement; nothing is measured, and no timer is set, while nobody wants any. One measurement is
//! under way at a time, so that a slow one makes the next later and never more.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::topics::Watched;
use crate::base::clock::Now;
use crate::base::ids::{ConnId, SessionId};
use crate::base::sorted::{SortedMap, SortedSet};
use crate::base::timers::Timers;

/// Somebody who wants statistics.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watcher {
    /// A session, under this topic.
    Session(SessionId, Rc<str>),
    /// A feed.
    Feed(ConnId),
    /// The node itself, for what it keeps of the last minutes.
    Node,
}

/// All of them.
#[derive(Default)]
pub struct Watches {
    by_wish: SortedMap<(Watched, Duration), u64>,
    watches: SortedMap<u64, Watch>,
    due: Timers<u64>,
    last: u64,
    /// Those whose measurement is under way.
    measuring: Vec<u64>,
    ticket: Option<u64>,
    /// The shell holds ready what it takes to measure again.
    held_ready: bool,
    /// When the first one began: all clocks with one interval tick together.
    epoch: Option<Instant>,
}

struct Watch {
    watched: Watched,
    interval: Duration,
    by: SortedSet<Watcher>,
}

impl Watches {
    /// Adds a watcher. Its first statistics come at the next tick of its interval.
    pub fn add(&mut self, watcher: Watcher, watched: &Watched, interval: Duration, now: Now) {
        let wish = (watched.clone(), interval);
        let id = *self.by_wish.entry(wish).or_insert_with(|| {
            self.last += 1;
            self.last
        });
        let epoch = *self.epoch.get_or_insert(now.mono);
        let watch = self.watches.entry(id).or_insert_with(|| {
            self.due.set(id, next_tick(epoch, interval, now.mono));
            Watch { watched: watched.clone(), interval, by: SortedSet::new() }
        });
        watch.by.insert(watcher);
    }

    /// Takes a watcher away.
    pub fn remove(&mut self, watcher: &Watcher, watched: &Watched, interval: Duration) {
        let wish = (watched.clone(), interval);
        let Some(id) = self.by_wish.get(&wish).copied() else { return };
        let Some(watch) = self.watches.get_mut(&id) else { return };
        watch.by.remove(watcher);
        if watch.by.is_empty() {
            self.watches.remove(&id);
            self.by_wish.remove(&wish);
            self.due.cancel(id);
        }
    }

    /// When something is to be measured next.
    pub fn deadline(&self) -> Option<Instant> {
        if self.ticket.is_some() {
            return None;
        }
        self.due.next()
    }

    /// What is to be measured now.
    pub fn take_due(&mut self, now: Now) -> Vec<Watched> {
        if self.ticket.is_some() {
            return Vec::new();
        }
        self.measuring.clear();
        while let Some(id) = self.due.pop_due(now.mono) {
            self.measuring.push(id);
        }
        self.measuring.sort_unstable();
        self.measuring.iter().filter_map(|id| Some(self.watches.get(id)?.watched.clone())).collect()
    }

    /// The measurement of what was due has begun.
    pub fn begun(&mut self, ticket: u64) {
        self.ticket = Some(ticket);
        self.held_ready = true;
    }

    /// Whether nobody wants anything any more, and the shell is still to be told.
    pub fn take_end(&mut self) -> bool {
        self.watches.is_empty() && std::mem::take(&mut self.held_ready)
    }

    /// A measurement is in, or there was nothing to measure: gives whom it is for, if it is the one
    /// under way, and sets the clocks again.
    pub fn measured(&mut self, ticket: Option<u64>, now: Now) -> Vec<(Watched, Vec<Watcher>)> {
        if self.ticket != ticket {
            return Vec::new();
        }
        self.ticket = None;
        let epoch = self.epoch.unwrap_or(now.mono);
        let mut wanted = Vec::new();
        for id in std::mem::take(&mut self.measuring) {
            let Some(watch) = self.watches.get(&id) else { continue };
            self.due.set(id, next_tick(epoch, watch.interval, now.mono));
            wanted.push((watch.watched.clone(), watch.by.iter().cloned().collect()));
        }
        wanted
    }

    /// Everybody who wants some.
    pub fn watchers(&self) -> impl Iterator<Item = &Watcher> {
        self.watches.values().flat_map(|watch| &watch.by)
    }

    /// When the first clock began, by which all tick.
    pub fn epoch(&self) -> Option<Instant> {
        self.epoch
    }

    /// How many clocks there are.
    pub fn len(&self) -> usize {
        self.watches.len()
    }

    /// Whether nobody wants anything.
    pub fn is_empty(&self) -> bool {
        self.watches.is_empty()
    }
}

/// The first multiple of the interval after now, counted from the epoch.
fn next_tick(epoch: Instant, interval: Duration, now: Instant) -> Instant {
    let passed = now.saturating_duration_since(epoch).as_nanos();
    let into = passed.checked_rem(interval.as_nanos()).unwrap_or(0);
    let into = Duration::from_nanos(u64::try_from(into).unwrap_or(0));
    now + interval - into
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;
    use crate::base::arena::Key;
    use crate::base::ids::Pid;
    use std::time::UNIX_EPOCH;

    const FAST: Duration = Duration::from_millis(100);
    const SLOW: Duration = Duration::from_millis(200);

    fn watcher(index: u32) -> Watcher {
        Watcher::Feed(ConnId(Key { index, generation: 0 }))
    }

    fn watched(pid: u64) -> Watched {
        Watched::Process(Pid(pid))
    }

    #[test]
    fn one_clock_and_one_measurement_for_all_who_want_the_same() {
        let start = Now { mono: Instant::now(), wall: UNIX_EPOCH };
        let after = |millis| start.plus(Duration::from_millis(millis));
        let mut watches = Watches::default();
        watches.add(watcher(1), &watched(1), FAST, start);
        watches.add(watcher(2), &watched(1), FAST, after(30));
        watches.add(watcher(3), &watched(2), SLOW, after(30));
        assert_eq!(watches.len(), 2);
        assert_eq!(watches.deadline(), Some(after(100).mono));
        assert_eq!(watches.take_due(after(100)), [watched(1)]);
        watches.begun(7);
        assert_eq!(watches.deadline(), None, "not before this one is in");
        assert!(watches.take_due(after(150)).is_empty());
        assert!(watches.measured(Some(6), after(150)).is_empty());
        let told = watches.measured(Some(7), after(150));
        assert_eq!(told, [(watched(1), vec![watcher(1), watcher(2)])]);
        // Both tick at 200: one measurement.
        assert_eq!(watches.deadline(), Some(after(200).mono));
        assert_eq!(watches.take_due(after(200)), [watched(1), watched(2)]);
    }

    #[test]
    fn nobody_left_is_no_timer_left() {
        let now = Now { mono: Instant::now(), wall: UNIX_EPOCH };
        let mut watches = Watches::default();
        watches.add(watcher(1), &watched(1), FAST, now);
        watches.add(watcher(2), &watched(1), FAST, now);
        watches.remove(&watcher(1), &watched(1), FAST);
        assert!(watches.deadline().is_some() && !watches.take_end());
        watches.take_due(now.plus(FAST));
        watches.begun(1);
        assert!(!watches.take_end(), "somebody is left");
        watches.remove(&watcher(2), &watched(1), FAST);
        assert!(watches.take_end() && !watches.take_end(), "it is told once");
        assert!(watches.measured(Some(1), now.plus(FAST)).is_empty());
        assert!(watches.is_empty() && watches.deadline().is_none());
    }
}
