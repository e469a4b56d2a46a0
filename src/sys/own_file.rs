//! Files that nobody else has laid out for us, and directories in which nobody else could: whoever may
//! write a directory can put a symbolic link, a hard link or a file of his own where a daemon expects its
//! pidfile or its log, and have it write what it should not (symlink(7), path_resolution(7)).

use std::fmt;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::users::own_uid;
use crate::base::error::Errno;
use crate::base::limits;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// At its end.
    Append,
    /// At its end, and read.
    Log,
    /// Anywhere, and read.
    Both,
}

/// Somebody who is neither root nor we, and may write something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// This user, to whom it belongs.
    User(u32),
    /// The users of this group.
    Group(u32),
    /// All users.
    Everybody,
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(uid) => write!(f, "user {uid}"),
            Self::Group(gid) => write!(f, "the group {gid}"),
            Self::Everybody => f.write_str("everybody"),
        }
    }
}

/// Why a file is not ours to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What the kernel says: ELOOP for a symbolic link.
    Io(Errno),
    /// It is a directory, a device, a pipe or a socket.
    NotAFile,
    /// It has a second name (a hard link).
    Linked,
    /// Somebody else may write it.
    File(Stranger),
    /// Somebody else may write its directory, and put another file in its place.
    Directory(Stranger),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(errno) => errno.fmt(f),
            Self::NotAFile => f.write_str("it is no plain file; name another"),
            Self::Linked => {
                f.write_str("it is a hard link to a file that has another name; remove it")
            }
            Self::File(who) => write!(f, "{who} may write it; remove it, or name another"),
            Self::Directory(who) => {
                write!(f, "{who} may write its directory; chmod go-w that, or name another")
            }
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(Errno::of(&error))
    }
}

/// Opens a file of ours to write, and makes it with `mode` if it is not there. No symbolic link is
/// followed. One that is there must be a plain file with one name, of root, of us or of `friend`, that
/// not everybody may write; and nobody else may be able to put another in its place.
///
/// # Errors
/// See [`Fault`]; EAGAIN if somebody makes and removes it all the time.
pub fn open(path: &Path, mode: u32, how: Use, friend: Option<u32>) -> Result<File, Fault> {
    check_place(path, friend)?;
    let mut options = OpenOptions::new();
    match how {
        Use::Append => options.append(true),
        Use::Log => options.append(true).read(true),
        Use::Both => options.read(true).write(true),
    };
    options.mode(mode).custom_flags(libc::O_NOFOLLOW | libc::O_NOCTTY | libc::O_NONBLOCK);
    for _ in 0..limits::LOCK_ATTEMPTS {
        match options.clone().create_new(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return Ok(made?),
        }
        match options.open(path) {
            // It went in between.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return check_file(found?, friend),
        }
    }
    Err(Fault::Io(Errno(libc::EAGAIN)))
}

fn check_file(file: File, friend: Option<u32>) -> Result<File, Fault> {
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(Fault::NotAFile);
    }
    if found.nlink() > 1 {
        return Err(Fault::Linked);
    }
    let everybody = (found.mode() & 0o002 != 0).then_some(Stranger::Everybody);
    foreign_owner(&found, friend).or(everybody).map_or(Ok(file), |who| Err(Fault::File(who)))
}

fn foreign_owner(found: &Metadata, friend: Option<u32>) -> Option<Stranger> {
    let owner = found.uid();
    let known = owner == 0 || owner == own_uid() || Some(owner) == friend;
    (!known).then_some(Stranger::User(owner))
}

/// Whether the users of a group may write what is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// They may.
    Groups,
    /// They may not, but for those of root's own group.
    NoGroup,
}

/// Who may write what this is beside its owner and root, and is not trusted.
pub fn other_writer(found: &Metadata, trust: Trust) -> Option<Stranger> {
    if found.mode() & 0o002 != 0 {
        return Some(Stranger::Everybody);
    }
    let group = found.mode() & 0o020 != 0 && found.gid() != 0 && trust == Trust::NoGroup;
    group.then_some(Stranger::Group(found.gid()))
}

