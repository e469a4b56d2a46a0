//! A node in the foreground: the library's own machine, with a word to the terminal for all that
//! happens to its processes, and a rule for what follows when one of them ends. It has no I/O either:
//! what it tells goes out as effects.

use std::time::{Duration, Instant};

use super::lines::{Begun, Form, Speaker};
use crate::base::clock::Now;
use crate::base::error::{Errno, Stage};
use crate::base::ids::{ConnId, InstanceId, OsPid, StreamNo};
use crate::base::process::{ExitStatus, Signal};
use crate::base::sorted::SortedMap;
use crate::front::clients::Clients;
use crate::node::gaffer::Gaffer;
use crate::node::machine::{Effect, Machine, StateFile};
use crate::supervisor::effect::{Ask, Start};
use crate::supervisor::facts::{Exit, Stray};
use crate::supervisor::instance::{Instance, State};
use crate::supervisor::spec::GRACEFUL_TIMEOUT;

/// How often it is told who is waited for.
const SECOND: Duration = Duration::from_secs(1);

/// What follows when a process ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The others are stopped.
    StopsAll,
    /// The others are stopped if it failed.
    FailureStopsAll,
    /// It is started again.
    Restarts,
}

/// The machine.
pub struct Foreground {
    pub(super) gaffer: Gaffer,
    rule: Rule,
    form: Form,
    /// The process types of the file, in its order.
    kinds: Vec<String>,
    begun: Begun,
    /// What runs.
    running: SortedMap<InstanceId, Process>,
    /// Lines to print.
    told: String,
    /// The code of the first end that decided.
    code: Option<u8>,
    ending: Option<Ending>,
    /// Nobody reads what is told.
    unread: bool,
}

struct Process {
    speaker: Speaker,
    /// Whether its leader is gone, and what it left is waited for.
    exited: bool,
}

/// The end of it all.
struct Ending {
    /// When the last is killed.
    kill_at: Instant,
    /// When it is told again who is waited for.
    tell_at: Option<Instant>,
}

impl Foreground {
    /// A node without jobs. `kinds` are the process types in their order.
    pub fn new(gaffer: Gaffer, rule: Rule, form: Form, kinds: Vec<String>) -> Self {
        Self {
            gaffer,
            rule,
            form,
            kinds,
            begun: Begun::default(),
            running: SortedMap::new(),
            told: String::new(),
            code: None,
            ending: None,
            unread: false,
        }
    }

    /// Tells something of our own.
    pub fn say(&mut self, what: &str) {
        let system = Speaker { name: "system".into(), kind: None };
        self.form.line(&system, StreamNo::STDOUT, what.as_bytes(), &mut self.told);
    }

    fn speaker(&self, id: InstanceId) -> Speaker {
        let instance = self.gaffer.supervisor().instance(id);
        let named = instance.and_then(|instance| {
            let job = self.gaffer.supervisor().job(instance.job)?;
            Some((job.name.label().to_owned(), instance.number))
        });
        let (label, number) = named.unwrap_or_default();
        let kind = self.kinds.iter().position(|kind| *kind == label);
        Speaker { name: format!("{label}.{number}"), kind }
    }

    /// A process ended by itself or could not be started.
    fn ended(&mut self, code: u8, now: Now) {
        let stops = match self.rule {
            Rule::StopsAll => true,
            Rule::FailureStopsAll => code != 0,
            Rule::Restarts => false,
        };
        if stops && self.ending.is_none() {
            self.code = Some(code);
            let others = self.waited_for();
            if !others.is_empty() {
                self.say(&format!("stopping {others}"));
            }
            self.end(Signal::TERM, now);
        }
    }

    fn end(&mut self, signal: Signal, now: Now) {
        let tell_at = Some(now.mono + SECOND);
        self.ending = Some(Ending { kill_at: now.mono + GRACEFUL_TIMEOUT, tell_at });
        self.gaffer.signalled(signal, now);
    }

    /// The names of what is not over.
    fn waited_for(&self) -> String {
        let all = self.running.values().map(|process| match process.exited {
            false => process.speaker.name.clone(),
            true => format!("what {} left", process.speaker.name),
        });
        all.collect::<Vec<_>>().join(", ")
    }

    fn count_down(&mut self, now: Now) {
        let Some(ending) = &mut self.ending else { return };
        if ending.tell_at.is_none_or(|at| at > now.mono) {
            return;
        }
        let left = ending.kill_at.saturating_duration_since(now.mono);
        let seconds = left.as_millis().div_ceil(1000);
        ending.tell_at = (seconds > 0).then_some(now.mono + SECOND);
        let names = self.waited_for();
        if seconds > 0 && !names.is_empty() {
            self.say(&format!("waiting for {names}: {seconds}s, then KILL (^C kills now)"));
        }
    }

