//! The whole lookupd in virtual time: requests and messages go in as bytes, answers come out.

use std::net::SocketAddr;
use std::time::{Duration, Instant, UNIX_EPOCH};

use gaffer::base::clock::Now;
use gaffer::base::ids::ConnId;
use gaffer::base::limits;
use gaffer::front::access::Access;
use gaffer::front::peer::Peer;
use gaffer::front::sockjs;
use gaffer::lookup::lookupd::{Lookupd, Setup};
use gaffer::node::machine::{Effect, Machine as _};

use crate::driven::Driven;

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

impl Driven for FakeLookupd {
    type Machine = Lookupd;

    fn machine(&mut self) -> &mut Lookupd {
        &mut self.machine
    }

    fn clock(&mut self) -> &mut Now {
        &mut self.now
    }

    fn settle(&mut self) {
        self.machine.settle(self.now);
        for effect in self.machine.take_effects() {
            let own = matches!(effect, Effect::Exit(_) | Effect::ReopenLog | Effect::ReadConfig);
            assert!(own, "a lookupd does not ask for {effect:?}");
            self.asked.push(format!("{effect:?}"));
        }
        if !self.trusted {
            self.machine.sweep().expect("what is always so");
        }
    }
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
        self.machine
            .accepted(Peer::Tcp { remote, tls: None }, self.now)
            .expect("there is room for a client")
    }

    /// The whole machine sleeps, and nobody looks at the clock meanwhile.
    pub(crate) fn oversleep(&mut self, by: Duration) {
        self.now = self.now.plus(by);
    }
}
