//! Certificates and keys of the daemons: which files the operator named, in which place, and how they are
//! read. They are read whole or not at all, at the start and again at every SIGHUP, and whatever is
//! wrong with one is told with the place that names it.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::ini_jobs::{Section, Table};
use super::options::Options;
use super::text_file::TextFile;
use crate::base::similar;
use crate::base::sorted::SortedMap;
use crate::tls::{self, Acceptor, Connector, Demand, Pem, Security, Served, Trusted};

/// Which files, as the operator named them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// For clients. Without a certificate they are spoken to in clear text.
    pub served: Side,
    /// For lookupds and webhooks.
    pub lookups: Side,
    /// Whether a client has to show a certificate where its authority is named.
    demand: Option<Demand>,
}

/// The files of one side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// Our certificate, and those between it and its authority.
    pub certificate: Option<Named>,
    /// Its private key; without one it is in the file of the certificate.
    pub key: Option<Named>,
    /// The authorities that may vouch for the other end.
    pub authorities: Option<Named>,
}

/// A file, and where it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    path: PathBuf,
    /// The option, or file, line and key.
    place: String,
}

/// What files are read with.
pub(super) struct Reading<'a> {
    /// The daemon's environment.
    pub(super) environ: &'a SortedMap<String, String>,
    /// Whether it runs as root.
    pub(super) root: bool,
    /// The time, by which certificates hold or not.
    pub(super) now: SystemTime,
    /// Whether there are others to whom we speak TLS.
    pub(super) dials: bool,
}

/// The keys of `[ssl]` and `[lookup_ssl]`, for suggestions and for the documentation.
pub const KEYS: [&str; 4] = ["certfile", "keyfile", "ca_certs", "cert_reqs"];

/// Further keys that the original handed to its library: what they choose is chosen well here.
const WITHOUT_EFFECT: [&str; 5] =
    ["ssl_version", "ciphers", "do_handshake_on_connect", "suppress_ragged_eofs", "server_side"];

impl TlsSettings {
    /// Puts together what the command line of gafferd and its files say.
    ///
    /// # Errors
    /// What is wrong, with its place.
    pub fn read(
        options: &Options,
        table: &Table,
        warnings: &mut Vec<String>,
    ) -> Result<Self, String> {
        let mut settings = Self::default();
        if let Some(section) = table.section("ssl") {
            settings.demand = settings.served.take(section, warnings)?;
        }
        if let Some(section) = table.section("lookup_ssl") {
            let demand = settings.lookups.take(section, warnings)?;
            if demand == Some(Demand::Optional) {
                let place = section.get("cert_reqs").map_or("", |entry| &entry.place);
                return Err(format!(
                    "{place}: cert_reqs: a lookupd always has to show a certificate; leave it away, and \
                     name its authority with ca_certs"
                ));
            }
        }
        let (served, lookups) = (&mut settings.served, &mut settings.lookups);
        for (long, path, file) in [
            ("certfile", &options.certfile, &mut served.certificate),
            ("keyfile", &options.keyfile, &mut served.key),
            ("clients-cacert", &options.clients_cacert, &mut served.authorities),
            ("client-certfile", &options.client_certfile, &mut lookups.certificate),
            ("client-keyfile", &options.client_keyfile, &mut lookups.key),
            ("cacert", &options.cacert, &mut lookups.authorities),
        ] {
            if let Some(path) = path {
                *file = Some(Named::option(long, path));
            }
        }
        settings.check()
    }

    /// What the command line of a daemon without files says: for clients alone.
    ///
    /// # Errors
    /// What is wrong, with its option.
    pub fn of_line(
        certfile: Option<&Path>,
        keyfile: Option<&Path>,
        cacert: Option<&Path>,
    ) -> Result<Self, String> {
        let named = |long, path: Option<&Path>| path.map(|path| Named::option(long, path));
        let served = Side {
            certificate: named("certfile", certfile),
            key: named("keyfile", keyfile),
            authorities: named("cacert", cacert),
        };
        Self { served, ..Self::default() }.check()
    }

    /// Whether TLS is spoken with clients.
    pub fn is_served(&self) -> bool {
        self.served.certificate.is_some()
    }

    /// Whether clients have to show a certificate.
    pub fn is_demanded(&self) -> bool {
        self.served.authorities.is_some() && self.demand != Some(Demand::Optional)
    }

