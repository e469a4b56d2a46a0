//! The topics of the channel (the protocol, section 4.5): their first part in any case, their target
//! exactly as it is written. `EVENTS`, `EVENTS:PREFIX`, `JOB:S.L`, `JOB:S`, `PROCESS:P`, `STATS`,
//! `STATS:P`, `STATS:S.L`, `STREAM:P` and `STREAM:P.LABEL`; and of our own `USAGE`, `LOGS:S`, `LOGS:S.L`
//! and `LOGS:S.L:INSTANCE`. With `since`, which for `LOGS` is the number of some output or 0 for all that is kept,
//! a client is told first what came behind that, from memory or from disk.

use crate::base::ids::Pid;
use crate::supervisor::name::{check_session, JobName};

/// What is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Events whose dotted name begins with these parts; all of them if empty.
    Events(String),
    /// The events of one process.
    Process(Pid),
    /// Statistics.
    Stats(Watched),
    /// What all instances use that one may see, in one message each time.
    Usage,
    /// The output of a process: its first stream, or the one of this label.
    Stream(Pid, Option<String>),
    /// The output of all processes of a job, or of a session's jobs, as they come and go.
    Logs(Written),
}

/// Whose output is followed, whichever process writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// That of a job, or of one instance of it alone.
    Job(JobName, Option<u32>),
    /// That of all jobs of a session.
    Session(String),
}

impl Written {
    /// Whether the output of an instance of a job is.
    pub fn includes(&self, job: &JobName, instance: u32) -> bool {
        match self {
            Self::Job(name, number) => {
                name == job && number.is_none_or(|number| number == instance)
            }
            Self::Session(session) => session == job.session(),
        }
    }
}

/// Whose statistics are followed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watched {
    /// Everybody's.
    All,
    /// Those of a job's processes, as they come and go.
    Job(JobName),
    /// Those of one process.
    Process(Pid),
}

/// The text names no topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTopic(pub String);

/// Reads a topic.
///
/// # Errors
/// Why it is none.
pub fn parse(text: &str) -> Result<Topic, InvalidTopic> {
    let (source, target) = match text.split_once(':') {
        Some((source, target)) => (source, Some(target)),
        None => (text, None),
    };
    let needed = || {
        let missing = || InvalidTopic(format!("{text:?}: something has to follow the colon"));
        target.filter(|target| !target.is_empty()).ok_or_else(missing)
    };
    match source.to_ascii_uppercase().as_str() {
        "EVENTS" => Ok(Topic::Events(prefix(target.unwrap_or_default()).to_owned())),
        "JOB" => job_events(needed()?).map(Topic::Events),
        "PROCESS" => pid(needed()?).map(Topic::Process),
        "STATS" if target.is_none() => Ok(Topic::Stats(Watched::All)),
        "STATS" => watched(needed()?).map(Topic::Stats),
        "USAGE" if target.is_none() => Ok(Topic::Usage),
        "STREAM" => stream(needed()?),
        "LOGS" => written(needed()?).map(Topic::Logs),
        _ => Err(InvalidTopic(format!(
            "{text:?}: expected EVENTS, EVENTS:PREFIX, JOB:NAME, PROCESS:PID, STATS, STATS:NAME, \
             STATS:PID, USAGE, STREAM:PID, STREAM:PID.LABEL, LOGS:NAME, LOGS:NAME:INSTANCE or LOGS:SESSION"
        ))),
    }
}

/// A prefix of dotted names, with or without a dot at its end; `.` is all of them.
pub fn prefix(text: &str) -> &str {
    text.trim_end_matches('.')
}

/// Whether a dotted name begins with these parts. Behind those of a prefix that ends in `.*` there is one
/// more and no further.
pub fn has_prefix(name: &str, prefix: &str) -> bool {
    if let Some(whole) = prefix.strip_suffix(".*") {
        let rest = name.strip_prefix(whole).and_then(|rest| rest.strip_prefix('.'));
        return rest.is_some_and(|last| !last.contains('.'));
    }
    match name.strip_prefix(prefix) {
        Some(rest) => prefix.is_empty() || rest.is_empty() || rest.starts_with('.'),
        None => false,
    }
}

/// `S.L` for a job's events, `S` for those of all jobs of a session.
fn job_events(text: &str) -> Result<String, InvalidTopic> {
    if !text.contains(['.', '/']) {
        check_session(text).map_err(|error| InvalidTopic(error.to_string()))?;
        return Ok(format!("job.{text}"));
    }
    let name = JobName::parse(text).map_err(|error| InvalidTopic(error.to_string()))?;
    // Labels may have dots: those of `a.b` are not those of `a.b.c`.
    Ok(format!("job.{name}.*"))
}

