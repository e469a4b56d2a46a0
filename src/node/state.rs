//! What this node writes down: the jobs that were loaded over the API, with their intent, the processes
//! that run, keys and users, webhooks and what waits to be sent to them, and how runs ended. All are journals;
//! what cannot be written now is written when it can be, and supervision never waits for it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use log::{error, info, warn};
use serde_json::{json, Map, Value};

use super::deaths::{death_from_value, death_text, Graves};
use super::journal::{compact, Journal};
use super::machine::{Effect, StateFile, Write};
use crate::base::clock::{epoch_seconds, Now};
use crate::base::error::Errno;
use crate::base::ids::{OsPid, Pid};
use crate::base::limits;
use crate::base::process::Signal;
use crate::base::sorted::SortedMap;
use crate::supervisor::death::Death;
use crate::supervisor::effect::{Record, Running};
use crate::supervisor::job::{Desired, Job};
use crate::supervisor::name::JobName;

/// A job as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredJob {
    /// Its configuration as it was given.
    pub config: Map<String, Value>,
    /// What is wanted of it.
    pub desired: Desired,
    /// How many instances are wanted while it is up.
    pub target: u32,
}

impl StoredJob {
    /// What of a job outlives us.
    pub fn of(job: &Job) -> Self {
        Self { config: job.spec.config.map(), desired: job.desired, target: job.target }
    }

    /// Its value in the journal.
    pub fn to_value(&self) -> Value {
        let desired = match self.desired {
            Desired::Up => "up",
            Desired::Down => "down",
            Desired::Hold => "hold",
        };
        json!({"config": &self.config, "desired": desired, "target": self.target})
    }

    /// Reads such a value.
    pub fn from_value(value: &Value) -> Option<Self> {
        let desired = match value.get("desired")?.as_str()? {
            "up" => Desired::Up,
            "down" => Desired::Down,
            "hold" => Desired::Hold,
            _ => return None,
        };
        let target = u32::try_from(value.get("target")?.as_u64()?).ok()?;
        let target = target.min(limits::NUMPROCESSES);
        Some(Self { config: value.get("config")?.as_object()?.clone(), desired, target })
    }
}

/// A running process's value in the journal; its key there is its os_pid.
pub fn running_to_value(running: &Running) -> Value {
    json!({
        "job": running.job.to_string(),
        "instance": running.number,
        "pid": running.pid.0,
        "start_time": running.start_time,
        "detach": running.detach,
        "stop_signal": running.stop_signal.number(),
        "graceful_timeout": running.graceful_timeout.as_secs_f64(),
        "started_at": running.started_at.map(epoch_seconds),
    })
}

/// Reads such a value.
pub fn running_from_value(key: &str, value: &Value) -> Option<Running> {
    let whole = |name: &str| value.get(name)?.as_u64();
    let grace = value.get("graceful_timeout")?.as_f64()?;
    Some(Running {
        job: JobName::parse(value.get("job")?.as_str()?).ok()?,
        number: u32::try_from(whole("instance")?).ok()?,
        pid: Pid(whole("pid")?),
        os_pid: OsPid(key.parse().ok()?),
        start_time: whole("start_time")?,
        detach: value.get("detach")?.as_bool()?,
        stop_signal: Signal::from_number(value.get("stop_signal")?.as_i64()?)?,
        graceful_timeout: Duration::try_from_secs_f64(grace).ok()?.min(limits::CONFIGURED_TIME),
        started_at: value.get("started_at").and_then(time_from_value),
    })
}

/// Reads a time, which is kept as seconds since 1970, to the millisecond.
pub fn time_from_value(value: &Value) -> Option<SystemTime> {
    let since = Duration::try_from_secs_f64(value.as_f64()?).ok()?;
    let millis = since.saturating_add(Duration::from_micros(500)).as_millis();
    UNIX_EPOCH.checked_add(Duration::from_millis(u64::try_from(millis).ok()?))
}

/// The journals and how well their files take them.
pub struct State {
    jobs: Kept,
    running: Kept,
    keys: Kept,
    users: Kept,
    webhooks: Kept,
    deliveries: Kept,
    /// What is in those, in bytes.
    delivery_bytes: usize,
    deaths: Kept,
    graves: Graves,
}

struct Kept {
    file: StateFile,
    journal: Journal,
    /// Set while the file does not hold what it should.
    retry_at: Option<Instant>,
    /// Whether a write failed and the file has not been replaced whole since.
    failed: bool,
    /// Whether something changed since the last attempt to replace it.
    missed: bool,
}

