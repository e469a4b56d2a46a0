//! A worker thread for what would make the loop wait: writing through to the disk, or asking for the
//! addresses of a name, reading files for clients, or hashing a password. It is started when there is something for it, and its results come back as an
//! input of the loop. Names have a worker of their own: a name server that does not answer holds no
//! disk up, and nobody waits for it at the end; nor does one who tries many passwords.

use std::fs::File;
use std::io::{self, Write as _};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use mio::Waker;

use super::served::{self, OpenFile};
use crate::base::error::Errno;
use crate::base::ids::ConnId;
use crate::base::limits;
use crate::front::passwords::{self, Outcome, Task};
use crate::node::machine::StateFile;
use crate::node::plugins::file::{Unopened, Unread, Wanted};
use crate::sys::startup;

/// Something slow to do.
pub enum Work {
    /// Write this file from its beginning, through to the disk.
    Write {
        /// Comes back with the result.
        file: StateFile,
        /// Where to.
        into: File,
        /// What.
        bytes: Vec<u8>,
    },
    /// Make sure that what was written to this file is on the disk.
    Sync {
        /// Comes back with the result.
        file: StateFile,
        /// Which.
        of: File,
    },
    /// Make sure that the names in this directory are on the disk.
    SyncDirectory(PathBuf),
    /// Ask for the addresses of a host (getaddrinfo(3)).
    Resolve {
        /// Its name.
        host: String,
        /// Comes back in each address.
        port: u16,
    },
    /// Open a file for a client.
    Open {
        /// Comes back with the result.
        conn: ConnId,
        /// Which.
        file: Wanted,
    },
    /// Read from it.
    Read {
        /// Comes back with the result,
        conn: ConnId,
        /// as does this.
        file: OpenFile,
        /// From where on.
        at: u64,
        /// How much.
        length: usize,
    },
    /// Hash a password, or hold one against its hash.
    Hash {
        /// Comes back with the result.
        ticket: u64,
        /// Which.
        task: Task,
    },
}

/// Something slow that was done.
pub enum Done {
    /// A file was written.
    Written(StateFile, Result<File, Errno>),
    /// A file is on the disk, or not.
    Synced(StateFile, Result<(), Errno>),
    /// The addresses of a host, or why there are none.
    Resolved((String, u16), Result<Vec<SocketAddr>, String>),
    /// A file for a client is open, or not.
    Opened(ConnId, Result<OpenFile, Unopened>),
    /// What was read from it.
    Read(ConnId, OpenFile, Result<Vec<u8>, Unread>),
    /// What came of a password.
    Hashed(u64, Outcome),
}

/// The worker.
pub struct Worker {
    waker: Arc<Waker>,
    /// Whether all others come first who want the processor.
    modest: bool,
    thread: Option<(Sender<Work>, JoinHandle<()>)>,
    done: (Sender<Done>, Receiver<Done>),
}

impl Worker {
    /// A worker that is not started yet, and that wakes the loop with this when it has a result.
    pub fn new(waker: Arc<Waker>) -> Self {
        Self { waker, modest: false, thread: None, done: channel() }
    }

    /// One for work that takes the processor for long: the loop and the jobs come first.
    pub fn modest(waker: Arc<Waker>) -> Self {
        Self { modest: true, ..Self::new(waker) }
    }

    /// Has something done.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn give(&mut self, work: Work) -> io::Result<()> {
        if self.thread.is_none() {
            self.thread = Some(start(self.done.0.clone(), Arc::clone(&self.waker), self.modest)?);
        }
        match &self.thread {
            Some((sender, _)) => {
                sender.send(work).map_err(|_| io::Error::other("the worker ended"))
            }
            None => Err(io::Error::other("there is no worker")),
        }
    }

    /// What was done since the last call.
    pub fn take_done(&mut self) -> Vec<Done> {
        self.done.1.try_iter().collect()
    }

    /// Waits until everything that was given is done.
    pub fn finish(&mut self) {
        if let Some((sender, thread)) = self.thread.take() {
            drop(sender);
            // A worker that panicked has said so, and there is nothing left to wait for.
            let _ = thread.join();
        }
    }
}

fn start(
    results: Sender<Done>,
    waker: Arc<Waker>,
    modest: bool,
) -> io::Result<(Sender<Work>, JoinHandle<()>)> {
    let (sender, receiver) = channel::<Work>();
    let thread = Builder::new().name("gaffer-worker".into()).spawn(move || {
        if modest {
            startup::yield_to_others();
        }
        for work in receiver {
            if let Some(done) = perform(work) {
                // Nobody listens any more when the daemon ends; the work is done all the same.
                let _ = results.send(done);
                let _ = waker.wake();
            }
        }
    })?;
    Ok((sender, thread))
}

fn perform(work: Work) -> Option<Done> {
    match work {
        Work::Write { file, mut into, bytes } => {
            let written = into.write_all(&bytes).and_then(|()| into.sync_all());
            Some(Done::Written(file, written.map(|()| into).map_err(|e| Errno::of(&e))))
        }
        Work::Sync { file, of } => {
            Some(Done::Synced(file, of.sync_data().map_err(|error| Errno::of(&error))))
        }
        Work::SyncDirectory(path) => {
            if let Err(error) = sync_directory(&path) {
                log::warn!("the names in {} may not be on the disk: {error}", path.display());
            }
            None
        }
        Work::Resolve { host, port } => {
            let found = resolve(&host, port);
            Some(Done::Resolved((host, port), found))
        }
        Work::Open { conn, file } => Some(Done::Opened(conn, served::open(&file))),
        Work::Read { conn, file, at, length } => {
            let read = served::read(&file, at, length);
            Some(Done::Read(conn, file, read))
        }
        Work::Hash { ticket, task } => Some(Done::Hashed(ticket, passwords::perform(&task))),
    }
}

fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    match (host, port).to_socket_addrs() {
        Ok(addresses) => Ok(addresses.take(limits::LINK_ADDRESSES).collect()),
        Err(error) => Err(format!("the address of {host} is not found: {error}")),
    }
}

/// Makes sure that the names in a directory are on the disk. A file system that cannot do this
/// (EINVAL, fsync(2)) does not need it.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    match File::open(path).and_then(|directory| directory.sync_all()) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        other => other,
    }
}
