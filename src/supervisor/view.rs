//! What the API shows of jobs and processes: plain values, made on request, with the reasons in
//! words. Names are the original's; what it did not have stands beside them.

use serde::Serialize;
use serde_json::{Map, Value};

use super::death::{Death, UsageView};
use super::instance::{Blocker, Instance, Run, State, Step};
use super::job::{Desired, Job, Origin};
use super::name::JobName;
use super::order::Seat;
use super::tables::{Refusal, Supervisor};
use super::tally::STATES;
use crate::base::clock::{epoch_seconds, seconds, Now};
use crate::base::environment::Environment;
use crate::base::ids::{InstanceId, Pid, StreamNo};
use crate::base::sorting;
use crate::wire::json;

/// `GET /jobs/S/L`. It is written as it stands here, without a tree of values that would bring its members into order:
/// they stand in that order.
#[derive(Debug, Serialize)]
pub struct JobView {
    active: bool,
    /// As it was given; what is secret of it is not taken out yet. Nothing in an outline.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Value>,
    deaths: u64,
    desired: &'static str,
    instances: Vec<InstanceView>,
    max_processes: u32,
    name: String,
    origin: &'static str,
    processes: Vec<u64>,
    reason: String,
    restarts: u64,
    retry_at: Option<f64>,
    running: usize,
    running_out: usize,
    #[serde(skip_serializing_if = "String::is_empty")]
    source: String,
    started_at: Option<f64>,
    state: &'static str,
    uptime: Option<f64>,
}

/// One instance of a job.
#[derive(Debug, Serialize)]
pub struct InstanceView {
    deaths: u64,
    instance: u32,
    once: bool,
    os_pid: Option<i32>,
    pid: Option<u64>,
    reason: String,
    restarts: u64,
    retry_at: Option<f64>,
    started_at: Option<f64>,
    state: &'static str,
    /// Why what it writes does not come to its logs, by stream.
    #[serde(skip_serializing_if = "Map::is_empty")]
    unlogged: Map<String, Value>,
    uptime: Option<f64>,
}

/// `GET /P`.
#[derive(Debug, Serialize)]
pub struct ProcessView {
    pid: u64,
    name: String,
    cmd: String,
    args: Vec<String>,
    env: Map<String, Value>,
    uid: Option<u32>,
    gid: Option<u32>,
    os_pid: Option<i32>,
    create_time: f64,
    commited: bool,
    redirect_output: Vec<String>,
    redirect_input: bool,
    custom_streams: Vec<String>,
    active: bool,
    instance: u32,
    state: &'static str,
    reason: String,
    retry_at: Option<f64>,
    restarts: u64,
    started_at: f64,
    uptime: f64,
    deaths: u64,
}

/// One death of `GET /jobs/S/L/deaths`.
#[derive(Debug, Serialize)]
pub struct DeathView {
    /// Its job, where not all are of the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    instance: u32,
    once: bool,
    pid: u64,
    os_pid: Option<i32>,
    started_at: f64,
    ended_at: f64,
    ran: f64,
    cause: &'static str,
    reason: String,
    words: String,
    summary: String,
    exit_status: Option<i32>,
    term_signal: Option<i32>,
    stage: Option<&'static str>,
    errno: Option<i32>,
    planned: bool,
    success: bool,
    outlived: bool,
    out_of_memory: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rusage: Option<UsageView>,
    last_lines: Vec<String>,
}

impl Supervisor {
    /// A job as the API shows it.
    ///
    /// # Errors
    /// No such job.
    pub fn view_job(&self, name: &JobName, now: Now) -> Result<JobView, Refusal> {
        let job = self.job(self.job_id(name)?).ok_or(Refusal::NotFound)?;
        Ok(JobView { config: job.spec.config.map(), ..self.outline(job, now) })
    }

    /// The same without its configuration.
    pub fn outline(&self, job: &Job, now: Now) -> JobView {
        let instances = self.instance_views(job, now);
        let urgency = |view: &&InstanceView| STATES.iter().position(|word| *word == view.state);
        let telling = instances.iter().filter(|view| !view.once).min_by_key(urgency);
        let (state, reason) = match telling {
            Some(view) => (view.state, view.reason.clone()),
            None => ("stopped", String::new()),
        };
        let reason = if state == "stopped" { job_reason(job) } else { reason };
        let started = instances.iter().filter_map(|view| view.started_at);
        let kept = self.live_of(job.kept.iter());
        let committed = self.live_of(job.committed.iter());
        let leaving = self.live_of(job.leaving.iter());
        let running_out = instances.iter().filter(|view| view.once && view.pid.is_some()).count();
        let processes: Vec<u64> = kept.into_iter().chain(committed).chain(leaving).collect();
        JobView {
            name: job.name.to_string(),
            active: !processes.is_empty(),
            running: processes.len(),
            running_out,
            max_processes: job.target,
            processes,
            config: Map::new(),
            desired: desired_word(job.desired),
            origin: match job.origin {
                Origin::File => "file",
                Origin::Api => "api",
            },
            source: job.source.clone(),
            state,
            reason,
            retry_at: instances.iter().filter_map(|v| v.retry_at).reduce(f64::min),
            restarts: instances.iter().map(|view| view.restarts).sum(),
            started_at: started.clone().reduce(f64::max),
            uptime: instances.iter().filter_map(|v| v.uptime).reduce(f64::max),
            deaths: instances.iter().map(|v| v.deaths).sum::<u64>() + job.departed.count(),
            instances,
        }
    }

