//! What all instances use, as one message for whoever follows that: each measured instance in a row, and the
//! sums. A row is written once, whoever reads it.

use serde_json::{json, Value};

use super::stats::{tenths, Measured};
use crate::base::ids::Pid;
use crate::supervisor::name::JobName;
use crate::wire::{channel, json};

/// What was measured at one time.
#[derive(Default)]
pub struct UsageTable {
    rows: Vec<Row>,
}

struct Row {
    job: JobName,
    text: String,
    used: Used,
}

/// What a row adds to the sums.
#[derive(Clone, Copy, Default)]
struct Used {
    cpu: f64,
    memory: u64,
    threads: u64,
    fds: u64,
    processes: u64,
}

/// An instance, as a row names it.
pub struct Named<'a> {
    /// Its job.
    pub job: &'a JobName,
    /// Its number there.
    pub number: u32,
    /// Whether it is a one-off.
    pub once: bool,
    /// Its process.
    pub pid: Pid,
}

impl UsageTable {
    /// Adds what an instance uses. One that could not be measured has no row.
    pub fn add(&mut self, named: &Named<'_>, measured: &Measured) {
        let Some(usage) = measured.usage else { return };
        let mut row = json!({
            "job": named.job.to_string(),
            "instance": named.number,
            "pid": named.pid.0,
            "os_pid": measured.os_pid.0,
            "cpu": tenths(measured.cpu),
            "mem": usage.rss,
            "threads": usage.threads,
            "fds": usage.fds,
            "processes": usage.processes,
        });
        if named.once {
            row["once"] = Value::Bool(true);
        }
        let (cpu, memory) = (measured.cpu, usage.rss);
        let (threads, fds, processes) = (usage.threads, usage.fds, usage.processes);
        let used = Used { cpu, memory, threads, fds, processes };
        self.rows.push(Row { job: named.job.clone(), text: json::text(&row), used });
    }

    /// The message for somebody who may read these jobs: the members of its data. `memory` is that of the
    /// machine.
    pub fn members(&self, may: impl Fn(&JobName) -> bool, (ts, memory): (f64, u64)) -> String {
        let mut sum = Used::default();
        let mut rows: Vec<&str> = Vec::with_capacity(self.rows.len());
        // Jobs come one after the other, so that each is asked about once.
        let mut last: Option<(&JobName, bool)> = None;
        for row in &self.rows {
            let known = last.filter(|(job, _)| **job == row.job).map(|(_, may)| may);
            let permitted = known.unwrap_or_else(|| may(&row.job));
            last = Some((&row.job, permitted));
            if permitted {
                rows.push(&row.text);
                sum.add(&row.used);
            }
        }
        let head = json!({
            "event": "usage",
            "ts": ts,
            "total": {
                "instances": rows.len(),
                "processes": sum.processes,
                "cpu": tenths(sum.cpu),
                "mem": sum.memory,
                "mem_total": memory,
                "threads": sum.threads,
                "fds": sum.fds,
            },
        });
        let head = channel::members(&head);
        format!("{head}, \"instances\": [{}]", rows.join(", "))
    }
}

impl Used {
    fn add(&mut self, other: &Self) {
        self.cpu += other.cpu;
        self.memory += other.memory;
        self.threads += other.threads;
        self.fds += other.fds;
        self.processes += other.processes;
    }
}
