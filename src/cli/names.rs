//! Which jobs are meant. A name is `job`, `app.job`, `app/job` or a pattern with `*` and `?`; without
//! an application it is of the one that is worked on. With a number behind it, as in `app.job.2`, it is one
//! instance. "Everything" is the application, and never the node.

use std::path::Path;

use super::args::Invocation;
use super::failure::Failure;
use super::sites;
use crate::base::similar;
use crate::client::{Error, Server};

/// What a word may mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A job, by its whole name.
    Job(String),
    /// A process, by gaffer's number.
    Process(u64),
}

/// A job, or one instance of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The job's whole name.
    pub job: String,
    /// Which instance alone.
    pub instance: Option<u32>,
}

/// Where the Procfile is.
pub fn procfile(invocation: &Invocation) -> std::path::PathBuf {
    match (invocation.value("procfile"), invocation.value("root")) {
        (Some(file), _) => file.into(),
        (None, Some(root)) => Path::new(root).join("Procfile"),
        (None, None) => "Procfile".into(),
    }
}

/// The application that is worked on: what `--app` says, else that of the Procfile here, else
/// `default`.
pub fn application(invocation: &Invocation) -> String {
    let named = match invocation.value("app") {
        Some(".") => folder(Path::new(".")),
        Some(name) => Some(name.to_owned()),
        None => {
            let path = procfile(invocation);
            path.exists().then(|| folder(path.parent().unwrap_or(Path::new(".")))).flatten()
        }
    };
    named.unwrap_or_else(|| "default".into())
}

/// Whether all of the node is looked at: without a word, an application or a Procfile here. Only what
/// changes nothing asks this.
pub fn means_everything(invocation: &Invocation) -> bool {
    invocation.words.is_empty() && !invocation.has("app") && !procfile(invocation).exists()
}

fn folder(path: &Path) -> Option<String> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let whole = path.canonicalize().ok()?;
    Some(whole.file_name()?.to_string_lossy().into_owned())
}

/// The jobs that the words mean; without words, all of the application.
///
/// # Errors
/// A word means none, or a single instance.
pub fn jobs(
    server: &mut Server,
    invocation: &Invocation,
    words: &[String],
) -> Result<Vec<String>, Failure> {
    whole_jobs(places(server, invocation, words)?)
}

/// These as jobs.
///
/// # Errors
/// One is a single instance.
pub fn whole_jobs(places: Vec<Place>) -> Result<Vec<String>, Failure> {
    if let Some(Place { job, instance: Some(number) }) =
        places.iter().find(|p| p.instance.is_some())
    {
        return Err(Failure::usage(format!(
            "{job}.{number} is one instance; this is done to whole jobs"
        )));
    }
    Ok(places.into_iter().map(|place| place.job).collect())
}

/// The jobs and instances that the words mean, each once, in the order of the words; without words, all
/// jobs of the application.
///
/// # Errors
/// A word means none.
pub fn places(
    server: &mut Server,
    invocation: &Invocation,
    words: &[String],
) -> Result<Vec<Place>, Failure> {
    let all = server.jobs()?;
    of_all(&all, invocation, words)
}

