//! The system's processes as this turn sees them: looked at once, when somebody asks, for all who
//! ask in the turn.

use crate::base::ids::OsPid;
use crate::base::sorted::SortedSet;
use crate::sys::procfs::{self, Stat};
use crate::sys::reap;

/// What was seen, if this turn has looked.
#[derive(Default)]
pub struct System {
    looked: bool,
    /// The groups with a member that is not a zombie; `None` if not all could be seen.
    living_groups: Option<SortedSet<i32>>,
}

impl System {
    /// A new turn: what was seen before does not count any more.
    pub fn begin_turn(&mut self) {
        if self.looked {
            *self = Self::default();
        }
    }

    fn look(&mut self) {
        if self.looked {
            return;
        }
        self.looked = true;
        let Some(stats) = procfs::sweep() else { return };
        let lives = |stat: &&Stat| !matches!(stat.state, b'Z' | b'X');
        self.living_groups = Some(stats.iter().filter(lives).map(|stat| stat.pgrp).collect());
    }

    /// Whether a group has a member that is not a zombie. One that nobody reaps, because its parent
    /// is another process than we are, must not hold up the job. Not to see it, for want of
    /// descriptors, is not to see it dead.
    pub fn group_lives(&mut self, leader: OsPid) -> bool {
        if !reap::group_exists(leader) {
            return false;
        }
        self.look();
        self.living_groups.as_ref().is_none_or(|groups| groups.contains(&leader.0))
    }
}
