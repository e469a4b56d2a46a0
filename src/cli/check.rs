//! `gaffer check`: what is wrong with a Procfile, a `.env`, a `gafferd.ini` or a JSON file of jobs. The
//! readers stop at the first fault, as they should; here the line is left out then and the rest is read
//! again, so that all faults are told at once.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{json, Value};

use super::args::Invocation;
use super::failure::Failure;
use super::loading::{self, NAME_IT};
use super::names;
use super::terminal::Terminal;
use crate::base::environment::Variables;
use crate::daemon::ini_jobs::Table;
use crate::daemon::job_files::json_jobs;
use crate::daemon::options::Options;
use crate::daemon::paths::Surroundings;
use crate::daemon::settings::Settings;
use crate::daemon::tls::TlsSettings;
use crate::daemon::{config, host, programs, text_file, webhooks};
use crate::node::gaffer::Gaffer;
use crate::supervisor::name::{check_session, DEFAULT_SESSION};
use crate::sys::users;
use crate::wire::{dotenv, procfile};

/// Most faults of a file that are told.
const MOST: usize = 100;

/// Something wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fault {
    /// In which of the files that are read together.
    file: usize,
    /// From 1; 0 if it is the file as a whole.
    line: usize,
    what: String,
}

/// Files that are read together: the one that is checked, and those it includes.
type Texts = Vec<(PathBuf, String)>;

/// The machine that they are for, which is this one.
struct Here {
    environ: Variables,
    gaffer: Gaffer,
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
    let here = Here::new(host::environment()).map_err(Failure::Failed)?;
    let mut files: Vec<PathBuf> = invocation.words.iter().map(PathBuf::from).collect();
    let own = files.is_empty();
    if own {
        files.push(names::procfile(invocation));
        let application = loading::surroundings(invocation);
        let dotenvs = application.map(|application| application.dotenvs).unwrap_or_default();
        files.extend(dotenvs.into_iter().map(|(path, _)| path));
    }
    let mut faults = Vec::new();
    for file in &mut files {
        match read(file) {
            Ok(text) => {
                let (texts, found) = in_text(kind(file, &text), file, &text, &here);
                faults.extend(found.into_iter().map(|fault| placed(&texts, fault)));
            }
            Err(reason) => faults.push(of_message(reason)),
        }
    }
    if own && faults.is_empty() {
        // What only shows where both are put together.
        let application = loading::opened(invocation, "check")?;
        let jobs = application.jobs(&here.environ, 5000, &mut Vec::new());
        let sound = jobs.and_then(|jobs| loading::sound(&here.gaffer, &jobs));
        faults.extend(sound.err().map(of_message));
        if let Err(error) = check_session(&names::application(invocation)) {
            // The files are well, and here they run.
            terminal.remark(&format!("{error}; for gaffer load, {NAME_IT}"));
        }
    }
    tell(&files, &faults, terminal)
}

/// Reads a file, or with `-` standard input, which is called so then.
fn read(file: &mut PathBuf) -> Result<String, String> {
    if file.as_os_str() != "-" {
        return text_file::read(file);
    }
    *file = "stdin".into();
    let mut text = String::new();
    let read = std::io::stdin().lock().read_to_string(&mut text);
    read.map(|_| text).map_err(|error| format!("stdin: {error}"))
}

impl Here {
    fn new(environ: Variables) -> Result<Self, String> {
        let setup = host::setup(environ.clone(), host::passing_word())?;
        Ok(Self { environ, gaffer: Gaffer::new(setup) })
    }
}

/// File, line and fault.
type Placed = (String, usize, String);

