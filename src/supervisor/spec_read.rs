//! From JSON to a [`JobSpec`]: unknown keys, wrong types and bad values are refused by the key's name.
//! Configuration files come through here too, after `spec_text` has made their text the JSON of the
//! key's kind. Which keys there are is in `spec_keys`.

use std::fmt;
use std::rc::Rc;

use serde_json::{Map, Value};

use super::restart::{Backoff, Flapping, RestartPolicy, Rules};
use super::spec::{self, Command, Given, JobSpec, Options, Words, RESOURCES};
use super::spec_fields::{fits, shortened, shown, too_long, Fields};
use super::spec_keys::{key, BACKOFF, FLAPPING, KEYS};
use super::{spec_listen, spec_logs};
use crate::base::capabilities::Capabilities;
use crate::base::limits;
use crate::base::order::Rlimit;
use crate::base::process::Signal;
use crate::base::similar;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::wire::json::whole;

/// What is wrong with a job's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpecError {
    /// A key that does not exist.
    Unknown {
        /// As it was written.
        key: String,
        /// What was probably meant.
        meant: Option<&'static str>,
    },
    /// A key that must be there.
    Missing(&'static str),
    /// A value of the wrong type or out of bounds.
    Bad {
        /// Where, with the way into nested values.
        key: String,
        /// What it expects.
        expects: String,
        /// What was found.
        found: String,
    },
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { key, meant: Some(meant) } => {
                write!(f, "unknown key {key:?}; did you mean {meant:?}?")
            }
            Self::Unknown { key, meant: None } => write!(f, "unknown key {key:?}"),
            Self::Missing(key) => write!(f, "{key} is missing"),
            Self::Bad { key, expects, found } => {
                write!(f, "{key}: expected {expects}, found {found}")
            }
        }
    }
}

pub(super) fn unknown(name: &str, known: impl IntoIterator<Item = &'static str>) -> SpecError {
    SpecError::Unknown { key: name.into(), meant: similar::nearest(name, known) }
}

/// Reads a specification. `start` is checked here but is no part of it; see [`wants_start`].
///
/// # Errors
/// The first key that is unknown, missing or has a bad value.
pub fn read(config: &Map<String, Value>) -> Result<JobSpec, SpecError> {
    for name in config.keys() {
        if key(name).is_none() {
            return Err(unknown(name, KEYS.iter().map(|key| key.name)));
        }
    }
    let fields = Fields { map: config, at: "" };
    let wants_start = fields.flag("start")?;
    debug_assert!(wants_start.is_none() || config.contains_key("start"));
    if let Some(stream) = cut_off(&fields)? {
        return Err(stream);
    }
    let mut echo = config.clone();
    echo.remove("start");
    Ok(JobSpec {
        command: command(&fields)?,
        env: environment(&fields)?,
        cwd: fields.text("cwd")?.map(str::to_owned),
        numprocesses: fields
            .whole("numprocesses", 0, i64::from(limits::NUMPROCESSES))?
            .unwrap_or(1),
        priority: fields.whole("priority", i64::MIN, i64::MAX)?.unwrap_or(i64::MAX),
        port: fields.whole("port", 1, i64::from(u16::MAX))?,
        config: Given::new(&echo),
        options: Rc::new(options(&fields)?),
    })
}

fn options(fields: &Fields<'_>) -> Result<Options, SpecError> {
    Ok(Options {
        os_env: fields.flag("os_env")?.unwrap_or(false),
        uid: account(fields, "uid")?,
        gid: account(fields, "gid")?,
        groups: groups(fields)?,
        capabilities: capabilities(fields)?,
        no_new_privs: fields.flag("no_new_privs")?.unwrap_or(false),
        detach: fields.flag("detach")?.unwrap_or(false),
        graceful_timeout: fields.seconds("graceful_timeout")?.unwrap_or(spec::GRACEFUL_TIMEOUT),
        redirect_output: labels(fields, "redirect_output", 2)?,
        redirect_input: fields.flag("redirect_input")?.unwrap_or(false),
        listen: spec_listen::listen(fields)?,
        listen_protocol: spec_listen::protocol(fields)?,
        listen_buffer: spec_listen::buffer(fields)?,
        custom_streams: custom_streams(fields)?,
        listener: None,
        is_plugin: false,
        logs: spec_logs::read(fields)?,
        rules: rules(fields)?,
        success_codes: success_codes(fields)?,
        stop_signal: signal(fields)?,
        umask: umask(fields)?,
        rlimits: rlimits(fields)?,
        nice: fields.whole("nice", -20, 19)?,
    })
}

