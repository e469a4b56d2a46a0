//! A session that comes back to a node which has kept on disk what it missed.

use std::fs;

use gaffer::client::{Channel, Heard, Server};
use serde_json::{json, Map, Value};

use super::node::{Folder, Node};
use super::until::until;

const JOB: &str = "LOGS:t.count";
/// Numbered lines of 50 bytes, so many at once, and then one now and then until there is a file `stop`.
fn counts(node: &Node, lines: u32) -> Value {
    let script = format!(
        "awk 'BEGIN {{ for (i = 1; i <= {lines}; i++) printf \"%09d %039d\\n\", i, 0 }}'; i={lines}; \
         while [ ! -e stop ]; do i=$((i+1)); printf '%09d %039d\\n' $i 0; sleep 0.001; done; \
         echo the last was $i; exec sleep 1000"
    );
    let script = script.replace('$', "$$");
    json!({"name": "count", "cmd": "sh", "args": ["-c", script], "cwd": node.folder().text("."),
        "redirect_output": ["out", "err"]})
}

fn channel(node: &Node) -> Channel {
    let address = format!("http://127.0.0.1:{}", node.port).parse().expect("an address");
    Server::new(address).channel().expect("a channel")
}

fn since(seq: u64) -> Map<String, Value> {
    Map::from_iter([("since".to_owned(), json!(seq))])
}

/// The next output, with its number; nothing of it is lost.
fn hear(channel: &mut Channel) -> (String, u64) {
    loop {
        match channel.hear().expect("unbroken").expect("it goes on") {
            Heard::Event { data, .. } => {
                let text = data.get("data").and_then(Value::as_str).map(str::to_owned);
                let seq = data.get("seq").and_then(Value::as_u64);
                if let Some(told) = text.zip(seq) {
                    return told;
                }
            }
            Heard::Lagged { lost, .. } => panic!("{lost} bytes are lost"),
        }
    }
}

/// Whether the node still reads for somebody.
fn reads(node: &Node) -> bool {
    node.get("/debug/counters")["log_readers"] != 0
}

/// Hears all lines until the job has said its last, which it is told to say in the middle; gives the first.
fn hear_all(node: &Node, channel: &mut Channel) -> u64 {
    let mut told = String::new();
    let mut stopped = false;
    let last = loop {
        told.push_str(&hear(channel).0);
        let end = told.rfind("the last was ").and_then(|at| told.get(at..)).unwrap_or_default();
        if let Some(last) = end.strip_suffix('\n').and_then(|end| end.rsplit(' ').next()) {
            break last.parse::<u64>().expect("a number");
        }
        if !stopped && !reads(node) {
            fs::write(node.path("stop"), "").expect("written");
            stopped = true;
        }
    };
    let (lines, _) = told.split_once("the last was ").expect("it was said");
    // What came first may be the rest of a line.
    let rest = lines.find('\n').filter(|end| *end < 49).map_or(0, |end| end + 1);
    let lines = lines.get(rest..).expect("text");
    let numbers: Vec<u64> = lines
        .lines()
        .map(|line| {
            assert_eq!(line.len(), 49, "{line:?}");
            line.get(..9).and_then(|number| number.parse().ok()).expect("a number")
        })
        .collect();
    let first = *numbers.first().expect("lines");
    let whole: Vec<u64> = (first..=last).collect();
    let wrong = numbers.iter().zip(&whole).position(|(told, wanted)| told != wanted);
    assert_eq!((wrong, numbers.len()), (None, whole.len()), "each comes once, in order");
    first
}

#[test]
fn what_a_session_missed_comes_from_disk_once_and_goes_on_without_a_gap() {
    let node = Folder::new().start();
    let mut early = channel(&node);
    early.subscribe("LOGS:t", &Map::new()).expect("followed");
    node.run_job(&counts(&node, 100_000));
    let (text, seq) = hear(&mut early);
    drop(early);
    until("much is written", || {
        let taken = node.ask("GET", "/logs/t/count?tail=1", "").body;
        let number = String::from_utf8_lossy(&taken).get(..9).and_then(|n| n.parse().ok());
        number.unwrap_or(0) > 100_500
    });
    let mut channel = channel(&node);
    channel.subscribe(JOB, &since(seq)).expect("followed");
    let first = hear_all(&node, &mut channel);
    // What was written with the same piece may come once more; in front of the first is the rest of a line.
    let known = u64::try_from(text.matches('\n').count()).expect("few");
    assert!(first <= known + 2, "{first} behind {known}");
}

#[test]
fn a_session_finds_what_was_written_in_the_life_before() {
    let mut node = Folder::new().start();
    fs::write(node.path("stop"), "").expect("written");
    node.run_job(&counts(&node, 20_000));
    let last = || node.ask("GET", "/logs/t/count?tail=1", "").body;
    until("all is written", || last().starts_with(b"the last was"));
    node.stop();
    node.start_again();
    let mut channel = channel(&node);
    channel.subscribe("LOGS:t.count", &since(0)).expect("followed");
    let first = hear_all(&node, &mut channel);
    assert_eq!(first, 1, "all that is kept");
}
