//! Commands that change jobs. Several are worked on at once, on one node or on many, and told in their order;
//! what fails does not keep the others from being done, and is the exit code at the end.

use std::time::Duration;

use serde_json::{json, Map, Value};

use super::args::Invocation;
use super::connect;
use super::failure::Failure;
use super::loading;
use super::names::{self, Target};
use super::outcome::Outcome;
use super::parallel;
use super::sites::{self, Sites, Wanted};
use super::terminal::Terminal;
use crate::client::{Error, Job, Server, State};

/// How long a job is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// The exit code for what does not run.
const NOT_RUNNING: u8 = 3;

/// What is to be done on each node.
struct Work<T> {
    sites: Sites,
    /// For each node what is done there.
    items: Vec<Vec<T>>,
    outcome: Outcome,
}

impl<T: Sync + Send> Work<T> {
    /// Asks each node for what is to be done there.
    fn find(
        invocation: &Invocation,
        words: &[String],
        terminal: &mut Terminal,
        find: impl Fn(&mut Server) -> Result<Vec<T>, Failure> + Sync,
    ) -> Result<Self, Failure> {
        let sites = Sites::of(invocation, terminal, Wanted::WithJobs(words))?;
        let mut items: Vec<Vec<T>> = sites.all().iter().map(|_| Vec::new()).collect();
        let mut outcome = Outcome::default();
        let once = sites.all().iter().map(|site| (&site.server, vec![()])).collect::<Vec<_>>();
        parallel::each(
            &once,
            |server, ()| find(server),
            |site, (), found| match found {
                Ok(found) => {
                    items[site] = found;
                    Ok(())
                }
                Err(failure) => outcome.fail((&sites, site), failure, terminal),
            },
        )?;
        Ok(Self { sites, items, outcome })
    }

    /// Does something to each item of these nodes, and tells it.
    fn each<R: Send>(
        &mut self,
        terminal: &mut Terminal,
        which: std::ops::Range<usize>,
        act: impl Fn(&mut Server, &T) -> Result<R, Error> + Sync,
        mut tell: impl FnMut(&mut Printed<'_>, &T, Result<R, Error>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Self { sites, items, outcome } = self;
        let first = which.start;
        let mut work = Vec::new();
        for (site, items) in sites.all().iter().zip(items).take(which.end).skip(first) {
            work.push((&site.server, std::mem::take(items)));
        }
        parallel::each(&work, act, |index, item, result| {
            let site = first + index;
            match result {
                Err(error @ Error::NoNode { .. }) if outcome.has_failed(site) => {
                    // It is gone, and said so.
                    drop(error);
                    Ok(())
                }
                Err(error @ Error::NoNode { .. }) => {
                    outcome.fail((sites, site), error.into(), terminal)
                }
                result => tell(&mut Printed { sites, site, outcome, terminal }, item, result),
            }
        })
    }

    fn end(&self, terminal: &mut Terminal) -> Result<(), Failure> {
        self.outcome.end(&self.sites, terminal)
    }

    fn all(&self) -> std::ops::Range<usize> {
        0..self.sites.len()
    }
}

/// Where what came of an item on a node is told.
struct Printed<'a> {
    sites: &'a Sites,
    site: usize,
    outcome: &'a mut Outcome,
    terminal: &'a mut Terminal,
}

impl Printed<'_> {
    /// For people as a line, for programs as an object with the node in it.
    fn done(&mut self, line: &str, mut value: Value) -> Result<(), Failure> {
        if !self.terminal.is_json() {
            let prefix = self.sites.prefix(self.site, self.terminal.has_color());
            return self.terminal.line(&format!("{prefix}{line}"));
        }
        if let (Some(label), Some(members)) = (self.sites.label(self.site), value.as_object_mut()) {
            members.insert("node".into(), json!(label));
        }
        self.terminal.json(&value)
    }

    fn failed(&mut self, line: &str, code: u8) {
        self.terminal.remark(&format!("{}{line}", self.sites.in_front(self.site)));
        self.outcome.failed(self.site, code);
    }
}

