//! How the daemon itself is to be: what the command line says over what `[gaffer]` says, over the
//! defaults. Both go through one function that knows every key, so a fault in either is told alike,
//! with its place.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::ini_jobs::Section;
use super::log_file::Rotation;
use super::log_lines::Format;
use super::logger::{LogSettings, Place};
use super::options::Options;
use super::paths::Surroundings;
use super::{places, values};
use crate::base::address::{Address, Directory};
use crate::base::level::Level;
use crate::base::{limits, similar, size};
use crate::front::access::Access;
use crate::node::usage_history::Keep;
use crate::reactor::store;
use crate::sys::space;
use crate::sys::syslog::SOCKET;

/// How the daemon itself is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where it listens.
    pub binds: Vec<SocketAddr>,
    /// The unix socket; `None` for none.
    pub socket: Option<PathBuf>,
    /// Clients that wait to be accepted.
    pub backlog: i32,
    /// The state directory; empty for none, inside another program.
    pub state_dir: PathBuf,
    /// Whether it goes to the background.
    pub daemon: bool,
    /// As whom it goes on once it has its addresses: `NAME[:GROUP]`.
    pub user: Option<String>,
    /// Where its process id is written.
    pub pidfile: Option<PathBuf>,
    /// Where it logs, how and what.
    pub log: LogSettings,
    /// Who may talk to it.
    pub access: Access,
    /// How many messages wait for one address of a webhook, if that is said.
    pub webhook_queue: Option<usize>,
    /// Whether a key is asked for over TCP.
    pub require_key: bool,
    /// The group whose users need no key on the unix socket.
    pub socket_group: Option<String>,
    /// The permissions of the unix socket.
    pub socket_mode: u32,
    /// Whether the ways of SockJS for old browsers are served.
    pub sockjs_legacy: bool,
    /// With whom it registers, and where it says that it is.
    pub lookups: LookupSettings,
    /// Where its plugins are, if that is said.
    pub plugins_dir: Option<PathBuf>,
    /// Where output of jobs is kept.
    pub store: StoreSettings,
    /// Whether it is kept what was used in the last minutes.
    pub stats_history: Keep,
}

/// Where output of jobs is kept, unless they say otherwise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoreSettings {
    /// The directory; `None` for nowhere.
    pub directory: Option<PathBuf>,
    /// How many bytes it may take, if that is said.
    pub size: Option<u64>,
    /// Where the syslog daemon listens, for what goes there.
    pub syslog: PathBuf,
}

impl StoreSettings {
    /// For the loop: 256 MiB, or a tenth of the file system if that is less, unless it is said.
    pub(super) fn for_loop(&self) -> store::Settings {
        let syslog = self.syslog.clone();
        let tenth = || self.directory.as_deref().and_then(space::size).map(|size| size / 10);
        let most = self.size.unwrap_or_else(|| tenth().unwrap_or(u64::MAX).min(limits::LOG_STORE));
        store::Settings { root: self.directory.clone(), most, syslog }
    }
}

/// With whom the daemon registers, and where it says that it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LookupSettings {
    /// The lookupds and etcds.
    pub addresses: Vec<Directory>,
    /// Where clients reach it, if that is said.
    pub broadcast_address: Option<String>,
    /// On which port, if that is said.
    pub broadcast_port: Option<u16>,
}

/// What one of the two says.
#[derive(Default)]
struct Said {
    binds: Option<Vec<SocketAddr>>,
    socket: Option<PathBuf>,
    backlog: Option<i32>,
    state_dir: Option<PathBuf>,
    daemon: Option<bool>,
    user: Option<String>,
    webhook_queue: Option<usize>,
    pidfile: Option<PathBuf>,
    log: SaidOfLog,
    require_key: Option<bool>,
    socket_group: Option<String>,
    socket_mode: Option<u32>,
    hosts: Vec<String>,
    origins: Vec<String>,
    sockjs_legacy: Option<bool>,
    lookupds: Option<Vec<Directory>>,
    broadcast_address: Option<String>,
    broadcast_port: Option<u16>,
    plugins_dir: Option<PathBuf>,
    log_store: Option<PathBuf>,
    log_store_size: Option<u64>,
    stats_history: Option<Keep>,
    /// From where its relative paths are meant: the folder of the file, or for the command line where
    /// gafferd was started.
    folder: PathBuf,
}

