//! gafferd itself: this build of it, or the one that the variable `GAFFERD` names.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::peer::{Asked, Job, Peer, Place, ROTATED};
use super::text;

pub(crate) struct Gafferd;

fn program(place: &Place) -> Command {
    let built = env!("CARGO_BIN_EXE_gafferd").to_owned();
    let program = std::env::var("GAFFERD").unwrap_or(built);
    // It will be started from another folder.
    let whole = fs::canonicalize(&program).map(|path| path.display().to_string());
    place.command(&whole.unwrap_or(program))
}

impl Peer for Gafferd {
    fn name(&self) -> &'static str {
        "gafferd"
    }

    fn version(&self, place: &Place) -> Option<String> {
        text(program(place).arg("--version"))
    }

    fn up(&self, place: &Place, jobs: &[Job]) -> Command {
        let mut ini = "[gaffer]\nlog_store_size = 100GB\n\n".to_owned();
        for job in jobs {
            let _ = writeln!(ini, "[process:{}]\ncmd = {}", job.name, job.line());
            let _ = writeln!(ini, "log_max_size = {ROTATED}\nlog_total = 100GB\n");
        }
        fs::write(place.file("gafferd.ini"), ini).expect("writable");
        let mut command = program(place);
        command.args(["--bind", &format!("127.0.0.1:{}", place.port)]);
        command.args(["--state-dir", &place.file("state"), "--socket", &place.file("socket")]);
        command.args(["--config", &place.file("gafferd.ini")]);
        command
    }

    fn output(&self, place: &Place, job: &Job) -> Option<PathBuf> {
        Some(place.folder.join("state/logs/default").join(&job.name))
    }

    fn asked(&self, place: &Place) -> Option<Asked> {
        let at = format!("127.0.0.1:{}", place.port);
        let request = format!("GET /jobs/default/j0 HTTP/1.1\r\nHost: {at}\r\n\r\n");
        Some(Asked::Http(at, request.into_bytes()))
    }
}
