//! What instances used in the last ten minutes, for charts: a ring of slots for each, of one length and one
//! grid for all. Nothing is measured for it: it notes what is measured anyway, and a slot in which nothing was
//! is a gap. It sets no timer. What is too old to be told is let go with the next measurement, or when the node
//! does anything at all after ten minutes without one.
//!
//! A ring belongs to a place of a job, `web.1`, and not to one process: what is restarted goes on in it, and
//! where another process begins is marked. The place may be filled anew while who was in it before is still
//! ending; then only the newer one is noted.

use std::time::{Duration, Instant, SystemTime};

use super::machine::Usage;
use crate::base::clock::Now;
use crate::base::ids::{JobId, Pid};
use crate::base::limits::{HISTORY_SLOTS, HISTORY_STEP};
use crate::base::sorted::SortedMap;

/// Whether there is a history, and who measures for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// There is none.
    Off,
    /// It has what is measured because somebody watches.
    #[default]
    Watched,
    /// The node itself watches.
    Always,
}

impl Keep {
    /// The words for them.
    pub const WORDS: [&str; 3] = ["off", "watched", "always"];

    /// By its word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "off" => Some(Self::Off),
            "watched" => Some(Self::Watched),
            "always" => Some(Self::Always),
            _ => None,
        }
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Watched => "watched",
            Self::Always => "always",
        }
    }
}

/// A place of a job, which one process after the other fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The job.
    pub job: JobId,
    /// Whether it is that of a one-off.
    pub once: bool,
    /// Its number, from 1.
    pub number: u32,
}

/// All rings.
#[derive(Default)]
pub struct UsageHistory {
    keep: Keep,
    rings: SortedMap<Place, Ring>,
    /// Where the grid begins, and when something was noted last; while there are rings.
    epoch: Option<Instant>,
    last: Option<Instant>,
}

/// The slots of one place: that of number `n` lies at `n` modulo their count.
struct Ring {
    /// The number of the newest one that was filled.
    newest: u64,
    /// Whose measurement that was.
    pid: Pid,
    /// The sum and the count of the shares of the CPU in it.
    cpu: (f64, u32),
    slots: Box<[Slot; HISTORY_SLOTS]>,
}

/// What is kept of a time of [`HISTORY_STEP`]: the mean of the CPU, and of the rest what was measured last.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// In tenths of a per cent, with the two marks; 0 where nothing was measured.
    cpu: u32,
    /// Resident memory in KiB.
    memory: u32,
    threads: u16,
    fds: u16,
}

/// The slot holds a measurement,
const FILLED: u32 = 1 << 31;
/// the first of another process than before.
const BEGINS: u32 = 1 << 30;

/// A slot as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Tenths of a per cent of one core.
    pub cpu: u32,
    /// Resident memory in bytes.
    pub memory: u64,
    /// Threads, 65,535 at the most.
    pub threads: u16,
    /// Descriptors, 65,535 at the most.
    pub fds: u16,
    /// Whether another process than before was measured.
    pub begins: bool,
}

/// A part of the grid, and the rings as they lie in it.
pub struct Window<'a> {
    history: &'a UsageHistory,
    first: u64,
    /// How many slots it has.
    pub length: u64,
    /// When the last of them ends.
    pub until: SystemTime,
}

impl UsageHistory {
    /// Without a measurement.
    pub fn new(keep: Keep) -> Self {
        Self { keep, ..Self::default() }
    }

    /// Whether there is one, and how.
    pub fn keep(&self) -> Keep {
        self.keep
    }

    /// How many rings there are.
    pub fn len(&self) -> usize {
        self.rings.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.rings.is_empty()
    }

    /// Lets go of everything when nothing was measured for as long as it is kept. It costs nothing to ask.
    pub fn expire(&mut self, now: Instant) {
        if self.is_over(now) {
            (self.rings, self.epoch, self.last) = (SortedMap::new(), None, None);
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| now.saturating_duration_since(last) >= whole())
    }

    /// Measurements are to be noted: the first since there was none begins the grid, with the clocks of those
    /// who watch if they have begun. Where a slot begins, rings without any left and those of places that are
    /// no more are let go.
    pub fn begin(
        &mut self,
        (clocks, now): (Option<Instant>, Instant),
        is_there: impl Fn(&Place) -> bool,
    ) {
        if self.keep == Keep::Off {
            return;
        }
        self.expire(now);
        let epoch = *self.epoch.get_or_insert(clocks.unwrap_or(now));
        let number = slot_at(epoch, now);
        if self.last.is_some_and(|last| slot_at(epoch, last) < number) {
            let oldest = number.saturating_sub(HISTORY_SLOTS as u64 - 1);
            self.rings.retain(|place, ring| ring.newest >= oldest && is_there(place));
        }
        self.last = Some(now);
    }

    /// Notes what the process in a place uses now, with its share of the CPU in per cent; after
    /// [`Self::begin`].
    pub fn note(&mut self, place: Place, pid: Pid, (usage, cpu): (&Usage, f64), now: Instant) {
        let Some(epoch) = self.epoch else { return };
        let number = slot_at(epoch, now);
        let ring = self.rings.entry(place).or_insert_with(|| Ring::new(number, pid));
        if place.once && pid > ring.pid {
            // A one-off that finds its number free has nothing in common with the one before.
            *ring = Ring::new(number, pid);
        }
        ring.note(number, pid, usage, cpu);
    }

