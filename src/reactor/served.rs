//! Files that are sent to clients: a worker of their own opens and reads them, so that a disk that is slow holds
//! nothing up but them. Each is open for one connection, and read for it piece by piece.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mio::Waker;

use super::work::Worker;
use crate::base::error::Errno;
use crate::base::ids::ConnId;
use crate::base::sorted::SortedMap;
use crate::node::plugins::file::{Unopened, Unread, Wanted, What};
use crate::sys::beneath::{self, Fault, Found};

/// All of them.
pub(super) struct Served {
    worker: Worker<Work, Done>,
    files: SortedMap<ConnId, Slot>,
}

enum Work {
    Open { conn: ConnId, file: Wanted },
    Read { conn: ConnId, file: OpenFile, at: u64, length: usize },
}

enum Done {
    Opened(ConnId, Result<OpenFile, Unopened>),
    Read(ConnId, OpenFile, Result<Vec<u8>, Unread>),
}

enum Slot {
    /// The worker has it.
    Away,
    /// Nobody reads it now.
    Here(OpenFile),
}

/// A file as it was when it was opened.
struct OpenFile {
    file: File,
    what: What,
}

/// What the machine is to be told.
pub(super) enum Told {
    Opened(ConnId, Result<What, Unopened>),
    Read(ConnId, Result<Vec<u8>, Unread>),
}

impl Served {
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        Self { worker: Worker::new(waker, perform), files: SortedMap::new() }
    }

    /// Has a file opened; gives what is to be told where that cannot be begun.
    pub(super) fn open(&mut self, conn: ConnId, file: Wanted) -> Option<Told> {
        self.files.insert(conn, Slot::Away);
        let error = self.worker.give(Work::Open { conn, file }).err()?;
        self.files.remove(&conn);
        let fault = Unopened::Fault(Fault::Io(Errno::of(&error)));
        Some(Told::Opened(conn, Err(fault)))
    }

    /// Has a piece of it read; gives what is to be told where that cannot be begun.
    pub(super) fn read(&mut self, conn: ConnId, at: u64, length: usize) -> Option<Told> {
        let Some(Slot::Here(file)) = self.files.insert(conn, Slot::Away) else {
            self.files.remove(&conn);
            return Some(Told::Read(conn, Err(Unread::Changed)));
        };
        let error = self.worker.give(Work::Read { conn, file, at, length }).err()?;
        self.files.remove(&conn);
        Some(Told::Read(conn, Err(Unread::Io(Errno::of(&error)))))
    }

    /// It is done with.
    pub(super) fn close(&mut self, conn: ConnId) {
        self.files.remove(&conn);
    }

    /// What the worker did, but for what was closed meanwhile.
    pub(super) fn take_done(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        for done in self.worker.take_done() {
            match done {
                Done::Opened(conn, opened) if self.files.contains_key(&conn) => {
                    let opened = opened.map(|open| {
                        let what = open.what.clone();
                        self.files.insert(conn, Slot::Here(open));
                        what
                    });
                    told.push(Told::Opened(conn, opened));
                }
                Done::Read(conn, file, read) if self.files.contains_key(&conn) => {
                    self.files.insert(conn, Slot::Here(file));
                    told.push(Told::Read(conn, read));
                }
                Done::Opened(..) | Done::Read(..) => {}
            }
        }
        told
    }
}

fn perform(work: Work) -> Option<Done> {
    match work {
        Work::Open { conn, file } => Some(Done::Opened(conn, open(&file))),
        Work::Read { conn, file, at, length } => {
            let read = read(&file, at, length);
            Some(Done::Read(conn, file, read))
        }
    }
}

/// Opens a file, or the compressed one beside it.
fn open(wanted: &Wanted) -> Result<OpenFile, Unopened> {
    let names: Vec<&str> = wanted.names.iter().map(String::as_str).collect();
    let plain = open_one(wanted, &names, false)?;
    let Some((last, before)) = names.split_last().filter(|_| wanted.gzip) else { return Ok(plain) };
    let compressed = format!("{last}.gz");
    let names = [before, &[&compressed]].concat();
    Ok(open_one(wanted, &names, true).unwrap_or(plain))
}

fn open_one(wanted: &Wanted, names: &[&str], gzip: bool) -> Result<OpenFile, Unopened> {
    let file = match beneath::open(&wanted.root, names).map_err(Unopened::Fault)? {
        Found::File(file) => file,
        Found::Folder => return Err(Unopened::Folder),
    };
    match file.metadata() {
        Ok(found) => Ok(OpenFile { what: what(&found, gzip), file }),
        Err(error) => Err(Unopened::Fault(error.into())),
    }
}

