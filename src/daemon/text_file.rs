//! A file of text that somebody named: opened once, looked at through that one descriptor, and read
//! up to a limit. What is no regular file is refused before it can make anybody wait.

use std::fs::{File, Metadata, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::base::error::Errno;
use crate::base::limits;
use crate::sys::own_file::{other_writer, Trust};

/// An open file, not read yet.
pub struct TextFile {
    path: PathBuf,
    file: File,
    found: Metadata,
}

/// Reads a file whole.
///
/// # Errors
/// The path and why not.
pub fn read(path: &Path) -> Result<String, String> {
    TextFile::open(path)?.read()
}

impl TextFile {
    /// Opens a file.
    ///
    /// # Errors
    /// The path and why not: it is not there, or is no regular file.
    pub fn open(path: &Path) -> Result<Self, String> {
        match Self::find(path)? {
            Some(found) => Ok(found),
            None => Err(format!("{}: {}", path.display(), Errno(libc::ENOENT))),
        }
    }

    /// As [`TextFile::open`]; `None` if there is no such file.
    ///
    /// # Errors
    /// The path and why not.
    pub fn find(path: &Path) -> Result<Option<Self>, String> {
        let fault = |error: &std::io::Error| format!("{}: {}", path.display(), Errno::of(error));
        // Without O_NONBLOCK a FIFO that nobody writes would hold us here; regular files do not
        // know it. A terminal must not become ours by its name in a configuration.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Ok(file) => file,
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(None),
            Err(error) => return Err(fault(&error)),
        };
        let found = file.metadata().map_err(|error| fault(&error))?;
        if !found.is_file() {
            let kind = kind(&found);
            return Err(format!("{}: it is {kind}; name a regular file", path.display()));
        }
        Ok(Some(Self { path: path.to_owned(), file, found }))
    }

    /// Who may write it beside its owner and root, where that would be as good as to be root.
    ///
    /// # Errors
    /// Somebody may, with what to do.
    pub fn check_writers(&self) -> Result<(), String> {
        trusted(&self.path, &self.found)
    }

    /// Whether its group or everybody may read it.
    pub fn others_may_read(&self) -> bool {
        self.found.mode() & 0o044 != 0
    }

    /// Whether everybody may read or write it, whatever their groups.
    pub fn everybody_may_use(&self) -> bool {
        self.found.mode() & 0o006 != 0
    }

    /// Reads it whole.
    ///
    /// # Errors
    /// The path and why not: it is larger than [`limits::TEXT_FILE`], or no UTF-8.
    pub fn read(self) -> Result<String, String> {
        let shown = self.path.display();
        let mut bytes = Vec::new();
        // One byte more than there may be: the size that the kernel tells may change meanwhile.
        let most = u64::try_from(limits::TEXT_FILE).unwrap_or(u64::MAX).saturating_add(1);
        let read = self.file.take(most).read_to_end(&mut bytes);
        read.map_err(|error| format!("{shown}: {}", Errno::of(&error)))?;
        if bytes.len() > limits::TEXT_FILE {
            return Err(format!(
                "{shown}: larger than {} bytes, the most for such a file; split it",
                limits::TEXT_FILE
            ));
        }
        String::from_utf8(bytes).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            format!("{shown}:{line}: not UTF-8; save the file as UTF-8")
        })
    }
}

/// As [`TextFile::check_writers`], of a directory of which all files are read: whoever may write it may
/// put one there.
///
/// # Errors
/// Somebody may, or it cannot be looked at.
pub fn check_directory(path: &Path) -> Result<(), String> {
    let found = std::fs::metadata(path);
    trusted(path, &found.map_err(|error| format!("{}: {}", path.display(), Errno::of(&error)))?)
}

/// As [`TextFile::check_writers`], of a file that is named and of its directory.
///
/// # Errors
/// Somebody may write one of them, or it cannot be looked at.
pub fn check_named(path: &Path) -> Result<(), String> {
    TextFile::open(path)?.check_writers()?;
    check_place(path)
}

/// As [`TextFile::check_writers`], of the directory of a file, in which another could be put in its place.
/// Where only owners remove (the sticky bit, as in /tmp), none could.
///
/// # Errors
/// Somebody may, or it cannot be looked at.
pub fn check_place(path: &Path) -> Result<(), String> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let sticky = |found: Metadata| found.mode() & libc::S_ISVTX != 0;
    match std::fs::metadata(parent).is_ok_and(sticky) {
        true => Ok(()),
        false => check_directory(parent),
    }
}

fn trusted(path: &Path, found: &Metadata) -> Result<(), String> {
    match other_writer(found, Trust::NoGroup) {
        None => Ok(()),
        Some(who) => Err(format!(
            "{}: {who} may write it, and this runs as root; chmod go-w it",
            path.display()
        )),
    }
}

fn kind(found: &Metadata) -> &'static str {
    let kind = found.file_type();
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a pipe"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    #[test]
    fn a_file_is_read_up_to_the_limit_and_not_one_byte_beyond() {
        let folder = folder();
        let path = folder.path().join("f");
        fs::write(&path, "x".repeat(limits::TEXT_FILE)).expect("written");
        assert_eq!(read(&path).map(|text| text.len()), Ok(limits::TEXT_FILE));
        fs::write(&path, "x".repeat(limits::TEXT_FILE + 1)).expect("written");
        let error = read(&path).expect_err("too large");
        assert_eq!(
            error,
            format!(
                "{}: larger than 1048576 bytes, the most for such a file; split it",
                path.display()
            )
        );
        // A file without an end costs no more.
        assert!(read(Path::new("/dev/zero")).is_err_and(|e| e.contains("it is a device")));
    }

    #[test]
    fn what_is_no_regular_file_is_told_at_once() {
        let folder = folder();
        let pipe = folder.path().join("pipe");
        let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
        assert!(made.success());
        let error = read(&pipe).expect_err("a pipe");
        assert!(error.ends_with("/pipe: it is a pipe; name a regular file"), "{error}");
        let error = read(folder.path()).expect_err("a directory");
        assert!(error.ends_with(": it is a directory; name a regular file"), "{error}");
        let none = folder.path().join("none");
        assert!(TextFile::find(&none).is_ok_and(|found| found.is_none()));
        assert!(read(&none).is_err_and(|e| e.ends_with("/none: No such file or directory")));
    }

    #[test]
    fn who_may_write_is_asked_of_the_file_that_is_read() {
        let folder = folder();
        let (path, other) = (folder.path().join("f"), folder.path().join("other"));
        let make = |path: &Path, text: &str, mode: u32| {
            fs::write(path, text).expect("written");
            fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
        };
        make(&path, "open", 0o666);
        make(&other, "closed", 0o600);
        let file = TextFile::open(&path).expect("there");
        fs::rename(&other, &path).expect("renamed");
        let refused = file.check_writers().expect_err("everybody may");
        assert!(refused.contains(": everybody may write it, and this runs as root"), "{refused}");
        assert_eq!(file.read().as_deref(), Ok("open"));
        let file = TextFile::open(&path).expect("there");
        assert_eq!(file.check_writers(), Ok(()));
        assert_eq!(file.read().as_deref(), Ok("closed"));
    }

    #[test]
    fn a_byte_that_is_no_text_has_its_line() {
        let folder = folder();
        let path = folder.path().join("f");
        fs::write(&path, b"a\nb\n\xff").expect("written");
        assert!(read(&path).is_err_and(|e| e.contains("/f:3: not UTF-8")));
    }
}
