//! What a user keeps about nodes: `$GAFFER_CONFIG`, else `~/.gaffer/gaffer.ini`, with a section for each.
//!
//! ```ini
//! [node "http://127.0.0.1:5001"]
//! key = the-key-for-that-node
//! ```

use std::path::{Path, PathBuf};

use super::failure::Failure;
use crate::base::similar;
use crate::client::{Address, Trust};
use crate::daemon::text_file::TextFile;
use crate::wire::ini::{self, Section};

/// The keys of a section. Those about certificates are the original's.
const KEYS: [&str; 4] = ["key", "certfile", "keyfile", "cacert"];

/// The user's file.
pub struct UserConfig {
    path: PathBuf,
    nodes: Vec<(Address, Section)>,
    /// Whether it may be read by others.
    open: bool,
}

impl UserConfig {
    /// Reads the user's file; `None` if there is none.
    ///
    /// # Errors
    /// The place and why not.
    pub fn of_user(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, Failure> {
        let (path, must) = match (variable("GAFFER_CONFIG"), variable("HOME")) {
            (Some(path), _) => (PathBuf::from(path), true),
            (None, Some(home)) => (Path::new(&home).join(".gaffer/gaffer.ini"), false),
            (None, None) => return Ok(None),
        };
        let found = if must { TextFile::open(&path).map(Some) } else { TextFile::find(&path) };
        let Some(file) = found.map_err(Failure::Failed)? else { return Ok(None) };
        let open = file.others_may_read();
        let text = file.read().map_err(Failure::Failed)?;
        Self::parse(path, open, &text).map(Some).map_err(Failure::Failed)
    }

    fn parse(path: PathBuf, open: bool, text: &str) -> Result<Self, String> {
        let shown = path.display();
        let ini = ini::parse(text)
            .map_err(|error| format!("{shown}:{}: {}", error.line, error.message))?;
        let mut nodes = Vec::new();
        for section in ini.sections {
            let line = section.line;
            let url = section.name.strip_prefix("node").map(str::trim);
            let url =
                url.and_then(|url| url.strip_prefix('"')).and_then(|url| url.strip_suffix('"'));
            let url = url.ok_or_else(|| {
                format!("{shown}:{line}: [{}] is not [node \"URL\"]", section.name)
            })?;
            let address = url.parse().map_err(|error| format!("{shown}:{line}: {error}"))?;
            let mut own = section.entries.iter().filter(|entry| !entry.inherited);
            if let Some(entry) = own.find(|entry| !KEYS.contains(&entry.key.as_str())) {
                let meant = similar::nearest(&entry.key, KEYS);
                let meant = meant.map(|meant| format!("; did you mean {meant}?"));
                return Err(format!(
                    "{shown}:{}: {} is no key of a node{}",
                    entry.line,
                    entry.raw_key,
                    meant.unwrap_or_default()
                ));
            }
            nodes.push((address, section));
        }
        Ok(Self { path, nodes, open })
    }

    /// What a section says of a node.
    fn value(&self, address: &Address, key: &str) -> Option<&str> {
        let (_, section) = self.nodes.iter().find(|(known, _)| known == address)?;
        section.get(key).map(|entry| entry.value.as_str()).filter(|value| !value.is_empty())
    }

    /// The key for a node.
    pub fn key(&self, address: &Address) -> Option<&str> {
        self.value(address, "key")
    }

    /// Who may vouch for a node, and as whom it is come to. Relative paths are meant from the file's folder.
    ///
    /// # Errors
    /// A certificate has no key, or a key no certificate.
    pub fn trust(&self, address: &Address) -> Result<Trust, Failure> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let file = |key: &str| self.value(address, key).map(|path| folder.join(path));
        let identity = match (file("certfile"), file("keyfile")) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                let path = self.path.display();
                return Err(Failure::failed(format!(
                    "{path}: certfile and keyfile of {address} belong together"
                )));
            }
        };
        Ok(Trust { authorities: file("cacert"), identity })
    }

    /// What is to be said if a key of it is used.
    pub fn warning(&self) -> Option<String> {
        let path = self.path.display();
        self.open.then(|| format!("{path} holds a key and can be read by others: chmod 600 {path}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<UserConfig, String> {
        UserConfig::parse("gaffer.ini".into(), false, text)
    }

    #[test]
    fn a_node_is_found_however_its_address_is_written() {
        let text = "[node \"http://127.0.0.1:5001\"]\nkey = one\n[node \"unix:/run/g\"]\nkey = two\n[node \"http://x\"]\ncacert = ca.pem\n[node \"http://half\"]\ncertfile = c.pem\n";
        let config = parse(text).expect("sound");
        let key = |url: &str| config.key(&url.parse().expect("an address")).map(str::to_owned);
        assert_eq!(key("127.0.0.1:5001").as_deref(), Some("one"));
        assert_eq!(key("http://127.0.0.1:5001/").as_deref(), Some("one"));
        assert_eq!(key("unix:/run/g").as_deref(), Some("two"));
        assert_eq!((key("http://x"), key("http://y")), (None, None));
        let trust = |url: &str| config.trust(&url.parse().expect("an address"));
        let authorities = trust("http://x").expect("sound").authorities;
        assert_eq!(authorities, Some(PathBuf::from("ca.pem")));
        assert!(trust("http://half").is_err(), "a certificate without its key");
    }

    #[test]
    fn faults_are_told_with_their_place() {
        for (text, start) in [
            (
                "[node \"http://x\"]\n\nkye = 1\n",
                "gaffer.ini:3: kye is no key of a node; did you mean key?",
            ),
            ("[http://x]\nkey = 1\n", "gaffer.ini:1: [http://x] is not [node \"URL\"]"),
            ("[node \"ftp://x\"]\n", "gaffer.ini:1: "),
            ("key = 1\n", "gaffer.ini:1"),
        ] {
            let said = parse(text).err().expect(text);
            assert!(said.starts_with(start), "{said}");
        }
    }
}
