//! The life of a child between clone(2) and execve(2).
//!
//! It shares the daemon's memory while the daemon waits, so nothing here may allocate, panic, lock
//! or call what is not async-signal-safe. Ids are set by bare system calls: glibc's own functions
//! would signal threads that exist only in the parent. What goes wrong is left in
//! [`Plan::failure`], which the parent reads.

use std::ffi::{c_int, c_long, c_void, CString};
use std::os::fd::RawFd;
use std::ptr;

use super::last_errno;
use super::program::{Program, SHELL};
use crate::base::capabilities::Capabilities;
use crate::base::error::{Errno, Stage};
use crate::base::limits;
use crate::base::order::Identity;

/// Where and with what a child failed.
pub(super) type Failure = (Stage, Errno);

/// A limit to set, in the kernel's own numbers.
pub(super) type Limit = (u32, libc::rlimit64);

/// Everything a child does, made ready.
pub(super) struct Plan {
    /// The program, at the end.
    pub(super) program: Program,
    /// The directory to enter.
    pub(super) cwd: Option<CString>,
    /// Whom to become.
    pub(super) identity: Option<Identity>,
    /// The capabilities to keep; without them, those that go with the user.
    pub(super) capabilities: Option<Capabilities>,
    /// Whether no program gives it more rights.
    pub(super) no_new_privs: bool,
    /// File mode creation mask.
    pub(super) umask: Option<u32>,
    /// Limits to set while still privileged.
    pub(super) limits: Vec<Limit>,
    /// The limit of descriptors to end with. It comes last, for under a low one the descriptors
    /// could not be put in place.
    pub(super) nofile: Option<libc::rlimit64>,
    /// Nice value.
    pub(super) nice: Option<i32>,
    /// What becomes descriptor 0, 1, 2 and so on.
    pub(super) fds: Vec<RawFd>,
    /// What went wrong, if it did.
    pub(super) failure: Option<Failure>,
}

/// The function that clone(2) starts; its argument is a [`Plan`]. It returns, with the status to
/// exit with, only after a failure.
pub(super) extern "C" fn run(plan: *mut c_void) -> c_int {
    // SAFETY: `spawn` passes a plan that lives until the parent goes on, which waits for us, and
    // which nobody else touches meanwhile.
    let plan = unsafe { &mut *plan.cast::<Plan>() };
    plan.failure = Some(match plan.prepare() {
        Ok(()) => plan.exec(),
        Err(failure) => failure,
    });
    127
}

impl Plan {
    fn prepare(&mut self) -> Result<(), Failure> {
        reset_signals();
        // SAFETY: setsid touches no memory.
        check(unsafe { libc::setsid() }.into(), Stage::Session)?;
        for (resource, limit) in &self.limits {
            set_limit(*resource, limit)?;
        }
        if let Some(nice) = self.nice {
            // SAFETY: setpriority touches no memory.
            check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) }.into(), Stage::Nice)?;
        }
        if let Some(kept) = self.capabilities {
            bound(kept)?;
        }
        if let Some(identity) = &self.identity {
            assume(identity)?;
        }
        if let Some(kept) = self.capabilities {
            keep(kept)?;
        }
        if let Some(cwd) = &self.cwd {
            // SAFETY: `cwd` is a C string that lives through the call.
            check(unsafe { libc::chdir(cwd.as_ptr()) }.into(), Stage::Cwd)?;
        }
        if let Some(umask) = self.umask {
            // SAFETY: umask touches no memory and cannot fail.
            unsafe { libc::umask(umask) };
        }
        self.place_streams()?;
        close_from(self.stream_count());
        if let Some(limit) = &self.nofile {
            set_limit(libc::RLIMIT_NOFILE, limit)?;
        }
        if self.no_new_privs {
            prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, Stage::NoNewPrivs)?;
        }
        Ok(())
    }

    fn stream_count(&self) -> c_int {
        c_int::try_from(self.fds.len()).unwrap_or(c_int::MAX)
    }

    /// Puts each descriptor in its place. One that lies among the places is moved out first, so
    /// that none is overwritten before its turn, and none is copied onto itself, which would leave
    /// it close-on-exec.
    fn place_streams(&mut self) -> Result<(), Failure> {
        let count = self.stream_count();
        for fd in self.fds.iter_mut().filter(|fd| **fd < count) {
            // SAFETY: fcntl copies a descriptor and touches no memory.
            let moved = unsafe { libc::fcntl(*fd, libc::F_DUPFD_CLOEXEC, count) };
            check(moved.into(), Stage::Streams)?;
            *fd = moved;
        }
        for (place, fd) in (0..count).zip(&self.fds) {
            // SAFETY: dup2 touches no memory; what was at `place` is not used again.
            check(unsafe { libc::dup2(*fd, place) }.into(), Stage::Streams)?;
        }
        Ok(())
    }

    /// Becomes the program; returns only if that cannot be. As in execvp(3), a file that may not
    /// be run is passed over, but remembered over one that does not exist.
    fn exec(&mut self) -> Failure {
        set_signal_mask(0);
        let mut seen = Errno(libc::ENOENT);
        for file in &self.program.candidates {
            let (argv, envp) = (self.program.argv.as_ptr(), self.program.envp.as_ptr());
            // SAFETY: the file is a C string and both arrays end with a null pointer.
            unsafe { libc::execve(*file, argv, envp) };
            let mut errno = last_errno();
            if errno.0 == libc::ENOEXEC {
                if let Some(place) = self.program.script_argv.get_mut(1) {
                    *place = *file;
                }
                let argv = self.program.script_argv.as_ptr();
                // SAFETY: as above.
                unsafe { libc::execve(SHELL.as_ptr(), argv, envp) };
                errno = last_errno();
            }
            match errno.0 {
                libc::EACCES => seen = errno,
                libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT => {}
                _ => return (Stage::Exec, errno),
            }
        }
        (Stage::Exec, seen)
    }
}

