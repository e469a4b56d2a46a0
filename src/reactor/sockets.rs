//! Listening sockets and clients: accept, read, write, close. Bytes go to the machine and come from
//! it; what they mean is no business of this file.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;

use log::{debug, warn};
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::Registry;

use super::scratch::Scratch;
use super::stream::Stream;
use super::token::SourceId;
use crate::base::clock::Now;
use crate::base::ids::ConnId;
use crate::base::limits;
use crate::base::sorted::SortedMap;
use crate::front::peer::{Fingerprint, Peer, Tls};
use crate::node::machine::Machine;
use crate::sys::sockets::{keep_alive, peer_credentials, ReserveFd};
use crate::tls::{Acceptor, Heard};

/// A socket on which clients are accepted.
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// TCP with TLS.
    Tls(TcpListener),
    /// A unix socket.
    Unix(UnixListener),
}

/// A client's socket.
struct Socket {
    stream: Stream,
    source: SourceId,
    /// An edge said that there is something to read, and the kernel has not said otherwise since.
    readable: bool,
    /// The same of writing.
    writable: bool,
    /// The other end has said that it sends no more.
    closing: bool,
    /// The connection is broken: nobody is there who could be told anything.
    broken: bool,
    /// Nothing more is to be read.
    ended: bool,
    /// Nothing more will be written.
    shut: bool,
}

/// All sockets.
#[derive(Default)]
pub struct Sockets {
    /// The listening ones.
    pub listeners: Vec<Listener>,
    /// What clients over TLS are shown, and who of them is let in.
    pub acceptor: Option<Acceptor>,
    conns: SortedMap<ConnId, Socket>,
    reserve: ReserveFd,
    scratch: Scratch,
    /// Whether the last thing said about a lack of descriptors still holds.
    starved: bool,
}

/// What became of an attempt to accept a client.
pub enum Accept {
    /// Here it is.
    Client(Accepted),
    /// One that waited is not to be had; there may be others.
    Lost(io::Error),
    /// None waits. The next one that comes makes an edge.
    Nobody,
    /// One may wait, but none can be had now, and no edge will say when.
    Stuck,
}

/// What became of a connection in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing more to do until the poll or the machine says so.
    Rest,
    /// It had its share of this turn and has more to do.
    Again,
    /// It is to be closed.
    Close,
}

impl Sockets {
    /// Gives the memory back that only reading needs.
    pub fn let_go(&mut self) {
        self.scratch.let_go();
    }