/// Whether only root, we and `friend` can put a file into this directory. Whoever is not root trusts his
/// groups.
///
/// # Errors
/// Who else can, or what the kernel says.
pub fn check_directory(directory: &Path, friend: Option<u32>) -> Result<(), Fault> {
    let found = fs::metadata(directory)?;
    let trust = if own_uid() == 0 { Trust::NoGroup } else { Trust::Groups };
    let stranger = foreign_owner(&found, friend).or_else(|| other_writer(&found, trust));
    stranger.map_or(Ok(()), |who| Err(Fault::Directory(who)))
}

/// Whether only root, we and `friend` can put another file in the place of this one. Where everybody may
/// write and only owners remove (the sticky bit, as in /tmp), it is so: what somebody has laid out there
/// is told by its owner. A directory that is not there is no fault of this kind.
///
/// # Errors
/// Who else can.
pub fn check_place(file: &Path, friend: Option<u32>) -> Result<(), Fault> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let sticky = |found: &Metadata| found.mode() & libc::S_ISVTX != 0;
    match fs::metadata(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(found) if foreign_owner(&found, friend).is_none() && sticky(&found) => Ok(()),
        _ => check_directory(parent, friend),
    }
}

/// Whether there is something of this name, as a plain file of root, of us or of `friend`: what may be moved
/// away for another. No symbolic link is followed.
///
/// # Errors
/// It is something else, or somebody else's.
pub fn check_entry(path: &Path, friend: Option<u32>) -> Result<bool, Fault> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        found => found?,
    };
    if !found.is_file() {
        return Err(Fault::NotAFile);
    }
    foreign_owner(&found, friend).map_or(Ok(true), |who| Err(Fault::File(who)))
}

/// Whether nobody but root and we could lead the way to this file elsewhere: each directory on it, and each link, is
/// root's or ours, and nobody else may put another in its place. Whoever is not root trusts those of his own files.
///
/// # Errors
/// Who else could, or what the kernel says.
pub fn check_way(file: &Path) -> Result<(), Fault> {
    if own_uid() != 0 {
        return Ok(());
    }
    let parent = file.parent().unwrap_or(Path::new("/"));
    let real = fs::canonicalize(parent)?;
    for directory in parent.ancestors().chain(real.ancestors()) {
        let found = fs::symlink_metadata(directory)?;
        if let Some(who) = foreign_owner(&found, None) {
            return Err(Fault::Directory(who));
        }
        let is_shared = found.is_dir() && found.mode() & libc::S_ISVTX != 0;
        let stranger = other_writer(&found, Trust::NoGroup);
        if let Some(who) = stranger.filter(|_| found.is_dir() && !is_shared) {
            return Err(Fault::Directory(who));
        }
    }
    Ok(())
}

