//! The files of the state directory. A line is appended at once, before any client is told of what
//! it means; a whole file is written beside the old one and takes its name when it is complete, so
//! that at no moment less is in the directory than was promised. Writing through to the disk is the
//! worker's, but at the start.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::work::Worker;
use crate::base::error::Errno;
use crate::base::sorted::SortedMap;
use crate::node::machine::{StateFile, Write};

/// Writes through to the disk.
pub type Disk = Worker<Work, Done>;

/// Something slow to do.
pub enum Work {
    /// Write this file from its beginning, through to the disk.
    Write {
        /// Comes back with the result.
        file: StateFile,
        /// Where to.
        into: File,
        /// What.
        bytes: Vec<u8>,
    },
    /// Make sure that what was written to this file is on the disk.
    Sync {
        /// Comes back with the result.
        file: StateFile,
        /// Which.
        of: File,
    },
    /// Make sure that the names in this directory are on the disk.
    SyncDirectory(PathBuf),
}

/// Something slow that was done.
pub enum Done {
    /// A file was written.
    Written(StateFile, Result<File, Errno>),
    /// A file is on the disk, or not.
    Synced(StateFile, Result<(), Errno>),
}

/// The open state files.
pub struct Files {
    directory: PathBuf,
    /// Whether anything is to outlive us.
    keeps: bool,
    open: SortedMap<StateFile, Open>,
}

struct Open {
    file: File,
    /// A whole new file is being written; what is appended meanwhile goes to both.
    replacing: Option<Vec<u8>>,
    /// What was asked for meanwhile is to be in the new one's place as soon as that is written.
    outdated_by: Option<Vec<u8>>,
    syncing: bool,
    /// Written to since the running sync began.
    unsynced: bool,
    /// The last append failed, and may have left half a line.
    torn: bool,
}

impl Files {
    /// Files in this directory.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, keeps: true, open: SortedMap::new() }
    }

    /// Files that keep nothing: every write goes well, and none leaves a trace.
    pub fn nowhere() -> Self {
        Self { directory: PathBuf::new(), keeps: false, open: SortedMap::new() }
    }

    /// Carries a write out. Tells that it failed, or that the file is replaced; `None` when an append
    /// went well, or when the result comes later.
    pub fn write(
        &mut self,
        file: StateFile,
        write: Write,
        worker: &mut Disk,
    ) -> Option<Result<(), Errno>> {
        if !self.keeps {
            return matches!(write, Write::Replace(_)).then_some(Ok(()));
        }
        let result = match write {
            Write::Append(bytes) => self.append(file, &bytes, worker).map(|()| false),
            Write::Replace(bytes) => self.replace(file, bytes, worker),
        };
        match result {
            Ok(true) => Some(Ok(())),
            Ok(false) => None,
            Err(error) => Some(Err(Errno::of(&error))),
        }
    }

    fn append(&mut self, file: StateFile, bytes: &[u8], worker: &mut Disk) -> io::Result<()> {
        let Some(open) = self.open.get_mut(&file) else {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        };
        if let Some(queued) = &mut open.replacing {
            queued.extend_from_slice(bytes);
        }
        let written = if open.torn {
            // What comes behind half a line must not become part of it.
            open.file.write_all(&[b"\n", bytes].concat())
        } else {
            open.file.write_all(bytes)
        };
        open.torn = written.is_err();
        written.and_then(|()| open.sync_soon(file, worker))
    }

    /// Writes a whole file through to the disk, while there is no loop that could not wait for it.
    ///
    /// # Errors
    /// The file is as it was before.
    pub fn write_at_once(&mut self, file: StateFile, bytes: &[u8]) -> io::Result<()> {
        let mut fresh = create(&self.beside(file))?;
        fresh.write_all(bytes)?;
        fresh.sync_all()?;
        self.take_over(file, fresh)?;
        // What is appended from now on is only found under the new file's name.
        sync_directory(&self.directory)
    }

    /// True when it is complete at once.
    fn replace(&mut self, file: StateFile, bytes: Vec<u8>, worker: &mut Disk) -> io::Result<bool> {
        if let Some(open) = self.open.get_mut(&file).filter(|open| open.replacing.is_some()) {
            open.replacing = Some(Vec::new());
            open.outdated_by = Some(bytes);
            return Ok(false);
        }
        let path = self.beside(file);
        match self.open.get_mut(&file) {
            Some(open) if needs_disk(file) => {
                let fresh = create(&path)?;
                worker.give(Work::Write { file, into: fresh, bytes })?;
                open.replacing = Some(Vec::new());
                Ok(false)
            }
            Some(_) | None if needs_disk(file) => {
                self.write_at_once(file, &bytes)?;
                Ok(true)
            }
            Some(_) | None => {
                let mut fresh = create(&path)?;
                fresh.write_all(&bytes)?;
                self.take_over(file, fresh)?;
                Ok(true)
            }
        }
    }

    /// Lets a complete file take the old one's name.
    fn take_over(&mut self, file: StateFile, fresh: File) -> io::Result<()> {
        let path = self.directory.join(file.name());
        if matches!(file, StateFile::Keys | StateFile::Users) {
            back_up(&path, &self.directory.join(format!("{}.bak", file.name())))?;
        }
        fs::rename(self.beside(file), path)?;
        let open = Open {
            file: fresh,
            replacing: None,
            outdated_by: None,
            syncing: false,
            unsynced: false,
            torn: false,
        };
        self.open.insert(file, open);
        Ok(())
    }

    fn beside(&self, file: StateFile) -> PathBuf {
        self.directory.join(format!("{}.new", file.name()))
    }

    /// What the worker did. Gives a result that the machine is to hear of.
    pub fn done(
        &mut self,
        done: Done,
        worker: &mut Disk,
    ) -> Option<(StateFile, Result<(), Errno>)> {
        match done {
            Done::Written(file, _) if self.is_outdated(file) => {
                let result = self.begin_again(file, worker);
                result.err().map(|error| (file, Err(Errno::of(&error))))
            }
            Done::Written(file, Ok(fresh)) => {
                let result = self.complete(file, fresh, worker);
                Some((file, result.map_err(|error| Errno::of(&error))))
            }
            Done::Written(file, Err(errno)) => {
                if let Some(open) = self.open.get_mut(&file) {
                    open.replacing = None;
                }
                Some((file, Err(errno)))
            }
            Done::Synced(file, result) => {
                let open = self.open.get_mut(&file)?;
                open.syncing = false;
                if std::mem::take(&mut open.unsynced) {
                    let again = open.sync_soon(file, worker);
                    let again = again.map_err(|error| Errno::of(&error));
                    return result.and(again).err().map(|errno| (file, Err(errno)));
                }
                result.err().map(|errno| (file, Err(errno)))
            }
        }
    }

    fn is_outdated(&self, file: StateFile) -> bool {
        self.open.get(&file).is_some_and(|open| open.outdated_by.is_some())
    }

    /// The new file was written, but is not what is wanted any more.
    fn begin_again(&mut self, file: StateFile, worker: &mut Disk) -> io::Result<()> {
        let path = self.beside(file);
        let Some(open) = self.open.get_mut(&file) else { return Ok(()) };
        let (bytes, queued) = (open.outdated_by.take(), open.replacing.take());
        let into = create(&path)?;
        worker.give(Work::Write { file, into, bytes: bytes.unwrap_or_default() })?;
        open.replacing = queued;
        Ok(())
    }

    fn complete(&mut self, file: StateFile, mut fresh: File, worker: &mut Disk) -> io::Result<()> {
        let queued = self.open.get_mut(&file).and_then(|open| open.replacing.take());
        fresh.write_all(&queued.unwrap_or_default())?;
        self.take_over(file, fresh)?;
        worker.give(Work::SyncDirectory(self.directory.clone()))?;
        match self.open.get_mut(&file) {
            Some(open) => open.sync_soon(file, worker),
            None => Ok(()),
        }
    }
}

