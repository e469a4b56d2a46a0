//! The state directory at the start: who owns it, and what the daemon before this one left in it.
//! Whatever is damaged is set aside and told; nothing found here keeps the daemon from supervising.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use log::{error, warn};
use serde_json::Value;

use crate::base::error::Errno;
use crate::node::gaffer::Legacy;
use crate::node::journal::{Journal, Loaded};
use crate::node::machine::StateFile;
use crate::node::state::running_from_value;
use crate::reactor::strays;
use crate::supervisor::facts::Stray;
use crate::sys::entropy::random_bytes;
use crate::sys::lock::{lock, LockError, Locked};
use crate::sys::own_file::{check_directory, make_directory, Fault};
use crate::sys::procfs;

/// The state directory of this daemon, held by its lock.
pub struct StateDirectory {
    path: PathBuf,
    _lock: Option<Locked>,
    /// The node's own word, the same in all its lives.
    family: String,
    /// The word of this life: `family` and a part of its own.
    pub node: String,
}

impl StateDirectory {
    /// Takes the directory, which is made if it is not there.
    ///
    /// # Errors
    /// Another daemon has it, others than its owner may write it, or it cannot be had at all. A disk that
    /// is full or read-only is no error: the daemon then runs without writing down what it does.
    pub fn take(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let inside = path.join("lock");
        let held = make_directory(path, None)
            .map_err(Fault::Io)
            .and_then(|_| check_directory(path, None))
            .map_err(LockError::Fault)
            .and_then(|()| lock(&inside, 0o600, None));
        let lock = match held {
            Ok(lock) => Some(lock),
            Err(LockError::Held { pid }) => {
                let pid = pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
                return Err(format!(
                    "{shown} is in use by another gafferd{pid}; choose another with --state-dir DIR"
                ));
            }
            Err(LockError::Fault(Fault::Io(errno))) if is_disk_trouble(errno) => None,
            Err(LockError::Fault(Fault::Directory(who))) => {
                return Err(format!(
                    "the state directory {shown}: {who} may write it; chmod go-w it, or choose another \
                     with --state-dir DIR"
                ));
            }
            Err(LockError::Fault(fault)) => {
                return Err(format!(
                    "the state directory {shown}: {fault}; choose another with --state-dir DIR"
                ));
            }
        };
        if let Some(lock) = &lock {
            // The pid is for people; the lock is what counts.
            let _ = lock.write_line(&std::process::id().to_string());
        }
        let family = family(path);
        let node = format!("{family}-{}", word());
        Ok(Self { path: path.to_owned(), _lock: lock, family, node })
    }

    /// Says who holds the directory, once the process has its final number.
    pub fn sign(&self) {
        match &self._lock {
            Some(lock) => drop(lock.write_line(&std::process::id().to_string())),
            None => error!(
                "the state directory {} cannot be written: what runs is not on record, and jobs \
                 loaded over the API will not outlive this daemon",
                self.path.display()
            ),
        }
    }

    /// What the daemon before this one left. `forget` leaves its jobs behind, but never its
    /// processes.
    ///
    /// # Errors
    /// Keys or users cannot be read: nobody is let in or kept out by half of them.
    pub fn legacy(&self, boot_id: &str, forget: bool) -> Result<Legacy, String> {
        let entries = |file| self.load(file).map(|loaded| loaded.entries).unwrap_or_default();
        let mut legacy = Legacy { deaths: entries(StateFile::Deaths), ..Legacy::default() };
        if let Some(loaded) = self.load(StateFile::Jobs) {
            if forget {
                let is_left = |value: &Value| {
                    let job = value.get("job").and_then(Value::as_str);
                    loaded.entries.iter().any(|(name, _)| job == Some(name))
                };
                legacy.deaths.retain(|(_, value)| !is_left(value));
                warn!("--forget: {} jobs of before are not loaded", loaded.entries.len());
            } else {
                legacy.jobs = loaded.entries;
            }
        }
        legacy.keys = self.load_whole(StateFile::Keys)?;
        legacy.users = self.load_whole(StateFile::Users)?;
        legacy.webhooks = entries(StateFile::Webhooks);
        legacy.deliveries = entries(StateFile::Deliveries);
        if let Some(loaded) = self.load(StateFile::Running) {
            let same_boot =
                loaded.header.get("boot_id").and_then(|id| id.as_str()) == Some(boot_id);
            let entries = loaded.entries.iter().filter(|_| same_boot);
            let recorded = entries.filter_map(|(key, value)| running_from_value(key, value));
            let alive =
                |start: u64, stat: procfs::Stat| stat.start_time == start && stat.state != b'Z';
            (legacy.running, legacy.vanished) = recorded.partition(|running| {
                procfs::stat(running.os_pid).is_some_and(|stat| alive(running.start_time, stat))
            });
        }
        // What a detached process has started goes on with it.
        let known = |stray: &Stray| {
            legacy.running.iter().any(|running| {
                let same_place = running.job == stray.job && running.number == stray.number;
                running.os_pid == stray.os_pid || running.detach && same_place
            })
        };
        let strays = strays::of_earlier_lives(&self.family, &self.node);
        let strays: Vec<_> = strays.into_iter().filter(|stray| !known(stray)).collect();
        legacy.strays = strays;
        Ok(legacy)
    }

