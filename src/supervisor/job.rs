//! A job in the supervisor's table: its specification, its intent, and which instances are its own.

use std::collections::VecDeque;
use std::rc::Rc;

use super::death::{Death, Deaths};
use super::name::JobName;
use super::spec::JobSpec;
use super::tally::Tally;
use crate::base::ids::InstanceId;
use crate::base::sorted::SortedSet;

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
    /// Where that is written, as `file:line`; empty for one of the API.
    pub source: String,
    /// What is wanted of it.
    pub desired: Desired,
    /// How many instances are wanted while it is up.
    pub target: u32,
    /// Whether it still has its name. One that has not waits for its last processes to end.
    pub loaded: bool,
    /// Its kept instances.
    pub kept: Places,
    /// Its one-offs, in places of their own.
    pub committed: Places,
    /// What is on its way out, stragglers included.
    pub leaving: SortedSet<InstanceId>,
    /// Deaths of instances that are no more.
    pub departed: Deaths,
    /// Deaths of its earlier lives in places that are not filled yet.
    pub former: Vec<Death>,
    /// Instances that a rolling restart has yet to come to; the first is under way.
    pub rolling: VecDeque<InstanceId>,
    /// Its number in the order of loading.
    pub order: u64,
    /// What happened in it since it was loaded.
    pub tally: Tally,
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
            source: String::new(),
            desired,
            target,
            loaded: false,
            kept: Places::default(),
            committed: Places::default(),
            leaving: SortedSet::new(),
            departed: Deaths::default(),
            former: Vec::new(),
            rolling: VecDeque::new(),
            order: 0,
            tally: Tally::default(),
        }
    }

    /// All instances that belong to it.
    pub fn instances(&self) -> impl Iterator<Item = InstanceId> + '_ {
        self.kept.iter().chain(self.committed.iter()).chain(&self.leaving).copied()
    }
}

/// Instances by their place, from 1: never two in one, and each found without looking at the rest.
#[derive(Default)]
pub struct Places {
    /// Who is in each place, from the first to the last filled one.
    filled: Vec<Option<InstanceId>>,
    /// The empty places below the last filled one, all of them, so that a free one is found without a walk over
    /// the filled ones.
    gaps: SortedSet<u32>,
}

impl Places {
    /// All of them, in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = &InstanceId> {
        self.filled.iter().flatten()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.filled.len() - self.gaps.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.filled.is_empty()
    }

    /// The one in this place.
    pub fn at(&self, number: u32) -> Option<InstanceId> {
        *self.filled.get(index(number)?)?
    }

    /// The last filled place, 0 if there is none.
    fn last(&self) -> u32 {
        u32::try_from(self.filled.len()).expect("places are numbered by u32")
    }

    /// Fills a place.
    pub(super) fn put(&mut self, number: u32, id: InstanceId) {
        self.gaps.extend(self.last() + 1..number);
        self.gaps.remove(&number);
        let index = index(number).expect("places are numbered from 1");
        if index >= self.filled.len() {
            // Most jobs have one instance.
            self.filled.reserve_exact(usize::from(index == 0));
            self.filled.resize(index + 1, None);
        }
        let before = self.filled[index].replace(id);
        assert!(before.is_none(), "a place is filled only when it is free");
    }

    /// Empties a place, if this instance is in it.
    pub(super) fn take(&mut self, number: u32, id: InstanceId) {
        if self.at(number) != Some(id) {
            return;
        }
        if let Some(place) = index(number).and_then(|index| self.filled.get_mut(index)) {
            *place = None;
        }
        let last = self.filled.iter().rposition(Option::is_some).map_or(0, |index| index + 1);
        self.filled.truncate(last);
        self.gaps.insert(number);
        // The last gaps are none any more when the last place is emptied.
        self.gaps.split_off(&(self.last() + 1));
    }

    /// So many of the smallest places that are neither filled nor among `taken`.
    pub(super) fn free(&self, taken: &SortedSet<u32>, count: usize) -> Vec<u32> {
        let places = self.gaps.iter().copied().chain(self.last() + 1..);
        places.filter(|number| !taken.contains(number)).take(count).collect()
    }
}

/// Where a place is among all of them.
fn index(number: u32) -> Option<usize> {
    usize::try_from(number.checked_sub(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::arena::Key;
    use crate::base::random::Random;

    #[test]
    fn the_free_places_are_the_smallest_that_are_not_filled() {
        let mut random = Random::seeded(1);
        let mut number = |below| u32::try_from(random.below(below)).expect("small");
        let mut places = Places::default();
        let id = |number| InstanceId(Key { index: number, generation: 0 });
        for _ in 0..10_000 {
            let taken: SortedSet<u32> = (0..number(4)).map(|_| number(30) + 1).collect();
            let free = places.free(&taken, 5);
            let plain = (1..).filter(|n| places.at(*n).is_none() && !taken.contains(n));
            assert_eq!(free, plain.take(5).collect::<Vec<_>>());
            if number(2) == 0 && places.len() < 20 {
                places.put(free[0], id(free[0]));
            }
            let emptied = number(30);
            places.take(emptied, id(emptied));
            assert!(places.gaps.iter().all(|gap| *gap < places.last()));
        }
    }
}
