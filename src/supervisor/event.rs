//! Events: what clients are told. Nothing inside acts on them; the last word of each name and its
//! fields are the original's (its protocol, "Events"), with further fields beside them.

use serde::Serialize;

use super::death::{Told, UsageView};
use super::name::JobName;
use crate::base::clock::seconds;
use crate::base::ids::{OsPid, Pid};
use crate::base::process::{ExitStatus, Signal};

/// Something that happened to a job or a process.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A job was loaded.
    Load(JobName),
    /// A job was unloaded.
    Unload(JobName),
    /// A job was started.
    Start(JobName),
    /// A job was stopped.
    Stop(JobName),
    /// A job's target number or specification changed.
    Update(JobName),
    /// A process was started.
    Spawn(Subject),
    /// A process is one too many.
    Reap(Subject),
    /// A process was asked to stop.
    StopProcess(Subject),
    /// A process ended.
    Exit {
        /// Which.
        subject: Subject,
        /// How; `None` if it never ran.
        status: Option<ExitStatus>,
        /// Why, for people.
        reason: String,
        /// What else is told of it.
        told: Box<Told>,
    },
    /// An instance flaps.
    Flap(Subject),
    /// An instance was given up.
    Failed {
        /// Which.
        subject: Subject,
        /// Why, for people.
        reason: String,
    },
    /// What a process writes cannot be written to its log.
    LogFailed {
        /// Which.
        subject: Subject,
        /// What the stream is called.
        stream: String,
        /// Why, for people.
        reason: String,
    },
    /// It can be again.
    LogRecovered {
        /// Which.
        subject: Subject,
        /// What the stream is called.
        stream: String,
        /// How many lines are lost,
        lines: u64,
        /// and bytes.
        bytes: u64,
    },
    /// A signal was sent to all processes of a job.
    KillJob(JobName, Signal),
    /// A signal was sent to a process.
    Kill(Subject, Signal),
}

/// The process an event is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// Its job.
    pub name: JobName,
    /// Its place there.
    pub number: u32,
    /// Gaffer's number.
    pub pid: Pid,
    /// The kernel's, if it ever ran.
    pub os_pid: Option<OsPid>,
    /// Whether it is a one-off.
    pub once: bool,
}

/// What the messages of an event say, in the order of their names.
#[derive(Default, Serialize)]
pub struct Fields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_status: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_lines: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost_lines: Option<u64>,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    once: Option<bool>,
    /// Within: nothing, if the process never ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    os_pid: Option<Option<i32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    planned: Option<bool>,
    /// Seconds, to the millisecond.
    #[serde(skip_serializing_if = "Option::is_none")]
    ran: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rusage: Option<UsageView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signum: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    term_signal: Option<i32>,
}

impl Fields<'_> {
    fn of_job(job: &JobName) -> Self {
        Self { name: job.to_string(), ..Self::default() }
    }

    fn of(subject: &Subject) -> Self {
        Self {
            pid: Some(subject.pid.0),
            os_pid: Some(subject.os_pid.map(|pid| pid.0)),
            instance: Some(subject.number),
            ..Self::of_job(&subject.name)
        }
    }
}

