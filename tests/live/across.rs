//! The command line across several real nodes that two real lookupds know: who is meant, what is said of
//! each, and what it means when some of them fail.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::TcpListener;
use std::process::{Child, Command};

use serde_json::{json, Value};

use super::farm::{origin, Farm};
use super::node::{Folder, KILL};
use super::procs;
#[cfg(feature = "top")]
use super::pty::Pty;
use super::terminal::OnTerminal;
use super::until::{until, until_some};

const STOP: i32 = 19;
const CONT: i32 = 18;

fn jobs() -> Value {
    let web = json!({"name": "site.web", "cmd": "sh", "args": ["-c", "echo hello; exec sleep 1000"],
        "redirect_output": ["out", "err"]});
    json!([web, {"name": "site.db", "cmd": "sleep 1000"}])
}

/// A command that goes on, with what it printed, ended with the test.
struct Going {
    child: Child,
    out: String,
    err: String,
}

impl Going {
    #[expect(clippy::disallowed_methods, reason = "gaffer under test is no child of gaffer's")]
    fn new(mut command: Command, farm: &Farm) -> Self {
        let (out, err) = (format!("{}/out", farm.folder), format!("{}/err", farm.folder));
        let file = |path: &str| File::create(path).expect("the folder can be written");
        let child = command.stdout(file(&out)).stderr(file(&err)).spawn().expect("it runs");
        Self { child, out, err }
    }

    fn out(&self) -> String {
        fs::read_to_string(&self.out).unwrap_or_default()
    }

    fn err(&self) -> String {
        fs::read_to_string(&self.err).unwrap_or_default()
    }

    fn ended(&mut self) -> Option<i32> {
        until_some("it ends", || self.child.try_wait().expect("our child")).code()
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port on which nobody listens.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}", listener.local_addr().expect("bound"))
}

#[test]
fn each_command_acts_on_every_node_that_has_the_job() {
    let farm = Farm::new(3, &jobs());
    farm.nodes[2].does("DELETE", "/jobs/site/db?wait=stopped", "");
    until("that is known", || {
        let db = |lookupd: &super::node::Node| {
            lookupd.get("/findJob?name=site.db")["sources"].as_array().map_or(0, Vec::len)
        };
        farm.lookupds.iter().all(|lookupd| db(lookupd) == 2)
    });
    let said = farm.gaffer(&["scale", "site.web=2", "site.db+1"]);
    assert_eq!((said.code, said.err.as_str()), (0, "gaffer: 3 nodes: 3 done\n"), "{}", said.out);
    farm.until_runs("site/web", &[2, 2, 2]);
    farm.until_runs("site/db", &[2, 2, 0]);
    let lines: BTreeSet<String> = said.out.lines().map(str::to_owned).collect();
    let label = farm.label(1);
    let line = format!("{label} | Scaling site.web processes... done, now running 2");
    assert!(lines.contains(&line), "{line:?} in {}", said.out);
    assert_eq!(lines.len(), 5, "{lines:?}");

    let before = farm.pids("site/web");
    let done = farm.json(&["restart", "site.web"]);
    assert_eq!(done.iter().map(|(node, _)| *node).collect::<BTreeSet<_>>().len(), 3);
    assert!(done.iter().all(|(_, value)| value["done"] == "restarted"), "{done:?}");
    let after = farm.pids("site/web");
    assert!(before.iter().zip(&after).all(|(before, after)| before != after), "{after:?}");
    farm.does(&["reload", "-a", "site", "db"]);
    farm.does(&["kill", "site.web", "CONT"]);
    // Without a name it is the application, on the nodes that have it.
    farm.does(&["stop", "-a", "site"]);
    farm.until_runs("site/web", &[0, 0, 0]);
    farm.until_runs("site/db", &[0, 0, 0]);
    farm.does(&["start-job", "*.web"]);
    farm.until_runs("site/web", &[1, 1, 1]);

    let rows = farm.json(&["ps", "site.web"]);
    let web = |node: usize| rows.iter().filter(|(of, _)| *of == node).count();
    assert_eq!([web(0), web(1), web(2)], [1, 1, 1], "{rows:?}");
    let rows = farm.json(&["ps"]);
    let db = rows.iter().filter(|(_, row)| row["job"] == "db").map(|(node, _)| *node);
    assert_eq!(db.collect::<BTreeSet<_>>(), BTreeSet::from([0, 1]), "{rows:?}");
    let tsv = farm.does(&["ps", "site.web", "-o", "tsv"]);
    assert_eq!(tsv.lines().filter(|line| line.starts_with(&farm.label(2))).count(), 1, "{tsv}");
    until("all are measured", || farm.json(&["stats", "site.web"]).len() == 3);
    let said = farm.gaffer(&["ps", "-a", "nope"]);
    let none = "gaffer: 'nope' not loaded: no job of it is on any node\n";
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (1, "", none));
    let said = farm.gaffer(&["restart", "site.wbe"]);
    let none = "gaffer: job 'site.wbe' not found; did you mean site.web?\n";
    assert_eq!((said.code, said.err.as_str()), (1, none));
}