    fn check(self) -> Result<Self, String> {
        for side in [&self.served, &self.lookups] {
            if let (None, Some(key)) = (&side.certificate, &side.key) {
                return Err(format!("{}: there is no certificate for this key", key.place));
            }
        }
        match (&self.served.certificate, &self.served.authorities) {
            (None, Some(authorities)) => Err(format!(
                "{}: who may come over TLS is said, and there is no certificate to speak it with",
                authorities.place
            )),
            (Some(_), None) if self.demand == Some(Demand::Required) => Err(
                "[ssl] cert_reqs: clients have to show certificates, and no authority is named whose \
                 these could be; name it with ca_certs"
                    .into(),
            ),
            _ if tls::SPOKEN => Ok(self),
            _ => self.unspoken(),
        }
    }

    /// As it is, for a build without TLS: nothing may be named.
    fn unspoken(self) -> Result<Self, String> {
        let sides = [&self.served, &self.lookups];
        let all = sides.iter().flat_map(|side| [&side.certificate, &side.key, &side.authorities]);
        if let Some(named) = all.flatten().next() {
            return Err(format!("{}: {}", named.place, tls::UNSPOKEN));
        }
        Ok(self)
    }

    /// Reads the files. What is odd about them but no error is added to the warnings.
    ///
    /// # Errors
    /// What is wrong, with the place that names the file, and what to do.
    pub(super) fn load(
        &self,
        reading: &Reading<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<Security, String> {
        let mut security = Security::default();
        if let Some((certificate, key)) = self.served.identity(reading)? {
            let demand = self.demand.unwrap_or(Demand::Required);
            let clients = self.served.authorities.as_ref();
            let clients = clients.map(|named| named.read(reading)).transpose()?;
            let clients = clients.map(|authorities| (authorities, demand));
            let place = self.served.certificate.as_ref().map_or("", |named| named.place.as_str());
            let served = Served { certificate, key, clients };
            let acceptor = Acceptor::new(&served, reading.now, warnings);
            security.acceptor = Some(acceptor.map_err(|error| format!("{place}: {error}"))?);
        }
        let lookups = &self.lookups;
        if reading.dials || lookups.certificate.is_some() || lookups.authorities.is_some() {
            security.connector = Some(self.connector(reading)?);
        }
        Ok(security)
    }

    /// Reads what is trusted where we connect to others, and what is shown there.
    ///
    /// # Errors
    /// What is wrong, with the place that names the file, and what to do.
    pub(super) fn connector(&self, reading: &Reading<'_>) -> Result<Connector, String> {
        let lookups = &self.lookups;
        let authorities = match &lookups.authorities {
            Some(named) => named.read(reading)?,
            None => of_system(reading)?,
        };
        Connector::new(&Trusted { authorities, identity: lookups.identity(reading)? })
    }
}

impl Side {
    /// Takes what a section says; gives what it demands of the other end, which is optional where it says
    /// that nothing is.
    fn take(
        &mut self,
        section: &Section,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Demand>, String> {
        let mut demand = None;
        for entry in section.entries().iter().filter(|entry| !entry.inherited) {
            let (key, place) = (entry.key.as_str(), &entry.place);
            let text = entry.value.trim();
            if WITHOUT_EFFECT.contains(&key) {
                warnings.push(format!("{place}: {key} has no effect"));
                continue;
            }
            if KEYS.contains(&key) && text.is_empty() {
                return Err(format!("{place}: {key}: its value is empty"));
            }
            let named =
                || Some(Named { path: entry.folder.join(text), place: format!("{place}: {key}") });
            match key {
                "certfile" => self.certificate = named(),
                "keyfile" => self.key = named(),
                "ca_certs" => self.authorities = named(),
                "cert_reqs" => {
                    demand =
                        Some(demanded(text).map_err(|error| format!("{place}: {key}: {error}"))?);
                }
                other => {
                    let meant = similar::nearest(other, KEYS);
                    let meant = meant.map(|m| format!("; did you mean {m:?}?")).unwrap_or_default();
                    let name = &section.name;
                    return Err(format!("{place}: unknown key {other:?} in [{name}]{meant}"));
                }
            }
        }
        Ok(demand)
    }

    /// Our certificate and our key, if there are any.
    fn identity(&self, reading: &Reading<'_>) -> Result<Option<(Pem, Pem)>, String> {
        let Some(certificate) = &self.certificate else { return Ok(None) };
        let key = self.key.as_ref().unwrap_or(certificate);
        Ok(Some((certificate.read(reading)?, key.read_secret(reading)?)))
    }
}

impl Named {
    fn option(long: &str, path: &Path) -> Self {
        Self { path: path.to_owned(), place: format!("--{long}") }
    }

