//! `gaffer logs`: what jobs wrote, as far as the node keeps it, and with `-f` what they write, whichever of
//! their processes it comes from, on one node or on many.

use std::time::Duration;

use serde_json::{json, Map, Value};

use super::args::Invocation;
use super::beside::Beside;
use super::failure::Failure;
use super::gather::{Gathering, Next, Teller};
use super::hearing;
use super::lines::{Speaker, Style};
use super::log_files;
use super::names::{self, Place};
use super::outcome::Outcome;
use super::past::{self, Asked, Come, Seen, Wanted};
use super::sites::{self, Sites};
use super::terminal::Terminal;
use super::times;
use crate::base::ids::StreamNo;
use crate::base::sorted::SortedMap;
use crate::client::{Channel, Heard, Server};

/// What is wanted of each node.
#[derive(Clone)]
struct Wish {
    invocation: Invocation,
    lines: Wanted,
    follows: bool,
}

/// What a node says.
enum Told {
    /// What is meant there.
    Meant(Vec<Place>),
    /// Some of all that it has kept.
    Kept(Vec<Value>),
    /// So many bytes of a job were removed before they could be read.
    Lost(String, u64),
    /// The rest of what it has kept.
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
    /// Up to which number what was written is among what was kept,
    seen: Seen,
    /// and up to which it is in what had begun.
    begun_by: Seen,
    begun: Begun,
}

/// Lines on their way to the screen.
struct Printer {
    style: Style,
    wish: Wish,
    sites: Sites,
    /// Of each node what it said, once it has told its past.
    sources: SortedMap<usize, Source>,
    /// The jobs in the order in which they have their colours.
    jobs: Vec<String>,
    /// Whether jobs of more than one application are shown, so that each line names its own.
    many_apps: bool,
    timestamps: bool,
}

/// Nodes that tell their past within this time after the first one are shown with it.
const SOON: Duration = Duration::from_millis(500);
/// How much is told at a time of all that is kept, in bytes,
const TOLD: usize = 32 * 1024;
/// and how often that waits to be printed.
const AHEAD: usize = 16;

/// Lines that have begun and have no end yet, by process and stream, and whether that is stderr.
type Begun = SortedMap<(u64, String, bool), Beginning>;

/// The beginning of a line.
#[derive(Default)]
struct Beginning {
    text: String,
    /// Up to this number what was written is in it.
    known: u64,
}