#[test]
fn lines_of_all_nodes_have_their_node_in_front() {
    let farm = Farm::new(2, &jobs());
    until("both have written", || farm.does(&["logs", "site.web"]).lines().count() == 2);
    for (node, value) in farm.json(&["logs", "site.web"]) {
        assert_eq!(
            (&value["line"], &value["name"]),
            (&json!("hello"), &json!("site.web")),
            "{node}"
        );
    }
    let out = farm.does(&["logs", "site.web", "-n", "1"]);
    assert_eq!(out.lines().count(), 1, "the last of all: {out}");
    let mut logs = Going::new(farm.command(&["logs", "-f", "site.web"]), &farm);
    let both: Vec<String> =
        (0..2).map(|node| format!("{} | web.1 | hello\n", farm.label(node))).collect();
    until("both are followed", || both.iter().all(|line| logs.out().contains(line)));
    farm.does(&["restart", "site.web"]);
    let twice = |line: &String| logs.out().matches(line.as_str()).count() == 2;
    until("both wrote again", || both.iter().all(twice));
    // One that ends is told, and the other goes on.
    let mut farm = farm;
    farm.nodes[0].kill();
    let ended = format!("gaffer: {} | the connection to the node broke", farm.label(0));
    until("it is told", || logs.err().contains(&ended));
    farm.nodes[1].does("POST", "/jobs/site/web/restart?wait=running", "");
    until("the other wrote", || logs.out().matches(&both[1]).count() == 3);
    farm.nodes[1].kill();
    assert_eq!(logs.ended(), Some(4), "{}", logs.err());
}

#[test]
fn events_of_all_nodes_are_printed_as_they_happen() {
    let farm = Farm::new(2, &jobs());
    let events = Going::new(farm.command(&["events", "--since", "0", "--json"]), &farm);
    until("what happened before is told", || {
        events.out().matches("\"event\": \"spawn\"").count() >= 4
    });
    farm.does(&["stop", "site.db"]);
    let told = |node: usize| {
        let out = events.out();
        let lines = out.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut lines = lines.filter(|value| value["node"] == json!(farm.label(node)));
        lines.any(|value| value["event"] == "stop" && value["name"] == "site.db")
    };
    until("both tell", || told(0) && told(1));
    let said = farm.gaffer(&["events", "--since", "7"]);
    assert_eq!(said.code, 2, "{said:?}");
}

