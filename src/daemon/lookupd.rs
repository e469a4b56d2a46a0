//! From a command line to a running `gaffer_lookupd`, and from its end to an exit code. It keeps nothing
//! on disk, starts no processes, and has nothing to read again but its certificates. With `--store` others keep
//! what it knows.

use log::{info, warn};

use super::host;
use super::launch::{self, Scheme, Sharing, Traces};
use super::logger::Logger;
use super::lookupd_options::Settings;
use super::servant::{self, Servant};
use super::tls::{Reading, TlsSettings};
use crate::base::clock::Now;
use crate::base::limits;
use crate::base::sorted::SortedMap;
use crate::front::sockjs;
use crate::lookup::lookupd::{Lookupd, Setup};
use crate::node::machine::Configuration;
use crate::reactor::clock::Clock;
use crate::reactor::files::Files;
use crate::reactor::store::Settings as Store;
use crate::reactor::turn::{Parts, Reactor, Share, World};
use crate::sys::spawn::Spawner;
use crate::sys::{entropy, startup, users};
use crate::tls::Security;
use crate::VERSION;

/// Descriptors that are not clients': the log, the poll, the listeners, and some to spare.
const OWN_DESCRIPTORS: u64 = 64;

/// Runs it until it is told to end; gives its exit code.
///
/// # Errors
/// Why it could not start, in words for its standard error.
pub fn run(settings: Settings) -> Result<u8, String> {
    let environ = host::environment();
    let tls = settings.tls()?;
    let mut warnings = Vec::new();
    let security = read_security(&tls, &environ, &mut warnings)?;
    startup::close_inherited();
    startup::guard_memory();
    let nofile = startup::raise_nofile();
    let servant = Servant::wished(settings.user.as_deref())?;
    let owner = servant::owner(servant.as_ref());
    let sharing = Sharing { owner, group: None, mode: 0o600 };
    let Settings { binds, sockets, .. } = &settings;
    let scheme = Scheme::of(&tls);
    sockets.iter().try_for_each(|path| launch::socket_directory(path, sharing))?;
    let listeners = launch::listen(scheme, binds, sockets, settings.backlog, "--bind unix:PATH")?;
    let mut traces = Traces::of_sockets(sockets);
    sockets.iter().try_for_each(|path| launch::share_socket(path, sharing))?;
    let log = launch::open_log(&settings.log, "gaffer_lookupd", owner)?;
    let readiness = launch::go_to_background(settings.daemon)?;
    // From here on the process has the number that it keeps.
    traces.write_pidfile(settings.pidfile.as_deref(), owner.map(|(uid, _)| uid))?;
    servant::become_him(servant.as_ref())?;
    let log = log.install(settings.log.level)?;
    info!("gaffer_lookupd {VERSION}");
    for warning in warnings {
        warn!("{warning}");
    }
    let open = binds.iter().find(|bind| !bind.ip().is_loopback());
    let asks = settings.store.is_none() && !tls.is_demanded();
    if let Some(open) = open.filter(|_| asks) {
        warn!(
            "{open} can be reached from other machines, and everybody who reaches it can register \
             nodes: this version has no keys; with --cacert it lets in only who has a certificate"
        );
    }
    let spawner = Spawner::new(nofile).map_err(|errno| format!("no /dev/null: {errno}"))?;
    let where_to_look = announce(&launch::places(&listeners, sockets), &settings);
    let machine = Lookupd::new(setup(&settings)?);
    let world = Daemon { settings, tls, environ, security, log };
    let parts = Parts {
        spawner,
        files: Files::nowhere(),
        logs: Store::default(),
        world: Box::new(world),
        share: Share::ALL,
    };
    let mut reactor = Reactor::new(machine, parts).map_err(|error| error.to_string())?;
    for listener in listeners {
        reactor.listen(listener).map_err(|error| error.to_string())?;
    }
    startup::set_title("gaffer_lookupd");
    info!("{where_to_look}");
    launch::say_ready(readiness)?;
    let code = reactor.run().map_err(|error| format!("the loop failed: {error}"))?;
    drop(reactor);
    drop(traces);
    info!("gaffer_lookupd ends");
    Ok(code)
}

fn read_security(
    tls: &TlsSettings,
    environ: &SortedMap<String, String>,
    warnings: &mut Vec<String>,
) -> Result<Security, String> {
    let now = Clock::default().tick().wall;
    tls.load(&Reading { environ, root: users::is_root(), now, dials: false }, warnings)
}

fn setup(settings: &Settings) -> Result<Setup, String> {
    let mut seed = [0; 8];
    entropy::random_bytes(&mut seed).map_err(|errno| format!("no random numbers: {errno}"))?;
    let framers = settings.access.origins.clone();
    let stream = sockjs::Options {
        cookie: true,
        legacy: !framers.is_empty(),
        framers,
        ..sockjs::Options::default()
    };
    Ok(Setup {
        access: settings.access.clone(),
        clients: most_clients(),
        stream,
        seed: u64::from_le_bytes(seed),
        store: settings.store.clone(),
    })
}

/// Clients are descriptors, and there is nothing else that needs them.
fn most_clients() -> usize {
    let soft = startup::nofile().map_or(u64::MAX, |(soft, _)| soft);
    usize::try_from(soft.saturating_sub(OWN_DESCRIPTORS))
        .unwrap_or(usize::MAX)
        .clamp(1, limits::CONNECTIONS)
}

/// The first thing to try, where it listens.
fn announce(places: &[String], settings: &Settings) -> String {
    let first = match (places.first(), settings.sockets.first()) {
        (Some(place), _) if place.starts_with("http") => format!("curl {place}/nodes"),
        (_, Some(path)) => format!("curl --unix-socket {} http://localhost/nodes", path.display()),
        (_, None) => String::new(),
    };
    format!("listening on {}; look with: {first}", places.join(" and "))
}

/// The daemon around the shell.
struct Daemon {
    settings: Settings,
    tls: TlsSettings,
    environ: SortedMap<String, String>,
    security: Security,
    log: &'static Logger,
}

impl World for Daemon {
    fn read_config(&mut self) -> Result<Configuration, String> {
        let mut warnings = Vec::new();
        self.security = read_security(&self.tls, &self.environ, &mut warnings)?;
        for warning in warnings {
            warn!("{warning}");
        }
        Ok(Configuration::default())
    }

    fn security(&mut self) -> Security {
        self.security.clone()
    }

    fn reopen_log(&mut self) -> Result<(), String> {
        launch::reopen_log(self.log, &self.settings.log)
    }

    fn print(&mut self, _: &str, _: Now) -> bool {
        true
    }
}
