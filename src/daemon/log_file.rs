//! The file of the log: opened to append, looked after and kept small. It is written by several threads, one
//! after the other, and asks nothing of the loop: whatever is to be done for it is done before a line is written.
//!
//! Each line is whole, in one file. When the file has its size it is moved aside, `gafferd.log` to
//! `gafferd.log.1` and so on, and a new one is begun; when somebody else has moved it, it is opened again. Where
//! that fails the log goes on into the file that it has.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::base::error::Errno;
use crate::base::limits;
use crate::sys::own_file::{self, Fault, Use};

/// How a log file is kept small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Its most bytes; 0 for no end.
    pub max_size: u64,
    /// How many that were before it are kept.
    pub keep: u32,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { max_size: limits::LOG_SIZE, keep: limits::LOG_KEEP }
    }
}

/// A log file.
pub(super) struct LogFile {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    /// Its device and inode.
    identity: (u64, u64),
    size: u64,
    /// Whether what was written last has no end.
    torn: bool,
    /// The second in which it was last seen to that the file is still where it was.
    looked: u64,
    /// The second before which it is not moved aside, as that failed.
    rest: u64,
    /// What is wrong with moving and opening, once it was said.
    fault: Option<String>,
}

impl LogFile {
    /// Opens it, and gives it to this user and group. One that somebody else may have laid out is refused.
    ///
    /// # Errors
    /// It cannot be opened, or is not ours.
    pub(super) fn open(
        path: &Path,
        rotation: Rotation,
        owner: Option<(u32, u32)>,
    ) -> Result<Self, Fault> {
        let file = append_to(path, owner)?;
        let found = file.metadata()?;
        Ok(Self {
            path: path.to_owned(),
            rotation,
            file,
            identity: (found.dev(), found.ino()),
            size: found.len(),
            torn: false,
            looked: 0,
            rest: 0,
            fault: None,
        })
    }

    /// Opens it again, where it has been moved away.
    ///
    /// # Errors
    /// It cannot be opened; the log goes on into the old file.
    pub(super) fn reopen(&mut self) -> Result<(), Fault> {
        let file = append_to(&self.path, None)?;
        let found = file.metadata()?;
        let identity = (found.dev(), found.ino());
        // Nobody goes on in the middle of a line of the other file.
        self.torn = self.torn && identity == self.identity;
        (self.file, self.identity, self.size) = (file, identity, found.len());
        self.fault = None;
        Ok(())
    }

    /// Sees to it that the next line goes where it should: into the file that has the name, and has room for
    /// so many bytes. `second` is the time, in seconds. What is wrong is given once, to be said.
    pub(super) fn prepare(&mut self, length: usize, second: u64) -> Option<String> {
        // A clock that was set back must not make it wait for long.
        let rests = second < self.rest && self.rest - second <= limits::LOG_RETRY;
        let mut fault = None;
        // What is moved aside has to be the file that we have.
        if second != self.looked || (!rests && self.is_full(length)) {
            self.looked = second;
            fault = self.look();
            self.rest = fault.as_ref().map_or(self.rest, |_| second.saturating_add(1));
        }
        if fault.is_none() && !rests && self.is_full(length) {
            match self.rotate() {
                Ok(()) => self.fault = None,
                Err(reason) => {
                    self.rest = second.saturating_add(limits::LOG_RETRY);
                    fault = Some(format!("the log file {reason}; it goes on into the old one"));
                }
            }
        }
        let is_news = fault.is_some() && fault != self.fault;
        if is_news {
            self.fault.clone_from(&fault);
        }
        fault.filter(|_| is_news)
    }

    /// Whether so many bytes more are more than it may have.
    fn is_full(&self, length: usize) -> bool {
        let after = self.size.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        self.rotation.max_size > 0 && self.size > 0 && after > self.rotation.max_size
    }

    /// Writes a line, with one write unless the disk takes less.
    ///
    /// # Errors
    /// The kernel's: ENOSPC. What was written of it stays, and the next line begins on a line of its own.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        put_whole(&mut self.file, &mut self.torn, line)?;
        self.size = self.size.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Has it write elsewhere, as if the disk behind its name were another.
    #[cfg(test)]
    pub(super) fn swap(&mut self, with: File) -> File {
        std::mem::replace(&mut self.file, with)
    }

