//! The commands of the channel (the protocol, section 4.6): what the REST endpoints do, by name and
//! with arguments by position or by name.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{json, Map, Value};

use super::api_jobs::{check_user, known_config, scale_of};
use super::ctx::{Ctx, Depth, Measure, Writing};
use super::masking::{unmask, Sight};
use super::overview::Meant;
use super::permission::{Needs, Subject, World};
use super::streams::{self, NoStream};
use crate::base::ids::Pid;
use crate::base::limits;
use crate::base::sorted::SortedMap;
use crate::front::rights::Right::{Manage, Read, Write};
use crate::supervisor::instance::Commit;
use crate::supervisor::job::Origin;
use crate::supervisor::name::{JobName, DEFAULT_SESSION};
use crate::supervisor::spec::{JobEntry, Place};
use crate::supervisor::spec_read;
use crate::supervisor::spec_read::signal_of;
use crate::supervisor::tables::Refusal;
use crate::wire::channel::Command;
use crate::wire::json::whole;

/// What a command comes to.
pub enum Outcome {
    /// This.
    Done(Value),
    /// Statistics, once they are measured.
    Measure(Measure),
    /// How it stands with this job, or with all that may be read.
    Overview(Meant),
    /// `{"ok": true}`, once this is in the queue of a process.
    Write(Writing),
}

/// Why a command was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// As a status of HTTP.
    pub errno: u16,
    /// The word that clients know.
    pub reason: String,
    /// What exactly was wrong.
    pub detail: String,
}

type Run = fn(&mut Ctx<'_>, &Args<'_>) -> Result<Outcome, Failure>;

/// One line of the table.
pub struct Known {
    /// Its name.
    pub name: &'static str,
    /// The names of its arguments by position.
    positions: &'static [&'static str],
    /// The names of those that it takes only by name.
    names: &'static [&'static str],
    /// What whoever says it has to have.
    pub needs: Needs,
    run: Run,
}

const fn known(
    name: &'static str,
    positions: &'static [&'static str],
    names: &'static [&'static str],
    needs: Needs,
    run: Run,
) -> Known {
    Known { name, positions, names, needs, run }
}

/// Every command.
#[rustfmt::skip]
pub const COMMANDS: &[Known] = &[
    known("overview", &["name"], &["sessionid", "after"], Needs::Known, overview),
    known("sessions", &[], &[], Needs::All(Manage), sessions),
    known("jobs", &["sessionid"], &[], Needs::Session(Manage), jobs),
    known("pids", &["name"], &["sessionid"], Needs::Job(Read), pids),
    known("load", &["config"], &["sessionid", "start", "env"], Needs::Session(Manage), load),
    known("unload", &["name"], &["sessionid"], Needs::Job(Manage), unload),
    known("reload", &["name"], &["sessionid"], Needs::Job(Manage), reload),
    known("update", &["config"], &["sessionid", "start", "env"], Needs::Job(Manage), update),
    known("start_job", &["name"], &["sessionid"], Needs::Job(Manage), start_job),
    known("stop_job", &["name"], &["sessionid"], Needs::Job(Manage), stop_job),
    known("restart", &["name"], &["sessionid"], Needs::Job(Manage), restart),
    known("scale", &["name", "scale"], &["sessionid"], Needs::Job(Manage), scale),
    known("info", &["name"], &["sessionid", "secrets"], Needs::Job(Read), info),
    known("stats", &["name"], &["sessionid"], Needs::Job(Read), stats),
    known("deaths", &["name"], &["sessionid"], Needs::Job(Read), deaths),
    known("stopall", &["name"], &["sessionid"], Needs::Job(Manage), stop_all),
    known("killall", &["name", "signal"], &["sessionid"], Needs::Job(Manage), kill_all),
    known("commit", &["name", "graceful_timeout", "env"], &["sessionid"], Needs::Job(Manage), commit),
    known("process_info", &["pid"], &["secrets"], Needs::Process(Read), process_info),
    known("process_stats", &["pid"], &[], Needs::Process(Read), process_stats),
    known("stop_process", &["pid"], &[], Needs::Process(Manage), stop_process),
    known("send", &["pid", "data", "stream"], &[], Needs::Process(Write), send),
    known("close_stdin", &["pid", "stream"], &[], Needs::Process(Write), close_stdin),
    known("kill", &["pid", "signal"], &[], Needs::Process(Manage), kill),
];

