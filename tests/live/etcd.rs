//! The real gafferd and `gaffer_lookupd` with a real etcd between them, on ports of the kernel's choice:
//! what runs is known to every lookupd, whatever becomes of any of them.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use data_encoding::BASE64;
use serde_json::{json, Value};
use tempfile::TempDir;

use super::clients::tool;
use super::http::Client;
use super::lookupd::Socket;
use super::node::{Folder, Node};
use super::until::{until, until_some, Since};

/// An etcd, ended with its test.
struct Etcd {
    program: PathBuf,
    dir: TempDir,
    child: Child,
    port: u16,
}

impl Etcd {
    fn start() -> Option<Self> {
        let program = tool("etcd")?;
        // Its gateway has to know the port beforehand. Another program may be faster.
        let etcd = until_some("the etcd has a port", || {
            let free = TcpListener::bind("127.0.0.1:0").expect("a port");
            let port = free.local_addr().expect("bound").port();
            drop(free);
            let dir = TempDir::new().expect("a temporary folder");
            let child = spawn(&program, &dir, port);
            let program = program.clone();
            let mut etcd = Self { program, dir, child, port };
            etcd.wait(0).then_some(etcd)
        });
        Some(etcd)
    }

    /// Waits until it answers; false if it ends instead.
    fn wait(&mut self, from: usize) -> bool {
        let path = self.dir.path().join("log");
        until_some("the etcd listens", || {
            let log = fs::read_to_string(&path).unwrap_or_default();
            let log = log.get(from..).unwrap_or_default();
            let listens = log.contains("serving insecure client requests on");
            let ended = self.child.try_wait().expect("it is our child").is_some();
            (listens || ended).then_some(listens)
        })
    }

    fn kill(&mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }

    /// Starts it where it was, with its data or without.
    fn start_again(&mut self, data: Data) {
        if data == Data::Lost {
            fs::remove_dir_all(self.dir.path().join("data")).expect("it is dead");
        }
        let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        self.child = spawn(&self.program, &self.dir, self.port);
        assert!(self.wait(log.len()), "it starts");
    }

    /// Asks its gateway.
    fn ask(&self, target: &str, body: &Value) -> Value {
        let mut client = Client::tcp(self.port).expect("it accepts");
        let answer = client.request("POST", target, &body.to_string()).expect("it answers");
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        answer.json()
    }

    /// All keys of ours, and the lease of each.
    fn keys(&self) -> Vec<(String, String)> {
        let (key, end) = (BASE64.encode(b"top/"), BASE64.encode(b"top0"));
        let ranged = self.ask("/v3/kv/range", &json!({"key": key, "range_end": end}));
        let text = |item: &Value| {
            let key = BASE64.decode(item["key"].as_str().expect("a text").as_bytes());
            let key = String::from_utf8(key.expect("base64")).expect("text");
            (key, item["lease"].as_str().unwrap_or_default().to_owned())
        };
        ranged["kvs"].as_array().into_iter().flatten().map(text).collect()
    }

    fn compact(&self) {
        let ranged = self.ask("/v3/kv/range", &json!({"key": "AA=="}));
        let revision = &ranged["header"]["revision"];
        self.ask("/v3/kv/compaction", &json!({"revision": revision, "physical": true}));
    }

    fn url(&self) -> String {
        format!("etcd://127.0.0.1:{}/top", self.port)
    }

    fn lookupd(&self) -> Node {
        Folder::of_lookupd().args(&["--store", &self.url()]).start()
    }

    /// A node that says it is at this origin.
    fn node(&self, origin: &str) -> Node {
        let args = ["--lookupd-address", &self.url(), "--broadcast-address", origin];
        Folder::new().args(&args).start()
    }
}

/// Whether an etcd has its data when it comes back.
#[derive(PartialEq)]
enum Data {
    Kept,
    Lost,
}

