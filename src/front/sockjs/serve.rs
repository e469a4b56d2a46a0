//! A request comes: which of the service's resources it asks for, and what that begins.

use std::collections::VecDeque;
use std::rc::Rc;

use super::session::{Life, Receiver, Sent, Session, Thanks, Way, Who};
use super::{pages, Opening, Role, Service};
use crate::base::clock::Now;
use crate::base::ids::{ConnId, SessionId};
use crate::base::limits;
use crate::front::clients::Clients;
use crate::front::outbox::Outbox;
use crate::front::request::Request;
use crate::front::response::Response;
use crate::wire::http::Method;
use crate::wire::sockjs::{self, Callback, Envelope, Transport};
use crate::wire::ws;
use crate::wire::ws76::Keys;

/// What a request leads to.
enum Resource<'a> {
    Greeting,
    Info,
    Iframe,
    /// The old way to measure how far a response gets before it ends.
    ChunkingTest,
    /// A websocket without frames.
    RawSocket,
    /// A session's name, and what is wanted of it.
    Session(&'a str, Transport),
}

impl Service {
    /// Serves a request below the prefix; `rest` is what follows that in its path, decoded. It has been
    /// taken from its connection and awaits its answer. Where it comes from has been checked, and its
    /// client's `cors` holds what its origin has to see.
    pub fn request(
        &mut self,
        conn: ConnId,
        request: &Request,
        rest: &[String],
        clients: &mut Clients,
        now: Now,
    ) {
        let Some(resource) = self.find(rest) else {
            return self.answer(conn, pages::not_found(), clients, now);
        };
        let method = match resource {
            Resource::Session(_, transport) => transport.method(),
            Resource::ChunkingTest => Method::Post,
            Resource::Greeting | Resource::Info | Resource::Iframe | Resource::RawSocket => {
                Method::Get
            }
        };
        let methods = pages::methods(method);
        if request.method == Method::Options {
            let client = clients.get_mut(conn);
            let cors = client.map(|client| std::mem::take(&mut client.cors)).unwrap_or_default();
            let response = pages::preflight(request, &methods, &cors, now);
            return self.answer(conn, response, clients, now);
        }
        if request.method != method {
            return self.answer(conn, pages::wrong_method(&methods), clients, now);
        }
        match resource {
            Resource::Greeting => self.answer(conn, pages::greeting(now), clients, now),
            Resource::Info => {
                let entropy = u32::try_from(self.random.next_u64() >> 32).unwrap_or(0);
                self.answer(conn, pages::info(&self.options, entropy), clients, now);
            }
            Resource::Iframe => {
                self.answer(conn, pages::iframe(&self.options, now), clients, now);
            }
            Resource::ChunkingTest => self.chunking_test(conn, clients, now),
            Resource::RawSocket => self.open_socket(conn, request, Way::Raw, clients, now),
            Resource::Session(name, transport) => {
                self.serve_session(conn, request, (name, transport), clients, now);
            }
        }
    }

    /// Whether a request for this would begin a session.
    pub fn begins(&self, rest: &[String]) -> bool {
        match self.find(rest) {
            Some(Resource::RawSocket | Resource::Session(_, Transport::WebSocket)) => true,
            Some(Resource::Session(_, Transport::XhrSend | Transport::JsonpSend)) => false,
            Some(Resource::Session(name, _)) => !self.names.contains_key(name),
            Some(
                Resource::Greeting | Resource::Info | Resource::Iframe | Resource::ChunkingTest,
            )
            | None => false,
        }
    }

