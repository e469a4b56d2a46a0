//! Room for what is read at a time, which is there only while something is read now and then: all who are read share
//! it, and what is read is handed on before the next.

/// The room.
#[derive(Default)]
pub(super) struct Scratch(Vec<u8>);

impl Scratch {
    /// So many bytes. What is in them is of before.
    pub(super) fn room(&mut self, size: usize) -> &mut [u8] {
        if self.0.len() < size {
            self.0 = vec![0; size];
        }
        &mut self.0[..size]
    }

    /// Gives its memory back until something is read again.
    pub(super) fn let_go(&mut self) {
        self.0 = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_when_it_is_asked_for() {
        let mut scratch = Scratch::default();
        assert_eq!(scratch.room(8).len(), 8);
        assert_eq!(scratch.room(3).len(), 3);
        scratch.let_go();
        assert_eq!(scratch.0.capacity(), 0);
        assert_eq!(scratch.room(5).len(), 5);
    }
}
