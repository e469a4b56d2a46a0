//! Request heads: the request line by our own rules, the fields by httparse behind a scan of our own
//! that knows no bare LF, no folding and no endless head. Then the checks that smuggling lives on:
//! Host, Content-Length and Transfer-Encoding, each unmistakable or refused.

use super::{is_token, Framing, Head, Headers, Method, Refusal, Version};
use crate::base::limits;

/// Fields that decide something and whose meaning is lost when they come twice. Content-Length and
/// Transfer-Encoding have rules of their own.
const SINGLE: [&str; 9] = [
    "host",
    "origin",
    "sec-fetch-site",
    "authorization",
    "x-api-key",
    "content-type",
    "expect",
    "sec-websocket-key",
    "sec-websocket-version",
];

/// Reads one request head from the front of a growing buffer. It remembers how far it has looked, so
/// every byte is looked at once however slowly they come.
#[derive(Debug, Default)]
pub struct HeadReader {
    /// The next byte to look at,
    at: usize,
    /// and the start of the line it is in.
    line: usize,
    fields: usize,
    blank: bool,
    /// Where the fields start, and the request line, once that is complete.
    begun: Option<(usize, Box<Head>)>,
}

impl HeadReader {
    /// Looks at the bytes that are new. `bytes` is all there is of this request, from its first
    /// byte. Gives the head and its length once it is complete, `None` as long as it is not.
    ///
    /// One empty line before the request line is skipped: old clients send one behind the body of
    /// a POST (RFC 9112 section 2.2). A second one is refused.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Option<(Box<Head>, usize)>, Refusal> {
        while let Some(&byte) = bytes.get(self.at) {
            self.check(byte, bytes)?;
            self.at += 1;
            if byte == b'\n' {
                if let Some(head) = self.end_line(bytes)? {
                    return Ok(Some((head, self.at)));
                }
            }
        }
        Ok(None)
    }

    /// What is wrong with a head however it goes on.
    fn check(&self, byte: u8, bytes: &[u8]) -> Result<(), Refusal> {
        let before = self.at.checked_sub(1).and_then(|at| bytes.get(at));
        if before == Some(&b'\r') && byte != b'\n' {
            return Err(Refusal::BareCr);
        }
        if self.at >= limits::HTTP_HEAD {
            return Err(Refusal::HeadLong);
        }
        match byte {
            b'\n' if before != Some(&b'\r') => return Err(Refusal::BareLf),
            b'\r' | b'\n' => return Ok(()),
            b'\t' => {}
            0..0x20 | 0x7f => return Err(Refusal::Control),
            _ => {}
        }
        if self.begun.is_some() {
            let folded = self.at == self.line && (byte == b' ' || byte == b'\t');
            return if folded { Err(Refusal::Folded) } else { Ok(()) };
        }
        if self.at - self.line < limits::HTTP_REQUEST_LINE {
            return Ok(());
        }
        let spaced = bytes[self.line..self.at].contains(&b' ');
        Err(if spaced { Refusal::TargetLong } else { Refusal::Method })
    }

    /// A line has ended at `self.at`, with CRLF.
    fn end_line(&mut self, bytes: &[u8]) -> Result<Option<Box<Head>>, Refusal> {
        let line = &bytes[self.line..self.at - 2];
        self.line = self.at;
        if self.begun.is_none() {
            if !line.is_empty() {
                self.begun = Some((self.at, Box::new(request_line(line)?)));
            } else if std::mem::replace(&mut self.blank, true) {
                return Err(Refusal::BlankLines);
            }
            return Ok(None);
        }
        if !line.is_empty() {
            self.fields += 1;
            return if self.fields > limits::HTTP_FIELDS { Err(Refusal::Fields) } else { Ok(None) };
        }
        let Some((start, mut head)) = self.begun.take() else { return Ok(None) };
        head.headers = fields(&bytes[start..self.at])?;
        complete(&mut head)?;
        Ok(Some(head))
    }
}

