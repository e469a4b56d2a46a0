//! Sockets on which children listen. They are ours, and made before the first child that is given one: so
//! whoever connects while a child is being replaced waits a moment and is heard, and no child has to find
//! out what its predecessor left.

use crate::base::sorted::SortedMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;

/// All of them, by their paths.
#[derive(Default)]
pub(super) struct Listeners {
    listeners: SortedMap<String, UnixListener>,
}

impl Listeners {
    /// The socket of this path, which stays open as long as this does. What an earlier daemon left there goes.
    ///
    /// # Errors
    /// It cannot be made: the path is too long (107 bytes, unix(7)), or its folder is not there.
    pub(super) fn get(&mut self, path: &str) -> io::Result<RawFd> {
        if let Some(listener) = self.listeners.get(path) {
            // A child may have spoilt it for all who come after: it shares with them how it is used.
            if is_whole(listener) && Path::new(path).exists() {
                listener.set_nonblocking(false)?;
                return Ok(listener.as_raw_fd());
            }
            self.listeners.remove(path);
        }
        if let Some(folder) = Path::new(path).parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        let fd = listener.as_raw_fd();
        self.listeners.insert(path.to_owned(), listener);
        Ok(fd)
    }
}

/// Whether it still listens: one that was shut down never does again.
fn is_whole(listener: &UnixListener) -> bool {
    let mut polled = libc::pollfd { fd: listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: the kernel writes to this one value, and does not wait.
    let found = unsafe { libc::poll(&raw mut polled, 1, 0) };
    found >= 0 && polled.revents & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) == 0
}

impl Drop for Listeners {
    fn drop(&mut self) {
        for path in self.listeners.keys() {
            // It is taken away at the next start if not now.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_socket_is_the_same_for_all_and_whole_for_each() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("below/socket").display().to_string();
        let mut listeners = Listeners::default();
        let fd = listeners.get(&path).expect("a free path");
        let mode = fs::metadata(&path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        // Who connects while nobody takes it is heard by the next.
        let mut waits = UnixStream::connect(&path).expect("it listens");
        listeners.listeners[&path].set_nonblocking(true).expect("a child may");
        assert_eq!(listeners.get(&path).expect("it is there"), fd);
        drop(listeners.listeners[&path].accept().expect("it waits, whatever the child before did"));
        assert_eq!(waits.read(&mut [0]).expect("it was taken"), 0);
        let listener = &listeners.listeners[&path];
        // SAFETY: the kernel takes numbers only.
        unsafe { libc::shutdown(listener.as_raw_fd(), libc::SHUT_RDWR) };
        assert!(UnixStream::connect(&path).is_err());
        listeners.get(&path).expect("it is made anew");
        UnixStream::connect(&path).expect("it listens again");
        fs::remove_file(&path).expect("ours");
        listeners.get(&path).expect("it is made anew");
        UnixStream::connect(&path).expect("it listens again");
        drop(listeners);
        assert!(!Path::new(&path).exists());
    }
}
