//! How long turns of a loop took: how many were within which bounds, and their sum.

use std::time::Duration;

/// Up to which time a turn counts to which of them, in microseconds.
pub const BOUNDS: [u32; 12] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 1_000_000, 10_000_000];

/// All turns since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turns {
    counts: [u64; BOUNDS.len()],
    beyond: u64,
    sum: Duration,
    longest: Duration,
}

impl Turns {
    /// One more. Most turns are short, so that this is a comparison and two additions.
    pub fn add(&mut self, took: Duration) {
        self.sum += took;
        self.longest = self.longest.max(took);
        let within = |bound: &u32| took <= Duration::from_micros((*bound).into());
        let place = BOUNDS.iter().position(within).and_then(|at| self.counts.get_mut(at));
        *place.unwrap_or(&mut self.beyond) += 1;
    }

    /// Up to which times, in seconds, how many took longer than the time before.
    pub fn counts(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        BOUNDS.iter().map(|bound| f64::from(*bound) / 1e6).zip(self.counts)
    }

    /// How many took longer than all of these.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// How long all of them took.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// How long the longest took.
    pub fn longest(&self) -> Duration {
        self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_turn_counts_once_and_to_the_first_bound_that_holds_it() {
        let mut turns = Turns::default();
        for micros in [0, 100, 101, 10_000_000, 10_000_001] {
            turns.add(Duration::from_micros(micros));
        }
        let counts: Vec<u64> = turns.counts().map(|(_, count)| count).collect();
        assert_eq!(counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(turns.beyond(), 1);
        assert_eq!(turns.sum(), Duration::from_micros(20_000_202));
        assert_eq!(turns.longest(), Duration::from_micros(10_000_001));
        assert_eq!(turns.counts().map(|(bound, _)| bound).next(), Some(0.0001));
        assert!(BOUNDS.is_sorted());
    }
}
