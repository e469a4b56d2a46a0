//! What jobs wrote, as far as a node keeps it: read line by line, measured and removed.

use serde_json::{Deserializer, Value};

use super::api::{encoded, Job, Server};
use super::error::Error;
use super::http::Body;

/// Which of the lines that are kept of a job are wanted.
#[derive(Clone, Debug, Default)]
pub struct LogsWish {
    /// Of this instance only.
    pub instance: Option<u32>,
    /// Of the stream of this label only, or of `out` or `err` whatever these are called.
    pub stream: Option<String>,
    /// Begun at this time or later, in seconds since 1970,
    pub since: Option<f64>,
    /// and before this one.
    pub until: Option<f64>,
    /// In which this regular expression is found.
    pub grep: Option<String>,
    /// Of all these the last, so many.
    pub tail: Option<usize>,
}

/// The lines that are kept of a job.
#[derive(Clone, Debug, Default)]
pub struct Logs {
    /// Each with `seq`, `ts`, `name`, `instance`, `stream` and `line`, and with `open` if its end may
    /// still come.
    pub lines: Vec<Value>,
    /// The number of what was written last: what the topic `LOGS` tells under a higher one is new.
    pub seq: u64,
    /// How many bytes before them are kept no more.
    pub lost: u64,
}

/// The same lines one after the other, as they come. What was removed before it could be sent stands among
/// them as `{"lost": N}`, in bytes.
pub struct LogLines {
    body: Body,
    seq: u64,
    lost: u64,
    /// What was read and not given yet begins at this place.
    ahead: (Vec<u8>, usize),
    /// Nothing more comes.
    over: bool,
}

/// Longest line of an answer: of 1 MiB each byte may be six.
const LINE: usize = 8 * 1024 * 1024;

impl Job<'_> {
    /// The lines that are kept of what its processes wrote, in the order of their arrival. All of them are in
    /// memory then: say of how many it is the last, or take [`Self::log_lines`].
    ///
    /// # Errors
    /// There is no such job, nor was one of which anything is kept; or the node does not answer, or refuses.
    pub fn logs(&mut self, wish: &LogsWish) -> Result<Logs, Error> {
        let mut lines = self.log_lines(wish)?;
        let mut logs = Logs { lines: Vec::new(), seq: lines.seq(), lost: lines.lost() };
        for line in &mut lines {
            let line = line?;
            match line["lost"].as_u64() {
                Some(lost) => logs.lost = logs.lost.saturating_add(lost),
                None => logs.lines.push(line),
            }
        }
        Ok(logs)
    }

    /// The same, read as they come over a connection of its own, so that it takes no memory however many they
    /// are. Waits for each for ever: what is looked for may be far back.
    ///
    /// # Errors
    /// As [`Self::logs`].
    pub fn log_lines(&self, wish: &LogsWish) -> Result<LogLines, Error> {
        let mut target = self.logs_path();
        target += &wish.instance.map(|number| format!("/{number}")).unwrap_or_default();
        target += "?form=json";
        target += &wish.tail.map(|tail| format!("&tail={tail}")).unwrap_or_default();
        target += &wish.since.map(|since| format!("&since={since}")).unwrap_or_default();
        target += &wish.until.map(|until| format!("&until={until}")).unwrap_or_default();
        for (name, value) in [("stream", &wish.stream), ("grep", &wish.grep)] {
            let value = value.as_deref().map(encoded);
            target += &value.map(|value| format!("&{name}={value}")).unwrap_or_default();
        }
        let body = self.server.follow(&target)?;
        let number = |name| body.field(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        let (seq, lost) = (number("Gaffer-Seq"), number("Gaffer-Lost"));
        Ok(LogLines { body, seq, lost, ahead: (Vec::new(), 0), over: false })
    }

    /// Removes what is kept of what it wrote, whether or not it is loaded. Gives how many bytes are free again.
    ///
    /// # Errors
    /// The node does not answer, or refuses.
    pub fn clear_logs(&mut self) -> Result<u64, Error> {
        let answer = self.server.ask("DELETE", &self.logs_path(), b"")?.json()?;
        Ok(answer["cleared"].as_u64().unwrap_or(0))
    }

    /// Puts the files aside that it writes to. Gives how many these are.
    ///
    /// # Errors
    /// The node does not answer, or refuses.
    pub fn rotate_logs(&mut self) -> Result<u64, Error> {
        let target = format!("{}/rotate", self.logs_path());
        let answer = self.server.ask("POST", &target, b"")?.json()?;
        Ok(answer["rotated"].as_u64().unwrap_or(0))
    }

    fn logs_path(&self) -> String {
        format!("/logs/{}", self.path.trim_start_matches("/jobs/"))
    }
}

impl Server {
    /// What the output of each job takes on the disk: `logs`, each with its `name`, or its path where it is
    /// `elsewhere`; `bytes` of them in the store, and `max_bytes` that this may take.
    ///
    /// # Errors
    /// The node does not answer, or refuses.
    pub fn logs_taken(&mut self) -> Result<Value, Error> {
        self.ask("GET", "/logs", b"")?.json()
    }

    /// Opens all log files again, where they were moved away.
    ///
    /// # Errors
    /// The node does not answer, or refuses.
    pub fn reopen_logs(&mut self) -> Result<(), Error> {
        self.ask("POST", "/logs/reopen", b"")?.json().map(drop)
    }
}

impl LogLines {
    /// The number of what was written last when this was asked for: what the topic `LOGS` tells under a
    /// higher one is new.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// How many bytes before all lines are kept no more.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// The next line that is whole, if one was read.
    fn take(&mut self) -> Option<Result<Value, Error>> {
        let (ahead, at) = &mut self.ahead;
        let rest = ahead.get(*at..).unwrap_or_default();
        let end = memchr::memchr(b'\n', rest)?;
        let line = parsed(&rest[..end]);
        *at += end + 1;
        Some(line)
    }
}

impl Iterator for LogLines {
    type Item = Result<Value, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(line) = self.take() {
                self.over |= line.is_err();
                return Some(line);
            }
            if self.over {
                return None;
            }
            let (ahead, at) = &mut self.ahead;
            ahead.drain(..std::mem::take(at));
            match self.body.read() {
                Ok(Some(_)) if ahead.len() > LINE => {
                    self.over = true;
                    return Some(Err(Error::Strange("a line of logs without an end".into())));
                }
                Ok(Some(bytes)) => ahead.extend_from_slice(&bytes),
                Ok(None) => {
                    self.over = true;
                    let rest = std::mem::take(ahead);
                    return (!rest.is_empty()).then(|| parsed(&rest));
                }
                Err(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

fn parsed(line: &[u8]) -> Result<Value, Error> {
    let value = Deserializer::from_slice(line).into_iter().next();
    let value = value.unwrap_or(Ok(Value::Null));
    value.map_err(|error| Error::Strange(error.to_string()))
}
