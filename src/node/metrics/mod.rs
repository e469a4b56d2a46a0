//! Metrics, for the tools that people already run. Nothing is measured for them while nobody asks: whoever asks waits
//! until the shell has told how it stands with itself, and has then measured all processes once, as for statistics.
//! Then all is written in one go, without a tree in between: what is told is of one moment.
//!
//! Read in this order: `families` (what there is), this way of a request, `write`.

pub mod families;
mod write;

use self::write::{Told, Usages};
use super::api_metrics;
use super::gaffer::Gaffer;
use super::machine::{Effect, Standing, Usage};
use super::waits::Joined;
use crate::base::clock::Now;
use crate::base::ids::{ConnId, InstanceId, JobId, Pid};
use crate::base::sorted::SortedMap;
use crate::front::response::Response;
use crate::wire::openmetrics::Dialect;

/// A measurement for metrics under way, and who waits for it.
#[derive(Debug)]
pub struct Scrape {
    /// Who asked, and how it is told.
    pub askers: Vec<(ConnId, Dialect)>,
    /// How it stands with the shell, once that is told.
    standing: Standing,
    /// Which processes are being measured.
    targets: Vec<(InstanceId, Pid)>,
}

impl Gaffer {
    /// Begins to measure for a request, or has it wait for what is measured already; false where too many do.
    pub(super) fn scrape(&mut self, conn: ConnId, dialect: Dialect, now: Now) -> bool {
        match self.waits.join_scrape((conn, dialect)) {
            Some(Joined::Waits) => {}
            Some(Joined::Full) => {
                let busy = Response::error(503, Some("too many wait for metrics"));
                self.give(conn, busy.with("Retry-After", "1"), now);
                return false;
            }
            None => {
                let askers = vec![(conn, dialect)];
                let (standing, targets) = (Standing::default(), Vec::new());
                let ticket = self.waits.scrape(Scrape { askers, standing, targets });
                self.effects.push(Effect::Account { ticket });
            }
        }
        true
    }

    /// How it stands with the shell is in; the processes are next.
    pub(super) fn note_accounted(&mut self, ticket: u64, standing: Standing, now: Now) {
        let Some(mut scrape) = self.waits.scraped(ticket) else { return };
        if scrape.askers.is_empty() {
            // Whoever asked has gone.
            return;
        }
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
        self.effects.push(Effect::Sample { ticket, targets: leaders, keep: false, pss: false });
    }

    /// Tells somebody what was measured, if it was measured for him.
    pub(super) fn note_scraped(&mut self, ticket: u64, usages: &[Option<Usage>], now: Now) {
        if let Some(scrape) = self.waits.scraped(ticket) {
            self.tell_scrape(scrape, usages, now);
        }
    }

