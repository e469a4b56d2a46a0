//! The fake kernel's processes: how they start, what signals do to them and how they die.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use gaffer::base::clock::Now;
use gaffer::base::ids::{InstanceId, OsPid};
use gaffer::base::process::{ExitStatus, Signal};
use gaffer::supervisor::JobName;

use super::child::{drawn_ms, Child};
use super::kernel::{Due, FakeKernel, Mark};

/// A process that has not ended.
pub(super) struct Process {
    pub(super) mark: Mark,
    pub(super) group: OsPid,
    pub(super) start_time: u64,
    /// The run whose leader it is.
    pub(super) leads: Option<InstanceId>,
    /// The run whose output pipe it holds.
    pub(super) holds: Option<InstanceId>,
    pub(super) seen: bool,
    pub(super) obeys: Option<Duration>,
    pub(super) stuck_until: Instant,
    pub(super) frozen: bool,
    /// A stop signal that it will see when it is continued.
    pub(super) pending: Option<Signal>,
    pub(super) dies: Option<(Instant, ExitStatus)>,
}

impl FakeKernel {
    pub(super) fn start(
        &mut self,
        child: &Child,
        mark: Mark,
        group: Option<OsPid>,
        now: Now,
    ) -> OsPid {
        self.last_os_pid += 1;
        let os_pid = OsPid(self.last_os_pid);
        let group = group.unwrap_or(os_pid);
        let process = Process {
            mark,
            group,
            start_time: start_time(os_pid),
            leads: None,
            holds: None,
            seen: true,
            obeys: child.obeys,
            stuck_until: now.mono + child.stuck,
            frozen: false,
            pending: None,
            dies: None,
        };
        self.processes.insert(os_pid, process);
        self.groups.entry(group).or_default().insert(os_pid);
        self.runs.entry(self.processes[&os_pid].mark.run).or_default().insert(os_pid);
        if let Some((after, status)) = child.ends {
            self.will_die(os_pid, now.mono + after, status);
        }
        os_pid
    }

    /// A process that an earlier daemon left behind.
    pub(crate) fn leave(
        &mut self,
        child: &Child,
        job: &JobName,
        number: u32,
        now: Now,
    ) -> (OsPid, u64) {
        let mark = Mark { job: job.clone(), number, run: None };
        let os_pid = self.start(child, mark, None, now);
        (os_pid, start_time(os_pid))
    }

    pub(super) fn signal_one(&mut self, target: OsPid, signal: Signal, now: Now) {
        let Some(process) = self.processes.get_mut(&target) else { return };
        match signal {
            Signal::KILL => {
                let at = now.mono.max(process.stuck_until) + drawn_ms(&mut self.random, 3);
                self.will_die(target, at, ExitStatus::Signal { signal, core: false });
            }
            Signal::CONT => {
                process.frozen = false;
                let pending = process.pending.take();
                if let Some((at, status)) = process.dies {
                    // What it slept through comes now.
                    self.will_die(target, at.max(now.mono), status);
                }
                if let Some(pending) = pending {
                    self.signal_one(target, pending, now);
                }
            }
            _ if signal.number() == STOP => process.frozen = true,
            _ if process.frozen => process.pending = Some(signal),
            _ => {
                let Some(takes) = process.obeys else { return };
                let at = now.mono.max(process.stuck_until) + takes;
                self.will_die(target, at, ExitStatus::Signal { signal, core: false });
            }
        }
    }

    /// Makes the leader of a run end now, by itself.
    pub(crate) fn crash(&mut self, id: InstanceId, status: ExitStatus, now: Now) {
        let leader = self.watches.get(&id).expect("it runs").leader;
        self.will_die(leader, now.mono, status);
    }

    /// The earlier of two deaths wins, but a frozen process dies of nothing before KILL.
    pub(super) fn will_die(&mut self, os_pid: OsPid, at: Instant, status: ExitStatus) {
        let process = self.process(os_pid);
        let (at, status) = match process.dies {
            Some(known) if is_kill(known.1) => known,
            Some(known) if known.0 <= at && !process.frozen && !is_kill(status) => known,
            Some(_) | None => (at, status),
        };
        process.dies = Some((at, status));
        self.at(at, Due::Death(os_pid));
    }

    pub(super) fn death_is_due(&mut self, os_pid: OsPid, now: Now) {
        let Some(process) = self.processes.get(&os_pid) else { return };
        let Some((_, status)) = process.dies.filter(|(at, _)| *at <= now.mono) else { return };
        if process.frozen && !is_kill(status) {
            return;
        }
        let Some(process) = self.processes.remove(&os_pid) else { return };
        let group_empty = leave(&mut self.groups, process.group, os_pid);
        leave(&mut self.runs, process.mark.run, os_pid);
        if let Some(id) = process.leads {
            let soon = now.mono + drawn_ms(&mut self.random, 3);
            if let Some(watch) = self.watches.get_mut(&id) {
                watch.ended = Some(status);
                self.at(soon, Due::Reap(id));
            }
        } else if group_empty && process.seen {
            let run = self.watches.iter().find(|(_, watch)| watch.group == process.group);
            if let Some(id) = run.map(|(id, _)| *id) {
                self.at(now.mono, Due::GroupGone(id));
            }
        }
        self.let_go_of_pipe(&process, now);
    }

    pub(super) fn let_go_of_pipe(&mut self, process: &Process, now: Now) {
        let Some(id) = process.holds else { return };
        // The run may be over by now, and another in its place.
        let Some(watch) = self.watches.get_mut(&id).filter(|w| w.mark.run == process.mark.run)
        else {
            return;
        };
        watch.holders -= 1;
        if watch.holders == 0 {
            let at = now.mono + watch.late;
            let leader = watch.leader;
            self.at(at, Due::Eof(id, leader));
        }
    }

    pub(super) fn members(&self, group: OsPid) -> impl Iterator<Item = OsPid> + '_ {
        self.groups.get(&group).into_iter().flatten().copied()
    }

    pub(super) fn process(&mut self, os_pid: OsPid) -> &mut Process {
        self.processes.get_mut(&os_pid).expect("it lives")
    }

    /// How many processes live.
    pub(crate) fn living(&self) -> usize {
        self.processes.len()
    }

    /// The living processes of a job, as places.
    pub(crate) fn living_of(&self, job: &JobName) -> Vec<u32> {
        let mine = self.processes.values().filter(|process| process.mark.job == *job);
        mine.map(|process| process.mark.number).collect()
    }
}

fn is_kill(status: ExitStatus) -> bool {
    matches!(status, ExitStatus::Signal { signal: Signal::KILL, .. })
}

/// Takes a process out of its company. True if it was the last.
fn leave<K: Ord>(table: &mut BTreeMap<K, BTreeSet<OsPid>>, key: K, os_pid: OsPid) -> bool {
    let Some(members) = table.get_mut(&key) else { return true };
    members.remove(&os_pid);
    let empty = members.is_empty();
    if empty {
        table.remove(&key);
    }
    empty
}

/// SIGSTOP.
const STOP: i32 = 19;

/// No two processes have the same, so that one mistaken for another is found out.
pub(super) fn start_time(os_pid: OsPid) -> u64 {
    u64::try_from(os_pid.0).expect("positive") * 7
}
