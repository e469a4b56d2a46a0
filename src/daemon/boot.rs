//! From a command line to a running daemon, and from its end to an exit code. What can fail is
//! tried before anything is started: the configuration, the addresses, the state directory, the
//! pidfile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use log::{info, warn};

use super::config::{Config, Origins};
use super::host;
use super::legacy::StateDirectory;
use super::logger::Logger;
use super::options::Options;
use super::settings::Settings;
use super::world::Daemon;
use crate::base::error::Errno;
use crate::base::limits;
use crate::front::sockjs;
use crate::node::console::{Console, Verbosity};
use crate::node::gaffer::{Gaffer, Setup};
use crate::reactor::files::Files;
use crate::reactor::sockets::Listener;
use crate::reactor::turn::{Parts, Reactor};
use crate::sys::lock::{lock, LockError, Locked};
use crate::sys::spawn::Spawner;
use crate::sys::{daemonize, procfs, reap, sockets, startup, users};
use crate::VERSION;

/// Runs gafferd until it is told to end; gives its exit code.
///
/// # Errors
/// Why it could not start, in words for its standard error.
pub fn run(options: Options) -> Result<u8, String> {
    let environ = host::environment();
    let program = std::env::current_exe().ok();
    let root = users::is_root();
    let origins =
        Origins { options: &options, environ: &environ, root, program: program.as_deref() };
    let config = Config::read(&origins)?;
    let settings = config.settings.clone();
    startup::close_inherited();
    let nofile = startup::raise_nofile();
    let state = StateDirectory::take(&settings.state_dir)?;
    let listeners = listen(&settings)?;
    let mut traces = Traces { socket: settings.socket.clone(), pidfile: None };
    let log = Logger::open(settings.error_log.as_deref()).map_err(|error| {
        let path = settings.error_log.clone().unwrap_or_default();
        format!("the log file {}: {}", path.display(), Errno::of(&error))
    })?;
    let readiness = match settings.daemon {
        true => {
            let gone = daemonize::daemonize();
            Some(gone.map_err(|errno| format!("cannot go to the background: {errno}"))?)
        }
        false => None,
    };
    // From here on the process has the number that it keeps.
    traces.pidfile = settings.pidfile.as_deref().map(write_pidfile).transpose()?;
    let log = log.install(settings.log_level)?;
    info!("gafferd {VERSION}, state in {}", settings.state_dir.display());
    state.sign();
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let boot_id = procfs::boot_id().unwrap_or_default();
    let legacy = state.legacy(&boot_id, options.forget);
    let setup = setup(&settings, &options, &environ, state.node.clone(), boot_id)?;
    let spawner =
        Spawner::new(nofile).map_err(|errno| format!("cannot start processes: {errno}"))?;
    if let Err(errno) = reap::become_subreaper() {
        warn!("orphans of the jobs' processes will not be found: {errno}");
    }
    let world =
        Daemon { options, environ, root, program, settings: settings.clone(), log, lost: 0 };
    let files = Files::new(settings.state_dir.clone());
    let parts = Parts { spawner, files, world: Box::new(world) };
    let mut reactor = Reactor::new(Gaffer::new(setup), parts).map_err(|error| error.to_string())?;
    let where_to_look = announce(&listeners, &settings);
    for listener in listeners {
        reactor.listen(listener).map_err(|error| error.to_string())?;
    }
    let (machine, now) = reactor.machine();
    machine.begin(legacy, config.jobs, now);
    startup::set_title("gafferd");
    info!("{where_to_look}");
    if let Some(readiness) = readiness {
        readiness.ready().map_err(|errno| format!("cannot go to the background: {errno}"))?;
    }
    let code = reactor.run().map_err(|error| format!("the loop failed: {error}"))?;
    drop(reactor);
    drop(traces);
    info!("gafferd ends");
    Ok(code)
}