    /// Accepts one client of this listener.
    pub fn accept_next(&mut self, listener: usize) -> Accept {
        let accepted = match self.listeners.get(listener) {
            Some(Listener::Tcp(socket)) => {
                socket.accept().map(|(stream, remote)| tcp(stream, remote))
            }
            Some(Listener::Tls(socket)) => match (socket.accept(), &self.acceptor) {
                (Ok((stream, remote)), Some(acceptor)) => match tls(stream, remote, acceptor) {
                    Ok(accepted) => Ok(accepted),
                    Err(reason) => return Accept::Lost(io::Error::other(reason)),
                },
                (Ok(_), None) => return Accept::Lost(io::Error::other("there is no certificate")),
                (Err(error), _) => Err(error),
            },
            Some(Listener::Unix(socket)) => socket.accept().map(|(stream, _)| unix(stream)),
            None => return Accept::Nobody,
        };
        match accepted {
            Ok(accepted) => {
                self.starved = false;
                Accept::Client(accepted)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Accept::Nobody,
            Err(error) if is_its_own(&error) => Accept::Lost(error),
            Err(error) if is_starved(&error) => self.turn_away(listener, error),
            Err(error) => {
                if !std::mem::replace(&mut self.starved, true) {
                    warn!("no client can be accepted: {error}");
                }
                Accept::Stuck
            }
        }
    }

    /// Out of descriptors: gives the spare one up to accept the client and to close at once, so
    /// that it does not wait in vain.
    fn turn_away(&mut self, listener: usize, error: io::Error) -> Accept {
        if !std::mem::replace(&mut self.starved, true) {
            warn!("a client is turned away: {error}; raise the limit of open files (ulimit -n)");
        }
        let socket = self.listeners.get(listener);
        let turned_away = self.reserve.lend(|| match socket {
            Some(Listener::Tcp(socket) | Listener::Tls(socket)) => socket.accept().map(drop),
            Some(Listener::Unix(socket)) => socket.accept().map(drop),
            None => Ok(()),
        });
        match turned_away {
            Ok(()) => Accept::Lost(error),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Accept::Nobody,
            Err(error) if is_its_own(&error) => Accept::Lost(error),
            // There was no spare one, or it did not help. It is taken again when there is one.
            Err(_) => Accept::Stuck,
        }
    }

    /// Takes an accepted client into the table.
    ///
    /// # Errors
    /// The poll does not take it.
    pub fn add(
        &mut self,
        conn: ConnId,
        source: SourceId,
        mut accepted: Accepted,
        registry: &Registry,
    ) -> io::Result<()> {
        accepted.stream.register(source, registry)?;
        let stream = accepted.stream;
        let (readable, writable) = (false, true);
        let (closing, broken, ended, shut) = (false, false, false, false);
        let socket = Socket { stream, source, readable, writable, closing, broken, ended, shut };
        self.conns.insert(conn, socket);
        Ok(())
    }

    /// Notes an edge.
    pub fn note(&mut self, conn: ConnId, event: &mio::event::Event) {
        let Some(socket) = self.conns.get_mut(&conn) else { return };
        socket.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        socket.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        socket.closing |= event.is_read_closed() || event.is_error();
        socket.broken |= event.is_error();
    }

    /// Reads from a client what the machine takes, up to a share of the turn; what is left of that is
    /// left in it.
    pub fn read<M: Machine>(
        &mut self,
        conn: ConnId,
        share: &mut usize,
        machine: &mut M,
        now: Now,
    ) -> Step {
        loop {
            let Some(socket) = self.conns.get_mut(&conn) else { return Step::Rest };
            if !socket.readable || socket.ended || !machine.wants_input(conn) {
                // What is not read would never say so.
                return if socket.broken { Step::Close } else { Step::Rest };
            }
            if *share == 0 {
                return Step::Again;
            }
            let cost = if socket.stream.is_open() { 0 } else { limits::TLS_HANDSHAKE_COST };
            let mut tell = |heard: Heard<'_>| match heard {
                Heard::Open(certificate) => {
                    machine.secured(conn, certificate.map(Fingerprint), now);
                }
                Heard::Said(bytes) => machine.received(conn, bytes, now),
            };
            let buffer = self.scratch.room(limits::READ_BUFFER.min(*share));
            match socket.stream.read(buffer, &mut tell) {
                Ok(0) => {
                    socket.ended = true;
                    machine.input_ended(conn, now);
                    return Step::Rest;
                }
                Ok(count) => {
                    // A short read has emptied the socket, and more would come with a new edge.
                    socket.readable = count == buffer.len() || socket.closing;
                    // Nothing will come, and so no edge, after this.
                    socket.readable |= socket.stream.has_ended();
                    *share = share.saturating_sub(count.max(cost));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    socket.readable = false;
                    return Step::Rest;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    debug!("{conn:?}: {error}");
                    return Step::Close;
                }
            }
        }
    }

