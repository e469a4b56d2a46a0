//! The house rules that no compiler checks, over the tree itself: floors, first lines, leftovers,
//! sizes, tested caps, and documentation that names what there is and nothing else. Each rule is a
//! function from a file to its findings, with an example that breaks it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gaffer::cli::{help, COMMANDS, GLOBAL};
use gaffer::daemon::{command_line, lookupd_options, options, settings, tls};
use gaffer::lookup::routes::ROUTES as LOOKUP_ROUTES;
use gaffer::node::openapi::reference::shown;
use gaffer::node::routes::ROUTES;
use gaffer::supervisor::spec_keys;

/// Longest file of the library, in lines.
const LONGEST_FILE: usize = 700;

/// What may import what: from its own folder and from lower floors. `sys` may use `base`, too.
const FLOORS: [(&str, u8); 13] = [
    ("base", 0),
    ("sys", 0),
    ("tls", 1),
    ("logs", 1),
    ("wire", 1),
    ("supervisor", 2),
    ("front", 3),
    ("node", 4),
    ("lookup", 5),
    ("reactor", 5),
    ("daemon", 6),
    ("client", 6),
    ("cli", 7),
];

/// Caps without a test that names them, each with its reason.
#[rustfmt::skip]
const UNTESTED_CAPS: [(&str, &str); 30] = [
    ("PSS_LARGEST", "no test has a process of four gigabytes"),
    ("ENVIRON", "the kernel lets no process have more"),
    ("CHILD_STACK", "with less of it every start of a process would fault"),
    ("CLOSE_ONE_BY_ONE", "only kernels before Linux 5.9 need it"),
    ("LOCK_ATTEMPTS", "somebody would have to replace the file between two system calls, so often"),
    ("READ_BUFFER", "how much is read at once changes no result"),
    ("CONN_READ_SHARE", "a share of a turn: it changes who waits, and no result"),
    ("CONN_READ_LEAST", "a share of a turn"),
    ("CONN_WRITE_SHARE", "a share of a turn"),
    ("CONNS_WRITE_SHARE", "a share of a turn"),
    ("PIPE_SHARE", "a share of a turn"),
    ("ACCEPT_SHARE", "a share of a turn"),
    ("SPAWN_SHARE", "a share of a turn"),
    ("SPAWN_TIME", "a share of a turn"),
    ("LOCK_PAUSE", "a rest between attempts, of which the number is tested"),
    ("REAP_SHARE", "a share of a turn"),
    ("EVENTS", "a share of a turn"),
    ("EFFECT_ROUNDS", "a share of a turn"),
    ("CALL_SHARE", "a share of a turn"),
    ("SURVEY_PAUSE", "a rest between looks, which changes no result"),
    ("DROP_TURNS", "a process that cannot be killed, for seconds"),
    ("DROP_PAUSE", "how long one of those turns sleeps"),
    ("LAST_WORDS", "a writer that never ends, for one turn: it needs a real pipe and is slow to fill"),
    ("SLOW_TURN", "only told in the log, and never in virtual time"),
    ("PIPE_READ", "how much is read at once changes no result"),
    ("PIPE_ROOM", "how much a pipe holds changes no result"),
    ("LOG_SCRATCH", "room that is kept, which changes no result"),
    ("LOG_OWN_RETRY", "a rest between attempts, which changes no result"),
    ("PIPE_WHOLE", "the kernel's number"),
    ("FAREWELL", "a client that does not read, against a real clock"),
];

/// A file of the tree.
struct Source {
    /// From the top of the repository.
    path: String,
    lines: Vec<String>,
    /// The line at which its tests begin.
    tests_at: usize,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let begins = |window: &[String]| {
            let mut rest = window.iter();
            rest.next().is_some_and(|line| line == "#[cfg(test)]")
                && rest
                    .find(|line| !line.starts_with("#["))
                    .is_some_and(|l| l.starts_with("mod tests"))
        };
        let tests_at = match path.starts_with("tests/") || path.ends_with("/testing.rs") {
            true => 0,
            false => (0..lines.len()).find(|at| begins(&lines[*at..])).unwrap_or(lines.len()),
        };
        Self { path: path.to_owned(), lines, tests_at }
    }

    /// The numbered lines that are neither tests nor comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let all = self.lines.iter().map(String::as_str).enumerate().take(self.tests_at);
        all.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    fn tests(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().skip(self.tests_at).map(String::as_str)
    }

    fn at(&self, line: usize, what: &str) -> String {
        format!("{}:{}: {what}", self.path, line + 1)
    }

    /// Its folder below `src`; none for the files of `src` itself and for others.
    fn floor(&self) -> Option<&str> {
        self.path.strip_prefix("src/")?.split_once('/').map(|(folder, _)| folder)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect(path)
}

