//! Deaths as they are written down for the next daemon: the last of each place of a job, and of all places
//! together only as many as are worth it. Which of them make room is decided here; the file is `state`'s.

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::Value;

use super::journal::compact;
use super::state::time_from_value;
use crate::base::clock::epoch_seconds;
use crate::base::error::{Errno, Stage};
use crate::base::ids::{OsPid, Pid};
use crate::base::limits;
use crate::base::process::{ExitStatus, Signal};
use crate::base::sorted::SortedMap;
use crate::supervisor::death::{usage_from_value, Cause, Death, Evidence, UsageView};
use crate::supervisor::instance::Why;
use crate::supervisor::name::JobName;

/// Where somebody died: in a place of a job, among its kept instances or its one-offs.
type Place = (JobName, bool, u32);

/// Which deaths are on record, by their numbers, which only grow.
#[derive(Default)]
pub struct Graves {
    all: SortedMap<u64, (Place, usize)>,
    places: SortedMap<Place, VecDeque<u64>>,
    /// What all of them take.
    bytes: usize,
    last: u64,
}

impl Graves {
    /// Adds a death that takes so many bytes. Gives its number, and those of deaths that make room.
    pub fn add(&mut self, (job, death): (&JobName, &Death), bytes: usize) -> (u64, Vec<u64>) {
        self.last += 1;
        (self.last, self.put(self.last, (job, death), bytes))
    }

    /// The same with a number that it has already.
    pub fn put(&mut self, number: u64, (job, death): (&JobName, &Death), bytes: usize) -> Vec<u64> {
        self.last = self.last.max(number);
        let place = (job.clone(), death.once, death.number);
        self.bytes += bytes;
        self.all.insert(number, (place.clone(), bytes));
        let here = self.places.entry(place).or_default();
        here.push_back(number);
        let mut over = Vec::new();
        if here.len() > limits::DEATHS {
            over.extend(here.front().copied());
        }
        over.iter().for_each(|number| self.remove(*number));
        while self.all.len() > limits::DEATHS_STORED || self.bytes > limits::DEATHS_STORED_BYTES {
            let Some(oldest) = self.all.first_key_value().map(|(number, _)| *number) else { break };
            self.remove(oldest);
            over.push(oldest);
        }
        over
    }

    /// Forgets all of a job; gives their numbers.
    pub fn forget(&mut self, job: &JobName) -> Vec<u64> {
        let places = (job.clone(), false, 0)..=(job.clone(), true, u32::MAX);
        let numbers: Vec<u64> =
            self.places.range(places).flat_map(|(_, numbers)| numbers.iter().copied()).collect();
        numbers.iter().for_each(|number| self.remove(*number));
        numbers
    }

    fn remove(&mut self, number: u64) {
        let Some((place, bytes)) = self.all.remove(&number) else { return };
        self.bytes -= bytes;
        if let Some(here) = self.places.get_mut(&place) {
            here.retain(|one| *one != number);
            if here.is_empty() {
                self.places.remove(&place);
            }
        }
    }
}

