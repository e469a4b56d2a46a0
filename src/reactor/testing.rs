//! A machine that decides nothing, for the tests of this floor: it asks for what a test puts into it
//! and notes what it is told. And a shell around it, in a process of its own.

use std::collections::VecDeque;
use std::time::Instant;

use super::files::Files;
use super::store::Settings;
use super::turn::{Parts, Reactor, Share, World};
use crate::base::arena::Key;
use crate::base::clock::Now;
use crate::base::error::{Errno, Stage};
use crate::base::ids::{ConnId, InstanceId, LinkId, OsPid, StreamNo};
use crate::base::process::Signal;
use crate::base::sorted::SortedMap;
use crate::front::clients::Clients;
use crate::front::peer::{Fingerprint, Peer};
use crate::node::machine::{Configuration, Effect, Machine, StateFile, Usage};
use crate::node::stdins::Stdins;
use crate::supervisor::effect::Start;
use crate::supervisor::facts::{Exit, Stray};
use crate::sys::testing;

/// The machine.
#[derive(Default)]
pub(super) struct Script {
    /// What it asks for at the next opportunity.
    pub(super) asks: Vec<Effect>,
    /// What it starts next.
    pub(super) starts: VecDeque<Start>,
    /// How often it still says that something changed on a connection.
    pub(super) dirty: usize,
    /// Which processes were started.
    pub(super) spawned: Vec<OsPid>,
    /// How much each instance wrote.
    pub(super) heard: SortedMap<InstanceId, usize>,
    /// In how many pieces all of it came.
    pub(super) pieces: usize,
    /// Whether nobody follows it.
    pub(super) unfollowed: bool,
    /// What each wrote, if that is kept.
    pub(super) said: SortedMap<InstanceId, Vec<u8>>,
    pub(super) keeps: bool,
    /// Up to how much of each is taken, where not all is,
    pub(super) most: Option<usize>,
    /// and of which more is taken again.
    pub(super) wanted: Vec<(InstanceId, StreamNo)>,
    /// Which leaders have ended.
    pub(super) ended: Vec<InstanceId>,
    /// What was measured.
    pub(super) sampled: Vec<(u64, Vec<Option<Usage>>)>,
    /// What processes are owed,
    pub(super) stdins: Stdins,
    /// and who reads it no more.
    pub(super) refused: Vec<(InstanceId, Errno)>,
    /// How many clients came,
    pub(super) clients: u32,
    /// which of them have a handshake behind them, and with which certificate,
    pub(super) secured: Vec<(ConnId, Option<Fingerprint>)>,
    /// and how much each of them sent.
    pub(super) received: SortedMap<ConnId, usize>,
    /// What clients are owed,
    pub(super) owed: Vec<u8>,
    /// and what they are owed once they have taken some of that.
    pub(super) owed_next: Vec<u8>,
    /// Its connections to others.
    pub(super) links: SortedMap<LinkId, Linked>,
    pub(super) dirty_links: Vec<LinkId>,
    /// Up to how much of what comes on each is taken, where not all is.
    pub(super) most_linked: Option<usize>,
}

/// A connection to somebody else, and what was told of it.
#[derive(Debug, Default)]
pub(super) struct Linked {
    pub(super) owed: Vec<u8>,
    pub(super) finished: bool,
    pub(super) opened: bool,
    pub(super) failed: Option<String>,
    pub(super) received: Vec<u8>,
    pub(super) closed: bool,
}

struct Nothing;

impl World for Nothing {
    fn read_config(&mut self) -> Result<Configuration, String> {
        Ok(Configuration::default())
    }

    fn reopen_log(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn print(&mut self, _: &str, _: Now) -> bool {
        true
    }
}

/// A shell around a script. Whoever makes one reaps all children of the process, so it is alone.
pub(super) fn reactor(script: Script) -> Reactor<Script> {
    let files = Files::new(std::path::PathBuf::new());
    let (spawner, world, share) = (testing::spawner(), Box::new(Nothing), Share::ALL);
    let parts = Parts { spawner, files, logs: Settings::default(), world, share };
    Reactor::new(script, parts).expect("a poll")
}

/// The key of something in a table.
pub(super) fn key<T: From<Key>>(index: u32) -> T {
    Key { index, generation: 0 }.into()
}

impl Machine for Script {
    fn clients(&self) -> &Clients {
        unreachable!("every question about a client is answered here")
    }

    fn clients_mut(&mut self) -> &mut Clients {
        unreachable!("every question about a client is answered here")
    }

    fn accepted(&mut self, _: Peer, _: Now) -> Option<ConnId> {
        self.clients += 1;
        Some(key(self.clients))
    }

    fn secured(&mut self, conn: ConnId, certificate: Option<Fingerprint>, _: Now) {
        self.secured.push((conn, certificate));
    }

    fn received(&mut self, conn: ConnId, bytes: &[u8], _: Now) {
        *self.received.entry(conn).or_default() += bytes.len();
    }

    fn client_changed(&mut self, _: ConnId, _: Now) {}

    fn input_ended(&mut self, _: ConnId, _: Now) {}

    fn closed(&mut self, _: ConnId, _: Now) {}

