//! Connections to others, for the machine: names to addresses, connect, read, write, close. Bytes go to
//! the machine and come from it; what they mean, and how long anything may take, is no business of this
//! file. A name is asked for on a worker, once at a time however many wait for it.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};

use log::debug;
use mio::net::{TcpStream, UnixStream};

use super::scratch::Scratch;
use super::sockets::Step;
use super::stream::Stream;
use super::token::{Source, SourceId};
use super::turn::Reactor;
use crate::base::address::Address;
use crate::base::clock::Now;
use crate::base::error::Errno;
use crate::base::ids::LinkId;
use crate::base::limits;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::node::machine::Machine;
use crate::sys::sockets::keep_alive;
use crate::tls::{Connector, Heard};

/// All of them.
#[derive(Default)]
pub struct Dials {
    dials: SortedMap<LinkId, Dial>,
    /// Those to write to or to close.
    due: SortedSet<LinkId>,
    /// Names whose addresses are being asked for.
    asked: SortedSet<Name>,
    scratch: Scratch,
    /// Whom to trust over TLS, and as whom to come.
    pub connector: Option<Connector>,
}

/// A host's name and a port there.
pub(super) type Name = (String, u16);

/// The addresses of a name, or why there are none.
pub(super) type Resolved = (Name, Result<Vec<SocketAddr>, String>);

/// Asks for the addresses of a name (getaddrinfo(3)).
pub(super) fn resolve((host, port): Name) -> Option<Resolved> {
    let found = match (host.as_str(), port).to_socket_addrs() {
        Ok(addresses) => Ok(addresses.take(limits::LINK_ADDRESSES).collect()),
        Err(error) => Err(format!("the address of {host} is not found: {error}")),
    };
    Some(((host, port), found))
}

/// Whether TLS is spoken on a connection over TCP.
#[derive(Clone, Debug)]
enum Layer {
    Plain,
    /// With who says that it is this host.
    Tls(String),
}

/// How far one has come.
enum Dial {
    /// The addresses of this are being asked for.
    Resolving(Name, Layer),
    /// The kernel connects. The addresses are those to try if it cannot.
    Connecting(Socket, VecDeque<SocketAddr>, Layer),
    /// The handshake goes on.
    Securing(Socket),
    /// It is there.
    Open(Socket),
}

struct Socket {
    stream: Stream,
    source: SourceId,
    readable: bool,
    writable: bool,
    /// The other end has said that it sends no more, or the connection is broken.
    closing: bool,
}

impl Dials {
    /// Gives the memory back that only reading needs.
    pub fn let_go(&mut self) {
        self.scratch.let_go();
    }

    /// Notes an edge.
    pub fn note(&mut self, link: LinkId, event: &mio::event::Event) {
        let Some(Dial::Connecting(socket, ..) | Dial::Securing(socket) | Dial::Open(socket)) =
            self.dials.get_mut(&link)
        else {
            return;
        };
        socket.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        socket.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        socket.closing |= event.is_read_closed() || event.is_error();
    }

    /// A connection that was begun, with what is to be spoken on it.
    fn layered(&self, stream: TcpStream, layer: &Layer) -> Result<Stream, String> {
        match (layer, &self.connector) {
            (Layer::Plain, _) => Ok(Stream::Tcp(stream)),
            (Layer::Tls(host), Some(connector)) => {
                Ok(Stream::Tls(stream, connector.session(host)?))
            }
            (Layer::Tls(_), None) => Err("nobody is known who could be trusted over TLS".into()),
        }
    }

