//! The daemon's own log: as JSON and to syslog, at another level while it runs, and in files that are moved.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use gaffer::sys::users;
use serde_json::{json, Value};

use super::node::{Folder, Node, HUP, USR1};
use super::until::{until, until_some};

/// What is in a log of JSON, whose every line has to be sound.
fn lines(text: &str) -> Vec<Value> {
    // The last line may be under way.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let line = |line: &str| {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        for (key, is_so) in [
            ("ts", object["ts"].is_f64()),
            ("time", object["time"].is_string()),
            ("pid", object["pid"].is_u64()),
            ("target", object["target"].as_str().is_some_and(|t| t.starts_with("gaffer"))),
            ("message", object["message"].is_string()),
        ] {
            assert!(is_so, "{key} of {line}");
        }
        object
    };
    whole.lines().map(line).collect()
}

fn of_level(node: &Node, level: &str) -> usize {
    lines(&node.log()).iter().filter(|line| line["level"] == level).count()
}

#[test]
fn every_line_of_a_json_log_is_an_object() {
    let mut node = Folder::new().args(&["--log-format", "json"]).start();
    node.run_job(&json!({"name": "a", "cmd": "echo \"\\\"\" >&2; sleep 1000", "shell": true}));
    let broken = json!({"name": "b", "cmd": "/no/such/'\"program\"'", "restart": "never"});
    node.ask("POST", "/jobs/t", &broken.to_string());
    node.stop();
    let all = lines(&node.log());
    let said = |part: &str| {
        all.iter().any(|line| line["message"].as_str().is_some_and(|said| said.contains(part)))
    };
    assert!(said("listening on") && said("/no/such/\"program\"") && said("gafferd ends"));
    let pid = json!(node.os_pid);
    assert!(all.iter().all(|line| line["pid"] == pid && line["level"] != "debug"));
}

#[test]
fn a_lookupd_logs_as_a_node_does() {
    let mut lookupd = Folder::of_lookupd().args(&["--log-format", "json"]).start();
    lookupd.get("/version");
    lookupd.stop();
    let all = lines(&lookupd.log());
    assert!(all.iter().any(|line| line["message"] == "gaffer_lookupd ends"));
}

#[test]
fn who_may_not_rename_his_log_says_so_once_and_goes_on() {
    if !users::is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let folder = Folder::new().args(&["--user", "nobody", "--socket", "@run/s"]);
    let folder = folder.args(&["--state-dir", "@st/ate", "-c", "@g.ini"]);
    let folder = folder.args(&["--error-log", "@log", "--log-level", "debug"]);
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path(""), mode).expect("ours");
    folder.write("g.ini", "[gaffer]\nerror_log_max_size = 2KB\n");
    let node = folder.start();
    until("it is larger than it should be", || {
        node.get("/version");
        node.log().len() > 8 * 1024
    });
    let said = "cannot be moved aside: Permission denied; it goes on into the old one";
    assert_eq!(node.log().matches(said).count(), 1, "{}", node.log());
    assert!(!node.path("log.1").exists());
}

#[test]
fn the_level_is_another_while_it_runs() {
    let folder = Folder::new().args(&["--log-format", "json", "-c", "@g.ini"]);
    folder.write("g.ini", "[gaffer]\nlog_level = info\n");
    let node = folder.start();
    let set = |body: &str| node.does("PUT", "/log-level", body);
    node.get("/version");
    assert_eq!(of_level(&node, "debug"), 0);
    set(r#"{"level": "debug"}"#);
    node.get("/version");
    until("what is decided is told", || of_level(&node, "debug") > 0);
    // What the file says is as it was: it does not change what is so.
    node.signal(HUP);
    until("its file is read", || node.log().contains("configuration read again"));
    assert_eq!(node.get("/log-level")["level"], "debug");
    set("info");
    let before = of_level(&node, "debug");
    (0..10).for_each(|_| drop(node.get("/version")));
    assert_eq!(of_level(&node, "debug"), before);
    let refused = node.ask("PUT", "/log-level", "loud");
    let words = "expected critical, error, warning, info, debug or trace";
    assert!(refused.status == 400 && refused.text().contains(words), "{}", refused.text());
    node.folder().write("g.ini", "[gaffer]\nlog_level = debug\n");
    node.signal(HUP);
    until("what changed in the file is so", || node.get("/log-level")["level"] == "debug");
    node.get("/version");
    until("and told", || of_level(&node, "debug") > before);
}

#[test]
fn a_log_that_grows_is_moved_aside_and_one_that_is_deleted_is_made_anew() {
    let folder = Folder::new().args(&["--error-log", "@log", "--log-level", "debug"]);
    let folder = folder.args(&["-c", "@g.ini"]);
    folder.write("g.ini", "[gaffer]\nerror_log_max_size = 4KB\nerror_log_keep = 1000\n");
    let node = folder.start();
    let files = || {
        let entries = fs::read_dir(node.path("")).expect("there");
        let names = entries.map(|entry| entry.expect("there").file_name());
        names.filter(|name| name.to_string_lossy().starts_with("log")).count()
    };
    let mut asked = 0;
    until("it has been moved aside three times", || {
        node.get(&format!("/version?number={asked}"));
        asked += 1;
        files() > 3
    });
    let all: Vec<String> = (0..files())
        .map(|number| match number {
            0 => node.read("log"),
            number => node.read(&format!("log.{number}")),
        })
        .collect();
    assert!(all.iter().all(|text| text.len() <= 4096 && text.ends_with('\n')));
    let told = |text: &String| text.lines().filter(|line| line.contains("GET /version")).count();
    assert_eq!(all.iter().map(told).sum::<usize>(), asked, "no line is lost, and none is twice");

    fs::remove_file(node.path("log")).expect("ours");
    until("it is made anew", || {
        node.get("/version");
        node.path("log").exists()
    });
    fs::rename(node.path("log"), node.path("moved")).expect("ours");
    node.signal(USR1);
    until("it is opened again", || node.read("log").contains("opened again"));
}

#[test]
fn a_log_goes_to_syslog() {
    let folder = Folder::new().args(&["-c", "@g.ini"]);
    let daemon = UnixDatagram::bind(folder.path("dev-log")).expect("ours");
    folder.write("g.ini", "[gaffer]\nerror_log = syslog\nsyslog_socket = dev-log\n");
    let heard = |daemon: &UnixDatagram, part: &str| {
        daemon.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
        until_some(part, || {
            let mut buffer = [0; 8192];
            let count = daemon.recv(&mut buffer).expect("somebody says something");
            let line = String::from_utf8_lossy(&buffer[..count]).into_owned();
            line.contains(part).then_some(line)
        })
    };
    let mut node = folder.start_unseen();
    let line = heard(&daemon, "listening on");
    let tag = format!(" gafferd[{}]: listening on ", node.os_pid);
    assert!(line.starts_with("<30>") && line.contains(&tag), "{line}");
    // It is started again, with another socket.
    drop(daemon);
    fs::remove_file(node.path("dev-log")).expect("there");
    node.signal(HUP);
    let daemon = UnixDatagram::bind(node.path("dev-log")).expect("ours");
    node.signal(HUP);
    assert!(heard(&daemon, "reading the configuration").starts_with("<30>"));
    node.stop();
    heard(&daemon, "gafferd ends");
}