    fn load(&self, file: StateFile) -> Option<Loaded> {
        let path = self.path.join(file.name());
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                error!("{} cannot be read: {}", path.display(), Errno::of(&error));
                return None;
            }
        };
        match Journal::load(file.name(), &bytes) {
            Ok(loaded) => {
                if !loaded.damage.is_empty() {
                    let aside = self.set_aside(&path, |from, to| fs::copy(from, to));
                    error!("{}: {}; {aside}", path.display(), loaded.damage.join(", "));
                }
                Some(loaded)
            }
            Err(unreadable) => {
                let aside = self.set_aside(&path, |from, to| fs::rename(from, to).map(|()| 0));
                error!("{} is not read: {unreadable}; {aside}", path.display());
                None
            }
        }
    }

    /// What is in a file of which nothing may be missing.
    ///
    /// # Errors
    /// Something is, with what to do.
    pub fn load_whole(&self, file: StateFile) -> Result<Vec<(String, Value)>, String> {
        let path = self.path.join(file.name());
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(format!("{}: {}", path.display(), Errno::of(&error))),
        };
        let why = match Journal::load(file.name(), &bytes) {
            Ok(loaded) if loaded.damage.is_empty() => return Ok(loaded.entries),
            Ok(loaded) => {
                // The last line of a machine that lost its power was never promised to anybody.
                let torn = loaded.damage.len() == 1 && !bytes.ends_with(b"\n");
                if torn {
                    warn!("{}: its last line is half written, and is left out", path.display());
                    return Ok(loaded.entries);
                }
                loaded.damage.join(", ")
            }
            Err(unreadable) => unreadable.to_string(),
        };
        let backup = self.path.join(format!("{}.bak", file.name()));
        let cure = if backup.exists() {
            format!("{} is how it was before: put that in its place", backup.display())
        } else {
            "put a backup in its place".to_owned()
        };
        let shown = path.display();
        Err(format!(
            "{shown} is damaged ({why}); {cure}, or move it away to begin without {}",
            file.name()
        ))
    }

    /// Keeps a damaged file under a name that nothing of ours will write over.
    fn set_aside(&self, path: &Path, put: impl Fn(&Path, &Path) -> io::Result<u64>) -> String {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let to = self.path.join(format!("{name}.damaged-{}", word()));
        match put(path, &to) {
            Ok(_) => format!("it is kept as {}", to.display()),
            Err(error) => format!("it could not be kept: {}", Errno::of(&error)),
        }
    }
}

/// The node's own word, from its file; made at its first start.
fn family(directory: &Path) -> String {
    let path = directory.join("node");
    let plain = |text: &String| text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let found = fs::read_to_string(&path).ok().map(|text| text.trim().to_owned());
    if let Some(word) = found.filter(plain) {
        return word;
    }
    let word = word();
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&path)
        .and_then(|mut file| file.write_all(format!("{word}\n").as_bytes()));
    if let Err(error) = written {
        warn!("{} cannot be written: {}", path.display(), Errno::of(&error));
    }
    word
}

/// Eight random hexadecimal digits.
pub(super) fn word() -> String {
    let mut bytes = [0; 4];
    if random_bytes(&mut bytes).is_err() {
        // What is told apart by it lives on this machine alone.
        bytes = std::process::id().to_le_bytes();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_disk_trouble(errno: Errno) -> bool {
    matches!(errno.0, libc::ENOSPC | libc::EROFS | libc::EIO | libc::EDQUOT)
}