    /// Writes what a client is owed, up to a share of the turn. What comes to be owed meanwhile, because
    /// a request that waited behind it is answered now, is for the next call: its effects are performed
    /// before.
    pub fn write<M: Machine>(&mut self, conn: ConnId, machine: &mut M, now: Now) -> Step {
        let mut due = machine.transmit(conn).len();
        let mut share = limits::CONN_WRITE_SHARE;
        if let Some(socket) = self.conns.get_mut(&conn).filter(|socket| socket.writable) {
            match socket.stream.flush() {
                Ok(done) => socket.writable = done,
                Err(error) => {
                    debug!("{conn:?}: {error}");
                    return Step::Close;
                }
            }
        }
        loop {
            let Some(socket) = self.conns.get_mut(&conn) else { return Step::Rest };
            let owed = machine.transmit(conn);
            if owed.is_empty() {
                if machine.output_ended(conn) && !std::mem::replace(&mut socket.shut, true) {
                    // The peer reads our last word and then our end, whatever it still sends.
                    socket.stream.end();
                }
                return if machine.is_finished(conn) { Step::Close } else { Step::Rest };
            }
            if !socket.writable || due == 0 || !socket.stream.is_open() {
                return Step::Rest;
            }
            if share == 0 {
                return Step::Again;
            }
            let chunk = &owed[..owed.len().min(share).min(due)];
            match socket.stream.write(chunk) {
                Ok(count) => {
                    share = share.saturating_sub(count);
                    due = due.saturating_sub(count);
                    machine.sent(conn, count, now);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    debug!("{conn:?}: {error}");
                    return Step::Close;
                }
            }
        }
    }

    /// Whether the machine would take what waits to be read.
    pub fn is_readable(&self, conn: ConnId) -> bool {
        self.conns.get(&conn).is_some_and(|socket| socket.readable && !socket.ended)
    }

    /// Whether the kernel takes something for a client now, as far as is known.
    pub fn is_writable(&self, conn: ConnId) -> bool {
        self.conns.get(&conn).is_some_and(|socket| socket.writable)
    }

    /// Whether the handshake with a client over TLS is not over yet.
    pub fn is_shaking_hands(&self, conn: ConnId) -> bool {
        self.conns.get(&conn).is_some_and(|socket| !socket.stream.is_open())
    }

    /// Closes a client's socket and gives the source to forget.
    pub fn close(&mut self, conn: ConnId, registry: &Registry) -> Option<SourceId> {
        let mut socket = self.conns.remove(&conn)?;
        socket.stream.deregister(registry);
        Some(socket.source)
    }

    /// All clients.
    pub fn conns(&self) -> impl Iterator<Item = ConnId> + '_ {
        self.conns.keys().copied()
    }
}

/// A client that was accepted.
pub struct Accepted {
    stream: Stream,
    /// Who it is.
    pub peer: Peer,
}

impl Accepted {
    /// Says why it is turned away, as far as the kernel takes it at once, and closes.
    pub fn refuse(mut self, why: &[u8]) {
        // Over TLS it could be told only after a handshake.
        if self.stream.is_open() && self.stream.write(why).is_ok() {
            self.stream.end();
        }
    }
}

fn tcp(stream: TcpStream, remote: SocketAddr) -> Accepted {
    set_up(&stream, remote);
    Accepted { stream: Stream::Tcp(stream), peer: Peer::Tcp { remote, tls: None } }
}

fn tls(stream: TcpStream, remote: SocketAddr, acceptor: &Acceptor) -> Result<Accepted, String> {
    let session = acceptor.session()?;
    set_up(&stream, remote);
    let peer = Peer::Tcp { remote, tls: Some(Tls::default()) };
    Ok(Accepted { stream: Stream::Tls(stream, session), peer })
}

fn set_up(stream: &TcpStream, remote: SocketAddr) {
    // Without it every answer in two parts would wait for the client's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    if let Err(error) = keep_alive(stream) {
        debug!("{remote}: not watched for being gone: {error}");
    }
}

fn unix(stream: UnixStream) -> Accepted {
    let uid = peer_credentials(stream.as_fd()).map(|peer| peer.uid);
    Accepted { stream: Stream::Unix(stream), peer: Peer::Unix { uid } }
}

/// Whether this is what became of the one connection that was to be accepted: it went away, or the
/// network or a firewall was against it (accept(2)). The next may be well.
fn is_its_own(error: &io::Error) -> bool {
    let network = [
        libc::ECONNABORTED,
        libc::EINTR,
        libc::EPERM,
        libc::EPROTO,
        libc::ENETDOWN,
        libc::ENOPROTOOPT,
        libc::EHOSTDOWN,
        libc::ENONET,
        libc::EHOSTUNREACH,
        libc::EOPNOTSUPP,
        libc::ENETUNREACH,
    ];
    error.raw_os_error().is_some_and(|errno| network.contains(&errno))
}

