//! Death records: why each run of an instance ended, with its last words. The last few of each are
//! kept, for `GET /jobs/S/L/deaths` and for people who ask why.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::Value;

use super::instance::Why;
use super::spec::{Command, JobSpec};
use crate::base::error::{Errno, Stage};
use crate::base::ids::{OsPid, Pid};
use crate::base::limits;
use crate::base::process::{ExitStatus, Rusage};

/// Why a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// The kernel's word.
    Exit(ExitStatus),
    /// It never ran.
    Spawn {
        /// How far it came.
        stage: Stage,
        /// What the kernel said.
        errno: Errno,
        /// The program or the directory that it said this of, as far as it is shown.
        of: Option<String>,
    },
    /// It never ran, because no order could be made for it.
    Order(String),
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exit(status) => status.fmt(f),
            Self::Spawn { stage, errno, of: None } => write!(f, "{stage}: {errno}"),
            Self::Spawn { stage, errno, of: Some(of) } => write!(f, "{stage} {of}: {errno}"),
            Self::Order(text) => f.write_str(text),
        }
    }
}

impl Cause {
    /// That a process of this job never ran.
    pub(super) fn spawn(spec: &JobSpec, stage: Stage, errno: Errno) -> Self {
        let of = match stage {
            Stage::Exec => match &spec.command {
                Command::Program(words) => Some(words.program()),
                Command::Shell(_) => Some("sh"),
            },
            Stage::Cwd => spec.cwd.as_deref(),
            Stage::Pipe
            | Stage::Account
            | Stage::Fork
            | Stage::Session
            | Stage::Rlimit
            | Stage::Nice
            | Stage::Bounds
            | Stage::Groups
            | Stage::Gid
            | Stage::Uid
            | Stage::Capabilities
            | Stage::Streams
            | Stage::NoNewPrivs => None,
        };
        Self::Spawn { stage, errno, of: of.map(shown) }
    }
}

/// A path in a message of one line: cut where it is too long.
fn shown(path: &str) -> String {
    let visible = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut chars = path.chars().map(visible);
    let mut text: String = chars.by_ref().take(limits::SHOWN_PATH).collect();
    if chars.next().is_some() {
        text.pop();
        text.push('…');
    }
    text
}

/// What is known of the end of a process beside how it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// What it had used, if that is known.
    pub usage: Option<Rusage>,
    /// Whether the kernel killed it because memory was used up.
    pub out_of_memory: bool,
    /// Whether the signal that killed it was one of ours.
    pub sent: bool,
}

/// One ended run.
#[derive(Clone, Debug, PartialEq)]
pub struct Death {
    /// The instance's place in its job.
    pub number: u32,
    /// Whether it was a one-off.
    pub once: bool,
    /// The run's own number.
    pub pid: Pid,
    /// The kernel's number, if it ever ran.
    pub os_pid: Option<OsPid>,
    /// When it began.
    pub started_at: SystemTime,
    /// When its exit was complete.
    pub ended_at: SystemTime,
    /// How long it ran.
    pub ran: Duration,
    /// Why it ended.
    pub cause: Cause,
    /// Who wanted it.
    pub why: Why,
    /// What else is known of it.
    pub evidence: Evidence,
    /// Whether it counts as a success.
    pub success: bool,
    /// Whether members of its group outlived it and had to be ended.
    pub outlived: bool,
    /// The last lines of its output.
    pub last_lines: Vec<String>,
}

