//! `gaffer ps`: one line for each instance, with a note that says why, and what comes next.

use serde_json::{json, Map, Value};

use super::args::Invocation;
use super::connect;
use super::failure::Failure;
use super::names;
use super::terminal::{size, span, Cell, Paint, Terminal};
use super::times;
use crate::client::{Heard, Server};

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
    // Without a word, an application or a Procfile here, all of the node is shown.
    let everything = invocation.words.is_empty()
        && !invocation.has("app")
        && !names::procfile(invocation).exists();
    let jobs = if everything {
        server.jobs()?
    } else {
        names::jobs(server, invocation, &invocation.words)?
    };
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
    let rows: Vec<Row> = instances.iter().map(row).collect();
    if !rows.is_empty() {
        return rows;
    }
    vec![Row {
        app: app.to_owned(),
        job: job.to_owned(),
        number: None,
        state: info["state"].as_str().unwrap_or_default().to_owned(),
        pid: None,
        os_pid: None,
        up: None,
        restarts: info["restarts"].as_u64().unwrap_or(0),
        cpu: None,
        rss: None,
        note: info["reason"].as_str().unwrap_or_default().to_owned(),
        well: true,
    }]
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
    terminal.table(&lines, &right)
}

impl Row {
    fn name(&self) -> String {
        match self.number {
            Some(number) => format!("{}.{}.{number}", self.app, self.job),
            None => format!("{}.{}", self.app, self.job),
        }
    }

    fn cells(&self, wide: bool) -> Vec<Cell> {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let number = |value: Option<u64>| or_none(value.map(|value| value.to_string()));
        let state = Cell { text: self.state.clone(), paint: Paint::of_state(&self.state) };
        let mut cells: Vec<Cell> = vec![
            self.app.clone().into(),
            self.job.clone().into(),
            number(self.number).into(),
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
            "app": self.app, "job": self.job, "instance": self.number, "state": self.state,
            "pid": self.pid, "os_pid": self.os_pid, "uptime": self.up, "restarts": self.restarts,
            "cpu": self.cpu, "rss": self.rss, "note": self.note,
        })
    }
}
