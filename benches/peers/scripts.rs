//! runit and s6: a folder for each job, a script in it that becomes the job, and a process for each that watches it;
//! output is captured by one process more for each job.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use super::peer::{Asked, Job, Peer, Place, ROTATED};
use super::report::What;

pub(crate) struct Runit;

pub(crate) struct S6;

/// Folders for these jobs, with this command for the output of each.
fn folders(place: &Place, jobs: &[Job], log: &str) -> PathBuf {
    let all = place.folder.join("jobs");
    fs::create_dir_all(&all).expect("writable");
    for job in jobs {
        let folder = all.join(&job.name);
        if place.logs {
            script(&folder, &format!("exec 2>&1\nexec {}", job.line()));
            script(&folder.join("log"), log);
            // As svlogd has it; s6-log does not look at it.
            let files = folder.join("log/main");
            fs::create_dir_all(&files).expect("writable");
            fs::write(files.join("config"), format!("s{ROTATED}\nn1000\n")).expect("writable");
        } else {
            script(&folder, &format!("exec {}", job.line()));
        }
    }
    // As if it had been there: runsvdir waits a second for one that has changed in the same.
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    File::open(&all).and_then(|folder| folder.set_modified(old)).expect("ours");
    all
}

fn script(folder: &Path, text: &str) {
    fs::create_dir_all(folder).expect("writable");
    let path = folder.join("run");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("writable");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("ours");
}

fn output(place: &Place, job: &Job) -> Option<PathBuf> {
    place.logs.then(|| place.folder.join("jobs").join(&job.name).join("log/main"))
}

/// Of the package, since neither tells it.
fn version(place: &Place, program: &str, package: &str) -> Option<String> {
    let there = place.prefix.join("root/usr/bin").join(program).exists();
    let path = place.prefix.join("versions");
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(package)?.strip_prefix(' '));
    there.then(|| line.unwrap_or("of no known version").to_owned())
}

impl Peer for Runit {
    fn name(&self) -> &'static str {
        "runit"
    }

    fn version(&self, place: &Place) -> Option<String> {
        version(place, "runsvdir", "runit")
    }

    fn up(&self, place: &Place, jobs: &[Job]) -> Command {
        let mut command = place.command("runsvdir");
        command.arg(folders(place, jobs, "exec svlogd ./main"));
        command
    }

    /// With TERM it would leave all that it has started.
    fn signal(&self) -> Signal {
        Signal::HUP
    }

    fn output(&self, place: &Place, job: &Job) -> Option<PathBuf> {
        output(place, job)
    }

    fn asked(&self, place: &Place) -> Option<Asked> {
        let mut command = place.command("sv");
        command.arg("status").arg(place.folder.join("jobs/j0"));
        Some(Asked::Program(command))
    }
}

impl Peer for S6 {
    fn name(&self) -> &'static str {
        "s6"
    }

    fn version(&self, place: &Place) -> Option<String> {
        version(place, "s6-svscan", "s6")
    }

    fn up(&self, place: &Place, jobs: &[Job]) -> Command {
        let log = format!("exec s6-log n1000 s{ROTATED} ./main");
        let mut command = place.command("s6-svscan");
        command.args(["-c", "4000"]).arg(folders(place, jobs, &log));
        command
    }

    fn output(&self, place: &Place, job: &Job) -> Option<PathBuf> {
        output(place, job)
    }

    fn notes(&self) -> &'static [(What, &'static str)] {
        &[(What::Again, "waits a second before it starts again")]
    }

    fn asked(&self, place: &Place) -> Option<Asked> {
        let mut command = place.command("s6-svstat");
        command.arg(place.folder.join("jobs/j0"));
        Some(Asked::Program(command))
    }
}
