//! Statistics asked for and statistics followed: who is measured, and who is told what it came to.

use std::rc::Rc;

use serde::Serialize;
use serde_json::{json, Value};

use super::admission::Guest;
use super::commands::{failed, Failure};
use super::ctx::{Depth, Measure};
use super::gaffer::Gaffer;
use super::machine::{Branch, Effect, Usage};
use super::reply::{self, manager_error};
use super::stats::{JobStats, Measured, Told};
use super::topics::Watched;
use super::usage_history::{Keep, Place};
use super::usage_table::{Named, UsageTable};
use super::waits::{Asker, Measuring};
use super::watches::Watcher;
use crate::base::clock::Now;
use crate::base::ids::{InstanceId, OsPid, Pid, SessionId};
use crate::base::limits;
use crate::base::sorted::SortedMap;
use crate::front::response::Response;
use crate::front::rights::{Need, Right};
use crate::supervisor::job::Job;
use crate::supervisor::name::JobName;
use crate::supervisor::tables::Refusal;
use crate::supervisor::Supervisor;
use crate::wire::channel;

/// What was measured, by instance.
type Readings = SortedMap<InstanceId, Measured>;

impl Gaffer {
    /// Asks for a measurement. Where there is nobody to measure, that is the answer.
    pub(super) fn measure(
        &mut self,
        asker: Asker,
        measure: Measure,
    ) -> Option<Result<Told, Refusal>> {
        let targets = self.targets(&measure.watched());
        if targets.is_empty() {
            return Some(self.told(&measure, &Readings::new()));
        }
        match (&measure, targets.first()) {
            (Measure::Tree(_), Some((_, _, leader))) => {
                let leader = *leader;
                let ticket = self.waits.measure(asker, Measuring { measure, targets });
                self.effects.push(Effect::Climb { ticket, leader });
            }
            _ => self.sample(asker, measure, targets),
        }
        None
    }

    /// A tree is in.
    pub(super) fn note_climbed(&mut self, ticket: u64, tree: &[Branch], now: Now) {
        let Some((Asker::Conn(conn), measuring)) = self.waits.measured(ticket) else { return };
        let pid = measuring.targets.first().map(|(_, pid, _)| pid.0);
        let branch = |branch: &Branch| {
            json!({
                "os_pid": branch.os_pid.0, "parent": branch.parent.0, "name": branch.name,
                "state": branch.state, "rss": branch.rss,
            })
        };
        let processes: Vec<Value> = tree.iter().map(branch).collect();
        self.answer(conn, reply::value(&json!({"pid": pid, "processes": processes})), now);
    }

    fn sample(&mut self, asker: Asker, measure: Measure, targets: Vec<(InstanceId, Pid, OsPid)>) {
        let leaders = targets.iter().map(|(_, _, os_pid)| *os_pid).collect();
        let keep = matches!(asker, Asker::Watchers);
        let pss = measure.wants_pss();
        let ticket = self.waits.measure(asker, Measuring { measure, targets });
        if keep {
            self.hub.watches.begun(ticket);
        }
        self.effects.push(Effect::Sample { ticket, targets: leaders, keep, pss });
    }

    /// The live processes of whom is watched.
    fn targets(&self, watched: &Watched) -> Vec<(InstanceId, Pid, OsPid)> {
        let live = match watched {
            Watched::Job(name) => self.supervisor.live_instances(name).unwrap_or_default(),
            Watched::Process(pid) => {
                let id = self.supervisor.live_instance(*pid);
                id.map(|id| vec![(id, *pid)]).unwrap_or_default()
            }
            Watched::All => {
                let of_job = |name| self.supervisor.live_instances(name).unwrap_or_default();
                self.supervisor.job_names().flat_map(of_job).collect()
            }
        };
        let with_os_pid = |(id, pid)| Some((id, pid, self.supervisor.os_pid(id)?));
        live.into_iter().filter_map(with_os_pid).collect()
    }

    /// A measurement is in.
    pub(super) fn note_sampled(&mut self, ticket: u64, usages: &[Option<Usage>], now: Now) {
        let Some((asker, measuring)) = self.waits.measured(ticket) else {
            return self.note_scraped(ticket, usages, now);
        };
        let mut readings = Readings::new();
        let usages = usages.iter().copied().chain(std::iter::repeat(None));
        for ((id, pid, os_pid), usage) in measuring.targets.into_iter().zip(usages) {
            let run = self.supervisor.instance(id).and_then(|instance| instance.run.as_ref());
            let started = run.map(|run| run.started.mono);
            let cpu = match usage.zip(started) {
                Some((usage, started)) => self.stats.cpu(id, pid, usage, (now.mono, started)),
                None => 0.0,
            };
            readings.insert(id, Measured { pid, os_pid, usage, cpu });
        }
        self.note_usages(&readings, now);
        if asker == Asker::Watchers {
            self.publish(Some(ticket), &readings, now);
        } else {
            self.tell_measured(asker, &measuring.measure, &readings, now);
        }
    }

