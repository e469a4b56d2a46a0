//! `gaffer_lookupd`'s command line, and how it is to be by that: it has no file.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::command_line::{self, flag, takes, text, Opt, Wish};
use super::log_file::Rotation;
use super::logger::{LogSettings, Place};
use super::tls::TlsSettings;
use super::{places, values};
use crate::base::address::Cluster;
use crate::base::level::Level;
use crate::front::access::Access;
use crate::sys::syslog::SOCKET;

/// Every option.
#[rustfmt::skip]
pub const OPTIONS: &[Opt] = &[
    takes(None, "bind", "ADDR", "listen here: HOST:PORT, HOST, :PORT, [V6]:PORT or unix:PATH (repeatable; default 127.0.0.1:5010)"),
    takes(None, "store", "URL", "answer from this etcd, into which nodes write: etcd://HOST:PORT[,HOST:PORT]/PREFIX; nodes are not taken then"),
    takes(None, "backlog", "N", "clients the kernel lets wait to be accepted (default 1024)"),
    takes(None, "allowed-host", "NAME", "a further name under which nodes and clients may ask; * for all (repeatable)"),
    takes(None, "origin", "URL", "a web page's origin that may ask, e.g. https://example.org (repeatable)"),
    flag(None, "daemon", "go to the background once everything is started"),
    takes(None, "user", "NAME[:GROUP]", "go on as this user once it has its addresses; only root can"),
    takes(None, "pidfile", "FILE", "write the process id here; a second daemon with it is refused"),
    takes(None, "error-log", "FILE", "log here instead of to stderr (\"-\"), or with \"syslog\" to syslog; opened again on SIGUSR1, moved aside at 10 MB"),
    takes(None, "log-format", "FORM", "text or json, an object a line (default text)"),
    takes(None, "log-level", "LEVEL", "critical, error, warning, info, debug or trace (default info)"),
    flag(Some('v'), "verbose", "log what nodes register, too: as --log-level debug"),
    takes(None, "certfile", "FILE", "speak TLS at all addresses, with this certificate (PEM; read again on SIGHUP)"),
    takes(None, "keyfile", "FILE", "its private key (default: it is in the same file)"),
    takes(None, "cacert", "FILE", "let in only nodes and clients with a certificate of this authority"),
    flag(None, "version", "print the version and exit"),
    flag(Some('h'), "help", "print this and exit"),
];

/// Clients that wait to be accepted when nobody says how many: when a lookupd comes back, all its nodes
/// come at once, and who finds no place waits for a second to try again. The kernel may allow fewer.
const BACKLOG: i32 = 1024;

/// How the daemon is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where it listens.
    pub binds: Vec<SocketAddr>,
    /// Its unix sockets.
    pub sockets: Vec<PathBuf>,
    /// The etcd from which it answers, if not from what nodes say.
    pub store: Option<Cluster>,
    /// Its certificate, the key of that, and the authority of clients', as they are named: see
    /// [`Settings::tls`].
    certfile: Option<PathBuf>,
    keyfile: Option<PathBuf>,
    cacert: Option<PathBuf>,
    /// Clients that wait to be accepted.
    pub backlog: i32,
    /// Who may talk to it.
    pub access: Access,
    /// Whether it goes to the background.
    pub daemon: bool,
    /// As whom it goes on once it has its addresses: `NAME[:GROUP]`.
    pub user: Option<String>,
    /// Where its process id is written.
    pub pidfile: Option<PathBuf>,
    /// Where it logs, how and what.
    pub log: LogSettings,
}

/// What a command line asks for.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// To run.
    Run(Box<Settings>),
    /// The version.
    Version,
    /// The help.
    Help,
}

