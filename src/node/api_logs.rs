//! `GET /logs/S/L[/INSTANCE]`: the lines that are kept of what a job wrote, over all its instances and
//! streams in the order of their arrival, whether or not its processes still run, or it is loaded at all.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::api_feeds;
use super::ctx::{Answer, Call, Ctx};
use super::reading::telling::Form;
use super::reply::{bad_request, manager_error};
use crate::base::clock::{length, moment};
use crate::front::response::Response;
use crate::logs::index::micros;
use crate::logs::reading::filter::Filter;
use crate::logs::reading::pattern::Pattern;
use crate::logs::reading::query::Wish;
use crate::supervisor::name::JobName;
use crate::supervisor::tables::Refusal;

/// Which lines are wanted.
pub struct LogsWish {
    /// Of this job,
    pub job: JobName,
    /// of this instance of it only,
    pub instance: Option<u32>,
    /// and of those these.
    pub wish: Wish,
    /// How they are told.
    pub form: Form,
    /// How often something is sent while there is nothing to tell.
    pub heartbeat: Option<Duration>,
    /// Whether there is such an instance, or a job of this name.
    pub is_known: bool,
}

/// The endpoint.
pub fn logs(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let job = call.job().map_err(|refusal| manager_error(&refusal))?;
    let instance = match call.open.get(2) {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| manager_error(&Refusal::NotFound))?),
    };
    let tail = match call.query("tail")? {
        None => None,
        Some(text) => {
            let number = text.parse().map_err(|_| bad_request("tail: expected a whole number"));
            Some(number?)
        }
    };
    let form = form(call)?;
    let now = ctx.now.wall;
    let (since, until) = (time(call, "since", now)?, time(call, "until", now)?);
    let after = match call.query("after")? {
        None => last_event(call),
        Some(text) => text.parse().map_err(|_| bad_request("after: expected a whole number"))?,
    };
    let grep = match call.query("grep")? {
        None => None,
        Some(text) => {
            let why = |error| bad_request(&format!("grep: no regular expression: {error}"));
            Some(Pattern::new(&text).map_err(why)?)
        }
    };
    let follow = match call.query("follow")?.as_deref() {
        None | Some("0" | "false") => false,
        Some("" | "1" | "true") => true,
        Some(_) => return Err(bad_request("follow: expected 1 or 0")),
    };
    let like = match form {
        Form::EventSource => super::feeds::Form::EventSource,
        Form::Text | Form::Json => super::feeds::Form::Continuous,
    };
    let heartbeat = api_feeds::heartbeat(call, like)?.filter(|_| follow);
    let of = vec![(job.to_string(), instance)];
    let stream = call.query("stream")?;
    let filter = Filter { of, stream, since, until, after, grep };
    let is_known = is_known(ctx, &job, instance);
    let wish = Wish { filter, tail, follow };
    let wish = LogsWish { job, instance, wish, form, heartbeat, is_known };
    Ok(Answer::Logs(Box::new(wish)))
}

/// Where a browser was when its connection broke.
fn last_event(call: &Call<'_>) -> u64 {
    let last = call.request.headers.get("last-event-id");
    last.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn is_known(ctx: &Ctx<'_>, job: &JobName, number: Option<u32>) -> bool {
    let Some(job) = ctx.supervisor.job_id(job).ok().and_then(|id| ctx.supervisor.job(id)) else {
        return false;
    };
    let is_it = |id| ctx.supervisor.instance(id).is_some_and(|found| Some(found.number) == number);
    number.is_none() || job.instances().any(is_it)
}

/// How lines are told: as is said, else as the client accepts it.
fn form(call: &Call<'_>) -> Result<Form, Response> {
    match call.query("form")?.as_deref() {
        Some("text") => return Ok(Form::Text),
        Some("json") => return Ok(Form::Json),
        Some(_) => return Err(bad_request("form: expected text or json")),
        None => {}
    }
    match call.query("feed")?.as_deref() {
        Some("eventsource") => return Ok(Form::EventSource),
        Some("normal") => return Ok(Form::Text),
        Some(_) => return Err(bad_request("feed: expected eventsource")),
        None => {}
    }
    let accepted = call.request.headers.get("accept").unwrap_or_default();
    let first = accepted.split(',').filter_map(|kind| match kind.split(';').next()?.trim() {
        "text/event-stream" => Some(Form::EventSource),
        "application/x-ndjson" => Some(Form::Json),
        "text/plain" => Some(Form::Text),
        _ => None,
    });
    Ok(first.into_iter().next().unwrap_or(Form::Text))
}

/// A time in microseconds since 1970: said in seconds since then, as RFC 3339 does, or as a length of time ago.
pub(super) fn time(call: &Call<'_>, name: &str, now: SystemTime) -> Result<Option<u64>, Response> {
    let Some(text) = call.query(name)? else { return Ok(None) };
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let epoch = seconds.and_then(|since| UNIX_EPOCH.checked_add(since));
    let ago = || {
        let length = Duration::try_from_secs_f64(length(&text)?).ok()?;
        Some(now.checked_sub(length).unwrap_or(UNIX_EPOCH))
    };
    let time = epoch.or_else(|| moment(&text)).or_else(ago);
    time.map(|time| Some(micros(time))).ok_or_else(|| {
        bad_request(&format!("{name}: expected seconds since 1970, 2026-11-28T21:50:22Z or 10m"))
    })
}