/// Does a command, or begins to.
///
/// # Errors
/// Why not.
pub fn run(ctx: &mut Ctx<'_>, command: &Command) -> Result<Outcome, Failure> {
    let Some(known) = COMMANDS.iter().find(|known| known.name == command.name) else {
        return Err(unknown(&command.name));
    };
    if command.args.len() > known.positions.len() {
        let detail = format!(
            "{} takes {} arguments, found {}",
            known.name,
            known.positions.len(),
            command.args.len()
        );
        return Err(bad(detail));
    }
    let stranger = command.kwargs.keys().find(|name| {
        !known.positions.contains(&name.as_str()) && !known.names.contains(&name.as_str())
    });
    if let Some(stranger) = stranger {
        return Err(bad(format!("{} takes no argument {stranger:?}", known.name)));
    }
    let args = Args { known, command };
    let world = World { supervisor: ctx.supervisor, door: ctx.door };
    match world.permits(ctx.caller, known.needs, &args) {
        Ok(true) => (known.run)(ctx, &args),
        Ok(false) => Err(failure(403, "forbidden", "the key does not permit this".into())),
        // Of what a command needs, only a process may be missing.
        Err(_) => Err(failed(&Refusal::NotFound)),
    }
}

/// What a command changes, in words for the audit; `None` if it changes nothing, or only writes to a
/// process.
pub fn audited(command: &Command) -> Option<String> {
    let known = COMMANDS.iter().find(|known| known.name == command.name)?;
    let changes = match known.needs {
        Needs::Session(right) | Needs::Job(right) | Needs::Process(right) => right == Manage,
        Needs::All(_)
        | Needs::Admin
        | Needs::Nothing
        | Needs::Known
        | Needs::Within
        | Needs::Events
        | Needs::Registry
        | Needs::Keys
        | Needs::OwnKey
        | Needs::Users
        | Needs::OwnUser => false,
    };
    let args = Args { known, command };
    let what = Subject::job(&args).map(|job| job.to_string());
    let what = what.or_else(|| Subject::pid(&args).map(|pid| pid.to_string()));
    let what = what.or_else(|| Subject::session(&args)).unwrap_or_default();
    // A list of names is nothing that changes.
    (changes && known.name != "jobs").then(|| format!("{} {what}", known.name))
}

fn unknown(name: &str) -> Failure {
    let names = COMMANDS.iter().map(|known| known.name);
    let meant = crate::base::similar::nearest(name, names);
    let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
    failure(404, "command_not_found", format!("there is no command {name:?}{meant}"))
}

/// The arguments of a command.
struct Args<'a> {
    known: &'a Known,
    command: &'a Command,
}

impl Subject for Args<'_> {
    fn session(&self) -> Option<String> {
        let said = self.text("sessionid").ok().flatten().map(str::to_owned);
        // What is loaded is loaded somewhere.
        said.or_else(|| self.get("config").map(|_| DEFAULT_SESSION.to_owned()))
    }

    fn job(&self) -> Option<JobName> {
        let Some(config) = self.get("config") else { return Args::job(self).ok() };
        let session = self.text("sessionid").ok()?.unwrap_or(DEFAULT_SESSION);
        JobName::new(session, config.get("name")?.as_str()?).ok()
    }

    fn pid(&self) -> Option<Pid> {
        Args::pid(self).ok()
    }

    fn events(&self) -> String {
        String::new()
    }

    fn entry(&self) -> &str {
        ""
    }
}