impl Open {
    fn sync_soon(&mut self, file: StateFile, worker: &mut Disk) -> io::Result<()> {
        if !needs_disk(file) {
            return Ok(());
        }
        if self.syncing {
            self.unsynced = true;
            return Ok(());
        }
        self.syncing = true;
        worker.give(Work::Sync { file, of: self.file.try_clone()? })
    }
}

/// Does what is slow.
pub(super) fn perform(work: Work) -> Option<Done> {
    match work {
        Work::Write { file, mut into, bytes } => {
            let written = into.write_all(&bytes).and_then(|()| into.sync_all());
            Some(Done::Written(file, written.map(|()| into).map_err(|e| Errno::of(&e))))
        }
        Work::Sync { file, of } => {
            Some(Done::Synced(file, of.sync_data().map_err(|error| Errno::of(&error))))
        }
        Work::SyncDirectory(path) => {
            if let Err(error) = sync_directory(&path) {
                log::warn!("the names in {} may not be on the disk: {error}", path.display());
            }
            None
        }
    }
}

/// Makes sure that the names in a directory are on the disk. A file system that cannot do this
/// (EINVAL, fsync(2)) does not need it.
fn sync_directory(path: &Path) -> io::Result<()> {
    match File::open(path).and_then(|directory| directory.sync_all()) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        other => other,
    }
}

/// Whether a file means something after the machine has lost its power. What ran then, runs no more; and how
/// the last runs ended is not worth a write to the disk for each.
fn needs_disk(file: StateFile) -> bool {
    match file {
        StateFile::Jobs
        | StateFile::Keys
        | StateFile::Users
        | StateFile::Webhooks
        | StateFile::Deliveries => true,
        StateFile::Running | StateFile::Deaths => false,
    }
}

/// Keeps a file as it is under another name, too, until the next time.
fn back_up(path: &Path, backup: &Path) -> io::Result<()> {
    let absent_is_well = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    };
    absent_is_well(fs::remove_file(backup))?;
    absent_is_well(fs::hard_link(path, backup))
}

