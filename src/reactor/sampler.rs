//! Measures process groups among the processes that the turn has seen.

use std::collections::BTreeMap;

use crate::base::ids::OsPid;
use crate::node::machine::Usage;
use crate::sys::procfs::{self, Stat};

/// What each of these groups uses now, in their order; `None` for one of which nobody is left.
pub fn sample(processes: &[Stat], leaders: &[OsPid]) -> Vec<Option<Usage>> {
    let mut groups: BTreeMap<i32, Usage> =
        leaders.iter().map(|leader| (leader.0, Usage::default())).collect();
    let ticks = procfs::clock_ticks_per_second();
    for stat in processes {
        let Some(usage) = groups.get_mut(&stat.pgrp) else { continue };
        usage.rss += stat.rss_bytes;
        usage.vms += stat.vms_bytes;
        usage.cpu_time += seconds(stat.cpu_ticks, ticks);
        usage.threads += u64::from(stat.threads);
        usage.processes += 1;
        usage.fds +=
            procfs::count_fds(stat.os_pid).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    }
    let of = |leader: &OsPid| groups.get(&leader.0).copied().filter(|usage| usage.processes > 0);
    leaders.iter().map(of).collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "exact below 2^53 ticks, which are millions of years"
)]
fn seconds(ticks: u64, per_second: u64) -> f64 {
    ticks as f64 / per_second.max(1) as f64
}
