//! Starting a process with a clean world, whatever the daemon's own is like: its own session and
//! group, default signals and none blocked, no descriptor but its streams, and the ids, limits and
//! directory it was ordered with.
//!
//! By clone(2) with CLONE_VM and CLONE_VFORK: the child runs in our memory, on a stack of its own,
//! while we wait until it becomes its program or has said why it cannot. That costs the same 30
//! microseconds whatever the daemon's size, where fork(2) costs milliseconds. What the child does
//! in between is in `child`. The price is that a file system that hangs on opening the program
//! holds the daemon up as well.
//!
//! Nothing is left behind by a spawn that fails: no descriptor, no zombie.

use std::fs::{File, OpenOptions};
use std::os::fd::{OwnedFd, RawFd};
use std::ptr;
use std::{fmt, io};

use super::child::{self, Limit, Plan};
use super::listeners::Listeners;
use super::program::Program;
use super::wires::Wires;
use super::{last_errno, procfs, startup};
use crate::base::error::{Errno, Stage};
use crate::base::ids::{OsPid, StreamNo};
use crate::base::limits;
use crate::base::order::{Rlimit, SpawnOrder};

/// Starts children. Made once, for what every start needs.
pub struct Spawner {
    null: File,
    stack: Stack,
    original_nofile: Option<(u64, u64)>,
    listeners: Listeners,
}

/// A child that runs its program.
#[derive(Debug)]
pub struct Child {
    /// Its number, and that of its session and group.
    pub os_pid: OsPid,
    /// When it started, in clock ticks since boot; with the number it names the process until the
    /// next boot. 0 if there is no /proc.
    pub start_time: u64,
    /// Our ends of its streams, close-on-exec and non-blocking: the writing end of stdin's pipe,
    /// the reading ends of stdout's and stderr's, and a socket for each custom stream.
    pub streams: Vec<(StreamNo, OwnedFd)>,
}

/// Why there is no child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpawnError {
    /// How far it got.
    pub stage: Stage,
    /// What the kernel said.
    pub errno: Errno,
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.stage, self.errno)
    }
}

impl Spawner {
    /// `original_nofile` is the soft and hard limit of open descriptors that children get, where
    /// an order does not say otherwise; `None` leaves them the daemon's.
    ///
    /// # Errors
    /// /dev/null cannot be opened, or there is no memory for a stack.
    pub fn new(original_nofile: Option<(u64, u64)>) -> Result<Self, Errno> {
        let null = OpenOptions::new().read(true).write(true).open("/dev/null");
        let null = null.map_err(|error| Errno::of(&error))?;
        let listeners = Listeners::default();
        Ok(Self { null, stack: Stack::new()?, original_nofile, listeners })
    }

    /// Starts one process, and returns when it runs its program.
    ///
    /// # Errors
    /// Where it failed, and with what: `Pipe` and EMFILE when no descriptor is free, `Fork` and
    /// EAGAIN when no process is (`Exec` and EAGAIN for the child's own limit), `Cwd` or `Exec` and ENOENT when the order names what is not
    /// there, EINVAL when a text of it holds a NUL byte.
    pub fn spawn(&mut self, order: &SpawnOrder) -> Result<Child, SpawnError> {
        let failed = |(stage, errno)| SpawnError { stage, errno };
        let no_wire = |error: io::Error| failed((Stage::Pipe, Errno::of(&error)));
        let listener = order.listener.as_deref().map(|path| self.listeners.get(path));
        let listener = listener.transpose().map_err(no_wire)?;
        let wires = Wires::new(order, &self.null, listener).map_err(no_wire)?;
        let mut plan = self.plan(order, wires.places.clone()).map_err(failed)?;
        let os_pid = self.launch(&mut plan).map_err(failed)?;
        let start_time = procfs::stat(os_pid).map_or(0, |stat| stat.start_time);
        Ok(Child { os_pid, start_time, streams: wires.ours })
    }

