//! A `SockJS` service (protocol 0.3): sessions of text messages over websockets and, where there are
//! none, over HTTP requests that wait or go on. It knows nothing of what the messages mean: the
//! application takes what happens one by one with [`Service::next`], and says things with
//! [`Service::send`].
//!
//! The ideas. A session outlives its connections: at most one of them receives at a time, and what
//! has to wait for one waits in the session's [`Outbox`], bounded. Frames move into a connection only
//! while it has room. A client's messages are taken when the application asks for them, so an
//! application that pauses a session pauses its client: its websocket is not read, its requests are
//! not answered. Each session has at most one timer: until its next heartbeat while somebody
//! receives, else until it is given up.
//!
//! A session may also be lent to an application that has a way of its own to a client (`lent`).
//!
//! Read in this order: `session` (the table entry), `serve` (a request comes), `transport` (frames go
//! out), then the rest of this file (messages come in, the end, time), `pages`, `sweep`.
//!
//! A connection that is no longer owned may hold its next request already; every answer is followed
//! by a `sent` on it, and whoever drives the connections looks for a request then.

mod lent;
mod pages;
mod serve;
mod session;
mod sweep;
mod transport;

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::base::arena::Arena;
use crate::base::clock::Now;
use crate::base::ids::{ConnId, SessionId};
use crate::base::limits;
use crate::base::random::Random;
use crate::base::sorted::SortedMap;
use crate::base::timers::Timers;
use crate::front::clients::Clients;
use crate::front::live::Say;
use crate::front::outbox::{Outbox, Piece};
use crate::front::peer::Peer;
use crate::front::request::Request;
use crate::wire::sockjs;
use crate::wire::ws::Heard;

use session::{Life, Receiver, Sent, Session, Way};
pub use sweep::Counts;

/// How a service behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether websockets are offered.
    pub websocket: bool,
    /// After how many bytes a response that goes on ends.
    pub response_limit: usize,
    /// How often a receiver hears something.
    pub heartbeat: Duration,
    /// How long a session without a receiver is kept.
    pub disconnect_delay: Duration,
    /// Whether answers carry the cookie `JSESSIONID`, for load balancers.
    pub cookie: bool,
    /// Whether the transports for browsers without cross-origin requests are served: jsonp, htmlfile,
    /// the iframe page and the websockets of before the standard. Any page can use them in such a
    /// browser, so they are for services that any page may use.
    pub legacy: bool,
    /// The origins in whose pages those of ours may stand, which act for the page around them; `*` for
    /// all. Browsers that tell nobody where a request comes from still know these (CSP level 2).
    pub framers: Vec<String>,
    /// The client script that the iframe page loads.
    pub sockjs_url: String,
    /// Largest message, and largest body with messages.
    pub message: usize,
    /// What may wait for the receiver of a session, in bytes.
    pub queue: usize,
    /// Most sessions.
    pub sessions: usize,
    /// The message that tells a client how many pieces of a topic it did not get.
    pub lagged: fn(&str, u64) -> String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            websocket: true,
            response_limit: limits::SOCKJS_RESPONSE,
            heartbeat: limits::SOCKJS_HEARTBEAT,
            disconnect_delay: limits::SOCKJS_DISCONNECT,
            cookie: false,
            legacy: false,
            framers: Vec::new(),
            sockjs_url: "https://cdn.jsdelivr.net/npm/sockjs-client@1/dist/sockjs.min.js".into(),
            message: limits::SOCKJS_MESSAGE,
            queue: limits::SOCKJS_QUEUE,
            sessions: limits::SOCKJS_SESSIONS,
            lagged: |topic, lost| format!("{lost} messages of {topic} were lost"),
        }
    }
}

/// What a session began with.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Whose it is.
    pub peer: Peer,
    /// Its first request, without a body.
    pub request: Request,
}

/// Something for the application. Of each session there is one `Opened`, then what was said, then one
/// `Closed`.
#[derive(Debug)]
pub enum Happened {
    /// A session began.
    Opened(SessionId, Box<Opening>),
    /// Its client sent this message.
    Said(SessionId, String),
    /// It is over, and its id means nothing any more.
    Closed(SessionId),
}

/// What a connection does for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Frames go out on it.
    Receiver(SessionId),
    /// It brought messages and awaits its answer.
    Sender(SessionId),
}

/// A service below one prefix.
pub struct Service {
    /// For names in the log.
    prefix: String,
    options: Options,
    random: Random,
    sessions: Arena<SessionId, Session>,
    /// Those that URLs can name.
    names: SortedMap<Rc<str>, SessionId>,
    conns: SortedMap<ConnId, Role>,
    timers: Timers<SessionId>,
    /// Those that may have something to tell, each once.
    ready: VecDeque<SessionId>,
    /// How many messages were dropped because their readers did not keep up.
    lost: u64,
}

