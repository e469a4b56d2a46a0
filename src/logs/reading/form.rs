//! From the bytes of a file back to those of a process: without the times in front of lines, or out of the
//! JSON in which they stand.

use data_encoding::BASE64;
use serde_json::Value;

use crate::logs::index::Form;
use crate::logs::stamped::STAMP;

/// Longest line of JSON that is read as such: one of the longest that is written, with all its letters escaped.
const JSON_LINE: usize = 8 * crate::base::limits::PAST_LINE;

/// Reads the bytes of one writer, in their order.
#[derive(Clone, Debug)]
pub struct Unformed {
    form: Form,
    /// What has come of a time or of an object, and is not whole.
    held: Vec<u8>,
    /// Whether a line of the file begins here.
    begins: bool,
}

impl Unformed {
    /// For a writer of whom nothing was read; whether what comes begins a line.
    pub fn new(form: Form, begins: bool) -> Self {
        Self { form, held: Vec::new(), begins: begins || form == Form::Json }
    }

    /// A line of its writer begins here, whatever came before.
    pub fn begin(&mut self) {
        self.held.clear();
        self.begins = true;
    }

    /// Takes bytes of the file, and adds those that are meant.
    pub fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match self.form {
            Form::Plain => out.extend_from_slice(bytes),
            Form::Stamped => {
                for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                    self.take_stamped(line, out);
                }
            }
            Form::Json => {
                for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                    self.take_json(line, out);
                }
            }
        }
    }

    /// Nothing more comes: what was held of something that is not whole is told as it is.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.held);
    }

    fn take_stamped(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let mut rest = line;
        if self.begins {
            let wanted = (STAMP - self.held.len()).min(line.len());
            self.held.extend_from_slice(&line[..wanted]);
            rest = &line[wanted..];
            let ended = self.held.last() == Some(&b'\n');
            if self.held.len() < STAMP && !ended {
                return;
            }
            if !is_stamp(&self.held) {
                out.extend_from_slice(&self.held);
            }
            self.held.clear();
            self.begins = ended;
        }
        out.extend_from_slice(rest);
        self.begins |= rest.last() == Some(&b'\n');
    }

    fn take_json(&mut self, line: &[u8], out: &mut Vec<u8>) {
        self.held.extend_from_slice(line);
        if self.held.last() != Some(&b'\n') && self.held.len() <= JSON_LINE {
            return;
        }
        match from_json(&self.held) {
            Some((bytes, open)) => {
                out.extend_from_slice(&bytes);
                if !open {
                    out.push(b'\n');
                }
            }
            None => out.extend_from_slice(&self.held),
        }
        self.held.clear();
    }
}

/// Whether that is a time as we write it.
fn is_stamp(bytes: &[u8]) -> bool {
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (26, b'Z')];
    bytes.len() == STAMP
        && bytes.last() == Some(&b' ')
        && marks.iter().all(|(at, mark)| bytes.get(*at) == Some(mark))
}

/// The bytes of a line that stands in an object, and whether it had no end yet.
fn from_json(line: &[u8]) -> Option<(Vec<u8>, bool)> {
    let value: Value = serde_json::from_slice(line).ok()?;
    let open = value.get("open").and_then(Value::as_bool).unwrap_or(false);
    if let Some(text) = value.get("base64").and_then(Value::as_str) {
        return Some((BASE64.decode(text.as_bytes()).ok()?, open));
    }
    let text = value.get("line")?.as_str()?;
    Some((text.as_bytes().to_vec(), open))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn unformed(form: Form, begins: bool, parts: &[&[u8]]) -> String {
        let mut reader = Unformed::new(form, begins);
        let mut out = Vec::new();
        for part in parts {
            reader.take(part, &mut out);
        }
        reader.end(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn objects_are_lines_and_what_is_none_stays_what_it_is() {
        let json = |text: &str| unformed(Form::Json, true, &[text.as_bytes()]);
        assert_eq!(json("{\"line\":\"a\",\"ts\":1}\n{\"line\":\"b\",\"open\":true}\n"), "a\nb");
        assert_eq!(json("{\"line\":\"?\",\"base64\":\"AGE=\"}\n"), "\0a\n");
        assert_eq!(json("no\n{\"x\":1}\n{\"line\":"), "no\n{\"x\":1}\n{\"line\":");
    }

    proptest! {
        #[test]
        fn times_are_taken_off_wherever_the_file_is_cut(
            lines in proptest::collection::vec("[a-z ]{0,40}", 1..5),
            cuts in proptest::collection::vec(0..300_usize, 0..6),
        ) {
            let time = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
            let mut file = Vec::new();
            for line in &lines {
                file.extend_from_slice(&crate::logs::stamped::stamp(time));
                file.extend_from_slice(line.as_bytes());
                file.push(b'\n');
            }
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(file.len())).collect();
            cuts.sort_unstable();
            let mut parts = Vec::new();
            let mut from = 0;
            for cut in cuts {
                parts.push(&file[from..cut]);
                from = cut;
            }
            parts.push(&file[from..]);
            prop_assert_eq!(unformed(Form::Stamped, true, &parts), lines.join("\n") + "\n");
        }
    }
}
