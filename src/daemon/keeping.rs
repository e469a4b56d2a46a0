//! How the door of this daemon is kept: whether a key is asked for, and who needs none.

use std::net::SocketAddr;

use super::settings::Settings;
use crate::base::sorted::SortedSet;
use crate::node::keys::door::Keeping;
use crate::sys::users::{self, Tables};

/// What is so by the settings, for who we are.
///
/// # Errors
/// There is no such group.
pub(super) fn of(settings: &Settings) -> Result<Keeping, String> {
    let mut owners = SortedSet::from([0, users::own_uid()]);
    owners.extend(group(settings)?.map(|(_, members)| members).unwrap_or_default());
    Ok(Keeping { require_key: settings.require_key, owners, root: users::is_root() })
}

/// The group to which the unix socket belongs, and its users.
///
/// # Errors
/// There is no such group.
pub(super) fn group(settings: &Settings) -> Result<Option<(u32, Vec<u32>)>, String> {
    let Some(name) = &settings.socket_group else { return Ok(None) };
    let found = Tables::read().and_then(|tables| tables.members(name));
    found.map(Some).map_err(|error| format!("socket_group: {error}"))
}

/// Whether anybody could be let in, now that there are so many keys; gives what the operator should know.
///
/// # Errors
/// Nobody could, and nobody could change that.
pub(super) fn check(settings: &Settings, keys: usize) -> Result<Option<String>, String> {
    let open = |bind: &&SocketAddr| !bind.ip().is_loopback();
    let open = settings.binds.iter().find(open);
    match (settings.require_key, keys, &settings.socket, open) {
        (false, _, _, Some(open)) => Ok(Some(format!(
            "whoever reaches {open} can start programs: require_key = false says so"
        ))),
        (true, 0, None, open) => {
            let why = open.map_or("a key is asked for".to_owned(), |open| {
                format!("{open} can be reached from other machines")
            });
            Err(no_key(&why))
        }
        (true, 0, Some(socket), _) => Ok(Some(format!(
            "a key is asked for, and there is none yet: make one with gaffer -g unix:{} key:create +a",
            socket.display()
        ))),
        (true, 1.., _, _) | (false, _, _, None) => Ok(None),
    }
}

fn no_key(why: &str) -> String {
    format!(
        "{why}, and there is no key: make an administrator with gafferd --create-admin-user, or give \
         a unix socket with --socket PATH and make a key there, or write require_key = false into \
         [gaffer] to let everybody who reaches it start programs"
    )
}
