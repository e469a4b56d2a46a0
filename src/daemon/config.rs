//! Everything the operator said, put together: the command line over the file, the file over the
//! defaults. It is read whole or not at all, at the start and again at every SIGHUP.

use std::fs;
use std::path::{Path, PathBuf};

use super::ini_jobs::{Section, Table};
use super::job_files::{json_jobs, Application};
use super::options::Options;
use super::paths::Surroundings;
use super::programs::{self, Ground};
use super::settings::Settings;
use super::text_file::{check_directory, check_named, check_place, read, TextFile};
use super::tls::{Reading, TlsSettings};
use super::{plugins, webhooks};
use crate::base::address::{Address, Directory};
use crate::base::sorted::SortedMap;
use crate::base::sorting;
use crate::node::plugins::Plugin;
use crate::node::webhooks::Hook;
use crate::reactor::clock::Clock;
use crate::supervisor::name::{JobName, DEFAULT_SESSION};
use crate::supervisor::spec::JobEntry;
use crate::tls::Security;

/// The configuration.
pub struct Config {
    /// How the daemon itself is to be.
    pub settings: Settings,
    /// Which certificates it has.
    pub tls: TlsSettings,
    /// The jobs of all files, in the order in which they are loaded.
    pub jobs: Vec<JobEntry>,
    /// To whom events are posted.
    pub hooks: Vec<Hook>,
    /// What plugins there are.
    pub plugins: Vec<Plugin>,
    /// What is odd, but no error.
    pub warnings: Vec<String>,
}

/// What the configuration is read from, beside files.
pub struct Origins<'a> {
    /// The command line.
    pub options: &'a Options,
    /// The daemon's environment.
    pub environ: &'a SortedMap<String, String>,
    /// Whether it runs as root.
    pub root: bool,
    /// The path of its program.
    pub program: Option<&'a Path>,
    /// Whether it is inside another program, which alone says what it reads and does.
    pub hosted: bool,
}

impl Origins<'_> {
    fn surroundings<'a>(&self, variable: &'a dyn Fn(&str) -> Option<String>) -> Surroundings<'a> {
        Surroundings { root: self.root, variable, hosted: self.hosted }
    }
}

impl Config {
    /// Reads everything.
    ///
    /// # Errors
    /// The first thing that is wrong, with file and line where it has them.
    pub fn read(origins: &Origins<'_>) -> Result<Self, String> {
        let mut warnings = Vec::new();
        let mut table = Table::default();
        let main = find(origins)?;
        if let Some(path) = &main {
            read_ini(path, origins.root, &mut table)?;
        }
        let variable = |name: &str| origins.environ.get(name).cloned();
        let surroundings = origins.surroundings(&variable);
        let section = table.section("gaffer");
        let settings = Settings::read(origins.options, section, &surroundings)?;
        let tls = TlsSettings::read(origins.options, &table, &mut warnings)?;
        let hooks = webhooks::read(&table)?;
        let mut jobs = table.jobs(&mut warnings)?;
        jobs.extend(applications(origins, &settings, &mut warnings)?);
        for path in &origins.options.loads {
            if origins.root {
                check_named(path)?;
            }
            jobs.extend(json_jobs(path, &read(path)?, DEFAULT_SESSION)?);
        }
        let mut plugins = plugins_of(origins, &settings, main.as_deref(), &mut warnings)?;
        let ground = Ground { state_dir: &settings.state_dir, root: origins.root };
        let jobs = unique(jobs)?;
        programs::check_others(&jobs)?;
        let running = programs::of(&mut plugins, &table, &ground, &mut warnings)?;
        let jobs = running.into_iter().chain(jobs).collect();
        Ok(Self { settings, tls, jobs, hooks, plugins, warnings })
    }
}