impl State {
    /// Journals for these files. The headers go into the files' first lines.
    pub fn new(running_header: Map<String, Value>) -> Self {
        let kept = |file: StateFile, header| Kept {
            file,
            journal: Journal::new(file.name(), header),
            retry_at: None,
            failed: false,
            missed: false,
        };
        Self {
            jobs: kept(StateFile::Jobs, Map::new()),
            running: kept(StateFile::Running, running_header),
            keys: kept(StateFile::Keys, Map::new()),
            users: kept(StateFile::Users, Map::new()),
            webhooks: kept(StateFile::Webhooks, Map::new()),
            deliveries: kept(StateFile::Deliveries, Map::new()),
            delivery_bytes: 0,
            deaths: kept(StateFile::Deaths, Map::new()),
            graves: Graves::default(),
        }
    }

    /// Takes a job over that the last daemon kept.
    pub fn restore_job(&mut self, key: String, value: Value) {
        self.jobs.journal.restore(&key, &value);
    }

    /// Takes a process over that the last daemon recorded.
    pub fn restore_running(&mut self, running: &Running) {
        let key = running.os_pid.to_string();
        self.running.journal.restore(&key, &running_to_value(running));
    }

    /// Takes a key over that the last daemon kept.
    pub fn restore_key(&mut self, id: String, value: Value) {
        self.keys.journal.restore(&id, &value);
    }

    /// Takes a user over that the last daemon kept.
    pub fn restore_user(&mut self, name: String, value: Value) {
        self.users.journal.restore(&name, &value);
    }

    /// Takes an address of webhooks over that the last daemon kept.
    pub fn restore_webhook(&mut self, id: String, value: Value) {
        self.webhooks.journal.restore(&id, &value);
    }

    /// Takes a message over that the last daemon did not deliver.
    pub fn restore_delivery(&mut self, key: String, body: Value) {
        self.delivery_bytes += length(&body);
        self.deliveries.journal.restore(&key, &body);
    }

    /// Takes deaths over that the last daemon wrote down, oldest first. Gives them; what is damaged of them is
    /// left out.
    pub fn restore_deaths(&mut self, entries: Vec<(String, Value)>) -> Vec<(JobName, Death)> {
        let mut found = SortedMap::new();
        for (key, value) in entries {
            let number = key.parse::<u64>().ok();
            let Some((number, (name, death))) = number.zip(death_from_value(&value)) else {
                warn!("an entry of the state file \"deaths\" is damaged, and is left out: {key}");
                continue;
            };
            let bytes = compact(&value).len();
            let over = self.graves.put(number, (&name, &death), bytes);
            self.deaths.journal.restore(&key, &value);
            found.insert(number, (name, death));
            for number in over {
                self.deaths.journal.remove(&number.to_string());
                found.remove(&number);
            }
        }
        found.into_values().collect()
    }

    /// Writes all files whole, at the start.
    pub fn begin(&mut self, effects: &mut Vec<Effect>) {
        for kept in self.all() {
            kept.replace(effects);
        }
    }

    fn all(&mut self) -> [&mut Kept; 7] {
        [
            &mut self.jobs,
            &mut self.running,
            &mut self.keys,
            &mut self.users,
            &mut self.webhooks,
            &mut self.deliveries,
            &mut self.deaths,
        ]
    }

    fn each(&self) -> [&Kept; 7] {
        [
            &self.jobs,
            &self.running,
            &self.keys,
            &self.users,
            &self.webhooks,
            &self.deliveries,
            &self.deaths,
        ]
    }

    /// Notes what is kept of a key now, `None` if it is gone.
    pub fn key(&mut self, id: &str, value: Option<Value>, effects: &mut Vec<Effect>) {
        self.keys.note(id, value, effects);
    }

    /// Notes what is kept of a user now, `None` if he is gone.
    pub fn user(&mut self, name: &str, value: Option<Value>, effects: &mut Vec<Effect>) {
        self.users.note(name, value, effects);
    }

    /// Notes what is kept of an address of webhooks now, `None` if it is gone.
    pub fn webhook(&mut self, id: &str, value: Option<Value>, effects: &mut Vec<Effect>) {
        self.webhooks.note(id, value, effects);
    }

    /// Notes a message that waits to be delivered, `None` if it does so no more.
    pub fn delivery(&mut self, key: &str, body: Option<Value>, effects: &mut Vec<Effect>) {
        let before = self.deliveries.journal.get(key).as_ref().map_or(0, length);
        self.delivery_bytes += body.as_ref().map_or(0, length);
        self.delivery_bytes -= before;
        self.deliveries.note(key, body, effects);
    }

