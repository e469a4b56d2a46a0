//! What the node has said: jobs with their instances, what processes use and used, and what happened.
//! Kept only as far as it is shown.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::base::clock::Now;
use crate::base::limits;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::cli::events;
use crate::cli::names;
use crate::cli::rows::{self, Measured, Row};

/// Statistics that come within this time are of one measurement.
const TOGETHER: Duration = Duration::from_millis(500);

/// Which jobs are shown.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Whole names, with `*` and `?`; all jobs if there is none.
    pub patterns: Vec<String>,
}

/// What the node has said.
#[derive(Default)]
pub struct Facts {
    scope: Scope,
    jobs: SortedMap<String, Job>,
    /// Their names as the node lists them.
    order: Vec<String>,
    /// The processes that live, as far as is known.
    live: SortedSet<u64>,
    used: SortedMap<u64, Used>,
    totals: Totals,
    happened: VecDeque<(f64, String)>,
    /// The number of the last event.
    pub last_event: Option<u64>,
    asked: usize,
}

struct Job {
    info: Option<Told>,
    /// Something happened to it since it was asked about.
    stale: bool,
    asked: bool,
}

/// What the node told of a job, and when.
struct Told {
    info: Value,
    at: Now,
}

/// What a process uses, and used.
#[derive(Clone, Debug, Default)]
pub struct Used {
    /// At last.
    pub now: Measured,
    /// Per cent of one core.
    pub cpu: History,
    /// Bytes.
    pub rss: History,
}

/// Numbers measured one after the other, the last ones.
#[derive(Clone, Debug, Default)]
pub struct History {
    values: VecDeque<f64>,
}

/// What all processes use together, and used.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Per cent of one core.
    pub cpu: History,
    /// Bytes.
    pub rss: History,
    /// When the present measurement began to come in.
    since: Option<std::time::Instant>,
}

/// A row, and what is told with it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The node on which it is, by its number.
    pub node: usize,
    /// What is shown.
    pub row: Row,
    /// The whole name of its job.
    pub name: String,
    /// How many instances the job is to have.
    pub wanted: u64,
}

impl History {
    fn push(&mut self, value: f64) {
        self.values.push_back(value);
        if self.values.len() > limits::TOP_SAMPLES {
            self.values.pop_front();
        }
    }

    /// The last so many, oldest first.
    pub fn last(&self, count: usize) -> impl Iterator<Item = f64> + Clone + '_ {
        self.values.iter().copied().skip(self.values.len().saturating_sub(count))
    }
}

impl Facts {
    /// Nothing yet, of these jobs.
    pub fn new(scope: Scope) -> Self {
        Self { scope, ..Self::default() }
    }

    /// The names of all jobs came.
    pub fn jobs(&mut self, names: Vec<String>) {
        let fits = |name: &String| {
            let patterns = &self.scope.patterns;
            patterns.is_empty() || patterns.iter().any(|pattern| names::matches(pattern, name))
        };
        self.order = names.into_iter().filter(fits).collect();
        let listed: SortedSet<&String> = self.order.iter().collect();
        let gone: Vec<String> =
            self.jobs.keys().filter(|name| !listed.contains(name)).cloned().collect();
        gone.iter().for_each(|name| self.forget(name));
        for name in &self.order {
            let job = self.jobs.entry(name.clone());
            job.or_insert(Job { info: None, stale: true, asked: false }).stale = true;
        }
    }

    /// What the node tells of a job came; none if it knows no such job.
    pub fn info(&mut self, name: &str, info: Option<Value>, now: Now) {
        self.asked = self.asked.saturating_sub(1);
        let Some(info) = info else {
            self.forget(name);
            return self.order.retain(|known| known != name);
        };
        let Some(job) = self.jobs.get_mut(name) else { return };
        job.asked = false;
        self.live.extend(pids(&info));
        let before = job.info.replace(Told { info, at: now });
        let told = job.info.iter();
        let still: Vec<u64> = told.flat_map(|told| pids(&told.info)).collect();
        for pid in before.iter().flat_map(|told| pids(&told.info)) {
            if !still.contains(&pid) {
                self.live.remove(&pid);
            }
        }
    }

    fn forget(&mut self, name: &str) {
        let job = self.jobs.remove(name).and_then(|job| job.info);
        for pid in job.iter().flat_map(|told| pids(&told.info)) {
            self.live.remove(&pid);
        }
    }

    /// Something happened; whether it says that anything is different now.
    pub fn event(&mut self, data: &Map<String, Value>) -> bool {
        self.last_event = data.get("seq").and_then(Value::as_u64).or(self.last_event);
        if events::is_again(data) {
            return false;
        }
        let at = data.get("ts").and_then(Value::as_f64).unwrap_or_default();
        self.happened.push_back((at, events::told(data)));
        if self.happened.len() > limits::TOP_EVENTS {
            self.happened.pop_front();
        }
        let name = data.get("name").and_then(Value::as_str).unwrap_or_default();
        self.touch(name);
        true
    }

