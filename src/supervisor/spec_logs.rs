//! What a job's configuration says of its logs: where each stream goes, and how much of it is kept.

use std::path::PathBuf;
use std::rc::Rc;

use serde_json::Value;

use super::hearer::Hearer;
use super::name::JobName;
use super::spec::JobSpec;
use super::spec_fields::{shown, Fields};
use super::spec_read::SpecError;
use crate::base::ids::{Pid, StreamNo};
use crate::base::{limits, size};
use crate::logs::index::Form;
use crate::logs::sink::{Keeping, Order, Sink, To};
use crate::wire::json::whole;

/// What is kept of what a job writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logs {
    /// Where stdout goes,
    pub stdout: Target,
    /// and where stderr.
    pub stderr: Target,
    /// How large a file becomes, in bytes; 0 for no bound.
    pub max_size: Option<u64>,
    /// How many files are kept beside the one that is written to.
    pub keep: Option<u32>,
    /// How many bytes are kept.
    pub total: Option<u64>,
    /// Whether files that are put aside are compressed.
    pub compress: bool,
    /// How lines are written.
    pub form: Form,
    /// Whether a process waits while its log cannot be written.
    pub block: bool,
}

/// Where a stream goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// Into the store of the node.
    #[default]
    Managed,
    /// Into a file: its path, in which names stand in braces.
    File(String),
    /// To that of the daemon.
    Inherit,
    /// To syslog.
    Syslog,
    /// Nowhere.
    Nowhere,
}

impl Target {
    fn file(&self) -> Option<&str> {
        match self {
            Self::File(path) => Some(path),
            Self::Managed | Self::Inherit | Self::Syslog | Self::Nowhere => None,
        }
    }
}

/// What may stand in braces in a path.
const NAMES: [&str; 4] = ["session", "job", "instance", "stream"];

/// Reads the keys of a configuration.
pub(super) fn read(fields: &Fields<'_>) -> Result<Logs, SpecError> {
    let stamps = fields.flag("log_timestamps")?.unwrap_or(false);
    let form = match fields.text("log_format")? {
        None | Some("text") if stamps => Form::Stamped,
        None | Some("text") => Form::Plain,
        Some("json") => Form::Json,
        Some(other) => return Err(fields.bad("log_format", &Value::from(other))),
    };
    let block = match fields.text("log_policy")? {
        None | Some("drop") => false,
        Some("block") => true,
        Some(other) => return Err(fields.bad("log_policy", &Value::from(other))),
    };
    Ok(Logs {
        stdout: target(fields, "stdout_log")?,
        stderr: target(fields, "stderr_log")?,
        max_size: bytes(fields, "log_max_size")?,
        keep: fields.whole("log_keep", 0, i64::from(limits::OUTPUT_LOG_KEEP))?,
        total: bytes(fields, "log_total")?,
        compress: fields.flag("log_compress")?.unwrap_or(false),
        form,
        block,
    })
}

fn target(fields: &Fields<'_>, name: &'static str) -> Result<Target, SpecError> {
    let Some(text) = fields.text(name)? else { return Ok(Target::Managed) };
    match text {
        "managed" => return Ok(Target::Managed),
        "inherit" => return Ok(Target::Inherit),
        "syslog" => return Ok(Target::Syslog),
        "none" => return Ok(Target::Nowhere),
        _ => {}
    }
    let bad = |expects: String| SpecError::Bad {
        key: name.into(),
        expects,
        found: shown(&Value::from(text)),
    };
    if !text.starts_with('/') {
        let words = "an absolute path, managed, inherit, syslog or none";
        return Err(bad(words.into()));
    }
    let strays = |part: &str| part.is_empty() || part == "." || part == "..";
    if text.split('/').skip(1).any(strays) || text.len() > limits::OUTPUT_LOG_PATH {
        return Err(bad(format!(
            "the path of a file of at most {} bytes",
            limits::OUTPUT_LOG_PATH
        )));
    }
    match unknown_name(text) {
        None => Ok(Target::File(text.to_owned())),
        Some(_) => Err(bad(format!("no other braces than those of {{{}}}", NAMES.join("}, {")))),
    }
}

/// What stands in braces and is no name.
fn unknown_name(path: &str) -> Option<&str> {
    path.split('{')
        .skip(1)
        .find(|part| !part.split_once('}').is_some_and(|(name, _)| NAMES.contains(&name)))
}