/// A death in the journal. What is not so, or not known, is left out.
#[derive(Default, Serialize)]
struct Written<'a> {
    job: String,
    instance: u32,
    #[serde(skip_serializing_if = "is_default")]
    once: bool,
    pid: u64,
    #[serde(skip_serializing_if = "is_default")]
    os_pid: Option<i32>,
    started_at: f64,
    ended_at: f64,
    ran_ms: u64,
    why: &'static str,
    #[serde(skip_serializing_if = "is_default")]
    success: bool,
    #[serde(skip_serializing_if = "is_default")]
    outlived: bool,
    #[serde(skip_serializing_if = "is_default")]
    out_of_memory: bool,
    #[serde(skip_serializing_if = "is_default")]
    sent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rusage: Option<UsageView>,
    #[serde(skip_serializing_if = "is_default")]
    code: Option<i32>,
    #[serde(skip_serializing_if = "is_default")]
    signal: Option<i32>,
    #[serde(skip_serializing_if = "is_default")]
    core: bool,
    #[serde(skip_serializing_if = "is_default")]
    stage: Option<&'static str>,
    #[serde(skip_serializing_if = "is_default")]
    errno: Option<i32>,
    #[serde(skip_serializing_if = "is_default")]
    of: Option<&'a str>,
    #[serde(skip_serializing_if = "is_default")]
    order: Option<&'a str>,
    last_lines: &'a [String],
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A death's value in the journal, as its text.
pub fn death_text(job: &JobName, death: &Death) -> String {
    let mut written = Written {
        job: job.to_string(),
        instance: death.number,
        once: death.once,
        pid: death.pid.0,
        os_pid: death.os_pid.map(|os_pid| os_pid.0),
        started_at: epoch_seconds(death.started_at),
        ended_at: epoch_seconds(death.ended_at),
        ran_ms: u64::try_from(death.ran.as_millis()).unwrap_or(u64::MAX),
        why: death.why.word(),
        success: death.success,
        outlived: death.outlived,
        out_of_memory: death.evidence.out_of_memory,
        sent: death.evidence.sent,
        rusage: death.evidence.usage.as_ref().map(UsageView::from),
        last_lines: &death.last_lines,
        ..Written::default()
    };
    match &death.cause {
        Cause::Exit(ExitStatus::Code(code)) => written.code = Some(*code),
        Cause::Exit(ExitStatus::Signal { signal, core }) => {
            written.signal = Some(signal.number());
            written.core = *core;
        }
        Cause::Exit(ExitStatus::Unknown) => {}
        Cause::Spawn { stage, errno, of } => {
            written.stage = Some(stage.word());
            written.errno = Some(errno.0);
            written.of = of.as_deref();
        }
        Cause::Order(text) => written.order = Some(text),
    }
    compact(&written)
}