#[test]
fn some_nodes_are_narrowed_down_to_and_a_process_is_of_one() {
    let farm = Farm::new(2, &jobs());
    let one = farm.label(1);
    farm.does(&["--node", &one, "stop", "site.web"]);
    farm.until_runs("site/web", &[1, 0]);
    farm.does(&["--node", &origin(&farm.nodes[1]), "start-job", "site.web"]);
    farm.until_runs("site/web", &[1, 1]);
    assert_eq!(farm.json(&["ps", "--node", "*"]).len(), 4);
    let said = farm.gaffer(&["--node", "nope", "ps"]);
    let names = format!("gaffer: no node fits \"nope\"; there are {}, {one}\n", farm.label(0));
    assert_eq!((said.code, said.err), (1, names));
    let said = farm.gaffer(&["stop", "1"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("a process of one node"), "{}", said.err);
    let before = farm.pids("site/web");
    let pid = farm.nodes[1].get("/jobs/site/web")["processes"][0].to_string();
    farm.does(&["--node", &one, "stop", &pid]);
    until("it has another process there", || farm.pids("site/web")[1] != before[1]);
    assert_eq!(farm.pids("site/web")[0], before[0]);
}

#[test]
fn lookupds_may_be_named_elsewhere_but_a_command_is_of_one_node_until_it_says_otherwise() {
    let farm = Farm::new(2, &jobs());
    let at: Vec<String> =
        farm.lookupds.iter().map(|lookupd| format!("http://127.0.0.1:{}", lookupd.port)).collect();
    let config = format!("{}/gaffer.ini", farm.folder);
    fs::write(&config, format!("[gaffer]\nlookupd_address = {}\n", at.join(" "))).expect("written");
    let run = |line: &[&str], env: (&str, &str)| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gaffer"));
        command.args(line).current_dir(&farm.folder).env(env.0, env.1);
        command.env("GAFFER_URL", origin(&farm.nodes[0]));
        String::from_utf8(command.output().expect("it runs").stdout).expect("text")
    };
    for env in [("GAFFER_CONFIG", config.as_str()), ("GAFFER_LOOKUPD", at.join(",").as_str())] {
        assert!(run(&["lookup:nodes"], env).starts_with("2 node(s) found\n"), "{env:?}");
        assert_eq!(run(&["ps", "-o", "name"], env).lines().count(), 2, "{env:?}");
        assert_eq!(run(&["ps", "-o", "name", "--node", "*"], env).lines().count(), 4, "{env:?}");
    }
}

#[test]
fn a_dead_lookupd_is_told_and_all_of_them_are_a_failure() {
    let mut farm = Farm::new(2, &jobs());
    farm.lookupds[0].kill();
    let dead = format!("gaffer: no lookupd answers at http://127.0.0.1:{}", farm.lookupds[0].port);
    for line in [
        &["lookup:nodes"][..],
        &["lookup:jobs"],
        &["lookup:job", "site.web"],
        &["lookup:sessions"],
        &["lookup:session", "site"],
        &["ps"],
        &["stop", "site.db"],
    ] {
        let said = farm.gaffer(line);
        assert_eq!(said.code, 0, "{line:?}: {said:?}");
        assert_eq!(said.err.matches(&dead).count(), 1, "{line:?}: {}", said.err);
        assert!(
            said.out.contains("site") || said.out.contains(&origin(&farm.nodes[1])),
            "{said:?}"
        );
    }
    let said = farm.gaffer(&["lookup:job", "site.nope"]);
    assert_eq!((said.code, said.err.contains("no job found")), (1, true), "{said:?}");
    let mut lookup = Going::new(farm.command(&["lookup", "--json"]), &farm);
    until("it is followed", || lookup.out().contains("\"event\": \"whole\""));
    until("the dead one is told", || lookup.err().contains(&dead));
    farm.lookupds[1].kill();
    until("the other is lost", || lookup.out().matches("\"event\": \"lost\"").count() == 2);
    assert!(lookup.child.try_wait().expect("our child").is_none(), "it may come back");
    for line in [&["lookup:nodes"][..], &["lookup"], &["ps"], &["restart", "site.web"]] {
        let said = farm.gaffer(line);
        assert_eq!(said.code, 4, "{line:?}: {said:?}");
    }
    lookup.child.kill().expect("our child");
    lookup.ended();
}

