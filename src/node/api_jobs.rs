//! Endpoints about sessions and jobs. Shapes and status codes are the original's; every change is
//! checked whole before anything is changed.

use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{json, Map, Value};

use super::api_keys::{forbidden, includes};
use super::api_pids::signal_in;
use super::ctx::{Answer, Call, Ctx, Measure};
use super::masking::{unmask, Sight};
use super::permission::World;
use super::programs;
use super::reply::{self, bad_request, manager_error, no_such_job};
use crate::base::clock::seconds_within;
use crate::base::limits;
use crate::base::order::Account;
use crate::front::response::Response;
use crate::supervisor::instance::Commit;
use crate::supervisor::job::Origin;
use crate::supervisor::name::JobName;
use crate::supervisor::spec::{JobEntry, JobSpec, Place};
use crate::supervisor::spec_read::{self, SpecError};
use crate::supervisor::tables::Refusal;
use crate::supervisor::verbs::Scale;
use crate::supervisor::Supervisor;
use crate::wire::json::whole;

/// `GET /sessions`: their names, in the order in which they appeared.
pub fn sessions(ctx: &mut Ctx<'_>, _: &Call<'_>) -> Result<Answer, Response> {
    Ok(reply::value(&json!({"sessions": session_names(ctx.supervisor)})).into())
}

/// The names of all sessions, in the order in which they appeared.
pub fn session_names(supervisor: &Supervisor) -> Vec<&str> {
    let mut sessions: Vec<&str> = Vec::new();
    for name in supervisor.job_names() {
        if !sessions.contains(&name.session()) {
            sessions.push(name.session());
        }
    }
    sessions
}

/// `GET /jobs`: the names of all jobs.
pub fn all(ctx: &mut Ctx<'_>, _: &Call<'_>) -> Result<Answer, Response> {
    let jobs: Vec<String> = ctx.supervisor.job_names().map(JobName::to_string).collect();
    Ok(reply::value(&json!({"jobs": jobs})).into())
}

/// `GET /jobs/S`: the names of a session's jobs.
pub fn of_session(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let names = ctx.supervisor.job_names().filter(|name| name.session() == call.session());
    let jobs: Vec<String> = names.map(JobName::to_string).collect();
    if jobs.is_empty() {
        return Err(manager_error(&Refusal::NotFound));
    }
    Ok(reply::value(&json!({"sessionid": call.session(), "jobs": jobs})).into())
}

/// `POST /jobs/S`: loads a job and, unless told otherwise, starts it.
pub fn load(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let wish = call.wish()?;
    let mut config = call.object()?;
    unmask(&mut config, None).map_err(|error| bad_request(&error))?;
    let label = match config.get("name") {
        Some(Value::String(label)) => label,
        None | Some(Value::Null) => return Err(bad_request("name is missing")),
        Some(_) => return Err(bad_request("name: expected a text")),
    };
    let name = JobName::new(call.session(), label);
    let name = name.map_err(|error| bad_request(&error.to_string()))?;
    let entry = entry(name.clone(), config).map_err(|error| bad_request(&error.to_string()))?;
    check_user(ctx, &name, &entry.spec).map_err(forbidden)?;
    let loaded = ctx.supervisor.load(entry, Origin::Api, ctx.now);
    loaded.map_err(|refusal| manager_error(&refusal))?;
    Ok(wish.job(&name, reply::ok(200)))
}

/// The entry of a job. Its configuration has the label in `name`, also where the path alone said it.
fn entry(name: JobName, mut config: Map<String, Value>) -> Result<JobEntry, SpecError> {
    config.insert("name".into(), name.label().into());
    let spec = Rc::new(spec_read::read(&config)?);
    let start = spec_read::wants_start(&config);
    Ok(JobEntry { name, spec, start, place: Place::default() })
}

/// The job in the path, if it is loaded.
pub(super) fn loaded(ctx: &Ctx<'_>, call: &Call<'_>) -> Result<JobName, Refusal> {
    let name = call.job()?;
    ctx.supervisor.job_id(&name).map(|_| name)
}

/// `GET /jobs/S/L`: one job.
pub fn show(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let name = loaded(ctx, call).map_err(|_| no_such_job())?;
    let sight = sight(ctx, call, &name)?;
    let view = ctx.supervisor.view_job(&name, ctx.now);
    let mut view = view.map_err(|_| no_such_job())?;
    sight.mask(view.config.get_mut("env"));
    Ok(seen(&view, sight).into())
}

/// How much of a job's environment is seen.
pub(super) fn sight(ctx: &Ctx<'_>, call: &Call<'_>, job: &JobName) -> Result<Sight, Response> {
    let secrets = includes(call, "secrets")?;
    Sight::of(ctx.caller, job, secrets).map_err(forbidden)
}

/// The answer with what is seen: one with secrets nobody keeps.
pub(super) fn seen(view: &impl Serialize, sight: Sight) -> Response {
    match sight {
        Sight::All => Response::json(200, view).with("Cache-Control", "no-store"),
        Sight::Plain | Sight::Names => Response::json(200, view),
    }
}

