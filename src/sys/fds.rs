//! Small things done to open descriptors.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// The descriptor of something that lends it by number only, for as long as that is borrowed.
pub fn borrowed(owner: &impl AsRawFd) -> BorrowedFd<'_> {
    // SAFETY: whoever has a descriptor keeps it open while he is borrowed.
    unsafe { BorrowedFd::borrow_raw(owner.as_raw_fd()) }
}

/// Gives a pipe room for so many bytes, where the kernel does (fcntl(2), F_SETPIPE_SZ: EPERM beyond what one user
/// may have in all pipes together).
pub fn widen_pipe(pipe: BorrowedFd<'_>, bytes: usize) {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    // SAFETY: F_SETPIPE_SZ takes an int and touches no memory of ours.
    unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) };
}

/// Whether a write of up to PIPE_BUF bytes would not wait (poll(2)). A terminal that is held (^S),
/// or a pipe that nobody reads, is not writable.
pub fn is_writable(fd: BorrowedFd<'_>) -> bool {
    let mut asked = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: one pollfd of ours is read and written; the timeout of 0 does not wait.
    let ready = unsafe { libc::poll(&mut asked, 1, 0) };
    ready > 0 && asked.revents & libc::POLLOUT != 0
}

/// Whether a write of up to PIPE_BUF bytes does not wait any more within this time, or a signal's.
/// One that would fail does not wait.
pub fn becomes_writable(fd: BorrowedFd<'_>, patience: Duration) -> bool {
    let mut asked = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    let timeout = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one pollfd of ours is read and written.
    let ready = unsafe { libc::poll(&mut asked, 1, timeout) };
    ready > 0
}

/// Why a wait for input is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// There is something to read, or the end.
    Input,
    /// Nobody reads what is written to the output any more.
    Unread,
    /// The time is over, or a signal came.
    Time,
}

/// Waits until there is something to read from `input`, nobody reads `output` any more, or this time is
/// over; for ever without one. Of a pipe that shows without a write to it (POLLERR, poll(2)).
pub fn wait_for_input(
    input: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
    patience: Option<Duration>,
) -> Woken {
    let mut asked = [
        libc::pollfd { fd: input.as_raw_fd(), events: libc::POLLIN, revents: 0 },
        libc::pollfd { fd: output.as_raw_fd(), events: 0, revents: 0 },
    ];
    // A part of a millisecond counts whole: who waits for it must not come back before it is over.
    let timeout = patience.map_or(-1, |patience| {
        i32::try_from(patience.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
    });
    // SAFETY: two pollfds of ours are read and written.
    let ready = unsafe { libc::poll(asked.as_mut_ptr(), 2, timeout) };
    if ready <= 0 {
        Woken::Time
    } else if asked[1].revents & (libc::POLLERR | libc::POLLHUP) != 0 {
        Woken::Unread
    } else {
        Woken::Input
    }
}

/// Lets the reader of a socket find the end behind what was written; reading from it goes on. One that
/// is no socket, or not connected any more, stays as it is.
pub fn end_writing(socket: BorrowedFd<'_>) {
    // SAFETY: the kernel takes numbers only.
    unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_WR) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Read as _, Write as _};
    use std::os::fd::AsFd as _;

    #[test]
    fn a_full_pipe_is_not_writable() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        while is_writable(writer.as_fd()) {
            writer.write_all(&[0; 4096]).expect("there is room");
        }
        assert!(!becomes_writable(writer.as_fd(), Duration::from_millis(1)));
        drop(reader);
        assert!(becomes_writable(writer.as_fd(), Duration::from_millis(1)), "it fails at once");
    }

    #[test]
    fn a_wait_for_input_ends_when_nobody_reads_the_output() {
        let (input, mut feed) = io::pipe().expect("a pipe");
        let (reader, output) = io::pipe().expect("a pipe");
        let wait = |time: Option<Duration>| wait_for_input(input.as_fd(), output.as_fd(), time);
        assert_eq!(wait(Some(Duration::from_millis(1))), Woken::Time);
        feed.write_all(b"x").expect("there is room");
        assert_eq!(wait(None), Woken::Input);
        drop(reader);
        assert_eq!(wait(None), Woken::Unread);
    }

    #[test]
    fn a_socket_of_which_one_way_is_ended_goes_on_the_other() {
        let (mut ours, mut theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
        ours.write_all(b"last").expect("there is room");
        end_writing(ours.as_fd());
        let mut got = String::new();
        theirs.read_to_string(&mut got).expect("it ends");
        assert_eq!(got, "last");
        theirs.write_all(b"answer").expect("there is room");
        drop(theirs);
        got.clear();
        ours.read_to_string(&mut got).expect("it ends");
        assert_eq!(got, "answer");
    }
}
