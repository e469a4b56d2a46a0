//! HTTP/1.0 and 1.1 as bytes (RFC 9110, RFC 9112): request heads and bodies in, responses out; and for
//! those who ask others, answers in.
//!
//! The one idea: a request that two servers could read differently is refused, never repaired. Every
//! refusal is a [`Refusal`], and after each of them the connection is closed, because nobody knows
//! any more where the next request begins. Readers stop at the first wrong byte, so the way the
//! network cuts a stream never changes what comes out.
//!
//! Read `head` (request line and fields), then `body` (lengths and chunks), then `encode`; `answer` is the
//! other end's side.

mod answer;
mod body;
mod date;
mod encode;
mod head;

use std::fmt;

pub use answer::{AnswerHead, AnswerReader, Broken};
pub use body::BodyReader;
pub use date::parse_date;
pub use encode::{
    imf_fixdate, phrase, write_chunk, write_last_chunk, write_switch, Extent, Persistence,
    ResponseHead,
};
pub use head::HeadReader;

/// The methods we know. CONNECT is not among them: its request is no resource of ours, and what
/// follows it is not HTTP, so it is refused like an unknown one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// DELETE
    Delete,
    /// OPTIONS
    Options,
    /// PATCH
    Patch,
    /// TRACE
    Trace,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Get,
        Self::Head,
        Self::Post,
        Self::Put,
        Self::Delete,
        Self::Options,
        Self::Patch,
        Self::Trace,
    ];

    /// Its name as it goes over the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Patch => "PATCH",
            Self::Trace => "TRACE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The versions we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// Header fields in the order they came. Names are kept in lower case, values without the white
/// space around them. All of it lies in one string, because most requests live for microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    text: String,
    /// Where each name and its value end. A name begins where the value before it ended.
    ends: Vec<(usize, usize)>,
}

impl Headers {
    /// Adds a field at the end.
    pub fn push(&mut self, name: &str, value: &str) {
        self.text.extend(name.chars().map(|c| c.to_ascii_lowercase()));
        let name_end = self.text.len();
        self.text.push_str(value.trim_matches([' ', '\t']));
        self.ends.push((name_end, self.text.len()));
    }

    /// All fields: lower-case name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = 0;
        self.ends.iter().map(move |&(name_end, value_end)| {
            let name = self.text.get(start..name_end).unwrap_or_default();
            let value = self.text.get(name_end..value_end).unwrap_or_default();
            start = value_end;
            (name, value)
        })
    }

    /// The value of the first field of this name, in any case. A field that decides something and
    /// must not come twice has been refused before by [`HeadReader`].
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The values of all fields of this name.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Whether a list field (`Connection`, `Upgrade`) names this token, in any case, on any of its
    /// lines.
    pub fn contains_token(&self, name: &str, token: &str) -> bool {
        self.get_all(name)
            .flat_map(|list| list.split(','))
            .any(|item| item.trim_matches([' ', '\t']).eq_ignore_ascii_case(token))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

/// How the end of a request's body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// So many bytes.
    Length(u64),
    /// In chunks, the last of which is empty.
    Chunked,
}

/// A request without its body, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// What to do.
    pub method: Method,
    /// As the client speaks.
    pub version: Version,
    /// Host and port of a target in absolute form. It overrides the Host field (RFC 9112 section
    /// 3.2.2).
    pub authority: Option<String>,
    /// The path, still percent-encoded, every `%` followed by two digits. Begins with `/`, or is
    /// `*` for OPTIONS.
    pub path: String,
    /// What follows the first `?`, still encoded.
    pub query: Option<String>,
    /// The fields.
    pub headers: Headers,
    /// Where the body ends.
    pub framing: Framing,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

impl Head {
    /// What the client wants to become of the connection (RFC 9112 section 9.3).
    pub fn persistence(&self) -> Persistence {
        if self.headers.contains_token("connection", "close") {
            return Persistence::Close;
        }
        match self.version {
            Version::Http11 => Persistence::Implied,
            Version::Http10 if self.headers.contains_token("connection", "keep-alive") => {
                Persistence::KeepAlive
            }
            Version::Http10 => Persistence::Close,
        }
    }
}