impl Args<'_> {
    /// An argument, by position or by name; null counts as absent.
    fn get(&self, name: &str) -> Option<&Value> {
        let position = self.known.positions.iter().position(|known| *known == name);
        let by_position = position.and_then(|position| self.command.args.get(position));
        let value = by_position.or_else(|| self.command.kwargs.get(name));
        value.filter(|value| !value.is_null())
    }

    fn need(&self, name: &str) -> Result<&Value, Failure> {
        self.get(name).ok_or_else(|| bad(format!("{} needs {name}", self.known.name)))
    }

    fn text(&self, name: &str) -> Result<Option<&str>, Failure> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(bad(format!("{name}: expected a text, found {other}"))),
        }
    }

    fn flag(&self, name: &str, unsaid: bool) -> Result<bool, Failure> {
        match self.get(name) {
            None => Ok(unsaid),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(bad(format!("{name}: expected true or false, found {other}"))),
        }
    }

    /// How much of a job's environment is seen.
    fn sight(&self, ctx: &Ctx<'_>, job: &JobName) -> Result<Sight, Failure> {
        let secrets = self.flag("secrets", false)?;
        Sight::of(ctx.caller, job, secrets).map_err(|why| failure(403, "forbidden", why.into()))
    }

    /// A job: `S.L`, or a label with its session beside it.
    fn job(&self) -> Result<JobName, Failure> {
        self.need("name")?;
        let text = self.text("name")?.unwrap_or_default();
        let name = match self.text("sessionid")? {
            Some(session) => JobName::new(session, text),
            None => JobName::parse(text),
        };
        // What is no name is nobody's.
        name.map_err(|_| failed(&Refusal::NotFound))
    }

    fn pid(&self) -> Result<Pid, Failure> {
        let value = self.need("pid")?;
        let number = whole(value).and_then(|number| u64::try_from(number).ok());
        number
            .map(Pid)
            .ok_or_else(|| bad(format!("pid: expected a process's number, found {value}")))
    }

    fn env(&self) -> Result<SortedMap<String, String>, Failure> {
        match self.get("env") {
            None => Ok(SortedMap::new()),
            Some(value) => spec_read::read_env(value).map_err(|error| bad(error.to_string())),
        }
    }

    /// A job's configuration, with the session and the environment beside it.
    fn entry(&self, ctx: &Ctx<'_>) -> Result<JobEntry, Failure> {
        let Some(value) = self.get("config") else {
            return Err(failure(
                400,
                "config_missing",
                format!("{} needs config", self.known.name),
            ));
        };
        let invalid = |detail: String| failure(400, "invalid_config", detail);
        let Value::Object(config) = value else {
            return Err(invalid("config: expected an object".into()));
        };
        let mut config: Map<String, Value> = config.clone();
        let label = config.get("name").and_then(Value::as_str);
        let label = label.ok_or_else(|| invalid("name is missing".into()))?.to_owned();
        let session = self.text("sessionid")?.unwrap_or(DEFAULT_SESSION);
        let name = JobName::new(session, &label).map_err(|error| invalid(error.to_string()))?;
        unmask(&mut config, known_config(ctx, &name).as_ref()).map_err(invalid)?;
        let extra = self.env()?;
        if !extra.is_empty() {
            let env = config.entry("env").or_insert_with(|| json!({}));
            let env =
                env.as_object_mut().ok_or_else(|| invalid("env: expected an object".into()))?;
            env.extend(extra.into_iter().map(|(name, value)| (name, Value::from(value))));
        }
        let spec = spec_read::read(&config).map_err(|error| invalid(error.to_string()))?;
        check_user(ctx, &name, &spec).map_err(|why| failure(403, "forbidden", why.into()))?;
        let (spec, start) = (Rc::new(spec), self.flag("start", true)?);
        Ok(JobEntry { name, spec, start, place: Place::default() })
    }
}

fn failure(errno: u16, reason: &str, detail: String) -> Failure {
    Failure { errno, reason: reason.to_owned(), detail }
}

fn bad(detail: String) -> Failure {
    failure(400, "bad_command", detail)
}

/// What a refusal is on the channel.
pub fn failed(refusal: &Refusal) -> Failure {
    let detail = refusal.to_string();
    match refusal {
        Refusal::NotFound => failure(404, "not_found", detail),
        Refusal::Exists => failure(409, "process_conflict", detail),
        Refusal::NotStarted => failure(409, "not_started", detail),
        Refusal::Invalid(_) => failure(400, "invalid_config", detail),
        Refusal::ShuttingDown => failure(503, "shutting_down", detail),
    }
}

