//! The processes below this one: who they are, what they take, and their end. This program is the parent of all that
//! lose theirs, so that nothing that a peer puts into the background is lost to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::{kill_process, set_child_subreaper, wait, Pid, Signal, WaitOptions};

use crate::bench::{rest, start};

/// Becomes the parent of what is orphaned below.
pub(crate) fn adopt() {
    set_child_subreaper(Some(rustix::process::getpid())).expect("a kernel that knows of it");
}

pub(crate) fn pid(id: u32) -> Pid {
    i32::try_from(id).ok().and_then(Pid::from_raw).expect("a pid")
}

/// Starts what is to be reaped here.
pub(crate) fn begin(command: &mut Command) -> u32 {
    start(command).id()
}

/// Takes in what has ended, and gives their pids.
pub(crate) fn reap() -> Vec<u32> {
    let next = || wait(WaitOptions::NOHANG).ok().flatten();
    std::iter::from_fn(next).map(|(pid, _)| pid.as_raw_nonzero().get().unsigned_abs()).collect()
}

/// All below that live. Of a parent with threads its first may be dead for a while before its children are orphans, so
/// that the dead are passed through.
pub(crate) fn below() -> BTreeSet<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut dead = BTreeSet::new();
    for entry in fs::read_dir("/proc").expect("a /proc").flatten() {
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        let Some(fields) = stat(id) else { continue };
        if fields[0] == "Z" {
            dead.insert(id);
        }
        children.entry(fields[1].parse().unwrap_or(0)).or_default().push(id);
    }
    let (mut found, mut next) = (BTreeSet::new(), vec![std::process::id()]);
    while let Some(id) = next.pop() {
        for child in children.remove(&id).unwrap_or_default() {
            if !dead.contains(&child) {
                found.insert(child);
            }
            next.push(child);
        }
    }
    found
}

/// Whether nobody is left. Who has just lost its parent may be seen by neither of two looks at once, but by the next.
pub(crate) fn nobody() -> bool {
    below().is_empty() && below().is_empty()
}

/// Those of them that are no jobs, which run the program that this is.
pub(crate) fn supervisors() -> BTreeSet<u32> {
    let mut found = below();
    found.retain(|id| !is_job(*id));
    found
}

pub(crate) fn jobs() -> BTreeSet<u32> {
    let mut found = below();
    found.retain(|id| is_job(*id));
    found
}

pub(crate) fn lives(id: u32) -> bool {
    stat(id).is_some_and(|fields| fields[0] != "Z")
}

fn is_job(id: u32) -> bool {
    let this = fs::read_link("/proc/self/exe").expect("this");
    fs::read_link(format!("/proc/{id}/exe")).is_ok_and(|exe: PathBuf| exe == this)
}

/// Ends all of them, supervisors first, who would start others in their place.
pub(crate) fn sweep() {
    for _ in 0..1000 {
        if nobody() {
            break;
        }
        let (all, first) = (below(), supervisors());
        for id in if first.is_empty() { &all } else { &first } {
            let _ = kill_process(pid(*id), Signal::KILL);
        }
        rest(2);
        reap();
    }
    reap();
}

/// Memory of the supervisors with their part of what they share, in MiB.
pub(crate) fn memory() -> f64 {
    let all = supervisors();
    let pss = all.iter().filter_map(|id| {
        let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
        number(&text, "Pss:")
    });
    pss.sum::<f64>() / 1024.0
}

/// What a process has used up to now.
#[derive(Clone, Copy, Default)]
pub(crate) struct Used {
    /// Seconds of processor, with those of helpers that have ended and were waited for.
    pub(crate) seconds: f64,
    /// How often it came and went, by itself or not.
    pub(crate) switches: f64,
}

/// What each of the supervisors has used up to now.
pub(crate) struct All(BTreeMap<u32, Used>);

impl All {
    pub(crate) fn now() -> Self {
        let all = supervisors().into_iter();
        Self(all.filter_map(|id| Some((id, Used::of(id)?))).collect())
    }

    /// What they have used since then. Of one that is no more its parent tells.
    pub(crate) fn since(&self, before: &Self) -> Used {
        self.0.iter().fold(Used::default(), |sum, (id, used)| {
            let first = before.0.get(id).copied().unwrap_or_default();
            Used {
                seconds: sum.seconds + used.seconds - first.seconds,
                switches: sum.switches + used.switches - first.switches,
            }
        })
    }
}

impl Used {
    /// Of one: its threads to the nanosecond, since many small ones would be lost in ticks, and helpers in ticks.
    fn of(id: u32) -> Option<Self> {
        let fields = stat(id)?;
        let ticks = |at: usize| fields[at].parse::<f64>().unwrap_or(0.0) / 100.0;
        let mut sum = Self { seconds: ticks(13) + ticks(14), switches: 0.0 };
        for thread in fs::read_dir(format!("/proc/{id}/task")).ok()?.flatten() {
            let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            let spent = text.split_whitespace().next().and_then(|first| first.parse::<f64>().ok());
            sum.seconds += spent.unwrap_or(0.0) / 1e9;
            let text = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            sum.switches += number(&text, "voluntary_ctxt_switches:").unwrap_or(0.0);
            sum.switches += number(&text, "nonvoluntary_ctxt_switches:").unwrap_or(0.0);
        }
        Some(sum)
    }
}

/// The fields behind the name: state, parent and so on.
fn stat(id: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

fn number(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
