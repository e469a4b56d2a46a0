//! The directory of plugins: each folder in it that is not hidden is a plugin, by the name of the folder. It is
//! looked through with the configuration, at the start and at every SIGHUP. What is wrong with one plugin is
//! told, and concerns no other.

use std::fs;
use std::path::{Path, PathBuf};

use super::text_file::{check_directory, check_place, TextFile};
use crate::base::error::Errno;
use crate::base::limits;
use crate::base::sorting;
use crate::node::plugins::{Plugin, Site, MANIFEST, SITE};

/// The directory that is looked through where none is named, beside the configuration.
pub const DEFAULT: &str = "plugins";

/// Finds the plugins in a directory. Where this runs as root, what others may write is left out. What is
/// wrong with one of them is added to the warnings.
///
/// # Errors
/// The directory cannot be read, or others may write it and this runs as root.
pub fn find(dir: &Path, root: bool, warnings: &mut Vec<String>) -> Result<Vec<Plugin>, String> {
    let told = |error: &std::io::Error| format!("{}: {}", dir.display(), Errno::of(error));
    let listed = fs::read_dir(dir).map_err(|error| {
        let cure = "; make that directory of plugins, or name another";
        format!("{}{cure}", told(&error))
    })?;
    if root {
        check_directory(dir)?;
    }
    let mut names = Vec::new();
    for entry in listed {
        let entry = entry.map_err(|error| told(&error))?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        // A symbolic link to a folder is as good as that: whoever may put it here may put anything here.
        let kind = entry.file_type().map_err(|error| told(&error))?;
        if !hidden && (kind.is_dir() || kind.is_symlink() && !entry.path().is_file()) {
            names.push(entry.file_name());
        }
    }
    sorting::sort(&mut names);
    if names.len() > limits::PLUGINS {
        let (dir, most) = (dir.display(), limits::PLUGINS);
        return Err(format!(
            "{dir}: more than {most} plugins; take some away, or hide them (.NAME)"
        ));
    }
    let folder = std::path::absolute(dir).map_err(|error| told(&error))?;
    let plugins: Vec<Plugin> = names
        .iter()
        .map(|name| look_at(&folder.join(name), &name.to_string_lossy(), root))
        .collect();
    for plugin in &plugins {
        let tell = |fault: &String| format!("{}: {fault}", plugin.directory.display());
        warnings.extend(plugin.faults.iter().map(tell));
    }
    Ok(plugins)
}

/// The directory of plugins beside the configuration, if there is one.
pub fn beside(folders: &[PathBuf]) -> Option<PathBuf> {
    folders.iter().map(|folder| folder.join(DEFAULT)).find(|dir| dir.is_dir())
}

fn look_at(directory: &Path, name: &str, root: bool) -> Plugin {
    let mut plugin = Plugin {
        name: name.to_owned(),
        directory: directory.to_owned(),
        site: None,
        manifest: None,
        program: None,
        faults: Vec::new(),
    };
    let found = check_name(name).and_then(|()| check_folder(directory, root));
    if let Err(fault) = found {
        plugin.faults.push(shown(&fault, directory));
        return plugin;
    }
    let mut note = |found: Result<Option<String>, String>| {
        found.unwrap_or_else(|fault| {
            plugin.faults.push(shown(&fault, directory));
            None
        })
    };
    let has_program = directory.join(MANIFEST).symlink_metadata().is_ok();
    let manifest = note(manifest(directory, root));
    let site = note(site(directory, has_program, root));
    plugin.manifest = manifest;
    plugin.site = site.map(|folder| if folder.is_empty() { Site::Whole } else { Site::Below });
    if plugin.site.is_none() && !has_program && plugin.faults.is_empty() {
        plugin.faults.push(format!(
            "it is no plugin: it has no folder {SITE}, no index.html and no {MANIFEST}; add one of them, or \
             take it away"
        ));
    }
    plugin
}

/// What is wrong with a file of a folder, or with that itself, without the path of the folder.
pub(super) fn shown(fault: &str, directory: &Path) -> String {
    let rest = fault.strip_prefix(&directory.display().to_string()).unwrap_or(fault);
    rest.trim_start_matches(['/', ':', ' ']).to_owned()
}

