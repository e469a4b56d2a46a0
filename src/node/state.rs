//! What this node writes down: the jobs that were loaded over the API, with their intent, and the
//! processes that run. Both are journals; what cannot be written now is written when it can be,
//! and supervision never waits for it.

use std::time::{Duration, Instant};

use log::{error, info};
use serde_json::{json, Map, Value};

use super::journal::Journal;
use super::machine::{Effect, StateFile, Write};
use crate::base::clock::Now;
use crate::base::error::Errno;
use crate::base::ids::{OsPid, Pid};
use crate::base::limits;
use crate::base::process::Signal;
use crate::supervisor::effect::{Record, Running};
use crate::supervisor::job::Desired;
use crate::supervisor::name::JobName;

/// A job as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredJob {
    /// Its configuration as it was given.
    pub config: Map<String, Value>,
    /// What is wanted of it.
    pub desired: Desired,
    /// How many instances are wanted while it is up.
    pub target: u32,
}

impl StoredJob {
    /// Its value in the journal.
    pub fn to_value(&self) -> Value {
        let desired = match self.desired {
            Desired::Up => "up",
            Desired::Down => "down",
            Desired::Hold => "hold",
        };
        json!({"config": &self.config, "desired": desired, "target": self.target})
    }

    /// Reads such a value.
    pub fn from_value(value: &Value) -> Option<Self> {
        let desired = match value.get("desired")?.as_str()? {
            "up" => Desired::Up,
            "down" => Desired::Down,
            "hold" => Desired::Hold,
            _ => return None,
        };
        let target = u32::try_from(value.get("target")?.as_u64()?).ok()?;
        Some(Self { config: value.get("config")?.as_object()?.clone(), desired, target })
    }
}

/// A running process's value in the journal; its key there is its os_pid.
pub fn running_to_value(running: &Running) -> Value {
    json!({
        "job": running.job.to_string(),
        "instance": running.number,
        "pid": running.pid.0,
        "start_time": running.start_time,
        "detach": running.detach,
        "stop_signal": running.stop_signal.number(),
        "graceful_timeout": running.graceful_timeout.as_secs_f64(),
    })
}

/// Reads such a value.
pub fn running_from_value(key: &str, value: &Value) -> Option<Running> {
    let whole = |name: &str| value.get(name)?.as_u64();
    let grace = value.get("graceful_timeout")?.as_f64()?;
    Some(Running {
        job: JobName::parse(value.get("job")?.as_str()?).ok()?,
        number: u32::try_from(whole("instance")?).ok()?,
        pid: Pid(whole("pid")?),
        os_pid: OsPid(key.parse().ok()?),
        start_time: whole("start_time")?,
        detach: value.get("detach")?.as_bool()?,
        stop_signal: Signal::from_number(value.get("stop_signal")?.as_i64()?)?,
        graceful_timeout: Duration::try_from_secs_f64(grace).ok()?,
    })
}

/// The two journals and how well their files take them.
pub struct State {
    jobs: Kept,
    running: Kept,
}

struct Kept {
    file: StateFile,
    journal: Journal,
    /// Set while the file does not hold what it should.
    retry_at: Option<Instant>,
    /// Whether the last write failed, so that the file has to be replaced whole.
    failed: bool,
}

impl State {
    /// Journals for these files. The headers go into the files' first lines.
    pub fn new(running_header: Map<String, Value>) -> Self {
        let kept = |file: StateFile, header| Kept {
            file,
            journal: Journal::new(file.name(), header),
            retry_at: None,
            failed: false,
        };
        Self {
            jobs: kept(StateFile::Jobs, Map::new()),
            running: kept(StateFile::Running, running_header),
        }
    }

    /// Takes a job over that the last daemon kept.
    pub fn restore_job(&mut self, key: String, value: Value) {
        self.jobs.journal.restore(key, value);
    }

    /// Takes a process over that the last daemon recorded.
    pub fn restore_running(&mut self, running: &Running) {
        let key = running.os_pid.to_string();
        self.running.journal.restore(key, running_to_value(running));
    }

    /// Writes both files whole, at the start.
    pub fn begin(&mut self, effects: &mut Vec<Effect>) {
        self.jobs.replace(effects);
        self.running.replace(effects);
    }

    /// Notes what a job is now, `None` if it is not kept any more.
    pub fn job(&mut self, name: &JobName, job: Option<&StoredJob>, effects: &mut Vec<Effect>) {
        let key = name.to_string();
        match job.map(StoredJob::to_value) {
            Some(value) if self.jobs.journal.get(&key) == Some(&value) => {}
            Some(value) => {
                let line = self.jobs.journal.put(&key, value);
                self.jobs.append(line, effects);
            }
            None => {
                if let Some(line) = self.jobs.journal.remove(&key) {
                    self.jobs.append(line, effects);
                }
            }
        }
    }

    /// Notes that a process was started or is gone.
    pub fn record(&mut self, record: &Record, effects: &mut Vec<Effect>) {
        let line = match record {
            Record::Started(running) => {
                let key = running.os_pid.to_string();
                Some(self.running.journal.put(&key, running_to_value(running)))
            }
            Record::Ended(os_pid) => self.running.journal.remove(&os_pid.to_string()),
        };
        if let Some(line) = line {
            self.running.append(line, effects);
        }
    }

    /// What became of a write.
    pub fn stored(&mut self, file: StateFile, result: Result<(), Errno>, now: Now) {
        let kept = self.kept(file);
        match result {
            Ok(()) => {}
            Err(errno) => {
                if !kept.failed {
                    error!(
                        "cannot write the state file {:?}: {errno}; trying again every {} s, \
                         supervision goes on",
                        file.name(),
                        limits::STATE_RETRY.as_secs()
                    );
                }
                kept.failed = true;
                kept.retry_at = Some(now.mono + limits::STATE_RETRY);
            }
        }
    }

    fn kept(&mut self, file: StateFile) -> &mut Kept {
        match file {
            StateFile::Jobs => &mut self.jobs,
            StateFile::Running => &mut self.running,
        }
    }

    /// Whether a file does not hold what it should.
    pub fn is_degraded(&self) -> bool {
        self.jobs.failed || self.running.failed
    }

    /// When to try again.
    pub fn deadline(&self) -> Option<Instant> {
        [self.jobs.retry_at, self.running.retry_at].into_iter().flatten().min()
    }

    /// Tries again what failed and is due.
    pub fn on_time(&mut self, now: Now, effects: &mut Vec<Effect>) {
        for kept in [&mut self.jobs, &mut self.running] {
            if kept.retry_at.is_some_and(|at| at <= now.mono) {
                kept.retry_at = None;
                if std::mem::take(&mut kept.failed) {
                    info!("writing the state file {:?} again", kept.file.name());
                }
                kept.replace(effects);
            }
        }
    }
}

impl Kept {
    fn append(&mut self, line: Vec<u8>, effects: &mut Vec<Effect>) {
        if self.failed {
            // The whole file is written when it can be; a line behind a torn one would not help.
            return;
        }
        if self.journal.is_bloated() {
            self.replace(effects);
            return;
        }
        if let Some(Effect::Store { file, write: Write::Append(bytes) }) = effects.last_mut() {
            if *file == self.file {
                bytes.extend(line);
                return;
            }
        }
        effects.push(Effect::Store { file: self.file, write: Write::Append(line) });
    }

    fn replace(&mut self, effects: &mut Vec<Effect>) {
        let whole = self.journal.whole();
        effects.push(Effect::Store { file: self.file, write: Write::Replace(whole) });
    }
}
