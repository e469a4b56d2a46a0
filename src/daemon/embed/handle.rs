//! The node as other threads reach it.

use std::sync::mpsc::{channel, sync_channel, Receiver, RecvTimeoutError, TryRecvError};
use std::thread::ThreadId;
use std::time::Duration;

use serde_json::Value;

use crate::base::limits;
use crate::node::apps::Followed;
use crate::node::gaffer::Gaffer;
use crate::node::host::{Node, Refused};
use crate::reactor::calls::Caller;

/// The node as other threads reach it. What is asked is done in the node's next turn, in the order in
/// which one thread asks it, and the methods wait for that. It can be copied.
#[derive(Clone)]
pub struct Handle {
    caller: Caller<Gaffer>,
    /// The node's own thread.
    loops: ThreadId,
}

/// An answer that is still to come.
pub struct Reply<T> {
    receiver: Receiver<T>,
    own_thread: bool,
}

impl<T> Reply<T> {
    /// Waits for it.
    ///
    /// # Errors
    /// The node has ended. On the node's own thread it would never come: that is refused, too, and done
    /// all the same.
    pub fn wait(self) -> Result<T, Refused> {
        match self.receiver.try_recv() {
            Ok(answer) => Ok(answer),
            Err(TryRecvError::Disconnected) => Err(Refused::Ended),
            Err(TryRecvError::Empty) if self.own_thread => {
                let why = "the node's own thread cannot wait for itself: use Daemon::with";
                Err(Refused::Invalid(why.into()))
            }
            Err(TryRecvError::Empty) => self.receiver.recv().map_err(|_| Refused::Ended),
        }
    }

    /// The answer, if it is there.
    ///
    /// # Errors
    /// The node has ended.
    pub fn poll(&self, longest: Duration) -> Result<Option<T>, Refused> {
        match self.receiver.recv_timeout(longest) {
            Ok(answer) => Ok(Some(answer)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Refused::Ended),
        }
    }
}

impl Handle {
    pub(super) fn new(caller: Caller<Gaffer>) -> Self {
        Self { caller, loops: std::thread::current().id() }
    }

    /// Has something done with the node, and does not wait for it.
    pub fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Node<'_>) -> T + Send + 'static,
    ) -> Reply<T> {
        let (sender, receiver) = channel();
        self.caller.call(move |gaffer, now| {
            let done = gaffer.with_node(now, act);
            // Whoever asked may have lost interest.
            let _ = sender.send(done);
        });
        Reply { receiver, own_thread: std::thread::current().id() == self.loops }
    }

    fn ask<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Node<'_>) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        self.with(act).wait()?
    }

    /// See [`Node::jobs`].
    ///
    /// # Errors
    /// The node has ended.
    pub fn jobs(&self) -> Result<Vec<String>, Refused> {
        self.ask(|node| Ok(node.jobs()))
    }

    /// See [`Node::job`].
    ///
    /// # Errors
    /// There is no such job, or the node has ended.
    pub fn job(&self, name: &str) -> Result<Value, Refused> {
        let name = name.to_owned();
        self.ask(move |node| node.job(&name))
    }

    /// See [`Node::load`].
    ///
    /// # Errors
    /// As there, or the node has ended.
    pub fn load(&self, name: &str, config: Value) -> Result<(), Refused> {
        let name = name.to_owned();
        self.ask(move |node| node.load(&name, &config))
    }

    /// See [`Node::unload`].
    ///
    /// # Errors
    /// There is no such job, or the node has ended.
    pub fn unload(&self, name: &str) -> Result<(), Refused> {
        let name = name.to_owned();
        self.ask(move |node| node.unload(&name))
    }

    /// See [`Node::start`].
    ///
    /// # Errors
    /// There is no such job, or the node has ended.
    pub fn start(&self, name: &str) -> Result<(), Refused> {
        let name = name.to_owned();
        self.ask(move |node| node.start(&name))
    }

    /// See [`Node::stop`].
    ///
    /// # Errors
    /// There is no such job, or the node has ended.
    pub fn stop(&self, name: &str) -> Result<(), Refused> {
        let name = name.to_owned();
        self.ask(move |node| node.stop(&name))
    }

    /// See [`Node::restart`].
    ///
    /// # Errors
    /// There is no such job, it is not started, or the node has ended.
    pub fn restart(&self, name: &str) -> Result<(), Refused> {
        let name = name.to_owned();
        self.ask(move |node| node.restart(&name))
    }

    /// See [`Node::scale`].
    ///
    /// # Errors
    /// There is no such job, it is more than there may be, or the node has ended.
    pub fn scale(&self, name: &str, processes: u32) -> Result<u32, Refused> {
        let name = name.to_owned();
        self.ask(move |node| node.scale(&name, processes))
    }

    /// See [`Node::signal`].
    ///
    /// # Errors
    /// There is no such job or signal, or the node has ended.
    pub fn signal(&self, name: &str, signal: &str) -> Result<(), Refused> {
        let (name, signal) = (name.to_owned(), signal.to_owned());
        self.ask(move |node| node.signal(&name, &signal))
    }

    /// Ends the node: all jobs are stopped first. Does not wait for that.
    ///
    /// # Errors
    /// The node has ended already.
    pub fn shut_down(&self) -> Result<(), Refused> {
        let told = self.caller.call(|gaffer, now| gaffer.with_node(now, |node| node.shut_down()));
        told.then_some(()).ok_or(Refused::Ended)
    }

    /// Follows what happens from now on, of events whose names begin so: `spawn`, `job.site`,
    /// `job.site.web`, or nothing for all. A node never waits for who follows: what he does not take in
    /// time is lost to him, counted and told.
    ///
    /// # Errors
    /// Too many follow already, or the node has ended.
    pub fn subscribe(&self, prefix: &str) -> Result<Subscription, Refused> {
        let (sender, receiver) = sync_channel(limits::EVENTS_KEPT);
        let (tell, told) = channel();
        let prefix = prefix.to_owned();
        self.caller.call(move |gaffer, _| {
            // Whoever asked may have lost interest.
            let _ = tell.send(gaffer.follow_within(&prefix, sender));
        });
        let own_thread = std::thread::current().id() == self.loops;
        Reply { receiver: told, own_thread }.wait()??;
        Ok(Subscription { receiver })
    }
}

/// Events that are followed; as an iterator it ends with the node.
pub struct Subscription {
    receiver: Receiver<Followed>,
}

impl Subscription {
    /// The next, for which it waits so long; `None` if there is none in that time, or the node has ended.
    pub fn next_within(&self, longest: Duration) -> Option<Followed> {
        self.receiver.recv_timeout(longest).ok()
    }
}

impl Iterator for Subscription {
    type Item = Followed;

    fn next(&mut self) -> Option<Followed> {
        self.receiver.recv().ok()
    }
}
