//! The instances of jobs as rows, for `ps` and `top`: what the node tells of each, with a note that says
//! why it is so, and what comes next.

use std::cmp::Ordering;

use serde_json::{json, Value};

use super::args::Invocation;
use super::failure::Failure;
use super::terminal::{size, span, Cell, Paint};

/// One instance as it is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// What its node is called, where there may be several.
    pub node: Option<String>,
    /// The application.
    pub app: String,
    /// The job's own name.
    pub job: String,
    /// Its place there; none if the job has no instance.
    pub number: Option<u64>,
    /// A word.
    pub state: String,
    /// Gaffer's number of its process.
    pub pid: Option<u64>,
    /// The kernel's.
    pub os_pid: Option<u64>,
    /// Seconds that its process runs.
    pub up: Option<f64>,
    /// How often it was started again.
    pub restarts: u64,
    /// What it uses.
    pub measured: Measured,
    /// Why it is so, and what comes next.
    pub note: String,
    /// Whether it is a process more, which is not kept.
    pub once: bool,
    /// Whether it is as the operator wants it.
    pub well: bool,
}

/// What a process uses, as far as it was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// Per cent of one core.
    pub cpu: Option<f64>,
    /// Bytes of memory.
    pub rss: Option<u64>,
}

impl Measured {
    /// What a node tells of a process.
    pub fn of(stats: &Value) -> Self {
        Self { cpu: stats["cpu"].as_f64(), rss: stats["rss"].as_u64() }
    }
}

/// What rows are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The application.
    App,
    /// The job's own name.
    Job,
    /// The word of the state.
    State,
    /// Longest first.
    Up,
    /// Most first.
    Restarts,
    /// Most first.
    Cpu,
    /// Most first.
    Mem,
}

impl Column {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::App, Self::Job, Self::State, Self::Up, Self::Restarts, Self::Cpu, Self::Mem];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Job => "job",
            Self::State => "state",
            Self::Up => "up",
            Self::Restarts => "restarts",
            Self::Cpu => "cpu",
            Self::Mem => "mem",
        }
    }

    /// What `--sort` says.
    ///
    /// # Errors
    /// It names no column.
    pub fn of_flag(invocation: &Invocation) -> Result<Option<Self>, Failure> {
        let Some(said) = invocation.value("sort") else { return Ok(None) };
        let found = Self::ALL.into_iter().find(|column| column.name() == said);
        found.map(Some).ok_or_else(|| {
            Failure::usage(format!(
                "--sort: expected app, job, state, up, restarts, cpu or mem, found {said:?}"
            ))
        })
    }
}

/// The rows of a job of which the node tells `info`; one without an instance has one all the same.
/// `now` is in seconds since 1970.
pub fn of_job(name: &str, info: &Value, measured: impl Fn(u64) -> Measured, now: f64) -> Vec<Row> {
    let (app, job) = name.split_once('.').unwrap_or(("default", name));
    let desired = info["desired"].as_str().unwrap_or_default();
    let instances = info["instances"].as_array().into_iter().flatten();
    let row = |instance: &Value| {
        let state = instance["state"].as_str().unwrap_or_default().to_owned();
        let pid = instance["pid"].as_u64();
        Row {
            node: None,
            app: app.to_owned(),
            job: job.to_owned(),
            number: instance["instance"].as_u64(),
            well: desired != "up" || matches!(&*state, "running" | "starting" | "exited"),
            pid,
            os_pid: instance["os_pid"].as_u64(),
            up: instance["uptime"].as_f64(),
            restarts: instance["restarts"].as_u64().unwrap_or(0),
            measured: pid.map(&measured).unwrap_or_default(),
            note: note(instance, now),
            once: instance["once"] == json!(true),
            state,
        }
    };
    let mut rows: Vec<Row> = instances.map(row).collect();
    if rows.iter().all(|row| row.once) {
        // The job is there without an instance of its own, or with one-offs alone.
        rows.insert(0, without_instance(app, job, info));
    }
    rows
}

