//! Several nodes that are registered with several lookupds, all on the loopback. A node is where it says that
//! it is, on a port of the kernel's choice: it is told at its first hangup, when that is known.

use std::process::{Command, Stdio};

use serde_json::{json, Value};

use super::cli::Said;
use super::node::{Folder, Node, HUP};
use super::until::{until, until_some};

/// Lookupds, and nodes in the order of their origins.
pub(crate) struct Farm {
    pub(crate) lookupds: Vec<Node>,
    pub(crate) nodes: Vec<Node>,
    /// What the nodes call themselves: all are on one host.
    pub(crate) host: String,
    /// An empty folder to work in.
    pub(crate) folder: String,
}

impl Farm {
    /// Two lookupds, and so many nodes with these jobs, all of which run and are known.
    pub(crate) fn new(count: usize, jobs: &Value) -> Self {
        let lookupds = vec![Folder::of_lookupd().start(), Folder::of_lookupd().start()];
        let start = || {
            let folder = Folder::new().load(jobs).args(&["-c", "@gafferd.ini"]);
            folder.write("gafferd.ini", "[gaffer]\n");
            folder.start()
        };
        let mut nodes: Vec<Node> = (0..count).map(|_| start()).collect();
        nodes.sort_by_key(origin);
        let folder = lookupds[0].path("work");
        std::fs::create_dir(&folder).expect("a folder");
        let folder = folder.display().to_string();
        let farm = Self { lookupds, nodes, host: String::new(), folder };
        for (at, node) in farm.nodes.iter().enumerate() {
            farm.register(node, &origin(node));
            until("both lookupds know it", || farm.count() == [at + 1, at + 1]);
        }
        let processes = jobs.as_array().map_or(0, Vec::len) * count;
        until("both know everything that runs", || {
            farm.lookupds.iter().all(|lookupd| {
                let counters = lookupd.get("/debug/counters");
                counters["processes"] == json!(processes)
            })
        });
        let host = farm.lookupds[0].get("/nodes")["nodes"][0]["name"].as_str().map(str::to_owned);
        Self { host: host.unwrap_or_default(), ..farm }
    }

    /// Has a node register as being there.
    pub(crate) fn register(&self, node: &Node, origin: &str) {
        let at = |lookupd: &Node| format!("http://127.0.0.1:{}", lookupd.port);
        let lookupds: Vec<String> = self.lookupds.iter().map(at).collect();
        let text = format!(
            "[gaffer]\nlookupd_address = {}\nbroadcast_address = {origin}\n",
            lookupds.join(", ")
        );
        node.folder().write("gafferd.ini", &text);
        node.signal(HUP);
    }

    /// How many nodes each lookupd knows.
    pub(crate) fn count(&self) -> Vec<usize> {
        let count = |lookupd: &Node| lookupd.get("/nodes")["nodes"].as_array().map_or(0, Vec::len);
        self.lookupds.iter().map(count).collect()
    }

    /// What a node is called on the command line.
    pub(crate) fn label(&self, node: usize) -> String {
        let short = self.host.split('.').next().unwrap_or_default();
        match self.nodes.len() {
            1 => short.to_owned(),
            _ => format!("{short}:{}", self.nodes[node].port),
        }
    }

    /// The flags that name the lookupds.
    pub(crate) fn flags(&self) -> Vec<String> {
        let flag = |lookupd: &Node| ["-L".to_owned(), format!("127.0.0.1:{}", lookupd.port)];
        self.lookupds.iter().flat_map(flag).collect()
    }

    /// A command on all nodes.
    pub(crate) fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gaffer"));
        command
            .args(self.flags())
            .args(line)
            .current_dir(&self.folder)
            .env("HOME", &self.folder)
            .env("COLUMNS", "200")
            .stdin(Stdio::null());
        command
    }

    /// Runs it.
    pub(crate) fn gaffer(&self, line: &[&str]) -> Said {
        let output = self.command(line).output().expect("it runs");
        Said {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// Runs one that has to go well everywhere, and gives what it printed.
    pub(crate) fn does(&self, line: &[&str]) -> String {
        let said = self.gaffer(line);
        assert_eq!(said.code, 0, "{line:?}: {said:?}");
        said.out
    }

    /// The same with `--json`, each value with the number of its node.
    pub(crate) fn json(&self, line: &[&str]) -> Vec<(usize, Value)> {
        let out = self.does(&[line, &["--json"]].concat());
        let mut values = Vec::new();
        for line in out.lines() {
            let mut value: Value = serde_json::from_str(line).expect(line);
            match value.as_array_mut() {
                Some(all) => values.append(all),
                None => values.push(value),
            }
        }
        values.into_iter().map(|value| (self.node_of(&value), value)).collect()
    }

    fn node_of(&self, value: &Value) -> usize {
        let label = value["node"].as_str().expect("a node");
        let found = (0..self.nodes.len()).find(|node| self.label(*node) == label);
        found.unwrap_or_else(|| panic!("{label} is no node"))
    }

    /// What each node runs of a job.
    pub(crate) fn pids(&self, job: &str) -> Vec<Vec<i32>> {
        self.nodes.iter().map(|node| node.os_pids(&format!("/jobs/{job}"))).collect()
    }

    /// Waits until each node runs so much of a job.
    pub(crate) fn until_runs(&self, job: &str, counts: &[usize]) {
        until_some(&format!("{counts:?} of {job} run"), || {
            let there: Vec<usize> = self.pids(job).iter().map(Vec::len).collect();
            (there == counts).then_some(())
        });
    }
}

/// Where a node is.
pub(crate) fn origin(node: &Node) -> String {
    format!("http://127.0.0.1:{}", node.port)
}
