//! `gaffer logs`: what jobs wrote, as far as the node keeps it, and with `-f` what they write, whichever of
//! their processes it comes from, on one node or on many.

use std::collections::BTreeMap;
use std::time::Duration;

use regex_lite::Regex;
use serde_json::{json, Map, Value};

use super::args::Invocation;
use super::failure::Failure;
use super::gather::{Gathering, Next, Teller};
use super::hearing;
use super::lines::{Speaker, Style};
use super::names::{self, Place};
use super::outcome::Outcome;
use super::sites::{Sites, Wanted};
use super::terminal::Terminal;
use super::times;
use crate::base::ids::StreamNo;
use crate::client::{Channel, Heard, LogsWish, Server};

/// What is wanted of each node.
#[derive(Clone)]
struct Wish {
    invocation: Invocation,
    most: usize,
    since: Option<f64>,
    grep: Option<Regex>,
    only_err: bool,
}

/// What a node says.
enum Told {
    /// What it has kept.
    Past(Source, Vec<Value>),
    /// What comes.
    Heard(Heard),
    /// Nothing more.
    Ended(Failure),
}

/// A node, as far as it matters for its lines.
#[derive(Default)]
struct Source {
    /// What is meant there.
    places: Vec<Place>,
    /// The number of what was written last, of each job, when the past was read.
    seen: BTreeMap<String, u64>,
    begun: Begun,
}

/// Lines on their way to the screen.
struct Printer {
    style: Style,
    wish: Wish,
    sites: Sites,
    /// Of each node what it said, once it has told its past.
    sources: BTreeMap<usize, Source>,
    /// The jobs in the order in which they have their colours.
    jobs: Vec<String>,
    /// Whether jobs of more than one application are shown, so that each line names its own.
    many_apps: bool,
    timestamps: bool,
}

/// Nodes that tell their past within this time after the first one are shown with it.
const SOON: Duration = Duration::from_millis(500);

/// Lines that have begun and have no end yet, by process and stream, and whether that is stderr.
type Begun = BTreeMap<(u64, String, bool), String>;

/// A part of what a process wrote.
struct Part<'a> {
    job: &'a str,
    instance: u64,
    /// Of a one-off, whose number a kept instance may have too.
    once: bool,
    pid: u64,
    stream: &'a str,
    is_err: bool,
    seq: u64,
    ts: f64,
}

/// `gaffer logs`.
pub fn logs(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let most = invocation.number("lines")?.unwrap_or(100);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let since = invocation.value("since").map(times::ago).transpose()?;
    let grep = match invocation.value("grep") {
        None => None,
        Some(text) => Some(Regex::new(text).map_err(|error| {
            Failure::usage(format!("--grep: {text:?} is no regular expression: {error}"))
        })?),
    };
    let sites = Sites::of(invocation, terminal, Wanted::WithJobs(&invocation.words))?;
    let only_err = invocation.has("err");
    let wish = Wish { invocation: invocation.clone(), most, since, grep, only_err };
    let mut gathering = {
        let wish = wish.clone();
        Gathering::begin(&sites, move |mut server, teller| {
            if let Err(failure) = wish.tell(&mut server, teller) {
                teller.tell(Told::Ended(failure));
            }
        })?
    };
    let follows = invocation.has("follow");
    let timestamps = invocation.has("timestamps");
    let mut printer = Printer::new(sites, wish, (terminal.has_color(), timestamps));
    printer.print_all(&mut gathering, follows, terminal)
}

impl Wish {
    /// Tells all of a node: what it has kept, and what comes.
    fn tell(&self, server: &mut Server, teller: &mut Teller<Told>) -> Result<(), Failure> {
        let words = &self.invocation.words;
        let places = names::places(server, &self.invocation, words)?;
        // Followed before the past is read, so that nothing falls between the two.
        let mut channel = None;
        if self.invocation.has("follow") {
            let app = words.is_empty().then(|| names::application(&self.invocation));
            channel = Some(follow(server, &places, app)?);
        }
        let (seen, lines) = self.past(server, &places)?;
        let source = Source { places, seen, begun: Begun::new() };
        teller.tell(Told::Past(source, lines));
        let Some(mut channel) = channel else { return Ok(()) };
        while let Some(heard) = channel.hear().map_err(hearing::lost)? {
            if !teller.tell(Told::Heard(heard)) {
                return Ok(());
            }
        }
        Err(Failure::NoNode(format!("the node at {} has ended", server.address())))
    }

