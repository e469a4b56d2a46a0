//! What the shell needs of the daemon around it: the configuration read again, the log opened
//! again, lines on standard output.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::PathBuf;

use log::warn;

use super::config::{Config, Origins};
use super::keeping;
use super::launch::{self, Scheme};
use super::log_lines::stamp;
use super::logger::Logger;
use super::options::Options;
use super::registration;
use super::settings::Settings;
use super::tls::{Reading, TlsSettings};
use super::webhooks;
use crate::base::clock::Now;
use crate::base::level::Level;
use crate::base::limits::LOG_LINE;
use crate::base::sorted::SortedMap;
use crate::node::machine::Configuration;
use crate::reactor::clock::Clock;
use crate::reactor::turn::World;
use crate::sys::fds::is_writable;
use crate::tls::{Connector, Security};

/// The daemon around the shell.
pub struct Daemon {
    /// Its command line.
    pub options: Options,
    /// The environment it was started with.
    pub environ: SortedMap<String, String>,
    /// Whether it runs as root.
    pub root: bool,
    /// The path of its program.
    pub program: Option<PathBuf>,
    /// How it was set up.
    pub settings: Settings,
    /// What it speaks with clients over TCP.
    pub(super) scheme: Scheme,
    /// Its certificates,
    pub security: Security,
    /// and which files they are in.
    pub tls: TlsSettings,
    /// Its log; that of its host without one.
    pub log: Option<&'static Logger>,
    /// The port of its first TCP listener.
    pub port: Option<u16>,
    /// Lines of standard output that nobody took.
    pub lost: u64,
}

impl World for Daemon {
    fn read_config(&mut self) -> Result<Configuration, String> {
        let origins = Origins {
            options: &self.options,
            environ: &self.environ,
            root: self.root,
            program: self.program.as_deref(),
            hosted: self.log.is_none(),
        };
        let mut config = Config::read(&origins)?;
        let mut security = config.security(&origins)?;
        let scheme = Scheme::of(&config.tls);
        for warning in &config.warnings {
            warn!("{warning}");
        }
        let keeping = keeping::of(&config.settings)?;
        let lookups = &config.settings.lookups;
        self.settings.lookups = lookups.clone();
        let registration = registration::of(lookups, self.scheme, &self.settings.binds, self.port)?;
        // Whoever listens for TLS goes on to do so, with the certificate that there was.
        if scheme != self.scheme {
            security.acceptor = self.security.acceptor.take();
        }
        self.security = security;
        self.tls = config.tls;
        self.settings.plugins_dir = config.settings.plugins_dir.clone();
        self.settings.webhook_queue = config.settings.webhook_queue;
        self.settings.require_key = config.settings.require_key;
        self.settings.socket_group = config.settings.socket_group.clone();
        let level = config.settings.log.level;
        let before = std::mem::replace(&mut self.settings.log.level, level);
        let log_level = (level != before).then_some(level);
        if config.settings != self.settings || scheme != self.scheme {
            warn!("what changed of the daemon's own settings takes effect at its next start");
        }
        let webhooks = webhooks::of(&config.hooks, config.settings.webhook_queue);
        let (jobs, plugins) = (config.jobs, config.plugins);
        Ok(Configuration { jobs, registration, keeping, webhooks, plugins, log_level })
    }

    fn reopen_log(&mut self) -> Result<(), String> {
        let Some(log) = self.log else { return Ok(()) };
        launch::reopen_log(log, &self.settings.log)
    }

    fn set_log_level(&mut self, level: Level) {
        if let Some(log) = self.log {
            log.set_level(level);
        }
    }

    fn security(&mut self) -> Security {
        self.security.clone()
    }

    fn connector(&mut self) -> Result<Connector, String> {
        let now = Clock::default().tick().wall;
        let reading = Reading { environ: &self.environ, root: self.root, now, dials: true };
        self.tls.connector(&reading)
    }

    fn print(&mut self, lines: &str, now: Now) -> bool {
        let time = stamp(now.wall);
        let time = time.split(' ').next_back().unwrap_or_default();
        let mut piece = Piece::default();
        for line in lines.lines() {
            if !piece.fits(time, line) {
                self.write(std::mem::take(&mut piece), time);
            }
            piece.push(time, line);
        }
        self.write(piece, time);
        // Whether anybody reads what it says is nothing to a daemon.
        true
    }
}

impl Daemon {
    fn write(&mut self, piece: Piece, time: &str) {
        if self.lost > 0 {
            let mut said = Piece::default();
            said.push(time, &format!("gafferd | {} lines lost: nobody read them", self.lost));
            if put(&said.text) {
                self.lost = 0;
            }
        }
        if self.lost > 0 || !put(&piece.text) {
            self.lost += piece.lines;
        }
    }
}

/// Writes to standard output, if that does not wait: a terminal that is held, or a pipe that nobody
/// reads, must not hold the jobs.
fn put(text: &str) -> bool {
    let stdout = io::stdout();
    is_writable(stdout.as_fd()) && stdout.lock().write_all(text.as_bytes()).is_ok()
}

/// Lines that are written at once: so many that a pipe which has room at all takes all of them
/// (PIPE_BUF, pipe(7)).
#[derive(Default)]
struct Piece {
    text: String,
    lines: u64,
}

impl Piece {
    fn fits(&self, time: &str, line: &str) -> bool {
        self.text.len() + time.len() + 1 + line.len() < LOG_LINE
    }

    /// Adds a line, cut where a piece of its own would be too long.
    fn push(&mut self, time: &str, line: &str) {
        self.lines += 1;
        self.text.push_str(time);
        self.text.push(' ');
        let room = LOG_LINE.saturating_sub(self.text.len() + "…\n".len());
        let whole = line.len() <= room;
        let fits = |(at, c): &(usize, char)| at + c.len_utf8() <= room;
        self.text.extend(line.char_indices().take_while(fits).map(|(_, c)| c));
        self.text.push_str(if whole { "\n" } else { "…\n" });
    }
}
