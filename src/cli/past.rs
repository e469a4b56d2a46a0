//! What a node keeps of what jobs wrote, as `gaffer logs` asks for it: the last lines that fit, however far back
//! they are, or all of them one after the other.

use regex_lite::Regex;
use serde_json::Value;

use super::args::Invocation;
use super::failure::Failure;
use super::names::Place;
use super::times;
use crate::base::ids::StreamNo;
use crate::base::sorted::SortedMap;
use crate::client::{LogLines, LogsWish, Server};

/// How many jobs all of whose lines are read at once: half of those for whom a node reads at a time.
const MERGED: usize = 32;
/// How far back the beginnings of lines are looked for that still go on.
const OPEN: usize = 64;

/// Which lines are wanted.
#[derive(Clone)]
pub struct Wanted {
    /// The last, so many; without a number all that are kept.
    pub most: Option<usize>,
    /// Begun at this time or later, in seconds since 1970,
    pub since: Option<f64>,
    /// and before this one.
    pub until: Option<f64>,
    /// In which this is found,
    grep: Option<Regex>,
    /// as it was said.
    pattern: Option<String>,
    /// Of this stream.
    stream: Option<String>,
}

/// What is asked for at once: a job, or one instance of it.
pub type Asked = (String, Option<u32>);

/// Up to which number a node has told what was written, for each that was asked for.
pub type Seen = SortedMap<Asked, u64>;

/// What comes while it is read.
pub enum Come {
    /// A line.
    Line(Value),
    /// So many bytes of a job were removed before they could be read.
    Lost(String, u64),
}

/// Takes what comes; whether more is wanted.
pub type Take<'a> = dyn FnMut(Come) -> bool + 'a;

impl Wanted {
    /// What the flags say.
    ///
    /// # Errors
    /// They make no sense.
    pub fn of_flags(invocation: &Invocation) -> Result<Self, Failure> {
        let most = match invocation.value("lines") {
            Some("all") => None,
            None => Some(100),
            Some(text) => Some(text.parse().map_err(|_| {
                Failure::usage(format!("--lines: {text:?} is neither a number nor all"))
            })?),
        };
        let time = |flag| invocation.value(flag).map(|text| times::when(flag, text)).transpose();
        let pattern = invocation.value("grep").map(str::to_owned);
        let grep = match &pattern {
            None => None,
            Some(text) => Some(Regex::new(text).map_err(|error| {
                Failure::usage(format!("--grep: {text:?} is no regular expression: {error}"))
            })?),
        };
        let stream = match (invocation.has("err"), invocation.value("stream")) {
            (true, Some(_)) => {
                return Err(Failure::usage("--err is --stream err: say one of them"));
            }
            (true, None) => Some("err".to_owned()),
            (false, label) => label.map(str::to_owned),
        };
        Ok(Self { most, since: time("since")?, until: time("until")?, grep, pattern, stream })
    }

    /// Whether a text is found.
    pub fn finds(&self, text: &str) -> bool {
        self.grep.as_ref().is_none_or(|grep| grep.is_match(text))
    }

    /// Whether only lines are wanted in which something is found.
    pub fn looks_into(&self) -> bool {
        self.grep.is_some()
    }

    /// Whether a stream is meant, by its label and its number.
    pub fn is_of_stream(&self, label: &str, is_err: bool, is_out: bool) -> bool {
        self.stream.as_deref().is_none_or(|wanted| {
            wanted == label || (is_err && wanted == "err") || (is_out && wanted == "out")
        })
    }

    fn asks(&self, instance: Option<u32>, tail: Option<usize>) -> LogsWish {
        LogsWish {
            instance,
            stream: self.stream.clone(),
            since: self.since,
            until: self.until,
            grep: self.pattern.clone(),
            tail,
        }
    }

