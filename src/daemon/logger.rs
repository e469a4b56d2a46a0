//! The daemon's log: one line a message, with local time, process id and level, written whole with
//! one write to a file that is opened for appending. A log that cannot be written, or a terminal
//! that takes nothing, never stops the daemon: what is dropped is counted, and said when it goes on.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::sys::fds::{is_writable, replace_fd};
use crate::sys::localtime::local_time;
use crate::sys::own_file::{self, Fault, Use};

/// Where the log goes.
pub struct Logger {
    to: Destination,
    lost: AtomicU64,
}

enum Destination {
    Stderr(io::Stderr),
    File(File),
}

/// Longest line that is sure to go into a pipe whole and at once (PIPE_BUF, pipe(7)).
pub(super) const LINE: usize = 4096;

impl Logger {
    /// A logger to standard error, or to a file, which is given to this user and group.
    ///
    /// # Errors
    /// The file cannot be opened, or is not ours.
    pub fn open(path: Option<&Path>, owner: Option<(u32, u32)>) -> Result<Self, Fault> {
        let to = match path {
            None => Destination::Stderr(io::stderr()),
            Some(path) => Destination::File(append_to(path, owner)?),
        };
        Ok(Self { to, lost: AtomicU64::new(0) })
    }

    /// Makes this the log of the whole program.
    ///
    /// # Errors
    /// There is one already.
    pub fn install(self, level: LevelFilter) -> Result<&'static Self, String> {
        let logger: &'static Self = Box::leak(Box::new(self));
        log::set_logger(logger).map_err(|error| error.to_string())?;
        log::set_max_level(level);
        Ok(logger)
    }

    /// Opens the file again, where it has been moved away; a log on standard error stays.
    ///
    /// # Errors
    /// It cannot be opened; the log goes on into the old file.
    pub fn reopen(&self, path: &Path) -> Result<(), Fault> {
        match &self.to {
            Destination::Stderr(_) => Ok(()),
            // The new file takes the old one's descriptor: nobody has to be told.
            Destination::File(file) => Ok(replace_fd(file, &append_to(path, None)?)?),
        }
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        match &self.to {
            Destination::Stderr(stderr) => {
                if !is_writable(stderr.as_fd()) {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                stderr.lock().write_all(line)
            }
            Destination::File(file) => {
                let mut file = file;
                file.write_all(line)
            }
        }
    }
}

/// Opens a log file to write at its end; one that somebody else may have laid out is refused.
fn append_to(path: &Path, owner: Option<(u32, u32)>) -> Result<File, Fault> {
    let file = own_file::open(path, 0o640, Use::Append, owner.map(|(uid, _)| uid))?;
    if let Some((uid, gid)) = owner {
        std::os::unix::fs::fchown(&file, Some(uid), Some(gid))?;
    }
    Ok(file)
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_written(metadata.target(), metadata.level())
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = line(record.level(), &record.args().to_string());
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let said = format!("{lost} lines of this log were lost: it could not be written");
            if self.write(self::line(Level::Warn, &said).as_bytes()).is_err() {
                self.lost.fetch_add(lost + 1, Ordering::Relaxed);
                return;
            }
        }
        if self.write(line.as_bytes()).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}

/// Whether a message belongs into the log. What libraries tell on the lower levels has in it whatever
/// clients say: a websocket's messages, and so keys.
fn is_written(target: &str, level: Level) -> bool {
    target.starts_with("gaffer") || level <= Level::Info
}

#[expect(clippy::disallowed_methods, reason = "a log line tells when it was written")]
fn line(level: Level, text: &str) -> String {
    let level = match level {
        Level::Error => "ERROR",
        Level::Warn => "WARNING",
        Level::Info => "INFO",
        Level::Debug => "DEBUG",
        Level::Trace => "TRACE",
    };
    let mut line = format!("{} [{}] [{level}] ", stamp(SystemTime::now()), std::process::id());
    let space = LINE - line.len() - "…\n".len();
    // A message is one line, whatever is in it.
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    for c in plain {
        if line.len() + c.len_utf8() > space {
            line.push('…');
            break;
        }
        line.push(c);
    }
    line.push('\n');
    line
}

/// `2026-01-31 12:00:00`, in local time.
pub fn stamp(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    match local_time(seconds) {
        Some(t) => format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
            t.year, t.month, t.day, t.hour, t.minute, t.second
        ),
        None => seconds.to_string(),
    }
}

/// The filter of a level's name, as the original and Python name them.
pub fn level(name: &str) -> Option<LevelFilter> {
    match name.to_ascii_lowercase().as_str() {
        "critical" | "error" => Some(LevelFilter::Error),
        "warning" | "warn" => Some(LevelFilter::Warn),
        "info" => Some(LevelFilter::Info),
        "debug" => Some(LevelFilter::Debug),
        "trace" => Some(LevelFilter::Trace),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_tell_no_more_than_what_happens() {
        for (target, level, written) in [
            ("gaffer::node::clients", Level::Trace, true),
            ("gafferd", Level::Debug, true),
            ("tungstenite::protocol", Level::Info, true),
            ("tungstenite::protocol", Level::Debug, false),
            ("tungstenite::protocol", Level::Trace, false),
        ] {
            assert_eq!(is_written(target, level), written, "{target} {level}");
        }
    }

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        let text = line(Level::Warn, "a\nb\u{1b}[31m");
        assert!(text.ends_with("[WARNING] a b [31m\n"), "{text:?}");
        let long = line(Level::Info, &"é".repeat(LINE));
        assert!(long.len() <= LINE && long.ends_with("…\n"));
    }
}
