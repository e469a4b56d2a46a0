//! Who a node says it is, and how it names its jobs. Both are checked once, here: what is kept and told
//! has bounded length and only characters that can go into a log line, a terminal or a page.

use std::fmt;
use std::rc::Rc;

use serde_json::json;

use crate::base::limits;
use crate::supervisor::name::{JobName, NameError};
use crate::wire::json;

/// Who a node says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What it is called.
    pub name: Rc<str>,
    /// Where clients reach it: `http://host:port`, or `https`.
    pub origin: Rc<str>,
    /// What it speaks.
    pub version: Rc<str>,
    /// All of that as JSON, as it stands in answers and events.
    pub info: Rc<str>,
}

impl Identity {
    /// Puts it together.
    ///
    /// # Errors
    /// What is wrong with which part, in words.
    pub fn new(name: &str, origin: &str, version: &str) -> Result<Self, String> {
        for (key, text, most) in
            [("name", name, limits::LOOKUP_NAME), ("version", version, limits::LOOKUP_VERSION)]
        {
            if text.is_empty() || text.len() > most || text.chars().any(char::is_control) {
                return Err(format!(
                    "{key}: expected 1 to {most} bytes without control characters"
                ));
            }
        }
        if !is_origin(origin) {
            let most = limits::LOOKUP_ORIGIN;
            return Err(format!(
                "origin: expected http://HOST:PORT or https://HOST:PORT, of at most {most} bytes"
            ));
        }
        let info = json::text(&json!({"name": name, "origin": origin, "version": version}));
        Ok(Self {
            name: name.into(),
            origin: origin.into(),
            version: version.into(),
            info: info.into(),
        })
    }
}

/// Whether clients can be sent there without harm: no other scheme, no user, no path.
fn is_origin(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let Some(authority) = rest.filter(|_| text.len() <= limits::LOOKUP_ORIGIN) else {
        return false;
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:[]%".contains(c);
    let (host, port) = match authority.rsplit_once(':') {
        // What stands behind the last colon of an IPv6 address is no port.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        Some(_) | None => (authority, None),
    };
    let port_is_one = port.is_none_or(|port| port.parse::<u16>().is_ok());
    port_is_one && !host.is_empty() && host.chars().all(plain)
}

/// How a node writes the name of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spelling {
    /// `session.label`.
    Dot,
    /// `session/label`.
    Slash,
    /// `label`, of the session `default`.
    Bare,
}

impl Spelling {
    /// All of them, in their order.
    pub const ALL: [Self; 3] = [Self::Dot, Self::Slash, Self::Bare];
}

/// The name of a job as a node writes it: it is told as it was said, and found by what it means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// `session.label`.
    pub text: Rc<str>,
    /// How it was written.
    pub spelling: Spelling,
}

impl Named {
    /// Reads a name.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let name = JobName::parse(text)?;
        let spelling = match text.find(['.', '/']) {
            None => Spelling::Bare,
            Some(at) if text.as_bytes().get(at) == Some(&b'/') => Spelling::Slash,
            Some(_) => Spelling::Dot,
        };
        Ok(Self { text: name.to_string().into(), spelling })
    }

    /// Its session.
    pub fn session(&self) -> &str {
        session_of(&self.text)
    }
}

/// The session of `session.label`.
pub fn session_of(text: &str) -> &str {
    text.split_once('.').map_or(text, |(session, _)| session)
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (session, label) = self.text.split_once('.').unwrap_or(("", &self.text));
        match self.spelling {
            Spelling::Dot => f.write_str(&self.text),
            Spelling::Slash => write!(f, "{session}/{label}"),
            Spelling::Bare => f.write_str(label),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_leads_to_a_node_and_nowhere_else() {
        for origin in [
            "http://n1:5000",
            "https://n1.example.org:443",
            "http://n1",
            "http://127.0.0.1:5000",
            "http://[::1]:5000",
            "http://[fe80::1%25eth0]:5000",
            "http://[::1]",
        ] {
            assert!(Identity::new("n", origin, "0.1").is_ok(), "{origin}");
        }
        for bad in [
            "",
            "n1:5000",
            "http://",
            "http://:5000",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "ws://n1:5000",
            "http://n1:5000/",
            "http://n1:5000/path",
            "http://user@n1:5000",
            "http://n1:port",
            "http://n1:70000",
            "http://n1?x",
            "http://n1#x",
            "http://n 1",
            "http://n1\n",
            "http://n1\u{1b}[31m",
            "HTTP://n1",
        ] {
            assert!(Identity::new("n", bad, "0.1").is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_parts_of_an_identity_have_their_lengths() {
        let is_one = |name: usize, origin: usize, version: usize| {
            let origin = format!("http://{}", "o".repeat(origin - "http://".len()));
            Identity::new(&"n".repeat(name), &origin, &"v".repeat(version)).is_ok()
        };
        let (name, origin, version) =
            (limits::LOOKUP_NAME, limits::LOOKUP_ORIGIN, limits::LOOKUP_VERSION);
        assert!(is_one(name, origin, version));
        assert!(!is_one(name + 1, origin, version));
        assert!(!is_one(name, origin + 1, version));
        assert!(!is_one(name, origin, version + 1));
        assert!(!is_one(0, origin, version) && !is_one(name, origin, 0));
        assert!(Identity::new("a\u{7}b", "http://n", "0.1").is_err());
        let quoted = Identity::new("a\"b\\", "http://n", "é").expect("odd, and sound");
        assert_eq!(&*quoted.info, r#"{"name": "a\"b\\", "origin": "http://n", "version": "é"}"#);
    }

    #[test]
    fn names_are_told_as_they_were_said_and_found_by_what_they_mean() {
        for (said, means, spelling) in [
            ("a.b", "a.b", Spelling::Dot),
            ("a.b/c.d", "", Spelling::Dot),
            ("a.b.c", "a.b.c", Spelling::Dot),
            ("a/b.c", "a.b.c", Spelling::Slash),
            ("solo", "default.solo", Spelling::Bare),
        ] {
            match Named::parse(said) {
                Ok(named) => {
                    assert_eq!((&*named.text, named.spelling), (means, spelling));
                    assert_eq!(named.to_string(), said);
                    assert_eq!(Some(named.session()), means.split('.').next());
                }
                Err(_) => assert_eq!(means, "", "{said}"),
            }
        }
        for bad in ["", ".", "a.", ".b", "a b.c", "a.b\n", "é.b", "a.<script>"] {
            assert!(Named::parse(bad).is_err(), "{bad:?}");
        }
    }
}
