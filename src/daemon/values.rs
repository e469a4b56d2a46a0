//! Values as people write them, read alike on every command line and in every file. What is wrong is told
//! without the name of the option or the key, which stands before it.

use super::log_lines::Format;
use crate::base::address::{Address, Cluster, Directory};
use crate::base::level::Level;
use crate::base::limits;
use crate::lookup::identity::Identity;
use crate::node::usage_history::Keep;
use crate::tls;

/// The port of a lookupd that names none.
const LOOKUPD_PORT: u16 = 5010;
/// That of an etcd that names none,
const ETCD_PORT: u16 = 2379;
/// and where our keys stand in it.
const ETCD_FOLDER: &str = "gaffer";

/// How many clients the kernel lets wait to be accepted.
///
/// # Errors
/// It is no such number.
pub(super) fn backlog(text: &str) -> Result<i32, String> {
    let backlog = text.parse().ok().filter(|n| (1..=65_535).contains(n));
    backlog.ok_or_else(|| expected("a whole number from 1 to 65535", text))
}

/// How many messages wait for one address of a webhook.
///
/// # Errors
/// It is no such number.
pub(super) fn webhook_queue(text: &str) -> Result<usize, String> {
    let most = limits::WEBHOOK_QUEUE;
    let queue = text.parse().ok().filter(|n| (1..=most).contains(n));
    queue.ok_or_else(|| expected(&format!("a whole number from 1 to {most}"), text))
}

/// What is logged.
///
/// # Errors
/// It is no level.
pub(super) fn log_level(text: &str) -> Result<Level, String> {
    Level::parse(text).ok_or_else(|| expected(Level::WORDS, text))
}

/// Whether it is kept what was used in the last minutes.
///
/// # Errors
/// It is no such word.
pub(super) fn stats_history(text: &str) -> Result<Keep, String> {
    Keep::parse(text).ok_or_else(|| expected(&Keep::WORDS.join(", "), text))
}

/// How lines of the log are written.
///
/// # Errors
/// It is no such way.
pub(super) fn log_format(text: &str) -> Result<Format, String> {
    Format::parse(text).ok_or_else(|| expected(Format::WORDS, text))
}

/// How many log files are kept that were before the one that is written.
///
/// # Errors
/// It is no such number.
pub(super) fn log_keep(text: &str) -> Result<u32, String> {
    let most = limits::LOG_KEEP_MOST;
    let keep = text.parse().ok().filter(|n| *n <= most);
    keep.ok_or_else(|| expected(&format!("a whole number from 0 to {most}"), text))
}

/// Permissions of a file, in octal digits.
///
/// # Errors
/// They are none.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| expected("permissions such as 0660", text))
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
    let odd = |c: char| c.is_ascii_uppercase() || c.is_whitespace() || "/?#@*,;'".contains(c);
    !scheme.is_empty() && !authority.is_empty() && !text.replacen("://", "", 1).contains(odd)
}

/// Where a node registers: at a lookupd, or in an etcd.
///
/// # Errors
/// It is no such place, or one that this version cannot reach.
pub(super) fn directory(text: &str) -> Result<Directory, String> {
    match text.starts_with("etcd") && text.contains("://") {
        true => cluster(text).map(Directory::Etcd),
        false => lookupd(text).map(Directory::Lookupd),
    }
}

/// Where a lookupd is.
fn lookupd(text: &str) -> Result<Address, String> {
    if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
        return Ok(Address::Unix(path.into()));
    }
    let form = "http://HOST:PORT, https://HOST:PORT, either without its port, unix:PATH or \
                etcd://HOST:PORT/PREFIX";
    let bad = || expected(form, text);
    let (over_tls, authority) = match text.split_once("://").ok_or_else(bad)? {
        ("http", authority) => (false, authority),
        ("https", _) if !tls::SPOKEN => return Err(format!("{text}: {}", tls::UNSPOKEN)),
        ("https", authority) => (true, authority),
        _ => return Err(bad()),
    };
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let (host, port) = authority_of(authority, LOOKUPD_PORT).ok_or_else(bad)?;
    Ok(if over_tls { Address::Tls { host, port } } else { Address::Tcp { host, port } })
}

