//! The connections of nodes: who has said who they are, who has not yet, and who has to wait because
//! somebody else says the same. It is a table; the machine changes it. Each connection has one timer,
//! and its state says for what.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::identity::Identity;
use super::registry::NodeNo;
use crate::base::clock::Now;
use crate::base::ids::ConnId;
use crate::base::limits;
use crate::base::sorted::SortedMap;
use crate::base::timers::Timers;

/// All of them.
#[derive(Default)]
pub(super) struct Links {
    links: SortedMap<ConnId, Link>,
    conns: SortedMap<NodeNo, ConnId>,
    timers: Timers<ConnId>,
}

/// One of them.
struct Link {
    state: State,
    /// When it began.
    since: Instant,
    /// When it said something last.
    heard: Instant,
    /// It was asked for a sign of life, because somebody waits for its place.
    probed: bool,
}

/// Who a connection is.
#[derive(Debug)]
pub(super) enum State {
    /// It has not said so yet. Its timer ends it.
    Unknown,
    /// It has, but another node of that name and origin is there, and is asked for a sign of life. Its
    /// timer gives it the place of that.
    Waiting(Box<Claim>),
    /// A node. Its timer ends it when it is silent.
    Node(NodeNo),
}

/// What a connection that waits wants to be.
#[derive(Debug)]
pub(super) struct Claim {
    /// Of the message that is still to be answered.
    pub(super) msgid: Value,
    /// Who it says it is.
    pub(super) who: Identity,
    /// Who has that place.
    pub(super) rival: NodeNo,
}

impl Links {
    /// A connection begins. False if there are too many of which nobody knows who they are.
    pub(super) fn open(&mut self, conn: ConnId, now: Now) -> bool {
        if self.unidentified() >= limits::LOOKUP_UNIDENTIFIED {
            return false;
        }
        let (since, heard) = (now.mono, now.mono);
        self.links.insert(conn, Link { state: State::Unknown, since, heard, probed: false });
        self.timers.set(conn, since + limits::LOOKUP_IDENTIFY);
        true
    }

    /// A connection is over. Gives who it was.
    pub(super) fn close(&mut self, conn: ConnId) -> Option<State> {
        let link = self.links.remove(&conn)?;
        self.timers.cancel(conn);
        if let State::Node(node) = link.state {
            self.conns.remove(&node);
        }
        Some(link.state)
    }

    /// Who a connection is, if it is one of a node.
    pub(super) fn get(&self, conn: ConnId) -> Option<&State> {
        self.links.get(&conn).map(|link| &link.state)
    }

    /// The connection of a node.
    pub(super) fn conn_of(&self, node: NodeNo) -> Option<ConnId> {
        self.conns.get(&node).copied()
    }

    /// A connection said something; gives which node it is of.
    pub(super) fn heard(&mut self, conn: ConnId, now: Now) -> Option<NodeNo> {
        let link = self.links.get_mut(&conn)?;
        link.heard = now.mono;
        let State::Node(node) = link.state else { return None };
        self.timers.set(conn, now.mono + limits::LOOKUP_SILENCE);
        Some(node)
    }

    /// Whether a connection has said nothing for longer than a node that lives.
    pub(super) fn is_stale(&self, conn: ConnId, now: Now) -> bool {
        let heard = self.links.get(&conn).map(|link| link.heard);
        heard.is_none_or(|heard| heard + limits::LOOKUP_STALE < now.mono)
    }