/// Reads such a value; `None` if it is damaged.
pub fn death_from_value(value: &Value) -> Option<(JobName, Death)> {
    let whole = |name: &str| value.get(name)?.as_u64();
    let is = |name: &str| value.get(name).and_then(Value::as_bool).unwrap_or(false);
    let number = |name: &str| i32::try_from(value.get(name)?.as_i64()?).ok();
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let cause = if let Some(code) = number("code") {
        Cause::Exit(ExitStatus::Code(code))
    } else if let Some(signal) = number("signal") {
        let signal = Signal::from_number(signal.into())?;
        Cause::Exit(ExitStatus::Signal { signal, core: is("core") })
    } else if let Some(word) = text("stage") {
        let stage = Stage::parse(&word)?;
        Cause::Spawn { stage, errno: Errno(number("errno")?), of: text("of") }
    } else {
        text("order").map_or(Cause::Exit(ExitStatus::Unknown), Cause::Order)
    };
    let usage = match value.get("rusage") {
        None => None,
        Some(usage) => Some(usage_from_value(usage)?),
    };
    let lines = value.get("last_lines")?.as_array()?.iter();
    let lines = lines.map(|line| line.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()?;
    let death = Death {
        number: u32::try_from(whole("instance")?).ok()?,
        once: is("once"),
        pid: Pid(whole("pid")?),
        os_pid: number("os_pid").map(OsPid),
        started_at: time_from_value(value.get("started_at")?)?,
        ended_at: time_from_value(value.get("ended_at")?)?,
        ran: std::time::Duration::from_millis(whole("ran_ms")?),
        cause,
        why: Why::parse(&text("why")?)?,
        evidence: Evidence { usage, out_of_memory: is("out_of_memory"), sent: is("sent") },
        success: is("success"),
        outlived: is("outlived"),
        last_lines: lines,
    };
    Some((JobName::parse(&text("job")?).ok()?, death))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::process::Rusage;
    use serde_json::json;
    use std::time::{Duration, UNIX_EPOCH};

    /// A death of which all is known.
    fn death(number: u32) -> Death {
        Death {
            number,
            once: false,
            pid: Pid(7),
            os_pid: Some(OsPid(4711)),
            started_at: UNIX_EPOCH + Duration::from_millis(1_500_123),
            ended_at: UNIX_EPOCH + Duration::from_millis(1_501_001),
            ran: Duration::from_millis(878),
            cause: Cause::Exit(ExitStatus::Code(3)),
            why: Why::Itself,
            evidence: Evidence {
                usage: Some(Rusage::default()),
                out_of_memory: false,
                sent: false,
            },
            success: false,
            outlived: true,
            last_lines: vec!["one".into(), "zwölf \u{1f409}".into()],
        }
    }

    fn death_to_value(job: &JobName, death: &Death) -> Value {
        serde_json::from_str(&death_text(job, death)).expect("JSON")
    }

    fn job(label: &str) -> JobName {
        JobName::new("s", label).expect("a name")
    }

    #[test]
    fn a_death_is_read_back_whole() {
        let signal = Signal::KILL;
        let causes = [
            Cause::Exit(ExitStatus::Code(0)),
            Cause::Exit(ExitStatus::Signal { signal, core: false }),
            Cause::Exit(ExitStatus::Signal { signal, core: true }),
            Cause::Exit(ExitStatus::Unknown),
            Cause::Spawn { stage: Stage::Exec, errno: Errno(2), of: Some("/x".into()) },
            Cause::Spawn { stage: Stage::Fork, errno: Errno(11), of: None },
            Cause::Order("no such user".into()),
        ];
        for cause in causes {
            let whole = Death { cause, ..death(2) };
            let value = death_to_value(&job("a"), &whole);
            assert_eq!(death_from_value(&value), Some((job("a"), whole)), "{value}");
        }
        let bare = Death {
            once: true,
            os_pid: None,
            why: Why::Leftover,
            evidence: Evidence { usage: None, out_of_memory: true, sent: true },
            last_lines: Vec::new(),
            ..death(1)
        };
        let value = death_to_value(&job("a.b"), &bare);
        assert_eq!(death_from_value(&value), Some((job("a.b"), bare)));
    }

    #[test]
    fn damaged_entries_are_none() {
        let sound = death_to_value(&job("a"), &death(1));
        for (member, bad) in [
            ("job", json!("")),
            ("instance", json!(-1)),
            ("why", json!("whim")),
            ("ended_at", json!("now")),
            ("ended_at", json!(-1)),
            ("rusage", json!([])),
            ("last_lines", json!([1])),
            ("last_lines", json!(null)),
        ] {
            let mut value = sound.clone();
            value[member] = bad;
            assert_eq!(death_from_value(&value), None, "{member}");
        }
        assert_eq!(death_from_value(&json!(3)), None);
    }

    #[test]
    fn the_last_of_each_place_are_kept() {
        let mut graves = Graves::default();
        let (web, once) = (job("web"), Death { once: true, ..death(1) });
        let most = u64::try_from(limits::DEATHS).expect("few");
        for number in 1..=most {
            assert_eq!(graves.add((&web, &death(1)), 9), (number, vec![]));
        }
        assert!(graves.add((&web, &death(2)), 9).1.is_empty(), "another place");
        assert!(graves.add((&web, &once), 9).1.is_empty(), "one-offs have their own");
        assert!(graves.add((&job("db"), &death(1)), 9).1.is_empty(), "another job");
        assert_eq!(graves.add((&web, &death(1)), 9).1, [1]);
        assert_eq!(graves.forget(&web).len(), limits::DEATHS + 2);
        assert_eq!((graves.all.len(), graves.places.len(), graves.bytes), (1, 1, 9));
    }

    #[test]
    fn of_all_jobs_together_the_oldest_make_room() {
        let mut graves = Graves::default();
        let most = u64::try_from(limits::DEATHS_STORED).expect("few");
        for number in 1..=most {
            let job = job(&format!("j{number}"));
            assert!(graves.add((&job, &death(1)), 1).1.is_empty());
        }
        assert_eq!(graves.add((&job("next"), &death(1)), 1).1, [1]);
        assert_eq!(graves.all.len(), limits::DEATHS_STORED);
        assert_eq!(
            graves.add((&job("large"), &death(1)), limits::DEATHS_STORED_BYTES).1.len(),
            limits::DEATHS_STORED
        );
        assert_eq!(graves.add((&job("small"), &death(1)), 1).1, [most + 2]);
        assert_eq!((graves.all.len(), graves.bytes, graves.places.len()), (1, 1, 1));
    }
}
