//! What every daemon of ours needs before its machine runs: sockets to listen on, a log, the
//! background, a pidfile. And what is taken away when it is gone.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Display, Path, PathBuf};

use log::info;

use super::logger::{LogSettings, Logger, Place};
use super::tls::TlsSettings;
use crate::base::error::Errno;
use crate::reactor::sockets::Listener;
use crate::sys::daemonize::{self, Readiness};
use crate::sys::lock::{lock, LockError, Locked};
use crate::sys::own_file::{check_place, make_directory};
use crate::sys::sockets;

/// What is spoken at addresses of TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// Clear text.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// What these speak who have certificates to be shown, or none.
    pub(super) fn of(tls: &TlsSettings) -> Self {
        match tls.is_served() {
            true => Self::Https,
            false => Self::Http,
        }
    }

    /// As it stands in front of an address.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Listens on all of these; `cure` is the option that names another unix socket.
///
/// # Errors
/// The first that cannot be had, or that there is none, with what to do.
pub(super) fn listen(
    scheme: Scheme,
    binds: &[SocketAddr],
    paths: &[PathBuf],
    backlog: i32,
    cure: &str,
) -> Result<Vec<Listener>, String> {
    let mut listeners = Vec::new();
    for bind in binds {
        let socket = sockets::listen_tcp(*bind, backlog).map_err(|error| {
            let cure = match error.raw_os_error() {
                Some(libc::EADDRINUSE) => "; another program has it: choose another with --bind",
                Some(libc::EACCES) => "; ports below 1024 are root's: choose another with --bind",
                Some(libc::EADDRNOTAVAIL) => "; this machine has no such address",
                Some(_) | None => "",
            };
            format!("cannot listen on {bind}: {}{cure}", Errno::of(&error))
        })?;
        let socket = mio::net::TcpListener::from_std(socket);
        listeners.push(match scheme {
            Scheme::Http => Listener::Tcp(socket),
            Scheme::Https => Listener::Tls(socket),
        });
    }
    for path in paths {
        let socket = sockets::listen_unix(path, 0o600, backlog).map_err(|error| {
            format!("the unix socket {}: {error}; choose another with {cure}", path.display())
        })?;
        listeners.push(Listener::Unix(mio::net::UnixListener::from_std(socket)));
    }
    if listeners.is_empty() {
        return Err(format!(
            "nowhere to listen: give an address with --bind or a path with {cure}"
        ));
    }
    Ok(listeners)
}

/// To whom a unix socket belongs, and who else may come to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sharing {
    /// Its owner and his group, if that is not the one who starts us.
    pub(super) owner: Option<(u32, u32)>,
    /// The group that it has instead.
    pub(super) group: Option<u32>,
    /// Its permissions.
    pub(super) mode: u32,
}

/// Makes the directory of a unix socket, if it is not there, so that all can enter who may come to the
/// socket.
///
/// # Errors
/// It cannot be made, or others can put another socket in the place of ours.
pub(super) fn socket_directory(path: &Path, sharing: Sharing) -> Result<(), String> {
    let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else {
        return Ok(());
    };
    let place = || format!("the unix socket {}", path.display());
    let made = make_directory(parent, sharing.owner);
    if made.map_err(|errno| format!("{}: {errno}", place()))? && sharing.mode & 0o077 != 0 {
        let entered = if sharing.mode & 0o007 == 0 { 0o710 } else { 0o711 };
        give(parent, sharing, entered)?;
    }
    let friend = sharing.owner.map(|(uid, _)| uid);
    check_place(path, friend).map_err(|fault| format!("{}: {fault}", place()))
}

/// Lets others than its owner come to a unix socket. Who they are the kernel tells, and what each may is
/// asked at the door.
///
/// # Errors
/// We may not.
pub(super) fn share_socket(path: &Path, sharing: Sharing) -> Result<(), String> {
    give(path, sharing, sharing.mode)
}

