//! One reading of the clocks. The reactor takes it once a turn and hands it in with every input, so
//! nothing below it ever asks what time it is, and a simulation can say so freely.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What time it is, for the whole of one turn.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The monotonic clock: every decision and every timer.
    pub mono: Instant,
    /// The wall clock: only for showing to people.
    pub wall: SystemTime,
}

impl Now {
    /// Wall-clock seconds since 1970, with a fraction; 0 for a clock set before that.
    pub fn epoch_seconds(&self) -> f64 {
        epoch_seconds(self.wall)
    }

    /// Both clocks, this much later.
    #[must_use]
    pub fn plus(&self, by: Duration) -> Self {
        Self { mono: self.mono + by, wall: self.wall + by }
    }
}

/// Seconds since 1970, rounded to milliseconds; 0 for a time before that.
pub fn epoch_seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    (since.as_secs_f64() * 1000.0).round() / 1000.0
}
