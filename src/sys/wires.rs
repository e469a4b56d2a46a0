//! The streams of one child, made before it: for each a pair of ends, ours and its own.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::fchown;
use std::os::unix::net::UnixStream;

use crate::base::ids::StreamNo;
use crate::base::order::{Identity, SpawnOrder, Wiring};

/// The streams of one child.
pub(super) struct Wires {
    /// What becomes its descriptor 0, 1, 2 and so on.
    pub(super) places: Vec<RawFd>,
    /// Our ends.
    pub(super) ours: Vec<(StreamNo, OwnedFd)>,
    /// Its ends, which we close when it has them.
    theirs: Vec<OwnedFd>,
}

impl Wires {
    /// # Errors
    /// No descriptor is free (EMFILE, ENFILE).
    pub(super) fn new(
        order: &SpawnOrder,
        null: &File,
        listener: Option<RawFd>,
    ) -> io::Result<Self> {
        let mut wires = Self { places: Vec::new(), ours: Vec::new(), theirs: Vec::new() };
        let standard = [
            (StreamNo::STDIN, order.stdin),
            (StreamNo::STDOUT, order.stdout),
            (StreamNo::STDERR, order.stderr),
        ];
        for (stream, wiring) in standard {
            let stdout = wires.places.get(1).copied();
            let place = match wiring {
                Wiring::Pipe => wires.pipe(stream, order.identity.as_ref())?,
                Wiring::Stdout => stdout.unwrap_or(null.as_raw_fd()),
                Wiring::Null => null.as_raw_fd(),
            };
            wires.places.push(place);
        }
        for number in 0..order.custom {
            let (ours, theirs) = UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            let stream = StreamNo(StreamNo::FIRST_CUSTOM.0.saturating_add(number));
            let place = wires.add(stream, ours.into(), theirs.into());
            wires.places.push(place);
        }
        wires.places.extend(listener);
        Ok(wires)
    }

    fn pipe(&mut self, stream: StreamNo, owner: Option<&Identity>) -> io::Result<RawFd> {
        let (reading, writing) = pipe()?;
        let (ours, theirs) =
            if stream == StreamNo::STDIN { (writing, reading) } else { (reading, writing) };
        set_nonblocking(&ours)?;
        if let Some(identity) = owner {
            // So that the child may open /dev/stdout, which opens the pipe anew. Where that is
            // refused, it goes without, as it would on any other system.
            let _ = fchown(&theirs, Some(identity.uid), Some(identity.gid));
        }
        Ok(self.add(stream, ours, theirs))
    }

    fn add(&mut self, stream: StreamNo, ours: OwnedFd, theirs: OwnedFd) -> RawFd {
        let place = theirs.as_raw_fd();
        self.ours.push((stream, ours));
        self.theirs.push(theirs);
        place
    }
}

/// A pipe: its reading and its writing end, both close-on-exec.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let [reading, writing] = ends;
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
    let reading = unsafe { OwnedFd::from_raw_fd(reading) };
    // SAFETY: as above.
    let writing = unsafe { OwnedFd::from_raw_fd(writing) };
    Ok((reading, writing))
}

/// Makes one end non-blocking; the other end of a pipe is not touched.
fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    // SAFETY: the kernel takes numbers only. A pipe has no other flag that this could clear.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
