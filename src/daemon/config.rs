//! Everything the operator said, put together: the command line over the file, the file over the
//! defaults. It is read whole or not at all, at the start and again at every SIGHUP.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use log::LevelFilter;

use super::ini_jobs::{Entry, Section, Table};
use super::job_files::{json_jobs, read, Application, Placed};
use super::options::Options;
use super::paths::Surroundings;
use super::{logger, places};
use crate::base::similar;
use crate::front::access::Access;
use crate::supervisor::name::JobName;
use crate::supervisor::spec::JobEntry;

/// The configuration.
pub struct Config {
    /// How the daemon itself is to be.
    pub settings: Settings,
    /// The jobs of all files, in the order in which they are loaded.
    pub jobs: Vec<JobEntry>,
    /// What is odd, but no error.
    pub warnings: Vec<String>,
}

/// How the daemon itself is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where it listens.
    pub binds: Vec<SocketAddr>,
    /// The unix socket; `None` for none.
    pub socket: Option<PathBuf>,
    /// Clients that wait to be accepted.
    pub backlog: i32,
    /// The state directory.
    pub state_dir: PathBuf,
    /// Whether it goes to the background.
    pub daemon: bool,
    /// Where its process id is written.
    pub pidfile: Option<PathBuf>,
    /// Where it logs; stderr without one.
    pub error_log: Option<PathBuf>,
    /// What it logs.
    pub log_level: LevelFilter,
    /// Who may talk to it.
    pub access: Access,
}

/// What a file says about the daemon.
#[derive(Default)]
struct Said {
    binds: Vec<String>,
    socket: Option<PathBuf>,
    backlog: Option<String>,
    state_dir: Option<PathBuf>,
    daemon: bool,
    pidfile: Option<PathBuf>,
    error_log: Option<PathBuf>,
    log_level: Option<String>,
    require_key: Option<bool>,
    allowed_hosts: Vec<String>,
    origins: Vec<String>,
}

/// The keys of `[gaffer]` that mean something, for suggestions and for the documentation.
pub const KEYS: [&str; 13] = [
    "bind",
    "socket",
    "backlog",
    "state_dir",
    "daemonize",
    "pidfile",
    "error_log",
    "log_level",
    "require_key",
    "allowed_hosts",
    "origins",
    "include",
    "include_dir",
];

/// Keys that the original knew and that mean nothing here yet.
const WITHOUT_EFFECT: [&str; 4] =
    ["broadcast_address", "broadcast_port", "plugins_dir", "plugin_dir"];

/// What the configuration is read from, beside files.
pub struct Origins<'a> {
    /// The command line.
    pub options: &'a Options,
    /// The daemon's environment.
    pub environ: &'a BTreeMap<String, String>,
    /// Whether it runs as root.
    pub root: bool,
    /// The path of its program.
    pub program: Option<&'a Path>,
}

impl Config {
    /// Reads everything.
    ///
    /// # Errors
    /// The first thing that is wrong, with file and line where it has them.
    pub fn read(origins: &Origins<'_>) -> Result<Self, String> {
        let mut warnings = Vec::new();
        let mut table = Table::default();
        if let Some(path) = find(origins)? {
            read_ini(&path, origins.root, &mut table)?;
        }
        let said = match table.section("gaffer") {
            Some(section) => Said::read(section, &mut warnings)?,
            None => Said::default(),
        };
        let settings = said.settle(origins)?;
        let mut placed = table.jobs(&mut warnings)?;
        placed.extend(applications(origins, &settings, &mut warnings)?);
        for path in &origins.options.loads {
            placed.extend(json_jobs(path, &read(path)?)?);
        }
        Ok(Self { settings, jobs: unique(placed)?, warnings })
    }
}

/// The main file: the one that was named, or the first that lies where one may.
fn find(origins: &Origins<'_>) -> Result<Option<PathBuf>, String> {
    if let Some(path) = &origins.options.config {
        let file = if path.is_dir() { path.join("gafferd.ini") } else { path.clone() };
        if !file.exists() {
            return Err(format!("{}: no such file", file.display()));
        }
        return Ok(Some(file));
    }
    let variable = |name: &str| origins.environ.get(name).cloned();
    let surroundings = Surroundings { root: origins.root, variable: &variable };
    let files = surroundings.config_dirs(origins.program);
    Ok(files.into_iter().map(|dir| dir.join("gafferd.ini")).find(|file| file.exists()))
}

