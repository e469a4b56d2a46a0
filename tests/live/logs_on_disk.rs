//! Output on disk: every line once and in order, whatever happens to the files, the disk or gafferd.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::read::MultiGzDecoder;
use serde_json::{json, Value};

use super::node::{Folder, Node, USR1};
use super::until::until;

/// Lines with their numbers, so many a write, from `dd` of nothing but the shell and awk.
fn counting(lines: u32) -> String {
    format!("awk 'BEGIN {{ for (i = 0; i < {lines}; i++) printf \"%08d %s\\n\", i, \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\" }}'")
}

fn ends(node: &Node, path: &str) {
    until("the process has ended", || node.get(path)["state"] == "exited");
}

/// All of a log, from its oldest file on; of each the plain one, or the one that is compressed.
fn whole(active: &Path) -> String {
    let folder = active.parent().expect("a folder");
    let name = active.file_name().and_then(|name| name.to_str()).expect("a name");
    let mut parts: BTreeMap<u32, PathBuf> = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let found = entry.file_name().into_string().expect("a name");
        let Some(rest) = found.strip_prefix(name) else { continue };
        let number = match rest.strip_prefix('.') {
            None if rest.is_empty() => u32::MAX,
            None => continue,
            Some(text) => {
                let text = text.strip_suffix(".gz").unwrap_or(text);
                let Ok(number) = text.parse() else { continue };
                number
            }
        };
        let packed = |path: &PathBuf| path.extension().is_some_and(|ext| ext == "gz");
        if parts.get(&number).is_none_or(packed) {
            parts.insert(number, entry.path());
        }
    }
    let mut all = Vec::new();
    for path in parts.values() {
        let bytes = fs::read(path).expect("there");
        match path.extension().is_some_and(|ext| ext == "gz") {
            true => drop(MultiGzDecoder::new(&bytes[..]).read_to_end(&mut all).expect("whole")),
            false => all.extend(bytes),
        }
    }
    String::from_utf8(all).expect("text")
}

/// The numbers at the beginnings of lines.
fn numbers(text: &str) -> Vec<u32> {
    let number = |line: &str| line.split(' ').next().and_then(|word| word.parse().ok());
    text.lines().filter_map(number).collect()
}

#[test]
fn every_line_is_kept_once_and_in_order_over_many_files() {
    let node = Folder::new().start();
    let job = json!({"name": "count", "cmd": counting(200_000), "shell": true, "restart": "never",
        "log_max_size": "500KB", "log_total": "100MB", "log_compress": true});
    node.does("POST", "/jobs/t", &job.to_string());
    ends(&node, "/jobs/t/count");
    let active = node.path("state/logs/t/count/1.out.log");
    until("all that was put aside is compressed", || {
        let entries = fs::read_dir(active.parent().expect("a folder")).expect("there");
        let names = entries.map(|entry| entry.expect("one").file_name());
        let plain =
            |name: &str| name.rsplit('.').next().is_some_and(|end| end.parse::<u32>().is_ok());
        !names.filter_map(|name| name.into_string().ok()).any(|name| plain(&name))
    });
    let expected: Vec<u32> = (0..200_000).collect();
    assert!(numbers(&whole(&active)) == expected, "on the disk");
    let text = node.ask("GET", "/logs/t/count", "").text();
    let found = numbers(&text);
    let wrong = found.iter().zip(&expected).position(|(one, other)| one != other);
    assert!(found == expected, "over the API {} lines, wrong from {wrong:?} on", found.len());
    let found = node.ask("GET", "/logs/t/count?grep=%5E00000017&form=json", "").text();
    let lines: Vec<Value> =
        found.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    assert_eq!(lines.len(), 1);
    assert!(lines[0]["line"].as_str().is_some_and(|line| line.starts_with("00000017 ")));
    let tail = node.ask("GET", "/logs/t/count?tail=3&grep=77%20", "").text();
    assert_eq!(numbers(&tail), [199_777, 199_877, 199_977]);
    let after = lines[0]["seq"].as_u64().expect("a number");
    let rest = node.ask("GET", &format!("/logs/t/count?after={after}"), "").text();
    assert_eq!(numbers(&rest).last(), Some(&199_999));
}

#[test]
fn what_was_written_is_there_after_a_kill_and_numbers_go_on() {
    let mut node = Folder::new().start();
    let job = json!({"name": "count", "cmd": counting(50_000), "shell": true, "restart": "never",
        "log_max_size": "300KB", "log_total": "100MB"});
    node.does("POST", "/jobs/t", &job.to_string());
    ends(&node, "/jobs/t/count");
    let seq = |node: &Node| {
        let text = node.ask("GET", "/logs/t/count?tail=1&form=json", "").text();
        let line: Value = serde_json::from_str(text.trim()).expect("a line");
        line["seq"].as_u64().expect("a number")
    };
    let before = seq(&node);
    for _ in 0..2 {
        node.kill();
        node.start_again();
        let text = node.ask("GET", "/logs/t/count", "").text();
        // The job of the API is started again and writes the same once more.
        assert!(numbers(&text).starts_with(&(0..50_000).collect::<Vec<u32>>()));
    }
    ends(&node, "/jobs/t/count");
    assert!(seq(&node) > before, "numbers grow from one life to the next");
}