/// The row of a job that has no kept instance.
fn without_instance(app: &str, job: &str, info: &Value) -> Row {
    Row {
        node: None,
        app: app.to_owned(),
        job: job.to_owned(),
        number: None,
        state: info["state"].as_str().unwrap_or_default().to_owned(),
        pid: None,
        os_pid: None,
        up: None,
        restarts: info["restarts"].as_u64().unwrap_or(0),
        measured: Measured::default(),
        note: info["reason"].as_str().unwrap_or_default().to_owned(),
        once: false,
        well: true,
    }
}

/// Why an instance is as it is, and when it is tried again; `now` is in seconds since 1970.
pub fn note(instance: &Value, now: f64) -> String {
    let reason = instance["reason"].as_str().unwrap_or_default();
    let left = instance["retry_at"].as_f64().map(|at| (at - now).max(0.0));
    let once = instance["once"] == json!(true);
    let mut parts: Vec<String> = Vec::new();
    if once {
        parts.push("one-off".into());
    }
    // First, for what is long is cut at its end.
    if let Some(left) = left {
        parts.push(format!("again in {}", span(left)));
    }
    if !reason.is_empty() {
        parts.push(reason.to_owned());
    }
    parts.join("; ")
}

/// Sorts what has a row; those that are alike stay in their order.
pub fn sort<T>(rows: &mut [T], by: Option<Column>, of: impl Fn(&T) -> &Row) {
    let most_first = |a: Option<f64>, b: Option<f64>| b.unwrap_or(0.0).total_cmp(&a.unwrap_or(0.0));
    let compare = |a: &Row, b: &Row| match by {
        None => Ordering::Equal,
        Some(Column::App) => a.app.cmp(&b.app),
        Some(Column::Job) => a.job.cmp(&b.job),
        Some(Column::State) => a.state.cmp(&b.state),
        Some(Column::Up) => most_first(a.up, b.up),
        Some(Column::Restarts) => b.restarts.cmp(&a.restarts),
        Some(Column::Cpu) => most_first(a.measured.cpu, b.measured.cpu),
        Some(Column::Mem) => b.measured.rss.cmp(&a.measured.rss),
    };
    rows.sort_by(|a, b| compare(of(a), of(b)));
}

impl Row {
    /// How a command is told it: a one-off by the number of its process, since an instance may have its own.
    pub fn target(&self) -> String {
        match self.pid {
            Some(pid) if self.once => pid.to_string(),
            Some(_) | None => self.name(),
        }
    }

    /// Its whole name.
    pub fn name(&self) -> String {
        match self.number {
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

    /// It as cells of a table.
    pub fn cells(&self, wide: bool) -> Vec<Cell> {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let number = |value: Option<u64>| or_none(value.map(|value| value.to_string()));
        let state = Cell { text: self.state.clone(), paint: Paint::of_state(&self.state) };
        let mut cells: Vec<Cell> = self.node.iter().map(|node| node.clone().into()).collect();
        cells.extend::<[Cell; 5]>([
            self.app.clone().into(),
            self.job.clone().into(),
            or_none(self.number.map(|number| self.numbered(number))).into(),
            state,
            number(self.pid).into(),
        ]);
        if wide {
            cells.push(number(self.os_pid).into());
        }
        cells.push(or_none(self.up.map(span)).into());
        cells.push(self.restarts.to_string().into());
        cells.push(or_none(self.measured.cpu.map(|cpu| format!("{cpu:.1}"))).into());
        cells.push(or_none(self.measured.rss.map(size)).into());
        cells.push(self.note.clone().into());
        cells
    }

    /// It with tabs between its columns.
    pub fn tsv(&self) -> String {
        let cells = self.cells(true);
        let plain = |cell: &Cell| cell.text.replace(['\t', '\n'], " ");
        cells.iter().map(plain).collect::<Vec<_>>().join("\t")
    }

    /// It for programs.
    pub fn json(&self) -> Value {
        let mut value = json!({
            "app": self.app, "job": self.job, "instance": self.number, "once": self.once,
            "state": self.state, "pid": self.pid, "os_pid": self.os_pid, "uptime": self.up, "restarts": self.restarts,
            "cpu": self.measured.cpu, "rss": self.measured.rss, "note": self.note,
        });
        if let (Some(node), Some(members)) = (&self.node, value.as_object_mut()) {
            members.insert("node".into(), json!(node));
        }
        value
    }
}
