//! `gaffer events`: what happens, as it happens, on one node or on many.

use serde_json::{json, Map, Value};

use super::args::Invocation;
use super::failure::Failure;
use super::gather::{Gathering, Next};
use super::hearing;
use super::outcome::Outcome;
use super::sites::{Sites, Wanted};
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
    let sites = Sites::of(invocation, terminal, Wanted::All)?;
    if sites.len() > 1 && wishes.get("since").is_some_and(|since| *since != json!(0)) {
        return Err(Failure::usage(
            "--since: each node numbers its events by itself; 0 is for all that are kept",
        ));
    }
    let mut gathering = Gathering::begin(&sites, move |server, teller| {
        let mut listen = || -> Result<(), Failure> {
            let mut channel = server.channel()?;
            channel.subscribe(&topic, &wishes)?;
            while let Some(heard) = channel.hear().map_err(hearing::lost)? {
                if !teller.tell(Ok(heard)) {
                    break;
                }
            }
            Ok(())
        };
        let ended = listen().err().map_or(Ok(()), Err);
        teller.tell(Err(ended));
    })?;
    let mut outcome = Outcome::default();
    while let Next::Told(site, told) = gathering.next(None)? {
        let heard = match told {
            Ok(heard) => heard,
            Err(Err(failure)) => {
                outcome.fail((&sites, site), failure, terminal)?;
                continue;
            }
            Err(Ok(())) if !sites.are_named() => continue,
            Err(Ok(())) => {
                let ended = Failure::NoNode("the node has ended".into());
                outcome.fail((&sites, site), ended, terminal)?;
                continue;
            }
        };
        match heard {
            Heard::Lagged { lost, .. } => {
                let front = sites.in_front(site);
                terminal.remark(&format!("{front}{lost} events are lost: read too slowly"));
            }
            // Each is told under its plain name, and again under those of its job and process.
            Heard::Event { data, .. } if all && is_again(&data) => {}
            Heard::Event { mut data, .. } if terminal.is_json() => {
                if let Some(label) = sites.label(site) {
                    data.insert("node".into(), json!(label));
                }
                terminal.json(&data)?;
            }
            Heard::Event { data, .. } => {
                let line = self::told(&data);
                let paint =
                    if data.contains_key("exit_status") { Paint::Warn } else { Paint::Plain };
                let line = terminal.painted(&line, paint);
                let stamp = terminal.painted(&stamp(&data), Paint::Dim);
                let prefix = sites.prefix(site, terminal.has_color());
                terminal.line(&format!("{prefix}{stamp} {line}"))?;
            }
        }
    }
    outcome.end_quietly(&sites, terminal)
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
