//! Lines as they are told.

use serde_json::{json, Value};

use crate::base::clock::epoch_seconds;
use crate::logs::index::time;
use crate::logs::reading::{End, Line};
use crate::wire::{json, sse};

/// How.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As they are.
    Text,
    /// Each as a JSON object on a line of its own.
    Json,
    /// Each as a server-sent event.
    EventSource,
}

/// Puts them together.
pub(super) struct Teller {
    form: Form,
    out: Vec<u8>,
}

impl Teller {
    pub(super) fn new(form: Form) -> Self {
        Self { form, out: Vec::new() }
    }

    /// Tells a line; gives how much that is.
    pub(super) fn line(&mut self, line: &Line<'_>) -> usize {
        let before = self.out.len();
        match self.form {
            Form::Text => {
                self.out.extend_from_slice(line.bytes);
                if line.end != End::More {
                    self.out.push(b'\n');
                }
            }
            Form::Json => {
                self.out.extend_from_slice(object(line).as_bytes());
                self.out.push(b'\n');
            }
            Form::EventSource => {
                sse::event(None, Some(&line.seq.to_string()), &object(line), &mut self.out);
            }
        }
        self.out.len() - before
    }

    /// What was told; with how much could not be, before it.
    pub(super) fn end(self, lost: u64) -> Vec<u8> {
        if lost == 0 {
            return self.out;
        }
        let object = json::text(&json!({"lost": lost}));
        let mut all = Vec::new();
        match self.form {
            Form::Text => all.extend_from_slice(format!("-- {lost} bytes lost --\n").as_bytes()),
            Form::Json => all.extend_from_slice((object + "\n").as_bytes()),
            Form::EventSource => sse::event(Some("lagged"), None, &object, &mut all),
        }
        all.extend_from_slice(&self.out);
        all
    }
}

fn object(line: &Line<'_>) -> String {
    let writer = line.writer;
    let mut value = json!({
        "seq": line.seq,
        "ts": epoch_seconds(time(line.at)),
        "name": writer.job,
        "instance": writer.instance,
        "pid": writer.pid,
        "stream": writer.label,
        "fd": writer.stream,
        "line": String::from_utf8_lossy(line.bytes),
    });
    let flags = [
        ("open", line.end == End::Open),
        ("more", line.end == End::More),
        ("rest", !line.begins),
        ("once", writer.once),
        ("note", line.note),
    ];
    for (flag, _) in flags.into_iter().filter(|(_, is_set)| *is_set) {
        value[flag] = Value::Bool(true);
    }
    json::text(&value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::index::Writer;

    fn told(form: Form, lost: u64) -> String {
        let (job, label) = ("s.j".to_owned(), "out".to_owned());
        let writer = Writer { job, instance: 1, pid: 2, stream: 1, label, once: true };
        let line = |bytes, begins, end| Line {
            writer: &writer,
            seq: 7,
            at: 1_500_000,
            bytes,
            begins,
            end,
            note: false,
        };
        let mut teller = Teller::new(form);
        teller.line(&line(b"begin", true, End::More));
        teller.line(&line(b"end", false, End::Whole));
        String::from_utf8(teller.end(lost)).expect("text")
    }

    #[test]
    fn each_form_says_what_is_missing_and_where_a_line_goes_on() {
        assert_eq!(told(Form::Text, 0), "beginend\n");
        assert_eq!(told(Form::Text, 12), "-- 12 bytes lost --\nbeginend\n");
        let begin =
            "{\"fd\": 1, \"instance\": 1, \"line\": \"begin\", \"more\": true, \"name\": \"s.j\", \
                     \"once\": true, \"pid\": 2, \"seq\": 7, \"stream\": \"out\", \"ts\": 1.5}";
        let end = begin.replace("begin", "end").replace("\"more\": true, ", "");
        let end = end.replace("\"pid\": 2, ", "\"pid\": 2, \"rest\": true, ");
        assert_eq!(told(Form::Json, 3), format!("{{\"lost\": 3}}\n{begin}\n{end}\n"));
        assert_eq!(
            told(Form::EventSource, 3),
            format!(
                "event: lagged\ndata: {{\"lost\": 3}}\n\nid: 7\ndata: {begin}\n\nid: 7\ndata: {end}\n\n"
            )
        );
    }
}
