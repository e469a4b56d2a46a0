//! A kernel without processes: it performs the supervisor's effects on fake children in virtual time
//! and answers with facts, as the shell will. It also holds the supervisor to the protocol between
//! them: nothing is spawned over a live run, signalled after its release or released while it lives.
//!
//! Its shape is the shell's: `perform` an effect and get the facts that follow at once, `deadline`
//! and `on_time` for those that come by themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use gaffer::base::clock::Now;
use gaffer::base::error::{Errno, Stage};
use gaffer::base::ids::{InstanceId, OsPid, Pid};
use gaffer::base::limits;
use gaffer::base::order::SpawnOrder;
use gaffer::base::process::{ExitStatus, Signal};
use gaffer::base::random::Random;
use gaffer::supervisor::effect::{Ask, Start, Whom};
use gaffer::supervisor::facts::{Exit, Stray};
use gaffer::supervisor::JobName;

use super::child::{Child, Kid};
use super::processes::{start_time, Process};

/// What the kernel has to tell the supervisor.
#[derive(Clone, Debug)]
pub(crate) enum Fact {
    Spawned { id: InstanceId, os_pid: OsPid, start_time: u64 },
    SpawnFailed { id: InstanceId, stage: Stage, errno: Errno },
    Exited { id: InstanceId, exit: Exit },
    Drained(InstanceId),
    GroupGone(InstanceId),
    Strayed(Stray),
}

/// Which run a process belongs to, as its environment says.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    pub(crate) job: JobName,
    pub(crate) number: u32,
    /// `None` for a run of an earlier daemon.
    pub(crate) run: Option<Pid>,
}

/// A run as the shell knows it, from its spawn to its release.
pub(super) struct Watch {
    pub(super) leader: OsPid,
    pub(super) group: OsPid,
    pub(super) mark: Mark,
    pub(super) late: Duration,
    pub(super) ended: Option<ExitStatus>,
    pub(super) reaped: bool,
    pub(super) told_empty: Option<Instant>,
    pub(super) pipe_open: bool,
    /// How many processes hold its output pipe.
    pub(super) holders: usize,
}

/// What happens at its time.
#[derive(Clone, Copy)]
pub(super) enum Due {
    Death(OsPid),
    Reap(InstanceId),
    Eof(InstanceId, OsPid),
    GroupGone(InstanceId),
}

/// The fake kernel.
pub(crate) struct FakeKernel {
    pub(super) processes: BTreeMap<OsPid, Process>,
    /// The living members of each process group.
    pub(super) groups: BTreeMap<OsPid, BTreeSet<OsPid>>,
    /// The living processes of each run, wherever they went.
    pub(super) runs: BTreeMap<Option<Pid>, BTreeSet<OsPid>>,
    pub(super) watches: BTreeMap<InstanceId, Watch>,
    /// Runs whose spawn failed and that are not yet released.
    pub(super) unborn: BTreeSet<InstanceId>,
    pub(super) agenda: BTreeMap<(Instant, u64), Due>,
    pub(super) random: Random,
    pub(super) last_os_pid: i32,
    pub(super) last_due: u64,
    /// Every new child is a good one.
    pub(crate) calm: bool,
    /// A release of a live run is the way of detached ones, not a fault.
    pub(crate) letting_go: bool,
    /// How many it let go.
    pub(crate) let_go: usize,
    pub(crate) spawns: u64,
}