impl Death {
    /// Why it ended, in words for people: `exit 1`, `killed by SIGSEGV (core)`.
    pub fn words(&self) -> String {
        let end = match &self.cause {
            Cause::Spawn { .. } | Cause::Order(_) => {
                return format!("could not start: {}", self.cause)
            }
            Cause::Exit(_) if self.evidence.out_of_memory => {
                "killed by the kernel: out of memory".to_owned()
            }
            Cause::Exit(ExitStatus::Code(code)) => format!("exit {code}"),
            Cause::Exit(ExitStatus::Signal { signal, core: false }) => {
                format!("killed by {signal}")
            }
            Cause::Exit(ExitStatus::Signal { signal, core: true }) => {
                format!("killed by {signal} (core)")
            }
            Cause::Exit(ExitStatus::Unknown) => "ended unseen".to_owned(),
        };
        match self.why {
            Why::Itself if self.evidence.sent => format!("{end} as asked"),
            Why::Itself => end,
            Why::Stop | Why::StopProcess => format!("stopped as asked: {end}"),
            Why::Unload | Why::Scale | Why::Reload | Why::Restart | Why::Shutdown => {
                format!("stopped as asked ({}): {end}", self.why.word())
            }
            Why::Leftover => "left by a gafferd that was killed, ended by the next".to_owned(),
            Why::Unseen => "ended while no gafferd was there".to_owned(),
        }
    }

    /// The same with how long it ran, where it ran and that is known: `exit 1 after 0.4 s`.
    pub fn summary(&self) -> String {
        let is_known = match (&self.cause, self.why) {
            (Cause::Spawn { .. } | Cause::Order(_), _) | (_, Why::Unseen) => false,
            (Cause::Exit(_), _) => true,
        };
        match is_known {
            true => format!("{} after {}", self.words(), span(self.ran)),
            false => self.words(),
        }
    }
}

/// A time as people say it: `0.004 s`, `0.4 s`, `85 s`, `12 min`, `30 h`, `12 days`.
fn span(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match time.as_secs() {
        0 if seconds < 0.1 => format!("{seconds:.3} s"),
        0..10 => format!("{seconds:.1} s"),
        whole @ 10..120 => format!("{whole} s"),
        whole @ 120..7_200 => format!("{} min", whole / 60),
        whole @ 7_200..172_800 => format!("{} h", whole / 3_600),
        whole => format!("{} days", whole / 86_400),
    }
}

/// What an event tells of a death beside the original's fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Why and after how long, in words.
    pub summary: String,
    /// How long it ran.
    pub ran: Duration,
    /// Whether it was asked to end.
    pub planned: bool,
    /// What it had used, if that is known.
    pub usage: Option<Rusage>,
    /// The last lines of its output.
    pub last_lines: Vec<String>,
}

impl Told {
    /// That of a death.
    pub fn of(death: &Death) -> Self {
        Self {
            summary: death.summary(),
            ran: death.ran,
            planned: death.why.is_planned(),
            usage: death.evidence.usage,
            last_lines: death.last_lines.clone(),
        }
    }
}

/// What a process had used, as the API has it: seconds, bytes and counts.
#[derive(Debug, Serialize)]
pub struct UsageView {
    block_input: u64,
    block_output: u64,
    involuntary_switches: u64,
    major_faults: u64,
    max_rss: u64,
    max_rss_is_bound: bool,
    minor_faults: u64,
    system: f64,
    user: f64,
    voluntary_switches: u64,
}

impl From<&Rusage> for UsageView {
    fn from(usage: &Rusage) -> Self {
        Self {
            user: usage.user.as_secs_f64(),
            system: usage.system.as_secs_f64(),
            max_rss: usage.max_rss,
            max_rss_is_bound: usage.is_bound,
            major_faults: usage.major_faults,
            minor_faults: usage.minor_faults,
            block_input: usage.block_input,
            block_output: usage.block_output,
            voluntary_switches: usage.voluntary_switches,
            involuntary_switches: usage.involuntary_switches,
        }
    }
}

