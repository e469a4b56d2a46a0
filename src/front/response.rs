//! An answer as a handler gives it, and what is added to every answer on its way out: the entity tag
//! and its 304, the headers that keep browsers from misusing it, and the framing.

use std::time::SystemTime;

use data_encoding::HEXLOWER;
use serde::Serialize;
use sha1::{Digest as _, Sha1};

use crate::wire::http::{phrase, Extent, Head, Method, Persistence, ResponseHead, Version};
use crate::wire::json;

/// One complete answer. Framing, `Date`, entity tag and the security headers are added on its way
/// out; a header that is set here is not set again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// 200 to 599.
    pub status: u16,
    /// Without framing: no Content-Length, Transfer-Encoding, Connection or Date.
    pub headers: Vec<(&'static str, String)>,
    /// The body. Not sent with 204 and 304, nor to HEAD.
    pub body: Vec<u8>,
}

impl Response {
    /// JSON, with the separators of Python's `json.dumps`, as gaffer has always written it.
    pub fn json(status: u16, value: &impl Serialize) -> Self {
        Self::typed(status, "application/json", json::text(value).into_bytes())
    }

    /// Plain text.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        Self::typed(status, "text/plain; charset=UTF-8", text.into().into_bytes())
    }

    /// A page.
    pub fn html(status: u16, text: impl Into<String>) -> Self {
        Self::typed(status, "text/html; charset=UTF-8", text.into().into_bytes())
    }

    /// No body, and so no type.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// An error of the protocol rather than of a job: `{"error": 400, "reason": "bad_request"}`, and
    /// `"detail"` with what exactly was wrong, where there is something to say.
    pub fn error(status: u16, detail: Option<&str>) -> Self {
        let reason = match status {
            400 => "bad_request",
            401 => "unauthorized",
            403 => "forbidden",
            404 => "not_found",
            409 => "conflict",
            _ => phrase(status),
        };
        let mut body = serde_json::json!({ "error": status, "reason": reason });
        if let Some(detail) = detail {
            body["detail"] = detail.into();
        }
        Self::json(status, &body)
    }

    /// Sets a header, in addition to those of the same name.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn typed(status: u16, kind: &str, body: Vec<u8>) -> Self {
        Self { status, headers: vec![("Content-Type", kind.to_string())], body }
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// What nobody may keep is never had already: not even by one who says so.
    fn is_never_stored(&self) -> bool {
        let caching = self.headers.iter().find(|(name, _)| *name == "Cache-Control");
        caching.is_some_and(|(_, rule)| rule.split(", ").any(|word| word == "no-store"))
    }

    fn set_defaults(&mut self) {
        self.set_default("X-Content-Type-Options", "nosniff");
        self.set_default("Cross-Origin-Resource-Policy", "same-origin");
        self.set_default("Cache-Control", "no-cache");
        let kind = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("Content-Type"));
        if kind.is_some_and(|(_, kind)| kind.starts_with("text/html")) {
            // No page of ours has anything from elsewhere, or belongs into another, unless it says so itself.
            self.set_default(
                "Content-Security-Policy",
                "default-src 'self'; frame-ancestors 'none'",
            );
        }
    }

    fn set_default(&mut self, name: &'static str, value: &str) {
        if !self.has(name) {
            self.headers.push((name, value.to_string()));
        }
    }
}

/// The answer to a client that finds no place, before it has asked for anything.
pub fn too_many_clients(date: SystemTime) -> Vec<u8> {
    let response = Response::error(503, Some("too many clients; try again later"));
    Asked::unread(Method::Get).answer(response.with("Retry-After", "5"), date)
}

/// What must be known of a request to write its answer.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) version: Version,
    pub(super) persistence: Persistence,
    /// All its If-None-Match fields as one list.
    pub(super) none_match: Option<Box<str>>,
}

