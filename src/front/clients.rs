//! All connections of a machine: who they are, when each wants to be looked at, and which of them
//! have something to send. The shell's half of a machine's door is answered from here.

use std::time::Instant;

use log::debug;

use super::access::CorsHeaders;
use super::conn::{Conn, State};
use super::held::Held;
use super::peer::{Fingerprint, Peer, Tls};
use crate::base::arena::Arena;
use crate::base::clock::Now;
use crate::base::ids::ConnId;
use crate::base::limits;
use crate::base::sorted::SortedSet;
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

/// The words for how clients come,
pub const WAYS: [&str; 3] = ["tcp", "tls", "unix"];
/// and for what they use their connections.
pub const USES: [&str; 3] = ["http", "stream", "websocket"];

/// All of them.
pub struct Clients {
    arena: Arena<ConnId, Client>,
    most: usize,
    /// When each wants to be looked at.
    patience: Timers<ConnId>,
    /// Since when each has waited that waits for its client.
    waiting: Timers<ConnId>,
    held: Held,
    dirty: SortedSet<ConnId>,
}

impl Clients {
    /// None yet, and at most so many at a time.
    pub fn new(most: usize) -> Self {
        Self {
            arena: Arena::default(),
            most,
            patience: Timers::default(),
            waiting: Timers::default(),
            held: Held::default(),
            dirty: SortedSet::new(),
        }
    }

    /// A client connected. `None` refuses it: there are too many.
    pub fn accept(&mut self, peer: Peer, now: Now) -> Option<ConnId> {
        let kept = match peer {
            Peer::Unix { .. } => 0,
            Peer::Tcp { .. } => self.most / limits::CONNECTIONS_OWN,
        };
        let room = (self.most - kept).saturating_sub(self.arena.len());
        let spare = self.most / limits::CONNECTIONS_SPARE;
        if spare > 0 && room <= spare {
            self.make_room(now);
        }
        if room == 0 {
            return None;
        }
        let (conn, cors, audited) = (Conn::new(now), Vec::new(), None);
        let id = self.arena.insert(Client { conn, peer, cors, audited });
        self.touch(id);
        Some(id)
    }

    /// Cuts off whoever has waited longest for his client.
    fn make_room(&mut self, now: Now) {
        if let Some(id) = self.waiting.pop_due(now.mono) {
            self.cut_off(id, "it makes room for others");
        }
    }