/// Method, target and version, with one space between them.
fn request_line(line: &[u8]) -> Result<Head, Refusal> {
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Refusal::RequestLine);
    };
    if !is_token(method) {
        return Err(Refusal::RequestLine);
    }
    let version = match version {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            return Err(Refusal::Version)
        }
        _ => return Err(Refusal::RequestLine),
    };
    if method == b"CONNECT" {
        return Err(Refusal::Tunnel);
    }
    let known = Method::ALL.into_iter().find(|known| known.name().as_bytes() == method);
    let method = known.ok_or(Refusal::Method)?;
    if target.len() > limits::HTTP_TARGET {
        return Err(Refusal::TargetLong);
    }
    let Target { authority, path, query } = target_of(method, target)?;
    Ok(Head {
        method,
        version,
        authority,
        path,
        query,
        headers: Headers::default(),
        framing: Framing::Empty,
        expects_continue: false,
    })
}

struct Target {
    authority: Option<String>,
    path: String,
    query: Option<String>,
}

/// Origin form, absolute form, or `*` for OPTIONS (RFC 9112 section 3.2).
fn target_of(method: Method, bytes: &[u8]) -> Result<Target, Refusal> {
    if !is_uri(bytes) {
        return Err(Refusal::Target);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Refusal::Target)?;
    if text == "*" && method == Method::Options {
        return Ok(Target { authority: None, path: text.to_string(), query: None });
    }
    let (rest, query) = match text.split_once('?') {
        Some((rest, query)) => (rest, Some(query.to_string())),
        None => (text, None),
    };
    if rest.starts_with('/') {
        return Ok(Target { authority: None, path: rest.to_string(), query });
    }
    let (scheme, rest) = rest.split_once("://").ok_or(Refusal::Target)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(Refusal::Target);
    }
    let (authority, path) = match rest.split_once('/') {
        Some((authority, path)) => (authority, format!("/{path}")),
        None => (rest, "/".to_string()),
    };
    if authority.is_empty() || !is_authority(authority) {
        return Err(Refusal::Target);
    }
    Ok(Target { authority: Some(authority.to_string()), path, query })
}

/// Only bytes a URI may have (RFC 3986 section 2), every `%` with its two digits, no fragment.
fn is_uri(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'%', [high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                after
            }
            (byte, after)
                if byte.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()*+,;=".contains(byte) =>
            {
                after
            }
            _ => return false,
        };
    }
    true
}

/// Bytes that a host and a port may have. No user: nobody has one in front of us.
fn is_authority(text: &str) -> bool {
    is_uri(text.as_bytes()) && !text.contains(['/', '?', '@'])
}

fn fields(bytes: &[u8]) -> Result<Headers, Refusal> {
    let mut slots = [httparse::EMPTY_HEADER; limits::HTTP_FIELDS];
    let parsed = httparse::parse_headers(bytes, &mut slots).map_err(|_| Refusal::Field)?;
    let httparse::Status::Complete((used, parsed)) = parsed else { return Err(Refusal::Field) };
    if used != bytes.len() {
        return Err(Refusal::Field);
    }
    let mut headers = Headers::default();
    for field in parsed {
        let value = std::str::from_utf8(field.value).map_err(|_| Refusal::NotUtf8)?;
        headers.push(field.name, value);
    }
    Ok(headers)
}

/// The checks that need all fields.
fn complete(head: &mut Head) -> Result<(), Refusal> {
    if SINGLE.iter().any(|name| head.headers.get_all(name).nth(1).is_some()) {
        return Err(Refusal::Repeated);
    }
    match head.headers.get("host") {
        Some(host) if !is_authority(host) => return Err(Refusal::Host),
        None if head.version == Version::Http11 => return Err(Refusal::HostMissing),
        Some(_) | None => {}
    }
    head.framing = framing(head)?;
    match (head.version, head.headers.get("expect")) {
        (Version::Http11, Some(expected)) if expected.eq_ignore_ascii_case("100-continue") => {
            head.expects_continue = true;
        }
        (Version::Http11, Some(_)) => return Err(Refusal::Expectation),
        // RFC 9110 section 10.1.1: not an HTTP/1.0 client's to ask.
        (Version::Http10, _) | (Version::Http11, None) => {}
    }
    Ok(())
}

