//! What each route, command and topic needs, and whether somebody has it: every way in asks here, and
//! nowhere else.

use super::keys::caller::Caller;
use super::keys::door::Door;
use super::reply::manager_error;
use super::topics::{Topic, Watched, Written};
use crate::base::ids::Pid;
use crate::front::response::Response;
use crate::front::rights::{Need, Right};
use crate::supervisor::name::JobName;
use crate::supervisor::spec::{Dialect, JobSpec};
use crate::supervisor::tables::Refusal;
use crate::supervisor::Supervisor;
use crate::wire::listener::kinds;

/// What a route or a command needs, as its table says it. Whose job or session it is comes with the
/// request; where it names none, all are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// What is asked for on the websocket itself, once that is there.
    Within,
    /// To be known: what comes of it is what one may see.
    Known,
    /// To do everything.
    Admin,
    /// A right on all jobs.
    All(Right),
    /// A right on a session.
    Session(Right),
    /// A right on a job.
    Job(Right),
    /// A right on the job of a process.
    Process(Right),
    /// To see events of this name.
    Events,
    /// To see all keys or users.
    Registry,
    /// To make keys.
    Keys,
    /// To make keys, or to have this one.
    OwnKey,
    /// To make users.
    Users,
    /// To make users, or to be this one.
    OwnUser,
}

/// What a request is about.
pub trait Subject {
    /// Its session.
    fn session(&self) -> Option<String>;
    /// Its job.
    fn job(&self) -> Option<JobName>;
    /// Its process.
    fn pid(&self) -> Option<Pid>;
    /// The beginning of the names of its events.
    fn events(&self) -> String;
    /// Its key or user.
    fn entry(&self) -> &str;
}

/// The node, as far as permissions depend on it.
pub struct World<'a> {
    /// Whose job is a process?
    pub supervisor: &'a Supervisor,
    /// Whose key is it?
    pub door: &'a Door,
}

impl World<'_> {
    /// Whether somebody may do what needs this.
    ///
    /// # Errors
    /// The answer to give instead of a refusal: there is nothing of that kind.
    pub fn permits(
        &self,
        caller: &Caller,
        needs: Needs,
        subject: &dyn Subject,
    ) -> Result<bool, Response> {
        let job = |right, job: Option<JobName>| match job {
            Some(job) => Need::Job(right, job),
            None => Need::All(Right::Manage),
        };
        let need = match needs {
            Needs::Nothing | Needs::Within => Need::Nothing,
            Needs::Known => Need::Known,
            Needs::Admin => Need::Admin,
            Needs::All(right) => Need::All(right),
            Needs::Session(right) => match subject.session() {
                Some(session) => Need::Session(right, session),
                None => Need::All(right),
            },
            Needs::Job(right) => job(right, subject.job()),
            Needs::Process(right) => return self.permits_process(caller, right, subject.pid()),
            Needs::Events => self.events(&subject.events()),
            Needs::Registry | Needs::OwnKey | Needs::OwnUser if caller.is_anybody() => {
                return Err(Response::error(404, Some("no key is asked for on this node")));
            }
            Needs::Registry => Need::Admin,
            Needs::Keys => Need::Keys,
            Needs::OwnKey => {
                let named = self.door.keys.named(subject.entry());
                if caller.key.is_some() && caller.key.as_ref() == named {
                    return Ok(true);
                }
                Need::Keys
            }
            Needs::Users => Need::Users,
            Needs::OwnUser => {
                if self.door.belongs(caller, subject.entry()) {
                    return Ok(true);
                }
                Need::Users
            }
        };
        Ok(caller.may(&need))
    }

    /// A process that is not there is told before anything else (the protocol, section 2.2).
    fn permits_process(
        &self,
        caller: &Caller,
        right: Right,
        pid: Option<Pid>,
    ) -> Result<bool, Response> {
        if caller.may(&Need::All(right)) {
            return Ok(true);
        }
        let job = pid.and_then(|pid| self.job_of(pid));
        let job = job.ok_or_else(|| manager_error(&Refusal::NotFound))?;
        Ok(caller.may(&Need::Job(right, job)))
    }

    /// The job of a process.
    pub fn job_of(&self, pid: Pid) -> Option<JobName> {
        let instance = self.supervisor.instance_id(pid).ok()?;
        let instance = self.supervisor.instance(instance)?;
        self.supervisor.job(instance.job).map(|job| job.name.clone())
    }

    /// What it needs to see the events whose names begin so.
    fn events(&self, prefix: &str) -> Need {
        let mut parts = prefix.splitn(3, '.');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("job"), Some(session), None) => Need::Session(Right::Manage, session.into()),
            (Some("job"), Some(session), Some(rest)) => {
                // Without the mark at the end of a job's whole name, other jobs may begin so.
                let whole = rest.strip_suffix(".*").map(|label| JobName::new(session, label));
                match whole {
                    Some(Ok(job)) => Need::Job(Right::Manage, job),
                    Some(Err(_)) | None => Need::Session(Right::Manage, session.into()),
                }
            }
            (Some("proc"), Some(pid), _) => self.process(Right::Manage, pid.parse().ok().map(Pid)),
            _ => Need::All(Right::Manage),
        }
    }

    fn process(&self, right: Right, pid: Option<Pid>) -> Need {
        match pid.and_then(|pid| self.job_of(pid)) {
            Some(job) => Need::Job(right, job),
            None => Need::All(right),
        }
    }

    /// What it needs to follow a topic (the protocol, section 4.7).
    pub fn topic(&self, topic: &Topic) -> Need {
        match topic {
            Topic::Events(prefix) => self.events(prefix),
            Topic::Process(pid) => self.process(Right::Manage, Some(*pid)),
            Topic::Stats(Watched::All) => Need::All(Right::Read),
            // It tells of what one may read.
            Topic::Usage => Need::Known,
            Topic::Stats(Watched::Job(job)) => Need::Job(Right::Read, job.clone()),
            Topic::Stats(Watched::Process(pid)) | Topic::Stream(pid, _) => {
                self.process(Right::Read, Some(*pid))
            }
            Topic::Logs(Written::Job(job, _)) => Need::Job(Right::Read, job.clone()),
            Topic::Logs(Written::Session(session)) => Need::Session(Right::Read, session.clone()),
        }
    }

    /// What it needs to have processes of this specification hear what they are to hear.
    pub fn hearing(&self, spec: &JobSpec) -> Vec<Need> {
        match spec.listen_protocol {
            Dialect::Gaffer => spec.listen.iter().map(|prefix| self.events(prefix)).collect(),
            // These tell of all jobs, and one kind of them what those write.
            Dialect::Supervisor => {
                let need = |kind: &String| match kinds::is_output(kind) {
                    true => Need::All(Right::Read),
                    false => Need::All(Right::Manage),
                };
                spec.listen.iter().map(need).collect()
            }
        }
    }

    /// Whether somebody may read from a process, and write to it.
    pub fn socket(&self, caller: &Caller, pid: Pid) -> (bool, bool) {
        let may = |right| caller.may(&self.process(right, Some(pid)));
        (may(Right::Read), may(Right::Write))
    }
}
