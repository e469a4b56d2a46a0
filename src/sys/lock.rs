//! A file that one process at a time holds locked (flock(2)): the state directory's, so that two
//! daemons never share it, and the pidfile. What counts is the lock, which the kernel drops with
//! its holder, and never what the file says; that is for people, and to name the holder.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::own_file::{self, Fault, Use};
use super::{last_errno, procfs};
use crate::base::error::Errno;
use crate::base::ids::OsPid;
use crate::base::limits;

/// A locked file. Dropped, it is unlocked and stays where it is.
#[derive(Debug)]
pub struct Locked {
    file: File,
    path: PathBuf,
}

/// Why a file cannot be locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockError {
    /// Another process holds it.
    Held {
        /// The pid it has written there.
        pid: Option<i32>,
    },
    /// The file cannot be opened, or is none of ours.
    Fault(Fault),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { pid: Some(pid) } => write!(f, "held by process {pid}"),
            Self::Held { pid: None } => f.write_str("held by another process"),
            Self::Fault(fault) => fault.fmt(f),
        }
    }
}

/// Locks the file at `path`, which is made with `mode` if it is not there, and must be ours or `friend`'s
/// (see [`own_file::open`]). Waits for nobody who lives. A holder that was killed while it was making a child has
/// left a copy of the lock to it, until the child has become its program: that is waited for, up to
/// [`limits::LOCK_ATTEMPTS`] times [`limits::LOCK_PAUSE`] milliseconds.
///
/// # Errors
/// See [`LockError`].
pub fn lock(path: &Path, mode: u32, friend: Option<u32>) -> Result<Locked, LockError> {
    let mut held = LockError::Held { pid: None };
    for _ in 0..limits::LOCK_ATTEMPTS {
        let file = own_file::open(path, mode, Use::Both, friend).map_err(LockError::Fault)?;
        match take(file, path) {
            Ok(Some(locked)) => return Ok(locked),
            Ok(None) => {}
            Err(LockError::Held { pid: Some(pid) }) if !is_alive(pid) => {
                held = LockError::Held { pid: Some(pid) };
                // SAFETY: poll is given nothing to look at, and only waits.
                unsafe { libc::poll(std::ptr::null_mut(), 0, limits::LOCK_PAUSE) };
            }
            Err(error) => return Err(error),
        }
    }
    Err(held)
}

fn is_alive(pid: i32) -> bool {
    procfs::stat(OsPid(pid)).is_some_and(|stat| stat.state != b'Z')
}

/// Locks an open file. A holder that lets go removes the file, so the one just locked may be
/// another than the one that is at `path` by then: that is `None`.
fn take(file: File, path: &Path) -> Result<Option<Locked>, LockError> {
    // SAFETY: flock touches no memory.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } < 0 {
        return Err(match last_errno() {
            Errno(libc::EWOULDBLOCK) => LockError::Held { pid: written_pid(&file) },
            errno => LockError::Fault(Fault::Io(errno)),
        });
    }
    let is_there = is_at(&file, path);
    Ok(is_there.then(|| Locked { file, path: path.to_owned() }))
}

impl Locked {
    /// Replaces what the file says by this line.
    ///
    /// # Errors
    /// The kernel's: ENOSPC, EDQUOT, EIO.
    pub fn write_line(&self, text: &str) -> Result<(), Errno> {
        let write = || {
            self.file.set_len(0)?;
            self.file.write_all_at(format!("{text}\n").as_bytes(), 0)
        };
        write().map_err(|error| Errno::of(&error))
    }

    /// Removes the file and lets go of it, in this order, so that nobody locks one that is about
    /// to go.
    pub fn release(self) {
        if is_at(&self.file, &self.path) && fs::remove_file(&self.path).is_err() {
            // It stays, unlocked, and the next holder takes it over. Until then it names nobody.
            let _ = self.file.set_len(0);
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // To close it is not enough while a child that is just being made still has a copy.
        // SAFETY: flock touches no memory.
        unsafe { libc::flock(self.file.as_raw_fd(), libc::LOCK_UN) };
    }
}

/// Whether the open file is the one that is at `path` now.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(there)) = (file.metadata(), fs::symlink_metadata(path)) else { return false };
    (open.dev(), open.ino()) == (there.dev(), there.ino())
}

