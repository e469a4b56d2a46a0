//! What /proc tells of processes (proc(5)). Everything here is a look at one moment: by the time
//! the caller reads it, the process may be gone, so an absence is an answer and never an error.
//!
//! A pid alone names no process, because the kernel uses it again; a pid with its `start_time`
//! does, until the next boot.

use std::fs::{self, File, ReadDir};
use std::io;
use std::io::Read;
use std::os::unix::fs::FileExt as _;

use crate::base::ids::OsPid;
use crate::base::limits;

/// One line of /proc/PID/stat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The process.
    pub os_pid: OsPid,
    /// Its parent; 0 for the first process and for one whose parent is outside our namespace.
    pub ppid: i32,
    /// Its process group.
    pub pgrp: i32,
    /// Its session.
    pub session: i32,
    /// `R` running, `S` sleeping, `D` in uninterruptible sleep, `T` stopped, `Z` zombie and so on.
    pub state: u8,
    /// Processor time it has used, user and system, of all its threads, in clock ticks.
    pub cpu_ticks: u64,
    /// Number of its threads.
    pub threads: u32,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
    /// Virtual memory, in bytes.
    pub vms_bytes: u64,
    /// Resident memory, in bytes.
    pub rss_bytes: u64,
}

/// What is known of one process; `None` if there is none with this pid. A zombie still counts.
pub fn stat(os_pid: OsPid) -> Option<Stat> {
    StatReader::default().read(&open_stat(os_pid).ok()?).ok()
}

/// Opens /proc/PID/stat. The file stays bound to its process: when that is gone and reaped, reading it
/// fails, whoever has the pid then.
///
/// # Errors
/// As open(2): ENOENT if there is no such process.
pub fn open_stat(os_pid: OsPid) -> io::Result<File> {
    File::open(format!("/proc/{os_pid}/stat"))
}

/// Reads files of [`open_stat`], again and again, without allocating.
pub struct StatReader {
    line: [u8; STAT_LINE],
    page_size: u64,
}

/// More than the name and the first 24 fields of a line can take; what is behind them is not needed.
const STAT_LINE: usize = 1024;

impl Default for StatReader {
    fn default() -> Self {
        Self { line: [0; STAT_LINE], page_size: page_size() }
    }
}

impl StatReader {
    /// What the file says now.
    ///
    /// # Errors
    /// The process is gone (ESRCH).
    pub fn read(&mut self, file: &File) -> io::Result<Stat> {
        let length = file.read_at(&mut self.line, 0)?;
        let line = self.line.get(..length).unwrap_or_default();
        parse_stat(line, self.page_size).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// The pids of all processes that can be seen, as the walk comes to them.
pub struct Pids(ReadDir);

/// Begins a walk over all processes; `None` without /proc or without a descriptor for it.
pub fn pids() -> Option<Pids> {
    fs::read_dir("/proc").ok().map(Pids)
}

impl Iterator for Pids {
    type Item = OsPid;

    fn next(&mut self) -> Option<OsPid> {
        loop {
            let entry = self.0.next()?.ok()?;
            let name = entry.file_name();
            let pid = number(&mut name.as_encoded_bytes().iter());
            if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()) {
                return Some(OsPid(pid));
            }
        }
    }
}

/// All processes that can be seen, in no particular order. `None` if one could not be looked at
/// although it is there, for want of descriptors: what is missing then may well live.
pub fn sweep() -> Option<Vec<Stat>> {
    let mut reader = StatReader::default();
    let mut found = Vec::new();
    for os_pid in pids()? {
        match open_stat(os_pid).and_then(|file| reader.read(&file)) {
            Ok(stat) => found.push(stat),
            Err(error) if is_starved(&error) => return None,
            // It has gone meanwhile.
            Err(_) => {}
        }
    }
    Some(found)
}

/// Whether a file could not be opened for want of descriptors or memory: what it tells of may live.
pub fn is_starved(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM))
}

/// How many descriptors a process has open; `None` if it is gone or not ours to look at.
pub fn count_fds(os_pid: OsPid) -> Option<usize> {
    let path = format!("/proc/{os_pid}/fd");
    // Linux 6.2 and later answer the number as the directory's size; older ones say 0.
    let told = fs::metadata(&path).ok().and_then(|meta| usize::try_from(meta.len()).ok());
    match told {
        Some(number) if number > 0 => Some(number),
        Some(_) | None => fs::read_dir(&path).ok().map(Iterator::count),
    }
}