impl Service {
    /// A service without sessions. The seed makes its entropy, which is no secret.
    pub fn new(prefix: &str, options: Options, seed: u64) -> Self {
        Self {
            prefix: prefix.to_owned(),
            options,
            random: Random::seeded(seed),
            sessions: Arena::default(),
            names: SortedMap::new(),
            conns: SortedMap::new(),
            timers: Timers::default(),
            ready: VecDeque::new(),
            lost: 0,
        }
    }

    /// Where it is mounted.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether a connection belongs to a session now: it receives, or awaits the answer to what it
    /// sent.
    pub fn owns(&self, conn: ConnId) -> bool {
        self.conns.contains_key(&conn)
    }

    /// A connection changed: bytes came or were sent, or its time passed.
    pub fn conn_changed(&mut self, conn: ConnId, clients: &mut Clients, now: Now) {
        let Some(Role::Receiver(id)) = self.conns.get(&conn).copied() else { return };
        self.flush(id, clients, now);
        if self.receiver_is_gone(id, clients) {
            self.interrupt(id, clients, now);
        }
        self.list(id);
    }

    /// A connection is gone.
    pub fn conn_gone(&mut self, conn: ConnId, clients: &mut Clients, now: Now) {
        match self.conns.get(&conn).copied() {
            Some(Role::Receiver(id)) => self.interrupt(id, clients, now),
            // What it brought is still taken; nobody is there for the thanks.
            Some(Role::Sender(_)) => drop(self.conns.remove(&conn)),
            None => {}
        }
    }

    /// The next thing that happened, if any. One at a time, so that the application can pause the
    /// session behind each.
    pub fn next(&mut self, clients: &mut Clients, now: Now) -> Option<Happened> {
        while let Some(id) = self.ready.pop_front() {
            let Some(session) = self.sessions.get_mut(id) else { continue };
            session.listed = false;
            if let Some(happened) = self.next_of(id, clients, now) {
                self.list(id);
                return Some(happened);
            }
        }
        None
    }

    fn next_of(&mut self, id: SessionId, clients: &mut Clients, now: Now) -> Option<Happened> {
        if let Some(opening) = self.sessions.get_mut(id)?.opening.take() {
            return Some(Happened::Opened(id, opening));
        }
        loop {
            if let Some(message) = self.take_message(id, clients, now) {
                return Some(Happened::Said(id, message));
            }
            if !self.hear(id, clients, now) {
                break;
            }
        }
        let session = self.sessions.get_mut(id)?;
        let Life::Over { told: told @ false, .. } = &mut session.life else { return None };
        *told = true;
        self.swallow(id, clients, now);
        if self.timers.due_at(id).is_none() {
            self.remove(id);
        }
        Some(Happened::Closed(id))
    }

    /// The oldest message that waits. What was sent with it is thanked for when it is the last.
    fn take_message(&mut self, id: SessionId, clients: &mut Clients, now: Now) -> Option<String> {
        let session = self.sessions.get_mut(id).filter(|session| !session.paused)?;
        let sent = session.sends.front_mut()?;
        let message = sent.messages.pop_front();
        if sent.messages.is_empty() {
            let sent = session.sends.pop_front();
            self.thank(sent, clients, now);
        }
        message
    }

    /// Reads on in a session's websocket. Whether something came that goes on.
    fn hear(&mut self, id: SessionId, clients: &mut Clients, now: Now) -> bool {
        let Some(session) = self.sessions.get_mut(id).filter(|session| !session.paused) else {
            return false;
        };
        let Some(Receiver { conn, way, .. }) = &session.receiver else { return false };
        let raw = match way {
            Way::Raw => true,
            Way::Socket => false,
            Way::Poll(_) | Way::Stream(_) => return false,
        };
        let conn = *conn;
        let heard = clients.change(conn, |conn| conn.hear(now));
        let Some(heard) = heard.flatten() else { return false };
        let read = match heard {
            Heard::Text(text) if raw => Ok(VecDeque::from([text])),
            Heard::Text(text) => sockjs::read_text(&text).map(VecDeque::from).map_err(|_| 1002),
            Heard::Binary(_) => Err(1003),
            Heard::Sign => Ok(VecDeque::new()),
            Heard::Close | Heard::Over => {
                self.interrupt(id, clients, now);
                return false;
            }
        };
        match read {
            Ok(messages) if session.is_open() && !messages.is_empty() => {
                session.sends.push_back(Sent { conn: None, messages });
            }
            // Behind the end nobody listens any more.
            Ok(_) => {}
            Err(code) => {
                let reason = if code == 1002 { "Broken framing." } else { "Only text is spoken." };
                clients.change(conn, |conn| conn.say(Say::Close(code, reason), now));
                self.interrupt(id, clients, now);
                return false;
            }
        }
        true
    }

