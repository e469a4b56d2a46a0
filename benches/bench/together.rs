//! Processes that wait for each other, on one processor. Where the kernel puts them decides more than what they do, and it
//! decides otherwise from run to run; on one, what they do is all there is.

use std::fs;

use rustix::process::Pid;
use rustix::thread::{sched_getaffinity, sched_setaffinity, CpuSet};

/// Ends when it is dropped.
pub(crate) struct Together {
    before: CpuSet,
    all: Vec<Option<Pid>>,
}

impl Together {
    /// This thread, what it starts from now on, and those processes that there are.
    pub(crate) fn with(others: impl IntoIterator<Item = u32>) -> Self {
        let before = sched_getaffinity(None).expect("ours");
        let one = (0..CpuSet::MAX_CPU).find(|cpu| before.is_set(*cpu)).expect("we run somewhere");
        let threads = others.into_iter().flat_map(threads_of).map(Some);
        let together = Self { before, all: threads.chain([None]).collect() };
        let mut set = CpuSet::new();
        set.set(one);
        together.put(&set);
        together
    }

    /// Who has ended meanwhile is nowhere.
    fn put(&self, set: &CpuSet) {
        for thread in &self.all {
            let _ = sched_setaffinity(*thread, set);
        }
    }
}

impl Drop for Together {
    fn drop(&mut self) {
        self.put(&self.before);
    }
}

fn threads_of(id: u32) -> Vec<Pid> {
    let threads = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let number = |name: std::ffi::OsString| name.to_str()?.parse().ok().and_then(Pid::from_raw);
    threads.filter_map(|thread| number(thread.file_name())).collect()
}