    fn wants_input(&self, _: ConnId) -> bool {
        true
    }

    fn transmit(&self, _: ConnId) -> &[u8] {
        &self.owed
    }

    fn sent(&mut self, _: ConnId, count: usize, _: Now) {
        self.owed.drain(..count);
        self.owed.append(&mut self.owed_next);
    }

    fn output_ended(&self, _: ConnId) -> bool {
        false
    }

    fn is_finished(&self, _: ConnId) -> bool {
        false
    }

    fn take_dirty(&mut self) -> Vec<ConnId> {
        let some = self.dirty > 0;
        self.dirty = self.dirty.saturating_sub(1);
        some.then(|| key(u32::MAX)).into_iter().collect()
    }

    fn spawned(&mut self, _: InstanceId, os_pid: OsPid, _: u64, _: Now) {
        self.spawned.push(os_pid);
    }

    fn spawn_failed(&mut self, id: InstanceId, stage: Stage, errno: Errno, _: Now) {
        panic!("{id:?} is not started: {stage}: {errno}");
    }

    fn output(&mut self, id: InstanceId, _: StreamNo, bytes: &[u8], _: Now) -> Option<u64> {
        *self.heard.entry(id).or_default() += bytes.len();
        self.pieces += 1;
        if self.keeps {
            self.said.entry(id).or_default().extend_from_slice(bytes);
        }
        None
    }

    fn is_followed(&self, _: InstanceId, _: StreamNo) -> bool {
        !self.unfollowed
    }

    fn wants_output(&self, id: InstanceId, _: StreamNo) -> bool {
        let heard = self.heard.get(&id).copied().unwrap_or_default();
        self.most.is_none_or(|most| heard < most)
    }

    fn take_wanted_outputs(&mut self) -> Vec<(InstanceId, StreamNo)> {
        std::mem::take(&mut self.wanted)
    }

    fn input_owed(&self, id: InstanceId, stream: StreamNo) -> &[u8] {
        self.stdins.owed(id, stream)
    }

    fn input_taken(&mut self, id: InstanceId, stream: StreamNo, count: usize, _: Now) {
        self.stdins.taken(id, stream, count);
    }

    fn input_refused(&mut self, id: InstanceId, stream: StreamNo, errno: Errno, _: Now) {
        self.stdins.refused(id, stream);
        self.refused.push((id, errno));
    }

    fn input_ends(&self, id: InstanceId, stream: StreamNo) -> bool {
        self.stdins.ends(id, stream)
    }

    fn take_dirty_inputs(&mut self) -> Vec<(InstanceId, StreamNo)> {
        self.stdins.take_dirty()
    }

    fn drained(&mut self, _: InstanceId, _: Now) {}

    fn exited(&mut self, id: InstanceId, _: Exit, _: Now) {
        self.ended.push(id);
    }

    fn group_gone(&mut self, _: InstanceId, _: Now) {}

    fn strayed(&mut self, _: Stray, _: Now) {}

    fn searched(&mut self) {}

    fn node_mark(&self) -> &str {
        "script"
    }

    fn link_opened(&mut self, link: LinkId, _: Now) {
        self.links.entry(link).or_default().opened = true;
    }

    fn link_failed(&mut self, link: LinkId, reason: &str, _: Now) {
        self.links.entry(link).or_default().failed = Some(reason.to_owned());
    }

    fn link_received(&mut self, link: LinkId, bytes: &[u8], _: Now) {
        self.links.entry(link).or_default().received.extend_from_slice(bytes);
    }

    fn link_wants_input(&self, link: LinkId) -> bool {
        let received = self.links.get(&link).map_or(0, |link| link.received.len());
        self.most_linked.is_none_or(|most| received < most)
    }

    fn link_closed(&mut self, link: LinkId, _: Now) {
        self.links.entry(link).or_default().closed = true;
    }

    fn link_owed(&self, link: LinkId) -> &[u8] {
        self.links.get(&link).map_or(&[], |link| &link.owed)
    }

    fn link_sent(&mut self, link: LinkId, count: usize, _: Now) {
        self.links.entry(link).or_default().owed.drain(..count);
    }

    fn link_is_finished(&self, link: LinkId) -> bool {
        self.links.get(&link).is_none_or(|link| link.finished)
    }

    fn take_dirty_links(&mut self) -> Vec<LinkId> {
        std::mem::take(&mut self.dirty_links)
    }

    fn sampled(&mut self, ticket: u64, usages: Vec<Option<Usage>>, _: Now) {
        self.sampled.push((ticket, usages));
    }

    fn stored(&mut self, _: StateFile, _: Result<(), Errno>, _: Now) {}

    fn reconfigured(&mut self, _: Result<Configuration, String>, _: Now) {}

    fn signalled(&mut self, _: Signal, _: Now) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn on_time(&mut self, _: Now) {}

    fn settle(&mut self, _: Now) {}

    fn next_start(&mut self) -> Option<Start> {
        let start = self.starts.pop_front()?;
        self.stdins.open(start.id, &start.order);
        Some(start)
    }

    fn has_starts(&self) -> bool {
        !self.starts.is_empty()
    }

    fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.asks)
    }
}
