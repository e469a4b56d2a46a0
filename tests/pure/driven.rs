//! A whole machine in virtual time, as its clients see it: bytes go in, cut as a network may cut them, and
//! answers come out. What else there is around it, its shell, is each machine's own.

use std::time::Duration;

use gaffer::base::clock::Now;
use gaffer::base::ids::{ConnId, LinkId};
use gaffer::base::process::Signal;
use gaffer::node::machine::Machine;

/// A machine with a clock and a shell.
pub(crate) trait Driven {
    /// What it is.
    type Machine: Machine;

    /// The machine.
    fn machine(&mut self) -> &mut Self::Machine;

    /// What time it is.
    fn clock(&mut self) -> &mut Now;

    /// Does what the machine asks for, until it asks for nothing.
    fn settle(&mut self);

    /// A client sends bytes, cut into pieces of the sizes that `piece` gives; what is long in larger
    /// ones, as everything is looked at behind each.
    fn send(&mut self, conn: ConnId, bytes: &[u8], piece: &mut dyn FnMut() -> usize) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let size = piece().max(rest.len() / 1000);
            let (first, after) = rest.split_at(size.min(rest.len()));
            rest = after;
            let now = *self.clock();
            self.machine().received(conn, first, now);
            self.settle();
        }
    }

    /// A client takes so much of what it is owed.
    fn sent(&mut self, conn: ConnId, count: usize) {
        let now = *self.clock();
        self.machine().sent(conn, count, now);
        self.settle();
    }

    /// Takes what a client is owed.
    fn take_answer(&mut self, conn: ConnId) -> Vec<u8> {
        let mut answer = Vec::new();
        while !self.machine().transmit(conn).is_empty() {
            answer.extend_from_slice(self.machine().transmit(conn));
            let count = self.machine().transmit(conn).len();
            self.sent(conn, count);
        }
        answer
    }

    /// A client ends its own side.
    fn half_close(&mut self, conn: ConnId) {
        let now = *self.clock();
        self.machine().input_ended(conn, now);
        self.settle();
    }

    /// A client is gone.
    fn vanish(&mut self, conn: ConnId) {
        let now = *self.clock();
        self.machine().closed(conn, now);
        self.settle();
    }

    /// The daemon gets a signal.
    fn signal(&mut self, signal: Signal) {
        let now = *self.clock();
        self.machine().signalled(signal, now);
        self.settle();
    }

    /// A connection of its own is there.
    fn link_opened(&mut self, link: LinkId) {
        let now = *self.clock();
        self.machine().link_opened(link, now);
        self.settle();
    }

    /// A connection of its own does not come about.
    fn link_failed(&mut self, link: LinkId, reason: &str) {
        let now = *self.clock();
        self.machine().link_failed(link, reason, now);
        self.settle();
    }

    /// The far end of a connection of its own sends bytes.
    fn link_received(&mut self, link: LinkId, bytes: &[u8]) {
        let now = *self.clock();
        self.machine().link_received(link, bytes, now);
        self.settle();
    }

    /// A connection of its own is no more.
    fn link_closed(&mut self, link: LinkId) {
        let now = *self.clock();
        self.machine().link_closed(link, now);
        self.settle();
    }

    /// Takes what a connection of its own is owed, up to so much.
    fn take_link_output(&mut self, link: LinkId, most: usize) -> Vec<u8> {
        let now = *self.clock();
        let owed = self.machine().link_owed(link);
        let bytes = owed[..owed.len().min(most)].to_vec();
        if !bytes.is_empty() {
            self.machine().link_sent(link, bytes.len(), now);
            self.settle();
        }
        bytes
    }

    /// Whether it wants a connection of its own no more.
    fn link_is_over(&mut self, link: LinkId) -> bool {
        self.machine().link_is_finished(link) && self.machine().link_owed(link).is_empty()
    }

    /// Time passes, deadline after deadline.
    fn advance(&mut self, by: Duration) {
        let target = self.clock().plus(by);
        while let Some(at) = self.machine().deadline().filter(|at| *at <= target.mono) {
            let before = *self.clock();
            let now = before.plus(at.saturating_duration_since(before.mono));
            *self.clock() = now;
            self.machine().on_time(now);
            self.settle();
        }
        *self.clock() = target;
    }
}
