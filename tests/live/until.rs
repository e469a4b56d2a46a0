//! Waiting for conditions. The only file here that reads a clock or sleeps.

use std::thread;
use std::time::{Duration, Instant};

/// How long a condition may take on a loaded machine before its test fails.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked at.
const INTERVAL: Duration = Duration::from_millis(10);

/// A point in time to measure from.
#[derive(Clone, Copy)]
pub(crate) struct Since(Instant);

impl Since {
    /// This moment.
    #[expect(clippy::disallowed_methods, reason = "live tests run in real time")]
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }

    /// How long ago it was.
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

#[expect(clippy::disallowed_methods, reason = "between two looks at a condition")]
fn rest(time: Duration) {
    thread::sleep(time);
}

/// Waits until `look` gives something.
pub(crate) fn until_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Since::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain: {what}");
        rest(INTERVAL);
    }
}

/// Waits until a condition holds.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    until_some(what, || condition().then_some(()));
}

/// Looks for as long as `time` that something always holds: that nothing comes back, or that
/// somebody stays. What is measured over a time is measured with this, too.
pub(crate) fn all_along(time: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Since::now();
    while begun.elapsed() < time {
        assert!(condition(), "{what}, after {:?}", begun.elapsed());
        rest(INTERVAL * 5);
    }
}
