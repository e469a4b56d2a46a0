//! Deaths over the lives of a daemon. Those of an earlier one wait here until their job is loaded again; what
//! that one could not see any more is put on record by us; and deaths that are complete are handed out to be
//! written down for the next.

use std::time::{Duration, SystemTime};

use super::death::{Cause, Death, Evidence};
use super::effect::Running;
use super::instance::Why;
use super::job::Job;
use super::name::JobName;
use super::tables::Supervisor;
use super::view::{death_view, DeathView};
use crate::base::clock::Now;
use crate::base::process::ExitStatus;
use crate::base::sorting;

/// Something for whoever writes down who died.
#[derive(Clone, Debug, PartialEq)]
pub enum Obituary {
    /// A death of this job is complete.
    Death(JobName, Box<Death>),
    /// Those of this job are to be forgotten: it is unloaded.
    Forget(JobName),
}

impl Supervisor {
    /// Remembers a death of an earlier life, of a job that is to be loaded. Oldest first.
    pub fn remember(&mut self, name: JobName, death: Death) {
        self.former.entry(name).or_default().push(death);
    }

    /// A process on the record of an earlier daemon is gone, and nobody has seen how.
    pub fn vanished(&mut self, running: Running, now: Now) {
        let started_at = running.started_at.unwrap_or(now.wall);
        let death = Death {
            number: running.number,
            once: false,
            pid: running.pid,
            os_pid: Some(running.os_pid),
            started_at,
            ended_at: now.wall,
            ran: now.wall.duration_since(started_at).unwrap_or(Duration::ZERO),
            cause: Cause::Exit(ExitStatus::Unknown),
            why: Why::Unseen,
            evidence: Evidence::default(),
            success: false,
            outlived: false,
            last_lines: Vec::new(),
        };
        self.bury(running.job, death);
    }

    /// Remembers a death of an earlier life that is not written down yet.
    pub(super) fn bury(&mut self, name: JobName, death: Death) {
        self.obituaries.push(Obituary::Death(name.clone(), Box::new(death.clone())));
        let job = self.names.get(&name).copied().and_then(|id| self.jobs.get_mut(id));
        let Some(job) = job else { return self.remember(name, death) };
        let kept = job.kept.at(death.number);
        match kept.and_then(|id| self.instances.get_mut(id)) {
            Some(instance) => instance.deaths.remember(death),
            None => job.former.push(death),
        }
    }

    /// Who died, and whose deaths are to be forgotten, in the order in which that came.
    pub fn take_obituaries(&mut self) -> Vec<Obituary> {
        std::mem::take(&mut self.obituaries)
    }

    /// All that are remembered of a job, in no order.
    pub(super) fn deaths_of<'a>(&'a self, job: &'a Job) -> Vec<&'a Death> {
        let mut deaths: Vec<&Death> = job.departed.iter().chain(&job.former).collect();
        let instances = job.instances().filter_map(|id| self.instance(id));
        deaths.extend(instances.flat_map(|instance| instance.deaths.iter()));
        deaths
    }

    /// The last deaths of all jobs that are meant, so many at most and none from before `since`; newest last.
    /// Those of jobs of an earlier life that are not loaded again are among them.
    pub fn view_all_deaths(
        &self,
        means: impl Fn(&JobName) -> bool,
        since: Option<SystemTime>,
        most: usize,
    ) -> Vec<DeathView> {
        let loaded = self.order.values().filter_map(|id| self.jobs.get(*id));
        let loaded = loaded.map(|job| (&job.name, self.deaths_of(job)));
        let former = self.former.iter().map(|(name, deaths)| (name, deaths.iter().collect()));
        let mut all: Vec<(&JobName, &Death)> = loaded
            .chain(former)
            .filter(|(name, _)| means(name))
            .flat_map(|(name, deaths)| deaths.into_iter().map(move |death| (name, death)))
            .filter(|(_, death)| since.is_none_or(|since| death.ended_at >= since))
            .collect();
        sorting::sort_by_key(&mut all, |(_, death)| (death.ended_at, death.pid));
        let last = all.split_off(all.len().saturating_sub(most));
        last.into_iter().map(|(name, death)| death_view(death).of(name)).collect()
    }
}