fn what(found: &Metadata, gzip: bool) -> What {
    let seconds = Duration::from_secs(u64::try_from(found.mtime()).unwrap_or(0));
    let nanos = Duration::from_nanos(u64::try_from(found.mtime_nsec()).unwrap_or(0));
    let modified: SystemTime = UNIX_EPOCH.checked_add(seconds + nanos).unwrap_or(UNIX_EPOCH);
    What { length: found.len(), modified, inode: found.ino(), gzip }
}

/// Reads a piece, as long as the file is what it was. That is asked behind the reading: whoever writes to it sets
/// its time before its bytes.
fn read(open: &OpenFile, at: u64, length: usize) -> Result<Vec<u8>, Unread> {
    let told = |error: io::Error| Unread::Io(Errno::of(&error));
    let mut bytes = vec![0; length];
    match open.file.read_exact_at(&mut bytes, at) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(Unread::Changed),
        other => other.map_err(told)?,
    }
    let found = open.file.metadata().map_err(told)?;
    match what(&found, open.what.gzip) == open.what {
        true => Ok(bytes),
        false => Err(Unread::Changed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, OpenOptions};
    use std::io::Write as _;
    use std::path::Path;

    fn wanted(root: &Path, name: &str, gzip: bool) -> Wanted {
        Wanted { root: root.to_owned(), names: vec![name.into()], gzip }
    }

    fn opened(root: &Path, name: &str, gzip: bool) -> OpenFile {
        let opened = open(&wanted(root, name, gzip));
        opened.unwrap_or_else(|why| panic!("{name}: {why:?}"))
    }

    #[test]
    fn a_file_is_read_as_long_as_it_is_what_it_was() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a");
        let write = |text: &str| fs::write(&path, text).expect("written");
        write("0123456789");
        let file = opened(dir.path(), "a", false);
        assert_eq!(file.what.length, 10);
        assert_eq!(read(&file, 3, 4), Ok(b"3456".to_vec()));
        assert_eq!(read(&file, 8, 4), Err(Unread::Changed), "there is no more");
        // One that is put in its place is another.
        fs::write(dir.path().join("b"), "other").expect("written");
        fs::rename(dir.path().join("b"), &path).expect("renamed");
        assert_eq!(read(&file, 0, 10), Ok(b"0123456789".to_vec()));
        let file = opened(dir.path(), "a", false);
        let times = fs::FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(1));
        OpenOptions::new().write(true).open(&path).expect("there").set_times(times).expect("ours");
        assert_eq!(read(&file, 0, 5), Err(Unread::Changed), "it was touched");
        let file = opened(dir.path(), "a", false);
        let mut longer = OpenOptions::new().append(true).open(&path).expect("there");
        longer.write_all(b"!").expect("written");
        assert_eq!(read(&file, 0, 5), Err(Unread::Changed), "it is longer");
        let file = opened(dir.path(), "a", false);
        write("");
        assert_eq!(read(&file, 0, 5), Err(Unread::Changed), "it is empty");
    }

    #[test]
    fn the_compressed_one_is_taken_where_it_is_wanted_and_there() {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, text) in [("a", "plain"), ("a.gz", "packed"), ("b", "plain"), ("c.gz", "packed")]
        {
            fs::write(dir.path().join(name), text).expect("written");
        }
        fs::create_dir(dir.path().join("b.gz")).expect("made");
        let found = |name: &str, gzip: bool| {
            let file = opened(dir.path(), name, gzip);
            let length = usize::try_from(file.what.length).expect("short");
            let text = String::from_utf8(read(&file, 0, length).expect("read")).expect("text");
            (text, file.what.gzip)
        };
        assert_eq!(found("a", false), ("plain".into(), false));
        assert_eq!(found("a", true), ("packed".into(), true));
        assert_eq!(found("b", true), ("plain".into(), false));
        assert_eq!(found("c.gz", true), ("packed".into(), false));
        let none = open(&wanted(dir.path(), "c", true)).err();
        assert_eq!(none, Some(Unopened::Fault(Fault::Io(Errno(libc::ENOENT)))));
        assert_eq!(open(&wanted(dir.path(), "b.gz", true)).err(), Some(Unopened::Folder));
    }
}
