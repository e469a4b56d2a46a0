//! Jobs that listen: what happens is written to the standard input of their processes, an event a line, as the
//! channel tells it. A process that does not read loses what finds no room in its queue, and is told how much
//! once there is some again.

use super::gaffer::Gaffer;
use super::history::Record;
use super::stdins::{Full, Stdins};
use super::topics::has_prefix;
use crate::base::ids::{InstanceId, StreamNo};
use crate::base::sorted::SortedMap;
use crate::supervisor::name::JobName;
use crate::supervisor::spec::{Dialect, JobSpec};
use crate::supervisor::Supervisor;
use crate::wire::channel;

/// Who listens to what.
#[derive(Default)]
pub(super) struct Listening {
    /// How the names of the events begin that a job hears.
    jobs: SortedMap<JobName, Vec<String>>,
    /// How many messages a process has lost since it was told last.
    lost: SortedMap<InstanceId, u64>,
}

impl Listening {
    /// Something happened to a job: it may listen from now on, or no more.
    pub(super) fn note(&mut self, name: &JobName, supervisor: &Supervisor) {
        let job = supervisor.job_id(name).ok().and_then(|id| supervisor.job(id));
        let listens =
            |spec: &&JobSpec| spec.listen_protocol == Dialect::Gaffer && !spec.listen.is_empty();
        match job.map(|job| &*job.spec).filter(listens).map(|spec| &spec.listen) {
            Some(listen) => drop(self.jobs.insert(name.clone(), listen.clone())),
            None => drop(self.jobs.remove(name)),
        }
    }

    /// A run is over.
    pub(super) fn forget(&mut self, id: InstanceId) {
        self.lost.remove(&id);
    }

    /// Writes what a record says to all who listen to it.
    fn tell(&mut self, record: &Record, supervisor: &Supervisor, stdins: &mut Stdins) {
        for (name, listen) in &self.jobs {
            let heard = |event: &str| listen.iter().any(|prefix| has_prefix(event, prefix));
            let messages = record.messages().filter(|message| heard(message.name));
            let lines: Vec<String> =
                messages.map(|message| format!("{{{}}}\n", message.members())).collect();
            if lines.is_empty() {
                continue;
            }
            for (id, _) in supervisor.live_instances(name).unwrap_or_default() {
                let lost = self.lost.remove(&id).unwrap_or_default();
                let lost = write(id, &lines, lost, stdins);
                if lost > 0 {
                    self.lost.insert(id, lost);
                }
            }
        }
    }

    /// Checks that nothing is counted for a run that is over.
    ///
    /// # Errors
    /// It is, in words.
    pub(super) fn sweep(&self, runs: impl Fn(InstanceId) -> bool) -> Result<(), String> {
        match self.lost.keys().find(|id| !runs(**id)) {
            Some(id) => Err(format!("{id:?} is over and still counted as one who listens")),
            None => Ok(()),
        }
    }
}

/// Writes lines to a process that has lost so many before; gives how many it has lost since it was told.
fn write(id: InstanceId, lines: &[String], mut lost: u64, stdins: &mut Stdins) -> u64 {
    for line in lines {
        let told = match lost {
            0 => Ok(()),
            lost => {
                let said = channel::lagged("EVENTS", lost) + "\n";
                stdins.push(id, StreamNo::STDIN, said.as_bytes())
            }
        };
        if told.is_ok() {
            lost = 0;
        }
        match told.and_then(|()| stdins.push(id, StreamNo::STDIN, line.as_bytes())) {
            Ok(()) => {}
            Err(Full::Now | Full::TooLong) => lost += 1,
            // It has closed its end: it wants to hear no more.
            Err(Full::Closed) => return 0,
        }
    }
    lost
}

impl Gaffer {
    pub(super) fn tell_listeners(&mut self, record: &Record) {
        self.listening.tell(record, &self.supervisor, &mut self.stdins);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::arena::Key;
    use crate::base::limits;
    use crate::base::order::{SpawnOrder, Wiring};
    use crate::sys::testing;

    #[test]
    fn who_does_not_read_loses_what_has_no_room_and_is_told_how_much() {
        let (id, mut stdins) = (InstanceId(Key { index: 0, generation: 0 }), Stdins::default());
        let order = SpawnOrder { stdin: Wiring::Pipe, ..testing::order("ear", &[]) };
        stdins.open(id, &order);
        let lines = vec!["{\"event\": \"a\"}\n".to_owned(), "{\"event\": \"b\"}\n".to_owned()];
        let room = limits::INPUT_QUEUE - lines[0].len();
        stdins.push(id, StreamNo::STDIN, &vec![b'x'; room]).expect("room");
        assert_eq!(write(id, &lines, 0, &mut stdins), 1, "one has room, one has none");
        assert_eq!(write(id, &lines, 1, &mut stdins), 3);
        stdins.taken(id, StreamNo::STDIN, limits::INPUT_QUEUE);
        assert_eq!(write(id, &lines, 3, &mut stdins), 0);
        let said = String::from_utf8(stdins.owed(id, StreamNo::STDIN).to_vec()).expect("text");
        let lagged =
            "{\"data\": {\"lost\": 3}, \"event\": \"gaffer:lagged\", \"topic\": \"EVENTS\"}\n";
        assert_eq!(said, format!("{lagged}{}", lines.concat()));
        stdins.close(id, StreamNo::STDIN);
        assert_eq!(write(id, &lines, 5, &mut stdins), 0, "it wants to hear no more");
    }
}