/// RFC 9112 section 6, with everything refused that a recipient is allowed to repair.
fn framing(head: &Head) -> Result<Framing, Refusal> {
    let mut lengths = head.headers.get_all("content-length");
    let mut codings = head.headers.get_all("transfer-encoding");
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(Framing::Empty),
        (Some(_), Some(_)) => Err(Refusal::LengthAndEncoding),
        (Some(length), None) => {
            let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
            if !digits || lengths.next().is_some() {
                return Err(Refusal::Length);
            }
            let length = length.parse().map_err(|_| Refusal::Length)?;
            let known = length <= limits::HTTP_CONTENT_LENGTH;
            known.then_some(Framing::Length(length)).ok_or(Refusal::Length)
        }
        (None, Some(_)) if head.version == Version::Http10 => Err(Refusal::EncodingOld),
        (None, Some(coding)) => {
            if codings.next().is_some() {
                Err(Refusal::Encoding)
            } else if coding.eq_ignore_ascii_case("chunked") {
                Ok(Framing::Chunked)
            } else if is_token(coding.as_bytes()) {
                Err(Refusal::EncodingUnknown)
            } else {
                Err(Refusal::Encoding)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Persistence;
    use super::*;

    fn read(bytes: &[u8]) -> Result<Option<(Box<Head>, usize)>, Refusal> {
        HeadReader::default().read(bytes)
    }

    fn head(text: &str) -> Result<Head, Refusal> {
        read(text.as_bytes()).map(|found| *found.expect("complete").0)
    }

    fn refused(bytes: &[u8], why: Refusal) {
        assert_eq!(read(bytes), Err(why), "{}", bytes.escape_ascii());
    }

    #[test]
    fn targets_have_three_forms() {
        let origin = head("GET /a%2Fb/?x=1&y=? HTTP/1.1\r\nHost: h\r\n\r\n").expect("valid");
        assert_eq!((origin.path.as_str(), origin.query.as_deref()), ("/a%2Fb/", Some("x=1&y=?")));
        assert_eq!(origin.authority, None);
        let absolute = head("GET HTTP://h:1?q HTTP/1.1\r\nHost: other\r\n\r\n").expect("valid");
        assert_eq!(absolute.authority.as_deref(), Some("h:1"));
        assert_eq!((absolute.path.as_str(), absolute.query.as_deref()), ("/", Some("q")));
        let star = head("OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n").expect("valid");
        assert_eq!(star.path, "*");
    }

    #[test]
    fn a_target_no_uri_has_is_refused() {
        for target in [
            "*",
            "a",
            "h:80",
            "/a b",
            "/\\",
            "/#f",
            "/\"",
            "/<",
            "/^",
            "/{",
            "/|",
            "/`",
            "/%",
            "/%4",
            "/%zz",
            "/é",
            "ftp://h/",
            "http://",
            "http:///p",
            "http://u@h/",
            "http:/h",
            "/\t",
        ] {
            let line = format!("GET {target} HTTP/1.1\r\n");
            let why = if target.contains(' ') { Refusal::RequestLine } else { Refusal::Target };
            refused(line.as_bytes(), why);
        }
    }

    #[test]
    fn request_lines_are_three_words() {
        for line in [
            "GET /\r\n",
            "GET  / HTTP/1.1\r\n",
            "GET / HTTP/1.1 \r\n",
            " GET / HTTP/1.1\r\n",
            "GET / HTTP/1.1 x\r\n",
            "GET\t/ HTTP/1.1\r\n",
            "GET / http/1.1\r\n",
            "GET / HTTP/1.10\r\n",
            "GET / HTTP/1\r\n",
            "G(T / HTTP/1.1\r\n",
        ] {
            refused(line.as_bytes(), Refusal::RequestLine);
        }
        for version in ["HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/3.0"] {
            refused(format!("GET / {version}\r\n").as_bytes(), Refusal::Version);
        }
        for method in ["get", "Get", "MKCOL", "GETT", "GE"] {
            refused(format!("{method} / HTTP/1.1\r\n").as_bytes(), Refusal::Method);
        }
        refused(b"CONNECT h:80 HTTP/1.1\r\n", Refusal::Tunnel);
    }

    #[test]
    fn a_head_is_refused_at_its_first_wrong_byte() {
        refused(b"\x16", Refusal::Control);
        refused(b"\n", Refusal::BareLf);
        refused(b"\rG", Refusal::BareCr);
        refused(b"GET / HTTP/1.1\n", Refusal::BareLf);
        refused(b"GET / HTTP/1.1\r\nHost: h\n", Refusal::BareLf);
        refused(b"GET / HTTP/1.1\r\nHost: h\r\n\n", Refusal::BareLf);
        refused(b"GET / HTTP/1.1\r\nHost: h\rX", Refusal::BareCr);
        refused(b"GET / HTTP/1.1\r\n ", Refusal::Folded);
        refused(b"GET / HTTP/1.1\r\nHost: h\r\n\t", Refusal::Folded);
        refused(b"GET / HTTP/1.1\r\nHost: \0", Refusal::Control);
        refused(b"\r\n\r\n", Refusal::BlankLines);
        assert!(head("\r\nGET / HTTP/1.0\r\n\r\n").is_ok());
    }

    #[test]
    fn fields_and_host_are_checked() {
        for (field, why) in [
            ("Host h", Refusal::Field),
            ("Host : h", Refusal::Field),
            (": h", Refusal::Field),
            ("Ho\u{e9}st: h", Refusal::Field),
            ("X: y", Refusal::HostMissing),
            ("Host: a b", Refusal::Host),
            ("Host: a/b", Refusal::Host),
            ("Host: u@h", Refusal::Host),
            ("Host: a,b\r\nHost: c", Refusal::Repeated),
            ("Host: h\r\nORIGIN: a\r\nOrigin: a", Refusal::Repeated),
            ("Host: h\r\nSec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site", Refusal::Repeated),
            ("Host: h\r\nX-Api-Key: a\r\nX-Api-Key: b", Refusal::Repeated),
            ("Host: h\r\nExpect: 200-ok", Refusal::Expectation),
        ] {
            refused(format!("GET / HTTP/1.1\r\n{field}\r\n\r\n").as_bytes(), why);
        }
        refused(b"GET / HTTP/1.1\r\nHost: h\r\nX: \xff\r\n\r\n", Refusal::NotUtf8);
        for host in ["", "localhost:5000", "[::1]:80", "127.0.0.1"] {
            assert!(head(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).is_ok(), "{host}");
        }
        assert!(head("GET / HTTP/1.0\r\nExpect: 200-ok\r\n\r\n").is_ok());
    }

    #[test]
    fn persistence_follows_version_and_connection() {
        for (version, connection, expected) in [
            ("1.1", "", Persistence::Implied),
            ("1.1", "x, Close", Persistence::Close),
            ("1.1", "keep-alive", Persistence::Implied),
            ("1.0", "", Persistence::Close),
            ("1.0", "Keep-Alive", Persistence::KeepAlive),
            ("1.0", "keep-alive, close", Persistence::Close),
        ] {
            let text =
                format!("GET / HTTP/{version}\r\nHost: h\r\nConnection: {connection}\r\n\r\n");
            assert_eq!(head(&text).expect("valid").persistence(), expected, "{text}");
        }
    }

    #[test]
    fn limits_of_the_head_hold_at_the_cap_and_one_beyond() {
        let target = |n: usize| format!("GET /{} HTTP/1.1\r\n", "a".repeat(n - 1));
        assert_eq!(read(target(limits::HTTP_TARGET).as_bytes()), Ok(None));
        refused(target(limits::HTTP_TARGET + 1).as_bytes(), Refusal::TargetLong);
        let line = |n: usize| format!("GET /{}", "a".repeat(n - 5));
        assert_eq!(read(line(limits::HTTP_REQUEST_LINE).as_bytes()), Ok(None));
        refused(line(limits::HTTP_REQUEST_LINE + 1).as_bytes(), Refusal::TargetLong);
        refused(&[b'A'; limits::HTTP_REQUEST_LINE + 1], Refusal::Method);

        let fields = |n: usize| format!("GET / HTTP/1.0\r\n{}\r\n", "A: b\r\n".repeat(n));
        assert!(head(&fields(limits::HTTP_FIELDS)).is_ok());
        refused(fields(limits::HTTP_FIELDS + 1).as_bytes(), Refusal::Fields);

        let start = "GET / HTTP/1.0\r\nA: ";
        let long = |n: usize| format!("{start}{}\r\n\r\n", "b".repeat(n - start.len() - 4));
        assert!(head(&long(limits::HTTP_HEAD)).is_ok());
        refused(long(limits::HTTP_HEAD + 1).as_bytes(), Refusal::HeadLong);

        let length = |n: u64| format!("PUT / HTTP/1.0\r\nContent-Length: {n}\r\n\r\n");
        assert!(head(&length(limits::HTTP_CONTENT_LENGTH)).is_ok());
        refused(length(limits::HTTP_CONTENT_LENGTH + 1).as_bytes(), Refusal::Length);
    }
}
