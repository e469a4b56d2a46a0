//! Events: what clients are told. Nothing inside acts on them; the last word of each name and its
//! fields are the original's (its protocol, "Events"), with further fields beside them.

use serde_json::{json, Map, Value};

use super::death::{usage_value, Told};
use super::name::JobName;
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

impl Subject {
    fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("name".into(), json!(self.name.to_string()));
        fields.insert("pid".into(), json!(self.pid.0));
        fields.insert("os_pid".into(), json!(self.os_pid.map(|pid| pid.0)));
        fields.insert("instance".into(), json!(self.number));
        fields
    }
}

impl Event {
    /// What is told of a process that ended, if this says so, to who follows it: not its last lines, as he has read
    /// them.
    pub fn exit(&self) -> Option<Map<String, Value>> {
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

    /// The full names of its messages, in the order of delivery, and what all of these say.
    pub fn parts(&self) -> (Vec<String>, Map<String, Value>) {
        let job = format!("job.{}", self.job());
        let plain = |word: &str| {
            (
                vec![word.to_owned()],
                Map::from_iter([("name".into(), json!(self.job().to_string()))]),
            )
        };
        let both = |word: &str, fields| (vec![word.to_owned(), format!("{job}.{word}")], fields);
        match self {
            Self::Load(_) => plain("load"),
            Self::Unload(_) => plain("unload"),
            Self::Update(_) => plain("update"),
            Self::Start(_) => both("start", plain("").1),
            Self::Stop(_) => both("stop", plain("").1),
            Self::Spawn(subject) if subject.once => (vec!["spawn".into()], subject.fields()),
            Self::Spawn(subject) => both("spawn", subject.fields()),
            Self::Reap(subject) => {
                let mut parts = both("reap", subject.fields());
                parts.0.push(format!("proc.{}.reap", subject.pid));
                parts
            }
            Self::StopProcess(subject) => (vec!["stop_process".into()], subject.fields()),
            Self::Exit { subject, status, reason, told } => {
                let mut fields = exit_fields(subject, *status, reason, told);
                fields.insert("last_lines".into(), json!(told.last_lines));
                both("exit", fields)
            }
            Self::Flap(subject) => (vec!["flap".into()], subject.fields()),
            Self::Failed { subject, reason } => {
                let mut fields = subject.fields();
                fields.insert("reason".into(), json!(reason));
                both("failed", fields)
            }
            Self::LogFailed { subject, stream, reason } => {
                let mut fields = subject.fields();
                fields.insert("stream".into(), json!(stream));
                fields.insert("reason".into(), json!(reason));
                both("log_failed", fields)
            }
            Self::LogRecovered { subject, stream, lines, bytes } => {
                let mut fields = subject.fields();
                fields.insert("stream".into(), json!(stream));
                fields.insert("lost_lines".into(), json!(lines));
                fields.insert("lost_bytes".into(), json!(bytes));
                both("log_recovered", fields)
            }
            Self::KillJob(_, signal) => {
                let mut fields = plain("").1;
                fields.insert("signum".into(), json!(signal.number()));
                (vec![format!("{job}.kill")], fields)
            }
            Self::Kill(subject, signal) => {
                let mut fields = subject.fields();
                fields.insert("signum".into(), json!(signal.number()));
                (vec![format!("proc.{}.kill", subject.pid)], fields)
            }
        }
    }
}

/// As the original had it: a death by signal has `exit_status` 0 and its number in `term_signal`;
/// what never ran, or ended unseen, has -1.
fn exit_fields(
    subject: &Subject,
    status: Option<ExitStatus>,
    reason: &str,
    told: &Told,
) -> Map<String, Value> {
    let (code, signal) = match status {
        Some(ExitStatus::Code(code)) => (code, 0),
        Some(ExitStatus::Signal { signal, .. }) => (0, signal.number()),
        Some(ExitStatus::Unknown) | None => (-1, 0),
    };
    let mut fields = subject.fields();
    fields.insert("exit_status".into(), json!(code));
    fields.insert("term_signal".into(), json!(signal));
    fields.insert("once".into(), json!(subject.once));
    fields.insert("reason".into(), json!(reason));
    fields.insert("summary".into(), json!(told.summary));
    fields.insert("ran".into(), json!((told.ran.as_secs_f64() * 1000.0).round() / 1000.0));
    fields.insert("planned".into(), json!(told.planned));
    if let Some(usage) = &told.usage {
        fields.insert("rusage".into(), usage_value(usage));
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::process::Rusage;
    use std::time::Duration;

    #[test]
    fn events_have_the_names_and_fields_of_the_protocol() {
        let name = JobName::parse("app.j2").expect("valid");
        let subject =
            Subject { name, number: 1, pid: Pid(7), os_pid: Some(OsPid(21)), once: false };
        let names = |event: &Event| event.parts().0;
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
        let message = exit.parts().1;
        assert_eq!(
            (&message["summary"], &message["ran"]),
            (&json!("killed after 2.0 s"), &json!(2.0))
        );
        assert_eq!(message["last_lines"], json!(["bye"]));
        assert_eq!(message["rusage"]["max_rss"], 0);
        assert_eq!(exit.exit().expect("an exit").get("last_lines"), None);
        assert_eq!(message["exit_status"], 0);
        assert_eq!(message["term_signal"], 9);
        assert_eq!(message["once"], false);
    }
}
