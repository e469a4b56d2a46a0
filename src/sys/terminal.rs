//! The terminal: how large it is, in which modes, and a way to it on which nothing waits.

use std::fs::{File, OpenOptions};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;

/// The columns and rows of a terminal (TIOCGWINSZ, ioctl_tty(2)); none if it is no terminal, or does not
/// know.
pub fn size(fd: BorrowedFd<'_>) -> Option<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel writes a winsize.
    let told = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    (told == 0 && size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}

/// The columns of the terminal on standard output; none if it is no terminal.
pub fn columns() -> Option<usize> {
    size(io::stdout().as_fd()).map(|(columns, _)| usize::from(columns))
}

/// Opens the terminal on standard output once more, to read and to write without waiting: what is set
/// for a descriptor would hold for the shell and all others who have it, too.
///
/// # Errors
/// It is no terminal, or may not be opened.
pub fn open() -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK);
    // The device is another user's behind su(1), and hidden in some containers; the second name is
    // open to whoever is controlled by the terminal.
    options.open("/proc/self/fd/1").or_else(|_| options.open("/dev/tty"))
}

/// Whether our process group has the terminal. What does not control us counts as ours.
pub fn is_foreground(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: the kernel takes numbers only.
    let group = unsafe { libc::tcgetpgrp(fd.as_raw_fd()) };
    // SAFETY: as above.
    group < 0 || group == unsafe { libc::getpgrp() }
}

/// Stops our process as ^Z does where nobody handles it, until it is continued: at once where nobody could
/// continue it, its group having no shell (setpgid(2), "orphaned process group"). Meanwhile the signals that
/// end a process have no handlers either: what comes after `may_stop` has looked ends us by itself, rather
/// than to be known to somebody who sleeps.
pub fn suspend(may_stop: impl FnOnce() -> bool) {
    let signals = [libc::SIGTSTP, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];
    let handlers = signals.map(|signal| (signal, set_default(signal)));
    if may_stop() {
        // SAFETY: the default action stops the process, and no handler runs.
        unsafe { libc::raise(libc::SIGTSTP) };
    }
    for (signal, handler) in handlers {
        let Some(handler) = handler else { continue };
        // SAFETY: the kernel reads back what it wrote.
        unsafe { libc::sigaction(signal, &raw const handler, std::ptr::null_mut()) };
    }
}

/// Gives a signal its default action, and tells what it had before.
fn set_default(signal: libc::c_int) -> Option<libc::sigaction> {
    let mut before = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all zeroes are a sigaction: the default action, nothing blocked, no flags.
    let default = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
    // SAFETY: the kernel reads one and writes the other.
    let done = unsafe { libc::sigaction(signal, &raw const default, before.as_mut_ptr()) };
    // SAFETY: it was all zeroes before, which are a sigaction, too.
    (done == 0).then_some(unsafe { before.assume_init() })
}

/// The modes of a terminal (termios(3)).
#[derive(Clone, Copy)]
pub struct Modes(libc::termios);

impl Modes {
    /// Those of this terminal.
    ///
    /// # Errors
    /// It is none.
    pub fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let mut modes = MaybeUninit::<libc::termios>::uninit();
        // SAFETY: the kernel writes a termios.
        if unsafe { libc::tcgetattr(fd.as_raw_fd(), modes.as_mut_ptr()) } < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it succeeded, so all of it is written.
        Ok(Self(unsafe { modes.assume_init() }))
    }

    /// The same, but each key is read as it is pressed and nothing is shown of it. ^C, ^\ and ^Z are
    /// signals as before.
    #[must_use]
    pub fn for_keys(&self) -> Self {
        let mut modes = self.0;
        modes.c_iflag &= !(libc::ICRNL | libc::INLCR | libc::IGNCR | libc::ISTRIP | libc::IXON);
        modes.c_lflag &= !(libc::ICANON | libc::ECHO | libc::ECHONL | libc::IEXTEN);
        modes.c_lflag |= libc::ISIG;
        modes.c_cc[libc::VMIN] = 1;
        modes.c_cc[libc::VTIME] = 0;
        Self(modes)
    }

    /// The same, but nothing of a line is shown while it is typed.
    #[must_use]
    pub fn without_echo(&self) -> Self {
        let mut modes = self.0;
        modes.c_lflag &= !(libc::ECHO | libc::ECHONL);
        modes.c_lflag |= libc::ICANON;
        Self(modes)
    }

    /// Puts a terminal into these modes, at once. Who has no right to it, being in the background, is
    /// stopped with SIGTTOU.
    ///
    /// # Errors
    /// It is no terminal (any more).
    pub fn set(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        // SAFETY: the kernel reads a termios.
        if unsafe { libc::tcsetattr(fd.as_raw_fd(), libc::TCSANOW, &self.0) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

impl PartialEq for Modes {
    fn eq(&self, other: &Self) -> bool {
        let flags = |m: &libc::termios| (m.c_iflag, m.c_oflag, m.c_cflag, m.c_lflag, m.c_cc);
        flags(&self.0) == flags(&other.0)
    }
}

impl std::fmt::Debug for Modes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(modes) = self;
        write!(f, "Modes {{ input: {:#o}, local: {:#o} }}", modes.c_iflag, modes.c_lflag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::testing;

    #[test]
    fn modes_are_set_and_set_back() {
        let (_master, terminal) = testing::pty();
        let before = Modes::of(terminal.as_fd()).expect("a terminal");
        let keys = before.for_keys();
        assert_ne!(keys, before);
        keys.set(terminal.as_fd()).expect("set");
        assert_eq!(Modes::of(terminal.as_fd()).expect("a terminal"), keys);
        before.set(terminal.as_fd()).expect("set");
        assert_eq!(Modes::of(terminal.as_fd()).expect("a terminal"), before);
        assert_eq!(size(terminal.as_fd()), None, "it does not know");
    }

    #[test]
    fn what_is_no_terminal_has_no_modes() {
        let (reader, _writer) = io::pipe().expect("a pipe");
        assert!(Modes::of(reader.as_fd()).is_err());
        assert_eq!(size(reader.as_fd()), None);
        assert!(is_foreground(reader.as_fd()));
    }
}
