//! A node inside another program: the example programs, and this test's own process as the host.

use std::cell::Cell;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use gaffer::embed::{
    App, Config, Daemon, Event, Followed, Handle, Method, Needs, Node, Refused, Response, Right,
};
use serde_json::json;
use tempfile::TempDir;

use super::http::Client;
use super::node::Folder;
use super::procs;
use super::until::until;

/// An example program, ended with the test.
struct Example {
    child: Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Example {
    #[expect(
        clippy::disallowed_methods,
        reason = "a host program under test is no child of gaffer's"
    )]
    fn start(name: &str, args: &[&str]) -> Self {
        let programs = Path::new(env!("CARGO_BIN_EXE_gafferd")).parent().expect("a folder");
        let program = programs.join("examples").join(name);
        let mut command = Command::new(&program);
        let piped = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let hint = "`cargo test` builds it, `cargo build --examples` alone";
        let mut child = piped.unwrap_or_else(|e| panic!("{}: {e}; {hint}", program.display()));
        let stdout = child.stdout.take().expect("a pipe");
        let input = child.stdin.take();
        Self { child, input, lines: BufReader::new(stdout).lines() }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("it says more").expect("UTF-8")
    }

    /// Waits for its end, of which nothing is left.
    fn ends(mut self) -> (Vec<String>, Option<i32>) {
        self.input = None;
        let rest = self.lines.by_ref().map(|line| line.expect("UTF-8")).collect();
        (rest, self.child.wait().expect("our child").code())
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_host_runs_jobs_by_the_clock() {
    let example = Example::start("cron", &["0.01", "exit 3", "3"]);
    let (lines, code) = example.ends();
    assert_eq!((lines, code), (vec!["ended with 3".to_owned(); 3], Some(0)));
}

#[test]
fn a_host_has_an_endpoint_for_those_alone_who_may_use_it() {
    let folder = TempDir::new().expect("a folder");
    let state = folder.path().join("state");
    let mut example = Example::start("endpoint", &["127.0.0.1:0", state.to_str().expect("UTF-8")]);
    let line = example.line();
    let port = line.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let mut owner = Client::unix(&state.join("socket")).expect("it listens");
    let mut key = |permissions: &str| {
        let body = format!(r#"{{"permissions": {permissions}}}"#);
        let made = owner.request("POST", "/gaffer/keys", &body);
        made.expect("answered").json()["api_key"].as_str().expect("a key").to_owned()
    };
    let (reader, manager) = (key(r#"{"read": ["site.web"]}"#), key(r#"{"manage": ["site"]}"#));
    let ask = |method: &str, path: &str, key: &str| {
        let mut client = Client::tcp(port).expect("it listens");
        let with = if key.is_empty() { String::new() } else { format!("X-Api-Key: {key}\r\n") };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{with}Content-Length: 0\r\n\r\n"
        );
        client.send(head.as_bytes()).expect("sent");
        let answer = client.answer().expect("answered");
        (answer.status, answer.text().to_owned())
    };
    assert_eq!(ask("POST", "/double/site/web", "").0, 401);
    assert_eq!(ask("POST", "/double/site/web", &reader).0, 403);
    let (status, text) = ask("POST", "/double/site/web", &manager);
    assert!(status == 200 && text.contains("\"numprocesses\": 2"), "{text}");
    assert_eq!(ask("GET", "/double/site/web", &manager).0, 405);
    assert_eq!(ask("POST", "/double/site/none", &manager).0, 400);
    assert_eq!(ask("GET", "/gaffer/jobs/site/web", &reader).0, 200);
    assert_eq!(ask("GET", "/jobs/site/web", &manager).0, 404, "that is the host's");
    // The dashboard is below the prefix with all else, and says its addresses relative to where it is.
    let (status, page) = ask("GET", "/gaffer/_dashboard/", "");
    assert!(status == 200 && page.contains("src=\"main.js\""), "{page}");
    assert_eq!(ask("GET", "/gaffer/_dashboard/main.js", "").0, 200);
    assert_eq!(ask("GET", "/_dashboard/", "").0, 404);
    assert_eq!(ask("GET", "/gaffer/channel/info", "").0, 200);
    let document: serde_json::Value =
        serde_json::from_str(&ask("GET", "/gaffer/openapi.json", "").1).expect("JSON");
    assert_eq!(document["servers"][0]["url"], "/gaffer");
}

#[test]
fn a_node_turns_in_a_hosts_own_loop() {
    let mut example = Example::start("nested", &[]);
    let mut input = example.input.take().expect("a pipe");
    input.write_all(b"3\n0\n20000\n").expect("it reads");
    let said = [example.line(), example.line(), example.line()];
    assert_eq!(said[..2], ["Ok(3)", "Ok(0)"]);
    assert!(said[2].starts_with("Err(Invalid("), "{}", said[2]);
    input.write_all(b"2\n").expect("it reads");
    assert_eq!(example.line(), "Ok(2)");
    let os_pid = i32::try_from(example.child.id()).expect("a pid");
    until("its processes run", || procs::children(os_pid).len() == 2);
    let children = procs::children(os_pid);
    drop(input);
    assert_eq!(example.ends(), (Vec::new(), Some(0)));
    assert!(!children.into_iter().any(procs::exists));
}

#[test]
fn a_client_follows_statistics() {
    let node = Folder::new().load(&json!([{"name": "site.web", "cmd": "sleep 1000"}])).start();
    let url = format!("http://127.0.0.1:{}", node.port);
    let (lines, code) = Example::start("follower", &[&url, "site.web", "2"]).ends();
    assert_eq!((lines.len(), code), (2, Some(0)));
    assert!(lines[1].starts_with("process ") && lines[1].contains("% of"), "{lines:?}");
}

/// Ends the node when the thread ends that has it, so that one that panics is not waited for.
struct Ends(Handle);

impl Drop for Ends {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.shut_down();
    }
}

/// Takes turns until this holds.
fn turn_until(daemon: &mut Daemon, mut holds: impl FnMut(&mut Daemon) -> bool) {
    until("it has come about", || {
        daemon.turn(Some(Duration::from_millis(20))).expect("a turn");
        holds(daemon)
    });
}

fn os_pids(daemon: &mut Daemon, job: &str) -> Vec<i32> {
    daemon.with(|node| {
        let job = node.job(job).expect("it is loaded");
        let pids = job["processes"].as_array().cloned().unwrap_or_default();
        let pid = |pid: &serde_json::Value| node.process(pid.as_u64()?).ok()?["os_pid"].as_i64();
        pids.iter().filter_map(pid).filter_map(|pid| i32::try_from(pid).ok()).collect()
    })
}

#[test]
fn another_thread_reaches_the_node_and_follows_what_happens() {
    let mut daemon = Daemon::builder(Config::new()).build().expect("sound");
    let handle = daemon.handle();
    assert!(matches!(handle.jobs(), Err(Refused::Invalid(why)) if why.contains("own thread")));
    let other = std::thread::Builder::new().spawn(move || {
        let _ends = Ends(handle.clone());
        let mut events = handle.subscribe("job.site.web")?;
        handle.load("site.web", json!({"cmd": "sleep 1000", "numprocesses": 2}))?;
        assert_eq!(handle.load("site.web", json!({"cmd": "a"})), Err(Refused::Exists));
        let bad = handle.load("site.x", json!({"cmd": "a", "nmprocesses": 2}));
        assert!(bad.is_err_and(|e| e.to_string().contains("did you mean \"numprocesses\"?")));
        let mut seen = Vec::new();
        while seen.iter().filter(|name| *name == "spawn").count() < 2 {
            match events.next() {
                Some(Followed::Event(Event { name, job, .. })) if job == "site.web" => {
                    seen.push(name)
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(handle.jobs()?, ["site.web"]);
        assert_eq!(handle.scale("site.web", 1)?, 1);
        assert_eq!(handle.job("site.web")?["max_processes"], 1);
        assert_eq!(
            handle.signal("site.web", "NONE").map_err(|e| e.to_string()),
            Err("there is no signal \"NONE\"".into())
        );
        assert_eq!(handle.stop("site.none"), Err(Refused::NotFound));
        handle.shut_down()?;
        // The rest of it, until the node is gone.
        assert!(events.any(|followed| matches!(followed, Followed::Event(e) if e.name == "exit")));
        let _ = events.count();
        Ok::<_, Refused>(handle)
    });
    let other = other.expect("a thread");
    assert_eq!(daemon.run().expect("it turns"), 0);
    drop(daemon);
    let handle = other.join().expect("no panic").expect("all is done");
    assert_eq!(handle.jobs(), Err(Refused::Ended));
}

#[test]
fn what_the_host_does_with_its_own_children_is_its_own_business() {
    let builder = Daemon::builder(Config::new());
    let mut daemon = builder.job("a", json!({"cmd": "sleep 1000"})).build().expect("sound");
    turn_until(&mut daemon, |daemon| !os_pids(daemon, "default.a").is_empty());
    for _ in 0..10 {
        let mut theirs = hosts_child("exit 7");
        let code = until_ended(&mut daemon, &mut theirs);
        assert_eq!(code, Some(7), "nobody else has reaped it");
    }
    // And none of theirs is ended with the node.
    let mut theirs = hosts_child("exec sleep 1000");
    daemon.with(|node| node.shut_down());
    assert_eq!(daemon.run().expect("it turns"), 0);
    assert!(theirs.try_wait().expect("our child").is_none());
    theirs.kill().expect("our child");
    theirs.wait().expect("our child");
}

#[expect(clippy::disallowed_methods, reason = "this test is a host program")]
fn hosts_child(line: &str) -> Child {
    Command::new("sh").args(["-c", line]).spawn().expect("sh runs")
}

fn until_ended(daemon: &mut Daemon, theirs: &mut Child) -> Option<i32> {
    let mut code = None;
    turn_until(daemon, |_| {
        code = theirs.try_wait().expect("our child");
        code.is_some()
    });
    code.and_then(|status| status.code())
}

#[test]
fn a_node_that_is_dropped_takes_its_processes_with_it() {
    let job = json!({"cmd": "trap '' TERM; while :; do sleep 1; done", "shell": true});
    let builder = Daemon::builder(Config::new()).job("a", job);
    let mut daemon = builder.build().expect("sound");
    assert!(daemon.as_raw_fd() > 2);
    turn_until(&mut daemon, |daemon| !os_pids(daemon, "default.a").is_empty());
    let os_pids = os_pids(&mut daemon, "default.a");
    drop(daemon);
    assert!(!os_pids.into_iter().any(procs::exists));
}

/// An application that counts what it is told, and panics when it is told so.
struct Teller {
    told: Rc<Cell<u32>>,
    panics: bool,
}

impl App for Teller {
    fn name(&self) -> &str {
        "teller"
    }

    fn event(&mut self, event: &Event, _: &mut Node<'_>) {
        assert!(!self.panics, "as it was told");
        self.told.set(self.told.get() + u32::from(event.name == "start"));
    }

    fn request(
        &mut self,
        asked: &gaffer::embed::Asked<'_>,
        node: &mut Node<'_>,
    ) -> Option<Response> {
        let told = format!("{} of {}", asked.path(), node.jobs().len());
        (!self.panics && asked.path() == "/mine").then(|| Response::text(200, told))
    }
}

#[test]
fn code_of_the_host_that_panics_does_no_harm() {
    let told = Rc::new(Cell::new(0));
    let app = |panics| Teller { told: Rc::clone(&told), panics };
    let mut daemon = Daemon::builder(Config::new().bind("127.0.0.1:0"))
        .app(app(true))
        .app(app(false))
        .route(Method::Get, "/panics", Needs::Nothing, |_, _| panic!("as it does"))
        .route(Method::Get, "/of/:session/:job", Needs::Job(Right::Read), |_, asked| {
            Response::text(
                200,
                format!("{}/{}", asked.part("job"), asked.query("x").unwrap_or_default()),
            )
        })
        .build()
        .expect("sound");
    let port = daemon.addresses()[0].port();
    daemon.with(|node| node.load("a", &json!({"cmd": "sleep 1000"}))).expect("sound");
    turn_until(&mut daemon, |_| told.get() == 1);
    let handle = daemon.handle();
    let other = std::thread::Builder::new().spawn(move || {
        let _ends = Ends(handle);
        let mut client = Client::tcp(port).expect("it listens");
        let mut ask = |path: &str| {
            let answer = client.request("GET", path, "").expect("answered");
            (answer.status, answer.text().to_owned())
        };
        assert_eq!(ask("/panics").0, 500);
        assert_eq!(ask("/of/s/a%2Fb?x=1+2"), (200, "a/b/1 2".to_owned()));
        assert_eq!(ask("/mine"), (200, "/mine of 1".to_owned()));
        assert_eq!((ask("/nobodys").0, ask("/jobs").0), (404, 200));
    });
    assert_eq!(daemon.run().expect("it turns"), 0);
    other.expect("a thread").join().expect("no panic");
}

#[test]
fn what_cannot_be_built_is_told() {
    let built = |builder: gaffer::embed::Builder| {
        builder.build().map(drop).expect_err("it is wrong").to_string()
    };
    let new = || Daemon::builder(Config::new());
    let route = |builder: gaffer::embed::Builder, pattern: &str| {
        builder.route(Method::Get, pattern, Needs::Nothing, |_, _| Response::empty(204))
    };
    for (builder, why) in [
        (route(new(), "/jobs"), "GET /jobs is another route's already"),
        (route(route(new(), "/a/:x"), "/a/:y"), "GET /a/:y is another route's already"),
        (route(new(), "a"), "the route \"a\" cannot be reached"),
        (route(new(), "/channel/x"), "the route \"/channel/x\" cannot be reached"),
        (new().prefix("g"), "the prefix \"g\" has to begin with / and not to end so"),
        (new().job("a", json!({"cmd": ""})), "a: cmd is missing"),
        (Daemon::builder(Config::new().bind("x")), "--bind: \"x\" is no address to listen on"),
        (Daemon::builder(Config::new().option("user", "x")), "user: the program around a node"),
        (Daemon::builder(Config::new().bind("0.0.0.0:0")), "0.0.0.0:0 can be reached from other"),
    ] {
        let told = built(builder);
        assert!(told.starts_with(why), "{told}");
    }
    assert!(route(new().prefix("/g"), "/jobs").build().is_ok());
}
