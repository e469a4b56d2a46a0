//! `gaffer check`: what is wrong with a Procfile, a `.env`, a `gafferd.ini` or a JSON file of jobs. The
//! readers stop at the first fault, as they should; here the line is left out then and the rest is read
//! again, so that all faults are told at once.

use std::path::{Path, PathBuf};

use serde_json::{json, Value};

use super::args::Invocation;
use super::failure::Failure;
use super::loading;
use super::names;
use super::terminal::Terminal;
use crate::base::environment::Variables;
use crate::daemon::ini_jobs::Table;
use crate::daemon::job_files::json_jobs;
use crate::daemon::options::Options;
use crate::daemon::paths::Surroundings;
use crate::daemon::settings::Settings;
use crate::daemon::{host, text_file};
use crate::sys::users;
use crate::wire::{dotenv, procfile};

/// Most faults of a file that are told.
const MOST: usize = 100;

/// Something wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fault {
    /// From 1; 0 if it is the file as a whole.
    line: usize,
    what: String,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Procfile,
    Dotenv,
    Ini,
    Json,
}

/// `gaffer check`.
pub fn check(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let environ = host::environment();
    let mut files: Vec<PathBuf> = invocation.words.iter().map(PathBuf::from).collect();
    let here = files.is_empty();
    if here {
        files.push(names::procfile(invocation));
        let application = loading::surroundings(invocation);
        let dotenv = application.ok().and_then(|application| application.dotenv);
        files.extend(dotenv.map(|(path, _)| path));
    }
    let mut faults = Vec::new();
    for file in &files {
        match text_file::read(file) {
            Ok(text) => {
                let found = in_text(kind(file, &text), file, &text, &environ);
                faults.extend(found.into_iter().map(|fault| placed(file, fault)));
            }
            Err(reason) => faults.push(of_message(reason)),
        }
    }
    if here && faults.is_empty() {
        // What only shows where both are put together.
        let application = loading::opened(invocation, "check")?;
        let jobs = application.jobs(&environ, 5000, &mut Vec::new());
        faults.extend(jobs.err().map(of_message));
    }
    tell(&files, &faults, terminal)
}

/// File, line and fault.
type Placed = (String, usize, String);

fn placed(file: &Path, fault: Fault) -> Placed {
    (file.display().to_string(), fault.line, fault.what)
}

/// Takes `file:line: what` or `file: what` apart.
fn of_message(message: String) -> Placed {
    let Some((place, what)) = message.split_once(": ") else {
        return (String::new(), 0, message);
    };
    let numbered = place.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse().ok()?)));
    let (file, line) = numbered.unwrap_or((place, 0));
    (file.to_owned(), line, what.to_owned())
}

fn tell(files: &[PathBuf], faults: &[Placed], terminal: &mut Terminal) -> Result<(), Failure> {
    // Where they are looked at from, their folder says nothing.
    let here = std::env::current_dir().map(|here| format!("{}/", here.display()));
    let shown = |file: &str| -> String {
        let prefix = here.as_ref().map_or("", String::as_str);
        file.strip_prefix(prefix).unwrap_or(file).to_owned()
    };
    for (file, line, what) in faults {
        let file = shown(file);
        if terminal.is_json() {
            terminal.json(&json!({"file": file, "line": line, "fault": what}))?;
        } else if *line == 0 {
            terminal.line(&format!("{file}: {what}"))?;
        } else {
            terminal.line(&format!("{file}:{line}: {what}"))?;
        }
    }
    if !faults.is_empty() {
        return Err(Failure::Code(1));
    }
    if !terminal.is_json() {
        let names: Vec<String> =
            files.iter().map(|file| shown(&file.display().to_string())).collect();
        terminal.line(&format!("{}: no faults", names.join(", ")))?;
    }
    Ok(())
}

/// By its name, or else by how it begins.
fn kind(path: &Path, text: &str) -> Kind {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase());
    let name = name.unwrap_or_default();
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    let first = first.unwrap_or_default();
    let assigns = || first.chars().find(|c| "=:".contains(*c)) == Some('=');
    match () {
        () if name.ends_with(".json") => Kind::Json,
        () if name.ends_with(".ini") => Kind::Ini,
        () if name.starts_with("procfile") => Kind::Procfile,
        () if name.starts_with(".env") || name.ends_with(".env") => Kind::Dotenv,
        () if first.starts_with('{') => Kind::Json,
        () if first.starts_with('[') => Kind::Ini,
        () if assigns() => Kind::Dotenv,
        () => Kind::Procfile,
    }
}

fn in_text(kind: Kind, path: &Path, text: &str, environ: &Variables) -> Vec<Fault> {
    let mut faults = match kind {
        Kind::Procfile => in_procfile(text),
        Kind::Dotenv => again_and_again(text, &mut |text| {
            let parsed = dotenv::parse(text, &|name| environ.get(name).cloned());
            parsed.map(drop).map_err(|error| Fault { line: error.line, what: error.message })
        }),
        Kind::Ini => again_and_again(text, &mut |text| {
            in_ini(path, text, environ).map_err(|message| {
                let (_, line, what) = of_message(message);
                Fault { line, what }
            })
        }),
        Kind::Json => in_json(path, text),
    };
    faults.sort();
    faults
}

/// Reads a text, and again without the line that was at fault, until nothing is wrong with the rest.
fn again_and_again(text: &str, read: &mut dyn FnMut(&str) -> Result<(), Fault>) -> Vec<Fault> {
    let mut lines: Vec<&str> = text.split('\n').collect();
    let mut faults = Vec::new();
    while faults.len() < MOST {
        let Err(fault) = read(&lines.join("\n")) else { break };
        let at = fault.line.checked_sub(1);
        faults.push(fault);
        match at.and_then(|at| lines.get_mut(at)) {
            // Without the head of a section its keys would be those of another.
            Some(line) if !line.is_empty() && !line.starts_with('[') => *line = "",
            Some(_) | None => break,
        }
    }
    faults
}