/// Why a request is not read any further. `Display` says what was wrong, for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A line ends in LF alone.
    BareLf,
    /// A CR without its LF.
    BareCr,
    /// A control character in the head.
    Control,
    /// More than one empty line before the request line.
    BlankLines,
    /// A field continued on a second line (obs-fold).
    Folded,
    /// Not three words in the request line, or one of them is malformed.
    RequestLine,
    /// A field without a name, or with a malformed one.
    Field,
    /// A field value that is not UTF-8.
    NotUtf8,
    /// A method we do not know.
    Method,
    /// CONNECT.
    Tunnel,
    /// A target with bytes that no URI has, or of the wrong form for its method.
    Target,
    /// A target over its limit.
    TargetLong,
    /// A version other than 1.0 and 1.1.
    Version,
    /// A head over its limit.
    HeadLong,
    /// More fields than the limit.
    Fields,
    /// A field twice that decides something.
    Repeated,
    /// HTTP/1.1 without Host.
    HostMissing,
    /// A Host that is not a host and a port.
    Host,
    /// A Content-Length that is not one plain number.
    Length,
    /// Content-Length beside Transfer-Encoding.
    LengthAndEncoding,
    /// A Transfer-Encoding that is not just `chunked`.
    Encoding,
    /// A single transfer coding other than `chunked`.
    EncodingUnknown,
    /// Transfer-Encoding in HTTP/1.0.
    EncodingOld,
    /// An Expect other than `100-continue`.
    Expectation,
    /// A malformed chunk size, or bytes behind it that are neither extension nor CRLF.
    ChunkSize,
    /// A chunk extension over its limit, or with control characters.
    ChunkExtension,
    /// A chunk not followed by CRLF.
    ChunkEnd,
    /// A malformed trailer.
    Trailer,
    /// Trailers over their limit.
    TrailersLong,
    /// A body over its limit.
    BodyLong,
    /// The head did not come in time.
    HeadSlow,
    /// The body did not come fast enough.
    BodySlow,
}

impl Refusal {
    /// The status that answers it.
    pub fn status(self) -> u16 {
        match self {
            Self::BareLf
            | Self::BareCr
            | Self::Control
            | Self::BlankLines
            | Self::Folded
            | Self::RequestLine
            | Self::Field
            | Self::NotUtf8
            | Self::Target
            | Self::Repeated
            | Self::HostMissing
            | Self::Host
            | Self::Length
            | Self::LengthAndEncoding
            | Self::Encoding
            | Self::EncodingOld
            | Self::ChunkSize
            | Self::ChunkExtension
            | Self::ChunkEnd
            | Self::Trailer => 400,
            Self::HeadSlow | Self::BodySlow => 408,
            Self::BodyLong => 413,
            Self::TargetLong => 414,
            Self::Expectation => 417,
            Self::HeadLong | Self::Fields | Self::TrailersLong => 431,
            Self::Method | Self::Tunnel | Self::EncodingUnknown => 501,
            Self::Version => 505,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BareLf => "a line of the request head ends in LF without CR",
            Self::BareCr => "the request head has a CR without LF",
            Self::Control => "the request head has a control character",
            Self::BlankLines => "there is more than one empty line before the request line",
            Self::Folded => "a header field starts with white space (obsolete line folding)",
            Self::RequestLine => "the request line is not `METHOD target HTTP/1.1`",
            Self::Field => "a header field is not `Name: value`",
            Self::NotUtf8 => "a header field value is not UTF-8",
            Self::Method => "the request method is unknown",
            Self::Tunnel => "this is not a proxy",
            Self::Target => "the request target is not a valid path or http URI",
            Self::TargetLong => "the request target is over 8 KiB",
            Self::Version => "only HTTP/1.0 and HTTP/1.1 are spoken here",
            Self::HeadLong => "the request head is over 64 KiB",
            Self::Fields => "the request has over 100 header fields",
            Self::Repeated => "a header field that may come only once came twice",
            Self::HostMissing => "the Host header field is missing",
            Self::Host => "the Host header field is not a host and a port",
            Self::Length => "Content-Length is not one plain number",
            Self::LengthAndEncoding => "Content-Length and Transfer-Encoding came together",
            Self::Encoding => "Transfer-Encoding is not just `chunked`",
            Self::EncodingUnknown => "the only transfer coding understood here is `chunked`",
            Self::EncodingOld => "Transfer-Encoding does not exist in HTTP/1.0",
            Self::Expectation => "the only expectation understood here is `100-continue`",
            Self::ChunkSize => "a chunk size is not 1 to 8 hexadecimal digits and CRLF",
            Self::ChunkExtension => "a chunk extension is malformed or over 256 bytes",
            Self::ChunkEnd => "a chunk is not followed by CRLF",
            Self::Trailer => "a trailer field is malformed",
            Self::TrailersLong => "the trailer fields are over 4 KiB",
            Self::BodyLong => "the request body is too long",
            Self::HeadSlow => "the request head did not come within 10 seconds",
            Self::BodySlow => "the request body came slower than 1 KiB a second",
        })
    }
}

/// `token` of RFC 9110 section 5.6.2, without its being non-empty.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_token_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_in_any_case_and_lists_over_several_lines() {
        let mut headers = Headers::default();
        headers.push("Connection", " keep-alive ,\tUpgrade");
        headers.push("X-Empty", "");
        headers.push("connection", "Close");
        assert_eq!(headers.get("CONNECTION"), Some("keep-alive ,\tUpgrade"));
        assert_eq!(headers.get("x-empty"), Some(""));
        assert_eq!(headers.get("x-none"), None);
        assert_eq!(headers.get_all("Connection").count(), 2);
        for token in ["keep-alive", "upgrade", "close"] {
            assert!(headers.contains_token("Connection", token), "{token}");
        }
        assert!(!headers.contains_token("Connection", "keep"));
        assert_eq!(headers.iter().map(|(name, _)| name).collect::<Vec<_>>().join(" "), {
            "connection x-empty connection"
        });
        assert_eq!(headers.len(), 3);
    }
}