/// All files below a folder, sorted.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("one").path();
            if !path.is_dir() {
                found.push(path);
            } else if !path.ends_with("target") {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

fn sources(folder: &str) -> Vec<Source> {
    let rust = files(folder).into_iter().filter(|p| p.extension().is_some_and(|e| e == "rs"));
    let source = |path: PathBuf| {
        let name = path.strip_prefix(root()).expect("below").to_str().expect("UTF-8");
        Source::new(name, &read(name))
    };
    rust.map(source).collect()
}

fn everything() -> Vec<Source> {
    sources("src").into_iter().chain(sources("tests")).collect()
}

fn none(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

/// What a rule finds in a text.
fn found(rule: fn(&Source) -> Vec<String>, path: &str, text: &str) -> Vec<String> {
    rule(&Source::new(path, text))
}

/// Whether a text has this word, and not only as a part of another.
fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text.as_bytes()[..at], &text.as_bytes()[at + word.len()..]);
        !before.last().is_some_and(|b| part(char::from(*b)))
            && !after.first().is_some_and(|b| part(char::from(*b)))
    })
}

fn first_line(source: &Source) -> Vec<String> {
    match source.lines.first() {
        Some(line) if line.starts_with("//! ") => Vec::new(),
        Some(_) | None => vec![source.at(0, "does not begin with `//!`")],
    }
}

#[test]
fn every_file_begins_with_its_purpose() {
    none(everything().iter().flat_map(first_line).collect());
    assert_eq!(found(first_line, "src/a/b.rs", "use a;\n//! b\n").len(), 1);
    assert_eq!(found(first_line, "src/a/b.rs", "").len(), 1);
}

fn imports(source: &Source) -> Vec<String> {
    let Some(own) = source.floor().filter(|own| *own != "bin") else { return Vec::new() };
    let height = |name: &str| FLOORS.iter().find(|(known, _)| *known == name).map(|(_, h)| *h);
    let Some(own_height) = height(own) else {
        return vec![source.at(0, "is on no floor")];
    };
    let mut findings = Vec::new();
    for (number, line) in source.code() {
        for (at, _) in line.match_indices("crate::") {
            let name = line.get(at + "crate::".len()..).unwrap_or_default();
            let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let name = name.get(..end.unwrap_or(name.len())).unwrap_or_default();
            if name.is_empty() {
                findings.push(source.at(number, "imports several floors at once"));
            }
            // What is no floor is an item of the root.
            let Some(other) = height(name) else { continue };
            let below = other < own_height || (own, name) == ("sys", "base");
            if own != name && !below {
                findings.push(source.at(number, &format!("{own} uses {name}")));
            }
        }
        if line.contains("super::super") {
            findings.push(source.at(number, "leaves its folder by `super`"));
        }
    }
    findings
}

#[test]
fn every_file_imports_from_below() {
    none(sources("src").iter().flat_map(imports).collect());
    for (path, line) in [
        ("src/base/x.rs", "use crate::sys::reap;"),
        ("src/sys/x.rs", "use crate::wire::ini;"),
        ("src/wire/x.rs", "    let name = crate::supervisor::name::JobName;"),
        ("src/supervisor/x.rs", "use crate::front::conn::Conn;"),
        ("src/front/x.rs", "use crate::node::Gaffer;"),
        ("src/lookup/x.rs", "use crate::reactor::clock::Clock;"),
        ("src/daemon/x.rs", "use crate::client::http;"),
        ("src/node/x.rs", "use crate::{base, reactor};"),
        ("src/node/x.rs", "use super::super::reactor;"),
        ("src/helpers/x.rs", "use std::io;"),
    ] {
        assert_eq!(found(imports, path, line).len(), 1, "{path}: {line}");
    }
    for (path, line) in [
        ("src/sys/x.rs", "use crate::base::limits;"),
        ("src/front/x.rs", "use crate::supervisor::name::JobName;"),
        ("src/node/x.rs", "use crate::VERSION;"),
        ("src/base/x.rs", "#[cfg(test)]\nmod tests {\n    use crate::sys::reap;\n}"),
    ] {
        assert_eq!(found(imports, path, line), Vec::<String>::new(), "{path}: {line}");
    }
}

