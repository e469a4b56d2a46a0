//! The daemon's log: one line a message, written whole with one write, to standard error, to a file
//! (`log_file`) or to the syslog daemon. A log that cannot be written, or a terminal that takes nothing, never
//! stops the daemon: what is dropped is counted, and said when it goes on.

use std::io;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::{SystemTime, UNIX_EPOCH};

#[expect(
    clippy::disallowed_types,
    reason = "any thread may log, and each line goes out whole"
)]
use std::sync::Mutex;

use log::{Level, Log, Metadata, Record};

use super::log_file::{put_whole, LogFile, Rotation};
use super::log_lines::{filter, Format, Said};
use crate::base::level;
use crate::sys::fds::is_writable;
use crate::sys::own_file::Fault;
use crate::sys::syslog::Syslog;

/// How the log is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Where it goes.
    pub place: Place,
    /// How its lines are written.
    pub format: Format,
    /// What is in it.
    pub level: level::Level,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { place: Place::Stderr, format: Format::Text, level: level::Level::Info }
    }
}

/// Where a log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// To standard error.
    Stderr,
    /// To a file.
    File(PathBuf, Rotation),
    /// To the syslog daemon that listens here.
    Syslog(PathBuf),
}

impl Place {
    /// The place that is named: `-` is standard error, as is none, and `syslog` the syslog daemon.
    pub(super) fn of(
        named: Option<PathBuf>,
        rotation: Rotation,
        syslog: impl FnOnce() -> PathBuf,
    ) -> Self {
        match named {
            None => Self::Stderr,
            Some(path) if path.as_os_str() == "-" => Self::Stderr,
            Some(path) if path.as_os_str() == "syslog" => Self::Syslog(syslog()),
            Some(path) => Self::File(path, rotation),
        }
    }
}

/// Writes the log.
pub struct Logger {
    /// Whose log it is, for syslog.
    program: &'static str,
    format: Format,
    #[expect(
        clippy::disallowed_types,
        reason = "any thread may log, and each line goes out whole"
    )]
    state: Mutex<State>,
}

struct State {
    to: Destination,
    lost: u64,
}

enum Destination {
    /// Standard error, and whether what was written last has no end.
    Stderr(io::Stderr, bool),
    File(Box<LogFile>),
    Syslog(Syslog),
}

impl Logger {
    /// A logger of this program. A file is given to this user and group.
    ///
    /// # Errors
    /// The file cannot be opened, or is not ours.
    pub fn open(
        settings: &LogSettings,
        program: &'static str,
        owner: Option<(u32, u32)>,
    ) -> Result<Self, Fault> {
        let to = match &settings.place {
            Place::Stderr => Destination::Stderr(io::stderr(), false),
            Place::File(path, rotation) => {
                Destination::File(Box::new(LogFile::open(path, *rotation, owner)?))
            }
            Place::Syslog(path) => Destination::Syslog(Syslog::new(path.clone())),
        };
        Ok(Self::new(to, settings.format, program))
    }

    #[expect(clippy::disallowed_types, reason = "any thread may log, and each line goes out whole")]
    fn new(to: Destination, format: Format, program: &'static str) -> Self {
        Self { program, format, state: Mutex::new(State { to, lost: 0 }) }
    }

    /// Makes this the log of the whole program.
    ///
    /// # Errors
    /// There is one already.
    pub fn install(self, level: level::Level) -> Result<&'static Self, String> {
        let logger: &'static Self = Box::leak(Box::new(self));
        log::set_logger(logger).map_err(|error| error.to_string())?;
        logger.set_level(level);
        Ok(logger)
    }

    /// What is in the log from now on.
    pub fn set_level(&self, level: level::Level) {
        log::set_max_level(filter(level));
    }

    /// Opens the file again, where it has been moved away; a log that is none stays. Tells whether it is one.
    ///
    /// # Errors
    /// It cannot be opened; the log goes on into the old file.
    pub fn reopen(&self) -> Result<bool, Fault> {
        match &mut self.state.lock().unwrap_or_else(PoisonError::into_inner).to {
            Destination::Stderr(..) | Destination::Syslog(_) => Ok(false),
            Destination::File(file) => file.reopen().map(|()| true),
        }
    }

    fn say(&self, said: &Said<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { to, lost } = &mut *state;
        let line = self.line(to, said);
        if let Destination::File(file) = to {
            let second = said.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            if let Some(fault) = file.prepare(line.len(), second) {
                let told = of_itself(&fault, said).line(self.format);
                *lost += u64::from(file.write(told.as_bytes()).is_err());
            }
        }
        if *lost > 0 {
            let told = format!("{lost} lines of this log were lost: it could not be written");
            if write(to, &self.line(to, &of_itself(&told, said))).is_err() {
                *lost += 1;
                return;
            }
            *lost = 0;
        }
        *lost += u64::from(write(to, &line).is_err());
    }

    fn line(&self, to: &Destination, said: &Said<'_>) -> String {
        match to {
            Destination::Stderr(..) | Destination::File(_) => said.line(self.format),
            Destination::Syslog(_) => said.datagram(self.format, self.program),
        }
    }
}

/// What the log says of itself, at the time of something else.
fn of_itself<'a>(text: &'a str, beside: &Said<'_>) -> Said<'a> {
    Said { time: beside.time, level: Level::Warn, target: module_path!(), text }
}