/// An etcd, and below which keys something of ours stands in it.
///
/// # Errors
/// It is none, or one that this version cannot reach.
pub(super) fn cluster(text: &str) -> Result<Cluster, String> {
    let form = "etcd://HOST:PORT/PREFIX, with commas between several HOST:PORT";
    let bad = || expected(form, text);
    if text.starts_with("etcd+tls://") || text.starts_with("etcds://") {
        return Err(format!("{text}: this version speaks no TLS with an etcd yet; use etcd://"));
    }
    let rest = text.strip_prefix("etcd://").ok_or_else(bad)?;
    let (members, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if members.contains('@') {
        // It may be a password, and is not told.
        return Err("an etcd's address has no user and no password: this version knows none".into());
    }
    let prefix = match prefix.trim_end_matches('/') {
        "" => ETCD_FOLDER,
        prefix => prefix,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let part = |part: &str| !part.is_empty() && part.chars().all(plain);
    if !prefix.split('/').all(part) || prefix.len() > limits::ETCD_PREFIX {
        let most = limits::ETCD_PREFIX;
        let form = format!("a prefix of letters, digits and -._/, of at most {most} bytes");
        return Err(expected(&form, prefix));
    }
    let each = members.split(',').map(|member| {
        let (host, port) = authority_of(member, ETCD_PORT)?;
        Some(Address::Tcp { host, port })
    });
    let members: Vec<Address> = each.collect::<Option<_>>().ok_or_else(bad)?;
    if members.len() > limits::ETCD_MEMBERS {
        return Err(format!("{text}: an etcd has at most {} members here", limits::ETCD_MEMBERS));
    }
    Ok(Cluster { members, prefix: prefix.to_owned() })
}

/// Reads `HOST:PORT` or `HOST`.
fn authority_of(authority: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = match authority.rsplit_once(':') {
        // What stands behind the last colon of an IPv6 address is no port.
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().ok().filter(|port| *port > 0)?)
        }
        Some(_) | None => (authority, default),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
    let is_host = !bare.is_empty() && bare.chars().all(plain);
    if !is_host || bare.contains(':') != host.starts_with('[') {
        return None;
    }
    Some((bare.to_ascii_lowercase(), port))
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
        for bad in ["http://u@h", "http://::1", "http://[a]"] {
            assert!(lookupd(bad).is_err(), "{bad}");
        }
        let over_tls = lookupd("https://L1").map(|address| address.to_string());
        match tls::SPOKEN {
            true => assert_eq!(over_tls, Ok("https://l1:5010".into())),
            false => assert!(over_tls.is_err_and(|error| error.contains("speaks no TLS"))),
        }
    }

    #[test]
    fn an_etcd_is_where_it_is_said_to_be() {
        for (text, shown) in [
            ("etcd://e1", "etcd://e1:2379/gaffer"),
            ("etcd://E1:1/", "etcd://e1:1/gaffer"),
            ("etcd://e1,[::1]:2,e3/a/b.c/", "etcd://e1:2379,[::1]:2,e3:2379/a/b.c"),
        ] {
            assert_eq!(directory(text).map(|place| place.to_string()), Ok(shown.into()), "{text}");
        }
        assert_eq!(directory("http://l1").map(|l| l.to_string()), Ok("http://l1:5010".into()));
        let long = |count: usize| format!("etcd://e/{}", "p".repeat(count));
        let many = |count: usize| format!("etcd://{}", vec!["e"; count].join(","));
        for (text, why) in [
            ("etcd://", "expected etcd://HOST:PORT/PREFIX"),
            ("etcd://e,,f", "expected etcd://"),
            ("etcd://e:0/x", "expected etcd://"),
            ("etcd:e", "expected http://"),
            ("etcd://e/a//b", "expected a prefix of"),
            ("etcd://e/a b", "expected a prefix of"),
            ("etcd://e/ä", "expected a prefix of"),
            ("etcd+tls://e", "etcd+tls://e: this version speaks no TLS with an etcd"),
            ("etcds://e", "etcds://e: this version speaks no TLS with an etcd"),
            (&long(limits::ETCD_PREFIX + 1), "expected a prefix of"),
            (&many(limits::ETCD_MEMBERS + 1), "etcd://e,e,"),
        ] {
            assert!(directory(text).is_err_and(|error| error.starts_with(why)), "{text}");
        }
        assert!(cluster(&long(limits::ETCD_PREFIX)).is_ok());
        assert!(cluster(&many(limits::ETCD_MEMBERS)).is_ok());
        let secret = directory("etcd://root:secret@e/x").expect_err("no users");
        assert!(secret.contains("no user and no password") && !secret.contains("secret"));
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
