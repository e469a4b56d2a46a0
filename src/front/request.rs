//! A request as a handler sees it: checked, complete, and with its path still as it was sent, so that
//! it is decoded exactly once.

use std::fmt;

use crate::wire::http::{Head, Headers, Method, Version};

/// One complete request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What to do.
    pub method: Method,
    /// The path, still percent-encoded: begins with `/`, or is `*` for OPTIONS.
    pub path: String,
    /// What follows the first `?`, still encoded.
    pub query: Option<String>,
    /// Host and port of a target in absolute form.
    pub authority: Option<String>,
    /// As the client speaks.
    pub version: Version,
    /// The fields.
    pub headers: Headers,
    /// The body, without its framing.
    pub body: Vec<u8>,
}

/// Why a part of the target has no text. `Display` says it to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecodable {
    /// A `%` without two hexadecimal digits.
    Percent,
    /// It decodes to bytes that are not UTF-8.
    Utf8,
    /// It decodes to a text with a NUL.
    Nul,
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Percent => "the target has a `%` without two hexadecimal digits",
            Self::Utf8 => "the target does not decode to UTF-8",
            Self::Nul => "the target decodes to a text with a NUL",
        })
    }
}

/// How many hexadecimal digits a key has.
const KEY_DIGITS: usize = 32;

impl Request {
    /// The key that it says: in a field of its own or, for clients that have no such one, as a bearer token (RFC 6750).
    /// A token that cannot be one of ours is somebody else's.
    pub fn key(&self) -> Option<&str> {
        self.headers.get("x-api-key").or_else(|| self.token())
    }

    fn token(&self) -> Option<&str> {
        let (scheme, token) = self.headers.get("authorization")?.split_once(' ')?;
        let token = token.trim_matches(' ');
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_ours = token.len() == KEY_DIGITS && token.bytes().all(is_digit);
        (scheme.eq_ignore_ascii_case("bearer") && is_ours).then_some(token)
    }

    /// A request of this head and body.
    pub fn new(head: Head, body: Vec<u8>) -> Self {
        let Head { method, version, authority, path, query, headers, .. } = head;
        Self { method, path, query, authority, version, headers, body }
    }

    /// Whom the client thinks it speaks to: the target's authority, else the Host field, which a
    /// target in absolute form overrides (RFC 9112 section 3.2.2).
    pub fn host(&self) -> Option<&str> {
        self.authority.as_deref().or_else(|| self.headers.get("host"))
    }

    /// The segments of the path, decoded. `/` has none, `/a/` has `a` and an empty one, `*` has
    /// none. An encoded slash stays within its segment. Nothing is normalised: `..` is a segment
    /// like any other.
    pub fn segments(&self) -> Result<Vec<String>, Undecodable> {
        match self.path.strip_prefix('/') {
            None | Some("") => Ok(Vec::new()),
            Some(rest) => rest.split('/').map(|segment| decode(segment.bytes())).collect(),
        }
    }

    /// The value of the first query parameter of this name, decoded, `+` as a space. A parameter
    /// without `=` has the empty value.
    pub fn query_value(&self, name: &str) -> Result<Option<String>, Undecodable> {
        let form =
            |text: &str| decode(text.bytes().map(|byte| if byte == b'+' { b' ' } else { byte }));
        for pair in self.query.as_deref().unwrap_or_default().split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !pair.is_empty() && form(key)? == name {
                return form(value).map(Some);
            }
        }
        Ok(None)
    }

    /// Whether a browser sent it, on whoever's behalf: `Origin` or any `Sec-Fetch-…` is there, which
    /// no page can leave out of a request that could do harm.
    pub fn is_from_browser(&self) -> bool {
        self.headers.iter().any(|(name, _)| name == "origin" || name.starts_with("sec-fetch-"))
    }
}

fn decode(encoded: impl Iterator<Item = u8>) -> Result<String, Undecodable> {
    let mut encoded = encoded;
    let mut bytes = Vec::new();
    while let Some(byte) = encoded.next() {
        let byte = if byte == b'%' {
            let high = hex_digit(encoded.next())?;
            high << 4 | hex_digit(encoded.next())?
        } else {
            byte
        };
        if byte == 0 {
            return Err(Undecodable::Nul);
        }
        bytes.push(byte);
    }
    String::from_utf8(bytes).map_err(|_| Undecodable::Utf8)
}

fn hex_digit(byte: Option<u8>) -> Result<u8, Undecodable> {
    match byte {
        Some(digit @ b'0'..=b'9') => Ok(digit - b'0'),
        Some(digit @ b'a'..=b'f') => Ok(digit - b'a' + 10),
        Some(digit @ b'A'..=b'F') => Ok(digit - b'A' + 10),
        Some(_) | None => Err(Undecodable::Percent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str) -> Request {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_string())),
            None => (target, None),
        };
        Request {
            method: Method::Get,
            path: path.to_string(),
            query,
            authority: None,
            version: Version::Http11,
            headers: Headers::default(),
            body: Vec::new(),
        }
    }

    #[test]
    fn segments_are_decoded_once_and_keep_their_slashes() {
        for (path, segments) in [
            ("/", &[][..]),
            ("*", &[]),
            ("/jobs/a.b", &["jobs", "a.b"]),
            ("/a%2Fb/c%252F/", &["a/b", "c%2F", ""]),
            ("//x+y/%C3%a9/..", &["", "x+y", "é", ".."]),
        ] {
            assert_eq!(request(path).segments().expect("valid"), segments, "{path}");
        }
        assert_eq!(request("/%").segments(), Err(Undecodable::Percent));
        assert_eq!(request("/%4").segments(), Err(Undecodable::Percent));
        assert_eq!(request("/%+1").segments(), Err(Undecodable::Percent));
        assert_eq!(request("/a/%ff").segments(), Err(Undecodable::Utf8));
        assert_eq!(request("/a%00").segments(), Err(Undecodable::Nul));
    }

    #[test]
    fn query_values_are_found_and_decoded() {
        let found = request("/?a=1&b+c=x%26y+z&&flag&a=2");
        assert_eq!(found.query_value("a"), Ok(Some("1".to_string())));
        assert_eq!(found.query_value("b c"), Ok(Some("x&y z".to_string())));
        assert_eq!(found.query_value("flag"), Ok(Some(String::new())));
        assert_eq!(found.query_value(""), Ok(None));
        assert_eq!(request("/").query_value("a"), Ok(None));
        assert_eq!(request("/?a=%ff").query_value("a"), Err(Undecodable::Utf8));
    }

    #[test]
    fn browsers_and_hosts_are_known_by_their_fields() {
        let mut asked = request("/");
        asked.headers.push("Host", "h:1");
        assert_eq!(asked.host(), Some("h:1"));
        assert!(!asked.is_from_browser());
        asked.authority = Some("a:2".to_string());
        assert_eq!(asked.host(), Some("a:2"));
        for name in ["Origin", "Sec-Fetch-Site", "SEC-FETCH-MODE"] {
            let mut browsed = request("/");
            browsed.headers.push(name, "");
            assert!(browsed.is_from_browser(), "{name}");
        }
    }
}
