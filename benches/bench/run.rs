//! How a benchmark is to be run: in earnest, or quickly, as a test that it still measures what it says.

/// How a benchmark is to be run.
pub(crate) struct Run {
    /// How many there are to be of what it counts, if that is said.
    number: Option<usize>,
    quick: bool,
}

impl Run {
    /// In earnest, with so many if that is said.
    pub(crate) fn in_earnest(number: Option<usize>) -> Self {
        Self { number, quick: false }
    }

    /// As a test: with few, once, and without a word.
    pub(crate) fn quickly() -> Self {
        Self { number: None, quick: true }
    }

    /// How many: as is said, else as usual; in a test, just enough to have some.
    pub(crate) fn count(&self, usual: usize, few: usize) -> usize {
        match self.quick {
            true => few,
            false => self.number.unwrap_or(usual),
        }
    }

    /// How many, where a gafferd on this machine has room for no more than so many of them.
    pub(crate) fn most(&self, (what, room): (&str, usize), usual: usize, few: usize) -> usize {
        let wanted = self.count(usual, few);
        if wanted > room {
            self.say(&format!("the limit of descriptors lets a gafferd have {room} {what} here"));
        }
        wanted.min(room)
    }

    /// What nobody says: as usual, or less in a test.
    pub(crate) fn either<T>(&self, usual: T, quick: T) -> T {
        match self.quick {
            true => quick,
            false => usual,
        }
    }

    /// Prints a line of the result. A test has none, for its times mean nothing.
    pub(crate) fn say(&self, line: &str) {
        if !self.quick {
            println!("{line}");
        }
    }
}
