//! The nodes' side (the protocol, section 6.2): a websocket becomes a node by saying who it is, and
//! everything that a node says about itself goes with its connection. Nothing that it says wrongly ends
//! that; its silence does.
//!
//! A node that comes back while its old connection is not known to be dead yet finds its place taken.
//! If the old one has been silent for longer than a node is that lives, it loses its place at once. If
//! not, it is asked for a sign of life: with one it stays, and the new one is refused; without one it
//! goes. Until that is decided the new one is neither answered nor heard.

use log::{debug, info};
use serde_json::Value;

use super::identity::{Identity, Named};
use super::links::{Claim, State};
use super::lookupd::Lookupd;
use super::registry::{NodeNo, Refused};
use crate::base::clock::Now;
use crate::base::ids::ConnId;
use crate::base::limits;
use crate::front::live::Say;
use crate::front::refusals::no_handshake;
use crate::front::request::Request;
use crate::front::response::Response;
use crate::wire::lookup::{self, Refusal, What};
use crate::wire::ws::{self, Heard};

/// A node breaks the rules, or is not needed any more (RFC 6455 section 7.4.1).
const POLICY: u16 = 1008;

impl Lookupd {
    /// Makes a node's connection of a request.
    pub(super) fn link(&mut self, conn: ConnId, request: &Request, now: Now) {
        let accept = match ws::handshake(request.method, request.version, &request.headers) {
            Ok(accept) => accept,
            Err(lack) => return self.give(conn, no_handshake(lack), now),
        };
        if self.store.is_some() {
            // What it took would be known to one lookupd alone.
            let reason =
                "this lookupd answers from an etcd, and takes no nodes: have them register there, \
                          with --lookupd-address etcd://HOST:PORT/PREFIX";
            return self.give(conn, Response::error(409, Some(reason)), now);
        }
        if self.ended {
            return self.give(conn, Response::error(503, Some("the lookupd ends")), now);
        }
        if !self.links.open(conn, now) {
            let full = Response::error(503, Some("too many nodes say who they are; try again"));
            return self.give(conn, full.with("Retry-After", "1"), now);
        }
        let Some(client) = self.clients.get_mut(conn) else { return };
        let headers = std::mem::take(&mut client.cors);
        let longest = limits::LOOKUP_READ;
        self.clients.change(conn, |conn| conn.upgrade(&accept, &headers, longest, now));
        self.hear_node(conn, now);
    }

    /// Takes what a node's connection says, as long as it may say something.
    pub(super) fn hear_node(&mut self, conn: ConnId, now: Now) {
        self.note_sign(conn, now);
        while let Some(State::Unknown | State::Node(_)) = self.links.get(conn) {
            let heard = self.clients.change(conn, |conn| conn.hear(now));
            match heard.flatten() {
                Some(Heard::Text(text)) => self.said(conn, &text, now),
                Some(Heard::Binary(_)) => {
                    let refusal = Refusal::new(400, "invalid_json", "a message is a text");
                    self.answer(conn, &Value::Null, Err(refusal), now);
                }
                Some(Heard::Sign) => {}
                Some(Heard::Close | Heard::Over) | None => break,
            }
        }
        if !self.clients.get(conn).is_some_and(|client| client.conn.is_live()) {
            self.unlink(conn, "its connection ended", now);
        }
    }

    fn said(&mut self, conn: ConnId, text: &str, now: Now) {
        if let Some(node) = self.links.heard(conn, now) {
            self.registry.note_seen(node, now.wall);
        }
        match lookup::parse(text) {
            Ok(lookup::Request { msgid, what: What::Identify { name, origin, version } }) => {
                let who = Identity::new(&name, &origin, &version);
                match who.map_err(|detail| Refusal::new(400, "invalid_message", detail)) {
                    Ok(who) => self.identify(conn, msgid, who, now),
                    Err(refusal) => self.answer(conn, &msgid, Err(refusal), now),
                }
            }
            Ok(lookup::Request { msgid, what }) => {
                let done = self.register(conn, what, now);
                self.answer(conn, &msgid, done, now);
            }
            Err(invalid) => self.answer(conn, &invalid.msgid, Err(invalid.refusal), now),
        }
    }

    fn answer(&mut self, conn: ConnId, msgid: &Value, done: Result<(), Refusal>, now: Now) {
        let text = match done {
            Ok(()) => lookup::done(msgid),
            Err(refusal) => lookup::refused(msgid, &refusal),
        };
        self.clients.change(conn, |conn| conn.say(Say::Text(&text), now));
    }

    /// A connection says who it is. It is answered at once, or when it is known whether another that
    /// said the same still lives.
    fn identify(&mut self, conn: ConnId, msgid: Value, who: Identity, now: Now) {
        if let Some(State::Node(_)) = self.links.get(conn) {
            let twice = Refusal::new(409, "", "this connection has said who it is");
            return self.answer(conn, &msgid, Err(twice), now);
        }
        while let Some(rival) = self.registry.node(&who.name, &who.origin) {
            let Some(other) = self.links.conn_of(rival) else {
                return self.answer(conn, &msgid, Err(taken()), now);
            };
            let may_live = !self.links.is_stale(other, now);
            let asked =
                may_live && self.clients.change(other, |conn| conn.probe(now)) == Some(true);
            if asked {
                return self.links.wait(conn, Claim { msgid, who, rival }, other, now);
            }
            self.drop_node(rival, "a newer connection took its place", now);
        }
        let done = match self.registry.add_node(who, now.wall) {
            Ok(change) => {
                info!("node {} is there, at {}", change.node.name, change.node.origin);
                self.links.identify(conn, change.node_no(), now);
                self.tell(&change, now);
                Ok(())
            }
            Err(refused) => Err(words(refused, "")),
        };
        self.answer(conn, &msgid, done, now);
    }

