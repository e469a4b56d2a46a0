//! Being somebody else: for a while, to make files as he would, and for good. Only for a process of one
//! thread, which each daemon is while it starts: ids are set by bare calls, which concern one thread.

use super::child::assume;
use super::startup::{guard_memory, is_single};
use super::{last_errno, users};
use crate::base::error::Errno;
use crate::base::order::Identity;

/// Becomes this user, with no way back.
///
/// # Errors
/// EPERM: we are not root, or a way back is left. EBUSY: there are other threads.
pub fn become_for_good(identity: &Identity) -> Result<(), Errno> {
    check_alone()?;
    assume(identity).map_err(|(_, errno)| errno)?;
    // SAFETY: setresuid touches no memory.
    let is_back = identity.uid != 0 && unsafe { libc::setresuid(0, 0, 0) } == 0;
    guard_memory();
    if is_back {
        return Err(Errno(libc::EPERM));
    }
    Ok(())
}

/// Does something with the rights of this user, and is root again afterwards.
///
/// # Errors
/// EPERM: we are not root. EBUSY: there are other threads.
pub fn as_another<T>(identity: &Identity, act: impl FnOnce() -> T) -> Result<T, Errno> {
    check_alone()?;
    let (own, groups) = (users::own(), groups()?);
    let done = lend(identity.uid, identity.gid, &identity.groups).map(|()| act());
    // In the other direction the user comes first, for only root may set the others.
    set_user(own.uid)?;
    set_group(own.gid)?;
    set_groups(&groups)?;
    guard_memory();
    done
}

fn check_alone() -> Result<(), Errno> {
    match is_single() {
        true => Ok(()),
        false => Err(Errno(libc::EBUSY)),
    }
}

fn lend(uid: u32, gid: u32, groups: &[u32]) -> Result<(), Errno> {
    set_groups(groups)?;
    set_group(gid)?;
    set_user(uid)
}

/// Our supplementary groups.
fn groups() -> Result<Vec<u32>, Errno> {
    // SAFETY: with a size of 0 the kernel writes nothing and tells how many there are.
    let count = unsafe { libc::getgroups(0, std::ptr::null_mut()) };
    let mut groups = vec![0; usize::try_from(count).map_err(|_| last_errno())?];
    // SAFETY: the kernel writes at most `count` ids, for which there is room.
    let read = unsafe { libc::getgroups(count, groups.as_mut_ptr()) };
    groups.truncate(usize::try_from(read).map_err(|_| last_errno())?);
    Ok(groups)
}

fn set_groups(groups: &[u32]) -> Result<(), Errno> {
    // SAFETY: the kernel reads `len` ids from a slice of that length.
    checked(unsafe { libc::setgroups(groups.len(), groups.as_ptr()) })
}

/// Sets the effective group alone.
fn set_group(gid: u32) -> Result<(), Errno> {
    // SAFETY: setresgid touches no memory.
    checked(unsafe { libc::setresgid(u32::MAX, gid, u32::MAX) })
}

/// Sets the effective user alone.
fn set_user(uid: u32) -> Result<(), Errno> {
    // SAFETY: setresuid touches no memory.
    checked(unsafe { libc::setresuid(u32::MAX, uid, u32::MAX) })
}

fn checked(result: libc::c_int) -> Result<(), Errno> {
    match result {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{startup, testing};
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    fn nobody() -> Identity {
        Identity { uid: 12345, gid: 23456, groups: vec![23456, 34567] }
    }

    fn ids() -> Vec<String> {
        let status = fs::read_to_string("/proc/thread-self/status").expect("/proc");
        let is_of = |line: &&str| ["Uid:", "Gid:", "Groups:"].iter().any(|id| line.starts_with(id));
        let plain = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        status.lines().filter(is_of).map(plain).collect()
    }

    /// Runs this in a process that has one thread, as a daemon has that starts.
    fn as_root_alone(name: &str, test: impl FnOnce() -> bool) {
        if !users::is_root() {
            println!("skipped: only root can become another user");
            return;
        }
        testing::forked(&format!("sys::privileges::tests::{name}"), test);
    }

    #[test]
    fn a_user_for_good_has_no_way_back() {
        as_root_alone("a_user_for_good_has_no_way_back", || {
            let became = become_for_good(&nobody());
            let expected = [
                "Uid: 12345 12345 12345 12345",
                "Gid: 23456 23456 23456 23456",
                "Groups: 23456 34567",
            ];
            let locked = fs::read("/etc/shadow").is_err();
            became == Ok(()) && ids() == expected && locked && !startup::is_dumpable()
        });
    }

    #[test]
    fn a_user_for_a_while_makes_files_as_he_would_and_is_root_again() {
        as_root_alone("a_user_for_a_while_makes_files_as_he_would_and_is_root_again", || {
            let before = ids();
            let folder = tempfile::tempdir().expect("a folder");
            std::os::unix::fs::chown(folder.path(), Some(12345), None).expect("root may");
            let path = folder.path().join("file");
            let made = as_another(&nobody(), || fs::write(&path, "").is_ok());
            let found = fs::metadata(&path).expect("it is there");
            let owner = (found.uid(), found.gid());
            made == Ok(true) && owner == (12345, 23456) && ids() == before
        });
    }

    #[test]
    fn another_thread_forbids_it() {
        let (tell, told) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || told.recv());
            assert_eq!(become_for_good(&nobody()), Err(Errno(libc::EBUSY)));
            assert_eq!(as_another(&nobody(), || ()), Err(Errno(libc::EBUSY)));
            drop(tell);
        });
    }
}
