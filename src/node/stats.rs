//! Statistics of processes: measured by the shell when somebody asks, told in the original's units
//! with plain numbers beside them. A group counts as one: what a process started and kept in its
//! group is its own cost.

use std::time::Instant;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::machine::{Pss, Usage};
use crate::base::ids::{InstanceId, OsPid, Pid};
use crate::base::sorted::SortedMap;
use crate::wire::json;

/// What the last measurement of each process was, for the share of the CPU since then.
pub struct Stats {
    last: SortedMap<InstanceId, Sample>,
    /// Physical memory in bytes, for the share of it.
    memory: u64,
}

#[derive(Clone, Copy)]
struct Sample {
    pid: Pid,
    at: Instant,
    cpu_time: f64,
    cpu: f64,
}

/// A measured process.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Its number.
    pub pid: Pid,
    /// The kernel's.
    pub os_pid: OsPid,
    /// What its group uses; `None` if it cannot be read (any more).
    pub usage: Option<Usage>,
    /// Per cent of one core since the measurement before, or since its start.
    pub cpu: f64,
}

/// Two measurements closer than this have the same share of the CPU: the kernel counts in ticks of
/// 10 ms, and a share of two or three ticks is noise.
const SHORTEST: f64 = 0.09;

impl Stats {
    /// Without measurements, on a machine with so much memory.
    pub fn new(memory: u64) -> Self {
        Self { last: SortedMap::new(), memory }
    }

    /// The share of the CPU of a process whose group used `cpu_time` seconds by now, and which
    /// started at `started`.
    pub fn cpu(
        &mut self,
        id: InstanceId,
        pid: Pid,
        usage: Usage,
        (now, started): (Instant, Instant),
    ) -> f64 {
        let before = self.last.get(&id).filter(|sample| sample.pid == pid).copied();
        let since = before.map_or(started, |sample| sample.at);
        let seconds = now.saturating_duration_since(since).as_secs_f64();
        if let Some(sample) = before.filter(|_| seconds < SHORTEST) {
            return sample.cpu;
        }
        let used = usage.cpu_time - before.map_or(0.0, |sample| sample.cpu_time);
        // A member of the group that ended takes its time with it.
        let cpu = (used.max(0.0) / seconds.max(SHORTEST) * 100.0).max(0.0);
        self.last.insert(id, Sample { pid, at: now, cpu_time: usage.cpu_time, cpu });
        cpu
    }

    /// The instance has no process any more.
    pub fn forget(&mut self, id: InstanceId) {
        self.last.remove(&id);
    }

    /// Physical memory of the machine in bytes.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    fn memory_share(&self, rss: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a per cent with one decimal")]
        let share = rss as f64 / self.memory.max(1) as f64 * 100.0;
        share
    }

    /// One process as the API tells it.
    pub fn process(&self, measured: &Measured) -> ProcessStats {
        let usage = measured.usage;
        let mem = usage.map_or(0.0, |usage| self.memory_share(usage.rss));
        ProcessStats { measured: *measured, mem, numbered: false, event: None, ts: None }
    }

    /// One process as the channel tells it: the members of an object, without its braces.
    pub fn members(&self, measured: &Measured) -> String {
        let stat = ProcessStats { numbered: true, event: Some("stat"), ..self.process(measured) };
        let text = json::text(&stat);
        let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        inner.unwrap_or_default().to_owned()
    }

    /// A job as the API tells it: its processes, and sums and extremes over them.
    pub fn job(&self, name: &str, measured: &[Measured]) -> JobStats {
        let known: Vec<(Usage, f64)> =
            measured.iter().filter_map(|one| Some((one.usage?, one.cpu))).collect();
        let mem: Vec<f64> = known.iter().map(|(u, _)| tenths(self.memory_share(u.rss))).collect();
        let cpu: Vec<f64> = known.iter().map(|(_, cpu)| tenths(*cpu)).collect();
        let over = |values: &[f64], join: fn(f64, f64) -> f64| {
            Figure(values.iter().copied().reduce(join).map(tenths))
        };
        let sum = |of: fn(&Usage) -> u64| known.iter().map(|(usage, _)| of(usage)).sum();
        // Not `sum`, which is -0.0 of nothing.
        let cpu_time = known.iter().fold(0.0, |sum, (usage, _)| sum + usage.cpu_time);
        let numbered = |one| ProcessStats { numbered: true, ..self.process(one) };
        JobStats {
            cpu: over(&cpu, |a, b| a + b),
            cpu_time: hundredths(cpu_time),
            fds: sum(|usage| usage.fds),
            max_cpu: over(&cpu, f64::max),
            max_mem: over(&mem, f64::max),
            mem: over(&mem, |a, b| a + b),
            mem_pss: told(known.iter().fold(Pss::NotAsked, |sum, (usage, _)| sum.and(usage.pss))),
            min_cpu: over(&cpu, f64::min),
            min_mem: over(&mem, f64::min),
            name: name.to_owned(),
            rss: sum(|usage| usage.rss),
            stats: measured.iter().map(numbered).collect(),
            threads: sum(|usage| usage.threads),
            ts: None,
            vms: sum(|usage| usage.vms),
        }
    }
}

