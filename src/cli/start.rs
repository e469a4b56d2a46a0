//! `gaffer start`: the Procfile of this folder in the foreground, by the library's own machine in its
//! shell. There is no daemon, nothing listens, and nothing of it is left in the file system.

use std::rc::Rc;

use super::args::Invocation;
use super::failure::Failure;
use super::foreground::{Foreground, Rule};
use super::lines::{Form, Style};
use super::loading::{self, Numbers};
use super::names;
use super::screen::{Screen, Stamp};
use super::terminal::Terminal;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::daemon::host;
use crate::node::gaffer::{Gaffer, Legacy};
use crate::reactor::files::Files;
use crate::reactor::store::Settings as Store;
use crate::reactor::turn::{Parts, Reactor, Share};
use crate::supervisor::name::{check_session, DEFAULT_SESSION};
use crate::supervisor::restart::RestartPolicy;
use crate::supervisor::spec::{JobEntry, JobSpec};
use crate::sys::ports::Listening;
use crate::sys::spawn::Spawner;
use crate::sys::{reap, startup};

/// The process type that is for a deployment: it ends, and belongs to no running application.
const RELEASE: &str = "release";

/// What is to run, and how.
struct Plan {
    jobs: Vec<JobEntry>,
    /// The process types of the file, in its order.
    kinds: Vec<String>,
    rule: Rule,
    /// What is to be told before.
    notes: Vec<String>,
}

/// `gaffer start`.
pub fn start(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let environ = host::environment();
    let mut plan = plan(invocation, &environ)?;
    plan.notes.extend(taken_ports(&plan.jobs));
    let stamp = match (terminal.is_json(), terminal.has_color()) {
        (true, _) => Stamp::Json,
        (false, true) => Stamp::Dim,
        (false, false) => Stamp::Plain,
    };
    let code = run(plan, environ, stamp).map_err(Failure::Failed)?;
    if code == 0 {
        Ok(())
    } else {
        Err(Failure::Code(code))
    }
}

fn plan(invocation: &Invocation, environ: &SortedMap<String, String>) -> Result<Plan, Failure> {
    let rule = match (invocation.has("restart"), invocation.has("exit-on-failure")) {
        (true, true) => {
            return Err(Failure::usage("--restart and --exit-on-failure exclude each other"));
        }
        (true, false) => Rule::Restarts,
        (false, true) => Rule::FailureStopsAll,
        (false, false) => Rule::StopsAll,
    };
    let mut application = loading::opened(invocation, &session(invocation))?;
    application.port = match invocation.number("port")? {
        None => None,
        Some(port) => match u16::try_from(port) {
            Ok(port @ 1..) => Some(port),
            Ok(0) | Err(_) => {
                return Err(Failure::usage(format!(
                    "--port: {port} is no port number; expected 1 to 65535"
                )));
            }
        },
    };
    let mut notes = Vec::new();
    let jobs = application.jobs(environ, 5000, &mut notes).map_err(Failure::Failed)?;
    let kinds: Vec<String> = jobs.iter().map(|job| job.name.label().to_owned()).collect();
    let numbers = loading::concurrency(invocation, &kinds)?;
    let only = only(invocation);
    if let Some(stranger) = only.iter().find(|name| !kinds.contains(name)) {
        let flag = if invocation.words.contains(stranger) { "" } else { "--only: " };
        let known = kinds.join(", ");
        return Err(Failure::usage(format!("{flag}the Procfile has no {stranger:?}, but {known}")));
    }
    let wanted = |name: &str| {
        let named = only.contains(name) || numbers.named.contains(name);
        (only.is_empty() || only.contains(name)) && (name != RELEASE || named)
    };
    if only.is_empty() && kinds.iter().any(|kind| kind == RELEASE && !wanted(kind)) {
        notes.push(
            "release is for a deployment and not started; gaffer start release runs it".into(),
        );
    }
    let jobs = jobs.into_iter().filter(|job| wanted(job.name.label()));
    let jobs: Vec<JobEntry> = jobs
        .map(|job| fitted(job, rule, &numbers))
        .filter(|job| job.spec.numprocesses > 0)
        .collect();
    if jobs.is_empty() {
        return Err(Failure::failed(match notes.iter().find(|note| note.starts_with(RELEASE)) {
            Some(note) if !kinds.iter().any(|kind| wanted(kind)) => {
                format!("nothing is to be started: {note}")
            }
            Some(_) | None => "nothing is to be started: there are 0 of everything".to_owned(),
        }));
    }
    Ok(Plan { jobs, kinds, rule, notes })
}

