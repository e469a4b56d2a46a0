//! The programs of the jobs. Each says that it is there by its pid into a pipe with a name, which it keeps open: who
//! reads it hears of every start, and of the end of the last, without a look at anybody.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::process::{kill_process, setsid, Signal};

use super::tree;
use crate::bench::{now, rest, start};

/// How long a line is with its end.
pub(crate) const LINE: usize = 100;

/// Plays a job, if that is what the words ask for.
pub(crate) fn play(words: &[String]) -> bool {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["--beat", pipe] => {
            let _kept = beat(pipe);
            park();
        }
        ["--write", lines, pipe] => {
            let mut kept = beat(pipe);
            // Until somebody opens it, too.
            File::open(go(Path::new(pipe))).expect("a pipe");
            write(lines.parse().expect("a number"));
            say(&mut kept);
            park();
        }
        ["--noisy", pipe] => {
            let _kept = beat(pipe);
            noisy();
        }
        ["--daemon", pidfile, ref program @ ..] => daemon(Path::new(pidfile), program),
        ["--end", pidfile] => end(Path::new(pidfile)),
        _ => return false,
    }
    true
}

fn beat(pipe: &str) -> File {
    let mut pipe = OpenOptions::new().write(true).open(pipe).expect("somebody reads");
    say(&mut pipe);
    pipe
}

fn say(pipe: &mut File) {
    pipe.write_all(&std::process::id().to_ne_bytes()).expect("somebody reads");
}

fn park() -> ! {
    loop {
        std::thread::park();
    }
}

/// Numbered lines in pieces as large as a pipe.
fn write(lines: usize) {
    let mut out = std::io::stdout().lock();
    let mut piece = Vec::with_capacity(65_536);
    for number in 0..lines {
        piece.extend_from_slice(&line(number));
        if piece.len() + LINE > 65_536 || number + 1 == lines {
            out.write_all(&piece).expect("somebody reads");
            piece.clear();
        }
    }
    out.flush().expect("somebody reads");
}

fn line(number: usize) -> Vec<u8> {
    let mut line = format!("{number:012} ").into_bytes();
    line.resize(LINE - 1, b'x');
    line.push(b'\n');
    line
}

/// A hundred lines a second, each by itself.
fn noisy() {
    let begun = now();
    for number in 0.. {
        std::io::stdout().write_all(&line(number)).expect("somebody reads");
        let next = Duration::from_millis(10 * (number as u64 + 1));
        let wait = next.saturating_sub(begun.elapsed());
        rest(u64::try_from(wait.as_millis()).unwrap_or(0).max(1));
    }
}

/// Starts the program in a session of its own, writes its pid into a file, and is gone.
fn daemon(pidfile: &Path, program: &[&str]) {
    let _ = setsid();
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    fs::write(pidfile, format!("{}\n", start(&mut command).id())).expect("writable");
}

fn end(pidfile: &Path) {
    let text = fs::read_to_string(pidfile).expect("a pid file");
    let _ = kill_process(tree::pid(text.trim().parse().expect("a pid")), Signal::TERM);
}

/// The pipe that tells to begin.
fn go(beats: &Path) -> PathBuf {
    beats.with_extension("go")
}

/// Hears of the jobs.
pub(crate) struct Beats {
    pub(crate) path: PathBuf,
    pipe: File,
    /// So that it does not end before all jobs have begun.
    own: Option<File>,
}

impl Beats {
    pub(crate) fn new(folder: &Path) -> Self {
        let path = folder.join("beats");
        if !path.exists() {
            let made = start(Command::new("mkfifo").arg(&path).arg(go(&path))).wait();
            assert!(made.is_ok_and(|code| code.success()), "no pipe");
        }
        // Its other end first, without which it could not be opened without waiting for one.
        let both = OpenOptions::new().read(true).write(true).open(&path).expect("a pipe");
        let pipe = File::open(&path).expect("a pipe");
        let own = OpenOptions::new().write(true).open(&path).expect("a pipe");
        drop(both);
        Self { path, pipe, own: Some(own) }
    }

    /// The next that has begun, within so many seconds.
    pub(crate) fn next(&mut self, seconds: f64) -> Option<u32> {
        let begun = now();
        while !self.something(20) {
            tree::reap();
            if begun.elapsed().as_secs_f64() > seconds {
                return None;
            }
        }
        let mut id = [0; 4];
        self.pipe.read_exact(&mut id).ok()?;
        Some(u32::from_ne_bytes(id))
    }

    /// Lets the one that waits for it write.
    pub(crate) fn go(&self) {
        let pipe = OpenOptions::new().write(true).open(go(&self.path));
        pipe.expect("somebody waits");
    }

    /// From now on the end of the last job is the end.
    pub(crate) fn expect_end(&mut self) {
        self.own = None;
    }

    /// Whether all have ended, after a wait of at most a millisecond.
    pub(crate) fn ended(&mut self) -> bool {
        self.something(1) && self.pipe.read(&mut [0; 4]).is_ok_and(|count| count == 0)
    }

    fn something(&self, milliseconds: i64) -> bool {
        let wait = Timespec { tv_sec: 0, tv_nsec: milliseconds * 1_000_000 };
        poll(&mut [PollFd::new(&self.pipe, PollFlags::IN)], Some(&wait))
            .is_ok_and(|ready| ready > 0)
    }
}
