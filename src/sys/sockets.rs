//! Sockets made as the standard library does not make them: TCP listeners with every option set
//! before bind(2), unix listeners that are private from their first moment and take the place of a
//! dead predecessor, and who is at the other end of a unix connection. All are close-on-exec and
//! non-blocking.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use super::own_file::make_directory;
use crate::base::error::Errno;

/// Listens on a TCP address. With SO_REUSEADDR, so that a restart does not wait for the
/// connections of the last run; without SO_REUSEPORT, so that nobody else takes a share of them.
/// An IPv6 address stands for itself alone, also `[::]`, so that it does not depend on the system
/// whether `0.0.0.0` may be listened on beside it.
///
/// # Errors
/// EADDRINUSE, EADDRNOTAVAIL, EACCES for a port below 1024, EMFILE.
pub fn listen_tcp(addr: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let fd = match addr {
        SocketAddr::V4(addr) => {
            let fd = socket(libc::AF_INET)?;
            set_option(&fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
            let name = libc::sockaddr_in {
                sin_family: family(libc::AF_INET),
                sin_port: addr.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(addr.ip().octets()) },
                sin_zero: [0; 8],
            };
            bind(&fd, &name, size_of_val(&name))?;
            fd
        }
        SocketAddr::V6(addr) => {
            let fd = socket(libc::AF_INET6)?;
            set_option(&fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
            set_option(&fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
            let name = libc::sockaddr_in6 {
                sin6_family: family(libc::AF_INET6),
                sin6_port: addr.port().to_be(),
                sin6_flowinfo: addr.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: addr.ip().octets() },
                sin6_scope_id: addr.scope_id(),
            };
            bind(&fd, &name, size_of_val(&name))?;
            fd
        }
    };
    listen(&fd, backlog)?;
    Ok(fd.into())
}

/// Why a unix socket cannot be listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnixListenError {
    /// Somebody answers there.
    AlreadyServed,
    /// There is something that is not a socket, a symbolic link for example. It is left alone.
    NotASocket,
    /// The kernel's refusal: ENAMETOOLONG beyond 107 bytes, EACCES, ENOENT.
    Io(Errno),
}

impl fmt::Display for UnixListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyServed => f.write_str("another process listens there"),
            Self::NotASocket => f.write_str("there is something that is not a socket"),
            Self::Io(errno) => errno.fmt(f),
        }
    }
}

impl From<io::Error> for UnixListenError {
    fn from(error: io::Error) -> Self {
        Self::Io(Errno::of(&error))
    }
}

/// Listens on a unix socket at `path`, which has `mode` before anybody can connect. A directory
/// that is missing on the way is made, for our user only. What a dead server left there is
/// replaced; hold a lock, or two who start at once may replace each other.
///
/// # Errors
/// See [`UnixListenError`].
pub fn listen_unix(path: &Path, mode: u32, backlog: i32) -> Result<UnixListener, UnixListenError> {
    let (name, length) = unix_name(path)?;
    if let Some(parent) = path.parent() {
        make_directory(parent, None).map_err(UnixListenError::Io)?;
    }
    remove_stale(path)?;
    let fd = socket(libc::AF_UNIX)?;
    // The file gets the socket's own mode, less the umask; then what that has taken is added.
    // SAFETY: fchmod touches no memory.
    checked(unsafe { libc::fchmod(fd.as_raw_fd(), mode & 0o777) })?;
    bind(&fd, &name, length)?;
    fs::set_permissions(path, Permissions::from_mode(mode & 0o777))?;
    listen(&fd, backlog)?;
    Ok(fd.into())
}

/// The process at the other end of a unix connection, as it was when it connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCredentials {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its pid; 0 if it is outside our namespace.
    pub os_pid: i32,
}

