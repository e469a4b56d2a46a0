//! Endpoints whose answers go on: what happens, what is used and what is written, for `curl` and for
//! browsers, and the websockets of single processes.

use std::time::Duration;

use serde_json::json;

use super::ctx::{Answer, Call, Ctx, Depth, Follow, Measure, Opening, Writing};
use super::feeds::{Form, Source};
use super::reply::{self, bad, bad_request, manager_error};
use super::streams::{self, NoStream};
use super::topics::Watched;
use crate::base::clock::seconds_within;
use crate::base::ids::Pid;
use crate::base::limits;
use crate::front::response::Response;
use crate::supervisor::name::JobName;
use crate::supervisor::tables::Refusal;

/// The first parts of the names of events.
pub const EVENT_WORDS: [&str; 13] = [
    "load",
    "unload",
    "start",
    "stop",
    "update",
    "spawn",
    "reap",
    "exit",
    "stop_process",
    "flap",
    "failed",
    "job",
    "proc",
];

/// `GET /watch[/PART…]`: events whose dotted name begins with these parts.
pub fn watch(_: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let form = form(call, Form::Longpoll)?.ok_or_else(unknown_feed)?;
    if call.open.first().is_some_and(|word| !EVENT_WORDS.contains(&word.as_str())) {
        let reason = format!("no event's name begins so; known are {}", EVENT_WORDS.join(", "));
        return Err(reply::no_such("bad_event_type", &reason));
    }
    let source = Source::Events(call.open.join("."));
    let follow = Follow { source, form, heartbeat: heartbeat(call, form)?, since: since(call)? };
    Ok(Answer::Follow(follow))
}

/// `GET /stats`: those of all jobs, once or again and again.
pub fn all_stats(_: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    stats(call, Watched::All, Measure::All)
}

/// `GET /stats/S/L`: those of one job.
pub fn job_stats(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let name = call.job().and_then(|name| ctx.supervisor.job_id(&name).map(|_| name));
    let name: JobName = name.map_err(|refusal| manager_error(&refusal))?;
    stats(call, Watched::Job(name.clone()), Measure::Job(name, Depth::Usual))
}

fn stats(call: &Call<'_>, watched: Watched, once: Measure) -> Result<Answer, Response> {
    let form = form(call, Form::Continuous)?
        .filter(|_| call.query("feed").is_ok_and(|feed| feed.is_some()));
    let interval = match call.query("interval")? {
        None => Duration::from_secs(1),
        Some(text) => {
            let seconds = text.parse().ok();
            let (least, most) = limits::STATS_INTERVALS;
            let interval = seconds.and_then(|seconds| seconds_within(seconds, least, most));
            interval.ok_or_else(|| bad_request(&interval_expected()))?
        }
    };
    // What is wished of a feed has to be sound also where none is.
    let heartbeat = heartbeat(call, form.unwrap_or(Form::Continuous))?;
    let Some(form) = form else { return Ok(Answer::Measure(once)) };
    let source = Source::Stats(watched, interval);
    Ok(Answer::Follow(Follow { source, form, heartbeat, since: None }))
}

/// An interval at which statistics may come.
pub fn checked_interval(interval: Duration) -> Option<Duration> {
    let (least, most) = limits::STATS_INTERVALS;
    (least..=most).contains(&interval).then_some(interval)
}

/// What is expected of an interval, in words.
pub fn interval_expected() -> String {
    let (least, most) = limits::STATS_INTERVALS;
    format!("interval: expected seconds from {} to {}", least.as_secs_f64(), most.as_secs())
}

/// `GET /streams/P/LABEL`: what a process writes.
pub fn stream(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let form = match call.query("feed")?.as_deref() {
        Some("kept") => None,
        _ => Some(form(call, Form::Longpoll)?.ok_or_else(unknown_feed)?),
    };
    let (since, heartbeat) = (since(call)?, heartbeat(call, form.unwrap_or(Form::Longpoll))?);
    let pid = call.pid().map_err(|refusal| manager_error(&refusal))?;
    let channel = streams::output(ctx.supervisor, pid, Some(call.part(1)));
    let channel = channel.map_err(|none| no_output(&none))?;
    let Some(form) = form else {
        return Ok(Answer::Kept(channel, since.unwrap_or(0)));
    };
    Ok(Answer::Follow(Follow { source: Source::Output(channel), form, heartbeat, since }))
}