fn read_ini(path: &Path, root: bool, table: &mut Table) -> Result<(), String> {
    add(path, root, table)?;
    let beside = path.parent().unwrap_or(Path::new("."));
    let listed = |table: &Table, key: &str| -> Vec<PathBuf> {
        let section = table.section("gaffer");
        let entry = section.and_then(|s| s.entries.iter().find(|entry| entry.key == key));
        let words = entry.map(|entry| entry.value.as_str()).unwrap_or_default();
        words.split_whitespace().map(|word| beside.join(word)).collect()
    };
    for file in listed(table, "include") {
        add(&file, root, table)?;
    }
    for directory in listed(table, "include_dir") {
        let mut files = Vec::new();
        walk(&directory, &mut files)?;
        files.sort();
        for file in files {
            add(&file, root, table)?;
        }
    }
    Ok(())
}

fn add(path: &Path, root: bool, table: &mut Table) -> Result<(), String> {
    let text = read(path)?;
    if root {
        let open = fs::metadata(path).is_ok_and(|found| found.mode() & 0o022 != 0);
        if open {
            return Err(format!(
                "{}: others than its owner may write it, and gafferd runs as root; chmod go-w it",
                path.display()
            ));
        }
    }
    table.add(&path.display().to_string(), &text)
}

/// All `*.ini` files below a directory. Links to directories are not followed: they could lead in
/// circles.
fn walk(directory: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let fault = |error: &std::io::Error| {
        format!("{}: {}", directory.display(), crate::base::error::Errno::of(error))
    };
    for entry in fs::read_dir(directory).map_err(|error| fault(&error))? {
        let entry = entry.map_err(|error| fault(&error))?;
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "ini") {
            files.push(path);
        }
    }
    Ok(())
}

/// The jobs of the Procfile applications. Their ports begin where gafferd's own is not.
fn applications(
    origins: &Origins<'_>,
    settings: &Settings,
    warnings: &mut Vec<String>,
) -> Result<Vec<Placed>, String> {
    let own = settings.binds.iter().any(|bind| (5000..5100).contains(&bind.port()));
    let first: u16 = if own { 5100 } else { 5000 };
    let mut placed = Vec::new();
    for (number, argument) in (0_u16..).zip(&origins.options.procfiles) {
        let application = Application::open(argument)?;
        let base = number.checked_mul(1000).and_then(|more| first.checked_add(more));
        let base = base.ok_or("too many Procfiles for the ports there are")?;
        placed.extend(application.jobs(origins.environ, base, warnings)?);
    }
    Ok(placed)
}

/// The jobs, if no two have one name.
fn unique(placed: Vec<Placed>) -> Result<Vec<JobEntry>, String> {
    let mut places: BTreeMap<JobName, String> = BTreeMap::new();
    let mut jobs = Vec::with_capacity(placed.len());
    for Placed { entry, place } in placed {
        if let Some(first) = places.insert(entry.name.clone(), place.clone()) {
            return Err(format!("{place}: the job {} stands at {first} already", entry.name));
        }
        jobs.push(entry);
    }
    Ok(jobs)
}

impl Said {
    fn read(section: &Section, warnings: &mut Vec<String>) -> Result<Self, String> {
        let mut said = Self::default();
        for entry in section.entries.iter().filter(|entry| !entry.inherited) {
            said.take(entry, warnings).map_err(|error| format!("{}: {error}", entry.place))?;
        }
        Ok(said)
    }

    fn take(&mut self, entry: &Entry, warnings: &mut Vec<String>) -> Result<(), String> {
        let text = entry.value.trim();
        let words = || text.split([',', ' ', '\t', '\n']).filter(|word| !word.is_empty());
        let path = || Some(PathBuf::from(text));
        match entry.key.as_str() {
            "bind" => self.binds = words().map(str::to_owned).collect(),
            "socket" => self.socket = path(),
            "backlog" => self.backlog = Some(text.to_owned()),
            "state_dir" => self.state_dir = path(),
            "daemonize" => self.daemon = truth("daemonize", text)?,
            "pidfile" => self.pidfile = path(),
            "error_log" => self.error_log = path(),
            "log_level" => self.log_level = Some(text.to_owned()),
            "require_key" => self.require_key = Some(truth("require_key", text)?),
            "allowed_hosts" => self.allowed_hosts = words().map(str::to_owned).collect(),
            "origins" => self.origins = words().map(str::to_owned).collect(),
            // Read where the files are put together.
            "include" | "include_dir" => {}
            key if WITHOUT_EFFECT.contains(&key) || key.starts_with("lookupd_address") => {
                warnings.push(format!("{}: {key} has no effect in this version", entry.place));
            }
            key => {
                let meant = similar::nearest(key, KEYS.iter().copied());
                let meant = meant.map(|m| format!("; did you mean {m:?}?")).unwrap_or_default();
                return Err(format!("unknown key {key:?} in [gaffer]{meant}"));
            }
        }
        Ok(())
    }