    /// Notes how a run of a job ended.
    pub fn death(&mut self, (name, death): (&JobName, &Death), effects: &mut Vec<Effect>) {
        let text = death_text(name, death);
        let (number, over) = self.graves.add((name, death), text.len());
        if let Some(line) = self.deaths.journal.put_text(&number.to_string(), text.into()) {
            self.deaths.append(line, effects);
        }
        for number in over {
            self.deaths.note(&number.to_string(), None, effects);
        }
    }

    /// Forgets how the runs of a job ended.
    pub fn forget_deaths(&mut self, name: &JobName, effects: &mut Vec<Effect>) {
        for number in self.graves.forget(name) {
            self.deaths.note(&number.to_string(), None, effects);
        }
    }

    /// What such messages take, in bytes.
    pub fn delivery_bytes(&self) -> usize {
        self.delivery_bytes
    }

    /// How many such messages there are.
    pub fn deliveries(&self) -> usize {
        self.deliveries.journal.len()
    }

    /// The body of such a message.
    pub fn delivery_body(&self, key: &str) -> Option<String> {
        serde_json::from_value(self.deliveries.journal.get(key)?).ok()
    }

    /// Notes what a job is now, `None` if it is not kept any more.
    pub fn job(&mut self, name: &JobName, job: Option<&StoredJob>, effects: &mut Vec<Effect>) {
        self.jobs.note(&name.to_string(), job.map(StoredJob::to_value), effects);
    }

    /// Notes that a process was started or is gone.
    pub fn record(&mut self, record: &Record, effects: &mut Vec<Effect>) {
        let line = match record {
            Record::Started(running) => {
                let key = running.os_pid.to_string();
                self.running.journal.put(&key, &running_to_value(running))
            }
            Record::Amended { os_pid, stop_signal, graceful_timeout } => {
                let key = os_pid.to_string();
                let known = self.running.journal.get(&key);
                let known = known.and_then(|value| running_from_value(&key, &value));
                known.and_then(|running| {
                    let (stop_signal, graceful_timeout) = (*stop_signal, *graceful_timeout);
                    let running = Running { stop_signal, graceful_timeout, ..running };
                    self.running.journal.put(&key, &running_to_value(&running))
                })
            }
            Record::Ended(os_pid) => self.running.journal.remove(&os_pid.to_string()),
        };
        if let Some(line) = line {
            self.running.append(line, effects);
        }
    }

    /// A file was replaced whole, or a write of it failed.
    pub fn stored(&mut self, file: StateFile, result: Result<(), Errno>, now: Now) {
        let kept = self.kept(file);
        let Err(errno) = result else {
            if kept.missed {
                kept.retry_at = Some(now.mono);
            } else if std::mem::take(&mut kept.failed) {
                info!("the state file {:?} is written again", file.name());
            }
            return;
        };
        if !std::mem::replace(&mut kept.failed, true) {
            error!(
                "cannot write the state file {:?}: {errno}; trying again every {} s, supervision \
                 goes on",
                file.name(),
                limits::STATE_RETRY.as_secs()
            );
        }
        // A replacement that is under way does not have it.
        kept.missed = true;
        kept.retry_at = Some(now.mono + limits::STATE_RETRY);
    }

    fn kept(&mut self, file: StateFile) -> &mut Kept {
        match file {
            StateFile::Jobs => &mut self.jobs,
            StateFile::Running => &mut self.running,
            StateFile::Keys => &mut self.keys,
            StateFile::Users => &mut self.users,
            StateFile::Webhooks => &mut self.webhooks,
            StateFile::Deliveries => &mut self.deliveries,
            StateFile::Deaths => &mut self.deaths,
        }
    }

    /// Whether a file does not hold what it should.
    pub fn is_degraded(&self) -> bool {
        self.each().iter().any(|kept| kept.failed)
    }

    /// When to try again.
    pub fn deadline(&self) -> Option<Instant> {
        self.each().into_iter().filter_map(|kept| kept.retry_at).min()
    }

    /// Tries again what failed and is due.
    pub fn on_time(&mut self, now: Now, effects: &mut Vec<Effect>) {
        for kept in self.all() {
            if kept.retry_at.is_some_and(|at| at <= now.mono) {
                kept.retry_at = None;
                kept.replace(effects);
            }
        }
    }
}

fn length(body: &Value) -> usize {
    body.as_str().map_or(0, str::len)
}

impl Kept {
    fn note(&mut self, key: &str, value: Option<Value>, effects: &mut Vec<Effect>) {
        let line = match value {
            Some(value) => self.journal.put(key, &value),
            None => self.journal.remove(key),
        };
        if let Some(line) = line {
            self.append(line, effects);
        }
    }

