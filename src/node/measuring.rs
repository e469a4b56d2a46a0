//! Statistics asked for and statistics followed: who is measured, and who is told what it came to.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{json, Value};

use super::commands::{failed, Failure};
use super::ctx::Measure;
use super::gaffer::Gaffer;
use super::history::seconds;
use super::machine::{Branch, Effect, Usage};
use super::reply::{self, manager_error};
use super::stats::Measured;
use super::topics::Watched;
use super::waits::{Asker, Measuring};
use super::watches::Watcher;
use crate::base::clock::Now;
use crate::base::ids::{InstanceId, OsPid, Pid};
use crate::front::response::Response;
use crate::supervisor::name::JobName;
use crate::supervisor::tables::Refusal;
use crate::wire::channel;

/// What was measured, by instance.
type Readings = BTreeMap<InstanceId, Measured>;

impl Gaffer {
    /// Asks for a measurement. Where there is nobody to measure, that is the answer.
    pub(super) fn measure(
        &mut self,
        asker: Asker,
        measure: Measure,
    ) -> Option<Result<Value, Refusal>> {
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
        let ticket = self.waits.measure(asker, Measuring { measure, targets });
        if keep {
            self.hub.watches.begun(ticket);
        }
        self.effects.push(Effect::Sample { ticket, targets: leaders, keep });
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
        let Some((asker, measuring)) = self.waits.measured(ticket) else { return };
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
        if asker == Asker::Watchers {
            self.publish(Some(ticket), &readings, now);
        } else {
            self.tell_measured(asker, &measuring.measure, &readings, now);
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

    fn told(&self, measure: &Measure, readings: &Readings) -> Result<Value, Refusal> {
        match measure {
            Measure::Job(name) => Ok(self.job_stats(name, readings)),
            Measure::Tree(_) => Err(Refusal::NotFound),
            Measure::Process(_) => {
                let one = readings.values().next().ok_or(Refusal::NotFound)?;
                Ok(json!({"stats": self.stats.process(one)}))
            }
            Measure::All => Ok(json!({"jobs": self.all_stats(readings)})),
        }
    }

    fn job_stats(&self, name: &JobName, readings: &Readings) -> Value {
        let live = self.supervisor.live_instances(name).unwrap_or_default();
        let measured: Vec<Measured> =
            live.iter().filter_map(|(id, _)| readings.get(id)).copied().collect();
        self.stats.job(&name.to_string(), &measured)
    }

    fn all_stats(&self, readings: &Readings) -> Vec<Value> {
        self.supervisor.job_names().map(|name| self.job_stats(name, readings)).collect()
    }

    /// Begins to measure whom somebody watches, if it is time.
    pub(super) fn watch(&mut self, now: Now) {
        let due = self.hub.watches.take_due(now);
        if due.is_empty() {
            return;
        }
        let mut targets = BTreeMap::new();
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
        let mut written: BTreeMap<InstanceId, String> = BTreeMap::new();
        for (watched, watchers) in self.hub.watches.measured(ticket, now) {
            let live = self.targets(&watched);
            let mut topics: BTreeMap<Rc<str>, Vec<_>> = BTreeMap::new();
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
                }
            }
            for (topic, sessions) in topics {
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

    fn feed_value(&self, watched: &Watched, readings: &Readings, now: Now) -> Option<Value> {
        let mut value = match watched {
            Watched::Job(name) => self.job_stats(name, readings),
            Watched::All => json!({"jobs": self.all_stats(readings)}),
            Watched::Process(pid) => {
                let one = readings.values().find(|one| one.pid == *pid)?;
                self.stats.process(one)
            }
        };
        value["ts"] = json!(seconds(now));
        Some(value)
    }
}

/// The answer to a request for statistics.
pub(super) fn measured_response(told: Result<Value, Refusal>) -> Response {
    match told {
        Ok(value) => reply::value(&value),
        Err(refusal) => manager_error(&refusal),
    }
}

/// The result of a command for statistics.
pub(super) fn measured_result(
    measure: &Measure,
    told: Result<Value, Refusal>,
) -> Result<Value, Failure> {
    let told = told.map_err(|refusal| failed(&refusal))?;
    Ok(match measure {
        Measure::Job(_) | Measure::All => json!({"stats": told}),
        Measure::Process(_) | Measure::Tree(_) => told,
    })
}

impl Measure {
    fn watched(&self) -> Watched {
        match self {
            Self::Job(name) => Watched::Job(name.clone()),
            Self::Process(pid) | Self::Tree(pid) => Watched::Process(*pid),
            Self::All => Watched::All,
        }
    }
}