fn placed(texts: &Texts, fault: Fault) -> Placed {
    let file = texts.get(fault.file).map(|(path, _)| path.display().to_string());
    (file.unwrap_or_default(), fault.line, fault.what)
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

/// What is wrong with a text, and with those it includes.
fn in_text(kind: Kind, path: &Path, text: &str, here: &Here) -> (Texts, Vec<Fault>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut texts = vec![(path.to_owned(), text.to_owned())];
    let mut faults = match kind {
        Kind::Procfile => in_procfile(&texts),
        Kind::Dotenv => again_and_again(&texts, &mut |texts| {
            let parsed = dotenv::parse(&texts[0].1, &|name| here.environ.get(name).cloned());
            parsed.map(drop).map_err(|error| of_only(error.line, error.message))
        }),
        Kind::Ini => {
            let mut faults = include(&mut texts);
            faults.extend(again_and_again(&texts, &mut |texts| {
                in_ini(texts, here).map_err(|message| of_one(texts, message))
            }));
            faults
        }
        Kind::Json => in_json(path, text, here),
    };
    faults.sort();
    faults.dedup();
    (texts, faults)
}

fn of_only(line: usize, what: String) -> Fault {
    Fault { file: 0, line, what }
}

/// Finds the file that a message is of.
fn of_one(texts: &Texts, message: String) -> Fault {
    let (file, line, what) = of_message(message.clone());
    match texts.iter().position(|(path, _)| path.display().to_string() == file) {
        Some(file) => Fault { file, line, what },
        None => of_only(0, message),
    }
}

/// Reads texts, and again without the line that was at fault, until nothing is wrong with the rest.
fn again_and_again(texts: &Texts, read: &mut dyn FnMut(&Texts) -> Result<(), Fault>) -> Vec<Fault> {
    let mut texts = texts.clone();
    let mut faults = Vec::new();
    while faults.len() < MOST {
        let Err(fault) = read(&texts) else { break };
        let (file, at) = (fault.file, fault.line.checked_sub(1));
        faults.push(fault);
        let Some((_, text)) = texts.get_mut(file) else { break };
        let mut lines: Vec<&str> = text.split('\n').collect();
        match at.and_then(|at| lines.get_mut(at)) {
            // Without the head of a section its keys would be those of another.
            Some(line) if !line.is_empty() && !line.starts_with('[') => *line = "",
            Some(_) | None => break,
        }
        *text = lines.join("\n");
    }
    faults
}

fn in_procfile(texts: &Texts) -> Vec<Fault> {
    let (mut count, mut more) = (0, Vec::new());
    let mut faults = again_and_again(texts, &mut |texts| {
        let parsed = procfile::parse(&texts[0].1);
        let file = parsed.map_err(|error| of_only(error.line, error.message))?;
        count = file.processes.len();
        let ignored = file.ignored.iter().map(|(line, text)| {
            of_only(
                *line,
                format!(
                    "no \"name: command\" with a name of A-Z a-z 0-9 _ -, so it is ignored: {text:?}"
                ),
            )
        });
        let open = file.processes.iter().filter(|process| shlex::split(&process.command).is_none());
        let open = open.map(|process| {
            of_only(process.line, format!("{}: a quote is not closed", process.name))
        });
        more = ignored.chain(open).collect();
        Ok(())
    });
    faults.extend(more);
    if count == 0 && faults.is_empty() {
        faults.push(of_only(0, "no \"name: command\" line in it".into()));
    }
    faults
}

/// Adds the files that the first one includes. What it says is known as far as it can be read.
fn include(texts: &mut Texts) -> Vec<Fault> {
    let mut whole = Table::default();
    again_and_again(texts, &mut |texts| {
        let mut table = Table::default();
        let (path, text) = &texts[0];
        table.add(path, text).map_err(|message| of_one(texts, message))?;
        whole = table;
        Ok(())
    });
    let mut faults = Vec::new();
    let main = texts[0].0.clone();
    for (place, file) in config::included(&whole, &main, false) {
        match file.and_then(|file| text_file::read(&file).map(|text| (file, text))) {
            Ok(text) => texts.push(text),
            Err(why) => faults.push(of_one(texts, format!("{place}: {why}"))),
        }
    }
    faults
}

fn in_ini(texts: &Texts, here: &Here) -> Result<(), String> {
    let mut table = Table::default();
    for (path, text) in texts {
        table.add(path, text)?;
    }
    if let Some((main, _)) = texts.first() {
        config::includes_in_main_only(&table, main)?;
    }
    let variable = |name: &str| here.environ.get(name).cloned();
    let surroundings = Surroundings { root: users::is_root(), variable: &variable, hosted: false };
    let jobs = table.jobs(&mut Vec::new())?;
    loading::sound(&here.gaffer, &jobs)?;
    let section = table.section("gaffer");
    programs::check(&table)?;
    programs::check_others(&jobs)?;
    TlsSettings::read(&Options::default(), &table, &mut Vec::new())?;
    webhooks::read(&table)?;
    Settings::read(&Options::default(), section, &surroundings).map(drop)
}

fn in_json(path: &Path, text: &str, here: &Here) -> Vec<Fault> {
    let fault = |line: usize, message: String| of_only(line, of_message(message).2);
    let read = |text: &str| {
        let jobs = json_jobs(path, text, DEFAULT_SESSION)?;
        loading::sound(&here.gaffer, &jobs)
    };
    let Err(whole) = read(text) else { return Vec::new() };
    let value: Result<Value, _> = serde_json::from_str(text);
    let list = value.as_ref().ok().and_then(|value| value["jobs"].as_array());
    let Some(list) = list else {
        let line = of_message(whole.clone()).1;
        return vec![fault(line.max(1), whole)];
    };
    let lines = lines_of_jobs(text);
    let of_job = |(at, job): (usize, &Value)| {
        let message = read(&json!({"jobs": [job]}).to_string()).err()?;
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
        let here = Here::new(Variables::new()).expect("random numbers");
        let (_, found) = in_text(kind(path, text), path, text, &here);
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
        let ini = "[job:a]\ncmd = x\nnumprocesses = y\nfoo = 1\n[gaffer]\nbnd = 1\n\
            [plugin:x]\ncmd = y\nnice = 30\n";
        let faults = ["3: numprocesses", "4: unknown key", "6: unknown key", "8: cmd", "9: nice"];
        begins("g.ini", ini, &faults);
        let json = "{\"jobs\": [\n{\"name\": \"a\", \"cmd\": \"[{\"},\n{\"name\": \"b\"},\n\n1]}";
        begins("j.json", json, &["3: job 2 (b): cmd is missing", "5: job 3: expected an object"]);
        begins("j.json", "{\n{", &["2: "]);
        begins("j.json", "[]", &["1: expected an object"]);
    }

    #[test]
    fn users_that_are_not_there_are_told_where_they_are_named() {
        let ini = "[job:a]\ncmd = x\nuid = nobody-here\n[job:b]\ncmd = x\ngid = none-such\n";
        begins("g.ini", ini, &["3: a: ", "6: b: "]);
        let json = "{\"jobs\": [{\"name\": \"a\", \"cmd\": \"x\"},\n\
                    {\"name\": \"b\", \"cmd\": \"x\", \"uid\": \"nobody-here\"}]}";
        begins("j.json", json, &["2: job 2: b: "]);
        begins(
            "j.json",
            "{\"name\": \"b\", \"cmd\": \"x\", \"uid\": \"nobody-here\"}",
            &["1: job 1: b"],
        );
        begins("j.json", "\u{feff}{\"name\": \"b\", \"cmd\": \"x\"}", &[]);
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
