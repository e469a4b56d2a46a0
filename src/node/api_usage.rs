//! The endpoint about what was used in the last ten minutes. It writes its answer without a tree of values:
//! a thousand instances have half a million numbers.

use std::io::Write as _;

use super::api_logs::time;
use super::ctx::{Answer, Call, Ctx};
use super::measuring::in_place;
use super::usage_history::{Place, Told, Window};
use crate::base::clock::epoch_seconds;
use crate::base::ids::Pid;
use crate::base::limits::{self, HISTORY_STEP};
use crate::front::response::Response;
use crate::front::rights::{Need, Right};
use crate::logs::index;
use crate::supervisor::name::JobName;
use crate::wire::json;

/// `GET /stats/history`: of the instances of jobs that whoever asks may read.
pub fn history(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let since = time(call, "since", ctx.now.wall)?.map(index::time);
    let meant = Meant::of(call)?;
    let (mut body, mut left_out, mut until) = (Vec::new(), 0, ctx.now.wall);
    if let Some(window) = ctx.usages.window(since, ctx.now) {
        let shown = |(place, pid): (Place, Pid)| row(ctx, place, pid);
        let rows = window.places().filter_map(shown).filter(|row| meant.is(row.job));
        let rows: Vec<Row<'_>> = rows.collect();
        let places: Vec<Place> = rows.iter().map(|row| row.place).collect();
        let window = window.trimmed(&places);
        until = window.until;
        for row in &rows {
            if body.len() >= limits::HISTORY_ANSWER {
                left_out += 1;
                continue;
            }
            write_row(&mut body, row, &window);
        }
    }
    let until = json::text(&epoch_seconds(until));
    let (step, kept) = (HISTORY_STEP.as_secs(), ctx.usages.keep().word());
    let head =
        format!("{{\"step\": {step}, \"until\": {until}, \"kept\": \"{kept}\", \"instances\": [");
    // It is another one after a moment: to hash it for a client that asks again would be in vain.
    let mut response = Response::empty(200)
        .with("Content-Type", "application/json")
        .with("Cache-Control", "no-store");
    let rows = body.strip_prefix(b", ".as_slice()).unwrap_or(&body);
    let tail = match left_out {
        0 => "]}".to_owned(),
        count => format!("], \"left_out\": {count}}}"),
    };
    response.body = [head.as_bytes(), rows, tail.as_bytes()].concat();
    Ok(response.into())
}

/// Whose is asked for.
enum Meant {
    All,
    Session(String),
    Job(JobName),
    /// What is no name is nobody's.
    Nobody,
}

impl Meant {
    /// A label belongs to the session that is named; without one it is a whole name.
    fn of(call: &Call<'_>) -> Result<Self, Response> {
        let job = match (call.query("session")?, call.query("job")?) {
            (None, None) => return Ok(Self::All),
            (Some(session), None) => return Ok(Self::Session(session)),
            (Some(session), Some(label)) => JobName::new(&session, &label),
            (None, Some(name)) => JobName::parse(&name),
        };
        Ok(job.map_or(Self::Nobody, Self::Job))
    }

    fn is(&self, name: &JobName) -> bool {
        match self {
            Self::All => true,
            Self::Session(session) => session == name.session(),
            Self::Job(job) => job == name,
            Self::Nobody => false,
        }
    }
}

struct Row<'a> {
    job: &'a JobName,
    place: Place,
    /// The process that is there now.
    pid: Option<Pid>,
}

/// A place as it is told, if it is there and whoever asks may read it.
fn row<'a>(ctx: &'a Ctx<'_>, place: Place, pid: Pid) -> Option<Row<'a>> {
    let (job, at) = in_place(ctx.supervisor, &place)?;
    let now = at.and_then(|id| ctx.supervisor.live_pid(id));
    let measured = Some(pid).filter(|pid| ctx.supervisor.live_instance(*pid).is_ok());
    if place.once && now != Some(pid) {
        return None;
    }
    let may = ctx.caller.may(&Need::Job(Right::Read, job.name.clone()));
    may.then_some(Row { job: &job.name, place, pid: now.or(measured) })
}

fn write_row(body: &mut Vec<u8>, row: &Row<'_>, window: &Window<'_>) {
    let name = json::text(&row.job.to_string());
    let once = if row.place.once { ", \"once\": true" } else { "" };
    let pid = row.pid.map_or_else(|| "null".to_owned(), |pid| pid.to_string());
    let instance = row.place.number;
    let head = format!(", {{\"job\": {name}, \"instance\": {instance}{once}, \"pid\": {pid}");
    body.extend_from_slice(head.as_bytes());
    let slots: Vec<Option<Told>> = window.slots(&row.place).collect();
    let begins = slots.iter().enumerate().filter(|(_, slot)| slot.is_some_and(|slot| slot.begins));
    let begins: Vec<usize> = begins.map(|(at, _)| at).collect();
    numbers(body, "cpu", &slots, |body, slot| {
        number(body, u64::from(slot.cpu / 10));
        body.extend_from_slice(&[b'.', b'0' + u8::try_from(slot.cpu % 10).unwrap_or(0)]);
    });
    numbers(body, "mem", &slots, |body, slot| number(body, slot.memory));
    numbers(body, "fds", &slots, |body, slot| number(body, slot.fds.into()));
    numbers(body, "threads", &slots, |body, slot| number(body, slot.threads.into()));
    let _ = write!(body, ", \"restarts\": {begins:?}}}");
}

/// One array, without spaces, as there may be many.
fn numbers(
    body: &mut Vec<u8>,
    name: &str,
    slots: &[Option<Told>],
    write: impl Fn(&mut Vec<u8>, &Told),
) {
    let head = format!(", \"{name}\": [");
    body.extend_from_slice(head.as_bytes());
    for (at, slot) in slots.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        match slot {
            Some(slot) => write(body, slot),
            None => body.extend_from_slice(b"null"),
        }
    }
    body.push(b']');
}

/// A whole number, without the detour over a text of its own.
fn number(body: &mut Vec<u8>, mut number: u64) {
    let (mut digits, mut at) = ([0; 20], 20);
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    body.extend_from_slice(&digits[at..]);
}
