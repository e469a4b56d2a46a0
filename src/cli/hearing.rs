//! Waiting for what a node says, for as long as somebody reads what is printed of it: `gaffer events | head`
//! ends with `head`, and not with the next event.

use std::io;
use std::os::fd::AsFd as _;
use std::time::Instant;

use super::failure::Failure;
use crate::client::{Body, Channel, Error, Heard, Look};
use crate::sys::fds::{wait_for_input, Woken};

/// What a wait ended with.
#[derive(Debug)]
pub enum Next {
    /// The node said this.
    Heard(Heard),
    /// It has ended the conversation.
    Ended,
    /// The time is over, or a signal came.
    Time,
}

/// What the node says next; `None` when it has ended the conversation.
///
/// # Errors
/// The connection broke, or nobody reads what is printed any more.
pub fn hear(channel: &mut Channel) -> Result<Option<Heard>, Failure> {
    loop {
        match hear_until(channel, None)? {
            Next::Heard(heard) => return Ok(Some(heard)),
            Next::Ended => return Ok(None),
            Next::Time => {}
        }
    }
}

/// The same up to a moment.
///
/// # Errors
/// As [`hear`].
pub fn hear_until(channel: &mut Channel, deadline: Option<Instant>) -> Result<Next, Failure> {
    let stdout = io::stdout();
    loop {
        match channel.look().map_err(lost)? {
            Look::Heard(heard) => return Ok(Next::Heard(heard)),
            Look::Ended => return Ok(Next::Ended),
            Look::Nothing => {}
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(now()));
        match wait_for_input(channel.as_fd(), stdout.as_fd(), left) {
            Woken::Input => {}
            Woken::Unread => return Err(Failure::Gone),
            Woken::Time => return Ok(Next::Time),
        }
    }
}

/// Why what is followed does not go on. A node to which the connection broke is gone.
pub fn lost(error: Error) -> Failure {
    if matches!(error, Error::Broken(_)) {
        Failure::NoNode(error.to_string())
    } else {
        error.into()
    }
}

/// The next bytes of what goes on; `None` at its end.
///
/// # Errors
/// The connection broke, or nobody reads what is printed any more.
pub fn read(body: &mut Body) -> Result<Option<Vec<u8>>, Failure> {
    let stdout = io::stdout();
    loop {
        if let Some(next) = body.look()? {
            return Ok(next);
        }
        match wait_for_input(body.as_fd(), stdout.as_fd(), None) {
            Woken::Input | Woken::Time => {}
            Woken::Unread => return Err(Failure::Gone),
        }
    }
}

/// This moment, to measure from.
pub fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a command has no reactor that reads the clock")]
    Instant::now()
}
