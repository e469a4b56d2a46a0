//! What the kernel tells of a process, and what it lets this one have.

use std::fs;

use gaffer::base::limits;
use gaffer::sys::startup;
use rustix::process::{setrlimit, Resource, Rlimit};

/// Memory of a process in KiB.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    /// With its part of what it shares.
    pub(crate) pss: u64,
    /// Of its own, and in no file.
    pub(crate) own: u64,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> Self {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("it is there");
        let field = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            let number = line.and_then(|line| line.split_whitespace().nth(1));
            number.and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        Self { pss: field("Pss:"), own: field("Pss_Anon:") }
    }
}

/// The children of a process, if it has one thread that makes them.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(|word| word.parse().expect("a pid")).collect()
}

/// The state of a process, such as `Z`.
pub(crate) fn state(pid: u32) -> Option<char> {
    stat(pid)?.first()?.chars().next()
}

/// Processor time of a process with all its threads in seconds, in ticks of a hundredth.
pub(crate) fn processor(pid: u32) -> f64 {
    let fields = stat(pid).expect("it is there");
    let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / 100.0
}

fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// Lets this process, and those that it starts, have as many descriptors as the system lets it. Who may raises the
/// hard limit, too: half of the descriptors of a gafferd are for clients.
pub(crate) fn raise_nofile() {
    let wanted = Some(65_536);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: wanted, maximum: wanted });
    startup::raise_nofile();
}

/// How many connections a gafferd has room for beside a few others: half of its descriptors, but for those that it
/// keeps free.
pub(crate) fn most_clients() -> usize {
    nofile() / 2 * 7 / 8
}

/// How many instances a gafferd has room for, whose output it takes by so many pipes, beside what it holds open to
/// measure them.
pub(crate) fn most_instances(pipes: usize) -> usize {
    nofile().saturating_sub(limits::SAMPLE_FILES + 1_000).max(200) / pipes
}

fn nofile() -> usize {
    let (soft, _) = startup::nofile().unwrap_or((1024, 1024));
    usize::try_from(soft).unwrap_or(usize::MAX)
}