    /// Those that are there.
    pub fn open(&self) -> impl Iterator<Item = LinkId> + '_ {
        let open = |(link, dial): (&LinkId, &Dial)| match dial {
            Dial::Open(_) => Some(*link),
            Dial::Resolving(..) | Dial::Connecting(..) | Dial::Securing(_) => None,
        };
        self.dials.iter().filter_map(open)
    }

    /// Whether the kernel has connected one; an error says that it cannot.
    fn is_connected(&mut self, link: LinkId) -> io::Result<bool> {
        let Some(Dial::Connecting(socket, ..)) = self.dials.get_mut(&link) else {
            return Ok(false);
        };
        if !std::mem::take(&mut socket.writable) {
            return Ok(false);
        }
        socket.stream.is_connected()
    }

    /// Whether one has something to read, as far as is known.
    fn may_be_read(&self, link: LinkId) -> bool {
        let dial = self.dials.get(&link);
        matches!(dial, Some(Dial::Securing(socket) | Dial::Open(socket)) if socket.readable)
    }

    /// Reads what the other end sent, up to a share of the turn.
    ///
    /// # Errors
    /// The connection cannot go on, or does not even begin.
    fn read<M: Machine>(
        &mut self,
        link: LinkId,
        machine: &mut M,
        now: Now,
    ) -> Result<Step, io::Error> {
        let mut share = limits::LINK_SHARE;
        loop {
            let Some(Dial::Securing(socket) | Dial::Open(socket)) = self.dials.get_mut(&link)
            else {
                return Ok(Step::Rest);
            };
            if !socket.readable || !machine.link_wants_input(link) {
                return Ok(Step::Rest);
            }
            if share == 0 {
                return Ok(Step::Again);
            }
            let was_open = socket.stream.is_open();
            let mut tell = |heard: Heard<'_>| match heard {
                Heard::Open(_) => machine.link_opened(link, now),
                Heard::Said(bytes) => machine.link_received(link, bytes, now),
            };
            let buffer = self.scratch.room(limits::READ_BUFFER);
            match socket.stream.read(buffer, &mut tell) {
                Ok(0) => return Ok(Step::Close),
                Ok(count) => {
                    socket.readable = count == buffer.len() || socket.closing;
                    socket.readable |= socket.stream.has_ended();
                    share = share.saturating_sub(count);
                    if !was_open && socket.stream.is_open() {
                        self.opened(link);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The handshake of one is over.
    fn opened(&mut self, link: LinkId) {
        match self.dials.remove(&link) {
            Some(Dial::Securing(socket)) => drop(self.dials.insert(link, Dial::Open(socket))),
            Some(other) => drop(self.dials.insert(link, other)),
            None => {}
        }
    }

    /// Writes what nobody above knows of.
    fn flush(&mut self, link: LinkId) -> io::Result<()> {
        let found = self.dials.get_mut(&link);
        let Some(Dial::Securing(socket) | Dial::Open(socket)) = found else { return Ok(()) };
        if socket.writable {
            socket.writable = socket.stream.flush()?;
        }
        Ok(())
    }

    /// Writes what one is owed, up to a share of the turn.
    fn write<M: Machine>(&mut self, link: LinkId, machine: &mut M, now: Now) -> Step {
        let mut share = limits::LINK_SHARE;
        if let Err(error) = self.flush(link) {
            debug!("{link:?}: {error}");
            return Step::Close;
        }
        loop {
            let owed = machine.link_owed(link);
            if owed.is_empty() && machine.link_is_finished(link) {
                return if self.dials.contains_key(&link) { Step::Close } else { Step::Rest };
            }
            let Some(Dial::Open(socket)) = self.dials.get_mut(&link) else { return Step::Rest };
            if owed.is_empty() || !socket.writable {
                return Step::Rest;
            }
            if share == 0 {
                return Step::Again;
            }
            match socket.stream.write(&owed[..owed.len().min(share)]) {
                Ok(count) => {
                    share = share.saturating_sub(count);
                    machine.link_sent(link, count, now);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    debug!("{link:?}: {error}");
                    return Step::Close;
                }
            }
        }
    }
}

impl<M: Machine> Reactor<M> {
    /// Begins to connect.
    pub(super) fn dial(&mut self, link: LinkId, address: Address, now: Now) {
        // The machine may have given it up already.
        if self.machine.link_is_finished(link) {
            return;
        }
        match address {
            Address::Unix(path) => match UnixStream::connect(&path) {
                Ok(stream) => {
                    let stream = Stream::Unix(stream);
                    self.connect(link, stream, VecDeque::new(), Layer::Plain, now);
                }
                Err(error) => {
                    let reason = format!("{}: {}", path.display(), Errno::of(&error));
                    self.machine.link_failed(link, &reason, now);
                }
            },
            Address::Tcp { host, port } => self.reach(link, (host, port), Layer::Plain, now),
            Address::Tls { host, port } => {
                if let Err(reason) = self.learn_to_trust() {
                    return self.machine.link_failed(link, &reason, now);
                }
                let layer = Layer::Tls(host.clone());
                self.reach(link, (host, port), layer, now);
            }
        }
    }

    /// Before the first connection over TLS it is found out who is trusted there, if that is not known yet.
    fn learn_to_trust(&mut self) -> Result<(), String> {
        if self.dials.connector.is_none() {
            self.dials.connector = Some(self.world.connector()?);
        }
        Ok(())
    }

    fn reach(&mut self, link: LinkId, (host, port): Name, layer: Layer, now: Now) {
        match host.parse::<IpAddr>() {
            Ok(ip) => self.try_next(link, [SocketAddr::new(ip, port)].into(), layer, "", now),
            Err(_) => self.resolve(link, (host, port), layer, now),
        }
    }

    fn resolve(&mut self, link: LinkId, name: Name, layer: Layer, now: Now) {
        self.dials.dials.insert(link, Dial::Resolving(name.clone(), layer));
        if !self.dials.asked.insert(name.clone()) {
            return;
        }
        if let Err(error) = self.names.give(name.clone()) {
            let why = format!("the address of {} cannot be asked for: {error}", name.0);
            self.resolved(name, Err(why), now);
        }
    }

    /// The addresses of a name are known, or are not to be had.
    pub(super) fn resolved(
        &mut self,
        name: Name,
        found: Result<Vec<SocketAddr>, String>,
        now: Now,
    ) {
        self.dials.asked.remove(&name);
        let waits = |(link, dial): (&LinkId, &Dial)| match dial {
            Dial::Resolving(wanted, layer) if *wanted == name => Some((*link, layer.clone())),
            Dial::Resolving(..) | Dial::Connecting(..) | Dial::Securing(_) | Dial::Open(_) => None,
        };
        let links: Vec<(LinkId, Layer)> = self.dials.dials.iter().filter_map(waits).collect();
        for (link, layer) in links {
            self.dials.dials.remove(&link);
            match &found {
                Ok(addresses) => {
                    self.try_next(link, in_turn(addresses, link), layer, "no address", now);
                }
                Err(reason) => self.machine.link_failed(link, reason, now),
            }
        }
    }

    /// Connects to the first of these addresses that does not refuse at once.
    fn try_next(
        &mut self,
        link: LinkId,
        mut addresses: VecDeque<SocketAddr>,
        layer: Layer,
        why: &str,
        now: Now,
    ) {
        let mut reason = why.to_owned();
        while let Some(address) = addresses.pop_front() {
            match TcpStream::connect(address) {
                Ok(stream) => {
                    // Without it small messages would wait for acknowledgements.
                    let _ = stream.set_nodelay(true);
                    let _ = keep_alive(&stream);
                    return match self.dials.layered(stream, &layer) {
                        Ok(stream) => self.connect(link, stream, addresses, layer, now),
                        Err(reason) => self.machine.link_failed(link, &reason, now),
                    };
                }
                Err(error) => reason = Errno::of(&error).to_string(),
            }
        }
        self.machine.link_failed(link, &reason, now);
    }

    fn connect(
        &mut self,
        link: LinkId,
        mut stream: Stream,
        others: VecDeque<SocketAddr>,
        layer: Layer,
        now: Now,
    ) {
        let source = self.sources.insert(Source::Link(link));
        if let Err(error) = stream.register(source, self.poll.registry()) {
            self.sources.remove(source);
            return self.machine.link_failed(link, &error.to_string(), now);
        }
        let (readable, writable, closing) = (false, false, false);
        let socket = Socket { stream, source, readable, writable, closing };
        self.dials.dials.insert(link, Dial::Connecting(socket, others, layer));
    }

    /// Takes what became of a link: it is there, or it brought something.
    pub(super) fn read_link(&mut self, link: LinkId, now: Now) {
        match self.dials.is_connected(link) {
            Ok(false) => {}
            Ok(true) => {
                if let Some(Dial::Connecting(mut socket, ..)) = self.dials.dials.remove(&link) {
                    socket.writable = true;
                    if socket.stream.is_open() {
                        self.dials.dials.insert(link, Dial::Open(socket));
                        self.machine.link_opened(link, now);
                    } else {
                        self.dials.dials.insert(link, Dial::Securing(socket));
                    }
                }
            }
            Err(error) => {
                let reason = Errno::of(&error).to_string();
                let removed = self.dials.dials.remove(&link);
                if let Some(Dial::Connecting(socket, others, layer)) = removed {
                    self.drop_socket(socket);
                    self.try_next(link, others, layer, &reason, now);
                }
            }
        }
        match self.dials.read(link, &mut self.machine, now) {
            Ok(Step::Rest) => {}
            Ok(Step::Again) => drop(self.again.insert(Source::Link(link))),
            Ok(Step::Close) => self.close_link(link, now),
            Err(error) => {
                debug!("{link:?}: {error}");
                let dial = self.dials.dials.remove(&link);
                if let Some(Dial::Securing(socket) | Dial::Open(socket)) = dial {
                    self.drop_socket(socket);
                    let reason = error.raw_os_error().map(|_| Errno::of(&error).to_string());
                    let reason = reason.unwrap_or_else(|| error.to_string());
                    self.machine.link_failed(link, &reason, now);
                }
            }
        }
        self.dials.due.insert(link);
    }

    /// Writes what links are owed; gives whether the machine was told anything.
    pub(super) fn write_links(&mut self, now: Now) -> bool {
        self.dials.due.extend(self.machine.take_dirty_links());
        let mut told = false;
        for link in std::mem::take(&mut self.dials.due) {
            let before = self.machine.link_owed(link).len();
            match self.dials.write(link, &mut self.machine, now) {
                // What was not taken of it before may be taken now.
                Step::Rest
                    if self.dials.may_be_read(link) && self.machine.link_wants_input(link) =>
                {
                    self.again.insert(Source::Link(link));
                }
                Step::Rest => {}
                Step::Again => drop(self.again.insert(Source::Link(link))),
                Step::Close => {
                    self.close_link(link, now);
                    told = true;
                }
            }
            told |= before != self.machine.link_owed(link).len();
        }
        told
    }

    /// What could not be written in this turn is for the next.
    pub(super) fn leave_links(&mut self) {
        self.dials.due.extend(self.machine.take_dirty_links());
        self.again.extend(self.dials.due.iter().map(|link| Source::Link(*link)));
    }

    fn close_link(&mut self, link: LinkId, now: Now) {
        match self.dials.dials.remove(&link) {
            Some(Dial::Connecting(socket, ..) | Dial::Securing(socket)) => self.drop_socket(socket),
            Some(Dial::Open(mut socket)) => {
                socket.stream.end();
                self.drop_socket(socket);
            }
            Some(Dial::Resolving(..)) => {}
            None => return,
        }
        self.machine.link_closed(link, now);
    }

    fn drop_socket(&mut self, mut socket: Socket) {
        socket.stream.deregister(self.poll.registry());
        self.sources.remove(socket.source);
    }
}

/// The addresses in the order in which this link tries them. The next link begins with the next one: if
/// the first answers nothing at all, all time would be spent on it.
fn in_turn(addresses: &[SocketAddr], link: LinkId) -> VecDeque<SocketAddr> {
    let mut all: VecDeque<SocketAddr> = addresses.iter().copied().collect();
    let count = u64::try_from(all.len()).unwrap_or(1).max(1);
    all.rotate_left(usize::try_from(link.0 % count).unwrap_or(0));
    all
}

#[cfg(test)]
mod tests {
    use super::super::testing::{reactor, Linked, Script};
    use super::*;
    use crate::sys::{sockets, testing};
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    fn turns(reactor: &mut Reactor<Script>, what: &str, done: impl Fn(&Script) -> bool) {
        // What is asked for before the first turn makes no event.
        reactor.turn(Some(Duration::ZERO)).expect("a turn");
        for _ in 0..1_000 {
            if done(&reactor.machine) {
                return;
            }
            reactor.turn(Some(Duration::from_secs(20))).expect("a turn");
        }
        panic!("{what}: {:?}", reactor.machine.links);
    }

    fn dial(link: u64, address: Address) -> crate::node::machine::Effect {
        crate::node::machine::Effect::Dial { link: LinkId(link), address }
    }

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp { host: host.into(), port }
    }

    #[test]
    fn bytes_go_both_ways_and_the_end_is_told() {
        testing::alone("reactor::dial::tests::bytes_go_both_ways_and_the_end_is_told", || {
            let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let port = server.local_addr().expect("bound").port();
            let folder = tempfile::tempdir().expect("a directory");
            let path = folder.path().join("socket");
            let unix = UnixListener::bind(&path).expect("a free path");
            let asks = vec![
                dial(1, tcp("127.0.0.1", port)),
                dial(2, tcp("localhost", port)),
                dial(3, Address::Unix(path)),
            ];
            let big = vec![b'x'; 3 * limits::LINK_SHARE];
            let mut script = Script { asks, ..Script::default() };
            for link in 1..=3 {
                let linked = Linked { owed: big.clone(), ..Linked::default() };
                script.links.insert(LinkId(link), linked);
            }
            let mut reactor = reactor(script);
            turns(&mut reactor, "all open", |m| m.links.values().all(|link| link.opened));
            let mut others: Vec<Box<dyn Send + FnOnce() -> usize>> = Vec::new();
            let length = big.len();
            for _ in 0..2 {
                let (mut stream, _) = server.accept().expect("one has come");
                others.push(Box::new(move || {
                    let mut all = vec![0; length];
                    stream.read_exact(&mut all).expect("all of it");
                    stream.write_all(b"thanks").expect("it reads");
                    all.len()
                }));
            }
            let (mut stream, _) = unix.accept().expect("one has come");
            others.push(Box::new(move || {
                let mut all = vec![0; length];
                stream.read_exact(&mut all).expect("all of it");
                stream.write_all(b"thanks").expect("it reads");
                all.len()
            }));
            let threads: Vec<_> = others
                .into_iter()
                .map(|other| std::thread::Builder::new().spawn(other).expect("a thread"))
                .collect();
            turns(&mut reactor, "all closed", |m| m.links.values().all(|link| link.closed));
            for linked in reactor.machine.links.values() {
                assert_eq!(linked.received, b"thanks");
            }
            assert!(threads.into_iter().all(|thread| thread.join().expect("read") == length));
            assert!(reactor.dials.dials.is_empty() && reactor.dials.due.is_empty());
        });
    }

    #[test]
    fn why_a_link_does_not_come_about_is_told() {
        testing::alone("reactor::dial::tests::why_a_link_does_not_come_about_is_told", || {
            let free = sockets::listen_tcp("127.0.0.1:0".parse().expect("valid"), 1);
            let port = free.expect("a free port").local_addr().expect("bound").port();
            let asks = vec![
                dial(1, tcp("127.0.0.1", port)),
                dial(2, tcp("no-such-host.invalid", 1)),
                dial(3, Address::Unix("/no/such/socket".into())),
                // Two that ask for one name are told both.
                dial(4, tcp("no-such-host.invalid", 1)),
            ];
            let mut script = Script { asks, ..Script::default() };
            script.links.extend((1..=4).map(|link| (LinkId(link), Linked::default())));
            let mut reactor = reactor(script);
            turns(&mut reactor, "all fail", |m| m.links.values().all(|link| link.failed.is_some()));
            let reasons: Vec<_> =
                reactor.machine.links.values().filter_map(|link| link.failed.clone()).collect();
            assert_eq!(reasons[0], "Connection refused");
            assert!(reasons[1].starts_with("the address of no-such-host.invalid is not found"));
            assert_eq!(reasons[2], "/no/such/socket: No such file or directory");
            assert_eq!(reasons[3], reasons[1]);
            assert!(reactor.dials.asked.is_empty() && reactor.dials.dials.is_empty());
        });
    }

    #[test]
    fn what_the_machine_gives_up_is_closed_while_it_is_dialled() {
        let name = "what_the_machine_gives_up_is_closed_while_it_is_dialled";
        testing::alone(&format!("reactor::dial::tests::{name}"), || {
            // A queue that is full: connections beyond it do not come about.
            let server = sockets::listen_tcp("127.0.0.1:0".parse().expect("valid"), 0);
            let server = server.expect("a free port");
            let port = server.local_addr().expect("bound").port();
            let asks = (1..=8).map(|link| dial(link, tcp("127.0.0.1", port))).collect();
            let mut script = Script { asks, ..Script::default() };
            script.links.extend((1..=8).map(|link| (LinkId(link), Linked::default())));
            let mut reactor = reactor(script);
            turns(&mut reactor, "one opens", |m| m.links.values().any(|link| link.opened));
            for linked in reactor.machine.links.values_mut() {
                linked.finished = true;
            }
            reactor.machine.dirty_links = (1..=8).map(LinkId).collect();
            reactor.turn(Some(Duration::ZERO)).expect("a turn");
            assert!(reactor.machine.links.values().all(|link| link.closed));
            assert!(reactor.dials.dials.is_empty());
        });
    }

    #[test]
    fn what_is_not_taken_of_a_link_stays_where_it_is() {
        let name = "what_is_not_taken_of_a_link_stays_where_it_is";
        testing::alone(&format!("reactor::dial::tests::{name}"), || {
            let folder = tempfile::tempdir().expect("a directory");
            let path = folder.path().join("socket");
            let server = UnixListener::bind(&path).expect("a free path");
            let asks = vec![dial(1, Address::Unix(path))];
            let mut script = Script { asks, most_linked: Some(1), ..Script::default() };
            script.links.insert(LinkId(1), Linked::default());
            let mut reactor = reactor(script);
            turns(&mut reactor, "it opens", |m| m.links[&LinkId(1)].opened);
            let (mut client, _) = server.accept().expect("it is there");
            client.set_nonblocking(true).expect("ours");
            let mut sent = 0;
            for _ in 0..20 {
                while let Ok(count) = client.write(&[b'x'; 10_000]) {
                    sent += count;
                }
                reactor.turn(Some(Duration::from_millis(10))).expect("a turn");
            }
            let received = reactor.machine.links[&LinkId(1)].received.len();
            assert!(received > 0 && received <= limits::READ_BUFFER && received < sent);
            drop(client);
            reactor.turn(Some(Duration::from_millis(10))).expect("a turn");
            reactor.machine.most_linked = None;
            reactor.machine.dirty_links = vec![LinkId(1)];
            turns(&mut reactor, "it has ended", |m| m.links[&LinkId(1)].closed);
            assert_eq!(reactor.machine.links[&LinkId(1)].received.len(), sent, "nothing is lost");
        });
    }

    #[test]
    fn each_dial_begins_with_another_address() {
        let all: Vec<SocketAddr> = (1..=3).map(|n| SocketAddr::from(([127, 0, 0, n], 1))).collect();
        let first = |link| in_turn(&all, LinkId(link))[0];
        assert_eq!([first(3), first(4), first(5), first(6)], [all[0], all[1], all[2], all[0]]);
        assert!(in_turn(&[], LinkId(1)).is_empty());
        assert_eq!(limits::LINK_ADDRESSES, 8);
    }
}
