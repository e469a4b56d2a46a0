//! Who waits to be started again, while the node starts others as fast as it may: those that ran well, and those that
//! failed quickly, each in the order of their ends. Where both wait they take turns, so that a storm of failures holds
//! up what ran well by no more than one start, and neither waits for ever.

use std::collections::VecDeque;

use crate::base::ids::InstanceId;

/// The queue.
#[derive(Debug, Default)]
pub(super) struct RestartQueue {
    well: VecDeque<InstanceId>,
    failed: VecDeque<InstanceId>,
    /// The last to go had run well.
    well_went: bool,
}

impl RestartQueue {
    /// Adds one that ran well,
    pub(super) fn add_well(&mut self, id: InstanceId) {
        self.well.push_back(id);
    }

    /// or one that failed quickly.
    pub(super) fn add_failed(&mut self, id: InstanceId) {
        self.failed.push_back(id);
    }

    /// Whose turn it is.
    pub(super) fn first(&self) -> Option<InstanceId> {
        match self.is_turn_of_well() {
            true => self.well.front().copied(),
            false => self.failed.front().copied(),
        }
    }

    /// That one goes.
    pub(super) fn pass(&mut self) {
        self.well_went = self.is_turn_of_well();
        match self.well_went {
            true => drop(self.well.pop_front()),
            false => drop(self.failed.pop_front()),
        }
    }

    fn is_turn_of_well(&self) -> bool {
        match (self.well.is_empty(), self.failed.is_empty()) {
            (false, false) => !self.well_went,
            (is_empty, _) => !is_empty,
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.well.len() + self.failed.len()
    }

    /// Whether nobody does.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = InstanceId> + '_ {
        self.well.iter().chain(&self.failed).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::arena::Key;

    fn id(index: u32) -> InstanceId {
        Key { index, generation: 0 }.into()
    }

    #[test]
    fn each_kind_goes_in_its_order_and_they_take_turns() {
        let mut queue = RestartQueue::default();
        for n in 0..3 {
            queue.add_well(id(n));
        }
        for n in 10..13 {
            queue.add_failed(id(n));
        }
        let mut gone = Vec::new();
        while let Some(next) = queue.first() {
            queue.pass();
            gone.push(next);
            if gone.len() == 2 {
                queue.add_well(id(3));
            }
        }
        assert_eq!(gone, [0, 10, 1, 11, 2, 12, 3].map(id));
        assert!(queue.is_empty() && queue.iter().count() == 0);
        queue.add_failed(id(1));
        assert_eq!((queue.first(), queue.len()), (Some(id(1)), 1), "nobody else waits");
    }
}
