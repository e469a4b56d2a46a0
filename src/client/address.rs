//! Where a node is, or a lookupd: `http://HOST:PORT`, `https://HOST:PORT`, `HOST:PORT` or `unix:PATH`.

use std::str::FromStr;

use super::error::Error;
pub use crate::base::address::Address;

/// The port of a node that names none.
pub(super) const DEFAULT_PORT: u16 = 5000;

impl Default for Address {
    fn default() -> Self {
        Self::Tcp { host: "127.0.0.1".into(), port: DEFAULT_PORT }
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        read(text, "node", DEFAULT_PORT)
    }
}

/// Reads an address of a node or of another that has this port where none is named.
pub(super) fn read(text: &str, of: &'static str, default_port: u16) -> Result<Address, Error> {
    let bad = |why: &str| Error::Address { of, text: text.to_owned(), why: why.to_owned() };
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return if path.is_empty() {
            Err(bad("a path has to follow unix:"))
        } else {
            Ok(Address::Unix(path.into()))
        };
    }
    if let Some((before, host)) = text.rsplit_once('@') {
        // What stands there may be a password, and is not told again.
        let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
        let text = if scheme.is_empty() {
            format!("…@{host}")
        } else {
            format!("{scheme}://…@{host}")
        };
        let why =
            format!("a {of} knows no users and passwords; leave out what stands before the @");
        return Err(Error::Address { of, text, why });
    }
    let (over_tls, rest) = match text.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix("http://").unwrap_or(text)),
    };
    if over_tls && !cfg!(feature = "tls") {
        return Err(bad("this build speaks no TLS"));
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']').ok_or_else(|| bad("] is missing"))?;
            (host, behind.strip_prefix(':'))
        }
        None => match rest.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    if host.contains("://") || host.contains('/') || port.is_some_and(|p| p.contains('/')) {
        return Err(bad(
            "expected http://HOST:PORT, https://HOST:PORT or unix:PATH, without a path behind it",
        ));
    }
    let port = match port {
        None => default_port,
        Some(port) => port.parse().map_err(|_| bad("its port is not one"))?,
    };
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    let host = host.to_owned();
    Ok(if over_tls { Address::Tls { host, port } } else { Address::Tcp { host, port } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, shown) in [
            ("http://127.0.0.1:5001", "http://127.0.0.1:5001"),
            ("http://node.example/", "http://node.example:5000"),
            #[cfg(feature = "tls")]
            ("https://[::1]", "https://[::1]:5000"),
            ("localhost:7", "http://localhost:7"),
            (":7", "http://127.0.0.1:7"),
            ("http://[::1]:7", "http://[::1]:7"),
            ("[::1]", "http://[::1]:5000"),
            ("unix:/run/g.sock", "unix:/run/g.sock"),
            ("unix:///run/g.sock", "unix:/run/g.sock"),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.to_string(), shown);
        }
        for bad in ["unix:", "https://x:y", "ftp://x", "http://x:y", "http://x:5000/jobs", "[::1"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
        for (bad, shown) in [
            ("http://user:secret@host:5000", "\"http://…@host:5000\" is not a node's address"),
            ("https://a:secret@b", "\"https://…@b\" is not"),
            ("user:secret@host", "\"…@host\" is not"),
        ] {
            let error = bad.parse::<Address>().expect_err(bad).to_string();
            assert!(error.starts_with(shown) && !error.contains("secret"), "{error}");
        }
    }
}
