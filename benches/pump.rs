//! How fast the output of one process comes to the disk: numbered lines of 100 bytes, written as fast as they
//! can be, into a file of the process's own, through `cat`, and through gafferd with files of 10 MB, without and
//! with the time in front of each line. All ways take turns in one and the same run. Every line is looked for.
//!
//! The number is that of megabytes: 2000 for the real thing.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use super::bench::gafferd::Gafferd;
use super::bench::kernel::{processor, state};
use super::bench::run::Run;
use super::bench::{median, now, role, start, this, until};

const LINE: usize = 100;

/// What a way took: wall time, and processor time of whoever stands between the process and the disk.
type Cost = (Duration, f64);

/// One way of so many lines to a file in this folder.
type Way = fn(usize, &Path) -> Cost;

pub(crate) fn run(run: &Run) {
    let (lines, rounds) = (run.count(100, 1) * 1_000_000 / LINE, run.either(3, 1));
    let folder = tempfile::tempdir().expect("a folder");
    let ways: [(&str, Way); 4] = [
        ("into a file", into_a_file),
        ("through cat", through_cat),
        ("through gafferd", |lines, _| through_gafferd(lines, false)),
        ("with timestamps", |lines, _| through_gafferd(lines, true)),
    ];
    let mut costs = [const { Vec::new() }; 4];
    for _ in 0..rounds {
        for ((_, way), costs) in ways.iter().zip(&mut costs) {
            costs.push(way(lines, folder.path()));
        }
    }
    let gigabytes = (lines * LINE) as f64 / 1e9;
    run.say(&format!(
        "{lines} lines of {LINE} bytes, median of {rounds} rounds; the limit is the first"
    ));
    let mut limit = None;
    for ((way, _), costs) in ways.iter().zip(costs) {
        let speed = median(costs.iter().map(|(wall, _)| gigabytes / wall.as_secs_f64()).collect());
        let cpu = median(costs.iter().map(|(_, cpu)| cpu / gigabytes).collect());
        let ratio = speed / *limit.get_or_insert(speed);
        run.say(&format!(
            "{way:16} {speed:5.2} GB/s, {ratio:4.2} of the limit, {cpu:5.2} s of processor a GB"
        ));
    }
}

/// The process: so many lines in pieces as large as a pipe.
pub(crate) fn write(words: &[String]) {
    let lines = words[0].parse().expect("a number of lines");
    let mut out = std::io::stdout().lock();
    let mut piece = Vec::with_capacity(65_536);
    for number in 0..lines {
        piece.extend_from_slice(format!("{number:012} ").as_bytes());
        piece.resize(piece.len() + LINE - 14, b'x');
        piece.push(b'\n');
        if piece.len() + LINE > 65_536 || number + 1 == lines {
            out.write_all(&piece).expect("somebody reads");
            piece.clear();
        }
    }
}

fn writer(lines: usize) -> Command {
    role("--write", &[&lines.to_string()])
}

fn into_a_file(lines: usize, folder: &Path) -> Cost {
    let path = folder.join("file");
    let begun = now();
    let mut child = start(writer(lines).stdout(File::create(&path).expect("writable")));
    child.wait().expect("ours");
    let wall = begun.elapsed();
    check(&[path], lines);
    (wall, 0.0)
}

fn through_cat(lines: usize, folder: &Path) -> Cost {
    let path = folder.join("cat");
    let begun = now();
    let mut first = start(writer(lines).stdout(Stdio::piped()));
    let stdin = first.stdout.take().expect("a pipe");
    let mut cat = Command::new("cat");
    let mut second = start(cat.stdin(stdin).stdout(File::create(&path).expect("writable")));
    first.wait().expect("ours");
    until(|| state(second.id()) == Some('Z'));
    let (wall, cpu) = (begun.elapsed(), processor(second.id()));
    second.wait().expect("ours");
    check(&[path], lines);
    (wall, cpu)
}

fn through_gafferd(lines: usize, stamps: bool) -> Cost {
    let gafferd = Gafferd::start("[gaffer]\nlog_store_size = 100GB\n");
    let before = gafferd.processor();
    let job = json!({
        "name": "pump", "cmd": this(), "args": ["--write", lines.to_string()], "restart": "never",
        "log_max_size": "10MB", "log_total": "100GB", "log_timestamps": stamps,
    });
    let begun = now();
    gafferd.ask("POST", "/jobs/b", &job.to_string()).expect("it is loaded");
    let folder = gafferd.folder.path().join("state/logs/b/pump");
    until(|| {
        let told = gafferd.ask("GET", "/jobs/b/pump", "").unwrap_or_default();
        told.contains("\"state\": \"exited\"")
    });
    let (wall, cpu) = (begun.elapsed(), gafferd.processor() - before);
    let number = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        name.rsplit('.').next().and_then(|end| end.parse::<u32>().ok()).unwrap_or(u32::MAX)
    };
    let entries = fs::read_dir(&folder).expect("there").map(|entry| entry.expect("one").path());
    let mut paths: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_none_or(|ext| ext != "index")).collect();
    paths.sort_by_key(number);
    check(&paths, lines);
    (wall, cpu)
}

/// Looks whether every line is there once and in order, and removes the files.
fn check(paths: &[PathBuf], lines: usize) {
    let mut next = 0;
    for path in paths {
        for line in BufReader::with_capacity(1 << 20, File::open(path).expect("there")).split(b'\n')
        {
            let line = line.expect("readable");
            let end = line.len() - (LINE - 1);
            let number = std::str::from_utf8(&line[end..end + 12]).expect("digits");
            assert_eq!(number.parse(), Ok(next), "in {}", path.display());
            next += 1;
        }
        fs::remove_file(path).expect("ours");
    }
    assert_eq!(next, lines, "all of them");
}
