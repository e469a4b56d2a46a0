//! A server with the `SockJS` services that the protocol's test suite asks for: `/echo`, `/close`,
//! `/disabled_websocket_echo` and `/cookie_needed_echo`. It lets every page in, because it has nothing
//! to protect. It is also the smallest machine for the reactor.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Instant;

use gaffer::base::clock::Now;
use gaffer::base::ids::ConnId;
use gaffer::base::limits;
use gaffer::base::process::Signal;
use gaffer::front::access::Access;
use gaffer::front::clients::Clients;
use gaffer::front::outbox::Piece;
use gaffer::front::peer::Peer;
use gaffer::front::request::Request;
use gaffer::front::response::Response;
use gaffer::front::sockjs::{Happened, Options, Service};
use gaffer::node::machine::{Effect, Machine};
use gaffer::reactor::files::Files;
use gaffer::reactor::sockets::Listener;
use gaffer::reactor::turn::{Parts, Reactor, World};
use gaffer::supervisor::spec::JobEntry;
use gaffer::sys::spawn::Spawner;
use gaffer::sys::{entropy, sockets};

/// A response that goes on ends early here, so that a test sees it.
const RESPONSE_LIMIT: usize = 4096;

/// What a service does with its sessions.
#[derive(Clone, Copy, PartialEq)]
enum Habit {
    Echo,
    Close,
}

struct Echo {
    clients: Clients,
    access: Access,
    services: Vec<(Service, Habit)>,
    effects: Vec<Effect>,
}

impl Echo {
    fn new(seed: u64) -> Self {
        let options =
            Options { legacy: true, response_limit: RESPONSE_LIMIT, ..Options::default() };
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

    /// Goes on with a connection as far as that is possible now.
    fn drive(&mut self, id: ConnId, now: Now) {
        loop {
            for (service, _) in &mut self.services {
                service.conn_changed(id, &mut self.clients, now);
            }
            self.take_what_happened(now);
            let Some(client) = self.clients.get_mut(id) else { break };
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

impl Machine for Echo {
    fn accepted(&mut self, peer: Peer, now: Now) -> Option<ConnId> {
        self.clients.accept(peer, now)
    }

    fn received(&mut self, conn: ConnId, bytes: &[u8], now: Now) {
        self.clients.change(conn, |conn| conn.received(bytes, now));
        self.drive(conn, now);
    }

    fn input_ended(&mut self, conn: ConnId, now: Now) {
        self.clients.change(conn, |conn| conn.ended(now));
        self.drive(conn, now);
    }

    fn closed(&mut self, conn: ConnId, now: Now) {
        for (service, _) in &mut self.services {
            service.conn_gone(conn, &mut self.clients, now);
        }
        self.clients.remove(conn);
        self.take_what_happened(now);
    }

    fn wants_input(&self, conn: ConnId) -> bool {
        self.clients.wants_input(conn)
    }

    fn transmit(&self, conn: ConnId) -> &[u8] {
        self.clients.transmit(conn)
    }

    fn sent(&mut self, conn: ConnId, count: usize, now: Now) {
        self.clients.change(conn, |conn| conn.sent(count, now));
        self.drive(conn, now);
    }

    fn output_ended(&self, conn: ConnId) -> bool {
        self.clients.output_ended(conn)
    }

    fn is_finished(&self, conn: ConnId) -> bool {
        self.clients.is_finished(conn)
    }

    fn take_dirty(&mut self) -> Vec<ConnId> {
        self.clients.take_dirty()
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

/// There is nothing around this server.
struct Nothing;

impl World for Nothing {
    fn read_config(&mut self) -> Result<Vec<JobEntry>, String> {
        Ok(Vec::new())
    }

    fn reopen_log(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn print(&mut self, _: &str, _: Now) {}
}

fn run(bind: SocketAddr) -> Result<u8, String> {
    let mut seed = [0; 8];
    entropy::random_bytes(&mut seed).map_err(|errno| format!("no random numbers: {errno}"))?;
    let listener = sockets::listen_tcp(bind, 128).map_err(|error| format!("{bind}: {error}"))?;
    let spawner = Spawner::new(None).map_err(|errno| format!("no processes: {errno}"))?;
    let files = Files::new(std::env::temp_dir());
    let parts = Parts { spawner, files, world: Box::new(Nothing) };
    let machine = Echo::new(u64::from_le_bytes(seed));
    let mut reactor = Reactor::new(machine, parts).map_err(|error| error.to_string())?;
    let listener = mio::net::TcpListener::from_std(listener);
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    reactor.listen(Listener::Tcp(listener)).map_err(|error| error.to_string())?;
    println!("listening on http://{address}");
    reactor.run().map_err(|error| format!("the loop failed: {error}"))
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let bind = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => "127.0.0.1:8081".parse().ok(),
        ["--bind", address] => address.parse().ok(),
        _ => None,
    };
    let Some(bind) = bind else {
        eprintln!("usage: echo [--bind ADDRESS:PORT]");
        return ExitCode::from(2);
    };
    match run(bind) {
        Ok(code) => ExitCode::from(code),
        Err(reason) => {
            eprintln!("echo: {reason}");
            ExitCode::FAILURE
        }
    }
}
