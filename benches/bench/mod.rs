//! What the benchmarks share: how one is to be run, a gafferd to measure with its clients, and what the kernel tells
//! of a process.

pub(crate) mod clients;
pub(crate) mod fixed;
pub(crate) mod gafferd;
pub(crate) mod kernel;
pub(crate) mod nginx;
pub(crate) mod run;
pub(crate) mod together;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A process that one is measured with.
#[expect(clippy::disallowed_methods, reason = "a process to measure")]
pub(crate) fn start(command: &mut Command) -> Child {
    command.spawn().expect("it starts")
}

/// This program in one of its roles.
pub(crate) fn role(name: &str, words: &[&str]) -> Command {
    let mut command = Command::new(this());
    command.arg(name).args(words).stdin(Stdio::null());
    command
}

/// The path of this program.
pub(crate) fn this() -> String {
    std::env::current_exe().expect("this").display().to_string()
}

/// Kills a process and takes its end.
pub(crate) fn end(child: &mut Child) {
    child.kill().expect("ours");
    child.wait().expect("ours");
}

/// Waits until it is so.
pub(crate) fn until(mut look: impl FnMut() -> bool) {
    let begun = now();
    while !look() {
        assert!(begun.elapsed() < Duration::from_secs(120), "waited in vain");
        rest(1);
    }
}

/// Waits between two looks, which are work for who is measured.
#[expect(clippy::disallowed_methods, reason = "a benchmark looks now and then")]
pub(crate) fn rest(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads a clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The one in the middle.
pub(crate) fn median(all: Vec<f64>) -> f64 {
    quantile(all, 500)
}

/// The one below which so many of a thousand lie.
pub(crate) fn quantile(mut all: Vec<f64>, thousandths: usize) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() * thousandths / 1000]
}
