//! circus: captures output for a watcher that has a stream; it is asked by its own library, over ZeroMQ.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::peer::{Asked, Job, Peer, Place, ROTATED};
use super::report::What;
use super::text;

pub(crate) struct Circus;

impl Peer for Circus {
    fn name(&self) -> &'static str {
        "circus"
    }

    fn version(&self, place: &Place) -> Option<String> {
        text(place.command("circusd").arg("--version"))
    }

    fn up(&self, place: &Place, jobs: &[Job]) -> Command {
        let logs = place.file("logs");
        fs::create_dir_all(&logs).expect("writable");
        let mut ini = format!(
            "[circus]\nendpoint = ipc://{}\npubsub_endpoint = ipc://{}\nstatsd = False\n\n",
            place.file("ask"),
            place.file("hear"),
        );
        for job in jobs {
            let (name, line) = (&job.name, job.line());
            let _ = writeln!(ini, "[watcher:{name}]\ncmd = {line}\ncopy_env = True");
            if place.logs {
                let _ = writeln!(ini, "stdout_stream.class = FileStream");
                let _ = writeln!(ini, "stdout_stream.filename = {logs}/{name}");
                let _ = writeln!(ini, "stdout_stream.max_bytes = {ROTATED}");
                let _ = writeln!(ini, "stdout_stream.backup_count = 1000");
            }
            ini.push('\n');
        }
        fs::write(place.file("circus.ini"), ini).expect("writable");
        let mut command = place.command("circusd");
        command.arg(place.file("circus.ini"));
        command
    }

    fn output(&self, place: &Place, job: &Job) -> Option<PathBuf> {
        Some(place.folder.join("logs").join(&job.name))
    }

    fn notes(&self) -> &'static [(What, &'static str)] {
        &[(What::Again, "looks every five seconds, as it comes")]
    }

    fn asked(&self, place: &Place) -> Option<Asked> {
        let mut command = place.command("python");
        command.args(["-c", include_str!("ask.py"), &format!("ipc://{}", place.file("ask"))]);
        Some(Asked::Script(command))
    }
}
