//! What `gaffer logs` does with what is kept besides reading it: tells what it takes on the disk, removes it, puts
//! files aside and opens them again.

use serde_json::{json, Value};

use super::args::Invocation;
use super::failure::Failure;
use super::gather::{Gathering, Next, Teller};
use super::names::{self, Missing};
use super::outcome::Outcome;
use super::sites::{self, Sites, Wanted};
use super::terminal::{size, Cell, Paint, Terminal};
use super::times;
use crate::client::{Error, Server};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Tell what it takes.
    Measure,
    /// Remove it.
    Clear,
    /// Put files aside, and begin new ones.
    Rotate,
    /// Open files again.
    Reopen,
}

/// What is asked of it, for which there has to be something to read.
const READING: [&str; 8] =
    ["follow", "lines", "since", "until", "grep", "stream", "err", "timestamps"];

/// What came of it on a node.
enum Told {
    /// What is taken there.
    Taken(Value),
    /// It is done, to a job or to all.
    Done { line: String, value: Value },
    /// It could not be.
    Failed(Failure),
}

impl Task {
    const ALL: [Self; 4] = [Self::Measure, Self::Clear, Self::Rotate, Self::Reopen];

    fn flag(self) -> &'static str {
        match self {
            Self::Measure => "du",
            Self::Clear => "clear",
            Self::Rotate => "rotate",
            Self::Reopen => "reopen",
        }
    }

    /// What the flags say; nothing if there is something to read.
    ///
    /// # Errors
    /// They make no sense.
    pub fn of_flags(invocation: &Invocation) -> Result<Option<Self>, Failure> {
        let mut said = Self::ALL.into_iter().filter(|task| invocation.has(task.flag()));
        let (Some(task), other) = (said.next(), said.next()) else { return Ok(None) };
        let flag = task.flag();
        if let Some(other) = other {
            let other = other.flag();
            return Err(Failure::usage(format!("--{flag} and --{other}: say one of them")));
        }
        if let Some(other) = READING.into_iter().find(|other| invocation.has(other)) {
            return Err(Failure::usage(format!("--{other} means nothing to --{flag}")));
        }
        let words = &invocation.words;
        match task {
            Self::Clear | Self::Rotate if words.is_empty() => Err(Failure::usage(format!(
                "--{flag} needs a job: name it, or all of an application as 'APP.*'"
            ))),
            Self::Reopen if !words.is_empty() => Err(Failure::usage(
                "--reopen opens the log files of all jobs again: say it without one",
            )),
            Self::Measure | Self::Clear | Self::Rotate | Self::Reopen => Ok(Some(task)),
        }
    }
}

/// Does it.
///
/// # Errors
/// It went wrong somewhere, or nobody reads what is printed any more.
pub fn see_to(task: Task, invocation: &Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let wanted = match task {
        Task::Measure | Task::Reopen => Wanted::All,
        Task::Clear | Task::Rotate => Wanted::WithJobs(&invocation.words),
    };
    let sites = Sites::of(invocation, terminal, wanted)?;
    let wish = invocation.clone();
    let mut gathering = Gathering::begin(&sites, move |mut server, teller| {
        if let Err(failure) = on_node(task, &mut server, &wish, teller) {
            teller.tell(Told::Failed(failure));
        }
    })?;
    let mut outcome = Outcome::default();
    let mut taken: Vec<(usize, Value)> = Vec::new();
    while let Next::Told(site, told) = gathering.next(None)? {
        match told {
            Told::Taken(value) => taken.push((site, value)),
            Told::Done { value, .. } if terminal.is_json() => {
                terminal.json(&with_node(value, &sites, site))?;
            }
            Told::Done { line, .. } => {
                let prefix = sites.prefix(site, terminal.has_color());
                terminal.line(&format!("{prefix}{line}"))?;
            }
            Told::Failed(failure) => outcome.fail((&sites, site), failure, terminal)?,
        }
    }
    taken.sort_by_key(|(site, _)| *site);
    match task {
        Task::Measure if terminal.is_json() => {
            for (site, value) in taken {
                terminal.json(&with_node(value, &sites, site))?;
            }
        }
        Task::Measure => show(&taken, &sites, terminal)?,
        Task::Clear | Task::Rotate | Task::Reopen => return outcome.end(&sites, terminal),
    }
    outcome.end_quietly(&sites, terminal)
}

fn with_node(mut value: Value, sites: &Sites, site: usize) -> Value {
    if let Some(label) = sites.label(site) {
        value["node"] = json!(label);
    }
    value
}

