//! Which node is meant: what `-g` says, else `$GAFFER_URL`, else the unix socket if it answers, else
//! port 5000 of this machine.

use std::os::unix::net::UnixStream;

use super::args::Invocation;
use super::failure::Failure;
use crate::client::{Address, Server};
use crate::daemon::paths::Surroundings;
use crate::sys::users;

/// The node.
///
/// # Errors
/// The address is none.
pub fn server(invocation: &Invocation) -> Result<Server, Failure> {
    let said = invocation.value("gafferd-http-address").map(str::to_owned);
    let variable = || std::env::var("GAFFER_URL").ok().filter(|url| !url.is_empty());
    let address = match said.or_else(variable) {
        Some(text) => text.parse()?,
        None => socket().unwrap_or_default(),
    };
    Ok(Server::new(address))
}

/// The unix socket on which a node of ours listens by default, if one answers there.
fn socket() -> Option<Address> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let surroundings = Surroundings { root: users::is_root(), variable: &variable };
    let path = surroundings.socket(&surroundings.state_dir().ok()?);
    UnixStream::connect(&path).ok()?;
    Some(Address::Unix(path))
}
