//! `gaffer load`: a Procfile application, or a file of jobs, onto a node.

use std::io::Read as _;
use std::path::Path;

use serde_json::{json, Map, Value};

use super::args::Invocation;
use super::connect;
use super::failure::Failure;
use super::names;
use super::terminal::Terminal;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::client::{Error, Server};
use crate::daemon::job_files::{json_jobs, Application};
use crate::daemon::{host, text_file};
use crate::node::gaffer::Gaffer;
use crate::supervisor::name::check_session;
use crate::supervisor::spec::{Given, JobEntry};

/// What to do about an application whose folder is called as none can be.
pub const NAME_IT: &str = "say the application's name with --app NAME";

/// `gaffer load`.
pub fn load(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut server = connect::server(invocation)?;
    let (entries, from) = match invocation.words.as_slice() {
        [] => (application(invocation, terminal)?, names::application(invocation)),
        [file] => (of_file(file, &names::application(invocation))?, file.clone()),
        [_, more, ..] => {
            return Err(Failure::usage(format!("{more:?} is one argument too many")));
        }
    };
    let (mut loaded, mut refused) = (0, 0);
    for entry in &entries {
        let label = entry.name.to_string();
        match put(&mut server, entry, invocation.has("nostart")) {
            Ok(()) => {
                loaded += 1;
                say(terminal, &label, "loaded")?;
            }
            Err(Error::Refused { status: 409, .. }) => say(terminal, &label, "already loaded")?,
            Err(error @ Error::NoNode { .. }) => return Err(error.into()),
            // The others are not worse for it.
            Err(error) => {
                refused += 1;
                terminal.remark(&format!("{label}: {error}"));
            }
        }
    }
    if loaded > 0 && !terminal.is_json() {
        terminal.line(&format!("==> '{from}' has been loaded in {}", server.address()))?;
    }
    match refused {
        0 => Ok(()),
        _ => Err(Failure::Code(1)),
    }
}

fn say(terminal: &mut Terminal, name: &str, what: &str) -> Result<(), Failure> {
    if terminal.is_json() {
        return terminal.json(&json!({"name": name, "done": what}));
    }
    terminal.line(&format!("'{name}' {what}"))
}

fn put(server: &mut Server, entry: &JobEntry, nostart: bool) -> Result<(), Error> {
    let mut config: Map<String, Value> = entry.spec.config.map();
    if nostart {
        config.insert("start".into(), json!(false));
    }
    server.load(entry.name.session(), &config)
}

/// The jobs of the Procfile, with the numbers that were asked for.
fn application(invocation: &Invocation, terminal: &mut Terminal) -> Result<Vec<JobEntry>, Failure> {
    let name = names::application(invocation);
    if names::procfile(invocation).exists() {
        if let Err(error) = check_session(&name) {
            return Err(match invocation.value("app") {
                Some(name) if name != "." => Failure::usage(format!("--app: {error}")),
                Some(_) | None => Failure::failed(format!("{error}; {NAME_IT}")),
            });
        }
    }
    let application = opened(invocation, &name)?;
    let environ = host::environment();
    let mut warnings = Vec::new();
    let jobs = application.jobs(&environ, 5000, &mut warnings).map_err(Failure::Failed)?;
    for warning in warnings {
        terminal.remark(&warning);
    }
    let kinds: Vec<String> = jobs.iter().map(|job| job.name.label().to_owned()).collect();
    let numbers = concurrency(invocation, &kinds)?;
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
    let files = invocation.values("env");
    if !files.is_empty() {
        let read = |file: &String| Ok((file.into(), text_file::read(Path::new(file))?));
        let read: Result<_, String> = files.iter().map(read).collect();
        application.dotenvs = read.map_err(Failure::Failed)?;
    }
    Ok(application)
}

/// Whether processes of these jobs could be ordered on this machine: their users, groups and variables are
/// there.
///
/// # Errors
/// What is wrong with the first of them that could not, with its place.
pub fn sound(gaffer: &Gaffer, jobs: &[JobEntry]) -> Result<(), String> {
    for job in jobs {
        let sound = gaffer.supervisor().check(&job.name, &job.spec, &Default::default());
        sound.map_err(|refusal| {
            let key = gaffer.supervisor().misfit(&job.name, &job.spec);
            let place = key.map_or(job.place.job(), |key| job.place.of(key));
            format!("{place}: {}: {refusal}", job.name.label())
        })?;
    }
    Ok(())
}

fn numbered(job: JobEntry, numbers: &Numbers) -> JobEntry {
    let Some(number) = numbers.of(job.name.label()) else { return job };
    let mut spec = (*job.spec).clone();
    spec.numprocesses = number;
    let mut config = spec.config.map();
    config.insert("numprocesses".into(), json!(number));
    spec.config = Given::new(&config);
    JobEntry { spec: spec.into(), ..job }
}

/// How many of each process type are asked for.
#[derive(Debug, Default)]
pub struct Numbers {
    /// The process types that are named.
    pub named: SortedSet<String>,
    numbers: SortedMap<String, u32>,
    /// For those that are not.
    others: Option<u32>,
}

impl Numbers {
    /// How many of this process type, if anything is said of it.
    pub fn of(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied().or(self.others)
    }
}

/// `-c web=2,worker=0` or `-c all=1,web=2`, for these process types. `all` are those that are not named,
/// unless one is called so.
///
/// # Errors
/// It makes no sense, or names a process type that is not among them.
pub fn concurrency(invocation: &Invocation, kinds: &[String]) -> Result<Numbers, Failure> {
    let mut numbers = Numbers::default();
    for pair in invocation.values("concurrency").iter().flat_map(|list| list.split(',')) {
        let wish =
            pair.split_once('=').and_then(|(name, n)| Some((name.trim(), n.trim().parse().ok()?)));
        let (name, number) = wish
            .ok_or_else(|| Failure::usage(format!("--concurrency: {pair:?} is not NAME=NUMBER")))?;
        if kinds.iter().any(|kind| kind == name) {
            numbers.named.insert(name.to_owned());
            numbers.numbers.insert(name.to_owned(), number);
        } else if name == "all" {
            numbers.others = Some(number);
        } else {
            let known = kinds.join(", ");
            return Err(Failure::usage(format!(
                "--concurrency: the Procfile has no {name:?}, but {known}"
            )));
        }
    }
    Ok(numbers)
}

/// The jobs of a file, or of standard input; those without a session are of this one.
/// The jobs of a JSON file; `-` reads it from standard input.
///
/// # Errors
/// It cannot be read, or there are none in it.
pub fn of_file(file: &str, session: &str) -> Result<Vec<JobEntry>, Failure> {
    let (path, text) = if file == "-" {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text)?;
        (Path::new("stdin"), text)
    } else {
        let path = Path::new(file);
        (path, text_file::read(path).map_err(Failure::Failed)?)
    };
    let jobs = json_jobs(path, &text, session).map_err(Failure::Failed)?;
    if jobs.is_empty() {
        return Err(Failure::failed(format!("{}: no jobs in it", path.display())));
    }
    Ok(jobs)
}
