//! Leaving the terminal, without leaving it in doubt: the process that was called waits until the
//! daemon says that it serves, and exits with 0 then, or else with the code the daemon ended with.
//! Until that moment the daemon keeps stdin, stdout and stderr, so that whoever started it reads
//! why it could not.
//!
//! Three processes take part: the one that was called; one that leads the new session, waits for
//! the daemon's word and ends; and the daemon, which leads no session and so can never get a
//! terminal again. Everything opened before goes along, locks included. Threads do not, so this
//! comes before any is made.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

use super::last_errno;
use super::reap;
use super::startup::is_single;
use super::wires;
use crate::base::error::Errno;
use crate::base::process::ExitStatus;

/// What the daemon owes to the process that was called. Dropped unused, and with the daemon's end,
/// it says that the start has failed.
#[derive(Debug)]
pub struct Readiness {
    word: File,
}

impl Readiness {
    /// Lets go of stdin, stdout and stderr, and tells the one who waits that the daemon serves.
    ///
    /// # Errors
    /// /dev/null cannot be opened; the one who waits then still does.
    pub fn ready(mut self) -> Result<(), Errno> {
        let null = OpenOptions::new().read(true).write(true).open("/dev/null");
        let null = null.map_err(|error| Errno::of(&error))?;
        for standard in 0..3 {
            // SAFETY: this replaces a standard stream, which the standard library expects of any.
            if unsafe { libc::dup2(null.as_raw_fd(), standard) } < 0 {
                return Err(last_errno());
            }
        }
        // Whoever waited may have been killed meanwhile; the daemon serves all the same.
        let _ = self.word.write_all(b"!");
        Ok(())
    }
}

/// Goes on as a daemon: in a session of its own, led by nobody, with umask 022 and the same working
/// directory. Returns only there; the process that was called ends in here.
///
/// # Errors
/// EBUSY: there are other threads, which a copy of the process would not have. EAGAIN: too many
/// processes. It may be the process in between that returns with an error; its exit code becomes
/// that of the process that was called.
pub fn daemonize() -> Result<Readiness, Errno> {
    if !is_single() {
        return Err(Errno(libc::EBUSY));
    }
    // Where SIGCHLD is ignored, the kernel forgets exit codes.
    // SAFETY: the default disposition runs no code of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    let (reading, writing) = wires::pipe().map_err(|error| Errno::of(&error))?;
    if let Some(between) = fork()? {
        // A writing end kept here would hide the daemon's end from the one in between.
        drop((reading, writing));
        leave(end_of(between));
    }
    // SAFETY: setsid touches no memory; a process that was just forked leads no group.
    if unsafe { libc::setsid() } < 0 {
        return Err(last_errno());
    }
    if let Some(daemon) = fork()? {
        drop(writing);
        let said = File::from(reading).read_exact(&mut [0]).is_ok();
        leave(if said { 0 } else { end_of(daemon) });
    }
    drop(reading);
    // SAFETY: umask touches no memory and cannot fail.
    unsafe { libc::umask(0o022) };
    Ok(Readiness { word: writing.into() })
}

/// Makes a copy of this process: its number here, `None` in the copy.
fn fork() -> Result<Option<i32>, Errno> {
    // SAFETY: there is no other thread (`daemonize` has looked), so the copy is whole: no lock is
    // held by a thread that it lacks.
    match unsafe { libc::fork() } {
        0 => Ok(None),
        pid if pid > 0 => Ok(Some(pid)),
        _ => Err(last_errno()),
    }
}

/// Waits for the end of a child: the code to exit with in its place, as a shell would tell it.
fn end_of(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: `status` is ours to write.
    while unsafe { libc::waitpid(pid, &mut status, 0) } < 0 {
        if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return 1;
        }
    }
    match reap::status_of(status) {
        ExitStatus::Code(code) => code,
        ExitStatus::Signal { signal, .. } => 128 + signal.number(),
        ExitStatus::Unknown => 1,
    }
}

/// Ends this process alone: what it has buffered is the daemon's to write.
fn leave(code: i32) -> ! {
    // SAFETY: _exit does not return.
    unsafe { libc::_exit(code) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::OsPid;
    use crate::base::process::Signal;
    use crate::sys::{procfs, testing};
    use std::fs;
    use std::os::fd::OwnedFd;

    /// Daemonizes in a process of its own: how the process that was called ends, and what the
    /// daemon has written into the pipe it is given.
    fn started(daemon: impl FnOnce(Readiness, File) -> i32) -> (ExitStatus, String) {
        let (told, tell) = wires::pipe().expect("descriptors are free");
        let Some(called) = fork().expect("a process") else {
            // As some callers leave it; exit codes must be seen all the same.
            // SAFETY: an ignored signal runs no code.
            unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
            let code = match daemonize() {
                Ok(readiness) => daemon(readiness, File::from(tell)),
                Err(errno) => errno.0,
            };
            leave(code)
        };
        drop::<OwnedFd>(tell);
        (testing::wait(OsPid(called)), testing::read_all(&told))
    }

    #[test]
    fn the_caller_goes_when_the_daemon_is_ready() {
        testing::alone("sys::daemonize::tests::the_caller_goes_when_the_daemon_is_ready", || {
            let directory = std::env::current_dir().expect("there is one");
            let (ended, told) = started(|readiness, mut tell| {
                let before = fs::read_link("/proc/self/fd/1").expect("/proc");
                readiness.ready().expect("/dev/null");
                let own = OsPid(i32::try_from(std::process::id()).expect("a pid"));
                let stat = procfs::stat(own).expect("we live");
                let after = [0, 1, 2].map(|fd| {
                    fs::read_link(format!("/proc/self/fd/{fd}"))
                        .expect("/proc")
                        .to_string_lossy()
                        .into_owned()
                });
                // SAFETY: umask touches no memory.
                let umask = unsafe { libc::umask(0) };
                let leads = stat.session == own.0 || stat.pgrp == own.0;
                let moved = before.to_string_lossy() != after[1];
                let directory = std::env::current_dir().expect("there is one");
                let line = format!("{leads} {moved} {after:?} {umask:o} {}", directory.display());
                tell.write_all(line.as_bytes()).expect("somebody reads");
                7
            });
            assert_eq!(ended, ExitStatus::Code(0));
            let null = "/dev/null";
            let expected =
                format!("false true {:?} 22 {}", [null, null, null], directory.display());
            assert_eq!(told, expected);
        });
    }

    #[test]
    fn the_caller_ends_as_a_daemon_that_never_was_ready() {
        let name = "the_caller_ends_as_a_daemon_that_never_was_ready";
        testing::alone(&format!("sys::daemonize::tests::{name}"), || {
            let (ended, told) = started(|_unused, mut tell| {
                tell.write_all(b"no").expect("somebody reads");
                73
            });
            assert_eq!((ended, told.as_str()), (ExitStatus::Code(73), "no"));
            let killed = started(|_unused, _| {
                let own = OsPid(i32::try_from(std::process::id()).expect("a pid"));
                reap::signal(own, Signal::KILL).expect("we live");
                0
            });
            assert_eq!(killed.0, ExitStatus::Code(128 + 9));
        });
    }
}
