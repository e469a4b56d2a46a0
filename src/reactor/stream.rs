//! One socket of a connection, with or without TLS above it. Above this file both are alike: what comes
//! is told as it was said, and what is sent counts as sent when the kernel has all of it.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;

use mio::event::Source as _;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry};

use super::token::SourceId;
use crate::tls::{Fault, Heard, Session};

/// A connection.
pub(super) enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// TCP with TLS.
    Tls(TcpStream, Session),
    /// A unix socket.
    Unix(UnixStream),
}

/// What somebody is told who speaks in clear text where TLS is spoken.
const CLEAR_TEXT: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\
    Content-Length: 34\r\nConnection: close\r\n\r\nTLS is spoken here: try https://.\n";

impl Stream {
    /// Takes what there is to read, and tells what it means; gives how many bytes there were. None is
    /// the end.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        tell: &mut dyn FnMut(Heard<'_>),
    ) -> io::Result<usize> {
        let count = match self {
            Self::Tcp(stream) => stream.read(buffer)?,
            Self::Unix(stream) => stream.read(buffer)?,
            Self::Tls(_, session) if session.has_ended() => 0,
            Self::Tls(stream, session) => {
                let count = stream.read(buffer)?;
                if count == 0 && !session.is_open() {
                    return Err(io::Error::other("it went away before the handshake was over"));
                }
                if let Err(fault) = session.receive(&buffer[..count], tell) {
                    return Err(refuse(stream, session, fault));
                }
                return Ok(count);
            }
        };
        if count > 0 {
            tell(Heard::Said(&buffer[..count]));
        }
        Ok(count)
    }

    /// Writes what the kernel takes. Where TLS is spoken, what it took in part counts with the call that
    /// has it take the rest: until then it has to be owed.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Tls(stream, session) => session.write(bytes, stream),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    /// Writes what nobody above knows of; false when the kernel takes no more of it now.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        match self {
            Self::Tls(stream, session) => session.flush(stream),
            Self::Tcp(_) | Self::Unix(_) => Ok(true),
        }
    }

    /// Whether what is owed can be written: there is no handshake, or it is over.
    pub(super) fn is_open(&self) -> bool {
        match self {
            Self::Tls(_, session) => session.is_open(),
            Self::Tcp(_) | Self::Unix(_) => true,
        }
    }

    /// Whether the other end has said, above its socket, that it sends no more.
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Tls(_, session) => session.has_ended(),
            Self::Tcp(_) | Self::Unix(_) => false,
        }
    }

    /// Tells the other end that nothing more comes. Where that fails it is gone, which is told otherwise.
    pub(super) fn end(&mut self) {
        if let Self::Tls(stream, session) = self {
            session.end();
            let _ = session.flush(stream);
        }
        let _ = match self {
            Self::Tcp(stream) | Self::Tls(stream, _) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }

    /// Whether the kernel has connected it; an error says that it cannot.
    pub(super) fn is_connected(&self) -> io::Result<bool> {
        let (error, peer) = match self {
            Self::Tcp(stream) | Self::Tls(stream, _) => {
                (stream.take_error()?, stream.peer_addr().map(drop))
            }
            Self::Unix(stream) => (stream.take_error()?, stream.peer_addr().map(drop)),
        };
        match (error, peer) {
            (Some(error), _) => Err(error),
            (None, Ok(())) => Ok(true),
            (None, Err(error)) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            (None, Err(error)) => Err(error),
        }
    }

    /// Has the poll tell of it.
    pub(super) fn register(&mut self, source: SourceId, registry: &Registry) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            Self::Tcp(stream) | Self::Tls(stream, _) => {
                stream.register(registry, source.token(), interest)
            }
            Self::Unix(stream) => stream.register(registry, source.token(), interest),
        }
    }

    /// Has it tell no more. The descriptor is closed right behind; an error here has nothing to tell.
    pub(super) fn deregister(&mut self, registry: &Registry) {
        let _ = match self {
            Self::Tcp(stream) | Self::Tls(stream, _) => stream.deregister(registry),
            Self::Unix(stream) => stream.deregister(registry),
        };
    }
}

/// Says why a session cannot go on, as far as the kernel takes it at once.
fn refuse(stream: &mut TcpStream, session: &mut Session, fault: Fault) -> io::Error {
    let said = match &fault {
        Fault::ClearText => stream.write(CLEAR_TEXT).map(drop),
        Fault::Broken(_) => session.flush(stream).map(drop),
    };
    // It is closed all the same.
    let _ = said.and_then(|()| stream.shutdown(Shutdown::Write));
    io::Error::other(match fault {
        Fault::ClearText => "it does not speak TLS".to_owned(),
        Fault::Broken(why) => why,
    })
}