/// The same also of jobs that are loaded no more, as far as something is kept of what they wrote; of a word that
/// means loaded ones, these alone.
///
/// # Errors
/// A word means none.
pub fn places_with_logs(
    server: &mut Server,
    invocation: &Invocation,
    words: &[String],
) -> Result<Vec<Place>, Failure> {
    let mut all = server.jobs()?;
    let app = application(invocation);
    let is_loaded = match words {
        [] => !of_application(&app, &all).is_empty(),
        words => words.iter().all(|word| !meant(&whole(word, &app), &app, word, &all).is_empty()),
    };
    if !is_loaded {
        match server.logs_taken() {
            Ok(taken) => {
                let kept = taken["logs"].as_array().into_iter().flatten();
                let kept = kept.filter(|log| log["elsewhere"] != true);
                let kept = kept.filter_map(|log| log["name"].as_str().map(str::to_owned));
                all.extend(kept);
                all.sort_unstable();
                all.dedup();
            }
            // An older node keeps none, and who may not ask for all has to name what is loaded.
            Err(Error::Refused { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    of_all(&all, invocation, words)
}

fn of_all(
    all: &[String],
    invocation: &Invocation,
    words: &[String],
) -> Result<Vec<Place>, Failure> {
    let app = application(invocation);
    if words.is_empty() {
        let own = of_application(&app, all);
        return if own.is_empty() {
            Err(Failure::failed(format!("'{app}' not loaded: no job of it is on the node")))
        } else {
            Ok(own)
        };
    }
    let missing = if sites::is_across(invocation) { Missing::IsElsewhere } else { Missing::Fails };
    among(all, &app, words, missing)
}

/// All jobs of an application.
pub fn of_application(app: &str, all: &[String]) -> Vec<Place> {
    let prefix = format!("{app}.");
    let own = all.iter().filter(|name| name.starts_with(&prefix));
    own.map(|job| Place { job: job.clone(), instance: None }).collect()
}

/// What a word means that means no job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// A mistake.
    Fails,
    /// Nothing here, where another node has what it means, unless that is all.
    IsElsewhere,
}

/// The jobs and instances among these that words mean, each once, in the order of the words.
///
/// # Errors
/// A word means none.
pub fn among(
    all: &[String],
    app: &str,
    words: &[String],
    missing: Missing,
) -> Result<Vec<Place>, Failure> {
    let mut found: Vec<Place> = Vec::new();
    let mut lacking = None;
    for word in words {
        let pattern = whole(word, app);
        let meant = meant(&pattern, app, word, all);
        if meant.is_empty() {
            let why = not_found(word, &pattern, all);
            if missing == Missing::Fails {
                return Err(why);
            }
            lacking = lacking.or(Some(why));
        }
        for place in meant {
            if !found.contains(&place) {
                found.push(place);
            }
        }
    }
    match lacking {
        Some(why) if found.is_empty() => Err(why),
        Some(_) | None => Ok(found),
    }
}

/// What a word means: jobs whose names fit, or else, with a number at its end, instances of such jobs.
fn meant(pattern: &str, app: &str, word: &str, all: &[String]) -> Vec<Place> {
    let fits = |pattern: &str, instance: Option<u32>| -> Vec<Place> {
        let names = all.iter().filter(|name| matches(pattern, name));
        names.map(|job| Place { job: job.clone(), instance }).collect()
    };
    let jobs = fits(pattern, None);
    if !jobs.is_empty() {
        return jobs;
    }
    // A label may have dots, so that `a.b` may be one of the application too.
    let jobs = fits(&format!("{app}.{word}"), None);
    if !jobs.is_empty() {
        return jobs;
    }
    let Some((job, number)) = word.rsplit_once('.') else { return Vec::new() };
    match number.parse() {
        Ok(number) => fits(&whole(job, app), Some(number)),
        Err(_) => Vec::new(),
    }
}

/// The job that has exactly this name.
pub fn named<'a>(word: &str, app: &str, all: &'a [String]) -> Option<&'a str> {
    let (own, other) = (format!("{app}.{word}"), whole(word, app));
    all.iter().find(|name| **name == other || **name == own).map(String::as_str)
}

/// The same, where a number means a process and an instance the process that it has.
///
/// # Errors
/// As [`places`], and for an instance without a process.
pub fn targets(
    server: &mut Server,
    invocation: &Invocation,
    words: &[String],
) -> Result<Vec<Target>, Failure> {
    let mut targets = Vec::new();
    for word in words.iter().filter(|word| is_pid(word)) {
        let pid = word.parse();
        let pid = pid.map_err(|_| Failure::failed(format!("process '{word}' not found")))?;
        targets.push(Target::Process(pid));
    }
    let names: Vec<String> = words.iter().filter(|word| !is_pid(word)).cloned().collect();
    if !names.is_empty() || words.is_empty() {
        for place in places(server, invocation, &names)? {
            targets.push(match place.instance {
                None => Target::Job(place.job),
                Some(number) => Target::Process(process(server, &place.job, number)?),
            });
        }
    }
    Ok(targets)
}

/// Whether a word is the number of a process.
pub fn is_pid(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// The number of the process of an instance.
fn process(server: &mut Server, job: &str, number: u32) -> Result<u64, Failure> {
    let info = server.job(job).info()?;
    let mut instances = info["instances"].as_array().into_iter().flatten();
    let instance = instances.find(|instance| instance["instance"] == number);
    match instance {
        None => Err(Failure::failed(format!("{job} has no instance {number}"))),
        Some(instance) => instance["pid"].as_u64().ok_or_else(|| {
            let state = instance["state"].as_str().unwrap_or_default();
            Failure::failed(format!("{job}.{number} has no process: it is {state}"))
        }),
    }
}

/// Why nothing could be done to a process, in the words that all commands have for one that is not there.
pub fn no_process(pid: u64, error: Error) -> Failure {
    if error.is_not_found() {
        Failure::failed(format!("process '{pid}' not found"))
    } else {
        error.into()
    }
}

fn not_found(word: &str, pattern: &str, all: &[String]) -> Failure {
    let meant = nearest(pattern, all);
    let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
    Failure::failed(format!("job '{word}' not found{meant}"))
}

/// The job whose label is nearly that of a name that is none, of the same application first.
fn nearest<'a>(pattern: &str, all: &'a [String]) -> Option<&'a str> {
    let (app, label) = pattern.split_once('.')?;
    let labels = |own: bool| {
        let parts = all.iter().filter_map(|name| name.split_once('.'));
        let parts = parts.filter(move |(session, _)| (*session == app) == own);
        similar::nearest(label, parts.map(|(_, label)| label))
    };
    let found = labels(true).or_else(|| labels(false))?;
    let own = format!("{app}.{found}");
    let is_it = |name: &&String| name.split_once('.').is_some_and(|(_, label)| label == found);
    let name = all.iter().find(|name| **name == own).or_else(|| all.iter().find(is_it));
    name.map(String::as_str)
}

