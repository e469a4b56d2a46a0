//! Server-sent events as bytes (WHATWG HTML, section 9.2, "Server-sent events"): what a browser's
//! `EventSource` reads, and goes on with after a break by the last id it saw.

/// Writes one event. Data may have lines ended by LF, CR or CRLF, each of which gets its own field;
/// a line end in a name or an id would end its field, and is left out.
pub fn event(name: Option<&str>, id: Option<&str>, data: &str, out: &mut Vec<u8>) {
    if let Some(name) = name {
        field("event", name, out);
    }
    if let Some(id) = id {
        field("id", id, out);
    }
    for line in lines(data) {
        field("data", line, out);
    }
    out.push(b'\n');
}

/// Writes a comment, which clients pass over: it keeps the connection alive, or tells a person.
pub fn comment(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b": ");
    out.extend(text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')));
    out.extend_from_slice(b"\n\n");
}

fn field(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend(value.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)));
    out.push(b'\n');
}

/// The lines of a text, whichever way they end. A line end at the very end begins another, empty one,
/// so that a reader that joins them with LF has the text back.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\r', '\n']) else {
            rest = None;
            return Some(text);
        };
        let (line, behind) = text.split_at(end);
        let behind = behind.strip_prefix("\r\n").or_else(|| behind.strip_prefix(['\r', '\n']));
        rest = behind;
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: Option<&str>, id: Option<&str>, data: &str) -> String {
        let mut out = Vec::new();
        event(name, id, data, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn every_line_is_a_field_of_its_own() {
        assert_eq!(written(None, None, "a"), "data: a\n\n");
        assert_eq!(
            written(Some("out"), Some("7"), "a\nb\r\nc\rd\n"),
            "event: out\nid: 7\ndata: a\ndata: b\ndata: c\ndata: d\ndata: \n\n"
        );
        assert_eq!(written(None, None, ""), "data: \n\n");
    }

    #[test]
    fn nothing_escapes_its_field() {
        assert_eq!(
            written(Some("a\ndata: x"), Some("1\r\n"), "y"),
            "event: adata: x\nid: 1\ndata: y\n\n"
        );
        let mut out = Vec::new();
        comment("lost\n\ndata: x", &mut out);
        assert_eq!(out, b": lostdata: x\n\n");
    }
}