fn write(to: &mut Destination, line: &str) -> io::Result<()> {
    match to {
        Destination::Stderr(stderr, torn) => {
            if !is_writable(stderr.as_fd()) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            put_whole(&mut stderr.lock(), torn, line.as_bytes())
        }
        Destination::File(file) => file.write(line.as_bytes()),
        Destination::Syslog(syslog) => {
            let sent = syslog.send(line.as_bytes());
            sent.map_err(|errno| io::Error::from_raw_os_error(errno.0))
        }
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_written(metadata.target(), metadata.level())
    }

    #[expect(clippy::disallowed_methods, reason = "a log line tells when it was written")]
    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let text = record.args().to_string();
            let (level, target) = (record.level(), record.target());
            self.say(&Said { time: SystemTime::now(), level, target, text: &text });
        }
    }

    fn flush(&self) {}
}

/// Whether a message belongs into the log. What libraries tell on the lower levels has in it whatever
/// clients say: a websocket's messages, and so keys.
fn is_written(target: &str, level: Level) -> bool {
    target.starts_with("gaffer") || level <= Level::Info
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits;
    use std::fs::{self, File};
    use std::os::unix::net::UnixDatagram;
    use std::path::Path;
    use std::thread;

    fn logger(place: Place, format: Format) -> Logger {
        let settings = LogSettings { place, format, ..LogSettings::default() };
        Logger::open(&settings, "gafferd", None).expect("ours")
    }

    fn say(logger: &Logger, text: &str) {
        let args = format_args!("{text}");
        let record = Record::builder().level(Level::Info).target("gafferd").args(args).build();
        logger.log(&record);
    }

    fn held(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

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
    fn what_many_threads_say_is_in_exactly_one_file_each_line_whole() {
        const THREADS: usize = 8;
        const EACH: usize = 500;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let rotation = Rotation { max_size: 10_000, keep: limits::LOG_KEEP_MOST };
        for format in [Format::Text, Format::Json] {
            let logger = logger(Place::File(path.clone(), rotation), format);
            thread::scope(|scope| {
                for thread in 0..THREADS {
                    let logger = &logger;
                    scope.spawn(move || {
                        (0..EACH).for_each(|line| say(logger, &format!("said {thread} {line}.")));
                    });
                }
            });
            let mut files = 0;
            let mut lines = Vec::new();
            for entry in fs::read_dir(folder.path()).expect("there") {
                let path = entry.expect("there").path();
                let text = held(&path);
                assert!(text.len() <= 10_000, "{}: {}", path.display(), text.len());
                let said = |line: &str| line.split_once("said ").map(|(_, said)| said.to_owned());
                lines.extend(text.lines().filter_map(said));
                fs::remove_file(&path).expect("ours");
                files += 1;
            }
            lines.sort();
            let end = if format == Format::Json { ".\"}" } else { "." };
            let mut all: Vec<String> = (0..THREADS)
                .flat_map(|thread| (0..EACH).map(move |line| format!("{thread} {line}{end}")))
                .collect();
            all.sort();
            assert!(lines == all && files > 10, "{} lines in {files} files", lines.len());
        }
    }

    #[test]
    fn what_a_full_disk_lost_is_said_when_it_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        for format in [Format::Text, Format::Json] {
            let logger = logger(Place::File(path.clone(), Rotation::default()), format);
            let swap = |with: File| {
                let mut state = logger.state.lock().expect("no thread panicked");
                match &mut state.to {
                    Destination::File(file) => file.swap(with),
                    Destination::Stderr(..) | Destination::Syslog(_) => unreachable!("it is one"),
                }
            };
            let good = swap(File::options().append(true).open("/dev/full").expect("there"));
            for line in 0..3 {
                say(&logger, &format!("lost {line}"));
            }
            assert_eq!(held(&path), "");
            swap(good);
            say(&logger, "again");
            say(&logger, "and again");
            let text = held(&path);
            let lines: Vec<&str> = text.lines().collect();
            assert!(
                lines.len() == 3 && lines[0].contains("3 lines of this log were lost"),
                "{text}"
            );
            assert!(lines[1].contains("again") && !text.contains("lost 2"), "{text}");
            fs::remove_file(&path).expect("ours");
        }
    }

    #[test]
    fn what_syslog_did_not_take_is_said_when_it_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("dev-log");
        let logger = logger(Place::Syslog(path.clone()), Format::Text);
        assert_eq!(logger.reopen(), Ok(false));
        say(&logger, "nobody listens");
        say(&logger, "still nobody");
        let daemon = UnixDatagram::bind(&path).expect("ours");
        say(&logger, "somebody\nlistens");
        let got = || {
            let mut buffer = [0; limits::SYSLOG_LINE];
            let count = daemon.recv(&mut buffer).expect("a datagram");
            String::from_utf8_lossy(&buffer[..count]).into_owned()
        };
        let pid = std::process::id();
        let lost = got();
        let ending =
            format!("gafferd[{pid}]: 2 lines of this log were lost: it could not be written");
        assert!(lost.starts_with("<28>") && lost.ends_with(&ending), "{lost}");
        let line = got();
        assert!(line.starts_with("<30>") && line.ends_with(": somebody listens"), "{line}");
    }
}
