//! What is kept of a job's output, as lines: read from the rings of its instances, merged, and told.

use serde_json::{json, Value};

use super::api_logs::{LogsForm, LogsWish};
use super::feeds::LOST_FIELD;
use super::gaffer::Gaffer;
use super::outputs::Line;
use super::streams;
use crate::base::clock::epoch_seconds;
use crate::base::ids::InstanceId;
use crate::base::limits;
use crate::front::response::Response;
use crate::wire::json;

/// The number of what was written last, which a client compares with those of the topic `LOGS`.
const SEQ_FIELD: &str = "Gaffer-Seq";

/// A line with what it is of.
struct Told {
    instance: u32,
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
            let label = streams::label(spec, line.stream).to_owned();
            let in_time = wish.since.is_none_or(|since| line.at >= since)
                && wish.until.is_none_or(|until| line.at < until);
            if !in_time || wish.stream.as_ref().is_some_and(|stream| *stream != label) {
                continue;
            }
            if line.open {
                // Half a character is told with its other half.
                let waiting = self.aligned.waiting((id, line.stream));
                line.bytes.truncate(line.bytes.len().saturating_sub(waiting));
            }
            lines.push(Told { instance: instance.number, label, line });
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
            "stream": self.label,
            "line": String::from_utf8_lossy(&self.line.bytes),
        });
        if self.line.open {
            value["open"] = Value::Bool(true);
        }
        (json::text(&value) + "\n").into_bytes()
    }
}
