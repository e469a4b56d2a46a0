//! What runs of the plugins: for each folder with a `plugin.json` a job of the session `_plugin`, and what it
//! may do by `[plugin:NAME]`. What is wrong with one plugin is told and concerns no other; what is wrong with
//! the configuration of one is an error as any there.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use data_encoding::HEXLOWER;
use serde_json::{json, Map, Value};
use sha2::{Digest as _, Sha256};

use super::ini_jobs::{config_of, place_of, Section, Table};
use super::plugins::shown;
use super::text_file::{check_place, TextFile};
use super::values;
use crate::base::error::Errno;
use crate::base::limits;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::front::rights::Permissions;
use crate::node::plugins::{Plugin, MANIFEST};
use crate::node::programs::manifest::Manifest;
use crate::node::programs::{Program, SESSION};
use crate::supervisor::name::JobName;
use crate::supervisor::spec::{JobEntry, JobSpec, Options, Place};
use crate::supervisor::spec_read::{self, SpecError};
use crate::wire::json::text;

/// The keys of `[plugin:NAME]` that are none of a job.
const KEYS: [&str; 5] = ["enabled", "admin", "read", "write", "manage"];
/// The keys of a job that are said by the plugin.
const ITS_OWN: [&str; 12] = [
    "cmd",
    "args",
    "shell",
    "cwd",
    "detach",
    "numprocesses",
    "redirect_input",
    "redirect_output",
    "custom_streams",
    "listen",
    "listen_protocol",
    "port",
];

/// The jobs of plugins, and what runs there, by their names.
type Found = SortedMap<String, (JobEntry, Program)>;

/// What the configuration says of a plugin.
#[derive(Default)]
struct Said<'a> {
    section: Option<&'a Section>,
    /// Where it says that there is to be none.
    disabled: Option<String>,
    granted: Permissions,
    /// Options of its job.
    options: Map<String, Value>,
}

/// Where this runs.
pub struct Ground<'a> {
    /// The state directory, in which their sockets are; empty for none.
    pub state_dir: &'a Path,
    /// Whether it runs as root.
    pub root: bool,
}

/// Finds out what runs of these plugins. What is wrong with one is added to its faults and to the warnings.
///
/// # Errors
/// What is wrong with the configuration of one, with its place, or which plugin is missing that another cannot
/// do without.
pub fn of(
    plugins: &mut [Plugin],
    table: &Table,
    ground: &Ground<'_>,
    warnings: &mut Vec<String>,
) -> Result<Vec<JobEntry>, String> {
    let mut sections = sections(table)?;
    let mut found = Found::new();
    for plugin in plugins.iter_mut() {
        let said = sections.remove(plugin.name.as_str());
        let said = said.map(Said::read).transpose()?.unwrap_or_default();
        if let Some(place) = &said.disabled {
            plugin.site = None;
            plugin.manifest = None;
            plugin.faults = vec![format!("{place}: it is not enabled")];
            continue;
        }
        let Some(text) = plugin.manifest.take() else { continue };
        let run = match manifest(plugin, &text, ground) {
            Ok((manifest, program)) => {
                program_of(plugin, (manifest, &text), (&said, &program), ground)?
            }
            Err(fault) => Err(fault),
        };
        match run {
            Ok(run) => drop(found.insert(plugin.name.clone(), run)),
            Err(fault) => {
                warnings.push(format!("{}/{fault}", plugin.directory.display()));
                plugin.faults.push(fault);
            }
        }
    }
    for section in sections.into_values() {
        warnings.push(format!("{}: there is no plugin for [{}]", section.place, section.name));
    }
    let there: SortedSet<String> = plugins
        .iter()
        .filter(|plugin| plugin.site.is_some() || found.contains_key(&plugin.name))
        .map(|plugin| plugin.name.clone())
        .collect();
    check_mandatory(&found, &there)?;
    for plugin in plugins.iter_mut() {
        plugin.program = found.get(&plugin.name).map(|(_, program)| program.clone());
    }
    Ok(in_order(found))
}

/// Checks what a configuration says of plugins, whichever there are.
///
/// # Errors
/// What is wrong, with its place.
pub fn check(table: &Table) -> Result<(), String> {
    for section in sections(table)?.into_values() {
        let mut config = Said::read(section)?.options;
        // What is run is said elsewhere.
        config.extend(["name", "cmd"].map(|key| (key.to_owned(), Value::from("plugin"))));
        let spec = spec_read::read(&config);
        spec.map_err(|error| format!("{}: {error}", place_of(&error, section, None)))?;
    }
    Ok(())
}