fn unsafety(source: &Source) -> Vec<String> {
    let outside = source.floor() != Some("sys");
    // A word of what pages are told is none of the language.
    let is_unsafe = |(_, line): &(usize, &str)| {
        outside && has_word(&line.replace("'unsafe-inline'", ""), "unsafe")
    };
    source.code().filter(is_unsafe).map(|(at, _)| source.at(at, "unsafe outside sys")).collect()
}

#[test]
fn only_sys_is_unsafe() {
    none(sources("src").iter().flat_map(unsafety).collect());
    assert_eq!(found(unsafety, "src/base/x.rs", "fn a() {\n    unsafe { b() }\n}").len(), 1);
    assert!(found(unsafety, "src/sys/x.rs", "unsafe { b() }").is_empty());
}

/// Put together so that this file is not one that has them.
fn leftover_words() -> Vec<String> {
    [("TO", "DO"), ("FIX", "ME"), ("XX", "X"), ("to", "do!"), ("unimple", "mented!"), ("db", "g!")]
        .map(|(a, b)| format!("{a}{b}"))
        .into_iter()
        .chain([format!("#[{}", "ignore")])
        .collect()
}

fn leftovers(source: &Source) -> Vec<String> {
    let words = leftover_words();
    let mut findings = Vec::new();
    for (number, line) in source.lines.iter().enumerate() {
        for word in words.iter().filter(|word| line.contains(word.as_str())) {
            findings.push(source.at(number, &format!("{word} is left over")));
        }
    }
    findings
}

#[test]
fn nothing_is_left_over() {
    none(everything().iter().flat_map(leftovers).collect());
    for word in leftover_words() {
        assert_eq!(found(leftovers, "src/a/b.rs", &format!("// {word}")).len(), 1, "{word}");
    }
}

fn length(source: &Source) -> Vec<String> {
    let long = source.lines.len() > LONGEST_FILE;
    long.then(|| source.at(LONGEST_FILE, "is longer than a file should be")).into_iter().collect()
}

#[test]
fn no_file_is_too_long() {
    none(sources("src").iter().flat_map(length).collect());
    assert!(found(length, "src/a/b.rs", &"\n".repeat(LONGEST_FILE)).is_empty());
    assert_eq!(found(length, "src/a/b.rs", &"\n".repeat(LONGEST_FILE + 1)).len(), 1);
}

fn terminal_library(source: &Source) -> Vec<String> {
    let outside = !source.path.starts_with("src/cli/top/");
    let words = ["ratatui", "top::draw", "top::screen", "top::shell"];
    let names = |(_, line): &(usize, &str)| outside && words.iter().any(|w| line.contains(w));
    source.code().filter(names).map(|(at, _)| source.at(at, "draws on the terminal")).collect()
}

#[test]
fn only_top_has_the_terminal_library() {
    none(sources("src").iter().flat_map(terminal_library).collect());
    assert_eq!(found(terminal_library, "src/daemon/x.rs", "use ratatui::text::Span;").len(), 1);
    assert!(found(terminal_library, "src/cli/top/x.rs", "use ratatui::text::Span;").is_empty());
}

fn printing(source: &Source) -> Vec<String> {
    let words = ["println!", "eprintln!", "print!", "eprint!"];
    let outside = source.floor() != Some("bin");
    let prints = |(_, line): &(usize, &str)| outside && words.iter().any(|w| has_word(line, w));
    source.code().filter(prints).map(|(at, _)| source.at(at, "prints by itself")).collect()
}