/// The proportional share of memory of a process, in bytes: its own pages, and of those that it shares its
/// part (proc(5), /proc/PID/smaps_rollup). The kernel walks over all its pages for that. One that has none,
/// or is gone, has 0; `None` where the kernel does not tell, for want of rights or of that file.
pub fn pss(os_pid: OsPid) -> Option<u64> {
    match fs::read_to_string(format!("/proc/{os_pid}/smaps_rollup")) {
        Ok(text) => parse_pss(&text),
        Err(error) => {
            let gone = match error.raw_os_error() {
                Some(libc::ESRCH) => true,
                // Before Linux 4.14 no process has this file.
                Some(libc::ENOENT) => open_stat(os_pid).is_err(),
                Some(_) | None => false,
            };
            gone.then_some(0)
        }
    }
}

fn parse_pss(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

/// What most environments fit into, in bytes.
const USUAL_ENVIRON: usize = 8 * 1024;

/// The environment with which a process was started.
#[derive(Default)]
pub struct Environ(Vec<u8>);

impl Environ {
    /// Reads that of a process, into the memory of the last one. One that has only just been spawned may not show
    /// it yet: the kernel lets the parent go on a moment earlier. Whether it could be read.
    pub fn read(&mut self, os_pid: OsPid) -> bool {
        self.0.clear();
        // Most fit into this, and need one read.
        self.0.reserve(USUAL_ENVIRON);
        let file = File::open(format!("/proc/{os_pid}/environ"));
        let read = file.and_then(|file| file.take(limits::ENVIRON).read_to_end(&mut self.0));
        read.is_ok()
    }

    /// The value of a variable.
    pub fn value(&self, name: &str) -> Option<String> {
        let value = self
            .0
            .split(|byte| *byte == 0)
            .find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
        Some(String::from_utf8_lossy(value).into_owned())
    }
}

/// Our own children, dead ones that nobody has reaped included. A child that ends while this looks
/// may hide another; a second look finds it.
pub fn own_children() -> Vec<OsPid> {
    if let Some(children) = listed_children("self") {
        return children;
    }
    // A kernel without CONFIG_PROC_CHILDREN.
    let own = i64::from(std::process::id());
    let is_ours = |stat: &Stat| i64::from(stat.ppid) == own;
    sweep().unwrap_or_default().into_iter().filter(is_ours).map(|stat| stat.os_pid).collect()
}

/// What a process's program is called, cut after 15 bytes; `None` if it is gone.
pub fn name(os_pid: OsPid) -> Option<String> {
    let bytes = fs::read(format!("/proc/{os_pid}/comm")).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

/// A process and all that came from it, parents before their children, up to so many; and of its group
/// those who have lost their parents to us. Empty if it is gone.
pub fn tree(leader: OsPid, most: usize) -> Vec<Stat> {
    let of_group = |os_pid: &OsPid| stat(*os_pid).is_some_and(|found| found.pgrp == leader.0);
    let orphans = own_children().into_iter().filter(|os_pid| *os_pid != leader).filter(of_group);
    let mut waiting: Vec<OsPid> = orphans.chain([leader]).collect();
    // A kernel without CONFIG_PROC_CHILDREN tells parents only.
    let lists = listed_children("self").is_some();
    let all = if lists { Vec::new() } else { sweep().unwrap_or_default() };
    let mut found = Vec::new();
    while let Some(os_pid) = waiting.pop() {
        if found.len() == most {
            break;
        }
        let Some(stat) = stat(os_pid) else { continue };
        found.push(stat);
        let swept = all.iter().filter(|stat| stat.ppid == os_pid.0).map(|stat| stat.os_pid);
        let mut children: Vec<OsPid> = swept.collect();
        if lists {
            children = listed_children(&os_pid.to_string()).unwrap_or_default();
        }
        children.reverse();
        waiting.extend(children);
    }
    found
}

/// Names this boot of the machine: a new one each time.
pub fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

/// How many clock ticks of [`Stat`] make a second, usually 100.
pub fn clock_ticks_per_second() -> u64 {
    configured(libc::_SC_CLK_TCK).unwrap_or(100)
}

/// The machine's memory, in bytes; 0 if the system does not say.
pub fn physical_memory() -> u64 {
    configured(libc::_SC_PHYS_PAGES).unwrap_or(0).saturating_mul(page_size())
}

fn page_size() -> u64 {
    configured(libc::_SC_PAGESIZE).unwrap_or(4096)
}

/// A value of sysconf(3), if it has one.
fn configured(name: libc::c_int) -> Option<u64> {
    // SAFETY: sysconf takes a number and touches no memory of ours.
    let value = unsafe { libc::sysconf(name) };
    u64::try_from(value).ok().filter(|value| *value > 0)
}

fn listed_children(of: &str) -> Option<Vec<OsPid>> {
    let mut children = Vec::new();
    for task in fs::read_dir(format!("/proc/{of}/task")).ok()?.flatten() {
        let text = match fs::read_to_string(task.path().join("children")) {
            Ok(text) => text,
            // The thread ended meanwhile, unless the whole kind of file is missing.
            Err(_) if task.path().exists() => return None,
            Err(_) => continue,
        };
        children.extend(text.split_ascii_whitespace().flat_map(str::parse).map(OsPid));
    }
    Some(children)
}

/// Reads the line `42 (its name) S 1 …`. The name may hold spaces and parentheses, so the fields
/// are counted from the last closing one.
fn parse_stat(line: &[u8], page_size: u64) -> Option<Stat> {
    let (pid, fields) = split_stat(line)?;
    let mut fields = Fields(fields.iter());
    // The numbers are those of proc(5).
    let state = fields.byte()?; // 3
    let ppid = fields.small()?; // 4
    let pgrp = fields.small()?; // 5
    let session = fields.small()?; // 6
    fields.skip(7)?;
    let user = fields.number()?; // 14
    let system = fields.number()?; // 15
    fields.skip(4)?;
    let threads = u32::try_from(fields.number()?).ok()?; // 20
    fields.skip(1)?;
    let start_time = fields.number()?; // 22
    let vms_bytes = fields.number()?; // 23
    let rss_pages = fields.number()?; // 24
    Some(Stat {
        os_pid: OsPid(pid),
        ppid,
        pgrp,
        session,
        state,
        cpu_ticks: user.saturating_add(system),
        threads,
        start_time,
        vms_bytes,
        rss_bytes: rss_pages.saturating_mul(page_size),
    })
}

/// The pid, and what follows the name and its space.
fn split_stat(line: &[u8]) -> Option<(i32, &[u8])> {
    let open = line.iter().position(|byte| *byte == b'(')?;
    let close = line.iter().rposition(|byte| *byte == b')')?;
    let pid = line.get(..open)?.strip_suffix(b" ")?;
    let pid = i32::try_from(number(&mut pid.iter())?).ok()?;
    Some((pid, line.get(close + 1..)?.strip_prefix(b" ")?))
}

/// Fields of a line, each with one space or the end behind it.
struct Fields<'a>(std::slice::Iter<'a, u8>);

impl Fields<'_> {
    fn skip(&mut self, count: usize) -> Option<()> {
        (0..count).try_for_each(|_| self.0.find(|byte| **byte == b' ').map(drop))
    }

    fn number(&mut self) -> Option<u64> {
        number(&mut self.0)
    }

    fn small(&mut self) -> Option<i32> {
        i32::try_from(self.number()?).ok()
    }

    /// A field of one letter.
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.0.next()?;
        (*self.0.next()? == b' ').then_some(byte)
    }
}