fn in_procfile(text: &str) -> Vec<Fault> {
    let (mut count, mut more) = (0, Vec::new());
    let mut faults = again_and_again(text, &mut |text| {
        let parsed = procfile::parse(text);
        let file = parsed.map_err(|error| Fault { line: error.line, what: error.message })?;
        count = file.processes.len();
        let ignored = file.ignored.iter().map(|(line, text)| Fault {
            line: *line,
            what: format!(
                "no \"name: command\" with a name of A-Z a-z 0-9 _ -, so it is ignored: {text:?}"
            ),
        });
        let open = file.processes.iter().filter(|process| shlex::split(&process.command).is_none());
        let open = open.map(|process| Fault {
            line: process.line,
            what: format!("{}: a quote is not closed", process.name),
        });
        more = ignored.chain(open).collect();
        Ok(())
    });
    faults.extend(more);
    if count == 0 && faults.is_empty() {
        faults.push(Fault { line: 0, what: "no \"name: command\" line in it".into() });
    }
    faults
}

fn in_ini(path: &Path, text: &str, environ: &Variables) -> Result<(), String> {
    let mut table = Table::default();
    table.add(path, text)?;
    let variable = |name: &str| environ.get(name).cloned();
    let surroundings = Surroundings { root: users::is_root(), variable: &variable };
    table.jobs(&mut Vec::new())?;
    let section = table.section("gaffer");
    Settings::read(&Options::default(), section, &surroundings, &mut Vec::new()).map(drop)
}

fn in_json(path: &Path, text: &str) -> Vec<Fault> {
    let fault = |line: usize, message: String| Fault { line, what: of_message(message).2 };
    let Err(whole) = json_jobs(path, text) else { return Vec::new() };
    let value: Result<Value, _> = serde_json::from_str(text);
    let list = value.as_ref().ok().and_then(|value| value["jobs"].as_array());
    let Some(list) = list else {
        let line = of_message(whole.clone()).1;
        return vec![fault(line.max(1), whole)];
    };
    let lines = lines_of_jobs(text);
    let of_job = |(at, job): (usize, &Value)| {
        let message = json_jobs(path, &json!({"jobs": [job]}).to_string()).err()?;
        let line = lines.get(at).copied().unwrap_or(1);
        Some(fault(line, message.replacen("job 1", &format!("job {}", at + 1), 1)))
    };
    let found: Vec<Fault> = list.iter().enumerate().filter_map(of_job).collect();
    if found.is_empty() {
        vec![fault(1, whole)]
    } else {
        found
    }
}

/// The line on which each job of `{"jobs": [...]}` begins, in a text that is JSON.
fn lines_of_jobs(text: &str) -> Vec<usize> {
    let (mut line, mut depth, mut begins) = (1, 0_usize, false);
    let mut lines = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if begins && depth == 2 && !c.is_whitespace() && c != ']' {
            lines.push(line);
            begins = false;
        }
        match c {
            '\n' => line += 1,
            '{' | '[' => {
                depth += 1;
                begins = depth == 2;
            }
            '}' | ']' => depth = depth.saturating_sub(1),
            ',' if depth == 2 => begins = true,
            '"' => {
                while let Some(inner) = chars.next().filter(|inner| *inner != '"') {
                    if inner == '\\' {
                        chars.next();
                    }
                }
            }
            _ => {}
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(name: &str, text: &str) -> Vec<String> {
        let path = Path::new(name);
        let found = in_text(kind(path, text), path, text, &Variables::new());
        found.into_iter().map(|fault| format!("{}: {}", fault.line, fault.what)).collect()
    }

    /// Each fault begins with its line and these words.
    fn begins(name: &str, text: &str, expected: &[&str]) {
        let found = faults(name, text);
        assert_eq!(found.len(), expected.len(), "{name}: {found:?}");
        for (fault, start) in found.iter().zip(expected) {
            assert!(fault.starts_with(start), "{name}: {fault}");
        }
    }

    #[test]
    fn every_fault_is_told_with_its_line() {
        begins(
            "Procfile",
            "web: a\nbad name: b\nweb: c\nx: 'y\n",
            &["2: no ", "3: process", "4: x: a"],
        );
        begins("Procfile", "# nothing\n", &["0: no \"name: command\""]);
        begins(".env", "A=1\nb c\nD=\"x\nE=1\n!\n", &["2: ", "3: ", "5: "]);
        let ini = "[job:a]\ncmd = x\nnumprocesses = y\nfoo = 1\n[gaffer]\nbnd = 1\n";
        begins("g.ini", ini, &["3: numprocesses", "4: unknown key", "6: unknown key"]);
        let json = "{\"jobs\": [\n{\"name\": \"a\", \"cmd\": \"[{\"},\n{\"name\": \"b\"},\n\n1]}";
        begins("j.json", json, &["3: job 2 (b): cmd is missing", "5: job 3: expected an object"]);
        begins("j.json", "{\n{", &["2: "]);
        begins("j.json", "[]", &["1: expected an object"]);
    }

    #[test]
    fn a_file_is_known_by_its_name_or_by_how_it_begins() {
        for (name, text, expected) in [
            ("Procfile.dev", "{", Kind::Procfile),
            (".env.test", "", Kind::Dotenv),
            ("x", "# a\n{", Kind::Json),
            ("x", "[job:a]", Kind::Ini),
            ("x", "A=b:c", Kind::Dotenv),
            ("x", "a: B=c", Kind::Procfile),
        ] {
            assert_eq!(kind(Path::new(name), text), expected, "{name} {text}");
        }
    }
}