fn listen(settings: &Settings) -> Result<Vec<Listener>, String> {
    let mut listeners = Vec::new();
    for bind in &settings.binds {
        let socket = sockets::listen_tcp(*bind, settings.backlog).map_err(|error| {
            let cure = match error.raw_os_error() {
                Some(libc::EADDRINUSE) => "; another program has it: choose another with --bind",
                Some(libc::EACCES) => "; ports below 1024 are root's: choose another with --bind",
                Some(libc::EADDRNOTAVAIL) => "; this machine has no such address",
                Some(_) | None => "",
            };
            format!("cannot listen on {bind}: {}{cure}", Errno::of(&error))
        })?;
        listeners.push(Listener::Tcp(mio::net::TcpListener::from_std(socket)));
    }
    if let Some(path) = &settings.socket {
        let socket = sockets::listen_unix(path, 0o600, settings.backlog).map_err(|error| {
            format!(
                "the unix socket {}: {error}; choose another with --socket PATH",
                path.display()
            )
        })?;
        listeners.push(Listener::Unix(mio::net::UnixListener::from_std(socket)));
    }
    if listeners.is_empty() {
        return Err("nowhere to listen: give an address with --bind or a path with --socket".into());
    }
    Ok(listeners)
}

/// Where to look, in words.
fn announce(listeners: &[Listener], settings: &Settings) -> String {
    let mut places = Vec::new();
    for listener in listeners {
        match listener {
            Listener::Tcp(socket) => {
                places.extend(socket.local_addr().ok().map(|address| format!("http://{address}")));
            }
            Listener::Unix(_) => {
                places.extend(settings.socket.as_ref().map(|path| path.display().to_string()));
            }
        }
    }
    let first = match (places.first(), &settings.socket) {
        (Some(place), _) if place.starts_with("http") => format!("curl {place}/jobs"),
        (_, Some(path)) => format!("curl --unix-socket {} http://localhost/jobs", path.display()),
        (_, None) => String::new(),
    };
    format!("listening on {}; look with: {first}", places.join(" and "))
}

fn write_pidfile(path: &Path) -> Result<Locked, String> {
    let shown = path.display();
    let locked = lock(path, 0o644).map_err(|error| match error {
        LockError::Held { pid } => {
            let pid = pid.map(|pid| pid.to_string()).unwrap_or_else(|| "?".into());
            format!("already running on PID {pid}: it holds the pidfile {shown}")
        }
        LockError::Io(errno) => format!("the pidfile {shown}: {errno}"),
    })?;
    let written = locked.write_line(&std::process::id().to_string());
    written.map_err(|errno| format!("the pidfile {shown}: {errno}"))?;
    Ok(locked)
}

fn setup(
    settings: &Settings,
    options: &Options,
    environ: &BTreeMap<String, String>,
    node: String,
    boot_id: String,
) -> Result<Setup, String> {
    let verbosity = match options.verbose {
        0 => Verbosity::Silent,
        1 => Verbosity::Events,
        _ => Verbosity::Output,
    };
    Ok(Setup {
        access: settings.access.clone(),
        clients: most_clients(),
        channel: sockjs::Options {
            cookie: true,
            legacy: settings.sockjs_legacy,
            ..sockjs::Options::default()
        },
        console: Console::new(verbosity),
        boot_id,
        ..host::setup(environ.clone(), node)?
    })
}

/// Clients are descriptors, and so is what the jobs need: no more than half of them is for clients.
fn most_clients() -> usize {
    let half = startup::nofile().map_or(u64::MAX, |(soft, _)| soft / 2);
    usize::try_from(half).unwrap_or(usize::MAX).min(limits::CONNECTIONS)
}

/// What would only mislead when this daemon is gone, or did not start after all: its socket and its
/// pidfile. Dropped, they are taken away.
struct Traces {
    socket: Option<PathBuf>,
    pidfile: Option<Locked>,
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Some(path) = &self.socket {
            // Somebody may have removed it already.
            let _ = std::fs::remove_file(path);
        }
        if let Some(pidfile) = self.pidfile.take() {
            pidfile.release();
        }
    }
}
