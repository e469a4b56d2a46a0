//! The machine: it owns the registry, the connections of nodes and clients, and who follows. Bytes come
//! in and go out; nothing here waits, and nothing is kept that is not true now.

use std::time::Instant;

use log::{error, info};
use serde_json::{json, Value};

use super::following::Followers;
use super::links::Links;
use super::listing::Listing;
use super::registry::Registry;
use super::routes::{self, Endpoint};
use super::store::Store;
use crate::base::address::Cluster;
use crate::base::clock::Now;
use crate::base::ids::{ConnId, LinkId};
use crate::base::limits;
use crate::base::process::Signal;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::base::timers::Timers;
use crate::front::access::Access;
use crate::front::clients::Clients;
use crate::front::links::Links as Dials;
use crate::front::live::Say;
use crate::front::router::Router;
use crate::front::sockjs::{Options, Service};
use crate::node::machine::{Configuration, Effect, Machine};
use crate::wire::channel;

/// The lookupd.
pub struct Lookupd {
    pub(super) registry: Registry,
    pub(super) clients: Clients,
    /// The websockets of nodes.
    pub(super) links: Links,
    /// Those that did not listen for a while, and may do so again.
    pub(super) resumed: SortedSet<ConnId>,
    /// The sessions of the event stream,
    pub(super) stream: Service,
    /// and how far each of them has been told.
    pub(super) followers: Followers,
    /// Answers that go on.
    pub(super) listings: SortedMap<ConnId, Listing>,
    /// Those of them that were interrupted for the sake of the others, and go on in the next turn.
    pub(super) interrupted: Timers<ConnId>,
    pub(super) access: Access,
    pub(super) routes: Router<Endpoint>,
    pub(super) ended: bool,
    /// From where it knows what it knows, if not from nodes,
    pub(super) store: Option<Store>,
    /// and the connections to that.
    pub(super) dials: Dials,
    pub(super) effects: Vec<Effect>,
}

/// What a lookupd has to be told of its world.
pub struct Setup {
    /// Who may talk to it.
    pub access: Access,
    /// Most clients at a time, nodes included.
    pub clients: usize,
    /// How the event stream behaves, but for what is said on it.
    pub stream: Options,
    /// Makes its entropy, which is no secret.
    pub seed: u64,
    /// The etcd from which it answers, instead of from what nodes say.
    pub store: Option<Cluster>,
}

impl Lookupd {
    /// One that knows nobody.
    pub fn new(setup: Setup) -> Self {
        let stream = Options { lagged: channel::lagged, ..setup.stream };
        Self {
            registry: Registry::default(),
            clients: Clients::new(setup.clients),
            links: Links::default(),
            resumed: SortedSet::new(),
            stream: Service::new("/lookup", stream, setup.seed),
            followers: Followers::default(),
            listings: SortedMap::new(),
            interrupted: Timers::default(),
            access: setup.access,
            routes: routes::router(),
            ended: false,
            store: setup.store.map(|cluster| Store::new(cluster, setup.seed)),
            dials: Dials::default(),
            effects: Vec::new(),
        }
    }

    /// What it knows, to look at.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A connection changed: goes on with it as far as that is possible now, and with those for which
    /// that makes a difference.
    fn changed(&mut self, conn: ConnId, now: Now) {
        self.drive(conn, now);
        self.settle_all(now);
    }

    fn drive(&mut self, conn: ConnId, now: Now) {
        if self.stream.owns(conn) {
            self.stream.conn_changed(conn, &mut self.clients, now);
        } else if self.links.get(conn).is_some() {
            self.hear_node(conn, now);
        } else if self.listings.contains_key(&conn) {
            self.go_on(conn, now);
        }
        self.serve(conn, now);
    }

    /// Carries on with everything that an input has caused.
    pub(super) fn settle_all(&mut self, now: Now) {
        while let Some(conn) = self.resumed.pop_first() {
            self.drive(conn, now);
        }
        self.serve_stream(now);
    }

    fn drop_client(&mut self, conn: ConnId, now: Now) {
        self.stream.conn_gone(conn, &mut self.clients, now);
        self.unlink(conn, "its connection is closed", now);
        self.drop_listing(conn);
        self.resumed.remove(&conn);
        self.clients.remove(conn);
        self.settle_all(now);
    }

    /// Everything ends: nodes and followers are told, and nothing of what that changes.
    fn end(&mut self, signal: Signal, now: Now) {
        const REASON: &str = "the lookupd ends";
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        info!("{signal}: the end");
        for session in self.stream.ids() {
            self.stream.close(session, 1001, REASON, &mut self.clients, now);
        }
        for conn in self.links.all() {
            self.links.close(conn);
            self.clients.change(conn, |conn| conn.say(Say::Close(1001, REASON), now));
        }
        self.end_store(now);
        self.serve_stream(now);
        self.effects.push(Effect::Exit(0));
    }