    fn live_of<'a>(&self, ids: impl Iterator<Item = &'a InstanceId>) -> Vec<u64> {
        let mut pids: Vec<u64> = ids.filter_map(|id| self.live_pid(*id)).map(|pid| pid.0).collect();
        pids.sort_unstable();
        pids
    }

    fn instance_views(&self, job: &Job, now: Now) -> Vec<InstanceView> {
        let mut views: Vec<InstanceView> = job
            .instances()
            .filter_map(|id| self.instance(id))
            .filter(|instance| !instance.is_straggler())
            .map(|instance| instance_view(instance, now))
            .collect();
        sorting::sort_by_key(&mut views, |view| (view.once, view.instance, view.pid));
        views
    }

    /// The live kept processes of a job, oldest first.
    ///
    /// # Errors
    /// No such job.
    pub fn kept_pids(&self, name: &JobName) -> Result<Vec<u64>, Refusal> {
        let job = self.job(self.job_id(name)?).ok_or(Refusal::NotFound)?;
        Ok(self.live_of(job.kept.iter()))
    }

    /// The instances of a job whose processes live, one-offs included, each with its run's number.
    ///
    /// # Errors
    /// No such job.
    pub fn live_instances(&self, name: &JobName) -> Result<Vec<(InstanceId, Pid)>, Refusal> {
        let job = self.job(self.job_id(name)?).ok_or(Refusal::NotFound)?;
        Ok(job.instances().filter_map(|id| Some((id, self.live_pid(id)?))).collect())
    }

    /// A live process as the API shows it.
    ///
    /// # Errors
    /// No such process.
    pub fn view_process(&self, pid: Pid, now: Now) -> Result<ProcessView, Refusal> {
        let id = self.instance_id(pid)?;
        self.live_pid(id).ok_or(Refusal::NotFound)?;
        let instance = self.instance(id).ok_or(Refusal::NotFound)?;
        let run = instance.run.as_ref().ok_or(Refusal::NotFound)?;
        let job = self.job(instance.job).ok_or(Refusal::NotFound)?;
        let view = instance_view(instance, now);
        let seat = Seat { name: &job.name, number: instance.number, pid, extra: &run.extra };
        let order = self.host.order(&run.spec, seat);
        let (cmd, args, env) = match order {
            Ok(order) => (order.program, order.args, shown(&order.env)),
            // Its user is gone since it was started.
            Err(_) => Default::default(),
        };
        let started_at = epoch_seconds(run.started.wall);
        Ok(ProcessView {
            pid: pid.0,
            name: job.name.to_string(),
            cmd,
            args,
            env,
            uid: run.ids.map(|(uid, _)| uid),
            gid: run.ids.map(|(_, gid)| gid),
            os_pid: run.os_pid.map(|os_pid| os_pid.0),
            create_time: (started_at * 100.0).round() / 100.0,
            commited: instance.is_once(),
            redirect_output: run.spec.redirect_output.clone(),
            redirect_input: run.spec.redirect_input,
            custom_streams: run.spec.custom_streams.clone(),
            active: true,
            instance: instance.number,
            state: view.state,
            reason: view.reason,
            retry_at: view.retry_at,
            restarts: view.restarts,
            started_at,
            uptime: view.uptime.unwrap_or(0.0),
            deaths: view.deaths,
        })
    }

    /// The remembered deaths of a job, newest first.
    ///
    /// # Errors
    /// No such job.
    pub fn view_deaths(&self, name: &JobName) -> Result<Vec<DeathView>, Refusal> {
        let job = self.job(self.job_id(name)?).ok_or(Refusal::NotFound)?;
        let mut deaths = self.deaths_of(job);
        sorting::sort_by_key(&mut deaths, |death| std::cmp::Reverse((death.ended_at, death.pid)));
        Ok(deaths.into_iter().map(death_view).collect())
    }
}

impl DeathView {
    /// The same, with the name of its job.
    pub(super) fn of(self, job: &JobName) -> Self {
        Self { name: Some(job.to_string()), ..self }
    }
}

fn shown(env: &Environment) -> Map<String, Value> {
    json::object(env.iter().map(|(name, value)| (name.to_owned(), Value::from(value))))
}

fn desired_word(desired: Desired) -> &'static str {
    match desired {
        Desired::Up => "up",
        Desired::Down => "down",
        Desired::Hold => "hold",
    }
}