    /// Looks whether the file is still where it was, and opens it again if it is not.
    fn look(&mut self) -> Option<String> {
        match fs::symlink_metadata(&self.path) {
            Ok(found) if (found.dev(), found.ino()) == self.identity => {
                // Somebody may have cut it.
                self.size = found.len();
                return None;
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // Whether it is there cannot be seen: nothing is known to be wrong.
            Err(_) => return None,
        }
        let shown = self.path.display().to_string();
        let fault = self.reopen().err()?;
        Some(format!("the log file {shown} was moved away, and no other can be had there: {fault}"))
    }

    /// Moves the file aside, and begins a new one.
    fn rotate(&mut self) -> Result<(), String> {
        let path = self.path.clone();
        let shown = path.display();
        let told = |fault: Fault| format!("{shown} cannot be moved aside: {fault}");
        own_file::check_place(&path, None).map_err(told)?;
        if self.rotation.keep == 0 {
            self.file.set_len(0).map_err(|error| told(error.into()))?;
            self.size = 0;
            return Ok(());
        }
        self.make_room()?;
        let (first, new) = (numbered(&path, 1), path.clone());
        fs::rename(&path, &first).map_err(|error| told(error.into()))?;
        if let Err(fault) = self.reopen() {
            // It has its name back, so that it is tried again; where that fails it is opened anew, as is
            // one that somebody else moved.
            let _ = fs::rename(&first, &new);
            return Err(format!("{shown} cannot be begun anew: {fault}"));
        }
        Ok(())
    }

    /// Moves those that were before it one on, up to the first number that is free, so that a failure between
    /// two attempts costs none of them; the last gives way.
    fn make_room(&self) -> Result<(), String> {
        let keep = self.rotation.keep;
        let mut free = keep;
        for number in 1..=keep {
            let path = numbered(&self.path, number);
            let is_there = own_file::check_entry(&path, None);
            if !is_there.map_err(|fault| format!("{} is in the way: {fault}", path.display()))? {
                free = number;
                break;
            }
        }
        for number in (1..free).rev() {
            let (from, to) = (numbered(&self.path, number), numbered(&self.path, number + 1));
            fs::rename(&from, to).map_err(|error| {
                format!("{} cannot be moved on: {}", from.display(), Errno::of(&error))
            })?;
        }
        Ok(())
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// Opens a log file to write at its end; one that somebody else may have laid out is refused.
fn append_to(path: &Path, owner: Option<(u32, u32)>) -> Result<File, Fault> {
    let file = own_file::open(path, 0o640, Use::Append, owner.map(|(uid, _)| uid))?;
    if let Some((uid, gid)) = owner {
        std::os::unix::fs::fchown(&file, Some(uid), Some(gid))?;
    }
    Ok(file)
}

/// Writes a line, and behind one that is torn an end before it, all with one write. Where less is taken the
/// rest is tried once more.
///
/// # Errors
/// Not all was taken. `torn` says whether what was has no end.
pub(super) fn put_whole(to: &mut impl Write, torn: &mut bool, line: &[u8]) -> io::Result<()> {
    let whole: Cow<'_, [u8]> = match *torn {
        true => [b"\n", line].concat().into(),
        false => line.into(),
    };
    let mut rest = &*whole;
    while !rest.is_empty() {
        let fault = match to.write(rest) {
            Ok(0) => io::ErrorKind::WriteZero.into(),
            Ok(count) => {
                let (taken, left) = rest.split_at(count);
                *torn = taken.last() != Some(&b'\n');
                rest = left;
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => error,
        };
        return Err(fault);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const LINE: &[u8] = b"0123456789\n";

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    fn opened(path: &Path, max_size: u64, keep: u32) -> LogFile {
        LogFile::open(path, Rotation { max_size, keep }, None).expect("ours")
    }

    /// Writes a line as the logger does; gives what is wrong, if that is to be said.
    fn said(log: &mut LogFile, text: &str, second: u64) -> Option<String> {
        let line = format!("{text}\n");
        let fault = log.prepare(line.len(), second);
        log.write(line.as_bytes()).expect("room");
        fault
    }

    fn held(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn a_file_that_has_its_size_is_moved_aside_and_no_line_is_lost() {
        let folder = folder();
        let path = folder.path().join("log");
        let mut log = opened(&path, 20, 3);
        for number in 0..100 {
            assert_eq!(said(&mut log, &format!("line {number:02}"), 1), None);
        }
        // Two lines of eight bytes fit, a third does not.
        assert_eq!(held(&path), "line 98\nline 99\n");
        assert_eq!(held(&numbered(&path, 1)), "line 96\nline 97\n");
        assert_eq!(held(&numbered(&path, 3)), "line 92\nline 93\n");
        assert!(!numbered(&path, 4).exists());
        // It goes on where it was.
        let mut log = opened(&path, 20, 3);
        said(&mut log, "more", 1);
        assert_eq!(
            (held(&path), held(&numbered(&path, 1))),
            ("more\n".into(), "line 98\nline 99\n".into())
        );
    }

    #[test]
    fn a_line_that_is_larger_than_a_file_may_be_has_one_of_its_own() {
        let folder = folder();
        let path = folder.path().join("log");
        let mut log = opened(&path, 4, 2);
        for text in ["first", "second", "third"] {
            assert_eq!(said(&mut log, text, 1), None);
        }
        let all = [path.clone(), numbered(&path, 1), numbered(&path, 2)].map(|path| held(&path));
        assert_eq!(all, ["third\n", "second\n", "first\n"]);
        let mut endless = opened(&folder.path().join("endless"), 0, 2);
        (0..10).for_each(|_| assert_eq!(said(&mut endless, "x", 1), None));
        assert!(!folder.path().join("endless.1").exists());
        let path = folder.path().join("alone");
        let mut alone = opened(&path, 4, 0);
        (0..10).for_each(|number| assert_eq!(said(&mut alone, &number.to_string(), 1), None));
        assert_eq!(held(&path), "8\n9\n");
        assert!(!numbered(&path, 1).exists());
    }

    #[test]
    fn one_that_cannot_be_moved_is_gone_on_with_and_tried_again_later() {
        let folder = folder();
        let path = folder.path().join("log");
        let mut log = opened(&path, 1, 3);
        said(&mut log, "a", 1);
        said(&mut log, "b", 1);
        fs::create_dir(numbered(&path, 2)).expect("ours");
        let fault = said(&mut log, "c", 1).expect("it is said");
        assert!(fault.contains("log.2 is in the way: it is no plain file"), "{fault}");
        for second in 1..10 {
            assert_eq!(said(&mut log, "d", second), None, "it is said once");
        }
        assert_eq!(said(&mut log, "e", limits::LOG_RETRY + 1), None, "nothing new is wrong");
        fs::remove_dir(numbered(&path, 2)).expect("ours");
        assert_eq!(said(&mut log, "f", limits::LOG_RETRY + 2), None);
        assert!(held(&path).ends_with("e\nf\n"), "it is tried again later");
        assert_eq!(said(&mut log, "g", 2 * limits::LOG_RETRY + 1), None);
        assert_eq!(held(&path), "g\n");
        assert_eq!(held(&numbered(&path, 1)), format!("b\nc\n{}e\nf\n", "d\n".repeat(9)));
        assert_eq!(held(&numbered(&path, 2)), "a\n", "nothing that was before is lost");
    }

    #[test]
    fn one_that_somebody_moved_or_deleted_is_opened_again_within_a_second() {
        let folder = folder();
        let (path, moved) = (folder.path().join("log"), folder.path().join("moved"));
        let mut log = opened(&path, 0, 0);
        said(&mut log, "a", 1);
        fs::rename(&path, &moved).expect("ours");
        said(&mut log, "b", 1);
        assert_eq!(held(&moved), "a\nb\n", "it is looked once a second");
        said(&mut log, "c", 2);
        assert_eq!((held(&moved), held(&path)), ("a\nb\n".into(), "c\n".into()));
        fs::remove_file(&path).expect("ours");
        said(&mut log, "d", 3);
        assert_eq!(held(&path), "d\n");
        // Another, which somebody made: it is gone on with at its end.
        fs::remove_file(&path).expect("ours");
        fs::write(&path, "new\n").expect("ours");
        said(&mut log, "e", 4);
        assert_eq!(held(&path), "new\ne\n");
        fs::rename(&path, &moved).expect("ours");
        assert_eq!(log.reopen(), Ok(()));
        said(&mut log, "f", 4);
        assert_eq!(held(&path), "f\n");
    }

    #[test]
    fn what_somebody_laid_out_in_its_place_is_not_written() {
        let folder = folder();
        let (path, moved) = (folder.path().join("log"), folder.path().join("moved"));
        let mut log = opened(&path, 1, 2);
        said(&mut log, "a", 1);
        fs::rename(&path, &moved).expect("ours");
        let other = folder.path().join("other");
        fs::write(&other, "kept").expect("ours");
        symlink(&other, &path).expect("ours");
        let fault = said(&mut log, "b", 2).expect("it is said");
        assert!(fault.contains("/log was moved away, and no other can be had there"), "{fault}");
        for second in 3..6 {
            assert_eq!(said(&mut log, "c", second), None, "it is said once");
        }
        assert_eq!((held(&other), held(&moved)), ("kept".into(), "a\nb\nc\nc\nc\n".into()));
        assert!(fs::symlink_metadata(&path).expect("there").is_symlink());
        fs::remove_file(&path).expect("ours");
        said(&mut log, "d", 6);
        assert_eq!(held(&path), "d\n");
        // It can be said again.
        fs::remove_file(&path).expect("ours");
        symlink(&other, &path).expect("ours");
        assert!(said(&mut log, "e", 7).is_some());
        // Nor is a link moved over, or along.
        fs::remove_file(&path).expect("ours");
        said(&mut log, "f", 8);
        symlink(&other, numbered(&path, 1)).expect("ours");
        let fault = said(&mut log, "g", 8).expect("it is said");
        assert!(fault.contains("log.1 is in the way"), "{fault}");
        assert_eq!((held(&path), held(&other)), ("f\ng\n".into(), "kept".into()));
    }

    /// A disk with so much room.
    struct Disk {
        held: Vec<u8>,
        room: usize,
        writes: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.writes += 1;
            let count = bytes.len().min(self.room);
            if count == 0 {
                return Err(io::Error::from_raw_os_error(libc::ENOSPC));
            }
            self.room -= count;
            self.held.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_a_full_disk_cut_does_not_join_with_the_next() {
        for room in 0..=2 * LINE.len() {
            let mut disk = Disk { held: Vec::new(), room, writes: 0 };
            let mut torn = false;
            let mut lost = 0;
            for _ in 0..3 {
                lost += usize::from(put_whole(&mut disk, &mut torn, LINE).is_err());
            }
            disk.room = 1000;
            let before = disk.writes;
            put_whole(&mut disk, &mut torn, b"again\n").expect("room");
            assert_eq!(disk.writes, before + 1, "it is one write");
            let text = String::from_utf8(disk.held).expect("text");
            let whole = text.lines().filter(|line| *line == "0123456789").count();
            assert!(text.ends_with("\nagain\n") || text == "again\n", "{room}: {text:?}");
            // One of which only the end is missing is counted as lost, and is there.
            assert!(3 - whole <= lost && lost <= 3 - room / LINE.len(), "{room}: {text:?} {lost}");
        }
    }

    #[test]
    fn a_full_disk_is_told() {
        let folder = folder();
        let mut log = opened(&folder.path().join("log"), 0, 0);
        log.file = File::options().append(true).open("/dev/full").expect("there");
        let error = log.write(LINE).expect_err("no room");
        assert_eq!((error.raw_os_error(), log.torn), (Some(libc::ENOSPC), false));
    }
}
