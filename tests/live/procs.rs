//! What the kernel says of processes: whose mark they carry, whose children they are.

use std::collections::BTreeMap;
use std::fs;

use gaffer::base::ids::OsPid;
use gaffer::base::process::Signal;
use gaffer::sys::{procfs, reap};

/// A process that carries a node's mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marked {
    pub(crate) os_pid: i32,
    pub(crate) start_time: u64,
    /// Session, job and instance.
    pub(crate) place: (String, String, String),
    /// Whether it leads its group, as every process does that gafferd starts itself.
    pub(crate) leads: bool,
}

/// The processes that carry the mark of this node, of whichever of its lives.
pub(crate) fn marked(family: &str) -> Vec<Marked> {
    procfs::sweep()
        .expect("descriptors")
        .into_iter()
        .filter_map(|stat| one(family, &stat))
        .collect()
}

/// A process's environment. In the middle of execve(2) it is empty for a moment, and whoever looks then
/// would take a process that has just been started for one of somebody else.
fn environment(stat: &procfs::Stat) -> Option<Vec<u8>> {
    for _ in 0..10_000 {
        let block = fs::read(format!("/proc/{}/environ", stat.os_pid)).ok()?;
        let is_program = fs::read_link(format!("/proc/{}/exe", stat.os_pid)).is_ok();
        if !block.is_empty() || !is_program {
            return Some(block);
        }
        std::thread::yield_now();
    }
    None
}

fn one(family: &str, stat: &procfs::Stat) -> Option<Marked> {
    let block = environment(stat)?;
    let value = |name: &str| {
        let text = block.split(|byte| *byte == 0).find_map(|part| {
            part.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="))
        })?;
        Some(String::from_utf8_lossy(text).into_owned())
    };
    if !value("GAFFER_RUN")?.starts_with(family) || stat.state == b'Z' {
        return None;
    }
    Some(Marked {
        os_pid: stat.os_pid.0,
        start_time: stat.start_time,
        place: (value("GAFFER_SESSION")?, value("GAFFER_JOB")?, value("GAFFER_INSTANCE")?),
        leads: stat.pgrp == stat.os_pid.0,
    })
}

/// Two living processes in one place at one time, not both of them from before. Both are looked at
/// again before they are told of: while one is looked for, the other may end.
pub(crate) fn doubled(family: &str, before: &[Marked]) -> Option<(Marked, Marked)> {
    let mut places: BTreeMap<_, Vec<Marked>> = BTreeMap::new();
    for process in marked(family).into_iter().filter(|process| process.leads) {
        let others = places.entry(process.place.clone()).or_default();
        let double = others.iter().find(|other| {
            let all_old = before.contains(other) && before.contains(&process);
            !all_old && is_alive(other) && is_alive(&process)
        });
        if let Some(other) = double {
            return Some((other.clone(), process));
        }
        others.push(process);
    }
    None
}

/// Whether this very process is there and no zombie.
pub(crate) fn is_alive(process: &Marked) -> bool {
    procfs::stat(OsPid(process.os_pid))
        .is_some_and(|stat| stat.start_time == process.start_time && stat.state != b'Z')
}

/// Whether there is a process of this number that is no zombie.
pub(crate) fn exists(os_pid: i32) -> bool {
    procfs::stat(OsPid(os_pid)).is_some_and(|stat| stat.state != b'Z')
}

/// The children of a process, zombies included.
pub(crate) fn children(os_pid: i32) -> Vec<i32> {
    let stats = procfs::sweep().expect("descriptors").into_iter();
    stats.filter(|stat| stat.ppid == os_pid).map(|stat| stat.os_pid.0).collect()
}

/// How many descriptors a process has open; 0 where only root may look, as into a daemon, which guards its
/// memory.
pub(crate) fn fds(os_pid: i32) -> usize {
    procfs::count_fds(OsPid(os_pid)).unwrap_or_else(|| {
        println!("skipped: only root may count the descriptors of a daemon");
        0
    })
}

/// Sends a signal by its number. That the process is gone already is as good.
pub(crate) fn kill(os_pid: i32, signal: i32) {
    let signal = Signal::from_number(i64::from(signal)).expect("a signal");
    let _ = reap::signal(OsPid(os_pid), signal);
}

/// How many bytes a process has read in all (proc(5), "/proc/pid/io"); 0 if it is gone.
pub(crate) fn bytes_read(os_pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{os_pid}/io")).unwrap_or_default();
    let read = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    read.and_then(|count| count.parse().ok()).unwrap_or(0)
}
