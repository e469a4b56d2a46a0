//! `gaffer ps`: one line for each instance, with a note that says why, and what comes next.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{json, Map};
use signal_hook::consts::SIGWINCH;

use super::args::Invocation;
use super::connect;
use super::failure::Failure;
use super::hearing::{self, Next};
use super::names::{self, Place};
use super::rows::{self, Column, Measured, Row};
use super::terminal::{Cell, Paint, Terminal};
use super::times;
use crate::client::Server;

/// How often what is watched is looked at again.
const SECOND: Duration = Duration::from_secs(1);
/// What comes within this time after a picture is in the next one, all together.
const TOGETHER: Duration = Duration::from_millis(100);

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
    if invocation.has("watch") {
        return watch(&mut server, invocation, terminal, form);
    }
    if show(&mut server, invocation, terminal, form)? {
        Ok(())
    } else {
        Err(Failure::NotRunning)
    }
}

/// Shows it again and again: on a terminal in its place, every second and soon after each event; else
/// below, after events.
fn watch(
    server: &mut Server,
    invocation: &Invocation,
    terminal: &mut Terminal,
    form: &str,
) -> Result<(), Failure> {
    let in_place = terminal.has_frames() && form != "json";
    let mut channel = server.channel()?;
    channel.subscribe("EVENTS", &Map::new())?;
    if in_place {
        // A window of another size ends the wait, and that is all there is to do.
        signal_hook::flag::register(SIGWINCH, Arc::default())?;
        terminal.draw(|terminal| show(server, invocation, terminal, form))?;
    } else {
        show(server, invocation, terminal, form)?;
    }
    let mut drawn = hearing::now();
    let mut due = in_place.then_some(drawn + SECOND);
    loop {
        match hearing::hear_until(&mut channel, due)? {
            Next::Heard(_) => {
                // Many events that come at once are shown at once.
                let soon = drawn + TOGETHER;
                due = Some(due.map_or(soon, |due| due.min(soon)));
                continue;
            }
            Next::Ended => {
                let address = server.address();
                return Err(Failure::NoNode(format!("the node at {address} has ended")));
            }
            Next::Time => {}
        }
        if !in_place && form != "json" {
            terminal.line("")?;
        }
        again(server, invocation, terminal, form)?;
        drawn = hearing::now();
        due = in_place.then_some(drawn + SECOND);
    }
}

/// Shows it once more. What cannot be shown now may be there again later: the application is loaded anew.
fn again(
    server: &mut Server,
    invocation: &Invocation,
    terminal: &mut Terminal,
    form: &str,
) -> Result<(), Failure> {
    let in_place = terminal.has_frames() && form != "json";
    let shown = if in_place {
        terminal.draw(|terminal| show(server, invocation, terminal, form))
    } else {
        show(server, invocation, terminal, form)
    };
    match shown {
        Err(Failure::Failed(why)) if in_place => terminal.draw(|terminal| terminal.line(&why)),
        Err(Failure::Failed(why)) => {
            terminal.remark(&why);
            Ok(())
        }
        shown => shown.map(drop),
    }
}

/// Shows all once; whether everything is as it is wanted.
fn show(
    server: &mut Server,
    invocation: &Invocation,
    terminal: &mut Terminal,
    form: &str,
) -> Result<bool, Failure> {
    let places = meant(server, invocation)?;
    let column = Column::of_flag(invocation)?;
    let stats = server.stats()?;
    let now = times::now();
    let mut rows = Vec::new();
    for Place { job: name, instance } in places {
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
        let of_job = rows::of_job(&name, &info, measured, now).into_iter();
        let is_meant = |row: &Row| {
            instance.is_none_or(|number| row.number == Some(u64::from(number)) && !row.once)
        };
        rows.extend(of_job.filter(is_meant));
    }
    rows::sort(&mut rows, column, |row| row);
    let well = rows.iter().all(|row| row.well);
    match form {
        "json" => terminal.json(&rows.iter().map(Row::json).collect::<Vec<_>>())?,
        "name" => rows.iter().try_for_each(|row| terminal.line(&row.target()))?,
        "tsv" => rows.iter().try_for_each(|row| terminal.line(&row.tsv()))?,
        "wide" => table(&rows, terminal, true)?,
        _ => table(&rows, terminal, false)?,
    }
    if matches!(form, "short" | "wide") && terminal.is_terminal() {
        let line = terminal.painted(&summary(&rows), Paint::Dim);
        terminal.line(&line)?;
    }
    Ok(well)
}

/// How many instances there are in each state, for people: on a pipe every line is of one instance.
fn summary(rows: &[Row]) -> String {
    let states =
        ["running", "starting", "waiting", "stopping", "backoff", "failed", "exited", "stopped"];
    let count = |state: &'static str| (state, rows.iter().filter(|row| row.state == state).count());
    let counts = states.into_iter().map(count).filter(|(_, count)| *count > 0);
    let counts: Vec<String> = counts.map(|(state, count)| format!("{count} {state}")).collect();
    let all = if rows.len() == 1 { "1 instance" } else { &format!("{} instances", rows.len()) };
    format!("{all}: {}", counts.join(", "))
}

/// The jobs that are shown. Without an application or a Procfile here that is a node's overview: all of
/// it, or what a pattern fits in any application.
fn meant(server: &mut Server, invocation: &Invocation) -> Result<Vec<Place>, Failure> {
    let procfile = names::procfile(invocation);
    if invocation.has("app") || procfile.exists() {
        return names::places(server, invocation, &invocation.words);
    }
    if invocation.has("procfile") || invocation.has("root") {
        return Err(Failure::failed(format!("procfile not found: {}", procfile.display())));
    }
    if invocation.words.is_empty() {
        let all = server.jobs()?.into_iter();
        return Ok(all.map(|job| Place { job, instance: None }).collect());
    }
    let of_any = |word: &String| {
        let pattern = word.contains(['*', '?']) && !word.contains(['.', '/']);
        if pattern {
            format!("*.{word}")
        } else {
            word.clone()
        }
    };
    let words: Vec<String> = invocation.words.iter().map(of_any).collect();
    names::places(server, invocation, &words)
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
    if wide {
        return terminal.table(&lines, &right);
    }
    // NOTE says why, and is worth more than what is measured.
    let spare = ["MEM", "CPU%", "RESTARTS", "UP"];
    let spare = spare.iter().filter_map(|name| heads.iter().position(|head| head == name));
    terminal.fitted_table(&lines, &right, &spare.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_counts_instances_by_their_states() {
        let info = json!({"desired": "up", "instances": [
            {"instance": 1, "state": "backoff"}, {"instance": 2, "state": "running"},
            {"instance": 3, "state": "running"},
        ]});
        let mut rows = rows::of_job("a.b", &info, |_| Measured::default(), 0.0);
        assert_eq!(summary(&rows), "3 instances: 2 running, 1 backoff");
        rows.truncate(1);
        assert_eq!(summary(&rows), "1 instance: 1 backoff");
    }
}
