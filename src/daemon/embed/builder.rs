//! A node that is put together: its configuration, and what its host adds.

use log::warn;
use serde_json::Value;

use super::config::Config;
use super::error::Error;
use super::hosted::Daemon;
use crate::base::sorted::SortedSet;
use crate::daemon::config::{Config as Whole, Origins};
use crate::daemon::launch::{self, Scheme};
use crate::daemon::legacy::StateDirectory;
use crate::daemon::world::Daemon as Around;
use crate::daemon::{boot, host, keeping, registration, webhooks};
use crate::front::response::Response;
use crate::node::apps::{App, Extensions};
use crate::node::gaffer::{Gaffer, Legacy, Setup};
use crate::node::host::{Asked, HostRoute, Node};
use crate::node::permission::Needs;
use crate::reactor::clock::instant;
use crate::reactor::files::Files;
use crate::reactor::turn::{Parts, Reactor, Share};
use crate::sys::spawn::Spawner;
use crate::sys::{procfs, users};
use crate::wire::http::Method;

/// A node that is put together.
pub struct Builder {
    config: Config,
    jobs: Vec<(String, Value)>,
    extensions: Extensions,
    signals: bool,
}

impl Daemon {
    /// Begins to put a node together.
    pub fn builder(config: Config) -> Builder {
        Builder::new(config)
    }
}

impl Builder {
    fn new(config: Config) -> Self {
        let extensions = Extensions { clock: Some(instant), ..Extensions::default() };
        Self { config, jobs: Vec::new(), extensions, signals: false }
    }

    /// Loads a job, `session.job`, with this configuration: the object of the job options.
    #[must_use]
    pub fn job(mut self, name: &str, config: Value) -> Self {
        self.jobs.push((name.to_owned(), config));
        self
    }

    /// Adds a route. In the pattern, `:name` stands for any one segment of the path and `#name` for one
    /// of digits. Who may ask is checked before: `needs` is a right on all jobs, or on the session and job
    /// that the first one or two open segments name. What answers GET answers HEAD too; a handler that
    /// panics answers 500.
    #[must_use]
    pub fn route(
        mut self,
        method: Method,
        pattern: &str,
        needs: Needs,
        handler: impl FnMut(&mut Node<'_>, &Asked<'_>) -> Response + 'static,
    ) -> Self {
        let (pattern, handler) = (pattern.to_owned(), Box::new(handler));
        self.extensions.routes.push(HostRoute { method, pattern, needs, handler });
        self
    }

    /// Adds an application.
    #[must_use]
    pub fn app(mut self, app: impl App + 'static) -> Self {
        self.extensions.apps.push(Box::new(app));
        self
    }