/// What is told of a measurement. It is written as it is, without a tree of values in between: there may be ten
/// thousand processes, and everybody waits for the turn to end. Members are in the order of their names, as elsewhere.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Told {
    /// Of a job.
    Job(Box<JobStats>),
    /// Of a process, as the answer to a request.
    Process {
        /// What it is.
        stats: ProcessStats,
    },
    /// Of a process, in a feed.
    One(ProcessStats),
    /// Of all jobs.
    All {
        /// What they are.
        jobs: Vec<JobStats>,
        /// When it was measured, in a feed.
        #[serde(skip_serializing_if = "Option::is_none")]
        ts: Option<f64>,
    },
}

/// A job as the API tells it.
#[derive(Debug, Serialize)]
pub struct JobStats {
    cpu: Figure,
    cpu_time: f64,
    fds: u64,
    max_cpu: Figure,
    max_mem: Figure,
    mem: Figure,
    #[serde(skip_serializing_if = "Option::is_none")]
    mem_pss: Option<Option<u64>>,
    min_cpu: Figure,
    min_mem: Figure,
    name: String,
    rss: u64,
    stats: Vec<ProcessStats>,
    threads: u64,
    /// When it was measured, in a feed: seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ts: Option<f64>,
    vms: u64,
}

/// A process as the API tells it.
#[derive(Debug)]
pub struct ProcessStats {
    measured: Measured,
    /// Its share of the memory, in per cent.
    mem: f64,
    /// Whether its numbers are told.
    numbered: bool,
    event: Option<&'static str>,
    /// When it was measured, in a feed: seconds since 1970.
    pub ts: Option<f64>,
}

impl Serialize for ProcessStats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Measured { pid, os_pid, usage, cpu } = self.measured;
        let figure = |value| Figure(usage.is_some().then_some(tenths(value)));
        let words = |text: fn(&Usage) -> String| usage.as_ref().map_or("N/A".to_owned(), text);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("cpu", &figure(cpu))?;
        if let Some(usage) = &usage {
            map.serialize_entry("cpu_time", &hundredths(usage.cpu_time))?;
        }
        map.serialize_entry("ctime", &words(|usage| ctime(usage.cpu_time)))?;
        if let Some(event) = self.event {
            map.serialize_entry("event", event)?;
        }
        if let Some(usage) = &usage {
            map.serialize_entry("fds", &usage.fds)?;
        }
        map.serialize_entry("mem", &figure(self.mem))?;
        map.serialize_entry("mem_info1", &words(|usage| human(usage.rss)))?;
        map.serialize_entry("mem_info2", &words(|usage| human(usage.vms)))?;
        if let Some(pss) = usage.and_then(|usage| told(usage.pss)) {
            map.serialize_entry("mem_pss", &pss)?;
        }
        if self.numbered {
            map.serialize_entry("os_pid", &os_pid.0)?;
            map.serialize_entry("pid", &pid.0)?;
        }
        if let Some(usage) = &usage {
            map.serialize_entry("processes", &usage.processes)?;
            map.serialize_entry("rss", &usage.rss)?;
            map.serialize_entry("threads", &usage.threads)?;
        }
        if let Some(ts) = self.ts {
            map.serialize_entry("ts", &ts)?;
        }
        if let Some(usage) = &usage {
            map.serialize_entry("vms", &usage.vms)?;
        }
        map.end()
    }
}

