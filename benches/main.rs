//! The benchmarks: what gafferd costs, beside the limit of each thing. What is compared takes turns in one and the
//! same run, so that what else the machine does is in all of it.
//!
//! `cargo bench` runs all, `cargo bench -- NAME [NUMBER]` one, with as many of what it counts. With the variable
//! `GAFFERD` another build is measured, such as the static one. `cargo test` runs them too, with a few of each and
//! without a result: to see that what they measure is there. `cargo bench -- peers` is no part of either.

mod bench;
mod fanout;
mod footprint;
mod life;
mod noise;
mod pauses;
mod peers;
mod pump;
mod requests;
mod sampling;
mod scale;
mod turns;
mod watch;
mod words;

use std::process::ExitCode;

use bench::fixed;
use bench::run::Run;
use words::{Meant, Words};

/// A benchmark.
struct Bench {
    name: &'static str,
    about: &'static str,
    run: fn(&Run),
}

#[rustfmt::skip]
const BENCHES: [Bench; 11] = [
    Bench { name: "fanout", about: "output of one process to many clients", run: fanout::run },
    Bench { name: "footprint", about: "memory: alone, and for each job, instance and connection", run: footprint::run },
    Bench { name: "life", about: "processes that are started, stopped, and killed until they are back", run: life::run },
    Bench { name: "noise", about: "lines of fifty processes, a hundred a second of each", run: noise::run },
    Bench { name: "pauses", about: "what others wait while somebody asks about everything", run: pauses::run },
    Bench { name: "pump", about: "the output of one process on its way to the disk", run: pump::run },
    Bench { name: "requests", about: "answers, beside a fixed one and nginx if it is there", run: requests::run },
    Bench { name: "sampling", about: "to measure a thousand processes", run: sampling::run },
    Bench { name: "scale", about: "each of ten, of a hundred, of a thousand: jobs, instances, clients, events", run: scale::run },
    Bench { name: "turns", about: "a request while ten thousand others are connected", run: turns::run },
    Bench { name: "watch", about: "statistics of a thousand processes, ten times a second to ten clients", run: watch::run },
];

/// What a process does with the words that it is given.
type Role = fn(&[String]);

/// What processes that are measured with do: this program with one of these words, and those for it.
const ROLES: [(&str, Role); 7] = [
    ("--beat", life::beat),
    ("--collect", noise::collect),
    ("--noisy", noise::noisy),
    ("--repeat", fanout::repeat),
    ("--serve", fixed::serve),
    ("--spread", fanout::spread),
    ("--write", pump::write),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, rest)) = words.split_first() {
        if let Some((_, role)) = ROLES.iter().find(|(name, _)| name == first) {
            role(rest);
            return ExitCode::SUCCESS;
        }
    }
    // It installs things and takes long, so that it is run alone.
    let own = words.iter().filter(|word| *word != "--bench");
    if let Some((_, rest)) =
        own.cloned().collect::<Vec<_>>().split_first().filter(|(first, _)| *first == "peers")
    {
        peers::run(rest);
        return ExitCode::SUCCESS;
    }
    match words::meant(&words) {
        Meant::Earnest(Words { names, number }) => in_earnest(&names, number),
        Meant::Test(filter) => {
            for bench in BENCHES.iter().filter(|bench| filter.lets_in(bench.name)) {
                (bench.run)(&Run::quickly());
                println!("benchmark {} works", bench.name);
            }
            ExitCode::SUCCESS
        }
        Meant::Help => {
            list();
            ExitCode::SUCCESS
        }
    }
}

fn in_earnest(names: &[String], number: Option<usize>) -> ExitCode {
    if let Some(name) = names.iter().find(|name| BENCHES.iter().all(|bench| bench.name != **name)) {
        println!("there is no benchmark {name:?}");
        list();
        return ExitCode::from(2);
    }
    let is_meant = |bench: &&Bench| names.is_empty() || names.iter().any(|name| name == bench.name);
    for bench in BENCHES.iter().filter(is_meant) {
        println!("\n{}: {}", bench.name, bench.about);
        (bench.run)(&Run::in_earnest(number));
    }
    ExitCode::SUCCESS
}

fn list() {
    println!("cargo bench -- [NAME... [NUMBER]]");
    for bench in &BENCHES {
        println!("  {:10} {}", bench.name, bench.about);
    }
    println!("cargo bench -- peers [--quick] [PEER...]");
    println!(
        "  {:10} gafferd and seven others at the same work; alone, as it takes twenty minutes",
        ""
    );
}
