//! What of a node stands in an etcd, against what is true now: the difference is all that is ever written.
//! Each job is one key, and what is written is what is so when its turn comes.

use super::told::{Stale, Truth};
use crate::base::limits;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::supervisor::name::JobName;

/// What stands there, and where that may differ from what is true.
#[derive(Default)]
pub(super) struct Kept {
    jobs: SortedMap<JobName, There>,
    /// Jobs to look at: each is loaded, or stands there, or is under way.
    stale: Stale,
    /// Keys below the node's own that are no jobs.
    strays: Vec<Vec<u8>>,
    /// What is being written: nobody knows yet whether it stands there.
    flight: Vec<Change>,
    /// What stood there, while it is read again.
    before: SortedMap<JobName, There>,
}

/// A job that stands there.
struct There {
    /// The processes that stand there, if that is known.
    pids: Option<SortedSet<u64>>,
    /// When it was written.
    revision: i64,
}

/// Something to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A job, with its processes.
    Put(JobName, SortedSet<u64>),
    /// It is not loaded any more.
    Delete(JobName),
    /// A key that is none of a job.
    Stray(Vec<u8>),
}

impl Change {
    fn is_of(&self, job: &JobName) -> bool {
        match self {
            Self::Put(name, _) | Self::Delete(name) => name == job,
            Self::Stray(_) => false,
        }
    }
}

impl Kept {
    /// It is read again. Without `trust` nothing that was known of it holds.
    pub(super) fn begin_reading(&mut self, trust: Trust) {
        let known = std::mem::take(self);
        self.before = match trust {
            Trust::Same => known.jobs,
            Trust::None => SortedMap::new(),
        };
    }

    /// A job stands there, written at this revision.
    pub(super) fn found(&mut self, job: JobName, revision: i64) {
        let known = self.before.remove(&job).filter(|there| there.revision == revision);
        self.jobs.insert(job, known.unwrap_or(There { pids: None, revision }));
    }

    /// A key stands there that is no job. Those beyond a page wait until it is read again.
    pub(super) fn found_stray(&mut self, key: Vec<u8>) {
        if u64::try_from(self.strays.len()).is_ok_and(|count| count < limits::ETCD_PAGE) {
            self.strays.push(key);
        }
    }

    /// All of it is read.
    pub(super) fn end_reading(&mut self, truth: &dyn Truth) {
        self.before.clear();
        self.note_all(truth);
    }

    fn knows(&self, job: &JobName) -> bool {
        self.jobs.contains_key(job) || self.flight.iter().any(|change| change.is_of(job))
    }

    /// Something about a job may have changed.
    pub(super) fn note(&mut self, job: &JobName, truth: &dyn Truth) {
        if self.knows(job) || truth.pids(job).is_some() {
            self.stale.insert(job.clone());
        } else {
            self.stale.remove(job);
        }
    }

    /// Anything may have changed.
    pub(super) fn note_all(&mut self, truth: &dyn Truth) {
        let flight = self.flight.iter().filter_map(|change| match change {
            Change::Put(job, _) | Change::Delete(job) => Some(job),
            Change::Stray(_) => None,
        });
        let known = self.jobs.keys().chain(flight).cloned();
        self.stale.replace(truth.jobs().into_iter().chain(known));
    }

    /// What to write next, as much as goes at once; nothing while something is under way.
    pub(super) fn next(&mut self, truth: &dyn Truth) -> &[Change] {
        if !self.flight.is_empty() {
            return &[];
        }
        let strays = self.strays.len().min(limits::ETCD_OPS);
        self.flight.extend(self.strays.drain(..strays).map(Change::Stray));
        let mut bytes = 0;
        while self.flight.len() < limits::ETCD_OPS && bytes < limits::ETCD_VALUES {
            let Some(job) = self.stale.next() else { break };
            self.stale.remove(&job);
            let there = self.jobs.get(&job);
            match truth.pids(&job) {
                None if there.is_some() => self.flight.push(Change::Delete(job)),
                None => {}
                Some(pids) if there.is_some_and(|there| there.pids.as_ref() == Some(&pids)) => {}
                Some(pids) => {
                    // Numbers of six digits, and what stands between them.
                    bytes += 8 * pids.len() + 16;
                    self.flight.push(Change::Put(job, pids));
                }
            }
        }
        &self.flight
    }

    /// What was under way stands there, since this revision.
    pub(super) fn landed(&mut self, revision: i64) {
        for change in std::mem::take(&mut self.flight) {
            match change {
                Change::Put(job, pids) => {
                    self.jobs.insert(job, There { pids: Some(pids), revision });
                }
                Change::Delete(job) => drop(self.jobs.remove(&job)),
                Change::Stray(_) => {}
            }
        }
    }

    /// Whether there may be something to write.
    pub(super) fn has_news(&self) -> bool {
        !self.stale.is_empty() || !self.strays.is_empty() || !self.flight.is_empty()
    }

    /// How many keys stand there, and when the newest of them was written.
    pub(super) fn extent(&self) -> (usize, i64) {
        let newest = self.jobs.values().map(|there| there.revision).max();
        (self.jobs.len(), newest.unwrap_or(0))
    }

    /// How many jobs and processes are known to stand there.
    pub(super) fn counts(&self) -> (usize, usize) {
        let known = self.jobs.values().filter_map(|there| there.pids.as_ref());
        (known.clone().count(), known.map(SortedSet::len).sum())
    }