    fn append(&mut self, line: Vec<u8>, effects: &mut Vec<Effect>) {
        if self.failed {
            // The whole file is written when it can be.
            self.missed = true;
            return;
        }
        self.add(line, effects);
        // A whole file takes its time, but the line was written before its change is promised.
        if self.journal.is_bloated() {
            self.replace(effects);
        }
    }

    fn add(&self, line: Vec<u8>, effects: &mut Vec<Effect>) {
        if let Some(Effect::Store { file, write: Write::Append(bytes) }) = effects.last_mut() {
            if *file == self.file {
                bytes.extend(line);
                return;
            }
        }
        effects.push(Effect::Store { file: self.file, write: Write::Append(line) });
    }

    fn replace(&mut self, effects: &mut Vec<Effect>) {
        self.missed = false;
        let whole = self.journal.whole();
        effects.push(Effect::Store { file: self.file, write: Write::Replace(whole) });
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;

    const FULL: Errno = Errno(28);

    fn now() -> Now {
        Now { mono: Instant::now(), wall: SystemTime::UNIX_EPOCH }
    }

    fn name(label: &str) -> JobName {
        JobName::new("s", label).expect("a name")
    }

    fn job(target: u32) -> StoredJob {
        let config = Map::from_iter([("cmd".to_owned(), json!("a"))]);
        StoredJob { config, desired: Desired::Up, target }
    }

    /// The bytes of a file after these writes, all of which succeeded.
    fn written(effects: &[Effect], of: StateFile) -> Vec<u8> {
        let mut bytes = Vec::new();
        for effect in effects {
            let Effect::Store { file, write } = effect else { panic!("{effect:?} is no write") };
            assert_eq!(*file, of);
            match write {
                Write::Append(more) => bytes.extend_from_slice(more),
                Write::Replace(whole) => bytes.clone_from(whole),
            }
        }
        bytes
    }

    /// What a file holds after these writes.
    fn held(effects: &[Effect], of: StateFile) -> Vec<(String, Value)> {
        let loaded = Journal::load(of.name(), &written(effects, of)).expect("a journal");
        assert_eq!(loaded.damage, Vec::<String>::new());
        loaded.entries
    }

    #[test]
    fn what_failed_is_written_whole_five_seconds_later_with_all_that_came_since() {
        let mut state = State::new(Map::new());
        let (mut effects, start) = (Vec::new(), now());
        state.job(&name("a"), Some(&job(1)), &mut effects);
        assert_eq!(effects.len(), 1);
        state.stored(StateFile::Jobs, Err(FULL), start);
        assert!(state.is_degraded());
        assert_eq!(state.deadline(), Some(start.mono + limits::STATE_RETRY));
        effects.clear();
        state.job(&name("b"), Some(&job(2)), &mut effects);
        state.job(&name("a"), None, &mut effects);
        state.job(&name("c"), Some(&job(3)), &mut effects);
        assert!(effects.is_empty(), "a line behind a torn one would not help: {effects:?}");

        state.on_time(start.plus(limits::STATE_RETRY - Duration::from_millis(1)), &mut effects);
        assert!(effects.is_empty(), "too early");
        let retry = start.plus(limits::STATE_RETRY);
        state.on_time(retry, &mut effects);
        assert_eq!(effects.len(), 1);
        assert!(state.is_degraded(), "it may fail again");
        state.job(&name("d"), Some(&job(4)), &mut effects);
        let keys = |effects: &[Effect]| {
            let entries = held(effects, StateFile::Jobs).into_iter();
            entries.map(|(key, _)| key).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(keys(&effects), "s.b s.c", "what comes while it is under way waits");

        // It fails once more; the next time it succeeds, and what came meanwhile follows at once.
        state.stored(StateFile::Jobs, Err(FULL), retry);
        effects.clear();
        let next = retry.plus(limits::STATE_RETRY);
        state.on_time(next, &mut effects);
        assert_eq!(keys(&effects), "s.b s.c s.d");
        state.job(&name("f"), Some(&job(6)), &mut effects);
        state.stored(StateFile::Jobs, Ok(()), next);
        assert!(state.is_degraded(), "not all of it is there");
        effects.clear();
        state.on_time(next, &mut effects);
        assert_eq!(keys(&effects), "s.b s.c s.d s.f");
        state.stored(StateFile::Jobs, Ok(()), next);
        assert!(!state.is_degraded());
        assert_eq!(state.deadline(), None);
        state.job(&name("e"), Some(&job(5)), &mut effects);
        assert_eq!(keys(&effects), "s.b s.c s.d s.f s.e");
    }

    #[test]
    fn a_success_that_was_under_way_ends_no_failure() {
        let mut state = State::new(Map::new());
        let mut effects = Vec::new();
        state.job(&name("a"), Some(&job(1)), &mut effects);
        state.stored(StateFile::Jobs, Err(FULL), now());
        state.stored(StateFile::Jobs, Ok(()), now());
        assert!(state.is_degraded());
        assert!(state.deadline().is_some());
        state.stored(StateFile::Running, Ok(()), now());
        assert!(state.is_degraded(), "that was the other file");
    }

    #[test]
    fn many_changes_are_replaced_whole_and_nothing_is_lost() {
        let mut state = State::new(Map::new());
        let mut effects = Vec::new();
        state.begin(&mut effects);
        effects.retain(|effect| matches!(effect, Effect::Store { file: StateFile::Jobs, .. }));
        state.job(&name("kept"), Some(&job(7)), &mut effects);
        let mut replaced = 0;
        for n in 0..5000 {
            state.job(&name("changed"), Some(&job(n)), &mut effects);
            let whole = |e: &Effect| matches!(e, Effect::Store { write: Write::Replace(_), .. });
            let line = |e: &Effect| matches!(e, Effect::Store { write: Write::Append(_), .. });
            assert!(effects.get(1).is_none_or(line), "a line comes before a whole file: {n}");
            replaced += effects.iter().skip(1).filter(|effect| whole(effect)).count();
            if n % 97 == 0 {
                let entries = held(&effects, StateFile::Jobs);
                assert_eq!(entries.len(), 2);
                assert_eq!(StoredJob::from_value(&entries[1].1), Some(job(n)));
            }
            // The file as it is now, in one piece.
            let all = written(&effects, StateFile::Jobs);
            assert!(all.len() <= limits::JOURNAL_KEEP + 200, "{} bytes", all.len());
            effects = vec![Effect::Store { file: StateFile::Jobs, write: Write::Replace(all) }];
        }
        assert!((2..50).contains(&replaced), "replaced {replaced} times");
    }

    #[test]
    fn what_did_not_change_is_not_written() {
        let mut state = State::new(Map::new());
        let mut effects = Vec::new();
        state.job(&name("a"), Some(&job(1)), &mut effects);
        effects.clear();
        state.job(&name("a"), Some(&job(1)), &mut effects);
        state.job(&name("b"), None, &mut effects);
        assert!(effects.is_empty(), "{effects:?}");
    }

    #[test]
    fn a_recorded_process_is_read_back_whole() {
        let running = Running {
            job: name("a"),
            number: 3,
            pid: Pid(9),
            os_pid: OsPid(77),
            start_time: 123_456,
            detach: true,
            stop_signal: Signal::INT,
            graceful_timeout: Duration::from_millis(2500),
            started_at: Some(UNIX_EPOCH + Duration::from_millis(1_500)),
        };
        let mut state = State::new(Map::new());
        let mut effects = Vec::new();
        state.running.replace(&mut effects);
        state.record(&Record::Started(running.clone()), &mut effects);
        let entries = held(&effects, StateFile::Running);
        assert_eq!(running_from_value(&entries[0].0, &entries[0].1), Some(running));
        let amend = |os_pid: i32| Record::Amended {
            os_pid: OsPid(os_pid),
            stop_signal: Signal::HUP,
            graceful_timeout: Duration::ZERO,
        };
        state.record(&amend(77), &mut effects);
        state.record(&amend(78), &mut effects);
        let entries = held(&effects, StateFile::Running);
        assert_eq!(entries.len(), 1, "what is on no record is not put there");
        let amended = running_from_value(&entries[0].0, &entries[0].1).expect("sound");
        assert_eq!((amended.stop_signal, amended.graceful_timeout), (Signal::HUP, Duration::ZERO));
        assert_eq!((amended.start_time, amended.pid), (123_456, Pid(9)));
        state.record(&Record::Ended(OsPid(77)), &mut effects);
        state.record(&Record::Ended(OsPid(78)), &mut effects);
        assert!(held(&effects, StateFile::Running).is_empty());
    }

    #[test]
    fn damaged_entries_are_none() {
        let sound = job(1).to_value();
        assert_eq!(StoredJob::from_value(&sound), Some(job(1)));
        for (member, bad) in [("desired", json!("x")), ("target", json!(-1)), ("config", json!(1))]
        {
            let mut value = sound.clone();
            value[member] = bad;
            assert_eq!(StoredJob::from_value(&value), None, "{member}");
        }
    }
}
