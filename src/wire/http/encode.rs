//! Responses: the status line and the fields, written so that no value can end its line early.

use std::time::{SystemTime, UNIX_EPOCH};

use super::is_token;
use crate::base::clock::civil;

/// What becomes of the connection after a response, as its `Connection` field says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// It stays open, as HTTP/1.1 implies.
    Implied,
    /// It stays open, as an HTTP/1.0 client asked for.
    KeepAlive,
    /// It is closed.
    Close,
}

/// How a client finds the end of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// It has no body, whatever its request was (204, 304).
    Bodiless,
    /// The body has so many bytes.
    Length(u64),
    /// The body comes in chunks, the last of which is empty.
    Chunked,
    /// The body ends with the connection, as for a client of HTTP/1.0.
    UntilClose,
}

/// The head of a response.
#[derive(Debug)]
pub struct ResponseHead<'a> {
    /// The status, 200 to 599.
    pub status: u16,
    /// The fields, in this order. A control character in a value becomes a space.
    pub headers: &'a [(&'static str, String)],
    /// How the client finds its end.
    pub extent: Extent,
    /// What becomes of the connection.
    pub persistence: Persistence,
    /// The wall clock.
    pub date: SystemTime,
}

impl ResponseHead<'_> {
    /// Writes it at the end of `out`, up to and with its empty line.
    ///
    /// # Panics
    /// If a field name is not a token: names are ours, never a client's.
    pub fn write(&self, out: &mut Vec<u8>) {
        assert!((200..600).contains(&self.status), "{} is not a final status", self.status);
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(self.status.to_string().as_bytes());
        out.push(b' ');
        out.extend_from_slice(phrase(self.status).as_bytes());
        out.extend_from_slice(b"\r\n");
        field(out, "Date", &imf_fixdate(self.date));
        field(out, "Server", "gaffer");
        for (name, value) in self.headers {
            field(out, name, value);
        }
        match self.extent {
            Extent::Bodiless | Extent::UntilClose => {}
            Extent::Length(length) => field(out, "Content-Length", &length.to_string()),
            Extent::Chunked => field(out, "Transfer-Encoding", "chunked"),
        }
        match self.persistence {
            Persistence::Implied => {}
            Persistence::KeepAlive => field(out, "Connection", "keep-alive"),
            Persistence::Close => field(out, "Connection", "close"),
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes the head of the answer that makes a websocket of a connection (RFC 6455 section 4.2.2).
/// `upgrade` names the protocol as the client spells it.
pub fn write_switch(upgrade: &str, headers: &[(&'static str, String)], out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
    field(out, "Upgrade", upgrade);
    field(out, "Connection", "Upgrade");
    for (name, value) in headers {
        field(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the last chunk of a chunked body, and the fields that follow it (RFC 9112 section 7.1.2).
pub fn write_last_chunk(trailers: &[(&'static str, String)], out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        field(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes one chunk of a chunked body (RFC 9112 section 7.1). An empty one would be its last.
pub fn write_chunk(pieces: &[&[u8]], out: &mut Vec<u8>) {
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    out.extend_from_slice(format!("{length:x}\r\n").as_bytes());
    for piece in pieces {
        out.extend_from_slice(piece);
    }
    out.extend_from_slice(b"\r\n");
}

fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    assert!(is_token(name.as_bytes()), "{name:?} is not a header field name");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend(value.bytes().map(|byte| match byte {
        b'\t' => byte,
        0..0x20 | 0x7f => b' ',
        _ => byte,
    }));
    out.extend_from_slice(b"\r\n");
}

/// The reason phrase of a status (RFC 9110 section 15, RFC 6585); `Unknown` if it has none.
pub fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "Unknown",
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7); the epoch for a time before it.
pub fn imf_fixdate(time: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let days = seconds / 86_400;
    let weekday = DAYS.into_iter().cycle().nth(usize::try_from(days % 7).unwrap_or(0));
    let (year, month, day) = civil(days);
    let month = MONTHS.into_iter().nth(usize::try_from(month - 1).unwrap_or(0));
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        weekday.unwrap_or_default(),
        month.unwrap_or_default(),
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates_are_written_as_the_rfc_does() {
        for (seconds, text) in [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            assert_eq!(imf_fixdate(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
        assert_eq!(imf_fixdate(UNIX_EPOCH - Duration::from_secs(1)), imf_fixdate(UNIX_EPOCH));
    }

    #[test]
    fn a_value_cannot_end_its_line() {
        let headers = [("Location", "/a\r\nSet-Cookie: x\0y\n\tz".to_string())];
        let mut out = Vec::new();
        let head = ResponseHead {
            status: 302,
            headers: &headers,
            extent: Extent::Length(0),
            persistence: Persistence::Close,
            date: UNIX_EPOCH,
        };
        head.write(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "HTTP/1.1 302 Found\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nServer: gaffer\r\n\
             Location: /a  Set-Cookie: x y \tz\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
}
