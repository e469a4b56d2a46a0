//! Crowds of jobs: how fast they come and go, and what their supervisor takes while nothing happens.

use std::path::Path;
use std::process::{Child, Command};

use rustix::process::{kill_process, Signal};

use super::peer::{Peer, Running, PATIENCE};
use super::report::{Report, What, FLOOR};
use super::role::Beats;
use super::tree::{self, All};
use super::Sizes;
use crate::bench::{now, rest, start};

/// Of who did not come to an end in time.
const LATE: &str = "not within a minute";

/// A peer, and where all of them are.
pub(crate) type At<'a> = (&'a dyn Peer, &'a Path);

/// From nothing until all run, and from the word until all are gone.
pub(crate) fn storm((peer, prefix): At, sizes: &Sizes, report: &mut Report) {
    // Who takes ten seconds takes them again.
    if report.known(What::Started, peer.name()).is_some_and(|before| before > 10_000.0) {
        return;
    }
    let mut running = Running::place(peer, prefix, false);
    let rows = [What::Started, What::Gone, What::Returned];
    up_and_down(&mut running, sizes.storm, rows, |_| (), report);
}

/// Starts so many, does this, and stops them.
fn up_and_down(
    running: &mut Running,
    count: usize,
    [started, gone, returned]: [What; 3],
    between: impl FnOnce(&mut Report),
    report: &mut Report,
) {
    let name = running.peer.name();
    let jobs = running.jobs(count, &["--beat"]);
    let Some((seconds, _)) = running.start(&jobs) else {
        eprintln!("{}", running.said());
        for row in [started, gone, returned] {
            report.note(row, name, LATE);
        }
        return;
    };
    report.add(started, name, seconds * 1e3);
    // A moment to settle, for those who would otherwise be asked to stop while they start.
    rest(1_000);
    assert_eq!(tree::jobs().len(), count, "all run");
    between(report);
    match running.stop() {
        Some((seconds, all)) => {
            report.add(gone, name, seconds * 1e3);
            if returned != gone {
                report.add(returned, name, all * 1e3);
            }
        }
        None => report.note(gone, name, LATE),
    }
}

pub(crate) fn many((peer, prefix): At, sizes: &Sizes, report: &mut Report) {
    let each = report.known(What::Started, peer.name()).unwrap_or(0.0) / sizes.storm as f64;
    if each * sizes.many as f64 > 2e3 * PATIENCE {
        for row in [What::MemoryMany, What::StartedMany, What::GoneMany] {
            report.note(row, peer.name(), LATE);
        }
        return;
    }
    let mut running = Running::place(peer, prefix, false);
    let rows = [What::StartedMany, What::GoneMany, What::GoneMany];
    let memory = |report: &mut Report| {
        rest(sizes.settle);
        report.add(What::MemoryMany, peer.name(), tree::memory());
    };
    up_and_down(&mut running, sizes.many, rows, memory, report);
    if report.known(What::MemoryMany, peer.name()).is_none() {
        report.note(What::MemoryMany, peer.name(), LATE);
    }
}

/// Memory without jobs and with a few, and what it does while they do nothing.
pub(crate) fn footprint((peer, prefix): At, sizes: &Sizes, report: &mut Report) {
    let mut running = Running::place(peer, prefix, false);
    // Some would not start without any.
    running.begin(&[]);
    rest(sizes.settle);
    tree::reap();
    match tree::supervisors().is_empty() {
        true => report.note(What::MemoryAlone, peer.name(), "does not run without jobs"),
        false => report.add(What::MemoryAlone, peer.name(), tree::memory()),
    }
    drop(running);

    let mut running = Running::place(peer, prefix, false);
    let jobs = running.jobs(sizes.few, &["--beat"]);
    running.start(&jobs).expect("they run");
    rest(sizes.settle);
    tree::reap();
    report.add(What::MemoryFew, peer.name(), tree::memory());
    let before = All::now();
    rest(sizes.watched);
    let used = All::now().since(&before);
    assert_eq!(tree::jobs().len(), sizes.few, "all run");
    report.add(What::Switches, peer.name(), used.switches);
    report.add(What::IdleCost, peer.name(), used.seconds * 1e3);
}

pub(crate) fn with_output((peer, prefix): At, sizes: &Sizes, report: &mut Report) {
    let mut running = Running::place(peer, prefix, true);
    let jobs = running.jobs(sizes.few, &["--beat"]);
    if peer.output(&running.place, &jobs[0]).is_none() {
        return report.note(What::MemoryOutput, peer.name(), "captures no output");
    }
    running.start(&jobs).expect("they run");
    rest(sizes.settle);
    tree::reap();
    report.add(What::MemoryOutput, peer.name(), tree::memory());
}

/// A loop that starts, which is told when each runs, and one that kills and reaps.
pub(crate) fn floor(sizes: &Sizes, round: usize, report: &mut Report) {
    let (up, down) = loops(sizes.storm);
    report.add(What::Started, FLOOR, up);
    report.add(What::Gone, FLOOR, down);
    report.add(What::Returned, FLOOR, down);
    if round == 1 {
        let (up, down) = loops(sizes.many);
        report.add(What::StartedMany, FLOOR, up);
        report.add(What::GoneMany, FLOOR, down);
    }
}

fn loops(count: usize) -> (f64, f64) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut beats = Beats::new(folder.path());
    let this = std::env::current_exe().expect("this");
    let begun = now();
    let mut children: Vec<Child> = (0..count)
        .map(|_| start(Command::new(&this).args(["peers", "--beat"]).arg(&beats.path)))
        .collect();
    for _ in 0..count {
        beats.next(60.0).expect("a beat");
    }
    let up = begun.elapsed().as_secs_f64() * 1e3;
    let begun = now();
    for child in &children {
        kill_process(tree::pid(child.id()), Signal::TERM).expect("ours");
    }
    for child in &mut children {
        child.wait().expect("ours");
    }
    (up, begun.elapsed().as_secs_f64() * 1e3)
}
