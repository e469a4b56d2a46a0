//! Memory that nobody uses at the moment: what the allocator holds, and what is mapped of the program itself.

use std::os::fd::AsRawFd;
use std::ptr;
use std::time::Duration;

use libc::{c_int, c_void, dl_phdr_info, size_t};

/// Gives what is free back to the kernel, where the C library can (malloc_trim(3)), lets go of the pages of the
/// program, and waits until there is something to be read here, or for this long.
///
/// Both is one because each part of the program on the way to where one waits would be mapped again, 64 KiB at a time.
/// A signal ends the wait, too.
pub fn give_back_and_wait(fd: &impl AsRawFd, longest: Option<Duration>) {
    #[cfg(target_env = "gnu")]
    // SAFETY: it may be called at any time, by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
    let mut program = Segments::default();
    // SAFETY: what it is given does what dl_iterate_phdr(3) asks for, and is handed what it expects.
    unsafe {
        libc::dl_iterate_phdr(Some(find), ptr::from_mut(&mut program).cast());
    }
    let seconds = |longest: Duration| libc::timespec {
        tv_sec: longest.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: longest.subsec_nanos().into(),
    };
    let mut asked = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let_go_and_wait(&program, &mut asked, longest.map(seconds).as_ref());
}

/// The last part, which is mapped again at once: small, and with one function of the C library for all of it.
#[inline(never)]
fn let_go_and_wait(program: &Segments, asked: &mut libc::pollfd, longest: Option<&libc::timespec>) {
    for (begin, size) in program {
        // SAFETY: a mapping of a file that nobody can write reads the same when it is mapped again (madvise(2)).
        unsafe {
            libc::syscall(libc::SYS_madvise, *begin, *size, libc::MADV_DONTNEED);
        }
    }
    let longest = longest.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: one valid pollfd, a time or none, and no signals (ppoll(2)). Whatever it says, who waits looks himself what
    // there is.
    unsafe {
        libc::syscall(libc::SYS_ppoll, ptr::from_mut(asked), 1, longest, ptr::null::<c_void>(), 0);
    }
}

/// What of the program cannot be written, by address and size in bytes; no program has more of that.
type Segments = [(usize, usize); 8];

/// Finds them in the first object, which is the program. Their pages stay in the kernel's cache as long as there is
/// room, as pages of a file do; the few that are used again are mapped again when they are, some microseconds for
/// 64 KiB. A static program is most of what a quiet one has mapped, and most of it only a start or a seldom request
/// needs.
extern "C" fn find(object: *mut dl_phdr_info, _: size_t, segments: *mut c_void) -> c_int {
    // SAFETY: the C library hands in an object, for the time of this call.
    let object = unsafe { &*object };
    // SAFETY: it is what was handed to dl_iterate_phdr, and nobody else has it meanwhile.
    let segments = unsafe { &mut *segments.cast::<Segments>() };
    let count = usize::from(object.dlpi_phnum);
    // SAFETY: so many headers are there, and they are never written.
    let headers = unsafe { std::slice::from_raw_parts(object.dlpi_phdr, count) };
    // What is relocated is in a segment that can be written, at first.
    let fixed = headers
        .iter()
        .filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0);
    for (segment, header) in segments.iter_mut().zip(fixed) {
        let begin = address(object.dlpi_addr) + address(header.p_vaddr);
        let end = begin + address(header.p_memsz);
        let page = begin % PAGE;
        *segment = (begin - page, end - begin + page);
    }
    1
}

/// No page is smaller, and segments begin with one of their own.
const PAGE: usize = 4096;

/// A number of the headers, which are as wide as addresses are.
fn address(number: impl TryInto<usize>) -> usize {
    number.try_into().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn the_program_goes_on_without_its_pages() {
        let mapped = || {
            let text = std::fs::read_to_string("/proc/self/smaps").expect("readable");
            let program = std::env::current_exe().expect("this");
            let program = program.to_str().expect("a name");
            let mut lines = text.lines();
            let mut sum = 0;
            while let Some(line) = lines.next() {
                if line.ends_with(program) && line.contains(" r-xp ") {
                    let rss = lines.find(|line| line.starts_with("Rss:")).expect("a size");
                    sum +=
                        rss.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0);
                }
            }
            sum
        };
        let (reader, _writer) = std::io::pipe().expect("a pipe");
        // What the other tests need meanwhile is mapped again.
        let less = (0..100).any(|_| {
            let before: u64 = mapped();
            give_back_and_wait(&reader, Some(Duration::ZERO));
            mapped() < before
        });
        assert!(less, "{} KiB", mapped());
    }

    #[test]
    fn the_wait_ends_when_there_is_something_to_read() {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        writer.write_all(b"x").expect("somebody reads");
        give_back_and_wait(&reader, None);
    }
}