/// Who is at the other end (SO_PEERCRED, unix(7)); `None` if this is no unix connection.
pub fn peer_credentials(connection: impl AsFd) -> Option<PeerCredentials> {
    let mut peer = MaybeUninit::<libc::ucred>::uninit();
    let mut length = libc::socklen_t::try_from(size_of::<libc::ucred>()).ok()?;
    let fd = connection.as_fd().as_raw_fd();
    let place = peer.as_mut_ptr().cast();
    // SAFETY: the kernel writes at most `length` bytes, the size of `peer`.
    let got =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERCRED, place, &mut length) };
    if got < 0 || usize::try_from(length) != Ok(size_of::<libc::ucred>()) {
        return None;
    }
    // SAFETY: the kernel has written all of it.
    let peer = unsafe { peer.assume_init() };
    // An inet socket has nobody there, which the kernel says with pid 0 and the greatest ids.
    let known = (peer.uid, peer.gid) != (u32::MAX, u32::MAX);
    known.then_some(PeerCredentials { uid: peer.uid, gid: peer.gid, os_pid: peer.pid })
}

/// A descriptor held in reserve. When none is free, accept(2) fails and the connection stays in
/// the queue, so the listener is readable again at once, for ever. With this one lent, the
/// connection can be accepted and closed: its client is told, and the loop can sleep.
#[derive(Debug)]
pub struct ReserveFd(Option<File>);

impl ReserveFd {
    /// Takes a descriptor. If there is none, it is taken after the first time one is lent.
    pub fn new() -> Self {
        Self(File::open("/dev/null").ok())
    }

    /// Does something that needs one descriptor and gives it back.
    pub fn lend<T>(&mut self, refuse: impl FnOnce() -> T) -> T {
        self.0 = None;
        let done = refuse();
        *self = Self::new();
        done
    }
}

impl Default for ReserveFd {
    fn default() -> Self {
        Self::new()
    }
}

/// Removes the socket of a server that is gone.
fn remove_stale(path: &Path) -> Result<(), UnixListenError> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if !there.file_type().is_socket() {
        return Err(UnixListenError::NotASocket);
    }
    let (name, length) = unix_name(path)?;
    let probe = socket(libc::AF_UNIX)?;
    let place = std::ptr::from_ref(&name).cast();
    let length = libc::socklen_t::try_from(length).unwrap_or(0);
    // SAFETY: the kernel reads `length` bytes of the name, which has more.
    match checked(unsafe { libc::connect(probe.as_raw_fd(), place, length) }) {
        Ok(()) => Err(UnixListenError::AlreadyServed),
        Err(error) => match error.raw_os_error() {
            Some(libc::ECONNREFUSED) => Ok(fs::remove_file(path)?),
            Some(libc::ENOENT) => Ok(()),
            // A full queue, or a socket of another kind: served all the same.
            Some(libc::EAGAIN | libc::EPROTOTYPE) => Err(UnixListenError::AlreadyServed),
            Some(_) | None => Err(error.into()),
        },
    }
}

/// A path as unix(7) wants it, and the length of that.
fn unix_name(path: &Path) -> Result<(libc::sockaddr_un, usize), UnixListenError> {
    let bytes = path.as_os_str().as_bytes();
    let mut name = libc::sockaddr_un { sun_family: family(libc::AF_UNIX), sun_path: [0; 108] };
    if bytes.is_empty() || bytes.contains(&0) {
        return Err(UnixListenError::Io(Errno(libc::EINVAL)));
    }
    if bytes.len() >= name.sun_path.len() {
        return Err(UnixListenError::Io(Errno(libc::ENAMETOOLONG)));
    }
    for (place, byte) in name.sun_path.iter_mut().zip(bytes) {
        *place = libc::c_char::from_ne_bytes([*byte]);
    }
    Ok((name, std::mem::offset_of!(libc::sockaddr_un, sun_path) + bytes.len() + 1))
}

fn family(number: libc::c_int) -> libc::sa_family_t {
    libc::sa_family_t::try_from(number).expect("families are small numbers")
}

fn socket(family: libc::c_int) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: socket touches no memory.
    let fd = unsafe { libc::socket(family, kind, 0) };
    checked(fd)?;
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Gives an option a value.
fn set_option(
    fd: &impl AsRawFd,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let (place, length) = (std::ptr::from_ref(&value).cast(), size_of::<libc::c_int>());
    let length = libc::socklen_t::try_from(length).unwrap_or(0);
    // SAFETY: the kernel reads `length` bytes, the size of `value`.
    checked(unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, place, length) })
}