/// A part of what a process wrote.
struct Part<'a> {
    job: &'a str,
    instance: u64,
    /// Of a one-off, whose number a kept instance may have too.
    once: bool,
    pid: u64,
    stream: &'a str,
    is_err: bool,
    is_out: bool,
    seq: u64,
    ts: f64,
    /// Whether gafferd says this of the log, and where the parts of a long line are.
    marks: [(&'static str, bool); 3],
}

/// `gaffer logs`.
pub fn logs(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    if let Some(task) = log_files::Task::of_flags(invocation)? {
        return log_files::see_to(task, invocation, terminal);
    }
    let follows = invocation.has("follow");
    let lines = Wanted::of_flags(invocation)?;
    if follows && lines.until.is_some() {
        return Err(Failure::usage("--follow goes on, and --until ends: say one of them"));
    }
    let sites = Sites::of(invocation, terminal, sites::Wanted::WithJobs(&invocation.words))?;
    let ahead = lines.most.is_none().then_some(AHEAD);
    let wish = Wish { invocation: invocation.clone(), lines, follows };
    let mut gathering = {
        let wish = wish.clone();
        Gathering::holding(ahead, &sites, move |mut server, teller| {
            if let Err(failure) = wish.tell(&mut server, teller) {
                teller.tell(Told::Ended(failure));
            }
        })?
    };
    let timestamps = invocation.has("timestamps");
    let mut printer = Printer::new(sites, wish, (terminal.has_color(), timestamps));
    printer.print_all(&mut gathering, terminal)
}

impl Wish {
    /// Tells all of a node: what it has kept, and what comes.
    fn tell(&self, server: &mut Server, teller: &mut Teller<Told>) -> Result<(), Failure> {
        let words = &self.invocation.words;
        let places = names::places_with_logs(server, &self.invocation, words)?;
        // Followed before the past is read, so that nothing falls between the two.
        let mut beside = None;
        if self.follows {
            let app = words.is_empty().then(|| names::application(&self.invocation));
            beside = Some(Beside::begin(follow(server, &places, app)?));
        }
        if !teller.tell(Told::Meant(places.clone())) {
            return Ok(());
        }
        let (source, lines) = self.past(server, places, teller)?;
        teller.tell(Told::Past(source, lines));
        let Some(beside) = beside else { return Ok(()) };
        while let Some(heard) = beside.next()? {
            if !teller.tell(Told::Heard(heard)) {
                return Ok(());
            }
        }
        Err(Failure::NoNode(format!("the node at {} has ended", server.address())))
    }

    /// What is kept and meant. All of it is told at once but what goes on.
    fn past(
        &self,
        server: &mut Server,
        places: Vec<Place>,
        teller: &mut Teller<Told>,
    ) -> Result<(Source, Vec<Value>), Failure> {
        let asked = past::asked(&places);
        let (begun_by, mut open) = self.begun(server, &asked)?;
        let (mut batch, mut size, mut rest) = (Vec::new(), 0, Vec::new());
        let mut take = |come| match come {
            Come::Lost(job, bytes) => teller.tell(Told::Lost(job, bytes)),
            Come::Line(line) if self.follows && line["open"] == true => {
                rest.push(line);
                true
            }
            Come::Line(line) => {
                forget_ended(&mut open, &line);
                size += line["line"].as_str().map_or(0, str::len) + 256;
                batch.push(line);
                if size < TOLD {
                    return true;
                }
                size = 0;
                teller.tell(Told::Kept(std::mem::take(&mut batch)))
            }
        };
        let (seen, lines) = match self.lines.most {
            Some(_) => self.lines.last(server, &asked, &mut take)?,
            None => (self.lines.all(server, &asked, &mut take)?, Vec::new()),
        };
        if !batch.is_empty() {
            teller.tell(Told::Kept(batch));
        }
        lines.iter().for_each(|line| forget_ended(&mut open, line));
        let begun_by = begun_by.unwrap_or_else(|| seen.clone());
        let mut source = Source { places, seen, begun_by, begun: Begun::new() };
        for line in &open {
            source.begin(line, false);
        }
        rest.extend(lines);
        Ok((source, rest))
    }

    /// What goes on and is not among what is asked for, where that is looked into.
    fn begun(
        &self,
        server: &mut Server,
        asked: &[Asked],
    ) -> Result<(Option<Seen>, Vec<Value>), Failure> {
        if !self.follows || !self.lines.looks_into() {
            return Ok((None, Vec::new()));
        }
        let (seen, open) = self.lines.open(server, asked)?;
        Ok((Some(seen), open))
    }
}

/// What had begun and is told whole goes on no more. Lines that were written at once have one number.
fn forget_ended(open: &mut Vec<Value>, line: &Value) {
    let text = line["line"].as_str().unwrap_or_default();
    let is_it = |other: &Value| {
        ["seq", "pid", "fd"].iter().all(|key| other[*key] == line[*key])
            && text.starts_with(other["line"].as_str().unwrap_or_default())
    };
    open.retain(|other| line["open"] == true || !is_it(other));
}

impl Source {
    /// A line has begun here; whether it is among what was kept.
    fn begin(&mut self, line: &Value, is_kept: bool) {
        let part = Part::of(line);
        let seen = if is_kept { &self.seen } else { &self.begun_by };
        let known = past::known(seen, part.job, part.instance);
        let text = line["line"].as_str().unwrap_or_default().to_owned();
        self.begun.insert(part.key(), Beginning { text, known });
    }

    /// Takes what was written. What is whole by that, and was not told before, is to be printed.
    fn take(&mut self, part: &Part<'_>, text: &str) -> String {
        let begun_by = past::known(&self.begun_by, part.job, part.instance);
        let begin = || Beginning { text: String::new(), known: begun_by };
        let line = self.begun.entry(part.key()).or_insert_with(begin);
        if part.seq <= line.known {
            return String::new();
        }
        line.text.push_str(text);
        let whole = line.text.rfind('\n').map_or(0, |end| end + 1);
        let rest = line.text.split_off(whole);
        let lines = std::mem::replace(&mut line.text, rest);
        let is_told = part.seq <= past::known(&self.seen, part.job, part.instance);
        if is_told {
            String::new()
        } else {
            lines
        }
    }

    /// A process writes no more: what has no line end will have none.
    fn end(&mut self, pid: u64) -> Vec<((u64, String, bool), String)> {
        let keys = self.begun.keys().filter(|(of, _, _)| *of == pid);
        let keys: Vec<_> = keys.cloned().collect();
        let text = |key| Some((self.begun.remove(&key)?.text, key));
        let ended = keys.into_iter().filter_map(text).filter(|(text, _)| !text.is_empty());
        ended.map(|(text, key)| (key, text)).collect()
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
            sources: SortedMap::new(),
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
        terminal: &mut Terminal,
    ) -> Result<(), Failure> {
        let mut outcome = Outcome::default();
        let mut past: Vec<(usize, Value)> = Vec::new();
        let (mut early, mut due, mut waits) = (Vec::new(), None, self.sites.len());
        let mut over = false;
        loop {
            match gathering.next(due.filter(|_| waits > 0))? {
                Next::Told(_, Told::Meant(places)) => self.meet(&places),
                Next::Told(site, Told::Kept(lines)) => {
                    let lines = lines.into_iter().map(|line| (site, line)).collect();
                    self.print_past(lines, terminal)?;
                }
                Next::Told(site, Told::Lost(job, bytes)) => {
                    let front = self.sites.in_front(site);
                    terminal.remark(&format!(
                        "{front}{job}: {bytes} bytes were removed before they could be read"
                    ));
                }
                Next::Told(site, Told::Past(source, lines)) => {
                    self.sources.insert(site, source);
                    past.extend(lines.into_iter().map(|line| (site, line)));
                    if waits == 0 {
                        self.print_past(std::mem::take(&mut past), terminal)?;
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
                self.print_past(std::mem::take(&mut past), terminal)?;
                for (site, heard) in std::mem::take(&mut early) {
                    self.hear(site, heard, terminal)?;
                }
            }
            if over || self.is_over(&outcome, waits) {
                return outcome.end_quietly(&self.sites, terminal);
            }
        }
    }

    /// Whether no node has anything more to say.
    fn is_over(&self, outcome: &Outcome, waits: usize) -> bool {
        let ended = |site| match self.wish.follows {
            true => outcome.has_failed(site),
            false => outcome.has_failed(site) || self.sources.contains_key(&site),
        };
        waits == 0 && (0..self.sites.len()).all(ended)
    }

    /// A node has told which jobs are meant there.
    fn meet(&mut self, places: &[Place]) {
        for job in jobs_of(places) {
            if !self.jobs.contains(&job) {
                self.jobs.push(job);
            }
        }
        let app = |job: &str| job.split('.').next().unwrap_or_default().to_owned();
        self.many_apps = self.jobs.windows(2).any(|pair| app(&pair[0]) != app(&pair[1]));
    }

    /// Prints what nodes have kept, of all of it the last lines.
    fn print_past(
        &mut self,
        mut lines: Vec<(usize, Value)>,
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
        let first = self.wish.lines.most.map_or(0, |most| lines.len().saturating_sub(most));
        for (site, line) in &lines[first..] {
            let part = Part::of(line);
            let text = line["line"].as_str().unwrap_or_default();
            if line["open"] != true {
                // Whoever asked for it has looked at it.
                self.print((*site, &part), text, terminal)?;
            } else if !self.wish.follows {
                self.print_if_meant((*site, &part), text, terminal)?;
            } else if let Some(source) = self.sources.get_mut(site) {
                source.begin(line, true);
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
            for (key, text) in source.end(part.pid) {
                let (stream, is_err) = (key.1.as_str(), key.2);
                let last = Part { stream, is_err, ts: times::now(), ..part };
                self.print_if_meant((site, &last), &text, terminal)?;
            }
            return Ok(());
        }
        let wanted = self.wish.lines.is_of_stream(part.stream, part.is_err, part.is_out);
        if !wanted || !means(&source.places, &part) {
            return Ok(());
        }
        let lines = source.take(&part, data["data"].as_str().unwrap_or_default());
        lines.lines().try_for_each(|line| self.print_if_meant((site, &part), line, terminal))
    }

    fn print_if_meant(
        &mut self,
        (site, part): (usize, &Part<'_>),
        line: &str,
        terminal: &mut Terminal,
    ) -> Result<(), Failure> {
        if self.wish.lines.finds(line) {
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
            for (mark, _) in part.marks.iter().filter(|(_, is_set)| *is_set) {
                value[*mark] = json!(true);
            }
            if let Some(label) = self.sites.label(site) {
                value["node"] = json!(label);
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
        let (is_err, is_out) = past::standard(&value["fd"]);
        Self {
            job: value["name"].as_str().unwrap_or_default(),
            instance: value["instance"].as_u64().unwrap_or(0),
            once: value["once"] == true,
            pid: value["pid"].as_u64().unwrap_or(0),
            is_err,
            is_out,
            stream: value["stream"].as_str().unwrap_or_default(),
            seq: value["seq"].as_u64().unwrap_or(0),
            ts: value["ts"].as_f64().unwrap_or(0.0),
            marks: ["note", "more", "rest"].map(|mark| (mark, value[mark] == true)),
        }
    }

    fn key(&self) -> (u64, String, bool) {
        (self.pid, self.stream.to_owned(), self.is_err)
    }
}