/// What a job may be that somebody brings: who is no administrator chooses no user for it, and where
/// gafferd is root it does not run as that.
///
/// # Errors
/// It may not be so, in words.
pub(super) fn check_user(
    ctx: &Ctx<'_>,
    name: &JobName,
    spec: &JobSpec,
) -> Result<(), &'static str> {
    if name.session() == programs::SESSION {
        return Err("jobs of the session _plugin are those of plugins, and come with these alone");
    }
    if ctx.caller.is_admin() {
        return Ok(());
    }
    let known = ctx.supervisor.job_id(name).ok().and_then(|id| ctx.supervisor.job(id));
    if known.is_some_and(|job| job.spec.no_new_privs) && !spec.no_new_privs {
        return Err("no_new_privs: only an administrator takes it away");
    }
    let same = known.is_some_and(|job| {
        job.spec.account() == spec.account() && job.spec.capabilities == spec.capabilities
    });
    let world = World { supervisor: ctx.supervisor, door: ctx.door };
    let hears_the_same = known.is_some_and(|job| {
        job.spec.listen == spec.listen && job.spec.listen_protocol == spec.listen_protocol
    });
    let needs = world.hearing(spec);
    if !hears_the_same && !needs.iter().all(|need| ctx.caller.may(need)) {
        return Err("listen: the key does not permit to see these events");
    }
    // The names of streams may stand in the paths.
    let logs_the_same = known.is_some_and(|job| {
        job.spec.logs.files() == spec.logs.files()
            && job.spec.redirect_output == spec.redirect_output
    });
    if ctx.door.keeping.root && !logs_the_same && !spec.logs.files().is_empty() {
        return Err(
            "stdout_log and stderr_log: gafferd is root, and only an administrator chooses files for it",
        );
    }
    match (spec.account() != Account::default(), same) {
        (true, false) => Err(
            "uid, gid, groups and capabilities: only an administrator chooses who a job runs as",
        ),
        (_, _) if ctx.door.keeping.root && spec.uid.is_none() => {
            Err("gafferd is root, and so would be the job: only an administrator loads such a one")
        }
        (true, true) | (false, _) => Ok(()),
    }
}

/// The configuration that a job has now.
pub(super) fn known_config(ctx: &Ctx<'_>, name: &JobName) -> Option<Map<String, Value>> {
    let job = ctx.supervisor.job_id(name).ok().and_then(|id| ctx.supervisor.job(id));
    job.map(|job| job.spec.config.map())
}

/// `PUT /jobs/S/L`: a new configuration; all processes stop and come back with it.
pub fn update(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let wish = call.wish()?;
    let name = loaded(ctx, call).map_err(|refusal| manager_error(&refusal))?;
    let mut config = call.object()?;
    unmask(&mut config, known_config(ctx, &name).as_ref()).map_err(|error| bad_request(&error))?;
    let same_name = match config.get("name") {
        None | Some(Value::Null) => true,
        Some(given) => given.as_str() == Some(name.label()),
    };
    if !same_name {
        return Err(bad_request("template name conflict with the path"));
    }
    let entry = entry(name.clone(), config).map_err(|error| match error {
        SpecError::Missing(_) => bad_request("invalid process config"),
        SpecError::Unknown { .. } | SpecError::Bad { .. } => bad_request(&error.to_string()),
    })?;
    check_user(ctx, &name, &entry.spec).map_err(forbidden)?;
    ctx.supervisor.update(entry, ctx.now).map_err(|refusal| manager_error(&refusal))?;
    Ok(wish.job(&name, reply::ok(201)))
}

/// `DELETE /jobs/S/L`: stops a job's processes and takes it away.
pub fn unload(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let wish = call.wish()?;
    let name = loaded(ctx, call).map_err(|_| no_such_job())?;
    ctx.supervisor.unload(&name, ctx.now).map_err(|refusal| manager_error(&refusal))?;
    Ok(wish.job(&name, reply::ok(200)))
}

/// `GET /jobs/S/L/stats`.
pub fn stats(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let name = loaded(ctx, call).map_err(|refusal| manager_error(&refusal))?;
    Ok(Answer::Measure(Measure::Job(name, call.depth()?)))
}

/// `GET /jobs/S/L/numprocesses`: the wanted number.
pub fn number(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let id = call.job().and_then(|name| ctx.supervisor.job_id(&name));
    let id = id.map_err(|refusal| manager_error(&refusal))?;
    let target = ctx.supervisor.job(id).map_or(0, |job| job.target);
    Ok(reply::value(&json!({"numprocesses": target})).into())
}

/// `POST /jobs/S/L/numprocesses`: changes the wanted number.
pub fn scale(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let wish = call.wish()?;
    let name = loaded(ctx, call).map_err(|refusal| manager_error(&refusal))?;
    let body = call.object()?;
    let scale = body.get("scale").and_then(scale_of).ok_or_else(|| {
        bad_request("scale: expected a whole number, or a text such as \"+1\", \"-1\" or \"=3\"")
    })?;
    let target = ctx.supervisor.scale(&name, scale, ctx.now);
    let target = target.map_err(|refusal| manager_error(&refusal))?;
    Ok(wish.job(&name, reply::value(&json!({"numprocesses": target}))))
}

