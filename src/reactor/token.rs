//! What an event of the poll is about. A token holds the slot and the generation of its source, so
//! that one that comes late for a closed source finds nothing.

use mio::Token;

use crate::base::arena::Key;
use crate::base::ids::{ConnId, InstanceId, LinkId, StreamNo};

/// Something registered with the poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A listening socket, by its place in the list of them.
    Listener(usize),
    /// The pipe of the signal handlers.
    Signals,
    /// The worker has finished something.
    Waker,
    /// A client.
    Conn(ConnId),
    /// A connection of ours.
    Link(LinkId),
    /// A stream of a child.
    Pipe(InstanceId, StreamNo),
    /// A process that is no child of ours.
    Watched(InstanceId),
}

/// The key of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceId(Key);

impl From<Key> for SourceId {
    fn from(key: Key) -> Self {
        Self(key)
    }
}

impl From<SourceId> for Key {
    fn from(id: SourceId) -> Self {
        id.0
    }
}

/// Half of a token's bits are the slot, half the generation.
const HALF: u32 = usize::BITS / 2;
const LOW: usize = (1 << HALF) - 1;

impl SourceId {
    /// Its token. On 32-bit machines 65,536 sources and as many generations are told apart.
    pub fn token(self) -> Token {
        let half = |n: u32| usize::try_from(n).unwrap_or(LOW) & LOW;
        Token(half(self.0.index) | half(self.0.generation) << HALF)
    }

    /// The source of a token.
    pub fn of(token: Token) -> Self {
        let part = |bits: usize| u32::try_from(bits & LOW).unwrap_or(u32::MAX);
        Self(Key { index: part(token.0), generation: part(token.0 >> HALF) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_its_source() {
        for (index, generation) in [(0, 0), (1, 7), (65_535, 65_535)] {
            let id = SourceId(Key { index, generation });
            assert_eq!(SourceId::of(id.token()), id);
        }
    }
}
