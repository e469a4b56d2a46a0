//! Death records: why each run of an instance ended, with its last words. The last few of each are
//! kept, for `GET /jobs/S/L/deaths` and for people who ask why.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use super::spec::{Command, JobSpec};
use crate::base::error::{Errno, Stage};
use crate::base::ids::{OsPid, Pid};
use crate::base::limits;
use crate::base::process::ExitStatus;

/// Why a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// The kernel's word.
    Exit(ExitStatus),
    /// It never ran.
    Spawn {
        /// How far it came.
        stage: Stage,
        /// What the kernel said.
        errno: Errno,
        /// The program or the directory that it said this of, as far as it is shown.
        of: Option<String>,
    },
    /// It never ran, because no order could be made for it.
    Order(String),
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exit(status) => status.fmt(f),
            Self::Spawn { stage, errno, of: None } => write!(f, "{stage}: {errno}"),
            Self::Spawn { stage, errno, of: Some(of) } => write!(f, "{stage} {of}: {errno}"),
            Self::Order(text) => f.write_str(text),
        }
    }
}

impl Cause {
    /// That a process of this job never ran.
    pub(super) fn spawn(spec: &JobSpec, stage: Stage, errno: Errno) -> Self {
        let of = match stage {
            Stage::Exec => match &spec.command {
                Command::Program { program, .. } => Some(program.as_str()),
                Command::Shell(_) => Some("sh"),
            },
            Stage::Cwd => spec.cwd.as_deref(),
            Stage::Pipe
            | Stage::Account
            | Stage::Fork
            | Stage::Session
            | Stage::Rlimit
            | Stage::Nice
            | Stage::Bounds
            | Stage::Groups
            | Stage::Gid
            | Stage::Uid
            | Stage::Capabilities
            | Stage::Streams
            | Stage::NoNewPrivs => None,
        };
        Self::Spawn { stage, errno, of: of.map(shown) }
    }
}

/// A path in a message of one line: cut where it is too long.
fn shown(path: &str) -> String {
    let visible = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut chars = path.chars().map(visible);
    let mut text: String = chars.by_ref().take(limits::SHOWN_PATH).collect();
    if chars.next().is_some() {
        text.pop();
        text.push('…');
    }
    text
}

/// One ended run.
#[derive(Clone, Debug)]
pub struct Death {
    /// The instance's place in its job.
    pub number: u32,
    /// The run's own number.
    pub pid: Pid,
    /// The kernel's number, if it ever ran.
    pub os_pid: Option<OsPid>,
    /// When it began.
    pub started_at: SystemTime,
    /// When its exit was complete.
    pub ended_at: SystemTime,
    /// How long it ran.
    pub ran: Duration,
    /// Why it ended.
    pub cause: Cause,
    /// Whether it was asked to end.
    pub planned: bool,
    /// Whether it counts as a success.
    pub success: bool,
    /// Whether members of its group outlived it and had to be ended.
    pub outlived: bool,
    /// The last lines of its output.
    pub last_lines: Vec<String>,
}

/// The last few deaths, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Deaths {
    kept: VecDeque<Death>,
    count: u64,
}

impl Deaths {
    /// Adds one; the oldest above the limit is dropped.
    pub fn push(&mut self, death: Death) {
        self.count += 1;
        self.kept.push_back(death);
        if self.kept.len() > limits::DEATHS {
            self.kept.pop_front();
        }
    }

    /// The kept ones, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Death> {
        self.kept.iter()
    }

    /// The newest.
    pub fn last(&self) -> Option<&Death> {
        self.kept.back()
    }

    /// Gives the newest death of this run its last words.
    pub fn attach(&mut self, pid: Pid, lines: Vec<String>) -> Option<Vec<String>> {
        match self.kept.iter_mut().rev().find(|death| death.pid == pid) {
            Some(death) => {
                death.last_lines = lines;
                None
            }
            None => Some(lines),
        }
    }

    /// How many there ever were.
    pub fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::spec_read;
    use serde_json::json;

    #[test]
    fn a_spawn_that_failed_names_its_program_or_directory() {
        let told = |program: &str, stage| {
            let config = json!({"cmd": program, "args": [], "cwd": "/srv"});
            let spec = spec_read::read(config.as_object().expect("an object")).expect("valid");
            Cause::spawn(&spec, stage, Errno(2)).to_string()
        };
        let missing = "No such file or directory";
        assert_eq!(told("./serve", Stage::Exec), format!("exec ./serve: {missing}"));
        assert_eq!(told("./serve", Stage::Cwd), format!("chdir /srv: {missing}"));
        assert_eq!(told("./serve", Stage::Fork), format!("fork: {missing}"));
        assert_eq!(told("'a\nb'", Stage::Exec), format!("exec a\u{fffd}b: {missing}"));
        let longest = "ü".repeat(limits::SHOWN_PATH);
        assert_eq!(told(&longest, Stage::Exec), format!("exec {longest}: {missing}"));
        let cut = "ü".repeat(limits::SHOWN_PATH - 1);
        assert_eq!(told(&(longest + "ü"), Stage::Exec), format!("exec {cut}…: {missing}"));
    }
}
