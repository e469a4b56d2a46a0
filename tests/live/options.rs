//! What a job's options do to its processes, as these see it themselves.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use gaffer::sys::users;
use serde_json::{json, Value};

use super::node::{Folder, Node};
use super::procs;
use super::until::{all_along, until, until_some};

/// Runs a shell line once with these options and gives what it wrote, line by line.
fn says(node: &Node, name: &str, cmd: &str, mut options: Value) -> Vec<String> {
    let path = format!("/jobs/t/{name}");
    let with = options.as_object_mut().expect("options");
    with.insert("name".into(), json!(name));
    with.insert("restart".into(), json!("never"));
    with.insert("cmd".into(), json!(cmd));
    with.entry("shell").or_insert(json!(true));
    node.does("POST", "/jobs/t", &options.to_string());
    let death = until_some(name, || node.deaths(&path).into_iter().next());
    let lines = death["last_lines"].as_array().cloned().unwrap_or_default();
    assert_eq!(death["exit_status"], 0, "{name}: {death}");
    lines.iter().filter_map(|line| line.as_str().map(str::to_owned)).collect()
}

#[test]
fn uid_gid_and_groups_are_applied() {
    if !users::is_root() {
        println!("skipped: only root may change who a process is");
        return;
    }
    let id = |flag: &str| {
        let said = Command::new("id").args([flag, "nobody"]).output().expect("id runs").stdout;
        String::from_utf8_lossy(&said).trim().to_owned()
    };
    let node = Folder::new().start();
    let cmd = "grep -E '^(Uid|Gid|Groups):' /proc/self/status | tr -s '\\t ' ' '";
    let said = says(&node, "by-name", cmd, json!({"uid": "nobody", "cwd": "/"}));
    let (uid, gid) = (id("-u"), id("-g"));
    assert_eq!(said[0], format!("Uid: {uid} {uid} {uid} {uid}"));
    assert_eq!(said[1], format!("Gid: {gid} {gid} {gid} {gid}"));
    let groups: Vec<&str> = said[2].split(' ').skip(1).filter(|word| !word.is_empty()).collect();
    let expected = id("-G");
    let mut expected: Vec<&str> = expected.split(' ').collect();
    expected.sort_unstable();
    assert_eq!(groups, expected, "root's own groups are gone");
    let number: u32 = id("-u").parse().expect("a number");
    let said = says(&node, "by-number", cmd, json!({"uid": number, "gid": 1, "cwd": "/"}));
    assert_eq!(said[0], format!("Uid: {uid} {uid} {uid} {uid}"));
    assert_eq!(said[1], "Gid: 1 1 1 1");
    let nobody = json!({"name": "x", "cmd": "true", "uid": "no-such-user-here"});
    let answer = node.ask("POST", "/jobs/t", &nobody.to_string());
    assert_eq!((answer.status, answer.text().contains("no-such-user-here")), (400, true));
}

#[test]
fn groups_capabilities_and_no_new_privs_are_applied() {
    if !users::is_root() {
        println!("skipped: only root may change who a process is");
        return;
    }
    let node = Folder::new().start();
    let cmd = "grep -E '^(Groups|CapEff|CapBnd|NoNewPrivs):' /proc/self/status | tr -s '\\t ' ' '";
    let options = json!({
        "uid": "nobody", "cwd": "/", "groups": ["daemon", 7],
        "capabilities": ["net_bind_service"], "no_new_privs": true,
    });
    let said = says(&node, "all", cmd, options);
    let own = Command::new("id").args(["-g", "nobody"]).output().expect("id runs").stdout;
    let groups = format!("Groups: 1 7 {} ", String::from_utf8_lossy(&own).trim());
    let kept = "0000000000000400";
    let expected = [groups, format!("CapEff: {kept}"), format!("CapBnd: {kept}")];
    assert_eq!(said[..3], expected);
    assert_eq!(said[3], "NoNewPrivs: 1");
    let cmd = "grep -E '^(Cap(Eff|Bnd)|NoNewPrivs):' /proc/self/status | tr -s '\\t ' ' '";
    let said = says(&node, "bare", cmd, json!({"capabilities": []}));
    let none = "0000000000000000";
    assert_eq!(
        said,
        [format!("CapEff: {none}"), format!("CapBnd: {none}"), "NoNewPrivs: 0".into()]
    );
}