    /// Puts the command line over what the file said, and the defaults below it.
    fn settle(self, origins: &Origins<'_>) -> Result<Settings, String> {
        let options = origins.options;
        let variable = |name: &str| origins.environ.get(name).cloned();
        let surroundings = Surroundings { root: origins.root, variable: &variable };
        let state_dir = match options.state_dir.clone().or(self.state_dir) {
            Some(path) => path,
            None => surroundings.state_dir()?,
        };
        let binds = if options.binds.is_empty() { &self.binds } else { &options.binds };
        let mut socket = options.socket.clone().or(self.socket);
        let mut addresses = Vec::new();
        for bind in binds {
            match bind.strip_prefix("unix:") {
                Some(path) => socket = Some(path.into()),
                None => addresses.push(places::parse(bind)?),
            }
        }
        if binds.is_empty() {
            addresses.push(SocketAddr::from(([127, 0, 0, 1], places::DEFAULT_PORT)));
        }
        check_keys(&addresses, self.require_key, options.require_key)?;
        let backlog = options.backlog.as_deref().or(self.backlog.as_deref()).unwrap_or("128");
        let backlog = backlog.parse().ok().filter(|n| (1..=65_535).contains(n));
        let level = options.log_level.as_deref().or(self.log_level.as_deref()).unwrap_or("info");
        let error_log = options.error_log.clone().or(self.error_log);
        let origins = [self.origins, options.origins.clone()].concat();
        if let Some(odd) = origins.iter().find(|origin| !is_origin(origin)) {
            return Err(format!(
                "origin {odd:?}: expected scheme://host or scheme://host:port in lower case, as \
                 browsers send it"
            ));
        }
        Ok(Settings {
            binds: addresses,
            socket: match socket {
                Some(path) if path.as_os_str() == "none" => None,
                Some(path) => Some(path),
                None => Some(surroundings.socket(&state_dir)),
            },
            backlog: backlog.ok_or("backlog: expected a whole number from 1 to 65535")?,
            state_dir,
            daemon: options.daemon || self.daemon,
            pidfile: options.pidfile.clone().or(self.pidfile),
            error_log: error_log.filter(|path| path.as_os_str() != "-"),
            log_level: logger::level(level).ok_or_else(|| {
                format!(
                    "log level {level:?}: expected critical, error, warning, info, debug or trace"
                )
            })?,
            access: Access {
                hosts: [self.allowed_hosts, options.allowed_hosts.clone()].concat(),
                origins,
            },
        })
    }
}

/// Beyond this machine's own loopback a key is demanded, unless somebody has written down that none
/// is. Keys do not exist yet, so where one would be demanded nothing is opened.
fn check_keys(binds: &[SocketAddr], said: Option<bool>, asked: bool) -> Result<(), String> {
    if asked || said == Some(true) {
        return Err(
            "require_key: this version has no API keys yet; leave it away and listen on a \
                    loopback address or the unix socket"
                .into(),
        );
    }
    match binds.iter().find(|bind| !bind.ip().is_loopback()) {
        Some(open) if said.is_none() => Err(format!(
            "{open} can be reached from other machines, and this version has no API keys yet: \
             listen on a loopback address, or write require_key = false into [gaffer] to let \
             everybody who reaches it start programs"
        )),
        Some(_) | None => Ok(()),
    }
}

/// Whether a browser could send this in `Origin` (RFC 6454 section 6.2). Any other would let nobody in
/// and tell nobody why.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let odd = |c: char| c.is_ascii_uppercase() || c.is_whitespace() || "/?#@*,".contains(c);
    !scheme.is_empty() && !authority.is_empty() && !text.replacen("://", "", 1).contains(odd)
}

fn truth(key: &str, text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(format!("{key}: expected true or false, found {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for origin in ["https://page.example", "http://localhost:3000", "http://[::1]:80"] {
            assert!(is_origin(origin), "{origin}");
        }
        for odd in [
            "",
            "*",
            "null",
            "page.example",
            "https://",
            "://page.example",
            "https://page.example/",
            "https://page.example/path",
            "https://Page.example",
            "https://*.example",
        ] {
            assert!(!is_origin(odd), "{odd}");
        }
    }
}
