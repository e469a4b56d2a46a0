//! Endpoints about single processes, by gaffer's own number.

use serde_json::{json, Map, Value};

use super::api_jobs::{seen, sight};
use super::ctx::{Answer, Call, Ctx, Measure};
use super::reply::{self, manager_error};
use crate::base::process::Signal;
use crate::front::response::Response;
use crate::supervisor::name::JobName;
use crate::supervisor::spec_read::signal_of;
use crate::supervisor::tables::Refusal;

/// `GET /pids`: the numbers of all live processes.
pub fn all(ctx: &mut Ctx<'_>, _: &Call<'_>) -> Result<Answer, Response> {
    let pids: Vec<u64> = ctx.supervisor.live_pids().map(|pid| pid.0).collect();
    Ok(reply::value(&json!({"pids": pids})).into())
}

/// `GET /P`: one process.
pub fn show(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let pid = call.pid().map_err(|refusal| manager_error(&refusal))?;
    let view = ctx.supervisor.view_process(pid, ctx.now);
    let mut view = json!(view.map_err(|refusal| manager_error(&refusal))?);
    let job = job_of(ctx, pid).map_err(|refusal| manager_error(&refusal))?;
    let sight = sight(ctx, call, &job)?;
    sight.mask_process(&mut view);
    Ok(seen(&view, sight).into())
}

/// `DELETE /P`: stops one process; a kept one is replaced.
pub fn stop(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let wish = call.wish()?;
    let pid = call.pid().map_err(|refusal| manager_error(&refusal))?;
    let job = job_of(ctx, pid).map_err(|refusal| manager_error(&refusal))?;
    ctx.supervisor.stop_process(pid, ctx.now).map_err(|refusal| manager_error(&refusal))?;
    Ok(wish.process(pid, &job, reply::ok(202)))
}

fn job_of(ctx: &Ctx<'_>, pid: crate::base::ids::Pid) -> Result<JobName, Refusal> {
    let instance = ctx.supervisor.instance_id(pid)?;
    let instance = ctx.supervisor.instance(instance).ok_or(Refusal::NotFound)?;
    ctx.supervisor.job(instance.job).map(|job| job.name.clone()).ok_or(Refusal::NotFound)
}

/// `POST /P/signal`: sends a signal to one process, and to it alone.
pub fn signal(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let pid = call.pid().map_err(|refusal| manager_error(&refusal))?;
    ctx.supervisor.live_instance(pid).map_err(|refusal| manager_error(&refusal))?;
    let signal = signal_in(&call.object()?)?;
    ctx.supervisor.kill(pid, signal).map_err(|refusal| manager_error(&refusal))?;
    Ok(reply::ok(202).into())
}

/// The `signal` member of a body.
///
/// # Errors
/// The 400 to answer.
pub fn signal_in(body: &Map<String, Value>) -> Result<Signal, Response> {
    body.get("signal").and_then(signal_of).ok_or_else(|| {
        reply::bad("bad_signal", "signal: expected a signal's name or number, such as \"HUP\" or 1")
    })
}

/// `GET /P/tree`: the process and those that came from it.
pub fn tree(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let pid = call.pid().map_err(|refusal| manager_error(&refusal))?;
    ctx.supervisor.live_instance(pid).map_err(|refusal| manager_error(&refusal))?;
    Ok(Answer::Measure(Measure::Tree(pid)))
}

/// `GET /P/stats`.
pub fn stats(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let pid = call.pid().map_err(|refusal| manager_error(&refusal))?;
    ctx.supervisor.live_instance(pid).map_err(|refusal| manager_error(&refusal))?;
    Ok(Answer::Measure(Measure::Process(pid, call.depth()?)))
}