    /// The lines that are kept and meant, each job's in their order; and the number of what was written
    /// last then, of each job.
    fn past(
        &self,
        server: &mut Server,
        places: &[Place],
    ) -> Result<(BTreeMap<String, u64>, Vec<Value>), Failure> {
        let (mut seen, mut lines) = (BTreeMap::new(), Vec::new());
        let jobs = jobs_of(places);
        for job in &jobs {
            let stream = self.only_err.then(|| "err".to_owned());
            let mut of_job = places.iter().filter(|place| place.job == *job);
            let instance = match (of_job.next(), of_job.next()) {
                (Some(only), None) => only.instance,
                _ => None,
            };
            // What is looked for may be far back.
            let whole = self.grep.is_none() && places.len() == jobs.len();
            let tail = whole.then_some(self.most);
            let wish = LogsWish { instance, stream, since: self.since, tail };
            let logs = match server.job(job).logs(&wish) {
                Err(error) if error.is_not_found() => continue,
                logs => logs?,
            };
            seen.insert(job.clone(), logs.seq);
            lines.extend(logs.lines.into_iter().filter(|line| self.fits(line, places)));
        }
        lines.sort_by_key(|line| line["seq"].as_u64());
        Ok((seen, lines))
    }

    /// Whether a line is meant; of one that is not complete nobody knows yet.
    fn fits(&self, line: &Value, places: &[Place]) -> bool {
        let text = line["line"].as_str().unwrap_or_default();
        let found = self.grep.as_ref().is_none_or(|grep| grep.is_match(text));
        (found || line["open"] == true) && means(places, &Part::of(line))
    }
}

fn jobs_of(places: &[Place]) -> Vec<String> {
    let mut jobs: Vec<String> = Vec::new();
    for place in places {
        if !jobs.contains(&place.job) {
            jobs.push(place.job.clone());
        }
    }
    jobs
}

/// Whether a part is of what is meant on its node.
fn means(places: &[Place], part: &Part<'_>) -> bool {
    let mut of_job = places.iter().filter(|place| place.job == part.job).peekable();
    // One that was loaded since is of the application that is meant as a whole.
    of_job.peek().is_none()
        || of_job
            .any(|place| place.instance.is_none_or(|number| u64::from(number) == part.instance))
}

/// Follows the jobs; all of an application, also those that are loaded later, if it is meant as a whole.
fn follow(server: &Server, places: &[Place], app: Option<String>) -> Result<Channel, Failure> {
    let mut channel = server.channel()?;
    if let Some(app) = app {
        channel.subscribe(&format!("LOGS:{app}"), &Map::new())?;
        return Ok(channel);
    }
    let mut jobs: Vec<&str> = places.iter().map(|place| place.job.as_str()).collect();
    jobs.sort_unstable();
    jobs.dedup();
    for job in jobs {
        channel.subscribe(&format!("LOGS:{job}"), &Map::new())?;
    }
    Ok(channel)
}

impl Printer {
    fn new(sites: Sites, wish: Wish, (color, timestamps): (bool, bool)) -> Self {
        Self {
            style: Style { color, width: 0 },
            wish,
            sites,
            sources: BTreeMap::new(),
            jobs: Vec::new(),
            many_apps: false,
            timestamps,
        }
    }

