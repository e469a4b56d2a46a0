//! Addresses to listen on, as people write them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where gafferd listens when nobody says where,
pub const DEFAULT_PORT: u16 = 5000;
/// and where gaffer_lookupd does.
pub const LOOKUPD_PORT: u16 = 5010;
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Reads `HOST:PORT`, `HOST`, `:PORT` or `[V6]:PORT`; the host is an address or `localhost`, and
/// without one it is the loopback. Without a port it is `default`.
///
/// # Errors
/// What it is not, in words.
pub fn parse(text: &str, default: u16) -> Result<SocketAddr, String> {
    let text = text.trim();
    let bad = || {
        format!("{text:?} is no address to listen on: expected HOST:PORT, HOST, :PORT or [V6]:PORT, with an IP address or localhost as HOST")
    };
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<Ipv6Addr>() {
        return Ok(SocketAddr::new(address.into(), default));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| bad())?),
        None => (text, default),
    };
    let host = match host {
        "" => LOOPBACK,
        "localhost" => LOOPBACK,
        bracketed if bracketed.starts_with('[') => {
            let inner = bracketed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            IpAddr::V6(inner.and_then(|inner| inner.parse().ok()).ok_or_else(bad)?)
        }
        plain => IpAddr::V4(plain.parse().map_err(|_| bad())?),
    };
    Ok(SocketAddr::new(host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, address) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("0.0.0.0", "0.0.0.0:5000"),
            (":81", "127.0.0.1:81"),
            ("localhost:0", "127.0.0.1:0"),
            ("[::1]:5", "[::1]:5"),
            ("[::1]", "[::1]:5000"),
            ("::1", "[::1]:5000"),
        ] {
            let found = parse(text, DEFAULT_PORT).map(|found| found.to_string());
            assert_eq!(found.as_deref(), Ok(address), "{text}");
        }
        for bad in ["example.org:80", "1.2.3.4:x", "1.2.3.4:70000", "[::1:5", "1.2.3:4"] {
            assert!(parse(bad, DEFAULT_PORT).is_err(), "{bad}");
        }
    }
}
