//! The output of jobs on its way to the disk: of one that writes as fast as it can, and of many that now and then say
//! something. Every line is looked for.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::crowd::At;
use super::peer::{Running, PATIENCE};
use super::report::{Report, What, FLOOR};
use super::role::{Beats, LINE};
use super::tree::{self, All};
use super::Sizes;
use crate::bench::{now, rest, start};

/// How long a way may take; with a slower one fewer lines go.
const LIMIT: Duration = Duration::from_secs(5);

pub(crate) fn pump(at: At, sizes: &Sizes, report: &mut Report) {
    let peer = at.0;
    let all = sizes.megabytes * 1_000_000 / LINE;
    let trial = all / 50;
    let Some((wall, _)) = through(at, trial) else {
        return report.note(What::Pumped, peer.name(), "captures no output");
    };
    let lines = trial as u128 * LIMIT.as_nanos() / wall.as_nanos();
    let lines = usize::try_from(lines).unwrap_or(all).clamp(trial, all);
    if lines < all / 2 {
        let note = format!("{} MB only", lines * LINE / 1_000_000);
        report.note(What::Pumped, peer.name(), &note);
    }
    let (wall, cpu) = through(at, lines).expect("as before");
    tell(report, peer.name(), lines, (wall, cpu));
}

fn tell(report: &mut Report, who: &str, lines: usize, (wall, cpu): (Duration, f64)) {
    let bytes = (lines * LINE) as f64;
    report.add(What::Pumped, who, bytes / wall.as_secs_f64() / 1e6);
    report.add(What::PumpCost, who, cpu / (bytes / 1e9));
}

/// So many lines: how long they take, and seconds of processor.
fn through((peer, prefix): At, lines: usize) -> Option<(Duration, f64)> {
    let mut running = Running::place(peer, prefix, true);
    let jobs = running.jobs(1, &["--write", &lines.to_string()]);
    let path = peer.output(&running.place, &jobs[0])?;
    // The job says that it begins, and that it has written everything; what it costs itself is not counted, as it
    // does not end.
    running.start(&jobs).expect("it runs");
    // Commands that have only started it are gone by then.
    rest(1_500);
    tree::reap();
    let used = All::now();
    let begun = now();
    running.beats.go();
    running.beats.next(PATIENCE).expect("it has written all");
    let wanted = lines * (LINE + peer.prefix());
    while size(&path) < wanted as u64 {
        assert!(begun.elapsed().as_secs_f64() < 2.0 * PATIENCE, "all of it is on the disk");
        rest(1);
    }
    let (wall, used) = (begun.elapsed(), All::now().since(&used));
    assert_eq!(numbered(&path), lines, "every line is there, in order");
    Some((wall, used.seconds))
}

pub(crate) fn noise((peer, prefix): At, sizes: &Sizes, report: &mut Report) {
    let mut running = Running::place(peer, prefix, true);
    let jobs = running.jobs(sizes.noisy, &["--noisy"]);
    if peer.output(&running.place, &jobs[0]).is_none() {
        return report.note(What::NoiseCost, peer.name(), "captures no output");
    }
    running.start(&jobs).expect("they run");
    rest(1_500);
    tree::reap();
    let mut paths: Vec<PathBuf> =
        jobs.iter().filter_map(|job| peer.output(&running.place, job)).collect();
    paths.dedup();
    let all = || paths.iter().map(|path| size(path)).sum::<u64>();
    let (before, used) = (all(), All::now());
    rest(sizes.watched);
    let (after, used) = (all(), All::now().since(&used));
    let said = sizes.noisy as u64 * sizes.watched / 10 * (LINE + peer.prefix()) as u64;
    let share = (after - before) as f64 / said as f64;
    assert!((0.9..1.1).contains(&share), "{share:.2} of what was said is on the disk");
    report.add(What::NoiseCost, peer.name(), used.seconds);
}

/// The same lines through `cat`.
pub(crate) fn floor(sizes: &Sizes, report: &mut Report) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut beats = Beats::new(folder.path());
    let lines = sizes.megabytes * 1_000_000 / LINE;
    let path = folder.path().join("cat");
    let this = std::env::current_exe().expect("this");
    let mut writer = Command::new(this);
    writer.args(["peers", "--write", &lines.to_string()]).arg(&beats.path);
    let mut first = start(writer.stdout(Stdio::piped()));
    let stdin = first.stdout.take().expect("a pipe");
    let mut cat = Command::new("cat");
    let mut second = start(cat.stdin(stdin).stdout(File::create(&path).expect("writable")));
    beats.next(PATIENCE).expect("it begins");
    let used = All::now();
    let begun = now();
    beats.go();
    beats.next(PATIENCE).expect("it has written all");
    while size(&path) < (lines * LINE) as u64 {
        rest(1);
    }
    let (wall, used) = (begun.elapsed(), All::now().since(&used));
    assert_eq!(numbered(&path), lines, "every line is there");
    tell(report, FLOOR, lines, (wall, used.seconds));
    first.kill().expect("ours");
    first.wait().expect("ours");
    second.wait().expect("ours");
}

/// The files in which output is: those of a folder, or the one of this name and those before it.
fn files(path: &Path) -> Vec<PathBuf> {
    let is_folder = path.is_dir();
    let folder = if is_folder { path } else { path.parent().expect("a folder") };
    let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let mine = match is_folder {
            true => {
                !["config", "lock", "state"].contains(&file.as_str()) && !file.ends_with(".index")
            }
            false => {
                file == name || file.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
            }
        };
        if mine {
            found.push(entry.path());
        }
    }
    found
}

fn size(path: &Path) -> u64 {
    files(path).iter().filter_map(|file| file.metadata().ok()).map(|data| data.len()).sum()
}

/// How many lines there are, each of them whole and behind the one before; a file may end within a line.
fn numbered(path: &Path) -> usize {
    let mut files = files(path);
    files.sort_by_key(|file| first(file));
    let mut all: Box<dyn Read> = Box::new(io::empty());
    for file in files {
        all = Box::new(all.chain(File::open(file).expect("there")));
    }
    let mut next = 0;
    for line in BufReader::with_capacity(1 << 20, all).split(b'\n') {
        let line = line.expect("readable");
        // A supervisor may have lines of its own there.
        if line.ends_with(b"xxxx") {
            assert_eq!(number(&line), Some(next), "the next line");
            next += 1;
        }
    }
    next
}

/// The number of the first line that is whole.
fn first(file: &Path) -> Option<usize> {
    let mut lines = BufReader::new(File::open(file).ok()?).split(b'\n').skip(1);
    lines.find_map(|line| number(&line.ok()?))
}

fn number(line: &[u8]) -> Option<usize> {
    let start = line.len().checked_sub(LINE - 1)?;
    std::str::from_utf8(&line[start..start + 12]).ok()?.parse().ok()
}
