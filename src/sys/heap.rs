//! Memory that nobody uses at the moment: what the allocator holds, and what is mapped of the program itself.

use libc::{c_int, c_void, dl_phdr_info, size_t};

/// Gives what is free back to the kernel, where the C library can (malloc_trim(3)), and lets go of the pages of the
/// program.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it may be called at any time, by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
    // SAFETY: what it is given does what dl_iterate_phdr(3) asks for, and needs no data.
    unsafe {
        libc::dl_iterate_phdr(Some(unmap), std::ptr::null_mut());
    }
}

/// Unmaps what cannot be written of the first object, which is the program. Its pages stay in the kernel's cache as
/// long as there is room, as pages of a file do; the few that are used again are mapped again when they are, some
/// microseconds for 64 KiB. A static program is most of what a quiet one has mapped, and most of it only a start or a
/// seldom request needs.
extern "C" fn unmap(object: *mut dl_phdr_info, _: size_t, _: *mut c_void) -> c_int {
    // SAFETY: the C library hands in an object, for the time of this call.
    let object = unsafe { &*object };
    let count = usize::from(object.dlpi_phnum);
    // SAFETY: so many headers are there, and they are never written.
    let headers = unsafe { std::slice::from_raw_parts(object.dlpi_phdr, count) };
    for header in headers {
        // What is relocated is in a segment that can be written, at first.
        if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0 {
            let begin = address(object.dlpi_addr) + address(header.p_vaddr);
            let end = begin + address(header.p_memsz);
            let page = begin % PAGE;
            // SAFETY: a mapping of a file that nobody can write reads the same when it is mapped again (madvise(2)).
            unsafe {
                libc::madvise(
                    (begin - page) as *mut c_void,
                    end - begin + page,
                    libc::MADV_DONTNEED,
                );
            }
        }
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
        // What the other tests need meanwhile is mapped again.
        let less = (0..100).any(|_| {
            let before: u64 = mapped();
            give_back();
            mapped() < before
        });
        assert!(less, "{} KiB", mapped());
    }
}