impl Config {
    /// Reads the certificates that it names. What is odd about them is added to the warnings.
    ///
    /// # Errors
    /// What is wrong, with the place that names the file.
    pub fn security(&mut self, origins: &Origins<'_>) -> Result<Security, String> {
        let lookups = &self.settings.lookups.addresses;
        let reading = Reading {
            environ: origins.environ,
            root: origins.root,
            now: Clock::default().tick().wall,
            dials: lookups
                .iter()
                .any(|address| matches!(address, Directory::Lookupd(Address::Tls { .. }))),
        };
        self.tls.load(&reading, &mut self.warnings)
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
    if origins.hosted {
        return Ok(None);
    }
    let variable = |name: &str| origins.environ.get(name).cloned();
    let surroundings = origins.surroundings(&variable);
    let files = surroundings.config_dirs(origins.program);
    Ok(files.into_iter().map(|dir| dir.join("gafferd.ini")).find(|file| file.exists()))
}

/// The plugins in the directory that is named, or else in the one beside the main file. Without such a file
/// that is wherever one may lie.
fn plugins_of(
    origins: &Origins<'_>,
    settings: &Settings,
    main: Option<&Path>,
    warnings: &mut Vec<String>,
) -> Result<Vec<Plugin>, String> {
    let beside = || {
        if origins.hosted {
            return None;
        }
        let variable = |name: &str| origins.environ.get(name).cloned();
        let places = match main {
            Some(main) => vec![main.parent().unwrap_or(Path::new("")).to_owned()],
            None => origins.surroundings(&variable).config_dirs(origins.program),
        };
        plugins::beside(&places)
    };
    let Some(dir) = settings.plugins_dir.clone().or_else(beside) else { return Ok(Vec::new()) };
    plugins::find(&dir, origins.root, warnings)
}

fn read_ini(path: &Path, root: bool, table: &mut Table) -> Result<(), String> {
    add(path, root, table)?;
    for (_, file) in included(table, path, root) {
        add(&file?, root, table)?;
    }
    includes_in_main_only(table, path)
}

/// The files that a main file includes, in their order, each with the place of the key that says so; or
/// why a folder of them cannot be read, or where this runs as root is not to be trusted.
pub fn included(table: &Table, main: &Path, root: bool) -> Vec<(String, Result<PathBuf, String>)> {
    let beside = main.parent().unwrap_or(Path::new("."));
    let listed = |key: &str| -> Vec<(String, PathBuf)> {
        let entry = table.section("gaffer").and_then(|section| section.get(key));
        let Some(entry) = entry else { return Vec::new() };
        let words = entry.value.split_whitespace();
        words.map(|word| (entry.place.clone(), beside.join(word))).collect()
    };
    let mut all: Vec<_> =
        listed("include").into_iter().map(|(place, file)| (place, Ok(file))).collect();
    for (place, directory) in listed("include_dir") {
        let mut files = Vec::new();
        if let Err(message) = walk(&directory, root, &mut files) {
            all.push((place, Err(message)));
            continue;
        }
        sorting::sort(&mut files);
        all.extend(files.into_iter().map(|file| (place.clone(), Ok(file))));
    }
    all
}

/// Refuses an `include` of an included file, which would have no effect.
///
/// # Errors
/// There is one, with file and line.
pub fn includes_in_main_only(table: &Table, main: &Path) -> Result<(), String> {
    let main = format!("{}:", main.display());
    let entries = table.section("gaffer").into_iter().flat_map(Section::entries);
    let mut includes =
        entries.filter(|entry| matches!(entry.key.as_str(), "include" | "include_dir"));
    match includes.find(|entry| !entry.place.starts_with(&main)) {
        Some(entry) => Err(format!(
            "{}: {} works in the main file only; name it there",
            entry.place, entry.key
        )),
        None => Ok(()),
    }
}

fn add(path: &Path, root: bool, table: &mut Table) -> Result<(), String> {
    let file = TextFile::open(path)?;
    if root {
        file.check_writers()?;
        check_place(path)?;
    }
    let text = file.read()?;
    table.add(path, &text)
}

/// All `*.ini` files below a directory. Links to directories are not followed: they could lead in
/// circles.
fn walk(directory: &Path, root: bool, files: &mut Vec<PathBuf>) -> Result<(), String> {
    if root {
        check_directory(directory)?;
    }
    let fault = |error: &std::io::Error| {
        format!("{}: {}", directory.display(), crate::base::error::Errno::of(error))
    };
    for entry in fs::read_dir(directory).map_err(|error| fault(&error))? {
        let entry = entry.map_err(|error| fault(&error))?;
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&path, root, files)?;
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
) -> Result<Vec<JobEntry>, String> {
    let own = settings.binds.iter().any(|bind| (5000..5100).contains(&bind.port()));
    let first: u16 = if own { 5100 } else { 5000 };
    let mut jobs = Vec::new();
    for (number, argument) in (0_u16..).zip(&origins.options.procfiles) {
        let application = Application::open(argument)?;
        if origins.root {
            let dotenvs = application.dotenvs.iter().map(|(path, _)| path);
            [&application.path]
                .into_iter()
                .chain(dotenvs)
                .try_for_each(|path| check_named(path))?;
        }
        let base = number.checked_mul(1000).and_then(|more| first.checked_add(more));
        let base = base.ok_or("too many Procfiles for the ports there are")?;
        jobs.extend(application.jobs(origins.environ, base, warnings)?);
    }
    Ok(jobs)
}

/// The jobs, if no two have one name.
fn unique(jobs: Vec<JobEntry>) -> Result<Vec<JobEntry>, String> {
    let mut places: SortedMap<&JobName, &str> = SortedMap::new();
    for JobEntry { name, place, .. } in &jobs {
        let place = place.job();
        if let Some(first) = places.insert(name, place) {
            return Err(format!("{place}: the job {name} stands at {first} already"));
        }
    }
    Ok(jobs)
}
