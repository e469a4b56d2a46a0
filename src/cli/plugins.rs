//! What stands beside the endpoints of a node: `gaffer plugins`.

use serde_json::Value;

use super::args::Invocation;
use super::connect;
use super::failure::Failure;
use super::keys::text;
use super::terminal::{Cell, Paint, Terminal};

/// `gaffer plugins`: each with where its site is and what is wrong with it.
pub fn list(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let answer = connect::server(invocation)?.ask("GET", "/plugins", b"")?.json()?;
    if terminal.is_json() {
        return terminal.json(&answer);
    }
    let heads = ["NAME", "SITE", "PROGRAM"];
    let head = |text: &&str| Cell { text: (*text).to_owned(), paint: Paint::Dim };
    let mut rows: Vec<Vec<Cell>> = vec![heads.iter().map(head).collect()];
    let plugins = answer["plugins"].as_array().map(Vec::as_slice).unwrap_or_default();
    let or_none = |value: &Value| value.as_str().map_or_else(|| "-".to_owned(), str::to_owned);
    for plugin in plugins {
        let paint = if has_faults(plugin) { Paint::Bad } else { Paint::Plain };
        rows.push(vec![
            Cell { text: text(&plugin["name"]), paint },
            or_none(&plugin["site"]).into(),
            or_none(&plugin["program"]["state"]).into(),
        ]);
    }
    terminal.table(&rows, &[])?;
    for plugin in plugins {
        let (program, name) = (&plugin["program"], text(&plugin["name"]));
        let all =
            [&program["reason"], &program["last_error"]].into_iter().filter_map(Value::as_str);
        // Of one that runs, what went wrong last is history.
        let told = all.take(if program["state"] == "running" { 0 } else { 2 });
        for why in told.filter(|why| !why.is_empty()) {
            terminal.line(&format!("{name}: {why}"))?;
        }
    }
    for plugin in plugins.iter().filter(|plugin| has_faults(plugin)) {
        for fault in plugin["faults"].as_array().into_iter().flatten() {
            terminal.line(&format!("{}: {}", text(&plugin["name"]), text(fault)))?;
        }
    }
    Ok(())
}

fn has_faults(plugin: &Value) -> bool {
    plugin["faults"].as_array().is_some_and(|faults| !faults.is_empty())
}
