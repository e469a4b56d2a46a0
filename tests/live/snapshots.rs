//! What each command prints at 80 columns without colour, and with `--json`, as text files in
//! `tests/golden/cli`. What differs from run to run (times, ports, the kernel's numbers, memory) stands
//! there as a letter.
//!
//! A line of a file is one of
//!
//! - `$ line`: a line for a shell, in which `gaffer` is the program under test
//! - `# until S/L state`: waits until a job is in that state; other remarks are remarks
//!
//! and what came of it, which `GOLDEN_WRITE=1` writes anew; read the difference before you keep it:
//!
//! - `> …`: a line of stdout; `! …`: one of stderr; `[3]`: an exit code other than 0

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use gaffer::cli::COMMANDS;
use regex_lite::Regex;
use serde_json::json;

use super::farm::Farm;
use super::node::{Folder, Node};
use super::until::until;

/// Commands whose output is looked at elsewhere: they go on, are pages of text, or print nothing.
const ELSEWHERE: [&str; 5] = ["recv", "attach", "help", "completion", "top"];

/// What differs, and what stands for it. The first that fits a place counts.
const MASKS: &[(&str, &str)] = &[
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "DATE TIME"),
    (r"\b\d\d:\d\d:\d\d\b", "TIME"),
    (r"(?m)^> (site\.\w+) +(\d+) +\d+ .* \d+:\d\d\.\d\d .*$", "> $1 $2 NUMBERS"),
    (r#""(cpu_time|vms|(max_|min_)?(mem|cpu)|fds)":( ?)[\d.]+"#, "\"$1\":${4}N"),
    (r#""(ctime|mem_info1|mem_info2)":( ?)"[^"]*""#, "\"$1\":${2}N"),
    (r#""env": ?\{[^}]*GAFFER_RUN[^}]*\}"#, "\"env\": {ENV}"),
    (r"(?m)^> env: \{.*GAFFER_RUN.*\}$", "> env: {ENV}"),
    (r#""(ts|oldest|newest|started_at|ended_at|retry_at|create_time)":( ?)[\d.]+"#, "\"$1\":${2}N"),
    (r#""(uptime|ran|cpu|rss|seq)":( ?)[\d.]+"#, "\"$1\":${2}N"),
    (r"(?m)^> (started_at|ended_at|retry_at|create_time|uptime): [\d.]+", "> $1: N"),
    (r#""(os_pid|parent|uid|gid)":( ?)\d+"#, "\"$1\":${2}N"),
    (r"(?m)^> (os_pid|uid|gid): \d+", "> $1: N"),
    (r"running +(\d+) +\d+ +\d+(\.\d)?s", "running $1 N Ts"),
    (r"(running\t\d+\t)\d+", "${1}N"),
    (r"os pid \d+", "os pid N"),
    (r"started with pid \d+", "started with pid N"),
    (r"(?m)^(> {3,})\d+ (\S+) \d+[KM]$", "$1 N $2 M"),
    (r"#\d{10,}", "#SEQ"),
    (r"after 0\.\d+ s", "after T s"),
    (r#""(bytes|max_bytes)":( ?)\d+"#, "\"$1\":${2}N"),
    (r"the store takes \d+[BKM] of \d+[BKM]", "the store takes N of N"),
    (r"cleared, \d+ bytes", "cleared, N bytes"),
    (r#""rusage": ?\{[^}]*\}"#, "\"rusage\": {USED}"),
    (r", \d+\.\d+s CPU, (up to|less than) \d+[KM]", ", Ts CPU, M"),
    (r"(?m)^(> DATE TIME +\S+) +\d+ +\d\.\ds +\d\.\d\ds +<?\d+[KM]  ", "$1 N Ts Ts M  "),
    (r"(?m)^> WHEN .*$", "> WHEN JOB OS-PID RAN CPU MAX-MEM WHY"),
    (r"\b(\d+m)?\d+(\.\d)?s\b", "Ts"),
    (r" +\d+\.\d +\d+[KM]\b", " C M"),
    (r"\t\d+\.\d\t\d+[KM]\t?", "\tC\tM\t"),
    (r" +Ts +(\d+) ", " Ts $1 "),
    (r"(?m)(\S) +(UP|OS-PID) +", "$1 $2 "),
    (r"RESTARTS +CPU% +MEM", "RESTARTS CPU% MEM"),
    (r"(backoff|stopped) +- +(- +)?- +(\d+) +- +- +", "$1 - - $3 - - "),
];

/// What else differs, where there are several nodes: the name of this host, and ports.
type More = Vec<(Regex, String)>;

fn masked(text: &str, folder: &str, more: &More) -> String {
    let mut text = text.replace(folder, "FOLDER");
    for (pattern, instead) in more {
        text = pattern.replace_all(&text, instead).into_owned();
    }
    for (pattern, instead) in MASKS {
        let pattern = Regex::new(pattern).expect(pattern);
        text = pattern.replace_all(&text, *instead).into_owned();
    }
    text
}

/// Runs the lines of a file, and gives it with what came of them.
fn replay(
    script: &str,
    node: &Node,
    folder: &Path,
    (env, more): (&[(&str, String)], &More),
) -> String {
    let mut seen = String::new();
    for line in script.lines().filter(|line| line.starts_with(['$', '#'])) {
        seen += &format!("{line}\n");
        if let Some(wish) = line.strip_prefix("# until ") {
            let (job, state) = wish.split_once(' ').expect("a job and a state");
            until(line, || node.get(&format!("/jobs/{job}"))["state"] == state);
        }
        let Some(line) = line.strip_prefix("$ ") else { continue };
        let program = Path::new(env!("CARGO_BIN_EXE_gaffer")).parent().expect("a folder");
        let path = format!("{}:{}", program.display(), std::env::var("PATH").expect("a path"));
        // Whatever does not end fails, and does not hold the others up for ever.
        let mut command = Command::new("timeout");
        command
            .args(["60", "sh", "-c", line])
            .current_dir(folder)
            .stdin(Stdio::null())
            .env("PATH", path);
        command.env("GAFFER_URL", format!("http://127.0.0.1:{}", node.port));
        command.env("GAFFER_CONFIG", "").env("HOME", folder);
        command.envs(env.iter().map(|(name, value)| (*name, value)));
        let output = command.output().expect("it runs");
        let root = node.folder().text("");
        for (sign, bytes) in [('>', &output.stdout), ('!', &output.stderr)] {
            let text = String::from_utf8_lossy(bytes);
            let lines =
                text.lines().map(|line| format!("{sign} {line}").trim_end().to_owned() + "\n");
            seen += &masked(&lines.collect::<String>(), root.trim_end_matches('/'), more);
        }
        match output.status.code() {
            Some(0) => {}
            Some(code) => seen += &format!("[{code}]\n"),
            None => panic!("{line}: {}", output.status),
        }
    }
    seen
}

fn compare(name: &str, prepare: impl FnOnce(&Path)) {
    let node = Folder::new().start();
    let folder = node.path("site");
    fs::create_dir(&folder).expect("a folder");
    prepare(&folder);
    compare_on(name, &node, &folder, (&[], &More::new()));
}

fn compare_on(name: &str, node: &Node, folder: &Path, how: (&[(&str, String)], &More)) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cli").join(name);
    let expected = fs::read_to_string(&path).expect("it is there");
    let seen = replay(&expected, node, folder, how);
    if std::env::var_os("GOLDEN_WRITE").is_some() {
        fs::write(&path, seen).expect("written");
        return;
    }
    let differs = expected.lines().zip(seen.lines()).find(|(expected, seen)| expected != seen);
    assert!(expected == seen, "{name}: {differs:?}\n{seen}");
}

#[test]
fn commands_on_a_node_print_what_they_printed() {
    compare("node.trace", |folder| {
        let procfile = "web: echo hello from web; exec sleep 1001\n\
            echo: read line; echo got $line\n";
        fs::write(folder.join("Procfile"), procfile).expect("written");
        let env = "GAFFER_REDIRECT_INPUT=echo\nPORT=7100\n";
        fs::write(folder.join(".env"), env).expect("written");
        // What is tried again soon would differ from one command to the next.
        let broken = r#"{"name": "site.broken", "cmd": "exec >&2; echo trying; echo cannot; exit 3",
            "shell": true, "restart": "on-failure", "redirect_output": ["out", "err"],
            "backoff": {"base": 900, "max": 900}}"#;
        fs::write(folder.join("broken.json"), broken).expect("written");
    });
}

#[test]
fn commands_without_a_node_print_what_they_printed() {
    compare("here.trace", |folder| {
        let procfile = "greet: echo hello; echo and more\nweb: exec sleep 1001\n";
        fs::write(folder.join("Procfile"), procfile).expect("written");
        let ini = "[gaffer]\nbnid = 127.0.0.1:0\n\n[job:web]\nnumprocesses = many\n";
        fs::write(folder.join("bad.ini"), ini).expect("written");
    });
}

#[test]
fn commands_on_many_nodes_print_what_they_printed() {
    let web = json!({"name": "site.web", "cmd": "sh", "args": ["-c", "echo hello; exec sleep 1001"],
        "redirect_output": ["out", "err"]});
    let farm = Farm::new(2, &json!([web, {"name": "site.db", "cmd": "sleep 1001"}]));
    // A process has to have run for a while until it counts as running, and columns are as wide as that.
    for node in &farm.nodes {
        for job in ["/jobs/site/web", "/jobs/site/db"] {
            until("it runs", || node.get(job)["state"] == "running");
        }
    }
    let at = |lookupd: &Node| format!("127.0.0.1:{}", lookupd.port);
    let (l1, l2) = (at(&farm.lookupds[0]), at(&farm.lookupds[1]));
    let env = [("L1", l1), ("L2", l2), ("GAFFER_LOOKUPD", String::new())];
    // Columns are as wide as the name of this host and the numbers of ports.
    let short = farm.host.split('.').next().expect("a name");
    let mut more = More::new();
    let mut add = |pattern: String, instead: &str| {
        more.push((Regex::new(&pattern).expect(&pattern), instead.to_owned()));
    };
    for (number, node) in ["1", "2"].iter().zip(&farm.nodes) {
        add(format!(r"127\.0\.0\.1:{}\b", node.port), &format!("ADDRESS:{number}"));
        add(format!(r"\b{short}:{} +", node.port), &format!("HOST:{number} "));
        add(format!(r"\b{short}:{}\b", node.port), &format!("HOST:{number}"));
    }
    add(format!(r"\b{}\b", farm.host.replace('.', r"\.")), "HOST");
    add(format!(r"\b{short}\b"), "HOST");
    add(r"NODE +".into(), "NODE ");
    add(r#""last_seen":( ?)[\d.]+"#.into(), "\"last_seen\":${1}N");
    compare_on("across.trace", &farm.nodes[0], Path::new(&farm.folder), (&env, &more));
}

#[test]
fn commands_about_keys_and_users_print_what_they_printed() {
    let node = Folder::new().args(&["--require-key"]).start();
    let folder = node.path("site");
    fs::create_dir(&folder).expect("a folder");
    let mut more = More::new();
    for (pattern, instead) in [
        (r"\b[0-9a-f]{32}\b", "KEY"),
        (r"\b[0-9a-f]{16}\b", "ID"),
        (r"(ID|-) +(-|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) +", "$1 $2 "),
        (r"KEY +LABEL +EXPIRES +PERMITS", "KEY LABEL EXPIRES PERMITS"),
        (r"USER +TYPE +KEY", "USER TYPE KEY"),
    ] {
        more.push((Regex::new(pattern).expect(pattern), instead.to_owned()));
    }
    let env = [("SOCK", node.path("s").display().to_string())];
    compare_on("keys.trace", &node, &folder, (&env, &more));
}

#[test]
fn commands_about_webhooks_print_what_they_printed() {
    let node = Folder::new().start();
    let folder = node.path("site");
    fs::create_dir(&folder).expect("a folder");
    let mut more = More::new();
    for (pattern, instead) in [
        (r"whsec_[A-Za-z0-9+/]{43}=", "SECRET"),
        (r"\b[0-9a-f]{12}\b", "ID"),
        (r"after [\d.]+ s", "after T s"),
        (r#""seconds": [\d.]+"#, "\"seconds\": N"),
        (r"ID-\d+-test", "ID-SEQ-test"),
        (r"ID +EVENTS +STATE +QUEUED", "ID EVENTS STATE QUEUED"),
        (r"ID +\. +(waiting|delivering) +", "ID . waiting "),
        (
            r"(?m)ID: failed \d+ times (.*) refused(; again at .*)?$",
            "ID: failed N times $1 refused",
        ),
    ] {
        more.push((Regex::new(pattern).expect(pattern), instead.to_owned()));
    }
    // Nobody listens there, and of an address that is always the same the place in the list is, too.
    let env = [("HOOK", "http://127.0.0.1:2/in?token=hush".to_owned())];
    compare_on("webhooks.trace", &node, &folder, (&env, &more));
}

#[test]
fn commands_about_plugins_print_what_they_printed() {
    let folder = Folder::new().args(&["-p", "@plugins"]);
    folder.write("plugins/live/_site/index.html", "x");
    folder.write("plugins/empty/readme", "x");
    let node = folder.start();
    let site = node.path("site");
    fs::create_dir(&site).expect("a folder");
    compare_on("plugins.trace", &node, &site, (&[], &More::new()));
}

#[test]
fn every_command_is_in_a_file() {
    let files = [
        "node.trace",
        "here.trace",
        "across.trace",
        "keys.trace",
        "webhooks.trace",
        "plugins.trace",
    ];
    let files = files.map(|name| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cli").join(name);
        fs::read_to_string(path).expect("it is there")
    });
    let lines: Vec<&str> = files.iter().flat_map(|file| file.lines()).collect();
    for command in COMMANDS {
        let is_it = |line: &&&str| {
            let mut words = line.split_whitespace().skip_while(|word| *word != "gaffer").skip(1);
            line.starts_with("$ ") && words.next().is_some_and(|word| command.names.contains(&word))
        };
        let name = command.names[0];
        assert!(
            ELSEWHERE.contains(&name) || lines.iter().any(|line| is_it(&line)),
            "gaffer {name} is in no file of tests/golden/cli"
        );
    }
}
