//! Those for whom metrics are: promtool, the reader of Prometheus' own client, and a Prometheus that asks a gafferd every
//! second, with a key.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{json, Value};
use tempfile::TempDir;

use super::clients::{scripts, tool};
use super::http::Client;
use super::keys::{minted, owner};
use super::node::{Folder, Node};
use super::until::{until, until_some};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0";

/// A node with jobs.
fn node(folder: Folder) -> Node {
    let jobs = json!([
        {"name": "s.web", "cmd": "sleep 1000", "numprocesses": 3},
        {"name": "s.idle", "cmd": "sleep 1000", "start": false},
    ]);
    folder.load(&jobs).start()
}

/// What a node answers to who takes this.
fn scraped(node: &Node, accept: &str) -> String {
    let mut client = Client::tcp(node.port).expect("it listens");
    let accept = format!("Accept: {accept}\r\n");
    let answer = client.request_with("GET", "/metrics", &accept, "").expect("answered");
    assert_eq!(answer.status, 200);
    answer.text()
}

/// Has a program read a text; gives whether it takes that, and what it says of it.
#[expect(clippy::disallowed_methods, reason = "promtool and Python are no children of gaffer's")]
fn read(command: &mut Command, text: &str) -> (bool, String) {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(text.as_bytes()).expect("it reads");
    drop(stdin);
    let done = child.wait_with_output().expect("it ends");
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn promtool_has_nothing_to_complain_of() {
    let Some(prometheus) = tool("prometheus") else { return };
    let promtool = prometheus.with_file_name("promtool");
    let check = |text: &str| read(Command::new(&promtool).args(["check", "metrics"]), text);
    let mut node = node(Folder::new());
    assert_eq!(check(&scraped(&node, "text/plain")), (true, String::new()));
    assert!(!check("# TYPE x counter\nx 1\n").0, "it complains of what is bad");
    let (rules, dir) = (dashboard_rules(), TempDir::new().expect("a temporary folder"));
    fs::write(dir.path().join("rules.yml"), rules).expect("ours");
    let done = Command::new(&promtool)
        .args(["check", "rules", "rules.yml"])
        .current_dir(dir.path())
        .output();
    let done = done.expect("it runs");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{said}");
    node.stop();
}

/// What the dashboard asks for, as rules that promtool looks at. YAML takes JSON.
fn dashboard_rules() -> String {
    let dashboard = include_str!("../../src/dashboard/grafana.json");
    let dashboard: Value = serde_json::from_str(dashboard).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let rules: Vec<Value> = targets
        .filter_map(|target| target["expr"].as_str())
        .enumerate()
        .map(|(n, expr)| {
            let expr = expr.replace("$__rate_interval", "1m");
            json!({"record": format!("r{n}"), "expr": expr})
        })
        .collect();
    assert!(rules.len() > 20, "only {} queries", rules.len());
    json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string()
}

#[test]
fn the_reader_of_prometheus_own_client_takes_both_dialects() {
    let Some(python) = tool("python") else { return };
    let script = scripts().join("metrics.py");
    let mut node = node(Folder::new());
    for (dialect, accept) in [("openmetrics", OPEN_METRICS), ("text", "text/plain")] {
        let parse = |text: &str| read(Command::new(&python).arg(&script).arg(dialect), text);
        let text = scraped(&node, accept);
        let (is_good, said) = parse(&text);
        assert!(is_good, "{dialect}: {said}");
        let found: Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(found["gaffer_instances"], json!(3), "{said}");
        assert_eq!(found["gaffer_build"], json!(gaffer::VERSION));
    }
    let cut = scraped(&node, OPEN_METRICS).replace("# EOF", "");
    assert!(!read(Command::new(&python).arg(&script).arg("openmetrics"), &cut).0);
    node.stop();
}

/// A Prometheus, ended with its test.
struct Prometheus {
    child: Child,
    port: u16,
    _dir: TempDir,
}

impl Prometheus {
    #[expect(clippy::disallowed_methods, reason = "the Prometheus is no child of gaffer's")]
    fn start(program: &Path, config: &str) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let path = |name: &str| dir.path().join(name);
        fs::write(path("prometheus.yml"), config).expect("ours");
        let log = fs::File::create(path("log")).expect("ours");
        let child = Command::new(program)
            .arg(format!("--config.file={}", path("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", path("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("it starts");
        let log = path("log");
        let mut started = Self { child, port: 0, _dir: dir };
        // It tells the port that the kernel chose.
        started.port = until_some("the Prometheus has a port", || {
            let said = fs::read_to_string(&log).unwrap_or_default();
            assert!(started.child.try_wait().expect("ours").is_none(), "{said}");
            let line = said.lines().find(|line| line.contains("msg=\"Listening on\""))?;
            line.rsplit_once(':').and_then(|(_, port)| port.trim().parse().ok())
        });
        started
    }

    /// The number that a query comes to, if it comes to one.
    fn number(&self, query: &str) -> Option<f64> {
        let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = Client::tcp(self.port).ok()?;
        let path = format!("/api/v1/query?query={query}");
        let said = { answer }.request_with("GET", &path, "Connection: close\r\n", "").ok()?.json();
        said["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_prometheus_knows_what_runs() {
    let Some(program) = tool("prometheus") else { return };
    let mut node = node(Folder::new().args(&["--require-key"]));
    let key = minted(&node, json!({"read": ["*"]}));
    let config = format!(
        "scrape_configs:\n- job_name: gaffer\n  scrape_interval: 1s\n  authorization:\n    credentials: {key}\n  \
         static_configs:\n  - targets: ['127.0.0.1:{}']\n- job_name: stranger\n  scrape_interval: 1s\n  \
         static_configs:\n  - targets: ['127.0.0.1:{}']\n",
        node.port, node.port
    );
    let prometheus = Prometheus::start(&program, &config);
    let comes_to = |query: &str, number: f64| {
        until(&format!("{query} is {number}"), || prometheus.number(query) == Some(number));
    };
    comes_to("up{job=\"gaffer\"}", 1.0);
    comes_to("up{job=\"stranger\"}", 0.0);
    comes_to("gaffer_instances{job_name=\"web\",state=\"running\"}", 3.0);
    comes_to("gaffer_job_target_instances{session=\"s\",job_name=\"idle\"}", 0.0);
    let scaled = owner(&node, "POST", "/jobs/s/web/numprocesses", &json!({"scale": "-1"}));
    assert_eq!(scaled["numprocesses"], json!(2), "{scaled}");
    comes_to("gaffer_instances{job_name=\"web\",state=\"running\"}", 2.0);
    comes_to("sum(gaffer_job_deaths_total{cause=\"stopped\"})", 1.0);
    until("its counters count", || prometheus.number("gaffer_turn_seconds_count") > Some(1.0));
    drop(prometheus);
    node.stop();
}
