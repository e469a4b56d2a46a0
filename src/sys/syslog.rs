//! The socket of this machine's syslog daemon (syslog(3), unix(7)): one datagram a line, which never waits.
//! Where that daemon was started again its socket is another one under the same name, and is connected anew.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use crate::base::error::Errno;

/// Where syslog daemons and systemd listen.
pub const SOCKET: &str = "/dev/log";

/// The way to a syslog daemon.
#[derive(Debug)]
pub struct Syslog {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl Syslog {
    /// The way to the one that listens at this path. Nothing is opened before the first line: that daemon
    /// may come later than we.
    pub fn new(path: PathBuf) -> Self {
        Self { path, socket: None }
    }

    /// Sends one line. It is lost if that fails.
    ///
    /// # Errors
    /// The kernel's: ENOENT or ECONNREFUSED where nobody listens, EAGAIN where who listens does not read.
    pub fn send(&mut self, line: &[u8]) -> Result<(), Errno> {
        let sent = match &self.socket {
            Some(socket) => socket.send(line),
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        match sent {
            Ok(_) => return Ok(()),
            // It is there, and has too much to read, or this is too much for it.
            Err(error)
                if matches!(errno(&error), libc::EAGAIN | libc::ENOBUFS | libc::EMSGSIZE) =>
            {
                return Err(Errno::of(&error));
            }
            Err(_) => self.socket = None,
        }
        let connected = self.connect().map_err(|error| Errno::of(&error))?;
        let sent = connected.send(line);
        self.socket = Some(connected);
        sent.map(|_| ()).map_err(|error| Errno::of(&error))
    }

    fn connect(&self) -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect(&self.path)?;
        Ok(socket)
    }
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    fn got(daemon: &UnixDatagram) -> String {
        let mut buffer = [0; 64];
        let count = daemon.recv(&mut buffer).expect("a datagram");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    }

    #[test]
    fn lines_find_a_daemon_that_came_late_and_one_that_was_started_again() {
        // A child that another test starts has the daemon's socket, too, until it has become its program.
        let name = "lines_find_a_daemon_that_came_late_and_one_that_was_started_again";
        testing::alone(&format!("sys::syslog::tests::{name}"), || {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("log");
            let mut syslog = Syslog::new(path.clone());
            assert_eq!(syslog.send(b"nobody"), Err(Errno(libc::ENOENT)));
            for life in 0..3 {
                let daemon = UnixDatagram::bind(&path).expect("ours");
                daemon.set_nonblocking(true).expect("a socket");
                for line in 0..2 {
                    let line = format!("{life} {line}");
                    assert_eq!(syslog.send(line.as_bytes()), Ok(()));
                    assert_eq!(got(&daemon), line);
                }
                drop(daemon);
                assert_eq!(syslog.send(b"lost"), Err(Errno(libc::ECONNREFUSED)));
                std::fs::remove_file(&path).expect("there");
            }
        });
    }

    #[test]
    fn a_daemon_that_does_not_read_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let daemon = UnixDatagram::bind(&path).expect("ours");
        let mut syslog = Syslog::new(path);
        let mut sent = 0;
        let full = loop {
            match syslog.send(b"line") {
                Ok(()) => sent += 1,
                Err(errno) => break errno,
            }
        };
        assert_eq!(full, Errno(libc::EAGAIN));
        for _ in 0..sent {
            assert_eq!(got(&daemon), "line");
        }
        assert_eq!(syslog.send(b"again"), Ok(()));
        assert_eq!(got(&daemon), "again");
    }
}