#[test]
fn a_job_that_listens_is_told_what_happens() {
    let node = Folder::new().start();
    let file = node.path("heard");
    let listener = json!({
        "name": "ear", "cmd": format!("cat > {}", file.display()), "shell": true, "listen": ["exit", "job.t"],
    });
    node.does("POST", "/jobs/own", &listener.to_string());
    until("it runs", || node.os_pids("/jobs/own/ear").len() == 1);
    node.does("POST", "/jobs/t", r#"{"name": "a", "cmd": "false", "restart": "never"}"#);
    let heard = || -> Vec<Value> {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let told = |name: &str| heard().iter().any(|event| event["event"] == name);
    until("it is told of the end", || told("exit") && told("job.t.a.exit"));
    assert!(told("job.t.a.spawn") && !told("spawn") && !told("load"), "{:?}", heard());
    let numbers: Vec<u64> = heard().iter().filter_map(|event| event["seq"].as_u64()).collect();
    assert!(numbers.len() >= 4 && numbers.is_sorted(), "{numbers:?}");
}

#[test]
fn a_job_finds_nothing_that_a_service_manager_tells_the_daemon() {
    let folder = Folder::new().env("NOTIFY_SOCKET", "/run/n").env("LISTEN_FDS", "1");
    let node = folder.env("CREDENTIALS_DIRECTORY", "/run/c").env("KEPT", "yes").start();
    let cmd = "env | grep -E '^(NOTIFY|LISTEN|CREDENTIALS|KEPT)'";
    assert_eq!(says(&node, "env", cmd, json!({"os_env": true})), ["KEPT=yes"]);
}

#[test]
fn the_process_has_the_world_it_was_given() {
    let node = Folder::new().env("FROM_GAFFERD", "yes").start();
    let own = node.path("").canonicalize().expect("it is there");
    let cmd = "umask; nice; ulimit -Sn; ulimit -Hn; ulimit -c; pwd";
    let options = json!({
        "umask": "027", "nice": 7, "rlimits": {"nofile": [123, 456], "core": 0},
        "cwd": own.display().to_string(),
    });
    let said = says(&node, "limits", cmd, options);
    assert_eq!(said[..5], ["0027", "7", "123", "456", "0"]);
    assert_eq!(said[5], own.display().to_string());

    let cmd = "echo $A-$FROM_GAFFERD-$GAFFER_SESSION-$GAFFER_JOB-$GAFFER_INSTANCE-$PORT";
    let path = std::env::var("PATH").unwrap_or_default();
    let options = json!({"env": {"A": "1", "PATH": path}, "port": 8000});
    assert_eq!(says(&node, "bare", cmd, options), ["1--t-bare-1-8000"]);
    let options = json!({"env": {"A": "2"}, "os_env": true});
    assert_eq!(says(&node, "over", cmd, options), ["2-yes-t-over-1-"]);
    assert_eq!(says(&node, "inherits", cmd, json!({})), ["-yes-t-inherits-1-"]);

    let cmd = "printf %s| '$A' \"${B:-x y}\" ${C}$$";
    let options = json!({"shell": false, "env": {"A": "a b", "C": "c"}, "os_env": true});
    assert_eq!(says(&node, "args", cmd, options), ["a b|x y|c$|"]);

    // Descriptors 0 to 2, the custom ones, and the one that lists them.
    let cmd =
        "test -p /dev/stdin && echo piped; cd /proc/self/fd; test -S 3 && test -S 4 && echo *";
    let options = json!({"redirect_input": true, "custom_streams": ["x", "y"]});
    assert_eq!(says(&node, "streams", cmd, options), ["piped", "0 1 2 3 4 5"]);
    let cmd = "test -p /dev/stdin || echo null; trap; grep -E '^Sig(Blk|Ign)' /proc/self/status";
    let said = says(&node, "plain", cmd, json!({}));
    assert_eq!(said, ["null", "SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"]);
    let cmd = "echo one; echo two >&2";
    let merged = json!({"redirect_output": ["all", "all"]});
    assert_eq!(says(&node, "merged", cmd, merged), ["one", "two"]);
}

#[test]
fn a_program_that_cannot_be_started_says_why() {
    let node = Folder::new().start();
    node.folder().write("plain", "no program\n");
    let text = node.folder().text("plain");
    for (name, options, reason) in [
        (
            "none",
            json!({"cmd": "/no/such/program"}),
            "exec /no/such/program: No such file or directory",
        ),
        ("plain", json!({ "cmd": text }), "/plain: Permission denied"),
        ("cwd", json!({"cmd": "true", "cwd": "/no/such"}), "chdir /no/such: No such file"),
    ] {
        let mut options = options;
        options["name"] = json!(name);
        options["restart"] = json!("never");
        let answer = node.ask("POST", "/jobs/t?wait=running&timeout=30", &options.to_string());
        assert_eq!(answer.status, 409, "{}", answer.text());
        assert!(answer.text().contains(reason), "{}", answer.text());
        let death = &node.deaths(&format!("/jobs/t/{name}"))[0];
        assert_eq!(death["cause"], "spawn_error");
        assert!(death["errno"].is_i64() && death["stage"].is_string(), "{death}");
    }
}

#[test]
fn the_restart_policy_and_success_codes_decide() {
    let node = Folder::new().start();
    let backoff = json!({"base": 0.05, "factor": 1, "jitter": 0});
    // Whether a process that ends with this code is started again.
    let table = [
        ("never", 1, false),
        ("on-failure", 0, false),
        ("on-failure", 3, false),
        ("on-failure", 1, true),
        ("on-success", 1, false),
        ("on-success", 3, true),
        ("always", 0, true),
    ];
    let name = |policy: &str, code: i32| format!("{policy}-{code}");
    for (policy, code, _) in table {
        let job = json!({
            "name": name(policy, code), "cmd": format!("exit {code}"), "shell": true,
            "restart": policy, "success_codes": [0, 3], "backoff": backoff,
        });
        node.does("POST", "/jobs/t", &job.to_string());
    }
    for (policy, code, again) in table {
        let path = format!("/jobs/t/{}", name(policy, code));
        if again {
            until(&path, || node.get(&path)["deaths"].as_u64() > Some(2));
        } else {
            until(&path, || node.get(&path)["state"] == "exited");
        }
        let success = [0, 3].contains(&code);
        assert_eq!(node.deaths(&path)[0]["success"], json!(success));
    }
    all_along(Duration::from_millis(500), "what is done stays so", || {
        table.iter().filter(|(_, _, again)| !again).all(|(policy, code, _)| {
            node.get(&format!("/jobs/t/{}", name(policy, *code)))["deaths"] == 1
        })
    });
}

#[test]
fn a_detached_process_survives_and_is_found_again() {
    let mut node = Folder::new().start();
    node.run_job(&json!({"name": "a", "cmd": "sleep 1000", "detach": true}));
    node.run_job(&json!({"name": "b", "cmd": "sleep 1000"}));
    let detached = node.os_pids("/jobs/t/a");
    node.stop();
    let left = node.marked();
    assert_eq!(left.iter().map(|p| p.os_pid).collect::<Vec<_>>(), detached, "it alone survives");
    node.start_again();
    until("it is found", || node.get("/jobs/t/a")["state"] == "running");
    assert_eq!(node.os_pids("/jobs/t/a"), detached);
    assert_eq!(node.marked().iter().filter(|process| left.contains(process)).count(), 1);
    procs::kill(detached[0], super::node::KILL);
    until("its end is seen, and it has a successor", || {
        let now = node.os_pids("/jobs/t/a");
        now.len() == 1 && now != detached
    });
    node.does("DELETE", "/jobs/t/a?wait=stopped&timeout=30", "");
    node.stop();
    node.assert_nothing_left();
}

#[test]
fn what_gafferd_makes_is_its_owners_alone() {
    let node = Folder::new().start();
    for (name, mode) in [("s", 0o600), ("state", 0o700), ("state/jobs", 0o600)] {
        until("it is made", || node.path(name).exists());
        let found = fs::metadata(node.path(name)).expect(name).permissions().mode() & 0o777;
        assert_eq!(found, mode, "{name} has mode {found:o}");
    }
}

#[test]
fn what_a_detached_process_has_started_survives_with_it() {
    let mut node = Folder::new().start();
    let cmd = "sleep 1000 & sleep 1000; :";
    node.run_job(&json!({"name": "a", "cmd": cmd, "shell": true, "detach": true}));
    until("all three run", || node.marked().len() == 3);
    let all = |node: &Node| {
        let mut all: Vec<i32> = node.marked().iter().map(|process| process.os_pid).collect();
        all.sort_unstable();
        all
    };
    let (before, leader) = (all(&node), node.os_pids("/jobs/t/a"));
    for _ in 0..2 {
        node.stop();
        assert_eq!(all(&node), before);
        node.start_again();
        assert_eq!(node.os_pids("/jobs/t/a"), leader);
        assert_eq!(all(&node), before);
    }
    node.does("DELETE", "/jobs/t/a?wait=stopped&timeout=30", "");
    node.assert_nothing_left();
}
