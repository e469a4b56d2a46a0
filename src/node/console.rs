//! What the daemon tells on its own standard output when it is asked to (`-v`, `-vv`): the life of
//! jobs as it happens, in the original's lines, and with `-vv` what the processes write.

use log::{debug, info, warn};

use super::machine::Effect;
use crate::base::clock::Now;
use crate::base::ids::{InstanceId, StreamNo};
use crate::base::limits;
use crate::base::sorted::SortedMap;
use crate::supervisor::event::Event;
use crate::supervisor::Supervisor;

/// How much is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Nothing.
    #[default]
    Silent,
    /// Starts, stops and exits.
    Events,
    /// Every event, and output.
    Output,
}

/// The console and the lines that are not complete yet.
#[derive(Default)]
pub struct Console {
    verbosity: Verbosity,
    partial: SortedMap<(InstanceId, StreamNo), Partial>,
}

/// A line that has begun.
struct Partial {
    /// Whose.
    process: String,
    bytes: Vec<u8>,
}

impl Console {
    /// A console that tells so much.
    pub fn new(verbosity: Verbosity) -> Self {
        Self { verbosity, partial: SortedMap::new() }
    }

    /// Tells an event.
    pub fn event(&mut self, event: &Event, _: Now, effects: &mut Vec<Effect>) {
        if self.verbosity == Verbosity::Silent {
            return;
        }
        if let Some(text) = words(event, self.verbosity) {
            effects.push(Effect::Print(format!("{} | {text}\n", event.job())));
        }
    }

    /// Whether output is told at all.
    pub fn tells_output(&self) -> bool {
        self.verbosity >= Verbosity::Output
    }

    /// Tells what a process wrote, line by line; a line without an end waits for it.
    pub fn output(
        &mut self,
        supervisor: &Supervisor,
        id: InstanceId,
        stream: StreamNo,
        bytes: &[u8],
        effects: &mut Vec<Effect>,
    ) {
        if self.verbosity < Verbosity::Output {
            return;
        }
        let partial = self.partial.entry((id, stream)).or_insert_with(|| Partial {
            process: process_name(supervisor, id).unwrap_or_default(),
            bytes: Vec::new(),
        });
        partial.bytes.extend_from_slice(bytes);
        let whole = match partial.bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if partial.bytes.len() > limits::CONSOLE_LINE => {
                partial.bytes.len() - partial.bytes.len() % limits::CONSOLE_LINE
            }
            None => return,
        };
        let lines: Vec<u8> = partial.bytes.drain(..whole).collect();
        print(&partial.process, &lines, effects);
        if partial.bytes.is_empty() {
            self.partial.remove(&(id, stream));
        }
    }

    /// A run is over, and with it the lines that have no end.
    pub fn end_run(&mut self, id: InstanceId, effects: &mut Vec<Effect>) {
        let of_run = (id, StreamNo(0))..=(id, StreamNo(u16::MAX));
        let streams: Vec<_> = self.partial.range(of_run).map(|(key, _)| *key).collect();
        for key in streams {
            if let Some(partial) = self.partial.remove(&key) {
                print(&partial.process, &partial.bytes, effects);
            }
        }
    }
}

/// Tells lines, all at once: a flood of short ones must not cost a piece of memory each.
fn print(process: &str, lines: &[u8], effects: &mut Vec<Effect>) {
    let mut told = String::with_capacity(lines.len() + process.len());
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(line);
        let begin = |told: &mut String| {
            told.push_str(process);
            told.push_str(" | ");
            told.len()
        };
        let mut begun = begin(&mut told);
        for c in line.trim_end_matches(['\n', '\r']).chars() {
            if told.len() - begun + c.len_utf8() > limits::CONSOLE_LINE {
                told.push('\n');
                begun = begin(&mut told);
            }
            // Nothing that would command a terminal.
            told.push(if c.is_control() && c != '\t' { '\u{fffd}' } else { c });
        }
        told.push('\n');
    }
    effects.push(Effect::Print(told));
}

/// Writes an event to the log: what needs somebody as a warning, the life of jobs, and the rest for
/// those who look closely.
pub fn log(event: &Event) {
    let job = event.job();
    match (event, words(event, Verbosity::Events)) {
        (Event::Failed { subject, .. }, Some(text)) => warn!("{job}.{}: {text}", subject.number),
        (_, Some(text)) => info!("{job}: {text}"),
        (_, None) => debug!("{job}: {}", words(event, Verbosity::Output).unwrap_or_default()),
    }
}

fn process_name(supervisor: &Supervisor, id: InstanceId) -> Option<String> {
    let instance = supervisor.instance(id)?;
    let job = supervisor.job(instance.job)?;
    Some(format!("{}.{}", job.name, instance.number))
}

fn words(event: &Event, verbosity: Verbosity) -> Option<String> {
    let all = verbosity >= Verbosity::Output;
    let text = match event {
        Event::Start(name) => format!("start {name}"),
        Event::Stop(name) => format!("stop {name}"),
        Event::Spawn(subject) => format!("spawn process with pid {}", subject.pid),
        Event::Reap(subject) => format!("reap process with pid {}", subject.pid),
        Event::Exit { subject, reason, .. } => {
            format!("exit process with pid {}: {reason}", subject.pid)
        }
        Event::Flap(subject) => format!("flap process with pid {}", subject.pid),
        Event::Failed { reason, .. } => format!("failed: {reason}"),
        Event::LogFailed { stream, reason, .. } => format!("{stream} is not logged: {reason}"),
        Event::LogRecovered { stream, lines, .. } => {
            format!("{stream} is logged again, lines lost: {lines}")
        }
        Event::Load(name) if all => format!("load {name}"),
        Event::Unload(name) if all => format!("unload {name}"),
        Event::Update(name) if all => format!("update {name}"),
        Event::StopProcess(subject) if all => format!("stop process with pid {}", subject.pid),
        Event::Kill(subject, signal) if all => {
            format!("send {signal} to process with pid {}", subject.pid)
        }
        Event::KillJob(name, signal) if all => format!("send {signal} to {name}"),
        Event::Load(_)
        | Event::Unload(_)
        | Event::Update(_)
        | Event::StopProcess(_)
        | Event::Kill(..)
        | Event::KillJob(..) => return None,
    };
    Some(text)
}
