//! What a node says while something else is read of it: heard at once, for a node lets go of whoever does not
//! listen, and held until somebody has the time, up to a bound.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::Arc;

use super::failure::Failure;
use super::hearing;
use crate::client::{Channel, Error, Heard};

/// What is held at most, in bytes; and what a message costs besides its text.
const HELD: usize = 16 * 1024 * 1024;
const COST: usize = 256;

/// What is heard beside something else.
pub struct Beside {
    heard: Receiver<Result<Heard, Error>>,
    /// How many bytes of it are held.
    held: Arc<AtomicUsize>,
}

/// Who hears.
struct Listener {
    sender: Sender<Result<Heard, Error>>,
    held: Arc<AtomicUsize>,
    /// What was heard and not held since the last that was, and of which topic.
    lost: Option<(String, u64)>,
}

impl Beside {
    /// Begins to hear.
    pub fn begin(mut channel: Channel) -> Self {
        let (mut listener, beside) = pair();
        #[expect(clippy::disallowed_methods, reason = "a command has no reactor")]
        std::thread::spawn(move || loop {
            let goes_on = match channel.hear() {
                Ok(Some(heard)) => listener.take(heard),
                Ok(None) => false,
                Err(error) => {
                    // Where nobody waits for it any more, all is over.
                    let _ = listener.sender.send(Err(error));
                    false
                }
            };
            if !goes_on {
                return;
            }
        });
        beside
    }

    /// What was said next; `None` when the node has ended the conversation. Waits for it for ever.
    ///
    /// # Errors
    /// The connection broke.
    pub fn next(&self) -> Result<Option<Heard>, Failure> {
        match self.heard.recv() {
            Ok(Ok(heard)) => {
                self.held.fetch_sub(size(&heard), Ordering::Relaxed);
                Ok(Some(heard))
            }
            Ok(Err(error)) => Err(hearing::lost(error)),
            Err(_) => Ok(None),
        }
    }
}

fn pair() -> (Listener, Beside) {
    let (sender, heard) = channel();
    let held = Arc::new(AtomicUsize::new(0));
    (Listener { sender, held: Arc::clone(&held), lost: None }, Beside { heard, held })
}

impl Listener {
    /// Holds what was heard, if there is room; whether anybody still wants it.
    fn take(&mut self, heard: Heard) -> bool {
        if self.held.load(Ordering::Relaxed) >= HELD {
            let (topic, count) = match heard {
                Heard::Event { topic, .. } => (topic, 1),
                Heard::Lagged { topic, lost } => (topic, lost),
            };
            self.lost.get_or_insert((topic, 0)).1 += count;
            return true;
        }
        // That something is missing is told in its place.
        let lagged = self.lost.take().map(|(topic, lost)| Heard::Lagged { topic, lost });
        lagged.into_iter().chain([heard]).all(|heard| {
            self.held.fetch_add(size(&heard), Ordering::Relaxed);
            self.sender.send(Ok(heard)).is_ok()
        })
    }
}

fn size(heard: &Heard) -> usize {
    COST + match heard {
        Heard::Event { data, .. } => {
            data.get("data").and_then(|text| text.as_str()).map_or(0, str::len)
        }
        Heard::Lagged { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{json, Map};

    fn event(text: &str) -> Heard {
        let mut data = Map::new();
        data.insert("data".into(), json!(text));
        Heard::Event { topic: "LOGS:s".into(), data }
    }

    #[test]
    fn what_is_beyond_the_bound_is_counted_and_told_in_its_place() {
        let (mut listener, beside) = pair();
        listener.take(event(&"x".repeat(HELD - COST - 1)));
        assert!(listener.take(event("the last that fits")) && listener.lost.is_none());
        listener.take(event("lost"));
        listener.take(Heard::Lagged { topic: "LOGS:s".into(), lost: 2 });
        assert_eq!(listener.lost, Some(("LOGS:s".into(), 3)));
        let next = || beside.next().expect("sound").expect("more");
        next();
        assert!(listener.take(event("more")) && listener.lost.is_none());
        assert_eq!(next(), event("the last that fits"));
        assert_eq!(next(), Heard::Lagged { topic: "LOGS:s".into(), lost: 3 });
        assert_eq!(next(), event("more"));
        assert_eq!(beside.held.load(Ordering::Relaxed), 0);
        drop(beside);
        assert!(!listener.take(event("nobody wants it")));
    }
}
