//! What a user keeps about nodes and lookupds: `$GAFFER_CONFIG`, else `~/.gaffer/gaffer.ini`, with a section
//! for each.
//!
//! ```ini
//! [gaffer]
//! lookupd_address = https://l1:5010, http://l2:5010
//!
//! [node "http://127.0.0.1:5001"]
//! key = the-key-for-that-node
//!
//! [lookupd "https://l1:5010"]
//! cacert = authority.pem
//! ```

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::connect;
use super::failure::Failure;
use crate::base::similar;
use crate::client::{Address, Error, Lookup, Trust};
use crate::daemon::text_file::TextFile;
use crate::wire::ini::{self, Section};

/// The keys of a node's section. Those about certificates are the original's.
const KEYS: [&str; 4] = ["key", "certfile", "keyfile", "cacert"];
/// Those of a lookupd's, which knows no keys of users.
const LOOKUPD_KEYS: [&str; 3] = ["certfile", "keyfile", "cacert"];
/// Those of `[gaffer]`.
const OWN_KEYS: [&str; 1] = ["lookupd_address"];

/// The user's file.
#[derive(Default)]
pub struct UserConfig {
    path: PathBuf,
    nodes: Vec<(Address, Section)>,
    lookupds: Vec<(Address, Section)>,
    /// The lookupds that are asked where none is named.
    addresses: Vec<Address>,
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
        let mut config = Self { path, open, ..Self::default() };
        for section in ini.sections {
            config.take(section)?;
        }
        Ok(config)
    }

    fn take(&mut self, section: Section) -> Result<(), String> {
        let (shown, line) = (self.path.display().to_string(), section.line);
        let at = |error: Error| format!("{shown}:{line}: {error}");
        if section.name == "gaffer" {
            known(&shown, &section, &OWN_KEYS, "no key of [gaffer]")?;
            let Some(entry) = section.get("lookupd_address") else { return Ok(()) };
            let urls = entry.value.split([',', ' ', '\t', '\n']).filter(|url| !url.is_empty());
            let addresses: Result<Vec<Address>, Error> = urls.map(Lookup::address).collect();
            let line = entry.line;
            let addresses = addresses.map_err(|error| format!("{shown}:{line}: {error}"))?;
            self.addresses.extend(addresses);
            return Ok(());
        }
        if let Some(url) = url_of(&section, "lookupd") {
            known(&shown, &section, &LOOKUPD_KEYS, "no key of a lookupd")?;
            let address = Lookup::address(url).map_err(at)?;
            self.lookupds.push((address, section));
            return Ok(());
        }
        let url = url_of(&section, "node")
            .ok_or_else(|| format!("{shown}:{line}: [{}] is not [node \"URL\"]", section.name))?;
        let address = url.parse().map_err(at)?;
        known(&shown, &section, &KEYS, "no key of a node")?;
        self.nodes.push((address, section));
        Ok(())
    }

    /// The lookupds that are asked where none is named.
    pub fn lookupds(&self) -> &[Address] {
        &self.addresses
    }

    /// The key for a node.
    pub fn key(&self, address: &Address) -> Option<&str> {
        value(&self.nodes, address, "key")
    }

    /// Who may vouch for a node, and as whom it is come to. Relative paths are meant from the file's folder.
    ///
    /// # Errors
    /// A certificate has no key, or a key no certificate.
    pub fn trust(&self, address: &Address) -> Result<Trust, Failure> {
        self.trust_of(&self.nodes, address)
    }

    /// The same of a lookupd.
    ///
    /// # Errors
    /// As [`Self::trust`].
    pub fn trust_of_lookupd(&self, address: &Address) -> Result<Trust, Failure> {
        self.trust_of(&self.lookupds, address)
    }

    fn trust_of(&self, all: &[(Address, Section)], address: &Address) -> Result<Trust, Failure> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let file = |key: &str| value(all, address, key).map(|path| folder.join(path));
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

/// The file in which keys are kept.
fn path_of_user() -> Result<PathBuf, Failure> {
    let home = || connect::variable("HOME").map(|home| Path::new(&home).join(".gaffer/gaffer.ini"));
    let path = connect::variable("GAFFER_CONFIG").map(PathBuf::from).or_else(home);
    path.ok_or_else(|| Failure::failed("$HOME is not set, so there is nowhere to keep a key"))
}

/// The key that is kept for a node.
///
/// # Errors
/// The user's file is damaged.
pub fn kept_key(address: &Address) -> Result<Option<String>, Failure> {
    let config = UserConfig::of_user(&connect::variable)?;
    Ok(config.and_then(|config| config.key(address).map(str::to_owned)))
}

/// Keeps a key for a node, or none any more; gives the file. Whatever else stands there stays, and only
/// its owner may read it from then on.
///
/// # Errors
/// The file cannot be read or written.
pub fn keep_key(url: &str, key: Option<&str>) -> Result<PathBuf, Failure> {
    let path = path_of_user()?;
    let fault = |error: io::Error| Failure::failed(format!("{}: {error}", path.display()));
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(fault(error)),
    };
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(fault)?;
    }
    let beside = path.with_extension("ini.new");
    // Whatever lies there is a rest of ours or a trap: never written through.
    let _ = fs::remove_file(&beside);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let written = options.open(&beside).and_then(|mut file| {
        file.write_all(with_key(&text, url, key).as_bytes())?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&beside, &path)).map_err(fault)?;
    Ok(path)
}