/// Reads a command line, without the program's name.
///
/// # Errors
/// The option that is unknown or lacks its value, or what is wrong with that, in words.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut settings = Settings {
        binds: Vec::new(),
        sockets: Vec::new(),
        store: None,
        certfile: None,
        keyfile: None,
        cacert: None,
        backlog: BACKLOG,
        access: Access::default(),
        daemon: false,
        user: None,
        pidfile: None,
        log: LogSettings::default(),
    };
    let set = |long: &str, value| settings.set(long, value);
    match command_line::parse("gaffer_lookupd", OPTIONS, args, set)? {
        Wish::Version => return Ok(Command::Version),
        Wish::Help => return Ok(Command::Help),
        Wish::Run => {}
    }
    if settings.binds.is_empty() && settings.sockets.is_empty() {
        settings.binds.push(SocketAddr::from(([127, 0, 0, 1], places::LOOKUPD_PORT)));
    }
    settings.tls()?;
    Ok(Command::Run(Box::new(settings)))
}

impl Settings {
    /// Which files there are for TLS.
    ///
    /// # Errors
    /// They make no sense together, with the option.
    pub fn tls(&self) -> Result<TlsSettings, String> {
        let [certfile, keyfile, cacert] =
            [&self.certfile, &self.keyfile, &self.cacert].map(Option::as_deref);
        TlsSettings::of_line(certfile, keyfile, cacert)
    }

    fn set(&mut self, long: &str, value: OsString) -> Result<(), String> {
        let named = |error: String| format!("--{long}: {error}");
        match long {
            "bind" => self.bind(&text(long, value)?).map_err(named)?,
            "store" => {
                let cluster = values::cluster(&text(long, value)?).map_err(named)?;
                if let Some(other) = self.store.replace(cluster) {
                    return Err(named(format!("there is one, and it is {other} already")));
                }
            }
            "backlog" => self.backlog = values::backlog(&text(long, value)?).map_err(named)?,
            "allowed-host" => {
                self.access.hosts.push(values::host(&text(long, value)?).map_err(named)?);
            }
            "origin" => {
                self.access.origins.push(values::origin(&text(long, value)?).map_err(named)?);
            }
            "daemon" => self.daemon = true,
            "user" => self.user = Some(text(long, value)?),
            "pidfile" => self.pidfile = Some(value.into()),
            "error-log" => {
                let named = Some(PathBuf::from(value));
                self.log.place = Place::of(named, Rotation::default(), || SOCKET.into());
            }
            "log-format" => {
                self.log.format = values::log_format(&text(long, value)?).map_err(named)?;
            }
            "log-level" => {
                self.log.level = values::log_level(&text(long, value)?).map_err(named)?;
            }
            "verbose" => self.log.level = self.log.level.max(Level::Debug),
            "certfile" => self.certfile = Some(value.into()),
            "keyfile" => self.keyfile = Some(value.into()),
            "cacert" => self.cacert = Some(value.into()),
            other => return Err(format!("--{other} is not handled")),
        }
        Ok(())
    }

    fn bind(&mut self, word: &str) -> Result<(), String> {
        let twice = |what: &str| Err(format!("{what} is named twice; leave one of the two away"));
        if let Some(path) = word.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            if self.sockets.contains(&path) {
                return twice(word);
            }
            self.sockets.push(path);
            return Ok(());
        }
        let address = places::parse(word, places::LOOKUPD_PORT)?;
        // Port 0 is another one each time.
        if address.port() != 0 && self.binds.contains(&address) {
            return twice(&address.to_string());
        }
        self.binds.push(address);
        Ok(())
    }
}

