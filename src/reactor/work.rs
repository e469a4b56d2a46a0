//! A thread for what would make the loop wait: writing through to the disk, asking for the addresses of a
//! name, reading files for clients, hashing a password. It is started when there is something for it, and its
//! results come back as an input of the loop. Each kind of work has a thread of its own: a name server that
//! does not answer holds no disk up, and nobody waits for it at the end; nor does one who tries many passwords.

use std::io;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use mio::Waker;

use crate::sys::startup;

/// A worker, for work `W` of which comes `D`.
pub struct Worker<W, D> {
    waker: Arc<Waker>,
    /// Does it; there is not always something to tell.
    perform: fn(W) -> Option<D>,
    /// Whether all others come first who want the processor.
    modest: bool,
    thread: Option<(Sender<W>, JoinHandle<()>)>,
    done: (Sender<D>, Receiver<D>),
}

impl<W: Send + 'static, D: Send + 'static> Worker<W, D> {
    /// A worker that is not started yet, and that wakes the loop with this when it has a result.
    pub fn new(waker: Arc<Waker>, perform: fn(W) -> Option<D>) -> Self {
        Self { waker, perform, modest: false, thread: None, done: channel() }
    }

    /// One for work that takes the processor for long: the loop and the jobs come first.
    pub fn modest(waker: Arc<Waker>, perform: fn(W) -> Option<D>) -> Self {
        Self { modest: true, ..Self::new(waker, perform) }
    }

    /// Has something done.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn give(&mut self, work: W) -> io::Result<()> {
        if self.thread.is_none() {
            self.thread = Some(self.start()?);
        }
        match &self.thread {
            Some((sender, _)) => {
                sender.send(work).map_err(|_| io::Error::other("the worker ended"))
            }
            None => Err(io::Error::other("there is no worker")),
        }
    }

    /// What was done since the last call.
    pub fn take_done(&mut self) -> Vec<D> {
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

    fn start(&self) -> io::Result<(Sender<W>, JoinHandle<()>)> {
        let (sender, receiver) = channel::<W>();
        let (results, waker) = (self.done.0.clone(), Arc::clone(&self.waker));
        let (perform, modest) = (self.perform, self.modest);
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
}
