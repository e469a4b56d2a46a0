//! What is true of the supervisor between any two inputs. The simulation sweeps this after every
//! step; a daemon that wants to can, too.

use super::instance::{Blocker, Instance, State};
use super::job::Desired;
use super::tables::{Supervisor, Timer};
use crate::base::ids::InstanceId;
use crate::base::sorted::SortedSet;

impl Supervisor {
    /// Checks every invariant.
    ///
    /// # Errors
    /// The first that does not hold, in words.
    pub fn sweep(&self) -> Result<(), String> {
        self.jobs_have_their_number()?;
        let queued: SortedSet<InstanceId> = self.restart_queue.iter().collect();
        let mut owned = SortedSet::new();
        for (id, job) in self.jobs.iter() {
            for instance in job.instances() {
                if !owned.insert(instance) {
                    return Err(format!("{instance:?} stands twice in its job {}", job.name));
                }
                let found = self.instances.get(instance).map(|instance| instance.job);
                if found != Some(id) {
                    return Err(format!("{instance:?} of {} belongs to {found:?}", job.name));
                }
            }
        }
        if !self.restart_queue.is_empty() && self.timers.due_at(Timer::RestartRate).is_none() {
            return Err("restarts wait, but nothing wakes them".into());
        }
        for (pid, ordered) in &self.orders {
            let run = self.instances.get(ordered.id).and_then(|instance| instance.run.as_ref());
            if run.map(|run| run.pid) != Some(*pid) {
                return Err(format!("{:?} is to be started, but is not there", ordered.id));
            }
        }
        for (id, instance) in self.instances.iter() {
            if !owned.contains(&id) {
                return Err(format!("{id:?} is {} and belongs to no job", instance.word()));
            }
            self.instance_is_sound(id, instance, queued.contains(&id)).map_err(|what| {
                format!("{id:?} (number {}, {}): {what}", instance.number, instance.word())
            })?;
        }
        Ok(())
    }

    fn jobs_have_their_number(&self) -> Result<(), String> {
        for (id, job) in self.jobs.iter() {
            let kept = job.kept.len();
            let target = usize::try_from(job.target).unwrap_or(usize::MAX);
            if job.loaded && job.desired == Desired::Up && self.shutdown.is_none() && kept != target
            {
                return Err(format!("{} is up with {kept} of {target} instances", job.name));
            }
            if job.loaded != (self.names.get(&job.name) == Some(&id)) {
                return Err(format!("{} is loaded or not, but its name says otherwise", job.name));
            }
            if !job.loaded && job.instances().next().is_none() {
                return Err(format!("{} is unloaded and empty, but still there", job.name));
            }
            for id in job.kept.iter() {
                let Some(instance) = self.instances.get(*id) else { continue };
                if job.kept.at(instance.number) != Some(*id) {
                    return Err(format!("{}.{} is not in its place", job.name, instance.number));
                }
                let down = matches!(instance.state, State::Stopped);
                let wanted = job.desired == Desired::Up && self.shutdown.is_none();
                if job.loaded && wanted && down {
                    return Err(format!(
                        "{}.{} is stopped, but wanted up",
                        job.name, instance.number
                    ));
                }
            }
        }
        Ok(())
    }

    fn instance_is_sound(
        &self,
        id: InstanceId,
        instance: &Instance,
        queued: bool,
    ) -> Result<(), String> {
        let has = |timer| self.timers.due_at(timer).is_some();
        let backoff = matches!(instance.state, State::Backoff { .. });
        if backoff != has(Timer::Backoff(id)) {
            return Err("backoff without its timer, or the timer without backoff".into());
        }
        let starting = matches!(instance.state, State::Starting);
        let runs = instance.run.as_ref().is_some_and(|run| run.os_pid.is_some());
        let ordered = instance.run.as_ref().is_some_and(|run| self.orders.contains_key(&run.pid));
        if (starting && !runs) != ordered {
            return Err("starting without process or order, or an order without starting".into());
        }
        if (starting && runs) != has(Timer::Stable(id)) {
            return Err("starting without its timer, or the timer without starting".into());
        }
        let ending = has(Timer::Grace(id)) || has(Timer::Linger(id)) || has(Timer::Drain(id));
        let stopping = instance.stopping();
        // An ending that nobody asked for waits for nothing before its leader is gone.
        if stopping.is_some() != ending {
            return Err("stopping without a timer, or a timer without stopping".into());
        }
        let needs_run = starting || stopping.is_some() || matches!(instance.state, State::Running);
        if needs_run != instance.run.is_some() {
            return Err("a run without a state for it, or the other way round".into());
        }
        if let Some(run) = &instance.run {
            if self.pids.get(&run.pid) != Some(&id) {
                return Err(format!("its number {} does not lead to it", run.pid));
            }
        }
        if matches!(instance.state, State::Waiting(Blocker::RestartRate)) && !queued {
            return Err("waits for its turn, but is not in the queue".into());
        }
        instance.phase_is_sound()?;
        let job = self.jobs.get(instance.job).ok_or("its job is gone")?;
        if !job.loaded && stopping.is_none() {
            return Err("of an unloaded job and not stopping".into());
        }
        Ok(())
    }
}