/// The text of a file in which a node has this key.
fn with_key(text: &str, url: &str, key: Option<&str>) -> String {
    let wanted: Option<Address> = url.parse().ok();
    let is_ours = |line: &str| {
        let name = line.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let quoted = name.and_then(|name| name.strip_prefix("node")).map(str::trim);
        let own = quoted.and_then(|url| url.strip_prefix('"')?.strip_suffix('"')?.parse().ok());
        own.is_some() && own == wanted
    };
    let is_key = |line: &str| {
        let name = line.split(['=', ':']).next().unwrap_or_default().trim();
        !line.starts_with([' ', '\t']) && name.eq_ignore_ascii_case("key")
    };
    let (mut lines, mut inside, mut put) = (Vec::new(), false, false);
    for line in text.lines() {
        if line.trim_start().starts_with('[') {
            inside = is_ours(line);
        } else if inside && is_key(line) {
            continue;
        }
        lines.push(line.to_owned());
        if let Some(key) = key.filter(|_| inside && !put && is_ours(line)) {
            lines.push(format!("key = {key}"));
            put = true;
        }
    }
    if let Some(key) = key.filter(|_| !put) {
        lines.extend([format!("[node \"{url}\"]"), format!("key = {key}")]);
    }
    lines.join("\n") + "\n"
}

/// What a section says of an address.
fn value<'a>(all: &'a [(Address, Section)], address: &Address, key: &str) -> Option<&'a str> {
    let (_, section) = all.iter().find(|(known, _)| known == address)?;
    section.get(key).map(|entry| entry.value.as_str()).filter(|value| !value.is_empty())
}

/// The address in a section's name.
fn url_of<'a>(section: &'a Section, of: &str) -> Option<&'a str> {
    let url = section.name.strip_prefix(of)?.trim();
    url.strip_prefix('"')?.strip_suffix('"')
}

/// Refuses a section with other keys than these.
fn known(shown: &str, section: &Section, keys: &[&str], what: &str) -> Result<(), String> {
    let mut own = section.entries.iter().filter(|entry| !entry.inherited);
    let Some(entry) = own.find(|entry| !keys.contains(&entry.key.as_str())) else {
        return Ok(());
    };
    let meant = similar::nearest(&entry.key, keys.iter().copied());
    let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
    Err(format!("{shown}:{}: {} is {what}{meant}", entry.line, entry.raw_key))
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
    fn a_key_goes_to_the_address_that_it_is_kept_for_and_no_other() {
        let text = "[node \"https://n.example:5001\"]\nkey = one\n";
        let config = parse(text).expect("sound");
        let key = |url: &str| config.key(&url.parse().expect("an address")).is_some();
        assert!(key("https://n.example:5001"));
        for other in [
            "http://n.example:5001",
            "https://n.example:5002",
            "https://n.example",
            "https://n.example.evil.org:5001",
            "https://m.n.example:5001",
            "unix:n.example:5001",
        ] {
            assert!(!key(other), "{other}");
        }
    }

    #[test]
    fn a_key_is_kept_and_nothing_else_is_changed() {
        let text = "# mine\n[gaffer]\nlookupd_address = l\n[node \"http://127.0.0.1:5001\"]\ncacert = c\nkey = old\n[node \"unix:/x\"]\nkey = other\n";
        let kept = with_key(text, "http://127.0.0.1:5001", Some("new"));
        assert_eq!(kept, text.replace("cacert = c\nkey = old", "key = new\ncacert = c"));
        let gone = with_key(&kept, "127.0.0.1:5001", None);
        assert_eq!(gone, text.replace("key = old\n", ""));
        let more = with_key(text, "http://n:1", Some("k"));
        assert_eq!(more, format!("{text}[node \"http://n:1\"]\nkey = k\n"));
        assert_eq!(with_key("", "http://n:1", Some("k")), "[node \"http://n:1\"]\nkey = k\n");
        let config = parse(&more).expect("sound");
        assert_eq!(config.key(&"http://n:1".parse().expect("an address")), Some("k"));
    }

    #[test]
    fn lookupds_have_their_own_sections_and_a_list() {
        let text = "[gaffer]\nlookupd_address = http://l1, https://l2:7 unix:/l\n[lookupd \"https://l2:7\"]\ncacert = ca.pem\n[node \"https://l2:7\"]\nkey = one\n";
        let config = parse(text).expect("sound");
        let shown: Vec<String> = config.lookupds().iter().map(Address::to_string).collect();
        assert_eq!(shown, ["http://l1:5010", "https://l2:7", "unix:/l"]);
        let trust = config.trust_of_lookupd(&config.lookupds()[1]).expect("sound");
        assert_eq!(trust.authorities, Some(PathBuf::from("ca.pem")));
        assert_eq!(config.trust(&config.lookupds()[1]).expect("sound"), Trust::default());
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
            (
                "[gaffer]\nlookup_address = l\n",
                "gaffer.ini:2: lookup_address is no key of [gaffer]; did you mean lookupd_address?",
            ),
            (
                "[gaffer]\n\nlookupd_address = ftp://l\n",
                "gaffer.ini:3: \"ftp://l\" is not a lookupd's",
            ),
            ("[lookupd \"l\"]\nkey = k\n", "gaffer.ini:2: key is no key of a lookupd"),
            ("key = 1\n", "gaffer.ini:1"),
        ] {
            let said = parse(text).err().expect(text);
            assert!(said.starts_with(start), "{said}");
        }
    }
}