impl Event {
    /// What is told of a process that ended, if this says so, to who follows it: not its last lines, as he has read
    /// them.
    pub fn exit(&self) -> Option<Fields<'_>> {
        let Self::Exit { subject, status, reason, told } = self else { return None };
        Some(exit_fields(subject, *status, reason, told))
    }

    /// The job this is about.
    pub fn job(&self) -> &JobName {
        match self {
            Self::Load(name)
            | Self::Unload(name)
            | Self::Start(name)
            | Self::Stop(name)
            | Self::Update(name)
            | Self::KillJob(name, _) => name,
            Self::Spawn(subject)
            | Self::Reap(subject)
            | Self::StopProcess(subject)
            | Self::Exit { subject, .. }
            | Self::Flap(subject)
            | Self::Failed { subject, .. }
            | Self::LogFailed { subject, .. }
            | Self::LogRecovered { subject, .. }
            | Self::Kill(subject, _) => &subject.name,
        }
    }

    /// The last word of its names.
    fn word(&self) -> &'static str {
        match self {
            Self::Load(_) => "load",
            Self::Unload(_) => "unload",
            Self::Start(_) => "start",
            Self::Stop(_) => "stop",
            Self::Update(_) => "update",
            Self::Spawn(_) => "spawn",
            Self::Reap(_) => "reap",
            Self::StopProcess(_) => "stop_process",
            Self::Exit { .. } => "exit",
            Self::Flap(_) => "flap",
            Self::Failed { .. } => "failed",
            Self::LogFailed { .. } => "log_failed",
            Self::LogRecovered { .. } => "log_recovered",
            Self::KillJob(..) | Self::Kill(..) => "kill",
        }
    }

    /// The full names of its messages, in the order of delivery.
    pub fn names(&self) -> Vec<String> {
        let word = self.word();
        let plain = || word.to_owned();
        let of_job = || format!("job.{}.{word}", self.job());
        let of_process = |subject: &Subject| format!("proc.{}.{word}", subject.pid);
        match self {
            Self::Load(_)
            | Self::Unload(_)
            | Self::Update(_)
            | Self::StopProcess(_)
            | Self::Flap(_) => vec![plain()],
            Self::Spawn(subject) if subject.once => vec![plain()],
            Self::Start(_)
            | Self::Stop(_)
            | Self::Spawn(_)
            | Self::Exit { .. }
            | Self::Failed { .. }
            | Self::LogFailed { .. }
            | Self::LogRecovered { .. } => vec![plain(), of_job()],
            Self::Reap(subject) => vec![plain(), of_job(), of_process(subject)],
            Self::KillJob(..) => vec![of_job()],
            Self::Kill(subject, _) => vec![of_process(subject)],
        }
    }

    /// What all of these say.
    pub fn fields(&self) -> Fields<'_> {
        match self {
            Self::Load(job)
            | Self::Unload(job)
            | Self::Start(job)
            | Self::Stop(job)
            | Self::Update(job) => Fields::of_job(job),
            Self::Spawn(subject)
            | Self::Reap(subject)
            | Self::StopProcess(subject)
            | Self::Flap(subject) => Fields::of(subject),
            Self::Exit { subject, status, reason, told } => Fields {
                last_lines: Some(&told.last_lines),
                ..exit_fields(subject, *status, reason, told)
            },
            Self::Failed { subject, reason } => {
                Fields { reason: Some(reason), ..Fields::of(subject) }
            }
            Self::LogFailed { subject, stream, reason } => {
                Fields { stream: Some(stream), reason: Some(reason), ..Fields::of(subject) }
            }
            Self::LogRecovered { subject, stream, lines, bytes } => Fields {
                stream: Some(stream),
                lost_lines: Some(*lines),
                lost_bytes: Some(*bytes),
                ..Fields::of(subject)
            },
            Self::KillJob(job, signal) => {
                Fields { signum: Some(signal.number()), ..Fields::of_job(job) }
            }
            Self::Kill(subject, signal) => {
                Fields { signum: Some(signal.number()), ..Fields::of(subject) }
            }
        }
    }
}

/// As the original had it: a death by signal has `exit_status` 0 and its number in `term_signal`;
/// what never ran, or ended unseen, has -1.
fn exit_fields<'a>(
    subject: &Subject,
    status: Option<ExitStatus>,
    reason: &'a str,
    told: &'a Told,
) -> Fields<'a> {
    let (code, signal) = match status {
        Some(ExitStatus::Code(code)) => (code, 0),
        Some(ExitStatus::Signal { signal, .. }) => (0, signal.number()),
        Some(ExitStatus::Unknown) | None => (-1, 0),
    };
    Fields {
        exit_status: Some(code),
        term_signal: Some(signal),
        once: Some(subject.once),
        reason: Some(reason),
        summary: Some(&told.summary),
        ran: Some(seconds(told.ran)),
        planned: Some(told.planned),
        rusage: told.usage.as_ref().map(UsageView::from),
        ..Fields::of(subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::process::Rusage;
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn events_have_the_names_and_fields_of_the_protocol() {
        let name = JobName::parse("app.j2").expect("valid");
        let subject =
            Subject { name, number: 1, pid: Pid(7), os_pid: Some(OsPid(21)), once: false };
        let names = Event::names;
        assert_eq!(names(&Event::Spawn(subject.clone())), ["spawn", "job.app.j2.spawn"]);
        assert_eq!(
            names(&Event::Reap(subject.clone())),
            ["reap", "job.app.j2.reap", "proc.7.reap"]
        );
        let once = Subject { once: true, ..subject.clone() };
        assert_eq!(names(&Event::Spawn(once)), ["spawn"]);
        let status = Some(ExitStatus::Signal { signal: Signal::KILL, core: false });
        let told = Told {
            summary: "killed after 2.0 s".into(),
            ran: Duration::from_secs(2),
            planned: false,
            usage: Some(Rusage::default()),
            last_lines: vec!["bye".into()],
        };
        let exit = Event::Exit { subject, status, reason: "killed".into(), told: Box::new(told) };
        let message = json!(exit.fields());
        assert_eq!(
            (&message["summary"], &message["ran"]),
            (&json!("killed after 2.0 s"), &json!(2.0))
        );
        assert_eq!(message["last_lines"], json!(["bye"]));
        assert_eq!(message["rusage"]["max_rss"], 0);
        assert_eq!(json!(exit.exit().expect("an exit")).get("last_lines"), None);
        assert_eq!(message["exit_status"], 0);
        assert_eq!(message["term_signal"], 9);
        assert_eq!(message["once"], false);
    }
}
