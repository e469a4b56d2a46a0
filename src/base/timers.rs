//! Timers: one deadline per owner, cancelled exactly, popped when due. Ties fire in the order in
//! which they were set (as libuv does), so a run can be replayed.

use crate::base::sorted::SortedMap;
use std::time::Instant;

/// A set of timers keyed by their owner. Setting an owner's timer again moves it.
pub struct Timers<K> {
    by_time: SortedMap<(Instant, u64), K>,
    by_owner: SortedMap<K, (Instant, u64)>,
    set_count: u64,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { by_time: SortedMap::new(), by_owner: SortedMap::new(), set_count: 0 }
    }
}

impl<K: Ord + Copy> Timers<K> {
    /// Sets or moves the owner's timer.
    pub fn set(&mut self, owner: K, at: Instant) {
        self.cancel(owner);
        self.set_count += 1;
        self.by_time.insert((at, self.set_count), owner);
        self.by_owner.insert(owner, (at, self.set_count));
    }

    /// Takes the owner's timer away. True if there was one.
    pub fn cancel(&mut self, owner: K) -> bool {
        let Some(slot) = self.by_owner.remove(&owner) else { return false };
        self.by_time.remove(&slot);
        true
    }

    /// When the owner's timer is due.
    pub fn due_at(&self, owner: K) -> Option<Instant> {
        self.by_owner.get(&owner).map(|(at, _)| *at)
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.by_time.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes out the earliest timer that is due.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        let (slot, owner) = self.by_time.first_key_value().map(|(slot, owner)| (*slot, *owner))?;
        if slot.0 > now {
            return None;
        }
        self.by_time.remove(&slot);
        self.by_owner.remove(&owner);
        Some(owner)
    }

    /// Takes out all timers that are due: those that are set meanwhile wait for another call.
    pub fn pop_all_due(&mut self, now: Instant) -> Vec<K> {
        std::iter::from_fn(|| self.pop_due(now)).collect()
    }

    /// How many timers are set.
    pub fn len(&self) -> usize {
        self.by_owner.len()
    }

    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.by_owner.is_empty()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn due_timers_come_in_order_and_ties_in_the_order_set() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        timers.set("late", at(20));
        timers.set("b", at(10));
        timers.set("a", at(10));
        timers.set("moved", at(1));
        timers.set("moved", at(30));
        timers.set("cancelled", at(5));
        assert!(timers.cancel("cancelled"));
        assert!(!timers.cancel("cancelled"));
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.pop_due(at(9)), None);
        let due: Vec<_> = std::iter::from_fn(|| timers.pop_due(at(25))).collect();
        assert_eq!(due, ["b", "a", "late"]);
        assert_eq!(timers.due_at("moved"), Some(at(30)));
        assert_eq!(timers.len(), 1);
    }
}
