//! What is kept of the output of jobs, read from the rings of their instances and merged: as lines to who
//! asks, and as it came to who begins to follow it.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{json, Map, Value};

use super::aligned::Aligned;
use super::api_logs::{LogsForm, LogsWish};
use super::channel::{chunk, end_of_output};
use super::feeds::LOST_FIELD;
use super::gaffer::Gaffer;
use super::outputs::{Kept, Line};
use super::topics::Written;
use crate::base::clock::{epoch_seconds, Now};
use crate::base::ids::{InstanceId, SessionId, StreamNo};
use crate::base::limits;
use crate::front::response::Response;
use crate::wire::{channel, json};

/// The number of what was written last, which a client compares with those of the topic `LOGS`.
const SEQ_FIELD: &str = "Gaffer-Seq";

/// A line with what it is of.
struct Told {
    instance: u32,
    once: bool,
    label: String,
    line: Line,
}

impl Gaffer {
    /// The lines of a wish, and in `Gaffer-Lost` how many bytes before them are kept no more or did not
    /// fit into the answer.
    pub(super) fn logs(&self, wish: &LogsWish) -> Response {
        let (mut lines, mut lost) = (Vec::new(), 0);
        let job = self.supervisor.job_id(&wish.job).ok().and_then(|id| self.supervisor.job(id));
        for id in job.into_iter().flat_map(|job| job.instances()) {
            lost += self.lines_of(id, wish, &mut lines);
        }
        lines.sort_by_key(|told| told.line.number);
        if let Some(tail) = wish.tail {
            lines.drain(..lines.len().saturating_sub(tail));
        }
        let name = wish.job.to_string();
        let mut texts = Vec::new();
        let mut size = 0;
        // From the newest on, so that what does not fit is the oldest.
        for told in lines.iter().rev() {
            let text = told.text(&name, wish.form);
            size += text.len();
            if size > limits::LOGS_ANSWER {
                lost += u64::try_from(told.line.bytes.len() + 1).unwrap_or(0);
            } else {
                texts.push(text);
            }
        }
        texts.reverse();
        let kind = match wish.form {
            LogsForm::Text => "text/plain; charset=UTF-8",
            LogsForm::Json => "application/x-ndjson",
        };
        let mut response = Response::empty(200)
            .with("Content-Type", kind)
            .with(SEQ_FIELD, self.outputs.last().to_string())
            .with(LOST_FIELD, lost.to_string());
        response.body = texts.concat();
        response
    }

    /// Tells a session what is kept of the output that it follows and came after this number, as far as it
    /// fits into one answer, with the ends of the runs in it; and first how many bytes are missing.
    pub(super) fn recall_logs(
        &mut self,
        session: SessionId,
        topic: &Rc<str>,
        (written, since): (&Written, u64),
        now: Now,
    ) {
        let (pieces, lost) = self.kept_of(written, since);
        let told = self.told_again(&pieces);
        if lost > 0 {
            self.reply(session, channel::lagged(topic, lost), now);
        }
        for message in told {
            let text: Rc<str> = channel::event(topic, &channel::members(&message)).into();
            self.deliver(session, topic, &text, now);
        }
    }

