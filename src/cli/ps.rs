//! `gaffer ps`: one line for each instance, with a note that says why, and what comes next.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{json, Map, Value};
use signal_hook::consts::SIGWINCH;

use super::args::Invocation;
use super::connect;
use super::failure::Failure;
use super::hearing::{self, Next};
use super::names;
use super::terminal::{size, span, Cell, Paint, Terminal};
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

/// One instance as it is shown.
struct Row {
    app: String,
    job: String,
    number: Option<u64>,
    /// Whether it is not kept: its number is no kept instance's.
    once: bool,
    state: String,
    pid: Option<u64>,
    os_pid: Option<u64>,
    up: Option<f64>,
    restarts: u64,
    cpu: Option<f64>,
    rss: Option<u64>,
    note: String,
    /// Whether it is as the operator wants it.
    well: bool,
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
    let jobs = meant(server, invocation)?;
    let stats = server.stats()?;
    let mut rows = Vec::new();
    for name in jobs {
        // One that went away since the list was made is not shown.
        let info = match server.job(&name).info() {
            Err(error) if error.is_not_found() => continue,
            info => info?,
        };
        let of_job = stats.iter().find(|stat| stat["name"] == json!(name));
        rows.extend(rows_of(&name, &info, of_job));
    }
    sort(&mut rows, invocation.value("sort"))?;
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

/// The jobs that are shown. Without an application or a Procfile here that is a node's overview: all of
/// it, or what a pattern fits in any application.
fn meant(server: &mut Server, invocation: &Invocation) -> Result<Vec<String>, Failure> {
    let procfile = names::procfile(invocation);
    if invocation.has("app") || procfile.exists() {
        return names::jobs(server, invocation, &invocation.words);
    }
    if invocation.has("procfile") || invocation.has("root") {
        return Err(Failure::failed(format!("procfile not found: {}", procfile.display())));
    }
    if invocation.words.is_empty() {
        return Ok(server.jobs()?);
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
    names::jobs(server, invocation, &words)
}

fn rows_of(name: &str, info: &Value, stats: Option<&Value>) -> Vec<Row> {
    let (app, job) = name.split_once('.').unwrap_or(("default", name));
    let desired = info["desired"].as_str().unwrap_or_default();
    let instances = info["instances"].as_array().cloned().unwrap_or_default();
    let row = |instance: &Value| {
        let state = instance["state"].as_str().unwrap_or_default().to_owned();
        let pid = instance["pid"].as_u64();
        let measured = stats.and_then(|stats| stats["stats"].as_array());
        let measured = measured.into_iter().flatten().find(|one| one["pid"].as_u64() == pid);
        let measured = measured.filter(|_| pid.is_some());
        Row {
            app: app.to_owned(),
            job: job.to_owned(),
            number: instance["instance"].as_u64(),
            once: instance["once"] == json!(true),
            well: desired != "up" || matches!(&*state, "running" | "starting" | "exited"),
            pid,
            os_pid: instance["os_pid"].as_u64(),
            up: instance["uptime"].as_f64(),
            restarts: instance["restarts"].as_u64().unwrap_or(0),
            cpu: measured.and_then(|one| one["cpu"].as_f64()),
            rss: measured.and_then(|one| one["rss"].as_u64()),
            note: note(instance),
            state,
        }
    };
    let mut rows: Vec<Row> = instances.iter().map(row).collect();
    if rows.iter().all(|row| row.once) {
        // The job is there without an instance of its own, or with one-offs alone.
        rows.insert(0, without_instance(app, job, info));
    }
    rows
}

/// The line of a job that has no kept instance.
fn without_instance(app: &str, job: &str, info: &Value) -> Row {
    Row {
        app: app.to_owned(),
        job: job.to_owned(),
        number: None,
        once: false,
        state: info["state"].as_str().unwrap_or_default().to_owned(),
        pid: None,
        os_pid: None,
        up: None,
        restarts: info["restarts"].as_u64().unwrap_or(0),
        cpu: None,
        rss: None,
        note: info["reason"].as_str().unwrap_or_default().to_owned(),
        well: true,
    }
}

/// Why an instance is as it is, and when it is tried again.
pub(super) fn note(instance: &Value) -> String {
    let reason = instance["reason"].as_str().unwrap_or_default();
    let left = instance["retry_at"].as_f64().map(|at| (at - times::now()).max(0.0));
    let once = instance["once"] == json!(true);
    let mut parts: Vec<String> = Vec::new();
    if once {
        parts.push("one-off".into());
    }
    if !reason.is_empty() {
        parts.push(reason.to_owned());
    }
    if let Some(left) = left {
        parts.push(format!("again in {}", span(left)));
    }
    parts.join("; ")
}

fn sort(rows: &mut [Row], by: Option<&str>) -> Result<(), Failure> {
    let descending = |a: f64, b: f64| b.total_cmp(&a);
    match by {
        None => {}
        Some("app") => rows.sort_by(|a, b| a.app.cmp(&b.app)),
        Some("job") => rows.sort_by(|a, b| a.job.cmp(&b.job)),
        Some("state") => rows.sort_by(|a, b| a.state.cmp(&b.state)),
        Some("up") => rows.sort_by(|a, b| descending(a.up.unwrap_or(0.0), b.up.unwrap_or(0.0))),
        Some("restarts") => rows.sort_by_key(|row| std::cmp::Reverse(row.restarts)),
        Some("cpu") => rows.sort_by(|a, b| descending(a.cpu.unwrap_or(0.0), b.cpu.unwrap_or(0.0))),
        Some("mem") => rows.sort_by_key(|row| std::cmp::Reverse(row.rss)),
        Some(other) => {
            return Err(Failure::usage(format!(
                "--sort: expected app, job, state, up, restarts, cpu or mem, found {other:?}"
            )));
        }
    }
    Ok(())
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

impl Row {
    /// How a command is told it: a one-off by the number of its process, since an instance may have its own.
    fn name(&self) -> String {
        match self.number {
            Some(_) if self.once => self.pid.map(|pid| pid.to_string()).unwrap_or_default(),
            Some(number) => format!("{}.{}.{number}", self.app, self.job),
            None => format!("{}.{}", self.app, self.job),
        }
    }

    fn numbered(&self, number: u64) -> String {
        if self.once {
            format!("{number}*")
        } else {
            number.to_string()
        }
    }

    fn cells(&self, wide: bool) -> Vec<Cell> {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let number = |value: Option<u64>| or_none(value.map(|value| value.to_string()));
        let state = Cell { text: self.state.clone(), paint: Paint::of_state(&self.state) };
        let mut cells: Vec<Cell> = vec![
            self.app.clone().into(),
            self.job.clone().into(),
            or_none(self.number.map(|number| self.numbered(number))).into(),
            state,
            number(self.pid).into(),
        ];
        if wide {
            cells.push(number(self.os_pid).into());
        }
        cells.push(or_none(self.up.map(span)).into());
        cells.push(self.restarts.to_string().into());
        cells.push(or_none(self.cpu.map(|cpu| format!("{cpu:.1}"))).into());
        cells.push(or_none(self.rss.map(size)).into());
        cells.push(self.note.clone().into());
        cells
    }

    fn tsv(&self) -> String {
        let cells = self.cells(true);
        let plain = |cell: &Cell| cell.text.replace(['\t', '\n'], " ");
        cells.iter().map(plain).collect::<Vec<_>>().join("\t")
    }

    fn json(&self) -> Value {
        json!({
            "app": self.app, "job": self.job, "instance": self.number, "once": self.once, "state": self.state,
            "pid": self.pid, "os_pid": self.os_pid, "uptime": self.up, "restarts": self.restarts,
            "cpu": self.cpu, "rss": self.rss, "note": self.note,
        })
    }
}
