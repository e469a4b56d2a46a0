//! What a socket is owed: bytes written once by the machine and taken away from the front by the
//! shell as the kernel accepts them.

/// A queue of bytes with a cursor. Space is given back when it runs empty.
#[derive(Default)]
pub struct Outbound {
    bytes: Vec<u8>,
    taken: usize,
}

/// Above this much unused space, an emptied queue gives its memory back.
const KEEP: usize = 4 * 1024;

impl Outbound {
    /// Adds bytes at the end. A queue that never runs empty does not grow for ever: once half of it
    /// is taken, the rest moves down, which costs at most one move for every byte taken.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken > KEEP && self.taken >= self.bytes.len() / 2 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Adds bytes at the end, without a copy if nothing else is owed.
    pub fn push_owned(&mut self, bytes: Vec<u8>) {
        if self.is_empty() {
            *self = Self { bytes, taken: 0 };
        } else {
            self.push(&bytes);
        }
    }

    /// What is still owed, oldest first.
    pub fn pending(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// The kernel took `n` bytes; more than were pending counts as all of them.
    pub fn advance(&mut self, n: usize) {
        self.taken = self.taken.saturating_add(n).min(self.bytes.len());
        if self.taken < self.bytes.len() {
            return;
        }
        self.taken = 0;
        if self.bytes.capacity() > KEEP {
            self.bytes = Vec::new();
        } else {
            self.bytes.clear();
        }
    }

    /// How much memory it holds.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// How many bytes are owed.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// Whether nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_from_the_front_and_memory_is_given_back() {
        let mut owed = Outbound::default();
        owed.push(&vec![b'x'; 3 * KEEP]);
        owed.push(b"end");
        owed.advance(3 * KEEP);
        assert_eq!(owed.pending(), b"end");
        owed.advance(99);
        assert!(owed.is_empty());
        assert_eq!(owed.bytes.capacity(), 0);
    }

    #[test]
    fn a_queue_that_never_runs_empty_stays_small() {
        let mut owed = Outbound::default();
        for _ in 0..1000 {
            owed.push(&[b'x'; 1000]);
            owed.advance(owed.len() - 1);
        }
        assert_eq!(owed.len(), 1);
        assert!(owed.bytes.capacity() <= 4 * KEEP, "{}", owed.bytes.capacity());
    }

    #[test]
    fn owned_bytes_come_behind_those_still_owed() {
        let mut owed = Outbound::default();
        owed.push_owned(b"one".to_vec());
        owed.advance(1);
        owed.push_owned(b" two".to_vec());
        assert_eq!(owed.pending(), b"ne two");
    }
}