/// Names stand in paths as they are, and in logs.
fn check_name(name: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let sound = name.len() <= limits::PLUGIN_NAME && name.bytes().all(plain);
    match sound && name.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        true => Ok(()),
        false => Err(format!(
            "a plugin cannot be called so; give its folder a name of at most {} letters of ASCII, digits, \
             '_', '-' and '.', with a letter or a digit first",
            limits::PLUGIN_NAME
        )),
    }
}

fn check_folder(path: &Path, root: bool) -> Result<(), String> {
    let told = |error: &std::io::Error| format!("it cannot be read: {}", Errno::of(error));
    fs::read_dir(path).map_err(|error| told(&error))?;
    if root {
        check_directory(path)?;
        // The folder may be elsewhere, where another could be put in its place.
        check_place(&fs::canonicalize(path).map_err(|error| told(&error))?)?;
    }
    Ok(())
}

/// The folder of the site, seen from here; empty for all of this folder.
fn site(directory: &Path, has_program: bool, root: bool) -> Result<Option<String>, String> {
    let below = directory.join(SITE);
    match below.symlink_metadata() {
        Ok(found) if found.is_dir() => {
            check_folder(&below, root)?;
            Ok(Some(SITE.to_owned()))
        }
        Ok(_) => {
            Err(format!("{SITE} is no folder, or a symbolic link; put the folder itself there"))
        }
        Err(_) if has_program => Ok(None),
        Err(_) => Ok(directory.join("index.html").is_file().then(String::new)),
    }
}