/// Does something to each target of these nodes, and tells it.
fn each(
    terminal: &mut Terminal,
    (work, which): (&mut Work<Target>, std::ops::Range<usize>),
    (told_as, done): (&str, &str),
    act: impl Fn(&mut Server, &Target) -> Result<(), Error> + Sync,
) -> Result<(), Failure> {
    work.each(terminal, which, act, |printed, target, result| {
        told(printed, target, (told_as, done), result)
    })
}

/// Tells what came of a target.
fn told(
    printed: &mut Printed<'_>,
    target: &Target,
    (told, done): (&str, &str),
    result: Result<(), Error>,
) -> Result<(), Failure> {
    let name = shown(target);
    let Err(error) = result else {
        return printed.done(&format!("{name}: {told}"), json!({"name": name, "done": done}));
    };
    let missing = matches!(target, Target::Process(_)) && error.is_not_found();
    let why = if missing { "not found".into() } else { error.to_string() };
    printed.failed(&format!("{name}: {why}"), 1);
    Ok(())
}

fn shown(target: &Target) -> String {
    match target {
        Target::Job(name) => name.clone(),
        Target::Process(pid) => format!("process {pid}"),
    }
}

fn as_jobs(names: Vec<String>) -> Vec<Target> {
    names.into_iter().map(Target::Job).collect()
}

/// Asks before all of an application is touched, or whatever fits a pattern; or what is on several nodes.
fn confirmed(
    terminal: &mut Terminal,
    invocation: &Invocation,
    (verb, work): (&str, &Work<Target>),
) -> Result<bool, Failure> {
    let is_pattern = |word: &String| word.contains(['*', '?']);
    let touched = work.all().filter(|site| !work.items[*site].is_empty());
    let on = match work.sites.labels(touched) {
        labels if labels.is_empty() => String::new(),
        labels => format!(" on {labels}"),
    };
    if terminal.is_json()
        || (on.is_empty()
            && !invocation.words.is_empty()
            && !invocation.words.iter().any(is_pattern))
    {
        return Ok(true);
    }
    if invocation.words.is_empty() {
        let app = names::application(invocation);
        return terminal.agrees(&format!("Do you want to {verb} all jobs of '{app}'{on}"));
    }
    let mut names: Vec<String> = Vec::new();
    for name in work.items.iter().flatten().map(shown) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    terminal.agrees(&format!("Do you want to {verb} {}{on}", names.join(", ")))
}