    fn tell_scrape(&mut self, scrape: Scrape, usages: &[Option<Usage>], now: Now) {
        let are_blind = !usages.is_empty() && usages.iter().all(Option::is_none);
        let mut jobs: SortedMap<JobId, Usage> = SortedMap::new();
        for ((id, pid), usage) in scrape.targets.iter().zip(usages) {
            // What a run used that is over by now is counted already.
            let instance = self.supervisor.instance(*id);
            let runs = instance.filter(|i| i.run.as_ref().is_some_and(|run| run.pid == *pid));
            let (Some(instance), Some(usage)) = (runs, usage) else { continue };
            add(jobs.entry(instance.job).or_default(), usage);
        }
        let usages = Usages::new(&mut self.supervisor, &jobs, are_blind);
        let told = Told { node: self, standing: &scrape.standing, usages: &usages, now };
        let mut texts: Vec<(Dialect, Vec<u8>)> = Vec::new();
        for (_, dialect) in &scrape.askers {
            if texts.iter().all(|(known, _)| known != dialect) {
                texts.push((*dialect, told.write(*dialect)));
            }
        }
        for (conn, dialect) in scrape.askers {
            let Some((_, text)) = texts.iter().find(|(known, _)| *known == dialect) else {
                continue;
            };
            self.answer(conn, api_metrics::answer(dialect, text.clone()), now);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::OsPid;
    use crate::base::limits;
    use crate::base::process::{ExitStatus, Rusage};
    use crate::front::peer::Peer;
    use crate::node::gaffer::Legacy;
    use crate::node::machine::Machine as _;
    use crate::node::testing;
    use crate::supervisor::facts::Exit;
    use crate::supervisor::name::JobName;
    use crate::supervisor::spec::JobEntry;
    use crate::supervisor::spec_read;
    use serde_json::json;
    use std::time::Duration;

    /// A node with one process, and who has asked it for metrics; with the ticket of what the shell is asked for.
    struct Asked {
        gaffer: Gaffer,
        id: InstanceId,
        conn: ConnId,
        ticket: u64,
        now: Now,
    }

    fn ask() -> Asked {
        let now = testing::now();
        let mut gaffer = Gaffer::new(testing::setup());
        let config = json!({"cmd": "cat", "restart": "no"});
        let spec = spec_read::read(config.as_object().expect("an object")).expect("valid");
        let name = JobName::parse("s.cat").expect("a name");
        let entry = JobEntry { name, spec: spec.into(), start: true, place: Default::default() };
        gaffer.begin(Legacy::default(), vec![entry], now);
        let id = gaffer.next_start().expect("one starts").id;
        gaffer.spawned(id, OsPid(1000), 1, now);
        gaffer.door.keeping.owners.insert(7);
        let conn = gaffer.accepted(Peer::Unix { uid: Some(7) }, now).expect("there is room");
        gaffer.received(conn, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", now);
        let ticket = tickets(&mut gaffer, now);
        Asked { gaffer, id, conn, ticket: ticket[0], now }
    }

    /// The tickets of what is wished to be known.
    fn tickets(gaffer: &mut Gaffer, now: Now) -> Vec<u64> {
        gaffer.settle(now);
        let ticket = |effect| {
            let (Effect::Account { ticket } | Effect::Sample { ticket, .. }) = effect else {
                return None;
            };
            Some(ticket)
        };
        gaffer.take_effects().into_iter().filter_map(ticket).collect()
    }

    fn usage(cpu_time: f64) -> Option<Usage> {
        Some(Usage { cpu_time, processes: 1, ..Usage::default() })
    }

    fn answered(gaffer: &mut Gaffer, conn: ConnId, now: Now) -> String {
        let answer = String::from_utf8(gaffer.transmit(conn).to_vec()).expect("text");
        gaffer.sent(conn, answer.len(), now);
        answer
    }

    #[test]
    fn whoever_goes_while_it_is_measured_for_him_is_forgotten() {
        for measured in [false, true] {
            let Asked { mut gaffer, conn, mut ticket, now, .. } = ask();
            if measured {
                gaffer.accounted(ticket, Standing::default(), now);
                ticket = tickets(&mut gaffer, now)[0];
            }
            assert_eq!(gaffer.waits.len(), 1);
            gaffer.closed(conn, now);
            assert!(gaffer.waits.is_empty());
            gaffer.sweep().expect("what is always so");
            match measured {
                true => gaffer.sampled(ticket, vec![usage(1.0)], now),
                false => gaffer.accounted(ticket, Standing::default(), now),
            }
            assert!(tickets(&mut gaffer, now).is_empty(), "nothing is measured for nobody");
        }
    }

    #[test]
    fn what_a_run_used_that_ends_while_it_is_measured_counts_once() {
        let Asked { mut gaffer, id, conn, ticket, now } = ask();
        gaffer.accounted(ticket, Standing::default(), now);
        let ticket = tickets(&mut gaffer, now)[0];
        let used = Rusage { user: Duration::from_secs(2), ..Rusage::default() };
        let mut exit = Exit::of(ExitStatus::Code(0));
        exit.usage = Some(used);
        gaffer.exited(id, exit, now);
        gaffer.settle(now);
        gaffer.sampled(ticket, vec![usage(2.0)], now);
        let told = answered(&mut gaffer, conn, now);
        assert!(
            told.contains("gaffer_job_cpu_seconds_total{session=\"s\",job_name=\"cat\"} 2\n"),
            "{told}"
        );
        assert!(
            told.contains("gaffer_job_processes{session=\"s\",job_name=\"cat\"} 0\n"),
            "{told}"
        );
    }

    #[test]
    fn who_asks_meanwhile_is_told_the_same_and_of_too_many_the_last_is_turned_away() {
        let Asked { mut gaffer, conn, ticket, now, .. } = ask();
        let mut others = Vec::new();
        for _ in 0..limits::SCRAPERS {
            let other = gaffer.accepted(Peer::Unix { uid: Some(7) }, now).expect("there is room");
            gaffer.received(other, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", now);
            others.push(other);
        }
        assert!(tickets(&mut gaffer, now).is_empty(), "it is measured once");
        let last = others.pop().expect("one");
        assert!(gaffer.transmit(last).starts_with(b"HTTP/1.1 503"), "one too many");
        gaffer.closed(others.pop().expect("one"), now);
        gaffer.accounted(ticket, Standing::default(), now);
        let ticket = tickets(&mut gaffer, now)[0];
        gaffer.sampled(ticket, vec![None], now);
        let body = |conn| gaffer.transmit(conn).to_vec();
        assert!(body(conn).starts_with(b"HTTP/1.1 200"));
        assert!(
            !body(conn).windows(9).any(|text| text == b"open_fds{"),
            "nobody could be measured"
        );
        assert!(others.iter().all(|other| body(*other) == body(conn)));
    }
}