fn manifest(directory: &Path, root: bool) -> Result<Option<String>, String> {
    let Some(file) = TextFile::find(&directory.join(MANIFEST))? else { return Ok(None) };
    if root {
        file.check_writers()?;
    }
    let text = file.read()?;
    if text.len() > limits::PLUGIN_MANIFEST {
        return Err(format!(
            "{MANIFEST}: larger than {} bytes; make it shorter",
            limits::PLUGIN_MANIFEST
        ));
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{symlink, PermissionsExt as _};

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    fn write(dir: &Path, name: &str) {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().expect("below")).expect("a folder");
        fs::write(path, name).expect("written");
    }

    /// What is found in a directory by these files, in words.
    fn found(dir: &Path, root: bool) -> Vec<String> {
        let plugins = find(dir, root, &mut Vec::new()).expect("it can be read");
        let shown = |plugin: &Plugin| {
            let manifest = plugin.manifest.as_ref().map_or("", |_| " manifest");
            let site = plugin.site.map(|site| format!(" {site:?}")).unwrap_or_default();
            let faults: Vec<&str> = plugin
                .faults
                .iter()
                .map(|fault| fault.split([';', ':']).next().unwrap_or_default())
                .collect();
            format!("{}{site}{manifest} {}", plugin.name, faults.join("|")).trim_end().to_owned()
        };
        plugins.iter().map(shown).collect()
    }

    #[test]
    fn a_folder_is_a_plugin_by_what_is_in_it() {
        let dir = folder();
        for name in [
            "all/index.html",
            "all/_site/index.html",
            "all/plugin.json",
            "below/_site/a.css",
            "hidden/.x",
            ".hidden/index.html",
            "program/plugin.json",
            "program/index.html",
            "whole/index.html",
            "Web-2.0_x/index.html",
            "no name/index.html",
            "_underscore/index.html",
            "file/_site",
            "a file",
        ] {
            write(dir.path(), name);
        }
        symlink("/etc", dir.path().join("program/_site")).expect("made");
        symlink(dir.path().join("whole"), dir.path().join("linked")).expect("made");
        symlink(dir.path().join("gone"), dir.path().join("dangling")).expect("made");
        symlink(dir.path().join("a file"), dir.path().join("linkedfile")).expect("made");
        assert_eq!(
            found(dir.path(), false),
            [
                "Web-2.0_x Whole",
                "_underscore a plugin cannot be called so",
                "all Below manifest",
                "below Below",
                "dangling it cannot be read",
                "file _site is no folder, or a symbolic link",
                "hidden it is no plugin",
                "linked Whole",
                "no name a plugin cannot be called so",
                "program manifest _site is no folder, or a symbolic link",
                "whole Whole",
            ]
        );
        let mut warnings = Vec::new();
        find(dir.path(), false, &mut warnings).expect("it can be read");
        let told = format!("{}: it cannot be read: No such", dir.path().join("dangling").display());
        assert!(warnings.iter().any(|warning| warning.starts_with(&told)), "{warnings:?}");
        let none = find(&dir.path().join("none"), false, &mut Vec::new());
        assert!(none.is_err_and(|error| error.contains("/none: No such file or directory; make")));
    }

    #[test]
    fn a_plugin_has_a_name_of_bounded_length_and_a_manifest_of_bounded_size() {
        let dir = folder();
        let longest = "n".repeat(limits::PLUGIN_NAME);
        write(dir.path(), &format!("{longest}/index.html"));
        write(dir.path(), &format!("{longest}n/index.html"));
        let too_long = format!("{longest}n a plugin cannot be called so");
        assert_eq!(found(dir.path(), false), [format!("{longest} Whole"), too_long]);
        let dir = folder();
        for (name, size) in [("a", limits::PLUGIN_MANIFEST), ("b", limits::PLUGIN_MANIFEST + 1)] {
            write(dir.path(), &format!("{name}/plugin.json"));
            let path = dir.path().join(name).join(MANIFEST);
            fs::write(path, "x".repeat(size)).expect("written");
        }
        assert_eq!(found(dir.path(), false), ["a manifest", "b plugin.json"]);
    }

    #[test]
    fn there_are_only_so_many_plugins() {
        let dir = folder();
        for number in 0..limits::PLUGINS {
            fs::create_dir(dir.path().join(format!("p{number}"))).expect("a folder");
        }
        assert_eq!(found(dir.path(), false).len(), limits::PLUGINS);
        fs::create_dir(dir.path().join("one-more")).expect("a folder");
        let refused = find(dir.path(), false, &mut Vec::new());
        assert!(refused.is_err_and(|error| error.contains(": more than 256 plugins; take")));
    }

    #[test]
    fn root_has_no_plugin_that_others_may_write() {
        let dir = folder();
        for name in ["a/index.html", "b/_site/index.html", "c/plugin.json", "d/index.html"] {
            write(dir.path(), name);
        }
        let set_mode = |name: &str, mode: u32| {
            let permissions = Permissions::from_mode(mode);
            fs::set_permissions(dir.path().join(name), permissions).expect("ours");
        };
        set_mode("a", 0o777);
        set_mode("b/_site", 0o777);
        set_mode("c/plugin.json", 0o666);
        assert_eq!(found(dir.path(), false), ["a Whole", "b Below", "c manifest", "d Whole"]);
        let plugins = find(dir.path(), true, &mut Vec::new()).expect("it can be read");
        for (plugin, place) in plugins.iter().zip(["", "_site: ", "plugin.json: "]) {
            let fault = plugin.faults.concat();
            let told =
                format!("{place}everybody may write it, and this runs as root; chmod go-w it");
            assert_eq!(fault, told, "{}", plugin.name);
            assert!(plugin.site.is_none() && plugin.manifest.is_none(), "{}", plugin.name);
        }
        assert_eq!(plugins[3].site, Some(Site::Whole));
        set_mode("", 0o777);
        let refused = find(dir.path(), true, &mut Vec::new());
        assert!(refused.is_err_and(|error| error.contains("everybody may write it")));
    }

    #[test]
    fn the_directory_beside_the_configuration_is_the_first_that_is_there() {
        let (one, two) = (folder(), folder());
        let places = [one.path().to_owned(), two.path().to_owned()];
        assert_eq!(beside(&places), None);
        fs::create_dir(two.path().join(DEFAULT)).expect("a folder");
        assert_eq!(beside(&places), Some(two.path().join(DEFAULT)));
        fs::create_dir(one.path().join(DEFAULT)).expect("a folder");
        assert_eq!(beside(&places), Some(one.path().join(DEFAULT)));
    }
}