fn create(path: &Path) -> io::Result<File> {
    // Whatever lies there is a rest of ours or a trap: never written through.
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC;
    OpenOptions::new().append(true).create_new(true).mode(0o600).custom_flags(flags).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Poll, Token, Waker};
    use std::sync::Arc;

    const JOBS: StateFile = StateFile::Jobs;

    struct Fixture {
        folder: tempfile::TempDir,
        files: Files,
        worker: Disk,
        _poll: Poll,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let poll = Poll::new().expect("a poll");
            let waker = Waker::new(poll.registry(), Token(0)).expect("a waker");
            let files = Files::new(folder.path().to_owned());
            Self { folder, files, worker: Worker::new(Arc::new(waker), perform), _poll: poll }
        }

        fn write(&mut self, write: Write) -> Option<Result<(), Errno>> {
            self.files.write(JOBS, write, &mut self.worker)
        }

        fn append(&mut self, text: &str) {
            assert_eq!(self.write(Write::Append(text.into())), None, "it went well");
        }

        fn content(&self) -> String {
            fs::read_to_string(self.folder.path().join("jobs")).expect("it is there")
        }

        /// Lets the worker do all that it was given, and what follows from it.
        fn work(&mut self) {
            loop {
                self.worker.finish();
                let all = self.worker.take_done();
                if all.is_empty() {
                    return;
                }
                for done in all {
                    let told = self.files.done(done, &mut self.worker);
                    assert!(told.is_none_or(|(_, result)| result.is_ok()));
                }
            }
        }
    }

    #[test]
    fn at_no_moment_less_is_on_disk_than_was_promised() {
        let mut disk = Fixture::new();
        assert_eq!(disk.write(Write::Replace(b"a".to_vec())), Some(Ok(())), "at once, at first");
        disk.append("b");
        assert_eq!(disk.write(Write::Replace(b"AB".to_vec())), None, "in the background, then");
        disk.append("c");
        assert_eq!(disk.content(), "abc", "the old file goes on until the new one is whole");
        disk.work();
        assert_eq!(disk.content(), "ABc");
        disk.append("d");
        assert_eq!(disk.content(), "ABcd");
    }

    #[test]
    fn a_replacement_that_is_outdated_before_it_is_written_never_shows() {
        let mut disk = Fixture::new();
        disk.write(Write::Replace(b"a".to_vec()));
        disk.write(Write::Replace(b"B".to_vec()));
        disk.append("b");
        disk.write(Write::Replace(b"AB".to_vec()));
        disk.append("c");
        assert_eq!(disk.content(), "abc");
        disk.work();
        assert_eq!(disk.content(), "ABc");
        assert_eq!(fs::read_dir(disk.folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn files_that_keep_nothing_take_every_write_and_leave_no_trace() {
        let (mut disk, mut files) = (Fixture::new(), Files::nowhere());
        let early = files.write(JOBS, Write::Append(b"a".to_vec()), &mut disk.worker);
        let whole = files.write(JOBS, Write::Replace(b"a".to_vec()), &mut disk.worker);
        assert_eq!((early, whole), (None, Some(Ok(()))));
        assert!(files.open.is_empty() && !Path::new(StateFile::Jobs.name()).exists());
    }

    #[test]
    fn what_is_appended_behind_half_a_line_does_not_join_it() {
        let mut disk = Fixture::new();
        disk.write(Write::Replace(b"a\nhal".to_vec()));
        let full = OpenOptions::new().append(true).open("/dev/full").expect("there is one");
        let open = disk.files.open.get_mut(&JOBS).expect("just written");
        let real = std::mem::replace(&mut open.file, full);
        assert_eq!(disk.write(Write::Append(b"f\n".to_vec())), Some(Err(Errno(libc::ENOSPC))));
        disk.files.open.get_mut(&JOBS).expect("still open").file = real;
        disk.append("b\n");
        disk.append("c\n");
        assert_eq!(disk.content(), "a\nhal\nb\nc\n");
    }

    #[test]
    fn a_file_that_cannot_be_made_is_an_error_and_a_link_is_not_followed() {
        let mut disk = Fixture::new();
        let path = disk.folder.path().to_owned();
        let elsewhere = path.join("elsewhere");
        fs::write(&elsewhere, "untouched").expect("a file");
        std::os::unix::fs::symlink(&elsewhere, path.join("jobs.new")).expect("a link");
        assert_eq!(disk.write(Write::Replace(b"a".to_vec())), Some(Ok(())));
        assert_eq!(fs::read_to_string(elsewhere).ok().as_deref(), Some("untouched"));
        let mut nowhere = Files::new(path.join("nowhere"));
        let failed = nowhere.write(JOBS, Write::Replace(Vec::new()), &mut disk.worker);
        assert_eq!(failed, Some(Err(Errno(libc::ENOENT))));
        let failed = nowhere.write(JOBS, Write::Append(Vec::new()), &mut disk.worker);
        assert_eq!(failed, Some(Err(Errno(libc::EBADF))));
    }
}
