//! pm2: a daemon that its command starts, and which is asked by its own library.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::peer::{Asked, Job, Peer, Place};
use super::report::What;

pub(crate) struct Pm2;

impl Peer for Pm2 {
    fn name(&self) -> &'static str {
        "pm2"
    }

    fn version(&self, place: &Place) -> Option<String> {
        // Its command would start the daemon for this.
        let file = place.prefix.join("node/node_modules/pm2/package.json");
        let text = fs::read_to_string(file).ok()?;
        let package: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(package.get("version")?.as_str()?.to_owned())
    }

    fn up(&self, place: &Place, jobs: &[Job]) -> Command {
        let logs = place.file("logs");
        fs::create_dir_all(&logs).expect("writable");
        let apps: Vec<serde_json::Value> = jobs
            .iter()
            .map(|job| {
                serde_json::json!({
                    "name": job.name, "script": job.words[0], "args": job.words[1..],
                    "interpreter": "none", "exec_mode": "fork", "vizion": false, "pmx": false,
                    "out_file": format!("{logs}/{}", job.name),
                    "error_file": format!("{logs}/{}.err", job.name),
                })
            })
            .collect();
        let all = serde_json::json!({ "apps": apps });
        fs::write(place.file("apps.json"), all.to_string()).expect("writable");
        let mut command = place.command("pm2");
        if jobs.is_empty() {
            command.arg("ping");
        } else {
            command.arg("start").arg(place.file("apps.json"));
        }
        command
    }

    fn main(&self, place: &Place, command: u32) -> u32 {
        let text = fs::read_to_string(place.folder.join("pm2/pm2.pid")).unwrap_or_default();
        text.trim().parse().unwrap_or(command)
    }

    fn down(&self, place: &Place) -> Option<Command> {
        let mut command = place.command("pm2");
        command.arg("kill");
        Some(command)
    }

    fn notes(&self) -> &'static [(What, &'static str)] {
        &[(What::Pumped, "one file, which only a module of its own would put aside")]
    }

    fn output(&self, place: &Place, job: &Job) -> Option<PathBuf> {
        Some(place.folder.join("logs").join(&job.name))
    }

    fn asked(&self, place: &Place) -> Option<Asked> {
        let module = place.prefix.join("node/node_modules/pm2");
        let mut command = place.command("node");
        command.args(["-e", include_str!("ask.js")]).arg(module);
        Some(Asked::Script(command))
    }
}
