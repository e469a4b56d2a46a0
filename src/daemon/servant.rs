//! The user as whom a daemon of root goes on once it has its addresses (`--user`): what it needs root for
//! comes before, and everything it makes is his.

use std::path::Path;

use crate::base::order::{Account, Identity};
use crate::base::sorted::SortedMap;
use crate::sys::own_file::make_directory;
use crate::sys::privileges::{as_another, become_for_good};
use crate::sys::users::{self, Tables};

/// The user.
pub(super) struct Servant {
    identity: Identity,
    /// What his programs find in their environment.
    variables: [(&'static str, String); 4],
}

impl Servant {
    /// Who is wished, as `NAME[:GROUP]`; `None` where that is who we are.
    ///
    /// # Errors
    /// There is no such user or group, or we are not root.
    pub(super) fn wished(text: Option<&str>) -> Result<Option<Self>, String> {
        let Some(text) = text else { return Ok(None) };
        let fault = |why: String| format!("user: {why}");
        let (name, group) = match text.split_once(':') {
            Some((name, group)) => (name, Some(group)),
            None => (text, None),
        };
        let tables = Tables::read().map_err(fault)?;
        let user = tables.find(name).map_err(fault)?;
        let account = Account { uid: Some(name), gid: group, ..Account::default() };
        let found = tables.resolve(&account, users::own()).map_err(|unfit| {
            let root = unfit.why.starts_with("only");
            fault(if root {
                format!("only root can become {text}; start it as root")
            } else {
                unfit.why
            })
        })?;
        let variables = [
            ("HOME", user.home.clone()),
            ("USER", user.name.clone()),
            ("LOGNAME", user.name.clone()),
            ("SHELL", user.shell.clone()),
        ];
        let other = found.filter(|identity| identity.uid != users::own_uid());
        Ok(other.map(|identity| Self { identity, variables }))
    }

    /// His number and that of his group.
    pub(super) fn owner(&self) -> (u32, u32) {
        (self.identity.uid, self.identity.gid)
    }
}

/// The owner of what a daemon makes, if that is not the one who starts it.
pub(super) fn owner(servant: Option<&Servant>) -> Option<(u32, u32)> {
    servant.map(Servant::owner)
}

/// Does something in a directory, which is made if it is not there, as the one whose it is.
///
/// # Errors
/// What it says, or why it cannot be done as he.
pub(super) fn in_directory<T>(
    servant: Option<&Servant>,
    directory: &Path,
    act: impl FnOnce() -> Result<T, String>,
) -> Result<T, String> {
    let Some(servant) = servant else { return act() };
    // If it cannot be made, the act says so.
    let _ = make_directory(directory, Some(servant.owner()));
    as_another(&servant.identity, act).map_err(|errno| format!("user: {errno}"))?
}

/// Becomes him for good.
///
/// # Errors
/// The kernel lets us not.
pub(super) fn become_him(servant: Option<&Servant>) -> Result<(), String> {
    let Some(servant) = servant else { return Ok(()) };
    become_for_good(&servant.identity).map_err(|errno| format!("user: {errno}"))
}

/// The environment of his programs: not root's home, and not root's name.
pub(super) fn environment(
    servant: Option<&Servant>,
    own: &SortedMap<String, String>,
) -> SortedMap<String, String> {
    let mut environ = own.clone();
    for (name, value) in servant.iter().flat_map(|servant| &servant.variables) {
        environ.insert((*name).to_owned(), value.clone());
    }
    environ
}
