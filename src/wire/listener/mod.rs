//! The protocol of supervisor's event listeners, from the side that has the events (supervisor's documentation,
//! "Events"): which kinds there are, how an event is written to a listener's standard input, and what that says
//! on its standard output ([`talk`]). Listeners count a message's length in bytes, as the documentation has it,
//! or in characters: what is written here is ASCII, so that both are right.

pub mod kinds;
pub mod talk;

use std::fmt::Write as _;

use crate::base::limits;

/// What stands in each head for who speaks.
const SERVER: &str = "gaffer";

/// An event, as all who hear it are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number among all events.
    pub serial: u64,
    /// What it is: one of [`kinds::KINDS`] that happens.
    pub kind: &'static str,
    /// What is said of it, in ASCII.
    pub payload: String,
}

impl Event {
    /// Its message to a pool's listener. The number is its own in that pool.
    pub fn message(&self, pool: &str, pool_serial: u64) -> String {
        let Self { serial, kind, payload } = self;
        let (pool, length) = (token(pool), payload.len());
        format!(
            "ver:3.0 server:{SERVER} serial:{serial} pool:{pool} poolserial:{pool_serial} \
             eventname:{kind} len:{length}\n{payload}"
        )
    }
}

/// A value of a head: those are split at blanks and colons by whoever reads them.
pub fn token(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() && c != ':' { c } else { '_' };
    text.chars().map(plain).collect()
}

/// The pieces of what a process wrote, each short enough for one message.
pub fn pieces(bytes: &[u8]) -> impl Iterator<Item = String> + '_ {
    bytes.chunks(limits::LISTENER_PIECE).map(ascii)
}

/// Output in ASCII: any other byte is told as `\xNN`.
fn ascii(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte.is_ascii() {
            true => text.push(char::from(*byte)),
            // Writing to a text does not fail.
            false => drop(write!(text, "\\x{byte:02x}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_its_head_and_as_much_as_that_says() {
        let payload = "when:1483574065".to_owned();
        let event = Event { serial: 21, kind: "TICK_5", payload };
        let head = "ver:3.0 server:gaffer serial:21 pool:default.ear_1 poolserial:3 eventname:TICK_5 len:15";
        assert_eq!(event.message("default.ear 1", 3), format!("{head}\nwhen:1483574065"));
    }

    #[test]
    fn output_comes_in_pieces_that_are_as_long_in_bytes_as_in_characters() {
        assert_eq!(pieces("né\n".as_bytes()).collect::<Vec<_>>(), ["n\\xc3\\xa9\n"]);
        let count = |length: usize| pieces(&vec![b'x'; length]).count();
        let most = limits::LISTENER_PIECE;
        assert_eq!([count(0), count(most), count(most + 1)], [0, 1, 2]);
        assert_eq!(token("a b:c\u{e9}"), "a_b_c_");
    }
}
