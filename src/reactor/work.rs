//! A thread for what would make the loop wait: writing through to the disk, asking for the addresses of a
//! name, reading files for clients, hashing a password. It is started when there is something for it, and its
//! results come back as an input of the loop. Each kind of work has a thread of its own: a name server that
//! does not answer holds no disk up, and nobody waits for it at the end; nor does one who tries many passwords.

use std::any::Any;
use std::io;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use mio::Waker;

use crate::sys::startup;

/// A worker, for work `W` of which comes `D`.
pub struct Worker<W, D> {
    /// Does it; there is not always something to tell.
    perform: fn(W) -> Option<D>,
    thread: Thread,
}

/// One piece of work, of whatever kind: channels are made anew for each type that goes through them, eight kilobytes
/// of program each time.
type Task = Box<dyn FnOnce() -> Option<Done> + Send>;
/// What came of it.
type Done = Box<dyn Any + Send>;

/// The thread of a worker.
struct Thread {
    waker: Arc<Waker>,
    /// Whether all others come first who want the processor.
    modest: bool,
    running: Option<(Sender<Task>, JoinHandle<()>)>,
    done: (Sender<Done>, Receiver<Done>),
}

impl<W: Send + 'static, D: Send + 'static> Worker<W, D> {
    /// A worker that is not started yet, and that wakes the loop with this when it has a result.
    pub fn new(waker: Arc<Waker>, perform: fn(W) -> Option<D>) -> Self {
        let thread = Thread { waker, modest: false, running: None, done: channel() };
        Self { perform, thread }
    }

    /// One for work that takes the processor for long: the loop and the jobs come first.
    pub fn modest(waker: Arc<Waker>, perform: fn(W) -> Option<D>) -> Self {
        let mut worker = Self::new(waker, perform);
        worker.thread.modest = true;
        worker
    }

    /// Has something done.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn give(&mut self, work: W) -> io::Result<()> {
        let perform = self.perform;
        self.thread.give(Box::new(move || perform(work).map(|done| Box::new(done) as Done)))
    }

    /// What was done since the last call.
    pub fn take_done(&mut self) -> Vec<D> {
        let done = self.thread.done.1.try_iter();
        done.map(|done| *done.downcast().expect("this worker's")).collect()
    }

    /// Waits until everything that was given is done.
    pub fn finish(&mut self) {
        self.thread.finish();
    }
}

impl Thread {
    fn give(&mut self, task: Task) -> io::Result<()> {
        if self.running.is_none() {
            self.running = Some(self.start()?);
        }
        match &self.running {
            Some((sender, _)) => {
                sender.send(task).map_err(|_| io::Error::other("the worker ended"))
            }
            None => Err(io::Error::other("there is no worker")),
        }
    }

    fn start(&self) -> io::Result<(Sender<Task>, JoinHandle<()>)> {
        let (sender, receiver) = channel::<Task>();
        let (results, waker) = (self.done.0.clone(), Arc::clone(&self.waker));
        let modest = self.modest;
        let thread = Builder::new().name("gaffer-worker".into()).spawn(move || {
            if modest {
                startup::yield_to_others();
            }
            for task in receiver {
                if let Some(done) = task() {
                    // Nobody listens any more when the daemon ends; the work is done all the same.
                    let _ = results.send(done);
                    let _ = waker.wake();
                }
            }
        })?;
        Ok((sender, thread))
    }

    fn finish(&mut self) {
        if let Some((sender, thread)) = self.running.take() {
            drop(sender);
            // A worker that panicked has said so, and there is nothing left to wait for.
            let _ = thread.join();
        }
    }
}
