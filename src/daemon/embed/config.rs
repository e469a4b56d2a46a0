//! What an embedded node is told: everything that gafferd can be, by the names of its options.

use std::path::{Path, PathBuf};

use super::error::Error;
use crate::daemon::options::{Options, OPTIONS};

/// How an embedded node is to be. Without anything it listens nowhere and keeps nothing.
#[derive(Clone, Debug, Default)]
pub struct Config {
    said: Vec<(String, String)>,
}

/// What a program that hosts a node decides itself.
const HOSTS_OWN: [&str; 11] = [
    "daemon",
    "user",
    "error-log",
    "log-level",
    "create-admin-user",
    "list-admins",
    "username",
    "password",
    "password-file",
    "version",
    "help",
];

impl Config {
    /// One that says nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says an option of gafferd, by its long name without dashes (`lookupd-address`), as
    /// `gafferd --help` has it. What is wrong with it is told by `build`. For one without a value, that
    /// is `"true"`.
    #[must_use]
    pub fn option(mut self, name: &str, value: impl Into<String>) -> Self {
        self.said.push((name.to_owned(), value.into()));
        self
    }

    /// Listens at this address, too: `HOST:PORT`, `HOST`, `:PORT` or `[V6]:PORT`.
    #[must_use]
    pub fn bind(self, address: &str) -> Self {
        self.option("bind", address)
    }

    /// Listens on this unix socket.
    #[must_use]
    pub fn socket(self, path: impl AsRef<Path>) -> Self {
        self.option("socket", path.as_ref().display().to_string())
    }

    /// Keeps what runs, jobs of the API, keys and users in this directory.
    #[must_use]
    pub fn state_dir(self, path: impl AsRef<Path>) -> Self {
        self.option("state-dir", path.as_ref().display().to_string())
    }

    /// Has the plugins of this directory. Their paths begin with the prefix of the node, if it has one.
    #[must_use]
    pub fn plugins_dir(self, path: impl AsRef<Path>) -> Self {
        self.option("plugins-dir", path.as_ref().display().to_string())
    }

    /// Reads this `gafferd.ini`. What is said beside it wins over it.
    #[must_use]
    pub fn file(self, path: impl AsRef<Path>) -> Self {
        self.option("config", path.as_ref().display().to_string())
    }

    /// Asks for a key over TCP, on the loopback, too.
    #[must_use]
    pub fn require_key(self) -> Self {
        self.option("require-key", "true")
    }

    pub(super) fn options(&self) -> Result<Options, Error> {
        let mut options = Options::default();
        for (name, value) in &self.said {
            if HOSTS_OWN.contains(&name.as_str()) {
                return Err(Error::new(format!("{name}: the program around a node decides that")));
            }
            let known = OPTIONS.iter().find(|option| option.long == name);
            let known =
                known.ok_or_else(|| Error::new(format!("gafferd has no option {name:?}")))?;
            if known.value.is_none() && value != "true" {
                return Err(Error::new(format!("{name}: it has no value; say \"true\"")));
            }
            options.set(name, PathBuf::from(value).into()).map_err(Error::new)?;
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(config: &Config) -> String {
        config.options().expect_err("it is wrong").to_string()
    }

    #[test]
    fn options_are_those_of_gafferd() {
        let config = Config::new().bind(":0").option("forget", "true").require_key();
        let options = config.option("lookupd-address", "http://l").options().expect("sound");
        assert_eq!((options.binds.len(), options.lookupds.len()), (1, 1));
        assert!(options.forget && options.require_key);
        assert_eq!(wrong(&Config::new().option("bnd", "x")), "gafferd has no option \"bnd\"");
        let host = wrong(&Config::new().option("daemon", "true"));
        assert_eq!(host, "daemon: the program around a node decides that");
        assert_eq!(
            wrong(&Config::new().option("forget", "1")),
            "forget: it has no value; say \"true\""
        );
    }

    #[test]
    fn what_the_host_decides_are_options_of_gafferd() {
        let known = |name: &str| OPTIONS.iter().any(|option| option.long == name);
        assert!(HOSTS_OWN.iter().all(|name| known(name)));
    }
}
