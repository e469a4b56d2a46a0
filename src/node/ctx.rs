//! What an endpoint gets, and what it may answer. It reaches no socket and cannot wait: an answer
//! that needs time says what it waits for.

use std::time::Duration;

use serde_json::{Map, Value};

use super::api_logs::LogsWish;
use super::body;
use super::feeds::{Channel, Form, Source};
use super::health::Probe;
use super::keys::caller::Caller;
use super::keys::door::{Door, Then};
use super::machine::Tend;
use super::openapi::doc::Doc;
use super::permission::Subject;
use super::plugins::file::Wanted;
use super::plugins::Plugins;
use super::programs::forward::Forwarding;
use super::programs::Programs;
use super::reply;
use super::usage_history::UsageHistory;
use super::webhooks::Webhooks;
use crate::base::clock::{seconds_within, Now};
use crate::base::ids::{InstanceId, Pid, StreamNo};
use crate::base::level::Level;
use crate::base::limits;
use crate::front::passwords::Task;
use crate::front::peer::Peer;
use crate::front::request::Request;
use crate::front::response::Response;
use crate::supervisor::name::JobName;
use crate::supervisor::settled::Goal;
use crate::supervisor::tables::Refusal;
use crate::supervisor::Supervisor;
use crate::wire::openmetrics::Dialect;

/// One endpoint.
pub type Endpoint = fn(&mut Ctx<'_>, &Call<'_>) -> Result<Answer, Response>;

/// The node, as an endpoint may touch it.
pub struct Ctx<'a> {
    /// All jobs and processes.
    pub supervisor: &'a mut Supervisor,
    /// All keys and users.
    pub door: &'a mut Door,
    /// To whom events are posted.
    pub webhooks: &'a mut Webhooks,
    /// What stands beside the endpoints.
    pub plugins: &'a Plugins,
    /// Those among them that are programs.
    pub programs: &'a Programs,
    /// What was used in the last minutes.
    pub usages: &'a UsageHistory,
    /// Who asks. What he needs to ask this he has.
    pub caller: &'a Caller,
    /// What time it is.
    pub now: Now,
    /// Whether the node can keep its state on disk at present.
    pub degraded: bool,
}

/// One request to an endpoint.
pub struct Call<'a> {
    /// As it came,
    pub request: &'a Request,
    /// and from where.
    pub peer: Peer,
    /// What the route's pattern left open, in order.
    pub open: Vec<String>,
    /// What is written down of the route, in builds that check that it is true.
    pub doc: Option<&'static Doc>,
}

/// What an endpoint answers.
pub enum Answer {
    /// This, now.
    Now(Response),
    /// This, once something has come about.
    When(Wait),
    /// Statistics of these, once they are measured.
    Measure(Measure),
    /// This, for as long as the client stays.
    Follow(Follow),
    /// A websocket to a process.
    Open(Opening),
    /// `{"ok": true}`, once this is in the queue of a process.
    Write(Writing),
    /// This, once a password is hashed.
    Hash(Hashing),
    /// What the channel says to this rest of the path.
    Channel(Vec<String>),
    /// How it stands with each lookupd.
    Lookups,
    /// What comes of a test of this webhook.
    TestWebhook(String),
    /// What a program that extends the node says.
    Forward(Forwarding),
    /// How much of everything there is.
    Counters,
    /// Metrics, once what they tell of is measured.
    Metrics(Dialect),
    /// How the node is.
    Probe(Probe),
    /// What is in the log, after it was set to this, if to anything.
    LogLevel(Option<Level>),
    /// What there is to ask, as OpenAPI.
    Document,
    /// The dashboard's file of this name.
    Dashboard(String),
    /// What is kept of a stream from this position on.
    Kept(Channel, u64),
    /// The lines that are kept of a job.
    Logs(Box<LogsWish>),
    /// What this comes to, done with what is kept of output.
    Tend(Tend),
    /// This file.
    File(Wanted),
}

/// Something followed.
pub struct Follow {
    /// What.
    pub source: Source,
    /// How it comes.
    pub form: Form,
    /// How often something is sent when there is nothing to tell.
    pub heartbeat: Option<Duration>,
    /// What the client has already: the number of an event, or a position in a stream.
    pub since: Option<u64>,
}

/// A websocket to a process. What cannot be opened is told on the websocket itself.
pub struct Opening {
    /// How it speaks.
    pub form: Form,
    /// To whom.
    pub pid: Pid,
    /// To which of its streams.
    pub label: Option<String>,
    /// Whether to read.
    pub read: bool,
    /// Whether to write.
    pub write: bool,
}

/// Bytes for a process.
pub struct Writing {
    /// Where to.
    pub to: (InstanceId, StreamNo),
    /// What.
    pub bytes: Vec<u8>,
    /// Whether its end is told behind them.
    pub close: bool,
}

/// A password that is to be hashed, or held against its hash.
pub struct Hashing {
    /// Which, and what with.
    pub task: Task,
    /// What is done then.
    pub then: Then,
}

