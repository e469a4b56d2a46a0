//! A whole machine in virtual time, as its clients see it: bytes go in, cut as a network may cut them, and
//! answers come out. What else there is around it, its shell, is each machine's own.

use std::time::Duration;

use gaffer::base::clock::Now;
use gaffer::base::ids::ConnId;
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
