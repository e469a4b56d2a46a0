//! What the loop does with the store: lets time pass in it, tells the machine what it comes to, and does what that
//! wants done.

use super::{Store, Told};
use crate::base::clock::Now;
use crate::node::machine::{Logged, Machine, Tend, Tended};
use crate::reactor::token::Source;
use crate::reactor::turn::Reactor;

impl<M: Machine> Reactor<M> {
    /// Lets time pass in the store, and tells what became of logs. Streams whose processes wait for that are read
    /// again.
    pub(in crate::reactor) fn keep_store(&mut self, now: Now) {
        if self.children.store.deadline().is_some_and(|at| at <= now.mono) {
            self.children.store.on_time(now);
        }
        for told in self.children.store.take_told() {
            match told {
                Told::Failed(id, stream, why) => {
                    self.machine.logged(id, stream, Logged::Failed(why), now);
                }
                Told::Recovered(id, stream, lost) => {
                    self.machine.logged(id, stream, Logged::Recovered(lost), now);
                    self.again.insert(Source::Pipe(id, stream));
                }
            }
        }
    }

    /// Sees to the store as the machine wishes.
    pub(in crate::reactor) fn tend(&mut self, wish: Tend, now: Now) -> Tended {
        match wish {
            Tend::Reopen => {
                self.children.store.reopen(now);
                Tended::Done
            }
            Tend::Rotate(job) => match self.children.store.rotate(&job, now) {
                Ok(count) => Tended::Rotated(count),
                Err(why) => Tended::Failed(why),
            },
            Tend::Clear(job) => Tended::Cleared(self.children.store.clear(&job, now)),
            Tend::Measure => {
                Tended::Measured(self.children.store.taken(), self.children.store.most())
            }
        }
    }
}

impl Store {
    /// How many bytes the store may take.
    pub(in crate::reactor) fn most(&self) -> u64 {
        self.settings.root.as_ref().map_or(0, |_| self.settings.most)
    }
}