    /// Prints what all nodes say. The past of those that tell it soon is printed as one, that of the others
    /// when it comes.
    fn print_all(
        &mut self,
        gathering: &mut Gathering<Told>,
        follows: bool,
        terminal: &mut Terminal,
    ) -> Result<(), Failure> {
        let mut outcome = Outcome::default();
        let mut past: Vec<(usize, Value)> = Vec::new();
        let (mut early, mut due, mut waits) = (Vec::new(), None, self.sites.len());
        let mut over = false;
        loop {
            match gathering.next(due.filter(|_| waits > 0))? {
                Next::Told(site, Told::Past(source, lines)) => {
                    self.meet(site, source);
                    past.extend(lines.into_iter().map(|line| (site, line)));
                    if waits == 0 {
                        self.print_past(std::mem::take(&mut past), follows, terminal)?;
                        continue;
                    }
                    waits -= 1;
                    due = due.or(Some(hearing::now() + SOON));
                }
                Next::Told(site, Told::Heard(heard)) if waits > 0 => early.push((site, heard)),
                Next::Told(site, Told::Heard(heard)) => self.hear(site, heard, terminal)?,
                Next::Told(site, Told::Ended(failure)) => {
                    if waits > 0 && !self.sources.contains_key(&site) {
                        waits -= 1;
                    }
                    outcome.fail((&self.sites, site), failure, terminal)?;
                }
                Next::Time if due.is_some_and(|due| due <= hearing::now()) => waits = 0,
                Next::Time => {}
                Next::Over => (waits, over) = (0, true),
            }
            if waits == 0 && (due.take().is_some() || !past.is_empty() || !early.is_empty()) {
                self.print_past(std::mem::take(&mut past), follows, terminal)?;
                for (site, heard) in std::mem::take(&mut early) {
                    self.hear(site, heard, terminal)?;
                }
            }
            if over || self.is_over(&outcome, follows, waits) {
                return outcome.end_quietly(&self.sites, terminal);
            }
        }
    }

    /// Whether no node has anything more to say.
    fn is_over(&self, outcome: &Outcome, follows: bool, waits: usize) -> bool {
        let ended = |site| match follows {
            true => outcome.has_failed(site),
            false => outcome.has_failed(site) || self.sources.contains_key(&site),
        };
        waits == 0 && (0..self.sites.len()).all(ended)
    }

    /// A node has told its past.
    fn meet(&mut self, site: usize, source: Source) {
        for job in jobs_of(&source.places) {
            if !self.jobs.contains(&job) {
                self.jobs.push(job);
            }
        }
        let app = |job: &str| job.split('.').next().unwrap_or_default().to_owned();
        self.many_apps = self.jobs.windows(2).any(|pair| app(&pair[0]) != app(&pair[1]));
        self.sources.insert(site, source);
    }

    /// Prints what nodes have kept, of all of it the last lines.
    fn print_past(
        &mut self,
        mut lines: Vec<(usize, Value)>,
        follows: bool,
        terminal: &mut Terminal,
    ) -> Result<(), Failure> {
        // The lines of one node are in the order in which they came.
        if self.sites.len() > 1 {
            let ts = |line: &Value| line["ts"].as_f64().unwrap_or(0.0);
            lines.sort_by(|(_, a), (_, b)| ts(a).total_cmp(&ts(b)));
        }
        for (_, line) in &lines {
            let name = self.name(&Part::of(line));
            self.style.width = self.style.width.max(name.chars().count());
        }
        let first = lines.len().saturating_sub(self.wish.most);
        for (site, line) in &lines[first..] {
            let part = Part::of(line);
            let text = line["line"].as_str().unwrap_or_default();
            if follows && line["open"] == true {
                let source = self.sources.entry(*site).or_default();
                source.begun.insert(part.key(), text.to_owned());
            } else {
                self.print_if_meant((*site, &part), text, terminal)?;
            }
        }
        Ok(())
    }

