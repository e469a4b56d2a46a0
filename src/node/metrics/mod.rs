//! Metrics, for the tools that people already run. Nothing is measured for them while nobody asks: whoever asks waits
//! until the shell has told how it stands with itself, and has then measured all processes once, as for statistics.
//! Then all is written in one go, without a tree in between: what is told is of one moment.
//!
//! Read in this order: `families` (what there is), this way of a request, `write`.

pub mod families;
mod write;

use std::collections::BTreeMap;

use self::write::{Told, Usages};
use super::api_metrics;
use super::gaffer::Gaffer;
use super::machine::{Effect, Standing, Usage};
use crate::base::clock::Now;
use crate::base::ids::{ConnId, InstanceId, JobId, Pid};
use crate::wire::openmetrics::Dialect;

/// A request for metrics whose answer is still to be measured.
#[derive(Debug)]
pub struct Scrape {
    /// Who asked.
    pub conn: ConnId,
    /// How it is told.
    dialect: Dialect,
    /// How it stands with the shell, once that is told.
    standing: Standing,
    /// Which processes are being measured.
    targets: Vec<(InstanceId, Pid)>,
}

impl Gaffer {
    /// Begins to measure for a request.
    pub(super) fn scrape(&mut self, conn: ConnId, dialect: Dialect) {
        let scrape = Scrape { conn, dialect, standing: Standing::default(), targets: Vec::new() };
        let ticket = self.waits.scrape(scrape);
        self.effects.push(Effect::Account { ticket });
    }

    /// How it stands with the shell is in; the processes are next.
    pub(super) fn note_accounted(&mut self, ticket: u64, standing: Standing, now: Now) {
        let Some(mut scrape) = self.waits.scraped(ticket) else { return };
        scrape.standing = standing;
        let live = self.supervisor.live_pids();
        let ids = live.filter_map(|pid| Some((self.supervisor.live_instance(pid).ok()?, pid)));
        let with_os_pid = ids.filter_map(|(id, pid)| Some((id, pid, self.supervisor.os_pid(id)?)));
        let mut leaders = Vec::new();
        for (id, pid, os_pid) in with_os_pid {
            scrape.targets.push((id, pid));
            leaders.push(os_pid);
        }
        if leaders.is_empty() {
            return self.tell_scrape(scrape, &[], now);
        }
        let ticket = self.waits.scrape(scrape);
        self.effects.push(Effect::Sample { ticket, targets: leaders, keep: false });
    }

    /// Tells somebody what was measured, if it was measured for him.
    pub(super) fn note_scraped(&mut self, ticket: u64, usages: &[Option<Usage>], now: Now) {
        if let Some(scrape) = self.waits.scraped(ticket) {
            self.tell_scrape(scrape, usages, now);
        }
    }

    fn tell_scrape(&mut self, scrape: Scrape, usages: &[Option<Usage>], now: Now) {
        let mut jobs: BTreeMap<JobId, Usage> = BTreeMap::new();
        for ((id, pid), usage) in scrape.targets.iter().zip(usages) {
            // What a run used that is over by now is counted already.
            let instance = self.supervisor.instance(*id);
            let runs = instance.filter(|i| i.run.as_ref().is_some_and(|run| run.pid == *pid));
            let (Some(instance), Some(usage)) = (runs, usage) else { continue };
            add(jobs.entry(instance.job).or_default(), usage);
        }
        let usages = Usages::new(&mut self.supervisor, &jobs);
        let told = Told { node: self, standing: &scrape.standing, usages: &usages, now };
        let body = told.write(scrape.dialect);
        self.answer(scrape.conn, api_metrics::answer(scrape.dialect, body), now);
    }
}

fn add(all: &mut Usage, one: &Usage) {
    all.rss += one.rss;
    all.vms += one.vms;
    all.cpu_time += one.cpu_time;
    all.threads += one.threads;
    all.fds += one.fds;
    all.processes += one.processes;
}
