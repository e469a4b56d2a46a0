//! What the tests of this floor and of the reactor's share: plain orders, and waiting for real processes with a
//! deadline. Tests run in threads of one process, so each waits for its own children only, and one
//! that changes or counts what the process has runs in a process of its own.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;

use super::spawn::Spawner;
use super::{reap, startup};
use crate::base::environment::Environment;
use crate::base::ids::OsPid;
use crate::base::order::{SpawnOrder, Wiring};
use crate::base::process::ExitStatus;

/// How long anything is waited for, in milliseconds.
const DEADLINE: i32 = 30_000;
/// Set in the process of a test that runs alone.
const ALONE: &str = "GAFFER_TEST_ALONE";

pub(crate) fn spawner() -> Spawner {
    Spawner::new(None).expect("a stack and /dev/null")
}

/// An order that wires nothing.
pub(crate) fn order(program: &str, args: &[&str]) -> SpawnOrder {
    SpawnOrder {
        program: program.to_owned(),
        args: args.iter().map(|argument| (*argument).to_owned()).collect(),
        env: Environment::default(),
        cwd: None,
        identity: None,
        capabilities: None,
        no_new_privs: false,
        umask: None,
        rlimits: Vec::new(),
        nice: None,
        stdin: Wiring::Null,
        stdout: Wiring::Null,
        stderr: Wiring::Null,
        custom: 0,
        listener: None,
    }
}

/// Starts the order, and returns all its stdout and how it ended.
pub(super) fn output(order: &SpawnOrder) -> (String, ExitStatus) {
    let order = SpawnOrder { stdout: Wiring::Pipe, ..order.clone() };
    let mut child = spawner().spawn(&order).expect("it starts");
    let text = read_all(&child.streams.remove(0).1);
    (text, wait(child.os_pid))
}

/// Runs `body` in a process where it is the only test. `name` is the test's full name.
pub(crate) fn alone(name: &str, body: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        return body();
    }
    let program = std::env::current_exe().expect("a test binary");
    let program = program.to_str().expect("UTF-8");
    let mut order = order(program, &["--exact", name, "--test-threads=1", "--nocapture"]);
    order.env = std::env::vars().chain([(ALONE.into(), "1".into())]).collect();
    order.stderr = Wiring::Stdout;
    let (text, ended) = output(&order);
    assert_eq!(ended, ExitStatus::Code(0), "{name} alone:\n{text}");
    assert!(text.contains("1 passed"), "there is no test {name}:\n{text}");
}

/// Runs `body` in a process of one thread that ends with it; it tells whether all is well.
pub(crate) fn forked(name: &str, body: impl FnOnce() -> bool) {
    alone(name, || {
        // SAFETY: the only test of this process runs, so no lock is held by a thread that the copy lacks.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "a process");
        if pid == 0 {
            let well = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            // SAFETY: _exit does not return, so the test is not told twice.
            unsafe { libc::_exit(i32::from(!well.unwrap_or(false))) };
        }
        assert_eq!(wait(OsPid(pid)), ExitStatus::Code(0), "{name} in a process of its own");
    });
}

/// Lets the process have no descriptor from this number on, but those that it has.
pub(crate) fn limit_nofile(soft: u64) {
    let (_, hard) = startup::nofile().expect("there is a limit");
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the kernel reads `limit`.
    assert_eq!(unsafe { libc::setrlimit64(libc::RLIMIT_NOFILE, &limit) }, 0);
}

/// Waits until a child of ours has ended, and does not reap it.
pub(super) fn await_end(os_pid: OsPid) {
    let pidfd = reap::open_pidfd(os_pid).expect("a child of ours");
    await_readable(&pidfd);
}

/// Waits until a child of ours has ended, and reaps it.
pub(super) fn wait(os_pid: OsPid) -> ExitStatus {
    await_end(os_pid);
    let mut status = 0;
    // SAFETY: `status` is ours to write.
    let reaped = unsafe { libc::waitpid(os_pid.0, &mut status, libc::WNOHANG) };
    assert_eq!(reaped, os_pid.0, "it has ended");
    reap::status_of(status)
}

/// Waits until there is something to read, or the end.
pub(super) fn await_readable(fd: &OwnedFd) {
    let mut polled = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry, which is ours to write.
    let ready = unsafe { libc::poll(&mut polled, 1, DEADLINE) };
    assert_eq!(ready, 1, "nothing within {DEADLINE} ms");
}

/// All there is until the end.
pub(super) fn read_all(fd: &OwnedFd) -> String {
    let mut text = Vec::new();
    while read_some(fd, &mut text) {}
    String::from_utf8(text).expect("UTF-8")
}

/// What there is until the end of a line.
pub(super) fn read_line(fd: &OwnedFd) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\n") && read_some(fd, &mut text) {}
    String::from_utf8(text).expect("UTF-8")
}

fn read_some(fd: &OwnedFd, text: &mut Vec<u8>) -> bool {
    await_readable(fd);
    let mut chunk = [0; 4096];
    let mut file = File::from(fd.try_clone().expect("a descriptor is free"));
    let read = file.read(&mut chunk).expect("readable");
    text.extend(&chunk[..read]);
    read > 0
}

/// A terminal of our own: the side of whoever shows it, and the side of the programs on it.
pub(crate) fn pty() -> (File, File) {
    // SAFETY: the kernel takes numbers only.
    let master = unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) };
    assert!(master >= 0, "a pty");
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
    let master = unsafe { File::from_raw_fd(master) };
    let unlocked: libc::c_int = 0;
    // SAFETY: the kernel reads an int.
    let done = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked) };
    assert_eq!(done, 0, "it is ours to unlock");
    let mut number: libc::c_uint = 0;
    // SAFETY: the kernel writes an int.
    let told = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN, &raw mut number) };
    assert_eq!(told, 0, "it has a number");
    let mut options = File::options();
    options.read(true).write(true).custom_flags(libc::O_NOCTTY);
    (master, options.open(format!("/dev/pts/{number}")).expect("its other side"))
}
