//! Where what processes write goes that speak to the node itself: their standard output is handed to the part
//! of the node that it is for, as bytes in the pieces in which they came, and to nobody else. Whom a run speaks
//! to is told by its specification ([`Hearer`]), so that there is nothing to open and nothing to forget here.
//! The part that hears keeps what it has to of a run, within limits of its own, until the run is over
//! (`close_books`).

use super::gaffer::Gaffer;
use crate::base::clock::Now;
use crate::base::ids::{InstanceId, StreamNo};
use crate::supervisor::hearer::Hearer;

impl Gaffer {
    /// Hands on what a process wrote, if that is for the node; whether it was. What follows from it is settled
    /// as with any fact.
    pub(super) fn tap(&mut self, id: InstanceId, stream: StreamNo, bytes: &[u8], now: Now) -> bool {
        if stream != StreamNo::STDOUT {
            return false;
        }
        let run = self.supervisor.instance(id).and_then(|instance| instance.run.as_ref());
        match run.map(|run| run.spec.hearer()) {
            None | Some(Hearer::Readers) => false,
            Some(Hearer::Listening) => {
                self.listeners.heard(id, bytes, now);
                true
            }
            Some(Hearer::Plugins) => {
                self.hear_talk(id, bytes, now);
                true
            }
        }
    }
}