impl Asked {
    pub(super) fn by(head: &Head) -> Self {
        let lists: Vec<&str> = head.headers.get_all("if-none-match").collect();
        let none_match = (!lists.is_empty()).then(|| lists.join(",").into_boxed_str());
        let (method, version) = (head.method, head.version);
        Self { method, version, persistence: head.persistence(), none_match }
    }

    /// For an answer to a request that could not be read.
    pub(super) fn unread(method: Method) -> Self {
        let (version, persistence) = (Version::Http11, Persistence::Close);
        Self { method, version, persistence, none_match: None }
    }

    /// The whole answer as it goes over the wire, in one piece.
    pub(super) fn answer(&self, mut response: Response, date: SystemTime) -> Vec<u8> {
        let reads = matches!(self.method, Method::Get | Method::Head);
        if reads && response.status == 200 && !response.is_never_stored() {
            if !response.has("ETag") {
                let digest = HEXLOWER.encode(&Sha1::digest(&response.body));
                response.headers.push(("ETag", format!("\"{digest}\"")));
            }
            if self.has_it_already(&response) {
                response.status = 304;
                response.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("Content-Type"));
            }
        }
        response.set_defaults();
        let bodiless = matches!(response.status, 204 | 304);
        let head = ResponseHead {
            status: response.status,
            headers: &response.headers,
            extent: if bodiless {
                Extent::Bodiless
            } else {
                Extent::Length(u64::try_from(response.body.len()).unwrap_or(u64::MAX))
            },
            persistence: self.persistence,
            date,
        };
        let body = if bodiless || self.method == Method::Head { &[] } else { &*response.body };
        let mut out = Vec::with_capacity(HEAD_ROOM + body.len());
        head.write(&mut out);
        out.extend_from_slice(body);
        out
    }

    /// The head of an answer whose body comes piece by piece, and how its end is found.
    pub(super) fn begin(&self, mut response: Response, date: SystemTime) -> (Vec<u8>, Extent) {
        response.set_defaults();
        let (extent, persistence) = match self.version {
            Version::Http11 => (Extent::Chunked, self.persistence),
            Version::Http10 => (Extent::UntilClose, Persistence::Close),
        };
        if extent == Extent::UntilClose {
            // Only chunks can be followed by trailers.
            response.headers.retain(|(name, _)| *name != "Trailer");
        }
        let headers = &response.headers;
        let head = ResponseHead { status: response.status, headers, extent, persistence, date };
        let mut out = Vec::with_capacity(HEAD_ROOM);
        head.write(&mut out);
        (out, extent)
    }

    /// The head of an answer whose body has this length, and is not here.
    pub(super) fn begin_sized(
        &self,
        mut response: Response,
        length: u64,
        date: SystemTime,
    ) -> Vec<u8> {
        response.set_defaults();
        let headers = &response.headers;
        let extent = Extent::Length(length);
        let persistence = self.persistence;
        let head = ResponseHead { status: response.status, headers, extent, persistence, date };
        let mut out = Vec::with_capacity(HEAD_ROOM);
        head.write(&mut out);
        out
    }

    /// Weak comparison with each tag of If-None-Match (RFC 9110 section 13.1.2). No tag holds a
    /// quote, so every second piece between quotes is one, whatever commas it holds.
    fn has_it_already(&self, response: &Response) -> bool {
        let Some(list) = &self.none_match else { return false };
        if list.trim() == "*" {
            return true;
        }
        let tags = response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("ETag"));
        tags.map(|(_, tag)| tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"'))
            .any(|ours| list.split('"').skip(1).step_by(2).any(|theirs| theirs == ours))
    }
}