/// Checks that no job of a file is among those of plugins.
///
/// # Errors
/// One is, with its place.
pub fn check_others(jobs: &[JobEntry]) -> Result<(), String> {
    match jobs.iter().find(|job| job.name.session() == SESSION) {
        Some(job) => Err(format!(
            "{}: {}: jobs of the session {SESSION} are those of plugins; give it another",
            job.place.job(),
            job.name
        )),
        None => Ok(()),
    }
}

/// The sections of plugins, by the names of these.
fn sections(table: &Table) -> Result<SortedMap<&str, &Section>, String> {
    let mut sections = SortedMap::new();
    for section in table.sections() {
        let Some(name) = section.name.strip_prefix("plugin:") else { continue };
        let name = name.trim();
        if let Some(first) = sections.insert(name, section) {
            let (place, first): (&str, &Section) = (&section.place, first);
            return Err(format!("{place}: the plugin {name} stands at {} already", first.place));
        }
    }
    Ok(sections)
}

impl<'a> Said<'a> {
    fn read(section: &'a Section) -> Result<Self, String> {
        let mut said = Self { section: Some(section), ..Self::default() };
        let mut rights = Map::new();
        for entry in section.entries().iter().filter(|entry| !entry.inherited) {
            let (key, place) = (entry.key.as_str(), &entry.place);
            let fault = |error: String| format!("{place}: {key}: {error}");
            match key {
                "enabled" => {
                    let enabled = values::truth(&entry.value).map_err(fault)?;
                    said.disabled = (!enabled).then(|| place.clone());
                }
                "admin" => {
                    let admin = values::truth(&entry.value).map_err(fault)?;
                    rights.insert(key.into(), admin.into());
                }
                "read" | "write" | "manage" => {
                    let words: Vec<&str> = entry.value.split([',', ' ', '\t', '\n']).collect();
                    let words = words.into_iter().filter(|word| !word.is_empty());
                    rights.insert(key.into(), words.collect());
                }
                own if ITS_OWN.contains(&own) => {
                    return Err(fault("a plugin says that itself".into()));
                }
                _ => {}
            }
        }
        said.granted = Permissions::read(&Value::Object(rights))
            .map_err(|error| format!("{}: {error}", section.place))?;
        said.options = config_of(section, None, &KEYS)?;
        // Defaults of all sections are none of what a plugin says itself.
        said.options.retain(|key, _| !ITS_OWN.contains(&key.as_str()));
        Ok(said)
    }
}

/// What a plugin says of itself, and the path of its program.
///
/// # Errors
/// What is wrong with it, behind the name of the file in its folder.
fn manifest(
    plugin: &Plugin,
    text: &str,
    ground: &Ground<'_>,
) -> Result<(Manifest, PathBuf), String> {
    let manifest = Manifest::read(&plugin.name, text.as_bytes());
    let manifest = manifest.map_err(|error| format!("{MANIFEST}: {error}"))?;
    let path = plugin.directory.join(&manifest.program);
    let own = |fault: String| shown(&fault, &plugin.directory);
    let file = TextFile::open(&path).map_err(own)?;
    let wrong = |what: &str| format!("{}: {what}", manifest.program);
    let found = fs::metadata(&path).map_err(|error| wrong(&error.to_string()))?;
    if !found.is_file() || found.permissions().mode() & 0o111 == 0 {
        return Err(wrong("it is no program; chmod +x it"));
    }
    if path.to_str().is_none_or(|path| shlex::try_quote(path).is_err()) {
        return Err(wrong("its path is no text that a command line could have"));
    }
    if ground.root {
        file.check_writers().map_err(own)?;
        check_way(&path, &plugin.directory).map_err(own)?;
    }
    if !manifest.routes.is_empty() {
        let fault = match socket(plugin, ground) {
            Some(socket) if socket.as_os_str().len() > limits::SOCKET_PATH => format!(
                "the path of its socket is longer than {} bytes; name a shorter state directory: {}",
                limits::SOCKET_PATH,
                socket.display()
            ),
            Some(_) => return Ok((manifest, path)),
            None => "routes: they need a state directory for the plugin's socket".to_owned(),
        };
        return Err(format!("{MANIFEST}: {fault}"));
    }
    Ok((manifest, path))
}

