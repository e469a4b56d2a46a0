//! Memory that is free goes back to the kernel, and the pages of the program are let go of: once things are quiet
//! after something that leaves some behind, as the start, a client that has gone, or the end of a process. An
//! allocator keeps what it was given back for the next one who asks, which on a small machine is somebody else.

use std::time::Instant;

use crate::base::clock::Now;
use crate::base::limits;

/// When that is done next.
#[derive(Debug)]
pub(super) struct Settling {
    at: Option<Instant>,
    /// Whether something has ended since it was done.
    ended: bool,
    /// Whether it is done before the loop sleeps again.
    due: bool,
}

impl Default for Settling {
    fn default() -> Self {
        // At the beginning a configuration was read.
        Self { at: None, ended: true, due: false }
    }
}

impl Settling {
    /// Something has ended that had memory. It is done once for all that ends until then.
    pub(super) fn note(&mut self) {
        self.ended = true;
    }

    /// When the loop has to wake for it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.at
    }

    /// Looks whether it is time. Called at the beginning, and then once a turn.
    pub(super) fn settle(&mut self, now: Now) {
        if self.ended && self.at.is_none() {
            self.at = Some(now.mono + limits::SETTLE_AFTER);
        }
        if self.at.is_some_and(|at| at <= now.mono) {
            *self = Self { at: None, ended: false, due: true };
        }
    }

    /// Whether it is to be done now. Said once.
    pub(super) fn is_due(&mut self) -> bool {
        std::mem::take(&mut self.due)
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock::Clock;
    use super::*;

    #[test]
    fn what_ends_in_a_row_is_settled_once_and_then_nothing_wakes_the_loop() {
        let mut settling = Settling::default();
        let Now { mono: begin, wall } = Clock::default().tick();
        let at = |mono| Now { mono, wall };
        settling.settle(at(begin));
        let due = begin + limits::SETTLE_AFTER;
        assert_eq!(settling.deadline(), Some(due));
        settling.note();
        settling.settle(at(begin + limits::SETTLE_AFTER / 2));
        assert_eq!(settling.deadline(), Some(due), "it is not put off");
        assert!(!settling.is_due());
        settling.settle(at(due));
        assert_eq!(settling.deadline(), None);
        assert!(settling.is_due() && !settling.is_due(), "it is done once");
        settling.settle(at(due));
        assert_eq!(settling.deadline(), None, "nothing has ended since");
        settling.note();
        settling.settle(at(due));
        assert_eq!(settling.deadline(), Some(due + limits::SETTLE_AFTER));
    }
}
