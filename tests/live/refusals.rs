//! What gafferd refuses to start with: a clear word, an exit code, and nothing started.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use serde_json::json;

use super::node::{is_there, Folder, Refused};

/// A folder with a job that leaves a mark if it is started.
fn folder() -> Folder {
    let folder = Folder::new();
    let cmd = format!("touch {}", folder.text("started"));
    folder.load(&json!([{"name": "mark.a", "cmd": cmd}]))
}

/// Starts in vain, for this reason, and changes nothing.
fn refuses(folder: &Folder, code: i32, reason: &str) -> Refused {
    let refused = folder.run();
    assert_eq!(refused.code, Some(code), "{}", refused.said);
    assert!(refused.said.contains(reason), "{reason:?} is not in {:?}", refused.said);
    assert!(refused.said.starts_with("gafferd: "), "{:?}", refused.said);
    assert_eq!(refused.said.lines().count(), 1, "{:?}", refused.said);
    assert!(!folder.path("started").exists(), "{reason}: nothing is started");
    refused
}

#[test]
fn a_port_in_use_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    let folder = folder().args(&["--bind", &format!("127.0.0.1:{port}")]);
    refuses(&folder, 1, &format!("cannot listen on 127.0.0.1:{port}: Address already in use"));
    assert!(!is_there(&folder.path("s")), "no socket is left behind");
}

#[test]
fn a_socket_that_somebody_listens_on_is_refused_and_a_stale_one_replaced() {
    let folder = folder();
    let live = UnixListener::bind(folder.path("s")).expect("a socket");
    let refused = refuses(&folder, 1, "the unix socket ");
    assert!(refused.said.contains("--socket"), "{}", refused.said);
    assert!(is_there(&folder.path("s")), "the other's socket stays");
    drop(live);
    let mut node = folder.start();
    let mut client = super::http::Client::unix(&node.path("s")).expect("it is ours now");
    assert_eq!(client.request("GET", "/ping", "").expect("answered").status, 200);
    node.stop();
    assert!(!is_there(&node.path("s")));
}

#[test]
fn a_pidfile_that_cannot_be_written_or_is_held_is_refused() {
    let mut own = folder().args(&["--pidfile", "@no/such/pid"]);
    refuses(&own, 1, "no/such/pid: No such file or directory");
    assert!(!is_there(&own.path("s")), "no socket is left behind");
    own = folder();
    let node = Folder::new().args(&["--pidfile", &own.text("pid")]).start();
    let own = own.args(&["--pidfile", "@pid"]);
    let held = format!("already running on PID {}: it holds the pidfile", node.os_pid);
    refuses(&own, 1, &held);
    assert_eq!(own.read("pid").trim(), node.os_pid.to_string());
}

#[test]
fn a_state_directory_has_one_daemon() {
    let node = Folder::new().start();
    let state = node.path("state").display().to_string();
    let folder = folder().args(&["--state-dir", &state]);
    let reason = format!("is in use by another gafferd (process {})", node.os_pid);
    refuses(&folder, 1, &reason);
    assert_eq!(node.ask("GET", "/ping", "").text(), "OK");
}

#[test]
fn a_fault_in_a_file_is_told_with_its_line() {
    let faults = [
        ("[gaffer]\nbind = nowhere:1\n", "bad.ini:2: "),
        ("[gaffer]\npidfle = x\n", "bad.ini:2: unknown key \"pidfle\" in [gaffer]; did you mean"),
        ("[job:a]\ncmd = x\n\n[job:b]\ncmd = y\nnumproceses = 2\n", "bad.ini:6: "),
        ("[job:a]\ncmd = x\nwhat is this\n", "bad.ini:3: "),
        ("[job:a\ncmd = x\n", "bad.ini:1: "),
    ];
    for (text, reason) in faults {
        let folder = folder().args(&["-c", "@bad.ini"]);
        folder.write("bad.ini", text);
        refuses(&folder, 1, reason);
    }
    let folder = folder().args(&["-c", "@none.ini"]);
    refuses(&folder, 1, "none.ini: no such file");
}

#[test]
fn a_pipe_in_the_place_of_a_file_makes_nobody_wait() {
    let refused = |named: &str, args: &[&str]| {
        let folder = folder().args(args).before(&format!("mkfifo {named}"));
        folder.write("Procfile", "web: sleep 1000\n");
        refuses(&folder, 1, "it is a pipe; name a regular file");
    };
    refused("g.ini", &["-c", "@g.ini"]);
    refused(".env", &["--procfile", "x=Procfile"]);
    refused("fifo", &["--procfile", "x=fifo"]);
    refused("fifo", &["--load", "@fifo"]);
}

#[test]
fn other_machines_are_let_in_only_by_a_written_word() {
    let open = folder().args(&["--bind", "0.0.0.0:0", "--socket", "none"]);
    refuses(&open, 1, "0.0.0.0:0 can be reached from other machines, and there is no key");
    let asked = folder().args(&["--require-key", "--socket", "none"]);
    refuses(&asked, 1, "a key is asked for, and there is no key");
    let node = Folder::new();
    node.write("open.ini", "[gaffer]\nrequire_key = false\n");
    // The loopback comes first, so that it is what the log names first.
    let node = node.args(&["-c", "@open.ini", "--bind", "0.0.0.0:0"]).start();
    assert_eq!(node.ask("GET", "/ping", "").text(), "OK");
}

#[test]
fn a_wrong_command_line_is_a_fault_of_its_own() {
    refuses(&folder().args(&["--pidfle", "x"]), 2, "did you mean --pidfile?");
    refuses(&folder().args(&["stray"]), 2, "stray");
    refuses(&folder().args(&["--bind"]), 2, "--bind");
}
