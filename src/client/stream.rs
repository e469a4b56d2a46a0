//! A connection to a node, whichever way it goes.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::address::Address;
use super::endpoint::Endpoint;
use super::error::Error;
#[cfg(feature = "tls")]
use super::tls::{self, Secured};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);

pub(super) enum Stream {
    Tcp(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<Secured>),
    Unix(UnixStream),
}

/// A socket without what may lie above it.
enum Socket<'a> {
    Tcp(&'a TcpStream),
    Unix(&'a UnixStream),
}

impl Stream {
    /// Connects to a node; over TLS it has proven who it is.
    pub(super) fn open(endpoint: &Endpoint) -> Result<Self, Error> {
        let address = &endpoint.address;
        let opened = match address {
            Address::Tcp { host, port } => connect(host, *port).map(Self::Tcp),
            Address::Tls { host, port } => match connect(host, *port) {
                Ok(stream) => return secured(stream, host, endpoint),
                Err(error) => Err(error),
            },
            Address::Unix(path) => UnixStream::connect(path).map(Self::Unix),
        };
        opened.map_err(|error| Error::NoNode { address: address.clone(), error })
    }

    /// The socket below.
    fn socket(&self) -> Socket<'_> {
        match self {
            Self::Tcp(stream) => Socket::Tcp(stream),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Socket::Tcp(stream.get_ref()),
            Self::Unix(stream) => Socket::Unix(stream),
        }
    }

    /// Whether reads and writes wait.
    pub(super) fn set_waiting(&self, waits: bool) -> io::Result<()> {
        match self.socket() {
            Socket::Tcp(stream) => stream.set_nonblocking(!waits),
            Socket::Unix(stream) => stream.set_nonblocking(!waits),
        }
    }

    /// How long a read may take; for ever without one.
    pub(super) fn set_patience(&self, patience: Option<Duration>) -> io::Result<()> {
        match self.socket() {
            Socket::Tcp(stream) => stream.set_read_timeout(patience),
            Socket::Unix(stream) => stream.set_read_timeout(patience),
        }
    }
}

#[cfg(feature = "tls")]
fn secured(stream: TcpStream, host: &str, endpoint: &Endpoint) -> Result<Stream, Error> {
    // A node that says nothing must not hold the handshake for ever.
    stream.set_read_timeout(Some(CONNECT))?;
    let secured = tls::secure(stream, host, &endpoint.trust);
    let address = endpoint.address.clone();
    secured
        .map(|secured| Stream::Tls(Box::new(secured)))
        .map_err(|reason| Error::Unsafe { address, reason })
}

#[cfg(not(feature = "tls"))]
fn secured(_: TcpStream, _: &str, endpoint: &Endpoint) -> Result<Stream, Error> {
    let reason = "this build speaks no TLS".into();
    Err(Error::Unsafe { address: endpoint.address.clone(), reason })
}

/// The first of a name's addresses that answers.
fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => {
                // A request in two parts would wait for the node's delayed acknowledgement.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.socket() {
            Socket::Tcp(stream) => stream.as_fd(),
            Socket::Unix(stream) => stream.as_fd(),
        }
    }
}

/// Again whenever a signal came between: a program with handlers of its own would otherwise lose its
/// connections over them, as the system begins no call again that has a time limit (signal(7)).
fn undisturbed(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        undisturbed(|| match self {
            Self::Tcp(stream) => stream.read(buffer),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        })
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        undisturbed(|| match self {
            Self::Tcp(stream) => stream.write(bytes),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.flush(),
            Self::Unix(stream) => stream.flush(),
        }
    }
}