impl FakeKernel {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            processes: BTreeMap::new(),
            groups: BTreeMap::new(),
            runs: BTreeMap::new(),
            watches: BTreeMap::new(),
            unborn: BTreeSet::new(),
            agenda: BTreeMap::new(),
            random: Random::seeded(seed),
            last_os_pid: 1000,
            last_due: 0,
            calm: false,
            letting_go: false,
            let_go: 0,
            spawns: 0,
        }
    }

    /// When the next fact comes by itself.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.agenda.first_key_value().map(|((at, _), _)| *at)
    }

    /// The facts that are due.
    pub(crate) fn on_time(&mut self, now: Now) -> Vec<Fact> {
        let mut facts = Vec::new();
        while self.deadline().is_some_and(|at| at <= now.mono) {
            let Some((_, due)) = self.agenda.pop_first() else { break };
            match due {
                Due::Death(os_pid) => self.death_is_due(os_pid, now),
                Due::Reap(id) => facts.extend(self.reap(id, now)),
                Due::Eof(id, leader) => facts.extend(self.end_of_pipe(id, leader)),
                Due::GroupGone(id) => facts.extend(self.look_at_group(id, now)),
            }
        }
        facts
    }

    /// Does what the supervisor asks; the facts that follow at once are the answer.
    pub(crate) fn perform(&mut self, ask: &Ask, now: Now) -> Vec<Fact> {
        match ask {
            Ask::Adopt { id, os_pid, start_time } => self.adopt(*id, *os_pid, *start_time),
            Ask::Signal { id, signal, whom } => {
                self.signal(*id, *signal, *whom, now);
                Vec::new()
            }
            Ask::Survey(id) => self.look_at_group(*id, now).into_iter().collect(),
            Ask::Log { .. } => Vec::new(),
            Ask::Release(id) => self.release(*id, now),
        }
    }

    /// Starts a process.
    pub(crate) fn start_one(&mut self, start: &Start, now: Now) -> Fact {
        let (id, order) = (start.id, &start.order);
        assert!(!self.watches.contains_key(&id), "{id:?} is spawned over its live run");
        assert!(!self.unborn.contains(&id), "{id:?} is spawned before its failure was released");
        self.spawns += 1;
        let child = if self.calm { Child::good() } else { Child::of(order, &mut self.random) };
        if let Some((stage, errno)) = child.fails {
            self.unborn.insert(id);
            return Fact::SpawnFailed { id, stage, errno };
        }
        let mark = mark_of(order);
        let leader = self.start(&child, mark.clone(), None, now);
        let watch = Watch {
            leader,
            group: leader,
            mark: mark.clone(),
            late: child.late,
            ended: None,
            reaped: false,
            told_empty: None,
            pipe_open: true,
            holders: 1,
        };
        self.watches.insert(id, watch);
        self.process(leader).leads = Some(id);
        self.process(leader).holds = Some(id);
        for kid in &child.kids {
            self.start_kid(kid, mark.clone(), leader, id, now);
        }
        Fact::Spawned { id, os_pid: leader, start_time: start_time(leader) }
    }

    fn start_kid(&mut self, kid: &Kid, mark: Mark, leader: OsPid, run: InstanceId, now: Now) {
        let group = kid.in_group.then_some(leader);
        let os_pid = self.start(&kid.child, mark, group, now);
        let process = self.process(os_pid);
        process.holds = kid.holds_pipe.then_some(run);
        process.seen = kid.seen;
        if let Some(watch) = self.watches.get_mut(&run).filter(|_| kid.holds_pipe) {
            watch.holders += 1;
        }
    }

    fn adopt(&mut self, id: InstanceId, os_pid: OsPid, start_time: u64) -> Vec<Fact> {
        assert!(!self.watches.contains_key(&id), "{id:?} is adopted over its live run");
        let found = self.processes.get_mut(&os_pid).filter(|p| p.start_time == start_time);
        let Some(process) = found else {
            self.unborn.insert(id);
            return vec![Fact::Exited { id, exit: Exit::of(ExitStatus::Unknown) }];
        };
        assert_eq!(process.leads, None, "{os_pid} is adopted twice");
        process.leads = Some(id);
        let watch = Watch {
            leader: os_pid,
            group: process.group,
            mark: process.mark.clone(),
            late: Duration::ZERO,
            ended: None,
            reaped: false,
            told_empty: None,
            pipe_open: false,
            holders: 0,
        };
        self.watches.insert(id, watch);
        Vec::new()
    }

    fn signal(&mut self, id: InstanceId, signal: Signal, whom: Whom, now: Now) {
        let Some(watch) = self.watches.get(&id) else {
            assert!(self.unborn.contains(&id), "{id:?} gets {signal} after its release");
            return;
        };
        assert!(watch.told_empty.is_none(), "{id:?} gets {signal}, but its group is known empty");
        let targets: Vec<OsPid> = match whom {
            Whom::Leader => {
                assert!(!watch.reaped, "the leader of {id:?} gets {signal}, but is reaped");
                vec![watch.leader]
            }
            Whom::Group => self.members(watch.group).collect(),
        };
        for target in targets {
            self.signal_one(target, signal, now);
        }
    }

    pub(super) fn at(&mut self, at: Instant, due: Due) {
        self.last_due += 1;
        self.agenda.insert((at, self.last_due), due);
    }

    /// How much of what a run is owed on a stream it takes now: all, a part or nothing, or the errno if
    /// it has closed its end. `None` if nobody is there.
    pub(crate) fn reads(&mut self, id: InstanceId, owed: usize) -> Option<Result<usize, Errno>> {
        let watch = self.watches.get(&id)?;
        let random = &mut self.random;
        if watch.reaped || random.below(50) == 0 {
            return Some(Err(Errno(32)));
        }
        let owed_too = u64::try_from(owed).expect("few");
        Some(Ok(match random.below(4) {
            0 => 0,
            1 => owed,
            _ => usize::try_from(random.below(owed_too + 1)).expect("few"),
        }))
    }

    fn reap(&mut self, id: InstanceId, now: Now) -> Option<Fact> {
        let watch = self.watches.get(&id)?;
        let group_alive = self.members(watch.group).next().is_some();
        let watch = self.watches.get_mut(&id)?;
        watch.reaped = true;
        watch.told_empty = (!group_alive).then_some(now.mono);
        let status = watch.ended.expect("it ended before it is reaped");
        let exit = Exit { group_alive, streams_open: watch.pipe_open, ..Exit::of(status) };
        Some(Fact::Exited { id, exit })
    }

    fn end_of_pipe(&mut self, id: InstanceId, leader: OsPid) -> Option<Fact> {
        let watch = self.watches.get_mut(&id).filter(|watch| watch.leader == leader)?;
        let was_open = std::mem::replace(&mut watch.pipe_open, false);
        was_open.then_some(Fact::Drained(id))
    }

    fn look_at_group(&mut self, id: InstanceId, now: Now) -> Option<Fact> {
        let watch = self.watches.get(&id)?;
        if !watch.reaped || self.members(watch.group).next().is_some() {
            return None;
        }
        self.watches.get_mut(&id)?.told_empty.get_or_insert(now.mono);
        Some(Fact::GroupGone(id))
    }

    /// The run is over; what of it escaped its group is found now.
    fn release(&mut self, id: InstanceId, now: Now) -> Vec<Fact> {
        if self.unborn.remove(&id) {
            return Vec::new();
        }
        let watch = self.watches.remove(&id).expect("nothing is released twice");
        if !watch.reaped {
            assert!(self.letting_go, "{id:?} is released, but its leader lives");
            self.let_go += 1;
            if let Some(process) = self.processes.get_mut(&watch.leader) {
                process.leads = None;
            }
            return Vec::new();
        }
        let empty = watch.told_empty.expect("a run is released when its group is empty");
        assert!(self.members(watch.group).next().is_none(), "{id:?}: its group lives");
        let waited = now.mono - empty >= limits::DRAIN;
        assert!(!watch.pipe_open || waited, "{id:?} is released before its last words");
        let escaped = self.runs.get(&watch.mark.run).into_iter().flatten();
        escaped.map(|os_pid| stray(*os_pid, &self.processes[os_pid])).collect()
    }

    /// Tells of a process that carries a mark, whether it is a stray or not: the supervisor has to
    /// know.
    pub(crate) fn tell_any_stray(&mut self) -> Option<Fact> {
        let kids: Vec<_> = self
            .processes
            .iter()
            .filter(|(pid, p)| p.group == **pid && p.mark.run.is_some())
            .collect();
        let length = u64::try_from(kids.len()).expect("few");
        let nth = usize::try_from(self.random.below(length)).expect("few");
        kids.get(nth).map(|(os_pid, process)| stray(**os_pid, process))
    }

    /// The runs whose output can still be written, whoever is left to do so.
    pub(crate) fn open_pipes(&self) -> Vec<InstanceId> {
        let open = self.watches.iter().filter(|(_, watch)| watch.pipe_open);
        open.map(|(id, _)| *id).collect()
    }

    /// Whether the leader of this run is not reaped.
    pub(crate) fn leads(&self, id: InstanceId) -> bool {
        self.watches.get(&id).is_some_and(|watch| !watch.reaped)
    }

    /// Whether anything of this run's group lives.
    pub(crate) fn lives(&self, id: InstanceId) -> bool {
        self.watches.get(&id).is_some_and(|watch| self.members(watch.group).next().is_some())
    }
}

fn stray(os_pid: OsPid, process: &Process) -> Fact {
    let mark = process.mark.clone();
    let start_time = process.start_time;
    Fact::Strayed(Stray { job: mark.job, number: mark.number, run: mark.run, os_pid, start_time })
}

fn mark_of(order: &SpawnOrder) -> Mark {
    let value = |name: &str| order.env.get(name).unwrap_or_default();
    let (_, run) = value("GAFFER_RUN").split_once(':').expect("node:pid");
    Mark {
        job: JobName::new(value("GAFFER_SESSION"), value("GAFFER_JOB")).expect("it was one"),
        number: value("GAFFER_INSTANCE").parse().expect("a number"),
        run: Some(Pid(run.parse().expect("a number"))),
    }
}
