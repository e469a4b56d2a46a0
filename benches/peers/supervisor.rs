//! supervisor: output is captured unless it is told not to; its answers are those of XML-RPC.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::peer::{Asked, Job, Peer, Place, ROTATED};
use super::report::What;
use super::text;

pub(crate) struct Supervisor;

impl Peer for Supervisor {
    fn name(&self) -> &'static str {
        "supervisor"
    }

    fn version(&self, place: &Place) -> Option<String> {
        text(place.command("supervisord").arg("--version"))
    }

    fn up(&self, place: &Place, jobs: &[Job]) -> Command {
        let logs = place.file("logs");
        fs::create_dir_all(&logs).expect("writable");
        let mut ini = format!(
            "[inet_http_server]\nport = 127.0.0.1:{}\n\n[supervisord]\nlogfile = {}\npidfile = {}\n\
             childlogdir = {logs}\nminfds = 10000\n\n[rpcinterface:supervisor]\n\
             supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n\n",
            place.port,
            place.file("supervisord.log"),
            place.file("supervisord.pid"),
        );
        for job in jobs {
            let (name, line) = (&job.name, job.line());
            let _ = writeln!(ini, "[program:{name}]\ncommand = {line}\nautorestart = true");
            let _ = writeln!(ini, "stdout_logfile = {logs}/{name}");
            let _ = writeln!(ini, "stdout_logfile_maxbytes = {ROTATED}");
            let _ = writeln!(ini, "stdout_logfile_backups = 1000\n");
        }
        if !jobs.is_empty() {
            // Groups are stopped one after the other, those of a group at once.
            let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
            let _ = writeln!(ini, "[group:all]\nprograms = {}", names.join(","));
        }
        fs::write(place.file("supervisord.ini"), ini).expect("writable");
        let mut command = place.command("supervisord");
        command.args(["--nodaemon", "--configuration", &place.file("supervisord.ini")]);
        command
    }

    fn output(&self, place: &Place, job: &Job) -> Option<PathBuf> {
        Some(place.folder.join("logs").join(&job.name))
    }

    fn notes(&self) -> &'static [(What, &'static str)] {
        &[
            (What::Gone, "looks once a second, for a signal, too"),
            (What::Returned, "looks once a second, for a signal, too"),
            (What::GoneMany, "looks once a second, for a signal, too"),
            (What::Again, "looks once a second, for a signal, too"),
        ]
    }

    fn asked(&self, place: &Place) -> Option<Asked> {
        let at = format!("127.0.0.1:{}", place.port);
        let body = "<?xml version='1.0'?>\n<methodCall><methodName>supervisor.getProcessInfo</methodName>\
                    <params><param><value><string>all:j0</string></value></param></params></methodCall>";
        let length = body.len();
        let request = format!(
            "POST /RPC2 HTTP/1.1\r\nHost: {at}\r\nConnection: keep-alive\r\nContent-Type: text/xml\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        Some(Asked::Http(at, request.into_bytes()))
    }
}
