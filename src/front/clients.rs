//! All connections of a machine: who they are, when each wants to be looked at, and which of them
//! have something to send. The shell's half of a machine's door is answered from here.

use std::collections::BTreeSet;
use std::time::Instant;

use super::access::CorsHeaders;
use super::conn::{Conn, State};
use super::peer::{Fingerprint, Peer, Tls};
use crate::base::arena::Arena;
use crate::base::clock::Now;
use crate::base::ids::ConnId;
use crate::base::timers::Timers;

/// One client.
pub struct Client {
    /// Its connection.
    pub conn: Conn,
    /// Who it is.
    pub peer: Peer,
    /// What the origin of the request being answered has to see with its answer.
    pub cors: CorsHeaders,
    /// Who changes what with that request, for the audit.
    pub audited: Option<String>,
}

/// All of them.
pub struct Clients {
    arena: Arena<ConnId, Client>,
    most: usize,
    /// When each wants to be looked at.
    patience: Timers<ConnId>,
    dirty: BTreeSet<ConnId>,
}

impl Clients {
    /// None yet, and at most so many at a time.
    pub fn new(most: usize) -> Self {
        Self { arena: Arena::default(), most, patience: Timers::default(), dirty: BTreeSet::new() }
    }

    /// A client connected. `None` refuses it: there are too many.
    pub fn accept(&mut self, peer: Peer, now: Now) -> Option<ConnId> {
        if self.arena.len() >= self.most {
            return None;
        }
        let (conn, cors, audited) = (Conn::new(now), Vec::new(), None);
        let id = self.arena.insert(Client { conn, peer, cors, audited });
        self.touch(id);
        Some(id)
    }

    /// The handshake with a client is over, and it has shown this certificate, or none.
    pub fn secured(&mut self, id: ConnId, certificate: Option<Fingerprint>, now: Now) {
        let Some(client) = self.arena.get_mut(id) else { return };
        if let Peer::Tcp { tls, .. } = &mut client.peer {
            *tls = Some(Tls { certificate });
        }
        // Its first request has as much time as the handshake had.
        if matches!(client.conn.state, State::Fresh) {
            client.conn.since = now.mono;
        }
        self.touch(id);
    }

    /// A client, if it is still there.
    pub fn get(&self, id: ConnId) -> Option<&Client> {
        self.arena.get(id)
    }

    /// A client to change; [`Self::touch`] it afterwards.
    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut Client> {
        self.arena.get_mut(id)
    }

    /// Changes a client's connection, if it is still there, and notes that it changed.
    pub fn change<T>(&mut self, id: ConnId, change: impl FnOnce(&mut Conn) -> T) -> Option<T> {
        let client = self.arena.get_mut(id)?;
        let result = change(&mut client.conn);
        self.touch(id);
        Some(result)
    }

    /// Notes that a connection changed: what it owes, and when it wants to be looked at.
    pub fn touch(&mut self, id: ConnId) {
        let Some(client) = self.arena.get(id) else { return };
        match client.conn.deadline() {
            Some(at) if self.patience.due_at(id) == Some(at) => {}
            Some(at) => self.patience.set(id, at),
            None => {
                self.patience.cancel(id);
            }
        }
        self.dirty.insert(id);
    }

    /// A client is gone.
    pub fn remove(&mut self, id: ConnId) {
        self.arena.remove(id);
        self.patience.cancel(id);
        self.dirty.remove(&id);
    }

    /// Lets time pass for the next connection that waited for it.
    pub fn next_due(&mut self, now: Now) -> Option<ConnId> {
        while let Some(id) = self.patience.pop_due(now.mono) {
            if self.change(id, |conn| conn.on_time(now)).is_some() {
                return Some(id);
            }
        }
        None
    }

    /// When the first of them wants to be looked at.
    pub fn deadline(&self) -> Option<Instant> {
        self.patience.next()
    }

    /// Those that changed since the last call.
    pub fn take_dirty(&mut self) -> Vec<ConnId> {
        std::mem::take(&mut self.dirty).into_iter().collect()
    }

    /// Whether more bytes of this client are taken now.
    pub fn wants_input(&self, id: ConnId) -> bool {
        self.get(id).is_some_and(|client| client.conn.wants_input())
    }

    /// What a client is owed.
    pub fn transmit(&self, id: ConnId) -> &[u8] {
        self.get(id).map_or(&[], |client| client.conn.owed())
    }

    /// Whether nothing more will be owed to it.
    pub fn output_ended(&self, id: ConnId) -> bool {
        self.get(id).is_none_or(|client| client.conn.output_ended())
    }

    /// Whether its connection is to be closed.
    pub fn is_finished(&self, id: ConnId) -> bool {
        self.get(id).is_none_or(|client| client.conn.is_finished())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.arena.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.arena.is_empty()
    }

    /// Checks that every connection is looked at when it wants to be.
    ///
    /// # Errors
    /// The first that is not, in words.
    pub fn sweep(&self) -> Result<(), String> {
        for (id, client) in self.arena.iter() {
            let (due, wanted) = (self.patience.due_at(id), client.conn.deadline());
            if due != wanted {
                return Err(format!("{id:?} waits for {due:?}, not its own time"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;
    use crate::base::limits;
    use std::net::SocketAddr;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_handshake_has_its_time_and_the_first_request_behind_it() {
        let now = Now { mono: Instant::now(), wall: UNIX_EPOCH };
        let remote = SocketAddr::from(([127, 0, 0, 1], 7));
        let peer = Peer::Tcp { remote, tls: Some(Tls::default()) };
        let mut clients = Clients::new(1);
        let id = clients.accept(peer, now).expect("room");
        assert!(clients.accept(peer, now).is_none(), "it counts from the beginning on");
        assert_eq!(clients.deadline(), Some(now.mono + limits::HTTP_FIRST_BYTE));
        let later = now.plus(limits::HTTP_FIRST_BYTE - Duration::from_secs(1));
        let certificate = Some(Fingerprint([7; 32]));
        clients.secured(id, certificate, later);
        assert_eq!(clients.deadline(), Some(later.mono + limits::HTTP_FIRST_BYTE));
        let peer = clients.get(id).map(|client| client.peer);
        assert_eq!(peer, Some(Peer::Tcp { remote, tls: Some(Tls { certificate }) }));
        // Once it has said something, it has the time for that.
        clients.change(id, |conn| conn.received(b"G", later));
        clients.secured(id, certificate, later.plus(Duration::from_secs(1)));
        assert_eq!(clients.deadline(), Some(later.mono + limits::HTTP_HEAD_TIME));
    }
}
