//! What was measured, and the table of it.

use std::collections::BTreeMap;

use gaffer::logs::backlog::grouped;

use super::{machine, Sizes};
use crate::bench::median;

/// Who is no peer but the limit.
pub(crate) const FLOOR: &str = "floor";

/// A row of the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    MemoryAlone,
    MemoryFew,
    MemoryOutput,
    MemoryMany,
    Switches,
    IdleCost,
    Started,
    StartedMany,
    Gone,
    Returned,
    GoneMany,
    Again,
    OneAsks,
    CrowdAsks,
    Pumped,
    PumpCost,
    NoiseCost,
}

impl What {
    fn told(self, sizes: &Sizes) -> String {
        let Sizes { few, storm, many, noisy, .. } = sizes;
        let seconds = sizes.watched / 1000;
        let many = grouped(*many as u64);
        match self {
            Self::MemoryAlone => "memory without jobs, MiB".to_owned(),
            Self::MemoryFew => format!("memory with {few} jobs, MiB"),
            Self::MemoryOutput => "… whose output it captures, MiB".to_owned(),
            Self::MemoryMany => format!("memory with {many} jobs, MiB"),
            Self::Switches => format!("idle with {few} jobs for {seconds} s, context switches"),
            Self::IdleCost => "… CPU, ms".to_owned(),
            Self::Started => format!("{storm} jobs started, ms"),
            Self::StartedMany => format!("{many} jobs started, ms"),
            Self::Gone => format!("{storm} jobs stopped, ms"),
            Self::Returned => "… until it or its command has ended, ms".to_owned(),
            Self::GoneMany => format!("{many} jobs stopped, ms"),
            Self::Again => "killed until it runs again, ms".to_owned(),
            Self::OneAsks => "one question for a state, both on one processor, µs".to_owned(),
            Self::CrowdAsks => "questions of 16 clients, each s".to_owned(),
            Self::Pumped => "output to disk, MB/s".to_owned(),
            Self::PumpCost => "… CPU, s for each GB".to_owned(),
            Self::NoiseCost => {
                format!("{noisy} jobs of 100 lines/s for {seconds} s, CPU s")
            }
        }
    }
}

pub(crate) struct Report<'a> {
    sizes: &'a Sizes,
    pub(crate) versions: Vec<(&'static str, String)>,
    figures: BTreeMap<What, BTreeMap<String, Vec<f64>>>,
    /// Why there is no figure, or what has to be known of it.
    notes: BTreeMap<(What, String), String>,
    pub(crate) survival: Vec<(&'static str, [String; 2])>,
    /// How long gafferd's answer is, for the floor of it.
    pub(crate) answer: usize,
}

impl<'a> Report<'a> {
    pub(crate) fn new(sizes: &'a Sizes) -> Self {
        let (figures, notes) = (BTreeMap::new(), BTreeMap::new());
        Self { sizes, versions: Vec::new(), figures, notes, survival: Vec::new(), answer: 600 }
    }

    pub(crate) fn add(&mut self, what: What, who: &str, figure: f64) {
        let row = self.figures.entry(what).or_default();
        row.entry(who.to_owned()).or_default().push(figure);
    }

    pub(crate) fn known(&self, what: What, who: &str) -> Option<f64> {
        self.figures.get(&what)?.get(who).map(|all| median(all.clone()))
    }

    pub(crate) fn note(&mut self, what: What, who: &str, why: &str) {
        self.notes.insert((what, who.to_owned()), why.to_owned());
    }

    /// The table with what has to be known of it.
    pub(crate) fn print(&self) {
        let mut footnotes: Vec<&str> = Vec::new();
        let names: Vec<&str> = self.versions.iter().map(|(name, _)| *name).collect();
        println!("| | floor | {} |", names.join(" | "));
        println!("|---|---|{}", "---|".repeat(names.len()));
        for what in self.figures.keys() {
            let value = |who: &str| self.known(*what, who);
            let ours = value("gafferd");
            let mut line = format!("| {} |", what.told(self.sizes));
            for who in [FLOOR].iter().chain(&names) {
                let over = match *who {
                    FLOOR => None,
                    "gafferd" => value(FLOOR),
                    _ => ours,
                };
                line += &format!(" {}", cell(value(who), over));
                let note = self.notes.get(&(*what, (*who).to_owned()));
                if let Some(note) = note {
                    let at = footnotes.iter().position(|known| known == note);
                    let at = at.unwrap_or_else(|| {
                        footnotes.push(note);
                        footnotes.len() - 1
                    });
                    line += &format!(" <sup>{}</sup>", at + 1);
                }
                line += " |";
            }
            println!("{line}");
        }
        println!();
        for (at, note) in footnotes.iter().enumerate() {
            println!("{}. {note}", at + 1);
        }
        self.print_survival();
        println!("\nMeasured on: {}.", machine::told());
        let versions: Vec<String> =
            self.versions.iter().map(|(name, version)| of(name, version)).collect();
        println!("Versions: {}.", versions.join(", "));
    }

    fn print_survival(&self) {
        if self.survival.is_empty() {
            return;
        }
        println!("\n| killed with -9 | its jobs | after it is started again |\n|---|---|---|");
        for (name, [jobs, again]) in &self.survival {
            println!("| {name} | {jobs} | {again} |");
        }
    }
}

/// A version, which may or may not begin with the name.
fn of(name: &str, version: &str) -> String {
    let number = version.rsplit(' ').next().unwrap_or(version);
    format!("{name} {number}")
}

/// A figure, and how many times the other it is.
fn cell(figure: Option<f64>, over: Option<f64>) -> String {
    let Some(figure) = figure else { return "–".to_owned() };
    let ratio = over.filter(|over| *over > 0.0).map(|over| figure / over);
    let ratio = ratio.map(|ratio| format!(" ({}×)", digits(ratio))).unwrap_or_default();
    format!("{}{ratio}", digits(figure))
}

/// As many digits as mean something.
fn digits(figure: f64) -> String {
    match figure {
        f if f >= 100.0 => grouped(format!("{f:.0}").parse().expect("a whole number")),
        f if f >= 10.0 => format!("{f:.1}"),
        0.0 => "0".to_owned(),
        f => format!("{f:.2}"),
    }
}
