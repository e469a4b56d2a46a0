//! `SockJS` 0.3 as bytes: the frames that go to a client and the envelopes that its transports put
//! around them, what a client may send, and the rules of its URLs. No sessions and no time: who sends
//! what when is decided by the service that uses this.
//!
//! The one idea: a frame is a short text (`o`, `h`, `a["…"]`, `c[3000,"…"]`) that is the same over all
//! transports. What differs is the envelope, and how a response begins.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};

use super::http::Method;
use crate::base::limits;

/// The session is open.
pub const OPEN: &str = "o";
/// The session lives.
pub const HEARTBEAT: &str = "h";

/// What a client asks for behind `/<server>/<session>/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Both ways over one websocket.
    WebSocket,
    /// Waits for one frame.
    Xhr,
    /// Sends messages.
    XhrSend,
    /// Receives frame after frame.
    XhrStreaming,
    /// The same for `EventSource`.
    EventSource,
    /// The same for a hidden page of scripts.
    HtmlFile,
    /// Waits for one frame as a script.
    Jsonp,
    /// Sends messages from a form.
    JsonpSend,
}

impl Transport {
    /// The transport of this name in a URL.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "websocket" => Self::WebSocket,
            "xhr" => Self::Xhr,
            "xhr_send" => Self::XhrSend,
            "xhr_streaming" => Self::XhrStreaming,
            "eventsource" => Self::EventSource,
            "htmlfile" => Self::HtmlFile,
            "jsonp" => Self::Jsonp,
            "jsonp_send" => Self::JsonpSend,
            _ => return None,
        })
    }

    /// The method that it takes, besides OPTIONS.
    pub fn method(self) -> Method {
        match self {
            Self::WebSocket | Self::EventSource | Self::HtmlFile | Self::Jsonp => Method::Get,
            Self::Xhr | Self::XhrSend | Self::XhrStreaming | Self::JsonpSend => Method::Post,
        }
    }

    /// Whether it is for browsers that know no cross-origin requests, and so goes around the rules
    /// that protect a server from foreign pages.
    pub fn is_legacy(self) -> bool {
        match self {
            Self::HtmlFile | Self::Jsonp | Self::JsonpSend => true,
            Self::WebSocket
            | Self::Xhr
            | Self::XhrSend
            | Self::XhrStreaming
            | Self::EventSource => false,
        }
    }
}

/// What surrounds each frame of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// A line.
    Line,
    /// An event of an event stream.
    Event,
    /// A script in a page that goes on; the page calls this function's object in its parent.
    Script(Callback),
    /// A script that calls this function.
    Call(Callback),
}

impl Envelope {
    /// The type of the response.
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Line | Self::Call(_) => "application/javascript; charset=UTF-8",
            Self::Event => "text/event-stream",
            Self::Script(_) => "text/html; charset=UTF-8",
        }
    }

    /// What a response that goes on begins with: enough bytes for browsers to show what follows.
    pub fn prelude(&self) -> String {
        match self {
            Self::Line => "h".repeat(PRELUDE) + "\n",
            Self::Event => "\r\n".into(),
            Self::Script(callback) => {
                let page = HTML_FILE.replace("{{callback}}", &callback.0);
                format!("{page:<HTML_PRELUDE$}\r\n\r\n")
            }
            Self::Call(_) => String::new(),
        }
    }

    /// A frame in its envelope.
    pub fn wrap(&self, frame: &str) -> String {
        match self {
            Self::Line => format!("{frame}\n"),
            Self::Event => format!("data: {frame}\r\n\r\n"),
            Self::Script(_) => format!("<script>\np({});\n</script>\r\n", script_string(frame)),
            Self::Call(callback) => {
                format!("/**/{}({});\r\n", callback.0, script_string(frame))
            }
        }
    }
}

/// Bytes that XHR of old browsers has to see before it shows any.
const PRELUDE: usize = 2048;
/// The same for a page, a little more than 1 KiB.
const HTML_PRELUDE: usize = 1024;

const HTML_FILE: &str = r#"<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.{{callback}};
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>"#;

const IFRAME: &str = r#"<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script src="{{sockjs_url}}"></script>
  <script>
    document.domain = document.domain;
    SockJS.bootstrap_iframe();
  </script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>
"#;

/// The page that browsers without cross-origin requests talk through: it loads this script.
pub fn iframe(script: &str) -> String {
    let script = script.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    IFRAME.replace("{{sockjs_url}}", &script)
}

/// Whether this is a name of that page: `iframe.html`, with any version between the two words.
pub fn is_iframe(name: &str) -> bool {
    let version = name.strip_prefix("iframe").and_then(|rest| rest.strip_suffix(".html"));
    let plain = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'z' | b'-' | b'.' | b'_');
    version.is_some_and(|version| version.bytes().all(plain))
}

/// Whether this may be a server or a session in a URL: anything short but nothing, without dots and
/// slashes.
pub fn is_segment(segment: &str) -> bool {
    let fits = (1..=limits::SOCKJS_SEGMENT).contains(&segment.len());
    fits && !segment.contains(['.', '/'])
}

/// The name of a function of the client's page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback(String);

/// Why there is none. `Display` says it in the words that clients know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadCallback {
    /// It is missing.
    Missing,
    /// It could be something else than a name.
    Invalid,
}