#[test]
fn a_dead_node_keeps_nobody_and_the_exit_code_tells() {
    let farm = Farm::new(2, &jobs());
    // It is known to be where nobody is.
    let gone = Folder::new().load(&jobs()).args(&["-c", "@gafferd.ini"]);
    gone.write("gafferd.ini", "[gaffer]\n");
    let gone = gone.start();
    let nowhere = nowhere();
    farm.register(&gone, &nowhere);
    let has = |lookupd: &super::node::Node| {
        lookupd.get("/findJob?name=site.db")["sources"].as_array().map_or(0, Vec::len) == 3
    };
    until("it is known", || farm.lookupds.iter().all(has));
    let said = farm.gaffer(&["scale", "site.web=2"]);
    assert_eq!(said.code, 5, "{said:?}");
    assert_eq!(said.out.lines().count(), 2, "{said:?}");
    assert!(said.err.contains("gaffer: 3 nodes: 2 done, 1 failed (done: "), "{}", said.err);
    assert!(said.err.contains(&format!("no gafferd answers at {nowhere}")), "{}", said.err);
    for line in [&["ps"][..], &["logs", "site.web"], &["stats", "site.web"]] {
        let said = farm.gaffer(line);
        assert_eq!(said.code, 5, "{line:?}: {said:?}");
        assert!(said.err.contains("2 done, 1 failed"), "{line:?}: {}", said.err);
    }
    let port = nowhere.rsplit(':').next().expect("a port");
    let said = farm.gaffer(&["--node", &format!("*:{port}"), "restart", "site.web"]);
    assert_eq!(said.code, 4, "all that are meant: {said:?}");
    // What is refused is refused for each by itself.
    farm.nodes[0].does("POST", "/jobs/site/db/state?wait=stopped", "0");
    let two = [farm.label(0), farm.label(1)];
    let said = farm.gaffer(&["kill", "site.db", "CONT", "--node", &two[0], "--node", &two[1]]);
    assert_eq!(said.code, 5, "{said:?}");
    let idle = format!("gaffer: {} | site.db has no process\n", two[0]);
    assert!(said.err.contains(&idle), "{}", said.err);
    let said = farm.gaffer(&["kill", "site.db", "CONT", "--node", &two[0]]);
    assert_eq!(said.code, 3, "{said:?}");
}

#[test]
fn a_slow_node_does_not_delay_what_the_others_say() {
    let farm = Farm::new(3, &jobs());
    farm.nodes[2].signal(STOP);
    let mut ps = Going::new(farm.command(&["ps", "site.web", "-o", "name"]), &farm);
    let line = |node: usize| format!("{}\tsite.web.1\n", farm.label(node));
    until("the others are shown", || {
        let out = ps.out();
        out.contains(&line(0)) && out.contains(&line(1))
    });
    assert!(ps.child.try_wait().expect("our child").is_none(), "it waits for the last");
    farm.nodes[2].signal(CONT);
    assert_eq!(ps.ended(), Some(0));
    assert!(ps.out().ends_with(&line(2)), "{}", ps.out());
}

#[test]
fn a_rolling_restart_stops_at_the_first_node_that_does_not_come_back() {
    // Its command works in the folder of its node.
    let script = "test -e may-not-start && exit 1; exec sleep 1000";
    let job = json!([{"name": "site.web", "cmd": "sh", "args": ["-c", script], "restart": "never",
        "min_uptime": 0.2}]);
    let farm = Farm::new(3, &job);
    let before = farm.pids("site/web");
    let all = farm.gaffer(&["restart", "--rolling", "site.web"]);
    assert_eq!((all.code, all.err.as_str()), (0, "gaffer: 3 nodes: 3 done\n"), "{all:?}");
    let order: Vec<&str> = all.out.lines().filter_map(|line| line.split(" | ").next()).collect();
    assert_eq!(order, [farm.label(0), farm.label(1), farm.label(2)]);
    let between = farm.pids("site/web");
    assert!(before.iter().zip(&between).all(|(before, after)| before != after));
    farm.nodes[1].folder().write("may-not-start", "");
    let said = farm.gaffer(&["restart", "--rolling", "site.web"]);
    assert_eq!(said.code, 5, "{said:?}");
    let (a, b, c) = (farm.label(0), farm.label(1), farm.label(2));
    let sum = format!(
        "gaffer: 3 nodes: 1 done, 1 failed, 1 not touched (done: {a}; failed: {b}; not touched: {c})\n"
    );
    assert!(said.err.ends_with(&sum), "{}", said.err);
    let after = farm.pids("site/web");
    assert_ne!(after[0], between[0], "done");
    assert!(after[1].is_empty(), "failed");
    assert_eq!(after[2], between[2], "not touched");
    let said = farm.gaffer(&["restart", "--rolling", "--no-wait", "site.web"]);
    assert_eq!(said.code, 2, "{said:?}");
}

