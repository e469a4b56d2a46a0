//! One job looked at closely, and the node itself.

use serde_json::{json, Value};

use super::args::Invocation;
use super::connect;
use super::failure::Failure;
use super::names::{self, Target};
use super::terminal::{span, Paint, Terminal};
use crate::client::Server;
use crate::VERSION;

/// `gaffer ping`.
pub fn ping(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut server = connect::server(invocation)?;
    server.ping()?;
    if terminal.is_json() {
        return terminal.json(&json!({"node": server.address().to_string(), "ok": true}));
    }
    terminal.line("OK")
}

/// `gaffer version`.
pub fn version(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut server = connect::server(invocation)?;
    let node = server.version()?;
    let address = server.address().to_string();
    if terminal.is_json() {
        return terminal.json(&json!({"gaffer": VERSION, "gafferd": node, "node": address}));
    }
    terminal.line(&format!("gaffer {VERSION}"))?;
    terminal.line(&format!("gafferd {node} at {address}"))
}

/// `gaffer ps:info`.
pub fn info(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let word = vec![invocation.only("a job or a process")?.to_owned()];
    let mut server = connect::server(invocation)?;
    for target in names::targets(&mut server, invocation, &word)? {
        let info = match target {
            Target::Job(name) => server.job(&name).info()?,
            Target::Process(pid) => {
                server.process(pid).info().map_err(|error| match error.is_not_found() {
                    true => Failure::failed(format!("process '{pid}' not found")),
                    false => error.into(),
                })?
            }
        };
        if terminal.is_json() {
            terminal.json(&info)?;
            continue;
        }
        for (key, value) in info.as_object().into_iter().flatten() {
            let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            terminal.line(&format!("{key}: {shown}"))?;
        }
    }
    Ok(())
}

/// The only job that the only word means.
fn one(server: &mut Server, invocation: &Invocation) -> Result<String, Failure> {
    let word = vec![invocation.only("the job")?.to_owned()];
    let mut found = names::jobs(server, invocation, &word)?;
    match (found.pop(), found.is_empty()) {
        (Some(name), true) => Ok(name),
        _ => Err(Failure::usage("this means more than one job")),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// `gaffer status`.
pub fn status(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut server = connect::server(invocation)?;
    let name = one(&mut server, invocation)?;
    let info = server.job(&name).info()?;
    let deaths = server.job(&name).deaths()?;
    if terminal.is_json() {
        terminal.json(&json!({"job": info, "deaths": deaths}))?;
    } else {
        shown(terminal, &name, &info, &deaths)?;
    }
    let well = text(&info, "desired") != "up" || text(&info, "state") == "running";
    if well {
        Ok(())
    } else {
        Err(Failure::NotRunning)
    }
}

fn shown(
    terminal: &mut Terminal,
    name: &str,
    info: &Value,
    deaths: &[Value],
) -> Result<(), Failure> {
    let state = text(info, "state");
    let dot = terminal.painted("*", Paint::of_state(state));
    let cmd = text(&info["config"], "cmd");
    terminal.line(&format!("{dot} {} - {cmd}", terminal.painted(name, Paint::Bold)))?;
    let reason = match text(info, "reason") {
        "" => String::new(),
        reason => format!(" ({reason})"),
    };
    let since = info["uptime"].as_f64().map(|up| format!(", up for {}", span(up)));
    let state = terminal.painted(state, Paint::of_state(state));
    terminal.line(&format!("   state: {state}{reason}{}", since.unwrap_or_default()))?;
    let number = |key: &str| info[key].as_u64().unwrap_or(0);
    terminal.line(&format!(
        "  wanted: {}, {} of {} running, {} restarts",
        text(info, "desired"),
        number("running"),
        number("max_processes"),
        number("restarts")
    ))?;
    let origin = match text(info, "origin") {
        "file" => "a configuration file",
        _ => "the API",
    };
    terminal.line(&format!("  loaded: by {origin}"))?;
    for instance in info["instances"].as_array().into_iter().flatten() {
        let pid = match instance["os_pid"].as_u64() {
            Some(os_pid) => format!("process {}, os pid {os_pid}", instance["pid"]),
            None => "no process".into(),
        };
        let reason = match text(instance, "reason") {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        let state = text(instance, "state");
        let painted = terminal.painted(state, Paint::of_state(state));
        terminal.line(&format!("      #{}: {painted}, {pid}{reason}", instance["instance"]))?;
    }
    for death in deaths.iter().take(3) {
        let ran = span(death["ran"].as_f64().or(death["uptime"].as_f64()).unwrap_or(0.0));
        let cause = [text(death, "reason"), text(death, "cause")];
        let cause = cause.iter().find(|cause| !cause.is_empty()).copied().unwrap_or("ended");
        terminal.line(&format!("   death: {cause}, after {ran}"))?;
        for line in death["last_lines"].as_array().into_iter().flatten() {
            let line = line.as_str().unwrap_or_default();
            terminal.line(&format!("          | {line}"))?;
        }
    }
    Ok(())
}

/// `gaffer why`.
pub fn why(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut server = connect::server(invocation)?;
    let name = one(&mut server, invocation)?;
    let info = server.job(&name).info()?;
    let deaths = server.job(&name).deaths()?;
    let sentences = reasons(&name, &info, &deaths);
    if terminal.is_json() {
        return terminal.json(&json!({"name": name, "why": sentences}));
    }
    terminal.line(&sentences.join(" "))
}

/// The chain of causes, in sentences.
fn reasons(name: &str, info: &Value, deaths: &[Value]) -> Vec<String> {
    let state = text(info, "state");
    let mut said = vec![match (text(info, "desired"), text(info, "reason")) {
        ("up", "") => format!("{name} is {state}, as it is wanted."),
        ("up", reason) => format!("{name} is wanted up and is {state}: {reason}."),
        (wanted, "") => format!("{name} is {state}, because it is wanted {wanted}."),
        (wanted, reason) => format!("{name} is {state} and wanted {wanted}: {reason}."),
    }];
    if let Some(last) = deaths.first() {
        let ran = last["ran"].as_f64().or(last["uptime"].as_f64()).map(span);
        let cause = [text(last, "reason"), text(last, "cause")];
        let cause = cause.iter().find(|cause| !cause.is_empty()).copied().unwrap_or("unknown");
        let ran = ran.map(|ran| format!(" after {ran}")).unwrap_or_default();
        said.push(format!("Its last run ended{ran}: {cause}."));
        let words = last["last_lines"].as_array().and_then(|lines| lines.last());
        if let Some(words) = words.and_then(Value::as_str).filter(|words| !words.is_empty()) {
            said.push(format!("Its last words were: {words:?}."));
        }
        let count = info["deaths"].as_u64().unwrap_or(0);
        if count > 1 {
            said.push(format!("It has ended {count} times since it was loaded."));
        }
    }
    match state {
        "failed" => said.push(format!("It is not tried again; `gaffer start-job {name}` does.")),
        "stopped" if text(info, "desired") != "up" => {
            said.push(format!("`gaffer start-job {name}` starts it."));
        }
        _ => {}
    }
    said
}