/// What most response heads fit into.
const HEAD_ROOM: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::UNIX_EPOCH;

    fn asked(method: Method, none_match: Option<&str>) -> Asked {
        let none_match = none_match.map(Into::into);
        let (version, persistence) = (Version::Http11, Persistence::Implied);
        Asked { method, version, persistence, none_match }
    }

    fn answer(asked: &Asked, response: Response) -> String {
        String::from_utf8(asked.answer(response, UNIX_EPOCH)).unwrap()
    }

    #[test]
    fn json_has_pythons_separators() {
        let value = json!({"a": [1, 2, {}], "b": {"c": "d, e: f"}, "e": []});
        let written = Response::json(200, &value);
        assert_eq!(written.body, br#"{"a": [1, 2, {}], "b": {"c": "d, e: f"}, "e": []}"#);
        let error = Response::error(413, None);
        assert_eq!(error.body, br#"{"error": 413, "reason": "Content Too Large"}"#);
        let error = Response::error(400, Some("why"));
        assert_eq!(error.body, br#"{"detail": "why", "error": 400, "reason": "bad_request"}"#);
    }

    #[test]
    fn what_the_client_has_already_is_not_sent_again() {
        let tag = "a9993e364706816aba3e25717850c26c9cd0d89d";
        let abc = || Response::text(200, "abc");
        let fresh = answer(&asked(Method::Get, None), abc());
        assert!(fresh.contains(&format!("ETag: \"{tag}\"\r\n")), "{fresh}");
        for list in [&format!("\"{tag}\""), &format!("\"x,y\", W/\"{tag}\" ,\"z\""), " * "] {
            let spared = answer(&asked(Method::Get, Some(list)), abc());
            assert!(spared.starts_with("HTTP/1.1 304 Not Modified\r\n"), "{list}: {spared}");
            assert!(spared.contains(tag) && spared.ends_with("\r\n\r\n"), "{spared}");
            assert!(!spared.contains("\nContent-"), "{spared}");
        }
        for list in ["\"x\"", tag, "", ","] {
            let sent = answer(&asked(Method::Get, Some(list)), abc());
            assert!(sent.ends_with("\r\n\r\nabc"), "{list}: {sent}");
        }
        for (method, status) in [(Method::Post, 200), (Method::Get, 201), (Method::Get, 404)] {
            let sent = answer(&asked(method, Some("*")), Response::text(status, "abc"));
            assert!(sent.ends_with("\r\n\r\nabc") && !sent.contains("ETag"), "{sent}");
        }
        let fleeting = abc().with("Cache-Control", "private, no-store");
        let sent = answer(&asked(Method::Get, Some("*")), fleeting);
        assert!(sent.ends_with("\r\n\r\nabc") && !sent.contains("ETag"), "{sent}");
        let own = answer(&asked(Method::Get, Some("\"v1\"")), abc().with("etag", "W/\"v1\""));
        assert!(own.starts_with("HTTP/1.1 304 "), "{own}");
    }

    #[test]
    fn some_answers_have_no_body() {
        let head = answer(&asked(Method::Head, None), Response::text(200, "abc"));
        assert!(head.contains("Content-Length: 3\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        let none = answer(&asked(Method::Post, None), Response::text(204, "abc"));
        assert!(!none.contains("Content-Length") && none.ends_with("\r\n\r\n"), "{none}");
    }

    #[test]
    fn every_answer_is_safe_for_browsers_unless_it_says_otherwise() {
        let plain = answer(&asked(Method::Post, None), Response::empty(404));
        for line in [
            "X-Content-Type-Options: nosniff\r\n",
            "Cross-Origin-Resource-Policy: same-origin\r\n",
            "Cache-Control: no-cache\r\n",
        ] {
            assert!(plain.contains(line), "{plain}");
        }
        let page = || Response::html(200, "<p>");
        let policy = "Content-Security-Policy: default-src 'self'; frame-ancestors 'none'\r\n";
        assert!(answer(&asked(Method::Get, None), page()).contains(policy));
        assert!(!plain.contains("Content-Security-Policy"));
        let own = page().with("Content-Security-Policy", "default-src 'self'");
        assert!(!answer(&asked(Method::Get, None), own).contains(policy));
        let cached = Response::empty(200).with("cache-control", "max-age=60");
        assert!(!answer(&asked(Method::Post, None), cached).contains("no-cache"));
    }
}
