//! The whole lookupd in virtual time: requests and messages go in as bytes, answers come out.

use std::net::SocketAddr;
use std::time::{Duration, Instant, UNIX_EPOCH};

use gaffer::base::clock::Now;
use gaffer::base::ids::ConnId;
use gaffer::base::limits;
use gaffer::base::process::Signal;
use gaffer::front::access::Access;
use gaffer::front::peer::Peer;
use gaffer::front::sockjs;
use gaffer::lookup::lookupd::{Lookupd, Setup};
use gaffer::node::machine::{Effect, Machine as _};

/// Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110.
const WALL: Duration = Duration::from_secs(784_111_777);

/// A lookupd and its clock.
pub(crate) struct FakeLookupd {
    pub(crate) machine: Lookupd,
    pub(crate) now: Now,
    /// What was asked of the shell, in words, since this was taken last.
    pub(crate) asked: Vec<String>,
    /// Not everything is looked at behind every step: it takes long where there is much.
    pub(crate) trusted: bool,
}

impl FakeLookupd {
    #[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    pub(crate) fn new(access: Access) -> Self {
        let legacy = !access.origins.is_empty();
        let stream = sockjs::Options { cookie: true, legacy, ..sockjs::Options::default() };
        let setup = Setup { access, clients: limits::CONNECTIONS, stream, seed: 1 };
        let now = Now { mono: Instant::now(), wall: UNIX_EPOCH + WALL };
        Self { machine: Lookupd::new(setup), now, asked: Vec::new(), trusted: false }
    }

    /// A client on this machine, over TCP.
    pub(crate) fn connect(&mut self) -> ConnId {
        let remote = SocketAddr::from(([127, 0, 0, 1], 40_000));
        self.machine.accepted(Peer::Tcp { remote }, self.now).expect("there is room for a client")
    }

    /// A client sends bytes, cut into pieces of the sizes that `piece` gives; what is long in larger
    /// ones, as everything is looked at behind each.
    pub(crate) fn send(&mut self, conn: ConnId, bytes: &[u8], piece: &mut dyn FnMut() -> usize) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let size = piece().max(rest.len() / 1000);
            let (first, after) = rest.split_at(size.min(rest.len()));
            rest = after;
            self.machine.received(conn, first, self.now);
            self.settle();
        }
    }

    /// Takes what a client is owed.
    pub(crate) fn take_answer(&mut self, conn: ConnId) -> Vec<u8> {
        let mut answer = Vec::new();
        while !self.machine.transmit(conn).is_empty() {
            answer.extend_from_slice(self.machine.transmit(conn));
            let count = self.machine.transmit(conn).len();
            self.machine.sent(conn, count, self.now);
            self.settle();
        }
        answer
    }

    /// A client takes so much of what it is owed.
    pub(crate) fn sent(&mut self, conn: ConnId, count: usize) {
        self.machine.sent(conn, count, self.now);
        self.settle();
    }

    /// Time passes, deadline after deadline.
    pub(crate) fn advance(&mut self, by: Duration) {
        let target = self.now.plus(by);
        while let Some(at) = self.machine.deadline().filter(|at| *at <= target.mono) {
            self.now = self.now.plus(at.saturating_duration_since(self.now.mono));
            self.machine.on_time(self.now);
            self.settle();
        }
        self.now = target;
    }

    /// The whole machine sleeps, and nobody looks at the clock meanwhile.
    pub(crate) fn oversleep(&mut self, by: Duration) {
        self.now = self.now.plus(by);
    }

    /// A client ends its own side.
    pub(crate) fn half_close(&mut self, conn: ConnId) {
        self.machine.input_ended(conn, self.now);
        self.settle();
    }

    /// A client is gone.
    pub(crate) fn vanish(&mut self, conn: ConnId) {
        self.machine.closed(conn, self.now);
        self.settle();
    }

    /// The daemon gets a signal.
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.machine.signalled(signal, self.now);
        self.settle();
    }

    fn settle(&mut self) {
        self.machine.settle(self.now);
        for effect in self.machine.take_effects() {
            let own = matches!(effect, Effect::Exit(_) | Effect::ReopenLog);
            assert!(own, "a lookupd does not ask for {effect:?}");
            self.asked.push(format!("{effect:?}"));
        }
        if !self.trusted {
            self.machine.sweep().expect("what is always so");
        }
    }
}
