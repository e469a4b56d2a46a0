//! What always holds of a node, checked as a whole. Simulations ask for it after each step.

use super::admission::Guest;
use super::gaffer::Gaffer;
use super::usage_history::Keep;
use super::watches::Watcher;
use super::writers::Writer;
use crate::base::ids::{ConnId, SessionId};
use crate::base::sorted::SortedSet;

impl Gaffer {
    /// Checks the supervisor's invariants and the node's own.
    ///
    /// # Errors
    /// The first that does not hold, in words.
    pub fn sweep(&self) -> Result<(), String> {
        self.supervisor.sweep()?;
        if let Some(id) = self.outputs.ids().find(|id| self.supervisor.instance(*id).is_none()) {
            return Err(format!("the output of {id:?} is kept, which is gone"));
        }
        let runs = |id| self.supervisor.instance(id).is_some_and(|i| i.run.is_some());
        self.stdins.sweep(runs)?;
        self.listening.sweep(runs)?;
        self.programs.sweep(runs)?;
        self.forwards.sweep(|conn| self.clients.get(conn).is_some())?;
        self.listeners.sweep(runs)?;
        self.clients.sweep()?;
        self.channel.sweep(&self.clients)?;
        self.hub.sweep()?;
        self.feeds.sweep(&self.clients)?;
        self.links.sweep(|link| {
            self.lookups.owns(link) || self.webhooks.owns(link) || self.forwards.owns(link)
        })?;
        self.webhooks.sweep(&self.state)?;
        self.lookups.sweep(&self.supervisor)?;
        self.guests.sweep(|guest| match guest {
            Guest::Session(session) => self.channel.ids().contains(&session),
            Guest::Conn(conn) => self.feeds.get(conn).is_some() || self.readers.reads(conn),
        })?;
        self.sweep_followers()
    }

    /// Checks that whatever is done for a client ends with it, and that nobody is forgotten.
    fn sweep_followers(&self) -> Result<(), String> {
        if self.channel.has_news() {
            return Err("somebody on the channel is still to be heard".into());
        }
        let sessions: SortedSet<SessionId> = self.channel.ids().into_iter().collect();
        if let Some(session) = self.hub.sessions().find(|session| !sessions.contains(session)) {
            return Err(format!("{session:?} is gone and still follows"));
        }
        if let Some(watcher) = self.hub.watches.watchers().find(|watcher| match watcher {
            Watcher::Session(session, topic) => !self.hub.follows(*session, topic),
            Watcher::Feed(conn) => self.feeds.get(*conn).is_none(),
            Watcher::Node => self.ended || self.usages.keep() != Keep::Always,
        }) {
            return Err(format!("{watcher:?} is measured for and is gone"));
        }
        if let Some(conn) = self.inlets.keys().find(|conn| self.feeds.get(**conn).is_none()) {
            return Err(format!("{conn:?} writes and has no feed"));
        }
        let is_there = |conn: &ConnId| self.clients.get(*conn).is_some();
        self.writers.sweep(&self.stdins, |writer| match writer {
            Writer::Conn(conn) => is_there(conn),
            Writer::Socket(conn, _) => self.feeds.get(*conn).is_some(),
            Writer::Command(session, _) => sessions.contains(session),
        })?;
        self.sendings.sweep(is_there)?;
        self.readers.sweep(is_there)?;
        self.replays.sweep(|session, topic| self.hub.follows(session, topic))?;
        self.waits.sweep(is_there, |session| sessions.contains(session))?;
        self.aligned.sweep(|id| self.supervisor.instance(id).is_some_and(|i| i.run.is_some()))
    }
}
