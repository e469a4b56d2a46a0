//! What happens on a node, in the words of supervisor's events. A session is a group there and an instance is a
//! process, by its job's label and its number: `groupname:site processname:web.1`.

use super::Listeners;
use crate::base::clock::Now;
use crate::base::ids::{InstanceId, StreamNo};
use crate::node::gaffer::Gaffer;
use crate::supervisor::event::Event;
use crate::supervisor::phases::{Phase, Step};
use crate::supervisor::Supervisor;
use crate::wire::listener;

/// What a step from one phase to another is called.
fn kind(to: Phase) -> &'static str {
    match to {
        Phase::Stopped => "PROCESS_STATE_STOPPED",
        Phase::Starting => "PROCESS_STATE_STARTING",
        Phase::Running => "PROCESS_STATE_RUNNING",
        Phase::Backoff => "PROCESS_STATE_BACKOFF",
        Phase::Stopping => "PROCESS_STATE_STOPPING",
        Phase::Exited => "PROCESS_STATE_EXITED",
        Phase::Fatal => "PROCESS_STATE_FATAL",
    }
}

/// What is said of a step.
fn payload(step: &Step) -> String {
    let (process, group) = (step.job.process_name(step.number), step.job.group_name());
    let begin = format!("processname:{process} groupname:{group} from_state:{}", step.from.word());
    let pid = step.os_pid.map_or(0, |pid| pid.0);
    match step.to {
        Phase::Starting | Phase::Backoff => format!("{begin} tries:{}", step.tries),
        Phase::Exited => format!("{begin} expected:{} pid:{pid}", u8::from(step.expected)),
        Phase::Running | Phase::Stopping | Phase::Stopped => format!("{begin} pid:{pid}"),
        Phase::Fatal => begin,
    }
}

impl Listeners {
    /// A job came or went. A session is there with its first job, and gone with its last.
    fn note_group(&mut self, event: &Event, supervisor: &Supervisor) {
        let (name, kind) = match event {
            Event::Load(name) if self.groups.insert(name.session().to_owned()) => {
                (name, "PROCESS_GROUP_ADDED")
            }
            Event::Unload(name) if !supervisor.has_session(name.session()) => {
                if !self.groups.remove(name.session()) {
                    return;
                }
                (name, "PROCESS_GROUP_REMOVED")
            }
            Event::Load(_)
            | Event::Unload(_)
            | Event::Start(_)
            | Event::Stop(_)
            | Event::Update(_)
            | Event::Spawn(_)
            | Event::Reap(_)
            | Event::StopProcess(_)
            | Event::Exit { .. }
            | Event::Flap(_)
            | Event::Failed { .. }
            | Event::LogFailed { .. }
            | Event::LogRecovered { .. }
            | Event::KillJob(..)
            | Event::Kill(..) => return,
        };
        self.offer(kind, || format!("groupname:{}\n", name.group_name()));
    }
}

impl Gaffer {
    /// Something happened to a job, of which listeners may be told, and after which it may be one.
    pub(in crate::node) fn note_for_listeners(&mut self, event: &Event, now: Now) {
        let before = self.listeners.is_empty();
        self.listeners.note(event.job(), &self.supervisor, now);
        let none = self.listeners.is_empty();
        if before != none {
            self.supervisor.note_steps(!none);
        }
        if !none && self.supervisor.pace().is_none() {
            self.listeners.note_group(event, &self.supervisor);
        }
    }

    /// Tells listeners what became of processes, and sends what there is to those that are ready. A node that
    /// ends has told them so, and nothing more.
    pub(in crate::node) fn serve_listeners(&mut self) {
        if self.listeners.is_empty() {
            return;
        }
        let ends = self.supervisor.pace().is_some();
        for step in self.supervisor.take_steps() {
            if !ends {
                self.listeners.offer(kind(step.to), || payload(&step));
            }
        }
        self.listeners.send(&self.supervisor, &mut self.stdins);
    }

    /// Tells listeners what a process wrote, unless it is a listener itself: they would hear themselves.
    pub(in crate::node) fn tell_listeners_output(
        &mut self,
        id: InstanceId,
        stream: StreamNo,
        bytes: &[u8],
    ) {
        let (kind, channel) = match stream {
            StreamNo::STDOUT => ("PROCESS_LOG_STDOUT", "stdout"),
            StreamNo::STDERR => ("PROCESS_LOG_STDERR", "stderr"),
            StreamNo(_) => return,
        };
        if !self.listeners.hear(kind) {
            return;
        }
        let Some(instance) = self.supervisor.instance(id) else { return };
        let Some(run) = instance.run.as_ref().filter(|run| run.spec.listen.is_empty()) else {
            return;
        };
        let Some(job) = self.supervisor.job(instance.job) else { return };
        let (process, group) = (job.name.process_name(instance.number), job.name.group_name());
        let pid = run.os_pid.map_or(0, |pid| pid.0);
        for piece in listener::pieces(bytes) {
            self.listeners.offer(kind, || {
                format!(
                    "processname:{process} groupname:{group} pid:{pid} channel:{channel}\n{piece}"
                )
            });
        }
    }

    /// The node has begun: its jobs are loaded.
    pub(in crate::node) fn tell_listeners_begin(&mut self) {
        self.listeners.offer("SUPERVISOR_STATE_CHANGE_RUNNING", String::new);
        self.serve_listeners();
    }

    /// The node begins to end. Those that are ready hear it before they are asked to stop.
    pub(in crate::node) fn tell_listeners_end(&mut self) {
        self.listeners.offer("SUPERVISOR_STATE_CHANGE_STOPPING", String::new);
        self.serve_listeners();
    }
}
