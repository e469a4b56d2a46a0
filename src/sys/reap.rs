//! How children end, and how they are told to: waiting, signals to processes and groups, and
//! descriptors that stand for a process.
//!
//! A pid names a child of ours until we reap it, so a signal sent before that meets the right
//! process. For any other process a pid may be stale; hold a pidfd, or compare the start time.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use super::last_errno;
use crate::base::error::Errno;
use crate::base::ids::OsPid;
use crate::base::process::{ExitStatus, Rusage, Signal};

/// A child that was reaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaped {
    /// Which.
    pub os_pid: OsPid,
    /// How it ended.
    pub status: ExitStatus,
    /// What it had used.
    pub usage: Rusage,
}

/// Reaps any child that has ended; `None` when there is none. The kernel looks at every child to
/// answer this: a microsecond for 100 of them, half a millisecond for 10,000.
pub fn reap_next() -> Option<Reaped> {
    loop {
        match wait4(-1) {
            Ok(reaped) => return reaped,
            Err(errno) if errno.0 == libc::EINTR => {}
            // There is no child.
            Err(_) => return None,
        }
    }
}

/// Reaps this child if it has ended. One that is no child of ours never does.
pub fn reap_one(os_pid: OsPid) -> Option<Reaped> {
    wait4(os_pid.0).ok().flatten()
}

fn wait4(whom: i32) -> Result<Option<Reaped>, Errno> {
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `status` and `usage` are ours to write.
    let reaped = unsafe { libc::wait4(whom, &mut status, libc::WNOHANG, usage.as_mut_ptr()) };
    check(reaped)?;
    if reaped == 0 {
        return Ok(None);
    }
    // SAFETY: it is a struct of numbers, all of which were zero before the kernel wrote them.
    let usage = unsafe { usage.assume_init() };
    Ok(Some(Reaped { os_pid: OsPid(reaped), status: status_of(status), usage: usage_of(&usage) }))
}

/// The most resident memory that we have had so far, in bytes. A child that is made as ours are, in our memory,
/// is counted as having had as much (`ru_maxrss` goes over an execve(2)).
pub fn own_peak() -> u64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is ours to write.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) };
    // SAFETY: it is a struct of numbers, all of which were zero before the kernel wrote them.
    usage_of(&unsafe { usage.assume_init() }).max_rss
}

/// What wait4(2) says of what a process has used.
fn usage_of(usage: &libc::rusage) -> Rusage {
    let time = |time: libc::timeval| {
        let (seconds, micros) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_usec));
        Duration::from_secs(seconds.unwrap_or(0)) + Duration::from_micros(micros.unwrap_or(0))
    };
    let count = |number: libc::c_long| u64::try_from(number).unwrap_or(0);
    Rusage {
        user: time(usage.ru_utime),
        system: time(usage.ru_stime),
        // Linux tells kibibytes (getrusage(2)).
        max_rss: count(usage.ru_maxrss).saturating_mul(1024),
        is_bound: false,
        major_faults: count(usage.ru_majflt),
        minor_faults: count(usage.ru_minflt),
        block_input: count(usage.ru_inblock),
        block_output: count(usage.ru_oublock),
        voluntary_switches: count(usage.ru_nvcsw),
        involuntary_switches: count(usage.ru_nivcsw),
    }
}

/// Makes descendants whose parent dies our children, instead of those of the first process
/// (prctl(2), PR_SET_CHILD_SUBREAPER), so that none gets out of sight.
///
/// # Errors
/// The kernel's, which before Linux 3.4 does not know this.
pub fn become_subreaper() -> Result<(), Errno> {
    // SAFETY: this call of prctl takes numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })
}

/// Sends a signal to one process.
///
/// # Errors
/// ESRCH: there is no such process. EPERM: it is not ours to signal.
pub fn signal(os_pid: OsPid, signal: Signal) -> Result<(), Errno> {
    // 0 and the negative numbers mean groups, and everybody.
    if os_pid.0 <= 0 {
        return Err(Errno(libc::ESRCH));
    }
    // SAFETY: kill touches no memory.
    check(unsafe { libc::kill(os_pid.0, signal.number()) })
}

