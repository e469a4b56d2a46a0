//! What the daemon does to its own process as it starts: its limit of descriptors, what it has
//! inherited, and the name it shows.

use std::ffi::CString;
use std::fs;
use std::ptr;

use super::procfs;

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

/// Makes every descriptor from 3 on close-on-exec, so that no child gets what a shell or a service
/// manager left open in us.
pub fn close_inherited() {
    let (first, last, how) = (3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    // SAFETY: this only sets a flag of descriptors.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, how) } == 0 {
        return;
    }
    // Before Linux 5.11.
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for fd in numbers.filter(|fd| *fd >= 3) {
        // SAFETY: as above; a number that is not open is no harm.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
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
    use std::fs::File;
    use std::os::fd::AsRawFd;

    #[test]
    fn what_was_inherited_is_not_passed_on() {
        testing::alone("sys::startup::tests::what_was_inherited_is_not_passed_on", || {
            let file = File::open("/dev/null").expect("a descriptor is free");
            // SAFETY: this only clears the close-on-exec flag of our own descriptor.
            unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0) };
            close_inherited();
            // SAFETY: this only reads flags.
            let flags = |fd| unsafe { libc::fcntl(fd, libc::F_GETFD) };
            assert_eq!(flags(file.as_raw_fd()), libc::FD_CLOEXEC);
            assert_eq!([0, 1, 2].map(flags), [0; 3]);
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