fn on_node(
    task: Task,
    server: &mut Server,
    invocation: &Invocation,
    teller: &mut Teller<Told>,
) -> Result<(), Failure> {
    match task {
        Task::Measure => {
            let taken = measured(server, invocation)?;
            teller.tell(Told::Taken(taken));
            return Ok(());
        }
        Task::Reopen => {
            server.reopen_logs()?;
            let line = "log files are opened again".to_owned();
            teller.tell(Told::Done { line, value: json!({"done": "reopened"}) });
            return Ok(());
        }
        Task::Clear | Task::Rotate => {}
    }
    let places = names::places_with_logs(server, invocation, &invocation.words)?;
    let mut failed = None;
    for name in names::whole_jobs(places)? {
        match done(task, server, &name) {
            Ok((line, value)) => drop(teller.tell(Told::Done { line, value })),
            Err(error @ Error::NoNode { .. }) => return Err(error.into()),
            // The others are done all the same; what is said last is the exit code.
            Err(error) => failed = Some(Failure::failed(format!("{name}: {error}"))),
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Does it to a job, and gives what is said of that.
fn done(task: Task, server: &mut Server, name: &str) -> Result<(String, Value), Error> {
    if task == Task::Clear {
        let cleared = server.job(name).clear_logs()?;
        let line = format!("{name}: cleared, {cleared} bytes are free again");
        return Ok((line, json!({"name": name, "done": "cleared", "bytes": cleared})));
    }
    let rotated = server.job(name).rotate_logs()?;
    let files = if rotated == 1 { "file" } else { "files" };
    let line = format!("{name}: rotated, {rotated} {files} put aside");
    Ok((line, json!({"name": name, "done": "rotated", "files": rotated})))
}

/// What is taken on a node, of what the words mean; without words all, or all of the application that is said.
fn measured(server: &mut Server, invocation: &Invocation) -> Result<Value, Failure> {
    let mut taken = server.logs_taken()?;
    let words = &invocation.words;
    if words.is_empty() && !invocation.has("app") {
        return Ok(taken);
    }
    let Some(logs) = taken["logs"].as_array_mut() else { return Ok(taken) };
    let app = names::application(invocation);
    let mut all: Vec<String> = logs.iter().filter_map(in_store).map(str::to_owned).collect();
    all.sort_unstable();
    let meant = if words.is_empty() {
        names::of_application(&app, &all)
    } else {
        // What has written nothing takes nothing, and is no mistake.
        all.extend(server.jobs()?);
        all.sort_unstable();
        all.dedup();
        let missing = match sites::is_across(invocation) {
            true => Missing::IsElsewhere,
            false => Missing::Fails,
        };
        names::among(&all, &app, words, missing)?
    };
    let meant = names::whole_jobs(meant)?;
    logs.retain(|log| in_store(log).is_some_and(|name| meant.iter().any(|job| job == name)));
    Ok(taken)
}

/// The job of which something is in the store.
fn in_store(log: &Value) -> Option<&str> {
    log["name"].as_str().filter(|_| log["elsewhere"] != true)
}

/// Most first, with the sum of each node at its end.
fn show(taken: &[(usize, Value)], sites: &Sites, terminal: &mut Terminal) -> Result<(), Failure> {
    let bytes = |log: &Value| log["bytes"].as_u64().unwrap_or(0);
    let head = |text: &str| Cell { text: text.into(), paint: Paint::Dim };
    let node = sites.are_named().then_some("NODE").into_iter();
    let heads = node.chain(["JOB", "SIZE", "FILES", "OLDEST", "NEWEST"]);
    let mut rows: Vec<Vec<Cell>> = vec![heads.map(head).collect()];
    for (site, value) in taken {
        let label = || sites.label(*site).map(|label| label.to_owned().into());
        let mut logs: Vec<&Value> = value["logs"].as_array().into_iter().flatten().collect();
        logs.sort_by_key(|log| std::cmp::Reverse(bytes(log)));
        for log in logs {
            let time = |key: &str| {
                let at = log[key].as_f64().filter(|at| *at > 0.0);
                at.map_or_else(|| "-".to_owned(), times::full)
            };
            let cells: [Cell; 5] = [
                log["name"].as_str().unwrap_or_default().into(),
                size(bytes(log)).into(),
                log["files"].as_u64().unwrap_or(0).to_string().into(),
                time("oldest").into(),
                time("newest").into(),
            ];
            rows.push(label().into_iter().chain(cells).collect());
        }
    }
    if rows.len() > 1 {
        let first = usize::from(sites.are_named());
        terminal.table(&rows, &[first + 1, first + 2])?;
    }
    for (site, value) in taken {
        let most = value["max_bytes"].as_u64().unwrap_or(0);
        let text = match most {
            0 => "there is no store here".to_owned(),
            most => format!("the store takes {} of {}", size(bytes(value)), size(most)),
        };
        let prefix = sites.prefix(*site, terminal.has_color());
        terminal.line(&format!("{prefix}{text}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{self, Parsed};

    #[test]
    fn one_thing_is_done_at_a_time_and_nothing_to_all_jobs_by_mistake() {
        let told = |line: &str| {
            let words = line.split(' ').map(std::ffi::OsString::from).collect();
            let Ok(Parsed::Run(_, invocation)) = args::parse(words) else { panic!("{line}") };
            let task = Task::of_flags(&invocation);
            task.map_err(|failure| (failure.code(), failure.message().map(str::to_owned)))
        };
        assert_eq!(told("logs web -f --grep x"), Ok(None));
        for (line, task) in [
            ("logs --du", Task::Measure),
            ("logs --du web", Task::Measure),
            ("logs --clear web", Task::Clear),
            ("logs --rotate web db", Task::Rotate),
            ("logs --reopen", Task::Reopen),
        ] {
            assert_eq!(told(line), Ok(Some(task)), "{line}");
        }
        for (line, start) in [
            ("logs --clear", "--clear needs a job: name it"),
            ("logs --rotate -a site", "--rotate needs a job: name it"),
            ("logs --clear web --rotate", "--clear and --rotate: say one of them"),
            ("logs --clear web -f", "--follow means nothing to --clear"),
            ("logs --du --grep x", "--grep means nothing to --du"),
            ("logs --reopen web", "--reopen opens the log files of all jobs"),
        ] {
            let (code, said) = told(line).expect_err(line);
            let said = said.unwrap_or_default();
            assert!(code == 2 && said.starts_with(start), "{line}: {said}");
        }
    }
}