    /// A node says what it has, or has no more.
    fn register(&mut self, conn: ConnId, what: What, now: Now) -> Result<(), Refusal> {
        let node = match (&what, self.links.get(conn)) {
            (What::Ping, _) => return Ok(()),
            (_, Some(State::Node(node))) => *node,
            (_, _) => return Err(words(Refused::NoNode, "")),
        };
        let named = |job: &str| {
            let named = Named::parse(job);
            named
                .map_err(|error| Refusal::new(400, "invalid_message", format!("job_name: {error}")))
        };
        let change = match &what {
            What::Identify { .. } | What::Ping => None,
            What::RegisterJob(job) => {
                let added = self.registry.add_job(node, named(job)?);
                Some(added.map_err(|refused| words(refused, job))?)
            }
            What::UnregisterJob(job) => self.registry.remove_job(node, &named(job)?.text),
            What::RegisterProcess(job, pid) => {
                let added = self.registry.add_process(node, &named(job)?.text, *pid);
                added.map_err(|refused| words(refused, job))?
            }
            What::UnregisterProcess(job, pid) => {
                let removed = self.registry.remove_process(node, &named(job)?.text, *pid);
                removed.map_err(|refused| words(refused, job))?
            }
        };
        if let Some(change) = change {
            debug!("node {}: {what:?}", change.node.name);
            self.tell(&change, now);
        }
        Ok(())
    }

    /// A node that was asked for a sign of life may have given it: who waits for its place is refused.
    fn note_sign(&mut self, conn: ConnId, now: Now) {
        let awaited = self.clients.get(conn).is_none_or(|client| client.conn.awaits_sign());
        if awaited || !self.links.is_probed(conn) {
            return;
        }
        let Some(node) = self.links.take_sign(conn) else { return };
        for waiting in self.links.waiting_for(node) {
            if let Some(claim) = self.links.end_wait(waiting) {
                self.answer(waiting, &claim.msgid, Err(taken()), now);
                self.resumed.insert(waiting);
            }
        }
    }

    /// The time of a node's connection is up.
    pub(super) fn end_patience(&mut self, conn: ConnId, now: Now) {
        match self.links.get(conn) {
            Some(State::Unknown) => {
                let why = "it did not say who it is";
                self.hang_up(conn, why, now);
                self.unlink(conn, why, now);
            }
            Some(State::Waiting(claim)) => {
                let rival = claim.rival;
                self.drop_node(rival, "it gave no sign of life, and another took its place", now);
            }
            Some(State::Node(node)) => {
                let node = *node;
                self.drop_node(node, "it was silent for too long", now);
            }
            None => {}
        }
    }

    /// A node is not one any more, though its connection may live.
    fn drop_node(&mut self, node: NodeNo, why: &str, now: Now) {
        let Some(conn) = self.links.conn_of(node) else { return };
        self.hang_up(conn, why, now);
        self.unlink(conn, why, now);
    }

    fn hang_up(&mut self, conn: ConnId, why: &str, now: Now) {
        self.clients.change(conn, |conn| conn.say(Say::Close(POLICY, why), now));
    }

    /// A connection is a node's no more: the node is gone, with all that it had, and whoever waits for
    /// its place may have it.
    pub(super) fn unlink(&mut self, conn: ConnId, why: &str, now: Now) {
        match self.links.close(conn) {
            Some(State::Node(node)) => {
                if let Some(change) = self.registry.remove_node(node) {
                    info!("node {} is gone: {why}", change.node.name);
                    self.tell(&change, now);
                }
                for waiting in self.links.waiting_for(node) {
                    if let Some(Claim { msgid, who, .. }) = self.links.end_wait(waiting) {
                        self.identify(waiting, msgid, who, now);
                        self.resumed.insert(waiting);
                    }
                }
            }
            Some(State::Unknown | State::Waiting(_)) => {
                debug!("{conn:?}: not known who that was: {why}");
            }
            None => {}
        }
    }
}

fn taken() -> Refusal {
    words(Refused::NodeExists, "")
}

/// The protocol's numbers and words.
fn words(refused: Refused, job: &str) -> Refusal {
    let too_many = |reason: &'static str, most: usize| {
        Refusal::new(503, reason, format!("there may be {most} of them"))
    };
    match refused {
        Refused::NodeExists => {
            Refusal::new(409, "", "another node of this name and origin is connected")
        }
        Refused::NoNode => Refusal::new(404, "need to send IDENTIFY message first", ""),
        Refused::JobExists => Refusal::new(409, format!("job '{job}' is already registered"), ""),
        Refused::NoJob => Refusal::new(404, "", format!("no job {job} is registered")),
        Refused::Nodes => too_many("too_many_nodes", limits::LOOKUP_NODES),
        Refused::Jobs => too_many("too_many_jobs", limits::LOOKUP_NODE_JOBS),
        Refused::Processes => too_many("too_many_processes", limits::LOOKUP_JOB_PROCESSES),
        Refused::Entries => too_many("too_many_entries", limits::LOOKUP_ENTRIES),
    }
}
