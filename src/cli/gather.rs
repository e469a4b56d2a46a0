//! The same done on several nodes at once for as long as it goes on, each in a thread of its own, and what
//! comes of it taken in one place: in the order in which it comes, for as long as somebody reads what is
//! printed of it.

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{sync_channel, Receiver, SyncSender, TryRecvError};
use std::time::Instant;

use super::failure::Failure;
use super::hearing::now;
use super::sites::Sites;
use crate::client::Server;
use crate::sys::fds::{wait_for_input, Woken};

/// What waits to be taken, of all nodes; who has more waits, too, and then its node.
const AHEAD: usize = 1024;

/// What comes of all nodes.
pub struct Gathering<T> {
    told: Receiver<(usize, T)>,
    /// Readable when there may be something new.
    bell: UnixStream,
}

/// One node's part in it.
pub struct Teller<T> {
    site: usize,
    sender: SyncSender<(usize, T)>,
    /// Behind the sender: who hears of its end finds that closed.
    bell: UnixStream,
}

/// What a wait ended with.
#[derive(Debug)]
pub enum Next<T> {
    /// This came of the node of this number.
    Told(usize, T),
    /// Nothing more will come.
    Over,
    /// The time is over, or a signal came.
    Time,
}

impl<T> Teller<T> {
    /// Tells something; whether somebody still wants it.
    pub fn tell(&mut self, what: T) -> bool {
        let taken = self.sender.send((self.site, what)).is_ok();
        // One that is full has been rung.
        let _ = self.bell.write(b"!");
        taken
    }
}

impl<T: Send + 'static> Gathering<T> {
    /// Begins it on each node.
    ///
    /// # Errors
    /// The system has no room for it.
    pub fn begin(
        sites: &Sites,
        work: impl Fn(Server, &mut Teller<T>) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        Self::holding(None, sites, work)
    }

    /// The same where so much waits to be taken, if that is said.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn holding(
        ahead: Option<usize>,
        sites: &Sites,
        work: impl Fn(Server, &mut Teller<T>) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, told) = sync_channel(ahead.unwrap_or(AHEAD));
        let (bell, rings) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        rings.set_nonblocking(true)?;
        for (site, one) in sites.all().iter().enumerate() {
            let (server, work) = (one.server.another(), work.clone());
            let mut teller = Teller { site, sender: sender.clone(), bell: rings.try_clone()? };
            #[expect(clippy::disallowed_methods, reason = "a command has no reactor")]
            std::thread::spawn(move || work(server, &mut teller));
        }
        Ok(Self { told, bell })
    }

    /// What comes next, up to a moment.
    ///
    /// # Errors
    /// Nobody reads what is printed any more.
    pub fn next(&mut self, deadline: Option<Instant>) -> Result<Next<T>, Failure> {
        let stdout = io::stdout();
        loop {
            match self.told.try_recv() {
                Ok((site, what)) => return Ok(Next::Told(site, what)),
                Err(TryRecvError::Disconnected) => return Ok(Next::Over),
                Err(TryRecvError::Empty) => {}
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(now()));
            match wait_for_input(self.bell.as_fd(), stdout.as_fd(), left) {
                Woken::Unread => return Err(Failure::Gone),
                Woken::Time => return Ok(Next::Time),
                Woken::Input => {
                    let mut rung = [0; 256];
                    if (&self.bell).read(&mut rung).is_ok_and(|count| count == 0) {
                        // All have ended; what they told is still there.
                        return Ok(match self.told.try_recv() {
                            Ok((site, what)) => Next::Told(site, what),
                            Err(_) => Next::Over,
                        });
                    }
                }
            }
        }
    }
}