    /// The slots that end after a time, up to the newest one; all that are kept without such a time. That of
    /// now is among them once something was measured in it. `None` if nothing is kept.
    pub fn window(&self, since: Option<SystemTime>, now: Now) -> Option<Window<'_>> {
        let (epoch, last) = self.epoch.zip(self.last).filter(|_| !self.is_over(now.mono))?;
        let current = slot_at(epoch, now.mono);
        let newest = match slot_at(epoch, last) == current {
            true => current,
            // As long as it has nothing it is no gap yet.
            false => current.saturating_sub(1),
        };
        let ends = slot_end(epoch, newest).saturating_duration_since(now.mono);
        let over = now.mono.saturating_duration_since(slot_end(epoch, newest));
        let until = (now.wall + ends).checked_sub(over).unwrap_or(now.wall);
        let kept = HISTORY_SLOTS as u64;
        let length = match since.map(|since| until.duration_since(since)) {
            None => kept,
            Some(Err(_)) => 0,
            Some(Ok(wanted)) => {
                let slots = wanted.as_nanos().div_ceil(HISTORY_STEP.as_nanos());
                u64::try_from(slots).unwrap_or(kept).min(kept)
            }
        };
        let length = length.min(newest + 1);
        Some(Window { history: self, first: newest + 1 - length, length, until })
    }
}

impl Window<'_> {
    /// The places that have something in it, each with the process that was measured there last.
    pub fn places(&self) -> impl Iterator<Item = (Place, Pid)> + '_ {
        let has = |(_, ring): &(&Place, &Ring)| self.of(ring).any(|told| told.is_some());
        self.history.rings.iter().filter(has).map(|(place, ring)| (*place, ring.pid))
    }

    /// The slots of a place, oldest first; `None` for a gap.
    pub fn slots(&self, place: &Place) -> impl Iterator<Item = Option<Told>> + '_ {
        self.history.rings.get(place).into_iter().flat_map(|ring| self.of(ring))
    }

    fn of<'r>(&self, ring: &'r Ring) -> impl Iterator<Item = Option<Told>> + 'r {
        (self.first..self.first + self.length).map(|number| ring.told(number))
    }

    /// Leaves away what lies before the first slot in which any of these places has something.
    #[must_use]
    pub fn trimmed(self, places: &[Place]) -> Self {
        let gap = |place: &Place| self.slots(place).take_while(Option::is_none).count();
        let empty = places.iter().map(gap).min().and_then(|gap| u64::try_from(gap).ok());
        let empty = empty.unwrap_or(0).min(self.length);
        Self { first: self.first + empty, length: self.length - empty, ..self }
    }
}

impl Ring {
    fn new(number: u64, pid: Pid) -> Self {
        let slots = Box::new([Slot::default(); HISTORY_SLOTS]);
        Self { newest: number, pid, cpu: (0.0, 0), slots }
    }

    fn note(&mut self, number: u64, pid: Pid, usage: &Usage, cpu: f64) {
        // The grid never goes back, and numbers of processes only grow.
        if pid < self.pid || number < self.newest {
            return;
        }
        let skipped = (self.newest + 1..=number).rev().take(HISTORY_SLOTS);
        for passed in skipped {
            *self.slot(passed) = Slot::default();
        }
        if number > self.newest || pid > self.pid {
            self.cpu = (0.0, 0);
        }
        let begins = pid > self.pid;
        (self.newest, self.pid) = (number, pid);
        self.cpu = (self.cpu.0 + cpu, self.cpu.1.saturating_add(1));
        let mean = self.cpu.0 / f64::from(self.cpu.1);
        let slot = self.slot(number);
        let mark = (slot.cpu & BEGINS) | if begins { BEGINS } else { 0 };
        *slot = Slot {
            cpu: tenths(mean) | mark | FILLED,
            memory: u32::try_from(usage.rss / 1024).unwrap_or(u32::MAX),
            threads: u16::try_from(usage.threads).unwrap_or(u16::MAX),
            fds: u16::try_from(usage.fds).unwrap_or(u16::MAX),
        };
    }

    fn slot(&mut self, number: u64) -> &mut Slot {
        let at = index(number);
        self.slots.get_mut(at).expect("a remainder is below what it was divided by")
    }

    fn told(&self, number: u64) -> Option<Told> {
        let kept = number <= self.newest && self.newest - number < HISTORY_SLOTS as u64;
        let slot = self.slots.get(index(number)).filter(|slot| kept && slot.cpu & FILLED != 0)?;
        Some(Told {
            cpu: slot.cpu & !(FILLED | BEGINS),
            memory: u64::from(slot.memory) * 1024,
            threads: slot.threads,
            fds: slot.fds,
            begins: slot.cpu & BEGINS != 0,
        })
    }
}

/// For how long anything is kept.
fn whole() -> Duration {
    HISTORY_STEP.saturating_mul(u32::try_from(HISTORY_SLOTS).unwrap_or(u32::MAX))
}

fn index(number: u64) -> usize {
    usize::try_from(number % HISTORY_SLOTS as u64).unwrap_or(0)
}

fn slot_at(epoch: Instant, at: Instant) -> u64 {
    let slots = at.saturating_duration_since(epoch).as_nanos() / HISTORY_STEP.as_nanos();
    u64::try_from(slots).unwrap_or(u64::MAX)
}

fn slot_end(epoch: Instant, number: u64) -> Instant {
    let slots = u32::try_from(number + 1).unwrap_or(u32::MAX);
    epoch + HISTORY_STEP.saturating_mul(slots)
}

/// Tenths of a per cent. What no machine has, a hundred million per cent, is cut.
fn tenths(cpu: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let tenths = (cpu * 10.0).round() as u32;
    tenths.min(BEGINS - 1)
}
