//! `gaffer events`: what happens, as it happens.

use serde_json::{json, Map, Value};

use super::args::Invocation;
use super::connect;
use super::failure::Failure;
use super::hearing;
use super::terminal::{Paint, Terminal};
use super::times;
use crate::base::similar;
use crate::client::Heard;
use crate::node::api_feeds::EVENT_WORDS;

/// `gaffer events`.
pub fn events(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let topic = match invocation.words.as_slice() {
        [] => "EVENTS".to_owned(),
        [prefix] => format!("EVENTS:{}", known(prefix)?),
        [_, more, ..] => {
            return Err(Failure::usage(format!("{more:?} is one argument too many")));
        }
    };
    let all = matches!(topic.as_str(), "EVENTS" | "EVENTS:" | "EVENTS:.");
    let mut wishes = Map::new();
    if let Some(since) = invocation.number("since")? {
        wishes.insert("since".into(), json!(since));
    }
    let mut channel = connect::server(invocation)?.channel()?;
    channel.subscribe(&topic, &wishes)?;
    while let Some(heard) = hearing::hear(&mut channel)? {
        match heard {
            Heard::Lagged { lost, .. } => {
                terminal.remark(&format!("{lost} events are lost: read too slowly"));
            }
            // Each is told under its plain name, and again under those of its job and process.
            Heard::Event { data, .. } if all && is_again(&data) => {}
            Heard::Event { data, .. } if terminal.is_json() => terminal.json(&data)?,
            Heard::Event { data, .. } => {
                let line = told(&data);
                let paint =
                    if data.contains_key("exit_status") { Paint::Warn } else { Paint::Plain };
                let line = terminal.painted(&line, paint);
                let stamp = terminal.painted(&stamp(&data), Paint::Dim);
                terminal.line(&format!("{stamp} {line}"))?;
            }
        }
    }
    Ok(())
}

/// A prefix with which the name of some event begins.
fn known(prefix: &str) -> Result<&str, Failure> {
    let first = prefix.split('.').next().unwrap_or_default();
    if first.is_empty() || EVENT_WORDS.contains(&first) {
        return Ok(prefix);
    }
    let meant = similar::nearest(first, EVENT_WORDS);
    let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
    let known = EVENT_WORDS.join(", ");
    Err(Failure::usage(format!(
        "no event's name begins with {prefix:?}{meant} (they begin with {known})"
    )))
}

/// When an event was, and its number, from which `--since` goes on.
fn stamp(data: &Map<String, Value>) -> String {
    let time = data.get("ts").and_then(Value::as_f64).map(times::of_day).unwrap_or_default();
    let seq = data.get("seq").and_then(Value::as_u64).unwrap_or(0);
    format!("{time} #{seq}")
}

/// Whether this tells under a further name what was told already.
pub fn is_again(data: &Map<String, Value>) -> bool {
    let name = data.get("event").and_then(Value::as_str).unwrap_or_default();
    // A signal to a job or a process has no plain name.
    (name.starts_with("job.") || name.starts_with("proc.")) && !name.ends_with(".kill")
}

/// An event as a line.
pub fn told(data: &Map<String, Value>) -> String {
    let text = |key: &str| data.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut line = format!("{} | {}", text("name"), text("event"));
    if let Some(pid) = data.get("pid").and_then(Value::as_u64) {
        line += &format!(" process with pid {pid}");
    }
    if !text("reason").is_empty() {
        line += &format!(": {}", text("reason"));
    }
    line
}