fn is_starved(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::super::clock::Clock;
    use super::super::testing::{key, Script};
    use super::*;

    #[test]
    fn an_answer_that_comes_while_another_is_sent_waits_for_its_effects() {
        let poll = mio::Poll::new().expect("a poll");
        let (ours, mut client) = UnixStream::pair().expect("two sockets");
        let (mut sockets, now) = (Sockets::default(), Clock::default().tick());
        let (conn, source) = (key(0), SourceId::of(mio::Token(0)));
        let accepted = Accepted { stream: Stream::Unix(ours), peer: Peer::Unix { uid: None } };
        sockets.add(conn, source, accepted, poll.registry()).expect("the poll takes it");
        let mut machine = Script { owed: b"first".to_vec(), ..Script::default() };
        machine.owed_next = b"second".to_vec();
        let mut got = [0; 20];
        for answer in [&b"first"[..], b"second"] {
            assert_eq!(sockets.write(conn, &mut machine, now), Step::Rest);
            let count = client.read(&mut got).expect("something came");
            assert_eq!(&got[..count], answer);
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn handshakes_that_all_come_at_once_have_their_share_of_a_turn() {
        use super::super::testing::reactor;
        use crate::sys::{sockets, testing};
        use crate::tls::{Acceptor, Connector, Pem, Served, Trusted};
        use std::io::Write as _;
        use std::net;
        use std::time::{Duration, UNIX_EPOCH};

        let name = "handshakes_that_all_come_at_once_have_their_share_of_a_turn";
        testing::alone(&format!("reactor::sockets::tests::{name}"), || {
            let pem = |text: &str| Pem { path: "fixture".into(), bytes: text.as_bytes().to_vec() };
            let certificate = pem(include_str!("../../tests/tls/node.pem"));
            let key = pem(include_str!("../../tests/tls/node.key"));
            let served = Served { certificate, key, clients: None };
            let acceptor = Acceptor::new(&served, UNIX_EPOCH, &mut Vec::new()).expect("a pair");
            let authorities = pem(include_str!("../../tests/tls/authority.pem"));
            let trusted = Trusted { authorities, identity: None };
            let connector = Connector::new(&trusted).expect("an authority");
            let mut reactor = reactor(Script::default());
            reactor.sockets.acceptor = Some(acceptor);
            let address = "127.0.0.1:0".parse().expect("valid");
            let socket = sockets::listen_tcp(address, 128).expect("a free port");
            let at = socket.local_addr().expect("bound");
            let socket = TcpListener::from_std(socket);
            reactor.listen(Listener::Tls(socket)).expect("the poll takes it");
            let crowd = limits::CONNS_READ_SHARE / limits::TLS_HANDSHAKE_COST + 8;
            let greet = |_| {
                let mut client = net::TcpStream::connect(at).expect("it listens");
                let mut session = connector.session("localhost").expect("a name");
                assert!(session.flush(&mut client).expect("sent"));
                client.flush().expect("sent");
                (client, session)
            };
            let clients: Vec<_> = (0..crowd).map(greet).collect();
            let mut full = 0;
            let mut turns = |reactor: &mut super::super::turn::Reactor<Script>| {
                for _ in 0..20 {
                    reactor.turn(Some(Duration::from_millis(10))).expect("a turn");
                    full += usize::from(reactor.has_unheard());
                }
            };
            turns(&mut reactor);
            for (mut client, mut session) in clients {
                let mut buffer = [0; 8_192];
                let count = client.read(&mut buffer).expect("it has answered everybody");
                session.receive(&buffer[..count], &mut |_| {}).expect("TLS");
                assert!(session.is_open() && session.flush(&mut client).expect("sent"));
                turns(&mut reactor);
            }
            assert_eq!(reactor.machine.secured.len(), crowd);
            assert!(full > 0, "no turn was full");
        });
    }
}