/// The name of the application, or, since nobody will call it by that, another where the folder's is
/// none.
fn session(invocation: &Invocation) -> String {
    let name = names::application(invocation);
    check_session(&name).map_or_else(|_| DEFAULT_SESSION.to_owned(), |()| name)
}

/// The process types that are wanted alone: those of `--only` and those that are named.
fn only(invocation: &Invocation) -> SortedSet<String> {
    let listed = invocation.values("only").iter().flat_map(|list| list.split(','));
    let listed = listed.map(str::trim).filter(|name| !name.is_empty());
    listed.map(str::to_owned).chain(invocation.words.iter().cloned()).collect()
}

fn fitted(job: JobEntry, rule: Rule, numbers: &Numbers) -> JobEntry {
    let mut spec: JobSpec = (*job.spec).clone();
    if rule != Rule::Restarts {
        Rc::make_mut(&mut spec.options).rules.policy = RestartPolicy::Never;
    }
    if let Some(number) = numbers.of(job.name.label()) {
        spec.numprocesses = number;
    }
    JobEntry { spec: Rc::new(spec), ..job }
}

/// What is to be told of ports that others have. It is no reason not to start: most process types
/// are given a port and do not use it.
fn taken_ports(jobs: &[JobEntry]) -> Vec<String> {
    let listening = Listening::now();
    let mut notes = Vec::new();
    for job in jobs {
        let Some(base) = job.spec.port else { continue };
        for number in 1..=job.spec.numprocesses {
            let above = u16::try_from(number - 1).ok();
            let port = above.and_then(|above| base.checked_add(above));
            let Some(port) = port.filter(|port| listening.has(*port)) else { continue };
            let holder = match listening.holder(port) {
                Some(holder) => format!("{} (pid {})", holder.name, holder.os_pid),
                None => "a process of another user".into(),
            };
            let name = job.name.label();
            notes.push(format!(
                "port {port} of {name}.{number} is taken already by {holder}; choose other ports with -p"
            ));
        }
    }
    notes
}

fn run(plan: Plan, environ: SortedMap<String, String>, stamp: Stamp) -> Result<u8, String> {
    let told = |error: std::io::Error| error.to_string();
    let nofile = startup::raise_nofile();
    let gaffer = Gaffer::new(host::setup(environ, host::passing_word())?);
    loading::sound(&gaffer, &plan.jobs)?;
    let names = plan
        .jobs
        .iter()
        .map(|job| job.name.label().len() + 1 + job.spec.numprocesses.to_string().len());
    let width = names.chain(["system".len()]).max().unwrap_or(0);
    let form = match stamp {
        Stamp::Json => Form::Json,
        Stamp::Plain | Stamp::Dim => Form::Text(Style { color: stamp == Stamp::Dim, width }),
    };
    let spawner =
        Spawner::new(nofile).map_err(|errno| format!("cannot start processes: {errno}"))?;
    // Without it, what leaves its group and then loses its parent is not found any more.
    let adopts = reap::become_subreaper();
    let screen = Screen::new(stamp).map_err(told)?;
    let parts = Parts {
        spawner,
        files: Files::nowhere(),
        logs: Store::default(),
        world: Box::new(screen),
        share: Share::ALL,
    };
    let machine = Foreground::new(gaffer, plan.rule, form, plan.kinds);
    let mut reactor = Reactor::new(machine, parts).map_err(told)?;
    let (machine, now) = reactor.machine();
    for note in &plan.notes {
        machine.say(note);
    }
    if let Err(errno) = adopts {
        machine.say(&format!("orphans of the processes will not be found: {errno}"));
    }
    machine.gaffer.begin(Legacy::default(), plan.jobs, now);
    reactor.run().map_err(|error| format!("the loop failed: {error}"))
}
