//! What there is to tell, family by family: all metrics of one name stand together.

use super::families as named;
use crate::base::clock::{epoch_seconds, Now};
use crate::base::ids::JobId;
use crate::base::limits;
use crate::base::sorted::SortedMap;
use crate::node::api_metrics::write_connections;
use crate::node::gaffer::Gaffer;
use crate::node::machine::{Standing, Usage};
use crate::supervisor::job::Desired;
use crate::supervisor::tally::{Survey, ENDS, STATES, STREAMS};
use crate::supervisor::Supervisor;
use crate::wire::openmetrics::{Dialect, Exposition, Family, Labels, Number};
use crate::VERSION;

/// What a node tells.
pub(super) struct Told<'a> {
    pub(super) node: &'a Gaffer,
    pub(super) standing: &'a Standing,
    pub(super) usages: &'a Usages,
    pub(super) now: Now,
}

/// What each job uses now, in the order of loading, and the seconds of the processor that it ever used.
pub(super) struct Usages {
    of: Vec<(Usage, f64)>,
    /// Nobody could be measured, for want of descriptors for example: that says nothing of what they use.
    are_blind: bool,
}

impl Usages {
    pub(super) fn new(
        supervisor: &mut Supervisor,
        jobs: &SortedMap<JobId, Usage>,
        are_blind: bool,
    ) -> Self {
        let all: Vec<Usage> =
            supervisor.job_ids().map(|id| jobs.get(&id).copied().unwrap_or_default()).collect();
        let cpu = supervisor.tell_cpu(|at| all.get(at).map_or(0.0, |usage| usage.cpu_time));
        Self { of: all.into_iter().zip(cpu).collect(), are_blind }
    }
}

/// A job, as far as it is told of one by one.
struct One<'a> {
    labels: Labels,
    survey: Survey<'a>,
    usage: Usage,
    cpu: f64,
    logs: u64,
}

/// What the metrics of a job take, but for those that few have, and those of the node.
const ROOM: usize = 2048;

impl Told<'_> {
    /// All of it.
    pub(super) fn write(&self, dialect: Dialect) -> Vec<u8> {
        let logs: SortedMap<&str, u64> = self.own_logs().collect();
        let mut states = [0_u64; STATES.len()];
        let mut jobs = Vec::new();
        for (survey, (usage, cpu)) in self.node.supervisor.surveys().zip(&self.usages.of) {
            states[survey.state] += 1;
            if jobs.len() < limits::METRICS_JOBS {
                let name = survey.job.name.to_string();
                let logs = logs.get(name.as_str()).copied().unwrap_or(0);
                let (session, label) = (survey.job.name.session(), survey.job.name.label());
                let labels = Labels::new(&[("session", session), ("job_name", label)]);
                jobs.push(One { labels, survey, usage: *usage, cpu: *cpu, logs });
            }
        }
        let mut out = Exposition::new(dialect, ROOM * (jobs.len() + 5));
        self.write_node(&states, jobs.len(), &mut out);
        write_jobs(&jobs, &mut out);
        if !self.usages.are_blind {
            write_usages(&jobs, &mut out);
        }
        write_outputs(&jobs, &mut out);
        self.write_logs(&mut out);
        self.write_clients(&mut out);
        self.write_others(&mut out);
        self.write_shell(&mut out);
        out.finish()
    }

    fn own_logs(&self) -> impl Iterator<Item = (&str, u64)> {
        let own = self.standing.logs.iter().filter(|taken| !taken.elsewhere);
        own.map(|taken| (taken.name.as_str(), taken.bytes))
    }

    fn write_node(&self, states: &[u64], told: usize, out: &mut Exposition) {
        let none = Labels::default();
        out.family(named::BUILD);
        out.sample(&none, &[("version", VERSION)], 1_u64);
        out.family(named::READY);
        out.plain(u64::from(self.node.readiness().is_ok()));
        out.family(named::DEGRADED);
        out.plain(u64::from(self.node.is_degraded()));
        out.family(named::JOBS);
        for (word, count) in STATES.iter().zip(states) {
            out.sample(&none, &[("state", word)], *count);
        }
        out.family(named::LEFT_OUT);
        out.plain(self.node.supervisor.job_count().saturating_sub(told));
    }

    fn write_logs(&self, out: &mut Exposition) {
        out.family(named::ALL_LOGS);
        out.plain(self.own_logs().map(|(_, bytes)| bytes).sum::<u64>());
        out.family(named::MOST_LOGS);
        out.plain(self.standing.most_logs);
    }

    fn write_clients(&self, out: &mut Exposition) {
        let (node, none) = (self.node, Labels::default());
        write_connections(named::CONNECTIONS, &node.clients, out);
        out.family(named::RESPONSES);
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        for (class, count) in classes.iter().zip(node.answered) {
            out.sample(&none, &[("class", class)], count);
        }
        let (channel, stdins) = (node.channel.counts(), node.stdins.counts());
        let (feeds, feed_bytes) = node.feeds.counts();
        let lost = node.feeds.lost();
        let queued = channel.queued + feed_bytes + node.links.owed_in_all();
        write_each(
            &[
                (named::SESSIONS, channel.sessions.into()),
                (named::SUBSCRIPTIONS, node.hub.counts().1.into()),
                (named::FEEDS, feeds.into()),
                (named::LOG_READERS, (node.readers.len() + node.replays.len()).into()),
                (named::WAITS, node.waits.len().into()),
                (named::QUEUED, queued.into()),
                (named::LOST_MESSAGES, (channel.lost + lost.messages).into()),
                (named::LOST_OUTPUT, lost.bytes.into()),
                (named::INPUT, stdins.owed.into()),
                (named::INPUT_LOST, stdins.lost.into()),
            ],
            out,
        );
    }

    fn write_others(&self, out: &mut Exposition) {
        let none = Labels::default();
        let hooks = self.node.webhooks.counts();
        out.family(named::WEBHOOKS);
        out.sample(&none, &[("state", "failing")], hooks.failing);
        out.sample(&none, &[("state", "taking")], hooks.targets - hooks.failing);
        write_each(
            &[
                (named::HOOK_QUEUE, hooks.queued.into()),
                (named::DELIVERED, hooks.delivered.into()),
                (named::DROPPED, hooks.dropped.into()),
            ],
            out,
        );
        let (registered, all) = self.node.lookups.counts();
        out.family(named::LOOKUPS);
        out.sample(&none, &[("state", "registered")], registered);
        out.sample(&none, &[("state", "away")], all - registered);
    }

    fn write_shell(&self, out: &mut Exposition) {
        let turns = &self.standing.turns;
        out.family(named::TURNS);
        out.histogram(turns.counts(), turns.beyond(), turns.sum().as_secs_f64());
        write_each(&[(named::LONGEST, turns.longest().as_secs_f64().into())], out);
        if let Some(usage) = &self.standing.usage {
            write_each(
                &[
                    (named::OWN_CPU, usage.cpu_time.into()),
                    (named::OWN_MEMORY, usage.rss.into()),
                    (named::OWN_VIRTUAL, usage.vms.into()),
                    (named::OWN_FDS, usage.fds.into()),
                ],
                out,
            );
        }
        if let Some(most) = self.standing.most_fds {
            write_each(&[(named::OWN_MOST_FDS, most.into())], out);
        }
        if let Some(usage) = &self.standing.usage {
            write_each(&[(named::OWN_THREADS, usage.threads.into())], out);
        }
        let started = self.standing.started.unwrap_or(self.now.wall);
        write_each(&[(named::OWN_START, epoch_seconds(started).into())], out);
    }
}