/// Reads a wish to scale: a number adds, whatever its form; only `=N` sets.
pub fn scale_of(value: &Value) -> Option<Scale> {
    match value {
        Value::Number(_) => whole(value).map(Scale::By),
        Value::String(text) => {
            let digits = |text: &str| {
                let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                text.parse::<i64>().ok().filter(|_| plain)
            };
            if let Some(set) = text.strip_prefix('=') {
                digits(set).map(Scale::To)
            } else if let Some(less) = text.strip_prefix('-') {
                digits(less).map(|less| Scale::By(-less))
            } else {
                digits(text.strip_prefix('+').unwrap_or(text)).map(Scale::By)
            }
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// `GET /jobs/S/L/state`: `1` if some process runs, else `0`.
pub fn state(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let live = call.job().and_then(|name| ctx.supervisor.live_instances(&name));
    let live = live.map_err(|refusal| manager_error(&refusal))?;
    Ok(Response::html(200, if live.is_empty() { "0" } else { "1" }).into())
}

/// `POST /jobs/S/L/state`: `1` starts, `0` stops, `2` replaces all processes at once.
pub fn set_state(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let wish = call.wish()?;
    let name = loaded(ctx, call).map_err(|refusal| manager_error(&refusal))?;
    let done = match call.request.body.trim_ascii() {
        b"0" => ctx.supervisor.stop_job(&name, ctx.now),
        b"1" => ctx.supervisor.start_job(&name, ctx.now),
        b"2" => ctx.supervisor.reload(&name, ctx.now),
        _ => {
            return Err(bad_request("expected a body of one character: 0 stop, 1 start, 2 reload"));
        }
    };
    done.map_err(|refusal| manager_error(&refusal))?;
    Ok(wish.job(&name, reply::ok(202)))
}

/// `GET /jobs/S/L/pids`: the numbers of the kept processes, oldest first.
pub fn pids(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let pids = call.job().and_then(|name| ctx.supervisor.kept_pids(&name));
    let pids = pids.map_err(|refusal| manager_error(&refusal))?;
    Ok(reply::value(&json!({"pids": pids})).into())
}

/// `POST /jobs/S/L/signal`: sends a signal to all its processes.
pub fn signal(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let name = loaded(ctx, call).map_err(|refusal| manager_error(&refusal))?;
    let signal = signal_in(&call.object()?)?;
    let sent = ctx.supervisor.kill_job(&name, signal, ctx.now);
    sent.map_err(|refusal| manager_error(&refusal))?;
    Ok(reply::ok(202).into())
}

/// `POST /jobs/S/L/commit`: starts a one-off.
pub fn commit(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let name = loaded(ctx, call).map_err(|refusal| manager_error(&refusal))?;
    let body = call.object()?;
    if let Some(stranger) =
        body.keys().find(|key| !["graceful_timeout", "env"].contains(&key.as_str()))
    {
        return Err(bad_request(&format!(
            "unknown key {stranger:?}; known are graceful_timeout, env"
        )));
    }
    let grace =
        match body.get("graceful_timeout").filter(|value| !value.is_null()) {
            None => None,
            Some(value) => Some(seconds(value).ok_or_else(|| {
                bad_request("graceful_timeout: expected seconds from 0 to 864000")
            })?),
        };
    let env = match body.get("env").filter(|value| !value.is_null()) {
        None => crate::base::sorted::SortedMap::new(),
        Some(value) => {
            spec_read::read_env(value).map_err(|error| bad_request(&error.to_string()))?
        }
    };
    let pid = ctx.supervisor.commit(&name, Commit::new(env, grace), ctx.now);
    let pid = pid.map_err(|refusal| manager_error(&refusal))?;
    Ok(reply::value(&json!({"pid": pid.0})).into())
}

fn seconds(value: &Value) -> Option<Duration> {
    seconds_within(value.as_f64()?, Duration::ZERO, limits::CONFIGURED_TIME)
}

/// `POST /jobs/S/L/restart`: restarts its instances one after the other.
pub fn restart(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let wish = call.wish()?;
    let name = loaded(ctx, call).map_err(|refusal| manager_error(&refusal))?;
    ctx.supervisor.restart_job(&name, ctx.now).map_err(|refusal| manager_error(&refusal))?;
    Ok(wish.job(&name, reply::ok(202)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_equals_sign_sets_the_number() {
        for (value, scale) in [
            (json!(3), Some(Scale::By(3))),
            (json!(-2), Some(Scale::By(-2))),
            (json!(0), Some(Scale::By(0))),
            (json!("3"), Some(Scale::By(3))),
            (json!("+1"), Some(Scale::By(1))),
            (json!("-1"), Some(Scale::By(-1))),
            (json!("=3"), Some(Scale::To(3))),
        ] {
            assert_eq!(scale_of(&value), scale, "{value}");
        }
        for bad in [
            json!(null),
            json!(1.5),
            json!(""),
            json!("="),
            json!("+-1"),
            json!("x"),
            json!(true),
            json!("99999999999999999999"),
        ] {
            assert_eq!(scale_of(&bad), None, "{bad}");
        }
    }
}