#[expect(clippy::disallowed_methods, reason = "the etcd is no child of gaffer's")]
fn spawn(program: &PathBuf, dir: &TempDir, port: u16) -> Child {
    let log = File::options().append(true).create(true).open(dir.path().join("log"));
    let client = format!("http://127.0.0.1:{port}");
    let peer = "http://127.0.0.1:0";
    Command::new(program)
        .args(["--name", "one", "--initial-cluster", &format!("one={peer}")])
        .args(["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer])
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .arg("--data-dir")
        .arg(dir.path().join("data"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.expect("the folder can be written"))
        .spawn()
        .expect("etcd runs")
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a lookupd knows of one job: the gaffer pids by the origin of their node.
fn known(lookupd: &Node, job: &str) -> Vec<(String, Vec<u64>)> {
    let answer = lookupd.get(&format!("/findJob?name={job}"));
    let source = |source: &Value| {
        let pids = source["pids"].as_array()?.iter().filter_map(Value::as_u64).collect();
        Some((source["node_info"]["origin"].as_str()?.to_owned(), pids))
    };
    let mut all: Vec<_> =
        answer["sources"].as_array().into_iter().flatten().filter_map(source).collect();
    all.sort();
    all
}

fn runs(node: &Node, job: &str) -> Vec<u64> {
    let view = node.get(&format!("/jobs/{}", job.replace('.', "/")));
    view["processes"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect()
}

/// Waits until all lookupds know what these nodes run of a job.
fn agree(lookupds: &[Node], nodes: &[(&str, &Node)], job: &str) {
    until(&format!("all know of {job}"), || {
        let truth: Vec<(String, Vec<u64>)> =
            nodes.iter().map(|(origin, node)| ((*origin).to_owned(), runs(node, job))).collect();
        lookupds.iter().all(|lookupd| known(lookupd, job) == truth)
    });
}

fn sleeper(name: &str, numprocesses: u32) -> Value {
    json!({"name": name, "cmd": "sleep 1000", "numprocesses": numprocesses})
}

const ONE: &str = "http://one.example:1";
const TWO: &str = "http://two.example:2";

#[test]
fn all_lookupds_know_the_same_whatever_becomes_of_the_etcd() {
    let Some(mut etcd) = Etcd::start() else { return };
    let lookupds = [etcd.lookupd(), etcd.lookupd()];
    let (one, two) = (etcd.node(ONE), etcd.node(TWO));
    let both = [(ONE, &one), (TWO, &two)];
    one.run_job(&sleeper("a", 2));
    two.run_job(&sleeper("a", 1));
    agree(&lookupds, &both, "t.a");
    let mut follower = Socket::open(&lookupds[0], "/lookup/websocket?snapshot=1");
    while follower.text()["event"] != "snapshot_end" {}
    etcd.kill();
    let store = |lookupd: &Node| lookupd.get("/")["store"].clone();
    until("it is known to be away", || store(&lookupds[0])["state"] != "following");
    agree(&lookupds, &both, "t.a");
    one.does("POST", "/jobs/t/a/numprocesses", r#"{"scale": "+1"}"#);
    two.does("DELETE", "/jobs/t/a?wait=stopped", "");
    one.run_job(&sleeper("b", 1));
    etcd.start_again(Data::Kept);
    agree(&lookupds, &[(ONE, &one)], "t.a");
    agree(&lookupds, &[(ONE, &one)], "t.b");
    // Only the difference is told.
    let mut told: Vec<String> = (0..4)
        .map(|_| follower.text())
        .map(|event| format!("{} {}", event["event"], event["job_name"]).replace('"', ""))
        .collect();
    told.sort();
    assert_eq!(told, ["add_job t.b", "add_process t.a", "add_process t.b", "remove_job t.a"]);
    etcd.compact();
    one.run_job(&sleeper("c", 1));
    agree(&lookupds, &[(ONE, &one)], "t.c");
    let began = Since::now();
    etcd.kill();
    etcd.start_again(Data::Lost);
    // What was known last stands meanwhile, so it is asked who is there again.
    let place = |node: &Node| node.get("/lookupds")["lookupds"][0].clone();
    until("the nodes are there again", || {
        [&one, &two].iter().all(|node| place(node)["state"] == "registered")
    });
    until("the lookupds follow it again", || {
        lookupds.iter().all(|lookupd| store(lookupd)["state"] == "following")
    });
    agree(&lookupds, &[(ONE, &one)], "t.b");
    println!("known again after a loss of all data: {:?}", began.elapsed());
    until("both nodes are known", || {
        lookupds.iter().all(|l| l.get("/nodes")["nodes"].as_array().map(Vec::len) == Some(2))
    });
    let view = place(&one);
    assert_eq!((&view["address"], &view["jobs"]), (&json!(etcd.url()), &json!(3)), "{view}");
}

#[test]
fn a_node_that_is_killed_goes_with_its_lease_and_one_that_ends_at_once() {
    let Some(etcd) = Etcd::start() else { return };
    let lookupds = [etcd.lookupd(), etcd.lookupd()];
    let (mut one, mut two) = (etcd.node(ONE), etcd.node(TWO));
    one.run_job(&sleeper("a", 1));
    two.run_job(&sleeper("a", 1));
    agree(&lookupds, &[(ONE, &one), (TWO, &two)], "t.a");
    let mut follower = Socket::open(&lookupds[1], "/lookup/websocket");
    two.kill();
    let keys = etcd.keys();
    let of_two: Vec<&(String, String)> =
        keys.iter().filter(|(key, _)| key.contains("two.example")).collect();
    assert_eq!((keys.len(), of_two.len()), (4, 2), "{keys:?}");
    assert_eq!(of_two[0].1, of_two[1].1, "both are on its lease");
    // As if that had run out.
    etcd.ask("/v3/lease/revoke", &json!({"ID": of_two[0].1}));
    agree(&lookupds, &[(ONE, &one)], "t.a");
    until("the node is gone everywhere", || {
        lookupds.iter().all(|l| l.get("/nodes")["nodes"].as_array().map(Vec::len) == Some(1))
    });
    let event = until_some("it is told", || {
        let event = follower.text();
        (event["event"] == "remove_node").then_some(event)
    });
    assert_eq!(event["origin"], TWO);
    // It comes back, and takes its own place while its old lease still lives.
    two.start_again();
    agree(&lookupds, &[(ONE, &one), (TWO, &two)], "t.a");
    two.kill();
    two.start_again();
    agree(&lookupds, &[(ONE, &one), (TWO, &two)], "t.a");
    one.stop();
    until("it gave its lease back", || {
        !etcd.keys().iter().any(|(key, _)| key.contains("one.example"))
    });
    agree(&lookupds, &[(TWO, &two)], "t.a");
    let refused = lookupds[0].ask("GET", "/ws", "");
    assert_eq!(refused.status, 400, "it is no handshake: {}", refused.text());
}

#[test]
fn of_two_nodes_of_one_origin_the_later_has_the_place() {
    let Some(etcd) = Etcd::start() else { return };
    let lookupds = [etcd.lookupd()];
    let first = etcd.node(ONE);
    first.run_job(&sleeper("a", 1));
    agree(&lookupds, &[(ONE, &first)], "t.a");
    let second = etcd.node(ONE);
    second.run_job(&sleeper("b", 1));
    agree(&lookupds, &[(ONE, &second)], "t.b");
    first.run_job(&sleeper("c", 1));
    until("the first says so", || {
        let view = first.get("/lookupds")["lookupds"][0].clone();
        view["last_error"].as_str().is_some_and(|why| why.contains("another node has this node's"))
    });
    assert!(first.log().contains("another node has this node's name and origin"));
    agree(&lookupds, &[], "t.c");
}

#[test]
fn four_hundred_processes_are_known_soon_and_before_that_nothing_is_said() {
    let Some(mut etcd) = Etcd::start() else { return };
    let node = etcd.node(ONE);
    let began = Since::now();
    node.does("POST", "/jobs/t?wait=running", &sleeper("many", 400).to_string());
    println!("400 processes run after {:?}", began.elapsed());
    let lookupds = [etcd.lookupd()];
    agree(&lookupds, &[(ONE, &node)], "t.many");
    println!("and are known after {:?}", began.elapsed());
    etcd.kill();
    let late = etcd.lookupd();
    let refused = late.ask("GET", "/nodes", "");
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.text().contains("what runs is not known yet"), "{}", refused.text());
    let began = Since::now();
    etcd.start_again(Data::Kept);
    println!("etcd is back after {:?}", began.elapsed());
    agree(&[late], &[(ONE, &node)], "t.many");
    println!("and is followed after {:?}", began.elapsed());
    node.does("POST", "/jobs/t/many/numprocesses", r#"{"scale": "-100"}"#);
    let began = Since::now();
    agree(&lookupds, &[(ONE, &node)], "t.many");
    println!("what changed since is known after {:?}", began.elapsed());
}