    /// The job is to be asked about again; one that is not known yet is added.
    pub fn touch(&mut self, name: &str) {
        if let Some(job) = self.jobs.get_mut(name) {
            job.stale = true;
            return;
        }
        let patterns = &self.scope.patterns;
        if patterns.is_empty() || patterns.iter().any(|pattern| names::matches(pattern, name)) {
            self.order.push(name.to_owned());
            self.jobs.insert(name.to_owned(), Job { info: None, stale: true, asked: false });
        }
    }

    /// Jobs on their way somewhere are asked about again: not every step of it is an event.
    pub fn touch_moving(&mut self) {
        let settled = ["running", "stopped", "exited", "failed"];
        for job in self.jobs.values_mut() {
            let Some(told) = &job.info else { continue };
            let mut states = instances(&told.info).filter_map(|one| one["state"].as_str());
            job.stale |= states.any(|state| !settled.contains(&state));
        }
    }

    /// The next job to ask about, unless enough are asked about already.
    pub fn take_stale(&mut self) -> Option<String> {
        if self.asked >= limits::TOP_ASKED {
            return None;
        }
        let is_due =
            |name: &&String| self.jobs.get(*name).is_some_and(|job| job.stale && !job.asked);
        let name = self.order.iter().find(is_due)?.clone();
        let job = self.jobs.get_mut(&name)?;
        (job.stale, job.asked) = (false, true);
        self.asked += 1;
        Some(name)
    }

    /// What a process uses came.
    pub fn stat(&mut self, data: &Map<String, Value>, now: Now) {
        let Some(pid) = data.get("pid").and_then(Value::as_u64) else { return };
        let number = |key: &str| data.get(key).and_then(Value::as_f64);
        let measured =
            Measured { cpu: number("cpu"), rss: data.get("rss").and_then(Value::as_u64) };
        let begun = self.totals.since;
        if begun.is_none_or(|at| now.mono.saturating_duration_since(at) >= TOGETHER) {
            self.sum_up(begun.is_some());
            self.totals.since = Some(now.mono);
        }
        // One of a job that is not shown, or that has just begun.
        if !self.live.contains(&pid) {
            return;
        }
        let used = self.used.entry(pid).or_default();
        used.now = measured;
        used.cpu.push(measured.cpu.unwrap_or(0.0));
        used.rss.push(number("rss").unwrap_or(0.0));
    }

    /// A measurement is whole.
    fn sum_up(&mut self, any: bool) {
        self.used.retain(|pid, _| self.live.contains(pid));
        if any {
            let (cpu, rss) = self.sums();
            self.totals.cpu.push(cpu);
            self.totals.rss.push(rss);
        }
    }

    /// What all processes use: per cent of one core, and bytes.
    pub fn sums(&self) -> (f64, f64) {
        let sum = |of: fn(&History) -> f64, history: fn(&Used) -> &History| {
            // Not `sum`, which is -0.0 of nothing.
            self.used.values().map(history).map(of).fold(0.0, |sum, value| sum + value)
        };
        let last = |history: &History| history.last(1).next().unwrap_or(0.0);
        (sum(last, |used| &used.cpu), sum(last, |used| &used.rss))
    }

    /// What all processes used.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Whether statistics are due.
    pub fn has_processes(&self) -> bool {
        !self.live.is_empty()
    }

    /// What happened, oldest first, each with its time.
    pub fn happened(&self) -> impl DoubleEndedIterator<Item = (f64, &str)> + ExactSizeIterator {
        self.happened.iter().map(|(at, text)| (*at, text.as_str()))
    }

    /// How many jobs there are.
    pub fn count(&self) -> usize {
        self.jobs.len()
    }

    /// What the node told of a job.
    pub fn info_of(&self, name: &str) -> Option<&Value> {
        self.jobs.get(name)?.info.as_ref().map(|told| &told.info)
    }

    /// All that is shown, in the node's order.
    pub fn rows(&self, now: Now) -> Vec<Shown> {
        let mut shown = Vec::new();
        for name in &self.order {
            let Some(told) = self.jobs.get(name).and_then(|job| job.info.as_ref()) else {
                continue;
            };
            let info = &told.info;
            let measured = |pid: u64| self.used.get(&pid).map(|used| used.now).unwrap_or_default();
            let since = now.mono.saturating_duration_since(told.at.mono).as_secs_f64();
            let rows = rows::of_job(name, info, measured, now.epoch_seconds());
            for mut row in rows {
                row.up = row.up.map(|up| up + since);
                let wanted = info["max_processes"].as_u64().unwrap_or(0);
                shown.push(Shown { node: 0, name: name.clone(), wanted, row });
            }
        }
        shown
    }

    /// What a process used.
    pub fn used(&self, pid: u64) -> Option<&Used> {
        self.used.get(&pid)
    }

    /// The connection is lost: what it says of now is not known any more.
    pub fn lose(&mut self) {
        self.used.clear();
        self.totals.since = None;
        self.asked = 0;
        for job in self.jobs.values_mut() {
            (job.stale, job.asked) = (true, false);
        }
    }
}

fn pids(info: &Value) -> impl Iterator<Item = u64> + '_ {
    instances(info).filter_map(|one| one["pid"].as_u64())
}

fn instances(info: &Value) -> impl Iterator<Item = &Value> {
    info["instances"].as_array().into_iter().flatten()
}