fn no_output(none: &NoStream) -> Response {
    match none {
        NoStream::Process => manager_error(&Refusal::NotFound),
        NoStream::NotRedirected => {
            bad("io_not_redirected", "the job has no redirect_output, so it publishes no output")
        }
        NoStream::Label(label) => {
            reply::no_such("io_not_found", &format!("the process has no stream {label:?}"))
        }
    }
}

/// `POST /streams/P/stdin`: writes the body to a process, or to one of its custom streams; with
/// `?close=1` its end is told behind it.
pub fn write(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let close = match call.query("close")?.as_deref() {
        None | Some("0" | "false") => false,
        Some("" | "1" | "true") => true,
        Some(_) => return Err(bad_request("close: expected 1 or 0")),
    };
    let pid = call.pid().map_err(|refusal| manager_error(&refusal))?;
    let label = call.part(1);
    let to = streams::input(ctx.supervisor, pid, Some(label)).map_err(|none| match none {
        NoStream::Process => manager_error(&Refusal::NotFound),
        NoStream::NotRedirected => {
            let body = json!({"error": "forbidden_write",
                "reason": "the job has no redirect_input, so nothing is written to its processes"});
            Response::json(403, &body)
        }
        NoStream::Label(_) => no_output(&none),
    })?;
    Ok(Answer::Write(Writing { to, bytes: call.request.body.clone(), close }))
}

/// `GET /P/channel[/STREAM]?mode=`: a process's output and input over one websocket, in frames.
pub fn process(_: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let mode = match call.query("mode")? {
        None => 3,
        Some(text) => {
            let number = text.parse::<u8>().ok().filter(|mode| (1..=3).contains(mode));
            number.ok_or_else(|| bad_request("mode: expected 1 (read), 2 (write) or 3 (both)"))?
        }
    };
    let label = call.open.get(1).cloned();
    let (read, write) = (mode & 1 != 0, mode & 2 != 0);
    Ok(Answer::Open(Opening { form: Form::Frames, pid: pid(call), label, read, write }))
}

/// `GET /wstreams/P`: a process's first output stream and its input over one websocket, as they are.
pub fn socket(_: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let label = call.query("stream")?;
    let pid = pid(call);
    Ok(Answer::Open(Opening { form: Form::Socket, pid, label, read: true, write: true }))
}

/// A number too large for any process is nobody's.
fn pid(call: &Call<'_>) -> Pid {
    call.pid().unwrap_or(Pid(0))
}

/// The form a client asks for; `None` for `normal`.
fn form(call: &Call<'_>, unsaid: Form) -> Result<Option<Form>, Response> {
    match call.query("feed")?.as_deref() {
        None => Ok(Some(unsaid)),
        Some("normal") => Ok(None),
        Some("longpoll") => Ok(Some(Form::Longpoll)),
        Some("continuous") => Ok(Some(Form::Continuous)),
        Some("eventsource") => Ok(Some(Form::EventSource)),
        Some(_) => Err(unknown_feed()),
    }
}

fn unknown_feed() -> Response {
    bad_request("feed: expected longpoll, continuous or eventsource")
}

/// How often something is sent when there is nothing to tell: as the client wishes. What a browser
/// follows gets it anyway, as proxies close what is silent.
pub(super) fn heartbeat(call: &Call<'_>, form: Form) -> Result<Option<Duration>, Response> {
    let unsaid = (form == Form::EventSource).then_some(limits::WS_PING);
    match call.query("heartbeat")?.as_deref() {
        None => Ok(unsaid),
        Some("true" | "") => Ok(Some(Duration::from_secs(60))),
        Some("false" | "0") => Ok(None),
        Some(text) => {
            let seconds = text.parse::<u64>().ok().filter(|seconds| (1..=3600).contains(seconds));
            let every = seconds.map(Duration::from_secs);
            every.map(Some).ok_or_else(|| {
                bad_request("heartbeat: expected true, false or whole seconds from 1 to 3600")
            })
        }
    }
}

/// From where a client goes on: a browser says it in a field of its own.
fn since(call: &Call<'_>) -> Result<Option<u64>, Response> {
    if let Some(text) = call.query("since")? {
        let number = text.parse().map_err(|_| bad_request("since: expected a whole number"))?;
        return Ok(Some(number));
    }
    let last = call.request.headers.get("last-event-id");
    Ok(last.and_then(|text| text.parse().ok()))
}
