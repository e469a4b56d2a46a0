//! What it costs to measure a thousand processes again and again, in microseconds for each: the limit,
//! which is to read files that are open, beside the sampler's passes, in turns of one and the same run.
//!
//! The number is that of processes.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use gaffer::base::ids::OsPid;
use gaffer::reactor::sampler::{How, Sampler};

use super::bench::kernel::raise_nofile;
use super::bench::run::Run;
use super::bench::{end, median, now, start};

pub(crate) fn run(run: &Run) {
    raise_nofile();
    let sleeper = || start(Command::new("sleep").arg("1000").process_group(0));
    let mut children: Vec<Child> = (0..run.count(1_000, 10)).map(|_| sleeper()).collect();
    let pid = |child: &Child| OsPid(i32::try_from(child.id()).expect("a pid"));
    let leaders: Vec<OsPid> = children.iter().map(pid).collect();
    compare(run, &leaders);
    children.iter_mut().for_each(end);
}

/// Measures each way once a round, so that what else the machine does is in all of them.
fn compare(run: &Run, leaders: &[OsPid]) {
    let rounds = run.either(41, 2);
    let open = |pid: &OsPid| File::open(format!("/proc/{pid}/stat")).expect("it runs");
    let files: Vec<File> = leaders.iter().map(open).collect();
    let mut line = [0; 1024];
    let mut sampler = Sampler::default();
    let ways = ["pread of open files", "known members", "all, once a second", "asked for once"];
    let mut times = [const { Vec::new() }; 4];
    let mut turns = [const { Vec::new() }; 4];
    // The sampler has no clock of its own: in each of these seconds it looks at the system once.
    let mut second = now();
    for _ in 0..rounds {
        let start = now();
        for file in &files {
            file.read_at(&mut line, 0).expect("it runs");
        }
        times[0].push(start.elapsed().as_secs_f64() * 1e6);
        turns[0].push(start.elapsed().as_secs_f64() * 1e6);
        second += Duration::from_secs(1);
        for (way, keep) in [(2, true), (1, true), (3, false)] {
            let (took, turn) = sampled(&mut sampler, leaders, keep, second);
            times[way].push(took.as_secs_f64() * 1e6);
            turns[way].push(turn.as_secs_f64() * 1e6);
        }
    }
    let costs = times.map(|times| median(times) / leaders.len() as f64);
    run.say(&format!("{} processes, median of {rounds} rounds", leaders.len()));
    for ((way, cost), turn) in ways.iter().zip(costs).zip(turns.map(median)) {
        let ratio = cost / costs[0];
        run.say(&format!(
            "{way:20} {cost:6.2} µs each, {ratio:5.2} times the limit, {turn:6.0} µs the longest turn"
        ));
    }
}

/// How long the answer took, and its longest turn.
fn sampled(
    sampler: &mut Sampler,
    leaders: &[OsPid],
    keep: bool,
    at: Instant,
) -> (Duration, Duration) {
    let start = now();
    let mut longest = Duration::ZERO;
    sampler.ask(1, leaders.to_vec(), How { keep, pss: false });
    loop {
        let turn = now();
        sampler.begin_turn();
        let answers = sampler.work(at);
        longest = longest.max(turn.elapsed());
        if let Some((_, usages)) = answers.first() {
            assert!(usages.iter().all(Option::is_some), "all run");
            return (start.elapsed(), longest);
        }
    }
}
