//! gafferd's command line.

use std::ffi::OsString;
use std::path::PathBuf;

use super::command_line::{self, flag, takes, text, Opt, Wish};

/// Every option.
#[rustfmt::skip]
pub const OPTIONS: &[Opt] = &[
    takes(Some('c'), "config", "PATH", "gafferd.ini, or the directory it lies in"),
    takes(None, "procfile", "[NAME=]FILE", "run a Procfile application, with the .env beside it (repeatable)"),
    takes(None, "load", "FILE", "load jobs from a JSON file: one job, or {\"jobs\": [...]} (repeatable)"),
    takes(None, "bind", "ADDR", "listen here: HOST:PORT, HOST, :PORT or [V6]:PORT (repeatable; default 127.0.0.1:5000)"),
    takes(None, "socket", "PATH", "the unix socket; \"none\" for none (default in $XDG_RUNTIME_DIR/gaffer or /run/gaffer)"),
    takes(None, "certfile", "FILE", "speak TLS at all addresses, with this certificate (PEM; read again on SIGHUP)"),
    takes(None, "keyfile", "FILE", "its private key (default: it is in the same file)"),
    takes(None, "clients-cacert", "FILE", "let in only clients with a certificate of this authority"),
    takes(None, "lookupd-address", "URL", "register with this gaffer_lookupd, or in this etcd: http://HOST:PORT, https://HOST:PORT, unix:PATH or etcd://HOST:PORT/PREFIX (repeatable)"),
    takes(None, "cacert", "FILE", "the authority that may vouch for lookupds over https (default: those of this system)"),
    takes(None, "client-certfile", "FILE", "the certificate for lookupds that ask for one"),
    takes(None, "client-keyfile", "FILE", "its private key (default: it is in the same file)"),
    takes(None, "broadcast-address", "URL", "where clients reach this node, told to lookupds (default http:// or https://HOST:PORT of this host)"),
    takes(None, "broadcast-port", "PORT", "the port told to lookupds (default that of the first --bind)"),
    takes(None, "backlog", "N", "clients the kernel lets wait to be accepted (default 1024)"),
    takes(Some('p'), "plugins-dir", "DIR", "the directory of plugins (default: $GAFFER_PLUGIN_DIR, else \"plugins\" beside gafferd.ini, if that is there)"),
    takes(None, "state-dir", "DIR", "where running processes and jobs loaded over the API are on record"),
    flag(None, "forget", "start without the jobs that were loaded over the API before"),
    takes(None, "allowed-host", "NAME", "a further name under which clients may ask for this node; * for all (repeatable)"),
    takes(None, "origin", "URL", "a web page's origin that may use the API, e.g. https://example.org (repeatable)"),
    flag(None, "require-key", "ask for an API key, on loopback addresses too (default elsewhere)"),
    flag(None, "create-admin-user", "make an administrator with a key of his own, print that, and exit"),
    takes(None, "username", "NAME", "his name (asked for without it)"),
    takes(None, "password-file", "FILE", "the first line is his password; - is stdin (asked for without it)"),
    takes(None, "password", "TEXT", "his password, which everybody sees who lists processes"),
    flag(None, "list-admins", "print the administrators with the ids of their keys, and exit"),
    flag(None, "daemon", "go to the background once everything is started"),
    takes(None, "user", "NAME[:GROUP]", "go on as this user once it has its addresses; only root can"),
    takes(None, "pidfile", "FILE", "write the process id here; a second daemon with it is refused"),
    takes(None, "error-log", "FILE", "log here instead of to stderr (\"-\"), or with \"syslog\" to syslog; opened again on SIGUSR1, moved aside at 10 MB"),
    takes(None, "log-format", "FORM", "text or json, an object a line (default text)"),
    takes(None, "log-level", "LEVEL", "critical, error, warning, info, debug or trace (default info)"),
    flag(Some('v'), "verbose", "print what happens to jobs on stdout; -vv prints their output, too"),
    flag(None, "version", "print the version and exit"),
    flag(Some('h'), "help", "print this and exit"),
];

/// What was asked for. What was not said is `None` or empty, so that a file can say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--procfile`.
    pub procfiles: Vec<String>,
    /// `--load`.
    pub loads: Vec<PathBuf>,
    /// `--bind`.
    pub binds: Vec<String>,
    /// `--socket`.
    pub socket: Option<PathBuf>,
    /// `--certfile`.
    pub certfile: Option<PathBuf>,
    /// `--keyfile`.
    pub keyfile: Option<PathBuf>,
    /// `--clients-cacert`.
    pub clients_cacert: Option<PathBuf>,
    /// `--cacert`.
    pub cacert: Option<PathBuf>,
    /// `--client-certfile`.
    pub client_certfile: Option<PathBuf>,
    /// `--client-keyfile`.
    pub client_keyfile: Option<PathBuf>,
    /// `--lookupd-address`.
    pub lookupds: Vec<String>,
    /// `--broadcast-address`.
    pub broadcast_address: Option<String>,
    /// `--broadcast-port`.
    pub broadcast_port: Option<String>,
    /// `--backlog`.
    pub backlog: Option<String>,
    /// `--plugins-dir`.
    pub plugins_dir: Option<PathBuf>,
    /// `--state-dir`.
    pub state_dir: Option<PathBuf>,
    /// `--forget`.
    pub forget: bool,
    /// `--allowed-host`.
    pub allowed_hosts: Vec<String>,
    /// `--origin`.
    pub origins: Vec<String>,
    /// `--require-key`.
    pub require_key: bool,
    /// `--create-admin-user`, `--list-admins`, and what belongs to them.
    pub admin: Admin,
    /// `--daemon`.
    pub daemon: bool,
    /// `--user`.
    pub user: Option<String>,
    /// `--pidfile`.
    pub pidfile: Option<PathBuf>,
    /// `--error-log`.
    pub error_log: Option<PathBuf>,
    /// `--log-format`.
    pub log_format: Option<String>,
    /// `--log-level`.
    pub log_level: Option<String>,
    /// `-v`, counted.
    pub verbose: u8,
}