/// A number and the space behind it, or the end.
fn number(bytes: &mut std::slice::Iter<'_, u8>) -> Option<u64> {
    let (mut value, mut digits) = (0_u64, 0);
    for byte in bytes {
        match byte {
            b'0'..=b'9' => value = value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?,
            b' ' | b'\n' => break,
            _ => return None,
        }
        digits += 1;
    }
    (digits > 0).then_some(value)
}

/// A field of our own /proc/self/stat by its number in proc(5), from 3.
pub(super) fn own_stat_field(number: usize) -> Option<u64> {
    let line = fs::read("/proc/self/stat").ok()?;
    let (_, fields) = split_stat(&line)?;
    let mut fields = Fields(fields.iter());
    fields.skip(number.checked_sub(3)?)?;
    fields.number()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::order::Wiring;
    use crate::sys::testing;
    use std::io::Write;

    fn own() -> OsPid {
        OsPid(i32::try_from(std::process::id()).expect("a pid"))
    }

    #[test]
    fn the_proportional_share_is_found_among_its_parts() {
        let text = "55-7f ---p 00000000 00:00 0   [rollup]\nRss:   1848 kB\nPss:    294 kB\n\
            Pss_Dirty:  140 kB\nPss_Anon:   0 kB\n";
        assert_eq!(parse_pss(text), Some(294 * 1024));
        for none in ["", "Rss: 4 kB\n", "Pss: 4\n", "Pss: x kB\n", "Pss: 18446744073709551615 kB"] {
            assert_eq!(parse_pss(none), None, "{none:?}");
        }
        assert_eq!(pss(OsPid(i32::MAX)), Some(0), "who is gone has nothing");
    }

    #[test]
    fn a_name_with_spaces_and_parentheses_shifts_no_field() {
        let line =
            b"42 (a) S 9 (\xffb)) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22";
        let stat = parse_stat(line, 4096).expect("a stat line");
        assert_eq!((stat.os_pid, stat.state), (OsPid(42), b'R'));
        assert_eq!((stat.ppid, stat.pgrp, stat.session), (1, 2, 3));
        assert_eq!(stat.cpu_ticks, 11 + 12);
        assert_eq!((stat.threads, stat.start_time), (17, 19));
        assert_eq!((stat.vms_bytes, stat.rss_bytes), (20, 21 * 4096));
        let cut = line.strip_suffix(b" 21 22").expect("its end");
        assert_eq!(parse_stat(cut, 4096), None, "a field is missing");
        assert_eq!(parse_stat(&[cut, b" 21\n"].concat(), 4096), Some(stat));
        assert_eq!(parse_stat(&[cut, b" x\n"].concat(), 4096), None);
        assert_eq!(parse_stat(&[cut, b" 99999999999999999999\n"].concat(), 4096), None);
        for broken in [&b""[..], b"42", b"42 (a", b"42 (a)", b"x (a) R 1 2 3", b")(", b"1 )("] {
            assert_eq!(parse_stat(broken, 4096), None, "{broken:?}");
        }
    }

    #[test]
    fn we_find_ourselves() {
        let stat = stat(own()).expect("we live");
        assert_eq!(stat.os_pid, own());
        assert!(stat.threads >= 1 && stat.rss_bytes > 0 && stat.vms_bytes >= stat.rss_bytes);
        assert!(sweep().expect("descriptors").iter().any(|seen| seen.os_pid == own()
            && seen.start_time == stat.start_time
            && seen.session == stat.session));
        assert_eq!(own_stat_field(22), Some(stat.start_time));
        assert!(super::stat(OsPid(i32::MAX)).is_none());
    }

    #[test]
    fn an_open_file_tells_of_its_process_and_of_no_other() {
        let child = testing::spawner().spawn(&testing::order("cat", &["/dev/null"]));
        let child = child.expect("cat starts");
        let file = open_stat(child.os_pid).expect("it is not reaped");
        let mut reader = StatReader::default();
        for _ in 0..2 {
            let stat = reader.read(&file).expect("it is not reaped");
            assert_eq!((stat.os_pid, stat.start_time), (child.os_pid, child.start_time));
        }
        testing::wait(child.os_pid);
        let error = reader.read(&file).expect_err("it is gone");
        assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
    }

    #[test]
    fn descriptors_environment_and_children_of_a_process_are_seen() {
        let mut spawner = testing::spawner();
        let mut order = testing::order("cat", &[]);
        order.env.insert("GAFFER_RUN", "node:7=x");
        (order.stdin, order.stdout) = (Wiring::Pipe, Wiring::Pipe);
        let child = spawner.spawn(&order).expect("cat starts");
        let mut stdin = File::from(child.streams[0].1.try_clone().expect("a descriptor is free"));
        stdin.write_all(b"are you there\n").expect("room");
        assert_eq!(testing::read_line(&child.streams[1].1), "are you there\n");
        drop(stdin);
        let mut environ = Environ::default();
        assert!(environ.read(child.os_pid) && !Environ::default().read(OsPid(i32::MAX)));
        assert_eq!(environ.value("GAFFER_RUN").as_deref(), Some("node:7=x"));
        assert_eq!(environ.value("GAFFER"), None);
        assert_eq!(count_fds(child.os_pid), Some(3));
        assert!(own_children().contains(&child.os_pid));
        assert_eq!(stat(child.os_pid).map(|stat| stat.start_time), Some(child.start_time));
        drop(child.streams);
        testing::wait(child.os_pid);
        assert_eq!(count_fds(child.os_pid), None);
    }

    #[test]
    fn the_machine_says_what_it_is() {
        assert_eq!(boot_id().map(|id| id.len()), Some(36));
        assert!(clock_ticks_per_second() >= 1);
        assert!(physical_memory() > 1 << 20);
    }
}