    /// How many sessions there are, those that are over and still tell so included.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    fn find<'a>(&self, rest: &'a [String]) -> Option<Resource<'a>> {
        let words: Vec<&str> = rest.iter().map(String::as_str).collect();
        Some(match words[..] {
            [] | [""] => Resource::Greeting,
            ["info"] => Resource::Info,
            ["chunking_test"] => Resource::ChunkingTest,
            ["websocket"] if self.options.websocket => Resource::RawSocket,
            [page] if self.options.legacy && sockjs::is_iframe(page) => Resource::Iframe,
            [server, name, transport] => {
                let transport = Transport::named(transport)?;
                let served = match transport {
                    Transport::WebSocket => self.options.websocket,
                    Transport::Xhr
                    | Transport::XhrSend
                    | Transport::XhrStreaming
                    | Transport::EventSource
                    | Transport::HtmlFile
                    | Transport::Jsonp
                    | Transport::JsonpSend => self.options.legacy || !transport.is_legacy(),
                };
                let named = sockjs::is_segment(server) && sockjs::is_segment(name);
                if !(served && named) {
                    return None;
                }
                Resource::Session(name, transport)
            }
            _ => return None,
        })
    }

    fn serve_session(
        &mut self,
        conn: ConnId,
        request: &Request,
        (name, transport): (&str, Transport),
        clients: &mut Clients,
        now: Now,
    ) {
        // What every answer of a session carries, whenever it is given.
        if let Some(client) = clients.get_mut(conn) {
            client.cors.push(("Cache-Control", pages::UNCACHED.to_owned()));
            if transport.is_legacy() {
                client.cors.push(("Cross-Origin-Resource-Policy", "cross-origin".to_owned()));
            }
            if self.options.cookie {
                client.cors.push(("Set-Cookie", pages::sticky_cookie(request)));
            }
        }
        let callback = || {
            // A value that cannot be decoded is no name either.
            let name = request.query_value("c").unwrap_or_else(|_| Some("%".into()));
            Callback::read(name)
        };
        let way = match transport {
            Transport::WebSocket => {
                return self.open_socket(conn, request, Way::Socket, clients, now);
            }
            Transport::XhrSend => {
                let read = sockjs::read_body(&request.body);
                return self.take(conn, request, (name, read, Thanks::Nothing), clients, now);
            }
            Transport::JsonpSend => {
                let kind = request.headers.get("content-type").unwrap_or_default();
                let read = sockjs::read_form(&request.body, kind);
                return self.take(conn, request, (name, read, Thanks::Ok), clients, now);
            }
            Transport::Xhr => Ok(Way::Poll(Envelope::Line)),
            Transport::XhrStreaming => Ok(Way::Stream(Envelope::Line)),
            Transport::EventSource => Ok(Way::Stream(Envelope::Event)),
            Transport::HtmlFile => callback().map(|name| Way::Stream(Envelope::Script(name))),
            Transport::Jsonp => callback().map(|name| Way::Poll(Envelope::Call(name))),
        };
        match way {
            Ok(way) => self.receive(conn, request, (name, way), clients, now),
            Err(bad) => self.answer(conn, pages::refused(500, bad.to_string()), clients, now),
        }
    }

    /// A request wants to receive: for a session that there is, or for a new one.
    fn receive(
        &mut self,
        conn: ConnId,
        request: &Request,
        (name, way): (&str, Way),
        clients: &mut Clients,
        now: Now,
    ) {
        let Some(peer) = clients.get(conn).map(|client| client.peer) else { return };
        let known = self.names.get(name).copied();
        let Some(id) = known else {
            let name: Rc<str> = name.into();
            match self.open(conn, request, Some(Rc::clone(&name)), clients) {
                Some(id) => {
                    self.names.insert(name, id);
                    self.begin(conn, &way, clients, now);
                    self.attach(id, conn, way, now);
                    self.say_open(id, clients, now);
                    self.conn_changed(conn, clients, now);
                }
                None => self.answer(conn, too_many(), clients, now),
            }
            return;
        };
        let who = Who::of(request, peer);
        let Some(session) = self.sessions.get(id).filter(|session| session.who.is(&who)) else {
            return self.answer(conn, pages::not_found(), clients, now);
        };
        let refusal: Option<Rc<str>> = match (&session.life, &session.receiver) {
            (Life::Over { frame, .. }, _) => Some(Rc::clone(frame)),
            (Life::Open | Life::Ending(..), Some(_)) => {
                Some(sockjs::close_frame(2010, "Another connection still open").into())
            }
            (Life::Open | Life::Ending(..), None) => None,
        };
        self.begin(conn, &way, clients, now);
        match refusal {
            Some(frame) => self.last_frame(conn, &way, &frame, clients, now),
            None => {
                self.attach(id, conn, way, now);
                self.conn_changed(conn, clients, now);
            }
        }
    }

    /// A request asks for a websocket. It is a session of its own, whatever its name.
    fn open_socket(
        &mut self,
        conn: ConnId,
        request: &Request,
        way: Way,
        clients: &mut Clients,
        now: Now,
    ) {
        let old = Keys::of(&request.headers).filter(|_| self.options.legacy);
        let accept = match old.map_or_else(|| accepted(request), |_| Ok(String::new())) {
            Ok(accept) => accept,
            Err(lack) => return self.answer(conn, lack, clients, now),
        };
        let Some(id) = self.open(conn, request, None, clients) else {
            return self.answer(conn, too_many(), clients, now);
        };
        let longest = self.options.message;
        clients.change(conn, |conn| match old {
            Some(keys) => conn.upgrade_old(keys, &whereabouts(request), longest, now),
            None => conn.upgrade(&accept, &[], longest, now),
        });
        let framed = matches!(way, Way::Socket);
        self.attach(id, conn, way, now);
        if framed {
            self.say_open(id, clients, now);
        }
        self.conn_changed(conn, clients, now);
    }

    /// A request brings messages.
    fn take(
        &mut self,
        conn: ConnId,
        request: &Request,
        (name, read, thanks): (&str, Result<Vec<String>, sockjs::BadPayload>, Thanks),
        clients: &mut Clients,
        now: Now,
    ) {
        let Some(peer) = clients.get(conn).map(|client| client.peer) else { return };
        let id = self.names.get(name).copied();
        let who = Who::of(request, peer);
        let session = id.and_then(|id| self.sessions.get_mut(id)).filter(|s| s.who.is(&who));
        let (Some(id), Some(session)) = (id, session) else {
            return self.answer(conn, pages::not_found(), clients, now);
        };
        if request.body.len() > self.options.message {
            let refused = pages::refused(413, "The body is larger than a message may be.");
            return self.answer(conn, refused, clients, now);
        }
        let messages = match read {
            Ok(messages) => VecDeque::from(messages),
            Err(bad) => {
                return self.answer(conn, pages::refused(500, bad.to_string()), clients, now);
            }
        };
        let sent = Sent { conn: Some((conn, thanks)), messages };
        // The client of a session that ends learns so from what it receives, and from that alone.
        if sent.messages.is_empty() || !session.is_open() {
            return self.thank(Some(sent), clients, now);
        }
        if session.sends.len() >= limits::SOCKJS_SENDS {
            let refused = pages::refused(503, "Too many requests of this session wait already.");
            return self.answer(conn, refused, clients, now);
        }
        session.sends.push_back(sent);
        self.conns.insert(conn, Role::Sender(id));
        self.list(id);
    }

    /// Makes a session, if there is room for one more.
    fn open(
        &mut self,
        conn: ConnId,
        request: &Request,
        name: Option<Rc<str>>,
        clients: &Clients,
    ) -> Option<SessionId> {
        if self.sessions.len() >= self.options.sessions {
            return None;
        }
        let peer = clients.get(conn)?.peer;
        let request = Request { body: Vec::new(), ..request.clone() };
        let id = self.sessions.insert(Session {
            name,
            who: Who::of(&request, peer),
            opening: Some(Box::new(Opening { peer, request })),
            life: Life::Open,
            outbox: Outbox::new(self.options.queue),
            receiver: None,
            is_lent: false,
            sends: VecDeque::new(),
            paused: false,
            listed: false,
        });
        self.list(id);
        Some(id)
    }

    fn attach(&mut self, id: SessionId, conn: ConnId, way: Way, now: Now) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.receiver = Some(Receiver { conn, way, sent: 0 });
        self.conns.insert(conn, Role::Receiver(id));
        self.rest(id, now);
    }

    /// A response that goes on begins before anybody knows with what.
    fn begin(&self, conn: ConnId, way: &Way, clients: &mut Clients, now: Now) {
        let Way::Stream(envelope) = way else { return };
        let Some(client) = clients.get_mut(conn) else { return };
        let mut response = pages::typed(200, envelope.content_type(), Vec::new());
        if matches!(envelope, Envelope::Script(_)) {
            response.headers.push(pages::framed(&self.options));
        }
        response.headers.append(&mut client.cors);
        client.conn.begin(response, now);
        client.conn.stream(&[envelope.prelude().as_bytes()], now);
        clients.touch(conn);
    }

    /// Prelude and frames as a client that measures its way to us wants them: each later than the one
    /// before. All of them come at once here, which tells it that nothing between us holds them back.
    fn chunking_test(&self, conn: ConnId, clients: &mut Clients, now: Now) {
        let Some(client) = clients.get_mut(conn) else { return };
        let mut response = pages::typed(200, Envelope::Line.content_type(), Vec::new());
        response.headers.append(&mut client.cors);
        if client.conn.begin(response.with("Cache-Control", pages::UNCACHED), now) {
            client.conn.stream(&[b"h\n"], now);
            client.conn.stream(&[Envelope::Line.prelude().replace('h', " ").as_bytes()], now);
            client.conn.stream(&[b"h\n"], now);
            client.conn.end_stream(now);
        }
        clients.touch(conn);
    }

    /// Answers a request at once.
    pub(super) fn answer(
        &self,
        conn: ConnId,
        mut response: Response,
        clients: &mut Clients,
        now: Now,
    ) {
        let Some(client) = clients.get_mut(conn) else { return };
        let said = |name: &str| response.headers.iter().any(|(known, _)| *known == name);
        let more: Vec<_> = client.cors.drain(..).filter(|(name, _)| !said(name)).collect();
        response.headers.extend(more);
        client.conn.answer(response, now);
        clients.touch(conn);
    }
}

/// Checks a request that wants to become a websocket.
fn accepted(request: &Request) -> Result<String, Response> {
    let accepted = ws::handshake(request.method, request.version, &request.headers);
    accepted.map_err(|lack| {
        let status = if lack == ws::NoHandshake::Method { 400 } else { lack.status() };
        pages::refused(status, lack.to_string()).with("Sec-WebSocket-Version", "13")
    })
}

/// What a client from before the standard wants to be told of the request that it made.
fn whereabouts(request: &Request) -> [(&'static str, String); 2] {
    let origin = request.headers.get("origin").unwrap_or_default();
    let scheme = if origin.starts_with("https:") { "wss" } else { "ws" };
    let (host, path) = (request.host().unwrap_or_default(), &request.path);
    let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    [
        ("Sec-WebSocket-Origin", origin.to_owned()),
        ("Sec-WebSocket-Location", format!("{scheme}://{host}{path}{query}")),
    ]
}

fn too_many() -> Response {
    pages::refused(503, "There are as many sessions as there may be.").with("Retry-After", "5")
}
