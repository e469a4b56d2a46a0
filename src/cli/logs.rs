//! `gaffer logs`: what jobs wrote, as far as the node keeps it, and with `-f` what they write, whichever of
//! their processes it comes from.

use std::collections::BTreeMap;

use regex_lite::Regex;
use serde_json::{json, Map, Value};

use super::args::Invocation;
use super::connect;
use super::failure::Failure;
use super::hearing;
use super::lines::{Speaker, Style};
use super::names::{self, Place};
use super::terminal::Terminal;
use super::times;
use crate::base::ids::StreamNo;
use crate::client::{Channel, Heard, LogsWish, Server};

/// Lines on their way to the screen.
struct Printer {
    style: Style,
    places: Vec<Place>,
    /// The jobs in the order in which they have their colours.
    jobs: Vec<String>,
    /// Whether jobs of more than one application are shown, so that each line names its own.
    many_apps: bool,
    grep: Option<Regex>,
    timestamps: bool,
    only_err: bool,
}

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
    let mut server = connect::server(invocation)?;
    let places = names::places(&mut server, invocation, &invocation.words)?;
    // Followed before the past is read, so that nothing falls between the two.
    let mut channel = None;
    if invocation.has("follow") {
        let app = invocation.words.is_empty().then(|| names::application(invocation));
        channel = Some(follow(&server, &places, app)?);
    }
    let mut printer = Printer::new(places, terminal.has_color());
    printer.grep = grep;
    printer.timestamps = invocation.has("timestamps");
    printer.only_err = invocation.has("err");
    let mut seen = BTreeMap::new();
    let mut lines = printer.past(&mut server, since, most, &mut seen)?;
    lines.sort_by_key(|line| line["seq"].as_u64());
    let mut begun = Begun::new();
    let first = lines.len().saturating_sub(most);
    for line in &lines[first..] {
        let part = Part::of(line);
        let text = line["line"].as_str().unwrap_or_default();
        if channel.is_some() && line["open"] == true {
            begun.insert(part.key(), text.to_owned());
        } else {
            printer.print_if_meant(&part, text, terminal)?;
        }
    }
    let Some(channel) = channel else { return Ok(()) };
    printer.live(channel, &server, (&seen, begun), terminal)
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
    fn new(places: Vec<Place>, color: bool) -> Self {
        let mut jobs: Vec<String> = Vec::new();
        for place in &places {
            if !jobs.contains(&place.job) {
                jobs.push(place.job.clone());
            }
        }
        let app = |job: &str| job.split('.').next().unwrap_or_default().to_owned();
        let many_apps = jobs.windows(2).any(|pair| app(&pair[0]) != app(&pair[1]));
        Self {
            style: Style { color, width: 0 },
            places,
            jobs,
            many_apps,
            grep: None,
            timestamps: false,
            only_err: false,
        }
    }

    /// The lines that are kept and meant, each job's in their order; and in `seen` the number of what was
    /// written last then, of each job.
    fn past(
        &mut self,
        server: &mut Server,
        since: Option<f64>,
        most: usize,
        seen: &mut BTreeMap<String, u64>,
    ) -> Result<Vec<Value>, Failure> {
        let mut lines = Vec::new();
        for job in self.jobs.clone() {
            let stream = self.only_err.then(|| "err".to_owned());
            let mut of_job = self.places.iter().filter(|place| place.job == job);
            let instance = match (of_job.next(), of_job.next()) {
                (Some(only), None) => only.instance,
                _ => None,
            };
            // What is looked for may be far back.
            let whole = self.grep.is_none() && self.places.len() == self.jobs.len();
            let wish = LogsWish { instance, stream, since, tail: whole.then_some(most) };
            let logs = match server.job(&job).logs(&wish) {
                Err(error) if error.is_not_found() => continue,
                logs => logs?,
            };
            seen.insert(job, logs.seq);
            lines.extend(logs.lines.into_iter().filter(|line| self.fits(line)));
        }
        for line in &lines {
            let name = self.name(&Part::of(line));
            self.style.width = self.style.width.max(name.chars().count());
        }
        Ok(lines)
    }

    /// Whether a line is meant; of one that is not complete nobody knows yet.
    fn fits(&self, line: &Value) -> bool {
        let text = line["line"].as_str().unwrap_or_default();
        let found = self.grep.as_ref().is_none_or(|grep| grep.is_match(text));
        (found || line["open"] == true) && self.means(&Part::of(line))
    }

    /// Goes on with what is written, until the node ends.
    fn live(
        &mut self,
        mut channel: Channel,
        server: &Server,
        (seen, mut begun): (&BTreeMap<String, u64>, Begun),
        terminal: &mut Terminal,
    ) -> Result<(), Failure> {
        while let Some(heard) = hearing::hear(&mut channel)? {
            let data = match heard {
                Heard::Lagged { topic, lost } => {
                    terminal.remark(&format!("{lost} parts of {topic} are lost: read too slowly"));
                    continue;
                }
                Heard::Event { data, .. } => Value::Object(data),
            };
            let part = Part::of(&data);
            if data["event"] == "log_end" {
                // What has no line end will have none.
                let keys = begun.keys().filter(|(pid, _, _)| *pid == part.pid);
                for key in keys.cloned().collect::<Vec<_>>() {
                    let text = begun.remove(&key).unwrap_or_default();
                    let (stream, is_err) = (key.1.as_str(), key.2);
                    let last = Part { stream, is_err, ts: times::now(), ..part };
                    self.print_if_meant(&last, &text, terminal)?;
                }
                continue;
            }
            let is_known = seen.get(part.job).is_some_and(|seen| part.seq <= *seen);
            if is_known || !self.means(&part) || (self.only_err && !part.is_err) {
                continue;
            }
            let line = begun.entry(part.key()).or_default();
            line.push_str(data["data"].as_str().unwrap_or_default());
            let whole = line.rfind('\n').map_or(0, |end| end + 1);
            let rest = line.split_off(whole);
            let lines = std::mem::replace(line, rest);
            for line in lines.lines() {
                self.print_if_meant(&part, line, terminal)?;
            }
        }
        Err(Failure::NoNode(format!("the node at {} has ended", server.address())))
    }

    fn means(&self, part: &Part<'_>) -> bool {
        let mut of_job = self.places.iter().filter(|place| place.job == part.job).peekable();
        // One that was loaded since is of the application that is meant as a whole.
        of_job.peek().is_none()
            || of_job
                .any(|place| place.instance.is_none_or(|number| u64::from(number) == part.instance))
    }

    fn print_if_meant(
        &mut self,
        part: &Part<'_>,
        line: &str,
        terminal: &mut Terminal,
    ) -> Result<(), Failure> {
        if self.grep.as_ref().is_none_or(|grep| grep.is_match(line)) {
            self.print(part, line, terminal)?;
        }
        Ok(())
    }

    fn print(
        &mut self,
        part: &Part<'_>,
        line: &str,
        terminal: &mut Terminal,
    ) -> Result<(), Failure> {
        if terminal.is_json() {
            return terminal.json(&json!({
                "name": part.job, "instance": part.instance, "once": part.once, "pid": part.pid,
                "stream": part.stream, "ts": part.ts, "line": line,
            }));
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
