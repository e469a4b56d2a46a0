//! `GET /logs/S/L[/INSTANCE]`: the lines that are kept of what a job wrote, over all its instances and
//! streams in the order of their arrival, whether or not its processes still run.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::ctx::{Answer, Call, Ctx};
use super::reply::{bad_request, manager_error};
use crate::front::response::Response;
use crate::supervisor::name::JobName;
use crate::supervisor::tables::Refusal;

/// Which lines are wanted.
pub struct LogsWish {
    /// Of this job,
    pub job: JobName,
    /// of this instance of it only,
    pub instance: Option<u32>,
    /// of this stream only,
    pub stream: Option<String>,
    /// begun at this time or later,
    pub since: Option<SystemTime>,
    /// begun before this time,
    pub until: Option<SystemTime>,
    /// and of those the last, so many.
    pub tail: Option<usize>,
    /// How they are told.
    pub form: LogsForm,
}

/// How lines are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogsForm {
    /// As they are.
    Text,
    /// Each as a JSON object on a line of its own.
    Json,
}

/// The endpoint.
pub fn logs(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let name = call.job().and_then(|name| ctx.supervisor.job_id(&name).map(|_| name));
    let job = name.map_err(|refusal| manager_error(&refusal))?;
    let instance = match call.open.get(2) {
        None => None,
        Some(text) => {
            let known = text.parse().ok().filter(|number| has_instance(ctx, &job, *number));
            Some(known.ok_or_else(|| manager_error(&Refusal::NotFound))?)
        }
    };
    let tail = match call.query("tail")? {
        None => None,
        Some(text) => {
            let number = text.parse().map_err(|_| bad_request("tail: expected a whole number"));
            Some(number?)
        }
    };
    let form = match call.query("form")?.as_deref() {
        None | Some("text") => LogsForm::Text,
        Some("json") => LogsForm::Json,
        Some(_) => return Err(bad_request("form: expected text or json")),
    };
    let (since, until) = (time(call, "since")?, time(call, "until")?);
    let stream = call.query("stream")?;
    Ok(Answer::Logs(LogsWish { job, instance, stream, since, until, tail, form }))
}

fn has_instance(ctx: &Ctx<'_>, job: &JobName, number: u32) -> bool {
    let job = ctx.supervisor.job_id(job).ok().and_then(|id| ctx.supervisor.job(id));
    let mut ids = job.into_iter().flat_map(|job| job.instances());
    ids.any(|id| ctx.supervisor.instance(id).is_some_and(|found| found.number == number))
}

/// A time, as seconds since 1970.
pub(super) fn time(call: &Call<'_>, name: &str) -> Result<Option<SystemTime>, Response> {
    let Some(text) = call.query(name)? else { return Ok(None) };
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let time = seconds.and_then(|since| UNIX_EPOCH.checked_add(since));
    time.map(Some).ok_or_else(|| bad_request(&format!("{name}: expected seconds since 1970")))
}
