//! How large the file system is on which a path lies (statvfs(3)).

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Its size in bytes; of a path that is not there yet, that of the nearest that is.
pub fn size(path: &Path) -> Option<u64> {
    path.ancestors().find_map(of)
}

fn of(path: &Path) -> Option<u64> {
    let text = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let text = CString::new(text.as_os_str().as_bytes()).ok()?;
    let mut found = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `text` ends with a NUL and `found` has room for what is written there.
    let result = unsafe { libc::statvfs(text.as_ptr(), found.as_mut_ptr()) };
    if result != 0 {
        return None;
    }
    // SAFETY: statvfs has succeeded, and so written all of it.
    let found = unsafe { found.assume_init() };
    Some(found.f_blocks.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_not_there_is_on_the_file_system_of_its_parent() {
        let here = size(Path::new(".")).expect("a file system");
        assert!(here > 0);
        assert_eq!(size(&Path::new(".").join("not/there/yet")), Some(here));
        assert_eq!(size(Path::new("")), Some(here));
    }
}
