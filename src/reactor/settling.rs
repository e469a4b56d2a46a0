//! Memory that is free goes back to the kernel: once things are quiet after something that leaves much of it
//! behind, as the reading of a configuration, a crowd of clients that has gone, or many ends. An allocator keeps
//! what it was given back for the next one who asks, which on a small machine is somebody else.

use std::time::Instant;

use crate::base::clock::Now;
use crate::base::limits;
use crate::sys::heap;

/// When that is done next.
#[derive(Debug)]
pub(super) struct Settling {
    /// At the beginning a configuration was read.
    at: Option<Instant>,
    begun: bool,
}

impl Default for Settling {
    fn default() -> Self {
        Self { at: None, begun: true }
    }
}

impl Settling {
    /// Something has ended that had its memory. It is done once for all that ends until then.
    pub(super) fn note(&mut self) {
        self.begun = true;
    }

    /// When the loop has to wake for it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.at
    }

    /// Does it if it is time. Called once a turn.
    pub(super) fn settle(&mut self, now: Now) {
        if std::mem::take(&mut self.begun) && self.at.is_none() {
            self.at = Some(now.mono + limits::SETTLE_AFTER);
        }
        if self.at.is_some_and(|at| at <= now.mono) {
            self.at = None;
            heap::give_back();
        }
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
        assert_eq!(settling.deadline(), None, "the first turn says when");
        settling.settle(at(begin));
        let due = begin + limits::SETTLE_AFTER;
        assert_eq!(settling.deadline(), Some(due));
        settling.note();
        settling.settle(at(begin + limits::SETTLE_AFTER / 2));
        assert_eq!(settling.deadline(), Some(due), "it is not put off");
        settling.settle(at(due));
        assert_eq!(settling.deadline(), None);
        settling.note();
        settling.settle(at(due));
        assert_eq!(settling.deadline(), Some(due + limits::SETTLE_AFTER));
    }
}
