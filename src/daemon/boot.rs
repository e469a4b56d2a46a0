//! From a command line to a running daemon, and from its end to an exit code. What can fail is
//! tried before anything is started: the configuration, the addresses, the state directory, the
//! pidfile.

use log::{info, warn};

use super::config::{Config, Origins};
use super::host;
use super::keeping;
use super::launch::{self, Scheme, Sharing, Traces};
use super::legacy::StateDirectory;
use super::options::Options;
use super::registration;
use super::servant::{self, Servant};
use super::settings::Settings;
use super::webhooks;
use super::world::Daemon;
use crate::base::limits;
use crate::base::sorted::SortedMap;
use crate::front::sockjs;
use crate::node::console::{Console, Verbosity};
use crate::node::gaffer::{Gaffer, Legacy, Setup};
use crate::node::machine::StateFile;
use crate::reactor::files::Files;
use crate::reactor::sockets::Listener;
use crate::reactor::turn::{Parts, Reactor, Share};
use crate::sys::spawn::Spawner;
use crate::sys::{procfs, reap, startup, users};
use crate::VERSION;

/// Runs gafferd until it is told to end; gives its exit code.
///
/// # Errors
/// Why it could not start, in words for its standard error.
pub fn run(options: Options) -> Result<u8, String> {
    let environ = host::environment();
    let program = std::env::current_exe().ok();
    let root = users::is_root();
    let origins = Origins {
        options: &options,
        environ: &environ,
        root,
        program: program.as_deref(),
        hosted: false,
    };
    let mut config = Config::read(&origins)?;
    let security = config.security(&origins)?;
    let settings = config.settings.clone();
    startup::close_inherited();
    startup::guard_memory();
    startup::outlive_large_files();
    let nofile = startup::raise_nofile();
    let servant = Servant::wished(settings.user.as_deref())?;
    let servant = servant.as_ref();
    let state_dir = &settings.state_dir;
    let state = servant::in_directory(servant, state_dir, || StateDirectory::take(state_dir))?;
    let keys = state.load_whole(StateFile::Keys)?.len();
    let warning = keeping::check(&settings, keys)?;
    let scheme = Scheme::of(&config.tls);
    let (listeners, mut traces) = listen(&settings, scheme, servant)?;
    let owner = servant::owner(servant);
    let log = launch::open_log(&settings.log, "gafferd", owner)?;
    let readiness = launch::go_to_background(settings.daemon)?;
    // From here on the process has the number that it keeps,
    traces.write_pidfile(settings.pidfile.as_deref(), owner.map(|(uid, _)| uid))?;
    // and the user as whom it goes on.
    servant::become_him(servant)?;
    let log = log.install(settings.log.level)?;
    info!("gafferd {VERSION}, state in {}", settings.state_dir.display());
    state.sign();
    for warning in config.warnings.iter().chain(&warning) {
        warn!("{warning}");
    }
    let boot_id = procfs::boot_id().unwrap_or_default();
    let legacy = state.legacy(&boot_id, options.forget)?;
    let port = launch::first_port(&listeners);
    let registration = registration::of(&settings.lookups, scheme, &settings.binds, port)?;
    let theirs = servant::environment(servant, &environ);
    let setup = setup(&settings, &options, theirs, state.node.clone(), boot_id)?;
    let (keeping, webhooks) =
        (keeping::of(&settings)?, webhooks::of(&config.hooks, settings.webhook_queue));
    let setup = Setup { registration, keeping, webhooks, plugins: config.plugins, ..setup };
    let spawner = spawner(nofile)?;
    let world = Daemon {
        options,
        environ,
        root,
        program,
        settings: settings.clone(),
        scheme,
        security,
        tls: config.tls,
        log: Some(log),
        port,
        lost: 0,
    };
    let parts = parts(spawner, world, &settings);
    let mut reactor = Reactor::new(Gaffer::new(setup), parts).map_err(|error| error.to_string())?;
    let where_to_look = announce(&listeners, &settings);
    for listener in listeners {
        reactor.listen(listener).map_err(|error| error.to_string())?;
    }
    let logged = reactor.logged();
    let (machine, now) = reactor.machine();
    machine.begin(Legacy { logged, ..legacy }, config.jobs, now);
    startup::set_title("gafferd");
    info!("{where_to_look}");
    launch::say_ready(readiness)?;
    let code = reactor.run().map_err(|error| format!("the loop failed: {error}"))?;
    drop((reactor, traces));
    info!("gafferd ends");
    Ok(code)
}

fn parts(spawner: Spawner, world: Daemon, settings: &Settings) -> Parts {
    let files = Files::new(settings.state_dir.clone());
    let logs = settings.store.for_loop();
    Parts { spawner, files, logs, world: Box::new(world), share: Share::ALL }
}

/// What starts processes, and finds their orphans.
fn spawner(nofile: Option<(u64, u64)>) -> Result<Spawner, String> {
    if let Err(errno) = reap::become_subreaper() {
        warn!("orphans of the jobs' processes will not be found: {errno}");
    }
    Spawner::new(nofile).map_err(|errno| format!("cannot start processes: {errno}"))
}

/// Listens at all addresses; with what is to be taken away at the end.
pub(super) fn listen(
    settings: &Settings,
    scheme: Scheme,
    servant: Option<&Servant>,
) -> Result<(Vec<Listener>, Traces), String> {
    let sockets = settings.socket.as_slice();
    let group = keeping::group(settings)?.map(|(gid, _)| gid);
    let sharing = Sharing { owner: servant::owner(servant), group, mode: settings.socket_mode };
    sockets.iter().try_for_each(|path| launch::socket_directory(path, sharing))?;
    let listeners =
        launch::listen(scheme, &settings.binds, sockets, settings.backlog, "--socket PATH")?;
    let traces = Traces::of_sockets(sockets);
    sockets.iter().try_for_each(|path| launch::share_socket(path, sharing))?;
    Ok((listeners, traces))
}

/// The first thing to try, where it listens.
fn announce(listeners: &[Listener], settings: &Settings) -> String {
    let places = launch::places(listeners, settings.socket.as_slice());
    let first = match (places.first(), &settings.socket) {
        (Some(place), _) if place.starts_with("http") => format!("curl {place}/jobs"),
        (_, Some(path)) => format!("curl --unix-socket {} http://localhost/jobs", path.display()),
        (_, None) => String::new(),
    };
    format!("listening on {}; look with: {first}", places.join(" and "))
}

pub(super) fn setup(
    settings: &Settings,
    options: &Options,
    environ: SortedMap<String, String>,
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
            framers: settings.access.origins.clone(),
            ..sockjs::Options::default()
        },
        stats_history: settings.stats_history,
        console: Console::new(verbosity),
        log_level: Some(settings.log.level),
        boot_id,
        ..host::setup(environ, node)?
    })
}

/// Clients are descriptors, and so is what the jobs need: no more than half of them is for clients.
pub(super) fn most_clients() -> usize {
    let half = startup::nofile().map_or(u64::MAX, |(soft, _)| soft / 2);
    usize::try_from(half).unwrap_or(usize::MAX).min(limits::CONNECTIONS)
}