/// A word with its application, parted by a dot.
pub fn whole(word: &str, app: &str) -> String {
    match word.split_once('/') {
        Some((session, label)) => format!("{session}.{label}"),
        None if word.contains('.') => word.to_owned(),
        None => format!("{app}.{word}"),
    }
}

/// Whether a name fits a pattern: `*` is anything, `?` one character.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            Some(_) | None => match star {
                // The last star takes one character more.
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, n) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_those_of_a_shell() {
        for (pattern, name, fits) in [
            ("a.web", "a.web", true),
            ("a.w*", "a.web", true),
            ("*.web", "a.b.web", true),
            ("a.?eb", "a.web", true),
            ("a.*b*", "a.web", true),
            ("a.w", "a.web", false),
            ("*", "", true),
            ("?", "", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn a_number_at_the_end_is_an_instance_unless_a_job_is_called_so() {
        let all = ["site.web", "site.db.2", "shop.web"].map(str::to_owned);
        let of = |word: &str| -> Vec<(String, Option<u32>)> {
            let meant = meant(&whole(word, "site"), "site", word, &all);
            meant.into_iter().map(|place| (place.job, place.instance)).collect()
        };
        let one = |job: &str, instance| vec![(job.to_owned(), instance)];
        assert_eq!(of("web"), one("site.web", None));
        assert_eq!(of("web.2"), one("site.web", Some(2)));
        assert_eq!(of("shop/web.3"), one("shop.web", Some(3)));
        assert_eq!(of("db.2"), one("site.db.2", None), "its label has a dot");
        assert_eq!(of("site.db.2"), one("site.db.2", None));
        assert_eq!(of("*.web.1").len(), 2);
        assert_eq!(of("web.x"), []);
        assert_eq!(of("none.1"), []);
    }

    #[test]
    fn a_word_is_of_the_application_unless_it_says_otherwise() {
        assert_eq!(whole("web", "site"), "site.web");
        assert_eq!(whole("shop/web", "site"), "shop.web");
        assert_eq!(whole("shop.web", "site"), "shop.web");
    }
}