    /// Begins to watch all instances, where their history is kept whoever else watches.
    pub(super) fn watch_ourselves(&mut self, now: Now) {
        if self.usages.keep() == Keep::Always {
            self.hub.watches.add(Watcher::Node, &Watched::All, limits::HISTORY_STEP, now);
        }
    }

    /// Keeps for a while what was measured.
    fn note_usages(&mut self, readings: &Readings, now: Now) {
        if readings.is_empty() || self.usages.keep() == Keep::Off {
            return;
        }
        let Self { usages, supervisor, hub, .. } = self;
        let is_there = |place: &Place| in_place(supervisor, place).is_some();
        usages.begin((hub.watches.epoch(), now.mono), is_there);
        for (id, measured) in readings {
            let Some(instance) = supervisor.instance(*id) else { continue };
            let Some(usage) = &measured.usage else { continue };
            let (once, number) = (instance.is_once(), instance.number);
            let place = Place { job: instance.job, once, number };
            // Who is on its way out has its place no more.
            if !is_there(&place) {
                continue;
            }
            usages.note(place, measured.pid, (usage, measured.cpu), now.mono);
        }
    }

    /// Answers who asked once.
    fn tell_measured(&mut self, asker: Asker, measure: &Measure, readings: &Readings, now: Now) {
        match asker {
            Asker::Conn(conn) => {
                self.answer(conn, measured_response(self.told(measure, readings)), now);
            }
            Asker::Command(session, identity) => {
                let result = measured_result(measure, self.told(measure, readings));
                self.end_command(session, &identity, result, now);
            }
            Asker::Watchers => {}
        }
    }

    fn told(&self, measure: &Measure, readings: &Readings) -> Result<Told, Refusal> {
        match measure {
            Measure::Job(name, _) => Ok(Told::Job(self.job_stats(name, readings).into())),
            Measure::Tree(_) => Err(Refusal::NotFound),
            Measure::Process(..) => {
                let one = readings.values().next().ok_or(Refusal::NotFound)?;
                Ok(Told::Process { stats: self.stats.process(one) })
            }
            Measure::All => Ok(Told::All { jobs: self.all_stats(readings), ts: None }),
        }
    }

    fn job_stats(&self, name: &JobName, readings: &Readings) -> JobStats {
        let live = self.supervisor.live_instances(name).unwrap_or_default();
        let measured: Vec<Measured> =
            live.iter().filter_map(|(id, _)| readings.get(id)).copied().collect();
        self.stats.job(&name.to_string(), &measured)
    }

    fn all_stats(&self, readings: &Readings) -> Vec<JobStats> {
        self.supervisor.job_names().map(|name| self.job_stats(name, readings)).collect()
    }

    /// Begins to measure whom somebody watches, if it is time.
    pub(super) fn watch(&mut self, now: Now) {
        let due = self.hub.watches.take_due(now);
        if due.is_empty() {
            return;
        }
        let mut targets = SortedMap::new();
        for watched in &due {
            let each = self.targets(watched).into_iter();
            targets.extend(each.map(|(id, pid, os_pid)| (id, (id, pid, os_pid))));
        }
        if targets.is_empty() {
            return self.publish(None, &Readings::new(), now);
        }
        self.sample(Asker::Watchers, Measure::All, targets.into_values().collect());
    }

    /// Tells what was measured to whoever watches.
    fn publish(&mut self, ticket: Option<u64>, readings: &Readings, now: Now) {
        // Each process's numbers are written once, whoever reads them.
        let mut written: SortedMap<InstanceId, String> = SortedMap::new();
        let mut table: Option<UsageTable> = None;
        for (watched, watchers) in self.hub.watches.measured(ticket, now) {
            let live = self.targets(&watched);
            let mut topics: SortedMap<Rc<str>, Vec<_>> = SortedMap::new();
            for watcher in watchers {
                match watcher {
                    Watcher::Session(session, topic) => {
                        topics.entry(topic).or_default().push(session);
                    }
                    Watcher::Feed(conn) => {
                        if let Some(value) = self.feed_value(&watched, readings, now) {
                            self.feeds.value(conn, &value);
                            self.flush_feed(conn, now);
                        }
                    }
                    // It has noted it.
                    Watcher::Node => {}
                }
            }
            for (topic, sessions) in topics {
                if self.hub.is_usage(&topic) {
                    let table = table.get_or_insert_with(|| self.usage_table(&live, readings));
                    self.tell_table(table, (&topic, &sessions), now);
                    continue;
                }
                for (id, _, _) in &live {
                    let Some(measured) = readings.get(id) else { continue };
                    let members =
                        written.entry(*id).or_insert_with(|| self.stats.members(measured));
                    let text: Rc<str> = channel::event(&topic, members).into();
                    for session in &sessions {
                        self.deliver(*session, &topic, &text, now);
                    }
                }
            }
        }
    }

