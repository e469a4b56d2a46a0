//! Frames go out: from a session's queue into the connection that receives, while that has room.

use super::session::{Life, Receiver, Sent, Thanks, Way};
use super::{pages, Service};
use crate::base::clock::Now;
use crate::base::ids::{ConnId, SessionId};
use crate::base::limits;
use crate::front::clients::Clients;
use crate::front::live::Say;
use crate::wire::sockjs;

impl Service {
    /// Moves what is queued into the receiver, as far as it has room, and then the end, if the session
    /// has come to that.
    pub(super) fn flush(&mut self, id: SessionId, clients: &mut Clients, now: Now) {
        let (lagged, response_limit) = (self.options.lagged, self.options.response_limit);
        while let Some(session) = self.sessions.get_mut(id) {
            let Some(receiver) = &session.receiver else { return };
            let (conn, sent) = (receiver.conn, receiver.sent);
            let most = match &receiver.way {
                // One frame answers it, so room is no question.
                Way::Poll(_) => limits::SOCKJS_FRAME,
                Way::Stream(_) if has_room(conn, clients) => {
                    limits::SOCKJS_FRAME.min(response_limit.saturating_sub(sent)).max(1)
                }
                Way::Socket if has_room(conn, clients) => limits::SOCKJS_FRAME,
                Way::Raw if has_room(conn, clients) => {
                    let Some(text) = session.next_text(lagged) else {
                        return self.finish(id, clients, now);
                    };
                    clients.change(conn, |conn| conn.say(Say::Text(&text), now));
                    continue;
                }
                Way::Stream(_) | Way::Socket | Way::Raw => return,
            };
            match session.next_frame(most, lagged) {
                Some(frame) => self.say(id, &frame, clients, now),
                None => return self.finish(id, clients, now),
            }
        }
    }