    fn plan(&self, order: &SpawnOrder, fds: Vec<RawFd>) -> Result<Plan, child::Failure> {
        let invalid = |stage| move |_| (stage, Errno(libc::EINVAL));
        let cwd = order.cwd.as_deref().map(std::ffi::CString::new).transpose();
        let kernels = |limit: &Rlimit| libc::rlimit64 {
            rlim_cur: limit.soft.unwrap_or(libc::RLIM64_INFINITY),
            rlim_max: limit.hard.unwrap_or(libc::RLIM64_INFINITY),
        };
        let is_nofile = |limit: &&Rlimit| limit.resource == libc::RLIMIT_NOFILE;
        let original = self.original_nofile;
        let original =
            original.map(|(soft, hard)| libc::rlimit64 { rlim_cur: soft, rlim_max: hard });
        let nofile = order.rlimits.iter().rfind(is_nofile).map(kernels).or(original);
        let others = order.rlimits.iter().filter(|limit| !is_nofile(limit));
        let mut limits: Vec<Limit> = others.map(|limit| (limit.resource, kernels(limit))).collect();
        limits.extend(nofile.and_then(wider_nofile));
        Ok(Plan {
            program: Program::new(order)?,
            cwd: cwd.map_err(invalid(Stage::Cwd))?,
            identity: order.identity.clone(),
            capabilities: order.capabilities,
            no_new_privs: order.no_new_privs,
            umask: order.umask,
            limits,
            nofile,
            nice: order.nice,
            fds,
            failure: None,
        })
    }

    /// Makes the process and waits until it has become its program. All signals are blocked
    /// meanwhile: a handler that ran in the child would run in our memory.
    fn launch(&mut self, plan: &mut Plan) -> Result<OsPid, child::Failure> {
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let blocked = child::set_signal_mask(u64::MAX);
        // SAFETY: `run` gets the plan it expects, and the stack's top. Both live on while the
        // child uses them, because CLONE_VFORK keeps us here until it has left our memory, and
        // `&mut self` keeps any other child off the stack.
        let pid =
            unsafe { libc::clone(child::run, self.stack.top(), flags, ptr::from_mut(plan).cast()) };
        let errno = last_errno();
        child::set_signal_mask(blocked);
        if pid < 0 {
            return Err((Stage::Fork, errno));
        }
        let Some(failure) = plan.failure else { return Ok(OsPid(pid)) };
        bury(pid);
        Err(failure)
    }
}

/// The limit of descriptors to have while the streams are put in place: nowhere below the one we
/// have, and with the ceiling that is wanted in the end, which only root may raise. `None` if that
/// is what we have.
fn wider_nofile(wanted: libc::rlimit64) -> Option<Limit> {
    let (soft, hard) = startup::nofile()?;
    let wider =
        libc::rlimit64 { rlim_cur: wanted.rlim_cur.max(soft), rlim_max: wanted.rlim_max.max(hard) };
    let is_wider = wider.rlim_cur > soft || wider.rlim_max > hard;
    is_wider.then_some((libc::RLIMIT_NOFILE, wider))
}

/// Reaps a child that has failed. It is about to exit, so this waits for next to nothing.
fn bury(pid: i32) {
    loop {
        // SAFETY: with a null pointer the kernel writes nothing.
        let reaped = unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
        if reaped == pid || last_errno().0 != libc::EINTR {
            return;
        }
    }
}

/// The stack of a child between its making and its program, with an unmapped page below. One is
/// enough, because children are made one after the other.
struct Stack {
    base: *mut libc::c_void,
    size: usize,
}

