//! Randomness of the kernel (getrandom(2)): for keys, and to seed what need not be secret.

use super::last_errno;
use crate::base::error::Errno;

/// Fills `bytes` with what nobody can guess.
///
/// # Errors
/// ENOSYS: before Linux 3.17. Right after boot this waits until the kernel has gathered enough.
pub fn random_bytes(bytes: &mut [u8]) -> Result<(), Errno> {
    let mut rest = bytes;
    while !rest.is_empty() {
        // SAFETY: the kernel writes no more than `rest` has room for.
        let written = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(written) {
            Ok(written) => rest = rest.get_mut(written..).unwrap_or_default(),
            Err(_) if last_errno().0 == libc::EINTR => {}
            Err(_) => return Err(last_errno()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_the_buffer_is_filled_and_never_the_same() {
        let (mut first, mut second) = ([0; 600], [0; 600]);
        random_bytes(&mut first).expect("a kernel that can");
        random_bytes(&mut second).expect("a kernel that can");
        assert_ne!(first, second);
        // 64 zeros in a row come up once in 2^512 runs.
        assert!(first.chunks(64).all(|chunk| chunk.iter().any(|byte| *byte != 0)));
        random_bytes(&mut []).expect("nothing to do");
    }
}