/// Makes a directory, and those on the way to it, each for its owner alone. Those that it has made are
/// given to this user and group. Tells whether it has made any.
///
/// # Errors
/// The kernel's: EACCES, ENOTDIR, EROFS.
pub fn make_directory(path: &Path, owner: Option<(u32, u32)>) -> Result<bool, Errno> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(false);
    }
    if let Some(parent) = path.parent() {
        make_directory(parent, owner)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Another has made it meanwhile, or it is something else.
            return if path.is_dir() { Ok(false) } else { Err(Errno(libc::ENOTDIR)) };
        }
        Err(error) => return Err(Errno::of(&error)),
    }
    if let Some((uid, gid)) = owner {
        std::os::unix::fs::lchown(path, Some(uid), Some(gid)).map_err(|error| Errno::of(&error))?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::io::Write as _;
    use std::os::unix::fs::{chown, symlink, PermissionsExt as _};

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    fn fault(path: &Path) -> Option<Fault> {
        open(path, 0o600, Use::Append, None).err()
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
    }

    #[test]
    fn a_file_of_ours_is_made_and_opened_again() {
        let folder = folder();
        let path = folder.path().join("log");
        for line in ["a\n", "b\n"] {
            let mut file = open(&path, 0o640, Use::Append, None).expect("ours");
            file.write_all(line.as_bytes()).expect("room");
        }
        assert_eq!(fs::read_to_string(&path).ok().as_deref(), Some("a\nb\n"));
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o640);
    }

    #[test]
    fn what_somebody_laid_out_is_not_written() {
        let folder = folder();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("other"), "kept").expect("written");
        symlink(at("other"), at("link")).expect("ours");
        symlink(at("nothing"), at("dangling")).expect("ours");
        fs::hard_link(at("other"), at("second")).expect("ours");
        fs::write(at("open"), "").expect("written");
        set_mode(&at("open"), 0o666);
        assert_eq!(fault(&at("link")), Some(Fault::Io(Errno(libc::ELOOP))));
        assert_eq!(fault(&at("dangling")), Some(Fault::Io(Errno(libc::ELOOP))));
        assert_eq!(fault(&at("second")), Some(Fault::Linked));
        assert_eq!(fault(&at("open")), Some(Fault::File(Stranger::Everybody)));
        assert_eq!(fault(Path::new("/dev/null")), Some(Fault::NotAFile));
        assert!(!at("nothing").exists());
        assert_eq!(fs::read_to_string(at("other")).ok().as_deref(), Some("kept"));
    }

    #[test]
    fn what_is_moved_away_is_a_plain_file_of_ours() {
        let folder = folder();
        let at = |name: &str| folder.path().join(name);
        assert_eq!(check_entry(&at("none"), None), Ok(false));
        fs::write(at("plain"), "").expect("written");
        assert_eq!(check_entry(&at("plain"), None), Ok(true));
        symlink(at("plain"), at("link")).expect("ours");
        assert_eq!(check_entry(&at("link"), None), Err(Fault::NotAFile));
        assert_eq!(check_entry(folder.path(), None), Err(Fault::NotAFile));
        if own_uid() != 0 {
            println!("skipped: only root can give files away");
            return;
        }
        chown(at("plain"), Some(12345), None).expect("root may");
        let foreign = Err(Fault::File(Stranger::User(12345)));
        assert_eq!(check_entry(&at("plain"), None), foreign);
        assert_eq!(check_entry(&at("plain"), Some(12345)), Ok(true));
    }

    #[test]
    fn a_file_of_another_user_is_not_written() {
        if own_uid() != 0 {
            println!("skipped: only root can give files away");
            return;
        }
        let folder = folder();
        let path = folder.path().join("pid");
        fs::write(&path, "").expect("written");
        chown(&path, Some(12345), None).expect("root may");
        assert_eq!(fault(&path), Some(Fault::File(Stranger::User(12345))));
        assert!(open(&path, 0o600, Use::Both, Some(12345)).is_ok());
    }

    #[test]
    fn a_directory_is_trusted_where_nobody_else_can_put_a_file() {
        let folder = folder();
        let file = folder.path().join("file");
        assert_eq!(check_place(&file, None), Ok(()));
        set_mode(folder.path(), 0o777);
        let by = |who| Err(Fault::Directory(who));
        assert_eq!(check_place(&file, None), by(Stranger::Everybody));
        set_mode(folder.path(), 0o1777);
        assert_eq!(check_place(&file, None), Ok(()));
        assert_eq!(check_directory(folder.path(), None), by(Stranger::Everybody));
        set_mode(folder.path(), 0o770);
        assert_eq!(check_place(&file, None), Ok(()), "of root's group, or ours");
        assert_eq!(check_place(&folder.path().join("none/file"), None), Ok(()));
        if own_uid() != 0 {
            println!("skipped: only root can give directories away");
            return;
        }
        chown(folder.path(), None, Some(23456)).expect("root may");
        assert_eq!(check_place(&file, None), by(Stranger::Group(23456)));
        chown(folder.path(), Some(12345), Some(0)).expect("root may");
        assert_eq!(check_place(&file, None), by(Stranger::User(12345)));
        assert_eq!(check_place(&file, Some(12345)), Ok(()));
    }

    #[test]
    fn directories_on_the_way_are_made_for_their_owner() {
        let folder = folder();
        let path = folder.path().join("a/b");
        let owner = (own_uid() == 0).then_some((12345, 23456));
        assert_eq!(make_directory(&path, owner), Ok(true));
        assert_eq!(make_directory(&path, owner), Ok(false));
        for made in [&path, &folder.path().join("a")] {
            let found = fs::metadata(made).expect("there");
            assert_eq!(found.mode() & 0o777, 0o700);
            assert_eq!(found.uid(), owner.map_or(own_uid(), |(uid, _)| uid));
        }
        fs::write(folder.path().join("file"), "").expect("written");
        let below = make_directory(&folder.path().join("file/a"), None);
        assert_eq!(below, Err(Errno(libc::ENOTDIR)));
    }
}