/// Takes from itself, and from all that it will ever start, the capabilities that are not kept; and has
/// the kernel leave those that are when the user changes.
fn bound(kept: Capabilities) -> Result<(), Failure> {
    // The kernel knows how many there are: it refuses to tell of the first beyond.
    let known = |number: &u32| {
        // SAFETY: prctl with this option touches no memory.
        unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(*number), 0, 0, 0) >= 0 }
    };
    for number in (0..64).take_while(known).filter(|number| !kept.has(*number)) {
        prctl(libc::PR_CAPBSET_DROP, number.into(), 0, Stage::Bounds)?;
    }
    prctl(libc::PR_SET_KEEPCAPS, 1, 0, Stage::Bounds)
}

/// Has these capabilities and no others, and hands them on to the program (capabilities(7): what is
/// inheritable and ambient is kept over execve(2) by one who is not root, too).
fn keep(kept: Capabilities) -> Result<(), Failure> {
    /// The kernel's `__user_cap_header_struct`, of version 3, for the process itself.
    #[repr(C)]
    struct Header {
        version: u32,
        pid: c_int,
    }
    /// Its `__user_cap_data_struct`, half of the sets.
    #[repr(C)]
    struct Half {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    let mut header = Header { version: 0x2008_0522, pid: 0 };
    let [low, high] = [kept.0 & u64::from(u32::MAX), kept.0 >> 32];
    let half = |bits: u64| {
        let bits = u32::try_from(bits).unwrap_or(0);
        Half { effective: bits, permitted: bits, inheritable: bits }
    };
    let halves = [half(low), half(high)];
    // SAFETY: the kernel reads and writes the header and reads the two halves, which are laid out as its
    // own.
    let set =
        unsafe { libc::syscall(libc::SYS_capset, ptr::from_mut(&mut header), halves.as_ptr()) };
    check(set, Stage::Capabilities)?;
    let clear = libc::c_ulong::try_from(libc::PR_CAP_AMBIENT_CLEAR_ALL).unwrap_or(0);
    prctl(libc::PR_CAP_AMBIENT, clear, 0, Stage::Capabilities)?;
    let raise = libc::c_ulong::try_from(libc::PR_CAP_AMBIENT_RAISE).unwrap_or(0);
    for number in (0..64).filter(|number| kept.has(*number)) {
        prctl(libc::PR_CAP_AMBIENT, raise, number.into(), Stage::Capabilities)?;
    }
    Ok(())
}

/// An option of prctl(2) that takes numbers alone.
fn prctl(
    option: c_int,
    first: libc::c_ulong,
    second: libc::c_ulong,
    stage: Stage,
) -> Result<(), Failure> {
    // SAFETY: the options used here touch no memory of ours.
    check(unsafe { libc::prctl(option, first, second, 0, 0) }.into(), stage)
}

/// Becomes another user for good, and makes sure of it. The groups go first: after the user has
/// changed there is no right left to change them.
pub(super) fn assume(identity: &Identity) -> Result<(), Failure> {
    let (uid, gid, groups) = (identity.uid, identity.gid, &identity.groups);
    // SAFETY: the kernel reads `len` ids from a slice of that length.
    let set = unsafe { libc::syscall(number::SETGROUPS, groups.len(), groups.as_ptr()) };
    check(set, Stage::Groups)?;
    // SAFETY: setresgid touches no memory.
    check(unsafe { libc::syscall(number::SETRESGID, gid, gid, gid) }, Stage::Gid)?;
    // SAFETY: setresuid touches no memory.
    check(unsafe { libc::syscall(number::SETRESUID, uid, uid, uid) }, Stage::Uid)?;
    let mut is = [0; 3];
    let [real, effective, saved] = &mut is;
    // SAFETY: the three are ours to write.
    check(unsafe { libc::getresgid(real, effective, saved) }.into(), Stage::Gid)?;
    if is != [gid; 3] {
        return Err((Stage::Gid, Errno(libc::EPERM)));
    }
    let [real, effective, saved] = &mut is;
    // SAFETY: the three are ours to write.
    check(unsafe { libc::getresuid(real, effective, saved) }.into(), Stage::Uid)?;
    if is != [uid; 3] {
        return Err((Stage::Uid, Errno(libc::EPERM)));
    }
    // With the user the kernel has changed whether this memory may be written to a core file, and it is
    // the daemon's.
    prctl(libc::PR_SET_DUMPABLE, 0, 0, Stage::Uid)
}

/// All signals as a new process has them. What is ignored would stay ignored in the program (Rust
/// ignores SIGPIPE), and a handler would run here, in the daemon's memory, once none is blocked.
/// By the bare call, because glibc refuses to touch the two signals it uses itself.
fn reset_signals() {
    // The kernel's struct sigaction; it has at most this size, and all zero means the default.
    let default = [0_u64; 8];
    let nothing = ptr::null_mut::<c_void>();
    for signal in 1..=64 {
        // SAFETY: the kernel reads the action from `default` and writes nothing. It refuses KILL
        // and STOP, which are as they should be.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), nothing, 8) };
    }
}

/// Blocks the signals in `mask` (bit 0 is signal 1) and no others; returns what was blocked. By the
/// bare call, because glibc's leaves out the two signals it uses itself.
pub(super) fn set_signal_mask(mask: u64) -> u64 {
    let (new, mut old) = (ptr::from_ref(&mask), 0_u64);
    let (old_place, size) = (ptr::from_mut(&mut old), size_of::<u64>());
    // SAFETY: the kernel reads and writes `size` bytes, the size of both variables.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, new, old_place, size) };
    old
}

fn set_limit(resource: u32, limit: &libc::rlimit64) -> Result<(), Failure> {
    // SAFETY: the kernel reads `limit` and writes nothing.
    let set = unsafe { libc::prlimit64(0, resource, limit, ptr::null_mut()) };
    check(set.into(), Stage::Rlimit)
}

/// Closes every descriptor from `first` on.
fn close_from(first: c_int) {
    // SAFETY: nothing in this process uses these descriptors again; the parent's are its own.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) };
    if closed == 0 {
        return;
    }
    for fd in first..limits::CLOSE_ONE_BY_ONE {
        // SAFETY: as above; a number that is not open is no harm.
        unsafe { libc::close(fd) };
    }
}

fn check(result: c_long, stage: Stage) -> Result<(), Failure> {
    if result < 0 {
        return Err((stage, last_errno()));
    }
    Ok(())
}

/// The calls that set ids. Where ids once had 16 bits, the plain numbers still mean those.
#[cfg(not(any(target_arch = "x86", target_arch = "arm")))]
mod number {
    pub(super) const SETGROUPS: libc::c_long = libc::SYS_setgroups;
    pub(super) const SETRESGID: libc::c_long = libc::SYS_setresgid;
    pub(super) const SETRESUID: libc::c_long = libc::SYS_setresuid;
}
#[cfg(any(target_arch = "x86", target_arch = "arm"))]
mod number {
    pub(super) const SETGROUPS: libc::c_long = libc::SYS_setgroups32;
    pub(super) const SETRESGID: libc::c_long = libc::SYS_setresgid32;
    pub(super) const SETRESUID: libc::c_long = libc::SYS_setresuid32;
}
