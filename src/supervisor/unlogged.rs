//! What a process writes that does not come to its log: it is told while that goes on, and that it is over.

use log::{info, warn};

use super::event::Event;
use super::tables::Supervisor;
use crate::base::ids::{InstanceId, StreamNo};
use crate::logs::backlog::grouped;

impl Supervisor {
    /// What a process writes to a stream cannot be written to its log.
    pub fn log_failed(&mut self, id: InstanceId, stream: StreamNo, why: String) {
        let Some((subject, label)) = self.speaks(id, stream) else { return };
        warn!("{}.{}: {label} is not written to its log: {why}", subject.name, subject.number);
        if let Some(run) = self.instances.get_mut(id).and_then(|i| i.run.as_mut()) {
            run.unlogged.insert(stream, why.clone());
        }
        self.events.push(Event::LogFailed { subject, stream: label, reason: why });
    }

    /// It can be again; so many lines and bytes are lost.
    pub fn log_recovered(&mut self, id: InstanceId, stream: StreamNo, (lines, bytes): (u64, u64)) {
        // It is lost whether its run is over or not.
        if let Some(tally) = self.tally(id) {
            tally.unlogged += bytes;
        }
        let Some((subject, label)) = self.speaks(id, stream) else { return };
        let (name, number) = (&subject.name, subject.number);
        info!(
            "{name}.{number}: {label} is written to its log again; lines lost: {}",
            grouped(lines)
        );
        if let Some(run) = self.instances.get_mut(id).and_then(|i| i.run.as_mut()) {
            run.unlogged.remove(&stream);
        }
        self.events.push(Event::LogRecovered { subject, stream: label, lines, bytes });
    }

    fn speaks(&self, id: InstanceId, stream: StreamNo) -> Option<(super::event::Subject, String)> {
        let run = self.instance(id)?.run.as_ref()?;
        Some((self.subject(id)?, run.spec.label(stream).to_owned()))
    }
}