/// Checks every folder through which a program is reached, up to that of its plugin, or for one elsewhere all of
/// them: whoever may write one could put another program there.
fn check_way(path: &Path, directory: &Path) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {}", path.display(), Errno::of(&error));
    let (path, top) = (fs::canonicalize(path).map_err(told)?, fs::canonicalize(directory));
    let top = top.map_err(told)?;
    let way = path.ancestors().take_while(|step| **step != top && step.parent().is_some());
    way.into_iter().try_for_each(check_place)
}

fn socket(plugin: &Plugin, ground: &Ground<'_>) -> Option<PathBuf> {
    let there = !ground.state_dir.as_os_str().is_empty();
    there.then(|| ground.state_dir.join("plugins").join(format!("{}.socket", plugin.name)))
}

/// The descriptor of the socket on which a plugin answers.
const SOCKET_FD: &str = "3";

/// Its job, and what it is; the inner error is a fault of the plugin, the outer one of the configuration.
fn program_of(
    plugin: &Plugin,
    (manifest, text): (Manifest, &str),
    (said, path): (&Said<'_>, &Path),
    ground: &Ground<'_>,
) -> Result<Result<(JobEntry, Program), String>, String> {
    let socket = socket(plugin, ground).filter(|_| !manifest.routes.is_empty());
    let mut config = said.options.clone();
    let env = config.entry("env").or_insert_with(|| json!({}));
    env["GAFFER_PLUGIN"] = plugin.name.as_str().into();
    env["GAFFER_PLUGIN_REVISION"] = revision(text, said, path).into();
    if socket.is_some() {
        env["GAFFER_PLUGIN_FD"] = SOCKET_FD.into();
    }
    config.insert("name".into(), plugin.name.as_str().into());
    config.entry("os_env").or_insert(true.into());
    let path = path.to_string_lossy();
    config.insert("cmd".into(), shlex::try_quote(&path).unwrap_or_default().into());
    // They are what they are: a dollar of them names no variable.
    let args: Vec<String> = manifest.args.iter().map(|arg| arg.replace('$', "$$")).collect();
    config.insert("args".into(), args.into());
    config.insert("cwd".into(), plugin.directory.display().to_string().into());
    config.insert("redirect_input".into(), true.into());
    let place = plugin.directory.join(MANIFEST).display().to_string();
    let spec = match (spec_read::read(&config), said.section) {
        (Ok(spec), _) => spec,
        (Err(error), Some(section)) if !is_its_own(&error) => {
            return Err(format!("{}: {error}", place_of(&error, section, None)));
        }
        (Err(error), _) => return Ok(Err(format!("{MANIFEST}: {error}"))),
    };
    let mut places = Place::new(place.clone());
    for entry in said.section.into_iter().flat_map(Section::entries) {
        places.add(&entry.key, entry.place.clone());
    }
    let listener = socket.as_ref().map(|socket| socket.display().to_string());
    let options = Rc::new(Options { listener, is_plugin: true, ..(*spec.options).clone() });
    let spec = Rc::new(JobSpec { options, ..spec });
    let name = JobName::new(SESSION, &plugin.name).map_err(|error| format!("{place}: {error}"))?;
    let entry = JobEntry { name, spec, start: true, place: places };
    Ok(Ok((entry, Program { manifest, granted: said.granted.clone(), socket })))
}

/// Whether it is the plugin itself that says what is wrong.
fn is_its_own(error: &SpecError) -> bool {
    match error {
        SpecError::Missing(_) => true,
        SpecError::Unknown { key, .. } | SpecError::Bad { key, .. } => {
            ITS_OWN.contains(&key.split('.').next().unwrap_or(key))
        }
    }
}

/// Another word whenever something is another that the running program does not know of.
fn revision(text_of_manifest: &str, said: &Said<'_>, path: &Path) -> String {
    let mut hash = Sha256::new();
    hash.update(text_of_manifest);
    hash.update(text(&said.granted.to_value()));
    if let Ok(found) = fs::metadata(path) {
        for number in [found.ino(), found.size()] {
            hash.update(number.to_be_bytes());
        }
        hash.update(found.mtime().to_be_bytes());
        hash.update(found.mtime_nsec().to_be_bytes());
    }
    HEXLOWER.encode(&hash.finalize()[..8])
}

/// Checks that nobody misses a plugin that he cannot do without.
fn check_mandatory(found: &Found, there: &SortedSet<String>) -> Result<(), String> {
    for (entry, program) in found.values() {
        let missing = program.manifest.mandatory.iter().find(|needed| !there.contains(*needed));
        if let Some(needed) = missing {
            return Err(format!(
                "{}: mandatory: there is no plugin {needed:?}, or it has a fault; put it there, or take this \
                 plugin away",
                entry.place.job()
            ));
        }
    }
    Ok(())
}

/// All of them, each behind those that it cannot do without.
fn in_order(mut found: Found) -> Vec<JobEntry> {
    let mut jobs = Vec::with_capacity(found.len());
    while !found.is_empty() {
        let waits = |program: &Program| {
            program.manifest.mandatory.iter().any(|needed| found.contains_key(needed))
        };
        let free = found.iter().find(|(_, (_, program))| !waits(program));
        // Of those that need each other, one has to be the first.
        let next = free.or_else(|| found.iter().next()).map(|(name, _)| name.clone());
        jobs.extend(next.and_then(|name| found.remove(&name)).map(|(entry, _)| entry));
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::plugins;
    use crate::supervisor::spec::Command;
    use std::fs::Permissions as Mode;

    /// A directory of plugins, each with its manifest and a program that is called `run`.
    fn directory(manifests: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, manifest) in manifests {
            let folder = dir.path().join(name);
            fs::create_dir(&folder).expect("a folder");
            fs::write(folder.join(MANIFEST), manifest).expect("written");
            fs::write(folder.join("run"), "#!/bin/sh\n").expect("written");
            fs::set_permissions(folder.join("run"), Mode::from_mode(0o755)).expect("ours");
        }
        dir
    }

    fn least(name: &str, more: &str) -> String {
        format!(r#"{{"name": "{name}", "program": "run"{more}}}"#)
    }

    type Outcome = Result<(Vec<JobEntry>, Vec<Plugin>, Vec<String>), String>;

    fn all(dir: &Path, ini: &str, state_dir: &str) -> Outcome {
        let mut warnings = Vec::new();
        let mut found = plugins::find(dir, false, &mut warnings).expect("it is there");
        let mut table = Table::default();
        table.add("g.ini", ini).expect("an INI file");
        let ground = Ground { state_dir: Path::new(state_dir), root: false };
        let jobs = of(&mut found, &table, &ground, &mut warnings)?;
        Ok((jobs, found, warnings))
    }

    #[test]
    fn a_plugin_is_a_job_that_the_configuration_may_shape() {
        let manifest = least("a", r#", "args": ["-x"], "routes": {"GET /": "nothing"}"#);
        let dir = directory(&[("a", &manifest)]);
        let ini = "[plugin:a]\nmanage = s, t.u\nenv:B = c\ngraceful_timeout = 3\nuid = 33\n";
        let (jobs, found, warnings) = all(dir.path(), ini, "/state").expect("sound");
        assert_eq!(warnings, Vec::<String>::new());
        let JobEntry { name, spec, start, place } = &jobs[0];
        assert_eq!((name.to_string().as_str(), *start), ("_plugin.a", true));
        assert_eq!(place.job(), dir.path().join("a/plugin.json").display().to_string());
        let run = dir.path().join("a/run").display().to_string();
        assert!(matches!(&spec.command, Command::Program(words) if words.program() == run));
        assert_eq!(spec.config.map()["args"], json!(["-x"]));
        assert_eq!(spec.cwd, Some(dir.path().join("a").display().to_string()));
        assert_eq!((spec.env["B"].as_str(), spec.env["GAFFER_PLUGIN_FD"].as_str()), ("c", "3"));
        assert_eq!(spec.graceful_timeout, std::time::Duration::from_secs(3));
        assert!(spec.is_plugin && spec.redirect_input && spec.os_env);
        assert_eq!(spec.listener.as_deref(), Some("/state/plugins/a.socket"));
        let program = found[0].program.as_ref().expect("it has one");
        assert_eq!(program.granted.to_value()["manage"], json!(["s", "t.u"]));
    }

    #[test]
    fn a_program_is_run_by_its_whole_path_and_its_arguments_are_what_they_are() {
        let dir = tempfile::Builder::new().prefix("it's mine ").tempdir().expect("a folder");
        let folder = dir.path().join("a");
        fs::create_dir(&folder).expect("a folder");
        let manifest = r#"{"name": "a", "program": "my run", "args": ["$NOPE", "100$", "a b"]}"#;
        fs::write(folder.join(MANIFEST), manifest).expect("written");
        fs::write(folder.join("my run"), "#!/bin/sh\n").expect("written");
        fs::set_permissions(folder.join("my run"), Mode::from_mode(0o755)).expect("ours");
        let (jobs, ..) = all(dir.path(), "", "").expect("sound");
        let whole = folder.join("my run").display().to_string();
        let Command::Program(words) = &jobs[0].spec.command else { panic!("no program") };
        assert_eq!(words.program(), whole);
        let args: Vec<&str> = words.args().collect();
        assert_eq!(args, ["$$NOPE", "100$$", "a b"], "expanded they are as they were written");
        assert!(jobs[0].spec.os_env, "with and without a section");
    }

    #[test]
    fn defaults_of_all_sections_are_none_of_what_a_plugin_says() {
        let dir = directory(&[("a", &least("a", ""))]);
        let ini = "[DEFAULT]\nshell = true\ndetach = true\nnumprocesses = 3\nlisten = exit\n\
            graceful_timeout = 3\n[plugin:a]\nread = *\n";
        let (jobs, ..) = all(dir.path(), ini, "").expect("sound");
        let spec = &jobs[0].spec;
        assert!(!spec.detach && spec.numprocesses == 1 && spec.listen.is_empty());
        assert_eq!(spec.graceful_timeout, std::time::Duration::from_secs(3));
        assert!(matches!(spec.command, Command::Program(_)));
    }

    #[test]
    fn no_other_job_is_among_those_of_plugins() {
        let jobs = |text: &str| {
            let mut table = Table::default();
            table.add("g.ini", text).expect("an INI file");
            check_others(&table.jobs(&mut Vec::new()).expect("jobs"))
        };
        assert_eq!(jobs("[job:plugin:a]\ncmd = x\n"), Ok(()));
        let error = jobs("[job:a]\ncmd = x\n[job:_plugin:a]\ncmd = x\n").expect_err("one is");
        assert!(error.starts_with("g.ini:3: _plugin.a: jobs of the session _plugin"), "{error}");
    }

    #[test]
    fn root_runs_no_program_that_others_could_put_another_in_the_place_of() {
        let dir = directory(&[("a", r#"{"name": "a", "program": "bin/run"}"#)]);
        let bin = dir.path().join("a/bin");
        fs::create_dir(&bin).expect("a folder");
        fs::rename(dir.path().join("a/run"), bin.join("run")).expect("ours");
        let faults = || {
            let mut found = plugins::find(dir.path(), true, &mut Vec::new()).expect("it is there");
            let ground = Ground { state_dir: Path::new(""), root: true };
            of(&mut found, &Table::default(), &ground, &mut Vec::new()).expect("told");
            found[0].faults.concat()
        };
        assert_eq!(faults(), "");
        fs::set_permissions(&bin, Mode::from_mode(0o777)).expect("ours");
        assert!(faults().starts_with("bin: everybody may write it"), "{}", faults());
        let elsewhere = tempfile::tempdir().expect("a folder");
        fs::rename(bin.join("run"), elsewhere.path().join("run")).expect("ours");
        std::os::unix::fs::symlink(elsewhere.path().join("run"), bin.join("run")).expect("made");
        fs::set_permissions(&bin, Mode::from_mode(0o755)).expect("ours");
        assert_eq!(faults(), "", "a link leads to what is as well kept");
        fs::set_permissions(elsewhere.path(), Mode::from_mode(0o777)).expect("ours");
        assert!(faults().contains("everybody may write it"), "{}", faults());
    }

    #[test]
    fn whatever_changes_of_a_plugin_makes_another_revision() {
        let dir = directory(&[("a", &least("a", ""))]);
        let revision = |ini: &str| {
            let (jobs, ..) = all(dir.path(), ini, "/state").expect("sound");
            jobs[0].spec.env["GAFFER_PLUGIN_REVISION"].clone()
        };
        let first = revision("");
        assert_eq!(revision(""), first);
        assert_ne!(revision("[plugin:a]\nread = *\n"), first);
        fs::write(dir.path().join("a/run"), "#!/bin/sh\nexit 1\n").expect("written");
        assert_ne!(revision(""), first);
        let second = revision("");
        fs::write(dir.path().join("a/plugin.json"), least("a", r#", "version": "2""#)).expect("w");
        assert_ne!(revision(""), second);
    }

    #[test]
    fn those_that_others_need_come_first_and_have_to_be_there() {
        let needs = |name: &str, what: &str| least(name, &format!(r#", "mandatory": [{what}]"#));
        let (a, b) = (needs("a", r#""c", "site""#), needs("b", r#""a""#));
        let dir = directory(&[("a", &a), ("b", &b), ("c", &least("c", ""))]);
        let error = all(dir.path(), "", "").expect_err("one is missing");
        assert!(
            error.contains("/a/plugin.json: mandatory: there is no plugin \"site\""),
            "{error}"
        );
        fs::create_dir_all(dir.path().join("site/_site")).expect("a folder");
        let names = |ini: &str| {
            let (jobs, ..) = all(dir.path(), ini, "").expect("sound");
            jobs.iter().map(|job| job.name.label().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(""), ["c", "a", "b"]);
        let error = all(dir.path(), "[plugin:c]\nenabled = no\n", "").expect_err("one is missing");
        assert!(error.contains("there is no plugin \"c\""), "{error}");
        let circle = directory(&[("a", &needs("a", r#""b""#)), ("b", &needs("b", r#""a""#))]);
        assert_eq!(all(circle.path(), "", "").expect("sound").0.len(), 2);
    }

    #[test]
    fn what_is_wrong_with_a_plugin_is_its_own_and_concerns_no_other() {
        let good = least("good", "");
        let routes = |name: &str| least(name, r#", "routes": {"GET /": "nothing"}"#);
        let dir = directory(&[
            ("broken", "{"),
            ("good", &good),
            ("missing", r#"{"name": "missing", "program": "none"}"#),
            ("plain", &least("plain", "")),
            ("routed", &routes("routed")),
            ("zero", &least("zero", r#", "args": ["a\u0000"]"#)),
        ]);
        let plain = dir.path().join("plain/run");
        fs::set_permissions(plain, Mode::from_mode(0o644)).expect("ours");
        let (jobs, found, warnings) = all(dir.path(), "", "").expect("the others are sound");
        assert_eq!(jobs.len(), 1);
        let faults: Vec<String> = found.iter().map(|plugin| plugin.faults.concat()).collect();
        for (fault, expected) in faults.iter().zip([
            "plugin.json: it is not JSON:",
            "",
            "none: No such file",
            "run: it is no program; chmod +x it",
            "plugin.json: routes: they need a state directory",
            "plugin.json: args:",
        ]) {
            assert!(
                fault.starts_with(expected) && fault.is_empty() == expected.is_empty(),
                "{fault}"
            );
        }
        assert_eq!(warnings.len(), 5);
        assert!(warnings[0].contains("/broken/plugin.json: it is not JSON"), "{warnings:?}");
        let name = "n".repeat(50);
        let dir = directory(&[(&name, &routes(&name))]);
        let room = limits::SOCKET_PATH - "/plugins/".len() - ".socket".len() - name.len();
        let state = format!("/{}", "s".repeat(room - 1));
        assert_eq!(all(dir.path(), "", &state).expect("sound").0.len(), 1);
        let (jobs, found, _) = all(dir.path(), "", &format!("{state}s")).expect("told");
        assert!(jobs.is_empty() && found[0].faults[0].contains("name a shorter state directory"));
    }

    #[test]
    fn what_is_wrong_with_the_configuration_has_its_place() {
        let dir = directory(&[("a", &least("a", ""))]);
        for (text, message) in [
            ("cmd = x", "g.ini:2: cmd: a plugin says that itself"),
            ("enabled = perhaps", "g.ini:2: enabled: expected"),
            ("manage = a.b.c*", "g.ini:1: permissions.manage: \"a.b.c*\""),
            ("niceness = 3", "g.ini:2: unknown key \"niceness\""),
            ("nice = 30", "g.ini:2: nice: expected"),
            ("read = *\n[plugin: a]", "g.ini:3: the plugin a stands at g.ini:1 already"),
        ] {
            let error = all(dir.path(), &format!("[plugin:a]\n{text}\n"), "").expect_err(text);
            assert!(error.starts_with(message), "{error}");
        }
        let (.., warnings) = all(dir.path(), "[plugin:b]\nread = *\n", "").expect("sound");
        assert_eq!(warnings, ["g.ini:1: there is no plugin for [plugin:b]"]);
        let (jobs, found, _) = all(dir.path(), "[plugin:a]\nenabled = no\n", "").expect("sound");
        assert!(jobs.is_empty() && found[0].faults == ["g.ini:2: it is not enabled"]);
    }
}