/// The labels of streams both ways: each leads to one stream and no other.
fn custom_streams(fields: &Fields<'_>) -> Result<Vec<String>, SpecError> {
    let custom = labels(fields, "custom_streams", limits::CUSTOM_STREAMS)?;
    let outputs = labels(fields, "redirect_output", 2)?;
    let is_taken = |(at, label): &(usize, &String)| {
        *label == "stdin" || outputs.contains(label) || custom[..*at].contains(label)
    };
    match custom.iter().enumerate().find(is_taken) {
        None => Ok(custom),
        Some((_, label)) => Err(SpecError::Bad {
            key: "custom_streams".into(),
            expects: "labels that no other stream has, nor stdin".into(),
            found: format!("{label:?}"),
        }),
    }
}

/// A stream that leads to the daemon, of a job that is to survive it: the process would be ended by
/// its first write after that.
fn cut_off(fields: &Fields<'_>) -> Result<Option<SpecError>, SpecError> {
    if fields.flag("detach")? != Some(true) {
        return Ok(None);
    }
    let streams = ["redirect_output", "redirect_input", "listen", "custom_streams"];
    let wanted =
        |value: &&Value| value.as_array().map_or(value.as_bool() != Some(false), |l| !l.is_empty());
    let stream = streams.iter().find_map(|name| Some((*name, fields.get(name).filter(wanted)?)));
    Ok(stream.map(|(name, value)| SpecError::Bad {
        key: name.into(),
        expects: "none with detach, since it would end with gafferd".into(),
        found: shown(value),
    }))
}

/// Whether the configuration asks for the job to be started: yes unless it says no.
pub fn wants_start(config: &Map<String, Value>) -> bool {
    config.get("start").and_then(Value::as_bool).unwrap_or(true)
}

fn command(fields: &Fields<'_>) -> Result<Command, SpecError> {
    let cmd = fields.text("cmd")?.filter(|cmd| !cmd.trim().is_empty());
    let cmd = cmd.ok_or(SpecError::Missing("cmd"))?;
    let args = fields.get("args");
    let bad = |name: &str| fields.bad(name, fields.get(name).unwrap_or(&Value::Null));
    if fields.flag("shell")? == Some(true) {
        let mut line = cmd.to_owned();
        if let Some(text) = args.filter(|args| args.is_string()) {
            line = format!("{line} {}", fields.argument("args", text)?);
        } else if let Some(words) = fields.texts("args")? {
            // Words of a list arrive as they are, so they are quoted for the shell.
            let quoted = shlex::try_join(words).map_err(|_| bad("args"))?;
            line = format!("{line} {quoted}");
        }
        fits("args", line.len(), " with cmd")?;
        return Ok(Command::Shell(line.into()));
    }
    let split = |name: &str, text: &str| {
        shlex::split(text).ok_or_else(|| SpecError::Bad {
            key: name.to_owned(),
            expects: "every quote to be closed".into(),
            found: shown(&Value::from(text)),
        })
    };
    let mut words = split("cmd", cmd)?.into_iter();
    let program = words.next().filter(|p| !p.is_empty()).ok_or(SpecError::Missing("cmd"))?;
    let mut all: Vec<String> = words.collect();
    match args {
        Some(text @ Value::String(_)) => {
            all.extend(split("args", fields.argument("args", text)?)?);
        }
        Some(_) => {
            let listed = fields.texts("args")?.unwrap_or_default();
            all.extend(listed.into_iter().map(str::to_owned));
        }
        None => {}
    }
    Ok(Command::Program(Words::new(&program, all.iter().map(String::as_str))))
}

fn environment(fields: &Fields<'_>) -> Result<SortedMap<String, String>, SpecError> {
    fields.get("env").map_or(Ok(SortedMap::new()), read_env)
}

/// Reads an object of environment variables.
///
/// # Errors
/// When it is not an object of texts, or a name could not be one of a variable.
pub fn read_env(value: &Value) -> Result<SortedMap<String, String>, SpecError> {
    let bad = |at: &str, found: &Value, expects: &str| SpecError::Bad {
        key: at.into(),
        expects: expects.into(),
        found: shown(found),
    };
    let map = value.as_object().ok_or_else(|| bad("env", value, "an object of names and texts"))?;
    let mut env = SortedMap::new();
    for (name, value) in map {
        let at = format!("env.{name}");
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(bad(&at, value, "a variable's name without \"=\""));
        }
        let text = value.as_str().filter(|text| !text.contains('\0'));
        let text = text.ok_or_else(|| bad(&at, value, "a text"))?;
        fits(&shortened(&at), name.len() + 1 + text.len(), " with its name")?;
        env.insert(name.clone(), text.to_owned());
    }
    Ok(env)
}

