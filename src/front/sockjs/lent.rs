//! Sessions without connections: the application carries their messages, both ways, over something of its
//! own, as the streams of a process. Nobody else can ask for them, they have no timers, and in all else they
//! are sessions as any.

use std::collections::VecDeque;
use std::rc::Rc;

use super::session::{Life, Sent, Session, Who};
use super::Service;
use crate::base::clock::Now;
use crate::base::ids::SessionId;
use crate::front::outbox::Outbox;

impl Service {
    /// Begins a session of that kind. It is not told as opened.
    pub fn lend(&mut self) -> SessionId {
        self.sessions.insert(Session {
            name: None,
            who: Who::nobody(),
            opening: None,
            life: Life::Open,
            outbox: Outbox::new(self.options.queue),
            receiver: None,
            is_lent: true,
            sends: VecDeque::new(),
            paused: false,
            listed: false,
        })
    }

    /// Its client sent this message.
    pub fn brought(&mut self, id: SessionId, message: String) {
        let Some(session) = self.sessions.get_mut(id).filter(|session| session.is_open()) else {
            return;
        };
        session.sends.push_back(Sent { conn: None, messages: VecDeque::from([message]) });
        self.list(id);
    }

    /// Whether what its client sent still waits, because the application has paused it. Whoever carries its
    /// messages brings no more meanwhile, if he can help it.
    pub fn is_behind(&self, id: SessionId) -> bool {
        self.sessions.get(id).is_some_and(|session| !session.sends.is_empty())
    }

    /// How much its client sent that still waits, in pieces.
    pub fn waiting(&self, id: SessionId) -> usize {
        self.sessions.get(id).map_or(0, |session| session.sends.len())
    }

    /// The next message for its client; the session has nothing more of it.
    pub fn carry(&mut self, id: SessionId) -> Option<Rc<str>> {
        let lagged = self.options.lagged;
        self.sessions.get_mut(id)?.next_text(lagged)
    }

    /// Its client is gone.
    pub fn take_back(&mut self, id: SessionId, now: Now) {
        let open = self.sessions.get_mut(id).filter(|session| session.is_open());
        if let Some(session) = open {
            session.sends.clear();
            self.end(id, 1006, "Its client is gone", now);
        }
    }
}