    /// The last lines of each that is asked for, of all of them the last, in their order; and up to which
    /// number that is.
    ///
    /// # Errors
    /// The node does not answer, or refuses.
    pub fn last(
        &self,
        server: &mut Server,
        asked: &[Asked],
        take: &mut Take<'_>,
    ) -> Result<(Seen, Vec<Value>), Failure> {
        let (mut seen, mut all) = (Seen::new(), Vec::new());
        for one in asked {
            let Some((seq, mut lines)) = self.last_of(server, one, take)? else { continue };
            seen.insert(one.clone(), seq);
            all.append(&mut lines);
            all.sort_by_key(|line: &Value| line["seq"].as_u64());
            self.keep_last(&mut all);
        }
        Ok((seen, all))
    }

    fn last_of(
        &self,
        server: &mut Server,
        (job, instance): &Asked,
        take: &mut Take<'_>,
    ) -> Result<Option<(u64, Vec<Value>)>, Failure> {
        let mut tail = self.most;
        'again: loop {
            let wish = self.asks(*instance, tail);
            let Some(lines) = lines(server, job, &wish)? else { return Ok(None) };
            let (seq, mut kept) = (lines.seq(), Vec::new());
            for line in lines {
                let line = line?;
                if let Some(lost) = line["lost"].as_u64() {
                    take(Come::Lost(job.clone(), lost));
                } else if self.fits(&line) {
                    kept.push(line);
                } else if tail.take().is_some() {
                    // A node of an older version counts lines before it is told which are wanted.
                    continue 'again;
                }
                // Of an older node come more than are wanted.
                if self.most.is_some_and(|most| kept.len() > most.saturating_mul(2).max(1024)) {
                    self.keep_last(&mut kept);
                }
            }
            self.keep_last(&mut kept);
            return Ok(Some((seq, kept)));
        }
    }

    fn keep_last(&self, lines: &mut Vec<Value>) {
        let most = self.most.unwrap_or(usize::MAX);
        lines.drain(..lines.len().saturating_sub(most));
    }

    /// Whether a line is wanted, for whoever asks a node that knows less than we do.
    fn fits(&self, line: &Value) -> bool {
        let text = line["line"].as_str().unwrap_or_default();
        let ts = line["ts"].as_f64().unwrap_or(0.0);
        // What only a newer node says, it has looked at itself; and of a line that is not complete nobody
        // knows yet.
        let looked_at = ["open", "more", "rest", "note"].iter().any(|mark| line[*mark] == true);
        looked_at || (self.finds(text) && self.until.is_none_or(|until| ts < until))
    }

    /// Hands on all lines of those that are asked for, merged in their order, while somebody wants them. Gives
    /// up to which number that is.
    ///
    /// # Errors
    /// The node does not answer, or refuses; or these are too many.
    pub fn all(
        &self,
        server: &mut Server,
        asked: &[Asked],
        take: &mut Take<'_>,
    ) -> Result<Seen, Failure> {
        if asked.len() > MERGED {
            return Err(Failure::usage(format!(
                "all that is kept of {} jobs cannot be read at once: name {MERGED} at most",
                asked.len()
            )));
        }
        let (mut seen, mut sources) = (Seen::new(), Vec::new());
        for (job, instance) in asked {
            let Some(lines) = lines(server, job, &self.asks(*instance, None))? else { continue };
            seen.insert((job.clone(), *instance), lines.seq());
            sources.push((job.as_str(), lines, None::<Value>));
        }
        loop {
            for (job, lines, next) in &mut sources {
                while next.is_none() {
                    let Some(line) = lines.next().transpose()? else { break };
                    match line["lost"].as_u64() {
                        Some(lost) => drop(take(Come::Lost((*job).to_owned(), lost))),
                        None if self.fits(&line) => *next = Some(line),
                        None => {}
                    }
                }
            }
            let waiting = sources.iter_mut().map(|(_, _, next)| next).filter(|next| next.is_some());
            let first = waiting.min_by_key(|next| next.as_ref().map(|line| line["seq"].as_u64()));
            let Some(line) = first.and_then(Option::take) else { return Ok(seen) };
            if !take(Come::Line(line)) {
                return Ok(seen);
            }
        }
    }

    /// What has begun and still goes on, of those that are asked for; and up to which number that is.
    ///
    /// # Errors
    /// The node does not answer, or refuses.
    pub fn open(
        &self,
        server: &mut Server,
        asked: &[Asked],
    ) -> Result<(Seen, Vec<Value>), Failure> {
        let (mut seen, mut open) = (Seen::new(), Vec::new());
        for (job, instance) in asked {
            let stream = self.stream.clone();
            let tail = Some(OPEN);
            let wish = LogsWish { instance: *instance, stream, tail, ..LogsWish::default() };
            let Some(lines) = lines(server, job, &wish)? else { continue };
            seen.insert((job.clone(), *instance), lines.seq());
            for line in lines {
                open.push(line?);
            }
        }
        open.retain(|line| line["open"] == true);
        Ok((seen, open))
    }
}