#[test]
fn a_log_that_was_moved_away_is_opened_again_on_a_signal_and_over_the_api() {
    let folder = Folder::new();
    fs::create_dir(folder.path("var")).expect("a folder");
    let node = folder.start();
    let log = node.path("var/app.log");
    let path = node.folder().text("var/{job}.log");
    let job = json!({"name": "app", "cmd": "cat", "redirect_input": true, "stdout_log": path});
    node.run_job(&job);
    let pid = node.get("/jobs/t/app")["processes"][0].clone();
    let say = |text: &str| {
        node.does("POST", &format!("/streams/{pid}/stdin"), text);
    };
    let holds = |name: &str, text: &str| {
        until(text, || node.read(name) == text);
    };
    say("one\n");
    holds("var/app.log", "one\n");
    fs::rename(&log, node.path("var/app.old")).expect("moved");
    node.signal(USR1);
    until("the log is opened again", || {
        say("two\n");
        node.read("var/app.log").contains("two\n")
    });
    say("and\n");
    until("all is written", || node.read("var/app.log").ends_with("and\n"));
    assert!(node.read("var/app.old").starts_with("one\n"));
    fs::rename(&log, node.path("var/app.older")).expect("moved");
    node.does("POST", "/logs/reopen", "");
    say("three\n");
    holds("var/app.log", "three\n");
    node.does("POST", "/logs/t/app/rotate", "");
    say("four\n");
    holds("var/app.log", "four\n");
    let text = node.ask("GET", "/logs/t/app", "").text();
    assert_eq!(text, "three\nfour\n", "what was moved by others is theirs");
    let taken = node.get("/logs");
    let names: Vec<&str> = taken["logs"]
        .as_array()
        .map(|all| all.iter().filter_map(|one| one["name"].as_str()).collect())
        .unwrap_or_default();
    assert!(names.contains(&&*log.display().to_string()), "{taken}");
    assert!(node.does("DELETE", "/logs/t/app", "")["cleared"].as_u64() > Some(0));
    assert_eq!(node.ask("GET", "/logs/t/app", "").text(), "");
}

/// A file system of its own, as far as this test may make one.
struct Small(PathBuf);

impl Small {
    fn mounted(at: PathBuf) -> Option<Self> {
        fs::create_dir_all(&at).expect("a folder");
        let options = ["-t", "tmpfs", "-o", "size=1m,mode=755", "none"];
        let mounted = Command::new("mount").args(options).arg(&at).output();
        mounted.is_ok_and(|done| done.status.success()).then_some(Self(at))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_stops_nobody_and_what_is_lost_is_told() {
    let folder = Folder::new();
    let Some(small) = Small::mounted(folder.path("small")) else {
        println!("skipped: nothing can be mounted here");
        return;
    };
    let node = folder.start();
    let fill = small.0.join("fill");
    // A line waits for its number to be asked for, so that the test says how fast it goes.
    let line =
        "while read n; do echo \"$n xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"; done";
    let job = json!({"name": "app", "cmd": line, "shell": true, "redirect_input": true,
        "stdout_log": small.0.join("app.log").display().to_string()});
    node.run_job(&job);
    let pid = node.get("/jobs/t/app")["processes"][0].clone();
    let mut said = 0_u32;
    let mut say = |count: u32| {
        let text: String = (said..said + count).map(|n| format!("{n:08}\n")).collect();
        node.does("POST", &format!("/streams/{pid}/stdin"), &text);
        said += count;
        said
    };
    let unlogged = || node.get("/jobs/t/app")["instances"][0]["unlogged"].clone();
    let text = || fs::read_to_string(small.0.join("app.log")).unwrap_or_default();
    for _ in 0..3 {
        let count = say(100);
        until("it is written", || text().contains(&format!("\n{:08} ", count - 1)));
        let _ = fs::write(&fill, vec![0; 4 << 20]);
        // More than waits in memory.
        say(3_000);
        until("it is told", || unlogged()["out"] == "no space left");
        say(3_000);
        fs::remove_file(&fill).expect("there is room again");
        until("it goes on", || unlogged() == Value::Null);
    }
    let count = say(1);
    until("the last is written", || text().contains(&format!("\n{:08} ", count - 1)));
    // Each number is there, or among those that are told as lost.
    let (mut next, mut notes) = (0, 0);
    for line in text().lines() {
        if let Some(lost) = line.strip_prefix("-- ") {
            let lost = lost.strip_suffix(" lines lost: no space left --").expect("a note");
            next += lost.replace(',', "").parse::<u32>().expect("a number");
            notes += 1;
        } else {
            let number: u32 =
                line.split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
            // A line that was torn when the disk was full is lost, too.
            if line.len() == 59 {
                assert!(number == next, "{number} comes where {next} should");
                next += 1;
            }
        }
    }
    assert_eq!((next, notes), (count, 3));
    assert_eq!(node.get("/jobs/t/app")["processes"][0], pid, "nobody was stopped");
}

#[test]
fn a_line_without_an_end_is_told_also_where_lines_are_written_whole() {
    let node = Folder::new().start();
    let line = r"echo plain; printf 'bad\377byte\n'; printf open; exec sleep 1000";
    let job = json!({"name": "app", "cmd": line, "shell": true, "log_format": "json"});
    node.run_job(&job);
    until("all is told", || {
        let answer = node.ask("GET", "/logs/t/app?form=json", "").text();
        let lines: Vec<Value> =
            answer.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
        let told: Vec<_> = lines.iter().map(|line| (&line["line"], line["open"] == true)).collect();
        let open = json!("open");
        lines.len() == 3 && told[0].0 == "plain" && told[2] == (&open, true)
    });
    let file = node.read("state/logs/t/app/1.out.log");
    assert_eq!(file.lines().count(), 2, "on the disk a line waits for its end");
    let second: Value = serde_json::from_str(file.lines().last().expect("two")).expect("an object");
    assert_eq!(second["base64"], "YmFk/2J5dGU=");
}