    /// What is kept of all instances that are meant, in the order of arrival, and how many bytes before
    /// that are not.
    fn kept_of(&self, written: &Written, since: u64) -> (Vec<(InstanceId, Kept<'_>)>, u64) {
        let (mut pieces, mut lost) = (Vec::new(), 0);
        let jobs = self.supervisor.job_names().filter_map(|name| self.supervisor.job_id(name).ok());
        let jobs = jobs.filter_map(|id| self.supervisor.job(id));
        for (job, id) in jobs.flat_map(|job| job.instances().map(move |id| (job, id))) {
            let number = self.supervisor.instance(id).map(|instance| instance.number);
            if !number.is_some_and(|number| written.includes(&job.name, number)) {
                continue;
            }
            let (kept, dropped) = self.outputs.pieces(id);
            pieces.extend(kept.filter(|kept| kept.number > since).map(|kept| (id, kept)));
            // Of what came later nobody knows how much of it was known already.
            lost += if since == 0 { dropped } else { 0 };
        }
        pieces.sort_by_key(|(_, kept)| kept.number);
        let mut size = 0;
        let fits = pieces.iter().rev().take_while(|(_, kept)| {
            size += kept.bytes.len();
            size <= limits::LOGS_ANSWER
        });
        let first = pieces.len() - fits.count();
        let left_out = pieces.drain(..first).map(|(_, kept)| kept.bytes.len()).sum::<usize>();
        (pieces, lost + u64::try_from(left_out).unwrap_or(0))
    }

    /// Pieces as they were told when they came, cut where characters end.
    fn told_again(&self, pieces: &[(InstanceId, Kept<'_>)]) -> Vec<Map<String, Value>> {
        let mut told = Vec::new();
        let mut aligned = Aligned::default();
        let mut last: BTreeMap<InstanceId, Kept<'_>> = BTreeMap::new();
        for (id, kept) in pieces {
            if let Some(before) = last.insert(*id, *kept).filter(|before| before.pid != kept.pid) {
                self.tell_end(*id, before, &mut aligned, &mut told);
            }
            let bytes = aligned.take((*id, kept.stream), kept.bytes);
            if !bytes.is_empty() {
                told.extend(self.tell_kept(*id, Kept { bytes: &bytes, ..*kept }));
            }
        }
        for (id, kept) in last {
            let run = self.supervisor.instance(id).and_then(|instance| instance.run.as_ref());
            if run.is_none_or(|run| run.pid != kept.pid) {
                self.tell_end(id, kept, &mut aligned, &mut told);
            }
        }
        told
    }

    fn tell_kept(&self, id: InstanceId, kept: Kept<'_>) -> Option<Map<String, Value>> {
        chunk(&self.supervisor, id, kept).map(|chunk| chunk.log())
    }

    /// Tells that the run is over in which this was written last, behind what had no end there.
    fn tell_end(
        &self,
        id: InstanceId,
        last: Kept<'_>,
        aligned: &mut Aligned,
        told: &mut Vec<Map<String, Value>>,
    ) {
        for (stream, tail) in aligned.end(id) {
            told.extend(self.tell_kept(id, Kept { stream, bytes: &tail, ..last }));
        }
        told.extend(end_of_output(&self.supervisor, id, last.pid).map(|end| end.log()));
    }

    /// Adds the lines of an instance; how many bytes before them are kept no more.
    fn lines_of(&self, id: InstanceId, wish: &LogsWish, lines: &mut Vec<Told>) -> u64 {
        let Some(instance) = self.supervisor.instance(id) else { return 0 };
        if wish.instance.is_some_and(|number| number != instance.number) {
            return 0;
        }
        let job = self.supervisor.job(instance.job).map(|job| &job.spec);
        let Some(spec) = instance.run.as_ref().map(|run| &run.spec).or(job) else { return 0 };
        let (kept, lost) = self.outputs.lines(id);
        for mut line in kept {
            let label = spec.label(line.stream).to_owned();
            let in_time = wish.since.is_none_or(|since| line.at >= since)
                && wish.until.is_none_or(|until| line.at < until);
            let wanted = wish.stream.as_deref();
            if !in_time || !wanted.is_none_or(|wanted| is_called(line.stream, &label, wanted)) {
                continue;
            }
            if line.open {
                // Half a character is told with its other half.
                let waiting = self.aligned.waiting((id, line.stream));
                line.bytes.truncate(line.bytes.len().saturating_sub(waiting));
            }
            lines.push(Told { instance: instance.number, once: instance.is_once(), label, line });
        }
        lost
    }
}

impl Told {
    fn text(&self, name: &str, form: LogsForm) -> Vec<u8> {
        if form == LogsForm::Text {
            return [&self.line.bytes[..], b"\n"].concat();
        }
        let mut value = json!({
            "seq": self.line.number,
            "ts": epoch_seconds(self.line.at),
            "name": name,
            "instance": self.instance,
            "pid": self.line.pid.0,
            "stream": self.label,
            "fd": self.line.stream.0,
            "line": String::from_utf8_lossy(&self.line.bytes),
        });
        if self.line.open {
            value["open"] = Value::Bool(true);
        }
        if self.once {
            value["once"] = Value::Bool(true);
        }
        (json::text(&value) + "\n").into_bytes()
    }
}

/// Whether a stream is meant by a name: its label, or `out` and `err`, whatever a job calls them.
fn is_called(stream: StreamNo, label: &str, wanted: &str) -> bool {
    label == wanted
        || match stream {
            StreamNo::STDOUT => wanted == "out",
            StreamNo::STDERR => wanted == "err",
            StreamNo(_) => false,
        }
}