fn give(path: &Path, sharing: Sharing, mode: u32) -> Result<(), String> {
    let fault = |error| format!("{}: {}", path.display(), Errno::of(&error));
    let (uid, gid) = sharing.owner.unzip();
    let gid = sharing.group.or(gid);
    if uid.is_some() || gid.is_some() {
        std::os::unix::fs::lchown(path, uid, gid).map_err(fault)?;
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(fault)
}

/// The port of the first of these that is one of TCP.
pub(super) fn first_port(listeners: &[Listener]) -> Option<u16> {
    addresses(listeners).first().map(SocketAddr::port)
}

/// The addresses of TCP of these.
pub(super) fn addresses(listeners: &[Listener]) -> Vec<SocketAddr> {
    let address = |listener: &Listener| match listener {
        Listener::Tcp(socket) | Listener::Tls(socket) => socket.local_addr().ok(),
        Listener::Unix(_) => None,
    };
    listeners.iter().filter_map(address).collect()
}

/// Where clients find these listeners, the unix sockets by their paths.
pub(super) fn places(listeners: &[Listener], paths: &[PathBuf]) -> Vec<String> {
    let tcp = listeners.iter().filter_map(|listener| match listener {
        Listener::Tcp(socket) => Some((Scheme::Http, socket.local_addr().ok()?)),
        Listener::Tls(socket) => Some((Scheme::Https, socket.local_addr().ok()?)),
        Listener::Unix(_) => None,
    });
    let tcp = tcp.map(|(scheme, address)| format!("{}://{address}", scheme.name()));
    tcp.chain(paths.iter().map(|path| path.display().to_string())).collect()
}

/// Opens the log of a program: a file, which is given to this user and group, or what else is wished.
///
/// # Errors
/// The file cannot be opened.
pub(super) fn open_log(
    settings: &LogSettings,
    program: &'static str,
    owner: Option<(u32, u32)>,
) -> Result<Logger, String> {
    let opened = Logger::open(settings, program, owner);
    opened.map_err(|fault| format!("the log file {}: {fault}", shown(settings)))
}

/// Opens the log file again, if there is one.
///
/// # Errors
/// It cannot be opened; the log goes on into the old file.
pub(super) fn reopen_log(log: &Logger, settings: &LogSettings) -> Result<(), String> {
    if log.reopen().map_err(|fault| format!("{}: {fault}", shown(settings)))? {
        info!("SIGUSR1: the log file is opened again");
    }
    Ok(())
}

fn shown(settings: &LogSettings) -> Display<'_> {
    let path = match &settings.place {
        Place::Stderr => Path::new("-"),
        Place::File(path, _) | Place::Syslog(path) => path,
    };
    path.display()
}

/// Goes to the background, if that is wished. Whoever started us waits until [`say_ready`].
///
/// # Errors
/// The kernel lets us not.
pub(super) fn go_to_background(wished: bool) -> Result<Option<Readiness>, String> {
    let gone = wished.then(daemonize::daemonize).transpose();
    gone.map_err(|errno| format!("cannot go to the background: {errno}"))
}

/// Everything is started: whoever started us may go on.
///
/// # Errors
/// It cannot be told.
pub(super) fn say_ready(readiness: Option<Readiness>) -> Result<(), String> {
    let told = readiness.map_or(Ok(()), Readiness::ready);
    told.map_err(|errno| format!("cannot go to the background: {errno}"))
}

/// What would only mislead when this daemon is gone, or did not start after all: its sockets and its
/// pidfile. Dropped, they are taken away.
pub(super) struct Traces {
    sockets: Vec<PathBuf>,
    pidfile: Option<Locked>,
}

impl Traces {
    /// Those of a daemon that listens on these unix sockets.
    pub(super) fn of_sockets(paths: &[PathBuf]) -> Self {
        Self { sockets: paths.to_vec(), pidfile: None }
    }

    /// Writes the process's number to a file, and holds that. Its directory may be `friend`'s.
    ///
    /// # Errors
    /// Another process holds it, or it cannot be written.
    pub(super) fn write_pidfile(
        &mut self,
        path: Option<&Path>,
        friend: Option<u32>,
    ) -> Result<(), String> {
        let Some(path) = path else { return Ok(()) };
        let shown = path.display();
        let locked = lock(path, 0o644, friend).map_err(|error| match error {
            LockError::Held { pid } => {
                let pid = pid.map(|pid| pid.to_string()).unwrap_or_else(|| "?".into());
                format!("already running on PID {pid}: it holds the pidfile {shown}")
            }
            LockError::Fault(fault) => format!("the pidfile {shown}: {fault}"),
        })?;
        let written = locked.write_line(&std::process::id().to_string());
        self.pidfile = Some(locked);
        written.map_err(|errno| format!("the pidfile {shown}: {errno}"))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        for path in &self.sockets {
            // Somebody may have removed it already.
            let _ = fs::remove_file(path);
        }
        if let Some(pidfile) = self.pidfile.take() {
            pidfile.release();
        }
    }
}
