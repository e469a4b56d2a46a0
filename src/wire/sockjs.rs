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
    if let Ok(messages) = serde_json::from_slice(body) {
        return Ok(messages);
    }
    let messages: Vec<Text> = lenient(body).ok_or(BadPayload::Broken)?;
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
        let message: Result<String, _> = serde_json::from_str(text);
        let lenient = || lenient::<Text>(text.as_bytes()).map(|text| text.0);
        return message
            .ok()
            .or_else(lenient)
            .map(|message| vec![message])
            .ok_or(BadPayload::Broken);
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

/// Reads JSON whose strings scripts wrote. The reader of bytes does not look for control characters,
/// so where there is any, even between strings, nothing is forgiven.
fn lenient<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Option<T> {
    let plain = std::str::from_utf8(json).is_ok() && json.iter().all(|byte| *byte >= b' ');
    serde_json::from_slice(json).ok().filter(|_| plain)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(text: &str) -> String {
        let mut out = String::new();
        quote(text, &mut out);
        out
    }

    fn callback(name: &str) -> Result<Callback, BadCallback> {
        Callback::read(Some(name.to_owned()))
    }

    #[test]
    fn what_browsers_change_is_escaped_and_nothing_else() {
        for (text, written) in [
            ("", r#""""#),
            ("plain é 日", r#""plain é 日""#),
            ("\"\\/\n\r\t\u{8}\u{c}", r#""\"\\/\n\r\t\b\f""#),
            ("\0\u{1f} ~\u{7f}", "\"\\u0000\\u001f ~\u{7f}\""),
            ("\u{200b}\u{200c}\u{200f}\u{2010}", "\"\u{200b}\\u200c\\u200f\u{2010}\""),
            ("\u{2027}\u{2028}\u{202f}\u{2030}", "\"\u{2027}\\u2028\\u202f\u{2030}\""),
            ("\u{205f}\u{2060}\u{206f}\u{2070}", "\"\u{205f}\\u2060\\u206f\u{2070}\""),
            ("\u{ffef}\u{fff0}\u{ffff}", "\"\u{ffef}\\ufff0\\uffff\""),
            ("\u{10000}a😀", r#""\ud800\udc00a\ud83d\ude00""#),
        ] {
            assert_eq!(quoted(text), written, "{text:?}");
            assert_eq!(serde_json::from_str::<String>(&quoted(text)).expect("JSON"), text);
        }
    }

    #[test]
    fn frames_are_a_letter_and_json() {
        let mut messages = Messages::default();
        assert!(messages.is_empty());
        messages.push("one");
        assert_eq!(messages.len(), r#"a["one""#.len());
        messages.push("t\"o");
        assert_eq!(messages.finish(), r#"a["one","t\"o"]"#);
        assert_eq!(close_frame(3000, "Go \"away\"!"), r#"c[3000,"Go \"away\"!"]"#);
    }

    #[test]
    fn every_transport_has_its_envelope() {
        let name = callback("a.b-c_9").expect("a name");
        for (envelope, wrapped, begins, length) in [
            (Envelope::Line, "a[\"<\"]\n", "hhhh", 2049),
            (Envelope::Event, "data: a[\"<\"]\r\n\r\n", "\r\n", 2),
            (
                Envelope::Script(name.clone()),
                "<script>\np(\"a[\\\"\\u003c\\\"]\");\n</script>\r\n",
                "<!doctype html>\n",
                1028,
            ),
            (Envelope::Call(name), "/**/a.b-c_9(\"a[\\\"\\u003c\\\"]\");\r\n", "", 0),
        ] {
            assert_eq!(envelope.wrap("a[\"<\"]"), wrapped);
            let prelude = envelope.prelude();
            assert!(prelude.starts_with(begins) && prelude.len() == length, "{prelude:?}");
        }
        let long = callback(&"x".repeat(limits::SOCKJS_CALLBACK)).expect("a name");
        assert!(Envelope::Script(long).prelude().contains("parent.xxx"), "the page names it");
    }

    #[test]
    fn callbacks_are_short_names() {
        assert_eq!(Callback::read(None), Err(BadCallback::Missing));
        assert_eq!(callback(""), Err(BadCallback::Missing));
        assert!(callback(&"x".repeat(limits::SOCKJS_CALLBACK)).is_ok());
        let long = "x".repeat(limits::SOCKJS_CALLBACK + 1);
        for bad in [" ", "a(", "a b", "é", "a;", "<a", "a\n", &long] {
            assert_eq!(callback(bad), Err(BadCallback::Invalid), "{bad:?}");
        }
    }

    #[test]
    fn urls_name_sessions_and_pages() {
        assert!(is_segment("abcd e") && is_segment("é") && is_segment("_"));
        assert!(is_segment(&"x".repeat(limits::SOCKJS_SEGMENT)));
        for bad in ["", ".", "a.b", "a/b", &"x".repeat(limits::SOCKJS_SEGMENT + 1)] {
            assert!(!is_segment(bad), "{bad:?}");
        }
        for page in ["iframe.html", "iframe-1.6.1.html", "iframe_a-z.09.html"] {
            assert!(is_iframe(page), "{page}");
        }
        for other in ["iframe", "iframe.htm", "Iframe.html", "iframe-A.html", "a-iframe.html", ""] {
            assert!(!is_iframe(other), "{other}");
        }
        assert!(iframe("/a?b&\"c").contains("src=\"/a?b&amp;&quot;c\">"));
        let all = ["websocket", "xhr", "xhr_send", "xhr_streaming", "eventsource", "htmlfile"];
        for name in all.iter().chain(&["jsonp", "jsonp_send"]) {
            let transport = Transport::named(name).expect(name);
            let posted = name.starts_with("xhr") || name.ends_with("_send");
            assert_eq!(transport.method() == Method::Post, posted, "{name}");
            let legacy = name.starts_with("jsonp") || *name == "htmlfile";
            assert_eq!(transport.is_legacy(), legacy, "{name}");
        }
        assert_eq!(Transport::named("XHR"), None);
    }

    #[test]
    fn bodies_are_arrays_of_strings() {
        let texts = |texts: &[&str]| Ok(texts.iter().map(|text| (*text).to_owned()).collect());
        assert_eq!(read_body(br#"["a", "\u0062\n"]"#), texts(&["a", "b\n"]));
        assert_eq!(read_body(b" [ ] "), texts(&[]));
        assert_eq!(read_body(b""), Err(BadPayload::Missing));
        for broken in [
            "[\"a",
            "\"a\"",
            "{}",
            "null",
            "[1]",
            "[[\"a\"]]",
            "[\"a\"]x",
            "[\"a\",]",
            " ",
            "[\"\n\"]",
        ] {
            assert_eq!(read_body(broken.as_bytes()), Err(BadPayload::Broken), "{broken}");
        }
        assert_eq!(read_body(b"[\"\xff\"]"), Err(BadPayload::Broken));
        assert_eq!(read_body(b"[\"\xed\xa0\x80\"]"), Err(BadPayload::Broken));
        assert_eq!(read_body(b"[\"\\ud800\n\"]"), Err(BadPayload::Broken));
        let halves = r#"["\ud800x", "\udc00", "\ud83d\ude00", "é\ud800"]"#;
        let read = texts(&["\u{fffd}x", "\u{fffd}", "😀", "é\u{fffd}"]);
        assert_eq!(read_body(halves.as_bytes()), read);
    }

    #[test]
    fn forms_and_websockets_carry_the_same() {
        let one = |text: &str| Ok(vec![text.to_owned()]);
        let form =
            |body: &str| read_form(body.as_bytes(), "application/X-www-form-urlencoded; a=b");
        assert_eq!(form("d=%5B%22a+%2B%c3%A9%22%5D"), one("a +é"));
        assert_eq!(form("x=1&d=[\"a\"]&d=[]"), one("a"));
        for nothing in ["", "d=", "dd=[]", "p=p"] {
            assert_eq!(form(nothing), Err(BadPayload::Missing), "{nothing}");
        }
        for broken in ["d=%5B%22x", "d=%", "d=%5", "d=%+1", "d=1"] {
            assert_eq!(form(broken), Err(BadPayload::Broken), "{broken}");
        }
        assert_eq!(read_form(b"[\"%61\"]", "text/plain"), one("%61"));
        assert_eq!(read_form(b"d=[]", ""), Err(BadPayload::Broken));
        assert_eq!(read_text(""), Ok(Vec::new()));
        assert_eq!(read_text("[]"), Ok(Vec::new()));
        assert_eq!(read_text(" \"a\" "), one("a"));
        assert_eq!(read_text(r#""a\udc00""#), one("a\u{fffd}"));
        assert_eq!(read_text("[\"a\"]"), one("a"));
        for broken in ["a", "\"a", "[\"a", "1", "\"a\"\"b\""] {
            assert_eq!(read_text(broken), Err(BadPayload::Broken), "{broken}");
        }
    }
}
