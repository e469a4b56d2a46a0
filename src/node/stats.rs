//! Statistics of processes: measured by the shell when somebody asks, told in the original's units
//! with plain numbers beside them. A group counts as one: what a process started and kept in its
//! group is its own cost.

use std::time::Instant;

use serde_json::{json, Value};

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
    pub fn process(&self, measured: &Measured) -> Value {
        let Some(usage) = measured.usage else {
            let none = "N/A";
            return json!({"mem_info1": none, "mem_info2": none, "cpu": none, "mem": none,
                "ctime": none});
        };
        let mut value = json!({
            "mem_info1": human(usage.rss),
            "mem_info2": human(usage.vms),
            "cpu": tenths(measured.cpu),
            "mem": tenths(self.memory_share(usage.rss)),
            "ctime": ctime(usage.cpu_time),
            "rss": usage.rss,
            "vms": usage.vms,
            "cpu_time": (usage.cpu_time * 100.0).round() / 100.0,
            "threads": usage.threads,
            "fds": usage.fds,
            "processes": usage.processes,
        });
        put_pss(&mut value, usage.pss);
        value
    }

    /// One process as the channel tells it: the members of an object, without its braces.
    pub fn members(&self, measured: &Measured) -> String {
        let mut value = self.process(measured);
        value["event"] = json!("stat");
        value["pid"] = json!(measured.pid.0);
        value["os_pid"] = json!(measured.os_pid.0);
        let text = json::text(&value);
        let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        inner.unwrap_or_default().to_owned()
    }

    /// A job as the API tells it: its processes, and sums and extremes over them.
    pub fn job(&self, name: &str, measured: &[Measured]) -> Value {
        let with_ids = |one: &Measured| {
            let mut value = self.process(one);
            value["pid"] = json!(one.pid.0);
            value["os_pid"] = json!(one.os_pid.0);
            value
        };
        let known: Vec<(Usage, f64)> =
            measured.iter().filter_map(|one| Some((one.usage?, one.cpu))).collect();
        let mem: Vec<f64> = known.iter().map(|(u, _)| tenths(self.memory_share(u.rss))).collect();
        let cpu: Vec<f64> = known.iter().map(|(_, cpu)| tenths(*cpu)).collect();
        let sum = |values: &[f64]| or_nothing(values.iter().copied().reduce(|a, b| a + b));
        let most = |values: &[f64]| or_nothing(values.iter().copied().reduce(f64::max));
        let least = |values: &[f64]| or_nothing(values.iter().copied().reduce(f64::min));
        // Not `sum`, which is -0.0 of nothing.
        let cpu_time = known.iter().fold(0.0, |sum, (usage, _)| sum + usage.cpu_time);
        let mut value = json!({
            "name": name,
            "stats": measured.iter().map(with_ids).collect::<Vec<_>>(),
            "mem": sum(&mem), "max_mem": most(&mem), "min_mem": least(&mem),
            "cpu": sum(&cpu), "max_cpu": most(&cpu), "min_cpu": least(&cpu),
            "rss": known.iter().map(|(usage, _)| usage.rss).sum::<u64>(),
            "vms": known.iter().map(|(usage, _)| usage.vms).sum::<u64>(),
            "cpu_time": (cpu_time * 100.0).round() / 100.0,
            "threads": known.iter().map(|(usage, _)| usage.threads).sum::<u64>(),
            "fds": known.iter().map(|(usage, _)| usage.fds).sum::<u64>(),
        });
        put_pss(&mut value, known.iter().fold(Pss::NotAsked, |sum, (usage, _)| sum.and(usage.pss)));
        value
    }
}

/// Who did not ask for it is told nothing of it.
fn put_pss(value: &mut Value, pss: Pss) {
    match pss {
        Pss::NotAsked => {}
        Pss::Refused => value["mem_pss"] = Value::Null,
        Pss::Bytes(bytes) => value["mem_pss"] = json!(bytes),
    }
}

fn or_nothing(value: Option<f64>) -> Value {
    value.map_or_else(|| json!("N/A"), |value| json!(tenths(value)))
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
            stats.job("a.b", &measured).get("mem_pss").cloned()
        };
        assert_eq!(told(&[Pss::NotAsked, Pss::NotAsked]), None);
        assert_eq!(told(&[Pss::Bytes(4096), Pss::Bytes(1)]), Some(json!(4097)));
        assert_eq!(told(&[Pss::Bytes(4096), Pss::Refused]), Some(Value::Null));
        assert_eq!(stats.process(&with(Pss::Bytes(7)))["mem_pss"], 7);
    }

    #[test]
    fn a_job_without_processes_has_no_numbers() {
        let value = Stats::new(1).job("a.b", &[]);
        assert_eq!(value["mem"], "N/A");
        assert_eq!(value["min_cpu"], "N/A");
        assert_eq!(value["stats"], json!([]));
        assert_eq!(value["cpu_time"].to_string(), "0.0");
    }
}
