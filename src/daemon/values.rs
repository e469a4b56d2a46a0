//! Values as people write them, read alike on every command line and in every file. What is wrong is told
//! without the name of the option or the key, which stands before it.

use log::LevelFilter;

use super::logger;
use crate::base::address::Address;
use crate::lookup::identity::Identity;
use crate::tls;

/// The port of a lookupd that names none.
const LOOKUPD_PORT: u16 = 5010;

/// How many clients the kernel lets wait to be accepted.
///
/// # Errors
/// It is no such number.
pub(super) fn backlog(text: &str) -> Result<i32, String> {
    let backlog = text.parse().ok().filter(|n| (1..=65_535).contains(n));
    backlog.ok_or_else(|| expected("a whole number from 1 to 65535", text))
}

/// What is logged.
///
/// # Errors
/// It is no level.
pub(super) fn log_level(text: &str) -> Result<LevelFilter, String> {
    let levels = "critical, error, warning, info, debug or trace";
    logger::level(text).ok_or_else(|| expected(levels, text))
}

/// A name under which clients may ask.
///
/// # Errors
/// It has a port or a path.
pub(super) fn host(word: &str) -> Result<String, String> {
    if word.contains([':', '/']) {
        return Err(expected("names alone, without a port", word));
    }
    Ok(word.to_owned())
}

/// The origin of a web page.
///
/// # Errors
/// No browser sends that.
pub(super) fn origin(word: &str) -> Result<String, String> {
    let form = "scheme://host or scheme://host:port in lower case, as browsers send it";
    is_origin(word).then(|| word.to_owned()).ok_or_else(|| expected(form, word))
}

/// Whether a browser could send this in `Origin` (RFC 6454 section 6.2). Any other would let nobody in
/// and tell nobody why.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let odd = |c: char| c.is_ascii_uppercase() || c.is_whitespace() || "/?#@*,".contains(c);
    !scheme.is_empty() && !authority.is_empty() && !text.replacen("://", "", 1).contains(odd)
}

/// Where a lookupd is.
///
/// # Errors
/// It is no such place, or one that this version cannot reach.
pub(super) fn lookupd(text: &str) -> Result<Address, String> {
    if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
        return Ok(Address::Unix(path.into()));
    }
    let form = "http://HOST:PORT, https://HOST:PORT, either without its port, or unix:PATH";
    let bad = || expected(form, text);
    let (over_tls, authority) = match text.split_once("://").ok_or_else(bad)? {
        ("http", authority) => (false, authority),
        ("https", _) if !tls::SPOKEN => return Err(format!("{text}: {}", tls::UNSPOKEN)),
        ("https", authority) => (true, authority),
        _ => return Err(bad()),
    };
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let (host, port) = match authority.rsplit_once(':') {
        // What stands behind the last colon of an IPv6 address is no port.
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().ok().filter(|port| *port > 0).ok_or_else(bad)?)
        }
        Some(_) | None => (authority, LOOKUPD_PORT),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
    let is_host = !bare.is_empty() && bare.chars().all(plain);
    if !is_host || bare.contains(':') != host.starts_with('[') {
        return Err(bad());
    }
    let host = bare.to_ascii_lowercase();
    Ok(if over_tls { Address::Tls { host, port } } else { Address::Tcp { host, port } })
}

/// Where clients reach a node, as it says it.
///
/// # Errors
/// Nobody could be sent there.
pub(super) fn broadcast_address(text: &str) -> Result<String, String> {
    let address = text.strip_suffix('/').unwrap_or(text);
    match Identity::new("node", address, "0.1") {
        Ok(_) => Ok(address.to_owned()),
        Err(_) => Err(expected("http://HOST:PORT or https://HOST:PORT", text)),
    }
}

/// A port that clients are sent to.
///
/// # Errors
/// It is none.
pub(super) fn port(text: &str) -> Result<u16, String> {
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| expected("a port from 1 to 65535", text))
}

/// True or false.
///
/// # Errors
/// It is neither.
pub(super) fn truth(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(expected("true or false", text)),
    }
}

fn expected(what: &str, found: &str) -> String {
    format!("expected {what}, found {found:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookupd_is_where_it_is_said_to_be() {
        for (text, shown) in [
            ("http://l1:5010", "http://l1:5010"),
            ("http://L1.example.org/", "http://l1.example.org:5010"),
            ("http://127.0.0.1:1", "http://127.0.0.1:1"),
            ("http://[::1]:7", "http://[::1]:7"),
            ("http://[::1]", "http://[::1]:5010"),
            ("unix:/run/l", "unix:/run/l"),
        ] {
            assert_eq!(lookupd(text).map(|a| a.to_string()), Ok(shown.into()), "{text}");
        }
        for bad in [
            "",
            "l1:5010",
            "unix:",
            "http://",
            "http://:1",
            "http://a:0",
            "http://a:x",
            "http://a/b",
        ] {
            assert!(
                lookupd(bad).is_err_and(|error| error.starts_with("expected http://")),
                "{bad}"
            );
        }
        for bad in ["http://u@h", "http://::1", "http://[a]", "etcd://h:1/x"] {
            assert!(lookupd(bad).is_err(), "{bad}");
        }
        let over_tls = lookupd("https://L1").map(|address| address.to_string());
        match tls::SPOKEN {
            true => assert_eq!(over_tls, Ok("https://l1:5010".into())),
            false => assert!(over_tls.is_err_and(|error| error.contains("speaks no TLS"))),
        }
    }

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for origin in ["https://page.example", "http://localhost:3000", "http://[::1]:80"] {
            assert!(is_origin(origin), "{origin}");
        }
        for odd in [
            "",
            "*",
            "null",
            "page.example",
            "https://",
            "://page.example",
            "https://page.example/",
            "https://page.example/path",
            "https://Page.example",
            "https://*.example",
        ] {
            assert!(!is_origin(odd), "{odd}");
        }
    }
}