    /// Has the node's own endpoints below this path (`/gaffer`), so that the others are the host's.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.extensions.prefix);
        self
    }

    /// Has the node take the signals of the process: TERM, INT and QUIT end it, HUP has it read its
    /// configuration again. Without this they are the host's.
    #[must_use]
    pub fn signals(mut self) -> Self {
        self.signals = true;
        self
    }

    /// Puts it together and begins: it listens, and its jobs start with its first turn.
    ///
    /// # Errors
    /// What is wrong, in words: an option, a file with its line, a job, an address that is taken, another
    /// node that has the state directory, two routes of one path.
    pub fn build(self) -> Result<Daemon, Error> {
        check_routes(&self.extensions)?;
        self.assemble()
    }

    fn assemble(self) -> Result<Daemon, Error> {
        let options = self.config.options()?;
        let (environ, root) = (host::environment(), users::is_root());
        let origins =
            Origins { options: &options, environ: &environ, root, program: None, hosted: true };
        let mut config = Whole::read(&origins)?;
        let security = config.security(&origins)?;
        let settings = config.settings.clone();
        let keeps = !settings.state_dir.as_os_str().is_empty();
        let state = keeps.then(|| StateDirectory::take(&settings.state_dir)).transpose()?;
        let boot_id = procfs::boot_id().unwrap_or_default();
        let legacy = match &state {
            Some(state) => state.legacy(&boot_id, options.forget)?,
            None => Legacy::default(),
        };
        let warning = keeping::check(&settings, legacy.keys.len())?;
        for warning in config.warnings.iter().chain(&warning) {
            warn!("{warning}");
        }
        let scheme = Scheme::of(&config.tls);
        let nowhere = settings.binds.is_empty() && settings.socket.is_none();
        let (listeners, traces) = match nowhere {
            true => (Vec::new(), launch::Traces::of_sockets(&[])),
            false => boot::listen(&settings, scheme, None)?,
        };
        let port = launch::first_port(&listeners);
        let registration = registration::of(&settings.lookups, scheme, &settings.binds, port)?;
        let node = state.as_ref().map_or_else(host::passing_word, |state| state.node.clone());
        let setup = boot::setup(&settings, &options, environ.clone(), node, boot_id)?;
        let (keeping, webhooks) =
            (keeping::of(&settings)?, webhooks::of(&config.hooks, settings.webhook_queue));
        let (extensions, plugins) = (self.extensions, config.plugins);
        // The log is the host program's.
        let setup = Setup { log_level: None, ..setup };
        let setup = Setup { registration, keeping, webhooks, extensions, plugins, ..setup };
        let spawner =
            Spawner::new(None).map_err(|errno| format!("cannot start processes: {errno}"))?;
        let files = match keeps {
            true => Files::new(settings.state_dir.clone()),
            false => Files::nowhere(),
        };
        let logs = settings.store.for_loop();
        let world = Around {
            options,
            environ,
            root,
            program: None,
            settings,
            scheme,
            security,
            tls: config.tls,
            log: None,
            port,
            lost: 0,
        };
        let share = Share { signals: self.signals, children: false };
        let parts = Parts { spawner, files, logs, world: Box::new(world), share };
        let mut reactor = Reactor::new(Gaffer::new(setup), parts)?;
        let addresses = launch::addresses(&listeners);
        for listener in listeners {
            reactor.listen(listener)?;
        }
        let legacy = Legacy { logged: reactor.logged(), ..legacy };
        let (machine, now) = reactor.machine();
        machine.begin(legacy, config.jobs, now);
        for (name, job) in &self.jobs {
            let loaded = machine.with_node(now, |node| node.load(name, job));
            loaded.map_err(|refused| Error::new(format!("{name}: {refused}")))?;
        }
        reactor.set_out();
        Ok(Daemon::new(reactor, addresses, (traces, state)))
    }
}

/// Whether each route can be reached.
fn check_routes(extensions: &Extensions) -> Result<(), Error> {
    let prefix = &extensions.prefix;
    if !prefix.is_empty() && (!prefix.starts_with('/') || prefix.ends_with('/')) {
        return Err(Error::new(format!(
            "the prefix {prefix:?} has to begin with / and not to end so"
        )));
    }
    let channel = format!("{prefix}/channel");
    let mut known = SortedSet::new();
    for route in crate::node::routes::ROUTES {
        known.insert((route.method.name(), shape(&format!("{prefix}{}", route.pattern))));
    }
    for HostRoute { method, pattern, .. } in &extensions.routes {
        let below = pattern
            .strip_prefix(&channel)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if !pattern.starts_with('/') || below {
            return Err(Error::new(format!("the route {pattern:?} cannot be reached")));
        }
        if pattern.contains("/*") {
            let instead = "what no route has is asked of the applications";
            return Err(Error::new(format!(
                "the route {pattern:?} leaves its end open; {instead}"
            )));
        }
        if !known.insert((method.name(), shape(pattern))) {
            return Err(Error::new(format!(
                "{} {pattern} is another route's already",
                method.name()
            )));
        }
    }
    Ok(())
}

/// A pattern without the names of what it leaves open.
fn shape(pattern: &str) -> String {
    let part = |part: &str| match part.chars().next() {
        Some(open @ (':' | '#')) => open.to_string(),
        Some(_) | None => part.to_owned(),
    };
    pattern.split('/').map(part).collect::<Vec<_>>().join("/")
}
