//! Processes that carry a run's mark in their environment but are no child that we started: orphans
//! that became ours because we are their subreaper, and what an earlier daemon left.

use crate::base::ids::{OsPid, Pid};
use crate::supervisor::facts::Stray;
use crate::supervisor::name::JobName;
use crate::supervisor::order::RUN_VARIABLE;
use crate::sys::procfs::{self, Environ};

/// Reads the mark of a process. `run` of the result is set when it is of this very life of the
/// node, whose whole mark is `node`.
fn marked(environ: &mut Environ, os_pid: OsPid, node: &str) -> Option<(String, Stray)> {
    if !environ.read(os_pid) {
        return None;
    }
    let value = |name: &str| environ.value(name);
    let mark = value(RUN_VARIABLE)?;
    let (life, pid) = mark.split_once(':')?;
    let job = JobName::new(&value("GAFFER_SESSION")?, &value("GAFFER_JOB")?).ok()?;
    let stat = procfs::stat(os_pid).filter(|stat| stat.state != b'Z')?;
    let run = pid.parse().map(Pid).ok().filter(|_| life == node);
    let number = value("GAFFER_INSTANCE")?.parse().ok()?;
    Some((life.to_owned(), Stray { job, number, run, os_pid, start_time: stat.start_time }))
}

/// Our children that we did not start, with the mark of this life of the node.
pub fn among_own_children(node: &str, known: impl Fn(OsPid) -> bool) -> Vec<Stray> {
    let strangers = procfs::own_children().into_iter().filter(|os_pid| !known(*os_pid));
    let mut environ = Environ::default();
    let marked = strangers.filter_map(|os_pid| marked(&mut environ, os_pid, node));
    marked.filter(|(life, _)| life == node).map(|(_, stray)| stray).collect()
}

/// Our children that we did not start and that no node has marked, or that took the mark off. Whose
/// they were cannot be told.
pub fn unmarked(known: impl Fn(OsPid) -> bool) -> Vec<Stray> {
    let strangers = procfs::own_children().into_iter().filter(|os_pid| !known(*os_pid));
    let mut environ = Environ::default();
    let plain =
        strangers.filter(|pid| !environ.read(*pid) || environ.value(RUN_VARIABLE).is_none());
    let nobodys = JobName::new("gaffer", "escaped");
    let stray = |os_pid: OsPid| {
        let stat = procfs::stat(os_pid).filter(|stat| stat.state != b'Z')?;
        let job = nobodys.clone().ok()?;
        Some(Stray { job, number: 1, run: None, os_pid, start_time: stat.start_time })
    };
    plain.filter_map(stray).collect()
}

/// All processes of the system with the mark of an earlier life of this node: one whose mark begins
/// with `family`.
pub fn of_earlier_lives(family: &str, node: &str) -> Vec<Stray> {
    let own = OsPid(i32::try_from(std::process::id()).unwrap_or(0));
    let others = procfs::pids().into_iter().flatten().filter(|pid| *pid != own);
    let mut environ = Environ::default();
    let marked = others.filter_map(|os_pid| marked(&mut environ, os_pid, node));
    let earlier = |(life, _): &(String, Stray)| life.starts_with(family) && life != node;
    marked.filter(earlier).map(|(_, stray)| stray).collect()
}