    fn cut_off(&mut self, id: ConnId, why: &str) {
        let Some(client) = self.arena.get_mut(id) else { return };
        debug!("{}: cut off, {why}", client.peer);
        client.conn.give_up();
        self.note(id);
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

    /// Notes that a connection changed: what it owes and holds, and when it wants to be looked at.
    pub fn touch(&mut self, id: ConnId) {
        self.note(id);
        while let Some(most) = self.held.too_much() {
            self.cut_off(most, "too much is held for all clients together");
        }
    }

    fn note(&mut self, id: ConnId) {
        let Some(client) = self.arena.get(id) else { return };
        follow(&mut self.patience, id, client.conn.deadline());
        follow(&mut self.waiting, id, client.conn.waits_since());
        self.held.set(id, client.conn.held());
        self.dirty.insert(id);
    }

    /// A client is gone.
    pub fn remove(&mut self, id: ConnId) {
        self.arena.remove(id);
        self.patience.cancel(id);
        self.waiting.cancel(id);
        self.held.set(id, 0);
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

    /// How many there are, by how they came and by what they are used for: in the order of [`WAYS`] and [`USES`].
    pub fn counts(&self) -> [[usize; USES.len()]; WAYS.len()] {
        let mut counts = [[0; USES.len()]; WAYS.len()];
        for (_, client) in self.arena.iter() {
            let way = match client.peer {
                Peer::Tcp { tls: None, .. } => 0,
                Peer::Tcp { tls: Some(_), .. } => 1,
                Peer::Unix { .. } => 2,
            };
            counts[way][client.conn.purpose() as usize] += 1;
        }
        counts
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.arena.is_empty()
    }

    /// How much all of them hold in memory, but for those that hold little.
    pub fn held(&self) -> usize {
        self.held.total()
    }

    /// Checks that every connection is looked at when it wants to be, and that what it holds is counted.
    ///
    /// # Errors
    /// The first that is not, in words.
    pub fn sweep(&self) -> Result<(), String> {
        for (id, client) in self.arena.iter() {
            let (due, wanted) = (self.patience.due_at(id), client.conn.deadline());
            if due != wanted {
                return Err(format!("{id:?} waits for {due:?}, not its own time"));
            }
            let (counted, held) = (self.held.of(id), client.conn.held());
            if counted != held && (counted > 0 || held >= limits::CONNECTION_LITTLE) {
                return Err(format!("{id:?} holds {held} bytes, and {counted} are counted"));
            }
        }
        Ok(())
    }
}

/// Sets or moves a timer where it is not so already.
fn follow(timers: &mut Timers<ConnId>, id: ConnId, at: Option<Instant>) {
    match at {
        Some(at) if timers.due_at(id) == Some(at) => {}
        Some(at) => timers.set(id, at),
        None => {
            timers.cancel(id);
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use std::time::{Duration, UNIX_EPOCH};

    fn start() -> Now {
        Now { mono: Instant::now(), wall: UNIX_EPOCH }
    }

    fn tcp() -> Peer {
        Peer::Tcp { remote: SocketAddr::from(([127, 0, 0, 1], 7)), tls: None }
    }

    fn are_gone(clients: &Clients, ids: &[ConnId]) -> Vec<bool> {
        ids.iter().map(|id| clients.is_finished(*id)).collect()
    }

    #[test]
    fn strangers_do_not_keep_the_operator_out() {
        let (most, mut now) = (limits::CONNECTIONS_OWN * 2, start());
        let mut clients = Clients::new(most);
        for _ in 0..most - 2 {
            // Whoever is answered is cut off for nobody.
            let id = clients.accept(tcp(), now).expect("room");
            clients.change(id, |conn| conn.received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", now));
            clients.change(id, Conn::take_request).expect("it is there").expect("a request");
            now = now.plus(Duration::from_millis(1));
        }
        assert!(clients.accept(tcp(), now).is_none());
        for _ in 0..2 {
            assert!(clients.accept(Peer::Unix { uid: Some(0) }, now).is_some());
        }
        assert!(clients.accept(Peer::Unix { uid: Some(0) }, now).is_none());
        assert_eq!(clients.len(), most);
        assert_eq!(clients.sweep(), Ok(()));
    }

    #[test]
    fn who_has_waited_longest_makes_room_once_there_is_little() {
        let (most, mut now) = (limits::CONNECTIONS_SPARE * 2, start());
        let mut clients = Clients::new(most);
        let mut ids = Vec::new();
        let own = most / limits::CONNECTIONS_OWN;
        // With two left, no more.
        for _ in 0..most - own - 2 {
            now = now.plus(Duration::from_millis(1));
            ids.push(clients.accept(tcp(), now).expect("room"));
        }
        assert!(!are_gone(&clients, &ids).contains(&true));
        // The first has begun to say something, and that is when it began to wait.
        now = now.plus(Duration::from_millis(1));
        clients.change(ids[0], |conn| conn.received(b"GET", now));
        let last = clients.accept(tcp(), now).expect("room");
        assert_eq!(
            are_gone(&clients, &[ids[0], ids[1], ids[2], last]),
            [false, true, false, false]
        );
        assert_eq!(clients.sweep(), Ok(()));
        clients.remove(ids[1]);
        assert!(clients.accept(tcp(), now).is_some());
        assert_eq!(are_gone(&clients, &ids[2..4]), [true, false]);
    }

    #[test]
    fn who_holds_most_is_cut_off_when_all_hold_too_much() {
        let (mut clients, now) = (Clients::new(limits::CONNECTIONS), start());
        let head = |length: usize| {
            format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")
        };
        let begin = |clients: &mut Clients, bytes: usize| {
            let id = clients.accept(tcp(), now).expect("room");
            let text = head(limits::HTTP_BODY) + &"x".repeat(bytes);
            clients.change(id, |conn| conn.received(text.as_bytes(), now));
            id
        };
        let little = begin(&mut clients, limits::CONNECTION_LITTLE / 2);
        assert_eq!(clients.held(), 0);
        let mut large = Vec::new();
        while clients.held() + limits::HTTP_BODY <= limits::CONNECTIONS_HELD {
            large.push(begin(&mut clients, limits::HTTP_BODY / 2));
        }
        assert!(!are_gone(&clients, &large).contains(&true));
        assert!(large.len() >= limits::CONNECTIONS_HELD / (2 * limits::HTTP_BODY));
        let largest = begin(&mut clients, limits::HTTP_BODY - 1);
        let before = clients.held();
        while !clients.is_finished(largest) {
            large.push(begin(&mut clients, limits::HTTP_BODY / 2));
        }
        assert!(before <= limits::CONNECTIONS_HELD && clients.held() <= limits::CONNECTIONS_HELD);
        assert!(!are_gone(&clients, &large).contains(&true));
        assert!(!clients.is_finished(little));
        assert_eq!(clients.sweep(), Ok(()));
        large.iter().for_each(|id| clients.remove(*id));
        assert_eq!(clients.held(), 0);
    }

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