/// Reads such a view.
pub fn usage_from_value(value: &Value) -> Option<Rusage> {
    let time = |name: &str| {
        let micros = (value.get(name)?.as_f64()? * 1e6).round() / 1e6;
        Duration::try_from_secs_f64(micros).ok()
    };
    let count = |name: &str| value.get(name)?.as_u64();
    Some(Rusage {
        user: time("user")?,
        system: time("system")?,
        max_rss: count("max_rss")?,
        is_bound: value.get("max_rss_is_bound")?.as_bool()?,
        major_faults: count("major_faults")?,
        minor_faults: count("minor_faults")?,
        block_input: count("block_input")?,
        block_output: count("block_output")?,
        voluntary_switches: count("voluntary_switches")?,
        involuntary_switches: count("involuntary_switches")?,
    })
}

/// The last few deaths, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Deaths {
    /// Nothing before the first: most jobs and instances have none.
    #[expect(clippy::box_collection, reason = "a word for each of those is less than four")]
    kept: Option<Box<VecDeque<Death>>>,
    count: u64,
}

impl Deaths {
    /// Adds one; the oldest above the limit is dropped.
    pub fn push(&mut self, death: Death) {
        self.count += 1;
        self.remember(death);
    }

    /// Adds one that is not counted, because it is of another life.
    pub fn remember(&mut self, death: Death) {
        let kept = self.kept.get_or_insert_default();
        kept.push_back(death);
        if kept.len() > limits::DEATHS {
            kept.pop_front();
        }
    }

