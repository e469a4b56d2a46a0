//! The whole lookupd in virtual time: requests and messages go in as bytes, answers come out.

use std::net::SocketAddr;
use std::time::{Duration, Instant, UNIX_EPOCH};

use gaffer::base::address::{Address, Cluster};
use gaffer::base::clock::Now;
use gaffer::base::ids::{ConnId, LinkId};
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
    /// Connections that it wants, since these were taken last.
    pub(crate) dialled: Vec<(LinkId, Address)>,
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
            if let Effect::Dial { link, address } = effect {
                self.dialled.push((link, address));
                continue;
            }
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
    pub(crate) fn new(access: Access) -> Self {
        Self::of(access, None)
    }

    /// One that answers from an etcd.
    #[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    pub(crate) fn of(access: Access, store: Option<Cluster>) -> Self {
        let framers = access.origins.clone();
        let legacy = !framers.is_empty();
        let stream =
            sockjs::Options { cookie: true, legacy, framers, ..sockjs::Options::default() };
        let setup = Setup { access, clients: limits::CONNECTIONS, stream, seed: 1, store };
        let now = Now { mono: Instant::now(), wall: UNIX_EPOCH + WALL };
        let (asked, dialled) = (Vec::new(), Vec::new());
        Self { machine: Lookupd::new(setup), now, asked, trusted: false, dialled }
    }

    /// A client on this machine, over TCP.
    pub(crate) fn connect(&mut self) -> ConnId {
        let remote = SocketAddr::from(([127, 0, 0, 1], 40_000));
        self.machine
            .accepted(Peer::Tcp { remote, tls: None }, self.now)
            .expect("there is room for a client")
    }

    /// A request on a connection of its own, and its status and body.
    pub(crate) fn get(&mut self, path: &str) -> (u16, serde_json::Value) {
        let conn = self.connect();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.send(conn, request.as_bytes(), &mut || usize::MAX);
        let answer = String::from_utf8(self.take_answer(conn)).expect("text");
        self.vanish(conn);
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("a status"), serde_json::from_str(body).unwrap_or_default())
    }

    /// The whole machine sleeps, and nobody looks at the clock meanwhile.
    pub(crate) fn oversleep(&mut self, by: Duration) {
        self.now = self.now.plus(by);
    }
}
