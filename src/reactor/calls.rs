//! What other threads have a machine do: they hand in a closure and wake the loop, which calls it between
//! two turns' facts. The machine stays with its thread, and nothing is locked.

use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::Arc;

use mio::Waker;

use crate::base::clock::Now;

/// Something to do with a machine.
pub type Call<M> = Box<dyn FnOnce(&mut M, Now) + Send>;

/// Hands calls in. It may go to other threads and be copied.
pub struct Caller<M> {
    sender: Sender<Call<M>>,
    waker: Arc<Waker>,
}

impl<M> Clone for Caller<M> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), waker: Arc::clone(&self.waker) }
    }
}

impl<M> Caller<M> {
    /// Has this done in the loop's next turn. False if the loop is gone, and it will never be done.
    pub fn call(&self, call: impl FnOnce(&mut M, Now) + Send + 'static) -> bool {
        // If the loop cannot be woken it does it when it wakes next.
        self.sender.send(Box::new(call)).is_ok() && self.waker.wake().is_ok()
    }
}

/// Where calls come in.
pub(super) struct Calls<M> {
    sender: Sender<Call<M>>,
    receiver: Receiver<Call<M>>,
    waker: Arc<Waker>,
}

impl<M> Calls<M> {
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        let (sender, receiver) = channel();
        Self { sender, receiver, waker }
    }

    pub(super) fn caller(&self) -> Caller<M> {
        Caller { sender: self.sender.clone(), waker: Arc::clone(&self.waker) }
    }

    pub(super) fn next(&self) -> Option<Call<M>> {
        self.receiver.try_recv().ok()
    }
}