    /// The kept ones, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Death> {
        self.kept.iter().flat_map(|kept| kept.iter())
    }

    /// The newest.
    pub fn last(&self) -> Option<&Death> {
        self.kept.as_ref()?.back()
    }

    /// Gives the newest death of this run its last words, if it is here.
    pub fn attach(&mut self, pid: Pid, lines: &mut Option<Vec<String>>) -> Option<&Death> {
        let death = self.kept.as_mut()?.iter_mut().rev().find(|death| death.pid == pid)?;
        death.last_lines = lines.take().unwrap_or_default();
        Some(death)
    }

    /// How many there ever were.
    pub fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::process::Signal;
    use crate::supervisor::spec_read;
    use serde_json::json;

    fn death(cause: Cause, why: Why) -> Death {
        Death {
            number: 1,
            once: false,
            pid: Pid(1),
            os_pid: Some(OsPid(1001)),
            started_at: SystemTime::UNIX_EPOCH,
            ended_at: SystemTime::UNIX_EPOCH,
            ran: Duration::from_millis(412),
            cause,
            why,
            evidence: Evidence::default(),
            success: false,
            outlived: false,
            last_lines: Vec::new(),
        }
    }

    fn killed(signal: i64, core: bool) -> Cause {
        let signal = Signal::from_number(signal).expect("a signal");
        Cause::Exit(ExitStatus::Signal { signal, core })
    }

    #[test]
    fn a_death_is_told_in_words() {
        let missing =
            Cause::Spawn { stage: Stage::Exec, errno: Errno(2), of: Some("/usr/bin/redis".into()) };
        let exit = |code| Cause::Exit(ExitStatus::Code(code));
        let unknown = Cause::Exit(ExitStatus::Unknown);
        for (cause, why, summary) in [
            (exit(1), Why::Itself, "exit 1 after 0.4 s"),
            (killed(11, false), Why::Itself, "killed by SIGSEGV after 0.4 s"),
            (killed(11, true), Why::Itself, "killed by SIGSEGV (core) after 0.4 s"),
            (killed(15, false), Why::Itself, "killed by SIGTERM after 0.4 s"),
            (killed(9, false), Why::Itself, "killed by SIGKILL after 0.4 s"),
            (
                missing,
                Why::Itself,
                "could not start: exec /usr/bin/redis: No such file or directory",
            ),
            (Cause::Order("no user".into()), Why::Itself, "could not start: no user"),
            (killed(15, false), Why::Stop, "stopped as asked: killed by SIGTERM after 0.4 s"),
            (exit(0), Why::Restart, "stopped as asked (restart): exit 0 after 0.4 s"),
            (unknown.clone(), Why::Itself, "ended unseen after 0.4 s"),
            (
                unknown.clone(),
                Why::Leftover,
                "left by a gafferd that was killed, ended by the next after 0.4 s",
            ),
            (unknown, Why::Unseen, "ended while no gafferd was there"),
        ] {
            assert_eq!(death(cause, why).summary(), summary);
        }
        let mut told = death(killed(9, false), Why::Itself);
        told.evidence.sent = true;
        assert_eq!(told.words(), "killed by SIGKILL as asked");
        told.evidence = Evidence { out_of_memory: true, ..Evidence::default() };
        assert_eq!(told.words(), "killed by the kernel: out of memory");
        told.why = Why::Stop;
        assert_eq!(told.words(), "stopped as asked: killed by the kernel: out of memory");
    }

    #[test]
    fn times_are_told_as_people_say_them() {
        for (millis, text) in [
            (0, "0.000 s"),
            (4, "0.004 s"),
            (412, "0.4 s"),
            (9_940, "9.9 s"),
            (10_000, "10 s"),
            (119_999, "119 s"),
            (120_000, "2 min"),
            (7_200_000, "2 h"),
            (172_800_000, "2 days"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn what_a_process_used_is_read_back_whole() {
        let usage = Rusage {
            user: Duration::from_micros(1_234_567),
            system: Duration::from_micros(3),
            max_rss: 1 << 40,
            is_bound: true,
            major_faults: 1,
            minor_faults: 2,
            block_input: 3,
            block_output: 4,
            voluntary_switches: 5,
            involuntary_switches: 6,
        };
        let mut value = json!(UsageView::from(&usage));
        assert_eq!(usage_from_value(&value), Some(usage));
        value["user"] = json!(-1);
        assert_eq!(usage_from_value(&value), None);
    }

    #[test]
    fn the_last_are_kept_and_those_of_another_life_are_not_counted() {
        let mut deaths = Deaths::default();
        let of = |number| Death { pid: Pid(number), ..death(killed(9, false), Why::Itself) };
        let most = u64::try_from(limits::DEATHS).expect("few");
        (0..most).for_each(|number| deaths.remember(of(number)));
        assert_eq!((deaths.iter().count(), deaths.count()), (limits::DEATHS, 0));
        deaths.push(of(most));
        assert_eq!((deaths.iter().count(), deaths.count()), (limits::DEATHS, 1));
        assert_eq!(deaths.iter().next().map(|death| death.pid), Some(Pid(1)));
        let mut words = Some(vec!["bye".to_owned()]);
        assert!(deaths.attach(Pid(0), &mut words).is_none() && words.is_some());
        let told = deaths.attach(Pid(most), &mut words).expect("it is here");
        assert_eq!(told.last_lines, ["bye"]);
    }

    #[test]
    fn a_spawn_that_failed_names_its_program_or_directory() {
        let told = |program: &str, stage| {
            let config = json!({"cmd": program, "args": [], "cwd": "/srv"});
            let spec = spec_read::read(config.as_object().expect("an object")).expect("valid");
            Cause::spawn(&spec, stage, Errno(2)).to_string()
        };
        let missing = "No such file or directory";
        assert_eq!(told("./serve", Stage::Exec), format!("exec ./serve: {missing}"));
        assert_eq!(told("./serve", Stage::Cwd), format!("chdir /srv: {missing}"));
        assert_eq!(told("./serve", Stage::Fork), format!("fork: {missing}"));
        assert_eq!(told("'a\nb'", Stage::Exec), format!("exec a\u{fffd}b: {missing}"));
        let longest = "ü".repeat(limits::SHOWN_PATH);
        assert_eq!(told(&longest, Stage::Exec), format!("exec {longest}: {missing}"));
        let cut = "ü".repeat(limits::SHOWN_PATH - 1);
        assert_eq!(told(&(longest + "ü"), Stage::Exec), format!("exec {cut}…: {missing}"));
    }
}
