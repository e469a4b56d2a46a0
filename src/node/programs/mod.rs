//! Programs that extend the node: each is a job of the session `_plugin`, speaks the channel over its stdin
//! and stdout, a message a line ([`talk`]), and answers requests below its own path over a socket that it is
//! given ([`forward`]). It may do what its manifest asks for and the configuration grants.

pub mod forward;
pub mod manifest;
pub mod talk;

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use serde_json::{json, Value};

use super::keys::caller::Caller;
use super::plugins::{Plugin, PREFIX};
use crate::base::clock::Now;
use crate::base::ids::{InstanceId, StreamNo};
use crate::base::sorted::SortedMap;
use crate::front::rights::Permissions;
use crate::front::router::{Found, Router};
use crate::supervisor::name::JobName;
use crate::supervisor::Supervisor;
use crate::wire::http::Method;

use manifest::Manifest;
use talk::Talk;

/// The session of their jobs, which nobody else loads jobs into.
pub const SESSION: &str = PREFIX;

/// A program, as the configuration has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// What it says of itself.
    pub manifest: Manifest,
    /// What it may do at the most.
    pub granted: Permissions,
    /// The socket on which it answers requests, if it answers any.
    pub socket: Option<PathBuf>,
}

/// All programs, and those that run.
#[derive(Default)]
pub struct Programs {
    known: SortedMap<String, Known>,
    talks: SortedMap<InstanceId, Talk>,
    /// Streams of which more is taken again.
    wanted: Vec<(InstanceId, StreamNo)>,
}

/// A program that there is.
struct Known {
    program: Program,
    /// To the numbers of its routes.
    router: Router<usize>,
    tally: Tally,
}

/// What has become of a program so far.
#[derive(Clone, Debug, Default)]
struct Tally {
    /// Requests that were passed on to it.
    requests: u64,
    /// Those among them that it did not answer, or not to the end.
    failed: u64,
    /// Lines that were no messages.
    invalid: u64,
    /// Messages that it could not be told.
    untold: u64,
    /// What went wrong last.
    error: Option<String>,
}

impl Programs {
    /// There are these from now on. What has become of one that was there before is known still.
    pub fn configure(&mut self, plugins: &[Plugin]) {
        let mut before = std::mem::take(&mut self.known);
        for program in plugins.iter().filter_map(|plugin| plugin.program.clone()) {
            let mut router = Router::default();
            for (number, route) in program.manifest.routes.iter().enumerate() {
                router.add(route.method, &route.pattern, number);
                if route.method == Method::Get {
                    router.add(Method::Head, &route.pattern, number);
                }
            }
            let name = program.manifest.name.clone();
            let tally = before.remove(&name).map(|known| known.tally).unwrap_or_default();
            self.known.insert(name, Known { program, router, tally });
        }
    }

    /// The name of the program whose job this is.
    fn of_job<'a>(&self, job: &'a JobName) -> Option<&'a str> {
        let label = job.label();
        (job.session() == SESSION && self.known.contains_key(label)).then_some(label)
    }

    /// As whom a program says something.
    fn caller(&self, name: &str) -> Rc<Caller> {
        match self.known.get(name) {
            Some(Known { program, .. }) => {
                Caller::of_plugin(name, &program.manifest.permissions, &program.granted)
            }
            None => Caller::nobody(),
        }
    }

    /// Where a request leads that is for this program, by the rest of its path.
    pub(super) fn find(&self, name: &str, method: Method, rest: &[String]) -> Found<'_, usize> {
        self.known.get(name).map_or(Found::Nothing, |known| known.router.find(method, rest))
    }

    /// Whether there is a program of this name.
    pub fn has(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }

    fn note(&mut self, name: &str, note: impl FnOnce(&mut Tally)) {
        if let Some(known) = self.known.get_mut(name) {
            note(&mut known.tally);
        }
    }

    /// How it stands with a program.
    pub fn view(&self, name: &str, supervisor: &Supervisor, now: Now) -> Option<Value> {
        let Known { program, tally, .. } = self.known.get(name)?;
        let job = JobName::new(SESSION, name).ok()?;
        let view = supervisor.view_job(&job, now).ok().map(|view| json!(view));
        let of_job = |member: &str| view.as_ref().map_or(Value::Null, |view| view[member].clone());
        let mut members = program.manifest.to_value();
        let absent = || json!("its job was unloaded, or could not be loaded, which the log tells");
        let reason = if view.is_some() { of_job("reason") } else { absent() };
        let (programs, grants) = (of_job("processes"), program.granted.to_value());
        members.extend([
            ("state".to_owned(), of_job("state")),
            ("reason".to_owned(), reason),
            ("restarts".to_owned(), of_job("restarts")),
            ("pids".to_owned(), programs),
            ("granted".to_owned(), grants),
            ("requests".to_owned(), json!(tally.requests)),
            ("failed_requests".to_owned(), json!(tally.failed)),
            ("invalid_messages".to_owned(), json!(tally.invalid)),
            ("untold_messages".to_owned(), json!(tally.untold)),
            ("last_error".to_owned(), json!(tally.error)),
        ]);
        Some(Value::Object(members))
    }

    /// When somebody is heard again who said too much.
    pub fn deadline(&self) -> Option<Instant> {
        self.talks.values().filter_map(Talk::rests_until).min()
    }

    /// Checks that whoever talks runs.
    ///
    /// # Errors
    /// Somebody does not, in words.
    pub(super) fn sweep(&self, runs: impl Fn(InstanceId) -> bool) -> Result<(), String> {
        match self.talks.iter().find(|(id, talk)| !talk.is_over() && !runs(**id)) {
            Some((id, _)) => Err(format!("{id:?} is over and still talks as a plugin")),
            None => Ok(()),
        }
    }
}
