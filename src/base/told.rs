//! What a test has told the log, on its own thread: a promise of the log can be tested like any other.

use std::cell::Cell;
use std::sync::Once;

use log::{Log, Metadata, Record};

thread_local! {
    static LINES: Cell<Option<Vec<String>>> = const { Cell::new(None) };
}

struct Told;

impl Log for Told {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let Some(mut lines) = LINES.take() else { return };
        lines.push(format!("{}: {}", record.level(), record.args()));
        LINES.set(Some(lines));
    }

    fn flush(&self) {}
}

/// What this tells the log as warnings and errors.
pub(crate) fn told(act: impl FnOnce()) -> Vec<String> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Told).expect("no test has a logger of its own");
        log::set_max_level(log::LevelFilter::Warn);
    });
    LINES.set(Some(Vec::new()));
    act();
    LINES.take().unwrap_or_default()
}
