//! One function turns intent into action: `converge` spawns what is missing and stops
//! what is too many, oldest first. Every verb ends there. A fact is about one instance and ends in
//! that instance's share of it: `fill_again` or `judge`.

use std::rc::Rc;

use super::death::Cause;
use super::ending::RunEnd;
use super::event::Event;
use super::instance::{Blocker, Commit, Instance, Role, Run, State, Why};
use super::job::{Desired, Job};
use super::order::{OrderError, Seat};
use super::phases::Phase;
use super::restart::Verdict;
use super::tables::{Ordered, Supervisor, Timer};
use crate::base::clock::Now;
use crate::base::ids::{InstanceId, JobId, Pid};
use crate::base::order::SpawnOrder;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::base::sorting;

impl Supervisor {
    /// Brings a job closer to its intent.
    pub(super) fn converge(&mut self, id: JobId, now: Now) {
        if self.wants_up(id) {
            self.trim(id, now);
            self.fill(id, now);
        }
        self.forget_if_gone(id, now);
    }

    /// Brings one instance, whose process was asked to end and did, closer to its job's intent.
    /// The rest of the job is as it was, so that the cost of an exit does not grow with the job.
    pub(super) fn fill_again(&mut self, id: InstanceId, now: Now) {
        if self.instances.get(id).is_some_and(|instance| self.wants_up(instance.job)) {
            self.spawn(id, now);
        }
    }

    fn wants_up(&self, id: JobId) -> bool {
        let up = |job: &Job| job.loaded && job.desired == Desired::Up;
        self.shutdown.is_none() && self.jobs.get(id).is_some_and(up)
    }

    /// Stops what is too many: what does not run first, then the oldest.
    fn trim(&mut self, id: JobId, now: Now) {
        let Some(job) = self.jobs.get(id) else { return };
        let target = usize::try_from(job.target).unwrap_or(usize::MAX);
        let surplus = job.kept.len().saturating_sub(target);
        if surplus == 0 {
            return;
        }
        let rank = |id: &InstanceId| {
            let instance = self.instances.get(*id)?;
            let up = match instance.state {
                State::Starting if self.is_ordered(instance) => 0,
                State::Starting | State::Running => 2,
                State::Stopping(_) => 1,
                State::Waiting(_)
                | State::Backoff { .. }
                | State::Stopped
                | State::Exited { .. }
                | State::Failed { .. } => 0,
            };
            // Numbers of runs grow, so the smallest is the oldest.
            Some((up, instance.run.as_ref().map(|run| run.pid)))
        };
        let mut victims: Vec<InstanceId> = job.kept.iter().copied().collect();
        sorting::sort_by_key(&mut victims, rank);
        victims.truncate(surplus);
        let under_way = job.rolling.front().copied();
        for victim in victims {
            self.tell_if_live(victim, Event::Reap);
            self.send_away(victim, Why::Scale, now);
        }
        let Some(job) = self.jobs.get_mut(id) else { return };
        let kept = |i: &Instance| matches!(i.role, Role::Kept);
        job.rolling.retain(|id| self.instances.get(*id).is_some_and(kept));
        if job.rolling.front().copied() != under_way {
            self.roll(id, now);
        }
    }

    fn tell_if_live(&mut self, id: InstanceId, event: impl FnOnce(super::event::Subject) -> Event) {
        if self.instances.get(id).is_some_and(Instance::is_live) {
            self.tell(id, event);
        }
    }

    /// Takes an instance out of its job for good; its process, if any, is asked to stop.
    pub(super) fn send_away(&mut self, id: InstanceId, why: Why, now: Now) {
        self.withdraw(id);
        let Some(instance) = self.instances.get_mut(id) else { return };
        let once = instance.is_once();
        let has_process = instance.run.is_some();
        let job_id = instance.job;
        let Some(job) = self.jobs.get_mut(job_id) else { return };
        job.kept.take(instance.number, id);
        job.committed.take(instance.number, id);
        if has_process {
            if !instance.is_straggler() {
                instance.role = Role::Leaving { once };
            }
            job.leaving.insert(id);
            self.begin_stop(id, why, now);
            return;
        }
        self.enter_nothing(id);
        let removed = self.remove_instance(id);
        if let (Some(instance), Some(job)) = (removed, self.jobs.get_mut(job_id)) {
            for death in instance.deaths.iter() {
                job.departed.push(death.clone());
            }
        }
        self.clear_timers(id);
    }

    /// Starts what is missing.
    fn fill(&mut self, id: JobId, now: Now) {
        let Some(job) = self.jobs.get(id) else { return };
        let target = usize::try_from(job.target).unwrap_or(usize::MAX);
        let missing = target.saturating_sub(job.kept.len());
        let mut to_start: Vec<InstanceId> = Vec::new();
        for kept in job.kept.iter() {
            let Some(instance) = self.instances.get(*kept) else { continue };
            match instance.state {
                State::Stopped | State::Waiting(Blocker::Predecessor) => to_start.push(*kept),
                State::Waiting(Blocker::RestartRate)
                | State::Starting
                | State::Running
                | State::Stopping(_)
                | State::Backoff { .. }
                | State::Exited { .. }
                | State::Failed { .. } => {}
            }
        }
        if missing > 0 {
            let numbers = self.free_numbers(job, missing);
            for number in numbers {
                to_start.push(self.new_kept(id, number));
            }
        }
        for instance in to_start {
            self.spawn(instance, now);
        }
    }

