//! Files below a folder that is trusted, by names that are not: no name leads anywhere else, whatever lies there.
//! Every step is taken from the folder before it, and no symbolic link is followed (openat(2)); so it is the same
//! on every kernel, and nobody who moves folders meanwhile changes it.

use std::ffi::{CStr, CString};
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::own_file::{other_writer, Trust};
use super::users::own_uid;
use crate::base::error::Errno;

/// What a path leads to.
#[derive(Debug)]
pub enum Found {
    /// A regular file, open to be read.
    File(File),
    /// A folder.
    Folder,
}

/// Why it leads to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// By way of a symbolic link, or to one.
    Link,
    /// To a pipe, a socket or a device.
    NotAFile,
    /// By way of what others may write, or to that, and we are root.
    Exposed,
    /// What the kernel says.
    Io(Errno),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(Errno::of(&error))
    }
}

/// Opens what these names lead to below `root`, which itself may be a symbolic link. Nothing but a regular file
/// is ever opened: to open a pipe or a device can wait, or do something.
///
/// # Errors
/// See [`Fault`]. A name that is none of a file (empty, `..`, with a slash) is ENOENT.
pub fn open(root: &Path, names: &[&str]) -> Result<Found, Fault> {
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    let mut folder = OpenOptions::new().read(true).custom_flags(flags).open(root)?;
    let Some((last, before)) = names.split_last() else { return Ok(Found::Folder) };
    for name in before {
        let next = step(&folder, &plain(name)?, libc::O_PATH)?;
        let found = next.metadata()?;
        match found.file_type() {
            kind if kind.is_dir() => {
                check_writers(&found)?;
                folder = next;
            }
            kind if kind.is_symlink() => return Err(Fault::Link),
            _ => return Err(Fault::Io(Errno(libc::ENOTDIR))),
        }
    }
    let last = plain(last)?;
    // Looked at before it is opened,
    match step(&folder, &last, libc::O_PATH)?.metadata()?.file_type() {
        kind if kind.is_dir() => return Ok(Found::Folder),
        kind if kind.is_symlink() => return Err(Fault::Link),
        kind if kind.is_fifo() || kind.is_socket() => return Err(Fault::NotAFile),
        kind if kind.is_file() => {}
        _ => return Err(Fault::NotAFile),
    }
    // and once more behind that, as it may be another by now.
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = match step(&folder, &last, flags) {
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => return Err(Fault::Link),
        other => other?,
    };
    let found = file.metadata()?;
    match found.is_file() {
        true => check_writers(&found).map(|()| Found::File(file)),
        false => Err(Fault::NotAFile),
    }
}

/// What root shows to others is as trusted as what it reads itself.
fn check_writers(found: &Metadata) -> Result<(), Fault> {
    match own_uid() == 0 && other_writer(found, Trust::NoGroup).is_some() {
        true => Err(Fault::Exposed),
        false => Ok(()),
    }
}

fn plain(name: &str) -> Result<CString, Fault> {
    let sound = !name.is_empty() && name != "." && name != ".." && !name.contains('/');
    let name = CString::new(name).ok().filter(|_| sound);
    name.ok_or(Fault::Io(Errno(libc::ENOENT)))
}

fn step(folder: &File, name: &CStr, flags: i32) -> io::Result<File> {
    let flags = flags | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: the descriptor is open, the name ends with a NUL, and without O_CREAT there is no further
    // argument.
    let fd = unsafe { libc::openat(folder.as_raw_fd(), name.as_ptr(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was opened just now, and nobody else has it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Read as _;
    use std::os::unix::fs::{symlink, PermissionsExt as _};
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    /// What it leads to, in words.
    fn led(root: &Path, names: &[&str]) -> String {
        match open(root, names) {
            Ok(Found::File(mut file)) => {
                let mut text = String::new();
                file.read_to_string(&mut text).expect("it can be read");
                text
            }
            Ok(Found::Folder) => "a folder".into(),
            Err(Fault::Io(Errno(libc::ENOENT))) => "nothing".into(),
            Err(fault) => format!("{fault:?}"),
        }
    }

    #[test]
    fn names_lead_to_what_is_below_and_nowhere_else() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("site/sub")).expect("folders");
        fs::write(at("secret"), "secret").expect("written");
        fs::write(at("site/a"), "a").expect("written");
        fs::write(at("site/sub/b"), "b").expect("written");
        for (link, to) in [
            ("site/out", "../secret"),
            ("site/passwd", "/etc/passwd"),
            ("site/etc", "/etc"),
            ("site/up", ".."),
            ("site/own", "a"),
            ("site/ownsub", "sub"),
            ("site/circle", "circle"),
            ("link", "site"),
        ] {
            symlink(to, at(link)).expect("made");
        }
        assert!(Command::new("mkfifo").arg(at("site/pipe")).status().expect("it runs").success());
        let _socket = UnixListener::bind(at("site/socket")).expect("bound");
        let root = at("site");
        let fault = |fault: Fault| format!("{fault:?}");
        let table: [(&[&str], String); 22] = [
            (&["a"], "a".into()),
            (&["sub", "b"], "b".into()),
            (&[], "a folder".into()),
            (&["sub"], "a folder".into()),
            (&["none"], "nothing".into()),
            (&["sub", "none"], "nothing".into()),
            (&["a", "b"], fault(Fault::Io(Errno(libc::ENOTDIR)))),
            (&["out"], fault(Fault::Link)),
            (&["passwd"], fault(Fault::Link)),
            (&["etc", "passwd"], fault(Fault::Link)),
            (&["up", "secret"], fault(Fault::Link)),
            (&["own"], fault(Fault::Link)),
            (&["ownsub", "b"], fault(Fault::Link)),
            (&["circle"], fault(Fault::Link)),
            (&["pipe"], fault(Fault::NotAFile)),
            (&["socket"], fault(Fault::NotAFile)),
            (&["..", "secret"], "nothing".into()),
            (&["sub/../../secret"], "nothing".into()),
            (&["/etc/passwd"], "nothing".into()),
            (&["sub", "", "b"], "nothing".into()),
            (&[".", "a"], "nothing".into()),
            (&["a\0b"], "nothing".into()),
        ];
        for (names, end) in table {
            assert_eq!(led(&root, names), end, "{names:?}");
        }
        assert_eq!(led(&at("link"), &["sub", "b"]), "b");
        assert_eq!(led(Path::new("/dev"), &["null"]), fault(Fault::NotAFile));
        let open = |name: &str, mode: u32| {
            fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).expect("ours");
        };
        for (name, mode, names) in
            [("site/a", 0o666, &["a"][..]), ("site/sub", 0o777, &["sub", "b"])]
        {
            let text = led(&root, names);
            open(name, mode);
            let is_root = own_uid() == 0;
            let end = if is_root { fault(Fault::Exposed) } else { text };
            assert_eq!(led(&root, names), end, "{names:?} for all to write");
        }
        let long = "n".repeat(256);
        assert_eq!(led(&root, &[&long]), fault(Fault::Io(Errno(libc::ENAMETOOLONG))));
    }
}