#[test]
#[cfg(feature = "top")]
fn top_has_all_nodes_and_a_lost_one_stays() {
    let mut farm = Farm::new(2, &jobs());
    let mut line = vec![env!("CARGO_BIN_EXE_gaffer").to_owned()];
    line.extend(farm.flags());
    line.push("top".into());
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    let folder = std::path::Path::new(&farm.folder).to_owned();
    let mut top = Pty::start(&folder, &line, &[("HOME", &farm.folder)]);
    top.until_on_other_screen(true);
    top.until_shown("2 nodes  4 jobs: 4 running");
    for node in 0..2 {
        top.until_shown(&format!("{} web.1", farm.label(node)));
    }
    let before = farm.pids("site/web");
    top.press(&format!("/:{}\r", farm.nodes[1].port));
    top.press("gr");
    top.until_shown(&format!("{}: Restart site.", farm.label(1)));
    top.press("n/\x15web\r");
    top.press("G");
    top.press("r");
    top.until_shown(&format!("{}: Restart site.web", farm.label(1)));
    top.press("y");
    until("it was restarted there", || farm.pids("site/web")[1] != before[1]);
    assert_eq!(farm.pids("site/web")[0], before[0], "and not here");
    top.press("\x1b");
    farm.nodes[0].kill();
    top.until_shown("2 nodes, 1 lost");
    top.until_shown("? lost");
    top.until_shown(" ago: ");
    farm.nodes[0].keep_port();
    farm.nodes[0].start_again();
    top.until_shown("2 nodes  4 jobs: 4 running");
    top.press("q");
    assert_eq!(top.ended(), Some(0));
}

#[test]
fn watched_rows_are_those_of_all_nodes() {
    let farm = Farm::new(2, &jobs());
    let ps = Going::new(farm.command(&["ps", "-w", "-o", "name", "site.web"]), &farm);
    let shows = |what: &str| ps.out().contains(what);
    until("both are shown", || {
        (0..2).all(|node| shows(&format!("{}\tsite.web.1", farm.label(node))))
    });
    farm.does(&["scale", "site.web=2"]);
    until("what came is shown", || {
        (0..2).all(|node| shows(&format!("{}\tsite.web.2", farm.label(node))))
    });
    procs::kill(farm.nodes[0].os_pid, KILL);
    let lost = format!("gaffer: {} | ", farm.label(0));
    until("one that is lost is told", || ps.err().contains(&lost));
}

#[test]
fn what_is_asked_names_the_nodes() {
    let farm = Farm::new(2, &jobs());
    let line = format!("{} {} stop -a site", env!("CARGO_BIN_EXE_gaffer"), farm.flags().join(" "));
    let mut stop = OnTerminal::start(&line, |command| {
        command.current_dir(&farm.folder).env("HOME", &farm.folder);
    });
    let nodes = format!("{}, {}", farm.label(0), farm.label(1));
    stop.shows(&format!("Do you want to stop all jobs of 'site' on {nodes} [y]|n: "));
    stop.types("n\n");
    assert!(stop.ends().0.success());
    farm.until_runs("site/web", &[1, 1]);
}
