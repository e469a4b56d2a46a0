//! Standard output of an application in the foreground. Whoever reads it sets the pace, so that
//! nothing is lost: a pager that is not turned holds the application. But it cannot hold its end:
//! from the first signal on, what nobody takes is left out.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::times;
use crate::base::clock::Now;
use crate::node::machine::Configuration;
use crate::reactor::turn::World;
use crate::sys::fds::becomes_writable;

/// How long a reader that does nothing is waited for before a signal is looked for again, and after
/// one, at all.
const PATIENCE: Duration = Duration::from_millis(100);
/// So much goes into a pipe that has room without waiting (PIPE_BUF, pipe(7)).
const PIECE: usize = 4096;

/// What comes within this time after lines were printed is printed together: many processes that each write
/// a line now and then would otherwise cost a wake-up a line.
const TOGETHER: Duration = Duration::from_millis(5);

/// How the time is told of each line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// In front of it.
    Plain,
    /// In front of it, and less bright.
    Dim,
    /// In it, which is an object: as `ts`, seconds since 1970.
    Json,
}

impl Stamp {
    fn line(self, now: Now, line: &str, text: &mut String) {
        match self {
            Self::Plain => {
                text.push_str(&times::of_day(now.epoch_seconds()));
                text.push(' ');
                text.push_str(line);
            }
            Self::Dim => {
                text.push_str("\x1b[2m");
                text.push_str(&times::of_day(now.epoch_seconds()));
                text.push_str("\x1b[0m ");
                text.push_str(line);
            }
            Self::Json => {
                let members = line.strip_prefix('{').unwrap_or(line);
                text.push_str(&format!("{{\"ts\":{:.3},{members}", now.epoch_seconds()));
            }
        }
    }
}

/// Standard output.
pub struct Screen {
    out: File,
    stamp: Stamp,
    /// Somebody asked for the end.
    asked: Arc<AtomicBool>,
    /// Nobody takes anything, and the end was asked for.
    held: bool,
    /// When lines were printed last.
    printed: Option<Instant>,
}

impl Screen {
    /// The process's own.
    ///
    /// # Errors
    /// It is closed, or signals cannot be heard.
    pub fn new(stamp: Stamp) -> io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&asked))?;
        }
        let out = io::stdout().as_fd().try_clone_to_owned()?.into();
        Ok(Self { out, stamp, asked, held: false, printed: None })
    }

    /// Waits until the lines of now may be printed. Whatever is written meanwhile comes with the next.
    fn gather(&mut self, now: Now) {
        let since = self.printed.map(|printed| now.mono.saturating_duration_since(printed));
        let left = since.and_then(|since| TOGETHER.checked_sub(since)).unwrap_or_default();
        if !left.is_zero() {
            #[expect(clippy::disallowed_methods, reason = "a poll would wake up for each line")]
            std::thread::sleep(left);
        }
        self.printed = Some(now.mono + left);
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() && !self.held {
            let asked = self.asked.load(Ordering::Relaxed);
            if !becomes_writable(self.out.as_fd(), PATIENCE) {
                self.held = asked;
                continue;
            }
            match self.out.write(&bytes[..bytes.len().min(PIECE)]) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl World for Screen {
    fn read_config(&mut self) -> Result<Configuration, String> {
        Err("an application in the foreground is read once".into())
    }

    fn reopen_log(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn print(&mut self, lines: &str, now: Now) -> bool {
        self.gather(now);
        let mut text = String::with_capacity(lines.len() * 2);
        for line in lines.split_inclusive('\n') {
            self.stamp.line(now, line, &mut text);
        }
        self.write(text.as_bytes()).is_ok()
    }
}
