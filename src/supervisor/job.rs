//! A job in the supervisor's table: its specification, its intent, and which instances are its own.

use std::collections::VecDeque;
use std::rc::Rc;

use super::death::Deaths;
use super::name::JobName;
use super::spec::JobSpec;
use crate::base::ids::InstanceId;

/// What is wanted of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Desired {
    /// Its target number of instances runs.
    Up,
    /// Nothing runs, because somebody stopped it.
    Down,
    /// Nothing runs, because nobody has started it yet.
    Hold,
}

/// Where a job came from: who may take it away again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A configuration file; a reload compares it with the file.
    File,
    /// The API; it is kept in the state directory.
    Api,
}

/// One job.
pub struct Job {
    /// Its name.
    pub name: JobName,
    /// What it is.
    pub spec: Rc<JobSpec>,
    /// Where it came from.
    pub origin: Origin,
    /// What is wanted of it.
    pub desired: Desired,
    /// How many instances are wanted while it is up.
    pub target: u32,
    /// Whether it still has its name. One that has not waits for its last processes to end.
    pub loaded: bool,
    /// Its kept instances, in the order in which their runs began.
    pub kept: Vec<InstanceId>,
    /// Its one-offs.
    pub committed: Vec<InstanceId>,
    /// What is on its way out, stragglers included.
    pub leaving: Vec<InstanceId>,
    /// Deaths of instances that are no more.
    pub departed: Deaths,
    /// Instances that a rolling restart has yet to come to; the first is under way.
    pub rolling: VecDeque<InstanceId>,
    /// Its number in the order of loading.
    pub order: u64,
}

impl Job {
    /// A job without instances that has, for now, no name in the table of jobs.
    pub(super) fn new(
        name: JobName,
        spec: Rc<JobSpec>,
        origin: Origin,
        desired: Desired,
        target: u32,
    ) -> Self {
        Self {
            name,
            spec,
            origin,
            desired,
            target,
            loaded: false,
            kept: Vec::new(),
            committed: Vec::new(),
            leaving: Vec::new(),
            departed: Deaths::default(),
            rolling: VecDeque::new(),
            order: 0,
        }
    }

    /// All instances that belong to it.
    pub fn instances(&self) -> impl Iterator<Item = InstanceId> + '_ {
        self.kept.iter().chain(&self.committed).chain(&self.leaving).copied()
    }

    /// The smallest place from 1 that none of `taken` has.
    pub fn free_number(taken: &[u32]) -> u32 {
        (1..).find(|number| !taken.contains(number)).unwrap_or(u32::MAX)
    }
}
