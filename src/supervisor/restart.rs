//! What follows an exit: restart policy, growing delay, flapping. One history an instance, judged
//! once per unplanned exit; planned ones (stop, scale, reload, restart) never come here.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::base::limits;
use crate::base::random::Random;

/// When a job that ended by itself is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Whatever happened.
    #[default]
    Always,
    /// When it did not end with one of its success codes.
    OnFailure,
    /// When it did.
    OnSuccess,
    /// Not at all.
    Never,
}

impl RestartPolicy {
    /// Whether it starts again what ended by itself, with one of its success codes or without.
    pub fn wants(self, success: bool) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => !success,
            Self::OnSuccess => success,
            Self::Never => false,
        }
    }
}

/// How the delay grows while a job keeps failing quickly: `min(max, base * factor^(n-1))`, spread
/// by ± `jitter`, with n the number of quick failures in a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The delay after the first quick failure.
    pub base: Duration,
    /// What each further one multiplies it by, 1 or more.
    pub factor: f64,
    /// What it never exceeds, before jitter.
    pub max: Duration,
    /// The share of the delay by which it is spread, 0 to 1.
    pub jitter: f64,
    /// Failures are forgotten after a run of at least this length.
    pub reset_after: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(500),
            factor: 2.0,
            max: Duration::from_secs(30),
            jitter: 0.2,
            reset_after: Duration::from_secs(60),
        }
    }
}

/// When a job counts as flapping, and what then. The original's keys and defaults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flapping {
    /// This many unplanned exits,
    pub attempts: u32,
    /// within this time, are one episode:
    pub window: Duration,
    /// pause for so long, then try again,
    pub retry_in: Duration,
    /// at most this many times; `None` never gives up.
    pub max_retry: Option<u32>,
}

impl Default for Flapping {
    fn default() -> Self {
        Self {
            attempts: 2,
            window: Duration::from_secs(1),
            retry_in: Duration::from_secs(7),
            max_retry: Some(5),
        }
    }
}

/// The rules of one job, as its instances' histories are judged by them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// Whether to start again at all.
    pub policy: RestartPolicy,
    /// The delay's growth; `None` is the default growth, which gives way to flapping's window.
    pub backoff: Option<Backoff>,
    /// Flapping detection, off unless configured.
    pub flapping: Option<Flapping>,
    /// A run at least this long did not fail quickly.
    pub min_uptime: Duration,
}

/// How a run ended by itself.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// It exited with one of its success codes.
    pub success: bool,
    /// It never became the program.
    pub spawn_failed: bool,
    /// How long it ran.
    pub ran: Duration,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Start again at once.
    Again,
    /// Start again after a delay.
    After(Duration),
    /// An episode of flapping: pause.
    Pause(Duration),
    /// The policy says it is done.
    Done,
    /// Too many episodes: give up.
    GiveUp {
        /// How many there were.
        episodes: u32,
    },
}

/// What an instance remembers of its unplanned exits.
#[derive(Clone, Debug, Default)]
pub struct History {
    quick_failures: u32,
    /// Nothing before the first: most instances have none.
    #[expect(clippy::box_collection, reason = "a word for each of those is less than four")]
    recent: Option<Box<VecDeque<Instant>>>,
    episodes: u32,
}

impl History {
    /// Quick failures in a row.
    pub fn quick_failures(&self) -> u32 {
        self.quick_failures
    }

    /// Flapping episodes in a row.
    pub fn episodes(&self) -> u32 {
        self.episodes
    }

    /// Remembers this exit and says what follows it.
    pub fn judge(
        &mut self,
        rules: &Rules,
        outcome: Outcome,
        now: Instant,
        random: &mut Random,
    ) -> Verdict {
        let backoff = rules.backoff.unwrap_or_default();
        if outcome.ran >= backoff.reset_after {
            *self = Self::default();
        }
        if !rules.policy.wants(outcome.success) {
            return Verdict::Done;
        }
        if let Some(flapping) = &rules.flapping {
            if self.flaps(flapping, now) {
                self.episodes += 1;
                self.recent = None;
                self.quick_failures = 0;
                return match flapping.max_retry {
                    Some(max) if self.episodes > max => Verdict::GiveUp { episodes: self.episodes },
                    Some(_) | None => Verdict::Pause(flapping.retry_in),
                };
            }
        }
        if outcome.ran >= rules.min_uptime && !outcome.spawn_failed {
            return Verdict::Again;
        }
        self.quick_failures = self.quick_failures.saturating_add(1);
        Verdict::After(self.delay(rules, &backoff, random))
    }

    fn flaps(&mut self, flapping: &Flapping, now: Instant) -> bool {
        let recent = self.recent.get_or_insert_default();
        recent.push_back(now);
        let attempts = usize::try_from(flapping.attempts).unwrap_or(usize::MAX);
        while recent.len() > attempts.min(limits::FLAPPING_ATTEMPTS) {
            recent.pop_front();
        }
        let oldest = recent.front().copied().unwrap_or(now);
        recent.len() >= attempts && now.duration_since(oldest) <= flapping.window
    }

