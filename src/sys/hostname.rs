//! What the kernel calls this host (gethostname(2)).

use std::ffi::CStr;

use super::last_errno;
use crate::base::error::Errno;

/// The name of this host. What is no UTF-8 in it is replaced.
///
/// # Errors
/// The kernel's refusal.
pub fn hostname() -> Result<String, Errno> {
    // Linux has at most 64 bytes (HOST_NAME_MAX), and an end.
    let mut name = [0_u8; 256];
    // SAFETY: the kernel writes at most the length of `name`, less the end that stays there.
    let got = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    if got < 0 {
        return Err(last_errno());
    }
    let text = CStr::from_bytes_until_nul(&name).map(CStr::to_string_lossy);
    Ok(text.unwrap_or_default().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_the_kernel_says_elsewhere() {
        let file = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("there is one");
        assert_eq!(hostname().expect("there is one"), file.trim_end());
    }
}