#[test]
fn only_programs_print() {
    none(sources("src").iter().flat_map(printing).collect());
    assert_eq!(found(printing, "src/node/x.rs", "    eprintln!(\"x\");").len(), 1);
    assert!(found(printing, "src/bin/x.rs", "    println!(\"x\");").is_empty());
}

/// The names of the constants of a file.
fn constants(text: &str) -> Vec<&str> {
    let public = text.lines().filter_map(|line| line.strip_prefix("pub const "));
    public.filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect()
}

#[test]
fn every_cap_has_its_test() {
    // This file names what it excuses.
    let all = everything().into_iter().filter(|source| source.path != "tests/pure/tidy.rs");
    let all: Vec<Source> = all.collect();
    let tested =
        |cap: &str| all.iter().any(|source| source.tests().any(|line| has_word(line, cap)));
    let limits = ["mod", "turns"].map(|name| read(&format!("src/base/limits/{name}.rs"))).concat();
    let caps = constants(&limits);
    assert!(caps.len() > 50, "only {} caps found", caps.len());
    let excused = |cap: &str| UNTESTED_CAPS.iter().any(|(known, _)| *known == cap);
    let lacking = caps.iter().filter(|cap| !excused(cap) && !tested(cap));
    none(lacking.map(|cap| format!("src/base/limits: {cap} is named by no test")).collect());
    for (cap, reason) in UNTESTED_CAPS {
        assert!(caps.contains(&cap) && !reason.is_empty(), "there is no cap {cap}");
    }
}

/// What stands between backquotes in a text.
fn quoted(text: &str) -> Vec<&str> {
    text.split("```").step_by(2).flat_map(|prose| prose.split('`').skip(1).step_by(2)).collect()
}

/// What is wrong with the list of dependencies in the crate's documentation.
fn dependencies(manifest: &str, docs: &str) -> Vec<String> {
    let section = |text: &str, from: &str, to: &str| {
        let rest = text.split_once(from).map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        rest.split(to).next().unwrap_or_default().to_owned()
    };
    let own = section(manifest, "[dependencies]\n", "\n[");
    let own = own.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name);
    let own: BTreeSet<String> = own.map(str::to_owned).collect();
    let told = section(docs, "//! # The dependencies\n", "//! # ");
    let rows = told.lines().filter(|line| line.starts_with("//! | `"));
    let told: BTreeSet<String> = rows
        .filter_map(|row| row.split('|').nth(1))
        .flat_map(|cell| quoted(cell).into_iter().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let lacking = own.difference(&told).map(|name| format!("src/lib.rs: {name} has no reason"));
    let needless = told.difference(&own).map(|name| format!("src/lib.rs: {name} is not used"));
    lacking.chain(needless).collect()
}

#[test]
fn each_dependency_has_its_reason() {
    let (manifest, docs) = (read("Cargo.toml"), read("src/lib.rs"));
    none(dependencies(&manifest, &docs));
    assert_eq!(dependencies(&manifest, &docs.replace("| `mio` |", "| `moi` |")).len(), 2);
    assert!(dependencies(&manifest, "").len() > 10);
}

#[test]
fn the_readme_names_what_there_is_and_nothing_else() {
    let readme = read("README.md");
    let quoted: BTreeSet<&str> = quoted(&readme).into_iter().collect();
    let mut findings = Vec::new();
    for route in ROUTES {
        let name = format!("{} {}", route.method.name(), shown(route.pattern));
        if !quoted.contains(name.as_str()) {
            findings.push(format!("README.md: {name} is missing"));
        }
    }
    let is_route = |text: &str| {
        let own = ROUTES.iter().map(|route| (route.method, route.pattern));
        let lookup = LOOKUP_ROUTES.iter().map(|route| (route.method, route.pattern));
        let mut all = own.chain(lookup);
        all.any(|(method, pattern)| text == format!("{} {}", method.name(), shown(pattern)))
    };
    let methods = ["GET /", "POST /", "PUT /", "DELETE /", "HEAD /", "PATCH /"];
    for text in quoted.iter().filter(|text| methods.iter().any(|m| text.starts_with(m))) {
        if !is_route(text) {
            findings.push(format!("README.md: there is no {text}"));
        }
    }
    for option in options::OPTIONS {
        let long = format!("--{}", option.long);
        if !readme.contains(&format!("`{long}")) {
            findings.push(format!("README.md: {long} is missing"));
        }
    }
    for text in quoted.iter().filter_map(|text| text.strip_prefix("--")) {
        let name = text.split([' ', '=']).next().unwrap_or_default();
        let flags = COMMANDS.iter().flat_map(|command| command.flags).chain(GLOBAL);
        let all = options::OPTIONS.iter().chain(lookupd_options::OPTIONS);
        let known = all.map(|option| option.long);
        if !known.chain(flags.map(|flag| flag.long)).any(|known| known == name) {
            findings.push(format!("README.md: there is no --{name}"));
        }
    }
    let keys = spec_keys::KEYS.iter().map(|key| key.name).chain(settings::KEYS).chain(tls::KEYS);
    for key in keys.filter(|key| !quoted.contains(key)) {
        findings.push(format!("README.md: the key {key} is missing"));
    }
    none(findings);
}