/// Acts on the jobs that are named, or on those of the application.
fn on_jobs(
    invocation: &Invocation,
    terminal: &mut Terminal,
    (verb, done): (&str, &str),
    act: impl Fn(Job<'_>) -> Result<(), Error> + Sync,
) -> Result<(), Failure> {
    let find =
        |server: &mut Server| names::jobs(server, invocation, &invocation.words).map(as_jobs);
    let mut work = Work::find(invocation, &invocation.words, terminal, find)?;
    if !confirmed(terminal, invocation, (verb, &work))? {
        return Ok(());
    }
    let waits = !invocation.has("no-wait");
    let act = |server: &mut Server, target: &Target| match target {
        Target::Job(name) if waits => act(server.job(name).waiting(PATIENCE)),
        Target::Job(name) => act(server.job(name)),
        Target::Process(_) => Ok(()),
    };
    if !invocation.has("rolling") {
        let all = work.all();
        each(terminal, (&mut work, all), (done, done), act)?;
        return work.end(terminal);
    }
    for site in work.all() {
        if !work.outcome.has_failed(site) {
            each(terminal, (&mut work, site..site + 1), (done, done), act)?;
        }
        if work.outcome.has_failed(site) {
            work.outcome.stopped_before(site + 1);
            break;
        }
    }
    work.end(terminal)
}

/// Names the jobs of `--from-file`, too.
fn with_file(invocation: &mut Invocation) -> Result<(), Failure> {
    let Some(file) = invocation.value("from-file") else { return Ok(()) };
    let jobs = loading::of_file(file, &names::application(invocation))?;
    invocation.words.extend(jobs.into_iter().map(|job| job.name.to_string()));
    Ok(())
}

/// `gaffer unload`.
pub fn unload(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    with_file(invocation)?;
    on_jobs(invocation, terminal, ("unload", "unloaded"), |mut job| job.unload())
}

/// `gaffer reload`.
pub fn reload(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    with_file(invocation)?;
    on_jobs(invocation, terminal, ("reload", "reloaded"), |mut job| job.set(State::Reloaded))
}

/// `gaffer start`, on a node.
pub fn start(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    on_jobs(invocation, terminal, ("start", "started"), |mut job| job.set(State::Started))
}

/// `gaffer restart`, with `--rolling` one node after the other.
pub fn restart(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    if invocation.has("rolling") && invocation.has("no-wait") {
        return Err(Failure::usage("--rolling waits for each node: leave out --no-wait"));
    }
    on_jobs(invocation, terminal, ("restart", "restarted"), |mut job| job.restart())
}

/// `gaffer stop`: jobs, or single processes.
pub fn stop(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let words = &invocation.words;
    let find = |server: &mut Server| names::targets(server, invocation, words);
    let mut work = Work::find(invocation, words, terminal, find)?;
    if !confirmed(terminal, invocation, ("stop", &work))? {
        return Ok(());
    }
    let waits = !invocation.has("no-wait");
    let act = |server: &mut Server, target: &Target| match target {
        Target::Job(name) if waits => server.job(name).waiting(PATIENCE).set(State::Stopped),
        Target::Job(name) => server.job(name).set(State::Stopped),
        Target::Process(pid) if waits => server.process(*pid).waiting(PATIENCE).stop(),
        Target::Process(pid) => server.process(*pid).stop(),
    };
    let all = work.all();
    each(terminal, (&mut work, all), ("stopped", "stopped"), act)?;
    work.end(terminal)
}

/// `gaffer kill`: a signal to a process, or to all of a job.
pub fn kill(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let [what, signal] = invocation.words.as_slice() else {
        return Err(Failure::usage("gaffer kill JOB|PID SIGNAL"));
    };
    let (what, signal) = (vec![what.clone()], signal.clone());
    // Each with whether it has a process.
    let find = |server: &mut Server| -> Result<Vec<(Target, bool)>, Failure> {
        let mut targets = Vec::new();
        for target in names::targets(server, invocation, &what)? {
            let active = match &target {
                Target::Job(name) => server.job(name).info()?["active"] == true,
                Target::Process(_) => true,
            };
            targets.push((target, active));
        }
        Ok(targets)
    };
    let mut work = Work::find(invocation, &what, terminal, find)?;
    let act = |server: &mut Server, (target, active): &(Target, bool)| match target {
        _ if !active => Ok(()),
        Target::Job(name) => server.job(name).signal(&signal),
        Target::Process(pid) => server.process(*pid).signal(&signal),
    };
    let all = work.all();
    work.each(terminal, all, act, |printed, (target, active), result| {
        if !active {
            printed.failed(&format!("{} has no process", shown(target)), NOT_RUNNING);
            return Ok(());
        }
        told(printed, target, (&format!("{signal} sent"), "signalled"), result)
    })?;
    work.end(terminal)
}

/// `gaffer scale`: `NAME=N`, `NAME+N`, `NAME-N`. All are read before any is done.
pub fn scale(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let wishes: Option<Vec<(String, String)>> =
        invocation.words.iter().map(|word| scale_of(word)).collect();
    let wishes = wishes.filter(|wishes| !wishes.is_empty()).ok_or_else(|| {
        Failure::usage("gaffer scale NAME=N, NAME+N or NAME-N, as many as you like")
    })?;
    let words: Vec<String> = wishes.iter().map(|(word, _)| word.clone()).collect();
    let find = |server: &mut Server| -> Result<Vec<(String, String)>, Failure> {
        let (mut all, mut lacking) = (Vec::new(), None);
        for (word, change) in &wishes {
            match names::jobs(server, invocation, std::slice::from_ref(word)) {
                Ok(names) => all.extend(names.into_iter().map(|name| (name, change.clone()))),
                // It may be on another node.
                Err(why @ Failure::Failed(_)) if sites::is_across(invocation) => {
                    lacking = lacking.or(Some(why));
                }
                Err(why) => return Err(why),
            }
        }
        match lacking {
            Some(why) if all.is_empty() => Err(why),
            Some(_) | None => Ok(all),
        }
    };
    let mut work = Work::find(invocation, &words, terminal, find)?;
    let act = |server: &mut Server, (name, change): &(String, String)| -> Result<_, Error> {
        let number = server.job(name).scale(change)?;
        Ok((number, server.job(name).info()?["desired"] == "up"))
    };
    let all = work.all();
    work.each(terminal, all, act, |printed, (name, _), done| {
        let (number, up) = match done {
            Ok(done) => done,
            Err(error) => {
                printed.failed(&format!("{name}: {error}"), 1);
                return Ok(());
            }
        };
        let now = if up {
            format!("now running {number}")
        } else {
            format!("{number} when it is started")
        };
        printed.done(
            &format!("Scaling {name} processes... done, {now}"),
            json!({"name": name, "numprocesses": number}),
        )
    })?;
    work.end(terminal)
}

/// A wish to scale: the job, and `=N`, `+N` or `-N`. The sign is the last one, since names have some.
fn scale_of(word: &str) -> Option<(String, String)> {
    let at = word.rfind(['=', '+', '-'])?;
    let (name, change) = word.split_at(at);
    let digits = change.get(1..)?;
    let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // A name does not end in a sign: `web=-1` is no wish.
    let named = !name.is_empty() && !name.ends_with(['=', '+', '-']);
    (number && named).then(|| (name.to_owned(), change.to_owned()))
}

/// `gaffer commit`: a process more.
pub fn commit(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let word = invocation.only("the job")?.to_owned();
    let mut options = Map::new();
    if let Some(seconds) = invocation.value("graceful-timeout") {
        let number =
            seconds.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0);
        let seconds = number.ok_or_else(|| {
            Failure::usage(format!("--graceful-timeout: {seconds:?} is not a number of seconds"))
        })?;
        options.insert("graceful_timeout".into(), json!(seconds));
    }
    let mut env = Map::new();
    for pair in invocation.values("param") {
        let (name, value) = pair
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| Failure::usage(format!("--param: {pair:?} is not NAME=VALUE")))?;
        env.insert(name.to_owned(), json!(value));
    }
    options.insert("env".into(), Value::Object(env));
    let mut server = connect::server(invocation)?;
    let names = names::jobs(&mut server, invocation, &[word])?;
    let [name] = names.as_slice() else {
        return Err(Failure::usage(format!("this means more than one job: {}", names.join(", "))));
    };
    let pid = server.job(name).commit(&options)?;
    if terminal.is_json() {
        return terminal.json(&json!({"name": name, "pid": pid}));
    }
    terminal.line(&format!("'{name}': new process {pid} launched"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_read_behind_the_last_sign() {
        for (word, wish) in [
            ("web=3", Some(("web", "=3"))),
            ("my-job+1", Some(("my-job", "+1"))),
            ("my-job-12", Some(("my-job", "-12"))),
            ("a+b=0", Some(("a+b", "=0"))),
            ("web", None),
            ("=3", None),
            ("web=x", None),
            ("web=", None),
            ("web=-1", None),
            ("web==3", None),
            ("web+-1", None),
        ] {
            let wish =
                wish.map(|(name, change): (&str, &str)| (name.to_owned(), change.to_owned()));
            assert_eq!(scale_of(word), wish, "{word}");
        }
    }
}
