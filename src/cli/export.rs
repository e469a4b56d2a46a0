//! `gaffer export`: jobs as configuration that gafferd reads.

use std::fs;

use serde_json::{json, Map, Value};

use super::args::Invocation;
use super::connect;
use super::failure::Failure;
use super::names;
use super::terminal::Terminal;
use crate::client::{Error, Server};
use crate::node::masking::MASK;

/// `gaffer export`.
pub fn export(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let ini = match invocation.value("format") {
        None if terminal.is_json() => false,
        None | Some("ini") => true,
        Some("json") => false,
        Some(other) => {
            return Err(Failure::usage(format!("--format: expected ini or json, found {other:?}")));
        }
    };
    let mut server = connect::server(invocation)?;
    let mut jobs = Vec::new();
    for name in names::jobs(&mut server, invocation, &invocation.words)? {
        let config = configuration(&mut server, &name)?;
        jobs.push((name, config));
    }
    let text = if ini { as_ini(&jobs) } else { as_json(&jobs) };
    match invocation.value("out") {
        Some(path) => {
            fs::write(path, text).map_err(|error| Failure::failed(format!("{path}: {error}")))
        }
        None => terminal.line(text.trim_end()),
    }
}

/// A job's configuration, whole: it is to be one again.
fn configuration(server: &mut Server, name: &str) -> Result<Map<String, Value>, Failure> {
    let info = match server.job(name).info_with_secrets() {
        Err(Error::Refused { status: 403, .. }) => server.job(name).info()?,
        info => info?,
    };
    let config = info["config"].as_object().cloned().unwrap_or_default();
    let env = config.get("env").and_then(Value::as_object);
    match env.into_iter().flatten().find(|(_, value)| *value == MASK) {
        None => Ok(config),
        Some((variable, _)) => Err(Failure::failed(format!(
            "{name}: the value of {variable} is told to administrators only; export it with the key \
             of one"
        ))),
    }
}

fn as_json(jobs: &[(String, Map<String, Value>)]) -> String {
    let named = |(name, config): &(String, Map<String, Value>)| {
        let mut config = config.clone();
        config.insert("name".into(), json!(name));
        Value::Object(config)
    };
    let all: Vec<Value> = jobs.iter().map(named).collect();
    serde_json::to_string_pretty(&json!({"jobs": all})).unwrap_or_default() + "\n"
}

fn as_ini(jobs: &[(String, Map<String, Value>)]) -> String {
    let mut text = String::new();
    for (name, config) in jobs {
        let (session, label) = name.split_once('.').unwrap_or(("default", name));
        text += &format!("[job:{session}:{label}]\n");
        let keys = config
            .iter()
            .filter(|(key, value)| *key != "name" && *key != "env" && !value.is_null());
        for (key, value) in keys {
            let value = if key == "args" { ini_words(value) } else { ini_value(value) };
            text += &format!("{key} = {value}\n");
        }
        // What a file says nothing of is on there, and off over the API.
        if !config.contains_key("os_env") {
            let has_env = config.get("env").is_some_and(|env| !env.is_null());
            text += &format!("os_env = {}\n", !has_env);
        }
        for (name, value) in config.get("env").and_then(Value::as_object).into_iter().flatten() {
            text += &format!("env:{name} = {}\n", escaped(value.as_str().unwrap_or_default()));
        }
        text.push('\n');
    }
    text
}

fn ini_value(value: &Value) -> String {
    match value {
        Value::String(text) => escaped(text),
        Value::Array(items) => items.iter().map(ini_value).collect::<Vec<_>>().join(", "),
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| format!("{key}={}", ini_value(value));
            members.iter().map(member).collect::<Vec<_>>().join(", ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// Arguments as one line that is split into the same again, or that a shell splits so.
fn ini_words(value: &Value) -> String {
    let words = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    // Without a list it is such a line already. No argument has a NUL, which could not be quoted.
    let line = value.is_array().then(|| shlex::try_join(words).ok()).flatten();
    line.map_or_else(|| ini_value(value), |line| escaped(&line))
}

/// A percent sign begins a reference, and a line end a new line of the same value.
fn escaped(text: &str) -> String {
    text.replace('%', "%%").replace('\n', "\n    ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::ini_jobs::Table;

    #[test]
    fn what_is_exported_is_read_as_the_same() {
        for (cmd, args, shell) in [
            ("sh", json!(["-c", "echo \"q $X\"; sleep 1, 2", "a 'b'", "50%", ""]), false),
            ("a", json!([]), false),
            ("a", json!("-v 'two words'"), false),
            ("echo", json!(["a b", ";", "c"]), true),
            ("echo", json!("a | b"), true),
        ] {
            let config =
                json!({"name": "a", "cmd": cmd, "args": args, "shell": shell, "env": {"X": "%"}});
            let config = config.as_object().expect("an object").clone();
            let told = crate::supervisor::spec_read::read(&config).expect("a job");
            let text = as_ini(&[("s.a".into(), config)]);
            let mut table = Table::default();
            table.add("g.ini", &text).expect("INI");
            let read = table.jobs(&mut Vec::new()).expect("jobs").remove(0);
            assert_eq!(read.name.to_string(), "s.a");
            assert_eq!(read.spec.command, told.command, "{text}");
            assert_eq!((&read.spec.env, read.spec.os_env), (&told.env, told.os_env), "{text}");
        }
    }
}