/// The text of `--help`.
pub fn help() -> String {
    let mut text = String::from(
        "gaffer_lookupd: knows which node runs what, and tells it\n\n\
         usage: gaffer_lookupd [OPTION]...\n\n",
    );
    text += &command_line::described(OPTIONS);
    text.push_str(
        "\nSignals: TERM, INT and QUIT stop it; HUP reads the certificates again; USR1\n\
         opens the log file again.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Command, String> {
        parse(args.iter().map(OsString::from))
    }

    fn settled(args: &[&str]) -> Settings {
        match parsed(args) {
            Ok(Command::Run(settings)) => *settings,
            other => panic!("{args:?}: {other:?}"),
        }
    }

    #[test]
    fn every_option_of_the_table_is_handled() {
        for option in OPTIONS {
            let mut args = vec![format!("--{}", option.long)];
            let value = match option.long {
                "origin" => "https://a.b",
                "log-level" => "trace",
                "log-format" => "json",
                "bind" => ":1",
                "store" => "etcd://e",
                _ => "1",
            };
            args.extend(option.value.map(|_| value.to_owned()));
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            match parsed(&args) {
                Ok(_) => {}
                // These three are nothing alone, and in a build without TLS nothing at all.
                Err(error) => {
                    assert!(error.contains("certificate") || error.contains("TLS"), "{error}");
                }
            }
        }
    }

    #[test]
    fn it_listens_on_the_loopback_unless_it_is_told_where() {
        let own = |args: &[&str]| {
            let settings = settled(args);
            let binds = settings.binds.iter().map(SocketAddr::to_string);
            let paths = settings.sockets.iter().map(|path| path.display().to_string());
            binds.chain(paths).collect::<Vec<_>>()
        };
        assert_eq!(own(&[]), ["127.0.0.1:5010"]);
        assert_eq!(own(&["--bind", "0.0.0.0"]), ["0.0.0.0:5010"]);
        assert_eq!(own(&["--bind=unix:/s", "--bind", "unix:t"]), ["/s", "t"]);
        assert_eq!(
            own(&["--bind", ":0", "--bind", ":0", "--bind", "[::1]:1"]),
            ["127.0.0.1:0", "127.0.0.1:0", "[::1]:1"]
        );
    }

    #[test]
    fn slips_are_told() {
        for (args, message) in [
            (&["--bnd", "x"][..], "unknown option --bnd; did you mean --bind?"),
            (&["-x"], "unknown option -x; see gaffer_lookupd --help"),
            (&["stray"], "unexpected argument \"stray\"; see gaffer_lookupd --help"),
            (&["--bind", "example.org:1"], "--bind: \"example.org:1\" is no address"),
            (&["--bind=:1", "--bind=:1"], "--bind: 127.0.0.1:1 is named twice"),
            (&["--bind=unix:a", "--bind=unix:a"], "--bind: unix:a is named twice"),
            (&["--store", "http://e"], "--store: expected etcd://HOST:PORT/PREFIX"),
            (&["--store=etcd://u:p@e"], "--store: an etcd's address has no user and no password"),
            (&["--store=etcd+tls://e"], "--store: etcd+tls://e: this version speaks no TLS"),
            (
                &["--store=etcd://e", "--store=etcd://f"],
                "--store: there is one, and it is etcd://e:2379",
            ),
            (&["--backlog", "0"], "--backlog: expected a whole number from 1 to 65535"),
            (&["--log-level", "loud"], "--log-level: expected critical"),
            (&["--log-format", "xml"], "--log-format: expected text or json"),
            (&["--allowed-host", "a:1"], "--allowed-host: expected names alone"),
            (&["--origin", "a"], "--origin: expected scheme://host"),
            (&["--keyfile", "x"], "--keyfile: there is no certificate for this key"),
            (&["--cacert", "x"], "--cacert: who may come over TLS is said, and there is no"),
        ] {
            let error = parsed(args).err().unwrap_or_default();
            assert!(error.starts_with(message), "{args:?}: {error}");
        }
        let level = |args: &[&str]| settled(args).log.level;
        assert_eq!(level(&["-v"]), Level::Debug);
        assert_eq!(level(&["--log-level", "trace", "-v"]), Level::Trace);
        let place = |name: &str| settled(&["--error-log", name]).log.place;
        assert_eq!(place("-"), Place::Stderr);
        assert_eq!(place("syslog"), Place::Syslog(SOCKET.into()));
        assert_eq!(place("l"), Place::File("l".into(), Rotation::default()));
    }
}
