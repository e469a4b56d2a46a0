//! What comes after a death: of a job, which is to run again, and of the supervisor itself.

use std::process::Command;

use rustix::process::{kill_process, Signal};

use super::crowd::At;
use super::peer::Running;
use super::report::{Report, What, FLOOR};
use super::role::Beats;
use super::tree;
use super::Sizes;
use crate::bench::{now, rest, start};

/// How long a job has run when it is killed: longer than what anybody takes for one that cannot run at all, after
/// which they wait.
const RUN: u64 = 1_300;

pub(crate) fn restarts((peer, prefix): At, sizes: &Sizes, report: &mut Report) {
    if !peer.restarts() {
        return report.note(What::Again, peer.name(), "starts nothing again");
    }
    let mut running = Running::place(peer, prefix, false);
    let jobs = running.jobs(1, &["--beat"]);
    let (_, ids) = running.start(&jobs).expect("it runs");
    let mut at = ids[0];
    for _ in 0..sizes.restarts {
        rest(RUN);
        let begun = now();
        kill_process(tree::pid(at), Signal::KILL).expect("it runs");
        at = running.beats.next(30.0).expect("it runs again");
        report.add(What::Again, peer.name(), begun.elapsed().as_secs_f64() * 1e3);
    }
}

/// A loop that waits for its child and starts it again.
pub(crate) fn floor(sizes: &Sizes, report: &mut Report) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut beats = Beats::new(folder.path());
    let this = std::env::current_exe().expect("this");
    let path = beats.path.clone();
    let begin = || start(Command::new(&this).args(["peers", "--beat"]).arg(&path));
    let mut child = begin();
    beats.next(30.0).expect("it runs");
    for _ in 0..sizes.restarts {
        rest(RUN);
        let begun = now();
        child.kill().expect("ours");
        child.wait().expect("ours");
        child = begin();
        beats.next(30.0).expect("it runs again");
        report.add(What::Again, FLOOR, begun.elapsed().as_secs_f64() * 1e3);
    }
}

/// What becomes of the jobs when their supervisor is killed, and when it is started again.
pub(crate) fn survival((peer, prefix): At, report: &mut Report) {
    const JOBS: usize = 10;
    let mut running = Running::place(peer, prefix, false);
    let jobs = running.jobs(JOBS, &["--beat"]);
    let (_, old) = running.start(&jobs).expect("they run");
    rest(2_000);
    tree::reap();
    let main = peer.main(&running.place, running.command);
    kill_process(tree::pid(main), Signal::KILL).expect("it runs");
    rest(1_500);
    tree::reap();
    let left = alive(&old);
    let helpers = tree::supervisors().len();

    running.begin(&jobs);
    let mut new = Vec::new();
    while let Some(id) = running.beats.next(5.0) {
        new.push(id);
    }
    let (kept, begun) = (alive(&old), alive(&new));
    // Whether it is anybody's: who watches one starts it again.
    let known = old.iter().find(|id| tree::lives(**id)).is_some_and(|one| {
        let _ = kill_process(tree::pid(*one), Signal::KILL);
        running.beats.next(5.0).is_some()
    });
    let jobs = match (left, helpers) {
        (0, _) => "end with it".to_owned(),
        (JOBS, 0) => "run on".to_owned(),
        (JOBS, _) => "run on, each under its own helper".to_owned(),
        (some, _) => format!("{some} of {JOBS} run on"),
    };
    let again = match (kept, begun, known) {
        (JOBS, 0, true) if helpers > 0 => {
            "its helpers still watch them: one that is killed is started again".to_owned()
        }
        (JOBS, 0, true) => "knows them: one that is killed is started again".to_owned(),
        (JOBS, 0, false) => "runs none of them".to_owned(),
        (JOBS, JOBS, _) => "starts all of them a second time beside the first".to_owned(),
        (0, JOBS, _) if left > 0 => "ends them and starts all anew".to_owned(),
        (0, JOBS, _) => "starts all anew".to_owned(),
        (kept, begun, _) => format!("{kept} of the first run on, {begun} were started"),
    };
    report.survival.push((peer.name(), [jobs, again]));
}

fn alive(ids: &[u32]) -> usize {
    ids.iter().filter(|id| tree::lives(**id)).count()
}
