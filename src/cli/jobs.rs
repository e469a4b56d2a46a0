//! Commands that change jobs. Several are worked on at once and told in their order; what fails does not
//! keep the others from being done, and is the exit code at the end.

use std::time::Duration;

use serde_json::{json, Map, Value};

use super::args::Invocation;
use super::connect;
use super::failure::Failure;
use super::loading;
use super::names::{self, Target};
use super::parallel;
use super::terminal::Terminal;
use crate::client::{Error, Job, Server, State};

/// How long a job is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Does something to each target, and tells it.
fn each(
    terminal: &mut Terminal,
    server: &Server,
    targets: &[Target],
    (told, done): (&str, &str),
    act: impl Fn(&mut Server, &Target) -> Result<(), Error> + Sync,
) -> Result<(), Failure> {
    let mut failed = 0;
    parallel::each(server, targets, act, |target, result| {
        let name = shown(target);
        match result {
            Ok(()) if terminal.is_json() => terminal.json(&json!({"name": name, "done": done})),
            Ok(()) => terminal.line(&format!("{name}: {told}")),
            Err(error @ Error::NoNode { .. }) => Err(error.into()),
            Err(error) => {
                failed += 1;
                let missing = matches!(target, Target::Process(_)) && error.is_not_found();
                let why = if missing { "not found".into() } else { error.to_string() };
                terminal.remark(&format!("{name}: {why}"));
                Ok(())
            }
        }
    })?;
    match failed {
        0 => Ok(()),
        _ => Err(Failure::Code(1)),
    }
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

/// Asks before all of an application is touched, or whatever fits a pattern.
fn confirmed(
    terminal: &mut Terminal,
    invocation: &Invocation,
    (verb, targets): (&str, &[Target]),
) -> Result<bool, Failure> {
    let is_pattern = |word: &String| word.contains(['*', '?']);
    if terminal.is_json()
        || (!invocation.words.is_empty() && !invocation.words.iter().any(is_pattern))
    {
        return Ok(true);
    }
    if invocation.words.is_empty() {
        let app = names::application(invocation);
        return terminal.agrees(&format!("Do you want to {verb} all jobs of '{app}'"));
    }
    let names: Vec<String> = targets.iter().map(shown).collect();
    terminal.agrees(&format!("Do you want to {verb} {}", names.join(", ")))
}

/// Acts on the jobs that are named, or on those of the application.
fn on_jobs(
    invocation: &Invocation,
    terminal: &mut Terminal,
    (verb, done): (&str, &str),
    act: impl Fn(Job<'_>) -> Result<(), Error> + Sync,
) -> Result<(), Failure> {
    let mut server = connect::server(invocation)?;
    let targets = as_jobs(names::jobs(&mut server, invocation, &invocation.words)?);
    if !confirmed(terminal, invocation, (verb, &targets))? {
        return Ok(());
    }
    let waits = !invocation.has("no-wait");
    each(terminal, &server, &targets, (done, done), |server, target| match target {
        Target::Job(name) if waits => act(server.job(name).waiting(PATIENCE)),
        Target::Job(name) => act(server.job(name)),
        Target::Process(_) => Ok(()),
    })
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

/// `gaffer restart`.
pub fn restart(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    on_jobs(invocation, terminal, ("restart", "restarted"), |mut job| job.restart())
}

/// `gaffer stop`: jobs, or single processes.
pub fn stop(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut server = connect::server(invocation)?;
    let targets = names::targets(&mut server, invocation, &invocation.words)?;
    if !confirmed(terminal, invocation, ("stop", &targets))? {
        return Ok(());
    }
    let waits = !invocation.has("no-wait");
    each(terminal, &server, &targets, ("stopped", "stopped"), |server, target| match target {
        Target::Job(name) if waits => server.job(name).waiting(PATIENCE).set(State::Stopped),
        Target::Job(name) => server.job(name).set(State::Stopped),
        Target::Process(pid) if waits => server.process(*pid).waiting(PATIENCE).stop(),
        Target::Process(pid) => server.process(*pid).stop(),
    })
}

/// `gaffer kill`: a signal to a process, or to all of a job.
pub fn kill(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let [what, signal] = invocation.words.as_slice() else {
        return Err(Failure::usage("gaffer kill JOB|PID SIGNAL"));
    };
    let (what, signal) = (vec![what.clone()], signal.clone());
    let mut server = connect::server(invocation)?;
    let mut targets = names::targets(&mut server, invocation, &what)?;
    let mut idle = Vec::new();
    for target in &targets {
        if let Target::Job(name) = target {
            if server.job(name).info()?["active"] != true {
                idle.push(target.clone());
            }
        }
    }
    targets.retain(|target| !idle.contains(target));
    each(
        terminal,
        &server,
        &targets,
        (&format!("{signal} sent"), "signalled"),
        |server, target| match target {
            Target::Job(name) => server.job(name).signal(&signal),
            Target::Process(pid) => server.process(*pid).signal(&signal),
        },
    )?;
    for target in &idle {
        terminal.remark(&format!("{} has no process", shown(target)));
    }
    if idle.is_empty() {
        Ok(())
    } else {
        Err(Failure::NotRunning)
    }
}

/// `gaffer scale`: `NAME=N`, `NAME+N`, `NAME-N`. All are read before any is done.
pub fn scale(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let wishes: Option<Vec<(&str, String)>> =
        invocation.words.iter().map(|word| scale_of(word)).collect();
    let wishes = wishes.filter(|wishes| !wishes.is_empty()).ok_or_else(|| {
        Failure::usage("gaffer scale NAME=N, NAME+N or NAME-N, as many as you like")
    })?;
    let mut server = connect::server(invocation)?;
    let mut all = Vec::new();
    for (word, change) in wishes {
        for name in names::jobs(&mut server, invocation, &[word.to_owned()])? {
            all.push((name, change.clone()));
        }
    }
    let act = |server: &mut Server, (name, change): &(String, String)| -> Result<_, Error> {
        let number = server.job(name).scale(change)?;
        Ok((number, server.job(name).info()?["desired"] == "up"))
    };
    parallel::each(&server, &all, act, |(name, _), done| {
        let (number, up) = done?;
        if terminal.is_json() {
            terminal.json(&json!({"name": name, "numprocesses": number}))
        } else if up {
            terminal.line(&format!("Scaling {name} processes... done, now running {number}"))
        } else {
            terminal.line(&format!("Scaling {name} processes... done, {number} when it is started"))
        }
    })
}

/// A wish to scale: the job, and `=N`, `+N` or `-N`. The sign is the last one, since names have some.
fn scale_of(word: &str) -> Option<(&str, String)> {
    let at = word.rfind(['=', '+', '-'])?;
    let (name, change) = word.split_at(at);
    let digits = change.get(1..)?;
    let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // A name does not end in a sign: `web=-1` is no wish.
    let named = !name.is_empty() && !name.ends_with(['=', '+', '-']);
    (number && named).then(|| (name, change.to_owned()))
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
            let wish = wish.map(|(name, change)| (name, change.to_owned()));
            assert_eq!(scale_of(word), wish, "{word}");
        }
    }
}
