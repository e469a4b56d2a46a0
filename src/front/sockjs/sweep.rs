//! What a service holds, to be shown, and what is always so, to be checked in tests.

use super::session::{Life, Way};
use super::{Role, Service};
use crate::front::clients::Clients;

/// How much a service holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sessions, those that are over and still tell so included.
    pub sessions: usize,
    /// Connections that receive.
    pub receivers: usize,
    /// Requests with messages that nobody took yet.
    pub senders: usize,
    /// Bytes that wait for their receivers.
    pub queued: usize,
    /// Timers.
    pub timers: usize,
    /// Messages that were ever dropped because their readers did not keep up.
    pub lost: u64,
}

impl Service {
    /// How much it holds now.
    pub fn counts(&self) -> Counts {
        let receivers =
            self.conns.values().filter(|role| matches!(role, Role::Receiver(_))).count();
        Counts {
            sessions: self.sessions.len(),
            receivers,
            senders: self.conns.len() - receivers,
            queued: self.sessions.iter().map(|(_, session)| session.outbox.bytes()).sum(),
            timers: self.timers.len(),
            lost: self.lost,
        }
    }

    /// Whether there may be something to take with [`Service::next`].
    pub fn has_news(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Checks what is always so between two calls, once everything that happened was taken.
    ///
    /// # Errors
    /// The first that is not, in words.
    pub fn sweep(&self, clients: &Clients) -> Result<(), String> {
        self.sweep_tables()?;
        for (id, session) in self.sessions.iter() {
            let fail = |what: &str| Err(format!("{}: {id:?} {what}", self.prefix));
            let over = matches!(session.life, Life::Over { .. });
            let Some(receiver) = &session.receiver else {
                if session.name.is_none() && !over && !session.is_lent {
                    return fail("has neither a name nor a receiver, and is not over");
                }
                if session.name.is_some() != self.timers.due_at(id).is_some() {
                    return fail("waits without a timer, or has one in vain");
                }
                continue;
            };
            let timed = self.timers.due_at(id).is_some();
            if timed == matches!(receiver.way, Way::Raw) {
                return fail("beats without a timer, or has one in vain");
            }
            if over {
                return fail("is over and has a receiver");
            }
            if self.conns.get(&receiver.conn) != Some(&Role::Receiver(id)) {
                return fail("has a receiver that does not know it");
            }
            let Some(client) = clients.get(receiver.conn) else {
                return fail("has a receiver that is gone");
            };
            let idle = match receiver.way {
                Way::Poll(_) => true,
                Way::Stream(_) | Way::Socket | Way::Raw => client.conn.has_room(),
            };
            if idle && !session.outbox.is_empty() {
                return fail("keeps what its receiver has room for");
            }
        }
        Ok(())
    }

    fn sweep_tables(&self) -> Result<(), String> {
        let fail = |what: &str| Err(format!("{}: {what}", self.prefix));
        for (name, id) in &self.names {
            let named = self.sessions.get(*id).and_then(|session| session.name.as_ref());
            if named != Some(name) {
                return fail("a name leads to another session");
            }
        }
        let named = self.sessions.iter().filter(|(_, session)| session.name.is_some()).count();
        if named != self.names.len() {
            return fail("a session cannot be found by its name");
        }
        for (conn, role) in &self.conns {
            let known = match role {
                Role::Receiver(id) => {
                    let session = self.sessions.get(*id);
                    session.and_then(|s| s.receiver.as_ref()).is_some_and(|r| r.conn == *conn)
                }
                Role::Sender(id) => self.sessions.get(*id).is_some_and(|session| {
                    session.sends.iter().any(|s| s.conn.is_some_and(|(known, _)| known == *conn))
                }),
            };
            if !known {
                return fail("a connection belongs to a session that does not know it");
            }
        }
        let listed = self.sessions.iter().filter(|(_, session)| session.listed).count();
        if self.ready.iter().filter(|id| self.sessions.get(**id).is_some()).count() != listed {
            return fail("a session is listed twice, or not where it should be");
        }
        Ok(())
    }
}
