//! `gaffer ps`: one line for each instance, with a note that says why, and what comes next.

use serde_json::{json, Map};

use super::args::Invocation;
use super::connect;
use super::failure::Failure;
use super::names;
use super::rows::{self, Column, Measured, Row};
use super::terminal::{Cell, Paint, Terminal};
use crate::client::{Heard, Server};
use crate::reactor::clock::Clock;

/// `gaffer apps`.
pub fn apps(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let sessions = connect::server(invocation)?.sessions()?;
    if terminal.is_json() {
        return terminal.json(&json!({"apps": sessions}));
    }
    sessions.iter().try_for_each(|session| terminal.line(session))
}

/// `gaffer ps`.
pub fn ps(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let form = match (invocation.value("output"), terminal.is_json()) {
        (None, false) => "short",
        (None, true) | (Some("json"), _) => "json",
        (Some(form @ ("wide" | "tsv" | "name")), _) => form,
        (Some(form), _) => {
            return Err(Failure::usage(format!(
                "--output: expected wide, json, tsv or name, found {form:?}"
            )));
        }
    };
    let mut server = connect::server(invocation)?;
    let well = show(&mut server, invocation, terminal, form)?;
    if invocation.has("watch") {
        let mut channel = server.channel()?;
        channel.subscribe("EVENTS", &Map::new())?;
        while let Some(Heard::Event { .. } | Heard::Lagged { .. }) = channel.hear()? {
            terminal.line("")?;
            show(&mut server, invocation, terminal, form)?;
        }
    }
    if well {
        Ok(())
    } else {
        Err(Failure::NotRunning)
    }
}

/// Shows all once; whether everything is as it is wanted.
fn show(
    server: &mut Server,
    invocation: &Invocation,
    terminal: &mut Terminal,
    form: &str,
) -> Result<bool, Failure> {
    let jobs = if names::means_everything(invocation) {
        server.jobs()?
    } else {
        names::jobs(server, invocation, &invocation.words)?
    };
    let column = Column::of_flag(invocation)?;
    let stats = server.stats()?;
    let now = Clock::default().tick().epoch_seconds();
    let mut rows = Vec::new();
    for name in jobs {
        // One that went away since the list was made is not shown.
        let info = match server.job(&name).info() {
            Err(error) if error.is_not_found() => continue,
            info => info?,
        };
        let of_job = stats.iter().find(|stat| stat["name"] == json!(name));
        let of_job = of_job.and_then(|stat| stat["stats"].as_array()).into_iter().flatten();
        let measured = |pid: u64| {
            let of_pid = of_job.clone().find(|one| one["pid"].as_u64() == Some(pid));
            of_pid.map(Measured::of).unwrap_or_default()
        };
        rows.extend(rows::of_job(&name, &info, measured, now));
    }
    rows::sort(&mut rows, column, |row| row);
    let well = rows.iter().all(|row| row.well);
    match form {
        "json" => terminal.json(&rows.iter().map(Row::json).collect::<Vec<_>>())?,
        "name" => rows.iter().try_for_each(|row| terminal.line(&row.name()))?,
        "tsv" => rows.iter().try_for_each(|row| terminal.line(&row.tsv()))?,
        "wide" => table(&rows, terminal, true)?,
        _ => table(&rows, terminal, false)?,
    }
    Ok(well)
}

fn table(rows: &[Row], terminal: &mut Terminal, wide: bool) -> Result<(), Failure> {
    let mut heads = vec!["APP", "JOB", "#", "STATE", "PID"];
    if wide {
        heads.push("OS-PID");
    }
    heads.extend(["UP", "RESTARTS", "CPU%", "MEM", "NOTE"]);
    let head = |text: &&str| Cell { text: (*text).to_owned(), paint: Paint::Dim };
    let mut lines = vec![heads.iter().map(head).collect::<Vec<Cell>>()];
    lines.extend(rows.iter().map(|row| row.cells(wide)));
    let first = heads.iter().position(|head| *head == "PID").unwrap_or(0);
    let right: Vec<usize> = [2].into_iter().chain(first..heads.len() - 1).collect();
    terminal.table(&lines, &right)
}