    /// Nothing is queued any more: the end that the application wanted has come.
    fn finish(&mut self, id: SessionId, clients: &mut Clients, now: Now) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let Life::Ending(code, reason) = &session.life else { return };
        let (code, reason) = (*code, reason.clone());
        let raw = session.receiver.as_ref().filter(|receiver| matches!(receiver.way, Way::Raw));
        match raw.map(|receiver| receiver.conn) {
            Some(conn) => {
                clients.change(conn, |conn| conn.say(Say::Close(code, &reason), now));
            }
            None => self.say_last(id, &sockjs::close_frame(code, &reason), clients, now),
        }
        self.end(id, code, &reason, now);
    }

    /// The session is open.
    pub(super) fn say_open(&mut self, id: SessionId, clients: &mut Clients, now: Now) {
        self.say(id, sockjs::OPEN, clients, now);
    }

    /// The time for a sign of life.
    pub(super) fn beat(&mut self, id: SessionId, clients: &mut Clients, now: Now) {
        let Some(Receiver { conn, way, .. }) =
            self.sessions.get(id).and_then(|session| session.receiver.as_ref())
        else {
            return;
        };
        // One that does not even read what it was sent is left to the patience of its connection.
        if matches!(way, Way::Poll(_)) || has_room(*conn, clients) {
            self.say(id, sockjs::HEARTBEAT, clients, now);
        } else {
            self.rest(id, now);
        }
    }

    /// Says a frame to the receiver. A poll is answered with it; a stream that is long enough ends.
    fn say(&mut self, id: SessionId, frame: &str, clients: &mut Clients, now: Now) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let Some(receiver) = &mut session.receiver else { return };
        let conn = receiver.conn;
        match &receiver.way {
            Way::Socket => {
                clients.change(conn, |conn| conn.say(Say::Text(frame), now));
                self.rest(id, now);
            }
            Way::Stream(envelope) => {
                let text = envelope.wrap(frame);
                receiver.sent += text.len();
                let full = receiver.sent >= self.options.response_limit;
                clients.change(conn, |conn| {
                    conn.stream(&[text.as_bytes()], now);
                    if full {
                        conn.end_stream(now);
                    }
                });
                if full {
                    self.detach(id, now);
                } else {
                    self.rest(id, now);
                }
            }
            Way::Poll(_) => {
                self.say_last(id, frame, clients, now);
                self.detach(id, now);
            }
            // It has no frames, and its connection asks for signs of life by itself.
            Way::Raw => {}
        }
    }

    /// Says the last frame to the receiver, which stays attached to be detached with the change that
    /// this belongs to.
    pub(super) fn say_last(&mut self, id: SessionId, frame: &str, clients: &mut Clients, now: Now) {
        let Some(session) = self.sessions.get(id) else { return };
        let Some(Receiver { conn, way, .. }) = &session.receiver else { return };
        self.last_frame(*conn, way, frame, clients, now);
    }

    /// Says one frame on a connection and nothing more.
    pub(super) fn last_frame(
        &self,
        conn: ConnId,
        way: &Way,
        frame: &str,
        clients: &mut Clients,
        now: Now,
    ) {
        match way {
            Way::Poll(envelope) => {
                let text = envelope.wrap(frame);
                self.answer(conn, pages::typed(200, envelope.content_type(), text), clients, now);
            }
            Way::Stream(envelope) => {
                let text = envelope.wrap(frame);
                clients.change(conn, |conn| {
                    conn.stream(&[text.as_bytes()], now);
                    conn.end_stream(now);
                });
            }
            Way::Socket | Way::Raw => {
                clients.change(conn, |conn| {
                    conn.say(Say::Text(frame), now);
                    conn.say(Say::Close(1000, "Normal closure"), now);
                });
            }
        }
    }

    /// Whether the receiver went away. A request that waits for its answer has to have a client that
    /// could still send: one that ended its side cannot be told from one that is gone.
    pub(super) fn receiver_is_gone(&self, id: SessionId, clients: &Clients) -> bool {
        let receiver = self.sessions.get(id).and_then(|session| session.receiver.as_ref());
        let Some(Receiver { conn, way, .. }) = receiver else { return false };
        let Some(client) = clients.get(*conn) else { return true };
        match way {
            Way::Poll(_) => client.conn.has_ended(),
            Way::Stream(_) | Way::Socket | Way::Raw => !client.conn.is_live(),
        }
    }

    /// Nobody receives any more.
    pub(super) fn detach(&mut self, id: SessionId, now: Now) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if let Some(Receiver { conn, .. }) = session.receiver.take() {
            self.conns.remove(&conn);
        }
        self.rest(id, now);
    }

    /// Sets the timer of a session anew: to the next heartbeat, or to when it is given up.
    pub(super) fn rest(&mut self, id: SessionId, now: Now) {
        let Some(session) = self.sessions.get(id) else { return };
        let patience = match &session.receiver {
            Some(Receiver { way: Way::Raw, .. }) => None,
            Some(_) => Some(self.options.heartbeat),
            None => session.name.is_some().then_some(self.options.disconnect_delay),
        };
        match patience {
            Some(patience) => self.timers.set(id, now.mono + patience),
            None => drop(self.timers.cancel(id)),
        }
    }

    /// Drops what a client sent, and thanks for it.
    pub(super) fn swallow(&mut self, id: SessionId, clients: &mut Clients, now: Now) {
        while let Some(sent) = self.sessions.get_mut(id).and_then(|s| s.sends.pop_front()) {
            self.thank(Some(sent), clients, now);
        }
    }

    /// Answers the request that brought messages.
    pub(super) fn thank(&mut self, sent: Option<Sent>, clients: &mut Clients, now: Now) {
        let Some((conn, thanks)) = sent.and_then(|sent| sent.conn) else { return };
        self.conns.remove(&conn);
        const PLAIN: &str = "text/plain; charset=UTF-8";
        let response = match thanks {
            Thanks::Nothing => pages::typed(204, PLAIN, ""),
            Thanks::Ok => pages::typed(200, PLAIN, "ok"),
        };
        self.answer(conn, response, clients, now);
    }
}

pub(super) fn has_room(conn: ConnId, clients: &Clients) -> bool {
    clients.get(conn).is_some_and(|client| client.conn.has_room())
}
