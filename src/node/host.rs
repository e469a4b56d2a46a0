//! What a host program may do with the node that runs inside it: its handlers and applications get a
//! [`Node`], which reaches jobs and nothing else. It cannot wait, and reaches no socket.

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{json, Map, Value};

use super::keys::caller::Caller;
use super::permission::Needs;
use super::programs::SESSION;
use crate::base::clock::Now;
use crate::base::ids::Pid;
use crate::base::process::Signal;
use crate::base::sorted::SortedMap;
use crate::front::request::Request;
use crate::front::response::Response;
use crate::front::rights::{Need, Right};
use crate::supervisor::job::Origin;
use crate::supervisor::name::JobName;
use crate::supervisor::spec::{JobEntry, Place};
use crate::supervisor::tables::Refusal;
use crate::supervisor::verbs::Scale;
use crate::supervisor::{spec_read, Supervisor};
use crate::wire::http::Method;

/// Why something was not done. `Display` is a text for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// There is no such job or process.
    NotFound,
    /// A job of this name is loaded.
    Exists,
    /// What was asked for cannot be; the text says why.
    Invalid(String),
    /// The job would have to be started for this.
    NotStarted,
    /// The node is ending, or has ended.
    Ended,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let same = match self {
            Self::NotFound => Refusal::NotFound,
            Self::Exists => Refusal::Exists,
            Self::Invalid(why) => Refusal::Invalid(why.clone()),
            Self::NotStarted => Refusal::NotStarted,
            Self::Ended => Refusal::ShuttingDown,
        };
        same.fmt(f)
    }
}

impl std::error::Error for Refused {}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::NotFound,
            Refusal::Exists => Self::Exists,
            Refusal::Invalid(why) => Self::Invalid(why),
            Refusal::NotStarted => Self::NotStarted,
            Refusal::ShuttingDown => Self::Ended,
        }
    }
}

/// Something that happened to a job or a process, as clients of the node are told it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// What: `load`, `unload`, `start`, `stop`, `update`, `spawn`, `reap`, `stop_process`, `exit`, `flap`,
    /// `failed` or `kill`.
    pub name: String,
    /// Its number, which only grows.
    pub seq: u64,
    /// When.
    pub time: SystemTime,
    /// The job it is about, as `session.job`.
    pub job: String,
    /// What is told of it: `pid`, `os_pid`, `exit_status` and so on.
    pub fields: Map<String, Value>,
}

/// The node, as its host may touch it.
///
/// A job's name is `session.job`, or `job` alone in the session `default`.
pub struct Node<'a> {
    pub(super) supervisor: &'a mut Supervisor,
    pub(super) now: Now,
    pub(super) wish: Wish,
}

/// What is done once the host's code has returned.
#[derive(Default)]
pub(super) struct Wish {
    /// The timer is set to this, or taken away.
    pub(super) timer: Option<Option<Instant>>,
    /// The node is to end.
    pub(super) ends: bool,
}

impl<'a> Node<'a> {
    pub(super) fn new(supervisor: &'a mut Supervisor, now: Now) -> Self {
        Self { supervisor, now, wish: Wish::default() }
    }

    /// What time it is.
    pub fn now(&self) -> SystemTime {
        self.now.wall
    }

    /// The names of all jobs, in the order in which they were loaded.
    pub fn jobs(&self) -> Vec<String> {
        self.supervisor.job_names().map(ToString::to_string).collect()
    }

    /// A job as `GET /jobs/SESSION/JOB` tells it, with its processes and their states.
    ///
    /// # Errors
    /// There is no such job.
    pub fn job(&self, name: &str) -> Result<Value, Refused> {
        Ok(json!(self.supervisor.view_job(&named(name)?, self.now)?))
    }

    /// A process as `GET /PID` tells it.
    ///
    /// # Errors
    /// There is no such process.
    pub fn process(&self, pid: u64) -> Result<Value, Refused> {
        Ok(json!(self.supervisor.view_process(Pid(pid), self.now)?))
    }

    /// Loads a job with this configuration, the object of the job options, and starts it unless that has
    /// `"start": false`. It is gone with the node, and not kept in a state directory.
    ///
    /// # Errors
    /// The name or the configuration is none, a job of this name is loaded, or no process of it could be
    /// started. Nothing is loaded then.
    pub fn load(&mut self, name: &str, config: &Value) -> Result<(), Refused> {
        let entry = entry(name, config)?;
        Ok(self.supervisor.load(entry, Origin::File, self.now)?)
    }

    /// Gives a job another configuration: its processes stop and come back with that.
    ///
    /// # Errors
    /// As [`Node::load`], or there is no such job.
    pub fn update(&mut self, name: &str, config: &Value) -> Result<(), Refused> {
        let entry = entry(name, config)?;
        Ok(self.supervisor.update(entry, self.now)?)
    }

    /// Stops a job's processes and takes it away.
    ///
    /// # Errors
    /// There is no such job.
    pub fn unload(&mut self, name: &str) -> Result<(), Refused> {
        Ok(self.supervisor.unload(&named(name)?, self.now)?)
    }