    /// The smallest places that neither a kept nor a still leaving instance has: what is leaving
    /// may hold the place's port until it is gone.
    fn free_numbers(&self, job: &Job, count: usize) -> Vec<u32> {
        let number = |id: &InstanceId| self.instances.get(*id).map(|instance| instance.number);
        job.kept.free(&job.leaving.iter().filter_map(number).collect(), count)
    }

    /// Adds a kept instance, stopped for now.
    pub(super) fn new_kept(&mut self, job_id: JobId, number: u32) -> InstanceId {
        let mut instance = Instance::new(job_id, number, Role::Kept);
        let Some(job) = self.jobs.get_mut(job_id) else { return self.instances.insert(instance) };
        job.former.retain(|death| {
            let is_its = death.number == number && !death.once;
            if is_its {
                instance.deaths.remember(death.clone());
            }
            !is_its
        });
        let id = self.instances.insert(instance);
        job.kept.put(number, id);
        id
    }

    /// As [`Supervisor::restart`], for one that ran well: it takes turns with those that failed quickly, so
    /// that a storm of them hardly holds it up.
    fn restart_first(&mut self, id: InstanceId, now: Now) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        instance.state = State::Waiting(Blocker::RestartRate);
        self.restart_queue.add_well(id);
        self.admit_restarts(now);
    }

    /// Starts an instance again after an unplanned exit, when the node's restart rate allows it.
    pub(super) fn restart(&mut self, id: InstanceId, now: Now) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        instance.state = State::Waiting(Blocker::RestartRate);
        self.restart_queue.add_failed(id);
        // Where others wait, their timer is set and this one's turn comes after theirs.
        if self.restart_queue.len() == 1 {
            self.admit_restarts(now);
        }
    }

    /// Lets waiting restarts go as the rate allows.
    pub(super) fn admit_restarts(&mut self, now: Now) {
        while let Some(id) = self.restart_queue.first() {
            let waits = |i: &Instance| matches!(i.state, State::Waiting(Blocker::RestartRate));
            if !self.instances.get(id).is_some_and(waits) {
                self.restart_queue.pass();
                continue;
            }
            if let Err(at) = self.rate.take(now.mono) {
                self.timers.set(Timer::RestartRate, at);
                return;
            }
            self.restart_queue.pass();
            if let Some(instance) = self.instances.get_mut(id) {
                instance.restarts += 1;
            }
            if let Some(tally) = self.tally(id) {
                tally.restarts += 1;
            }
            self.spawn(id, now);
            if let Some(run) = self.instances.get_mut(id).and_then(|i| i.run.as_mut()) {
                run.again = true;
            }
        }
    }

    /// Asks for the process of an instance that has none, unless processes of the job's former life
    /// are in the way of a kept one.
    pub(super) fn spawn(&mut self, id: InstanceId, now: Now) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        let Some(job) = self.jobs.get_mut(instance.job) else { return };
        self.timers.cancel(Timer::Backoff(id));
        let kept = matches!(instance.role, Role::Kept);
        if kept && self.predecessors.contains_key(&job.name) {
            instance.state = State::Waiting(Blocker::Predecessor);
            return;
        }
        self.last_pid += 1;
        let pid = Pid(self.last_pid);
        let commit = match &instance.role {
            Role::Committed(commit) => commit.clone(),
            Role::Kept | Role::Leaving { .. } | Role::Straggler { .. } => Commit::default(),
        };
        let spec = Rc::clone(&job.spec);
        let seat = Seat { name: &job.name, number: instance.number, pid, extra: &commit.env };
        let ordered = self.host.order(&spec, seat);
        let claimed = (kept && spec.detach).then(|| (job.name.clone(), instance.number));
        let claimed = claimed.and_then(|key| self.detached.remove(&key));
        let run = new_run(pid, Rc::clone(&spec), &ordered, commit, now);
        self.pids.insert(pid, id);
        let Some(instance) = self.instances.get_mut(id) else { return };
        instance.run = Some(run);
        instance.state = State::Starting;
        match (claimed, ordered) {
            (Some(running), _) => self.adopt(id, running.os_pid, running.start_time, now),
            (None, Ok(SpawnOrder { identity, .. })) => {
                self.orders.insert(pid, Ordered { id, identity });
            }
            (None, Err(error)) => self.run_ended(id, Cause::Order(error.to_string()), now),
        }
    }

    /// What follows an unplanned exit of a kept instance.
    pub(super) fn judge(&mut self, id: InstanceId, end: &RunEnd, now: Now) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        let verdict =
            instance.history.judge(&end.spec.rules, end.outcome, now.mono, &mut self.random);
        let subject = end.subject.clone();
        self.enter_verdict(id, end, verdict);
        let Some(instance) = self.instances.get_mut(id) else { return };
        match verdict {
            Verdict::Again => self.restart_first(id, now),
            Verdict::After(delay) | Verdict::Pause(delay) => {
                let flapping = matches!(verdict, Verdict::Pause(_));
                instance.state = State::Backoff { retry_at: now.wall + delay, flapping };
                self.timers.set(Timer::Backoff(id), now.mono + delay);
                if flapping {
                    self.events.push(Event::Flap(subject));
                }
            }
            Verdict::Done => {
                instance.state = match &end.cause {
                    // What could not even be started is no end that anybody wanted.
                    Cause::Spawn { .. } | Cause::Order(_) => {
                        State::Failed { reason: end.cause.to_string() }
                    }
                    Cause::Exit(_) => State::Exited { success: end.outcome.success },
                };
                self.stop_rolling(id);
            }
            Verdict::GiveUp { episodes } => {
                let reason =
                    format!("gave up after {episodes} episodes of flapping: {}", end.cause);
                instance.state = State::Failed { reason: reason.clone() };
                self.stop_rolling(id);
                self.events.push(Event::Flap(subject.clone()));
                self.events.push(Event::Failed { subject, reason });
            }
        }
    }

    /// A rolling restart ends at an instance that does not come up again.
    fn stop_rolling(&mut self, id: InstanceId) {
        let Some(instance) = self.instances.get(id) else { return };
        if let Some(job) = self.jobs.get_mut(instance.job) {
            if job.rolling.front() == Some(&id) {
                job.rolling.clear();
            }
        }
    }

    /// The process has run for `min_uptime`.
    pub(super) fn became_stable(&mut self, id: InstanceId, now: Now) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        if !matches!(instance.state, State::Starting) {
            return;
        }
        instance.state = State::Running;
        let job_id = instance.job;
        self.enter(id, Phase::Running);
        let Some(job) = self.jobs.get_mut(job_id) else { return };
        if job.rolling.front() == Some(&id) {
            job.rolling.pop_front();
            self.roll(job_id, now);
        }
    }

    /// Restarts the next instance of a rolling restart. One that has no process by now comes back,
    /// or not, by the exit rule; a process of before the restart it has no more. One that is ordered
    /// and not there yet will be new as well, and is waited for.
    pub(super) fn roll(&mut self, job_id: JobId, now: Now) {
        while let Some(next) = self.next_to_roll(job_id) {
            let instance = self.instances.get(next);
            if instance.is_some_and(|instance| self.is_ordered(instance)) {
                return;
            }
            if instance.is_some_and(|instance| instance.run.is_some()) {
                self.begin_stop(next, Why::Restart, now);
                return;
            }
            if let Some(job) = self.jobs.get_mut(job_id) {
                job.rolling.pop_front();
            }
        }
    }

    fn next_to_roll(&self, job: JobId) -> Option<InstanceId> {
        self.jobs.get(job)?.rolling.front().copied()
    }

    /// Whether its process is ordered and not there yet.
    fn is_ordered(&self, instance: &Instance) -> bool {
        instance.run.as_ref().is_some_and(|run| self.orders.contains_key(&run.pid))
    }

    /// An unloaded job whose last process has ended is forgotten, and its successor may start.
    pub(super) fn forget_if_gone(&mut self, id: JobId, now: Now) {
        let Some(job) = self.jobs.get(id) else { return };
        if job.loaded {
            return;
        }
        let blocks = |id: InstanceId| {
            let role = self.instances.get(id).map(|instance| &instance.role);
            !matches!(role, Some(Role::Straggler { blocks: false, .. }) | None)
        };
        let name = job.name.clone();
        let still_blocks = job.instances().any(blocks);
        if job.instances().next().is_none() {
            self.jobs.remove(id);
        }
        if still_blocks {
            return;
        }
        let Some(waited_for) = self.predecessors.get_mut(&name) else { return };
        waited_for.retain(|predecessor| *predecessor != id);
        if waited_for.is_empty() {
            self.predecessors.remove(&name);
            if let Some(successor) = self.names.get(&name).copied() {
                self.converge(successor, now);
            }
        }
    }

    /// Cancels every timer an instance can have.
    pub(super) fn clear_timers(&mut self, id: InstanceId) {
        self.timers.cancel(Timer::Stable(id));
        self.timers.cancel(Timer::Backoff(id));
        self.timers.cancel(Timer::Grace(id));
        self.timers.cancel(Timer::Linger(id));
        self.timers.cancel(Timer::Drain(id));
    }
}

fn new_run(
    pid: Pid,
    spec: Rc<super::JobSpec>,
    ordered: &Result<SpawnOrder, OrderError>,
    commit: Commit,
    now: Now,
) -> Run {
    let grace = commit.graceful_timeout.unwrap_or(spec.graceful_timeout);
    let who = ordered.as_ref().ok().and_then(|order| order.identity.as_ref());
    let ids = who.map(|who| (who.uid, who.gid));
    Run {
        pid,
        os_pid: None,
        spec,
        started: now,
        extra: commit.env,
        again: false,
        early: SortedSet::new(),
        sent: SortedSet::new(),
        ids,
        grace,
        unlogged: SortedMap::new(),
    }
}
