//! What the kernel keeps when the daemon is killed: its processes, which nobody watches any more.

use std::collections::BTreeMap;

use gaffer::base::ids::OsPid;
use gaffer::supervisor::JobName;

use super::kernel::{Due, FakeKernel};

/// A process as the next daemon finds it in the system.
#[derive(Clone, Debug)]
pub(crate) struct Relic {
    pub(crate) os_pid: OsPid,
    pub(crate) start_time: u64,
    pub(crate) job: JobName,
    pub(crate) number: u32,
}

impl FakeKernel {
    /// KILL for the daemon: no stop signal, no farewell. Its children go on.
    pub(crate) fn daemon_dies(&mut self) {
        self.watches.clear();
        self.unborn.clear();
        self.agenda.retain(|_, due| matches!(due, Due::Death(_)));
        let mut runs: BTreeMap<_, std::collections::BTreeSet<OsPid>> = BTreeMap::new();
        for (os_pid, process) in &mut self.processes {
            process.mark.run = None;
            process.leads = None;
            process.holds = None;
            runs.entry(None).or_default().insert(*os_pid);
        }
        self.runs = runs;
    }

    /// Every living process; all of them carry the mark of the node.
    pub(crate) fn relics(&self) -> Vec<Relic> {
        let relic = |(os_pid, process): (&OsPid, &super::processes::Process)| Relic {
            os_pid: *os_pid,
            start_time: process.start_time,
            job: process.mark.job.clone(),
            number: process.mark.number,
        };
        self.processes.iter().map(relic).collect()
    }

    /// The living processes of a job that no daemon of this life started.
    pub(crate) fn of_earlier_lives(&self, job: &JobName) -> usize {
        let old = |process: &&super::processes::Process| {
            process.mark.run.is_none() && process.mark.job == *job && process.leads.is_none()
        };
        self.processes.values().filter(old).count()
    }

    /// The leaders that the daemon watches and that are not reaped.
    pub(crate) fn leaders(&self) -> Vec<OsPid> {
        let alive = |watch: &&super::kernel::Watch| !watch.reaped;
        self.watches.values().filter(alive).map(|watch| watch.leader).collect()
    }
}