    /// A run is over: what it wrote last has no end any more, and what comes next is known.
    fn released(&mut self, id: InstanceId) {
        self.tell_begun(id);
        self.running.remove(&id);
        let Some(instance) = self.gaffer.supervisor().instance(id) else { return };
        if self.ending.is_none() {
            if let Some(next) = next_of(instance) {
                let name = self.speaker(id).name;
                self.say(&format!("{name} {next}"));
            }
        }
    }

    fn tell_begun(&mut self, id: InstanceId) {
        let speaker = self.speaker(id);
        let (form, told) = (self.form, &mut self.told);
        self.begun.end(id, &mut |stream, line| form.line(&speaker, stream, line, told));
    }

    /// Ends when nothing runs and nothing will.
    fn end_if_idle(&mut self, now: Now) {
        let waits = self.rule == Rule::Restarts || self.gaffer.has_starts();
        if self.ending.is_none() && !waits && self.running.is_empty() {
            self.end(Signal::TERM, now);
        }
    }
}

/// What becomes of an instance whose run is over.
fn next_of(instance: &Instance) -> Option<String> {
    match &instance.state {
        State::Backoff { retry_at, .. } => {
            let ended = instance.deaths.last()?.ended_at;
            let delay = retry_at.duration_since(ended).unwrap_or_default();
            Some(format!("starts again in {:.1}s", delay.as_secs_f64()))
        }
        State::Waiting(_) => Some("waits to start again: many restarts at once".into()),
        State::Failed { reason } => Some(format!("is given up: {reason}")),
        State::Starting
        | State::Running
        | State::Stopping(_)
        | State::Stopped
        | State::Exited { .. } => None,
    }
}

/// The exit code that a shell gives for an end: 128 and the signal's number for a death by one.
fn code_of(status: ExitStatus) -> u8 {
    let code = match status {
        ExitStatus::Code(code) => code,
        ExitStatus::Signal { signal, .. } => 128 + signal.number(),
        ExitStatus::Unknown => 1,
    };
    u8::try_from(code).unwrap_or(1)
}

/// What a shell gives for a program that it cannot start.
fn code_of_failed_start(stage: Stage, errno: Errno) -> u8 {
    match (stage, errno.0) {
        (Stage::Exec, libc::ENOENT) => 127,
        (Stage::Exec, _) => 126,
        _ => 1,
    }
}

/// What the machine is for: everything goes on to the node, and is told.
impl Machine for Foreground {
    fn clients(&self) -> &Clients {
        self.gaffer.clients()
    }

    fn clients_mut(&mut self) -> &mut Clients {
        self.gaffer.clients_mut()
    }

    fn client_changed(&mut self, conn: ConnId, now: Now) {
        self.gaffer.client_changed(conn, now);
    }

    fn closed(&mut self, conn: ConnId, now: Now) {
        self.gaffer.closed(conn, now);
    }

    fn input_owed(&self, id: InstanceId, stream: StreamNo) -> &[u8] {
        self.gaffer.input_owed(id, stream)
    }

    fn input_taken(&mut self, id: InstanceId, stream: StreamNo, count: usize, now: Now) {
        self.gaffer.input_taken(id, stream, count, now);
    }

    fn input_refused(&mut self, id: InstanceId, stream: StreamNo, errno: Errno, now: Now) {
        self.gaffer.input_refused(id, stream, errno, now);
    }

    fn input_ends(&self, id: InstanceId, stream: StreamNo) -> bool {
        self.gaffer.input_ends(id, stream)
    }

    fn take_dirty_inputs(&mut self) -> Vec<(InstanceId, StreamNo)> {
        self.gaffer.take_dirty_inputs()
    }

    fn drained(&mut self, id: InstanceId, now: Now) {
        self.gaffer.drained(id, now);
    }

    fn group_gone(&mut self, id: InstanceId, now: Now) {
        self.gaffer.group_gone(id, now);
    }

    fn strayed(&mut self, stray: Stray, now: Now) {
        self.gaffer.strayed(stray, now);
    }

    fn searched(&mut self) {
        self.gaffer.searched();
    }

    fn node_mark(&self) -> &str {
        self.gaffer.node_mark()
    }

    fn stored(&mut self, file: StateFile, result: Result<(), Errno>, now: Now) {
        self.gaffer.stored(file, result, now);
    }