impl Stack {
    fn new() -> Result<Self, Errno> {
        // At least a page on every machine.
        let guard = 64 * 1024;
        let size = guard + limits::CHILD_STACK;
        let (none, kind) = (libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at a place the kernel chooses.
        let base =
            unsafe { libc::mmap(ptr::null_mut(), size, none, kind | libc::MAP_STACK, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(last_errno());
        }
        let stack = Self { base, size };
        let usable = base.wrapping_byte_add(guard);
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the upper part of the mapping just made, which nobody uses yet.
        if unsafe { libc::mprotect(usable, limits::CHILD_STACK, access) } < 0 {
            return Err(last_errno());
        }
        Ok(stack)
    }

    /// Where a stack that grows downwards begins. A mapping's end is aligned for any machine.
    fn top(&self) -> *mut libc::c_void {
        self.base.wrapping_byte_add(self.size)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: our own mapping, and no child uses it: `spawn` returns only when its has left.
        unsafe { libc::munmap(self.base, self.size) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::capabilities::Capabilities;
    use crate::base::environment::Environment;
    use crate::base::order::{Identity, Wiring};
    use crate::base::process::{ExitStatus, Signal};
    use crate::sys::{testing, users};
    use std::fs;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::PermissionsExt;

    const DONE: ExitStatus = ExitStatus::Code(0);

    fn error(order: &SpawnOrder) -> SpawnError {
        testing::spawner().spawn(order).expect_err("it cannot start")
    }

    fn sh(script: &str) -> SpawnOrder {
        testing::order("sh", &["-c", script])
    }

    /// The value of a line `name: value` of /proc/PID/status.
    fn line<'a>(status: &'a str, name: &str) -> &'a str {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap_or_else(|| panic!("no {name} in {status}")).trim()
    }

    /// A file that only a process of its own has ever held open for writing, so that no child of
    /// another test's thread can hold it busy.
    fn script(directory: &tempfile::TempDir, name: &str, text: &str, mode: &str) -> String {
        let path = directory.path().join(name).to_str().expect("UTF-8").to_owned();
        let write = "printf '%s' \"$1\" > \"$2\" && chmod \"$3\" \"$2\"";
        let order = testing::order("sh", &["-c", write, "sh", text, &path, mode]);
        assert_eq!(testing::output(&order).1, DONE);
        path
    }

    #[test]
    fn the_world_of_a_child_is_clean() {
        // Ignored here, as Rust's runtime does with SIGPIPE, and blocked here.
        let blocked = child::set_signal_mask(0xff);
        // SAFETY: to ignore a signal that nobody sends concerns no memory.
        unsafe { libc::signal(libc::SIGRTMIN() + 7, libc::SIG_IGN) };
        let inherited = File::open("/dev/null").expect("a descriptor is free");
        // SAFETY: this only clears the close-on-exec flag of our own descriptor.
        unsafe { libc::fcntl(inherited.as_raw_fd(), libc::F_SETFD, 0) };
        let (status, _) = testing::output(&testing::order("cat", &["/proc/self/status"]));
        let (stat, _) = testing::output(&testing::order("cat", &["/proc/self/stat"]));
        let (fds, _) = testing::output(&testing::order("ls", &["/proc/self/fd"]));
        child::set_signal_mask(blocked);
        for field in ["SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd"] {
            assert_eq!(line(&status, field), "0000000000000000", "{field}");
        }
        let fields: Vec<&str> = stat.split(' ').collect();
        assert_eq!([fields[4], fields[5]], [fields[0]; 2], "group and session are its own");
        assert_eq!(fields[6], "0", "no terminal");
        assert_eq!(fds, "0\n1\n2\n3\n", "3 is the directory that ls lists");
    }

    #[test]
    fn the_arguments_and_the_environment_are_exactly_those_ordered() {
        let mut order = testing::order("sh", &["-c", "echo \"$0|$1|$2\"; env", "a b", "", "'\n"]);
        order.env = Environment::default();
        order.env.insert("PATH", "/usr/bin:/bin");
        order.env.insert("A", "=");
        let (text, ended) = testing::output(&order);
        let (words, env) = text.split_once("\n\n").expect("the last argument is a line end");
        assert_eq!((words, ended), ("a b||'", DONE));
        let mut env: Vec<&str> = env.lines().filter(|line| !line.starts_with("PWD=")).collect();
        env.sort_unstable();
        assert_eq!(env, ["A==", "PATH=/usr/bin:/bin", "_=/usr/bin/env"][..env.len()]);
        let (name, _) = testing::output(&testing::order("cat", &["/proc/self/cmdline"]));
        assert_eq!(name, "cat\0/proc/self/cmdline\0");
    }

    #[test]
    fn ids_are_set_for_good() {
        if !users::is_root() {
            println!("skipped: only root can start a process as another user");
            return;
        }
        let mut order = testing::order("cat", &["/proc/self/status"]);
        order.identity = Some(Identity { uid: 12345, gid: 23456, groups: vec![23456, 34567] });
        let (status, _) = testing::output(&order);
        assert_eq!(line(&status, "Uid"), ["12345"; 4].join("\t"));
        assert_eq!(line(&status, "Gid"), ["23456"; 4].join("\t"));
        assert_eq!(line(&status, "Groups"), "23456 34567");
        for rights in ["CapEff", "CapPrm"] {
            assert_eq!(line(&status, rights), "0000000000000000");
        }
        order.identity = Some(Identity { uid: 12345, gid: 23456, groups: Vec::new() });
        assert_eq!(line(&testing::output(&order).0, "Groups"), "");
        // -1 means "leave it" to the kernel, and must not leave it root's.
        order.identity = Some(Identity { uid: u32::MAX, gid: 1, groups: Vec::new() });
        assert_eq!(error(&order), SpawnError { stage: Stage::Uid, errno: Errno(libc::EPERM) });
        order.identity = Some(Identity { uid: 1, gid: u32::MAX, groups: Vec::new() });
        assert_eq!(error(&order), SpawnError { stage: Stage::Gid, errno: Errno(libc::EPERM) });
    }

    /// What a process of these rights may do, by the kernel's account of it: effective, permitted, bounds and
    /// ambient.
    fn rights(identity: Option<Identity>, kept: &[&str]) -> [u64; 4] {
        let mut order = testing::order("cat", &["/proc/self/status"]);
        order.identity = identity;
        order.capabilities = Some(Capabilities::of(kept.iter().copied()).expect("names"));
        let (status, _) = testing::output(&order);
        let set = |name: &str| u64::from_str_radix(line(&status, name), 16).expect("a set");
        ["CapEff", "CapPrm", "CapBnd", "CapAmb"].map(set)
    }

    #[test]
    fn the_capabilities_that_are_kept_are_all_there_are() {
        if !users::is_root() {
            println!("skipped: only root has capabilities to keep");
            return;
        }
        let user = || Some(Identity { uid: 12345, gid: 23456, groups: vec![23456] });
        let two = ["chown", "net_bind_service"];
        assert_eq!(rights(user(), &two), [1 | 1 << 10; 4]);
        assert_eq!(rights(user(), &[]), [0; 4]);
        assert_eq!(rights(None, &two), [1 | 1 << 10; 4], "root is no exception");
        assert_eq!(rights(None, &[]), [0; 4]);
    }

    #[test]
    fn no_program_gives_more_rights_where_that_is_forbidden() {
        let forbidden = |forbid| {
            let mut order = testing::order("cat", &["/proc/self/status"]);
            order.no_new_privs = forbid;
            line(&testing::output(&order).0, "NoNewPrivs").to_owned()
        };
        assert_eq!([forbidden(true), forbidden(false)], ["1", "0"]);
    }

    #[test]
    fn a_child_of_another_user_leaves_the_memory_it_shared_out_of_core_files() {
        if !users::is_root() {
            println!("skipped: only root can start a process as another user");
            return;
        }
        let name = "a_child_of_another_user_leaves_the_memory_it_shared_out_of_core_files";
        testing::alone(&format!("sys::spawn::tests::{name}"), || {
            startup::guard_memory();
            let mut order = sh("true");
            order.identity = Some(Identity { uid: 12345, gid: 23456, groups: vec![23456] });
            assert_eq!(testing::output(&order).1, DONE);
            assert!(!startup::is_dumpable());
        });
    }

    #[test]
    fn a_child_of_another_user_may_open_its_own_streams() {
        if !users::is_root() {
            println!("skipped: only root can start a process as another user");
            return;
        }
        let mut order = sh("echo told > /dev/stdout");
        order.identity = Some(Identity { uid: 12345, gid: 23456, groups: vec![23456] });
        assert_eq!(testing::output(&order), ("told\n".into(), DONE));
    }

    #[test]
    fn what_the_user_may_not_enter_is_refused() {
        if !users::is_root() {
            println!("skipped: only root can start a process as another user");
            return;
        }
        let directory = tempfile::tempdir().expect("a directory");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).expect("ours");
        let mut order = sh("true");
        order.cwd = Some(directory.path().to_str().expect("UTF-8").into());
        assert!(testing::spawner().spawn(&order).map(|child| testing::wait(child.os_pid)).is_ok());
        order.identity = Some(Identity { uid: 12345, gid: 23456, groups: vec![23456] });
        assert_eq!(error(&order), SpawnError { stage: Stage::Cwd, errno: Errno(libc::EACCES) });
    }

    #[test]
    fn umask_nice_directory_and_limits_are_set() {
        let mut order = sh("umask; nice; pwd; ulimit -Sn; ulimit -Hn; ulimit -Sc; ulimit -Hc");
        order.umask = Some(0o027);
        order.nice = Some(7);
        order.cwd = Some("/usr".into());
        let limit = |resource, soft, hard| Rlimit { resource, soft, hard };
        order.rlimits = vec![
            limit(libc::RLIMIT_NOFILE, Some(5), Some(100)),
            limit(libc::RLIMIT_CORE, Some(0), Some(1024 * 512)),
        ];
        let expected = "0027\n7\n/usr\n5\n100\n0\n1024\n";
        assert_eq!(testing::output(&order), (expected.into(), DONE));
        order.rlimits = vec![limit(libc::RLIMIT_NOFILE, Some(9), Some(5))];
        assert_eq!(error(&order), SpawnError { stage: Stage::Rlimit, errno: Errno(libc::EINVAL) });
    }

    #[test]
    fn children_get_the_original_limit_of_descriptors_back() {
        testing::alone(
            "sys::spawn::tests::children_get_the_original_limit_of_descriptors_back",
            || {
                let limit = libc::rlimit64 { rlim_cur: 32, rlim_max: 200 };
                // SAFETY: the kernel reads `limit`.
                assert_eq!(unsafe { libc::setrlimit64(libc::RLIMIT_NOFILE, &limit) }, 0);
                let original = startup::raise_nofile();
                assert_eq!((original, startup::nofile()), (Some((32, 200)), Some((200, 200))));
                let held: Vec<File> =
                    (0..100).map(|_| File::open("/dev/null").expect("raised")).collect();
                let mut order = sh("ulimit -Sn; ulimit -Hn; ls /proc/self/fd");
                order.stdout = Wiring::Pipe;
                let mut spawner = Spawner::new(original).expect("a stack and /dev/null");
                let child = spawner.spawn(&order).expect("its pipes lie above its limit");
                assert!(held.iter().all(|held| held.as_raw_fd() < child.streams[0].1.as_raw_fd()));
                assert_eq!(testing::read_all(&child.streams[0].1), "32\n200\n0\n1\n2\n3\n");
                testing::wait(child.os_pid);
            },
        );
    }

    #[test]
    fn streams_lead_where_they_should() {
        let mut order = sh("cat; echo err >&2; readlink /proc/self/fd/2");
        (order.stdin, order.stdout, order.stderr) = (Wiring::Pipe, Wiring::Pipe, Wiring::Pipe);
        let mut child = testing::spawner().spawn(&order).expect("it starts");
        let numbers: Vec<u16> = child.streams.iter().map(|(stream, _)| stream.0).collect();
        assert_eq!(numbers, [0, 1, 2]);
        let stdin = File::from(child.streams.remove(0).1);
        (&stdin).write_all(b"in\n").expect("cat reads");
        drop(stdin);
        let told = testing::read_all(&child.streams[0].1);
        assert!(told.starts_with("in\npipe:"), "{told}");
        assert_eq!(testing::read_all(&child.streams[1].1), "err\n");
        testing::wait(child.os_pid);
        let mut order = sh("echo out; echo err >&2");
        order.stderr = Wiring::Stdout;
        assert_eq!(testing::output(&order).0, "out\nerr\n");
        let (told, _) = testing::output(&sh("readlink /proc/self/fd/0; readlink /proc/self/fd/2"));
        assert_eq!(told, "/dev/null\n/dev/null\n");
    }

    #[test]
    fn our_ends_block_nobody_and_stay_with_us() {
        let mut order = sh("read line <&3");
        (order.stdin, order.stdout, order.custom) = (Wiring::Pipe, Wiring::Pipe, 1);
        let mut child = testing::spawner().spawn(&order).expect("it starts");
        for (stream, fd) in &child.streams {
            // SAFETY: this only reads flags.
            let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
            // SAFETY: as above.
            let close = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) };
            assert_ne!(flags & libc::O_NONBLOCK, 0, "{stream:?}");
            assert_eq!(close, libc::FD_CLOEXEC, "{stream:?}");
        }
        // The child's own end blocks, or `read` would fail at once.
        File::from(child.streams.remove(2).1).write_all(b"x\n").expect("room");
        assert_eq!(testing::wait(child.os_pid), DONE);
    }

    #[test]
    fn a_custom_stream_goes_both_ways() {
        let mut order = sh("read line <&4; echo \"$line back\" >&4; echo third >&3");
        order.custom = 2;
        let child = testing::spawner().spawn(&order).expect("it starts");
        let [(third, three), (fourth, four)] = &child.streams[..] else { panic!("two streams") };
        assert_eq!((third.0, fourth.0), (3, 4));
        let mut writer = File::from(four.try_clone().expect("a descriptor is free"));
        writer.write_all(b"there and\n").expect("room");
        assert_eq!(testing::read_all(four), "there and back\n");
        assert_eq!(testing::read_all(three), "third\n");
        assert_eq!(testing::wait(child.os_pid), DONE);
    }

    #[test]
    fn descriptors_that_lie_where_the_childs_go_are_not_lost() {
        testing::alone(
            "sys::spawn::tests::descriptors_that_lie_where_the_childs_go_are_not_lost",
            || {
                let mut spawner = testing::spawner();
                let kept: Vec<i32> = (0..3).map(keep).collect();
                for fd in 0..3 {
                    // SAFETY: nothing is written to these until they are put back below.
                    unsafe { libc::close(fd) };
                }
                let mut order = sh("cat; echo err >&2; echo three >&3; echo four >&4");
                (order.stdin, order.stdout, order.stderr) =
                    (Wiring::Pipe, Wiring::Pipe, Wiring::Pipe);
                order.custom = 2;
                // Under this limit, which leaves the shell the one it needs, none could be moved.
                let nofile = libc::RLIMIT_NOFILE;
                order.rlimits = vec![Rlimit { resource: nofile, soft: Some(11), hard: Some(11) }];
                let spawned = spawner.spawn(&order);
                let mut child = spawned.expect("it starts");
                let numbers: Vec<i32> =
                    child.streams.iter().map(|(_, fd)| fd.as_raw_fd()).collect();
                drop(child.streams.remove(0));
                let told: Vec<String> =
                    child.streams.iter().map(|(_, fd)| testing::read_all(fd)).collect();
                testing::wait(child.os_pid);
                drop(child);
                for (fd, kept) in (0..3).zip(kept) {
                    // SAFETY: `fd` is closed, and `kept` what it was.
                    unsafe { libc::dup2(kept, fd) };
                }
                assert!(numbers.iter().any(|fd| *fd < 3), "{numbers:?} overlap");
                assert_eq!(told, ["", "err\n", "three\n", "four\n"]);
            },
        );
    }

    fn keep(fd: i32) -> i32 {
        // SAFETY: this copies a descriptor.
        unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 100) }
    }

    #[test]
    fn what_is_not_there_is_told_with_its_stage() {
        let missing = |stage| SpawnError { stage, errno: Errno(libc::ENOENT) };
        let mut order = sh("true");
        order.cwd = Some("/nonexistent".into());
        assert_eq!(error(&order), missing(Stage::Cwd));
        assert_eq!(error(&order).to_string(), "chdir: No such file or directory");
        for program in ["/nonexistent", "nonexistent-program", "./nonexistent", ""] {
            assert_eq!(error(&testing::order(program, &[])), missing(Stage::Exec), "{program}");
        }
        let invalid = |stage| SpawnError { stage, errno: Errno(libc::EINVAL) };
        assert_eq!(error(&testing::order("a\0b", &[])), invalid(Stage::Exec));
        assert_eq!(error(&testing::order("sh", &["a\0b"])), invalid(Stage::Exec));
        order.cwd = Some("/\0".into());
        assert_eq!(error(&order), invalid(Stage::Cwd));
    }

    #[test]
    fn a_program_is_found_as_execvp_finds_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name).to_str().expect("UTF-8").to_owned();
        for name in ["a", "b", "c"] {
            fs::create_dir(at(name)).expect("ours");
        }
        script(&directory, "a/tool", "echo a", "644");
        script(&directory, "b/tool", "echo \"b $0 $*\"", "755");
        let mut order = testing::order("tool", &["x", "y"]);
        let path = |order: &mut SpawnOrder, dirs: &[&str]| {
            let dirs: Vec<String> = dirs.iter().map(|dir| at(dir)).collect();
            order.env.insert("PATH", dirs.join(":"));
        };
        // Passed over because it may not be run; and then run by the shell, for it has no `#!`.
        path(&mut order, &["c", "a", "b"]);
        let (told, _) = testing::output(&order);
        assert_eq!(told, format!("b {} x y\n", at("b/tool")));
        path(&mut order, &["a", "c"]);
        let refused = SpawnError { stage: Stage::Exec, errno: Errno(libc::EACCES) };
        assert_eq!(error(&order), refused, "more telling than that c has none");
        order.env.insert("PATH", "/nonexistent:");
        order.cwd = Some(at("b"));
        assert_eq!(testing::output(&order).0, "b ./tool x y\n");
        assert_eq!(error(&testing::order(&at("b"), &[])), refused, "a directory");
        assert_eq!(error(&testing::order(&at("a/tool/x"), &[])).stage, Stage::Exec);
    }

    #[test]
    fn a_thousand_spawns_leave_nothing_behind() {
        testing::alone("sys::spawn::tests::a_thousand_spawns_leave_nothing_behind", || {
            let mut spawner = testing::spawner();
            let mut good = testing::order("true", &[]);
            (good.stdin, good.stdout, good.stderr) = (Wiring::Pipe, Wiring::Pipe, Wiring::Pipe);
            good.custom = 3;
            let bad = SpawnOrder { program: "/nonexistent".into(), ..good.clone() };
            let open = open_fds();
            for _ in 0..500 {
                let child = spawner.spawn(&good).expect("it starts");
                assert_eq!(testing::wait(child.os_pid), DONE);
                assert!(spawner.spawn(&bad).is_err());
            }
            assert_eq!(open_fds(), open);
            assert_eq!(procfs::own_children(), [], "no zombies");
        });
    }

    #[test]
    fn without_descriptors_or_processes_a_spawn_fails_and_leaves_nothing() {
        let name = "without_descriptors_or_processes_a_spawn_fails_and_leaves_nothing";
        testing::alone(&format!("sys::spawn::tests::{name}"), || {
            let mut spawner = testing::spawner();
            let mut order = sh("exit 3");
            (order.stdin, order.stdout, order.custom) = (Wiring::Pipe, Wiring::Pipe, 2);
            let open = open_fds();
            let (soft, hard) = startup::nofile().expect("there is a limit");
            let set = |soft| {
                let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
                // SAFETY: the kernel reads `limit`.
                assert_eq!(unsafe { libc::setrlimit64(libc::RLIMIT_NOFILE, &limit) }, 0);
            };
            let first_free = File::open("/dev/null").expect("a descriptor is free").as_raw_fd();
            let first_free = u64::try_from(first_free).expect("a number");
            let mut room = 0;
            // Some above the first free one may be taken, so how much room it needs is not known.
            loop {
                set(first_free + room);
                let spawned = spawner.spawn(&order);
                set(soft);
                match spawned {
                    Ok(child) => {
                        assert_eq!(testing::wait(child.os_pid), ExitStatus::Code(3));
                        break;
                    }
                    Err(error) => {
                        // The child itself needs one more if an end lies where another goes.
                        assert!([Stage::Pipe, Stage::Streams].contains(&error.stage), "{error}");
                        assert_eq!(error.errno, Errno(libc::EMFILE));
                        assert_eq!(open_fds(), open, "room for {room}");
                    }
                }
                room += 1;
            }
            assert!(room >= 8, "four streams have two ends each");
            assert_eq!(open_fds(), open);
            assert_eq!(procfs::own_children(), []);
        });
    }

    #[test]
    fn a_user_with_too_many_processes_gets_eagain() {
        if !users::is_root() {
            println!("skipped: only root can start a process as another user");
            return;
        }
        let mut order = testing::order("cat", &[]);
        order.stdin = Wiring::Pipe;
        order.identity = Some(Identity { uid: 54321, gid: 54321, groups: vec![] });
        let first = testing::spawner().spawn(&order).expect("there is no limit");
        order.rlimits = vec![Rlimit { resource: libc::RLIMIT_NPROC, soft: Some(0), hard: Some(0) }];
        assert_eq!(error(&order), SpawnError { stage: Stage::Exec, errno: Errno(libc::EAGAIN) });
        drop(first.streams);
        testing::wait(first.os_pid);
    }

    #[test]
    fn a_broken_pipe_kills_a_child_as_it_should() {
        let mut order = testing::order("yes", &[]);
        order.stdout = Wiring::Pipe;
        let mut child = testing::spawner().spawn(&order).expect("it starts");
        child.streams.clear();
        let pipe = Signal::parse("PIPE").expect("a signal");
        let killed = ExitStatus::Signal { signal: pipe, core: false };
        assert_eq!(testing::wait(child.os_pid), killed);
    }

    fn open_fds() -> usize {
        fs::read_dir("/proc/self/fd").expect("/proc").count()
    }
}
