//! The machine of the echo server: bytes to requests, requests to services, and what was said back.

use std::time::Instant;

use gaffer::base::clock::Now;
use gaffer::base::ids::ConnId;
use gaffer::base::limits;
use gaffer::base::process::Signal;
use gaffer::front::access::Access;
use gaffer::front::clients::{Client, Clients};
use gaffer::front::live::Say;
use gaffer::front::outbox::Piece;
use gaffer::front::peer::Peer;
use gaffer::front::request::Request;
use gaffer::front::response::Response;
use gaffer::front::sockjs::{Happened, Options, Service};
use gaffer::node::machine::{Effect, Machine};
use gaffer::wire::ws::{self, Heard};

/// A response that goes on ends early here, so that a test sees it.
const RESPONSE_LIMIT: usize = 4096;
/// Largest message of the plain websocket: test suites send up to 16 MiB.
const PLAIN_MESSAGE: usize = 16 * 1024 * 1024;

/// What a service does with its sessions.
#[derive(Clone, Copy, PartialEq)]
enum Habit {
    Echo,
    Close,
}

/// The server.
pub(crate) struct Echo {
    clients: Clients,
    access: Access,
    services: Vec<(Service, Habit)>,
    effects: Vec<Effect>,
}

impl Echo {
    /// A server without clients.
    pub(crate) fn new(seed: u64) -> Self {
        let options = Options {
            legacy: true,
            framers: vec!["*".into()],
            response_limit: RESPONSE_LIMIT,
            ..Options::default()
        };
        let closed = Options { websocket: false, ..options.clone() };
        let cookie = Options { cookie: true, ..options.clone() };
        let services = [
            ("echo", options.clone(), Habit::Echo),
            ("close", options, Habit::Close),
            ("disabled_websocket_echo", closed, Habit::Echo),
            ("cookie_needed_echo", cookie, Habit::Echo),
        ];
        let mounted = |(prefix, options, habit)| (Service::new(prefix, options, seed), habit);
        Self {
            clients: Clients::new(limits::CONNECTIONS),
            access: Access { hosts: vec!["*".into()], origins: vec!["*".into()] },
            services: services.into_iter().map(mounted).collect(),
            effects: Vec::new(),
        }
    }

    /// Its services, to look into.
    #[allow(dead_code, reason = "the server itself never does")]
    pub(crate) fn services(&self) -> impl Iterator<Item = &Service> {
        self.services.iter().map(|(service, _)| service)
    }

    /// Its clients, to look into.
    #[allow(dead_code, reason = "the server itself never does")]
    pub(crate) fn clients(&self) -> &Clients {
        &self.clients
    }

    /// Goes on with a connection as far as that is possible now.
    fn drive(&mut self, id: ConnId, now: Now) {
        loop {
            for (service, _) in &mut self.services {
                service.conn_changed(id, &mut self.clients, now);
            }
            self.take_what_happened(now);
            let Some(client) = self.clients.get_mut(id) else { break };
            if !self.services.iter().any(|(service, _)| service.owns(id)) {
                echo_plainly(client, now);
            }
            let peer = client.peer;
            let Some(request) = client.conn.take_request() else { break };
            self.serve(id, &request, peer, now);
        }
        self.clients.touch(id);
    }

    fn serve(&mut self, id: ConnId, request: &Request, peer: Peer, now: Now) {
        let answer = match (self.access.admit(request, peer), request.segments()) {
            (Err(refused), _) => refused,
            (Ok(_), Err(error)) => Response::error(400, Some(&error.to_string())),
            (Ok(cors), Ok(segments)) => {
                let first = segments.first().map(String::as_str).unwrap_or_default();
                if first == "plain" {
                    return self.open_plain(id, request, now);
                }
                let named = |(service, _): &&mut (Service, Habit)| service.prefix() == first;
                match self.services.iter_mut().find(named) {
                    Some((service, _)) => {
                        if let Some(client) = self.clients.get_mut(id) {
                            client.cors = cors;
                        }
                        let rest = segments.get(1..).unwrap_or_default();
                        return service.request(id, request, rest, &mut self.clients, now);
                    }
                    None => Response::error(404, None),
                }
            }
        };
        self.clients.change(id, |conn| conn.answer(answer, now));
    }

    /// A websocket without any service: texts and bytes come back as they are.
    fn open_plain(&mut self, id: ConnId, request: &Request, now: Now) {
        let accepted = ws::handshake(request.method, request.version, &request.headers);
        self.clients.change(id, |conn| match accepted {
            Ok(accept) => conn.upgrade(&accept, &[], PLAIN_MESSAGE, now),
            Err(lack) => conn.answer(Response::text(lack.status(), lack.to_string()), now),
        });
    }

    fn take_what_happened(&mut self, now: Now) {
        for (service, habit) in &mut self.services {
            while let Some(happened) = service.next(&mut self.clients, now) {
                match happened {
                    Happened::Opened(session, _) if *habit == Habit::Close => {
                        service.close(session, 3000, "Go away!", &mut self.clients, now);
                    }
                    Happened::Said(session, text) => {
                        let reply = Piece::Reply(text.into());
                        service.send(session, reply, &mut self.clients, now);
                    }
                    Happened::Opened(..) | Happened::Closed(_) => {}
                }
            }
        }
    }
}

fn echo_plainly(client: &mut Client, now: Now) {
    while let Some(heard) = client.conn.hear(now) {
        match heard {
            Heard::Text(text) => client.conn.say(Say::Text(&text), now),
            Heard::Binary(bytes) => client.conn.say(Say::Binary(&bytes), now),
            Heard::Sign | Heard::Close | Heard::Over => {}
        }
    }
}

impl Machine for Echo {
    fn clients(&self) -> &Clients {
        &self.clients
    }

    fn clients_mut(&mut self) -> &mut Clients {
        &mut self.clients
    }

    fn client_changed(&mut self, conn: ConnId, now: Now) {
        self.drive(conn, now);
    }

    fn closed(&mut self, conn: ConnId, now: Now) {
        for (service, _) in &mut self.services {
            service.conn_gone(conn, &mut self.clients, now);
        }
        self.clients.remove(conn);
        self.take_what_happened(now);
    }

    fn signalled(&mut self, signal: Signal, _: Now) {
        if [Signal::TERM, Signal::INT].contains(&signal) {
            self.effects.push(Effect::Exit(0));
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let services = self.services.iter().filter_map(|(service, _)| service.deadline());
        services.chain(self.clients.deadline()).min()
    }

    fn on_time(&mut self, now: Now) {
        while let Some(conn) = self.clients.next_due(now) {
            self.drive(conn, now);
        }
        for (service, _) in &mut self.services {
            service.on_time(&mut self.clients, now);
        }
        self.take_what_happened(now);
    }

    fn settle(&mut self, _: Now) {}

    fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }
}
