//! Where one stream goes, and what its bytes become on the way: nothing in a plain file of its own. In a file
//! that others write, too, and wherever lines are written as lines, a line is written whole, and waits for its end
//! until then.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::time::Instant;

use data_encoding::BASE64;
use serde_json::{json, Value};

use crate::base::clock::Now;
use crate::base::ids::BookId;
use crate::base::limits;
use crate::logs::backlog::grouped;
use crate::logs::index::{micros, time, Form, Writer};
use crate::logs::sink::{Sink, To};
use crate::logs::stamped::stamp;
use crate::sys::fds::is_writable;
use crate::sys::localtime::local_time;
use crate::sys::syslog::Syslog;
use crate::wire::syslog::{line as syslog_line, Facility, Head, Severity};

/// What of a stream is on its way.
pub(super) struct Outlet {
    to: Goal,
    form: Form,
    /// Whether its process waits where it cannot be written.
    pub(super) block: bool,
    /// The number of what was written last.
    pub(super) last: u64,
    writer: Writer,
    /// Whether what comes next begins a line.
    fresh: bool,
    /// A line that has no end yet.
    begun: Vec<u8>,
    /// Room that is used again.
    scratch: Vec<u8>,
    /// Lines that did not come through.
    lost: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    /// Under this number in this book.
    Book(BookId, u32),
    /// To the daemon's own.
    Inherit,
    Syslog,
    Nowhere,
}

/// What is to be written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Composed {
    pub(super) seq: u64,
    pub(super) at: u64,
    pub(super) bytes: Vec<u8>,
}

/// The ways that all share.
pub(super) struct Way {
    syslog: Syslog,
    /// What the daemon's own stdout and stderr did not take yet.
    own: [Own; 2],
}

#[derive(Default)]
struct Own {
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Whether a part of the first is written.
    half: bool,
    lost: u64,
    retry_at: Option<Instant>,
}

impl Outlet {
    pub(super) fn new(sink: &Sink, writer: &Writer, book: Option<(BookId, u32)>) -> Self {
        let to = match (&sink.to, book) {
            (To::Managed | To::File(_), Some((book, number))) => Goal::Book(book, number),
            (To::Inherit, _) => Goal::Inherit,
            (To::Syslog, _) => Goal::Syslog,
            (To::Managed | To::File(_), None) | (To::Nowhere, _) => Goal::Nowhere,
        };
        Self {
            to,
            form: sink.form,
            block: sink.block,
            last: 0,
            writer: writer.clone(),
            fresh: true,
            begun: Vec::new(),
            scratch: Vec::new(),
            lost: 0,
        }
    }

    /// Its book, and its number there.
    pub(super) fn book(&self) -> Option<(BookId, u32)> {
        match self.to {
            Goal::Book(book, number) => Some((book, number)),
            Goal::Inherit | Goal::Syslog | Goal::Nowhere => None,
        }
    }

    /// How many bytes wait for the end of their line.
    pub(super) fn begun(&self) -> usize {
        self.begun.len()
    }

    /// Whether nothing is done to its bytes, and nothing waits.
    pub(super) fn is_plain(&self) -> bool {
        self.form == Form::Plain && self.begun.is_empty()
    }

    /// What is to be written of these bytes, in a file that is `shared` with others or not.
    pub(super) fn compose(
        &mut self,
        (seq, at): (u64, u64),
        bytes: &[u8],
        shared: bool,
    ) -> Composed {
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        if self.form == Form::Stamped && !shared && self.begun.is_empty() {
            self.stamp(at, bytes, &mut out);
        } else {
            let mut rest = bytes;
            while let Some(end) = memchr::memchr(b'\n', rest) {
                let (line, behind) = rest.split_at(end + 1);
                rest = behind;
                self.whole_line((seq, at), line, &mut out);
            }
            self.begun.extend_from_slice(rest);
            if self.begun.len() > limits::LOG_PART {
                self.rest((seq, at), &mut out);
            }
        }
        Composed { seq, at, bytes: out }
    }