/// Sends a signal to every process of the group that this one leads or led.
///
/// # Errors
/// ESRCH: nobody is left in it. EPERM: none of them is ours to signal.
pub fn signal_group(leader: OsPid, signal: Signal) -> Result<(), Errno> {
    kill_group(leader, signal.number())
}

/// Whether anybody is left in the group that this process leads or led. A zombie counts until its
/// parent reaps it, also one whose parent is not us: the group of such a one looks alive, and
/// [`procfs::sweep`](super::procfs::sweep) tells the difference by its state `Z`.
pub fn group_exists(leader: OsPid) -> bool {
    match kill_group(leader, 0) {
        Ok(()) => true,
        Err(errno) => errno.0 == libc::EPERM,
    }
}

/// A descriptor that stands for a process, whatever becomes of its number (pidfd_open(2)). It is
/// close-on-exec, and readable once the process has ended.
///
/// # Errors
/// ESRCH: there is no such process. ENOSYS: before Linux 5.3. EMFILE: no descriptor is free.
pub fn open_pidfd(os_pid: OsPid) -> Result<OwnedFd, Errno> {
    // SAFETY: pidfd_open takes numbers only.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, os_pid.0, 0) };
    let fd = RawFd::try_from(fd).map_err(|_| Errno(libc::EBADF))?;
    check(fd)?;
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends a signal to the process a descriptor of [`open_pidfd`] stands for.
///
/// # Errors
/// ESRCH: it has ended and was reaped. EPERM: it is not ours to signal.
pub fn signal_pidfd(pidfd: &OwnedFd, signal: Signal) -> Result<(), Errno> {
    let (fd, call) = (pidfd.as_raw_fd(), libc::SYS_pidfd_send_signal);
    let no_details = ptr::null::<libc::siginfo_t>();
    // SAFETY: with no details given, the kernel reads no memory of ours.
    let sent = unsafe { libc::syscall(call, fd, signal.number(), no_details, 0) };
    check(if sent < 0 { -1 } else { 0 })
}

/// What waitpid(2) says of how a process ended.
pub(super) fn status_of(status: i32) -> ExitStatus {
    if libc::WIFEXITED(status) {
        return ExitStatus::Code(libc::WEXITSTATUS(status));
    }
    match Signal::from_number(libc::WTERMSIG(status).into()) {
        Some(signal) => ExitStatus::Signal { signal, core: libc::WCOREDUMP(status) },
        None => ExitStatus::Unknown,
    }
}

fn kill_group(leader: OsPid, signal: i32) -> Result<(), Errno> {
    // Group 1 would be written -1, which means everybody.
    if leader.0 <= 1 {
        return Err(Errno(libc::ESRCH));
    }
    // SAFETY: kill touches no memory.
    check(unsafe { libc::kill(-leader.0, signal) })
}

fn check(result: i32) -> Result<(), Errno> {
    if result < 0 {
        return Err(last_errno());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::order::Wiring;
    use crate::sys::procfs;
    use crate::sys::testing;

    #[test]
    fn endings_are_told_apart() {
        let mut spawner = testing::spawner();
        let mut ending = |script: &str| {
            let child = spawner.spawn(&testing::order("sh", &["-c", script])).expect("sh starts");
            testing::wait(child.os_pid)
        };
        assert_eq!(ending("exit 0"), ExitStatus::Code(0));
        assert_eq!(ending("exit 255"), ExitStatus::Code(255));
        let killed = ExitStatus::Signal { signal: Signal::KILL, core: false };
        assert_eq!(ending("kill -9 $$"), killed);
        // Whether a core is written depends on the machine, so only the bit is tried.
        let dumped =
            ExitStatus::Signal { signal: Signal::from_number(6).expect("ABRT"), core: true };
        assert_eq!(status_of(6 | 0x80), dumped);
    }

    #[test]
    fn a_child_is_reaped_with_what_it_and_those_it_waited_for_have_used() {
        let mut spawner = testing::spawner();
        let mut used = |script: &str| {
            let child = spawner.spawn(&testing::order("sh", &["-c", script])).expect("sh starts");
            testing::await_end(child.os_pid);
            reap_one(child.os_pid).expect("it has ended").usage
        };
        // Nothing that is made by us is told with less than we have.
        assert!(own_peak() >= 1024 * 1024);
        let busy = "n=0; while [ $n -lt 100000 ]; do n=$((n+1)); done";
        let idle = used("exit 0");
        assert!(idle.max_rss >= 256 * 1024 && idle.max_rss <= own_peak(), "{idle:?}");
        assert!(idle.minor_faults > 0, "{idle:?}");
        let own = used(busy);
        assert!(own.user > idle.user + Duration::from_millis(5), "{own:?} {idle:?}");
        let of_child = used(&format!("({busy}); exit 0"));
        assert!(of_child.user > idle.user + Duration::from_millis(5), "{of_child:?} {idle:?}");
        let ignored = used(&format!("({busy}) & exit 0"));
        assert!(ignored.user < own.user, "nobody waited for that: {ignored:?} {own:?}");
    }

    #[test]
    fn signals_reach_the_process_its_group_and_what_the_pidfd_means() {
        let mut spawner = testing::spawner();
        let mut order = testing::order("cat", &[]);
        order.stdin = Wiring::Pipe;
        let terminated = ExitStatus::Signal { signal: Signal::TERM, core: false };
        let child = spawner.spawn(&order).expect("cat starts");
        let pidfd = open_pidfd(child.os_pid).expect("it lives");
        assert!(group_exists(child.os_pid));
        signal(child.os_pid, Signal::TERM).expect("it lives");
        assert_eq!(testing::wait(child.os_pid), terminated);
        assert!(!group_exists(child.os_pid));
        assert_eq!(signal_pidfd(&pidfd, Signal::TERM), Err(Errno(libc::ESRCH)));
        let child = spawner.spawn(&order).expect("cat starts");
        signal_group(child.os_pid, Signal::TERM).expect("it lives");
        assert_eq!(testing::wait(child.os_pid), terminated);
        let child = spawner.spawn(&order).expect("cat starts");
        let pidfd = open_pidfd(child.os_pid).expect("it lives");
        signal_pidfd(&pidfd, Signal::TERM).expect("it lives");
        assert_eq!(testing::wait(child.os_pid), terminated);
        assert_eq!(signal(child.os_pid, Signal::TERM), Err(Errno(libc::ESRCH)));
        assert_eq!(open_pidfd(child.os_pid).err(), Some(Errno(libc::ESRCH)));
    }

    #[test]
    fn no_pid_means_everybody() {
        for pid in [0, -1, -2] {
            assert_eq!(signal(OsPid(pid), Signal::CONT), Err(Errno(libc::ESRCH)));
            assert_eq!(signal_group(OsPid(pid), Signal::CONT), Err(Errno(libc::ESRCH)));
        }
        assert_eq!(signal_group(OsPid(1), Signal::CONT), Err(Errno(libc::ESRCH)));
    }

    #[test]
    fn orphans_come_to_us() {
        testing::alone("sys::reap::tests::orphans_come_to_us", || {
            assert_eq!(reap_next(), None);
            become_subreaper().expect("Linux 3.4");
            let mut order = testing::order("sh", &["-c", "sh -c 'echo $$; exec cat' <&3 & exit 4"]);
            order.custom = 1;
            order.stdout = Wiring::Pipe;
            let mut child = testing::spawner().spawn(&order).expect("sh starts");
            testing::await_end(child.os_pid);
            let reaped = |next: Option<Reaped>| next.map(|next| (next.os_pid, next.status));
            assert_eq!(reaped(reap_next()), Some((child.os_pid, ExitStatus::Code(4))));
            assert!(group_exists(child.os_pid), "its orphan is of its group");
            let told = testing::read_line(&child.streams[0].1);
            let orphan = OsPid(told.trim().parse().expect("a pid"));
            assert!(procfs::own_children().contains(&orphan));
            assert_eq!(reap_next(), None);
            drop(child.streams.pop());
            testing::await_end(orphan);
            assert_eq!(reaped(reap_next()), Some((orphan, ExitStatus::Code(0))));
            assert!(!group_exists(child.os_pid));
        });
    }
}