fn done<T>(result: Result<T, Refusal>) -> Result<Outcome, Failure> {
    result.map(|_| Outcome::Done(json!({"ok": true}))).map_err(|refusal| failed(&refusal))
}

fn overview(_: &mut Ctx<'_>, args: &Args<'_>) -> Result<Outcome, Failure> {
    let after = args.text("after")?.map(JobName::parse).transpose();
    let after = after.map_err(|error| bad(format!("after: {error}")))?;
    Ok(Outcome::Overview(match args.get("name") {
        Some(_) => Meant::One(args.job()?),
        None => Meant::All(after),
    }))
}

fn sessions(ctx: &mut Ctx<'_>, _: &Args<'_>) -> Result<Outcome, Failure> {
    Ok(Outcome::Done(json!({"sessions": super::api_jobs::session_names(ctx.supervisor)})))
}

fn jobs(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<Outcome, Failure> {
    let names = ctx.supervisor.job_names();
    let Some(session) = args.text("sessionid")? else {
        return Ok(Outcome::Done(
            json!({"jobs": names.map(JobName::to_string).collect::<Vec<_>>()}),
        ));
    };
    let of_session = names.filter(|name| name.session() == session);
    let jobs: Vec<String> = of_session.map(JobName::to_string).collect();
    if jobs.is_empty() {
        return Err(failed(&Refusal::NotFound));
    }
    Ok(Outcome::Done(json!({"sessionid": session, "jobs": jobs})))
}

fn pids(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<Outcome, Failure> {
    if args.get("name").is_none() {
        let pids: Vec<u64> = ctx.supervisor.live_pids().map(|pid| pid.0).collect();
        return Ok(Outcome::Done(json!({"pids": pids})));
    }
    let name = args.job()?;
    let pids = ctx.supervisor.kept_pids(&name).map_err(|refusal| failed(&refusal))?;
    // The key of the job's name is the original's.
    Ok(Outcome::Done(json!({"sessionid": name.to_string(), "pids": pids})))
}

fn load(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<Outcome, Failure> {
    let entry = args.entry(ctx)?;
    done(ctx.supervisor.load(entry, Origin::Api, ctx.now))
}

fn update(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<Outcome, Failure> {
    let start = args.flag("start", false)?;
    let entry = JobEntry { start, ..args.entry(ctx)? };
    done(ctx.supervisor.update(entry, ctx.now))
}

fn unload(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<Outcome, Failure> {
    done(ctx.supervisor.unload(&args.job()?, ctx.now))
}

fn reload(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<Outcome, Failure> {
    done(ctx.supervisor.reload(&args.job()?, ctx.now))
}

fn start_job(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<Outcome, Failure> {
    done(ctx.supervisor.start_job(&args.job()?, ctx.now))
}

fn stop_job(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<Outcome, Failure> {
    done(ctx.supervisor.stop_job(&args.job()?, ctx.now))
}

fn restart(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<Outcome, Failure> {
    done(ctx.supervisor.restart_job(&args.job()?, ctx.now))
}

fn scale(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<Outcome, Failure> {
    let name = args.job()?;
    let value = args.need("scale")?;
    let scale = scale_of(value).ok_or_else(|| {
        bad("scale: expected a whole number, or a text such as \"+1\", \"-1\" or \"=3\"".into())
    })?;
    let target = ctx.supervisor.scale(&name, scale, ctx.now);
    let target = target.map_err(|refusal| failed(&refusal))?;
    Ok(Outcome::Done(json!({"numprocesses": target})))
}

fn info(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<Outcome, Failure> {
    let name = args.job()?;
    let view = ctx.supervisor.view_job(&name, ctx.now);
    let mut view = json!(view.map_err(|refusal| failed(&refusal))?);
    args.sight(ctx, &name)?.mask(view.pointer_mut("/config/env"));
    Ok(Outcome::Done(json!({"info": view})))
}

fn deaths(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<Outcome, Failure> {
    let name = args.job()?;
    let deaths = ctx.supervisor.view_deaths(&name).map_err(|refusal| failed(&refusal))?;
    Ok(Outcome::Done(json!({"name": name.to_string(), "deaths": deaths})))
}

fn stats(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<Outcome, Failure> {
    let name = args.job()?;
    ctx.supervisor.job_id(&name).map_err(|refusal| failed(&refusal))?;
    Ok(Outcome::Measure(Measure::Job(name, Depth::Usual)))
}

fn stop_all(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<Outcome, Failure> {
    done(ctx.supervisor.stop_processes(&args.job()?, ctx.now))
}

fn signal(args: &Args<'_>) -> Result<crate::base::process::Signal, Failure> {
    let value = args.need("signal")?;
    signal_of(value).ok_or_else(|| {
        failure(
            400,
            "bad_signal",
            "signal: expected a name or a number, such as \"HUP\" or 1".into(),
        )
    })
}

fn kill_all(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<Outcome, Failure> {
    let (name, signal) = (args.job()?, signal(args)?);
    done(ctx.supervisor.kill_job(&name, signal, ctx.now))
}

fn commit(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<Outcome, Failure> {
    let name = args.job()?;
    let grace =
        match args.get("graceful_timeout") {
            None => None,
            Some(value) => {
                let duration = value.as_f64().and_then(|s| Duration::try_from_secs_f64(s).ok());
                let duration = duration.filter(|duration| *duration <= limits::CONFIGURED_TIME);
                Some(duration.ok_or_else(|| {
                    bad("graceful_timeout: expected seconds from 0 to 864000".into())
                })?)
            }
        };
    let pid = ctx.supervisor.commit(&name, Commit::new(args.env()?, grace), ctx.now);
    let pid = pid.map_err(|refusal| failed(&refusal))?;
    Ok(Outcome::Done(json!({"ok": true, "pid": pid.0})))
}

fn process_info(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<Outcome, Failure> {
    let pid = args.pid()?;
    let view = ctx.supervisor.view_process(pid, ctx.now);
    let mut view = json!(view.map_err(|refusal| failed(&refusal))?);
    let world = World { supervisor: ctx.supervisor, door: ctx.door };
    let job = world.job_of(pid).ok_or_else(|| failed(&Refusal::NotFound))?;
    args.sight(ctx, &job)?.mask_process(&mut view);
    Ok(Outcome::Done(json!({"info": view})))
}

fn process_stats(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<Outcome, Failure> {
    let pid = args.pid()?;
    ctx.supervisor.live_instance(pid).map_err(|refusal| failed(&refusal))?;
    Ok(Outcome::Measure(Measure::Process(pid, Depth::Usual)))
}

fn stop_process(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<Outcome, Failure> {
    done(ctx.supervisor.stop_process(args.pid()?, ctx.now))
}

fn kill(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<Outcome, Failure> {
    let (pid, signal) = (args.pid()?, signal(args)?);
    done(ctx.supervisor.kill(pid, signal))
}

/// Where something goes that is sent to a process.
fn inlet(ctx: &Ctx<'_>, args: &Args<'_>) -> Result<super::stdins::Address, Failure> {
    let label = args.text("stream")?.unwrap_or(streams::STDIN);
    streams::input(ctx.supervisor, args.pid()?, Some(label)).map_err(|none| match none {
        NoStream::Process => failed(&Refusal::NotFound),
        NoStream::NotRedirected => failure(
            403,
            "stdin not redirected",
            "the job has no redirect_input, so nothing is written to its processes".into(),
        ),
        NoStream::Label(label) => {
            failure(404, "stream_not_found", format!("the process has no stream {label:?}"))
        }
    })
}

fn send(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<Outcome, Failure> {
    let to = inlet(ctx, args)?;
    let data = args.need("data")?;
    let expected = || bad("data: expected a text, or a list of texts".into());
    let bytes = match data {
        Value::String(text) => text.clone().into_bytes(),
        Value::Array(texts) => {
            let texts: Option<Vec<&str>> = texts.iter().map(Value::as_str).collect();
            texts.ok_or_else(expected)?.concat().into_bytes()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            return Err(expected());
        }
    };
    Ok(Outcome::Write(Writing { to, bytes, close: false }))
}

fn close_stdin(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<Outcome, Failure> {
    let to = inlet(ctx, args)?;
    Ok(Outcome::Write(Writing { to, bytes: Vec::new(), close: true }))
}
