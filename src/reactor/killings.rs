//! Whether a process that was killed was killed by the kernel for want of memory. Nobody says that of a
//! process; what there is is a counter for the whole control group. So each of our processes that SIGKILL
//! ended and that could be meant takes one of what the counter has grown by, and one that finds nothing there
//! was not it.

use std::time::Instant;

use crate::base::limits;
use crate::sys::memory::OomKills;

/// What the counter has said.
pub(super) struct Killings {
    counter: OomKills,
    /// What it said last, if it says anything.
    counted: Option<u64>,
    /// What it grew by and nobody's end was seen for,
    unclaimed: u64,
    /// and when that was noticed.
    noticed: Option<Instant>,
}

impl Killings {
    /// From what the counter says now on.
    pub(super) fn new(counter: OomKills) -> Self {
        let counted = counter.count();
        Self { counter, counted, unclaimed: 0, noticed: None }
    }

    /// Looks at the counter. What was killed a while ago without an end that we have seen was none of our
    /// leaders, and nobody else's SIGKILL is taken for it.
    pub(super) fn look(&mut self, now: Instant) {
        let count = self.counter.count();
        let old = |at| now.saturating_duration_since(at) > limits::OOM_CLAIM;
        if self.noticed.is_some_and(old) {
            self.unclaimed = 0;
        }
        let grown = count.zip(self.counted).map_or(0, |(now, before)| now.saturating_sub(before));
        if grown > 0 {
            self.unclaimed += grown;
            self.noticed = Some(now);
        }
        self.counted = count;
    }

    /// Whether the end of a process that SIGKILL ended is one that the counter knows of.
    pub(super) fn claim(&mut self, now: Instant) -> bool {
        self.look(now);
        let is_one = self.unclaimed > 0;
        self.unclaimed = self.unclaimed.saturating_sub(1);
        is_one
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Duration;

    #[test]
    fn each_killing_is_one_process_and_none_is_claimed_late() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("memory.events");
        let says = |count: u64| fs::write(&path, format!("oom_kill {count}\n")).expect("written");
        says(7);
        let mut killings = Killings::new(OomKills::at(Some(&path)));
        let start = Instant::now();
        assert!(!killings.claim(start), "those were before us");
        says(9);
        assert!(killings.claim(start) && killings.claim(start + limits::OOM_CLAIM));
        assert!(!killings.claim(start + limits::OOM_CLAIM), "only two were killed");
        says(10);
        killings.look(start);
        let late = start + limits::OOM_CLAIM + Duration::from_millis(1);
        assert!(!killings.claim(late), "that was somebody's child");
        says(3);
        assert!(!killings.claim(late), "another group's counter");
        assert!(!Killings::new(OomKills::at(None)).claim(start), "nobody can know");
    }
}
