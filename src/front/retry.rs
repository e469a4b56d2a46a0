//! When something that was lost is tried again: after a time that doubles with each loss in a row, less any
//! part of its half, so that those who lost it together do not come back together, and none at once.

use std::time::Duration;

use crate::base::limits;
use crate::base::random::Random;

/// Losses in a row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retry {
    losses: u32,
}

impl Retry {
    /// Something was lost that had lasted so long; gives how long to wait, which is `most` at the most.
    pub fn lost(&mut self, lived: Duration, most: Duration, random: &mut Random) -> Duration {
        if lived >= limits::LOOKUPD_STABLE {
            self.losses = 0;
        }
        let growing = limits::LOOKUPD_RETRY.saturating_mul(1 << self.losses.min(16));
        self.losses = self.losses.saturating_add(1);
        part_of(growing.min(most), random)
    }

    /// How many there were.
    pub fn losses(self) -> u32 {
        self.losses
    }
}

/// A time, less any part of its half, to the millisecond ("equal jitter").
fn part_of(most: Duration, random: &mut Random) -> Duration {
    let half = u64::try_from(most.as_millis()).unwrap_or(u64::MAX) / 2;
    Duration::from_millis(half + random.below(half.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_begin_anew_after_what_lasted() {
        let mut random = Random::seeded(1);
        let times = |losses: u32, random: &mut Random| -> Vec<Duration> {
            let lost = |_| Retry { losses }.lost(Duration::ZERO, Duration::from_secs(3), random);
            (0..200).map(lost).collect()
        };
        let longest =
            |losses, random: &mut Random| times(losses, random).into_iter().max().expect("some");
        let shortest =
            |losses, random: &mut Random| times(losses, random).into_iter().min().expect("some");
        for (losses, most) in [(0, 500), (1, 1000), (2, 2000), (3, 3000), (60, 3000)] {
            let shortest = shortest(losses, &mut random).as_millis();
            assert!(shortest >= most / 2 && shortest < most * 6 / 10, "{losses}: {shortest}");
            let longest = longest(losses, &mut random).as_millis();
            assert!(longest <= most && longest > most * 9 / 10, "{losses}: {longest}");
        }
        let mut retry = Retry { losses: 5 };
        retry.lost(limits::LOOKUPD_STABLE - Duration::from_millis(1), Duration::ZERO, &mut random);
        assert_eq!(retry.losses(), 6);
        retry.lost(limits::LOOKUPD_STABLE, Duration::ZERO, &mut random);
        assert_eq!(retry.losses(), 1);
    }
}