/// Lets the kernel ask a silent peer whether it is still there (tcp(7)): after a minute, and then four
/// times, 15 seconds apart. A client that follows something may be silent for ever, and a host that is
/// switched off closes nothing. This costs us no wake-up.
///
/// # Errors
/// It is no TCP socket.
pub fn keep_alive(connection: &impl AsRawFd) -> io::Result<()> {
    set_option(connection, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
    set_option(connection, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, 60)?;
    set_option(connection, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, 15)?;
    set_option(connection, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 4)
}

/// Binds to the first `length` bytes of a socket address.
fn bind<T>(fd: &OwnedFd, name: &T, length: usize) -> io::Result<()> {
    assert!(length <= size_of::<T>(), "no more than there is");
    let length = libc::socklen_t::try_from(length).unwrap_or(0);
    let place = std::ptr::from_ref(name).cast();
    // SAFETY: the kernel reads `length` bytes of `name`, which has at least as many.
    checked(unsafe { libc::bind(fd.as_raw_fd(), place, length) })
}

fn listen(fd: &OwnedFd, backlog: i32) -> io::Result<()> {
    // SAFETY: listen touches no memory.
    checked(unsafe { libc::listen(fd.as_raw_fd(), backlog) })
}

fn checked(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{testing, users};
    use std::net::TcpStream;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::{UnixDatagram, UnixStream};

    fn flag(fd: &impl AsRawFd, level: i32, option: i32) -> i32 {
        let (mut value, mut length) = (0_i32, 4);
        let place = std::ptr::from_mut(&mut value).cast();
        // SAFETY: the kernel writes at most `length` bytes, the size of `value`.
        unsafe { libc::getsockopt(fd.as_raw_fd(), level, option, place, &mut length) };
        value
    }

    #[test]
    fn a_tcp_listener_has_its_options() {
        let listener = listen_tcp("127.0.0.1:0".parse().expect("valid"), 16).expect("a free port");
        let at = listener.local_addr().expect("bound");
        assert!(at.ip().is_loopback() && at.port() != 0);
        assert_eq!(flag(&listener, libc::SOL_SOCKET, libc::SO_REUSEADDR), 1);
        assert_eq!(flag(&listener, libc::SOL_SOCKET, libc::SO_REUSEPORT), 0);
        let nothing = listener.accept().expect_err("nobody has come");
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        // SAFETY: this only reads flags.
        let close = unsafe { libc::fcntl(listener.as_raw_fd(), libc::F_GETFD) };
        assert_eq!(close, libc::FD_CLOEXEC);
        TcpStream::connect(at).expect("it listens");
        let taken = listen_tcp(at, 16).expect_err("it is taken");
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn both_families_have_the_same_port() {
        let Ok(six) = listen_tcp("[::]:0".parse().expect("valid"), 16) else {
            println!("skipped: this machine has no IPv6");
            return;
        };
        let port = six.local_addr().expect("bound").port();
        assert_eq!(flag(&six, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY), 1);
        let four = listen_tcp(SocketAddr::from(([127, 0, 0, 1], port)), 16);
        assert_eq!(four.expect("it is free").local_addr().expect("bound").port(), port);
        TcpStream::connect(("::1", port)).expect("it listens");
    }

    #[test]
    fn a_unix_socket_is_private_whatever_the_umask() {
        testing::alone("sys::sockets::tests::a_unix_socket_is_private_whatever_the_umask", || {
            let directory = tempfile::tempdir().expect("a directory");
            let mode_of =
                |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
            for (umask, mode) in [(0o000, 0o600), (0o077, 0o666), (0o022, 0o660)] {
                // SAFETY: umask touches no memory, and no other test runs in this process.
                unsafe { libc::umask(umask) };
                let path = directory.path().join(format!("{umask:o}/deep/socket"));
                let listener = listen_unix(&path, mode, 16).expect("a free path");
                assert_eq!(mode_of(&path), mode);
                assert_eq!(mode_of(path.parent().expect("a parent")) & 0o077, 0);
                UnixStream::connect(&path).expect("it listens");
                let (mut connection, _) = listener.accept().expect("one has come");
                let mut end = Vec::new();
                io::Read::read_to_end(&mut connection, &mut end).expect("the client has gone");
            }
        });
    }

    #[test]
    fn a_dead_predecessor_is_replaced_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        let refusal = |name: &str| listen_unix(&at(name), 0o600, 16).err();
        let first = listen_unix(&at("socket"), 0o600, 0).expect("a free path");
        assert_eq!(refusal("socket"), Some(UnixListenError::AlreadyServed));
        assert_eq!(refusal("socket"), Some(UnixListenError::AlreadyServed), "with a full queue");
        drop(first);
        // A child of another test that is just being made may hold a copy a moment longer.
        let second = std::iter::repeat_with(|| listen_unix(&at("socket"), 0o600, 16))
            .take(100_000)
            .find_map(Result::ok);
        UnixStream::connect(at("socket")).expect("it listens");
        drop(second);
        let datagrams = UnixDatagram::bind(at("datagrams")).expect("a free path");
        assert_eq!(refusal("datagrams"), Some(UnixListenError::AlreadyServed));
        drop(datagrams);
        fs::write(at("file"), "kept").expect("ours");
        symlink(at("socket"), at("link")).expect("ours");
        for name in ["file", "link"] {
            assert_eq!(refusal(name), Some(UnixListenError::NotASocket), "{name}");
        }
        assert_eq!(fs::read_to_string(at("file")).expect("it is there"), "kept");
        let too_long = Some(UnixListenError::Io(Errno(libc::ENAMETOOLONG)));
        assert_eq!(refusal(&"x".repeat(108)), too_long);
        let room = 107 - directory.path().as_os_str().len() - 1;
        assert_eq!(refusal(&"x".repeat(room)), None);
        assert_eq!(refusal(&"x".repeat(room + 1)), too_long);
    }

    #[test]
    fn the_other_end_is_known() {
        let (one, _other) = UnixStream::pair().expect("descriptors are free");
        let peer = peer_credentials(&one).expect("a unix connection");
        assert_eq!((peer.uid, peer.gid), (users::own().uid, users::own().gid));
        assert_eq!(i64::from(peer.os_pid), i64::from(std::process::id()));
        let listener = listen_tcp("127.0.0.1:0".parse().expect("valid"), 16).expect("a free port");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
        assert_eq!(peer_credentials(&client), None);
        assert_eq!(peer_credentials(File::open("/dev/null").expect("it is there")), None);
    }

    #[test]
    fn with_the_reserve_a_connection_can_be_refused() {
        testing::alone("sys::sockets::tests::with_the_reserve_a_connection_can_be_refused", || {
            let any = "127.0.0.1:0".parse().expect("valid");
            let listener = listen_tcp(any, 16).expect("a free port");
            let mut reserve = ReserveFd::new();
            let at = listener.local_addr().expect("bound");
            let mut client = TcpStream::connect(at).expect("it listens");
            let full = libc::rlimit64 { rlim_cur: 0, rlim_max: 1024 };
            // SAFETY: the kernel reads `full`.
            assert_eq!(unsafe { libc::setrlimit64(libc::RLIMIT_NOFILE, &full) }, 0);
            assert_eq!(listener.accept().expect_err("full").raw_os_error(), Some(libc::EMFILE));
            let limit = u64::try_from(client.as_raw_fd()).expect("a number");
            let back = libc::rlimit64 { rlim_cur: limit, rlim_max: 1024 };
            // SAFETY: the kernel reads `back`.
            assert_eq!(unsafe { libc::setrlimit64(libc::RLIMIT_NOFILE, &back) }, 0);
            assert!(reserve.0.is_some());
            reserve.lend(|| drop(listener.accept().expect("the reserve's place is free")));
            assert!(reserve.0.is_some());
            let end = io::Read::read(&mut client, &mut [0]).expect("the end");
            assert_eq!(end, 0);
        });
    }
}
