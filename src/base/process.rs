//! What every floor knows of a process of the system: how it ended, and the signals by name.

use std::fmt;
use std::time::Duration;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this code, 0 to 255.
    Code(i32),
    /// A signal killed it.
    Signal {
        /// Which.
        signal: Signal,
        /// Whether it left a core dump.
        core: bool,
    },
    /// It is gone, but was not our child (an adopted process), so nobody can say how.
    Unknown,
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal { signal, core: false } => write!(f, "killed by {signal}"),
            Self::Signal { signal, core: true } => write!(f, "killed by {signal}, core dumped"),
            Self::Unknown => f.write_str("ended unseen"),
        }
    }
}

/// What a process has used in its life, as wait4(2) tells it at its end: it itself, and of its children
/// those that it has waited for (getrusage(2)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rusage {
    /// Processor time in its own code.
    pub user: Duration,
    /// Processor time in the kernel, on its behalf.
    pub system: Duration,
    /// The most resident memory that it, or one of those children, had at a time, in bytes.
    pub max_rss: u64,
    /// Whether that is what gafferd itself had: the kernel counts from before the program was there, and of one
    /// that has less than we do it is only known that it had no more.
    pub is_bound: bool,
    /// Faults that waited for a disk.
    pub major_faults: u64,
    /// Faults that did not.
    pub minor_faults: u64,
    /// Blocks of 512 bytes that were read from disks,
    pub block_input: u64,
    /// and written to them.
    pub block_output: u64,
    /// How often it gave its processor up to wait for something,
    pub voluntary_switches: u64,
    /// and how often that was taken from it.
    pub involuntary_switches: u64,
}

/// A signal number, 1 to 64 (signal(7)). `Display` is its name: `SIGTERM`, `SIGRTMIN+3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signal(i32);

/// Names of the standard signals as Linux numbers them on x86, ARM, RISC-V and POWER.
pub const NAMES: [(i32, &str); 31] = [
    (1, "HUP"),
    (2, "INT"),
    (3, "QUIT"),
    (4, "ILL"),
    (5, "TRAP"),
    (6, "ABRT"),
    (7, "BUS"),
    (8, "FPE"),
    (9, "KILL"),
    (10, "USR1"),
    (11, "SEGV"),
    (12, "USR2"),
    (13, "PIPE"),
    (14, "ALRM"),
    (15, "TERM"),
    (16, "STKFLT"),
    (17, "CHLD"),
    (18, "CONT"),
    (19, "STOP"),
    (20, "TSTP"),
    (21, "TTIN"),
    (22, "TTOU"),
    (23, "URG"),
    (24, "XCPU"),
    (25, "XFSZ"),
    (26, "VTALRM"),
    (27, "PROF"),
    (28, "WINCH"),
    (29, "IO"),
    (30, "PWR"),
    (31, "SYS"),
];
/// The first real-time signal that glibc leaves to programs.
const RTMIN: i32 = 34;
/// The last of all.
pub const MAX: i32 = 64;

impl Signal {
    /// Hang up.
    pub const HUP: Self = Self(1);
    /// Interrupt from the keyboard.
    pub const INT: Self = Self(2);
    /// Quit from the keyboard.
    pub const QUIT: Self = Self(3);
    /// Kill, which cannot be caught.
    pub const KILL: Self = Self(9);
    /// For the program's own use.
    pub const USR1: Self = Self(10);
    /// Terminate.
    pub const TERM: Self = Self(15);
    /// Continue if stopped.
    pub const CONT: Self = Self(18);

    /// The signal of this number, if there is one.
    pub fn from_number(number: i64) -> Option<Self> {
        let number = i32::try_from(number).ok()?;
        (1..=MAX).contains(&number).then_some(Self(number))
    }

    /// Reads `15`, `TERM` or `SIGTERM`, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(number) = text.parse::<i64>() {
            return Self::from_number(number);
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some(above) = name.strip_prefix("RTMIN") {
            let above = if above.is_empty() { 0 } else { above.strip_prefix('+')?.parse().ok()? };
            return Self::from_number(i64::from(RTMIN).checked_add(above)?);
        }
        NAMES.iter().find(|(_, known)| *known == name).map(|(number, _)| Self(*number))
    }

    /// Its number.
    pub fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => write!(f, "SIG{name}"),
            None if self.0 >= RTMIN => write!(f, "SIGRTMIN+{}", self.0 - RTMIN),
            None => write!(f, "signal {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_by_number_and_name() {
        for text in ["15", "TERM", "term", "SIGTERM", "sigterm", " 15 "] {
            assert_eq!(Signal::parse(text), Some(Signal::TERM), "{text}");
        }
        for text in ["", "0", "65", "-1", "NOPE", "SIG", "1.5", "RTMIN+999999999999999999"] {
            assert_eq!(Signal::parse(text), None, "{text}");
        }
        assert_eq!(Signal::parse("RTMIN+3").map(|s| s.to_string()).as_deref(), Some("SIGRTMIN+3"));
        assert_eq!(Signal::KILL.to_string(), "SIGKILL");
    }
}