    /// Gives the room back that was used.
    pub(super) fn give_back(&mut self, composed: Composed) {
        if composed.bytes.capacity() <= limits::LOG_SCRATCH {
            self.scratch = composed.bytes;
        }
    }

    /// The time in front of each line, which is the same for all that came together.
    fn stamp(&mut self, at: u64, bytes: &[u8], out: &mut Vec<u8>) {
        let stamp = stamp(time(at));
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.fresh {
                out.extend_from_slice(&stamp);
            }
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
            let (line, behind) = rest.split_at(end);
            out.extend_from_slice(line);
            self.fresh = line.ends_with(b"\n");
            rest = behind;
        }
    }

    /// A line that ends with this.
    fn whole_line(&mut self, mark: (u64, u64), line: &[u8], out: &mut Vec<u8>) {
        let begun = std::mem::take(&mut self.begun);
        if begun.is_empty() {
            self.line(mark, line, out);
        } else {
            self.line(mark, &[&begun, line].concat(), out);
        }
        self.fresh = true;
    }

    /// What there is of a line whose end has not come.
    fn rest(&mut self, mark: (u64, u64), out: &mut Vec<u8>) {
        let begun = std::mem::take(&mut self.begun);
        if !begun.is_empty() {
            self.line(mark, &begun, out);
            self.fresh = false;
        }
    }

    /// One line, or a part of one.
    fn line(&mut self, (seq, at): (u64, u64), line: &[u8], out: &mut Vec<u8>) {
        match self.form {
            Form::Plain => out.extend_from_slice(line),
            Form::Stamped => {
                if self.fresh {
                    out.extend_from_slice(&stamp(time(at)));
                }
                out.extend_from_slice(line);
            }
            Form::Json => {
                let (text, ends) = line.strip_suffix(b"\n").map_or((line, false), |l| (l, true));
                let mut object = json!({
                    "ts": crate::base::clock::epoch_seconds(time(at)),
                    "seq": seq,
                    "name": self.writer.job,
                    "instance": self.writer.instance,
                    "pid": self.writer.pid,
                    "stream": self.writer.label,
                    "line": String::from_utf8_lossy(text),
                });
                if std::str::from_utf8(text).is_err() {
                    object["base64"] = BASE64.encode(text).into();
                }
                if !ends {
                    object["open"] = Value::Bool(true);
                }
                // A map of texts and numbers is always written.
                let _ = serde_json::to_writer(&mut *out, &object);
                out.push(b'\n');
            }
        }
    }

    /// The run is over: what is left to write in its book.
    pub(super) fn end(&mut self, way: &mut Way, now: Now) -> Composed {
        let at = micros(now.wall);
        let mut out = Vec::new();
        let mark = (self.last, at);
        match self.to {
            Goal::Book(..) => {
                let tears = self.form != Form::Json && !self.begun.is_empty();
                self.rest(mark, &mut out);
                if tears {
                    // Others write behind it.
                    out.push(b'\n');
                }
            }
            Goal::Inherit | Goal::Syslog => {
                let begun = std::mem::take(&mut self.begun);
                if !begun.is_empty() {
                    self.send(way, &begun, now);
                }
            }
            Goal::Nowhere => {}
        }
        Composed { seq: self.last, at, bytes: out }
    }

    /// Hands the lines on to where no file is.
    pub(super) fn pass_on(&mut self, way: &mut Way, bytes: &[u8], now: Now) {
        if self.to == Goal::Nowhere {
            return;
        }
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, behind) = rest.split_at(end);
            rest = behind.get(1..).unwrap_or_default();
            let begun = std::mem::take(&mut self.begun);
            self.send(way, &[&begun, line].concat(), now);
        }
        self.begun.extend_from_slice(rest);
        if self.begun.len() > limits::LOG_PART {
            let begun = std::mem::take(&mut self.begun);
            self.send(way, &begun, now);
        }
    }

    fn send(&mut self, way: &mut Way, line: &[u8], now: Now) {
        match self.to {
            Goal::Inherit => {
                let own = &mut way.own[usize::from(self.writer.stream == 2)];
                own.push([line, b"\n"].concat());
                own.go_on(self.writer.stream == 2, now);
            }
            Goal::Syslog => {
                if self.lost > 0 {
                    let note = format!("-- {} lines lost --", grouped(self.lost));
                    if self.to_syslog(way, note.as_bytes(), now) {
                        self.lost = 0;
                    }
                }
                if !self.to_syslog(way, line, now) {
                    self.lost += 1;
                }
            }
            Goal::Book(..) | Goal::Nowhere => {}
        }
    }

    fn to_syslog(&self, way: &mut Way, line: &[u8], now: Now) -> bool {
        let severity = if self.writer.stream == 2 { Severity::Error } else { Severity::Info };
        let head = Head {
            facility: Facility::Daemon,
            severity,
            tag: &format!("{}.{}", self.writer.job, self.writer.instance),
            pid: u32::try_from(self.writer.pid).unwrap_or(0),
            time: local_time(seconds(now)),
        };
        let text = String::from_utf8_lossy(line);
        way.syslog.send(syslog_line(&head, &text).as_bytes()).is_ok()
    }
}

