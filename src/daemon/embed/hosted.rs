//! The embedded node itself, on the thread where it was built.

use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use super::error::Error;
use super::handle::Handle;
use crate::base::limits;
use crate::base::process::Signal;
use crate::daemon::launch::Traces;
use crate::daemon::legacy::StateDirectory;
use crate::node::gaffer::Gaffer;
use crate::node::host::Node;
use crate::node::machine::Machine as _;
use crate::reactor::turn::Reactor;

/// A node inside a program. It stays on the thread where it was built; a [`Handle`] goes to others.
///
/// Dropped before it has ended, it kills its processes.
pub struct Daemon {
    reactor: Reactor<Gaffer>,
    addresses: Vec<SocketAddr>,
    /// The exit code, once it has ended.
    ended: Option<u8>,
    /// What is taken away behind it.
    _held: (Traces, Option<StateDirectory>),
}

impl Daemon {
    pub(super) fn new(
        reactor: Reactor<Gaffer>,
        addresses: Vec<SocketAddr>,
        held: (Traces, Option<StateDirectory>),
    ) -> Self {
        Self { reactor, addresses, ended: None, _held: held }
    }

    /// The addresses at which it listens over TCP.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Something for other threads, by which they reach the node.
    pub fn handle(&self) -> Handle {
        Handle::new(self.reactor.caller())
    }

    /// Does something with the node, on its own thread.
    pub fn with<T>(&mut self, act: impl FnOnce(&mut Node<'_>) -> T) -> T {
        let (machine, now) = self.reactor.machine();
        let done = machine.with_node(now, act);
        self.reactor.set_out();
        done
    }

    /// Runs until it is told to end: by a handle, a handler or an application, or by a signal where it
    /// takes those. Gives an exit code, 0 where all is well.
    ///
    /// # Errors
    /// The kernel's poll failed.
    pub fn run(&mut self) -> Result<u8, Error> {
        loop {
            if let Some(code) = self.turn(None)? {
                return Ok(code);
            }
        }
    }

    /// One turn: it sleeps until something is to be done, at most `longest` (`None`: as long as it takes),
    /// and does that. Gives the exit code once the node has ended.
    ///
    /// A host with a loop of its own waits there for [`Daemon::as_raw_fd`] to be readable, and at most for
    /// [`Daemon::idle`], and then takes a turn that does not sleep: `turn(Some(Duration::ZERO))`. The end of
    /// a child interrupts its waiting (`EINTR`, signal(7)), which is no failure.
    ///
    /// # Errors
    /// The kernel's poll failed.
    pub fn turn(&mut self, longest: Option<Duration>) -> Result<Option<u8>, Error> {
        if self.ended.is_none() {
            self.ended = self.reactor.turn(longest)?;
            if self.ended.is_some() {
                self.reactor.finish();
            }
        }
        Ok(self.ended)
    }

    /// How long the node may be left alone while its descriptor is not readable; `None`: for ever.
    pub fn idle(&mut self) -> Option<Duration> {
        match self.ended {
            Some(_) => None,
            None => self.reactor.idle(),
        }
    }
}

impl AsFd for Daemon {
    /// A descriptor that is readable when there is something to do, for epoll(7) or poll(2).
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reactor.poll_fd()
    }
}

impl AsRawFd for Daemon {
    /// The same by its number. It stays the daemon's.
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.ended.is_some() {
            return;
        }
        let (machine, now) = self.reactor.machine();
        // The second time they are killed.
        machine.signalled(Signal::TERM, now);
        machine.signalled(Signal::TERM, now);
        self.reactor.set_out();
        for _ in 0..limits::DROP_TURNS {
            match self.turn(Some(limits::DROP_PAUSE)) {
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => return,
            }
        }
    }
}
