//! Memory that is free goes back to the kernel, and the pages of the program are let go of: once things are quiet
//! after something that leaves much behind, as the reading of a configuration, a crowd of clients that has gone, or
//! many ends. An allocator keeps what it was given back for the next one who asks, which on a small machine is
//! somebody else.

use std::time::Instant;

use crate::base::clock::Now;
use crate::base::limits;
use crate::sys::heap;

/// So many ends of small things leave enough behind.
const CROWD: u32 = 64;

/// When that is done next.
#[derive(Debug)]
pub(super) struct Settling {
    /// At the beginning a configuration was read.
    at: Option<Instant>,
    /// How much has ended since it was done.
    ended: u32,
    /// Whether it is done before the loop sleeps again.
    due: bool,
}

impl Default for Settling {
    fn default() -> Self {
        Self { at: None, ended: CROWD, due: false }
    }
}

impl Settling {
    /// Something has ended that had a little memory, as a connection. It is done once for all that ends until then.
    pub(super) fn note(&mut self) {
        self.ended = self.ended.saturating_add(1);
    }

    /// Something has ended that had much, as the reading of a configuration.
    pub(super) fn note_much(&mut self) {
        self.ended = self.ended.saturating_add(CROWD);
    }

    /// When the loop has to wake for it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.at
    }

    /// Looks whether it is time. Called at the beginning, and then once a turn.
    pub(super) fn settle(&mut self, now: Now) {
        if self.ended >= CROWD && self.at.is_none() {
            self.at = Some(now.mono + limits::SETTLE_AFTER);
        }
        if self.at.is_some_and(|at| at <= now.mono) {
            *self = Self { at: None, ended: 0, due: true };
        }
    }

    /// Does it when it is time. Called as the last thing before the loop sleeps: what is let go of would be needed
    /// again for the rest of a turn.
    pub(super) fn rest(&mut self) {
        if std::mem::take(&mut self.due) {
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
        settling.settle(at(begin));
        let due = begin + limits::SETTLE_AFTER;
        assert_eq!(settling.deadline(), Some(due));
        settling.note_much();
        settling.settle(at(begin + limits::SETTLE_AFTER / 2));
        assert_eq!(settling.deadline(), Some(due), "it is not put off");
        settling.settle(at(due));
        assert_eq!(settling.deadline(), None);
        for _ in 1..CROWD {
            settling.note();
        }
        settling.settle(at(due));
        assert_eq!(settling.deadline(), None, "that is not much");
        settling.note();
        settling.settle(at(due));
        assert_eq!(settling.deadline(), Some(due + limits::SETTLE_AFTER));
    }
}