impl Way {
    pub(super) fn new(syslog: PathBuf) -> Self {
        Self { syslog: Syslog::new(syslog), own: Default::default() }
    }

    /// When what waits is tried again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.own.iter().filter_map(|own| own.retry_at).min()
    }

    pub(super) fn on_time(&mut self, now: Now) {
        for (error, own) in [false, true].into_iter().zip(&mut self.own) {
            if own.retry_at.is_some_and(|at| at <= now.mono) {
                own.go_on(error, now);
            }
        }
    }
}

impl Own {
    fn push(&mut self, line: Vec<u8>) {
        self.bytes += line.len();
        self.waiting.push_back(line);
        while self.bytes > limits::LOG_BACKLOG {
            // The rest of a line that is written in part is not lost.
            let Some(first) = self.waiting.remove(usize::from(self.half)) else { return };
            self.bytes -= first.len();
            self.lost += 1;
        }
    }

    /// Writes what whoever reads it takes at once: a pipe that is writable has room for PIPE_BUF bytes (pipe(7)).
    fn go_on(&mut self, error: bool, now: Now) {
        self.retry_at = None;
        if self.lost > 0 {
            let note = format!("-- {} lines lost: nobody reads them --\n", grouped(self.lost));
            self.lost = 0;
            self.bytes += note.len();
            self.waiting
                .insert(usize::from(self.half && !self.waiting.is_empty()), note.into_bytes());
        }
        while let Some(line) = self.waiting.front_mut() {
            let piece = &line[..line.len().min(limits::PIPE_WHOLE)];
            match write_own(error, piece) {
                Ok(count) => {
                    line.drain(..count);
                    self.bytes -= count;
                    self.half = !line.is_empty();
                    if !self.half {
                        self.waiting.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.retry_at = Some(now.mono + limits::LOG_OWN_RETRY);
                    return;
                }
                // Nobody is there any more, or there is no room.
                Err(_) => {
                    self.lost += u64::try_from(self.waiting.len()).unwrap_or(0);
                    self.half = false;
                    self.waiting.clear();
                    self.bytes = 0;
                    return;
                }
            }
        }
    }
}

/// Whole seconds since 1970.
fn seconds(now: Now) -> i64 {
    i64::try_from(micros(now.wall) / 1_000_000).unwrap_or(i64::MAX)
}

fn write_own(error: bool, bytes: &[u8]) -> io::Result<usize> {
    let (out, err) = (io::stdout(), io::stderr());
    let fd = if error { err.as_fd() } else { out.as_fd() };
    if !is_writable(fd) {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    match error {
        true => err.lock().write(bytes),
        false => {
            let mut out = out.lock();
            let count = out.write(bytes)?;
            out.flush()?;
            Ok(count)
        }
    }
}
