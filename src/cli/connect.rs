//! Which node is meant: what `-g` says, else `$GAFFER_URL`, else the unix socket if it answers, else
//! port 5000 of this machine.

use std::io::Write as _;
use std::os::unix::net::UnixStream;

use super::args::Invocation;
use super::failure::Failure;
use super::user_config::UserConfig;
use crate::client::{Address, Endpoint, Server};
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
    let mut node = Endpoint::from(address);
    if let Some(config) = UserConfig::of_user(&variable)? {
        node.trust = config.trust(&node.address)?;
        if let Some(key) = config.key(&node.address) {
            if let Some(warning) = config.warning() {
                // It is of no weight whether anybody reads this.
                let _ = writeln!(std::io::stderr(), "gaffer: {warning}");
            }
            node.use_key(key).map_err(Failure::usage)?;
        }
    }
    Ok(Server::at(node))
}

/// A variable of our environment; one that is empty counts as none.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The unix socket on which a node of ours listens by default, if one answers there.
fn socket() -> Option<Address> {
    let surroundings = Surroundings { root: users::is_root(), variable: &variable };
    let path = surroundings.socket(&surroundings.state_dir().ok()?);
    UnixStream::connect(&path).ok()?;
    Some(Address::Unix(path))
}