/// Something waited for.
pub struct Wait {
    /// What.
    pub until: Until,
    /// For how long at the most.
    pub timeout: Duration,
    /// The answer then.
    pub then: Response,
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Until {
    /// A job comes to a goal.
    Job(JobName, Goal),
    /// A process is gone.
    Gone(Pid),
}

/// How closely is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// At what costs little.
    Usual,
    /// At the proportional share of memory, too.
    Pss,
}

/// Whose statistics are asked for.
#[derive(Clone, Debug)]
pub enum Measure {
    /// Those of all processes of a job.
    Job(JobName, Depth),
    /// Those of one process.
    Process(Pid, Depth),
    /// Those of all jobs.
    All,
    /// None: which processes came from one.
    Tree(Pid),
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self::Now(response)
    }
}

impl Subject for Call<'_> {
    fn session(&self) -> Option<String> {
        self.open.first().cloned()
    }

    fn job(&self) -> Option<JobName> {
        Call::job(self).ok()
    }

    fn pid(&self) -> Option<Pid> {
        Call::pid(self).ok()
    }

    fn events(&self) -> String {
        self.open.join(".")
    }

    fn entry(&self) -> &str {
        self.part(0)
    }
}

impl Call<'_> {
    /// What the path's pattern left open at this position.
    pub fn part(&self, position: usize) -> &str {
        self.open.get(position).map(String::as_str).unwrap_or_default()
    }

    /// How closely a client wishes that is looked: `pss=1`.
    ///
    /// # Errors
    /// The answer to a wish that is none.
    pub fn depth(&self) -> Result<Depth, Response> {
        match self.query("pss")?.as_deref() {
            None | Some("0" | "false") => Ok(Depth::Usual),
            Some("" | "1" | "true") => Ok(Depth::Pss),
            Some(_) => Err(reply::bad_request("pss: expected 1 or 0")),
        }
    }

    /// The session in the path, whether or not there is one of that name.
    pub fn session(&self) -> &str {
        self.part(0)
    }

    /// The job in the path, of which both parts may be anything.
    ///
    /// # Errors
    /// The path names no possible job, so there is none.
    pub fn job(&self) -> Result<JobName, Refusal> {
        JobName::new(self.part(0), self.part(1)).map_err(|_| Refusal::NotFound)
    }

    /// The process number in the path.
    ///
    /// # Errors
    /// It is larger than any process's number.
    pub fn pid(&self) -> Result<Pid, Refusal> {
        self.part(0).parse().map(Pid).map_err(|_| Refusal::NotFound)
    }

    /// The body as a JSON object.
    ///
    /// # Errors
    /// The 400 to answer.
    pub fn object(&self) -> Result<Map<String, Value>, Response> {
        body::object(self.request)
    }

    /// A value of the query.
    ///
    /// # Errors
    /// The 400 to answer.
    pub fn query(&self, name: &str) -> Result<Option<String>, Response> {
        let is_known = self.doc.is_none_or(|doc| doc.query.iter().any(|param| param.name == name));
        debug_assert!(is_known, "{} reads ?{name}=, which is not written down", self.request.path);
        self.request.query_value(name).map_err(|error| reply::bad_request(&error.to_string()))
    }

    /// Answers at once, or as `?wait=running|stopped&timeout=SECONDS` wishes. Read before anything
    /// is done, so that a bad wish changes nothing.
    ///
    /// # Errors
    /// The 400 to answer.
    pub fn wish(&self) -> Result<Wish, Response> {
        let timeout = match self.query("timeout")? {
            None => limits::WAIT_DEFAULT,
            Some(text) => {
                let seconds = text.parse::<f64>().ok();
                let within = |s| seconds_within(s, Duration::ZERO, limits::WAIT_MOST);
                seconds.and_then(within).ok_or_else(|| {
                    let most = limits::WAIT_MOST.as_secs();
                    reply::bad_request(&format!("timeout: expected seconds from 0 to {most}"))
                })?
            }
        };
        let goal = match self.query("wait")?.as_deref() {
            None => None,
            Some("running") => Some(Goal::Running),
            Some("stopped") => Some(Goal::Stopped),
            Some(_) => return Err(reply::bad_request("wait: expected running or stopped")),
        };
        Ok(Wish { goal, timeout })
    }
}

/// What a client wishes to wait for.
pub struct Wish {
    goal: Option<Goal>,
    timeout: Duration,
}

impl Wish {
    /// The answer for a job, as the client wishes it.
    pub fn job(self, name: &JobName, then: Response) -> Answer {
        match self.goal {
            None => Answer::Now(then),
            Some(goal) => {
                let until = Until::Job(name.clone(), goal);
                Answer::When(Wait { until, timeout: self.timeout, then })
            }
        }
    }

    /// The answer for a process that is stopped, as the client wishes it; of `job` is waited for,
    /// if it is to run again.
    pub fn process(self, pid: Pid, job: &JobName, then: Response) -> Answer {
        let until = match self.goal {
            None => return Answer::Now(then),
            Some(Goal::Stopped) => Until::Gone(pid),
            Some(Goal::Running) => Until::Job(job.clone(), Goal::Running),
        };
        Answer::When(Wait { until, timeout: self.timeout, then })
    }
}
