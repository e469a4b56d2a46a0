//! With whom a node registers and as whom: what the operator said, and where he said nothing, what this
//! host calls itself and where the node listens.

use std::net::SocketAddr;

use log::warn;

use super::host;
use super::launch::Scheme;
use super::settings::LookupSettings;
use crate::lookup::identity;
use crate::node::lookups::{Identity, Registration};

/// Puts it together, for a node that listens at these places, with this as its first port. A warning
/// tells when clients are sent where they cannot reach it.
///
/// # Errors
/// It is nothing that a lookupd takes, with what to do.
pub(super) fn of(
    settings: &LookupSettings,
    scheme: Scheme,
    binds: &[SocketAddr],
    port: Option<u16>,
) -> Result<Registration, String> {
    if settings.addresses.is_empty() {
        return Ok(Registration::default());
    }
    let name = host::name()?;
    let origin = origin(settings, scheme, &name, port);
    if let Err(reason) = identity::Identity::new(&name, &origin, "0.1") {
        return Err(format!(
            "lookupds would not take {name:?} at {origin:?}: {reason}; say where clients reach this \
             node with --broadcast-address"
        ));
    }
    let reached = binds.iter().any(|bind| !bind.ip().is_loopback());
    if settings.broadcast_address.is_none() && !reached {
        warn!(
            "lookupds are told that this node is at {origin}, and it listens on this machine alone: \
             say where clients reach it with --broadcast-address"
        );
    }
    Ok(Registration { lookups: settings.addresses.clone(), identity: Identity { name, origin } })
}

/// Where clients are sent.
fn origin(settings: &LookupSettings, scheme: Scheme, name: &str, port: Option<u16>) -> String {
    let scheme = scheme.name();
    let port = settings.broadcast_port.or(port);
    match (&settings.broadcast_address, settings.broadcast_port, port) {
        (Some(address), None, _) => address.clone(),
        (Some(address), Some(port), _) => format!("{}:{port}", without_port(address)),
        (None, _, Some(port)) => format!("{scheme}://{name}:{port}"),
        (None, _, None) => format!("{scheme}://{name}"),
    }
}

/// An origin without its port. What stands behind the last colon of an IPv6 address is none, nor what
/// stands behind that of the scheme.
fn without_port(origin: &str) -> &str {
    match origin.rsplit_once(':') {
        Some((rest, port)) if port.parse::<u16>().is_ok() => rest,
        Some(_) | None => origin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::host::full_name;

    #[test]
    fn clients_are_sent_where_the_operator_says_or_where_the_node_listens() {
        let told = |address: Option<&str>, port, listens| {
            let broadcast_address = address.map(str::to_owned);
            let settings =
                LookupSettings { addresses: Vec::new(), broadcast_address, broadcast_port: port };
            origin(&settings, Scheme::Http, "n.example", listens)
        };
        assert_eq!(told(None, None, Some(5000)), "http://n.example:5000");
        assert_eq!(told(None, Some(80), Some(5000)), "http://n.example:80");
        assert_eq!(told(None, None, None), "http://n.example");
        let v6 = Some("https://[::1]");
        assert_eq!(told(v6, None, Some(5000)), "https://[::1]");
        assert_eq!(told(v6, Some(7), Some(5000)), "https://[::1]:7");
        assert_eq!(told(Some("http://h:1"), Some(7), Some(5000)), "http://h:7");
        let nothing = LookupSettings::default();
        assert_eq!(origin(&nothing, Scheme::Https, "n", Some(5000)), "https://n:5000");
        assert_eq!(origin(&nothing, Scheme::Https, "n", None), "https://n");
    }

    #[test]
    fn a_host_has_its_full_name_where_it_knows_one() {
        let hosts = "127.0.0.1 localhost\n127.0.1.1 web web.example.org # web.example.com\n";
        assert_eq!(full_name("web", hosts), "web.example.org");
        assert_eq!(full_name("web.example.net", hosts), "web.example.net");
        assert_eq!(full_name("db", hosts), "db");
    }
}
