//! The events that come with time alone: every 5, 60 and 3600 seconds of the wall clock, when one such stretch
//! of it gives way to the next. Only those have a timer that somebody asks for.

use std::time::{Duration, Instant, UNIX_EPOCH};

use crate::base::clock::Now;

/// The kinds, with their stretches in seconds.
const KINDS: [(&str, u64); 3] = [("TICK_5", 5), ("TICK_60", 60), ("TICK_3600", 3600)];
/// How long to wait at most before the wall clock is looked at again: it may have been set, or the machine
/// may have slept.
const PATIENCE: Duration = Duration::from_secs(60);

/// The clock of those who asked.
#[derive(Default)]
pub(super) struct Ticks {
    /// When each kind that somebody asked for was told last, in seconds since 1970.
    last: [Option<u64>; 3],
    due: Option<Instant>,
}

impl Ticks {
    /// Somebody asks for the kinds for which this is so, and nobody for others.
    pub(super) fn ask(&mut self, is_asked: impl Fn(&str) -> bool, now: Now) {
        for (last, (kind, stretch)) in self.last.iter_mut().zip(KINDS) {
            match is_asked(kind) {
                true => drop(last.get_or_insert(begun(now, stretch))),
                false => *last = None,
            }
        }
        self.due = self.next(now);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Time has passed: what is to be told of it, and the time for which it is.
    pub(super) fn pass(&mut self, now: Now) -> Vec<(&'static str, u64)> {
        if self.due.is_none_or(|due| due > now.mono) {
            return Vec::new();
        }
        let mut told = Vec::new();
        for (last, (kind, stretch)) in self.last.iter_mut().zip(KINDS) {
            let begun = begun(now, stretch);
            if last.is_some_and(|last| last != begun) {
                *last = Some(begun);
                told.push((kind, begun));
            }
        }
        self.due = self.next(now);
        told
    }

    fn next(&self, now: Now) -> Option<Instant> {
        let asked = self.last.iter().zip(KINDS).filter(|(last, _)| last.is_some());
        let left = asked.map(|(_, (_, stretch))| left(now, stretch)).min()?;
        // Rounding may wake us before the second is there: then it is looked at once more.
        Some(now.mono + left.clamp(Duration::from_millis(1), PATIENCE))
    }
}

/// When the present stretch of this length began, in seconds since 1970.
fn begun(now: Now, stretch: u64) -> u64 {
    let since = now.wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    since - since % stretch
}

/// How long it is until the next one begins.
fn left(now: Now, stretch: u64) -> Duration {
    let since = now.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(begun(now, stretch) + stretch).saturating_sub(since)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;

    #[test]
    fn stretches_end_with_the_wall_clock_and_only_for_who_asked() {
        let wall = UNIX_EPOCH + Duration::from_millis(3_598_500);
        let mut now = Now { mono: Instant::now(), wall };
        let mut ticks = Ticks::default();
        assert_eq!(ticks.deadline(), None);
        ticks.ask(|kind| kind != "TICK_60", now);
        assert_eq!(ticks.deadline(), Some(now.mono + Duration::from_millis(1500)));
        assert_eq!(ticks.pass(now), []);
        now = now.plus(Duration::from_millis(1500));
        assert_eq!(ticks.pass(now), [("TICK_5", 3600), ("TICK_3600", 3600)]);
        ticks.ask(|kind| kind == "TICK_3600", now);
        assert_eq!(ticks.deadline(), Some(now.mono + PATIENCE), "the clock may be set");
        // It is set forward: what was left out is not made up for.
        now = Now { mono: now.mono + PATIENCE, wall: UNIX_EPOCH + Duration::from_secs(9_999) };
        assert_eq!(ticks.pass(now), [("TICK_3600", 7200)]);
        ticks.ask(|_| false, now);
        assert_eq!((ticks.deadline(), ticks.pass(now)), (None, Vec::new()));
    }
}
