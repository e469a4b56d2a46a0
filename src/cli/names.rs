//! Which jobs are meant. A name is `job`, `app.job`, `app/job` or a pattern with `*` and `?`; without
//! an application it is of the one that is worked on. "Everything" is that application, and never the
//! node.

use std::path::Path;

use super::args::Invocation;
use super::failure::Failure;
use crate::base::similar;
use crate::client::Server;

/// What a word may mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A job, by its whole name.
    Job(String),
    /// A process, by gaffer's number.
    Process(u64),
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
/// A word means none.
pub fn jobs(
    server: &mut Server,
    invocation: &Invocation,
    words: &[String],
) -> Result<Vec<String>, Failure> {
    let all = server.jobs()?;
    let app = application(invocation);
    if words.is_empty() {
        let prefix = format!("{app}.");
        let own: Vec<String> = all.into_iter().filter(|name| name.starts_with(&prefix)).collect();
        return if own.is_empty() {
            Err(Failure::failed(format!("'{app}' not loaded: no job of it is on the node")))
        } else {
            Ok(own)
        };
    }
    let mut found: Vec<String> = Vec::new();
    for word in words {
        let pattern = whole(word, &app);
        let before = found.len();
        let fits = |name: &&String| matches(&pattern, name) && !found.contains(name);
        let more: Vec<String> = all.iter().filter(fits).cloned().collect();
        let known = found.iter().any(|name| matches(&pattern, name));
        found.extend(more);
        if found.len() == before && !known {
            return Err(not_found(word, &pattern, &all));
        }
    }
    Ok(found)
}

/// The same, where a number means a process.
///
/// # Errors
/// As [`jobs`].
pub fn targets(
    server: &mut Server,
    invocation: &Invocation,
    words: &[String],
) -> Result<Vec<Target>, Failure> {
    let is_pid = |word: &&String| word.bytes().all(|byte| byte.is_ascii_digit());
    let pids = words.iter().filter(is_pid).filter_map(|word| word.parse().ok());
    let mut targets: Vec<Target> = pids.map(Target::Process).collect();
    let names: Vec<String> = words.iter().filter(|word| !is_pid(word)).cloned().collect();
    if !names.is_empty() || words.is_empty() {
        let jobs = jobs(server, invocation, &names)?;
        targets.extend(jobs.into_iter().map(Target::Job));
    }
    Ok(targets)
}

fn not_found(word: &str, pattern: &str, all: &[String]) -> Failure {
    let meant = similar::nearest(pattern, all.iter().map(String::as_str));
    let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
    Failure::failed(format!("job '{word}' not found{meant}"))
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
    fn a_word_is_of_the_application_unless_it_says_otherwise() {
        assert_eq!(whole("web", "site"), "site.web");
        assert_eq!(whole("shop/web", "site"), "shop.web");
        assert_eq!(whole("shop.web", "site"), "shop.web");
    }
}
