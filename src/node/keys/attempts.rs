//! Who fails too often. Each place that logins come from, and each user that they are for, has so many
//! tries, and gets one back every few seconds; a login that succeeds gives all back. Only failures count,
//! and what nobody has tried for a while is forgotten.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::base::limits;
use crate::base::sorted::{SortedMap, SortedSet};

/// Where tries are counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Logins from an address; of IPv6 all that one site usually has (RFC 6177).
    Place(IpAddr),
    /// Logins from a user of this machine.
    Local(u32),
    /// Logins as this user.
    User(String),
}

/// All that have failed.
#[derive(Default)]
pub struct Attempts {
    /// When each has all its tries again,
    whole_at: SortedMap<Source, Instant>,
    /// and in that order, so that a thousand tries at once do not each look at all that are remembered.
    by_time: SortedSet<(Instant, Source)>,
}

/// What remains of an address: those of a /64 are one place.
pub fn place_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
    }
}

impl Attempts {
    /// How long one has to wait until he may try again; `None` for not at all.
    pub fn pause(&self, source: &Source, now: Instant) -> Option<Duration> {
        let whole = *self.whole_at.get(source)?;
        let allowed = limits::LOGIN_PAUSE * (limits::LOGIN_BURST - 1);
        let due = whole.saturating_duration_since(now);
        due.checked_sub(allowed).filter(|pause| !pause.is_zero())
    }

    /// A login failed, or is tried and counts as failed until it is not.
    pub fn count(&mut self, source: Source, now: Instant) {
        while self.by_time.first().is_some_and(|(whole, _)| *whole <= now) {
            self.forget_first();
        }
        if self.whole_at.len() >= limits::LOGIN_SOURCES && !self.whole_at.contains_key(&source) {
            // The one that has failed least is forgotten.
            self.forget_first();
        }
        let before = self.whole_at.get(&source).copied();
        self.forgive(&source);
        let whole = before.unwrap_or(now).max(now) + limits::LOGIN_PAUSE;
        self.by_time.insert((whole, source.clone()));
        self.whole_at.insert(source, whole);
    }

    fn forget_first(&mut self) {
        if let Some((_, source)) = self.by_time.pop_first() {
            self.whole_at.remove(&source);
        }
    }

    /// A login succeeded.
    pub fn forgive(&mut self, source: &Source) {
        if let Some(whole) = self.whole_at.remove(source) {
            self.by_time.remove(&(whole, source.clone()));
        }
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.whole_at.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.whole_at.is_empty()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;

    fn joe() -> Source {
        Source::User("joe".into())
    }

    #[test]
    fn who_fails_too_often_waits_and_gets_one_try_back_at_a_time() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        for n in 0..limits::LOGIN_BURST {
            assert_eq!(attempts.pause(&joe(), now), None, "{n}");
            attempts.count(joe(), now);
        }
        assert_eq!(attempts.pause(&joe(), now), Some(limits::LOGIN_PAUSE));
        assert_eq!(attempts.pause(&Source::Local(1), now), None);
        let later = now + limits::LOGIN_PAUSE;
        assert_eq!(attempts.pause(&joe(), later), None);
        attempts.count(joe(), later);
        assert_eq!(attempts.pause(&joe(), later), Some(limits::LOGIN_PAUSE));
        attempts.forgive(&joe());
        assert_eq!(attempts.pause(&joe(), later), None);
    }

    #[test]
    fn so_many_sources_are_remembered_and_the_worst_of_all_is() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        for _ in 0..=limits::LOGIN_BURST {
            attempts.count(joe(), now);
        }
        for n in 0..limits::LOGIN_SOURCES {
            attempts.count(Source::User(n.to_string()), now);
        }
        assert_eq!(attempts.len(), limits::LOGIN_SOURCES);
        assert!(attempts.pause(&joe(), now).is_some());
        attempts.count(Source::Local(0), now + limits::LOGIN_PAUSE * 100);
        assert_eq!(attempts.len(), 1);
        attempts.forgive(&Source::Local(0));
        assert!(attempts.is_empty() && attempts.by_time.is_empty());
    }

    #[test]
    fn neighbours_are_one_place() {
        let place = |text: &str| place_of(text.parse().expect("an address"));
        assert_eq!(place("2001:db8:1:2::5"), place("2001:db8:1:2:ffff::"));
        assert_ne!(place("2001:db8:1:2::5"), place("2001:db8:1:3::5"));
        assert_eq!(place("::ffff:10.0.0.1"), place("10.0.0.1"));
        assert_ne!(place("10.0.0.1"), place("10.0.0.2"));
    }
}