fn account(fields: &Fields<'_>, name: &str) -> Result<Option<String>, SpecError> {
    let Some(value) = fields.get(name) else { return Ok(None) };
    account_of(value).map(Some).ok_or_else(|| fields.bad(name, value))
}

/// A user or a group as JSON gives it: a name, or a number that is not the greatest.
fn account_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(_) => {
            let id = whole(value).and_then(|n| u32::try_from(n).ok());
            id.filter(|id| *id < u32::MAX).map(|id| id.to_string())
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn groups(fields: &Fields<'_>) -> Result<Option<Vec<String>>, SpecError> {
    let Some(value) = fields.get("groups") else { return Ok(None) };
    let bad = || fields.bad("groups", value);
    let list = value.as_array().filter(|list| list.len() < limits::GROUPS).ok_or_else(bad)?;
    let group = |item: &Value| account_of(item).ok_or_else(bad);
    list.iter().map(group).collect::<Result<_, _>>().map(Some)
}

fn capabilities(fields: &Fields<'_>) -> Result<Option<Capabilities>, SpecError> {
    let Some(names) = fields.texts("capabilities")? else { return Ok(None) };
    let set = Capabilities::of(names);
    set.map(Some).map_err(|(name, meant)| SpecError::Unknown {
        key: format!("capabilities.{}", shortened(&name)),
        meant,
    })
}

fn labels(fields: &Fields<'_>, name: &str, most: usize) -> Result<Vec<String>, SpecError> {
    let Some(labels) = fields.texts(name)? else { return Ok(Vec::new()) };
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.+-".contains(c);
    let found = fields.get(name).unwrap_or(&Value::Null);
    if let Some(label) = labels.iter().find(|label| label.len() > limits::STREAM_LABEL) {
        let expects = format!("labels of at most {} bytes", limits::STREAM_LABEL);
        return Err(too_long(name, expects, label.len()));
    }
    if labels.len() > most {
        return Err(fields.bad(name, found));
    }
    if !labels.iter().all(|label| !label.is_empty() && label.chars().all(plain)) {
        let expects = "labels of A-Z a-z 0-9 _ . + -".into();
        return Err(SpecError::Bad { key: name.into(), expects, found: shown(found) });
    }
    Ok(labels.into_iter().map(str::to_owned).collect())
}

fn rules(fields: &Fields<'_>) -> Result<Rules, SpecError> {
    let policy = match fields.text("restart")? {
        None | Some("always") => RestartPolicy::Always,
        Some("on-failure" | "on_failure") => RestartPolicy::OnFailure,
        Some("on-success" | "on_success") => RestartPolicy::OnSuccess,
        Some("never" | "no") => RestartPolicy::Never,
        Some(other) => return Err(fields.bad("restart", &Value::from(other))),
    };
    let min_uptime = fields.seconds("min_uptime")?.unwrap_or(spec::MIN_UPTIME);
    Ok(Rules { policy, backoff: backoff(fields)?, flapping: flapping(fields)?, min_uptime })
}

fn flapping(fields: &Fields<'_>) -> Result<Option<Flapping>, SpecError> {
    let Some(given) = fields.nested("flapping", FLAPPING)? else { return Ok(None) };
    let default = Flapping::default();
    let most = i64::try_from(limits::FLAPPING_ATTEMPTS).unwrap_or(i64::MAX);
    let max_retry = match given.whole::<i64>("max_retry", -1, i64::from(u32::MAX))? {
        None => default.max_retry,
        Some(number) => u32::try_from(number).ok(),
    };
    Ok(Some(Flapping {
        attempts: given.whole("attempts", 1, most)?.unwrap_or(default.attempts),
        window: given.seconds("window")?.unwrap_or(default.window),
        retry_in: given.seconds("retry_in")?.unwrap_or(default.retry_in),
        max_retry,
    }))
}

fn backoff(fields: &Fields<'_>) -> Result<Option<Backoff>, SpecError> {
    let Some(given) = fields.nested("backoff", BACKOFF)? else { return Ok(None) };
    let default = Backoff::default();
    let base = given.seconds("base")?.unwrap_or(default.base);
    Ok(Some(Backoff {
        base,
        factor: given.number("factor", 1.0, 1000.0)?.unwrap_or(default.factor),
        max: given.seconds("max")?.unwrap_or(default.max).max(base),
        jitter: given.number("jitter", 0.0, 1.0)?.unwrap_or(default.jitter),
        reset_after: given.seconds("reset_after")?.unwrap_or(default.reset_after),
    }))
}

fn success_codes(fields: &Fields<'_>) -> Result<SortedSet<i32>, SpecError> {
    let Some(value) = fields.get("success_codes") else { return Ok(SortedSet::from([0])) };
    let code = |item: &Value| {
        whole(item).filter(|n| (0..=255).contains(n)).and_then(|n| i32::try_from(n).ok())
    };
    let codes = value.as_array().and_then(|list| list.iter().map(code).collect());
    codes.ok_or_else(|| fields.bad("success_codes", value))
}

fn signal(fields: &Fields<'_>) -> Result<Signal, SpecError> {
    let Some(value) = fields.get("stop_signal") else { return Ok(Signal::TERM) };
    signal_of(value).ok_or_else(|| fields.bad("stop_signal", value))
}

/// A signal as JSON gives it: a number, or a text that [`Signal::parse`] reads.
pub fn signal_of(value: &Value) -> Option<Signal> {
    match value {
        Value::Number(_) => whole(value).and_then(Signal::from_number),
        Value::String(text) => Signal::parse(text),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn umask(fields: &Fields<'_>) -> Result<Option<u32>, SpecError> {
    let Some(text) = fields.text("umask")? else { return Ok(None) };
    let mask = u32::from_str_radix(text.trim(), 8).ok().filter(|mask| *mask <= 0o777);
    mask.map(Some).ok_or_else(|| fields.bad("umask", &Value::from(text)))
}

fn rlimits(fields: &Fields<'_>) -> Result<Vec<Rlimit>, SpecError> {
    let Some(value) = fields.get("rlimits") else { return Ok(Vec::new()) };
    let map = value.as_object().ok_or_else(|| fields.bad("rlimits", value))?;
    let mut all = Vec::with_capacity(map.len());
    for (name, value) in map {
        let lower = name.to_ascii_lowercase();
        let plain = lower.strip_prefix("rlimit_").unwrap_or(&lower);
        let known = RESOURCES.iter().find(|(resource, _)| *resource == plain);
        let Some((_, resource)) = known else {
            let meant = similar::nearest(plain, RESOURCES.iter().map(|(name, _)| *name));
            return Err(SpecError::Unknown { key: format!("rlimits.{name}"), meant });
        };
        let pair = match value {
            Value::Array(pair) => pair
                .first()
                .and_then(limit)
                .zip(pair.get(1).and_then(limit))
                .filter(|_| pair.len() == 2),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_) => limit(value).map(|both| (both, both)),
        };
        let within = |(soft, hard): &(Option<u64>, Option<u64>)| {
            hard.is_none_or(|hard| soft.is_some_and(|soft| soft <= hard))
        };
        let (soft, hard) = pair.filter(within).ok_or_else(|| SpecError::Bad {
            key: format!("rlimits.{name}"),
            expects: "a number, \"unlimited\" or [soft, hard]".into(),
            found: shown(value),
        })?;
        all.push(Rlimit { resource: *resource, soft, hard });
    }
    Ok(all)
}

/// One limit: a number, or `None` for unlimited; the outer `None` if it is neither.
fn limit(value: &Value) -> Option<Option<u64>> {
    match value {
        Value::String(text) if text == "unlimited" => Some(None),
        Value::Number(number) => {
            let whole = number.as_u64().or_else(|| u64::try_from(whole(value)?).ok());
            whole.map(Some)
        }
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(value: Value) -> Result<JobSpec, String> {
        read(value.as_object().expect("an object")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_command_is_split_and_arguments_follow() {
        let program = |value| match spec(value).expect("valid").command {
            Command::Program(words) => {
                (words.program().to_owned(), words.args().collect::<Vec<_>>().join("|"))
            }
            Command::Shell(line) => ("sh".into(), line.into()),
        };
        let cases = [
            (json!({"cmd": "cat -n 'a b'"}), ("cat", "-n|a b")),
            (json!({"cmd": "echo a", "args": ["b c", "d"]}), ("echo", "a|b c|d")),
            (json!({"cmd": "echo", "args": "b 'c d'"}), ("echo", "b|c d")),
            (json!({"cmd": "echo ''", "args": ["", "e", ""]}), ("echo", "||e|")),
            (json!({"cmd": "echo"}), ("echo", "")),
            (json!({"cmd": "a && b", "shell": true, "args": ["x y"]}), ("sh", "a && b 'x y'")),
            (json!({"cmd": "a", "shell": true, "args": "> f"}), ("sh", "a > f")),
        ];
        for (value, (name, args)) in cases {
            assert_eq!(program(value), (name.to_owned(), args.to_owned()));
        }
    }

    #[test]
    fn wrong_keys_types_and_values_are_refused_by_name() {
        for (value, message) in [
            (json!({}), "cmd is missing"),
            (json!({"cmd": ""}), "cmd is missing"),
            (json!({"cmd": 1}), "cmd: expected a command line, found 1"),
            (json!({"cmd": "a 'b"}), "cmd: expected every quote to be closed, found \"a 'b\""),
            (json!({"cmd": "a\u{0}"}), "cmd: expected a command line, found \"a\\u0000\""),
            (
                json!({"cmd": "a", "numproceses": 2}),
                "unknown key \"numproceses\"; did you mean \"numprocesses\"?",
            ),
            (json!({"cmd": "a", "banana": 2}), "unknown key \"banana\""),
            (
                json!({"cmd": "a", "numprocesses": -1}),
                "numprocesses: expected a whole number from 0 to 10000, found -1",
            ),
            (
                json!({"cmd": "a", "numprocesses": 10_001}),
                "numprocesses: expected a whole number from 0 to 10000, found 10001",
            ),
            (json!({"cmd": "a", "env": {"A": 1}}), "env.A: expected a text, found 1"),
            (
                json!({"cmd": "a", "flapping": {"atempts": 1}}),
                "unknown key \"flapping.atempts\"; did you mean \"attempts\"?",
            ),
            (
                json!({"cmd": "a", "flapping": {"window": -1}}),
                "flapping.window: expected a number from 0 to 864000, found -1",
            ),
            (
                json!({"cmd": "a", "umask": "9"}),
                "umask: expected an octal text such as \"022\", found \"9\"",
            ),
            (
                json!({"cmd": "a", "rlimits": {"nofiles": 1}}),
                "unknown key \"rlimits.nofiles\"; did you mean \"nofile\"?",
            ),
            (
                json!({"cmd": "a", "rlimits": {"nofile": [2, 1]}}),
                "rlimits.nofile: expected a number, \"unlimited\" or [soft, hard], found [2,1]",
            ),
            (
                json!({"cmd": "a", "redirect_output": ["a", "b", "c"]}),
                "redirect_output: expected a list of at most 2 labels, found [\"a\",\"b\",\"c\"]",
            ),
            (
                json!({"cmd": "a", "uid": 4_294_967_295_u32}),
                "uid: expected a user's name or number, found 4294967295",
            ),
            (json!({"cmd": "a", "start": "no"}), "start: expected true or false, found \"no\""),
            (
                json!({"cmd": "a", "detach": true, "redirect_output": ["o"]}),
                "redirect_output: expected none with detach, since it would end with gafferd, found [\"o\"]",
            ),
        ] {
            assert_eq!(spec(value).err().as_deref(), Some(message));
        }
    }

    #[test]
    fn wrong_groups_and_rights_are_refused_by_name() {
        for (value, message) in [
            (
                json!({"cmd": "a", "groups": ["www", ""]}),
                "groups: expected a list of groups' names or numbers, found [\"www\",\"\"]",
            ),
            (
                json!({"cmd": "a", "groups": [4_294_967_295_u32]}),
                "groups: expected a list of groups' names or numbers, found [4294967295]",
            ),
            (
                json!({"cmd": "a", "capabilities": "chown"}),
                "capabilities: expected a list of capabilities such as net_bind_service, found \"chown\"",
            ),
            (
                json!({"cmd": "a", "capabilities": ["cap_chwn"]}),
                "unknown key \"capabilities.cap_chwn\"; did you mean \"chown\"?",
            ),
            (
                json!({"cmd": "a", "no_new_privs": 1}),
                "no_new_privs: expected true or false, found 1",
            ),
        ] {
            assert_eq!(spec(value).err().as_deref(), Some(message));
        }
    }

    #[test]
    fn a_value_that_is_too_long_is_told_with_what_it_may_be() {
        let most = limits::ARGUMENT - 1;
        let text = |length: usize| "x".repeat(length);
        let told = |key: &str, expects: &str, found: usize| {
            Some(format!("{key}: expected at most {expects}, found {found}: it is too long"))
        };
        let bytes = format!("{most} bytes");
        for key in ["cmd", "cwd", "args"] {
            let with = |length: usize| {
                let mut config = json!({"cmd": "a"});
                config[key] = json!(text(length));
                spec(config).map(drop).err()
            };
            assert_eq!(with(most), None, "{key}");
            assert_eq!(with(most + 1), told(key, &bytes, most + 1));
        }
        let listed = |length: usize| spec(json!({"cmd": "a", "args": ["b", text(length)]}));
        assert!(listed(most).is_ok());
        assert_eq!(listed(most + 1).err(), told("args", &bytes, most + 1));
        // A variable is one string with its name, and a line for the shell one with its arguments.
        let env = |length: usize| spec(json!({"cmd": "a", "env": {"NAME": text(length)}}));
        assert!(env(most - 5).is_ok());
        let with_name = format!("{bytes} with its name");
        assert_eq!(env(most - 4).err(), told("env.NAME", &with_name, most + 1));
        let line = |length: usize| spec(json!({"cmd": "a", "shell": true, "args": text(length)}));
        assert!(line(most - 2).is_ok());
        assert_eq!(line(most - 1).err(), told("args", &format!("{bytes} with cmd"), most + 1));
        let label = json!({"cmd": "a", "custom_streams": [text(limits::STREAM_LABEL + 1)]});
        assert_eq!(
            spec(label).err().as_deref(),
            Some("custom_streams: expected labels of at most 64 bytes, found 65: it is too long")
        );
    }

    #[test]
    fn a_job_listens_to_so_many_names_of_such_a_length() {
        let listens = |listen: Value| spec(json!({"cmd": "a", "listen": listen}));
        let heard = listens(json!([".", "job.site.", "exit"])).map(|spec| spec.listen.clone());
        assert_eq!(heard, Ok(vec![String::new(), "job.site".into(), "exit".into()]));
        let many = |count: usize| listens(json!(vec!["exit"; count])).is_ok();
        assert_eq!([many(limits::LISTEN), many(limits::LISTEN + 1)], [true, false]);
        let long = |count: usize| listens(json!(["x".repeat(count)])).is_ok();
        assert_eq!([long(limits::EVENT_NAME), long(limits::EVENT_NAME + 1)], [true, false]);
        for wrong in [json!("exit"), json!([""]), json!(["a b"]), json!([1])] {
            let error = listens(wrong).err().unwrap_or_default();
            assert!(error.starts_with("listen: expected a list of at most 64 names"), "{error}");
        }
        let detached = spec(json!({"cmd": "a", "listen": ["."], "detach": true}));
        assert!(detached.is_err_and(|error| error.starts_with("listen: expected none with detach")));
    }

    #[test]
    fn null_is_as_good_as_nothing() {
        let nulls: Map<String, Value> =
            KEYS.iter().map(|key| (key.name.to_owned(), Value::Null)).collect();
        let mut config = nulls;
        config.insert("cmd".into(), json!("true"));
        assert!(read(&config).is_ok());
    }

    #[test]
    fn a_label_leads_to_one_stream() {
        for streams in [json!(["a", "a"]), json!(["o"]), json!(["stdin"])] {
            let job = json!({"cmd": "x", "redirect_output": ["o"], "custom_streams": streams});
            let error = spec(job).expect_err("refused");
            assert!(error.starts_with("custom_streams: expected labels that no other"), "{error}");
        }
    }

    #[test]
    fn streams_have_their_numbers_and_labels() {
        let outputs = |value| {
            let spec = spec(value).expect("valid");
            spec.outputs()
                .into_iter()
                .map(|(n, label)| format!("{}{label}", n.0))
                .collect::<Vec<_>>()
        };
        assert_eq!(outputs(json!({"cmd": "a"})), ["1out", "2err"]);
        assert_eq!(outputs(json!({"cmd": "a", "redirect_output": ["x"]})), ["1x", "2err"]);
        assert_eq!(outputs(json!({"cmd": "a", "redirect_output": ["x", "x"]})), ["1x"]);
        assert_eq!(
            outputs(json!({"cmd": "a", "custom_streams": ["c", "d"]})),
            ["1out", "2err", "3c", "4d"]
        );
        assert!(outputs(json!({"cmd": "a", "detach": true})).is_empty());
        let ear = json!({"cmd": "a", "listen": ["EVENT"], "listen_protocol": "supervisor"});
        assert_eq!(outputs(ear), ["2err"], "stdout is for the node");
    }
}