/// An amount of bytes: a number, or a text with a unit.
fn bytes(fields: &Fields<'_>, name: &'static str) -> Result<Option<u64>, SpecError> {
    let Some(value) = fields.get(name) else { return Ok(None) };
    let number = match value {
        Value::String(text) => size::parse(text).ok(),
        Value::Number(_) => whole(value).and_then(|number| u64::try_from(number).ok()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let number = number.filter(|number| *number <= limits::OUTPUT_LOG_SIZE);
    number.map(Some).ok_or_else(|| fields.bad(name, value))
}

impl JobSpec {
    /// What a stream that is read is called: what the job's options call it, else `out` and `err`.
    pub fn label(&self, stream: StreamNo) -> &str {
        match stream {
            StreamNo::STDOUT => self.redirect_output.first().map_or("out", String::as_str),
            StreamNo::STDERR => match self.redirect_output.as_slice() {
                [_, second, ..] => second,
                [only] => only,
                [] => "err",
            },
            StreamNo(number) => {
                let custom = usize::from(number.saturating_sub(StreamNo::FIRST_CUSTOM.0));
                self.custom_streams.get(custom).map_or("", String::as_str)
            }
        }
    }

    /// Where the streams of a process go, which is this one of its job. Where they go as these do, which are another
    /// process's, the two have it in common.
    pub fn log_order(
        &self,
        name: &JobName,
        (instance, pid): (u32, Pid),
        once: bool,
        others: &Rc<[Sink]>,
    ) -> Order {
        let customs = (StreamNo::FIRST_CUSTOM.0..).zip(&self.custom_streams);
        // Where stdout is for the node it is no log.
        let own = (self.hearer() == Hearer::Readers).then_some(StreamNo::STDOUT);
        let streams = own.into_iter().chain([StreamNo::STDERR]);
        let streams = streams.chain(customs.map(|(number, _)| StreamNo(number)));
        let sinks: Vec<Sink> = streams.map(|stream| self.sink(stream, name, instance)).collect();
        let sinks = if *sinks == **others { Rc::clone(others) } else { sinks.into() };
        let (session, job) = name.parts();
        Order { session, job, instance, pid: pid.0, once, sinks }
    }

    fn sink(&self, stream: StreamNo, name: &JobName, instance: u32) -> Sink {
        let label = match (stream, self.redirect_output.as_slice()) {
            // The two have one name in the answers, but not in the files.
            (StreamNo::STDERR, [_]) => "err",
            _ => self.label(stream),
        };
        let target = match stream {
            StreamNo::STDOUT => &self.logs.stdout,
            StreamNo::STDERR => &self.logs.stderr,
            StreamNo(_) => &Target::Managed,
        };
        let to = match target {
            Target::Managed => To::Managed,
            Target::File(path) => To::File(expanded(path, name, instance, label)),
            Target::Inherit => To::Inherit,
            Target::Syslog => To::Syslog,
            Target::Nowhere => To::Nowhere,
        };
        let keeping = self.logs.keeping(&to);
        let (form, block) = (self.logs.form, self.logs.block);
        Sink { stream: stream.0, label: label.into(), to, form, keeping, block }
    }
}

impl Logs {
    /// The files that are written to, as they are named.
    pub fn files(&self) -> Vec<&str> {
        [&self.stdout, &self.stderr].into_iter().filter_map(Target::file).collect()
    }

    fn keeping(&self, to: &To) -> Keeping {
        let elsewhere = matches!(to, To::File(_));
        let said = self.max_size.map(|size| if size == 0 { 0 } else { size.max(LEAST_SIZE) });
        // Who wants larger files wants more of them than one.
        let usual = limits::LOG_TOTAL.max(said.unwrap_or(0).saturating_mul(PARTS));
        let total = self.total.or((!elsewhere).then_some(usual)).filter(|total| *total > 0);
        let size = if elsewhere { limits::LOG_FILE_ELSEWHERE } else { limits::LOG_FILE };
        // Less at a time than is kept, so that what is removed is a part of it.
        let most = total.map_or(u64::MAX, |total| (total / PARTS).max(LEAST_SIZE));
        let max_size = match said.unwrap_or(size) {
            0 if total.is_none() => 0,
            0 => most,
            size => size.min(most),
        };
        let keep = (elsewhere && self.total.is_none()).then_some(limits::LOG_KEEP_ELSEWHERE);
        Keeping { max_size, keep: self.keep.or(keep), total, compress: self.compress }
    }
}

/// The smallest file that is worth its name, in bytes,
const LEAST_SIZE: u64 = 4096;
/// and of how many at least consists what is kept.
const PARTS: u64 = 5;

fn expanded(path: &str, name: &JobName, instance: u32, label: &str) -> PathBuf {
    // None of these has a slash.
    let path = path.replace("{session}", name.session()).replace("{job}", name.label());
    path.replace("{instance}", &instance.to_string()).replace("{stream}", label).into()
}

#[cfg(test)]
mod tests {
    use super::super::spec_read;
    use super::*;
    use serde_json::json;

    fn read(config: Value) -> Result<JobSpec, String> {
        let mut config = config.as_object().cloned().expect("an object");
        config.insert("cmd".into(), "a".into());
        spec_read::read(&config).map_err(|error| error.to_string())
    }

    fn order(config: Value) -> Order {
        let spec = read(config).expect("valid");
        let name = JobName::parse("s.web.x").expect("a name");
        spec.log_order(&name, (2, Pid(7)), false, &Rc::default())
    }

    #[test]
    fn streams_go_into_the_store_unless_the_job_says_otherwise() {
        let order = order(json!({"custom_streams": ["data"]}));
        let told: Vec<_> =
            order.sinks.iter().map(|sink| (sink.stream, &*sink.label, &sink.to)).collect();
        let managed = &To::Managed;
        assert_eq!(told, [(1, "out", managed), (2, "err", managed), (3, "data", managed)]);
        assert_eq!(order.name(), "s.web.x");
        let keeping = order.sinks[0].keeping;
        assert_eq!(keeping.total, Some(limits::LOG_TOTAL));
        assert_eq!((keeping.max_size, keeping.keep), (limits::LOG_FILE, None));
    }

    #[test]
    fn paths_have_the_names_that_stand_in_them() {
        let order = order(json!({
            "redirect_output": ["a.b", "e"],
            "stdout_log": "/var/log/{session}/{job}.{instance}.{stream}",
            "stderr_log": "none",
            "log_timestamps": true,
            "log_policy": "block",
            "log_compress": true,
        }));
        assert_eq!(order.sinks[0].to, To::File("/var/log/s/web.x.2.a.b".into()));
        assert_eq!(order.sinks[0].keeping.keep, Some(limits::LOG_KEEP_ELSEWHERE));
        assert_eq!(order.sinks[0].keeping.max_size, limits::LOG_FILE_ELSEWHERE);
        assert_eq!((order.sinks[0].form, order.sinks[0].block), (Form::Stamped, true));
        assert_eq!(order.sinks[1].to, To::Nowhere);
    }

    #[test]
    fn files_are_parts_of_what_is_kept() {
        let keeping = |config| {
            let keeping = order(config).sinks[0].keeping;
            (keeping.max_size, keeping.total, keeping.keep)
        };
        let mb = 1 << 20;
        assert_eq!(keeping(json!({"log_total": 0})), (limits::LOG_FILE, None, None));
        assert_eq!(keeping(json!({"log_max_size": "50MB"})), (50 * mb, Some(250 * mb), None));
        let little = json!({"log_max_size": "50MB", "log_total": "10MB"});
        assert_eq!(keeping(little), (2 * mb, Some(10 * mb), None));
        assert_eq!(keeping(json!({"log_max_size": 1})).0, 4096);
        assert_eq!(keeping(json!({"log_max_size": 0})).0, 2 * mb);
        let elsewhere = json!({"stdout_log": "/a", "log_total": "1MB"});
        assert_eq!(keeping(elsewhere), (mb / 5, Some(mb), None));
        let endless = json!({"stdout_log": "/a", "log_max_size": 0});
        assert_eq!(keeping(endless), (0, None, Some(limits::LOG_KEEP_ELSEWHERE)));
    }

    #[test]
    fn sizes_have_units_and_bounds() {
        for (key, value, fits) in [
            ("log_max_size", json!("10MB"), true),
            ("log_max_size", json!(0), true),
            ("log_max_size", json!(-1), false),
            ("log_max_size", json!(1.5), false),
            ("log_total", json!("1 TB"), false),
            ("log_total", json!(limits::OUTPUT_LOG_SIZE), true),
            ("log_total", json!(limits::OUTPUT_LOG_SIZE + 1), false),
            ("log_keep", json!(limits::OUTPUT_LOG_KEEP), true),
            ("log_keep", json!(limits::OUTPUT_LOG_KEEP + 1), false),
            ("log_format", json!("json"), true),
            ("log_format", json!("xml"), false),
            ("log_policy", json!("wait"), false),
            ("stdout_log", json!("managed"), true),
            ("stdout_log", json!("inherit"), true),
            ("stdout_log", json!("syslog"), true),
            ("stdout_log", json!("log/a"), false),
            ("stdout_log", json!("/log/"), false),
            ("stdout_log", json!("/log/../a"), false),
            ("stdout_log", json!("/log//a"), false),
            ("stdout_log", json!("/log/{pid}"), false),
            ("stdout_log", json!("/log/{job"), false),
            ("stdout_log", json!(format!("/{}", "a".repeat(limits::OUTPUT_LOG_PATH - 1))), true),
            ("stdout_log", json!(format!("/{}", "a".repeat(limits::OUTPUT_LOG_PATH))), false),
            ("stderr_log", json!("/log/{job}.{stream}"), true),
        ] {
            let read = read(json!({key: value}));
            assert_eq!(read.is_ok(), fits, "{key} {value}");
            assert!(read.err().is_none_or(|error| error.starts_with(&format!("{key}: expected"))));
        }
        assert_eq!(
            read(json!({"log_max_size": "10MB"})).map(|s| s.logs.max_size),
            Ok(Some(10 << 20))
        );
    }
}