/// Families of which there is one number each.
fn write_each(all: &[(Family, Number)], out: &mut Exposition) {
    for (family, number) in all {
        out.family(*family);
        out.plain(*number);
    }
}

/// What the processes of jobs use now.
fn write_usages(jobs: &[One<'_>], out: &mut Exposition) {
    write_all(named::MEMORY, jobs, out, |one| one.usage.rss.into());
    write_all(named::FDS, jobs, out, |one| one.usage.fds.into());
    write_all(named::THREADS, jobs, out, |one| one.usage.threads.into());
    write_all(named::PROCESSES, jobs, out, |one| one.usage.processes.into());
}

fn write_jobs(jobs: &[One<'_>], out: &mut Exposition) {
    out.family(named::INSTANCES);
    for one in jobs {
        for (word, count) in STATES.iter().zip(one.survey.states) {
            if count > 0 || *word == "running" {
                out.sample(&one.labels, &[("state", word)], count);
            }
        }
    }
    write_all(named::TARGET, jobs, out, |one| wanted(&one.survey).into());
    write_all(named::RESTARTS, jobs, out, |one| one.survey.job.tally.restarts.into());
    out.family(named::ENDS);
    for one in jobs {
        for (word, count) in ENDS.iter().zip(one.survey.job.tally.ends) {
            out.sample(&one.labels, &[("cause", word)], count);
        }
    }
    write_all(named::KEPT_DEATHS, jobs, out, |one| one.survey.deaths.into());
    write_all(named::CPU, jobs, out, |one| one.cpu.into());
}

/// What their output comes to.
fn write_outputs(jobs: &[One<'_>], out: &mut Exposition) {
    out.family(named::OUTPUT);
    for one in jobs {
        for (word, bytes) in STREAMS.iter().zip(one.survey.job.tally.output) {
            out.sample(&one.labels, &[("stream", word)], bytes);
        }
    }
    write_all(named::UNLOGGED_NOW, jobs, out, |one| one.survey.unlogged.into());
    write_all(named::UNLOGGED, jobs, out, |one| one.survey.job.tally.unlogged.into());
    write_all(named::LOGS, jobs, out, |one| one.logs.into());
}

/// A family of which each job has one.
fn write_all(
    family: Family,
    jobs: &[One<'_>],
    out: &mut Exposition,
    number: impl Fn(&One<'_>) -> Number,
) {
    out.family(family);
    for one in jobs {
        out.sample(&one.labels, &[], number(one));
    }
}

/// How many instances are to run.
fn wanted(survey: &Survey<'_>) -> u32 {
    match survey.job.desired {
        Desired::Up => survey.job.target,
        Desired::Down | Desired::Hold => 0,
    }
}