    fn delay(&self, rules: &Rules, backoff: &Backoff, random: &mut Random) -> Duration {
        let power = f64::from(self.quick_failures.saturating_sub(1));
        // Infinity times nothing is no number: no delay stays none however often it is doubled.
        let growth = backoff.factor.powf(power).min(f64::MAX);
        let grown = backoff.base.as_secs_f64() * growth;
        let mut seconds = grown.min(backoff.max.as_secs_f64());
        if let (Some(flapping), None) = (&rules.flapping, &rules.backoff) {
            // A delay that outgrew the window would hide the flapping from its detection. Where
            // the job states its own delays as well, it is taken at its word.
            let spread = flapping.window.as_secs_f64() / f64::from(flapping.attempts.max(1));
            seconds = seconds.min(spread * 0.8);
        }
        let spread = seconds * backoff.jitter * random.signed_unit();
        Duration::from_secs_f64((seconds + spread).max(0.0))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;

    const FAILED: Outcome =
        Outcome { success: false, spawn_failed: false, ran: Duration::from_millis(10) };

    fn rules() -> Rules {
        Rules { min_uptime: Duration::from_secs(1), ..Rules::default() }
    }

    #[test]
    fn the_delay_grows_to_its_cap_within_its_jitter() {
        let (mut history, mut random) = (History::default(), Random::seeded(1));
        let mut now = Instant::now();
        for expected in [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] {
            let Verdict::After(delay) = history.judge(&rules(), FAILED, now, &mut random) else {
                panic!("a quick failure is delayed");
            };
            let ratio = delay.as_secs_f64() / expected;
            assert!((0.8..=1.2).contains(&ratio), "{delay:?} for {expected}");
            now += delay + FAILED.ran;
        }
        let healthy = Outcome { ran: Duration::from_secs(2), ..FAILED };
        assert_eq!(history.judge(&rules(), healthy, now, &mut random), Verdict::Again);
        assert_eq!(history.quick_failures(), 8, "a short good run does not forget");
        let long = Outcome { ran: Duration::from_secs(60), ..FAILED };
        assert_eq!(history.judge(&rules(), long, now, &mut random), Verdict::Again);
        assert_eq!(history.quick_failures(), 0);
    }

    #[test]
    fn no_delay_stays_none_after_thousands_of_failures() {
        let backoff = Backoff { base: Duration::ZERO, ..Backoff::default() };
        let rules = Rules { backoff: Some(backoff), ..rules() };
        let (mut history, mut random) = (History::default(), Random::seeded(1));
        for _ in 0..2_000 {
            let verdict = history.judge(&rules, FAILED, Instant::now(), &mut random);
            assert_eq!(verdict, Verdict::After(Duration::ZERO));
        }
    }

    #[test]
    fn policies_look_at_success() {
        let good = Outcome { success: true, ..FAILED };
        let verdict = |policy, outcome| {
            let rules = Rules { policy, ..rules() };
            let mut random = Random::seeded(1);
            History::default().judge(&rules, outcome, Instant::now(), &mut random) == Verdict::Done
        };
        assert!(!verdict(RestartPolicy::Always, good));
        assert!(verdict(RestartPolicy::OnFailure, good));
        assert!(!verdict(RestartPolicy::OnFailure, FAILED));
        assert!(verdict(RestartPolicy::OnSuccess, FAILED));
        assert!(verdict(RestartPolicy::Never, FAILED));
    }

    /// Counts the spawns until a program that exits at once is given up.
    fn spawns_until_given_up(flapping: Flapping) -> u32 {
        let rules = Rules { flapping: Some(flapping), ..rules() };
        let (mut history, mut random) = (History::default(), Random::seeded(7));
        let mut now = Instant::now();
        for spawns in 1..1000 {
            match history.judge(&rules, FAILED, now, &mut random) {
                Verdict::After(delay) | Verdict::Pause(delay) => now += delay + FAILED.ran,
                Verdict::GiveUp { .. } => return spawns,
                Verdict::Again | Verdict::Done => panic!("it fails quickly"),
            }
        }
        panic!("never given up");
    }

    #[test]
    fn flapping_gives_up_after_max_retry_whatever_the_window() {
        let flapping = Flapping { max_retry: Some(2), ..Flapping::default() };
        assert_eq!(spawns_until_given_up(flapping), 6);
        let eager = Flapping { attempts: 5, max_retry: Some(1), ..Flapping::default() };
        assert_eq!(spawns_until_given_up(eager), 10);
        let once = Flapping { max_retry: Some(0), ..Flapping::default() };
        assert_eq!(spawns_until_given_up(once), 2);
    }

    #[test]
    fn exits_far_apart_are_not_flapping() {
        let rules = Rules { flapping: Some(Flapping::default()), ..rules() };
        let (mut history, mut random) = (History::default(), Random::seeded(7));
        let mut now = Instant::now();
        let steady = Outcome { ran: Duration::from_secs(2), ..FAILED };
        for _ in 0..20 {
            assert_eq!(history.judge(&rules, steady, now, &mut random), Verdict::Again);
            now += steady.ran;
        }
    }
}