    /// How much of everything there is.
    pub(super) fn counters(&self) -> Value {
        let (counts, stream) = (self.registry.counts(), self.stream.counts());
        let mut counters = json!({
            "connections": self.clients.len(),
            "unidentified": self.links.unidentified(),
            "nodes": counts.nodes,
            "names": counts.names,
            "jobs": counts.jobs,
            "processes": counts.processes,
            "listings": self.listings.len(),
            "followers": self.followers.len(),
            "snapshots": self.followers.behind(),
            "sessions": stream.sessions,
            "session_receivers": stream.receivers,
            "session_timers": stream.timers,
            "queued_bytes": stream.queued,
        });
        if let Some(store) = &self.store {
            counters["store"] = store.counters();
            counters["links"] = self.dials.len().into();
        }
        counters
    }

    /// Checks what is always so between two inputs.
    ///
    /// # Errors
    /// The first that is not, in words.
    pub fn sweep(&self) -> Result<(), String> {
        self.registry.sweep()?;
        self.clients.sweep()?;
        self.links.sweep()?;
        self.stream.sweep(&self.clients)?;
        if self.stream.has_news() || !self.resumed.is_empty() {
            return Err("somebody is still to be heard".into());
        }
        for conn in self.links.all() {
            if !self.clients.get(conn).is_some_and(|client| client.conn.is_live()) {
                return Err(format!("{conn:?} is over and still a node's"));
            }
        }
        self.dials.sweep(|link| self.store.as_ref().is_some_and(|store| store.owns(link)))?;
        if !self.ended && self.store.is_none() {
            let lost = self.registry.nodes(None).find(|(no, ..)| self.links.conn_of(*no).is_none());
            if let Some((no, ..)) = lost {
                return Err(format!("{no:?} has no connection and is still there"));
            }
        }
        for conn in self.listings.keys() {
            let client = self.clients.get(*conn);
            let waits = self.interrupted.due_at(*conn).is_some();
            if !client
                .is_some_and(|client| waits || client.conn.is_live() && !client.conn.has_room())
            {
                return Err(format!("the answer on {conn:?} does not go on"));
            }
        }
        match self.is_complete() {
            true => self.followers.sweep(&self.stream),
            false => Ok(()),
        }
    }
}

impl Machine for Lookupd {
    fn clients(&self) -> &Clients {
        &self.clients
    }

    fn clients_mut(&mut self) -> &mut Clients {
        &mut self.clients
    }

    fn client_changed(&mut self, conn: ConnId, now: Now) {
        self.changed(conn, now);
    }

    fn closed(&mut self, conn: ConnId, now: Now) {
        self.drop_client(conn, now);
    }

    fn reconfigured(&mut self, read: Result<Configuration, String>, _: Now) {
        if let Err(reason) = read {
            error!("the certificates stay as they were: {reason}");
        }
    }

    fn signalled(&mut self, signal: Signal, now: Now) {
        match signal {
            Signal::TERM | Signal::INT | Signal::QUIT => self.end(signal, now),
            Signal::USR1 => self.effects.push(Effect::ReopenLog),
            Signal::HUP => {
                info!("SIGHUP: reading the certificates again");
                self.effects.push(Effect::ReadConfig);
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let all = [
            self.clients.deadline(),
            self.links.deadline(),
            self.stream.deadline(),
            self.interrupted.next(),
            self.dials.deadline(),
            self.store.as_ref().and_then(Store::deadline),
        ];
        all.into_iter().flatten().min()
    }

    fn on_time(&mut self, now: Now) {
        // The time of all that are left is still over, and the next turn comes at once.
        for _ in 0..limits::DUE_SHARE {
            let Some(conn) = self.clients.next_due(now) else { break };
            self.drive(conn, now);
        }
        while let Some(conn) = self.links.next_due(now) {
            self.end_patience(conn, now);
        }
        self.stream.on_time(&mut self.clients, now);
        self.pass_store_time(now);
        for conn in self.interrupted.pop_all_due(now.mono) {
            self.drive(conn, now);
        }
        self.settle_all(now);
    }

    fn link_opened(&mut self, link: LinkId, now: Now) {
        self.store_opened(link, now);
    }

    fn link_failed(&mut self, link: LinkId, reason: &str, now: Now) {
        self.store_lost(link, reason, now);
    }

    fn link_received(&mut self, link: LinkId, bytes: &[u8], now: Now) {
        self.store_received(link, bytes, now);
    }

    fn link_closed(&mut self, link: LinkId, now: Now) {
        self.store_lost(link, "it has closed the connection", now);
    }

    fn link_owed(&self, link: LinkId) -> &[u8] {
        self.dials.owed(link)
    }

    fn link_sent(&mut self, link: LinkId, count: usize, _: Now) {
        self.dials.sent(link, count);
    }

    fn link_is_finished(&self, link: LinkId) -> bool {
        self.dials.is_finished(link)
    }

    fn take_dirty_links(&mut self) -> Vec<LinkId> {
        self.dials.take_dirty()
    }

    fn settle(&mut self, now: Now) {
        self.begin_store(now);
    }

    fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }
}