/// The pid in a lock file.
fn written_pid(file: &File) -> Option<i32> {
    let mut text = String::new();
    file.take(limits::LOCK_TEXT).read_to_string(&mut text).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok().filter(|pid| *pid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{symlink, PermissionsExt};

    fn held(path: &Path) -> Option<LockError> {
        lock(path, 0o600, None).err()
    }

    #[test]
    fn the_second_is_told_who_holds_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("lock");
        let first = lock(&path, 0o600, None).expect("nobody holds it");
        assert_eq!(held(&path), Some(LockError::Held { pid: None }));
        first.write_line("a longer line than the next").expect("room");
        assert_eq!(held(&path), Some(LockError::Held { pid: None }));
        first.write_line("1 node").expect("room");
        assert_eq!(fs::read_to_string(&path).expect("a file"), "1 node\n");
        assert_eq!(held(&path), Some(LockError::Held { pid: Some(1) }));
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(first);
        let second = lock(&path, 0o600, None).expect("the first has let go");
        assert_eq!(fs::read_to_string(&path).expect("it stayed"), "1 node\n");
        second.release();
        assert!(!path.exists());
        assert!(lock(&path, 0o644, None).is_ok());
    }

    #[test]
    fn no_more_of_a_file_is_read_than_its_holder_may_take() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("lock");
        let holder = lock(&path, 0o600, None).expect("nobody holds it");
        let room = usize::try_from(limits::LOCK_TEXT).expect("small");
        for (blanks, pid) in [(room - 1, Some(1)), (room, None)] {
            holder.write_line(&format!("{}1", " ".repeat(blanks))).expect("room");
            assert_eq!(held(&path), Some(LockError::Held { pid }));
        }
    }

    #[test]
    fn the_lock_that_a_dead_holder_left_to_a_child_is_waited_for() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("lock");
        let first = lock(&path, 0o600, None).expect("nobody holds it");
        first.write_line(&i32::MAX.to_string()).expect("room");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| lock(&path, 0o600, None).is_ok());
            drop(first);
            assert!(waiting.join().expect("no panic"));
        });
        let second = lock(&path, 0o600, None).expect("nobody holds it");
        assert_eq!(held(&path), Some(LockError::Held { pid: Some(i32::MAX) }), "not for ever");
        drop(second);
    }

    #[test]
    fn only_a_file_is_locked_and_no_link_is_followed() {
        let directory = tempfile::tempdir().expect("a directory");
        let link = directory.path().join("link");
        symlink(directory.path().join("target"), &link).expect("ours");
        let io = |number| Some(LockError::Fault(Fault::Io(Errno(number))));
        assert_eq!(held(&link), io(libc::ELOOP));
        assert!(!directory.path().join("target").exists());
        assert_eq!(held(directory.path()), io(libc::EISDIR));
        assert_eq!(held(Path::new("/dev/null")), Some(LockError::Fault(Fault::NotAFile)));
        let missing = held(&directory.path().join("no/lock"));
        assert_eq!(missing, io(libc::ENOENT));
    }

    #[test]
    fn a_file_that_another_put_there_is_not_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("pid");
        let first = lock(&path, 0o644, None).expect("nobody holds it");
        fs::remove_file(&path).expect("ours");
        let second = lock(&path, 0o644, None).expect("a new file");
        first.release();
        assert!(path.exists());
        assert_eq!(held(&path), Some(LockError::Held { pid: None }));
        second.release();
    }

    #[test]
    fn a_file_that_went_before_it_was_locked_counts_for_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("lock");
        let first = lock(&path, 0o600, None).expect("nobody holds it");
        let open = || own_file::open(&path, 0o600, Use::Both, None).expect("ours");
        let late = open();
        first.release();
        assert!(take(late, &path).expect("it is free").is_none());
        let other = lock(&path, 0o600, None).expect("a new file");
        let there = open();
        assert_eq!(take(there, &path).err(), Some(LockError::Held { pid: None }));
        drop(other);
    }
}