/// A number, or that there is none.
#[derive(Clone, Copy, Debug)]
struct Figure(Option<f64>);

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(number) => serializer.serialize_f64(number),
            None => serializer.serialize_str("N/A"),
        }
    }
}

/// Who did not ask for it is told nothing of it.
fn told(pss: Pss) -> Option<Option<u64>> {
    match pss {
        Pss::NotAsked => None,
        Pss::Refused => Some(None),
        Pss::Bytes(bytes) => Some(Some(bytes)),
    }
}

/// With two decimals.
fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// With one decimal.
pub(super) fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Bytes in the largest binary unit that gives at least 1, cut to a whole number: `299M`.
fn human(bytes: u64) -> String {
    let (mut value, mut units) = (bytes, "BKMGTPE".chars());
    let mut unit = units.next().unwrap_or('B');
    while value >= 1024 {
        let Some(next) = units.next() else { break };
        value /= 1024;
        unit = next;
    }
    format!("{value}{unit}")
}

/// CPU seconds as `M:SS.cc`; minutes go on counting after the first hour.
fn ctime(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let hundredths = (seconds * 100.0).round() as u64;
    let (minutes, rest) = (hundredths / 6000, hundredths % 6000);
    format!("{minutes}:{:02}.{:02}", rest / 100, rest % 100)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;
    use crate::base::arena::Key;
    use serde_json::{json, Value};
    use std::time::Duration;

    #[test]
    fn units_are_the_originals_without_its_slips() {
        for (bytes, text) in
            [(0, "0B"), (512, "512B"), (1024, "1K"), (2_097_151, "1M"), (313_999_999, "299M")]
        {
            assert_eq!(human(bytes), text);
        }
        for (seconds, text) in
            [(0.0, "0:00.00"), (1.08, "0:01.08"), (61.5, "1:01.50"), (3661.0, "61:01.00")]
        {
            assert_eq!(ctime(seconds), text);
        }
    }

    #[test]
    fn the_share_of_the_cpu_is_since_the_measurement_before() {
        let id = InstanceId(Key { index: 0, generation: 0 });
        let start = Instant::now();
        let mut stats = Stats::new(1 << 30);
        let mut cpu = |cpu_time, after: u64| {
            let usage = Usage { cpu_time, ..Usage::default() };
            let now = start + Duration::from_millis(after);
            tenths(stats.cpu(id, Pid(1), usage, (now, start)))
        };
        assert_eq!(cpu(1.0, 2000), 50.0, "since its start");
        assert_eq!(cpu(2.0, 3000), 100.0);
        assert_eq!(cpu(2.0, 3010), 100.0, "too soon to tell anything new");
        assert_eq!(cpu(2.5, 4000), 50.0);
        assert_eq!(cpu(0.5, 5000), 0.0, "a member of the group has gone");
    }

    #[test]
    fn the_proportional_share_is_told_where_it_was_asked_for() {
        let stats = Stats::new(1);
        let with = |pss| {
            let usage = Some(Usage { pss, ..Usage::default() });
            Measured { pid: Pid(1), os_pid: OsPid(1), usage, cpu: 0.0 }
        };
        let told = |all: &[Pss]| {
            let measured: Vec<Measured> = all.iter().copied().map(with).collect();
            json!(stats.job("a.b", &measured)).get("mem_pss").cloned()
        };
        assert_eq!(told(&[Pss::NotAsked, Pss::NotAsked]), None);
        assert_eq!(told(&[Pss::Bytes(4096), Pss::Bytes(1)]), Some(json!(4097)));
        assert_eq!(told(&[Pss::Bytes(4096), Pss::Refused]), Some(Value::Null));
        assert_eq!(json!(stats.process(&with(Pss::Bytes(7))))["mem_pss"], 7);
    }

    #[test]
    fn a_job_without_processes_has_no_numbers() {
        let value = json!(Stats::new(1).job("a.b", &[]));
        assert_eq!(value["mem"], "N/A");
        assert_eq!(value["min_cpu"], "N/A");
        assert_eq!(value["stats"], json!([]));
        assert_eq!(value["cpu_time"].to_string(), "0.0");
    }
}