impl fmt::Display for BadCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "\"callback\" parameter required",
            Self::Invalid => "invalid \"callback\" parameter",
        })
    }
}

impl Callback {
    /// Reads the query parameter that names it.
    ///
    /// # Errors
    /// It is missing, or not a short name of letters, digits, `-`, `_` and `.`.
    pub fn read(name: Option<String>) -> Result<Self, BadCallback> {
        let name = name.filter(|name| !name.is_empty()).ok_or(BadCallback::Missing)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if name.len() > limits::SOCKJS_CALLBACK || !name.bytes().all(plain) {
            return Err(BadCallback::Invalid);
        }
        Ok(Self(name))
    }
}

/// A frame of messages that is being filled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Messages(String);

impl Messages {
    /// Adds a message at the end.
    pub fn push(&mut self, message: &str) {
        self.0.push_str(if self.0.is_empty() { "a[" } else { "," });
        quote(message, &mut self.0);
    }

    /// How long the frame is already.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no message yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The frame.
    pub fn finish(mut self) -> String {
        self.0.push(']');
        self.0
    }
}

/// The frame that ends a session: a code as websockets have them, and why.
pub fn close_frame(code: u16, reason: &str) -> String {
    let mut frame = format!("c[{code},");
    quote(reason, &mut frame);
    frame.push(']');
    frame
}

/// Writes a JSON string. Besides what JSON demands, it escapes what browsers change or refuse on the
/// way: format characters, non-characters, and everything that they see as two surrogates.
pub fn quote(text: &str, out: &mut String) {
    out.reserve(text.len() + 2);
    out.push('"');
    let mut plain_from = 0;
    for (at, c) in text.char_indices() {
        if !is_escaped(c) {
            continue;
        }
        out.push_str(text.get(plain_from..at).unwrap_or_default());
        plain_from = at + c.len_utf8();
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push_str(text.get(plain_from..).unwrap_or_default());
    out.push('"');
}

fn is_escaped(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}' | '"' | '\\'
        | '\u{200c}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{2060}'..='\u{206f}'
        | '\u{fff0}'..='\u{ffff}' | '\u{10000}'..)
}

/// A frame as a string of a script. A `<` could end the script's element.
fn script_string(frame: &str) -> String {
    let mut quoted = String::new();
    quote(frame, &mut quoted);
    quoted.replace('<', "\\u003c")
}

/// Why what a client sent is no message. `Display` says it in the words that clients know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPayload {
    /// There is nothing.
    Missing,
    /// It is not JSON, or no array of strings.
    Broken,
}

impl fmt::Display for BadPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "Payload expected.",
            Self::Broken => "Broken JSON encoding.",
        })
    }
}

/// The messages in the body of an `xhr_send`.
///
/// # Errors
/// There is no body, or it is no JSON array of strings.
pub fn read_body(body: &[u8]) -> Result<Vec<String>, BadPayload> {
    if body.is_empty() {
        return Err(BadPayload::Missing);
    }
    let messages: Vec<Text> = serde_json::from_slice(body).map_err(|_| BadPayload::Broken)?;
    Ok(messages.into_iter().map(|text| text.0).collect())
}

/// The messages in the body of a `jsonp_send`: the field `d` of a form, or the body itself.
///
/// # Errors
/// As [`read_body`].
pub fn read_form(body: &[u8], content_type: &str) -> Result<Vec<String>, BadPayload> {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return read_body(body);
    }
    let mut fields = body.split(|b| *b == b'&');
    let value = fields.find_map(|field| field.strip_prefix(b"d=")).ok_or(BadPayload::Missing)?;
    read_body(&form_decoded(value).ok_or(BadPayload::Broken)?)
}

/// The messages in one text of a websocket: a JSON string or an array of them. Nothing is no message.
///
/// # Errors
/// It is something else.
pub fn read_text(text: &str) -> Result<Vec<String>, BadPayload> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if text.trim_start().starts_with('"') {
        let message: Text = serde_json::from_str(text).map_err(|_| BadPayload::Broken)?;
        return Ok(vec![message.0]);
    }
    read_body(text.as_bytes())
}

/// `+` and `%xx` of a form's value.
fn form_decoded(value: &[u8]) -> Option<Vec<u8>> {
    let digit =
        |byte: Option<&u8>| char::from(*byte?).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => digit(rest.next())? << 4 | digit(rest.next())?,
            _ => *byte,
        });
    }
    Some(bytes)
}

/// A JSON string as scripts write it: half of a surrogate pair, which is no text, becomes U+FFFD.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(TextVisitor)
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Text, E> {
        let mut bytes = bytes.to_vec();
        if std::str::from_utf8(&bytes).is_err() {
            replace_surrogates(&mut bytes);
        }
        String::from_utf8(bytes).map(Text).map_err(|_| E::custom("not UTF-8"))
    }
}

/// The reader of JSON leaves a lone surrogate as the three bytes that UTF-8 would have for it.
fn replace_surrogates(bytes: &mut [u8]) {
    for at in 0..bytes.len().saturating_sub(2) {
        if let [0xed, 0xa0..=0xbf, 0x80..=0xbf] = bytes[at..at + 3] {
            bytes[at..at + 3].copy_from_slice("\u{fffd}".as_bytes());
        }
    }
}
