//! What a supervisor has to tell of itself to be measured, and one that runs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{kill_process, Signal};

use super::report::What;
use super::role::Beats;
use super::tree;
use crate::bench::{now, rest};

/// How long anything may take before it counts as something that a peer cannot do.
pub(crate) const PATIENCE: f64 = 60.0;

/// How large a file of output becomes.
pub(crate) const ROTATED: usize = 10_000_000;

pub(crate) struct Job {
    pub(crate) name: String,
    pub(crate) words: Vec<String>,
}

impl Job {
    pub(crate) fn line(&self) -> String {
        self.words.join(" ")
    }
}

/// How a peer is asked for the state of a job.
pub(crate) enum Asked {
    /// By a request over HTTP, to this address.
    Http(String, Vec<u8>),
    /// By its own library: a script that prints microseconds for one and requests a second of sixteen.
    Script(Command),
    /// By a program for each question.
    Program(Command),
}

/// Where it has its files.
pub(crate) struct Place {
    /// Where all peers are installed.
    pub(crate) prefix: PathBuf,
    pub(crate) folder: PathBuf,
    /// A port that was free.
    pub(crate) port: u16,
    /// Whether output is captured where a peer does that only when it is asked to.
    pub(crate) logs: bool,
}

impl Place {
    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// A program of the prefix, or else of the system, with the surroundings that all have in common.
    pub(crate) fn command(&self, program: &str) -> Command {
        let below = |path: &str| self.prefix.join(path).display().to_string();
        let programs =
            [below("root/usr/bin"), below("python/bin"), below("node/node_modules/.bin")];
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", programs.join(":"));
        let found = path.split(':').map(|folder| Path::new(folder).join(program));
        let found = found.into_iter().find(|path| path.exists());
        let mut command = Command::new(found.unwrap_or_else(|| program.into()));
        command.env_clear().env("PATH", path).env("HOME", &self.folder).current_dir(&self.folder);
        command
            .env("LD_LIBRARY_PATH", below("root/usr/lib/x86_64-linux-gnu"))
            .env("PM2_HOME", self.folder.join("pm2"))
            .stdin(Stdio::null());
        command
    }
}

pub(crate) trait Peer {
    fn name(&self) -> &'static str;

    /// As it tells it; none if it is not there.
    fn version(&self, place: &Place) -> Option<String>;

    /// Writes what it wants to know of these jobs, and gives the command that brings it up.
    fn up(&self, place: &Place, jobs: &[Job]) -> Command;

    /// Its main process, if that is not the command's.
    fn main(&self, _place: &Place, command: u32) -> u32 {
        command
    }

    /// The signal that has it end with its jobs.
    fn signal(&self) -> Signal {
        Signal::TERM
    }

    /// The command for that, where there is no signal.
    fn down(&self, _place: &Place) -> Option<Command> {
        None
    }

    fn restarts(&self) -> bool {
        true
    }

    /// Where it keeps the output of a job, if it does.
    fn output(&self, place: &Place, job: &Job) -> Option<PathBuf>;

    /// How many bytes it writes in front of each line.
    fn prefix(&self) -> usize {
        0
    }

    /// What has to be known of its figures.
    fn notes(&self) -> &'static [(What, &'static str)] {
        &[]
    }

    fn asked(&self, _place: &Place) -> Option<Asked> {
        None
    }
}

/// A peer that runs. All that it has started ends with this.
pub(crate) struct Running<'a> {
    pub(crate) peer: &'a dyn Peer,
    pub(crate) place: Place,
    pub(crate) beats: Beats,
    pub(crate) command: u32,
    _folder: tempfile::TempDir,
}

impl<'a> Running<'a> {
    /// A place for it, in which it does not run yet.
    pub(crate) fn place(peer: &'a dyn Peer, prefix: &Path, logs: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr());
        let port = port.expect("a port").port();
        let (prefix, path) = (prefix.to_owned(), folder.path().to_owned());
        let beats = Beats::new(&path);
        let place = Place { prefix, folder: path, port, logs };
        Self { peer, place, beats, command: 0, _folder: folder }
    }

    /// So many jobs of this role.
    pub(crate) fn jobs(&self, count: usize, role: &[&str]) -> Vec<Job> {
        let this = fs::read_link("/proc/self/exe").expect("this").display().to_string();
        let pipe = self.place.file("beats");
        let words = [&[this.as_str(), "peers"], role, &[pipe.as_str()]].concat();
        let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        (0..count).map(|n| Job { name: format!("j{n}"), words: words.clone() }).collect()
    }

    pub(crate) fn begin(&mut self, jobs: &[Job]) {
        let mut command = self.peer.up(&self.place, jobs);
        let out = File::create(self.place.file("out")).expect("writable");
        let both = out.try_clone().expect("a file");
        self.command = tree::begin(command.stdout(out).stderr(both));
    }

    /// Begins, and waits for all of the jobs: seconds until they ran, and their pids.
    pub(crate) fn start(&mut self, jobs: &[Job]) -> Option<(f64, Vec<u32>)> {
        let begun = now();
        self.begin(jobs);
        let mut ids = Vec::new();
        while ids.len() < jobs.len() {
            let left = PATIENCE - begun.elapsed().as_secs_f64();
            ids.push(self.beats.next(left)?);
        }
        Some((begun.elapsed().as_secs_f64(), ids))
    }

    /// Stops it: seconds until the last job was gone, and until it was gone itself or its command.
    pub(crate) fn stop(&mut self) -> Option<(f64, f64)> {
        self.beats.expect_end();
        let (begun, mut gone) = (now(), None);
        let command = match self.peer.down(&self.place) {
            Some(mut command) => tree::begin(command.stdout(Stdio::null()).stderr(Stdio::null())),
            None => {
                let main = self.peer.main(&self.place, self.command);
                kill_process(tree::pid(main), self.peer.signal()).ok()?;
                0
            }
        };
        let mut returned = None;
        while gone.is_none() || returned.is_none() {
            let elapsed = begun.elapsed().as_secs_f64();
            if elapsed > PATIENCE {
                return None;
            }
            if gone.is_some() {
                rest(1);
            } else if self.beats.ended() {
                gone = Some(begun.elapsed().as_secs_f64());
            }
            // Where there is no command, nothing is left of it in the end, not of its helpers either.
            let ended = tree::reap();
            let over = match command {
                0 => gone.is_some() && tree::nobody(),
                command => ended.contains(&command),
            };
            if over && returned.is_none() {
                returned = Some(begun.elapsed().as_secs_f64());
            }
        }
        Some((gone?, returned?))
    }

    /// The end of what it has said, for whoever wonders why it did not do what it should.
    pub(crate) fn said(&self) -> String {
        let text = fs::read(self.place.file("out")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text[text.len().saturating_sub(600)..]).into_owned();
        text.trim().to_owned()
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        tree::sweep();
    }
}
