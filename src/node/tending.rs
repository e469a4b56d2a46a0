//! What is kept of output on disk: who is told when it cannot be written, and the endpoints that see to it.

use serde_json::{json, Value};

use super::ctx::{Answer, Call, Ctx};
use super::gaffer::Gaffer;
use super::machine::{Effect, Logged, Tend, Tended};
use super::reply::{self, manager_error};
use crate::base::clock::{epoch_seconds, Now};
use crate::base::ids::{ConnId, InstanceId, StreamNo};
use crate::front::response::Response;
use crate::logs::index::time;
use crate::logs::view::Taken;

/// `GET /logs`: what each job's output takes on the disk.
pub(super) fn taken(_: &mut Ctx<'_>, _: &Call<'_>) -> Result<Answer, Response> {
    Ok(Answer::Tend(Tend::Measure))
}

/// `POST /logs/reopen`: opens all log files again, where they were moved away.
pub(super) fn reopen(_: &mut Ctx<'_>, _: &Call<'_>) -> Result<Answer, Response> {
    Ok(Answer::Tend(Tend::Reopen))
}

/// `POST /logs/S/L/rotate`: puts the files of a job aside, and begins new ones.
pub(super) fn rotate(_: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let name = call.job().map_err(|refusal| manager_error(&refusal))?;
    Ok(Answer::Tend(Tend::Rotate(name.to_string())))
}

/// `DELETE /logs/S/L`: removes what is kept of a job, whether or not it is loaded.
pub(super) fn clear(_: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let name = call.job().map_err(|refusal| manager_error(&refusal))?;
    Ok(Answer::Tend(Tend::Clear(name.to_string())))
}

impl Gaffer {
    /// Has something done with what is kept; who asked for it waits.
    pub(super) fn tend(&mut self, conn: ConnId, wish: Tend) {
        self.effects.push(Effect::Tend { conn, wish });
    }

    /// What a process writes does not come to its log, or does again.
    pub(super) fn note_logged(&mut self, id: InstanceId, stream: StreamNo, logged: Logged, _: Now) {
        match logged {
            Logged::Failed(why) => self.supervisor.log_failed(id, stream, why),
            Logged::Recovered(lost) => {
                self.supervisor.log_recovered(id, stream, (lost.lines, lost.bytes));
            }
        }
    }

    /// Answers who had something done.
    pub(super) fn note_tended(&mut self, conn: ConnId, tended: Tended, now: Now) {
        let told = match tended {
            Tended::Done => json!({"ok": true}),
            Tended::Rotated(count) => json!({"ok": true, "rotated": count}),
            Tended::Cleared(bytes) => json!({"ok": true, "cleared": bytes}),
            Tended::Measured(all, most) => measured(&all, most),
            Tended::Failed(why) => {
                let response = Response::error(503, Some(&why));
                return self.answer(conn, response, now);
            }
        };
        self.answer(conn, reply::value(&told), now);
    }
}

fn measured(all: &[Taken], most: u64) -> Value {
    let one = |taken: &Taken| {
        json!({
            "name": taken.name,
            "elsewhere": taken.elsewhere,
            "bytes": taken.bytes,
            "files": taken.files,
            "oldest": epoch_seconds(time(taken.oldest)),
            "newest": epoch_seconds(time(taken.newest)),
        })
    };
    let stored = all.iter().filter(|taken| !taken.elsewhere).map(|taken| taken.bytes);
    json!({
        "bytes": stored.sum::<u64>(),
        "max_bytes": most,
        "logs": all.iter().map(one).collect::<Vec<Value>>(),
    })
}