    /// Checks that nothing is queued but what is loaded or stands there, and that what is neither queued nor
    /// under way is true.
    ///
    /// # Errors
    /// The first that is not so, in words.
    pub(super) fn sweep(&self, truth: &dyn Truth) -> Result<(), String> {
        self.stale.sweep(|job| self.knows(job), truth)?;
        let all: SortedSet<JobName> =
            truth.jobs().into_iter().chain(self.jobs.keys().cloned()).collect();
        for job in all {
            let under_way = self.flight.iter().any(|change| change.is_of(&job));
            let there = self.jobs.get(&job).and_then(|there| there.pids.as_ref());
            if !under_way && !self.stale.contains(&job) && there != truth.pids(&job).as_ref() {
                return Err(format!("{job} is not as it was written, and is not written"));
            }
        }
        Ok(())
    }
}

/// Whether what was known of keys still holds where they were not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// The node's own key was there all along.
    Same,
    /// It was not: somebody else, or nobody, was there meanwhile.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Fake(SortedMap<JobName, SortedSet<u64>>);

    impl Truth for Fake {
        fn jobs(&self) -> Vec<JobName> {
            self.0.keys().cloned().collect()
        }

        fn pids(&self, job: &JobName) -> Option<SortedSet<u64>> {
            self.0.get(job).cloned()
        }
    }

    fn job(text: &str) -> JobName {
        JobName::parse(text).expect("a name")
    }

    fn fake(jobs: &[(&str, &[u64])]) -> Fake {
        Fake(jobs.iter().map(|(name, pids)| (job(name), pids.iter().copied().collect())).collect())
    }

    fn words(changes: &[Change]) -> Vec<String> {
        let word = |change: &Change| match change {
            Change::Put(job, pids) => format!("+{job} {}", pids.len()),
            Change::Delete(job) => format!("-{job}"),
            Change::Stray(key) => format!("-{} bytes", key.len()),
        };
        changes.iter().map(word).collect()
    }

    #[test]
    fn only_the_difference_is_written_and_only_what_landed_stands_there() {
        let mut kept = Kept::default();
        let truth = fake(&[("a.x", &[1, 2]), ("a.y", &[3])]);
        kept.end_reading(&truth);
        assert_eq!(words(kept.next(&truth)), ["+a.x 2", "+a.y 1"]);
        assert_eq!((kept.counts(), kept.has_news()), ((0, 0), true));
        // It is unloaded before it is known to stand there.
        let truth = fake(&[("a.y", &[3])]);
        kept.note(&job("a.x"), &truth);
        assert_eq!(words(kept.next(&truth)), Vec::<String>::new(), "one thing at a time");
        kept.landed(7);
        assert_eq!((kept.counts(), kept.extent()), ((2, 3), (2, 7)));
        assert_eq!(words(kept.next(&truth)), ["-a.x"]);
        kept.landed(8);
        assert_eq!((kept.extent(), kept.has_news()), ((1, 7), false));
        kept.note_all(&truth);
        assert_eq!(words(kept.next(&truth)), Vec::<String>::new());
        kept.sweep(&truth).expect("all is true");
        assert!(kept.sweep(&fake(&[])).is_err());
    }

    #[test]
    fn what_was_read_again_is_written_where_it_is_not_as_it_was() {
        let truth = fake(&[("a.x", &[1]), ("a.y", &[2]), ("a.z", &[3])]);
        for (trust, written) in [
            (Trust::Same, vec!["-1 bytes", "-a.ghost", "+a.y 1", "+a.z 1"]),
            (Trust::None, vec!["-1 bytes", "-a.ghost", "+a.x 1", "+a.y 1", "+a.z 1"]),
        ] {
            let mut kept = Kept::default();
            kept.end_reading(&truth);
            kept.next(&truth);
            kept.landed(5);
            kept.begin_reading(trust);
            kept.found(job("a.x"), 5);
            kept.found(job("a.y"), 6);
            kept.found(job("a.ghost"), 2);
            kept.found_stray(b"?".to_vec());
            kept.end_reading(&truth);
            assert_eq!(words(kept.next(&truth)), written);
        }
    }

    #[test]
    fn so_much_is_written_at_once_and_no_more() {
        let names: Vec<String> = (0..=limits::ETCD_OPS).map(|n| format!("a.{n:04}")).collect();
        let jobs: Vec<(&str, &[u64])> = names.iter().map(|name| (name.as_str(), &[][..])).collect();
        let truth = fake(&jobs);
        let mut kept = Kept::default();
        kept.end_reading(&truth);
        assert_eq!(kept.next(&truth).len(), limits::ETCD_OPS);
        kept.landed(1);
        assert_eq!(kept.next(&truth).len(), 1);
        let pids: Vec<u64> = (0..20_000).collect();
        let truth = fake(&[("a.a", &pids), ("a.b", &pids), ("a.c", &pids)]);
        let mut kept = Kept::default();
        kept.end_reading(&truth);
        let two = 2 * 8 * pids.len();
        assert!(two > limits::ETCD_VALUES && two / 2 < limits::ETCD_VALUES);
        assert_eq!(words(kept.next(&truth)), ["+a.a 20000", "+a.b 20000"]);
        let mut kept = Kept::default();
        let most = usize::try_from(limits::ETCD_PAGE).expect("small");
        (0..=most).for_each(|_| kept.found_stray(b"?".to_vec()));
        assert_eq!(kept.strays.len(), most);
    }
}
