//! What the shell needs to be part of another program: when to take a turn, calls of other threads, and
//! children that are not all its own.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::calls::Caller;
use super::token::Source;
use super::turn::Reactor;
use crate::base::clock::Now;
use crate::base::limits;
use crate::node::machine::Machine;
use crate::sys::fds::borrowed;

/// What of a process the shell may take for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The signals that are meant for the program (HUP, INT, QUIT, TERM, USR1).
    pub signals: bool,
    /// All children, whoever started them, so that each is reaped and what escaped from a job is found.
    /// Otherwise those that it started itself.
    pub children: bool,
}

impl Share {
    /// Everything: the process is there for the shell.
    pub const ALL: Self = Self { signals: true, children: true };
}

impl<M: Machine> Reactor<M> {
    /// The descriptor on which it sleeps.
    pub fn poll_fd(&self) -> BorrowedFd<'_> {
        borrowed(&self.poll)
    }

    /// How long it may sleep: until something is to be done by itself. `None` is until something happens.
    pub fn idle(&mut self) -> Option<Duration> {
        let now = self.clock.tick().mono;
        match self.is_busy() {
            true => Some(Duration::ZERO),
            false => self.next_deadline().map(|at| at.saturating_duration_since(now)),
        }
    }

    /// Has other threads call the machine.
    pub fn caller(&self) -> Caller<M> {
        self.calls.caller()
    }

    /// Does what other threads want done, up to a turn's share.
    pub(super) fn take_calls(&mut self, now: Now) {
        for _ in 0..limits::CALL_SHARE {
            let Some(call) = self.calls.next() else { return };
            call(&mut self.machine, now);
        }
        self.again.insert(Source::Waker);
    }

    /// Where orphans are another process's, nobody tells us that the last of a group is gone: it is looked
    /// for from time to time, as long as there is such a group.
    pub(super) fn survey_untold(&mut self, now: Now) {
        if !self.children.has_untold() {
            self.survey_at = None;
        } else if self.survey_at.is_none_or(|at| at <= now.mono) {
            if self.survey_at.is_some() {
                self.children.survey_lingering(&mut self.machine, now);
                self.perform_all(now);
            }
            self.survey_at = Some(now.mono + limits::SURVEY_PAUSE);
        }
    }
}
