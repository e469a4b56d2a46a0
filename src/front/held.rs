//! What connections hold in memory, all together, and which of them holds most: what any of them may hold is
//! bounded for itself, but ten thousand times that is not. And since when each has waited for its client.

use std::time::Instant;

use super::conn::{Conn, State};
use crate::base::ids::ConnId;
use crate::base::limits;
use crate::base::sorted::{SortedMap, SortedSet};

/// What all of them hold, but for those that hold little.
#[derive(Default)]
pub(super) struct Held {
    by_conn: SortedMap<ConnId, usize>,
    by_size: SortedSet<(usize, ConnId)>,
    total: usize,
}

impl Held {
    /// A connection holds so many bytes.
    pub(super) fn set(&mut self, id: ConnId, size: usize) {
        let counted = (size >= limits::CONNECTION_LITTLE).then_some(size);
        let before = match counted {
            Some(size) => self.by_conn.insert(id, size),
            None => self.by_conn.remove(&id),
        };
        if before == counted {
            return;
        }
        if let Some(before) = before {
            self.by_size.remove(&(before, id));
            self.total -= before;
        }
        if let Some(size) = counted {
            self.by_size.insert((size, id));
            self.total += size;
        }
    }

    /// Whoever holds most, where all together hold too much.
    pub(super) fn too_much(&self) -> Option<ConnId> {
        let largest = self.by_size.last().filter(|_| self.total > limits::CONNECTIONS_HELD);
        largest.map(|(_, id)| *id)
    }

    /// How much it is.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// What is counted for one of them.
    pub(super) fn of(&self, id: ConnId) -> usize {
        self.by_conn.get(&id).copied().unwrap_or_default()
    }
}

impl Conn {
    /// How much memory its buffers hold.
    pub fn held(&self) -> usize {
        let of_state = match &self.state {
            State::Body(reading) => reading.body.capacity(),
            State::Ready(ready) => ready.0.body.capacity(),
            State::Socket(socket) => socket.held(),
            State::Fresh
            | State::Idle
            | State::Head(_)
            | State::Answering(_)
            | State::Streaming(_)
            | State::Discarding { .. }
            | State::Closed => 0,
        };
        self.input.capacity() + self.owed.capacity() + of_state
    }

    /// Since when it has waited for the peer to say something: its next request, or the rest of one.
    pub fn waits_since(&self) -> Option<Instant> {
        match self.state {
            State::Fresh | State::Idle | State::Head(_) | State::Body(_) => Some(self.since),
            State::Ready(_)
            | State::Answering(_)
            | State::Streaming(_)
            | State::Socket(_)
            | State::Discarding { .. }
            | State::Closed => None,
        }
    }
}
