//! Listening sockets and clients: accept, read, write, close. Bytes go to the machine and come from
//! it; what they mean is no business of this file.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd as _;

use log::{debug, warn};
use mio::event::Source as _;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Interest, Registry};

use super::token::SourceId;
use crate::base::clock::Now;
use crate::base::ids::ConnId;
use crate::base::limits;
use crate::front::peer::Peer;
use crate::node::machine::Machine;
use crate::sys::sockets::{keep_alive, peer_credentials, ReserveFd};

/// A socket on which clients are accepted.
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket.
    Unix(UnixListener),
}

/// A connection.
pub(super) enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

impl Stream {
    /// Takes what there is to read.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }

    /// Writes what the kernel takes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    /// Tells the other end that nothing more comes. Where that fails it is gone, which is told otherwise.
    pub(super) fn end(&self) {
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }

    /// Has the poll tell of it.
    pub(super) fn register(&mut self, source: SourceId, registry: &Registry) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            Self::Tcp(stream) => stream.register(registry, source.token(), interest),
            Self::Unix(stream) => stream.register(registry, source.token(), interest),
        }
    }

    /// Has it tell no more. The descriptor is closed right behind; an error here has nothing to tell.
    pub(super) fn deregister(&mut self, registry: &Registry) {
        let _ = match self {
            Self::Tcp(stream) => stream.deregister(registry),
            Self::Unix(stream) => stream.deregister(registry),
        };
    }
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
pub struct Sockets {
    /// The listening ones.
    pub listeners: Vec<Listener>,
    conns: BTreeMap<ConnId, Socket>,
    reserve: ReserveFd,
    buffer: Vec<u8>,
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

impl Default for Sockets {
    fn default() -> Self {
        Self {
            listeners: Vec::new(),
            conns: BTreeMap::new(),
            reserve: ReserveFd::new(),
            buffer: vec![0; limits::READ_BUFFER],
            starved: false,
        }
    }
}

impl Sockets {
    /// Accepts one client of this listener.
    pub fn accept_next(&mut self, listener: usize) -> Accept {
        let accepted = match self.listeners.get(listener) {
            Some(Listener::Tcp(socket)) => {
                socket.accept().map(|(stream, remote)| tcp(stream, remote))
            }
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
            Some(Listener::Tcp(socket)) => socket.accept().map(drop),
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
            match socket.stream.read(&mut self.buffer) {
                Ok(0) => {
                    socket.ended = true;
                    machine.input_ended(conn, now);
                    return Step::Rest;
                }
                Ok(count) => {
                    // A short read has emptied the socket, and more would come with a new edge.
                    socket.readable = count == self.buffer.len() || socket.closing;
                    *share = share.saturating_sub(count);
                    machine.received(conn, &self.buffer[..count], now);
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
            if !socket.writable || due == 0 {
                return Step::Rest;
            }
            if share == 0 {
                return Step::Again;
            }
            let chunk = &owed[..owed.len().min(share).min(due)];
            match socket.stream.write(chunk) {
                Ok(count) => {
                    share -= count;
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
        if self.stream.write(why).is_ok() {
            self.stream.end();
        }
    }
}

fn tcp(stream: TcpStream, remote: SocketAddr) -> Accepted {
    // Without it every answer in two parts would wait for the client's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    if let Err(error) = keep_alive(&stream) {
        debug!("{remote}: not watched for being gone: {error}");
    }
    Accepted { stream: Stream::Tcp(stream), peer: Peer::Tcp { remote } }
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
}
