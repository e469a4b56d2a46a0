//! The terminal: how large it is.

/// The columns and the rows of the terminal on standard output (TIOCGWINSZ, ioctl_tty(2)); none if it is
/// no terminal.
pub fn size() -> Option<(usize, usize)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel writes a winsize.
    let told = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) };
    (told == 0).then_some((usize::from(size.ws_col), usize::from(size.ws_row)))
}