    fn next_start(&mut self) -> Option<Start> {
        self.gaffer.next_start()
    }

    fn has_starts(&self) -> bool {
        self.gaffer.has_starts()
    }

    fn spawned(&mut self, id: InstanceId, os_pid: OsPid, start_time: u64, now: Now) {
        self.gaffer.spawned(id, os_pid, start_time, now);
        let speaker = self.speaker(id);
        self.say(&format!("{} started with pid {os_pid}", speaker.name));
        self.running.insert(id, Process { speaker, exited: false });
    }

    fn spawn_failed(&mut self, id: InstanceId, stage: Stage, errno: Errno, now: Now) {
        let speaker = self.speaker(id);
        self.gaffer.spawn_failed(id, stage, errno, now);
        let instance = self.gaffer.supervisor().instance(id);
        let cause = instance.and_then(|instance| instance.deaths.last());
        let cause = cause.map_or_else(|| errno.to_string(), |death| death.cause.to_string());
        self.say(&format!("{} cannot be started: {cause}", speaker.name));
        self.ended(code_of_failed_start(stage, errno), now);
    }

    fn output(&mut self, id: InstanceId, stream: StreamNo, bytes: &[u8], now: Now) -> Option<u64> {
        let number = self.gaffer.output(id, stream, bytes, now);
        let fallback;
        let speaker = match self.running.get(&id) {
            Some(process) => &process.speaker,
            None => {
                fallback = self.speaker(id);
                &fallback
            }
        };
        let (form, told) = (self.form, &mut self.told);
        self.begun.take(id, stream, bytes, &mut |line| form.line(speaker, stream, line, told));
        number
    }

    fn exited(&mut self, id: InstanceId, exit: Exit, now: Now) {
        self.gaffer.exited(id, exit, now);
        let Some(process) = self.running.get_mut(&id) else { return };
        process.exited = true;
        let name = process.speaker.name.clone();
        self.tell_begun(id);
        self.say(&format!("{name} {}", exit.status));
        if !exit.group_alive {
            self.running.remove(&id);
        }
        self.ended(code_of(exit.status), now);
    }

    fn signalled(&mut self, signal: Signal, now: Now) {
        let ends = [Signal::INT, Signal::TERM, Signal::QUIT, Signal::HUP].contains(&signal);
        if !ends {
            return;
        }
        let names = self.waited_for();
        match &mut self.ending {
            None => {
                self.say(format!("{signal}: stopping {names}").trim_end());
                self.end(Signal::TERM, now);
            }
            Some(ending) => {
                ending.tell_at = None;
                self.code.get_or_insert(code_of(ExitStatus::Signal { signal, core: false }));
                self.say(&format!("{signal} again: killing {names}"));
                self.gaffer.signalled(Signal::TERM, now);
            }
        }
    }

    fn unread(&mut self, now: Now) {
        self.unread = true;
        self.told.clear();
        if self.ending.is_none() {
            self.end(Signal::TERM, now);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let told = self.ending.as_ref().and_then(|ending| ending.tell_at);
        [self.gaffer.deadline(), told].into_iter().flatten().min()
    }

    fn on_time(&mut self, now: Now) {
        self.gaffer.on_time(now);
        self.count_down(now);
    }

    fn settle(&mut self, now: Now) {
        self.gaffer.settle(now);
        self.end_if_idle(now);
    }

    fn take_effects(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        for effect in self.gaffer.take_effects() {
            match effect {
                Effect::Kernel(Ask::Release(id)) => {
                    self.released(id);
                    effects.push(effect);
                }
                Effect::Exit(code) => effects.push(Effect::Exit(self.code.unwrap_or(code))),
                Effect::Kernel(_)
                | Effect::Sample { .. }
                | Effect::StopSampling
                | Effect::Account { .. }
                | Effect::Hash { .. }
                | Effect::Dial { .. }
                | Effect::OpenFile { .. }
                | Effect::ReadFile { .. }
                | Effect::CloseFile(_)
                | Effect::BeginReading { .. }
                | Effect::ReadOn { .. }
                | Effect::EndReading(_)
                | Effect::Climb { .. }
                | Effect::Tend { .. }
                | Effect::Store { .. }
                | Effect::Search
                | Effect::ReadConfig
                | Effect::Print(_)
                | Effect::ReopenLog
                | Effect::SetLogLevel(_) => effects.push(effect),
            }
        }
        let told = std::mem::take(&mut self.told);
        if !told.is_empty() && !self.unread {
            effects.insert(0, Effect::Print(told));
        }
        effects
    }
}
