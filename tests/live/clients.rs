//! Clients of other makes, as people have them, in front of the real gafferd: `tests/clients` has a
//! script for each thing that they do. What they need is installed by `tests/clients/setup`. Where a
//! tool cannot be had its tests say so and pass, but under continuous integration (`CI=true`).

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use gaffer::node::routes::ROUTES;
use gaffer::wire::http::Method;

use super::keys::minted;
use super::node::{Folder, Node};
use super::until::until;

/// How long a script may take, and the installation of a tool, in seconds: more than they need on a
/// machine that does much besides.
pub(crate) const SCRIPT_TIME: &str = "180";
const SETUP_TIME: &str = "540";
/// What `GET /debug/counters` counts of clients.
const OF_CLIENTS: [&str; 12] = [
    "connections",
    "sessions",
    "session_receivers",
    "session_senders",
    "session_timers",
    "topics",
    "subscriptions",
    "feeds",
    "stats_watches",
    "waits",
    "writers",
    "queued_bytes",
];

pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// Where the tools' libraries are installed.
fn installed() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients")
}

/// A program that `timeout` ends when it takes too long, with all that it started.
pub(crate) fn limited(seconds: &str, program: &OsStr) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", seconds]).arg(program).stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// A tool's program, if it can be had.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let setup = scripts().join("setup");
    let done = limited(SETUP_TIME, setup.as_os_str()).arg(installed()).arg(name).output();
    let Output { status, stdout, stderr } = done.expect("timeout runs");
    if status.success() {
        return Some(text(&stdout).into());
    }
    let told = format!("SKIPPED what needs {name}, which cannot be had: {}", text(&stderr));
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{told}");
    // Not by a macro, whose output is shown only of tests that fail.
    writeln!(std::io::stderr(), "{told}").expect("stderr");
    None
}

/// Runs a script of a tool against the server at a URL, whose process is `os_pid`; with what else it takes.
pub(crate) fn run(program: &Path, script: &str, url: &str, os_pid: i32, more: &[&str]) {
    run_for(SCRIPT_TIME, program, script, (url, os_pid), more);
}