/// What one of the two says of the log.
#[derive(Default)]
struct SaidOfLog {
    place: Option<PathBuf>,
    format: Option<Format>,
    level: Option<Level>,
    max_size: Option<u64>,
    keep: Option<u32>,
    syslog: Option<PathBuf>,
}

impl SaidOfLog {
    /// Puts together what is said here with what the file says.
    fn over(self, file: Self) -> LogSettings {
        let rotation = Rotation {
            max_size: file.max_size.unwrap_or(limits::LOG_SIZE),
            keep: file.keep.unwrap_or(limits::LOG_KEEP),
        };
        let syslog = || file.syslog.unwrap_or_else(|| SOCKET.into());
        LogSettings {
            place: Place::of(self.place.or(file.place), rotation, syslog),
            format: self.format.or(file.format).unwrap_or_default(),
            level: self.level.or(file.level).unwrap_or(Level::Info),
        }
    }
}

/// The keys of `[gaffer]` that mean something, for suggestions and for the documentation.
pub const KEYS: [&str; 30] = [
    "bind",
    "socket",
    "backlog",
    "state_dir",
    "daemonize",
    "user",
    "webhook_queue",
    "pidfile",
    "error_log",
    "error_log_max_size",
    "error_log_keep",
    "syslog_socket",
    "log_format",
    "log_level",
    "stats_history",
    "log_store",
    "log_store_size",
    "require_key",
    "socket_group",
    "socket_mode",
    "allowed_hosts",
    "origins",
    "sockjs_legacy",
    "lookupd_address",
    "broadcast_address",
    "broadcast_port",
    "plugins_dir",
    "plugin_dir",
    "include",
    "include_dir",
];

impl Settings {
    /// Puts them together.
    ///
    /// # Errors
    /// What is wrong, with the option or with file and line.
    pub fn read(
        options: &Options,
        section: Option<&Section>,
        surroundings: &Surroundings<'_>,
    ) -> Result<Self, String> {
        let line = Said::of_options(options)?;
        let file = match section {
            Some(section) => Said::of_section(section)?,
            None => Said::default(),
        };
        let state_dir = match line.state_dir.or(file.state_dir) {
            Some(path) => path,
            None if surroundings.hosted => PathBuf::new(),
            None => surroundings.state_dir()?,
        };
        let default = || match surroundings.hosted {
            true => Vec::new(),
            false => vec![SocketAddr::from(([127, 0, 0, 1], places::DEFAULT_PORT))],
        };
        let binds = line.binds.or(file.binds).unwrap_or_else(default);
        // Beyond this machine's own loopback a key is demanded, unless it is written down that none is.
        let is_open = binds.iter().any(|bind: &SocketAddr| !bind.ip().is_loopback());
        let require_key = line.require_key.or(file.require_key).unwrap_or(is_open);
        let socket = line.socket.or(file.socket);
        let socket_group = file.socket_group;
        let unsaid = if socket_group.is_some() { 0o660 } else { 0o600 };
        let origins = [file.origins, line.origins].concat();
        // Where nothing is kept there is nowhere to keep it, unless that is said.
        let store = match file.log_store {
            Some(path) if path.as_os_str() == "none" => None,
            Some(path) => Some(path),
            None => Some(state_dir.join("logs")).filter(|_| !state_dir.as_os_str().is_empty()),
        };
        Ok(Self {
            store: StoreSettings {
                directory: store,
                size: file.log_store_size,
                syslog: file.log.syslog.clone().unwrap_or_else(|| SOCKET.into()),
            },
            binds,
            socket: match socket {
                Some(path) if path.as_os_str() == "none" => None,
                Some(path) => Some(path),
                None if surroundings.hosted => None,
                None => Some(surroundings.socket(&state_dir)),
            },
            backlog: line.backlog.or(file.backlog).unwrap_or(1024),
            state_dir,
            daemon: line.daemon.or(file.daemon).unwrap_or(false),
            user: line.user.or(file.user),
            webhook_queue: file.webhook_queue,
            pidfile: line.pidfile.or(file.pidfile),
            log: line.log.over(file.log),
            sockjs_legacy: line.sockjs_legacy.or(file.sockjs_legacy).unwrap_or(!origins.is_empty()),
            lookups: LookupSettings {
                addresses: line.lookupds.or(file.lookupds).unwrap_or_default(),
                broadcast_address: line.broadcast_address.or(file.broadcast_address),
                broadcast_port: line.broadcast_port.or(file.broadcast_port),
            },
            plugins_dir: line
                .plugins_dir
                .or(file.plugins_dir)
                .or_else(|| surroundings.plugins_dir()),
            require_key,
            socket_mode: file.socket_mode.unwrap_or(unsaid),
            socket_group,
            stats_history: file.stats_history.unwrap_or_default(),
            access: Access { hosts: [file.hosts, line.hosts].concat(), origins },
        })
    }
}