/// The lines of a job; none of one that was unloaded since, and of which nothing is kept.
fn lines(server: &mut Server, job: &str, wish: &LogsWish) -> Result<Option<LogLines>, Failure> {
    match server.job(job).log_lines(wish) {
        Ok(lines) => Ok(Some(lines)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What is asked for, for these places: jobs as a whole, where any of their places is that.
pub fn asked(places: &[Place]) -> Vec<Asked> {
    let mut asked: Vec<Asked> = Vec::new();
    for Place { job, .. } in places {
        if asked.iter().any(|(other, _)| other == job) {
            continue;
        }
        let of_job = places.iter().filter(|place| place.job == *job);
        let numbers: Option<Vec<u32>> = of_job.map(|place| place.instance).collect();
        match numbers {
            None => asked.push((job.clone(), None)),
            Some(numbers) => {
                asked.extend(numbers.into_iter().map(|number| (job.clone(), Some(number))));
            }
        }
    }
    asked
}

/// Up to which number all is known of an instance.
pub fn known(seen: &Seen, job: &str, instance: u64) -> u64 {
    let number = u32::try_from(instance).ok();
    let of = |number| seen.get(&(job.to_owned(), number)).copied();
    of(number).or_else(|| of(None)).unwrap_or(0)
}

/// Whether a number is that of stderr, and whether of stdout.
pub fn standard(fd: &Value) -> (bool, bool) {
    (*fd == u64::from(StreamNo::STDERR.0), *fd == u64::from(StreamNo::STDOUT.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_asked_for_once_however_it_is_named() {
        let place = |job: &str, instance: Option<u32>| Place { job: job.to_owned(), instance };
        let places = [place("s.a", Some(2)), place("s.b", Some(1)), place("s.b", None)];
        let expected: [Asked; 2] = [("s.a".into(), Some(2)), ("s.b".into(), None)];
        assert_eq!(asked(&places), expected);
        let places = [place("s.a", Some(2)), place("s.a", Some(1))];
        let expected: [Asked; 2] = [("s.a".into(), Some(2)), ("s.a".into(), Some(1))];
        assert_eq!(asked(&places), expected);
        let seen = Seen::from([(("s.a".into(), Some(2)), 7), (("s.b".into(), None), 8)]);
        let known = |job, instance| known(&seen, job, instance);
        assert_eq!((known("s.a", 2), known("s.a", 1), known("s.b", 3)), (7, 0, 8));
    }

    #[test]
    fn what_an_older_node_does_not_look_at_is_looked_at_here() {
        let line = "logs --grep b+ --until 2026-01-01T00:00:00Z";
        let words = line.split(' ').map(std::ffi::OsString::from).collect();
        let Ok(super::super::args::Parsed::Run(_, invocation)) = super::super::args::parse(words)
        else {
            panic!("it is a command");
        };
        let wanted = Wanted::of_flags(&invocation).expect("it makes sense");
        let fits = |text: &str, ts: f64, mark: &str| {
            let mut line = serde_json::json!({"line": text, "ts": ts});
            line[mark] = true.into();
            wanted.fits(&line)
        };
        assert!(fits("abc", 5.0, "x") && !fits("ac", 5.0, "x"));
        assert!(!fits("abc", 1_767_225_600.0, "x"), "that is no more before it");
        for mark in ["open", "more", "rest", "note"] {
            assert!(fits("ac", 5.0, mark), "{mark}");
        }
    }
}
