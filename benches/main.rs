//! The benchmarks: what gafferd costs, beside the limit of each thing. What is compared takes turns in one and the
//! same run, so that what else the machine does is in all of it.
//!
//! `cargo bench` runs all, `cargo bench -- NAME [NUMBER]` one, with as many of what it counts. With the variable
//! `GAFFERD` another build is measured, such as the static one. `cargo test` runs them too, with a few of each and
//! without a result: to see that what they measure is there.

mod bench;
mod footprint;
mod life;
mod pump;
mod requests;
mod sampling;
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
const BENCHES: [Bench; 5] = [
    Bench { name: "footprint", about: "memory: alone, and for each job, instance and connection", run: footprint::run },
    Bench { name: "life", about: "processes that are started, stopped, and killed until they are back", run: life::run },
    Bench { name: "pump", about: "the output of one process on its way to the disk", run: pump::run },
    Bench { name: "requests", about: "answers, beside a fixed one and nginx if it is there", run: requests::run },
    Bench { name: "sampling", about: "to measure a thousand processes", run: sampling::run },
];

/// What processes that are measured with do: this program with one of these words, and those for it.
const ROLES: [(&str, fn(&[String])); 3] =
    [("--beat", life::beat), ("--serve", fixed::serve), ("--write", pump::write)];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, rest)) = words.split_first() {
        if let Some((_, role)) = ROLES.iter().find(|(name, _)| name == first) {
            role(rest);
            return ExitCode::SUCCESS;
        }
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
}