fn job_reason(job: &Job) -> String {
    match job.desired {
        Desired::Up if job.target == 0 => "no process is wanted".into(),
        Desired::Up => String::new(),
        Desired::Down => "stopped by request".into(),
        Desired::Hold => "not started yet".into(),
    }
}

fn instance_view(instance: &Instance, now: Now) -> InstanceView {
    let live = instance.run.as_ref().filter(|_| instance.is_live());
    InstanceView {
        instance: instance.number,
        pid: live.map(|run| run.pid.0),
        os_pid: live.and_then(|run| run.os_pid).map(|os_pid| os_pid.0),
        once: instance.is_once(),
        state: instance.word(),
        reason: reason(instance),
        retry_at: match instance.state {
            State::Backoff { retry_at, .. } => Some(epoch_seconds(retry_at)),
            State::Waiting(_)
            | State::Starting
            | State::Running
            | State::Stopping(_)
            | State::Stopped
            | State::Exited { .. }
            | State::Failed { .. } => None,
        },
        restarts: instance.restarts,
        started_at: live.map(|run| epoch_seconds(run.started.wall)),
        uptime: live.map(|run| {
            let ran = now.mono.saturating_duration_since(run.started.mono).as_secs_f64();
            (ran * 1000.0).round() / 1000.0
        }),
        deaths: instance.deaths.count(),
        unlogged: live.map(unlogged).unwrap_or_default(),
    }
}

fn unlogged(run: &Run) -> Map<String, Value> {
    let told = |(stream, why): (&StreamNo, &String)| {
        (run.spec.label(*stream).to_owned(), Value::from(why.as_str()))
    };
    json::object(run.unlogged.iter().map(told))
}

/// Why an instance is in its state, in words.
pub fn reason(instance: &Instance) -> String {
    let last = instance.deaths.last();
    let ended = || last.map(Death::summary).unwrap_or_default();
    match &instance.state {
        State::Waiting(Blocker::RestartRate) => {
            format!("waits for its turn: too many restarts at once; {}", ended())
        }
        State::Waiting(Blocker::Predecessor) => {
            "waits for the processes of the job's former life to end".into()
        }
        State::Starting | State::Running | State::Stopped => String::new(),
        State::Stopping(stopping) => {
            let step = match (stopping.step, &stopping.exit) {
                (_, Some(cause)) if stopping.group_empty => {
                    format!("{cause}; reading its last words")
                }
                (_, Some(cause)) => format!("{cause}; ending the rest of its group"),
                (Step::Nothing, None) => "ending".into(),
                (Step::Asked(signal), None) => format!("{signal} sent"),
                (Step::Killed, None) => "SIGKILL sent".into(),
            };
            format!("{}: {step}", stopping.why.word())
        }
        State::Backoff { flapping: true, .. } => {
            format!("flapping, episode {}: {}", instance.history.episodes(), ended())
        }
        State::Backoff { flapping: false, .. } => {
            format!("{}, {} in a row", ended(), instance.history.quick_failures())
        }
        State::Exited { .. } => ended(),
        State::Failed { reason } => reason.clone(),
    }
}

pub(super) fn death_view(death: &Death) -> DeathView {
    use super::death::Cause;
    use crate::base::process::ExitStatus;
    let (cause, exit_status, term_signal) = match &death.cause {
        Cause::Exit(ExitStatus::Code(code)) => ("exit", Some(*code), None),
        Cause::Exit(ExitStatus::Signal { signal, core: false }) => {
            ("signal", None, Some(signal.number()))
        }
        Cause::Exit(ExitStatus::Signal { signal, core: true }) => {
            ("core", None, Some(signal.number()))
        }
        Cause::Exit(ExitStatus::Unknown) => ("unknown", None, None),
        Cause::Spawn { .. } | Cause::Order(_) => ("spawn_error", None, None),
    };
    let (stage, errno) = match &death.cause {
        Cause::Spawn { stage, errno, .. } => (Some(stage.word()), Some(errno.0)),
        Cause::Order(_) => (Some("order"), None),
        Cause::Exit(_) => (None, None),
    };
    DeathView {
        name: None,
        instance: death.number,
        once: death.once,
        pid: death.pid.0,
        os_pid: death.os_pid.map(|os_pid| os_pid.0),
        started_at: epoch_seconds(death.started_at),
        ended_at: epoch_seconds(death.ended_at),
        ran: seconds(death.ran),
        cause,
        reason: death.cause.to_string(),
        words: death.words(),
        summary: death.summary(),
        exit_status,
        term_signal,
        stage,
        errno,
        planned: death.why.is_planned(),
        success: death.success,
        outlived: death.outlived,
        out_of_memory: death.evidence.out_of_memory,
        rusage: death.evidence.usage.as_ref().map(UsageView::from),
        last_lines: death.last_lines.clone(),
    }
}
