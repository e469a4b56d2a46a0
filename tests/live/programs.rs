//! Plugins that are programs, with a real gafferd: the examples, and plugins that mean no good.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{json, Value};

use super::clients::tool;
use super::node::{Folder, Node, HUP};
use super::until::{until, until_some};

/// Lays the examples out, as nobody else may write them, whatever is so of the sources.
fn lay_out_examples(folder: &Folder) {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plugins");
    for name in ["greeter/plugin.json", "greeter/greeter.py", "diary/plugin.json", "diary/diary.sh"]
    {
        let text = fs::read_to_string(sources.join(name)).expect("it is there");
        folder.write(&format!("plugins/{name}"), &text);
        let mode = Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(&format!("plugins/{name}")), mode).expect("ours");
    }
}

fn plugin(node: &Node, name: &str) -> Value {
    let told = node.get("/plugins");
    let all = told["plugins"].as_array().expect("a list");
    all.iter().find(|plugin| plugin["name"] == name).expect("it is there").clone()
}

fn program(node: &Node, name: &str, member: &str) -> Value {
    plugin(node, name)["program"][member].clone()
}

/// Writes a plugin, whose program is a script.
fn write(folder: &Folder, name: &str, more: &str, script: &str) {
    folder.write(
        &format!("plugins/{name}/plugin.json"),
        &format!(r#"{{"name": "{name}", "program": "run"{more}}}"#),
    );
    folder.write(&format!("plugins/{name}/run"), script);
    let mode = Permissions::from_mode(0o755);
    fs::set_permissions(folder.path(&format!("plugins/{name}/run")), mode).expect("ours");
}

const ROUTES: &str = r#", "routes": {"GET /": "nothing"}"#;

#[test]
fn a_plugin_in_python_hears_what_happens_gives_commands_and_answers_requests() {
    let Some(_python) = tool("python3") else { return };
    let folder = Folder::new().args(&["-c", "@g.ini", "-p", "@plugins"]);
    lay_out_examples(&folder);
    folder.write(
        "g.ini",
        "[plugin:greeter]\nmanage = site\n[plugin:diary]\nenabled = no\n[job:site:web]\ncmd = sleep 1000\n[job:other:a]\ncmd = sleep 1000\n",
    );
    let mut node = folder.start();
    let api = "/_plugin/greeter/api";
    let hello = until_some("it answers", || {
        let answer = node.ask("GET", &format!("{api}/hello/J%C3%B6"), "");
        (answer.status == 200).then(|| answer.json())
    });
    assert_eq!(hello, json!({"hello": "J%C3%B6", "caller": "anybody"}));
    let doubled = node.does("POST", &format!("{api}/double/site/web"), "");
    assert_eq!(doubled["numprocesses"], 2);
    until("both run", || {
        node.get("/jobs/site/web/pids")["pids"].as_array().map(Vec::len) == Some(2)
    });
    until("it has heard", || {
        node.get(&format!("{api}/counts"))["job.site.web.spawn"].as_u64() >= Some(2)
    });
    let refused = node.ask("POST", &format!("{api}/double/other/a"), "");
    assert_eq!((refused.status, refused.json()), (403, json!({"error": "forbidden"})));
    assert_eq!(node.ask("POST", "/jobs/_plugin", r#"{"name": "x", "cmd": "x"}"#).status, 403);
    // It goes with the node, however that ends, and the next one has its own.
    node.kill();
    node.start_again();
    until("the next one answers", || node.ask("GET", &format!("{api}/hello/x"), "").status == 200);
    node.stop();
    node.assert_nothing_left();
}

#[test]
fn a_plugin_in_sh_starts_what_was_given_up() {
    let folder = Folder::new().args(&["-c", "@g.ini", "-p", "@plugins"]);
    lay_out_examples(&folder);
    let diary = folder.text("diary");
    folder.write(
        "g.ini",
        &format!(
            "[plugin:diary]\nmanage = *\nenv:DIARY = {diary}\n[plugin:greeter]\nenabled = no\n\
             [job:site:bad]\ncmd = false\nflapping = 1, 10, 100, 0\n"
        ),
    );
    let node = folder.start();
    until("it is started again and again", || {
        node.read("diary").matches("job.site.bad.failed").count() >= 3
    });
    let greeter = plugin(&node, "greeter");
    assert_eq!(greeter["program"], Value::Null);
    assert!(greeter["faults"][0]
        .as_str()
        .is_some_and(|fault| fault.ends_with("it is not enabled")));
}

#[test]
fn a_plugin_that_floods_hangs_crashes_or_lies_is_contained_and_told() {
    let Some(_python) = tool("python3") else { return };
    let folder = Folder::new().args(&["-c", "@g.ini", "-p", "@plugins"]);
    let once = |name: &str| format!("[plugin:{name}]\nflapping = 1, 10, 100, 0\n");
    folder.write("g.ini", &(once("flood") + &once("crash")));
    write(&folder, "flood", "", "#!/bin/sh\nexec yes '{\"event\": \"CMD\"}'\n");
    write(&folder, "deaf", r#", "events": ["."]"#, "#!/bin/sh\nexec sleep 1000\n");
    write(&folder, "hang", ROUTES, "#!/bin/sh\nexec sleep 1000\n");
    write(&folder, "crash", ROUTES, "#!/bin/sh\nexit 3\n");
    let answers = "#!/usr/bin/env python3\nimport socket, sys\n\
        server = socket.socket(fileno=3)\n\
        while True:\n    client, _ = server.accept()\n    client.recv(9999)\n    client.sendall(WORDS)\n    client.close()\n";
    let cut = r"b'HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\nhal'";
    write(&folder, "lie", ROUTES, &answers.replace("WORDS", r"b'SSH-2.0-x\r\n'"));
    write(&folder, "cut", ROUTES, &answers.replace("WORDS", cut));
    let node = folder.load(&json!([{"name": "site.web", "cmd": "sleep 1000"}])).start();
    let get = |name: &str| node.ask("GET", &format!("/_plugin/{name}/api/"), "");
    until("the liar answers", || get("lie").status == 502);
    let mut waits = node.client();
    waits.send(b"GET /_plugin/hang/api/ HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut cuts = node.client();
    until("the cutter answers", || program(&node, "cut", "state") == "running");
    cuts.send(b"GET /_plugin/cut/api/ HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let cut = String::from_utf8(cuts.rest().expect("it is closed")).expect("text");
    assert!(!cut.ends_with("0\r\n\r\n"), "the end is missing, and is missed: {cut}");
    until("the flood is stopped", || program(&node, "flood", "state") == "failed");
    let flood = plugin(&node, "flood")["program"].clone();
    assert!(flood["invalid_messages"].as_u64() >= Some(100), "{flood}");
    assert!(
        flood["last_error"].as_str().is_some_and(|e| e.contains("were no messages")),
        "{flood}"
    );
    until("the crasher is given up", || program(&node, "crash", "state") == "failed");
    assert_eq!(get("crash").status, 503);
    until("the deaf one runs on", || program(&node, "deaf", "state") == "running");
    // Who hangs holds up nobody else, and when it goes its client is told.
    assert_eq!(node.get("/jobs/site/web")["running"], 1);
    node.does("POST", "/jobs/_plugin/hang/restart", "");
    let log = node.log();
    assert!(log.contains("the plugin flood is killed: 100 of its lines were no messages"), "{log}");
    assert!(log.contains("the plugin lie does not answer a request"), "{log}");
    drop(waits);
}

#[test]
fn plugins_come_change_and_go_with_a_reload() {
    let folder = Folder::new().args(&["-p", "@plugins"]);
    let script = "#!/bin/sh\nexec sleep 1000\n";
    write(&folder, "a", r#", "version": "1""#, script);
    write(&folder, "b", "", script);
    let node = folder.start();
    let pid = |name: &str| until_some("it runs", || program(&node, name, "pids")[0].as_u64());
    let (a, b) = (pid("a"), pid("b"));
    write(node.folder(), "a", r#", "version": "2""#, script);
    write(node.folder(), "c", "", script);
    node.signal(HUP);
    until("it is another", || program(&node, "a", "version") == "2" && pid("a") != a);
    pid("c");
    assert_eq!(pid("b"), b, "what has not changed goes on");
    fs::remove_dir_all(node.path("plugins/b")).expect("ours");
    write(node.folder(), "c", r#", "mandatory": ["b"]"#, script);
    node.signal(HUP);
    let said = "the configuration stays as it was: ";
    until("it is refused", || node.log().contains(said));
    assert_eq!(pid("b"), b);
    write(node.folder(), "c", "", script);
    node.signal(HUP);
    until("it is gone", || {
        node.get("/plugins")["plugins"].as_array().is_some_and(|all| all.len() == 2)
    });
    until("its process is, too", || node.ask("GET", &format!("/{b}"), "").status == 404);
}

#[test]
fn without_a_mandatory_plugin_there_is_no_start() {
    let folder = Folder::new().args(&["-p", "@plugins"]);
    write(&folder, "a", r#", "mandatory": ["base"]"#, "#!/bin/sh\n");
    let refused = folder.run();
    assert_eq!(refused.code, Some(1));
    let said = "/plugins/a/plugin.json: mandatory: there is no plugin \"base\"";
    assert!(refused.said.contains(said), "{}", refused.said);
}
