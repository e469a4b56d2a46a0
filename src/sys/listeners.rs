//! Sockets on which children listen. They are ours, and made before the first child that is given one: so
//! whoever connects while a child is being replaced waits a moment and is heard, and no child has to find
//! out what its predecessor left.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;

/// All of them, by their paths.
#[derive(Default)]
pub(super) struct Listeners {
    listeners: BTreeMap<String, UnixListener>,
}

impl Listeners {
    /// The socket of this path, which stays open as long as this does. What an earlier daemon left there goes.
    ///
    /// # Errors
    /// It cannot be made: the path is too long (107 bytes, unix(7)), or its folder is not there.
    pub(super) fn get(&mut self, path: &str) -> io::Result<RawFd> {
        if let Some(listener) = self.listeners.get(path) {
            return Ok(listener.as_raw_fd());
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

impl Drop for Listeners {
    fn drop(&mut self) {
        for path in self.listeners.keys() {
            // It is taken away at the next start if not now.
            let _ = fs::remove_file(path);
        }
    }
}
