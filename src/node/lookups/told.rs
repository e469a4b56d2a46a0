//! What a lookupd has been told, against what is true now: the difference is all that is ever queued for
//! it. However long it is slow, and whatever came and went meanwhile, it is told no more than what is so
//! when its turn comes.

use std::ops::Bound;

use crate::base::sorted::{SortedMap, SortedSet};
use crate::supervisor::name::JobName;
use crate::supervisor::Supervisor;
use crate::wire::lookup::What;

/// What is true.
pub trait Truth {
    /// The jobs that are loaded.
    fn jobs(&self) -> Vec<JobName>;
    /// The processes of a job that run, by gaffer's numbers; `None` if it is not loaded.
    fn pids(&self, job: &JobName) -> Option<SortedSet<u64>>;
}

impl Truth for Supervisor {
    fn jobs(&self) -> Vec<JobName> {
        self.job_names().cloned().collect()
    }

    /// Those that are asked to end run until they have ended, and one-offs are processes, too. What is
    /// left of a job that was unloaded is of no job any more.
    fn pids(&self, job: &JobName) -> Option<SortedSet<u64>> {
        let live = self.live_instances(job).ok()?;
        let is_there = |(id, _): &(_, _)| self.os_pid(*id).is_some();
        Some(live.into_iter().filter(is_there).map(|(_, pid)| pid.0).collect())
    }
}

/// What one lookupd has been told, and where that may differ from what is true.
#[derive(Default)]
pub(super) struct Told {
    jobs: SortedMap<JobName, Job>,
    /// Jobs to look at: each is loaded, or told.
    stale: Stale,
}

/// Jobs to look at, in turns: none waits for ever for one that changes all the time.
#[derive(Default)]
pub(super) struct Stale {
    jobs: SortedSet<JobName>,
    /// The one looked at last. The next in order follows.
    last: Option<JobName>,
}

impl Stale {
    pub(super) fn insert(&mut self, job: JobName) {
        self.jobs.insert(job);
    }

    pub(super) fn remove(&mut self, job: &JobName) {
        self.jobs.remove(job);
    }

    /// These alone from now on.
    pub(super) fn replace(&mut self, jobs: impl IntoIterator<Item = JobName>) {
        self.jobs = jobs.into_iter().collect();
    }

    /// Whose turn it is. It stays one of them until it is removed.
    pub(super) fn next(&mut self) -> Option<JobName> {
        let behind = self.last.take().map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.jobs.range((behind, Bound::Unbounded));
        self.last = rest.next().or(self.jobs.first()).cloned();
        self.last.clone()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(super) fn contains(&self, job: &JobName) -> bool {
        self.jobs.contains(job)
    }

    /// Checks that nothing is looked at but what is loaded or said to be told.
    ///
    /// # Errors
    /// The first that is neither, in words.
    pub(super) fn sweep(
        &self,
        is_told: impl Fn(&JobName) -> bool,
        truth: &dyn Truth,
    ) -> Result<(), String> {
        let needless = |job: &&JobName| !is_told(job) && truth.pids(job).is_none();
        let job = self.jobs.iter().find(needless);
        job.map_or(Ok(()), |job| Err(format!("{job} is queued for nothing")))
    }
}

/// A job that was told.
#[derive(Default)]
struct Job {
    /// The lookupd does not take it.
    refused: bool,
    pids: SortedSet<u64>,
    /// Those of them that it does not take.
    refused_pids: SortedSet<u64>,
}

impl Told {
    /// Something about a job may have changed.
    pub(super) fn note(&mut self, job: &JobName, truth: &dyn Truth) {
        if self.jobs.contains_key(job) || truth.pids(job).is_some() {
            self.stale.insert(job.clone());
        } else {
            self.stale.remove(job);
        }
    }

    /// Anything may have changed. What was refused is tried again.
    pub(super) fn note_all(&mut self, truth: &dyn Truth) {
        self.jobs.retain(|_, job| !job.refused);
        for job in self.jobs.values_mut() {
            let refused = std::mem::take(&mut job.refused_pids);
            job.pids.retain(|pid| !refused.contains(pid));
        }
        self.stale.replace(truth.jobs().into_iter().chain(self.jobs.keys().cloned()));
    }

    /// What to say next, up to so many messages; they count as told.
    pub(super) fn next(&mut self, most: usize, truth: &dyn Truth) -> Vec<What> {
        let mut all = Vec::new();
        while all.len() < most {
            let Some(job) = self.stale.next() else { break };
            if self.tell(&job, most, truth, &mut all) {
                self.stale.remove(&job);
            }
        }
        all
    }

    /// Tells what is to be told of one job; whether that was all.
    fn tell(
        &mut self,
        name: &JobName,
        most: usize,
        truth: &dyn Truth,
        all: &mut Vec<What>,
    ) -> bool {
        let text = name.to_string();
        let Some(pids) = truth.pids(name) else {
            if let Some(job) = self.jobs.remove(name).filter(|job| !job.refused) {
                // Its processes go with it.
                drop(job);
                all.push(What::UnregisterJob(text));
            }
            return true;
        };
        let job = self.jobs.entry(name.clone()).or_insert_with(|| {
            all.push(What::RegisterJob(text.clone()));
            Job::default()
        });
        if job.refused {
            return true;
        }
        let gone: Vec<u64> = job.pids.difference(&pids).copied().collect();
        for pid in gone {
            if all.len() >= most {
                return false;
            }
            job.pids.remove(&pid);
            job.refused_pids.remove(&pid);
            all.push(What::UnregisterProcess(text.clone(), pid));
        }
        let new: Vec<u64> = pids.difference(&job.pids).copied().collect();
        for pid in new {
            if all.len() >= most {
                return false;
            }
            job.pids.insert(pid);
            all.push(What::RegisterProcess(text.clone(), pid));
        }
        true
    }

