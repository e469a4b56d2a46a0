//! honcho runs a Procfile in front of somebody: its output is all lines, each with the time and its process before
//! it, here in one file. When one job ends it stops the others, and there is nothing to ask.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::peer::{Job, Peer, Place};
use super::report::What;
use super::text;

pub(crate) struct Honcho;

impl Peer for Honcho {
    fn name(&self) -> &'static str {
        "honcho"
    }

    fn version(&self, place: &Place) -> Option<String> {
        text(place.command("honcho").arg("version"))
    }

    fn up(&self, place: &Place, jobs: &[Job]) -> Command {
        let mut procfile = String::new();
        for job in jobs {
            // Its shell is replaced.
            let _ = writeln!(procfile, "{}: exec {}", job.name, job.line());
        }
        fs::write(place.file("Procfile"), procfile).expect("writable");
        let mut command = place.command("honcho");
        command.args(["--no-colour", "start"]);
        command
    }

    fn restarts(&self) -> bool {
        false
    }

    fn notes(&self) -> &'static [(What, &'static str)] {
        &[(What::Pumped, "one file for all, never put aside, with time and name before each line")]
    }

    fn output(&self, place: &Place, _job: &Job) -> Option<PathBuf> {
        Some(place.folder.join("out"))
    }

    fn prefix(&self) -> usize {
        "00:00:00 system | ".len()
    }
}