/// The same, for so many seconds at the most.
pub(crate) fn run_for(
    seconds: &str,
    program: &Path,
    script: &str,
    (url, os_pid): (&str, i32),
    more: &[&str],
) {
    let mut command = limited(seconds, program.as_os_str());
    let done = command
        .args([scripts().join(script), url.into(), os_pid.to_string().into()])
        .args(more)
        .env("NODE_PATH", installed().join("node/node_modules"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output();
    let Output { status, stdout, stderr } = done.expect("timeout runs");
    assert!(status.success(), "{script}: {status}\n{}\n{}", text(&stdout), text(&stderr));
}

/// Runs a script against a gafferd of its own, of which it leaves nothing, and which has nothing to
/// complain of.
fn against_gafferd(name: &str, script: &str) {
    if let Some(program) = tool(name) {
        leaves_nothing(&program, script);
    }
}

fn leaves_nothing(program: &Path, script: &str) {
    let mut node = Folder::new().start();
    run(program, script, &url(&node), node.os_pid, &[]);
    if node.runs() {
        until("nothing is left of the clients", || {
            let counters = node.get("/debug/counters");
            // The one that asks is there.
            OF_CLIENTS.iter().all(|of| counters[*of] == u64::from(*of == "connections"))
        });
        node.stop();
    } else {
        assert_eq!(node.ended(), Some(0));
    }
    let log = node.log();
    assert!(!log.contains("[ERROR]") && !log.contains("panicked"), "{script}:\n{log}");
    node.assert_nothing_left();
}

pub(crate) fn url(node: &Node) -> String {
    format!("http://127.0.0.1:{}", node.port)
}

#[test]
fn curl_reads_every_form_of_every_feed() {
    against_gafferd("curl", "feeds.sh");
}

#[test]
fn python_speaks_the_channel() {
    against_gafferd("python", "channel.py");
}

#[test]
fn python_talks_to_processes() {
    against_gafferd("python", "process.py");
}

#[test]
fn python_clients_that_are_killed_leave_nothing() {
    against_gafferd("python", "vanish.py");
}

#[test]
fn python_clients_see_the_end_of_the_node() {
    against_gafferd("python", "ending.py");
}

#[test]
fn python_clients_that_stop_reading_cost_little_and_are_told() {
    against_gafferd("python", "slow.py");
}

#[test]
fn node_speaks_the_channel() {
    against_gafferd("node", "channel.js");
}

#[test]
fn sockjs_speaks_the_channel_over_all_its_transports() {
    against_gafferd("node", "sockjs.js");
}

/// The server of `tests/echo`, ended with the test.
struct Echo(Child);

impl Echo {
    #[expect(clippy::disallowed_methods, reason = "the server under test is no child of gaffer's")]
    fn start() -> (Self, String) {
        let programs = Path::new(env!("CARGO_BIN_EXE_gafferd")).parent().expect("a folder");
        let program = programs.join("examples/echo");
        let mut command = Command::new(&program);
        let child = command.args(["--bind", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn();
        let hint = "`cargo test` builds it, `cargo build --example echo` alone";
        let mut echo = Self(child.unwrap_or_else(|e| panic!("{}: {e}; {hint}", program.display())));
        let mut line = String::new();
        let stdout = echo.0.stdout.as_mut().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
        let url = line.trim().strip_prefix("listening on ").expect("a URL").to_owned();
        (echo, url)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // It may have ended by itself, which its clients have seen.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn sockjs_has_its_echoes_over_all_its_transports() {
    let Some(program) = tool("node") else { return };
    let (echo, url) = Echo::start();
    let os_pid = i32::try_from(echo.0.id()).expect("a pid");
    run(&program, "echo.js", &url, os_pid, &[]);
}

#[test]
fn pages_in_a_browser_use_their_own_node_and_no_other() {
    if let (Some(node), Some(_)) = (tool("node"), tool("chromium")) {
        leaves_nothing(&node, "page.js");
    }
}

#[test]
fn a_site_in_a_browser_shows_live_statistics_over_sockjs() {
    let (Some(program), Some(_)) = (tool("node"), tool("chromium")) else { return };
    let folder = Folder::new().args(&["-p", "@plugins"]);
    for name in ["index.html", "style.css", "live.js"] {
        let text = std::fs::read_to_string(scripts().join("site").join(name)).expect("it is there");
        folder.write(&format!("plugins/live/_site/{name}"), &text);
    }
    let library = installed().join("node/node_modules/sockjs-client/dist/sockjs.min.js");
    let library = std::fs::read_to_string(library).expect("it is installed");
    folder.write("plugins/live/_site/sockjs.min.js", &library);
    let mut node = folder.start();
    run(&program, "site.js", &url(&node), node.os_pid, &[]);
    node.stop();
    node.assert_nothing_left();
}

#[test]
fn pages_of_strangers_in_a_browser_read_nothing_and_start_nothing() {
    let (Some(program), Some(_)) = (tool("node"), tool("chromium")) else { return };
    let start = |args: &[&str]| Folder::new().args(args).start();
    let mut nodes = [
        start(&[]),
        // Of an origin that a browser is told to find at the script's own server.
        start(&["--origin", "http://friend.test"]),
        start(&["--require-key"]),
    ];
    let [node, friendly, keyed] = &nodes;
    let key = minted(keyed, serde_json::json!({"admin": true}));
    let gets = ROUTES.iter().filter(|route| route.method == Method::Get);
    let gets: Vec<&str> = gets.map(|route| route.pattern).collect();
    let gets = serde_json::json!(gets).to_string();
    let more = [url(friendly), url(keyed), key, gets];
    let more = more.each_ref().map(String::as_str);
    run(&program, "stranger.js", &url(node), node.os_pid, &more);
    for node in &mut nodes {
        node.stop();
        let log = node.log();
        assert!(!log.contains("[ERROR]") && !log.contains("panicked"), "{log}");
        node.assert_nothing_left();
    }
}
