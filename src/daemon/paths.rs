//! Where things lie when nobody says so. Pure: what the environment says comes in.

use std::path::{Path, PathBuf};

/// What the default places depend on.
pub struct Surroundings<'a> {
    /// Whether the daemon runs as root.
    pub root: bool,
    /// A variable of the environment; one that is empty counts as none.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// Whether it is inside another program, and listens nowhere and keeps nothing unless it is told to.
    pub hosted: bool,
}

impl Surroundings<'_> {
    fn directory(&self, name: &str) -> Option<PathBuf> {
        // XDG Base Directory Specification: a relative path is to be ignored.
        (self.variable)(name).map(PathBuf::from).filter(|path| path.is_absolute())
    }

    fn home(&self) -> Option<PathBuf> {
        self.directory("HOME")
    }

    /// The state directory: `$XDG_STATE_HOME/gaffer`, else `/var/lib/gaffer` for root and
    /// `~/.local/state/gaffer` for others.
    ///
    /// # Errors
    /// There is no home to put it in.
    pub fn state_dir(&self) -> Result<PathBuf, String> {
        if let Some(base) = self.directory("XDG_STATE_HOME") {
            return Ok(base.join("gaffer"));
        }
        if self.root {
            return Ok("/var/lib/gaffer".into());
        }
        let home = self.home().map(|home| home.join(".local/state/gaffer"));
        home.ok_or_else(|| "no place for the state: HOME is not set; say --state-dir DIR".into())
    }

    /// The unix socket: in `$XDG_RUNTIME_DIR/gaffer`, else in `/run/gaffer` for root and in the
    /// state directory for others.
    pub fn socket(&self, state_dir: &Path) -> PathBuf {
        let base = match self.directory("XDG_RUNTIME_DIR") {
            Some(runtime) => runtime.join("gaffer"),
            None if self.root => "/run/gaffer".into(),
            None => state_dir.to_owned(),
        };
        base.join("gafferd.sock")
    }

    /// The directory of plugins, if the environment names one. It may be a relative path.
    pub fn plugins_dir(&self) -> Option<PathBuf> {
        let named = || (self.variable)("GAFFER_PLUGIN_DIR").filter(|path| !path.is_empty());
        (!self.hosted).then(named).flatten().map(PathBuf::from)
    }

    /// Where `gafferd.ini` is looked for, first to last, when no `--config` names it.
    pub fn config_dirs(&self, program: Option<&Path>) -> Vec<PathBuf> {
        let mut dirs: Vec<PathBuf> = self.directory("GAFFERD_CONFIG").into_iter().collect();
        if self.root {
            let prefix = program.and_then(Path::parent).and_then(Path::parent);
            dirs.extend(prefix.map(|prefix| prefix.join("etc/gaffer")));
            dirs.push("/etc/gaffer".into());
        } else {
            dirs.extend(self.home().map(|home| home.join(".gaffer")));
        }
        dirs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(root: bool, set: &[(&str, &str)]) -> (String, String) {
        let variable = |name: &str| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let surroundings = Surroundings { root, variable: &variable, hosted: false };
        let state = surroundings.state_dir();
        let socket = surroundings.socket(state.as_deref().unwrap_or(Path::new("")));
        let state = state.map(|path| path.display().to_string());
        (state.unwrap_or_else(|error| error), socket.display().to_string())
    }

    #[test]
    fn the_environment_decides_and_relative_paths_do_not_count() {
        let (state, socket) = places(true, &[("HOME", "/root")]);
        assert_eq!(
            (state.as_str(), socket.as_str()),
            ("/var/lib/gaffer", "/run/gaffer/gafferd.sock")
        );
        let (state, socket) =
            places(false, &[("HOME", "/home/a"), ("XDG_RUNTIME_DIR", "/run/user/1")]);
        assert_eq!(state, "/home/a/.local/state/gaffer");
        assert_eq!(socket, "/run/user/1/gaffer/gafferd.sock");
        let (state, _) = places(false, &[("HOME", "/h"), ("XDG_STATE_HOME", "/s")]);
        assert_eq!(state, "/s/gaffer");
        let (state, _) = places(false, &[("XDG_STATE_HOME", "s")]);
        assert!(state.contains("--state-dir"), "{state}");
    }
}
