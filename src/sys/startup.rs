//! What the daemon does to its own process as it starts: its limit of descriptors, what it has
//! inherited, and the name it shows.

use std::ffi::CString;
use std::fs;
use std::ptr;

use super::procfs;

/// Whether this process has one thread, as far as /proc tells. What is done to one alone, or copies one
/// alone, is for no other.
pub fn is_single() -> bool {
    fs::read_dir("/proc/self/task").map_or(true, |threads| threads.count() == 1)
}

/// Keeps our memory, in which keys and environments lie, out of core files, and out of reach of processes of
/// our own user, the jobs' for example (PR_SET_DUMPABLE, prctl(2)). Children are not concerned, for what
/// they are is decided when they become their program.
pub fn guard_memory() {
    // SAFETY: prctl with this option touches no memory; it cannot fail.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
}

/// Has the kernel answer EFBIG where a file becomes larger than this process may make it (RLIMIT_FSIZE, setrlimit(2)),
/// instead of ending the process. Those that it starts have the default again.
pub fn outlive_large_files() {
    // SAFETY: it changes what one signal does, and no handler is installed.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Whether our memory may go into a core file.
#[cfg(test)]
pub(crate) fn is_dumpable() -> bool {
    // SAFETY: prctl with this option touches no memory.
    unsafe { libc::prctl(libc::PR_GET_DUMPABLE, 0, 0, 0, 0) != 0 }
}

/// Has other threads come first, of this process, too, who want the processor (nice value 10 of the calling
/// thread, setpriority(2)).
pub fn yield_to_others() {
    // SAFETY: setpriority touches no memory. That it is refused does no harm.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 10) };
}

/// The limits of open descriptors we have: soft and hard.
pub fn nofile() -> Option<(u64, u64)> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is ours to write.
    let read = unsafe { libc::getrlimit64(libc::RLIMIT_NOFILE, &mut limit) };
    (read == 0).then_some((limit.rlim_cur, limit.rlim_max))
}

/// Raises the soft limit of open descriptors to the hard one, as far as the kernel lets us, and
/// returns what they were, soft and hard: children want that back, for some programs close or
/// count all they could have.
pub fn raise_nofile() -> Option<(u64, u64)> {
    let (soft, hard) = nofile()?;
    let raised = libc::rlimit64 { rlim_cur: hard, rlim_max: hard };
    // SAFETY: the kernel reads `raised`. If it refuses, the limit is as it was, and so is ours.
    unsafe { libc::setrlimit64(libc::RLIMIT_NOFILE, &raised) };
    Some((soft, hard))
}

/// Closes every descriptor from 3 on: what a shell or a service manager left open in us. Whoever waits
/// for the end of such a pipe would wait for the end of the daemon. Descriptors that are handed over on
/// purpose (sockets, readiness) are no interface of ours, so none is spared. To be called before
/// anything of ours is open, for it closes that as well.
pub fn close_inherited() {
    let (first, last) = (3, libc::c_uint::MAX);
    // SAFETY: nothing of ours is open yet, so nobody uses these descriptors.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0 {
        return;
    }
    // Before Linux 5.9.
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for fd in numbers.filter(|fd| *fd >= 3).collect::<Vec<_>>() {
        // SAFETY: as above; the directory's own descriptor, which was listed too, is closed by now.
        unsafe { libc::close(fd) };
    }
}

/// Shows this title in ps(1) and its first 15 bytes as the name of the process. Only the place of
/// our arguments is written on, so a longer title is cut to their length. `std::env::args` tells
/// pieces of the title afterwards, so read them before.
pub fn set_title(title: &str) {
    let name = CString::new(title.replace('\0', " ")).unwrap_or_default();
    // SAFETY: the kernel reads a C string, and no more than 16 bytes of it.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) };
    // Fields 48 and 49 of proc(5): where the arguments begin and end.
    let bounds = (procfs::own_stat_field(48), procfs::own_stat_field(49));
    let (Some(start), Some(end)) = bounds else { return };
    let (Ok(start), Ok(end)) = (usize::try_from(start), usize::try_from(end)) else { return };
    let Some(room) = end.checked_sub(start).filter(|room| *room > 0 && start > 0) else { return };
    let mut text: Vec<u8> = name.into_bytes();
    // The last byte stays zero: it ends the last argument, and tells ps(1) where to stop.
    text.resize(room - 1, 0);
    text.push(0);
    let place = ptr::with_exposed_provenance_mut::<u8>(start);
    // SAFETY: the kernel put our arguments from `start` to `end` on the stack's far end, in pages
    // that are ours to write. Nothing in Rust refers to them: `std::env::args` copies, and finds a
    // zero at the end of each argument, if perhaps an earlier one.
    unsafe { ptr::copy_nonoverlapping(text.as_ptr(), place, room) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::testing;
    use std::io::Read as _;
    use std::os::fd::IntoRawFd as _;

    #[test]
    fn what_was_inherited_is_closed() {
        testing::alone("sys::startup::tests::what_was_inherited_is_closed", || {
            let (reader, writer) = std::io::pipe().expect("two descriptors are free");
            // As if it had come from a shell: nobody here closes it.
            std::mem::forget(writer);
            let kept = reader.try_clone().expect("a descriptor is free").into_raw_fd();
            // SAFETY: this moves the reading end to where it can be found again.
            assert_eq!(unsafe { libc::dup2(kept, 0) }, 0);
            let fds: Vec<i32> = [reader.into_raw_fd(), kept].into();
            close_inherited();
            // SAFETY: this only reads flags.
            let is_open = |fd| unsafe { libc::fcntl(fd, libc::F_GETFD) } == 0;
            assert_eq!([0, 1, 2].map(is_open), [true; 3]);
            assert!(!fds.into_iter().any(is_open));
            let mut rest = Vec::new();
            std::io::stdin().read_to_end(&mut rest).expect("a pipe");
            assert!(rest.is_empty(), "nobody holds the other end");
        });
    }

    #[test]
    fn the_title_takes_the_place_of_the_arguments() {
        testing::alone("sys::startup::tests::the_title_takes_the_place_of_the_arguments", || {
            let cmdline = || fs::read("/proc/self/cmdline").expect("/proc");
            let room = cmdline().len();
            set_title("gafferd: 3 jobs");
            assert_eq!(cmdline().len(), room);
            assert_eq!(cmdline().split(|byte| *byte == 0).next(), Some(&b"gafferd: 3 jobs"[..]));
            let comm = fs::read_to_string("/proc/thread-self/comm").expect("/proc");
            assert_eq!(comm, "gafferd: 3 jobs\n");
            set_title(&"x".repeat(room * 2));
            let expected = format!("{}\0", "x".repeat(room - 1));
            assert_eq!(String::from_utf8(cmdline()), Ok(expected), "cut to the room there is");
            set_title("a\0b");
            assert!(cmdline().starts_with(b"a b\0\0"));
            assert!(std::env::args().count() > 1, "reading the pieces does no harm");
        });
    }

    #[test]
    fn the_limit_of_descriptors_rises_to_the_ceiling() {
        testing::alone(
            "sys::startup::tests::the_limit_of_descriptors_rises_to_the_ceiling",
            || {
                let limit = libc::rlimit64 { rlim_cur: 100, rlim_max: 300 };
                // SAFETY: the kernel reads `limit`.
                assert_eq!(unsafe { libc::setrlimit64(libc::RLIMIT_NOFILE, &limit) }, 0);
                assert_eq!(raise_nofile(), Some((100, 300)));
                assert_eq!(nofile(), Some((300, 300)));
            },
        );
    }
}