    fn read(&self, reading: &Reading<'_>) -> Result<Pem, String> {
        self.open(reading).and_then(|file| pem(&self.path, file)).map_err(|error| self.said(&error))
    }

    /// The same of one that holds a private key.
    fn read_secret(&self, reading: &Reading<'_>) -> Result<Pem, String> {
        let file = self.open(reading).map_err(|error| self.said(&error))?;
        if file.everybody_may_use() {
            let shown = self.path.display();
            return Err(self.said(&format!(
                "{shown}: everybody on this machine may read or write this private key; chmod o-rw it"
            )));
        }
        pem(&self.path, file).map_err(|error| self.said(&error))
    }

    fn open(&self, reading: &Reading<'_>) -> Result<TextFile, String> {
        let file = TextFile::open(&self.path)?;
        if reading.root {
            file.check_writers()?;
        }
        Ok(file)
    }

    fn said(&self, error: &str) -> String {
        format!("{}: {error}", self.place)
    }
}

fn pem(path: &Path, file: TextFile) -> Result<Pem, String> {
    Ok(Pem { path: path.to_owned(), bytes: file.read()?.into_bytes() })
}

/// The authorities that this system trusts.
fn of_system(reading: &Reading<'_>) -> Result<Pem, String> {
    let said = reading.environ.get("SSL_CERT_FILE").map(PathBuf::from);
    let path = tls::authorities_of_system(said, Path::exists)?;
    pem(&path, TextFile::open(&path)?)
}

/// What is demanded of the other end, in the words of Python's module `ssl`.
fn demanded(text: &str) -> Result<Demand, String> {
    match text.trim_start_matches("ssl.").trim_start_matches("CERT_").to_ascii_lowercase().as_str()
    {
        "required" | "2" => Ok(Demand::Required),
        "optional" | "1" => Ok(Demand::Optional),
        "none" | "0" => Err("leave ca_certs away where nobody has to show a certificate".into()),
        _ => Err(format!("expected required or optional, found {text:?}")),
    }
}

#[cfg(all(test, not(feature = "tls")))]
mod tests_without {
    use super::*;

    #[test]
    fn a_build_without_tls_refuses_what_names_a_file_for_it() {
        let refused = |settings: Result<TlsSettings, String>| {
            settings.is_err_and(|error| error.starts_with("--") && error.ends_with(tls::UNSPOKEN))
        };
        let some = Some(Path::new("x"));
        assert!(refused(TlsSettings::of_line(some, some, None)));
        let options = Options { cacert: Some("x".into()), ..Options::default() };
        assert!(refused(TlsSettings::read(&options, &Table::default(), &mut Vec::new())));
        assert!(TlsSettings::of_line(None, None, None).is_ok());
    }
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::{Duration, UNIX_EPOCH};

    const NOW: SystemTime = UNIX_EPOCH;

    fn given(line: &[&str], file: &str) -> Result<TlsSettings, String> {
        let mut table = Table::default();
        table.add("/e/g.ini", file)?;
        let line = crate::daemon::options::parse(line.iter().map(std::ffi::OsString::from))?;
        let crate::daemon::options::Command::Run(options) = line else {
            panic!("these are options");
        };
        TlsSettings::read(&options, &table, &mut Vec::new())
    }

    fn fixture(name: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name);
        fs::read_to_string(path).expect("it is there")
    }

    /// A folder with a file of this mode.
    fn put(folder: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("ours");
        path
    }

    fn loaded(settings: &TlsSettings, seconds: u64) -> Result<(Security, Vec<String>), String> {
        let now = NOW + Duration::from_secs(seconds);
        let environ = SortedMap::new();
        let reading = Reading { environ: &environ, root: true, now, dials: false };
        let mut warnings = Vec::new();
        settings.load(&reading, &mut warnings).map(|security| (security, warnings))
    }

    fn of_line(certfile: &Path, keyfile: &Path) -> TlsSettings {
        TlsSettings::of_line(Some(certfile), Some(keyfile), None).expect("a pair")
    }