    /// Starts a job.
    ///
    /// # Errors
    /// There is no such job.
    pub fn start(&mut self, name: &str) -> Result<(), Refused> {
        Ok(self.supervisor.start_job(&named(name)?, self.now)?)
    }

    /// Stops a job. Its processes have their `graceful_timeout` to end.
    ///
    /// # Errors
    /// There is no such job.
    pub fn stop(&mut self, name: &str) -> Result<(), Refused> {
        Ok(self.supervisor.stop_job(&named(name)?, self.now)?)
    }

    /// Restarts a job's processes.
    ///
    /// # Errors
    /// There is no such job, or it is not started.
    pub fn restart(&mut self, name: &str) -> Result<(), Refused> {
        Ok(self.supervisor.restart_job(&named(name)?, self.now)?)
    }

    /// Has a job have this many processes; gives that number. A job that is stopped stays so.
    ///
    /// # Errors
    /// There is no such job, or it is more than there may be.
    pub fn scale(&mut self, name: &str, processes: u32) -> Result<u32, Refused> {
        let to = Scale::To(i64::from(processes));
        Ok(self.supervisor.scale(&named(name)?, to, self.now)?)
    }

    /// Sends a signal to all processes of a job, by name (`HUP`) or number.
    ///
    /// # Errors
    /// There is no such job or signal.
    pub fn signal(&mut self, name: &str, signal: &str) -> Result<(), Refused> {
        let known = Signal::parse(signal);
        let known =
            known.ok_or_else(|| Refused::Invalid(format!("there is no signal {signal:?}")))?;
        Ok(self.supervisor.kill_job(&named(name)?, known, self.now)?)
    }

    /// Has [`super::apps::App::timer`] called once this has passed, instead of when it was set to before.
    /// In a handler of a route it has no effect.
    pub fn set_timer(&mut self, after: Duration) {
        self.wish.timer = Some(self.now.mono.checked_add(after));
    }

    /// Has the timer not called any more.
    pub fn clear_timer(&mut self) {
        self.wish.timer = Some(None);
    }

    /// Ends the node, as SIGTERM does: all jobs are stopped first.
    pub fn shut_down(&mut self) {
        self.wish.ends = true;
    }
}

fn named(name: &str) -> Result<JobName, Refused> {
    JobName::parse(name).map_err(|error| Refused::Invalid(error.to_string()))
}

fn entry(name: &str, config: &Value) -> Result<JobEntry, Refused> {
    let name = named(name)?;
    if name.session() == SESSION {
        let what = format!("jobs of the session {SESSION} are those of plugins");
        return Err(Refused::Invalid(what));
    }
    let map = config.as_object().ok_or_else(|| Refused::Invalid("expected an object".into()))?;
    let mut map = map.clone();
    map.insert("name".into(), name.label().into());
    let spec = spec_read::read(&map).map_err(|error| Refused::Invalid(error.to_string()))?;
    let start = spec_read::wants_start(&map);
    Ok(JobEntry { name, spec: Rc::new(spec), start, place: Place::default() })
}

/// A request to a handler of the host. Who may not ask it has been sent away.
pub struct Asked<'a> {
    pub(super) request: &'a Request,
    pub(super) caller: &'a Caller,
    pub(super) parts: SortedMap<&'a str, &'a str>,
}

impl Asked<'_> {
    /// The method.
    pub fn method(&self) -> Method {
        self.request.method
    }

    /// The path as it was sent, still percent-encoded.
    pub fn path(&self) -> &str {
        &self.request.path
    }

    /// What stands in the path for `:name` or `#name` of the route's pattern, decoded; empty for a name
    /// that is not in it.
    pub fn part(&self, name: &str) -> &str {
        self.parts.get(name).copied().unwrap_or_default()
    }

    /// A value of the query, decoded; the first of its name. One that is no text is as good as none.
    pub fn query(&self, name: &str) -> Option<String> {
        self.request.query_value(name).ok().flatten()
    }

    /// A field of the head, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.headers.get(name)
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.request.body
    }

    /// The body as a JSON object.
    ///
    /// # Errors
    /// The 400 to answer.
    pub fn object(&self) -> Result<Map<String, Value>, Response> {
        super::body::object(self.request)
    }

    /// Who asks, for a log: a key's id and label, or a user of the machine. No secret is in it.
    pub fn who(&self) -> &str {
        &self.caller.who
    }

    /// Whether he may do everything.
    pub fn is_admin(&self) -> bool {
        self.caller.is_admin()
    }

    /// Whether he has this right on a job, `session.job`.
    pub fn may(&self, right: Right, job: &str) -> bool {
        JobName::parse(job).is_ok_and(|job| self.caller.may(&Need::Job(right, job)))
    }
}

/// What answers a request.
pub type Handler = Box<dyn FnMut(&mut Node<'_>, &Asked<'_>) -> Response>;

/// A route of the host.
pub struct HostRoute {
    /// The method. What answers GET answers HEAD too.
    pub method: Method,
    /// The path, with `:name` for a segment and `#name` for a number.
    pub pattern: String,
    /// What whoever asks has to have. A right on a session or job is one on that which the first open
    /// segments of the pattern name.
    pub needs: Needs,
    /// What answers.
    pub handler: Handler,
}