    fn usage_table(&self, live: &[(InstanceId, Pid, OsPid)], readings: &Readings) -> UsageTable {
        let mut table = UsageTable::default();
        for (id, pid, _) in live {
            let Some(measured) = readings.get(id) else { continue };
            let Some(instance) = self.supervisor.instance(*id) else { continue };
            let Some(job) = self.supervisor.job(instance.job) else { continue };
            let (number, once) = (instance.number, instance.is_once());
            table.add(&Named { job: &job.name, number, once, pid: *pid }, measured);
        }
        table
    }

    /// Tells each session of the jobs that it may read. For those who may read all it is written once.
    fn tell_table(
        &mut self,
        table: &UsageTable,
        (topic, sessions): (&Rc<str>, &[SessionId]),
        now: Now,
    ) {
        let told = (now.epoch_seconds(), self.stats.memory());
        let mut of_all: Option<Rc<str>> = None;
        for session in sessions {
            let Some(Some(caller)) = self.guests.get(Guest::Session(*session)) else { continue };
            let text = match caller.may(&Need::All(Right::Read)) {
                true => Rc::clone(of_all.get_or_insert_with(|| {
                    channel::event(topic, &table.members(|_| true, told)).into()
                })),
                false => {
                    let may = |job: &JobName| caller.may(&Need::Job(Right::Read, job.clone()));
                    channel::event(topic, &table.members(may, told)).into()
                }
            };
            self.deliver(*session, topic, &text, now);
        }
    }

    fn feed_value(&self, watched: &Watched, readings: &Readings, now: Now) -> Option<Told> {
        let ts = Some(now.epoch_seconds());
        Some(match watched {
            Watched::Job(name) => {
                let mut job = self.job_stats(name, readings);
                job.ts = ts;
                Told::Job(job.into())
            }
            Watched::All => Told::All { jobs: self.all_stats(readings), ts },
            Watched::Process(pid) => {
                let one = readings.values().find(|one| one.pid == *pid)?;
                let mut process = self.stats.process(one);
                process.ts = ts;
                Told::One(process)
            }
        })
    }
}

/// The job of a place that is there, and who is in it: one that is being restarted or is stopped is empty for a
/// while. That of a one-off is there no longer than it.
pub(super) fn in_place<'a>(
    supervisor: &'a Supervisor,
    place: &Place,
) -> Option<(&'a Job, Option<InstanceId>)> {
    let job = supervisor.job(place.job).filter(|job| job.loaded)?;
    let at = match place.once {
        true => Some(job.committed.at(place.number)?),
        false => job.kept.at(place.number),
    };
    let filled = u32::try_from(job.kept.len()).unwrap_or(u32::MAX);
    let wanted = filled < job.target && place.number <= job.target;
    (at.is_some() || wanted).then_some((job, at))
}

/// The answer to a request for statistics.
pub(super) fn measured_response(told: Result<Told, Refusal>) -> Response {
    match told {
        Ok(told) => Response::json(200, &told),
        Err(refusal) => manager_error(&refusal),
    }
}

/// The result of a command for statistics.
pub(super) fn measured_result(
    measure: &Measure,
    told: Result<Told, Refusal>,
) -> Result<CommandResult, Failure> {
    let told = told.map_err(|refusal| failed(&refusal))?;
    Ok(match measure {
        Measure::Job(..) | Measure::All => CommandResult::Within { stats: told },
        Measure::Process(..) | Measure::Tree(_) => CommandResult::Alone(told),
    })
}

/// How a command is told what was measured.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum CommandResult {
    Within { stats: Told },
    Alone(Told),
}

impl Measure {
    fn watched(&self) -> Watched {
        match self {
            Self::Job(name, _) => Watched::Job(name.clone()),
            Self::Process(pid, _) | Self::Tree(pid) => Watched::Process(*pid),
            Self::All => Watched::All,
        }
    }

    fn wants_pss(&self) -> bool {
        match self {
            Self::Job(_, depth) | Self::Process(_, depth) => *depth == Depth::Pss,
            Self::All | Self::Tree(_) => false,
        }
    }
}
