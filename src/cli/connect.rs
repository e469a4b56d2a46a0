//! Which node is meant: what `-g` says, else `$GAFFER_URL`, else the unix socket if it answers, else
//! port 5000 of this machine. And which lookupds.

use std::io::Write as _;
use std::os::unix::net::UnixStream;

use super::args::Invocation;
use super::failure::Failure;
use super::user_config::UserConfig;
use crate::client::{Address, Endpoint, Lookup, Server};
use crate::daemon::paths::Surroundings;
use crate::sys::users;

/// The node, and the key that the user keeps for it.
///
/// # Errors
/// The address is none, or the user's file is damaged.
pub fn server(invocation: &Invocation) -> Result<Server, Failure> {
    let said = invocation.value("gafferd-http-address").map(str::to_owned);
    let address = match said.or_else(|| variable("GAFFER_URL")) {
        Some(text) => text.parse()?,
        None => socket().unwrap_or_default(),
    };
    let config = UserConfig::of_user(&variable)?;
    let node = endpoint(config.as_ref(), address)?;
    if let Some(warning) = config.and_then(|config| config.warning()).filter(|_| node.has_key()) {
        // It is of no weight whether anybody reads this.
        let _ = writeln!(std::io::stderr(), "gaffer: {warning}");
    }
    Ok(Server::at(node))
}

/// A node at this address, with what the user keeps about it.
///
/// # Errors
/// The user's file is damaged.
pub fn endpoint(config: Option<&UserConfig>, address: Address) -> Result<Endpoint, Failure> {
    let mut node = Endpoint::from(address);
    if let Some(config) = config {
        node.trust = config.trust(&node.address)?;
        if let Some(key) = config.key(&node.address) {
            node.use_key(key).map_err(Failure::usage)?;
        }
    }
    Ok(node)
}

/// The lookupds that `-L` names, else `$GAFFER_LOOKUPD`, else the user's file.
///
/// # Errors
/// None does, an address is none, or the user's file is damaged.
pub fn lookup(invocation: &Invocation, config: Option<&UserConfig>) -> Result<Lookup, Failure> {
    let said = invocation.values("lookupd-address");
    let named = variable("GAFFER_LOOKUPD").unwrap_or_default();
    let named = named.split(',').map(str::trim).filter(|text| !text.is_empty());
    let texts: Vec<&str> = match said {
        [] => named.collect(),
        said => said.iter().map(String::as_str).collect(),
    };
    let mut addresses: Vec<Address> = Vec::new();
    for text in texts {
        addresses.push(Lookup::address(text)?);
    }
    if addresses.is_empty() {
        addresses.extend(config.into_iter().flat_map(UserConfig::lookupds).cloned());
    }
    if addresses.is_empty() {
        return Err(Failure::usage(
            "no lookupd is named: say -L URL, or set $GAFFER_LOOKUPD or lookupd_address in gaffer.ini",
        ));
    }
    let mut lookupds: Vec<Endpoint> = Vec::new();
    for address in addresses {
        let mut lookupd = Endpoint::from(address);
        if let Some(config) = config {
            lookupd.trust = config.trust_of_lookupd(&lookupd.address)?;
        }
        // One that is named twice is asked once.
        if !lookupds.iter().any(|known| known.address == lookupd.address) {
            lookupds.push(lookupd);
        }
    }
    Ok(Lookup::new(lookupds))
}

/// A variable of our environment; one that is empty counts as none.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The unix socket on which a node of ours listens by default, if one answers there.
fn socket() -> Option<Address> {
    let surroundings = Surroundings { root: users::is_root(), variable: &variable, hosted: false };
    let path = surroundings.socket(&surroundings.state_dir().ok()?);
    UnixStream::connect(&path).ok()?;
    Some(Address::Unix(path))
}