/// What is missing in the part of a text that is about the lookupd.
fn lookupd(readme: &str) -> Vec<String> {
    let title = "## Which node runs what\n";
    let part = readme.split_once(title).map_or("", |(_, rest)| rest);
    let part = part.split("\n## ").next().unwrap_or_default();
    let quoted: BTreeSet<&str> = quoted(part).into_iter().collect();
    let routes = LOOKUP_ROUTES.iter();
    let routes = routes.map(|r| format!("{} {}", r.method.name(), shown(r.pattern)));
    let said = |option: &command_line::Opt| match option.value {
        Some(value) => format!("--{} {value}", option.long),
        None => format!("--{}", option.long),
    };
    let options = lookupd_options::OPTIONS.iter().map(said);
    let missing = routes.chain(options).filter(|name| !quoted.contains(name.as_str()));
    missing.map(|name| format!("README.md: {name} of gaffer_lookupd is missing")).collect()
}

#[test]
fn the_readme_names_what_the_lookupd_answers_and_takes() {
    let readme = read("README.md");
    none(lookupd(&readme));
    assert_eq!(lookupd(&readme.replace("`--backlog N`", "`--backlog M`")).len(), 1);
    assert_eq!(lookupd(&readme.replace("`GET /findJob`", "`GET /findjob`")).len(), 1);
    assert!(lookupd("").len() > LOOKUP_ROUTES.len(), "nothing is told");
}

/// What is wrong with the tables of commands and of flags in a text.
fn command_line(readme: &str) -> Vec<String> {
    let readme = readme.replace("\\|", "|");
    // It describes what is built by default.
    let left_out = |line: &&str| !cfg!(feature = "top") && line.starts_with("| `gaffer top ");
    let rows = readme.lines().filter(|line| line.starts_with("| `gaffer ") && !left_out(line));
    let rows: Vec<&str> = rows.collect();
    let mut findings = Vec::new();
    for command in COMMANDS {
        let (name, others) = command.names.split_first().expect("it has a name");
        let mut head = format!("`{}`", format!("gaffer {name} {}", command.args).trim_end());
        for other in others {
            head += &format!(", `{other}`");
        }
        let Some(row) = rows.iter().find(|row| row.starts_with(&format!("| {head} | "))) else {
            findings.push(format!("README.md: no row begins with {head}"));
            continue;
        };
        let flags: Vec<String> = command.flags.iter().map(help::said).collect();
        let told = quoted(row).into_iter().filter(|text| text.starts_with('-'));
        if told.collect::<Vec<_>>() != flags {
            findings
                .push(format!("README.md: the flags of gaffer {name} are {}", flags.join("; ")));
        }
        if !row.contains(command.about) {
            findings.push(format!("README.md: gaffer {name} does this: {}", command.about));
        }
    }
    if rows.len() != COMMANDS.len() {
        findings.push(format!("README.md: {} rows for {} commands", rows.len(), COMMANDS.len()));
    }
    for flag in GLOBAL {
        let row = format!("| `{}` | {} |", help::said(flag), flag.help);
        if !readme.contains(&row) {
            findings.push(format!("README.md: this is missing: {row}"));
        }
    }
    findings
}

