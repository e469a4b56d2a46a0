//! The only place that reads the time.

use std::time::{Duration, Instant, SystemTime};

use crate::base::clock::Now;

/// The time of the present turn.
pub struct Clock {
    now: Now,
}

impl Default for Clock {
    fn default() -> Self {
        Self { now: read() }
    }
}

impl Clock {
    /// Reads the time for a new turn.
    pub fn tick(&mut self) -> Now {
        self.now = read();
        self.now
    }

    /// How long this turn has taken so far.
    pub fn turn_took(&self) -> Duration {
        read().mono.saturating_duration_since(self.now.mono)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the place that reads the time")]
fn read() -> Now {
    Now { mono: Instant::now(), wall: SystemTime::now() }
}

/// The time at this very moment, to measure how long something of a host program takes.
pub fn instant() -> Instant {
    read().mono
}