    /// The lookupd does not take a job.
    pub(super) fn refuse_job(&mut self, job: &str) {
        if let Some(job) = self.job(job) {
            *job = Job { refused: true, ..Job::default() };
        }
    }

    /// The lookupd does not take a process.
    pub(super) fn refuse_process(&mut self, job: &str, pid: u64) {
        if let Some(job) = self.job(job).filter(|job| job.pids.contains(&pid)) {
            job.refused_pids.insert(pid);
        }
    }

    fn job(&mut self, job: &str) -> Option<&mut Job> {
        self.jobs.get_mut(&JobName::parse(job).ok()?)
    }

    /// Whether the lookupd should know a job.
    pub(super) fn knows(&self, job: &str) -> bool {
        let known = JobName::parse(job).ok().and_then(|name| self.jobs.get(&name));
        known.is_some_and(|job| !job.refused)
    }

    /// Whether there may be something to tell.
    pub(super) fn has_news(&self) -> bool {
        !self.stale.is_empty()
    }

    /// How many jobs and processes it knows.
    pub(super) fn counts(&self) -> (usize, usize) {
        let jobs = self.jobs.values().filter(|job| !job.refused);
        let processes = jobs.clone().map(|job| job.pids.len() - job.refused_pids.len()).sum();
        (jobs.count(), processes)
    }

    /// Checks that nothing is queued but what is loaded or told, and that what is not queued is true.
    ///
    /// # Errors
    /// The first that is not so, in words.
    pub(super) fn sweep(&self, truth: &dyn Truth) -> Result<(), String> {
        self.stale.sweep(|job| self.jobs.contains_key(job), truth)
    }

    /// Checks that there is no difference to what is true, but for what was refused.
    ///
    /// # Errors
    /// The first job with one, in words.
    pub(super) fn check(&self, truth: &dyn Truth) -> Result<(), String> {
        let all: SortedSet<JobName> =
            truth.jobs().into_iter().chain(self.jobs.keys().cloned()).collect();
        for name in all.iter().filter(|name| !self.stale.contains(name)) {
            let told = self.jobs.get(name);
            if told.is_some_and(|job| job.refused) && truth.pids(name).is_some() {
                continue;
            }
            if told.map(|job| job.pids.clone()) != truth.pids(name) {
                return Err(format!("{name} is not as it was told, and is not told"));
            }
        }
        Ok(())
    }
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

    fn words(all: &[What]) -> Vec<String> {
        let word = |what: &What| match what {
            What::RegisterJob(job) => format!("+{job}"),
            What::UnregisterJob(job) => format!("-{job}"),
            What::RegisterProcess(job, pid) => format!("+{job}:{pid}"),
            What::UnregisterProcess(job, pid) => format!("-{job}:{pid}"),
            What::Identify { .. } | What::Ping => "?".into(),
        };
        all.iter().map(word).collect()
    }

    #[test]
    fn only_the_difference_is_told_and_no_more_than_there_is_room_for() {
        let mut told = Told::default();
        let truth = fake(&[("a.x", &[1, 2]), ("a.y", &[3])]);
        told.note_all(&truth);
        assert_eq!(words(&told.next(2, &truth)), ["+a.x", "+a.x:1"]);
        // Another one has its turn.
        assert_eq!(words(&told.next(1, &truth)), ["+a.y"]);
        assert_eq!(words(&told.next(9, &truth)), ["+a.x:2", "+a.y:3"]);
        assert!(!told.has_news() && told.check(&truth).is_ok());
        assert_eq!(told.counts(), (2, 3));
        let truth = fake(&[("a.x", &[2, 7])]);
        assert!(told.check(&truth).is_err());
        told.note(&job("a.x"), &truth);
        told.note(&job("a.y"), &truth);
        assert_eq!(words(&told.next(9, &truth)), ["-a.x:1", "+a.x:7", "-a.y"]);
        assert!(!told.has_news() && told.check(&truth).is_ok());
    }

    #[test]
    fn what_came_and_went_is_never_told() {
        let mut told = Told::default();
        told.note_all(&fake(&[]));
        for n in 0..1000 {
            let name = format!("a.j{n}");
            told.note(&job(&name), &fake(&[(&name, &[n])]));
            told.note(&job(&name), &fake(&[]));
            told.sweep(&fake(&[])).expect("nothing is queued for nothing");
        }
        assert!(!told.has_news());
        assert_eq!(told.next(9, &fake(&[])), []);
    }

    #[test]
    fn what_is_refused_is_told_again_only_when_everything_is() {
        let mut told = Told::default();
        let truth = fake(&[("a.x", &[1, 2]), ("a.y", &[3])]);
        told.note_all(&truth);
        told.next(9, &truth);
        told.refuse_job("a.y");
        told.refuse_process("a.x", 2);
        assert_eq!((told.counts(), told.knows("a.y"), told.knows("a.x")), ((1, 1), false, true));
        told.note(&job("a.y"), &truth);
        told.note(&job("a.x"), &truth);
        assert_eq!(told.next(9, &truth), []);
        told.note_all(&truth);
        assert_eq!(words(&told.next(9, &truth)), ["+a.x:2", "+a.y", "+a.y:3"]);
        // Nobody takes back what was not taken.
        told.refuse_job("a.y");
        let truth = fake(&[]);
        told.note(&job("a.y"), &truth);
        assert_eq!(told.next(9, &truth), []);
        assert_eq!(told.counts(), (1, 2));
    }
}