#[test]
fn the_readme_names_every_command_and_flag_and_nothing_else() {
    let readme = read("README.md");
    none(command_line(&readme));
    assert_eq!(command_line(&readme.replace("`gaffer why JOB`", "`gaffer whyever JOB`")).len(), 1);
    assert_eq!(command_line(&readme.replace("`--only NAMES`", "`--once NAMES`")).len(), 1);
    assert_eq!(command_line(&readme.replace("| `--json` | print JSON |", "")).len(), 1);
    assert_eq!(command_line(&format!("{readme}\n| `gaffer dance` | dances |\n")).len(), 1);
}

#[test]
fn quotes_are_found_in_prose() {
    assert_eq!(quoted("a `b` c\n```ini\n`no`\n```\n`--d E`"), ["b", "--d E"]);
    assert_eq!(shown("/jobs/:session/:job/state"), "/jobs/S/L/state");
    assert_eq!(shown("/watch/:part/:part"), "/watch/PART/…");
    assert_eq!(shown("/sessions/:node"), "/sessions/NODE");
    assert!(has_word("a(CAP)", "CAP") && !has_word("A_CAP CAPS", "CAP"));
    assert_eq!(constants("/// x\npub const A: u8 = 1;\nconst B: u8 = 1;"), ["A"]);
}

#[test]
fn the_changelog_has_a_place_for_what_is_new() {
    assert!(read("CHANGELOG.md").lines().any(|line| line == "## Unreleased"));
}

#[test]
fn every_golden_file_is_used() {
    let tests = sources("tests");
    let named = |name: &str| {
        let needle = format!("golden/{name}\"");
        tests.iter().any(|source| source.lines.iter().any(|line| line.contains(&needle)))
    };
    let mut findings = Vec::new();
    for path in files("tests/golden") {
        let name = path.strip_prefix(root().join("tests/golden")).expect("below");
        let name = name.to_str().expect("UTF-8");
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        // A test that names a folder replays all its traces. A script beside the answers made them.
        let made_them = name.ends_with(".py");
        let replayed = name.ends_with(".trace") && named(folder);
        if !(made_them || replayed || named(name)) {
            findings.push(format!("tests/golden/{name} is used by no test"));
        }
    }
    none(findings);
}

/// What the table of threats is divided into.
const GROUPS: [&str; 6] =
    ["[browser]", "[keys]", "[privilege]", "[HTTP]", "[websockets]", "[lookups]"];

/// What is wrong with the table of threats, where these are the names of all functions there are.
fn threats(table: &str, functions: &BTreeSet<&str>) -> Vec<String> {
    let (mut findings, mut empty) = (Vec::new(), GROUPS.to_vec());
    let mut group = "";
    for (number, line) in (1..).zip(table.lines()) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with('[') {
            group = line;
            continue;
        }
        empty.retain(|known| *known != group);
        let mut find = |what: String| findings.push(format!("line {number}: {what}"));
        let cells: Vec<&str> = line.split(" | ").map(str::trim).collect();
        let [threat, then, tests] = cells[..] else {
            find("it has not three cells".into());
            continue;
        };
        if threat.is_empty() || then.is_empty() || tests.is_empty() {
            find("a cell is empty".into());
        }
        for test in tests.split_whitespace().filter(|test| !functions.contains(test)) {
            find(format!("there is no test {test}"));
        }
    }
    findings.extend(empty.iter().map(|group| format!("{group} has no rows")));
    findings
}

/// The name of a function that this line begins.
fn function(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("fn ")?.split(['(', '<']).next()
}

#[test]
fn every_threat_has_its_tests() {
    let all = everything();
    let lines = all.iter().flat_map(|source| source.tests());
    let functions: BTreeSet<&str> = lines.filter_map(function).collect();
    let table = read("tests/golden/threats.table");
    none(threats(&table, &functions));
    assert!(table.lines().filter(|line| line.contains(" | ")).count() > 60, "rows are missing");
    let broken = table.replacen("a_form_of_another_page_changes_nothing", "a_form_is_welcome", 1);
    assert_eq!(threats(&broken, &functions).len(), 1);
    let row = "[keys]\nsomebody tries | nothing comes of it | ";
    assert_eq!(threats(row, &functions).len(), 1 + GROUPS.len() - 1, "no test");
    assert_eq!(threats("", &functions).len(), GROUPS.len());
}