    /// It is known who a connection is.
    pub(super) fn identify(&mut self, conn: ConnId, node: NodeNo, now: Now) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        link.state = State::Node(node);
        link.heard = now.mono;
        self.conns.insert(node, conn);
        self.timers.set(conn, now.mono + limits::LOOKUP_SILENCE);
    }

    /// A connection waits for the place of another, which is asked for a sign of life.
    pub(super) fn wait(&mut self, conn: ConnId, claim: Claim, rival: ConnId, now: Now) {
        if let Some(rival) = self.links.get_mut(&rival) {
            rival.probed = true;
        }
        let Some(link) = self.links.get_mut(&conn) else { return };
        link.state = State::Waiting(Box::new(claim));
        self.timers.set(conn, now.mono + limits::LOOKUP_PROBE);
    }

    /// A connection waits no more. Gives what it wanted to be.
    pub(super) fn end_wait(&mut self, conn: ConnId) -> Option<Claim> {
        let link = self.links.get_mut(&conn)?;
        match std::mem::replace(&mut link.state, State::Unknown) {
            State::Waiting(claim) => {
                self.timers.set(conn, link.since + limits::LOOKUP_IDENTIFY);
                Some(*claim)
            }
            other @ (State::Unknown | State::Node(_)) => {
                link.state = other;
                None
            }
        }
    }

    /// A node that was asked for it gave a sign of life; gives the node, once.
    pub(super) fn take_sign(&mut self, conn: ConnId) -> Option<NodeNo> {
        let link = self.links.get_mut(&conn)?;
        let State::Node(node) = link.state else { return None };
        std::mem::take(&mut link.probed).then_some(node)
    }

    /// Whether somebody waits for a sign of life of this connection.
    pub(super) fn is_probed(&self, conn: ConnId) -> bool {
        self.links.get(&conn).is_some_and(|link| link.probed)
    }

    /// The connections that wait for the place of a node.
    pub(super) fn waiting_for(&self, node: NodeNo) -> Vec<ConnId> {
        let waits = |link: &Link| matches!(&link.state, State::Waiting(c) if c.rival == node);
        self.links.iter().filter(|(_, link)| waits(link)).map(|(conn, _)| *conn).collect()
    }

    /// All connections.
    pub(super) fn all(&self) -> Vec<ConnId> {
        self.links.keys().copied().collect()
    }

    /// How many have not become nodes.
    pub(super) fn unidentified(&self) -> usize {
        self.links.len() - self.conns.len()
    }

    /// When [`Self::next_due`] has one.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The next connection whose time is up. Where that is noticed late it is we who have slept, and
    /// what came meanwhile is still to be read: it has its time once more.
    pub(super) fn next_due(&mut self, now: Now) -> Option<ConnId> {
        while let Some(due) = self.timers.next() {
            let conn = self.timers.pop_due(now.mono)?;
            if now.mono < due + limits::LOOKUP_LATE {
                return Some(conn);
            }
            let again: Duration = match self.get(conn)? {
                State::Unknown => limits::LOOKUP_IDENTIFY,
                State::Waiting(_) => limits::LOOKUP_PROBE,
                State::Node(_) => limits::LOOKUP_HEARTBEAT,
            };
            self.timers.set(conn, now.mono + again);
        }
        None
    }

    /// Checks that every connection has its timer, and every node its connection.
    ///
    /// # Errors
    /// The first that has not, in words.
    pub(super) fn sweep(&self) -> Result<(), String> {
        for (conn, link) in &self.links {
            if self.timers.due_at(*conn).is_none() {
                return Err(format!("{conn:?} waits without a timer"));
            }
            match &link.state {
                State::Unknown => {}
                State::Waiting(claim) => {
                    let rival = self.conn_of(claim.rival);
                    if !rival.is_some_and(|rival| self.is_probed(rival)) {
                        return Err(format!("{conn:?} waits for nobody"));
                    }
                }
                State::Node(node) if self.conn_of(*node) == Some(*conn) => {}
                State::Node(node) => return Err(format!("{node:?} has another connection")),
            }
        }
        if self.timers.len() != self.links.len() {
            return Err("a timer is left of a connection that is gone".into());
        }
        let lost = self.conns.values().find(|conn| !self.links.contains_key(conn));
        lost.map_or(Ok(()), |conn| Err(format!("{conn:?} is gone and still a node's")))
    }
}