impl Said {
    fn of_options(options: &Options) -> Result<Self, String> {
        let mut said = Self {
            socket: options.socket.clone(),
            state_dir: options.state_dir.clone(),
            daemon: options.daemon.then_some(true),
            user: options.user.clone(),
            pidfile: options.pidfile.clone(),
            log: SaidOfLog { place: options.error_log.clone(), ..SaidOfLog::default() },
            plugins_dir: options.plugins_dir.clone(),
            require_key: options.require_key.then_some(true),
            ..Self::default()
        };
        let given: [(&str, &'static str, Vec<&String>); 9] = [
            ("bind", "bind", options.binds.iter().collect()),
            ("allowed-host", "allowed_hosts", options.allowed_hosts.iter().collect()),
            ("origin", "origins", options.origins.iter().collect()),
            ("lookupd-address", "lookupd_address", options.lookupds.iter().collect()),
            ("broadcast-address", "broadcast_address", options.broadcast_address.iter().collect()),
            ("broadcast-port", "broadcast_port", options.broadcast_port.iter().collect()),
            ("backlog", "backlog", options.backlog.iter().collect()),
            ("log-format", "log_format", options.log_format.iter().collect()),
            ("log-level", "log_level", options.log_level.iter().collect()),
        ];
        for (long, key, texts) in given {
            for text in texts {
                said.take(key, text).map_err(|error| format!("--{long}: {error}"))?;
            }
        }
        Ok(said)
    }

    fn of_section(section: &Section) -> Result<Self, String> {
        let mut said = Self::default();
        for entry in section.entries().iter().filter(|entry| !entry.inherited) {
            let (key, place) = (entry.key.as_str(), &entry.place);
            // The original's file could name several, each under a key of its own.
            let key = if key.starts_with("lookupd_address") { "lookupd_address" } else { key };
            let Some(key) = KEYS.into_iter().find(|known| *known == key) else {
                let meant = similar::nearest(key, KEYS);
                let meant = meant.map(|m| format!("; did you mean {m:?}?")).unwrap_or_default();
                return Err(format!("{place}: unknown key {key:?} in [gaffer]{meant}"));
            };
            said.folder = entry.folder.to_path_buf();
            let taken = said.take(key, entry.value.trim());
            taken.map_err(|error| format!("{place}: {key}: {error}"))?;
        }
        Ok(said)
    }

    /// Takes what is said for one key of [`KEYS`]; lists add up. What is wrong is told without the key.
    fn take(&mut self, key: &str, text: &str) -> Result<(), String> {
        let words = || text.split([',', ' ', '\t', '\n']).filter(|word| !word.is_empty());
        match key {
            "bind" => words().try_for_each(|word| self.bind(word))?,
            "socket" if text == "none" => self.socket(text.into())?,
            "socket" => self.socket(self.folder.join(text))?,
            "backlog" => self.backlog = Some(values::backlog(text)?),
            "state_dir" => self.state_dir = Some(self.folder.join(text)),
            "daemonize" => self.daemon = Some(values::truth(text)?),
            "webhook_queue" => self.webhook_queue = Some(values::webhook_queue(text)?),
            "user" => self.user = Some(text.to_owned()),
            "pidfile" => self.pidfile = Some(self.folder.join(text)),
            "error_log" if text == "-" || text == "syslog" => self.log.place = Some(text.into()),
            "error_log" => self.log.place = Some(self.folder.join(text)),
            "error_log_max_size" => self.log.max_size = Some(size::parse(text)?),
            "error_log_keep" => self.log.keep = Some(values::log_keep(text)?),
            "syslog_socket" => self.log.syslog = Some(self.folder.join(text)),
            "log_format" => self.log.format = Some(values::log_format(text)?),
            "log_level" => self.log.level = Some(values::log_level(text)?),
            "stats_history" => self.stats_history = Some(values::stats_history(text)?),
            "log_store" if text == "none" => self.log_store = Some(text.into()),
            "log_store" => self.log_store = Some(self.folder.join(text)),
            "log_store_size" => self.log_store_size = Some(size::parse(text)?),
            "require_key" => self.require_key = Some(values::truth(text)?),
            "socket_group" => self.socket_group = Some(text.to_owned()),
            "socket_mode" => self.socket_mode = Some(values::mode(text)?),
            "allowed_hosts" => {
                for word in words() {
                    self.hosts.push(values::host(word)?);
                }
            }
            "lookupd_address" => {
                places_in(text).into_iter().try_for_each(|word| self.lookupd(word))?;
            }
            "broadcast_address" => {
                self.broadcast_address = Some(values::broadcast_address(text)?);
            }
            "broadcast_port" => self.broadcast_port = Some(values::port(text)?),
            // The original's documentation had the second name.
            "plugins_dir" | "plugin_dir" => self.plugins(self.folder.join(text))?,
            "sockjs_legacy" => self.sockjs_legacy = Some(values::truth(text)?),
            "origins" => {
                for word in words() {
                    self.origins.push(values::origin(word)?);
                }
            }
            // Read where the files are put together.
            "include" | "include_dir" => {}
            other => return Err(format!("{other} is not handled")),
        }
        Ok(())
    }

    fn bind(&mut self, word: &str) -> Result<(), String> {
        let binds = self.binds.get_or_insert_default();
        if let Some(path) = word.strip_prefix("unix:") {
            return self.socket(self.folder.join(path));
        }
        let address = places::parse(word, places::DEFAULT_PORT)?;
        // Port 0 is another one each time.
        if address.port() != 0 && binds.contains(&address) {
            return Err(format!("{address} is named twice; leave one of the two away"));
        }
        binds.push(address);
        Ok(())
    }

    fn lookupd(&mut self, word: &str) -> Result<(), String> {
        let place = match values::directory(word)? {
            Directory::Lookupd(Address::Unix(path)) => {
                Directory::Lookupd(Address::Unix(self.folder.join(path)))
            }
            far @ (Directory::Lookupd(Address::Tcp { .. } | Address::Tls { .. })
            | Directory::Etcd(_)) => far,
        };
        let all = self.lookupds.get_or_insert_default();
        if all.contains(&place) {
            return Err(format!("{place} is named twice; leave one of the two away"));
        }
        if all.len() >= limits::LOOKUPDS {
            return Err(format!("a node registers with at most {} lookupds", limits::LOOKUPDS));
        }
        all.push(place);
        Ok(())
    }

    fn plugins(&mut self, path: PathBuf) -> Result<(), String> {
        if let Some(other) = self.plugins_dir.replace(path) {
            let other = other.display();
            return Err(format!("there is one directory of plugins, and it is {other} already"));
        }
        Ok(())
    }

    fn socket(&mut self, path: PathBuf) -> Result<(), String> {
        if let Some(other) = self.socket.replace(path) {
            let other = other.display();
            return Err(format!("there is one unix socket, and it is {other} already"));
        }
        Ok(())
    }
}

/// The words of a list of places. Commas stand between them, and between the members of one etcd.
fn places_in(list: &str) -> Vec<&str> {
    let mut places = Vec::new();
    for word in list.split_whitespace() {
        match word.starts_with("etcd") {
            true => places.push(word.trim_end_matches(',')),
            false => places.extend(word.split(',').filter(|word| !word.is_empty())),
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(line: &[&str], file: &str) -> Result<Settings, String> {
        settled_in("g.ini", line, file)
    }

    fn settled_in(path: &str, line: &[&str], file: &str) -> Result<Settings, String> {
        let mut table = crate::daemon::ini_jobs::Table::default();
        table.add(path, file)?;
        let line = crate::daemon::options::parse(line.iter().map(std::ffi::OsString::from))?;
        let crate::daemon::options::Command::Run(options) = line else {
            panic!("these are options");
        };
        let variable = |name: &str| (name == "HOME").then(|| "/home/x".to_owned());
        let surroundings = Surroundings { root: false, variable: &variable, hosted: false };
        Settings::read(&options, table.section("gaffer"), &surroundings)
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let file = "[gaffer]\nbind = 127.0.0.1:1, [::1]:2\nbacklog = 7\nlog_level = debug\n";
        let said = settled(&[], file).expect("sound");
        assert_eq!(said.binds.len(), 2);
        assert_eq!((said.backlog, said.log.level), (7, Level::Debug));
        let said = settled(&["--bind", ":3", "--backlog=9", "--socket", "none"], file);
        let said = said.expect("sound");
        assert_eq!(said.binds, [SocketAddr::from(([127, 0, 0, 1], 3))]);
        assert_eq!((said.backlog, said.socket), (9, None));
    }

    #[test]
    fn paths_of_a_file_lie_beside_it_and_those_of_the_command_line_where_it_is_given() {
        let file =
            "[gaffer]\npidfile = run/pid\nerror_log = log\nbind = unix:s\nstate_dir = /var/x\n";
        let paths = |line: &[&str], text: &str| {
            let said = settled_in("/etc/gaffer/g.ini", line, text).expect("sound");
            let log = match said.log.place {
                Place::Stderr => None,
                Place::File(path, _) | Place::Syslog(path) => Some(path),
            };
            let all = [said.pidfile, log, said.socket, Some(said.state_dir)];
            all.map(|path| path.map_or("-".into(), |path| path.display().to_string()))
        };
        let beside = ["/etc/gaffer/run/pid", "/etc/gaffer/log", "/etc/gaffer/s", "/var/x"];
        assert_eq!(paths(&[], file), beside);
        let line = ["--pidfile=pid", "--error-log=log", "--socket=none", "--state-dir=x"];
        assert_eq!(paths(&line, file), ["pid", "log", "-", "x"]);
        let file = "[gaffer]\nerror_log = -\nsocket = none\nstate_dir = x\n";
        assert_eq!(paths(&[], file), ["-", "-", "-", "/etc/gaffer/x"]);
    }

    #[test]
    fn the_log_is_as_it_is_said_to_be() {
        let log = |line: &[&str], file: &str| {
            let file = format!("[gaffer]\n{file}\n");
            settled_in("/e/g.ini", line, &file).expect("sound").log
        };
        assert_eq!(log(&[], ""), LogSettings::default());
        let file =
            "error_log = log\nerror_log_max_size = 64k\nerror_log_keep = 2\nlog_format = JSON";
        let rotation = Rotation { max_size: 64 << 10, keep: 2 };
        let said = log(&["--log-level=debug"], file);
        assert_eq!(said.place, Place::File("/e/log".into(), rotation));
        assert_eq!((said.format, said.level), (Format::Json, Level::Debug));
        let said = log(&["--log-format=text", "--error-log=x"], file);
        assert_eq!((said.format, said.place), (Format::Text, Place::File("x".into(), rotation)));
        assert_eq!(log(&["--error-log=-"], file).place, Place::Stderr);
        assert_eq!(log(&["--error-log=syslog"], file).place, Place::Syslog("/dev/log".into()));
        let said = log(&[], "error_log = syslog\nsyslog_socket = run/log");
        assert_eq!(said.place, Place::Syslog("/e/run/log".into()));
        let unsaid = Rotation { max_size: limits::LOG_SIZE, keep: limits::LOG_KEEP };
        assert_eq!(
            log(&["--error-log=./syslog"], "").place,
            Place::File("./syslog".into(), unsaid)
        );
        let most = format!(
            "error_log = l\nerror_log_keep = {}\nerror_log_max_size = 0",
            limits::LOG_KEEP_MOST
        );
        let most_kept = Rotation { max_size: 0, keep: limits::LOG_KEEP_MOST };
        assert_eq!(log(&[], &most).place, Place::File("/e/l".into(), most_kept));
    }

    #[test]
    fn lookupds_are_named_in_either_place_and_the_command_line_wins() {
        let file = "[gaffer]\nlookupd_address = http://a, http://b:1\nlookupd_address_2 = unix:l\n\
                    broadcast_address = http://n.example.org:80\nbroadcast_port = 81\n";
        let shown = |line: &[&str], file: &str| {
            let lookups = settled_in("/e/g.ini", line, file).expect("sound").lookups;
            let all: Vec<String> = lookups.addresses.iter().map(Directory::to_string).collect();
            (all.join(" "), lookups.broadcast_address, lookups.broadcast_port)
        };
        let all = "http://a:5010 http://b:1 unix:/e/l".to_owned();
        assert_eq!(shown(&[], file), (all, Some("http://n.example.org:80".into()), Some(81)));
        let both = "[gaffer]\nlookupd_address = http://a,http://b, etcd://c:1,d/x, unix:/l\n";
        let all = "http://a:5010 http://b:5010 etcd://c:1,d:2379/x unix:/l";
        assert_eq!(shown(&[], both).0, all);
        let line = ["--lookupd-address=http://c", "--lookupd-address", "http://d"];
        let line = [&line[..], &["--broadcast-port=82"]].concat();
        let (all, _, port) = shown(&line, file);
        assert_eq!((all.as_str(), port), ("http://c:5010 http://d:5010", Some(82)));
        assert_eq!(shown(&[], "[gaffer]\nlookupd_address =\n"), (String::new(), None, None));
        let many = |count: usize| {
            let args = (1..=count).map(|n| format!("--lookupd-address=http://l{n}"));
            let args: Vec<String> = args.collect();
            settled(&args.iter().map(String::as_str).collect::<Vec<_>>(), "")
        };
        assert!(many(limits::LOOKUPDS).is_ok());
        assert!(many(limits::LOOKUPDS + 1).is_err_and(|error| error.contains("at most 32")));
    }

    #[test]
    fn a_key_is_asked_for_where_others_can_come_unless_it_is_written_down() {
        for (line, file, required) in [
            (&[][..], "", false),
            (&["--require-key"], "", true),
            (&["--require-key"], "require_key = false", true),
            (&[], "require_key = true", true),
            (&[], "bind = 0.0.0.0:1", true),
            (&["--bind", "[::]:1"], "bind = :1", true),
            (&["--bind", ":1"], "bind = 0.0.0.0:1", false),
            (&[], "bind = 0.0.0.0:1\nrequire_key = false", false),
        ] {
            let said = settled(line, &format!("[gaffer]\n{file}\n")).expect("sound");
            assert_eq!(said.require_key, required, "{line:?} {file}");
        }
    }

    #[test]
    fn the_socket_is_its_owners_or_a_groups() {
        for (file, mode) in
            [("", 0o600), ("socket_group = adm", 0o660), ("socket_mode = 666", 0o666)]
        {
            let said = settled(&[], &format!("[gaffer]\n{file}\n")).expect("sound");
            assert_eq!(said.socket_mode, mode, "{file}");
        }
    }

    #[test]
    fn one_address_may_be_named_twice_only_where_the_kernel_chooses_the_port() {
        let said = settled(&["--bind", ":0", "--bind", ":0"], "").expect("sound");
        assert_eq!(said.binds.len(), 2);
    }

    #[test]
    fn faults_have_their_place() {
        for (line, file, message) in [
            (vec![], "bind = 1.2.3:4", "g.ini:2: bind: \"1.2.3:4\" is no address"),
            (vec![], "backlog = 0", "g.ini:2: backlog: expected"),
            (vec![], "webhook_queue = 20001", "g.ini:2: webhook_queue: expected a whole number"),
            (vec![], "daemonize = x", "g.ini:2: daemonize: expected true or false, found \"x\""),
            (
                vec![],
                "error_log_keep = 1001",
                "g.ini:2: error_log_keep: expected a whole number from 0 to",
            ),
            (
                vec![],
                "error_log_max_size = 1TB",
                "g.ini:2: error_log_max_size: expected a size in bytes",
            ),
            (
                vec![],
                "log_format = xml",
                "g.ini:2: log_format: expected text or json, found \"xml\"",
            ),
            (vec!["--log-format", "xml"], "", "--log-format: expected text or json"),
            (vec![], "log_level = loud", "g.ini:2: log_level: expected critical,"),
            (vec![], "allowed_hosts = a:1", "g.ini:2: allowed_hosts: expected names alone,"),
            (vec![], "origins = a", "g.ini:2: origins: expected scheme://host"),
            (vec![], "bind = :1, localhost:1", "g.ini:2: bind: 127.0.0.1:1 is named twice; leave"),
            (vec!["--bind", ":1", "--bind=:1"], "", "--bind: 127.0.0.1:1 is named twice; leave"),
            (
                vec!["--socket=a", "--bind=unix:b"],
                "",
                "--bind: there is one unix socket, and it is a",
            ),
            (
                vec![],
                "socket = a\nbind = unix:b",
                "g.ini:3: bind: there is one unix socket, and it is a already",
            ),
            (
                vec![],
                "bnd = :1",
                "g.ini:2: unknown key \"bnd\" in [gaffer]; did you mean \"bind\"?",
            ),
            (
                vec!["--backlog", "x"],
                "",
                "--backlog: expected a whole number from 1 to 65535, found \"x\"",
            ),
            (vec![], "lookupd_address = l", "g.ini:2: lookupd_address: expected http://HOST"),
            (vec!["--lookupd-address=ftp://l"], "", "--lookupd-address: expected http://HOST:PORT"),
            (
                vec![],
                "lookupd_address = http://a http://A",
                "g.ini:2: lookupd_address: http://a:5010 is",
            ),
            (vec!["--broadcast-address=n:1"], "", "--broadcast-address: expected http://HOST:PORT"),
            (vec![], "broadcast_port = 0", "g.ini:2: broadcast_port: expected a port from 1"),
            (
                vec![],
                "plugins_dir = a\nplugin_dir = b",
                "g.ini:3: plugin_dir: there is one directory of plugins, and it is a already",
            ),
            (vec![], "socket_mode = 8", "g.ini:2: socket_mode: expected permissions such as 0660"),
        ] {
            let error = settled(&line, &format!("[gaffer]\n{file}\n")).err().unwrap_or_default();
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn the_store_is_below_the_state_directory_and_no_larger_than_it_should_be() {
        let read = |file: &str| settled(&[], file).expect("valid").store;
        let store = read("[gaffer]\nstate_dir = /var/x\n");
        assert_eq!(store.directory.as_deref(), Some(std::path::Path::new("/var/x/logs")));
        let most = store.for_loop().most;
        assert!(most > 0 && most <= limits::LOG_STORE);
        let store = read("[gaffer]\nlog_store = none\nsyslog_socket = /s\n");
        assert_eq!((store.directory, store.syslog), (None, PathBuf::from("/s")));
        let store = read("[gaffer]\nlog_store = /l\nlog_store_size = 1GB\n");
        assert_eq!((store.for_loop().most, store.for_loop().root), (1 << 30, Some("/l".into())));
    }
}