fn pid(text: &str) -> Result<Pid, InvalidTopic> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| plain);
    number.map(Pid).ok_or_else(|| InvalidTopic(format!("{text:?} is not a process's number")))
}

fn watched(text: &str) -> Result<Watched, InvalidTopic> {
    if let Ok(pid) = pid(text) {
        return Ok(Watched::Process(pid));
    }
    let name = JobName::parse(text).map_err(|error| InvalidTopic(error.to_string()))?;
    Ok(Watched::Job(name))
}

fn written(text: &str) -> Result<Written, InvalidTopic> {
    if !text.contains(['.', '/']) {
        check_session(text).map_err(|error| InvalidTopic(error.to_string()))?;
        return Ok(Written::Session(text.to_owned()));
    }
    let (name, instance) = match text.rsplit_once(':') {
        None => (text, None),
        Some((name, number)) => {
            let instance = number.parse().map_err(|_| {
                InvalidTopic(format!("{text:?}: {number:?} is not the number of an instance"))
            })?;
            (name, Some(instance))
        }
    };
    let name = JobName::parse(name).map_err(|error| InvalidTopic(error.to_string()))?;
    Ok(Written::Job(name, instance))
}

fn stream(text: &str) -> Result<Topic, InvalidTopic> {
    let (number, label) = match text.split_once('.') {
        Some((number, label)) if !label.is_empty() => (number, Some(label.to_owned())),
        Some((number, _)) => (number, None),
        None => (text, None),
    };
    Ok(Topic::Stream(pid(number)?, label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_keep_the_case_of_their_targets() {
        let events = |text: &str| Ok(Topic::Events(text.into()));
        let job = |text: &str| JobName::parse(text).expect("a name");
        assert_eq!(parse("EVENTS"), events(""));
        assert_eq!(parse("events:."), events(""));
        assert_eq!(parse("Events:job.Default.io"), events("job.Default.io"));
        assert_eq!(parse("JOB:App.Web"), events("job.App.Web.*"));
        assert_eq!(parse("job:App/Web.x"), events("job.App.Web.x.*"));
        assert_eq!(parse("JOB:App"), events("job.App"));
        assert_eq!(parse("PROCESS:7"), Ok(Topic::Process(Pid(7))));
        assert_eq!(parse("stats"), Ok(Topic::Stats(Watched::All)));
        assert_eq!(parse("STATS:7"), Ok(Topic::Stats(Watched::Process(Pid(7)))));
        assert_eq!(parse("STATS:Web"), Ok(Topic::Stats(Watched::Job(job("Web")))));
        assert_eq!(parse("stats:a.Web"), Ok(Topic::Stats(Watched::Job(job("a.Web")))));
        assert_eq!(parse("usage"), Ok(Topic::Usage));
        assert_eq!(parse("STREAM:7"), Ok(Topic::Stream(Pid(7), None)));
        assert_eq!(parse("STREAM:7.Err.x"), Ok(Topic::Stream(Pid(7), Some("Err.x".into()))));
        assert_eq!(parse("logs:a/Web"), Ok(Topic::Logs(Written::Job(job("a.Web"), None))));
        assert_eq!(parse("LOGS:a.Web:2"), Ok(Topic::Logs(Written::Job(job("a.Web"), Some(2)))));
        assert_eq!(parse("LOGS:a"), Ok(Topic::Logs(Written::Session("a".into()))));
        for bad in [
            "",
            "LOGS",
            "LOGS:a b",
            "LOGS:a.b:",
            "LOGS:a.b:x",
            "LOGS:a:1",
            "X",
            "JOB",
            "JOB:",
            "JOB:a b",
            "PROCESS:x",
            "PROCESS:",
            "STREAM:x.out",
            "STATS:",
            "USAGE:",
            "USAGE:a.b",
            "STREAM:+1",
            "EVENT",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn prefixes_match_whole_parts() {
        for (name, prefix, fits) in [
            ("job.a.b.spawn", "", true),
            ("job.a.b.spawn", "job.a", true),
            ("job.a.b.spawn", "job.a.b.spawn", true),
            ("job.ab.c.spawn", "job.a", false),
            ("job.a.b.spawn", "job.a.b.*", true),
            ("job.a.b.c.spawn", "job.a.b.*", false),
            ("job.a.b", "job.a.b.*", false),
            ("load", "load", true),
            ("loaded", "load", false),
        ] {
            assert_eq!(has_prefix(name, prefix), fits, "{name} {prefix}");
        }
    }
}
