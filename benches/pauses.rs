//! How long others wait while somebody asks about everything: where one job has thousands of instances, and where
//! thousands of jobs have one. Another client asks for as little as there is, again and again: what it waits at most
//! is the longest turn or more. The limit is what it waits while nobody asks.
//!
//! The number is that of instances. Each has one pipe for all that it says, so that there can be ten thousand of them.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::bench::clients::{request, Client};
use super::bench::gafferd::{sleepers, Gafferd};
use super::bench::kernel::{most_instances, raise_nofile};
use super::bench::run::Run;
use super::bench::{now, rest, until};

pub(crate) fn run(run: &Run) {
    raise_nofile();
    let count = run.most(("instances", most_instances(1)), 1_000, 3);
    run.say("milliseconds until it is answered, bytes, and the longest that another client waited meanwhile");
    let gafferd = Gafferd::start("");
    gafferd.load(json!({
        "name": "j", "cmd": "sleep 100000", "numprocesses": count, "redirect_output": ["out", "out"]
    }));
    run.say(&format!("one job of {count} instances"));
    look(run, &gafferd, ("/jobs/b/j", count));
    drop(gafferd);

    let jobs = sleepers(count).replace("100000\n", "100000\nredirect_output = out, out\n");
    let gafferd = Gafferd::start(&jobs);
    until(|| gafferd.children() == count);
    run.say(&format!("{count} jobs of one instance"));
    look(run, &gafferd, ("/jobs/default/j0", count));
}

fn look(run: &Run, gafferd: &Gafferd, (job, count): (&str, usize)) {
    let address = gafferd.address();
    let tell = |what: &str, ask: &dyn Fn() -> usize| {
        let (took, length, longest) = beside(&address, ask);
        run.say(&format!(
            "  {what:22} {:8.1} {length:9} {:8.1}",
            took.as_secs_f64() * 1e3,
            longest.as_secs_f64() * 1e3
        ));
        length
    };
    tell("nothing", &|| {
        rest(run.either(500, 1));
        0
    });
    let paths = ["/jobs", job, "/pids", "/stats", "/metrics", "/deaths", "/stats/history"];
    for path in paths {
        let length = tell(path, &|| Client::new(&address).ask(path).body.len());
        assert!(length > 0, "something is told");
    }
    tell("gaffer ps", &|| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gaffer"));
        command.args(["ps", "--output", "tsv"]).current_dir(gafferd.folder.path());
        command.env("GAFFER_URL", format!("http://{address}")).env("HOME", gafferd.folder.path());
        let output = command.output().expect("it is there");
        let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        assert_eq!(lines.count(), count, "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout.len()
    });
}

/// Asks, and has another client ask for little meanwhile: how long it took, what it gave, and how long that one waited
/// at most.
fn beside(address: &str, ask: &dyn Fn() -> usize) -> (Duration, usize, Duration) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut client = Client::new(address);
        let over = &over;
        let other = scope.spawn(move || {
            let (request, mut longest) = (request("GET", "/ping", ""), Duration::ZERO);
            while !over.load(Ordering::Relaxed) {
                let begun = now();
                client.send(&request);
                client.answer();
                longest = longest.max(begun.elapsed());
                rest(1);
            }
            longest
        });
        let begun = now();
        let length = ask();
        let took = begun.elapsed();
        over.store(true, Ordering::Relaxed);
        (took, length, other.join().expect("it is answered"))
    })
}