    /// A node says something more.
    fn hear(&mut self, site: usize, heard: Heard, terminal: &mut Terminal) -> Result<(), Failure> {
        let data = match heard {
            Heard::Lagged { topic, lost } => {
                let front = self.sites.in_front(site);
                let what = format!("{front}{lost} parts of {topic} are lost: read too slowly");
                terminal.remark(&what);
                return Ok(());
            }
            Heard::Event { data, .. } => Value::Object(data),
        };
        let part = Part::of(&data);
        let source = self.sources.entry(site).or_default();
        if data["event"] == "log_end" {
            // What has no line end will have none.
            let keys = source.begun.keys().filter(|(pid, _, _)| *pid == part.pid);
            let keys: Vec<_> = keys.cloned().collect();
            let ends = keys.into_iter().map(|key| {
                let text = source.begun.remove(&key).unwrap_or_default();
                (key, text)
            });
            for (key, text) in ends.collect::<Vec<_>>() {
                let (stream, is_err) = (key.1.as_str(), key.2);
                let last = Part { stream, is_err, ts: times::now(), ..part };
                self.print_if_meant((site, &last), &text, terminal)?;
            }
            return Ok(());
        }
        let is_known = source.seen.get(part.job).is_some_and(|seen| part.seq <= *seen);
        let unwanted = self.wish.only_err && !part.is_err;
        if is_known || unwanted || !means(&source.places, &part) {
            return Ok(());
        }
        let line = source.begun.entry(part.key()).or_default();
        line.push_str(data["data"].as_str().unwrap_or_default());
        let whole = line.rfind('\n').map_or(0, |end| end + 1);
        let rest = line.split_off(whole);
        let lines = std::mem::replace(line, rest);
        lines.lines().try_for_each(|line| self.print_if_meant((site, &part), line, terminal))
    }

    fn print_if_meant(
        &mut self,
        (site, part): (usize, &Part<'_>),
        line: &str,
        terminal: &mut Terminal,
    ) -> Result<(), Failure> {
        if self.wish.grep.as_ref().is_none_or(|grep| grep.is_match(line)) {
            self.print((site, part), line, terminal)?;
        }
        Ok(())
    }

    fn print(
        &mut self,
        (site, part): (usize, &Part<'_>),
        line: &str,
        terminal: &mut Terminal,
    ) -> Result<(), Failure> {
        if terminal.is_json() {
            let mut value = json!({
                "name": part.job, "instance": part.instance, "once": part.once, "pid": part.pid,
                "stream": part.stream, "ts": part.ts, "line": line,
            });
            if let (Some(label), Some(members)) = (self.sites.label(site), value.as_object_mut()) {
                members.insert("node".into(), json!(label));
            }
            return terminal.json(&value);
        }
        if !self.jobs.iter().any(|job| job == part.job) {
            self.jobs.push(part.job.to_owned());
        }
        let kind = self.jobs.iter().position(|job| job == part.job);
        let speaker = Speaker { name: self.name(part), kind };
        self.style.width = self.style.width.max(speaker.name.chars().count());
        let stream = if part.is_err { StreamNo::STDERR } else { StreamNo::STDOUT };
        let mut text = String::new();
        self.style.line(&speaker, stream, line.as_bytes(), &mut text);
        if self.timestamps {
            let time = times::of_day(part.ts);
            let stamped = text.lines().map(|line| format!("{time} {line}\n"));
            text = stamped.collect();
        }
        if self.sites.are_named() {
            let prefix = self.sites.prefix(site, self.style.color);
            text = text.lines().map(|line| format!("{prefix}{line}\n")).collect();
        }
        terminal.bytes(text.as_bytes())
    }

    fn name(&self, part: &Part<'_>) -> String {
        let label = part.job.split_once('.').map_or(part.job, |(_, label)| label);
        let shown = if self.many_apps { part.job } else { label };
        format!("{shown}.{}{}", part.instance, if part.once { "*" } else { "" })
    }
}

impl<'a> Part<'a> {
    fn of(value: &'a Value) -> Self {
        Self {
            job: value["name"].as_str().unwrap_or_default(),
            instance: value["instance"].as_u64().unwrap_or(0),
            once: value["once"] == true,
            pid: value["pid"].as_u64().unwrap_or(0),
            is_err: value["fd"] == u64::from(StreamNo::STDERR.0),
            stream: value["stream"].as_str().unwrap_or_default(),
            seq: value["seq"].as_u64().unwrap_or(0),
            ts: value["ts"].as_f64().unwrap_or(0.0),
        }
    }

    fn key(&self) -> (u64, String, bool) {
        (self.pid, self.stream.to_owned(), self.is_err)
    }
}
