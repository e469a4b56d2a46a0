//! Measures process groups: one sweep over the system's processes serves all that are asked for.

use std::collections::BTreeMap;

use crate::base::ids::{InstanceId, OsPid};
use crate::node::machine::Usage;
use crate::sys::procfs;

/// What each of these groups uses now. One of which nobody is left is missing.
pub fn sample(targets: &[(InstanceId, OsPid)]) -> Vec<(InstanceId, Usage)> {
    let mut groups: BTreeMap<OsPid, Usage> =
        targets.iter().map(|(_, os_pid)| (*os_pid, Usage::default())).collect();
    let ticks = procfs::clock_ticks_per_second();
    for stat in procfs::sweep().unwrap_or_default() {
        let Some(usage) = groups.get_mut(&OsPid(stat.pgrp)) else { continue };
        usage.rss += stat.rss_bytes;
        usage.vms += stat.vms_bytes;
        usage.cpu_time += seconds(stat.cpu_ticks, ticks);
        usage.threads += u64::from(stat.threads);
        usage.processes += 1;
        usage.fds +=
            procfs::count_fds(stat.os_pid).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    }
    let of = |(id, os_pid): &(InstanceId, OsPid)| Some((*id, *groups.get(os_pid)?));
    targets.iter().filter_map(of).filter(|(_, usage)| usage.processes > 0).collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "exact below 2^53 ticks, which are millions of years"
)]
fn seconds(ticks: u64, per_second: u64) -> f64 {
    ticks as f64 / per_second.max(1) as f64
}