    #[test]
    fn the_command_line_wins_and_each_side_has_its_own() {
        let file =
            "[ssl]\ncertfile = a\nkeyfile = b\nca_certs = /c\ncert_reqs = ssl.CERT_OPTIONAL\n\
                    [lookup_ssl]\nca_certs = d\n";
        let said = given(&["--certfile=e", "--client-certfile=f", "--cacert", "g"], file);
        let said = said.expect("sound");
        let shown = |side: &Side| {
            let all = [&side.certificate, &side.key, &side.authorities];
            all.map(|named| named.as_ref().map_or("-".into(), |n| n.path.display().to_string()))
        };
        assert_eq!(shown(&said.served), ["e", "/e/b", "/c"]);
        assert_eq!(shown(&said.lookups), ["f", "-", "g"]);
        assert_eq!((said.demand, said.is_served()), (Some(Demand::Optional), true));
        assert!(!given(&["--cacert=x"], "").expect("sound").is_served(), "that is for lookupds");
    }

    #[test]
    fn slips_have_their_place() {
        for (line, file, message) in [
            (vec!["--keyfile=a"], "", "--keyfile: there is no certificate for this key"),
            (
                vec!["--clients-cacert=a"],
                "",
                "--clients-cacert: who may come over TLS is said, and",
            ),
            (vec![], "[ssl]\ncertfil = a", "/e/g.ini:2: unknown key \"certfil\" in [ssl]; did you"),
            (vec![], "[ssl]\ncertfile =", "/e/g.ini:2: certfile: its value is empty"),
            (vec![], "[lookup_ssl]\nkeyfile = a", "/e/g.ini:2: keyfile: there is no certificate"),
            (vec![], "[ssl]\ncert_reqs = 0", "/e/g.ini:2: cert_reqs: leave ca_certs away"),
            (
                vec![],
                "[ssl]\ncert_reqs = x",
                "/e/g.ini:2: cert_reqs: expected required or optional",
            ),
            (vec!["--certfile=a"], "[ssl]\ncert_reqs = 2", "[ssl] cert_reqs: clients have to show"),
            (vec![], "[lookup_ssl]\ncert_reqs = 1", "/e/g.ini:2: cert_reqs: a lookupd always has"),
        ] {
            let error = given(&line, file).expect_err(message);
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn files_that_are_wrong_are_named_with_their_cure() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        let certificate = put(at, "node.pem", &fixture("node.pem"), 0o644);
        let key = put(at, "node.key", &fixture("node.key"), 0o640);
        let (security, warnings) =
            loaded(&of_line(&certificate, &key), 4_000_000_000).expect("sound");
        assert!(security.acceptor.is_some() && security.connector.is_none());
        assert_eq!(warnings, Vec::<String>::new());
        let (_, warnings) = loaded(&of_line(&certificate, &key), 100_000_000_000).expect("sound");
        assert!(warnings[0].contains("node.pem: it has expired on 21"), "{warnings:?}");
        // Both in one file, as some tools write them.
        let both = put(at, "both", &(fixture("node.pem") + &fixture("node.key")), 0o600);
        let both = TlsSettings::of_line(Some(&both), None, None).expect("sound");
        assert!(loaded(&both, 0).is_ok());
        let readable = put(at, "readable.key", &fixture("node.key"), 0o604);
        let writable = put(at, "writable.pem", &fixture("node.pem"), 0o666);
        let other = put(at, "other.key", &fixture("client.key"), 0o600);
        for (certificate, key, message) in [
            (&certificate, &readable, "--keyfile: {}/readable.key: everybody on this machine may"),
            (
                &writable,
                &key,
                "--certfile: {}/writable.pem: everybody may write it, and this runs as root",
            ),
            (&at.join("none"), &key, "--certfile: {}/none: No such file or directory"),
            (&certificate, &at.join("none"), "--keyfile: {}/none: No such file or directory"),
            (&key, &key, "--certfile: {}/node.key: there is no certificate in it"),
            (&certificate, &certificate, "--keyfile: {}/node.pem: everybody on this machine"),
            (&certificate, &other, "--certfile: {}/other.key: this is not the private key of the"),
        ] {
            let error = loaded(&of_line(certificate, key), 0).err().unwrap_or_default();
            let message = message.replace("{}", &at.display().to_string());
            assert!(error.starts_with(&message), "{error}");
        }
    }
}