    /// Queues something for a session's client. One that lets too many replies pile up is given up.
    pub fn send(&mut self, id: SessionId, piece: Piece<str>, clients: &mut Clients, now: Now) {
        let Some(session) = self.sessions.get_mut(id).filter(|session| session.is_open()) else {
            return;
        };
        if let Ok(lost) = session.outbox.push(piece) {
            self.lost += lost;
            self.flush(id, clients, now);
            return;
        }
        if let Some(Receiver { conn, .. }) = session.receiver {
            clients.change(conn, |conn| conn.give_up());
        }
        self.swallow(id, clients, now);
        self.end(id, 1008, "Too far behind", now);
    }

    /// How much waits for the client of a session that is open, in bytes.
    pub fn queued(&self, id: SessionId) -> Option<usize> {
        let session = self.sessions.get(id).filter(|session| session.is_open())?;
        Some(session.outbox.bytes())
    }

    /// Whether nothing waits for the client of a session that is open, and its connection has room for more: so
    /// much is not told to it at a time that it would not be heard meanwhile.
    pub fn has_room(&self, id: SessionId, clients: &Clients) -> Option<bool> {
        let session = self.sessions.get(id).filter(|session| session.is_open())?;
        let conn = session.receiver.as_ref().map(|receiver| receiver.conn);
        let takes = conn.is_none_or(|conn| transport::has_room(conn, clients));
        Some(session.outbox.is_empty() && takes)
    }

    /// Ends a session, after everything queued before was sent. It is told as closed then.
    pub fn close(
        &mut self,
        id: SessionId,
        code: u16,
        reason: &str,
        clients: &mut Clients,
        now: Now,
    ) {
        let Some(session) = self.sessions.get_mut(id).filter(|session| session.is_open()) else {
            return;
        };
        session.life = Life::Ending(code, reason.to_owned());
        if session.is_lent {
            // Whoever carries its messages carries the last of them, too, or not.
            return self.end(id, code, reason, now);
        }
        self.swallow(id, clients, now);
        self.flush(id, clients, now);
        self.list(id);
    }

    /// From now on no message of this session is taken.
    pub fn pause(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.paused = session.is_open();
        }
    }

    /// Its messages are taken again, with the next call of [`Service::next`].
    pub fn resume(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.paused = false;
            self.list(id);
        }
    }

    /// The client wants nothing of this topic any more, and is not told what it missed of it.
    pub fn forget_topic(&mut self, id: SessionId, topic: &str) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.outbox.forget(topic);
        }
    }

    /// All sessions.
    pub fn ids(&self) -> Vec<SessionId> {
        self.sessions.iter().map(|(id, _)| id).collect()
    }

    /// When [`Service::on_time`] wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Time has passed.
    pub fn on_time(&mut self, clients: &mut Clients, now: Now) {
        while let Some(id) = self.timers.pop_due(now.mono) {
            let Some(session) = self.sessions.get(id) else { continue };
            match (&session.life, &session.receiver) {
                (Life::Over { told: true, .. }, _) => self.remove(id),
                // Whoever asks for its name from now on begins a session.
                (Life::Over { told: false, .. }, _) => self.forget_name(id),
                (Life::Open | Life::Ending(..), Some(_)) => self.beat(id, clients, now),
                (Life::Open | Life::Ending(..), None) => {
                    self.forget_name(id);
                    self.end(id, 1006, "Nobody received", now);
                }
            }
        }
    }

    /// The receiver of a session went away before its time. What it was sent may be lost, and nobody
    /// knows what: the session is over.
    fn interrupt(&mut self, id: SessionId, clients: &mut Clients, now: Now) {
        const REASON: &str = "Connection interrupted";
        let Some(session) = self.sessions.get(id) else { return };
        if let Some(Receiver { way: Way::Poll(_), .. }) = &session.receiver {
            // It may have ended only its own side, and hears why nothing comes.
            self.say_last(id, &sockjs::close_frame(1002, REASON), clients, now);
        }
        self.end(id, 1002, REASON, now);
    }

    /// A session is over. What it still owed is dropped, and who asks for it within its delay hears why.
    fn end(&mut self, id: SessionId, code: u16, reason: &str, now: Now) {
        self.detach(id, now);
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.life = Life::Over { frame: sockjs::close_frame(code, reason).into(), told: false };
        session.outbox = Outbox::new(0);
        self.list(id);
    }

    /// Notes that a session may have something to tell.
    fn list(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if !session.listed {
            session.listed = true;
            self.ready.push_back(id);
        }
    }

    fn forget_name(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if let Some(name) = session.name.take() {
            self.names.remove(&name);
        }
    }

    fn remove(&mut self, id: SessionId) {
        self.forget_name(id);
        self.timers.cancel(id);
        self.sessions.remove(id);
    }
}
