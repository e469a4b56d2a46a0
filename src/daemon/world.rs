//! What the shell needs of the daemon around it: the configuration read again, the log opened
//! again, lines on standard output.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::PathBuf;

use log::{info, warn};

use super::config::{Config, Origins};
use super::logger::{self, stamp, Logger};
use super::options::Options;
use super::settings::Settings;
use crate::base::clock::Now;
use crate::reactor::turn::World;
use crate::supervisor::spec::JobEntry;
use crate::sys::fds::is_writable;

/// The daemon around the shell.
pub struct Daemon {
    /// Its command line.
    pub options: Options,
    /// The environment it was started with.
    pub environ: BTreeMap<String, String>,
    /// Whether it runs as root.
    pub root: bool,
    /// The path of its program.
    pub program: Option<PathBuf>,
    /// How it was set up.
    pub settings: Settings,
    /// Its log.
    pub log: &'static Logger,
    /// Lines of standard output that nobody took.
    pub lost: u64,
}

impl World for Daemon {
    fn read_config(&mut self) -> Result<Vec<JobEntry>, String> {
        let origins = Origins {
            options: &self.options,
            environ: &self.environ,
            root: self.root,
            program: self.program.as_deref(),
        };
        let config = Config::read(&origins)?;
        for warning in &config.warnings {
            warn!("{warning}");
        }
        log::set_max_level(config.settings.log_level);
        self.settings.log_level = config.settings.log_level;
        if config.settings != self.settings {
            warn!("what changed of the daemon's own settings takes effect at its next start");
        }
        Ok(config.jobs)
    }

    fn reopen_log(&mut self) -> Result<(), String> {
        let Some(path) = &self.settings.error_log else { return Ok(()) };
        let reopened = self.log.reopen(path);
        reopened.map_err(|error| format!("{}: {error}", path.display()))?;
        info!("SIGUSR1: the log file is opened again");
        Ok(())
    }

    fn print(&mut self, line: &str, now: Now) {
        let stdout = io::stdout();
        // A terminal that is held, or a pipe that nobody reads, must not hold the jobs.
        if !is_writable(stdout.as_fd()) {
            self.lost += 1;
            return;
        }
        let time = stamp(now.wall);
        let time = time.split(' ').next_back().unwrap_or_default();
        let mut text = String::new();
        if self.lost > 0 {
            text = format!("{time} gafferd | {} lines lost: nobody read them\n", self.lost);
            self.lost = 0;
        }
        text.push_str(&format!("{time} "));
        // Room for so much is there (PIPE_BUF, pipe(7)); for more the write would wait.
        let room = logger::LINE - text.len() - "…\n".len();
        let fits = |(at, c): &(usize, char)| at + c.len_utf8() <= room;
        let whole = line.len() <= room;
        text.extend(line.char_indices().take_while(fits).map(|(_, c)| c));
        text.push_str(if whole { "\n" } else { "…\n" });
        if stdout.lock().write_all(text.as_bytes()).is_err() {
            self.lost += 1;
        }
    }
}
