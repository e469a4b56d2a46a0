//! gafferd beside what else people use: supervisor, circus, honcho, pm2, runit, s6 and monit do the same work in turn,
//! in one and the same run, each in a folder of its own and with as little configuration as the work asks for. What
//! comes out is a table in Markdown: medians, how many times gafferd's figure each is, and the floor, which is a loop
//! that does no more than the work itself with the kernel (for gafferd the times are those of the floor).
//!
//! `cargo bench -- peers [--quick] [NAME...]`. `setup` in this folder installs them; it is run if they are not
//! there. With the variable `GAFFERD` another build is measured. A whole run takes about twenty minutes. All jobs run
//! this program and no shell, and stay silent but where their output is what is measured.

mod after;
mod asks;
mod circus;
mod crowd;
mod gafferd;
mod honcho;
mod machine;
mod monit;
mod output;
mod peer;
mod pm2;
mod report;
mod role;
mod scripts;
mod supervisor;
mod tree;

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use signal_hook::consts::{SIGINT, SIGTERM};

use self::peer::{Peer, Place};
use self::report::Report;
use crate::bench::{rest, start};

/// How much of everything.
pub(crate) struct Sizes {
    pub(crate) rounds: usize,
    /// Jobs of the small crowd, of the storms and of the large crowd.
    pub(crate) few: usize,
    pub(crate) storm: usize,
    pub(crate) many: usize,
    /// Milliseconds until memory is looked at, and for which it is idle or noisy.
    pub(crate) settle: u64,
    pub(crate) watched: u64,
    pub(crate) restarts: usize,
    pub(crate) questions: usize,
    pub(crate) megabytes: usize,
    pub(crate) noisy: usize,
}

const WHOLE: Sizes = Sizes {
    rounds: 3,
    few: 100,
    storm: 200,
    many: 1000,
    settle: 7_000,
    watched: 20_000,
    restarts: 9,
    questions: 2_000,
    megabytes: 500,
    noisy: 50,
};

const QUICK: Sizes = Sizes {
    rounds: 1,
    few: 5,
    storm: 10,
    many: 20,
    settle: 500,
    watched: 2_000,
    restarts: 2,
    questions: 160,
    megabytes: 20,
    noisy: 5,
};

/// Measures as these words say, or plays a job of somebody who is measured.
pub(crate) fn run(words: &[String]) {
    if role::play(words) {
        return;
    }
    // Cargo adds a word of its own.
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|w| *w != "--bench").collect();
    match words.split_first() {
        Some((&"--measure", words)) => measure(words),
        _ => keep(&words),
    }
}

/// Has a process of this program measure, and ends all that it leaves behind, however it ends itself.
fn keep(words: &[&str]) {
    tree::adopt();
    let over = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&over)).expect("a signal");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(std::env::current_exe().expect("this"));
    command.args(["peers", "--measure"]).args(words).env("TMPDIR", folder.path());
    let mut child = start(&mut command);
    let mut well = None;
    while well.is_none() && !over.load(Ordering::Relaxed) {
        rest(50);
        well = child.try_wait().expect("ours").map(|code| code.success());
    }
    let _ = child.kill();
    let _ = child.wait();
    tree::sweep();
    drop(folder);
    if well != Some(true) {
        std::process::exit(1);
    }
}

fn measure(words: &[&str]) {
    tree::adopt();
    let sizes = if words.contains(&"--quick") { QUICK } else { WHOLE };
    let wanted: Vec<&str> = words.iter().copied().filter(|word| !word.starts_with('-')).collect();
    let prefix = installed();
    let all: [&dyn Peer; 8] = [
        &gafferd::Gafferd,
        &supervisor::Supervisor,
        &circus::Circus,
        &honcho::Honcho,
        &pm2::Pm2,
        &scripts::Runit,
        &scripts::S6,
        &monit::Monit,
    ];
    let mut report = Report::new(&sizes);
    let mut peers = Vec::new();
    for peer in all {
        if !wanted.is_empty() && !wanted.contains(&peer.name()) {
            continue;
        }
        match peer.version(&nowhere(&prefix)) {
            Some(version) => {
                report.versions.push((peer.name(), version));
                for (what, note) in peer.notes() {
                    report.note(*what, peer.name(), note);
                }
                peers.push(peer);
            }
            None => eprintln!("peers: {} is not there and is left out", peer.name()),
        }
    }
    measured(&peers, &sizes, &prefix, &mut report);
    report.print();
}

/// Everything, one thing after the other, and for each of them one peer after the other.
fn measured(peers: &[&dyn Peer], sizes: &Sizes, prefix: &Path, report: &mut Report) {
    for round in 1..=sizes.rounds {
        guarded("floors", round, || crowd::floor(sizes, round, report));
        guarded("floors", round, || output::floor(sizes, report));
        for peer in peers {
            let measure = |what: &str, of: &mut dyn FnMut()| {
                guarded(&format!("{}: {what}", peer.name()), round, of);
            };
            let at = (*peer, prefix);
            measure("storm", &mut || crowd::storm(at, sizes, report));
            measure("asked", &mut || asks::asked(at, sizes, report));
            measure("output", &mut || output::pump(at, sizes, report));
            // These are sums or medians themselves, or as good as the same each time.
            if round == 1 {
                measure("footprint", &mut || crowd::footprint(at, sizes, report));
                measure("footprint with output", &mut || crowd::with_output(at, sizes, report));
                measure("large crowd", &mut || crowd::many(at, sizes, report));
                measure("restarts", &mut || after::restarts(at, sizes, report));
                measure("noise", &mut || output::noise(at, sizes, report));
                measure("survival", &mut || after::survival(at, report));
            }
        }
        guarded("nginx", round, || asks::floor(sizes, report));
        if round == 1 {
            guarded("restart floor", round, || after::floor(sizes, report));
        }
    }
}

/// One measurement. If it fails, the others go on, and nothing is left of it.
fn guarded(what: &str, round: usize, measure: impl FnOnce()) {
    eprintln!("peers: round {round}, {what}");
    if catch_unwind(AssertUnwindSafe(measure)).is_err() {
        eprintln!("peers: {what} failed");
    }
    tree::sweep();
}

/// Where the peers are; they are installed if nobody has done that.
fn installed() -> PathBuf {
    let prefix = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    if !prefix.exists() {
        eprintln!("peers: installing them in {}", prefix.display());
        let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/setup");
        // What could not be had it has told.
        let _ = start(Command::new(setup).arg(&prefix)).wait();
    }
    prefix
}

fn nowhere(prefix: &Path) -> Place {
    let folder = std::env::temp_dir();
    Place { prefix: prefix.to_owned(), folder, port: 0, logs: false }
}

/// The first line of what a command prints, if all is well.
pub(crate) fn text(command: &mut Command) -> Option<String> {
    let out = command.output().ok().filter(|out| out.status.success())?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    text.lines().next().map(|line| line.trim().to_owned())
}
