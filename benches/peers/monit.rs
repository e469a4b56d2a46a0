//! monit watches programs that go into the background by themselves: it looks at their pid files once in a cycle, here
//! of a second, the shortest that it has. It captures no output.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use super::peer::{Asked, Job, Peer, Place};
use super::report::What;
use super::text;

pub(crate) struct Monit;

impl Peer for Monit {
    fn name(&self) -> &'static str {
        "monit"
    }

    fn version(&self, place: &Place) -> Option<String> {
        text(place.command("monit").arg("-V"))
    }

    fn up(&self, place: &Place, jobs: &[Job]) -> Command {
        let mut text = format!(
            "set daemon 1\nset logfile {}\nset pidfile {}\nset idfile {}\nset statefile {}\n\
             set httpd port {} and use address 127.0.0.1\n allow 127.0.0.1\n allow me:me\n\n",
            place.file("monit.log"),
            place.file("monit.pid"),
            place.file("monit.id"),
            place.file("monit.state"),
            place.port,
        );
        for job in jobs {
            let (name, this, line) = (&job.name, &job.words[0], job.line());
            let pidfile = place.file(&format!("{name}.pid"));
            let _ = writeln!(text, "check process {name} with pidfile {pidfile}");
            let _ = writeln!(text, " start program = \"{this} peers --daemon {pidfile} {line}\"");
            let _ = writeln!(text, " stop program = \"{this} peers --end {pidfile}\"");
        }
        let path = place.folder.join("monitrc");
        fs::write(&path, text).expect("writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
        let mut command = place.command("monit");
        command.args(["-I", "-c"]).arg(path);
        command
    }

    fn down(&self, place: &Place) -> Option<Command> {
        let mut command = place.command("monit");
        command.arg("-c").arg(place.file("monitrc")).args(["stop", "all"]);
        Some(command)
    }

    fn output(&self, _place: &Place, _job: &Job) -> Option<PathBuf> {
        None
    }

    fn notes(&self) -> &'static [(What, &'static str)] {
        &[(What::Started, "looks once a second, the shortest that it can, and starts and stops one after the other"),
(What::StartedMany, "looks once a second, the shortest that it can, and starts and stops one after the other"),
(What::Gone, "looks once a second, the shortest that it can, and starts and stops one after the other"),
(What::GoneMany, "looks once a second, the shortest that it can, and starts and stops one after the other"),
(What::Again, "looks once a second, the shortest that it can, and starts and stops one after the other"),
(What::Returned, "its command only asks for it"),
(What::OneAsks, "a connection for each question; the whole status, as there is none of one job"),]
    }

    fn asked(&self, place: &Place) -> Option<Asked> {
        let at = format!("127.0.0.1:{}", place.port);
        // The name and the word above.
        let allowed = "Authorization: Basic bWU6bWU=";
        let request =
            format!("GET /_status?format=text HTTP/1.1\r\nHost: {at}\r\n{allowed}\r\n\r\n");
        Some(Asked::Http(at, request.into_bytes()))
    }
}