/// What is asked for of administrators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admin {
    /// One is to be made.
    pub create: bool,
    /// They are to be listed.
    pub list: bool,
    /// His name.
    pub username: Option<String>,
    /// Where his password stands.
    pub password_file: Option<String>,
    /// His password.
    pub password: Option<String>,
}

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// To run.
    Run(Box<Options>),
    /// To make or list administrators.
    Admin(Box<Options>),
    /// The version.
    Version,
    /// The help.
    Help,
}

/// Reads a command line, without the program's name.
///
/// # Errors
/// The option that is unknown or lacks its value, in words.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut options = Options::default();
    let set = |long: &str, value| options.set(long, value);
    Ok(match command_line::parse("gafferd", OPTIONS, args, set)? {
        Wish::Version => Command::Version,
        Wish::Help => Command::Help,
        Wish::Run if options.admin.create || options.admin.list => {
            Command::Admin(Box::new(options))
        }
        Wish::Run => Command::Run(Box::new(options)),
    })
}

impl Options {
    /// Takes the value of an option, by its long name.
    ///
    /// # Errors
    /// There is none of this name, or it is no text where it has to be one.
    pub(super) fn set(&mut self, long: &str, value: OsString) -> Result<(), String> {
        let text = |value| text(long, value);
        match long {
            "config" => self.config = Some(value.into()),
            "procfile" => self.procfiles.push(text(value)?),
            "load" => self.loads.push(value.into()),
            "bind" => self.binds.push(text(value)?),
            "socket" => self.socket = Some(value.into()),
            "certfile" => self.certfile = Some(value.into()),
            "keyfile" => self.keyfile = Some(value.into()),
            "clients-cacert" => self.clients_cacert = Some(value.into()),
            "cacert" => self.cacert = Some(value.into()),
            "client-certfile" => self.client_certfile = Some(value.into()),
            "client-keyfile" => self.client_keyfile = Some(value.into()),
            "lookupd-address" => self.lookupds.push(text(value)?),
            "broadcast-address" => self.broadcast_address = Some(text(value)?),
            "broadcast-port" => self.broadcast_port = Some(text(value)?),
            "backlog" => self.backlog = Some(text(value)?),
            "plugins-dir" => self.plugins_dir = Some(value.into()),
            "state-dir" => self.state_dir = Some(value.into()),
            "forget" => self.forget = true,
            "allowed-host" => self.allowed_hosts.push(text(value)?),
            "origin" => self.origins.push(text(value)?),
            "require-key" => self.require_key = true,
            "create-admin-user" => self.admin.create = true,
            "list-admins" => self.admin.list = true,
            "username" => self.admin.username = Some(text(value)?),
            "password-file" => self.admin.password_file = Some(text(value)?),
            "password" => self.admin.password = Some(text(value)?),
            "daemon" => self.daemon = true,
            "user" => self.user = Some(text(value)?),
            "pidfile" => self.pidfile = Some(value.into()),
            "error-log" => self.error_log = Some(value.into()),
            "log-format" => self.log_format = Some(text(value)?),
            "log-level" => self.log_level = Some(text(value)?),
            "verbose" => self.verbose = self.verbose.saturating_add(1),
            other => return Err(format!("--{other} is not handled")),
        }
        Ok(())
    }
}

/// The text of `--help`.
pub fn help() -> String {
    let mut text = String::from(
        "gafferd: launches jobs, keeps them alive, and is controlled over HTTP\n\n\
         usage: gafferd [OPTION]...\n\n",
    );
    text += &command_line::described(OPTIONS);
    text.push_str(
        "\nSignals: TERM, INT and QUIT stop everything, a second one at once; HUP reads the\n\
         configuration again; USR1 opens the log files again, also of jobs.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Command, String> {
        parse(args.iter().map(OsString::from))
    }

    #[test]
    fn every_option_of_the_table_is_handled() {
        for option in OPTIONS {
            let mut args = vec![format!("--{}", option.long)];
            args.extend(option.value.map(|_| "1".to_owned()));
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            assert!(parsed(&args).is_ok(), "--{}", option.long);
        }
    }

    #[test]
    fn slips_are_told() {
        assert_eq!(
            parsed(&["--pidfle", "x"]),
            Err("unknown option --pidfle; did you mean --pidfile?".into())
        );
        assert!(parsed(&["-x"]).is_err());
        assert!(parsed(&["stray"]).is_err());
        assert!(parsed(&["--bind"]).is_err());
        assert_eq!(parsed(&["--state-dir", ""]), Err("--state-dir: its value is empty".into()));
        let Ok(Command::Run(options)) = parsed(&["-vv", "--bind=:1", "-c", "x"]) else {
            panic!("these are options");
        };
        assert_eq!((options.verbose, options.binds.len()), (2, 1));
    }
}
