//! `gaffer load`: a Procfile application, or a file of jobs, onto a node.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use serde_json::{json, Map, Value};

use super::args::Invocation;
use super::connect;
use super::failure::Failure;
use super::names;
use super::terminal::Terminal;
use crate::client::{Error, Server};
use crate::daemon::job_files::{json_jobs, Application};
use crate::daemon::text_file;
use crate::supervisor::spec::JobEntry;

/// `gaffer load`.
pub fn load(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut server = connect::server(invocation)?;
    let (entries, from) = match invocation.words.as_slice() {
        [] => (application(invocation)?, names::application(invocation)),
        [file] => (of_file(file)?, file.clone()),
        [_, more, ..] => {
            return Err(Failure::usage(format!("{more:?} is one argument too many")));
        }
    };
    let mut failed = false;
    for entry in &entries {
        let label = entry.name.to_string();
        match put(&mut server, entry, invocation.has("nostart")) {
            Ok(()) => say(terminal, &label, "loaded")?,
            Err(Error::Refused { status: 409, .. }) => {
                failed = true;
                say(terminal, &label, "already loaded")?;
            }
            Err(error @ Error::NoNode { .. }) => return Err(error.into()),
            Err(error) => return Err(Failure::failed(format!("{label}: {error}"))),
        }
    }
    if failed {
        return Err(Failure::Code(1));
    }
    if !terminal.is_json() {
        terminal.line(&format!("==> '{from}' has been loaded in {}", server.address()))?;
    }
    Ok(())
}

fn say(terminal: &mut Terminal, name: &str, what: &str) -> Result<(), Failure> {
    if terminal.is_json() {
        return terminal.json(&json!({"name": name, "done": what}));
    }
    terminal.line(&format!("'{name}' {what}"))
}

fn put(server: &mut Server, entry: &JobEntry, nostart: bool) -> Result<(), Error> {
    let mut config: Map<String, Value> = entry.spec.config.clone();
    if nostart {
        config.insert("start".into(), json!(false));
    }
    server.load(entry.name.session(), &config)
}

/// The jobs of the Procfile, with the numbers that were asked for.
fn application(invocation: &Invocation) -> Result<Vec<JobEntry>, Failure> {
    let application = opened(invocation, &names::application(invocation))?;
    let environ: BTreeMap<String, String> = std::env::vars().collect();
    let jobs = application.jobs(&environ, 5000, &mut Vec::new()).map_err(Failure::Failed)?;
    let numbers = concurrency(invocation)?;
    let known = |name: &String| jobs.iter().any(|job| job.name.label() == name);
    if let Some(stranger) = numbers.keys().find(|name| !known(name)) {
        return Err(Failure::usage(format!("--concurrency: the Procfile has no {stranger:?}")));
    }
    Ok(jobs.into_iter().map(|job| numbered(job, &numbers)).collect())
}

/// The Procfile application that is worked on, under this name.
///
/// # Errors
/// A file of it cannot be read.
pub fn opened(invocation: &Invocation, name: &str) -> Result<Application, Failure> {
    let path = names::procfile(invocation);
    if !path.exists() {
        return Err(Failure::failed(format!("procfile not found: {}", path.display())));
    }
    let argument = format!("{name}={}", path.display());
    let application = Application::open(&argument).map_err(Failure::Failed)?;
    placed(application, invocation)
}

/// The same, whether there is a Procfile or not: its folder and its variables.
///
/// # Errors
/// The `.env` cannot be read.
pub fn surroundings(invocation: &Invocation) -> Result<Application, Failure> {
    let mut application = Application::default();
    let path = names::procfile(invocation);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    application.move_to(folder.unwrap_or(Path::new("."))).map_err(Failure::Failed)?;
    placed(application, invocation)
}

/// Takes what the flags say of its folder and its variables.
fn placed(mut application: Application, invocation: &Invocation) -> Result<Application, Failure> {
    if let Some(root) = invocation.value("root") {
        application.move_to(Path::new(root)).map_err(Failure::Failed)?;
    }
    if let Some(file) = invocation.value("env") {
        let text = text_file::read(Path::new(file)).map_err(Failure::Failed)?;
        application.dotenv = Some((file.into(), text));
    }
    Ok(application)
}

fn numbered(job: JobEntry, numbers: &BTreeMap<String, u32>) -> JobEntry {
    let Some(number) = numbers.get(job.name.label()) else { return job };
    let mut spec = (*job.spec).clone();
    spec.numprocesses = *number;
    spec.config.insert("numprocesses".into(), json!(number));
    JobEntry { spec: spec.into(), ..job }
}

/// `-c web=2,worker=0`.
pub fn concurrency(invocation: &Invocation) -> Result<BTreeMap<String, u32>, Failure> {
    let mut numbers = BTreeMap::new();
    for pair in invocation.values("concurrency").iter().flat_map(|list| list.split(',')) {
        let wish =
            pair.split_once('=').and_then(|(name, n)| Some((name.trim(), n.trim().parse().ok()?)));
        let (name, number) = wish
            .ok_or_else(|| Failure::usage(format!("--concurrency: {pair:?} is not NAME=NUMBER")))?;
        numbers.insert(name.to_owned(), number);
    }
    Ok(numbers)
}

fn of_file(file: &str) -> Result<Vec<JobEntry>, Failure> {
    let (path, text) = if file == "-" {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text)?;
        (Path::new("stdin"), text)
    } else {
        let path = Path::new(file);
        (path, text_file::read(path).map_err(Failure::Failed)?)
    };
    json_jobs(path, &text).map_err(Failure::Failed)
}
